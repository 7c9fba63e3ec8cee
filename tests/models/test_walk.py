"""Efficiency that walks beside its steady drift: Equation 52, in fits and in forecasts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from sparse_tables import sparse_fit, sparse_table
from synthetic import trace_of

import bayes_obscaling as bo
from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.models import capability as model
from bayes_obscaling.models.capability_equations import WALK_KNOTS, Covariates, line, walked
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.beyond import stray
from bayes_obscaling.results.fit import CapabilityFit

SPEC = CapabilitySpec.frontier(drift="walk", drift_walk=0.4)


@pytest.fixture(scope="module")
def table() -> ScoreTable:
    return sparse_table()


def layout_of(table: ScoreTable, spec: CapabilitySpec = SPEC) -> Layout:
    return lay_out(table, ["bench-0"], Split.all_seen(), spec)


def traced(layout: Layout, seed: int = 0) -> dict[str, Any]:
    trace = trace_of(model.measurement, seed, layout.measurements[0], SPEC.priors, layout.structure)
    return {name: np.asarray(site["value"]) for name, site in trace.items()}


def test_it_is_linear_between_knots_and_constant_outside():
    walk = np.random.default_rng(0).standard_normal((3, len(WALK_KNOTS), 2))
    date = np.array([-30.0, -0.2, 0.0, 1.1, 2.75, 40.0])
    found = np.asarray(walked(walk, date))
    for s in range(3):
        for k in range(2):
            np.testing.assert_allclose(found[s, :, k], np.interp(date, WALK_KNOTS, walk[s, :, k]), rtol=1e-12)


def test_its_steps_are_those_of_a_random_walk_through_zero(table: ScoreTable):
    layout = layout_of(table)
    walks = np.stack([traced(layout, seed)["walk"] for seed in range(60)])  # (draws, L, K)
    np.testing.assert_array_equal(walks[:, WALK_KNOTS == 0.0], 0.0)
    steps = np.diff(walks, axis=1)
    np.testing.assert_allclose(steps.std(), 0.4 * np.sqrt(0.5), rtol=0.05)
    a_year = walks[:, 2:] - walks[:, :-2]
    np.testing.assert_allclose(a_year.std(), 0.4, rtol=0.05)


def test_a_line_gains_what_the_walk_is_worth_at_the_mean_slope(table: ScoreTable):
    layout = layout_of(table)
    p, x = traced(layout), layout.measurements[0].covariates
    family = np.asarray(layout.measurements[0].family)
    own = {name: p[name][family] for name in ("intercept", "slope", "family_drift")}
    x = x._replace(compute=p["compute"])
    steady = {name: value for name, value in p.items() if name != "walk"}
    gained = np.asarray(line({**p, **own}, x)) - np.asarray(line({**steady, **own}, x))
    dates = np.asarray(x.date)
    expected = [p["slope_mean"][k] * np.interp(dates, WALK_KNOTS, p["walk"][:, k]) for k in range(2)]
    np.testing.assert_allclose(gained, np.transpose(expected), rtol=1e-9, atol=1e-12)
    assert np.abs(gained).max() > 0.01


def test_the_level_stays_the_capability_in_the_middle(table: ScoreTable):
    layout = layout_of(table)
    p, date = traced(layout, 3), np.asarray(layout.measurements[0].covariates.date)
    known = np.delete(np.arange(len(date)), layout.structure.unknown_compute)
    compute = np.asarray(layout.measurements[0].covariates.compute)[known].mean()
    rise = compute + p["drift"] * date.mean() + np.asarray(walked(p["walk"], date)).mean(axis=0)
    np.testing.assert_allclose(p["intercept_mean"] + p["slope_mean"] * rise, p["level_mean"], rtol=1e-9)


def test_without_it_nothing_is_sampled(table: ScoreTable):
    steady = layout_of(table, CapabilitySpec.frontier())
    assert steady.measurements[0].walk_sd is None
    trace = trace_of(model.measurement, 0, steady.measurements[0], SPEC.priors, steady.structure)
    assert "walk" not in trace and "family_drift" in trace


def test_lines_of_all_draws_are_those_of_each():
    rng = np.random.default_rng(1)
    p = {name: rng.standard_normal((5, 2)) for name in ("drift", "slope_mean")}
    p |= {name: rng.standard_normal((5, 3, 2)) for name in ("intercept", "slope")}
    p["walk"] = rng.standard_normal((5, len(WALK_KNOTS), 2))
    x = Covariates(jnp.array([0.0, 1.0, 2.0]), jnp.array([-1.3, 0.4, 3.2]))
    whole = np.asarray(line(p, x))
    for s in range(5):
        np.testing.assert_allclose(whole[s], line({name: value[s] for name, value in p.items()}, x), rtol=1e-12)


# --- forecasts ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fit() -> CapabilityFit:
    return sparse_fit(spec=SPEC)


def test_beyond_the_data_the_walk_goes_on_and_no_other_is_added(fit: CapabilityFit):
    posterior = fit.posterior
    ahead = posterior.latest["new"] + np.array([0.5, 4.0])
    assert not stray(posterior, ["new", "new"], ahead, np.full(2, np.nan)).any()
    steady = sparse_fit(spec=CapabilitySpec.frontier(drift_walk=0.4)).posterior
    assert stray(steady, ["new", "new"], ahead, np.full(2, np.nan)).any()
    walk = posterior.measurement()["walk"][:, 0]
    gained = np.asarray(walked(walk, ahead)) - np.asarray(walked(walk, ahead[:1] - 0.5))
    # draws of this fit scatter around where chains start, not as far as the walk does
    assert gained[:, 1].std() > 1.5 * gained[:, 0].std()


def test_a_fit_with_a_walk_forecasts_scores_and_is_saved(fit: CapabilityFit, tmp_path: Path):
    scenarios = [
        bo.Scenario(family="new", date="2026-12-01"),
        bo.Scenario(family="new", date="2031-06-01"),
    ]
    table = bo.forecast(fit, scenarios, tasks=["bench-3"]).to_dataframe()
    assert np.isfinite(table[["q5", "median", "q95"]].to_numpy()).all()
    fit.save(tmp_path / "walk.nc")
    again = bo.forecast(bo.open(tmp_path / "walk.nc"), scenarios, tasks=["bench-3"]).to_dataframe()
    pd.testing.assert_frame_equal(table, again)
    models = pd.DataFrame({"model": ["newcomer"], "family": ["stranger"], "date": ["2026-05-01"]})
    scores = pd.DataFrame({"model": ["newcomer"] * 2, "benchmark": ["bench-1", "bench-2"], "score": [0.6, 0.5]})
    scored = bo.score(fit, bo.ScoreTable(models, fit.table.benchmarks, scores), tasks=["bench-3"])
    assert np.isfinite(scored.to_dataframe()[["q5", "median", "q95"]].to_numpy()).all()
