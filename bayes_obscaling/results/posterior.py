"""Posterior: the draws of a fit as arrays, and what the model says of scenarios and tasks at all draws at once.

It is the one view of a fit that forecasts, curves, analyses, leave-one-out and designs read. Arrays have the draws of
all chains along their first axis (S); G predictor sets, N scenarios, M models, I benchmarks, T tasks, K factors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.models import capability_equations as equations
from bayes_obscaling.models.capability_equations import Covariates, covariates_of
from bayes_obscaling.models.layout import Layout
from bayes_obscaling.models.links import inverse_items
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.beyond import benchmark_offsets, drawn_covariates, effort_shifts, stray
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario, facts_of

Arrays = dict[str, np.ndarray]


@jax.jit
def _benchmark_moments(
    p: Arrays, theta: jax.Array, offset: jax.Array, chance: jax.Array, inv_items: jax.Array
) -> tuple[jax.Array, jax.Array]:
    expected = equations.expected_benchmarks(p, theta, offset, chance)
    return expected, equations.benchmark_noise(p, expected, inv_items).scale


@jax.jit
def _task_moments(
    p: Arrays,
    theta: jax.Array,
    scales: tuple[jax.Array, jax.Array],
    predictors: jax.Array,
    offset: jax.Array,
    chance: jax.Array,
    inv_items: jax.Array,
    floor_sd: float,
) -> tuple[jax.Array, jax.Array]:
    z = equations.by_task(equations.standardise(theta, scales), predictors)
    expected = equations.expected_tasks(p, z, offset, chance)
    return expected, equations.task_noise(p, expected, inv_items, floor_sd).scale


class Place(NamedTuple):
    """Where capabilities of scenarios come from: draws of everything that their scores depend on."""

    theta: np.ndarray  # (S, G, N, K)
    effects: Arrays  # of their families: family_offset (S, G, N, I), task_family_offset (S, N, T)
    date: np.ndarray  # (N,) of release, years since DATE_CENTRE


class Posterior:
    """Posterior draws of a capability fit as arrays.

    Parameters
    ----------
    draws : Dataset
        The posterior group.
    layout : Layout
        The arrays that were sampled.
    table : ScoreTable
        All scores.
    spec : CapabilitySpec
        What was believed.
    seed : int
        Of the fit: it keys the noise of forecasts.
    """

    def __init__(self, draws: xr.Dataset, layout: Layout, table: ScoreTable, spec: CapabilitySpec, seed: int) -> None:
        self.layout, self.table, self.spec, self.seed = layout, table, spec, seed
        self.chains, self.per_chain = draws.sizes["chain"], draws.sizes["draw"]
        self.size = self.chains * self.per_chain
        self._arrays: Arrays = {}
        self._measured: set[str] = set()
        for name, value in draws.items():
            array = value.transpose("chain", "draw", ...).to_numpy()
            self._arrays[str(name)] = array.reshape(self.size, *array.shape[2:])
            if "predictors" in value.dims:
                self._measured.add(str(name))

    def at_draws(self, rows: np.ndarray) -> Posterior:
        """Return the posterior at some of its draws, by position (S,), in as many chains."""
        other = copy(self)
        other.__dict__ = {name: value for name, value in self.__dict__.items() if name not in ("scales", "_new_family")}
        other._arrays = {name: value[rows] for name, value in self._arrays.items()}
        return other

    # --- draws ----------------------------------------------------------------------------------------------------

    def measurement(self, predictors: int | None = None) -> Arrays:
        """Draws (S, ...) of the measurement's variables for one predictor set; (S, G, ...) of all if it is None."""
        chosen = slice(None) if predictors is None else predictors
        return {name: self._arrays[name][:, chosen] for name in self._arrays if name in self._measured}

    @property
    def heads(self) -> Arrays:
        """Draws (S, ...) of the variables of the task heads; empty without tasks."""
        return {name: value for name, value in self._arrays.items() if name not in self._measured}

    def by_chain(self, values: np.ndarray) -> np.ndarray:
        """Values (S, ...) as (chain, draw, ...)."""
        return values.reshape(self.chains, self.per_chain, *values.shape[1:])

    # --- names ----------------------------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """Benchmarks and tasks that the fit holds."""
        return self.layout.benchmarks + self.layout.tasks

    def has_head(self, name: str) -> bool:
        """Whether a name is a task of the fit, not a benchmark."""
        return name in self.layout.tasks

    def predictors_of(self, name: str) -> int:
        """Position of the predictor set that a task reads; a standard benchmark reads the complete one."""
        return self._read_by.get(name, self.complete)

    @cached_property
    def _read_by(self) -> dict[str, int]:
        """Predictor set of each task; looked up in JAX arrays, they would cost a forecast most of its time."""
        scores = self.layout.task_scores
        return (
            {} if scores is None else dict(zip(self.layout.tasks, np.asarray(scores.predictors).tolist(), strict=True))
        )

    @property
    def complete(self) -> int:
        """Position of the predictor set that leaves out nothing; the first, where each leaves out something."""
        sets = self.layout.predictor_sets
        return sets.index(()) if () in sets else 0

    @cached_property
    def family(self) -> np.ndarray:
        """Position (M,) of every model's family."""
        return np.asarray(self.layout.measurements[0].family)

    # --- what was seen --------------------------------------------------------------------------------------------

    @cached_property
    def seen(self) -> pd.DataFrame:
        """Which scores the fit has seen: models by benchmarks and fitted tasks."""
        parts = [np.asarray(self.layout.measurements[0].seen)]
        if self.layout.task_scores is not None:
            parts.append(np.asarray(self.layout.task_scores.seen))
        return pd.DataFrame(np.concatenate(parts, axis=1), index=list(self.layout.models), columns=list(self.names))

    @cached_property
    def measured(self) -> pd.Series:
        """Models with a benchmark score that the fit has seen: others are forecast from compute alone."""
        return self.seen[list(self.layout.benchmarks)].any(axis=1)

    # --- capabilities ---------------------------------------------------------------------------------------------

    @cached_property
    def scales(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread (S, G, 1, K) of the reference models' capabilities: units of the task heads."""
        centre, spread = equations.reference_scale(self._arrays["theta"], self.layout.reference)
        return np.asarray(centre), np.asarray(spread)

    def standardised(self, theta: np.ndarray, predictors: int) -> np.ndarray:
        """Capabilities (S, N, K) of one predictor set in units of the task heads."""
        return np.asarray(equations.standardise(theta, (self.scales[0][:, predictors], self.scales[1][:, predictors])))

    def rng(self, *labels: str) -> np.random.Generator:
        """Random numbers that depend on the fit's seed and on what they are for, not on what else is asked."""
        digest = hashlib.sha256("|".join(labels).encode()).digest()
        return np.random.default_rng([self.seed, int.from_bytes(digest[:8], "little")])

    def family_effects(self, family: str) -> Arrays:
        """Effects of a family: its own, or for "new" one draw from the population of families per posterior draw.

        Returns
        -------
        dict of arrays
            ``intercept, slope`` (S, G, K), ``family_offset`` (S, G, I) and, with tasks, ``task_family_offset`` (S, T).
        """
        if family != NEW_FAMILY:
            index = self.layout.families.index(family)
            return {
                name: self._arrays[name][..., index, :] for name in equations.FAMILY_EFFECTS if name in self._arrays
            }
        return self._new_family

    @cached_property
    def _new_family(self) -> Arrays:
        rng = self.rng(NEW_FAMILY)

        def unit(name: str, shape: tuple[int, ...]) -> np.ndarray:
            # one standard normal draw serves all predictor sets: it is the same unseen family in each
            return rng.standard_normal((shape[0], 1, shape[-1]) if name in self._measured else shape)

        return equations.new_family(self._arrays, unit)

    def lines(self, effects: Arrays, x: Covariates) -> np.ndarray:
        """Capabilities (S, G, N, K) of typical models.

        Parameters
        ----------
        effects : dict of arrays
            ``intercept`` and ``slope`` (S, G, N, K), or (S, G, 1, K) for one family at N places.
        x : Covariates
            Of the models, (N,).
        """
        own = ("intercept", "slope", "family_drift")
        p: Arrays = {name: effects[name] for name in own if name in effects}
        population = self.measurement()
        p |= {name: value for name, value in population.items() if name not in equations.FAMILY_EFFECTS}
        return np.asarray(equations.line(p, x))

    def covariates(
        self, families: str | Sequence[str], facts: Mapping[str, Any], *, typical: bool = False
    ) -> Covariates:
        """What lines read of models that do not exist yet, (N,), from their ``flops`` and, where known, ``date``.

        `families` are their families, or one of all. Without a date, a model of a known family comes with the family's
        latest release, one of a new family with the latest release of all that the fit has seen. What else was not
        given is drawn; `typical` models have the compute of their family's trend.
        """
        x = covariates_of({"date": np.full(np.shape(facts["flops"]), ""), **facts})
        date = np.asarray(x.date)
        names = [families] * len(date) if isinstance(families, str) else families
        latest = np.array([self.latest[name] for name in names])
        known = np.array([name != NEW_FAMILY for name in names])
        one_date = known & (self.layout.structure.drift == "family")  # of a family of the table
        x = x._replace(date=np.where(np.isnan(date) | one_date, latest, date))
        return drawn_covariates(self, names, x, facts, typical)

    @cached_property
    def latest(self) -> dict[str, float]:
        """Date, in years since DATE_CENTRE, of the latest model seen of each family, and of all families as "new"."""
        date = pd.Series(np.asarray(self.layout.measurements[0].covariates.date), index=list(self.layout.models))
        family = pd.Series(np.array(self.layout.families)[self.family], index=date.index)
        latest = date.groupby(family).max()
        seen = date[self.measured]
        latest.update(seen.groupby(family[seen.index]).max())
        return {**latest.to_dict(), NEW_FAMILY: float(seen.max() if len(seen) else date.max())}

    def family_line(self, family: str, facts: Mapping[str, Any]) -> Place:
        """Typical models of one family, "new" included, with facts as of `covariates`, (N,)."""
        effects = {name: value[..., None, :] for name, value in self.family_effects(family).items()}
        x, flops = self.covariates(family, facts, typical=True), np.asarray(facts["flops"], float)
        strayed = stray(self, [family] * len(flops), x.date, flops)
        return Place(self.lines(effects, x) + strayed, effects, np.asarray(x.date))

    def place(self, scenarios: Sequence[Scenario]) -> Place:
        """Capabilities and family effects of scenarios: of models in the table, or drawn around their family's line."""
        families = [s.family or str(self.table.models.at[s.model, "family"]) for s in scenarios]
        by_family = {family: self.family_effects(family) for family in dict.fromkeys(families)}
        effects = {
            name: np.stack([by_family[family][name] for family in families], axis=-2) for name in by_family[families[0]]
        }
        shape = (*effects["intercept"].shape[:-2], len(scenarios), len(self.layout.factors))
        theta, dates = np.empty(shape), np.zeros(len(scenarios))
        if known := [i for i, s in enumerate(scenarios) if s.is_known]:
            rows = [self.layout.models.index(scenarios[i].model) for i in known]
            theta[..., known, :] = self._arrays["theta"][..., rows, :]
            dates[known] = np.asarray(self.layout.measurements[0].covariates.date)[rows]
            unmeasured = {i: row for i, row in zip(known, rows, strict=True) if not self.measured.iloc[row]}
            if at := list(unmeasured.values()):
                date, flops = np.asarray(self.layout.measurements[0].covariates.date), self.table.models["flops"]
                strayed = stray(self, [families[i] for i in unmeasured], date[at], flops.to_numpy()[at])
                theta[..., list(unmeasured), :] += strayed
        if new := [i for i, s in enumerate(scenarios) if not s.is_known]:
            mine = {name: value[..., new, :] for name, value in effects.items()}
            facts = facts_of([scenarios[i] for i in new])
            x = self.covariates([families[i] for i in new], facts)
            dates[new] = x.date
            typical = self.lines(mine, x) + stray(self, [families[i] for i in new], x.date, facts["flops"])
            unit = [self._residual(scenarios[i]) for i in new]
            theta[..., new, :] = typical + self._arrays["residual_sd"][..., None, :] * np.stack(unit, axis=-2)
        if self.layout.structure.is_sparse:
            theta += effort_shifts(self, scenarios)
        return Place(theta, effects, dates)

    def _residual(self, scenario: Scenario) -> np.ndarray:
        """Standard normal residual (S, 1, K) of a model that does not exist yet from its family's line.

        It is the model's own, at whatever effort.
        """
        return self.rng("theta", replace(scenario, effort="").name).standard_normal(
            (self.size, 1, len(self.layout.factors))
        )

    def models(self, names: Sequence[str] | None = None) -> Place:
        """Models of the table, by name; default all."""
        return self.place([Scenario(model=name) for name in (self.layout.models if names is None else names)])

    # --- scores ---------------------------------------------------------------------------------------------------

    def expected(self, place: Place, names: Sequence[str]) -> np.ndarray:
        """Expected scores (S, N, J) of N scenarios on J benchmarks and tasks, by canonical name."""
        return self.moments(place, names, np.zeros((place.theta.shape[-2], len(names))))[0]

    def task_inputs(self, place: Place, names: Sequence[str]) -> tuple[Arrays, np.ndarray, np.ndarray, np.ndarray]:
        """What the equations of tasks read at all draws: parameters, capabilities, family offsets and chance levels.

        Parameters
        ----------
        place : Place
            N scenarios.
        names : sequence of str
            J tasks with a head.

        Returns
        -------
        p : dict of arrays
            Variables of the heads, (S, ..., J, ...).
        z : array (S, N, J, K)
            Standardised capabilities, of the predictor set that each task reads.
        offset : array (S, N, J)
        chance : array (J,)
        """
        assert self.layout.task_scores is not None
        at = [self.layout.tasks.index(name) for name in names]
        p = {name: self.heads[name][:, at] for name in equations.TASK_CURVE if name in self.heads}
        predictors = np.asarray(self.layout.task_scores.predictors)[at]
        z = equations.by_task(equations.standardise(place.theta, self.scales), predictors)
        chance = np.asarray(self.layout.task_scores.chance)[at]
        return p, np.asarray(z), place.effects["task_family_offset"][..., at], chance

    def scores(self, scenarios: Sequence[Scenario], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Expected scores, and draws of new evaluations around them inside 0..1, (S, N, J) each.

        Noise is keyed by the fit's seed, the scenario and the task: a forecast does not depend on what else is asked.
        """
        items, who = self.item_counts(scenarios, names), [scenario.name for scenario in scenarios]
        return self.scores_at(self.place(scenarios), who, names, inverse_items(items))

    def scores_at(
        self, place: Place, who: Sequence[str], names: Sequence[str], inverse: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `scores`, of N places by the names of who stands there; `inverse` (N, J) items, default the usual ones."""
        if inverse is None:
            usual = self.table.benchmarks.loc[list(names), "n_items"].to_numpy(float)
            inverse = np.tile(inverse_items(usual), (len(who), 1))
        expected, sd = self.moments(place, names, inverse)
        unit = np.empty_like(expected)
        for j, name in enumerate(names):
            for i, one in enumerate(who):
                rng, df = self.rng("noise", one, name), self.noise_df(name)
                unit[:, i, j] = rng.standard_normal(self.size) if df is None else rng.standard_t(df, self.size)
        return expected, np.clip(expected + sd * unit, 0.0, 1.0)

    def noise_df(self, name: str) -> float | None:
        """Degrees of freedom of the noise of a new evaluation; None where it is normal."""
        if self.has_head(name):
            return equations.TASK_NOISE_DF
        return equations.CELL_NOISE_DF if self.layout.structure.is_sparse else None

    def moments(self, place: Place, names: Sequence[str], inv_items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Expected scores and the scale of the noise of new evaluations, (S, N, J) each."""
        result = np.empty((2, self.size, place.theta.shape[-2], len(names)))
        if columns := [j for j, name in enumerate(names) if not self.has_head(name)]:
            predictors = self.predictors_of(names[columns[0]])  # the same for all benchmarks
            at = [self.layout.benchmarks.index(names[j]) for j in columns]
            p = self.measurement(predictors)
            result[..., columns] = _benchmark_moments(
                {name: p[name][:, at] for name in equations.BENCHMARK_CURVE if name in p},
                place.theta[:, predictors],
                benchmark_offsets(p, place, predictors, at),
                np.asarray(self.layout.measurements[0].chance)[at],
                inv_items[:, columns],
            )
        if columns := [j for j, name in enumerate(names) if self.has_head(name)]:
            assert self.layout.task_scores is not None
            at = [self.layout.tasks.index(names[j]) for j in columns]
            result[..., columns] = _task_moments(
                {name: self.heads[name][:, at] for name in equations.TASK_CURVE if name in self.heads},
                place.theta,
                self.scales,
                np.asarray(self.layout.task_scores.predictors)[at],
                place.effects["task_family_offset"][..., at],
                np.asarray(self.layout.task_scores.chance)[at],
                inv_items[:, columns],
                self.spec.predictive_sd,
            )
        return result[0], result[1]

    def item_counts(self, scenarios: Sequence[Scenario], names: Sequence[str]) -> np.ndarray:
        """Numbers of items (N, J): those of a known model's own scores, else those of the test."""
        usual = self.table.benchmarks.loc[list(names), "n_items"].to_numpy(float)
        counts = np.tile(usual, (len(scenarios), 1))
        if known := [i for i, s in enumerate(scenarios) if s.is_known]:
            own = self.table.item_counts(names)
            counts[known] = own.loc[[scenarios[i].model for i in known], list(names)].to_numpy(float)
        return counts
