"""Leave-one-out from the draws of one fit: what a score was worth before it was seen, and how much hangs on a model.

A model's capabilities lean on its own few scores, so weights that leave out a score at fixed capabilities explode.
What belongs to the left-out score or model alone is therefore integrated out first, and only what others share is
reweighted (Merkle, Furr and Rabe-Hesketh 2019; Vehtari et al. 2016):

* a benchmark score: see `bayes_obscaling.analyses.left_out`;
* all benchmark scores of a model: ``1 / p(y_m | phi)``, its capabilities integrated by Laplace's method;
* a task score: the family's offset on the task is integrated in the same way, given its other scores. In a cut
  posterior, task scores do not move the capabilities: weights ``1 / p(y | head, theta)`` are normalised over draws of
  the head at each of some draws of the capabilities, so that these keep their posterior. The head is taken as
  independent of one model's capabilities; in a joint posterior, where task scores have informed them, this is an
  approximation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import gammaln, ndtri

from bayes_obscaling.analyses.left_out import predict_left_out
from bayes_obscaling.inference.arrays import Problem
from bayes_obscaling.models.capability import (
    BENCHMARK_FLOOR_SD,
    TASK_NOISE_DF,
    Measurements,
    capability_curve,
    features,
)
from bayes_obscaling.models.links import response, score_variance
from bayes_obscaling.results.fit import Fit
from bayes_obscaling.results.likelihood import problem_of

# Draws that are reweighted, evenly spaced: neighbours in a chain say much the same.
_DRAWS = 1000
# Draws of capabilities at which the weights of the task heads are normalised, and draws of heads to normalise over.
_THETAS, _HEADS = 12, 250
# Fisher scoring: from a draw to the mode given all scores, and on to the mode without one of them.
_NEWTON_STEPS = 8
_FURTHER_STEPS = 6
_LONGEST_STEP = 2.0
_T_CONSTANT = float(gammaln((TASK_NOISE_DF + 1) / 2) - gammaln(TASK_NOISE_DF / 2) - 0.5 * np.log(TASK_NOISE_DF * np.pi))
_CHUNK = 50
HEADS = "task heads"
_KEPT = ("elpd", "pareto_k", "pit")
_SMALLEST_TAIL = 1e-15


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """One stage of a fit with every score it has seen left out in turn.

    Attributes
    ----------
    stage : str
        As in ``fit.convergence``: "capabilities" (and what its predictors leave out) or "task heads"; "joint" and
        "task heads" for a joint posterior.
    scores : DataFrame
        One row a seen score: ``model, benchmark, observed, elpd`` (log predictive density when left out), ``pareto_k``,
        ``pit`` (share of the predictive distribution of a new evaluation, when the score is left out, at or below it)
        and ``z`` (its distance from the mean of that distribution, in sd; for benchmarks the normal quantile of
        ``pit``, at most 7.9).
    units : DataFrame
        What `log_weights` leave out, one row each: ``model, benchmark, pareto_k``. For capabilities all benchmark
        scores of a model (``benchmark`` is "all"), for task heads one task score.
    log_weights : DataArray (draw, unit)
        Smoothed, normalised log weights of the `kept` draws without them.
    kept : array (draw,)
        Which draws, counted along all chains, were reweighted.
    """

    stage: str
    scores: pd.DataFrame
    units: pd.DataFrame
    log_weights: xr.DataArray
    kept: np.ndarray


def pareto_limit(draws: int) -> float:
    """Pareto k up to which weights of so many draws can be relied on: Vehtari et al. (2024), eq. 13."""
    return min(1.0 - 1.0 / np.log10(draws), 0.7)


@lru_cache(maxsize=2)
def leave_one_out(fit: Fit) -> tuple[LeaveOneOut, ...]:
    """Leave every seen score, and every model, out of each stage of a fit.

    Parameters
    ----------
    fit : Fit
        From `bayes_obscaling.fit` or `load_fit`.

    Returns
    -------
    tuple of LeaveOneOut
        One entry a stage: a predictor set of the measurement, and the task heads.
    """
    problem = problem_of(fit)
    total = fit.draws.sizes["chain"] * fit.draws.sizes["draw"]
    kept = np.unique(np.linspace(0, total - 1, min(_DRAWS, total)).astype(int))
    flat = {str(name): value.to_numpy().reshape(total, *value.shape[2:])[kept] for name, value in fit.draws.items()}
    stages = list(fit.convergence)
    found = []
    for index, label in enumerate(fit.draws["predictors"].to_numpy()):
        data = problem.measurements[index]
        left_out = predict_left_out(fit, str(label))
        rows, columns = np.nonzero(np.asarray(data.seen))
        pairs = {name: left_out[name].to_numpy()[rows, columns] for name in _KEPT}
        observed = np.asarray(data.score)[rows, columns]
        # Not from quantiles, which a single draw decides where the score is far out.
        z = ndtri(np.clip(pairs["pit"], _SMALLEST_TAIL, 1.0 - _SMALLEST_TAIL))
        some = np.flatnonzero(np.asarray(data.seen).any(axis=1))
        smooth, pareto_k = _smoothed(-_measurement(data, _measured(flat, index, problem.layout.n_factors))[:, some])
        found.append(
            LeaveOneOut(
                stage=stages[index],
                scores=_named(problem, problem.benchmarks, rows, columns).assign(observed=observed, **pairs, z=z),
                units=pd.DataFrame({"model": np.array(problem.models)[some], "benchmark": "all", "pareto_k": pareto_k}),
                log_weights=xr.DataArray(smooth, dims=("draw", "unit")),
                kept=kept,
            )
        )
    if problem.task_scores is not None:
        columns, rows = np.nonzero(np.asarray(problem.task_scores.seen))
        observed = np.asarray(problem.task_scores.score)[columns, rows]
        density, log_weight, replicate = (part[:, rows, columns] for part in _heads(fit, flat))
        smooth, pareto_k = _smoothed(log_weight)
        weights = np.exp(smooth)
        mean = (weights * replicate).sum(axis=0)
        named = _named(problem, problem.tasks, rows, columns)
        scores = named.assign(
            observed=observed,
            elpd=np.logaddexp.reduce(smooth + density, axis=0),
            pareto_k=pareto_k,
            pit=np.clip((weights * (replicate <= observed)).sum(axis=0), 0.0, 1.0),
            # Where a few draws have all the weight, they are closer together than predictions are.
            z=(observed - mean)
            / np.maximum(np.sqrt((weights * (replicate - mean) ** 2).sum(axis=0)), replicate.std(0)),
        )
        log_weights = xr.DataArray(smooth, dims=("draw", "unit"))
        found.append(LeaveOneOut(HEADS, scores, named.assign(pareto_k=pareto_k), log_weights, kept))
    return tuple(found)


def _named(problem: Problem, names: tuple[str, ...], rows: np.ndarray, columns: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"model": np.array(problem.models)[rows], "benchmark": np.array(names)[columns]})


def _smoothed(log_weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pareto-smoothed, normalised log weights (draw, n) and Pareto k (n,), by ArviZ (Vehtari et al. 2024)."""
    # ArviZ takes the log likelihood that is left out, and turns its sign.
    left_out = xr.DataArray(-log_weight, dims=("draw", "score"))
    smooth, pareto_k = left_out.azstats.psislw(dim=["draw"])
    return smooth.transpose("draw", "score").to_numpy(), pareto_k.to_numpy()


# --- capabilities -------------------------------------------------------------------------------------------------


def _measured(flat: dict[str, np.ndarray], index: int, n_factors: int) -> dict[str, np.ndarray]:
    names = (
        "intercept", "slope", "residual_sd", "compute", "theta", "loading", "difficulty", "ceiling_gap",
        "family_offset", "overdispersion",
    )  # fmt: skip
    mine = {name: flat[name][:, index] for name in names}
    some = flat["curvature"][:, index] if "curvature" in flat else np.zeros((len(mine["compute"]), n_factors))
    return {**mine, "curvature": some}


def _measurement(data: Measurements, draws: dict[str, np.ndarray]) -> np.ndarray:
    """Log density (draw, model) of all scores of a model together."""
    count, parts = len(draws["theta"]), []
    for start in range(0, count, _CHUNK):
        rows = np.minimum(np.arange(start, start + _CHUNK), count - 1)  # a fixed shape: one compiled program
        parts.append(np.asarray(_integrate({name: value[rows] for name, value in draws.items()}, data)))
    return np.concatenate(parts)[:count]


@jax.jit
def _integrate(draws: dict[str, jax.Array], data: Measurements) -> jax.Array:
    def of_draw(draw: dict[str, jax.Array]) -> jax.Array:
        prior = capability_curve(
            draw["intercept"][data.family], draw["slope"][data.family], draw["curvature"], draw["compute"][:, None]
        )
        offset = draw["difficulty"] + draw["family_offset"][data.family]
        return jax.vmap(lambda *args: _integrate_model(draw, data.chance, *args))(
            prior, draw["theta"], offset, data.score, data.seen.astype(float), data.inv_items
        )

    return jax.vmap(of_draw)(draws)


def _integrate_model(
    draw: dict[str, jax.Array],
    chance: jax.Array,
    prior: jax.Array,
    start: jax.Array,
    offset: jax.Array,
    score: jax.Array,
    seen: jax.Array,
    inv_items: jax.Array,
) -> jax.Array:
    """One model at one draw: log density of its scores, K capabilities integrated by Laplace's method."""
    precision = 1.0 / draw["residual_sd"] ** 2

    def curve(theta: jax.Array) -> tuple[jax.Array, ...]:
        """Expected scores, their variances, and the slopes of both in the linear predictor."""
        eta = draw["loading"] @ theta + offset
        p = response(eta, chance, draw["ceiling_gap"])
        variance = score_variance(p, inv_items, draw["overdispersion"], BENCHMARK_FLOOR_SD)
        slope = (1.0 - chance) * (1.0 - draw["ceiling_gap"]) * jax.nn.sigmoid(eta) * jax.nn.sigmoid(-eta)
        return p, variance, slope, (1.0 - 2.0 * p) * (inv_items + draw["overdispersion"] ** 2) * slope

    def information(variance: jax.Array, slope: jax.Array, bend: jax.Array) -> list[list[jax.Array]]:
        """Expected Hessian, as its Cholesky factor: positive definite, whatever the scores."""
        weight = seen * (slope**2 / variance + 0.5 * (bend / variance) ** 2)
        return _cholesky((draw["loading"].T * weight) @ draw["loading"] + jnp.diag(precision))

    def step(_: int, theta: jax.Array) -> jax.Array:
        p, variance, slope, bend = curve(theta)
        miss = score - p
        pull = seen * (slope * miss / variance + 0.5 * bend * (miss**2 / variance**2 - 1.0 / variance))
        gradient = draw["loading"].T @ pull - precision * (theta - prior)
        move = _solve(information(variance, slope, bend), gradient)
        return theta + jnp.clip(move, -_LONGEST_STEP, _LONGEST_STEP)

    theta = jax.lax.fori_loop(0, _NEWTON_STEPS, step, start)
    p, variance, slope, bend = curve(theta)
    fitted = -0.5 * seen * ((score - p) ** 2 / variance + jnp.log(2 * jnp.pi * variance))
    near = -0.5 * (precision * (theta - prior) ** 2 - jnp.log(precision))
    root = information(variance, slope, bend)
    return fitted.sum() + near.sum() - sum(jnp.log(row[-1]) for row in root)


# Unrolled for a handful of factors: a call to LAPACK for each of a million 4 x 4 matrices costs ten times as much.
def _cholesky(matrix: jax.Array) -> list[list[jax.Array]]:
    root: list[list[jax.Array]] = []
    for i in range(matrix.shape[0]):
        row: list[jax.Array] = []
        for j in range(i):
            row.append((matrix[i, j] - sum(row[k] * root[j][k] for k in range(j))) / root[j][j])
        row.append(jnp.sqrt(matrix[i, i] - sum(value**2 for value in row)))
        root.append(row)
    return root


def _solve(root: list[list[jax.Array]], vector: jax.Array) -> jax.Array:
    size = len(root)
    half: list[Any] = []
    for i, row in enumerate(root):
        half.append((vector[i] - sum(row[k] * half[k] for k in range(i))) / row[i])
    solved: list[Any] = [None] * size
    for i in reversed(range(size)):
        solved[i] = (half[i] - sum(root[k][i] * solved[k] for k in range(i + 1, size))) / root[i][i]
    return jnp.stack(solved)


# --- task heads ---------------------------------------------------------------------------------------------------


def _heads(fit: Fit, flat: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
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
        found = _offsets(tuple(part[which_head] for part in head), z[which_z][:, :, rows], facts, fit.spec.fit_sd)
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
def _offsets(head: Any, z: jax.Array, facts: Any, fit_sd: float) -> tuple[jax.Array, ...]:
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
