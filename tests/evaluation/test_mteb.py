"""Retrieval tasks exported for mteb: the layout of BEIR, the same bytes each time, and in mteb itself the numbers of `kgkit evaluate`."""

import ast
import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kgkit.evaluation.retrieval_bench import pose_tasks
from kgkit.retrieval.tasks import read_tasks, task_names
from kgkit.retrieval.texts import stored_prompts
from kgkit.settings import read_settings
from kgkit.splits import read_split
from kgkit.teacher.pull import pull
from tests.conftest import Open
from tests.integration.models import missing
from tests.test_walk import files
from tests.walk import kgkit

METRICS = ("HIT@1", "MAP@100", "NDCG@10")


def test_a_task_is_written_in_the_layout_of_beir(
    starter: Path, tmp_path: Path, open_workspace: Open
) -> None:
    out = tmp_path / "tasks"
    made = kgkit("export", out, "--format", "mteb", "--json", workspace=starter).json
    posed = pose_tasks(open_workspace(starter).graph, read_split("default"))
    assert list(made["configs"]) == task_names() == list(posed.tasks)
    for name, one in posed.tasks.items():
        corpus, queries = _rows(out / name / "corpus.jsonl"), _rows(out / name / "queries.jsonl")
        assert {row["_id"]: row["text"] for row in corpus} == {i.id: i.text for i in one.items}
        assert {row["_id"]: row["text"] for row in queries} == {
            query.id: query.text for query in one.folds[0].test.queries
        }
        pairs = {(query, item) for query, items in one.relevant.items() for item in items}
        with (out / name / "qrels" / "test.tsv").open(newline="") as file:
            heading, *rows = csv.reader(file, delimiter="\t")
        assert heading == ["query-id", "corpus-id", "score"]
        assert {(query, item) for query, item, _ in rows} == pairs
        assert {row[2] for row in rows} == {"1"}
        of_json = _rows(out / name / "qrels" / "test.jsonl")
        assert {(row["query-id"], row["corpus-id"]) for row in of_json} == pairs
    assert "For evaluation only" in (out / "README.md").read_text()


def test_datasets_reads_the_three_parts_by_their_names(starter: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    kgkit("export", tmp_path / "tasks", "--format", "mteb", "--only", "A2S", workspace=starter)
    sizes = {
        name: load_dataset(
            str(tmp_path / "tasks" / "A2S"), name, split=split, cache_dir=str(tmp_path / "cache")
        ).num_rows
        for name, split in (("corpus", "corpus"), ("queries", "queries"), ("default", "test"))
    }
    assert sizes == {"corpus": 53, "queries": 2, "default": 23}


def test_the_classes_are_those_of_the_tasks_and_the_same_bytes_each_time(
    starter: Path, tmp_path: Path
) -> None:
    for name in ("a", "b", "a"):
        kgkit("export", tmp_path / name, "--format", "mteb", workspace=starter)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    tree = ast.parse((tmp_path / "a" / "kgkit_tasks.py").read_text())
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    assert classes == ["_Task", *task_names()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "X2Y"), "there is no retrieval task X2Y; choose from A2S, C2FM"),
        (("--only", "kd_base"), "there is no retrieval task kd_base"),
        (("--split", "train"), "--split is for corpora"),
    ],
)
def test_what_is_no_retrieval_task_is_refused(
    arguments: tuple[str, ...], message: str, starter: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert (
        message
        in kgkit("export", out, "--format", "mteb", *arguments, workspace=starter, code=2).err
    )
    assert not (tmp_path / "out").exists()


def test_tasks_never_take_the_place_of_corpora(starter: Path, tmp_path: Path) -> None:
    kgkit("export", tmp_path / "out", "--only", "triples", workspace=starter)
    line = ("export", tmp_path / "out", "--format", "mteb")
    assert (
        "holds corpora, and benchmarks never stand in their place"
        in kgkit(*line, workspace=starter, code=2).err
    )


@pytest.mark.lm_eval
@pytest.mark.local
@pytest.mark.timeout(1800)
def test_mteb_finds_the_numbers_of_kgkit_with_and_without_prompts(
    starter: Path, tmp_path: Path
) -> None:
    if importlib.util.find_spec("mteb") is None:
        missing("mteb is not installed: make test-lm-eval")
    plain = pull("minilm", cache_dir=read_settings().cache_dir)
    prompted = tmp_path / "prompted"
    _save_with_prompts(plain, prompted)
    out = tmp_path / "tasks"
    kgkit("export", out, "--format", "mteb", workspace=starter)
    line = ("evaluate", "retrieval", "--model", plain, "--model", prompted, "--json")
    scores = kgkit(*line, workspace=starter, env={"CUDA_VISIBLE_DEVICES": ""}).json["scores"]
    found = {}
    for model in (plain, prompted):
        theirs = _in_mteb(model, out)
        ours = {
            (one["task"], one["metric"]): one["value"]
            for one in scores
            if (one["model"], one["slice"]) == (model.name, "")
        }
        for task in task_names():
            rounded = [round(ours[task, metric], 5) for metric in METRICS]  # as mteb does
            assert theirs[task] == pytest.approx(rounded, abs=1e-6), task
        found[model.name] = theirs
    assert found[plain.name]["FM2CLS"] != found["prompted"]["FM2CLS"]


def _save_with_prompts(source: Path, target: Path) -> None:
    """In a process of its own: what the library warns of is not ours."""
    code = (
        "import json, sys; from sentence_transformers import SentenceTransformer as S;"
        "S(sys.argv[1], prompts=json.loads(sys.argv[3]), device='cpu').save(sys.argv[2])"
    )
    prompts = json.dumps(stored_prompts(read_tasks()))
    subprocess.run([sys.executable, "-c", code, source, target, prompts], check=True)


def _in_mteb(model: Path, tasks: Path) -> dict[str, list[float]]:
    """Task -> its three numbers, as the exported file prints them."""
    run = subprocess.run(
        [sys.executable, tasks / "kgkit_tasks.py", model],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    lines = [line.split() for line in run.stdout.splitlines()]
    return {
        line[0]: [float(number) for number in line[2::2]]
        for line in lines
        if line[0] in task_names()
    }


def _rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
