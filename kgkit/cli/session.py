"""What the global options say, and the workspace they open. Everything heavy is imported when it is opened."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from kgkit.errors import KgkitError

if TYPE_CHECKING:
    from kgkit.derive import Derivation
    from kgkit.settings import Settings
    from kgkit.workspace import Choices, Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOptions:
    """The options that every command has."""

    workspace: Path | None
    store: str | None
    teacher: str | None
    json: bool
    verbose: bool
    quiet: bool


def options_of(context: typer.Context) -> GlobalOptions:
    """The global options of this call."""
    return cast("GlobalOptions", context.obj)


def find_workspace(options: GlobalOptions) -> "Workspace":
    """The workspace that the options, the environment or the default names; it need not exist."""
    from kgkit.settings import read_settings
    from kgkit.workspace import DEFAULT_FOLDER, Workspace

    return Workspace(options.workspace or read_settings().workspace or Path(DEFAULT_FOLDER))


def choices_in_force(
    options: GlobalOptions,
    workspace: "Workspace",
    settings: "Settings",
    *,
    model: str | None = None,
) -> "Choices":
    """What kgkit.toml remembers, under the environment, under the flags."""
    from kgkit.workspace import with_flags

    said = with_flags(
        workspace.choices(), store=settings.store, teacher=settings.teacher, model=settings.model
    )
    return with_flags(said, store=options.store, teacher=options.teacher, model=model)


@contextmanager
def writing(
    options: GlobalOptions,
    *,
    split: str | None = None,
    model: str | None = None,
    create: bool = False,
) -> Iterator["Derivation"]:
    """The workspace open for one writer, with its graph. Flags that were given are remembered.

    Raises KgkitError if another process writes to it, or nothing was loaded and `create` is false.
    """
    from kgkit import lock
    from kgkit.derive import Derivation
    from kgkit.graph.open import open_store
    from kgkit.settings import read_settings
    from kgkit.splits import read_split
    from kgkit.teacher.ledger import Ledger
    from kgkit.workspace import with_flags

    workspace, settings = find_workspace(options), read_settings()
    if create:
        workspace.create()
    workspace.require()
    with ExitStack() as stack:
        stack.enter_context(lock.hold(workspace.lock))
        choices = with_flags(
            choices_in_force(options, workspace, settings, model=model), split=split
        )
        chosen_split = read_split(choices.split)
        graph = open_store(
            choices.store, workspace=workspace.root, owner=choices.id, settings=settings
        )
        stack.callback(graph.close)
        ledger = stack.enter_context(Ledger.open(workspace.ledger))
        remembered = with_flags(
            workspace.choices(),
            store=options.store,
            teacher=options.teacher,
            model=model,
            split=split,
        )
        if remembered != workspace.choices():
            workspace.remember(remembered)
        yield Derivation(workspace=workspace, ledger=ledger, graph=graph, split=chosen_split)


@contextmanager
def reading(options: GlobalOptions) -> Iterator["Derivation"]:
    """The workspace open for reading; the graph as the last writer left it."""
    from kgkit.derive import Derivation
    from kgkit.graph.open import open_store
    from kgkit.settings import read_settings
    from kgkit.splits import read_split
    from kgkit.teacher.ledger import Ledger

    workspace, settings = find_workspace(options), read_settings()
    workspace.require()
    if not workspace.ledger.exists():
        raise KgkitError(f"{workspace.root} holds no graph yet: run `kgkit load` first")
    with ExitStack() as stack:
        choices = choices_in_force(options, workspace, settings)
        graph = open_store(
            choices.store,
            workspace=workspace.root,
            owner=choices.id,
            settings=settings,
            read_only=True,
        )
        stack.callback(graph.close)
        ledger = stack.enter_context(Ledger.open(workspace.ledger, read_only=True))
        yield Derivation(
            workspace=workspace, ledger=ledger, graph=graph, split=read_split(choices.split)
        )
