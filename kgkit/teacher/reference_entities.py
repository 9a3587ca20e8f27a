"""The reference teacher on documents' entities: what they are, their roles, how two interact. Facts only.

All is said by way of what the document is about: of another sensor, how it answers to the document's failure mode; of
another failure mode, whether the document's sensor shows it. So an answer rests on the facts about the document's own
sensor and failure mode, and a changed cell elsewhere leaves it as it is. Where the tables are silent, so is this.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Literal

from kgkit.names import normal_form, word_forms
from kgkit.records import Ask
from kgkit.teacher.facts import AssetFacts

PROMPTS = frozenset({"entities", "entity-role", "entity-interaction"})
"""What it answers."""
_MOST = 10
_NAME_WORDS = 8
_Kind = Literal["asset", "sensor", "failure mode", "concept"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entity:
    """An entity as the tables know it; `id` is that of the sensor or failure mode."""

    name: str
    kind: _Kind
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Topic:
    """What the document is about, as the tables know it."""

    asset: AssetFacts
    sensor: str | None
    mode: str | None

    @property
    def sensor_name(self) -> str:
        return self.asset.sensors[self.sensor] if self.sensor else ""

    @property
    def mode_name(self) -> str:
        return self.asset.failure_modes[self.mode].name if self.mode else ""

    def shows(self, sensor: str | None, mode: str | None) -> bool | None:
        """What the tables say of a pair; None if nothing."""
        return self.asset.relevance.get((sensor or "", mode or ""))

    def judged(self) -> tuple[int, int]:
        """Of the pairs with the document's sensor (or, without one, its failure mode): how many are ticked, how many there are."""
        ticks = [
            ticked
            for (sensor, mode), ticked in self.asset.relevance.items()
            if (sensor == self.sensor if self.sensor else mode == self.mode)
        ]
        return sum(ticks), len(ticks)

    def sentence(self) -> str:
        """What the document is about in one sentence."""
        name = self.asset.name
        if self.sensor and self.mode:
            helps = "helps" if self.shows(self.sensor, self.mode) else "does not help"
            return f"According to the loaded tables, {self.sensor_name} {helps} to detect {self.mode_name} on the {name}."
        ticked, count = self.judged()
        if self.sensor:
            return f"{_upper(self.sensor_name)} is monitored on the {name} and responds to {ticked} of the {count} failure modes judged with it."
        if count:
            return f"{_upper(self.mode_name)} is a failure mode of the {name}, and {ticked} of the {count} parameters judged with it respond."
        return f"{_upper(self.mode_name)} is a failure mode of the {name} for which the loaded tables name no parameter."

    def summary(self) -> str:
        """The same in a sentence or two."""
        if not (self.sensor and self.mode):
            return self.sentence()
        ticked, count = self.judged()
        return f"{self.sentence()} Altogether it responds to {ticked} of the {count} failure modes judged with it."


def text(asset: AssetFacts, ask: Ask) -> str:
    """The reply to an ask about entities; empty where the tables are silent."""
    topic = _topic(asset, ask)
    if topic is None:
        return ""
    variables = ask.variables
    document = str(variables["document"])
    if ask.prompt == "entities":
        return _extraction(topic, document)
    found = [
        _known(topic, str(variables[name]), str(variables[kind]))
        for name, kind in (
            [("entity", "kind")]
            if ask.prompt == "entity-role"
            else [("first", "first_kind"), ("second", "second_kind")]
        )
    ]
    entities = [one for one in found if one is not None]
    said = [_role(topic, one) for one in entities]
    if len(entities) < len(found) or not all(said):
        return ""
    together = _weight(topic, entities[0]) if len(entities) == 1 else _together(topic, *entities)
    return " ".join([topic.sentence(), *said, together])


def _topic(asset: AssetFacts, ask: Ask) -> _Topic | None:
    """None where the document is about a part, or about what no table lists."""
    sensor, mode = ask.subject.sensor, ask.subject.failure_mode
    known = (
        ask.variables["asset"] == asset.name
        and (sensor is None or sensor in asset.sensors)
        and (mode is None or mode in asset.failure_modes)
        and (not (sensor and mode) or (sensor, mode) in asset.relevance)
    )
    return _Topic(asset=asset, sensor=sensor, mode=mode) if known and (sensor or mode) else None


def _extraction(topic: _Topic, document: str) -> str:
    entities = _entities(topic, word_forms(document))
    if len(entities) < 3:
        return ""
    listed = [{"name": one.name, "kind": one.kind} for one in entities]
    return json.dumps({"summary": topic.summary(), "entities": listed}, ensure_ascii=False)


def _entities(topic: _Topic, document: str) -> list[_Entity]:
    """The asset, sensor and failure mode, then others by turns: what stands in the document and is tied to these."""
    asset = topic.asset
    first = [_Entity(name=asset.name, kind="asset")]
    if topic.sensor:
        first.append(_Entity(name=topic.sensor_name, kind="sensor", id=topic.sensor))
    if topic.mode:
        first.append(_Entity(name=topic.mode_name, kind="failure mode", id=topic.mode))
    sensors = [
        _Entity(name=name, kind="sensor", id=id_) for id_, name in sorted(asset.sensors.items())
    ]
    modes = [
        _Entity(name=mode.name, kind="failure mode", id=id_)
        for id_, mode in sorted(asset.failure_modes.items())
    ]
    concepts = [_Entity(name=phrase, kind="concept") for phrase in sorted(_phrases(topic))]
    turns = zip_longest(
        *([one for one in some if _role(topic, one)] for some in (modes, sensors, concepts))
    )
    found: dict[str, _Entity] = {}
    for one in chain(first, *turns):
        if (
            one is not None
            and len(one.name.split()) <= _NAME_WORDS
            and word_forms(one.name) in document
        ):
            found.setdefault(word_forms(one.name), one)
    return list(found.values())[:_MOST]


def _phrases(topic: _Topic) -> Mapping[str, str]:
    """What the tables say of the document's failure mode, with how it belongs to it."""
    if not topic.mode:
        return {}
    facts = topic.asset.failure_modes[topic.mode]
    whose = {"a form": facts.examples, "a cause": facts.causes, "an effect": facts.effects}
    return {phrase: what for what, phrases in whose.items() for phrase in phrases}


def _known(topic: _Topic, name: str, kind: str) -> _Entity | None:
    """The entity of this name as the tables know it; where a name is both, its kind decides."""
    form = word_forms(name)
    asset = topic.asset
    found: list[_Entity] = []
    if form == word_forms(asset.name):
        found.append(_Entity(name=name, kind="asset"))
    for id_, sensor in sorted(asset.sensors.items()):
        if form in (word_forms(sensor), word_forms(f"{sensor} sensor")):
            found.append(_Entity(name=name, kind="sensor", id=id_))
    for id_, mode in sorted(asset.failure_modes.items()):
        if form == word_forms(mode.name):
            found.append(_Entity(name=name, kind="failure mode", id=id_))
    if any(form == word_forms(phrase) for phrase in _phrases(topic)):
        found.append(_Entity(name=name, kind="concept"))
    return next((one for one in found if one.kind == kind), found[0] if found else None)


def _role(topic: _Topic, one: _Entity) -> str:
    """How the entity is tied to what the document is about; empty if no table says."""
    name, asset = one.name, topic.asset.name
    if one.kind == "asset":
        about = " and ".join(filter(None, (topic.sensor_name, topic.mode_name)))
        return f"Here the {name} is the equipment whose condition is judged, and {about} {'are' if ' and ' in about else 'is'} looked at on it."
    if one.kind == "sensor":
        return _sensor_role(topic, one)
    if one.kind == "failure mode":
        return _mode_role(topic, one)
    what = next(
        (
            what
            for phrase, what in _phrases(topic).items()
            if normal_form(phrase) == normal_form(name)
        ),
        "",
    )
    return (
        f"The loaded tables give {name} as {what} of {topic.mode_name} on the {asset}."
        if what
        else ""
    )


def _sensor_role(topic: _Topic, one: _Entity) -> str:
    if not topic.mode:
        own = one.id == topic.sensor
        return (
            f"The role of {one.name} is that of the reading which an engineer compares over time."
            if own
            else ""
        )
    shows = topic.shows(one.id, topic.mode)
    if shows is None:
        return ""
    if one.id == topic.sensor:
        return f"The role of {one.name} is that of the reading which is put to the test against this failure mode."
    other = "a further reading that responds" if shows else "a reading without a listed response"
    return f"Beside that, {one.name} is {other} to {topic.mode_name}."


def _mode_role(topic: _Topic, one: _Entity) -> str:
    if not topic.sensor:
        own = one.id == topic.mode
        return (
            f"The role of {one.name} is that of the failure which is to be noticed in time."
            if own
            else ""
        )
    shows = topic.shows(topic.sensor, one.id)
    if shows is None:
        return ""
    if one.id == topic.mode:
        return (
            f"The role of {one.name} is that of the failure which is to be told from the readings."
        )
    other = "among the other failures that" if shows else "not among the failures that"
    return f"Beside that, {one.name} is {other} move {topic.sensor_name}."


def _weight(topic: _Topic, one: _Entity) -> str:
    """Why one entity matters there."""
    asset = topic.asset.name
    match one.kind:
        case "asset":
            return f"What is said holds for the {asset} as a class of equipment, so a single {asset} may behave otherwise."
        case "sensor":
            return f"It matters because whoever watches {one.name} on the {asset} has to know which failures it can speak for."
        case "failure mode":
            return f"It matters because whoever suspects {one.name} on the {asset} has to know which readings to look at."
        case _:
            return f"It matters because {one.name} is what an engineer can find on the {asset} itself, beside all readings."


def _together(topic: _Topic, one: _Entity, other: _Entity) -> str:
    """How two entities that both belong to the document's topic interact."""
    asset = topic.asset.name
    kinds = {one.kind: one, other.kind: other}
    both = f"{one.name} and {other.name}"
    if len(kinds) == 1:
        return _alike(topic, one, other)
    if "concept" in kinds:
        return f"So {both} meet where {topic.mode_name} is looked for on the {asset}: the one is found by inspection, the other belongs to the same judgement."
    if "asset" in kinds:
        rest = next(one for kind, one in kinds.items() if kind != "asset")
        how = "is taken" if rest.kind == "sensor" else "happens"
        return f"So the two belong together as a whole and what {how} on it: {rest.name} means nothing without the {asset} that it is listed for."
    sensor, mode = kinds["sensor"], kinds["failure mode"]
    shows = (
        topic.shows(sensor.id, mode.id)
        if topic.sensor == sensor.id or topic.mode == mode.id
        else None
    )
    if shows is None:
        return f"So {both} meet in one judgement on the {asset}, each by way of what the sentences above say of it."
    return (
        f"So {mode.name} acts on {sensor.name}, and a change of this reading on the {asset} is a reason to think of it."
        if shows
        else f"So a steady {sensor.name} clears nobody of {mode.name}, and on the {asset} the one is judged without the other."
    )


def _alike(topic: _Topic, one: _Entity, other: _Entity) -> str:
    """Two sensors by the document's failure mode, two failure modes by its sensor."""
    asset = topic.asset.name
    if one.kind == "sensor":
        ticks = [topic.shows(each.id, topic.mode) for each in (one, other)]
        if all(ticks):
            return f"So {one.name} and {other.name} confirm each other: on the {asset} both move with the same failure."
        if any(ticks):
            return f"So {one.name} and {other.name} part company: on the {asset} the one moves with this failure and the other stays."
        return (
            f"So {one.name} and {other.name} leave this failure of the {asset} to other readings."
        )
    if one.kind == "failure mode":
        ticks = [topic.shows(topic.sensor, each.id) for each in (one, other)]
        if all(ticks):
            return f"So {one.name} and {other.name} have to be told apart on the {asset} by further readings, as both move the same one."
        if any(ticks):
            return f"So {one.name} and {other.name} leave different traces on the {asset}, which tells the one from the other."
        return f"So {one.name} and {other.name} alike are left to other readings of the {asset}."
    return f"So {one.name} and {other.name} both belong to the picture of {topic.mode_name} on the {asset}."


def _upper(text_: str) -> str:
    return text_[:1].upper() + text_[1:]
