"""The graph room: one protocol (`store`), two stores behind it (ladybug, neo4j), opened by `open.open_store`.

What the graph may hold stands in schemas/graph.yaml; `check` keeps it, `reading` asks it, `dump` compares it.
"""
