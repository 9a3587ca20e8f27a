"""Turn answers with evidence into the corpus KD_QA-RAFT: question and documents as the user's turn, the answer as the assistant's.

How many distractors, and how often the oracle is among the documents, stands in corpora/raft.yaml. Rows are made in memory: they
are as many as KD_QA's, not as KD_Extend's.
"""

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from kgkit import content
from kgkit.corpora.passages import CHAT, chat, pages
from kgkit.corpora.raft import RaftRow, raft_rows
from kgkit.corpora.row import LINEAGE, GraphCorpus
from kgkit.graph import reading
from kgkit.graph.arrow import arrow_types
from kgkit.graph.store import GraphStore
from kgkit.splits import Split

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "kd_qa_raft"
_ROWS_AT_ONCE = 1_000
_COLUMNS = {
    "id": "string",
    "question": "string",
    "answer": "string",
    "documents": "string[]",
    "oracle_ids": "string[]",
    "distractor_ids": "string[]",
    "has_oracle": "boolean",
    **CHAT,
    **LINEAGE,
}


class RaftSpec(BaseModel):
    """corpora/raft.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    distractors: Annotated[int, Field(ge=0)]
    oracle_share: Annotated[float, Field(ge=0, le=1)]
    seed: int


def read_raft_spec() -> RaftSpec:
    """corpora/raft.yaml. Raises ContentError that names the field."""
    return content.read_yaml(content.path("corpora", "raft.yaml"), RaftSpec)


def raft(*, without: Container[str] = ()) -> GraphCorpus:
    """The corpus; a summary whose id is in `without` stands among no documents, and what was asked about it is left out."""

    def tables(graph: GraphStore, split: Split, left_out: Counter[str]) -> Iterator["pa.Table"]:
        import pyarrow as pa

        known = list(pages(graph, split, {"raft"}))
        if not known:
            return
        spec, lineage = read_raft_spec(), pa.concat_tables(known)
        place = {id_: at for at, id_ in enumerate(lineage.column("id").to_pylist())}
        answers = [one for one in reading.passages(graph, {"raft"}) if one.id not in without]
        summaries = (one for one in reading.passages(graph, {"summary"}) if one.id not in without)
        made = raft_rows(
            answers,
            summaries,
            split=split,
            distractors=spec.distractors,
            oracle_share=spec.oracle_share,
            seed=spec.seed,
        )
        written = 0
        while batch := list(islice(made, _ROWS_AT_ONCE)):
            written += len(batch)
            about = lineage.take(pa.array([place[row.id] for row in batch]))
            yield _table(batch, about)
        if len(answers) > written:
            left_out["its summary is left out"] += len(answers) - written

    return GraphCorpus(
        name=NAME,
        summary="questions with documents to answer them from: the one that holds the answer among others, or others alone",
        columns=_COLUMNS,
        tables=tables,
    )


def asked(question: str, documents: Sequence[str]) -> str:
    """The user's turn: the documents in the order shown, then the question (the marks are those of RAFT's own code)."""
    shown = "\n".join(f"<DOCUMENT>{text}</DOCUMENT>" for text in documents)
    return f"{shown}\n{question}" if documents else question


def _table(rows: list[RaftRow], about: "pa.Table") -> "pa.Table":
    import pyarrow as pa

    answers = pa.chunked_array([[row.answer for row in rows]], pa.string())
    turns = pa.chunked_array([[asked(row.question, row.documents) for row in rows]], pa.string())
    texts = arrow_types()["string[]"]
    return pa.table(
        {
            "id": pa.array([row.id for row in rows], pa.string()),
            "question": pa.array([row.question for row in rows], pa.string()),
            "answer": answers,
            "documents": pa.array([list(row.documents) for row in rows], texts),
            "oracle_ids": pa.array([list(row.oracle_ids) for row in rows], texts),
            "distractor_ids": pa.array([list(row.distractor_ids) for row in rows], texts),
            "has_oracle": pa.array([row.has_oracle for row in rows], pa.bool_()),
            **chat(turns, answers),
            **{name: about.column(name) for name in LINEAGE},
        }
    )
