"""The published point forecasts, and two simpler ones, as baselines for backtests.

Most methods are least squares of one curve, ``base + span * sigmoid(limit) * sigmoid(design @ weights)``,
possibly with ridge penalties: principal components, compute or size give the design, and families add intercepts.
Intervals come from a parametric bootstrap: refit to the fitted values plus noise, then add the noise of an evaluation.
Those that read dates have intervals of their own: `bayes_obscaling.evaluation.in_time` and `one_factor`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeAlias

import numpy as np
import pandas as pd

from bayes_obscaling.data.components import components_of
from bayes_obscaling.data.names import unknown
from bayes_obscaling.data.splits import Split
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.curve import Curve, Penalty, bootstrap, curve_starts, fit_curve, regress
from bayes_obscaling.evaluation.in_time import best_so_far, date_logistic, latest_median
from bayes_obscaling.evaluation.one_factor import factor_date
from bayes_obscaling.models.priors import Normal

# Family logistic: weak priors in logits for the intercept at mean compute, the slope per decade of
# compute and the ceiling (3 is 95 % of the way from chance to 1), and the range of the between-family sd in logits.
INTERCEPT, SLOPE, CEILING = Normal(loc=0.0, scale=10.0), Normal(loc=0.0, scale=5.0), Normal(loc=3.0, scale=1.5)
FAMILY_SD = (0.05, 3.0)
SMALLEST_NOISE = 0.005


@dataclass(frozen=True, eq=False)
class BaselineForecast:
    """What a baseline says about the held-out models.

    Attributes
    ----------
    method : str
        Name of the method, a key of `BASELINES`.
    point : Series, indexed by model
        Forecast scores (0..1, chance included); NaN where the method cannot say anything.
    draws : DataFrame (draw, model), or None
        Draws of the score of a new evaluation, clipped to 0..1; None if none were asked for.
    """

    method: str
    point: pd.Series
    draws: pd.DataFrame | None


def baseline(
    method: str, table: ScoreTable, task: str, split: Split, *, draws: int = 0, seed: int = 0
) -> BaselineForecast:
    """Forecast the score of the held-out models on one task or benchmark with a method of `BASELINES`.

    Parameters
    ----------
    method : str
        A key of `BASELINES`:

        - ``mean``: mean of the seen scores, a normal distribution about it;
        - ``size``, ``compute``: sigmoid in log10 parameters or log10 FLOPs;
        - ``pc-1`` to ``pc-4``: sigmoid in the first principal components of the benchmarks [1]_;
        - the same with ``-parametric``: the floor is not chance, but free from chance upwards, as [1]_ fits
          post-training and agent tasks;
        - ``best-so-far``, ``latest-median``, ``date-logistic``: from release dates alone, see
          `bayes_obscaling.evaluation.in_time`;
        - ``factor-date``: one capability that grows with the date, from all seen scores of the table, see
          `bayes_obscaling.evaluation.one_factor`;
        - ``family-logistic``: sigmoid in log10 FLOPs with a family intercept shrunk to the population, one slope and
          a free ceiling. A family without seen scores has the population's intercept, uncertain by the spread of
          families.
    table : ScoreTable
        The scores. Principal components are taken of its benchmarks less those that the task ``excludes``.
    task : str
        Task or benchmark to forecast, or an alias.
    split : Split
        Whose scores on the task are never read. Benchmark scores of models that the split hides are not read either, so
        that principal components cannot forecast them; neither do they forecast a benchmark.
    draws : int
        Number of predictive draws, each of one bootstrap replicate (200 in the literature).
    seed : int
        Seed of the draws.

    Raises
    ------
    InputError
        If the method, the task or a held-out model is unknown, no model is held out, ``draws`` is negative, or fewer
        models have a seen score and the predictor than the method has parameters, plus one.

    Notes
    -----
    As in the published code, components are those of the models used for training alone (a seen score; for held-out
    models the components are only applied). A missing benchmark score is imputed: columns are scaled to mean 0 and sd
    1 over the observed training scores, missing cells start at 0 and are replaced by their one-component PCA
    reconstruction until they stay; those of held-out models by the one component of the training models. The
    components themselves are of the filled in, centred but unscaled scores. The published code stops some fits before
    the optimum; here every fit is run to the optimum, and so is every bootstrap refit. Residual noise is normal, with
    the sum of squares over the number of models less that of parameters as its variance. The ridge penalty of
    ``family-logistic`` is the between-family variance, estimated from the seen scores (Schall 1991).

    References
    ----------
    .. [1] Ruan, Maddison and Hashimoto (2024), Observational scaling laws and the predictability of language model
       performance, NeurIPS; the bootstrap is that of the discussion with the reviewers.
    """
    if method not in BASELINES:
        raise unknown("baseline", method, BASELINES, f"choose from {', '.join(BASELINES)}")
    if draws < 0:
        raise InputError(f"The number of draws is {draws}: give 0 or more.")
    visible = Visible(method, table, table.resolve(task), split)
    point, sample = BASELINES[method](visible, draws, np.random.default_rng(seed))
    models = visible.held_out
    return BaselineForecast(
        method,
        pd.Series(point, index=models, name="score"),
        pd.DataFrame(np.clip(sample, 0, 1), index=pd.RangeIndex(draws, name="draw"), columns=models) if draws else None,
    )


Answer: TypeAlias = tuple[np.ndarray, np.ndarray]  # point (model,), draws (draw, model)
Method: TypeAlias = Callable[["Visible", int, np.random.Generator], Answer]


@dataclass(frozen=True)
class Visible:
    """What is to be forecast, and all of the table that may be looked at."""

    method: str
    table: ScoreTable
    task: str
    split: Split

    @cached_property
    def models(self) -> pd.DataFrame:
        """Models of the table."""
        return self.table.models

    @cached_property
    def held_out(self) -> pd.Index:
        """Models to forecast."""
        partly = dict.fromkeys(model for model, name in self.split.cells if name == self.task)
        everyone = list(dict.fromkeys([*self.split.held_out, *partly]))
        held_out = pd.Index(everyone, name="model", dtype=object)
        if held_out.empty:
            raise InputError(f"The split {self.split.name!r} holds out no model: there is nothing to forecast.")
        strange = held_out.difference(self.models.index)
        if len(strange):
            raise InputError(f"Held-out model {strange[0]!r} is not in the table: make the split from the same table.")
        return held_out

    @cached_property
    def scores(self) -> pd.Series:
        """Seen scores on the task, by model."""
        scores = self.split.masked(self.table.matrix([self.task]))[self.task]
        return scores[~scores.index.isin(self.held_out)].dropna()

    @cached_property
    def chance(self) -> float:
        """Score of a guesser on the task; 0 where nobody said it."""
        return float(np.nan_to_num(self.table.benchmarks.loc[self.task, "chance"]))

    @cached_property
    def benchmarks(self) -> pd.DataFrame:
        """Scores on the benchmarks that predict the task, NaN where hidden; no columns for a benchmark as the task."""
        names = [] if self.task in self.table.benchmark_names else self.table.benchmark_names
        excluded = self.table.benchmarks.loc[self.task, "excludes"]
        return self.split.masked(self.table.matrix([name for name in names if name not in excluded]))

    @cached_property
    def everything(self) -> pd.DataFrame:
        """Seen scores on the task and on all benchmarks but those that it excludes, NaN where hidden."""
        excluded = self.table.benchmarks.loc[self.task, "excludes"]
        names = dict.fromkeys([*(name for name in self.table.benchmark_names if name not in excluded), self.task])
        seen = self.split.masked(self.table.matrix(names))
        seen.loc[self.held_out, self.task] = np.nan
        return seen

    def require(self, count: int, least: int, what: str = "") -> None:
        """Refuse too few seen scores."""
        if count < least:
            raise InputError(
                f"Only {count} seen models have a score on {self.task}{what}; {self.method} needs {least}: "
                f"hold out fewer models, or leave this baseline out."
            )


# --- methods ----------------------------------------------------------------------------------------------------------


def _mean(visible: Visible, draws: int, rng: np.random.Generator) -> Answer:
    scores = visible.scores
    visible.require(len(scores), 2)
    shape = (draws, len(visible.held_out))
    spread = scores.std() * np.sqrt(1 + 1 / len(scores))
    return np.full(shape[1], scores.mean()), scores.mean() + spread * rng.standard_normal(shape)


def _log10(visible: Visible, column: str) -> tuple[pd.Series, np.ndarray]:
    """Seen scores of models with a known quantity, and its log10 for all models (seen first, then held out)."""
    amount = np.log10(visible.models[column])
    scores = visible.scores[amount[visible.scores.index].notna()]
    return scores, np.r_[amount[scores.index], amount[visible.held_out]]


def _regress_on_quantity(visible: Visible, draws: int, rng: np.random.Generator, *, column: str, free: bool) -> Answer:
    """Sigmoid in log10 of params or flops."""
    scores, amount = _log10(visible, column)
    visible.require(len(scores), 3 + free, f" and known {column}")
    centred = amount - amount[: len(scores)].mean()
    return regress(centred[:, None], scores.to_numpy(), visible.chance, free, draws, rng)


def _regress_on_components(visible: Visible, draws: int, rng: np.random.Generator, *, count: int, free: bool) -> Answer:
    """Sigmoid in the first principal components of the benchmarks (Ruan et al. 2024)."""
    if visible.benchmarks.columns.empty or set(visible.held_out) <= set(visible.split.hidden):
        nothing = np.full((draws + 1, len(visible.held_out)), np.nan)
        return nothing[0], nothing[1:]
    benchmarks = visible.benchmarks
    scores = visible.scores[benchmarks.notna().any(axis=1)[visible.scores.index]]
    visible.require(len(scores), count + 2 + free, " and benchmarks")
    train, new = benchmarks.loc[scores.index], benchmarks.loc[visible.held_out]
    measured = train.columns[train.notna().any()]
    if len(measured) < count:
        raise InputError(f"{visible.method} needs {count} benchmarks with scores: the table has {len(measured)}.")
    components = components_of(train[measured].to_numpy(), new[measured].to_numpy(), count)
    return regress(components, scores.to_numpy(), visible.chance, free, draws, rng)


def _family_logistic(visible: Visible, draws: int, rng: np.random.Generator) -> Answer:
    """Sigmoid in log10 FLOPs with ridge family intercepts, one slope, and a free ceiling above a known chance."""
    scores, compute = _log10(visible, "flops")
    visible.require(len(scores), 4, " and known flops")
    n, order = len(scores), [*scores.index, *visible.held_out]
    family = pd.Categorical(visible.models.loc[order, "family"])
    member = np.eye(len(family.categories))[family.codes]
    design = np.column_stack([np.ones(len(order)), compute - compute[:n].mean(), member])
    curve = Curve(base=visible.chance, span=1 - visible.chance, free=True)
    y = scores.to_numpy()

    weights, noise, family_sd = _choose_ridge(curve, design[:n], y)
    penalty = _family_penalty(member.shape[1], family_sd)
    point = curve.at(weights, design[n:])[0]
    # The penalties are observations too. Resampled with the scores, they leave a family with few scores as uncertain
    # as it is, and one with none as uncertain as the spread of families.
    replicates = bootstrap(curve, design[:n], weights, noise, penalty, draws, rng)
    sample = curve.at(replicates, design[n:]) + noise * rng.standard_normal((draws, len(point)))
    return point, sample


def _family_penalty(families: int, family_sd: float) -> Penalty:
    """Priors of the intercept, the slope, each family's offset and the ceiling."""
    priors = [INTERCEPT, SLOPE, *[Normal(loc=0.0, scale=family_sd)] * families, CEILING]
    return Penalty(np.array([prior.loc for prior in priors]), np.array([prior.scale for prior in priors]))


def _choose_ridge(curve: Curve, design: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Weights, residual sd and between-family sd, by the fixed point of Schall (1991) for variance components."""
    n, families = len(y), design.shape[1] - 2
    noise, family_sd = max(y.std() / 3, SMALLEST_NOISE), 1.0
    weights = curve_starts(curve, design[:, :2], y)
    weights = np.concatenate([weights[:, :2], np.zeros((len(weights), families)), weights[:, 2:]], axis=1)
    for _ in range(30):
        penalty = _family_penalty(families, family_sd)
        weights = fit_curve(curve, design, y, weights, noise, penalty)
        value, slope = curve.with_slope(weights, design)
        information = slope[0].T @ slope[0] / noise**2
        covariance = np.linalg.inv(information + np.diag(penalty.sd**-2))
        used = np.trace(covariance @ information)
        offsets = weights[0, 2:-1]
        used_by_families = families - np.trace(covariance[2:-1, 2:-1]) / family_sd**2
        before = np.array([noise, family_sd])
        noise = max(np.sqrt(((y - value[0]) ** 2).sum() / max(n - used, 1)), SMALLEST_NOISE)
        family_sd = float(np.clip(np.sqrt((offsets**2).sum() / max(used_by_families, 1e-9)), *FAMILY_SD))
        if np.allclose([noise, family_sd], before, rtol=0.01):
            break
    return weights, float(noise), family_sd


def _methods() -> dict[str, Method]:
    found: dict[str, Method] = {"mean": _mean}
    for suffix, free in (("", False), ("-parametric", True)):
        for name, column in (("size", "params"), ("compute", "flops")):
            found[name + suffix] = partial(_regress_on_quantity, column=column, free=free)
        for count in range(1, 5):
            found[f"pc-{count}{suffix}"] = partial(_regress_on_components, count=count, free=free)
    return {**found, "family-logistic": _family_logistic, **IN_TIME}


IN_TIME: dict[str, Method] = {
    "best-so-far": best_so_far,
    "latest-median": latest_median,
    "date-logistic": date_logistic,
    "factor-date": factor_date,
}
BASELINES: dict[str, Method] = _methods()
# Those of the literature, and those that read compute: what is compared with unless others are named.
STANDARD: tuple[str, ...] = tuple(name for name in BASELINES if name not in IN_TIME)
