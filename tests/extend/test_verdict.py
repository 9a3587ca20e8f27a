import time

import pytest

from kgkit.extend import checks
from kgkit.extend.documents import Document
from kgkit.extend.verdict import said
from kgkit.stages import BadReply
from tests.extend.documents import document
from tests.extend.verdicts import TEXTS, Labelled

OPPOSITE = {"Yes": "No", "No": "Yes"}


def about(text: Labelled, verdict: str) -> Document:
    names = {"asset": "pump", "sensor": text.sensor, "failure mode": text.mode}
    made = document()
    return Document(
        id=made.id,
        text=made.text,
        scope=made.scope,
        sensor=text.sensor,
        failure_mode=text.mode,
        names=names,
        verdict=verdict,  # type: ignore[arg-type]
    )


def kept(text: Labelled, verdict: str) -> bool:
    try:
        checks.keeps_verdict(text.text, about(text, verdict))
    except BadReply:
        return False
    return True


@pytest.mark.parametrize(
    "text", [one for one in TEXTS if one.said in OPPOSITE], ids=lambda t: t.text
)
def test_no_flipped_verdict_passes(text: Labelled) -> None:
    assert not kept(text, OPPOSITE[text.said])


def test_the_set_is_large_and_faithful_texts_nearly_all_pass() -> None:
    faithful = [one for one in TEXTS if one.said in OPPOSITE]
    passed = sum(kept(one, one.said) for one in faithful)
    assert len(TEXTS) >= 100
    assert passed >= 0.96 * len(faithful)


def test_a_hedged_text_keeps_no_verdict() -> None:
    hedged = [one for one in TEXTS if one.said == "hedged"]
    assert [one.text for one in hedged if kept(one, "Yes") or kept(one, "No")] == []


def test_a_dropped_no_is_a_changed_verdict_and_an_unsaid_yes_is_not() -> None:
    neutral = Labelled(
        "hedged", "Vibration and bearing damage are two words that belong to the pump."
    )
    assert kept(neutral, "Yes")
    assert not kept(neutral, "No")


def test_a_yes_that_is_denied_in_words_unknown_here_does_not_pass() -> None:
    assert not kept(Labelled("No", "Vibration is not the right friend for bearing damage."), "Yes")


@pytest.mark.parametrize("verdict", ["Yes", "No"])
def test_one_wrong_answer_of_a_conversation_is_enough(verdict: str) -> None:
    right = {
        "Yes": "vibration helps to detect bearing damage",
        "No": "vibration does not help to detect bearing damage",
    }
    turns = [right[verdict], right[verdict], right[OPPOSITE[verdict]]]
    whole = "\n".join(f"Question: What about it?\nAnswer: On the pump, {turn}." for turn in turns)
    assert said(whole, document().names) == verdict
    assert not kept(Labelled(verdict, whole), verdict)  # type: ignore[arg-type]


def test_a_document_without_a_verdict_is_free() -> None:
    checks.keeps_verdict("Vibration does not help.", document(None))


@pytest.mark.parametrize(
    ("part", "times"),
    [("no, ", 17), ("well, ", 17), ("not ", 5000), ("neither ", 2500), ("(", 20_000), ("is not ", 3000)],
)  # fmt: skip
def test_no_text_takes_long_to_read(part: str, times: int) -> None:
    began = time.process_time()
    said(f"Vibration does. {part * times}z", document().names)
    assert time.process_time() - began < 1.0
