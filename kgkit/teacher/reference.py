"""The reference teacher: restates loaded tables of training assets. Deterministic, no weights, no network.

It is for trying the pipeline and for tests. It knows nothing but `Facts`; where these are silent it gives an
empty reply with the finish reason `no_reference`, never an invention. Its name in every record is `reference`.
"""

import json
from dataclasses import asdict

from kgkit.records import Ask, Reply, Subject, digest
from kgkit.teacher import reference_documents, reference_entities
from kgkit.teacher.facts import AssetFacts, Facts, first_upper, listed, said, sentences, ticked

NAME = "reference"
_FEW_WORDS = 12
"""Of a description, at most: more would be an echo of the prompt."""


class ReferenceTeacher:
    """Answers from Facts.

    A relevance that an asset's own table does not state is answered from the same pair on training assets
    (majority, a tie is No), and the reason says so.
    """

    name = NAME
    structured = True
    logprobs = False
    scores = False
    concurrency = 64
    silence_s = 120.0

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def identity(self, subject: Subject) -> str:
        """`reference` and a digest of the facts that an answer about `subject` rests on."""
        return f"{NAME} {digest(self._basis(subject))[:16]}"

    async def answer(self, ask: Ask) -> Reply:
        """The reply; its text is empty and its finish reason `no_reference` where the tables are silent."""
        text = self._text(ask)
        return Reply(
            ask_id=ask.id,
            model=NAME,
            text=text,
            finish_reason="stop" if text else "no_reference",
            tokens_in=0,
            tokens_out=0,
            seconds=0.0,
        )

    async def close(self) -> None:
        """Nothing to let go of."""

    def _text(self, ask: Ask) -> str:
        if ask.prompt == "describe-term":
            return _term(ask)
        asset = self._facts.assets.get(ask.subject.asset)
        if asset is None:
            return ""
        if ask.prompt in reference_documents.PROMPTS:
            return reference_documents.text(asset, ask)
        if ask.prompt in reference_entities.PROMPTS:
            return reference_entities.text(asset, ask)
        if ask.subject.parent:  # a part: no table says what it has
            return ""
        return self._of_tables(asset, ask)

    def _of_tables(self, asset: AssetFacts, ask: Ask) -> str:
        """Phase I."""
        match ask.prompt:
            case "discover-sensors":
                return (
                    json.dumps({"sensors": sorted(asset.sensors.values())}) if asset.sensors else ""
                )
            case "link-relevance":
                return self._relevance(ask.subject)
            case "describe-asset-sensor":
                return _asset_sensor(asset, ask.subject.sensor or "")
            case "describe-asset-failure-mode":
                return _asset_failure_mode(asset, ask.subject.failure_mode or "")
            case "describe-asset-sensor-failure-mode":
                return _triple(asset, ask.subject.sensor or "", ask.subject.failure_mode or "")
            case _:
                return ""

    def _basis(self, subject: Subject) -> object:
        asset = self._facts.assets.get(subject.asset)
        if asset is None:
            return None
        sensor, mode = subject.sensor, subject.failure_mode
        cells = sorted(
            (pair, ticked)
            for pair, ticked in asset.relevance.items()
            if (sensor and pair[0] == sensor) or (mode and pair[1] == mode)
        )
        modes = {id_ for (_, id_), _ in cells} | {mode}
        return [
            asset.name,
            sorted(asset.sensors.items()) if sensor is None else asset.sensors.get(sensor),
            [
                [id_, asdict(asset.failure_modes[id_])]
                for id_ in sorted(asset.failure_modes.keys() & modes)
            ],
            cells,
            self._elsewhere(subject)
            if sensor and mode and (sensor, mode) not in asset.relevance
            else None,
        ]

    def _elsewhere(self, subject: Subject) -> list[tuple[str, bool]]:
        """(asset, ticked) for the same sensor and failure mode on other training assets."""
        pair = (subject.sensor or "", subject.failure_mode or "")
        return [
            (self._facts.assets[id_].name, self._facts.assets[id_].relevance[pair])
            for id_ in sorted(self._facts.training & self._facts.assets.keys() - {subject.asset})
            if pair in self._facts.assets[id_].relevance
        ]

    def _relevance(self, subject: Subject) -> str:
        asset = self._facts.assets[subject.asset]
        pair = (subject.sensor or "", subject.failure_mode or "")
        if pair in asset.relevance:
            yes, basis = asset.relevance[pair], f"The loaded table of the {asset.name} says so."
        else:
            votes = self._elsewhere(subject)
            if not votes:
                return ""
            ticked = sum(vote for _, vote in votes)
            yes = 2 * ticked > len(votes)
            basis = f"The loaded tables tick this pair on {ticked} of {len(votes)} other assets that list it."
        return json.dumps({"answer": "Yes" if yes else "No", "reason": basis})


def _term(ask: Ask) -> str:
    """What a term is, in the prompt's own words; of a failure mode also what the tables say in a few words."""
    within, meaning = (str(ask.variables[name]) for name in ("within", "meaning"))
    meaning = meaning.rstrip(".")
    if ". " in meaning or len(meaning.split()) > _FEW_WORDS:
        meaning = ""
    return (
        f"{first_upper(str(ask.variables['term']))} is {ask.variables['kind']}{f' ({within})' if within else ''} "
        f"that the loaded tables list{f': {meaning}' if meaning else ''}."
    )


def _is_about_a_part(subject: Subject) -> bool:
    """Whether the parent is a part of the asset: of parts the tables say nothing. In Phase II it is a passage."""
    return subject.parent is not None and subject.parent.startswith(f"{subject.asset}.")


def _responding(count: int) -> str:
    return f"{count or 'none'} {'responds' if count == 1 else 'respond'}"


def _those(what: str, names: list[str]) -> str:
    """`The parameter that responds to it is a`, `Parameters that respond to it are a and b`."""
    if len(names) == 1:
        return f"The {what} that responds to it is {names[0]}."
    return f"{what.capitalize()}s that respond to it are {listed(names)}."


def _asset_sensor(asset: AssetFacts, sensor: str) -> str:
    if sensor not in asset.sensors:
        return ""
    name = asset.sensors[sensor]
    yes = ticked(asset, sensor=sensor, yes=True)
    no = ticked(asset, sensor=sensor, yes=False)
    return sentences([
        f"{first_upper(name)} is one of the parameters that the loaded tables list for "
        f"monitoring the {asset.name}.",
        f"On this equipment it helps to detect {len(yes)} of the {len(yes) + len(no)} listed failure modes: "
        f"{listed(yes)}." if yes else "The tables link it to none of the listed failure modes.",
        said("It is not listed as informative for", no),
        f"A change of {name} on the {asset.name} is therefore a reason to check for "
        f"{'these failure modes' if len(yes) > 1 else yes[0]} first." if yes else "",
    ])  # fmt: skip


def _asset_failure_mode(asset: AssetFacts, mode: str) -> str:
    if mode not in asset.failure_modes:
        return ""
    facts = asset.failure_modes[mode]
    name, description = facts.name, facts.description
    yes = ticked(asset, failure_mode=mode, yes=True)
    no = ticked(asset, failure_mode=mode, yes=False)
    return sentences([
        f"{first_upper(name)} is one of the failure modes that the loaded tables list "
        f"for the {asset.name}.",
        f"It is described as follows: {description.rstrip('.')}." if description else "",
        said("On this equipment it is seen for instance as", facts.examples),
        said("Among its causes:", facts.causes),
        said("Among its effects:", facts.effects),
        _those("parameter", yes) if yes else
        "The loaded tables do not say which of the monitored parameters respond to it.",
        said("No response is listed for", no),
    ])  # fmt: skip


def _triple(asset: AssetFacts, sensor: str, mode: str) -> str:
    if (
        (sensor, mode) not in asset.relevance
        or sensor not in asset.sensors
        or mode not in asset.failure_modes
    ):
        return ""
    facts = asset.failure_modes[mode]
    name, description, examples = facts.name, facts.description, facts.examples
    helps = asset.relevance[sensor, mode]
    others = [
        other
        for other in ticked(asset, failure_mode=mode, yes=True)
        if other != asset.sensors[sensor]
    ]
    also = [other for other in ticked(asset, sensor=sensor, yes=True) if other != name]
    verdict = "helps" if helps else "does not help"
    return sentences([
        f"On the {asset.name}, {asset.sensors[sensor]} {verdict} to detect {name}.",
        f"Of the parameters that the loaded tables list for the {asset.name}, "
        f"{_responding(len(others) + helps)} to this failure mode.",
        f"The failure mode is described as follows: {description.rstrip('.')}." if description else "",
        said("It is seen for instance as", examples),
        _those("other parameter", others) if others
        else f"No other listed parameter of the {asset.name} responds to {name}.",
        f"{first_upper(asset.sensors[sensor])} also responds to {listed(also)}, so that a change of it has to be "
        "told apart by the other parameters." if also and helps else "",
    ])  # fmt: skip
