"""Forecasts: posterior predictive draws of scores, for models in the table and for models that do not exist yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.data.dates import months_between
from bayes_obscaling.data.names import family_named
from bayes_obscaling.data.rules import check_flops
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import COMPUTE_CENTRE
from bayes_obscaling.models.cells import reasons
from bayes_obscaling.models.spec import SIZE_AND_DATA
from bayes_obscaling.results.convergence import Convergence, assess
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.predictive import Predictive
from bayes_obscaling.results.ratio import assumed_ratios, check_sizes, far_ratios, ratios
from bayes_obscaling.results.release import assumed_dates, check_drift, releases
from bayes_obscaling.results.remember import remembered
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario, as_scenario, facts_of
from bayes_obscaling.results.seen import Seen, seen_of
from bayes_obscaling.results.summaries import forecast_columns, with_verdict

if TYPE_CHECKING:
    from bayes_obscaling.data.table import ScoreTable
    from bayes_obscaling.models.layout import Layout
    from bayes_obscaling.results.reach import ComputeToReach, DateToReach

Kind = Literal["response", "mean"]
# Decades of compute outside a family's measured models from which intervals are known to cover less than they claim.
FAR_DECADES = 0.8
# Months after the latest model seen from which a date is far: no backtest has looked so far ahead.
FAR_MONTHS = 24.0


@dataclass(frozen=True, eq=False, repr=False)
class Forecast(Predictive):
    """Posterior predictive draws with what a reader needs to judge them.

    Attributes
    ----------
    draws : DataArray (chain, draw, scenario, task)
        Scores, 0..1.
    means : array (chain, draw, scenario, task)
        Expected scores: the curve without the noise of an evaluation.
    about : DataFrame
        One row per scenario and task: model, family, flops, date, task, basis, observed, distance, family_models ...
    kind : {"response", "mean"}
        What `draws` are: new evaluations of the model, or the curve alone.
    fit : CapabilityFit
        The fit behind it.
    """

    front = ("model", "date", "task", "median", "q25", "q75", "q5", "q95", "observed", "verdict")

    draws: xr.DataArray
    means: np.ndarray = field(repr=False)
    about: pd.DataFrame
    kind: Kind
    fit: CapabilityFit = field(repr=False)

    @cached_property
    def own_convergence(self) -> Convergence:
        """How well the forecast quantities themselves have converged, curves and new evaluations, the worse of the two.

        Observation noise can hide poor mixing of the curve.
        """
        record = assess({"forecast": self.means})
        return record if self.kind == "mean" else record.merge(assess({"forecast": self.draws.to_numpy()}))

    @property
    def convergence(self) -> Convergence:
        """Of the forecast quantities and of the fit behind them, the worse of the two.

        Of the fit alone, where it keeps few of the draws it was judged by and the quantities show no more than chance.
        """
        if self.fit.is_thinned and not self.own_problems:
            return self.fit.worst_convergence
        return self.own_convergence.merge(self.fit.worst_convergence)

    @property
    def own_problems(self) -> tuple[str, ...]:
        """What went wrong in the forecast quantities themselves."""
        return tuple(f"forecast: {problem}" for problem in self.own_convergence.problems_beyond(self.fit.limits))

    @property
    def own_notes(self) -> tuple[str, ...]:
        """Release dates, and tokens per parameter, that nobody gave and that were assumed."""
        return assumed_dates(self.about) + assumed_ratios(self.about)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Energies that mix slowly, forecasts far from the data."""
        energy = self.fit.energy_warning if self.fit.energy_level == "REVIEW" else ()
        return energy + _warnings(self.about)

    def to_dataframe(self) -> pd.DataFrame:
        """One row per model and task, with the fit's convergence flags.

        Returns
        -------
        DataFrame
            Columns ``model, family, flops, task, basis, observed, mean, median, sd, q2.5 ... q97.5``, where the
            forecast stands (``distance`` in decades of compute outside the range of the seen models it leans on,
            ``months_ahead`` of the as-of date or, without one, of the latest model whose score was seen,
            ``family_models`` measured, ``latent_flops`` with a 90 % interval where compute is unknown, the release
            ``date`` it reads and ``dated_by``, whose that is, both empty without a drift), under the law of size and
            data ``tokens_per_param`` and ``ratio_by``, whose they are, and
            ``converged, rhat, ess_bulk, ess_tail, divergences``, and ``verdict``: the sampler's (see `verdict`).
        """
        flat = self.flat
        frame = self.about[["model", "family", "flops", "task", "basis", "observed"]].copy()
        columns = forecast_columns(flat)
        frame[list(columns)] = columns.to_numpy()
        extra = ["seen", "distance", "months_ahead", "family_models"]
        extra += ["latent_flops", "latent_flops_q5", "latent_flops_q95", "date", "dated_by"]
        extra += ["tokens_per_param", "ratio_by"] if self.fit.spec.compute_law == SIZE_AND_DATA else []
        frame[extra] = self.about[extra]
        return with_verdict(frame, self.convergence, self.problems, self.verdict)

    def summary(self) -> pd.DataFrame:
        """Return the columns that are read first, the release date among them where there is a drift."""
        return super().summary().drop(columns=["date"] if self.fit.drift == "none" else [])

    def compute_to_reach(self, task: str, level: float, family: str, date: str = "") -> ComputeToReach:
        """Posterior of the compute at which a family's curve crosses a score.

        The curve is that of the family's typical model (no residual of a single model). See `ask.compute_to_reach`.
        """
        from bayes_obscaling.results.reach import compute_to_reach

        return compute_to_reach(self.fit, task, level, family, date)

    def date_to_reach(
        self, task: str, level: float, family: str, flops: float, *, growth: float = 0.0, start: str = ""
    ) -> DateToReach:
        """Posterior of the release date at which a family's curve crosses a score; see `ask.date_to_reach`."""
        from bayes_obscaling.results.reach import date_to_reach

        return date_to_reach(self.fit, task, level, family, flops, growth=growth, start=start)

    def samples(self, task: str, scenarios: Sequence[str] | None = None) -> np.ndarray:
        """Draws (all draws, scenarios) of the scores on one task, by the names of `draws`; default all scenarios."""
        values = self.draws.sel(task=task)
        if scenarios is not None:
            values = values.sel(scenario=list(scenarios))
        array = values.transpose("chain", "draw", "scenario").to_numpy()
        return array.reshape(-1, array.shape[-1])

    def seen_of(self, task: str) -> Seen:
        """What the fit has seen of the scores on a task."""
        return seen_of(self.fit, task)

    def plot(self, ax: Any = None, task: str | None = None, **options: Any) -> Any:
        """Plot intervals against observed scores; see `bayes_obscaling.plots.plot_forecast`."""
        from bayes_obscaling.plots import plot_forecast

        return plot_forecast(self, ax=ax, task=task, **options)

    @property
    def flat(self) -> np.ndarray:
        """Draws of all chains (draws, rows of `about`)."""
        values = self.draws.to_numpy()
        return values.reshape(values.shape[0] * values.shape[1], -1)


def forecast(
    fit: CapabilityFit,
    scenarios: Iterable[Scenario | Mapping[str, Any] | str] | Scenario | Mapping[str, Any] | str | None = None,
    *,
    tasks: Sequence[str] | str | None = None,
    kind: Kind = "response",
) -> Forecast:
    """Forecast scores from a fit.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file.
    scenarios : Scenario, str, or several, optional
        Names of models in the table, or `Scenario` objects (or dicts of their fields) for models that do not exist yet.
        Default: every model whose score on one of the tasks the fit has not seen.
    tasks : str or sequence of str, optional
        Default: those the fit was made for.
    kind : {"response", "mean"}
        "response": a new evaluation of that model, with sampling noise. "mean": the curve only.

    Raises
    ------
    InputError
        For an unknown model, family or task, a scenario without FLOPs, one with a date that the fit does not read, or
        nothing to forecast.

    Notes
    -----
    A model that is not in the table gets capabilities of its own, ``N(a_f + b_f x, sd)``; a family that is not in it
    gets an intercept, a slope and offsets drawn from the population of families. Noise is keyed by the fit's seed,
    the scenario and the task, so a forecast does not depend on what else is asked.
    """
    if kind not in ("response", "mean"):
        raise InputError(f"kind is '{kind}': take 'response' or 'mean'.")
    names = tasks_of(fit, tasks)
    asked = _scenarios_of(fit, scenarios, names)
    posterior = fit.posterior
    means, draws = posterior.scores(asked, names)
    array = xr.DataArray(
        posterior.by_chain(draws if kind == "response" else means),
        dims=("chain", "draw", "scenario", "task"),
        coords={"scenario": [s.name for s in asked], "task": names},
        name="score",
    )
    return Forecast(array, posterior.by_chain(means), _about(fit, asked, names), kind, fit)


# --- what is asked ------------------------------------------------------------------------------------------------


def tasks_of(fit: CapabilityFit, tasks: Sequence[str] | str | None) -> list[str]:
    """Canonical names of tasks, default those that the fit was made for; refused are those that it does not hold."""
    if tasks is None:
        return list(fit.tasks)
    if not isinstance(tasks, Iterable):
        raise InputError(f"tasks is {tasks!r}", "give names")
    names = [fit.table.resolve(name) for name in ([tasks] if isinstance(tasks, str) else tasks)]
    if not names:
        raise InputError("No task was named", "name one that the fit holds, or leave tasks out")
    for name in names:
        if name not in fit.posterior.names:
            held = ", ".join(fit.posterior.names)
            raise InputError(f"The fit does not hold {name}: fit again with it; it holds {held}.")
    return names


def _scenarios_of(fit: CapabilityFit, scenarios: Any, tasks: list[str]) -> list[Scenario]:
    if scenarios is None:
        seen = fit.posterior.seen[tasks]
        hidden = seen.index[~seen.all(axis=1)]
        if hidden.empty:
            raise InputError(
                "Every model's score was seen, so nothing is left to forecast: set a cutoff or a scenario."
            )
        return [Scenario(model=model) for model in hidden]
    single = isinstance(scenarios, (Scenario, str, Mapping))
    if not single and not isinstance(scenarios, Iterable):
        raise InputError(f"scenarios is {scenarios!r}", "give names of models, or Scenario(...)")
    asked = [checked(fit.table, fit.layout, as_scenario(s)) for s in ([scenarios] if single else scenarios)]
    if not asked:
        raise InputError("No model was named", "name one, or leave scenarios out")
    return asked


def checked(table: ScoreTable, layout: Layout, scenario: Scenario) -> Scenario:
    """Scenario with the names that a table uses, for a fit of this layout.

    Refused are an unknown model or family, and a model that does not exist yet without FLOPs or with a date that the
    fit does not read.
    """
    structure = layout.structure
    if scenario.effort and not structure.is_sparse:
        raise InputError("The fit knows no efforts", "leave the effort out, or fit a table with settings")
    if scenario.is_known:
        name = table.resolve_model(scenario.model)
        if scenario.effort not in ("", "none") and not reasons(table)[name]:
            raise InputError(f"{name} has no score with reasoning", "leave the effort out")
        return Scenario(model=name, effort=scenario.effort)
    check_sizes(structure.compute_law, scenario)
    scenario = replace(scenario, flops=scenario.compute)
    if structure.compute_law != SIZE_AND_DATA:
        scenario = replace(scenario, params=np.nan, tokens=np.nan)
    if np.isnan(scenario.flops) and structure.compute_trend:
        return replace(scenario, family=family_of(layout, scenario.family))
    if not 0 < scenario.flops < np.inf:
        raise InputError(
            f"The scenario '{scenario.name}' has FLOPs {scenario.flops}: a model that does not exist yet needs a "
            "positive number, such as 3e24."
        )
    check_flops(f"The compute of the scenario '{scenario.name}'", scenario.flops)
    family = family_of(layout, scenario.family)
    if scenario.date:
        check_drift(structure.drift, family)
    return replace(scenario, family=family)


def family_of(layout: Layout, name: str) -> str:
    """Name of a family as the table writes it, "new" for an unseen one; refused is one that does not exist."""
    if name == NEW_FAMILY:
        return name
    return family_named(name, layout.families, "name one, or 'new' for an unseen one")


# --- what a reader needs ------------------------------------------------------------------------------------------


def _about(fit: CapabilityFit, scenarios: list[Scenario], tasks: list[str]) -> pd.DataFrame:
    """One row per scenario and task: who it is, what the forecast is based on, and how far from the data it lies."""
    posterior, models = fit.posterior, fit.table.models
    observed, seen = fit.table.matrix(tasks).to_numpy(), posterior.seen[tasks].to_numpy()
    measured, flops = posterior.measured.to_numpy(), models["flops"].to_numpy()
    families, positions = models["family"].to_numpy(), {name: i for i, name in enumerate(models.index)}
    dates, as_of = models["date"].to_numpy(), fit.split.as_of
    unpublished = "date" if fit.layout.structure.compute_trend else "compute"
    rows = []
    read = zip(scenarios, releases(fit, scenarios), ratios(fit, scenarios), strict=True)
    for scenario, release, ratio in read:
        at = positions.get(scenario.model) if scenario.is_known else None
        others = measured.copy()
        if at is not None:
            others[at] = False
        family, compute = (scenario.family, scenario.flops) if at is None else (families[at], flops[at])
        same = others & (families == family)
        has_scores = at is not None and bool(measured[at])
        for j, task in enumerate(tasks):
            others_seen = seen[:, j].copy()
            if at is not None:
                others_seen[at] = False
            # Distance is counted from the models that the forecast leans on: with benchmarks, those whose task score is
            # seen; without, the measured models of the same family, or of all families for one that is new.
            leaned = others_seen if has_scores else others if family == NEW_FAMILY else same
            latent = [np.nan] * 3
            if at is not None and not np.isfinite(compute):
                latent = _latent_flops(fit, at, fit.posterior.predictors_of(task))
            elif not np.isfinite(compute):
                latent = _drawn_flops(fit, scenario)
            rows.append(
                {
                    "model": scenario.name,
                    "family": family,
                    "flops": compute,
                    "task": task,
                    "basis": "benchmarks" if has_scores else "compute" if np.isfinite(compute) else unpublished,
                    # what was observed is the score at the model's best effort
                    "observed": np.nan if at is None or scenario.effort else observed[at, j],
                    "seen": False if at is None or scenario.effort else bool(seen[at, j]),
                    "distance": decades_outside(compute, flops[leaned]),
                    "since": max(dates[others_seen], default="") if as_of is None else as_of,
                    "first": "" if at is not None else min(filter(None, dates[others_seen]), default=""),
                    "released": scenario.date if at is None else dates[at],
                    "family_models": int(same.sum()),
                    **dict(zip(("latent_flops", "latent_flops_q5", "latent_flops_q95"), latent, strict=True)),
                    **release._asdict(),
                    **ratio._asdict(),
                }
            )
    about = pd.DataFrame(rows)
    since, released, first = (about.pop(name) for name in ("since", "released", "first"))
    return about.assign(months_ahead=months_between(since, released), months_before=months_between(released, first))


def _drawn_flops(fit: CapabilityFit, scenario: Scenario) -> list[float]:
    """Median and 90 % interval of the FLOPs of a model to come, from the trend of its family's compute."""
    x = fit.posterior.covariates([scenario.family], facts_of([scenario]))
    return list(10.0 ** (np.percentile(np.asarray(x.compute), (50, 5, 95)) + COMPUTE_CENTRE))


@remembered
def _latent_flops(fit: CapabilityFit, model: int, predictors: int) -> list[float]:
    """Median and 90 % interval of the FLOPs of a model, by its position, that nobody published."""
    values = fit.posterior.measurement(predictors)["compute"][:, model]
    return list(10.0 ** (np.percentile(values, (50, 5, 95)) + COMPUTE_CENTRE))


def decades_outside(flops: float, seen: np.ndarray) -> float:
    """Decades of compute above the largest (positive) or below the smallest (negative) of `seen`; 0 between them."""
    seen = seen[np.isfinite(seen)]
    if not np.isfinite(flops) or not len(seen):
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
    late = about[(about["dated_by"] == "scenario") & (about["months_ahead"] > FAR_MONTHS)]
    found += [
        f"{row.model} comes {row.months_ahead / 12:.0f} years after the latest model seen: nothing says that a year "
        "goes on being worth what it was."
        for row in late.drop_duplicates("model").itertuples()
    ]
    early = about[(about["dated_by"] == "scenario") & (about.get("months_before", np.nan) > FAR_MONTHS)]
    first = early.drop_duplicates("model").itertuples()
    found += [f"{row.model} comes {row.months_before / 12:.0f} years before the first model seen." for row in first]
    lonely = about[(about["basis"] == "compute") & (about["family_models"] <= 1) & (about["family"] != NEW_FAMILY)]
    found += [
        f"{row.model}: {row.family_models} other measured models of its family; the forecast leans on other families."
        for row in lonely.drop_duplicates("model").itertuples()
    ]
    return (*found, *far_ratios(about))
