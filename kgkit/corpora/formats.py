"""The files that other trainers read beside the rows: LLaMA-Factory's dataset_info.json, axolotl's dataset list.

Source: the projects' documentation of data preparation (LLaMA-Factory `data/README.md`, axolotl `docs/dataset-formats`).
"""

import json
from collections.abc import Mapping

import yaml

from kgkit.corpora.row import Corpus

_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}


def trainable(corpus: Corpus) -> bool:
    """Whether a trainer can take the corpus as it is: conversations, or texts."""
    return "messages" in corpus.columns or "text" in corpus.columns


def dataset_info(files: Mapping[str, Mapping[str, str]], corpora: Mapping[str, Corpus]) -> str:
    """LLaMA-Factory's dataset_info.json for `files` (corpus -> split -> path)."""
    info: dict[str, object] = {}
    for name, parts in files.items():
        for split, path in parts.items():
            entry: dict[str, object] = {"file_name": path}
            if "messages" in corpora[name].columns:
                entry |= {
                    "formatting": "sharegpt",
                    "columns": {"messages": "messages"},
                    "tags": _TAGS,
                }
            else:
                entry |= {"columns": {"prompt": "text"}}
            info[f"kgkit_{name}" if split == "train" else f"kgkit_{name}_{split}"] = entry
    return json.dumps(info, indent=2) + "\n"


def axolotl(files: Mapping[str, Mapping[str, str]], corpora: Mapping[str, Corpus]) -> str:
    """The `datasets` and `test_datasets` lists of an axolotl configuration; paths from the export's folder."""
    lists: dict[str, list[dict[str, object]]] = {"datasets": [], "test_datasets": []}
    for name, parts in files.items():
        for split, path in parts.items():
            entry: dict[str, object] = {"path": path, "ds_type": "json", "split": "train"}
            if "messages" in corpora[name].columns:
                entry |= {
                    "type": "chat_template",
                    "field_messages": "messages",
                    "roles_to_train": ["assistant"],
                    "train_on_eos": "turn",
                }
            else:
                entry |= {"type": "completion", "field": "text"}
            lists["datasets" if split == "train" else "test_datasets"].append(entry)
    return (
        "# Lists for an axolotl configuration: take those that one training uses; its folder is this one.\n"
        + yaml.safe_dump({name: some for name, some in lists.items() if some}, sort_keys=False)
    )
