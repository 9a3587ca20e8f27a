"""Have a model answer questions in all their variants: ledger first, so that what was answered is never asked again."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kgkit.evaluation.asks import Way, asks_of, outcome_of
from kgkit.evaluation.models import Model
from kgkit.evaluation.scores import Outcome
from kgkit.evaluation.variants import PLAIN, variants
from kgkit.records import Failure, Question, Reply
from kgkit.runs import closing, stopped_by_signals
from kgkit.teacher.asking import Asker, Event
from kgkit.teacher.budget import Budget
from kgkit.teacher.ledger import Ledger


@dataclass(slots=True, kw_only=True)
class Answered:
    """Outcomes by variant and question id; `unasked`: questions of the plain variant that a budget or a signal left open.

    `asks`: the ids of the asks that answered a question in its plain variant, none where a rule did.
    """

    outcomes: dict[str, dict[str, Outcome]] = field(default_factory=lambda: defaultdict(dict))
    asks: dict[str, list[str]] = field(default_factory=dict)
    unasked: int = 0
    calls: int = 0
    stopped: str | None = None


def planned_asks(questions: Sequence[Question], way: Way, *, robust: bool) -> int:
    """How many asks `answer_all` puts to a language model, those that the ledger holds included."""
    return len(
        {
            ask.id
            for plain in questions
            for _, question in (variants(plain) if robust else [(PLAIN, plain)])
            for ask in asks_of(question, way, identity=lambda _: "")
        }
    )


def answer_all(
    model: Model,
    questions: Sequence[Question],
    way: Way,
    *,
    robust: bool,
    ledger: Ledger,
    budget: Budget,
    on_event: Callable[[Event], None],
) -> Answered:
    """What the model chooses; `robust`: in all variants, else in the plain one. Raises ServiceError as Asker.answers."""
    put = [
        (name, question)
        for plain in questions
        for name, question in (variants(plain) if robust else [(PLAIN, plain)])
    ]
    answered = Answered()
    if model.chooses is not None:
        for name, question in put:
            chosen = model.chooses(question)
            answered.outcomes[name][question.id] = Outcome(
                question_id=question.id, chosen=chosen, undecided="", error=""
            )
        return answered
    return asyncio.run(_asked(model, put, way, answered, ledger, budget, on_event))


async def _asked(
    model: Model,
    put: Sequence[tuple[str, Question]],
    way: Way,
    answered: Answered,
    ledger: Ledger,
    budget: Budget,
    on_event: Callable[[Event], None],
) -> Answered:
    teacher = model.teacher
    if teacher is None:
        raise ValueError(f"{model.name} answers by a rule")
    planned = [asks_of(question, way, identity=teacher.identity) for _, question in put]
    unique = {ask.id: ask for asks in planned for ask in asks}
    replies: dict[str, Reply | Failure] = {}
    async with closing(teacher), Asker(teacher, ledger, budget=budget, on_event=on_event) as asker:
        with stopped_by_signals(asker.stop):
            async for ask, reply in asker.answers(unique.values()):
                replies[ask.id] = reply
        answered.stopped = asker.ended or ("budget" if budget.exhausted else None)
    for (name, question), asks in zip(put, planned, strict=True):
        if all(ask.id in replies for ask in asks):
            outcome = outcome_of(question, [replies[ask.id] for ask in asks], way)
            answered.outcomes[name][question.id] = outcome
            if name == PLAIN:
                answered.asks[question.id] = [ask.id for ask in asks]
        elif name == PLAIN:
            answered.unasked += 1
    answered.calls = budget.spent.calls
    return answered
