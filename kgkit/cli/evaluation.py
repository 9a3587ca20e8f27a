"""`evaluate`: put a benchmark to models, and the table of what they know beside what needs no model."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kgkit.cli.asking import MaxCalls, MaxCost, MaxTokens, PriceIn, PriceOut, cost_of
from kgkit.cli.output import counted, hint_next, print_json, print_table, say
from kgkit.cli.progress import progress
from kgkit.cli.session import SEE_ALSO, GlobalOptions, evaluating, options_of, reading
from kgkit.errors import UsageError

if TYPE_CHECKING:
    from kgkit.evaluation.evaluate import Bench, Options
    from kgkit.evaluation.pose import Posed
    from kgkit.evaluation.public import PublicData
    from kgkit.evaluation.results import Result
    from kgkit.evaluation.retain import Retained
    from kgkit.evaluation.table import Table
    from kgkit.teacher.budget import Budget


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command(epilog=SEE_ALSO)(evaluate)


def evaluate(
    context: typer.Context,
    benchmark: Annotated[
        str | None,
        typer.Argument(
            help="A file of evaluation/, as fmsr, a file of questions, or retrieval. Without one: a list."
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="local:NAME-or-DIR, http://host/v1#NAME, embedder:DIR, reference, chance, first, longest or majority; repeatable."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the questions of mmlu, mmlu-pro or supergpqa lie."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many questions.")] = None,
    holdout: Annotated[
        str | None,
        typer.Option(metavar="FAMILY", help="Ask about this family; all others count as training."),
    ] = None,
    each_family: Annotated[
        bool,
        typer.Option(
            "--each-family",
            help="Ask about every family in turn, each with all others as training.",
        ),
    ] = False,
    mode: Annotated[
        Literal["logprob", "generate"],
        typer.Option(help="Score the options, or read what is written."),
    ] = "logprob",
    by: Annotated[
        Literal["letters", "options", "statements", "unnamed-statements", "minimal-pairs"],
        typer.Option(
            help="What is scored: the letters, the options' texts per character, each option as a statement, true or false, about the asset or about any machine, or as a plain sentence beside its denial."
        ),
    ] = "letters",
    shots: Annotated[
        int | None,
        typer.Option(
            min=0, help="Solved examples before each question. [default: 5 for base models, else 0]"
        ),
    ] = None,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain",
            help="Each question once: no shifted options, other words, other wrong options.",
        ),
    ] = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Beside all results that are kept for these questions."),
    ] = False,
    retain: Annotated[
        bool,
        typer.Option(
            "--retain",
            help="Of two models, before and after training: was this gained, and general knowledge kept? Else exit code 5.",
        ),
    ] = False,
    case_study: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Questions side by side, with key and proof: FILE.md or FILE.html."
        ),
    ] = None,
    question: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="Which ones; repeatable. [default: where the models differ, 20]"
        ),
    ] = None,
    allow_contaminated: Annotated[
        bool,
        typer.Option(
            "--allow-contaminated",
            help="Score a model that has learned from these families, and mark it.",
        ),
    ] = False,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
) -> None:
    """Put a benchmark to models: exact match with intervals, by what training could have seen, beside what needs no model.

    Example: kgkit evaluate fmsr --model local:smollm2 --limit 200; results stay in WORKSPACE/evaluations
    """
    from kgkit.evaluation import case_study as page
    from kgkit.evaluation.evaluate import Bench, Options
    from kgkit.evaluation.models import RULES
    from kgkit.evaluation.pose import pose
    from kgkit.evaluation.public import pose_public, public_names
    from kgkit.settings import read_settings
    from kgkit.teacher.budget import Budget
    from kgkit.teacher.local_embedding import encoder

    options, models = options_of(context), model or []
    if benchmark is None:
        _list(options)
        return
    if benchmark == "retrieval":
        _evaluate_retrieval(context, models)
        return
    _require(benchmark, models, data=data, retain=retain)
    page.require_page(case_study, question or [])
    budget = Budget(
        max_calls=max_calls,
        max_tokens=max_tokens,
        max_cost=max_cost,
        price_in=price_in,
        price_out=price_out,
    )
    asked = Options(
        mode=mode, by=by, shots=shots, robust=not plain, allow_contaminated=allow_contaminated
    )
    settings = read_settings()
    with ExitStack() as stack:
        derivation = stack.enter_context(reading(options))
        public = pose_public(benchmark, data, limit=limit) if benchmark in public_names() else None
        posed = (
            public.posed
            if public
            else pose(
                benchmark,
                graph=derivation.graph,
                split=derivation.split,
                holdout=holdout,
                each_family=each_family,
                limit=limit,
                embed=encoder(settings.cache_dir) if compare or set(models) - set(RULES) else None,
            )
        )
        folder, ledger = stack.enter_context(evaluating(derivation.workspace))
        bench = Bench(
            graph=derivation.graph,
            split=derivation.split,
            ledger=ledger,
            folder=folder,
            settings=settings,
        )
        run = _Run(options=options, bench=bench, asked=asked, budget=budget, public=public)
        results = run.results(models, posed)
        found = run.table(posed, results, compare=compare, before_and_after=retain)
        if case_study:
            chosen = page.cases(posed, found.results(), question or [], ledger=ledger)
            page.write_case_study(case_study, posed, chosen)
            found.remarks.append(f"case study: {counted(len(chosen), 'question')} in {case_study}")
        verdict = run.retained(models, posed, results, limit=limit) if retain else None
    _show(options, found, verdict)
    if not options.json:
        hint_next(options, f"evaluate {benchmark} --compare")
    if any(result.unasked for result in results) or not (
        verdict is None or (verdict.gained and verdict.kept)
    ):
        raise typer.Exit(5)


def _evaluate_retrieval(context: typer.Context, models: Sequence[str]) -> None:
    """Retrieval tasks are ranked, not asked: whatever is for questions is refused."""
    from kgkit.cli.retrieval import evaluate_retrieval

    own = ("benchmark", "model", "holdout", "each_family", "compare", "allow_contaminated")
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in own and source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"--{name.replace('_', '-')} is for questions; `kgkit evaluate retrieval` takes --model, --holdout, --each-family, --compare "
                "and --allow-contaminated"
            )
    evaluate_retrieval(
        options_of(context),
        models,
        holdout=context.params["holdout"],
        each_family=context.params["each_family"],
        compare=context.params["compare"],
        allow_contaminated=context.params["allow_contaminated"],
    )


def _require(
    benchmark: str,
    models: Sequence[str],
    *,
    data: Path | None,
    retain: bool,
) -> None:
    """Refuse at once what would be found wrong only after the asking."""
    from kgkit.evaluation.intervals import require_statistics
    from kgkit.evaluation.public import public_names
    from kgkit.evaluation.retain import require_two

    require_statistics("kgkit evaluate")
    if data and benchmark not in public_names():
        raise UsageError(f"--data is for {', '.join(public_names())}; {benchmark} needs none")
    if retain:
        require_two(models)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """How everything of one call is asked."""

    options: GlobalOptions
    bench: "Bench"
    asked: "Options"
    budget: "Budget"
    public: "PublicData | None"

    def results(self, models: Sequence[str], posed: "Posed") -> "list[Result]":
        from kgkit.evaluation.answering import planned_asks
        from kgkit.evaluation.evaluate import evaluate as put
        from kgkit.evaluation.models import RULES
        from kgkit.evaluation.through_lm_eval import evaluate_through_lm_eval

        results = []
        for uri in models:
            if self.public and posed is self.public.posed and uri not in RULES:
                shots = self.asked.shots
                results.append(evaluate_through_lm_eval(uri, self.public, self.bench, shots=shots))
                continue
            expected = planned_asks(
                posed.questions, self.asked.way(posed), robust=self.asked.robust
            )
            with progress(
                self.options, expected=expected, cost=lambda: cost_of(self.budget)
            ) as tally:
                take = tally.take
                one = put(uri, posed, self.bench, self.asked, budget=self.budget, on_event=take)
            if one.stopped == "interrupted":  # else the next model would be asked
                raise KeyboardInterrupt
            results.append(one)
        return results

    def table(
        self,
        posed: "Posed",
        results: "list[Result]",
        *,
        compare: bool,
        before_and_after: bool = False,
    ) -> "Table":
        from kgkit.evaluation.figures import draw
        from kgkit.evaluation.table import kept_results, table

        folder = self.bench.folder
        kept = kept_results(folder, posed, but=results) if compare else []
        both = [*results, *kept]
        if not results or any(one.trained_on for one in results):
            both.sort(key=lambda one: one.trained_on is not None)  # what training changed is told
        found = table(posed, both, before_and_after=before_and_after)
        found.write(folder / posed.name)
        try:
            drawn = draw(found, folder / posed.name)
        except ImportError:
            found.remarks.append(
                "no figure: matplotlib is not installed; pip install 'kgkit[evaluation]'"
            )
        else:
            found.remarks.append(
                f"figure: {', '.join(path.name for path in drawn)} in {drawn[0].parent}"
            )
        return found

    def retained(
        self, models: Sequence[str], posed: "Posed", results: "list[Result]", *, limit: int | None
    ) -> "Retained":
        """The verdict. The general questions are no cells that could be stated: they are scored by letters, whatever `--by` says."""
        from kgkit.evaluation.evaluate import Options
        from kgkit.evaluation.pose import pose
        from kgkit.evaluation.retain import read_retention, retained

        retention = read_retention()
        rest = pose(
            retention.questions, graph=self.bench.graph, split=self.bench.split, limit=limit
        )
        by_letters = replace(self, asked=replace(self.asked, by=Options().by))
        rest_results = by_letters.results(models, rest)
        self.table(rest, rest_results, compare=False, before_and_after=True)
        return retained(posed, results, rest, rest_results, margin=retention.margin)


def _list(options: GlobalOptions) -> None:
    from kgkit.evaluation.public import listed

    columns = ("benchmark", "title", "questions")
    if options.json:
        print_json({"benchmarks": [dict(zip(columns, one, strict=True)) for one in listed()]})
        return
    print_table(columns, listed())
    hint_next(options, "evaluate fmsr --model local:smollm2 --limit 200")


def _show(options: GlobalOptions, found: "Table", verdict: "Retained | None") -> None:
    if options.json:
        more = {"retain": verdict.as_json()} if verdict else {}
        print_json({**found.as_json(), **more})
        return
    print_table(found.columns, found.rows)
    for line in [*found.remarks, *(verdict.lines() if verdict else [])]:
        say(line)
    standing = ""
    for beside in found.published:
        if beside.standing != standing:
            standing = beside.standing
            say(f"\n{standing}")
        say(f"\n{beside.heading}")
        print_table(beside.columns, beside.rows)
