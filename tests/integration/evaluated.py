"""What models answered in a workspace's evaluations, as tests compare it."""

import json
from collections import defaultdict
from pathlib import Path

from kgkit.records import Ask
from kgkit.teacher.ledger import Ledger


def choices(workspace: Path, name: str) -> dict[str, list[int] | None]:
    """What the model whose results begin with `name` chose, by question id."""
    (kept,) = (workspace / "evaluations" / "fmsr").glob(f"{name}*.json")
    return {one["id"]: one["chosen"] for one in json.loads(kept.read_text())["outcomes"]}


def beliefs(workspace: Path, *, asset: str = "compressor") -> list[list[float]]:
    """How much likelier the first of two continuations is than the second, in nats, wherever all models were asked: a list for each model, in the order of asking."""
    found: dict[str, dict[object, float]] = defaultdict(dict)
    with Ledger.open(workspace / "evaluations" / "ledger.sqlite", read_only=True) as ledger:
        for ask in ledger.asks(asset=asset):
            if len(ask.continuations) == 2:
                found[ask.model][_put(ask)] = _belief(ledger, ask)
    alike = set.intersection(*map(set, found.values()))
    order = [put for put in next(iter(found.values())) if put in alike]
    return [[scores[put] for put in order] for scores in found.values()]


def _put(ask: Ask) -> object:
    return ask.messages, ask.continuations


def _belief(ledger: Ledger, ask: Ask) -> float:
    reply = ledger.reply(ask.id)
    assert reply is not None
    first, second = json.loads(reply.text)
    return float(sum(first) - sum(second))
