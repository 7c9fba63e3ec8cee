"""Draws in little room say what the draws say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayes_obscaling as bo
from bayes_obscaling.results.compact import STEP, pack, thinned, unpack
from bayes_obscaling.results.convergence import assess, limits_of_kept
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.storage import save_fit


def draws(rng: np.random.Generator) -> xr.Dataset:
    dims = ("chain", "draw", "model")
    return xr.Dataset(
        {
            "theta": (dims, rng.normal([0.0, 5.0, -300.0], [1.0, 0.01, 20.0], (4, 200, 3))),
            "sd": (dims, np.exp(rng.normal(-4.0, 1.5, (4, 200, 3)))),
            "fixed": (dims, np.full((4, 200, 3), 1.25)),
            "heavy": (dims, rng.standard_t(2.0, (4, 200, 3))),
        }
    )


def test_rounding_is_small_against_the_spread():
    before = draws(np.random.default_rng(1))
    after = unpack(pack(before))
    for name in ("theta", "fixed", "heavy"):
        spread, error = before[name].std(("chain", "draw")), np.abs(after[name] - before[name]).max(("chain", "draw"))
        farthest = np.abs(before[name] - before[name].mean(("chain", "draw"))).max(("chain", "draw"))
        assert (error <= 0.5001 * np.maximum(STEP * spread, farthest / 127)).all()
    assert (after["sd"] > 0).all()
    assert np.abs(np.log(after["sd"] / before["sd"])).max() < 0.5001 * max(STEP * 1.7, 7.0 / 127)
    assert after["theta"].dims == before["theta"].dims


def test_draws_are_thinned_evenly():
    packed = pack(thinned(draws(np.random.default_rng(2)), 50))
    assert packed["theta"].sizes["draw"] == 50
    assert packed["theta"].dtype == np.int8
    everything, quarter = draws(np.random.default_rng(2)), unpack(packed)
    np.testing.assert_allclose(quarter["theta"], everything["theta"][:, 3::4], atol=1.0)


def test_what_is_not_packed_stays(dated_fit: CapabilityFit):
    assert unpack(dated_fit.draws).identical(dated_fit.draws)


def test_a_compact_fit_forecasts_like_the_whole_one(dated_fit: CapabilityFit, tmp_path: Path):
    whole, compact = save_fit(dated_fit, tmp_path / "whole.nc"), save_fit(dated_fit, tmp_path / "compact.nc", 200)
    assert compact.stat().st_size < whole.stat().st_size / 4
    opened = bo.open(compact)
    assert isinstance(opened, CapabilityFit)
    assert opened.draws.sizes["draw"] == 200
    assert opened.convergence == dated_fit.convergence  # it tells of the draws that were made
    scenario = bo.Scenario(family="family-1", flops=1e24)
    ours, theirs = (bo.forecast(fit, scenario, tasks="task-0").summary() for fit in (opened, dated_fit))
    spread = (theirs["q95"] - theirs["q5"]).item()
    for name in ("q5", "median", "q95"):
        assert ours[name].item() == pytest.approx(theirs[name].item(), abs=0.15 * spread)


def test_few_kept_draws_are_judged_by_what_chance_does():
    """R-hat of independent draws: at 4 x 200 it passes 1.01 in some of 500 quantities, and never the chance limit."""
    values = np.random.default_rng(5).standard_normal((4, 200, 500))
    record = assess({"x": values})
    assert record.rhat > 1.01
    assert not record.problems_beyond(limits_of_kept(4, 200))
    values[0] += 0.6  # one chain elsewhere
    assert assess({"x": values}).problems_beyond(limits_of_kept(4, 200))
    assert limits_of_kept(4, 100_000) == (1.01, 400.0)
