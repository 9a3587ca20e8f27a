"""What a rephrase, an analysis and an answer with evidence must be to be taken."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from kgkit import derive
from kgkit.expand.checks import json_answer
from kgkit.extend import checks, raft
from kgkit.extend.qa import AskAndAnswer, _from_lines
from kgkit.extend.raft import AnswerWithEvidence, Pair
from kgkit.graph.reading import StoredPassage
from kgkit.loop import SECOND_TRY
from kgkit.records import Ask, Subgraph
from kgkit.stages import BadReply, Settled
from kgkit.teacher.facts import Facts
from kgkit.teacher.reference import ReferenceTeacher
from tests.conftest import Open
from tests.every_kind import EveryKindTeacher, expand, extend, load_plant
from tests.extend.documents import TEXT, ask, document, reply
from tests.scopes import SCOPE

NOBODY = ReferenceTeacher(Facts(assets={}, training=frozenset()))
WIKI = (
    "Bearing damage is a failure mode of the pump. It is commonly recognised by vibration, whose amplitude grows as the "
    "raceways of the bearing wear away. An accelerometer on the housing records it, and the trend is kept for weeks."
)
CONVERSATION = (
    "Question: How is bearing damage of the pump found?\nAnswer: Vibration helps to detect it, because the\namplitude "
    "rises.\nQuestion: Where does the sensor sit?\nAnswer: On the housing of the bearing, where an engineer mounts it."
)


def rejected(text: str, prompt: str = "rephrase-wiki") -> str:
    with pytest.raises(BadReply) as caught:
        checks.rephrased(ask(prompt), reply(text), document())
    return caught.value.reason


def test_a_faithful_rephrase_is_taken_as_it_is() -> None:
    assert checks.rephrased(ask("rephrase-wiki"), reply(WIKI), document()) == WIKI


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (WIKI.replace("pump", "machine"), "subject missing"),
        (WIKI.replace("vibration", "temperature"), "subject missing"),
        (
            WIKI.replace("Bearing damage", "Corrosion").replace("the bearing", "it"),
            "subject missing",
        ),
        (WIKI + " In compressors it is the same.", "other asset"),
        (WIKI + " Valves: the valve, a valve, valves too.", "other asset"),
        (WIKI.replace("is commonly recognised", "is never recognised"), "verdict changed"),
        (TEXT, "echo"),
        ("Here is the text: " + WIKI, "wrong shape"),
        (WIKI.split(".")[0] + ".", "too short"),
    ],
)
def test_a_rephrase_that_loses_or_changes_something_is_rejected(text: str, reason: str) -> None:
    assert rejected(text) == reason


def test_a_conversation_is_questions_and_answers_in_turn_one_to_a_line() -> None:
    taken = checks.rephrased(ask("rephrase-qa"), reply(CONVERSATION), document())
    assert taken == CONVERSATION.replace("the\namplitude", "the amplitude")
    lines = CONVERSATION.splitlines()
    for broken in (
        lines[1:],
        [lines[0], lines[0], *lines[1:]],
        lines[:-1],
        [*lines, "Question: Why?"],
    ):
        assert rejected("\n".join(broken), "rephrase-qa") == "wrong shape"
    wrong = CONVERSATION.replace(
        "Vibration helps to detect it", "Vibration does not help to detect it"
    )
    assert rejected(wrong, "rephrase-qa") == "verdict changed"


SUMMARY = (
    "Vibration helps to detect bearing damage on the pump, since each spalled element causes impacts, and the amplitude "
    "rises at 4 bearing frequencies."
)
PAIRS = [
    (
        "Does vibration help to detect bearing damage on the pump?",
        "Yes, vibration helps to detect it.",
    ),
    (
        "Why does the amplitude on the pump rise?",
        "Because each passage of a spalled element causes an impact.",
    ),
    ("Where is the accelerometer of the pump mounted?", "It is mounted on the bearing housing."),
]


def analysed(
    pairs: list[tuple[str, str]], summary: str = SUMMARY, *, structured: bool = True
) -> Subgraph:
    stage = AskAndAnswer(SCOPE, NOBODY)
    stage._documents = {"d": document()}
    if structured:
        listed = [{"question": one, "answer": two} for one, two in pairs]
        text = json.dumps({"summary": summary, "pairs": listed})
    else:
        turns = "\n".join(f"Question: {one}\nAnswer: {two}" for one, two in pairs)
        text = f"Summary: {summary}\n{turns}"
    asked = ask("qa", structured=structured)
    subgraph = stage.parse(asked, reply(text))
    return stage.settle([(asked, subgraph)]).subgraph


@pytest.mark.parametrize("structured", [True, False])
def test_an_analysis_becomes_a_summary_and_a_passage_for_each_pair(*, structured: bool) -> None:
    subgraph = analysed(PAIRS, structured=structured)
    said = [
        (one.properties["kind"], one.properties["question"], one.properties["text"])
        for one in subgraph.nodes
    ]
    assert said == [("summary", None, SUMMARY), *(("qa", one, two) for one, two in PAIRS)]
    summary = subgraph.nodes[0].key.id
    assert [one.properties["parents"] for one in subgraph.nodes] == [["d"], *[["d", summary]] * 3]
    derived = sorted((edge.key.start.id, edge.key.end.id) for edge in subgraph.edges)
    assert derived == sorted(
        (node.key.id, parent)
        for node in subgraph.nodes
        for parent in node.properties["parents"]  # type: ignore[union-attr]
    )


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("What does the passage say of the pump?", "Vibration helps to detect bearing damage.", "refers to the article"),
        ("According to the text above, what rises on the pump?", "The amplitude rises.", "refers to the article"),
        ("What rises on the pump?", "As stated in the document, the amplitude rises.", "refers to the article"),
        ("What rises on the pump with damage?", "The outlet pressure and fluid density rise.", "unsupported"),
        ("At how many frequencies of the pump does it rise?", "It rises at 7 bearing frequencies.", "unsupported"),
        ("Is vibration of use for bearing damage of the pump?", "Vibration does not help to detect bearing damage.", "verdict changed"),
        ("Does a compressor or a pump have bearing damage?", "Bearing damage is on the pump.", "other asset"),
        ("What rises with bearing damage?", "The amplitude rises.", "subject missing"),
        ("Does the pump have an accelerometer?", "Yes.", "too short"),
        ("Where is the accelerometer of a pump mounted?", "The engineer mounts it on the housing.", "duplicate"),
    ],
)  # fmt: skip
def test_a_pair_that_is_not_usable_is_dropped_for_its_reason(
    question: str, answer: str, reason: str
) -> None:
    assert checks.pair_fault(question, answer, document(), [one for one, _ in PAIRS]) == reason
    stage = AskAndAnswer(SCOPE, NOBODY)
    stage._documents = {"d": document()}
    asked = ask("qa", structured=True)
    listed = [{"question": one, "answer": two} for one, two in [*PAIRS, (question, answer)]]
    accepted = stage.parse(asked, reply(json.dumps({"summary": SUMMARY, "pairs": listed})))
    settled = stage.settle([(asked, accepted)])
    assert settled.dropped == {reason: 1}
    assert len(settled.subgraph.nodes) == 4


def test_fewer_than_three_usable_pairs_are_too_few_and_why_is_said() -> None:
    with pytest.raises(BadReply, match="2 of 3 are usable; duplicate 1") as caught:
        analysed([*PAIRS[:2], PAIRS[0]])
    assert caught.value.reason == "too few pairs"


@pytest.mark.parametrize(
    ("summary", "reason"),
    [
        (SUMMARY.replace("Vibration", "It"), "subject missing"),
        (SUMMARY.replace("helps", "does not help"), "verdict changed"),
        ("Vibration and bearing damage of the pump.", "too short"),
    ],
)
def test_the_summary_must_keep_the_entities_and_the_verdict(summary: str, reason: str) -> None:
    with pytest.raises(BadReply) as caught:
        analysed(PAIRS, summary)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "text", ["[]", '{"summary": "s"}', "no JSON", '{"summary": 1, "pairs": []}']
)
def test_a_reply_of_another_shape_is_rejected(text: str) -> None:
    stage = AskAndAnswer(SCOPE, NOBODY)
    stage._documents = {"d": document()}
    with pytest.raises(BadReply) as caught:
        stage.parse(ask("qa", structured=True), reply(text))
    assert caught.value.reason == "wrong shape"


NEW = [
    ("How high is the number of frequencies of the pump?", "It rises at 4 bearing frequencies."),
    ("What wears in a bearing of the pump?", "A spalled element causes impacts."),
    ("Which debris responds to it on the pump?", "Oil debris responds to the same failure mode."),
]
OTHER_SUMMARY = SUMMARY.replace("since each", "for every")


def settled(*documents: tuple[list[tuple[str, str]], str]) -> Settled:
    """Of documents with these pairs and summaries; what is rejected by their places: `0`, `1`, ..."""
    stage = AskAndAnswer(SCOPE, NOBODY)
    stage._documents = {"d": document()}
    accepted = []
    for place, (pairs, summary) in enumerate(documents):
        asked = ask("qa", structured=True, user=str(place))
        listed = [{"question": one, "answer": two} for one, two in pairs]
        said = json.dumps({"summary": summary, "pairs": listed})
        accepted.append((asked, stage.parse(asked, reply(said))))
    found = stage.settle(accepted)
    places = {asked.id: asked.messages[-1].content for asked, _ in accepted}
    return replace(found, rejected={places[id_]: why for id_, why in found.rejected.items()})


@pytest.mark.parametrize("new", [2, 3])
def test_a_question_of_an_earlier_document_is_dropped_and_three_pairs_must_be_left(
    new: int,
) -> None:
    again = [
        (one.lower().replace("?", " ?"), f"{two[:-1]}, so the amplitude rises.")
        for one, two in PAIRS[:2]
    ]
    found = settled((PAIRS, SUMMARY), ([*again, *NEW[:new]], OTHER_SUMMARY))
    told = [node.properties["question"] for node in found.subgraph.nodes[4:]]
    if new == 3:
        assert told == [None, *(question for question, _ in NEW)]
        assert (found.dropped, found.rejected) == ({"duplicate": 2}, {})
    else:
        assert told == []
        assert (found.dropped, found.rejected) == ({}, {"1": "too few pairs"})


def test_a_repeated_summary_rejects_its_ask_and_what_is_rejected_takes_no_question() -> None:
    found = settled((PAIRS, SUMMARY), (NEW, SUMMARY), (PAIRS, OTHER_SUMMARY), (NEW, OTHER_SUMMARY))
    assert found.rejected == {"1": "duplicate", "2": "too few pairs"}
    told = [node.properties["question"] for node in found.subgraph.nodes]
    assert told == [None, *(one for one, _ in PAIRS), None, *(one for one, _ in NEW)]


class Repeating(EveryKindTeacher):
    """Asks the same of every document of an asset in its first `tries`."""

    def __init__(self, *, tries: int) -> None:
        super().__init__(f"repeats {tries} times")
        self._tries = tries

    def _text(self, ask: Ask, draw: int) -> str:
        text = super()._text(ask, draw)
        if ask.prompt != "qa" or ask.sampling.number // SECOND_TRY >= self._tries:
            return text
        said = json.loads(text)
        for number, pair in enumerate(said["pairs"]):
            pair["question"] = f"What is case {number} of the {ask.subject.asset}?"
        return json.dumps(said)


def test_a_document_whose_questions_were_asked_is_asked_once_more_and_then_reported(
    tmp_path: Path, open_workspace: Open
) -> None:
    derivation = open_workspace(tmp_path / "w")
    load_plant(derivation, tmp_path / "tables")
    expand(derivation, EveryKindTeacher(), "pump")
    [[documents]] = derivation.graph.query("MATCH (p:Passage) RETURN count(*)").rows
    assert isinstance(documents, int)
    for tries, done in ((2, 1), (1, documents)):
        teacher = Repeating(tries=tries)
        qa = extend(derivation, teacher, "pump", kinds=("qa",)).stages["qa"]
        assert (qa.planned, qa.done, qa.pending) == (documents, done, 0)
        assert +qa.rejected == +Counter({"too few pairs": documents - done})
        assert len(teacher.calls) == 2 * documents - 1
        before, after = derive.rebuild(derivation)
        assert before == after
    asked = "MATCH (p:Passage) WHERE p.kind = 'qa' RETURN p.parents[1], p.question"
    rows = derivation.graph.query(asked).rows
    assert len({question for _, question in rows}) == len(rows)
    assert min(Counter(document for document, _ in rows).values()) >= 3


REASONING = "Spalled places strike at a fixed rate, which is why the reading goes up there."


def evidence(
    quote: str = "The amplitude  rises at 4 bearing frequencies",
    reasoning: str = REASONING,
    answer: str = "The amplitude rises at 4 bearing frequencies.",
    *,
    known: str = "It rises at 4 bearing frequencies.",
    structured: bool = True,
) -> str:
    stage = AnswerWithEvidence(SCOPE, NOBODY)
    stage._pairs = {"d": Pair(
        passage=stored("q", question="Where does the amplitude of the pump rise?", text=known),
        summary=stored("s", text=SUMMARY),
        document=document(),
    )}  # fmt: skip
    said = {"quote": quote, "reasoning": reasoning, "answer": answer}
    lines = "\n".join(f"{part.capitalize()}: {text}" for part, text in said.items())
    user = f"Context:\n{SUMMARY}\nKnown to be right: {known}"
    asked = ask("raft", structured=structured, user=user)
    (node,) = stage.parse(asked, reply(json.dumps(said) if structured else lines)).nodes
    assert node.properties["parents"] == ["q", "s"]
    return str(node.properties["text"])


def stored(id_: str, *, text: str, question: str = "") -> StoredPassage:
    return StoredPassage(
        id=id_, kind="", question=question, text=text, asset="pump", part="", sensor="vibration",
        failure_mode="bearing-damage", parents=(), sources=(), ask="", prompt="", prompt_version="", teacher="",
    )  # fmt: skip


@pytest.mark.parametrize("structured", [True, False])
def test_an_answer_quotes_the_summary_in_its_own_spelling_and_ends_with_the_answer(
    *, structured: bool
) -> None:
    assert evidence(structured=structured) == (
        f"##begin_quote##the amplitude rises at 4 bearing frequencies.##end_quote##\n{REASONING}\n"
        "Answer: The amplitude rises at 4 bearing frequencies."
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"quote": "The amplitude falls at 4 bearing frequencies"}, "no evidence"),
        ({"quote": "rises at"}, "no evidence"),
        ({"quote": ""}, "wrong shape"),
        ({"answer": "The amplitude rises at 5 bearing frequencies."}, "unsupported"),
        ({"answer": "Lubricant starvation and misuse raise costs."}, "unsupported"),
        ({"answer": "No, it stays.", "known": "Yes, it rises."}, "verdict changed"),
        ({"answer": "Vibration does not help to detect bearing damage."}, "verdict changed"),
        ({"answer": "It rises at 4 bearing frequencies, as on compressors."}, "other asset"),
        ({"answer": " ".join(["It rises at 4 bearing frequencies."] * 8)}, "repetitive"),
        ({"reasoning": "It is so."}, "too short"),
        ({"reasoning": SUMMARY}, "echo"),
        ({"reasoning": REASONING + " In compressors too."}, "other asset"),
        (
            {"reasoning": "Clearly vibration does not help to detect bearing damage here."},
            "verdict changed",
        ),
    ],
)
def test_an_answer_without_evidence_or_against_the_known_answer_is_rejected(
    change: dict[str, str], reason: str
) -> None:
    with pytest.raises(BadReply) as caught:
        evidence(**change)  # type: ignore[arg-type]
    assert caught.value.reason == reason


def test_only_the_quote_bears_the_marks_of_a_quote() -> None:
    marked = "##begin_quote##The amplitude rises at 4 bearing frequencies##end_quote##"
    assert evidence(quote=marked, reasoning=f"{REASONING} {marked}", answer=marked) == (
        f"##begin_quote##the amplitude rises at 4 bearing frequencies.##end_quote##\n{REASONING} The amplitude "
        "rises at 4 bearing frequencies\nAnswer: The amplitude rises at 4 bearing frequencies"
    )


@pytest.mark.parametrize("label", ["**{}:**", "**{}**:", "1. {}:", "### {}:\n", "2) **{}:**"])
def test_labels_may_be_written_as_models_write_them(label: str) -> None:
    plain = CONVERSATION.replace("\namplitude", " amplitude")
    said = plain.replace("Question:", label.format("Question"))
    said = said.replace("Answer:", label.format("Answer"))
    assert checks.rephrased(ask("rephrase-qa"), reply(said), document()) == plain
    parts = [f"{label.format(part)} it is so" for part in ("Quote", "Reasoning", "Answer")]
    assert raft._from_lines("\n".join(parts)).keys() == {"quote", "reasoning", "answer"}
    assert len(_from_lines(f"{label.format('Summary')} It is.\n{said}").pairs) == 2


def test_a_sign_and_a_quotation_mark_after_a_label_are_kept() -> None:
    said = _from_lines('Summary: It is.\nQuestion: "Hot" is what?\nAnswer: -5 degrees, says one.')
    assert said.pairs == (('"Hot" is what?', "-5 degrees, says one."),)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What widens the cooling passages of the pump?", "Impact of each raceway passage."),
        ("How often is the pump watched?", "In this context the trend is watched over weeks."),
        ("Where does the pump rise?", "The amplitude rises at the 4th bearing frequencies."),
        ("Does the pump rise at 4Hz?", "The amplitude rises at 4Hz bearing frequencies."),
    ],
)
def test_words_of_the_field_are_no_article_and_a_unit_is_no_other_number(
    question: str, answer: str
) -> None:
    assert checks.pair_fault(question, answer, document(), []) is None


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        f'{{"summary": {"1" * 5000}}}',
        '{"summary": "half \\ud83d a character"}',
        '{"summary": "\\u0000"}',
    ],
)
def test_json_that_python_or_a_store_cannot_hold_is_of_the_wrong_shape(text: str) -> None:
    with pytest.raises(BadReply) as caught:
        json_answer(text)
    assert caught.value.reason == "wrong shape"
