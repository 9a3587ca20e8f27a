"""The records that travel between rooms. Frozen, keyword-only, made of plain JSON values.

A record knows nothing of files, databases or networks; whoever needs those makes or reads records.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Value = str | int | float | bool | list[str] | None
"""What a property of a node or an edge may hold. None and [] both mean: not there."""

Origin = Literal["table", "teacher", "expert"]
"""Who says so. What a table or an expert says is never overwritten by a teacher."""

Role = Literal["source", "evaluation"]
"""What a row may be used for: prompts and corpora, or evaluation alone."""


def canonical_json(value: object) -> str:
    """`value` as JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest(value: object) -> str:
    """sha256 (64 hex digits) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def column_letters(column: int) -> str:
    """Spreadsheet letters of a 1-based column number: 1 -> A, 27 -> AA."""
    letters = ""
    while column > 0:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRef:
    """The address of one cell: `file` as the workspace names it, 1-based `row` and `column`."""

    file: str
    sheet: str = ""
    row: int
    column: int
    sha256: str = ""

    def __str__(self) -> str:
        """As a spreadsheet user writes it: `plant.xlsx#Failure modes!C17` or `pump.csv!D5`."""
        sheet = f"#{self.sheet}" if self.sheet else ""
        return f"{self.file}{sheet}!{column_letters(self.column)}{self.row}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The text of one cell and where it stands."""

    text: str
    source: SourceRef


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One fact-bearing row of a table, read through a layout.

    `cells` maps the layout's field names (`asset`, `failure_mode`, `sensor`, `tick`, ...) to cells; a
    matrix gives one TableRow per (row, column) crossing. A field without text is absent.
    """

    layout: str
    role: Role
    cells: Mapping[str, Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKey:
    """What names a node: its label and its `id` property."""

    label: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node: its key and its properties (`name`, `origin`, `role`, `sources`, ...)."""

    key: NodeKey
    properties: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeKey:
    """What names an edge: type, both ends, and the key properties that graph.yaml lists for the type.

    `extra` holds those key properties as sorted (name, value) pairs, e.g. (("asset", "pump"),).
    """

    type: str
    start: NodeKey
    end: NodeKey
    extra: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An edge: its key and its properties (without the key properties)."""

    key: EdgeKey
    properties: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgraph:
    """Nodes and edges: the only thing that `GraphStore.merge` takes. No key stands twice in it."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an ask or a passage is about: node ids, None where it does not apply."""

    asset: str
    sensor: str | None = None
    failure_mode: str | None = None
    parent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the teacher draws its answer. `number` tells samples of the same ask apart (0-based)."""

    temperature: float
    max_tokens: int
    number: int = 0
    top_logprobs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question to a teacher. `id` is the sha256 of everything that can change the reply.

    So the same ask is never sent twice, and a changed cell or prompt makes exactly the touched asks new.
    `schema` is the JSON schema of the answer, None for free text. `model` is the teacher's identity for
    this ask (a served model's name; for the reference teacher also a digest of the facts it would use).
    `variables` are what the prompt was rendered with: the reference teacher answers from them; the ledger keeps the
    rendered messages alone.
    `continuations`: where there are any, nothing is generated. The last message, the assistant's own, is what they continue, and
    the reply's text is JSON: for each continuation the list of its tokens' natural log probabilities. Without messages each is a
    plain text by itself, no chat, and its first token, which nothing precedes, has none.
    """

    stage: str
    prompt: str
    prompt_version: str
    messages: tuple[Message, ...]
    schema: Mapping[str, object] | None
    sampling: Sampling
    model: str
    subject: Subject
    continuations: tuple[str, ...] = ()
    variables: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)
    id: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", digest(self.request()))

    def request(self) -> dict[str, object]:
        """What is sent and what answers it: the part of the ask that its id is made of."""
        sampling = self.sampling
        scored = {"continuations": list(self.continuations)} if self.continuations else {}
        return {
            **scored,
            "messages": [{"role": one.role, "content": one.content} for one in self.messages],
            "schema": self.schema,
            "sampling": {
                "temperature": sampling.temperature,
                "max_tokens": sampling.max_tokens,
                "number": sampling.number,
                "top_logprobs": sampling.top_logprobs,
            },
            "model": self.model,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprobs:
    """One generated token with its most likely alternatives as (token, natural log probability)."""

    token: str
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A teacher's reply, raw. `seconds` runs from the moment the request was sent."""

    ask_id: str
    model: str
    text: str
    finish_reason: str
    tokens_in: int
    tokens_out: int
    seconds: float
    logprobs: tuple[TokenLogprobs, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An ask that ended without a reply: the service refused it or never answered."""

    ask_id: str
    kind: str
    message: str


Polarity = Literal["select", "eliminate"]
"""Whether the options that hold are looked for, or those that do not."""

QuestionType = Literal["true-false", "single", "multiple"]
"""A statement, a choice with one correct option, a choice with several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of a benchmark with its key and the proof of the key.

    `relation` is what it asks about (`relevance`, `failure-modes`, ...), "" in files of others; `direction` from what to what.
    `asset_name` and `subject`: what the stem calls the asset and what it asks about, "" in files of others.
    `facts`: for each option the pair of ids (left, right) of the relation that it rests on, none in files of others. `proof` is
    Cypher that returns (option, correct) for each of `option_ids`. `spares`: wrong options that could stand in the others' places. `hard`: distractors of the same asset, five options or more,
    `eliminate`. Ids and families are "" where a question has none.
    """

    id: str
    benchmark: str
    relation: str
    direction: str
    polarity: Polarity
    type: QuestionType
    asset: str
    family: str
    discipline: str
    language: str
    asset_name: str
    subject: str
    stem: str
    paraphrases: tuple[str, ...]
    options: tuple[str, ...]
    correct: tuple[bool, ...]
    facts: tuple[tuple[str, str], ...]
    proof: str
    option_ids: tuple[str, ...]
    spares: tuple[str, ...]
    sources: tuple[str, ...]
    hard: bool

    @property
    def form(self) -> str:
        """Direction, polarity and type in one word, as tables are sliced by it."""
        return "/".join(part for part in (self.direction, self.polarity, self.type) if part)
