"""The study of many cutoffs, or of many dates."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from bayes_obscaling.cli.groups import Option, names, parsed
from bayes_obscaling.cli.options import AsJson, FitOptions, FolderOutputs, FromCompute, Tasks
from bayes_obscaling.cli.paths import check_folder, make_folder
from bayes_obscaling.cli.scores import TableOptions
from bayes_obscaling.cli.show import err, note, out, print_table, save_plot, show, warn, write
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from bayes_obscaling.evaluation.cutoff_study import CutoffStudy

StudyMethods = Annotated[
    list[str] | None, names("--methods", help="Baselines, as of backtest; default pc-3, compute and family-logistic:")
]
_RECORD = "study.json"  # what was asked, so that --resume needs nothing but the folder
_MOST_CUTS = 1000
_GRIDS = {
    "--cutoffs": f"write FROM:TO:COUNT in FLOPs (2 to {_MOST_CUTS}), such as 1e22:3e23:12, or a list such as 1e22,3e22",
    "--as-of": f"write FROM:TO:COUNT in dates (2 to {_MOST_CUTS}), such as 2023-07:2024-05:11, or a list such as "
    "2023-07-01,2024-03-01",
}


# long: every option of the command is a parameter
def cutoffs(
    output: Annotated[Path, Option("Folder of the study.", ("--output", "-o"))],
    task: Tasks = None,
    cutoffs: Annotated[str | None, "FLOPs: FROM:TO:COUNT on a log scale, or a list A,B,C."] = None,
    as_of: Annotated[str | None, "Dates instead: FROM:TO:COUNT, or a list A,B,C."] = None,
    resume: Annotated[bool, "Go on with the study in --output."] = False,
    workers: Annotated[int | None, Option("Local processes; default this one, all cores.")] = None,
    scheduler: Annotated[str | None, "A Dask cluster: tcp://HOST:PORT."] = None,
    from_compute: FromCompute = False,
    methods: StudyMethods = None,
    as_json: AsJson = False,
    *,
    table: TableOptions,
    model: FitOptions,
) -> None:
    """Pull the cutoff back: the same backtest at many cutoffs or dates, resumable, on this machine or on a cluster.

    Prints mean absolute errors by cutoff, or date, and method. All tables, and plots, go into the folder.

    Example: bayes-obscaling cutoffs --task word_unscrambling --cutoffs 1e22:3e23:12 --output study/
    """
    if workers is not None and scheduler is not None:
        raise InputError("--workers and --scheduler exclude each other: name one.")
    if workers is not None:
        from bayes_obscaling.inference.limits import check_workers

        check_workers(workers)
    check_folder(output)
    _grid(cutoffs, as_of)
    given: dict[str, Any] = {
        "task": task,
        "cutoffs": cutoffs,
        "as_of": as_of,
        "from_compute": from_compute,
        "methods": methods,
        **asdict(table),
        "scores": [str(path.resolve()) for path in table.scores or []],
        "benchmarks": table.benchmarks and str(table.benchmarks.resolve()),
        **asdict(model),
    }
    own = {"--task": task, "--cutoffs": cutoffs, "--as-of": as_of, "--from-compute": from_compute}
    own |= {"--methods": methods}
    others = [*(flag for flag, value in own.items() if value), *table.given(), *model.given()]
    asked = _asked(output, given, resume, others)
    chosen = {name: asked[name] for name in asdict(table)}
    files, facts = [Path(path) for path in asked["scores"]], asked["benchmarks"]
    options = TableOptions(**{**chosen, "scores": files or None, "benchmarks": Path(facts) if facts else None})
    scores = options.load(asked["task"])
    cuts = _grid(asked["cutoffs"], asked["as_of"])
    make_folder(output)
    write(output / _RECORD, json.dumps(asked, indent=2).encode())

    from bayes_obscaling.evaluation.cutoff_study import STUDY_METHODS, cutoff_study
    from bayes_obscaling.inference.workers import connect, local_processes

    executor: Any = None
    if workers is not None:
        executor = partial(local_processes, workers)
    elif scheduler is not None:
        executor = partial(connect, scheduler)
    what = f"{len(cuts)} {'as-of dates' if asked['as_of'] else 'cutoffs'}"
    (err() if as_json else out()).print(f"Study of [bold]{', '.join(asked['task'])}[/]: {what}.")
    with FitOptions(**{name: asked[name] for name in asdict(model)}).sampling("fits") as how:
        spec, progress = how.pop("spec"), how.pop("progress")
        study = cutoff_study(
            scores,
            asked["task"],
            cuts,
            output / "fits",
            specs={"default": spec},
            hides="all" if asked["from_compute"] else "task",
            methods=asked["methods"] or STUDY_METHODS,
            executor=executor,
            progress=progress,
            **how,
        )
    _show_study(study, output, as_json)
    if study.failures:
        raise click.exceptions.Exit(1)


# --- what is asked ------------------------------------------------------------------------------------------------


def _grid(cutoffs: str | None, as_of: str | None) -> list[float] | list[str]:
    """The cuts that are asked for, if any; both kinds at once are refused."""
    from bayes_obscaling.data.rules import check_flops

    if cutoffs and as_of:
        raise InputError("--cutoffs and --as-of both say where to cut", "give one of them")
    if as_of:
        dates: list[str] = parsed("--as-of", as_of, _dates, _GRIDS["--as-of"])
        return dates
    grid: list[float] = parsed("--cutoffs", cutoffs, _flops, _GRIDS["--cutoffs"]) if cutoffs else []
    for cutoff in grid:
        check_flops("--cutoffs", cutoff)
    return grid


def _ends(text: str) -> tuple[str, str, int]:
    """Parts of FROM:TO:COUNT."""
    low, high, count = text.split(":")
    if not 2 <= int(count) <= _MOST_CUTS:
        raise ValueError
    return low, high, int(count)


def _flops(text: str) -> list[float]:
    """FLOPs from FROM:TO:COUNT (log-spaced) or A,B,C."""
    import numpy as np

    from bayes_obscaling.data.numbers import amount

    if ":" in text:
        *ends, count = _ends(text)
        low, high = (amount("--cutoffs", str(end), "1e22") for end in ends)
        if not 0 < low < high < float("inf"):
            raise ValueError
        return [float(f"{x:.4g}") for x in np.geomspace(low, high, count)]
    grid = [amount("--cutoffs", part, "1e22") for part in text.split(",")]
    if min(grid) <= 0:
        raise ValueError
    return grid


def _dates(text: str) -> list[str]:
    """Dates from FROM:TO:COUNT (evenly spaced) or A,B,C."""
    import numpy as np

    from bayes_obscaling.data.dates import cut_date, date_at, years_of

    if ":" in text:
        low, high, count = _ends(text)
        first, last = years_of([cut_date(low, "--as-of"), cut_date(high, "--as-of")])
        if not first < last:
            raise ValueError
        return [date_at(years) for years in np.linspace(first, last, count).tolist()]
    return [cut_date(date, "--as-of") for date in text.split(",")]


def _asked(folder: Path, given: dict[str, Any], resume: bool, others: list[str]) -> dict[str, Any]:
    """What the study asks: from the command line, or from the folder when resuming."""
    record = folder / _RECORD
    if not resume:
        if not given["task"] or not (given["cutoffs"] or given["as_of"]):
            raise InputError("A new study needs --task and --cutoffs, such as --cutoffs 1e22:3e23:12, or --as-of.")
        if record.exists() and (before := _read_record(record)) != given:
            changed = [name for name in given if before.get(name) != given[name]]
            raise InputError(
                f"{folder} holds another study (different: {', '.join(changed)}): give another --output, or go on with "
                "that one by --resume alone."
            )
        return given
    if others:
        raise InputError(f"--resume takes all that was asked from the folder: leave out {', '.join(others)}.")
    if not record.is_file():
        raise InputError(f"There is no study in {folder} to resume: start one with --task and --cutoffs.")
    return given | _read_record(record)


def _read_record(record: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(record.read_text()))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{record} is damaged: start the study again with --task and --cutoffs; finished fits are kept."
        ) from error


# --- what is shown ------------------------------------------------------------------------------------------------


def _show_study(study: CutoffStudy, folder: Path, as_json: bool) -> None:
    for text in study.notes:
        note(text)
    for label, why in study.failures.items():
        warn(f"{label} has failed: {why}")
    if not len(study.cells):
        return
    outputs = FolderOutputs(folder, as_json)
    show(study, "", outputs, layout=lambda: _print_study(study), sentences=(), keep=lambda: _draw_study(study, folder))


def _print_study(study: CutoffStudy) -> None:
    if study.resumed:
        out().print(f"{study.resumed} fits were already stored.")
    cut, name, along = (study.cut, "cutoff", "log cutoff") if study.cut == "cutoff" else (study.cut, "date", "time")
    errors = study.scores((cut, "method")).pivot(index=cut, columns="method", values="mae").reset_index()
    if cut == "cutoff":
        errors[cut] = errors[cut].map("{:.3g}".format)
    print_table(errors.rename(columns={cut: name}), f"MAE by {name} (tasks pooled)")
    areas = study.error_area().pivot(index="task", columns="method", values="area").reset_index()
    print_table(areas, f"Area under the error curve over {along} (mean MAE)")


def _draw_study(study: CutoffStudy, folder: Path) -> list[str]:
    """Plots of a study, next to its tables."""
    from bayes_obscaling.evaluation import cells
    from bayes_obscaling.plots import plot_by_distance, plot_error_by_cutoff

    draw: dict[str, Callable[[], Any]] = {"error_by_cutoff": lambda: plot_error_by_cutoff(cells.error_by_cutoff(study))}
    if study.cells["distance"].notna().any():
        draw["by_distance"] = lambda: plot_by_distance(cells.by_distance(study))
    if study.cut == "as_of":
        draw = {"error_by_date": draw.pop("error_by_cutoff")} | draw
        draw["by_months"] = lambda: plot_by_distance(cells.by_months(study))
    for name, plot in draw.items():
        save_plot(plot, folder / f"{name}.png")
    return [str(folder / f"{name}.png") for name in draw]
