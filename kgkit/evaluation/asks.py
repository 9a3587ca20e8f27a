"""Turn questions into asks, and what comes back into choices. Two ways: by log probabilities, or by what is written.

By log probabilities nothing is generated. `letters`: the likeliest letter after "Answer:". `options`: no letters are shown, and
the option whose whole text is likeliest, divided by its characters. `statements`: each option is put as a statement of its
own, and the one that is believed most is chosen, the one believed least to eliminate; `unnamed-statements` say it of any machine
instead of the asset. `minimal-pairs`: no question and no chat, a plain sentence beside its denial, as documents put it, and believed
is what is likelier than its denial (Warstadt et al., BLiMP, 2020): how much likelier is compared between options, as denials are longer, so
for questions with one right option alone. Of several right options each is asked about by itself, and is chosen where Yes (of a statement: what is looked for) is likelier than No. A tie goes to the first.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from kgkit.evaluation.answers import read_answer
from kgkit.evaluation.scores import Outcome
from kgkit.questions.wording import Wording
from kgkit.records import Ask, Failure, Message, Question, Reply, Sampling, Subject

Mode = Literal["logprob", "generate"]
By = Literal["letters", "options", "statements", "unnamed-statements", "minimal-pairs"]
STATED: frozenset[By] = frozenset({"statements", "unnamed-statements", "minimal-pairs"})
"""Those that put every option as something that holds or does not."""
MAX_TOKENS = 512
"""A written answer may think aloud so long."""
_STAGE = "evaluate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How questions are put: the mode, what is scored, solved examples before each question, and the words."""

    mode: Mode
    by: By
    examples: tuple[Question, ...]
    wording: Wording


def asks_of(question: Question, way: Way, *, identity: Callable[[Subject], str]) -> list[Ask]:
    """The asks whose replies answer the question: one, or one for each option where several are right and none is written."""
    subject = Subject(asset=question.asset)
    said, version = way.wording.answer, str(way.wording.version)

    def ask(messages: Sequence[Message], continuations: tuple[str, ...]) -> Ask:
        return Ask(
            stage=_STAGE,
            prompt=f"questions.{way.wording.language}",
            prompt_version=version,
            messages=tuple(messages),
            schema=None,
            sampling=Sampling(temperature=0.0, max_tokens=0 if continuations else MAX_TOKENS),
            model=identity(subject),
            subject=subject,
            continuations=continuations,
        )

    def opened(put: str) -> list[Message]:
        before = [
            message
            for example in way.examples
            if example.type == question.type
            for message in solved(example, way)
        ]
        return [*before, Message(role="user", content=put), Message(role="assistant", content=said)]

    letters = way.wording.letters[: len(question.options)]
    instruction = way.wording.instruction[question.type]
    if way.mode == "generate":
        return [ask(opened(_put(question, way, instruction))[:-1], ())]
    if pairs := minimal_pairs(question, way):
        return [ask((), pair) for pair in pairs]
    if stated := statements(question, way):
        true_false = (f" {way.wording.true}", f" {way.wording.false}")
        return [ask(opened(f"{one}\n"), true_false) for one in stated]
    if question.type == "multiple":
        yes_no = (f" {way.wording.yes}", f" {way.wording.no}")
        return [ask(opened(_put_one(question, way, one)), yes_no) for one in letters]
    if way.by == "options":
        return [ask(opened(_put(question, way, "")), tuple(f" {one}" for one in question.options))]
    return [ask(opened(_put(question, way, instruction)), tuple(f" {one}" for one in letters))]


def outcome_of(question: Question, replies: Sequence[Reply | Failure], way: Way) -> Outcome:
    """What the replies to the question's asks, in their order, choose."""
    for reply in replies:
        if isinstance(reply, Failure):
            return _outcome(question, None, error=reply.kind)
    texts = [reply.text for reply in replies if isinstance(reply, Reply)]
    if way.mode == "generate":
        answer = read_answer(texts[0], question.options, multiple=question.type == "multiple")
        return _outcome(question, answer.chosen, undecided=answer.undecided or "")
    scores = [[sum(tokens) for tokens in json.loads(text)] for text in texts]
    if any(math.isnan(score) for some in scores for score in some):
        return _outcome(question, None, error="no number")
    if way.by in STATED:
        chosen, undecided = _believed(question, scores)
        return _outcome(question, chosen, undecided=undecided)
    if question.type == "multiple":
        among = frozenset(at for at, (yes, no) in enumerate(scores) if yes > no)
        return _outcome(question, among, undecided="" if among else "none of them")
    (found,) = scores
    if way.by == "options":
        found = [score / len(option) for score, option in zip(found, question.options, strict=True)]
    return _outcome(question, frozenset({max(range(len(found)), key=found.__getitem__)}))


def statements(question: Question, way: Way) -> tuple[str, ...]:
    """Every option as a statement that it holds, in the same of the wordings as the stem; a question that is a statement as it stands. None if asked another way."""
    if way.by not in ("statements", "unnamed-statements") or way.mode != "logprob":
        return ()
    if question.type == "true-false":
        return (question.stem,)
    said = {"asset": question.asset_name, "subject": question.subject}
    asked = way.wording.render(question.direction, question.polarity, question.type, said)
    number = asked.index(question.stem) if question.stem in asked else 0
    if way.by == "unnamed-statements":
        said["asset"] = way.wording.unnamed
    return tuple(
        way.wording.render(question.direction, "select", "true-false", {**said, "option": option})[number]
        for option in question.options
    )  # fmt: skip


def minimal_pairs(question: Question, way: Way) -> tuple[tuple[str, str], ...]:
    """Of every option the sentence that it holds and the one that it does not. None if asked another way."""
    if way.by != "minimal-pairs":
        return ()
    said = {"asset": question.asset_name, "subject": question.subject}
    return tuple(
        way.wording.minimal_pair(question.direction, {**said, "option": option})
        for option in question.options
    )


def sentences(question: Question, way: Way) -> tuple[str, ...]:
    """All that is said to the model of the options, each by itself; nothing where it is asked another way."""
    return tuple(chain(*minimal_pairs(question, way))) or statements(question, way)


def _believed(
    question: Question, scores: Sequence[Sequence[float]]
) -> tuple[frozenset[int] | None, str]:
    """What the log probabilities of each statement, as what is true and what is not, choose, and why nothing is chosen."""
    if question.type == "true-false":
        ((true, false),) = scores
        return frozenset({question.option_ids.index("true" if true > false else "false")}), ""
    sign = 1 if question.polarity == "select" else -1
    found = [sign * (true - false) for true, false in scores]
    if question.type == "single":
        return frozenset({max(range(len(found)), key=found.__getitem__)}), ""
    chosen = frozenset(at for at, score in enumerate(found) if score > 0)
    return chosen, "" if chosen else "none of them"


def _outcome(
    question: Question, chosen: frozenset[int] | None, *, undecided: str = "", error: str = ""
) -> Outcome:
    return Outcome(
        question_id=question.id,
        chosen=None if undecided or error else chosen,
        undecided=undecided,
        error=error,
    )


def shown(question: Question, wording: Wording) -> str:
    """Stem and lettered options, as models and people see them."""
    return "\n".join([question.stem, *_lettered(question, wording)])


def _put(question: Question, way: Way, instruction: str) -> str:
    """How a question is put. The instruction comes first, so that all prompts of a kind begin alike and are read together."""
    if way.by == "options" and way.mode == "logprob" and question.type != "multiple":
        return f"{question.stem}\n"
    return f"{instruction}\n\n{shown(question, way.wording)}\n"


def _put_one(question: Question, way: Way, letter: str) -> str:
    """How one option of a question with several right ones is put."""
    return f"{shown(question, way.wording)}\n{way.wording.about_option(letter)}\n"


def solved(example: Question, way: Way) -> Iterator[Message]:
    """A question and its answer, as two turns."""
    letters, instruction = way.wording.letters, way.wording.instruction[example.type]
    right = [at for at, correct in enumerate(example.correct) if correct]
    put = _put(example, way, instruction)
    if stated := statements(example, way):
        at = len(example.stem) % len(stated)
        holds = example.correct[at] == (example.polarity == "select")
        if example.type == "true-false":
            holds = example.correct[example.option_ids.index("true")]
        put, answer = f"{stated[at]}\n", way.wording.true if holds else way.wording.false
    elif way.mode == "logprob" and example.type == "multiple":
        at = len(example.stem) % len(example.options)
        answer = way.wording.yes if example.correct[at] else way.wording.no
        put = _put_one(example, way, letters[at])
    elif way.mode == "logprob" and way.by == "options":
        answer = example.options[right[0]]
    else:
        answer = ", ".join(letters[at] for at in right)
    yield Message(role="user", content=put)
    yield Message(role="assistant", content=f"{way.wording.answer} {answer}")


def _lettered(question: Question, wording: Wording) -> list[str]:
    return [
        f"{letter}. {option}"
        for letter, option in zip(wording.letters, question.options, strict=False)
    ]
