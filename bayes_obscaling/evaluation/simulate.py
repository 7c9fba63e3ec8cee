"""Data drawn from the models, in plain NumPy: both models are written here a second time, from their stated priors.

Nothing of the numpyro models is called, so that a slip in one of the two writings shows in simulation-based
calibration. What was not drawn is kept: which scores are missing, items, families, compute, chance levels.
"""

from __future__ import annotations

import numpy as np

from bayes_obscaling.models.capability import (
    BENCHMARK_FLOOR_SD,
    TASK_NOISE_DF,
    CapabilitySpec,
    MeasurementLayout,
    Measurements,
    TaskScores,
)
from bayes_obscaling.models.ladder import (
    NOISE_DF,
    SMALLEST_ACCURACY_SD,
    SMALLEST_LOSS_SD,
    LadderData,
    LadderSpec,
)
from bayes_obscaling.models.priors import LogNormal, Normal

Values = dict[str, np.ndarray]
Rng = np.random.Generator


def _normal(rng: Rng, prior: Normal, *shape: int) -> np.ndarray:
    return rng.normal(prior.loc, prior.scale, shape)


def _lognormal(rng: Rng, prior: LogNormal, *shape: int) -> np.ndarray:
    return np.asarray(prior.median * np.exp(prior.log_sd * rng.standard_normal(shape)))


def sigmoid(eta: np.ndarray) -> np.ndarray:
    """Logistic function."""
    return 0.5 * (1.0 + np.tanh(0.5 * eta))


# --- capability model ---------------------------------------------------------------------------------------------


def draw_measurement(data: Measurements, layout: MeasurementLayout, spec: CapabilitySpec, rng: Rng) -> Values:
    """Draw all parameters of the measurement model from the priors (log-linear law of compute).

    Parameters
    ----------
    data, layout, spec
        As in `bayes_obscaling.models.capability.measurement`; no score is read.
    rng : Generator
        Random numbers.

    Returns
    -------
    dict of arrays
        By posterior variable, shapes as in a fit of one predictor set (without chains and draws).
    """
    priors, k, n = spec.priors, layout.n_factors, layout.n_benchmarks
    family = np.asarray(data.family)
    t: Values = {
        "intercept_mean": _normal(rng, priors.intercept_mean, k),
        "intercept_sd": _lognormal(rng, priors.intercept_sd, k),
        "slope_mean": _normal(rng, priors.slope_mean, k),
        "slope_sd": _lognormal(rng, priors.slope_sd, k),
        "residual_sd": _lognormal(rng, priors.residual_sd, k),
    }
    t["intercept"] = t["intercept_mean"] + t["intercept_sd"] * rng.standard_normal((layout.n_families, k))
    t["slope"] = t["slope_mean"] + t["slope_sd"] * rng.standard_normal((layout.n_families, k))
    x = np.array(data.compute)
    x[list(layout.unknown_compute)] = _normal(rng, priors.unknown_compute, len(layout.unknown_compute))
    t["compute"] = x
    t["theta"] = t["intercept"][family] + t["slope"][family] * x[:, None]
    t["theta"] = t["theta"] + t["residual_sd"] * rng.standard_normal((layout.n_models, k))

    loading = np.abs(rng.normal(0.0, priors.loading.scale, (n, k)))
    loading[list(layout.signed)] = _normal(rng, priors.signed_loading, len(layout.signed), k)
    difficulty = _normal(rng, priors.difficulty, n)
    gap = rng.beta(priors.ceiling_gap.a, priors.ceiling_gap.b, n)
    for factor, benchmark in enumerate(layout.anchors):
        loading[benchmark], difficulty[benchmark] = np.eye(k)[factor], 0.0
    gap[list(layout.no_ceiling)] = 0.0
    t |= {"loading": loading, "difficulty": difficulty, "ceiling_gap": gap}
    t["family_offset_sd"] = _lognormal(rng, priors.family_offset_sd, n)
    t["family_offset"] = t["family_offset_sd"] * rng.standard_normal((layout.n_families, n))
    t["overdispersion"] = _lognormal(rng, priors.overdispersion, n)
    return t


def benchmark_curve(t: Values, data: Measurements) -> np.ndarray:
    """Expected benchmark scores (..., M, I) of parameters whose leading axes are draws or none."""
    chance = np.asarray(data.chance)
    eta = t["theta"] @ np.swapaxes(t["loading"], -1, -2) + t["difficulty"][..., None, :]
    eta = eta + t["family_offset"][..., np.asarray(data.family), :]
    return np.asarray(chance + (1.0 - chance) * (1.0 - t["ceiling_gap"][..., None, :]) * sigmoid(eta))


def benchmark_sd(p: np.ndarray, t: Values, data: Measurements) -> np.ndarray:
    """Standard deviation of benchmark scores around `benchmark_curve`, same shape."""
    relative = np.asarray(data.inv_items) + t["overdispersion"][..., None, :] ** 2
    return np.asarray(np.sqrt(p * (1.0 - p) * relative + BENCHMARK_FLOOR_SD**2))


def draw_heads(n_tasks: int, n_features: int, n_families: int, spec: CapabilitySpec, rng: Rng) -> Values:
    """Draw all parameters of the task heads from the priors.

    Parameters
    ----------
    n_tasks, n_features, n_families : int
        Sizes.
    spec : CapabilitySpec
        Priors.
    rng : Generator
        Random numbers.

    Returns
    -------
    dict of arrays
        By posterior variable, shapes as in a fit (without chains and draws).
    """
    priors = spec.priors
    t: Values = {
        "share_mean": _normal(rng, priors.share_mean, n_features),
        "share_sd": _lognormal(rng, priors.share_sd),
        "contrast_sd": _lognormal(rng, priors.contrast_sd),
        "log_steepness_mean": np.log(priors.steepness.median) + priors.steepness.log_sd * rng.standard_normal(()),
        "steepness_sd": _lognormal(rng, priors.steepness_sd),
    }
    raw = t["share_mean"] + t["share_sd"] * rng.standard_normal((n_tasks, n_features))
    share = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    contrast = t["contrast_sd"] * rng.standard_normal((n_tasks, n_features))
    t["steepness"] = np.exp(t["log_steepness_mean"] + t["steepness_sd"] * rng.standard_normal(n_tasks))
    t["weight"] = t["steepness"][:, None] * (share + contrast)
    t["task_difficulty"] = _normal(rng, priors.task_difficulty, n_tasks)
    t["task_family_offset_sd"] = _lognormal(rng, priors.task_family_offset_sd, n_tasks)
    t["task_family_offset"] = t["task_family_offset_sd"][:, None] * rng.standard_normal((n_tasks, n_families))
    t["task_ceiling_gap"] = np.abs(rng.normal(0.0, priors.task_ceiling_gap.scale, n_tasks))
    t["task_overdispersion"] = _lognormal(rng, priors.task_overdispersion, n_tasks)
    return t


def standardised(theta: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Capabilities in units of their spread (0.1 logits added in squares) over the reference models, (..., M, K)."""
    chosen = theta[..., np.asarray(reference) > 0, :]
    centre, variance = chosen.mean(axis=-2, keepdims=True), chosen.var(axis=-2, keepdims=True)
    return np.asarray((theta - centre) / np.sqrt(variance + 0.1**2))


def task_curve(t: Values, z: np.ndarray, data: TaskScores) -> np.ndarray:
    """Expected task scores (..., T, M) given standardised capabilities (..., M, K)."""
    eta = t["weight"] @ np.swapaxes(z, -1, -2) + t["task_difficulty"][..., None]
    eta = eta + t["task_family_offset"][..., np.asarray(data.family)]
    chance = np.asarray(data.chance)[:, None]
    return np.asarray(chance + (1.0 - chance) * (1.0 - t["task_ceiling_gap"][..., None]) * sigmoid(eta))


def task_sd(p: np.ndarray, t: Values, data: TaskScores, floor_sd: float) -> np.ndarray:
    """Scale of the noise of task scores (Student-t with `TASK_NOISE_DF`), shape of `p`."""
    relative = np.asarray(data.inv_items) + t["task_overdispersion"][..., None] ** 2
    return np.asarray(np.sqrt(p * (1.0 - p) * relative + floor_sd**2))


def task_noise(shape: tuple[int, ...], rng: Rng, df: float = TASK_NOISE_DF) -> np.ndarray:
    """Standardised noise of task scores."""
    return rng.standard_t(df, shape)


# --- ladder -------------------------------------------------------------------------------------------------------


def draw_ladder(data: LadderData, spec: LadderSpec, rng: Rng, beyond: int = 0) -> Values:
    """Draw all parameters of the ladder model (size and data, with discrepancy) from the priors.

    Parameters
    ----------
    data : LadderData
        Sizes, and where the curves may bend; no loss or accuracy is read.
    spec : LadderSpec
        Priors.
    rng : Generator
        Random numbers.
    beyond : int
        Further bends to draw after those of the fit, for targets beyond the last rung.

    Returns
    -------
    dict of arrays
        By posterior variable, shapes as in a fit (without chains and draws); with `beyond`, also
        ``size_bend_beyond, slope_change_beyond`` (losses or tasks, beyond).
    """
    priors, n = spec.priors, data.loss.shape[1]
    n_tasks, knots = data.accuracy.shape[1], data.knots.shape[1]
    level = _lognormal(rng, priors.level, n)
    share = rng.beta(priors.irreducible_share.a, priors.irreducible_share.b, n)
    of_size = rng.beta(priors.size_share.a, priors.size_share.b, n)
    t: Values = {"level": level, "irreducible_share": share, "size_share": of_size, "irreducible": level * share}
    for name, part in (("size", of_size), ("data", 1.0 - of_size)):
        median, spread = _lognormal(rng, priors.exponent), _lognormal(rng, priors.exponent_sd)
        t |= {f"{name}_exponent_median": median, f"{name}_exponent_spread": spread}
        t[f"{name}_exponent"] = median * np.exp(spread * rng.standard_normal(n))
        t[f"{name}_scale"] = level * (1.0 - share) * part
    t["bend_shared"] = np.asarray(rng.beta(priors.bend_shared.a, priors.bend_shared.b))
    own, common = np.sqrt(1.0 - t["bend_shared"]), np.sqrt(t["bend_shared"])
    for name, count, more in (("size", len(data.size_bends), beyond), ("data", len(data.ratio_bends), 0)):
        sd, drift = _lognormal(rng, priors.bend), rng.standard_normal(())
        noise = common * rng.standard_normal(count + more) + own * rng.standard_normal((n, count + more))
        bend = sd * (drift + noise)
        t |= {f"{name}_bend_sd": sd, f"{name}_bend_drift": drift, f"{name}_bend": bend[:, :count]}
        t[f"{name}_bend_beyond"] = bend[:, count:]
    t["size_decay"] = np.abs(rng.normal(0.0, priors.size_decay.scale, ()))
    t["run_sd"] = _lognormal(rng, priors.run_sd)
    for name, count, prior, wide in (
        ("loss_sd", n, priors.loss_sd, priors.loss_sd_spread),
        ("accuracy_sd", n_tasks, priors.accuracy_sd, priors.accuracy_sd_spread),
        ("slope_change_sd", n_tasks, priors.slope_change, priors.slope_change_spread),
    ):
        stem = name.removesuffix("_sd") if name == "slope_change_sd" else name
        median, spread = _lognormal(rng, prior), _lognormal(rng, wide)
        t |= {f"{stem}_median": median, f"{stem}_spread": spread}
        t[name] = median * np.exp(spread * rng.standard_normal(count))
    t["coupling"] = _normal(rng, priors.coupling)
    t["floor"] = np.clip(np.asarray(data.chance) + _normal(rng, priors.floor_shift, n_tasks), 0.0, 1.0)
    t["ceiling_gap"] = np.minimum(_lognormal(rng, priors.ceiling_gap, n_tasks), 0.9)
    t["steepness"] = _lognormal(rng, priors.steepness, n_tasks)
    t["midpoint"] = _normal(rng, priors.midpoint, n_tasks)
    change = t["slope_change_sd"][:, None] * rng.standard_normal((n_tasks, knots + beyond))
    t |= {"slope_change": change[:, :knots], "slope_change_beyond": change[:, knots:]}
    return t


def ladder_law(t: Values, log_size: np.ndarray, log_data: np.ndarray, bends: Values) -> np.ndarray:
    """Log expected loss (..., R, F) at sizes and tokens (R,).

    Parameters
    ----------
    t : dict of arrays
        Parameters, whose leading axes are draws or none.
    log_size, log_data : array (R,)
        ``log(N / N0)``, ``log(D / D0)``.
    bends : dict of arrays
        ``size_at, data_at``: where the laws bend; ``size, data``: by what share, (..., F, bends).
    """
    ratio = log_data - log_size
    after = {"size": np.maximum(log_size[:, None] - bends["size_at"], 0.0),
             "data": np.maximum(ratio[:, None] - bends["data_at"], 0.0)}  # fmt: skip
    loss = t["irreducible"][..., None, :]
    for name, x in (("size", log_size), ("data", log_data)):
        bent = x[:, None] - after[name] @ np.swapaxes(bends[name], -1, -2)
        loss = loss + t[f"{name}_scale"][..., None, :] * np.exp(-t[f"{name}_exponent"][..., None, :] * bent)
    return np.asarray(np.log(loss))


def ladder_curve(t: Values, loss: np.ndarray, knots: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Expected accuracy (..., R, T) at losses (..., R, T); the slope changes by `change` (..., T, K) at `knots`."""
    shift = (np.maximum(knots - loss[..., None], 0.0) * change[..., None, :, :]).sum(axis=-1)
    floor, gap = t["floor"][..., None, :], t["ceiling_gap"][..., None, :]
    eta = t["steepness"][..., None, :] * (t["midpoint"][..., None, :] - loss + shift)
    return np.asarray(floor + (1.0 - floor) * (1.0 - gap) * sigmoid(eta))


def draw_runs(
    t: Values, log_params: np.ndarray, law: np.ndarray, rng: Rng
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log losses that runs expect, have, and that their accuracies follow, (R, F) each; no leading axes.

    Parameters
    ----------
    t : dict of arrays
        One draw of the parameters.
    log_params : array (R,)
        ``log(N / N0)``.
    law : array (R, F)
        Log expected loss.
    rng : Generator
        Random numbers.
    """
    shrink = np.exp(-t["size_decay"] * log_params)[:, None]
    log_loss = law + t["run_sd"] * shrink * rng.standard_normal((len(log_params), 1))
    sd = np.sqrt((t["loss_sd"] * shrink) ** 2 + SMALLEST_LOSS_SD**2)
    own = sd * rng.standard_t(NOISE_DF, log_loss.shape)
    return log_loss, log_loss + own, log_loss + t["coupling"] * own


def draw_accuracy(t: Values, mean: np.ndarray, rng: Rng) -> np.ndarray:
    """Accuracies (R, T) around their expectation; not cut to 0..1, as the model's density is not."""
    sd = np.sqrt((t["accuracy_sd"] * mean * (1.0 - mean)) ** 2 + SMALLEST_ACCURACY_SD**2)
    return np.asarray(mean + sd * rng.standard_t(NOISE_DF, mean.shape))
