"""Dates at which scores were passed, beside those that were forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_obscaling.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayes_obscaling.evaluation.when_check import WhenCheck

_MOST = 60  # levels that are drawn, the soonest passed


def plot_when_check(check: WhenCheck, ax: Axes | None = None) -> Axes:
    """Draw 50 and 90 % intervals of forecast dates, a cross where the level was passed.

    Parameters
    ----------
    check : WhenCheck
        From `bayes_obscaling.ask.check_when`.
    ax : matplotlib Axes, optional
        Where to draw; default a new figure.
    """
    table = check.table.sort_values("crossed", kind="stable").head(_MOST)
    ax = style.new_axes(ax, 8.0, 1.2 + 0.22 * len(table))
    place = np.arange(len(table))[::-1]

    def day(column: str) -> np.ndarray:
        dates = table[column].to_numpy(str)
        return np.where(dates == "", "NaT", dates).astype("datetime64[D]")

    latest = np.concatenate([day(name) for name in ("q95", "q5", "crossed")])
    latest = latest[~np.isnat(latest)].max()
    for low, high, width in (("q5", "q95", 1.5), ("q25", "q75", 4.0)):
        right = day(high)
        ax.hlines(place, day(low), np.where(np.isnat(right), latest, right), color=style.BLUE, linewidth=width)
    ax.plot(day("median"), place, "o", color=style.BLUE, markersize=4, label="forecast")
    ax.plot(day("crossed"), place, "x", color=style.VERMILLION, markersize=6, label="passed")
    ax.set_yticks(place, [f"{row.task} {row.level:g}" for row in table.itertuples()], fontsize=7)
    ax.legend(loc="lower right")
    style.finish(ax, "When scores were passed, and when that was forecast", "release date", "", "x")
    style.finding_caption(ax, " ".join(check.sentences), check.problems)
    return ax
