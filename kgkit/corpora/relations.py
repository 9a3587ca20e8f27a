"""Turn the graph's relations into rows: triples, and who says Yes or No to each sensor and failure mode."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from kgkit.corpora.row import ORIGIN, SIDES, GraphCorpus, Row, SplitName
from kgkit.graph.arrow import arrow_schema
from kgkit.graph.store import GraphStore
from kgkit.splits import Split

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 5_000
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


TRIPLE = {
    "id": "string",
    "head": "string",
    "relation": "string",
    "tail": "string",
    "asset": "string",
    "sensor": "string",
    "failure_mode": "string",
    **ORIGIN,
    "split": "string",
}
RELEVANCE = {
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
}


def corpus(
    name: str,
    summary: str,
    columns: Mapping[str, str],
    rows: Callable[[GraphStore, Split], Iterator[Row]],
) -> GraphCorpus:
    """A corpus of relations, out of `triples` or `relevance`."""

    def tables(graph: GraphStore, split: Split, _: Counter[str]) -> Iterator["pa.Table"]:
        import pyarrow as pa

        found, schema = rows(graph, split), arrow_schema(columns)
        while batch := list(islice(found, _ROWS_AT_ONCE)):
            yield pa.Table.from_pylist(batch, schema=schema)

    return GraphCorpus(name=name, summary=summary, columns=columns, tables=tables)


def triples(graph: GraphStore, split: Split) -> Iterator[Row]:
    """Every relation; RELEVANT_TO where it is a Yes."""
    for relation, pattern, asset in _RELATIONS:
        known = "r.teacher AS teacher, r.prompt AS prompt_name, r.prompt_version AS prompt_version"
        if relation != "MONITORED_BY":
            known = "NULL AS teacher, NULL AS prompt_name, NULL AS prompt_version"
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
        **{name: row[name] for name in ORIGIN},
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
            " r.probability AS probability, r.teacher AS teacher, r.prompt AS prompt_name,"
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


def relevance(graph: GraphStore, split: Split) -> Iterator[Row]:
    """Every RELEVANT_TO edge, Yes and No."""
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
            **{name: row[name] for name in ORIGIN},
            "split": _split_of(row, split),
        }


def _split_of(row: Row, split: Split) -> SplitName:
    """The asset's split; a row that was loaded for evaluation alone is in `test`."""
    return "test" if row["role"] == "evaluation" else SIDES[split.side(str(row["asset"]))]
