"""What a fit remembers and what it reuses: the tiny fit of tests/conftest.py, asked again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayes_obscaling.data import load_base_llms
from bayes_obscaling.inference.fitting import fit
from bayes_obscaling.models.capability import CapabilitySpec
from bayes_obscaling.models.priors import HalfNormal, Priors
from bayes_obscaling.results.fit import Fit

Again = Callable[..., tuple[Fit, dict[str, list[tuple[int, int]]]]]


@pytest.fixture
def again(simulation, tiny_spec: CapabilitySpec, tiny_fit: Fit, cache_folder: Path) -> Again:
    """Fit the simulated table as the tiny fit did, with changes; what was told about progress comes along."""

    def run(tasks: str = "task-0", **changes: Any) -> tuple[Fit, dict[str, list[tuple[int, int]]]]:
        told: dict[str, list[tuple[int, int]]] = {}
        options = {
            "cutoff": tiny_fit.cutoff,
            "from_compute": tiny_fit.from_compute,
            "spec": tiny_spec,
            "chains": 2,
            "draws": 200,
            "seed": 5,
            "cache": cache_folder,
            "progress": lambda label, done, total: told.setdefault(label, []).append((done, total)),
        }
        return fit(simulation.table, tasks, **(options | changes)), told

    return run


def same_capabilities(one: Fit, other: Fit) -> bool:
    return bool(np.array_equal(one.draws["theta"], other.draws["theta"]))


def test_convergence_is_recorded_for_each_stage(tiny_fit: Fit):
    assert set(tiny_fit.convergence) == {"capabilities", "task heads"}
    for record in tiny_fit.convergence.values():
        assert 1.0 < record.rhat < 1.3
        assert 20 < record.ess_bulk < 600
        assert record.worst in tiny_fit.draws
    assert (tiny_fit.problems == ()) == all(record.ok for record in tiny_fit.convergence.values())


def test_the_run_is_described(tiny_fit: Fit):
    run = tiny_fit.provenance
    assert run["seed"] == 5 and run["chain_method"] == "threads"
    assert run["data_hash"] == tiny_fit.table.data_hash
    assert run["bundled_data"]["base_llms"] == load_base_llms().data_hash
    assert (run["device"], run["devices"], run["float"]) == ("cpu", 1, "float64")
    assert {"bayes_obscaling", "jax", "numpyro", "arviz-stats", "numpy"} <= run["versions"].keys()


def test_the_same_seed_gives_the_same_draws(again: Again, tiny_fit: Fit):
    # Nothing from the cache: sampled once more.
    xr.testing.assert_identical(again(tasks=["task-0", "task-1"], cache=None)[0].draws, tiny_fit.draws)


def test_posterior_has_names_for_all_axes(tiny_fit: Fit):
    draws = tiny_fit.draws
    assert dict(draws.sizes) == {
        "chain": 2, "draw": 200, "predictors": 1, "model": 24, "family": 6, "benchmark": 5, "factor": 2, "task": 2,
    }  # fmt: skip
    assert draws["theta"].dims == ("chain", "draw", "predictors", "model", "factor")
    assert draws["weight"].dims == ("chain", "draw", "task", "factor")
    assert list(draws["factor"].to_numpy()) == ["bench-0", "bench-1"]
    assert set(tiny_fit.posterior.children) >= {"posterior", "sample_stats", "observed_data"}
    observed = tiny_fit.posterior["observed_data"]
    assert int(observed["benchmark_score"].notnull().sum()) == 23 * 5  # one model is hidden altogether
    assert not observed["benchmark_score"].sel(model="family-2-3").notnull().any()


def test_capabilities_are_near_the_truth(tiny_fit: Fit, simulation):
    theta, truth = tiny_fit.draws["theta"].isel(predictors=0), simulation.truth["theta"]
    mean = theta.mean(("chain", "draw")).to_numpy()
    for k in range(2):
        assert np.corrcoef(mean[:, k], truth[:, k])[0, 1] > 0.8
    low, high = theta.quantile([0.025, 0.975], ("chain", "draw")).to_numpy()
    assert ((low <= truth) & (truth <= high)).mean() > 0.7  # errors of one factor's scale are shared by all models


def test_another_task_and_cutoff_reuse_the_capabilities(again: Again, tiny_fit: Fit):
    other, told = again("task-1", cutoff=tiny_fit.cutoff / 3)
    assert told["capabilities"] == [(1, 1)]
    assert len(told["task heads"]) > 1
    assert same_capabilities(other, tiny_fit)
    assert other.convergence["capabilities"] == tiny_fit.convergence["capabilities"]


def with_priors(spec: CapabilitySpec, **priors: Any) -> CapabilitySpec:
    return spec.model_copy(update={"priors": Priors(**{**dict(spec.priors), **priors})})


def test_head_priors_reuse_the_capabilities(again: Again, tiny_fit: Fit, tiny_spec: CapabilitySpec):
    other, told = again(spec=with_priors(tiny_spec, task_ceiling_gap=HalfNormal(scale=0.02)))
    assert told["capabilities"] == [(1, 1)]
    assert same_capabilities(other, tiny_fit)
    assert not np.array_equal(other.draws["weight"], tiny_fit.draws["weight"])


@pytest.mark.slow
def test_other_priors_bring_new_capabilities(again: Again, tiny_fit: Fit, tiny_spec: CapabilitySpec):
    other, told = again(spec=with_priors(tiny_spec, loading=HalfNormal(scale=0.71)))
    assert len(told["capabilities"]) > 1
    assert not same_capabilities(other, tiny_fit)


def test_a_benchmark_needs_no_task_heads(again: Again):
    other, told = again("bench-4", draws=100)
    assert set(told) == {"capabilities"}
    assert "task" not in other.draws.dims


def test_data_and_seed_bring_new_capabilities(again: Again, tiny_fit: Fit):
    for change in ({"from_compute": ["family-1-3"]}, {"seed": 6}):
        other, told = again(**change)
        assert len(told["capabilities"]) > 1
        assert not same_capabilities(other, tiny_fit)


def test_a_damaged_cache_is_rebuilt_with_the_same_draws(again: Again, tiny_fit: Fit, tmp_path: Path):
    first, told = again(cache=tmp_path)
    assert len(told["capabilities"]) > 1
    assert same_capabilities(first, tiny_fit)  # same seed, same machine
    (entry,) = tmp_path.glob("*.npz")
    whole = entry.read_bytes()
    entry.write_bytes(whole[: len(whole) // 3])
    second, told = again(cache=tmp_path)
    assert len(told["capabilities"]) > 1
    assert same_capabilities(second, tiny_fit)
    assert len(entry.read_bytes()) == len(whole)
    assert again(cache=tmp_path)[1]["capabilities"] == [(1, 1)]


def test_progress_ends_at_its_total(again: Again, tiny_fit: Fit):
    _, told = again(cutoff=tiny_fit.cutoff / 2)
    done, total = told["task heads"][-1]
    assert done == total
