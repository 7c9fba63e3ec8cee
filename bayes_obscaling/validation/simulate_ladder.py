"""Ladders drawn from the ladder model, which is written here a second time: in plain NumPy, from its stated priors."""

from __future__ import annotations

import numpy as np

from bayes_obscaling.models.ladder import LadderSpec
from bayes_obscaling.models.ladder_equations import NOISE_DF, SMALLEST_ACCURACY_SD, SMALLEST_LOSS_SD, LadderData
from bayes_obscaling.validation.simulate import Rng, Values, lognormal, normal, sigmoid


def draw_ladder(data: LadderData, spec: LadderSpec, rng: Rng, beyond: int = 0) -> Values:
    """Draw all parameters of the ladder model (size and data, with discrepancy) from the priors, shaped as in a fit.

    No loss or accuracy is read. With `beyond`, also that many further bends of each curve for targets beyond the last
    rung: ``size_bend_beyond, slope_change_beyond`` (losses or tasks, beyond).
    """
    priors, n = spec.priors, data.loss.shape[1]
    n_tasks, knots = data.accuracy.shape[1], np.shape(data.bends.rung_end)[1]
    level = lognormal(rng, priors.level, n)
    share = rng.beta(priors.irreducible_share.a, priors.irreducible_share.b, n)
    of_size = rng.beta(priors.size_share.a, priors.size_share.b, n)
    t: Values = {"level": level, "irreducible_share": share, "size_share": of_size, "irreducible": level * share}
    for name, part in (("size", of_size), ("data", 1.0 - of_size)):
        median, spread = lognormal(rng, priors.exponent), lognormal(rng, priors.exponent_sd)
        t |= {f"{name}_exponent_median": median, f"{name}_exponent_spread": spread}
        t[f"{name}_exponent"] = median * np.exp(spread * rng.standard_normal(n))
        t[f"{name}_scale"] = level * (1.0 - share) * part
    t["bend_shared"] = np.asarray(rng.beta(priors.bend_shared.a, priors.bend_shared.b))
    own, common = np.sqrt(1.0 - t["bend_shared"]), np.sqrt(t["bend_shared"])
    for name, at, more in (("size", data.bends.size_bend_at, beyond), ("data", data.bends.data_bend_at, 0)):
        count = len(np.asarray(at))
        sd, drift = lognormal(rng, priors.bend), rng.standard_normal(())
        noise = common * rng.standard_normal(count + more) + own * rng.standard_normal((n, count + more))
        bend = sd * (drift + noise)
        t |= {f"{name}_bend_sd": sd, f"{name}_bend_drift": drift, f"{name}_bend": bend[:, :count]}
        t[f"{name}_bend_beyond"] = bend[:, count:]
    t["size_decay"] = np.abs(rng.normal(0.0, priors.size_decay.scale, ()))
    t["run_sd"] = lognormal(rng, priors.run_sd)
    for name, count, prior, wide in (
        ("loss_sd", n, priors.loss_sd, priors.loss_sd_spread),
        ("accuracy_sd", n_tasks, priors.accuracy_sd, priors.accuracy_sd_spread),
        ("slope_change_sd", n_tasks, priors.slope_change, priors.slope_change_spread),
    ):
        stem = name.removesuffix("_sd") if name == "slope_change_sd" else name
        median, spread = lognormal(rng, prior), lognormal(rng, wide)
        t |= {f"{stem}_median": median, f"{stem}_spread": spread}
        t[name] = median * np.exp(spread * rng.standard_normal(count))
    t["coupling"] = normal(rng, priors.coupling)
    t["floor_shift"] = normal(rng, priors.floor_shift, n_tasks)
    t["floor"] = np.clip(np.asarray(data.chance) + t["floor_shift"], 0.0, 1.0)
    t["ceiling_gap"] = np.minimum(lognormal(rng, priors.ceiling_gap, n_tasks), 0.9)
    t["steepness"] = lognormal(rng, priors.steepness, n_tasks)
    t["midpoint"] = normal(rng, priors.midpoint, n_tasks)
    change = t["slope_change_sd"][:, None] * rng.standard_normal((n_tasks, knots + beyond))
    t |= {"slope_change": change[:, :knots], "slope_change_beyond": change[:, knots:]}
    return t


def ladder_law(t: Values, log_size: np.ndarray, log_data: np.ndarray, bends: Values) -> np.ndarray:
    """Log expected loss (..., R, F) at sizes and tokens (R,), ``log(N / N0)`` and ``log(D / D0)``.

    `bends` are ``size_at, data_at``: where the laws bend; ``size, data``: by what share, (..., F, bends).
    """
    ratio = log_data - log_size
    after = {
        "size": np.maximum(log_size[:, None] - bends["size_at"], 0.0),
        "data": np.maximum(ratio[:, None] - bends["data_at"], 0.0),
    }
    loss = t["irreducible"][..., None, :]
    for name, x in (("size", log_size), ("data", log_data)):
        bent = x[:, None] - after[name] @ np.swapaxes(bends[name], -1, -2)
        loss = loss + t[f"{name}_scale"][..., None, :] * np.exp(-t[f"{name}_exponent"][..., None, :] * bent)
    return np.asarray(np.log(loss))


def ladder_curve(
    t: Values, loss: np.ndarray, knots: np.ndarray, change: np.ndarray, effect: np.ndarray | float = 0.0
) -> np.ndarray:
    """Expected accuracy (..., R, T) at losses (..., R, T); the slope changes by `change` (..., T, K) at `knots`.

    `effect` (..., T) is a recipe's, logits.
    """
    shift = (np.maximum(knots - loss[..., None], 0.0) * change[..., None, :, :]).sum(axis=-1)
    floor, gap = t["floor"][..., None, :], t["ceiling_gap"][..., None, :]
    eta = t["steepness"][..., None, :] * (t["midpoint"][..., None, :] - loss + shift) + effect
    return np.asarray(floor + (1.0 - floor) * (1.0 - gap) * sigmoid(eta))


def draw_similar(knowledge: np.ndarray, spec: LadderSpec, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """What a similar recipe adds to the log losses of tasks, and to the logits of their accuracies, (T,) each."""
    priors, n = spec.priors, len(knowledge)
    shared = rng.beta(priors.recipe_shared.a, priors.recipe_shared.b)
    gain = np.where(knowledge, normal(rng, priors.recipe_gain_knowledge), normal(rng, priors.recipe_gain))
    loss_sd, link_sd = lognormal(rng, priors.recipe_loss), lognormal(rng, priors.recipe_link)

    def unit() -> np.ndarray:
        return np.sqrt(shared) * rng.standard_normal() + np.sqrt(1.0 - shared) * rng.standard_normal(n)

    return np.asarray(loss_sd * unit()), np.asarray(gain + link_sd * unit())


def draw_runs(
    t: Values, log_params: np.ndarray, law: np.ndarray, rng: Rng
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log losses that runs expect, have, and that their accuracies follow, (R, F) each, at one draw of the parameters.

    `log_params` (R,) is ``log(N / N0)``, `law` (R, F) the log expected loss.
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
