"""Offsets of families, sampled where the scores put them: against the density of Equation 6 and its quadrature."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from scipy import stats

from bayes_obscaling.models.capability_equations import (
    BENCHMARK_FLOOR_SD,
    Covariates,
    Measurements,
    benchmark_predictor,
    expected_benchmarks,
)
from bayes_obscaling.models.links import response, score_variance
from bayes_obscaling.models.offsets import Whitened, whitened_offset

# Families of one model, two and four, and one without models; three benchmarks, the last hardly above chance.
FAMILY = np.array([0, 1, 3, 1, 3, 3, 3])
FAMILIES = 4
RNG = np.random.default_rng(0)
THETA = RNG.normal(0.3, 0.8, (7, 2))
P: dict[str, Any] = {
    "loading": np.array([[1.0, 0.0], [0.4, 0.7], [0.1, 0.1]]),
    "difficulty": np.array([0.0, -0.3, -4.0]),
    "ceiling_gap": np.array([0.0, 0.02, 0.01]),
    "asymmetry": np.array([1.0, 0.7, 1.2]),
    "overdispersion": np.array([0.05, 0.2, 0.1]),
    "family_offset_sd": np.array([0.15, 0.1, 0.3]),
}
CHANCE = np.array([0.25, 0.0, 0.25])
SEEN = RNG.random((7, 3)) < 0.8


def measurements(score: np.ndarray) -> Measurements:
    items = np.full((7, 3), 1e-3)
    arrays = (jnp.asarray(a) for a in (score, SEEN, items, CHANCE, FAMILY))
    return Measurements(*arrays, Covariates(np.zeros(7)))


def scored() -> np.ndarray:
    """Scores drawn from Equations 6 to 8."""
    rng = np.random.default_rng(1)
    offset = P["family_offset_sd"] * rng.standard_normal((FAMILIES, 3))
    p = np.asarray(expected_benchmarks(P, THETA, offset[FAMILY], CHANCE))
    sd = np.sqrt(np.asarray(score_variance(p, 1e-3, P["overdispersion"], BENCHMARK_FLOOR_SD)))
    return p + sd * rng.standard_normal(p.shape)


def law_of(score: np.ndarray) -> tuple[Whitened, np.ndarray]:
    """The distribution that coordinates are sampled from, and offsets at coordinates of one half."""
    model = handlers.substitute(
        lambda: whitened_offset(P, jnp.asarray(THETA), measurements(score), FAMILIES),
        data={"family_offset_raw": jnp.full((FAMILIES, 3), 0.5)},
    )
    trace = handlers.trace(handlers.seed(model, 0)).get_trace()
    law = trace["family_offset_raw"]["fn"]
    assert isinstance(law, Whitened)
    return law, np.asarray(trace["family_offset"]["value"])


def test_density_is_that_of_the_offsets():
    """Equation 6, at the offsets that coordinates say, with the size of the change of them."""
    law, offset = law_of(scored())
    unit = jnp.full((FAMILIES, 3), 0.5)
    stretch = jax.jacfwd(lambda flat: law.value(flat.reshape(unit.shape)).ravel())(unit.ravel())
    there = float(law.log_prob(unit).sum()) - np.linalg.slogdet(stretch)[1]
    here = stats.norm.logpdf(offset, 0.0, P["family_offset_sd"]).sum()
    np.testing.assert_allclose(there, here, rtol=1e-10)


def test_coordinates_are_nearly_standard_normal_given_the_scores():
    """The posterior of every offset, by quadrature, is where `middle` and `spread` say."""
    score = scored()
    law, _ = law_of(score)
    grid = np.linspace(-1.5, 1.5, 3001)
    eta = np.asarray(benchmark_predictor(P, THETA))
    for f, i in np.ndindex(FAMILIES, 3):
        density = stats.norm.logpdf(grid, 0.0, P["family_offset_sd"][i])
        for m in np.flatnonzero((f == FAMILY) & SEEN[:, i]):
            shape = (CHANCE[i], P["ceiling_gap"][i], P["asymmetry"][i])
            p = np.asarray(response(eta[m, i] + grid, *shape))
            variance = np.asarray(score_variance(p, 1e-3, P["overdispersion"][i], BENCHMARK_FLOOR_SD))
            density = density + stats.norm.logpdf(score[m, i], p, np.sqrt(variance))
        weight = np.exp(density - density.max())
        weight /= weight.sum()
        mean = weight @ grid
        sd = np.sqrt(weight @ (grid - mean) ** 2)
        assert abs(mean - float(law.middle[f, i])) < 0.3 * sd
        assert 0.85 < float(law.spread[f, i]) / sd < 1.15


def test_without_scores_an_offset_has_its_prior():
    law, _ = law_of(scored())
    np.testing.assert_array_equal(law.middle[2], 0.0)
    np.testing.assert_allclose(law.spread[2], P["family_offset_sd"], rtol=1e-12)


def test_a_score_that_is_not_seen_changes_nothing():
    score = scored()
    other = np.where(SEEN, score, 0.999)
    assert not SEEN.all()
    law, changed = law_of(score)[0], law_of(other)[0]
    np.testing.assert_array_equal(law.middle, changed.middle)
    np.testing.assert_array_equal(law.spread, changed.spread)
    seen = score.copy()
    seen[tuple(np.argwhere(SEEN)[0])] += 0.1
    assert not np.array_equal(law_of(seen)[0].middle, law.middle)


@pytest.mark.parametrize("shape", [(), (5000,)])
def test_draws_are_those_of_the_prior(shape: tuple[int, ...]):
    law, _ = law_of(scored())
    drawn = law.value(law.sample(jax.random.key(0), shape))
    assert drawn.shape == (*shape, FAMILIES, 3)
    if shape:
        np.testing.assert_allclose(drawn.std(axis=0) / P["family_offset_sd"], 1.0, atol=0.05)
