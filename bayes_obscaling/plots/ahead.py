"""Forecasts before the fact, beside the scores where they have come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayes_obscaling.evaluation.ahead import Predictions
    from bayes_obscaling.evaluation.ahead_scores import AheadScores

_MOST = 60  # rows


def plot_ahead(answer: Predictions | AheadScores, ax: Axes | None = None, task: str | None = None) -> Axes:
    """Draw 50 and 90 % intervals of a benchmark by line and quarter, or of scores that came, a cross at each.

    Parameters
    ----------
    answer : Predictions or AheadScores
        From `bayes_obscaling.evaluation.predict_ahead` or `bayes_obscaling.evaluation.score_ahead`.
    ax : matplotlib Axes, optional
        Where to draw; default a new figure.
    task : str, optional
        Benchmark; default all for scores that came, the first for forecasts.

    Raises
    ------
    InputError
        For a benchmark that was not forecast.
    """
    rows = answer.table[answer.table["method"] == "bayes"]
    came = "observed" in rows
    if not came:
        rows = rows[rows["effort"] == ""]
        task = rows["task"].iloc[0] if task is None else task
    if task is not None:
        rows = rows[rows["task"] == task]
        if rows.empty:
            raise InputError(f"There is no forecast of '{task}'", "name a benchmark of the table")
    rows = rows.sort_values("median", ascending=False, kind="stable").head(_MOST)
    names = rows["model"] if came else rows["family"]
    labels = [
        f"{name}, {quarter}" + (f", {effort}" if effort else "") + (f", {of}" if task is None else "")
        for name, quarter, effort, of in zip(names, rows["quarter"], rows["effort"], rows["task"], strict=True)
    ]
    ax = style.new_axes(ax, 8.0, 1.5 + 0.22 * len(rows))
    place = np.arange(len(rows))[::-1]
    for low, high, width in (("q5", "q95", 1.5), ("q25", "q75", 4.0)):
        ax.hlines(place, rows[low], rows[high], color=style.BLUE, linewidth=width)
    ax.plot(rows["median"], place, "o", color=style.BLUE, markersize=4, label="forecast")
    if came:
        ax.plot(rows["observed"], place, "x", color=style.VERMILLION, markersize=6, label="scored")
    ax.set_yticks(place, labels, fontsize=7)
    ax.legend(loc="lower right")
    style.finish(ax, f"{task or 'Scores'}: forecast before the fact", "score", "", "x")
    style.finding_caption(ax, " ".join(answer.sentences), answer.problems)
    return ax
