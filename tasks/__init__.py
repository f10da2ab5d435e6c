"""What is done to recordings, a package a stage."""
