"""Ablations: every value with every seed, measured alike, as a table and a figure."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kgkit.errors import ContentError, UsageError
from kgkit.finetune.embedder.ablations import (
    Ablations,
    Run,
    differences,
    draw,
    read_ablations,
    runs_of,
    scores,
    table,
    write,
)
from kgkit.finetune.embedder.measured import Precisions
from kgkit.finetune.recipe_files import find

BUNDLED = read_ablations(find("embedder-ablations"))
SMALL: dict[str, Any] = {
    **BUNDLED.model_dump(mode="json"),
    "sweeps": {
        "seen": {
            "title": "How often",
            "axis": "share",
            "base": "none",
            "seeds": [0, 1],
            "values": {"none": {"paraphrased": 0.0}, "all": {"paraphrased": 1.0}},
        }
    },
}


def small(tmp_path: Path, **changes: Any) -> Ablations:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}, sort_keys=False), encoding="utf-8")
    return read_ablations(path)


def measured(run: Run) -> Precisions:
    """A run whose mean is 0.2 with none, 0.5 with all, and 0.1 more with the second seed; two of eight queries of S2FM gain nothing."""
    value = (0.2 if run.value == "none" else 0.5) + 0.1 * run.seed
    last = value + 0.1 if run.value == "none" else value - 0.2
    rest = value + 0.1 if run.value == "none" else value + 0.2
    of_query = [rest] * 6 + [last] * 2
    return {
        "FM2S": {"one": value - 0.2, "two": value},
        "S2FM": dict(zip("abcdefgh", of_query, strict=True)),
    }


def test_the_bundled_sweeps_are_those_of_the_paper() -> None:
    runs = runs_of(BUNDLED, folder=Path("models"))
    assert len(runs) == 7 * 3 + 9 * 5 + 6 * 3
    assert len({run.folder for run in runs}) == len(runs)
    shares = [
        run.recipe.loss.positives
        for run in runs
        if run.sweep == "positives" and run.seed == 0 and run.recipe.loss.name == "contrastive"
    ]
    assert shares == [eighth / 8 for eighth in range(9)]
    described = [run.recipe.descriptions for run in runs if run.sweep == "descriptions"]
    assert sorted(set(described)) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert {run.recipe.seed for run in runs if run.sweep == "positives"} == {0, 1, 2, 3, 4}


def test_a_score_is_the_mean_over_seeds_with_their_deviation(tmp_path: Path) -> None:
    ablations = small(tmp_path)
    found = scores(ablations, runs_of(ablations, folder=tmp_path), measured)
    assert [(one.value, one.task, one.seeds) for one in found] == [
        (value, task, 2) for value in ("none", "all") for task in ("FM2S", "S2FM", "mean")
    ]
    assert [one.mean for one in found] == pytest.approx([0.15, 0.35, 0.25, 0.45, 0.65, 0.55])
    assert [one.deviation for one in found] == pytest.approx([0.005**0.5] * 6)
    columns, rows = table(ablations, found, "seen")
    assert columns == ["share", "FM2S", "S2FM", "mean"]
    assert rows == [
        ["none", "15.0 ± 7.1", "35.0 ± 7.1", "25.0 ± 7.1"],
        ["all", "45.0 ± 7.1", "65.0 ± 7.1", "55.0 ± 7.1"],
    ]
    path = write(ablations, found, tmp_path, side="dev")
    assert "| all | 45.0 ± 7.1 | 65.0 ± 7.1 | 55.0 ± 7.1 |" in path.read_text(encoding="utf-8")
    lines = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1] == "seen,none,FM2S,2,0.15,0.070711,,,"


def test_a_value_is_compared_with_the_base_seed_by_seed_and_query_by_query(tmp_path: Path) -> None:
    ablations = small(tmp_path)
    found = scores(ablations, runs_of(ablations, folder=tmp_path), measured)
    none, all_ = found[:3], found[3:]
    assert [one.difference for one in none] == [None] * 3
    assert [one.difference for one in all_] == pytest.approx([0.3] * 3)
    assert all_[0].interval is None  # two queries
    of_task, of_mean = all_[1].interval, all_[2].interval
    assert of_task is not None
    assert of_mean is not None
    # six of eight queries gain 0.4 with both seeds: a binomial of eight draws
    assert (of_task.low, of_task.high) == pytest.approx((0.15, 0.4))
    assert (of_mean.low, of_mean.high) == pytest.approx((0.225, 0.35))  # FM2S gains 0.3 always
    columns, rows = differences(ablations, found, "seen")
    assert columns == ["beside none", "FM2S", "S2FM", "mean"]
    assert rows == [["all", "+30.0", "+30.0 [+15.0, +40.0]", "+30.0 [+22.5, +35.0]"]]
    path = write(ablations, found, tmp_path, side="dev")
    assert "| all | +30.0 | +30.0 [+15.0, +40.0] |" in path.read_text(encoding="utf-8")
    last = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()[-1]
    assert last == "seen,all,mean,2,0.55,0.070711,0.3,0.225,0.35"


def test_seeds_that_differ_widen_the_interval(tmp_path: Path) -> None:
    ablations = small(tmp_path)
    runs = runs_of(ablations, folder=tmp_path)

    def uneven(run: Run) -> Precisions:
        gain = 0.0 if run.value == "none" else 0.1 + 0.2 * run.seed
        return {"FM2S": dict.fromkeys("abcdef", 0.2 + gain)}

    *_, mean = scores(ablations, runs, uneven)
    assert mean.difference == pytest.approx(0.2)
    assert mean.interval
    assert (mean.interval.low, mean.interval.high) == pytest.approx((0.1, 0.3))


def test_one_seed_has_no_deviation(tmp_path: Path) -> None:
    ablations = small(tmp_path, sweeps={"seen": {**SMALL["sweeps"]["seen"], "seeds": [0]}})
    found = scores(ablations, runs_of(ablations, folder=tmp_path), measured)
    assert [one.deviation for one in found] == [None] * 6
    assert found[-1].interval


def test_a_sweep_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='not installed: pip install "kgkit[corpora]"')
    ablations = small(tmp_path)
    found = scores(ablations, runs_of(ablations, folder=tmp_path), measured)
    drawn = draw(ablations, found, tmp_path)
    assert [path.name for path in drawn] == ["seen.svg", "seen.png"]
    said = drawn[0].read_text(encoding="utf-8")
    assert all(f">{word}<" in said for word in ("How often", "FM2S", "S2FM", "mean", "share"))
    again = draw(ablations, found, tmp_path)
    assert again[0].read_text(encoding="utf-8") == said


def test_what_cannot_be_compared_is_refused_with_the_run_named(tmp_path: Path) -> None:
    sweep = SMALL["sweeps"]["seen"]
    typo = {"seen": {**sweep, "values": {"none": {"paraphrasd": 0.0}}}}
    with pytest.raises(
        UsageError, match=r"embedder-ablations, seen none: .*did you mean paraphrased"
    ):
        runs_of(small(tmp_path, sweeps=typo), folder=tmp_path)
    typo = {"seen": {**sweep, "base": "some"}}
    with pytest.raises(ContentError, match=r"sweeps\.seen: .*base: some is none of none, all"):
        small(tmp_path, sweeps=typo)
    apart = {"seen": {**sweep, "values": {"none": {}, "all": {"held_out": True}}}}
    with pytest.raises(UsageError, match="held_out differs between runs"):
        runs_of(small(tmp_path, sweeps=apart), folder=tmp_path)
    with pytest.raises(ContentError, match=r"sweeps\.seen\.seeds"):
        small(tmp_path, sweeps={"seen": {**sweep, "seeds": []}})
