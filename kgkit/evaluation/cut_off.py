"""How many of the ranked items to return for a query: the same number for all, those from a score on, or those near enough to the best. Pure.

What the rules need is learned on dev queries: the value with the best mean F1. The embedding paper leaves a dynamic cut-off to future work.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import BaseModel, ConfigDict

from kgkit.evaluation.intervals import ENOUGH
from kgkit.evaluation.retrieval_metrics import DEPTH, rank

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Counts = npt.NDArray[np.intp]

Rule = Literal["first k", "score", "distance"]
"""The first k items; those whose score is at least so high; those whose score is at most so far below the best."""
RULES: tuple[Rule, ...] = get_args(Rule)
_CANDIDATES = 1_000
_ROUNDED = 1e-9
"""A score may be below what is asked by so much: what was subtracted from the best comes back a little off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One query's best items: their scores, best first, whether each is relevant, and how many relevant ones there are in all."""

    scores: "Floats"
    hits: "npt.NDArray[np.bool_]"
    relevant: int


class CutOff(BaseModel):
    """A rule's value, learned on `queries` dev queries of `tasks`, and how many items it returns: query id -> number."""

    model_config = ConfigDict(frozen=True)

    value: float
    queries: int
    tasks: list[str]
    returned: dict[str, int]


@dataclass(frozen=True, slots=True)
class SetScore:
    """How well a returned set does for one query, in [0, 1]."""

    precision: float
    recall: float
    f1: float


def ranked_queries(
    scores: "Floats", items: Sequence[str], relevant: Sequence[Collection[str]]
) -> list[Ranked]:
    """The rows of `scores` (n_queries, n_items), each with what is relevant to its query."""
    import numpy as np

    best = -np.sort(-scores, axis=1)[:, :DEPTH]
    return [
        Ranked(
            scores=row,
            hits=np.array([item in wanted for item in ranking]),
            relevant=len(wanted),
        )
        for row, ranking, wanted in zip(best, rank(scores, items), relevant, strict=True)
    ]


def cut_offs(
    dev: Mapping[str, Mapping[str, Ranked]], tested: Mapping[str, Mapping[str, Ranked]]
) -> dict[str, dict[Rule, CutOff]]:
    """Task -> rule -> what it learns and returns; `dev` and `tested` are task -> query id -> query.

    A task learns from its own dev queries, from those of all tasks, which then weigh alike, where it has fewer than six, and nothing where these are fewer too.
    """
    found: dict[str, dict[Rule, CutOff]] = {}
    for task, asked in tested.items():
        learned_on = [task] if len(dev.get(task, ())) >= ENOUGH else sorted(dev)
        queries = [list(dev[name].values()) for name in learned_on]
        count = sum(map(len, queries))
        found[task] = {}
        for rule in RULES if count >= ENOUGH else ():
            value = learned(rule, queries)
            found[task][rule] = CutOff(
                value=value,
                queries=count,
                tasks=learned_on,
                returned={id_: returned(rule, value, one.scores) for id_, one in asked.items()},
            )
    return found


def learned(rule: Rule, tasks: Sequence[Sequence[Ranked]]) -> float:
    """The value of the rule with the best mean F1 on these tasks' queries, each task as weighty; of equally good ones that which returns least."""
    import numpy as np

    candidates = _candidates(rule, [query for queries in tasks for query in queries])
    total = np.zeros(len(candidates))
    for queries in tasks:
        for query in queries:
            places = np.arange(1, len(query.hits) + 1)
            f1 = 2 * np.cumsum(query.hits) / (places + query.relevant)
            total += f1[_counts(rule, candidates, query.scores) - 1] / len(queries)
    best = np.flatnonzero(np.isclose(total, total.max(), rtol=0, atol=1e-12))
    return float(candidates[best[0]])


def returned(rule: Rule, value: float, scores: "Floats") -> int:
    """How many of a query's items, whose scores these are, best first, the rule returns: one at least."""
    import numpy as np

    return int(_counts(rule, np.array([value]), scores)[0])


def set_score(found: Sequence[str], relevant: Collection[str]) -> SetScore:
    """Precision, recall and F1 of a returned set; both have an item."""
    right = len(set(found) & set(relevant))
    return SetScore(
        precision=right / len(found),
        recall=right / len(relevant),
        f1=2 * right / (len(found) + len(relevant)),
    )


def _candidates(rule: Rule, queries: Sequence[Ranked]) -> "Floats":
    """Values to try, from that which returns least."""
    import numpy as np

    if rule == "first k":
        return np.arange(1.0, max(len(query.scores) for query in queries) + 1)
    if rule == "score":
        values = np.concatenate([query.scores for query in queries])
        return _some(values)[::-1]
    return _some(np.concatenate([query.scores[0] - query.scores for query in queries]))


def _some(values: "Floats") -> "Floats":
    """The values themselves from the least, or evenly spread ones of them where they are many."""
    import numpy as np

    unique = np.unique(values)
    if len(unique) <= _CANDIDATES:
        return unique
    return unique[np.linspace(0, len(unique) - 1, _CANDIDATES).astype(np.intp)]


def _counts(rule: Rule, values: "Floats", scores: "Floats") -> "Counts":
    """For each value of the rule how many items of a query it returns."""
    import numpy as np

    if rule == "first k":
        return np.minimum(values.astype(np.intp), len(scores))
    least = values if rule == "score" else scores[0] - values
    return np.maximum(np.searchsorted(-scores, _ROUNDED - least, side="right"), 1)
