"""What compute at inference is worth in training compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_obscaling.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayes_obscaling.analyses.inference_compute import InferenceCompute


def plot_inference_compute(found: InferenceCompute, ax: Axes | None = None) -> Axes:
    """Draw 50 and 90 % intervals of the decades of training compute that each change is worth.

    Parameters
    ----------
    found : InferenceCompute
        From `bayes_obscaling.ask.inference_compute`.
    ax : matplotlib Axes, optional
        Where to draw; default a new figure.
    """
    table = found.table[found.table["quantity"] == "decades"]
    ax = style.new_axes(ax, 8.0, 1.6 + 0.4 * len(table))
    place = np.arange(len(table))[::-1]
    style.whiskers(ax, table, place, style.BLUE)
    ax.plot(table["median"], place, "o", color=style.BLUE, markersize=4)
    ax.axvline(0.0, color=style.GREY, linewidth=1.0, linestyle=":")
    at = ["" if score != score else f", from {score:g}" for score in table["base_score"]]
    names = zip(table["change"], table["capability"], at, strict=True)
    ax.set_yticks(place, [f"{change} ({capability}{score})" for change, capability, score in names])
    style.finish(ax, "Compute at inference in training compute", "decades of training compute", "", "x")
    style.finding_caption(ax, " ".join(found.sentences[-2:]), found.problems)
    return ax
