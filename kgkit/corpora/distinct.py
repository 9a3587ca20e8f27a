"""Count how many different n-grams of tokens there are, in memory that does not grow with the texts.

Each n-gram is hashed to 64 bits and the smallest `KEPT` hashes are kept: fewer than that is an exact count (up to
hash collisions), more is estimated from how densely they lie (Bar-Yossef et al. 2002, "Counting distinct elements in
a data stream"), with a standard error of 1 / sqrt(KEPT - 2) = 0.2 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

KEPT = 2**18
LONGEST = 4
_SPACE = 2.0**64


@dataclass(frozen=True, slots=True, kw_only=True)
class Distinct:
    """n-grams of one length: how many in all, how many different ones, and whether that is an estimate.

    `share` is distinct-n (Li et al. 2016): 1 where no n-gram comes twice, near 0 where all texts are alike.
    """

    n: int
    total: int
    distinct: int
    estimated: bool

    @property
    def share(self) -> float:
        """Different n-grams per n-gram, in [0, 1]; 0 where there are none."""
        return self.distinct / self.total if self.total else 0.0


class DistinctNgrams:
    """Takes texts as token ids; says at any time how many different n-grams of 1 to `LONGEST` tokens came by."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self._sketches = [_Smallest(kept) for _ in range(LONGEST)]
        self._totals = [0] * LONGEST

    def add(self, texts: Sequence[Sequence[int]]) -> None:
        """Add the n-grams of each text; none reaches over the end of one."""
        import numpy as np

        lengths = [len(text) for text in texts]
        text_of = np.repeat(np.arange(len(texts)), lengths)
        whole = np.fromiter(chain.from_iterable(texts), dtype=np.uint64, count=sum(lengths))
        words = _mixed(whole + np.uint64(1))
        grams = words
        for n, sketch in enumerate(self._sketches, start=1):
            if n > 1:
                grams = _mixed(grams[: len(words) - n + 1] * np.uint64(3) + words[n - 1 :])
            inside = text_of[: len(grams)] == text_of[n - 1 :] if len(grams) else text_of[:0] == 0
            taken = grams[inside]
            self._totals[n - 1] += len(taken)
            sketch.add(taken)

    def counts(self) -> tuple[Distinct, ...]:
        """One record for each n, from 1 up."""
        return tuple(
            Distinct(n=n, total=total, distinct=sketch.estimate(), estimated=sketch.full)
            for n, (total, sketch) in enumerate(
                zip(self._totals, self._sketches, strict=True), start=1
            )
        )


class _Smallest:
    """The `kept` smallest different hashes of a stream; what is not smaller than them is dropped at once."""

    def __init__(self, kept: int) -> None:
        import numpy as np

        self._kept = kept
        self._smallest: Hashes = np.empty(0, dtype=np.uint64)
        self._waiting: list[Hashes] = []
        self._waiting_count = 0

    @property
    def full(self) -> bool:
        """Whether more different hashes came than are kept."""
        self._take_in()
        return len(self._smallest) >= self._kept

    def add(self, hashes: "Hashes") -> None:
        if len(self._smallest) >= self._kept:
            hashes = hashes[hashes < self._smallest[-1]]
        self._waiting.append(hashes)
        self._waiting_count += len(hashes)
        if self._waiting_count >= self._kept:
            self._take_in()

    def estimate(self) -> int:
        """How many different hashes came."""
        if not self.full:
            return len(self._smallest)
        return round((self._kept - 1) / (float(self._smallest[-1]) / _SPACE))

    def _take_in(self) -> None:
        import numpy as np

        if self._waiting:
            found = np.sort(np.concatenate([self._smallest, *self._waiting]))
            new = np.ones(len(found), dtype=np.bool_)
            np.not_equal(found[1:], found[:-1], out=new[1:])  # np.unique hashes: 20 times slower
            self._smallest = found[new][: self._kept]
            self._waiting, self._waiting_count = [], 0


def _mixed(values: "Hashes") -> "Hashes":
    """Spread 64-bit values evenly: the finaliser of splitmix64 (Steele et al. 2014)."""
    import numpy as np

    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
