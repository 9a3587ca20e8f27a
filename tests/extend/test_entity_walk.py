"""The starter's pump with the reference teacher, as a user does it, on the embedded store and on Neo4j."""

from pathlib import Path

import pytest

from kgkit.settings import Settings
from tests.graph.conftest import neo4j_server, neo4j_settings  # noqa: F401 - fixtures
from tests.graph.test_same_walk import dump
from tests.integration.neo4j_server import Server
from tests.walk import kgkit, matrix_file

KINDS = ("entities", "entity-centric", "interaction-centric")
PASSAGES = "MATCH (p:Passage) RETURN p.kind AS kind, count(*) AS n ORDER BY kind"


def extend(work: Path, *options: str) -> dict[str, dict[str, object]]:
    line = ("extend", *KINDS, "--asset", "pump", "--pairs-per-document", "2", "--json", *options)
    stages: dict[str, dict[str, object]] = kgkit(*line, workspace=work).json["stages"]
    return stages


def test_the_reference_teacher_passes_every_check(starter: Path) -> None:
    kgkit("expand", "--asset", "pump", workspace=starter)
    stages = extend(starter)
    assert {kind: counts["rejected"] for kind, counts in stages.items()} == {
        "entities": {"no reference": 2},
        "entity-centric": {},
        "interaction-centric": {},
    }
    assert all(counts["dropped"] == {} and counts["done"] for counts in stages.values())
    rows = dict(kgkit("query", PASSAGES, "--json", workspace=starter).json["rows"])
    assert (rows["entity_summary"], rows["entity_role"], rows["entity_interaction"]) == tuple(
        stages[kind]["done"] for kind in KINDS
    )
    again = extend(starter)
    assert all(counts["cached"] == counts["planned"] for counts in again.values())
    assert kgkit("rebuild", "--json", workspace=starter).json["equal"] is True


@pytest.mark.neo4j
def test_both_stores_hold_the_same_entities(
    tmp_path: Path,
    neo4j_server: Server,  # noqa: F811
    neo4j_settings: Settings,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_server.password)
    work = tmp_path / "w"
    kgkit("load", matrix_file(tmp_path, name="pump.csv"), workspace=work)
    kgkit("expand", "--asset", "pump", workspace=work)
    extend(work)
    on_neo4j = ("--store", neo4j_server.uri)
    again = extend(work, *on_neo4j)
    assert all(counts["cached"] == counts["planned"] for counts in again.values())
    assert dump(work, "ladybug", Settings()) == dump(work, neo4j_server.uri, neo4j_settings)
    assert kgkit("rebuild", "--json", *on_neo4j, workspace=work).json["equal"] is True
