"""What documents name goes back to Phase I: bounded, once for each command, an input of the graph from then on."""

from pathlib import Path
from typing import Any

import pytest
import typer

from kgkit import derive, replay, runs
from kgkit.cli.asking import end_with
from kgkit.cli.session import GlobalOptions
from kgkit.derive import Derivation
from kgkit.expand.scope import Options
from kgkit.extend.options import ExtendOptions
from kgkit.teacher.budget import Budget
from tests.conftest import Open
from tests.extend.entity_teacher import EntityTeacher, expand, load
from tests.walk import kgkit, matrix_file


@pytest.fixture
def plant(tmp_path: Path, open_workspace: Open) -> Derivation:
    derivation = open_workspace(tmp_path / "w")
    (tmp_path / "tables").mkdir()
    load(derivation, tmp_path / "tables")
    expand(derivation, EntityTeacher(), "mixer")
    return derivation


def extend_entities(derivation: Derivation) -> list[Any]:
    scopes = list(runs.scopes_for(derivation, ["mixer"], Options(), all_assets=False).values())
    runs.extend_assets(
        derivation,
        scopes,
        options=ExtendOptions(kinds=("entities",)),
        teacher=EntityTeacher(),
        budget=Budget(),
        on_event=lambda _: None,
    )
    return scopes


def turn(derivation: Derivation, most: int) -> runs.FedBackReport:
    report = runs.feed_back(derivation, extend_entities(derivation), most=most)
    runs.expand_assets(
        derivation,
        report.scopes,
        teacher=EntityTeacher(),
        budget=Budget(),
        on_event=lambda _: None,
    )
    return report


def said(derivation: Derivation, type_: str) -> set[str]:
    rows = derivation.graph.query(
        f"MATCH (a:Asset)-[r:{type_}]->(b) WHERE a.id = 'mixer' AND r.origin = 'teacher' RETURN b.name"
    ).rows
    return {str(name) for (name,) in rows}


def test_each_run_of_one_budget_counts_its_own_calls(plant: Derivation) -> None:
    teacher, budget = EntityTeacher(), Budget()
    scopes = list(runs.scopes_for(plant, ["mixer"], Options(), all_assets=False).values())
    shared: dict[str, Any] = {"teacher": teacher, "budget": budget, "on_event": lambda _: None}
    entities = ExtendOptions(kinds=("entities",))
    first = runs.extend_assets(plant, scopes, options=entities, **shared)
    found = runs.feed_back(plant, scopes, most=2)
    second = runs.expand_assets(plant, found.scopes, **shared)
    assert first.calls > 0
    assert second.calls > 0
    assert first.calls + second.calls == len(teacher.calls) == budget.spent.calls


def test_the_worst_of_two_runs_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    options = GlobalOptions(
        workspace=None, store=None, teacher=None, json=False, verbose=False, quiet=False
    )
    fine = runs.RunReport(teacher="t", assets=[])
    short = runs.RunReport(teacher="t", assets=[], stopped="budget")
    for reports in ((fine, short), (short, fine)):
        with pytest.raises(typer.Exit) as ended:
            end_with(options, *reports)
        assert ended.value.exit_code == 5
        assert "stopped: budget" in capsys.readouterr().err
    end_with(options, fine, fine)


def test_new_names_become_the_assets_own_and_are_asked_about(plant: Derivation) -> None:
    modes_before, sensors_before = said(plant, "EXPERIENCES"), said(plant, "MONITORED_BY")
    report = turn(plant, most=2)
    new = set(report.new["mixer"])
    sensors, modes = said(plant, "MONITORED_BY") - sensors_before, said(plant, "EXPERIENCES")
    assert modes_before == set()
    assert (len(sensors), len(modes)) == (2, 2)
    assert sensors | modes == new
    asked = {ask.subject.sensor for ask in plant.ledger.asks(asset="mixer") if ask.stage == "link"}
    assert {sensor.replace(" ", "-") for sensor in sensors} <= asked
    assert not any("compressor" in name for name in new)


def test_the_graph_stays_a_function_of_tables_and_ledger(plant: Derivation) -> None:
    turn(plant, most=2)
    before, after = derive.rebuild(plant)
    assert before == after
    assert said(plant, "EXPERIENCES")


def test_one_turn_for_each_command(plant: Derivation) -> None:
    first = turn(plant, most=1).new["mixer"]
    second = turn(plant, most=1).new["mixer"]
    assert len(first) == len(second) == 2
    assert not set(first) & set(second)
    assert [one.name for one in replay.fed_back(plant.ledger)["mixer"]] == [*first, *second]


def test_what_was_fed_back_goes_with_its_asset(plant: Derivation, tmp_path: Path) -> None:
    turn(plant, most=1)
    assert said(plant, "EXPERIENCES")
    derive.remove_table(plant, "mixer.csv")
    derive.bring_up_to_date(plant)
    left = plant.graph.query("MATCH (f:FailureMode) WHERE f.origin = 'teacher' RETURN f.name").rows
    assert left == ()


def test_the_command_reports_what_it_fed_back(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    kgkit("load", matrix_file(tmp_path), workspace=workspace)
    kgkit("expand", "--asset", "mixer", workspace=workspace)
    said = kgkit(
        "extend", "entities", "--asset", "mixer", "--feed-back", "2", "--json", workspace=workspace
    ).json
    assert said["feed_back"] == {"new": {}, "equipment": {}}
    assert said["expand"] is None
