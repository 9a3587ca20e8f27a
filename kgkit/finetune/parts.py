"""Turn each part of a stage's data into rows: from the workspace's corpora, its tables, files, or text that Python carries."""

import contextlib
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgkit.corpora import export as exporting
from kgkit.corpora.cpt import cpt
from kgkit.corpora.curated import curation_of
from kgkit.corpora.raft_corpus import raft
from kgkit.errors import ContentError, UsageError
from kgkit.finetune.asked import question_rows
from kgkit.finetune.cells import list_rows, statement_rows
from kgkit.finetune.preferences import preference_rows
from kgkit.finetune.recipe import (
    CorpusPart,
    FilesPart,
    GeneralPart,
    ListsPart,
    Part,
    PreferencesPart,
    QuestionsPart,
    StatementsPart,
)
from kgkit.finetune.rows import Row, Turns, turn
from kgkit.graph.store import GraphStore
from kgkit.names import asset_id, failure_mode_id, sensor_id
from kgkit.records import digest
from kgkit.splits import Split
from kgkit.teacher.ledger import Ledger

if TYPE_CHECKING:
    import datasets

Cells = set[tuple[str, ...]]
EXPORTED = "corpora"
"""The folder of a run that holds the corpora it trains on, as `kgkit export` writes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a run's data comes from. `stems`: evaluation questions that no passage may tell of."""

    graph: GraphStore
    ledger: Ledger
    split: Split
    folder: Path
    seed: int
    stems: Sequence[str] = ()
    left_out: dict[str, Counter[str]] = field(default_factory=dict)


def rows_of(part: Part, source: Source) -> Iterator[Row]:
    """The rows of a part, in a fixed order. Raises UsageError, ContentError for what is not there or no training data."""
    if isinstance(part, QuestionsPart):
        left_out = source.left_out.setdefault(part.label, Counter())
        return question_rows(part, source.graph, source.split, seed=source.seed, left_out=left_out)
    if isinstance(part, ListsPart):
        return list_rows(part, source.graph, source.split, seed=source.seed)
    if isinstance(part, StatementsPart):
        left_out = source.left_out.setdefault(part.label, Counter())
        return statement_rows(part, source.graph, source.split, seed=source.seed, left_out=left_out)
    if isinstance(part, PreferencesPart):
        left_out = source.left_out.setdefault(part.label, Counter())
        return preference_rows(
            part, source.graph, source.split, seed=source.seed, left_out=left_out
        )
    if isinstance(part, CorpusPart):
        return _corpus(part, source)
    if isinstance(part, FilesPart):
        return _files(part, source.graph)
    return _general(part, source)


def export_corpora(parts: Iterable[Part], source: Source) -> None:
    """Write the corpora that the parts name to the run's folder, in one export; none where no one has a row. Raises as `kgkit export` does."""
    names = {part.corpus for part in parts if isinstance(part, CorpusPart)}
    if not names:
        return
    source.folder.mkdir(parents=True, exist_ok=True)
    shared = source.folder.parent  # the arms of a study ask the same
    curation = curation_of(source.graph, split=source.split, folder=shared, stems=source.stems)
    order = exporting.order(
        only=sorted(names),
        format_="hf",
        splits=["train"],
        made=[raft(without=curation.verdicts), cpt()],
    )
    with contextlib.suppress(exporting.NothingToExportError):  # a part without rows says so
        exporting.export(
            source.folder / EXPORTED,
            graph=source.graph,
            ledger=source.ledger,
            split=source.split,
            curation=curation,
            order=order,
        )


def _corpus(part: CorpusPart, source: Source) -> Iterator[Row]:
    import pyarrow.parquet as pq

    files = sorted((source.folder / EXPORTED / part.corpus).glob("train*.parquet"))
    if not files:
        raise UsageError(
            f"the workspace has no row of {part.corpus} for training: run `kgkit expand --all`, then `kgkit extend` with its kinds"
        )
    table = pq.read_table(files)
    matrix = _matrix(source.graph)
    for row in table.slice(0, part.rows).to_pylist():
        yield _row(row, matrix, id_=row["id"], part=part.label, where=f"corpus {part.corpus}")


def _matrix(graph: GraphStore) -> Cells:
    """(asset, failure mode, sensor) of every cell that a sensor matrix has, ticked or not, as `_cell` makes ids of what they are called."""
    found = graph.query(
        "MATCH (s:Sensor)-[r:RELEVANT_TO]->(f:FailureMode) WHERE r.origin <> 'teacher' RETURN r.asset, f.id, s.id, f.name, s.name"
    )
    return {
        (asset_id(str(asset)), failure_mode_id(str(mode)), sensor_id(str(sensor)))
        for cell in found.rows
        for asset, mode, sensor in (cell[:3], (cell[0], *cell[3:]))
    }


def _files(part: FilesPart, graph: GraphStore) -> Iterator[Row]:
    matrix = _matrix(graph)
    for number, row in enumerate(_dataset(part.path, part.config), start=1):
        id_ = str(row.get("id") or number)
        yield _row(row, matrix, id_=id_, part=part.label, where=f"{part.path}: row {number}")


def _dataset(path: Path, config: str | None) -> "datasets.Dataset":
    """What Hugging Face's datasets reads there. Raises UsageError, ContentError."""
    import datasets

    path = path.expanduser()
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder of training data")
    datasets.disable_progress_bars()
    kinds = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv"}
    try:
        if any((path / name).exists() for name in ("state.json", "dataset_dict.json")):
            saved = datasets.load_from_disk(str(path))
            loaded = saved["train"] if isinstance(saved, datasets.DatasetDict) else saved
        elif path.is_dir():
            loaded = datasets.load_dataset(str(path), config, split="train")
        elif path.suffix in kinds:
            loaded = datasets.load_dataset(kinds[path.suffix], data_files=str(path), split="train")
        else:
            raise UsageError(f"{path}: is no folder, JSONL, Parquet or CSV")
    except (ValueError, OSError, KeyError, datasets.exceptions.DatasetGenerationError) as error:
        raise ContentError(f"{path}: {' '.join(str(error).split())[:300]}") from None
    return loaded


def _row(row: Mapping[str, Any], matrix: Cells, *, id_: str, part: str, where: str) -> Row:
    """A row of a dataset: prompt and completion, else messages that end with the assistant's, else a text."""
    said: dict[str, Any]
    asked, answered = row.get("prompt"), row.get("completion")
    if asked not in (None, "", []) and answered not in (None, "", []):
        if isinstance(asked, str) != isinstance(answered, str):
            raise ContentError(
                f"{where}: prompt and completion must both be texts, or both lists of messages; completion is {answered!r:.60}"
            )
        said = (
            {"prompt": turn("user", asked), "completion": turn("assistant", str(answered))}
            if isinstance(asked, str)
            else {"prompt": _turns(asked, where), "completion": _turns(answered, where)}
        )
    elif row.get("messages"):
        *before, last = _turns(row["messages"], where)
        if not before or last["role"] != "assistant":
            raise ContentError(
                f"{where}: messages must be a question and end with the assistant's answer"
            )
        said = {"prompt": tuple(before), "completion": (last,)}
    elif isinstance(row.get("text"), str) and row["text"].strip():
        said = {"text": row["text"]}
    else:
        raise ContentError(
            f"{where}: has neither text, nor messages, nor prompt with completion; it has {', '.join(row)}"
        )
    return Row(
        id=id_,
        part=part,
        asset=str(row.get("asset") or ""),
        matrix=_cell(row) in matrix,
        **said,
    )


def _is_empty(row: Mapping[str, Any]) -> bool:
    """Whether a row has a place for text and nothing there, as general corpora do between paragraphs."""
    found = [row[name] for name in ("text", "messages", "prompt", "completion") if name in row]
    return bool(found) and not any(one.strip() if isinstance(one, str) else one for one in found)


def _cell(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What the row is about, by ids, if it is a cell: other people's columns may be called so too, and hold names."""
    values = (row.get("asset"), row.get("failure_mode"), row.get("sensor"))
    return tuple(
        id_of(value)
        for id_of, value in zip((asset_id, failure_mode_id, sensor_id), values, strict=True)
        if isinstance(value, str)
    )


def _turns(messages: object, where: str) -> Turns:
    """Messages of nothing but role and content: a chat template may put what else they have, and no check has read that."""
    if not isinstance(messages, list):
        raise ContentError(f"{where}: messages must be a list")
    for one in messages:
        if not isinstance(one, Mapping) or not all(
            isinstance(one.get(name), str) for name in ("role", "content")
        ):
            raise ContentError(f"{where}: every message must have role and content, both texts")
        if more := [
            name for name, value in one.items() if value and name not in ("role", "content")
        ]:
            raise ContentError(
                f"{where}: a message has {more[0]}, which is neither searched nor trained on; put it into content, or take it out"
            )
    return tuple({"role": one["role"], "content": one["content"]} for one in messages)


def _general(part: GeneralPart, source: Source) -> Iterator[Row]:
    """The rows of a general corpus, or of the language reference that comes with Python."""
    if part.path is None:
        rows = list(_reference(part))
        yield from (rows[at] for at in _drawn(part, len(rows), source.seed))
        return
    loaded, matrix = _dataset(part.path, None), _matrix(source.graph)
    for at in _drawn(part, len(loaded), source.seed):
        where = f"{part.path}: row {at + 1}"
        if _is_empty(loaded[at]):
            source.left_out.setdefault(part.label, Counter())["is empty"] += 1
            continue
        row = _row(loaded[at], matrix, id_=str(at + 1), part=part.label, where=where)
        if row.form != part.form:
            raise ContentError(f"{where}: is a {row.form}, and the part says form: {part.form}")
        yield row


def _drawn(part: GeneralPart, count: int, seed: int) -> Sequence[int]:
    """The places of the rows that a part takes: all, or as many as it says, drawn and in their order."""
    if part.rows is None or part.rows >= count:
        return range(count)
    draw = random.Random(f"{seed}/{part.label}")  # noqa: S311 - a draw, no secret
    return sorted(draw.sample(range(count), part.rows))


def _reference(part: GeneralPart) -> Iterator[Row]:
    """The language reference that comes with Python (`help("with")`), under the PSF licence."""
    from pydoc_data.topics import topics

    for name in sorted(topics):
        text = topics[name].strip()
        if part.form == "text":
            yield Row(id=digest(text), part=part.label, text=text)
            continue
        title, _, rest = text.partition("\n")
        paragraphs = [
            " ".join(one.split())
            for one in re.split(r"\n\s*\n", rest)
            if not one.startswith((" ", "*"))
        ]
        first = next((one for one in paragraphs if len(one) > 80), "")
        if first:
            asked = f"Explain this of the Python language: {title.strip()}"
            yield Row(
                id=digest(first),
                part=part.label,
                prompt=turn("user", asked),
                completion=turn("assistant", first),
            )
