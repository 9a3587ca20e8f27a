"""How results and hints are printed: the result on stdout, everything else on stderr."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from kgkit.cli.session import GlobalOptions

if TYPE_CHECKING:
    from kgkit.derive import Changes

_NARROW = 100
"""On a terminal of fewer columns one space parts the columns of a table, not two."""


def print_json(document: Mapping[str, object]) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=1, default=str) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A plain table on stdout, as wide as the terminal; full width when stdout is no terminal.

    The first column keeps its lines whole where they take no more than two thirds of the width.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 240, highlight=False)
    cells = [[cell_text(value) for value in row] for row in rows]
    table = Table(
        box=None,
        pad_edge=False,
        collapse_padding=console.width < _NARROW,
        header_style="bold",
    )
    for number, column in enumerate(columns):
        longest = max((len(row[number]) for row in cells), default=0)
        whole = number == 0 and 3 * max(longest, len(column)) <= 2 * console.width
        table.add_column(Text(column), overflow="fold", no_wrap=whole)
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


def cell_text(value: object) -> str:
    """A value as a cell of a table or of CSV: nothing for None, JSON for lists."""
    if value is None:
        return ""
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def say(line: str) -> None:
    """A line of the result on stdout, for people."""
    typer.echo(line)


def hint_next(options: GlobalOptions, *commands: str) -> None:
    """What to run next, with the workspace that was named."""
    hint(options, "next: " + ", or ".join(command_line(options, command) for command in commands))


def command_line(options: GlobalOptions, command: str) -> str:
    """`kgkit COMMAND`, with the workspace that was named."""
    return f"kgkit {command}" + (f" --workspace {options.workspace}" if options.workspace else "")


def counted(count: int, thing: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def listed(names: Sequence[str], *, most: int) -> str:
    """`fan, pump and 3 more (--json lists all)`: the first `most` of the names."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more (--json lists all)" if more > 0 else "")


def reasons(counts: Mapping[str, int]) -> str:
    """`no reference 27, echo 1`; `0` if there are none."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "0"


def say_changes(options: GlobalOptions, changes: "Changes | None") -> None:
    """Say what was withdrawn, and how many asks of earlier runs have no reply; nothing if neither is so."""
    if changes is not None and changes.withdrawn:
        counts = Counter(one.kind for one in changes.withdrawn)
        hint(
            options,
            f"withdrawn, as nothing says it any more or an expert rejects it: {reasons(counts)}; "
            "see `kgkit plan expand`, `kgkit plan extend`",
        )
    if changes is not None and changes.missing:
        has = "has" if changes.missing == 1 else "have"
        hint(
            options,
            f"{counted(changes.missing, 'ask')} of earlier runs {has} no reply yet: a cell, a prompt or the split changed, "
            "or a run stopped before; `kgkit expand` asks those about tables, `kgkit extend` those about documents",
        )


def hint(options: GlobalOptions, line: str) -> None:
    """A line for people on stderr; silent with -q."""
    if not options.quiet:
        typer.echo(line, err=True)
