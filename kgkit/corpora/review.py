"""What teachers said -> a workbook that an expert fills in: relevance, sensors, passages; the least certain first.

`kgkit load` of the filled-in workbook applies the decisions (layout `review`). A hidden column says what each row is about.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgkit.corpora.kinds import MADE_OF
from kgkit.errors import KgkitError, UsageError
from kgkit.graph.store import GraphStore
from kgkit.tables.review import HOW_TO, KEYS, WORDS

if TYPE_CHECKING:
    import xlsxwriter
    from xlsxwriter.worksheet import Worksheet

FILE_NAME = "review.xlsx"
_MAX_ROWS = 1_000_000
"""A worksheet holds 1,048,576 rows."""
_MAX_CELL = 32_767
"""Characters that a cell of a worksheet holds."""
_FILL_IN = ("decision", "comment", "expert")
_HOW_TO = (
    "How to fill in this review",
    "",
    "Each row of the other sheets is something that a teacher (a language model) said. The least certain stand first.",
    "Write into the yellow columns; leave a row blank that you do not want to decide. Any order, as many as you like.",
    "",
    "decision = accept: it is right. It stands on your word from now on.",
    "decision = reject: it is wrong. A relevance of Yes becomes No and the other way round; a sensor does not monitor the equipment; a passage is never used.",
    "decision = edit: first change the label and the reason, or the question and the text, in their columns. A sensor cannot be edited.",
    "comment: why, if you like. For a relevance that you reject it becomes the reason.",
    "expert: your name. A decision without a name is not taken.",
    "",
    "Do not change the other columns and do not delete the hidden first column. Sorting and filtering are fine.",
    "Then: kgkit load review.xlsx. Your decisions win over every teacher, also a later one, until you take the file out again.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A sheet: its name, the headings of the columns between the id and those to fill in, their widths, and which are edited."""

    name: str
    columns: tuple[tuple[str, int], ...]
    edited: tuple[str, ...]


_RELEVANCE = _Kind(
    name="relevance",
    columns=(("equipment id", 18), ("sensor name", 22), ("failure name", 22), ("label", 8), ("reason", 60), ("probability of Yes", 12), ("votes", 10), ("said by", 18)),
    edited=("label", "reason"),
)  # fmt: skip
_SENSORS = _Kind(
    name="sensors",
    columns=(("equipment id", 28), ("sensor name", 30), ("as the teacher wrote it", 30), ("said by", 18)),
    edited=(),
)  # fmt: skip
_PASSAGES = _Kind(
    name="passages",
    columns=(("kind of passage", 24), ("subject", 30), ("question", 40), ("text", 90), ("said by", 18)),
    edited=("question", "text"),
)  # fmt: skip

_Row = tuple[dict[str, str], Sequence[object]]
"""The id, and the cells under the kind's columns."""


def write_review(folder: Path, *, graph: GraphStore) -> dict[str, int]:
    """Write FOLDER/review.xlsx: rows of each sheet, by sheet.

    Raises UsageError if there is a review already, KgkitError if no teacher said anything yet or if there is more than a
    worksheet holds.
    """
    import xlsxwriter

    path = folder / FILE_NAME
    if path.exists():
        raise UsageError(
            f"{path} is there already and may be filled in; load it and move it, or name another folder"
        )
    sheets = [
        (_RELEVANCE, list(_relevance(graph))),
        (_SENSORS, list(_sensors(graph))),
        (_PASSAGES, list(_passages(graph))),
    ]
    counts = {kind.name: len(rows) for kind, rows in sheets}
    if not any(counts.values()):
        raise KgkitError(
            "no teacher has said anything that waits for a decision: run `kgkit expand` first"
        )
    for name, count in counts.items():
        if count > _MAX_ROWS:
            raise KgkitError(
                f"{count} {name} to review, and a worksheet holds {_MAX_ROWS}: review before you extend"
            )
    folder.mkdir(parents=True, exist_ok=True)
    plain = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(path, {"constant_memory": True, **plain}) as book:
        book.set_properties({"created": datetime(2000, 1, 1)})  # noqa: DTZ001 - the same bytes each time
        _write_how_to(book)
        for kind, rows in sheets:
            _write_sheet(book, kind, rows)
    return counts


def _write_how_to(book: "xlsxwriter.Workbook") -> None:
    sheet = book.add_worksheet(HOW_TO)
    sheet.set_column(0, 0, 110)
    wrapped, bold = book.add_format({"text_wrap": True}), book.add_format({"bold": True})
    for number, line in enumerate(_HOW_TO):
        sheet.write_string(number, 0, line, wrapped if number else bold)


def _write_sheet(book: "xlsxwriter.Workbook", kind: _Kind, rows: Iterable[_Row]) -> None:
    sheet = book.add_worksheet(kind.name)
    look: dict[str, Any] = {"text_wrap": True, "valign": "top"}
    wrapped, yellow = book.add_format(look), book.add_format({**look, "bg_color": "#FFF8D0"})
    head = book.add_format({"bold": True, "bg_color": "#E0E0E0", "text_wrap": True})
    headings = ["kgkit id", *(name for name, _ in kind.columns), *_FILL_IN]
    sheet.freeze_panes(1, 1)
    sheet.set_column(0, 0, 4, None, {"hidden": True})
    for column, (_, width) in enumerate(kind.columns, start=1):
        sheet.set_column(column, column, width)
    first = len(kind.columns) + 1
    sheet.set_column(first, first + 2, 20)
    for column, heading in enumerate(headings):
        sheet.write_string(0, column, heading, head)
    last = 0
    for last, (id_, cells) in enumerate(rows, start=1):
        sheet.write_string(last, 0, json.dumps(id_, ensure_ascii=False, sort_keys=True))
        for column, cell in enumerate(cells, start=1):
            to_edit = kind.columns[column - 1][0] in kind.edited
            _write_cell(sheet, last, column, cell, yellow if to_edit else wrapped)
        for column in range(first, first + 3):
            sheet.write_blank(last, column, None, yellow)
    if last:
        _let_choose(sheet, first, last, WORDS if kind.edited else ("accept", "reject"))
        sheet.autofilter(0, 0, last, len(headings) - 1)
        if "label" in kind.edited:
            _let_choose(sheet, headings.index("label"), last, ("Yes", "No"))


def _let_choose(sheet: "Worksheet", column: int, last: int, words: Sequence[str]) -> None:
    sheet.data_validation(1, column, last, column, {"validate": "list", "source": list(words)})


def _write_cell(sheet: "Worksheet", row: int, column: int, cell: object, look: Any) -> None:  # noqa: ANN401
    """A text as a text, whatever it begins with; a number as a number."""
    if isinstance(cell, float):
        sheet.write_number(row, column, cell, look)
    elif cell:
        sheet.write_string(row, column, str(cell)[:_MAX_CELL], look)
    else:
        sheet.write_blank(row, column, None, look)


def _id(of: str, **said: object) -> dict[str, str]:
    """What the hidden column says of a row."""
    return {"of": of, **{name: str(said.get(name) or "") for name in KEYS[of]}}


def _relevance(graph: GraphStore) -> Iterator[_Row]:
    rows = graph.query(
        "MATCH (s:Sensor)-[r:RELEVANT_TO]->(f:FailureMode) WHERE r.origin = 'teacher' RETURN r.asset AS asset,"
        " s.id AS sensor, s.name AS sensor_name, f.id AS failure_mode, f.name AS failure_mode_name, r.label AS label,"
        " r.reason AS reason, r.probability AS probability, r.votes_yes AS yes, r.votes_no AS no, r.teacher AS teacher"
    ).dicts()
    rows.sort(key=lambda row: (_certainty(row), row["asset"], row["sensor"], row["failure_mode"]))
    for row in rows:
        votes = f"{row['yes'] or 0} Yes, {row['no'] or 0} No"
        shown = ("asset", "sensor_name", "failure_mode_name", "label", "reason", "probability")
        yield _id("relevance", **row), [*(row[name] for name in shown), votes, row["teacher"]]


def _certainty(row: dict[str, Any]) -> float:
    """From 0.5 (nobody knows) to 1: the probability of the label, else its share of several votes; 2 if nothing says."""
    if row["probability"] is not None:
        return float(max(row["probability"], 1 - row["probability"]))
    yes, no = row["yes"] or 0, row["no"] or 0
    return float(max(yes, no) / (yes + no)) if yes + no > 1 else 2.0


def _sensors(graph: GraphStore) -> Iterator[_Row]:
    for label, asset in (("Asset", "a.id"), ("Subunit", "a.asset"), ("Component", "a.asset")):
        for row in graph.query(
            f"MATCH (a:{label})-[r:MONITORED_BY]->(s:Sensor) WHERE r.origin = 'teacher' RETURN {asset} AS asset,"
            " a.id AS node, s.id AS sensor, s.name AS sensor_name, r.reply_name AS written, r.teacher AS teacher"
            " ORDER BY node, sensor"
        ).dicts():
            shown = ("node", "sensor_name", "written", "teacher")
            yield _id("sensor", label=label, **row), [row[name] for name in shown]


def _passages(graph: GraphStore) -> Iterator[_Row]:
    """Passages of corpora; those about a relevance that is itself uncertain come first."""
    uncertain = {
        (row["asset"], row["sensor"], row["mode"]): _certainty(row)
        for row in graph.query(
            "MATCH (s:Sensor)-[r:RELEVANT_TO]->(f:FailureMode) WHERE r.origin = 'teacher' RETURN r.asset AS asset,"
            " s.id AS sensor, f.id AS mode, r.probability AS probability, r.votes_yes AS yes, r.votes_no AS no"
        ).dicts()
    }
    rows = graph.query(
        "MATCH (p:Passage) WHERE p.origin = 'teacher' AND p.kind IN $kinds RETURN p.id AS id, p.kind AS kind,"
        " p.name AS name, p.question AS question, p.text AS text, p.asset AS asset, p.part AS part,"
        " p.sensor AS sensor, p.failure_mode AS failure_mode, p.teacher AS teacher",
        {"kinds": sorted(MADE_OF)},
    ).dicts()
    rows.sort(
        key=lambda row: (
            uncertain.get((row["asset"], row["sensor"], row["failure_mode"]), 3.0),
            str(row["asset"]),
            str(row["kind"]),
            str(row["id"]),
        )
    )
    for row in rows:
        shown = ("kind", "name", "question", "text", "teacher")
        yield _id("passage", **row), [row[name] for name in shown]
