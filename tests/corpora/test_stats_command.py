import shutil
from pathlib import Path

import pytest

from tests.conftest import Open
from tests.walk import kgkit


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory, starter_template: Path) -> Path:
    """A workspace with the passages of one asset in it."""
    path = tmp_path_factory.mktemp("described") / "w"
    shutil.copytree(starter_template, path)
    kgkit("expand", "--asset", "pump", "-q", workspace=path)
    return path


def test_stats_say_what_the_graph_holds_and_change_nothing(
    described: Path, tmp_path: Path, open_workspace: Open
) -> None:
    before = (described / "ledger.sqlite").read_bytes()
    said = kgkit("stats", "--json", "--out", tmp_path / "out", workspace=described).json
    run = kgkit("stats", workspace=described)
    assert (described / "ledger.sqlite").read_bytes() == before
    graph = open_workspace(described).graph
    kinds = graph.query("MATCH (p:Passage) RETURN p.kind, p.asset, count(p)").rows
    assert sorted((row["kind"], row["asset"], row["passages"]) for row in said["rows"]) == sorted(
        kinds
    )
    assert sum(row["tokens"] for row in said["rows"]) == said["corpora"][0]["tokens"] > 0
    assert said["tokenizer"] == {"name": "SmolLM2 (bundled)", "vocabulary": 49152}
    assert said["published"]["corpora"]["kd_base"] == {"passages": 7307, "million_tokens": 2.32}
    assert said["rejected"] == [{"stage": "link", "reason": "no reference", "replies": 190}]
    files = [Path(path) for path in said["figures"]]
    assert [path.stem for path in files[::2]] == [
        "passages",
        "tokens",
        "lengths",
        "rejects",
        "terms",
    ]
    for path in files:
        assert path.parent == tmp_path / "out"
        assert path.read_bytes() == (described / "stats" / path.name).read_bytes()
    assert "tokens counted with SmolLM2 (bundled)" in run.out
    for words in (
        "7,307",
        "asset_sensor_failure_mode",
        "distinct-4",
        "on the pump",
        "no reference",
    ):
        assert words in run.out
    assert "next: kgkit export DIR" in run.err


def test_stats_of_a_workspace_without_passages_say_what_makes_some(starter: Path) -> None:
    run = kgkit("stats", workspace=starter)
    assert "no passages yet" in run.out
    assert "next: kgkit expand --asset ASSET" in run.err
    assert sorted(path.name for path in (starter / "stats").iterdir()) == ["terms.png", "terms.svg"]


def test_stats_without_a_workspace_say_how_to_make_one(tmp_path: Path) -> None:
    run = kgkit("stats", workspace=tmp_path / "w", code=1)
    assert "is no workspace yet: run `kgkit load` first" in run.err
    assert not (tmp_path / "w").exists()
