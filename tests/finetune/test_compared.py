"""What a study says of its arms: hand-made answers, numbers worked out by hand."""

import pytest

from kgkit.errors import UsageError
from kgkit.evaluation.intervals import holm
from kgkit.finetune.compared import Answered, Compared, compared

ASSETS = ("pump", "fan", "turbine", "motor", "engine", "generator")
QUESTIONS = [f"{asset}-{number}" for asset in ASSETS for number in range(10)]
CLUSTERS = {question: question.rpartition("-")[0] for question in QUESTIONS}


def right(share: int, *, shift: int = 0) -> dict[str, bool]:
    """`share` of ten questions of every asset right; with `shift` other ones."""
    return {
        question: (int(question.rpartition("-")[2]) + shift) % 10 < share for question in QUESTIONS
    }


def study(**arms: list[dict[str, bool]]) -> Compared:
    return compared(
        [Answered(benchmark="fmsr", clusters=CLUSTERS, arms={"base": [right(3)], **arms})],
        base="base",
    )


def test_a_score_is_the_mean_over_seeds():
    found = study(tuned=[right(5), right(6), right(7)]).score("tuned", "fmsr")
    assert (found.n, found.by_run) == (60, (0.5, 0.6, 0.7))
    assert found.value == pytest.approx(0.6)
    assert found.interval is not None
    assert found.interval.low == pytest.approx(0.5)
    assert found.interval.high == pytest.approx(0.7)


def test_a_model_that_is_not_trained_stands_against_every_seed():
    (gain,) = study(tuned=[right(5), right(7)]).to_base
    assert (gain.arm, gain.against, gain.n) == ("tuned", "base", 60)
    assert gain.value == pytest.approx(0.3)
    assert gain.p == gain.p_adjusted
    assert gain.verdict == "better"


def test_arms_that_answer_alike_do_not_differ():
    runs = [right(5), right(6, shift=2)]
    (pair,) = study(one=runs, other=runs).between
    assert (pair.value, pair.p, pair.p_adjusted, pair.verdict) == (0.0, 1.0, 1.0, "not sure")
    assert pair.interval is not None
    assert (pair.interval.low, pair.interval.high) == (0.0, 0.0)


def test_seeds_are_compared_with_the_same_seeds():
    """Each seed of one is 0.1 better than the same seed of the other: the interval knows of no doubt."""
    (pair,) = study(one=[right(2), right(8)], other=[right(3), right(9)]).between
    assert (pair.arm, pair.against) == ("other", "one")
    assert pair.interval is not None
    assert pair.interval.low == pytest.approx(0.1)
    assert pair.interval.high == pytest.approx(0.1)


def test_a_difference_that_hangs_on_the_seed_is_not_sure():
    gain = study(lucky=[right(9), right(1), right(4)]).gain("lucky", "fmsr")
    assert gain is not None
    assert gain.value == pytest.approx(0.5 / 3)
    assert gain.verdict == "not sure"


def test_worse_is_said_as_plainly_as_better():
    gain = study(spoilt=[right(0), right(1), right(0)]).gain("spoilt", "fmsr")
    assert gain is not None
    assert gain.verdict == "worse"


def test_p_is_adjusted_among_the_arms_against_the_base_and_among_the_pairs():
    found = study(
        one=[right(4), right(4)], two=[right(3, shift=1), right(4)], three=[right(6), right(7)]
    )
    for family, size in ((found.to_base, 3), (found.between, 3)):
        assert len(family) == size
        assert [one.p_adjusted for one in family] == holm([one.p for one in family])
    assert {(one.arm, one.against) for one in found.between} == {
        ("two", "one"),
        ("three", "one"),
        ("three", "two"),
    }


def test_questions_that_a_run_did_not_answer_count_for_no_arm():
    some = right(5)
    del some["pump-0"], some["pump-9"]
    found = study(tuned=[some, right(5)])
    assert found.left_out == {"fmsr": 2}
    assert {score.n for score in found.scores} == {58}
    assert found.score("base", "fmsr").value == pytest.approx(17 / 58)


def test_runs_without_a_common_question_are_no_study():
    with pytest.raises(UsageError, match="the runs of the study share no question"):
        study(tuned=[{"elsewhere": True}])
