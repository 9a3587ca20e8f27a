"""Turn a --model into whoever answers questions: a language model behind a teacher's protocol, or a rule that needs none.

local:NAME-or-DIR    a model directory through transformers, with or without a LoRA adapter
http(s)://host/v1    an OpenAI-compatible server; `#NAME` after it names one of several models
embedder:DIR         a directory of sentence-transformers; see embedder_answers
reference            asks the graph for the proof of each key: it has to be right everywhere, else the benchmark is wrong
chance, first, longest, majority
                     a blind guess, the first option, the longest one, the place that is right most often
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from kgkit import content
from kgkit.errors import UsageError
from kgkit.graph.store import GraphStore
from kgkit.questions.baselines import blind
from kgkit.questions.proof import proved
from kgkit.records import Question
from kgkit.retrieval.embedder import CARD as CARD
from kgkit.retrieval.embedder import is_embedder
from kgkit.settings import Settings
from kgkit.teacher.facts import Facts
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.open import open_teacher
from kgkit.teacher.protocol import Teacher

RULES = ("reference", "chance", "first", "longest", "majority")
Chooses = Callable[[Question], frozenset[int]]


class TrainedOn(BaseModel):
    """What a model of kgkit learned from, as the card beside its weights says."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    protocol: str
    """`alia` (no sensor matrix in training) or `transfer` (the matrices of training families)."""
    families: list[str]
    """Every asset family that its training rows speak of."""
    corpora: list[str]


class _Card(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    trained_on: TrainedOn


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Who answers. Exactly one of `teacher` and `chooses` is there; `trained_on` is known of kgkit's own models alone.

    `identity` tells weights behind `chooses` from others; a teacher has its own.
    """

    name: str
    teacher: Teacher | None = None
    chooses: Chooses | None = None
    chat: bool = False
    trained_on: TrainedOn | None = None
    identity: str = ""


def open_model(
    uri: str,
    *,
    settings: Settings,
    ledger: Ledger,
    graph: GraphStore,
    questions: Sequence[Question],
) -> Model:
    """The model that `uri` names. Rules that count look at `questions`, the reference at the graph.

    Raises UsageError for an unknown one, ServiceError, KgkitError as `open_teacher`.
    """
    if uri in RULES:
        return Model(name=uri, chooses=_rule(uri, questions, graph))
    if is_embedder(uri):
        raise UsageError(
            f"--model {uri} is an embedder, which ranks options and continues no text; name a language model"
        )
    if not uri.lower().startswith(("local:", "http:", "https:")):
        raise UsageError(
            f"--model {uri} is unknown; use local:smollm2, local:DIR, http://host:port/v1#NAME, embedder:DIR or one of {', '.join(RULES)}"
        )
    address, _, served = uri.partition("#") if uri.lower().startswith("http") else (uri, "", "")
    teacher = open_teacher(
        address, model=served, settings=settings, ledger=ledger, facts=_tables_of_none
    )
    directory: Path | None = getattr(teacher, "directory", None)
    if directory is None:
        return Model(name=teacher.name, teacher=teacher, chat=True)
    base: Path = getattr(teacher, "base", directory)
    return Model(
        name=teacher.name,
        teacher=teacher,
        chat=has_chat_template(directory) or has_chat_template(base),
        trained_on=trained_on(directory),
    )


def _tables_of_none() -> Facts:
    return Facts(assets={}, training=frozenset())


def has_chat_template(directory: Path) -> bool:
    """Whether a model directory's tokenizer brings a chat template."""
    if (directory / "chat_template.jinja").exists():
        return True
    config = directory / "tokenizer_config.json"
    return config.exists() and bool(
        json.loads(config.read_text(encoding="utf-8")).get("chat_template")
    )


def trained_on(directory: Path) -> TrainedOn | None:
    """What the card beside the weights says the model learned from; None without a card. Raises ContentError."""
    card = directory / CARD
    return content.read_yaml(card, _Card).trained_on if card.exists() else None


def _rule(name: str, questions: Sequence[Question], graph: GraphStore) -> Chooses:
    if name == "reference":
        return lambda question: proved(graph, question)
    if name == "chance":
        return lambda question: blind(question, seed=0)
    if name == "first":
        return lambda _: frozenset({0})
    if name == "longest":
        return lambda question: frozenset(
            {max(range(len(question.options)), key=lambda at: len(question.options[at]))}
        )
    places = Counter(
        (len(question.options), at)
        for question in questions
        for at, right in enumerate(question.correct)
        if right
    )
    return lambda question: frozenset(
        {max(range(len(question.options)), key=lambda at: places[len(question.options), at])}
    )
