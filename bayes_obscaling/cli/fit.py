"""The command fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from bayes_obscaling.cli.groups import Option
from bayes_obscaling.cli.heed import Accept
from bayes_obscaling.cli.options import Cutoff, FitOptions, Tasks
from bayes_obscaling.cli.paths import check_file
from bayes_obscaling.cli.scores import DescribedBy, OnDuplicates, Sheet, TableOptions
from bayes_obscaling.cli.show import note, out, plain
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from bayes_obscaling.results.fit import CapabilityFit


def fit(
    file: Annotated[Path | None, Option("A table of scores of its own.", is_argument=True)] = None,
    task: Tasks = None,
    cutoff_flops: Cutoff = None,
    save_fit: Annotated[Path | None, "Save the fit here (netCDF)."] = None,
    calibrate: Annotated[
        int | None, "Fit so many models that cover the table, place all others: for many hundreds of models."
    ] = None,
    benchmarks: DescribedBy = None,
    sheet: Sheet = None,
    duplicates: OnDuplicates = "refuse",
    accept: Accept = None,
    *,
    model: FitOptions,
) -> None:
    """Fit a table of your own that stands for itself, and keep the fit.

    Prints what was fitted and whether the sampler has converged. Forecasts, questions, diagnoses and pages read the
    file. Scores that are to stand beside the bundled ones are given to `forecast --scores` instead.

    Example: bayes-obscaling fit huge.csv --save-fit huge.nc --calibrate 300
    """
    if file is None:
        raise InputError("No table was given", "name a file of scores")
    if save_fit is None:
        raise InputError("A fit that is not kept answers nothing", "say where with --save-fit")
    check_file(save_fit)
    from bayes_obscaling.data import ScoreTable
    from bayes_obscaling.inference.calibrated import fit_calibrated
    from bayes_obscaling.inference.fit import fit_table, split_of

    own = TableOptions(benchmarks=benchmarks, sheet=sheet, duplicates=duplicates, accept=accept)
    own.check()
    table = own.merged(ScoreTable.empty(), [file], task or ())
    for line in table.notes:
        note(line)
    names = table.resolve_all(task or [*table.task_names, *table.benchmark_names])
    split = split_of(table, cutoff_flops)
    out().print(f"Fit of {plain(file)}: {table.extent}.")
    with model.sampling(table=table) as how:
        options: dict[str, Any] = {"split": split, **how}
        if calibrate is not None and "--draws" not in model.given():
            del options["draws"]  # of which a calibrated fit needs fewer
        done: CapabilityFit = (
            fit_table(table, names, **options)
            if calibrate is None
            else fit_calibrated(table, names, calibrate, **options)
        )
    out().print(str(done))
    out().print(f"Wrote {plain(done.save(save_fit))}")
