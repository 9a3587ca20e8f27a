"""`kgkit evaluate` on the real SmolLM2, in this process and on vLLM: the same questions, the same choices."""

from pathlib import Path
from statistics import correlation, fmean

import pytest

from tests.integration.evaluated import beliefs, choices
from tests.walk import kgkit

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(3000)]


@pytest.mark.parametrize(
    ("by", "questions", "alike"),
    [
        ("letters", 24, 0.95),
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


def test_vllm_and_the_local_model_find_plain_sentences_as_likely(vllm, starter: Path) -> None:
    """In bfloat16 each is some 0.2 nats (root mean square) off float32, without a leaning; beliefs are some 2 nats apart."""
    line = ("evaluate", "fmsr", "--plain", "--by", "minimal-pairs", "--limit", "24", "--json")
    for model in ("local:smollm2", vllm.url):
        found = kgkit(*line, "--model", model, workspace=starter).json
        assert not any(score["n_errors"] for score in found["scores"])
    here, there = beliefs(starter)
    assert len(here) > 24
    assert correlation(here, there) > 0.95
    assert abs(fmean(here) - fmean(there)) < 0.2
