"""Forecasts as the cutoff, or the as-of date, is pulled back: of one model, errors, who was expected to pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import style

_FAILING = "#FBE3D6"


class _Cuts(NamedTuple):
    """What plots say of compute cutoffs, or of as-of dates; widths are in decades, or in days."""

    column: str
    name: str
    axis: str
    fact: str  # of a model, that stands on the same axis
    fact_name: str
    who: str  # is forecast
    one_end: str
    other_end: str
    lines_end: str  # of single models
    half: float  # of a band over a single cut
    gap: float  # to the right of the cuts, up to which a model's own place is marked


_BY_COMPUTE = _Cuts(
    column="cutoff",
    name="cutoff",
    axis="compute cutoff (log10 FLOPs)",
    fact="flops",
    fact_name="compute",
    who="Models above the cutoff",
    one_end="lowest",
    other_end="highest",
    lines_end="below the model's own compute",
    half=0.05,
    gap=0.5,
)
_BY_DATE = _Cuts(
    column="as_of",
    name="as-of date",
    axis="as-of date",
    fact="date",
    fact_name="release",
    who="Models released since",
    one_end="first",
    other_end="last",
    lines_end="before the model's release",
    half=15.0,
    gap=150.0,
)
# By how far ahead a forecast is: the column of bins, what it is of, its unit, and what a model lacks without it.
_AHEAD = {
    "distance": ("distance beyond the cutoff", "decades of compute", "decades", "compute"),
    "months_ahead": ("months ahead", "from the as-of date or the latest model seen", "months", "release date"),
}
_LEVEL_LOOKS: dict[int, style.Look] = {
    50: {"color": style.GREEN, "marker": "s"},
    80: {"color": style.ORANGE, "marker": "^"},
    90: {"color": style.BLUE, "marker": "o"},
    95: {"color": "black", "marker": "D"},
}


def _cuts_of(table: pd.DataFrame) -> _Cuts:
    return _BY_DATE if _BY_DATE.column in table else _BY_COMPUTE


def _on_axis(cuts: _Cuts, values: pd.Series) -> np.ndarray:
    """Where cutoffs or FLOPs (log10), or dates (days), stand on the axis; NaN where unknown."""
    if cuts is _BY_DATE:
        return np.asarray(mdates.date2num(pd.to_datetime(values.replace("", None)).to_numpy()))
    return np.log10(values.to_numpy(float))


def _finish(ax: Axes, cuts: _Cuts) -> None:
    """Label the axis of cuts, write dates as dates, and tidy."""
    ax.set_xlabel(cuts.axis)
    if cuts is _BY_DATE:
        ax.xaxis.set_major_locator(mdates.AutoDateLocator(minticks=3, maxticks=6))
        ax.xaxis.set_major_formatter(mdates.DateFormatter("%Y-%m-%d"))
    style.tidy(ax, "both")


# --- one model ------------------------------------------------------------------------------------------------------


def plot_trajectory(table: pd.DataFrame, ax: Axes | None = None, *, chance: float | None = None) -> Axes:
    """Draw the forecast of one model as the cutoff is pulled back.

    Parameters
    ----------
    table : DataFrame
        From `bayes_obscaling.evaluation.cells.trajectory`.
    chance : float, optional
        Score of guessing, to be marked.

    Returns
    -------
    Axes
        Median, 50 and 90 % bands at each cutoff (or as-of date), point forecasts of the other methods, the observed
        score, and the model's own compute (or release) unless it lies so far above the cutoffs that it would squeeze
        them (then the caption has it).
    """
    cuts = _cuts_of(table)
    ours, others = table[table["place"] == 0], table[table["place"] > 0]
    first = ours.iloc[0]
    ax = style.new_axes(ax, 7.0, 4.5)
    x = _on_axis(cuts, ours[cuts.column])
    # a band over a single cutoff would have no area
    across, rows = (x, ours) if len(x) > 1 else (np.r_[x - cuts.half, x + cuts.half], pd.concat([ours, ours]))
    style.bands(ax, across, rows, style.SHADES[0.9])
    ax.plot(x, ours["median"], color=style.BLUE, linewidth=2, marker="o", markersize=4, label="median", zorder=3)
    _mark_not_converged(ax, x, ours)
    for method, rows in others.groupby("method", sort=False):
        look = style.method_look(str(method)) | {"linestyle": "--", "linewidth": 1, "markersize": 3.5}
        ax.plot(_on_axis(cuts, rows[cuts.column]), rows["median"], label=str(method), zorder=2.5, **look)
    ax.axhline(first["observed"], color="black", linewidth=1.5, label="observed", zorder=2)
    if chance is not None:
        ax.axhline(chance, color=style.GREY, linestyle=":", linewidth=1.3, label="chance", zorder=1.5)
    text = _mark_itself(ax, cuts, x, ours)
    ax.set_ylim(0.0, min(1.02, 1.08 * max(table[["median", "observed", "q95"]].max().max(), chance or 0.0, 0.02)))
    ax.set_ylabel("score")
    _finish(ax, cuts)
    (short,) = style.short_names([first["model"]])
    style.legend_above(
        ax,
        f"{short} on {first['task']}: forecast by {cuts.name}",
        ["median", "50 % band", "90 % band", "not converged", *dict.fromkeys(others["method"])],
        ["observed", "chance", "compute of the model", "release of the model"],
    )
    style.cells_caption(ax, [text], table)
    return ax


def _mark_not_converged(ax: Axes, x: np.ndarray, ours: pd.DataFrame) -> None:
    bad = ours["not_converged"].to_numpy(bool)
    if bad.any():
        look: style.Look = {"markersize": 6, "markerfacecolor": "white", "markeredgecolor": style.ALARM}
        ax.plot(x[bad], ours["median"][bad], "o", label="not converged", zorder=3.5, **look)


def _mark_itself(ax: Axes, cuts: _Cuts, x: np.ndarray, ours: pd.DataFrame) -> str:
    """Mark the model's own compute, or release, or say in words where it is far to the right."""
    own = float(_on_axis(cuts, ours[cuts.fact].head(1))[0]) if cuts.fact in ours else np.nan
    if own - x[-1] <= max(cuts.gap, 0.5 * np.ptp(x)):
        label = f"{cuts.fact_name} of the model"
        ax.axvline(own, color=style.GREY, linestyle="-.", linewidth=1, label=label, zorder=1.5)
        return ""
    if not np.isfinite(own):
        return ""
    value = ours[cuts.fact].iloc[0]
    known = f"released on {value}" if cuts is _BY_DATE else f"trained with {style.flops_text(float(value))} FLOPs"
    return f"The model was {known}, beyond the right edge."


# --- errors by cutoff -----------------------------------------------------------------------------------------------


def plot_error_by_cutoff(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the mean absolute error of each method against the cutoff or the as-of date.

    Parameters
    ----------
    table : DataFrame
        From `bayes_obscaling.evaluation.cells.error_by_cutoff`.

    Returns
    -------
    Axes
        One line per method. A mean over tasks has no point where the method lacks one of them.
    """
    cuts = _cuts_of(table)
    ax = style.new_axes(ax, 7.0, 4.5)
    looks = style.line_looks(table)
    for line, look in looks.items():
        rows = table[table["line"] == line].dropna(subset="mae")
        ax.plot(_on_axis(cuts, rows[cuts.column]), rows["mae"], label=style.method_name(line), **look)
    ax.set_ylim(bottom=0.0)
    ax.set_ylabel("mean absolute error (score units)")
    _finish(ax, cuts)
    tasks, title = int(table["tasks_of_all"].iloc[0]), f"mean absolute error by {cuts.name}"
    name = table["task"].iloc[0]
    title = f"{name}: {title}" if tasks == 1 else f"{title}, {name}"
    legend = style.rows_of(map(style.method_name, looks), 4)
    style.legend_above(ax, style.capitalised(title), *legend)
    at = table.drop_duplicates(cuts.column).set_index(cuts.column).sort_index()
    models, asked = at["models"], at["tasks_asked"]
    ends = f"{models.iloc[0]} at the {cuts.one_end}, {models.iloc[-1]} at the {cuts.other_end}"
    text = [f"{cuts.who} are forecast: {ends}."]
    if asked.min() < tasks:
        text.append(f"Not every task can be asked at every {cuts.name}: {asked.min()} to {asked.max()} of {tasks}.")
    total, each = int(at["forecasts"].sum()), table.groupby("line", sort=False)["n"].sum()
    if fewer := [f"{style.method_name(str(line))} ({n})" for line, n in each.items() if n < total]:
        text.append(f"Fewer than {total} forecasts, hence not all comparable: {', '.join(fewer)}.")
    style.cells_caption(ax, text, table)
    return ax


# --- errors by distance and by months -------------------------------------------------------------------------------


def plot_by_distance(table: pd.DataFrame, ax: Sequence[Axes] | np.ndarray | None = None) -> np.ndarray:
    """Draw error, coverage and width of forecasts against the distance beyond the cutoff, or months ahead.

    Parameters
    ----------
    table : DataFrame
        From `bayes_obscaling.evaluation.cells.by_distance` or ``by_months``.
    ax : three Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    array of three Axes
        One above the other: mean absolute error with the number of forecasts in each bin; coverage of the 50, 80, 90
        and 95 % intervals with their nominal values; mean width of the 90 % interval. Bars, on the error and on the
        coverage of the 90 % interval, are 95 % intervals from resampling whole families. Where that of the coverage
        lies below 90 %, the bin is shaded: there the extrapolation has failed.

    Raises
    ------
    InputError
        For other than three axes.
    """
    if ax is not None and np.size(np.asarray(ax, dtype=object)) != 3:
        raise InputError("Error, coverage and width need three axes: give three, or none for a new figure.")
    ahead = next(name for name in _AHEAD if name in table)
    what, of, _, _ = _AHEAD[ahead]
    known = table.dropna(subset=ahead)
    axes = (
        plt.subplots(3, 1, figsize=(7.0, 8.5), sharex=True, layout="constrained")[1]
        if ax is None
        else np.asarray(ax, dtype=object).ravel()
    )
    x = known[ahead].to_numpy(float)
    _draw_error(axes[0], x, known)
    _draw_coverage(axes[1], x, known)
    _draw_width(axes[2], x, known)
    for axes_ in axes:
        _mark_failing(axes_, x, known)
        cell = axes_.get_subplotspec()
        if axes_ is axes[2] or (cell is not None and cell.is_last_row()):
            axes_.set_xlabel(f"{what} ({of})")
        style.tidy(axes_, "y")
    who = style.method_name(known["method"].iloc[0])
    axes[0].set_title(f"{who}: errors and coverage by {what}", loc="left", fontsize=11)
    style.legend_above(axes[1], "", [f"{level} % interval" for level in _LEVEL_LOOKS])
    style.cells_caption(axes[2], _distance_text(table, ahead), known)
    return axes


def _draw_error(ax: Axes, x: np.ndarray, table: pd.DataFrame) -> None:
    style.family_bars(ax, x, table["mae_low"], table["mae_high"])
    ax.plot(x, table["mae"], color=style.BLUE, marker="o", markersize=4.5, label="mean absolute error", zorder=3)
    ax.set_ylim(0.0, 1.25 * max(np.nanmax(table[["mae", "mae_high"]]), 0.01))
    look: style.Look = {
        "ha": "center",
        "va": "top",
        "fontsize": 7.5,
        "color": style.GREY,
        "rotation": 90 if len(x) > 14 else 0,
    }
    for at, n in zip(x, table["n"], strict=True):
        ax.text(at, 0.98, f"{n}", transform=ax.get_xaxis_transform(), gid="n", **look)
    ax.set_ylabel("mean absolute error\n(score units)")


def _draw_coverage(ax: Axes, x: np.ndarray, table: pd.DataFrame) -> None:
    style.family_bars(ax, x, table["coverage_90_low"], table["coverage_90_high"])
    for level, look in _LEVEL_LOOKS.items():
        label = f"{level} % interval"
        ax.axhline(level / 100, color=look["color"], linestyle="--", linewidth=1, zorder=1.5, gid="nominal")
        ax.plot(x, table[f"coverage_{level}"], markersize=4.5, label=label, zorder=3, **look)
    ax.set_ylim(-0.02, 1.03)
    ax.set_ylabel("coverage (share inside)")


def _draw_width(ax: Axes, x: np.ndarray, table: pd.DataFrame) -> None:
    ax.plot(x, table["width_90"], color=style.BLUE, marker="o", markersize=4.5, zorder=3)
    ax.set_ylim(0.0, 1.08 * max(table["width_90"].max(), 0.02))
    ax.set_ylabel("width of the 90 % interval\n(score units)")


def _mark_failing(ax: Axes, x: np.ndarray, table: pd.DataFrame) -> None:
    """Shade bins whose intervals cover too little, and mark the cutoff or date where some lie below it."""
    for row in table[table["failing"]].itertuples():
        ax.axvspan(row.above, row.up_to, color=_FAILING, linewidth=0, zorder=0, gid="failing")
    if (x < 0).any():
        ax.axvline(0.0, color=style.GREY, linewidth=1, zorder=1.5)
    ax.set_xlim(min(0.0, table["above"].min()), max(0.0, table["up_to"].max()))


def _distance_text(table: pd.DataFrame, ahead: str) -> list[str]:
    _, _, unit, lacking = _AHEAD[ahead]
    known = table[ahead].notna()
    verdict = "At no distance does the 90 % interval cover significantly too little."
    if len(failing := table[known & table["failing"]]):
        start = failing["above"].iloc[0]
        verdict = f"Shaded, first at {start:g} {unit}: the 90 % interval covers significantly too little."
    text = [
        "Numbers: forecasts in the bin. Dashed: nominal coverage. Bars: 95 % intervals from resampling whole families, "
        f"none where there is one family. {verdict}"
    ]
    if left_out := table.loc[~known, "n"].sum():
        text.append(f"{left_out} forecasts of models of unknown {lacking} are left out.")
    return text


# --- emergence ------------------------------------------------------------------------------------------------------


def plot_emergence(table: pd.DataFrame, ax: Axes | None = None, *, labels: int = 8) -> Axes:
    """Draw how early it was visible which models would pass a score.

    Parameters
    ----------
    table : DataFrame
        From `bayes_obscaling.evaluation.cells.emergence`.
    labels : int
        Name so many models: those whose outcome was least expected, by the mean Brier score over cutoffs.

    Returns
    -------
    Axes
        Probability of passing the threshold against the cutoff or the as-of date, one line per held-out model, those
        that passed apart from those that did not.
    """
    cuts, task, threshold = _cuts_of(table), table["task"].iloc[0], table["threshold"].iloc[0]
    ax = style.new_axes(ax, 8.0, 4.8)
    last = {"x": (cuts.column, "last"), "y": ("probability", "last"), "brier": ("brier", "mean")}
    ends = table.groupby("model").agg(**last, passed=("passed", "first"))  # type: ignore[arg-type]
    ends["x"] = _on_axis(cuts, ends["x"])
    legend = []
    for passed, colour, line, marker in ((False, style.VERMILLION, "--", "s"), (True, style.BLUE, "-", "o")):
        rows = table[table["passed"] == passed]
        label = f"{'passed' if passed else 'did not pass'} ({rows['model'].nunique()})"
        legend.append(label)
        look: style.Look = {
            "color": colour,
            "linestyle": line,
            "marker": marker,
            "markersize": 3,
            "linewidth": 1.2,
            "alpha": 0.8,
        }
        for number, (model, group) in enumerate(rows.groupby("model", sort=False)):
            drawn = ax.plot(_on_axis(cuts, group[cuts.column]), group["probability"], zorder=2 + passed, **look)
            drawn[0].set(gid=str(model), label=label if number == 0 else f"_{model}")
    ax.axhline(0.5, color=style.GREY, linestyle=":", linewidth=1, zorder=1)
    ax.set_ylim(-0.03, 1.03)
    ax.margins(x=0.02)
    ax.set_ylabel(f"probability of a score of {threshold:g} or more")
    _finish(ax, cuts)
    named = ends.nlargest(max(labels, 0), "brier")
    colours = [style.BLUE if passed else style.VERMILLION for passed in named["passed"]]
    short = style.short_names([str(model) for model in named.index])
    style.name_at_right(ax, named[["x", "y"]].assign(name=short, key=named.index, colour=colours))
    style.legend_above(ax, f"{task}: who will reach {threshold:g}?", legend[::-1])
    text = f"A line ends at the last {cuts.name} {cuts.lines_end}."
    if 0 < len(named) < len(ends):
        text += f" Named: the {len(named)} of {len(ends)} models whose outcome was least expected."
    style.cells_caption(ax, [text], table)
    return ax
