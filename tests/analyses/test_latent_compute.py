"""Unknown FLOPs: the table of a known posterior."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayes_obscaling.analyses.latent_compute import latent_compute
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import COMPUTE_CENTRE


@pytest.fixture(scope="module")
def unknown(made_fit):
    """The tiny fit as if the FLOPs of two models were unknown, with a posterior that is known."""
    models = made_fit.table.models
    models.loc[["family-0-1", "family-5-0"], "flops"] = np.nan
    table = ScoreTable(models, made_fit.table.benchmarks, made_fit.table.scores)
    tree = made_fit.tree.copy(deep=True)
    compute = tree["posterior"]["compute"]
    unit = np.random.default_rng(0).standard_normal(compute.shape[:3])
    compute.loc[{"model": "family-0-1"}] = 23.0 - COMPUTE_CENTRE + 0.25 * unit
    return dataclasses.replace(made_fit, table=table, tree=tree)


def test_the_posterior_is_summarised_in_flops(unknown):
    table = latent_compute(unknown).table.set_index("model")
    assert list(table.index) == ["family-0-1", "family-5-0"]
    row = table.loc["family-0-1"]
    assert np.log10(row["median"]) == pytest.approx(23.0, abs=0.05)
    assert np.log10(row["q95"] / row["q5"]) == pytest.approx(2 * 1.645 * 0.25, rel=0.15)
    assert row["learned"] == pytest.approx(1 - 0.25**2, abs=0.02)
    assert (row["siblings"], row["scores"]) == (3, 5)


def test_widening_stretches_about_the_median(unknown):
    plain, wide = (latent_compute(unknown, widen=w).table.iloc[0] for w in (1.0, 2.0))
    assert wide["median"] == pytest.approx(plain["median"], rel=0.02)
    assert np.log10(wide["q95"] / wide["q5"]) == pytest.approx(2 * np.log10(plain["q95"] / plain["q5"]), rel=0.02)
    with pytest.raises(InputError, match="widened"):
        latent_compute(unknown, widen=0)


def test_the_plot_has_a_row_a_model(unknown):
    ax = latent_compute(unknown).plot()
    assert {label.get_text() for label in ax.get_yticklabels()} == {"family-0-1", "family-5-0"}
    assert ax.get_xscale() == "log"


def test_nothing_unknown_is_refused(made_fit):
    with pytest.raises(InputError, match="FLOPs of every model are known"):
        latent_compute(made_fit)
