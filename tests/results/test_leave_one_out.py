"""Leave-one-score-out without refitting, against refits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from bayes_obscaling.data import ScoreTable
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.results.diagnostics import diagnose
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.leave_one_out import predict_left_out
from bayes_obscaling.results.leave_one_out.weights import smoothed


@pytest.fixture(scope="module")
def everything(simulation, tiny_spec, cache_folder, quick_sampler):
    table = simulation.table
    return fit_table(
        table,
        table.benchmark_names,
        spec=tiny_spec,
        chains=2,
        draws=400,
        seed=5,
        cache=cache_folder,
        sampler=quick_sampler,
    )


@pytest.mark.slow
def test_the_reweighted_prediction_is_that_of_a_refit_without_the_score(
    everything, tiny_spec, cache_folder, quick_sampler
):
    # An anchor, on which a capability hangs, and a benchmark that reads two.
    cells = [("family-0-1", "bench-0"), ("family-4-2", "bench-3")]
    table = everything.table
    scores = table.scores.set_index(["model", "benchmark"]).drop(index=cells).reset_index()
    without = ScoreTable(table.models, table.benchmarks, scores)
    refit = fit_table(
        without,
        table.benchmark_names,
        spec=tiny_spec,
        chains=2,
        draws=400,
        seed=6,
        cache=cache_folder,
        sampler=quick_sampler,
    )
    reweighted = predict_left_out(everything)
    for model, benchmark in cells:
        found = reweighted.sel(model=model, benchmark=benchmark)
        exact = forecast(refit, model, tasks=benchmark).draws.to_numpy().ravel()
        q5, median, q95 = np.quantile(exact, (0.05, 0.5, 0.95))
        width = q95 - q5
        assert abs(float(found["median"]) - median) < 0.15 * width, (model, benchmark)
        assert float(found["q95"] - found["q5"]) == pytest.approx(width, rel=0.3), (model, benchmark)
        observed = table.matrix([benchmark]).loc[model, benchmark]
        assert float(found["pit"]) == pytest.approx((exact < observed).mean(), abs=0.12)
        # What the fit with the score says of it is narrower: leaving it out is not nothing.
        seen = forecast(everything, model, tasks=benchmark, kind="mean").draws.to_numpy().ravel()
        assert np.subtract(*np.quantile(seen, (0.95, 0.05))) < width


@pytest.mark.slow
def test_pareto_k_is_small_and_pits_are_even(everything):
    left_out = predict_left_out(everything)
    assert float((left_out["pareto_k"] > 0.7).mean()) < 0.1
    pit = left_out["pit"].to_numpy()
    assert np.isfinite(pit).all()
    assert 0.35 < (np.abs(pit - 0.5) < 0.25).mean() < 0.75  # a half of them would lie there, and there are 120
    assert 0 < left_out.attrs["p_loo"] < pit.size


def test_a_hidden_model_is_not_predicted_from_itself(made_fit):
    left_out = predict_left_out(made_fit)
    assert left_out.sel(model="family-2-3").to_dataframe()[["elpd", "pit", "pareto_k"]].isna().all().all()
    assert left_out.sel(model="family-2-2")["elpd"].notnull().all()


def test_a_score_fifty_sd_out_is_reviewed_not_a_crash(made_fit):
    # Chance is .5 and the noise .01: a score of 0 is 50 sd below whatever the capabilities are.
    facts, scores = made_fit.table.benchmarks.copy(), made_fit.table.scores.copy()
    facts.loc["bench-3", "n_items"] = 1e9
    wrong = ("family-1-1", "bench-3")
    scores.loc[(scores["model"] == wrong[0]) & (scores["benchmark"] == wrong[1]), "score"] = 0.0
    tree = made_fit.tree.copy()
    draws = tree["posterior"].to_dataset().copy(deep=True)
    draws["overdispersion"].loc[{"benchmark": "bench-3"}] = 1e-6
    tree["posterior"] = xr.DataTree(draws)
    sick = dataclasses.replace(made_fit, table=ScoreTable(made_fit.table.models, facts, scores), tree=tree)

    found = predict_left_out(sick).sel(model=wrong[0], benchmark=wrong[1])
    assert -1e5 < float(found["elpd"]) < -1000
    assert float(found["pit"]) == pytest.approx(0.0, abs=1e-12)
    assert float(found["pareto_k"]) > 0.7
    diagnosis = diagnose(sick)
    assert diagnosis.level("surprising scores") == "REVIEW"
    scores = diagnosis.parts["scores"].set_index(["model", "benchmark"])
    assert scores.loc[wrong, "z"] < -5 and np.isfinite(scores["elpd"]).all()
    assert diagnosis.level("Pareto k: capabilities") == "REVIEW"
    assert diagnosis.to_dict()["verdict"] == diagnosis.verdict


def test_weights_that_no_tail_can_be_fitted_to():
    far = np.zeros((400, 3))
    far[0, 0] = 5000.0  # one draw has it all
    far[:, 1] = -1000.0 * np.arange(400)  # all but one underflow beside the largest
    log_weight, pareto_k = smoothed(far)  # the third: all the same, as if nothing were left out
    np.testing.assert_allclose(np.exp(log_weight).sum(axis=0), 1.0)
    assert (pareto_k[:2] > 0.7).all() and pareto_k[2] == 0.0
    np.testing.assert_allclose(log_weight[:, 2], -np.log(400))


def test_predictions_are_kept_on_the_fit(made_fit):
    assert predict_left_out(made_fit) is predict_left_out(made_fit, "all")
    assert predict_left_out(dataclasses.replace(made_fit)) is not predict_left_out(made_fit)
