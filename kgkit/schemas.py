"""Turn schemas/graph.yaml into frozen models. Labels and types that stand nowhere in it do not exist."""

from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from kgkit import content
from kgkit.errors import ContentError

PropertyType = Literal["string", "string[]", "integer", "float"]


class RelationshipSpec(BaseModel):
    """One relationship type: the (start, end) labels it may join, its key and other properties."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ends: list[tuple[str, str]]
    key: list[str] = []
    properties: dict[str, PropertyType] = {}


class GraphSpec(BaseModel):
    """The closed graph type of schemas/graph.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    common: dict[str, PropertyType]
    nodes: dict[str, dict[str, PropertyType]]
    relationships: dict[str, RelationshipSpec]

    def node_properties(self, label: str) -> dict[str, PropertyType]:
        """All properties of a label but `id`, in the order of the file: name, common, its own."""
        return {"name": "string", **self.common, **self.nodes[label]}

    def edge_properties(self, type_: str) -> dict[str, PropertyType]:
        """All properties of a relationship type but its key, in the order of the file."""
        return {**self.common, **self.relationships[type_].properties}


@cache
def graph_spec() -> GraphSpec:
    """The graph spec of the content folder in use. Raises ContentError."""
    path = content.path("schemas", "graph.yaml")
    spec = content.read_yaml(path, GraphSpec)
    for type_, relationship in spec.relationships.items():
        for label in {label for ends in relationship.ends for label in ends}:
            if label not in spec.nodes:
                raise ContentError(
                    f"{path}: {type_} names label {label}, which is none of the nodes"
                )
    return spec
