from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayes_obscaling.models.links import inverse_response, response, response_slope, score_variance

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


@settings(deadline=None, max_examples=60)
@given(st.floats(-30.0, 30.0), CHANCE, GAP)
def test_the_slope_of_the_response_is_that_of_a_logistic(eta: float, chance: float, gap: float):
    """In closed form ``(1 - c)(1 - up) s (1 - s)``, and by central differences."""
    score, slope = response_slope(eta, chance, gap)
    s = 1.0 / (1.0 + np.exp(-eta))
    rise = (1.0 - chance) * (1.0 - gap)
    assert float(score) == float(response(eta, chance, gap))
    assert float(slope) == pytest.approx(rise * s * (1.0 - s), rel=1e-9, abs=1e-15)
    step = 1e-4
    difference = (response(eta + step, chance, gap) - response(eta - step, chance, gap)) / (2 * step)
    assert float(slope) == pytest.approx(float(difference), abs=1e-8)


def test_the_slope_of_the_response_broadcasts():
    eta, chance, gap = np.linspace(-3.0, 3.0, 12).reshape(3, 4), np.array([0.0, 0.25, 0.5, 0.1]), np.full((3, 1), 0.1)
    score, slope = response_slope(eta, chance, gap)
    assert score.shape == slope.shape == (3, 4)
    assert float(slope[1, 2]) == pytest.approx(float(response_slope(eta[1, 2], 0.5, 0.1)[1]), rel=1e-12)
    assert float(response_slope(0.0, 0.2, 0.5)[1]) == pytest.approx(0.8 * 0.5 / 4)
