"""What a stage is: one sub-task that plans asks and makes a subgraph of their replies; the loop runs it (kgkit/loop.py).

A new kind of passage is a new Stage and a new prompt, nothing else.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from kgkit.graph.store import GraphStore
from kgkit.prompts import read_prompt
from kgkit.records import Ask, Edge, EdgeKey, Node, NodeKey, Reply, Subgraph, Subject

RejectReason = Literal[
    "empty",
    "truncated",
    "refusal",
    "echo",
    "wrong shape",
    "too short",
    "repetitive",
    "subject missing",
    "other asset",
    "duplicate",
    "no reference",
    "verdict changed",
    "too few pairs",
    "too few entities",
    "refers to the article",
    "unsupported",
    "no evidence",
]


class BadReply(Exception):  # noqa: N818
    """A reply that is not accepted, and why. The raw reply stays in the ledger."""

    def __init__(self, reason: RejectReason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: RejectReason = reason
        self.detail = detail


class Profile(Protocol):
    """What an ask must know of its teacher; a Teacher is one."""

    @property
    def name(self) -> str:
        """See Teacher.name."""

    @property
    def structured(self) -> bool:
        """See Teacher.structured."""

    @property
    def logprobs(self) -> bool:
        """See Teacher.logprobs."""

    def identity(self, subject: Subject) -> str:
        """See Teacher.identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a stage makes of all its accepted replies for one scope, and which it drops after all: these may be asked once more.

    `dropped`: parts of accepted replies that are not taken (a question of several, an entity), by reason.
    """

    subgraph: Subgraph
    rejected: Mapping[str, RejectReason] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)


class Parser(Protocol):
    """What makes something of replies."""

    def parse(self, ask: Ask, reply: Reply) -> Subgraph:
        """What an acceptable reply says. Raises BadReply."""

    def settle(self, accepted: list[tuple[Ask, Subgraph]]) -> Settled:
        """Accepted replies, in the order of the plan, as one subgraph without double keys. Pure."""


class Stage(Parser, Protocol):
    """One sub-task for one scope. `held_out` finds the names that no prompt may hold."""

    name: str
    held_out: re.Pattern[str]

    def plan(self, graph: GraphStore) -> Iterator[Ask]:
        """The asks of this scope in a fixed order. Reads the graph only."""

    def written(self, graph: GraphStore) -> tuple[list[NodeKey], list[EdgeKey]]:
        """Nodes and edges that this stage wrote earlier for this scope."""


def make_ask(
    *,
    stage: str,
    prompt: str,
    variables: Mapping[str, object],
    subject: Subject,
    profile: Profile,
    number: int = 0,
) -> Ask:
    """Render `prompt` into an ask about `subject`. `structured` is filled in for prompts that want it."""
    template = read_prompt(prompt)
    structured = profile.structured and template.schema is not None
    if template.schema is not None:
        variables = {**variables, "structured": structured}
    return Ask(
        stage=stage,
        prompt=prompt,
        prompt_version=template.version,
        messages=template.render(variables),
        schema=template.schema if structured else None,
        sampling=template.sampling(
            number=number, top_logprobs=5 if profile.logprobs and template.schema else 0
        ),
        model=profile.identity(subject),
        subject=subject,
        variables=variables,
    )


def union(subgraphs: Iterable[Subgraph]) -> Subgraph:
    """All nodes and edges, each key once: the first to name a key gives its properties."""
    nodes: dict[NodeKey, Node] = {}
    edges: dict[EdgeKey, Edge] = {}
    for subgraph in subgraphs:
        for node in subgraph.nodes:
            nodes.setdefault(node.key, node)
        for edge in subgraph.edges:
            edges.setdefault(edge.key, edge)
    return Subgraph(nodes=tuple(nodes.values()), edges=tuple(edges.values()))
