"""Turn the files of evaluation/retrieval/ into retrieval tasks. A plant's own relation becomes a task by a file of its own.

Cypher says which queries and items there are, and which items are relevant to which query (qrels); the rest of the file says in
what words an embedder is told so. Embedding paper, sections 2.2.1 and 3.2.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kgkit import content
from kgkit.errors import ContentError, KgkitError, UsageError
from kgkit.graph.cypher import check_parameters, check_reads_only

BENCHMARK = "retrieval"
"""What all tasks together are called, and the folder of their files."""
RANKS = "Rank the sensors, failure modes, parts or classes that belong to what is asked about"
"""What they have in common, in a line."""


class Task(BaseModel):
    """A task as its file says it. Each statement of `queries`, `items` and `qrels` adds rows; they need not have the same fields.

    `queries` return id, asset_id (whose family decides the side; '' for none: the seed does) and a column for some of `fields`
    (column -> what stands before it in the query's text). `items` return id, name, origin. `qrels` return query, item, origin, role,
    sources. `key`: the field that makes a pair with an item, which training may have seen on another asset.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$")
    version: int
    title: str
    source: str
    seed: int
    queries: tuple[str, ...] = Field(min_length=1)
    items: tuple[str, ...] = Field(min_length=1)
    qrels: tuple[str, ...] = Field(min_length=1)
    fields: Mapping[str, str] = Field(min_length=1)
    key: str
    output_tag: str = Field(min_length=1)
    instruction: str = Field(min_length=1)
    paraphrases: tuple[str, ...] = Field(min_length=8)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.key not in self.fields:
            raise ValueError(f"key: {self.key} is none of the fields {', '.join(self.fields)}")
        said = [self.instruction, *self.paraphrases]
        if len(set(said)) < len(said):
            raise ValueError("paraphrases: one of them stands there twice")
        for statement in (*self.queries, *self.items, *self.qrels):
            try:
                check_reads_only(statement)
                check_parameters(statement, {})
            except KgkitError as error:
                raise ValueError(str(error)) from None
        return self


def task_names() -> list[str]:
    """The tasks of the content folder, by name."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def read_tasks(names: Iterable[str] | None = None) -> list[Task]:
    """All tasks, or those of these names, in this order. Raises UsageError for a name that is none, ContentError."""
    known = task_names()
    wanted = known if names is None else list(dict.fromkeys(names))
    for name in wanted:
        if name not in known:
            raise UsageError(f"there is no retrieval task {name}; choose from {', '.join(known)}")
    return [_read(_folder() / f"{name}.yaml") for name in wanted]


def check_tasks() -> None:
    """Read every task. Raises ContentError."""
    read_tasks()


def _folder() -> Path:
    return content.path("evaluation", BENCHMARK)


def _read(path: Path) -> Task:
    task = content.read_yaml(path, Task)
    if task.name != path.stem:
        raise ContentError(f"{path}: its name is {task.name}; call the file {task.name}.yaml")
    return task
