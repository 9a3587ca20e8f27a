"""`plan` and `expand`: what a run would ask, and the run."""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kgkit.cli.output import (
    counted,
    hint,
    hint_next,
    print_json,
    print_table,
    reasons,
    say,
    say_changes,
)
from kgkit.cli.progress import progress
from kgkit.cli.session import (
    SEE_ALSO,
    GlobalOptions,
    choices_in_force,
    options_of,
    remember,
    writing,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kgkit.derive import Derivation
    from kgkit.expand.scope import Options, Scope
    from kgkit.runs import PlannedStage, RunReport
    from kgkit.teacher.budget import Budget
    from kgkit.teacher.protocol import Teacher

Assets = Annotated[
    list[str] | None, typer.Option("--asset", help="Id, name, class code or alias; repeatable.")
]
All = Annotated[bool, typer.Option("--all", help="Every asset that is not held out.")]
Depth = Annotated[
    int, typer.Option(min=1, help="2: the asset's parts, and equipment that answers lead to.")
]
Samples = Annotated[int, typer.Option(min=1, help="Votes per relevance question.")]
DescribeNo = Annotated[
    bool, typer.Option("--describe-no", help="Describe pairs that are not relevant as well.")
]
Model = Annotated[
    str | None, typer.Option(help="The endpoint's model; not needed where it serves one.")
]
PriceIn = Annotated[float | None, typer.Option(help="Price per million tokens in.")]
PriceOut = Annotated[float | None, typer.Option(help="Price per million tokens out.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(epilog=SEE_ALSO)(plan)
    app.command(epilog=SEE_ALSO)(expand)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """An expansion that is ready to run: everything is open, nothing has been asked."""

    derivation: "Derivation"
    teacher: "Teacher"
    scopes: "list[Scope]"


@contextmanager
def _job(
    options: GlobalOptions,
    assets: list[str] | None,
    wanted: "Options",
    *,
    all_assets: bool,
    model: str | None,
) -> "Iterator[_Job]":
    from kgkit import derive, runs
    from kgkit.settings import read_settings

    with writing(options) as derivation:
        settings = read_settings()
        choices = choices_in_force(options, derivation.workspace, settings, model=model)
        say_changes(options, derive.bring_up_to_date(derivation))
        scopes = runs.scopes_for(derivation, assets or [], wanted, all_assets=all_assets)
        for typed, scope in scopes.items():
            if typed != scope.asset:
                hint(options, f"{typed}: took {scope.asset}")
        teacher = runs.teacher_for(
            derivation, uri=choices.teacher, model=choices.model, settings=settings
        )
        remember(derivation.workspace, teacher=options.teacher, model=model)
        yield _Job(derivation=derivation, teacher=teacher, scopes=list(scopes.values()))


def plan(
    context: typer.Context,
    phase: Annotated[Literal["expand"], typer.Argument(help="The phase to plan.")] = "expand",  # noqa: ARG001
    asset: Assets = None,
    all_assets: All = False,
    depth: Depth = 1,
    samples: Samples = 1,
    describe_no: DescribeNo = False,
    model: Model = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
) -> None:
    """What a run would ask: calls, tokens, time, cost. Sends nothing.

    Example: kgkit plan expand --asset pump
    """
    from kgkit.expand.scope import Options

    options = options_of(context)
    wanted = Options(samples=samples, depth=depth, describe_no=describe_no)
    with _job(options, asset, wanted, all_assets=all_assets, model=model) as job:
        _print_plan(options, job, price_in=price_in, price_out=price_out)


def _print_plan(
    options: GlobalOptions, job: _Job, *, price_in: float | None, price_out: float | None
) -> None:
    from kgkit import runs

    planned = runs.plan_expansion(job.derivation, job.scopes, teacher=job.teacher)
    tokens_in = sum(stage.tokens_in for stage in planned.values())
    tokens_out = sum(stage.tokens_out for stage in planned.values())
    cost = None
    if price_in is not None and price_out is not None:
        cost = (tokens_in * price_in + tokens_out * price_out) / 1e6
    new = sum(stage.asks - stage.cached for stage in planned.values())
    seconds = runs.seconds_for(job.derivation.ledger, job.teacher, new)
    undiscovered = runs.undiscovered(planned)
    document = {
        "teacher": job.teacher.name,
        "assets": [scope.key.id for scope in job.scopes],
        "asks": {
            name: {"planned": stage.asks, "cached": stage.cached, "left_out": stage.left_out}
            for name, stage in planned.items()
        },
        "cached": sum(stage.cached for stage in planned.values()),
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "seconds": seconds,
        "cost": cost,
        "undiscovered": undiscovered,
    }
    if options.json:
        print_json(document)
        return
    print_table(
        ["stage", "asks", "in the ledger", "to send", "tokens in", "tokens out at most"],
        [
            (name, s.asks, s.cached, s.asks - s.cached, s.tokens_in, s.tokens_out)
            for name, s in planned.items()
        ],
    )
    time_ = (
        f"about {seconds:.0f} s"
        if seconds is not None
        else "time unknown until a first run with this teacher"
    )
    say(
        f"teacher {job.teacher.name}; {new} calls to send; {time_}; cost {'unknown' if cost is None else f'{cost:.2f}'}"
    )
    if undiscovered:
        hint(
            options,
            f"sensors of {counted(undiscovered, 'scope')} are not discovered yet: each one found adds an ask per failure mode and one of its own",
        )


def expand(
    context: typer.Context,
    asset: Assets = None,
    all_assets: All = False,
    depth: Depth = 1,
    samples: Samples = 1,
    describe_no: DescribeNo = False,
    model: Model = None,
    max_calls: Annotated[int | None, typer.Option(min=0, help="Stop after so many calls.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=0, help="Stop after so many tokens, in and out.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, help="Stop at this cost; needs both prices.")
    ] = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    preview: Annotated[
        int, typer.Option(min=0, help="Show so many prompts with replies, then stop.")
    ] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="The plan alone; sends nothing.")
    ] = False,
) -> None:
    """Phase I: discover sensors, link them to failure modes, write knowledge documents.

    Example: kgkit expand --asset pump --asset "steam turbine" --max-calls 500
    """
    from kgkit import runs
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
    with _job(options, asset, wanted, all_assets=all_assets, model=model) as job:
        if dry_run:
            _print_plan(options, job, price_in=price_in, price_out=price_out)
            return
        if preview:
            _print_preview(options, job, count=preview, budget=budget)
            return
        planned = runs.plan_expansion(job.derivation, job.scopes, teacher=job.teacher)
        _announce(options, job, planned)
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
    _print_report(options, report)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def cost_of(budget: "Budget") -> float | None:
    """What was spent so far, None where no prices are known."""
    return budget.spent.cost if budget.cost_known else None


def _announce(options: GlobalOptions, job: _Job, planned: "dict[str, PlannedStage]") -> None:
    asks = ", ".join(
        f"{name} {stage.asks} ({stage.cached} in the ledger)" for name, stage in planned.items()
    )
    hint(
        options,
        f"teacher {job.teacher.name}; {counted(len(job.scopes), 'asset')}; asks known so far: {asks}",
    )
    if job.teacher.name == "reference":
        hint(
            options,
            "note: the reference teacher is no language model: it restates loaded tables and answers `no reference` "
            "where they are silent. For a real one: --teacher local:smollm2 or --teacher http://host:port/v1",
        )


def _print_preview(options: GlobalOptions, job: _Job, *, count: int, budget: "Budget") -> None:
    from kgkit import runs

    shown = runs.preview(
        job.derivation, job.scopes, teacher=job.teacher, count=count, budget=budget
    )
    if options.json:
        rows = [
            {
                "ask": one.ask.id,
                "stage": one.ask.stage,
                "messages": [{"role": m.role, "content": m.content} for m in one.ask.messages],
                "reply": one.reply,
                "verdict": one.verdict,
            }
            for one in shown
        ]
        print_json({"teacher": job.teacher.name, "preview": rows})
        return
    print_table(
        ["prompt", "reply", "verdict"],
        [
            (one.ask.messages[-1].content, one.reply, f"{one.ask.stage}: {one.verdict}")
            for one in shown
        ],
    )
    hint(
        options,
        "nothing was added to the graph; the replies are in the ledger and will not be paid again",
    )


def _print_report(options: GlobalOptions, report: "RunReport") -> None:
    if options.json:
        print_json(report.as_json())
    else:
        print_table(
            ["stage", "planned", "done", "from ledger", "rejected", "failed", "to do"],
            [
                (
                    name,
                    c.planned,
                    c.done,
                    c.cached,
                    reasons(c.rejected),
                    reasons(c.failed),
                    c.pending,
                )
                for name, c in report.stages.items()
            ],
        )
        say(
            f"teacher {report.teacher}: {report.calls} calls, {report.tokens_in} tokens in, {report.tokens_out} out; "
            f"{'' if report.cost is None else f'cost {report.cost:.2f}; '}the graph holds {report.nodes.get('Sensor', 0)} sensors, {report.edges.get('RELEVANT_TO', 0)} relevance edges, "
            f"{report.nodes.get('Passage', 0)} passages"
        )
    if report.stopped:
        hint(options, f"stopped: {report.stopped}; run the same command again to go on")
    else:
        hint_next(options, "export DIR", "status")
