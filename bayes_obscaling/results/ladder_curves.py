"""Tables of a ladder's two curves: the loss along size or tokens, the accuracy along the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from bayes_obscaling.errors import InputError
from bayes_obscaling.results.convergence import Convergence
from bayes_obscaling.results.curves import curve_quantiles
from bayes_obscaling.results.finding import Answer
from bayes_obscaling.results.fit import LadderFit
from bayes_obscaling.results.scenario import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayes_obscaling.data import Ladder

_POINTS = 50
_FEWEST_RUNS = 3  # of one size, or one ratio, that a curve is drawn for


@dataclass(frozen=True, eq=False, repr=False)
class LadderCurve(Answer):
    """Expected loss or accuracy of a task, with the runs around it.

    Attributes
    ----------
    table : DataFrame
        One row per curve and point: what the curve runs along (``params``, ``tokens`` or ``loss``), ``median, q5, q25,
        q75, q95``. Of losses also ``curve`` (a number) and ``fixed``, what is the same along the curve: tokens per
        parameter, or the number of parameters.
    runs : DataFrame
        One row per run with the columns ``run, params, tokens, loss, accuracy`` and ``seen`` (by the fit); of losses
        also ``curve``, the one that the run belongs to (NaN for none).
    along : {"params", "tokens", "loss"}
        What the curve runs along.
    task : str
        Task.
    feature : str
        What the loss is, as in the spec of the fit.
    convergence : Convergence
        The worst of what is behind the curve.
    problems : tuple of str
        What went wrong in sampling; empty when nothing did.
    """

    table: pd.DataFrame
    runs: pd.DataFrame
    along: Literal["params", "tokens", "loss"]
    task: str
    feature: str
    convergence: Convergence
    problems: tuple[str, ...] = ()

    def to_dataframe(self) -> pd.DataFrame:
        """The curve, or curves."""
        return self.table

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is followed along what."""
        what = "accuracy" if self.along == "loss" else self.feature
        return (f"{self.task}: expected {what} along {self.along}; {len(self.runs)} runs around it.",)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the curve with the runs around it; see `bayes_obscaling.plots.plot_link`."""
        from bayes_obscaling.plots import plot_link, plot_loss

        return (plot_link if self.along == "loss" else plot_loss)(self, ax=ax)


def loss_curves(
    fit: LadderFit, task: str, along: Literal["params", "tokens"] = "params", also: Ladder | None = None
) -> LadderCurve:
    """Expected loss of a task along size (a curve per number of tokens per parameter) or tokens (a curve per size).

    Parameters
    ----------
    fit : LadderFit
        The fit.
    task : str
        Which task.
    along : {"params", "tokens"}
        What the curves run along.
    also : Ladder, optional
        Further runs, which the fit has not seen: those that were left out, say.

    Raises
    ------
    InputError
        For an unknown task, or a fit without a loss.
    """
    at, runs = _task_at(fit, task), fit.ladder.runs
    ratio = (runs["tokens"] / runs["params"]).round(-1).replace(0.0, 10.0)
    fixed = ratio if along == "params" else runs["params"]
    largest = (runs if also is None else also.runs)[along].max()
    table, curve_of = [], pd.Series(np.nan, index=runs.index)
    for number, (value, group) in enumerate(runs.groupby(fixed)):
        if len(group) < _FEWEST_RUNS:
            continue
        curve_of[group.index] = number
        x = np.geomspace(group[along].min(), largest * 3, _POINTS)
        params, tokens = (x, float(value) * x) if along == "params" else (np.full_like(x, float(value)), x)
        points = [Scenario(params=n, tokens=d).as_run() for n, d in zip(params, tokens, strict=True)]
        draws = fit.posterior.expected_loss(points)[:, :, _loss_at(fit, at)]
        table.append(curve_quantiles(along, x, draws).assign(curve=number, fixed=float(value)))
    shown = _runs(fit, at, also)
    shown["curve"] = np.where(shown["seen"], shown["run"].map(curve_of), np.nan)
    curves = pd.concat(table, ignore_index=True) if table else pd.DataFrame(columns=[along, "median", "curve", "fixed"])
    return LadderCurve(curves, shown, along, task, fit.spec.feature, fit.worst_convergence, fit.problems)


def link_curve(fit: LadderFit, task: str, also: Ladder | None = None) -> LadderCurve:
    """Expected accuracy of a task along its loss, to beyond the ladder's smallest loss.

    Parameters and errors as for `loss_curves`.
    """
    at = _task_at(fit, task)
    losses = fit.ladder.matrix(fit.spec.feature)[:, at]
    x = np.linspace(np.nanmin(losses) * 0.8, np.nanmax(losses), _POINTS)
    draws = fit.posterior.expected_accuracy(np.repeat(x[:, None], len(fit.layout.losses), axis=1))[:, :, at]
    table = curve_quantiles("loss", x, draws)
    runs = _runs(fit, at, also)
    return LadderCurve(table, runs, "loss", task, fit.spec.feature, fit.worst_convergence, fit.problems)


def _task_at(fit: LadderFit, task: str) -> int:
    """Position of a task whose loss the fit reads."""
    tasks = list(fit.ladder.tasks.index)
    if task not in tasks:
        raise InputError(f"The ladder has no task {task}: its tasks are {', '.join(tasks)}.")
    if fit.spec.feature == "none":
        raise InputError("This fit goes from compute to accuracy in one step: it has no loss to draw.")
    return tasks.index(task)


def _loss_at(fit: LadderFit, at: int) -> int:
    """Position of a task's loss: the only one, where all tasks share it."""
    return at if len(fit.layout.losses) > 1 else 0


def _runs(fit: LadderFit, at: int, also: Ladder | None) -> pd.DataFrame:
    parts = []
    for ladder, seen in ((fit.ladder, True), (also, False)):
        if ladder is not None:
            frame = ladder.runs[["params", "tokens"]].rename_axis("run").reset_index()
            loss, accuracy = (ladder.matrix(name)[:, at] for name in (fit.spec.feature, "accuracy"))
            parts.append(frame.assign(loss=loss, accuracy=accuracy, seen=seen))
    return pd.concat(parts, ignore_index=True)
