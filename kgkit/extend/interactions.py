"""Interaction-centric: how two entities of a document interact (ALIA, section 4.2.3), the most telling pairs first.

All pairs explode: ten entities make 45 pairs. They are ranked by `score` and capped. The ranking counts the asset's
own documents and its own part of the graph alone, so that the run of another asset changes none of its asks.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

from kgkit.expand.passage import without_repeats
from kgkit.expand.scope import Scope
from kgkit.extend.checks import variables_of
from kgkit.extend.documents import Document
from kgkit.extend.entities import MOST, Entity
from kgkit.extend.entity_names import Names
from kgkit.extend.explain import PLACEHOLDER, Mentioned, explanation, mentioned, unmentioned
from kgkit.extend.options import ExtendOptions
from kgkit.graph import entities as graph_entities
from kgkit.graph import reading, written
from kgkit.graph.store import GraphStore
from kgkit.records import Ask, Edge, EdgeKey, NodeKey, Reply, Subgraph
from kgkit.stages import Profile, Settled, make_ask

KIND = "entity_interaction"
UNRESOLVED = 3
"""Distance of two entities of which one is no node of the asset's graph: one step more than the longest way in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """An asset with its parts, sensors and failure modes, and which sensors show which failure modes."""

    asset: NodeKey
    names: Names
    relevant: frozenset[frozenset[NodeKey]]

    def nodes_of(self, entity: Entity) -> frozenset[NodeKey]:
        """The nodes here that the entity is."""
        return frozenset(node.key for node, _ in self.names.same_as(entity.id, [entity.name]))

    def distance(self, one: Collection[NodeKey], other: Collection[NodeKey]) -> int:
        """Steps between two entities' nodes: 0 the same, 1 linked, 2 by way of the asset, UNRESOLVED if one has none."""
        return min((self._steps(a, b) for a in one for b in other), default=UNRESOLVED)

    def _steps(self, one: NodeKey, other: NodeKey) -> int:
        if one == other:
            return 0
        linked = self.asset in (one, other) or frozenset((one, other)) in self.relevant
        return 1 if linked else 2


class ExplainInteractions:
    """The stage for the documents of one asset and its parts. `pairs`: at most so many of one document, None for all."""

    name = "interaction-centric"

    def __init__(self, scope: Scope, profile: Profile, *, pairs: int | None) -> None:
        self.held_out = scope.held_out_pattern
        self._scope = scope
        self._profile = profile
        self._pairs = pairs
        self._mentioned: dict[str, Mentioned] = {}

    def plan(self, graph: GraphStore) -> Iterator[Ask]:
        """One ask for each of the best pairs of each document, the best first."""
        self._mentioned = mentioned(graph, self._scope)
        ranking = Ranking(self._mentioned.values(), neighbourhood(graph, self._scope.asset))
        for one in self._mentioned.values():
            for first, second in ranking.best(one.entities, most=self._pairs):
                yield _ask(one.document, first, second, self._profile)

    def parse(self, ask: Ask, reply: Reply) -> Subgraph:
        """The passage, about both entities, and their interaction."""
        first, second = (
            Entity(name=str(ask.variables[which]), kind=str(ask.variables[f"{which}_kind"]))
            for which in ("first", "second")
        )
        document = self._mentioned[ask.subject.parent or ""].document
        said = explanation(ask, reply, document, [first, second], kind=KIND)
        edge = Edge(
            key=graph_entities.interaction(first.id, second.id, said.nodes[0].key.id),
            properties={"origin": "teacher", "role": "source", "ask": ask.id},
        )
        return Subgraph(nodes=said.nodes, edges=(*said.edges, edge))

    def settle(self, accepted: list[tuple[Ask, Subgraph]]) -> Settled:
        """All passages but those that repeat an earlier one."""
        return without_repeats(accepted)

    def written(self, graph: GraphStore) -> tuple[list[NodeKey], list[EdgeKey]]:
        """The interactions of this asset's documents."""
        asset = self._scope.asset
        return (
            written.derived_passages(graph, asset, [KIND]),
            graph_entities.written_interactions(graph, asset),
        )


class Ranking:
    """How telling a pair of entities is within the documents of one asset."""

    def __init__(self, documents: Iterable[Mentioned], around: Neighbourhood) -> None:
        listed = list(documents)
        self._count = len(listed)
        self._around = around
        self._single = Counter(entity.id for one in listed for entity in one.entities)
        self._pairs = Counter(
            pair
            for one in listed
            for pair in combinations(sorted({entity.id for entity in one.entities}), 2)
        )
        self._nodes = {
            entity: around.nodes_of(entity)
            for entity in dict.fromkeys(entity for one in listed for entity in one.entities)
        }

    def best(
        self, entities: Collection[Entity], *, most: int | None
    ) -> list[tuple[Entity, Entity]]:
        """The pairs of a document by falling score, equal ones by their ids; none of two names for one thing."""
        pairs = combinations(sorted(entities, key=lambda one: one.id), 2)
        scored = [(self.score(*pair), pair) for pair in pairs]
        scored.sort(key=lambda row: (-row[0], row[1][0].id, row[1][1].id))
        return [pair for score, pair in scored if score > 0][:most]

    def score(self, one: Entity, other: Entity) -> float:
        """(1 + ln co) * (idf one + idf other) / 2 / distance, nine digits; 0 for two names of one node.

        co: documents with both; idf = ln(1 + documents / documents with it); see docs/phase-2.md for the reasons.
        """
        distance = self._around.distance(self._nodes[one], self._nodes[other])
        together = self._pairs[one.id, other.id] or self._pairs[other.id, one.id]
        if distance == 0 or not together:
            return 0.0
        rarity = (self._rarity(one) + self._rarity(other)) / 2
        return round((1 + math.log(together)) * rarity / distance, 9)

    def _rarity(self, entity: Entity) -> float:
        return math.log(1 + self._count / self._single[entity.id])


def neighbourhood(graph: GraphStore, asset: str) -> Neighbourhood:
    """What an asset's entities can be: itself, its parts, their sensors, its failure modes, and who shows which."""
    whole = NodeKey(label="Asset", id=asset)
    parts = reading.parts_of(graph, asset)
    own = {whole} | {NodeKey(label=part.label, id=part.id) for part in parts}
    for one in (None, *parts):
        monitored = (
            reading.sensors_of(graph, one.id, label=one.label)
            if one
            else reading.sensors_of(graph, asset)
        )
        own |= {NodeKey(label="Sensor", id=sensor.id) for sensor in monitored}
    modes = reading.failure_modes_of(graph, asset)
    own |= {NodeKey(label="FailureMode", id=mode.id) for mode in modes}
    relevant = frozenset(
        frozenset((NodeKey(label="Sensor", id=sensor), NodeKey(label="FailureMode", id=mode)))
        for (sensor, mode), stated in reading.known_relevance(graph, asset).items()
        if stated.label == "Yes"
    )
    named = [node for node in graph_entities.named(graph) if node.key in own]
    return Neighbourhood(asset=whole, names=Names.of(named), relevant=relevant)


def to_come(
    graph: GraphStore, scope: Scope, profile: Profile, options: ExtendOptions
) -> Iterator[tuple[Ask, int]]:
    """For each document without entities an ask like those that its pairs will lead to, and how many at most."""
    every = MOST * (MOST - 1) // 2
    most = every if options.pairs_per_document is None else min(options.pairs_per_document, every)
    for document in unmentioned(graph, scope, options):
        yield _ask(document, PLACEHOLDER, PLACEHOLDER, profile), most


def _ask(document: Document, first: Entity, second: Entity, profile: Profile) -> Ask:
    return make_ask(
        stage="interaction-centric",
        prompt="entity-interaction",
        variables={
            **variables_of(document),
            "first": first.name,
            "first_kind": first.kind,
            "second": second.name,
            "second_kind": second.kind,
        },
        subject=document.subject,
        profile=profile,
    )
