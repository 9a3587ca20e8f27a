"""`finetune` of an embedder: retrieval tasks -> a directory that ranks their items, measured before and after."""

from collections import Counter
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from kgkit.cli.output import command_line, hint, print_json, print_table, say
from kgkit.cli.progress import clock
from kgkit.cli.session import GlobalOptions, reading
from kgkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kgkit.finetune.embedder.ablations import Ablations, Score
    from kgkit.finetune.embedder.prepared import Ground, Prepared
    from kgkit.finetune.embedder.run import Finished, Watcher

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
    from kgkit.finetune.embedder.prepared import prepare
    from kgkit.finetune.embedder.recipe import read_embedder
    from kgkit.finetune.embedder.run import finetune_embedder

    recipe = read_embedder(path, changes)
    with ExitStack() as stack:
        ground, models = stack.enter_context(_ground(options))
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="kgkit-plan-")))
        folder = scratch if plan else models / (name or recipe.name)
        model = _directory(recipe.model)
        prepared = prepare(recipe, model=model, folder=folder, ground=ground, resume=resume)
        if plan:
            _show_plan(options, prepared, scratch)
            return
        with progress as watcher:
            finished = finetune_embedder(prepared, ground, watcher)
    _show(options, finished)


def ablations(
    options: GlobalOptions,
    path: Path,
    progress: "AbstractContextManager[Watcher]",
    *,
    changes: "Mapping[str, Any]",
    name: str | None,
    resume: bool,
    plan: bool,
) -> None:
    """Train every run of the sweeps in a file and compare them; with `plan` say what it would take, and train nothing. Raises KgkitError."""
    from kgkit.finetune.embedder.ablations import read_ablations, runs_of, scores
    from kgkit.finetune.embedder.measured import read_queries
    from kgkit.finetune.embedder.prepared import prepare
    from kgkit.finetune.embedder.run import (
        QUERIES,
        finetune_embedder,
        is_finished,
        seconds_per_step,
    )

    said = read_ablations(path)
    with ExitStack() as stack:
        ground, models = stack.enter_context(_ground(options))
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="kgkit-plan-")))
        folder = scratch if plan else models / (name or said.name)
        runs = runs_of(said, folder=folder, changes=changes)
        prepared = [
            prepare(
                run.recipe,
                model=_directory(run.recipe.model),
                folder=run.folder,
                ground=ground,
                resume=resume,
            )
            for run in runs
        ]
        left = [one for one in prepared if not is_finished(one)]
        steps = sum(len(one.batches) for one in left)
        pace = seconds_per_step(left[0], scratch) if left else 0.0
        size = f"{len(runs)} runs, {len(left)} of them to train: {steps:,} steps, about {clock(steps * pace)} here, measured on {_TRIED_STEPS} of them"
        if plan:
            _show_size(options, size, runs=len(runs), steps=steps, seconds=steps * pace)
            return
        hint(options, size)
        with progress as watcher:
            for one in prepared:
                finetune_embedder(one, ground, watcher)
    side = "held-out" if runs[0].recipe.held_out else "dev"
    found = scores(said, runs, lambda run: read_queries(run.folder / QUERIES)[side][1])
    _show_ablations(options, said, found, folder, side=side)


@contextmanager
def _ground(options: GlobalOptions) -> "Iterator[tuple[Ground, Path]]":
    """Where tasks are posed, and the folder of models. Raises KgkitError where a library is missing."""
    from kgkit.evaluation.intervals import require_statistics
    from kgkit.finetune.embedder.prepared import Ground
    from kgkit.finetune.embedder.run import require_embedder
    from kgkit.retrieval.descriptions import descriptions
    from kgkit.retrieval.paraphrases import FILE, read_paraphrases

    require_embedder()
    require_statistics("an embedder's training")
    with reading(options, strict=True) as derivation:
        root = derivation.workspace.root
        yield (
            Ground(
                graph=derivation.graph,
                split=derivation.split,
                ledger=derivation.ledger,
                evaluations=root / "evaluations",
                descriptions=descriptions(derivation.graph, derivation.split, held_out=False),
                paraphrases=read_paraphrases(root / FILE),
            ),
            root / "models",
        )


def _directory(model: str) -> Path:
    from kgkit.settings import read_settings
    from kgkit.teacher.pull import model_directory

    return model_directory(model, cache_dir=read_settings().cache_dir).resolve()


def _show_size(options: GlobalOptions, size: str, *, runs: int, steps: int, seconds: float) -> None:
    if options.json:
        print_json({"runs": runs, "steps": steps, "seconds_here": seconds})
        return
    say(size)


def _show_ablations(
    options: GlobalOptions,
    said: "Ablations",
    found: "Sequence[Score]",
    folder: Path,
    *,
    side: str,
) -> None:
    from dataclasses import asdict

    from kgkit.finetune.embedder.ablations import differences, draw, table, write

    written = write(said, found, folder, side=side)
    try:
        draw(said, found, folder)
    except ImportError:
        hint(options, 'no figures: they need matplotlib: pip install "kgkit[evaluation]"')
    if options.json:
        print_json({"scores": [asdict(one) for one in found], "folder": str(folder)})
        return
    for name, sweep in said.sweeps.items():
        say(sweep.title)
        print_table(*table(said, found, name))
        print_table(*differences(said, found, name))
    say(f"{written}: the tables; numbers in scores.csv")


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
