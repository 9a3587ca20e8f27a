"""`kgkit evaluate retrieval`: pose all tasks, have embedders rank their items, keep the rankings with a run card."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from kgkit.errors import ContentError, UsageError
from kgkit.evaluation.cut_off import CutOff, Ranked, Rule, cut_offs, ranked_queries
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
from kgkit.retrieval.pose import Item, Posed, Query, pose_all, without_data
from kgkit.retrieval.tasks import BENCHMARK, Task, read_tasks
from kgkit.splits import Split
from kgkit.workspace import write_atomically

EACH = "each family"
"""Every family is held out in turn, all others being for training."""
_LIBRARIES = ("kgkit", "sentence-transformers", "transformers", "torch", "bm25s", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """What is tested, and what may be trained on beside it."""

    train: Posed
    test: Posed


@dataclass(frozen=True, slots=True, kw_only=True)
class PosedTask:
    """A task with its folds (one, or one for each family that is held out in turn), and its size on all sides. No query is in two folds.

    `dev`: queries to learn cut-offs on; None where there is none, and where every family is held out in turn.
    """

    task: Task
    dev: Posed | None
    folds: tuple[Fold, ...]
    queries: int
    pairs: int

    @property
    def relevant(self) -> dict[str, frozenset[str]]:
        """The tested queries, fold by fold: query id -> ids of its items."""
        return {query: items for fold in self.folds for query, items in fold.test.relevant.items()}

    @property
    def items(self) -> tuple[Item, ...]:
        """What is ranked, in every fold."""
        return self.folds[0].test.items

    @property
    def families(self) -> frozenset[str]:
        """The asset families that the tested queries are about."""
        return frozenset(family for fold in self.folds for family in fold.test.families)

    def digest(self) -> str:
        """What tells the tested queries, items and qrels from any others."""
        return digest([fold.test.digest() for fold in self.folds])


@dataclass(frozen=True, slots=True, kw_only=True)
class PosedTasks:
    """All tasks that can be measured, by name; `left_out`: the others, and why. `holdout`: a family, EACH, or None for the split's."""

    tasks: dict[str, PosedTask]
    left_out: dict[str, str]
    split: str
    holdout: str | None

    @property
    def families(self) -> frozenset[str]:
        """The asset families that are asked about."""
        return frozenset(family for one in self.tasks.values() for family in one.families)


class TaskRankings(BaseModel):
    """An embedder's rankings of one task: query id -> item ids, best first, at most 100; with the prompts that stood before the texts.

    `cut_offs`: by rule; none without dev queries.
    """

    model_config = ConfigDict(frozen=True)

    version: int
    posed: str
    query_prompt: str
    item_prompt: str
    rankings: dict[str, list[str]]
    cut_offs: dict[Rule, CutOff] = {}


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
    """Every task of evaluation/retrieval/; `holdout`: this family alone is held out, or EACH in turn.

    Raises UsageError where none can be measured or the family has no asset, ContentError.
    """
    families = {split.family(row.name) for row in reading.assets(graph, role=None)}
    if holdout not in (None, EACH, *families):
        raise UsageError(
            f"no asset of the graph is of the family {holdout}; corpora/splits.yaml lists the families"
        )
    found: dict[str, PosedTask] = {}
    left_out: dict[str, str] = {}
    for task in read_tasks():
        sides = pose_all(task, graph, split, holdout=None if holdout == EACH else holdout)
        folds = [Fold(train=sides["train"], test=sides["held_out"])]
        if holdout == EACH:
            asked = {family for posed in sides.values() for family in posed.families}
            folds = [_about_no_asset(folds[0]), *_each(task, graph, split, sorted(asked))]
        folds = [fold for fold in folds if fold.test.queries]
        why = without_data(task, sides) if holdout != EACH or not folds else None
        if why is not None:
            left_out[task.name] = why
            continue
        whole: dict[str, frozenset[str]] = {}
        for posed in (*sides.values(), *(fold.test for fold in folds)):
            whole |= posed.relevant
        found[task.name] = PosedTask(
            task=task,
            dev=sides["dev"] if holdout != EACH and sides["dev"].queries else None,
            folds=tuple(folds),
            queries=len(whole),
            pairs=sum(len(items) for items in whole.values()),
        )
    if not found:
        said = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise UsageError(f"no retrieval task can be measured on this workspace ({said})")
    return PosedTasks(tasks=found, left_out=left_out, split=split.name, holdout=holdout)


def _each(task: Task, graph: GraphStore, split: Split, families: Sequence[str]) -> Iterator[Fold]:
    """A fold for each family that the task has a query about: that family tested, all others for training."""
    for family in families:
        sides = pose_all(task, graph, split, holdout=family)
        about = {query.id for query in sides["held_out"].queries if query.families}
        if about:
            yield Fold(train=sides["train"], test=_only(sides["held_out"], about))


def _about_no_asset(fold: Fold) -> Fold:
    """The queries that no family decides about: the same whichever is held out."""
    about = {query.id for query in fold.test.queries if not query.families}
    return Fold(train=fold.train, test=_only(fold.test, about))


def _only(posed: Posed, queries: set[str]) -> Posed:
    return replace(
        posed,
        queries=tuple(query for query in posed.queries if query.id in queries),
        relevant={id_: items for id_, items in posed.relevant.items() if id_ in queries},
        seen={id_: seen for id_, seen in posed.seen.items() if id_ in queries},
    )


def rank_without_model(posed: PosedTasks, *, embed: Embed | None) -> dict[str, dict[str, Rankings]]:
    """Ranker -> task -> rankings; those that compare names by meaning only with `embed`."""
    remembered = _remembering(embed) if embed else None
    names = (*RANKERS, *(WITH_ENCODER if embed else ()))
    return {
        name: {
            task: {
                query: ranking
                for fold in one.folds
                for query, ranking in ranked(name, fold.train, fold.test, embed=remembered).items()
            }
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
    tested: dict[str, dict[str, Ranked]] = {}
    for name, one in posed.tasks.items():
        on_task(name)
        queries = [query for fold in one.folds for query in fold.test.queries]
        found = _ranked(embedder, one.task, queries, one.items, one.relevant)
        tested[name] = found.queries
        tasks[name] = TaskRankings(
            version=one.task.version,
            posed=one.digest(),
            query_prompt=embedder.prompt(one.task, "query"),
            item_prompt=embedder.prompt(one.task, "document"),
            rankings=found.rankings,
        )
    dev = {
        name: _ranked(embedder, one.task, one.dev.queries, one.dev.items, one.dev.relevant).queries
        for name, one in posed.tasks.items()
        if one.dev
    }
    for name, found_cut_offs in cut_offs(dev, tested).items():
        tasks[name] = tasks[name].model_copy(update={"cut_offs": found_cut_offs})
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranked:
    """Queries with their rankings: query id -> item ids, and -> what cut-offs are learned from."""

    rankings: dict[str, list[str]]
    queries: dict[str, Ranked]


def _ranked(
    embedder: Embedder,
    task: Task,
    queries: Sequence[Query],
    items: Sequence[Item],
    relevant: Mapping[str, frozenset[str]],
) -> _Ranked:
    texts = [query.text for query in queries], [item.text for item in items]
    scores, ids = embedder.scores(task, *texts), [item.id for item in items]
    asked = [query.id for query in queries]
    wanted = [relevant[query] for query in asked]
    return _Ranked(
        rankings=dict(zip(asked, rank(scores, ids), strict=True)),
        queries=dict(zip(asked, ranked_queries(scores, ids, wanted), strict=True)),
    )


def kept_results(
    folder: Path, posed: PosedTasks, *, but: Sequence[RetrievalResult]
) -> list[RetrievalResult]:
    """The results that are kept for exactly these tasks, by file name; without those of `but`. Raises ContentError."""
    wanted = {name: one.digest() for name, one in posed.tasks.items()}
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
