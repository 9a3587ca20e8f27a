"""The graph is a function of tables and ledger, whatever happened on the way."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kgkit import derive, replay, runs
from kgkit.derive import Derivation
from kgkit.expand.scope import Options
from kgkit.graph.dump import dump_lines, dump_sha256
from kgkit.teacher.asking import Event
from kgkit.teacher.budget import Budget
from tests.conftest import Open, take
from tests.scripted import ScriptedTeacher
from tests.walk import kgkit, matrix_file

MIXER = "Failure Mode,vibration,oil-debris\nOil leakage,x,\nOil leakages,x,\nbearing damage,x,x\n"
CRUSHER = "Failure Mode,vibration,speed\nbearing damage,x,\njam,,x\n"
PARTS = (
    "Equipment class,Subunit,Maintainable item\nmixer,Drive,seal\nmixer,Vessel,seal\ncrusher,Drive,seal\n"
    "mixer,Drive,electric motor\n"
)


@pytest.fixture
def plant(tmp_path: Path, open_workspace: Open) -> Callable[[str], Derivation]:
    """Workspaces, by name, with the tables of two assets and their parts in them."""
    tables = tmp_path / "tables"
    tables.mkdir()
    matrix_file(tables, MIXER, "mixer.csv")
    matrix_file(tables, CRUSHER, "crusher.csv")
    (tables / "parts.csv").write_text(PARTS)

    def open_it(name: str) -> Derivation:
        derivation = open_workspace(tmp_path / name)
        take(derivation, tables)
        return derivation

    return open_it


def expand(
    derivation: Derivation,
    teacher: ScriptedTeacher,
    *,
    depth: int = 1,
    samples: int = 1,
    max_calls: int | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
) -> runs.RunReport:
    scopes = runs.scopes_for(derivation, [], Options(depth=depth, samples=samples), all_assets=True)
    return runs.expand_assets(
        derivation,
        list(scopes.values()),
        teacher=teacher,
        budget=Budget(max_calls=max_calls),
        on_event=on_event,
    )


def test_what_waits_for_its_second_try_is_still_to_do(plant: Callable[[str], Derivation]) -> None:
    derivation = plant("w")
    whole = expand(plant("whole"), ScriptedTeacher(bad_first=True))
    spent = 0
    for max_calls in (12, 1, 1, 5):
        link = expand(derivation, ScriptedTeacher(bad_first=True), max_calls=max_calls).stages[
            "link"
        ]
        spent += max_calls
        assert link.done + link.pending + link.rejected.total() == link.planned
        assert link.rejected.total() == 0
    assert spent < whole.calls
    assert whole.stages["link"].rejected.total() == whole.stages["link"].pending == 0


def rebuilt_equal(derivation: Derivation) -> bool:
    before, after = derive.rebuild(derivation)
    return before == after


def test_the_result_does_not_depend_on_the_order_of_replies(
    plant: Callable[[str], Derivation],
) -> None:
    dumps = []
    for seed in range(4):
        derivation = plant(f"w{seed}")
        report = expand(derivation, ScriptedTeacher(seed=seed, bad_first=True), depth=2, samples=3)
        assert all(counts.done for counts in report.stages.values())
        dumps.append(list(dump_lines(derivation.graph)))
        assert rebuilt_equal(derivation)
    assert dumps[0] == dumps[1] == dumps[2] == dumps[3]


def test_every_planned_ask_ends_in_exactly_one_way(plant: Callable[[str], Derivation]) -> None:
    derivation = plant("w")
    for max_calls in (0, 7, 30, None):
        report = expand(derivation, ScriptedTeacher(bad_first=True), samples=2, max_calls=max_calls)
        for counts in report.stages.values():
            ended = (
                counts.done
                + sum(counts.rejected.values())
                + sum(counts.failed.values())
                + counts.pending
            )
            assert counts.planned == ended
            assert counts.cached <= counts.planned


def test_parts_of_one_name_have_passages_of_their_own(plant: Callable[[str], Derivation]) -> None:
    derivation = plant("w")
    expand(derivation, ScriptedTeacher(), depth=2)
    rows = derivation.graph.query(
        "MATCH (p:Passage) WHERE p.part IS NOT NULL RETURN DISTINCT p.part"
    ).rows
    parts = {str(part) for (part,) in rows}
    assert {"mixer.drive.seal", "mixer.vessel.seal", "crusher.drive.seal"} <= parts


def test_another_teacher_that_gets_nowhere_takes_nothing_away(
    plant: Callable[[str], Derivation],
) -> None:
    derivation = plant("w")
    expand(derivation, ScriptedTeacher("first"))
    before = dump_sha256(derivation.graph)
    report = expand(derivation, ScriptedTeacher("second"), max_calls=0)
    assert report.stopped == "budget"
    assert dump_sha256(derivation.graph) == before
    assert rebuilt_equal(derivation)


def test_an_interrupted_rerun_leaves_a_finished_graph_as_it_was(
    plant: Callable[[str], Derivation],
) -> None:
    import os
    import signal

    derivation = plant("w")
    expand(derivation, ScriptedTeacher(bad_first=True))
    before = dump_sha256(derivation.graph)

    def interrupt(event: Event) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    report = expand(derivation, ScriptedTeacher(bad_first=True), on_event=interrupt)
    assert report.stopped == "interrupted"
    assert dump_sha256(derivation.graph) == before
    assert rebuilt_equal(derivation)


def test_a_failing_teacher_leaves_a_graph_that_the_next_command_mends(
    plant: Callable[[str], Derivation],
) -> None:
    from kgkit.errors import ServiceError
    from kgkit.teacher.protocol import TeacherError

    class Failing(ScriptedTeacher):
        async def answer(self, ask):
            if len(self.calls) > 20:
                raise TeacherError("unauthorized", "no more", retryable=False, fatal=True)
            return await super().answer(ask)

    derivation = plant("w")
    with pytest.raises(ServiceError):
        expand(derivation, Failing("scripted"))
    assert not derive.is_up_to_date(derivation)
    derive.bring_up_to_date(derivation)
    assert rebuilt_equal(derivation)
    expand(derivation, ScriptedTeacher())
    other = plant("other")
    expand(other, ScriptedTeacher())
    assert dump_sha256(derivation.graph) == dump_sha256(other.graph)


def test_a_lost_graph_file_is_made_again(tmp_path: Path) -> None:
    work = tmp_path / "w"
    table = matrix_file(tmp_path)
    kgkit("load", table, workspace=work)
    kgkit("expand", "--asset", "mixer", workspace=work)
    before = kgkit("status", "--json", workspace=work).json["corpora"]
    (work / "graph.ladybug").unlink()
    kgkit("load", table, workspace=work)
    assert kgkit("status", "--json", workspace=work).json["corpora"] == before


@pytest.mark.parametrize("broken", [b"", b"not a database", None])
def test_a_broken_graph_file_is_set_aside_and_made_again(
    broken: bytes | None, tmp_path: Path
) -> None:
    work = tmp_path / "w"
    kgkit("load", matrix_file(tmp_path), workspace=work)
    kgkit("expand", "--asset", "mixer", workspace=work)
    before = kgkit("status", "--json", workspace=work).json["corpora"]
    file = work / "graph.ladybug"
    file.write_bytes(file.read_bytes()[:5000] if broken is None else broken)
    assert "rebuild" in kgkit("status", workspace=work, code=1).err
    kgkit("rebuild", workspace=work)
    assert kgkit("status", "--json", workspace=work).json["corpora"] == before
    assert kgkit("rebuild", "--json", workspace=work).json["equal"] is True


def test_a_load_that_was_cut_off_and_taken_back_leaves_nothing(
    tmp_path: Path, plant: Callable[[str], Derivation], monkeypatch
) -> None:
    derivation = plant("w")
    before = dump_sha256(derivation.graph)
    more = matrix_file(tmp_path, "Failure Mode,flow\nclogging,x\n", "filter.csv")
    take(derivation, more, then_derive=False)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(replay, "everything", dies)
        with pytest.raises(KeyboardInterrupt):
            derive.bring_up_to_date(derivation)
    assert dump_sha256(derivation.graph) != before
    derive.remove_table(derivation, "filter.csv")
    derive.bring_up_to_date(derivation)
    assert dump_sha256(derivation.graph) == before


def test_an_edited_split_takes_effect_at_the_next_load(tmp_path: Path) -> None:
    work, mine = tmp_path / "w", tmp_path / "mine"
    table = matrix_file(tmp_path, name="compressor.csv")
    kgkit("content", "copy", mine, workspace=work)
    env = {"KGKIT_CONTENT": str(mine)}
    kgkit("load", table, workspace=work, env=env)
    assert (
        "held out" in kgkit("expand", "--asset", "compressor", workspace=work, code=2, env=env).err
    )
    splits = mine / "corpora" / "splits.yaml"
    splits.write_text(
        splits.read_text().replace("held_out: [compressors, electric-generators]", "held_out: []")
    )
    report = kgkit("expand", "--asset", "compressor", "--json", workspace=work, env=env).json
    assert report["passages"] > 0


def test_what_is_held_out_is_in_no_prompt_and_no_training_row(
    starter: Path, tmp_path: Path
) -> None:
    """A gas turbine has a compressor: its sensors and failure modes name a held-out asset."""
    import datasets

    from kgkit.expand.scope import Assets
    from kgkit.graph import reading
    from kgkit.graph.open import open_store
    from kgkit.settings import Settings
    from kgkit.splits import read_split
    from kgkit.teacher.ledger import Ledger
    from kgkit.workspace import Workspace

    report = kgkit("expand", "--asset", "aero gas turbine", "--json", workspace=starter).json
    assert report["stages"]["describe"]["done"] > 0
    assert report["stages"]["describe"]["left_out"] > 0
    choices = Workspace(starter).choices()
    store = open_store(
        "ladybug", workspace=starter, owner=choices.id, settings=Settings(), read_only=True
    )
    pattern = Assets(reading.assets(store, role=None), read_split("default")).held_out_pattern
    store.close()
    with Ledger.open(starter / "ledger.sqlite", read_only=True) as ledger:
        asked = list(ledger.asks(asset="aero-gas-turbine"))
    assert asked
    assert not [ask for ask in asked for message in ask.messages if pattern.search(message.content)]
    document = kgkit("export", tmp_path / "out", "--json", workspace=starter).json
    assert document["left_out"]["relevance"]["held out"] > 0
    for name in ("kd_base", "triples", "relevance"):
        for rows in datasets.load_dataset(
            str(tmp_path / "out"), name, cache_dir=str(tmp_path / "c")
        ).values():
            for row in rows:
                said = {
                    key: value for key, value in row.items() if key not in ("sources", "id", "ask")
                }
                assert not pattern.search(str(said).replace("-", " ")), row


def test_names_that_only_evaluation_tables_give_stay_out(tmp_path: Path) -> None:
    work = tmp_path / "w"
    secret = matrix_file(
        tmp_path, "Failure Mode,Vibration (secret stage 2)\nunbalance,x\n", "secret.csv"
    )
    kgkit("load", secret, "--role", "evaluation", workspace=work)
    sensors = tmp_path / "list.csv"
    sensors.write_text("Equipment,Sensor,Failure mode\nmixer,vibration,unbalance\n")
    kgkit("load", sensors, workspace=work)
    kgkit("expand", "--asset", "mixer", workspace=work)
    assert (
        "evaluation tables alone"
        in kgkit("expand", "--asset", "secret", workspace=work, code=2).err
    )
    rows = kgkit("query", "MATCH (p:Passage) RETURN p.text", "--json", workspace=work).json["rows"]
    assert rows
    assert "secret" not in str(rows)
    kgkit("export", tmp_path / "out", "--format", "jsonl", workspace=work)
    exported = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.jsonl"))
    assert "secret" not in exported.replace("secret.csv", "")


def test_a_workspace_moved_elsewhere_is_still_up_to_date(tmp_path: Path) -> None:
    kgkit("load", matrix_file(tmp_path), workspace=tmp_path / "w")
    shutil.move(tmp_path / "w", tmp_path / "elsewhere")
    assert kgkit("status", workspace=tmp_path / "elsewhere").err == ""
