"""One sigmoid curve: its least squares, many at once, and its parametric bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit


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
class Penalty:
    """Independent normal priors of all parameters: mean and sd (parameter,)."""

    mean: np.ndarray
    sd: np.ndarray


def regress(
    features: np.ndarray, y: np.ndarray, chance: float, free: bool, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Least squares of the sigmoid from chance (or a free floor) to 1, and its bootstrap.

    `features` (row, feature) are those of the models of `y`, then those of the models to forecast.
    """
    design = np.column_stack([np.ones(len(features)), features])
    seen, new = design[: len(y)], design[len(y) :]
    curve = Curve(base=1.0, span=chance - 1, free=free)
    parameters = fit_curve(curve, seen, y, curve_starts(curve, seen, y))
    error = y - curve.at(parameters, seen)[0]
    noise = float(np.sqrt((error**2).sum() / (len(y) - parameters.shape[1])))
    replicates = bootstrap(curve, seen, parameters, noise, None, draws, rng)
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
    penalty: Penalty | None = None,
) -> np.ndarray:
    """Best parameters (1, parameter) from several starts."""
    fitted, cost = _least_squares(_residuals(curve, design, y, noise, penalty), starts)
    return fitted[[np.argmin(cost)]]


def bootstrap(
    curve: Curve,
    design: np.ndarray,
    parameters: np.ndarray,
    noise: float,
    penalty: Penalty | None,
    draws: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Parameters (draw, parameter) refitted to the fitted values plus noise; so with the means of the penalty."""
    y = curve.at(parameters, design) + noise * rng.standard_normal((draws, len(design)))
    if penalty is not None:
        shifts = penalty.sd * rng.standard_normal((draws, len(penalty.sd)))
        penalty = Penalty(parameters + shifts, penalty.sd)
    residuals = _residuals(curve, design, y, noise or 1.0, penalty)
    best, cost = _least_squares(residuals, np.repeat(parameters, draws, axis=0), rounds=60)
    if penalty is None:  # several optima: look for a flatter one too
        other, other_cost = _least_squares(residuals, np.repeat(0.3 * parameters, draws, axis=0), rounds=60)
        best = np.where((other_cost < cost)[:, None], other, best)
    return best


def _residuals(
    curve: Curve, design: np.ndarray, y: np.ndarray, noise: float, penalty: Penalty | None
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
