"""Log densities of saved draws are those of the model, written here a second time in NumPy and SciPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from scipy import stats

from bayes_obscaling.models.capability_equations import BENCHMARK_FLOOR_SD, TASK_NOISE_DF
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.likelihood import log_likelihood, log_prior
from bayes_obscaling.results.storage import open_fit


def _sigmoid(eta: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-eta))


def test_benchmark_scores_have_the_normal_density_of_their_curve(tiny_fit: CapabilityFit) -> None:
    found = log_likelihood(tiny_fit)["benchmark_score"].isel(predictors=0)
    draws, facts = tiny_fit.draws.isel(predictors=0), tiny_fit.table.benchmarks
    score = tiny_fit.tree["observed_data"]["benchmark_score"].to_numpy()
    np.testing.assert_array_equal(np.isnan(found[0, 0]), np.isnan(score))
    assert found.sel(model="family-2-3").isnull().all()  # hidden altogether
    items = tiny_fit.table.item_counts(list(found["benchmark"].to_numpy()))
    for model, benchmark in (("family-0-1", "bench-0"), ("family-4-2", "bench-3")):
        family = tiny_fit.table.models.loc[model, "family"]
        one = draws.sel(model=model, benchmark=benchmark, family=family)
        chance = facts.loc[benchmark, "chance"]
        eta = (one["theta"] * one["loading"]).sum("factor") + one["difficulty"] + one["family_offset"]
        p = chance + (1 - chance) * (1 - one["ceiling_gap"]) * _sigmoid(eta)
        count = items.loc[model, benchmark]
        inverse = 1 / count if np.isfinite(count) else 0.0
        sd = np.sqrt(p * (1 - p) * (inverse + one["overdispersion"] ** 2) + BENCHMARK_FLOOR_SD**2)
        observed = tiny_fit.table.matrix([benchmark]).loc[model, benchmark]
        expected = stats.norm.logpdf(observed, p, sd)
        np.testing.assert_allclose(found.sel(model=model, benchmark=benchmark), expected, rtol=1e-8)


def test_task_scores_have_the_t_density_of_their_curve(tiny_fit: CapabilityFit) -> None:
    found = log_likelihood(tiny_fit)["task_score"]
    draws = tiny_fit.draws.isel(predictors=0)
    score = tiny_fit.tree["observed_data"]["task_score"].to_numpy()
    np.testing.assert_array_equal(np.isnan(found[0, 0]), np.isnan(score))
    reference = draws["theta"].isel(model=np.flatnonzero(tiny_fit.layout.reference))
    scale = np.sqrt(reference.var("model") + 0.1**2)
    model, task = "family-1-0", "task-1"
    z = (draws["theta"].sel(model=model) - reference.mean("model")) / scale
    one = draws.sel(task=task, family="family-1")
    chance = tiny_fit.table.benchmarks.loc[task, "chance"]
    eta = (z * one["weight"]).sum("factor") + one["task_difficulty"] + one["task_family_offset"]
    nu = one["task_asymmetry"]  # Equation 5 of docs/explanation/model.md
    steepness = 1 / (2 * nu * (1 - 2 ** (-1 / nu)))
    share = 1 - (1 + (2 ** (1 / nu) - 1) * np.exp(steepness * eta)) ** -nu
    p = chance + (1 - chance) * (1 - one["task_ceiling_gap"]) * share
    count = tiny_fit.table.item_counts([task]).loc[model, task]
    inverse = 1 / count if np.isfinite(count) else 0.0
    sd = np.sqrt(p * (1 - p) * (inverse + one["task_overdispersion"] ** 2) + tiny_fit.spec.fit_sd**2)
    observed = tiny_fit.table.matrix([task]).loc[model, task]
    expected = stats.t.logpdf((observed - p) / sd, TASK_NOISE_DF) - np.log(sd)
    np.testing.assert_allclose(found.sel(model=model, task=task), expected, rtol=1e-8)


def test_log_prior_sums_the_top_level_densities(tiny_fit: CapabilityFit) -> None:
    found, priors = log_prior(tiny_fit), tiny_fit.spec.priors
    draws = tiny_fit.draws.isel(predictors=0)
    slope = stats.norm.logpdf(draws["slope_mean"], priors.slope_mean.loc, priors.slope_mean.scale).sum(axis=-1)
    np.testing.assert_allclose(found["slope_mean"].isel(predictors=0), slope)
    free = draws["loading"].isel(benchmark=slice(2, None)).to_numpy()  # the first two are anchors: fixed
    loading = stats.halfnorm.logpdf(free, scale=priors.loading.scale).sum(axis=(-2, -1))
    np.testing.assert_allclose(found["loading"].isel(predictors=0), loading)
    spread = stats.lognorm.logpdf(draws["share_sd"], priors.share_sd.log_sd, scale=priors.share_sd.median)
    np.testing.assert_allclose(found["share_sd"], spread)
    steepness = stats.lognorm.logpdf(draws["steepness_median"], priors.steepness.log_sd, scale=priors.steepness.median)
    np.testing.assert_allclose(found["steepness_median"], steepness)
    assert "compute" not in found  # every model of the simulation has FLOPs
    assert "theta" not in found and "intercept" not in found and "weight" not in found  # priors below the top


def test_task_scores_are_indexed_as_benchmark_scores_are(tiny_fit: CapabilityFit) -> None:
    found = log_likelihood(tiny_fit)
    assert found["benchmark_score"].dims == ("chain", "draw", "predictors", "model", "benchmark")
    assert found["task_score"].dims == ("chain", "draw", "model", "task")
    assert log_likelihood(tiny_fit) is found  # kept on the fit


def test_a_saved_fit_has_the_same_densities(tiny_fit: CapabilityFit, tmp_path: Path) -> None:
    loaded = open_fit(tiny_fit.save(tmp_path / "fit.nc"))
    xr.testing.assert_allclose(log_likelihood(loaded), log_likelihood(tiny_fit))
    xr.testing.assert_allclose(log_prior(loaded), log_prior(tiny_fit))
