"""A scripted teacher for entities: names what stands in the document, by a hash of the ask; and runs with it."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

from kgkit import derive, runs
from kgkit.derive import Derivation
from kgkit.expand.scope import Options
from kgkit.extend.options import ExtendOptions, Kind
from kgkit.records import Ask
from kgkit.tables import read_tables
from kgkit.teacher.asking import Event
from kgkit.teacher.budget import Budget
from tests.scripted import ScriptedTeacher
from tests.walk import matrix_file

MIXER = "Failure Mode,vibration,oil-debris\nOil leakage,x,\nbearing damage,x,x\n"
CRUSHER = "Failure Mode,vibration,speed\nbearing damage,x,\njam,,x\n"
KINDS: tuple[Kind, ...] = ("entities", "entity-centric", "interaction-centric")


class EntityTeacher(ScriptedTeacher):
    """Lists a few of the document's words as entities, some of them twice, made up or held out."""

    def _text(self, ask: Ask, draw: int) -> str:
        if ask.stage not in KINDS:
            return super()._text(ask, draw)
        words = " ".join(f"term{(draw >> shift) % 1009}" for shift in range(0, 200, 5))
        said = {key: str(value) for key, value in ask.variables.items()}
        about = ", ".join(filter(None, (said["asset"], said["sensor"], said["failure_mode"])))
        if ask.stage == "entities":
            listed = self._listed(said, random.Random(draw))
            summary = f"In short: {about} in {' '.join(words.split()[:14])}."
            return json.dumps({"summary": summary, "entities": listed})
        names = [said[key] for key in ("entity", "first", "second") if key in said]
        return f"With {about} go {' and '.join(names)} here. {words}."

    def _listed(self, said: dict[str, str], choice: random.Random) -> list[dict[str, str]]:
        kinds = ["asset", "sensor", "failure mode", "concept"]
        words = choice.sample(sorted(set(re.findall(r"word\d+", said["document"]))), 3)
        names = [said["asset"], said["sensor"], said["failure_mode"], *words, words[0].upper()]
        return [
            {"name": name, "kind": choice.choice(kinds)}
            for name in [*filter(None, names), "flux capacitor", "compressor", "7"]
        ]


def load(derivation: Derivation, tables: Path, *, mixer: str = MIXER) -> None:
    """Take the tables of two assets."""
    for name, text in (("mixer", mixer), ("crusher", CRUSHER)):
        derive.take(
            derivation,
            read_tables([matrix_file(tables, text, f"{name}.csv")]),
            layout=None,
            role="source",
            sheet=None,
            tiers=frozenset("AB"),
            starter=False,
        )
    derive.bring_up_to_date(derivation)


def expand(derivation: Derivation, teacher: ScriptedTeacher, *assets: str) -> runs.RunReport:
    scopes = runs.scopes_for(derivation, assets, Options(), all_assets=not assets)
    return runs.expand_assets(
        derivation,
        list(scopes.values()),
        teacher=teacher,
        budget=Budget(),
        on_event=lambda _: None,
    )


def extend(
    derivation: Derivation,
    teacher: ScriptedTeacher,
    *assets: str,
    kinds: tuple[Kind, ...] = KINDS,
    pairs: int | None = 2,
    max_calls: int | None = None,
    on_event: Callable[[Event], None] = lambda _: None,
) -> runs.RunReport:
    scopes = runs.scopes_for(derivation, assets, Options(), all_assets=not assets)
    return runs.extend_assets(
        derivation,
        list(scopes.values()),
        options=ExtendOptions(kinds=kinds, pairs_per_document=pairs),
        teacher=teacher,
        budget=Budget(max_calls=max_calls),
        on_event=on_event,
    )
