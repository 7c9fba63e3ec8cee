"""The response curve between a capability and a score: a sigmoid between a chance floor and a ceiling."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

# What the pure functions of this package compute with; they return JAX arrays.
Numbers = jax.Array | np.ndarray | float

# How close to its floor or ceiling a score may lie before it is inverted (the inverse is infinite at both).
_EDGE = 1e-4
_LOG_2 = float(np.log(2.0))


def response(eta: Numbers, chance: Numbers, ceiling_gap: Numbers, asymmetry: Numbers | None = None) -> jax.Array:
    """Map a linear predictor `eta`, in logits, to an expected score in (c, 1); all arguments broadcast.

    Equation 5 of docs/explanation/model.md, ``p = c + (1 - c)(1 - up) F(eta)``, with floor ``c`` and the ceiling gap
    ``up`` counted as a share of the range above chance. Counted in score units instead, a benchmark that stays near
    chance lets the ceiling fall below the floor and turns the curve over. Without `asymmetry`, ``F`` is the logistic
    function: the four-parameter model of item response theory (Barton and Lord 1981). With it, ``F`` is
    `asymmetric_share`.
    """
    share = jax.nn.sigmoid(eta) if asymmetry is None else asymmetric_share(eta, asymmetry)
    return jnp.asarray(chance + (1.0 - chance) * (1.0 - ceiling_gap) * share)


def asymmetric_share(eta: Numbers, asymmetry: Numbers) -> jax.Array:
    """Generalised logistic function (Richards 1959) with value 1/2 and slope 1/4 at 0, whatever its asymmetry.

    ``F(eta) = 1 - (1 + u exp(a eta))^(-nu)`` with ``u = 2^(1/nu) - 1`` and ``a = 1 / (2 nu (1 - 2^(-1/nu)))``; it is
    the logistic function where ``nu = 1``. With ``nu < 1`` the last errors go more slowly than the first successes
    came, as they do on a test whose items differ in difficulty (Samejima 2000; Bolt and Liao 2022). Difficulty and
    loading keep their meaning at the middle of the curve, so that a posterior does not trade them for ``nu``.
    """
    nu = jnp.asarray(asymmetry)
    steepness, place = _standard(nu)
    x = steepness * eta + place
    # Not jax.nn.softplus: fused with its surroundings, XLA's CPU compiler (JAX 0.10) made NaN of it.
    softplus = jnp.maximum(x, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(x)))
    return -jnp.expm1(-nu * softplus)


def _standard(nu: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``a`` and ``log u`` of `asymmetric_share`."""
    half = jnp.exp(-_LOG_2 / nu)
    return 0.5 / (nu * (1.0 - half)), _LOG_2 / nu + jnp.log1p(-half)


def response_slope(
    eta: Numbers, chance: Numbers, ceiling_gap: Numbers, asymmetry: Numbers | None = None
) -> tuple[jax.Array, jax.Array]:
    """Expected score (see `response`) and its derivative per logit of `eta`, which has the shape of the broadcast."""
    eta = jnp.asarray(eta)
    return jax.jvp(lambda place: response(place, chance, ceiling_gap, asymmetry), (eta,), (jnp.ones_like(eta),))


def inverse_response(
    score: Numbers, chance: Numbers, ceiling_gap: Numbers, asymmetry: Numbers | None = None
) -> jax.Array:
    """Invert `response`, to logits; scores at or beyond floor and ceiling are moved just inside."""
    share = (score - chance) / ((1.0 - chance) * (1.0 - ceiling_gap))
    share = jnp.clip(share, _EDGE, 1.0 - _EDGE)
    if asymmetry is None:
        return jnp.log(share) - jnp.log1p(-share)
    nu = jnp.asarray(asymmetry)
    steepness, place = _standard(nu)
    return (jnp.log(jnp.expm1(-jnp.log1p(-share) / nu)) - place) / steepness


def score_variance(p: Numbers, inv_items: Numbers, overdispersion: Numbers, floor_sd: Numbers) -> jax.Array:
    """Variance of an observed score around its expectation `p`, in squared score units.

    Equation 7 of docs/explanation/model.md, ``p (1 - p) (1 / n + phi^2) + s^2``: binomial sampling of `n` items (``1 /
    n`` is zero for a score that is not a mean of counted items), an overdispersion `phi` that scales like it (prompt,
    harness and checkpoint effects), and a floor `s` in score units.
    """
    return jnp.asarray(p * (1.0 - p) * (inv_items + overdispersion**2) + floor_sd**2)


def inverse_items(counts: np.ndarray) -> np.ndarray:
    """Reciprocal of numbers of items; 0 where there is none."""
    known = np.isfinite(counts)
    return np.where(known, 1.0 / np.where(known, counts, 1.0), 0.0)
