"""`kgkit evaluate retrieval`: pose all tasks, have embedders rank their items, keep the rankings with a run card."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from kgkit.errors import ContentError, UsageError
from kgkit.evaluation.models import TrainedOn, trained_on
from kgkit.evaluation.rankers import RANKERS, WITH_ENCODER, Rankings, ranked
from kgkit.evaluation.results import versions
from kgkit.evaluation.retrieval_metrics import rank
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.names import slug
from kgkit.questions.baselines import Embed
from kgkit.records import digest
from kgkit.retrieval.embedder import Embedder
from kgkit.retrieval.pose import Posed, pose_all, without_data
from kgkit.retrieval.tasks import BENCHMARK, Task, read_tasks
from kgkit.splits import Split
from kgkit.workspace import write_atomically

_LIBRARIES = ("kgkit", "sentence-transformers", "transformers", "torch", "bm25s", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class PosedTask:
    """A task with what may be trained on, what is tested, and how many queries it has on all sides."""

    task: Task
    train: Posed
    test: Posed
    queries: int
    pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PosedTasks:
    """All tasks that can be measured, by name; `left_out`: the others, and why."""

    tasks: dict[str, PosedTask]
    left_out: dict[str, str]
    split: str
    holdout: str | None

    @property
    def families(self) -> frozenset[str]:
        """The asset families that are asked about."""
        return frozenset(family for one in self.tasks.values() for family in one.test.families)


class TaskRankings(BaseModel):
    """An embedder's rankings of one task: query id -> item ids, best first, at most 100; with the prompts that stood before the texts."""

    model_config = ConfigDict(frozen=True)

    version: int
    posed: str
    query_prompt: str
    item_prompt: str
    rankings: dict[str, list[str]]


class RetrievalResult(BaseModel):
    """An embedder's rankings of all tasks, and their run card. `posed` of a task is a digest of queries, items and qrels."""

    model_config = ConfigDict(frozen=True)

    model: str
    identity: str
    trained_on: TrainedOn | None
    contaminated: list[str]
    benchmark: str
    split: str
    holdout: str | None
    versions: dict[str, str]
    tasks: dict[str, TaskRankings]


def pose_tasks(graph: GraphStore, split: Split, *, holdout: str | None = None) -> PosedTasks:
    """Every task of evaluation/retrieval/. Raises UsageError where none can be measured or the family has no asset, ContentError."""
    if holdout and holdout not in {
        split.family(row.name) for row in reading.assets(graph, role=None)
    }:
        raise UsageError(
            f"no asset of the graph is of the family {holdout}; corpora/splits.yaml lists the families"
        )
    found: dict[str, PosedTask] = {}
    left_out: dict[str, str] = {}
    for task in read_tasks():
        sides = pose_all(task, graph, split, holdout=holdout)
        why = without_data(task, sides)
        if why is not None:
            left_out[task.name] = why
            continue
        found[task.name] = PosedTask(
            task=task,
            train=sides["train"],
            test=sides["held_out"],
            queries=sum(len(posed.queries) for posed in sides.values()),
            pairs=sum(len(items) for posed in sides.values() for items in posed.relevant.values()),
        )
    if not found:
        said = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise UsageError(f"no retrieval task can be measured on this workspace ({said})")
    return PosedTasks(tasks=found, left_out=left_out, split=split.name, holdout=holdout)


def rank_without_model(posed: PosedTasks, *, embed: Embed | None) -> dict[str, dict[str, Rankings]]:
    """Ranker -> task -> rankings; those that compare names by meaning only with `embed`."""
    remembered = _remembering(embed) if embed else None
    names = (*RANKERS, *(WITH_ENCODER if embed else ()))
    return {
        name: {
            task: ranked(name, one.train, one.test, embed=remembered)
            for task, one in posed.tasks.items()
        }
        for name in names
    }


def _remembering(embed: Embed) -> Embed:
    """The same, each text read once, those of like length together."""
    known: dict[str, Sequence[float]] = {}

    def remembered(texts: Sequence[str]) -> list[Sequence[float]]:
        new = sorted(
            {text for text in texts if text not in known}, key=lambda text: (len(text), text)
        )
        if new:
            known.update(zip(new, embed(new), strict=True))
        return [known[text] for text in texts]

    return remembered


def evaluate_embedder(
    embedder: Embedder,
    posed: PosedTasks,
    folder: Path,
    *,
    allow_contaminated: bool,
    on_task: Callable[[str], None],
) -> RetrievalResult:
    """Have the embedder rank the items of every task, and keep the result.

    Raises UsageError for one that has learned from the families that are asked about, unless that is allowed.
    """
    learned = trained_on(embedder.directory)
    contaminated = sorted(posed.families & set(learned.families)) if learned else []
    if contaminated and not allow_contaminated:
        raise UsageError(
            f"{embedder.name} has learned from {', '.join(contaminated)}, which {BENCHMARK} asks about: its score would say nothing. "
            "Hold these families out in training, or add --allow-contaminated to have it marked"
        )
    tasks: dict[str, TaskRankings] = {}
    for name, one in posed.tasks.items():
        on_task(name)
        test, items = one.test, [item.id for item in one.test.items]
        scores = embedder.scores(
            one.task, [query.text for query in test.queries], [item.text for item in test.items]
        )
        tasks[name] = TaskRankings(
            version=one.task.version,
            posed=test.digest(),
            query_prompt=embedder.prompt(one.task, "query"),
            item_prompt=embedder.prompt(one.task, "document"),
            rankings=dict(
                zip((query.id for query in test.queries), rank(scores, items), strict=True)
            ),
        )
    result = RetrievalResult(
        model=embedder.name,
        identity=embedder.identity,
        trained_on=learned,
        contaminated=contaminated,
        benchmark=BENCHMARK,
        split=posed.split,
        holdout=posed.holdout,
        versions=versions(_LIBRARIES),
        tasks=tasks,
    )
    _write(result, folder)
    return result


def kept_results(
    folder: Path, posed: PosedTasks, *, but: Sequence[RetrievalResult]
) -> list[RetrievalResult]:
    """The results that are kept for exactly these tasks, by file name; without those of `but`. Raises ContentError."""
    wanted = {name: one.test.digest() for name, one in posed.tasks.items()}
    have = {one.identity for one in but}
    found = []
    for path in sorted((folder / BENCHMARK).glob("*-*.json")):
        try:
            one = RetrievalResult.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ContentError(
                f"{path} is no result of `kgkit evaluate {BENCHMARK}`: {error}"
            ) from None
        if (
            one.identity not in have
            and {name: task.posed for name, task in one.tasks.items()} == wanted
        ):
            found.append(one)
    return found


def _write(result: RetrievalResult, folder: Path) -> None:
    """As JSON; the name tells the model and what was posed, so that only the same run is replaced."""
    way = [result.identity, {name: one.posed for name, one in result.tasks.items()}]
    path = folder / BENCHMARK / f"{slug(result.model)[-60:]}-{digest(way)[:12]}.json"
    write_atomically(path, (result.model_dump_json(indent=1) + "\n").encode())
