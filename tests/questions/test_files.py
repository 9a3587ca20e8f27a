"""Files of questions: our own come back as they were, those of others in their shapes, and what is none says what to do."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kgkit.errors import ContentError, KgkitError, UsageError
from kgkit.questions.files import read_questions, read_stems, write_jsonl, write_parquet
from kgkit.records import Question

OURS = Question(
    id="0a1b",
    benchmark="fmsr",
    relation="relevance",
    direction="failure-mode-to-sensors",
    polarity="eliminate",
    type="single",
    asset="mixer",
    family="mixers",
    discipline="Rotating",
    language="zh",
    asset_name="搅拌机",
    subject="轴承损坏",
    stem="搅拌机: which one is not\u2028relevant?",
    paraphrases=("Which one is of no use?", 'Which one says "nothing"?'),
    options=("vibration", "油屑"),
    correct=(False, True),
    facts=(("bearing-damage", "vibration"), ("bearing-damage", "oil-debris")),
    proof="MATCH (s) RETURN s.id AS option, true AS correct",
    option_ids=("vibration", "oil-debris"),
    spares=("temperature",),
    sources=("mixer.csv!B2", "mixer.csv!D2"),
    hard=True,
)
STATEMENT = replace(OURS, id="2c3d", type="true-false", options=("True", "False"), facts=(), option_ids=(), spares=(), hard=False)  # fmt: skip

# the fields of FailureSensorIQ's files, the values invented
SENSOR_IQ = {
    "subject": "failure_mode_sensor_analysis",
    "id": 7,
    "question": "Which sensor is of no use for bearing damage of the electric motor?",
    "options": ["vibration", "oil debris", "colour"],
    "option_ids": ["A", "B", "C"],
    "question_first": True,
    "correct": [False, False, True],
    "text_type": "choice",
    "asset_name": "Electric Motors",
    "relevancy": "irrelevant_sensors_for_failure_mode",
    "question_type": "mcp1_negative",
}
STEM = "Which one is a gas?"


def written(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize(("write", "name"), [(write_jsonl, "q.jsonl"), (write_parquet, "q.parquet")])  # fmt: skip
def test_what_is_written_is_read_again_as_it_was(
    tmp_path: Path, write: Callable[[list[Question], Path], None], name: str
) -> None:
    write([OURS, STATEMENT], tmp_path / name)
    assert read_questions(tmp_path / name) == [OURS, STATEMENT]


def test_failure_sensor_iq_is_read_with_asset_polarity_and_several_right_options(
    tmp_path: Path,
) -> None:
    several = {**SENSOR_IQ, "id": 8, "correct": [True, True, False], "relevancy": "relevant_sensors_for_failure_mode"}  # fmt: skip
    path = written(tmp_path, "all.jsonl", json.dumps(SENSOR_IQ) + "\n" + json.dumps(several) + "\n")
    one, other = read_questions(path)
    assert one == Question(
        id=one.id, benchmark="all", relation="", direction="", polarity="eliminate", type="single",
        asset="electric-motor", family="", discipline="failure_mode_sensor_analysis", language="en",
        asset_name="", subject="", stem=str(SENSOR_IQ["question"]), paraphrases=(), options=("vibration", "oil debris", "colour"),
        correct=(False, False, True), facts=(), proof="", option_ids=(), spares=(), sources=(), hard=False,
    )  # fmt: skip
    assert (other.polarity, other.type, other.correct) == ("select", "multiple", (True, True, False))  # fmt: skip


def test_mmlu_is_read_without_a_heading_and_with_one(tmp_path: Path) -> None:
    rows = f'"{STEM}",water,neon,iron,salt,B\n"Read this:\nwhich is ""odd""?",2,4,6,7,D\n'
    bare = read_questions(written(tmp_path, "high_school_chemistry_test.csv", rows))
    headed = read_questions(written(tmp_path, "headed.csv", "question,A,B,C,D,answer\n" + rows))
    assert [(one.stem, one.options, one.correct.index(True)) for one in bare] == [
        (STEM, ("water", "neon", "iron", "salt"), 1),
        ('Read this:\nwhich is "odd"?', ("2", "4", "6", "7"), 3),
    ]
    assert {one.discipline for one in bare} == {"high school chemistry"}
    for one, other in zip(bare, headed, strict=True):
        assert (one.id, one.options, one.correct) == (other.id, other.options, other.correct)


@pytest.mark.parametrize(
    "key",
    [{"correct": [1]}, {"correct": 1}, {"answer": "B"}, {"correct": ["b"]}, {"correct": [False, True, False]}, {"answer": "1"}],
)  # fmt: skip
def test_a_key_is_an_index_a_letter_or_truth_values(tmp_path: Path, key: dict[str, object]) -> None:
    row = {"stem": STEM, "choices": ["water", "neon", "iron"], **key}
    (one,) = read_questions(written(tmp_path, "q.jsonl", json.dumps(row)))
    assert one.correct == (False, True, False)


def test_true_and_false_are_a_statement(tmp_path: Path) -> None:
    row = {"stem": "Neon is a gas.", "options": ["True", "False"], "correct": [0]}
    (one,) = read_questions(written(tmp_path, "q.jsonl", json.dumps(row)))
    assert one.type == "true-false"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("q.jsonl", '{"stem": "x", "options": ["a", "b"], "correct": [0]}\n\n{\n', r"q\.jsonl: line 3 is no JSON .*write one object"),
        ("q.jsonl", "[1]\n", r"q\.jsonl: line 1 is no JSON object; write one"),
        ("q.jsonl", "", r"q\.jsonl holds no questions; give"),
        ("q.jsonl", '{"stem": "x"}', r"q\.jsonl: line 1: a question needs `stem` \(or `question`\), a text, and `options`"),
        ("q.jsonl", '{"stem": "x", "options": ["a", "b"]}', r"q\.jsonl: line 1: `correct` has to name options by index"),
        ("q.jsonl", '{"stem": "x", "options": ["a", "b"], "correct": [2]}', r"line 1: `correct` has to"),
        ("q.jsonl", '{"stem": "x", "options": ["a", "b"], "answer": "none"}', r"line 1: `correct` has to"),
        ("q.jsonl", '{"stem": "x", "options": ["a", "b", "c"], "correct": [true]}', r"line 1: `correct` has to"),
        ("q.jsonl", '{"proof": "", "form": "single", "stem": "x"}', r"line 1: a question of kgkit lacks 'id'; export"),
        ("q.jsonl", json.dumps({"stem": "x", "options": list("abcdefghijk"), "correct": [0]}), r"line 1: has 11 options; .* at most 10"),
        ("q.csv", "x,a,b,A\ny,a,b,Z\n", r"q\.csv: line 2: `correct` has to"),
        ("q.csv", b"question,A,B,answer\n\xff,a,b,A\n", r"q\.csv: line 2 is not in UTF-8; save"),
        ("q.parquet", b"PAR1", r"q\.parquet: cannot be read .*write it again"),
        ("q.txt", "x", r"q\.txt: questions are read from \.jsonl, \.csv, \.parquet; name such a file"),
        ("none.csv", None, r"none\.csv: no such file"),
    ],
)  # fmt: skip
def test_what_is_no_question_says_file_line_and_remedy(
    tmp_path: Path, name: str, data: str | bytes | None, message: str
) -> None:
    if data is not None:
        written(tmp_path, name, data)
    with pytest.raises(KgkitError, match=message):
        read_questions(tmp_path / name)


@pytest.mark.parametrize("read", [read_questions, read_stems])
def test_a_folder_is_no_file_of_questions(
    tmp_path: Path, read: Callable[[Path], list[object]]
) -> None:
    with pytest.raises(UsageError, match=r"is a folder; name a file in it"):
        read(tmp_path)


@pytest.mark.parametrize("column", ["question", "stem", "text"])
def test_stems_need_no_more_than_a_column(tmp_path: Path, column: str) -> None:
    rows = [{"id": "1", column: STEM}, {"id": "2", column: ""}, {"id": "3", column: "And this?"}]
    written(tmp_path, "q.jsonl", "\n".join(map(json.dumps, rows)) + "\n")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "q.parquet")
    text = f'id,{column}\n1,"{STEM}"\n2,\n3,And this?\n'
    written(tmp_path, "q.csv", text.encode("utf-8-sig"))
    for name in ("q.jsonl", "q.parquet", "q.csv"):
        assert read_stems(tmp_path / name) == [STEM, "And this?"]


def test_the_stems_of_every_shape_are_read_a_benchmarks_with_its_paraphrases(
    tmp_path: Path,
) -> None:
    write_jsonl([OURS], tmp_path / "ours.jsonl")
    write_parquet([OURS], tmp_path / "ours.parquet")
    for name in ("ours.jsonl", "ours.parquet"):
        assert read_stems(tmp_path / name) == [OURS.stem, *OURS.paraphrases]
    iq = written(tmp_path, "all.jsonl", json.dumps(SENSOR_IQ))
    assert read_stems(iq) == [SENSOR_IQ["question"]]
    assert read_stems(written(tmp_path, "mmlu.csv", f"{STEM},a,b,B\n")) == [STEM]


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [
        ("q.csv", b"id,label\n1,2\n", UsageError, r"q\.csv: has no column question, stem, text; its columns are id, label; rename"),
        ("q.jsonl", b"", UsageError, r"q\.jsonl: has no column question, stem, text; its columns are none"),
        ("q.jsonl", b"{\n", ContentError, r"q\.jsonl: line 1 is no JSON"),
        ("q.csv", b"question\n\xff\xfe\n", UsageError, r"q\.csv: line 2 is not in UTF-8"),
        ("none.csv", None, UsageError, r"none\.csv: no such file"),
    ],
)  # fmt: skip
def test_a_file_without_stems_says_why(
    tmp_path: Path, name: str, data: bytes | None, error: type[KgkitError], message: str
) -> None:
    if data is not None:
        written(tmp_path, name, data)
    with pytest.raises(error, match=message):
        read_stems(tmp_path / name)
