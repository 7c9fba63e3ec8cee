"""Density of a task score given the others of its family, the family's offset integrated by Laplace's method."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import gammaln

from bayes_obscaling.models.capability import TASK_NOISE_DF, features
from bayes_obscaling.models.links import response, score_variance
from bayes_obscaling.results.fit import Fit
from bayes_obscaling.results.likelihood import problem_of

# Draws of capabilities at which the weights of the task heads are normalised, and draws of heads to normalise over.
_THETAS, _HEADS = 12, 250
# Fisher scoring: from no offset to the mode given all scores, and on to the mode without one of them.
_NEWTON_STEPS = 8
_FURTHER_STEPS = 6
_LONGEST_STEP = 2.0
_T_CONSTANT = float(gammaln((TASK_NOISE_DF + 1) / 2) - gammaln(TASK_NOISE_DF / 2) - 0.5 * np.log(TASK_NOISE_DF * np.pi))


def head_densities(fit: Fit, flat: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Log densities, log weights and replicates of task scores, (draw, model, task) each."""
    problem = problem_of(fit)
    scores = problem.task_scores
    assert scores is not None
    seen, family = np.asarray(scores.seen), np.asarray(scores.family)
    count = len(flat["theta"])
    some = np.linspace(0, count - 1, min(_THETAS, count)).astype(int)
    at = np.arange(count) % len(some)  # which draw of the capabilities a draw of the head is paired with
    z = np.asarray(features(jnp.asarray(flat["theta"][some]), jnp.asarray(problem.reference)))
    z = z[:, np.asarray(scores.predictors)]  # (theta, task, model, factor)
    head = tuple(
        flat[name]
        for name in ("weight", "task_difficulty", "task_family_offset_sd", "task_ceiling_gap", "task_overdispersion")
    )
    shape = (count, len(problem.models), len(problem.tasks))
    density, log_weight, replicate = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    # Every draw of the head at one draw of the capabilities, and some draws of the head at all of these to normalise.
    few = np.arange(0, count, max(count // _HEADS, 1))
    which_z, which_head = (
        np.append(at, np.repeat(np.arange(len(some)), len(few))), np.append(np.arange(count), np.tile(few, len(some)))
    )  # fmt: skip
    rng = np.random.default_rng(1)
    for f in np.unique(family[seen.any(axis=0)]):
        members = np.flatnonzero(seen.any(axis=0) & (family == f))
        size = len(members)
        # Families of similar size share a compiled program: fill up with a model that is not seen.
        rows = np.append(members, np.full(2 ** int(np.ceil(np.log2(size))) - size, members[0]))
        mask = seen[:, rows] & (np.arange(len(rows)) < size)
        facts = (scores.score[:, rows], jnp.asarray(mask, float), scores.inv_items[:, rows], scores.chance)
        found = offset_densities(
            tuple(part[which_head] for part in head), z[which_z][:, :, rows], facts, fit.spec.fit_sd
        )
        own, offset, info, base = (np.asarray(part)[:count, ..., :size] for part in found)  # (draw, task, member)
        crossed = np.asarray(found[0])[count:, ..., :size].reshape(len(some), len(few), -1, size)
        eta = base + offset + rng.standard_normal(own.shape[:2])[..., None] / np.sqrt(info)
        p = response(eta, scores.chance[:, None], head[3][..., None])
        spread = score_variance(p, scores.inv_items[:, members], head[4][..., None], fit.spec.predictive_sd)
        drawn = np.asarray(p + jnp.sqrt(spread) * rng.standard_t(TASK_NOISE_DF, own.shape))
        shared = np.logaddexp.reduce(-crossed, axis=1)[at]
        for target, part in ((density, own), (log_weight, -own - shared), (replicate, drawn)):
            target[:, members] = part.swapaxes(1, 2)
    return density, log_weight, replicate


@jax.jit
@partial(jax.vmap, in_axes=(0, 0, None, None))
def offset_densities(head: Any, z: jax.Array, facts: Any, fit_sd: float) -> tuple[jax.Array, ...]:
    """Integrate the offset of one family on every task by Laplace's method.

    Arrays (task, model): log density of each score given the family's others; mode and precision of the offset without
    that score; the linear predictor without offset.
    """
    weight, difficulty, offset_sd, gap, overdispersion = head
    score, seen, inv_items, chance = facts  # (task, model), the last (task,)
    base = (z * weight[:, None]).sum(axis=-1) + difficulty[:, None]
    precision = (1.0 / offset_sd**2)[:, None]
    spread = (inv_items + (overdispersion**2)[:, None])[:, None]
    df = TASK_NOISE_DF

    def terms(offset: jax.Array) -> tuple[jax.Array, ...]:
        """Score, scale, slopes of curve and log scale (task, mask, model) at offsets (task, mask)."""
        eta = base[:, None] + offset[..., None]
        p = response(eta, chance[:, None, None], gap[:, None, None])
        sd = jnp.sqrt(p * (1.0 - p) * spread + fit_sd**2)
        slope = ((1.0 - chance) * (1.0 - gap))[:, None, None] * jax.nn.sigmoid(eta) * jax.nn.sigmoid(-eta)
        return (score[:, None] - p) / sd, sd, slope / sd, slope * (1.0 - 2.0 * p) * spread / (2.0 * sd**2)

    def information(mask: jax.Array, slope: jax.Array, bend: jax.Array) -> jax.Array:
        return precision + (mask * (slope**2 * (df + 1) + bend**2 * 2 * df) / (df + 3)).sum(axis=-1)

    def mode(mask: jax.Array, start: jax.Array, steps: int) -> jax.Array:
        def step(_: int, offset: jax.Array) -> jax.Array:
            r, _sd, slope, bend = terms(offset)
            pull = (df + 1) * r / (df + r**2)
            gradient = (mask * (pull * slope + (pull * r - 1.0) * bend)).sum(axis=-1) - precision * offset
            move = gradient / information(mask, slope, bend)
            return offset + jnp.clip(move, -_LONGEST_STEP, _LONGEST_STEP)

        return jnp.asarray(jax.lax.fori_loop(0, steps, step, start))

    def evidence(mask: jax.Array, offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        r, sd, slope, bend = terms(offset)
        fitted = mask * (_T_CONSTANT - jnp.log(sd) - 0.5 * (df + 1) * jnp.log1p(r**2 / df))
        info = information(mask, slope, bend)
        return fitted.sum(axis=-1) - 0.5 * (precision * offset**2 - jnp.log(precision) + jnp.log(info)), info

    every = seen[:, None]
    without = every * (1.0 - jnp.eye(score.shape[1], dtype=base.dtype))
    full = mode(every, jnp.zeros_like(base[:, :1]), _NEWTON_STEPS)
    less = mode(without, jnp.broadcast_to(full, base.shape), _FURTHER_STEPS)
    rest, info = evidence(without, less)
    return evidence(every, full)[0] - rest, less, info, base
