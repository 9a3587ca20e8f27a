"""`load` and `lint`: tables -> graph, and the same reading with nothing written."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kgkit.cli.output import (
    counted,
    hint,
    hint_next,
    print_json,
    print_table,
    reasons,
    say,
    say_changes,
)
from kgkit.cli.session import SEE_ALSO, GlobalOptions, find_workspace, options_of, writing

if TYPE_CHECKING:
    from kgkit.derive import Changes
    from kgkit.tables import SheetReading, TableReading

Layout = Annotated[
    str | None, typer.Option(help="Say which layout the tables have; else it is detected.")
]
Sheet = Annotated[str | None, typer.Option(help="Read this sheet of a workbook alone.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(epilog=SEE_ALSO)(load)
    app.command(epilog=SEE_ALSO)(lint)


def load(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders. None: the starter tables.")
    ] = None,
    layout: Layout = None,
    role: Annotated[
        str, typer.Option(help="source, or evaluation: never in a prompt or a training corpus.")
    ] = "source",
    sheet: Sheet = None,
    starter: Annotated[
        bool, typer.Option("--starter", help="The bundled starter tables as well.")
    ] = False,
    tier: Annotated[
        list[str] | None,
        typer.Option(help="Rows of this tier of the starter tables as well (default A and B)."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="A split of corpora/splits.yaml; remembered.")
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(help="Take out a table that was loaded before: FILE or FILE#SHEET."),
    ] = None,
) -> None:
    """Tables -> graph, without a language model.

    Example: kgkit load fmea.xlsx sensors/ --workspace plant
    """
    from kgkit import derive, withdrawn
    from kgkit.errors import UsageError
    from kgkit.graph import reading as graph_reading
    from kgkit.tables import DEFAULT_TIERS, read_tables, starter_paths

    options = options_of(context)
    if role not in ("source", "evaluation"):
        raise UsageError(f"--role {role}: use source or evaluation")
    if not paths and (layout or sheet or role != "source"):
        raise UsageError("--layout, --role and --sheet say how to read files: name the files")
    chosen: Literal["source", "evaluation"] = "evaluation" if role == "evaluation" else "source"
    tiers = DEFAULT_TIERS | {name.upper() for name in tier or []}
    own = (
        read_tables(paths, layout=layout, role=chosen, sheet=sheet, tiers=tiers) if paths else None
    )
    bundled = (
        read_tables(starter_paths(), tiers=tiers)
        if starter or not (paths or remove or split)
        else None
    )
    read_again = [one for one in (own, bundled) if one is not None]
    with writing(options, split=split, create=bool(read_again)) as derivation:
        for one in read_again:
            derive.take(
                derivation,
                one,
                layout=layout if one is own else None,
                role=chosen if one is own else "source",
                sheet=sheet if one is own else None,
                tiers=tiers,
                starter=one is bundled,
            )
        for name in remove or []:
            derive.remove_table(derivation, name)
        rejects_file = derivation.workspace.rejects
        if not (rejects_file.exists() and derive.is_up_to_date(derivation)):
            # Before the graph: a load that is cut off in between writes them again.
            _write_rejects(rejects_file, derive.read_workspace_tables(derivation.workspace))
        changes = derive.bring_up_to_date(derivation)
        counts = graph_reading.counts(derivation.graph)
        example = derive.example_asset(derivation)
    rejects = [reject for one in read_again for reject in one.rejects]
    document = {
        **_files(read_again),
        "written": changes.written if changes else 0,
        "removed": changes.removed if changes else 0,
        "withdrawn": withdrawn.counts(changes.withdrawn) if changes else {},
        "nodes": dict(counts.nodes),
        "edges": dict(counts.edges),
    }
    _print_load(options, document, read_again, changes=changes, example=example)
    if any(reject.severity == "error" for reject in rejects):
        raise typer.Exit(3)


def _files(readings: "list[TableReading]") -> dict[str, object]:
    """The `files`, `rows`, `loaded`, `rejected` part of the document."""
    return {
        "files": [
            {
                "file": sheet.file,
                "sheet": sheet.sheet.name,
                "layout": sheet.layout,
                "why": sheet.why,
                "rows": sheet.counts.seen,
                "loaded": sheet.counts.loaded,
                "rejected": sheet.counts.rejected,
                "skipped": dict(sheet.counts.skipped),
            }
            for reading in readings
            for sheet in reading.sheets
        ],
        "rows": sum(reading.counts.seen for reading in readings),
        "loaded": sum(reading.counts.loaded for reading in readings),
        "rejected": [
            {
                "file": reject.file,
                "sheet": reject.sheet,
                "row": reject.row,
                "column": reject.column,
                "severity": reject.severity,
                "reason": reject.reason,
            }
            for reading in readings
            for reject in reading.rejects
        ],
    }


def _write_rejects(path: Path, reading: "TableReading") -> None:
    """rejects.csv of the workspace: what of its tables is not in the graph, and why."""
    import csv
    import io

    from kgkit.workspace import write_atomically

    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["file", "sheet", "row", "column", "severity", "reason", "text"])
    for one in reading.rejects:
        table.writerow(
            [one.file, one.sheet, one.row, one.column, one.severity, one.reason, one.text]
        )
    write_atomically(path, text.getvalue().encode())


def _print_load(
    options: GlobalOptions,
    document: dict[str, object],
    readings: "list[TableReading]",
    *,
    changes: "Changes | None",
    example: str,
) -> None:
    if options.json:
        print_json(document)
        say_changes(options, changes)
        return
    _print_sheets(options, readings)
    nodes, edges = document["nodes"], document["edges"]
    if isinstance(nodes, dict) and isinstance(edges, dict):
        held = ", ".join(f"{name} {count}" for name, count in nodes.items() if count)
        say(f"graph: {sum(nodes.values())} nodes, {sum(edges.values())} edges\n  {held}".rstrip())
    say_changes(options, changes)
    _say_rejects(options, readings)
    if example:
        hint_next(options, f"plan expand --asset {example}", f"expand --asset {example}")


def _print_sheets(options: GlobalOptions, readings: "list[TableReading]") -> None:
    from kgkit.tables.lint import nothing_loaded

    sheets = [sheet for reading in readings for sheet in reading.sheets]
    _print_layouts(sheets)
    for s in sheets:
        where = f"{s.file}#{s.sheet.name}" if s.sheet.name else s.file
        if not s.layout:
            hint(options, f"{where} left out: {s.why}")
        elif s.unread:
            hint(options, f"{where}: columns not read: {', '.join(s.unread)}")
        if nothing := nothing_loaded(s):
            typer.echo(f"warning: {where}: {nothing}", err=True)
    tiers = sorted({r for s in sheets for r in s.counts.skipped if r.startswith("tier ")})
    if tiers:
        hint(options, f"rows of {', '.join(tiers)} are left out; `--{tiers[0]}` loads them")


def _print_layouts(sheets: "list[SheetReading]") -> None:
    """The layout found for each sheet, and what becomes of its rows."""
    if sheets:
        print_table(
            ["file", "sheet", "layout", "rows", "loaded", "rejected", "skipped"],
            [
                (
                    s.file,
                    s.sheet.name,
                    s.layout or "left out",
                    s.counts.seen,
                    s.counts.loaded,
                    s.counts.rejected,
                    reasons(s.counts.skipped),
                )
                for s in sheets
            ],
        )


def _say_rejects(options: GlobalOptions, readings: "list[TableReading]") -> None:
    rejects = [reject for reading in readings for reject in reading.rejects]
    for reject in rejects[:20]:
        typer.echo(f"{reject.severity}: {reject}", err=True)
    if len(rejects) > 20:
        typer.echo(f"... and {len(rejects) - 20} more", err=True)
    if rejects:
        typer.echo(f"all of them: {find_workspace(options).rejects}", err=True)


def lint(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files or folders.")],
    layout: Layout = None,
    sheet: Sheet = None,
) -> None:
    """Read tables and say which layout each has and what looks wrong; nothing is written.

    Example: kgkit lint fmea.xlsx
    """
    from kgkit.tables import read_and_lint

    options = options_of(context)
    read, findings = read_and_lint(paths, layout=layout, sheet=sheet)
    if options.json:
        rows = [
            {
                "file": finding.file,
                "sheet": finding.sheet,
                "row": finding.row,
                "column": finding.column,
                "severity": finding.severity,
                "message": finding.message,
            }
            for finding in findings
        ]
        print_json({"files": _files([read])["files"], "findings": rows})
    else:
        _print_layouts(list(read.sheets))
        for finding in findings:
            say(f"{finding.severity}: {finding}")
        hint(options, counted(len(findings), "finding"))
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(3)
