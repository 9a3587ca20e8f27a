"""Nothing that tells of the evaluation gets through: each way of telling it is planted once."""

from collections import Counter
from pathlib import Path

import pytest

from kgkit.errors import ContentError
from kgkit.finetune.guard import Guard
from kgkit.finetune.rows import Row, turn
from tests.conftest import Open

STEM = 'On the compressor, which one of these sensors or parameters is relevant to detecting the failure mode "wear"?'
CLEAN = Row(
    id="clean", part="p", asset="pump", text="The pump vibrates when its bearing is damaged."
)


def chat(asked: str) -> Row:
    return Row(id="r", part="p", prompt=turn("user", asked), completion=turn("assistant", "A"))


PLANTED = {
    "by asset": (Row(id="r", part="p", asset="compressor", text="It vibrates."), "is about compressor, which is held out"),
    "of the dev family": (Row(id="r", part="p", asset="fan", text="It vibrates."), "is for development"),
    "by name": (Row(id="r", part="p", text="A centrifugal Compressor surges."), "names Compressor, which is held out: A centrifugal Compressor surges"),
    "in an answer": (Row(id="r", part="p", prompt=turn("user", "What?"), completion=turn("assistant", "Diesel generators fail.")), "names Diesel generators"),
    "by a stem after words": (chat("Question: which tank, is full? A. one B. two"), "asks what the evaluation asks: Which tank is full?"),
    "by a stem in two lines": (chat("Look around.\nWhich tank\nis full? A. one"), "asks what the evaluation asks: Which tank is full?"),
    "by a stem in Chinese": (chat("请看\uff1a哪个传感器与磨损有关\uff1f"), "asks what the evaluation asks: 哪个传感器与磨损有关"),
    "by a stem that is no sentence": (chat("Name\nthe fullest tank\nA. one"), "asks what the evaluation asks: The fullest tank"),
    "by a stem": (chat("Choose.\n\nWhich tank is full?\nA. one"), "asks what the evaluation asks: Which tank is full?"),
}  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_row_is_found_and_named(
    starter: Path, open_workspace: Open, planted: str
) -> None:
    derivation = open_workspace(starter)
    guard = Guard(
        derivation.graph,
        derivation.split,
        "transfer",
        [STEM, "Which tank is  full?", "The fullest tank", "哪个传感器与磨损有关\uff1f"],
    )
    row, said = PLANTED[planted]
    with pytest.raises(ContentError) as error:
        list(guard.passed([CLEAN, row]))
    assert said in str(error.value)
    left_out = Counter[str]()
    assert list(guard.without([CLEAN, row, CLEAN], left_out, foreign=False)) == [CLEAN, CLEAN]
    assert left_out == {"tells of the evaluation": 1}
    assert guard.families == {"pumps"}
    other = chat("The steam turbine and the pumps were new.")
    assert list(guard.without([other, row], left_out, foreign=True)) == [other]
    assert guard.families == {"pumps", "steam-turbines"}


def test_what_only_resembles_a_question_passes(starter: Path, open_workspace: Open) -> None:
    derivation = open_workspace(starter)
    guard = Guard(
        derivation.graph,
        derivation.split,
        "transfer",
        [STEM, "The fullest tank", "Which came first?", "What is 12 \u00d7 6?"],
    )
    rows = [
        chat("Name the fullest tank of all."),
        chat(STEM.replace("compressor", "pump")),
        chat("The gas turbine, which came first, was changed. What is 12 + 6? And what is 12.6?"),
    ]
    assert list(guard.passed(rows)) == rows
    assert guard.families == {"pumps", "gas-turbines"}  # of what is only named


def test_the_protocol_alia_lets_no_cell_of_a_matrix_through(
    starter: Path, open_workspace: Open
) -> None:
    derivation = open_workspace(starter)
    cell = Row(
        id="r", part="p", asset="pump", text="On pumps vibration shows unbalance.", matrix=True
    )
    transfer = Guard(derivation.graph, derivation.split, "transfer", [])
    assert list(transfer.passed([cell])) == [cell]
    assert (transfer.families, transfer.checked) == ({"pumps"}, 1)
    alia = Guard(derivation.graph, derivation.split, "alia", [])
    with pytest.raises(ContentError, match="tells a cell of a sensor matrix"):
        list(alia.passed([cell]))
    left_out = Counter[str]()
    assert list(alia.without([CLEAN, cell], left_out, foreign=False)) == [CLEAN]
    assert left_out == {"tells a cell of a sensor matrix": 1}
