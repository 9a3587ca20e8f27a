"""Turn results into the table that is shown: models beside what needs no model, by what training could have seen, with verdicts.

A row is a share of exactly right answers with its 95 % interval. A verdict compares question by question: McNemar's exact test, adjusted
(Holm) for all the comparisons of one model, and the difference with a bootstrap interval over assets.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kgkit.errors import UsageError
from kgkit.evaluation.intervals import Comparison, Interval, compare, holm, wilson
from kgkit.evaluation.pose import Posed
from kgkit.evaluation.published import Beside, published_beside
from kgkit.evaluation.results import Result, questions_digest, read_result
from kgkit.evaluation.scores import Outcome, exactly_right, scores
from kgkit.questions.baselines import chance
from kgkit.questions.shortcuts import shortcuts
from kgkit.workspace import write_atomically

SLICES = ("all", "some", "none")
_TELLING = 0.1
_SEED = 0
_SURE = 0.05
Right = Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line: outcomes by question id, none for chance, which is an expectation. `result` is there for models alone."""

    name: str
    outcomes: Mapping[str, Outcome]
    right: Right
    result: Result | None = None


@dataclass(slots=True, kw_only=True)
class Table:
    """What is shown and written. `verdicts`: model -> slice -> the comparisons that say what it beats.

    `slices`: ids of questions by how many of their pairs training has. `published`: what papers report, beside and never among `rows`.
    """

    posed: Posed
    rows_: list[Row]
    slices: Mapping[str, set[str]]
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    remarks: list[str]
    published: Sequence[Beside]
    verdicts: dict[str, dict[str, "Verdict"]] = field(default_factory=dict)

    def results(self) -> list[Result]:
        """The models' results, in the order of their rows."""
        return [row.result for row in self.rows_ if row.result is not None]

    def as_json(self) -> dict[str, object]:
        """The table as the command line prints it."""
        return {
            "benchmark": self.posed.name,
            "version": self.posed.version,
            "questions": len(self.posed.questions),
            "scores": [score for row in self.rows_ for score in _scores(row, self.posed)],
            "verdicts": {
                model: {slice_: verdict.as_json() for slice_, verdict in found.items()}
                for model, found in self.verdicts.items()
            },
            "remarks": self.remarks,
            "published": [beside.as_json() for beside in self.published],
        }

    def markdown(self) -> str:
        """The table, its remarks, and what papers report in tables of their own."""
        parts = [as_markdown(self.columns, self.rows)]
        if self.remarks:
            parts.append("\n".join(f"- {remark}" for remark in self.remarks))
        for beside in self.published:
            parts += [f"## {beside.standing}\n\n{beside.heading}"]
            parts.append(as_markdown(beside.columns, beside.rows))
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> None:
        """table.md and scores.csv in `folder`."""
        out = io.StringIO()
        scores = [score for row in self.rows_ for score in _scores(row, self.posed)]
        writer = csv.DictWriter(out, list(scores[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(scores)
        write_atomically(folder / "scores.csv", out.getvalue().encode())
        write_atomically(folder / "table.md", self.markdown().encode())


def as_markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The best baseline that a model is surely better than, on one slice; None where it is surely better than none."""

    best: str | None
    comparisons: Mapping[str, Comparison]
    adjusted: Mapping[str, float]

    def as_json(self) -> dict[str, object]:
        """The verdict with every comparison behind it."""
        return {
            "beats": self.best,
            "against": {
                name: {
                    "n": one.n,
                    "difference": one.difference,
                    "ci_low": one.interval.low if one.interval else None,
                    "ci_high": one.interval.high if one.interval else None,
                    "p": one.p,
                    "p_adjusted": self.adjusted[name],
                }
                for name, one in self.comparisons.items()
            },
        }


def table(posed: Posed, results: Sequence[Result], *, before_and_after: bool = False) -> Table:
    """The table of results for what was posed. Raises UsageError where they learned under different protocols, unless one was trained from the other."""
    protocols = sorted({result.protocol for result in results if result.protocol})
    if len(protocols) > 1 and not before_and_after:
        raise UsageError(
            f"these models learned under different protocols ({', '.join(protocols)}), which no table mixes; evaluate them apart, those of one protocol named with --model"
        )
    rows = [_row("chance (expected)", {}, posed)]
    rows += [_row(name, _chosen(chosen), posed) for name, chosen in posed.chosen.items()]
    rows += [
        _row(name, one.by_question(), posed, one)
        for name, one in zip(_labels(results), results, strict=True)
    ]
    slices = {name: _of_slice(posed, name) for name in SLICES if _of_slice(posed, name)}
    columns = (
        "answered by",
        f"exact, of {len(posed.questions)}",
        *(f"{name} pairs seen, of {len(ids)}" for name, ids in slices.items()),
        "without undecided",
        "undecided",
        "errors",
        "in all variants",
    )
    shown = [_line(row, posed, slices) for row in rows]
    found = Table(
        posed=posed,
        rows_=rows,
        slices=slices,
        columns=columns,
        rows=shown,
        remarks=[],
        published=published_beside(posed.name),
    )
    baselines = [row for row in rows if row.result is None and row.outcomes]
    for row in rows:
        if row.result is not None and baselines:
            whole = {"all questions": {question.id for question in posed.questions}}
            named = {f"{name} pairs seen": ids for name, ids in slices.items()}
            found.verdicts[row.name] = {
                name: _verdict(row, baselines, posed, ids) for name, ids in (whole | named).items()
            }
    found.remarks = [*_remarks(found, results), *_between(rows, posed)]
    return found


def kept_results(folder: Path, posed: Posed, *, but: Sequence[Result]) -> list[Result]:
    """The results that are kept for exactly these questions, by name; without those of `but`, and of its protocol where it has one (of two: of none)."""
    wanted = questions_digest(posed.questions)
    have = {(one.identity, one.mode, one.by, one.shots) for one in but}
    protocols = {one.protocol for one in but if one.protocol}
    found = [read_result(path) for path in sorted((folder / posed.name).glob("*-*.json"))]
    return [
        one
        for one in found
        if one.questions == wanted
        and (one.identity, one.mode, one.by, one.shots) not in have
        and (not protocols or not one.protocol or protocols == {one.protocol})
    ]


def _row(
    name: str, outcomes: Mapping[str, Outcome], posed: Posed, result: Result | None = None
) -> Row:
    answers = exactly_right(posed.questions, outcomes)
    return Row(name=name, outcomes=outcomes, right=answers, result=result)


def _chosen(chosen: Mapping[str, frozenset[int]]) -> dict[str, Outcome]:
    return {
        id_: Outcome(question_id=id_, chosen=options, undecided="", error="")
        for id_, options in chosen.items()
    }


def label(result: Result) -> str:
    """The model's name, with how it was asked where that is not the usual way."""
    marks: list[str] = [result.mode] if result.mode == "generate" else []
    marks += [result.by] if result.by != "letters" else []
    marks += [f"{result.shots} shots"] if result.shots else []
    marks += ["contaminated"] if result.contaminated else []
    return f"{result.model} ({', '.join(marks)})" if marks else result.model


def _labels(results: Sequence[Result]) -> list[str]:
    """Their labels; where several are called alike, as adapters merged into folders of one name are, with what tells their weights apart."""
    names = [label(one) for one in results]
    return [
        f"{name} {one.identity.rpartition(':')[2][:8]}" if names.count(name) > 1 else name
        for name, one in zip(names, results, strict=True)
    ]


def _of_slice(posed: Posed, name: str) -> set[str]:
    return {question.id for question in posed.questions if posed.seen.get(question.id) == name}


def _line(row: Row, posed: Posed, slices: Mapping[str, set[str]]) -> tuple[str, ...]:
    everything = {question.id for question in posed.questions}
    cells = [_share(row, posed, ids) for ids in (everything, *slices.values())]
    if row.result is None:
        return (row.name, *cells, "", "", "", "")
    outcomes = row.result.by_question().values()
    undecided = [one for one in outcomes if one.undecided]
    decided = [one.question_id for one in outcomes if one.chosen is not None]
    errors = [one for one in outcomes if one.error]
    held = row.result.held()
    return (
        row.name,
        *cells,
        _share(row, posed, set(decided)),
        str(len(undecided)),
        str(len(errors)),
        f"{sum(held.values()) / len(held):.3f}" if held else "",
    )


def _share(row: Row, posed: Posed, ids: set[str]) -> str:
    found = share(row, posed, ids)
    if found is None:
        return ""
    value, interval = found
    return f"{value:.3f} [{interval.low:.3f}, {interval.high:.3f}]" if interval else f"{value:.3f}"


def share(row: Row, posed: Posed, ids: set[str]) -> tuple[float, Interval | None] | None:
    """A row's share of exactly right answers among `ids` with its interval; for chance what is expected. None without answers."""
    if not row.outcomes and row.result is None:
        some = [chance(question) for question in posed.questions if question.id in ids]
        return (sum(some) / len(some), None) if some else None
    answers = [row.right[id_] for id_ in ids if id_ in row.right]
    return (sum(answers) / len(answers), wilson(sum(answers), len(answers))) if answers else None


def _scores(row: Row, posed: Posed) -> list[dict[str, object]]:
    """A row's numbers by slice."""
    found = scores(posed.questions, row.outcomes, seen=posed.seen, seed=_SEED)
    return [{"model": row.name, **asdict(score)} for score in found if score.n]


def _verdict(row: Row, baselines: Sequence[Row], posed: Posed, ids: set[str]) -> Verdict:
    """Against every baseline, the strongest that is surely beaten first."""
    mine = _only(row.right, ids)
    clusters = {question.id: question.asset for question in posed.questions}
    found = {
        one.name: compare(_only(one.right, ids), mine, clusters, seed=_SEED)
        for one in baselines
        if _only(one.right, ids).keys() & mine.keys()
    }
    adjusted = dict(zip(found, holm([one.p for one in found.values()]), strict=True))
    beaten = [name for name, one in found.items() if one.difference > 0 and adjusted[name] < _SURE]
    best = max(beaten, key=lambda name: found[name].first, default=None)
    return Verdict(best=best, comparisons=found, adjusted=adjusted)


def _only(answers: Right, ids: set[str]) -> dict[str, bool]:
    return {id_: one for id_, one in answers.items() if id_ in ids}


def _remarks(found: Table, results: Sequence[Result]) -> list[str]:
    posed = found.posed
    remarks = []
    for model, verdicts in found.verdicts.items():
        beaten = {slice_: verdict for slice_, verdict in verdicts.items() if verdict.best}
        remarks += [f"{model}, {slice_}: {_said(verdict)}" for slice_, verdict in beaten.items()]
        rest = [slice_ for slice_ in verdicts if slice_ not in beaten]
        if rest:
            remarks.append(f"{model} is surely better than no baseline on {', '.join(rest)}")
    telling = shortcuts(posed.questions)
    named = [
        f"{name} {value:.3f}"
        for name, value in telling.items()
        if value > telling["chance"] + _TELLING
    ]
    if named:
        remarks.append(
            f"without knowing anything, beside chance {telling['chance']:.3f}: {', '.join(named)}"
        )
    for result in results:
        if result.contaminated:
            remarks.append(
                f"{result.model} is contaminated: it has learned from {', '.join(result.contaminated)}"
            )
        if result.unasked:
            why = result.stopped or "stopped"
            remarks.append(
                f"{result.model}: {result.unasked} questions not asked ({why}); the same command goes on"
            )
    return remarks


def _said(verdict: Verdict) -> str:
    name = verdict.best or ""
    one = verdict.comparisons[name]
    low, high = (one.interval.low, one.interval.high) if one.interval else (0.0, 0.0)
    return f"beats {name} by {one.difference:.3f} [{low:.3f}, {high:.3f}], p {verdict.adjusted[name]:.2g}"


def _between(rows: Sequence[Row], posed: Posed) -> list[str]:
    """Every further model against the first, question by question."""
    models = [row for row in rows if row.result is not None and row.right]
    if len(models) < 2:
        return []
    clusters = {question.id: question.asset for question in posed.questions}
    first, *others = models
    others = [row for row in others if row.right.keys() & first.right.keys()]
    found = [compare(first.right, one.right, clusters, seed=_SEED) for one in others]
    adjusted = holm([one.p for one in found])
    lines = []
    for row, one, p in zip(others, found, adjusted, strict=True):
        low, high = (one.interval.low, one.interval.high) if one.interval else (0.0, 0.0)
        lines.append(
            f"{row.name} against {first.name}: {one.difference:+.3f} [{low:+.3f}, {high:+.3f}], p {p:.2g}, {one.n} questions"
        )
    return lines
