"""Unknown FLOPs: the table of a known posterior, and the check by hiding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayes_obscaling.analyses.latent_compute import check_latent_compute, latent_compute
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability import COMPUTE_CENTRE


@pytest.fixture(scope="module")
def unknown(tiny_fit):
    """The tiny fit as if the FLOPs of two models were unknown, with a posterior that is known."""
    models = tiny_fit.table.models
    models.loc[["family-0-1", "family-5-0"], "flops"] = np.nan
    table = ScoreTable(models, tiny_fit.table.benchmarks, tiny_fit.table.scores)
    posterior = tiny_fit.posterior.copy(deep=True)
    compute = posterior["posterior"]["compute"]
    unit = np.random.default_rng(0).standard_normal(compute.shape[:3])
    compute.loc[{"model": "family-0-1"}] = 23.0 - COMPUTE_CENTRE + 0.25 * unit
    return dataclasses.replace(tiny_fit, table=table, posterior=posterior)


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


def test_nothing_unknown_and_impossible_folds_are_refused(tiny_fit):
    with pytest.raises(InputError, match="FLOPs of every model are known"):
        latent_compute(tiny_fit)
    with pytest.raises(InputError, match="7 folds of 6 families"):
        check_latent_compute(tiny_fit.table, folds=7, whole_families=True)


@pytest.mark.slow
def test_hidden_flops_are_found_again(simulation, tiny_spec, cache_folder):
    """Data from the model itself: the intervals hold what they promise, and beat the prior by far."""
    told = []
    found = check_latent_compute(
        simulation.table, folds=2, spec=tiny_spec, chains=2, draws=100, cache=cache_folder,
        progress=lambda *a: told.append(a),
    )  # fmt: skip
    assert sorted(found.table["model"]) == sorted(simulation.table.models.index)
    every = found.parts["coverage"].set_index("models").loc["all"]
    assert every["n"] == 24
    assert every["coverage_90"] > 0.75 and every["coverage_50"] < 0.8
    assert every["mean_abs_error"] < 0.6 * every["prior_abs_error"]
    truth = simulation.table.models["flops"]
    np.testing.assert_allclose(found.table["flops"], truth[found.table["model"]], rtol=1e-9)
    assert any(label.startswith("fold 2 of 2") for label, _, _ in told)
    ax = found.plot()
    assert ax.get_xscale() == ax.get_yscale() == "log"
