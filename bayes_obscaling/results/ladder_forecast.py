"""Forecasts from a ladder fit: task loss, accuracy given the true loss, and the two chained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.checks import Level, listed, worst
from bayes_obscaling.data.ladder import Ladder
from bayes_obscaling.data.ladder_reading import read_checkpoints
from bayes_obscaling.data.sheet import Source
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.ladder import LadderSpec
from bayes_obscaling.results.fit import LadderFit
from bayes_obscaling.results.ladder_posterior import SIMILAR
from bayes_obscaling.results.ladder_recipe import recipes_of
from bayes_obscaling.results.ladder_update import observed_of, update_ladder
from bayes_obscaling.results.predictive import Predictive
from bayes_obscaling.results.scenario import Scenario, as_scenario
from bayes_obscaling.results.summaries import forecast_columns, with_verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Decades of compute beyond the ladder at which a forecast is called far.
FAR_DECADES = 2.0
# Forecasts of new runs, and the dimension of each.
QUANTITIES = {"loss": "loss_of", "accuracy": "task", "accuracy_given_loss": "task"}
# The models whose ladder the bundled runs are (OLMo 2; 7B and 13B as in Bhagia et al. 2024). They had another schedule
# than the runs, and a last stage on better data.
OLMO_MODELS = (
    Scenario("7B", params=6887575552, tokens=3945065873408, recipe="similar"),
    Scenario("13B", params=13202396160, tokens=5000088518656, recipe="similar"),
    Scenario("32B", params=31.72e9, tokens=6.056e12, recipe="similar"),
)


@dataclass(frozen=True, eq=False, repr=False)
class LadderForecast(Predictive):
    """Draws of losses and accuracies of models beyond a ladder, or inside it.

    Attributes
    ----------
    fit : LadderFit
        The fit behind it.
    scenarios : tuple of Scenario
        What was asked, with the recipe of each.
    recipes : tuple of str
        A sentence per scenario: which recipe it is of, and why; then what its checkpoints said.
    odd_checkpoints : tuple of str
        What is odd about the checkpoints of a run.
    draws : Dataset
        ``loss`` (chain, draw, scenario, loss_of), ``accuracy`` (chain, draw, scenario, task), both of a run to come;
        ``loss_curve``, ``accuracy_curve``: without a run's luck; ``accuracy_given_loss`` where true losses were given.
    """

    labels: ClassVar[tuple[str, ...]] = ("model", "task", "quantity")
    front = ("model", "task", "quantity", "median", "q25", "q75", "q5", "q95", "verdict")

    fit: LadderFit = field(repr=False)
    scenarios: tuple[Scenario, ...]
    draws: xr.Dataset
    recipes: tuple[str, ...] = ()
    odd_checkpoints: tuple[str, ...] = ()

    remedy: ClassVar[str] = "take more --draws, or check the runs"

    @property
    def own_notes(self) -> tuple[str, ...]:
        """Which recipe each model is of, and why; tasks of which there is no accuracy."""
        ladder = self.fit.ladder
        scored = set(ladder.scored_tasks)
        mute = [str(task) for task in ladder.tasks.index if task not in scored] if scored else []
        return (*self.recipes, *([f"No run has an accuracy on {listed(mute)}: none is forecast."] if mute else []))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Checkpoints that cannot be of such a run, energies that mix slowly, and where a model lies."""
        energy = self.fit.energy_warning if self.fit.energy_level == "REVIEW" else ()
        return self.odd_checkpoints + energy + _warnings(self.fit.ladder, self.scenarios)

    @property
    def verdict(self) -> Level:
        """As of `Predictive`; REVIEW at best where checkpoints cannot be of such a run."""
        return worst([super().verdict, "REVIEW" if self.odd_checkpoints else "PASS"])

    @cached_property
    def about(self) -> pd.DataFrame:  # type: ignore[override]
        """One row per model, task and quantity: ``model, N, D, recipe, task, quantity``."""
        rows = [
            {
                "model": scenario.name,
                "N": scenario.params,
                "D": scenario.tokens,
                "recipe": scenario.recipe,
                "task": task,
                "quantity": quantity,
            }
            for quantity in self._quantities
            for scenario in self.scenarios
            for task in self.draws[QUANTITIES[quantity]].to_numpy()
        ]
        return pd.DataFrame(rows)

    @property
    def flat(self) -> np.ndarray:
        """Draws of all chains (draws, rows of `about`)."""
        parts = []
        for quantity in self._quantities:
            values = self.draws[quantity].to_numpy()
            parts.append(values.reshape(values.shape[0] * values.shape[1], -1))
        return np.concatenate(parts, axis=1)

    @property
    def _quantities(self) -> list[str]:
        return [name for name in QUANTITIES if name in self.draws]

    @cached_property
    def _table(self) -> pd.DataFrame:
        columns = forecast_columns(np.ascontiguousarray(self.flat.T), axis=1)
        return with_verdict(self.about.join(columns), self.convergence, self.problems, self.verdict)

    def to_dataframe(self) -> pd.DataFrame:
        """One row per model, task and quantity.

        Columns ``model, N, D, recipe, task, quantity``, then ``mean, median, sd, q2.5 ... q97.5``, then the sampler's
        ``converged, rhat, ess_bulk, ess_tail, divergences, verdict``. Accuracies are fractions, losses are in the unit
        of the ladder (bits per byte in the bundled one); intervals are equal-tailed and hold a run's luck.
        """
        return self._table.copy()

    def probability(self, threshold: float) -> pd.DataFrame:
        """Probability that an accuracy is at or above a threshold: ``model, task, quantity, probability``."""
        table = super().probability(threshold)
        return table[table["quantity"] != "loss"].reset_index(drop=True)

    def to_hub(self) -> pd.DataFrame:
        """Quantiles of the chained accuracies as a hubverse model output; see `Forecast.to_hub`."""
        accuracies = replace(self, draws=self.draws[["accuracy"]])
        return super(LadderForecast, accuracies).to_hub()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the intervals of all models and tasks; see `bayes_obscaling.plots.plot_ladder_forecast`."""
        from bayes_obscaling.plots import plot_ladder_forecast

        return plot_ladder_forecast(self, ax=ax)


def forecast_ladder(
    fit: LadderFit,
    scenarios: Scenario | Sequence[Scenario] = OLMO_MODELS,
    true_losses: np.ndarray | None = None,
    *,
    recipe: str = "",
    update: Ladder | Source | None = None,
) -> LadderForecast:
    """Forecast losses and accuracies of models of the ladder's recipe, or of another.

    Parameters
    ----------
    fit : LadderFit
        A fit.
    scenarios : Scenario or sequence of Scenario
        What to forecast, with params and tokens; default the OLMo 2 models of the bundled ladder.
    true_losses : array (scenarios, losses), optional
        Losses of the models, if known: adds the forecast of the accuracy given the true loss.
    recipe : str
        Of all scenarios: "same", "similar", "unknown", or a recipe of the ladder by name. Default: what each scenario
        says, and by its tokens per parameter where it says nothing (`recipes_of`).
    update : path, DataFrame or Ladder, optional
        Checkpoints of the one scenario, a run that is under way (`read_checkpoints`): its recipe and luck are learned
        from them (`bayes_obscaling.results.ladder_update`). Its recipe is "similar" before, unless given.

    Raises
    ------
    InputError
        For no scenario, one without params or tokens, two of one name, or a recipe that is not known.
    """
    asked, sentences = recipes_of(fit.ladder, checked_runs(scenarios), recipe, SIMILAR if update is not None else "")
    losses = None if true_losses is None else np.asarray(true_losses, float).reshape(len(asked), -1)
    posterior = fit.posterior
    odd: tuple[str, ...] = ()
    if update is None:
        drawn = posterior.scores(asked, losses)
    else:
        if len(asked) > 1:
            raise InputError(f"Checkpoints are of one run, and {len(asked)} models are asked for", "ask for one")
        of_run = update if isinstance(update, Ladder) else read_checkpoints(update)
        found = update_ladder(fit, asked[0], of_run, losses)
        drawn = found.scores
        sentences, odd = (*sentences, *found.sentences), found.odd
    scored = set(fit.ladder.scored_tasks)
    told = np.array([task in scored for task in posterior.layout.tasks])  # of others a forecast would be the prior
    drawn = {
        name: values if name.startswith("loss") else values[..., told]
        for name, values in drawn.items()
        if name.startswith("loss") or told.any()
    }
    variables = {}
    for name, values in drawn.items():
        dim = "loss_of" if name.startswith("loss") else "task"
        variables[name] = (("chain", "draw", "scenario", dim), posterior.by_chain(values))
    used = {dims[-1] for dims, _ in variables.values()}
    every = {**posterior.layout.labels, "task": fit.ladder.scored_tasks}
    labels = {dim: names for dim, names in every.items() if dim in used}
    dataset = xr.Dataset(variables, coords={"scenario": [scenario.name for scenario in asked], **labels})
    return LadderForecast(fit, asked, dataset, sentences, odd)


def check_asked(ladder: Ladder, spec: LadderSpec, scenarios: Sequence[Scenario], update: Ladder | None = None) -> None:
    """Refuse what a fit of a ladder could not forecast, or be updated with, before it is made."""
    asked, _ = recipes_of(ladder, checked_runs(scenarios))
    if update is not None:
        observed_of(ladder, spec, asked[0], update)


def checked_runs(scenarios: Scenario | Sequence[Scenario]) -> tuple[Scenario, ...]:
    """Scenarios of a ladder's recipe, their compute filled in.

    Refused are no scenario, one without params or tokens, and two of one name.
    """
    asked = tuple(
        as_scenario(s).as_run() for s in ((scenarios,) if isinstance(scenarios, (Scenario, Mapping)) else scenarios)
    )
    names = [scenario.name for scenario in asked]
    if not names:
        raise InputError("No model was named: give one, such as Scenario('7B', params=6.9e9, tokens=3.9e12).")
    if len(set(names)) < len(names):
        raise InputError(f"Two scenarios are called {max(names, key=names.count)}: give each a name of its own.")
    return asked


def _warnings(ladder: Ladder, scenarios: Sequence[Scenario]) -> tuple[str, ...]:
    runs = ladder.runs
    ratio = runs["tokens"] / runs["params"]
    sentences = []
    for scenario in scenarios:
        values = {"params": scenario.params, "tokens": scenario.tokens}
        inside = all(value <= runs[name].max() for name, value in values.items())
        below = [name for name, value in values.items() if value < runs[name].min()]
        beyond = np.log10(scenario.flops / (6 * runs["params"] * runs["tokens"]).max())
        if inside and below:
            words = {"params": "parameters", "tokens": "tokens"}
            what = " and ".join(words[name] for name in below)
            sentences.append(f"{scenario.name} has fewer {what} than any run: the curves were not checked there.")
        elif inside:
            sentences.append(f"{scenario.name} lies inside the ladder: this is an interpolation, not a forecast.")
        elif beyond > FAR_DECADES:
            sentences.append(
                f"{scenario.name} lies {beyond:.1f} decades of compute beyond the ladder: the curves were checked one "
                "rung beyond their end, not this far."
            )
        here = scenario.tokens / scenario.params
        if not ratio.min() / 1.02 <= here <= ratio.max() * 1.02:
            sentences.append(
                f"{scenario.name} has {here:.3g} tokens per parameter, the ladder {ratio.min():.3g} to "
                f"{ratio.max():.3g}: the loss is extrapolated in this direction too."
            )
    return tuple(sentences)
