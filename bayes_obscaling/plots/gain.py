"""Gains from post-training: of each model, over compute, by capability, and checked on held-out models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import style

if TYPE_CHECKING:
    from bayes_obscaling.analyses.gain import Gain
    from bayes_obscaling.evaluation.gain_check import GainCheck

# Models that a plot names.
_NAMED = 10


def plot_gain(gain: Gain, ax: Axes | None = None, *, against: str = "capability") -> Axes:
    """Draw the gain of every model against its capability or its compute.

    Parameters
    ----------
    gain : Gain
        From `bayes_obscaling.gain`.
    against : {"capability", "compute"}
        Capability along the direction that the task with the intervention reads, or FLOPs (models of unknown FLOPs are
        left out).

    Returns
    -------
    Axes
        90 % intervals of the gain of a new pair of evaluations, medians, and observed gains: filled where the fit has
        seen them. Named are the models that gained more, or less, than their interval says, then the largest gains.

    Raises
    ------
    InputError
        For anything else to draw it against.
    """
    if against not in ("capability", "compute"):
        raise InputError(f"A gain cannot be drawn against '{against}': take capability or compute.")
    column = "capability" if against == "capability" else "flops"
    rows = gain.table[gain.table[column].notna()]
    ax = style.new_axes(ax, 7.5, 4.8)
    ax.vlines(rows[column], rows["q5"], rows["q95"], color=style.BLUE, linewidth=1.1, alpha=0.5, zorder=2)
    ax.plot(rows[column], rows["median"], "_", color=style.BLUE, markersize=6, zorder=3, label="median, 90 % interval")
    for chosen, look in ((rows["seen"], style.SEEN), (~rows["seen"] & rows["observed"].notna(), style.HELD_OUT)):
        ax.plot(rows[column][chosen], rows["observed"][chosen], linestyle="none", markersize=4.5, zorder=4, **look)
    ax.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    if against == "compute":
        ax.set_xscale("log")
        ax.set_xlabel("training compute (FLOPs)")
    else:
        ax.set_xlabel(f"capability that {gain.after} reads (sd of the models seen)")
    ax.set_ylabel(f"{gain.after} less {gain.before} (score units)")
    style.tidy(ax, "both")
    named = _most_telling(rows)
    style.name_at_right(ax, _places(named, column, against == "compute"))
    legend = ["median, 90 % interval", style.SEEN["label"], style.HELD_OUT["label"]]
    style.legend_above(ax, f"Gain from {gain.before} to {gain.after}", legend)
    text = "Gain of a new pair of evaluations of one model (score units)."
    if len(named):
        text += " Named: models that gained more, or less, than their 90 % interval says, then the largest gains."
    style.finding_caption(ax, text, gain.problems)
    return ax


def _most_telling(rows: pd.DataFrame) -> pd.DataFrame:
    """The models to name: those outside their 90 % interval, the farthest first, then those of the largest medians."""
    outside = np.maximum(rows["q5"] - rows["observed"], rows["observed"] - rows["q95"]).fillna(-np.inf).clip(lower=0)
    order = rows.assign(outside=outside).sort_values(["outside", "median"], ascending=False, kind="stable")
    return order.head(_NAMED)


def _places(rows: pd.DataFrame, column: str, is_log: bool) -> pd.DataFrame:
    """Where the names of rows belong, as `style.name_at_right` takes them."""
    x = np.log10(rows[column]) if is_log else rows[column]
    seen = rows["seen"] if "seen" in rows else pd.Series(False, index=rows.index)
    colours = np.where(rows["observed"].isna(), style.BLUE, np.where(seen, "black", style.VERMILLION))
    y = rows["observed"].fillna(rows["median"])
    names = style.short_names(list(rows["model"]))
    return pd.DataFrame({"x": 10.0**x if is_log else x, "y": y, "name": names, "colour": colours})


def plot_gain_curve(gain: Gain, ax: Axes | None = None) -> Axes:
    """Draw the gain of new models of each family over compute.

    Parameters
    ----------
    gain : Gain
        From `bayes_obscaling.gain`, with families.

    Returns
    -------
    Axes
        Medians and 90 % intervals; dashed beyond the family's largest model.

    Raises
    ------
    InputError
        When no family was asked for.
    """
    if "curve" not in gain.parts:
        raise InputError("No family was asked for, so there is no curve over compute: name families in gain().")
    ax = style.new_axes(ax, 7.5, 4.8)
    families = gain.parts["curve"].groupby("family", sort=False)
    for (family, rows), look in zip(families, style.SERIES, strict=False):
        inside = (rows["beyond"] <= 0).to_numpy()
        last = int(inside.sum())
        ax.fill_between(rows["flops"], rows["q5"], rows["q95"], color=look["color"], alpha=0.15, linewidth=0)
        name = "a family never seen" if family == "new" else str(family)
        ax.plot(rows["flops"][:last], rows["median"][:last], markersize=4, label=name, **look)
        ax.plot(rows["flops"][last - 1 :], rows["median"][last - 1 :], color=look["color"], linestyle="--")
    ax.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    ax.set_xscale("log")
    style.finish(ax, "", "training compute (FLOPs)", f"{gain.after} less {gain.before} (score units)", "both")
    labels = ax.get_legend_handles_labels()[1]
    title = f"Gain from {gain.before} to {gain.after}: a new model of a family"
    style.legend_above(ax, title, *style.rows_of(labels, 4))
    style.finding_caption(ax, "Medians with 90 % intervals; dashed: beyond the family's largest model.", gain.problems)
    return ax


def plot_gain_check(check: GainCheck, ax: Axes | None = None) -> Axes:
    """Draw forecast against observed gains of held-out models.

    Parameters
    ----------
    check : GainCheck
        From `bayes_obscaling.check_gain`.

    Returns
    -------
    Axes
        Ours with 90 % intervals, and the first baseline's point forecasts.
    """
    cells, methods = check.parts["cells"], check.table["method"]
    other = str(methods.iloc[-1])
    ours, theirs = (cells[cells["method"] == name] for name in (methods.iloc[0], other))
    ax = style.new_axes(ax, 6.0, 5.6)
    ends = [min(cells["observed"].min(), ours["q5"].min()), max(cells["observed"].max(), ours["q95"].max())]
    ax.plot(ends, ends, color=style.GREY, linewidth=1, zorder=1)
    ax.vlines(ours["observed"], ours["q5"], ours["q95"], color=style.BLUE, linewidth=1.1, alpha=0.5, zorder=2)
    look: style.Look = {"linestyle": "none", "zorder": 4, "markersize": 5, "label": "ours, 90 % interval"}
    ax.plot(ours["observed"], ours["median"], **style.method_look("bayes") | look)
    look |= {"markerfacecolor": "white", "markersize": 4.5, "zorder": 3, "label": other}
    ax.plot(theirs["observed"], theirs["median"], **style.method_look(other) | look)
    outside = ours[(ours["observed"] < ours["q5"]) | (ours["observed"] > ours["q95"])].head(_NAMED)
    names = style.short_names(list(outside["model"]))
    places = outside[["observed", "median"]].set_axis(["x", "y"], axis=1)
    style.name_at_right(ax, places.assign(name=names, colour=style.BLUE))
    ax.set_xlabel("gain observed (score units)")
    ax.set_ylabel("gain forecast (score units)")
    style.tidy(ax, "both")
    style.legend_above(ax, f"Gain from {check.before} to {check.after}", ["ours, 90 % interval", other])
    named = " Named: models outside their 90 % interval." if len(outside) else ""
    style.finding_caption(ax, f"{check.sentences[0]}{named}", check.problems)
    return ax


def plot_drivers(gain: Gain, ax: Axes | None = None) -> Axes:
    """Draw how much the gain rises with each capability.

    Parameters
    ----------
    gain : Gain
        From `bayes_obscaling.gain`.

    Returns
    -------
    Axes
        Medians with 50 % (thick) and 90 % intervals.
    """
    rows = gain.parts["drivers"]
    ax = style.new_axes(ax, 6.5, 0.5 * len(rows) + 1.6)
    style.median_rows(ax, rows, list(rows["capability"]))
    ax.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
    ax.set_xlabel("gain per sd of the capability (score units)")
    ax.set_title(f"What drives the gain from {gain.before} to {gain.after}", loc="left", fontsize=11)
    style.finding_caption(ax, "Medians with 50 and 90 % intervals, averaged over models.", gain.problems)
    return ax
