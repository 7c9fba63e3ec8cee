"""The model of sparse tables, written a second time in plain NumPy from its stated priors; see `simulate`.

Parameters are drawn in an order in which each depends on what was drawn before: compute and what was published of it
come first, since the level of capability is stated at the middle of the published compute.
"""

from __future__ import annotations

import numpy as np

from bayes_obscaling.models.capability_equations import BENCHMARK_FLOOR_SD, CELL_NOISE_DF, Cells, Measurements
from bayes_obscaling.models.spec import CapabilitySpec, Structure
from bayes_obscaling.validation.simulate import Rng, Values, lognormal, normal, richards, sigmoid

# Decades: what was published is never taken to be more exact.
_LEAST_ERROR = 0.02


def draw_sparse(data: Measurements, structure: Structure, spec: CapabilitySpec, rng: Rng) -> Values:
    """Draw all parameters of the model of a sparse table from the priors; no score and no compute is read.

    By posterior variable, shapes as in a fit of one predictor set (without chains and draws); ``published`` (M,) is
    what is said of compute, 0 where nobody says anything.
    """
    priors, k, n = spec.priors, structure.n_factors, structure.n_benchmarks
    family, date = np.asarray(data.family), np.asarray(data.covariates.date)
    t = _draw_compute(data, structure, spec, rng)
    known = np.setdiff1d(np.arange(structure.n_models), structure.unknown_compute)
    for name in ("level_mean", "slope_mean", "reasoning_step"):
        t[name] = normal(rng, getattr(priors, name), k)
    for name in ("intercept_sd", "slope_sd", "residual_sd", "drift", "family_drift_sd", "effort_step"):
        t[name] = lognormal(rng, getattr(priors, name), k)
    middle = t["published"][known].mean() + t["drift"] * date.mean()
    t["intercept_mean"] = t["level_mean"] - t["slope_mean"] * middle
    for name, mean in (("intercept", t["intercept_mean"]), ("slope", t["slope_mean"]), ("family_drift", 0.0)):
        t[name] = mean + t[f"{name}_sd"] * rng.standard_normal((structure.n_families, k))
    typical = sparse_line(t, family, t["compute"], date, np.asarray(data.covariates.reasoning))
    t["theta"] = typical + t["residual_sd"] * rng.standard_normal((structure.n_models, k))

    t["difficulty_mean"] = normal(rng, priors.difficulty_mean)
    for name in ("difficulty_sd", "loading_median", "loading_sd", "loading_share_sd"):
        t[name] = lognormal(rng, getattr(priors, name))
    for name in ("overdispersion_median", "overdispersion_sd"):
        t[name] = lognormal(rng, getattr(priors, name))
    share = np.exp(t["loading_share_sd"] * rng.standard_normal((n, k)))
    total = t["loading_median"] * np.exp(t["loading_sd"] * rng.standard_normal(n))
    t["loading"] = total[:, None] * share / share.sum(axis=1, keepdims=True)
    t["difficulty"] = rng.normal(t["difficulty_mean"], t["difficulty_sd"], n)
    for factor, benchmark in enumerate(structure.anchors):
        t["loading"][benchmark], t["difficulty"][benchmark] = np.eye(k)[factor], 0.0
    if structure.drifting:
        of_category, own = (lognormal(rng, getattr(priors, f"{name}_drift_sd")) for name in ("category", "benchmark"))
        t |= {"category_drift_sd": of_category, "benchmark_drift_sd": own}
        of_category = of_category * rng.standard_normal(max(structure.drifting) + 1)
        a_year = of_category[list(structure.drifting)] + own * rng.standard_normal(n)
        mean = np.delete(a_year, structure.anchors).mean()
        t["category_drift"], t["benchmark_drift"] = of_category - mean, total * (a_year - mean)
        t["benchmark_drift"][list(structure.anchors)] = 0.0
        t["difficulty"] = t["difficulty"] - t["benchmark_drift"] * date.mean()
    is_bent = structure.curve == "asymmetric"
    ceiling = priors.label_errors if is_bent else priors.ceiling_gap
    t["ceiling_gap"] = rng.beta(ceiling.a, ceiling.b, n)
    t["ceiling_gap"][list(structure.no_ceiling)] = 0.0
    if is_bent:
        t["asymmetry"] = lognormal(rng, priors.asymmetry, n)
        t["asymmetry"][list(structure.no_ceiling)] = 1.0
    t["overdispersion"] = t["overdispersion_median"] * np.exp(t["overdispersion_sd"] * rng.standard_normal(n))
    return t


def _draw_compute(data: Measurements, structure: Structure, spec: CapabilitySpec, rng: Rng) -> Values:
    """Compute of all models around its trend, and what is published of it."""
    priors, date = spec.priors, np.asarray(data.covariates.date)
    t: Values = {name: normal(rng, getattr(priors, name)) for name in ("compute_middle", "compute_growth")}
    t |= {name: lognormal(rng, getattr(priors, name)) for name in ("family_compute_sd", "compute_sd")}
    t["compute_level"] = t["compute_middle"] - t["compute_growth"] * date.mean()
    t["family_compute"] = t["family_compute_sd"] * rng.standard_normal(structure.n_families)
    t["compute"] = compute_line(t, t["family_compute"][np.asarray(data.family)], date)
    t["compute"] = t["compute"] + t["compute_sd"] * rng.standard_normal(structure.n_models)
    error = np.maximum(np.asarray(data.compute_sd), _LEAST_ERROR) * rng.standard_normal(structure.n_models)
    t["published"] = t["compute"] + error
    t["published"][list(structure.unknown_compute)] = 0.0
    return t


def compute_line(t: Values, of_family: np.ndarray, date: np.ndarray) -> np.ndarray:
    """Compute (..., M) that the trend says, in decades above the centre; `of_family` (..., M) is the family's part."""
    return np.asarray(t["compute_level"][..., None] + t["compute_growth"][..., None] * date + of_family)


def sparse_line(
    t: Values, family: np.ndarray, compute: np.ndarray, date: np.ndarray, reasoning: np.ndarray
) -> np.ndarray:
    """Capabilities (..., M, K) of typical models: compute (..., M) and years of progress, each worth its slope."""
    years = t["drift"][..., None, :] + t["family_drift"][..., family, :]
    gained = t["slope_mean"][..., None, :] * years * date[:, None]
    of_compute = t["intercept"][..., family, :] + t["slope"][..., family, :] * compute[..., None]
    return np.asarray(of_compute + gained + t["reasoning_step"][..., None, :] * np.asarray(reasoning)[..., None])


def cell_curve(t: Values, cells: Cells, chance: np.ndarray) -> np.ndarray:
    """Expected scores (..., C) of cells, for parameters whose leading axes are draws or none."""
    model, benchmark = np.asarray(cells.model), np.asarray(cells.benchmark)
    eta = t["difficulty"][..., benchmark]
    if "benchmark_drift" in t:
        eta = eta + t["benchmark_drift"][..., benchmark] * np.asarray(cells.date)
    for factor in range(t["theta"].shape[-1]):
        able = t["theta"][..., model, factor]
        able = able + t["reasoning_step"][..., [factor]] * np.asarray(cells.reasoning)
        able = able + t["effort_step"][..., [factor]] * np.asarray(cells.effort)
        eta = eta + t["loading"][..., benchmark, factor] * able
    share = richards(eta, t["asymmetry"][..., benchmark]) if "asymmetry" in t else sigmoid(eta)
    floor = t["chance"][..., benchmark] if "chance" in t else np.asarray(chance)[benchmark]
    return np.asarray(floor + (1.0 - floor) * (1.0 - t["ceiling_gap"][..., benchmark]) * share)


def cell_scale(p: np.ndarray, t: Values, cells: Cells) -> np.ndarray:
    """Scale of the noise (Student-t with `CELL_NOISE_DF`) of cells around `cell_curve`, same shape."""
    relative = np.asarray(cells.inv_items) + t["overdispersion"][..., np.asarray(cells.benchmark)] ** 2
    return np.asarray(np.sqrt(p * (1.0 - p) * relative + BENCHMARK_FLOOR_SD**2))


def draw_cells(p: np.ndarray, t: Values, cells: Cells, rng: Rng) -> np.ndarray:
    """Scores around `cell_curve`; not cut to 0..1, as the model's density is not."""
    return np.asarray(p + cell_scale(p, t, cells) * rng.standard_t(CELL_NOISE_DF, p.shape))
