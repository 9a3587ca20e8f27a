"""Turn the graph into the rows of each corpus, streamed in a fixed order.

Every row says where it comes from: table cells (`sources`), ask, prompt and its version, teacher, split.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from kgkit.expand.describe import KINDS
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.splits import Split

SplitName = Literal["train", "validation", "test"]
SIDES: Mapping[str, SplitName] = {"train": "train", "dev": "validation", "held_out": "test"}
"""Side of the asset's family -> split of the corpus."""
Row = dict[str, object]

_TRIPLES = {
    "HAS_CLASS": (("Category", "Asset", "t.id"),),
    "HAS_TYPE": (("Asset", "EquipmentType", "h.id"),),
    "HAS_SUBUNIT": (("Asset", "Subunit", "h.id"),),
    "HAS_COMPONENT": (("Subunit", "Component", "h.asset"), ("Asset", "Component", "h.id")),
    "EXPERIENCES": (("Asset", "FailureMode", "h.id"),),
    "MONITORED_BY": (
        ("Asset", "Sensor", "h.id"),
        ("Subunit", "Sensor", "h.asset"),
        ("Component", "Sensor", "h.asset"),
    ),
    "RELEVANT_TO": (("Sensor", "FailureMode", "r.asset"),),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """One corpus: its columns (name -> `string`, `string[]`, `integer` or `float`) and where its rows come from."""

    name: str
    summary: str
    columns: Mapping[str, str]
    rows: Callable[[GraphStore, Split], Iterator[Row]]


def _kd_base(graph: GraphStore, split: Split) -> Iterator[Row]:
    cells = _cells(graph)
    for passage in reading.passages(graph):
        if passage.kind not in KINDS.values():
            continue
        keys = [
            (passage.part or passage.asset, passage.sensor, ""),
            (passage.asset, "", passage.failure_mode),
            (passage.asset, passage.sensor, passage.failure_mode),
        ]
        yield {
            "id": passage.id,
            "text": passage.text,
            "kind": passage.kind,
            "asset": passage.asset,
            "part": passage.part,
            "sensor": passage.sensor,
            "failure_mode": passage.failure_mode,
            "parents": list(passage.parents),
            "sources": sorted({source for key in keys for source in cells.get(key, [])}),
            "ask": passage.ask,
            "prompt": passage.prompt,
            "prompt_version": passage.prompt_version,
            "teacher": passage.teacher,
            "split": SIDES[split.side(passage.asset)],
        }


def _split_of(row: Row, split: Split) -> SplitName:
    """The asset's split; a row that was loaded for evaluation alone is in `test`."""
    return "test" if row["role"] == "evaluation" else SIDES[split.side(str(row["asset"]))]


def _cells(graph: GraphStore) -> dict[tuple[str, str, str], list[str]]:
    """(asset or part, sensor, failure mode) -> the cells that state the relation; "" where it does not apply."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for cypher in (
        "MATCH (a:Asset)-[r:MONITORED_BY]->(s:Sensor) RETURN a.id, s.id, '', r.sources",
        "MATCH (a:Asset)-[r:EXPERIENCES]->(f:FailureMode) RETURN a.id, '', f.id, r.sources",
        "MATCH (s:Sensor)-[r:RELEVANT_TO]->(f:FailureMode) RETURN r.asset, s.id, f.id, r.sources",
    ):
        for asset, sensor, mode, sources in graph.query(cypher).rows:
            if isinstance(sources, list):
                found[str(asset), str(sensor), str(mode)] = sources
    return found


def _triples(graph: GraphStore, split: Split) -> Iterator[Row]:
    for relation, ends in _TRIPLES.items():
        for head_label, tail_label, asset_expression in ends:
            only = " WHERE r.label = 'Yes'" if relation == "RELEVANT_TO" else ""
            rows = graph.query(
                f"MATCH (h:{head_label})-[r:{relation}]->(t:{tail_label}){only}"
                f" RETURN h.name AS head, t.name AS tail, {asset_expression} AS asset, r.origin AS origin,"
                " r.role AS role, r.sources AS sources, r.ask AS ask ORDER BY asset, h.id, t.id"
            )
            for row in rows.dicts():
                yield {
                    **row,
                    "head_label": head_label,
                    "relation": relation,
                    "tail_label": tail_label,
                    "split": _split_of(row, split),
                }


def _relevance(graph: GraphStore, split: Split) -> Iterator[Row]:
    rows = graph.query(
        "MATCH (s:Sensor)-[r:RELEVANT_TO]->(f:FailureMode)"
        " RETURN r.asset AS asset, s.name AS sensor, f.name AS failure_mode, r.label AS label,"
        " r.reason AS reason, r.votes_yes AS votes_yes, r.votes_no AS votes_no, r.probability AS probability,"
        " r.origin AS origin, r.role AS role, r.sources AS sources, r.ask AS ask"
        " ORDER BY asset, s.id, f.id"
    )
    for row in rows.dicts():
        yield {**row, "split": _split_of(row, split)}


CORPORA = {
    corpus.name: corpus
    for corpus in (
        Corpus(
            name="kd_base",
            summary="knowledge documents: one paragraph for each asset-sensor, asset-failure mode and linked triple",
            columns={
                "id": "string",
                "text": "string",
                "kind": "string",
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
            },
            rows=_kd_base,
        ),
        Corpus(
            name="triples",
            summary="the graph's relations as (head, relation, tail)",
            columns={
                "head": "string",
                "head_label": "string",
                "relation": "string",
                "tail": "string",
                "tail_label": "string",
                "asset": "string",
                "origin": "string",
                "role": "string",
                "sources": "string[]",
                "ask": "string",
                "split": "string",
            },
            rows=_triples,
        ),
        Corpus(
            name="relevance",
            summary="sensor x failure mode on an asset: Yes or No, who says so, and why",
            columns={
                "asset": "string",
                "sensor": "string",
                "failure_mode": "string",
                "label": "string",
                "reason": "string",
                "votes_yes": "integer",
                "votes_no": "integer",
                "probability": "float",
                "origin": "string",
                "role": "string",
                "sources": "string[]",
                "ask": "string",
                "split": "string",
            },
            rows=_relevance,
        ),
    )
}
"""Every corpus, by name."""
