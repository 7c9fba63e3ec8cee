"""The diagnose command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bayes_obscaling.cli.common import check_destinations, check_plot, err, out, plain, save_plot, write
from bayes_obscaling.errors import InputError

_COLOURS = {"PASS": "green", "REVIEW": "yellow", "FAIL": "red"}
_PARTS = "parameters, energy, scores, calibration, priors, sensitivity, influence"


def diagnose(
    fit: Annotated[Path, typer.Argument(help="A fit saved with --save-fit or fit.save() (netCDF).")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the table of checks here (CSV).")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw everything here (PNG, PDF, SVG), or one plot a check into this folder.")
    ] = None,
    details: Annotated[Path | None, typer.Option(help=f"Write {_PARTS} into this folder (CSV).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print checks and details as JSON.")] = False,
) -> None:
    """Check a saved fit: PASS, REVIEW or FAIL, why, and what to do. Exit code 1 for FAIL, otherwise 0."""
    check_destinations(output)
    into_folder = plot is not None and plot.is_dir()
    if not into_folder:
        check_destinations(plot)
        check_plot(plot)
    if details is not None and not details.is_dir():
        raise InputError(f"There is no folder {details}: make it, or name another for --details.")
    from bayes_obscaling.inference.cache import default_cache_dir, use_compile_cache
    from bayes_obscaling.results.diagnostics import diagnose as check
    from bayes_obscaling.results.ladder import load_any

    loaded = load_any(fit)
    use_compile_cache(default_cache_dir())
    found = check(loaded)
    say = err if as_json else out
    if as_json:
        import json

        print(json.dumps(found.as_dict(), indent=2))
    else:
        table = Table(title=f"{fit}: {found.verdict}", title_justify="left", header_style="bold", box=None)
        for column in ("check", "level", "what", "remedy"):
            table.add_column(column)
        for row in found.table.itertuples():
            level = f"[{_COLOURS[str(row.level)]}]{row.level}[/]"
            table.add_row(plain(str(row.check)), level, plain(str(row.what)), plain(str(row.remedy)))
        out.print(table)
        out.print("Limits and their sources: --output writes them, column reason.", highlight=False)
    say.print(plain(found.sentences[0]), highlight=False, soft_wrap=True)
    if output is not None:
        write(output, found.table.to_csv(index=False).encode())
        say.print(f"Wrote {output}", highlight=False)
    if details is not None:
        for name, part in found.parts.items():
            write(details / f"{name}.csv", part.to_csv(index=False).encode())
        say.print(f"Wrote {len(found.parts)} tables to {details}", highlight=False)
    if plot is not None:
        from bayes_obscaling.plots.diagnostics import PLOTS

        if into_folder:
            for name, draw in PLOTS.items():
                save_plot(lambda draw=draw: draw(found), plot / f"{name}.png")  # type: ignore[misc]
        else:
            save_plot(found.plots, plot)
        say.print(f"Wrote {plot}", highlight=False)
    if found.verdict == "FAIL":
        raise typer.Exit(1)
