"""kgkit: from reliability tables to a knowledge graph, a corpus and a model that knows your plant."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str


def __getattr__(name: str) -> str:
    """`__version__`, read when it is asked for: reading it costs a fifth of the time of `kgkit --help`."""
    if name != "__version__":
        raise AttributeError(f"module kgkit has no attribute {name}")
    from importlib.metadata import version

    return version("kgkit")
