"""What all plots share: colours, names, axes and legends, the verdict that travels with every plot."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import cycle, zip_longest
from typing import TYPE_CHECKING, Any, TypeAlias

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

if TYPE_CHECKING:
    from bayes_obscaling.results.convergence import Convergence
    from bayes_obscaling.results.seen import Seen

Look: TypeAlias = dict[str, Any]

# Okabe and Ito (2008): told apart by colour-blind readers; markers also differ in shape and filling.
BLUE, VERMILLION, GREY, ALARM = "#0072B2", "#D55E00", "#6E6E6E", "#C00000"
GREEN, PURPLE, ORANGE, SKY = "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
SEEN: Look = {
    "marker": "o",
    "markerfacecolor": "black",
    "markeredgecolor": "black",
    "label": "observed, seen by the fit",
}
HELD_OUT: Look = {
    "marker": "D",
    "markerfacecolor": "white",
    "markeredgecolor": VERMILLION,
    "markeredgewidth": 1.4,
    "label": "observed, held out",
}
# Shades of blue on white, light to dark.
SHADES = {0.95: "#D4E6F1", 0.9: "#A9CCE6", 0.8: "#6BA8D1", 0.5: BLUE}
# A method looks the same in every plot: what reads principal components is reddish, with chance as its floor or free;
# what reads compute is green, by family purple, of one family alone sky blue. Ours is blue.
_METHODS = {
    "bayes": (BLUE, "o"),
    "pc-1": (VERMILLION, "<"),
    "pc-2": (VERMILLION, ">"),
    "pc-3": (VERMILLION, "s"),
    "pc-4": (VERMILLION, "h"),
    "pc-1-parametric": (ORANGE, "<"),
    "pc-2-parametric": (ORANGE, ">"),
    "pc-3-parametric": (ORANGE, "v"),
    "pc-4-parametric": (ORANGE, "h"),
    "compute": (GREEN, "^"),
    "compute-parametric": (GREEN, "d"),
    "size": (GREY, "P"),
    "size-parametric": (GREY, "p"),
    "family-logistic": (PURPLE, "D"),
    "family compute": (SKY, "X"),
    "mean": ("black", "*"),
    "no change": ("black", "x"),
    "mean gain": ("black", "+"),
    "best-so-far": (VERMILLION, "*"),
    "latest-median": (PURPLE, "*"),
    "date-logistic": (SKY, "*"),
    "factor-date": (GREEN, "*"),
}
_OURS = "bayes"
_OUR_COLOURS = (BLUE, "black", SKY, ORANGE)
SMALL = 8.0
# Mean width of a letter of a caption, in em.
_LETTER = 0.52
_MOST_PROBLEMS = 4
# Things of one kind that a plot tells apart, without colour too.
SERIES: tuple[Look, ...] = tuple(
    {"color": colour, "marker": marker}
    for colour, marker in zip((BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, "black", GREY), "os^DvPX*", strict=True)
)


# --- names ----------------------------------------------------------------------------------------------------------


def flops_text(flops: float) -> str:
    """FLOPs as mathtext: 8.4e22 becomes 8.4 x 10^22."""
    mantissa, exponent = f"{flops:.3g}".split("e") if flops >= 1e3 else (f"{flops:.3g}", "0")
    return rf"${mantissa}\times10^{{{int(exponent)}}}$"


def seen_text(seen: Seen) -> str:
    """Which scores on a task the fit has seen, in words."""
    if seen.cutoff is not None:
        return f"scores seen up to {flops_text(seen.cutoff)} FLOPs"
    if seen.as_of is not None:
        return f"scores seen of models released before {seen.as_of}"
    if seen.hidden:
        return f"all scores seen but those of {seen.hidden} model{'s' if seen.hidden > 1 else ''}"
    return f"scores of {seen.held_out} models held out" if seen.held_out else "all scores seen"


def short_names(names: Sequence[str]) -> list[str]:
    """Names without what stands before the slash, where that leaves them distinct."""
    short = [name.rpartition("/")[2] for name in names]
    return [s if short.count(s) == 1 else name for s, name in zip(short, names, strict=True)]


def capitalised(text: str) -> str:
    """A title with a capital first letter, unless it starts with a name and a colon."""
    return text if ":" in text else text[:1].upper() + text[1:]


# --- verdicts and captions ------------------------------------------------------------------------------------------


def verdict(convergence: Convergence, problems: Sequence[str]) -> str:
    """Say in one sentence whether the sampler has converged."""
    return not_converged(problems) if problems else f"Sampler converged: {convergence.numbers}."


def not_converged(problems: Sequence[str]) -> str:
    """Say in one sentence what went wrong in sampling; of many things the first."""
    more = len(problems) - _MOST_PROBLEMS
    others = f"; and {more} more" if more > 0 else ""
    return f"SAMPLER HAS NOT CONVERGED, do not rely on these intervals: {'; '.join(problems[:_MOST_PROBLEMS])}{others}."


def caption(ax: Axes, text: str, judgement: str = "", problems: Sequence[str] = ()) -> None:
    """Write a caption under the axes, and under it what the sampler says of itself, in red when it has failed.

    Paragraphs are divided by newlines; each is wrapped to the width of the axes. Below the x label there must be room;
    a figure with a constrained layout makes it.
    """
    look: Look = {"textcoords": "offset points", "ha": "left", "va": "top", "fontsize": SMALL, "annotation_clip": False}
    above: Any = "axes fraction"
    letters, gap = _letters(ax), -38.0
    parts = ((text, "caption", GREY), (judgement, "verdict", ALARM if problems else GREY))
    for part, name, colour in parts:
        if part:
            wrapped = "\n".join("\n".join(textwrap.wrap(line, letters)) for line in part.splitlines())
            look |= {"xycoords": above, "xytext": (0.0, gap), "color": colour, "gid": name}
            above, gap = ax.annotate(wrapped, xy=(0.0, 0.0), **look), -2.5


def finding_caption(ax: Axes, text: str, problems: Sequence[str]) -> None:
    """Write a caption that ends with whether the sampler behind a finding has converged."""
    caption(ax, text, not_converged(problems) if problems else "Sampler converged.", problems)


def cells_caption(ax: Axes, text: Iterable[str], table: pd.DataFrame) -> None:
    """Write a caption that ends with how many of our forecasts in a table of cells have converged."""
    ours = table[table["place"] == 0]
    total, bad = int(ours["n"].sum()), int(ours["not_converged"].sum())
    problems = [f"{bad} of {total} forecasts"] if bad else []
    judgement = not_converged(problems) if bad else ""
    if total and not bad:
        judgement = f"Sampler converged for {f'all {total} forecasts' if total > 1 else 'the forecast'}."
    caption(ax, "\n".join(filter(None, text)), judgement, problems)


def _letters(ax: Axes) -> int:
    """Letters that fit under the axes: the layout comes later, but the labels at their left are known."""
    width = ax.figure.get_figure(root=True).get_figwidth() * _axes_share(ax) * 72  # type: ignore[union-attr]
    labels = [text.get_text() for text in ax.get_yticklabels()] if ax.axison else []
    beside = 0.55 * SMALL * max(map(len, labels), default=0) + (38 if ax.get_ylabel() else 24)
    return max(int((width - beside) / (_LETTER * SMALL)), 30)


def _axes_share(ax: Axes) -> float:
    """Share of the figure's width that the axes' column has."""
    spec = ax.get_subplotspec()
    if spec is None:
        return float(ax.get_position().width)
    return len(spec.colspan) / spec.get_gridspec().ncols


# --- axes and legends -----------------------------------------------------------------------------------------------


def new_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """Return `ax`, or the axes of a new figure of that size in inches."""
    return plt.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax


def tidy(ax: Axes, axis: str) -> None:
    """Take off the box, and put pale grid lines behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=axis, color="0.9", linewidth=0.8)  # type: ignore[arg-type]
    ax.set_axisbelow(True)


def finish(ax: Axes, title: str, x: str, y: str, grid: str) -> None:
    """Say what the axes show, in plain letters, and tidy them."""
    tidy(ax, grid)
    ax.set_title(title, loc="left", fontsize=11)
    ax.set_xlabel(x)
    ax.set_ylabel(y)


def log_axis(ax: Axes, values: pd.Series) -> None:
    """Make the x axis one of ratios, with plain numbers at 1, 2 and 5 times powers of ten."""
    ax.set_xscale("log")
    low, high = values.min() / 1.3, values.max() * 1.3
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    ax.set_xlim(low, high)
    ticks = np.concatenate([powers, 2 * powers, 5 * powers])
    ax.xaxis.set_major_locator(FixedLocator(sorted(ticks[(ticks >= low) & (ticks <= high)])))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def legend_above(ax: Axes, title: str, *rows_of_labels: Sequence[str]) -> None:
    """Put the legend above the axes, in rows of these labels as far as they were drawn, and the title above it."""
    drawn = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    wanted = [shown for row in rows_of_labels if (shown := [label for label in row if label in drawn])]
    columns, rows = max(map(len, wanted)), len(wanted)
    # matplotlib fills columns first
    labels = [label for column in zip_longest(*wanted) for label in column if label is not None]
    ax.legend(
        [drawn[label] for label in labels],
        labels,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=SMALL,
        borderaxespad=0.2,
        columnspacing=1.4,
        handlelength=1.6,
    )
    ax.set_title(title, loc="left", fontsize=11, pad=8 + rows * 1.55 * SMALL)


def rows_of(labels: Iterable[str], length: int) -> list[list[str]]:
    """Labels in rows of that many, for a legend."""
    names = list(labels)
    return [names[start : start + length] for start in range(0, len(names), length)]


# --- looks ----------------------------------------------------------------------------------------------------------


def method_look(method: str) -> Look:
    """Colour and marker of a method, by its name."""
    colour, marker = _METHODS.get(method, (GREY, "8"))
    return {"color": colour, "marker": marker}


def method_name(line: str) -> str:
    """What a method, or a method and its spec ("bayes, curved"), is called in a plot."""
    return f"ours{line.removeprefix(_OURS)}" if line.partition(",")[0] == _OURS else line


def line_looks(table: pd.DataFrame) -> dict[str, Look]:
    """Looks of the lines of a table with columns ``line, method, place``, ours (one per spec) first and thickest."""
    lines = table.drop_duplicates("line").sort_values("place", kind="stable")
    colours = cycle(_OUR_COLOURS)
    looks = {}
    for line, method, place in lines[["line", "method", "place"]].itertuples(index=False):
        if place == 0:
            look: Look = {"color": next(colours), "marker": "o", "linewidth": 2.0, "markersize": 5, "zorder": 3}
        else:
            look = method_look(method) | {"linewidth": 1.2, "linestyle": "--", "markersize": 4.5, "zorder": 2.5}
        looks[str(line)] = look
    return looks


def name_at_right(ax: Axes, points: pd.DataFrame) -> None:
    """Name points at the right of the axes, apart from each other, each name joined to its point.

    Columns: ``x, y`` (in data units), ``name`` and ``colour``; ``key`` where another name than the one shown marks it.
    """
    if points.empty:
        return
    to_axes = ax.transData + ax.transAxes.inverted()
    heights = to_axes.transform(points[["x", "y"]].to_numpy(float))[:, 1]
    # Where points lie at about one height, the name of one farther left stands farther from it: fewer crossings.
    at = points.assign(height=heights)
    at["early"] = np.where(at["height"] < 0.5, -at["x"], at["x"])
    at = at.assign(level=at["height"].round(1)).sort_values(["level", "early"])
    heights = _apart(at["height"].to_numpy(float), gap=0.06, high=0.98)
    leader = {"arrowstyle": "-", "color": "0.7", "linewidth": 0.7, "relpos": (0.0, 0.5), "shrinkA": 1, "shrinkB": 2}
    keys = at["key"] if "key" in at else at["name"]
    for x, y, name, colour, key, height in zip(at["x"], at["y"], at["name"], at["colour"], keys, heights, strict=True):
        look: Look = {"va": "center", "ha": "left", "fontsize": 7.5, "color": colour, "gid": f"name {key}"}
        place: Look = {"xytext": (1.03, height), "textcoords": "axes fraction", "annotation_clip": False}
        ax.annotate(name, xy=(x, y), arrowprops=leader, **place, **look)


def _apart(heights: np.ndarray, gap: float, high: float) -> np.ndarray:
    """Rising heights at least a gap apart, none above `high`."""
    heights = heights.copy()
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + gap)
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], high if i == len(heights) - 1 else heights[i + 1] - gap)
    return heights


def bands(ax: Axes, x: Any, table: pd.DataFrame, outer: str = SHADES[0.95]) -> None:
    """Draw the 90 and 50 % bands of a table with columns ``q5, q25, q75, q95``."""
    ax.fill_between(x, table["q5"], table["q95"], color=outer, linewidth=0, label="90 % band", zorder=1)
    ax.fill_between(x, table["q25"], table["q75"], color=SHADES[0.8], linewidth=0, label="50 % band", zorder=1.2)


def whiskers(ax: Axes, rows: pd.DataFrame, at: np.ndarray, colour: str) -> None:
    """Draw 90 % intervals, and thicker 50 % ones on them, of a table with columns ``q5, q25, q75, q95``."""
    ax.hlines(at, rows["q5"], rows["q95"], color=colour, linewidth=1.1, alpha=0.7, zorder=2)
    ax.hlines(at, rows["q25"], rows["q75"], color=colour, linewidth=3.0, alpha=0.7, zorder=2)


def name_rows(ax: Axes, names: Sequence[str]) -> None:
    """Label rows from the top down."""
    ax.set_yticks(range(len(names)), names, fontsize=8.5)
    ax.set_ylim(len(names) - 0.4, -0.6)
    tidy(ax, "x")


def medians(ax: Axes, values: pd.Series, at: np.ndarray, hollow: np.ndarray) -> None:
    """Draw medians as points, some of them hollow."""
    for part, face in ((~hollow, BLUE), (hollow, "white")):
        look: Look = {"color": BLUE, "markerfacecolor": face, "markersize": 5.5, "zorder": 3}
        ax.plot(values[part], at[part], linestyle="none", marker="o", **look)


def median_rows(ax: Axes, rows: pd.DataFrame, names: Sequence[str]) -> None:
    """Draw a row per thing from the top down: median, 50 and 90 % interval."""
    at = np.arange(len(rows))
    whiskers(ax, rows, at, BLUE)
    ax.plot(rows["median"], at, "o", color=BLUE, markersize=5, zorder=3)
    name_rows(ax, names)


def family_bars(ax: Axes, x: Any, low: Any, high: Any, colour: str = BLUE) -> None:
    """Draw intervals from resampling families."""
    ax.vlines(x, low, high, color=colour, linewidth=1.2, alpha=0.6, zorder=2, gid="families")
