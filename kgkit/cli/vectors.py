"""`load-embeddings`: the vectors of an embedder beside the nodes of the graph, for Cypher to search."""

from typing import TYPE_CHECKING, Annotated

import typer

from kgkit.cli.output import counted, hint, print_json, print_table, say, say_changes
from kgkit.cli.session import SEE_ALSO, options_of, writing

if TYPE_CHECKING:
    from collections.abc import Callable

_SAID_EVERY = 5_000
"""Nodes between two lines of progress."""


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command(name="load-embeddings", epilog=SEE_ALSO)(load_embeddings)


def load_embeddings(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="DIR",
            help="A sentence-transformers directory, or embedder:minilm after `kgkit teacher pull minilm`.",
        ),
    ],
) -> None:
    """Give every passage, asset, sensor, failure mode and other node its vector, and make the index.

    What has its vector from this model already is left alone; another model replaces all. Vectors are in no dump and no export.

    Example: kgkit load-embeddings embedder:minilm
    """
    from kgkit import derive
    from kgkit.retrieval.embedder import find_embedder, open_embedder
    from kgkit.retrieval.vectors import load_vectors
    from kgkit.settings import read_settings

    options = options_of(context)
    cache_dir = read_settings().cache_dir
    find_embedder(model, cache_dir=cache_dir)
    with writing(options) as derivation:
        say_changes(options, derive.bring_up_to_date(derivation))
        embedder = open_embedder(model, cache_dir=cache_dir)
        loaded = load_vectors(
            derivation.graph, embedder, on_batch=_counting(lambda text: hint(options, text))
        )
    if options.json:
        print_json(loaded.as_json())
        return
    print_table(["label", "vectors"], list(loaded.by_label.items()))
    total = sum(loaded.by_label.values())
    say(
        f"{counted(total, 'vector')} of {loaded.dimensions} numbers by {loaded.model}: {loaded.written} written, "
        f"{total - loaded.written} as they were"
        + (f"; those of {loaded.replaced} are gone" if loaded.replaced else "")
    )


def _counting(say_so: "Callable[[str], None]") -> "Callable[[int], None]":
    """Says now and then how many nodes were looked at."""
    seen = 0

    def count(nodes: int) -> None:
        nonlocal seen
        if seen // _SAID_EVERY < (seen + nodes) // _SAID_EVERY:
            say_so(f"{seen + nodes} nodes")
        seen += nodes

    return count
