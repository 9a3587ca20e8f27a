"""The part of `export` that writes benchmarks: which names mean one, and what is said of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kgkit.cli.output import hint, print_json, print_table, say
from kgkit.cli.session import GlobalOptions, reading
from kgkit.errors import UsageError
from kgkit.evaluation.card import Format

if TYPE_CHECKING:
    from kgkit.corpora.folder import Part


def asks_for_benchmarks(only: Sequence[str], format_: str) -> bool:
    """Whether an export is one of benchmarks: by its format, or by the names. Raises UsageError for names of both kinds, and of none."""
    from kgkit.corpora.rows import CORPORA
    from kgkit.evaluation.export import exported_names

    if format_ == "lm-eval":
        return True
    corpora, known = [*CORPORA, "cpt"], exported_names()
    for name in only:
        if name not in (*corpora, *known):
            raise UsageError(
                f"there is no corpus or benchmark {name}; choose from the corpora {', '.join(corpora)}, "
                f"or the benchmarks {', '.join(known)}"
            )
    benchmarks = [name for name in only if name not in corpora]
    if benchmarks and len(benchmarks) < len(only):
        raise UsageError(
            f"{benchmarks[0]} is for evaluation alone and no corpus stands beside it; export it to a folder of its own"
        )
    return bool(benchmarks)


def export_benchmarks(
    options: GlobalOptions,
    folder: Path,
    only: Sequence[str],
    format_: str,
    *,
    for_corpora: Mapping[str, object],
) -> None:
    """Write benchmarks, and say what was written.

    Raises UsageError for a format or an option (`for_corpora`: those given are true) that has no meaning for benchmarks.
    """
    from kgkit.evaluation.export import export

    if format_ not in ("hf", "jsonl", "lm-eval"):
        raise UsageError(
            f"--format {format_} trains; a benchmark is written as hf, jsonl or lm-eval"
        )
    _refuse(for_corpora)
    with reading(options, strict=True) as derivation:
        written = export(
            folder,
            only=only,
            format_=cast("Format", format_),
            graph=derivation.graph,
            split=derivation.split,
        )
    if options.json:
        print_json({**written.as_json(), "folder": str(folder)})
        return
    _show(written.parts, written.left_out, written.folder)
    name, parts = next(iter(written.parts.items()))
    if format_ == "lm-eval":
        hint(
            options,
            f"next: lm_eval --include_path {folder} --tasks {name} --apply_chat_template --model hf --model_args pretrained=MODEL",
        )
    elif format_ == "jsonl":
        hint(options, f"next: kgkit evaluate {folder / parts['test'].path} --model URI")
    else:
        hint(options, f'it opens with datasets.load_dataset("{folder}", "{name}", split="test")')


def export_retrieval(
    options: GlobalOptions,
    folder: Path,
    only: Sequence[str],
    *,
    for_corpora: Mapping[str, object],
) -> None:
    """Write retrieval tasks for mteb, and say what was written. Raises UsageError as `export_benchmarks`."""
    from kgkit.evaluation.mteb_export import CLASSES, export_tasks
    from kgkit.evaluation.retrieval_bench import pose_tasks

    _refuse(for_corpora)
    with reading(options, strict=True) as derivation:
        posed = pose_tasks(derivation.graph, derivation.split)
        written = export_tasks(folder, posed, only=only, split=derivation.split)
    if options.json:
        print_json({**written.as_json(), "folder": str(folder)})
        return
    _show(written.parts, written.left_out, written.folder)
    hint(
        options,
        f"next: python {folder / CLASSES} DIR, with a directory of sentence-transformers",
    )


def _refuse(for_corpora: Mapping[str, object]) -> None:
    """Raise UsageError for an option that has no meaning for benchmarks."""
    for name, given in for_corpora.items():
        if given:
            raise UsageError(f"{name} is for corpora; leave it out for benchmarks")


def _show(
    parts: "Mapping[str, Mapping[str, Part]]", left_out: Mapping[str, str], folder: Path
) -> None:
    print_table(
        ["config", "split", "rows", "file"],
        [
            (name, split, part.rows, part.path)
            for name, splits in parts.items()
            for split, part in splits.items()
        ],
    )
    said = "; ".join(f"{name}: {why}" for name, why in left_out.items())
    say(f"{folder}: for evaluation alone; left out: {said or 'nothing'}")
