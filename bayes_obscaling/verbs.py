"""The verbs, the same for tables of scores and for ladders of small runs: each one picks the model by the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

from bayes_obscaling.data.bundled import Cohort, load_base_llms, load_frontier, load_instruct_llms
from bayes_obscaling.data.checks import check_table
from bayes_obscaling.data.ladder import Ladder, load_olmo_ladder
from bayes_obscaling.data.ladder_checks import check_ladder
from bayes_obscaling.data.ladder_reading import is_ladder, read_ladder
from bayes_obscaling.data.names import unknown
from bayes_obscaling.data.reading import read_scores
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.progress import Progress, shows_progress

if TYPE_CHECKING:
    from bayes_obscaling.checks import Check
    from bayes_obscaling.data.scales import Duplicates
    from bayes_obscaling.data.sheet import Source
    from bayes_obscaling.data.splits import Split
    from bayes_obscaling.evaluation.backtest import Backtest
    from bayes_obscaling.evaluation.cutoff_study import CutoffStudy
    from bayes_obscaling.evaluation.ladder_backtest import LadderBacktest
    from bayes_obscaling.inference.sampler import Sampler
    from bayes_obscaling.models.ladder import LadderSpec
    from bayes_obscaling.models.spec import CapabilitySpec
    from bayes_obscaling.results.diagnostics import Diagnosis
    from bayes_obscaling.results.fit import CapabilityFit, LadderFit
    from bayes_obscaling.results.forecast import Forecast
    from bayes_obscaling.results.ladder_forecast import LadderForecast
    from bayes_obscaling.results.scenario import Scenario
    from bayes_obscaling.results.stacked import Stack

TABLES = ("base-llms", "instruct-llms", "frontier", "olmo-ladder")


class Sampling(TypedDict, total=False):
    """How to sample, in every verb that fits.

    chains, draws : int
        Chains, and draws kept of each (rounded up to a multiple of 50); default 4 and 1000.
    seed : int
        Random seed; default 0. Same seed, machine and versions give the same draws.
    cache : path
        Folder in which capability draws and compiled programs are kept; default none.
    progress : callable or False
        Told ``(label, done, total)`` as draws are made; False for silence. Default bars, in a terminal or a notebook.
    """

    chains: int
    draws: int
    seed: int
    cache: Path | str | None
    progress: Progress


@overload
def load(name: Literal["base-llms"] = ..., *, only: Cohort = ...) -> ScoreTable: ...
@overload
def load(name: Literal["instruct-llms", "frontier"]) -> ScoreTable: ...
@overload
def load(name: Literal["olmo-ladder"], *, only: Literal["all", "paper"] = ...) -> Ladder: ...
def load(name: str = "base-llms", *, only: Cohort = "all") -> ScoreTable | Ladder:
    """Return a bundled table.

    Parameters
    ----------
    name : {"base-llms", "instruct-llms", "frontier", "olmo-ladder"}
        Scores of 148 base models on 8 benchmarks and 13 tasks; of 27 instruction-tuned models on 9 benchmarks and 2
        agent tasks; of 188 models up to May 2026 on 129 benchmarks, few of each; or the 30 runs of the OLMo 2 ladder
        on 8 tasks.
    only : {"all", "paper", "later"}
        "paper": the 77 base models of Ruan et al. (2024), or the 16 runs of Bhagia et al. (2024). "later": these 77 and
        the 20 base models that the study forecast before they came.

    Raises
    ------
    InputError
        For another name.
    """
    known = ("all", "paper", "later") if name == "base-llms" else ("all", "paper")
    if only not in known:
        raise InputError(f"only is '{only}'", f"take {' or '.join(map(repr, known))}")
    if name == "base-llms":
        return load_base_llms(only)
    if name == "instruct-llms":
        return load_instruct_llms()
    if name == "frontier":
        return load_frontier()
    if name == "olmo-ladder":
        return load_olmo_ladder("all" if only == "all" else "ladder")
    raise unknown("bundled table", name, TABLES)


def read(
    source: Source,
    benchmarks: Source | None = None,
    *,
    tasks: Iterable[str] = (),
    into: ScoreTable | None = None,
    sheet: str | None = None,
    duplicates: Duplicates = "refuse",
) -> ScoreTable | Ladder:
    """Return a table of scores, or a ladder, of your own.

    What cannot be right is refused only where it cannot be read: see `check` for units, chance and scales.

    Parameters
    ----------
    source : path or DataFrame
        A file of any kind: separated text, Excel, Parquet, JSON, a Markdown table, gzip of these; results of
        lm-evaluation-harness (a file or folder) or Inspect; scores in the published wide or in the tidy long layout,
        with the headers of common leaderboards. Or one row per run and task of a ladder (columns for N, D, task, loss
        and accuracy), which is recognised by its columns. The notes of the table say how it was read.
    benchmarks : path or DataFrame, optional
        What is known about the benchmarks and tasks of `source`: role, chance, number of items, range.
    tasks : iterable of str
        Columns of `source` to forecast; a new column that is neither known nor described is a task as well.
    into : ScoreTable, optional
        Merge the scores into this table (a new one is returned); default a table of their own.
    sheet : str, optional
        Sheet of a workbook; default the first.
    duplicates : {"refuse", "mean", "first"}
        What is done with several scores of one model on one benchmark; "mean" averages reruns, whose spread sets the
        noise of the mean.

    Raises
    ------
    InputError
        If a file cannot be used: one sentence with file, row, column and remedy.
    """
    into = None if into is None else _table(into)
    if into is None and benchmarks is None and sheet is None and is_ladder(source):
        return read_ladder(source)
    return read_scores(source, benchmarks, tasks=tasks, into=into, sheet=sheet, duplicates=duplicates)


def check(
    source: Source,
    benchmarks: Source | None = None,
    *,
    against: ScoreTable | None = None,
    sheet: str | None = None,
    duplicates: Duplicates = "refuse",
) -> list[Check]:
    """Return one PASS, REVIEW or FAIL line per check of a table of scores, or of a ladder, with reason and remedy.

    Parameters
    ----------
    source, benchmarks, sheet, duplicates
        As in `read`.
    against : ScoreTable, optional
        A table whose scores and models the file is compared with; default the bundled base models.
    """
    if benchmarks is None and sheet is None and is_ladder(source):
        return check_ladder(source)
    return check_table(source, benchmarks, against=against, sheet=sheet, duplicates=duplicates)


@overload
def fit(
    data: ScoreTable,
    tasks: str | Sequence[str],
    *,
    cutoff: float | None = ...,
    as_of: str | None = ...,
    from_compute: bool | Sequence[str] = ...,
    split: Split | None = ...,
    spec: CapabilitySpec | None = ...,
    sampler: Sampler | None = ...,
    given: CapabilityFit | None = ...,
    calibrate: int | None = ...,
    **sampling: Unpack[Sampling],
) -> CapabilityFit: ...
@overload
def fit(
    data: Ladder, *, spec: LadderSpec | None = ..., sampler: Sampler | None = ..., **sampling: Unpack[Sampling]
) -> LadderFit: ...
@shows_progress()
def fit(data: ScoreTable | Ladder, *args: Any, **options: Any) -> CapabilityFit | LadderFit:
    """Return the fit of the capability model to a table of scores, or of the ladder model to a ladder.

    Parameters
    ----------
    data : ScoreTable or Ladder
        What to learn from.
    tasks, cutoff, as_of, from_compute, split
        Of a table: what to forecast, and whose scores to hide; see `bayes_obscaling.inference.fit.fit_table`.
    spec : CapabilitySpec or LadderSpec, optional
        What is believed.
    sampler : Sampler, optional
        Who draws, and with which settings.
    given : CapabilityFit, optional
        Of a table: a fit of some of its models, whose capabilities are kept. The others are placed along its draws, and
        only heads of new tasks are sampled: seconds. See `bayes_obscaling.inference.joining.fit_given`.
    calibrate : int, optional
        Of a table of many hundreds of models: how many of them to fit; the others are placed. See
        `bayes_obscaling.inference.calibrated.fit_calibrated`.
    **sampling
        See `Sampling`: ``chains, draws, seed, cache, progress``.

    Raises
    ------
    InputError
        For unusable data or options; see the functions of the two models.
    """
    if isinstance(data, Ladder):
        from bayes_obscaling.inference.fit_ladder import fit_ladder

        return fit_ladder(data, *args, **options)
    given, calibrate = options.pop("given", None), options.pop("calibrate", None)
    if given is None and calibrate is None:
        from bayes_obscaling.inference.fit import fit_table

        return fit_table(_table(data), *args, **options)
    return _fit_part(_table(data), *args, given=given, calibrate=calibrate, **options)


def _fit_part(
    table: ScoreTable,
    tasks: str | Sequence[str],
    *,
    given: CapabilityFit | None,
    calibrate: int | None,
    cutoff: float | None = None,
    as_of: str | None = None,
    from_compute: bool | Sequence[str] = False,
    split: Split | None = None,
    **options: Any,
) -> CapabilityFit:
    """The fit of a table of which only a part is sampled, or nothing but heads of new tasks."""
    from bayes_obscaling.inference.calibrated import fit_calibrated
    from bayes_obscaling.inference.fit import split_of
    from bayes_obscaling.inference.joining import fit_given

    split = split_of(table, cutoff, as_of, from_compute, split)
    if given is None:
        assert calibrate is not None
        return fit_calibrated(table, tasks, calibrate, split=split, **options)
    if unused := [name for name in ("spec", "chains", "draws", "sampler") if options.pop(name, None) is not None]:
        raise InputError(f"A given fit brings its own {', '.join(unused)}", "leave that out")
    if calibrate is not None:
        raise InputError("A given fit needs no calibrating", "give one of the two")
    return fit_given(given, table, tasks, split=split, **options)


@overload
def forecast(
    fit: CapabilityFit | Stack,
    scenarios: Iterable[Scenario | Mapping[str, Any] | str] | Scenario | Mapping[str, Any] | str | None = ...,
    *,
    tasks: Sequence[str] | str | None = ...,
    kind: Literal["response", "mean"] = ...,
) -> Forecast: ...
@overload
def forecast(
    fit: LadderFit,
    scenarios: Scenario | Sequence[Scenario | Mapping[str, Any]] | Mapping[str, Any] = ...,
    true_losses: Any = ...,
) -> LadderForecast: ...
def forecast(fit: CapabilityFit | Stack | LadderFit, *args: Any, **options: Any) -> Forecast | LadderForecast:
    """Return forecasts of scores from a fit.

    Parameters
    ----------
    fit : CapabilityFit, Stack or LadderFit
        From `fit`, `stack` or `open`.
    scenarios : Scenario, str, or several, optional
        What to forecast: models of the table by name, or models that do not exist yet. See
        `bayes_obscaling.results.forecast.forecast` and, for ladders,
        `bayes_obscaling.results.ladder_forecast.forecast_ladder`.
    tasks, kind
        Of a capability fit.
    true_losses
        Of a ladder fit.

    Raises
    ------
    InputError
        For an unknown model, family or task, or a scenario that lacks what the model needs.
    """
    from bayes_obscaling.results.fit import LadderFit

    if isinstance(fit, LadderFit):
        from bayes_obscaling.results.ladder_forecast import forecast_ladder

        return forecast_ladder(fit, *args, **options)
    from bayes_obscaling.results.stacked import Stack

    if isinstance(fit, Stack):
        return fit.forecast(*args, **options)
    from bayes_obscaling.results.fit import CapabilityFit
    from bayes_obscaling.results.forecast import forecast as forecast_scores

    if not isinstance(fit, CapabilityFit):
        raise InputError(f"{type(fit).__name__} is no fit", "make one with fit(...) or open(...)")
    return forecast_scores(fit, *args, **options)


@overload
def backtest(data: ScoreTable, tasks: str | Sequence[str], split: Split, **options: Any) -> Backtest: ...
@overload
def backtest(data: Ladder, hold_out: float | Sequence[float] | None = ..., **options: Any) -> LadderBacktest: ...
@shows_progress()
def backtest(data: ScoreTable | Ladder, *args: Any, **options: Any) -> Backtest | LadderBacktest:
    """Return forecasts of scores that the fit has not seen, scored against what was observed.

    Parameters
    ----------
    data : ScoreTable or Ladder
        The scores.
    tasks, split
        Of a table; see `bayes_obscaling.evaluation.backtest.backtest`.
    hold_out
        Sizes of a ladder to leave out; see `bayes_obscaling.evaluation.ladder_backtest.backtest_ladder`.
    **options
        Of these functions, and `Sampling`.
    """
    if isinstance(data, Ladder):
        from bayes_obscaling.evaluation.ladder_backtest import backtest_ladder

        return backtest_ladder(data, *args, **options)
    from bayes_obscaling.evaluation.backtest import backtest as backtest_table

    return backtest_table(_table(data), *args, **options)


@shows_progress("backtests")
def study(
    data: ScoreTable,
    tasks: str | Sequence[str],
    cuts: Sequence[float] | Sequence[str],
    folder: Path | str,
    **options: Any,
) -> CutoffStudy:
    """Return backtests of the same tasks at many cutoffs (FLOPs) or as-of dates (texts), resumable.

    See `bayes_obscaling.evaluation.cutoff_study.cutoff_study`.

    Raises
    ------
    InputError
        For unusable arguments; for a ladder, whose sizes `backtest` leaves out one at a time.
    """
    if isinstance(data, Ladder):
        raise InputError("A ladder has no cutoffs", "use backtest(ladder, hold_out=[...]), which leaves sizes out")
    from bayes_obscaling.evaluation.cutoff_study import cutoff_study

    return cutoff_study(_table(data), tasks, cuts, folder, **options)


def diagnose(fit: CapabilityFit | LadderFit) -> Diagnosis:
    """Return the checks of a fit: sampler, scores, priors, and how much hangs on single models. Nothing is refitted.

    See `bayes_obscaling.results.diagnostics.diagnose`.
    """
    from bayes_obscaling.results.diagnostics import diagnose as check_fit

    return check_fit(fit)


def open(path: str | Path, spec: CapabilitySpec | LadderSpec | None = None) -> CapabilityFit | LadderFit:
    """Return a saved fit of either model; see `bayes_obscaling.results.storage.open_fit`.

    "base-llms", "base-llms-paper", "instruct-llms", "frontier" and "olmo-ladder" are fits that ship with the package.
    """
    from bayes_obscaling.inference.shipped import fit_file
    from bayes_obscaling.results.storage import open_fit

    if not isinstance(path, (str, PathLike)):
        raise InputError(f"{type(path).__name__} is no path", "give that of a saved fit, or the name of one that ships")
    return open_fit(fit_file(path), spec)


def _table(data: object) -> ScoreTable:
    if not isinstance(data, ScoreTable):
        raise InputError(f"{type(data).__name__} is no table of scores", "make one with read(...) or load(...)")
    return data
