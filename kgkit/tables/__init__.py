"""Tables -> rows: files of any common kind become TableRow records with the address of every cell."""

from kgkit.tables.lint import Finding, lint, lint_reading, read_and_lint
from kgkit.tables.reading import (
    DEFAULT_TIERS,
    FileReading,
    TableReading,
    expand_paths,
    read_tables,
    starter_paths,
)
from kgkit.tables.rows import Counts, Reject, SheetReading

__all__ = [
    "DEFAULT_TIERS",
    "Counts",
    "FileReading",
    "Finding",
    "Reject",
    "SheetReading",
    "TableReading",
    "expand_paths",
    "lint",
    "lint_reading",
    "read_and_lint",
    "read_tables",
    "starter_paths",
]
