"""What training rows say is what the tables say of training assets, put as the evaluation puts it."""

import json
from collections import Counter
from pathlib import Path

import pytest

from kgkit.errors import ContentError, UsageError
from kgkit.evaluation.asks import By, Way, asks_of
from kgkit.evaluation.pose import examples, pose
from kgkit.finetune.asked import question_rows, training_questions
from kgkit.finetune.cells import list_rows, statement_rows
from kgkit.finetune.parts import Source, export_corpora, rows_of
from kgkit.finetune.recipe import (
    CorpusPart,
    FilesPart,
    GeneralPart,
    ListsPart,
    QuestionsPart,
    StatementsPart,
)
from kgkit.finetune.rows import Row
from kgkit.questions.facts import facts
from kgkit.questions.wording import read_wording
from tests.conftest import Open
from tests.walk import MATRIX, kgkit

PUMPS = {"pump"}


def questions(answer: str = "letters", wordings: int = 1, rows: int = 60) -> QuestionsPart:
    said = {"source": "questions", "benchmark": "fmsr", "rows": rows, "answer": answer, "wordings": wordings, "share": None}  # fmt: skip
    return QuestionsPart.model_validate(said)


def lists(**said: object) -> ListsPart:
    part = {"source": "lists", "benchmark": "fmsr", "polarities": ["select", "eliminate"], "wordings": 1, "unnamed": 0.0, "share": None}  # fmt: skip
    return ListsPart.model_validate({**part, **said})


def stated(**said: object) -> StatementsPart:
    part = {"source": "statements", "benchmark": "fmsr", "wordings": 1, "unnamed": 0.0, "explained": False, "share": None}  # fmt: skip
    return StatementsPart.model_validate({**part, **said})


def asked(row: Row) -> str:
    return row.prompt[0]["content"]


@pytest.mark.parametrize("answer", ["letters", "options"])
def test_a_question_is_learned_as_it_is_asked(
    starter: Path, open_workspace: Open, answer: str
) -> None:
    derivation = open_workspace(starter)
    part = questions(answer)
    rows = list(question_rows(part, derivation.graph, derivation.split, seed=0, left_out=Counter()))
    put = training_questions(part, derivation.graph, derivation.split)
    by: By = "letters" if answer == "letters" else "options"
    way = Way(mode="logprob", by=by, examples=(), wording=read_wording("en"))
    for row, question in zip(rows, put, strict=True):
        (ask,) = asks_of(question, way, identity=lambda _: "m")
        user, opened = ask.messages
        right = ask.continuations[question.correct.index(True)]
        assert asked(row) == user.content
        assert row.completion[0]["content"] == opened.content + right
        assert row.asset == question.asset
        assert row.matrix
    assert {derivation.split.side(row.asset) for row in rows} == {"train"}


def test_every_cell_is_a_statement_put_as_the_evaluation_puts_it(
    starter: Path, open_workspace: Open
) -> None:
    derivation = open_workspace(starter)
    rows = list(
        statement_rows(stated(), derivation.graph, derivation.split, seed=0, left_out=Counter())
    )
    learned = {asked(row): row.completion[0]["content"] for row in rows}
    put = training_questions(questions(rows=300), derivation.graph, derivation.split)
    way = Way(mode="logprob", by="statements", examples=(), wording=read_wording("en"))
    told = 0
    for question in put:
        for option, ask in enumerate(asks_of(question, way, identity=lambda _: "m")):
            user, opened = ask.messages
            holds = question.correct[option] == (question.polarity == "select")
            if user.content in learned:  # none names a held-out asset
                assert learned[user.content] == opened.content + ask.continuations[not holds]
                told += 1
    assert told > 900
    cells = [
        fact
        for fact in facts(derivation.graph, "relevance")
        if derivation.split.side(fact.asset) == "train"
        and "compressor" not in f"{fact.left_name} {fact.right_name}"
    ]
    of_sensors = [row for row in rows if "On the" in asked(row) and "is relevant to" in asked(row)]
    assert len({row.id for row in rows}) == len(rows)
    assert len(of_sensors) == len(rows)
    assert len(rows) >= 2 * len(cells)


def test_statements_leave_the_assets_name_out_as_often_as_said(
    starter: Path, open_workspace: Open
) -> None:
    derivation = open_workspace(starter)
    part = stated(wordings=4, unnamed=0.3)
    rows = list(
        statement_rows(part, derivation.graph, derivation.split, seed=0, left_out=Counter())
    )
    unnamed = [row for row in rows if "the machine" in asked(row) or ": machine" in asked(row)]
    put = training_questions(questions(rows=300), derivation.graph, derivation.split)
    way = Way(mode="logprob", by="unnamed-statements", examples=(), wording=read_wording("en"))
    asks = [ask for one in put for ask in asks_of(one, way, identity=lambda _: "m")]
    assert len({ask.messages[0].content for ask in asks} & {asked(row) for row in unnamed}) > 100
    assert 0.25 < len(unnamed) / len(rows) < 0.35
    assert {derivation.split.side(row.asset) for row in rows} == {"train"}
    assert rows == list(
        statement_rows(part, derivation.graph, derivation.split, seed=0, left_out=Counter())
    )


def test_a_table_for_evaluation_is_not_learned(tmp_path: Path, open_workspace: Open) -> None:
    for name, role in (("pump", "source"), ("mixer", "evaluation")):
        (tmp_path / f"{name}.csv").write_text(MATRIX, encoding="utf-8")
        kgkit("load", tmp_path / f"{name}.csv", "--role", role, workspace=tmp_path / "w")
    derivation = open_workspace(tmp_path / "w")
    graph, split = derivation.graph, derivation.split
    assert {fact.asset for fact in facts(graph, "relevance")} == {"pump", "mixer"}
    assert split.side("mixer") == "train"
    learned = [
        *statement_rows(stated(), graph, split, seed=0, left_out=Counter()),
        *list_rows(lists(), graph, split, seed=0),
        *question_rows(questions(), graph, split, seed=0, left_out=Counter()),
    ]
    assert len(learned) > 20
    assert {row.asset for row in learned} == {"pump"}
    solved = examples("fmsr", 5, graph=graph, split=split, avoiding=frozenset())
    assert {one.asset for one in solved} == {"pump"}
    asked = pose("fmsr", graph=graph, split=split, holdout="pumps")
    assert set(asked.seen.values()) == {"none"}  # the baselines do not know it either


def test_what_a_table_for_evaluation_lists_is_no_fact_of_the_others(
    tmp_path: Path, open_workspace: Open
) -> None:
    head = "Equipment,Component,Failure mode,Cause\n"
    for name, lines, role in (
        ("ours", "Mixer,shaft,unbalance,dirt\nValve,stem,leak,wear\n", "source"),
        ("theirs", "Pump,shaft,cavitation,air\nMixer,shaft,wear,age\nTank,wall,crack,age\n", "evaluation"),
    ):  # fmt: skip
        (tmp_path / f"{name}.csv").write_text(head + lines, encoding="utf-8")
        kgkit("load", tmp_path / f"{name}.csv", "--role", role, workspace=tmp_path / "w")
    graph = open_workspace(tmp_path / "w").graph

    def told(role: str | None) -> set[tuple[str, str, bool]]:
        found = facts(graph, "failure-modes", role=role)
        return {(fact.asset, fact.right, fact.holds) for fact in found}

    assert told("source") == {
        ("mixer", "unbalance", True), ("mixer", "leak", False), ("valve", "leak", True), ("valve", "unbalance", False),
    }  # fmt: skip
    assert ("tank", "crack", True) in told(None)


def test_questions_about_no_asset_are_neither_learned_nor_shown_as_solved(
    starter: Path, open_workspace: Open
) -> None:
    """They are the same on every side of the split: what was shown would be asked."""
    derivation = open_workspace(starter)
    graph, split = derivation.graph, derivation.split
    asked = {one.id for one in pose("taxonomy", graph=graph, split=split).questions}
    solved = examples("taxonomy", 5, graph=graph, split=split, avoiding=frozenset())
    part = questions().model_copy(update={"benchmark": "taxonomy"})
    learned = training_questions(part, graph, split)
    assert solved
    assert not {one.id for one in (*solved, *learned)} & asked


def test_other_wordings_ask_the_same_with_the_options_moved(
    starter: Path, open_workspace: Open
) -> None:
    derivation = open_workspace(starter)
    plain, more = (
        list(question_rows(questions(wordings=number), derivation.graph, derivation.split, seed=0, left_out=Counter()))
        for number in (1, 4)
    )  # fmt: skip
    assert [row.prompt for row in more[::4]] == [row.prompt for row in plain]
    for number in range(0, len(more), 4):
        some = more[number : number + 4]
        assert len({asked(row) for row in some}) == 4
        right = {
            next(line[3:] for line in asked(row).splitlines() if line.startswith(f"{row.completion[0]['content'][-1]}. "))
            for row in some
        }  # fmt: skip
        assert len(right) == 1


def test_a_list_names_all_that_is_right_and_nothing_else(
    starter: Path, open_workspace: Open
) -> None:
    derivation = open_workspace(starter)
    rows = list(list_rows(lists(), derivation.graph, derivation.split, seed=0))
    wording = read_wording("en")
    pump = [fact for fact in facts(derivation.graph, "relevance") if fact.asset == "pump"]
    wanted = Counter[str]()
    for name in {fact.left_name for fact in pump}:
        for polarity, holds in (("select", True), ("eliminate", False)):
            right = {
                fact.right_name for fact in pump if fact.left_name == name and fact.holds is holds
            }
            if right and any(fact.holds is not holds for fact in pump if fact.left_name == name):
                stem = wording.render("failure-mode-to-sensors", polarity, "single", {"asset": "pump", "subject": name})[0]  # type: ignore[arg-type]  # fmt: skip
                wanted[f"{stem}\n{sorted(right)}"] += 1
    found = Counter(
        f"{asked(row)}{sorted(row.completion[0]['content'].removeprefix('Answer: ').split(', '))}"
        for row in rows
        if row.asset == "pump" and asked(row).startswith("On the pump, which")
    )
    assert found == wanted
    assert len(wanted) > 10


def test_lists_speak_of_training_assets_alone_and_leave_names_out_as_often_as_said(
    starter: Path, open_workspace: Open
) -> None:
    derivation = open_workspace(starter)
    rows = list(
        list_rows(lists(wordings=4, unnamed=0.3), derivation.graph, derivation.split, seed=0)
    )
    assert {derivation.split.side(row.asset) for row in rows} == {"train"}
    assert not [row for row in rows if "compressor" in row.completion[0]["content"].lower()]
    unnamed = [row for row in rows if "machine" in asked(row)]
    assert 0.25 < len(unnamed) / len(rows) < 0.35
    only = list(list_rows(lists(polarities=["select"]), derivation.graph, derivation.split, seed=0))
    assert not [row for row in only if " not " in asked(row)]
    assert rows == list(
        list_rows(lists(wordings=4, unnamed=0.3), derivation.graph, derivation.split, seed=0)
    )


def test_an_explanation_says_what_the_key_says(starter: Path, open_workspace: Open) -> None:
    kgkit("expand", "--asset", "pump", workspace=starter)
    derivation = open_workspace(starter)
    left_out = Counter[str]()
    part = questions("explained", rows=400)
    rows = list(question_rows(part, derivation.graph, derivation.split, seed=0, left_out=left_out))
    assert {row.asset for row in rows} == PUMPS
    assert len(rows) > 10
    for row in rows:
        answer, why = row.completion[0]["content"].split("\n", 1)
        assert why == row.why
        assert answer.removeprefix("Answer: ") in why
    assert left_out.total() + len(rows) == len(
        training_questions(part, derivation.graph, derivation.split)
    )


def test_an_explained_statement_says_what_its_verdict_says(
    starter: Path, open_workspace: Open
) -> None:
    kgkit("expand", "--asset", "pump", "--describe-no", workspace=starter)
    derivation = open_workspace(starter)
    graph, split, left_out = derivation.graph, derivation.split, Counter[str]()
    rows = list(statement_rows(stated(explained=True), graph, split, seed=0, left_out=left_out))
    plain = list(statement_rows(stated(), graph, split, seed=0, left_out=Counter()))
    assert {row.asset for row in rows} == PUMPS
    verdicts = {asked(row): row.completion[0]["content"] for row in plain}
    found = Counter[str]()
    for row in rows:
        verdict, why = row.completion[0]["content"].split("\n", 1)
        assert why == row.why
        assert verdict == verdicts[asked(row)]
        found[verdict] += 1
    assert set(found) == {"Answer: True", "Answer: False"}
    assert left_out.total() + len(rows) == len(plain)


def source(starter: Path, open_workspace: Open, folder: Path) -> Source:
    derivation = open_workspace(starter)
    return Source(
        graph=derivation.graph,
        ledger=derivation.ledger,
        split=derivation.split,
        folder=folder,
        seed=0,
    )


@pytest.mark.parametrize(
    "row",
    [
        {"text": "The pump hums."},
        {"prompt": "Which?", "completion": "That."},
        {"prompt": [{"role": "user", "content": "Which?"}], "completion": [{"role": "assistant", "content": "That."}]},
        {"messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "That."}]},
    ],
)  # fmt: skip
def test_files_are_read_in_every_shape_that_trainers_read(
    row: dict[str, object], starter: Path, open_workspace: Open, tmp_path: Path
) -> None:
    path = tmp_path / "mine.jsonl"
    others = {"sensor": ["vibration", "pressure"], "failure_mode": 3}  # columns of one's own
    path.write_text(json.dumps({**row, "asset": "pump", **others}) + "\n", encoding="utf-8")
    part = FilesPart(source="files", path=path, config=None, share=None)
    (found,) = rows_of(part, source(starter, open_workspace, tmp_path))
    assert found.words.split() == (
        ["The", "pump", "hums."] if "text" in row else ["Which?", "That."]
    )
    assert found.asset == "pump"


@pytest.mark.parametrize(("config", "form"), [("kd_base", "text"), ("relevance", None)])
def test_an_exported_folder_is_data_where_its_rows_are_texts_or_chats(
    config: str, form: str | None, starter: Path, open_workspace: Open, tmp_path: Path
) -> None:
    kgkit("expand", "--asset", "pump", workspace=starter)
    kgkit("export", tmp_path / "corpus", workspace=starter)
    part = FilesPart(source="files", path=tmp_path / "corpus", config=config, share=None)
    where = source(starter, open_workspace, tmp_path)
    if form is None:
        with pytest.raises(ContentError, match="row 1: has neither text"):
            list(rows_of(part, where))
        return
    rows = list(rows_of(part, where))
    assert rows
    assert {row.form for row in rows} == {form}
    assert {row.asset for row in rows} == PUMPS


def test_what_tells_a_cell_of_a_matrix_is_known_in_files_too(
    starter: Path, open_workspace: Open, tmp_path: Path
) -> None:
    kgkit("expand", "--asset", "pump", workspace=starter)
    kgkit("export", tmp_path / "corpus", workspace=starter)
    where = source(starter, open_workspace, tmp_path)
    corpus = CorpusPart(source="corpus", corpus="kd_base", rows=None, share=None)
    export_corpora([corpus], where)
    files = FilesPart(source="files", path=tmp_path / "corpus", config="kd_base", share=None)
    of_corpus, of_files = ({row.id: row.matrix for row in rows_of(part, where)} for part in (corpus, files))  # fmt: skip
    assert of_files == of_corpus
    assert set(of_files.values()) == {True, False}

    named = {"text": "It shows.", "asset": "Pumps", "failure_mode": "Unbalance"}
    path = tmp_path / "mine.jsonl"
    path.write_text(
        "".join(
            json.dumps({**named, "sensor": sensor}) + "\n" for sensor in ("Vibration", "Weather")
        ),
        encoding="utf-8",
    )
    mine = rows_of(FilesPart(source="files", path=path, config=None, share=None), where)
    assert [row.matrix for row in mine] == [True, False]


def test_a_saved_dataset_is_read(starter: Path, open_workspace: Open, tmp_path: Path) -> None:
    import datasets

    one = datasets.Dataset.from_list([{"text": "The pump hums."}])
    one.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": one, "test": one}).save_to_disk(tmp_path / "both")
    where = source(starter, open_workspace, tmp_path)
    for name in ("one", "both"):
        part = FilesPart(source="files", path=tmp_path / name, config=None, share=None)
        assert [row.text for row in rows_of(part, where)] == ["The pump hums."]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "assistant", "content": "ok", "reasoning_content": "The compressor surges."}, "row 1: a message has reasoning_content, which is neither searched nor trained on"),
        ({"role": "assistant", "content": None}, "row 1: every message must have role and content"),
        ({"content": "ok"}, "row 1: every message must have role and content"),
    ],
)  # fmt: skip
def test_of_messages_role_and_content_alone_are_learned(
    message: dict[str, object], said: str, starter: Path, open_workspace: Open, tmp_path: Path
) -> None:
    path = tmp_path / "mine.jsonl"
    row = {"messages": [{"role": "user", "content": "Which?"}, message]}
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    part = FilesPart(source="files", path=path, config=None, share=None)
    with pytest.raises(ContentError, match=said):
        list(rows_of(part, source(starter, open_workspace, tmp_path)))


def test_files_that_cannot_be_learned_from_are_named(
    starter: Path, open_workspace: Open, tmp_path: Path
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"asset": "pump", "note": "x"}\n', encoding="utf-8")
    where = source(starter, open_workspace, tmp_path)
    with pytest.raises(ContentError, match=r"mine\.jsonl: row 1: has neither text, nor messages"):
        list(rows_of(FilesPart(source="files", path=path, config=None, share=None), where))
    for row in ({"prompt": "How many?", "completion": 4}, {"prompt": "How many?", "completion": 0}):
        path.write_text(json.dumps(row) + "\n", encoding="utf-8")
        with pytest.raises(ContentError, match="row 1: prompt and completion must both be texts"):
            list(rows_of(FilesPart(source="files", path=path, config=None, share=None), where))
    with pytest.raises(UsageError, match="none: no such file or folder"):
        list(
            rows_of(
                FilesPart(source="files", path=tmp_path / "none", config=None, share=None), where
            )
        )


@pytest.mark.parametrize("form", ["text", "chat"])
def test_general_text_needs_nothing_but_python(
    form: str, starter: Path, open_workspace: Open, tmp_path: Path
) -> None:
    part = GeneralPart.model_validate(
        {"source": "general", "form": form, "path": None, "rows": None, "share": None}
    )
    rows = list(rows_of(part, source(starter, open_workspace, tmp_path)))
    assert len(rows) > 40
    assert {row.form for row in rows} == {form}
    assert sum(len(row.words) for row in rows) > 10_000
