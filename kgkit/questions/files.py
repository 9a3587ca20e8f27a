"""Questions as files: our own JSONL and Parquet; and the files of others, read as benchmarks or as stems that no corpus may tell of.

A row is a JSON object, a line of a CSV with a heading, or a row of Parquet, with `question` or `stem`, `options` (or A, B, C, ...) and
`correct` (or `answer`): indices from 0, letters or truth values. FailureSensorIQ's JSONL (question, options, correct, asset_name,
relevancy) is so. A CSV without a heading is MMLU's: question, options, letter.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from kgkit.errors import ContentError, UsageError
from kgkit.names import asset_id
from kgkit.records import Question, digest

LETTERS = "ABCDEFGHIJ"
STEM_COLUMNS = ("question", "stem", "text")
_KINDS = (".jsonl", ".csv", ".parquet")
Row = Mapping[str, Any]


def as_json(question: Question) -> dict[str, object]:
    """The question as one line of JSONL."""
    return {**asdict(question), "form": question.form}


def write_jsonl(questions: Sequence[Question], path: Path) -> None:
    """One question a line, in their order."""
    lines = [json.dumps(as_json(question), ensure_ascii=False) + "\n" for question in questions]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def write_parquet(questions: Sequence[Question], path: Path) -> None:
    """One question a row, in their order, with the columns of the JSONL."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, texts = pa.string(), pa.list_(pa.string())
    types = {
        **dict.fromkeys(("paraphrases", "options", "option_ids", "spares", "sources"), texts),
        "correct": pa.list_(pa.bool_()),
        "facts": pa.list_(texts),
        "hard": pa.bool_(),
    }
    names = [*(field.name for field in fields(Question)), "form"]
    schema = pa.schema([(name, types.get(name, text)) for name in names])
    rows = [{**as_json(one), "facts": [list(pair) for pair in one.facts]} for one in questions]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, compression="zstd")


def read_questions(path: Path) -> list[Question]:
    """The questions of a file, whatever of the known shapes it has.

    Raises UsageError for a file that cannot be read, ContentError with the line of a question that is none.
    """
    found = [
        _ours(place, row) if "proof" in row and "form" in row else _theirs(path, place, row)
        for place, row in _rows(path)
    ]
    if not found:
        raise ContentError(f"{path} holds no questions; give a file with at least one")
    return found


def read_stems(path: Path) -> list[str]:
    """The stems of a file of any of the shapes, with their paraphrases; a row needs no more than one of STEM_COLUMNS, the first that the file has.

    Raises UsageError for a file that cannot be read or has no such column, ContentError with the line of a row that is none.
    """
    rows = [row for _, row in _rows(path)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    column = next((name for name in STEM_COLUMNS if name in columns), None)
    if column is None:
        raise UsageError(
            f"{path}: has no column {', '.join(STEM_COLUMNS)}; its columns are {', '.join(columns) or 'none'}; rename one"
        )
    stems = [str(stem or "").strip() for row in rows for stem in (row.get(column), *_more(row))]
    return [stem for stem in stems if stem]


def _more(row: Row) -> Sequence[object]:
    """The other words in which a question of kgkit is asked."""
    found = row.get("paraphrases")
    return found if isinstance(found, list) else ()


def _rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Each row of a file with its place, as messages name it."""
    ending = path.suffix.lower()
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it: {', '.join(_KINDS)}")
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    if ending not in _KINDS:
        raise UsageError(f"{path}: questions are read from {', '.join(_KINDS)}; name such a file")
    if ending == ".parquet":
        yield from _parquet(path)
        return
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UsageError(
            f"{path}: line {line} is not in UTF-8; save the file in this encoding"
        ) from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); mend that") from None
    yield from (_csv if ending == ".csv" else _jsonl)(path, text)


def _jsonl(path: Path, text: str) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(io.StringIO(text), start=1):
        if not line.strip():
            continue
        place = f"{path}: line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ContentError(
                f"{place} is no JSON ({error}); write one object on each line"
            ) from None
        if not isinstance(row, dict):
            raise ContentError(f"{place} is no JSON object; write one on each line")
        yield place, row


def _csv(path: Path, text: str) -> Iterator[tuple[str, Row]]:
    """Rows by their heading, or as MMLU has them where the first line is a question itself."""
    reader = csv.reader(io.StringIO(text, newline=""))
    heading: list[str] | None = None
    try:
        for number, line in enumerate(reader):
            if number == 0 and not _of_mmlu(line):
                heading = [cell.strip().lower() for cell in line]
            elif any(line):
                yield f"{path}: line {reader.line_num}", _of_cells(path, line, heading)
    except csv.Error as error:
        raise ContentError(
            f"{path}: line {reader.line_num} is no CSV ({error}); save it again"
        ) from None


def _of_mmlu(line: Sequence[str]) -> bool:
    """Whether a line is question, options, letter of the right one."""
    letters = LETTERS[: len(line) - 2]
    return len(line) >= 4 and len(line[-1].strip()) == 1 and line[-1].strip().upper() in letters


def _of_cells(path: Path, line: Sequence[str], heading: Sequence[str] | None) -> Row:
    if heading is not None:
        row: dict[str, Any] = dict(zip(heading, line, strict=False))
        lettered = [row[letter.lower()] for letter in LETTERS if row.get(letter.lower())]
        return {"options": lettered, **row} if lettered else row
    subject = path.stem.removesuffix("_test").replace("_", " ")
    return {"question": line[0], "options": line[1:-1], "answer": line[-1], "subject": subject}


def _parquet(path: Path) -> Iterator[tuple[str, Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise UsageError(
            f"{path}: cannot be read ({' '.join(str(error).split())}); write it again"
        ) from None
    for number, row in enumerate(rows, start=1):
        yield f"{path}: row {number}", row


def _ours(place: str, row: Row) -> Question:
    try:
        values = {field.name: _tupled(row[field.name]) for field in fields(Question)}
    except KeyError as error:
        raise ContentError(
            f"{place}: a question of kgkit lacks {error}; export the benchmark again"
        ) from None
    question = Question(**values)
    if len(question.options) != len(question.correct):
        raise ContentError(
            f"{place}: has {len(question.options)} options and {len(question.correct)} truth values; export the benchmark again"
        )
    return question


def _tupled(value: object) -> Any:  # noqa: ANN401 - whatever the field holds
    return tuple(_tupled(one) for one in value) if isinstance(value, list) else value


def _theirs(path: Path, place: str, row: Row) -> Question:
    stem = row.get("stem") or row.get("question")
    options = row.get("options") or row.get("choices")
    if isinstance(options, Mapping):
        options = list(options.values())
    if not isinstance(stem, str) or not isinstance(options, list) or len(options) < 2:
        raise ContentError(
            f"{place}: a question needs `stem` (or `question`), a text, and `options`, two or more of them"
        )
    if len(options) > len(LETTERS):
        raise ContentError(
            f"{place}: has {len(options)} options; a question has at most {len(LETTERS)}, leave some out"
        )
    options = [str(option) for option in options]
    correct = _key(place, row.get("correct", row.get("answer")), len(options))
    binary = sorted(option.strip().lower() for option in options) == ["false", "true"]
    asset = str(row.get("asset_name") or row.get("asset") or "")
    return Question(
        id=digest([stem, options])[:32],
        benchmark=path.stem,
        relation="",
        direction="",
        polarity="eliminate"
        if str(row.get("relevancy") or "").lower().startswith(("irrelevant", "not"))
        else "select",
        type="true-false" if binary else "multiple" if sum(correct) > 1 else "single",
        asset=asset_id(asset) if asset else "",
        family="",
        discipline=str(row.get("discipline") or row.get("subject") or row.get("category") or ""),
        language=str(row.get("language") or "en"),
        asset_name="",
        subject="",
        stem=stem,
        paraphrases=(),
        options=tuple(options),
        correct=correct,
        facts=(),
        proof="",
        option_ids=(),
        spares=(),
        sources=(),
        hard=False,
    )


def _key(place: str, said: object, options: int) -> tuple[bool, ...]:
    """Which options are right: truth values, indices, letters, or one of these alone."""
    values = said if isinstance(said, list) else [said]
    if len(values) == options and all(isinstance(value, bool) for value in values):
        correct = tuple(bool(value) for value in values)
    else:
        places = {_place(value) for value in values}
        correct = tuple(at in places for at in range(options))
        if len(places) != sum(correct):
            correct = ()
    if not any(correct):
        raise ContentError(
            f"{place}: `correct` has to name options by index from 0, by letter, or by a list of true and false"
        )
    return correct


def _place(value: object) -> int:
    """Which option an index or a letter names; -1 where it names none."""
    if isinstance(value, bool):
        return -1
    if isinstance(value, int):
        return value
    text = str(value).strip().upper()
    if text.isdecimal():
        return int(text)
    return LETTERS.find(text) if len(text) == 1 else -1
