"""Where chains start: at the capabilities that the anchors' scores suggest, at a ladder of typical elasticity."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from bayes_obscaling.models.capability import centring
from bayes_obscaling.models.capability_equations import Measurements
from bayes_obscaling.models.ladder import LadderPriors
from bayes_obscaling.models.links import inverse_response
from bayes_obscaling.models.priors import Priors
from bayes_obscaling.models.spec import Structure
from bayes_obscaling.models.trace import Site, start_near_priors

# Residual sd from which chains start, logits: wide, so that the first steps are not stiff.
_RESIDUAL_SD = 0.6
# Elasticity of a loss in size, or in tokens, from which chains start, and how far accuracies follow a run's own loss.
_ELASTICITY, _COUPLING = 0.08, 0.5


def from_anchors(data: Measurements, structure: Structure, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Starting values of a chain that follow from the scores: capabilities, and the population's line.

    Constrained values of the sites ``theta_raw, intercept_mean, slope_mean, residual_sd``; `rng` jitters them.
    """
    n_factors, anchors = structure.n_factors, list(structure.anchors)
    # Where most compute is unknown, capability is followed in time.
    along = data.covariates.date if structure.is_sparse else data.covariates.compute
    chance = np.nan_to_num(np.asarray(data.chance))
    x = np.asarray(along)
    inside = np.clip(np.asarray(data.score), chance + 0.01, 0.98)
    theta = np.asarray(inverse_response(jnp.asarray(inside), chance, jnp.asarray(0.03)))[:, anchors].copy()
    seen = np.asarray(data.seen)[:, anchors]
    lines = np.zeros((n_factors, 2))
    for k in range(n_factors):
        rows = seen[:, k]
        if rows.sum() > 3 and np.ptp(x[rows]) > 0.5:
            lines[k] = np.polyfit(x[rows], theta[rows, k], 1)
        else:
            lines[k] = 1.0, theta[rows, k].mean() if rows.any() else 0.0
        theta[~rows, k] = np.polyval(lines[k], x[~rows])
    mean = lines[:, 1] + np.outer(x, lines[:, 0])
    centred = centring(structure)

    def jitter(*shape: int) -> np.ndarray:
        return 0.1 * rng.standard_normal(shape)

    place = {"intercept_mean": lines[:, 1] + jitter(n_factors)}
    if structure.is_sparse:
        place = {"level_mean": theta.mean(axis=0) + jitter(n_factors)}
    raw = centred * mean + (theta - mean) / _RESIDUAL_SD ** (1 - centred)
    if structure.has_many_families:  # whose coordinates are 0 where the anchors' scores put the capabilities
        raw = np.zeros_like(theta)
    return {
        **place,
        "slope_mean": np.clip(lines[:, 0], 0.3, 2.0) + jitter(n_factors),
        "residual_sd": _RESIDUAL_SD * np.exp(jitter(n_factors)),
        "theta_raw": raw + jitter(*theta.shape),
    }


def of_ladder(sites: Mapping[str, Site], priors: LadderPriors, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Starting values of a chain of the ladder model: near the prior medians, at a typical elasticity."""
    values = start_near_priors(sites, priors, rng)
    for name in values:
        if name.endswith("_log_elasticity"):
            values[name] = np.log(_ELASTICITY) + values[name]
    if "coupling" in values:
        values["coupling"] = _COUPLING + values["coupling"] - priors.coupling.loc
    return values


def of_heads(sites: Mapping[str, Site], priors: Priors, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Starting values of a chain of the task heads, or of all but the measurement: near the prior medians."""
    values = start_near_priors(sites, priors, rng)
    values["log_steepness"] = np.log(values["steepness_median"]) + values["log_steepness"]  # sampled as its logarithm
    return values
