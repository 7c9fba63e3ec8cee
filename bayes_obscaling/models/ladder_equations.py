"""Equations of the ladder model: pure functions of named parameters and data, written here once.

The numpyro model, forecasts beyond the ladder and curves call them. Parameters come as a mapping by the name of the
posterior variable; leading axes broadcast, so the same function serves one draw inside the model and all draws of a
posterior. Losses are in units of the smallest loss seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from bayes_obscaling.models.links import Numbers

# Size (parameters), data (tokens) and compute (FLOPs) at which the laws are centred: far from there, at N = 1, the
# intercept and the exponent of a power law cannot be told apart.
CENTRE_PARAMS, CENTRE_TOKENS, CENTRE_FLOPS = 5e8, 3e10, 9e19
# Degrees of freedom of the noise of losses and accuracies. Fixed: a free one falls into a degenerate mode.
NOISE_DF = 5.0
# Floor of the noise of an accuracy, and of a log loss.
SMALLEST_ACCURACY_SD = 0.002
SMALLEST_LOSS_SD = 0.0005
# Rungs beyond the ladder's end at which the curves may bend again; farther out they go straight on.
RUNGS_BEYOND = 12
# A link that keeps less than a tenth of its range above the floor is no link.
_LARGEST_CEILING_GAP = 0.9
# Least distance, in units of the smallest loss, between the places beyond the ladder where the link may bend.
_LEAST_GAP = 1e-3

Parameters = Mapping[str, Numbers]


class Runs(NamedTuple):
    """What the law and the noise read of runs, (R,) each."""

    log_size: Numbers  # log(N / N0), or log(C / C0)
    log_data: Numbers  # log(D / D0)
    log_params: Numbers  # log(N / N0): what the noise of a run depends on


class Bends(NamedTuple):
    """Where the curves may bend."""

    size_bend_at: Numbers  # `log_size` of the rungs between the smallest and the largest
    data_bend_at: Numbers  # `log_data - log_size` above which the exponent in tokens changes
    data_bend_below: Numbers  # the same, below which: none inside the ladder
    rung_end: Numbers  # (F, K) smallest loss at the end of each rung but the last


class LadderData(NamedTuple):
    """Arrays of a ladder: R runs, T tasks, F losses (one per task, or one for all tasks)."""

    runs: Runs
    bends: Bends
    loss: jax.Array  # (R, F); ones where not seen
    loss_seen: jax.Array  # (R, F)
    accuracy: jax.Array  # (R, T)
    accuracy_seen: jax.Array  # (R, T)
    chance: jax.Array  # (T,)
    weight: jax.Array  # (R, T) how much a run determines the link, in shares
    recipe: jax.Array  # (R,) which recipe a run is of; 0 is the one that the curves describe


# --- the loss ------------------------------------------------------------------------------------------


def power_law(log_size: Numbers, log_data: Numbers, p: Parameters) -> jax.Array:
    """Loss in units of the smallest loss seen, ``E + A (N/N0)^-alpha + B (D/D0)^-beta``.

    Equations 19 and 20 of docs/explanation/model.md. Hoffmann et al. (2022), eq. 2; Bhagia et al. (2024), eq. 1, here
    centred at N0 and D0: `log_size` and `log_data` are ``log(N / N0)`` and ``log(D / D0)``, broadcastable to the
    parameters. `p` has ``size_scale, size_exponent``, where a loss is seen ``irreducible``, and where the law has a
    term in D ``data_scale, data_exponent``.
    """
    loss = p.get("irreducible", 0.0) + p["size_scale"] * jnp.exp(-p["size_exponent"] * log_size)
    if "data_scale" in p:
        loss += p["data_scale"] * jnp.exp(-p["data_exponent"] * log_data)
    return jnp.asarray(loss)


def log_law(p: Parameters, runs: Runs, bends: Bends) -> jax.Array:
    """Log expected loss (..., R, F) of runs, without luck: a `power_law` whose exponents change where curves bend.

    Equation 23 of docs/explanation/model.md: a bend b changes an exponent by the share b from there on, ``alpha (x - b
    (x - at))``. `p` is as for `power_law`, (..., F), with ``size_bend`` and ``data_bend`` (..., F, bends) where the
    model has them.
    """
    size, data = jnp.asarray(runs.log_size), jnp.asarray(runs.log_data)
    bent_size, bent_data = size[:, None], data[:, None]
    if "data_bend" in p:
        past = _past(data - size, bends.data_bend_at, bends.data_bend_below)
        bent_data = bent_data - past @ jnp.swapaxes(jnp.asarray(p["data_bend"]), -1, -2)
    if "size_bend" in p:
        bent_size = bent_size - _past(size, bends.size_bend_at) @ jnp.swapaxes(jnp.asarray(p["size_bend"]), -1, -2)
    names = ("irreducible", "size_scale", "size_exponent", "data_scale", "data_exponent")
    return jnp.log(power_law(bent_size, bent_data, {n: jnp.asarray(p[n])[..., None, :] for n in names if n in p}))


def _past(x: Numbers, above: Numbers, below: Numbers | None = None) -> jax.Array:
    """How far each x (R,) lies past each place: above the first ones, below the others; 0 before it. (R, places)."""
    x = jnp.asarray(x)[:, None]
    distance = x - jnp.asarray(above)
    if below is not None:
        distance = jnp.concatenate([distance, jnp.asarray(below) - x], axis=-1)
    return jax.nn.relu(distance)


def run_luck(p: Parameters, runs: Runs, unit: Numbers) -> jax.Array:
    """What a run's log loss has in common over tasks, (..., R), from standard normal numbers (..., R).

    Equation 25 of docs/explanation/model.md. A single loss has none beside its own noise.
    """
    if "run_sd" not in p:
        return 0.0 * jnp.asarray(unit)
    return jnp.asarray(p["run_sd"])[..., None] * _decayed(p, runs) * unit


def loss_noise(p: Parameters, log_loss: Numbers, runs: Runs) -> dist.StudentT:
    """Distribution (..., R, F) of log losses around those that runs expect; reads ``loss_sd`` (..., F).

    Equation 26 of docs/explanation/model.md. Where no loss is seen, none has noise.
    """
    sd = jnp.asarray(p["loss_sd"])[..., None, :] * _decayed(p, runs)[..., None] if "loss_sd" in p else 0.0
    return dist.StudentT(NOISE_DF, log_loss, jnp.sqrt(sd**2 + SMALLEST_LOSS_SD**2))


def _decayed(p: Parameters, runs: Runs) -> jax.Array:
    """Noise of runs (..., R) as a share of that at N0: small models are noisier."""
    return jnp.exp(-jnp.asarray(p["size_decay"])[..., None] * runs.log_params)


# --- the accuracy --------------------------------------------------------------------------------------


def followed_loss(p: Parameters, log_loss: Numbers, own: Numbers) -> jax.Array:
    """Loss (..., R, F) that accuracies follow.

    Equation 27 of docs/explanation/model.md. It is the run's expected loss, not the observed one: the noise of that,
    `own` (..., R, F), is followed as far as ``coupling`` (...) says, which is nothing where no loss is seen.
    """
    if "coupling" not in p:
        return jnp.exp(jnp.asarray(log_loss))
    return jnp.exp(log_loss + jnp.asarray(p["coupling"])[..., None, None] * own)


def link(loss: Numbers, shift: Numbers, p: Parameters) -> jax.Array:
    """Expected accuracy at a loss: a sigmoid between floor and ceiling (Bhagia et al. 2024, eq. 2, with k > 0).

    Equation 28 of docs/explanation/model.md. The loss is in units of the smallest seen; `shift` is added on the logit
    scale; `p` has ``floor, ceiling_gap, steepness, midpoint``.
    """
    rise = (1.0 - p["floor"]) * (1.0 - jnp.minimum(p["ceiling_gap"], _LARGEST_CEILING_GAP))
    return jnp.asarray(p["floor"] + rise * jax.nn.sigmoid(p["steepness"] * (p["midpoint"] - loss) + shift))


def expected_accuracy(p: Parameters, loss: Numbers, bends: Bends, effect: Numbers = 0.0) -> jax.Array:
    """Expected accuracies (..., R, T) at losses (..., R, F) of `followed_loss`: the `link`, bent where rungs end.

    `p` is as for `link`, (..., T), with ``slope_change`` (..., T, K), shares of the steepness, where the model has it.
    `effect` (..., R, T) is what a recipe adds, logits.
    """
    at = {n: jnp.asarray(p[n])[..., None, :] for n in ("floor", "ceiling_gap", "steepness", "midpoint")}
    shift = effect
    if "slope_change" in p:
        change = jnp.asarray(p["slope_change"])[..., None, :, :]
        shift = shift + at["steepness"] * summed_change(bends.rung_end, jnp.asarray(loss)[..., None], change)
    return link(loss, shift, at)


def summed_change(rung_end: Numbers, loss: Numbers, change: Numbers) -> jax.Array:
    """Distance to every rung's end that lies at a larger loss, weighted by the change of slope there and summed.

    Equation 29 of docs/explanation/model.md, without the steepness.
    """
    return jnp.asarray((jax.nn.relu(rung_end - loss) * change).sum(axis=-1))


def accuracy_noise(p: Parameters, expected: Numbers) -> dist.StudentT:
    """Distribution (..., R, T) of accuracies around their expectation; reads ``accuracy_sd`` (..., T), logits.

    Equation 30 of docs/explanation/model.md.
    """
    sd = jnp.asarray(p["accuracy_sd"])[..., None, :] * expected * (1.0 - expected)
    return dist.StudentT(NOISE_DF, expected, jnp.sqrt(sd**2 + SMALLEST_ACCURACY_SD**2))


def densities(p: Parameters, data: LadderData) -> tuple[dist.StudentT, dist.StudentT]:
    """Distributions of the log losses (..., R, F) and of the accuracies (..., R, T) of a ladder's own runs."""
    log_loss = log_law(p, data.runs, data.bends)
    if "luck" in p:
        log_loss = log_loss + jnp.asarray(p["luck"])[..., None]
    effect: Numbers = 0.0
    if "recipe_link" in p:
        log_loss = log_loss + of_recipes(p["recipe_loss"], data.recipe)
        effect = of_recipes(p["recipe_link"], data.recipe)
    own = jnp.where(data.loss_seen, jnp.log(data.loss) - log_loss, 0.0)
    expected = expected_accuracy(p, followed_loss(p, log_loss, own), data.bends, effect)
    return loss_noise(p, log_loss, data.runs), accuracy_noise(p, expected)


# --- recipes -------------------------------------------------------------------------------------------


def recipe_effect(sd: Numbers, shared: Numbers, common: Numbers, own: Numbers, gain: Numbers = 0.0) -> jax.Array:
    """What another recipe adds to log losses, or to the logits of accuracies, (..., F or T).

    Equations 42 and 43 of docs/explanation/model.md. From standard normal numbers `common` (..., 1), one for all tasks,
    and `own` (..., F or T); `sd` and `shared` (..., 1), and the mean `gain`.
    """
    return jnp.asarray(gain + sd * (jnp.sqrt(shared) * common + jnp.sqrt(1.0 - jnp.asarray(shared)) * own))


def of_recipes(effects: Numbers, recipe: Numbers) -> jax.Array:
    """Effects (..., R, F or T) of the recipes of runs (R,), from those of every recipe but the first (..., G - 1, ...).

    Equation 44 of docs/explanation/model.md: the first recipe is the one that the curves describe.
    """
    effects = jnp.asarray(effects)
    none = jnp.zeros((*effects.shape[:-2], 1, effects.shape[-1]))
    return jnp.take(jnp.concatenate([none, effects], axis=-2), jnp.asarray(recipe), axis=-2)


# --- beyond the ladder ---------------------------------------------------------------------------------


def population_bend(p: Parameters, name: str, common: Numbers, own: Numbers) -> jax.Array:
    """Bends (..., F, B) of an exponent, from standard normal numbers `common` (..., 1, B) and `own` (..., F, B).

    Equation 24 of docs/explanation/model.md. A single loss has no bends of its own beside the common ones.
    """
    sd, drift = (jnp.asarray(p[n])[..., None, None] for n in (f"{name}_bend_sd", f"{name}_bend_drift"))
    shared = jnp.asarray(p["bend_shared"])[..., None, None] if "bend_shared" in p else 1.0
    return sd * (drift + jnp.sqrt(shared) * common + jnp.sqrt(1.0 - shared) * own)


def places_beyond(bends: Bends, rungs: np.ndarray, log_ratio: np.ndarray) -> Bends:
    """Where the curves may bend inside the ladder and beyond it.

    `RUNGS_BEYOND` places are added beyond each end, at the mean distance of those inside: the first at the end itself.
    `rungs` are `log_size` of every rung, `log_ratio` is `log_data - log_size` of the runs.
    """
    steps = np.arange(RUNGS_BEYOND)
    rung_end, inside = np.asarray(bends.rung_end), np.asarray(bends.data_bend_at)
    gap = np.maximum((rung_end[:, 0] - 1.0) / rung_end.shape[1], _LEAST_GAP)
    step = np.ptp(log_ratio) / (len(inside) + 1)
    return Bends(
        size_bend_at=np.append(np.asarray(bends.size_bend_at), rungs[-1] + np.diff(rungs).mean() * steps),
        data_bend_at=np.append(inside, log_ratio.max() + step * steps),
        data_bend_below=log_ratio.min() - step * steps,
        rung_end=np.append(rung_end, 1.0 - gap[:, None] * steps, axis=1),
    )


def bends_beyond(p: Parameters, unit: Callable[[str, tuple[int, ...]], np.ndarray]) -> dict[str, np.ndarray]:
    """Bends inside the ladder followed by fresh ones, at `places_beyond`, from the population that the rungs taught.

    Equation 32 of docs/explanation/model.md. `p` has draws (..., F, B) of ``size_bend, data_bend``, of their
    populations, and of ``slope_change`` (..., T, K): those that it has come back. `unit` gives standard normal numbers
    for a name and a shape.
    """
    continued: dict[str, np.ndarray] = {}
    if "slope_change" in p:
        inside = np.asarray(p["slope_change"])
        sd = np.asarray(p["slope_change_sd"])[..., None]
        fresh = sd * unit("slope_change", (*inside.shape[:-1], RUNGS_BEYOND))
        continued["slope_change"] = np.concatenate([inside, fresh], axis=-1)
    for name, ends in (("size", 1), ("data", 2)):
        if f"{name}_bend" not in p:
            continue
        inside = np.asarray(p[f"{name}_bend"])
        count = ends * RUNGS_BEYOND
        common = unit(f"{name}_bend_common", (*inside.shape[:-2], 1, count))
        own = unit(f"{name}_bend_own", (*inside.shape[:-1], count))
        fresh = np.asarray(population_bend(p, name, common, own))
        continued[f"{name}_bend"] = np.concatenate([inside, fresh], axis=-1)
    return continued
