"""Lines of families, capabilities and offsets, in coordinates that follow the scores: for tables of many families.

Where most families have one model, its line, the residual of its capability, its offsets and the noise of its scores
all say the same, and a chain that moves them hardly moves the scales of any. So they are moved together. What an
anchor's score alone says of a capability is nearly normal; given the scales, so are then lines, capabilities and, given
these, offsets, and their middles and spreads are known in closed form. Sampled is how many spreads each is from its
middle: nearly standard normal numbers whatever the scales are, at the exact density of the model.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro import plate
from numpyro.distributions import constraints

from bayes_obscaling.models.capability_equations import (
    BENCHMARK_FLOOR_SD,
    Covariates,
    Measurements,
    Parameters,
    benchmark_predictor,
    benchmark_slopes,
    bent_compute,
)
from bayes_obscaling.models.links import Numbers, inverse_response, response_slope, score_variance
from bayes_obscaling.models.spec import Structure


class Whitened(dist.Distribution):
    """What a value ``v ~ N(loc, sd)`` is sampled as: ``u``, of which it is ``middle + spread u``.

    Parameters
    ----------
    loc, sd : array
        Of the value.
    middle, spread : array
        Where the scores put it, and how closely.
    """

    support = constraints.real
    pytree_data_fields = ("loc", "sd", "middle", "spread")

    def __init__(self, loc: Numbers, sd: Numbers, middle: jax.Array, spread: jax.Array) -> None:
        self.loc, self.sd, self.middle, self.spread = loc, sd, middle, spread
        super().__init__(batch_shape=jnp.shape(middle))

    def value(self, unit: Any) -> jax.Array:
        """Return the value at `unit`."""
        return jnp.asarray(self.middle + self.spread * unit)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Draw from the distribution of the value."""
        value = self.loc + self.sd * jax.random.normal(key, (*sample_shape, *self.batch_shape))
        return jnp.asarray((value - self.middle) / self.spread)

    def log_prob(self, value: Any) -> jax.Array:
        """Log density."""
        return dist.Normal(self.loc, self.sd).log_prob(self.value(value)) + jnp.log(self.spread)


def whitened(name: str, law: Whitened) -> jax.Array:
    """Sample a value in the coordinates of `law`."""
    return law.value(numpyro.sample(name, law))


class Suggested(NamedTuple):
    """Capabilities that the scores on the anchors say, (M, K)."""

    capability: jax.Array  # logits, 0 where there is no score
    precision: jax.Array  # per squared logit, 0 where there is none


def suggested_by_anchors(p: Parameters, data: Measurements, s: Structure) -> Suggested:
    """Invert the response curves of the anchors, offsets and noise being errors of their scores."""
    at = jnp.asarray(s.anchors)
    chance = jnp.broadcast_to(jnp.asarray(p.get("chance", data.chance)), s.n_benchmarks)[at]
    gap, asymmetry = jnp.asarray(p["ceiling_gap"])[at], jnp.asarray(p["asymmetry"])[at] if "asymmetry" in p else None
    seen, score = jnp.asarray(data.seen)[:, at], jnp.asarray(data.score)[:, at]
    capability = inverse_response(score, chance, gap, asymmetry)
    expected, slope = response_slope(capability, chance, gap, asymmetry)
    dispersion, offset_sd = (jnp.asarray(p[name])[at] for name in ("overdispersion", "family_offset_sd"))
    variance = score_variance(expected, jnp.asarray(data.inv_items)[:, at], dispersion, BENCHMARK_FLOOR_SD)
    precision = slope**2 / (variance + (slope * offset_sd) ** 2)
    return Suggested(jnp.where(seen, capability, 0.0), jnp.where(seen, precision, 0.0))


def whitened_lines(
    p: Parameters, typical: jax.Array, x: Covariates, said: Suggested, data: Measurements, s: Structure
) -> jax.Array:
    """Sample the lines of families; returns those of the models, (M, K).

    Equation 4 of docs/explanation/model.md. `typical` (M, K) is the line of the population. In units of their scales,
    ``b = (intercept, slope) ~ N(0, 1)``, and what anchors say of them has the precision ``W' (r^2 + 1 / h)^-1 W``.
    """
    level, rise = jnp.asarray(p["intercept_sd"]), jnp.asarray(p["slope_sd"])
    along = bent_compute(p, x)
    weight = said.precision / (1.0 + jnp.asarray(p["residual_sd"]) ** 2 * said.precision)
    pull = weight * (said.capability - typical)
    sums = summed((weight, weight * along, weight * along**2, pull, pull * along), data.family, s.n_families)
    a, b, c = 1.0 + level**2 * sums[0], level * rise * sums[1], 1.0 + rise**2 * sums[2]
    first, second, det = level * sums[3], rise * sums[4], a * c - b**2
    with plate("family", s.n_families, dim=-2), plate("factor", s.n_factors, dim=-1):
        middle = (c * first - b * second) / det
        own = whitened("intercept_raw", Whitened(0.0, 1.0, middle, jnp.sqrt(c / det)))
        middle = (a * second - b * first) / det - b / c * (own - middle)
        steeper = whitened("slope_raw", Whitened(0.0, 1.0, middle, 1.0 / jnp.sqrt(c)))
        numpyro.deterministic("intercept", p["intercept_mean"] + level * own)
        numpyro.deterministic("slope", p["slope_mean"] + rise * steeper)
    own, steeper = jnp.split(jnp.concatenate([level * own, rise * steeper], axis=-1)[data.family], 2, axis=-1)
    return typical + own + steeper * along


def whitened_capabilities(p: Parameters, line: jax.Array, said: Suggested) -> jax.Array:
    """Sample capabilities (M, K) around the lines of their families (M, K).

    Equation 2 of docs/explanation/model.md.
    """
    sd = jnp.asarray(p["residual_sd"])
    variance = 1.0 / (1.0 / sd**2 + said.precision)
    middle = line + variance * said.precision * (said.capability - line)
    return whitened("theta_raw", Whitened(line, sd, middle, jnp.sqrt(variance)))


def whitened_offset(p: Parameters, theta: jax.Array, data: Measurements, s: Structure) -> jax.Array:
    """Sample the offsets (F, I) of families on benchmarks, given capabilities (M, K).

    Equation 6 of docs/explanation/model.md. One step of Gauss and Newton from an offset of zero finds nearly where
    the scores put it, and how closely.
    """
    expected, slope = benchmark_slopes(p, benchmark_predictor(p, theta), data.chance)
    variance = score_variance(expected, data.inv_items, jnp.asarray(p["overdispersion"]), BENCHMARK_FLOOR_SD)
    worth, sd = slope * data.seen / variance, jnp.asarray(p["family_offset_sd"])
    pull, precision = summed((worth * (data.score - expected), worth * slope), data.family, s.n_families)
    precision = precision + 1.0 / sd**2
    return whitened("family_offset_raw", Whitened(0.0, sd, pull / precision, 1.0 / jnp.sqrt(precision)))


def summed(columns: tuple[jax.Array, ...], family: jax.Array, n_families: int) -> list[jax.Array]:
    """Sums (F, ...) of columns (M, ...) over the models of each family; together, as each such sum takes its time."""
    together = jnp.concatenate(columns, axis=-1)
    sums = jnp.zeros((n_families, together.shape[-1])).at[family].add(together)
    return jnp.split(sums, len(columns), axis=-1)
