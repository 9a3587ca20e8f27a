"""Near-duplicates: what exact Jaccard says is found, whatever the order; datasketch is the reference for sketches."""

import random
from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.near_duplicates import exact_pairs
from benchmarks.passages import passages
from kgkit.corpora.curation import read_spec
from kgkit.corpora.near_duplicates import (
    Duplicate,
    DuplicateSearch,
    distinct,
    jaccard,
    signatures,
)
from kgkit.corpora.shingles import plain_text, runs, spelled, words
from tests.corpora.curated import DOCUMENT, OTHER, replaced

SPEC = read_spec().duplicates


def search(texts: dict[str, str], *, group: str = "g", batch: int = 100) -> list[Duplicate]:
    found = DuplicateSearch(SPEC)
    ids = list(texts)
    for start in range(0, len(ids), batch):
        some = ids[start : start + batch]
        plain = [plain_text(texts[id_]) for id_ in some]
        found.add(some, [group] * len(some), plain, words(plain))
    return found.found()


def shingles(text: str) -> set[tuple[str, ...]]:
    row = spelled(plain_text(text))
    return {tuple(row[at : at + SPEC.words]) for at in range(max(len(row) - SPEC.words + 1, 1))}


def similarity(one: str, other: str) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def generated(count: int) -> dict[str, str]:
    return {id_: text for id_, _, _, text in passages(count, seed=3)}


def test_against_exact_jaccard_of_all_pairs() -> None:
    texts = generated(1_000)
    alike = {pair for pair, exact in exact_pairs(texts).items() if exact >= SPEC.jaccard}
    found = search(texts)
    left_out = {one.id for one in found}
    met = sum(bool(left_out & set(pair)) for pair in alike)
    assert len(alike) > 50
    assert met >= 0.98 * len(alike)
    assert {one.id: one.jaccard for one in found} == {
        one.id: round(similarity(texts[one.id], texts[one.duplicate_of]), 4) for one in found
    }
    assert all(one.jaccard >= SPEC.jaccard for one in found)
    assert not left_out & {one.duplicate_of for one in found}


@settings(max_examples=12, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 70))
def test_order_and_batches_do_not_count(rng: random.Random, batch: int) -> None:
    texts = generated(60) | {f"v{n}": replaced(DOCUMENT, n % 4, seed=n) for n in range(12)}
    ids = list(texts)
    rng.shuffle(ids)
    assert search({id_: texts[id_] for id_ in ids}, batch=batch) == search(texts)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=14))
def test_what_is_kept_holds_no_duplicates(edits: list[int]) -> None:
    texts = {f"v{n}": replaced(DOCUMENT, count, seed=n % 3) for n, count in enumerate(edits)}
    left_out = {one.id for one in search(texts)}
    assert search({id_: text for id_, text in texts.items() if id_ not in left_out}) == []


def test_the_longest_stays_and_among_equally_long_ones_the_smallest_id() -> None:
    longer = f"{DOCUMENT} See the manual."
    shouted = DOCUMENT.upper().replace(" ", "  ")
    found = search({"c": DOCUMENT, "b": shouted, "d": longer, "a": OTHER, "e": longer})
    shown = [(one.id, one.duplicate_of, one.exact) for one in found]
    assert shown == [("b", "d", False), ("c", "d", False), ("e", "d", True)]


def test_of_a_chain_only_what_is_like_a_kept_one_is_left_out() -> None:
    words_ = DOCUMENT.split(" ")
    texts = {f"v{n}": " ".join(words_[3 * n : len(words_) - 9 + 3 * n]) for n in range(4)}
    ends = similarity(texts["v0"], texts["v3"])
    assert ends < SPEC.jaccard < similarity(texts["v0"], texts["v1"])
    for one in search(texts):
        assert similarity(texts[one.id], texts[one.duplicate_of]) >= SPEC.jaccard


def test_texts_of_two_groups_are_never_duplicates() -> None:
    found = DuplicateSearch(SPEC)
    plain = [plain_text(DOCUMENT)] * 2
    found.add(["a", "b"], ["kd_base", "kd_rephrase"], plain, words(plain))
    assert found.found() == []


def test_other_documents_on_one_template_stay() -> None:
    texts = {
        name: f"On the {name}, {name} readings help to find bearing damage, and a change of {name} is told apart from"
        f" others by the trend of {name} over a week, as {name} alone answers late."
        for name in ("vibration", "temperature", "oil debris", "current")
    }
    assert search(texts) == []


def test_a_crowd_in_one_band_is_cut_short_and_said_so_whatever_the_order() -> None:
    spec = SPEC.model_copy(update={"window": 1, "bands": 1, "rows": 1})
    texts = {f"v{n:02}": replaced(DOCUMENT, 1, seed=n) for n in range(40)}
    seen = []
    for seed in range(3):
        ids = random.Random(seed).sample(sorted(texts), len(texts))
        found = DuplicateSearch(spec)
        plain = [texts[id_] for id_ in ids]
        found.add(ids, ["g"] * len(ids), plain, words(plain))
        seen.append((found.found(), found.crowded))
    assert seen[0] == seen[1] == seen[2]
    assert 0 < len(seen[0][0]) < 39
    assert seen[0][1] > 0


def test_nothing_at_all_has_no_duplicates() -> None:
    assert DuplicateSearch(SPEC).found() == []


def test_signatures_estimate_as_well_as_datasketch() -> None:
    from datasketch import MinHash

    texts = [plain_text(replaced(DOCUMENT, n, seed=n)) for n in range(0, 40, 2)]
    hashed = runs(words(texts), SPEC.words)
    ours = signatures(hashed, permutations=256, seed=1)
    theirs = []
    for text in texts:
        sketch = MinHash(num_perm=256, seed=1, scheme="affine32")
        sketch.update_batch([" ".join(run).encode() for run in shingles(text)])
        theirs.append(sketch)
    ours_off, theirs_off = [], []
    for one, other in combinations(range(len(texts)), 2):
        exact = similarity(texts[one], texts[other])
        assert jaccard(distinct(hashed.row(one)), distinct(hashed.row(other))) == exact
        ours_off.append(float(np.mean(ours[one] == ours[other])) - exact)
        theirs_off.append(sketch_jaccard(theirs[one], theirs[other]) - exact)
    # the standard error of 256 places is at most 0.031
    assert float(np.std(ours_off)) < max(0.031, 1.2 * float(np.std(theirs_off)))
    assert abs(float(np.mean(ours_off))) < 0.02


def sketch_jaccard(one: object, other: object) -> float:
    return float(one.jaccard(other))  # type: ignore[attr-defined]
