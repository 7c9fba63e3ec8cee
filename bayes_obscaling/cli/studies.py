"""Commands that score forecasts against what happened: backtest, cutoffs."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from bayes_obscaling.cli.common import (
    err,
    named_models,
    out,
    plain,
    sampling_progress,
    save_plot,
    spec_of,
    user_table,
    write,
)
from bayes_obscaling.cli.options import Benchmarks, Chains, Curvature, Draws, Factors, Joint, Scores, Seed
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from bayes_obscaling.data import ScoreTable
    from bayes_obscaling.evaluation.backtest import Backtest
    from bayes_obscaling.evaluation.cutoff_study import CutoffStudy

Tasks = Annotated[list[str] | None, typer.Option("--task", "-t", help="Task or benchmark; repeat for several.")]
Methods = Annotated[str | None, typer.Option(help="Baselines, such as pc-3,compute; default all (see the README).")]
FromCompute = Annotated[bool, typer.Option(help="Hide every score of held-out models.")]

_RECORD = "study.json"  # what was asked, so that --resume needs nothing but the folder


def backtest(
    task: Tasks = None,
    cutoff_flops: Annotated[float | None, typer.Option(help="Hold out models above these FLOPs.")] = None,
    hold_out: Annotated[str | None, typer.Option(help="Hold out these models instead: A,B.")] = None,
    leave_family: Annotated[list[str] | None, typer.Option(help="Hold out this family instead; repeatable.")] = None,
    best: Annotated[float | None, typer.Option(help="Hold out this share of models best on the task.")] = None,
    suite: Annotated[str | None, typer.Option(help="A whole suite: published, from-compute, below-cutoff.")] = None,
    from_compute: FromCompute = False,
    methods: Methods = None,
    scores: Scores = None,
    benchmarks: Benchmarks = None,
    factors: Factors = None,
    curvature: Curvature = False,
    joint: Joint = False,
    chains: Chains = 4,
    draws: Draws = 1000,
    seed: Seed = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for cells.csv and scores.csv.")] = None,
) -> None:
    """Score forecasts of held-out models against what they reached, and against all baselines."""
    from bayes_obscaling.evaluation import backtest as run
    from bayes_obscaling.inference.cache import default_cache_dir

    _check_folder(output)
    spec = spec_of(factors, curvature, joint)
    options: dict[str, Any] = {
        "spec": spec, "chains": chains, "draws": draws, "seed": seed, "cache": default_cache_dir(),
    }  # fmt: skip
    ways = {"--cutoff-flops": cutoff_flops, "--hold-out": hold_out, "--leave-family": leave_family, "--best": best}
    given = [name for name, value in ways.items() if value]
    if suite is not None:
        if task or given or scores or benchmarks or methods or from_compute:
            raise InputError("--suite names tasks, splits, tables and baselines by itself: leave the others out.")
        questions = run.suite(suite)
        with sampling_progress() as tell:

            def count(label: str, done: int, total: int) -> None:
                tell(f"{suite}: {label}", done, total)

            say = partial(err.print, highlight=False, markup=False, soft_wrap=True)
            result = run.run_suite(questions, tell=say, progress=count, **options)
    else:
        if not task:
            raise InputError("No task was named: use --task, such as --task gsm8k_cot, or --suite published.")
        if len(given) != 1:
            raise InputError(
                f"Say whom to hold out with one of {', '.join(ways)} (given: {', '.join(given) or 'none'})."
            )
        table = user_table(task, scores, benchmarks, hold_out, False)
        split = _split(table, task, cutoff_flops, hold_out, leave_family, best, from_compute)
        out.print(f"Backtest of [bold]{', '.join(task)}[/]: {plain(split.name)}.", highlight=False)
        with sampling_progress() as tell:
            result = run.backtest(table, task, split, methods=_list(methods), progress=tell, **options)
    _print_backtest(result)
    if output is not None:
        for path in result.save(output):
            out.print(f"Wrote {path}", highlight=False)


def cutoffs(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the study.")],
    task: Tasks = None,
    cutoffs: Annotated[str | None, typer.Option(help="FLOPs: FROM:TO:COUNT on a log scale, or a list A,B,C.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on with the study in --output.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Local processes; default this one, all cores.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="A Dask cluster: tcp://HOST:PORT.")] = None,
    from_compute: FromCompute = False,
    methods: Methods = None,
    scores: Scores = None,
    benchmarks: Benchmarks = None,
    factors: Factors = None,
    curvature: Curvature = False,
    joint: Joint = False,
    chains: Chains = 4,
    draws: Draws = 1000,
    seed: Seed = 0,
) -> None:
    """Pull the cutoff back: the same backtest at many cutoffs, resumable, on this machine or on a cluster."""
    if workers is not None and scheduler is not None:
        raise InputError("--workers and --scheduler exclude each other: name one.")
    _check_folder(output)
    given: dict[str, Any] = {
        "task": task, "cutoffs": cutoffs, "from_compute": from_compute, "methods": methods,
        "scores": [str(path.resolve()) for path in scores or []],
        "benchmarks": benchmarks and str(benchmarks.resolve()),
        "factors": factors, "curvature": curvature, "joint": joint, "chains": chains, "draws": draws, "seed": seed,
    }  # fmt: skip
    asked = _asked(output, given, resume)
    files = [Path(path) for path in asked["scores"]]
    facts = asked["benchmarks"] and Path(asked["benchmarks"])
    table = user_table(asked["task"], files or None, facts or None, None, False)
    grid = _grid(asked["cutoffs"])
    output.mkdir(parents=True, exist_ok=True)
    write(output / _RECORD, json.dumps(asked, indent=2).encode())

    from bayes_obscaling.evaluation.cutoff_study import STUDY_METHODS, cutoff_study
    from bayes_obscaling.inference.cache import default_cache_dir
    from bayes_obscaling.inference.executor import connect, local_processes

    executor: Any = None
    if workers is not None:
        executor = partial(local_processes, workers)
    elif scheduler is not None:
        executor = partial(connect, scheduler)
    out.print(f"Cutoff study of [bold]{', '.join(asked['task'])}[/]: {len(grid)} cutoffs.", highlight=False)
    with sampling_progress() as tell:
        study = cutoff_study(
            table, asked["task"], grid, output / "fits",
            specs={"default": spec_of(asked["factors"], asked["curvature"], asked["joint"])},
            hides="all" if asked["from_compute"] else "task", methods=_list(asked["methods"]) or STUDY_METHODS,
            chains=asked["chains"], draws=asked["draws"], seed=asked["seed"], cache=default_cache_dir(),
            executor=executor, progress=lambda _, done, total: tell("fits", done, total),
        )  # fmt: skip
    _print_study(study)
    if len(study.cells):
        for path in (*study.backtest().save(output), *_draw_study(study, output)):
            out.print(f"Wrote {path}", highlight=False)
    if study.failures:
        raise typer.Exit(1)


# --- what is asked ------------------------------------------------------------------------------------------------


def _split(
    table: ScoreTable,
    task: list[str],
    cutoff: float | None,
    hold_out: str | None,
    families: list[str] | None,
    best: float | None,
    from_compute: bool,
) -> Any:
    from bayes_obscaling.data import splits
    from bayes_obscaling.data.splits import Hides

    hides: Hides = "all" if from_compute else "task"
    if cutoff is not None:
        return splits.split_by_flops(table, cutoff, hides)
    if hold_out is not None:
        return splits.split_models(table, named_models(table, hold_out), hides)
    if families:
        return splits.split_by_family(table, families, hides)
    if len(task) != 1:
        raise InputError("--best holds out the best models on one task: name one.")
    return splits.split_by_score(table, best or 0.0, task[0], hides)


def _list(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] if text else None


def _grid(text: str) -> list[float]:
    """FLOPs from FROM:TO:COUNT (log-spaced) or A,B,C."""
    try:
        if ":" in text:
            low, high, count = text.split(":")
            if not 0 < float(low) < float(high) or int(count) < 2:
                raise ValueError
            return [float(f"{x:.4g}") for x in np.geomspace(float(low), float(high), int(count))]
        grid = [float(x) for x in text.split(",")]
        if not grid or min(grid) <= 0:
            raise ValueError
        return grid
    except ValueError:
        raise InputError(
            f"--cutoffs is '{text}': write FROM:TO:COUNT in FLOPs, such as 1e22:3e23:12, or a list such as 1e22,3e22."
        ) from None


def _check_folder(folder: Path | None) -> None:
    if folder is not None and folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give a folder.")


def _asked(folder: Path, asked: dict[str, Any], resume: bool) -> dict[str, Any]:
    """What the study asks: from the command line, or from the folder when resuming."""
    record = folder / _RECORD
    if not resume:
        if not asked["task"] or not asked["cutoffs"]:
            raise InputError("A new study needs --task and --cutoffs, such as --cutoffs 1e22:3e23:12.")
        if record.exists() and (before := _read_record(record)) != asked:
            changed = [name for name in asked if before.get(name) != asked[name]]
            raise InputError(
                f"{folder} holds another study (different: {', '.join(changed)}): give another --output, or go on with "
                "that one by --resume alone."
            )
        return asked
    if asked["task"] or asked["cutoffs"]:
        raise InputError("--resume takes task and cutoffs from the folder: leave them out.")
    if not record.is_file():
        raise InputError(f"There is no study in {folder} to resume: start one with --task and --cutoffs.")
    return _read_record(record)


def _read_record(record: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(record.read_text()))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{record} is damaged: start the study again with --task and --cutoffs; finished fits are kept."
        ) from error


# --- what is shown ------------------------------------------------------------------------------------------------


def _print_backtest(result: Backtest) -> None:
    scores = result.scores()
    for (setup, task), rows in scores.groupby(["setup", "task"], sort=False):
        _print_scores(f"{setup}: {task}", rows.sort_values("crps"))
    if scores.groupby(["setup", "task"]).ngroups > 1:
        _print_scores("all cells pooled", result.scores(("method",)).sort_values("crps"))
    _print_scores(
        "ours, by decades of compute beyond the cutoff",
        result.by_distance()[lambda frame: frame["method"] == "bayes"].drop(columns="method"), first="decades",
    )  # fmt: skip
    table = Table(
        title="CRPS of ours less the baseline's (negative: ours is better)",
        title_justify="left", box=None, pad_edge=False,
    )  # fmt: skip
    for column in ("baseline", "cells", "families", "difference", "standard error over families"):
        table.add_column(column, justify="left" if column == "baseline" else "right")
    for row in result.differences().itertuples():
        table.add_row(row.method, str(row.n), str(row.families), f"{row.difference:+.4f}", f"{row.se:.4f}")
    out.print(table)
    if result.problems:
        err.print("[bold red]Sampler: NOT CONVERGED[/]", highlight=False)
        for problem in result.problems:
            err.print(f"  - {plain(problem)}", highlight=False, soft_wrap=True)
    else:
        out.print("[bold green]Sampler: converged[/] (every fit)", highlight=False)


def _print_scores(title: str, rows: pd.DataFrame, first: str = "method") -> None:
    table = Table(title=plain(title), title_justify="left", box=None, pad_edge=False)
    columns = {"mae": "MAE", "medae": "median AE", "crps": "CRPS", "log_score": "log score"}
    for column in (first, "cells", *columns.values(), *(f"in {level} %" for level in (50, 80, 90, 95)), "width 90 %"):
        table.add_column(column, justify="left" if column == first else "right", no_wrap=True)
    for _, row in rows.iterrows():
        inside = [f"{row[f'coverage_{level}']:.0%}" for level in (50, 80, 90, 95)]
        cells = [f"{row[name]:.4f}" if name != "log_score" else f"{row[name]:.2f}" for name in columns]
        table.add_row(str(row[first]), str(row["n"]), *cells, *inside, f"{row['width_90']:.3f}")
    out.print(table)


def _print_study(study: CutoffStudy) -> None:
    for note in study.notes:
        err.print(f"Note: {plain(note)}", highlight=False, soft_wrap=True)
    for label, why in study.failures.items():
        err.print(f"[bold red]Failed:[/] {plain(label)}: {plain(why)}", highlight=False, soft_wrap=True)
    if study.resumed:
        out.print(f"{study.resumed} fits were already stored.", highlight=False)
    if not len(study.cells):
        return
    frame = study.scores(("cutoff", "method")).pivot(index="cutoff", columns="method", values="mae")
    table = Table(title="MAE by cutoff (tasks pooled)", title_justify="left", box=None, pad_edge=False)
    for column in ("cutoff", *frame.columns):
        table.add_column(str(column), justify="right")
    for cutoff, row in frame.iterrows():
        table.add_row(f"{cutoff:.3g}", *("" if value != value else f"{value:.4f}" for value in row))
    out.print(table)
    areas = study.error_area().pivot(index="task", columns="method", values="area")
    table = Table(title="Area under the error curve over log cutoff (mean MAE)", title_justify="left", box=None)
    for column in ("task", *areas.columns):
        table.add_column(str(column), justify="left" if column == "task" else "right")
    for name, row in areas.iterrows():
        table.add_row(str(name), *("" if value != value else f"{value:.4f}" for value in row))
    out.print(table)


def _draw_study(study: CutoffStudy, folder: Path) -> list[Path]:
    """Plots of a study, next to its tables."""
    from bayes_obscaling.plots.studies import plot_by_distance, plot_error_by_cutoff

    paths = [folder / "error_by_cutoff.png", folder / "by_distance.png"]
    save_plot(lambda: plot_error_by_cutoff(study), paths[0])
    save_plot(lambda: plot_by_distance(study), paths[1])
    return paths
