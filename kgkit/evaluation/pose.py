"""Turn a benchmark into what is put to a model, and what is known without one: what training could have seen, what baselines choose."""

from dataclasses import dataclass, field
from pathlib import Path

from kgkit import content
from kgkit.errors import UsageError
from kgkit.graph.store import GraphStore
from kgkit.questions import baselines
from kgkit.questions.baselines import Baseline, Embed, Seen
from kgkit.questions.benchmark import RELATION_OF, Benchmark, benchmark_names, read_benchmark
from kgkit.questions.facts import facts
from kgkit.questions.files import read_questions
from kgkit.questions.making import asset_facts, make, training_facts
from kgkit.records import Question
from kgkit.splits import Split

WITHOUT_MODEL: tuple[Baseline, ...] = ("popularity", "pair lookup", "token kernel")


@dataclass(slots=True, kw_only=True)
class Posed:
    """Questions by id; `seen` and `chosen` (baseline -> question id -> options) only for those that rest on tables' facts.

    `families`: those that the questions ask about, which no model scored on them may have learned.
    """

    name: str
    version: int
    questions: list[Question] = field(default_factory=list)
    seen: dict[str, Seen] = field(default_factory=dict)
    chosen: dict[Baseline, dict[str, frozenset[int]]] = field(default_factory=dict)
    families: frozenset[str] = frozenset()
    untranslated: dict[str, int] = field(default_factory=dict)


def pose(
    name: str,
    *,
    graph: GraphStore,
    split: Split,
    holdout: str | None = None,
    each_family: bool = False,
    limit: int | None = None,
    embed: Embed | None = None,
) -> Posed:
    """The questions of the benchmark `name`, or of a file.

    `holdout`: about one family, all others being for training; `each_family`: about every family in turn, each with all the
    others for training. `limit`: the first by id, which is in no order.

    Raises UsageError for a benchmark, file or family that does not exist or gives no question, ContentError.
    """
    own = content.folder("evaluation") / f"{name}.jsonl"
    if own.is_file():
        found = _of_file(own)
    elif Path(name).suffix:
        found = _of_file(Path(name))
    else:
        benchmark = read_benchmark(name)
        found = Posed(name=benchmark.name, version=benchmark.version)
        for family in _families(benchmark, graph, split) if each_family else [holdout]:
            _add(found, benchmark, graph, split, family, embed)
    if not found.questions:
        raise UsageError(
            f"benchmark {name} gives no question: the graph has no fact of the kind about the assets that split {split.name} keeps for it (`kgkit load` loads tables)"
        )
    found.questions = sorted(found.questions, key=lambda question: question.id)[:limit]
    return found


def _of_file(path: Path) -> Posed:
    questions = read_questions(path)
    families = frozenset(question.family for question in questions if question.family)
    return Posed(name=path.stem, version=1, questions=questions, families=families)


def _families(benchmark: Benchmark, graph: GraphStore, split: Split) -> list[str]:
    """The families with facts that the benchmark asks about."""
    relations = {RELATION_OF[direction] for direction in benchmark.directions}
    known = asset_facts(graph, split)
    return sorted(
        {
            known[fact.asset].family
            for relation in relations
            for fact in facts(graph, relation)
            if fact.asset in known
        }
    )


def _add(
    found: Posed,
    benchmark: Benchmark,
    graph: GraphStore,
    split: Split,
    holdout: str | None,
    embed: Embed | None,
) -> None:
    """The questions of one hold-out with what baselines choose, from the facts of all other families."""
    built = make(benchmark, graph, split, holdout=holdout)
    for term, count in built.untranslated.items():
        found.untranslated[term] = found.untranslated.get(term, 0) + count
    held = frozenset({holdout}) if holdout else frozenset(split.held_out)
    families = {asset: one.family for asset, one in asset_facts(graph, split).items()}
    everything = {
        relation: facts(graph, relation)
        for relation in sorted({RELATION_OF[direction] for direction in benchmark.directions})
    }
    training = {
        relation: training_facts(graph, relation, families, split, but=held)
        for relation in everything
    }
    rates = baselines.rates_of(training, everything, embed=embed)
    names = (*WITHOUT_MODEL, *(("semantic kernel",) if embed else ()))
    for question in built.questions:
        known = baselines.seen(question, rates)
        if known is not None:
            found.seen[question.id] = known
        for name in names:
            chosen = baselines.answer(name, question, rates)
            found.chosen.setdefault(name, {})[question.id] = chosen
    found.questions += built.questions
    found.families |= {question.family for question in built.questions if question.family}


def examples(
    name: str, count: int, *, graph: GraphStore, split: Split, avoiding: frozenset[str]
) -> tuple[Question, ...]:
    """`count` solved questions of each type of the benchmark, about assets that may be trained on and are of no family in `avoiding`.

    None about no asset: those are the same on every side of the split, so that they would be asked as well.
    """
    if not count or Path(name).suffix or name not in benchmark_names():
        return ()
    benchmark = read_benchmark(name)
    train = benchmark.model_copy(update={"sides": ["train"]})
    found: dict[str, list[Question]] = {}
    for question in make(train, graph, split, role="source").questions:
        if question.family and question.family not in avoiding:
            found.setdefault(question.type, []).append(question)
    return tuple(question for some in found.values() for question in some[:count])
