"""ArviZ's own statistics and plots work on fits, and on what is believed before any score is seen."""

from __future__ import annotations

import warnings
from pathlib import Path

import arviz_plots as azp
import arviz_stats as azs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.diagnostics import diagnose
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.likelihood import log_likelihood
from bayes_obscaling.results.prior_predictive import prior_predictive
from bayes_obscaling.results.scenario import Scenario
from bayes_obscaling.results.storage import open_fit


@pytest.fixture(scope="module")
def extended(made_fit: CapabilityFit) -> CapabilityFit:
    return made_fit.extended(log_likelihood=True, posterior_predictive=True, prior=True)


@pytest.mark.parametrize("name", ["benchmark_score", "task_score"])
def test_leave_one_out_of_arviz(extended: CapabilityFit, made_fit: CapabilityFit, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large Pareto k
        found = azs.loo(extended.tree, var_name=name, pointwise=True)
    seen = made_fit.posterior.seen[list(made_fit.layout.benchmarks if name[0] == "b" else made_fit.layout.tasks)]
    assert found.n_data_points == seen.to_numpy().sum()
    assert np.isfinite(found.elpd_i).all() and found.elpd < float(
        log_likelihood(made_fit)[name].mean(("chain", "draw")).sum()
    )


@pytest.mark.parametrize("group", ["log_likelihood", "posterior_predictive", "prior_predictive", "observed_data"])
def test_groups_hold_the_seen_scores_alone(extended: CapabilityFit, made_fit: CapabilityFit, group: str) -> None:
    values = extended.tree[group].to_dataset()
    assert set(values) == {"benchmark_score", "task_score"}
    for kind in ("benchmark", "task"):
        column = values[f"{kind}_score"]
        assert column.dims[-1] == f"{kind}_observation" and np.isfinite(column).all()
        pairs = list(zip(column[f"{kind}_model"].to_numpy(), column[kind].to_numpy(), strict=True))
        assert len(set(pairs)) == len(pairs)
        assert all(made_fit.posterior.seen.loc[pair] for pair in pairs)
        if group == "observed_data":
            scores = made_fit.table.scores.set_index(["model", "benchmark"])["score"]
            np.testing.assert_array_equal(column, [scores[pair] for pair in pairs])
        if group == "log_likelihood":
            cell = log_likelihood(made_fit)[f"{kind}_score"].sel({"model": pairs[3][0], kind: pairs[3][1]})
            np.testing.assert_array_equal(column[..., 3], cell.squeeze("predictors") if kind == "benchmark" else cell)
        if group.endswith("predictive"):
            assert column.min() >= 0 and column.max() <= 1


def test_replicates_scatter_around_expected_scores(extended: CapabilityFit, made_fit: CapabilityFit) -> None:
    replicates = extended.tree["posterior_predictive"].to_dataset()
    for kind in ("benchmark", "task"):
        values = replicates[f"{kind}_score"].stack(sample=("chain", "draw")).transpose("sample", ...)
        for name in dict.fromkeys(values[kind].to_numpy()):
            own = values.isel({f"{kind}_observation": np.flatnonzero(values[kind] == name)})
            place = made_fit.posterior.place([Scenario(model) for model in own[f"{kind}_model"].to_numpy()])
            expected = made_fit.posterior.expected(place, [str(name)])[..., 0]
            inside = ((expected > 0.1) & (expected < 0.9)).all(axis=0)  # no clipping at 0 or 1
            miss = (own.to_numpy() - expected)[:, inside]
            error = miss.std(axis=0) / np.sqrt(len(miss))
            assert (np.abs(miss.mean(axis=0)) < 5 * error).all()


@pytest.mark.filterwarnings("ignore:Deleting a single level:FutureWarning")  # within arviz-plots 0.8
@pytest.mark.parametrize("kind", ["kde", "ecdf"])
def test_predictive_checks_of_arviz(extended: CapabilityFit, kind: str) -> None:
    azp.plot_ppc_dist(extended.tree, kind=kind, num_samples=5)
    azp.plot_ppc_dist(extended.tree, kind=kind, num_samples=5, group="prior_predictive")
    plt.close("all")


def test_calibration_of_arviz(extended: CapabilityFit) -> None:
    azp.plot_ppc_pit(extended.tree)
    azp.plot_ppc_pit(extended.tree, var_names="task_score", coverage=True)
    plt.close("all")


def test_prior_beside_posterior(extended: CapabilityFit, made_fit: CapabilityFit) -> None:
    prior = extended.tree["prior"].to_dataset()
    assert set(prior) == set(made_fit.draws)
    for name, value in prior.items():
        assert value.dims == made_fit.draws[name].dims
    azp.plot_prior_posterior(extended.tree, var_names=["slope_mean", "share_sd"])
    plt.close("all")


def test_an_extended_fit_is_saved_and_read_like_any_other(
    extended: CapabilityFit, made_fit: CapabilityFit, tmp_path: Path
) -> None:
    again = open_fit(extended.save(tmp_path / "fit.nc"))
    assert set(again.tree.children) == set(extended.tree.children)
    assert "log_likelihood" not in made_fit.tree.children  # the fit itself is as it was
    assert made_fit.tree["observed_data"]["benchmark_score"].dims == ("model", "benchmark")
    assert diagnose(again).verdict == diagnose(made_fit).verdict


def test_an_unknown_predictor_set_is_named(made_fit: CapabilityFit) -> None:
    assert set(made_fit.extended(log_likelihood=True, predictors="all").tree.children) >= {"log_likelihood"}
    with pytest.raises(InputError, match="no predictor set 'without tea': choose among all"):
        made_fit.extended(predictors="without tea")


def test_draws_from_the_prior_have_the_priors_quantiles(simulation, tiny_spec: CapabilitySpec) -> None:
    tree = prior_predictive(simulation.table, ["task-0", "task-1"], tiny_spec, draws=400, seed=1)
    prior, scores = tree["prior"].to_dataset(), tree["prior_predictive"].to_dataset()
    for name, field in (("slope_mean", "slope_mean"), ("share_sd", "share_sd"), ("steepness_median", "steepness")):
        values = prior[name].isel(chain=0).to_numpy().reshape(400, -1)[:, 0]
        assert stats.kstest(values, getattr(tiny_spec.priors, field).scipy().cdf).pvalue > 1e-5
    free = prior["loading"].sel(benchmark="bench-3", factor="bench-0")[0]
    assert stats.kstest(free, tiny_spec.priors.loading.scipy().cdf).pvalue > 1e-5
    assert (prior["loading"].sel(benchmark="bench-0", factor="bench-0") == 1.0).all()
    assert scores["benchmark_score"].dims == ("chain", "draw", "model", "benchmark")
    assert scores["task_score"].dims == ("chain", "draw", "model", "task")
    assert np.isfinite(scores["task_score"]).all()  # of every model, seen or not
    assert scores.min().to_array().min() >= 0 and scores.max().to_array().max() <= 1


def test_prior_scores_depend_on_the_seed_and_on_no_score(simulation, tiny_spec: CapabilitySpec) -> None:
    table = simulation.table
    other = ScoreTable(table.models, table.benchmarks, table.scores.assign(score=0.5))
    first, again, third = (
        prior_predictive(data, ["task-0", "task-1"], tiny_spec, draws=3, seed=seed)["prior_predictive"]["task_score"]
        for data, seed in ((table, 1), (other, 1), (table, 2))
    )
    np.testing.assert_array_equal(first, again)
    assert (first != third).any()


def test_what_cannot_be_drawn_from_the_prior(simulation) -> None:
    with pytest.raises(InputError, match="No task"):
        prior_predictive(simulation.table, [])
    with pytest.raises(InputError, match="0 draws"):
        prior_predictive(simulation.table, "task-0", draws=0)
