"""A scripted teacher of every kind of Phase I and II, and runs of it on a small plant in any store."""

import random
from pathlib import Path

from kgkit import derive, runs
from kgkit.derive import Derivation
from kgkit.expand.scope import Options
from kgkit.extend.options import KINDS, ExtendOptions, Kind
from kgkit.graph.store import GraphStore
from kgkit.records import Ask
from kgkit.splits import read_split
from kgkit.tables import read_tables
from kgkit.teacher.budget import Budget
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.protocol import Teacher
from kgkit.workspace import Workspace
from tests.extend_replies import reply_to
from tests.scripted import ScriptedTeacher
from tests.walk import matrix_file

PUMP = "Failure Mode,vibration,oil debris\nbearing damage,x,x\nunbalance,x,\n"
FAN = "Failure Mode,vibration,speed\nbearing damage,x,\nrotor fouled,,x\n"
_SYLLABLES = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ka",
    "le",
    "mi",
    "no",
    "pu",
    "ra",
    "se",
    "ti",
    "vo",
    "zu",
]


class EveryKindTeacher(ScriptedTeacher):
    """Says what a hash of the ask says, in a form that every kind takes, nearly always."""

    def _text(self, ask: Ask, draw: int) -> str:
        choice = random.Random(draw)

        def words(count: int) -> str:
            said = ("".join(choice.choices(_SYLLABLES, k=3)) for _ in range(count))
            return f"{' '.join(said).capitalize()}."

        said = reply_to(ask.messages[-1].content, choice, words)
        if said is not None:
            return said
        if ask.stage != "describe":
            return super()._text(ask, draw)
        return f"{super()._text(ask, draw).partition(' word')[0]} {words(60)}"


def derivation_on(graph: GraphStore, root: Path) -> Derivation:
    """A workspace in `root` whose graph is `graph`."""
    workspace = Workspace(root)
    workspace.create()
    ledger = Ledger.open(workspace.ledger)
    return Derivation(workspace=workspace, ledger=ledger, graph=graph, split=read_split("default"))


def load(derivation: Derivation, *paths: Path, layout: str | None = None) -> derive.Changes | None:
    """Load tables as `kgkit load` does."""
    derive.take(
        derivation,
        read_tables(paths, layout=layout),
        layout=layout,
        role="source",
        sheet=None,
        tiers=frozenset("AB"),
        starter=False,
    )
    return derive.bring_up_to_date(derivation)


def load_plant(derivation: Derivation, folder: Path) -> None:
    """The tables of a pump and a fan."""
    folder.mkdir(exist_ok=True)
    load(derivation, matrix_file(folder, PUMP, "pump.csv"), matrix_file(folder, FAN, "fan.csv"))


def expand(derivation: Derivation, teacher: Teacher, *assets: str) -> runs.RunReport:
    """Phase I of these assets, of all if none is named."""
    scopes = runs.scopes_for(derivation, assets, Options(), all_assets=not assets)
    return runs.expand_assets(
        derivation,
        list(scopes.values()),
        teacher=teacher,
        budget=Budget(),
        on_event=lambda _: None,
    )


def extend(
    derivation: Derivation, teacher: Teacher, *assets: str, kinds: tuple[Kind, ...] = KINDS
) -> runs.RunReport:
    """Phase II of these assets, of all if none is named; two pairs of entities for each document."""
    scopes = runs.scopes_for(derivation, assets, Options(), all_assets=not assets)
    return runs.extend_assets(
        derivation,
        list(scopes.values()),
        options=ExtendOptions(kinds=kinds, pairs_per_document=2),
        teacher=teacher,
        budget=Budget(),
        on_event=lambda _: None,
    )
