"""`finetune` of an embedder: retrieval tasks -> a directory that ranks their items, measured before and after."""

from collections import Counter
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from kgkit.cli.output import command_line, hint, print_json, print_table, say
from kgkit.cli.progress import clock
from kgkit.cli.session import GlobalOptions, reading
from kgkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kgkit.finetune.embedder.run import Finished, Prepared, Watcher

_TRIED_STEPS = 5


def refuse_options(*, merge: bool, launch: str | None, report_to: str) -> None:
    """Raise UsageError for what an embedder's training has no use for."""
    said = {"--merge": merge, "--launch": launch, "--report-to": report_to != "none"}
    for option, given in said.items():
        if given:
            raise UsageError(
                f"{option} is for language models: an embedder is trained in one process and saved whole, its losses in its card"
            )


def embedder(
    options: GlobalOptions,
    path: Path,
    progress: "AbstractContextManager[Watcher]",
    *,
    changes: "Mapping[str, Any]",
    name: str | None,
    resume: bool,
    plan: bool,
) -> None:
    """Train by the embedder's recipe in a file; with `plan` say what it would take, and train nothing. Raises KgkitError."""
    from kgkit.evaluation.intervals import require_statistics
    from kgkit.finetune.embedder.recipe import read_embedder
    from kgkit.finetune.embedder.run import Ground, finetune_embedder, prepare, require_embedder
    from kgkit.retrieval.descriptions import descriptions
    from kgkit.settings import read_settings
    from kgkit.teacher.pull import model_directory

    recipe = read_embedder(path, changes)
    require_embedder()
    require_statistics("an embedder's training")
    directory = model_directory(recipe.model, cache_dir=read_settings().cache_dir).resolve()
    with ExitStack() as stack:
        derivation = stack.enter_context(reading(options, strict=True))
        root = derivation.workspace.root
        ground = Ground(
            graph=derivation.graph,
            split=derivation.split,
            evaluations=root / "evaluations",
            descriptions=descriptions(derivation.graph, derivation.split, held_out=False),
        )
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="kgkit-plan-")))
        folder = scratch if plan else root / "models" / (name or recipe.name)
        prepared = prepare(recipe, model=directory, folder=folder, ground=ground, resume=resume)
        if plan:
            _show_plan(options, prepared, scratch)
            return
        with progress as watcher:
            finished = finetune_embedder(prepared, ground, watcher)
    _show(options, finished)


def _show_plan(options: GlobalOptions, prepared: "Prepared", scratch: Path) -> None:
    from kgkit.finetune.embedder.run import seconds_per_step

    steps = Counter(batch[0].task for batch in prepared.batches)
    seconds = seconds_per_step(prepared, scratch) * len(prepared.batches)
    tasks = [
        {
            "task": task,
            "queries": len(posed["train"].queries),
            "items": len(posed["train"].items),
            "steps": steps[task],
        }
        for task, posed in prepared.sides.items()
    ]
    if options.json:
        print_json({"tasks": tasks, "steps": len(prepared.batches), "seconds_here": seconds})
        return
    print_table(list(tasks[0]), [tuple(one.values()) for one in tasks])
    say(
        f"{len(prepared.batches)} steps, about {clock(seconds)} here, measured on {_TRIED_STEPS} of them; ranking comes on top"
    )


def _show(options: GlobalOptions, finished: "Finished") -> None:
    said = finished.said
    shown = said["evaluation"] or said["dev"]
    if options.json:
        print_json(
            {
                "run_card": str(finished.card),
                "model": str(finished.folder),
                "losses": said["training"]["losses"],
                "kept_step": said["training"]["kept_step"],
                "seconds": said["seconds"],
                "dev": said["dev"],
                "evaluation": said["evaluation"],
            }
        )
        return
    side = "held-out side" if said["evaluation"] else "dev side"
    print_table(
        ["task", "queries", "before", "after", "difference"],
        [
            (
                one["task"],
                one.get("queries", ""),
                f"{100 * one['before']:.1f}",
                f"{100 * one['after']:.1f}",
                _difference(one),
            )
            for one in shown
        ],
    )
    training = said["training"]
    say(
        f"MAP@100 in % on the {side}; step {training['kept_step']} of {training['steps']} is kept, trained in {clock(training['seconds'])}"
    )
    for task, why in said["left_out"].items():
        say(f"{task} is left out: {why}")
    say(f"{finished.folder}: the model; {finished.card.name} there says how it was made")
    hint(
        options,
        f"next: {command_line(options, f'evaluate retrieval --model embedder:{finished.folder}')}",
    )


def _difference(one: "Mapping[str, Any]") -> str:
    gain = f"{100 * (one['after'] - one['before']):+.1f}"
    if one.get("ci_low") is None:
        return gain
    return f"{gain} [{100 * one['ci_low']:+.1f}, {100 * one['ci_high']:+.1f}]"
