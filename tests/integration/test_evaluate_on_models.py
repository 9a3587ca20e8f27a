"""`kgkit evaluate` on the real SmolLM2, in this process and on vLLM: the same questions, the same choices."""

import json
from pathlib import Path

import pytest

from tests.walk import kgkit

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(3000)]


def choices(workspace: Path, name: str) -> dict[str, list[int] | None]:
    """What the model chose, by question id."""
    (kept,) = (workspace / "evaluations" / "fmsr").glob(f"{name}*.json")
    return {one["id"]: one["chosen"] for one in json.loads(kept.read_text())["outcomes"]}


@pytest.mark.parametrize(
    ("by", "questions", "alike"),
    [
        ("letters", 24, 0.95),
        ("minimal-pairs", 24, 0.95),
        pytest.param("letters", 200, 0.98, marks=pytest.mark.long),
    ],
)
def test_vllm_and_the_local_model_choose_alike(
    vllm, starter: Path, by: str, questions: int, alike: float
) -> None:
    line = ("evaluate", "fmsr", "--plain", "--by", by, "--limit", str(questions), "--json")
    here = kgkit(*line, "--model", "local:smollm2", workspace=starter).json
    there = kgkit(*line, "--model", vllm.url, workspace=starter).json
    assert not any(score["n_errors"] for found in (here, there) for score in found["scores"])
    one, other = choices(starter, "local-smollm2"), choices(starter, "http")
    assert one.keys() == other.keys()
    assert len(one) == questions
    assert sum(one[id_] == other[id_] for id_ in one) >= alike * questions
