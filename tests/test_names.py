import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgkit import names


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("Vibration sensors", "vibration"),
        ("Vib. sensor (casing)", "vibration"),
        ("vibration", "vibration"),
        ("Temp sensor", "temperature"),
        ("Bearing Temperature", "bearing temperature"),
        ("Pressure / vacuum", "pressure vacuum"),
        ("Sensor", "sensor"),
        ("(casing)", "casing"),
        ("Oil-debris", "oil debris"),
        ("RPM", "speed"),
    ],
)
def test_spellings_of_one_sensor_have_one_form(written: str, form: str) -> None:
    assert names.sensor_form(written) == form


@pytest.mark.parametrize(
    ("one", "other"),
    [("Pumps", "pump"), ("Electric  Motors", "electric motor"), ("Gas turbines", "Gas Turbine")],
)
def test_plural_and_case_name_one_asset(one: str, other: str) -> None:
    assert names.asset_id(one) == names.asset_id(other)


@pytest.mark.parametrize("word", ["gas", "bus", "bias", "glass", "series", "apparatus", "lens"])
def test_words_that_only_look_plural_stay(word: str) -> None:
    assert names.singular(word) == word


def test_what_looks_alike_is_listed_and_numbered_things_are_not() -> None:
    found = names.near_matches(
        ["temperature", "temparature", "pump A", "pump B", "speed", "stage 1", "stage 2"]
    )
    assert [(one, other) for one, other, _ in found] == [("temparature", "temperature")]


@given(st.text())
def test_ids_are_never_empty_and_have_no_odd_characters(name: str) -> None:
    for id_ in (names.asset_id(name), names.sensor_id(name), names.failure_mode_id(name)):
        assert id_
        assert all(character.isalnum() or character == "-" for character in id_.replace("_", "-"))


@given(st.text(min_size=1))
def test_a_form_is_its_own_form(name: str) -> None:
    assert names.plain(names.plain(name)) == names.plain(name)
