"""Which models to evaluate: the criterion by number of models, and designs compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter, ScalarFormatter

from bayes_obscaling.plots import style

if TYPE_CHECKING:
    from bayes_obscaling.design.compare import Comparison
    from bayes_obscaling.design.selection import Selection

# Okabe and Ito, as everywhere.
_LOOKS = (
    (style.BLUE, "o", "-"),
    (style.VERMILLION, "s", "-"),
    (style.GREY, "^", "--"),
    (style.PURPLE, "v", "--"),
    ("black", "*", ""),
)
_NAMED = 15


def plot_selection(selection: Selection, ax: Axes | None = None) -> Axes:
    """Draw the criterion of a selection against the number of models.

    Parameters
    ----------
    selection : Selection
        From `bayes_obscaling.select_models`.

    Returns
    -------
    Axes
        For a Bayesian design each model is named at its step.
    """
    ax = style.new_axes(ax, 9.0, 5.0)
    path = selection.parts["path"]
    ax.plot(path["models"], path["criterion"], "o-", color=style.BLUE, markersize=5)
    if "order" in selection.table:
        names, steps = style.short_names(list(selection.models))[:_NAMED], selection.table[["order", "target_sd"]]
        look: style.Look = {"textcoords": "offset points", "rotation": 35, "fontsize": 8, "ha": "left", "va": "bottom"}
        for name, place in zip(names, steps.to_numpy(), strict=False):
            ax.annotate(name, tuple(place), xytext=(2, 7), **look)
        ax.set_ylim(0.0, 1.08 * path["criterion"].max())
    title = style.capitalised(f"{selection.task}: " * bool(selection.task) + "what evaluating more models adds")
    least, most = path["models"].min(), path["models"].max()
    ax.set_xlim(least - 0.3, most + 0.1 * (most - least) + 0.5)  # room for the last name, without a tick
    ticks = MaxNLocator(integer=True).tick_values(least, most)
    ax.set_xticks([tick for tick in ticks if least <= tick <= most])
    style.finish(ax, title, "models evaluated", selection.criterion, "y")
    style.finding_caption(ax, "\n".join(selection.sentences), selection.problems)
    return ax


def plot_comparison(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the error of designs against the number of models, on log axes, with the middle half of random ones.

    Parameters
    ----------
    comparison : Comparison
        From `bayes_obscaling.design.compare.compare_designs`.
    """
    ax = style.new_axes(ax, 8.0, 5.0)
    table = comparison.table
    for (design, rows), (colour, marker, line) in zip(table.groupby("design", sort=False), _LOOKS, strict=False):
        look: style.Look = {"color": colour, "marker": marker, "linestyle": line or "none", "label": str(design)}
        ax.plot(rows["models"], rows["median"], markersize=6, **look)
        if rows["sets"].max() > 1:
            ax.fill_between(rows["models"], rows["q25"], rows["q75"], color=colour, alpha=0.15, linewidth=0)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(sorted(set(table["models"])))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    style.finish(
        ax,
        f"Forecast error by design ({table['forecaster'].iloc[0]})",
        "models evaluated",
        "mean squared error, geometric mean over tasks",
        "both",
    )
    designs = [str(design) for design in table["design"].unique()]
    style.legend_above(ax, ax.get_title(loc="left"), *style.rows_of(designs, 3))
    style.finding_caption(
        ax, "Medians over sets of models; bands: the middle half of random sets.", comparison.problems
    )
    return ax
