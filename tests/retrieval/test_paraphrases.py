"""Laws of a teacher's paraphrases: only sentences that can stand for the instruction, no asset named, asked about once, never lost."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kgkit.evaluation.paraphrase import Paraphrased, paraphrase
from kgkit.expand.scope import Assets
from kgkit.graph import reading
from kgkit.prompts import read_prompt
from kgkit.records import Ask
from kgkit.retrieval.paraphrases import (
    FILE,
    ParaphraseInstruction,
    read_paraphrases,
    usable,
    with_paraphrases,
)
from kgkit.retrieval.tasks import Task, read_tasks
from kgkit.splits import read_split
from kgkit.teacher.budget import Budget
from kgkit.teacher.ledger import Ledger
from tests.conftest import Open
from tests.plant import load
from tests.scripted import ScriptedTeacher
from tests.walk import kgkit

ROW = reading.Asset(
    id="pump", name="Pumps", code="PU", aliases=(), family="pumps", category="", role="source"
)
PUMP = Assets([ROW], read_split("default"))
NO_ASSETS = Assets([], read_split("none"))
FIRST = "Tell which measured quantities reveal the given fault."
SECOND = "By which measurements would this fault be noticed?"
THIRD = "Where does one look when this fault is suspected?"
Says = Callable[[Ask], str]


class Editor(ScriptedTeacher):
    """Says what `says` makes of an ask."""

    def __init__(self, says: Says, name: str = "editor", *, structured: bool = True) -> None:
        super().__init__(name)
        self.structured = structured
        self._says = says

    def _text(self, ask: Ask, draw: int) -> str:
        return self._says(ask)


def saying(*lines: str) -> Says:
    return lambda _: json.dumps({"paraphrases": lines})


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("paraphrases")
    return load(root / "w", tables=root / "tables")


def tasks(*names: str) -> list[Task]:
    return read_tasks(names or None)


def asked(
    folder: Path, teacher: Editor, *names: str, wanted: int = 8, max_calls: int | None = None
) -> Paraphrased:
    with Ledger.open(folder / "ledger.sqlite") as ledger:
        return paraphrase(
            [
                ParaphraseInstruction(task, teacher, PUMP, wanted=wanted)
                for task in tasks(*(names or ("FM2S",)))
            ],
            teacher,
            wanted=wanted,
            path=folder / FILE,
            ledger=ledger,
            budget=Budget(max_calls=max_calls),
            on_event=lambda _: None,
        )


def kept(folder: Path, task: str = "FM2S") -> list[str]:
    return [one.text for one in read_paraphrases(folder / FILE).get(task, [])]


def test_the_prompt_reads_as_written() -> None:
    _, user = read_prompt("paraphrase-instruction").render(
        {
            "instruction": "Which sensors show this fault?",
            "shown": "Asset, Fault",
            "ranked": "Sensor",
            "known": ("Name them.", "Find them."),
            "count": 8,
            "structured": False,
        }
    )
    assert user.content == (
        "Instruction: Which sensors show this fault?\n"
        "What it is asked about: Asset, Fault\n"
        "What is ranked: Sensor\n"
        "\n"
        "Known already:\n"
        "- Name them.\n"
        "- Find them.\n"
        "\n"
        "Put the instruction in 8 further ways.\n"
        "- Each way is one sentence or one question of 4 to 30 words, ends with a full stop or a question mark, and can be "
        "understood alone.\n"
        "- Each asks for the same as the instruction, in other words than those above and than the other ways.\n"
        "- Speak of the asset, the machine or the equipment in general. Name no kind of equipment, no make and no plant.\n"
        "Answer with a numbered list only, one way per line:\n"
        "1. first way\n"
        "2. second way"
    )


@pytest.mark.parametrize("task", tasks(), ids=lambda task: task.name)
def test_our_own_paraphrases_would_be_taken(
    task: Task, starter: Path, open_workspace: Open
) -> None:
    own = [task.instruction, *task.paraphrases]
    assets = open_workspace(starter).assets()
    for one in own:
        others = tuple(other for other in own if other != one)
        among = task.model_copy(update={"instruction": "Say it.", "paraphrases": others})
        assert usable([one], among, assets, prompt="", most=99) == ([one], {})
    assert not ParaphraseInstruction(task, Editor(saying()), assets, wanted=8).names_held_out


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Show this fault now", "no end"),
        ("Show it now.", "too short"),
        (f"Which measurements show {'very ' * 27}well?", "too long"),
        ("Which measurements show this fault? Name all of them.", "several sentences"),
        ("Query: which measurements show this fault?", "marks of a prompt"),
        ("Instruct : name what shows this fault.", "marks of a prompt"),
        ("The answer is one question of 10 to 14 words.", "of something else"),
        ("I hope that it does not take you too much.", "of something else"),
        ("Which measurements show this fault of the pump?", "names an asset"),
        ("Which measurements show this fault of PUMPS in service?", "names an asset"),
        ("Which measurements show this fault of an air compressor?", "names an asset"),
        ("which sensors and parameters show  this faults of the asset", "no end"),
        ("which Sensors and parameters show  this faults of the asset.", "known"),
        ("Name no kind of equipment, no make and no plant.", "of the prompt"),
        (f'2) "{FIRST.upper()}"', "twice"),
        (SECOND, "more than asked for"),
    ],
)
def test_each_fault_of_a_line_is_found(line: str, why: str) -> None:
    (task,) = tasks("FM2S")
    prompt = ParaphraseInstruction(task, Editor(saying()), PUMP, wanted=1).ask.messages[-1].content
    found, left_out = usable([FIRST, line], task, PUMP, prompt=prompt, most=1)
    assert (found, dict(left_out)) == ([FIRST], {why: 1})


def test_every_paraphrase_of_the_task_is_known() -> None:
    (task,) = tasks("FM2S")
    lines = [task.instruction, *task.paraphrases]
    found, left_out = usable(lines, task, NO_ASSETS, prompt="", most=99)
    assert (found, dict(left_out)) == ([], {"known": len(lines)})


@pytest.mark.parametrize(
    "mark", ["1. ", "12) ", "(3) ", "- ", "* ", "\u2022 ", "- 4. ", "**", '"', ""]
)
def test_numbers_bullets_and_quotes_are_taken_off(mark: str) -> None:
    (task,) = tasks("FM2S")
    end = {"**": "**", '"': '"'}.get(mark, "  ")
    assert usable([f" {mark}{FIRST}{end}"], task, PUMP, prompt="", most=1)[0] == [FIRST]


def test_a_plain_list_is_read_without_what_stands_around_it(tmp_path: Path) -> None:
    reply = f"Sure, here are some ways:\n\n1. {FIRST}\n2. {SECOND}\n\nI hope that these are of some use."
    teacher = Editor(lambda _: reply, structured=False)
    found = asked(tmp_path, teacher)
    assert found.tasks["FM2S"].left_out == {}
    assert kept(tmp_path) == [SECOND, FIRST]
    assert "numbered list" in teacher.calls[0].messages[-1].content


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps({"paraphrases": [f"{FIRST[:-1]} of the pump."]}),
        json.dumps({"paraphrases": FIRST}),
        json.dumps([FIRST]),
        FIRST,
    ],
)
def test_a_reply_without_a_usable_line_is_asked_once_more_and_rejected(
    tmp_path: Path, reply: str
) -> None:
    teacher = Editor(lambda _: reply)
    found = asked(tmp_path, teacher)
    assert len(teacher.calls) == 2
    assert found.tasks["FM2S"].reply == "rejected: wrong shape"
    assert (found.silent, found.exit_code) == (True, 5)
    assert not (tmp_path / FILE).exists()


def test_a_second_try_may_do(tmp_path: Path) -> None:
    teacher = Editor(lambda ask: saying(FIRST if ask.sampling.number else "No idea.")(ask))
    found = asked(tmp_path, teacher)
    assert (found.tasks["FM2S"].reply, found.tasks["FM2S"].new) == ("accepted", 1)
    assert found.tasks["FM2S"].left_out == {"too short": 1}
    [one] = read_paraphrases(tmp_path / FILE)["FM2S"]
    assert (one.text, one.teacher, one.ask) == (FIRST, "editor", teacher.calls[1].id)


def test_the_same_teacher_adds_nothing_and_another_adds_what_is_new(tmp_path: Path) -> None:
    first = asked(tmp_path, Editor(saying(SECOND, FIRST, "Too short.")))
    of_first = first.tasks["FM2S"]
    assert (of_first.new, of_first.kept, of_first.left_out) == (2, 0, {"too short": 1})
    written = (tmp_path / FILE).read_bytes()
    again = Editor(saying(THIRD))
    counted = asked(tmp_path, again).tasks["FM2S"]
    assert (again.calls, counted.new, counted.kept) == ([], 0, 2)
    assert (tmp_path / FILE).read_bytes() == written
    other = asked(tmp_path, Editor(saying(THIRD, FIRST.lower()), "other")).tasks["FM2S"]
    assert (other.new, other.kept) == (1, 2)
    assert [
        (one["text"], one["teacher"])
        for one in yaml.safe_load((tmp_path / FILE).read_text())["FM2S"]
    ] == [(SECOND, "editor"), (FIRST, "editor"), (THIRD, "other")]


def test_a_file_that_was_deleted_is_made_again_without_a_call(tmp_path: Path) -> None:
    asked(tmp_path, Editor(saying(SECOND, FIRST)), "FM2S", "A2S")
    written = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).unlink()
    again = Editor(saying(THIRD))
    asked(tmp_path, again, "A2S", "FM2S")
    assert (again.calls, (tmp_path / FILE).read_bytes()) == ([], written)


def test_a_budget_stops_it_and_the_same_command_goes_on(tmp_path: Path) -> None:
    stopped = asked(tmp_path, Editor(saying(FIRST)), "FM2S", "S2FM", max_calls=1)
    assert (stopped.stopped, stopped.exit_code) == ("budget", 5)
    assert sorted(one.reply for one in stopped.tasks.values()) == ["accepted", "not asked"]
    rest = Editor(saying(FIRST))
    whole = asked(tmp_path, rest, "FM2S", "S2FM")
    assert (len(rest.calls), whole.stopped, whole.exit_code) == (1, None, 0)
    assert kept(tmp_path, "FM2S") == kept(tmp_path, "S2FM") == [FIRST]


def test_a_task_that_names_what_is_held_out_is_not_asked_about(tmp_path: Path) -> None:
    (task,) = tasks("FM2S")
    own = task.model_copy(update={"paraphrases": ("What shows it on a compressor?",)})
    teacher = Editor(saying(FIRST))
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        found = paraphrase(
            [ParaphraseInstruction(own, teacher, PUMP, wanted=8)],
            teacher,
            wanted=8,
            path=tmp_path / FILE,
            ledger=ledger,
            budget=Budget(),
            on_event=lambda _: None,
        )
    assert (teacher.calls, found.tasks["FM2S"].reply) == ([], "names a held-out asset")


def test_a_task_with_a_teachers_words_keeps_its_own_first(tmp_path: Path) -> None:
    (task,) = tasks("FM2S")
    asked(tmp_path, Editor(saying(FIRST)))
    more = with_paraphrases(task, read_paraphrases(tmp_path / FILE)["FM2S"])
    assert more.paraphrases == (*task.paraphrases, FIRST)
    assert with_paraphrases(more, read_paraphrases(tmp_path / FILE)["FM2S"]) == more


def test_the_command_asks_all_tasks_and_says_what_it_found(
    plant: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says(ask: Ask) -> str:
        (instruction,) = re.findall("^Instruction: (.*)$", ask.messages[-1].content, re.MULTILINE)
        lines = [f"Plainly: {instruction}", "What shows this fault of a steam turbine?", "- Short."]
        return json.dumps({"paraphrases": lines})

    teachers = [Editor(says) for _ in range(3)]
    left = iter(teachers)
    monkeypatch.setattr("kgkit.teacher.open.open_teacher", lambda *_, **__: next(left))
    one = kgkit("teacher", "paraphrase", "FM2S", "--per-task", "3", "--json", workspace=plant).json
    assert one["tasks"] == {
        "FM2S": {
            "asked": 3,
            "reply": "accepted",
            "new": 1,
            "kept": 0,
            "left_out": {"names an asset": 1, "too short": 1},
        }
    }
    assert (one["calls"], one["file"]) == (1, str(plant / FILE))
    assert "in 3 further ways" in teachers[0].calls[0].messages[-1].content
    all_ = kgkit("teacher", "paraphrase", "--per-task", "3", workspace=plant)
    assert len(teachers[1].calls) == len(tasks()) - 1
    assert list(read_paraphrases(plant / FILE)) == [task.name for task in tasks()]
    assert "names an asset 1, too short 1" in all_.out
    assert "finetune embedder --set teacher_paraphrases=true" in all_.err
    again = kgkit("teacher", "paraphrase", "--per-task", "3", "--json", workspace=plant).json
    assert again["calls"] == 0
    assert {counts["new"] for counts in again["tasks"].values()} == {0}


def test_the_reference_teacher_has_no_words_of_its_own(plant: Path, tmp_path: Path) -> None:
    before = (plant / FILE).read_bytes() if (plant / FILE).exists() else None
    ended = kgkit("teacher", "paraphrase", "A2S", "--json", workspace=plant, code=5)
    assert ended.json["tasks"]["A2S"]["reply"] == "rejected: no reference"
    assert ended.json["tasks"]["A2S"]["new"] == 0
    assert "--teacher local:smollm2" in ended.err
    after = (plant / FILE).read_bytes() if (plant / FILE).exists() else None
    assert after == before


def test_what_cannot_be_asked_is_said_before_anything_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = load(tmp_path / "w", "pump.csv", tables=tmp_path / "tables")
    teacher = Editor(saying(FIRST))
    monkeypatch.setattr("kgkit.teacher.open.open_teacher", lambda *_, **__: teacher)
    unknown = kgkit("teacher", "paraphrase", "FM2X", workspace=work, code=2)
    assert "there is no retrieval task FM2X" in unknown.err
    (work / FILE).write_text("FM2S:\n- {text: Say it., teacher: x}\n")
    damaged = kgkit("teacher", "paraphrase", workspace=work, code=3)
    assert f"{work / FILE}: FM2S.0.ask: Field required" in damaged.err
    assert teacher.calls == []
