"""Turn an embedder into one that answers questions: the option nearest to what is asked about, or the farthest where that is looked for.

A question on a sensor matrix is asked as the retrieval task asks it (FM2S, S2FM: asset, category, fault or sensor; the same
prompts). Of any other question the stem is the query. Statements, and questions with several right options, need to know what is near enough:
the similarity that best tells relevant items from others on the task's training side, without the families that are asked about.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from kgkit.errors import UsageError
from kgkit.evaluation.models import Model, trained_on
from kgkit.evaluation.variants import variants
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.names import spoken
from kgkit.questions.facts import facts
from kgkit.records import Question
from kgkit.retrieval.embedder import Embedder, open_embedder
from kgkit.retrieval.pose import Posed, pose
from kgkit.retrieval.tasks import Task, read_tasks
from kgkit.retrieval.texts import query_text
from kgkit.splits import Split

_TASK_OF = {"failure-mode-to-sensors": "FM2S", "sensor-to-failure-modes": "S2FM"}
"""Direction of a question -> the task that asks the same."""


def open_answering(
    uri: str,
    *,
    graph: GraphStore,
    split: Split,
    questions: Sequence[Question],
    cache_dir: Path,
) -> Model:
    """The embedder that `uri` names, ready to choose among the options of `questions` in all their variants.

    Raises UsageError where a question without a task is no single choice, and as `open_embedder`.
    """
    embedder = open_embedder(uri, cache_dir=cache_dir)
    subjects = _Subjects(graph)
    grouped: dict[str, list[Question]] = {}
    for question in questions:
        grouped.setdefault(_task_of(question), []).append(question)
    nearness = {
        name: _Nearness(embedder, name, some, subjects, graph=graph, split=split)
        for name, some in grouped.items()
    }
    return Model(
        name=embedder.name,
        identity=embedder.identity,
        chooses=lambda question: nearness[_task_of(question)].choice(question),
        trained_on=trained_on(embedder.directory),
    )


def _task_of(question: Question) -> str:
    """The task that asks the same, in the language of the tables' names; "" for none."""
    asks = question.facts and question.language == "en"
    return _TASK_OF.get(question.direction, "") if asks else ""


class _Subjects:
    """What a query says of a question's subject, and which item a statement is about."""

    def __init__(self, graph: GraphStore) -> None:
        self._assets = {row.id: row for row in reading.assets(graph, role=None)}
        known = facts(graph, "relevance")
        self._modes = {fact.left: fact.left_name for fact in known}
        self._sensors = {fact.right: fact.right_name for fact in known}

    def query(self, task: Task | None, question: Question) -> str:
        """The question's query in the words of its task; its stem where it has none."""
        if task is None:
            return question.stem
        mode, sensor = self._pair(question)
        asset = self._assets.get(question.asset)
        return query_text(
            task,
            {
                "asset": spoken(asset.name) if asset else question.asset,
                "category": question.discipline,
                task.key: mode if task.key == "failure_mode" else sensor,
            },
        )

    def stated(self, question: Question) -> str:
        """The item that a statement is about."""
        mode, sensor = self._pair(question)
        return sensor if question.direction == "failure-mode-to-sensors" else mode

    def _pair(self, question: Question) -> tuple[str, str]:
        left, right = question.facts[0]
        return self._modes.get(left, left), self._sensors.get(right, right)


class _Nearness:
    """How near every option is to every query of questions of one task, all variants included."""

    def __init__(
        self,
        embedder: Embedder,
        name: str,
        questions: Sequence[Question],
        subjects: _Subjects,
        *,
        graph: GraphStore,
        split: Split,
    ) -> None:
        self._task = read_tasks([name])[0] if name else None
        self._subjects = subjects
        put = [variant for question in questions for _, variant in variants(question)]
        self._queries = _places(subjects.query(self._task, one) for one in put)
        self._options = _places(option for one in put for option in self._shown(one))
        self._scores = embedder.scores(self._task, list(self._queries), list(self._options))
        self._enough = 0.0
        if any(question.type != "single" for question in questions):
            asked = frozenset(question.family for question in questions)
            self._enough = _enough(embedder, self._task, _train(self._task, graph, split), asked)

    def choice(self, question: Question) -> frozenset[int]:
        """The options that are chosen: the nearest, or those that are near enough; the opposite to eliminate."""
        row = self._scores[self._queries[self._subjects.query(self._task, question)]]
        sign = 1 if question.polarity == "select" else -1
        found = [sign * (row[self._options[one]] - self._enough) for one in self._shown(question)]
        if question.type == "true-false":
            return frozenset({question.option_ids.index("true" if found[0] > 0 else "false")})
        best = max(range(len(found)), key=found.__getitem__)
        if question.type == "single":
            return frozenset({best})
        return frozenset({at for at, score in enumerate(found) if score > 0} or {best})

    def _shown(self, question: Question) -> Sequence[str]:
        """The items to be judged."""
        is_statement = question.type == "true-false" and self._task is not None
        return [self._subjects.stated(question)] if is_statement else question.options


def _places(texts: Iterable[str]) -> dict[str, int]:
    return {text: place for place, text in enumerate(dict.fromkeys(texts))}


def _train(task: Task | None, graph: GraphStore, split: Split) -> Posed:
    """The training side of the task. Raises UsageError for None: what a stem asks has no training side."""
    if task is None:
        raise UsageError(
            "an embedder ranks options; a statement or a question with several right options needs a sensor matrix of the "
            "workspace to tell what is near enough. Ask it single choices, or benchmarks of the workspace such as fmsr-mix"
        )
    return pose(task, graph, split, side="train")


def _enough(embedder: Embedder, task: Task | None, train: Posed, asked: frozenset[str]) -> float:
    """The similarity above which most relevant items are and most others are not, each kind weighing the same (Youden's index).

    Raises UsageError where no training query is left.
    """
    import numpy as np

    queries = [query for query in train.queries if not asked & set(query.families)]
    if not queries:
        raise UsageError(
            f"no training row of {train.task.name} is about another family than those that are asked about, so nothing tells what is near enough; "
            "ask single choices (fmsr)"
        )
    scores = embedder.scores(
        task, [query.text for query in queries], [item.text for item in train.items]
    )
    relevant = np.array(
        [[item.id in train.relevant[query.id] for item in train.items] for query in queries]
    )
    order = np.argsort(-scores, axis=None, kind="stable")
    ranked, hits = scores.ravel()[order], relevant.ravel()[order]
    found = np.cumsum(hits) / hits.sum() - np.cumsum(~hits) / max(1, (~hits).sum())
    best = int(np.argmax(found))
    after = ranked[best + 1] if best + 1 < len(ranked) else ranked[best] - 1.0
    return float((ranked[best] + after) / 2)
