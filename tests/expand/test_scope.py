import re
from pathlib import Path

import pytest

from kgkit import derive, runs
from kgkit.expand.scope import Options, names_pattern
from kgkit.teacher.budget import Budget
from tests.conftest import Open
from tests.scripted import ScriptedTeacher
from tests.walk import kgkit, matrix_file

HELD_OUT = names_pattern(["Electric generators", "battery", "x-mas tree"])


@pytest.mark.parametrize(
    "text",
    [
        "the electric generator",
        "Electric Generators",
        "an electric-generator set",
        "electric\ngenerator",
        "electric\u2011generator",
        "two batteries",
        "a BATTERY",
        "X-mas trees",
        "x mas tree",
    ],
)
def test_a_held_out_name_is_found_however_it_is_written(text: str) -> None:
    assert HELD_OUT.search(text)


@pytest.mark.parametrize("text", ["electric motor and generator", "batteryless", "electrics", "-"])
def test_what_only_resembles_a_name_is_not_found(text: str) -> None:
    assert not HELD_OUT.search(text)


def test_a_name_without_words_does_not_find_every_blank() -> None:
    assert not re.search(names_pattern(["-"]), "a b")


def test_a_subunit_and_an_item_of_one_name_are_one_part(
    tmp_path: Path, open_workspace: Open
) -> None:
    """An FMEA calls an item what the taxonomy calls a subunit."""
    (tmp_path / "parts.csv").write_text(
        "Equipment,Subunit,Component\nMixer,Drive,Gear\nMixer,,Drive\nMixer,,Shaft\n"
    )
    kgkit("load", tmp_path / "parts.csv", matrix_file(tmp_path), workspace=tmp_path / "w")
    plant = open_workspace(tmp_path / "w")
    scopes = runs.scopes_for(plant, ["mixer"], Options(depth=2), all_assets=False)
    runs.expand_assets(
        plant,
        list(scopes.values()),
        teacher=ScriptedTeacher(),
        budget=Budget(),
        on_event=lambda _: None,
    )
    monitored = {
        label: {row for (row,) in plant.graph.query(
            f"MATCH (p:{label})-[:MONITORED_BY]->(:Sensor) RETURN DISTINCT p.id"
        ).rows}
        for label in ("Subunit", "Component")
    }  # fmt: skip
    assert monitored == {
        "Subunit": {"mixer.drive"},
        "Component": {"mixer.drive.gear", "mixer.shaft"},
    }
    before, after = derive.rebuild(plant)
    assert before == after
