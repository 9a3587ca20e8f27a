"""The starter's pump with the reference teacher, as a user does it; tests/graph/test_same_walk.py has both stores."""

from pathlib import Path

from tests.walk import kgkit

KINDS = ("entities", "entity-centric", "interaction-centric")
PASSAGES = "MATCH (p:Passage) RETURN p.kind AS kind, count(*) AS n ORDER BY kind"


def extend(work: Path) -> dict[str, dict[str, object]]:
    line = ("extend", *KINDS, "--asset", "pump", "--pairs-per-document", "2", "--json")
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
