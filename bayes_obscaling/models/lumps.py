"""A distribution on 0..top with lumps at a few places and some mass between them, for numpyro and for SciPy.

Chains move along a standard normal number of which the value is the quantile: there the density has one mode, where it
would have one for each lump, and a sampler that walks from lump to lump meets no valley.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import ndtr, ndtri
from jax.scipy.stats import norm
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform, biject_to
from scipy import stats

from bayes_obscaling.models.links import Numbers

_HALVINGS = 50  # of the range, until a quantile is found: to 1e-15


class Shape(NamedTuple):
    """What the distribution depends on."""

    at: jax.Array  # (J,) places of the lumps
    weight: jax.Array  # (J,) their probabilities; the rest lies evenly between 0 and the top
    sd: Numbers  # of a lump
    top: Numbers


def _lumps(value: Numbers, shape: Shape) -> tuple[jax.Array, ...]:
    """By lump (..., J): its standardised distance; and the share (J,) of its normal distribution inside the range."""
    at, _, sd, top = shape
    inside = ndtr((top - at) / sd) - ndtr(-at / sd)
    return (jnp.asarray(value)[..., None] - at) / sd, inside


def density(value: Numbers, shape: Shape) -> jax.Array:
    """Density at values inside the range."""
    _, weight, sd, top = shape
    away, inside = _lumps(value, shape)
    return (weight * norm.pdf(away) / (sd * inside)).sum(axis=-1) + (1.0 - weight.sum()) / top


def below(value: Numbers, shape: Shape) -> jax.Array:
    """Probability of a lower value."""
    at, weight, sd, top = shape
    away, inside = _lumps(value, shape)
    share = (weight * (ndtr(away) - ndtr(-at / sd)) / inside).sum(axis=-1)
    return share + (1.0 - weight.sum()) * jnp.asarray(value) / top


@jax.custom_jvp
def quantile(unit: jax.Array, shape: Shape) -> jax.Array:
    """Value below which the probability is that below a standard normal number."""
    wanted, top = ndtr(unit), shape.top

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        is_above = below(middle, shape) < wanted
        return jnp.where(is_above, middle, low), jnp.where(is_above, high, middle)

    start = jnp.zeros_like(wanted), jnp.broadcast_to(jnp.asarray(top, wanted.dtype), wanted.shape)
    low, high = jax.lax.fori_loop(0, _HALVINGS, halve, start)
    return 0.5 * (low + high)


# Of the implicit function; nobody differentiates by the numbers of a prior.
quantile.defjvps(lambda tangent, value, unit, shape: tangent * norm.pdf(unit) / density(value, shape), None)


class _Inside(constraints.Constraint):
    """Values from 0 to the top, reached along standard normal numbers."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def __call__(self, x: Any) -> Any:
        return (x >= 0.0) & (x <= self.shape.top)

    def feasible_like(self, prototype: Any) -> Any:
        return quantile(jnp.zeros(jnp.shape(prototype)), self.shape)

    def tree_flatten(self) -> Any:
        return (self.shape,), (("shape",), {})


class _Quantile(Transform):
    """Standard normal numbers to the values that have the same probability below them."""

    domain = constraints.real
    sign = 1

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    @property
    def codomain(self) -> constraints.Constraint:
        return _Inside(self.shape)

    def __call__(self, x: Any) -> Any:
        return quantile(jnp.asarray(x), self.shape)

    def _inverse(self, y: Any) -> Any:
        return ndtri(below(y, self.shape))

    def log_abs_det_jacobian(self, x: Any, y: Any, intermediates: Any = None) -> Any:  # noqa: ARG002
        return norm.logpdf(x) - jnp.log(density(y, self.shape))

    def tree_flatten(self) -> Any:
        return (self.shape,), (("shape",), {})


@biject_to.register(_Inside)
def _along_quantiles(constraint: _Inside) -> _Quantile:
    return _Quantile(constraint.shape)


class Lumpy(dist.Distribution):
    """The distribution as numpyro samples it; the numbers of its shape may be tracers."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    pytree_data_fields = ("shape_of",)

    def __init__(self, shape: Shape) -> None:
        self.shape_of = Shape(*(jnp.asarray(part) for part in shape))
        super().__init__(batch_shape=(), event_shape=(), validate_args=False)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        """From 0 to the top, along quantiles."""
        return _Inside(self.shape_of)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Return draws."""
        return quantile(jax.random.normal(key, sample_shape), self.shape_of)

    def log_prob(self, value: Any) -> jax.Array:
        """Return log densities."""
        return jnp.log(density(value, self.shape_of))

    def cdf(self, value: Any) -> jax.Array:
        """Return probabilities of lower values."""
        return below(value, self.shape_of)

    @property
    def mean(self) -> jax.Array:
        """Mean."""
        return _moments(self.shape_of)[0]

    @property
    def variance(self) -> jax.Array:
        """Variance."""
        return _moments(self.shape_of)[1]


def _moments(shape: Shape) -> tuple[jax.Array, jax.Array]:
    """Mean and variance: those of truncated normals and of a uniform distribution, mixed."""
    at, weight, sd, top = shape
    low, high = -at / sd, (top - at) / sd
    inside = ndtr(high) - ndtr(low)
    shift = (norm.pdf(low) - norm.pdf(high)) / inside
    mean = at + sd * shift
    variance = sd**2 * (1.0 + (low * norm.pdf(low) - high * norm.pdf(high)) / inside - shift**2)
    rest = 1.0 - weight.sum()
    first = (weight * mean).sum() + rest * top / 2
    second = (weight * (variance + mean**2)).sum() + rest * top**2 / 3
    return first, second - first**2


class _Frozen(stats.rv_continuous):
    """The same distribution for SciPy, which would find quantiles one by one."""

    def __init__(self, shape: Shape) -> None:
        self.shape_of = Shape(*(jnp.asarray(part, float) for part in shape))
        super().__init__(a=0.0, b=float(shape.top), name="lumps")

    def _updated_ctor_param(self) -> dict[str, Shape]:
        return {"shape": self.shape_of}

    def _pdf(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(density(x, self.shape_of))

    def _cdf(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(below(x, self.shape_of))

    def _ppf(self, q: np.ndarray) -> np.ndarray:
        return np.asarray(quantile(ndtri(jnp.asarray(q)), self.shape_of))

    def _stats(self) -> tuple[float, float, None, None]:
        mean, variance = _moments(self.shape_of)
        return float(mean), float(variance), None, None


def scipy_lumps(shape: Shape) -> Any:
    """The distribution as a frozen SciPy one."""
    return _Frozen(shape)()
