"""Small makers of nodes, edges and random graphs for the store tests."""

from hypothesis import strategies as st

from kgkit.graph.check import EdgeKind, edge_kinds, node_kinds
from kgkit.records import Edge, EdgeKey, Node, NodeKey, Subgraph, Value
from kgkit.schemas import PropertyType, graph_spec


def key(label: str, id_: str) -> NodeKey:
    return NodeKey(label=label, id=id_)


def node(label: str, id_: str, **properties: Value) -> Node:
    return Node(key=key(label, id_), properties=properties)


def edge(
    start: NodeKey,
    type_: str,
    end: NodeKey,
    extra: dict[str, str] | None = None,
    /,
    **properties: Value,
) -> Edge:
    pairs = tuple(sorted((extra or {}).items()))
    return Edge(key=EdgeKey(type=type_, start=start, end=end, extra=pairs), properties=properties)


def pump() -> Subgraph:
    """A pump with a part of each kind, from a table, with one thing that a teacher said."""
    table: dict[str, Value] = {"origin": "table", "role": "source"}
    asset, sensor, mode = (
        key("Asset", "pump"),
        key("Sensor", "vibration"),
        key("FailureMode", "brd"),
    )
    subunit, component = key("Subunit", "pump.seal"), key("Component", "pump.ring")
    passage = key("Passage", "p1")
    return Subgraph(
        nodes=(
            node("Category", "rotating", name="Rotating", **table),
            node(
                "Asset", "pump", name="Pump", code="PU", aliases=["Pumps"], family="pumps", **table
            ),
            node("Sensor", "vibration", name="Vibration", **table),
            node("FailureMode", "brd", name="Breakdown", description="Serious damage", **table),
            node("Subunit", "pump.seal", name="Seal system", asset="pump", **table),
            node("Component", "pump.ring", name="O-ring", asset="pump", **table),
            node(
                "Passage",
                "p1",
                text="Vibration shows it.",
                asset="pump",
                origin="teacher",
                role="source",
            ),
        ),
        edges=(
            edge(key("Category", "rotating"), "HAS_CLASS", asset, **table),
            edge(asset, "MONITORED_BY", sensor, **table),
            edge(asset, "EXPERIENCES", mode, examples=["cracked shaft"], severity=8, **table),
            edge(asset, "HAS_SUBUNIT", subunit, **table),
            edge(subunit, "HAS_COMPONENT", component, **table),
            edge(
                sensor,
                "RELEVANT_TO",
                mode,
                {"asset": "pump"},
                label="Yes",
                probability=0.75,
                **table,
            ),
            edge(passage, "ABOUT", asset, origin="teacher", role="source"),
        ),
    )


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
_VALUES: dict[PropertyType, st.SearchStrategy[Value]] = {
    "string": _TEXTS,
    "string[]": st.lists(_TEXTS, max_size=3),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "float": st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-9, 9)),
}


def _properties(columns: dict[str, PropertyType]) -> st.SearchStrategy[dict[str, Value]]:
    values = {name: st.none() | _VALUES[type_] for name, type_ in columns.items()}
    values["origin"] = st.sampled_from(["table", "teacher", None])
    return st.fixed_dictionaries({}, optional=values)


@st.composite
def subgraphs(draw: st.DrawFn) -> Subgraph:
    """Random subgraphs of the closed schema whose edges all have their ends in it."""
    spec = graph_spec()
    nodes: dict[NodeKey, Node] = {}
    for kind in draw(st.lists(st.sampled_from(node_kinds(spec)), max_size=8)):
        found = Node(
            key=key(kind.label, draw(_IDS)), properties=draw(_properties(dict(kind.columns)))
        )
        nodes[found.key] = found
    edges: dict[EdgeKey, Edge] = {}
    possible = [
        (edge_kind, start, end)
        for edge_kind in edge_kinds(spec)
        for start in nodes
        for end in nodes
        if (edge_kind.start, edge_kind.end) == (start.label, end.label)
    ]
    if possible:
        for edge_kind, start, end in draw(st.lists(st.sampled_from(possible), max_size=8)):
            drawn = _edge(draw, edge_kind, start, end)
            edges[drawn.key] = drawn
    return Subgraph(nodes=tuple(nodes.values()), edges=tuple(edges.values()))


def _edge(draw: st.DrawFn, kind: EdgeKind, start: NodeKey, end: NodeKey) -> Edge:
    extra = {name: draw(st.sampled_from(["pump", "fan"])) for name in kind.key}
    properties = draw(_properties(dict(kind.columns)))
    return Edge(
        key=EdgeKey(type=kind.type, start=start, end=end, extra=tuple(extra.items())),
        properties=properties,
    )
