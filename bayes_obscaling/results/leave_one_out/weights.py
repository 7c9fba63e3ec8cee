"""Which draws are reweighted, Pareto smoothing of their weights, and when it cannot be trusted."""

from __future__ import annotations

from contextlib import suppress

import arviz_stats  # noqa: F401  (puts psislw on arrays)
import numpy as np
import xarray as xr
from scipy.special import logsumexp

from bayes_obscaling.results.posterior import Posterior

# Vehtari, Simpson, Gelman, Yao and Gabry (2024): above this an importance sampling estimate is not to be trusted,
# however many draws there are.
PARETO_LIMIT = 0.7
_MOST_DRAWS = 1000  # enough for the tails of weights, and a few seconds; neighbours in a chain say much the same


def pareto_limit(draws: int) -> float:
    """Pareto k up to which weights of so many draws can be relied on: Vehtari et al. (2024), eq. 13."""
    return min(1.0 - 1.0 / np.log10(draws), PARETO_LIMIT)


def kept_draws(posterior: Posterior, most: int = _MOST_DRAWS) -> np.ndarray:
    """Which draws are reweighted, counted along all chains: evenly spaced ones of each."""
    stride = max(posterior.size // most, 1)
    return np.arange(posterior.size).reshape(posterior.chains, -1)[:, ::stride].ravel()


def smoothed(log_weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log weights (draws, n) smoothed and normalised by ArviZ (Vehtari et al. 2024), and Pareto k (n,).

    Finite log weights are taken up to a constant in each column; they sum to one there. k is infinite where weights
    differ too much for a tail to be fitted: a few draws have it all. It is 0 where the largest weights are equal, so
    that there is no tail to fear.
    """
    smooth, pareto_k = log_weight - logsumexp(log_weight, axis=0), np.zeros(log_weight.shape[1])
    tried = range(log_weight.shape[1])
    try:  # all at once, which is much faster
        parts = [(list(tried), *_smoothed_tails(log_weight))]
    except ValueError:  # "All tail values are the same" in one of them
        parts = []
        for column in tried:
            with suppress(ValueError):
                parts.append(([column], *_smoothed_tails(log_weight[:, [column]])))
    for columns, tail, k in parts:
        fitted = np.isfinite(k) & ~np.isnan(tail).any(axis=0)
        pareto_k[columns] = np.where(fitted, k, np.inf)
        smooth[:, columns] = np.where(fitted, tail, smooth[:, columns])
    return smooth, pareto_k


def _smoothed_tails(log_weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What ArviZ makes of log weights (draws, n), and Pareto k (n,)."""
    # ArviZ takes the log likelihood that is left out, and turns its sign.
    left_out = xr.DataArray(-log_weight, dims=("draw", "column"))
    with np.errstate(all="ignore"):  # weights that underflow beside the largest
        tail, k = left_out.azstats.psislw(dim="draw")
    return tail.transpose("draw", "column").to_numpy(), k.to_numpy()
