"""What a fit of a sparse table says about each score given all the other ones.

As of dense tables (see `bayes_obscaling.results.leave_one_out.benchmarks`), what belongs to the left-out score's model
alone, its capabilities and its compute, is integrated out at each draw of all else, and only that is reweighted. A
model's capabilities are few and its scores heavy-tailed, so that the integral is one of importance sampling: particles
about the mode given all its scores, and as many from the line of its family, which serve all of its scores at once.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import logsumexp

from bayes_obscaling.models.capability_equations import (
    BENCHMARK_FLOOR_SD,
    CELL_NOISE_DF,
    FAMILY_EFFECTS,
    Cells,
    Measurements,
    compute_trend,
    line,
    line_slope,
)
from bayes_obscaling.models.links import response_slope, score_variance
from bayes_obscaling.models.sparse import SMALLEST_COMPUTE_SD, published
from bayes_obscaling.models.spec import Structure
from bayes_obscaling.results.marginal import DF, SMALLEST_SLOPE, chance_at_draws, log_proposal, newton_mode

Draws = dict[str, np.ndarray]
PARTICLES = 48  # half of them about the mode, half from the line of the family
_STEPS = 6  # of Gauss and Newton
_SMALLEST_TAIL = 1e-15  # what rounding leaves of a tail
MOST_DRAWS = 200  # each costs particles for every score of the table; neighbours in a chain say much the same
_CHUNK = 200  # draws at a time: memory stays flat
_ROOMS = (8, 16, 32, 64, 128, 256, 512, 1024)  # a model's scores are filled up to one of these: few shapes to compile


class _Curves(NamedTuple):
    """Of each of a model's C scores, at S draws."""

    loading: jax.Array  # (S, C, K)
    difficulty: jax.Array  # (S, C) with what its setting takes from the capabilities
    chance: jax.Array  # (S, C)
    ceiling_gap: jax.Array  # (S, C)
    asymmetry: jax.Array  # (S, C)
    overdispersion: jax.Array  # (S, C)


class _Facts(NamedTuple):
    """Of each of a model's scores (C,)."""

    score: jax.Array
    is_there: jax.Array  # 0 where the room is larger than the scores
    inv_items: jax.Array
    together: jax.Array  # (C, C) 1 for scores on one benchmark, which are left out together


class LeftOut(NamedTuple):
    """Of each seen score (S, n): log densities, log probability of a lower one, and a new evaluation."""

    log_density_all: np.ndarray  # of all the model's scores on the benchmark, in whatever setting: what weights undo
    log_density: np.ndarray  # of the score alone
    log_below: np.ndarray
    replicate: np.ndarray


def left_out_cells(
    p: Draws, data: Measurements, structure: Structure, seed: int, particles: int = PARTICLES
) -> tuple[np.ndarray, np.ndarray, LeftOut]:
    """Models (n,) and benchmarks (n,), by position, of the seen scores, and each of them given all the others.

    Of several settings the first one, which is that of the table, is the score; the others are left out with it.

    Parameters
    ----------
    p : dict of arrays
        Variables (S, ...) of one predictor set's measurement.
    data : Measurements
        Of a sparse table.
    structure : Structure
    seed : int
        Of the particles and new evaluations.
    particles : int
        At each draw, for each model.
    """
    assert data.cells is not None
    cells = jax.tree.map(np.asarray, data.cells)
    mean, root = _before_scores(p, data, structure)
    rows, columns, parts = [], [], []
    for model in np.unique(cells.model[cells.seen]):
        own = np.flatnonzero((cells.model == model) & cells.seen)
        _, first = np.unique(cells.benchmark[own], return_index=True)
        first = np.sort(first)
        key = jax.random.fold_in(jax.random.key(seed), int(model))
        made = _of_model(key, mean[:, model], root[:, model], *_about(p, data, cells, own), particles)
        parts.append([np.asarray(value)[:, first] for value in made])
        rows.append(np.full(len(first), model))
        columns.append(cells.benchmark[own][first])
    joined = LeftOut(*(np.concatenate(values, axis=1) for values in zip(*parts, strict=True)))
    return np.concatenate(rows), np.concatenate(columns), joined


def _before_scores(p: Draws, data: Measurements, structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """Capabilities of each model before any of its scores: mean (S, M, K), root of the covariance (S, M, K, K)."""
    x, family = data.covariates, np.asarray(data.family)
    own = {name: p[name][:, family] for name in FAMILY_EFFECTS if name in p and p[name].ndim == 3}
    mean, sd = p["compute"], np.zeros_like(p["compute"])
    if structure.compute_trend:  # what its scores said of a model's compute is left out as well
        trend = np.asarray(compute_trend(p, p["family_compute"][:, family], np.asarray(x.date)))
        error = np.maximum(np.asarray(data.compute_sd), SMALLEST_COMPUTE_SD)
        told = np.where(published(structure), error**-2.0, 0.0)
        around = p["compute_sd"][:, None] ** -2.0
        mean = (around * trend + told * np.asarray(x.compute)) / (around + told)
        sd = (around + told) ** -0.5
    at = x._replace(compute=mean)
    along = np.asarray(line_slope({**p, **own}, at)) * sd[..., None]
    spread = np.eye(along.shape[-1]) * p["residual_sd"][:, None, None] ** 2
    return np.asarray(line({**p, **own}, at)), np.linalg.cholesky(spread + along[..., None] * along[..., None, :])


def _about(p: Draws, data: Measurements, cells: Cells, own: np.ndarray) -> tuple[_Curves, _Facts]:
    """Curves and facts of some scores, filled up to a room."""
    size = len(own)
    room = next(room for room in _ROOMS if room >= size)
    at = np.append(own, np.full(room - size, own[0]))
    there = np.arange(room) < size
    benchmark = np.asarray(cells.benchmark)[at]
    shift = p["reasoning_step"][:, None] * np.asarray(cells.reasoning)[at, None]
    shift = shift + p["effort_step"][:, None] * np.asarray(cells.effort)[at, None]
    loading = p["loading"][:, benchmark]
    difficulty = p["difficulty"][:, benchmark] + (loading * shift).sum(axis=-1)
    if cells.date is not None:
        difficulty = difficulty + p["benchmark_drift"][:, benchmark] * np.asarray(cells.date)[at]
    curves = {
        "loading": loading,
        "difficulty": difficulty,
        "chance": chance_at_draws(p, data.chance)[:, benchmark],
        "ceiling_gap": p["ceiling_gap"][:, benchmark],
        "asymmetry": p["asymmetry"][:, benchmark] if "asymmetry" in p else np.ones(difficulty.shape),
        "overdispersion": p["overdispersion"][:, benchmark],
    }
    facts = {
        "score": np.asarray(cells.score)[at],
        "is_there": there,
        "inv_items": np.asarray(cells.inv_items)[at],
        "together": ((benchmark[:, None] == benchmark) & there & there[:, None]).astype(float),
    }
    return _Curves(**jax.tree.map(jnp.asarray, curves)), _Facts(**jax.tree.map(jnp.asarray, facts))


def _of_model(
    key: jax.Array, mean: np.ndarray, root: np.ndarray, curves: _Curves, facts: _Facts, particles: int
) -> list[np.ndarray]:
    count, size, parts = len(mean), min(_CHUNK, len(mean)), []
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)  # one shape: compiled once
        keys = jax.random.split(jax.random.fold_in(key, start), size)
        here = _Curves(*(value[rows] for value in curves))
        parts.append(_at_draws(keys, jnp.asarray(mean[rows]), jnp.asarray(root[rows]), here, facts, particles))
    return [np.concatenate(values)[:count] for values in zip(*parts, strict=True)]


@partial(jax.jit, static_argnames="particles")
def _at_draws(
    keys: jax.Array, mean: jax.Array, root: jax.Array, curves: _Curves, facts: _Facts, particles: int
) -> tuple[jax.Array, ...]:
    return jax.vmap(lambda *one: _at_draw(one[0], one[1], one[2], one[3], facts, particles))(keys, mean, root, curves)


def _at_draw(
    key: jax.Array, mean: jax.Array, root: jax.Array, c: _Curves, facts: _Facts, particles: int
) -> tuple[jax.Array, ...]:
    """One model at one draw, in standard normal numbers of its capabilities before any score."""
    design, middle, size = c.loading @ root, c.loading @ mean + c.difficulty, root.shape[0]

    def at(z: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        expected, slope = response_slope(middle + design @ z, c.chance, c.ceiling_gap, c.asymmetry)
        return expected, slope, score_variance(expected, facts.inv_items, c.overdispersion, BENCHMARK_FLOOR_SD)

    def information(z: jax.Array) -> tuple[jax.Array, jax.Array]:
        expected, slope, variance = at(z)
        slope = jnp.maximum(slope, SMALLEST_SLOPE)
        miss = (facts.score - expected) ** 2 / variance
        # an outlier pulls as little as its noise, Student t, makes it
        weight = facts.is_there * slope**2 / variance * (CELL_NOISE_DF + 1.0) / (CELL_NOISE_DF + miss)
        precision = jnp.eye(size) + design.T @ (weight[:, None] * design)
        return precision, design.T @ (weight * (facts.score - expected) / slope) - z

    mode = newton_mode(information, size, _STEPS)
    z, log_proposed = _particles(key, mode, jnp.linalg.cholesky(information(mode)[0]), particles // 2)
    expected, _, variance = jax.vmap(at)(z)  # (particle, C)
    scale = jnp.sqrt(variance)
    t = (facts.score - expected) / scale
    log_density = dist.StudentT(CELL_NOISE_DF).log_prob(t) - jnp.log(scale)
    all_of = (facts.is_there * log_density) @ facts.together
    prior = -0.5 * (z**2).sum(axis=1) - 0.5 * size * jnp.log(2.0 * jnp.pi)
    log_weight = prior + (facts.is_there * log_density).sum(axis=1) - log_proposed
    log_rest = log_weight[:, None] - all_of
    rest = logsumexp(log_rest, axis=0)
    density = logsumexp(log_rest + log_density, axis=0) - rest
    below = logsumexp(log_rest + jnp.log(_below(t)), axis=0) - rest
    pick, noise = jax.random.split(jax.random.fold_in(key, 1))
    passed = jnp.cumsum(jnp.exp(log_rest - rest), axis=0) < jax.random.uniform(pick, rest.shape)
    chosen = jnp.minimum(passed.sum(axis=0), particles - 1)[None]
    place, width = (jnp.take_along_axis(value, chosen, axis=0)[0] for value in (expected, scale))
    unit = jax.random.normal(noise, (int(CELL_NOISE_DF) + 1, *place.shape))
    replicate = place + width * unit[0] * _stretch(unit[1:])
    return logsumexp(log_weight) - rest, density, below, jnp.clip(replicate, 0.0, 1.0)


def _particles(key: jax.Array, mode: jax.Array, root: jax.Array, half: int) -> tuple[jax.Array, jax.Array]:
    """Particles (J, K), half from a Student t about a mode and half from the standard normal; log density (J,)."""
    size = len(mode)
    normal, stretch, prior = jax.random.split(key, 3)
    moved = jax.random.normal(normal, (half, size))
    moved = moved * _stretch(jax.random.normal(stretch, (int(DF), half)))[:, None]
    about = mode + jax.scipy.linalg.solve_triangular(root.T, moved.T, lower=False).T
    z = jnp.concatenate([about, jax.random.normal(prior, (half, size))])
    away = ((z - mode) @ root) ** 2
    log_t = log_proposal(away.sum(axis=1), root)
    log_normal = -0.5 * (z**2).sum(axis=1) - 0.5 * size * jnp.log(2.0 * jnp.pi)
    return z, jnp.logaddexp(log_t, log_normal) - jnp.log(2.0)


def _stretch(unit: jax.Array) -> jax.Array:
    """What makes a standard normal number a Student t of n degrees of freedom, from n others (n, ...).

    JAX draws gamma numbers by rejection, which would take most of the time.
    """
    return jnp.sqrt(len(unit) / (unit**2).sum(axis=0))


def _below(t: jax.Array) -> jax.Array:
    """Probability of less: Student t of five degrees of freedom in closed form (Abramowitz and Stegun, 26.7.3).

    The incomplete beta function, at every particle, would take longer than all else.
    """
    u = t / np.sqrt(CELL_NOISE_DF)
    square = 1.0 / (1.0 + u**2)  # of the cosine of the angle whose tangent is u
    below = 0.5 + (jnp.arctan(u) + u * square * (1.0 + 2.0 / 3.0 * square)) / jnp.pi
    return jnp.maximum(below, _SMALLEST_TAIL)
