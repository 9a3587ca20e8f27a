"""Settle what stands on entities, which all documents and assets share: what they are, what they are the same as.

All of it is a function of the whole graph, whatever the order in which documents came: so it is made again after every
change, and only differences are written. Near-duplicates are hints for a person; nothing is merged for likeness.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from kgkit.extend import entity_names as names
from kgkit.graph import entities as graph_entities
from kgkit.graph.entities import Called
from kgkit.graph.store import GraphStore
from kgkit.names import marks
from kgkit.records import Edge, EdgeKey, Node, NodeKey, Subgraph

LEAST_JACCARD = 0.7
"""Names whose sets of character trigrams are at least this much alike (|both| / |either|) are near-duplicates."""
_LEAST_REST = 0.5
"""The same for the words in which two names differ: so `limit below` is none of `limit above`, and no word more or less."""
_BANDS, _ROWS = 32, 4
"""Of the MinHash signature: a pair at LEAST_JACCARD shares a band with a probability above 0.9998."""
_SAID = {"origin": "teacher", "role": "source"}


def settle_entities(graph: GraphStore) -> None:
    """Give every Entity its kind and its SAME_AS and NEAR_DUPLICATE_OF edges; remove what no document mentions.

    Idempotent: what is there already is not written again. An INTERACTS_WITH edge goes with its passage.
    """
    there = graph_entities.kinds(graph)
    if not there:
        return
    called = graph_entities.called(graph)
    kinds = _kinds(called)
    graph.delete(nodes=[_key(id_) for id_ in there if id_ not in kinds])
    graph.delete(edges=graph_entities.lost_interactions(graph))
    wanted = {edge.key: edge for edge in (*_same_as(graph, called), *_near_duplicates(called))}
    standing = {edge.key: edge for edge in graph_entities.links(graph)}
    graph.delete(edges=[key for key in standing if key not in wanted])
    graph.merge(
        Subgraph(
            nodes=tuple(_node(id_, kind) for id_, kind in kinds.items() if there[id_] != kind),
            edges=tuple(
                Edge(key=key, properties={**_SAID, **edge.properties})
                for key, edge in wanted.items()
                if key not in standing or standing[key].properties != edge.properties
            ),
        )
    )


def _key(id_: str) -> NodeKey:
    return NodeKey(label="Entity", id=id_)


def _node(id_: str, kind: str) -> Node:
    return Node(
        key=_key(id_), properties={**_SAID, "name": names.canonical_name(id_), "kind": kind}
    )


def _kinds(called: Iterable[Called]) -> dict[str, str]:
    """What most documents call each entity; of equally many the first by name."""
    votes: dict[str, Counter[str]] = {}
    for one in called:
        votes.setdefault(one.entity, Counter())[one.kind] += one.documents
    return {
        entity: min(count, key=lambda kind: (-count[kind], kind)) for entity, count in votes.items()
    }


def _same_as(graph: GraphStore, called: Iterable[Called]) -> Iterator[Edge]:
    """From each entity to every node that it is."""
    index = names.Names.of(graph_entities.named(graph))
    written: dict[str, set[str]] = {}
    for one in called:
        written.setdefault(one.entity, set()).add(one.name)
    for entity, as_written in written.items():
        for node, how in index.same_as(entity, as_written):
            yield Edge(
                key=EdgeKey(type="SAME_AS", start=_key(entity), end=node.key),
                properties={"how": how},
            )


def _near_duplicates(called: Iterable[Called]) -> Iterator[Edge]:
    """From the entity that fewer documents mention to the other; of equally many to the smaller id."""
    documents: Counter[str] = Counter()
    for said in called:
        documents[said.entity] += said.documents
    trigrams = {id_: _trigrams(names.canonical_name(id_)) for id_ in sorted(documents)}
    for one_id, other_id in _candidates(trigrams):
        alike = _jaccard(trigrams[one_id], trigrams[other_id])
        if alike < LEAST_JACCARD or marks(one_id) != marks(other_id):
            continue
        if _jaccard(*map(_trigrams, _differing(one_id, other_id))) < _LEAST_REST:
            continue
        rarer, more = sorted((one_id, other_id), key=lambda id_: (-documents[id_], id_))[::-1]
        yield Edge(
            key=EdgeKey(type="NEAR_DUPLICATE_OF", start=_key(rarer), end=_key(more)),
            properties={"jaccard": round(alike, 4)},
        )


def _differing(one_id: str, other_id: str) -> tuple[str, str]:
    """The words of each that the other does not have."""
    one, other = one_id.split("-"), other_id.split("-")
    return (
        " ".join(word for word in one if word not in other),
        " ".join(word for word in other if word not in one),
    )


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one or other else 1.0


def _trigrams(name: str) -> frozenset[str]:
    padded = f" {name} "
    return frozenset(padded[at : at + 3] for at in range(len(padded) - 2))


def _candidates(trigrams: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, str]]:
    """Pairs whose MinHash signatures share a band, each once."""
    import rensa

    ids, size = list(trigrams), _BANDS * _ROWS
    index = rensa.RMinHashLSH(threshold=LEAST_JACCARD, num_perm=size, num_bands=_BANDS)
    sets = [sorted(trigrams[id_]) for id_ in ids]
    for place, signature in enumerate(rensa.RMinHash.from_token_sets(sets, size, 1)):
        for other in sorted(set(index.query(signature))):
            yield ids[other], ids[place]
        index.insert(place, signature)
