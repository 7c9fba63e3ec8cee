"""Frames: coordinates in which a posterior is round."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayes_obscaling.inference.frames import Frame, at_mode, prober
from bayes_obscaling.inference.sampler import Model, Nuts, Target
from bayes_obscaling.results.stages import Settings

MEAN = np.array([3.0, -1.0, 0.0, 20.0])
ROOT = np.array([[0.8, 0, 0, 0], [0.7, 0.1, 0, 0], [-0.4, 0.3, 0.02, 0], [0.0, 0.0, 0.1, 0.3]])


def test_the_mode_of_a_gaussian_is_its_mean_and_its_frame_has_its_covariance():
    covariance = ROOT @ ROOT.T
    probe = jax.jit(prober(lambda x: 0.5 * (x - MEAN) @ jnp.linalg.solve(covariance, x - MEAN)))
    frame = at_mode(probe, np.array([100.0, 100.0, -50.0, 0.0]))
    np.testing.assert_allclose(frame.centre, MEAN, atol=1e-2)
    np.testing.assert_allclose(frame.root @ frame.root.T, covariance, atol=1e-3)


def test_steps_to_a_mode_go_down_where_curvature_is_negative():
    probe = jax.jit(prober(lambda x: (jnp.log1p((x - 2.0) ** 2 * jnp.array([1.0, 100.0]))).sum() * 50.0))
    frame = at_mode(probe, np.array([30.0, -30.0]))
    np.testing.assert_allclose(frame.centre, 2.0, atol=0.2)


def test_draws_mend_a_frame_and_what_is_between_chains_does_not():
    rng = np.random.default_rng(0)
    units = rng.standard_normal((3, 3000, 4))
    away = 1000.0 * np.arange(3)[:, None, None]  # a chain in another mode
    frame = Frame(np.zeros(4), ROOT * np.array([1.5, 1.0, 0.7, 2.0])).mended(MEAN + away + units @ ROOT.T)
    round_ = np.linalg.solve(frame.root, ROOT)
    np.testing.assert_allclose(round_ @ round_.T, np.eye(4), atol=0.1)
    np.testing.assert_allclose(frame.coordinates(frame.position(np.arange(4.0))), np.arange(4.0), atol=1e-8)


def test_few_draws_leave_a_frame_as_it_was():
    d = 60
    few = np.random.default_rng(1).standard_normal((1, 20, d))  # fewer than dimensions
    frame = Frame(np.zeros(d), np.eye(d)).mended(few)
    assert np.abs(frame.root - np.eye(d)).max() < 0.2


@pytest.mark.parametrize("chains", [1, 4])
def test_a_narrow_valley_is_sampled_after_a_short_warm_up(chains: int):
    """Standard deviations from 0.001 to 1 in turned directions, and draws come back in their own coordinates."""
    rng = np.random.default_rng(2)
    turn, _ = np.linalg.qr(rng.standard_normal((12, 12)))
    scale = np.geomspace(1e-3, 1.0, 12)
    root = turn * scale

    def valley(fixed: jax.Array, _: None) -> None:
        numpyro.sample("x", dist.MultivariateNormal(jnp.arange(12.0), scale_tril=fixed))

    fixed = jnp.asarray(np.linalg.cholesky(root @ root.T))
    target = Target(Model(valley), fixed, None, lambda chain: {"x": np.full(12, 5.0 + chain)})
    running = Nuts().start(target, Settings(warmup=150, target_accept=0.8, dense=True), chains, jax.random.key(0))
    draws = running.advance(1000, lambda _: None)
    z = np.linalg.solve(root, (draws.position - np.arange(12.0)).reshape(-1, 12).T).T
    slack = 5.0 / np.sqrt(0.3 * len(z))
    assert np.abs(z.mean(axis=0)).max() < slack and np.abs(np.cov(z.T) - np.eye(12)).max() < 1.5 * slack
    assert draws.diverging.sum() == 0 and draws.steps.mean() < 20  # a diagonal metric needs hundreds
