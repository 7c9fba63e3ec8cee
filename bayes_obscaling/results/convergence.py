"""Has it converged? Rank-normalised R-hat, effective sample sizes and divergences.

ArviZ computes these quantity by quantity, several milliseconds each; a fit has a thousand quantities and a forecast as
many. `diagnostics` computes the same numbers for all quantities at once, and a test holds it to ArviZ's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtri
from scipy.stats import f as f_distribution
from scipy.stats import rankdata

from bayes_obscaling.models.priors import Frozen

# Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021).
RHAT_LIMIT = 1.01
ESS_LIMIT = 400.0


class Limits(NamedTuple):
    """Where a problem begins."""

    rhat: float = RHAT_LIMIT
    ess: float = ESS_LIMIT


USUAL = Limits()


class Convergence(Frozen):
    """What the sampler left behind for one set of quantities.

    Attributes
    ----------
    rhat : float
        Largest rank-normalised split R-hat.
    ess_bulk, ess_tail : float
        Smallest effective sample sizes.
    divergences : int
        Divergent transitions after warm-up.
    worst : str
        The quantity with the largest R-hat.
    """

    rhat: float
    ess_bulk: float
    ess_tail: float
    divergences: int = 0
    worst: str = ""

    @property
    def numbers(self) -> str:
        """What was measured, in one line."""
        return (
            f"R-hat {rhat_text(self.rhat)}, bulk ESS {self.ess_bulk:.0f}, tail ESS {self.ess_tail:.0f}, "
            f"divergences {self.divergences}"
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, in words; empty when nothing is."""
        return self.problems_beyond(USUAL)

    def problems_beyond(self, limits: Limits) -> tuple[str, ...]:
        """What is wrong, in words, by other limits."""
        found = []
        if not self.rhat < limits.rhat:
            found.append(f"R-hat {rhat_text(self.rhat)} of {self.worst} (limit {limits.rhat:.3g})")
        for kind, value in (("bulk", self.ess_bulk), ("tail", self.ess_tail)):
            if not value > limits.ess:
                found.append(f"{kind} ESS {value:.0f} (limit {limits.ess:.0f})")
        if self.divergences:
            found.append(f"{self.divergences} divergent transitions")
        return tuple(found)

    @property
    def sampled_enough(self) -> bool:
        """Whether R-hat and effective sample sizes are within limits (longer chains would not help)."""
        return self.rhat < RHAT_LIMIT and min(self.ess_bulk, self.ess_tail) > ESS_LIMIT

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def merge(self, other: Convergence) -> Convergence:
        """Take the worse of two records."""
        return Convergence(
            rhat=float(np.maximum(self.rhat, other.rhat)),  # a NaN stays one
            ess_bulk=float(np.minimum(self.ess_bulk, other.ess_bulk)),
            ess_tail=float(np.minimum(self.ess_tail, other.ess_tail)),
            divergences=self.divergences + other.divergences,
            worst=other.worst if not self.rhat >= other.rhat and not np.isnan(self.rhat) else self.worst,
        )


def limits_of_kept(chains: int, draws: int) -> Limits:
    """Limits for what is computed from a part of the draws, of which all were judged by the usual ones.

    R-hat that independent draws exceed once in 100 000 quantities, or the usual limit where that is larger; effective
    sample sizes of a quarter of the draws that were kept, `draws` in each chain.

    Halves of chains of n draws have ``R-hat^2 = 1 + (B / W - 1) / n``, ``B / W`` the F statistic of their means.
    """
    half = draws // 2
    f = f_distribution.isf(1e-5, 2 * chains - 1, 2 * chains * (half - 1))
    return Limits(float(max(RHAT_LIMIT, np.sqrt(1.0 + (f - 1.0) / half))), min(ESS_LIMIT, chains * draws / 4))


def rhat_text(rhat: float) -> str:
    """An R-hat with three decimals, or as many as show on which side of the limit it lies: 1.01 itself is above."""
    for decimals in range(3, 9):
        text = f"{rhat:.{decimals}f}"
        if (float(text) < RHAT_LIMIT) == (rhat < RHAT_LIMIT) and float(text) != RHAT_LIMIT:
            return text
    return f"{rhat:.3f}"


def assess(values: Mapping[str, np.ndarray], divergences: int = 0) -> Convergence:
    """Convergence of arrays of draws (chains, draws, ...); entries that never vary (a fixed loading) are left out."""
    flat, labels = [], []
    for name, value in values.items():
        columns = np.asarray(value, float).reshape(*value.shape[:2], -1)
        varies = ~(np.ptp(columns, axis=(0, 1)) <= 1e-12)  # a NaN is no constant
        flat.append(columns[..., varies])
        labels += [name] * int(varies.sum())
    draws = np.concatenate(flat, axis=-1)
    if not labels:
        count = float(draws.shape[0] * draws.shape[1])
        return Convergence(rhat=1.0, ess_bulk=count, ess_tail=count, divergences=int(divergences))
    rhat, ess_bulk, ess_tail = diagnostics(draws)
    return Convergence(
        rhat=float(np.max(rhat)),
        ess_bulk=float(ess_bulk.min()),
        ess_tail=float(ess_tail.min()),
        divergences=int(divergences),
        worst=labels[int(np.argmax(rhat))],
    )


# Quantities whose draws are ranked and transformed together: as many as fit into a few hundred megabytes.
_MOST_NUMBERS = 4_000_000


def diagnostics(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R-hat, bulk and tail effective sample sizes of many quantities, from draws (chains, draws, quantities).

    Rank-normalised split R-hat, and effective sample sizes of the rank-normalised draws and of the 5 and 95 % quantiles
    (Vehtari et al. 2021, sections 3 and 4), of at least 2 chains of 6 draws. NaN for a quantity that has one.
    """
    size = max(_MOST_NUMBERS // (draws.shape[0] * draws.shape[1]), 1)
    parts = [_diagnostics(draws[..., start : start + size]) for start in range(0, draws.shape[-1], size)]
    rhat, bulk, tail = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rhat, bulk, tail


def _diagnostics(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values = np.ascontiguousarray(np.moveaxis(draws, -1, 0))  # (quantities, chains, draws)
    split, flat = _split(values), values.reshape(len(values), -1)
    normal = _rank_normalised(split)
    middle = np.median(split.reshape(len(split), -1), axis=1)[:, None, None]
    rhat = np.maximum(_rhat(normal), _rhat(_rank_normalised(np.abs(split - middle))))
    low, high = np.quantile(flat, (0.05, 0.95), axis=1)[..., None, None]
    tail = np.minimum(_ess(_split((values <= low).astype(float))), _ess(_split((values <= high).astype(float))))
    bad = np.isnan(flat).any(axis=1)
    bulk = _ess(normal)
    return np.where(bad, np.nan, rhat), np.where(bad, np.nan, bulk), np.where(bad, np.nan, tail)


def _split(values: np.ndarray) -> np.ndarray:
    """Halves of chains as chains."""
    half = values.shape[-1] // 2
    return np.concatenate([values[..., :half], values[..., -half:]], axis=1)


def _rank_normalised(values: np.ndarray) -> np.ndarray:
    """Normal scores of the ranks over all chains (Blom 1958)."""
    flat = values.reshape(len(values), -1)
    ranks = rankdata(flat, axis=1)
    return np.asarray(ndtri((ranks - 0.375) / (flat.shape[1] + 0.25))).reshape(values.shape)


def _rhat(values: np.ndarray) -> np.ndarray:
    n = values.shape[-1]
    within = values.var(axis=-1, ddof=1).mean(axis=-1)
    between = n * values.mean(axis=-1).var(axis=-1, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt((between / within + n - 1) / n)


def _ess(values: np.ndarray) -> np.ndarray:
    """Effective sample sizes by Geyer's initial monotone sequence (Vehtari et al. 2021, eqs. 10 to 13)."""
    count, chains, n = values.shape
    centred = values - values.mean(axis=-1, keepdims=True)
    spectrum = rfft(centred, next_fast_len(2 * n, real=True))
    # the inverse transform is linear: chains are averaged before it
    covariance = irfft((spectrum.real**2 + spectrum.imag**2).mean(axis=1), next_fast_len(2 * n, real=True))[:, :n] / n
    within = covariance[:, :1] * n / (n - 1)
    total = covariance[:, :1] + values.mean(axis=-1).var(axis=-1, ddof=1)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = 1.0 - (within - covariance) / total
    rho[:, 0] = 1.0
    # Pairs of neighbouring lags, up to the first whose sum is not positive.
    last = -(-(n - 2) // 2) - 1
    pairs = rho[:, 0 : 2 * last + 2 : 2] + rho[:, 1 : 2 * last + 2 : 2]
    ends = np.where((pairs <= 0).any(axis=1), (pairs <= 0).argmax(axis=1), last)
    rows = np.arange(count)
    summed = np.cumsum(np.minimum.accumulate(pairs, axis=1), axis=1)
    full = np.where(ends > 0, summed[rows, np.maximum(ends - 1, 0)], 0.0)
    even = rho[rows, 2 * ends]
    partial = np.where(pairs[rows, ends] >= 0, even, np.maximum(even, 0.0))
    size = chains * n
    tau = np.maximum(-1.0 + 2.0 * full + partial, 1.0 / np.log10(size))
    constant = np.ptp(values, axis=(1, 2)) < np.finfo(float).resolution
    return np.where(constant, size, size / tau)
