"""`finetune STUDY`: every arm of a study with every seed -> one table that says what made the difference."""

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from kgkit.cli.output import counted, hint, print_json, print_table, say
from kgkit.cli.progress import clock
from kgkit.cli.session import GlobalOptions, evaluating, reading
from kgkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kgkit.finetune.arms import Study
    from kgkit.finetune.plan import RunPlan, StagePlan
    from kgkit.finetune.prepared import Prepared
    from kgkit.finetune.run import Watcher
    from kgkit.finetune.study import Run, Size, Studied


def study(
    options: GlobalOptions,
    path: Path,
    progress: "AbstractContextManager[Watcher]",
    *,
    changes: "Mapping[str, Any]",
    name: str | None,
    resume: bool,
    plan: bool,
    merge: bool,
    report_to: str,
    launch: Path | None,
) -> None:
    """Run the study in a file; with `plan` say what it would take, and train nothing. Raises as `kgkit finetune` does."""
    from kgkit.evaluation.evaluate import Bench
    from kgkit.evaluation.intervals import require_statistics
    from kgkit.finetune.arms import read_study
    from kgkit.finetune.card import is_finished
    from kgkit.finetune.memory import require_machine, require_one_device
    from kgkit.finetune.prepared import begun_with
    from kgkit.finetune.run import require_finetune
    from kgkit.finetune.study import carry_out, gather, runs_of
    from kgkit.settings import read_settings

    if merge:
        raise UsageError("--merge is for one model: give it with the arm's own recipe")
    said, settings = read_study(path), read_settings()
    require_finetune(report_to)
    require_statistics("a study")
    if plan or not launch:
        require_one_device()
    with ExitStack() as stack:
        derivation = stack.enter_context(reading(options, strict=True))
        evaluations, ledger = stack.enter_context(evaluating(derivation.workspace))
        bench = Bench(
            graph=derivation.graph,
            split=derivation.split,
            ledger=ledger,
            folder=evaluations,
            settings=settings,
        )
        folder = (
            Path(stack.enter_context(TemporaryDirectory(prefix="kgkit-plan-")))
            if plan
            else derivation.workspace.root / "models" / (name or said.name)
        )
        runs = runs_of(
            said,
            folder=folder,
            changes=changes,
            directory_of=lambda model: begun_with(model, cache_dir=settings.cache_dir),
        )
        for run in runs:
            if not plan and run.folder and not is_finished(run.folder, run.recipe):
                require_machine(run.recipe, run.model, launch)
        prepared, size = gather(said, runs, bench, derivation.ledger, resume=resume)
        for run, one in zip(runs, prepared, strict=True):
            if one is not None and run.seed == said.seeds[0]:
                tell_cut(options, one)
        if plan:
            _show_plan(options, said, runs, prepared, size)
            return
        hint(options, _size(size))
        with progress as watcher:
            studied = carry_out(
                said, runs, prepared, bench, watcher, report_to=report_to, launch=launch
            )
        _write(options, studied, folder)
    _show(options, studied, folder)


def tell_cut(options: GlobalOptions, prepared: "Prepared") -> None:
    """Say which rows are left out, and which are not trained on to their end."""
    for part, reasons in prepared.left_out.items():
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        hint(options, f"{prepared.recipe.name}: rows of {part} that are left out: {why}")
    for job, mixed in zip(prepared.jobs, prepared.mixed, strict=True):
        for part, cut in mixed.cut.items():
            hint(
                options,
                f"{prepared.recipe.name}, stage {job.name}: {cut} of {counted(mixed.rows[part], 'row')} of {part} are longer than the context of "
                f"{prepared.recipe.context} tokens, and what is beyond it is not learned; --set context=... takes more",
            )


def _size(size: "Size") -> str:
    return f"{size.runs} runs, {size.to_train} of them to train: {size.tokens:,} tokens in {size.steps:,} steps"


def _show_plan(
    options: GlobalOptions,
    study: "Study",
    runs: "Sequence[Run]",
    prepared: "Sequence[Prepared | None]",
    size: "Size",
) -> None:
    """Each arm's first run, tried on a few steps; the whole takes that for every seed."""
    from kgkit.finetune.plan import STEPS
    from kgkit.finetune.plan import plan as tried

    plans = {
        run.arm: tried(one)
        for run, one in zip(runs, prepared, strict=True)
        if one is not None and run.seed == study.seeds[0]
    }
    stages = [(arm, stage) for arm, found in plans.items() for stage in found.stages]
    times = [stage.seconds for _, stage in stages if stage.seconds is not None]
    seconds = len(study.seeds) * sum(times) if len(times) == len(stages) else None
    if options.json:
        print_json(
            {
                "runs": size.runs,
                "tokens": size.tokens,
                "steps": size.steps,
                "hours_here": None if seconds is None else float(f"{seconds / 3600:.3g}"),
                "measured_steps": STEPS,
                "arms": {arm: found.as_json() for arm, found in plans.items()},
            }
        )
        return
    print_table(
        ["arm", "stage", "rows", "tokens", "steps", "time here"],
        [
            (arm, stage.name, stage.rows, stage.tokens, stage.steps, time_of(stage))
            for arm, stage in stages
        ],
    )
    here = (
        "more memory is wanted than is free here, or CUDA"
        if seconds is None
        else f"about {clock(seconds)} here, measured on {STEPS} steps of each arm"
    )
    say(f"{_size(size)}; {here}")
    say_estimates(list(plans.values()), times=len(study.seeds))


def time_of(stage: "StagePlan") -> str:
    """What a stage would take here, `-` where it does not fit."""
    return "-" if stage.seconds is None else clock(stage.seconds)


def say_estimates(plans: "Sequence[RunPlan]", *, times: int = 1) -> None:
    """What all plans, each so many times, would take on other machines, and the most memory of one."""
    from kgkit.finetune.plan import OTHERS

    need = max((one.estimated_memory for one in plans), default=0) / 1e9
    for machine, (_, _, memory) in OTHERS.items():
        hours = times * sum(one.estimated_hours[machine] for one in plans)
        advice = (
            ""
            if need < memory / 1e9
            else ", too much: lower batch or context, or set checkpointing=true"
        )
        say(
            f"{machine}: about {clock(hours * 3600)}, {need:.1f} GB of {memory / 1e9:.0f} on each GPU{advice} (estimated for bfloat16, not measured)"
        )


def _write(options: GlobalOptions, studied: "Studied", folder: Path) -> None:
    from kgkit.finetune.study_figures import draw
    from kgkit.finetune.study_report import write

    write(studied, folder)
    try:
        draw(studied, folder)
    except ImportError:
        hint(options, 'no figures: they need matplotlib: pip install "kgkit[evaluation]"')


def _show(options: GlobalOptions, studied: "Studied", folder: Path) -> None:
    from kgkit.finetune.study_report import as_json, table

    if options.json:
        print_json({**as_json(studied), "folder": str(folder)})
        return
    print_table(*table(studied))
    say(f"{folder / 'study.md'}: the whole study; numbers in study.json, scores.csv and runs.csv")
