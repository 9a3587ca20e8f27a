"""A study's end as files: study.md and figures for people, scores.csv, runs.csv and study.json for programs."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from kgkit.evaluation.intervals import Interval
from kgkit.evaluation.published import Beside, published_beside
from kgkit.evaluation.retain import read_retention
from kgkit.finetune.compared import Difference, Score
from kgkit.finetune.study import Studied, Trained
from kgkit.workspace import write_atomically

_READING = (
    "A score is the mean over seeds of the share answered exactly right. Intervals (95 %) draw whole seeds and whole assets; few of either make them too "
    "narrow. `p` is of sign flips over questions, adjusted (Holm) within each table for each benchmark. *better* and *worse* need both: the interval on one side of zero and p below 0.05."
)


def table(studied: Studied) -> tuple[list[str], list[list[str]]]:
    """The one table: columns, and a row for each arm. For each benchmark its score and its difference to the base."""
    columns = ["arm", "seeds", "tokens trained"]
    for name in studied.benchmarks:
        n = studied.compared.score(studied.study.base, name).n
        columns += [f"{name}, of {n}", f"{name} against {studied.study.base}"]
    if studied.rest:
        columns.append("kept")
    return columns, [_row(studied, arm) for arm in studied.study.arms]


def as_json(studied: Studied) -> dict[str, object]:
    """All numbers of a study."""
    study = studied.study
    return {
        "study": study.name,
        "version": study.version,
        "recipe": study.recipe,
        "base": study.base,
        "seeds": study.seeds,
        "tokens_given": study.tokens,
        "arms": {arm: _kept_and_trained(studied, arm) for arm in study.arms},
        **studied.compared.as_json(),
        "runs": [asdict(run) for run in studied.runs],
    }


def write(studied: Studied, folder: Path) -> None:
    """study.md, study.json, scores.csv (a row for each arm and benchmark) and runs.csv (for each run and benchmark)."""
    write_atomically(folder / "study.md", markdown(studied).encode())
    said = json.dumps(as_json(studied), indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / "study.json", said.encode())
    write_atomically(folder / "scores.csv", _csv(_score_rows(studied)).encode())
    write_atomically(folder / "runs.csv", _csv(_run_rows(studied)).encode())


def markdown(studied: Studied) -> str:
    """The study as a page: what was varied, the table, differences between arms, and what papers report."""
    study, recipe = studied.study, studied.recipe
    given = (
        f"every trained arm was given {study.tokens:,} tokens in all"
        if study.tokens
        else "arms were given what their recipes say"
    )
    parts = [
        f"# {study.title}",
        f"{study.source}. Recipe `{study.recipe}`, model {recipe.model}, protocol `{recipe.protocol}`, seeds {', '.join(map(str, study.seeds))}; {given}.",
        _markdown(*table(studied)),
        _READING + _assets(studied),
    ]
    if studied.compared.between:
        columns = ["benchmark", "arm", "against", "difference", "p", "verdict"]
        lines = [_between(one) for one in studied.compared.between]
        parts += ["## Between arms", _markdown(columns, lines)]
    if measured := _gradients(studied):
        columns = ["arm", "stage", "share of the explanation in the loss", "cosine of the gradients", "below zero"]  # fmt: skip
        parts += ["## Answers and explanations apart", _markdown(columns, measured)]
    for beside in _published(studied):
        parts += [f"## {beside.standing}", beside.heading, _markdown(beside.columns, beside.rows)]
    return "\n\n".join(parts) + "\n"


def _gradients(studied: Studied) -> list[list[str]]:
    """Each stage of each arm that was measured, as means over its runs."""
    found = []
    for arm in studied.study.arms:
        runs = [run.gradients for run in studied.runs if run.arm == arm]
        for stage in runs[0]:
            some = [run[stage] for run in runs]
            cosines = [one["cosine"] for one in some if one["cosine"] is not None]
            below, all_ = (sum(one[key] for one in some) for key in ("cosine_below_zero", "measures"))  # fmt: skip
            found.append(
                [
                    arm,
                    stage,
                    f"{_mean(one['loss_share'] for one in some):.2f}",
                    f"{_mean(cosines):+.3f}" if cosines else "",
                    f"{below} of {all_}",
                ]
            )
    return found


def _row(studied: Studied, arm: str) -> list[str]:
    study, runs = studied.study, [run for run in studied.runs if run.arm == arm]
    cells = [
        arm,
        str(len(runs)) if runs[0].seed is not None else "none: not trained",
        f"{_mean(run.tokens for run in runs):,.0f}",
    ]
    for name in studied.benchmarks:
        score, gain = studied.compared.score(arm, name), studied.compared.gain(arm, name)
        cells += [f"{score.value:.3f}{_brackets(score.interval, '.3f')}", _gain(gain)]
    if studied.rest:
        cells.append("" if arm == study.base else _kept(studied, arm))
    return cells


def _kept(studied: Studied, arm: str) -> str:
    return "yes" if _is_kept(studied, arm) else "not sure"


def _is_kept(studied: Studied, arm: str) -> bool:
    """Surely no more lost of the rest than evaluation/retain.yaml allows."""
    gain = studied.compared.gain(arm, studied.rest)
    return (
        gain is not None
        and gain.interval is not None
        and (gain.interval.low > -read_retention().margin)
    )


def _kept_and_trained(studied: Studied, arm: str) -> dict[str, object]:
    runs = [run for run in studied.runs if run.arm == arm]
    return {
        "trained": runs[0].seed is not None,
        "tokens_trained": round(_mean(run.tokens for run in runs)),
        "steps": round(_mean(run.steps for run in runs)),
        "kept": _is_kept(studied, arm) if studied.rest and arm != studied.study.base else None,
    }


def _gain(one: Difference | None) -> str:
    if one is None:
        return ""
    return (
        f"{one.value:+.3f}{_brackets(one.interval, '+.3f')}, p {one.p_adjusted:.2g}: {one.verdict}"
    )


def _between(one: Difference) -> list[str]:
    return [
        one.benchmark,
        one.arm,
        one.against,
        f"{one.value:+.3f}{_brackets(one.interval, '+.3f')}",
        f"{one.p_adjusted:.2g}",
        one.verdict,
    ]


def _brackets(interval: Interval | None, shown: str) -> str:
    return f" [{interval.low:{shown}}, {interval.high:{shown}}]" if interval else ""


def _assets(studied: Studied) -> str:
    named = [
        f"{name} asks about {len(assets)} assets"
        for name, posed in studied.benchmarks.items()
        if (assets := {question.asset for question in posed.questions} - {""})
    ]
    left = [
        f"{count} questions of {name} are left out, for some run did not answer them"
        for name, count in studied.compared.left_out.items()
        if count
    ]
    return "".join(f" {line}." for line in (*named, *left))


def _published(studied: Studied) -> list[Beside]:
    names = dict.fromkeys(posed.name for posed in studied.benchmarks.values())
    return [beside for name in names for beside in published_beside(name)]


def _score_rows(studied: Studied) -> Iterable[dict[str, object]]:
    for score in studied.compared.scores:
        gain = studied.compared.gain(score.arm, score.benchmark)
        yield {
            "arm": score.arm,
            "benchmark": score.benchmark,
            "n": score.n,
            "runs": len(score.by_run),
            "score": score.value,
            **_bounds("", score.interval),
            "difference": gain.value if gain else "",
            **_bounds("difference_", gain.interval if gain else None),
            "p": gain.p if gain else "",
            "p_adjusted": gain.p_adjusted if gain else "",
            "verdict": gain.verdict if gain else "",
        }


def _run_rows(studied: Studied) -> Iterable[dict[str, object]]:
    for score in studied.compared.scores:
        runs = [run for run in studied.runs if run.arm == score.arm]
        for run, value in zip(runs, score.by_run, strict=True):
            yield {**_run(run), "benchmark": score.benchmark, "n": score.n, "score": value}


def _run(run: Trained) -> dict[str, object]:
    by_name = ("gradients", "data", "versions")
    said = {name: value for name, value in asdict(run).items() if name not in by_name}
    return {**said, "seed": "" if run.seed is None else run.seed}


def _bounds(prefix: str, interval: Interval | None) -> dict[str, object]:
    low, high = (interval.low, interval.high) if interval else ("", "")
    return {f"{prefix}ci_low": low, f"{prefix}ci_high": high}


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def scores_along(
    studied: Studied, benchmark: str, arms: Sequence[str], along: str
) -> list[tuple[float, Score]]:
    """Points of a line: how much of `along` each arm was given, and its score, in rising order."""
    points = []
    for arm in arms:
        runs = [run for run in studied.runs if run.arm == arm]
        given = _mean(getattr(run, along) for run in runs)
        points.append((given, studied.compared.score(arm, benchmark)))
    return sorted(points, key=lambda point: point[0])


def _csv(rows: Iterable[Mapping[str, object]]) -> str:
    found, out = list(rows), io.StringIO()
    writer = csv.DictWriter(out, list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return out.getvalue()


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
