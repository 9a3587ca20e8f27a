"""`finetune`: a recipe of finetune/ -> a trained model with a run card, measured before and after."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kgkit.cli.embedder import ablations, embedder, refuse_options
from kgkit.cli.output import command_line, hint, print_json, print_table, say
from kgkit.cli.progress import clock, now_and_then
from kgkit.cli.session import SEE_ALSO, GlobalOptions, evaluating, options_of, reading
from kgkit.cli.study import say_estimates, study, tell_cut, time_of
from kgkit.errors import UsageError

if TYPE_CHECKING:
    from kgkit.finetune.engine import Step
    from kgkit.finetune.prepared import Prepared
    from kgkit.finetune.recipe import Recipe
    from kgkit.finetune.run import Finished
    from kgkit.teacher.asking import Event

_LINE_EVERY_S = 15.0


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command(epilog=SEE_ALSO)(finetune)


def finetune(
    context: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="A recipe or study of finetune/, as small-sft, or a file. Without one: a list."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A pulled name or a model directory, instead of the recipe's."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change the recipe, as lora.rank=16 or stages.0.epochs=2; repeatable.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Folder below WORKSPACE/models. [default: the recipe's name]"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was interrupted.")
    ] = False,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Tokens, steps, hours and memory, measured on 3 steps here and estimated for GPUs; trains nothing.",
        ),
    ] = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Write the adapter merged into its base as well.")
    ] = False,
    launch: Annotated[
        str | None,
        typer.Option(
            metavar="CONFIG",
            help="Train in several processes through accelerate: cpu-2, ddp, fsdp, deepspeed, or a file.",
        ),
    ] = None,
    report_to: Annotated[
        Literal["none", "tensorboard", "trackio"],
        typer.Option(help="Where losses are logged besides the card."),
    ] = "none",
) -> None:
    """Train a model by a recipe: data gathered and checked, benchmarks before and after, a card beside the weights.

    Example: kgkit finetune small-sft, then kgkit evaluate fmsr --compare; kgkit finetune embedder, then kgkit evaluate retrieval --model DIR; the model stays in WORKSPACE/models
    """
    from kgkit.evaluation.evaluate import Bench
    from kgkit.finetune import recipe_files as recipes
    from kgkit.finetune.merge import merge as merge_adapter
    from kgkit.finetune.prepared import begun_with, prepare
    from kgkit.finetune.run import finetune as run
    from kgkit.finetune.run import kept, require_finetune
    from kgkit.finetune.worker import launcher
    from kgkit.settings import read_settings

    options, settings = options_of(context), read_settings()
    if recipe is None:
        _list(options)
        return
    changes = {**recipes.settings(set_ or []), **({"model": model} if model else {})}
    configuration = launcher(launch) if launch else None
    path = recipes.find(recipe)
    kind = recipes.kind_of(path)
    if kind in ("embedder", "ablations"):
        refuse_options(merge=merge, launch=launch, report_to=report_to)
        train = embedder if kind == "embedder" else ablations
        train(
            options, path, _progress(options), changes=changes, name=name, resume=resume, plan=plan
        )
        return
    if kind == "study":
        study(
            options, path, _progress(options), changes=changes, name=name, resume=resume, plan=plan, merge=merge, report_to=report_to, launch=configuration,
        )  # fmt: skip
        return
    read = recipes.read_recipe(path, changes)
    require_finetune(report_to)
    _require_adapter(read, merge=merge)
    directory = begun_with(read.model, cache_dir=settings.cache_dir)
    with ExitStack() as stack:
        derivation = stack.enter_context(reading(options, strict=True))
        folder, ledger = stack.enter_context(evaluating(derivation.workspace))
        bench = Bench(
            graph=derivation.graph,
            split=derivation.split,
            ledger=ledger,
            folder=folder,
            settings=settings,
        )
        root = derivation.workspace.root / "models" / (name or read.name)
        finished = kept(root, read) if resume and not plan else None
        if finished is None:
            _require_feasible(read, directory, plan=plan, launch=configuration)
            if plan:
                aside = stack.enter_context(TemporaryDirectory(prefix="kgkit-plan-"))
                root = Path(aside) / read.name
            prepared = prepare(
                read,
                model=directory,
                folder=root,
                bench=bench,
                ledger=derivation.ledger,
                resume=resume,
            )
            tell_cut(options, prepared)
            if plan:
                _show_plan(options, prepared)
                return
            _tell_memory(options, prepared)
            with _progress(options) as watcher:
                finished = run(prepared, bench, watcher, report_to=report_to, launch=configuration)
        merged = merge_adapter(finished.folder, cache_dir=settings.cache_dir) if merge else None
    _show(options, finished)
    if merged and not options.json:
        say(f"{merged}: the same, merged into its base")


def _require_adapter(recipe: "Recipe", *, merge: bool) -> None:
    if merge and not recipe.lora:
        raise UsageError("--merge is for adapters: with lora null the whole model is trained")


def _require_feasible(recipe: "Recipe", model: Path, *, plan: bool, launch: Path | None) -> None:
    """Raise UsageError for what could not be carried out to its end on this machine; a plan may be of a larger one."""
    from kgkit.finetune.memory import require_machine, require_one_device

    if plan or not launch:
        require_one_device()
    if not plan:
        require_machine(recipe, model, launch)


def _tell_memory(options: GlobalOptions, prepared: "Prepared") -> None:
    """Say where it may not fit: a GPU says so itself, a system without memory ends the process without a word."""
    from kgkit.finetune.plan import short_of_memory

    if short := short_of_memory(prepared):
        wanted, free = short
        hint(
            options,
            f"{prepared.recipe.name} may take about {wanted / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free: the system may end it. "
            "Lower stages.N.batch (and raise accumulation), or set checkpointing=true; --plan measures what it takes",
        )


def _show_plan(options: GlobalOptions, prepared: "Prepared") -> None:
    from kgkit.finetune.plan import STEPS, plan

    found = plan(prepared)
    if options.json:
        print_json(found.as_json())
        return
    print_table(
        ["stage", "rows", "tokens", "steps", "time here", "memory here"],
        [
            (
                one.name,
                one.rows,
                one.tokens,
                one.steps,
                time_of(one),
                "-" if one.memory is None else f"{one.memory / 1e9:.1f} GB",
            )
            for one in found.stages
        ],
    )
    if unfit := [one.name for one in found.stages if one.seconds is None]:
        need = found.size.least_bytes / 1e9
        say(
            f"here: more memory is wanted than is free for {', '.join(unfit)} (weights, gradients and optimizer alone: {need:.1f} GB), or CUDA for 4 bits"
        )
    else:
        say(f"time and memory here: measured on {STEPS} steps")
    say_estimates([found])


def _list(options: GlobalOptions) -> None:
    from kgkit.finetune import recipe_files as recipes
    from kgkit.finetune.arms import listed

    rows = [listed(name) for name in recipes.names()]
    if options.json:
        print_json({"recipes": [{"recipe": one, "title": title} for one, title in rows]})
        return
    print_table(["recipe", "title"], rows)


def _show(options: GlobalOptions, finished: "Finished") -> None:
    from kgkit.finetune.card import COMPARED, compared

    said = finished.said
    if options.json:
        print_json(
            {
                "run_card": str(finished.card),
                "model": str(finished.folder),
                "losses": [stage["losses"] for stage in said["stages"]],
                "tokens": sum(stage["tokens"] for stage in said["stages"]),
                "seconds": said["seconds"],
                "evaluation": said["evaluation"],
            }
        )
        return
    print_table(
        ["stage", "rows", "tokens", "steps", "seconds", "tokens/s", "loss"],
        [
            (
                stage["name"],
                sum(stage["data"]["rows"].values()),
                stage["tokens"],
                stage["steps"],
                f"{stage['seconds']:.0f}",
                f"{stage['tokens_per_second']:.0f}",
                f"{stage['first_loss']:.3f} -> {stage['last_loss']:.3f}",
            )
            for stage in said["stages"]
        ],
    )
    if said["evaluation"]:
        print_table(
            COMPARED,
            [compared(one) for one in said["evaluation"]],
        )
    for line in said["verdict"]:
        say(line)
    say(f"{finished.folder}: the model; {finished.card.name} there says how it was made")
    if measured := said["recipe"]["evaluate"]:
        asked = f"evaluate {measured[0]['benchmark']} --by {measured[0]['by']} --plain --compare"
        hint(options, f"next: {command_line(options, f'{asked} --model local:{finished.folder}')}")


class _Told:
    """What a run tells: what it does, how much of it is done, and the rest in words."""

    def __init__(self) -> None:
        self.what, self.total, self.done, self.said = "gathering data", 0, 0, ""

    def begins(self, what: str, total: int) -> None:
        self.what, self.total, self.done, self.said = what, total, 0, "begins"
        self.show()

    def step(self, step: "Step") -> None:
        rate = step.tokens / max(step.seconds, 1e-9)
        left = (step.steps - step.step) * step.seconds / max(step.step, 1)
        self.done, self.total = step.step, step.steps
        self.said = (
            f"step {step.step} of {step.steps}, loss {step.loss:.3f}, {rate:.0f} tokens/s, "
            f"{step.memory / 1e9:.1f} GB, about {clock(left)} left"
        )
        self.show()

    def event(self, event: "Event") -> None:
        if event.kind in ("replied", "cached", "failed"):
            self.done += 1
        self.said = f"{self.done} of {self.total} asked"
        self.show()

    def show(self) -> None:
        """Shown by whoever watches."""


@contextmanager
def _progress(options: GlobalOptions) -> Iterator[_Told]:
    """What the run tells, as a bar on a terminal, as a line now and then elsewhere."""
    told = _Told()
    if options.quiet:
        yield told
    elif not sys.stderr.isatty():
        told.show = now_and_then(  # type: ignore[method-assign]
            _LINE_EVERY_S, lambda: sys.stderr.write(f"{told.what}: {told.said}\n")
        )
        yield told
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=10),
            TextColumn("{task.fields[said]}", markup=False),
        )
        bar = Progress(*columns, console=Console(stderr=True), refresh_per_second=4, transient=True)
        with bar:
            task = bar.add_task(told.what, total=None, said="")
            told.show = now_and_then(  # type: ignore[method-assign]
                0.2,
                lambda: bar.update(
                    task,
                    description=told.what,
                    completed=told.done,
                    total=told.total or None,
                    said=told.said,
                ),
            )
            yield told
