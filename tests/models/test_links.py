from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayes_obscaling.models.capability import capability_curve
from bayes_obscaling.models.links import inverse_response, response, score_variance

CHANCE = st.floats(0.0, 0.95, allow_subnormal=False)  # XLA rounds subnormal numbers to 0
GAP = st.floats(0.0, 0.99, allow_subnormal=False)


@settings(deadline=None, max_examples=60)
@given(st.floats(-8.0, 8.0), CHANCE, GAP)
def test_inverse_response_undoes_response(eta: float, chance: float, gap: float):
    assert float(inverse_response(response(eta, chance, gap), chance, gap)) == pytest.approx(eta, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.floats(-1e6, 1e6), CHANCE, GAP)
def test_response_stays_between_chance_and_ceiling(eta: float, chance: float, gap: float):
    p = float(response(eta, chance, gap))
    assert chance <= p <= 1.0
    assert p <= chance + (1 - chance) * (1 - gap) + 1e-12
    assert float(response(eta + 1.0, chance, gap)) >= p


def test_response_by_hand_and_at_its_ends():
    assert float(response(0.0, 0.25, 0.2)) == pytest.approx(0.25 + 0.75 * 0.8 / 2)
    assert float(response(-1e3, 0.25, 0.2)) == pytest.approx(0.25)
    assert float(response(1e3, 0.25, 0.2)) == pytest.approx(0.85)
    assert float(response(np.log(3.0), 0.5, 0.0)) == pytest.approx(0.5 + 0.5 * 0.75)


def test_scores_beyond_floor_and_ceiling_have_a_finite_inverse():
    low, high = (float(inverse_response(score, 0.25, 0.1)) for score in (0.1, 0.99))
    assert low == pytest.approx(-high)
    assert low == pytest.approx(np.log(1e-4), abs=1e-3)
    assert float(response(low, 0.25, 0.1)) == pytest.approx(0.25, abs=1e-4)


def test_score_variance_by_hand():
    assert float(score_variance(0.3, 1 / 100, 0.1, 0.02)) == pytest.approx(0.21 * (0.01 + 0.01) + 0.0004)
    assert float(score_variance(0.0, 1 / 100, 0.1, 0.02)) == pytest.approx(0.0004)  # nothing left but the floor
    assert float(score_variance(0.5, 0.0, 0.0, 0.0)) == 0.0


def test_log_linear_law():
    x = jnp.linspace(-2.0, 3.0, 11)
    np.testing.assert_allclose(capability_curve(0.5, 1.2, 0.0, x), 0.5 + 1.2 * x, rtol=1e-12)


@pytest.mark.parametrize("h", [-0.6, -0.05, 0.02, 0.7])
def test_curved_law_matches_its_formula(h: float):
    x = np.linspace(-2.0, 3.0, 11)
    expected = 0.5 + 1.2 * (1 - np.exp(-h * x)) / h
    np.testing.assert_allclose(capability_curve(0.5, 1.2, h, x), expected, rtol=1e-10)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_curved_law_and_its_gradient_are_continuous_at_the_linear_one(sign: float):
    """The series takes over from the formula below |h| = 1e-4: no jump there, no NaN gradient at 0."""
    x = jnp.linspace(-2.0, 3.0, 7)
    inside, outside = (capability_curve(0.0, 1.0, sign * h, x) for h in (0.99e-4, 1.01e-4))
    np.testing.assert_allclose(inside, outside, atol=2e-5)
    slope = jax.vmap(jax.grad(lambda h, x: capability_curve(0.0, 1.0, h, x)), in_axes=(None, 0))
    for h in (0.0, sign * 0.99e-4, sign * 1.01e-4):
        np.testing.assert_allclose(slope(h, x), -(x**2) / 2, atol=2e-3)
