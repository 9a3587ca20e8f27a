"""Hashes of words and of runs of words stand for the words: equal when they are, different when they are not."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kgkit.corpora.shingles import HashSet, plain_text, runs, spelled, words

TEXTS = st.lists(st.text(max_size=60), max_size=8)


@given(TEXTS)
def test_words_are_what_they_are_spelled(texts: list[str]) -> None:
    hashed = words(texts)
    spellings = [spelled(text) for text in texts]
    assert hashed.lengths.tolist() == [len(row) for row in spellings]
    known: dict[int, str] = {}
    for number, row in enumerate(spellings):
        for value, word in zip(hashed.row(number).tolist(), row, strict=True):
            assert known.setdefault(value, word) == word
    assert len(set(known.values())) == len(known)


@given(TEXTS, st.integers(1, 6))
def test_a_hash_of_a_text_does_not_depend_on_its_neighbours(texts: list[str], length: int) -> None:
    together = runs(words(texts), length)
    for number, text in enumerate(texts):
        assert together.row(number).tolist() == runs(words([text]), length).values.tolist()


@given(TEXTS, st.integers(1, 6))
def test_runs_are_equal_exactly_when_their_words_are(texts: list[str], length: int) -> None:
    hashed = runs(words(texts), length)
    known: dict[int, tuple[str, ...]] = {}
    for number, text in enumerate(texts):
        row = spelled(text)
        count = len(row) - length + 1 if len(row) >= length else min(len(row), 1)
        said = [tuple(row[at : at + length]) for at in range(count)]
        assert len(hashed.row(number)) == len(said)
        for value, run in zip(hashed.row(number).tolist(), said, strict=True):
            assert known.setdefault(value, run) == run
    assert len(set(known.values())) == len(known)


def test_a_chinese_character_is_a_word_and_so_is_a_latin_word_beside_it() -> None:
    assert spelled("轴承SKF6205温度 up") == ["轴", "承", "SKF6205", "温", "度", "up"]


def test_case_spacing_and_full_width_letters_do_not_count() -> None:
    assert plain_text("  The\t\uff30ump \n STRASSE") == plain_text("the pump straße")


@settings(max_examples=50)
@given(st.sets(st.integers(0, 2**64 - 1), max_size=50), st.lists(st.integers(0, 2**64 - 1)))
def test_a_hash_set_has_its_members_alone(members: set[int], others: list[int]) -> None:
    import numpy as np

    known = HashSet(np.array(sorted(members), np.uint64))
    asked = [*members, *others]
    assert known.has(np.array(asked, np.uint64)).tolist() == [value in members for value in asked]
