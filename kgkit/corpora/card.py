"""Turn an export's manifest into a dataset card: what is inside, how it was made, what it may be used for."""

from collections.abc import Mapping
from typing import Any, cast

import yaml

from kgkit import __version__
from kgkit.corpora.kinds import MADE_OF
from kgkit.corpora.row import Corpus
from kgkit.extend.options import DESCRIPTIONS
from kgkit.graph.store import GraphStore
from kgkit.splits import Split
from kgkit.teacher.ledger import Ledger


def card(
    manifest: dict[str, object],
    corpora: Mapping[str, Corpus],
    *,
    graph: GraphStore,
    ledger: Ledger,
    split: Split,
) -> str:
    """README.md with the YAML head that `datasets` reads and sections that people read."""
    configs = cast("dict[str, dict[str, dict[str, Any]]]", manifest["configs"])
    head = {
        "pretty_name": "Industrial asset knowledge made with kgkit",
        "language": ["en"],
        "license": "other",
        "tags": ["kgkit", "synthetic", "reliability"],
        "configs": [
            {
                "config_name": name,
                "data_files": [
                    {"split": split_, "path": part["path"]} for split_, part in parts.items()
                ],
            }
            for name, parts in configs.items()
        ],
    }
    sections = [
        f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n",
        "# Industrial asset knowledge made with kgkit\n",
        _inside(configs, corpora),
        _left_out(manifest),
        _made(graph, ledger),
        _splits(split),
        _limits(graph),
    ]
    return "\n".join(sections)


def _inside(configs: dict[str, dict[str, dict[str, Any]]], corpora: Mapping[str, Corpus]) -> str:
    lines = ["## What is inside\n", "| config | split | rows | what |", "|---|---|---:|---|"]
    for name, parts in configs.items():
        for split, part in parts.items():
            lines.append(f"| {name} | {split} | {part['rows']} | {corpora[name].summary} |")
    lines.append("\nColumns:\n")
    for name in configs:
        columns = corpora[name].columns.items()
        lines.append(f"- `{name}`: {', '.join(f'`{column}` {type_}' for column, type_ in columns)}")
    if any("messages" in corpora[name].columns for name in configs):
        lines.append(
            "\nA conversation stands twice: as `messages` (lists of role and content), which LLaMA-Factory and axolotl read, and as "
            "`prompt` with `completion`, which TRL takes where both are there, so that the loss is on the answer alone."
        )
    return "\n".join(lines) + "\n"


def _left_out(manifest: dict[str, object]) -> str:
    reasons = cast("dict[str, dict[str, int]]", manifest["left_out"])
    if not reasons:
        return ""
    lines = [
        "Rows that were left out (rules of corpora/curation.yaml; `held out`: the relation names a held-out asset):\n",
        "| config | reason | rows |",
        "|---|---|---:|",
        *(f"| {name} | {why} | {n} |" for name, some in reasons.items() for why, n in some.items()),
    ]
    return "\n".join(lines) + "\n"


def _made(graph: GraphStore, ledger: Ledger) -> str:
    rows = graph.query(
        "MATCH (p:Passage) WHERE p.kind IN $kinds RETURN p.teacher AS teacher, p.prompt AS prompt,"
        " p.prompt_version AS version, count(p) AS passages ORDER BY teacher, prompt, version",
        {"kinds": sorted(MADE_OF)},
    ).dicts()
    lines = [
        "## How it was made\n",
        f"Tables were read into a graph by kgkit {__version__} without a language model; a teacher extended it.",
        "Every row names its table cells (`sources`) or the ask that it comes from (`ask`).\n",
        "| teacher | prompt | version | passages |",
        "|---|---|---|---:|",
        *(
            f"| {row['teacher']} | {row['prompt']} | {row['version']} | {row['passages']} |"
            for row in rows
        ),
    ]
    if any(row["teacher"] == "reference" for row in rows):
        lines.append(
            "\nThe teacher `reference` is no language model: its passages restate the loaded tables in fixed sentences."
        )
    rejected = [
        (stage, reason, n)
        for stage, reasons in ledger.rejected().items()
        if stage != DESCRIPTIONS
        for reason, n in reasons.items()
    ]
    if rejected:
        lines += [
            "\nReplies that were not accepted:\n",
            "| stage | reason | replies |",
            "|---|---|---:|",
        ]
        lines += [f"| {stage} | {reason} | {n} |" for stage, reason, n in sorted(rejected)]
    return "\n".join(lines) + "\n"


def _splits(split: Split) -> str:
    held_out = ", ".join(split.held_out) or "none"
    dev = ", ".join(split.dev) or "none"
    return (
        "## Splits\n\n"
        f"By asset family, split `{split.name}`: held out (never generated about, split `test` if exported): {held_out}; "
        f"`validation`: {dev}; all other families are in `train`.\n"
    )


def _limits(graph: GraphStore) -> str:
    files = graph.query(
        "MATCH (a:Asset) WHERE a.sources IS NOT NULL UNWIND a.sources AS source RETURN DISTINCT source"
    ).rows
    names = sorted({str(source).split("#")[0].split("!")[0] for (source,) in files})
    return (
        "## Licences and limits\n\n"
        "Synthetic text: check it before you act on it. The licence of a row follows the tables it comes from and the "
        "terms of the teacher; starter tables under `iso17359/` are rebuilt from IBM/FailureSensorIQ (CC BY 4.0, "
        "attribute it), those under `iso14224/` carry a source per row. No text of any standard is included.\n\n"
        f"Tables that name its assets: {', '.join(f'`{name}`' for name in names) or 'none'}.\n"
    )
