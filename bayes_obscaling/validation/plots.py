"""Plots of simulation-based calibration."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from bayes_obscaling.plots.style import BLUE, GREY, SHADES, VERMILLION, caption, new_axes, tidy
from bayes_obscaling.validation.ranks import Calibration, ecdf_envelope


def plot_calibration(calibration: Calibration, ax: Axes | None = None) -> Axes:
    """Draw the distribution function of the ranks of every quantity, minus that of even ranks.

    Band: simultaneous 95 % envelope of one quantity. Blue: quantities that stay inside; orange and named: the others
    (about one in twenty leaves it by chance).
    """
    ax = new_axes(ax, 7.0, 4.2)
    n, levels = len(calibration.ranks), calibration.draws + 1
    z, low, high = ecdf_envelope(n, levels)
    ax.fill_between(z, low, high, color=SHADES[0.95], label="95 % envelope", zorder=0, step="mid")
    table = calibration.uniformity()
    for name, ranks in calibration.ranks.items():
        out = table.at[name, "p_ecdf"] < 0.05
        counts = np.cumsum(np.bincount(ranks, minlength=levels))[:-1]
        ax.plot(z, counts / n - z, color=VERMILLION if out else BLUE, alpha=0.9 if out else 0.3, lw=1.2 if out else 0.7)
    ax.axhline(0.0, color=GREY, lw=0.8)
    ax.set_xlabel("Rank of the true value, as a share of posterior draws")
    ax.set_ylabel("Share at or below, minus that of even ranks")
    ax.set_title(f"Calibration of the {calibration.name} posterior: {n} data sets", loc="left", fontsize=11)
    tidy(ax, "y")
    outside = table.index[table["p_ecdf"] < 0.05]
    text = f"{len(outside)} of {len(table)} quantities leave the envelope; {0.05 * len(table):.1f} expected by chance."
    if len(outside):
        text += f" They are {', '.join(outside)}."
    caption(ax, text)
    return ax
