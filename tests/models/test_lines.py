"""Lines of families integrated out of the capabilities, and put back: against matrices written out."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg, stats

from bayes_obscaling.models.lines import HalfWay, Scatter

# One model, two, four of one compute each, and a family without models; two factors.
FAMILY = jnp.array([1, 0, 3, 1, 3, 3, 3])
FAMILIES = 4
RNG = np.random.default_rng(0)
SDS = {
    "intercept_sd": jnp.array([0.5, 1.3]),
    "slope_sd": jnp.array([0.2, 0.1]),
    "residual_sd": jnp.array([0.1, 0.7]),
}
MEAN = jnp.asarray(RNG.standard_normal((7, 2)))
EXACT: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-11}


@pytest.fixture(params=[1, 2], ids=["one compute", "a compute for each factor"])
def scatter(request: pytest.FixtureRequest) -> Scatter:
    return Scatter.of(SDS, jnp.asarray(np.random.default_rng(1).normal(0.0, 1.5, (7, request.param))), FAMILY, FAMILIES)


def covariance(scatter: Scatter, k: int) -> np.ndarray:
    """Covariance (M, M) of the capabilities around the population's line."""
    x = np.broadcast_to(np.asarray(scatter.compute), (7, 2))[:, k]
    together = np.asarray(FAMILY)[:, None] == np.asarray(FAMILY)
    lines = scatter.intercept_sd[k] ** 2 + scatter.slope_sd[k] ** 2 * np.outer(x, x)
    return np.asarray(together * lines + np.eye(7) * scatter.sd[k] ** 2)


def test_half_way_is_the_fourth_root_of_the_covariance(scatter: Scatter):
    y = jnp.asarray(RNG.standard_normal((7, 2)))
    for k in range(2):
        root = linalg.sqrtm(linalg.sqrtm(covariance(scatter, k)))
        np.testing.assert_allclose(scatter.half(y)[:, k], root @ y[:, k], **EXACT)
        log_det = np.linalg.slogdet(root)[1]
        np.testing.assert_allclose(scatter.log_det_half()[jnp.array([0, 1, 3]), k].sum(), log_det, **EXACT)
    np.testing.assert_allclose(scatter.half_inverse(scatter.half(y)), y, **EXACT)


def test_density_is_that_of_capabilities_and_lines(scatter: Scatter):
    """Equations 2 and 4, at capabilities and lines that the coordinates say, with the size of the change of them."""
    shapes = ((7, 2), (FAMILIES, 2), (FAMILIES, 2))
    sizes = [int(np.prod(shape)) for shape in shapes]
    place = jnp.asarray(np.random.default_rng(2).standard_normal(sum(sizes)))

    def parts(flat: jax.Array) -> list[jax.Array]:
        ends = np.cumsum(sizes)[:-1].tolist()
        return [part.reshape(shape) for part, shape in zip(jnp.split(flat, ends), shapes, strict=True)]

    def capabilities_and_lines(flat: jax.Array) -> jax.Array:
        raw, *unit = parts(flat)
        half = raw - 0.5 * MEAN
        return jnp.concatenate(
            [part.ravel() for part in (MEAN + scatter.half(half), *scatter.lines(half, tuple(unit)))]
        )

    raw, *unit = parts(place)
    there = HalfWay(MEAN, scatter).log_prob(raw).sum() + sum(stats.norm.logpdf(part).sum() for part in unit)
    there -= np.linalg.slogdet(jax.jacfwd(capabilities_and_lines)(place))[1]
    theta, intercept, slope = parts(capabilities_and_lines(place))
    typical = MEAN + intercept[FAMILY] + slope[FAMILY] * scatter.compute
    here = stats.norm.logpdf(theta, typical, SDS["residual_sd"]).sum()
    here += stats.norm.logpdf(intercept, 0.0, SDS["intercept_sd"]).sum()
    here += stats.norm.logpdf(slope, 0.0, SDS["slope_sd"]).sum()
    np.testing.assert_allclose(there, here, rtol=1e-9)


def test_draws_have_the_density(scatter: Scatter):
    """Capabilities of a family are as far off the population's line, and as alike, as the covariance says."""
    keys = jax.random.split(jax.random.key(0), 20_000)
    law = HalfWay(MEAN, scatter)
    off = np.asarray(jax.vmap(lambda key: scatter.half(law.sample(key) - 0.5 * MEAN))(keys))
    for k in range(2):
        expected = covariance(scatter, k)
        spread = np.sqrt(np.diag(expected))
        seen = off[:, :, k].T @ off[:, :, k] / len(off)
        np.testing.assert_allclose(seen / np.outer(spread, spread), expected / np.outer(spread, spread), atol=0.04)
