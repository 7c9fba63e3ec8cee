"""Scores of new models of a few families along training compute and along release date, as one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.data.dates import date_at, years_of
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import family_of, forecast
from bayes_obscaling.results.release import release_date
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario
from bayes_obscaling.results.summaries import LEVELS

# Columns of the quantiles of new evaluations, by their level in per cent.
NEW = {f"new_q{percent}": percent for percent in range(2, 100, 2)}
_POINTS = 31
# Years after the latest release up to which a fan follows dates.
_YEARS_AHEAD = 2.0
# Families that are followed, and fans (families times tasks).
_MOST_FAMILIES, _MOST_FANS = 5, 20


def families_to_follow(fit: CapabilityFit, first: Sequence[str], n_tasks: int) -> list[str]:
    """Families whose fans are worth their room: the first ones, a family never seen, then those with most models."""
    sizes = fit.table.models["family"].value_counts(sort=True)
    named = [family_of(fit.layout, one) for one in first]
    wanted = dict.fromkeys([*named, NEW_FAMILY, *map(str, sizes.index[sizes > 1])])
    return list(wanted)[: max(1, min(_MOST_FAMILIES, _MOST_FANS // n_tasks))]


def fans(fit: CapabilityFit, tasks: Sequence[str], family: str) -> pd.DataFrame:
    """Scores of new models of a family along compute, and along release date.

    Returns
    -------
    DataFrame
        One row per task and place: ``family``; ``along``, "flops" or "date"; ``task``; ``flops`` (NaN where compute
        follows its trend) and ``date`` of the model; ``median, q5, q25, q75, q95`` of its expected score; ``new_q2 ...
        new_q98`` of a new evaluation. None along what the fit does not follow: it has no compute, or no drift.
    """
    family = family_of(fit.layout, family)
    facts = fit.table.models
    flops = facts["flops"].dropna()
    own = flops[facts.loc[flops.index, "family"] == family]
    parts = [_EMPTY]
    if len(flops):
        least, most = np.log10((own if len(own) else flops).min()), np.log10(flops.max())
        grid = 10.0 ** np.linspace(np.floor(least - 0.3), np.ceil(most + 0.3), _POINTS)
        scenarios = [Scenario("new model", family, value) for value in grid]
        parts.append(_followed(fit, tasks, scenarios, "flops", date=release_date(fit, family)))
    dates = years_of([text for text in facts["date"] if text])
    if fit.drift != "none" and len(dates) and (fit.drift != "family" or family == NEW_FAMILY):
        at = float("nan") if fit.layout.structure.compute_trend else float(flops.max())
        days = [date_at(year) for year in np.linspace(dates.min(), dates.max() + _YEARS_AHEAD, _POINTS)]
        scenarios = [Scenario("new model", family, at, date=day) for day in days]
        parts.append(_followed(fit, tasks, scenarios, "date"))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


_EMPTY = pd.DataFrame(columns=["family", "along", "task", "flops", "date", *LEVELS, *NEW])


def _followed(
    fit: CapabilityFit, tasks: Sequence[str], scenarios: list[Scenario], along: str, **said: Any
) -> pd.DataFrame:
    """Rows of a fan, task by task."""
    # one name for all scenarios, hence one residual and the noise of one evaluation: curves without jumps
    drawn = forecast(fit, scenarios, tasks=tasks)
    shape = (drawn.fit.posterior.size, len(scenarios), len(tasks))
    means, scores = drawn.means.reshape(shape), drawn.flat.reshape(shape)
    where = {
        "family": scenarios[0].family,
        "along": along,
        "flops": [float(f"{one.flops:.4g}") for one in scenarios],
        "date": [one.date for one in scenarios],
        **said,
    }
    parts = []
    for j, task in enumerate(tasks):
        bands = np.quantile(means[..., j], list(LEVELS.values()), axis=0)
        quantiles = np.percentile(scores[..., j], list(NEW.values()), axis=0)
        values = dict(zip((*LEVELS, *NEW), (*bands, *quantiles), strict=True))
        parts.append(pd.DataFrame({**where, "task": task, **values}))
    return pd.concat(parts, ignore_index=True)[list(_EMPTY)]
