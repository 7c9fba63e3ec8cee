"""Pointwise log likelihood and log prior of a fit's draws, from the densities of the model itself; nothing is refitted.

Both are evaluated by tracing the numpyro functions that were sampled with the saved draws put in, so no density is
written a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpyro import handlers

from bayes_obscaling.inference.arrays import Problem, build_problem
from bayes_obscaling.models.capability import (
    CapabilitySpec,
    MeasurementLayout,
    features,
    heads,
    measurement,
)
from bayes_obscaling.results.fit import MEASUREMENT_DIMS, Fit

Values = dict[str, np.ndarray]
Density = Callable[[Values, Any], tuple[jax.Array, dict[str, jax.Array]]]

# Top-level sites with the posterior variable they make up. The levels below (families, capabilities, a task's weights)
# have a prior whose own parameters are learned: that is part of the model, not of what was believed beforehand.
_MEASUREMENT_PRIORS = {
    "intercept_mean": "intercept_mean", "intercept_sd": "intercept_sd", "slope_mean": "slope_mean",
    "slope_sd": "slope_sd", "residual_sd": "residual_sd", "curvature": "curvature", "compute_raw": "compute",
    "loading_free": "loading", "loading_signed": "loading", "difficulty_free": "difficulty",
    "ceiling_gap_capped": "ceiling_gap", "family_offset_sd": "family_offset_sd", "overdispersion": "overdispersion",
}  # fmt: skip
_HEAD_PRIORS = {
    name: name
    for name in (
        "share_mean", "share_sd", "contrast_sd", "log_steepness_mean", "steepness_sd", "task_difficulty",
        "task_family_offset_sd", "task_ceiling_gap", "task_overdispersion",
    )
}  # fmt: skip


@lru_cache(maxsize=8)
def problem_of(fit: Fit) -> Problem:
    """Arrays that a fit was sampled with, laid out again from its table and question.

    Parameters
    ----------
    fit : Fit
        From `bayes_obscaling.fit` or `load_fit`.

    Returns
    -------
    Problem
    """
    return build_problem(fit.table, fit.tasks, fit.held_out, fit.from_compute, fit.spec)


def log_likelihood(fit: Fit) -> xr.Dataset:
    """Log density of every seen score at every draw.

    Parameters
    ----------
    fit : Fit
        From `bayes_obscaling.fit` or `load_fit`.

    Returns
    -------
    Dataset
        ``benchmark_score`` (chain, draw, predictors, model, benchmark): normal, given capabilities; and, for a fit
        with task heads, ``task_score`` (chain, draw, task, model): Student's t, given capabilities and heads. Natural
        logarithms of densities of scores 0..1; NaN where the fit has not seen a score.

    Notes
    -----
    Both are conditional on the capabilities of the model in question. In a cut posterior (the default) the two are
    the likelihoods of two separate stages: the capabilities are learned from ``benchmark_score`` alone, and their
    draws must not be reweighted by ``task_score``.
    """
    return _evaluate(fit)[0]


def log_prior(fit: Fit) -> xr.Dataset:
    """Log density of the top-level priors at every draw, one variable a parameter, summed over its entries.

    Parameters
    ----------
    fit : Fit
        From `bayes_obscaling.fit` or `load_fit`.

    Returns
    -------
    Dataset
        Named as the posterior is: those of the measurement (chain, draw, predictors), those of the heads
        (chain, draw).

    Notes
    -----
    Priors below the top (of a family given the population of families, of a capability given its family, of a task's
    weights given those of all tasks) are left out, as Kallioinen et al. (2024, section 2.4) advise for power-scaling
    a hierarchical model.
    """
    return _evaluate(fit)[1]


@lru_cache(maxsize=2)
def _evaluate(fit: Fit) -> tuple[xr.Dataset, xr.Dataset]:
    problem, draws = problem_of(fit), fit.draws
    likelihood: dict[str, Any] = {}
    priors: dict[str, Any] = {}

    density = _measurement_density(problem.layout, fit.spec)
    sampled = [name for name in MEASUREMENT_DIMS if name in draws]
    parts = []
    for index, data in enumerate(problem.measurements):
        values = {name: draws[name].isel(predictors=index).to_numpy() for name in sampled}
        values |= _scaffold(values, problem.layout, fit.spec)
        pointwise, prior = _by_chain(density, values, data)
        parts.append((np.where(np.asarray(data.seen), pointwise, np.nan), prior))
    likelihood["benchmark_score"] = (
        ("chain", "draw", "predictors", "model", "benchmark"), np.stack([part for part, _ in parts], axis=2),
    )  # fmt: skip
    for name in parts[0][1]:
        priors[name] = (("chain", "draw", "predictors"), np.stack([prior[name] for _, prior in parts], axis=2))

    scores = problem.task_scores
    if scores is not None:
        density = _head_density(len(problem.families), fit.spec)
        values = {str(name): draws[name].to_numpy() for name in draws if name not in MEASUREMENT_DIMS}
        values["theta"] = draws["theta"].to_numpy()
        pointwise, prior = _by_chain(density, values, (scores, jnp.asarray(problem.reference)))
        likelihood["task_score"] = (
            ("chain", "draw", "task", "model"), np.where(np.asarray(scores.seen), pointwise, np.nan),
        )  # fmt: skip
        priors |= {name: (("chain", "draw"), value) for name, value in prior.items()}

    coords = {name: draws[name] for name in ("predictors", "model", "benchmark", "task") if name in draws.coords}
    return xr.Dataset(likelihood, coords=coords), xr.Dataset(priors, coords={"predictors": draws["predictors"]})


def _by_chain(density: Density, values: Values, data: Any) -> tuple[np.ndarray, Values]:
    """Evaluate one chain after the other (memory), all draws of a chain at once."""
    chains = len(next(iter(values.values())))
    done = [
        jax.tree.map(np.asarray, density({name: value[c] for name, value in values.items()}, data))
        for c in range(chains)
    ]
    return jax.tree.map(lambda *parts: np.stack(parts), *done)


def _scaffold(values: Values, layout: MeasurementLayout, spec: CapabilitySpec) -> Values:
    """Sites of `measurement` that are not saved, from the saved parameters that they make up."""
    fixed = {*layout.anchors}
    free = [i for i in range(layout.n_benchmarks) if i not in fixed | {*layout.signed}]
    others = [i for i in range(layout.n_benchmarks) if i not in fixed]
    capped = [i for i in range(layout.n_benchmarks) if i not in layout.no_ceiling]
    sites = {
        "loading_free": values["loading"][:, :, free],
        "difficulty_free": values["difficulty"][:, :, others],
        "ceiling_gap_capped": values["ceiling_gap"][:, :, capped],
    }
    if layout.signed:
        sites["loading_signed"] = values["loading"][:, :, list(layout.signed)]
    if layout.unknown_compute:
        prior = spec.priors.unknown_compute
        sites["compute_raw"] = (values["compute"][:, :, list(layout.unknown_compute)] - prior.loc) / prior.scale
    return sites


@lru_cache(maxsize=8)
def _measurement_density(layout: MeasurementLayout, spec: CapabilitySpec) -> Density:
    def one(draw: Values, data: Any) -> Any:
        return _densities(lambda: measurement(data, layout, spec), draw, "score", _MEASUREMENT_PRIORS)

    return jax.jit(jax.vmap(one, in_axes=(0, None)))


@lru_cache(maxsize=8)
def _head_density(n_families: int, spec: CapabilitySpec) -> Density:
    def one(draw: Values, data: Any) -> Any:
        scores, reference = data
        z = features(draw["theta"], reference)
        known = {name: value for name, value in draw.items() if name != "theta"}
        return _densities(lambda: heads(z, scores, n_families, spec), known, "task_score", _HEAD_PRIORS)

    return jax.jit(jax.vmap(one, in_axes=(0, None)))


def _densities(
    model: Callable[[], Any], draw: Values, observed: str, priors: dict[str, str]
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Pointwise log density of the observed site, and summed log densities of the prior sites, at one draw.

    Sites that only say how a saved one is parameterised are drawn from their priors, and no density is read from them.
    """
    sites = handlers.trace(handlers.substitute(handlers.seed(model, jax.random.key(0)), draw)).get_trace()
    summed: dict[str, jax.Array] = {}
    for name, variable in priors.items():
        if name in sites:
            term = sites[name]["fn"].log_prob(sites[name]["value"]).sum()
            summed[variable] = summed.get(variable, 0.0) + term
    return sites[observed]["fn"].log_prob(sites[observed]["value"]), summed
