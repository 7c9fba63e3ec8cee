"""Factors: the published digits, and ours by hand at a single draw."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.analyses.factors import before_cutoffs, compare_factors, factors, published_components
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.plots.capability import plot_factors
from bayes_obscaling.results.fit import Fit


def at_one_draw(fit: Fit) -> Fit:
    """The fit with a single draw: every quantile is its value."""
    return dataclasses.replace(fit, posterior=fit.posterior.isel(chain=[1], draw=[17]))


@pytest.fixture(scope="module")
def one(tiny_fit):
    return at_one_draw(tiny_fit)


def test_components_of_the_paper(paper):
    share = published_components(paper)
    assert share.head(3).round(3).tolist() == [0.802, 0.119, 0.046]
    assert share.sum() == pytest.approx(1)


def test_loadings_are_recovered_and_anchors_fixed(tiny_fit, simulation):
    table = factors(tiny_fit).table
    wide = table.pivot(index="benchmark", columns="factor", values="median")
    assert wide.loc["bench-0"].tolist() == [1, 0] and wide.loc["bench-1"].tolist() == [0, 1]
    assert (table.loc[table["benchmark"].isin(["bench-0", "bench-1"]), "identified"] == "fixed (anchor)").all()
    free = table[table["identified"] == "at least 0"]
    truth = simulation.truth["loading"][2:].ravel()
    assert (free["q5"] >= 0).all()
    slack = free["q95"] - free["q5"]
    inside = (truth > free["q5"] - slack / 2) & (truth < free["q95"] + slack / 2)
    assert inside.sum() >= len(free) - 1


def test_components_and_shares_are_those_of_the_draw(one):
    found = factors(one)
    draw = one.draws.isel(chain=0, draw=0)
    labels = [str(p) for p in draw["predictors"].to_numpy()]
    draw = draw.isel(predictors=labels.index("all"))
    family = one.table.models["family"].to_list()
    offset = draw["family_offset"].sel(family=family).to_numpy()
    theta, loading = draw["theta"].to_numpy(), draw["loading"].to_numpy()
    eta = theta @ loading.T + draw["difficulty"].to_numpy() + offset
    chance = one.table.benchmarks.loc[draw["benchmark"].to_numpy(), "chance"].to_numpy()
    expected = chance + (1 - chance) * (1 - draw["ceiling_gap"].to_numpy()) / (1 + np.exp(-eta))
    values = np.linalg.svd(expected - expected.mean(axis=0), compute_uv=False) ** 2
    np.testing.assert_allclose(found.parts["variance"]["median"], values / values.sum(), rtol=1e-6, atol=1e-12)

    shares = found.parts["shares"].pivot(index="benchmark", columns="source", values="median")
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-9)
    by_hand = np.cov(theta[:, 0] * loading[3, 0], eta[:, 3])
    assert shares.loc["bench-3", "bench-0"] == pytest.approx(by_hand[0, 1] / by_hand[1, 1])
    assert found.parts["needed"]["probability"].sum() == pytest.approx(1)


def test_task_weights_say_on_benchmarks_what_the_head_reads(one):
    rows = factors(one).parts["tasks"]
    draw = one.draws.isel(chain=0, draw=0, predictors=0)
    for task in one.tasks:
        mine = rows[rows["task"] == task].set_index("benchmark")["median"]
        logits = draw["theta"].to_numpy() @ draw["loading"].sel(benchmark=list(mine.index)).to_numpy().T
        read = (logits / logits.std(axis=0)) @ mine.to_numpy()
        seen = one.posterior["observed_data"]["reference"].to_numpy() == 1
        theta = draw["theta"].to_numpy()
        z = (theta - theta[seen].mean(axis=0)) / np.sqrt(theta[seen].var(axis=0) + 0.1**2)
        head = z @ draw["weight"].sel(task=task).to_numpy()
        np.testing.assert_allclose(read - read.mean(), head - head.mean(), atol=1e-8)


def test_a_choice_sees_nothing_that_the_published_setups_hold_out(paper):
    early = before_cutoffs(paper)
    assert early.models["flops"].max() == 8.4e22 and early.models["flops"].notna().all()
    arithmetic = early.matrix(["arithmetic_3ds"]).dropna().index
    assert early.models.loc[arithmetic, "flops"].max() <= 2.2e22 * (1 + 1e-9)
    assert early.matrix(["parsinlu_qa"]).dropna().index.isin(paper.matrix(["parsinlu_qa"]).dropna().index).all()
    assert len(early.matrix(["MMLU"]).dropna()) == 47


@pytest.mark.parametrize("counts", [[], [9]])
def test_impossible_counts_are_refused(paper, counts):
    with pytest.raises(InputError):
        compare_factors(paper, counts, future=False)


@pytest.mark.slow
def test_two_factors_are_chosen_where_there_are_two(simulate, tiny_spec, cache_folder):
    made = simulate(3, tiny_spec, n_families=6, per_family=5, n_benchmarks=6, n_tasks=1)
    facts = made.table.benchmarks
    facts.loc[made.table.task_names, "cutoff_flops"] = 10**24.3  # above all models: one measurement for all
    table = ScoreTable(made.table.models, facts, made.table.scores)
    found = compare_factors(table, [1, 2], spec=tiny_spec, chains=2, draws=100, seed=1, cache=cache_folder)
    one, two = found.table.set_index("factors")["elpd"]
    assert two - one > 10
    assert found.table["difference"].max() == 0 and found.table["se"].iloc[0] > 0
    assert found.table["crps"].between(0, 0.3).all() and found.table["cells"].nunique() == 1
    assert found.table["crps_difference"].min() == 0  # the best one's own
    np.testing.assert_allclose(
        found.table["crps_difference"], found.table["crps"] - found.table["crps"].min(), atol=1e-9
    )


def test_the_plot_holds_every_loading(tiny_fit):
    found = factors(tiny_fit)
    ax = found.plot()
    drawn = np.concatenate([line.get_xdata() for line in ax.lines if line.get_marker() != "None"])
    assert sorted(drawn) == pytest.approx(sorted(found.table["median"]))
    weights = plot_factors(found, tasks=True)
    drawn = np.concatenate([line.get_xdata() for line in weights.lines if line.get_marker() != "None"])
    assert sorted(drawn) == pytest.approx(sorted(found.parts["tasks"]["median"]))
    with pytest.raises(InputError, match="no task"):
        plot_factors(dataclasses.replace(found, parts={"variance": pd.DataFrame()}), tasks=True)
