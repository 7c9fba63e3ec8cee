"""The compute, or the release date, at which a family reaches a score."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_obscaling.data.dates import DATE_CENTRE, date_at, iso_date, years_of
from bayes_obscaling.data.rules import check_flops
from bayes_obscaling.errors import InputError
from bayes_obscaling.results.curves import COMPUTE_GRID, family_curves, first_crossing
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.forecast import family_of, tasks_of
from bayes_obscaling.results.release import check_drift, release_date, released
from bayes_obscaling.results.scenario import NEW_FAMILY
from bayes_obscaling.results.summaries import LEVELS, interval_columns

if TYPE_CHECKING:
    import pandas as pd

    from bayes_obscaling.results.fit import CapabilityFit

# Years after the latest release that a fit has seen, or after the start of a trend, up to which dates are followed.
HORIZON_YEARS = 10
_STEP_DAYS = 30
# Decades a year by which training compute can be meant to grow; the largest runs have grown by .6 or .7.
_FASTEST = 3.0
# Probability from which a sentence tells of it.
_TOLD = 0.005


@dataclass(frozen=True, eq=False, repr=False)
class Reach(Finding):
    """When, or with what compute, the curve of a family's typical model first reaches a score; NumPy reads its draws.

    Attributes
    ----------
    draws : array (chains * draws,)
        Where each draw's curve first reaches the score, infinite where it does not.
    """

    drawn_by = "plot_reach"

    draws: np.ndarray = field(kw_only=True)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.draws, dtype=dtype) if copy else np.asarray(self.draws, dtype=dtype)

    def __len__(self) -> int:
        return len(self.draws)


@dataclass(frozen=True, eq=False, repr=False)
class ComputeToReach(Reach):
    """The compute at which the curve of a family's typical model first reaches a score.

    ``table`` has one row: ``task, level, family, date`` (of release; empty without a drift), ``median, q5, q25, q75,
    q95`` in FLOPs, ``never``, the probability that no compute below 1e30 FLOPs is enough, and ``already``, that 1e18
    are. NumPy reads it as its draws: infinite where 1e30 FLOPs are not enough, 1e18 where that is enough already.
    """


@dataclass(frozen=True, eq=False, repr=False)
class DateToReach(Reach):
    """The release date at which the curve of a family's typical model first reaches a score.

    ``table`` has one row: ``task, level, family``, ``flops`` at the date ``start`` and their ``growth`` (decades a
    year), the date ``until`` which the curve is followed, ``median, q5, q25, q75, q95`` as dates (empty where later
    than that), ``never``, the probability that the score is not reached until then, and ``already``, that it is at the
    start. NumPy reads it as its draws: calendar years, such as 2026.25, infinite where later.
    """


def check_level(task: str, chance: float, level: float) -> None:
    """Refuse a score to reach that is not between the chance score of a task (NaN: not known) and 1."""
    floor = "0" if chance != chance else f"the chance score of {task} ({chance:g})"
    if not np.nan_to_num(chance) < level < 1:
        percent = 2 <= level < 100  # 1.5 is no way to write 1.5 %
        raise InputError(
            f"The level {level} is not between {floor} and 1: give {f'{level / 100:g}' if percent else 'another'}."
        )


def check_growth(growth: float) -> None:
    """Refuse a growth of compute that cannot be meant, in decades a year."""
    if not 0 <= growth <= _FASTEST:
        remedy = f"give decades a year from 0 to {_FASTEST:g}, such as 0.6 for four times a year"
        raise InputError(f"The growth of compute is {growth:g}", remedy)


def compute_to_reach(fit: CapabilityFit, task: str, level: float, family: str, date: str = "") -> ComputeToReach:
    """Posterior of the compute at which a family's curve first reaches a score.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file.
    task : str
        Task or benchmark.
    level : float
        Score, above chance and below 1.
    family : str
        A family of the table, or "new".
    date : str
        Release date, for a fit with a drift; default as of `Scenario`.

    Raises
    ------
    InputError
        For an unknown task or family, a level that is not between chance and 1, or a date that the fit does not read.
    """
    name, family = _asked(fit, task, level, family)
    if date:
        check_drift(fit.drift, family)
    date = release_date(fit, family, date)
    curves = family_curves(fit, name, family, 10.0**COMPUTE_GRID, date)
    draws = np.asarray(10.0 ** first_crossing(COMPUTE_GRID, curves.T, level))
    table = _row(draws, 10.0 ** COMPUTE_GRID[0], task=name, level=level, family=family, date=date)
    return ComputeToReach(table, (_compute_sentence(table.iloc[0]),), fit.problems, draws=draws)


def date_to_reach(
    fit: CapabilityFit,
    task: str,
    level: float,
    family: str,
    flops: float,
    *,
    growth: float = 0.0,
    start: str = "",
) -> DateToReach:
    """Posterior of the release date at which a family's curve first reaches a score.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file, with a drift.
    task : str
        Task or benchmark.
    level : float
        Score, above chance and below 1.
    family : str
        A family of the table, or "new".
    flops : float
        Training compute, at `start` where it grows.
    growth : float
        Decades a year by which compute grows.
    start : str
        Date from which on to look (as of `bayes_obscaling.data.dates.iso_date`). Default, for compute that grows: that
        of the latest release that the fit has seen; for compute that stays: the first release of the family, for a new
        family of all.

    Raises
    ------
    InputError
        For a fit without a drift, one whose drift gives the family a single date, an unknown task or family, a level
        that is not between chance and 1, or compute, growth or a start that cannot be meant.

    Notes
    -----
    The curve is that of the family's typical model, as in `compute_to_reach`. After all that was seen efficiency
    wanders as in forecasts, along one path a draw, so that the probability of having reached the score by a date is
    that of an expected score above it at that date (but for draws whose path dips after it has reached the score).
    The date answers "if drift goes on as it was"; no draw is followed for more than 10 years.
    """
    name, family = _asked(fit, task, level, family)
    check_drift(fit.drift, family)
    check_flops("The compute", flops)
    check_growth(growth)
    latest = fit.posterior.latest[NEW_FAMILY]
    begin = iso_date(start) or date_at(latest if growth else _first_release(fit, family))
    end = date_at(max(latest, years_of(begin).item()) + HORIZON_YEARS)
    dates = np.arange(np.datetime64(begin), np.datetime64(end), np.timedelta64(_STEP_DAYS, "D")).astype(str)
    years = years_of(dates)
    curves = family_curves(fit, name, family, flops * 10.0 ** (growth * (years - years[0])), dates)
    draws = DATE_CENTRE + first_crossing(years, curves.T, level)
    trend = {"flops": flops, "growth": growth, "start": begin, "until": dates[-1]}
    table = _row(draws, DATE_CENTRE + years[0], task=name, level=level, family=family, **trend)
    for column in LEVELS:
        table[column] = [date_at(value - DATE_CENTRE) if np.isfinite(value) else "" for value in table[column]]
    return DateToReach(table, (_date_sentence(table.iloc[0]),), fit.problems, draws=draws)


def _asked(fit: CapabilityFit, task: str, level: float, family: str) -> tuple[str, str]:
    """Names of the task and the family as the table writes them; refused is what cannot be asked."""
    (name,) = tasks_of(fit, task)
    check_level(name, fit.chance(name), level)
    return name, family_of(fit.layout, family)


def _row(draws: np.ndarray, first: float, **asked: Any) -> pd.DataFrame:
    """One row: what was asked, where draws reach the score, and the probabilities of never and, at `first`, already."""
    table = interval_columns(draws[:, None])
    table["never"], table["already"] = np.isinf(draws).mean(), (draws <= first).mean()
    for column, value in reversed(asked.items()):
        table.insert(0, column, value)
    return table


def _first_release(fit: CapabilityFit, family: str) -> float:
    """Years since DATE_CENTRE of the first release of a family, or of all."""
    date = np.asarray(fit.layout.measurements[0].covariates.date)
    return float(
        date.min() if family == NEW_FAMILY else date[fit.posterior.family == fit.layout.families.index(family)].min()
    )


def _compute_sentence(row: Any) -> str:
    who, goal = _who(row) + released(row["date"]), _goal(row)
    if np.isinf(row["median"]):
        return f"{who} more likely than not never reaches {goal} below 1e30 FLOPs (probability {row['never']:.0%})."
    upper = f"{row['q95']:.2g}" if np.isfinite(row["q95"]) else "more than 1e30"
    never = f"; with probability {row['never']:.0%} it never does below 1e30" if row["never"] >= _TOLD else ""
    already = f"; with probability {row['already']:.0%} it has at 1e18" if row["already"] >= _TOLD else ""
    return (
        f"{who} reaches {goal} at {row['median']:.2g} FLOPs (90 % interval {row['q5']:.2g} to {upper}{never}{already})."
    )


def _date_sentence(row: Any) -> str:
    growing = f" on {row['start']} (growing by {row['growth']:g} decades a year)" if row["growth"] else ""
    who, goal = f"{_who(row)} of {row['flops']:.2g} FLOPs{growing}", _goal(row)
    if not row["median"]:
        return (
            f"{who} more likely than not does not reach {goal} before {row['until']} (probability {row['never']:.0%})."
        )
    if row["median"] == row["start"]:
        return f"{who} more likely than not has reached {goal} by {row['start']} (probability {row['already']:.0%})."
    never = f"; with probability {row['never']:.0%} not before {row['until']}" if row["never"] >= _TOLD else ""
    already = f"; with probability {row['already']:.0%} it has by {row['start']}" if row["already"] >= _TOLD else ""
    upper = row["q95"] or f"later than {row['until']}"
    return f"{who} reaches {goal} on {row['median']} (90 % interval {row['q5']} to {upper}{never}{already})."


def _who(row: Any) -> str:
    return "A typical model of " + ("a family never seen" if row["family"] == "new" else str(row["family"]))


def _goal(row: Any) -> str:
    return f"{row['level']:g} on {row['task']}"
