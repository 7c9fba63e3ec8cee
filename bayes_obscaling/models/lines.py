"""Capabilities around lines of families, in coordinates in which the lines are integrated out.

Given its models' capabilities, the line of a family is normal. Where families have few models, a line and the residuals
of its models say the same, and a chain that moves both hardly moves the scales of either. So capabilities are sampled
with the lines integrated out (Gelfand, Sahu and Carlin 1995 call it sweeping), half-way between the capabilities
themselves and standard normal numbers (Papaspiliopoulos et al. 2007), and the lines are put back by normal numbers that
the scores say nothing of.

Around the population's line, the capabilities of a family (n models) have the covariance ``S = r^2 + W W'`` with
``W = (intercept_sd 1, slope_sd x)``, (n, 2). Powers of S need powers of a 2 x 2 matrix alone, ``A = r^2 + W' W``:
``S^p = r^2p + W (A^p - r^2p) (A - r^2)^-1 W'``, and ``W' S^p = A^p W'``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from bayes_obscaling.models.links import Numbers


class Symmetric(NamedTuple):
    """Symmetric 2 x 2 matrices ``[[a, b], [b, c]]``, positive definite; those that are multiplied commute."""

    a: jax.Array
    b: jax.Array
    c: jax.Array

    def root(self) -> Symmetric:
        """Return the square root (Cayley and Hamilton)."""
        det = jnp.sqrt(self.det())
        trace = jnp.sqrt(self.a + self.c + 2.0 * det)
        return Symmetric((self.a + det) / trace, self.b / trace, (self.c + det) / trace)

    def det(self) -> jax.Array:
        """Return the determinant."""
        return self.a * self.c - self.b**2

    def plus(self, number: jax.Array) -> Symmetric:
        """Add a number times the unit matrix."""
        return Symmetric(self.a + number, self.b, self.c + number)

    def times(self, other: Symmetric) -> Symmetric:
        """Multiply by a matrix with the same axes."""
        return Symmetric(
            self.a * other.a + self.b * other.b,
            self.a * other.b + self.b * other.c,
            self.b * other.b + self.c * other.c,
        )

    def solve(self, pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Return the inverse times a vector."""
        det = self.det()
        return (self.c * pair[0] - self.b * pair[1]) / det, (self.a * pair[1] - self.b * pair[0]) / det


class Scatter(NamedTuple):
    """How the capabilities of families scatter around the population's line (M models, K factors, F families)."""

    intercept_sd: jax.Array  # (K,)
    slope_sd: jax.Array  # (K,)
    sd: jax.Array  # (K,) of models around the lines of their families
    compute: jax.Array  # (M, 1) or (M, K), what multiplies the slopes
    family: jax.Array  # (M,) int
    n: jax.Array  # (F, 1) models of each family
    a: Symmetric  # (F, K) A, its root, and the root of that
    a_half: Symmetric
    a_quarter: Symmetric

    @classmethod
    def of(cls, p: Mapping[str, Numbers], compute: jax.Array, family: jax.Array, n_families: int) -> Scatter:
        """Return that of families of a population with ``intercept_sd, slope_sd, residual_sd`` (K,)."""
        intercept_sd, slope_sd, sd = (jnp.asarray(p[name]) for name in ("intercept_sd", "slope_sd", "residual_sd"))
        n, x, xx = summed((jnp.ones_like(compute), compute, compute**2), family, n_families)
        a = Symmetric(intercept_sd**2 * n, intercept_sd * slope_sd * x, slope_sd**2 * xx).plus(sd**2)
        a_half = a.root()
        return cls(intercept_sd, slope_sd, sd, compute, family, n[:, :1], a, a_half, a_half.root())

    def half(self, y: jax.Array) -> jax.Array:
        """``S^1/4 y``: half the way from standard normal numbers to capabilities, in logarithms of scale (M, K)."""
        return jnp.sqrt(self.sd) * y + self._spread(self._rise().solve(self._gathered(y)))

    def half_inverse(self, y: jax.Array) -> jax.Array:
        """``S^-1/4 y`` (M, K)."""
        root = jnp.sqrt(self.sd)
        rise, gram = self._rise(), self.a.plus(-(self.sd**2))
        inner = Symmetric(*(root * h + g for h, g in zip(rise, gram, strict=True)))
        return (y - self._spread(inner.solve(self._gathered(y)))) / root

    def log_det_half(self) -> jax.Array:
        """Logarithm of the determinant of ``S^1/4``, of each family (F, K)."""
        return 0.25 * ((2.0 * self.n - 4.0) * jnp.log(self.sd) + jnp.log(self.a.det()))

    def lines(self, y: jax.Array, unit: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Intercepts and slopes (F, K), off the population's, of families whose capabilities are ``S^1/4 y`` off.

        They are normal; `unit` (F, K) each are the standard normal numbers that they are made of.
        """
        seen = self.a_quarter.solve(self._gathered(y))
        own = self.a_half.solve((seen[0] + self.sd * unit[0], seen[1] + self.sd * unit[1]))
        return self.intercept_sd * own[0], self.slope_sd * own[1]

    def _rise(self) -> Symmetric:
        """``(A - r^2) (A^1/4 - r^1/2)^-1``."""
        return self.a_quarter.plus(jnp.sqrt(self.sd)).times(self.a_half.plus(self.sd))

    def _gathered(self, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        """``W' y`` (F, K) each."""
        first, second = summed((y, self.compute * y), self.family, len(self.n))
        return self.intercept_sd * first, self.slope_sd * second

    def _spread(self, pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        """``W`` times a pair (F, K) each: (M, K)."""
        first, second = jnp.split(jnp.concatenate(pair, axis=-1)[self.family], 2, axis=-1)
        return self.intercept_sd * first + self.slope_sd * self.compute * second


def summed(columns: tuple[jax.Array, ...], family: jax.Array, n_families: int) -> list[jax.Array]:
    """Sums (F, ...) of columns (M, ...) over the models of each family; together, as each such sum takes its time."""
    together = jnp.concatenate(columns, axis=-1)
    sums = jnp.zeros((n_families, together.shape[-1])).at[family].add(together)
    return jnp.split(sums, len(columns), axis=-1)


class HalfWay(dist.Distribution):
    """What capabilities are sampled as: ``q ~ N(mean / 2, S^1/2)``, of which they are ``mean + S^1/4 (q - mean / 2)``.

    Densities (M, K) are those of all models of a family together, in even shares.

    Parameters
    ----------
    mean : array (M, K)
        The population's line.
    scatter : Scatter
        Around it.
    """

    support = constraints.real
    pytree_data_fields = ("mean_half", "scatter")

    def __init__(self, mean: jax.Array, scatter: Scatter) -> None:
        self.mean_half, self.scatter = 0.5 * mean, scatter
        super().__init__(batch_shape=jnp.shape(mean))

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Draw all models at once; one draw only."""
        if sample_shape:
            raise NotImplementedError("one draw at a time")
        return self.mean_half + self.scatter.half(jax.random.normal(key, self.batch_shape))

    def log_prob(self, value: Any) -> jax.Array:
        """Log density (M, K)."""
        around = self.scatter
        unit = around.half_inverse(value - self.mean_half)
        share = (around.log_det_half() / jnp.maximum(around.n, 1.0))[around.family]
        return dist.Normal().log_prob(unit) - share
