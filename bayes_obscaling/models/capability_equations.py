"""The equations of the capability model, as pure functions of named parameters and data.

The numpyro model, forecasts, leave-one-out and every analysis call them, and nobody writes them a second time but the
simulator of the validation room. Parameters come as a mapping by the name of the posterior variable; leading axes
broadcast, so the same function serves one draw inside the model and all draws of a posterior.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from bayes_obscaling.data.dates import years_of
from bayes_obscaling.models.links import Numbers, response, response_slope, score_variance
from bayes_obscaling.models.priors import Priors

# Compute enters the model as log10(FLOPs) minus this: 3.2e22 FLOPs, near the middle of the public models.
COMPUTE_CENTRE = 22.5
# Tokens per parameter enter as their log10 minus this: 200 tokens, near the middle of the public models.
RATIO_CENTRE = 2.3
# Where efficiency may turn when it walks: every half year, as covariates have dates (2015.5 to 2038.5).
WALK_STEP = 0.5
WALK_KNOTS = np.arange(-8.0, 15.0 + WALK_STEP, WALK_STEP)
# Score-scale floor of the measurement noise of a benchmark.
BENCHMARK_FLOOR_SD = 0.01
# Degrees of freedom of the noise of task scores around their curve.
TASK_NOISE_DF = 10.0
# The same of the noise of benchmark scores in sparse tables.
CELL_NOISE_DF = 5.0
# Spread of a factor (logits) below which standardising would only blow up noise: a cutoff with one or two models.
_SMALLEST_SPREAD = 0.1
# Population parameters of the family lines that have a prior for each factor.
LINE_PARAMETERS = ("intercept_mean", "intercept_sd", "slope_mean", "slope_sd", "residual_sd")
# What a family has of its own: population mean and standard deviation of each effect, by posterior variable. A family
# never seen draws its effects from there.
FAMILY_EFFECTS: dict[str, tuple[str | None, str]] = {
    "intercept": ("intercept_mean", "intercept_sd"),
    "slope": ("slope_mean", "slope_sd"),
    "family_drift": (None, "family_drift_sd"),
    "family_offset": (None, "family_offset_sd"),
    "task_family_offset": (None, "task_family_offset_sd"),
}

# What benchmarks have of their own: shape and noise (as far as the curve has them; chance where any is inferred), and
# their linear predictor's part.
BENCHMARK_SHAPE = ("chance", "ceiling_gap", "asymmetry", "overdispersion")
BENCHMARK_CURVE = ("loading", "difficulty", *BENCHMARK_SHAPE)
# The same of tasks.
TASK_SHAPE = ("task_chance", "task_ceiling_gap", "task_asymmetry", "task_overdispersion")
TASK_CURVE = ("weight", "task_difficulty", *TASK_SHAPE)

Parameters = Mapping[str, Numbers]


class Covariates(NamedTuple):
    """What a family's line reads of its models (..., M)."""

    compute: Numbers  # log10 FLOPs - COMPUTE_CENTRE, anything where unknown
    date: Numbers = 0.0  # years since DATE_CENTRE
    reasoning: Numbers = 0.0  # 1 for a model that reasons before it answers
    ratio: Numbers | None = None  # log10 tokens per parameter - RATIO_CENTRE, where the law reads it


def covariates_of(facts: Mapping[str, Any]) -> Covariates:
    """What lines of families read of a table's models, or of scenarios: ``flops`` and more, NaN where unknown.

    Equation 1 of docs/explanation/model.md.
    """
    flops = np.asarray(facts["flops"], float)
    known = np.isfinite(flops)
    compute = np.where(known, np.log10(np.where(known, flops, 1.0)) - COMPUTE_CENTRE, 0.0)
    date = years_of(facts["date"]) if "date" in facts else np.zeros(flops.shape)
    return Covariates(compute=compute, date=date, reasoning=np.zeros(flops.shape))


def ratio_of(facts: Mapping[str, Any]) -> np.ndarray:
    """Tokens per parameter as `Covariates` have them (M,), from ``flops, params, tokens``; NaN where unknown.

    Two of the three are enough: ``flops = 6 params tokens``. Equation 48 of docs/explanation/model.md.
    """
    flops, params, tokens = (np.log10(np.asarray(facts[name], float)) for name in ("flops", "params", "tokens"))
    product = flops - np.log10(6.0)
    params = np.where(np.isnan(params), product - tokens, params)
    return np.where(np.isnan(tokens), product - params, tokens) - params - RATIO_CENTRE


def as_drawn(p: Parameters, x: Covariates) -> Covariates:
    """Covariates with what a fit draws of them: ``compute`` and, where its law reads it, ``ratio`` (..., M)."""
    return x._replace(compute=p["compute"], ratio=p.get("ratio", x.ratio))


class Measurements(NamedTuple):
    """Arrays of a measurement fit (M models, I benchmarks)."""

    score: jax.Array  # (M, I) fractions, anything where unseen
    seen: jax.Array  # (M, I) bool
    inv_items: jax.Array  # (M, I) 1 / number of items, 0 where there is none
    chance: jax.Array  # (I,)
    family: jax.Array  # (M,) int
    covariates: Covariates  # (M,) each
    compute_sd: jax.Array | None = None  # (M,) sd of the error of compute, decades; 0 where it is exact
    walk_sd: jax.Array | None = None  # () of the walk of efficiency in its first year, decades, where it walks
    cells: Cells | None = None  # of a sparse table, instead of score, seen and inv_items


class Cells(NamedTuple):
    """Scores of a sparse table, one after the other (C cells; a cell may be there in several settings)."""

    model: jax.Array  # (C,) int
    benchmark: jax.Array  # (C,) int
    score: jax.Array  # (C,)
    seen: jax.Array  # (C,) bool
    inv_items: jax.Array  # (C,)
    effort: jax.Array  # (C,) steps of effort from the model's best, at most 0
    reasoning: jax.Array  # (C,) -1 where a reasoning model answered without, else 0
    date: jax.Array | None = None  # (C,) of the model's release, years since DATE_CENTRE, where benchmarks drift


class TaskScores(NamedTuple):
    """Arrays of the task heads (M models, T tasks, G predictor sets)."""

    score: jax.Array  # (M, T) fractions
    seen: jax.Array  # (M, T) bool
    inv_items: jax.Array  # (M, T)
    chance: jax.Array  # (T,)
    family: jax.Array  # (M,) int
    predictors: jax.Array  # (T,) int: which of the G predictor sets a task reads


def line(p: Parameters, x: Covariates) -> jax.Array:
    """Expected capability (..., M, K) of models on the lines of their families.

    Equations 2 and 3 of docs/explanation/model.md: ``a + b (1 - exp(-h x)) / h``, in the limit h -> 0 ``a + b x``. `p`
    has ``intercept`` (logits) and ``slope`` (logits per decade), (..., M, K) each, one row per model, and ``curvature``
    (..., K), per decade, or ``ratio_worth`` (..., K), decades per decade (Equation 49), where the law has one. With
    ``drift`` (..., K) years are worth compute, beside it ``walk`` (..., L, K) at `WALK_KNOTS` (Equation 52).
    """
    typical = p["intercept"] + p["slope"] * bent_compute(p, x)
    if "reasoning_step" in p:
        typical = typical + jnp.asarray(p["reasoning_step"])[..., None, :] * jnp.asarray(x.reasoning)[..., None]
    if "drift" not in p:
        return jnp.asarray(typical)
    a_year = jnp.asarray(p["drift"])[..., None, :] + p.get("family_drift", 0.0)
    decades = a_year * jnp.asarray(x.date)[..., None]
    if "walk" in p:
        decades = decades + walked(p["walk"], x.date)
    return jnp.asarray(typical + jnp.asarray(p["slope_mean"])[..., None, :] * decades)


def walked(walk: Numbers, date: Numbers) -> jax.Array:
    """Decades of compute (..., M, K) by which efficiency is off its steady drift at dates (M,).

    `walk` (..., L, K) is that at `WALK_KNOTS`; between them it is linear, before and after them constant.
    """
    inside = jnp.clip(jnp.asarray(date), WALK_KNOTS[0], WALK_KNOTS[-1])[..., None]
    share = jnp.maximum(0.0, 1.0 - jnp.abs(inside - WALK_KNOTS) / WALK_STEP)
    return jnp.asarray(share @ jnp.asarray(walk))


def compute_trend(p: Parameters, family: Numbers, date: Numbers) -> jax.Array:
    """Expected compute (..., M), in units of `Covariates`, of models of families released at dates (M,).

    `p` has ``compute_level`` and ``compute_growth`` (...); `family` (..., M) are the effects of the families.
    """
    grown = jnp.asarray(p["compute_growth"])[..., None] * date
    return jnp.asarray(p["compute_level"])[..., None] + grown + family


def bent_compute(p: Parameters, x: Covariates) -> jax.Array:
    """What multiplies the slope of a line, (..., M, K) or (..., M, 1): compute, bent by the curvature if there is one.

    Or effective compute, in which tokens per parameter count. Parameters and shapes as in `line`.
    """
    compute = jnp.asarray(x.compute)[..., None]
    if "ratio_worth" in p and x.ratio is not None:
        return compute + jnp.asarray(p["ratio_worth"])[..., None, :] * jnp.asarray(x.ratio)[..., None]
    if "curvature" not in p:
        return compute
    curvature = jnp.asarray(p["curvature"])[..., None, :]
    small = jnp.abs(curvature) < 1e-4
    h = jnp.where(small, 1.0, curvature)
    bent = -jnp.expm1(-h * compute) / h
    return jnp.where(small, compute * (1.0 - 0.5 * curvature * compute), bent)


def line_slope(p: Parameters, x: Covariates) -> jax.Array:
    """Capability per decade of compute (..., M, K) along the lines of families, by automatic differentiation.

    Parameters and shapes as in `line`.
    """
    compute = jnp.asarray(x.compute, float)
    return jax.jvp(lambda place: line(p, x._replace(compute=place)), (compute,), (jnp.ones_like(compute),))[1]


def benchmark_predictor(p: Parameters, theta: Numbers, offset: Numbers = 0.0) -> jax.Array:
    """Linear predictor (..., M, I) of benchmarks, in logits: ``l . theta + d + v``.

    `theta` are capabilities (..., M, K); `offset` (..., M, I) is that of the model's family.
    """
    weighted = jnp.asarray(theta) @ jnp.swapaxes(jnp.asarray(p["loading"]), -1, -2)
    return weighted + jnp.asarray(p["difficulty"])[..., None, :] + offset


def benchmark_response(p: Parameters, eta: Numbers, chance: Numbers) -> jax.Array:
    """Expected benchmark scores (..., M, I) at linear predictors `eta`.

    Reads ``ceiling_gap`` and, where the curve has one, ``asymmetry`` (..., I); and ``chance`` (..., I), instead of the
    argument, where the fit infers any.
    """
    shape = jnp.asarray(p["asymmetry"])[..., None, :] if "asymmetry" in p else None
    return response(eta, _chance(p, "chance", chance), jnp.asarray(p["ceiling_gap"])[..., None, :], shape)


def _chance(p: Parameters, name: str, stated: Numbers) -> Numbers:
    """Chance levels: those that are stated, or (..., 1, n) those of a fit that infers some of them."""
    return jnp.asarray(p[name])[..., None, :] if name in p else stated


def expected_cells(p: Parameters, theta: jax.Array, cells: Cells, chance: jax.Array) -> jax.Array:
    """Expected scores (C,) of the cells of a sparse table; `theta` (M, K) are capabilities at a model's best effort.

    Equations 37 and 51 of docs/explanation/model.md, in the response curve.
    """
    at = cells.benchmark
    here = theta[cells.model] + p["reasoning_step"] * cells.reasoning[:, None]
    here = here + p["effort_step"] * cells.effort[:, None]
    eta = (here * jnp.asarray(p["loading"])[at]).sum(axis=-1) + jnp.asarray(p["difficulty"])[at]
    if cells.date is not None:
        eta = eta + jnp.asarray(p["benchmark_drift"])[at] * cells.date
    shape = jnp.asarray(p["asymmetry"])[at] if "asymmetry" in p else None
    floor = jnp.asarray(p.get("chance", chance))
    return response(eta, floor[at], jnp.asarray(p["ceiling_gap"])[at], shape)


def benchmark_slopes(p: Parameters, eta: Numbers, chance: Numbers) -> tuple[jax.Array, jax.Array]:
    """Expected benchmark scores, and their derivatives in the linear predictor (score units per logit).

    Parameters and shapes as in `benchmark_response`.
    """
    eta = jnp.asarray(eta)
    return jax.jvp(lambda place: benchmark_response(p, place, chance), (eta,), (jnp.ones_like(eta),))


def expected_benchmarks(p: Parameters, theta: Numbers, offset: Numbers, chance: Numbers) -> jax.Array:
    """Expected benchmark scores (..., M, I), at capabilities `theta` (..., M, K).

    Equation 6 of docs/explanation/model.md, in the response curve. `p` has ``loading`` (..., I, K), ``difficulty`` and
    ``ceiling_gap`` (..., I); `offset` (..., M, I) are those of the models' families.
    """
    return benchmark_response(p, benchmark_predictor(p, theta, offset), chance)


def cell_noise(p: Parameters, expected: Numbers, cells: Cells) -> dist.StudentT:
    """Distribution (C,) of the scores of a sparse table around their expectation.

    Equation 39 of docs/explanation/model.md. Its tails are heavier than normal: sources disagree about some scores by
    ten points.
    """
    dispersion = jnp.asarray(p["overdispersion"])[cells.benchmark]
    scale = jnp.sqrt(score_variance(expected, cells.inv_items, dispersion, BENCHMARK_FLOOR_SD))
    return dist.StudentT(CELL_NOISE_DF, expected, scale)


def benchmark_noise(p: Parameters, expected: Numbers, inv_items: Numbers) -> dist.Normal:
    """Distribution (..., M, I) of benchmark scores around their expectation; reads ``overdispersion`` (..., I).

    Equation 8 of docs/explanation/model.md.
    """
    dispersion = jnp.asarray(p["overdispersion"])[..., None, :]
    return dist.Normal(expected, jnp.sqrt(score_variance(expected, inv_items, dispersion, BENCHMARK_FLOOR_SD)))


def task_predictor(p: Parameters, z: Numbers, offset: Numbers = 0.0) -> jax.Array:
    """Linear predictor (..., M, T) of tasks, for standardised capabilities `z` (..., M, T, K).

    Unlike in `benchmark_predictor`, each task reads capabilities of its own: this is no product of matrices.
    """
    weighted = (jnp.asarray(z) * jnp.asarray(p["weight"])[..., None, :, :]).sum(axis=-1)
    return weighted + jnp.asarray(p["task_difficulty"])[..., None, :] + offset


def task_response(p: Parameters, eta: Numbers, chance: Numbers) -> jax.Array:
    """Expected task scores (..., M, T) at linear predictors `eta`.

    Reads ``task_ceiling_gap`` and, where the curve has one, ``task_asymmetry`` (..., T); and ``task_chance`` (..., T),
    instead of the argument, where the fit infers any.
    """
    return response(eta, _chance(p, "task_chance", chance), *_task_shape(p))


def _task_shape(p: Parameters) -> tuple[jax.Array, jax.Array | None]:
    shape = jnp.asarray(p["task_asymmetry"])[..., None, :] if "task_asymmetry" in p else None
    return jnp.asarray(p["task_ceiling_gap"])[..., None, :], shape


def expected_tasks(p: Parameters, z: Numbers, offset: Numbers, chance: Numbers) -> jax.Array:
    """Expected task scores (..., M, T), at standardised capabilities `z` (..., M, T, K) of each task's predictor set.

    Equation 12 of docs/explanation/model.md. `p` has ``weight`` (..., T, K), ``task_difficulty`` and
    ``task_ceiling_gap`` (..., T); `offset` (..., M, T) are those of the models' families.
    """
    return task_response(p, task_predictor(p, z, offset), chance)


def task_slopes(p: Parameters, z: Numbers, offset: Numbers, chance: Numbers) -> tuple[jax.Array, jax.Array]:
    """Expected task scores, and their derivatives in the linear predictor (score units per logit).

    Parameters and shapes as in `expected_tasks`.
    """
    return response_slope(task_predictor(p, z, offset), _chance(p, "task_chance", chance), *_task_shape(p))


def task_noise(p: Parameters, expected: Numbers, inv_items: Numbers, floor_sd: Numbers) -> dist.StudentT:
    """Distribution (..., M, T) of task scores around their expectation; reads ``task_overdispersion`` (..., T).

    Equations 13 and 17 of docs/explanation/model.md: `floor_sd` is ``fit_sd`` in a fit, ``predictive_sd`` in forecasts.
    Its tails are heavier than normal: one odd score among near-floor ones must not decide how steep the curve is, and a
    trajectory that passes through a steep curve does not meet a cliff (no divergences).
    """
    dispersion = jnp.asarray(p["task_overdispersion"])[..., None, :]
    return dist.StudentT(TASK_NOISE_DF, expected, jnp.sqrt(score_variance(expected, inv_items, dispersion, floor_sd)))


def task_weight(logit_share: Numbers, contrast: Numbers, steepness: Numbers) -> jax.Array:
    """Weights (..., K) of a task, ``S (softmax(a) + delta)``: shares, small signed contrasts, steepness (...).

    Equation 10 of docs/explanation/model.md.
    """
    return jnp.asarray(steepness)[..., None] * (jax.nn.softmax(jnp.asarray(logit_share), axis=-1) + contrast)


def reference_scale(theta: Numbers, reference: Numbers) -> tuple[jax.Array, jax.Array]:
    """Mean and spread (..., 1, K) over the models whose task scores are seen (`reference` is 1), for `standardise`."""
    share = (reference / reference.sum())[:, None]  # type: ignore[union-attr]
    centre = (share * theta).sum(axis=-2, keepdims=True)
    variance = (share * (theta - centre) ** 2).sum(axis=-2, keepdims=True)
    return centre, jnp.sqrt(variance + _SMALLEST_SPREAD**2)


def standardise(theta: Numbers, scale: tuple[Numbers, Numbers]) -> jax.Array:
    """Capabilities in units of the spread of the reference models, (..., M, K); `scale` from `reference_scale`.

    Equation 9 of docs/explanation/model.md. So a forecast does not depend on which other models happen to be asked
    about, and priors on the heads are in units of the spread of capability that they can learn from.
    """
    centre, spread = scale
    return jnp.asarray((theta - centre) / spread)


def by_task(z: Numbers, predictors: Numbers) -> jax.Array:
    """Standardised capabilities (..., M, T, K) that tasks read, from those of each predictor set (..., G, M, K)."""
    return jnp.moveaxis(jnp.asarray(z)[..., jnp.asarray(predictors), :, :], -3, -2)


def new_family(p: Parameters, unit: Callable[[str, tuple[int, ...]], np.ndarray]) -> dict[str, np.ndarray]:
    """Effects of a family never seen, for those that `p` has, drawn from the population of families.

    Equation 16 of docs/explanation/model.md. `p` has means and standard deviations of the population, (..., n) each;
    `unit` gives standard normal numbers for the effect of a name and the shape of its standard deviation.
    """
    return {
        name: np.asarray((p[mean] if mean else 0.0) + p[sd] * unit(name, np.shape(p[sd])))
        for name, (mean, sd) in FAMILY_EFFECTS.items()
        if sd in p
    }


def new_task(p: Parameters, priors: Priors, unit: Callable[[tuple[int, ...]], np.ndarray]) -> dict[str, np.ndarray]:
    """Head of a task never seen: drawn from the population of heads, and from its prior where nothing is pooled.

    Equation 18 of docs/explanation/model.md. `p` has ``share_mean`` (..., K), ``share_sd, contrast_sd,
    steepness_median, steepness_sd`` (...) of the population, and ``task_family_offset`` (..., F, T) of the tasks seen,
    for the number of families; `unit` gives standard normal numbers of a shape. By posterior variable, with an axis of
    one task: ``weight`` (..., 1, K), ``task_difficulty, task_ceiling_gap, task_overdispersion`` (..., 1),
    ``task_family_offset`` (..., F, 1).
    """
    shape = np.shape(p["share_sd"])
    factors, families = np.shape(p["share_mean"])[-1], np.shape(p["task_family_offset"])[-2]
    share = p["share_mean"] + np.asarray(p["share_sd"])[..., None] * unit((*shape, factors))
    contrast = np.asarray(p["contrast_sd"])[..., None] * unit((*shape, factors))
    steepness = p["steepness_median"] * np.exp(p["steepness_sd"] * unit(shape))
    difficulty = priors.task_difficulty.from_normal(unit(shape))
    offset = priors.task_family_offset_sd.from_normal(unit(shape))[..., None] * unit((*shape, families))
    return {
        "weight": np.asarray(task_weight(share, contrast, steepness))[..., None, :],
        "task_difficulty": difficulty[..., None],
        "task_family_offset": offset[..., None],
        "task_ceiling_gap": priors.task_ceiling_gap.from_normal(unit(shape))[..., None],
        **(
            {"task_asymmetry": priors.task_asymmetry.from_normal(unit(shape))[..., None]}
            if "task_asymmetry" in p
            else {}
        ),
        "task_overdispersion": priors.task_overdispersion.from_normal(unit(shape))[..., None],
    }
