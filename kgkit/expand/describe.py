"""Knowledge documents (KD_Base): one paragraph for each asset-sensor, asset-failure mode and linked triple.

Passage nodes with ABOUT edges to their subjects. Triples are described where the relevance is Yes; where it is
No only when asked for.
"""

from collections.abc import Iterator
from dataclasses import replace

from kgkit.expand import checks
from kgkit.expand.passage import Text, passage, without_repeats
from kgkit.expand.scope import Scope
from kgkit.graph import reading, written
from kgkit.graph.store import GraphStore
from kgkit.records import Ask, EdgeKey, NodeKey, Reply, Subgraph, Subject
from kgkit.stages import Profile, Settled, make_ask

KINDS = {
    "describe-asset-sensor": "asset_sensor",
    "describe-asset-failure-mode": "asset_failure_mode",
    "describe-asset-sensor-failure-mode": "asset_sensor_failure_mode",
}
"""Prompt -> kind of passage."""


class Describe:
    """The stage for one scope; a part of an asset has asset-sensor passages only."""

    name = "describe"

    def __init__(self, scope: Scope, profile: Profile) -> None:
        self.scope = scope
        self.held_out = scope.held_out_pattern
        self._profile = profile
        self._names: dict[str, str] = {}

    def plan(self, graph: GraphStore) -> Iterator[Ask]:
        """Asset-sensor asks, then asset-failure mode asks, then triples, each by id."""
        asset = self.scope.asset
        sensors = {
            row.id: row
            for row in reading.sensors_of(graph, self.scope.key.id, label=self.scope.label)
        }
        modes = (
            {}
            if self.scope.part
            else {row.id: row for row in reading.failure_modes_of(graph, asset)}
        )
        self._names = {f"sensor {row.id}": row.name for row in sensors.values()}
        self._names |= {f"failure mode {row.id}": row.name for row in modes.values()}
        for sensor in sensors.values():
            yield self._ask(
                "describe-asset-sensor", Subject(asset=asset, sensor=sensor.id), sensor=sensor.name
            )
        for mode in modes.values():
            subject = Subject(asset=asset, failure_mode=mode.id)
            yield self._ask(
                "describe-asset-failure-mode",
                subject,
                causes=self.scope.speakable(mode.causes),
                effects=self.scope.speakable(mode.effects),
                **self._of_mode(mode),
            )
        if self.scope.part:
            return
        for (sensor_id, mode_id), stated in sorted(reading.known_relevance(graph, asset).items()):
            relevant = stated.label == "Yes"
            if (
                sensor_id not in sensors
                or mode_id not in modes
                or not (relevant or self.scope.options.describe_no)
            ):
                continue
            yield self._ask(
                "describe-asset-sensor-failure-mode",
                Subject(asset=asset, sensor=sensor_id, failure_mode=mode_id),
                sensor=sensors[sensor_id].name,
                relevant=relevant,
                **self._of_mode(modes[mode_id]),
            )

    def _of_mode(self, mode: reading.FailureMode) -> dict[str, object]:
        return {
            "failure_mode": mode.name,
            "description": mode.description,
            "examples": self.scope.speakable(mode.examples),
        }

    def _ask(self, prompt: str, subject: Subject, **variables: object) -> Ask:
        subject = replace(subject, parent=self.scope.part_id)
        return make_ask(
            stage=self.name,
            prompt=prompt,
            variables={"asset": self.scope.name, **variables},
            subject=subject,
            profile=self._profile,
        )

    def parse(self, ask: Ask, reply: Reply) -> Subgraph:
        """The passage and what it is about."""
        subject = ask.subject
        names = {"asset": self.scope.name}
        ends = [self.scope.key]
        if subject.sensor:
            names["sensor"] = self._names[f"sensor {subject.sensor}"]
            ends.append(NodeKey(label="Sensor", id=subject.sensor))
        if subject.failure_mode:
            names["failure mode"] = self._names[f"failure mode {subject.failure_mode}"]
            ends.append(NodeKey(label="FailureMode", id=subject.failure_mode))
        text = checks.paragraph(ask, reply, self.scope, names)
        return passage(
            Text(
                kind=KINDS[ask.prompt],
                name=", ".join(names.values()),
                text=text,
                asset=subject.asset,
                part=subject.parent,
                sensor=subject.sensor,
                failure_mode=subject.failure_mode,
                about=tuple(ends),
            ),
            ask=ask,
            teacher=reply.model,
            scope=self.scope.key,
        )

    def settle(self, accepted: list[tuple[Ask, Subgraph]]) -> Settled:
        """All passages but those that repeat an earlier one."""
        return without_repeats(accepted)

    def written(self, graph: GraphStore) -> tuple[list[NodeKey], list[EdgeKey]]:
        """The knowledge documents of this scope."""
        return written.documents(graph, self.scope.asset, self.scope.part_id, KINDS.values()), []
