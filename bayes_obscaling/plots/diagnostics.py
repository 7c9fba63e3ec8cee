"""One plot for each check of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from scipy import stats

from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import style
from bayes_obscaling.results.diagnostics.influence import SHIFT_LIMIT
from bayes_obscaling.results.diagnostics.ladder import ACCURACIES
from bayes_obscaling.results.diagnostics.priors import SENSITIVITY_LIMIT
from bayes_obscaling.results.diagnostics.sampler import BFMI_LIMITS, Stage, columns_of, stages_of
from bayes_obscaling.results.leave_one_out import HEADS, pareto_limit

if TYPE_CHECKING:
    from bayes_obscaling.results.diagnostics import Diagnosis

_COLOURS = {"PASS": "#009E73", "REVIEW": "#E69F00", "FAIL": style.ALARM}
_MARKERS = {"PASS": "o", "REVIEW": "s", "FAIL": "X"}
_CHAINS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000"]
_BINS = 20
_ENVELOPE = 0.95
_SMALL = 8.0


def plot_checks(diagnosis: Diagnosis, ax: Axes | None = None) -> Axes:
    """List all checks with their level and what they have found, the verdict as title.

    Parameters
    ----------
    diagnosis : Diagnosis
        From `bayes_obscaling.diagnose`.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
    """
    table = diagnosis.table
    ax = style.new_axes(ax, 11.0, 1.0 + 0.34 * len(table))
    for row, check in enumerate(table.itertuples()):
        ax.plot(0, row, _MARKERS[str(check.level)], color=_COLOURS[str(check.level)], markersize=8, clip_on=False)
        ax.text(0.15, row, str(check.check), va="center", fontsize=_SMALL, fontweight="bold")
        ax.text(2.9, row, _shortened(str(check.what)), va="center", fontsize=_SMALL)
    ax.set_xlim(-0.1, 10.0)
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.axis("off")
    ax.set_title(f"Diagnosis: {diagnosis.verdict}", loc="left", fontsize=11, color=_COLOURS[diagnosis.verdict])
    return ax


def _shortened(text: str, most: int = 110) -> str:
    return text if len(text) <= most else text[: most - 3].rstrip() + "..."


def plot_ranks(diagnosis: Diagnosis, ax: Axes | None = None, parameter: str | None = None) -> Axes:
    """Draw how each chain's ranks of a parameter spread; flat where chains agree (Vehtari et al. 2021, section 4.3).

    Parameters
    ----------
    diagnosis : Diagnosis
        From `bayes_obscaling.diagnose`.
    ax : Axes, optional
        Where to draw; default a new figure.
    parameter : str, optional
        As in ``diagnosis.parts["parameters"]``; default the one with the largest R-hat.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        For a parameter that the fit does not hold.
    """
    stage, name = _parameter(diagnosis, parameter)
    values = columns_of(stage.draws).sel(entry=name).transpose("chain", "draw").to_numpy()
    ranks = stats.rankdata(values).reshape(values.shape) / values.size
    ax = style.new_axes(ax, 6.0, 3.6)
    edges = np.linspace(0.0, 1.0, _BINS + 1)
    expected = values.shape[1] / _BINS
    for chain, row in enumerate(ranks):
        heights = np.histogram(row, edges)[0] / expected
        colour = _CHAINS[chain % len(_CHAINS)]
        ax.stairs(heights, edges, color=colour, linewidth=1.4, label=f"chain {chain + 1}")
    ax.axhline(1.0, color=style.GREY, linestyle=":", linewidth=1.2)
    row = diagnosis.parts["parameters"].query("stage == @stage.label and parameter == @name").iloc[0]
    _finish(ax, f"Ranks: {name}", "rank among all chains", "draws in the bin / expected", "y")
    ax.set_ylim(bottom=0.0)
    ax.legend(frameon=False, fontsize=_SMALL, ncols=2)
    style.caption(ax, f"{stage.label}: R-hat {row['rhat']:.3f}, bulk ESS {row['ess_bulk']:.0f}.", diagnosis.problems)
    return ax


def plot_trace(diagnosis: Diagnosis, ax: Axes | None = None, parameter: str | None = None) -> Axes:
    """Draw a parameter's chains one after the other; arguments and errors as for `plot_ranks`. Divergences as ticks."""
    stage, name = _parameter(diagnosis, parameter)
    values = columns_of(stage.draws).sel(entry=name).transpose("chain", "draw").to_numpy()
    diverging = stage.stats["diverging"].transpose("chain", "draw").to_numpy()
    ax = style.new_axes(ax, 6.0, 3.6)
    for chain, row in enumerate(values):
        ax.plot(row, color=_CHAINS[chain % len(_CHAINS)], linewidth=0.5, alpha=0.8, label=f"chain {chain + 1}")
    if diverging.any():
        at = np.nonzero(diverging)[1]
        ax.plot(at, np.full(len(at), values.min()), "|", color="black", markersize=9, label="divergence")
    _finish(ax, f"Trace: {name}", "draw", "value", "y")
    style.caption(ax, f"{stage.label}.", diagnosis.problems)
    return ax


def _parameter(diagnosis: Diagnosis, parameter: str | None) -> tuple[Stage, str]:
    table = diagnosis.parts["parameters"]
    if parameter is None:
        row = table.loc[table["rhat"].fillna(np.inf).idxmax()]
    elif (table["parameter"] == parameter).any():
        row = table[table["parameter"] == parameter].iloc[0]
    else:
        raise InputError(
            f"The fit holds no parameter '{parameter}': name one as in diagnosis.parts['parameters'], such as "
            f"{table['parameter'].iloc[0]}."
        )
    stage = next(stage for stage in stages_of(diagnosis.fit) if stage.label == row["stage"])
    return stage, str(row["parameter"])


def plot_energy(diagnosis: Diagnosis, ax: Axes | None = None) -> Axes:
    """Draw the E-BFMI of every chain of every stage, with its limits; arguments as for `plot_checks`."""
    table = diagnosis.parts["energy"]
    ax = style.new_axes(ax, 6.0, 3.0)
    labels = list(dict.fromkeys(table["stage"]))
    for row, label in enumerate(labels):
        mine = table[table["stage"] == label]
        ax.scatter(mine["e_bfmi"], np.full(len(mine), row), color=style.BLUE, s=24, zorder=3)
    for limit in BFMI_LIMITS:
        ax.axvline(limit, color=style.ALARM, linestyle=":", linewidth=1.2)
    ax.set_yticks(range(len(labels)), labels, fontsize=_SMALL)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlim(0.0, max(1.0, 1.05 * float(table["e_bfmi"].max())))
    _finish(ax, "E-BFMI of each chain", "energy fraction a transition", "", "x")
    style.caption(ax, f"Dotted: limits {BFMI_LIMITS[0]} and {BFMI_LIMITS[1]} (Betancourt 2016).", diagnosis.problems)
    return ax


def plot_pareto_k(diagnosis: Diagnosis, ax: Axes | None = None, stage: str | None = None) -> Axes:
    """Draw Pareto k of every score, models by benchmarks or tasks; scores above the limit are marked.

    Parameters
    ----------
    diagnosis : Diagnosis
        From `bayes_obscaling.diagnose`.
    ax : Axes, optional
        Where to draw; default a new figure, as high as the number of models asks for.
    stage : str, optional
        As in ``fit.convergence``; default the first.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        For an unknown stage.
    """
    mine, name = _stage_scores(diagnosis, stage)
    wide = mine.pivot(index="model", columns="benchmark", values="pareto_k")
    wide = wide.loc[wide.max(axis=1).sort_values(ascending=False).index, list(dict.fromkeys(mine["benchmark"]))]
    limit = pareto_limit(diagnosis.reweighted)
    ax = style.new_axes(ax, 2.5 + 0.55 * wide.shape[1], 2.0 + 0.16 * len(wide))
    image = ax.imshow(wide.to_numpy(), aspect="auto", cmap="Blues", vmin=0.0, vmax=1.2, interpolation="nearest")
    rows, columns = np.nonzero(wide.to_numpy() > limit)
    ax.plot(columns, rows, "x", color=style.VERMILLION, markersize=4, markeredgewidth=1.2)
    ax.set_xticks(range(wide.shape[1]), list(wide.columns), rotation=60, ha="right", fontsize=_SMALL)
    ax.set_yticks(range(len(wide)), style.short_names([str(model) for model in wide.index]), fontsize=6)
    ax.figure.colorbar(image, ax=ax, shrink=0.5, label="Pareto k")
    ax.set_title(f"Pareto k of left-out scores: {name}", loc="left", fontsize=11)
    ax.set_xlabel(f"x: above {limit:.2f}, the score weighs heavily (white: not seen, or k below 0)", fontsize=_SMALL)
    return ax


def plot_loo_pit(diagnosis: Diagnosis, ax: Axes | None = None, stage: str | None = None) -> Axes:
    """Draw the ECDF of LOO-PIT values of every benchmark or task, less the uniform one, with a 95 % envelope.

    Parameters and errors as for `plot_pareto_k`. Above zero on the left: more scores than expected lie below their
    predictions. The envelope is that of the Kolmogorov-Smirnov test for the smallest number of scores.
    """
    mine, name = _stage_scores(diagnosis, stage)
    calibration = diagnosis.parts["calibration"].query("stage == @name").set_index("benchmark")
    ax = style.new_axes(ax, 6.5, 4.2)
    counts = mine.groupby("benchmark").size()
    radius = float(stats.kstwo.ppf(_ENVELOPE, counts.min()))
    ax.fill_between([0.0, 1.0], -radius, radius, color=style.SHADES[0.95], zorder=0, label="95 % envelope")
    for k, (benchmark, group) in enumerate(mine.groupby("benchmark", sort=False)):
        pit = np.sort(group["pit"].to_numpy())
        off = calibration.loc[benchmark, "p_holm"] < 0.05
        x = np.concatenate([[0.0], np.repeat(pit, 2), [1.0]])
        y = np.concatenate([np.repeat(np.arange(len(pit) + 1) / len(pit), 2)]) - x
        colour = style.ALARM if off else _CHAINS[k % len(_CHAINS)]
        ax.plot(x, y, color=colour, linewidth=2.0 if off else 0.9, label=str(benchmark) if off else None)
    ax.axhline(0.0, color=style.GREY, linestyle=":", linewidth=1.0)
    ax.set_xlim(0.0, 1.0)
    _finish(ax, f"Calibration: {name}", "LOO-PIT", "ECDF less uniform", "y")
    ax.legend(frameon=False, fontsize=_SMALL)
    inside = mine["pit"].between(0.05, 0.95).mean()
    text = f"{len(counts)} benchmarks or tasks, {len(mine)} scores; 90 % leave-one-out intervals hold {inside:.1%}."
    style.caption(ax, text, diagnosis.problems)
    return ax


def _stage_scores(diagnosis: Diagnosis, stage: str | None) -> tuple[Any, str]:
    scores = diagnosis.parts["scores"]
    labels = list(dict.fromkeys(scores["stage"]))
    name = labels[0] if stage is None else stage
    if name not in labels:
        raise InputError(f"The fit has no stage '{name}': name one of {', '.join(labels)}.")
    return scores[scores["stage"] == name], name


def plot_priors(diagnosis: Diagnosis, ax: Axes | None = None, most: int = 25) -> Axes:
    """Draw 90 % intervals of prior (grey) and posterior (blue) of the parameters that lie farthest out in their prior.

    Parameters
    ----------
    diagnosis : Diagnosis
        From `bayes_obscaling.diagnose`.
    ax : Axes, optional
        Where to draw; default a new figure.
    most : int
        Parameters shown.

    Returns
    -------
    Axes
        In units of the prior: 0 its median, -1 and 1 the ends of its 90 % interval.
    """
    table = diagnosis.parts["priors"].sort_values("tail", kind="stable").head(most)
    ax = style.new_axes(ax, 7.5, 1.6 + 0.22 * len(table))
    for row, entry in enumerate(table.itertuples()):
        low, middle, high = (_in_prior(entry, getattr(entry, name)) for name in ("q5", "median", "q95"))
        ax.plot([-1, 1], [row, row], color="0.8", linewidth=7, solid_capstyle="butt", zorder=1)
        ax.plot([low, high], [row, row], color=style.BLUE, linewidth=2, zorder=2)
        ax.plot(middle, row, "|", color="black", markersize=8, zorder=3)
    ax.set_yticks(range(len(table)), [f"{r.parameter} ({r.stage})" for r in table.itertuples()], fontsize=7)
    ax.set_ylim(len(table) - 0.5, -0.5)
    _finish(ax, "Posterior (blue) in its prior (grey)", "prior: median at 0, 90 % interval from -1 to 1", "", "x")
    return ax


def _in_prior(entry: Any, value: float) -> float:
    gap = value - entry.prior_median
    side = entry.prior_q95 - entry.prior_median if gap > 0 else entry.prior_median - entry.prior_q5
    return float(gap / side)


def plot_sensitivity(diagnosis: Diagnosis, ax: Axes | None = None) -> Axes:
    """Draw how much power-scaling each prior and likelihood moves the forecasts; arguments as for `plot_checks`."""
    table = diagnosis.parts["sensitivity"]
    ax = style.new_axes(ax, 6.5, 1.6 + 0.22 * len(table))
    colours = [style.VERMILLION if kind == "likelihood" else style.BLUE for kind in table["component"]]
    ax.barh(range(len(table)), table["sensitivity"], color=colours, height=0.7)
    ax.axvline(SENSITIVITY_LIMIT, color=style.ALARM, linestyle=":", linewidth=1.2)
    ax.set_yticks(range(len(table)), table["name"], fontsize=_SMALL)
    ax.set_ylim(len(table) - 0.5, -0.5)
    _finish(ax, "Power-scaling of priors (blue) and likelihoods (red)", "largest change of a forecast", "", "x")
    style.caption(ax, f"Dotted: {SENSITIVITY_LIMIT} (Kallioinen et al. 2024).", diagnosis.problems)
    return ax


def plot_influence(diagnosis: Diagnosis, ax: Axes | None = None, most: int = 20) -> Axes:
    """Draw how far forecasts move when a model is left out, the most influential; arguments as for `plot_priors`."""
    table = diagnosis.parts["influence"].head(most)
    limit = pareto_limit(diagnosis.reweighted)
    ax = style.new_axes(ax, 7.0, 1.6 + 0.22 * len(table))
    rough = (table["pareto_k"] > limit).to_numpy()
    place = np.arange(len(table))
    for chosen, label, face in ((~rough, "exact weights", style.BLUE), (rough, "rough: k above the limit", "white")):
        if chosen.any():
            ax.plot(
                table["shift"].to_numpy()[chosen], place[chosen], "o", markerfacecolor=face,
                markeredgecolor=style.BLUE, label=label,
            )  # fmt: skip
    for edge in (-SHIFT_LIMIT, SHIFT_LIMIT):
        ax.axvline(edge, color=style.ALARM, linestyle=":", linewidth=1.2)
    short = style.short_names(table["model"].tolist())
    ax.set_yticks(place, [f"{model}, {part}" for model, part in zip(short, table["left_out"], strict=True)], fontsize=7)
    ax.set_ylim(len(table) - 0.5, -0.5)
    _finish(ax, "Forecasts without these scores", "largest shift of a forecast's mean, in its sd", "", "x")
    ax.legend(frameon=False, fontsize=_SMALL)
    return ax


PLOTS = {
    "checks": plot_checks, "trace": plot_trace, "ranks": plot_ranks, "energy": plot_energy,
    "pareto-k": plot_pareto_k, "loo-pit": plot_loo_pit, "priors": plot_priors, "sensitivity": plot_sensitivity,
    "influence": plot_influence,
}  # fmt: skip


def plot_diagnosis(diagnosis: Diagnosis) -> np.ndarray:
    """Draw the checks and one plot of each kind in one figure.

    Parameters
    ----------
    diagnosis : Diagnosis
        From `bayes_obscaling.diagnose`.

    Returns
    -------
    array of Axes
    """
    last = str(diagnosis.parts["scores"]["stage"].iloc[-1])
    stage = last if last in (HEADS, ACCURACIES) else None
    figure, axes = plt.subplot_mosaic(
        [["checks", "checks"], ["trace", "ranks"], ["pareto-k", "loo-pit"], ["pareto-k", "energy"],
         ["priors", "sensitivity"], ["influence", "influence"]],
        figsize=(15, 33), layout="constrained", height_ratios=[1.1, 0.7, 0.9, 0.6, 1.2, 1.0],
    )  # fmt: skip
    for name, ax in axes.items():
        options = {"stage": stage} if name in ("pareto-k", "loo-pit") else {}
        PLOTS[str(name)](diagnosis, ax=ax, **options)  # type: ignore[operator]
    return np.array(figure.axes, dtype=object)


def _finish(ax: Axes, title: str, x: str, y: str, grid: str) -> None:
    style.tidy(ax, grid)
    ax.set_title(title, loc="left", fontsize=11)
    ax.set_xlabel(x)
    if y:
        ax.set_ylabel(y)
