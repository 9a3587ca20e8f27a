"""Examine what a run needs: one check each, with what to do if it fails. Changes nothing."""

import asyncio
import importlib.metadata
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kgkit import content
from kgkit.corpora.curation import read_spec
from kgkit.corpora.published import alia_corpora
from kgkit.corpora.raft_corpus import read_raft_spec
from kgkit.errors import KgkitError
from kgkit.evaluation.public import check_public
from kgkit.evaluation.published import published_scores
from kgkit.evaluation.retain import read_retention
from kgkit.finetune.arms import check_recipes
from kgkit.graph.open import open_store
from kgkit.prompts import check_prompts
from kgkit.questions.benchmark import check_benchmarks
from kgkit.retrieval.tasks import check_tasks
from kgkit.schemas import graph_spec
from kgkit.settings import Settings
from kgkit.splits import read_split
from kgkit.workspace import Choices, Workspace

_EXTRAS = {"corpora": "matplotlib", "local": "torch", "finetune": "trl", "evaluation": "lm-eval"}
_FREE_GIB = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding. `remedy` is empty when all is well."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def examine(workspace: Workspace, choices: Choices, settings: Settings) -> list[Check]:
    """Every check, in a fixed order."""
    return [
        Check(
            name="versions",
            ok=True,
            detail=f"kgkit {_version('kgkit')}, Python {sys.version.split()[0]}, ladybug {_version('ladybug')}, "
            f"neo4j {_version('neo4j')}, openai {_version('openai')}",
        ),
        *_extras(),
        _content(),
        _tried(
            "split",
            lambda: (
                f"{choices.split}: held out {', '.join(read_split(choices.split).held_out) or 'none'}"
            ),
        ),
        _disk(workspace.root),
        _tried("store", lambda: _store(workspace, choices, settings)),
        _tried("teacher", lambda: _teacher(choices, settings)),
    ]


def check_content() -> list[str]:
    """What is wrong with the prompts, schemas, splits, curation and papers' numbers in use; empty if nothing is."""
    findings = check_prompts()
    for read in (
        graph_spec,
        _layouts,
        lambda: read_split("default"),
        alia_corpora,
        published_scores,
        read_retention,
        check_benchmarks,
        check_public,
        check_tasks,
        read_spec,
        read_raft_spec,
        check_recipes,
    ):
        try:
            read()
        except KgkitError as error:
            findings.append(str(error))
    return findings


def _layouts() -> object:
    from kgkit.tables.layouts import read_layouts

    return read_layouts()


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _extras() -> Iterator[Check]:
    for extra, distribution in _EXTRAS.items():
        version = _version(distribution)
        missing = version == "not installed"
        yield Check(
            name=f"extra {extra}",
            ok=True,
            detail=f"{distribution} {version}",
            remedy=f'pip install "kgkit[{extra}]" if you want it' if missing else "",
        )


def _content() -> Check:
    findings = check_content()
    places = ", ".join(sorted({str(content.folder(name).parent) for name in content.FOLDERS}))
    return Check(
        name="content",
        ok=not findings,
        detail="; ".join(findings) or places,
        remedy="mend the files, or unset KGKIT_CONTENT" if findings else "",
    )


def _disk(root: Path) -> Check:
    place = next(
        folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists()
    )
    free = shutil.disk_usage(place).free / 2**30
    enough = free >= _FREE_GIB
    return Check(
        name="disk",
        ok=enough,
        detail=f"{free:.1f} GiB free at {place}",
        remedy="" if enough else f"free {_FREE_GIB} GiB, or choose another --workspace",
    )


def _tried(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name=name, ok=True, detail=look())
    except KgkitError as error:
        return Check(name=name, ok=False, detail=str(error), remedy="as it says")


def _store(workspace: Workspace, choices: Choices, settings: Settings) -> str:
    if choices.store == "ladybug" and not workspace.config.exists():
        return f"ladybug: no workspace at {workspace.root} yet; `kgkit load` makes it"
    store = open_store(
        choices.store, workspace=workspace.root, owner=choices.id, settings=settings, read_only=True
    )
    try:
        assets = store.query("MATCH (a:Asset) RETURN count(a)").rows[0][0]
    finally:
        store.close()
    return f"{store.uri}: {assets} assets"


def _teacher(choices: Choices, settings: Settings) -> str:
    if choices.teacher == "reference":
        return "reference: restates loaded tables; not a language model"
    if choices.teacher.startswith("local:"):
        from kgkit.teacher.local import LocalTeacher

        model = LocalTeacher(choices.teacher.removeprefix("local:"), cache_dir=settings.cache_dir)
        return f"{model.name}: {model.directory}"
    from kgkit.teacher.endpoint import printable_url
    from kgkit.teacher.probe import probe

    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else None
    found = asyncio.run(probe(choices.teacher, choices.model or None, api_key=key))
    kept = "keeps to JSON schemas" if found.json_schema else "plain formats"
    return f"{printable_url(choices.teacher)} {found.model}: {kept}, {'' if found.logprobs else 'no '}log probabilities"
