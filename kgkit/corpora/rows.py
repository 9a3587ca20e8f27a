"""Turn the graph into the rows of each corpus, an asset or a page at a time, in a fixed order.

Every row says where it comes from: table cells (`sources`), ask, prompt and its version, teacher, split.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from kgkit.expand.describe import KINDS
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.records import canonical_json
from kgkit.splits import Split

SplitName = Literal["train", "validation", "test"]
SIDES: Mapping[str, SplitName] = {"train": "train", "dev": "validation", "held_out": "test"}
"""Side of the asset's family -> split of the corpus."""
Row = dict[str, object]

_RELATIONS = (
    ("HAS_CLASS", "(h:Category)-[r:HAS_CLASS]->(t:Asset)", "t.id"),
    ("HAS_TYPE", "(h:Asset)-[r:HAS_TYPE]->(t:EquipmentType)", "h.id"),
    ("HAS_SUBUNIT", "(h:Asset)-[r:HAS_SUBUNIT]->(t:Subunit)", "h.id"),
    ("HAS_COMPONENT", "(h:Asset)-[r:HAS_COMPONENT]->(t:Component)", "h.id"),
    ("HAS_COMPONENT", "(h:Subunit)-[r:HAS_COMPONENT]->(t:Component)", "h.asset"),
    ("EXPERIENCES", "(h:Asset)-[r:EXPERIENCES]->(t:FailureMode)", "h.id"),
    ("MONITORED_BY", "(h:Asset)-[r:MONITORED_BY]->(t:Sensor)", "h.id"),
    ("MONITORED_BY", "(h:Subunit)-[r:MONITORED_BY]->(t:Sensor)", "h.asset"),
    ("MONITORED_BY", "(h:Component)-[r:MONITORED_BY]->(t:Sensor)", "h.asset"),
)
"""The relations that grow with the tables, with where their asset's id stands. RELEVANT_TO, which grows with sensors
times failure modes, is read an asset at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """One corpus: its columns (name -> `string`, `string[]`, `integer` or `float`) and where its rows come from."""

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


def _kd_base(graph: GraphStore, split: Split) -> Iterator[Row]:
    cells = _cells(graph)
    for passage in reading.passages(graph):
        if passage.kind not in KINDS.values():
            continue
        keys = [
            (passage.asset, "" if passage.part else passage.sensor, ""),
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


def _triples(graph: GraphStore, split: Split) -> Iterator[Row]:
    for relation, pattern, asset in _RELATIONS:
        known = "r.teacher AS teacher, r.prompt AS prompt, r.prompt_version AS prompt_version"
        if relation != "MONITORED_BY":
            known = "NULL AS teacher, NULL AS prompt, NULL AS prompt_version"
        for row in graph.query(
            f"MATCH {pattern} RETURN {asset} AS asset, {_ENDS}, {known} ORDER BY asset, head_id, tail_id"
        ).dicts():
            sensor = row["tail_id"] if relation == "MONITORED_BY" else None
            mode = row["tail_id"] if relation == "EXPERIENCES" else None
            yield _triple(row, relation, split, sensor=sensor, failure_mode=mode)
    for row in _relevance_edges(graph):
        if row["label"] == "Yes":
            yield _triple(
                row, "RELEVANT_TO", split, sensor=row["head_id"], failure_mode=row["tail_id"]
            )


_ENDS = (
    "h.id AS head_id, h.name AS head, h.role AS head_role, t.id AS tail_id, t.name AS tail, t.role AS tail_role,"
    " r.origin AS origin, r.role AS role, r.sources AS sources, r.ask AS ask"
)


def _triple(row: Row, relation: str, split: Split, *, sensor: object, failure_mode: object) -> Row:
    return {
        "id": f"{row['head_id']}|{relation}|{row['tail_id']}|{row['asset']}",
        "head": _shown(row, "head"),
        "relation": relation,
        "tail": _shown(row, "tail"),
        "asset": row["asset"],
        "sensor": sensor,
        "failure_mode": failure_mode,
        **{name: row[name] for name in _ORIGIN},
        "split": _split_of(row, split),
    }


def _relevance_edges(graph: GraphStore) -> Iterator[Row]:
    """All RELEVANT_TO edges with their ends, an asset at a time."""
    assets = graph.query(
        "MATCH (:Sensor)-[r:RELEVANT_TO]->(:FailureMode) RETURN DISTINCT r.asset AS asset ORDER BY asset"
    )
    for (asset,) in assets.rows:
        yield from graph.query(
            f"MATCH (h:Sensor)-[r:RELEVANT_TO {{asset: $asset}}]->(t:FailureMode) RETURN r.asset AS asset, {_ENDS},"
            " r.label AS label, r.reason AS reason, r.votes_yes AS votes_yes, r.votes_no AS votes_no,"
            " r.probability AS probability, r.teacher AS teacher, r.prompt AS prompt,"
            " r.prompt_version AS prompt_version ORDER BY head_id, tail_id",
            {"asset": str(asset)},
        ).dicts()


def _shown(row: Row, end: str) -> object:
    """A node's name; the words of its id where only evaluation tables give it one."""
    return (
        row[end]
        if row[f"{end}_role"] == "source" or row["role"] == "evaluation"
        else str(row[f"{end}_id"]).replace("-", " ")
    )


def _relevance(graph: GraphStore, split: Split) -> Iterator[Row]:
    for row in _relevance_edges(graph):
        yield {
            "id": f"{row['asset']}/{row['head_id']}/{row['tail_id']}",
            "asset": row["asset"],
            "sensor": row["head_id"],
            "failure_mode": row["tail_id"],
            "sensor_name": _shown(row, "head"),
            "failure_mode_name": _shown(row, "tail"),
            **{
                name: row[name]
                for name in ("label", "reason", "votes_yes", "votes_no", "probability")
            },
            **{name: row[name] for name in _ORIGIN},
            "split": _split_of(row, split),
        }


_ORIGIN = {
    "origin": "string",
    "role": "string",
    "sources": "string[]",
    "ask": "string",
    "teacher": "string",
    "prompt": "string",
    "prompt_version": "string",
}

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
                "id": "string",
                "head": "string",
                "relation": "string",
                "tail": "string",
                "asset": "string",
                "sensor": "string",
                "failure_mode": "string",
                **_ORIGIN,
                "split": "string",
            },
            rows=_triples,
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
                **_ORIGIN,
                "split": "string",
            },
            rows=_relevance,
        ),
    )
}
"""Every corpus, by name."""
