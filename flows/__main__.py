"""`python -m flows` is the `tectum` command."""

from flows.cli import main

main()
