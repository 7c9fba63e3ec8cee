"""Slopes are the derivatives of their curves, and draws made of normal ones follow the prior."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayes_obscaling.models.capability_equations import Covariates, expected_tasks, line, line_slope, task_slopes
from bayes_obscaling.models.priors import Beta, HalfNormal, LogNormal, Normal, Prior

STEP = 1e-6


@pytest.mark.parametrize("curvature", [None, 0.0, 1e-5, 0.3, -0.4])
def test_the_slope_of_a_line_is_its_derivative(curvature: float | None):
    rng = np.random.default_rng(0)
    p = {"intercept": rng.normal(size=(5, 4, 2)), "slope": rng.normal(size=(5, 4, 2))}
    if curvature is not None:
        p["curvature"] = np.full((5, 2), curvature)
    x = rng.normal(size=4)
    rise = np.asarray(line(p, Covariates(x + STEP)) - line(p, Covariates(x - STEP))) / (2 * STEP)
    np.testing.assert_allclose(line_slope(p, Covariates(x)), rise, atol=1e-8)


def test_the_slope_of_a_task_is_the_derivative_in_its_linear_predictor():
    rng = np.random.default_rng(1)
    p = {"weight": rng.normal(size=(5, 3, 2)), "task_difficulty": rng.normal(size=(5, 3))}
    p["task_ceiling_gap"] = rng.uniform(0, 0.2, (5, 3))
    z, offset, chance = rng.normal(size=(5, 4, 3, 2)), rng.normal(size=(5, 4, 3)), np.array([0.0, 0.25, 0.5])
    score, slope = task_slopes(p, z, offset, chance)
    np.testing.assert_allclose(score, expected_tasks(p, z, offset, chance), atol=1e-14)
    above, below = (expected_tasks(p, z, offset + sign * STEP, chance) for sign in (1, -1))
    np.testing.assert_allclose(slope, np.asarray(above - below) / (2 * STEP), atol=1e-8)


@pytest.mark.parametrize(
    "prior",
    [Normal(loc=-1, scale=2), LogNormal(median=0.3, log_sd=0.5), HalfNormal(scale=0.7), Beta(a=2, b=5)],
    ids=lambda prior: type(prior).__name__,
)
def test_draws_made_of_normal_ones_follow_the_prior(prior: Prior):
    unit = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    draws = prior.from_normal(unit)
    assert stats.kstest(draws, prior.scipy().cdf).statistic < 2e-3
