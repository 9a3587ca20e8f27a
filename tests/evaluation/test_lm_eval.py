"""On an exported task folder lm-evaluation-harness finds the log probabilities and the choices that kgkit finds."""

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kgkit.evaluation.asks import Way, asks_of, outcome_of
from kgkit.evaluation.harness import write_tasks
from kgkit.questions.files import read_questions
from kgkit.questions.wording import read_wording
from kgkit.records import Question, Reply
from kgkit.settings import read_settings
from kgkit.teacher.local import LocalTeacher
from tests.integration.models import missing, smollm2
from tests.walk import kgkit

pytestmark = [pytest.mark.lm_eval, pytest.mark.local, pytest.mark.timeout(1800)]

WAY = Way(mode="logprob", by="letters", examples=(), wording=read_wording("en"))
TYPES = {"single": 8, "true-false": 8, "multiple": 8}
CLOSE = 1e-3


@pytest.fixture(scope="module")
def questions(starter_template: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Question]:
    """24 questions of a benchmark with all three types."""
    if importlib.util.find_spec("lm_eval") is None:
        missing("lm-evaluation-harness is not installed: make test-lm-eval")
    folder = tmp_path_factory.mktemp("exported") / "mix"
    made = kgkit("export", folder, "--format", "jsonl", "--only", "fmsr-mix", "--json", workspace=starter_template)  # fmt: skip
    found = read_questions(folder / made.json["configs"]["fmsr-mix"]["test"]["path"])
    return [
        one
        for type_, count in TYPES.items()
        for one in [q for q in found if q.type == type_][:count]
    ]


@pytest.fixture(scope="module")
def theirs(
    questions: list[Question], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[list[float]]]:
    """Question id -> for each of its rows the log probabilities of the choices, by lm-evaluation-harness."""
    folder, out = tmp_path_factory.mktemp("tasks"), tmp_path_factory.mktemp("out")
    tasks = write_tasks(questions, folder, name="mix", version=1, wording=WAY.wording)
    subprocess.run(
        [
            sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={smollm2()},dtype=float32",
            "--include_path", folder, "--tasks", ",".join(tasks), "--apply_chat_template", "--log_samples",
            "--output_path", out, "--device", "cpu", "--batch_size", "8",
        ],
        check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
    )  # fmt: skip
    found: dict[str, dict[int, list[float]]] = defaultdict(dict)
    for path in out.rglob("samples_*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            sample: dict[str, Any] = json.loads(line)
            scores = [float(score) for score, _ in sample["filtered_resps"]]
            assert sample["acc"] == (scores.index(max(scores)) == sample["doc"]["gold"])
            found[sample["doc"]["id"]][sample["doc"]["row"]] = scores
    return {id_: [rows[row] for row in sorted(rows)] for id_, rows in found.items()}


@pytest.fixture(scope="module")
def ours(questions: list[Question]) -> dict[str, list[Reply]]:
    """Question id -> the replies to its asks, by kgkit, in the same number format."""
    import torch

    async def asked() -> dict[str, list[Reply]]:
        teacher = LocalTeacher(smollm2(), cache_dir=read_settings().cache_dir)

        async def of(question: Question) -> list[Reply]:
            asks = asks_of(question, WAY, identity=teacher.identity)
            return await asyncio.gather(*(teacher.answer(ask) for ask in asks))

        try:
            return {
                question.id: replies
                for question, replies in zip(
                    questions, await asyncio.gather(*map(of, questions)), strict=True
                )
            }
        finally:
            await teacher.close()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("kgkit.teacher.local_model._number_format", lambda _: torch.float32)
        return asyncio.run(asked())


def scores_of(replies: Sequence[Reply]) -> list[list[float]]:
    return [[sum(tokens) for tokens in json.loads(reply.text)] for reply in replies]


def test_log_probabilities_of_every_option_are_the_same(
    questions: list[Question],
    ours: dict[str, list[Reply]],
    theirs: dict[str, list[list[float]]],
) -> None:
    assert len(questions) == sum(TYPES.values()) == len(theirs)
    for question in questions:
        found = scores_of(ours[question.id])
        assert len(found) == len(theirs[question.id])
        for mine, other in zip(found, theirs[question.id], strict=True):
            assert mine == pytest.approx(other, abs=CLOSE), question.stem


def test_choices_are_the_same(
    questions: list[Question],
    ours: dict[str, list[Reply]],
    theirs: dict[str, list[list[float]]],
) -> None:
    for question in questions:
        rows = theirs[question.id]
        if question.type == "multiple":
            chosen = frozenset(at for at, (yes, no) in enumerate(rows) if yes > no) or None
        else:
            ((*scores,),) = rows
            chosen = frozenset({scores.index(max(scores))})
        assert outcome_of(question, ours[question.id], WAY).chosen == chosen, question.stem
