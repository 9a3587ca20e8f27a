"""The laws of rows -> Subgraph."""

import random
import subprocess
import sys
from collections import Counter
from dataclasses import asdict

import pytest

from kgkit.graph.build import build
from kgkit.records import Cell, NodeKey, Role, SourceRef, Subgraph, TableRow, Value, digest
from kgkit.schemas import graph_spec
from kgkit.splits import read_split
from kgkit.tables import read_tables, starter_paths

NO_SPLIT = read_split("none")
DEFAULT = read_split("default")


def row(
    line: int, *, layout: str = "sensor-matrix", role: Role = "source", **texts: str
) -> TableRow:
    """A row of table `t.csv` whose cells stand in line `line`, in the order of the arguments."""
    cells = {
        field: Cell(text=text, source=SourceRef(file="t.csv", row=line, column=column))
        for column, (field, text) in enumerate(texts.items(), 1)
    }
    return TableRow(layout=layout, role=role, cells=cells)


def nodes(subgraph: Subgraph, label: str) -> dict[str, dict[str, Value]]:
    return {n.key.id: dict(n.properties) for n in subgraph.nodes if n.key.label == label}


def edges(subgraph: Subgraph, type_: str) -> dict[tuple[str, str], dict[str, Value]]:
    return {
        (e.key.start.id, e.key.end.id): dict(e.properties)
        for e in subgraph.edges
        if e.key.type == type_
    }


@pytest.fixture(scope="module")
def starter_rows() -> list[TableRow]:
    return list(read_tables(starter_paths()).rows())


@pytest.fixture(scope="module")
def starter(starter_rows: list[TableRow]) -> Subgraph:
    return build(starter_rows, split=DEFAULT)


def test_the_starter_tables_give_the_known_counts(starter: Subgraph) -> None:
    assert Counter(node.key.label for node in starter.nodes) == {
        "Category": 9,
        "Asset": 79,
        "EquipmentType": 185,
        "Subunit": 50,
        "Component": 259,
        "FailureMode": 101,
        "Sensor": 53,
    }
    assert Counter(edge.key.type for edge in starter.edges) == {
        "HAS_CLASS": 75,
        "HAS_TYPE": 185,
        "HAS_SUBUNIT": 50,
        "HAS_COMPONENT": 259,
        "EXPERIENCES": 700,
        "MONITORED_BY": 118,
        "RELEVANT_TO": 1342,
    }
    labels = Counter(e.properties["label"] for e in starter.edges if e.key.type == "RELEVANT_TO")
    assert labels == {"Yes": 470, "No": 872}


def test_rows_in_any_order_give_the_same_graph(
    starter_rows: list[TableRow], starter: Subgraph
) -> None:
    for seed in range(3):
        shuffled = random.Random(seed).sample(starter_rows, len(starter_rows))
        assert build(shuffled, split=DEFAULT) == starter


def test_rows_said_twice_give_the_same_graph(
    starter_rows: list[TableRow], starter: Subgraph
) -> None:
    assert build(starter_rows * 2, split=DEFAULT) == starter


DIGEST = """
from dataclasses import asdict
from kgkit.graph.build import build
from kgkit.records import digest
from kgkit.splits import read_split
from kgkit.tables import read_tables, starter_paths
print(digest(asdict(build(read_tables(starter_paths()).rows(), split=read_split("default")))))
"""


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_hash_seed_does_not_matter(starter: Subgraph, seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIGEST],
        env={"PYTHONHASHSEED": seed, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest(asdict(starter))


def test_every_item_is_of_the_graph_schema_and_no_end_is_missing(starter: Subgraph) -> None:
    spec = graph_spec()
    known = {node.key for node in starter.nodes}
    assert len(known) == len(starter.nodes)
    assert len({edge.key for edge in starter.edges}) == len(starter.edges)
    for node in starter.nodes:
        assert set(node.properties) <= set(spec.node_properties(node.key.label))
        assert node.properties["sources"]
    for edge in starter.edges:
        assert {edge.key.start, edge.key.end} <= known
        assert (edge.key.start.label, edge.key.end.label) in spec.relationships[edge.key.type].ends
        assert set(edge.properties) <= set(spec.edge_properties(edge.key.type))
        assert edge.properties["sources"]


def test_held_out_assets_are_for_evaluation_alone(starter: Subgraph) -> None:
    roles = {id_: properties["role"] for id_, properties in nodes(starter, "Asset").items()}
    assert {id_ for id_, role in roles.items() if role == "evaluation"} == {
        "compressor",
        "subsea-compressor",
        "electric-generator",
    }
    for edge in starter.edges:
        ends = {edge.key.start.id, edge.key.end.id, *(value for _, value in edge.key.extra)}
        if ends & {"compressor", "electric-generator"}:
            assert edge.properties["role"] == "evaluation"


def test_an_evaluation_row_adds_nothing_to_what_a_source_row_says() -> None:
    said = row(2, layout="failure-modes", asset="Pumps", failure_mode="Leak", example="drips")
    key = row(
        3,
        layout="failure-modes",
        role="evaluation",
        asset="pump",
        failure_mode="leak",
        example="secret",
    )
    only_key = row(4, layout="failure-modes", role="evaluation", asset="pump", failure_mode="Stall")

    both = build([said, key, only_key], split=NO_SPLIT)

    assert edges(both, "EXPERIENCES") == {
        ("pump", "leak"): {
            "origin": "table",
            "role": "source",
            "sources": ["t.csv!B2", "t.csv!C2"],
            "examples": ["drips"],
        },
        ("pump", "stall"): {"origin": "table", "role": "evaluation", "sources": ["t.csv!B4"]},
    }
    assert nodes(both, "Asset")["pump"] == {
        "name": "Pumps",
        "origin": "table",
        "role": "source",
        "sources": ["t.csv!A2"],
        "family": "pumps",
    }


def test_spellings_become_aliases_of_the_taxonomys_name() -> None:
    subgraph = build(
        [
            row(1, asset="pump", failure_mode="leak"),
            row(2, layout="taxonomy", asset="Pumps", asset_code="PU", category="Rotating"),
            row(3, asset="PUMP", failure_mode="Leak"),
        ],
        split=NO_SPLIT,
    )
    assert nodes(subgraph, "Asset") == {
        "pump": {
            "name": "Pumps",
            "origin": "table",
            "role": "source",
            "sources": ["t.csv!A1", "t.csv!A2", "t.csv!A3", "t.csv!B2"],
            "code": "PU",
            "aliases": ["PUMP", "pump"],
            "family": "pumps",
        }
    }
    assert nodes(subgraph, "FailureMode")["leak"]["aliases"] == ["leak"]


@pytest.mark.parametrize("first", [True, False])
def test_a_code_stands_for_the_name_that_another_row_gives_it(first: bool) -> None:
    rows = [
        row(1, layout="taxonomy", asset="Pumps", asset_code="PU"),
        row(2, layout="failure-modes", asset_code="PU", failure_mode_code="BRD"),
        row(3, layout="failure-matrix", asset="PU", failure_mode="Leak", tick="Yes"),
        row(4, layout="failure-mode-codes", failure_mode="Breakdown", failure_mode_code="BRD"),
        row(5, layout="failure-modes", asset="HVAC", failure_mode="Leak"),
    ]
    subgraph = build(rows if first else rows[::-1], split=NO_SPLIT)

    assert set(edges(subgraph, "EXPERIENCES")) == {
        ("pump", "breakdown"),
        ("pump", "leak"),
        ("hvac", "leak"),
    }
    assert set(nodes(subgraph, "Asset")) == {"pump", "hvac"}


def test_a_tick_is_yes_a_denial_is_no_and_silence_is_nothing() -> None:
    subgraph = build(
        [
            row(1, asset="fan", failure_mode="wear", sensor="Temp. sensor", tick="Yes"),
            row(2, asset="fan", failure_mode="wear", sensor="noise", tick="No"),
            row(3, asset="fan", failure_mode="wear", sensor="oil debris"),
        ],
        split=NO_SPLIT,
    )
    relevant = {
        (e.key.start.id, e.key.end.id, e.key.extra): e.properties
        for e in subgraph.edges
        if e.key.type == "RELEVANT_TO"
    }
    common = {"origin": "table", "role": "source"}
    assert relevant == {
        ("temperature", "wear", (("asset", "fan"),)): {
            **common,
            "sources": ["t.csv!D1"],
            "label": "Yes",
        },
        ("noise", "wear", (("asset", "fan"),)): {**common, "sources": ["t.csv!D2"], "label": "No"},
    }
    assert set(edges(subgraph, "MONITORED_BY")) == {
        ("fan", "temperature"),
        ("fan", "noise"),
        ("fan", "oil-debris"),
    }
    assert set(edges(subgraph, "EXPERIENCES")) == {("fan", "wear")}


def test_a_class_denied_in_a_failure_matrix_does_not_experience_the_mode() -> None:
    subgraph = build(
        [
            row(1, layout="failure-matrix", asset="Fans", failure_mode="Leak", tick="No"),
            row(1, layout="failure-matrix", asset="Pumps", failure_mode="Leak", tick="Yes"),
        ],
        split=NO_SPLIT,
    )
    assert set(edges(subgraph, "EXPERIENCES")) == {("pump", "leak")}
    assert set(nodes(subgraph, "Asset")) == {"fan", "pump"}


def test_of_several_fmea_rows_the_worst_rates_and_all_are_kept() -> None:
    subgraph = build(
        [
            row(1, layout="fmea", asset="fan", failure_mode="wear", severity="9", rpn="90", cause="age"),
            row(2, layout="fmea", asset="fan", failure_mode="wear", severity="5", rpn="100", cause="dust"),
            row(3, layout="fmea", asset="fan", failure_mode="wear", severity="high", cause="age"),
        ],
        split=NO_SPLIT,
    )  # fmt: skip
    edge = edges(subgraph, "EXPERIENCES")["fan", "wear"]
    assert (edge["severity"], edge["rpn"], edge["causes"]) == (5, 100, ["age", "dust"])
    assert edge["fmea"] == [
        '{"cause":"age","rpn":"90","severity":"9","source":"t.csv!B1"}',
        '{"cause":"age","severity":"high","source":"t.csv!B3"}',
        '{"cause":"dust","rpn":"100","severity":"5","source":"t.csv!B2"}',
    ]


def test_parts_of_one_name_belong_to_their_own_asset() -> None:
    subgraph = build(
        [
            row(1, layout="subunits", asset="pump", subunit="Driver", component="Bearing"),
            row(2, layout="subunits", asset="fan", subunit="Driver", component="Bearing"),
            row(
                3, layout="fmea", asset="fan", component="Belt", failure_mode="slip", effect="stop"
            ),
        ],
        split=NO_SPLIT,
    )
    assert set(nodes(subgraph, "Component")) == {
        "pump.driver.bearing",
        "fan.driver.bearing",
        "fan.belt",
    }
    assert ("fan", "fan.belt") in edges(subgraph, "HAS_COMPONENT")
    assert edges(subgraph, "EXPERIENCES")["fan", "slip"]["components"] == ["Belt"]
    assert NodeKey(label="Subunit", id="pump.driver") in {node.key for node in subgraph.nodes}


def test_of_two_contradicting_marks_the_yes_counts() -> None:
    rows = [
        row(1, asset="fan", failure_mode="wear", sensor="noise", tick="Yes"),
        row(2, asset="fan", failure_mode="wear", sensor="Noise sensor", tick="No"),
    ]
    for order in (rows, rows[::-1]):
        edge = edges(build(order, split=NO_SPLIT), "RELEVANT_TO")["noise", "wear"]
        assert (edge["label"], edge["sources"]) == ("Yes", ["t.csv!D1", "t.csv!D2"])
