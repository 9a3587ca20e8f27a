"""Every corpus by name: its columns and where its rows come from, a page of the graph at a time, in a fixed order.

Every row says where it comes from: table cells (`sources`), ask, prompt and its version, teacher, split.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from kgkit.corpora import passages, relations
from kgkit.corpora.passages import LINEAGE
from kgkit.corpora.row import ORIGIN, Row
from kgkit.graph.store import GraphStore
from kgkit.records import canonical_json
from kgkit.splits import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """One corpus: its columns and where its rows come from.

    A column is `string`, `string[]`, `integer`, `float`, `boolean` or `messages` (a list of role and content).
    """

    name: str
    summary: str
    columns: Mapping[str, str]
    rows: Callable[[GraphStore, Split], Iterator[Row]]


def corpora_sha256(graph: GraphStore, split: Split) -> str:
    """sha256 over every row of every corpus."""
    whole = hashlib.sha256()
    for corpus in CORPORA.values():
        for row in corpus.rows(graph, split):
            whole.update(canonical_json(row).encode())
    return whole.hexdigest()


_TEXT = {"id": "string", "text": "string", "kind": "string", **LINEAGE}
_CHAT = {"messages": "messages", "prompt": "messages", "completion": "messages"}

CORPORA = {
    corpus.name: corpus
    for corpus in (
        Corpus(
            name="kd_base",
            summary="knowledge documents: one paragraph for each asset-sensor, asset-failure mode and linked triple",
            columns=_TEXT,
            rows=passages.texts("kd_base"),
        ),
        Corpus(
            name="kd_rephrase",
            summary="each knowledge document again in four styles: toddler, scholar, wiki, questions and answers",
            columns=_TEXT,
            rows=passages.texts("kd_rephrase"),
        ),
        Corpus(
            name="kd_qa",
            summary="questions about the knowledge documents with their answers",
            columns={
                "id": "string",
                "question": "string",
                "answer": "string",
                **_CHAT,
                **LINEAGE,
            },
            rows=passages.questions,
        ),
        Corpus(
            name="kd_extend",
            summary="the role of each key entity in a document, how pairs of them interact, and the document in short",
            columns=_TEXT,
            rows=passages.texts("kd_extend"),
        ),
        Corpus(
            name="triples",
            summary="the graph's relations as (head, relation, tail)",
            columns={
                "id": "string",
                "head": "string",
                "relation": "string",
                "tail": "string",
                "asset": "string",
                "sensor": "string",
                "failure_mode": "string",
                **ORIGIN,
                "split": "string",
            },
            rows=relations.triples,
        ),
        Corpus(
            name="relevance",
            summary="sensor x failure mode on an asset: Yes or No, who says so, and why",
            columns={
                "id": "string",
                "asset": "string",
                "sensor": "string",
                "failure_mode": "string",
                "sensor_name": "string",
                "failure_mode_name": "string",
                "label": "string",
                "reason": "string",
                "votes_yes": "integer",
                "votes_no": "integer",
                "probability": "float",
                **ORIGIN,
                "split": "string",
            },
            rows=relations.relevance,
        ),
    )
}
"""Every corpus, by name."""
