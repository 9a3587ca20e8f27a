"""What the commands that ask a teacher share: options, the open job, how plan, preview and report are printed."""

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from kgkit.cli.output import (
    command_line,
    counted,
    hint,
    hint_next,
    print_json,
    print_table,
    reasons,
    say,
    say_changes,
)
from kgkit.cli.session import (
    GlobalOptions,
    choices_in_force,
    remember,
    writing,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from kgkit.derive import Derivation
    from kgkit.expand.scope import Options, Scope
    from kgkit.loop import StageCounts
    from kgkit.plans import PlannedStage, Preview
    from kgkit.records import Ask
    from kgkit.runs import RunReport
    from kgkit.teacher.budget import Budget
    from kgkit.teacher.protocol import Teacher
    from kgkit.withdrawn import Said

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


MaxCalls = Annotated[int | None, typer.Option(min=0, help="Stop after so many calls.")]
MaxTokens = Annotated[
    int | None, typer.Option(min=0, help="Stop after so many tokens, in and out.")
]
MaxCost = Annotated[float | None, typer.Option(min=0, help="Stop at this cost; needs both prices.")]
Shown = Annotated[int, typer.Option(min=0, help="Show so many prompts with replies, then stop.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="The plan alone; sends nothing.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A run that is ready to begin: everything is open, nothing has been asked."""

    derivation: "Derivation"
    teacher: "Teacher"
    scopes: "list[Scope]"
    again: "Callable[[], Teacher]"
    """Opens the same teacher for a second run: a run closes its own."""


@contextmanager
def open_job(
    options: GlobalOptions,
    assets: list[str] | None,
    wanted: "Options",
    *,
    all_assets: bool,
    model: str | None,
    held_out: bool = False,
) -> "Iterator[Job]":
    """The workspace brought up to date, the scopes (of held-out assets too if `held_out`) and the teacher."""
    from kgkit import derive, runs
    from kgkit.settings import read_settings

    with writing(options) as derivation:
        settings = read_settings()
        choices = choices_in_force(options, derivation.workspace, settings, model=model)
        say_changes(options, derive.bring_up_to_date(derivation))
        scopes = runs.scopes_for(
            derivation, assets or [], wanted, all_assets=all_assets, held_out=held_out
        )
        for typed, scope in scopes.items():
            if typed != scope.asset:
                hint(options, f"{typed}: took {scope.asset}")

        def teacher() -> "Teacher":
            return runs.teacher_for(
                derivation, uri=choices.teacher, model=choices.model, settings=settings
            )

        first = teacher()
        remember(derivation.workspace, teacher=options.teacher, model=model)
        yield Job(derivation=derivation, teacher=first, scopes=list(scopes.values()), again=teacher)


def print_plan(
    options: GlobalOptions,
    job: Job,
    planned: "dict[str, PlannedStage]",
    *,
    price_in: float | None,
    price_out: float | None,
) -> None:
    """What a run would ask, by stage, with tokens, time and cost."""
    from kgkit import plans, withdrawn

    tokens_in = sum(stage.tokens_in for stage in planned.values())
    tokens_out = sum(stage.tokens_out for stage in planned.values())
    cost = None
    if price_in is not None and price_out is not None:
        cost = (tokens_in * price_in + tokens_out * price_out) / 1e6
    to_come = sum(stage.to_come for stage in planned.values())
    new = sum(stage.asks - stage.cached for stage in planned.values()) + to_come
    seconds = plans.seconds_for(job.derivation.ledger, job.teacher, new)
    undiscovered = plans.undiscovered(planned)
    document = {
        "teacher": job.teacher.name,
        "assets": [scope.key.id for scope in job.scopes],
        "asks": {
            name: {
                "planned": stage.asks,
                "cached": stage.cached,
                "left_out": stage.left_out,
                "to_come": stage.to_come,
            }
            for name, stage in planned.items()
        },
        "cached": sum(stage.cached for stage in planned.values()),
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "seconds": seconds,
        "cost": cost,
        "undiscovered": undiscovered,
    }
    gone = withdrawn.of(job.derivation.ledger, [scope.asset for scope in job.scopes])
    going = {id_: one for stage in planned.values() for id_, one in stage.to_withdraw.items()}
    if options.json:
        print_json(
            {
                **document,
                "to_send": {
                    name: list(map(_named, stage.to_send)) for name, stage in planned.items()
                },
                "withdrawn": _withdrawn_json(gone),
                "to_withdraw": _withdrawn_json(going.values()),
            }
        )
        return
    print_table(
        [
            "stage",
            "asks",
            "in ledger",
            "to send",
            "more at most",
            "tokens in",
            "tokens out at most",
        ],
        [
            (name, s.asks, s.cached, s.asks - s.cached, s.to_come, s.tokens_in, s.tokens_out)
            for name, s in planned.items()
        ],
    )
    _say_left_out(options, planned)
    time_ = (
        f"about {seconds:.0f} s"
        if seconds is not None
        else "time unknown until a first run with this teacher"
    )
    say(
        f"teacher {job.teacher.name}; {'at most ' if to_come else ''}{counted(new, 'call')} to send; {time_}; cost {'unknown' if cost is None else f'{cost:.2f}'}"
    )
    if undiscovered:
        hint(
            options,
            f"sensors of {counted(undiscovered, 'scope')} are not discovered yet: each one found adds an ask per failure mode and one of its own",
        )
    _print_changes(planned, gone, list(going.values()))


_LISTED = 10
"""Asks and withdrawn items that a plan lists on the terminal; --json lists up to a thousand."""
_ID_SHOWN = 12
"""Characters of an ask's id on the terminal; --json has it whole."""


def _named(ask: "Ask") -> dict[str, object]:
    return {
        "ask": ask.id,
        "prompt": ask.prompt,
        "sample": ask.sampling.number,
        **asdict(ask.subject),
    }


def _withdrawn_json(items: "Iterable[Said]") -> dict[str, object]:
    from kgkit import plans, withdrawn

    listed = list(items)
    return {
        "counts": withdrawn.counts(listed),
        "items": [asdict(one) for one in listed[: plans.LISTED]],
    }


def _print_changes(
    planned: "dict[str, PlannedStage]", gone: "list[Said]", going: "list[Said]"
) -> None:
    """What would be asked and what goes, by name, a few of each; passages before edges."""
    from kgkit import plans, withdrawn

    to_send = [ask for stage in planned.values() for ask in stage.to_send]
    if to_send and any(stage.cached for stage in planned.values()):
        about = [(ask.prompt, ask.subject) for ask in to_send[:_LISTED]]
        print_table(
            ["to send, the first of them", "asset", "sensor", "failure mode", "made from"],
            [(name, one.asset, one.sensor, one.failure_mode, one.parent) for name, one in about],
        )
    for title, items in (
        ("withdrawn since the last run, as nothing says it any more", gone),
        ("would be withdrawn by a whole run", going),
    ):
        if items:
            say(f"{title}: {reasons(withdrawn.counts(items))}")
            named = sorted(items, key=lambda one: withdrawn.is_edge(one.kind))[:_LISTED]
            print_table(
                ["kind", "about", "ask (kept)"],
                [(one.kind, one.about, one.ask[:_ID_SHOWN]) for one in named],
            )
            if len(items) > _LISTED:
                say(f"... and {len(items) - _LISTED} more (--json lists up to {plans.LISTED})")


def _say_left_out(
    options: GlobalOptions, stages: "Mapping[str, PlannedStage] | Mapping[str, StageCounts]"
) -> None:
    left_out = {name: stage.left_out for name, stage in stages.items() if stage.left_out}
    if left_out:
        hint(
            options,
            f"not asked, because the prompt would name a held-out asset: {reasons(left_out)}",
        )


def _say_what_is_missing(options: GlobalOptions, report: "RunReport") -> None:
    """Kinds that had nothing to ask about, and what would give them something."""
    from kgkit.extend.options import RESTS_ON

    for kind, assets in report.on_nothing.items():
        on = RESTS_ON.get(kind)
        command = f"extend {on} {kind}" if on else "expand"
        first = command_line(options, f"{command} --asset {assets[0]}")
        what = f"passages of {on}" if on == "qa" else on or "knowledge documents"
        of = ", ".join(assets[:_LISTED]) + (" ..." if len(assets) > _LISTED else "")
        hint(options, f"{kind} had nothing to ask about: no {what} of {of}; try {first}")


def cost_of(budget: "Budget") -> float | None:
    """What was spent so far, None where no prices are known."""
    return budget.spent.cost if budget.cost_known else None


def announce(options: GlobalOptions, job: Job, planned: "dict[str, PlannedStage]") -> None:
    """Say on stderr who is asked what."""
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


def print_preview(options: GlobalOptions, job: Job, shown: "list[Preview]") -> None:
    """Prompts and replies side by side, with the verdict on each."""
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
        "no asset was added to what is expanded; the replies are in the ledger and will not be paid again",
    )


def print_report(
    options: GlobalOptions, report: "RunReport", *, more: "dict[str, object] | None" = None
) -> None:
    """What became of the asks. `more` joins the JSON document."""
    if options.json:
        print_json({**report.as_json(), **(more or {})})
    else:
        print_table(
            [
                "stage",
                "planned",
                "done",
                "from ledger",
                "rejected",
                "dropped",
                "failed",
                "to do",
            ],
            [
                (
                    name,
                    c.planned,
                    c.done,
                    c.cached,
                    reasons(c.rejected),
                    reasons(c.dropped),
                    reasons(c.failed),
                    c.pending,
                )
                for name, c in report.stages.items()
            ],
        )
        _say_left_out(options, report.stages)
        _say_what_is_missing(options, report)
        say(
            f"teacher {report.teacher}: {counted(report.calls, 'call')}, {report.tokens_in} tokens in, {report.tokens_out} out; "
            f"{'' if report.cost is None else f'cost {report.cost:.2f}; '}the graph holds {counted(report.nodes.get('Sensor', 0), 'sensor')}, {counted(report.edges.get('RELEVANT_TO', 0), 'relevance edge')}, "
            f"{counted(report.nodes.get('Passage', 0), 'passage')}"
        )


def end_with(options: GlobalOptions, *reports: "RunReport") -> None:
    """Say what to run next; ends with the worst exit code of the runs of this command."""
    stopped = [report.stopped for report in reports if report.stopped]
    if stopped:
        hint(options, f"stopped: {stopped[0]}; run the same command again to go on")
    else:
        hint_next(options, "export DIR", "status")
    if code := max(report.exit_code for report in reports):
        raise typer.Exit(code)
