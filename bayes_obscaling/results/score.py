"""Score models that a fit has not seen: what they can do, given their scores and the fit, without a new fit.

The posterior of everything else changes little when one model joins many. So each posterior draw is kept, weighted by
how likely it makes the new model's scores: exact up to Monte Carlo error, as item response theory scores an examinee.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.checks import listed
from bayes_obscaling.data.dates import months_between
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.models import capability_equations as equations
from bayes_obscaling.models.capability_equations import COMPUTE_CENTRE, Covariates
from bayes_obscaling.models.cells import reasons
from bayes_obscaling.models.links import inverse_items
from bayes_obscaling.results.forecast import Forecast, decades_outside, tasks_of
from bayes_obscaling.results.leave_one_out.weights import PARETO_LIMIT, smoothed
from bayes_obscaling.results.marginal import (
    Scores,
    capabilities_given_scores,
    chance_at_draws,
    compute_given,
    curves_of,
    unseen_room,
)
from bayes_obscaling.results.posterior import Place, Posterior
from bayes_obscaling.results.ratio import Ratio
from bayes_obscaling.results.release import release_of_newcomer
from bayes_obscaling.results.scenario import NEW_FAMILY

if TYPE_CHECKING:
    from bayes_obscaling.data.sheet import Source
    from bayes_obscaling.results.fit import CapabilityFit

_line = jax.jit(equations.line)


@dataclass(frozen=True, eq=False, repr=False)
class Scored(Forecast):
    """Forecasts of models that the fit has not seen, given their scores.

    Attributes
    ----------
    pareto_k : Series
        By model: how far its scores move the posterior of all else. Above .7 it is to be fitted anew.
    capabilities : DataFrame
        By model and capability: ``median, q5, q95``, in logits of the capability's anchor.
    left_aside : tuple of str
        New models without a score on a benchmark of the fit.
    """

    pareto_k: pd.Series = field(kw_only=True, repr=False)
    capabilities: pd.DataFrame = field(kw_only=True, repr=False)
    left_aside: tuple[str, ...] = field(default=(), kw_only=True, repr=False)

    @property
    def own_notes(self) -> tuple[str, ...]:
        """Models that were left aside, and dates that nobody gave."""
        aside = f"Left aside, without a score on a benchmark of the fit: {listed(self.left_aside)}."
        rows = self.about[self.about["basis"] != "benchmarks"]
        unread = [f"{name} ({listed(list(own['task']))})" for name, own in rows.groupby("model", sort=False)]
        without = f"Without a score that the task reads, from {listed(list(rows['basis'].unique()))}: {listed(unread)}."
        return (*[aside] * bool(self.left_aside), *[without] * bool(unread), *super().own_notes)

    def alone(self, model: str) -> Scored:
        """Return what is said of one of the models."""
        at, rows = list(self.pareto_k.index).index(model), self.about["model"] == model
        return replace(
            self,
            draws=self.draws.isel(scenario=[at]),
            means=self.means[:, :, [at]],
            about=self.about[rows].reset_index(drop=True),
            pareto_k=self.pareto_k.iloc[[at]],
            capabilities=self.capabilities[self.capabilities["model"] == model],
        )

    def to_dataframe(self) -> pd.DataFrame:
        """As of `Forecast`; what the sampler says of itself is said of each model, since they are scored one by one."""
        if len(self.pareto_k) < 2:
            return super().to_dataframe()
        return pd.concat([part.to_dataframe() for part in self._parts.values()], ignore_index=True)

    @cached_property
    def _parts(self) -> dict[str, Scored]:
        """Each model alone, by name: each judges its own draws once."""
        return {str(name): self.alone(str(name)) for name in self.pareto_k.index}

    @property
    def own_problems(self) -> tuple[str, ...]:
        """What went wrong in the forecast quantities themselves, by model."""
        if len(self.pareto_k) < 2:
            return super().own_problems
        return tuple(f"{name}, {problem}" for name, part in self._parts.items() for problem in part.own_problems)

    @property
    def remedy(self) -> str:
        """What helps where few draws are left: of scores that a fit did not expect, more draws keep no larger share."""
        far = [str(name) for name in self.pareto_k.index[self.pareto_k > PARETO_LIMIT]]
        if far:
            return f"fit {', '.join(far)} with the table (forecast --scores FILE --refit), more draws do not help"
        return "fit again with more --draws"

    @property
    def warnings(self) -> tuple[str, ...]:
        """Models that move the posterior too far to be scored, and what `Forecast` warns of."""
        far = self.pareto_k[self.pareto_k > PARETO_LIMIT]
        told = tuple(
            f"{name}: Pareto k {k:.2f} is above {PARETO_LIMIT:g}, its scores change what the fit says of others, and "
            "few draws are left: fit again with it (forecast --scores FILE --refit)."
            for name, k in far.items()
        )
        return told + super().warnings


def score(
    fit: CapabilityFit, source: ScoreTable | Source | Path, *, tasks: str | Sequence[str] | None = None
) -> Scored:
    """Return forecasts of models that the fit has not seen, given their scores, without a new fit.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file.
    source : ScoreTable, DataFrame or path
        Scores of the new models, as in `bayes_obscaling.read`; a table may hold models of the fit as well, which are
        left as they are.
    tasks : str or sequence of str, optional
        What to forecast; default the tasks of the fit, and the benchmarks that a new model has no score on.

    Raises
    ------
    InputError
        When there is no new model, none has a score on a benchmark of the fit, or a task is not in the fit.

    Notes
    -----
    ``p(phi, theta_new | Y, y_new)`` is proportional to ``p(phi | Y) p(y_new | phi) p(theta_new | y_new, phi)``: draws
    of the fit are resampled by the marginal likelihood of the new scores, smoothed (Vehtari et al. 2024), in each chain
    by itself. A new family's effects are drawn from the population of families, and its offsets on the benchmarks with
    the capabilities; compute that is unknown is drawn with them. Several new models are scored one by one: they do not
    teach each other. Under a cut posterior task scores of the new model are not read. A task whose predictor set holds
    none of a model's benchmarks is forecast from the model's compute, or its date.
    """
    table = _table(fit, source)
    new = [name for name in table.models.index if name not in set(fit.layout.models)]
    if not new:
        raise InputError("Every model is in the fit already", "give scores of others, or fit again to change those")
    if fit.spec.compute_law != "log-linear":
        raise InputError(
            "Models can be scored under the log-linear law only", "fit without --compute-law and --curvature"
        )
    measured = set(table.scores[table.scores["benchmark"].isin(fit.layout.benchmarks)]["model"])
    mute, new = [name for name in new if name not in measured], [name for name in new if name in measured]
    if not new:
        raise InputError(
            f"There is no score on a benchmark of the fit of {listed(mute)}",
            f"add one, such as {fit.layout.benchmarks[0]}",
        )
    names = tasks_of(fit, tasks) if tasks is not None else _unasked(fit, table, new)
    parts = [_Newcomer(fit, table, model, names) for model in new]
    answers = [part.forecast(names) for part in parts]
    means, draws = (np.concatenate([answer[k] for answer in answers], axis=1) for k in (0, 1))
    by_chain = fit.posterior.by_chain
    array = xr.DataArray(
        by_chain(draws),
        dims=("chain", "draw", "scenario", "task"),
        coords={"scenario": new, "task": names},
        name="score",
    )
    about = pd.DataFrame([row for part in parts for row in part.about(names)])
    k = pd.Series({part.model: part.pareto_k for part in parts}, name="pareto_k")
    capabilities = pd.DataFrame([row for part in parts for row in part.capabilities()])
    named = {"pareto_k": k, "capabilities": capabilities, "left_aside": tuple(mute)}
    return Scored(array, by_chain(means), about, "response", fit, **named)  # type: ignore[arg-type]


def _table(fit: CapabilityFit, source: ScoreTable | Source | Path) -> ScoreTable:
    if isinstance(source, ScoreTable):
        return source
    from bayes_obscaling.data.parsing import parse
    from bayes_obscaling.data.reading import merge

    return merge(fit.table, parse(fit.table, source).of_new_models(fit.table))


def _unasked(fit: CapabilityFit, table: ScoreTable, new: list[str]) -> list[str]:
    """Tasks of the fit, and benchmarks that one of the new models has no score on."""
    known = [name for name in fit.layout.benchmarks if table.find(name)]
    scores = table.matrix(known).reindex(columns=list(fit.layout.benchmarks)).loc[new]
    missing = [name for name in fit.layout.benchmarks if scores[name].isna().any()]
    return [*(name for name in fit.tasks if name not in fit.layout.benchmarks), *missing] or list(fit.tasks)


class _Placed(NamedTuple):
    """A new model under one predictor set."""

    rows: np.ndarray  # (S,) resampled draws; at these are the others
    theta: np.ndarray  # (S, K)
    offset: np.ndarray  # (S, I)
    compute: np.ndarray  # (S,)
    pareto_k: float
    has_scores: bool


class _Newcomer:
    """One new model, placed under the predictor sets that tasks read."""

    def __init__(self, fit: CapabilityFit, table: ScoreTable, model: str, names: list[str]) -> None:
        self.fit, self.table, self.model, self.posterior = fit, table, model, fit.posterior
        facts = table.models.loc[model]
        self.family = str(facts["family"])
        self.known_family = self.family in fit.layout.families
        self.flops = float(facts["flops"])
        self.release = release_of_newcomer(fit, self.family, str(facts["date"]))
        self.line = self.family if self.known_family else NEW_FAMILY
        flops = self.flops if np.isfinite(self.flops) else 1.0
        given = {"flops": np.array([flops]), "date": np.array([self.release.date])}
        self.covariates = self.posterior.covariates([self.line], given)
        self.released = float(np.asarray(self.covariates.date)[0])
        self.sets = {name: self.posterior.predictors_of(name) for name in names}
        self.placed = {at: self._placed(at) for at in {self.posterior.complete, *self.sets.values()}}
        self.compute = self.placed[self.posterior.complete].compute
        self.pareto_k = max(place.pareto_k for place in self.placed.values())

    # --- the capabilities of one predictor set ------------------------------------------------------------------------

    def _placed(self, predictors: int) -> _Placed:
        p = self.posterior.measurement(predictors)
        at, scores = self._scores(predictors)
        base, slope, variance, x_mean, x_sd = self._line(p, predictors)
        offset, offset_sd = self._offsets(p)
        room = at + [0] * unseen_room(at)
        chance = chance_at_draws(p, self.fit.layout.measurements[predictors].chance)
        curves = curves_of(p, room, offset, offset_sd, chance)
        key = jax.random.key(int(self.posterior.rng("score", self.model, str(predictors)).integers(2**31)))
        mean, along = base + slope * x_mean[:, None], slope * x_sd[:, None]
        is_sparse = self.fit.layout.structure.is_sparse
        theta, of_family, log_weight = capabilities_given_scores(
            key, curves, mean, np.sqrt(variance), along, scores, is_sparse
        )
        rows, pareto_k = self._resampled(log_weight)
        rng = self.posterior.rng("score compute", self.model)
        compute = compute_given(theta - base, slope, variance, x_mean, x_sd, rng)
        effects = offset + offset_sd * self.posterior.rng("score offsets", self.model).standard_normal(offset.shape)
        effects[:, at] = of_family[:, : len(at)]
        return _Placed(rows, theta[rows], effects[rows], compute[rows], pareto_k, bool(at))

    def _scores(self, predictors: int) -> tuple[list[int], Scores]:
        """Positions of the benchmarks that the model was scored on, and its scores filled up with unseen ones."""
        layout = self.fit.layout
        left_out = layout.predictor_sets[predictors]
        known = [name for name in layout.benchmarks if name not in left_out and self.table.find(name)]
        values = self.table.matrix(known).loc[self.model].dropna()
        at = [layout.benchmarks.index(name) for name in values.index]
        items = inverse_items(self.table.item_counts(values.index).loc[self.model].to_numpy(float))
        fill = unseen_room(at)
        filled = (np.pad(array, (0, fill), constant_values=value) for array, value in (
            (values.to_numpy(float), 0.5), (np.ones(len(at), bool), False), (items, 1.0)
        ))  # fmt: skip
        return at, Scores(*filled)

    def _line(self, p: dict[str, np.ndarray], predictors: int) -> tuple[np.ndarray, ...]:
        """Capabilities before any score: ``base + slope x`` (S, K), their variance (S, K); mean and sd (S,) of x."""
        posterior, structure, x = self.posterior, self.fit.layout.structure, self.covariates
        effects = {k: v[:, predictors] for k, v in posterior.family_effects(self.line).items() if v.ndim == 3}
        variance = p["residual_sd"] ** 2
        if not self.known_family:  # its intercept with the residual, its slope drawn
            effects["intercept"] = p["intercept_mean"]
            variance = variance + p["intercept_sd"] ** 2
        own: dict[str, Any] = {}
        own |= {k: effects[k][:, None] for k in ("intercept", "slope", "family_drift") if k in effects}
        own |= {k: v for k, v in p.items() if k not in equations.FAMILY_EFFECTS}
        reasoning = np.asarray(x.reasoning)
        if structure.is_sparse:
            reasoning = np.full((posterior.size, 1), float(reasons(self.table)[self.model]))
        at_zero = Covariates(np.zeros((posterior.size, 1)), np.asarray(x.date), reasoning)
        base = np.asarray(_line(own, at_zero))[:, 0]
        return base, effects["slope"], variance, *self._compute(p)

    def _compute(self, p: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sd (S,) of compute before any score."""
        size, structure = self.posterior.size, self.fit.layout.structure
        if np.isfinite(self.flops):
            error = float(np.nan_to_num(self.table.models.at[self.model, "flops_sd"]))
            return np.full(size, np.log10(self.flops) - COMPUTE_CENTRE), np.full(size, error)
        if not structure.compute_trend:
            prior = self.fit.spec.priors.unknown_compute
            return np.full(size, prior.loc), np.full(size, prior.scale)
        facts = {"flops": np.array([np.nan]), "date": np.array([self.release.date])}
        drawn = np.asarray(self.posterior.covariates([self.line], facts, typical=True).compute)
        return drawn.reshape(size), p["compute_sd"]

    def _offsets(self, p: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Offsets on benchmarks, those of the family or their mean, or of the date; the sd about it; (S, I) each."""
        none = np.zeros_like(p["difficulty"])
        if "benchmark_drift" in p:
            return p["benchmark_drift"] * self.released, none
        if "family_offset" not in p:
            return none, none
        if self.known_family:
            return p["family_offset"][:, self.fit.layout.families.index(self.family)], none
        return none, p["family_offset_sd"]

    def _resampled(self, log_weight: np.ndarray) -> tuple[np.ndarray, float]:
        """Positions of draws, resampled in each chain by smoothed weights, and Pareto k."""
        smooth, k = smoothed(log_weight[:, None])
        weights = np.exp(smooth[:, 0]).reshape(self.posterior.chains, -1)
        rng, per_chain = self.posterior.rng("resample", self.model), self.posterior.per_chain
        rows = []
        for chain, weight in enumerate(weights):
            edges = np.cumsum(weight / weight.sum())
            places = (np.arange(per_chain) + rng.random()) / per_chain  # systematic: least variance
            chosen = np.searchsorted(edges, places).clip(0, per_chain - 1)
            rows.append(chain * per_chain + rng.permutation(chosen))
        return np.concatenate(rows), float(k[0])

    # --- its forecasts ------------------------------------------------------------------------------------------------

    def forecast(self, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Expected scores and new evaluations (S, 1, J)."""
        result = np.empty((2, self.posterior.size, 1, len(names)))
        for predictors in set(self.sets.values()):
            columns = [j for j, name in enumerate(names) if self.sets[name] == predictors]
            there = self.posterior.at_draws(self.placed[predictors].rows)
            chosen = [names[j] for j in columns]
            result[:, :, :, columns] = there.scores_at(self._place(there, predictors), [self.model], chosen)
        return result[0], result[1]

    def _place(self, there: Posterior, predictors: int) -> Place:
        sets = len(self.fit.layout.predictor_sets)
        placed = self.placed[predictors]
        theta = np.repeat(placed.theta[:, None, None], sets, axis=1)
        effects = {"family_offset": np.repeat(placed.offset[:, None, None], sets, axis=1)}
        family = there.family_effects(self.line)
        if "task_family_offset" in family:
            effects["task_family_offset"] = family["task_family_offset"][:, None]
        return Place(theta, effects, np.array([self.released]))

    def about(self, names: list[str]) -> list[dict[str, Any]]:
        """Rows of a forecast's `about`."""
        latent = [np.nan] * 3
        if not np.isfinite(self.flops):
            latent = list(10.0 ** (np.percentile(self.compute, (50, 5, 95)) + COMPUTE_CENTRE))
        known = [name for name in names if self.table.find(name)]
        observed = self.table.matrix(known).loc[self.model].reindex(names)
        models, posterior = self.fit.table.models, self.posterior
        flops, measured = models["flops"].to_numpy(), posterior.measured.to_numpy()
        same = measured & (models["family"] == self.family).to_numpy()
        own_date, as_of = str(self.table.models.at[self.model, "date"]), self.fit.split.as_of
        unscored = "compute" if np.isfinite(self.flops) or not self.fit.layout.structure.compute_trend else "date"
        return [
            {
                "model": self.model,
                "family": self.family,
                "flops": self.flops,
                "task": name,
                "basis": "benchmarks" if has_scores else unscored,
                "observed": float(observed[name]),
                "seen": name in self.fit.layout.benchmarks and bool(np.isfinite(observed[name])),
                "distance": decades_outside(self.flops, flops[leaned]),
                "family_models": int(same.sum()),
                **dict(zip(("latent_flops", "latent_flops_q5", "latent_flops_q95"), latent, strict=True)),
                **self.release._asdict(),
                **Ratio()._asdict(),  # a fit that reads it does not score
                "months_ahead": float(months_between(as_of or max(models["date"][seen], default=""), own_date)),
            }
            for name in names
            for seen in [posterior.seen[name].to_numpy()]
            for has_scores in [self.placed[self.sets[name]].has_scores]
            for leaned in [seen if has_scores else same if self.known_family else measured]
        ]

    def capabilities(self) -> list[dict[str, Any]]:
        """Median and 90 % interval of each capability."""
        low, middle, high = np.percentile(self.placed[self.posterior.complete].theta, (5, 50, 95), axis=0)
        factors = self.fit.layout.factors
        return [
            {"model": self.model, "capability": name, "median": middle[k], "q5": low[k], "q95": high[k]}
            for k, name in enumerate(factors)
        ]
