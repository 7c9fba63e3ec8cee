"""Has it converged? Rank-normalised R-hat, effective sample sizes and divergences, computed by ArviZ."""

from __future__ import annotations

from collections.abc import Mapping

import arviz_stats as azs
import numpy as np
import xarray as xr

from bayes_obscaling.models.priors import Frozen

# Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021).
RHAT_LIMIT = 1.01
ESS_LIMIT = 400


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
            f"R-hat {self.rhat:.3f}, bulk ESS {self.ess_bulk:.0f}, tail ESS {self.ess_tail:.0f}, "
            f"divergences {self.divergences}"
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, in words; empty when nothing is."""
        found = []
        if not self.rhat < RHAT_LIMIT:
            found.append(f"R-hat {self.rhat:.3f} of {self.worst} (limit {RHAT_LIMIT})")
        for kind, value in (("bulk", self.ess_bulk), ("tail", self.ess_tail)):
            if not value > ESS_LIMIT:
                found.append(f"{kind} ESS {value:.0f} (limit {ESS_LIMIT})")
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


def assess(values: Mapping[str, np.ndarray], divergences: int = 0) -> Convergence:
    """Convergence of named arrays of draws.

    Parameters
    ----------
    values : mapping of str to array (chains, draws, ...)
        Draws; entries that never vary (a fixed loading) are left out.
    divergences : int
        Divergent transitions behind them.

    Returns
    -------
    Convergence
    """
    flat, labels = [], []
    for name, value in values.items():
        columns = np.asarray(value, float).reshape(*value.shape[:2], -1)
        varies = ~(np.ptp(columns, axis=(0, 1)) <= 1e-12)  # a NaN is no constant
        flat.append(columns[..., varies])
        labels += [name] * int(varies.sum())
    data = xr.DataArray(np.concatenate(flat, axis=-1), dims=("chain", "draw", "quantity"))
    if not data.sizes["quantity"]:
        count = float(data.sizes["chain"] * data.sizes["draw"])
        return Convergence(rhat=1.0, ess_bulk=count, ess_tail=count, divergences=int(divergences))
    dims = ["chain", "draw"]
    rhat = azs.rhat(data, sample_dims=dims).to_numpy()
    return Convergence(
        rhat=float(np.max(rhat)),
        ess_bulk=float(azs.ess(data, sample_dims=dims, method="bulk").min()),
        ess_tail=float(azs.ess(data, sample_dims=dims, method="tail").min()),
        divergences=int(divergences),
        worst=labels[int(np.argmax(rhat))],
    )
