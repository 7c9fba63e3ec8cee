"""Forecasts: posterior predictive draws of scores, for models in the table and for models that do not exist yet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.convergence import Convergence, assess
from bayes_obscaling.models.capability import (
    BENCHMARK_FLOOR_SD,
    COMPUTE_CENTRE,
    TASK_NOISE_DF,
    capability_curve,
    feature_scale,
)
from bayes_obscaling.models.links import response, score_variance
from bayes_obscaling.results.diagnostics.check import Level
from bayes_obscaling.results.diagnostics.sampler import energy_level, energy_warning, sampler_level
from bayes_obscaling.results.fit import Fit
from bayes_obscaling.results.summaries import forecast_columns, with_verdict

Kind = Literal["response", "mean"]
NEW_FAMILY = "new"
# Decades of compute outside a family's measured models from which intervals are known to cover less than they claim.
FAR_DECADES = 0.8
_HUB_LEVELS = (0.01, 0.025, *np.arange(0.05, 0.951, 0.05).round(2), 0.975, 0.99)


@dataclass(frozen=True)
class Scenario:
    """What is asked about one model.

    Attributes
    ----------
    model : str
        A model of the fit's table, or a name for one that does not exist yet.
    family : str
        Family of a model that is not in the table; ``"new"`` is a family never seen. Empty for a model of the table.
    flops : float
        Its training compute in FLOPs; NaN for a model of the table.
    """

    model: str = ""
    family: str = ""
    flops: float = float("nan")

    @property
    def name(self) -> str:
        """A label: the model's name, or family and compute."""
        return self.model or f"{self.family} @ {self.flops:.3g} FLOPs"


@dataclass(frozen=True, eq=False)
class Forecast:
    """Posterior predictive draws with what a reader needs to judge them.

    Attributes
    ----------
    draws : DataArray (chain, draw, scenario, task)
        Scores, 0..1.
    about : DataFrame
        One row a scenario and task: model, family, flops, task, basis, observed, distance, family_models ...
    convergence : Convergence
        Of the forecast quantities (their curves) and the fit behind them, the worse of the two.
    problems : tuple of str
        What went wrong in sampling; empty when nothing did.
    warnings : tuple of str
        Energies that mix slowly, forecasts far from the data.
    kind : {"response", "mean"}
        A new evaluation of the model, or the curve alone.
    fit : Fit
        The fit behind it.
    """

    draws: xr.DataArray
    about: pd.DataFrame
    convergence: Convergence
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    kind: Kind
    fit: Fit = field(repr=False)

    def summary(self) -> pd.DataFrame:
        """One row a model and task, with the fit's convergence flags.

        Returns
        -------
        DataFrame
            Columns ``model, family, flops, task, basis, observed, mean, median, sd, q2.5 ... q97.5``, where the
            forecast stands (``distance`` in decades of compute outside the range of the seen models it leans on,
            ``family_models`` measured, ``latent_flops`` with a 90 % interval where compute is unknown), and
            ``converged, rhat, ess_bulk, ess_tail, divergences``, and ``verdict``: the sampler's (see `verdict`).
        """
        flat = self._flat()
        frame = self.about[["model", "family", "flops", "task", "basis", "observed"]].copy()
        columns = forecast_columns(flat)
        frame[list(columns)] = columns.to_numpy()
        extra = ["seen", "distance", "family_models", "latent_flops", "latent_flops_q5", "latent_flops_q95"]
        frame[extra] = self.about[extra]
        return with_verdict(frame, self.convergence, self.problems, self.verdict)

    @property
    def verdict(self) -> Level:
        """PASS, REVIEW or FAIL: R-hat, effective sample sizes, divergences and E-BFMI of the fit and of the forecast.

        `bayes_obscaling.diagnose` checks the fit further.
        """
        return sampler_level(self.fit, self.problems)

    def quantiles(
        self, levels: Sequence[float] = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
    ) -> pd.DataFrame:
        """Quantiles in long form: ``model, task, level, value``.

        Parameters
        ----------
        levels : sequence of float
            Probabilities in [0, 1].

        Raises
        ------
        InputError
            For a level outside [0, 1].
        """
        if bad := [level for level in levels if not 0 <= level <= 1]:
            raise InputError(f"The quantile level {bad[0]} is outside 0..1: give probabilities, such as 0.05.")
        values = np.quantile(self._flat(), levels, axis=0)
        parts = [self.about[["model", "task"]].assign(level=p, value=v) for p, v in zip(levels, values, strict=True)]
        return pd.concat(parts, ignore_index=True)

    def probability(self, threshold: float) -> pd.DataFrame:
        """Probability that the score is at or above a threshold: ``model, task, probability``.

        Parameters
        ----------
        threshold : float
            Score, 0..1.

        Raises
        ------
        InputError
            For a threshold outside 0..1.
        """
        if not 0 <= threshold <= 1:
            raise InputError(f"The threshold {threshold} is outside 0..1: scores are fractions, such as 0.5.")
        return self.about[["model", "task"]].assign(probability=(self._flat() >= threshold).mean(axis=0))

    def compute_to_reach(self, task: str, level: float, family: str) -> np.ndarray:
        """Posterior of the compute at which a family's curve crosses a score.

        The curve is that of the family's typical model (no residual of a single model). See `compute_to_reach`.
        """
        return compute_to_reach(self.fit, task, level, family)

    def to_hub(self) -> pd.DataFrame:
        """Quantiles as a hubverse model output: ``target, model, output_type, output_type_id, value``."""
        frame = self.quantiles(_HUB_LEVELS).rename(columns={"task": "target", "level": "output_type_id"})
        frame.insert(2, "output_type", "quantile")
        return frame[["target", "model", "output_type", "output_type_id", "value"]]

    def plot(self, ax: Any = None, task: str | None = None, **options: Any) -> Any:
        """Plot intervals against observed scores; see `bayes_obscaling.plots.intervals.plot_forecast`."""
        from bayes_obscaling.plots.intervals import plot_forecast

        return plot_forecast(self, ax=ax, task=task, **options)

    def _flat(self) -> np.ndarray:
        """Draws as (all draws, rows of `about`)."""
        values = self.draws.transpose("chain", "draw", "scenario", "task").to_numpy()
        return values.reshape(values.shape[0] * values.shape[1], -1)


def forecast(
    fit: Fit,
    scenarios: Iterable[Scenario | str] | Scenario | str | None = None,
    *,
    tasks: Sequence[str] | str | None = None,
    kind: Kind = "response",
) -> Forecast:
    """Forecast scores from a fit.

    Parameters
    ----------
    fit : Fit
        From `bayes_obscaling.fit` or `load_fit`.
    scenarios : Scenario, str, or several, optional
        Names of models in the table, or `Scenario` objects for models that do not exist yet. Default: every model
        whose score on one of the tasks the fit has not seen.
    tasks : str or sequence of str, optional
        Default: those the fit was made for.
    kind : {"response", "mean"}
        "response": a new evaluation of that model, with sampling noise. "mean": the curve only.

    Returns
    -------
    Forecast

    Raises
    ------
    InputError
        For an unknown model, family or task, a scenario without FLOPs, or nothing to forecast.

    Notes
    -----
    A model that is not in the table gets capabilities of its own, ``N(a_f + b_f x, sd)``; a family that is not in it
    gets an intercept, a slope and offsets drawn from the population of families. Noise is keyed by the fit's seed,
    the scenario and the task, so a forecast does not depend on what else is asked.
    """
    if kind not in ("response", "mean"):
        raise InputError(f"kind is '{kind}': take 'response' or 'mean'.")
    names = _tasks_of(fit, tasks)
    asked = _scenarios_of(fit, scenarios, names)
    means, responses, rows = [], [], []
    for scenario in asked:
        world = _capabilities(fit, scenario)
        for task in names:
            mean, draws = _score_draws(fit, scenario, task, world)
            means.append(mean)
            responses.append(draws)
            rows.append(_about(fit, scenario, task))
    shape = (len(asked), len(names))
    chosen = np.stack(responses if kind == "response" else means, axis=-1)
    array = xr.DataArray(
        chosen.reshape(*chosen.shape[:2], *shape),
        dims=("chain", "draw", "scenario", "task"),
        coords={"scenario": [s.name for s in asked], "task": names},
        name="score",
    )
    # Judged on curves and on new evaluations, whichever is worse: noise would hide a curve that has not converged.
    own = assess({"forecast": np.stack(means, axis=-1)})
    if kind == "response":
        own = own.merge(assess({"forecast": chosen}))
    worst = own
    for record in fit.convergence.values():
        worst = worst.merge(record)
    problems = fit.problems + tuple(f"forecast: {problem}" for problem in own.problems)
    if energy_level(fit) == "FAIL":
        problems += energy_warning(fit)
    about = pd.DataFrame(rows)
    warnings = energy_warning(fit) if energy_level(fit) == "REVIEW" else ()
    return Forecast(array, about, worst, problems, warnings + _warnings(about), kind, fit)


def compute_to_reach(fit: Fit, task: str, level: float, family: str) -> np.ndarray:
    """Posterior of the compute at which a family's curve first reaches a score.

    Parameters
    ----------
    fit : Fit
        The fit.
    task : str
        Task or benchmark.
    level : float
        Score, above chance and below 1.
    family : str
        A family of the table, or "new".

    Returns
    -------
    array (chains * draws,)
        FLOPs; 1e18 in draws whose curve is above the score there already, infinite in draws whose curve does not
        reach it below 1e30.

    Raises
    ------
    InputError
        For an unknown task or family, or a level that is not between chance and 1.
    """
    (name,) = _tasks_of(fit, task)
    chance = float(fit.table.benchmarks.loc[name, "chance"])
    if not chance < level < 1:
        raise InputError(
            f"The level {level} is not between the chance score of {name} ({chance:g}) and 1: give another."
        )
    scenario = _checked(fit, Scenario(family=family, flops=1e22))
    grid = np.linspace(18.0, 30.0, 121)
    population = _family_effects(fit, scenario)
    curves = np.stack(
        [_mean_score(fit, name, _theta_at(fit, population, x - COMPUTE_CENTRE), population) for x in grid]
    ).reshape(len(grid), -1)
    return np.asarray(10.0 ** first_crossing(grid, curves, level))


def first_crossing(grid: np.ndarray, curves: np.ndarray, level: np.ndarray | float) -> np.ndarray:
    """Where curves first reach a level, by linear interpolation on a grid.

    Parameters
    ----------
    grid : array (points,)
        Rising, evenly spaced.
    curves : array (points, draws)
        Values on the grid.
    level : array (draws,) or float
        What is to be reached.

    Returns
    -------
    array (draws,)
        The first point of the grid for curves that are above the level there, infinity for those that do not reach it.
    """
    reached = curves >= level
    first = reached.argmax(axis=0)
    column = np.arange(curves.shape[1])
    before = np.maximum(first - 1, 0)
    low, high = curves[before, column], curves[first, column]
    share = np.where(high > low, (level - low) / np.where(high > low, high - low, 1.0), 1.0)
    crossing = np.where(first == 0, grid[0], grid[before] + share * (grid[1] - grid[0]))
    return np.where(reached.any(axis=0), crossing, np.inf)


def capability_grid(fit: Fit, task: str, points: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Curve of a task along the linear predictor its head reads (family offsets left out).

    Parameters
    ----------
    fit : Fit
        The fit.
    task : str
        A task with a head (not a standard benchmark).
    points : int
        Grid size.

    Returns
    -------
    grid : array (points,)
        Capability in sd of the models whose scores are seen, along the posterior mean direction of the task.
    curves : array (draws, points)
        Expected scores.

    Raises
    ------
    InputError
        For a benchmark, or a task that the fit does not hold.
    """
    if "task" not in fit.draws.coords or task not in fit.draws["task"].to_numpy():
        raise InputError(f"The fit has no task head for {task}: fit with it as a task.")
    draws, index = fit.draws, _predictors(fit, task)
    z = _standardised(fit, draws["theta"].isel(predictors=index).to_numpy(), index)
    weight = draws["weight"].sel(task=task).to_numpy()
    direction = weight.mean(axis=(0, 1))
    direction = direction / np.linalg.norm(direction)
    places = z.mean(axis=(0, 1)) @ direction
    grid = np.linspace(places.min() - 0.3, places.max() + 0.3, points)
    eta = (weight @ direction)[..., None] * grid + draws["task_difficulty"].sel(task=task).to_numpy()[..., None]
    gap = draws["task_ceiling_gap"].sel(task=task).to_numpy()[..., None]
    curves = np.asarray(response(eta, float(fit.table.benchmarks.loc[task, "chance"]), gap))
    return grid, curves.reshape(-1, points)


def task_capability(fit: Fit, task: str) -> pd.Series:
    """Posterior mean of every model's place on the axis of `capability_grid`."""
    draws, index = fit.draws, _predictors(fit, task)
    z = _standardised(fit, draws["theta"].isel(predictors=index).to_numpy(), index).mean(axis=(0, 1))
    direction = draws["weight"].sel(task=task).mean(("chain", "draw")).to_numpy()
    return pd.Series(z @ (direction / np.linalg.norm(direction)), index=draws["model"].to_index())


# --- what is asked ------------------------------------------------------------------------------------------------


def _tasks_of(fit: Fit, tasks: Sequence[str] | str | None) -> list[str]:
    if tasks is None:
        return list(fit.tasks)
    names = [fit.table.resolve(name) for name in ([tasks] if isinstance(tasks, str) else tasks)]
    fitted = [*fit.draws["benchmark"].to_numpy(), *(fit.draws["task"].to_numpy() if "task" in fit.draws else ())]
    for name in names:
        if name not in fitted:
            raise InputError(f"The fit does not hold {name}: fit again with it; it holds {', '.join(fitted)}.")
    return names


def _scenarios_of(fit: Fit, scenarios: Any, tasks: list[str]) -> list[Scenario]:
    if scenarios is None:
        models = fit.draws["model"].to_numpy()
        hidden = [m for m in models if any(not _seen(fit, m, task) for task in tasks)]
        if not hidden:
            raise InputError(
                "Every model's score was seen, so nothing is left to forecast: set a cutoff or a scenario."
            )
        return [Scenario(model=m) for m in hidden]
    single = isinstance(scenarios, (Scenario, str))
    return [
        _checked(fit, Scenario(model=s) if isinstance(s, str) else s) for s in ([scenarios] if single else scenarios)
    ]


def _checked(fit: Fit, scenario: Scenario) -> Scenario:
    if not scenario.family:
        return Scenario(model=fit.table.resolve_model(scenario.model))
    if not (np.isfinite(scenario.flops) and scenario.flops > 0):
        raise InputError(
            f"The scenario '{scenario.name}' has FLOPs {scenario.flops}: a model that does not exist yet needs a "
            "positive number, such as 3e24."
        )
    if scenario.family == NEW_FAMILY:
        return scenario
    families = {name.casefold(): name for name in fit.draws["family"].to_numpy()}
    if scenario.family.casefold() not in families:
        from bayes_obscaling.data.table import close_names

        near = close_names(scenario.family, list(families.values()))
        hint = f" (nearest: {', '.join(near)})" if near else ""
        raise InputError(
            f"There is no family '{scenario.family}' in the table{hint}: name one, or 'new' for an unseen one."
        )
    return Scenario(scenario.model, families[scenario.family.casefold()], scenario.flops)


# --- capabilities and scores --------------------------------------------------------------------------------------


def _rng(fit: Fit, *labels: str) -> np.random.Generator:
    digest = hashlib.sha256("|".join(labels).encode()).digest()
    return np.random.default_rng([fit.provenance["seed"], int.from_bytes(digest[:8], "little")])


def _family_effects(fit: Fit, scenario: Scenario) -> dict[str, np.ndarray]:
    """Intercept, slope and offsets of the scenario's family: its own, or drawn from the population."""
    draws = fit.draws
    if scenario.family != NEW_FAMILY:
        family = scenario.family or fit.table.models.loc[scenario.model, "family"]
        mine = draws.sel(family=family)
        names = {
            "intercept": "intercept", "slope": "slope", "offset": "family_offset", "task_offset": "task_family_offset"
        }  # fmt: skip
        return {short: mine[name].to_numpy() for short, name in names.items() if name in mine}
    # One standard-normal draw serves all predictor sets: it is the same unseen family in each.
    rng = _rng(fit, NEW_FAMILY)
    n_chains, n_draws = draws.sizes["chain"], draws.sizes["draw"]

    def unit(size: int) -> np.ndarray:
        return rng.standard_normal((n_chains, n_draws, 1, size))

    k, i = draws.sizes["factor"], draws.sizes["benchmark"]
    effects = {
        "intercept": draws["intercept_mean"].to_numpy() + draws["intercept_sd"].to_numpy() * unit(k),
        "slope": draws["slope_mean"].to_numpy() + draws["slope_sd"].to_numpy() * unit(k),
        "offset": draws["family_offset_sd"].to_numpy() * unit(i),
    }
    if "task_family_offset_sd" in draws:
        sd = draws["task_family_offset_sd"].to_numpy()
        effects["task_offset"] = sd * rng.standard_normal(sd.shape)
    return effects


def _theta_at(fit: Fit, effects: dict[str, np.ndarray], compute: float) -> np.ndarray:
    """Capabilities (chain, draw, predictors, factor) of a family's typical model."""
    curvature = fit.draws["curvature"].to_numpy() if "curvature" in fit.draws else np.zeros(1)
    return np.asarray(capability_curve(effects["intercept"], effects["slope"], curvature, compute))


def _capabilities(fit: Fit, scenario: Scenario) -> dict[str, np.ndarray]:
    effects = _family_effects(fit, scenario)
    if not scenario.family:
        return {**effects, "theta": fit.draws["theta"].sel(model=scenario.model).to_numpy()}
    typical = _theta_at(fit, effects, np.log10(scenario.flops) - COMPUTE_CENTRE)
    unit = _rng(fit, "theta", scenario.name).standard_normal((*typical.shape[:2], 1, typical.shape[-1]))
    return {**effects, "theta": typical + fit.draws["residual_sd"].to_numpy() * unit}


def _predictors(fit: Fit, task: str) -> int:
    """Position of the predictor set that a task reads; a standard benchmark reads the complete one."""
    labels = list(fit.draws["predictors"].to_numpy())
    observed = fit.posterior["observed_data"]
    if "task" in fit.draws.coords and task in fit.draws["task"].to_numpy():
        return labels.index(str(observed["task_predictors"].sel(task=task).item()))
    return labels.index("all") if "all" in labels else 0


@lru_cache(maxsize=8)
def _scale(fit: Fit, predictors: int) -> tuple[np.ndarray, np.ndarray]:
    everyone = fit.draws["theta"].isel(predictors=predictors).to_numpy()
    centre, spread = feature_scale(everyone, fit.posterior["observed_data"]["reference"].to_numpy())
    return np.asarray(centre), np.asarray(spread)


def _standardised(fit: Fit, theta: np.ndarray, predictors: int) -> np.ndarray:
    centre, spread = _scale(fit, predictors)
    return (theta - centre) / spread


def _mean_score(fit: Fit, task: str, theta: np.ndarray, effects: dict[str, np.ndarray]) -> np.ndarray:
    """Expected score (chain, draw) given capabilities (chain, draw, predictors, factor)."""
    draws, index = fit.draws, _predictors(fit, task)
    chance = float(fit.table.benchmarks.loc[task, "chance"])
    mine = theta[:, :, index]
    if task in draws["benchmark"].to_numpy():
        at = list(draws["benchmark"].to_numpy()).index(task)
        measured = draws.isel(predictors=index, benchmark=at)
        eta = (mine * measured["loading"].to_numpy()).sum(axis=-1)
        eta = eta + measured["difficulty"].to_numpy() + effects["offset"][:, :, index, at]
        return np.asarray(response(eta, chance, measured["ceiling_gap"].to_numpy()))
    at = list(draws["task"].to_numpy()).index(task)
    head = draws.isel(task=at)
    z = _standardised(fit, mine[:, :, None], index)[:, :, 0]
    eta = (z * head["weight"].to_numpy()).sum(axis=-1) + head["task_difficulty"].to_numpy()
    offset = effects["task_offset"][:, :, at]
    return np.asarray(response(eta + offset, chance, head["task_ceiling_gap"].to_numpy()))


def _score_draws(
    fit: Fit, scenario: Scenario, task: str, world: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Curve and new evaluation, (chain, draw) each."""
    mean = _mean_score(fit, task, world["theta"], world)
    draws, rng = fit.draws, _rng(fit, "noise", scenario.name, task)
    count = _items(fit, scenario, task)
    if task in draws["benchmark"].to_numpy():
        dispersion = draws["overdispersion"].isel(predictors=_predictors(fit, task)).sel(benchmark=task).to_numpy()
        noise, floor = rng.standard_normal(mean.shape), BENCHMARK_FLOOR_SD
    else:
        dispersion = draws["task_overdispersion"].sel(task=task).to_numpy()
        noise, floor = rng.standard_t(TASK_NOISE_DF, mean.shape), fit.spec.predictive_sd
    sd = np.sqrt(np.asarray(score_variance(mean, 1.0 / count if np.isfinite(count) else 0.0, dispersion, floor)))
    return mean, np.clip(mean + sd * noise, 0.0, 1.0)


def _items(fit: Fit, scenario: Scenario, task: str) -> float:
    if not scenario.family:
        return float(_facts(fit, task).loc[scenario.model, "n_items"])
    return float(fit.table.benchmarks.loc[task, "n_items"])


# --- what a reader needs ------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _seen_scores(fit: Fit) -> pd.DataFrame:
    """Which scores the fit has seen: models by benchmarks and fitted tasks."""
    observed = fit.posterior["observed_data"].to_dataset()
    parts = [observed[name].transpose("model", ...).to_pandas().notna() for name in ("benchmark_score", "task_score")
             if name in observed]  # fmt: skip
    return pd.concat(parts, axis=1)


@lru_cache(maxsize=8)
def _facts(fit: Fit, task: str) -> pd.DataFrame:
    """Models with their score and item count on a task, and whether any benchmark score of theirs was seen."""
    facts = fit.table.models
    facts["observed"], facts["n_items"] = fit.table.matrix([task])[task], fit.table.item_counts([task])[task]
    seen = _seen_scores(fit)
    measured = seen[list(fit.draws["benchmark"].to_numpy())].any(axis=1)
    facts["seen"], facts["measured"] = seen[task].reindex(facts.index), measured.reindex(facts.index)
    return facts


def _seen(fit: Fit, model: str, task: str) -> bool:
    return bool(_seen_scores(fit).at[model, task])


def _about(fit: Fit, scenario: Scenario, task: str) -> dict[str, Any]:
    models = _facts(fit, task)
    latent = [np.nan] * 3
    if scenario.family:
        family, flops, observed, basis, seen = scenario.family, scenario.flops, np.nan, "compute", False
    else:
        family, flops = models.loc[scenario.model, ["family", "flops"]]
        observed, seen = models.loc[scenario.model, ["observed", "seen"]]
        basis = "benchmarks" if models.loc[scenario.model, "measured"] else "compute"
        if not np.isfinite(flops):
            compute = fit.draws["compute"].isel(predictors=_predictors(fit, task)).sel(model=scenario.model)
            latent = list(10.0 ** (np.percentile(compute, (50, 5, 95)) + COMPUTE_CENTRE))
    # Distance is counted from the models that the forecast leans on: with benchmarks, those whose task score is seen;
    # without, the measured models of the same family, or of all families for one that is new.
    others = models[models["measured"] & (models.index != scenario.model)]
    same = others[others["family"] == family]
    if basis == "benchmarks":
        leaned = models[models["seen"] & (models.index != scenario.model)]
    else:
        leaned = others if family == NEW_FAMILY else same
    return {
        "model": scenario.name,
        "family": family,
        "flops": flops,
        "task": task,
        "basis": basis,
        "observed": observed,
        "seen": seen,
        "distance": _decades_outside(flops, leaned["flops"]),
        "family_models": len(same),
        "latent_flops": latent[0],
        "latent_flops_q5": latent[1],
        "latent_flops_q95": latent[2],
    }


def _decades_outside(flops: float, seen: pd.Series) -> float:
    """Decades of compute above the largest (positive) or below the smallest (negative) of `seen`; 0 between them."""
    if not np.isfinite(flops) or not seen.notna().any():
        return float("nan")
    x, low, high = np.log10([flops, seen.min(), seen.max()])
    return float(max(x - high, 0.0) + min(x - low, 0.0))


def _warnings(about: pd.DataFrame) -> tuple[str, ...]:
    far = about[(about["basis"] == "compute") & (about["distance"].abs() > FAR_DECADES)]
    found = [
        f"{row.model} lies {abs(row.distance):.1f} decades of compute {'beyond' if row.distance > 0 else 'below'} the "
        "measured models it leans on: so far out, intervals have covered less than they claim."
        for row in far.drop_duplicates("model").itertuples()
    ]
    lonely = about[(about["basis"] == "compute") & (about["family_models"] <= 1) & (about["family"] != NEW_FAMILY)]
    found += [
        f"{row.model}: {row.family_models} other measured models of its family; the forecast leans on other families."
        for row in lonely.drop_duplicates("model").itertuples()
    ]
    return tuple(found)
