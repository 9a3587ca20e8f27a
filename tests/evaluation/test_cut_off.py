"""Cut-offs: what a rule learns is the best there is on the queries that it learns from, and what it returns is what it says."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgkit.evaluation.cut_off import (
    RULES,
    Ranked,
    Rule,
    cut_offs,
    learned,
    ranked_queries,
    returned,
    set_score,
)


def query(scores: Sequence[float], hits: str) -> Ranked:
    """`hits`: a letter an item, x for a relevant one; a + behind them for one that is not among the items."""
    found = [letter == "x" for letter in hits if letter != "+"]
    assert len(found) == len(scores)
    return Ranked(
        scores=np.array(scores), hits=np.array(found), relevant=hits.count("x") + hits.count("+")
    )


def f1(one: Ranked, count: int) -> float:
    return 2 * int(one.hits[:count].sum()) / (count + one.relevant)


def test_each_rule_finds_the_value_that_divides_what_can_be_divided():
    same_number = [query([0.9, 0.8, 0.2], "xx-"), query([0.5, 0.1, 0.0], "xx-")]
    assert learned("first k", [same_number]) == 2
    same_score = [query([0.9, 0.8, 0.2], "xx-"), query([0.7, 0.4, 0.3], "x--")]
    assert learned("score", [same_score]) == 0.8
    assert [returned("score", 0.8, one.scores) for one in same_score] == [2, 1]
    same_distance = [query([0.9, 0.8, 0.2], "xx-"), query([0.3, 0.2, -0.5], "xx-")]
    distance = learned("distance", [same_distance])
    assert distance == pytest.approx(0.1)
    assert [returned("distance", distance, one.scores) for one in same_distance] == [2, 2]


def test_of_several_tasks_each_weighs_alike_however_many_queries_it_has():
    one, two = query([0.9, 0.8, 0.2], "x--"), query([0.9, 0.8, 0.2], "xx-")
    assert learned("first k", [[one, one, one, two, two]]) == 1
    assert learned("first k", [[one, one, one], [two], [two]]) == 2


def test_one_item_is_returned_however_bad_it_is():
    scores = np.array([0.2, 0.1])
    assert returned("score", 0.9, scores) == 1
    assert returned("distance", -1.0, scores) == 1
    assert returned("first k", 10, scores) == 2


@st.composite
def queries(draw: st.DrawFn) -> list[Ranked]:
    found = []
    for _ in range(draw(st.integers(1, 4))):
        size = draw(st.integers(1, 6))
        scores = draw(st.lists(st.integers(0, 10), min_size=size, max_size=size, unique=True))
        hits = draw(st.lists(st.sampled_from("x-"), min_size=size, max_size=size))
        found.append(query([score / 10 for score in sorted(scores)[::-1]], "".join(hits) + "+"))
    return found


@given(queries(), st.sampled_from(RULES))
def test_no_other_value_would_have_been_better(some: list[Ranked], rule: Rule):
    value = learned(rule, [some])
    mine = sum(f1(one, returned(rule, value, one.scores)) for one in some)
    others = range(1, 7) if rule == "first k" else [step / 20 for step in range(-1, 22)]
    for other in others:
        theirs = sum(f1(one, returned(rule, float(other), one.scores)) for one in some)
        assert (rule == "first k" and other < 1) or theirs <= mine + 1e-9


def test_a_task_with_few_dev_queries_learns_from_those_of_all_tasks():
    one, other = query([0.9, 0.1], "x-"), query([0.9, 0.8], "xx")
    dev = {"many": {str(n): one for n in range(6)}, "few": {str(n): other for n in range(5)}}
    found = cut_offs(dev, {"many": {"q": other}, "few": {"q": other}, "none": {"q": one}})
    assert {task: found[task]["first k"].tasks for task in found} == {
        "many": ["many"],
        "few": ["few", "many"],
        "none": ["few", "many"],
    }
    assert (found["many"]["first k"].queries, found["few"]["first k"].queries) == (6, 11)
    assert found["many"]["first k"].returned == {"q": 1}
    assert cut_offs({"few": dev["few"]}, {"few": {"q": other}}) == {"few": {}}


def test_queries_are_ranked_with_what_is_relevant_to_them():
    scores = np.array([[0.1, 0.9, 0.5]])
    [found] = ranked_queries(scores, ["a", "b", "c"], [frozenset({"c", "z"})])
    assert found.scores.tolist() == [0.9, 0.5, 0.1]
    assert found.hits.tolist() == [False, True, False]
    assert found.relevant == 2


def test_precision_recall_and_f1_of_a_set():
    found = set_score(["a", "b", "c", "d"], {"a", "b", "x"})
    assert found.precision == 0.5
    assert found.recall == pytest.approx(2 / 3)
    assert found.f1 == pytest.approx(4 / 7)
