"""What a fit says about each benchmark score given all the other ones: its prediction, and how odd the score is.

Nothing is refitted: draws are reweighted by Pareto smoothed importance sampling. Weights from the density of a score
given the drawn capabilities fail here: a model's own few scores decide its capabilities (a quarter of the bundled
scores have a Pareto k above .7). So what belongs to the left-out score alone is integrated out first, draw by draw: its
model's capabilities, its family's intercept and slope, and its family's offset on the benchmark (integrated importance
sampling; Vehtari et al. 2016, JMLR 17:103; Merkle, Furr and Rabe-Hesketh 2019 on why the marginal likelihood is the
one to compare by).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.special import expit, log_ndtr, logsumexp

from bayes_obscaling.models.capability import BENCHMARK_FLOOR_SD, capability_curve
from bayes_obscaling.models.links import response, score_variance
from bayes_obscaling.results.fit import Fit
from bayes_obscaling.results.leave_one_out.weights import smoothed, stride
from bayes_obscaling.results.likelihood import problem_of
from bayes_obscaling.results.summaries import LEVELS

# Standard-normal grid on which a score's linear predictor is integrated.
_NODES = np.linspace(-5.0, 5.0, 101)
_SMALLEST_SLOPE = 1e-3
_LOG_ROOT_2PI = 0.5 * np.log(2 * np.pi)


class _Draws(NamedTuple):
    """Draws of one predictor set (S draws, M models, F families, I benchmarks, K factors)."""

    theta: np.ndarray  # (S, M, K)
    loading: np.ndarray  # (S, I, K)
    difficulty: np.ndarray  # (S, I)
    ceiling_gap: np.ndarray  # (S, I)
    overdispersion: np.ndarray  # (S, I)
    offset: np.ndarray  # (S, F, I)
    offset_sd: np.ndarray  # (S, I)
    basis: np.ndarray  # (S, M, K) what multiplies the slope: compute, bent or not
    prior_mean: np.ndarray  # (S, K, 2) of intercept and slope
    prior_sd: np.ndarray  # (S, K, 2)
    residual_sd: np.ndarray  # (S, K)


@lru_cache(maxsize=4)
def predict_left_out(fit: Fit, predictors: str = "all") -> xr.Dataset:
    """Predict every seen benchmark score from all the other ones.

    Parameters
    ----------
    fit : Fit
        From `bayes_obscaling.fit` or `load_fit`.
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
    Given a draw of all else, the capabilities of a model follow from its other scores and from the family line that
    its siblings leave. Both are linearised, at the draw and once more at their own solution (Gauss-Newton), and the
    score's density is integrated numerically over its linear predictor. Near floors and ceilings the response curve
    is not linear, and the approximation rough; there scores say little.
    """
    labels = [str(name) for name in fit.draws["predictors"].to_numpy()]
    index = labels.index(predictors) if predictors in labels else 0
    draws = fit.draws.isel(predictors=index)
    data = problem_of(fit).measurements[index]
    seen, family = np.asarray(data.seen), np.asarray(data.family)
    score, chance, inv_items = (np.asarray(a, float) for a in (data.score, data.chance, data.inv_items))

    kept = draws.isel(draw=slice(None, None, stride(fit)))
    d = _as_arrays(kept.stack(sample=("chain", "draw")).transpose("sample", ...))
    centre, spread = (a[:, seen] for a in _linear_predictor(d, score, seen, chance, inv_items, family))
    column = np.nonzero(seen)[1]
    y, n_inv, floor = score[seen], inv_items[seen], chance[column]
    gap, phi = d.ceiling_gap[:, column], d.overdispersion[:, column]

    def curve(eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = floor + (1 - floor) * (1 - gap) * expit(eta)
        return p, np.sqrt(p * (1 - p) * (n_inv + phi**2) + BENCHMARK_FLOOR_SD**2)

    # On the log scale: the density of a score that is plainly wrong is below the smallest number there is.
    log_density, log_below = np.full((2, *centre.shape), -np.inf)
    log_share = -0.5 * _NODES**2
    for node, share in zip(_NODES, log_share - logsumexp(log_share), strict=True):
        p, noise = curve(centre + node * spread)
        z = (y - p) / noise
        np.logaddexp(log_density, share - 0.5 * z**2 - np.log(noise) - _LOG_ROOT_2PI, out=log_density)
        np.logaddexp(log_below, share + log_ndtr(z), out=log_below)

    log_weight, pareto_k = smoothed(-log_density)
    elpd = logsumexp(log_weight + log_density, axis=0)

    rng = np.random.default_rng([fit.provenance["seed"], 7])
    p, noise = curve(centre + spread * rng.standard_normal(centre.shape))
    made = np.clip(p + noise * rng.standard_normal(p.shape), 0.0, 1.0)
    found = {
        "elpd": elpd,
        "pit": np.clip(np.exp(logsumexp(log_weight + log_below, axis=0)), 0.0, 1.0),
        "pareto_k": pareto_k,
        **_weighted_quantiles(made, np.exp(log_weight)),
    }
    result = xr.Dataset(coords={name: draws[name].to_numpy() for name in ("model", "benchmark")})
    for name, values in found.items():
        full = np.full(score.shape, np.nan)
        full[seen] = values
        result[name] = (("model", "benchmark"), full)
    full_density = logsumexp(log_density, axis=0) - np.log(len(log_density))
    return result.assign_attrs(p_loo=float((full_density - elpd).sum()))


def _as_arrays(stacked: xr.Dataset) -> _Draws:
    def array(name: str) -> np.ndarray:
        return np.asarray(stacked[name].to_numpy(), float)

    def pair(a: str, b: str) -> np.ndarray:
        return np.stack([array(a), array(b)], axis=-1)

    theta = array("theta")
    curvature = array("curvature")[:, None, :] if "curvature" in stacked else np.zeros((1, 1, 1))
    basis = np.asarray(capability_curve(0.0, 1.0, curvature, array("compute")[..., None]))
    return _Draws(
        theta, array("loading"), array("difficulty"), array("ceiling_gap"), array("overdispersion"),
        array("family_offset"), array("family_offset_sd"), np.broadcast_to(basis, theta.shape),
        pair("intercept_mean", "slope_mean"), pair("intercept_sd", "slope_sd"), array("residual_sd"),
    )  # fmt: skip


def _linear_predictor(
    d: _Draws, score: np.ndarray, seen: np.ndarray, chance: np.ndarray, inv_items: np.ndarray, family: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd (S, M, I) of each score's linear predictor given all the other scores, draw by draw."""
    offset = d.offset[:, family]  # (S, M, I)
    others = d.difficulty[:, None] + offset

    def linearised(eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Precision of eta (S, M, ..., I) as its score sees it, 0 where unseen, and the score's residual in eta."""
        gap, phi = (a.reshape(len(a), *[1] * (eta.ndim - 2), -1) for a in (d.ceiling_gap, d.overdispersion))
        target, inverse, mask = (a if eta.ndim == 3 else a[:, None] for a in (score, inv_items, seen))
        p, share = np.asarray(response(eta, chance, gap)), expit(eta)
        slope = np.maximum((1 - chance) * (1 - gap) * share * (1 - share), _SMALLEST_SLOPE)
        variance = np.asarray(score_variance(p, inverse, phi, BENCHMARK_FLOOR_SD))
        return np.where(mask, slope**2 / variance, 0.0), (target - p) / slope

    # The family's offset on the benchmark, from the scores of the model's siblings.
    at_draw = np.einsum("smk,sik->smi", d.theta, d.loading) + others
    precision, residual = linearised(at_draw)
    member = (family[:, None] == np.arange(d.offset.shape[1])).astype(float)
    precision, moment = (
        np.einsum("smi,mf->sfi", a, member)[:, family] - a for a in (precision, precision * (residual + offset))
    )
    precision = precision + d.offset_sd[:, None] ** -2
    offset_mean, offset_variance = moment / precision, 1 / precision

    # Capabilities from the model's other scores: one Gauss-Newton step from the draw, one from where that leads.
    prior_mean, prior_variance = _family_line(d, member, family)
    n_benchmarks, n_factors = d.loading.shape[1:]
    prior_information = (np.eye(n_factors) / prior_variance[..., None])[:, :, None]
    left_in = 1.0 - np.eye(n_benchmarks)
    theta = np.broadcast_to(d.theta[:, :, None], (*at_draw.shape, n_factors))
    for _ in range(2):
        place = np.einsum("smik,sjk->smij", theta, d.loading)
        weight, residual = linearised(place + others[:, :, None])
        weight = weight * left_in
        information = np.einsum("smij,sjk,sjl->smikl", weight, d.loading, d.loading, optimize=True) + prior_information
        pull = np.einsum("smij,sjk->smik", weight * (residual + place), d.loading)
        covariance = np.linalg.inv(information)
        theta = np.einsum("smikl,smil->smik", covariance, pull + (prior_mean / prior_variance)[:, :, None])
    mean = np.einsum("smik,sik->smi", theta, d.loading) + d.difficulty[:, None] + offset_mean
    variance = np.einsum("sik,smikl,sil->smi", d.loading, covariance, d.loading, optimize=True) + offset_variance
    return mean, np.sqrt(variance)


def _family_line(d: _Draws, member: np.ndarray, family: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (S, M, K) of a model's capabilities given its siblings' and the population of families."""
    row = np.stack([np.ones_like(d.basis), d.basis], axis=-1)  # (S, M, K, 2)
    noise = d.residual_sd[:, None, :, None] ** -2
    squares, moments = row[..., :, None] * row[..., None, :] * noise[..., None], row * d.theta[..., None] * noise
    prior = d.prior_sd**-2
    information = np.einsum("smkab,mf->sfkab", squares, member)[:, family] - squares
    information = information + (np.eye(2) * prior[..., None])[:, None]
    right = np.einsum("smka,mf->sfka", moments, member)[:, family] - moments + (prior * d.prior_mean)[:, None]
    covariance = np.linalg.inv(information)
    mean = np.einsum("smka,smkab,smkb->smk", row, covariance, right, optimize=True)
    variance = np.einsum("smka,smkab,smkb->smk", row, covariance, row, optimize=True) + d.residual_sd[:, None] ** 2
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
