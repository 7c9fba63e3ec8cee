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
    (style.BLUE, "o", "-"), (style.VERMILLION, "s", "-"), (style.GREY, "^", "--"), ("#CC79A7", "v", "--"),
    ("black", "*", ""),
)  # fmt: skip
_NAMED = 15


def plot_selection(selection: Selection, ax: Axes | None = None) -> Axes:
    """Draw the criterion of a selection against the number of models.

    Parameters
    ----------
    selection : Selection
        From `bayes_obscaling.select_models`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        For a Bayesian design each model is named at its step.
    """
    ax = style.new_axes(ax, 9.0, 5.0)
    path = selection.parts["path"]
    ax.plot(path["models"], path["criterion"], "o-", color=style.BLUE, markersize=5)
    if "order" in selection.table:
        for name, order, value in zip(
            style.short_names(list(selection.models))[:_NAMED], selection.table["order"], selection.table["target_sd"],
            strict=False,
        ):  # fmt: skip
            ax.annotate(
                name, (order, value), xytext=(2, 7), textcoords="offset points", rotation=35, fontsize=8,
                ha="left", va="bottom",
            )  # fmt: skip
        ax.set_ylim(0.0, 1.08 * path["criterion"].max())
    ax.set_xlim(path["models"].min() - 0.3, 1.08 * path["models"].max() + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("models evaluated")
    ax.set_ylabel(selection.criterion)
    style.tidy(ax, "y")
    ax.set_title("What evaluating more models is to bring", loc="left", fontsize=11)
    style.caption(ax, "\n".join([*selection.sentences, *selection.problems]), selection.problems)
    return ax


def plot_comparison(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the error of designs against the number of models, on log axes, with the middle half of random ones.

    Parameters
    ----------
    comparison : Comparison
        From `bayes_obscaling.design.compare.compare_designs`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
    """
    ax = style.new_axes(ax, 8.0, 5.0)
    table = comparison.table
    for (design, rows), (colour, marker, line) in zip(table.groupby("design", sort=False), _LOOKS, strict=False):
        ax.plot(
            rows["models"], rows["median"], linestyle=line or "none", marker=marker, color=colour, markersize=6,
            label=str(design),
        )  # fmt: skip
        if rows["sets"].max() > 1:
            ax.fill_between(rows["models"], rows["q25"], rows["q75"], color=colour, alpha=0.15, linewidth=0)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(sorted(set(table["models"])))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("models evaluated")
    ax.set_ylabel("mean squared error, geometric mean over tasks")
    style.tidy(ax, "both")
    ax.legend(frameon=False, fontsize=8)
    ax.set_title(f"Forecast error by design ({table['forecaster'].iloc[0]})", loc="left", fontsize=11)
    return ax
