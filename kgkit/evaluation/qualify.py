"""`kgkit teacher qualify`: how good a teacher is at what Phase I will ask of it, measured on what the tables hold.

Asked as in a run: an unusable reply is asked for once more, and what Phase I would not accept is no answer here either.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kgkit.evaluation.agreement import Agreement, agreement_scores
from kgkit.evaluation.aside import Stopped, ask_aside
from kgkit.evaluation.hidden import Hidden, Hiding, Name
from kgkit.evaluation.scores import Score
from kgkit.loop import Progress, second_try
from kgkit.names import near_matches
from kgkit.records import Ask, Subgraph
from kgkit.stages import Parser
from kgkit.teacher.asking import Event
from kgkit.teacher.budget import Budget
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.protocol import Teacher

ALWAYS_YES = "always Yes: "
"""Before the names of the scores that saying Yes to everything would get."""
_UNDECIDED = frozenset({"empty", "refusal", "wrong shape", "no reference"})
"""Rejected replies from which no answer can be read; others answer, and fail a check."""


@dataclass(slots=True, kw_only=True)
class Qualified:
    """One kind: what became of its asks, the scores, and every ask with what the table and the teacher say.

    asked = answered + undecided + rejected + failed + unasked, always. `left_out`: asks that would name a held-out asset.
    """

    asked: int
    left_out: int
    answered: int = 0
    undecided: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    unasked: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)
    items: list[dict[str, object]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Qualification:
    """What a teacher is worth on these assets. `seconds_per_token`: per written token, one call at a time; None where not known."""

    teacher: str
    assets: list[str]
    kinds: dict[Name, Qualified]
    calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    seconds_per_token: float | None
    stopped: Stopped | None

    @property
    def exit_code(self) -> int:
        """130 interrupted; 5 a budget was reached, something failed or no reply was usable; else 0."""
        if self.stopped == "interrupted":
            return 130
        failed = any(kind.failed for kind in self.kinds.values())
        silent = not any(kind.answered for kind in self.kinds.values())
        return 5 if self.stopped or failed or silent else 0


def qualify(
    teacher: Teacher,
    hiding: Mapping[Name, Hiding],
    *,
    ledger: Ledger,
    budget: Budget,
    on_event: Callable[[Event], None],
) -> Qualification:
    """Ask, compare, sum up. What the ledger holds is not asked again.

    Raises ServiceError as Asker.answers: everything answered before is kept.
    """
    every = [one for kind in hiding.values() for one in kind.hidden]
    progress, stopped = ask_aside(
        _by_stage(every), teacher, ledger=ledger, budget=budget, on_event=on_event
    )
    kinds = {name: _counted(one, progress) for name, one in hiding.items()}
    _compare_cells(kinds["relevance"], hiding["relevance"].hidden, progress)
    _compare_lists(kinds["discovery"], hiding["discovery"].hidden, progress)
    return Qualification(
        teacher=teacher.name,
        assets=sorted({one.ask.subject.asset for one in every}),
        kinds=kinds,
        calls=budget.spent.calls,
        tokens_in=budget.spent.tokens_in,
        tokens_out=budget.spent.tokens_out,
        cost=budget.spent.cost if budget.cost_known else None,
        seconds_per_token=_pace(every, ledger),
        stopped=stopped,
    )


def _by_stage(hidden: Sequence[Hidden]) -> list[tuple[Parser, list[Ask]]]:
    """Each stage with its asks."""
    found: dict[int, tuple[Parser, list[Ask]]] = {}
    for one in hidden:
        found.setdefault(id(one.stage), (one.stage, []))[1].append(one.ask)
    return list(found.values())


def _counted(hiding: Hiding, progress: Progress) -> Qualified:
    """What became of the asks."""
    ids = [one.ask.id for one in hiding.hidden]
    bad = Counter(progress.rejected[id_] for id_ in ids if id_ in progress.rejected)
    failed = Counter(progress.failed[id_] for id_ in ids if id_ in progress.failed)
    answered = sum(id_ in progress.accepted for id_ in ids)
    return Qualified(
        asked=len(ids),
        left_out=hiding.left_out,
        answered=answered,
        undecided={reason: count for reason, count in bad.items() if reason in _UNDECIDED},
        rejected={reason: count for reason, count in bad.items() if reason not in _UNDECIDED},
        failed=dict(failed),
        unasked=len(ids) - answered - bad.total() - failed.total(),
    )


def _compare_cells(kind: Qualified, hidden: Sequence[Hidden], progress: Progress) -> None:
    """Each Yes and No beside its cell; beside the scores those of a teacher that says Yes to everything."""
    said: Counter[tuple[bool, str]] = Counter()
    for one in hidden:
        about, taken = one.ask.subject, progress.accepted.get(one.ask.id)
        answer = str(taken[1].edges[0].properties["label"]) if taken else ""
        if taken or one.ask.id in progress.rejected:
            said[one.yes, answer] += 1
        kind.items.append(
            {
                "asset": about.asset,
                "sensor": about.sensor,
                "failure_mode": about.failure_mode,
                "table": "Yes" if one.yes else "No",
                "said": answer or None,
                **_end_of(one.ask, progress),
            }
        )
    unusable, failed = said[True, ""] + said[False, ""], sum(kind.failed.values())
    found = Agreement(
        hits=said[True, "Yes"],
        false=said[False, "Yes"],
        missed=said[True, "No"],
        unanswered=said[True, ""],
        unusable=unusable,
        failed=failed,
    )
    agreeable = Agreement(
        hits=sum(count for (yes, _), count in said.items() if yes),
        false=sum(count for (yes, _), count in said.items() if not yes),
        missed=0,
    )
    kind.counts = {
        "table_yes_said_yes": said[True, "Yes"],
        "table_yes_said_no": said[True, "No"],
        "table_no_said_yes": said[False, "Yes"],
        "table_no_said_no": said[False, "No"],
    }
    kind.scores = [*agreement_scores(found), *agreement_scores(agreeable, of=ALWAYS_YES)]


def _compare_lists(kind: Qualified, hidden: Sequence[Hidden], progress: Progress) -> None:
    """Each list of names beside the tables' sensors, by normal form; what is merely alike is listed and counts as different."""
    hits = false = missed = unanswered = alike = 0
    for one in hidden:
        named = _named(progress.accepted.get(one.ask.id))
        found = sorted(one.sensors.keys() & named.keys())
        open_ = sorted(one.sensors.keys() - named.keys())
        more = sorted(named.keys() - one.sensors.keys() - one.others)
        near = _alike([one.sensors[id_] for id_ in open_], [named[id_] for id_ in more])
        if one.ask.id in progress.accepted:
            hits, false, missed = hits + len(found), false + len(more), missed + len(open_)
            alike += len(near)
        elif one.ask.id in progress.rejected:
            unanswered += len(open_)
        kind.items.append(
            {
                "asset": one.ask.subject.asset,
                "found": found,
                "not_named": open_,
                "not_in_tables": more,
                "alike": near,
                **_end_of(one.ask, progress),
            }
        )
    agreed = Agreement(
        hits=hits,
        false=false,
        missed=missed,
        unanswered=unanswered,
        unusable=sum([*kind.undecided.values(), *kind.rejected.values()]),
        failed=sum(kind.failed.values()),
    )
    kind.counts = {
        "in_tables": hits + missed + unanswered,
        "named": hits + false,
        "found": hits,
        "alike": alike,
    }
    kind.scores = agreement_scores(agreed)


def _named(taken: tuple[Ask, Subgraph] | None) -> dict[str, str]:
    """The names of an accepted list, by id."""
    return {node.key.id: str(node.properties["name"]) for node in taken[1].nodes} if taken else {}


def _alike(known: Sequence[str], named: Sequence[str]) -> list[tuple[str, str, float]]:
    """(name in the tables, name in the reply, likeness in 0..100) of those that a person would look at."""
    turned = [
        (one, other, score) if one in known else (other, one, score)
        for one, other, score in near_matches([*known, *named])
    ]
    return [pair for pair in turned if pair[0] in known and pair[1] in named]


def _end_of(ask: Ask, progress: Progress) -> dict[str, object]:
    """What became of the ask, and the id under which the ledger has the reply that was taken."""
    if taken := progress.accepted.get(ask.id):
        return {"outcome": "accepted", "ask": taken[0].id}
    if reason := progress.rejected.get(ask.id):
        return {"outcome": f"rejected: {reason}", "ask": ask.id}
    kind = progress.failed.get(ask.id)
    return {"outcome": f"failed: {kind}" if kind else "not asked", "ask": ask.id}


def _pace(hidden: Sequence[Hidden], ledger: Ledger) -> float | None:
    """Seconds per written token of all these asks' replies, whenever they came; None without replies that took time."""
    tries = [ask.id for one in hidden for ask in (one.ask, second_try(one.ask))]
    replies = ledger.replies(tries).values()
    tokens = sum(reply.tokens_out for reply in replies)
    return sum(reply.seconds for reply in replies) / tokens if tokens else None
