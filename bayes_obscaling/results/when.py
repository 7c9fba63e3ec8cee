"""When a score is reached: by the typical model of one line at its own pace, or by the best model of all labs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtri

from bayes_obscaling.data.dates import DATE_CENTRE, date_at, iso_date, years_of
from bayes_obscaling.errors import InputError
from bayes_obscaling.models import capability_equations as equations
from bayes_obscaling.results.beyond import benchmark_offsets
from bayes_obscaling.results.curves import family_curves, first_crossing
from bayes_obscaling.results.forecast import family_of, tasks_of
from bayes_obscaling.results.reach import Reach, check_level
from bayes_obscaling.results.scenario import NEW_FAMILY
from bayes_obscaling.results.summaries import LEVELS, interval_columns

if TYPE_CHECKING:
    from bayes_obscaling.results.fit import CapabilityFit

# Years after the latest release that was seen, up to which dates are followed.
HORIZON_YEARS = 20
_STEP = 1 / 12  # years
# Years before the latest release over which releases are counted.
_RECENT = 1.0
# Times a year by which training compute can be meant to grow.
_FASTEST = 1000.0
ANY = "any"


@dataclass(frozen=True, eq=False, repr=False)
class When(Reach):
    """When a score is first reached.

    ``table`` has one row: ``task, level, family`` ("any" for the best of all), ``best`` (the best score seen),
    the dates ``start`` and ``until`` between which was looked, ``median, q5, q25, q75, q95`` as dates (empty where
    later), ``never``, the probability that it is not reached until then, and ``already``, that it is at the start.
    NumPy reads it as its draws: calendar years, infinite where later.
    """


def when(
    fit: CapabilityFit,
    task: str,
    level: float,
    family: str = NEW_FAMILY,
    *,
    best: bool = False,
    trend_compute: float | None = None,
    start: str = "",
) -> When:
    """Posterior of the date at which a line, or the best of all models, first reaches a score.

    Parameters
    ----------
    fit : CapabilityFit
        Of a spec in which compute has a trend, such as ``CapabilitySpec.frontier()``.
    task : str
        Benchmark.
    level : float
        Expected score, above chance and below 1.
    family : str
        A family of the table, or "new": its typical model is followed. None with `best`.
    best : bool
        Follow the best of all models released: lines with a release in the last year go on releasing as often as in
        it, each model around its line; what was seen before counts.
    trend_compute : float, optional
        Factor by which training compute grows a year from `start` on, such as 4.5; default as learned.
    start : str
        Date from which on to look; default that of the latest release seen.

    Raises
    ------
    InputError
        For a fit without such a trend, an unknown task or family, a family with `best`, a level that is not between
        chance and 1, or a growth that cannot be meant.

    Notes
    -----
    Expected scores are meant, not lucky runs. After all that was seen efficiency wanders as in forecasts, one path a
    draw. Answers later than 20 years are "not before" that.
    """
    (name,) = tasks_of(fit, task)
    check_level(name, fit.chance(name), level)
    if best and fit.posterior.has_head(name):
        remedy = "ask for a family, or give it the role 'benchmark'"
        raise InputError(f"The best of all models is followed on benchmarks, and {name} is a task", remedy)
    if best and family != NEW_FAMILY:
        raise InputError(f"The best of all models is not that of {family}", "leave out the family, or best")
    family = ANY if best else family_of(fit.layout, family)
    if not fit.layout.structure.compute_trend:
        remedy = "fit with CapabilitySpec.frontier(), as --table frontier does, or ask reach"
        raise InputError("The fit has no trend of compute in time", remedy)
    first = years_of(iso_date(start)).item() if start else fit.posterior.latest[NEW_FAMILY]
    years = first + np.arange(0.0, HORIZON_YEARS + _STEP, _STEP)
    extra = None
    check_trend(trend_compute)
    if trend_compute is not None:
        extra = np.log10(trend_compute) * (years - first)
    seen = _best_seen(fit, name, first)
    curves = _best_of_all(fit, name, years, extra) if best else _line(fit, name, family, years, extra)
    draws = DATE_CENTRE + first_crossing(years, curves.T, level)
    if best and seen >= level:
        draws = np.full_like(draws, DATE_CENTRE + first)
    table = interval_columns(draws[:, None])
    table["never"], table["already"] = np.isinf(draws).mean(), (draws <= DATE_CENTRE + first).mean()
    for column in LEVELS:
        table[column] = [date_at(value - DATE_CENTRE) if np.isfinite(value) else "" for value in table[column]]
    asked = {"task": name, "level": level, "family": family, "best": seen}
    asked |= {"start": date_at(first), "until": date_at(years[-1])}
    for column, value in reversed(asked.items()):
        table.insert(0, column, value)
    sentences = [_sentence(table.iloc[0])]
    if first > fit.posterior.latest[NEW_FAMILY] and table["already"].iloc[0] > 0.5:
        sentences.append(f"It was looked for from {date_at(first)} on only: it may be reached long before.")
    return When(table, tuple(sentences), fit.problems, draws=draws)


def check_trend(factor: float | None) -> None:
    """Refuse a yearly factor of compute that cannot be meant."""
    if factor is not None and not 1 <= factor <= _FASTEST:
        remedy = f"give a factor from 1 to {_FASTEST:g}, such as 4.5"
        raise InputError(f"Compute cannot grow {factor:g} times a year", remedy)


def _best_seen(fit: CapabilityFit, task: str, first: float) -> float:
    """Best score on a task that the fit has seen of models released until `first`; NaN without one."""
    date = years_of(fit.table.models["date"])
    scores = fit.table.matrix([task])[task].where(fit.posterior.seen[task]).to_numpy()[~(date > first)]
    return float(np.nanmax(scores)) if np.isfinite(scores).any() else np.nan


def _compute_at(fit: CapabilityFit, family: str, years: np.ndarray, extra: np.ndarray | None) -> np.ndarray:
    """FLOPs (years,) of a line that grows by `extra` decades from its median at the first year; NaN as learned."""
    if extra is None:
        return np.full(len(years), np.nan)
    facts = {"flops": np.full(1, np.nan), "date": np.array([date_at(years[0])])}
    x = fit.posterior.covariates([family], facts, typical=True)
    return np.asarray(10.0 ** (np.median(np.asarray(x.compute)) + equations.COMPUTE_CENTRE + extra))


def _line(fit: CapabilityFit, task: str, family: str, years: np.ndarray, extra: np.ndarray | None) -> np.ndarray:
    dates = np.array([date_at(year) for year in years])
    return family_curves(fit, task, family, _compute_at(fit, family, years, extra), dates)


def _best_of_all(fit: CapabilityFit, task: str, years: np.ndarray, extra: np.ndarray | None) -> np.ndarray:
    """Best expected score (S, years) so far of all models released from the first year on.

    Each line with a release in the last year releases a Poisson number of models a month. Given a draw, the linear
    predictor of a model of a line is normal about the line's, so that the best of n is its quantile at U ** (1 / n):
    Equation 41 of docs/explanation/model.md.
    """
    posterior, models = fit.posterior, fit.table.models
    date = years_of(models["date"])
    recent = models["family"][(date > years[0] - _RECENT) & (date <= years[0]) & posterior.measured.to_numpy()]
    releases = recent.value_counts()
    if releases.empty:
        raise InputError("No model was released in the year before", "take another start")
    at, predictors = posterior.layout.benchmarks.index(task), posterior.predictors_of(task)
    p = posterior.measurement(predictors)
    loading = p["loading"][:, at]  # (S, K)
    curve = {name: p[name][:, [at]] for name in equations.BENCHMARK_SHAPE if name in p}
    best = np.full((posterior.size, len(years)), -np.inf)
    dates = np.array([date_at(year) for year in years])
    for family, count in releases.items():
        name = str(family)
        facts = {"flops": _compute_at(fit, name, years, extra), "date": dates}
        place = posterior.family_line(name, facts)
        theta = place.theta[:, predictors]  # (S, years, K)
        effects = posterior.family_effects(name)
        spread = p["residual_sd"] ** 2
        if extra is None:
            spread = spread + (effects["slope"][:, predictors] * p["compute_sd"][:, None]) ** 2
        sd = np.sqrt((loading**2 * spread).sum(axis=-1))
        rng = posterior.rng("releases", name, task)
        n = rng.poisson(count * _STEP / _RECENT, best.shape)
        unit = ndtri(rng.random(best.shape) ** (1.0 / np.maximum(n, 1)))
        eta = (theta * loading[:, None]).sum(axis=-1) + p["difficulty"][:, [at]] + sd[:, None] * unit
        eta = eta + benchmark_offsets(p, place, predictors, [at])[..., 0]
        best = np.maximum(best, np.where(n > 0, eta, -np.inf))
    best = np.maximum.accumulate(best, axis=1)
    chance = float(np.asarray(posterior.layout.measurements[0].chance)[at])
    score = equations.benchmark_response(curve, np.maximum(best, -50.0)[..., None], chance)
    return np.asarray(score)[..., 0]


def _sentence(row: pd.Series) -> str:
    who = "The best of all models" if row["family"] == ANY else f"A typical model of {row['family']}"
    if row["family"] == NEW_FAMILY:
        who = "A typical model of a family never seen"
    goal = f"{row['level']:g} on {row['task']}"
    if row["already"] > 0.5:
        return f"{who} has reached {goal} by {row['start']} (probability {row['already']:.0%})."
    if not row["median"]:
        return f"{who} more likely than not does not reach {goal} before {row['until']} ({row['never']:.0%})."
    upper = row["q95"] or f"not before {row['until']}"
    never = f"; with probability {row['never']:.0%} not before {row['until']}" if row["never"] >= 0.005 else ""
    return f"{who} reaches {goal} on {row['median']} (90 % interval {row['q5']} to {upper}{never})."
