"""`curate` and `export`: what is left out of the corpora and why, and the corpora as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from kgkit.cli.output import command_line, hint, hint_next, print_json, print_table, reasons, say
from kgkit.cli.session import SEE_ALSO, GlobalOptions, options_of, reading

if TYPE_CHECKING:
    from kgkit.corpora.curation import Curation
    from kgkit.corpora.export import Export
    from kgkit.corpora.row import Corpus
    from kgkit.derive import Derivation

Against = Annotated[
    list[Path] | None,
    typer.Option(
        help="Questions that no passage may tell of: an exported benchmark, FailureSensorIQ's JSONL, MMLU's CSV, or JSONL, CSV or Parquet with a column question, stem or text; repeatable."
    ),
]
_PAIRS_SHOWN = 5
"""Pairs of near-duplicates that `curate` shows; --json holds more."""


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(epilog=SEE_ALSO)(curate)
    app.command(epilog=SEE_ALSO)(export)


def curate(context: typer.Context, against: Against = None) -> None:
    """What export leaves out, and why: filters, near-duplicates, and what tells of the evaluation.

    Example: kgkit curate --against questions.jsonl; the rules stand in corpora/curation.yaml
    """
    options = options_of(context)
    with reading(options, strict=True) as derivation:
        found = _curation(derivation, against)
    leaks = [
        {"id": leak.id, "corpus": leak.group, "what": leak.what, "where": leak.where, "question": leak.stem}
        for leak in found.kept_leaks()
    ]  # fmt: skip
    if options.json:
        print_json({**found.report, "leaks_kept": leaks})
        return
    report = cast("dict[str, dict[str, int]]", found.report)
    left_out = cast("dict[str, dict[str, int]]", found.report["reasons"])
    print_table(
        ["corpus", "passages", "left out"],
        [
            (name, count, reasons(left_out.get(name, {})))
            for name, count in report["passages"].items()
        ],
    )
    if leaks:
        print_table(
            ["tells of the evaluation", "corpus", "how", "where"],
            [(leak["id"], leak["corpus"], leak["what"], leak["where"]) for leak in leaks],
        )
    duplicates = found.report["duplicates"]
    _say_duplicates(cast("dict[str, object]", duplicates), leaks=len(leaks))
    if not leaks:
        hint_next(options, "export DIR")


def _say_duplicates(duplicates: "dict[str, object]", *, leaks: int) -> None:
    """How many duplicates there are, and some pairs of the near ones."""
    pairs = cast("list[dict[str, Any]]", duplicates["sample"])[:_PAIRS_SHOWN]
    if pairs:
        print_table(
            ["alike", "left out", "kept"],
            [
                (f"{one['jaccard']:.2f}", one["left_out"]["opening"], one["kept"]["opening"])
                for one in pairs
            ],
        )
    say(f"{duplicates['exact']} exact and {duplicates['near']} near duplicates, {leaks} leaks")


def export(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new folder, or one of an earlier export.")
    ],
    format_: Annotated[
        Literal["hf", "jsonl", "llamafactory", "axolotl", "lm-eval", "mteb", "review"],
        typer.Option(
            "--format",
            help="hf: Parquet for datasets, TRL and whoever reads these. lm-eval: benchmarks as tasks. mteb: retrieval tasks. review: a workbook for an expert to fill in.",
        ),
    ] = "hf",
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="This corpus, this benchmark, or this retrieval task, alone; repeatable."
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="train, validation, test (held-out rows of tables); default the first two."
        ),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Budget of the corpus cpt, in tokens.")
    ] = None,
    mix: Annotated[
        str, typer.Option(help="Shares of that budget: kd_base=1,kd_extend=0.5 (others none).")
    ] = "",
    tokenizer: Annotated[
        Path | None,
        typer.Option(help="Folder with tokenizer.json; without it the bundled one of SmolLM2."),
    ] = None,
    against: Against = None,
) -> None:
    """Corpora, or benchmarks (never both in one folder), -> files with a dataset card.

    Example: kgkit export corpus, then datasets.load_dataset("corpus", "kd_base")
    """
    from kgkit.cli.benchmarks import asks_for_benchmarks, export_benchmarks, export_retrieval
    from kgkit.corpora import export as exporting
    from kgkit.corpora.raft_corpus import raft
    from kgkit.corpora.row import SIDES, SplitName
    from kgkit.errors import UsageError

    options = options_of(context)
    if format_ == "review":
        _export_review(options, folder)
        return
    for_corpora = {
        "--split": split, "--tokens": tokens, "--mix": mix, "--tokenizer": tokenizer, "--against": against,
    }  # fmt: skip
    if format_ == "mteb":
        export_retrieval(options, folder, only or (), for_corpora=for_corpora)
        return
    if asks_for_benchmarks(only or (), format_):
        export_benchmarks(options, folder, only or (), format_, for_corpora=for_corpora)
        return
    splits = split or ["train", "validation"]
    for name in splits:
        if name not in SIDES.values():
            raise UsageError(f"--split {name}: use train, validation or test")
    with reading(options, strict=True) as derivation:
        curation = _curation(derivation, against)
        order = exporting.order(
            only=only or (),
            format_=cast("exporting.Format", format_),
            splits=cast("list[SplitName]", splits),
            made=[raft(without=curation.verdicts), _cpt(tokens, _shares(mix), tokenizer)],
        )
        written = exporting.export(
            folder,
            graph=derivation.graph,
            ledger=derivation.ledger,
            split=derivation.split,
            curation=curation,
            order=order,
        )
    if options.json:
        print_json({**written.as_json(), "folder": str(folder)})
        return
    _print(written)
    hint(options, _opens(written, folder, format_))


def _opens(written: "Export", folder: Path, format_: str) -> str:
    """How the first corpus of an export is used, in the words of its format's reader."""
    name, parts = next((name, parts) for name, parts in written.parts.items() if parts)
    split, part = next(iter(parts.items()))
    if format_ == "llamafactory":
        dataset = f"kgkit_{name}" if split == "train" else f"kgkit_{name}_{split}"
        return f"next: train with dataset_dir: {folder} and dataset: {dataset}"
    if format_ == "axolotl":
        return f"next: copy lists of {folder / 'axolotl.yaml'} into your configuration and run axolotl in {folder}"
    if format_ == "jsonl":
        return f'it opens with datasets.load_dataset("json", data_files="{folder / part.path}")'
    return f'it opens with datasets.load_dataset("{folder}", "{name}")'


def _export_review(options: GlobalOptions, folder: Path) -> None:
    from kgkit.corpora.review import FILE_NAME, write_review

    with reading(options, strict=True) as derivation:
        counts = write_review(folder, graph=derivation.graph)
    path = folder / FILE_NAME
    if options.json:
        print_json({"file": str(path), "rows": counts})
        return
    print_table(["sheet", "rows"], list(counts.items()))
    hint(options, f"fill in {path}, then: {command_line(options, f'load {path}')}")


def _print(written: "Export") -> None:
    print_table(
        ["config", "split", "rows", "file"],
        [
            (name, part, parts[part].rows, parts[part].path)
            for name, parts in written.parts.items()
            for part in parts
        ],
    )
    left_out = "; ".join(
        f"{name}: {reasons(counts)}" for name, counts in written.left_out.items() if counts
    )
    say(
        f"{written.folder}: {written.checked} texts and relations searched for held-out assets and questions, none found; "
        f"left out: {left_out or 'nothing'}"
    )


def _curation(derivation: "Derivation", against: list[Path] | None) -> "Curation":
    from kgkit.corpora.curated import curation_of
    from kgkit.questions.files import read_stems

    return curation_of(
        derivation.graph,
        split=derivation.split,
        folder=derivation.workspace.root,
        stems=[stem for path in against or [] for stem in read_stems(path)],
    )


def _cpt(tokens: int | None, shares: dict[str, float], tokenizer: Path | None) -> "Corpus":
    from kgkit.corpora.cpt import cpt
    from kgkit.corpora.tokens import open_tokens

    counting = open_tokens(tokenizer) if tokens is not None or tokenizer is not None else None
    return cpt(tokens=tokens, mix=shares, tokenizer=counting)


def _shares(mix: str) -> dict[str, float]:
    from kgkit.errors import UsageError

    shares: dict[str, float] = {}
    for part in filter(None, mix.split(",")):
        name, _, weight = part.partition("=")
        try:
            shares[name.strip()] = float(weight)
        except ValueError:
            raise UsageError(f"--mix {part}: write it as kd_base=1,kd_extend=0.5") from None
    return shares
