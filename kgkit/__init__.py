"""kgkit: from reliability tables to a knowledge graph, a corpus and a model that knows your plant."""

from importlib.metadata import version

__version__ = version("kgkit")
