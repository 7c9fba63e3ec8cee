"""The response curve between a capability and a score: a sigmoid between a chance floor and a ceiling."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

# What the pure functions of this package compute with; they return JAX arrays.
Numbers = jax.Array | np.ndarray | float

# How close to its floor or ceiling a score may lie before it is inverted (the inverse is infinite at both).
_EDGE = 1e-4


def response(eta: Numbers, chance: Numbers, ceiling_gap: Numbers) -> jax.Array:
    """Map a linear predictor to an expected score.

    ``p = c + (1 - c)(1 - up) sigmoid(eta)``: the four-parameter logistic model of item response theory (Barton and
    Lord 1981), with the ceiling gap ``up`` counted as a share of the range above chance. Counted in score units
    instead, a benchmark that stays near chance lets the ceiling fall below the floor and turns the curve over.

    Parameters
    ----------
    eta : array
        Linear predictor, logits, any shape.
    chance : array
        Floor ``c`` in [0, 1), broadcastable to `eta`.
    ceiling_gap : array
        Share ``up`` of the range above chance that no model reaches, broadcastable to `eta`.

    Returns
    -------
    array
        Expected score in (c, 1), shape of the broadcast.
    """
    return jnp.asarray(chance + (1.0 - chance) * (1.0 - ceiling_gap) * jax.nn.sigmoid(eta))


def inverse_response(score: Numbers, chance: Numbers, ceiling_gap: Numbers) -> jax.Array:
    """Invert `response`; scores at or beyond floor and ceiling are moved just inside.

    Parameters
    ----------
    score, chance, ceiling_gap : array
        As in `response`, broadcastable.

    Returns
    -------
    array
        Logits.
    """
    share = (score - chance) / ((1.0 - chance) * (1.0 - ceiling_gap))
    share = jnp.clip(share, _EDGE, 1.0 - _EDGE)
    return jnp.log(share) - jnp.log1p(-share)


def score_variance(p: Numbers, inv_items: Numbers, overdispersion: Numbers, floor_sd: Numbers) -> jax.Array:
    """Variance of an observed score around its expectation.

    ``p (1 - p) (1 / n + phi^2) + s^2``: binomial sampling of `n` items, an overdispersion `phi` that scales like it
    (prompt, harness and checkpoint effects), and a floor `s` in score units.

    Parameters
    ----------
    p : array
        Expected score.
    inv_items : array
        ``1 / n``; zero for a score that is not a mean of counted items.
    overdispersion : array
        ``phi``, dimensionless.
    floor_sd : array
        ``s``, score units.

    Returns
    -------
    array
        Variance in squared score units.
    """
    return jnp.asarray(p * (1.0 - p) * (inv_items + overdispersion**2) + floor_sd**2)
