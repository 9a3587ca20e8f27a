"""Vectors of nodes: derived data that stands in a graph beside it, in no dump, and goes with its node.

They are nodes of a label of their own (schemas/graph.yaml does not have it): `id` is LABEL/ID of the node, which `label` and `node` name
apart, and `name` is the node's. `mark` changes with the text that was embedded, `model` with the embedder.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kgkit.records import NodeKey

LABEL = "KgkitVector"
INDEX = "kgkit_vectors"
SIMILARITY = "vector.similarity.cosine"
"""Neo4j's function, (1 + cosine) / 2, by whose name both stores compare vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """The vector of one node."""

    node: NodeKey
    name: str
    mark: str
    model: str
    values: Sequence[float]

    @property
    def id(self) -> str:
        """Id of its own node."""
        return vector_id(self.node)


def vector_id(node: NodeKey) -> str:
    """`Sensor/vibration`."""
    return f"{node.label}/{node.id}"
