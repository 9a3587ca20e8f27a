"""Scores of models whose answers are known: each number is what arithmetic says."""

import dataclasses
import json
import random

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from kgkit.evaluation.intervals import Interval, clustered, wilson
from kgkit.evaluation.scores import Outcome, Score, scores
from kgkit.records import Question

ASSETS = ("pump", "fan", "motor", "turbine")


def question(
    number, *, type="single", correct=(True, False, False, False), asset="pump", hard=False
):
    return Question(
        id=f"q{number}",
        benchmark="made",
        relation="relevance",
        direction="failure-mode-to-sensors",
        polarity="select" if number % 2 else "eliminate",
        type=type,
        asset=asset,
        family=asset,
        discipline="Rotating" if asset in ("pump", "fan") else "Other",
        language="en",
        asset_name="",
        subject="",
        stem="?",
        paraphrases=(),
        options=tuple("abcdefgh"[: len(correct)]),
        correct=correct,
        facts=(),
        proof="",
        option_ids=(),
        spares=(),
        sources=(),
        hard=hard,
    )


def made(n=120, seed=0):
    """`n` questions of all types on four assets."""
    rng = random.Random(seed)
    found = []
    for number in range(n):
        type = ("single", "multiple", "true-false")[number % 3]
        options = 2 if type == "true-false" else 4
        correct = [False] * options
        for at in rng.sample(range(options), rng.randint(1, 3) if type == "multiple" else 1):
            correct[at] = True
        found.append(
            question(
                number,
                type=type,
                correct=tuple(correct),
                asset=ASSETS[number % 4],
                hard=number % 5 == 0,
            )
        )
    return found


def answered(questions, chooses):
    """Outcomes of a model that is a function of the question: options, or why there are none."""
    found = {}
    for one in questions:
        said = chooses(one)
        chosen = None if isinstance(said, str) else frozenset(said)
        undecided = said if isinstance(said, str) else ""
        found[one.id] = Outcome(question_id=one.id, chosen=chosen, undecided=undecided, error="")
    return found


def right(one):
    return frozenset(at for at, correct in enumerate(one.correct) if correct)


def of(found, metric, slice=""):
    (score,) = [one for one in found if (one.metric, one.slice) == (metric, slice)]
    return score


def test_a_perfect_model_has_everything_right():
    questions = made()
    found = scores(questions, answered(questions, right), seen={}, seed=0)
    metrics = ("exact match", "exact match without undecided", "precision", "recall", "F1")
    assert {one.value for one in found if one.metric in metrics} == {1.0}
    assert {one.value for one in found if one.metric not in metrics} == {0}
    assert of(found, "exact match").n == 120


def test_a_model_that_takes_the_first_option_is_right_where_the_first_alone_is():
    questions = made()
    found = scores(questions, answered(questions, lambda one: {0}), seen={}, seed=0)
    alone = sum(one.correct[0] and sum(one.correct) == 1 for one in questions)
    several = [one for one in questions if one.type == "multiple"]
    assert of(found, "exact match").value == alone / 120
    assert of(found, "precision").value == pytest.approx(
        np.mean([one.correct[0] for one in several])
    )
    recalls = [one.correct[0] / sum(one.correct) for one in several]
    assert of(found, "recall").value == pytest.approx(np.mean(recalls))


def test_a_guessing_model_scores_what_chance_gives():
    questions = [
        question(
            number, correct=tuple(at == number % 4 for at in range(4)), asset=f"a{number % 20}"
        )
        for number in range(4_000)
    ]
    rng = random.Random(1)
    outcomes = answered(questions, lambda one: {rng.randrange(4)})
    found = of(scores(questions, outcomes, seen={}, seed=0), "exact match")
    hits = sum(outcomes[one.id].chosen == right(one) for one in questions)
    assert found.value == hits / 4_000
    # four standard errors of a share of one in four
    assert abs(found.value - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4_000)


def test_a_model_that_says_none_of_these_has_nothing_right_and_decides_nothing():
    questions = made()
    found = scores(questions, answered(questions, lambda one: "none of them"), seen={}, seed=0)
    exact, without = of(found, "exact match"), of(found, "exact match without undecided")
    assert (exact.value, exact.n, exact.n_undecided) == (0.0, 120, 120)
    assert (without.value, without.n, without.ci_low, without.ci_high) == (None, 0, None, None)
    assert of(found, "undecided: none of them").value == 120
    assert of(found, "undecided: no answer").value == 0
    assert of(found, "F1").value == 0.0


def test_every_kind_of_undecided_is_counted_and_is_wrong():
    questions = made(40)
    says = ["none of them", "no such option", "no answer", None]
    outcomes = answered(questions, lambda one: says[int(one.id[1:]) % 4] or right(one))
    found = scores(questions, outcomes, seen={}, seed=0)
    kinds = [of(found, f"undecided: {kind}").value for kind in says[:3]]
    assert kinds == [10, 10, 10]
    assert (of(found, "exact match").value, of(found, "exact match").n_undecided) == (0.25, 30)
    assert of(found, "exact match without undecided").value == 1.0


def test_errors_are_in_no_share():
    questions = made(30)
    outcomes = answered(questions, right)
    for one in questions[:12]:
        failed = Outcome(question_id=one.id, chosen=None, undecided="", error="timeout")
        outcomes[one.id] = failed
    del outcomes[questions[29].id]
    found = of(scores(questions, outcomes, seen={}, seed=0), "exact match")
    assert (found.value, found.n, found.n_undecided, found.n_errors) == (1.0, 17, 0, 12)


def test_options_are_scored_as_scikit_learn_scores_them():
    questions = [one for one in made(300) if one.type == "multiple"]
    rng = random.Random(2)
    outcomes = answered(questions, lambda one: [at for at in range(4) if rng.random() < 0.4])
    found = scores(questions, outcomes, seen={}, seed=0)
    chose = [[at in outcomes[one.id].chosen for at in range(4)] for one in questions]
    expected = precision_recall_fscore_support(
        np.array([one.correct for one in questions]),
        np.array(chose),
        average="samples",
        zero_division=0,
    )[:3]
    metrics = ("precision", "recall", "F1")
    assert [of(found, metric).value for metric in metrics] == pytest.approx(list(expected))


def test_a_slice_is_the_score_of_its_questions_alone():
    questions = made()
    rng = random.Random(3)
    outcomes = answered(questions, lambda one: {rng.randrange(len(one.options))})
    seen = {one.id: ("all", "some", "none")[number % 3] for number, one in enumerate(questions)}
    seen.pop("q7")
    found = scores(questions, outcomes, seen=seen, seed=0)
    within = {
        "asset=fan": lambda one: one.asset == "fan",
        "discipline=Other": lambda one: one.asset in ("motor", "turbine"),
        "hard=yes": lambda one: one.hard,
        "seen=some": lambda one: seen.get(one.id) == "some",
        "form=failure-mode-to-sensors/select/single": lambda one: (
            (one.polarity, one.type) == ("select", "single")
        ),
    }
    for slice, is_in in within.items():
        some = [one for one in questions if is_in(one)]
        alone = [one for one in scores(some, outcomes, seen={}, seed=0) if not one.slice]
        assert [dataclasses.replace(one, slice="") for one in found if one.slice == slice] == alone


def test_intervals_are_wilson_for_shares_and_clustered_for_means():
    questions = made()
    rng = random.Random(4)
    outcomes = answered(questions, lambda one: {rng.randrange(len(one.options))})
    found = scores(questions, outcomes, seen={}, seed=9)
    exact, f1 = of(found, "exact match"), of(found, "F1")
    share = wilson(round(exact.value * exact.n), exact.n)
    several = [one for one in questions if one.type == "multiple"]
    values = [
        2 * len(outcomes[one.id].chosen & right(one)) / (1 + len(right(one))) for one in several
    ]
    mean = clustered(values, [one.asset for one in several], seed=9)
    assert Interval(exact.ci_low, exact.ci_high) == share
    assert Interval(f1.ci_low, f1.ci_high) == mean


def test_scores_are_json():
    questions = made(12)
    found = scores(questions, answered(questions, right), seen={}, seed=0)
    rows = json.loads(json.dumps([dataclasses.asdict(one) for one in found]))
    assert [Score(**row) for row in rows] == found


def test_nothing_answered_gives_no_share():
    found = scores(made(3), {}, seen={}, seed=0)
    assert [(one.metric, one.value) for one in found[:2]] == [
        ("exact match", None),
        ("exact match without undecided", None),
    ]
    assert {one.slice for one in found} == {""}
