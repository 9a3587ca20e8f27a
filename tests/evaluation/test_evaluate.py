"""`kgkit evaluate`: rules score what arithmetic says, models are asked once, and what would be no measurement is refused."""

import json
import math
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kgkit import lock
from kgkit.evaluation.answering import answer_all, planned_asks
from kgkit.evaluation.asks import Way, asks_of, outcome_of, shown
from kgkit.evaluation.models import Model
from kgkit.evaluation.pose import pose
from kgkit.evaluation.variants import PLAIN, shifted, variants, with_spares
from kgkit.questions.baselines import Rates, answer, chance, seen
from kgkit.questions.facts import Fact
from kgkit.questions.files import write_jsonl
from kgkit.questions.wording import read_wording
from kgkit.records import Ask, Failure, Question, Reply
from kgkit.settings import read_settings
from kgkit.teacher.budget import Budget
from kgkit.teacher.ledger import Ledger
from kgkit.teacher.local_embedding import encoder
from kgkit.teacher.pull import pull
from tests.conftest import Open
from tests.fault_server import FaultServer
from tests.integration.models import tiny_model
from tests.walk import kgkit

WORDING = read_wording("en")


@pytest.fixture(autouse=True)
def _no_encoder(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Whether this machine has MiniLM must not matter; the tests that want it say so."""
    if "local" not in request.keywords:
        monkeypatch.setattr("kgkit.teacher.local_embedding.encoder", lambda _: None)


def question(**changed: object) -> Question:
    values: dict[str, object] = {
        "id": "q1",
        "benchmark": "b",
        "relation": "relevance",
        "direction": "failure-mode-to-sensors",
        "polarity": "select",
        "type": "single",
        "asset": "pump",
        "family": "pumps",
        "discipline": "Rotating equipment",
        "language": "en",
        "asset_name": "pump",
        "subject": "unbalance",
        "stem": "Which one shows unbalance?",
        "paraphrases": ("What shows unbalance?",),
        "options": ("vibration", "pressure", "speed"),
        "correct": (True, False, False),
        "facts": (("unbalance", "vibration"), ("unbalance", "pressure"), ("unbalance", "speed")),
        "proof": "",
        "option_ids": ("vibration", "pressure", "speed"),
        "spares": ("oil debris",),
        "sources": (),
        "hard": False,
    }
    return Question(**(values | changed))  # type: ignore[arg-type]


def way(mode: str = "logprob", by: str = "letters", examples: tuple[Question, ...] = ()) -> Way:
    return Way(mode=mode, by=by, examples=examples, wording=WORDING)  # type: ignore[arg-type]


def replied(ask: Ask, text: str) -> Reply:
    return Reply(
        ask_id=ask.id,
        model="m",
        text=text,
        finish_reason="stop",
        tokens_in=1,
        tokens_out=0,
        seconds=0,
    )


def scores(found: Any, model: str, slice_: str = "") -> Any:
    (one,) = [
        score
        for score in found["scores"]
        if score["model"] == model and score["slice"] == slice_ and score["metric"] == "exact match"
    ]
    return one


def test_rules_score_exactly_what_arithmetic_says(starter: Path, open_workspace: Open) -> None:
    rules = ("reference", "first", "longest", "majority", "chance")
    found = kgkit(
        "evaluate",
        "fmsr",
        *(word for rule in rules for word in ("--model", rule)),
        "--json",
        workspace=starter,
    ).json
    derivation = open_workspace(starter)
    posed = pose("fmsr", graph=derivation.graph, split=derivation.split)
    first = sum(one.correct[0] for one in posed.questions)
    places = Counter((len(one.options), one.correct.index(True)) for one in posed.questions)
    majority = sum(
        max(places[size, at] for at in range(size)) for size in {size for size, _ in places}
    )
    assert scores(found, "reference")["value"] == 1.0
    assert scores(found, "first")["value"] == first / 480
    assert scores(found, "majority")["value"] == majority / 480
    expected = sum(map(chance, posed.questions)) / 480
    assert abs(scores(found, "chance")["value"] - expected) < 0.08
    assert found["verdicts"]["reference"]["all questions"]["beats"] == "token kernel"
    assert found["verdicts"]["chance"]["all questions"]["beats"] is None


def test_the_table_slices_by_what_training_could_have_seen(starter: Path) -> None:
    found = kgkit(
        "evaluate", "fmsr", "--plain", "--model", "reference", "--json", workspace=starter
    ).json
    parts = [scores(found, "reference", f"seen={name}")["n"] for name in ("all", "some", "none")]
    assert sum(parts) == 480
    assert all(parts)
    lookup = [scores(found, "pair lookup", f"seen={name}")["value"] for name in ("all", "none")]
    popular = scores(found, "popularity", "seen=none")["value"]
    assert lookup[1] == popular, "where no pair was seen, looking it up is popularity"
    assert lookup[0] > lookup[1]


def test_what_is_kept_is_compared_later_and_only_for_the_same_questions(starter: Path) -> None:
    kgkit("evaluate", "fmsr", "--plain", "--model", "reference", workspace=starter)
    kgkit("evaluate", "fmsr", "--plain", "--model", "first", "--limit", "50", workspace=starter)
    found = kgkit(
        "evaluate",
        "fmsr",
        "--plain",
        "--model",
        "longest",
        "--compare",
        "--json",
        workspace=starter,
    ).json
    assert {one["model"] for one in found["scores"]} >= {"reference", "longest", "popularity"}
    assert "first" not in {one["model"] for one in found["scores"]}
    assert any(remark.startswith("reference against longest: +") for remark in found["remarks"])
    table = (starter / "evaluations" / "fmsr" / "table.md").read_text()
    assert "| reference | 1.000 [0.992, 1.000]" in table


def test_every_family_in_turn_counts_all_others_as_training(starter: Path) -> None:
    found = kgkit(
        "evaluate",
        "fmsr",
        "--each-family",
        "--plain",
        "--model",
        "reference",
        "--json",
        workspace=starter,
    ).json
    assets = {one["slice"] for one in found["scores"] if one["slice"].startswith("asset=")}
    assert len(assets) == 10
    assert scores(found, "reference")["value"] == 1.0


def test_one_family_can_be_held_out_and_an_unknown_one_is_named(starter: Path) -> None:
    found = kgkit(
        "evaluate",
        "fmsr",
        "--holdout",
        "pumps",
        "--model",
        "reference",
        "--json",
        workspace=starter,
    ).json
    assert {one["slice"] for one in found["scores"] if one["slice"].startswith("asset=")} == {
        "asset=pump"
    }
    said = kgkit("evaluate", "fmsr", "--holdout", "toasters", workspace=starter, code=2).err
    assert "toasters" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fmsrr",), "there is no benchmark fmsrr"),
        (("fmsr", "--model", "gpt"), "--model gpt is unknown"),
        (("nothing.jsonl",), "no such file"),
    ],
)
def test_what_does_not_exist_is_refused_in_one_line(
    starter: Path, arguments: tuple[str, ...], said: str
) -> None:
    err = kgkit("evaluate", *arguments, workspace=starter, code=2).err
    assert said in err
    assert len(err.strip().splitlines()) == 1


def trained(path: Path, *, families: list[str], protocol: str = "transfer") -> str:
    """A tiny model with a card that says what it learned from."""
    tiny_model(path)
    learned = {"protocol": protocol, "families": families, "corpora": ["kd_qa"]}
    (path / "kgkit-run.yaml").write_text(json.dumps({"trained_on": learned}))
    return f"local:{path}"


@pytest.mark.local
def test_a_model_that_has_learned_from_the_questions_families_is_refused(
    starter: Path, tmp_path: Path
) -> None:
    uri = trained(tmp_path / "m", families=["compressors", "pumps"])
    said = kgkit("evaluate", "fmsr", "--plain", "--model", uri, workspace=starter, code=2).err
    assert "has learned from compressors" in said
    assert "--allow-contaminated" in said


def test_results_of_two_protocols_stand_in_no_table(starter: Path) -> None:
    kgkit("evaluate", "fmsr", "--plain", "--model", "first", workspace=starter)
    (kept,) = (starter / "evaluations" / "fmsr").glob("first-*.json")
    base = json.loads(kept.read_text())
    for number, protocol in enumerate(("alia", "transfer")):
        learned = {"protocol": protocol, "families": [], "corpora": []}
        changed = base | {
            "model": f"m{number}",
            "identity": f"m{number}",
            "protocol": protocol,
            "trained_on": learned,
        }
        (kept.parent / f"m-{number}.json").write_text(json.dumps(changed))
    said = kgkit("evaluate", "fmsr", "--compare", workspace=starter, code=2).err
    assert "different protocols (alia, transfer)" in said


def test_a_server_is_asked_once_and_scores_come_back(starter: Path) -> None:
    """The stub's shorter letters are as likely as each other: the first wins, in every variant."""
    with FaultServer() as server:
        line = ("evaluate", "fmsr", "--model", server.url, "--limit", "5", "--json")
        found = kgkit(*line, workspace=starter).json
        calls = len(server.calls)
        again = kgkit(*line, workspace=starter).json
        assert len(server.calls) == calls
    assert found == again
    (model,) = {one["model"] for one in found["scores"]} - {
        "popularity",
        "pair lookup",
        "token kernel",
    }
    assert scores(found, model)["n"] == 5


def test_a_budget_stops_cleanly_and_the_same_command_goes_on(starter: Path) -> None:
    with FaultServer() as server:
        line = (
            "evaluate",
            "fmsr",
            "--model",
            server.url,
            "--limit",
            "6",
            "--plain",
            "--mode",
            "generate",
        )
        first = kgkit(*line, "--max-calls", "2", "--json", workspace=starter, code=5).json
        assert any("4 questions not asked (budget)" in remark for remark in first["remarks"])
        kgkit(*line, workspace=starter, code=0)


def test_an_interrupt_ends_the_command_not_one_model(
    starter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    line = ("evaluate", "fmsr", "--limit", "40", "--plain", "--mode", "generate")
    with FaultServer() as one, FaultServer() as other:
        models = ("--model", one.url, "--model", other.url)
        with monkeypatch.context() as patched:
            patched.setattr("kgkit.cli.progress.Tally.take", stop)
            said = kgkit(*line, *models, workspace=starter, code=130).err
        assert "interrupted: run the same command again" in said
        assert one.calls
        assert not other.calls


@pytest.mark.parametrize(
    "command", [("evaluate", "fmsr", "--model", "first"), ("teacher", "qualify")]
)
def test_two_at_once_do_not_ask_the_same_twice(starter: Path, command: tuple[str, ...]) -> None:
    with lock.hold(starter / "evaluations" / "evaluations.lock"):
        said = kgkit(*command, workspace=starter, code=1).err
    assert "is in use by process" in said


def test_a_server_without_log_probabilities_is_told_to_write(starter: Path) -> None:
    with FaultServer() as server:
        server.behaviour.logprobs = False
        said = kgkit(
            "evaluate", "fmsr", "--plain", "--model", server.url, workspace=starter, code=2
        ).err
    assert "add --mode generate" in said


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("general", "--by", "unnamed-statements"), "score them --by options"),
        (("fmsr", "--by", "statements", "--mode", "generate"), "leave one of them out"),
        (("general", "--by", "minimal-pairs"), "score them --by options"),
        (("fmsr", "--by", "minimal-pairs", "--shots", "2"), "leave --shots out"),
        (("fmsr-mix", "--by", "minimal-pairs"), "not every question of fmsr-mix has one right"),
    ],
)
def test_a_way_that_is_none_for_the_questions_is_refused(
    starter: Path, line: tuple[str, ...], told: str
) -> None:
    said = kgkit("evaluate", *line, "--model", "first", workspace=starter, code=2).err
    assert told in said


def test_a_file_of_questions_is_a_benchmark(starter: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    write_jsonl([question(), question(id="q2", correct=(False, True, False))], path)
    found = kgkit("evaluate", path, "--model", "first", "--plain", "--json", workspace=starter).json
    assert scores(found, "first")["value"] == 0.5


# --- asks and variants ----------------------------------------------------------------------------


def test_letters_are_scored_after_one_prompt_and_options_by_their_length() -> None:
    one = question()
    (ask,) = asks_of(one, way(), identity=lambda _: "m")
    assert ask.continuations == (" A", " B", " C")
    assert ask.messages[-1].content == "Answer:"
    assert shown(one, WORDING) in ask.messages[0].content
    (ask,) = asks_of(one, way(by="options"), identity=lambda _: "m")
    assert ask.continuations == (" vibration", " pressure", " speed")
    assert "A. vibration" not in ask.messages[0].content
    reply = replied(ask, "[[-8.9], [-8.1, -0.8], [-5.1]]")
    assert outcome_of(one, [reply], way()).chosen == frozenset({2})
    assert outcome_of(one, [reply], way(by="options")).chosen == frozenset({0})


def test_several_right_options_are_asked_about_one_by_one() -> None:
    one = question(type="multiple", correct=(True, True, False))
    asks = asks_of(one, way(), identity=lambda _: "m")
    assert [ask.continuations for ask in asks] == [(" Yes", " No")] * 3
    texts = ("[[-1.0], [-2.0]]", "[[-3.0], [-2.0]]", "[[-0.5], [-2.0]]")
    replies = [replied(ask, text) for ask, text in zip(asks, texts, strict=True)]
    assert outcome_of(one, replies, way()).chosen == frozenset({0, 2})
    nothing = [replies[1]] * 3
    assert outcome_of(one, nothing, way()).undecided == "none of them"


@pytest.mark.parametrize(
    ("polarity", "type_", "chosen"),
    [
        ("select", "single", {0}),
        ("eliminate", "single", {1}),
        ("select", "multiple", {0, 2}),
        ("eliminate", "multiple", {1}),
    ],
)
def test_an_option_is_chosen_by_how_far_its_statement_is_believed(
    polarity: str, type_: str, chosen: set[int]
) -> None:
    names = {"asset": "pump", "subject": "unbalance"}
    stem, other, *_ = WORDING.render("failure-mode-to-sensors", polarity, type_, names)  # type: ignore[arg-type]
    put = way(by="statements")
    one = question(polarity=polarity, type=type_, stem=stem, paraphrases=(other,))
    asks = asks_of(one, put, identity=lambda _: "m")
    assert [ask.continuations for ask in asks] == [(" True", " False")] * 3
    assert [ask.messages[0].content for ask in asks] == [
        f'On the pump, the sensor or parameter "{option}" is relevant to detecting the failure mode "unbalance".\n'
        for option in one.options
    ]
    texts = ("[[-0.1], [-2.0]]", "[[-3.0], [-0.5]]", "[[-0.6], [-0.7]]")
    replies = [replied(ask, text) for ask, text in zip(asks, texts, strict=True)]
    assert outcome_of(one, replies, put).chosen == frozenset(chosen)
    (first, *_) = asks_of(replace(one, stem=other), put, identity=lambda _: "m")
    assert first.messages[0].content.startswith("Equipment: pump. Failure mode: unbalance.")


def test_an_unnamed_statement_says_it_of_any_machine() -> None:
    named, unnamed = (
        asks_of(question(subject="pump noise"), way(by=by), identity=lambda _: "m")
        for by in ("statements", "unnamed-statements")
    )
    put = [[ask.messages[0].content for ask in asks] for asks in (named, unnamed)]
    assert all(one.startswith("On the pump, ") for one in put[0])
    assert put[1] == [one.replace("On the pump", "On the machine") for one in put[0]]
    assert len({ask.id for ask in (*named, *unnamed)}) == 6


@pytest.mark.parametrize(("polarity", "chosen"), [("select", {2}), ("eliminate", {1})])
def test_a_sentence_is_believed_by_how_much_likelier_it_is_than_its_denial(
    polarity: str, chosen: set[int]
) -> None:
    put = way(by="minimal-pairs")
    one = question(polarity=polarity)
    asks = asks_of(one, put, identity=lambda _: "m")
    assert [(ask.messages, ask.continuations) for ask in asks] == [
        ((), (f"On the pump, {option} helps to detect unbalance.", f"On the pump, {option} does not help to detect unbalance."))
        for option in one.options
    ]  # fmt: skip
    texts = ("[[-9.0, -0.5], [-9.0, -1.0]]", "[[-1.0, -0.6], [-1.0, -0.5]]", "[[-7.0, -1.0], [-7.0, -4.0]]")  # fmt: skip
    replies = [replied(ask, text) for ask, text in zip(asks, texts, strict=True)]
    assert outcome_of(one, replies, put).chosen == frozenset(chosen)


@pytest.mark.local
@pytest.mark.parametrize(("by", "shots"), [("letters", 5), ("minimal-pairs", 0)])
def test_a_base_model_sees_examples_but_before_sentences_that_stand_alone(
    starter: Path, tmp_path: Path, by: str, shots: int
) -> None:
    base = tiny_model(tmp_path / "base", context=4096)
    line = ("evaluate", "fmsr", "--plain", "--limit", "4", "--model", f"local:{base}", "--by", by)
    kgkit(*line, workspace=starter)
    (kept,) = (starter / "evaluations" / "fmsr").glob("local*.json")
    said = json.loads(kept.read_text())
    assert (said["by"], said["shots"]) == (by, shots)
    assert not any(one["error"] for one in said["outcomes"])


def test_a_statement_is_put_as_it_stands_and_a_solved_one_with_its_verdict() -> None:
    said = 'On the pump, "vibration" is not relevant to "unbalance".'
    one = question(
        type="true-false", polarity="eliminate", stem=said, paraphrases=(), options=("True", "False"),
        correct=(False, True), option_ids=("true", "false"), spares=(),
    )  # fmt: skip
    put = way(by="statements", examples=(one,))
    (ask,) = asks_of(one, put, identity=lambda _: "m")
    assert [message.content for message in ask.messages] == [f"{said}\n", "Answer: False", f"{said}\n", "Answer:"]  # fmt: skip
    assert outcome_of(one, [replied(ask, "[[-3.0], [-0.5]]")], put).chosen == frozenset({1})


def test_weights_that_give_no_numbers_answer_nothing() -> None:
    (ask,) = asks_of(question(), way(), identity=lambda _: "m")
    outcome = outcome_of(question(), [replied(ask, "[[NaN], [NaN], [NaN]]")], way())
    assert (outcome.chosen, outcome.undecided, outcome.error) == (None, "", "no number")


def test_what_failed_is_an_error_and_not_undecided() -> None:
    failure = Failure(ask_id="a", kind="timeout", message="late")
    outcome = outcome_of(question(), [failure], way())
    assert (outcome.chosen, outcome.undecided, outcome.error) == (None, "", "timeout")


def test_solved_examples_come_before_with_their_answers() -> None:
    example = question(id="e", stem="Which one shows leakage?", correct=(False, False, True))
    (ask,) = asks_of(question(), way(examples=(example,)), identity=lambda _: "m")
    said = [message.content for message in ask.messages]
    assert "leakage" in said[0]
    assert said[1] == "Answer: C"
    assert "unbalance" in said[2]


def test_variants_keep_the_key() -> None:
    one = question()
    found = dict(variants(one))
    assert list(found) == [PLAIN, "shift 1", "shift 2", "wording 1", "other wrong options"]
    for variant in found.values():
        right = [
            option
            for option, correct in zip(variant.options, variant.correct, strict=True)
            if correct
        ]
        assert right == ["vibration"]
    assert shifted(one, 1).options == ("speed", "vibration", "pressure")
    assert shifted(one, 1).facts[0] == ("unbalance", "speed")
    assert with_spares(one).options == ("vibration", "oil debris", "speed")


def test_only_who_is_right_in_all_variants_holds(tmp_path: Path) -> None:
    model = Model(name="by name", chooses=lambda one: frozenset({one.options.index("vibration")}))
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        knows = answer_all(
            model,
            [question()],
            way(),
            robust=True,
            ledger=ledger,
            budget=Budget(),
            on_event=lambda _: None,
        )
    assert all(
        outcomes["q1"].chosen == frozenset({variant.options.index("vibration")})
        for (name, variant), outcomes in zip(
            variants(question()), knows.outcomes.values(), strict=True
        )
    )


# --- baselines ------------------------------------------------------------------------------------


def fact(left: str, right: str, *, holds: bool) -> Fact:
    return Fact(
        left=left, left_name=left, right=right, right_name=right, asset="a", holds=holds, sources=()
    )


NAMES = {"left": {"bearing wear": "bearing wear"}, "right": {}}


def test_rates_are_smoothed_by_two_counts_of_the_level_below() -> None:
    facts = [
        fact("f", "s", holds=True),
        fact("f", "t", holds=False),
        fact("g", "s", holds=True),
        fact("g", "t", holds=True),
    ]
    rates = Rates(facts, names=NAMES)
    base = 3 / 4
    popularity = (1 + 2 * base) / (2 + 2)
    assert rates.rate("popularity", ("f", "t"), option_is="right") == popularity
    assert rates.rate("pair lookup", ("f", "t"), option_is="right") == (0 + 2 * popularity) / 3
    assert rates.rate("pair lookup", ("h", "t"), option_is="right") == popularity


def test_the_token_kernel_lets_alike_names_vote() -> None:
    rates = Rates([fact("bearing damage", "oil debris", holds=True)], names=NAMES)
    weight = (1 / 3 * 1.0) ** 3
    assert rates.rate(
        "token kernel", ("bearing wear", "oil debris"), option_is="right"
    ) == pytest.approx(
        (weight + 2 * rates.rate("popularity", ("bearing wear", "oil debris"), option_is="right"))
        / (weight + 2)
    )


def test_the_semantic_kernel_lets_names_of_like_meaning_vote() -> None:
    names = {"left": {"wear": "wear", "damage": "damage"}, "right": {"oil": "oil"}}
    vectors = {"wear": (1.0, 0.0), "damage": (0.8, 0.6), "oil": (0.0, 1.0)}
    rates = Rates([fact("damage", "oil", holds=True)], names=names, vectors=vectors)
    weight = math.exp((0.8 - 1) / 0.15)
    popularity = rates.rate("popularity", ("wear", "oil"), option_is="right")
    found = rates.rate("semantic kernel", ("wear", "oil"), option_is="right")
    assert found == pytest.approx((weight + 2 * popularity) / (weight + 2))


@pytest.mark.local
def test_texts_of_like_meaning_have_like_vectors() -> None:
    pull("minilm", cache_dir=read_settings().cache_dir)
    embed = encoder(read_settings().cache_dir)
    assert embed is not None
    one, other, far = embed(["bearing wear", "worn bearing of the shaft", "invoice"])
    assert sum(value * value for value in one) == pytest.approx(1, abs=1e-5)
    assert dot(one, other) > 0.5 > dot(one, far)


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_eliminating_takes_the_least_likely() -> None:
    facts = [
        fact("unbalance", "vibration", holds=True),
        fact("unbalance", "pressure", holds=False),
        fact("unbalance", "speed", holds=True),
    ]
    rates = {"relevance": Rates(facts, names=NAMES)}
    assert answer("pair lookup", question(polarity="eliminate"), rates) == frozenset({1})
    assert seen(question(), rates) == "all"


def test_chance_is_exact() -> None:
    assert chance(question()) == 1 / 3
    assert chance(question(type="multiple")) == 1 / 7


def test_as_many_asks_are_planned_as_are_put() -> None:
    some = [question(), question(id="q2", type="multiple", correct=(True, True, False))]
    for mode, robust in (("logprob", True), ("logprob", False), ("generate", True)):
        put = [
            ask.id
            for plain in some
            for _, one in (variants(plain) if robust else [(PLAIN, plain)])
            for ask in asks_of(one, way(mode), identity=lambda _: "m")
        ]
        assert planned_asks(some, way(mode), robust=robust) == len(set(put))
