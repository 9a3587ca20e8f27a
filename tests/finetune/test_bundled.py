"""Every bundled recipe and study goes through on one workspace that has all kinds of documents: data, checks, three steps of each stage."""

import json
from pathlib import Path
from typing import Any

import pytest

from kgkit.finetune.recipe_files import find, kind_of, names
from tests.walk import kgkit

pytestmark = [pytest.mark.local, pytest.mark.timeout(600)]
ASSETS = ("--asset", "electric motor", "--asset", "pump")


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter tables with what the reference teacher writes of two machines."""
    workspace = tmp_path_factory.mktemp("documented") / "w"
    kgkit("load", "--starter", workspace=workspace)
    kgkit("expand", *ASSETS, "--describe-no", workspace=workspace)
    kgkit("extend", "all", *ASSETS, workspace=workspace)
    return workspace


def bundled() -> list[Any]:
    """Recipes and studies by name; the one with twenty arms takes minutes."""
    found = [name for name in names() if kind_of(find(name)) in ("recipe", "study")]
    slow = pytest.mark.long
    return [pytest.param(name, marks=slow) if name == "alia-sweep" else name for name in found]


@pytest.mark.parametrize("name", bundled())
def test_a_bundled_file_goes_through(name: str, model: Path, documented: Path) -> None:
    changes: dict[str, Any] = {
        "lora.layers": None,
        "context": 512,
    }  # the model of the tests has two layers
    if name == "distillation":
        changes["stages.0.distillation.teacher"] = str(model)
    if name.startswith("alia") and kind_of(find(name)) == "recipe":
        changes["precision"] = "float32"
    sets = [word for key, one in changes.items() for word in ("--set", f"{key}={json.dumps(one)}")]
    line: list[str | Path] = ["finetune", name, "--model", model, *sets, "--plan", "--json"]
    said = kgkit(*line, workspace=documented).json
    stages = [stage for one in said.get("arms", {"": said}).values() for stage in one["stages"]]
    assert stages
    assert all(stage["rows"] > 0 and stage["hours_here"] is not None for stage in stages)
