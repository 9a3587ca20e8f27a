"""`python -m kgkit` is the `kgkit` command."""

from kgkit.cli import main

main()
