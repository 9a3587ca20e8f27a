"""Descriptions of terms are the same on ladybug and on Neo4j: the plan, what stands in the graph, and the way back to the cells."""

from pathlib import Path

from kgkit import runs
from kgkit.corpora import lineage
from kgkit.expand.scope import Options
from kgkit.extend.options import ExtendOptions
from kgkit.graph.store import GraphStore
from kgkit.records import Ask
from kgkit.retrieval.descriptions import described_held_out, descriptions
from kgkit.teacher.budget import Budget
from tests.every_kind import derivation_on, load
from tests.scripted import ScriptedTeacher
from tests.walk import matrix_file

TABLES = {
    "compressor.csv": "Failure Mode,vibration,rod drop\nrider ring wear,,x\nunbalance,x,\n",
    "classes.csv": "category,equipment_class,class_code\nStirring equipment,Mixer,MX\n",
    "types.csv": "equipment_class,equipment_type\nMixer,Paddle mixer\n",
    "fmea.csv": "Equipment,Component,Failure mode,Cause\nMixer,gearbox,gear wear,no oil\n",
}


class Describer(ScriptedTeacher):
    """Says the same of every term."""

    def _text(self, ask: Ask, draw: int) -> str:
        return f"The {ask.variables['term']} is what fitters look after day by day."


def test_terms_are_described_and_traced_alike_on_both_stores(
    store: GraphStore, tmp_path: Path
) -> None:
    plant = derivation_on(store, tmp_path / "w")
    load(plant, *(matrix_file(tmp_path, text, name) for name, text in TABLES.items()))
    scopes = runs.scopes_for(plant, [], Options(), all_assets=True, held_out=True)
    runs.extend_assets(
        plant,
        list(scopes.values()),
        options=ExtendOptions(kinds=("descriptions",)),
        teacher=Describer(),
        budget=Budget(),
        on_event=lambda _: None,
    )
    names = {"mixer", "Stirring equipment", "Paddle mixer", "gearbox", "gear wear"}
    opened = {"compressor", "vibration", "rod drop", "rider ring wear", "unbalance"}
    sentence = "The {} is what fitters look after day by day."
    assert descriptions(store, plant.split, held_out=False) == {
        name.lower(): sentence.format(name) for name in names
    }
    assert descriptions(store, plant.split, held_out=True) == {
        name.lower(): sentence.format(name) for name in names | opened
    }
    assert described_held_out(store, plant.split) == ["compressor"]
    rows = store.query(
        "MATCH (p:Passage)-[:ABOUT]->(n) WHERE p.kind = 'description' AND p.role = 'source'"
        " RETURN p.name, n.id, p.id"
    ).rows
    assert {str(name): str(about) for name, about, _ in rows} == {
        "mixer": "mixer",
        "Stirring equipment": "mixer",
        "Paddle mixer": "mixer",
        "gearbox": "mixer.gearbox",
        "gear wear": "gear-wear",
    }
    cells = {
        str(name): {
            str(link["text"])
            for link in lineage.back(
                str(id_), graph=store, ledger=plant.ledger, workspace=plant.workspace
            )
            if link["what"] == "cell"
        }
        for name, _, id_ in rows
    }
    assert all(name in found or name == "mixer" for name, found in cells.items())
    assert cells["mixer"] >= {"Mixer", "Stirring equipment"}
    plant.ledger.close()
