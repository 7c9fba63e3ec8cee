"""Scores of new models of a few families along training compute and along release date, for the page of a forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.data.dates import date_at, years_of
from bayes_obscaling.pages.values import packed
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import family_of, forecast
from bayes_obscaling.results.release import release_date
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario
from bayes_obscaling.results.summaries import LEVELS

# Levels of the quantiles of new evaluations, per cent.
_PERCENTS = np.arange(2, 100, 2)
_POINTS = 31
# Years after the latest release up to which a fan follows dates.
_YEARS_AHEAD = 2.0
# Families that are followed, and fans (families times tasks) that a page has room for.
_MOST_FAMILIES, _MOST_FANS = 5, 20


def families_to_follow(fit: CapabilityFit, first: Sequence[str], n_tasks: int) -> list[str]:
    """Families whose fans a page shows: the first ones, a family never seen, then those with the most models."""
    sizes = fit.table.models["family"].value_counts(sort=True)
    wanted = dict.fromkeys([*(family_of(fit, one) for one in first), NEW_FAMILY, *map(str, sizes.index[sizes > 1])])
    return list(wanted)[: max(1, min(_MOST_FAMILIES, _MOST_FANS // n_tasks))]


def fan(fit: CapabilityFit, tasks: Sequence[str], family: str) -> dict[str, Any]:
    """Whose scores are followed, and the fans along compute (``by_compute``) and along release date (``by_date``).

    A fan is a list of points: ``task``, ``flops`` or ``date``, ``median, q5, q25, q75, q95`` of the expected score, and
    ``quantiles`` of a new evaluation at every two per cent, packed. It is empty where the fit has no compute, or
    no drift, to follow.
    """
    family = family_of(fit, family)
    who = "a family never seen" if family == NEW_FAMILY else family
    facts = fit.table.models
    flops = facts["flops"].dropna()
    own = flops[facts.loc[flops.index, "family"] == family]
    found: dict[str, Any] = {"family": family, "who": who, "by_compute": [], "by_date": []}
    found |= {"at_date": release_date(fit, family), "at_flops": None}
    if len(flops):
        least, most = np.log10((own if len(own) else flops).min()), np.log10(flops.max())
        grid = 10.0 ** np.linspace(np.floor(least - 0.3), np.ceil(most + 0.3), _POINTS)
        scenarios = [Scenario("new model", family, value) for value in grid]
        found["by_compute"] = _followed(fit, tasks, scenarios, "flops", grid.tolist())
    dates = years_of([text for text in facts["date"] if text])
    if fit.drift == "none" or not len(dates) or (fit.drift == "family" and family != NEW_FAMILY):
        return found
    at = float("nan") if fit.layout.structure.compute_trend else float(flops.max())
    days = [date_at(year) for year in np.linspace(dates.min(), dates.max() + _YEARS_AHEAD, _POINTS)]
    scenarios = [Scenario("new model", family, at, date=day) for day in days]
    found["by_date"] = _followed(fit, tasks, scenarios, "date", days)
    found["at_flops"] = None if np.isnan(at) else at
    return found


def _followed(
    fit: CapabilityFit, tasks: Sequence[str], scenarios: list[Scenario], along: str, places: Sequence[Any]
) -> list[dict[str, Any]]:
    """Points of a fan, task by task."""
    # one name for all scenarios, hence one residual and the noise of one evaluation: curves without jumps
    drawn = forecast(fit, scenarios, tasks=tasks)
    size = drawn.fit.posterior.size
    means = drawn.means.reshape(size, len(scenarios), len(tasks))
    scores = drawn.flat.reshape(size, len(scenarios), len(tasks))
    points = []
    for j, task in enumerate(tasks):
        bands = pd.DataFrame(np.quantile(means[..., j], list(LEVELS.values()), axis=0).T, columns=list(LEVELS))
        quantiles = packed(np.percentile(scores[..., j], _PERCENTS, axis=0).T)
        for place, band, own in zip(places, bands.round(3).to_dict("records"), quantiles, strict=True):
            place = float(f"{place:.4g}") if along == "flops" else place
            points.append({"task": task, along: place, **band, "quantiles": own})
    return points
