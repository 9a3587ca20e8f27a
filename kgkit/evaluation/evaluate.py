"""`kgkit evaluate`: put a benchmark to models, keep what they answer, refuse what would be no measurement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kgkit.errors import UsageError
from kgkit.evaluation.answering import answer_all
from kgkit.evaluation.asks import STATED, By, Mode, Way
from kgkit.evaluation.embedder_answers import open_answering
from kgkit.evaluation.models import Model, open_model
from kgkit.evaluation.pose import Posed, examples
from kgkit.evaluation.results import Result, result_of, write_result
from kgkit.graph.store import GraphStore
from kgkit.questions.wording import read_wording
from kgkit.records import Question
from kgkit.retrieval.embedder import is_embedder
from kgkit.settings import Settings
from kgkit.splits import Split
from kgkit.teacher.asking import Event
from kgkit.teacher.budget import Budget
from kgkit.teacher.ledger import Ledger

SHOTS_FOR_BASE_MODELS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How models are asked. `shots` None: five solved examples for a model without a chat template, none for others."""

    mode: Mode = "logprob"
    by: By = "letters"
    shots: int | None = None
    robust: bool = True
    allow_contaminated: bool = False

    def way(self, posed: Posed, solved: tuple[Question, ...] = ()) -> Way:
        """How the questions are put, after these solved examples. Raises UsageError where `by` is not for them or for the mode."""
        if self.by != "letters" and self.mode == "generate":
            raise UsageError(
                f"--by {self.by} says what is scored, and --mode generate reads what is written; leave one of them out"
            )
        if self.by in STATED and not all(one.direction for one in posed.questions):
            raise UsageError(
                f"--by {self.by} puts what tables say, and {posed.name} has questions of a file; score them --by options"
            )
        if self.by == "minimal-pairs":
            self._require_pairs(posed)
        wording = read_wording(posed.questions[0].language)
        return Way(mode=self.mode, by=self.by, examples=solved, wording=wording)

    def _require_pairs(self, posed: Posed) -> None:
        if self.shots:
            raise UsageError(
                "--by minimal-pairs compares sentences that stand alone; leave --shots out"
            )
        if any(one.type != "single" for one in posed.questions):
            raise UsageError(
                f"--by minimal-pairs compares options with each other, and not every question of {posed.name} has one right option; "
                "score them --by statements"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where models are evaluated: the graph and split that questions come from, the ledger and folder that keep answers."""

    graph: GraphStore
    split: Split
    ledger: Ledger
    folder: Path
    settings: Settings


def evaluate(
    uri: str,
    posed: Posed,
    bench: Bench,
    options: Options,
    *,
    budget: Budget,
    on_event: Callable[[Event], None],
) -> Result:
    """Have the model answer what was posed, and keep the result.

    Raises UsageError for an unknown model, one that cannot be scored the way it is asked for, and one that has learned from the
    families that are asked about (unless that is allowed); ServiceError when a server refuses or stays away.
    """
    model = _opened(uri, posed, bench)
    contaminated = _contaminated(model, posed)
    if contaminated and not options.allow_contaminated:
        raise UsageError(
            f"{model.name} has learned from {', '.join(contaminated)}, which {posed.name} asks about: its score would say nothing. "
            "Hold these families out in training, or add --allow-contaminated to have it marked"
        )
    _require_scores(model, options)
    way = way_for(model, posed, bench, options)
    answered = answer_all(
        model,
        posed.questions,
        way,
        robust=options.robust,
        ledger=bench.ledger,
        budget=budget,
        on_event=on_event,
    )
    result = result_of(
        model,
        posed,
        answered,
        way,
        split=bench.split.name,
        robust=options.robust,
        contaminated=contaminated,
    )
    write_result(result, bench.folder)
    return result


def _opened(uri: str, posed: Posed, bench: Bench) -> Model:
    if is_embedder(uri):
        return open_answering(
            uri,
            graph=bench.graph,
            split=bench.split,
            questions=posed.questions,
            cache_dir=bench.settings.cache_dir,
        )
    return open_model(
        uri,
        settings=bench.settings,
        ledger=bench.ledger,
        graph=bench.graph,
        questions=posed.questions,
    )


def way_for(model: Model, posed: Posed, bench: Bench, options: Options) -> Way:
    """How this model is asked; its solved examples are about assets of training families."""
    shots = options.shots
    if shots is None:
        asked = model.teacher is not None and options.by != "minimal-pairs"
        shots = SHOTS_FOR_BASE_MODELS if asked and not model.chat else 0
    solved: tuple[Question, ...] = ()
    if shots:
        solved = examples(
            posed.name, shots, graph=bench.graph, split=bench.split, avoiding=posed.families
        )
    return options.way(posed, solved)


def _contaminated(model: Model, posed: Posed) -> Sequence[str]:
    learned = set(model.trained_on.families) if model.trained_on else set()
    return sorted(learned & posed.families)


def _require_scores(model: Model, options: Options) -> None:
    teacher = model.teacher
    if teacher is not None and options.mode == "logprob" and not teacher.scores:
        raise UsageError(
            f"{model.name} gives no log probabilities of a prompt (vLLM does); add --mode generate"
        )
