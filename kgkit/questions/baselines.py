"""Answer questions without any model, from the tables of training assets: what every score must be seen beside.

All give each option a rate, how likely its pair holds, and smooth it with two counts of the level below:
popularity with the share of pairs that hold, the others with popularity. A single choice takes the likeliest option (the least
likely where those that do not hold are looked for), else every option above one half. Equal rates: the first by a hash.

popularity     how often the option holds on training assets, whatever the subject
pair lookup    how often the same pair holds on training assets
token kernel   every training pair votes with the cube of the product of both names' word overlap (Jaccard)
semantic       the same with embeddings: exp((cos - 1) / 0.15) for each of the two names
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Literal

from kgkit.names import plain
from kgkit.questions.facts import Fact, Relation
from kgkit.records import Question

Baseline = Literal["popularity", "pair lookup", "token kernel", "semantic kernel"]
Seen = Literal["all", "some", "none"]
Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Texts -> unit vectors, one each."""
COUNTS_BELOW = 2.0
"""So many counts of the level below smooth a rate."""
KERNEL_WIDTH = 0.15
"""Of the semantic kernel, in cosines."""
_HALF = 0.5


class Rates:
    """How likely pairs of one relation hold, by four ways of counting the training facts. Names by id: `left`, `right`."""

    def __init__(
        self,
        facts: Iterable[Fact],
        *,
        names: Mapping[str, Mapping[str, str]],
        vectors: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self._names = names
        self._vectors = vectors or {}
        self._pairs: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        self._side: dict[str, dict[str, list[int]]] = {
            "left": defaultdict(lambda: [0, 0]),
            "right": defaultdict(lambda: [0, 0]),
        }
        total = [0, 0]
        for fact in facts:
            for count in (
                total,
                self._pairs[fact.left, fact.right],
                self._side["left"][fact.left],
                self._side["right"][fact.right],
            ):
                count[0] += fact.holds
                count[1] += 1
        self._base = total[0] / total[1] if total[1] else _HALF
        self._lefts = sorted({left for left, _ in self._pairs})
        self._rights = sorted({right for _, right in self._pairs})
        self._weights: dict[tuple[str, str, str], list[float]] = {}
        self._voted: dict[tuple[str, tuple[str, str]], tuple[float, float]] = {}

    def seen(self, pair: tuple[str, str]) -> bool:
        """Whether any training asset's table has the pair."""
        return pair in self._pairs

    def rate(self, baseline: Baseline, pair: tuple[str, str], *, option_is: str) -> float:
        """How likely the pair holds, in (0, 1). `option_is`: which side of it is the option, `left` or `right`."""
        side = 0 if option_is == "left" else 1
        popularity = _smoothed(*self._side[option_is].get(pair[side], (0, 0)), below=self._base)
        if baseline == "popularity":
            return popularity
        if baseline == "pair lookup":
            return _smoothed(*self._pairs.get(pair, (0, 0)), below=popularity)
        if (baseline, pair) not in self._voted:
            self._voted[baseline, pair] = self._votes(baseline, pair)
        return _smoothed(*self._voted[baseline, pair], below=popularity)

    def _votes(self, kernel: Baseline, pair: tuple[str, str]) -> tuple[float, float]:
        """The weighted pairs that hold, and all."""
        left = dict(
            zip(self._lefts, self._likeness(kernel, "left", pair[0], self._lefts), strict=True)
        )
        right = dict(
            zip(self._rights, self._likeness(kernel, "right", pair[1], self._rights), strict=True)
        )
        held = total = 0.0
        for (one, other), (holds, count) in self._pairs.items():
            weight = left[one] * right[other]
            held += weight * holds
            total += weight * count
        return held, total

    def _likeness(
        self, kernel: Baseline, side: str, id_: str, others: Sequence[str]
    ) -> list[float]:
        key = (kernel, side, id_)
        if key not in self._weights:
            name = self._names[side].get(id_, id_)
            texts = [self._names[side].get(other, other) for other in others]
            if kernel == "token kernel":
                found = [word_overlap(name, text) ** 3 for text in texts]
            else:
                found = self._by_meaning(name, texts)
            self._weights[key] = found
        return self._weights[key]

    def _by_meaning(self, name: str, texts: Sequence[str]) -> list[float]:
        mine = self._vectors[name]
        cosines = [
            sum(a * b for a, b in zip(mine, self._vectors[text], strict=True)) for text in texts
        ]
        return [math.exp((cosine - 1) / KERNEL_WIDTH) for cosine in cosines]


def rates_of(
    training: Mapping[Relation, Iterable[Fact]],
    everything: Mapping[Relation, Iterable[Fact]],
    *,
    embed: Embed | None = None,
) -> dict[str, Rates]:
    """Rates by relation from training facts; names come from all facts, since a held-out asset's names are no secret.

    Without `embed` there is no semantic kernel.
    """
    found: dict[str, Rates] = {}
    for relation, facts in everything.items():
        names: dict[str, dict[str, str]] = {"left": {}, "right": {}}
        for fact in facts:
            names["left"][fact.left] = fact.left_name
            names["right"][fact.right] = fact.right_name
        said = sorted({name for side in names.values() for name in side.values()})
        vectors = dict(zip(said, embed(said), strict=True)) if embed else None
        found[relation] = Rates(training.get(relation, ()), names=names, vectors=vectors)
    return found


def seen(question: Question, rates: Mapping[str, Rates]) -> Seen | None:
    """How many of the options' pairs training assets have; None where a question rests on no pairs."""
    if not question.facts:
        return None
    known = [rates[question.relation].seen(pair) for pair in question.facts]
    return "all" if all(known) else "some" if any(known) else "none"


def answer(baseline: Baseline, question: Question, rates: Mapping[str, Rates]) -> frozenset[int]:
    """The options that a baseline chooses."""
    of = rates[question.relation]
    side = _option_side(question)
    found = [of.rate(baseline, pair, option_is=side) for pair in question.facts]
    if question.type == "true-false":
        holds = found[0] > _HALF
        return frozenset({0 if holds == (question.polarity == "select") else 1})
    likely = found if question.polarity == "select" else [1 - rate for rate in found]
    best = max(range(len(likely)), key=lambda at: (likely[at], _tie(question, at)))
    if question.type == "single":
        return frozenset({best})
    return frozenset({at for at, rate in enumerate(likely) if rate > _HALF} or {best})


def chance(question: Question) -> float:
    """How often a blind guess is exactly right: one option of a single choice, any set of options but none of a multiple one."""
    options = len(question.options)
    return 1 / (2**options - 1) if question.type == "multiple" else 1 / options


def blind(question: Question, *, seed: int) -> frozenset[int]:
    """A guess by a hash of the seed and the question."""
    options = len(question.options)
    number = int(hashlib.sha256(f"{seed}/{question.id}".encode()).hexdigest(), 16)
    if question.type != "multiple":
        return frozenset({number % options})
    bits = number % (2**options - 1) + 1
    return frozenset(at for at in range(options) if bits >> at & 1)


def _option_side(question: Question) -> str:
    """Which side of its pairs differs between the options."""
    lefts = {left for left, _ in question.facts}
    if len(question.facts) > 1 and len(lefts) > 1:
        return "left"
    return "left" if question.direction == "sensor-to-failure-modes" else "right"


def _smoothed(held: float, total: float, *, below: float) -> float:
    return (held + COUNTS_BELOW * below) / (total + COUNTS_BELOW)


def _tie(question: Question, at: int) -> str:
    return hashlib.sha256(f"{question.id}/{question.options[at]}".encode()).hexdigest()


@cache
def _words(name: str) -> frozenset[str]:
    return frozenset(plain(name).replace("/", " ").replace("-", " ").split())


def word_overlap(one: str, other: str) -> float:
    """Jaccard overlap of the words of two names, in [0, 1]."""
    mine, yours = _words(one), _words(other)
    return len(mine & yours) / len(mine | yours)
