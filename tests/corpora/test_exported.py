"""What an export holds: what curation leaves, in files that datasets, LLaMA-Factory and axolotl read as their manuals say."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from kgkit.corpora.curated import FILE_NAME
from tests.walk import kgkit, matrix_file

CONFIGS = ["kd_base", "kd_qa", "kd_qa_raft", "triples", "relevance", "cpt"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixer with documents, questions and answers with evidence."""
    folder = tmp_path_factory.mktemp("mixer")
    kgkit("load", matrix_file(folder), workspace=folder / "w")
    kgkit("expand", "--asset", "mixer", workspace=folder / "w")
    kgkit("extend", "qa", "raft", "--asset", "mixer", workspace=folder / "w")
    return folder / "w"


@pytest.fixture
def plant(template: Path, tmp_path: Path) -> Path:
    return shutil.copytree(template, tmp_path / "w")


def rows(folder: Path, config: str) -> list[dict[str, Any]]:
    """The rows of a config that was exported as JSON lines."""
    return [
        json.loads(line)
        for path in sorted((folder / config).glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def passage_ids(workspace: Path, kind: str) -> list[str]:
    found = kgkit(
        "query", "MATCH (p:Passage {kind: $kind}) RETURN p.id ORDER BY p.id", "--param", f"kind={kind}", "--json",
        workspace=workspace,
    ).json["rows"]  # fmt: skip
    return [id_ for (id_,) in found]


def rewrite(workspace: Path, id_: str, text: str) -> None:
    kgkit(
        "query", "MATCH (p:Passage {id: $id}) SET p.text = $text", "--param", f"id={id_}", "--param", f"text={text}",
        "--write", workspace=workspace,
    )  # fmt: skip


def export(workspace: Path, folder: Path, *options: str | Path) -> Any:
    return kgkit("export", folder, "--json", *options, workspace=workspace).json


def test_what_curation_leaves_out_is_counted_and_is_in_no_file(plant: Path, tmp_path: Path) -> None:
    before = export(plant, tmp_path / "a", "--format", "jsonl")
    gone = passage_ids(plant, "asset_sensor")[0]
    rewrite(plant, gone, "Too short.")
    after = export(plant, tmp_path / "b", "--format", "jsonl")
    for config in ("kd_base", "cpt"):
        reasons = before["left_out"].get(config, {})
        assert after["left_out"][config] == {
            **reasons,
            "too short": reasons.get("too short", 0) + 1,
        }
        assert gone in [row["id"] for row in rows(tmp_path / "a", config)]
        assert gone not in [row["id"] for row in rows(tmp_path / "b", config)]
    assert "too short | 1" in (tmp_path / "b" / "README.md").read_text(encoding="utf-8")


def test_no_document_shows_a_summary_that_is_left_out(plant: Path, tmp_path: Path) -> None:
    before = export(plant, tmp_path / "a", "--format", "jsonl")
    about = [row["oracle_ids"][0] for row in rows(tmp_path / "a", "kd_qa_raft")]
    gone = about[0]
    rewrite(plant, gone, "Too short.")
    after = export(plant, tmp_path / "b", "--format", "jsonl")
    reasons = before["left_out"].get("kd_qa_raft", {})
    assert after["left_out"]["kd_qa_raft"] == {
        **reasons, "its summary is left out": about.count(gone) + reasons.get("its summary is left out", 0),
    }  # fmt: skip
    for row in rows(tmp_path / "b", "kd_qa_raft"):
        assert gone not in row["oracle_ids"] + row["distractor_ids"]
        assert "Too short." not in row["documents"]


def test_an_evaluation_question_in_a_passage_fails_the_export_and_says_where(
    plant: Path, tmp_path: Path
) -> None:
    export(plant, tmp_path / "a", "--format", "jsonl")
    told = rows(tmp_path / "a", "kd_qa")[0]
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"question": told["question"]}) + "\n", encoding="utf-8")
    result = kgkit("export", tmp_path / "b", "--against", questions, workspace=plant, code=1)
    said = re.search(
        r"passage (\w+) of kd_qa(?:_raft)? has words that are (?:equal to|near) a stem, '(.*?)': ",
        result.err,
    )
    assert said
    assert said[2] == told["question"]
    assert said[1] in [
        id_ for kind in ("qa", "raft", "summary") for id_ in passage_ids(plant, kind)
    ]
    assert "nothing was exported" in result.err
    assert not (tmp_path / "b").exists()
    questions.write_text(
        '{"question": "Which gas fills the balloon that we saw?"}\n', encoding="utf-8"
    )
    assert export(plant, tmp_path / "b", "--against", questions)["leakage"]["found"] == 0


def test_a_curation_of_other_passages_is_made_again(plant: Path) -> None:
    def passages() -> int:
        return int(sum(kgkit("curate", "--json", workspace=plant).json["passages"].values()))

    first = passages()
    kept = (plant / FILE_NAME).read_bytes()
    assert (passages(), (plant / FILE_NAME).read_bytes()) == (first, kept)
    assert first > 0
    kgkit("load", "--remove", "mixer.csv", workspace=plant)
    assert passages() == 0


def test_a_row_of_evidence_teaches_to_answer_from_its_documents(
    plant: Path, tmp_path: Path
) -> None:
    export(plant, tmp_path / "a", "--format", "jsonl", "--only", "kd_qa_raft")
    found = rows(tmp_path / "a", "kd_qa_raft")
    assert found
    for row in found:
        user, assistant = row["messages"]
        shown = "".join(f"<DOCUMENT>{text}</DOCUMENT>\n" for text in row["documents"])
        assert user == {"role": "user", "content": shown + row["question"]}
        assert assistant == {"role": "assistant", "content": row["answer"]}
        assert (row["prompt"], row["completion"]) == ([user], [assistant])
        assert len(row["documents"]) == len(row["distractor_ids"]) + row["has_oracle"]
        assert row["prompt_name"] == "raft"
        assert row["sources"]


def test_every_config_opens_with_the_columns_of_the_card_also_as_a_stream(
    plant: Path, tmp_path: Path
) -> None:
    import datasets

    made = export(plant, tmp_path / "a")
    assert list(made["configs"]) == CONFIGS
    card = (tmp_path / "a" / "README.md").read_text(encoding="utf-8")
    types = {"string": "string", "integer": "int64", "float": "float64", "boolean": "bool"}
    for config, parts in made["configs"].items():
        (line,) = [line for line in card.splitlines() if line.startswith(f"- `{config}`: ")]
        said = dict(part.split("` ") for part in line.partition(": `")[2].split(", `"))
        for split, part in parts.items():
            whole, stream = (
                datasets.load_dataset(
                    str(tmp_path / "a"),
                    config,
                    split=split,
                    streaming=streaming,
                    cache_dir=str(tmp_path / "c"),
                )
                for streaming in (False, True)
            )
            assert whole.num_rows == part["rows"]
            assert list(stream) == whole.to_list()
            turns = datasets.List(
                {"role": datasets.Value("string"), "content": datasets.Value("string")}
            )
            lists = {"string[]": datasets.List(datasets.Value("string")), "messages": turns}
            assert whole.features == {
                name: lists.get(type_) or datasets.Value(types[type_])
                for name, type_ in said.items()
            }


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LlamaFactoryColumns(_Closed):
    """What a description may map; for texts to learn as they are, `prompt` alone."""

    prompt: str | None = None
    query: str | None = None
    response: str | None = None
    messages: str | None = None
    system: str | None = None


class LlamaFactoryTags(_Closed):
    """How a message says who speaks, and what."""

    role_tag: str = "from"
    content_tag: str = "value"
    user_tag: str = "human"
    assistant_tag: str = "gpt"
    system_tag: str = "system"


class LlamaFactoryDataset(_Closed):
    """A dataset description, as LLaMA-Factory's data/README.md documents it."""

    file_name: str
    formatting: Literal["alpaca", "sharegpt"] = "alpaca"
    ranking: bool = False
    split: str = "train"
    columns: LlamaFactoryColumns = LlamaFactoryColumns()
    tags: LlamaFactoryTags = LlamaFactoryTags()


class AxolotlDataset(_Closed):
    """An entry of `datasets`, as axolotl's config reference documents it (src/axolotl/utils/schemas/datasets.py, SFTDataset)."""

    path: str
    ds_type: Literal["json", "parquet", "arrow", "csv", "text"] | None = None
    split: str | None = None
    type: Literal["completion", "chat_template"]
    field: str | None = None
    field_messages: str | None = None
    roles_to_train: list[str] | None = None
    train_on_eos: Literal["all", "turn", "last"] | None = None


class AxolotlLists(_Closed):
    datasets: list[AxolotlDataset] = Field(min_length=1)
    test_datasets: list[AxolotlDataset] = []


def test_llama_factory_reads_what_its_description_says(plant: Path, tmp_path: Path) -> None:
    export(plant, tmp_path / "a", "--format", "llamafactory")
    info = json.loads((tmp_path / "a" / "dataset_info.json").read_text(encoding="utf-8"))
    assert list(info) == [
        f"kgkit_{name}" for name in CONFIGS if name not in ("triples", "relevance")
    ]
    for name, description in info.items():
        said = LlamaFactoryDataset.model_validate(description)
        lines = (tmp_path / "a" / said.file_name).read_text(encoding="utf-8").splitlines()
        for row in map(json.loads, lines):
            if said.formatting == "alpaca":
                assert said.columns == LlamaFactoryColumns(prompt="text")
                assert row["text"]
                continue
            turns = row[said.columns.messages or "conversations"]
            assert [turn[said.tags.role_tag] for turn in turns] == [
                said.tags.user_tag, said.tags.assistant_tag,
            ], name  # fmt: skip
            assert all(turn[said.tags.content_tag] for turn in turns)


def test_axolotl_reads_what_its_lists_say(plant: Path, tmp_path: Path) -> None:
    import datasets

    export(plant, tmp_path / "a", "--format", "axolotl")
    text = (tmp_path / "a" / "axolotl.yaml").read_text(encoding="utf-8")
    lists = AxolotlLists.model_validate(yaml.safe_load(text))
    assert len(lists.datasets) == 4
    for entry in [*lists.datasets, *lists.test_datasets]:
        found = datasets.load_dataset(
            entry.ds_type,
            data_files=str(tmp_path / "a" / entry.path),
            split=entry.split,
            cache_dir=str(tmp_path / "c"),
        )
        if entry.type == "completion":
            assert all(found[entry.field or "text"])
        else:
            for messages in found[entry.field_messages or "messages"]:
                assert [message["role"] for message in messages] == ["user", "assistant"]
            assert entry.roles_to_train == ["assistant"]


def test_a_budget_shows_in_the_export_and_no_duplicate_is_taken(
    plant: Path, tmp_path: Path
) -> None:
    first, second = passage_ids(plant, "asset_sensor")[:2]
    export(plant, tmp_path / "a", "--format", "jsonl")
    text = {row["id"]: row["text"] for row in rows(tmp_path / "a", "kd_base")}[first]
    rewrite(plant, second, text)
    made = export(
        plant, tmp_path / "b", "--format", "jsonl", "--tokens", "500", "--mix", "kd_base=3,kd_qa=1"
    )
    found = rows(tmp_path / "b", "cpt")
    spent = {
        name: sum(row["tokens"] for row in found if row["corpus"] == name)
        for name in ("kd_base", "kd_qa")
    }
    assert 375 <= spent["kd_base"] < 375 + max(row["tokens"] for row in found)
    assert 125 <= spent["kd_qa"] < 125 + max(row["tokens"] for row in found)
    assert sum(spent.values()) == sum(row["tokens"] for row in found)
    assert made["left_out"]["cpt"]["duplicate"] >= 1
    assert made["left_out"]["cpt"]["over the budget"] > 0
    assert len({row["text"] for row in found}) == len(found)
