"""What experts decided about passages binds the one loop: what is decided is not asked, and their word is what is written.

A rejected passage is never written, nor what the same reply made from it; an accepted or edited one is written with the
expert's text in the place of the teacher's, for as long as the graph holds what it is about.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kgkit.graph.decisions import PassageDecision, passage_decision_id, passage_decisions
from kgkit.graph.entities import interaction
from kgkit.graph.store import GraphStore
from kgkit.records import Ask, Edge, EdgeKey, Node, NodeKey, Subgraph, Value, digest

_KIND_OF = {
    "describe-asset-sensor": "asset_sensor",
    "describe-asset-failure-mode": "asset_failure_mode",
    "describe-asset-sensor-failure-mode": "asset_sensor_failure_mode",
    "rephrase-toddler": "rephrase_toddler",
    "rephrase-scholar": "rephrase_scholar",
    "rephrase-wiki": "rephrase_wiki",
    "rephrase-qa": "rephrase_qa",
    "raft": "raft",
    "entity-role": "entity_role",
    "entity-interaction": "entity_interaction",
}
"""Prompts whose reply is one passage: what is decided about it is not asked. Of other replies the rest is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """An ask that needs no answer, and the decision that is in its place."""

    ask: Ask
    decision: PassageDecision


class Decisions:
    """The decisions about passages of one asset, as they stand in the graph."""

    def __init__(self, graph: GraphStore, asset: str) -> None:
        self._graph = graph
        self._asset = asset
        self._by_id = passage_decisions(graph, asset)
        self._parts = self._read_parts() if self._by_id else {}

    def _read_parts(self) -> dict[str, str]:
        """Passage -> part of the asset, where it is about one."""
        rows = self._graph.query(
            "MATCH (p:Passage) WHERE p.asset = $asset AND p.part IS NOT NULL RETURN p.id, p.part",
            {"asset": self._asset},
        ).rows
        return {str(id_): str(part) for id_, part in rows}

    def of(self, ask: Ask) -> Decided | None:
        """The decision that makes this ask needless."""
        kind = _KIND_OF.get(ask.prompt) if self._by_id else None
        if kind is None:
            return None
        id_ = passage_decision_id(
            kind=kind,
            asset=self._asset,
            part=self._part(ask) or "",
            sensor=ask.subject.sensor or "",
            failure_mode=ask.subject.failure_mode or "",
            question=str(ask.variables.get("question", "")),
            name=_name(ask),
        )
        return Decided(ask=ask, decision=self._by_id[id_]) if id_ in self._by_id else None

    def _part(self, ask: Ask) -> str | None:
        parent = ask.subject.parent
        return parent if ask.stage == "describe" or not parent else self._parts.get(parent)

    def settle(self, subgraph: Subgraph, *, held_out: re.Pattern[str]) -> Subgraph:
        """Without what was rejected and what was made from it; with the experts' words for what they edited or accepted.

        What an expert wrote and names what is `held_out` is not written either.
        """
        if not self._by_id:
            return subgraph
        gone: set[str] = set()
        nodes = []
        for node in subgraph.nodes:
            found = self._by_id.get(_id_of(node)) if node.key.label == "Passage" else None
            parents = node.properties.get("parents")
            rests = isinstance(parents, list) and bool(gone.intersection(parents))
            if rests or (found and not may_stand(found, held_out)):
                gone.add(node.key.id)
            elif found:
                said = {**node.properties, **_said(found), "ask": None, "prompt_version": None}
                nodes.append(Node(key=node.key, properties=said))
            else:
                nodes.append(node)
        edges = (
            edge
            for edge in subgraph.edges
            if not {edge.key.start.id, edge.key.end.id, *(value for _, value in edge.key.extra)}
            & gone
        )
        return Subgraph(nodes=tuple(nodes), edges=tuple(edges))

    def passages(self, decided: Iterable[Decided]) -> list[Subgraph]:
        """The passages that experts accepted or wrote, with what they are about and what they were made from."""
        return [self._passage(one) for one in decided]

    def _passage(self, one: Decided) -> Subgraph:
        ask, decision = one.ask, one.decision
        key = NodeKey(label="Passage", id=digest(["expert", decision.id])[:20])
        parents, about = self._parents(ask), self._about(ask)
        node = Node(
            key=key,
            properties={
                "name": decision.name,
                "kind": decision.kind,
                "asset": self._asset,
                "part": self._part(ask),
                "sensor": ask.subject.sensor,
                "failure_mode": ask.subject.failure_mode,
                "parents": [parent.id for parent in parents],
                **_said(decision),
            },
        )
        keys = [EdgeKey(type="ABOUT", start=key, end=end) for end in about]
        keys += [EdgeKey(type="DERIVED_FROM", start=key, end=end) for end in parents]
        if decision.kind == "entity_interaction" and len(about) == 2:
            keys.append(interaction(about[0].id, about[1].id, key.id))
        word: dict[str, Value] = {"origin": "expert", "role": "source"}
        word["sources"] = [decision.source]
        return Subgraph(
            nodes=(node,), edges=tuple(Edge(key=edge, properties=word) for edge in keys)
        )

    def _parents(self, ask: Ask) -> list[NodeKey]:
        """The document; of an answer with evidence the question and the summary that it came with."""
        parent = ask.subject.parent
        if ask.stage == "describe" or not parent:
            return []
        ids = [parent]
        if ask.prompt == "raft":
            rows = self._graph.query(
                "MATCH (:Passage {id: $id})-[:DERIVED_FROM]->(s:Passage) WHERE s.kind = 'summary' RETURN s.id",
                {"id": parent},
            ).rows
            ids += [str(id_) for (id_,) in rows]
        return [NodeKey(label="Passage", id=id_) for id_ in ids]

    def _about(self, ask: Ask) -> list[NodeKey]:
        subject = ask.subject
        if ask.stage == "describe":
            ends = [("Sensor", subject.sensor), ("FailureMode", subject.failure_mode)]
            about = [NodeKey(label=label, id=id_) for label, id_ in ends if id_]
            return [self._whole(subject.parent), *about]
        names = _entities(ask)
        if not names:
            return []
        rows = self._graph.query(
            "MATCH (:Passage {id: $id})-[m:MENTIONS]->(e:Entity) WHERE m.name IN $names RETURN DISTINCT e.id ORDER BY e.id",
            {"id": subject.parent or "", "names": names},
        ).rows
        return [NodeKey(label="Entity", id=str(id_)) for (id_,) in rows]

    def _whole(self, part: str | None) -> NodeKey:
        for label in ("Subunit", "Component") if part else ():
            given = {"id": part}
            if self._graph.query(f"MATCH (n:{label} {{id: $id}}) RETURN n.id", given).rows:
                return NodeKey(label=label, id=str(part))
        return NodeKey(label="Asset", id=self._asset)


def may_stand(decision: PassageDecision, held_out: re.Pattern[str]) -> bool:
    """Whether the passage is to be in the graph: it is not rejected and names nothing held out."""
    said = f"{decision.question} {decision.text}"
    return decision.verdict != "reject" and not held_out.search(said)


def _said(decision: PassageDecision) -> dict[str, Value]:
    return {
        "origin": "expert",
        "role": "source",
        "sources": [decision.source],
        "question": decision.question or None,
        "text": decision.text,
        "prompt": "expert",
        "teacher": decision.expert,
        "expert": decision.expert,
        "comment": decision.comment or None,
    }


def _id_of(node: Node) -> str:
    said = {
        name: str(node.properties.get(name) or "")
        for name in ("kind", "asset", "part", "sensor", "failure_mode", "question", "name")
    }
    return passage_decision_id(**said)


def _entities(ask: Ask) -> list[str]:
    return [str(ask.variables[at]) for at in ("entity", "first", "second") if at in ask.variables]


def _name(ask: Ask) -> str:
    """The name of the passage that a reply about entities becomes."""
    about = (str(ask.variables.get(at) or "") for at in ("asset", "sensor", "failure_mode"))
    return f"{' and '.join(_entities(ask))}: {', '.join(filter(None, about))}"
