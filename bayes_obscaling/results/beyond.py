"""Models that do not exist yet: how far lines may stray beyond the data, and facts that nobody gave, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayes_obscaling.data.dates import years_of
from bayes_obscaling.data.efforts import effort_level
from bayes_obscaling.models import capability_equations as equations
from bayes_obscaling.models.capability_equations import Covariates
from bayes_obscaling.models.cells import all_scores, best_levels, reasons
from bayes_obscaling.models.links import Numbers
from bayes_obscaling.results.ratio import with_ratio
from bayes_obscaling.results.remember import remembered
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario

if TYPE_CHECKING:
    from bayes_obscaling.results.posterior import Place, Posterior

# Years before the latest release over which habits of labs are counted: whether models reason, and at which effort.
_RECENT = 1.0


def stray(posterior: Posterior, families: Sequence[str], date: Numbers, flops: Numbers) -> np.ndarray:
    """How far typical models of `families` may be off their lines beyond what was seen, (S, G or 1, N, K).

    Two random walks in decades of compute, whose sd grows with the square root of the distance: of efficiency, in
    years after the latest release seen (one path for all), and of a family's line, in decades of compute outside
    its measured models (one path for each family). Equation 17 of docs/explanation/model.md. `date` (N,) is as
    covariates have it; `flops` (N,) are NaN where compute is drawn: that follows its own trend, and is outside of
    nothing.
    """
    measurement, spec = posterior.measurement(), posterior.spec
    wanders = "drift" in measurement and "walk" not in measurement  # a walk of the fit goes on by itself
    years = np.maximum(np.asarray(date) - posterior.latest[NEW_FAMILY], 0.0) * wanders
    ranges = _compute_ranges(posterior)
    low, high = np.array([ranges[family] for family in families]).T
    compute = np.log10(np.asarray(flops, float)) - equations.COMPUTE_CENTRE
    outside = np.nan_to_num(np.maximum(np.maximum(compute - high, low - compute), 0.0))
    if not (years.any() or outside.any()):
        return np.zeros(1)
    shape, names = (posterior.size, 1, len(posterior.layout.factors)), list(dict.fromkeys(families))
    in_time = posterior.rng("beyond").standard_normal(shape)
    of_line = np.concatenate([posterior.rng("line", name).standard_normal(shape) for name in names], axis=1)
    decades = spec.drift_walk * np.sqrt(years)[:, None] * in_time
    decades = decades + spec.line_walk * np.sqrt(outside)[:, None] * (
        of_line if len(names) == 1 else of_line[:, [names.index(family) for family in families]]
    )
    return np.asarray(measurement["slope_mean"][..., None, :] * decades[:, None])


@remembered
def _compute_ranges(posterior: Posterior) -> dict[str, tuple[float, float]]:
    """Smallest and largest compute, as covariates have it, of each family's measured models; of all as "new".

    A family without such a model has the range of all; where there is none at all, nothing is outside.
    """
    known = posterior.measured.to_numpy().copy()
    known[list(posterior.layout.structure.unknown_compute)] = False
    compute = np.asarray(posterior.layout.measurements[0].covariates.compute)

    def ends(which: np.ndarray) -> tuple[float, float]:
        return float(compute[which].min()), float(compute[which].max())

    of_all = ends(known) if known.any() else (-np.inf, np.inf)
    own = {name: known & (posterior.family == at) for at, name in enumerate(posterior.layout.families)}
    return {**{name: ends(which) if which.any() else of_all for name, which in own.items()}, NEW_FAMILY: of_all}


def drawn_covariates(
    posterior: Posterior, families: Sequence[str], x: Covariates, facts: Mapping[str, Any], typical: bool
) -> Covariates:
    """Covariates in which compute that was not given, and whether a model reasons, are drawn: (S, 1, N).

    Tokens per parameter that were not given are the usual ones.

    Equation 40 of docs/explanation/model.md. Compute comes from its trend at the date of release; reasoning from the
    share of recent models of the family, of all for a family never seen, unless an effort was asked for. As they are,
    where the fit has neither. `typical` models are on the trend of their family's compute.
    """
    structure = posterior.layout.structure
    x = with_ratio(posterior, families, x, facts)
    if structure.compute_trend and not np.isfinite(np.asarray(facts["flops"], float)).all():
        x = x._replace(compute=_drawn_compute(posterior, families, x, np.asarray(facts["flops"], float), typical))
    if structure.is_sparse:
        efforts = facts.get("effort", [""] * len(families))
        x = x._replace(reasoning=_drawn_reasoning(posterior, families, efforts))
    return x


def _drawn_compute(
    posterior: Posterior, families: Sequence[str], x: Covariates, flops: np.ndarray, typical: bool
) -> np.ndarray:
    p, shape, names = posterior.measurement(), (posterior.size, 1), posterior.layout.families

    def of_family(family: str) -> np.ndarray:
        if family in names:
            return np.asarray(p["family_compute"][..., names.index(family)])
        return np.asarray(p["family_compute_sd"] * posterior.rng("family compute", family).standard_normal(shape))

    known = {family: of_family(family) for family in dict.fromkeys(families)}
    dates = np.asarray(x.date)
    drawn = np.asarray(equations.compute_trend(p, np.stack([known[f] for f in families], axis=-1), dates))
    if not typical:
        keys = [(family, f"{date:.3f}") for family, date in zip(families, dates, strict=True)]
        unit = [posterior.rng("compute", *key).standard_normal(shape) for key in keys]
        drawn = drawn + p["compute_sd"][..., None] * np.stack(unit, axis=-1)
    return np.where(np.isfinite(flops), np.asarray(x.compute), drawn)


@remembered
def _habits(posterior: Posterior) -> pd.DataFrame:
    """Models of the table: family, reasons, level (the highest effort, NaN if unknown), whether they are recent."""
    table = posterior.table
    levels = best_levels(all_scores(table)).reindex(table.models.index)
    late = years_of(table.models["date"]) > posterior.latest[NEW_FAMILY] - _RECENT
    return table.models[["family"]].assign(
        reasons=reasons(table), level=levels, is_recent=posterior.measured.to_numpy() & late
    )


def _recent(posterior: Posterior) -> pd.DataFrame:
    """Those of the last year before the latest release, of which the fit has seen a score."""
    habits = _habits(posterior)
    return habits[habits["is_recent"]]


def _drawn_reasoning(posterior: Posterior, families: Sequence[str], efforts: Sequence[str]) -> np.ndarray:
    recent = _recent(posterior)
    share = recent.groupby("family")["reasons"].mean()
    of_all = float(recent["reasons"].mean()) if len(recent) else 0.0

    def one(family: str, effort: str) -> np.ndarray:
        if effort:
            return np.full((posterior.size, 1), float(effort != "none"))
        unit = posterior.rng("reasoning", family).random((posterior.size, 1))
        return np.asarray(unit < share.get(family, of_all), float)

    drawn = {key: one(*key) for key in dict.fromkeys(zip(families, efforts, strict=True))}
    return np.stack([drawn[key] for key in zip(families, efforts, strict=True)], axis=-1)


def effort_shifts(posterior: Posterior, scenarios: Sequence[Scenario]) -> np.ndarray:
    """What asked efforts take from capability at a model's best effort, (S, G, N, K); 0 where none was asked.

    The best effort of a model of the table is the highest at which it was scored; of others, the usual one of recent
    models that reason.
    """
    p = posterior.measurement()
    result = np.zeros((*p["effort_step"].shape[:-1], len(scenarios), p["effort_step"].shape[-1]))
    if not any(s.effort for s in scenarios):
        return result
    habits, recent = _habits(posterior), _recent(posterior)
    usual = recent.loc[recent["reasons"] == 1.0, "level"].median()
    for i, scenario in enumerate(scenarios):
        if not scenario.effort:
            continue
        if scenario.effort == "none":
            if scenario.is_known:  # of a new model, reasoning is a covariate
                result[..., i, :] = -p["reasoning_step"] * habits.at[scenario.model, "reasons"]
            continue
        own = habits.at[scenario.model, "level"] if scenario.is_known else np.nan
        top = own if np.isfinite(own) else usual
        steps = effort_level(scenario.effort) - top if np.isfinite(top) else 0.0
        result[..., i, :] = p["effort_step"] * steps
    return result


def benchmark_offsets(p: Mapping[str, np.ndarray], place: Place, predictors: int, at: Sequence[int]) -> np.ndarray:
    """What linear predictors (S, N, J) of benchmarks have beside capabilities and difficulty; 0 where nothing."""
    if "benchmark_drift" in p:
        return np.asarray(p["benchmark_drift"][:, None, at] * place.date[:, None])
    offset = place.effects.get("family_offset")
    return np.zeros(1) if offset is None else offset[:, predictors][..., at]
