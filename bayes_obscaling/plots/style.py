"""What all plots share: colours, names, the verdict that travels with every plot."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bayes_obscaling.inference.convergence import Convergence
from bayes_obscaling.results.diagnostics.sampler import energy_level, energy_warning
from bayes_obscaling.results.fit import Fit

# Okabe and Ito (2008): told apart by colour-blind readers; markers also differ in shape and filling.
BLUE, VERMILLION, GREY, ALARM = "#0072B2", "#D55E00", "#6E6E6E", "#C00000"
SEEN: dict[str, Any] = {
    "marker": "o", "markerfacecolor": "black", "markeredgecolor": "black", "label": "observed, seen by the fit",
}  # fmt: skip
HELD_OUT: dict[str, Any] = {
    "marker": "D", "markerfacecolor": "white", "markeredgecolor": VERMILLION, "markeredgewidth": 1.4,
    "label": "observed, held out",
}  # fmt: skip
# Shades of blue on white, light to dark.
SHADES = {0.95: "#D4E6F1", 0.9: "#A9CCE6", 0.8: "#6BA8D1", 0.5: BLUE}
_SMALL = 8.0


def new_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """Return `ax`, or the axes of a new figure of that size in inches."""
    return plt.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax


def tidy(ax: Axes, axis: str) -> None:
    """Take off the box, and put pale grid lines behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=axis, color="0.9", linewidth=0.8)  # type: ignore[arg-type]
    ax.set_axisbelow(True)


def flops_text(flops: float) -> str:
    """FLOPs as mathtext: 8.4e22 becomes 8.4 x 10^22."""
    mantissa, exponent = f"{flops:.3g}".split("e") if flops >= 1e3 else (f"{flops:.3g}", "0")
    return rf"${mantissa}\times10^{{{int(exponent)}}}$"


def cutoff_text(fit: Fit, task: str) -> str:
    """Which scores on a task the fit has seen, in words."""
    hidden = len(fit.from_compute)
    but = f" but those of {hidden} model{'s' if hidden > 1 else ''}" if hidden else ""
    if (cutoff := cutoff_of(fit, task)) is None:
        held = len(fit.held_out) if task in fit.tasks and not hidden else 0
        return f"scores of {held} models held out" if held else f"all scores seen{but}"
    return f"scores seen up to {flops_text(cutoff)} FLOPs"


def cutoff_of(fit: Fit, task: str) -> float | None:
    """Cutoff of the scores on a task; a benchmark that only measures capability has none."""
    measures = task in fit.draws["benchmark"].to_numpy() and task not in fit.tasks
    return None if measures else fit.cutoff


def short_names(names: Sequence[str]) -> list[str]:
    """Names without what stands before the slash, where that leaves them distinct."""
    short = [name.rpartition("/")[2] for name in names]
    return [s if short.count(s) == 1 else name for s, name in zip(short, names, strict=True)]


def verdict(convergence: Convergence, problems: Sequence[str]) -> str:
    """Say in one sentence whether the sampler has converged."""
    if problems:
        return f"SAMPLER HAS NOT CONVERGED, do not rely on these intervals: {'; '.join(problems)}."
    return (
        f"Sampler converged: R-hat {convergence.rhat:.3f}, ESS {convergence.ess_bulk:.0f} (bulk) and "
        f"{convergence.ess_tail:.0f} (tail), {convergence.divergences} divergences."
    )


def fit_verdict(fit: Fit) -> str:
    """`verdict` of a fit: the worst of its stages."""
    first, *rest = fit.convergence.values()
    for record in rest:
        first = first.merge(record)
    return verdict(first, fit.problems + (energy_warning(fit) if energy_level(fit) == "FAIL" else ()))


def caption(ax: Axes, text: str, problems: Sequence[str]) -> None:
    """Write a caption under the axes, in red when there are problems.

    Parameters
    ----------
    ax : Axes
        Below its x label there must be room; a figure with a constrained layout makes it.
    text : str
        Paragraphs, divided by newlines; each is wrapped to the width of the axes.
    problems : sequence of str
        The sampler's.
    """
    # The layout comes later: count on 0.72 of the column for the axes, and on 0.55 em a letter.
    width = ax.figure.get_figure(root=True).get_figwidth() * _axes_share(ax) * 72  # type: ignore[union-attr]
    letters = max(int(0.72 * width / (0.55 * _SMALL)), 30)
    ax.annotate(
        "\n".join("\n".join(textwrap.wrap(part, letters)) for part in text.splitlines()),
        xy=(0.0, 0.0), xycoords="axes fraction", xytext=(0.0, -38.0), textcoords="offset points",
        ha="left", va="top", fontsize=_SMALL, color=ALARM if problems else GREY, annotation_clip=False,
        gid="caption",
    )  # fmt: skip


def finding_caption(ax: Axes, text: str, problems: Sequence[str]) -> None:
    """Write a caption that ends with whether the sampler behind a finding has converged."""
    bad = f"SAMPLER HAS NOT CONVERGED, do not rely on these intervals: {'; '.join(problems[:3])}."
    caption(ax, f"{text}\n{bad if problems else 'Sampler converged.'}", problems)


def _axes_share(ax: Axes) -> float:
    """Share of the figure's width that the axes' column has."""
    spec = ax.get_subplotspec()
    if spec is None:
        return float(ax.get_position().width)
    return len(spec.colspan) / spec.get_gridspec().ncols


def legend_above(ax: Axes, title: str, *rows_of_labels: Sequence[str]) -> None:
    """Put the legend above the axes, in rows of these labels as far as they were drawn, and the title above it."""
    drawn = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    wanted = [shown for row in rows_of_labels if (shown := [label for label in row if label in drawn])]
    columns, rows = max(map(len, wanted)), len(wanted)
    # matplotlib fills columns first
    labels = [label for column in zip_longest(*wanted) for label in column if label is not None]
    handles = [drawn[label] for label in labels]
    ax.legend(
        handles, labels, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, frameon=False, fontsize=_SMALL,
        borderaxespad=0.2, columnspacing=1.4, handlelength=1.6,
    )  # fmt: skip
    ax.set_title(title, loc="left", fontsize=11, pad=8 + rows * 1.55 * _SMALL)
