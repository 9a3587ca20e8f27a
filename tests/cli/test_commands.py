"""What a user sees where something is odd: said in one line, never passed over."""

import contextlib
import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from kgkit import derive
from kgkit.cli import main
from kgkit.cli.asking import _print_changes
from kgkit.cli.output import say_changes
from kgkit.cli.session import GlobalOptions
from kgkit.derive import Changes
from kgkit.withdrawn import Said
from kgkit.workspace import Workspace
from tests.walk import MATRIX, kgkit, matrix_file

COMPRESSOR = "Equipment,Failure mode,Cause\nGas booster compressor train,Leak,wear\n"


def test_options_for_files_without_a_file_are_refused(tmp_path: Path) -> None:
    for option in (("--role", "evaluation"), ("--layout", "fmea"), ("--sheet", "A")):
        assert "name the files" in kgkit("load", *option, workspace=tmp_path / "w", code=2).err
    assert not (tmp_path / "w").exists()


def test_what_is_not_asked_for_a_held_out_name_is_said(tmp_path: Path) -> None:
    path = tmp_path / "booster.csv"
    path.write_text(COMPRESSOR)
    kgkit("load", path, workspace=tmp_path / "w")
    asset = ("--asset", "Gas booster compressor train")
    for command in (("expand", *asset), ("plan", "expand", *asset)):
        said = kgkit(*command, workspace=tmp_path / "w").err
        assert "would name a held-out asset: describe 1, discover 1" in said


def test_asks_that_a_stopped_run_left_are_not_called_withdrawn(
    starter: Path, tmp_path: Path
) -> None:
    kgkit("expand", "--asset", "fan", "--max-calls", "5", workspace=starter, code=5)
    said = kgkit("load", matrix_file(tmp_path), workspace=starter).err
    assert "have no reply yet" in said
    assert "or a run stopped before; `kgkit expand` asks those about tables, `kgkit extend`" in said


def test_a_plan_names_withdrawn_passages_before_edges_and_counts_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    edges = [Said(id=f"e{n}", kind="MENTIONS", asset="pump", about="a", ask="b") for n in range(12)]
    text = Said(id="p", kind="qa", asset="pump", about="pump, vibration", ask="c")
    _print_changes({}, [*edges, text], [text])
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == [
        "withdrawn", "kind", "qa", *["MENTIONS"] * 9, "...", "would", "kind", "qa",
    ]  # fmt: skip
    assert "... and 3 more (--json lists up to 1000)\n" in said


@pytest.mark.parametrize(
    ("missing", "said"),
    [(1, "1 ask of earlier runs has no"), (2, "2 asks of earlier runs have no")],
)
def test_one_ask_is_no_asks(missing: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    changes = Changes(written=0, removed=0, missing=missing, withdrawn=())
    options = GlobalOptions(
        workspace=None, store=None, teacher=None, json=False, verbose=False, quiet=False
    )
    say_changes(options, changes)
    assert capsys.readouterr().err.startswith(said)


def test_a_list_is_json_in_csv(tmp_path: Path) -> None:
    kgkit("load", matrix_file(tmp_path), workspace=tmp_path / "w")
    out = kgkit(
        "query", "MATCH (a:Asset) RETURN a.id, a.sources", "--csv", workspace=tmp_path / "w"
    ).out
    _, (asset, sources) = csv.reader(io.StringIO(out))
    assert asset == "mixer"
    assert isinstance(json.loads(sources), list)


def test_a_reader_that_has_seen_enough_is_no_error(starter: Path) -> None:
    query = "MATCH (a)-[r]->(b) RETURN a.id, b.id, r.sources"
    line = [sys.executable, "-m", "kgkit", "--workspace", str(starter), "query", query, "--csv"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == b""


def test_a_load_that_finds_no_row_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("Equipment,Failure mode\n")
    (tmp_path / "fan.csv").write_text("Equipment,Failure mode,Tier\nfan,leak,2\nfan,wear,C\n")
    said = kgkit("load", tmp_path / "empty.csv", tmp_path / "fan.csv", workspace=tmp_path / "w").err
    assert "warning: empty.csv: no row below the headings: nothing is loaded\n" in said
    assert "rows of tier C are left out; `--tier C` loads them\n" in said
    assert said.count("warning") == 1


def test_a_load_that_was_cut_off_writes_its_rejects_when_it_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("Equipment,Failure mode\nMixer,Leak\nMixer,\n")
    workspace = Workspace(tmp_path / "w")

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(derive, "bring_up_to_date", killed)
        kgkit("load", path, workspace=workspace.root, code=130)
    kgkit("status", "-q", workspace=workspace.root)
    with monkeypatch.context() as patch:
        patch.setattr(derive, "read_workspace_tables", killed)
        kgkit("load", path, workspace=workspace.root, code=130)
    kgkit("load", path, workspace=workspace.root, code=3)
    assert "no failure_mode" in workspace.rejects.read_text()
    workspace.rejects.unlink()
    kgkit("load", path, workspace=workspace.root, code=3)
    assert "no failure_mode" in workspace.rejects.read_text()


def test_held_out_assets_are_said_apart_with_what_they_have(starter: Path) -> None:
    found = {one["id"]: one for one in kgkit("status", "--json", workspace=starter).json["assets"]}
    compressor = found["compressor"]
    assert compressor["sensors"] > 0
    lines = kgkit("status", workspace=starter).out.splitlines()
    (held_out,) = (line for line in lines if line.startswith("held out: "))
    assert (
        f"compressor ({compressor['failure_modes']} failure modes, {compressor['sensors']} sensors)"
        in held_out
    )
    (without,) = (line for line in lines if line.startswith("without sensors so far: "))
    assert "compressor" not in without
    assert without.endswith("more (--json lists all)")
    assert max(map(len, lines)) < 400


def test_lint_says_which_layout_each_table_has(tmp_path: Path) -> None:
    path = matrix_file(tmp_path)
    workspace = tmp_path / "w"
    assert "sensor-matrix" in kgkit("lint", path, workspace=workspace).out
    found = kgkit("lint", path, "--json", workspace=workspace).json
    assert found["findings"] == []
    assert found["files"] == kgkit("load", path, "--json", workspace=workspace).json["files"]


def test_a_review_is_loaded_as_its_hint_says_without_a_word_about_its_own_sheets(
    starter: Path, tmp_path: Path
) -> None:
    kgkit("expand", "--asset", "fan", workspace=starter)
    said = kgkit("export", tmp_path / "r", "--format", "review", workspace=starter).err
    path = tmp_path / "r" / "review.xlsx"
    assert said.endswith(f"then: kgkit load {path} --workspace {starter}\n")
    assert [line for line in kgkit("lint", path, workspace=starter).out.splitlines() if ":" in line] == []  # fmt: skip
    loaded = kgkit("load", path, workspace=starter)
    assert loaded.err.startswith("next: ")
    assert "how to fill in" not in loaded.out


def test_a_table_breaks_no_word_of_its_first_column(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from kgkit.cli.output import print_table

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    print_table(["stage", *["not planned now"] * 7], [("interaction-centric", *["no reference"] * 7)])  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("interaction-centric ") for line in lines)


def test_curation_and_every_export_say_what_comes_next(starter: Path, tmp_path: Path) -> None:
    kgkit("expand", "--asset", "fan", workspace=starter)
    curated = kgkit("curate", workspace=starter)
    assert "tells of the evaluation" not in curated.out
    assert curated.err == f"next: kgkit export DIR --workspace {starter}\n"
    for format_, said in (
        ("jsonl", 'load_dataset("json", data_files='),
        ("llamafactory", f"dataset_dir: {tmp_path / 'llamafactory'} and dataset: kgkit_kd_"),
        ("axolotl", f"run axolotl in {tmp_path / 'axolotl'}"),
        ("hf", f'load_dataset("{tmp_path / "hf"}", "'),
    ):
        err = kgkit("export", tmp_path / format_, "--format", format_, workspace=starter).err
        assert said in err.splitlines()[-1], format_


def test_what_an_edit_withdraws_is_said_in_short_after_the_table(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    kgkit("load", matrix_file(tmp_path), workspace=workspace)
    kgkit("expand", "--asset", "mixer", workspace=workspace)
    said = io.StringIO()
    matrix_file(tmp_path, MATRIX.replace("unbalance,x,,", "unbalance,,,x"))
    both = contextlib.redirect_stdout(said), contextlib.redirect_stderr(said)
    with both[0], both[1], contextlib.suppress(SystemExit):
        main(["load", str(tmp_path / "mixer.csv"), "--workspace", str(workspace)])
    lines = said.getvalue().splitlines()
    (number,) = (at for at, line in enumerate(lines) if line.startswith("withdrawn, as "))
    assert number > next(at for at, line in enumerate(lines) if line.startswith("graph: "))
    assert len(lines[number]) < 240
    plan = kgkit("plan", "expand", "--asset", "mixer", workspace=workspace).out
    gone = kgkit("plan", "expand", "--asset", "mixer", "--json", workspace=workspace).json
    asks = {one["ask"] for one in gone["withdrawn"]["items"]}
    assert asks
    assert all(ask[:12] in plan and ask not in plan for ask in asks)
