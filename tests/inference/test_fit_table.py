"""What a fit remembers, and what it reuses: fits of one table whose draws nobody samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from synthetic import CUTOFF, HIDDEN, Scatter

from bayes_obscaling.data import load_base_llms
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.inference.sampler import Nuts
from bayes_obscaling.models.priors import HalfNormal, Priors
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.plots import style
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.seen import seen_of
from bayes_obscaling.results.storage import open_fit

Again = Callable[..., tuple[CapabilityFit, dict[str, list[tuple[int, int]]]]]


@pytest.fixture(scope="module")
def again(simulation, tiny_spec: CapabilitySpec, tmp_path_factory: pytest.TempPathFactory) -> Again:
    """Fit the simulated table, with changes and without sampling; what was told about progress comes along."""
    cache, sampler = tmp_path_factory.mktemp("draws"), Scatter()

    def run(tasks: str = "task-0", **changes: Any) -> tuple[CapabilityFit, dict[str, list[tuple[int, int]]]]:
        told: dict[str, list[tuple[int, int]]] = {}
        options = {
            "cutoff": CUTOFF,
            "from_compute": [HIDDEN],
            "spec": tiny_spec,
            "chains": 2,
            "draws": 200,
            "seed": 5,
            "cache": cache,
            "sampler": sampler,
            "progress": lambda label, done, total: told.setdefault(label, []).append((done, total)),
        }
        return fit_table(simulation.table, tasks, **(options | changes)), told

    return run


@pytest.fixture(scope="module")
def first(again: Again) -> CapabilityFit:
    return again()[0]


def same_capabilities(one: CapabilityFit, other: CapabilityFit) -> bool:
    return bool(np.array_equal(one.draws["theta"], other.draws["theta"]))


def test_convergence_is_recorded_for_each_stage(tiny_fit: CapabilityFit):
    assert set(tiny_fit.convergence) == {"capabilities", "task heads"}
    for record in tiny_fit.convergence.values():
        assert 1.0 < record.rhat < 1.3
        assert 20 < record.ess_bulk < 600
        assert record.worst in tiny_fit.draws
    assert (tiny_fit.problems == ()) == all(record.ok for record in tiny_fit.convergence.values())


def test_stages_say_what_was_sampled_and_how(tiny_fit: CapabilityFit, quick_sampler: Nuts):
    capabilities, heads = tiny_fit.stages
    assert (capabilities.label, capabilities.predictors) == ("capabilities", "all")
    assert (heads.label, heads.predictors) == ("task heads", "")
    assert not set(capabilities.variables) & set(heads.variables)
    assert {*capabilities.variables, *heads.variables} == set(tiny_fit.draws)
    assert "theta" in capabilities.variables and "weight" in heads.variables
    for stage, kind in ((capabilities, "measurement"), (heads, "heads")):
        assert stage.settings.thin == quick_sampler.settings[kind].thin
        assert set(stage.draws(tiny_fit.tree)) == set(stage.variables)
        assert "predictors" not in stage.draws(tiny_fit.tree).dims
        stats = stage.stats(tiny_fit.tree)
        assert set(stats) == {"diverging", "energy", "n_steps"} and dict(stats.sizes) == {"chain": 2, "draw": 200}
    assert dict(tiny_fit.tree["sample_stats"].sizes) == {"chain": 2, "draw": 200, "stage": 2}


def test_parts_are_apart_and_agree_with_their_wholes(tiny_fit: CapabilityFit):
    scaffold = tiny_fit.tree["scaffold"].to_dataset()
    assert set(scaffold) == {"loading_free", "difficulty_free", "ceiling_gap_capped"}
    free = tiny_fit.draws["loading"].sel(benchmark=scaffold["free_benchmark"].to_numpy())
    np.testing.assert_array_equal(free, scaffold["loading_free"])


def test_the_run_is_described(tiny_fit: CapabilityFit):
    run = tiny_fit.provenance
    assert run["seed"] == 5 and run["chain_method"] == "threads"
    assert run["data_hash"] == tiny_fit.table.data_hash
    assert run["bundled_data"]["base_llms"] == load_base_llms().data_hash
    assert (run["device"], run["devices"], run["float"]) == ("cpu", 1, "float64")
    assert {"bayes_obscaling", "jax", "numpyro", "arviz-stats", "numpy"} <= run["versions"].keys()


def test_the_same_seed_gives_the_same_draws_and_progress_ends_at_its_total(
    again: Again, tiny_fit: CapabilityFit, quick_sampler: Nuts
):
    # Nothing from the cache: sampled once more.
    once_more, told = again(["task-0", "task-1"], cache=None, sampler=quick_sampler)
    xr.testing.assert_identical(once_more.tree, tiny_fit.tree)
    for stage in told.values():
        done, total = stage[-1]
        assert done == total


def test_a_fit_as_of_a_date_has_seen_what_came_before(again: Again, tmp_path: Path):
    fit, _ = again(cutoff=None, as_of="2023-01", from_compute=True)
    models = fit.table.models
    assert fit.split.as_of == "2023-01-01" and fit.split.hides == "all"
    assert set(fit.split.held_out) == set(models.index[models["date"] >= "2023-01-01"])
    assert open_fit(fit.save(tmp_path / "fit.nc")).split == fit.split
    assert style.seen_text(seen_of(fit, "task-0")) == "scores seen of models released before 2023-01-01"
    one, _ = again(cutoff=None, as_of="2023-01")
    assert one.split.hidden == (HIDDEN,) and one.split.as_of == "2023-01-01"
    for changes, sentence in (
        ({}, "both say who is hidden: give one of them"),
        ({"cutoff": None, "split": fit.split}, "Give a split, or a cutoff or date and from_compute, not both"),
    ):
        with pytest.raises(InputError, match=sentence):
            again(as_of="2023-01", **changes)


def test_posterior_has_names_for_all_axes(tiny_fit: CapabilityFit):
    draws = tiny_fit.draws
    sizes = {"model": 24, "family": 6, "benchmark": 5, "factor": 2, "task": 2}
    assert dict(draws.sizes) == {"chain": 2, "draw": 200, "predictors": 1, **sizes}
    assert draws["theta"].dims == ("chain", "draw", "predictors", "model", "factor")
    assert draws["task_family_offset"].dims == ("chain", "draw", "family", "task")
    assert draws["weight"].dims == ("chain", "draw", "task", "factor")
    assert list(draws["factor"].to_numpy()) == ["bench-0", "bench-1"]
    assert set(tiny_fit.tree.children) == {"posterior", "scaffold", "sample_stats", "observed_data"}
    observed = tiny_fit.tree["observed_data"]
    assert int(observed["benchmark_score"].notnull().sum()) == 23 * 5  # one model is hidden altogether
    assert not observed["benchmark_score"].sel(model="family-2-3").notnull().any()


def test_capabilities_are_near_the_truth(tiny_fit: CapabilityFit, simulation):
    theta, truth = tiny_fit.draws["theta"].isel(predictors=0), simulation.truth["theta"]
    mean = theta.mean(("chain", "draw")).to_numpy()
    for k in range(2):
        assert np.corrcoef(mean[:, k], truth[:, k])[0, 1] > 0.8
    low, high = theta.quantile([0.025, 0.975], ("chain", "draw")).to_numpy()
    assert ((low <= truth) & (truth <= high)).mean() > 0.7  # errors of one factor's scale are shared by all models


def test_another_task_and_cutoff_reuse_the_capabilities(again: Again, first: CapabilityFit):
    other, told = again("task-1", cutoff=CUTOFF / 3)
    assert told["capabilities"] == [(1, 1)]
    assert "task heads" in told
    assert same_capabilities(other, first)
    assert other.convergence["capabilities"] == first.convergence["capabilities"]


def with_priors(spec: CapabilitySpec, **priors: Any) -> CapabilitySpec:
    return spec.model_copy(update={"priors": Priors(**{**dict(spec.priors), **priors})})


def test_head_priors_reuse_the_capabilities(again: Again, first: CapabilityFit, tiny_spec: CapabilitySpec):
    other, told = again(spec=with_priors(tiny_spec, task_ceiling_gap=HalfNormal(scale=0.02)))
    assert told["capabilities"] == [(1, 1)]
    assert same_capabilities(other, first)
    assert not np.array_equal(other.draws["task_ceiling_gap"], first.draws["task_ceiling_gap"])


def test_other_priors_bring_new_capabilities(again: Again, first: CapabilityFit, tiny_spec: CapabilitySpec):
    other, told = again(spec=with_priors(tiny_spec, loading=HalfNormal(scale=0.71)))
    assert told["capabilities"] != [(1, 1)]
    assert not np.array_equal(other.draws["loading"], first.draws["loading"])


def test_a_benchmark_needs_no_task_heads(again: Again):
    other, told = again("bench-4", draws=100)
    assert set(told) == {"capabilities"}
    assert "task" not in other.draws.dims


def test_data_and_seed_bring_new_capabilities(again: Again, first: CapabilityFit):
    for change in ({"from_compute": ["family-1-3"]}, {"seed": 6}):
        other, told = again(**change)
        assert told["capabilities"] != [(1, 1)]
        assert not same_capabilities(other, first)


def test_a_damaged_cache_is_rebuilt_with_the_same_draws(again: Again, first: CapabilityFit, tmp_path: Path):
    stored, told = again(cache=tmp_path)
    assert told["capabilities"] != [(1, 1)]
    assert same_capabilities(stored, first)  # same seed, same machine
    (entry,) = tmp_path.glob("*.npz")
    whole = entry.read_bytes()
    entry.write_bytes(whole[: len(whole) // 3])
    second, told = again(cache=tmp_path)
    assert told["capabilities"] != [(1, 1)]
    assert same_capabilities(second, first)
    assert len(entry.read_bytes()) == len(whole)
    assert again(cache=tmp_path)[1]["capabilities"] == [(1, 1)]
