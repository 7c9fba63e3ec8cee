"""Plots of ladders: the loss in size and tokens, the link from loss to accuracy, the chained forecast."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import style

if TYPE_CHECKING:
    from bayes_obscaling.results.ladder_curves import LadderCurve
    from bayes_obscaling.results.ladder_forecast import LadderForecast

_BANDS = ((0.9, "q5", "q95"), (0.5, "q25", "q75"))
_LEFT_OUT: style.Look = {"markerfacecolor": "white", "markeredgecolor": style.VERMILLION, "label": "left out"}


def plot_ladder_forecast(forecast: LadderForecast, ax: Axes | None = None, *, quantity: str = "") -> Axes:
    """Draw medians with 50 and 90 % intervals of every task, one marker per model.

    Parameters
    ----------
    forecast : LadderForecast
        From `bayes_obscaling.forecast_ladder`.
    quantity : {"accuracy", "loss", "accuracy_given_loss"}, optional
        Which forecast; default accuracies, losses where there are none.

    Raises
    ------
    InputError
        When the forecast does not have the quantity.
    """
    table = forecast.to_dataframe()
    quantity = quantity or ("accuracy" if "accuracy" in set(table["quantity"]) else "loss")
    rows = table[table["quantity"] == quantity]
    if rows.empty:
        raise InputError(f"This forecast has no {quantity}: it has {', '.join(table['quantity'].unique())}.")
    tasks, models = list(rows["task"].unique()), list(rows["model"].unique())
    ax = style.new_axes(ax, 7.5, 0.9 + 0.55 * len(tasks))
    for at, model in enumerate(models):
        drawn = rows[rows["model"] == model].set_index("task").loc[tasks]
        y = np.arange(len(tasks)) + 0.25 * (at - (len(models) - 1) / 2)
        look = style.SERIES[at % len(style.SERIES)]
        style.whiskers(ax, drawn, y, look["color"])
        ax.plot(drawn["median"], y, linestyle="none", markersize=6, label=model, zorder=3, **look)
    style.name_rows(ax, tasks)
    words = quantity.replace("_", " ")
    ax.set_xlabel(f"{words} (fraction)" if quantity != "loss" else "loss (unit of the ladder)")
    who = models[0] if len(models) == 1 else f"{len(models)} models"
    title = f"Ladder of {len(forecast.fit.ladder.runs)} runs: {words} of {who}"
    style.legend_above(ax, title, *style.rows_of(models, 5))
    text = ["Medians with 50 and 90 % intervals.", *(f"Warning: {warning}" for warning in forecast.warnings[:1])]
    if (more := len(forecast.warnings) - 1) > 0:
        text.append(f"{more} more: see the warnings of the forecast.")
    judgement = style.verdict(forecast.convergence, forecast.problems)
    style.caption(ax, " ".join(text), judgement, forecast.problems)
    return ax


def plot_loss(curves: LadderCurve, ax: Axes | None = None) -> Axes:
    """Draw a task's expected loss against size or tokens, with bands; runs that were left out as open markers.

    Parameters
    ----------
    curves : LadderCurve
        From `bayes_obscaling.results.ladder_curves.loss_curves`.
    """
    ax = style.new_axes(ax, 6.5, 4.5)
    runs, by_size = curves.runs, curves.along == "params"
    labels = []
    for (number, rows), look in zip(curves.table.groupby("curve"), cycle(style.SERIES)):
        value = rows["fixed"].iloc[0]
        labels.append(f"{value:.0f} tokens per parameter" if by_size else f"N = {value:.3g}")
        _draw_curve(ax, rows, curves.along, look["color"], labels[-1])
        own = runs[runs["curve"] == number]
        ax.plot(own[curves.along], own["loss"], linestyle="none", markersize=4, **look)
    left_out = runs[~runs["seen"]]
    if len(left_out):
        ax.plot(left_out[curves.along], left_out["loss"], "D", **_LEFT_OUT)
    ax.set_xscale("log")
    ax.set_xlabel("parameters N" if by_size else "training tokens D")
    ax.set_ylabel(f"{curves.task}: {curves.feature}")
    style.tidy(ax, "both")
    title = f"{curves.task}: loss along {'size' if by_size else 'tokens'}"
    style.legend_above(ax, title, *style.rows_of([*labels, _LEFT_OUT["label"]], 3))
    _write_caption(ax, curves, "Curves: medians with 50 and 90 % bands. Markers: runs.")
    return ax


def plot_link(curve: LadderCurve, ax: Axes | None = None) -> Axes:
    """Draw a task's accuracy against its loss, with bands that widen beyond the ladder's smallest loss.

    Parameters
    ----------
    curve : LadderCurve
        From `bayes_obscaling.results.ladder_curves.link_curve`.
    """
    ax = style.new_axes(ax, 6.5, 4.5)
    seen, left_out = (curve.runs[part] for part in (curve.runs["seen"], ~curve.runs["seen"]))
    _draw_curve(ax, curve.table, "loss", style.BLUE, "link")
    smallest = "smallest loss of the ladder"
    ax.axvline(seen["loss"].min(), color="0.6", linestyle=":", label=smallest)
    ax.plot(seen["loss"], seen["accuracy"], "o", color="black", markersize=4, label="runs")
    if len(left_out):
        ax.plot(left_out["loss"], left_out["accuracy"], "D", **_LEFT_OUT)
    ax.invert_xaxis()
    ax.set_xlabel(f"{curve.feature} (falls to the right)")
    ax.set_ylabel(f"{curve.task}: accuracy")
    style.tidy(ax, "both")
    legend = [["link", "runs"], [smallest, _LEFT_OUT["label"]]]
    style.legend_above(ax, f"{curve.task}: accuracy along the loss", *legend)
    _write_caption(ax, curve, "Link: median with 50 and 90 % bands.")
    return ax


def _write_caption(ax: Axes, curve: LadderCurve, text: str) -> None:
    style.caption(ax, text, style.verdict(curve.convergence, curve.problems), curve.problems)


def _draw_curve(ax: Axes, table: pd.DataFrame, along: str, colour: str, label: str) -> None:
    for share, low, high in _BANDS:
        opacity = 0.35 * (1.5 - share)
        ax.fill_between(table[along], table[low], table[high], color=colour, alpha=opacity, linewidth=0)
    ax.plot(table[along], table["median"], color=colour, label=label)
