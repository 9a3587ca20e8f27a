"""The command tree, the global options, and how an error becomes one line and an exit code."""

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kgkit.cli import (
    corpora,
    evaluation,
    expansion,
    finetune,
    graph,
    services,
    statistics,
    tables,
    vectors,
)
from kgkit.cli.session import GlobalOptions
from kgkit.errors import KgkitError


class _Commands(TyperGroup):
    """Turns what the user can mend into one line on stderr; `-v` adds the traceback."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own signature
        try:
            return super().invoke(ctx)
        except KgkitError as error:
            _say(error, ctx)
            raise SystemExit(error.exit_code) from error
        except BrokenPipeError:  # whoever read stdout, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(1) from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            _say(KgkitError(f"{where}{error.strerror or error}"), ctx)
            raise SystemExit(1) from error
        except KeyboardInterrupt:
            how = " with --resume" if ctx.invoked_subcommand == "finetune" else ""
            typer.echo(f"interrupted: run the same command again{how} to go on", err=True)
            raise SystemExit(130) from None


def _say(error: KgkitError, ctx: Any) -> None:  # noqa: ANN401 - typer's context
    options = ctx.obj
    if isinstance(options, GlobalOptions) and options.verbose:
        traceback.print_exception(error, file=sys.stderr)
    typer.echo(f"kgkit: {error}", err=True)


app = typer.Typer(
    name="kgkit",
    cls=_Commands,
    help="From reliability tables to a knowledge graph, a corpus and a model that knows your plant.",
    epilog="Start with: kgkit load && kgkit expand --asset pump && kgkit export corpus",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from kgkit import __version__

        typer.echo(f"kgkit {__version__}")
        raise typer.Exit


def _log_to_stderr(*, quiet: bool) -> None:
    """Show what the rooms log, such as the building of an environment that takes minutes."""
    import logging

    level = logging.WARNING if quiet else logging.INFO
    logging.getLogger("kgkit").setLevel(level)
    if logging.lastResort is not None:
        logging.lastResort.setLevel(level)


@app.callback()
def _global_options(
    context: typer.Context,
    workspace: Annotated[
        Path | None,
        typer.Option(
            help="Folder of tables, ledger and graph. [default: $KGKIT_WORKSPACE, else ./kgkit-work]"
        ),
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="ladybug (a file in the workspace) or neo4j://host:7687")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="reference, local:NAME-or-DIR, or http://host/v1")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tracebacks and details on stderr.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no hints.")] = False,
    version: Annotated[  # noqa: ARG001 - typer calls _version
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    _log_to_stderr(quiet=quiet)
    context.obj = GlobalOptions(
        workspace=workspace, store=store, teacher=teacher, json=json, verbose=verbose, quiet=quiet
    )


tables.add_to(app)
expansion.add_to(app)
corpora.add_to(app)
graph.add_to(app)
statistics.add_to(app)
evaluation.add_to(app)
vectors.add_to(app)
finetune.add_to(app)
services.add_to(app)
