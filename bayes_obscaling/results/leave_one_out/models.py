"""Density of all benchmark scores of a model together, its capabilities integrated by Laplace's method."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_obscaling.models.capability import BENCHMARK_FLOOR_SD, Measurements, capability_curve
from bayes_obscaling.models.links import response, score_variance

_NEWTON_STEPS = 8  # Fisher scoring, from a draw
_LONGEST_STEP = 2.0
_CHUNK = 50


def measured(flat: dict[str, np.ndarray], index: int, n_factors: int) -> dict[str, np.ndarray]:
    """Pick the draws of one predictor set that `log_densities` reads; a curvature of 0 where there is none."""
    names = (
        "intercept", "slope", "residual_sd", "compute", "theta", "loading", "difficulty", "ceiling_gap",
        "family_offset", "overdispersion",
    )  # fmt: skip
    mine = {name: flat[name][:, index] for name in names}
    some = flat["curvature"][:, index] if "curvature" in flat else np.zeros((len(mine["compute"]), n_factors))
    return {**mine, "curvature": some}


def log_densities(data: Measurements, draws: dict[str, np.ndarray]) -> np.ndarray:
    """Log density (draw, model) of all scores of a model together."""
    count, parts = len(draws["theta"]), []
    for start in range(0, count, _CHUNK):
        rows = np.minimum(np.arange(start, start + _CHUNK), count - 1)  # a fixed shape: one compiled program
        parts.append(np.asarray(_integrate({name: value[rows] for name, value in draws.items()}, data)))
    return np.concatenate(parts)[:count]


@jax.jit
def _integrate(draws: dict[str, jax.Array], data: Measurements) -> jax.Array:
    def of_draw(draw: dict[str, jax.Array]) -> jax.Array:
        prior = capability_curve(
            draw["intercept"][data.family], draw["slope"][data.family], draw["curvature"], draw["compute"][:, None]
        )
        offset = draw["difficulty"] + draw["family_offset"][data.family]
        return jax.vmap(lambda *args: _integrate_model(draw, data.chance, *args))(
            prior, draw["theta"], offset, data.score, data.seen.astype(float), data.inv_items
        )

    return jax.vmap(of_draw)(draws)


def _integrate_model(
    draw: dict[str, jax.Array],
    chance: jax.Array,
    prior: jax.Array,
    start: jax.Array,
    offset: jax.Array,
    score: jax.Array,
    seen: jax.Array,
    inv_items: jax.Array,
) -> jax.Array:
    """One model at one draw: log density of its scores, K capabilities integrated by Laplace's method."""
    precision = 1.0 / draw["residual_sd"] ** 2

    def curve(theta: jax.Array) -> tuple[jax.Array, ...]:
        """Expected scores, their variances, and the slopes of both in the linear predictor."""
        eta = draw["loading"] @ theta + offset
        p = response(eta, chance, draw["ceiling_gap"])
        variance = score_variance(p, inv_items, draw["overdispersion"], BENCHMARK_FLOOR_SD)
        slope = (1.0 - chance) * (1.0 - draw["ceiling_gap"]) * jax.nn.sigmoid(eta) * jax.nn.sigmoid(-eta)
        return p, variance, slope, (1.0 - 2.0 * p) * (inv_items + draw["overdispersion"] ** 2) * slope

    def information(variance: jax.Array, slope: jax.Array, bend: jax.Array) -> list[list[jax.Array]]:
        """Expected Hessian, as its Cholesky factor: positive definite, whatever the scores."""
        weight = seen * (slope**2 / variance + 0.5 * (bend / variance) ** 2)
        return _cholesky((draw["loading"].T * weight) @ draw["loading"] + jnp.diag(precision))

    def step(_: int, theta: jax.Array) -> jax.Array:
        p, variance, slope, bend = curve(theta)
        miss = score - p
        pull = seen * (slope * miss / variance + 0.5 * bend * (miss**2 / variance**2 - 1.0 / variance))
        gradient = draw["loading"].T @ pull - precision * (theta - prior)
        move = _solve(information(variance, slope, bend), gradient)
        return theta + jnp.clip(move, -_LONGEST_STEP, _LONGEST_STEP)

    theta = jax.lax.fori_loop(0, _NEWTON_STEPS, step, start)
    p, variance, slope, bend = curve(theta)
    fitted = -0.5 * seen * ((score - p) ** 2 / variance + jnp.log(2 * jnp.pi * variance))
    near = -0.5 * (precision * (theta - prior) ** 2 - jnp.log(precision))
    root = information(variance, slope, bend)
    return fitted.sum() + near.sum() - sum(jnp.log(row[-1]) for row in root)


# Unrolled for a handful of factors: a call to LAPACK for each of a million 4 x 4 matrices costs ten times as much.
def _cholesky(matrix: jax.Array) -> list[list[jax.Array]]:
    root: list[list[jax.Array]] = []
    for i in range(matrix.shape[0]):
        row: list[jax.Array] = []
        for j in range(i):
            row.append((matrix[i, j] - sum(row[k] * root[j][k] for k in range(j))) / root[j][j])
        row.append(jnp.sqrt(matrix[i, i] - sum(value**2 for value in row)))
        root.append(row)
    return root


def _solve(root: list[list[jax.Array]], vector: jax.Array) -> jax.Array:
    size = len(root)
    half: list[Any] = []
    for i, row in enumerate(root):
        half.append((vector[i] - sum(row[k] * half[k] for k in range(i))) / row[i])
    solved: list[Any] = [None] * size
    for i in reversed(range(size)):
        solved[i] = (half[i] - sum(root[k][i] * solved[k] for k in range(i + 1, size))) / root[i][i]
    return jnp.stack(solved)
