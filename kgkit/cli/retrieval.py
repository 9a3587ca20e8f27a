"""The part of `evaluate` that ranks: retrieval tasks, put to embedders beside what needs no model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kgkit.cli.output import hint, hint_next, print_json, print_table, say
from kgkit.cli.session import GlobalOptions, evaluating, reading

if TYPE_CHECKING:
    from kgkit.evaluation.retrieval_bench import PosedTasks, RetrievalResult
    from kgkit.evaluation.retrieval_table import RetrievalTable
    from kgkit.settings import Settings


def evaluate_retrieval(
    options: GlobalOptions,
    models: Sequence[str],
    *,
    holdout: str | None,
    each_family: bool,
    compare: bool,
    allow_contaminated: bool,
) -> None:
    """Rank the items of every retrieval task, and print what is found. Raises KgkitError."""
    from kgkit.evaluation.intervals import require_statistics
    from kgkit.evaluation.rankers import require_bm25
    from kgkit.evaluation.retrieval_bench import (
        EACH,
        kept_results,
        pose_tasks,
        rank_without_model,
    )
    from kgkit.evaluation.retrieval_table import retrieval_table
    from kgkit.retrieval.embedder import find_embedder
    from kgkit.settings import read_settings
    from kgkit.teacher.local_embedding import encoder

    require_statistics("kgkit evaluate")
    require_bm25("kgkit evaluate retrieval")
    settings = read_settings()
    for uri in models:
        find_embedder(uri, cache_dir=settings.cache_dir)
    with reading(options) as derivation:
        posed = pose_tasks(
            derivation.graph, derivation.split, holdout=EACH if each_family else holdout
        )
        with evaluating(derivation.workspace) as (folder, _):
            embed = encoder(settings.cache_dir)
            hint(options, "ranking without a model")
            without_model = rank_without_model(posed, embed=embed)
            results = [
                _result(uri, posed, folder, options, settings, allow=allow_contaminated)
                for uri in models
            ]
            kept = kept_results(folder, posed, but=results) if compare else []
            found = retrieval_table(posed, without_model, [*results, *kept])
            found.write(folder / "retrieval")
            _draw(found, folder / "retrieval")
    _show(options, found, encoder_missing=embed is None)


def _draw(found: "RetrievalTable", folder: Path) -> None:
    """The figure, and a remark on where it is, or why it is not."""
    from kgkit.evaluation.retrieval_figure import draw_retrieval

    try:
        drawn = draw_retrieval(found, folder)
    except ImportError:
        found.remarks.append(
            "no figure: matplotlib is not installed; pip install 'kgkit[evaluation]'"
        )
    else:
        found.remarks.append(f"figure: {', '.join(path.name for path in drawn)} in {folder}")


def _result(
    uri: str,
    posed: "PosedTasks",
    folder: Path,
    options: GlobalOptions,
    settings: "Settings",
    *,
    allow: bool,
) -> "RetrievalResult":
    from kgkit.evaluation.retrieval_bench import evaluate_embedder
    from kgkit.retrieval.embedder import open_embedder

    embedder = open_embedder(uri, cache_dir=settings.cache_dir)
    return evaluate_embedder(
        embedder,
        posed,
        folder,
        allow_contaminated=allow,
        on_task=lambda task: hint(options, f"{embedder.name}: {task}"),
    )


def _show(options: GlobalOptions, found: "RetrievalTable", *, encoder_missing: bool) -> None:
    from kgkit.evaluation.retrieval_table import TASK_COLUMNS
    from kgkit.evaluation.set_table import SET_COLUMNS, set_rows

    if options.json:
        print_json(found.as_json())
        return
    print_table(TASK_COLUMNS, found.task_rows())
    say("")
    print_table(found.columns(), found.score_rows())
    if found.sets:
        say("")
        print_table(SET_COLUMNS, set_rows(found.sets))
    for line in found.remarks:
        say(line)
    for beside in found.published:
        say(f"\n{beside.standing}: {beside.heading}")
        print_table(beside.columns, beside.rows)
    if encoder_missing:
        hint(
            options,
            "no semantic kernel and no untuned MiniLM: `kgkit teacher pull minilm` fetches it (extra local)",
        )
    if not found.verdicts:
        hint_next(options, "evaluate retrieval --model embedder:minilm")
