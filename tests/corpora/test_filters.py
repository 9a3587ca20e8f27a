"""Filters catch what they are for, and leave sound passages alone: technical ones, Chinese ones, the reference teacher's."""

import pytest

from kgkit.corpora.curation import CurationSpec, read_spec
from kgkit.corpora.filters import Flaw, flaws
from kgkit.corpora.shingles import plain_text, words
from tests.corpora.curated import (
    CHINESE,
    DOCUMENT,
    FRENCH,
    GERMAN,
    GIBBERISH,
    JAPANESE,
    OTHER,
    REFUSAL,
    TECHNICAL,
)

SPEC = read_spec()


def judged(*texts: str, spec: CurationSpec = SPEC) -> list[Flaw | None]:
    plain = [plain_text(text) for text in texts]
    return flaws(texts, plain, words(plain), spec=spec)


def reasons(*texts: str, spec: CurationSpec = SPEC) -> list[str | None]:
    return [flaw and flaw[0] for flaw in judged(*texts, spec=spec)]


def test_sound_passages_have_no_flaw() -> None:
    assert judged(DOCUMENT, OTHER, TECHNICAL, CHINESE) == [None] * 4


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        (REFUSAL, ("refusal", "begins with: i'm sorry, but i cannot tell which sensors are of use for")),
        (REFUSAL.replace("'", "\u2019"), ("refusal", "begins with: i'm sorry, but i cannot tell")),
        (f"{DOCUMENT} As an AI Language Model, I stop.", ("refusal", "says: as an ai language model")),
        ("Vibration.", ("too short", "1 words, at least 8")),
        ("", ("too short", "0 words, at least 8")),
        (f"{DOCUMENT} " * 30, ("too long", "words, at most 1500")),
        (GERMAN, ("language", "English function words, 0.00 Chinese")),
        (FRENCH, ("language", "English function words, 0.00 Chinese")),
        (JAPANESE, ("language", "kana")),
        (GIBBERISH, ("language", "0.00 English function words, 0.00 Chinese characters")),
        (f"{DOCUMENT} " * 3, ("repetitive", "of the runs of 5 words stood before")),
        ("The pump is a pump and so on.\n" * 4, ("repetitive", "0.75 of the lines stood before")),
        (
            "The seal of the pump is worn, and"
            + " the seal of the" * 6
            + " plan is to stop it when there is time for that in the next weeks of this year or later",
            ("repetitive", "times the same 4 words"),
        ),
    ],
)  # fmt: skip
def test_a_flaw_is_found_and_says_its_figure(text: str, flaw: Flaw) -> None:
    (found,) = judged(text)
    assert found is not None
    assert found[0] == flaw[0]
    assert flaw[1] in found[1]


def test_a_language_that_is_not_allowed_is_a_flaw() -> None:
    english = SPEC.model_copy(
        update={"language": SPEC.language.model_copy(update={"allowed": ("en",)})}
    )
    chinese = SPEC.model_copy(
        update={"language": SPEC.language.model_copy(update={"allowed": ("zh",)})}
    )
    assert reasons(DOCUMENT, CHINESE, spec=english) == [None, "language"]
    assert reasons(DOCUMENT, CHINESE, spec=chinese) == ["language", None]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("refusal", REFUSAL),
        ("length", "Vibration."),
        ("language", GERMAN),
        ("repetition", f"{DOCUMENT} " * 3),
    ],
)
def test_each_filter_can_be_switched_off(name: str, text: str) -> None:
    part = getattr(SPEC, name)
    off = SPEC.model_copy(update={name: part.model_copy(update={"enabled": False})})
    assert reasons(text) != [None]
    assert reasons(text, spec=off) == [None]


def test_a_verdict_does_not_depend_on_the_batch() -> None:
    texts = [DOCUMENT, GERMAN, "", f"{OTHER} " * 3, REFUSAL, CHINESE, TECHNICAL]
    assert judged(*texts) == [judged(text)[0] for text in texts]
