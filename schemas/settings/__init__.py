"""One frozen settings model a stage; import each from its own module."""
