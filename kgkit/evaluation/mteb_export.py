"""Turn retrieval tasks into a folder for others: each in the layout of BEIR and mteb, and a file of task classes for mteb. Deterministic bytes.

They are for evaluation alone, as all exported benchmarks. A model with prompts for the tasks is asked with them there as here, and
HIT@1, MAP@100 and NDCG@10 are the same.
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from kgkit import __version__
from kgkit.corpora.folder import CARD, Part, configs, replacing, sha256_of, write_manifest
from kgkit.errors import UsageError
from kgkit.evaluation.retrieval_bench import PosedTask, PosedTasks
from kgkit.splits import Split

CLASSES = "kgkit_tasks.py"
_CORPUS, _QUERIES, _QRELS = "corpus.jsonl", "queries.jsonl", "qrels/test.jsonl"
_BEIR_QRELS = "qrels/test.tsv"


@dataclass(slots=True, kw_only=True)
class MtebExport:
    """What was written: task -> its queries; `left_out`: tasks that cannot be measured here, and why."""

    folder: Path
    parts: dict[str, dict[str, Part]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The export as the command line prints it and as its manifest says."""
        return {"configs": configs(self.parts), "left_out": dict(self.left_out)}


def export_tasks(
    folder: Path, posed: PosedTasks, *, only: Sequence[str], split: Split
) -> MtebExport:
    """Write the tasks that were posed, or `only` some of them.

    Raises UsageError for a task that was not posed, and a folder that holds anything but such an export: then it is as it was.
    """
    for name in only:
        if name not in posed.tasks:
            why = posed.left_out.get(name)
            known = ", ".join(posed.tasks)
            raise UsageError(
                f"{name} cannot be exported: {why}"
                if why
                else f"there is no retrieval task {name}; choose from {known}"
            )
    wanted = {name: one for name, one in posed.tasks.items() if not only or name in only}
    folder = folder.resolve()  # a link to a folder goes on leading to it
    written = MtebExport(folder=folder, left_out=posed.left_out)
    with replacing(folder, kind="benchmarks") as new:
        for name, one in wanted.items():
            written.parts[name] = {"test": _write_task(new / name, one)}
        (new / CLASSES).write_text(_classes(wanted), encoding="utf-8")
        (new / CARD).write_text(_card(wanted, split), encoding="utf-8")
        parts = {part.path for splits in written.parts.values() for part in splits.values()}
        files = sorted(
            path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file()
        )
        beside = [path for path in files if path not in parts]
        write_manifest(new, written.as_json(), kind="benchmarks", beside=beside)
    return written


def _write_task(folder: Path, one: PosedTask) -> Part:
    """Corpus, queries, qrels (for datasets and for BEIR) and the card that names them."""
    test = one.folds[0].test
    (folder / "qrels").mkdir(parents=True)
    pairs = [(query.id, item) for query in test.queries for item in sorted(test.relevant[query.id])]
    _write_lines(
        folder / _CORPUS,
        (
            {"_id": item.id, "title": "", "text": item.text, "trained": item.trained}
            for item in test.items
        ),
    )
    _write_lines(
        folder / _QUERIES,
        (
            {"_id": query.id, "text": query.text, "seen": test.seen[query.id]}
            for query in test.queries
        ),
    )
    _write_lines(
        folder / _QRELS,
        ({"query-id": query, "corpus-id": item, "score": 1} for query, item in pairs),
    )
    with (folder / _BEIR_QRELS).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter="\t", lineterminator="\n")
        rows.writerows([("query-id", "corpus-id", "score"), *((*pair, 1) for pair in pairs)])
    (folder / CARD).write_text(_task_card(one), encoding="utf-8")
    path = folder / _QUERIES
    return Part(path=f"{folder.name}/{_QUERIES}", rows=len(test.queries), sha256=sha256_of(path))


def _write_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _task_card(one: PosedTask) -> str:
    """The head by which `datasets` and mteb find the three parts, and what the task is."""
    task = one.task
    head = {
        "configs": [
            {"config_name": name, "data_files": [{"split": split, "path": path}]}
            for name, split, path in (
                ("corpus", "corpus", _CORPUS),
                ("queries", "queries", _QUERIES),
                ("default", "test", _QRELS),
            )
        ]
    }
    return (
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n# {task.name}: {task.title}\n\n"
        f"Version {task.version}; {task.source}. {len(one.relevant)} queries, {len(one.items)} items. "
        f"Instruction: {task.instruction} Output tag: {task.output_tag}. `trained`: training has the item; `seen`: how many of the query's "
        "pairs training has. For evaluation only.\n"
    )


def _card(tasks: Mapping[str, PosedTask], split: Split) -> str:
    families = sorted({family for one in tasks.values() for family in one.families})
    tables = sorted(
        {
            cell.rpartition("!")[0]
            for one in tasks.values()
            for fold in one.folds
            for cell in fold.test.sources
        }
    )
    lines = [
        "# Retrieval tasks made with kgkit\n",
        "**For evaluation only.** A model that has trained on a row of this folder, on a text made from one, or on the tables of the "
        f"families that it asks about ({', '.join(families) or 'none'}), is not measured by it.\n",
        f"Made by kgkit {__version__} from tables, without a language model; split `{split.name}` holds out "
        f"{', '.join(split.held_out) or 'nothing'}. Keys rest on cells of {', '.join(f'`{table}`' for table in tables)}.\n",
        "| task | queries | items | items per query |",
        "|---|---:|---:|---:|",
    ]
    for name, one in tasks.items():
        pairs = sum(len(items) for items in one.relevant.values())
        queries = len(one.relevant)
        lines.append(f"| {name} | {queries} | {len(one.items)} | {pairs / queries:.1f} |")
    lines.append(
        "\n## How to run it\n\n    python kgkit_tasks.py DIR\n\nwith a directory of sentence-transformers. In Python:\n\n```python\nimport kgkit_tasks  # with this folder on sys.path\nimport mteb\nfrom sentence_transformers import SentenceTransformer\n\n"
        'model = SentenceTransformer("DIR")\n'
        "mteb.evaluate(model, [task() for task in kgkit_tasks.TASKS], cache=None)\n```\n\n"
        "`hit_rate_at_1`, `map_at_100` and `ndcg_at_10` are those of `kgkit evaluate retrieval`. Prompts named `FM2S-query`, `FM2S-document` and so on "
        "in the model's own directory stand before the texts. A task's folder is in the layout of BEIR (`qrels/test.tsv`) and of mteb's "
        "data sets; `kgkit_tasks.py` reads the files themselves, since `datasets` would take an earlier export of the same name from its cache.\n\n"
        "## Licences\n\nThe licence of a row follows the tables that it rests on; starter tables under `iso17359/` are rebuilt from "
        "IBM/FailureSensorIQ (CC BY 4.0, attribute it), those under `iso14224/` carry a source per row. No text of any standard is included.\n"
    )
    return "\n".join(lines)


def _classes(tasks: Mapping[str, PosedTask]) -> str:
    """Python for mteb: a class a task."""
    parts = [_HEAD]
    for name, one in tasks.items():
        task = one.task
        parts.append(
            f"class {name}(_Task):\n"
            f"    metadata = _metadata({name!r}, {task.title!r}, {task.instruction!r}, {one.digest()!r})\n"
        )
    parts.append(f"TASKS = [{', '.join(tasks)}]\n{_TAIL}")
    return "\n\n".join(parts)


_HEAD = '''"""Retrieval tasks made with kgkit, for mteb 2: mteb.evaluate(model, [task() for task in TASKS]). For evaluation only."""

import importlib
import json
from pathlib import Path

from datasets import Dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata

FOLDER = Path(__file__).resolve().parent


def _metadata(name, title, instruction, revision):
    return TaskMetadata(
        name=name,
        description=title,
        type="Retrieval",
        category="t2t",
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
        dataset={"path": str(FOLDER / name), "revision": revision},
        prompt={"query": instruction},
    )


class _Task(AbsTaskRetrieval):
    def load_data(self, *_, **__):
        if self.data_loaded:
            return
        folder = FOLDER / self.metadata.name
        relevant = {}
        for row in _rows(folder / "qrels" / "test.jsonl"):
            relevant.setdefault(row["query-id"], {})[row["corpus-id"]] = row["score"]
        corpus = [{"id": row["_id"], "title": row["title"], "text": row["text"]} for row in _rows(folder / "corpus.jsonl")]
        queries = [{"id": row["_id"], "text": row["text"]} for row in _rows(folder / "queries.jsonl")]
        self.dataset = {
            "default": {
                "test": {
                    "corpus": Dataset.from_list(corpus),
                    "queries": Dataset.from_list(queries),
                    "relevant_docs": relevant,
                    "top_ranked": None,
                }
            }
        }
        self.data_loaded = True


def _rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
'''
_TAIL = """# mteb takes a model's prompts for a task only if it knows the task's name
getattr(importlib.import_module("mteb.get_tasks"), "_TASKS_REGISTRY", {}).update({task.metadata.name: task for task in TASKS})

if __name__ == "__main__":
    import sys

    import mteb
    from sentence_transformers import SentenceTransformer

    if len(sys.argv) != 2:
        sys.exit("python kgkit_tasks.py DIR: a directory of sentence-transformers")
    found = mteb.evaluate(SentenceTransformer(sys.argv[1]), [task() for task in TASKS], cache=None)
    for one in found.task_results:
        scores = one.scores["test"][0]
        shown = [f"{name} {scores[name]:.5f}" for name in ("hit_rate_at_1", "map_at_100", "ndcg_at_10")]
        print(one.task_name, *shown)
"""
