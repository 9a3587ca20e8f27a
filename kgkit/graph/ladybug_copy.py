"""The process that copies nodes beside another: `python -m kgkit.graph.ladybug_copy`, what to do as JSON on its input.

It says what went wrong as Python does, and imports nothing of kgkit that would make it start later.
"""

import json
import sys


def main() -> None:
    """Open the graph to read and run one statement."""
    import ladybug

    work = json.load(sys.stdin)
    database = ladybug.Database(
        work["graph"],
        read_only=True,
        buffer_pool_size=work["cache_mb"] * 2**20,
        backend="pybind",
    )
    connection = ladybug.Connection(database)
    connection.set_max_threads_for_exec(1)
    connection.execute(work["statement"], work["parameters"])


if __name__ == "__main__":
    main()
