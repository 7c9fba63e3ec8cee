"""Methods compared: coverage of their intervals, their PIT, their scores task by task."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bayes_obscaling.plots import style

_LOST = "#F0B48F"
_UNITS = "(score units)"
_METRICS = {
    "crps": f"CRPS {_UNITS}",
    "mae": f"mean absolute error {_UNITS}",
    "medae": f"median absolute error {_UNITS}",
    "log_score": "log score (negative log density)",
    "interval_score": f"score of the {{}} % interval {_UNITS}",
}


def plot_coverage(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the coverage of the 50, 80, 90 and 95 % intervals against what they promise.

    Parameters
    ----------
    table : DataFrame
        From `bayes_obscaling.evaluation.cells.coverage`.

    Returns
    -------
    Axes
        One line per method with its number of forecasts, all pooled; bars on ours are 95 % intervals from resampling
        whole families. Below the diagonal intervals are too narrow.
    """
    ax = style.new_axes(ax, 5.5, 5.2)
    ax.plot([0.4, 1.0], [0.4, 1.0], color=style.GREY, linestyle=":", linewidth=1.3, label="calibrated", zorder=1.5)
    legend, ours = [], table[table["place"] == 0]
    for line, look in style.line_looks(table).items():
        rows = table[table["line"] == line]
        label = f"{style.method_name(line)} (n = {rows['n'].iloc[0]})"
        legend.append(label)
        ax.plot(rows["level"] / 100, rows["coverage"], label=label, **look)
        if rows["place"].iloc[0] == 0:
            style.family_bars(ax, rows["level"] / 100, rows["low"], rows["high"], look["color"])
    levels = list(dict.fromkeys(table["level"]))
    lowest = float(np.nanmin([0.5, *table["coverage"], *ours["low"]]))
    ax.set_xlim(0.45, 1.0)
    ax.set_ylim(max(lowest - 0.05, -0.02), 1.02)
    ax.set_xticks(np.array(levels) / 100, [f"{level} %" for level in levels])
    ax.set_xlabel("nominal coverage of the interval")
    ax.set_ylabel("observed coverage (share inside)")
    style.tidy(ax, "both")
    style.legend_above(ax, "Coverage of the intervals", *style.rows_of([*legend, "calibrated"], 2))
    bars = "Bars: 95 % intervals from resampling whole families." if len(ours) else ""
    text = f"Below the diagonal, intervals are too narrow. {bars}".strip()
    style.cells_caption(ax, [text], table[table["level"] == levels[0]])
    return ax


def plot_pit(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the histogram of the probability integral transform (PIT) of a method, flat when calibrated.

    Parameters
    ----------
    table : DataFrame
        From `bayes_obscaling.evaluation.cells.pit`.

    Returns
    -------
    Axes
        Forecasts in each bin, and the band in which the counts of a calibrated method fall 95 % of the time if
        forecasts err independently of each other (binomial).
    """
    first, total, band = table.iloc[0], table["n"].sum(), "95 % of counts when calibrated"
    ax = style.new_axes(ax, 6.0, 4.2)
    look: style.Look = {"align": "edge", "color": style.SHADES[0.8], "edgecolor": "white"}
    ax.bar(table["left"], table["n"], width=table["right"] - table["left"], label="forecasts", zorder=2, **look)
    ax.axhspan(first["low"], first["high"], color="0.4", alpha=0.25, linewidth=0, label=band, zorder=2.5)
    ax.axhline(first["expected"], color="0.25", linestyle="--", linewidth=1.2, label="expected", zorder=3)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.08 * max(table["n"].max(), first["high"]))
    ax.set_xlabel("PIT (share of the forecast below the observed score)")
    ax.set_ylabel("number of forecasts")
    style.tidy(ax, "y")
    style.legend_above(
        ax, f"{style.method_name(first['method'])}: PIT of {total} forecasts", ["forecasts", "expected", band]
    )
    text = (
        "High ends: intervals too narrow; high middle: too wide; more on the left: forecasts too high, on the right: "
        "too low. Forecasts of one family err together, so that even the counts of a calibrated method leave the band "
        "more often."
    )
    style.cells_caption(ax, [text], table)
    return ax


def plot_forest(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the score of each method on each task, one row per task.

    Parameters
    ----------
    table : DataFrame
        From `bayes_obscaling.evaluation.cells.by_task`.
    ax : Axes, optional
        Where to draw; default a new figure, as high as the number of tasks asks for.

    Returns
    -------
    Axes
        Rows in the order of the table, under a heading for each setup where there are several. A bar joins ours and the
        best baseline: blue where ours is better. A method without a forecast of some of the models that others forecast
        is drawn hollow and not compared.
    """
    heights, ticks, headings = _rows(table)
    table = table.assign(height=[heights[key] for key in zip(table["setup"], table["task"], strict=True)])
    total, label = len(heights) + len(headings), _metric_label(table["metric"].iloc[0])
    ax = style.new_axes(ax, 8.0, 2.0 + 0.27 * total)
    shown = table[~np.isinf(table["value"])]
    _draw_differences(ax, table)
    methods = _draw_methods(ax, shown)
    look: style.Look = {"fontsize": 8, "fontweight": "bold", "va": "center"}
    for height, text in headings.items():
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        ax.text(0.0, height, text, transform=ax.get_yaxis_transform(), gid="heading", bbox=box, **look)
    ax.set_yticks(list(ticks), list(ticks.values()), fontsize=8)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(total - 0.4, -0.6)
    if (shown["value"] > 0).all():
        style.log_axis(ax, shown["value"])
    ax.set_xlabel(f"{label}, lower is better")
    style.tidy(ax, "both")
    ax.spines["left"].set_visible(False)
    legend = [name for name in methods if name in ax.get_legend_handles_labels()[1]]
    style.legend_above(ax, style.capitalised(f"{label.partition(' (')[0]} by task"), *style.rows_of(legend, 5))
    style.cells_caption(ax, [_forest_text(table)], table)
    return ax


def _metric_label(metric: str) -> str:
    name, _, level = metric.rpartition("_")
    return _METRICS[name].format(level) if name == "interval_score" else _METRICS[metric]


def _draw_differences(ax: Axes, table: pd.DataFrame) -> None:
    """Draw bars from ours to the best rival."""
    for row in table.dropna(subset="rival").itertuples():
        if np.isfinite([row.value, row.rival]).all():
            colour = style.SHADES[0.8] if row.value < row.rival else _LOST
            ax.hlines(row.height, row.value, row.rival, color=colour, linewidth=4, zorder=2, gid="difference")


def _draw_methods(ax: Axes, table: pd.DataFrame) -> list[str]:
    """Draw markers, ours over the others, and return the methods in the order of a legend."""
    places = table.drop_duplicates("method").sort_values(["place", "method"])[["method", "place"]]
    for method, place in [*places[places["place"] > 0].to_numpy(), *places[places["place"] == 0].to_numpy()]:
        for whole, rows in table[table["method"] == method].groupby("whole"):
            look = style.method_look(method) | {"linestyle": "none", "markersize": 5.5 if place else 7}
            look |= (
                {"label": style.method_name(method)}
                if whole
                else {"markerfacecolor": "white", "label": f"_{method}, other models"}
            )
            ax.plot(rows["value"], rows["height"], zorder=3 if place else 4, **look)
    return [style.method_name(method) for method in places["method"]]


def _forest_text(table: pd.DataFrame) -> str:
    judged, infinite = table.dropna(subset="rival"), table[np.isinf(table["value"])]
    text = []
    if len(judged):
        won, ours = int((judged["value"] < judged["rival"]).sum()), style.method_name(judged["method"].iloc[0])
        text.append(f"Blue bar: {ours} is better than all others, {won} of {len(judged)} rows; orange bar: not.")
    if not table["whole"].all():
        text.append("Hollow: not all models of the row are forecast, hence not compared.")
    if len(infinite):
        far = [f"{name} ({n})" for name, n in infinite["method"].value_counts().items()]
        text.append(f"Infinite in some rows, not drawn: {', '.join(far)}.")
    return " ".join(text)


def _rows(table: pd.DataFrame) -> tuple[dict[tuple[str, str], int], dict[int, str], dict[int, str]]:
    """Heights of the rows of setups and tasks, their labels, and the headings between them."""
    heights: dict[tuple[str, str], int] = {}
    ticks: dict[int, str] = {}
    headings: dict[int, str] = {}
    at, several = 0, table["setup"].nunique() > 1
    for setup, group in table.groupby("setup", sort=False):
        if several:
            headings[at] = str(setup)
            at += 1
        for task in dict.fromkeys(group["task"]):
            heights[str(setup), task], ticks[at] = at, str(task)
            at += 1
    return heights, ticks, headings
