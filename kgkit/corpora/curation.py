"""What curation is asked (corpora/curation.yaml) and what it answers: reasons, leaks, a report; kept as one Parquet file.

Nothing is deleted: a passage with a reason stays in the graph and in the ledger, and is left out of what is exported.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kgkit import content
from kgkit.workspace import write_atomically

Reason = Literal["refusal", "too short", "too long", "language", "repetitive", "duplicate"]
Language = Literal["en", "zh"]
Finding = Literal["held-out name", "equal to a stem", "near a stem", "words of a stem"]

METHOD = 1
"""Counts up when the same passages and the same curation.yaml could give another curation."""

Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DuplicateSpec(_Spec):
    """How near-duplicates are found. `bands` of `rows` places each are cut from a signature of `permutations`."""

    enabled: bool
    words: Count
    jaccard: Share
    permutations: Count
    bands: Count
    rows: Count
    window: Count
    seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _bands_fit(self) -> Self:
        if self.bands * self.rows > self.permutations:
            raise ValueError("bands x rows is more than permutations; lower one of the two")
        return self


class LengthSpec(_Spec):
    """Words that a passage has at least and at most."""

    enabled: bool
    min_words: Count
    max_words: Count


class LanguageSpec(_Spec):
    """Languages that a passage may be written in; shorter ones than `from_words` are not judged."""

    enabled: bool
    allowed: Annotated[tuple[Language, ...], Field(min_length=1)]
    from_words: Count
    function_words: Share
    han: Share


class RepetitionSpec(_Spec):
    """How much of a passage may be said again; shorter ones than `from_words` are judged by their lines alone."""

    enabled: bool
    from_words: Count
    repeated_lines: Share
    repeated_run_words: Count
    repeated_runs: Share
    top_run_words: Count
    top_run: Share


class RefusalSpec(_Spec):
    """What a model says that does not answer: at the beginning, or wherever it stands. Case does not count."""

    enabled: bool
    openings: tuple[str, ...]
    anywhere: tuple[str, ...]


class LeakSpec(_Spec):
    """How evaluation questions are looked for: by near-equality (a ratio in 0..100) and by runs of `run_words`."""

    enabled: bool
    ratio: Annotated[float, Field(gt=0, le=100)]
    run_words: Count


class CurationSpec(_Spec):
    """corpora/curation.yaml."""

    version: Literal[1]
    refusal: RefusalSpec
    length: LengthSpec
    language: LanguageSpec
    repetition: RepetitionSpec
    duplicates: DuplicateSpec
    leaks: LeakSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class CuratedInput:
    """A passage to judge. `group`: the corpus within which duplicates are looked for (a rephrase is none of its document)."""

    id: str
    kind: str
    group: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why a passage is left out. `duplicate_of` and `jaccard` (exact, of the sets of word runs) for duplicates alone."""

    id: str
    kind: str
    group: str
    reason: Reason
    detail: str
    duplicate_of: str | None = None
    jaccard: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A passage that tells of the evaluation: `where` are its own words; `stem` is the question's, empty for a name."""

    id: str
    kind: str
    group: str
    what: Finding
    where: str
    stem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curation:
    """The answer: `verdicts` by passage id, for those that are left out alone; `leaks` of all passages, by id.

    `report` is JSON: passages, reasons by group, exact and near duplicates, a sample of pairs, leaks, thresholds.
    """

    verdicts: Mapping[str, Verdict]
    leaks: tuple[Leak, ...]
    report: Mapping[str, object]

    def checked(self) -> int:
        """How many passages were judged."""
        return sum(cast("dict[str, int]", self.report["passages"]).values())

    def kept_leaks(self) -> list[Leak]:
        """The leaks of passages that are not left out."""
        return [leak for leak in self.leaks if leak.id not in self.verdicts]


def read_spec() -> CurationSpec:
    """corpora/curation.yaml. Raises ContentError that names the field."""
    return content.read_yaml(content.path("corpora", "curation.yaml"), CurationSpec)


def basis(
    passages: str, *, spec: CurationSpec, held_out: re.Pattern[str], stems: Iterable[str]
) -> str:
    """sha256 of all that a curation rests on. `passages`: any text that changes when a passage does."""
    said = [
        METHOD,
        passages,
        spec.model_dump_json(),
        held_out.pattern,
        held_out.flags,
        sorted(stems),
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


_WHOSE = ("id", "kind", "group")
_WHY = ("reason", "detail", "duplicate_of", "jaccard")
_LEAK = ("what", "where", "stem")


def save(curation: Curation, path: Path, *, basis: str, passages: str = "") -> None:
    """Write a curation as one Parquet file: a row for each verdict and each leak; report, basis, passages as metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, object]] = [asdict(verdict) for verdict in curation.verdicts.values()]
    rows += [asdict(leak) for leak in curation.leaks]
    columns = {
        name: pa.array(
            [row.get(name) for row in rows], pa.float64() if name == "jaccard" else pa.string()
        )
        for name in (*_WHOSE, *_WHY, *_LEAK)
    }
    report = json.dumps(curation.report, ensure_ascii=False, sort_keys=True)
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table(columns).replace_schema_metadata(
            {"basis": basis, "passages": passages, "report": report}
        ),
        sink,
        compression="zstd",
    )
    write_atomically(path, sink.getvalue().to_pybytes())


def load(path: Path, *, basis: str | None = None, passages: str | None = None) -> Curation | None:
    """The curation that `save` wrote with this basis or of these passages; None for none, another, or a damaged file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return None
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException):
        return None
    known = table.schema.metadata or {}
    wanted = {b"basis": basis, b"passages": passages}
    if any(text is not None and known.get(name) != text.encode() for name, text in wanted.items()):
        return None
    verdicts, leaks = {}, []
    for row in table.to_pylist():
        if row["reason"] is None:
            leaks.append(Leak(**{name: row[name] for name in (*_WHOSE, *_LEAK)}))
        else:
            verdicts[row["id"]] = Verdict(**{name: row[name] for name in (*_WHOSE, *_WHY)})
    report = cast(dict[str, object], json.loads(known[b"report"]))
    return Curation(verdicts=verdicts, leaks=tuple(leaks), report=report)
