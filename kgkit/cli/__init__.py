"""The `kgkit` command: parse, call one room, print. Nothing heavier than typer and rich at import time."""

import sys

_VALUED = ("--workspace", "--store", "--teacher")
_FLAGS = ("--json", "--verbose", "-v", "--quiet", "-q")


def global_options_first(arguments: list[str]) -> list[str]:
    """Move global options before the command, so that they work on either side of it; stops at `--`."""
    front: list[str] = []
    rest: list[str] = []
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        if argument == "--":
            break
        if argument in _VALUED:
            front += arguments[position : position + 2]
            position += 2
            continue
        moved = argument in _FLAGS or argument.startswith(tuple(f"{name}=" for name in _VALUED))
        (front if moved else rest).append(argument)
        position += 1
    return [*front, *rest, *arguments[position:]]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; ends the process with a documented exit code."""
    try:
        from kgkit.cli.app import app

        app(
            args=global_options_first(sys.argv[1:] if arguments is None else arguments),
            prog_name="kgkit",
        )
    except KeyboardInterrupt:
        sys.exit(130)
