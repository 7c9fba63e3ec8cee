"""What capabilities are and where models stand in them: loadings, families, unknown compute, odd scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import style

if TYPE_CHECKING:
    from bayes_obscaling.analyses.anomalies import Anomalies
    from bayes_obscaling.analyses.drift import Drift
    from bayes_obscaling.analyses.efficiency import Efficiency, Worth
    from bayes_obscaling.analyses.factors import Factors
    from bayes_obscaling.analyses.latent_compute import LatentCompute
    from bayes_obscaling.evaluation.factor_choice import FactorChoice

_FLAGS = {
    "too good": (style.BLUE, "^", "flagged, too good"),
    "too bad": (style.VERMILLION, "v", "flagged, too bad"),
    "": (style.GREY, "o", "not flagged"),
}
_OVERALL = "overall"  # the mean of all capabilities
_MOST_ROWS = 40
_NAMED = 10  # models at the edge of a plot
# Decades of compute outside a family's own models beyond which its line is an extrapolation.
_FAR_DECADES = 0.8


def plot_factors(found: Factors, ax: Axes | None = None, *, tasks: bool = False) -> Axes:
    """Draw the loadings of benchmarks on factors, or the weights of tasks on benchmarks.

    Parameters
    ----------
    found : Factors
        From `bayes_obscaling.factors`.
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
    for number, (group, entries) in enumerate(groups):
        look = dict(style.SERIES[number % len(style.SERIES)])
        shift = (number - (len(groups) - 1) / 2) * 0.7 / len(groups)
        at = np.array([names.index(b) for b in entries["benchmark"]]) + shift
        fixed = (entries["q95"] == entries["q5"]).to_numpy()
        style.whiskers(ax, entries[~fixed], at[~fixed], look["color"])
        for part, face, label in ((~fixed, look["color"], str(group)), (fixed, "white", "_")):
            look |= {"markerfacecolor": face, "label": label, "markersize": 5.5}
            ax.plot(entries["median"][part], at[part], linestyle="none", zorder=3, **look)
    ax.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
    style.name_rows(ax, names)
    ax.set_xlabel(
        "weight (logits of the task per sd of the benchmark)" if tasks else "loading (logits per unit of factor)"
    )
    title = "What tasks read, mapped back to benchmarks" if tasks else "Loadings of benchmarks on factors"
    labels = [str(group) for group, _ in groups]
    style.legend_above(ax, title, *style.rows_of(labels, 4))
    note = "" if tasks else " Hollow: fixed by the anchors, which settle sign and rotation."
    style.finding_caption(ax, f"Medians with 50 and 90 % intervals.{note}", found.problems)
    return ax


def plot_efficiency(found: Efficiency, ax: Axes | None = None, *, quantity: str = "capability") -> Axes:
    """Draw what families make of their compute, best first.

    Parameters
    ----------
    found : Efficiency
        From `bayes_obscaling.efficiency`.
    quantity : {"capability", "slope", "multiplier"}
        Capability of the typical model at the reference compute, capability per decade, or FLOPs of the reference
        family worth one FLOP of this one.

    Returns
    -------
    Axes
        Medians with 50 % (thick) and 90 % intervals; hollow where the reference compute is more than 0.8 decades from
        the family's own models.

    Raises
    ------
    InputError
        For another quantity.
    """
    units = "sd of the models" if found.capability == _OVERALL else "logits"
    labels = {
        "capability": f"{found.capability} capability at {found.flops:.3g} FLOPs ({units})",
        "slope": f"{found.capability} capability per decade of compute ({units})",
        "multiplier": f"FLOPs of {found.family} worth one FLOP at {found.flops:.3g} FLOPs",
    }
    if quantity not in labels:
        raise InputError(f"There is no quantity '{quantity}': take {', '.join(labels)}.")
    rows = found.table[(found.table["capability"] == found.capability) & (found.table["quantity"] == quantity)]
    ranking = found.parts["ranking"].set_index("family")
    rows = rows.set_index("family").loc[list(ranking.index)]
    ax = style.new_axes(ax, 7.0, 0.27 * len(rows) + 1.6)
    at = np.arange(len(rows))
    style.whiskers(ax, rows, at, style.BLUE)
    far = (ranking["distance"].abs() > _FAR_DECADES).to_numpy()
    style.medians(ax, rows["median"], at, far)
    if quantity == "multiplier":
        ax.set_xscale("log")
        ax.axvline(1, color=style.GREY, linewidth=0.8, zorder=1)
    style.name_rows(ax, [f"{family} ({count})" for family, count in ranking["models"].items()])
    ax.set_xlabel(labels[quantity])
    ax.set_title(f"Families by {found.capability} capability at {found.flops:.3g} FLOPs", loc="left", fontsize=11)
    note = " Hollow: more than 0.8 decades from the family's own models." if far.any() else ""
    text = f"Medians with 50 and 90 % intervals; in brackets the number of models.{note}"
    style.finding_caption(ax, text, found.problems)
    return ax


def plot_worth(found: Worth, ax: Axes | None = None) -> Axes:
    """Draw what models are worth in the FLOPs of one family, beside their own.

    Parameters
    ----------
    found : Worth
        From `bayes_obscaling.analyses.efficiency.worth`.

    Returns
    -------
    Axes
        A row per model, the most capable first: 50 % (thick) and 90 % interval, and its own FLOPs where known.
    """
    rows = found.table.sort_values("median", ascending=False, kind="stable").head(_MOST_ROWS)
    ax = style.new_axes(ax, 7.0, 0.28 * len(rows) + 1.8)
    style.median_rows(ax, rows, style.short_names(list(rows["model"])))
    own: style.Look = {"color": style.VERMILLION, "marker": "D", "markersize": 5, "label": "its own"}
    ax.plot(rows["flops"], np.arange(len(rows)), linestyle="none", zorder=4, **own)
    ax.set_xscale("log")
    ax.set_xlabel(f"FLOPs of {found.family} by {found.capability} capability")
    style.legend_above(ax, f"What models are worth in FLOPs of {found.family}", ["its own"])
    style.finding_caption(ax, "Medians with 50 and 90 % intervals.", found.problems)
    return ax


def plot_drift(found: Drift, ax: Axes | None = None) -> Axes:
    """Draw what a year is worth in decades of compute, by capability.

    Parameters
    ----------
    found : Drift
        From `bayes_obscaling.ask.drift`.

    Returns
    -------
    Axes
        A row per capability: 50 % (thick) and 90 % interval; a band for the 90 % of the prior of a factor's drift.
    """
    rows = found.table[found.table["quantity"] == "decades"]
    ax = style.new_axes(ax, 7.0, 0.32 * len(rows) + 2.2)
    style.median_rows(ax, rows, list(rows["capability"]))
    low, high = found.parts["prior"][["prior_q5", "prior_q95"]].iloc[0]
    ax.axvspan(low, high, color=style.GREY, alpha=0.15, linewidth=0, label="prior of a factor, 90 %", zorder=1)
    ax.set_xlabel("decades of compute that a year is worth")
    style.legend_above(ax, "What a year is worth", ["prior of a factor, 90 %"])
    style.finding_caption(ax, "Medians with 50 and 90 % intervals.", found.problems)
    return ax


def plot_factor_choice(found: FactorChoice, ax: Axes | None = None) -> Axes:
    """Draw how much worse than the best each number of factors predicts a score left out, or what was released later.

    Parameters
    ----------
    found : FactorChoice
        From `bayes_obscaling.compare_factors`.

    Returns
    -------
    Axes
        Difference of log density to the best number (of CRPS, where no score was left out), with one standard error.
    """
    rows = found.table
    if "difference" not in rows:
        rows = rows.assign(difference=rows["crps_difference"], se=rows["crps_se"])
        what, text = "CRPS of later models' scores,\nless that of the best", f"{rows['cells'].max():.0f} forecasts"
    else:
        what = "log density of scores left out,\nless that of the best"
        text = f"{rows['scores'].max():.0f} scores, each left out in turn"
    ax = style.new_axes(ax, 6.0, 4.0)
    look: style.Look = {"color": style.BLUE, "marker": "o", "markersize": 5.5}
    ax.errorbar(rows["factors"], rows["difference"], rows["se"], linewidth=1.2, capsize=3, **look)
    ax.axhline(0, color=style.GREY, linewidth=0.8, zorder=1)
    ax.set_xticks(rows["factors"])
    style.finish(ax, "How many factors predict best", "factors", what, "both")
    style.finding_caption(ax, f"{text}. Bars: one standard error.", found.problems)
    return ax


def plot_latent_compute(found: LatentCompute, ax: Axes | None = None) -> Axes:
    """Draw the intervals of unknown FLOPs, or of hidden ones against the truth.

    Parameters
    ----------
    found : LatentCompute
        From `bayes_obscaling.latent_compute` or `bayes_obscaling.check_latent_compute`.

    Returns
    -------
    Axes
        A row per model. For a check, the truth across and the inferred FLOPs up, on two logarithmic axes.
    """
    if "flops" in found.table:
        return _plot_hidden_compute(found, ax)
    rows = found.table.sort_values("median", ascending=False)
    ax = style.new_axes(ax, 7.0, 0.3 * len(rows) + 1.6)
    at = np.arange(len(rows))
    style.whiskers(ax, rows, at, style.BLUE)
    style.medians(ax, rows["median"], at, (rows["siblings"] == 0).to_numpy())
    ax.set_xscale("log")
    style.name_rows(ax, style.short_names(list(rows["model"])))
    ax.set_xlabel("training compute (FLOPs)")
    ax.set_title("Training compute, inferred from scores", loc="left", fontsize=11)
    text = "Medians with 50 and 90 % intervals. Hollow: no FLOPs are known in the family."
    style.finding_caption(ax, text, found.problems)
    return ax


def _plot_hidden_compute(found: LatentCompute, ax: Axes | None) -> Axes:
    """Draw the FLOPs inferred against the true ones, which were hidden."""
    table = found.table
    ax = style.new_axes(ax, 6.5, 6.0)
    for row in table.itertuples():
        inside = row.q5 <= row.flops <= row.q95
        colour = style.BLUE if inside else style.VERMILLION
        ax.plot([row.flops] * 2, [row.q5, row.q95], color=colour, linewidth=1.0, alpha=0.6, zorder=2)
        ax.plot(row.flops, row.median, "o" if inside else "D", color=colour, markersize=4, zorder=3)
    ends = [table["flops"].min() / 2, table["flops"].max() * 2]
    ax.plot(ends, ends, color=style.GREY, linewidth=1, zorder=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    style.finish(
        ax, "Hidden FLOPs, inferred from scores", "FLOPs, hidden from the fit", "FLOPs inferred (90 % interval)", "both"
    )
    outside = table[(table["flops"] < table["q5"]) | (table["flops"] > table["q95"])].head(_NAMED)
    places = outside[["flops", "median"]].set_axis(["x", "y"], axis=1)
    style.name_at_right(ax, places.assign(name=style.short_names(list(outside["model"])), colour=style.VERMILLION))
    every = found.parts["coverage"].iloc[0]
    text = (
        f"{every['n']:.0f} models; the 90 % interval held {every['coverage_90']:.0%}, the 50 % interval "
        f"{every['coverage_50']:.0%}. Diamonds, named: outside the 90 % interval."
    )
    style.finding_caption(ax, text, found.problems)
    return ax


def plot_anomalies(found: Anomalies, ax: Axes | None = None, *, rows: int = 20) -> Axes:
    """Draw the oddest scores and family offsets.

    Parameters
    ----------
    found : Anomalies
        From `bayes_obscaling.anomalies`.
    rows : int
        How many, at most 40: flagged ones first, of either kind in turn, those of the largest excess before others;
        then the oddest.

    Returns
    -------
    Axes
        Excess over what was expected: median, 50 % (thick) and 90 % intervals; single scores above families, the
        largest excess on top; flagged rows in colour.
    """
    shown = _oddest(found.table, min(rows, _MOST_ROWS))
    ax = style.new_axes(ax, 8.0, 0.28 * len(shown) + 1.8)
    at = np.arange(len(shown))
    for flag, (colour, marker, label) in _FLAGS.items():
        flagged = (shown["flag"] == flag).to_numpy()
        style.whiskers(ax, shown[flagged], at[flagged], colour)
        look: style.Look = {"color": colour, "marker": marker, "markersize": 6, "label": label, "zorder": 3}
        ax.plot(shown["median"][flagged], at[flagged], linestyle="none", **look)
    ax.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
    full = list(dict.fromkeys(m for m in shown["model"] if m))
    short = dict(zip(full, style.short_names(full), strict=True))
    who = [short[m] if m else f"{f} (family)" for m, f in zip(shown["model"], shown["family"], strict=True)]
    style.name_rows(ax, [f"{name}, {b}" for name, b in zip(who, shown["benchmark"], strict=True)])
    ax.set_xlabel("excess over the score expected from the other scores (score units)")
    style.legend_above(
        ax, "Scores that fit a model's, or a family's, other scores least", [label for *_, label in _FLAGS.values()]
    )
    text = f"Medians with 50 and 90 % intervals; flags: at most {found.false_flags:.0%} of them false."
    flags, drawn = (int((table["flag"] != "").sum()) for table in (found.table, shown))
    if drawn < flags:
        text += f" {drawn} of {flags} flags are drawn."
    style.finding_caption(ax, text, found.problems)
    return ax


def _oddest(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """Rows to draw, in their order."""
    flagged, others = table[table["flag"] != ""], table[table["flag"] == ""]
    size = flagged["median"].abs().sort_values(ascending=False, kind="stable")
    turn = flagged.loc[size.index].groupby("kind").cumcount().sort_values(kind="stable")
    chosen = [*turn.index, *others.sort_values("tail", kind="stable").index][:most]
    return table.loc[chosen].sort_values(["kind", "median"], ascending=False, kind="stable")
