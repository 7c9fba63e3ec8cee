"""Commands that judge: a fit (diagnose), and forecasts by what happened (backtest)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from bayes_obscaling.cli.groups import Option, names
from bayes_obscaling.cli.options import FitOptions, FolderOutputs, FromCompute, Outputs, PageOutput, Tasks, flops
from bayes_obscaling.cli.paths import check_folder, is_folder, make_folder
from bayes_obscaling.cli.scores import TableOptions, resolved
from bayes_obscaling.cli.show import (
    err,
    note,
    out,
    plain,
    print_checks,
    print_table,
    progress_bars,
    save_plot,
    show,
    write,
)
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from bayes_obscaling.data import ScoreTable
    from bayes_obscaling.data.splits import Split
    from bayes_obscaling.evaluation.backtest import Backtest

Methods = Annotated[list[str] | None, names("--methods", help="Baselines (docs/reference/methods.md); default all:")]


@dataclass(frozen=True)
class CheckOutputs(Outputs):
    """Where the checks of a fit go; a folder for the plot takes one plot per check."""

    def draw(self, answer: Any) -> list[str]:
        """Draw the checks page by page (``checks.png, checks-sampler.png ...``), or each into a folder."""
        from bayes_obscaling.plots.diagnostics import pages_of, plot_page, plots_of

        if self.plot is None:
            return []
        if not is_folder(self.plot):
            first, *others = pages_of(answer)
            paths = {first: self.plot} | {page: self.plot.with_stem(f"{self.plot.stem}-{page}") for page in others}
            for page, path in paths.items():
                save_plot(partial(plot_page, answer, page), path)
            return [str(path) for path in paths.values()]
        make_folder(self.plot)
        for name, draw in plots_of(answer).items():
            save_plot(partial(draw, answer), self.plot / f"{name}.png")
        return [str(self.plot)]


_PARTS = "parameters, energy, scores, calibration, priors, sensitivity, influence"


def diagnose(
    fit: Annotated[
        Path,
        Option("A fit saved with --save-fit or fit.save() (netCDF), or the name of one that ships.", is_argument=True),
    ],
    details: Annotated[Path | None, f"Write {_PARTS} into this folder (CSV), made if need be."] = None,
    *,
    outputs: CheckOutputs,
) -> None:
    """Check a saved fit: the sampler, the scores, the priors, and how much hangs on single models.

    Prints one PASS, REVIEW or FAIL line per check, why, and what to do. Exit code 1 for FAIL, otherwise 0. With a
    folder for --plot, each check is drawn into it.

    Example: bayes-obscaling diagnose fit.nc --plot checks.png
    """
    if details is not None:
        check_folder(details)
    from bayes_obscaling.checks import Check
    from bayes_obscaling.inference.cache import default_cache_dir, use_compile_cache
    from bayes_obscaling.inference.shipped import fit_file
    from bayes_obscaling.results.diagnostics import diagnose as check
    from bayes_obscaling.results.storage import open_fit

    loaded = open_fit(fit_file(fit))
    use_compile_cache(default_cache_dir())
    for text in loaded.notes:
        note(text)
    with progress_bars("checking the fit"):
        answer = check(loaded)

    def print_levels() -> None:
        out().print(f"[bold]{plain(fit)}: {answer.verdict}[/]")
        print_checks(Check(**row) for row in answer.table.to_dict("records"))
        out().print("Limits and their sources: --output writes them, column reason.")

    def write_parts() -> list[str]:
        if details is None:
            return []
        make_folder(details)
        for name, part in answer.parts.items():
            write(details / f"{name}.csv", part.to_csv(index=False).encode())
        return [f"{len(answer.parts)} tables to {details}"]

    show(answer, "", outputs, layout=print_levels, sentences=answer.sentences[:1], sampler=False, keep=write_parts)
    if answer.verdict == "FAIL":
        raise click.exceptions.Exit(1)


def backtest(
    task: Tasks = None,
    cutoff_flops: Annotated[float | None, flops("Hold out models above these FLOPs.")] = None,
    as_of: Annotated[str | None, "Hold out models that were not released before this date instead."] = None,
    hold_out: Annotated[list[str] | None, names("--hold-out", help="Hold out these models instead:")] = None,
    leave_family: Annotated[list[str] | None, names("--leave-family", help="Hold out these families instead:")] = None,
    best: Annotated[float | None, "Hold out this share of models best on the task."] = None,
    suite: Annotated[
        str | None, "A whole suite: published, from-compute, below-cutoff, as-tasks, out-of-time, frontier."
    ] = None,
    from_compute: FromCompute = False,
    methods: Methods = None,
    *,
    table: TableOptions,
    model: FitOptions,
    outputs: FolderOutputs,
    page: PageOutput,
) -> None:
    """Score forecasts of held-out models against what they reached, and against all baselines.

    Prints one row per method: errors, CRPS, how often intervals held the score; then the differences. The forecasts of
    this package are called bayes; the baselines mean, size, compute, pc-1, pc-2, pc-3, pc-4, size-parametric,
    compute-parametric, pc-1-parametric, pc-2-parametric, pc-3-parametric, pc-4-parametric, family-logistic and, from
    release dates, best-so-far, latest-median, date-logistic and factor-date.

    Example: bayes-obscaling backtest --task gsm8k_cot --cutoff-flops 8.4e22 --output backtests/
    """
    cut = cutoff_flops if as_of is None else as_of
    ways: dict[str, Any] = {"--cutoff-flops": cutoff_flops, "--as-of": as_of}
    ways |= {"--hold-out": hold_out, "--leave-family": leave_family, "--best": best}
    given = [name for name, value in ways.items() if value]
    if suite is not None:
        if task or given or methods or from_compute or table.given():
            raise InputError("--suite names tasks, splits, tables and baselines by itself: leave the others out.")
        answer = _run_suite(suite, model)
    else:
        if not task:
            raise InputError("No task was named: use --task, such as --task gsm8k_cot, or --suite published.")
        if len(given) != 1:
            raise InputError(
                f"Say whom to hold out with one of {', '.join(ways)} (given: {', '.join(given) or 'none'})."
            )
        from bayes_obscaling.evaluation.backtest import backtest as run

        scores = table.load(task, hold_out)
        split = _split(scores, task, cut, hold_out, leave_family, best, from_compute)
        (err() if outputs.as_json else out()).print(f"Backtest of [bold]{', '.join(task)}[/]: {plain(split.name)}.")
        with model.sampling(table=scores) as how:
            answer = run(scores, task, split, methods=methods, follow=as_of is not None, **how)
    keep = partial(page.write_page, answer)
    show(answer, "", outputs, layout=lambda: _print_backtest(answer), sentences=(), keep=keep)


# --- what is asked ------------------------------------------------------------------------------------------------


def _run_suite(name: str, model: FitOptions) -> Backtest:
    from bayes_obscaling.evaluation import suites

    questions = suites.suite(name)
    with model.sampling(table=questions[0].table) as how:
        progress = how.pop("progress")

        def count(label: str, done: int, total: int) -> None:
            progress(f"{name}: {label}", done, total)

        return suites.run_suite(questions, tell=partial(err().print, markup=False), progress=count, **how)


def _split(
    table: ScoreTable,
    task: list[str],
    cut: float | str | None,
    hold_out: list[str] | None,
    families: list[str] | None,
    best: float | None,
    from_compute: bool,
) -> Split:
    from bayes_obscaling.data.splits import Hides, Split

    hides: Hides = "all" if from_compute else "task"
    if cut is not None:
        return Split.at(table, cut, hides)
    if hold_out is not None:
        return Split.of_models(table, resolved(table, hold_out), hides)
    if families:
        return Split.by_family(table, families, hides)
    if len(task) != 1:
        raise InputError("--best holds out the best models on one task: name one.")
    return Split.by_score(table, best or 0.0, task[0], hides)


# --- what is shown ------------------------------------------------------------------------------------------------


def _print_backtest(answer: Backtest) -> None:
    from bayes_obscaling.evaluation.scoring import OURS

    scores = answer.scores()
    for (setup, task), rows in scores.groupby(["setup", "task"], sort=False):
        _print_scores(f"{setup}: {task} (errors, CRPS and log score: lower is better)", rows.sort_values("crps"))
    if scores.groupby(["setup", "task"]).ngroups > 1:
        _print_scores("all cells pooled", answer.scores(("method",)).sort_values("crps"))
    _print_ahead(answer)
    differences = answer.differences()[["method", "n", "families", "difference", "se"]]
    for name, form in (("difference", "{:+.4f}"), ("se", "{:.4f}")):
        differences[name] = differences[name].map(form.format)
    columns = ["baseline", "cells", "families", "difference", "standard error over families"]
    title = f"CRPS of {OURS}, the forecasts of this package, less the baseline's (negative: {OURS} is better)"
    print_table(differences.set_axis(columns, axis=1), title)
    if not answer.problems:
        out().print("[bold green]Sampler: converged[/] (every fit)")


def _print_ahead(answer: Backtest) -> None:
    """Ours by decades of compute beyond; where dates cut, by date and by months ahead too, each setup apart."""
    from bayes_obscaling.evaluation.scoring import OURS

    def show_ours(rows: pd.DataFrame, first: str, title: str) -> None:
        _print_scores(f"{OURS}, {title}", rows[rows["method"] == OURS], first=first)

    decades = "by decades of compute beyond the cutoff or the models leaned on"
    if "as_of" not in answer.cells:
        show_ours(answer.by_distance(), "decades", decades)
        return
    for table, first, title in (
        (answer.scores(("as_of", "setup", "method")), "as_of", "by as-of date"),
        (answer.by_months(("setup", "method")), "months", "by months ahead of the as-of date"),
        (answer.by_distance(("setup", "method")), "decades", decades),
    ):
        for setup, rows in table.groupby("setup", sort=False):
            if first != "as_of" or rows["as_of"].nunique() > 1:  # one date is in the name of the split
                show_ours(rows, first, f"{setup}: {title}")


def _print_scores(title: str, rows: pd.DataFrame, first: str = "method") -> None:
    shown = rows[[first, "n"]].rename(columns={"n": "cells"})
    for name, label in (("mae", "MAE"), ("medae", "median AE"), ("crps", "CRPS"), ("log_score", "log score")):
        shown[label] = rows[name].map(("{:.2f}" if name == "log_score" else "{:.4f}").format)
    for level in (50, 80, 90, 95):
        shown[f"in {level} %"] = rows[f"coverage_{level}"].map("{:.0%}".format)
    shown["width 90 %"] = rows["width_90"].map("{:.3f}".format)
    print_table(shown, title, least=("median AE", "in 80 %", "in 95 %", "log score", "width 90 %", "in 50 %"))
