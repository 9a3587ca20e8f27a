import re

import pytest

from kgkit.expand import checks
from kgkit.expand.discover import DiscoverSensors
from kgkit.expand.link import LinkRelevance, probability_of_yes
from kgkit.expand.scope import Options, Scope, names_pattern
from kgkit.records import Ask, Message, Reply, Sampling, Subject, TokenLogprobs
from kgkit.stages import BadReply

GOOD = (
    "Vibration is measured on the pump at the bearing housings. When the rotor of the pump carries an unbalance, the "
    "amplitude at running speed rises with the square of the speed, so that vibration is the first reading that an "
    "engineer looks at; a steady rise over weeks points to fouling or wear of the impeller."
)
SCOPE = Scope(
    asset="pump",
    name="pump",
    category="rotating equipment",
    part=None,
    options=Options(),
    own_pattern=names_pattern(["Pumps"]),
    asset_pattern=names_pattern(["Pumps", "Electric motors", "Valves"]),
    held_out_pattern=names_pattern(["Compressors"]),
)
NAMES = {"asset": "pump", "sensor": "vibration", "failure mode": "unbalance"}


def ask(user: str = "Write about the pump.", schema: dict[str, object] | None = None) -> Ask:
    return Ask(
        stage="s",
        prompt="p",
        prompt_version="1",
        messages=(Message(role="system", content=""), Message(role="user", content=user)),
        schema=schema,
        sampling=Sampling(temperature=0.0, max_tokens=9),
        model="m",
        subject=Subject(asset="pump", sensor="vibration", failure_mode="unbalance"),
    )


def reply(
    text: str, finish_reason: str = "stop", logprobs: tuple[TokenLogprobs, ...] = ()
) -> Reply:
    return Reply(
        ask_id="",
        model="m",
        text=text,
        finish_reason=finish_reason,
        tokens_in=1,
        tokens_out=1,
        seconds=0.0,
        logprobs=logprobs,
    )


def reason(text: str, finish_reason: str = "stop", user: str = "Write about the pump.") -> str:
    with pytest.raises(BadReply) as caught:
        checks.paragraph(ask(user), reply(text, finish_reason), SCOPE, NAMES)
    return caught.value.reason


def test_a_good_paragraph_passes_as_it_is() -> None:
    assert checks.paragraph(ask(), reply(f"  {GOOD}\n"), SCOPE, NAMES) == GOOD


@pytest.mark.parametrize(
    ("text", "finish_reason", "expected"),
    [
        ("", "stop", "empty"),
        (" \n", "stop", "empty"),
        ("", "no_reference", "no reference"),
        (GOOD, "length", "truncated"),
        (GOOD, "content_filter", "truncated"),
        ("I'm sorry, but I cannot help with the pump.", "stop", "refusal"),
        ("As an AI language model, I do not know pumps.", "stop", "refusal"),
        ("The pump vibrates.", "stop", "too short"),
        ("The pump vibration shows unbalance now. " * 12, "stop", "repetitive"),
        (GOOD.replace("unbalance", "fault"), "stop", "subject missing"),
        (GOOD.replace("pump", "machine"), "stop", "subject missing"),
        (f"{GOOD} Compressors behave alike.", "stop", "other asset"),
        (
            f"{GOOD} {'An electric motor drives it. ' * 3}".replace("drives it", "turns, too"),
            "stop",
            "other asset",
        ),
    ],
)
def test_what_is_not_acceptable_has_a_reason(text: str, finish_reason: str, expected: str) -> None:
    assert reason(text, finish_reason) == expected


def test_a_reply_that_repeats_the_prompt_is_an_echo() -> None:
    assert reason(GOOD, user=f"Please read this. {GOOD} Go on.") == "echo"


def test_another_asset_may_be_named_in_passing() -> None:
    text = f"{GOOD} The electric motor that drives it is not affected."
    assert checks.paragraph(ask(), reply(text), SCOPE, NAMES) == text


class _Profile:
    name = "m"
    structured = False
    logprobs = False

    def identity(self, subject: Subject) -> str:
        return "m"


def discover(text: str, schema: dict[str, object] | None = None) -> list[str]:
    stage = DiscoverSensors(SCOPE, _Profile(), frozenset({"electric-motor", "pump"}))
    subgraph = stage.parse(ask(schema=schema), reply(text))
    assert len(subgraph.nodes) == len(subgraph.edges)
    return [str(edge.key.end.id) for edge in subgraph.edges]


@pytest.mark.parametrize(
    "text",
    [
        "1. Vibration sensor\n2. Temp. sensor\n3. vibration sensors",
        "Sure! Here they are:\n\n1) **Vibration sensor**: measures shaking\n2) Temperature sensor - for heat\n",
        "- vibration\n* temperature\n",
    ],
)
def test_lists_of_any_style_give_the_same_sensors(text: str) -> None:
    assert discover(text) == ["temperature", "vibration"]


def test_a_schema_reply_gives_sensors_and_equipment_is_noted_not_taken() -> None:
    stage = DiscoverSensors(SCOPE, _Profile(), frozenset({"electric-motor", "pump"}))
    subgraph = stage.parse(
        ask(schema={}), reply('{"sensors": ["Speed", "Electric motors", "", "?"]}')
    )
    assert [node.key.id for node in subgraph.nodes] == ["speed"]
    assert stage.linked == {"electric-motor"}


@pytest.mark.parametrize("text", ["none at all", "1. \n2. ???", "1. " + "very long name " * 9])
def test_a_list_without_a_sensor_is_of_the_wrong_shape(text: str) -> None:
    with pytest.raises(BadReply, match="wrong shape"):
        discover(text)


@pytest.mark.parametrize("text", ["[]", '{"sensors": "x"}', '{"sensors": [1]}', "{", "{}"])
def test_json_that_is_no_list_of_names_is_of_the_wrong_shape(text: str) -> None:
    with pytest.raises(BadReply, match="wrong shape"):
        discover(text, schema={})


def link(text: str, schema: dict[str, object] | None = None) -> tuple[object, object]:
    stage = LinkRelevance(SCOPE, _Profile())
    (edge,) = stage.parse(ask(schema=schema), reply(text)).edges
    return edge.properties["label"], edge.properties["reason"]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Yes\nThe rotor shakes at speed.", "Yes"),
        ("**No.**\n\nIt does not change at all.", "No"),
        ("yes, because the rotor shakes", "Yes"),
        ("NO - nothing changes in it", "No"),
    ],
)
def test_the_first_word_decides(text: str, label: str) -> None:
    assert link(text)[0] == label


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Maybe\nIt depends.", "wrong shape"),
        ("Yes", "too short"),
        ("Nothing changes here.", "wrong shape"),
    ],
)
def test_an_answer_that_is_none_is_rejected(text: str, expected: str) -> None:
    with pytest.raises(BadReply) as caught:
        link(text)
    assert caught.value.reason == expected


def test_the_probability_is_read_where_the_answer_stands() -> None:
    tokens = (
        TokenLogprobs(token='{"', top=(('{"', -0.1),)),
        TokenLogprobs(token="Yes", top=(("Yes", -0.2231435), ("No", -1.6094379), ("yes", -9.0))),
    )
    assert probability_of_yes(reply("", logprobs=tokens)) == pytest.approx(0.8, abs=1e-3)
    assert probability_of_yes(reply("")) is None


def test_a_pattern_of_no_names_finds_nothing() -> None:
    assert names_pattern([]).search("anything") is None
    assert re.search(names_pattern(["x-mas (tree)"]), "the X-mas (tree) leaks") is not None
