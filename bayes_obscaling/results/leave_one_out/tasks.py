"""Density of a task score given the others of its family, the family's offset integrated by Laplace's method."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_obscaling.models.capability_equations import (
    TASK_CURVE,
    TASK_NOISE_DF,
    Parameters,
    by_task,
    task_noise,
    task_predictor,
    task_response,
)
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.leave_one_out.slopes import TaskSlopes, task_slopes

# Draws of capabilities at which the weights of the task heads are normalised, and draws of heads to normalise over.
_THETAS, _HEADS = 12, 250
# Fisher scoring: from no offset to the mode given all scores, and on to the mode without one of them.
_NEWTON_STEPS = 8
_FURTHER_STEPS = 6
_LONGEST_STEP = 2.0
_HEAD = (*TASK_CURVE, "task_family_offset_sd")
_by_task = jax.jit(by_task)


def head_densities(fit: CapabilityFit, kept: np.ndarray) -> tuple[np.ndarray, ...]:
    """Log densities, log weights and replicates of task scores at the `kept` draws, (draw, model, task) each."""
    layout, posterior = fit.layout, fit.posterior
    scores = layout.task_scores
    assert scores is not None
    seen, family = np.asarray(scores.seen), np.asarray(scores.family)
    p = {name: posterior.heads[name][kept] for name in _HEAD if name in posterior.heads}
    count = len(kept)
    some = np.linspace(0, count - 1, min(_THETAS, count)).astype(int)
    at = np.arange(count) % len(some)  # which draw of the capabilities a draw of the head is paired with
    sets = [
        posterior.standardised(posterior.measurement(index)["theta"], index)[kept[some]]
        for index in range(len(layout.predictor_sets))
    ]
    z = np.asarray(_by_task(np.stack(sets, axis=1), scores.predictors))  # (theta, model, task, factor)
    shape = (count, *seen.shape)
    density, log_weight, replicate = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    # Every draw of the head at one draw of the capabilities, and some draws of the head at all of these to normalise.
    few = np.arange(0, count, max(count // _HEADS, 1))
    which_z = np.append(at, np.repeat(np.arange(len(some)), len(few)))
    which_head = np.append(np.arange(count), np.tile(few, len(some)))
    crossed_p = {name: values[which_head] for name, values in p.items()}
    rng = np.random.default_rng(1)
    for f in np.unique(family[seen.any(axis=1)]):
        members = np.flatnonzero(seen.any(axis=1) & (family == f))
        size = len(members)
        # Families of similar size share a compiled program: fill up with a model that is not seen.
        rows = np.append(members, np.full(2 ** int(np.ceil(np.log2(size))) - size, members[0]))
        mask = seen[rows] & (np.arange(len(rows)) < size)[:, None]
        inv_items = np.asarray(scores.inv_items)[rows]
        facts = (np.asarray(scores.score)[rows], mask.astype(float), inv_items, scores.chance)
        parts = map(np.asarray, offset_densities(crossed_p, z[which_z][:, rows], facts, fit.spec.fit_sd))
        every, offset, info, base = parts  # (draw, row, task)
        own, crossed = every[:count, :size], every[count:, :size].reshape(len(some), len(few), size, -1)
        unit = rng.standard_normal((count, 1, seen.shape[1]))
        eta = base[:count] + offset[:count] + unit / np.sqrt(info[:count])
        expected, scale = (
            np.asarray(part)[:, :size] for part in _moments(p, eta, scores.chance, inv_items, fit.spec.predictive_sd)
        )
        tails = rng.standard_t(TASK_NOISE_DF, (count, seen.shape[1], size)).swapaxes(1, 2)
        density[:, members] = own
        log_weight[:, members] = -own - np.logaddexp.reduce(-crossed, axis=1)[at]
        replicate[:, members] = expected + scale * tails
    return density, log_weight, replicate


@jax.jit
def _moments(
    p: Parameters, eta: jax.Array, chance: jax.Array, inv_items: jax.Array, floor_sd: float
) -> tuple[jax.Array, jax.Array]:
    """Expectation and scale of the noise (S, M, T) of scores at linear predictors `eta`."""
    noise = task_noise(p, task_response(p, eta, chance), inv_items, floor_sd)
    return noise.loc, noise.scale


@jax.jit
@partial(jax.vmap, in_axes=(0, 0, None, None))
def offset_densities(p: dict[str, jax.Array], z: jax.Array, facts: Any, fit_sd: float) -> tuple[jax.Array, ...]:
    """Integrate the offset of one family on every task by Laplace's method, for draws of the heads `p`.

    `z` (draw, model, task, factor) are standardised capabilities of the family's models; `facts` their scores, 1 where
    they are seen, inverse numbers of items, (model, task) each, and chance (task,). By (draw, model, task): the log
    density of each score given the family's others; mode and precision of the offset without that score; the linear
    predictor without offset.
    """
    score, seen, inv_items, chance = facts
    base = task_predictor(p, z)
    precision = 1.0 / p["task_family_offset_sd"] ** 2
    df = TASK_NOISE_DF

    def terms(offset: jax.Array) -> tuple[TaskSlopes, jax.Array, jax.Array, jax.Array]:
        """Curve (mask, model, task) at offsets (mask, task); residuals, and slopes, in scales of the noise."""
        at = task_slopes(p, base + offset[:, None], chance, inv_items, fit_sd)
        return at, (score - at.expected) / at.scale, at.slope / at.scale, at.bend / at.scale

    def information(mask: jax.Array, slope: jax.Array, bend: jax.Array) -> jax.Array:
        return jnp.asarray(precision) + (mask * (slope**2 * (df + 1) + bend**2 * 2 * df) / (df + 3)).sum(axis=1)

    def mode(mask: jax.Array, start: jax.Array, steps: int) -> jax.Array:
        def step(_: int, offset: jax.Array) -> jax.Array:
            _at, r, slope, bend = terms(offset)
            pull = (df + 1) * r / (df + r**2)
            gradient = (mask * (pull * slope + (pull * r - 1.0) * bend)).sum(axis=1) - precision * offset
            move = gradient / information(mask, slope, bend)
            return offset + jnp.clip(move, -_LONGEST_STEP, _LONGEST_STEP)

        return jnp.asarray(jax.lax.fori_loop(0, steps, step, start))

    def evidence(mask: jax.Array, offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        at, _, slope, bend = terms(offset)
        fitted = mask * task_noise(p, at.expected, inv_items, fit_sd).log_prob(score)
        info = information(mask, slope, bend)
        return fitted.sum(axis=1) - 0.5 * (precision * offset**2 - jnp.log(precision) + jnp.log(info)), info

    every = seen[None]
    without = every * (1.0 - jnp.eye(len(score), dtype=base.dtype)[..., None])
    full = mode(every, jnp.zeros_like(base[:1]), _NEWTON_STEPS)
    less = mode(without, jnp.broadcast_to(full, base.shape), _FURTHER_STEPS)
    rest, info = evidence(without, less)
    return evidence(every, full)[0] - rest, less, info, base
