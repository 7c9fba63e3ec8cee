"""Gains from post-training, models left out one at a time, and one family followed by compute alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bayes_obscaling.analyses.agents import ModelsLeftOut
from bayes_obscaling.analyses.interventions import OURS, Gain, GainCheck
from bayes_obscaling.analyses.single_family import ALL_LARGER, COMPUTE_ONLY, LARGEST, SingleFamily
from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import style

# Okabe and Ito, a marker for each.
_LOOKS = (
    (style.BLUE, "o", "-"), (style.VERMILLION, "s", "-"), ("#009E73", "^", "--"), ("#CC79A7", "D", "--"),
    ("#E69F00", "v", "--"), (style.GREY, "*", ":"),
)  # fmt: skip


def plot_gain(found: Gain, ax: Axes | None = None, *, against: str = "capability") -> Axes:
    """Draw the gain of every model against its capability or its compute.

    Parameters
    ----------
    found : Gain
        From `bayes_obscaling.analyses.interventions.gain`.
    ax : Axes, optional
        Where to draw; default a new figure.
    against : {"capability", "compute"}
        Capability along the direction that the task with the intervention reads, or FLOPs (models of unknown FLOPs are
        left out).

    Returns
    -------
    Axes
        90 % intervals of the gain of a new pair of evaluations, medians, and observed gains: filled where the fit has
        seen them.

    Raises
    ------
    InputError
        For anything else to draw it against.
    """
    if against not in ("capability", "compute"):
        raise InputError(f"A gain cannot be drawn against '{against}': take capability or compute.")
    column = "capability" if against == "capability" else "flops"
    rows = found.table[found.table[column].notna()]
    ax = style.new_axes(ax, 7.5, 4.8)
    ax.vlines(rows[column], rows["q5"], rows["q95"], color=style.BLUE, linewidth=1.1, alpha=0.5, zorder=2)
    ax.plot(rows[column], rows["median"], "_", color=style.BLUE, markersize=6, zorder=3, label="median, 90 % interval")
    for mine, look in ((rows["seen"], style.SEEN), (~rows["seen"] & rows["observed"].notna(), style.HELD_OUT)):
        ax.plot(rows[column][mine], rows["observed"][mine], linestyle="none", markersize=4.5, zorder=4, **look)
    ax.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    if against == "compute":
        ax.set_xscale("log")
        ax.set_xlabel("training compute (FLOPs)")
    else:
        ax.set_xlabel(f"capability that {found.after} reads (sd of the models seen)")
    ax.set_ylabel(f"{found.after} less {found.before}")
    style.tidy(ax, "both")
    style.legend_above(
        ax, f"Gain from {found.before} to {found.after}",
        ["median, 90 % interval", style.SEEN["label"], style.HELD_OUT["label"]],
    )  # fmt: skip
    style.finding_caption(ax, "Gain of a new pair of evaluations of one model.", found.problems)
    return ax


def plot_gain_curve(found: Gain, ax: Axes | None = None) -> Axes:
    """Draw the gain of new models of each family over compute.

    Parameters
    ----------
    found : Gain
        From `bayes_obscaling.analyses.interventions.gain`, with families.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        Medians and 90 % intervals; dashed beyond the family's largest model.

    Raises
    ------
    InputError
        When no family was asked for.
    """
    if "curve" not in found.parts:
        raise InputError("No family was asked for, so there is no curve over compute: name families in gain().")
    ax = style.new_axes(ax, 7.5, 4.8)
    for (family, rows), (colour, marker, _) in zip(
        found.parts["curve"].groupby("family", sort=False), _LOOKS, strict=False
    ):
        inside = (rows["beyond"] <= 0).to_numpy()
        last = int(inside.sum())
        ax.fill_between(rows["flops"], rows["q5"], rows["q95"], color=colour, alpha=0.15, linewidth=0)
        name = "a family never seen" if family == "new" else str(family)
        ax.plot(rows["flops"][:last], rows["median"][:last], color=colour, marker=marker, markersize=4, label=name)
        ax.plot(rows["flops"][last - 1 :], rows["median"][last - 1 :], color=colour, linestyle="--")
    ax.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    ax.set_xscale("log")
    ax.set_xlabel("training compute (FLOPs)")
    ax.set_ylabel(f"{found.after} less {found.before}")
    style.tidy(ax, "both")
    ax.legend(frameon=False, fontsize=8)
    ax.set_title("Gain of a new model of a family", loc="left", fontsize=11)
    style.finding_caption(ax, "Medians with 90 % intervals; dashed: beyond the family's largest model.", found.problems)
    return ax


def plot_gain_check(found: GainCheck, ax: Axes | None = None) -> Axes:
    """Draw forecast against observed gains of held-out models.

    Parameters
    ----------
    found : GainCheck
        From `bayes_obscaling.analyses.interventions.check_gain`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        Ours with 90 % intervals, and the first baseline's point forecasts.
    """
    cells = found.parts["cells"]
    ours = cells[cells["method"] == OURS]
    other = str(found.table["method"].iloc[-1])
    theirs = cells[cells["method"] == other]
    ax = style.new_axes(ax, 6.0, 5.6)
    ends = [min(cells["observed"].min(), ours["q5"].min()), max(cells["observed"].max(), ours["q95"].max())]
    ax.plot(ends, ends, color=style.GREY, linewidth=1, zorder=1)
    ax.vlines(ours["observed"], ours["q5"], ours["q95"], color=style.BLUE, linewidth=1.1, alpha=0.5, zorder=2)
    ax.plot(
        ours["observed"], ours["median"], "o", color=style.BLUE, markersize=5, zorder=4, label="ours, 90 % interval"
    )
    ax.plot(
        theirs["observed"], theirs["median"], "s", color=style.VERMILLION, markerfacecolor="white", markersize=4.5,
        zorder=3, label=other,
    )  # fmt: skip
    ax.set_xlabel("gain observed")
    ax.set_ylabel("gain forecast")
    style.tidy(ax, "both")
    style.legend_above(ax, f"Gain from {found.before} to {found.after}", ["ours, 90 % interval", other])
    style.finding_caption(ax, found.sentences[0], found.problems)
    return ax


def plot_drivers(found: Gain, ax: Axes | None = None) -> Axes:
    """Draw how much the gain rises with each capability.

    Parameters
    ----------
    found : Gain
        From `bayes_obscaling.analyses.interventions.gain`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        Medians with 50 % (thick) and 90 % intervals.
    """
    rows = found.parts["drivers"]
    ax = style.new_axes(ax, 6.5, 0.5 * len(rows) + 1.6)
    _rows(ax, rows, list(rows["capability"]))
    ax.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
    ax.set_xlabel("gain a sd of the capability")
    ax.set_title(f"What drives the gain from {found.before} to {found.after}", loc="left", fontsize=11)
    style.finding_caption(ax, "Medians with 50 and 90 % intervals, averaged over models.", found.problems)
    return ax


def plot_models_left_out(found: ModelsLeftOut, ax: Axes | None = None, *, task: str | None = None) -> Axes:
    """Draw the forecast of each model left out against its observed score.

    Parameters
    ----------
    found : ModelsLeftOut
        From `bayes_obscaling.analyses.agents.leave_models_out`.
    ax : Axes, optional
        Where to draw; default a new figure.
    task : str, optional
        Default the first.

    Returns
    -------
    Axes
        A row a model, the best first: 50 % (thick) and 90 % interval, and the observed score.

    Raises
    ------
    InputError
        For a task that was not asked.
    """
    tasks = list(dict.fromkeys(found.table["task"]))
    chosen = tasks[0] if task is None else task
    if chosen not in tasks:
        raise InputError(f"There is no forecast of {task}: take {', '.join(tasks)}.")
    rows = found.table[found.table["task"] == chosen]
    ax = style.new_axes(ax, 7.0, 0.28 * len(rows) + 1.8)
    _rows(ax, rows, style.short_names(list(rows["model"])))
    ax.plot(rows["observed"], range(len(rows)), linestyle="none", markersize=5.5, zorder=4, **style.HELD_OUT)
    ax.set_xlabel(f"score on {chosen}")
    style.legend_above(ax, f"{chosen}, each model forecast without its own score", [style.HELD_OUT["label"]])
    inside = rows["inside_90"].mean()
    text = f"Medians with 50 and 90 % intervals; {inside:.0%} of {len(rows)} scores are inside the 90 % interval."
    style.finding_caption(ax, text, found.problems)
    return ax


def plot_single_family(found: SingleFamily, ax: Axes | None = None, *, target: str | None = None) -> Axes:
    """Draw the CRPS of each method against the number of models of the family that it has seen.

    Parameters
    ----------
    found : SingleFamily
        From `bayes_obscaling.analyses.single_family.single_family`.
    ax : Axes, optional
        Where to draw; default a new figure.
    target : {"largest", "all larger"}, optional
        What is judged; default the largest model, where it has scores.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        For another target, or one without scores.
    """
    held = list(dict.fromkeys(found.table["target"]))
    chosen = target or held[0]
    if chosen not in held:
        raise InputError(f"There are no scores of '{target}': take {', '.join(held)}.")
    rows = found.table[found.table["target"] == chosen]
    labels = {OURS: "ours", COMPUTE_ONLY: "compute, this family alone"}
    ax = style.new_axes(ax, 7.0, 4.5)
    for (method, mine), (colour, marker, line) in zip(rows.groupby("method", sort=False), _LOOKS, strict=False):
        name = labels.get(str(method), str(method))
        ax.plot(mine["models"], mine["crps"], linestyle=line, marker=marker, color=colour, markersize=5.5, label=name)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylim(bottom=0)
    ax.set_xlabel(f"models of {found.family} seen, smallest first")
    ax.set_ylabel("CRPS (mean over tasks)")
    style.tidy(ax, "both")
    ax.legend(frameon=False, fontsize=8)
    what = {LARGEST: "its largest model", ALL_LARGER: "all its larger models"}[chosen]
    ax.set_title(f"{found.family}: forecasting {what}", loc="left", fontsize=11)
    style.finding_caption(ax, "Every method sees scores up to the compute of the largest model seen.", found.problems)
    return ax


def _rows(ax: Axes, rows: pd.DataFrame, names: list[str]) -> None:
    """A row a thing from the top down: median, 50 and 90 % interval."""
    at = np.arange(len(rows))
    ax.hlines(at, rows["q5"], rows["q95"], color=style.BLUE, linewidth=1.1, alpha=0.7, zorder=2)
    ax.hlines(at, rows["q25"], rows["q75"], color=style.BLUE, linewidth=3.0, alpha=0.7, zorder=2)
    ax.plot(rows["median"], at, "o", color=style.BLUE, markersize=5, zorder=3)
    ax.set_yticks(at, names, fontsize=8.5)
    ax.set_ylim(len(names) - 0.4, -0.6)
    style.tidy(ax, "x")
