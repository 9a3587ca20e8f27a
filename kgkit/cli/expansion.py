"""`plan`, `expand` and `extend`: what a run would ask, and the runs of both phases."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kgkit.cli.asking import (
    All,
    Assets,
    Depth,
    DescribeNo,
    DryRun,
    Job,
    MaxCalls,
    MaxCost,
    MaxTokens,
    Model,
    PriceIn,
    PriceOut,
    Samples,
    Shown,
    announce,
    cost_of,
    end_with,
    open_job,
    print_plan,
    print_preview,
    print_report,
)
from kgkit.cli.output import say
from kgkit.cli.progress import Tally, progress
from kgkit.cli.session import SEE_ALSO, GlobalOptions, options_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kgkit.extend.options import ExtendOptions
    from kgkit.plans import PlannedStage
    from kgkit.runs import FedBackReport, RunReport
    from kgkit.stages import Stage
    from kgkit.teacher.budget import Budget

Kinds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KIND]...",
        help="rephrase, qa, raft, entities, entity-centric, interaction-centric or all of these; descriptions.",
    ),
]
Pairs = Annotated[
    str,
    typer.Option(
        "--pairs-per-document", help="Pairs of entities that interaction-centric explains, or all."
    ),
]
DescribeHeldOut = Annotated[
    bool,
    typer.Option(
        "--describe-held-out",
        help="descriptions alone: of held-out assets too. An embedder tested with them was told of these assets.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(epilog=SEE_ALSO)(plan)
    app.command(epilog=SEE_ALSO)(expand)
    app.command(epilog=SEE_ALSO)(extend)


def plan(
    context: typer.Context,
    phase: Annotated[
        Literal["expand", "extend"], typer.Argument(help="The phase to plan.")
    ] = "expand",
    kind: Kinds = None,
    asset: Assets = None,
    all_assets: All = False,
    depth: Depth = 1,
    samples: Samples = 1,
    describe_no: DescribeNo = False,
    pairs_per_document: Pairs = "10",
    describe_held_out: DescribeHeldOut = False,
    model: Model = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
) -> None:
    """What a run would ask: calls, tokens, time, cost. Sends nothing.

    Example: kgkit plan expand --asset pump; kgkit plan extend all --asset pump
    """
    from kgkit.errors import UsageError
    from kgkit.expand.scope import Options

    options = options_of(context)
    if phase == "expand" and kind:
        raise UsageError(f"plan expand takes no kind ({kind[0]}); kinds belong to `plan extend`")
    extending = _extend_options(
        kind or ["all"], pairs_per_document, describe_held_out=describe_held_out
    )
    wanted = Options(samples=samples, depth=depth, describe_no=describe_no)
    with open_job(
        options, asset, wanted, all_assets=all_assets, model=model, held_out=describe_held_out
    ) as job:
        planned = _planned(job, extending if phase == "extend" else None)
        print_plan(options, job, planned, price_in=price_in, price_out=price_out)


def _planned(job: Job, extending: "ExtendOptions | None") -> "dict[str, PlannedStage]":
    from kgkit import plans

    if extending is None:
        return plans.plan_expansion(job.derivation, job.scopes, teacher=job.teacher)
    return plans.plan_extension(job.derivation, job.scopes, options=extending, teacher=job.teacher)


def _announced(
    options: GlobalOptions,
    job: Job,
    extending: "ExtendOptions | None",
    stages: "Iterable[Stage]",
    budget: "Budget",
    *,
    preview: int,
    dry_run: bool,
) -> "dict[str, PlannedStage] | None":
    """What a run will ask, once it is said; None where `preview` or `dry_run` wanted no more than to see it."""
    from kgkit import plans

    if preview:
        shown = plans.preview(
            job.derivation, stages, teacher=job.teacher, count=preview, budget=budget
        )
        print_preview(options, job, shown)
        return None
    planned = _planned(job, extending)
    if dry_run:
        print_plan(options, job, planned, price_in=budget.price_in, price_out=budget.price_out)
        return None
    announce(options, job, planned)
    return planned


def _extend_options(kinds: list[str], pairs: str, *, describe_held_out: bool) -> "ExtendOptions":
    from kgkit.errors import UsageError
    from kgkit.extend.options import DESCRIPTIONS, EVERY_KIND, KINDS, ExtendOptions

    for kind in kinds:
        if kind not in (*EVERY_KIND, "all"):
            raise UsageError(f"there is no kind {kind}; choose from {', '.join(EVERY_KIND)} or all")
    if describe_held_out and set(kinds) != {DESCRIPTIONS}:
        raise UsageError(
            f"--describe-held-out is for {DESCRIPTIONS} alone: nothing else may be made of held-out assets"
        )
    if pairs != "all" and not (pairs.isdecimal() and int(pairs) > 0):
        raise UsageError(f"--pairs-per-document {pairs}: give a number from 1 on, or all")
    return ExtendOptions(
        kinds=tuple(
            kind for kind in EVERY_KIND if kind in kinds or ("all" in kinds and kind in KINDS)
        ),
        pairs_per_document=None if pairs == "all" else int(pairs),
    )


def expand(
    context: typer.Context,
    asset: Assets = None,
    all_assets: All = False,
    depth: Depth = 1,
    samples: Samples = 1,
    describe_no: DescribeNo = False,
    model: Model = None,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    preview: Shown = 0,
    dry_run: DryRun = False,
) -> None:
    """Phase I: discover sensors, link them to failure modes, write knowledge documents.

    Example: kgkit expand --asset pump --asset "steam turbine" --max-calls 500
    """
    from kgkit import runs
    from kgkit.expand.run import stages_of
    from kgkit.expand.scope import Options
    from kgkit.teacher.budget import Budget

    options = options_of(context)
    budget = Budget(
        max_calls=max_calls,
        max_tokens=max_tokens,
        max_cost=max_cost,
        price_in=price_in,
        price_out=price_out,
    )
    wanted = Options(samples=samples, depth=depth, describe_no=describe_no)
    with open_job(options, asset, wanted, all_assets=all_assets, model=model) as job:
        assets = job.derivation.assets()
        stages = (one for scope in job.scopes for one in stages_of(scope, job.teacher, assets))
        planned = _announced(options, job, None, stages, budget, preview=preview, dry_run=dry_run)
        if planned is None:
            return
        expected = sum(stage.asks for stage in planned.values())
        with progress(options, expected=expected, cost=lambda: cost_of(budget)) as tally:
            report = runs.expand_assets(
                job.derivation,
                job.scopes,
                teacher=job.teacher,
                budget=budget,
                on_event=tally.take,
                on_rejects=tally.rejects,
            )
    print_report(options, report)
    end_with(options, report)


def extend(
    context: typer.Context,
    kind: Kinds = None,
    asset: Assets = None,
    all_assets: All = False,
    pairs_per_document: Pairs = "10",
    feed_back: Annotated[
        int,
        typer.Option(
            min=0,
            help="Then expand: up to so many new sensors, failure modes and other equipment that the documents name.",
        ),
    ] = 0,
    describe_held_out: DescribeHeldOut = False,
    model: Model = None,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    preview: Shown = 0,
    dry_run: DryRun = False,
) -> None:
    """Phase II: rephrase the knowledge documents, ask about them, extract entities and explain these.

    `descriptions`, for an embedder's queries, is not in `all`.

    Example: kgkit extend rephrase qa --asset pump --max-calls 500; kgkit extend descriptions --all
    """
    from kgkit import runs
    from kgkit.errors import UsageError
    from kgkit.expand.scope import Options
    from kgkit.extend.run import stage_of
    from kgkit.teacher.budget import Budget

    options = options_of(context)
    if not kind:
        raise UsageError("say which kinds: kgkit extend rephrase qa --asset pump, or extend all")
    extending = _extend_options(kind, pairs_per_document, describe_held_out=describe_held_out)
    budget = Budget(
        max_calls=max_calls,
        max_tokens=max_tokens,
        max_cost=max_cost,
        price_in=price_in,
        price_out=price_out,
    )
    fed: _FedBack | None = None
    with open_job(
        options, asset, Options(), all_assets=all_assets, model=model, held_out=describe_held_out
    ) as job:
        stages = (
            stage_of(one, scope, job.teacher, extending)
            for scope in job.scopes
            for one in extending.ordered()
        )
        planned = _announced(
            options, job, extending, stages, budget, preview=preview, dry_run=dry_run
        )
        if planned is None:
            return
        expected = sum(stage.asks + stage.to_come for stage in planned.values())
        with progress(options, expected=expected, cost=lambda: cost_of(budget)) as tally:
            report = runs.extend_assets(
                job.derivation,
                job.scopes,
                options=extending,
                teacher=job.teacher,
                budget=budget,
                on_event=tally.take,
                on_rejects=tally.rejects,
            )
            if feed_back and not report.stopped:
                fed = _feed_back(job, tally, most=feed_back, budget=budget)
    more: dict[str, object] = {}
    if fed and options.json:
        expanded = None if fed.expanded is None else fed.expanded.as_json()
        more = {"feed_back": fed.found.as_json(), "expand": expanded}
    print_report(options, report, more=more)
    if fed and not options.json:
        new = [f"{asset}: {', '.join(names)}" for asset, names in fed.found.new.items()]
        say(f"fed back to Phase I: {'; '.join(new) or 'nothing new'}")
        if fed.expanded:
            print_report(options, fed.expanded)
    end_with(options, report, *([fed.expanded] if fed and fed.expanded else []))


@dataclass(frozen=True, slots=True, kw_only=True)
class _FedBack:
    """What was fed back, and the expansion that took it up; None where there was nothing."""

    found: "FedBackReport"
    expanded: "RunReport | None"


def _feed_back(job: Job, tally: Tally, *, most: int, budget: "Budget") -> _FedBack:
    from kgkit import runs

    found = runs.feed_back(job.derivation, job.scopes, most=most)
    expanded = None
    if found.scopes:
        expanded = runs.expand_assets(
            job.derivation,
            found.scopes,
            teacher=job.again(),
            budget=budget,
            on_event=tally.take,
            on_rejects=tally.rejects,
        )
    return _FedBack(found=found, expanded=expanded)
