"""Expected scores and their noise along the linear predictor, with the slopes of both by automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bayes_obscaling.models.capability_equations import (
    Parameters,
    benchmark_noise,
    benchmark_response,
    task_noise,
    task_response,
)
from bayes_obscaling.models.links import Numbers


class BenchmarkSlopes(NamedTuple):
    """Benchmark scores at linear predictors, (..., M, I) each."""

    expected: jax.Array
    variance: jax.Array
    slope: jax.Array  # of the expected score, per logit
    bend: jax.Array  # of the variance, per logit


class TaskSlopes(NamedTuple):
    """Task scores at linear predictors, (..., M, T) each."""

    expected: jax.Array
    scale: jax.Array
    slope: jax.Array  # of the expected score, per logit
    bend: jax.Array  # of the scale, per logit


def benchmark_slopes(p: Parameters, eta: Numbers, chance: Numbers, inv_items: Numbers) -> BenchmarkSlopes:
    """Benchmark scores at linear predictors `eta` (..., M, I); reads ``ceiling_gap, overdispersion`` (..., I)."""

    def moments(place: jax.Array) -> tuple[jax.Array, jax.Array]:
        expected = benchmark_response(p, place, chance)
        return expected, benchmark_noise(p, expected, inv_items).variance

    return BenchmarkSlopes(*_with_slopes(moments, eta))


def task_slopes(p: Parameters, eta: Numbers, chance: Numbers, inv_items: Numbers, floor_sd: Numbers) -> TaskSlopes:
    """Task scores at linear predictors `eta` (..., M, T); reads ``task_ceiling_gap, task_overdispersion`` (..., T)."""

    def moments(place: jax.Array) -> tuple[jax.Array, jax.Array]:
        expected = task_response(p, place, chance)
        return expected, task_noise(p, expected, inv_items, floor_sd).scale

    return TaskSlopes(*_with_slopes(moments, eta))


def _with_slopes(
    moments: Callable[[jax.Array], tuple[jax.Array, jax.Array]], eta: Numbers
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    place = jnp.asarray(eta)
    values, slopes = jax.jvp(moments, (place,), (jnp.ones_like(place),))
    return *values, *slopes
