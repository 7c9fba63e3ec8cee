"""Plots of ladders: the loss in size and tokens, the link from loss to accuracy, the chained forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from bayes_obscaling.errors import InputError
from bayes_obscaling.plots.style import BLUE, SHADES, VERMILLION, new_axes, tidy, verdict
from bayes_obscaling.results.ladder import LadderFit
from bayes_obscaling.results.ladder_forecast import LadderForecast, Target, World

if TYPE_CHECKING:
    from bayes_obscaling.data import Ladder

_GRID = 50
_BANDS = ((0.9, 5, 95), (0.5, 25, 75))
_MARKERS = "osD^vP*X"


def plot_ladder_forecast(forecast: LadderForecast, quantity: str = "accuracy", ax: Axes | None = None) -> Axes:
    """Draw medians with 50 and 90 % intervals of every task, one marker a target.

    Parameters
    ----------
    forecast : LadderForecast
        What to draw.
    quantity : {"accuracy", "loss", "accuracy_given_loss"}
        Which forecast.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        When the forecast does not have the quantity.
    """
    table = forecast.summary()
    rows = table[table["quantity"] == quantity]
    if rows.empty:
        raise InputError(f"This forecast has no {quantity}: it has {', '.join(table['quantity'].unique())}.")
    tasks, targets = list(rows["task"].unique()), list(rows["target"].unique())
    ax = new_axes(ax, 7.5, 0.9 + 0.55 * len(tasks))
    for at, target in enumerate(targets):
        here = rows[rows["target"] == target].set_index("task").loc[tasks]
        y = np.arange(len(tasks)) + 0.25 * (at - (len(targets) - 1) / 2)
        ax.hlines(y, here["q5"], here["q95"], color=SHADES[0.8], linewidth=2)
        ax.hlines(y, here["q25"], here["q75"], color=BLUE, linewidth=4)
        marker = _MARKERS[at % len(_MARKERS)]
        ax.plot(here["median"], y, marker, color="white", markeredgecolor="black", markersize=6, label=target)
    ax.set_yticks(range(len(tasks)), tasks)
    ax.invert_yaxis()
    ax.set_xlabel(f"{quantity.replace('_', ' ')} (median, 50 and 90 % intervals)")
    ax.set_title(verdict(forecast.fit.convergence, forecast.problems), fontsize=7, loc="left", wrap=True)
    ax.legend(frameon=False)
    tidy(ax, "x")
    return ax


def plot_loss(
    fit: LadderFit, task: str, along: str = "params", also: Ladder | None = None, ax: Axes | None = None
) -> Axes:
    """Draw a task's expected loss against size (a curve a Chinchilla multiple) or tokens (a curve a size), with bands.

    Parameters
    ----------
    fit : LadderFit
        The fit.
    task : str
        Which task.
    along : {"params", "tokens"}
        What runs along the axis.
    also : Ladder, optional
        Further runs to show, as open markers: those that were left out, say.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        For an unknown task, or a fit without a loss.
    """
    task_at = _task_at(fit, task)
    world, runs = World(fit), fit.ladder.runs
    if fit.spec.feature == "none":
        raise InputError("This fit goes from compute to accuracy in one step: it has no loss to draw.")
    ax = new_axes(ax, 6.5, 4.5)
    fixed = "tokens" if along == "params" else "params"
    of_ratio = (runs["tokens"] / runs["params"]).round(-1).replace(0.0, 10.0)
    key = of_ratio if fixed == "tokens" else runs["params"]
    everything = also.runs if also is not None else runs
    for at, (value, group) in enumerate(runs.groupby(key)):
        if len(group) < 3:
            continue
        x = np.geomspace(group[along].min(), everything[along].max() * 3, _GRID)
        targets = [
            Target("", size, float(value) * size) if along == "params" else Target("", float(value), size) for size in x
        ]
        loss_at = task_at if world.n_losses > 1 else 0
        curves = np.stack([np.exp(world.log_law(t)[:, loss_at]) for t in targets], axis=1) * world.unit[loss_at]
        label = f"{value:.0f} tokens a parameter" if along == "params" else f"N = {value:.3g}"
        _band(ax, x, curves, f"C{at}", label)
        losses = fit.ladder.matrix(fit.spec.feature)[:, task_at]
        ax.plot(group[along], losses[runs.index.isin(group.index)], "o", color=f"C{at}", markersize=4)
    if also is not None:
        ax.plot(also.runs[along], also.matrix(fit.spec.feature)[:, task_at], "D", markerfacecolor="white",
                markeredgecolor=VERMILLION, label="left out")  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlabel("parameters N" if along == "params" else "training tokens D")
    ax.set_ylabel(f"{task}: {fit.spec.feature}")
    ax.legend(frameon=False, fontsize=8)
    tidy(ax, "both")
    return ax


def plot_link(fit: LadderFit, task: str, also: Ladder | None = None, ax: Axes | None = None) -> Axes:
    """Draw a task's accuracy against its loss, with bands that widen beyond the ladder's smallest loss.

    Parameters
    ----------
    fit, task, also, ax
        As in `plot_loss`.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        For an unknown task, or a fit without a loss.
    """
    task_at = _task_at(fit, task)
    if fit.spec.feature == "none":
        raise InputError("This fit goes from compute to accuracy in one step: it has no loss to draw.")
    world = World(fit)
    ax = new_axes(ax, 6.5, 4.5)
    losses = fit.ladder.matrix(fit.spec.feature)[:, task_at]
    x = np.linspace(np.nanmin(losses) * 0.8, np.nanmax(losses), _GRID)
    loss_at = task_at if world.n_losses > 1 else 0
    unit = world.unit[loss_at]
    curves = np.stack(
        [world.curve(np.full((world.count, world.n_losses), value / unit))[:, task_at] for value in x], axis=1
    )
    _band(ax, x, curves, BLUE, "link")
    ax.axvline(np.nanmin(losses), color="0.6", linestyle=":", label="smallest loss of the ladder")
    ax.plot(losses, fit.ladder.matrix("accuracy")[:, task_at], "o", color="black", markersize=4, label="runs")
    if also is not None:
        ax.plot(also.matrix(fit.spec.feature)[:, task_at], also.matrix("accuracy")[:, task_at], "D",
                markerfacecolor="white", markeredgecolor=VERMILLION, label="left out")  # fmt: skip
    ax.invert_xaxis()
    ax.set_xlabel(f"{fit.spec.feature} (falls to the right)")
    ax.set_ylabel(f"{task}: accuracy")
    ax.legend(frameon=False, fontsize=8)
    tidy(ax, "both")
    return ax


def _task_at(fit: LadderFit, task: str) -> int:
    tasks = list(fit.ladder.tasks.index)
    if task not in tasks:
        raise InputError(f"The ladder has no task {task}: its tasks are {', '.join(tasks)}.")
    return tasks.index(task)


def _band(ax: Axes, x: np.ndarray, curves: np.ndarray, colour: Any, label: str) -> None:
    for share, low, high in _BANDS:
        bottom, top = np.percentile(curves, (low, high), axis=0)
        ax.fill_between(x, bottom, top, color=colour, alpha=0.35 * (1.5 - share), linewidth=0)
    ax.plot(x, np.median(curves, axis=0), color=colour, label=label)
