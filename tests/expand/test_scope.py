import re

import pytest

from kgkit.expand.scope import names_pattern

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
