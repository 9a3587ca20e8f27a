"""With every kind of Phase II the graph is a function of tables and ledger, whatever happened on the way."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kgkit import derive, runs
from kgkit.corpora.kinds import CORPUS_OF
from kgkit.corpora.rows import corpora_sha256
from kgkit.derive import Derivation
from kgkit.expand.scope import Options
from kgkit.extend.options import KINDS, ExtendOptions, Kind
from kgkit.graph.dump import dump_lines
from kgkit.graph.open import open_store
from kgkit.records import Ask, canonical_json
from kgkit.settings import Settings
from kgkit.splits import read_split
from kgkit.teacher.budget import Budget
from kgkit.teacher.ledger import Ledger
from kgkit.workspace import Workspace
from tests.conftest import Open, take
from tests.every_kind import EveryKindTeacher
from tests.walk import matrix_file

TABLES = {
    "pump.csv": "Failure Mode,vibration\nbearing damage,x\nunbalance,x\n",
    "fan.csv": "Failure Mode,vibration\nbearing damage,x\n",
    "parts.csv": "Equipment class,Subunit\nfan,Drive\n",
}
Expanded = Callable[[str], Derivation]


class Teacher(EveryKindTeacher):
    """With as many calls at once as it is told; it knows of one more sensor than the tables."""

    def __init__(self, name: str = "scripted", *, seed: int = 0, workers: int = 16) -> None:
        super().__init__(name, seed=seed, bad_first=True)
        self.concurrency = workers

    def _text(self, ask: Ask, draw: int) -> str:
        if ask.stage == "discover":
            return json.dumps({"sensors": ["noise"]})
        return super()._text(ask, draw)


def expand(derivation: Derivation, teacher: Teacher, *assets: str) -> runs.RunReport:
    scopes = runs.scopes_for(derivation, assets, Options(depth=2), all_assets=not assets)
    return runs.expand_assets(
        derivation,
        list(scopes.values()),
        teacher=teacher,
        budget=Budget(),
        on_event=lambda _: None,
    )


def extend(
    derivation: Derivation,
    teacher: Teacher,
    *assets: str,
    kinds: tuple[Kind, ...] = KINDS,
    max_calls: int | None = None,
) -> runs.RunReport:
    scopes = runs.scopes_for(derivation, assets, Options(), all_assets=not assets)
    return runs.extend_assets(
        derivation,
        list(scopes.values()),
        options=ExtendOptions(kinds=kinds, pairs_per_document=2),
        teacher=teacher,
        budget=Budget(max_calls=max_calls),
        on_event=lambda _: None,
    )


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    for name, text in TABLES.items():
        matrix_file(folder, text, name)
    return folder


@contextmanager
def opened(path: Path) -> Iterator[Derivation]:
    workspace = Workspace(path)
    workspace.create()
    owner = workspace.choices().id
    with (
        Ledger.open(workspace.ledger) as ledger,
        closing(open_store("ladybug", workspace=path, owner=owner, settings=Settings())) as graph,
    ):
        split = read_split("default")
        yield Derivation(workspace=workspace, ledger=ledger, graph=graph, split=split)


@pytest.fixture(scope="module")
def expanded_template(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("expanded") / "w"
    with opened(path) as derivation:
        take(derivation, *(tables / name for name in TABLES))
        expand(derivation, Teacher())
    return path


@pytest.fixture(scope="module")
def extended_template(expanded_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("extended") / "w"
    shutil.copytree(expanded_template, path)
    with opened(path) as derivation:
        report = extend(derivation, Teacher())
        assert all(counts.done for counts in report.stages.values())
    return path


@pytest.fixture
def expanded(expanded_template: Path, tmp_path: Path, open_workspace: Open) -> Expanded:
    """Workspaces, by name, with two expanded assets and a part in them."""

    def open_it(name: str) -> Derivation:
        shutil.copytree(expanded_template, tmp_path / name)
        return open_workspace(tmp_path / name)

    return open_it


@pytest.fixture
def extended(extended_template: Path, tmp_path: Path, open_workspace: Open) -> Derivation:
    """A workspace of the test's own, extended by every kind."""
    shutil.copytree(extended_template, tmp_path / "extended")
    return open_workspace(tmp_path / "extended")


def whole(derivation: Derivation) -> list[str]:
    """Every line of the dump, and what the corpora come to."""
    return [*dump_lines(derivation.graph), corpora_sha256(derivation.graph, derivation.split)]


def rebuilt_equal(derivation: Derivation) -> bool:
    before, after = derive.rebuild(derivation)
    return before == after


def passages(derivation: Derivation, asset: str = "") -> dict[str, set[str]]:
    """Every passage of an asset, or of all, as it is stored, by kind."""
    found: dict[str, set[str]] = {}
    rows = derivation.graph.query(
        "MATCH (p:Passage) RETURN p.kind, p.asset, p.id, p.text, p.question, p.ask, p.teacher"
    ).rows
    for row in rows:
        if asset in ("", row[1]):
            found.setdefault(str(row[0]), set()).add(canonical_json(row))
    return found


def replies(derivation: Derivation) -> int:
    return sum(stage.replied for stage in derivation.ledger.counts())


def entities(derivation: Derivation) -> set[str]:
    return {str(id_) for (id_,) in derivation.graph.query("MATCH (e:Entity) RETURN e.id").rows}


def mentioned(derivation: Derivation) -> set[str]:
    rows = derivation.graph.query("MATCH (:Passage)-[:MENTIONS]->(e:Entity) RETURN e.id").rows
    return {str(id_) for (id_,) in rows}


def test_no_order_of_replies_workers_or_assets_leaves_a_trace(expanded: Expanded) -> None:
    ends = []
    ways: list[tuple[int, list[tuple[str, ...]]]] = [
        (1, [()]),
        (3, [("pump",), ("fan",)]),
        (64, [("fan",), ("pump",)]),
    ]
    derivation = expanded("w0")
    for number, (workers, runs_of) in enumerate(ways):
        derivation = derivation if number == 0 else expanded(f"w{number}")
        for assets in runs_of:
            report = extend(derivation, Teacher(seed=number, workers=workers), *assets)
            assert all(counts.done for counts in report.stages.values())
        ends.append(whole(derivation))
    assert ends[0] == ends[1] == ends[2]
    assert rebuilt_equal(derivation)
    assert whole(derivation) == ends[0]
    kinds = passages(derivation)
    assert kinds.keys() == CORPUS_OF.keys()
    parts = derivation.graph.query(
        "MATCH (p:Passage) WHERE p.part IS NOT NULL RETURN DISTINCT p.kind"
    ).rows
    assert {kind for (kind,) in parts} >= {"qa", "raft", "entity_role", "rephrase_wiki"}


@pytest.mark.long
def test_the_kinds_one_by_one_in_any_order_end_as_all_at_once(
    expanded: Expanded, extended: Derivation
) -> None:
    derivation = expanded("w")
    order: tuple[Kind, ...] = (
        "raft",  # of questions that are not there yet
        "qa",
        "entities",
        "interaction-centric",
        "rephrase",
        "raft",
        "entity-centric",
    )
    for kind in order:
        extend(derivation, Teacher(), kinds=(kind,))
    assert whole(derivation) == whole(extended)
    assert rebuilt_equal(derivation)


def test_a_budget_that_stops_it_anywhere_changes_nothing_in_the_end(
    expanded: Expanded, extended: Derivation
) -> None:
    expected = extend(extended, Teacher())
    stopped = expanded("stopped")
    spent, before = 0, replies(stopped)
    for max_calls in (0, 7, 61, 3):
        report = extend(stopped, Teacher(seed=max_calls), max_calls=max_calls)
        spent += report.calls
        assert (report.stopped, report.calls) == ("budget", max_calls)
        for counts in report.stages.values():
            ended = counts.done + counts.rejected.total() + counts.failed.total()
            assert counts.planned == ended + counts.pending
        assert rebuilt_equal(stopped)
    rest = extend(stopped, Teacher())
    assert rest.calls + spent == replies(extended) - before
    assert replies(stopped) == replies(extended), "something was asked twice"
    assert whole(stopped) == whole(extended)
    assert {name: counts.as_json() | {"cached": 0} for name, counts in rest.stages.items()} == {
        name: counts.as_json() | {"cached": 0} for name, counts in expected.stages.items()
    }


def test_another_teacher_replaces_its_kind_and_what_rests_on_it(extended: Derivation) -> None:
    before = passages(extended)
    extend(extended, Teacher("second"), kinds=("qa",))
    after = passages(extended)
    changed = {kind for kind in CORPUS_OF if before[kind] != after.get(kind)}
    assert changed == {"qa", "summary", "raft"}
    assert not before["qa"] & after["qa"]
    assert "raft" not in after, "an answer rests on a question that is no more"
    assert rebuilt_equal(extended)
    extend(extended, Teacher("second"), kinds=("raft",))
    teachers = extended.graph.query(
        "MATCH (p:Passage) RETURN DISTINCT p.kind, p.teacher ORDER BY p.kind"
    ).rows
    assert {kind for kind, teacher in teachers if teacher == "second"} == changed
    assert len(teachers) == len(CORPUS_OF)
    assert rebuilt_equal(extended)
    extend(extended, Teacher(), kinds=("qa", "raft"))
    assert passages(extended) == before


def test_another_teacher_of_entities_replaces_what_is_said_of_them(extended: Derivation) -> None:
    before = passages(extended)
    extend(extended, Teacher("second"), kinds=("entities",))
    assert entities(extended) == mentioned(extended)
    after = passages(extended)
    unchanged = {kind for kind in CORPUS_OF if before[kind] == after.get(kind)}
    assert unchanged == {kind for kind in CORPUS_OF if not kind.startswith("entity_")}
    assert rebuilt_equal(extended)


def test_another_teacher_that_gets_nowhere_takes_nothing_away(extended: Derivation) -> None:
    before = whole(extended)
    assert extend(extended, Teacher("second"), max_calls=0).stopped == "budget"
    assert whole(extended) == before
    assert rebuilt_equal(extended)


def test_expanding_again_takes_nothing_from_what_was_extended(extended: Derivation) -> None:
    before = whole(extended)
    assert expand(extended, Teacher()).calls == 0
    assert whole(extended) == before
    assert rebuilt_equal(extended)
    expand(extended, Teacher("second"))
    assert passages(extended).keys() == {kind for kind in CORPUS_OF if CORPUS_OF[kind] == "kd_base"}
    assert entities(extended) == set()
    assert rebuilt_equal(extended)
    expand(extended, Teacher())
    assert whole(extended) == before


def test_an_asset_that_becomes_held_out_loses_all_that_was_derived(extended: Derivation) -> None:
    before = whole(extended)
    of_pump, of_fan = passages(extended, "pump"), passages(extended, "fan")
    assert of_pump.keys() == of_fan.keys() == CORPUS_OF.keys()
    held_out = replace(extended, split=read_split("alia"))
    derive.bring_up_to_date(held_out)
    sides = {asset: held_out.split.side(asset) for asset in ("pump", "fan")}
    for asset, side in sides.items():
        assert bool(passages(held_out, asset)) == (side != "held_out"), asset
    assert "held_out" in sides.values()
    assert entities(held_out) == mentioned(held_out)
    assert rebuilt_equal(held_out)
    derive.bring_up_to_date(extended)
    assert whole(extended) == before


def test_a_table_taken_out_takes_all_that_rested_on_it(extended: Derivation, tables: Path) -> None:
    before, of_fan = whole(extended), passages(extended, "fan")
    all_entities = entities(extended)
    derive.remove_table(extended, "pump.csv")
    derive.bring_up_to_date(extended)
    assert passages(extended, "pump") == {}
    assert passages(extended, "fan") == of_fan
    assert entities(extended) == mentioned(extended)
    assert entities(extended) < all_entities
    assert rebuilt_equal(extended)
    take(extended, tables / "pump.csv")
    assert whole(extended) == before


def test_a_cell_taken_out_takes_what_rested_on_it_and_asks_for_no_more(
    extended: Derivation, tmp_path: Path
) -> None:
    pair = (
        "MATCH (p:Passage) WHERE p.asset = 'pump' AND p.sensor = 'vibration' AND p.failure_mode = 'unbalance'"
        " RETURN p.kind"
    )
    assert {kind for (kind,) in extended.graph.query(pair).rows} >= {"qa", "raft", "entity_role"}
    edited = TABLES["pump.csv"].replace("unbalance,x", "unbalance,")
    tables = extended.workspace.tables()
    origin = Path(next(table.origin for table in tables if table.name == "pump.csv"))
    was = origin.read_text()
    try:
        take(extended, matrix_file(origin.parent, edited, "pump.csv"))
        assert extended.graph.query(pair).rows == ()
        expand(extended, Teacher())
        extend(extended, Teacher())
        assert extended.graph.query(pair).rows == ()
        assert entities(extended) == mentioned(extended)
        assert rebuilt_equal(extended)
    finally:
        origin.write_text(was)
