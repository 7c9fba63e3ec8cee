"""A task's response curve, against capability and against compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bayes_obscaling.plots import style

if TYPE_CHECKING:
    from bayes_obscaling.results.curves import Curve
    from bayes_obscaling.results.reach import Reach

_LEGEND = (["median", "50 % band", "90 % band", "chance", "cutoff"], [style.SEEN["label"], style.HELD_OUT["label"]])
# Models that a plot names.
_NAMED = 8
_OWN: style.Look = {"markersize": 5.5, "zorder": 3}
# Models of other families, at their equivalent compute: the same shapes, paler and smaller.
_OTHERS: style.Look = {"markersize": 3.5, "alpha": 0.55, "zorder": 2.5, "label": "_other families"}


def plot_capability_curve(curve: Curve, ax: Axes | None = None) -> Axes:
    """Draw a task's expected score against capability, with the models at their observed scores.

    Parameters
    ----------
    curve : Curve
        From `bayes_obscaling.results.curves.capability_curve`.

    Returns
    -------
    Axes
        The curve (median, 50 and 90 % bands), the models at the posterior mean of their capability and their observed
        score, those whose score the fit has seen apart from those held out, and the sampler's verdict.
    """
    ax = style.new_axes(ax, 7.0, 5.0)
    _draw_curve(ax, curve)
    _draw_points(ax, curve.points, curve.along, _OWN)
    _finish(ax, curve, f"{curve.task}: expected score, {style.seen_text(curve.seen)}")
    at, middle = (curve.table[name] for name in (curve.along, "median"))
    away = (curve.points["observed"] - np.interp(curve.points[curve.along], at, middle)).abs()
    _name(ax, curve.points.loc[away.nlargest(_NAMED).index], curve.along)
    ax.set_xlabel("capability (sd of the seen models, along what the task reads)")
    text = "Bands: the curve alone. A model's family, uncertain capability and evaluation noise come on top."
    if len(curve.points):
        text += " Named: the models farthest from the curve."
    style.caption(ax, text, style.verdict(curve.convergence, curve.problems), curve.problems)
    return ax


def plot_compute_curve(curve: Curve, ax: Axes | None = None) -> Axes:
    """Draw the expected score of a new model of a family against its training compute.

    Parameters
    ----------
    curve : Curve
        From `bayes_obscaling.results.curves.compute_curve`.

    Returns
    -------
    Axes
        The curve (median, 50 and 90 % bands), the family's models at their own compute and observed score, those
        whose score the fit has seen apart from those held out, models of other families (pale) at their equivalent
        compute, and the sampler's verdict.
    """
    ax = style.new_axes(ax, 7.0, 5.0)
    _draw_curve(ax, curve)
    own = curve.points["own"]
    others = curve.points[~own]
    _draw_points(ax, others, curve.along, _OTHERS)
    _draw_points(ax, curve.points[own], curve.along, _OWN)
    if curve.seen.cutoff is not None:
        cutoff = np.log10(curve.seen.cutoff)
        ax.axvline(cutoff, color=style.GREY, linestyle="--", linewidth=1, label="cutoff", zorder=1.5)
    _finish(ax, curve, f"{curve.task}: expected score of a new model of {curve.who}\n{style.seen_text(curve.seen)}")
    ax.set_xlim(curve.table["compute"].iloc[0], curve.table["compute"].iloc[-1])
    _name(ax, curve.points[own].nlargest(_NAMED, "compute"), curve.along)
    ax.set_xlabel("compute (log10 FLOPs)" + (f", others' as {curve.family} equivalent" if len(others) else ""))
    text = "Bands: one new model of the family, no evaluation noise."
    if len(others):
        text += f" Small pale markers: models of other families, at the compute of an equally capable {curve.family}."
    style.caption(ax, text, style.verdict(curve.convergence, curve.problems), curve.problems)
    return ax


def plot_reach(reach: Reach, ax: Axes | None = None) -> Axes:
    """Draw the probability that a family has reached a score, by compute or by release date.

    Parameters
    ----------
    reach : Reach
        From `bayes_obscaling.ask.compute_to_reach` or `bayes_obscaling.ask.date_to_reach`.
    """
    row = reach.table.iloc[0]
    ax = style.new_axes(ax, 7.0, 4.2)
    finite = np.sort(reach.draws[np.isfinite(reach.draws)])
    share = np.arange(1, len(finite) + 1) / len(reach.draws)
    ax.step(finite, share, where="post", color=style.BLUE, linewidth=2)
    ax.set_ylim(-0.02, 1.02)
    typical = (
        "a typical model of a family never seen" if row["family"] == "new" else f"a typical model of {row['family']}"
    )
    who = "the best of all models" if row["family"] == "any" else typical
    what, along = "compute", "training compute (FLOPs)"
    if "until" in row:
        what, along = "release date", "release date (year)"
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        ax.set_xscale("log")
    title = f"{row['task']}: {what} at which {who}\nreaches {row['level']:g}"
    style.finish(ax, title, along, "probability that it has", "both")
    style.finding_caption(ax, " ".join(reach.sentences), reach.problems)
    return ax


def _draw_curve(ax: Axes, curve: Curve) -> None:
    x = curve.table[curve.along]
    style.bands(ax, x, curve.table)
    ax.plot(x, curve.table["median"], color=style.BLUE, linewidth=2, label="median", zorder=2)


def _draw_points(ax: Axes, points: pd.DataFrame, along: str, look: style.Look) -> None:
    """Models at their observed score."""
    for rows, marker in ((points[points["seen"]], style.SEEN), (points[~points["seen"]], style.HELD_OUT)):
        if len(rows):
            ax.plot(rows[along], rows["observed"], linestyle="none", **{**marker, **look})


def _name(ax: Axes, points: pd.DataFrame, along: str) -> None:
    """Name models at the right of the axes."""
    names = style.short_names([str(model) for model in points["model"]])
    colours = np.where(points["seen"], "black", style.VERMILLION)
    places = points[[along, "observed"]].set_axis(["x", "y"], axis=1)
    style.name_at_right(ax, places.assign(name=names, colour=colours))


def _finish(ax: Axes, curve: Curve, title: str) -> None:
    ax.axhline(curve.chance, linestyle=":", color=style.GREY, linewidth=1.3, label="chance", zorder=1.5)
    ax.set_ylim(-0.02, 1.02)
    ax.set_ylabel("score")
    style.tidy(ax, "both")
    style.legend_above(ax, title, *_LEGEND)
