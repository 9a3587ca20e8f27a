"""The main job with real models: a local one in this process, and the same one behind a real vLLM server.

A model of 135M parameters is wrong about most things; what is tested is that every reply is either accepted or rejected
with a reason, that nothing is asked twice, and that the graph can be made again without it.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.models import smollm2
from tests.walk import kgkit, matrix_file


def walk(work: Path, table: Path, *teacher: str) -> Any:
    """Expand the mixer within a budget, again without one call more, and rebuild."""
    kgkit("load", table, workspace=work)
    budget = ("--max-calls", "5")
    line = ("expand", "--asset", "mixer", *teacher, *budget, "--json")
    report = kgkit(*line, workspace=work, code=5).json
    assert report["stopped"] == "budget"
    assert report["calls"] == 5
    assert report["tokens_in"] > 300
    assert report["tokens_out"] > 20
    for counts in report["stages"].values():
        ended = counts["done"] + sum(counts["rejected"].values()) + sum(counts["failed"].values())
        assert counts["planned"] == ended + counts["pending"]
        assert not counts["failed"]
    assert kgkit("rebuild", "--json", workspace=work).json["equal"] is True
    return report


@pytest.mark.local
@pytest.mark.timeout(600)
def test_a_local_model_walks_within_its_budget(tmp_path: Path) -> None:
    report = walk(tmp_path / "w", matrix_file(tmp_path), "--teacher", f"local:{smollm2()}")
    assert report["teacher"] == "local:smollm2"


@pytest.mark.vllm
@pytest.mark.timeout(900)
def test_vllm_keeps_to_schemas_and_the_walk_says_what_it_rejects(vllm, tmp_path: Path) -> None:
    work = tmp_path / "w"
    report = walk(work, matrix_file(tmp_path), "--teacher", vllm.url)
    assert report["stages"]["discover"]["done"] == 1, (
        "a schema-bound list of sensors was not accepted"
    )
    facts = kgkit("doctor", "--teacher", vllm.url, "--json", workspace=work).json["checks"]
    detail = next(check["detail"] for check in facts if check["name"] == "teacher")
    assert "keeps to JSON schemas, log probabilities" in detail
    rows = kgkit(
        "query",
        "MATCH ()-[r:RELEVANT_TO]->() WHERE r.origin = 'teacher' RETURN r.label, r.probability",
        "--json",
        workspace=work,
    ).json["rows"]
    assert all(0.0 <= probability <= 1.0 for _, probability in rows if probability is not None)
