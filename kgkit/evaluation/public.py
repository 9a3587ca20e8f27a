"""Turn public benchmarks' files, which kgkit does not ship, into questions: MMLU, MMLU-Pro, SuperGPQA, by their files of evaluation/."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kgkit import content
from kgkit.errors import ContentError
from kgkit.evaluation.pose import Posed
from kgkit.names import slug
from kgkit.questions.files import LETTERS
from kgkit.records import Question, digest
from kgkit.retrieval.tasks import BENCHMARK, RANKS, task_names

Row = Mapping[str, Any]


class Files(BaseModel):
    """Patterns below the folder: what is asked, and the solved examples; "" for none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    test: str
    shots: str


class Public(BaseModel):
    """A public benchmark as its file says it. `task`: lm-eval's, by subject; "" where it has none and the form of MMLU is used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: int
    title: str
    source: str
    place: str
    files: Files
    subject: str
    keep: dict[str, list[str]]
    task: str
    mode: Literal["logprob", "generate"]
    shots: int = Field(ge=0)
    chat_template: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicData:
    """Questions, the row of each by its id, and the rows of solved examples by subject."""

    spec: Public
    posed: Posed
    rows: Mapping[str, Row]
    shots: Mapping[str, Sequence[Row]]


def public_names() -> list[str]:
    """The public benchmarks of the content folder: their files say where to place the questions."""
    files = content.folder("evaluation").glob("*.yaml")
    return sorted(path.stem for path in files if "\nplace:" in content.text_of(path))


def read_public(name: str) -> Public:
    """The public benchmark `name`. Raises ContentError."""
    return content.read_yaml(content.path("evaluation", f"{name}.yaml"), Public)


def check_public() -> None:
    """Read every public benchmark. Raises ContentError."""
    for name in public_names():
        read_public(name)


class _Listed(BaseModel):
    """What any benchmark's file of evaluation/ says of its size."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    title: str
    counts: dict[str, int] = {}
    categories: dict[str, int] = {}
    place: str = ""


def listed() -> list[tuple[str, str, str]]:
    """Every benchmark of evaluation/ by name: name, title, and how many questions it has. Raises ContentError."""
    found = []
    for path in sorted(content.folder("evaluation").glob("*.yaml")):
        if "\ntitle:" in content.text_of(path):
            one = content.read_yaml(path, _Listed)
            most = sum(one.counts.values())
            size = f"at most {most} from the tables" if most else str(sum(one.categories.values()))
            found.append((one.name, one.title, "yours to place, --data DIR" if one.place else size))
    found.append((BENCHMARK, RANKS, f"{len(task_names())} tasks from the tables"))
    return sorted(found)


def pose_public(name: str, folder: Path | None, *, limit: int | None) -> PublicData:
    """The questions of a public benchmark from `folder`; `limit`: the first by id, which is in no order.

    Raises ContentError that says how to place the files where they are not there, and where a row cannot be read.
    """
    spec = read_public(name)
    found = _found(folder, spec.files.test)
    if folder is None or not found:
        looked = f" ({folder} has no {spec.files.test})" if folder else ""
        raise ContentError(
            f"kgkit does not ship the questions of {name}{looked}: {spec.place}; then add --data DIR"
        )
    questions: list[Question] = []
    rows: dict[str, Row] = {}
    for subject, row in _rows(spec, found):
        question = _question(spec, subject, row, len(questions))
        questions.append(question)
        rows[question.id] = row
    if not questions:
        raise ContentError(f"{folder}: no row of {name} is kept by `keep` of {name}.yaml")
    shots: dict[str, list[Row]] = defaultdict(list)
    for subject, row in _rows(spec, _found(folder, spec.files.shots)):
        shots[subject].append(row)
    posed = Posed(name=name, version=spec.version)
    posed.questions = sorted(questions, key=lambda question: question.id)[:limit]
    return PublicData(spec=spec, posed=posed, rows=rows, shots=shots)


def _found(folder: Path | None, pattern: str) -> list[Path]:
    if folder is None or not pattern:
        return []
    return sorted(folder.glob(pattern)) or sorted((folder / "data").glob(pattern))


def _rows(spec: Public, files: Sequence[Path]) -> Iterator[tuple[str, Row]]:
    """Subject and row, in the files' order: `question`, `options`, `place` of the right one from 0, and what else the row has."""
    for path in files:
        for number, row in enumerate(_read(path), start=1):
            if all(row.get(column) in values for column, values in spec.keep.items()):
                subject = str(row.get(spec.subject, "")) or path.stem.rsplit("_", 1)[0]
                try:
                    yield subject, _normal(row)
                except (KeyError, TypeError, ValueError) as error:
                    raise ContentError(
                        f"{path}: row {number} is no question of {spec.name} ({error!r}); {spec.place}"
                    ) from None


def _read(path: Path) -> Iterator[Row]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        yield from pq.read_table(path).to_pylist()
        return
    text = path.read_bytes().decode("utf-8-sig")
    if path.suffix == ".csv":
        for question, *options, letter in csv.reader(io.StringIO(text, newline="")):
            yield {"question": question, "options": options, "answer": letter.strip()}
        return
    yield from (json.loads(line) for line in text.splitlines() if line.strip())


def _normal(row: Row) -> Row:
    """The row with `options` as texts and `place`. Raises KeyError, TypeError or ValueError."""
    options = [str(option) for option in row["options"]]
    letter = str(row.get("answer_letter") or row["answer"])
    place = LETTERS.index(letter) if len(letter) == 1 else -1
    if not 0 <= place < len(options):
        raise ValueError(f"the answer {letter!r} is the letter of no option")
    return {**row, "question": str(row["question"]), "options": options, "place": place}


def _question(spec: Public, subject: str, row: Row, number: int) -> Question:
    return Question(
        id=digest([spec.name, subject, number, row["question"], row["options"]])[:32],
        benchmark=spec.name,
        relation="",
        direction="",
        polarity="select",
        type="single",
        asset="",
        family="",
        discipline=slug(subject),
        language="en",
        asset_name="",
        subject="",
        stem=row["question"],
        paraphrases=(),
        options=tuple(row["options"]),
        correct=tuple(at == row["place"] for at in range(len(row["options"]))),
        facts=(),
        proof="",
        option_ids=(),
        spares=(),
        sources=(),
        hard=False,
    )
