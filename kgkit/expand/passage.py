"""An accepted text as a Passage node with its edges: what it is about, what it was made from."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from kgkit.names import plain
from kgkit.records import Ask, Edge, EdgeKey, Node, NodeKey, Subgraph, digest
from kgkit.stages import RejectReason, Settled, union


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text that a reply holds: `kind` and `name` of the passage, what it is about, the passages it was made from.

    `number` tells several texts of one kind in one reply apart.
    """

    kind: str
    name: str
    text: str
    asset: str
    part: str | None = None
    sensor: str | None = None
    failure_mode: str | None = None
    question: str | None = None
    about: tuple[NodeKey, ...] = ()
    parents: tuple[NodeKey, ...] = ()
    number: int = 0


def passage(text: Text, *, ask: Ask, teacher: str, scope: NodeKey) -> Subgraph:
    """The Passage node with ABOUT and DERIVED_FROM edges. Its id depends on scope, ask, kind and number alone."""
    made_of: list[object] = ["passage", scope.id, ask.id]
    if text.parents:
        made_of += [text.kind, text.number]
    key = NodeKey(label="Passage", id=digest(made_of)[:20])
    said = {"origin": "teacher", "role": "source", "ask": ask.id}
    node = Node(
        key=key,
        properties={
            **said,
            "name": text.name,
            "kind": text.kind,
            "question": text.question,
            "text": text.text,
            "asset": text.asset,
            "part": text.part,
            "sensor": text.sensor,
            "failure_mode": text.failure_mode,
            "parents": [parent.id for parent in text.parents],
            "prompt": ask.prompt,
            "prompt_version": ask.prompt_version,
            "teacher": teacher,
        },
    )
    edges = [*_edges("ABOUT", key, text.about), *_edges("DERIVED_FROM", key, text.parents)]
    return Subgraph(nodes=(node,), edges=tuple(Edge(key=edge, properties=said) for edge in edges))


def _edges(type_: str, start: NodeKey, ends: Iterable[NodeKey]) -> list[EdgeKey]:
    return [EdgeKey(type=type_, start=start, end=end) for end in ends]


def without_repeats(accepted: Iterable[tuple[Ask, Subgraph]]) -> Settled:
    """All replies but those whose one passage repeats an earlier one of its kind, but for case, numbers, punctuation."""
    seen: set[bytes] = set()
    kept: list[Subgraph] = []
    rejected: dict[str, RejectReason] = {}
    for ask, subgraph in accepted:
        said = subgraph.nodes[0].properties
        mark = fingerprint(f"{said['kind']}: {said['text']}")
        if mark in seen:
            rejected[ask.id] = "duplicate"
        else:
            seen.add(mark)
            kept.append(subgraph)
    return Settled(subgraph=union(kept), rejected=rejected)


def fingerprint(text: str) -> bytes:
    """Equal for texts that differ in case, numbers and punctuation alone."""
    return hashlib.sha256(re.sub(r"[\W\d]+", " ", plain(text)).encode()).digest()
