"""Weights of specs that are stacked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_obscaling.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayes_obscaling.results.stacked import Stack


def plot_stack(stack: Stack, ax: Axes | None = None) -> Axes:
    """Draw the weight of each spec as a bar, with its log score beside it.

    Parameters
    ----------
    stack : Stack
        From `bayes_obscaling.stack`.
    ax : matplotlib Axes, optional
        Where to draw; default a new figure.
    """
    table = stack.table[stack.table["weight"].notna()]
    ax = style.new_axes(ax, 7.0, 1.6 + 0.4 * len(table))
    place = np.arange(len(table))[::-1]
    ax.barh(place, table["weight"], color=style.BLUE, height=0.6)
    for y, row in zip(place, table.itertuples(), strict=True):
        ax.text(row.weight + 0.01, y, f"log score {row.log_score:.3f}", va="center", fontsize=8)
    ax.set_yticks(place, list(table["spec"]))
    ax.set_xlim(0, 1.3)
    style.finish(ax, f"Specs stacked by {stack.by}", "weight", "", "x")
    style.finding_caption(ax, " ".join(stack.sentences), stack.problems)
    return ax
