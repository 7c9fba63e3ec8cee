"""A new model given draws of all else: draws of its capabilities, and how likely its scores are, at every draw at once.

At each posterior draw the capabilities are a priori normal about the line of their family. Importance sampling from a
Student t about the mode, found by Gauss and Newton's steps, gives the marginal likelihood and one draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from bayes_obscaling.models.capability_equations import BENCHMARK_FLOOR_SD, CELL_NOISE_DF
from bayes_obscaling.models.links import response_slope, score_variance

PARTICLES = 64  # a posterior draw
ROOM = 8  # benchmarks of a model, or models, are filled up to a multiple of this: few shapes to compile
DF = 6.0  # of the Student t that proposals are drawn from
_STEPS = 8  # of Gauss and Newton
_LONGEST = 2.0  # a step, prior sd
SMALLEST_SLOPE = 1e-4  # of a curve, where a step divides by it
_DRAWS = 500  # at a time: memory stays flat

Array: TypeAlias = jax.Array | np.ndarray


def unseen_room(at: Sequence[int]) -> int:
    """How many unseen benchmarks fill up those at some positions; all of the least room, where there are none."""
    return -len(at) % ROOM if at else ROOM


class Curves(NamedTuple):
    """Response curves of the I benchmarks that a new model was scored on, at S draws."""

    loading: Array  # (S, I, K)
    difficulty: Array  # (S, I)
    ceiling_gap: Array  # (S, I)
    asymmetry: Array  # (S, I), 1 where curves are logistic
    overdispersion: Array  # (S, I)
    offset: Array  # (S, I) of the family, or its mean
    offset_sd: Array  # (S, I) 0 for a family of the fit
    chance: Array  # (S, I)


class Scores(NamedTuple):
    """Scores of a new model (I,)."""

    score: Array
    seen: Array
    inv_items: Array


def chance_at_draws(p: Mapping[str, np.ndarray], stated: jax.Array) -> np.ndarray:
    """Chance levels (S, I): those that are stated, or those of a fit that infers some of them."""
    return p["chance"] if "chance" in p else np.broadcast_to(stated, p["difficulty"].shape)


def curves_of(
    p: Mapping[str, np.ndarray], room: Sequence[int], offset: np.ndarray, offset_sd: np.ndarray, chance: np.ndarray
) -> Curves:
    """Curves of some benchmarks, by position, from the variables (S, I, ...) of a measurement."""
    shapes = (p["ceiling_gap"], p.get("asymmetry", np.ones_like(p["ceiling_gap"])), p["overdispersion"])
    by_benchmark = (p["loading"], p["difficulty"], *shapes, offset, offset_sd, chance)
    return Curves(*(np.asarray(value)[:, room] for value in by_benchmark))


def compute_given(
    above: np.ndarray,
    slope: np.ndarray,
    variance: np.ndarray,
    mean: np.ndarray,
    sd: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draws (S,) of a model's compute given its capabilities, which is normal.

    Parameters
    ----------
    above : array (S, K)
        Capabilities above the line at no compute.
    slope, variance : array (S, K)
        Of the line, and about it.
    mean, sd : array (S,)
        Of compute before any score; where sd is 0 it is known.
    rng : Generator
    """
    known = sd <= 0
    if known.all():
        return np.array(mean)
    precision = 1.0 / np.where(known, 1.0, sd) ** 2 + (slope**2 / variance).sum(axis=1)
    pull = (slope * (above - slope * mean[:, None]) / variance).sum(axis=1)
    drawn = mean + pull / precision + rng.standard_normal(len(above)) / np.sqrt(precision)
    return np.where(known, mean, drawn)


def capabilities_given_scores(
    key: jax.Array,
    curves: Curves,
    mean: np.ndarray,
    sd: np.ndarray,
    along: np.ndarray,
    scores: Scores,
    heavy: bool,
    particles: int = PARTICLES,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws of capabilities (S, K) and of offsets (S, I), and log marginal likelihoods (S,) of the scores.

    Parameters
    ----------
    key : jax key
        For the particles.
    curves : Curves
        At S draws.
    mean, sd : array (S, K)
        Of the capabilities before any score is looked at, independent of each other ...
    along : array (S, K)
        ... but for what a standard normal number moves all of them by: unknown compute. 0 where it is known.
    scores : Scores
        Of the model.
    heavy : bool
        Whether the noise is that of sparse tables, Student t.
    particles : int
        At each draw; draws of capabilities need fewer than likelihoods.
    """
    # what is known moves nothing, and costs nothing
    moving = bool(np.any(along != 0.0)), bool(np.any(np.asarray(curves.offset_sd) != 0.0))
    parts = []
    for start in range(0, len(mean), _DRAWS):
        rows = np.minimum(np.arange(start, start + _DRAWS), len(mean) - 1)  # one shape: compiled once
        here = Curves(*(value[rows] for value in curves))
        keys = jax.random.split(jax.random.fold_in(key, start), _DRAWS)
        parts.append(_given_scores(keys, here, mean[rows], sd[rows], along[rows], scores, heavy, moving, particles))
    theta, offset, log_weight = (np.concatenate(values)[: len(mean)] for values in zip(*parts, strict=True))
    return theta, offset, log_weight


@partial(jax.jit, static_argnames=("heavy", "moving", "particles"))
def _given_scores(
    keys: jax.Array,
    curves: Curves,
    mean: jax.Array,
    sd: jax.Array,
    along: jax.Array,
    scores: Scores,
    heavy: bool,
    moving: tuple[bool, bool],
    particles: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    one = partial(_one, scores=scores, heavy=heavy, moving=moving, particles=particles)
    return jax.vmap(one)(keys, curves, mean, sd, along)


def _one(
    key: jax.Array,
    c: Curves,
    mean: jax.Array,
    sd: jax.Array,
    along: jax.Array,
    scores: Scores,
    heavy: bool,
    moving: tuple[bool, bool],
    particles: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    # All in standard normal numbers: of each capability; where they move, of what moves all of them, of each offset.
    spread = jnp.concatenate([jnp.diag(sd), *([along[:, None]] if moving[0] else [])], axis=1)  # (K, K or K + 1)
    design = jnp.concatenate([c.loading @ spread, *([jnp.diag(c.offset_sd)] if moving[1] else [])], axis=1)
    middle = c.loading @ mean + c.difficulty + c.offset
    shared, size = spread.shape[1], design.shape[1]

    def at(z: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        expected, slope = response_slope(middle + design @ z, c.chance, c.ceiling_gap, c.asymmetry)
        variance = score_variance(expected, scores.inv_items, c.overdispersion, BENCHMARK_FLOOR_SD)
        return expected, slope, variance

    def information(z: jax.Array) -> tuple[jax.Array, jax.Array]:
        expected, slope, variance = at(z)
        slope = jnp.maximum(slope, SMALLEST_SLOPE)
        weight = jnp.where(scores.seen, slope**2 / variance, 0.0)
        precision = jnp.eye(size) + design.T @ (weight[:, None] * design)
        return precision, design.T @ (weight * (scores.score - expected) / slope) - z

    mode = newton_mode(information, size, _STEPS)
    root = jnp.linalg.cholesky(information(mode)[0])
    normal, gamma, pick = jax.random.split(key, 3)
    unit = jax.random.normal(normal, (particles, size))
    # one chi-square for all dimensions of a particle
    tail = jnp.sqrt(DF / 2.0 / jax.random.gamma(gamma, DF / 2.0, (particles, 1)))
    moved = unit * tail
    z = mode + jax.scipy.linalg.solve_triangular(root.T, moved.T, lower=False).T

    def log_target(one: jax.Array) -> jax.Array:
        expected, _, variance = at(one)
        scale = jnp.sqrt(variance)
        noise = dist.StudentT(CELL_NOISE_DF, expected, scale) if heavy else dist.Normal(expected, scale)
        fit = jnp.where(scores.seen, noise.log_prob(scores.score), 0.0).sum()
        return fit - 0.5 * (one**2).sum() - 0.5 * size * jnp.log(2.0 * jnp.pi)

    log_weight = jax.vmap(log_target)(z) - log_proposal((moved**2).sum(axis=1), root)
    chosen = z[jax.random.categorical(pick, log_weight)]
    theta = mean + spread @ chosen[:shared]
    offset = c.offset + c.offset_sd * chosen[shared:] if moving[1] else c.offset
    return theta, jnp.asarray(offset), jax.nn.logsumexp(log_weight) - jnp.log(particles)


def newton_mode(information: Callable[[jax.Array], tuple[jax.Array, jax.Array]], size: int, steps: int) -> jax.Array:
    """Where steps of Gauss and Newton lead from zero (size,), each at most `_LONGEST` in any direction.

    `information` gives precision (size, size) and gradient (size,) at a place in standard normal numbers.
    """

    def step(_: int, z: jax.Array) -> jax.Array:
        precision, gradient = information(z)
        move = jnp.linalg.solve(precision, gradient)
        return z + move * jnp.minimum(1.0, _LONGEST / jnp.maximum(jnp.abs(move).max(), 1e-12))

    return jnp.asarray(jax.lax.fori_loop(0, steps, step, jnp.zeros(size)))


def log_proposal(square: jax.Array, root: jax.Array) -> jax.Array:
    """Log density of a Student t of `DF` degrees of freedom about a mode.

    At squared distances from it (...), in units of its spread; `root` (n, n) is the Cholesky factor of the precision.
    """
    size = len(root)
    start = jax.scipy.special.gammaln((DF + size) / 2.0) - jax.scipy.special.gammaln(DF / 2.0)
    start = start - 0.5 * size * jnp.log(DF * jnp.pi) + jnp.log(jnp.diag(root)).sum()
    return jnp.asarray(start - 0.5 * (DF + size) * jnp.log1p(square / DF))
