"""Factors: the published digits, and ours by hand at a single draw."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.analyses.factors import factors, published_components
from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import plot_factors


@pytest.fixture(scope="module")
def one(made_fit):
    """The fit with a single draw: every quantile is its value."""
    return dataclasses.replace(made_fit, tree=made_fit.tree.isel(chain=[1], draw=[17]))


def test_components_of_the_paper(paper):
    share = published_components(paper)
    assert share.head(3).round(3).tolist() == [0.802, 0.119, 0.046]
    assert share.sum() == pytest.approx(1)


def test_loadings_are_recovered_and_anchors_fixed(made_fit, simulation):
    table = factors(made_fit).table
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
        seen = one.layout.reference == 1
        theta = draw["theta"].to_numpy()
        z = (theta - theta[seen].mean(axis=0)) / np.sqrt(theta[seen].var(axis=0) + 0.1**2)
        head = z @ draw["weight"].sel(task=task).to_numpy()
        np.testing.assert_allclose(read - read.mean(), head - head.mean(), atol=1e-8)


def test_the_plot_holds_every_loading(made_fit):
    found = factors(made_fit)
    ax = found.plot()
    drawn = np.concatenate([line.get_xdata() for line in ax.lines if line.get_marker() != "None"])
    assert sorted(drawn) == pytest.approx(sorted(found.table["median"]))
    weights = plot_factors(found, tasks=True)
    drawn = np.concatenate([line.get_xdata() for line in weights.lines if line.get_marker() != "None"])
    assert sorted(drawn) == pytest.approx(sorted(found.parts["tasks"]["median"]))
    with pytest.raises(InputError, match="no task"):
        plot_factors(dataclasses.replace(found, parts={"variance": pd.DataFrame()}), tasks=True)
