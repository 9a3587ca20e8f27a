"""Turn the tables of training assets into questions with their answers, put as `kgkit evaluate` puts them."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from kgkit.errors import UsageError
from kgkit.evaluation.asks import By, Way, solved
from kgkit.evaluation.variants import shifted
from kgkit.finetune.reasons import UNEXPLAINED, Told, reason, told_of
from kgkit.finetune.recipe import QuestionsPart
from kgkit.finetune.rows import Row, turn
from kgkit.graph.store import GraphStore
from kgkit.questions.benchmark import read_benchmark
from kgkit.questions.making import make
from kgkit.questions.wording import read_wording
from kgkit.records import Question, digest
from kgkit.splits import Split


def training_questions(part: QuestionsPart, graph: GraphStore, split: Split) -> list[Question]:
    """Questions about assets that may be trained on, by id; none about no asset, which would be asked as well. Raises UsageError where the graph gives none."""
    benchmark = read_benchmark(part.benchmark)
    mine = benchmark.model_copy(
        update={"sides": ["train"], "counts": dict.fromkeys(benchmark.counts, part.rows)}
    )
    found = [one for one in make(mine, graph, split, role="source").questions if one.asset]
    if not found:
        raise UsageError(
            f"benchmark {part.benchmark} gives no question about training assets: `kgkit load` loads tables"
        )
    return found


def question_rows(
    part: QuestionsPart, graph: GraphStore, split: Split, *, seed: int, left_out: Counter[str]
) -> Iterator[Row]:
    """The questions with their answers, each in as many wordings as the part says, its options in other places each time.

    A question that is to be explained and has no explanation is counted in `left_out`.
    """
    questions = training_questions(part, graph, split)
    by: By = "letters" if part.answer == "letters" else "options"
    way = Way(mode="logprob", by=by, examples=(), wording=read_wording(questions[0].language))
    told = told_of(graph) if part.answer == "explained" else {}
    for question in questions:
        why = _why(question, told)
        if part.answer == "explained" and not why:
            left_out[UNEXPLAINED] += 1
            continue
        for number, put in enumerate(_put(question, part.wordings, seed=seed)):
            asked, answered = (message.content for message in solved(put, way))
            yield Row(
                id=digest([question.id, number, part.answer]),
                part=part.label,
                asset=question.asset,
                matrix=question.relation == "relevance",
                why=why,
                prompt=turn("user", asked),
                completion=turn("assistant", f"{answered}\n{why}" if why else answered),
            )


def _put(question: Question, times: int, *, seed: int) -> Iterator[Question]:
    """The question so often: the plain one, then other wordings in a drawn order with the options moved on."""
    rng = random.Random(f"{seed}/{question.id}")  # noqa: S311 - a draw, no secret
    stems = [question.stem, *rng.sample(question.paraphrases, len(question.paraphrases))]
    for number in range(times):
        put = replace(question, stem=stems[number % len(stems)])
        if number and put.type == "single":
            put = shifted(put, rng.randrange(len(put.options)))
        yield put


def _why(question: Question, told: Told) -> str:
    """Why the right option is right: what the passage about its pair says, if that is what the key says."""
    if question.type != "single":
        return ""
    mode, sensor = question.facts[question.correct.index(True)]
    return reason(told, (question.asset, mode, sensor), holds=question.polarity == "select")
