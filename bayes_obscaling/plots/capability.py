"""What capabilities are and where models stand in them: loadings, families, unknown compute, odd scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bayes_obscaling.analyses.anomalies import TOO_BAD, TOO_GOOD, Anomalies
from bayes_obscaling.analyses.efficiency import OVERALL, Efficiency
from bayes_obscaling.analyses.factors import Factors
from bayes_obscaling.analyses.latent_compute import LatentCompute
from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import style

# Okabe and Ito, and a marker for each: factors are told apart without colour too.
_FACTORS: tuple[dict[str, Any], ...] = (
    {"color": style.BLUE, "marker": "o"}, {"color": style.VERMILLION, "marker": "s"},
    {"color": "#009E73", "marker": "^"}, {"color": "#CC79A7", "marker": "D"}, {"color": "#E69F00", "marker": "v"},
    {"color": "#56B4E9", "marker": "P"}, {"color": "black", "marker": "X"}, {"color": style.GREY, "marker": "*"},
)  # fmt: skip
_MOST_ROWS = 40


def plot_factors(found: Factors, ax: Axes | None = None, *, tasks: bool = False) -> Axes:
    """Draw the loadings of benchmarks on factors, or the weights of tasks on benchmarks.

    Parameters
    ----------
    found : Factors
        From `bayes_obscaling.analyses.factors.factors`.
    ax : Axes, optional
        Where to draw; default a new figure.
    tasks : bool
        Draw what the tasks' heads read, mapped back to benchmarks, instead of the loadings.

    Returns
    -------
    Axes
        Medians with 50 % (thick) and 90 % intervals; fixed loadings are hollow.

    Raises
    ------
    InputError
        For task weights of a fit that was asked for no task.
    """
    if tasks and "tasks" not in found.parts:
        raise InputError("The fit was asked for no task, so there are no task weights: fit with a task.")
    rows = found.parts["tasks"] if tasks else found.table
    groups = list(rows.groupby("task" if tasks else "factor", sort=False))
    names = list(dict.fromkeys(rows["benchmark"]))
    ax = style.new_axes(ax, 7.5, 0.55 * len(names) + 1.8)
    for number, (group, mine) in enumerate(groups):
        look = _FACTORS[number % len(_FACTORS)]
        shift = (number - (len(groups) - 1) / 2) * 0.7 / len(groups)
        at = np.array([names.index(b) for b in mine["benchmark"]]) + shift
        fixed = (mine["q95"] == mine["q5"]).to_numpy()
        _whiskers(ax, mine[~fixed], at[~fixed], look["color"])
        for part, hollow in ((~fixed, False), (fixed, True)):
            ax.plot(
                mine["median"][part], at[part], linestyle="none", markersize=5.5, zorder=3, **look,
                markerfacecolor="white" if hollow else look["color"], label="_" if hollow else str(group),
            )  # fmt: skip
    ax.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
    _name_rows(ax, names)
    ax.set_xlabel("weight (logits of the task a sd of the benchmark)" if tasks else "loading (logits a unit of factor)")
    title = "What tasks read, mapped back to benchmarks" if tasks else "Loadings of benchmarks on factors"
    labels = [str(group) for group, _ in groups]
    style.legend_above(ax, title, *[labels[i : i + 4] for i in range(0, len(labels), 4)])
    note = "" if tasks else " Hollow: fixed by the anchors, which settle sign and rotation."
    style.finding_caption(ax, f"Medians with 50 and 90 % intervals.{note}", found.problems)
    return ax


def plot_efficiency(found: Efficiency, ax: Axes | None = None, *, quantity: str = "capability") -> Axes:
    """Draw what families make of their compute, best first.

    Parameters
    ----------
    found : Efficiency
        From `bayes_obscaling.analyses.efficiency.efficiency`.
    ax : Axes, optional
        Where to draw; default a new figure.
    quantity : {"capability", "slope", "multiplier"}
        Capability of the typical model at the reference compute, capability a decade, or FLOPs of the reference
        family worth one FLOP of this one.

    Returns
    -------
    Axes
        Medians with 50 % (thick) and 90 % intervals; hollow where the reference compute is more than .8 decades from
        the family's own models.

    Raises
    ------
    InputError
        For another quantity.
    """
    units = "sd of the models" if found.capability == OVERALL else "logits"
    labels = {
        "capability": f"{found.capability} capability at {found.flops:.3g} FLOPs ({units})",
        "slope": f"{found.capability} capability a decade of compute ({units})",
        "multiplier": f"FLOPs of {found.family} worth one FLOP at {found.flops:.3g} FLOPs",
    }
    if quantity not in labels:
        raise InputError(f"There is no quantity '{quantity}': take {', '.join(labels)}.")
    rows = found.table[(found.table["capability"] == found.capability) & (found.table["quantity"] == quantity)]
    ranking = found.parts["ranking"].set_index("family")
    rows = rows.set_index("family").loc[list(ranking.index)]
    ax = style.new_axes(ax, 7.0, 0.27 * len(rows) + 1.6)
    at = np.arange(len(rows))
    _whiskers(ax, rows, at, style.BLUE)
    far = (ranking["distance"].abs() > 0.8).to_numpy()
    for part, face in ((~far, style.BLUE), (far, "white")):
        ax.plot(
            rows["median"][part], at[part], linestyle="none", marker="o", markersize=5.5, color=style.BLUE,
            markerfacecolor=face, zorder=3,
        )  # fmt: skip
    if quantity == "multiplier":
        ax.set_xscale("log")
        ax.axvline(1, color=style.GREY, linewidth=0.8, zorder=1)
    _name_rows(ax, [f"{family} ({count})" for family, count in ranking["models"].items()])
    ax.set_xlabel(labels[quantity])
    ax.set_title("Families by what they make of their compute", loc="left", fontsize=11)
    note = " Hollow: more than .8 decades from the family's own models." if far.any() else ""
    text = f"Medians with 50 and 90 % intervals; in brackets the number of models.{note}"
    style.finding_caption(ax, text, found.problems)
    return ax


def plot_latent_compute(found: LatentCompute, ax: Axes | None = None) -> Axes:
    """Draw the intervals of unknown FLOPs, or of hidden ones against the truth.

    Parameters
    ----------
    found : LatentCompute
        From `latent_compute` or `check_latent_compute`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        A row a model. For a check, the truth across and the inferred FLOPs up, on two logarithmic axes.
    """
    table = found.table
    if "flops" in table:
        ax = style.new_axes(ax, 6.5, 6.0)
        for row in table.itertuples():
            held = row.q5 <= row.flops <= row.q95
            colour = style.BLUE if held else style.VERMILLION
            ax.plot([row.flops] * 2, [row.q5, row.q95], color=colour, linewidth=1.0, alpha=0.6, zorder=2)
            ax.plot(row.flops, row.median, "o" if held else "D", color=colour, markersize=4, zorder=3)
        ends = [table["flops"].min() / 2, table["flops"].max() * 2]
        ax.plot(ends, ends, color=style.GREY, linewidth=1, zorder=1)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("FLOPs, hidden from the fit")
        ax.set_ylabel("FLOPs inferred (90 % interval)")
        every = found.parts["coverage"].iloc[0]
        text = (
            f"{every['n']} models; the 90 % interval held {every['coverage_90']:.0%}, the 50 % interval "
            f"{every['coverage_50']:.0%}. Diamonds: outside the 90 % interval."
        )
        style.tidy(ax, "both")
        ax.set_title("Hidden FLOPs, inferred from scores", loc="left", fontsize=11)
    else:
        rows = table.sort_values("median", ascending=False)
        ax = style.new_axes(ax, 7.0, 0.3 * len(rows) + 1.6)
        at = np.arange(len(rows))
        _whiskers(ax, rows, at, style.BLUE)
        alone = (rows["siblings"] == 0).to_numpy()
        for part, face in ((~alone, style.BLUE), (alone, "white")):
            ax.plot(
                rows["median"][part], at[part], linestyle="none", marker="o", markersize=5.5, color=style.BLUE,
                markerfacecolor=face, zorder=3,
            )  # fmt: skip
        ax.set_xscale("log")
        _name_rows(ax, style.short_names(list(rows["model"])))
        ax.set_xlabel("training compute (FLOPs)")
        ax.set_title("Training compute, inferred from scores", loc="left", fontsize=11)
        text = "Medians with 50 and 90 % intervals. Hollow: no FLOPs are known in the family."
    style.finding_caption(ax, text, found.problems)
    return ax


def plot_anomalies(found: Anomalies, ax: Axes | None = None, *, rows: int = 20) -> Axes:
    """Draw the oddest scores and family offsets.

    Parameters
    ----------
    found : Anomalies
        From `bayes_obscaling.analyses.anomalies.anomalies`.
    ax : Axes, optional
        Where to draw; default a new figure.
    rows : int
        How many, the oddest first, at most 40.

    Returns
    -------
    Axes
        Excess over what was expected: median, 50 % (thick) and 90 % intervals; flagged rows in colour.
    """
    shown = found.table.sort_values("tail", kind="stable").head(min(rows, _MOST_ROWS))
    ax = style.new_axes(ax, 8.0, 0.28 * len(shown) + 1.8)
    at = np.arange(len(shown))
    looks = {TOO_GOOD: (style.BLUE, "^"), TOO_BAD: (style.VERMILLION, "v"), "": (style.GREY, "o")}
    for flag, (colour, marker) in looks.items():
        mine = (shown["flag"] == flag).to_numpy()
        _whiskers(ax, shown[mine], at[mine], colour)
        ax.plot(
            shown["median"][mine], at[mine], linestyle="none", marker=marker, color=colour, markersize=6, zorder=3,
            label=f"flagged, {flag}" if flag else "not flagged",
        )  # fmt: skip
    ax.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
    full = list(dict.fromkeys(m for m in shown["model"] if m))
    short = dict(zip(full, style.short_names(full), strict=True))
    who = [short[m] if m else f"{f} (family)" for m, f in zip(shown["model"], shown["family"], strict=True)]
    _name_rows(ax, [f"{name}, {b}" for name, b in zip(who, shown["benchmark"], strict=True)])
    ax.set_xlabel("excess over the score expected from the other scores")
    style.legend_above(
        ax, "The oddest scores", [f"flagged, {TOO_GOOD}", f"flagged, {TOO_BAD}", "not flagged"]
    )  # fmt: skip
    text = f"Medians with 50 and 90 % intervals; flags: at most {found.false_flags:.0%} of them false."
    style.finding_caption(ax, text, found.problems)
    return ax


def _whiskers(ax: Axes, rows: pd.DataFrame, at: np.ndarray, colour: str) -> None:
    """90 % intervals, and 50 % ones on them."""
    ax.hlines(at, rows["q5"], rows["q95"], color=colour, linewidth=1.1, alpha=0.7, zorder=2)
    ax.hlines(at, rows["q25"], rows["q75"], color=colour, linewidth=3.0, alpha=0.7, zorder=2)


def _name_rows(ax: Axes, names: list[str]) -> None:
    """Labels from the top down."""
    ax.set_yticks(range(len(names)), names, fontsize=8.5)
    ax.set_ylim(len(names) - 0.4, -0.6)
    style.tidy(ax, "x")
