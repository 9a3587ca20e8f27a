"""Phase II as a user walks it: three assets of a small plant, expanded and extended by every kind, on the command line."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from kgkit.corpora.kinds import CORPUS_OF, PASSAGE_CORPORA
from kgkit.corpora.rows import corpora_sha256
from kgkit.derive import Derivation
from kgkit.extend.options import KINDS
from kgkit.graph.dump import dump_lines
from kgkit.records import digest
from kgkit.stages import RejectReason
from kgkit.teacher.ledger import Ledger
from tests import plant
from tests.conftest import Open
from tests.walk import kgkit

EXTEND = ("extend", "all", *plant.OPEN, "--pairs-per-document", "2", "--json")


@dataclass(frozen=True)
class Walk:
    work: Path
    report: Any


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    folder = tmp_path_factory.mktemp("extended")
    work = plant.load(folder / "w", tables=folder / "tables")
    kgkit("expand", *plant.OPEN, workspace=work)
    return Walk(work=work, report=kgkit(*EXTEND, workspace=work).json)


def dump(derivation: Derivation) -> str:
    corpora = corpora_sha256(derivation.graph, derivation.split)
    return digest([*dump_lines(derivation.graph), corpora])


def held_out_names(derivation: Derivation) -> re.Pattern[str]:
    pattern = derivation.assets().held_out_pattern
    assert pattern.search("as in a Compressor's valve")
    return pattern


def test_every_kind_is_made_for_every_asset(walk: Walk, open_workspace: Open) -> None:
    rows = open_workspace(walk.work).graph.query("MATCH (p:Passage) RETURN p.kind, p.asset").rows
    assert Counter(rows).keys() == {
        (kind, asset) for kind in CORPUS_OF for asset in ("pump", "fan", "steam-turbine")
    }


def test_every_planned_ask_has_one_end_and_every_reject_a_reason(walk: Walk) -> None:
    stages = walk.report["stages"]
    assert list(stages) == list(KINDS)
    for name, counts in stages.items():
        ended = counts["done"] + sum(counts["rejected"].values()) + sum(counts["failed"].values())
        assert counts["planned"] == ended + counts["pending"], name
        assert counts["done"] > 0, name
        assert (counts["failed"], counts["pending"], counts["cached"]) == ({}, 0, 0), name
        assert counts["rejected"].keys() <= set(get_args(RejectReason)), name
    assert walk.report["stopped"] is None
    assert walk.report["calls"] >= sum(counts["planned"] for counts in stages.values())


def test_the_counts_are_those_of_the_passages(walk: Walk, open_workspace: Open) -> None:
    kinds = Counter(
        str(kind)
        for (kind,) in open_workspace(walk.work).graph.query("MATCH (p:Passage) RETURN p.kind").rows
    )
    done = {name: counts["done"] for name, counts in walk.report["stages"].items()}
    assert sum(kinds[kind] for kind in kinds if kind.startswith("rephrase_")) == done["rephrase"]
    assert (kinds["summary"], kinds["raft"]) == (done["qa"], done["raft"])
    assert kinds["qa"] == walk.report["stages"]["raft"]["planned"]
    assert kinds["entity_role"] == done["entity-centric"]
    assert kinds["entity_interaction"] == done["interaction-centric"]
    assert sum(kinds.values()) == walk.report["passages"]


def test_the_same_command_again_asks_nothing_and_changes_nothing(
    walk: Walk, open_workspace: Open
) -> None:
    derivation = open_workspace(walk.work)
    before = dump(derivation)
    derivation.graph.close()
    again = kgkit(*EXTEND, workspace=walk.work).json
    assert again["calls"] == 0
    for name, counts in again["stages"].items():
        assert counts == walk.report["stages"][name] | {"cached": counts["planned"]}
    plan = kgkit("plan", *EXTEND, workspace=walk.work).json
    assert {name: (asks["planned"], asks["cached"]) for name, asks in plan["asks"].items()} == {
        name: (counts["planned"], counts["planned"]) for name, counts in again["stages"].items()
    }
    assert dump(open_workspace(walk.work)) == before
    assert kgkit("rebuild", "--json", workspace=walk.work).json["equal"] is True


def test_an_export_opens_corpus_by_corpus_and_validation_is_the_fan_alone(
    walk: Walk, tmp_path: Path, open_workspace: Open
) -> None:
    import datasets

    report = kgkit("export", tmp_path / "out", "--json", workspace=walk.work).json
    assert set(PASSAGE_CORPORA) <= report["configs"].keys()
    pattern = held_out_names(open_workspace(walk.work))
    for name, splits in report["configs"].items():
        opened = datasets.load_dataset(
            str(tmp_path / "out"), name, cache_dir=str(tmp_path / "cache")
        )
        assert {split: rows.num_rows for split, rows in opened.items()} == {
            split: file["rows"] for split, file in splits.items()
        }
        assert opened.keys() == {"train", "validation"}, name
        for split, rows in opened.items():
            assert set(rows["asset"]) == (
                {"fan"} if split == "validation" else {"pump", "steam-turbine"}
            ), name
            for row in rows:
                said = {key: value for key, value in row.items() if key not in ("sources", "ask")}
                assert not pattern.search(str(said).replace("-", " ")), (name, row)
    assert report["leakage"]["found"] == 0


def test_status_and_stats_know_every_kind(walk: Walk) -> None:
    status = kgkit("status", "--json", workspace=walk.work).json
    for name, counts in walk.report["stages"].items():
        stage = status["stages"][name]
        assert stage["accepted"] == counts["done"], name
        assert stage["rejected"] == counts["rejected"], name
    rows = kgkit("stats", "--json", workspace=walk.work).json["rows"]
    assert {row["kind"]: row["corpus"] for row in rows} == CORPUS_OF
    assert {(row["asset"], row["split"]) for row in rows} == {
        ("pump", "train"), ("fan", "validation"), ("steam-turbine", "train"),
    }  # fmt: skip
    assert sum(row["passages"] for row in rows) == walk.report["passages"]


def test_nothing_held_out_is_said_or_asked(walk: Walk, open_workspace: Open) -> None:
    """The steam turbine's own table lists a failure mode that names a compressor."""
    derivation = open_workspace(walk.work)
    pattern = held_out_names(derivation)
    modes = derivation.graph.query("MATCH (m:FailureMode) RETURN m.name").rows
    assert [name for (name,) in modes if pattern.search(str(name))] == ["compressor fouling"]
    said = derivation.graph.query(
        "MATCH (p:Passage) RETURN p.text, coalesce(p.question, ''), p.name"
    ).rows
    said += derivation.graph.query("MATCH (e:Entity) RETURN e.name, e.id, ''").rows
    assert not [row for row in said if any(pattern.search(str(part)) for part in row)]
    with Ledger.open(walk.work / "ledger.sqlite", read_only=True) as ledger:
        asked = [
            ask for asset in ("pump", "fan", "steam-turbine") for ask in ledger.asks(asset=asset)
        ]
    assert len(asked) > 300
    assert not [ask for ask in asked for part in ask.messages if pattern.search(part.content)]
