"""Public benchmarks in the layouts in which they are published: read, kept by rule, and put by lm-evaluation-harness."""

import csv
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from kgkit import content
from kgkit.errors import ContentError, UsageError
from kgkit.evaluation.public import pose_public, public_names, read_public
from kgkit.evaluation.scores import right_options
from kgkit.evaluation.through_lm_eval import outcome_of, write_tasks
from kgkit.questions.benchmark import benchmark_names
from tests.walk import MATRIX, kgkit


def mmlu(folder: Path, *, solved: int = 5) -> Path:
    """`data/test` and `data/dev` as in MMLU's archive: 2 subjects of 4 questions, with commas, quotes and line breaks."""
    for split, count in (("test", 4), ("dev", solved)):
        (folder / "data" / split).mkdir(parents=True)
        for subject in ("anatomy", "high_school_physics"):
            path = folder / "data" / split / f"{subject}_{split}.csv"
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                for n in range(count):
                    stem = f'In {subject}, "{split}",\nwhich is {n}?'
                    options = [str(n) if at == n % 4 else f"not {n}, {at}" for at in range(4)]
                    writer.writerow([stem, *options, "ABCD"[n % 4]])
    return folder


def mmlu_pro(folder: Path) -> Path:
    def row(n: int) -> dict[str, object]:
        return {
            "question_id": n,
            "question": f"Which is {n}?",
            "options": [str(n) if at == n else f"not {at}" for at in range(10)],
            "answer": "ABCDEFGHIJ"[n],
            "answer_index": n,
            "cot_content": "A: Let's think step by step. The answer is (A).",
            "category": "computer science",
            "src": "made",
        }

    for name, count in (("test", 7), ("validation", 5)):
        table = pa.Table.from_pylist([row(n) for n in range(count)])
        pq.write_table(table, folder / f"{name}-00000-of-00001.parquet")
    return folder


def supergpqa(folder: Path) -> Path:
    fields = [
        ("Engineering", "Mechanical Engineering"),
        ("Engineering", "Architecture"),
        ("Science", "Physics"),
        ("Engineering", "Mining Engineering"),
    ]
    lines = [
        {
            "uuid": str(n),
            "question": f"Which is {n}?",
            "options": ["no", str(n), "never", "not", "none"],
            "answer": str(n),
            "answer_letter": "B",
            "discipline": discipline,
            "field": field,
            "subfield": "any",
            "difficulty": "hard",
            "is_calculation": False,
        }
        for n, (discipline, field) in enumerate(fields)
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    (folder / "SuperGPQA-all.jsonl").write_text(text, encoding="utf-8")
    return folder


def test_every_public_benchmark_can_be_read_and_is_none_of_ours() -> None:
    assert public_names() == ["mmlu", "mmlu-pro", "supergpqa"]
    assert [read_public(name).name for name in public_names()] == public_names()
    assert not set(public_names()) & set(benchmark_names())


def test_without_a_name_every_benchmark_is_listed(plant: Path) -> None:
    found = {
        one["benchmark"]: one
        for one in kgkit("evaluate", "--json", workspace=plant).json["benchmarks"]
    }
    assert set(found) == {*benchmark_names(), "general", "retrieval", *public_names()}
    assert found["retrieval"]["questions"] == "9 tasks from the tables"
    assert found["general"]["questions"] == "416"
    assert found["fmsr"]["questions"] == "at most 480 from the tables"
    assert found["mmlu"]["questions"] == "yours to place, --data DIR"
    assert "supergpqa" in kgkit("evaluate", workspace=plant).out


def test_mmlu_is_read_as_published(tmp_path: Path) -> None:
    data = pose_public("mmlu", mmlu(tmp_path), limit=None)
    found = sorted((one.discipline, one.stem, one.options) for one in data.posed.questions)
    assert found == sorted(
        (
            subject.replace("_", "-"),
            f'In {subject}, "test",\nwhich is {n}?',
            tuple(str(n) if at == n else f"not {n}, {at}" for at in range(4)),
        )
        for subject in ("anatomy", "high_school_physics")
        for n in range(4)
    )
    for question in data.posed.questions:
        (right,) = right_options(question)
        assert question.options[right] in question.stem
    assert len(pose_public("mmlu", tmp_path / "data", limit=3).posed.questions) == 3


def test_supergpqa_keeps_what_its_rule_says(tmp_path: Path) -> None:
    data = pose_public("supergpqa", supergpqa(tmp_path), limit=None)
    assert sorted(one.discipline for one in data.posed.questions) == [
        "mechanical-engineering",
        "mining-engineering",
    ]
    assert {right_options(one) for one in data.posed.questions} == {frozenset({1})}


@pytest.mark.parametrize("name", ["mmlu", "mmlu-pro", "supergpqa"])
def test_where_the_questions_are_not_there_it_is_said_how_to_place_them(
    name: str, tmp_path: Path
) -> None:
    for folder in (None, tmp_path):
        with pytest.raises(ContentError) as caught:
            pose_public(name, folder, limit=None)
        said = str(caught.value)
        assert read_public(name).place in said
        assert "--data DIR" in said
        assert "\n" not in said
        assert caught.value.exit_code == 3


def test_a_row_that_is_no_question_is_named(tmp_path: Path) -> None:
    path = mmlu(tmp_path) / "data" / "test" / "anatomy_test.csv"
    path.write_text("Which?,a,b,c,d,B\nWhich?,a,b,c,d,E\n", encoding="utf-8")
    with pytest.raises(ContentError, match=r"anatomy_test\.csv: row 2 is no question of mmlu"):
        pose_public("mmlu", tmp_path, limit=None)


def test_tasks_hold_the_rows_and_the_form(tmp_path: Path) -> None:
    """SuperGPQA's, which lm-eval has no task for; those that it has are run below."""
    data = pose_public("supergpqa", supergpqa(tmp_path), limit=None)
    written = write_tasks(data, tmp_path / "lm-eval", shots=0)
    assert [path.name for path in written] == [
        "kgkit_supergpqa_mechanical_engineering.yaml",
        "kgkit_supergpqa_mining_engineering.yaml",
    ]
    task = yaml.safe_load(written[0].read_text(encoding="utf-8"))
    (row,) = Path(task["dataset_kwargs"]["data_files"]["test"]).read_text("utf-8").splitlines()
    found = json.loads(row)
    assert found["prompt"] == "Which is 0?\nA. no\nB. 0\nC. never\nD. not\nE. none\nAnswer:"
    assert (found["letters"], found["answer"]) == (["A", "B", "C", "D", "E"], 1)
    assert (task["doc_to_text"], task["num_fewshot"]) == ("prompt", 0)
    with pytest.raises(UsageError, match="5 solved examples are wanted and 0 are there"):
        write_tasks(data, tmp_path / "lm-eval", shots=5)


def test_what_lm_eval_says_is_a_choice() -> None:
    scored = {"doc": {"id": "q"}, "filtered_resps": [(-3.0, False), (-1.0, True), (-2.0, False)]}
    assert outcome_of(scored, read_public("mmlu")).chosen == frozenset({1})
    for said, chosen, undecided in (("C", {2}, ""), ("[invalid]", None, "no answer")):
        found = outcome_of({"doc": {"id": "q"}, "filtered_resps": [said]}, read_public("mmlu-pro"))
        assert found.chosen == (frozenset(chosen) if chosen else None)
        assert found.undecided == undecided


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plant")
    (folder / "fan.csv").write_text(MATRIX, encoding="utf-8")
    kgkit("load", folder / "fan.csv", workspace=folder / "w")
    return folder / "w"


def test_the_command_says_how_and_rules_need_no_harness(
    plant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "unpack data.tar" in kgkit("evaluate", "mmlu", workspace=plant, code=3).err
    said = kgkit("evaluate", "general", "--data", tmp_path, workspace=plant, code=2).err
    assert said == "kgkit: --data is for mmlu, mmlu-pro, supergpqa; general needs none\n"
    run = ("evaluate", "mmlu", "--data", str(mmlu(tmp_path)), "--plain")
    found = kgkit(*run, "--model", "first", "--json", workspace=plant).json
    scores = [one for one in found["scores"] if (one["model"], one["slice"]) == ("first", "")]
    assert {one["metric"]: one["value"] for one in scores}["exact match"] == 0.25
    assert found["published"][0]["table"] == "Table 7"
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    said = kgkit(*run, "--model", "local:smollm2", workspace=plant, code=1).err
    assert "pip install 'kgkit[evaluation]'" in said


def random_model(directory: Path) -> Path:
    """A Llama of two layers that never learned, with the bundled tokenizer: it has letters, and prefers some at random."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(1)
    file = content.path("corpora", "tokenizer", "tokenizer.json")
    end = "<|endoftext|>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file), eos_token=end, pad_token=end)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=4096,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        initializer_range=0.4,
    )
    LlamaForCausalLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.mark.lm_eval
@pytest.mark.local
@pytest.mark.parametrize("name", ["mmlu", "mmlu-pro", "supergpqa"])
def test_our_table_has_lm_evals_own_numbers(name: str, plant: Path, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="not installed: make test-lm-eval")
    model = random_model(tmp_path / "tiny")
    made = {"mmlu": mmlu, "mmlu-pro": mmlu_pro, "supergpqa": supergpqa}[name]
    (tmp_path / "data-of").mkdir()
    run = ("evaluate", name, "--data", str(made(tmp_path / "data-of")), "--model", f"local:{model}")
    scores = kgkit(*run, "--json", workspace=plant).json["scores"]
    ours = {
        one["slice"].removeprefix("discipline="): one
        for one in scores
        if one["model"].startswith("local:tiny")
        and one["metric"] == "exact match"
        and one["slice"].startswith("discipline=")
    }
    (kept,) = (plant / "evaluations" / name / "lm-eval" / "results").glob("*.json")
    own = json.loads(kept.read_text(encoding="utf-8"))["results"]
    metric = "exact_match,custom-extract" if name == "mmlu-pro" else "acc,none"
    theirs = {
        task.removeprefix(f"kgkit_{name}_".replace("-", "_")).replace("_", "-"): one[metric]
        for task, one in own.items()
    }
    assert {subject: one["value"] for subject, one in ours.items()} == theirs
    assert ours
