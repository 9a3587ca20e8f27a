"""Laws of descriptions: one sentence a term, asked about once, in no corpus, never of what is held out unless it is said."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from kgkit import derive, plans, runs
from kgkit.corpora import curated, lineage, review
from kgkit.corpora.rows import corpora_sha256
from kgkit.derive import Derivation
from kgkit.errors import UsageError
from kgkit.expand.scope import Options
from kgkit.extend.descriptions import KIND, DescribeTerms
from kgkit.extend.options import ExtendOptions
from kgkit.extend.terms import terms_of
from kgkit.graph.dump import dump_lines
from kgkit.names import normal_form
from kgkit.records import Ask, Reply
from kgkit.retrieval.descriptions import described_held_out, descriptions
from kgkit.splits import read_split
from kgkit.stages import BadReply
from kgkit.teacher.budget import Budget
from tests.conftest import Open, take
from tests.scripted import ScriptedTeacher
from tests.walk import kgkit, matrix_file

TABLES = {
    "mixer.csv": "Failure Mode,vibration,oil debris\nbearing damage,x,x\nunbalance,x,\n",
    "crusher.csv": "Failure Mode,vibration,speed\nbearing damage,x,\njam,,x\n",
    "compressor.csv": "Failure Mode,vibration,rod drop\nrider ring wear,,x\nunbalance,x,\n",
    "parts.csv": "Equipment class,Subunit\nmixer,Drive\nmixer,Air compressor\ncompressor,Intercooler\n",
    "classes.csv": "category,equipment_class,class_code\nStirring equipment,Mixer,MX\n",
    "types.csv": "equipment_class,equipment_type\nMixer,Paddle mixer\n",
    "fmea.csv": "Equipment,Component,Failure mode,Cause\nMixer,gearbox,gear wear,no oil\n",
}
OF_THE_MIXER = {
    "mixer", "stirring equipment", "paddle mixer", "drive", "gearbox", "vibration", "oil debris",
    "bearing damage", "unbalance", "gear wear",
}  # fmt: skip


class Describer(ScriptedTeacher):
    """Says of each term something that a hash of the ask chooses; of descriptions some first tries are cut off."""

    def _text(self, ask: Ask, draw: int) -> str:
        if ask.stage != "descriptions":
            return super()._text(ask, draw)
        return f"The {ask.variables['term']} is what fitters of section {draw % 9973} look after day by day."


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the tables, with a workspace `w` that has them loaded."""
    folder = tmp_path_factory.mktemp("loaded")
    paths = [matrix_file(folder, text, name) for name, text in TABLES.items()]
    kgkit("load", *paths, workspace=folder / "w")
    return folder


@pytest.fixture
def plant(loaded: Path, tmp_path: Path, open_workspace: Open) -> Derivation:
    shutil.copytree(loaded / "w", tmp_path / "w")
    return open_workspace(tmp_path / "w")


def describe(
    derivation: Derivation, teacher: Describer, *assets: str, held_out: bool = False
) -> runs.RunReport:
    scopes = runs.scopes_for(
        derivation, assets, Options(), all_assets=not assets, held_out=held_out
    )
    return runs.extend_assets(
        derivation,
        list(scopes.values()),
        options=ExtendOptions(kinds=("descriptions",)),
        teacher=teacher,
        budget=Budget(),
        on_event=lambda _: None,
    )


def expand(derivation: Derivation, *assets: str) -> None:
    runs.expand_assets(
        derivation,
        list(runs.scopes_for(derivation, assets, Options(), all_assets=False).values()),
        teacher=Describer(),
        budget=Budget(),
        on_event=lambda _: None,
    )


def said(derivation: Derivation) -> dict[tuple[str, str], str]:
    """(asset, term) -> what it is about, of all descriptions; none is there twice."""
    rows = derivation.graph.query(
        "MATCH (p:Passage)-[:ABOUT]->(n) WHERE p.kind = 'description' RETURN p.asset, p.name, n.id"
    ).rows
    found = {(str(asset), str(name)): str(about) for asset, name, about in rows}
    assert len(found) == len(rows)
    return found


def test_every_term_of_the_tables_is_described_and_points_at_what_it_names(
    plant: Derivation,
) -> None:
    expand(plant, "mixer")  # a teacher's sensors are no terms
    report = describe(plant, Describer(bad_first=True), "mixer")
    assert said(plant) == {
        ("mixer", "mixer"): "mixer",
        ("mixer", "Stirring equipment"): "mixer",
        ("mixer", "Paddle mixer"): "mixer",
        ("mixer", "Drive"): "mixer.drive",
        ("mixer", "gearbox"): "mixer.gearbox",
        ("mixer", "vibration"): "vibration",
        ("mixer", "oil debris"): "oil-debris",
        ("mixer", "bearing damage"): "bearing-damage",
        ("mixer", "unbalance"): "unbalance",
        ("mixer", "gear wear"): "gear-wear",
    }
    counts = report.stages["descriptions"]
    assert (counts.planned, counts.done, counts.left_out) == (10, 10, 1)  # the air compressor
    found = descriptions(plant.graph, plant.split, held_out=False)
    assert found.keys() == OF_THE_MIXER
    assert all(form in normal_form(sentence) for form, sentence in found.items())


def test_a_term_that_assets_share_is_asked_about_once(plant: Derivation) -> None:
    scopes = list(runs.scopes_for(plant, [], Options(), all_assets=True).values())
    planned = plans.plan_extension(
        plant, scopes, options=ExtendOptions(kinds=("descriptions",)), teacher=Describer()
    )["descriptions"]
    teacher = Describer()
    report = describe(plant, teacher)
    asked = [(ask.variables["kind"], ask.variables["term"]) for ask in teacher.calls]
    assert max(Counter(asked).values()) == 1
    assert len(asked) == planned.asks - planned.cached == len(planned.to_send) == report.calls
    assert report.stages["descriptions"].planned == planned.asks == len(said(plant))
    [totals] = [one for one in plant.ledger.counts() if one.stage == "descriptions"]
    assert totals.accepted == totals.asked == len(asked)
    assert {about for (_, term), about in said(plant).items() if term == "vibration"} == {
        "vibration"
    }


REJECTED = {
    "": "empty",
    "Vibration shows wear. It is measured on bearings of all sorts.": "wrong shape",
    "Vibration is what shows wear! 3 axes of it are measured.": "wrong shape",
    f"Vibration is {'very ' * 60}much.": "wrong shape",
    "Vibration is what an accelerometer on a bearing": "truncated",
    "It is what an accelerometer measures on a bearing.": "subject missing",
    "Vibration is what shakes a compressor, mostly at its speed.": "other asset",
    "Vibration shows wear.": "too short",
    "I'm sorry, I cannot say what vibration is.": "refusal",
}


def test_only_one_sentence_about_the_term_is_taken(plant: Derivation) -> None:
    [scope] = runs.scopes_for(plant, ["mixer"], Options(), all_assets=False).values()
    stage = DescribeTerms(scope, Describer())
    [ask] = [ask for ask in stage.plan(plant.graph) if ask.subject.sensor == "vibration"]

    def reply(text: str) -> Reply:
        return Reply(
            ask_id=ask.id, model="m", text=text, finish_reason="stop",
            tokens_in=1, tokens_out=1, seconds=0.0,
        )  # fmt: skip

    found: dict[str, str] = {}
    for text in REJECTED:
        with pytest.raises(BadReply) as bad:
            stage.parse(ask, reply(text))
        found[text] = bad.value.reason
    assert found == REJECTED
    sentence = "Vibration, e.g. Of a bearing, is the movement that an accelerometer measures."
    for text in (sentence, f"Here is the sentence:\n{sentence}"):
        [node] = stage.parse(ask, reply(text)).nodes
        assert node.properties["text"] == sentence


def test_descriptions_change_no_corpus_no_curation_no_review_and_no_document(
    plant: Derivation,
) -> None:
    def seen() -> object:
        described = {
            str(id_)
            for (id_,) in plant.graph.query(
                "MATCH (p:Passage) WHERE p.kind = 'description' RETURN p.id"
            ).rows
        }
        found = curated.curation_of(plant.graph, split=plant.split, folder=plant.workspace.root)
        return (
            corpora_sha256(plant.graph, plant.split),
            found.report,
            list(review._passages(plant.graph)),
            [
                line
                for line in dump_lines(plant.graph)
                if not described.intersection(line.split('"'))
            ],
        )

    expand(plant, "mixer")
    before = seen()
    describe(plant, Describer())
    made = said(plant)
    assert seen() == before
    expand(plant, "mixer")
    assert (said(plant), seen()) == (made, before)


def test_an_export_says_nothing_of_them(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    kgkit("load", matrix_file(tmp_path), workspace=workspace)
    kgkit("expand", "--asset", "mixer", workspace=workspace)
    kgkit("export", tmp_path / "one", workspace=workspace)
    kgkit("extend", "descriptions", "--asset", "mixer", workspace=workspace)
    kgkit("export", tmp_path / "two", workspace=workspace)
    one, two = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert {name for name in one if one[name] != two[name]} <= {Path("manifest.json")}
    assert two.keys() == one.keys()


def test_all_kinds_are_those_of_corpora(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    kgkit("load", matrix_file(tmp_path), workspace=workspace)
    line = ("--asset", "mixer", "--json")
    asks = kgkit("plan", "extend", "all", *line, workspace=workspace).json["asks"]
    assert "descriptions" not in asks
    both = kgkit("plan", "extend", "descriptions", "all", *line, workspace=workspace).json["asks"]
    assert list(both) == [*asks, "descriptions"]
    assert both["descriptions"]["planned"] == 7


def test_nothing_else_is_made_of_a_held_out_asset(loaded: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    shutil.copytree(loaded / "w", workspace)
    for line in (
        ("extend", "descriptions", "--asset", "compressor"),
        ("extend", "rephrase", "--asset", "compressor", "--describe-held-out"),
        ("extend", "all", "descriptions", "--asset", "mixer", "--describe-held-out"),
        ("plan", "extend", "--asset", "compressor", "--describe-held-out"),
    ):
        assert "held" in kgkit(*line, workspace=workspace, code=2).err
    kgkit("extend", "descriptions", "--all", "--describe-held-out", workspace=workspace)
    told = kgkit(
        "query", "MATCH (p:Passage) RETURN DISTINCT p.asset, p.role", "--json", workspace=workspace
    )
    assert sorted(told.json["rows"]) == [
        ["compressor", "evaluation"],
        ["crusher", "source"],
        ["mixer", "source"],
    ]


def test_a_held_out_asset_is_described_only_where_that_is_said(plant: Derivation) -> None:
    before = corpora_sha256(plant.graph, plant.split)
    describe(plant, Describer())
    assert described_held_out(plant.graph, plant.split) == []
    closed = descriptions(plant.graph, plant.split, held_out=False)
    with pytest.raises(UsageError, match="held out"):
        describe(plant, Describer(), "compressor")
    describe(plant, Describer(), held_out=True)
    assert described_held_out(plant.graph, plant.split) == ["compressor"]
    assert descriptions(plant.graph, plant.split, held_out=False) == closed
    opened = descriptions(plant.graph, plant.split, held_out=True)
    assert opened.keys() - closed.keys() == {
        "compressor",
        "intercooler",
        "rod drop",
        "rider ring wear",
    }
    assert {form: opened[form] for form in closed} == closed
    assert corpora_sha256(plant.graph, plant.split) == before
    assert derive.rebuild(plant)[0] == derive.rebuild(plant)[1]
    assert descriptions(plant.graph, plant.split, held_out=True) == opened


def test_a_second_run_asks_nothing_and_the_order_of_assets_leaves_no_trace(
    plant: Derivation, loaded: Path, tmp_path: Path, open_workspace: Open
) -> None:
    describe(plant, Describer(bad_first=True))
    teacher = Describer(bad_first=True)
    describe(plant, teacher)
    assert teacher.calls == []
    shutil.copytree(loaded / "w", tmp_path / "other")
    other = open_workspace(tmp_path / "other")
    describe(other, Describer(seed=7, bad_first=True), "crusher")
    describe(other, Describer(seed=8, bad_first=True), "mixer")
    assert list(dump_lines(other.graph)) == list(dump_lines(plant.graph))
    before, after = derive.rebuild(plant)
    assert before == after


@pytest.mark.parametrize("expanded", [False, True])
def test_what_no_table_names_any_more_is_no_longer_described(
    tmp_path: Path, open_workspace: Open, expanded: bool
) -> None:
    plant = open_workspace(tmp_path / "w")
    take(
        plant, *(matrix_file(tmp_path, TABLES[name], name) for name in ("mixer.csv", "crusher.csv"))
    )
    if expanded:
        expand(plant, "mixer")
    describe(plant, Describer())
    whole = said(plant)
    take(
        plant, matrix_file(tmp_path, TABLES["mixer.csv"].replace("unbalance", "wear"), "mixer.csv")
    )
    assert whole.items() - said(plant).items() == {(("mixer", "unbalance"), "unbalance")}
    derive.remove_table(plant, "crusher.csv")
    derive.bring_up_to_date(plant)
    assert {asset for asset, _ in said(plant)} == {"mixer"}


@pytest.mark.parametrize("said_so", [False, True])
def test_a_split_that_holds_an_asset_out_withdraws_its_descriptions(
    plant: Derivation, said_so: bool
) -> None:
    opened = replace(plant, split=read_split("none"))
    derive.bring_up_to_date(opened)
    describe(opened, Describer())
    assert described_held_out(plant.graph, plant.split) == ["compressor"]
    derive.bring_up_to_date(plant)
    assert {asset for asset, _ in said(plant)} == {"mixer", "crusher"}
    if said_so:
        describe(plant, Describer(), "compressor", held_out=True)
        derive.rebuild(plant)
        assert described_held_out(plant.graph, plant.split) == ["compressor"]
    derive.bring_up_to_date(opened)
    of_all = descriptions(opened.graph, opened.split, held_out=False)
    assert of_all.keys() >= {"rider ring wear", "air compressor"}


def test_a_description_goes_back_to_the_cells_that_give_the_name(plant: Derivation) -> None:
    describe(plant, Describer(), "mixer")
    cells: dict[str, set[str]] = {}
    rows = plant.graph.query(f"MATCH (p:Passage) WHERE p.kind = '{KIND}' RETURN p.id, p.name").rows
    for id_, name in rows:
        chain = lineage.back(
            str(id_), graph=plant.graph, ledger=plant.ledger, workspace=plant.workspace
        )
        cells[str(name)] = {str(one["text"]) for one in chain if one["what"] == "cell"}
        assert [one["what"] for one in chain][:3] == ["passage", "ask", "reply"]
    assert {name for name, found in cells.items() if not found} == set()
    assert "Paddle mixer" in cells["Paddle mixer"]
    assert "gearbox" in cells["gearbox"]


def test_the_terms_of_an_asset_are_a_function_of_the_tables(plant: Derivation) -> None:
    [scope] = runs.scopes_for(plant, ["mixer"], Options(), all_assets=False).values()
    before = terms_of(plant.graph, scope)
    expand(plant, "mixer")
    assert terms_of(plant.graph, scope) == before
