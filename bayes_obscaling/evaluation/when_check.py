"""How well dates of reaching scores were forecast: as of a date, against the models that came."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_obscaling.data.dates import DATE_CENTRE, date_at, years_of
from bayes_obscaling.data.splits import Split
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.progress import Progress, shows_progress
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.when import when

LEVELS = tuple(np.round(np.arange(0.1, 1.0, 0.1), 1))
_FEWEST_SEEN = 3  # scores of a benchmark from which it is asked about


@dataclass(frozen=True, eq=False, repr=False)
class WhenCheck(Finding):
    """Dates at which the best of all models reached scores, beside those that were forecast.

    ``table`` has a row per benchmark and level that was crossed after ``as_of``: ``task, level, best`` (seen at that
    date), ``crossed`` (release date of the first model there), ``median, q5, q25, q75, q95`` of the forecast as dates
    (empty where later than 20 years), ``error_months`` of the median, and ``pit``, the share of draws before.
    """

    drawn_by = "plot_when_check"
    front = ("task", "level", "best", "crossed", "median", "q5", "q95", "error_months")


@shows_progress()
def check_when(
    table: ScoreTable,
    as_of: str,
    *,
    spec: CapabilitySpec | None = None,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress = None,
) -> WhenCheck:
    """Return how well the dates were forecast at which benchmarks first passed .1, .2 ... .9.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    as_of : str
        Date at which is forecast: no score of a model released since is seen.
    spec, chains, draws, seed, cache, progress
        As in `bayes_obscaling.fit`.

    Raises
    ------
    InputError
        When no benchmark passed a level since.

    Notes
    -----
    A level is passed by the first model that scores it; of benchmarks with fewer than three scores before the date
    nothing is asked. Levels that nobody has passed yet are left out, which favours forecasts that are too early.
    """
    split = Split.by_date(table, as_of, "all")
    crossed = crossings(table, str(split.as_of))
    if crossed.empty:
        raise InputError(f"No benchmark passed a tenth since {split.as_of}", "take an earlier date")
    options = {"chains": chains, "draws": draws, "seed": seed, "cache": cache, "progress": progress}
    fitted = fit_table(table, list(dict.fromkeys(crossed["task"])), split=split, spec=spec, **options)  # type: ignore[arg-type]
    rows = []
    for row in crossed.itertuples():
        answer = when(fitted, str(row.task), float(row.level), best=True, start=str(split.as_of))  # type: ignore[arg-type]
        truth = DATE_CENTRE + years_of(row.crossed).item()
        middle = float(np.median(answer.draws))
        forecast = answer.table.iloc[0][["median", "q5", "q25", "q75", "q95"]]
        error, pit = 12.0 * (middle - truth), float((answer.draws < truth).mean())
        rows.append({**row._asdict(), **forecast, "error_months": error, "pit": pit})
    found = pd.DataFrame(rows).drop(columns="Index")
    return WhenCheck(found, _sentences(found, str(split.as_of)), fitted.problems)


def crossings(table: ScoreTable, as_of: str) -> pd.DataFrame:
    """First models since a date that passed levels nobody had passed: task, level, best before, crossed (a date)."""
    wide, date = table.matrix(table.benchmark_names), table.models["date"]
    rows = []
    for name in wide:
        scores = wide[name].dropna()
        before = scores[(date[scores.index] < as_of) & (date[scores.index] != "")]
        after = scores[date[scores.index] >= as_of]
        if len(before) < _FEWEST_SEEN:
            continue
        for level in LEVELS:
            passed = after[after >= level]
            if before.max() < level and level > np.nan_to_num(table.chance(str(name))) and len(passed):
                rows.append({"task": name, "level": level, "best": before.max(), "crossed": date[passed.index].min()})
    return pd.DataFrame(rows, columns=["task", "level", "best", "crossed"])


def _sentences(found: pd.DataFrame, as_of: str) -> tuple[str, ...]:
    truth = found["pit"]
    held = {level: ((truth >= (1 - level) / 2) & (truth <= (1 + level) / 2)).mean() for level in (0.5, 0.8, 0.9)}
    late = found["error_months"]
    last = date_at(years_of(found["crossed"]).max())
    return (
        f"{len(found)} levels of {found['task'].nunique()} benchmarks were passed from {as_of} to {last}: the 50 % "
        f"interval held {held[0.5]:.0%} of the dates, the 80 % interval {held[0.8]:.0%}, the 90 % interval "
        f"{held[0.9]:.0%}.",
        f"The median was off by {np.median(np.abs(late)):.1f} months (median), and late by {np.median(late):+.1f}.",
    )
