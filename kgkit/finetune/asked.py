"""Turn the tables of training assets into questions with their answers, put as `kgkit evaluate` puts them."""

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from kgkit.errors import UsageError
from kgkit.evaluation.asks import By, Way, solved
from kgkit.evaluation.variants import shifted
from kgkit.extend.verdict import Said, said
from kgkit.finetune.recipe import QuestionsPart
from kgkit.finetune.rows import Row, turn
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.questions.benchmark import read_benchmark
from kgkit.questions.making import make
from kgkit.questions.wording import read_wording
from kgkit.records import Question, digest
from kgkit.splits import Split

_TOLD = "asset_sensor_failure_mode"
"""Kind of the passages that say why a sensor shows a failure mode, or why not."""
_SENTENCES = 2
"""An explanation is so long at most: the first sentences of the passage."""
_Pair = tuple[str, str, str]
"""Ids of asset, failure mode and sensor."""


def training_questions(part: QuestionsPart, graph: GraphStore, split: Split) -> list[Question]:
    """Questions about assets that may be trained on, by id. Raises UsageError where the graph gives none."""
    benchmark = read_benchmark(part.benchmark)
    mine = benchmark.model_copy(
        update={"sides": ["train"], "counts": dict.fromkeys(benchmark.counts, part.rows)}
    )
    found = make(mine, graph, split).questions
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
    told = _told(graph) if part.answer == "explained" else {}
    for question in questions:
        why = _why(question, told)
        if part.answer == "explained" and not why:
            left_out["no passage explains the answer, or it says the contrary"] += 1
            continue
        for number, put in enumerate(_put(question, part.wordings, seed=seed)):
            asked, answered = (message.content for message in solved(put, way))
            yield Row(
                id=digest([question.id, number, part.answer]),
                part=f"questions {part.benchmark}",
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


def _told(graph: GraphStore) -> dict[_Pair, tuple[Said | None, str]]:
    """What passages say of pairs: the verdict of their first sentences, and these."""
    names = {
        str(row["id"]): str(row["name"])
        for label in ("Sensor", "FailureMode")
        for row in graph.query(f"MATCH (n:{label}) RETURN n.id AS id, n.name AS name").dicts()
    }
    found: dict[_Pair, tuple[Said | None, str]] = {}
    for passage in reading.passages(graph, [_TOLD]):
        about = {"sensor": names[passage.sensor], "failure mode": names[passage.failure_mode]}
        sentences = re.split(r"(?<=[.!?])\s+", passage.text.strip())[:_SENTENCES]
        text = " ".join(sentences)
        found[passage.asset, passage.failure_mode, passage.sensor] = (said(text, about), text)
    return found


def _why(question: Question, told: Mapping[_Pair, tuple[Said | None, str]]) -> str:
    """Why the right option is right: what the passage about its pair says, if that is what the key says."""
    if question.type != "single":
        return ""
    mode, sensor = question.facts[question.correct.index(True)]
    verdict, text = told.get((question.asset, mode, sensor), (None, ""))
    return text if verdict == ("Yes" if question.polarity == "select" else "No") else ""
