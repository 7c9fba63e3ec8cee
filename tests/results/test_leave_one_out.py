"""Leave-one-score-out without refitting, against refits."""

from __future__ import annotations

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from scipy import stats
from sparse_tables import sparse_fit

from bayes_obscaling.analyses.anomalies import anomalies
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.models.capability_equations import CELL_NOISE_DF, Cells
from bayes_obscaling.models.links import response
from bayes_obscaling.pages.single import _marks
from bayes_obscaling.plots.diagnostics import pages_of
from bayes_obscaling.results.diagnostics import diagnose
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.leave_one_out import leave_one_out, predict_left_out
from bayes_obscaling.results.leave_one_out.cells import _before_scores, left_out_cells
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


@pytest.fixture(scope="module")
def sparse():
    return sparse_fit()


@pytest.mark.slow
def test_a_score_of_a_sparse_table_given_the_others_is_that_of_quadrature(sparse):
    p = {name: values[:3] for name, values in sparse.posterior.measurement(0).items()}
    data, structure = sparse.layout.measurements[0], sparse.layout.structure
    rows, columns, found = left_out_cells(p, data, structure, 0, particles=4000)
    c = Cells(*(np.asarray(value) for value in data.cells))
    assert np.abs(p["benchmark_drift"][:, c.benchmark] * c.date).mean() > 0.02
    pairs = {*zip(c.model[c.seen], c.benchmark[c.seen], strict=True)}
    assert {*zip(rows, columns, strict=True)} == pairs and len(rows) == len(pairs) < c.seen.sum()
    mean, root = _before_scores(p, data, structure)
    nodes = np.linspace(-6, 6, 121)
    z = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    off = []
    for at in range(0, len(rows), 13):  # some of all
        own = np.flatnonzero((c.model == rows[at]) & c.seen)
        first = own[c.benchmark[own] == columns[at]][0]
        others = own[c.benchmark[own] != columns[at]]
        for s in range(3):
            theta = mean[s, rows[at]] + z @ root[s, rows[at]].T
            expected, scale = _scores_at(p, s, theta, c, np.append(others, first), np.asarray(data.chance))
            away = (c.score[np.append(others, first)] - expected) / scale
            log = stats.t.logpdf(away, CELL_NOISE_DF) - np.log(scale)
            weight = -0.5 * (z**2).sum(axis=1) + log[:, :-1].sum(axis=1)
            weight = np.exp(weight - weight.max())
            weight /= weight.sum()
            below = weight @ stats.t.cdf(away[:, -1], CELL_NOISE_DF)
            exact = np.log(weight @ np.exp(log[:, -1]))
            off.append((found.log_density[s, at] - exact, np.exp(found.log_below[s, at]) - below))
    density, below = np.abs(np.array(off)).T
    # where a score contradicts the others, few particles lie where those put the model
    assert np.median(density) < 0.1 and np.quantile(density, 0.9) < 0.3
    assert np.median(below) < 0.03 and np.quantile(below, 0.9) < 0.06


def _scores_at(p, s, theta, c, at, chance):
    """Expected scores and scales of their noise, (theta, cell), written once more."""
    benchmark = c.benchmark[at]
    steps = p["reasoning_step"][s] * c.reasoning[at, None] + p["effort_step"][s] * c.effort[at, None]
    eta = ((theta[:, None] + steps) * p["loading"][s, benchmark]).sum(axis=-1) + p["difficulty"][s, benchmark]
    eta = eta + p["benchmark_drift"][s, benchmark] * c.date[at]
    shape = p["asymmetry"][s, benchmark] if "asymmetry" in p else None
    expected = np.asarray(response(eta, chance[benchmark], p["ceiling_gap"][s, benchmark], shape))
    variance = expected * (1 - expected) * (c.inv_items[at] + p["overdispersion"][s, benchmark] ** 2) + 0.01**2
    return expected, np.sqrt(variance)


def test_an_odd_score_of_a_sparse_table_is_marked(sparse):
    scores = sparse.table.scores.copy()
    wrong = scores[(scores["score"] > 0.7) & (scores["model"] == "Birch-3")].iloc[0]
    scores.loc[wrong.name, "score"] = 0.03
    table = sparse.table
    table = type(table)(table.models, table.benchmarks, scores, other_settings=table.other_settings)
    sick = dataclasses.replace(sparse, table=table)
    odd = anomalies(sick)
    places = odd.table.set_index(["model", "benchmark"])
    at = (wrong["model"], wrong["benchmark"])
    assert places.at[at, "flag"] == "too bad"
    # the same score as it was is nothing odd
    before = predict_left_out(sparse).sel(model=at[0], benchmark=at[1])
    after = predict_left_out(sick).sel(model=at[0], benchmark=at[1])
    assert float(after["pit"]) < 0.01 < 0.05 < float(before["pit"])
    assert set(odd.table["kind"]) == {"score"} and "offsets" not in " ".join(odd.sentences)
    marks, note = _marks(sick)
    assert marks[wrong["model"], wrong["benchmark"]].startswith("too bad (leave-one-out")
    assert "question, not a verdict" in note
    with pytest.raises(InputError, match="Models of a sparse table"):
        leave_one_out(sick)


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


def test_a_sparse_fit_is_judged_by_its_scores(sparse):
    found = diagnose(sparse)
    scores, left_out = found.parts["scores"], predict_left_out(sparse)
    assert len(scores) == int(np.isfinite(left_out["pit"]).sum()) > 100
    for row in scores.head(20).itertuples():
        assert row.observed == sparse.table.matrix([row.benchmark]).at[row.model, row.benchmark]
        assert row.pit == float(left_out["pit"].sel(model=row.model, benchmark=row.benchmark))
    inside = scores["pit"].between(0.05, 0.95).mean()
    assert (
        f"hold {inside:.1%} of {len(scores)} scores"
        in found.table.set_index("check").at["calibration: capabilities", "what"]
    )
    assert found.level("priors, models") == "REVIEW" and "sensitivity" not in found.parts
    assert pages_of(found) == ["checks", "sampler", "scores"]
    assert len(found.plots()) > 5
    plt.close("all")
