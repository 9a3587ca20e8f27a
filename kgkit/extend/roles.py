"""Entity-centric: the role of each entity in each document (ALIA, section 4.2.3)."""

from collections.abc import Iterator

from kgkit.expand.passage import without_repeats
from kgkit.expand.scope import Scope
from kgkit.extend.checks import variables_of
from kgkit.extend.documents import Document
from kgkit.extend.entities import MOST, Entity
from kgkit.extend.explain import PLACEHOLDER, Mentioned, explanation, mentioned, unmentioned
from kgkit.extend.options import ExtendOptions
from kgkit.graph import written
from kgkit.graph.store import GraphStore
from kgkit.records import Ask, EdgeKey, NodeKey, Reply, Subgraph
from kgkit.stages import Profile, Settled, make_ask

KIND = "entity_role"


class ExplainRoles:
    """The stage for the documents of one asset and its parts."""

    name = "entity-centric"

    def __init__(self, scope: Scope, profile: Profile) -> None:
        self.held_out = scope.held_out_pattern
        self._scope = scope
        self._profile = profile
        self._mentioned: dict[str, Mentioned] = {}

    def plan(self, graph: GraphStore) -> Iterator[Ask]:
        """One ask for each entity of each document."""
        self._mentioned = mentioned(graph, self._scope)
        for one in self._mentioned.values():
            for entity in one.entities:
                yield _ask(one.document, entity, self._profile)

    def parse(self, ask: Ask, reply: Reply) -> Subgraph:
        """The passage, about the entity, derived from its document."""
        entity = Entity(name=str(ask.variables["entity"]), kind=str(ask.variables["kind"]))
        document = self._mentioned[ask.subject.parent or ""].document
        return explanation(ask, reply, document, [entity], kind=KIND)

    def settle(self, accepted: list[tuple[Ask, Subgraph]]) -> Settled:
        """All passages but those that repeat an earlier one."""
        return without_repeats(accepted)

    def written(self, graph: GraphStore) -> tuple[list[NodeKey], list[EdgeKey]]:
        """The roles of this asset's documents."""
        return written.derived_passages(graph, self._scope.asset, [KIND]), []


def to_come(
    graph: GraphStore,
    scope: Scope,
    profile: Profile,
    options: ExtendOptions,
) -> Iterator[tuple[Ask, int]]:
    """For each document without entities an ask like those that its entities will lead to, and how many at most."""
    for document in unmentioned(graph, scope, options):
        yield _ask(document, PLACEHOLDER, profile), MOST


def _ask(document: Document, entity: Entity, profile: Profile) -> Ask:
    return make_ask(
        stage="entity-centric",
        prompt="entity-role",
        variables={**variables_of(document), "entity": entity.name, "kind": entity.kind},
        subject=document.subject,
        profile=profile,
    )
