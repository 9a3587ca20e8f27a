"""`benchmarks/leave_one_out.py`: the committed results are what their families' scores give, and runs that share them do not hurt each other."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import leave_one_out
from kgkit.lock import hold

RESULTS = Path(leave_one_out.__file__).parent / "results"


def family(*, teach: float, kernel: float, n: int = 10, training: str = "one") -> dict[str, Any]:
    """A family's scores, as the file keeps them."""
    scores = {
        "local:teach (unnamed-statements)": {"all": {"value": teach, "n": n}},
        "token kernel": {"all": {"value": kernel, "n": n}},
    }
    return {"metric": "exact match", "scores": scores, "training": training}


@pytest.mark.parametrize("recipe", ["teach", "embedder"])
def test_committed_results_are_what_their_families_give(recipe: str) -> None:
    kept = json.loads((RESULTS / f"leave_one_out-{recipe}.json").read_text(encoding="utf-8"))
    families = kept["families"]
    again = {
        "together": leave_one_out.together(families),
        "beside": leave_one_out.beside(families, recipe),
    }
    assert json.loads(json.dumps(again)) == {key: kept[key] for key in again}


def test_questions_count_alike_whatever_family_they_are_of() -> None:
    found = {
        "pumps": family(teach=0.9, kernel=0.5, n=30),
        "fans": family(teach=0.5, kernel=0.6, n=10),
    }
    all_of = leave_one_out.together(found)["local:teach (unnamed-statements)"]["all"]
    assert all_of == {"value": pytest.approx(0.8), "n": 40}
    gained = leave_one_out.beside(found, "teach")["token kernel"]["all"]
    assert gained["difference"] == pytest.approx((0.4 * 30 - 0.1 * 10) / 40)
    assert gained["families"] == 2
    assert gained["ci_low"] is gained["p"] is None  # two families tell no interval


def test_an_answerer_that_one_family_lacks_has_no_score_over_all() -> None:
    found = {
        "pumps": family(teach=0.9, kernel=0.5),
        "fans": family(teach=0.5, kernel=0.6),
    }
    del found["fans"]["scores"]["token kernel"]
    assert set(leave_one_out.together(found)) == {"local:teach (unnamed-statements)"}


def test_families_that_were_trained_in_other_ways_are_no_one_result() -> None:
    found = {
        "pumps": family(teach=0.9, kernel=0.5),
        "fans": family(teach=0.5, kernel=0.6, training="another"),
    }
    with pytest.raises(SystemExit, match="pumps; fans"):
        leave_one_out.require_alike(found)


def test_a_run_waits_for_another_that_writes_the_results(tmp_path: Path) -> None:
    lock = tmp_path / "results.lock"
    ended = []

    def wait() -> None:
        with leave_one_out.held(lock):
            ended.append(time.monotonic())

    with hold(lock):
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.2)
        assert not ended
        let_go = time.monotonic()
    waiting.join(10)
    assert ended
    assert ended[0] >= let_go
