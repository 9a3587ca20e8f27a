"""Find texts that say the same in (nearly) the same words: sketches -> candidate pairs -> exact Jaccard -> the one kept.

Two texts are duplicates when the Jaccard similarity of their sets of word 5-grams reaches the threshold. MinHash
signatures (rensa) in bands only propose pairs; what is decided rests on the whole sets, so a reported similarity
is exact. Runs of five words are what datatrove takes too: one other sensor name in a sentence of a template changes up
to five runs for each time it is said, so that documents on different facts stay apart, while a text with a word in
fifty replaced is still caught. The result depends on the texts and their ids alone, not on their order.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import rensa

from kgkit.corpora.curation import DuplicateSpec
from kgkit.corpora.shingles import Hashes, Places, Ragged, mixed, runs

Number = TypeVar("Number", np.uint64, np.int64, np.uint8)
Signatures: TypeAlias = npt.NDArray[np.uint32]
_PAIRS_AT_ONCE = 100_000
_BAND = np.uint64(0xFF51AFD7ED558CCD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """A text that another one of its group makes superfluous. `jaccard` in (0, 1]; `exact`: equal but for case and spacing."""

    id: str
    group: str
    duplicate_of: str
    jaccard: float
    exact: bool


@dataclass(slots=True)
class _Text:
    """A text among the sketches: with the smallest of the ids that share it, and the others."""

    id: str
    group: str
    length: int
    same: list[str]


def signatures(shingles: Ragged, *, permutations: int, seed: int) -> Signatures:
    """MinHash signatures (n_texts, permutations) of rows of shingle hashes; a text without shingles has all ones."""
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        shingles.values, shingles.offsets.astype(np.uint64), num_perm=permutations, seed=seed
    )
    rows = np.array(matrix.to_rows(), dtype=np.uint32)
    return rows.reshape(len(shingles.offsets) - 1, permutations)


def band_keys(of: Signatures, *, bands: int, rows: int) -> Hashes:
    """A key (n_texts, bands) for each band of `rows` places of the signatures: equal keys make a candidate pair."""
    cut = of[:, : bands * rows].reshape(len(of), bands, rows).astype(np.uint64)
    keys = np.zeros((len(of), bands), np.uint64)
    for place in range(rows):
        keys = mixed(keys * _BAND + cut[:, :, place])
    return keys


def distinct(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """The set of `values`, sorted."""
    ordered = np.sort(values)  # np.unique hashes first, which takes five times as long here
    kept: npt.NDArray[Number] = ordered[np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)]]
    return kept


def jaccard(one: Hashes, other: Hashes) -> float:
    """|intersection| / |union| in [0, 1] of two sets as `distinct` makes them; 0 for two empty ones."""
    both = len(one) + len(other)
    if not both:
        return 0.0
    merged = np.concatenate((one, other))
    merged.sort()
    common = int(np.count_nonzero(merged[1:] == merged[:-1]))
    return common / (both - common)


class DuplicateSearch:
    """Takes texts in batches (`add`), then says which are superfluous (`found`). 8 bytes a word stay in memory."""

    def __init__(self, spec: DuplicateSpec) -> None:
        self.crowded = 0
        self._spec = spec
        self._texts: list[_Text] = []
        self._known: dict[bytes, int] = {}
        self._shingles: list[Hashes] = []
        self._sets: dict[int, Hashes] = {}
        self._sketches: list[npt.NDArray[np.uint8]] = []
        self._keys: list[Hashes] = []

    def add(
        self, ids: Sequence[str], groups: Sequence[str], texts: Sequence[str], words: Ragged
    ) -> None:
        """Add texts as `plain_text` makes them with their word hashes. Texts of two groups are never duplicates."""
        new = []
        for place, (id_, group, text) in enumerate(zip(ids, groups, texts, strict=True)):
            digest = hashlib.blake2b(
                f"{group}\0{text}".encode(errors="surrogatepass"), digest_size=16
            )
            at = self._known.setdefault(digest.digest(), len(self._texts))
            if at < len(self._texts):
                self._texts[at].same.append(id_)
                continue
            self._texts.append(_Text(id_, group, len(text), []))
            new.append(place)
        if new:
            self._sketch(words.rows(new), [groups[place] for place in new])

    def _sketch(self, words: Ragged, groups: Sequence[str]) -> None:
        spec = self._spec
        shingles = runs(words, spec.words)
        signed = signatures(shingles, permutations=spec.permutations, seed=spec.seed)
        keys = band_keys(signed, bands=spec.bands, rows=spec.rows)
        # texts of different groups, and of the empty text, never share a key
        keys ^= np.array([_number(group) for group in groups], np.uint64)[:, None]
        self._keys.append(keys)
        self._sketches.append(signed.astype(np.uint8))
        for row in range(len(groups)):
            self._shingles.append(shingles.row(row))

    def found(self) -> list[Duplicate]:
        """Every superfluous text, by id. The longest of those alike stays, among equally long ones the smallest id."""
        self._sort()
        duplicates = []
        instead: dict[int, tuple[int, float]] = {}
        for alike in self._clusters():
            instead.update(self._superfluous(alike))
        for number, text in enumerate(self._texts):
            kept, similarity = instead.get(number, (number, 1.0))
            superfluous = text.same if kept == number else [text.id, *text.same]
            duplicates += [
                Duplicate(
                    id=id_,
                    group=text.group,
                    duplicate_of=self._texts[kept].id,
                    jaccard=round(similarity, 4),
                    exact=kept == number,
                )
                for id_ in superfluous
            ]
        return sorted(duplicates, key=lambda duplicate: duplicate.id)

    def _sort(self) -> None:
        """Bring the texts into the order of their ids, so that the order in which they came does not count."""
        for text in self._texts:
            text.id, *text.same = sorted([text.id, *text.same])
        self._known.clear()  # points to the old places: nothing can be added now
        order = sorted(range(len(self._texts)), key=lambda number: self._texts[number].id)
        self._texts = [self._texts[number] for number in order]
        self._shingles = [self._shingles[number] for number in order]
        if order:
            self._keys = [_in_order(self._keys, order)]
            self._sketches = [_in_order(self._sketches, order)]

    def _superfluous(self, alike: Sequence[int]) -> Iterator[tuple[int, tuple[int, float]]]:
        """Of a cluster: each text that one of the kept ones makes superfluous, with that one and their similarity.

        A cluster is chained (a like b, b like c), so a text may be like none that is kept: then it is kept as well.
        """
        kept: list[int] = []
        for number in sorted(alike, key=lambda at: (-self._texts[at].length, self._texts[at].id)):
            best, of = max(
                ((self._similarity(number, other), -place) for place, other in enumerate(kept)),
                default=(0.0, 0),
            )
            if best >= self._spec.jaccard:
                yield number, (kept[-of], best)
            else:
                kept.append(number)

    def _similarity(self, one: int, other: int) -> float:
        return jaccard(self._set(one), self._set(other))

    def _set(self, number: int) -> Hashes:
        if number not in self._sets:
            self._sets[number] = distinct(self._shingles[number])
        return self._sets[number]

    def _clusters(self) -> list[list[int]]:
        """Texts connected by pairs whose exact similarity reaches the threshold, two or more each."""
        if not self._keys:
            return []
        (keys,), (sketches,) = self._keys, self._sketches
        label = np.arange(len(keys))
        members: dict[int, list[int]] = {}
        failed: set[tuple[int, int]] = set()
        for one, other in self._pairs(keys, sketches, label):
            pair = (one, other) if one < other else (other, one)
            if label[one] == label[other] or pair in failed:
                continue
            if self._similarity(one, other) < self._spec.jaccard:
                failed.add(pair)
                continue
            _unite(int(label[one]), int(label[other]), label, members)
        return list(members.values())

    def _pairs(
        self, keys: Hashes, sketches: npt.NDArray[np.uint8], label: Places
    ) -> Iterator[tuple[int, int]]:
        """Pairs that share a band and look alike by their sketches; `label` may grow meanwhile.

        Neighbours come first, so that a crowd of equal texts is one cluster before its other pairs are looked at.
        """
        spec = self._spec
        bands = keys.shape[1]
        # four standard errors below the threshold: no pair above it is lost to the estimate
        least = spec.jaccard - 4 * (spec.jaccard * (1 - spec.jaccard) / sketches.shape[1]) ** 0.5
        for band in range(bands):
            order = np.lexsort((keys[:, (band + 1) % bands], keys[:, band]))
            row = keys[order, band]
            bounds = np.append(np.flatnonzero(np.r_[True, row[1:] != row[:-1]]), len(row))
            sizes = np.diff(bounds)
            self.crowded += int(np.count_nonzero(sizes > spec.window))
            left = np.repeat(bounds[1:], sizes) - np.arange(
                len(row)
            )  # from a place to its run's end
            active = np.flatnonzero(left > 1)
            for apart in range(1, spec.window + 1):
                active = active[left[active] > apart]
                if not len(active):
                    break
                for start in range(0, len(active), _PAIRS_AT_ONCE):
                    some = active[start : start + _PAIRS_AT_ONCE]
                    one, other = order[some], order[some + apart]
                    new = label[one] != label[other]
                    one, other = one[new], other[new]
                    like = np.mean(sketches[one] == sketches[other], axis=1) >= least
                    yield from zip(one[like].tolist(), other[like].tolist(), strict=True)


def _in_order(parts: list[npt.NDArray[Number]], order: Sequence[int]) -> npt.NDArray[Number]:
    """The rows of all parts, which are taken out of the list one by one, so that they are not in memory twice."""
    to = np.empty(len(order), np.int64)
    to[order] = np.arange(len(order))
    whole = np.empty((len(order), parts[0].shape[1]), parts[0].dtype)
    at = len(order)
    while parts:
        part = parts.pop()
        at -= len(part)
        whole[to[at : at + len(part)]] = part
    return whole


def _unite(one: int, other: int, label: Places, members: dict[int, list[int]]) -> None:
    """Make two clusters one; the smaller one takes the other's label."""
    sides = {side: members.pop(side, [side]) for side in (one, other)}
    large, small = (one, other) if len(sides[one]) >= len(sides[other]) else (other, one)
    label[sides[small]] = large
    members[large] = sides[large] + sides[small]


@cache
def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
