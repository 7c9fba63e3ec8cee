"""The published point forecasts, and two simpler ones, as baselines for backtests.

Every method but the mean is least squares of one curve, ``base + span * sigmoid(limit) * sigmoid(design @ weights)``,
possibly with ridge penalties: principal components, compute or size give the design, and families add intercepts.
Intervals come from a parametric bootstrap: refit to the fitted values plus noise, then add the noise of an evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from bayes_obscaling.data.splits import Split
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError

IMPUTATION_ROUNDS = 1000
# Family logistic: weak normal priors (mean, sd) in logits for the intercept at mean compute, the slope per decade of
# compute and the ceiling (3 is 95 % of the way from chance to 1), and the range of the between-family sd in logits.
INTERCEPT, SLOPE, CEILING = (0.0, 10.0), (0.0, 5.0), (3.0, 1.5)
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
        - ``family-logistic``: sigmoid in log10 FLOPs with a family intercept shrunk to the population, one slope and
          a free ceiling. A family without seen scores has the population's intercept, uncertain by the spread of
          families.
    table : ScoreTable
        The scores. Principal components are taken of its benchmarks less those that the task ``excludes``.
    task : str
        Task or benchmark to forecast, or an alias.
    split : Split
        Whose scores on the task are never read. With ``hides="all"`` the benchmark scores of held-out models are not
        read either, so that principal components cannot forecast; neither do they forecast a benchmark.
    draws : int
        Number of predictive draws, each of one bootstrap replicate (200 in the literature).
    seed : int
        Seed of the draws.

    Returns
    -------
    BaselineForecast

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
        raise InputError(f"There is no baseline {method!r}: choose one of {', '.join(BASELINES)}.")
    if draws < 0:
        raise InputError(f"The number of draws is {draws}: give 0 or more.")
    question = _Question(method, table, table.resolve(task), split)
    point, sample = BASELINES[method](question, draws, np.random.default_rng(seed))
    models = question.held_out
    return BaselineForecast(
        method,
        pd.Series(point, index=models, name="score"),
        pd.DataFrame(np.clip(sample, 0, 1), index=pd.RangeIndex(draws, name="draw"), columns=models) if draws else None,
    )


Answer: TypeAlias = tuple[np.ndarray, np.ndarray]  # point (model,), draws (draw, model)
Method: TypeAlias = Callable[["_Question", int, np.random.Generator], Answer]


@dataclass(frozen=True)
class _Question:
    """What is to be forecast, and all of the table that may be looked at."""

    method: str
    table: ScoreTable
    task: str
    split: Split

    @cached_property
    def models(self) -> pd.DataFrame:
        return self.table.models

    @cached_property
    def held_out(self) -> pd.Index:
        held_out = pd.Index(self.split.held_out, name="model", dtype=object)
        if held_out.empty:
            raise InputError(f"The split {self.split.name!r} holds out no model: there is nothing to forecast.")
        unknown = held_out.difference(self.models.index)
        if len(unknown):
            raise InputError(f"Held-out model {unknown[0]!r} is not in the table: make the split from the same table.")
        return held_out

    @cached_property
    def scores(self) -> pd.Series:
        """Seen scores on the task, by model."""
        scores = self.table.matrix([self.task])[self.task]
        return scores[~scores.index.isin(self.held_out)].dropna()

    @cached_property
    def chance(self) -> float:
        return float(self.table.benchmarks.loc[self.task, "chance"])

    @property
    def predictors(self) -> list[str]:
        """Benchmarks that predict the task; none for a benchmark or where they are hidden."""
        if self.split.hides == "all" or self.task in self.table.benchmark_names:
            return []
        excluded = self.table.benchmarks.loc[self.task, "excludes"]
        return [name for name in self.table.benchmark_names if name not in excluded]

    def require(self, count: int, least: int, what: str = "") -> None:
        if count < least:
            raise InputError(
                f"Only {count} seen models have a score on {self.task}{what}; {self.method} needs {least}: "
                f"hold out fewer models, or leave this baseline out."
            )


# --- methods ----------------------------------------------------------------------------------------------------------


def _mean(question: _Question, draws: int, rng: np.random.Generator) -> Answer:
    scores = question.scores
    question.require(len(scores), 2)
    shape = (draws, len(question.held_out))
    spread = scores.std() * np.sqrt(1 + 1 / len(scores))
    return np.full(shape[1], scores.mean()), scores.mean() + spread * rng.standard_normal(shape)


def _log10(question: _Question, column: str) -> tuple[pd.Series, np.ndarray]:
    """Seen scores of models with a known quantity, and its log10 for all models (seen first, then held out)."""
    amount = np.log10(question.models[column])
    scores = question.scores[amount[question.scores.index].notna()]
    return scores, np.r_[amount[scores.index], amount[question.held_out]]


def _regress_on_quantity(
    question: _Question, draws: int, rng: np.random.Generator, *, column: str, free: bool
) -> Answer:
    """Sigmoid in log10 of params or flops."""
    scores, amount = _log10(question, column)
    question.require(len(scores), 3 + free, f" and known {column}")
    centred = amount - amount[: len(scores)].mean()
    return _regress(centred[:, None], scores.to_numpy(), question.chance, free, draws, rng)


def _regress_on_components(
    question: _Question, draws: int, rng: np.random.Generator, *, count: int, free: bool
) -> Answer:
    """Sigmoid in the first principal components of the benchmarks (Ruan et al. 2024)."""
    if not question.predictors:
        nothing = np.full((draws + 1, len(question.held_out)), np.nan)
        return nothing[0], nothing[1:]
    benchmarks = question.table.matrix(question.predictors)
    scores = question.scores[benchmarks.notna().any(axis=1)[question.scores.index]]
    question.require(len(scores), count + 2 + free, " and benchmarks")
    train, new = benchmarks.loc[scores.index], benchmarks.loc[question.held_out]
    measured = train.columns[train.notna().any()]
    if len(measured) < count:
        raise InputError(f"{question.method} needs {count} benchmarks with scores: the table has {len(measured)}.")
    components = components_of(train[measured].to_numpy(), new[measured].to_numpy(), count)
    return _regress(components, scores.to_numpy(), question.chance, free, draws, rng)


def fill_scores(scores: np.ndarray) -> tuple[np.ndarray, StandardScaler, PCA]:
    """Impute missing scores by one principal component, as Ruan et al. (2024) do.

    Parameters
    ----------
    scores : array (models, benchmarks)
        NaN where missing.

    Returns
    -------
    filled : array (models, benchmarks)
        Scaled to mean 0 and sd 1 over the observed scores, missing ones at their one-component reconstruction.
    scaler, axis
        How they were scaled, and the component; ``scaler.inverse_transform(filled)`` are scores again.
    """
    scaler = StandardScaler().fit(scores)
    scaled = scaler.transform(scores)
    axis, filled = PCA(1), np.nan_to_num(scaled)
    for _ in range(IMPUTATION_ROUNDS):
        before = filled
        filled = np.where(np.isnan(scaled), axis.inverse_transform(axis.fit_transform(before)), scaled)
        if np.abs(filled - before).max() < 1e-10:
            break
    return filled, scaler, axis


def components_of(train: np.ndarray, new: np.ndarray, count: int) -> np.ndarray:
    """Principal component scores (train rows, then new rows; count), NaN for a new row without any score."""
    filled, scaler, axis = fill_scores(train)
    scaled_new = scaler.transform(new)
    filled_new = np.where(np.isnan(scaled_new), _rank_one(axis, scaled_new), scaled_new)
    pca = PCA(count).fit(scaler.inverse_transform(filled))
    rows = scaler.inverse_transform(np.vstack([filled, filled_new]))
    return (rows - pca.mean_) @ pca.components_.T


def _rank_one(axis: PCA, rows: np.ndarray) -> np.ndarray:
    """Where repeated reconstruction of the missing cells of each row by one fixed component ends."""
    observed, loading = ~np.isnan(rows), axis.components_[0]
    weight = observed @ loading**2
    position = np.where(observed, rows - axis.mean_, 0) @ loading / np.where(weight > 0, weight, np.nan)
    return np.outer(position, loading) + axis.mean_


def _family_logistic(question: _Question, draws: int, rng: np.random.Generator) -> Answer:
    """Sigmoid in log10 FLOPs with ridge family intercepts, one slope, and a free ceiling above a known chance."""
    scores, compute = _log10(question, "flops")
    question.require(len(scores), 4, " and known flops")
    n, order = len(scores), [*scores.index, *question.held_out]
    family = pd.Categorical(question.models.loc[order, "family"])
    member = np.eye(len(family.categories))[family.codes]
    design = np.column_stack([np.ones(len(order)), compute - compute[:n].mean(), member])
    curve = Curve(base=question.chance, span=1 - question.chance, free=True)
    y = scores.to_numpy()

    weights, noise, family_sd = _choose_ridge(curve, design[:n], y)
    penalty = _family_penalty(member.shape[1], family_sd)
    point = curve.at(weights, design[n:])[0]
    # The penalties are observations too. Resampled with the scores, they leave a family with few scores as uncertain
    # as it is, and one with none as uncertain as the spread of families.
    replicates = _bootstrap(curve, design[:n], weights, noise, penalty, draws, rng)
    sample = curve.at(replicates, design[n:]) + noise * rng.standard_normal((draws, len(point)))
    return point, sample


def _family_penalty(families: int, family_sd: float) -> _Penalty:
    """Priors of the intercept, the slope, each family's offset and the ceiling."""
    mean, sd = np.array([INTERCEPT, SLOPE, *[(0.0, family_sd)] * families, CEILING]).T
    return _Penalty(mean, sd)


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
    return {**found, "family-logistic": _family_logistic}


BASELINES: dict[str, Method] = _methods()


# --- the curve, its least squares and its bootstrap -------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """``base + span * sigmoid(limit) * sigmoid(design @ weights)``; the last parameter is the limit if it is free.

    With base 1 and a negative span the limit is a floor; with base chance and a positive span, a ceiling.
    """

    base: float
    span: float
    free: bool

    def at(self, parameters: np.ndarray, design: np.ndarray) -> np.ndarray:
        """Values (batch, row) of parameters (batch, parameter) on a design (row, weight)."""
        height, shape = self._parts(parameters, design)
        return self.base + height * shape

    def with_slope(self, parameters: np.ndarray, design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (batch, row) and their derivatives (batch, row, parameter)."""
        height, shape = self._parts(parameters, design)
        slope = (height * shape * (1 - shape))[:, :, None] * design
        if self.free:
            limit = height * shape * expit(-parameters[:, -1:])
            slope = np.concatenate([slope, limit[:, :, None]], axis=2)
        return self.base + height * shape, slope

    def _parts(self, parameters: np.ndarray, design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height = self.span * (expit(parameters[:, -1:]) if self.free else np.ones((len(parameters), 1)))
        return height, expit(parameters[:, : design.shape[1]] @ design.T)


@dataclass(frozen=True)
class _Penalty:
    """Independent normal priors of all parameters: mean and sd (parameter,)."""

    mean: np.ndarray
    sd: np.ndarray


def _regress(
    features: np.ndarray, y: np.ndarray, chance: float, free: bool, draws: int, rng: np.random.Generator
) -> Answer:
    """Least squares of the sigmoid from chance (or a free floor) to 1, and its bootstrap.

    `features` (row, feature) are those of the models of `y`, then those of the models to forecast.
    """
    design = np.column_stack([np.ones(len(features)), features])
    seen, new = design[: len(y)], design[len(y) :]
    curve = Curve(base=1.0, span=chance - 1, free=free)
    parameters = fit_curve(curve, seen, y, curve_starts(curve, seen, y))
    error = y - curve.at(parameters, seen)[0]
    noise = float(np.sqrt((error**2).sum() / (len(y) - parameters.shape[1])))
    replicates = _bootstrap(curve, seen, parameters, noise, None, draws, rng)
    sample = curve.at(replicates, new) + noise * rng.standard_normal((draws, len(new)))
    return curve.at(parameters, new)[0], sample


def curve_starts(curve: Curve, design: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Start values (start, parameter): the linear regression of logits, shrunk in steps, by high and low limits."""
    logits = logit(np.clip((y - curve.base) / curve.span, 0.02, 0.98))
    weights = np.outer([1.0, 0.3, 0.0], np.linalg.lstsq(design, logits, rcond=None)[0])
    if not curve.free:
        return weights
    return np.vstack([np.column_stack([weights, np.full(len(weights), limit)]) for limit in (5.0, 0.0)])


def fit_curve(
    curve: Curve,
    design: np.ndarray,
    y: np.ndarray,
    starts: np.ndarray,
    noise: float = 1.0,
    penalty: _Penalty | None = None,
) -> np.ndarray:
    """Best parameters (1, parameter) from several starts."""
    fitted, cost = _least_squares(_residuals(curve, design, y, noise, penalty), starts)
    return fitted[[np.argmin(cost)]]


def _bootstrap(
    curve: Curve,
    design: np.ndarray,
    parameters: np.ndarray,
    noise: float,
    penalty: _Penalty | None,
    draws: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Parameters (draw, parameter) refitted to the fitted values plus noise; so with the means of the penalty."""
    y = curve.at(parameters, design) + noise * rng.standard_normal((draws, len(design)))
    if penalty is not None:
        shifts = penalty.sd * rng.standard_normal((draws, len(penalty.sd)))
        penalty = _Penalty(parameters + shifts, penalty.sd)
    residuals = _residuals(curve, design, y, noise or 1.0, penalty)
    best, cost = _least_squares(residuals, np.repeat(parameters, draws, axis=0), rounds=60)
    if penalty is None:  # several optima: look for a flatter one too
        other, other_cost = _least_squares(residuals, np.repeat(0.3 * parameters, draws, axis=0), rounds=60)
        best = np.where((other_cost < cost)[:, None], other, best)
    return best


def _residuals(
    curve: Curve, design: np.ndarray, y: np.ndarray, noise: float, penalty: _Penalty | None
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Scaled residuals (batch, row) and derivatives (batch, row, parameter) as a function of the parameters."""

    def residuals(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = curve.with_slope(parameters, design)
        rows, slopes = (value - y) / noise, slope / noise
        if penalty is None:
            return rows, slopes
        prior = np.broadcast_to(np.diag(1 / penalty.sd), (len(parameters), len(penalty.sd), len(penalty.sd)))
        return (
            np.concatenate([rows, (parameters - penalty.mean) / penalty.sd], axis=1),
            np.concatenate([slopes, prior], axis=1),
        )

    return residuals


def _least_squares(
    residuals: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], start: np.ndarray, rounds: int = 500
) -> tuple[np.ndarray, np.ndarray]:
    """Levenberg-Marquardt for a batch at once: parameters (batch, parameter) and sums of squares (batch,)."""
    parameters = start.copy()
    rows, slopes = residuals(parameters)
    cost = (rows**2).sum(axis=1)
    damping = np.full(len(start), 1e-3)
    eye = np.eye(start.shape[1])
    for _ in range(rounds if len(start) else 0):
        squares = slopes.transpose(0, 2, 1) @ slopes
        scale = np.einsum("bii->bi", squares)
        scale = scale + 1e-9 * scale.max(axis=1, keepdims=True) + 1e-30
        gradient = (slopes.transpose(0, 2, 1) @ rows[:, :, None])[:, :, 0]
        step = np.linalg.solve(squares + eye * (damping[:, None] * scale)[:, None, :], gradient[:, :, None])[:, :, 0]
        trial_rows, trial_slopes = residuals(parameters - step)
        trial_cost = (trial_rows**2).sum(axis=1)
        better = trial_cost < cost
        settled = np.where(better, cost - trial_cost < 1e-13 * cost, damping > 1e10)
        parameters = np.where(better[:, None], parameters - step, parameters)
        rows = np.where(better[:, None], trial_rows, rows)
        slopes = np.where(better[:, None, None], trial_slopes, slopes)
        cost = np.where(better, trial_cost, cost)
        damping = np.clip(np.where(better, damping / 5, damping * 4), 1e-12, 1e12)
        if settled.all():
            break
    return parameters, cost
