"""Generated passages that look like a teacher's documents, for every benchmark that needs a corpus of a given size.

    for id, kind, asset, text in passages(350_000, seed=1): ...

A passage is a function of (seed, its number) alone. Texts have 700 characters to 2 KB, as ALIA's; 2 in 100 repeat an earlier one with
other case and spacing, 8 in 100 repeat one with some words replaced, a sentence left out or one added, so that similarities of
0.5 to 1 occur. The others share names and turns of phrase, no more.
"""

import random
import re
from collections.abc import Iterator
from functools import cache

ASSETS = [
    "pump",
    "fan",
    "steam turbine",
    "gas turbine",
    "electric motor",
    "power transformer",
    "heat exchanger",
    "pressure vessel",
    "boiler",
    "crane",
    "winch",
    "conveyor",
    "valve",
    "gearbox",
    "centrifuge",
    "filter",
    "mixer",
    "turboexpander",
    "combustion engine",
    "switchgear",
    "battery",
    "frequency converter",
    "swivel",
    "riser",
    "pipeline",
]
SENSORS = [
    "vibration",
    "bearing temperature",
    "oil debris",
    "current",
    "voltage",
    "speed",
    "torque",
    "input power",
    "output power",
    "pressure",
    "flow",
    "noise",
    "coast down time",
    "oil pressure",
    "oil leakage",
    "resistance",
    "partial discharge",
    "axial flux",
    "cooling gas",
    "winding temperature",
    "acoustic emission",
    "discharge pressure",
    "seal pressure",
    "casing displacement",
    "fuel flow",
    "exhaust temperature",
    "drip tray level",
    "lube oil viscosity",
    "motor load",
    "phase angle",
]
MODES = [
    "bearing damage",
    "unbalance",
    "misalignment",
    "seal leakage",
    "impeller wear",
    "rotor rub",
    "fouling",
    "cavitation",
    "insulation breakdown",
    "winding fault",
    "looseness",
    "blocked inlet",
    "valve stiction",
    "cracked blade",
    "gear tooth wear",
    "eccentric rotor",
    "shaft bow",
    "overheating",
    "external leakage",
    "internal leakage",
    "low output",
    "erratic output",
    "spurious stop",
    "structural deficiency",
    "plugged line",
    "fail to start",
    "lubrication loss",
    "corrosion under insulation",
]
KINDS = ("asset_sensor", "asset_failure_mode", "asset_sensor_failure_mode")

# (a/b/c) is a choice, {m} {s} {a} the subject, {w} {x} {y} further names, {n} a figure
_SENTENCES = """
On (a/the/this) {a}, {m} (usually/often/sometimes) (begins/starts/shows first) (at/near/close to) the {x}, (long/weeks/days) before {w} is (noticed/heard/recorded) by (the crew/operators/anyone on shift).
(A/Any/Each) (change/rise/drift) of {s} (by/of) {n} (percent/units/steps) (within/over/during) {n} (hours/shifts/days) (deserves/calls for/justifies) a (closer look/second reading/comparison with {x}).
(Maintenance planners/Reliability engineers/Technicians) (compare/relate/match) {s} with {x} because {m} (alters/shifts/raises) (both/the two) in (a different/an opposite/the same) (direction/order/rhythm).
When {m} (progresses/develops/gets worse), the (energy/heat/load) that {x} (carries/takes/loses) (ends up/is found/appears) in {s}, (although/while/whereas) {w} (stays/remains/is) (steady/flat/unchanged).
(Readings/Trends/Samples) of {s} are (taken/stored/logged) every {n} (seconds/minutes/hours), and (an alarm/a warning/a work order) is (raised/issued/sent) once {n} of them (exceed/leave/pass) the (band/limit/baseline).
The (root cause/origin/reason) is (frequently/in many plants/at times) {y}, which (weakens/loads/wears) the {x} until {w} (follows/results/sets in).
(Spectra/Histories/Records) from {n} (units/sites/machines) (show/suggest/confirm) that {m} (precedes/accompanies/explains) {y} in (one case/two cases/most cases) out of {n}.
(Replacing/Realigning/Cleaning) the {x} (removes/reduces/hides) the (symptom/signature/effect), (but/yet/and) {y} (returns/comes back/persists) when {w} is (ignored/not corrected/left alone).
(It is/This makes it) (worthwhile/necessary/helpful) to (note/write down/keep) the (operating point/load/ambient temperature) with every (reading/sample/value) of {s}, since {x} (depends on/follows/reacts to) it.
(Unlike/In contrast to/Other than) {x}, {s} (responds/reacts/answers) (within/after) {n} (seconds/minutes), so (trips/alarms/limits) (can/may/should) be set (tighter/closer/lower).
(A portable/An installed/A wireless) (instrument/sensor/transmitter) for {s} (costs/weighs/draws) (little/less) than (a single/one/half a) (stop/outage/repair) caused by {y}.
(Where/If) {s} is (missing/not available/out of order), {x} and {w} (together/jointly) (give/offer/provide) a (coarse/partial/second-best) (view/picture/estimate) of {m}.
The (standard/procedure/plan) (asks for/lists/names) {n} (checks/steps/inspections), (of which/among them) the one on {x} (finds/reveals/catches) {m} (earliest/first/most often).
(Ageing/Moisture/Dust/Salt) (near/around/inside) the {x} (speeds up/promotes/worsens) {y}; (a seal/a filter/a cover) (helps/delays it/is cheap).
(Operators/Inspectors/Planners) (report/describe/know) a (dull/sharp/irregular) (sound/smell/movement) (before/when/as) {m} (trips/stops/damages) the {a}, (yet/while/and) {x} (looks/reads/seems) normal.
(Historically/Last year/In one survey), {n} of {n} (failures/stops/events) of the {a} were (attributed/traced/assigned) to {y} and (only/about) {n} to {w}.
(Limits/Thresholds/Baselines) for {s} (should/must/can) be (learned/derived/taken) from (healthy/new/overhauled) (machines/units) rather than (copied/borrowed) from a {w} (chart/table/manual).
(Because/Since/As) {x} (lags/leads/masks) {s}, a (delay/window/average) of {n} (minutes/cycles/turns) (avoids/limits/prevents) false alarms about {m}.
(Early/Late/Repeated) {y} (leaves/produces/prints) a (mark/trace/pattern) on {x} that {s} (picks up/registers/amplifies) at (low/high/part) load.
A (spare/standby/second) {a} (changes/lowers/removes) the (urgency/risk/cost) of {m}, (not/but not/though not) the (need/case/reason) for (watching/trending/recording) {s}.
""".strip().split("\n")
_CHOICE = re.compile(r"\(([^()]+)\)|\{(\w)\}")
_EXTRA = (
    "Written down after the last review of the plan, this note adds nothing on the subject itself."
)


@cache
def _parts(number: int) -> tuple[str | list[str], ...]:
    """A sentence as texts (str), choices (list) and slots (list of one `{x}`)."""
    parts: list[str | list[str]] = []
    end = 0
    for found in _CHOICE.finditer(_SENTENCES[number]):
        parts.append(_SENTENCES[number][end : found.start()])
        parts.append(found[1].split("/") if found[1] else ["{" + found[2]])
        end = found.end()
    return (*parts, _SENTENCES[number][end:])


def _original(seed: int, number: int) -> tuple[str, str, str]:
    """(kind, asset, text) of a passage that repeats no other one."""
    rng = random.Random(f"{seed}/{number}")
    pick = rng.random
    asset, sensor, mode = rng.choice(ASSETS), rng.choice(SENSORS), rng.choice(MODES)
    slots = {"a": (asset,), "s": (sensor,), "m": (mode,), "w": MODES, "x": SENSORS, "y": MODES}
    out = []
    for place in rng.sample(range(len(_SENTENCES)), rng.randint(6, 18)):
        for part in _parts(place):
            if isinstance(part, str):
                out.append(part)
            elif part[0] == "{n":
                out.append(str(int(pick() * 97) + 2))
            elif part[0][0] == "{":
                names = slots[part[0][1]]
                out.append(names[int(pick() * len(names))])
            else:
                out.append(part[int(pick() * len(part))])
        out.append(" ")
    return rng.choice(KINDS), asset, "".join(out).strip()


def passages(n: int, seed: int) -> Iterator[tuple[str, str, str, str]]:
    """`n` passages as (id, kind, asset, text)."""
    for number in range(n):
        rng = random.Random(f"{seed}/{number}/copy")
        copy = rng.random() < 0.10 and number > 0
        kind, asset, text = _original(seed, rng.randrange(number) if copy else number)
        if copy:
            text = _edited(text, rng)
        yield f"p{number:07d}", kind, asset, text


def _edited(text: str, rng: random.Random) -> str:
    how = rng.random()
    if how < 0.2:
        return text.upper() if how < 0.02 else text.replace(". ", ".  ")
    words = text.split(" ")
    for _ in range(rng.randint(0, 6)):
        words[rng.randrange(len(words))] = rng.choice(
            ("however", "thus", "indeed", "rather", "again")
        )
    text = " ".join(words)
    if how < 0.4:
        return f"{text} {_EXTRA}"
    if how < 0.6:
        return text[: text.rindex(". ", 0, -1) + 1] if ". " in text[:-1] else text
    return text
