"""Stages of sampling: what was sampled, how, and how well it converged, as recorded in the fit."""

from __future__ import annotations

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr
from pydantic import Field

from bayes_obscaling.models.priors import Frozen
from bayes_obscaling.results.convergence import Convergence


class Settings(Frozen):
    """How a stage is sampled with NUTS.

    Attributes
    ----------
    warmup : int
        Adaptation transitions.
    thin : int
        Transitions per kept draw.
    target_accept : float
        Acceptance statistic that the step size is adapted to.
    max_depth : int
        Largest tree has ``2**max_depth - 1`` leapfrog steps.
    dense : bool
        Coordinates in which the posterior is round, found in three parts of the warm-up: a full mass matrix, for
        parameters that are strongly correlated.
    """

    warmup: int = Field(ge=0, le=100_000)
    thin: int = Field(default=1, ge=1, le=1000)
    target_accept: float = Field(default=0.9, gt=0, lt=1)
    max_depth: int = Field(default=8, ge=1, le=20)
    dense: bool = False


class Stage(Frozen):
    """One run of the sampler.

    Attributes
    ----------
    label : str
        Its name in tables and sentences.
    variables : tuple of str
        Posterior variables that it sampled.
    predictors : str
        The predictor set whose capabilities it sampled; empty for a stage that is not one of several such sets.
    settings : Settings
        What it was sampled with in the end (smaller steps, if divergences asked for them).
    convergence : Convergence
        What the sampler left behind.
    """

    label: str
    variables: tuple[str, ...]
    predictors: str = ""
    settings: Settings
    convergence: Convergence

    def draws(self, tree: xr.DataTree) -> xr.Dataset:
        """Posterior draws (chain, draw, ...) of the stage's variables, from the tree of its fit."""
        return self.at_predictors(tree["posterior"].to_dataset()[list(self.variables)])

    def at_predictors(self, values: xr.Dataset) -> xr.Dataset:
        """Values of some predictor sets, for the one of the stage."""
        if "predictors" in values.dims:
            values = values.sel(predictors=self.predictors) if self.predictors else values.isel(predictors=0)
        return values.drop_vars("predictors", errors="ignore")

    def stats(self, tree: xr.DataTree) -> xr.Dataset:
        """Sampler statistics (chain, draw): ``diverging, energy, n_steps``; empty if no sampler made the draws.

        And ``e_bfmi`` (chain), that of all draws, where a part of them was kept.
        """
        if "sample_stats" not in tree.children or self.label not in tree["sample_stats"].coords.get("stage", []):
            return xr.Dataset()
        return tree["sample_stats"].to_dataset().sel(stage=self.label).drop_vars("stage")


def energy_fractions(stages: tuple[Stage, ...], tree: xr.DataTree) -> pd.DataFrame:
    """E-BFMI of every chain: ``stage, chain, e_bfmi``; no rows for draws that no Hamiltonian sampler made.

    Energy fraction of missing information per transition (Betancourt 2016, eq. 3), between 0 and 2. Kept draws lie
    `thin` transitions apart, which makes their energies change more from one to the next. The statistic of the kept
    draws is ``2 (1 - rho_thin)`` of their autocorrelation; taking energies for a first-order autoregression, that of
    neighbouring transitions is ``2 (1 - rho_thin^(1 / thin))``. It is an upper limit where chains were extended (kept
    draws lie further apart) and for task heads (their density moves with the capabilities).
    """
    parts = []
    for stage in stages:
        stats = stage.stats(tree)
        if "energy" not in stats:
            continue
        kept = np.asarray(azs.bfmi(stats["energy"].transpose("chain", "draw"), sample_dims=["chain", "draw"]))
        values = 2.0 * (1.0 - np.clip(1.0 - kept / 2.0, 0.0, 1.0) ** (1.0 / stage.settings.thin))
        if "e_bfmi" in stats:  # of all draws, where a part of them was kept
            values = np.where(np.isnan(stats["e_bfmi"]), values, stats["e_bfmi"])
        parts.append(pd.DataFrame({"stage": stage.label, "chain": np.arange(len(values)), "e_bfmi": values}))
    empty = pd.DataFrame(columns=["stage", "chain", "e_bfmi"])
    return pd.concat(parts, ignore_index=True) if parts else empty
