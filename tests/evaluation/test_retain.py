"""The verdict on training: gained on a benchmark, and kept what was known of the rest."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kgkit.errors import UsageError
from kgkit.evaluation.retain import read_retention, require_two, retained
from tests.evaluation.posed import posed, question, result
from tests.walk import MATRIX, kgkit

BENCH = posed([question(f"b{n}") for n in range(60)], name="bench")
REST = posed([question(f"r{n}") for n in range(400)], name="rest")


def verdict(*, before: int, after: int, rest_before: int, rest_after: int) -> tuple[bool, bool]:
    """Of as many right answers to 60 and to 400 questions, before and after."""
    found = retained(
        BENCH,
        [
            result(name, BENCH, {one.id: int(n < right) for n, one in enumerate(BENCH.questions)})
            for name, right in (("base", before), ("tuned", after))
        ],
        REST,
        [
            result(name, REST, {one.id: int(n < right) for n, one in enumerate(REST.questions)})
            for name, right in (("base", rest_before), ("tuned", rest_after))
        ],
        margin=0.03,
    )
    return found.gained, found.kept


def test_gained_needs_an_interval_above_zero() -> None:
    assert verdict(before=20, after=40, rest_before=300, rest_after=300) == (True, True)
    assert verdict(before=20, after=21, rest_before=300, rest_after=300) == (False, True)
    assert verdict(before=20, after=20, rest_before=300, rest_after=300) == (False, True)
    assert verdict(before=40, after=20, rest_before=300, rest_after=300) == (False, True)


def test_two_assets_that_happen_to_gain_are_no_gain() -> None:
    """Their interval is above zero, as it draws these two alone; four questions of sixty are no evidence."""
    bench = posed(
        [replace(one, asset="ab"[n % 2]) for n, one in enumerate(BENCH.questions)], name="bench"
    )
    before, after = (
        result(name, bench, {one.id: int(n < right) for n, one in enumerate(bench.questions)})
        for name, right in (("base", 20), ("tuned", 24))
    )
    found = retained(bench, [before, after], bench, [before, after], margin=0.03)
    assert found.gain.interval is not None
    assert found.gain.interval.low > 0
    assert not found.gained


def test_kept_needs_an_interval_above_minus_the_margin() -> None:
    assert verdict(before=20, after=40, rest_before=300, rest_after=297) == (True, True)
    assert verdict(before=20, after=40, rest_before=300, rest_after=291) == (True, False)
    assert verdict(before=20, after=40, rest_before=300, rest_after=380) == (True, True)


def test_both_halves_are_said_with_their_numbers() -> None:
    one, other = (
        result(name, BENCH, {question.id: right for question in BENCH.questions})
        for name, right in (("base", 0), ("tuned", 1))
    )
    found = retained(BENCH, [one, other], BENCH, [other, one], margin=0.03)
    assert found.lines() == (
        "gained on bench: tuned against base: 0.000 -> 1.000, +1.000 [+1.000, +1.000], p 1.7e-18, 60 questions",
        "not surely kept on bench, margin 0.03: tuned against base: 1.000 -> 0.000, -1.000 [-1.000, -1.000], p 1.7e-18, 60 questions",
    )
    said = json.loads(json.dumps(found.as_json()))
    assert (said["gained"], said["kept"], said["margin"], said["gain"]["difference"]) == (
        True,
        False,
        0.03,
        1.0,
    )


def test_the_margin_is_content_and_names_questions_that_are_there() -> None:
    found = read_retention()
    assert (found.questions, found.margin) == ("general", 0.03)


@pytest.mark.parametrize("models", [[], ["a"], ["a", "b", "c"]])
def test_one_before_and_one_after(models: list[str]) -> None:
    with pytest.raises(UsageError, match="BASE"):
        require_two(models)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a small matrix, and 30 questions whose right option is always the second."""
    folder = tmp_path_factory.mktemp("plant")
    (folder / "fan.csv").write_text(MATRIX, encoding="utf-8")
    lines = [
        json.dumps({"stem": f"Which is {n}?", "options": [f"not {n}", str(n), "0"], "correct": [1]})
        for n in range(30, 60)
    ]
    (folder / "second.jsonl").write_text("\n".join(lines), encoding="utf-8")
    kgkit("load", folder / "fan.csv", workspace=folder / "w")
    return folder


def test_the_exit_code_is_the_verdict(plant: Path) -> None:
    """`majority` is `first` on general, where every place is right equally often, and always right on the file."""

    def said(*models: str, code: int) -> dict[str, object]:
        named = [part for model in models for part in ("--model", model)]
        path = plant / "second.jsonl"
        found = kgkit(
            "evaluate",
            path,
            *named,
            "--retain",
            "--plain",
            "--json",
            workspace=plant / "w",
            code=code,
        ).json["retain"]
        return {name: found[name] for name in ("gained", "kept", "margin", "base", "tuned", "on")}

    about = {"margin": 0.03, "on": "general"}
    assert said("first", "majority", code=0) == {
        "gained": True,
        "kept": True,
        "base": "first",
        "tuned": "majority",
        **about,
    }
    assert said("majority", "first", code=5) == {
        "gained": False,
        "kept": True,
        "base": "majority",
        "tuned": "first",
        **about,
    }
    assert (plant / "w" / "evaluations" / "general" / "table.md").is_file()


def test_general_questions_are_put_by_letters_where_the_others_are_statements(plant: Path) -> None:
    found = kgkit(
        "evaluate",
        "fmsr",
        *("--holdout", "fans-and-blowers", "--by", "statements", "--plain", "--retain", "--json"),
        *("--model", "first", "--model", "majority"),
        workspace=plant / "w",
        code=5,
    ).json
    assert found["retain"]["on"] == "general"
    kept = next((plant / "w" / "evaluations" / "general").glob("first*.json"))
    assert json.loads(kept.read_text("utf-8"))["by"] == "letters"


def test_two_models_are_asked_for_before_anything_runs(plant: Path) -> None:
    said = kgkit(
        "evaluate", "fmsr", "--model", "first", "--retain", workspace=plant / "w", code=2
    ).err
    assert said.startswith("kgkit: --retain compares two models")
    said = kgkit("evaluate", "fmsr", "--question", "q", workspace=plant / "w", code=2).err
    assert "--case-study FILE" in said
