"""Coordinates that follow the scores: the density of Equations 2, 4 and 6, and what is normal given the scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro import handlers
from numpyro.infer.util import log_density
from scipy import stats

from bayes_obscaling.models.capability_equations import (
    BENCHMARK_FLOOR_SD,
    Covariates,
    Measurements,
    benchmark_predictor,
    expected_benchmarks,
)
from bayes_obscaling.models.links import response, score_variance
from bayes_obscaling.models.spec import Structure
from bayes_obscaling.models.whitened import (
    Suggested,
    Whitened,
    suggested_by_anchors,
    whitened,
    whitened_capabilities,
    whitened_lines,
    whitened_offset,
)

# Families of two models, one and four, and one without models; two factors; three benchmarks, the last hardly above
# chance.
FAMILY = np.array([1, 0, 3, 1, 3, 3, 3])
S = Structure(7, 4, 3, 0, 2, anchors=(0, 1), signed=(), no_ceiling=(), unknown_compute=(), compute_law="log-linear")
RNG = np.random.default_rng(0)
COMPUTE = RNG.normal(0.0, 1.5, 7)
THETA = RNG.normal(0.3, 0.8, (7, 2))
TYPICAL = RNG.normal(0.0, 1.0, (7, 2))
P: dict[str, Any] = {
    "intercept_mean": np.array([0.3, -1.0]),
    "intercept_sd": np.array([0.5, 1.3]),
    "slope_mean": np.array([0.6, 0.5]),
    "slope_sd": np.array([0.2, 0.1]),
    "residual_sd": np.array([0.1, 0.7]),
    "loading": np.array([[1.0, 0.0], [0.0, 1.0], [0.1, 0.1]]),
    "difficulty": np.array([0.0, 0.0, -4.0]),
    "ceiling_gap": np.array([0.0, 0.02, 0.01]),
    "asymmetry": np.array([1.0, 0.7, 1.2]),
    "overdispersion": np.array([0.05, 0.2, 0.1]),
    "family_offset_sd": np.array([0.15, 0.1, 0.3]),
}
CHANCE = np.array([0.25, 0.0, 0.25])
SEEN = np.random.default_rng(3).random((7, 3)) < 0.8
EXACT: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-11}


def measurements(score: np.ndarray) -> Measurements:
    arrays = (jnp.asarray(a) for a in (score, SEEN, np.full((7, 3), 1e-3), CHANCE, FAMILY))
    return Measurements(*arrays, Covariates(COMPUTE))


def scored() -> np.ndarray:
    """Scores drawn from Equations 6 to 8."""
    rng = np.random.default_rng(1)
    offset = P["family_offset_sd"] * rng.standard_normal((4, 3))
    p = np.asarray(expected_benchmarks(P, THETA, offset[FAMILY], CHANCE))
    sd = np.sqrt(np.asarray(score_variance(p, 1e-3, P["overdispersion"], BENCHMARK_FLOOR_SD)))
    return p + sd * rng.standard_normal(p.shape)


def said(precision: float = 20.0) -> Suggested:
    rng = np.random.default_rng(5)
    known = rng.random((7, 2)) < 0.7
    return Suggested(
        jnp.asarray(np.where(known, TYPICAL + rng.standard_normal((7, 2)), 0.0)),
        jnp.asarray(known * rng.exponential(precision, (7, 2))),
    )


def lines_and_capabilities(suggested: Suggested) -> None:
    lines = whitened_lines(P, jnp.asarray(TYPICAL), Covariates(COMPUTE), suggested, measurements(np.zeros((7, 3))), S)
    numpyro.deterministic("line", lines)
    numpyro.deterministic("theta", whitened_capabilities(P, lines, suggested))


SHAPES = {"intercept_raw": (4, 2), "slope_raw": (4, 2), "theta_raw": (7, 2)}
SIZE = sum(int(np.prod(shape)) for shape in SHAPES.values())


def place(flat: jax.Array) -> dict[str, jax.Array]:
    ends = np.cumsum([np.prod(shape) for shape in SHAPES.values()])[:-1].tolist()
    parts = jnp.split(flat, ends)
    return {name: part.reshape(shape) for (name, shape), part in zip(SHAPES.items(), parts, strict=True)}


def values(model: Callable[..., Any], at: dict[str, jax.Array], *names: str) -> list[jax.Array]:
    trace = handlers.trace(handlers.substitute(handlers.seed(model, 0), data=at)).get_trace()
    return [trace[name]["value"] for name in names]


def drawn(flat: jax.Array, suggested: Suggested) -> jax.Array:
    """Intercepts, slopes and capabilities at coordinates."""
    found = values(lambda: lines_and_capabilities(suggested), place(flat), "intercept", "slope", "theta")
    return jnp.concatenate([part.ravel() for part in found])


def test_density_is_that_of_capabilities_and_lines():
    """Equations 2 and 4, at capabilities and lines that the coordinates say, with the size of the change of them."""
    suggested = said()
    flat = jnp.asarray(np.random.default_rng(2).standard_normal(SIZE))
    there = log_density(lambda: lines_and_capabilities(suggested), (), {}, place(flat))[0]
    there -= np.linalg.slogdet(jax.jacfwd(lambda at: drawn(at, suggested))(flat))[1]
    intercept, slope, theta = (np.asarray(part) for part in place(drawn(flat, suggested)).values())
    off = (intercept - P["intercept_mean"])[FAMILY] + (slope - P["slope_mean"])[FAMILY] * COMPUTE[:, None]
    here = stats.norm.logpdf(theta, TYPICAL + off, P["residual_sd"]).sum()
    here += stats.norm.logpdf(intercept, P["intercept_mean"], P["intercept_sd"]).sum()
    here += stats.norm.logpdf(slope, P["slope_mean"], P["slope_sd"]).sum()
    np.testing.assert_allclose(there, here, rtol=1e-9)


@pytest.mark.parametrize("precision", [0.0, 20.0, 1e6], ids=["nothing said", "said", "said exactly"])
def test_coordinates_are_standard_normal_given_what_anchors_say(precision: float):
    """With what anchors say as normal measurements, the density is that of standard normal numbers, but for a constant.

    So their middles and spreads are those of the posterior, jointly for lines and capabilities.
    """
    suggested = said(precision)

    def excess(flat: jax.Array) -> jax.Array:
        density = log_density(lambda: lines_and_capabilities(suggested), (), {}, place(flat))[0]
        theta = place(drawn(flat, suggested))["theta_raw"]
        density -= 0.5 * (suggested.precision * (suggested.capability - theta) ** 2).sum()
        return density + 0.5 * (flat**2).sum()

    rng = np.random.default_rng(4)
    found = [float(excess(jnp.asarray(2.0 * rng.standard_normal(SIZE)))) for _ in range(4)]
    np.testing.assert_allclose(found, found[0], rtol=1e-8)


def test_draws_have_the_density():
    """Capabilities of a family are as far off the population's line, and as alike, as Equations 2 and 4 say."""
    suggested = said()

    def off(key: jax.Array) -> jax.Array:
        trace = handlers.trace(handlers.seed(lambda: lines_and_capabilities(suggested), key)).get_trace()
        return trace["theta"]["value"] - TYPICAL

    found = np.asarray(jax.jit(jax.vmap(off))(jax.random.split(jax.random.key(0), 20_000)))
    together = FAMILY[:, None] == FAMILY
    for k in range(2):
        expected = together * (P["intercept_sd"][k] ** 2 + P["slope_sd"][k] ** 2 * np.outer(COMPUTE, COMPUTE))
        expected = expected + np.eye(7) * P["residual_sd"][k] ** 2
        spread = np.sqrt(np.diag(expected))
        seen = found[:, :, k].T @ found[:, :, k] / len(found)
        np.testing.assert_allclose(seen / np.outer(spread, spread), expected / np.outer(spread, spread), atol=0.04)


def test_anchors_say_the_capability_as_well_as_their_score_does():
    suggested = suggested_by_anchors(P, measurements(scored()), S)
    np.testing.assert_array_equal(suggested.precision == 0.0, ~SEEN[:, :2])
    capability = np.asarray(suggested.capability)
    for k in range(2):
        shape = (CHANCE[k], P["ceiling_gap"][k], P["asymmetry"][k])
        rows = SEEN[:, k]
        found = np.asarray(response(capability[rows, k], *shape))
        inside = np.clip(scored()[rows, k], CHANCE[k] + 1e-4, None)
        np.testing.assert_allclose(found, inside, atol=2e-4)
        slope = (np.asarray(response(capability[rows, k] + 1e-5, *shape)) - found) / 1e-5
        noise = np.asarray(score_variance(found, 1e-3, P["overdispersion"][k], BENCHMARK_FLOOR_SD)) / slope**2
        expected = noise + P["family_offset_sd"][k] ** 2
        np.testing.assert_allclose(1.0 / np.asarray(suggested.precision)[rows, k], expected, rtol=1e-3)


# --- offsets ------------------------------------------------------------------------------------------------------


def law_of(score: np.ndarray) -> tuple[Whitened, np.ndarray]:
    """The distribution that offsets are sampled from, and offsets at coordinates of one half."""
    model = handlers.substitute(
        lambda: whitened_offset(P, jnp.asarray(THETA), measurements(score), S),
        data={"family_offset_raw": jnp.full((4, 3), 0.5)},
    )
    law = handlers.trace(handlers.seed(model, 0)).get_trace()["family_offset_raw"]["fn"]
    assert isinstance(law, Whitened)
    return law, np.asarray(law.value(0.5))


def test_density_is_that_of_the_offsets():
    """Equation 6, at the offsets that coordinates say, with the size of the change of them."""
    law, offset = law_of(scored())
    unit = jnp.full((4, 3), 0.5)
    stretch = jax.jacfwd(lambda flat: law.value(flat.reshape(unit.shape)).ravel())(unit.ravel())
    there = float(law.log_prob(unit).sum()) - np.linalg.slogdet(stretch)[1]
    here = stats.norm.logpdf(offset, 0.0, P["family_offset_sd"]).sum()
    np.testing.assert_allclose(there, here, rtol=1e-10)


def test_coordinates_of_offsets_are_nearly_standard_normal_given_the_scores():
    """The posterior of every offset, by quadrature, is where `middle` and `spread` say."""
    score = scored()
    law, _ = law_of(score)
    grid = np.linspace(-1.5, 1.5, 3001)
    eta = np.asarray(benchmark_predictor(P, THETA))
    for f, i in np.ndindex(4, 3):
        density = stats.norm.logpdf(grid, 0.0, P["family_offset_sd"][i])
        for m in np.flatnonzero((f == FAMILY) & SEEN[:, i]):
            p = np.asarray(response(eta[m, i] + grid, CHANCE[i], P["ceiling_gap"][i], P["asymmetry"][i]))
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
    assert not SEEN[:, :2].all() and not SEEN.all()
    other = np.where(SEEN, score, 0.999)
    for read in (lambda y: law_of(y)[0].middle, lambda y: suggested_by_anchors(P, measurements(y), S).capability):
        np.testing.assert_array_equal(read(score), read(other))
        seen = score.copy()
        seen[tuple(np.argwhere(SEEN[:, :2])[0])] += 0.1
        assert not np.array_equal(read(seen), read(score))


@pytest.mark.parametrize("shape", [(), (5000,)])
def test_draws_are_those_of_the_prior(shape: tuple[int, ...]):
    law, _ = law_of(scored())
    found = law.value(law.sample(jax.random.key(0), shape))
    assert found.shape == (*shape, 4, 3)
    if shape:
        np.testing.assert_allclose(found.std(axis=0) / P["family_offset_sd"], 1.0, atol=0.05)


def test_a_value_is_its_middle_and_so_many_spreads():
    law = Whitened(0.0, 1.0, jnp.array([1.0, 2.0]), jnp.array([0.5, 3.0]))
    model = handlers.substitute(lambda: whitened("u", law), data={"u": jnp.array([2.0, -1.0])})
    np.testing.assert_array_equal(handlers.seed(model, 0)(), [2.0, -1.0])
