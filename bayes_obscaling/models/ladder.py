"""The ladder model: model size and tokens to task loss (step 1), task loss to accuracy (step 2).

For all tasks and runs at once. Bhagia et al. (2024) fit the same two curves task by task and by least squares; what is
added here is what a forecast beyond the ladder needs to be uncertain about:

* the exponents and the irreducible loss, partially pooled over tasks;
* runs: a seed makes all losses of a run a little better or worse, more so for small models;
* both curves beyond the ladder. The exponents of the loss in size and in tokens per parameter, and the slope of the
  link from loss to accuracy, may change wherever a rung ends. The scale of these changes is learned over tasks from the
  rungs inside the ladder, each of which once lay beyond the end of a shorter ladder; a model beyond the last rung gets
  changes of its own.

The model is the equations of `bayes_obscaling.models.ladder_equations` and the priors, in plates named like the
dimensions that users see.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro import plate
from numpyro.distributions.transforms import AffineTransform, ExpTransform

from bayes_obscaling.models.ladder_equations import (
    LadderData,
    Parameters,
    densities,
    log_law,
    recipe_effect,
    run_luck,
    summed_change,
)
from bayes_obscaling.models.links import Numbers
from bayes_obscaling.models.parts import partly_centred
from bayes_obscaling.models.priors import (
    Beta,
    Frozen,
    HalfNormal,
    LogNormal,
    Normal,
    Pytree,
    believe,
    believe_scaled,
    stands_for,
)

# Least distance, in units of the smallest loss, over which the sampler takes the rise of a link.
_LEAST_DISTANCE = 0.01
# How far bends are centred, between not at all (0) and wholly (1): those of one task, or one loss, and those common to
# all tasks, which the runs determine.
_CENTRING, _CENTRING_COMMON = 0.5, 1.0
# Shares of the range of accuracies at which a link is described, at least and at most.
_SHARES = (0.05, 0.85)


class LadderPriors(Pytree):
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
    steepness: LogNormal = LogNormal(median=6.0, log_sd=0.8)  # k, logits per unit of loss
    midpoint: Normal = Normal(loc=0.8, scale=0.4)  # L0 as a share of the smallest loss seen
    slope_change: LogNormal = LogNormal(median=0.15, log_sd=0.7)  # at the end of each rung, as a share of k
    slope_change_spread: LogNormal = LogNormal(median=0.4, log_sd=0.5)
    accuracy_sd: LogNormal = LogNormal(median=0.03, log_sd=0.7)  # logits; population median over tasks
    accuracy_sd_spread: LogNormal = LogNormal(median=0.4, log_sd=0.5)
    coupling: Normal = Normal(loc=0.0, scale=1.0)  # how far accuracy follows a run's own loss; 1: fully
    # Another recipe than the ladder's; docs/explanation/choices/ladder-recipes.md says which data the numbers are from
    recipe_loss: LogNormal = LogNormal(median=0.02, log_sd=0.5)  # log loss; sd of the effect over recipes
    recipe_link: LogNormal = LogNormal(median=0.2, log_sd=0.5)  # logits of an accuracy at a given loss; the same
    recipe_shared: Beta = Beta(a=4.0, b=2.0)  # share of both variances that is common to all tasks
    recipe_gain: Normal = Normal(loc=0.03, scale=0.05)  # logits; mean of the effect on the link
    recipe_gain_knowledge: Normal = Normal(loc=0.15, scale=0.1)  # the same, of tasks that ask what is known
    recipe_unknown: LogNormal = LogNormal(median=2.0, log_sd=0.2)  # how much larger the sd is for anyone's recipe
    checkpoint_gap: Normal = Normal(loc=0.01, scale=0.01)  # log loss of a run under way, above a finished one's


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


class LadderStructure(NamedTuple):
    """Switches of the model: with the shapes of the arrays, all that a compiled sampler depends on."""

    law: str
    discrepancy: bool
    has_loss: bool = True
    recipes: int = 1

    @property
    def terms(self) -> tuple[str, ...]:
        """What the loss falls with: "size" (N, or compute in its place), "data"."""
        return ("size", "data") if self.law == "size-and-data" else ("size",)


def ladder(data: LadderData, priors: LadderPriors, structure: LadderStructure) -> None:
    """Joint density of losses and accuracies of all runs on all tasks; the numbers of the priors may be tracers.

    Equations 19 to 31 of docs/explanation/model.md, and 42 to 44 where runs are of several recipes.
    """
    (n_runs, n_losses), n_tasks = data.loss.shape, data.accuracy.shape[1]
    p = _sample_law(n_losses, priors, structure)
    if structure.discrepancy:
        p |= _sample_bends(data, priors, structure)
    p |= _sample_luck(data, priors)
    if structure.has_loss:
        p |= _sample_spread("loss_sd", priors, plate("loss_of", n_losses, dim=-1))
        p["coupling"] = believe(priors, "coupling")
    if structure.discrepancy and structure.has_loss:
        p |= _sample_slope_changes(data, priors)
    p |= _sample_link(p, data, priors)
    if structure.recipes > 1:
        p |= _sample_recipes(data, priors, structure.recipes)
    p |= _sample_spread("accuracy_sd", priors, plate("task", n_tasks, dim=-1))
    of_loss, of_accuracy = densities(p, data)
    with plate("run", n_runs, dim=-2):
        with plate("loss_of", n_losses, dim=-1):
            numpyro.sample("log_loss", of_loss.mask(data.loss_seen), obs=jnp.log(data.loss))
        with plate("task", n_tasks, dim=-1):
            numpyro.sample("accuracy", of_accuracy.mask(data.accuracy_seen), obs=data.accuracy)


def _sample_law(n_losses: int, priors: LadderPriors, structure: LadderStructure) -> dict[str, Numbers]:
    """Irreducible loss, and scale and exponent of each term of the law.

    Equations 21 and 22 of docs/explanation/model.md.
    """
    losses = plate("loss_of", n_losses, dim=-1)
    p: dict[str, Numbers] = {}
    level, share = jnp.ones(n_losses), jnp.zeros(n_losses)  # without a loss: its unit and its zero are the link's
    with losses:
        if structure.has_loss:
            level, share = believe_scaled(priors, "level"), believe(priors, "irreducible_share")
            p["irreducible"] = numpyro.deterministic("irreducible", level * share)
        of_size = believe(priors, "size_share") if "data" in structure.terms else jnp.ones(n_losses)
    for name, part in zip(structure.terms, (of_size, 1.0 - of_size), strict=False):
        reducible = (1.0 - share) * part
        exponent, field = priors.exponent.distribution(), "exponent"
        if n_losses > 1:
            median = believe_scaled(priors, "exponent", f"{name}_exponent_median")
            spread = believe_scaled(priors, "exponent_sd", f"{name}_exponent_spread")
            exponent, field = dist.LogNormal(jnp.log(median), spread * jnp.ones(n_losses)), ""
        with losses:
            p[f"{name}_scale"] = numpyro.deterministic(f"{name}_scale", level * reducible)
            # The elasticity, exponent times share, is what the runs determine; the exponent alone they hardly do.
            p[f"{name}_exponent"] = _sample_in(
                f"{name}_log_elasticity",
                [ExpTransform().inv, AffineTransform(jnp.log(reducible), 1.0)],
                f"{name}_exponent",
                exponent,
                field,
            )
    return p


def _sample_bends(data: LadderData, priors: LadderPriors, structure: LadderStructure) -> dict[str, Numbers]:
    """Changes of the exponents inside the ladder; a single loss has none of its own beside the common ones."""
    n_losses = data.loss.shape[1]
    p: dict[str, Numbers] = {"bend_shared": believe(priors, "bend_shared")} if n_losses > 1 else {}
    for name in structure.terms:
        p[f"{name}_bend_sd"] = believe_scaled(priors, "bend", f"{name}_bend_sd")
        drift = numpyro.sample(f"{name}_bend_drift_raw", dist.Normal(0.0, 1.0))
        p[f"{name}_bend_drift"] = numpyro.deterministic(f"{name}_bend_drift", drift)
        with plate(f"{name}_bend_at", len(getattr(data.bends, f"{name}_bend_at")), dim=-1):
            if n_losses == 1:  # its runs determine bends about as well as their population does
                sd = jnp.asarray(p[f"{name}_bend_sd"])
                alone = partly_centred(f"{name}_bend_raw", sd * drift, sd, _CENTRING)
                with plate("loss_of", n_losses, dim=-2):
                    p[f"{name}_bend"] = numpyro.deterministic(f"{name}_bend", alone[None, :])
                continue
            sd, shared = jnp.asarray(p[f"{name}_bend_sd"]), p["bend_shared"]
            common = partly_centred(f"{name}_bend_common_raw", sd * drift, sd * jnp.sqrt(shared), _CENTRING_COMMON)
            with plate("loss_of", n_losses, dim=-2):
                own = partly_centred(f"{name}_bend_own_raw", 0.0, sd * jnp.sqrt(1.0 - shared), _CENTRING)
                p[f"{name}_bend"] = numpyro.deterministic(f"{name}_bend", common + own)
    return p


def _sample_luck(data: LadderData, priors: LadderPriors) -> dict[str, Numbers]:
    """Luck of each run, log loss; a single loss has none, since its own noise says the same."""
    p: dict[str, Numbers] = {"size_decay": believe(priors, "size_decay")}
    if data.loss.shape[1] == 1:
        return p
    p["run_sd"] = believe_scaled(priors, "run_sd")
    with plate("run", data.loss.shape[0], dim=-1):
        unit = numpyro.sample("luck_raw", dist.Normal(0.0, 1.0))
        p["luck"] = numpyro.deterministic("luck", run_luck(p, data.runs, unit))
    return p


def _sample_slope_changes(data: LadderData, priors: LadderPriors) -> dict[str, Numbers]:
    """Changes of the link's slope at the end of each rung, as shares of its steepness."""
    n_tasks, n_ends = data.accuracy.shape[1], data.bends.rung_end.shape[1]  # type: ignore[union-attr]
    p = _sample_spread("slope_change_sd", priors, plate("task", n_tasks, dim=-1), "slope_change")
    with plate("task", n_tasks, dim=-2), plate("rung_end", n_ends, dim=-1):
        unit = numpyro.sample("slope_change_raw", dist.Normal(0.0, 1.0))
        p["slope_change"] = numpyro.deterministic("slope_change", jnp.asarray(p["slope_change_sd"])[:, None] * unit)
    return p


def _sample_link(p: Parameters, data: LadderData, priors: LadderPriors) -> dict[str, Numbers]:
    """Floor, ceiling, steepness and midpoint of the link of each task."""
    n_tasks, rung_end = data.accuracy.shape[1], data.bends.rung_end
    # The runs determine the height of the curve at the mean loss of those that are off chance, and its rise from there
    # to the smallest loss: the sampler moves in these. Steepness and midpoint have the priors.
    loss, smallest = jnp.where(data.loss_seen, data.loss, 1.0), jnp.asarray(1.0)
    if "irreducible" not in p:  # no loss is seen: the one that runs expect
        loss = jnp.exp(log_law(p, data.runs, data.bends))
        smallest = loss.min(axis=0)
    centre = jnp.maximum((data.weight * loss).sum(axis=0), smallest + _LEAST_DISTANCE)
    at_centre, at_end = (
        summed_change(rung_end, loss, p["slope_change"]) if "slope_change" in p else jnp.zeros(n_tasks)
        for loss in (centre[:, None], 1.0)
    )
    run = jnp.maximum(centre - smallest + at_end - at_centre, 0.1 * (centre - smallest))
    with plate("task", n_tasks, dim=-1):
        shift = believe_scaled(priors, "floor_shift")
        floor = numpyro.deterministic("floor", jnp.clip(data.chance + shift, 0.0, 1.0))
        gap = believe_scaled(priors, "ceiling_gap")
        at_height, at_rise = _of_ends(shift, gap, data)
        to_log_rise = [ExpTransform().inv, AffineTransform(jnp.log(run) - at_rise, 1.0)]
        steepness = _sample_in("log_rise", to_log_rise, "steepness", priors.steepness.distribution(), "steepness")
        middle = centre - at_centre
        to_height = [AffineTransform(-steepness * middle - at_height, steepness)]
        midpoint = _sample_in("height", to_height, "midpoint", priors.midpoint.distribution(), "midpoint")
    return {"floor": floor, "ceiling_gap": gap, "steepness": steepness, "midpoint": midpoint}


def _of_ends(shift: jax.Array, gap: jax.Array, data: LadderData) -> tuple[jax.Array, jax.Array]:
    """How far floor and ceiling move the height of a link, and the log of its rise, (T,) both, at given accuracies.

    The runs determine accuracies at the link's middle and end. With a share s of the range above chance, the logit of
    the way from floor to ceiling is ``logit(s) + x + x^2 / 2 - y - y^2 / 2 + ...``, where ``x = gap / (1 - s)``, and
    ``y = shift / s`` in units of the range. It is for the sampler alone, which then moves along accuracies.
    """
    share = jnp.clip((data.accuracy - data.chance) / (1.0 - data.chance), *_SHARES)
    middle = (data.weight * share).sum(axis=0)
    end = jnp.maximum(jnp.where(data.accuracy_seen, share, 0.0).max(axis=0), middle + _SHARES[0])
    gap, shift = jnp.minimum(gap, _SHARES[1]), shift / (1.0 - data.chance)
    above, below = (
        [y + 0.5 * y**2 for y in ys] for ys in ((gap / (1 - middle), gap / (1 - end)), (shift / middle, shift / end))
    )
    rise = jax.scipy.special.logit(end) - jax.scipy.special.logit(middle)
    at_rise = jnp.log1p((above[1] - above[0]) / rise) + (below[0] - below[1]) / rise
    return above[0] - below[0], at_rise


def _sample_recipes(data: LadderData, priors: LadderPriors, n_recipes: int) -> dict[str, Numbers]:
    """What every recipe but the first adds to log losses, and to the link."""
    shared = believe(priors, "recipe_shared")
    p: dict[str, Numbers] = {"recipe_shared": shared}
    for name, dim, n in (("loss", "loss_of", data.loss.shape[1]), ("link", "task", data.accuracy.shape[1])):
        sd = p[f"recipe_{name}_sd"] = believe_scaled(priors, f"recipe_{name}", f"recipe_{name}_sd")
        with plate("recipe", n_recipes - 1, dim=-2):
            common = numpyro.sample(f"recipe_{name}_common_raw", dist.Normal(0.0, 1.0))
            with plate(dim, n, dim=-1):
                own = numpyro.sample(f"recipe_{name}_own_raw", dist.Normal(0.0, 1.0))
                effect = recipe_effect(sd, shared, common, own)
                p[f"recipe_{name}"] = numpyro.deterministic(f"recipe_{name}", effect)
    return p


def _sample_spread(name: str, priors: LadderPriors, each: plate, stem: str = "") -> dict[str, Numbers]:
    """Standard deviations of tasks, non-centred, from a lognormal population; its prior is called `stem`.

    Equation 31 of docs/explanation/model.md. A single one has the prior of the population's median.
    """
    stem = stem or name
    if each.size == 1:
        with each:
            return {name: believe_scaled(priors, stem, name)}
    median = believe_scaled(priors, stem, f"{stem}_median")
    spread = believe_scaled(priors, f"{stem}_spread")
    with each:
        unit = numpyro.sample(f"{name}_raw", dist.Normal(0.0, 1.0))
        return {name: numpyro.deterministic(name, median * jnp.exp(spread * unit))}


def _sample_in(site: str, steps: list[Any], name: str, prior: dist.Distribution, field: str = "") -> jax.Array:
    """Sample a parameter in the coordinates that `steps` lead to: its density there is the prior's by the Jacobian.

    `field` names the prior, if that is one of the model's own.
    """
    moved = dist.TransformedDistribution(prior, steps)
    value = numpyro.sample(site, moved, infer=stands_for(name, field) if field else {})
    for step in reversed(steps):
        value = step.inv(value)
    return jnp.asarray(numpyro.deterministic(name, value))
