"""Leave-one-score-out without refitting, against refits."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_obscaling.analyses.left_out import predict_left_out
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.inference.fitting import fit
from bayes_obscaling.results.forecast import forecast


@pytest.fixture(scope="module")
def everything(simulation, tiny_spec, cache_folder):
    table = simulation.table
    return fit(
        table, table.benchmark_names, spec=tiny_spec, chains=2, draws=400, seed=5, cache=cache_folder,
    )  # fmt: skip


def test_the_reweighted_prediction_is_that_of_a_refit_without_the_score(everything, tiny_spec, cache_folder):
    # An anchor, on which a capability hangs, and a benchmark that reads two.
    cells = [("family-0-1", "bench-0"), ("family-4-2", "bench-3")]
    table = everything.table
    scores = table.scores.set_index(["model", "benchmark"]).drop(index=cells).reset_index()
    without = ScoreTable(table.models, table.benchmarks, scores)
    refit = fit(
        without, table.benchmark_names, spec=tiny_spec, chains=2, draws=400, seed=6, cache=cache_folder,
    )  # fmt: skip
    reweighted = predict_left_out(everything)
    for model, benchmark in cells:
        mine = reweighted.sel(model=model, benchmark=benchmark)
        exact = forecast(refit, model, tasks=benchmark).draws.to_numpy().ravel()
        q5, median, q95 = np.quantile(exact, (0.05, 0.5, 0.95))
        width = q95 - q5
        assert abs(float(mine["median"]) - median) < 0.15 * width, (model, benchmark)
        assert float(mine["q95"] - mine["q5"]) == pytest.approx(width, rel=0.3), (model, benchmark)
        observed = table.matrix([benchmark]).loc[model, benchmark]
        assert float(mine["pit"]) == pytest.approx((exact < observed).mean(), abs=0.12)
        # What the fit with the score says of it is narrower: leaving it out is not nothing.
        seen = forecast(everything, model, tasks=benchmark, kind="mean").draws.to_numpy().ravel()
        assert np.subtract(*np.quantile(seen, (0.95, 0.05))) < width


def test_pareto_k_is_small_and_pits_are_even(everything):
    left_out = predict_left_out(everything)
    assert float((left_out["pareto_k"] > 0.7).mean()) < 0.1
    pit = left_out["pit"].to_numpy()
    assert np.isfinite(pit).all()
    assert 0.35 < (np.abs(pit - 0.5) < 0.25).mean() < 0.75  # a half of them would lie there, and there are 120
    assert 0 < left_out.attrs["p_loo"] < pit.size


def test_a_hidden_model_is_not_predicted_from_itself(tiny_fit):
    left_out = predict_left_out(tiny_fit)
    assert left_out.sel(model="family-2-3").to_dataframe()[["elpd", "pit", "pareto_k"]].isna().all().all()
    assert left_out.sel(model="family-2-2")["elpd"].notnull().all()
