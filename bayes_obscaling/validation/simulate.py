"""Tables drawn from the capability model, which is written here a second time: in plain NumPy, from its stated priors.

Nothing of the numpyro model is called, so that a slip in one of the two writings shows: in tests that compare the two,
and in simulation-based calibration. What was not drawn is kept: which scores are missing, items, families, compute,
chance levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.models.capability_equations import (
    BENCHMARK_FLOOR_SD,
    TASK_NOISE_DF,
    Measurements,
    TaskScores,
)
from bayes_obscaling.models.layout import Layout
from bayes_obscaling.models.priors import LogNormal, Normal
from bayes_obscaling.models.spec import CapabilitySpec, Structure

Values = dict[str, np.ndarray]
Numbers = np.ndarray | tuple[float, ...]
Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Simulation:
    """A table drawn from known parameters.

    Attributes
    ----------
    table : ScoreTable
        Scores, missing where they are in the table that gave the shapes.
    truth : dict of arrays
        By posterior variable.
    curve : DataFrame
        Expected scores: models by benchmarks and tasks.
    """

    table: ScoreTable
    truth: Values
    curve: pd.DataFrame


def normal(rng: Rng, prior: Normal, *shape: int) -> np.ndarray:
    """Draws from a prior."""
    return rng.normal(prior.loc, prior.scale, shape)


def lognormal(rng: Rng, prior: LogNormal, *shape: int) -> np.ndarray:
    """Draws from a prior."""
    return np.asarray(prior.median * np.exp(prior.log_sd * rng.standard_normal(shape)))


def sigmoid(eta: np.ndarray) -> np.ndarray:
    """Logistic function."""
    return 0.5 * (1.0 + np.tanh(0.5 * eta))


def simulate_table(table: ScoreTable, layout: Layout, spec: CapabilitySpec, rng: Rng) -> Simulation:
    """Draw all parameters from the priors, and new scores for the benchmarks and tasks of a layout.

    Of the table's scores only those that are missing are read; all tasks read all benchmarks, and their scores scatter
    with `fit_sd`, as heads are fitted.
    """
    data, tasks = layout.measurements[0], layout.task_scores
    t = draw_measurement(data, layout.structure, spec, rng)
    curve = benchmark_curve(t, data)
    score = curve + benchmark_sd(curve, t, data) * rng.standard_normal(curve.shape)
    if tasks is not None:
        t |= draw_heads(layout.structure, spec, rng, np.asarray(tasks.chance))
        q = task_curve(t, standardised(t["theta"], layout.reference), tasks)
        task = q + task_sd(q, t, tasks, spec.fit_sd) * task_noise(q.shape, rng)
        curve, score = np.hstack([curve, q]), np.hstack([score, task])
    return simulation_of(table, layout, t, curve, score)


def simulation_of(table: ScoreTable, layout: Layout, truth: Values, curve: np.ndarray, score: np.ndarray) -> Simulation:
    """Name what was drawn: expected and drawn scores (models, benchmarks and tasks), the latter cut to 0..1."""
    names = [*layout.benchmarks, *layout.tasks]
    frame = pd.DataFrame(curve, index=pd.Index(layout.models, name="model"), columns=names)
    wide = pd.DataFrame(np.clip(score, 0.0, 1.0), index=frame.index, columns=names)
    wide = wide.where(table.matrix(names).loc[list(layout.models)].notna())
    long = wide.reset_index().melt(id_vars="model", var_name="benchmark", value_name="score").dropna()
    return Simulation(ScoreTable(table.models, table.benchmarks.loc[names], long), truth, frame)


def draw_measurement(data: Measurements, structure: Structure, spec: CapabilitySpec, rng: Rng) -> Values:
    """Draw all parameters of the measurement model from the priors; no score is read.

    By posterior variable, shapes as in a fit of one predictor set (without chains and draws).
    """
    priors, k, n = spec.priors, structure.n_factors, structure.n_benchmarks
    family = np.asarray(data.family)
    t: Values = {
        "intercept_mean": normal(rng, priors.intercept_mean, k),
        "intercept_sd": lognormal(rng, priors.intercept_sd, k),
        "slope_mean": normal(rng, priors.slope_mean, k),
        "slope_sd": lognormal(rng, priors.slope_sd, k),
        "residual_sd": lognormal(rng, priors.residual_sd, k),
    }
    if structure.compute_law == "box-cox":
        t["curvature"] = normal(rng, priors.curvature, k)
    if structure.compute_law == "size-and-data":
        t["ratio_worth"] = normal(rng, priors.ratio_worth, k)
    t["date"] = np.array(data.covariates.date)
    if structure.drift != "none":
        t["drift"] = lognormal(rng, priors.drift, k)
    t["intercept"] = t["intercept_mean"] + t["intercept_sd"] * rng.standard_normal((structure.n_families, k))
    t["slope"] = t["slope_mean"] + t["slope_sd"] * rng.standard_normal((structure.n_families, k))
    x = np.array(data.covariates.compute)
    x[list(structure.unknown_compute)] = normal(rng, priors.unknown_compute, len(structure.unknown_compute))
    t["compute"] = x
    if "ratio_worth" in t:
        t["ratio"] = np.array(data.covariates.ratio)
        t["ratio"][list(structure.unknown_ratio)] = normal(rng, priors.unknown_ratio, len(structure.unknown_ratio))
    t["theta"] = expected_capability(t, family)
    t["theta"] = t["theta"] + t["residual_sd"] * rng.standard_normal((structure.n_models, k))

    loading = np.abs(rng.normal(0.0, priors.loading.scale, (n, k)))
    loading[list(structure.signed)] = normal(rng, priors.signed_loading, len(structure.signed), k)
    difficulty = normal(rng, priors.difficulty, n)
    ceiling = priors.label_errors if structure.curve == "asymmetric" else priors.ceiling_gap
    gap = rng.beta(ceiling.a, ceiling.b, n)
    for factor, benchmark in enumerate(structure.anchors):
        loading[benchmark], difficulty[benchmark] = np.eye(k)[factor], 0.0
    gap[list(structure.no_ceiling)] = 0.0
    if structure.curve == "asymmetric":
        t["asymmetry"] = lognormal(rng, priors.asymmetry, n)
        t["asymmetry"][list(structure.no_ceiling)] = 1.0
    t |= {"loading": loading, "difficulty": difficulty, "ceiling_gap": gap}
    t["family_offset_sd"] = lognormal(rng, priors.family_offset_sd, n)
    t["family_offset"] = t["family_offset_sd"] * rng.standard_normal((structure.n_families, n))
    t["overdispersion"] = lognormal(rng, priors.overdispersion, n)
    return t | draw_chance("chance", np.asarray(data.chance), structure.unknown_chance, spec, rng)


def draw_chance(name: str, stated: Numbers, unknown: tuple[int, ...], spec: CapabilitySpec, rng: Rng) -> Values:
    """Draw the chance levels (n,) that nobody said, beside the stated ones, as the variable `name`; none, nothing."""
    if not unknown:
        return {}
    believed, level = spec.priors.chance, np.array(stated)
    for i in unknown:
        lump = rng.choice(len(believed.at) + 1, p=[*believed.weight, 1.0 - sum(believed.weight)])
        level[i] = -1.0
        while not 0.0 <= level[i] <= believed.top:
            is_between = lump == len(believed.at)
            level[i] = rng.uniform(0.0, believed.top) if is_between else rng.normal(believed.at[lump], believed.sd)
    return {name: level}


def expected_capability(t: Values, family: np.ndarray) -> np.ndarray:
    """Capabilities (..., M, K) on the lines of the models' families; `t` holds ``compute`` (..., M), ``date`` (M,)."""
    x = t["compute"][..., None]
    if "ratio_worth" in t:
        x = x + t["ratio_worth"][..., None, :] * t["ratio"][..., None]
    if "curvature" in t:  # Box and Cox: (1 - exp(-h x)) / h, by its series where h x is small
        h = t["curvature"][..., None, :]
        away = np.where(np.abs(h * x) < 1e-5, 1.0, h)
        x = np.where(np.abs(h * x) < 1e-5, x - h * x**2 / 2 + h**2 * x**3 / 6, (1.0 - np.exp(-away * x)) / away)
    capability = t["intercept"][..., family, :] + t["slope"][..., family, :] * x
    if "drift" in t:
        capability = capability + (t["slope_mean"] * t["drift"])[..., None, :] * t["date"][:, None]
    return np.asarray(capability)


def benchmark_curve(t: Values, data: Measurements) -> np.ndarray:
    """Expected benchmark scores (..., M, I) of parameters whose leading axes are draws or none."""
    chance = t["chance"][..., None, :] if "chance" in t else np.asarray(data.chance)
    eta = t["theta"] @ np.swapaxes(t["loading"], -1, -2) + t["difficulty"][..., None, :]
    eta = eta + t["family_offset"][..., np.asarray(data.family), :]
    share = richards(eta, t["asymmetry"][..., None, :]) if "asymmetry" in t else sigmoid(eta)
    return np.asarray(chance + (1.0 - chance) * (1.0 - t["ceiling_gap"][..., None, :]) * share)


def richards(eta: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """Generalised logistic function that passes 1/2 at 0 with slope 1/4."""
    half = 0.5 ** (1.0 / nu)
    stretch = 1.0 / (2.0 * nu * (1.0 - half))
    return np.asarray(1.0 - np.exp(-nu * np.logaddexp(0.0, stretch * eta + np.log(1.0 / half - 1.0))))


def benchmark_sd(p: np.ndarray, t: Values, data: Measurements) -> np.ndarray:
    """Standard deviation of benchmark scores around `benchmark_curve`, same shape."""
    relative = np.asarray(data.inv_items) + t["overdispersion"][..., None, :] ** 2
    return np.asarray(np.sqrt(p * (1.0 - p) * relative + BENCHMARK_FLOOR_SD**2))


def draw_heads(structure: Structure, spec: CapabilitySpec, rng: Rng, stated: Numbers = ()) -> Values:
    """Draw all parameters of the task heads from the priors, shaped as in a fit (without chains and draws).

    `stated` are the chance levels (T,) of the tasks, read where the structure says that some are unknown.
    """
    priors, n_tasks, k = spec.priors, structure.n_tasks, structure.n_factors
    t: Values = {
        "share_mean": normal(rng, priors.share_mean, k),
        "share_sd": lognormal(rng, priors.share_sd),
        "contrast_sd": lognormal(rng, priors.contrast_sd),
        "steepness_median": lognormal(rng, priors.steepness),
        "steepness_sd": lognormal(rng, priors.steepness_sd),
    }
    raw = t["share_mean"] + t["share_sd"] * rng.standard_normal((n_tasks, k))
    t["steepness"] = t["steepness_median"] * np.exp(t["steepness_sd"] * rng.standard_normal(n_tasks))
    t["weight"] = weights(raw, t["contrast_sd"] * rng.standard_normal((n_tasks, k)), t["steepness"])
    t["task_difficulty"] = normal(rng, priors.task_difficulty, n_tasks)
    t["task_family_offset_sd"] = lognormal(rng, priors.task_family_offset_sd, n_tasks)
    t["task_family_offset"] = t["task_family_offset_sd"] * rng.standard_normal((structure.n_families, n_tasks))
    t["task_ceiling_gap"] = np.abs(rng.normal(0.0, priors.task_ceiling_gap.scale, n_tasks))
    if structure.task_curve == "asymmetric":
        t["task_asymmetry"] = lognormal(rng, priors.task_asymmetry, n_tasks)
    t["task_overdispersion"] = lognormal(rng, priors.task_overdispersion, n_tasks)
    return t | draw_chance("task_chance", stated, structure.unknown_task_chance, spec, rng)


def weights(raw: np.ndarray, contrast: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    """Weights (..., T, K) of tasks: steepness times shares and contrasts."""
    share = np.exp(raw) / np.exp(raw).sum(axis=-1, keepdims=True)
    return np.asarray(steepness[..., None] * (share + contrast))


def standardised(theta: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Capabilities in units of their spread (0.1 logits added in squares) over the reference models, (..., M, K)."""
    chosen = theta[..., np.asarray(reference) > 0, :]
    centre, variance = chosen.mean(axis=-2, keepdims=True), chosen.var(axis=-2, keepdims=True)
    return np.asarray((theta - centre) / np.sqrt(variance + 0.1**2))


def task_curve(t: Values, z: np.ndarray, data: TaskScores) -> np.ndarray:
    """Expected task scores (..., M, T) given standardised capabilities (..., M, K) that all tasks read."""
    eta = z @ np.swapaxes(t["weight"], -1, -2) + t["task_difficulty"][..., None, :]
    eta = eta + t["task_family_offset"][..., np.asarray(data.family), :]
    chance = t["task_chance"][..., None, :] if "task_chance" in t else np.asarray(data.chance)
    share = richards(eta, t["task_asymmetry"][..., None, :]) if "task_asymmetry" in t else sigmoid(eta)
    return np.asarray(chance + (1.0 - chance) * (1.0 - t["task_ceiling_gap"][..., None, :]) * share)


def task_sd(p: np.ndarray, t: Values, data: TaskScores, floor_sd: float) -> np.ndarray:
    """Scale of the noise of task scores (Student-t with `TASK_NOISE_DF`), shape of `p`."""
    relative = np.asarray(data.inv_items) + t["task_overdispersion"][..., None, :] ** 2
    return np.asarray(np.sqrt(p * (1.0 - p) * relative + floor_sd**2))


def task_noise(shape: tuple[int, ...], rng: Rng, df: float = TASK_NOISE_DF) -> np.ndarray:
    """Standardised noise of task scores."""
    return rng.standard_t(df, shape)
