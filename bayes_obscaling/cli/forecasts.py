"""The forecast command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bayes_obscaling.cli.common import (
    ROOM,
    check_destinations,
    check_plot,
    err,
    named_models,
    out,
    plain,
    sampling_progress,
    save_plot,
    spec_of,
    user_table,
    write,
)  # fmt: skip
from bayes_obscaling.cli.options import Benchmarks, Chains, Curvature, Draws, Factors, Joint, Scores, Seed
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from bayes_obscaling.results.fit import Fit
    from bayes_obscaling.results.forecast import Forecast, Scenario

_MOST_WARNINGS = 4
_FAR = "Distance: decades of compute above (+) or below (-) the seen models that the forecast leans on."


def forecast(
    task: Annotated[
        list[str] | None, typer.Option("--task", "-t", help="Task or benchmark; repeat for several.")
    ] = None,
    cutoff_flops: Annotated[float | None, typer.Option(help="FLOPs above which task scores are hidden.")] = None,
    scores: Scores = None,
    benchmarks: Benchmarks = None,
    models: Annotated[str | None, typer.Option(help="Only these models: A,B.")] = None,
    family: Annotated[list[str] | None, typer.Option(help="Family of a model to come, or 'new'; with --flops.")] = None,
    flops: Annotated[list[float] | None, typer.Option(help="Training compute of that model, in FLOPs.")] = None,
    from_compute: Annotated[bool, typer.Option(help="Hide all scores of the forecast models of the table.")] = False,
    all_models: Annotated[
        bool, typer.Option(help="Fit on all 128 bundled models, not the study's 77 (slower).")
    ] = False,
    factors: Factors = None,
    curvature: Curvature = False,
    joint: Joint = False,
    chains: Chains = 4,
    draws: Draws = 1000,
    seed: Seed = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the forecast here (CSV).")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the intervals here (PNG, PDF, SVG); one task.")] = None,
    save_fit: Annotated[Path | None, typer.Option(help="Save the fit here (netCDF).")] = None,
    fit: Annotated[Path | None, typer.Option(help="Forecast from this saved fit instead of fitting.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the forecast as JSON.")] = False,
) -> None:
    """Forecast scores with 50, 80, 90 and 95 % intervals."""
    say = err if as_json else out  # JSON alone goes to standard output
    check_destinations(output, plot, save_fit)
    check_plot(plot)
    if plot is not None and len(task or ()) > 1:
        raise InputError("A plot shows one task: name one with --task.")
    scenarios = _pair_scenarios(family, flops)
    if fit is None:
        if not task:
            raise InputError("No task was named: use --task, such as --task word_unscrambling; 'tasks' lists them.")
        table = user_table(task, scores, benchmarks, models, all_models)
        names = [table.resolve(name) for name in task]
        where = "every score seen" if cutoff_flops is None else f"cutoff {cutoff_flops:.3g} FLOPs"
        say.print(
            f"Forecast of [bold]{', '.join(names)}[/]: {len(table.models)} models, "
            f"{table.models['family'].nunique()} families, {where}.",
            highlight=False,
        )
        wanted = named_models(table, models)
        hide: bool | list[str] = (wanted or True) if from_compute else False
        if from_compute and not wanted and cutoff_flops is None:
            raise InputError("--from-compute needs --models or --cutoff-flops, to know whose scores to hide.")
        from bayes_obscaling.inference.cache import default_cache_dir
        from bayes_obscaling.inference.fitting import fit as sample

        with sampling_progress() as tell:
            fitted = sample(
                table, names, cutoff=cutoff_flops, from_compute=hide, spec=spec_of(factors, curvature, joint),
                chains=chains, draws=draws, seed=seed, cache=default_cache_dir(), progress=tell,
            )  # fmt: skip
    else:
        if unusable := [
            name
            for name, given in (
                ("--scores", scores), ("--cutoff-flops", cutoff_flops), ("--from-compute", from_compute),
                ("--factors", factors), ("--all-models", all_models), ("--curvature", curvature), ("--joint", joint),
            )
            if given
        ]:  # fmt: skip
            raise InputError(f"{unusable[0]} changes the fit and cannot go with --fit: leave out one of the two.")
        from bayes_obscaling.results.fit import load_fit

        fitted = load_fit(fit)
        names = [fitted.table.resolve(name) for name in task] if task else list(fitted.tasks)
        wanted = named_models(fitted.table, models)
        say.print(
            f"Forecast of [bold]{', '.join(names)}[/] from {fit} ({fitted.provenance['created']}).", highlight=False
        )
        _say_if_data_changed(fitted)
    from bayes_obscaling.results.forecast import forecast as make

    asked: list[Any] = [*wanted, *scenarios]
    result = make(fitted, asked or None, tasks=names)
    if as_json:  # on the screen first: should the disk be full, the forecast is not lost
        print(json.dumps(_as_json(result), indent=2))
    else:
        _print_forecast(result)
    _print_verdict(result, say)
    if save_fit is not None:
        fitted.save(save_fit)
    if output is not None:
        write(output, result.summary().to_csv(index=False).encode())
    if plot is not None:
        save_plot(result.plot, plot)
    for path in (output, plot, save_fit):
        if path is not None:
            say.print(f"Wrote {path}", highlight=False)


def _pair_scenarios(families: list[str] | None, flops: list[float] | None) -> list[Scenario]:
    families, flops = families or [], flops or []
    if len(families) != len(flops):
        raise InputError(
            f"--family was given {len(families)} times and --flops {len(flops)} times: give them in pairs, such as "
            "--family Llama-2 --flops 3e24."
        )
    if not families:
        return []
    from bayes_obscaling.results.forecast import Scenario

    return [Scenario(family=name, flops=value) for name, value in zip(families, flops, strict=True)]


def _say_if_data_changed(fitted: Fit) -> None:
    if fitted.table.data_hash != fitted.provenance["data_hash"]:
        err.print("[yellow]The table inside the fit is not the one it was fitted to.[/]")
    from bayes_obscaling.data.bundled import bundled_hashes, changed_since

    # Equal hashes first: scores that the user gave in place of bundled ones are no change of the bundled ones.
    if fitted.provenance.get("bundled_data") != bundled_hashes() and (changes := changed_since(fitted.table)):
        err.print(
            f"[yellow]The bundled data have changed since this fit:[/] {plain('; '.join(changes))}. Fit again to use "
            "them.", highlight=False, soft_wrap=True,
        )  # fmt: skip


def _as_json(result: Forecast) -> dict[str, Any]:
    from bayes_obscaling.results.summaries import json_rows

    rows = json_rows(result.summary())
    return {
        "forecast": rows,
        "verdict": {
            "ok": not result.problems,
            "level": result.verdict,
            "problems": list(result.problems),
            **result.convergence.model_dump(exclude={"worst"}),
        },
        "warnings": list(result.warnings),
        "notes": list(result.fit.notes),
        "provenance": result.fit.provenance,
        "spec": result.fit.spec.model_dump(),
    }


def _print_forecast(result: Forecast) -> None:
    frame = result.summary()
    for task, rows in frame.groupby("task", sort=False):
        table = Table(
            title=f"{task} (scores 0 to 1)", title_justify="left", header_style="bold", pad_edge=False, box=None
        )
        levels = {"50 %": ("q25", "q75"), "80 %": ("q10", "q90"), "90 %": ("q5", "q95"), "95 %": ("q2.5", "q97.5")}
        if out.width < ROOM - 12:
            levels = {"50 %": levels["50 %"], "90 %": levels["90 %"]}
        columns = ("model", "FLOPs", "basis", "observed", "median", *levels, "distance")
        for column in columns:
            table.add_column(column, justify="left" if column in ("model", "basis") else "right", no_wrap=True)
        for _, row in rows.sort_values("median", ascending=False).iterrows():
            compute = f"{row['flops']:.2g}"
            if row["flops"] != row["flops"]:
                compute = f"~{row['latent_flops']:.2g}"
            intervals = [f"{row[low]:.3f}-{row[high]:.3f}" for low, high in levels.values()]
            inside = row["q5"] <= row["observed"] <= row["q95"]
            observed = "" if row["observed"] != row["observed"] else f"{row['observed']:.3f}{'' if inside else '*'}"
            distance = "" if row["distance"] != row["distance"] else f"{row['distance']:+.1f}"
            name = str(row["model"]).split("/")[-1] + (" (score seen)" if row["seen"] else "")
            table.add_row(name, compute, row["basis"], observed, f"{row['median']:.3f}", *intervals, distance)
        out.print(table)
        scored = rows[rows["observed"].notna() & ~rows["seen"]]
        if len(scored):
            hits = {
                level: ((scored[low] <= scored["observed"]) & (scored["observed"] <= scored[high])).sum()
                for level, low, high in (
                    (50, "q25", "q75"),
                    (80, "q10", "q90"),
                    (90, "q5", "q95"),
                    (95, "q2.5", "q97.5"),
                )
            }
            inside = ", ".join(f"{level} %: {count}/{len(scored)}" for level, count in hits.items())
            out.print(f"Observed scores inside the intervals: {inside}. * outside the 90 % interval.", highlight=False)
    if frame["flops"].isna().any():
        out.print("~ compute is not public: posterior median (interval in the CSV).", highlight=False)
    out.print(_FAR, highlight=False)


def _print_verdict(result: Forecast, console: Console) -> None:
    for warning in result.warnings[:_MOST_WARNINGS]:
        console.print(f"[yellow]Warning:[/] {plain(warning)}", highlight=False, soft_wrap=True)
    if (more := len(result.warnings) - _MOST_WARNINGS) > 0:
        console.print(
            f"[yellow]Warning:[/] {more} more like these; --json lists all, the CSV has distance and family_models."
        )
    for note in result.fit.notes:
        console.print(f"Note: {plain(note)}", highlight=False, soft_wrap=True)
    numbers = result.convergence.numbers
    if result.problems:
        console.print(f"[bold red]Sampler: NOT CONVERGED[/] ({numbers})", highlight=False)
        for problem in result.problems:
            console.print(f"  - {plain(problem)}", highlight=False, soft_wrap=True)
        console.print("  Do not rely on these intervals: take more --draws, or fewer --factors.", highlight=False)
    else:
        level = "[bold green]Sampler: converged[/]" if result.verdict == "PASS" else "[bold yellow]Sampler: REVIEW[/]"
        console.print(f"{level} ({numbers})", highlight=False)
