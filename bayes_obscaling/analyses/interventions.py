"""Post-training: what an intervention, such as chain of thought, adds to a model's score on the same task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.analyses.finding import Finding
from bayes_obscaling.data import Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.baselines import baseline
from bayes_obscaling.evaluation.scoring import paired_differences, score_draws, score_points, score_table
from bayes_obscaling.results.fit import Fit
from bayes_obscaling.results.forecast import NEW_FAMILY, Scenario, forecast, task_capability
from bayes_obscaling.results.summaries import interval_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS = "bayes"
NO_CHANGE, MEAN_GAIN = "no change", "mean gain"
METHODS = ("pc-3", "pc-3-parametric")
LIKELY = 0.9  # probability from which a sentence says that an intervention helps
_BASELINE_DRAWS = 200
_CURVE_POINTS = 25
_CURVE_DECADES = 2.0  # how far beyond a family's largest model its curve is drawn


@dataclass(frozen=True, eq=False)
class Gain(Finding):
    """The gain of an intervention.

    ``table`` has a row a model: ``capability`` (posterior mean along the direction that the task with the intervention
    reads, in sd of the models whose scores are seen), ``observed`` (NaN where one of the two scores is missing),
    ``seen`` (the fit has seen both scores), the gain of a new pair of evaluations as ``median, q5, q25, q75, q95``,
    ``expected`` (posterior mean of the gain without the noise of evaluations) and ``probability_helps`` (that this
    expected gain is above 0). ``parts``: ``curve`` (the same for a new model of a family, by compute) and ``drivers``
    (score points of gain a sd of each capability, the others held, averaged over models).
    """

    before: str = ""
    after: str = ""
    cutoff: float | None = None

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the gain against capability; see `bayes_obscaling.plots.tasks`."""
        from bayes_obscaling.plots.tasks import plot_gain

        return plot_gain(self, ax=ax)


@dataclass(frozen=True, eq=False)
class GainCheck(Finding):
    """Forecast gains of held-out models, scored.

    ``table`` has a row a method: ``n, mae, crps``, coverage and width of the 50, 80 and 90 % intervals, and
    ``difference`` (CRPS of ours less this method's) with its standard error ``se`` over families.
    ``parts["cells"]`` has the forecasts, one row a model and method.
    """

    before: str = ""
    after: str = ""

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw forecast against observed gains; see `bayes_obscaling.plots.tasks`."""
        from bayes_obscaling.plots.tasks import plot_gain_check

        return plot_gain_check(self, ax=ax)


def gain(
    fit: Fit, before: str, after: str, *, models: Sequence[str] | None = None, families: str | Sequence[str] = ()
) -> Gain:
    """Forecast the difference between a model's scores with and without an intervention.

    Parameters
    ----------
    fit : Fit
        One fit that holds both tasks.
    before, after : str
        Tasks without and with the intervention, such as gsm8k_direct and gsm8k_cot.
    models : sequence of str, optional
        Models of the table; default all that have a benchmark score.
    families : str or sequence of str
        Families (of the table, or "new") whose gain is followed over compute.

    Returns
    -------
    Gain

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

    *Drivers.* With ``p_t = c_t + (1 - c_t)(1 - up_t) sigmoid(w_t . z + ...)`` the derivative of the expected gain
    along the standardised capability ``z_k`` is ``s'_after w_after,k - s'_before w_before,k``, where ``s'`` is the
    slope of the sigmoid at the model's own place.
    """
    names = _pair(fit, before, after)
    chosen = [fit.table.resolve_model(m) for m in models] if models is not None else _measured(fit)
    draws, expected = _paired(fit, chosen, names)
    table = interval_columns(draws)
    observed = fit.table.matrix(names).loc[chosen]
    facts = fit.table.models.loc[chosen]
    table.insert(0, "observed", (observed[names[1]] - observed[names[0]]).to_numpy())
    table.insert(0, "seen", _both_seen(fit, chosen, names))
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
    return Gain(table, _sentences(fit, table, parts, names), fit.problems, parts, names[0], names[1], fit.cutoff)


def check_gain(fit: Fit, before: str, after: str, *, methods: Sequence[str] = METHODS, seed: int = 0) -> GainCheck:
    """Score the forecast gain of held-out models against the gain that was observed, beside simpler forecasts.

    Parameters
    ----------
    fit : Fit
        One fit that holds both tasks and has held-out models.
    before, after : str
        As in `gain`.
    methods : sequence of str
        Baselines (keys of `bayes_obscaling.evaluation.baselines.BASELINES`), each fitted to the two tasks apart: the
        difference of its two point forecasts, with the difference of two independent bootstraps as its draws.
    seed : int
        Seed of the baselines.

    Returns
    -------
    GainCheck
        Beside the baselines, ``no change`` (a gain of 0 for certain) and ``mean gain`` (mean and spread of the gains
        that were seen).

    Raises
    ------
    InputError
        As in `gain`, and when no held-out model has both scores or fewer than two seen models have.
    """
    names = _pair(fit, before, after)
    observed = fit.table.matrix(names)
    observed = (observed[names[1]] - observed[names[0]]).dropna()
    held = pd.Index([m for m in fit.held_out if m in observed.index and m in _measured(fit)])
    seen = observed.index.difference(pd.Index(fit.held_out), sort=False)
    if held.empty or len(seen) < 2:
        raise InputError(
            f"There are {len(held)} held-out and {len(seen)} seen models with scores on both {names[0]} and "
            f"{names[1]}: fit with a cutoff that leaves some on either side."
        )
    truth = observed[held].to_numpy()
    draws, _ = _paired(fit, list(held), names)
    rng = np.random.default_rng(seed)
    mean, sd = observed[seen].mean(), observed[seen].std() * np.sqrt(1 + 1 / len(seen))
    scored = {OURS: score_draws(draws.T, truth), NO_CHANGE: score_points(np.zeros(len(held)), truth)}
    scored[MEAN_GAIN] = score_draws(mean + sd * rng.standard_normal((len(held), 1000)), truth)
    split = Split("held out", fit.held_out, cutoff=fit.cutoff)
    for method in methods:
        first, second = (
            baseline(method, fit.table, name, split, draws=_BASELINE_DRAWS, seed=seed + place)
            for place, name in enumerate(names)
        )
        assert first.draws is not None and second.draws is not None  # asked for
        scored[method] = score_draws((second.draws - first.draws)[held].to_numpy().T, truth)
        scored[method]["median"] = (second.point - first.point)[held].to_numpy()
    facts = fit.table.models.loc[held, ["family", "flops"]].reset_index()
    cells = pd.concat(
        [facts.assign(task=f"{names[1]} - {names[0]}", method=m, observed=truth).join(f) for m, f in scored.items()],
        ignore_index=True,
    )
    table = score_table(cells, ("method",))
    wanted = ["method", "n", "mae", "crps", *(f"{c}_{p}" for p in (50, 80, 90) for c in ("coverage", "width"))]
    apart = paired_differences(cells.assign(setup=""), OURS).set_index("method")
    table = table[wanted].assign(
        difference=table["method"].map(apart["difference"]), se=table["method"].map(apart["se"])
    )
    ours = table.iloc[0]
    said = [
        f"{len(held)} held-out models: the 50 % interval of the gain held {ours['coverage_50']:.0%}, the 90 % interval "
        f"{ours['coverage_90']:.0%}; mean absolute error {ours['mae']:.3f} (mean observed gain {truth.mean():+.3f})."
    ]
    said += [
        f"{row.method}: mean absolute error {row.mae:.3f}; CRPS {row.crps:.4f} against our {ours['crps']:.4f} "
        f"(difference {row.difference:+.4f}, standard error {row.se:.4f})."
        for row in table.iloc[1:].itertuples()
    ]
    return GainCheck(table, tuple(said), fit.problems, {"cells": cells}, names[0], names[1])


def _pair(fit: Fit, before: str, after: str) -> list[str]:
    names = [fit.table.resolve(name) for name in (before, after)]
    heads = [str(t) for t in fit.draws["task"].to_numpy()] if "task" in fit.draws.coords else []
    for name in names:
        if name not in heads:
            raise InputError(f"The fit has no task head for {name}: fit again with it; it has {', '.join(heads)}.")
    if names[0] == names[1]:
        raise InputError(f"Both scores are {names[0]}: name the task without and the task with the intervention.")
    return names


def _measured(fit: Fit) -> list[str]:
    """Models with a benchmark score that the fit has seen: others are forecast from compute alone."""
    seen = fit.posterior["observed_data"]["benchmark_score"].notnull().any("benchmark").to_series()
    return [m for m in fit.table.models.index if seen[m]]


def _both_seen(fit: Fit, models: list[str], names: list[str]) -> np.ndarray:
    scores = fit.posterior["observed_data"]["task_score"].sel(model=models, task=names)
    return np.asarray(scores.notnull().all("task").to_numpy())


def _differences(draws: xr.DataArray) -> np.ndarray:
    """Second task less first, (S, scenarios)."""
    flat = draws.stack(sample=("chain", "draw")).transpose("sample", "scenario", "task").to_numpy()
    return np.asarray(flat[..., 1] - flat[..., 0])


def _paired(fit: Fit, asked: list[str] | list[Scenario], names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Gains of a pair of new evaluations, and of the expected scores, (S, scenarios) each."""
    return (
        _differences(forecast(fit, asked, tasks=names).draws),
        _differences(forecast(fit, asked, tasks=names, kind="mean").draws),
    )


def _curve(fit: Fit, family: str, names: list[str]) -> pd.DataFrame:
    """Gain of a new model of a family by compute, from its smallest model to beyond its largest."""
    models = fit.table.models
    mine = models["family"].str.casefold() == family.casefold()
    known = models["flops"][mine if family != NEW_FAMILY else models["flops"].notna()].dropna()
    if known.empty:
        forecast(fit, Scenario(family=family, flops=1e23), tasks=names)  # says so, where there is no such family
        raise InputError(f"No FLOPs are known in the family {family}: name another.")
    low, high = np.log10(known.min()), np.log10(known.max())
    grid = 10.0 ** np.linspace(low, high + _CURVE_DECADES, _CURVE_POINTS)
    draws, expected = _paired(fit, [Scenario(family=family, flops=float(x)) for x in grid], names)
    frame = interval_columns(draws)
    frame.insert(0, "flops", grid)
    frame.insert(0, "family", family if family == NEW_FAMILY else models.loc[mine, "family"].iloc[0])
    frame["expected"], frame["probability_helps"] = expected.mean(axis=0), (expected > 0).mean(axis=0)
    frame["beyond"] = np.maximum(np.log10(grid) - high, 0.0)
    return frame


def _drivers(fit: Fit, models: list[str], names: list[str]) -> pd.DataFrame:
    """Derivative of the expected gain along each standardised capability, averaged over models."""
    expected = forecast(fit, models, tasks=names, kind="mean").draws.rename(scenario="model")
    heads = fit.draws.sel(task=names)
    chance = xr.DataArray(fit.table.benchmarks.loc[names, "chance"].to_numpy(float), coords={"task": names})
    height = (1 - chance) * (1 - heads["task_ceiling_gap"])
    rise = expected - chance
    slopes = (rise * (1 - rise / height)).mean("model") * heads["weight"]
    change = slopes.sel(task=names[1]) - slopes.sel(task=names[0])
    values = change.stack(sample=("chain", "draw")).transpose("sample", "factor").to_numpy()
    frame = interval_columns(values)
    frame["probability_positive"] = (values > 0).mean(axis=0)
    frame["probability_largest"] = np.eye(values.shape[1])[values.argmax(axis=1)].mean(axis=0)
    frame.insert(0, "capability", [str(f) for f in fit.draws["factor"].to_numpy()])
    return frame


def _sentences(fit: Fit, table: pd.DataFrame, parts: dict[str, pd.DataFrame], names: list[str]) -> tuple[str, ...]:
    sure = (table["probability_helps"] >= LIKELY).sum()
    against = (table["probability_helps"] <= 1 - LIKELY).sum()
    said = [
        f"{names[1]} less {names[0]}, {len(table)} models: with a probability of {LIKELY:.0%} or more the expected "
        f"score is higher for {sure} of them, and lower for {against}."
    ]
    top = table.loc[table["median"].idxmax()]
    said.append(
        f"Largest gain: {top['model']}, {top['median']:+.2f} (90 % interval {top['q5']:+.2f} to {top['q95']:+.2f})."
    )
    driver = parts["drivers"].loc[parts["drivers"]["median"].idxmax()]
    said.append(
        f"The gain rises most with the {driver['capability']} capability: {driver['median']:+.3f} a sd (90 % interval "
        f"{driver['q5']:+.3f} to {driver['q95']:+.3f}); the probability that it is the strongest driver is "
        f"{driver['probability_largest']:.0%}."
    )
    for family, rows in parts.get("curve", pd.DataFrame({"family": []})).groupby("family", sort=False):
        helps = rows[(rows["probability_helps"] >= LIKELY)[::-1].cummin()[::-1]]
        first = f"from {helps['flops'].iloc[0]:.2g} FLOPs up" if len(helps) else "nowhere"
        said.append(
            f"{family}, up to {rows['flops'].max():.2g} FLOPs: the intervention helps with a probability of "
            f"{LIKELY:.0%} or more {first}."
        )
    predictors = fit.posterior["observed_data"]["task_predictors"].sel(task=names).to_numpy()
    if predictors[0] != predictors[1]:
        said.append(
            "The two tasks read capabilities of different predictor sets, whose draws are not paired: the interval "
            "is too wide."
        )
    return tuple(said)
