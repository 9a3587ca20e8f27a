"""Turn texts into arrays of hashes: one per word, one per run of n words. Everything that curates passages counts these.

A batch of texts is one array of code points, so that no Python loop sees a word: some 30 microseconds for a text of
1,200 characters. A word is a run of letters and digits, without case; a Chinese or Japanese character is a word of its
own. Hashes are 64 bits of the content alone, the same on every machine and in every order.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Hashes: TypeAlias = npt.NDArray[np.uint64]
Places: TypeAlias = npt.NDArray[np.int64]

_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)
_RUN = np.uint64(0xD6E8FEB86659FD93)
# Kana and Han with its extensions and compatibility forms, written without spaces; and all beyond the basic plane.
_OWN_WORDS = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF))
_OWN = "".join(f"{chr(first)}-{chr(last)}" for first, last in _OWN_WORDS) + "\U00010000-\U0010ffff"
_WORD = re.compile(f"[{_OWN}]|[^\\W_{_OWN}]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ragged:
    """Rows of different lengths in one array: row i is values[offsets[i]:offsets[i + 1]]."""

    values: Hashes
    offsets: Places

    @property
    def lengths(self) -> Places:
        """How many values each row has."""
        return np.diff(self.offsets)

    def row(self, number: int) -> Hashes:
        """The values of one row."""
        return self.values[self.offsets[number] : self.offsets[number + 1]]

    def rows(self, numbers: Sequence[int]) -> "Ragged":
        """Some rows, in the order given."""
        if list(numbers) == list(range(len(self.offsets) - 1)):
            return self
        parts = [self.row(number) for number in numbers]
        return Ragged(
            values=np.concatenate([_none(0), *parts]),
            offsets=_running(np.array([len(part) for part in parts], np.int64)),
        )

    def count(self, marked: npt.NDArray[np.bool_]) -> Places:
        """How many values of each row are `marked`, a flag for each value."""
        return np.diff(_running(marked.astype(np.int64))[self.offsets])


def plain_text(text: str) -> str:
    """The text as it is compared: without case, compatibility characters resolved, single spaces."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def spelled(text: str) -> list[str]:
    """The words of a text that `words` hashes, as they are written."""
    return _WORD.findall(text)


def words(texts: Sequence[str]) -> Ragged:
    """A hash for each word of each text. Give texts as `plain_text` makes them, if case is not to count."""
    codes = np.frombuffer("\0".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    kinds = _kinds()[np.minimum(codes, 0xFFFF)]
    before = np.concatenate((np.zeros(1, np.uint8), kinds))
    after = np.concatenate((kinds, np.zeros(1, np.uint8)))
    # a word begins where the kind changes, and at each character that is a word of its own
    edge = (before != after) | (before == 2) | (after == 2)
    first = np.flatnonzero(edge[:-1] & (kinds > 0))
    last = np.flatnonzero(edge[1:] & (kinds > 0)) + 1
    powers, inverses = _powers(max(len(codes), 1 << 16).bit_length())
    whole = np.concatenate(
        (np.zeros(1, np.uint64), np.cumsum((codes + np.uint64(1)) * powers[: len(codes)]))
    )
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    bounds = _running(lengths + 1)
    return Ragged(
        values=mixed((whole[last] - whole[first]) * inverses[first]),
        offsets=np.searchsorted(first, bounds).astype(np.int64),
    )


def runs(of: Ragged, length: int) -> Ragged:
    """A hash for each run of `length` words in a row; a row of fewer words has one run, all of it."""
    count = len(of.values)
    hashes = np.zeros(max(count - length + 1, 0), np.uint64)
    for place in range(length):
        hashes *= _RUN
        hashes += of.values[place : place + len(hashes)]
    lengths = of.lengths
    new = np.where(lengths >= length, lengths - length + 1, np.minimum(lengths, 1))
    offsets = _running(new)
    starts = np.repeat(of.offsets[:-1] - offsets[:-1], new) + np.arange(offsets[-1])
    values = hashes[np.minimum(starts, len(hashes) - 1)] if len(hashes) else _none(len(starts))
    for row in np.flatnonzero((lengths > 0) & (lengths < length)):
        whole = 0
        for word in of.row(int(row)).tolist():
            whole = (whole * int(_RUN) + word) & 0xFFFFFFFFFFFFFFFF
        values[offsets[row]] = whole
    return Ragged(values=mixed(values), offsets=offsets)


def mixed(values: Hashes) -> Hashes:
    """Spread 64 bits evenly (the finaliser of splitmix64), so that any bits of a hash are as good as others."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class HashSet:
    """A fixed set of hashes that tells for an array which members it has, in some 3 nanoseconds each."""

    def __init__(self, members: Hashes) -> None:
        self._sorted = np.unique(members)
        bits = max(len(self._sorted) * 16, 1 << 10).bit_length()
        self._mask = np.uint64((1 << bits) - 1)
        self._maybe = np.zeros(1 << bits, np.bool_)
        self._maybe[self._sorted & self._mask] = True

    def __contains__(self, value: int) -> bool:
        return bool(self.has(np.array([value], np.uint64))[0])

    def has(self, values: Hashes) -> npt.NDArray[np.bool_]:
        """A flag for each of `values`: whether it is a member."""
        found: npt.NDArray[np.bool_] = self._maybe[values & self._mask]
        maybe = np.flatnonzero(found)
        if len(maybe):
            wanted = values[maybe]
            at = np.minimum(np.searchsorted(self._sorted, wanted), len(self._sorted) - 1)
            found[maybe] = self._sorted[at] == wanted
        return found


def _running(counts: npt.NDArray[np.int64]) -> Places:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))


def _none(count: int) -> Hashes:
    return np.zeros(count, np.uint64)


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """By code point, up to the last of the basic plane: 0 between words, 1 in a word, 2 a word of its own."""
    kinds = np.fromiter((chr(code).isalnum() for code in range(1 << 16)), np.uint8, 1 << 16)
    for first, last in _OWN_WORDS:
        kinds[first : last + 1] = 2
    kinds[0xFFFF] = 2
    return kinds


@cache
def _powers(bits: int) -> tuple[Hashes, Hashes]:
    """Powers of the base and of its inverse modulo 2^64, up to the exponent 2^bits."""
    both = []
    for base in (_BASE, _INVERSE):
        row = np.full(1 << bits, base, np.uint64)
        row[0] = 1
        both.append(np.cumprod(row, dtype=np.uint64))
    return both[0], both[1]
