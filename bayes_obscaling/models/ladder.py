"""The ladder model: model size and tokens to task loss (step 1), task loss to accuracy (step 2).

A pure numpyro function over arrays, for all tasks and runs at once. Bhagia et al. (2024) fit the same two curves task
by task and by least squares; what is added here is what a forecast beyond the ladder needs to be uncertain about:

* the exponents and the irreducible loss, partially pooled over tasks;
* runs: a seed makes all losses of a run a little better or worse, more so for small models;
* both curves beyond the ladder. The exponents of the loss in size and in tokens (a parameter), and the slope of the
  link from loss to accuracy, may change wherever a rung ends. The scale of these changes is learned over tasks from the
  rungs inside the ladder, each of which once lay beyond the end of a shorter ladder; a target beyond the last rung
  gets changes of its own.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from bayes_obscaling.models.links import Numbers
from bayes_obscaling.models.priors import Beta, Frozen, HalfNormal, LogNormal, Normal

# Size (parameters), data (tokens) and compute (FLOPs) at which the laws are centred: far from there, at N = 1, the
# intercept and the exponent of a power law cannot be told apart.
CENTRE_PARAMS, CENTRE_TOKENS, CENTRE_FLOPS = 5e8, 3e10, 9e19
# Degrees of freedom of the noise of losses and accuracies. Fixed: a free one falls into a degenerate mode.
NOISE_DF = 5.0
# Floor of the noise of an accuracy, and of a log loss.
SMALLEST_ACCURACY_SD = 0.002
SMALLEST_LOSS_SD = 0.0005


class LadderPriors(Frozen):
    """Every prior of the ladder model; losses in units of the loss, on log scales where it says so."""

    # Step 1: L = E + A (N/N0)^-alpha + B (D/D0)^-beta
    exponent: LogNormal = LogNormal(median=0.35, log_sd=0.4)  # population median of alpha, and of beta
    exponent_sd: LogNormal = LogNormal(median=0.25, log_sd=0.5)  # their spread over tasks, log scale
    level: LogNormal = LogNormal(median=1.3, log_sd=0.3)  # loss at N0, D0, in units of the smallest loss seen
    irreducible_share: Beta = Beta(a=2.0, b=2.0)  # of E in that loss
    size_share: Beta = Beta(a=2.0, b=2.0)  # of the term in N in the rest
    bend: LogNormal = LogNormal(median=0.15, log_sd=0.7)  # change of an exponent after each rung, as a share of it
    bend_shared: Beta = Beta(a=2.0, b=2.0)  # share of its variance that is common to all tasks
    run_sd: LogNormal = LogNormal(median=0.005, log_sd=0.7)  # log loss; what a run has in common over tasks
    loss_sd: LogNormal = LogNormal(median=0.01, log_sd=0.7)  # log loss; population median over tasks
    loss_sd_spread: LogNormal = LogNormal(median=0.4, log_sd=0.5)
    size_decay: HalfNormal = HalfNormal(scale=0.3)  # noise falls as (N/N0)^-decay
    # Step 2: accuracy = floor + (ceiling - floor) sigmoid(k (L0 - L) + discrepancy)
    floor_shift: Normal = Normal(loc=0.0, scale=0.015)  # of the floor from chance
    ceiling_gap: LogNormal = LogNormal(median=0.04, log_sd=0.8)  # share of the range above the floor never reached
    steepness: LogNormal = LogNormal(median=6.0, log_sd=0.8)  # k, logits a unit of loss
    midpoint: Normal = Normal(loc=0.8, scale=0.4)  # L0 as a share of the smallest loss seen
    slope_change: LogNormal = LogNormal(median=0.15, log_sd=0.7)  # at the end of each rung, as a share of k
    slope_change_spread: LogNormal = LogNormal(median=0.4, log_sd=0.5)
    accuracy_sd: LogNormal = LogNormal(median=0.03, log_sd=0.7)  # logits; population median over tasks
    accuracy_sd_spread: LogNormal = LogNormal(median=0.4, log_sd=0.5)
    coupling: Normal = Normal(loc=0.0, scale=1.0)  # how far accuracy follows a run's own loss; 1: fully


class LadderSpec(Frozen):
    """What is believed about a ladder.

    Attributes
    ----------
    law : {"size-and-data", "compute"}
        Step 1 in N and D (eq. 1 of Bhagia et al. 2024), or in C alone: ``L = E + A (C/C0)^-alpha``.
    feature : {"task_loss", "task_ce", "c4_loss", "none"}
        What stands between compute and accuracy: the loss of the right answers, the cross-entropy over the answers,
        the loss on C4 text, or nothing (one step from N and D to the logit of the accuracy).
    discrepancy : bool
        Whether the slope of the link may change at the end of each rung (and beyond the last).
    priors : LadderPriors
        All priors.
    """

    law: Literal["size-and-data", "compute"] = "size-and-data"
    feature: Literal["task_loss", "task_ce", "c4_loss", "none"] = "task_loss"
    discrepancy: bool = True
    priors: LadderPriors = LadderPriors()


class LadderData(NamedTuple):
    """Arrays of a ladder: R runs, T tasks, K rungs but the last, F losses (one a task, or one for all tasks).

    Losses are in units of the smallest loss seen.
    """

    log_size: jax.Array  # (R,) log(N / N0), or log(C / C0)
    log_data: jax.Array  # (R,) log(D / D0)
    log_params: jax.Array  # (R,) log(N / N0): what the noise of a run depends on
    size_bends: jax.Array  # (K - 1,) `log_size` of the rungs between the smallest and the largest
    ratio_bends: jax.Array  # (2,) log(D / D0) - log(N / N0) that divide the ladder's range in three
    loss: jax.Array  # (R, F); ones where not seen
    loss_seen: jax.Array  # (R, F)
    accuracy: jax.Array  # (R, T)
    accuracy_seen: jax.Array  # (R, T)
    chance: jax.Array  # (T,)
    centre: jax.Array  # (F,) mean of the losses seen
    knots: jax.Array  # (F, K) smallest loss at the end of each rung but the last


def power_law(log_size: Numbers, log_data: Numbers, p: dict[str, Numbers]) -> jax.Array:
    """Loss in units of the smallest loss seen, ``E + A (N/N0)^-alpha + B (D/D0)^-beta``.

    Hoffmann et al. (2022), eq. 2; Bhagia et al. (2024), eq. 1, here centred at N0 and D0.

    Parameters
    ----------
    log_size, log_data : array
        ``log(N / N0)`` and ``log(D / D0)``, broadcastable to the parameters.
    p : dict of arrays
        ``irreducible, size_scale, size_exponent, data_scale, data_exponent``.

    Returns
    -------
    array
    """
    of_size = p["size_scale"] * jnp.exp(-p["size_exponent"] * log_size)
    of_data = p["data_scale"] * jnp.exp(-p["data_exponent"] * log_data)
    return jnp.asarray(p["irreducible"] + of_size + of_data)


def link(loss: Numbers, shift: Numbers, p: dict[str, Numbers]) -> jax.Array:
    """Expected accuracy at a loss: a sigmoid between floor and ceiling (Bhagia et al. 2024, eq. 2, with k > 0).

    Parameters
    ----------
    loss : array
        In units of the smallest loss seen.
    shift : array
        What is added on the logit scale.
    p : dict of arrays
        ``floor, ceiling_gap, steepness, midpoint``.

    Returns
    -------
    array
    """
    rise = (1.0 - p["floor"]) * (1.0 - p["ceiling_gap"])
    return jnp.asarray(p["floor"] + rise * jax.nn.sigmoid(p["steepness"] * (p["midpoint"] - loss) + shift))


def _lognormal(name: str, prior: LogNormal, *shape: int) -> jax.Array:
    """Sample a lognormal given by median and log sd as a standardised normal."""
    raw = numpyro.sample(f"{name}_raw", dist.Normal(0.0, 1.0).expand(shape).to_event(len(shape)))
    return numpyro.deterministic(name, prior.median * jnp.exp(prior.log_sd * raw))


def _beta(name: str, prior: Beta, count: int) -> jax.Array:
    """Sample shares."""
    return jnp.asarray(numpyro.sample(name, dist.Beta(prior.a, prior.b).expand((count,)).to_event(1)))


def _free(name: str, count: int) -> jax.Array:
    """Real parameters whose prior is stated elsewhere."""
    return jnp.asarray(numpyro.sample(name, dist.ImproperUniform(dist.constraints.real, (), (count,))))


def _pooled(name: str, median: Numbers, spread: Numbers, count: int) -> jax.Array:
    """Positive parameters of tasks, drawn from a lognormal population."""
    raw = numpyro.sample(f"{name}_raw", dist.Normal(0.0, 1.0).expand((count,)).to_event(1))
    return numpyro.deterministic(name, median * jnp.exp(spread * raw))


def _observe(name: str, density: dist.StudentT, value: jax.Array) -> None:
    """Condition on what was seen; keep its pointwise log likelihood, and how far it lies out, in scales."""
    numpyro.sample(f"{name}_seen", density, obs=value)
    numpyro.deterministic(f"log_likelihood_{name}", density.log_prob(value))
    numpyro.deterministic(f"residual_{name}", (value - density.loc) / density.scale)


def _bend(name: str, x: jax.Array, at: jax.Array, shared: Numbers, count: int, prior: LogNormal) -> jax.Array:
    """What bends after each of the points `at` take off `x`, (len(x), count).

    A bend c changes an exponent by the share c from there on: ``alpha (x - c (x - at))``.
    """
    sd = _lognormal(f"{name}_bend_sd", prior)
    common = numpyro.sample(f"{name}_bend_common_raw", dist.Normal(0.0, 1.0).expand((len(at),)).to_event(1))
    own = numpyro.sample(f"{name}_bend_own_raw", dist.Normal(0.0, 1.0).expand((count, len(at))).to_event(2))
    drift = numpyro.sample(f"{name}_bend_drift", dist.Normal(0.0, 1.0))
    bend = sd * (drift + jnp.sqrt(shared) * common + jnp.sqrt(1.0 - shared) * own)
    return jax.nn.relu(x[:, None] - at) @ numpyro.deterministic(f"{name}_bend", bend).T


def ladder(data: LadderData, spec: LadderSpec) -> None:
    """Joint density of losses and accuracies of all runs on all tasks.

    Parameters
    ----------
    data : LadderData
        What was seen.
    spec : LadderSpec
        What is believed.
    """
    priors = spec.priors
    (n_runs, n_losses), n_tasks = data.loss.shape, data.accuracy.shape[1]
    two = spec.law == "size-and-data"
    level = _lognormal("level", priors.level, n_losses)
    share = _beta("irreducible_share", priors.irreducible_share, n_losses)
    of_size = _beta("size_share", priors.size_share, n_losses) if two else jnp.ones(n_losses)
    p: dict[str, Numbers] = {"irreducible": numpyro.deterministic("irreducible", level * share)}
    for name, part in (("size", of_size), ("data", 1.0 - of_size)) if two else (("size", of_size),):
        reducible = (1.0 - share) * part
        p[f"{name}_scale"] = numpyro.deterministic(f"{name}_scale", level * reducible)
        # The elasticity, exponent times share, is what the runs determine; the exponent alone they hardly do. So the
        # elasticity is sampled, and the exponent has the prior (on log scales the Jacobian is one).
        log_elasticity = _free(f"{name}_elasticity_raw", n_losses)
        log_exponent = log_elasticity - jnp.log(reducible)
        median = _lognormal(f"{name}_exponent_median", priors.exponent)
        spread = _lognormal(f"{name}_exponent_spread", priors.exponent_sd)
        numpyro.factor(f"{name}_exponent_prior", dist.Normal(jnp.log(median), spread).log_prob(log_exponent).sum())
        p[f"{name}_exponent"] = numpyro.deterministic(f"{name}_exponent", jnp.exp(log_exponent))
    if not two:
        p |= {"data_exponent": jnp.zeros(n_losses), "data_scale": jnp.zeros(n_losses)}
    log_size, log_data = data.log_size[:, None], data.log_data[:, None]
    if spec.discrepancy:
        shared = numpyro.sample("bend_shared", dist.Beta(priors.bend_shared.a, priors.bend_shared.b))
        bent = _bend("size", data.log_size, data.size_bends, shared, n_losses, priors.bend)
        if two:
            ratio = data.log_data - data.log_size
            log_data = log_data - _bend("data", ratio, data.ratio_bends, shared, n_losses, priors.bend)
        log_size = log_size - bent
    log_law = jnp.log(power_law(log_size, log_data, p))

    # a run's luck: the same for all tasks, and its own for each; both shrink with size
    decay = numpyro.sample("size_decay", dist.HalfNormal(priors.size_decay.scale))
    shrink = jnp.exp(-decay * data.log_params)[:, None]
    run_sd = _lognormal("run_sd", priors.run_sd)
    luck = numpyro.sample("luck_raw", dist.Normal(0.0, 1.0).expand((n_runs,)).to_event(1))
    log_loss = log_law + run_sd * shrink * luck[:, None]
    median = _lognormal("loss_sd_median", priors.loss_sd)
    spread = _lognormal("loss_sd_spread", priors.loss_sd_spread)
    loss_sd = _pooled("loss_sd", median, spread, n_losses)
    own = jnp.log(data.loss) - log_loss
    sd = jnp.sqrt((loss_sd * shrink) ** 2 + SMALLEST_LOSS_SD**2)
    with numpyro.handlers.mask(mask=data.loss_seen):
        _observe("loss", dist.StudentT(NOISE_DF, log_loss, sd), jnp.log(data.loss))

    # step 2 regresses on the run's expected loss, not on the observed one, whose own noise it follows as far as
    # `coupling` says
    coupling = numpyro.sample("coupling", dist.Normal(priors.coupling.loc, priors.coupling.scale))
    expected = jnp.exp(log_loss + coupling * jnp.where(data.loss_seen, own, 0.0))
    shift_raw = numpyro.sample("floor_raw", dist.Normal(0.0, 1.0).expand((n_tasks,)).to_event(1))
    floor = data.chance + priors.floor_shift.loc + priors.floor_shift.scale * shift_raw
    p["floor"] = numpyro.deterministic("floor", jnp.clip(floor, 0.0, 1.0))
    p["ceiling_gap"] = jnp.minimum(_lognormal("ceiling_gap", priors.ceiling_gap, n_tasks), 0.9)
    bent_centre = bent_end = jnp.zeros(n_tasks)
    change = None
    if spec.discrepancy:
        change_median = _lognormal("slope_change_median", priors.slope_change)
        change_spread = _lognormal("slope_change_spread", priors.slope_change_spread)
        change_sd = _pooled("slope_change_sd", change_median, change_spread, n_tasks)
        shape = (n_tasks, data.knots.shape[1])
        raw = numpyro.sample("slope_change_raw", dist.Normal(0.0, 1.0).expand(shape).to_event(2))
        change = numpyro.deterministic("slope_change", change_sd[:, None] * raw)
        bent_centre = (jax.nn.relu(data.knots - data.centre[:, None]) * change).sum(axis=-1)
        bent_end = (jax.nn.relu(data.knots - 1.0) * change).sum(axis=-1)
    # Likewise: the runs determine the height of the curve at their mean loss, and its rise from there to the smallest
    # one. These are sampled; steepness and midpoint have the priors.
    height, log_rise = _free("height_raw", n_tasks), _free("log_rise_raw", n_tasks)
    run = data.centre - 1.0 + bent_end - bent_centre
    log_steepness = log_rise - jnp.log(jnp.maximum(run, 0.1 * (data.centre - 1.0)))
    steepness = priors.steepness
    density = dist.Normal(jnp.log(steepness.median), steepness.log_sd).log_prob(log_steepness)
    numpyro.factor("steepness_prior", density.sum())
    p["steepness"] = numpyro.deterministic("steepness", jnp.exp(log_steepness))
    midpoint = data.centre - bent_centre + height / p["steepness"]
    density = dist.Normal(priors.midpoint.loc, priors.midpoint.scale).log_prob(midpoint) - log_steepness
    numpyro.factor("midpoint_prior", density.sum())
    p["midpoint"] = numpyro.deterministic("midpoint", midpoint)
    shift: Numbers = 0.0
    if change is not None:
        beyond = jax.nn.relu(data.knots - expected[..., None])  # (R, F, K)
        shift = p["steepness"] * (beyond * change).sum(axis=-1)
    median = _lognormal("accuracy_sd_median", priors.accuracy_sd)
    spread = _lognormal("accuracy_sd_spread", priors.accuracy_sd_spread)
    accuracy_sd = _pooled("accuracy_sd", median, spread, n_tasks)
    mean = link(expected, shift, p)
    sd = jnp.sqrt((accuracy_sd * mean * (1.0 - mean)) ** 2 + SMALLEST_ACCURACY_SD**2)
    with numpyro.handlers.mask(mask=data.accuracy_seen):
        _observe("accuracy", dist.StudentT(NOISE_DF, mean, sd), data.accuracy)
