"""Post-training: what an intervention, such as chain of thought, adds to a model's score on the same task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import task_slopes
from bayes_obscaling.results.curves import task_capability
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import family_of
from bayes_obscaling.results.release import release_date, released
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario
from bayes_obscaling.results.summaries import interval_columns

LIKELY = 0.9  # probability from which a sentence says that an intervention helps
_CURVE_POINTS = 25
_CURVE_DECADES = 2.0  # how far beyond a family's largest model its curve is drawn


@dataclass(frozen=True, eq=False, repr=False)
class Gain(Finding):
    """The gain of an intervention.

    ``table`` has a row per model: ``capability`` (posterior mean along the direction that the task with the
    intervention reads, in sd of the models whose scores are seen), ``observed`` (NaN where one of the two scores is
    missing), ``seen`` (the fit has seen both scores), the gain of a new pair of evaluations as ``median, q5, q25, q75,
    q95``, ``expected`` (posterior mean of the gain without the noise of evaluations) and ``probability_helps`` (that
    this expected gain is above 0). ``parts``: ``curve`` (the same for a new model of a family, by compute) and
    ``drivers`` (score points of gain per sd of each capability, the others held, averaged over models).
    """

    drawn_by = "plot_gain"
    front = ("model", "capability", "median", "q25", "q75", "q5", "q95", "observed", "seen", "probability_helps")

    before: str = ""
    after: str = ""
    cutoff: float | None = None


def gain(
    fit: CapabilityFit,
    before: str,
    after: str,
    *,
    models: Sequence[str] | None = None,
    families: str | Sequence[str] = (),
) -> Gain:
    """Forecast the difference between a model's scores with and without an intervention.

    Parameters
    ----------
    fit : CapabilityFit
        One fit that holds both tasks.
    before, after : str
        Tasks without and with the intervention, such as gsm8k_direct and gsm8k_cot.
    models : sequence of str, optional
        Models of the table; default all that have a benchmark score.
    families : str or sequence of str
        Families (of the table, or "new") whose gain is followed over compute.

    Raises
    ------
    InputError
        For a task that is not a head of the fit, two names of one task, an unknown model or family.

    Notes
    -----
    The two scores of one draw share the model's capabilities and the family's line, so that what the fit is unsure of
    there cancels as far as both tasks read it alike. The heads themselves are independent given what is pooled over
    tasks, as are family offsets and the noise of evaluations, while in truth two ways to ask the same items deviate
    together: intervals are then too wide rather than too narrow, most of all for two tasks that are nearly the same
    (`check_gain` says by how much).

    *Drivers.* The derivative of the expected gain along the standardised capability ``z_k`` is
    ``r'_after w_after,k - r'_before w_before,k``, where ``r'`` is the slope of a task's response curve at the model's
    own place, and ``w`` its weights.
    """
    names = task_pair(fit, before, after)
    chosen = [fit.table.resolve_model(m) for m in models] if models is not None else measured_models(fit)
    draws, expected = paired_gains(fit, [Scenario(model=model) for model in chosen], names)
    table = interval_columns(draws)
    observed = fit.table.matrix(names).loc[chosen]
    facts = fit.table.models.loc[chosen]
    table.insert(0, "observed", (observed[names[1]] - observed[names[0]]).to_numpy())
    table.insert(0, "seen", fit.posterior.seen.loc[chosen, names].all(axis=1).to_numpy())
    table.insert(0, "capability", task_capability(fit, names[1]).reindex(chosen).to_numpy())
    table.insert(0, "flops", facts["flops"].to_numpy())
    table.insert(0, "family", facts["family"].to_numpy())
    table.insert(0, "model", chosen)
    table["expected"], table["probability_helps"] = expected.mean(axis=0), (expected > 0).mean(axis=0)
    table = table.sort_values("capability", kind="stable", ignore_index=True)
    parts = {"drivers": _drivers(fit, chosen, names)}
    wanted = [families] if isinstance(families, str) else list(families)
    if wanted:
        parts["curve"] = pd.concat([_curve(fit, family, names) for family in wanted], ignore_index=True)
    sentences = _sentences(fit, table, parts, names)
    return Gain(table, sentences, fit.problems, parts, names[0], names[1], fit.split.cutoff)


def task_pair(fit: CapabilityFit, before: str, after: str) -> list[str]:
    """Full names of the two tasks; refuses those that are not heads of the fit, or are one."""
    names = two_tasks(fit.table, before, after)
    for name in names:
        if not fit.posterior.has_head(name):
            held = ", ".join(fit.layout.tasks)
            raise InputError(f"The fit has no task head for {name}: fit again with it; it has {held}.")
    return names


def two_tasks(table: ScoreTable, before: str, after: str) -> list[str]:
    """Full names of two tasks; refuses those that are one."""
    names = [table.resolve(name) for name in (before, after)]
    if names[0] == names[1]:
        raise InputError(f"Both scores are {names[0]}: name the task without and the task with the intervention.")
    return names


def measured_models(fit: CapabilityFit) -> list[str]:
    """Models with a benchmark score that the fit has seen: others are forecast from compute alone."""
    return list(fit.posterior.measured.index[fit.posterior.measured])


def paired_gains(fit: CapabilityFit, scenarios: list[Scenario], names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Gains of a pair of new evaluations, and of the expected scores, (S, scenarios) each."""
    expected, draws = fit.posterior.scores(scenarios, names)
    return draws[..., 1] - draws[..., 0], expected[..., 1] - expected[..., 0]


def _curve(fit: CapabilityFit, family: str, names: list[str]) -> pd.DataFrame:
    """Gain of a new model of a family by compute, from its smallest model to beyond its largest."""
    models, family = fit.table.models, family_of(fit.layout, family)
    known = models["flops"][(models["family"] == family) | (family == NEW_FAMILY)].dropna()
    if known.empty:
        raise InputError(f"No FLOPs are known in the family {family}: name another.")
    low, high = np.log10(known.min()), np.log10(known.max())
    grid = 10.0 ** np.linspace(low, high + _CURVE_DECADES, _CURVE_POINTS)
    draws, expected = paired_gains(fit, [Scenario(family=family, flops=float(x)) for x in grid], names)
    frame = interval_columns(draws)
    frame.insert(0, "flops", grid)
    frame.insert(0, "family", family)
    frame["expected"], frame["probability_helps"] = expected.mean(axis=0), (expected > 0).mean(axis=0)
    frame["beyond"] = np.maximum(np.log10(grid) - high, 0.0)
    return frame


def _drivers(fit: CapabilityFit, models: list[str], names: list[str]) -> pd.DataFrame:
    """Derivative of the expected gain along each standardised capability, averaged over models."""
    posterior = fit.posterior
    p, z, offset, chance = posterior.task_inputs(posterior.models(models), names)
    _, slope = task_slopes(p, z, offset, chance)
    driven = np.asarray(slope).mean(axis=1)[..., None] * p["weight"]  # (S, 2, K)
    values = driven[:, 1] - driven[:, 0]
    frame = interval_columns(values)
    frame["probability_positive"] = (values > 0).mean(axis=0)
    frame["probability_largest"] = np.eye(values.shape[1])[values.argmax(axis=1)].mean(axis=0)
    frame.insert(0, "capability", list(fit.layout.factors))
    return frame


def _sentences(
    fit: CapabilityFit, table: pd.DataFrame, parts: dict[str, pd.DataFrame], names: list[str]
) -> tuple[str, ...]:
    sure = (table["probability_helps"] >= LIKELY).sum()
    against = (table["probability_helps"] <= 1 - LIKELY).sum()
    sentences = [
        f"{names[1]} less {names[0]}, {len(table)} models: with a probability of {LIKELY:.0%} or more the expected "
        f"score is higher for {sure} of them, and lower for {against}."
    ]
    top = table.loc[table["median"].idxmax()]
    sentences.append(
        f"Largest gain: {top['model']}, {top['median']:+.2f} (90 % interval {top['q5']:+.2f} to {top['q95']:+.2f})."
    )
    driver = parts["drivers"].loc[parts["drivers"]["median"].idxmax()]
    sentences.append(
        f"The gain rises most with the {driver['capability']} capability: {driver['median']:+.3f} per sd (90 % "
        f"interval {driver['q5']:+.3f} to {driver['q95']:+.3f}); the probability that it is the strongest driver is "
        f"{driver['probability_largest']:.0%}."
    )
    for family, rows in parts.get("curve", pd.DataFrame({"family": []})).groupby("family", sort=False):
        helps = rows[(rows["probability_helps"] >= LIKELY)[::-1].cummin()[::-1]]
        first = f"from {helps['flops'].iloc[0]:.2g} FLOPs up" if len(helps) else "nowhere"
        who = f"{family}{released(release_date(fit, family))}"
        sentences.append(
            f"{who}, up to {rows['flops'].max():.2g} FLOPs: the intervention helps with a probability of "
            f"{LIKELY:.0%} or more {first}."
        )
    if fit.posterior.predictors_of(names[0]) != fit.posterior.predictors_of(names[1]):
        sentences.append(
            "The two tasks read capabilities of different predictor sets, whose draws are not paired: the interval "
            "is too wide."
        )
    return tuple(sentences)
