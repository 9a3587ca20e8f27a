"""The curation of a graph's passages: kept beside the ledger, made again when passages, rules or questions changed."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from kgkit.corpora.curate import curate
from kgkit.corpora.curation import CuratedInput, Curation, basis, load, read_spec, save
from kgkit.corpora.kinds import CORPUS_OF, MADE_OF
from kgkit.expand.scope import Assets
from kgkit.graph import reading
from kgkit.graph.store import GraphStore
from kgkit.splits import Split

FILE_NAME = "curation.parquet"


def curation_of(
    graph: GraphStore, *, split: Split, folder: Path, stems: Sequence[str] = ()
) -> Curation:
    """The curation of all passages of `graph`, from `folder` where it stands as it would be made now.

    `stems` are evaluation questions that no passage may tell of.
    """
    spec = read_spec()
    held_out = Assets(reading.assets(graph, role=None), split).held_out_pattern
    made_of = basis(graph.state(), spec=spec, held_out=held_out, stems=stems)
    found = load(folder / FILE_NAME, basis=made_of)
    if found is None:
        passages = (
            CuratedInput(
                id=passage.id,
                kind=passage.kind,
                group=CORPUS_OF[passage.kind],
                text=f"{passage.question}\n{passage.text}" if passage.question else passage.text,
            )
            for passage in reading.passages(graph, MADE_OF)
        )
        found = curate(passages, spec=spec, held_out=held_out, stems=stems)
        with contextlib.suppress(PermissionError):  # a reader of somebody else's workspace
            save(found, folder / FILE_NAME, basis=made_of, passages=graph.state())
    return found


def last(graph: GraphStore, folder: Path) -> Curation | None:
    """The curation that was made last of these very passages, under whatever rules; None if there is none."""
    state = graph.state()
    return load(folder / FILE_NAME, passages=state) if state else None


def forget(folder: Path) -> None:
    """Drop the curation that is kept: passages were changed by hand."""
    (folder / FILE_NAME).unlink(missing_ok=True)
