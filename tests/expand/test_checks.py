import json
import re

import pytest

from kgkit.expand import checks
from kgkit.expand.discover import DiscoverSensors
from kgkit.expand.link import LinkRelevance, probability_of_yes
from kgkit.expand.scope import names_pattern
from kgkit.records import Ask, Message, Reply, Sampling, Subject, TokenLogprobs
from kgkit.stages import BadReply
from tests.scopes import SCOPE

GOOD = (
    "Vibration is measured on the pump at the bearing housings. When the rotor of the pump carries an unbalance, the "
    "amplitude at running speed rises with the square of the speed, so that vibration is the first reading that an "
    "engineer looks at; a steady rise over weeks points to fouling or wear of the impeller."
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
        (f"{GOOD} {GOOD[GOOD.index('amplitude') :]}", "stop", "repetitive"),
        (f"Sure! Here is the paragraph. {GOOD}", "stop", "wrong shape"),
        (f"Here's the paragraph: {GOOD}", "stop", "wrong shape"),
        (
            f"This is a factual paragraph about the vibration of a pump. {GOOD}",
            "stop",
            "wrong shape",
        ),
        (f"# Vibration\n{GOOD}\n## Unbalance\nIt shakes.", "stop", "wrong shape"),
        ("\n".join(f"- {part}" for part in GOOD.split(". ")), "stop", "wrong shape"),
        (f"Equipment: pump\nFailure mode: unbalance\n\n{GOOD}", "stop", "wrong shape"),
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


@pytest.mark.parametrize(
    "first",
    ["The paragraph is as follows:", "Sure, I can do that. Here is the paragraph.", "Sure!"],
)
def test_a_first_line_that_only_announces_the_paragraph_is_left_out(first: str) -> None:
    said = checks.paragraph(ask(), reply(f"{first}\n\n{GOOD}"), SCOPE, NAMES)
    assert said == GOOD
    assert reason(f"{first}\nHere is another line of that kind.\n{GOOD}") == "wrong shape"


def test_a_reply_that_repeats_the_prompt_is_an_echo() -> None:
    assert reason(GOOD, user=f"Please read this. {GOOD} Go on.") == "echo"


@pytest.mark.parametrize(
    ("name", "spoken_of"),
    [
        ("external leakage process medium", False),
        ("bearing housing amplitude peak", True),
        ("vibration or noise", True),
        ("bearing condition", True),
        ("steam condition", False),
    ],
)
def test_more_than_half_of_a_long_name_must_be_said(name: str, spoken_of: bool) -> None:
    text = GOOD.replace("over weeks", "over weeks in the process medium")
    if spoken_of:
        assert checks.paragraph(ask(), reply(text), SCOPE, {"sensor": name}) == text
        return
    with pytest.raises(BadReply, match="subject missing"):
        checks.paragraph(ask(), reply(text), SCOPE, {"sensor": name})


def test_a_line_of_the_prompt_in_the_reply_is_an_echo() -> None:
    assert (
        reason(f"Equipment: pump\n\n{GOOD}", user="Fact: it is.\nEquipment: pump\nWrite.") == "echo"
    )


def test_one_line_with_a_colon_and_several_paragraphs_pass() -> None:
    text = GOOD.replace(". When", ".\n\nUnbalance: when")
    assert checks.paragraph(ask(), reply(text), SCOPE, NAMES) == " ".join(text.split())


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


@pytest.mark.parametrize(
    "text",
    ["none at all", "1. \n2. ???", "1. vibration of the casing at the drive end seen from above"],
)
def test_a_list_without_a_sensor_is_of_the_wrong_shape(text: str) -> None:
    with pytest.raises(BadReply, match="wrong shape"):
        discover(text)


@pytest.mark.parametrize(
    "name",
    [
        "Rigor: 800,600,400,400,600, 800,100,100,100",
        "Pump-A-Dot-A-Dot",
        "vibration vibration",
        "Sensor 1",
        "Sensors",
        "pump sensor",
        "Pump monitoring",
        "Electric motor transmitter",
        "compressor discharge pressure",
        "N/A",
        "none",
        "x",
        "\u4e00" * 80,
    ],
)
def test_what_names_no_sensor_is_left_out(name: str) -> None:
    schema: dict[str, object] = {"properties": {"sensors": {"items": {"maxLength": 80}}}}
    text = json.dumps({"sensors": [name, "flow", "Bearing temperature"]})
    assert discover(text, schema=schema) == ["bearing-temperature", "flow"]


@pytest.mark.parametrize(
    "name",
    [
        "pH",
        "O2 sensor",
        "Pt 100",
        "PT100 RTD",
        "1X amplitude",
        "4.4 kV voltage",
        "Vibration (10-1000 Hz, ISO 10816)",
        "drive end and non drive end vibration",
        "valve position",
        "\u632f\u52d5",
    ],
)
def test_short_technical_and_foreign_names_are_sensors(name: str) -> None:
    assert len(discover(json.dumps({"sensors": [name]}), schema={})) == 1


@pytest.mark.parametrize(
    "names",
    [
        ["Pump", "Pump-A-Dot", *["Pump-A-Dot-A-Dot"] * 3],
        ["flow", *(f"Vibration sensor {number}" for number in range(40))],
        ["800", "600", "speed"],
    ],
)
def test_a_list_that_decays_is_repetitive(names: list[str]) -> None:
    with pytest.raises(BadReply, match="repetitive"):
        discover(json.dumps({"sensors": names}), schema={})


def test_a_name_that_fills_the_list_is_debris_and_the_rest_stays() -> None:
    names = ["flow", "speed", *["machinery"] * 30]
    assert discover(json.dumps({"sensors": names}), schema={}) == ["flow", "speed"]


def test_a_list_that_circles_gives_its_names_once() -> None:
    names = ["flow", "speed", "pressure"] * 12
    assert discover(json.dumps({"sensors": names}), schema={}) == ["flow", "pressure", "speed"]


def test_a_few_counted_names_are_sensors() -> None:
    names = [f"bearing {number} temperature" for number in range(1, 5)]
    assert len(discover(json.dumps({"sensors": names}), schema={})) == 4


@pytest.mark.parametrize(
    "listed",
    [
        "1. first name\n2. second name\n3. flow",
        "1. flow\n2. first name",
        "1. 1. flow\n2. 2. second name",
        "1. flow\n2. Second name: a special name.",
    ],
)
def test_the_example_of_the_prompt_is_no_sensor(listed: str) -> None:
    user = "Answer with a numbered list only, one name per line:\n1. first name\n2. second name"
    stage = DiscoverSensors(SCOPE, _Profile(), frozenset())
    subgraph = stage.parse(ask(user), reply(listed))
    assert [node.key.id for node in subgraph.nodes] == ["flow"]


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


QUESTION = (
    "Equipment: pump\nFailure mode: unbalance\nSensor or parameter: vibration\n\nWhen this failure mode occurs on this "
    "equipment, does this sensor or parameter change in a way that helps to detect or monitor it?"
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Mechanism", "too short"),
        ("The sensor or parameter changes in a way that helps to detect or monitor it", "echo"),
        ("The failure mode is detected and monitored by the sensor or parameter.", "echo"),
        ("sensor or parameter", "echo"),
        ("The flow is blocked by debris in the strainer of the line. " * 3, "repetitive"),
        ("It rises. " + "because the rotor shakes it more " * 12 + "and the se", "repetitive"),
        ("A compressor that is fouled surges.", "other asset"),
    ],
)
def test_a_reason_that_says_nothing_is_none(given: str, expected: str) -> None:
    stage = LinkRelevance(SCOPE, _Profile())
    text = json.dumps({"answer": "Yes", "reason": given})
    with pytest.raises(BadReply) as caught:
        stage.parse(ask(QUESTION, schema={}), reply(text))
    assert caught.value.reason == expected


@pytest.mark.parametrize(("end", "fits"), [("end", False), ("ng.", True)])
def test_a_reason_that_fills_its_room_ends_with_its_sentence(end: str, fits: bool) -> None:
    schema: dict[str, object] = {"properties": {"reason": {"type": "string", "maxLength": 40}}}
    given = "Vibration rises with speed and its beari"[: 40 - len(end)] + end
    text = json.dumps({"answer": "Yes", "reason": given})
    if fits:
        assert link(text, schema) == ("Yes", given)
        return
    with pytest.raises(BadReply, match="truncated"):
        link(text, schema)


@pytest.mark.parametrize(
    "given",
    [
        "Unbalance raises the amplitude at running speed.",
        "Vibration changes because the rotor shakes.",
        "Unbalance does not alter it.",
    ],
)
def test_a_short_reason_with_a_word_of_its_own_counts(given: str) -> None:
    stage = LinkRelevance(SCOPE, _Profile())
    text = json.dumps({"answer": "Yes", "reason": given})
    (edge,) = stage.parse(ask(QUESTION, schema={}), reply(text)).edges
    assert edge.properties["reason"] == given


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
