"""The subject of calibration for sparse tables: what is drawn is what the numpyro model believes, and all of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from synthetic import trace_of

from bayes_obscaling.models import capability as model
from bayes_obscaling.models.priors import Priors
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.models.trace import sites_of
from bayes_obscaling.validation.ranks import Subject
from bayes_obscaling.validation.sparse_subject import reduced_layout, sparse_subject
from bayes_obscaling.validation.subjects import SUBJECTS

SPEC = CapabilitySpec.frontier()
# Names under which the model's other parts have priors: dense tables, and task heads.
ELSEWHERE = {
    "ratio_worth",
    "unknown_ratio",
    "intercept_mean",
    "curvature",
    "unknown_compute",
    "loading",
    "signed_loading",
    "difficulty",
    "ceiling_gap",
}
ELSEWHERE |= {
    "overdispersion",
    "family_offset_sd",
    "share_mean",
    "share_sd",
    "contrast_sd",
    "steepness",
    "steepness_sd",
}


@pytest.fixture(scope="module")
def subject() -> Subject:
    return sparse_subject()


def test_the_reduced_table_is_still_a_frontier_table():
    layout = reduced_layout()
    data = layout.measurements[0]
    assert (len(layout.models), len(layout.benchmarks), layout.factors) == (60, 25, SPEC.anchors)
    assert layout.structure.compute_trend and 20 < len(layout.structure.unknown_compute) < 50
    assert (np.asarray(data.cells.effort) < 0).any() and (np.asarray(data.cells.reasoning) < 0).any()
    unseen = np.asarray(data.cells.model)[~np.asarray(data.cells.seen)]
    assert (
        len(np.unique(unseen)) == 4
        and not np.isin(np.asarray(data.cells.model)[np.asarray(data.cells.seen)], unseen).any()
    )


def test_every_prior_of_the_sparse_model_is_ranked(subject: Subject):
    assert SUBJECTS["sparse"]().belief == subject.belief
    of_part = {"label_errors": "ceiling_gap"}
    believed = {n for n in Priors.model_fields if n not in {*ELSEWHERE, "chance"} and not n.startswith("task_")}
    assert {of_part.get(name, name) for name in believed} <= set(subject.ranked)
    assert {"hidden_score", "secret_compute", "newcomer", "log_likelihood", "loading", "difficulty"} <= set(
        subject.ranked
    )
    truth, _ = subject.simulate(np.random.default_rng(1))
    assert set(subject.ranked) <= set(truth)


def test_what_is_drawn_has_the_likelihood_that_the_model_gives_it(subject: Subject):
    layout = reduced_layout()
    truth, (data, _) = subject.simulate(np.random.default_rng(0))
    names = sites_of(model.measurement, data, SPEC.priors, layout.structure)
    known = {name: truth[name] for name in names if name in truth}
    trace = trace_of(model.measurement, 0, data, SPEC.priors, layout.structure, **known)
    density = np.asarray(trace["cell_score"]["fn"].log_prob(data.cells.score)).sum()
    np.testing.assert_allclose(density, truth["log_likelihood"], rtol=1e-9)
    # published compute scatters around the true one as the model says, and so does the middle that it makes
    site = trace["published_compute"]["fn"]
    published = np.delete(np.arange(60), layout.structure.unknown_compute)
    unit = (np.asarray(data.covariates.compute) - truth["compute"])[published] / np.asarray(site.base_dist.scale)[
        published
    ]
    assert stats.kstest(unit, "norm").pvalue > 1e-3
    del known["intercept_mean"], known["compute_level"]
    again = trace_of(model.measurement, 0, data, SPEC.priors, layout.structure, **known)
    for name in ("intercept_mean", "compute_level"):
        np.testing.assert_allclose(again[name]["value"], truth[name], rtol=1e-9)


def test_what_is_derived_of_draws_is_what_is_drawn_as_truth(subject: Subject):
    """Draws that all equal the truth have its likelihood, and its hidden scores are one of their new evaluations."""
    rng = np.random.default_rng(2)
    truth, data = subject.simulate(rng)
    draws = {name: np.tile(value, (300, *[1] * np.ndim(value))) for name, value in truth.items()}
    derived = subject.derive(draws, data, rng)
    np.testing.assert_allclose(derived["log_likelihood"], truth["log_likelihood"], rtol=1e-9)
    np.testing.assert_array_equal(derived["secret_compute"][0], truth["secret_compute"])
    assert derived["newcomer"].shape == (300, 2) and derived["hidden_score"].shape == (
        300,
        *truth["hidden_score"].shape,
    )
    rank = (derived["hidden_score"] < truth["hidden_score"]).mean(axis=0)
    assert stats.kstest(rank, "uniform").pvalue > 1e-3
    shapes = jax.tree.map(jnp.shape, data), jax.tree.map(jnp.shape, subject.simulate(rng)[1])
    assert shapes[0] == shapes[1]
