"""The published point estimate of a model ladder: two least-squares fits, chained (Bhagia et al. 2024)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import OptimizeWarning, curve_fit, minimize
from threadpoolctl import threadpool_limits

from bayes_obscaling.data.ladder import Ladder
from bayes_obscaling.models.ladder_equations import CENTRE_PARAMS, CENTRE_TOKENS
from bayes_obscaling.results.scenario import Scenario

# Of the Huber loss on log residuals (Bhagia et al. 2024, section 3.2; Hoffmann et al. 2022, appendix D.3).
_HUBER_DELTA = 1e-3
# Step 2 leaves out the first tenth of each run's checkpoints and averages over five.
_SKIP, _WINDOW = 0.1, 5
# log A', log B', alpha, beta, E at the centre; other starts were tried and end at the same optimum.
_START = (-1.0, -1.0, 0.3, 0.3, 0.5)


@dataclass(frozen=True, eq=False)
class PointEstimate:
    """Fitted curves of all tasks.

    Attributes
    ----------
    ladder : Ladder
        What was fitted.
    parameters : DataFrame
        Index task; ``ln_A, ln_B, alpha, beta, E`` of ``L = A/N^alpha + B/D^beta + E`` and ``a, L0, k, b`` of
        ``accuracy = a / (1 + exp(-k (L - L0))) + b`` (a < 0).
    loss_sd, accuracy_sd : Series
        Residual sd of the log loss, and of the accuracy given the observed loss, over the final values of the runs,
        with as many degrees of freedom taken off as the curve has parameters (5 and 4).
    """

    ladder: Ladder
    parameters: pd.DataFrame
    loss_sd: pd.Series
    accuracy_sd: pd.Series

    def loss(self, params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Loss at N and D, (models, tasks)."""
        p = {name: self.parameters[name].to_numpy() for name in self.parameters}
        n, d = np.log(np.asarray(params, float))[:, None], np.log(np.asarray(tokens, float))[:, None]
        return np.exp(p["ln_A"] - p["alpha"] * n) + np.exp(p["ln_B"] - p["beta"] * d) + p["E"]

    def accuracy(self, loss: np.ndarray) -> np.ndarray:
        """Accuracy at losses (..., tasks)."""
        p = self.parameters
        return _sigmoid(loss, *(p[name].to_numpy() for name in ("a", "L0", "k", "b")))

    def predict(self, scenarios: Sequence[Scenario]) -> pd.DataFrame:
        """Point predictions: ``model, task, loss, accuracy``."""
        loss = self.loss(np.array([s.params for s in scenarios]), np.array([s.tokens for s in scenarios]))
        accuracy = self.accuracy(loss)
        tasks = self.parameters.index
        return pd.DataFrame(
            {
                "model": np.repeat([s.name for s in scenarios], len(tasks)),
                "task": np.tile(tasks, len(scenarios)),
                "loss": loss.ravel(),
                "accuracy": accuracy.ravel(),
            }
        )

    def draws(
        self, scenarios: Sequence[Scenario], true_loss: np.ndarray | None = None, count: int = 4000, seed: int = 0
    ) -> dict[str, np.ndarray]:
        """Predictive draws with residual noise: what an honest user of the point estimate could say.

        Parameters
        ----------
        scenarios : sequence of Scenario
            The models, with params and tokens.
        true_loss : array (scenarios, tasks), optional
            Their losses, if known: adds ``accuracy_given_loss``.
        count, seed : int
            Draws, and their seed.

        Returns
        -------
        dict of arrays (count, scenarios, tasks)
            ``loss, accuracy`` (chained: the noise of the loss goes through the sigmoid).
        """
        rng = np.random.default_rng(seed)
        loss = self.loss(np.array([s.params for s in scenarios]), np.array([s.tokens for s in scenarios]))
        shape = (count, *loss.shape)
        noise = self.accuracy_sd.to_numpy() * rng.standard_normal(shape)
        losses = loss * np.exp(self.loss_sd.to_numpy() * rng.standard_normal(shape))
        drawn = {"loss": losses, "accuracy": np.clip(self.accuracy(losses) + noise, 0.0, 1.0)}
        if true_loss is not None:
            drawn["accuracy_given_loss"] = np.clip(self.accuracy(true_loss) + noise, 0.0, 1.0)
        return drawn


def fit_point_estimate(ladder: Ladder) -> PointEstimate:
    """Fit the published point estimate to every task of a ladder.

    Step 1 minimises a Huber loss (delta 1e-3) on log residuals with L-BFGS, here at centred N and D, where the optimum
    of the published code is found in milliseconds. Step 2 is least squares over all checkpoints but the first tenth of
    each run, as moving averages of five, with the published pseudo-point (loss 0, accuracy 1); a ladder without
    checkpoints uses its final values.

    Parameters
    ----------
    ladder : Ladder
        At least 3 sizes and 3 token counts.

    Raises
    ------
    InputError
        When the ladder has too few rungs.
    """
    ladder.check_rungs()
    runs = ladder.runs
    n = np.log(runs["params"].to_numpy() / CENTRE_PARAMS)
    d = np.log(runs["tokens"].to_numpy() / CENTRE_TOKENS)
    losses, accuracies = ladder.matrix("task_loss"), ladder.matrix("accuracy")
    rows, loss_sd, accuracy_sd = [], [], []
    for at, task in enumerate(ladder.tasks.index):
        seen = np.isfinite(losses[:, at]) & np.isfinite(accuracies[:, at])
        loss, accuracy = losses[seen, at], accuracies[seen, at]
        chance = float(ladder.tasks.loc[task, "chance"])
        with threadpool_limits(1):  # a handful of parameters: threads of the linear algebra would wait for each other
            ln_a, ln_b, alpha, beta, e = _step_1(n[seen], d[seen], loss)
            link = _step_2(*_points(ladder, task, loss, accuracy), chance)
        fitted = np.exp(ln_a - alpha * n[seen]) + np.exp(ln_b - beta * d[seen]) + e
        loss_sd.append(_residual_sd(np.log(loss / fitted), 5))
        accuracy_sd.append(_residual_sd(accuracy - _sigmoid(loss, *link), 4))
        rows.append([ln_a + alpha * np.log(CENTRE_PARAMS), ln_b + beta * np.log(CENTRE_TOKENS), alpha, beta, e, *link])
    names = ["ln_A", "ln_B", "alpha", "beta", "E", "a", "L0", "k", "b"]
    index = ladder.tasks.index
    return PointEstimate(
        ladder, pd.DataFrame(rows, index=index, columns=names), pd.Series(loss_sd, index), pd.Series(accuracy_sd, index)
    )


def _residual_sd(residual: np.ndarray, parameters: int) -> float:
    return float(np.sqrt((residual**2).sum() / max(len(residual) - parameters, 1)))


def _step_1(n: np.ndarray, d: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Bhagia et al. (2024), eq. 1, at centred logs; scaled so that L-BFGS does not stop early."""
    log_loss = np.log(loss)

    def objective(p: np.ndarray) -> tuple[float, np.ndarray]:
        size, data = np.exp(p[0] - p[2] * n), np.exp(p[1] - p[3] * d)
        fitted = size + data + p[4]
        residual = np.log(fitted) - log_loss
        small = np.abs(residual) <= _HUBER_DELTA
        value = np.where(small, residual**2 / 2, _HUBER_DELTA * (np.abs(residual) - _HUBER_DELTA / 2)).sum()
        slope = np.where(small, residual, _HUBER_DELTA * np.sign(residual)) / fitted
        gradient = [slope @ size, slope @ data, -slope @ (size * n), -slope @ (data * d), slope.sum()]
        return value / _HUBER_DELTA**2, np.array(gradient) / _HUBER_DELTA**2

    bounds = [(None, None), (None, None), (0, None), (0, None), (0, None)]
    options = {"ftol": 1e-13, "gtol": 1e-7, "maxiter": 2000, "maxfun": 2000, "maxls": 100}
    found = minimize(objective, _START, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x)


def _points(ladder: Ladder, task: str, loss: np.ndarray, accuracy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What step 2 is fitted to, with the pseudo-point at loss 0."""
    if ladder.checkpoints is not None:
        along = ladder.checkpoints[ladder.checkpoints["task"] == task]
        parts = []
        for _, run in along.groupby("run"):
            late = run.sort_values("step").iloc[int(np.ceil(_SKIP * len(run))) :]
            parts.append(late[["task_loss", "accuracy"]].rolling(_WINDOW, min_periods=1).mean())
        smooth = pd.concat(parts)
        loss, accuracy = smooth["task_loss"].to_numpy(), smooth["accuracy"].to_numpy()
    return np.append(loss, 0.0), np.append(accuracy, 1.0)


def _step_2(loss: np.ndarray, accuracy: np.ndarray, chance: float) -> np.ndarray:
    """Bhagia et al. (2024), eq. 2."""
    start, bounds = [chance - 1.0, 0.9, 3.0, 1.0], ([-np.inf, 0.0, 0.0, 0.0], [0.0, np.inf, np.inf, 1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # about the covariance, which is not used
        found, _ = curve_fit(_sigmoid, loss, accuracy, p0=start, bounds=bounds, jac=_sigmoid_slope, maxfev=100_000)
    return np.asarray(found)


def _sigmoid(loss: np.ndarray, a: np.ndarray, middle: np.ndarray, k: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(a / (1.0 + np.exp(-k * (loss - middle))) + b)


def _sigmoid_slope(loss: np.ndarray, a: float, middle: float, k: float, b: float) -> np.ndarray:  # noqa: ARG001
    share = 1.0 / (1.0 + np.exp(-k * (loss - middle)))
    bend = a * share * (1.0 - share)
    return np.stack([share, -k * bend, (loss - middle) * bend, np.ones_like(loss)], axis=1)
