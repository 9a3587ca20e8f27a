"""Turn a graph into JSON lines and a checksum: how two graphs are compared and one is carried elsewhere."""

import hashlib
from collections.abc import Iterator

from kgkit.graph.store import GraphStore
from kgkit.records import Edge, Node, NodeKey, canonical_json


def dump_lines(store: GraphStore) -> Iterator[str]:
    """One canonical JSON text per node, then per edge, in the order of `store.dump()`; no line ends."""
    for item in store.dump():
        yield canonical_json(_node(item) if isinstance(item, Node) else _edge(item))


def dump_sha256(store: GraphStore) -> str:
    """sha256 (64 hex digits) of the dump's lines: equal graphs give equal sums, whatever the store."""
    total = hashlib.sha256()
    for line in dump_lines(store):
        total.update(line.encode())
        total.update(b"\n")
    return total.hexdigest()


def _node(node: Node) -> dict[str, object]:
    return {"node": _key(node.key), "properties": dict(node.properties)}


def _edge(edge: Edge) -> dict[str, object]:
    return {
        "edge": {
            "type": edge.key.type,
            "start": _key(edge.key.start),
            "end": _key(edge.key.end),
            "key": dict(edge.key.extra),
        },
        "properties": dict(edge.properties),
    }


def _key(key: NodeKey) -> dict[str, str]:
    return {"label": key.label, "id": key.id}
