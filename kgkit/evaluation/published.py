"""What papers report of their models' scores, from evaluation/published/, to print beside one's own numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kgkit import content

Unit = Literal["percent", "count", "mean"]
Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """One row of a table: what tells it from the others (`model`, `task`, ...), and its numbers; None where the paper gives none."""

    by: Mapping[str, str]
    values: Mapping[str, float | None]


class PublishedTable(BaseModel):
    """One table: each row has a text for every name of `by`, then a number or null for every one of `metrics`.

    `beside`: the benchmarks of kgkit that ask about the same, to be printed beside them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    table: str
    benchmark: str
    beside: list[str]
    by: list[str] = Field(min_length=1)
    metrics: dict[str, Unit] = Field(min_length=1)
    rows: list[list[Cell]] = Field(min_length=1)

    @model_validator(mode="after")
    def _well_formed(self) -> Self:
        """Raises ValueError that names the row."""
        width, labels = len(self.by) + len(self.metrics), set()
        for number, row in enumerate(self.rows, start=1):
            where = f"{self.table}, row {number}"
            if len(row) != width:
                raise ValueError(f"{where} has {len(row)} entries, not {width}")
            label = tuple(row[: len(self.by)])
            if not all(isinstance(part, str) for part in label):
                raise ValueError(f'{where}: {label} must be texts; write a number as "1"')
            if label in labels:
                raise ValueError(f"{where}: {label} stands there twice")
            labels.add(label)
            _check_numbers(row[len(self.by) :], list(self.metrics.values()), where)
        return self

    def scores(self) -> list[PublishedScore]:
        """The rows with the names of their columns."""
        found = []
        for row in self.rows:
            labels, numbers = row[: len(self.by)], row[len(self.by) :]
            values = [float(number) if number is not None else None for number in numbers]
            by = dict(zip(self.by, map(str, labels), strict=True))
            found.append(PublishedScore(by, dict(zip(self.metrics, values, strict=True))))
        return found


class PublishedScores(BaseModel):
    """One paper's tables. `standing` is printed beside every number of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: int
    name: str
    source: str
    standing: Literal["published, other models and data", "published, other split and data"]
    tables: list[PublishedTable] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A published table as it is printed beside measured ones: `heading` says whose and of what, numbers as the paper prints them."""

    paper: str
    source: str
    standing: str
    table: PublishedTable

    @property
    def heading(self) -> str:
        """Whose table, which, of what."""
        return f"{self.paper}, {self.table.table}: {self.table.benchmark} ({self.source})"

    @property
    def columns(self) -> list[str]:
        """What tells the rows apart, then the metrics with their units."""
        units = {"percent": ", %", "count": "", "mean": ""}
        return [
            *self.table.by,
            *(f"{name}{units[unit]}" for name, unit in self.table.metrics.items()),
        ]

    @property
    def rows(self) -> list[list[str]]:
        """As printed, the numbers of a column with equally many decimals; "" where the paper gives none."""
        columns = [_as_printed(column) for column in zip(*self.table.rows, strict=True)]
        return [list(row) for row in zip(*columns, strict=True)]

    def as_json(self) -> dict[str, object]:
        """The table with its rows by name."""
        return {
            "paper": self.paper,
            "source": self.source,
            "standing": self.standing,
            "table": self.table.table,
            "benchmark": self.table.benchmark,
            "metrics": self.table.metrics,
            "rows": [{**score.by, **score.values} for score in self.table.scores()],
        }


def published_beside(benchmark: str) -> list[Beside]:
    """The published tables to print beside a benchmark of kgkit. Raises ContentError."""
    return [
        Beside(paper=paper.name, source=paper.source, standing=paper.standing, table=table)
        for paper in published_scores()
        for table in paper.tables
        if benchmark in table.beside
    ]


def published_scores() -> list[PublishedScores]:
    """All papers' scores, by file name; `*-corpora.yaml` holds sizes of corpora and is none of them. Raises ContentError."""
    folder = content.path("evaluation", "published")
    files = [path for path in folder.glob("*.yaml") if not path.stem.endswith("-corpora")]
    return [content.read_yaml(path, PublishedScores) for path in sorted(files)]


def _as_printed(column: Sequence[Cell]) -> list[str]:
    numbers = [str(cell) for cell in column if isinstance(cell, float)]
    decimals = max((len(number.partition(".")[2]) for number in numbers), default=0)
    return [
        "" if cell is None else cell if isinstance(cell, str) else f"{cell:.{decimals}f}"
        for cell in column
    ]


def _check_numbers(numbers: Sequence[Cell], units: Sequence[Unit], where: str) -> None:
    for number, unit in zip(numbers, units, strict=True):
        if number is None:
            continue
        fault = ""
        if isinstance(number, str):
            fault = "number; write null for what is not given"
        elif unit == "percent" and not 0 <= number <= 100:
            fault = "percentage"
        elif unit == "mean" and number < 0:
            fault = "mean"
        elif unit == "count" and (number < 0 or number != int(number)):
            fault = "count"
        if fault:
            raise ValueError(f"{where}: {number!r} is no {fault}")
