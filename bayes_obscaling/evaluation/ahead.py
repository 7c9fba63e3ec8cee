"""Forecasts before the fact: of the next releases of every line of a sparse table, to be written and opened later."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bayes_obscaling.checks import Level, listed
from bayes_obscaling.data.dates import years_of
from bayes_obscaling.data.splits import Split
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.ahead_record import AheadRecord, write_record
from bayes_obscaling.evaluation.baselines import IN_TIME, baseline
from bayes_obscaling.evaluation.scoring import OURS
from bayes_obscaling.inference.run import describe_run
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario

EFFORTS = ("", "none", "low", "medium", "high")
"""Efforts that are forecast: a model at its best, then those of benchmarks that were run at several."""

_MONTHS = 12.0  # before the latest release: a line without one since is silent
_SHARE = 1 / 3  # of the lines that were scored on a benchmark in that time, from which it is asked of all
_KEPT_DRAWS = 200
_BASELINE_DRAWS = 1000
_MOST_QUARTERS = 20
_LEVELS = (2.5, *range(5, 100, 5), 97.5)  # per cent


class Quarter(NamedTuple):
    """A quarter of a year, such as 2027Q1, and the date for which it is forecast: the middle of what is left of it."""

    name: str
    date: str


@dataclass(frozen=True, eq=False, repr=False)
class Predictions(Finding):
    """Forecasts of models that do not exist yet, with all that proves when they were made.

    ``table`` has a row per forecast: ``method`` (ours, or a baseline, which is the same for all lines), ``family``,
    ``task``, ``effort`` ("" for a model at its best), ``quarter, date, mean, median, sd`` and the quantiles ``q2.5, q5,
    q10 ... q95, q97.5``. ``draws`` (row, draw) are some of the draws behind them, the same draw in all rows of ours;
    ``about`` says when, from what and how they were made.
    """

    drawn_by = "plot_ahead"
    front = ("method", "family", "task", "effort", "quarter", "median", "q25", "q75", "q5", "q95")

    draws: np.ndarray = field(repr=False, kw_only=True)
    about: dict[str, Any] = field(repr=False, kw_only=True)

    @property
    def verdict(self) -> Level:
        """The sampler's, of the fit behind them."""
        return self.about["verdict"]  # type: ignore[no-any-return]

    def save(self, path: str | Path) -> Path:
        """Write a folder that is called like today inside a folder, and return it; see `read_record`.

        Raises
        ------
        InputError
            When it is there already (nothing that was forecast is ever overwritten), or cannot be written.
        """
        return write_record(AheadRecord(self.table, self.draws, self.about), Path(path))


def predict_ahead(fit: CapabilityFit, *, quarters: int = 4, efforts: Sequence[str] = EFFORTS) -> Predictions:
    """Return forecasts of the next releases of every line of a table, quarter by quarter, from today on.

    Parameters
    ----------
    fit : CapabilityFit
        Of a spec in which compute has a trend, such as ``CapabilitySpec.frontier()``, that has seen every score.
    quarters : int
        How many, beginning with the present one.
    efforts : sequence of str
        Reasoning efforts; "" is a model at its best. Others are forecast on benchmarks that were run at several.

    Raises
    ------
    InputError
        For a fit without a trend of compute, or one from which scores were hidden, and for a number of quarters or an
        effort that cannot be meant.

    Notes
    -----
    A line is a family with a release in the twelve months before the latest release, or "new". Each is asked about the
    benchmarks that its models of that time have scores on, and those on which a third of all lines have one. The
    baselines are those that read dates alone, from the same table.
    """
    settings = check_asked(fit.spec, quarters, efforts)
    if fit.split.held_out or fit.split.hidden or fit.split.cells:
        remedy = "fit again without a cutoff and an as-of date"
        raise InputError("Scores were hidden from the fit, and forecasts before the fact use them all", remedy)
    now = datetime.now(UTC)
    today = now.date().isoformat()
    if (latest := _latest_fact(fit.table)) > today:
        problem = f"The table knows of {latest}, and today is {today}"
        raise InputError(problem, "correct the clock of this machine, or the date in the table")
    asked = _questions(fit.table)
    when = quarters_from(today, quarters)
    parts = [*_ours(fit, asked, when, settings), *_baselines(fit.table, asked, when, fit.provenance["seed"])]
    table = pd.concat([part for part, _ in parts], ignore_index=True)
    record = fit.worst_convergence
    about = {
        "format": 1,
        "made": now.isoformat(timespec="seconds"),
        "made_with": {name: describe_run(0.0, "", 0)[name] for name in ("versions", "python", "machine")},
        "quarters": [quarter._asdict() for quarter in when],
        "efforts": settings,
        "lines": list(asked),
        "silent": sorted(set(fit.table.families) - set(asked)),
        "models": list(fit.table.models.index),
        "data_hash": fit.table.data_hash,
        "seed": fit.provenance["seed"],
        "fit": fit.provenance,
        "spec": fit.spec.model_dump(),
        "verdict": fit.verdict,
        "problems": list(fit.problems),
        "convergence": record.model_dump(),
    }
    return Predictions(
        table, _sentences(table, about), fit.problems, draws=np.vstack([d for _, d in parts]), about=about
    )


def today_utc() -> str:
    """Today, YYYY-MM-DD: the day of forecasts that are made now."""
    return datetime.now(UTC).date().isoformat()


def quarters_from(today: str, count: int) -> list[Quarter]:
    """The quarter of tomorrow and those after it."""
    start, found = date.fromisoformat(today) + timedelta(days=1), []
    first = 4 * start.year + (start.month - 1) // 3
    for at in range(first + 1, first + 1 + count):
        end = date(at // 4, 3 * (at % 4) + 1, 1)
        found.append(Quarter(quarter_of(start.isoformat()), (start + (end - start) // 2).isoformat()))
        start = end
    return found


def quarter_of(day: str) -> str:
    """Name of the quarter of a date."""
    return f"{day[:4]}Q{(int(day[5:7]) - 1) // 3 + 1}"


def check_asked(spec: CapabilitySpec, quarters: int, efforts: Sequence[str]) -> list[str]:
    """Return the efforts that are forecast, "" first; refuse what `predict_ahead` cannot, before anything is fitted."""
    if spec.unknown_compute != "trend":
        remedy = "fit with CapabilitySpec.frontier(), as --table frontier does"
        raise InputError("The fit has no trend of compute in time", remedy)
    if not 1 <= quarters <= _MOST_QUARTERS:
        raise InputError(f"{quarters} quarters cannot be asked for", f"give 1 to {_MOST_QUARTERS}")
    return list(dict.fromkeys(["", *(Scenario(family=NEW_FAMILY, effort=effort).effort for effort in efforts)]))


def _latest_fact(table: ScoreTable) -> str:
    return max([*table.models["date"], *table.scores["evaluated"]], default="")


class _Line(NamedTuple):
    """Benchmarks of which a line is asked; of some of them at several efforts."""

    tasks: list[str]
    at_efforts: list[str]


def _questions(table: ScoreTable) -> dict[str, _Line]:
    """What is asked of each line of a table, and of a new one, by family."""
    models = table.models
    years = pd.Series(years_of(models["date"]), index=models.index)
    recent = models[years > years.max() - _MONTHS / 12]
    if recent.empty:
        raise InputError("No model of the table has a release date", "give dates in a column 'date'")
    scores = table.scores[["model", "benchmark"]]
    scores = scores[scores["model"].isin(recent.index) & scores["benchmark"].isin(table.benchmark_names)]
    scores = scores.assign(family=scores["model"].map(recent["family"]))
    families = list(dict.fromkeys(recent.sort_values("date")["family"]))
    lines = scores.groupby("benchmark")["family"].nunique()
    common = set(lines.index[lines >= _SHARE * len(families)])
    others = table.other_settings
    several = set(others.loc[others["model"].isin(recent.index), "benchmark"])
    asked = {}
    for family in (*families, NEW_FAMILY):
        own = set(scores.loc[scores["family"] == family, "benchmark"])
        tasks = [name for name in table.benchmark_names if name in own | common]
        asked[family] = _Line(tasks, [name for name in tasks if name in several])
    return asked


# --- forecasts ------------------------------------------------------------------------------------------------------

_Part = tuple[pd.DataFrame, np.ndarray]  # rows, and draws (row, draw) of them


def _ours(
    fit: CapabilityFit, asked: dict[str, _Line], when: Sequence[Quarter], efforts: Sequence[str]
) -> Iterable[_Part]:
    """Forecasts of one line at one effort at a time, always of the same benchmarks, so that one program serves all."""
    everything = list(dict.fromkeys(task for line in asked.values() for task in line.tasks))
    at_efforts = list(dict.fromkeys(task for line in asked.values() for task in line.at_efforts))
    for family, line in asked.items():
        for effort in efforts:
            tasks, among = (line.at_efforts, at_efforts) if effort else (line.tasks, everything)
            if not tasks:
                continue
            scenarios = [Scenario(family=family, date=quarter.date, effort=effort) for quarter in when]
            draws = fit.posterior.scores(scenarios, among)[1][..., [among.index(task) for task in tasks]]
            rows = [
                {"method": OURS, "family": family, "task": task, "effort": effort, "quarter": name, "date": day}
                for name, day in when
                for task in tasks
            ]
            yield _summed(rows, draws.reshape(len(draws), -1).T)


def _baselines(table: ScoreTable, asked: dict[str, _Line], when: Sequence[Quarter], seed: int) -> Iterable[_Part]:
    """What baselines say that read dates alone, of models that are in the table as names with a date."""
    names = [f"to come in {quarter.name}" for quarter in when]
    to_come = pd.DataFrame({"family": names, "date": [quarter.date for quarter in when]}, index=names)
    models = pd.concat([table.models, to_come]).rename_axis("model")
    wider = ScoreTable(models, table.benchmarks, table.scores)
    split = Split("ahead", tuple(names), tuple(names))
    for task in dict.fromkeys(task for line in asked.values() for task in line.tasks):
        for method in IN_TIME:
            try:
                said = baseline(method, wider, task, split, draws=_BASELINE_DRAWS, seed=seed).draws
            except InputError:  # too few dated scores for it
                continue
            assert said is not None
            rows = [
                {"method": method, "family": "", "task": task, "effort": "", "quarter": name, "date": day}
                for name, day in when
            ]
            yield _summed(rows, said[names].to_numpy().T)


def _summed(rows: list[dict[str, str]], draws: np.ndarray) -> _Part:
    """Rows with what is said of all draws (row, draw), and the draws that are kept."""
    quantiles = np.percentile(draws, _LEVELS, axis=1)
    named = {f"q{level:g}": values for level, values in zip(_LEVELS, quantiles, strict=True)}
    moments = {"mean": draws.mean(1), "median": named.pop("q50"), "sd": draws.std(1)}
    kept = np.linspace(0, draws.shape[1] - 1, min(_KEPT_DRAWS, draws.shape[1])).round().astype(int)
    return pd.DataFrame(rows).assign(**moments, **named), draws[:, kept]


def _sentences(table: pd.DataFrame, about: dict[str, Any]) -> tuple[str, ...]:
    ours = table[table["method"] == OURS]
    first, last = about["quarters"][0]["name"], about["quarters"][-1]["name"]
    silent = about["silent"]
    texts = [
        f"{len(ours)} forecasts of the next releases of {len(about['lines'])} lines (one of them new) on "
        f"{ours['task'].nunique()} benchmarks, {first} to {last}, and {len(table) - len(ours)} of baselines."
    ]
    if silent:
        texts.append(f"Nothing is forecast of {len(silent)} lines that released nothing lately: {listed(silent)}.")
    return tuple(texts)
