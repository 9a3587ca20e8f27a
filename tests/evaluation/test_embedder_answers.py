"""An embedder answers questions: who knows the matrices is always right, whatever is asked and however; what cannot be answered is refused."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from kgkit.graph.open import open_store
from kgkit.graph.store import GraphStore
from kgkit.names import spoken
from kgkit.questions.facts import facts
from kgkit.retrieval.embedder import Embedder
from kgkit.settings import Settings
from kgkit.workspace import Workspace
from tests.evaluation.embedders import words
from tests.walk import kgkit

QUERY = re.compile(r"Asset: (.*?)(?:, Category: [^,]*)?, (Fault|Sensor): (.*)")


@pytest.fixture(autouse=True)
def _no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kgkit.teacher.local_embedding.encoder", lambda _: None)


class Knowing:
    """Vectors are the texts themselves; what the matrices tick is near."""

    prompts: dict[str, str] = {}  # noqa: RUF012 - as sentence-transformers has them

    def __init__(self, graph: GraphStore) -> None:
        names = {
            str(id_): spoken(str(name))
            for id_, name in graph.query("MATCH (a:Asset) RETURN a.id, a.name").rows
        }
        ticked = [one for one in facts(graph, "relevance") if one.holds]
        self._near = {(names[one.asset], "Fault", one.left_name, one.right_name) for one in ticked}
        self._near |= {
            (names[one.asset], "Sensor", one.right_name, one.left_name) for one in ticked
        }

    def encode_query(self, texts: Sequence[str], **_: object) -> list[str]:
        return list(texts)

    encode_document = encode_query

    def similarity(self, queries: list[str], items: list[str]) -> np.ndarray:
        asked = [QUERY.fullmatch(query) for query in queries]
        return np.array(
            [
                [0.6 + 0.3 * ((*one.groups(), item) in self._near) for item in items]
                for one in asked
                if one
            ]
        )


@pytest.fixture
def knowing(starter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = words(tmp_path / "knowing").directory
    owner = Workspace(starter).choices().id
    store = open_store(
        "ladybug", workspace=starter, owner=owner, settings=Settings(), read_only=True
    )
    model = Embedder(name="knowing", identity="knowing@1", directory=folder, model=Knowing(store))
    store.close()
    monkeypatch.setattr("kgkit.evaluation.embedder_answers.open_embedder", lambda *_, **__: model)
    return folder


@pytest.mark.parametrize("benchmark", ["fmsr", "fmsr-mix", "fmsr-hard"])
def test_who_knows_the_matrices_is_right_in_every_form_and_variant(
    benchmark: str, starter: Path, knowing: Path
) -> None:
    found = kgkit(
        "evaluate", benchmark, "--model", f"embedder:{knowing}", "--json", workspace=starter
    ).json
    exact = {
        one["slice"]: one["value"]
        for one in found["scores"]
        if (one["model"], one["metric"]) == ("knowing", "exact match")
    }
    assert set(exact.values()) == {1.0}
    (kept,) = (starter / "evaluations" / benchmark).glob("knowing-*.json")
    result = json.loads(kept.read_text())
    assert result["identity"] == "knowing@1"
    assert all(one["held"] for one in result["outcomes"])


def test_the_stem_is_the_query_of_questions_from_elsewhere(
    starter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = words(tmp_path / "counted")
    monkeypatch.setattr("kgkit.evaluation.embedder_answers.open_embedder", lambda *_, **__: model)
    path = tmp_path / "theirs.jsonl"
    rows = [
        {
            "stem": "What is called a pump",
            "options": ["valve", "pump", "fan"],
            "correct": [1],
        }
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = kgkit(
        "evaluate", path, "--model", model.directory, "--plain", "--json", workspace=starter
    ).json
    scores = [one for one in found["scores"] if one["model"] == "counted" and not one["slice"]]
    assert scores[0]["value"] == 1.0
    path.write_text(
        json.dumps({"stem": "A pump pumps.", "options": ["True", "False"], "correct": [0]})
    )
    refused = kgkit("evaluate", path, "--model", model.directory, workspace=starter, code=2).err
    assert "needs a sensor matrix of the workspace to tell what is near enough" in refused


def test_statements_need_families_that_are_not_asked_about(starter: Path, knowing: Path) -> None:
    line = ("evaluate", "fmsr-mix", "--each-family", "--model", f"embedder:{knowing}")
    said = kgkit(*line, workspace=starter, code=2).err
    assert "no training row of FM2S is about another family" in said


def test_an_embedder_that_has_learned_from_held_out_families_is_refused(
    starter: Path, knowing: Path
) -> None:
    (knowing / "kgkit-run.yaml").write_text(
        "trained_on: {protocol: transfer, families: [compressors], corpora: [x]}\n"
    )
    line = ("evaluate", "fmsr", "--model", f"embedder:{knowing}")
    assert "has learned from compressors" in kgkit(*line, workspace=starter, code=2).err
