"""Offsets of families on benchmarks, in coordinates that follow the scores.

A family of one model says the same with its offset as with the noise of its scores: chains that move offsets hardly
move the scales of either. Scores are no linear function of an offset, so it cannot be integrated out exactly. But given
capabilities and curves, one step of Gauss and Newton from an offset of zero finds nearly where the scores put it, and
how closely: ``v ~ N(G / H, 1 / H)``. Sampled is ``u = H^1/2 (v - G / H)``, nearly standard normal whatever the scales
are, at the exact density of ``v``.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints

from bayes_obscaling.models.capability_equations import (
    BENCHMARK_FLOOR_SD,
    Measurements,
    Parameters,
    benchmark_predictor,
    benchmark_slopes,
)
from bayes_obscaling.models.lines import summed
from bayes_obscaling.models.links import score_variance


class Whitened(dist.Distribution):
    """What a value ``v ~ N(0, sd)`` is sampled as: ``u``, of which it is ``middle + spread u``.

    Parameters
    ----------
    sd, middle, spread : array (F, I)
        Prior of the value, and where and how closely the scores put it.
    """

    support = constraints.real
    pytree_data_fields = ("sd", "middle", "spread")

    def __init__(self, sd: jax.Array, middle: jax.Array, spread: jax.Array) -> None:
        self.sd, self.middle, self.spread = sd, middle, spread
        super().__init__(batch_shape=jnp.shape(middle))

    def value(self, unit: jax.Array) -> jax.Array:
        """Return the value at `unit`."""
        return self.middle + self.spread * unit

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Draw from the prior of the value."""
        value = self.sd * jax.random.normal(key, (*sample_shape, *self.batch_shape))
        return (value - self.middle) / self.spread

    def log_prob(self, value: Any) -> jax.Array:
        """Log density."""
        return dist.Normal(0.0, self.sd).log_prob(self.value(value)) + jnp.log(self.spread)


def whitened_offset(p: Parameters, theta: jax.Array, data: Measurements, n_families: int) -> jax.Array:
    """Sample the offsets (F, I) of families on benchmarks, given capabilities (M, K).

    Equation 6 of docs/explanation/model.md.
    """
    expected, slope = benchmark_slopes(p, benchmark_predictor(p, theta), data.chance)
    dispersion = jnp.asarray(p["overdispersion"])
    worth = slope * data.seen / score_variance(expected, data.inv_items, dispersion, BENCHMARK_FLOOR_SD)
    pull, precision = summed((worth * (data.score - expected), worth * slope), data.family, n_families)
    sd = jnp.asarray(p["family_offset_sd"])
    precision = precision + 1.0 / sd**2
    law = Whitened(sd, pull / precision, 1.0 / jnp.sqrt(precision))
    unit = numpyro.sample("family_offset_raw", law)
    return jnp.asarray(numpyro.deterministic("family_offset", law.value(unit)))
