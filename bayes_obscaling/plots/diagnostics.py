"""One plot for each check of a fit."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import style

if TYPE_CHECKING:
    from bayes_obscaling.results.diagnostics import Diagnosis

_COLOURS = {"PASS": style.GREEN, "REVIEW": style.ORANGE, "FAIL": style.ALARM}
_MARKERS = {"PASS": "o", "REVIEW": "s", "FAIL": "X"}
_LIMIT: style.Look = {"color": "0.25", "linestyle": ":", "linewidth": 1.2}
_ROUGH = "rough: k above the limit"
# Letters of a line of what a check has found.
_CHECK_LETTERS = 112
_BINS = 20
_ENVELOPE = 0.95
# Models and benchmarks in a plot of Pareto k: names are read up to that many.
_MOST_ROWS, _MOST_COLUMNS = 80, 30


def plot_checks(diagnosis: Diagnosis, ax: Axes | None = None) -> Axes:
    """List all checks with their level and what they have found, the verdict as title.

    Parameters
    ----------
    diagnosis : Diagnosis
        From `bayes_obscaling.diagnose`.
    """
    table = diagnosis.table
    texts = ["\n".join(textwrap.wrap(str(what), _CHECK_LETTERS)) for what in table["what"]]
    tops = np.cumsum([0, *(text.count("\n") + 1.5 for text in texts)])
    ax = style.new_axes(ax, 11.0, 1.1 + 0.165 * tops[-1])
    for check, text, top in zip(table.itertuples(), texts, tops[:-1], strict=True):
        look: style.Look = {"color": _COLOURS[str(check.level)], "markersize": 8, "clip_on": False}
        ax.plot(0, top + 0.4, _MARKERS[str(check.level)], **look)
        ax.text(0.15, top, str(check.check), va="top", fontsize=style.SMALL, fontweight="bold")
        ax.text(2.9, top, text, va="top", fontsize=style.SMALL)
    ax.set_xlim(-0.1, 10.0)
    ax.set_ylim(tops[-1], -0.5)
    ax.axis("off")
    for level, marker in _MARKERS.items():
        ax.plot([], [], marker, color=_COLOURS[level], label=level)
    style.legend_above(ax, f"Diagnosis of the fit: {diagnosis.verdict}", list(_MARKERS))
    if diagnosis.verdict == "FAIL":
        ax.set_title(ax.get_title(loc="left"), loc="left", fontsize=11, color=style.ALARM, pad=8 + 1.55 * style.SMALL)
    return ax


def plot_ranks(diagnosis: Diagnosis, ax: Axes | None = None, parameter: str | None = None) -> Axes:
    """Draw how each chain's ranks of a parameter spread; flat where chains agree (Vehtari et al. 2021, section 4.3).

    Parameters
    ----------
    diagnosis : Diagnosis
        From `bayes_obscaling.diagnose`.
    parameter : str, optional
        As in ``diagnosis.parts["parameters"]``; default the one with the largest R-hat.

    Raises
    ------
    InputError
        For a parameter that the fit does not hold.
    """
    table = diagnosis.trace(parameter)
    first, expected = table.iloc[0], table.groupby("chain").size().iloc[0] / _BINS
    ax = style.new_axes(ax, 6.0, 3.6)
    edges = np.linspace(0.0, 1.0, _BINS + 1)
    for chain, rows in table.groupby("chain"):
        heights = np.histogram(rows["rank"], edges)[0] / expected
        ax.stairs(heights, edges, color=_colour(chain), linewidth=1.4, label=f"chain {chain}")
    ax.axhline(1.0, color=style.GREY, linestyle=":", linewidth=1.2)
    style.finish(ax, f"Ranks: {first['parameter']}", "rank among all chains", "draws in the bin / expected", "y")
    ax.set_ylim(bottom=0.0)
    style.legend_above(ax, f"Ranks: {first['parameter']}", *_chains(table))
    text = f"{first['stage']}: R-hat {first['rhat']:.4f}, bulk ESS {first['ess_bulk']:.0f}. Flat where chains agree."
    _write_caption(ax, text, diagnosis)
    return ax


def plot_trace(diagnosis: Diagnosis, ax: Axes | None = None, parameter: str | None = None) -> Axes:
    """Draw a parameter's chains one after the other; arguments and errors as for `plot_ranks`. Divergences as ticks."""
    table = diagnosis.trace(parameter)
    ax = style.new_axes(ax, 6.0, 3.6)
    for chain, rows in table.groupby("chain"):
        ax.plot(rows["draw"], rows["value"], color=_colour(chain), linewidth=0.5, alpha=0.8, label=f"chain {chain}")
    diverging = table.loc[table["diverging"], "draw"]
    if len(diverging):
        at = np.full(len(diverging), table["value"].min())
        ax.plot(diverging, at, "|", color="black", markersize=9, label="divergence")
    style.finish(ax, f"Trace: {table['parameter'].iloc[0]}", "draw", "value", "y")
    style.legend_above(ax, f"Trace: {table['parameter'].iloc[0]}", *_chains(table), ["divergence"])
    text = f"{table['stage'].iloc[0]}: the parameter with the largest R-hat, unless another was named."
    _write_caption(ax, text, diagnosis)
    return ax


def _chains(table: pd.DataFrame) -> list[list[str]]:
    return style.rows_of([f"chain {chain}" for chain in table["chain"].unique()], 4)


def _write_caption(ax: Axes, text: str, diagnosis: Diagnosis) -> None:
    is_bad = diagnosis.verdict == "FAIL"
    style.caption(ax, text, f"Diagnosis of the fit: {diagnosis.verdict}.", ("failed",) if is_bad else ())


def _colour(chain: Any) -> str:
    return str(style.SERIES[(int(chain) - 1) % len(style.SERIES)]["color"])


def plot_energy(diagnosis: Diagnosis, ax: Axes | None = None) -> Axes:
    """Draw the E-BFMI of every chain of every stage, with its limits; arguments as for `plot_checks`."""
    table = diagnosis.parts["energy"]
    ax = style.new_axes(ax, 6.0, 3.0)
    labels = list(dict.fromkeys(table["stage"]))
    for row, label in enumerate(labels):
        chains = table[table["stage"] == label]
        ax.scatter(chains["e_bfmi"], np.full(len(chains), row), color=style.BLUE, s=24, zorder=3)
    limits = [diagnosis.limits[name] for name in ("e_bfmi_fail", "e_bfmi")]
    for limit in limits:
        ax.axvline(limit, **_LIMIT)
    ax.set_yticks(range(len(labels)), labels, fontsize=style.SMALL)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlim(0.0, max(1.0, 1.05 * float(table["e_bfmi"].max())))
    style.finish(ax, "E-BFMI of each chain", "energy fraction per transition", "", "x")
    _write_caption(ax, f"Dotted: limits {limits[0]} and {limits[1]} (Betancourt 2016).", diagnosis)
    return ax


def plot_pareto_k(diagnosis: Diagnosis, ax: Axes | None = None, stage: str | None = None) -> Axes:
    """Draw Pareto k of every score, models by benchmarks or tasks; scores above the limit are marked.

    Of many models or benchmarks those with the largest k are shown.

    Parameters
    ----------
    diagnosis : Diagnosis
        From `bayes_obscaling.diagnose`.
    ax : Axes, optional
        Where to draw; default a new figure, as high as the number of models asks for.
    stage : str, optional
        As in ``fit.convergence``; default the first.

    Raises
    ------
    InputError
        For an unknown stage.
    """
    scores, name = _stage_scores(diagnosis, stage)
    wide = scores.pivot(index="model", columns="benchmark", values="pareto_k")
    wide = wide.loc[wide.max(axis=1).sort_values(ascending=False).index, list(dict.fromkeys(scores["benchmark"]))]
    whole, worst = wide.shape, wide.max().nlargest(_MOST_COLUMNS).index
    wide = wide.iloc[:_MOST_ROWS, wide.columns.isin(worst)]
    limit = diagnosis.limits["pareto_k"]
    ax = style.new_axes(ax, 2.5 + 0.55 * wide.shape[1], 2.0 + 0.16 * len(wide))
    image = ax.imshow(wide.to_numpy(), aspect="auto", cmap="Blues", vmin=0.0, vmax=1.2, interpolation="nearest")
    rows, columns = np.nonzero(wide.to_numpy() > limit)
    ax.plot(columns, rows, "x", color=style.VERMILLION, markersize=4, markeredgewidth=1.2)
    ax.set_xticks(range(wide.shape[1]), list(wide.columns), rotation=60, ha="right", fontsize=style.SMALL)
    ax.set_yticks(range(len(wide)), style.short_names([str(model) for model in wide.index]), fontsize=6)
    ax.figure.colorbar(image, ax=ax, shrink=0.5, label="Pareto k")
    ax.set_title(f"Pareto k of left-out scores: {name}", loc="left", fontsize=11)
    some = (
        "" if wide.shape == whole else f"\n{len(wide)} of {whole[0]} models, {wide.shape[1]} of {whole[1]} benchmarks"
    )
    about = f"x: above {limit:.2f}, the score weighs heavily\n(white: not seen, or k below 0){some}"
    ax.set_xlabel(about, fontsize=style.SMALL)
    return ax


def plot_loo_pit(diagnosis: Diagnosis, ax: Axes | None = None, stage: str | None = None) -> Axes:
    """Draw the ECDF of LOO-PIT values of every benchmark or task, less the uniform one, with a 95 % envelope.

    Parameters and errors as for `plot_pareto_k`. Above zero on the left: more scores than expected lie below their
    predictions. The envelope is that of the Kolmogorov-Smirnov test for the smallest number of scores; benchmarks with
    too few to test are left out, unless all are.
    """
    scores, name = _stage_scores(diagnosis, stage)
    calibration = diagnosis.parts["calibration"].query("stage == @name").set_index("benchmark")
    tested = calibration.index[calibration["p"].notna()]
    scores = scores[scores["benchmark"].isin(tested)] if len(tested) else scores
    ax = style.new_axes(ax, 6.5, 4.2)
    counts = scores.groupby("benchmark").size()
    radius = float(stats.kstwo.ppf(_ENVELOPE, counts.min()))
    ax.fill_between([0.0, 1.0], -radius, radius, color=style.SHADES[0.95], zorder=0, label="95 % envelope")
    named = []
    for benchmark, group in scores.groupby("benchmark", sort=False):
        pit = np.sort(group["pit"].to_numpy())
        off = calibration.loc[benchmark, "p_holm"] < 0.05
        x = np.concatenate([[0.0], np.repeat(pit, 2), [1.0]])
        y = np.concatenate([np.repeat(np.arange(len(pit) + 1) / len(pit), 2)]) - x
        colour = style.VERMILLION if off else style.SHADES[0.8]
        ax.plot(x, y, color=colour, linewidth=2.0 if off else 0.9, zorder=3 if off else 2)
        if off:
            named.append({"x": x[np.abs(y).argmax()], "y": y[np.abs(y).argmax()], "name": benchmark, "colour": colour})
    ax.axhline(0.0, color=style.GREY, linestyle=":", linewidth=1.0)
    ax.set_xlim(0.0, 1.0)
    style.finish(ax, f"Calibration: {name}", "LOO-PIT", "ECDF less uniform", "y")
    style.name_at_right(ax, pd.DataFrame(named))
    style.legend_above(ax, f"Calibration: {name}", ["95 % envelope"])
    inside = scores["pit"].between(0.05, 0.95).mean()
    text = (
        f"{len(counts)} benchmarks or tasks, {len(scores)} scores; 90 % leave-one-out intervals hold {inside:.1%}. "
        "Orange and named: off at p below 0.05 (Holm)."
    )
    _write_caption(ax, text, diagnosis)
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
    x = "place in the prior: median at 0, 90 % interval from -1 to 1"
    style.finish(ax, "Posterior (blue) in its prior (grey)", x, "", "x")
    _write_caption(ax, "The parameters that lie farthest out in their prior: 90 % intervals.", diagnosis)
    return ax


def _in_prior(entry: Any, value: float) -> float:
    gap = value - entry.prior_median
    side = entry.prior_q95 - entry.prior_median if gap > 0 else entry.prior_median - entry.prior_q5
    return float(gap / side)


def plot_sensitivity(diagnosis: Diagnosis, ax: Axes | None = None) -> Axes:
    """Draw how much power-scaling each prior and likelihood moves the forecasts; arguments as for `plot_checks`."""
    table = diagnosis.parts["sensitivity"]
    ax = style.new_axes(ax, 6.5, 1.6 + 0.22 * len(table))
    for kind, colour in (("prior", style.BLUE), ("likelihood", style.ORANGE)):
        is_kind = (table["component"] == "likelihood").to_numpy() == (kind == "likelihood")
        at = np.flatnonzero(is_kind)
        ax.barh(at, table["sensitivity"].to_numpy()[at], color=colour, height=0.7, label=kind)
    ax.axvline(diagnosis.limits["sensitivity"], **_LIMIT)
    ax.set_yticks(range(len(table)), table["name"], fontsize=style.SMALL)
    ax.set_ylim(len(table) - 0.5, -0.5)
    style.finish(ax, "", "largest change of a forecast (power-scaling sensitivity)", "", "x")
    style.legend_above(ax, "How much priors and likelihoods move forecasts", ["prior", "likelihood"])
    _write_caption(ax, f"Dotted: limit {diagnosis.limits['sensitivity']} (Kallioinen et al. 2024).", diagnosis)
    return ax


def plot_influence(diagnosis: Diagnosis, ax: Axes | None = None, most: int = 20) -> Axes:
    """Draw how far forecasts move when a model is left out, the most influential; arguments as for `plot_priors`."""
    table = diagnosis.parts["influence"].head(most)
    limit = diagnosis.limits["pareto_k"]
    ax = style.new_axes(ax, 7.0, 1.6 + 0.22 * len(table))
    rough = (table["pareto_k"] > limit).to_numpy()
    place = np.arange(len(table))
    for chosen, label, face in ((~rough, "exact weights", style.BLUE), (rough, _ROUGH, "white")):
        if chosen.any():
            ax.plot(
                table["shift"].to_numpy()[chosen],
                place[chosen],
                "o",
                markerfacecolor=face,
                markeredgecolor=style.BLUE,
                label=label,
            )
    for edge in (-diagnosis.limits["shift"], diagnosis.limits["shift"]):
        ax.axvline(edge, **_LIMIT)
    short = style.short_names(table["model"].tolist())
    ax.set_yticks(place, [f"{model}, {part}" for model, part in zip(short, table["left_out"], strict=True)], fontsize=7)
    ax.set_ylim(len(table) - 0.5, -0.5)
    style.finish(ax, "", "largest shift of a forecast's mean (in its sd)", "", "x")
    style.legend_above(ax, "How far forecasts move without these scores", ["exact weights", _ROUGH])
    _write_caption(ax, f"Dotted: limits {-diagnosis.limits['shift']:g} and {diagnosis.limits['shift']:g}.", diagnosis)
    return ax


PLOTS: dict[str, Callable[..., Axes]] = {
    "checks": plot_checks,
    "trace": plot_trace,
    "ranks": plot_ranks,
    "energy": plot_energy,
    "pareto-k": plot_pareto_k,
    "loo-pit": plot_loo_pit,
    "priors": plot_priors,
    "sensitivity": plot_sensitivity,
    "influence": plot_influence,
}


# Figures of a whole diagnosis: their size in inches, columns, and plots.
PAGES: dict[str, tuple[tuple[float, float], int, tuple[str, ...]]] = {
    "checks": ((11.0, 7.5), 1, ("checks",)),
    "sampler": ((8.0, 10.5), 1, ("trace", "ranks", "energy")),
    "scores": ((13.0, 9.5), 2, ("pareto-k", "loo-pit")),
    "priors": ((13.0, 7.5), 2, ("priors", "sensitivity")),
    "influence": ((9.0, 6.5), 1, ("influence",)),
}


def plots_of(diagnosis: Diagnosis) -> dict[str, Callable[..., Axes]]:
    """The plots of what a diagnosis has: of a sparse table priors and influence are not judged."""
    own = {"priors", "sensitivity", "influence"}
    return {name: draw for name, draw in PLOTS.items() if name not in own or name in diagnosis.parts}


def pages_of(diagnosis: Diagnosis) -> list[str]:
    """The pages of `PAGES` that a diagnosis has all plots of."""
    there = plots_of(diagnosis)
    return [page for page, (_, _, names) in PAGES.items() if there.keys() >= set(names)]


def plot_page(diagnosis: Diagnosis, page: str) -> np.ndarray:
    """Draw one page of a diagnosis, and return its axes.

    Parameters
    ----------
    diagnosis : Diagnosis
        From `bayes_obscaling.diagnose`.
    page : {"checks", "sampler", "scores", "priors", "influence"}
        Which page.

    Raises
    ------
    InputError
        For a page that does not exist.
    """
    if page not in PAGES:
        raise InputError(f"A diagnosis has no page '{page}': name one of {', '.join(PAGES)}.")
    size, columns, names = PAGES[page]
    if page == "checks":  # as high as its rows ask for
        return np.array([plot_checks(diagnosis)], dtype=object)
    # of a cut posterior the task heads, of a ladder the accuracies
    stage = str(diagnosis.parts["scores"]["stage"].iloc[-1])
    shape = (len(names) // columns, columns)
    figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, layout="constrained")
    for name, ax in zip(names, axes.flat, strict=True):
        options = {"stage": stage} if name in ("pareto-k", "loo-pit") else {}
        PLOTS[name](diagnosis, ax=ax, **options)
    return np.array(figure.axes, dtype=object)


def plot_diagnosis(diagnosis: Diagnosis) -> np.ndarray:
    """Draw the checks and one plot of each kind, one figure per page, and return the axes of all.

    Parameters
    ----------
    diagnosis : Diagnosis
        From `bayes_obscaling.diagnose`.
    """
    return np.concatenate([plot_page(diagnosis, page) for page in pages_of(diagnosis)])
