"""Density of all benchmark scores of a model together, its capabilities integrated by Laplace's method."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_obscaling.models.capability_equations import (
    Measurements,
    as_drawn,
    benchmark_noise,
    benchmark_predictor,
    line,
)
from bayes_obscaling.results.leave_one_out.slopes import BenchmarkSlopes, benchmark_slopes

_NEWTON_STEPS = 8  # Fisher scoring, from a draw
_LONGEST_STEP = 2.0
_CHUNK = 50


def log_densities(data: Measurements, draws: dict[str, np.ndarray]) -> np.ndarray:
    """Log density (draw, model) of all scores of a model together, at draws of the measurement's variables."""
    count, parts = len(draws["theta"]), []
    for start in range(0, count, _CHUNK):
        rows = np.minimum(np.arange(start, start + _CHUNK), count - 1)  # a fixed shape: one compiled program
        parts.append(np.asarray(_integrate({name: value[rows] for name, value in draws.items()}, data)))
    return np.concatenate(parts)[:count]


@jax.jit
def _integrate(draws: dict[str, jax.Array], data: Measurements) -> jax.Array:
    def of_draw(p: dict[str, jax.Array]) -> jax.Array:
        of_family = {name: p[name][data.family] for name in ("intercept", "slope")}
        prior = line({**p, **of_family}, as_drawn(p, data.covariates))
        offset = p["family_offset"][data.family]
        # every model as a table of its own with one row
        rows = [a[:, None] for a in (prior, p["theta"], offset, data.score, data.seen.astype(float), data.inv_items)]
        return jax.vmap(lambda *args: _integrate_model(p, data.chance, *args))(*rows)

    return jax.vmap(of_draw)(draws)


def _integrate_model(
    p: dict[str, jax.Array],
    chance: jax.Array,
    prior: jax.Array,
    start: jax.Array,
    offset: jax.Array,
    score: jax.Array,
    seen: jax.Array,
    inv_items: jax.Array,
) -> jax.Array:
    """One model at one draw: log density of its scores, K capabilities (1, K) integrated by Laplace's method."""
    loading = jnp.asarray(p["loading"])
    precision = 1.0 / p["residual_sd"] ** 2

    def curve(theta: jax.Array) -> BenchmarkSlopes:
        return benchmark_slopes(p, benchmark_predictor(p, theta, offset), chance, inv_items)

    def information(at: BenchmarkSlopes) -> list[list[jax.Array]]:
        """Expected Hessian, as its Cholesky factor: positive definite, whatever the scores."""
        weight = seen * (at.slope**2 / at.variance + 0.5 * (at.bend / at.variance) ** 2)
        return _cholesky((loading.T * weight) @ loading + jnp.diag(precision))

    def step(_: int, theta: jax.Array) -> jax.Array:
        at = curve(theta)
        miss = score - at.expected
        pull = at.slope * miss / at.variance + 0.5 * at.bend * (miss**2 / at.variance**2 - 1.0 / at.variance)
        gradient = (seen * pull)[0] @ loading - precision * (theta - prior)[0]
        move = _solve(information(at), gradient)
        return theta + jnp.clip(move, -_LONGEST_STEP, _LONGEST_STEP)

    theta = jax.lax.fori_loop(0, _NEWTON_STEPS, step, start)
    at = curve(theta)
    fitted = seen * benchmark_noise(p, at.expected, inv_items).log_prob(score)
    near = -0.5 * (precision * (theta - prior) ** 2 - jnp.log(precision))
    return fitted.sum() + near.sum() - sum(jnp.log(row[-1]) for row in information(at))


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
