"""What a fit says about each benchmark score given all the other ones: its prediction, and how odd the score is.

Nothing is refitted: draws are reweighted by Pareto smoothed importance sampling. Weights from the density of a score
given the drawn capabilities fail here: a model's own few scores decide its capabilities (a quarter of the bundled
scores have a Pareto k above .7). So what belongs to the left-out score alone is integrated out first, draw by draw: its
model's capabilities, its family's intercept and slope, and its family's offset on the benchmark (integrated importance
sampling; Vehtari et al. 2016, JMLR 17:103; Merkle, Furr and Rabe-Hesketh 2019 on why the marginal likelihood is the
one to compare by).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.special import logsumexp

from bayes_obscaling.models.capability_equations import (
    BENCHMARK_CURVE,
    BENCHMARK_SHAPE,
    Covariates,
    Measurements,
    Parameters,
    as_drawn,
    benchmark_noise,
    benchmark_predictor,
    benchmark_response,
    line,
)
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.leave_one_out.cells import MOST_DRAWS, LeftOut, left_out_cells
from bayes_obscaling.results.leave_one_out.slopes import benchmark_slopes
from bayes_obscaling.results.leave_one_out.weights import kept_draws, smoothed
from bayes_obscaling.results.remember import remembered
from bayes_obscaling.results.summaries import LEVELS

Draws = dict[str, np.ndarray]
# Standard-normal grid on which a score's linear predictor is integrated.
_NODES = np.linspace(-5.0, 5.0, 101)
_LOG_SHARES = -0.5 * _NODES**2 - logsumexp(-0.5 * _NODES**2)
_SMALLEST_SLOPE = 1e-3
_line = jax.jit(line)


def predict_left_out(fit: CapabilityFit, predictors: str = "all") -> xr.Dataset:
    """Predict every seen benchmark score from all the other ones.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file.
    predictors : str
        Which of the fit's sets of predictors; the first one where there is none of this name.

    Returns
    -------
    Dataset (model, benchmark)
        ``elpd`` (log density of the score under its leave-one-out prediction), ``pit`` (probability of a lower one),
        ``pareto_k`` (above .7: not to be trusted), and the quantiles of the prediction ``median, q5, q25, q75, q95``;
        NaN where the fit has seen no score. Attribute ``p_loo`` is the effective number of parameters.

    Notes
    -----
    Of a sparse table, see `bayes_obscaling.results.leave_one_out.cells`: of several settings of a model on a benchmark,
    that of the table is predicted, and all are left out.

    Of a dense one: given a draw of all else, the capabilities of a model follow from its other scores and from the
    family line that its siblings leave. Both are linearised, at the draw and once more at their own solution (Gauss-
    Newton), and the score's density is integrated numerically over its linear predictor. Near floors and ceilings the
    response curve is not linear, and the approximation rough; there scores say little.
    """
    labels = fit.layout.predictor_labels
    return _predict(fit, labels.index(predictors) if predictors in labels else 0)


def reweighted_draws(fit: CapabilityFit) -> np.ndarray:
    """Which draws leave benchmark scores out, counted along all chains: of sparse tables fewer."""
    most = {"most": MOST_DRAWS} if fit.layout.structure.is_sparse else {}
    return kept_draws(fit.posterior, **most)


@remembered
def _predict(fit: CapabilityFit, index: int) -> xr.Dataset:
    posterior, data = fit.posterior, fit.layout.measurements[index]
    kept = reweighted_draws(fit)
    p = {name: values[kept] for name, values in posterior.measurement(index).items()}
    seed = int(fit.provenance["seed"])
    if data.cells is not None:
        *places, found = left_out_cells(p, data, fit.layout.structure, seed)
    else:
        *places, found = _left_out(p, data, seed)
    log_weight, pareto_k = smoothed(-found.log_density_all)
    elpd = logsumexp(log_weight + found.log_density, axis=0)
    columns = {
        "elpd": elpd,
        "pit": np.clip(np.exp(logsumexp(log_weight + found.log_below, axis=0)), 0.0, 1.0),
        "pareto_k": pareto_k,
        **_weighted_quantiles(found.replicate, np.exp(log_weight)),
    }
    tables = {}
    for name, values in columns.items():
        tables[name] = (("model", "benchmark"), np.full((len(fit.layout.models), len(fit.layout.benchmarks)), np.nan))
        tables[name][1][tuple(places)] = values
    full_density = logsumexp(found.log_density, axis=0) - np.log(len(found.log_density))
    return fit.layout.labelled(tables).assign_attrs(p_loo=float((full_density - elpd).sum()))


def _left_out(p: Draws, data: Measurements, seed: int) -> tuple[np.ndarray, np.ndarray, LeftOut]:
    """Positions (n,) of models and benchmarks of the seen scores of a dense table, and each given all the others."""
    seen = np.asarray(data.seen)
    centre, spread = (a[:, seen] for a in _linear_predictor(p, data))
    row, column = np.nonzero(seen)
    curve = {name: p[name][:, column] for name in BENCHMARK_SHAPE if name in p}
    facts = (np.asarray(data.chance)[column], np.asarray(data.inv_items)[seen])
    log_density, log_below = map(np.asarray, _integrate(curve, centre, spread, np.asarray(data.score)[seen], *facts))

    rng = np.random.default_rng([seed, 7])
    expected, sd = map(np.asarray, _moments(curve, centre + spread * rng.standard_normal(centre.shape), *facts))
    replicates = np.clip(expected + sd * rng.standard_normal(sd.shape), 0.0, 1.0)
    return row, column, LeftOut(log_density, log_density, log_below, replicates)


@jax.jit
def _moments(p: Parameters, eta: jax.Array, chance: jax.Array, inv_items: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Expectation and noise (S, n) of n scores; `eta` and the parameters `p` are (S, n), the facts (n,)."""
    noise = benchmark_noise(p, benchmark_response(p, eta[:, None], chance), inv_items)
    return noise.loc[:, 0], noise.scale[:, 0]


@jax.jit
def _integrate(
    p: Parameters,
    centre: jax.Array,
    spread: jax.Array,
    score: jax.Array,
    chance: jax.Array,
    inv_items: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Log density of n scores and log probability of lower ones, (S, n), over their linear predictors.

    On the log scale: the density of a score that is plainly wrong is below the smallest number there is.
    """

    def add(sums: Any, node: Any) -> tuple[Any, None]:
        eta, log_share = (centre + node[0] * spread)[:, None], node[1]
        noise = benchmark_noise(p, benchmark_response(p, eta, chance), inv_items)
        density = jnp.logaddexp(sums[0], log_share + noise.log_prob(score)[:, 0])
        return (density, jnp.logaddexp(sums[1], log_share + noise.log_cdf(score)[:, 0])), None

    start = jnp.full(centre.shape, -jnp.inf)
    return jax.lax.scan(add, (start, start), (jnp.asarray(_NODES), jnp.asarray(_LOG_SHARES)))[0]


@jax.jit
def _linearised(
    p: Parameters,
    theta: jax.Array,
    offset: jax.Array,
    score: jax.Array,
    chance: jax.Array,
    inv_items: jax.Array,
    seen: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Precision of linear predictors (S, ..., M, I) as their scores see them, 0 where unseen, and scores' residuals.

    At capabilities `theta` (S, ..., M, K) and offsets of families (S, ..., M, I); residuals in logits.
    """
    eta = benchmark_predictor(p, theta, offset)
    at = benchmark_slopes(p, eta, chance, inv_items)
    slope = jnp.maximum(at.slope, _SMALLEST_SLOPE)
    return jnp.where(seen, slope**2 / at.variance, 0.0), (score - at.expected) / slope


def _linear_predictor(p: Draws, data: Measurements) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd (S, M, I) of each score's linear predictor given all the other scores, draw by draw."""
    family = np.asarray(data.family)
    loading, difficulty = p["loading"], p["difficulty"][:, None]
    offset = p["family_offset"][:, family]  # (S, M, I)
    member = (family[:, None] == np.arange(p["family_offset"].shape[1])).astype(float)
    curve = {name: p[name] for name in BENCHMARK_CURVE if name in p}

    # The family's offset on the benchmark, from the scores of the model's siblings.
    facts = (data.score, data.chance, data.inv_items, data.seen)
    precision, residual = map(np.asarray, _linearised(curve, p["theta"], offset, *facts))
    precision, moment = (
        np.einsum("smi,mf->sfi", a, member)[:, family] - a for a in (precision, precision * (residual + offset))
    )
    precision = precision + p["family_offset_sd"][:, None] ** -2
    offset_mean, offset_variance = moment / precision, 1 / precision

    # Capabilities from the model's other scores: one Gauss-Newton step from the draw, one from where that leads.
    # The axis of models is now that of the score that is left out, and models come before it.
    curve = {name: value[:, None] for name, value in curve.items()}
    score, inv_items, seen = (np.asarray(fact)[:, None] for fact in (data.score, data.inv_items, data.seen))
    prior_mean, prior_variance = _family_line(p, data.covariates, member, family)
    n_benchmarks, n_factors = loading.shape[1:]
    prior_information = (np.eye(n_factors) / prior_variance[..., None])[:, :, None]
    left_in = 1.0 - np.eye(n_benchmarks)
    theta = np.broadcast_to(p["theta"][:, :, None], (*offset.shape, n_factors))
    for _ in range(2):
        linearised = _linearised(curve, theta, offset[:, :, None], score, data.chance, inv_items, seen)
        weight, residual = map(np.asarray, linearised)
        weight = weight * left_in
        information = np.einsum("smij,sjk,sjl->smikl", weight, loading, loading, optimize=True) + prior_information
        place = np.einsum("smik,sjk->smij", theta, loading)
        pull = np.einsum("smij,sjk->smik", weight * (residual + place), loading)
        covariance = np.linalg.inv(information)
        theta = np.einsum("smikl,smil->smik", covariance, pull + (prior_mean / prior_variance)[:, :, None])
    mean = np.einsum("smik,sik->smi", theta, loading) + difficulty + offset_mean
    variance = np.einsum("sik,smikl,sil->smi", loading, covariance, loading, optimize=True) + offset_variance
    return mean, np.sqrt(variance)


def _family_line(p: Draws, x: Covariates, member: np.ndarray, family: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (S, M, K) of a model's capabilities given its siblings' and the population of families."""
    prior_mean, prior_sd = (
        np.stack([p[f"intercept_{moment}"], p[f"slope_{moment}"]], axis=-1) for moment in ("mean", "sd")
    )
    # A line is linear in what the family has of its own: what is left without that is known.
    at = as_drawn(p, x)
    known, one = (np.asarray(_line({**p, "intercept": 0.0, "slope": slope}, at)) for slope in (0.0, 1.0))
    theta, residual_sd = p["theta"] - known, p["residual_sd"][:, None]
    basis = np.broadcast_to(one - known, theta.shape)
    row = np.stack([np.ones_like(basis), basis], axis=-1)  # (S, M, K, 2)
    noise = residual_sd[..., None] ** -2
    squares, moments = row[..., :, None] * row[..., None, :] * noise[..., None], row * theta[..., None] * noise
    prior = prior_sd**-2
    information = np.einsum("smkab,mf->sfkab", squares, member)[:, family] - squares
    information = information + (np.eye(2) * prior[..., None])[:, None]
    right = np.einsum("smka,mf->sfka", moments, member)[:, family] - moments + (prior * prior_mean)[:, None]
    covariance = np.linalg.inv(information)
    mean = np.einsum("smka,smkab,smkb->smk", row, covariance, right, optimize=True) + known
    variance = np.einsum("smka,smkab,smkb->smk", row, covariance, row, optimize=True) + residual_sd**2
    return mean, variance


def _weighted_quantiles(values: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
    """Quantiles (n,) of weighted draws (S, n)."""
    order = np.argsort(values, axis=0)
    reached = np.cumsum(np.take_along_axis(weight, order, axis=0), axis=0)
    ordered = np.take_along_axis(values, order, axis=0)
    columns = np.arange(values.shape[1])
    return {
        name: ordered[np.minimum((reached < level).sum(axis=0), len(values) - 1), columns]
        for name, level in LEVELS.items()
    }
