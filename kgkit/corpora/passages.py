"""Turn Passage nodes into the rows of the passage corpora (KD_Base, KD_Rephrase, KD_QA, KD_Extend), in the order of ids."""

from collections.abc import Callable, Iterator

from kgkit.corpora.kinds import CORPUS_OF
from kgkit.corpora.row import SIDES, Row
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.splits import Split

LINEAGE = {
    "asset": "string",
    "part": "string",
    "sensor": "string",
    "failure_mode": "string",
    "parents": "string[]",
    "sources": "string[]",
    "ask": "string",
    "prompt": "string",
    "prompt_version": "string",
    "teacher": "string",
    "split": "string",
}
"""Columns of every row that is made of a passage."""


class Lineage:
    """The LINEAGE columns of a passage; knows the table cells that each relation rests on."""

    def __init__(self, graph: GraphStore, split: Split) -> None:
        self._cells = _cells(graph)
        self._split = split

    def of(self, passage: reading.StoredPassage) -> Row:
        """Where the passage comes from, and its split."""
        keys = [
            (passage.asset, "" if passage.part else passage.sensor, ""),
            (passage.asset, "", passage.failure_mode),
            (passage.asset, passage.sensor, passage.failure_mode),
        ]
        return {
            "asset": passage.asset,
            "part": passage.part,
            "sensor": passage.sensor,
            "failure_mode": passage.failure_mode,
            "parents": list(passage.parents),
            "sources": sorted({source for key in keys for source in self._cells.get(key, [])}),
            "ask": passage.ask,
            "prompt": passage.prompt,
            "prompt_version": passage.prompt_version,
            "teacher": passage.teacher,
            "split": SIDES[self._split.side(passage.asset)],
        }


def texts(corpus: str) -> Callable[[GraphStore, Split], Iterator[Row]]:
    """The rows of a corpus whose passages are plain texts."""
    kinds = {kind for kind, name in CORPUS_OF.items() if name == corpus}

    def rows(graph: GraphStore, split: Split) -> Iterator[Row]:
        lineage = Lineage(graph, split)
        for passage in reading.passages(graph, kinds):
            yield {
                "id": passage.id,
                "text": passage.text,
                "kind": passage.kind,
                **lineage.of(passage),
            }

    return rows


def questions(graph: GraphStore, split: Split) -> Iterator[Row]:
    """KD_QA: each question with its answer, as `messages` and as `prompt` and `completion`."""
    lineage = Lineage(graph, split)
    for passage in reading.passages(graph, {"qa"}):
        yield {
            "id": passage.id,
            "question": passage.question,
            "answer": passage.text,
            **chat(passage.question, passage.text),
            **lineage.of(passage),
        }


def chat(question: str, answer: str) -> Row:
    """One turn in the two shapes that trainers read: a conversation, and a prompt with its completion."""
    asked = [{"role": "user", "content": question}]
    answered = [{"role": "assistant", "content": answer}]
    return {"messages": [*asked, *answered], "prompt": asked, "completion": answered}


def _cells(graph: GraphStore) -> dict[tuple[str, str, str], list[str]]:
    """(asset, sensor, failure mode) -> the cells that state the relation; "" where it does not apply."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for match, keys in (
        ("(a:Asset)-[r:MONITORED_BY]->(s:Sensor)", "a.id, s.id, ''"),
        ("(a:Asset)-[r:EXPERIENCES]->(f:FailureMode)", "a.id, '', f.id"),
        ("(s:Sensor)-[r:RELEVANT_TO]->(f:FailureMode)", "r.asset, s.id, f.id"),
    ):
        rows = graph.query(f"MATCH {match} WHERE r.origin = 'table' RETURN {keys}, r.sources").rows
        for asset, sensor, mode, sources in rows:
            if isinstance(sources, list):
                found[str(asset), str(sensor), str(mode)] = sources
    return found
