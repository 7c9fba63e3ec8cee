"""Scored forecasts: one model as the cutoff is pulled back, errors, coverage, and who wins where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any, TypeAlias

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter
from scipy.stats import binom

from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.backtest import OURS, Backtest
from bayes_obscaling.evaluation.baselines import BASELINES
from bayes_obscaling.evaluation.cutoff_study import STUDY_METHODS, CutoffStudy
from bayes_obscaling.evaluation.scoring import LEVELS, bounds, score_table
from bayes_obscaling.plots import style

Results: TypeAlias = Backtest | CutoffStudy | pd.DataFrame

# Okabe and Ito again. A method looks the same in every plot: those that are drawn unasked have a colour of their own.
_COLOURS = (style.VERMILLION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "black")
_MARKERS = ("s", "^", "D", "v", "P", "X", "*")
_ORDER = [*STUDY_METHODS, *(name for name in BASELINES if name not in STUDY_METHODS)]
_OURS_COLOURS = (style.BLUE, "black", "#56B4E9", "#E69F00")
_LEVEL_LOOKS: dict[int, dict[str, Any]] = {
    50: {"color": "#009E73", "marker": "s"},
    80: {"color": "#E69F00", "marker": "^"},
    90: {"color": style.BLUE, "marker": "o"},
    95: {"color": "black", "marker": "D"},
}
_FAILING, _LOST = "#FBE3D6", "#F0B48F"
_JUDGED = 90  # per cent: the interval by which a distance is said to be too far
_METRICS = {
    "crps": "CRPS (score units)",
    "mae": "mean absolute error (score units)",
    "medae": "median absolute error (score units)",
    "log_score": "log score (negative log density)",
    **{f"interval_score_{level}": f"score of the {level} % interval (score units)" for level in LEVELS},
}
_CUTOFF_AXIS = "compute cutoff (log10 FLOPs)"
_RESAMPLES = 2000


def plot_trajectory(
    study: Results,
    task: str,
    model: str,
    ax: Axes | None = None,
    *,
    baselines: Sequence[str] | None = None,
    chance: float | None = None,
    spec: str | None = None,
) -> Axes:
    """Draw the forecast of one model as the cutoff is pulled back.

    Parameters
    ----------
    study : CutoffStudy, Backtest or DataFrame
        A study, or its cells.
    task : str
        Task.
    model : str
        A model that is held out at one cutoff at least; the part after the ``/`` will do.
    ax : Axes, optional
        Where to draw; default a new figure.
    baselines : sequence of str, optional
        Methods whose point forecasts are drawn too; default pc-3 where the study has it. Empty for none.
    chance : float, optional
        Score of guessing, to be marked.
    spec : str, optional
        Which spec; needed only if the study holds several.

    Returns
    -------
    Axes
        Median, 50 and 90 % bands at each cutoff, the observed score, and the model's own compute unless it lies so far
        above the cutoffs that it would squeeze them (then the caption has it).

    Raises
    ------
    InputError
        For a task, model, method or spec of which the study has no forecast.
    """
    cells = _one_spec(_cells(study, "cutoff"), spec)
    name = _find(task, cells["task"], "task")
    cells = cells[cells["task"] == name]
    who = _find(model, cells["model"], "model", f" on {name}")
    cells = cells[cells["model"] == who].sort_values("cutoff")
    mine = cells[cells["method"] == OURS]
    if mine.empty:
        raise InputError(f"There is no {OURS} forecast of {who} on {name}: choose another model.")
    held = list(dict.fromkeys(cells["method"]))
    others = [m for m in ("pc-3",) if m in held] if baselines is None else _methods(held, baselines)

    ax = style.new_axes(ax, 7.0, 4.5)
    x = np.log10(mine["cutoff"].to_numpy(float))
    # a band over a single cutoff would have no area
    across, rows = (x, mine) if len(x) > 1 else (np.r_[x - 0.05, x + 0.05], pd.concat([mine, mine]))
    for level, shade, order in ((90, style.SHADES[0.9], 1.0), (50, style.SHADES[0.8], 1.2)):
        low, high = (rows[column].to_numpy(float) for column in bounds(level))
        ax.fill_between(across, low, high, color=shade, linewidth=0, label=f"{level} % band", zorder=order)
    ax.plot(x, mine["median"], color=style.BLUE, linewidth=2, marker="o", markersize=4, label="median", zorder=3)
    bad = ~mine["converged"].to_numpy(bool)
    if bad.any():
        ax.plot(
            x[bad], mine["median"][bad], "o", markersize=6, markerfacecolor="white", markeredgecolor=style.ALARM,
            label="not converged", zorder=3.5,
        )  # fmt: skip
    for method in others:
        theirs = cells[cells["method"] == method]
        look = _look(method) | {"linestyle": "--", "linewidth": 1, "markersize": 3.5}
        ax.plot(np.log10(theirs["cutoff"].to_numpy(float)), theirs["median"], label=method, zorder=2.5, **look)
    observed, flops = float(mine["observed"].iloc[0]), float(mine["flops"].iloc[0])
    ax.axhline(observed, color="black", linewidth=1.5, label="observed", zorder=2)
    if chance is not None:
        ax.axhline(chance, color=style.GREY, linestyle=":", linewidth=1.3, label="chance", zorder=1.5)
    text = []
    own = np.log10(flops) if flops > 0 else np.nan
    if own - x[-1] <= max(0.5, 0.5 * np.ptp(x)):
        ax.axvline(own, color=style.GREY, linestyle="-.", linewidth=1, label="compute of the model", zorder=1.5)
    elif np.isfinite(own):
        text.append(f"The model was trained with {style.flops_text(flops)} FLOPs, beyond the right edge.")
    drawn = cells[cells["method"].isin([OURS, *others])]
    columns = ["median", "observed", bounds(90)[1]]
    ax.set_ylim(0.0, min(1.02, 1.08 * max(drawn[columns].max().max(), chance or 0.0, 0.02)))
    ax.set_xlabel(_CUTOFF_AXIS)
    ax.set_ylabel("score")
    style.tidy(ax, "both")
    (short,) = style.short_names([who])
    style.legend_above(
        ax, f"{short} on {name}: forecast by cutoff", ["median", "50 % band", "90 % band", "not converged", *others],
        ["observed", "chance", "compute of the model"],
    )  # fmt: skip
    _caption(ax, text, mine)
    return ax


def plot_error_by_cutoff(
    study: Results,
    task: str | None = None,
    ax: Axes | None = None,
    *,
    methods: Sequence[str] | None = None,
) -> Axes:
    """Draw the mean absolute error of each method against the cutoff.

    Parameters
    ----------
    study : CutoffStudy, Backtest or DataFrame
        A study, or its cells. Of several specs, each has a line.
    task : str, optional
        Task; default the mean over tasks, each counted once.
    ax : Axes, optional
        Where to draw; default a new figure.
    methods : sequence of str, optional
        Default all.

    Returns
    -------
    Axes
        One line a method. A mean over tasks has no point where the method lacks one of them.

    Raises
    ------
    InputError
        For a task or method of which the study has no forecast.
    """
    cells = _cells(study, "cutoff")
    title = "mean absolute error by cutoff"
    if task is not None:
        name = _find(task, cells["task"], "task")
        cells = cells[cells["task"] == name]
        title = f"{name}: {title}"
    chosen = _methods(list(dict.fromkeys(cells["method"])), methods)
    cells = _lines(cells[cells["method"].isin(chosen)])
    each = score_table(cells, ("line", "method", "cutoff", "task"))
    curves = each.groupby(["line", "method", "cutoff"], sort=False)["mae"].agg(["mean", "size"]).reset_index()
    asked = each.groupby("cutoff")["task"].nunique()
    curves = curves[curves["size"] == curves["cutoff"].map(asked)].sort_values("cutoff")

    ax = style.new_axes(ax, 7.0, 4.5)
    looks = _line_looks(cells)
    for line, look in looks.items():
        curve = curves[curves["line"] == line]
        ax.plot(np.log10(curve["cutoff"].to_numpy(float)), curve["mean"], label=line, **look)
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel(_CUTOFF_AXIS)
    ax.set_ylabel("mean absolute error (score units)")
    style.tidy(ax, "both")
    tasks = list(dict.fromkeys(each["task"]))
    if task is None:
        title += f", {f'mean of {len(tasks)} tasks' if len(tasks) > 1 else tasks[0]}"
    style.legend_above(ax, _capital(title), *_rows_of(looks, 4))
    count = cells.groupby("cutoff")["model"].nunique()
    text = [f"Models above the cutoff are forecast: {count.iloc[0]} at the lowest, {count.iloc[-1]} at the highest."]
    if task is None and asked.min() < len(tasks):
        text.append(f"Not every task can be asked at every cutoff: {_between(asked)} of {len(tasks)}.")
    _caption(ax, [*text, *_lacking(cells, "line")], cells)
    return ax


def plot_by_distance(
    results: Results,
    ax: Sequence[Axes] | np.ndarray | None = None,
    *,
    width: float = 0.25,
    method: str = OURS,
    spec: str | None = None,
) -> np.ndarray:
    """Draw error, coverage and width of forecasts against the distance beyond the cutoff, one above the other.

    Parameters
    ----------
    results : CutoffStudy, Backtest or DataFrame
        Scored forecasts, or their cells.
    ax : three Axes, optional
        Where to draw; default a new figure.
    width : float
        Width of a bin in decades of compute. A bin holds its upper edge: models inside the range of those leaned on
        (distance 0) are apart from those just beyond it.
    method : str
        Whose forecasts.
    spec : str, optional
        Which spec; needed only if the study holds several.

    Returns
    -------
    array of three Axes
        Mean absolute error with the number of forecasts in each bin; coverage of the 50, 80, 90 and 95 % intervals with
        their nominal values; mean width of the 90 % interval. Bars, on the error and on the coverage of the 90 %
        interval, are 95 % intervals from resampling whole families. Where that of the coverage lies below 90 %, the
        bin is shaded: there the extrapolation has failed.

    Raises
    ------
    InputError
        For a method or spec without forecasts, one that gives no intervals, when no distance is known, for a width
        that is not positive and for other than three axes.
    """
    if not width > 0:
        raise InputError(f"The width of a bin is {width} decades: give a positive number, such as 0.25.")
    if ax is not None and np.size(np.asarray(ax, dtype=object)) != 3:
        raise InputError("Error, coverage and width need three axes: give three, or none for a new figure.")
    cells = _one_spec(_cells(results, "distance"), spec)
    _methods(list(dict.fromkeys(cells["method"])), [method])
    cells = cells[cells["method"] == method]
    known = cells.dropna(subset="distance")
    if known.empty:
        raise InputError("No forecast has a known distance: its models are of unknown compute.")
    low, high = (known[column] for column in bounds(_JUDGED))
    if low.isna().all():
        raise InputError(f"{method} gives no intervals: name another method.")
    # rounded, so that 0.1 + 0.2 is not beyond the edge 0.3
    bin_ = np.ceil((known["distance"] / width).round(9)) - 1
    known = known.assign(
        at=(bin_ + 0.5) * width,
        ae=(known["median"] - known["observed"]).abs(),
        inside=known["observed"].between(low, high).astype(float).mask(low.isna()),
    )
    table = score_table(known, ("at",)).sort_values("at").set_index("at")
    error = _family_intervals(known, "at", "ae").reindex(table.index)
    coverage = _family_intervals(known, "at", "inside").reindex(table.index)
    failing = coverage["high"] < _JUDGED / 100

    axes = (
        plt.subplots(3, 1, figsize=(7.0, 8.5), sharex=True, layout="constrained")[1]
        if ax is None
        else np.asarray(ax, dtype=object).ravel()
    )
    top, middle, bottom = axes
    x = table.index.to_numpy(float)
    _bars(top, x, error)
    top.plot(x, table["mae"], color=style.BLUE, marker="o", markersize=4.5, label="mean absolute error", zorder=3)
    highest = np.nanmax([*table["mae"], *error["high"]])
    top.set_ylim(0.0, 1.25 * max(highest, 0.01))
    for at, n in zip(x, table["n"], strict=True):
        top.text(
            at, 0.98, f"{n}", transform=top.get_xaxis_transform(), ha="center", va="top", fontsize=7.5,
            color=style.GREY, gid="n", rotation=90 if len(x) > 14 else 0,
        )  # fmt: skip
    top.set_ylabel("mean absolute error\n(score units)")
    _bars(middle, x, coverage)
    for level in LEVELS:
        look = _LEVEL_LOOKS[level]
        middle.axhline(level / 100, color=look["color"], linestyle="--", linewidth=1, zorder=1.5, gid="nominal")
        middle.plot(x, table[f"coverage_{level}"], markersize=4.5, label=f"{level} % interval", zorder=3, **look)
    middle.set_ylim(-0.02, 1.03)
    middle.set_ylabel("coverage (share inside)")
    bottom.plot(x, table[f"width_{_JUDGED}"], color=style.BLUE, marker="o", markersize=4.5, zorder=3)
    bottom.set_ylim(0.0, 1.08 * max(table[f"width_{_JUDGED}"].max(), 0.02))
    bottom.set_ylabel(f"width of the {_JUDGED} % interval\n(score units)")
    for axes_ in axes:
        for at in x[failing.to_numpy()]:
            axes_.axvspan(at - width / 2, at + width / 2, color=_FAILING, linewidth=0, zorder=0, gid="failing")
        if (x < 0).any():
            axes_.axvline(0.0, color=style.GREY, linewidth=1, zorder=1.5)
        axes_.set_xlim(min(0.0, x[0] - width / 2), max(0.0, x[-1] + width / 2))
        cell = axes_.get_subplotspec()
        if axes_ is bottom or (cell is not None and cell.is_last_row()):
            axes_.set_xlabel("distance beyond the cutoff (decades of compute)")
        style.tidy(axes_, "y")
    top.set_title(f"{method}, by distance beyond the cutoff", loc="left", fontsize=11)
    style.legend_above(middle, "", [f"{level} % interval" for level in LEVELS])
    verdict = f"At no distance does the {_JUDGED} % interval cover significantly too little."
    if failing.any():
        start = x[failing.to_numpy()][0] - width / 2
        verdict = f"Shaded, first at {start:g} decades: the {_JUDGED} % interval covers significantly too little."
    text = [
        "Numbers: forecasts in the bin. Dashed: nominal coverage. Bars: 95 % intervals from resampling whole families, "
        f"none where there is one family. {verdict}"
    ]
    if lost := len(cells) - len(known):
        text.append(f"{lost} forecasts of models of unknown compute are left out.")
    _caption(bottom, text, known)
    return axes


def plot_emergence(
    study: Results,
    task: str,
    threshold: float,
    ax: Axes | None = None,
    *,
    labels: int = 8,
    spec: str | None = None,
) -> Axes:
    """Draw how early it was visible which models would pass a score.

    Parameters
    ----------
    study : CutoffStudy, Backtest or DataFrame
        A study, or its cells.
    task : str
        Task.
    threshold : float
        One of the thresholds that the study was made with.
    ax : Axes, optional
        Where to draw; default a new figure.
    labels : int
        Name so many models: those whose outcome was least expected, by the mean Brier score over cutoffs.
    spec : str, optional
        Which spec; needed only if the study holds several.

    Returns
    -------
    Axes
        Probability of passing the threshold against the cutoff, one line a held-out model, those that passed apart
        from those that did not.

    Raises
    ------
    InputError
        For a task, threshold or spec of which the study holds no probability.
    """
    cells = _one_spec(_cells(study, "cutoff"), spec)
    name = _find(task, cells["task"], "task")
    cells = cells[(cells["task"] == name) & (cells["method"] == OURS)]
    column = f"p_above_{threshold:g}"
    held = [c.removeprefix("p_above_") for c in cells if c.startswith("p_above_") and cells[c].notna().any()]
    if f"{threshold:g}" not in held:
        has = f"it has those of {', '.join(held)}" if held else "name thresholds when you make the study"
        raise InputError(f"The study holds no probabilities that {name} passes {threshold:g}: {has}.")
    cells = cells.dropna(subset=column).sort_values("cutoff")
    cells = cells.assign(passed=cells["observed"] >= threshold)
    cells["brier"] = (cells[column] - cells["passed"]) ** 2

    ax = style.new_axes(ax, 8.0, 4.8)
    ends = cells.groupby("model").agg(x=("cutoff", "last"), y=(column, "last"), brier=("brier", "mean"))
    ends = ends.join(cells.drop_duplicates("model").set_index("model")["passed"])
    ends["x"] = np.log10(ends["x"].to_numpy(float))
    counts = ends["passed"].value_counts()
    legend = []
    for passed, colour, line, marker in ((False, style.VERMILLION, "--", "s"), (True, style.BLUE, "-", "o")):
        label = f"{'passed' if passed else 'did not pass'} ({counts.get(passed, 0)})"
        legend.append(label)
        for number, (model, group) in enumerate(cells[cells["passed"] == passed].groupby("model", sort=False)):
            ax.plot(
                np.log10(group["cutoff"].to_numpy(float)), group[column], color=colour, linestyle=line, marker=marker,
                markersize=3, linewidth=1.2, alpha=0.8, zorder=2 + passed, gid=str(model),
                label=label if number == 0 else f"_{model}",
            )  # fmt: skip
    ax.axhline(0.5, color=style.GREY, linestyle=":", linewidth=1, zorder=1)
    ax.set_ylim(-0.03, 1.03)
    ax.margins(x=0.02)
    ax.set_xlabel(_CUTOFF_AXIS)
    ax.set_ylabel(f"probability of a score of {threshold:g} or more")
    style.tidy(ax, "both")
    named = ends.nlargest(max(labels, 0), "brier")
    _name_lines(ax, named)
    style.legend_above(ax, f"{name}: who will reach {threshold:g}?", legend[::-1])
    text = ["A line ends at the last cutoff below the model's own compute."]
    if 0 < len(named) < len(ends):
        text.append(f"Named: the {len(named)} of {len(ends)} models whose outcome was least expected.")
    _caption(ax, [" ".join(text)], cells)
    return ax


def plot_coverage(backtest: Results, ax: Axes | None = None, *, methods: Sequence[str] | None = None) -> Axes:
    """Draw the coverage of the 50, 80, 90 and 95 % intervals against what they promise.

    Parameters
    ----------
    backtest : Backtest, CutoffStudy or DataFrame
        Scored forecasts, or their cells. Of several specs, each has a line.
    ax : Axes, optional
        Where to draw; default a new figure.
    methods : sequence of str, optional
        Default ours and the baselines of a cutoff study, or all where there are none of these.

    Returns
    -------
    Axes
        One line a method with its number of forecasts, all pooled; bars on ours are 95 % intervals from resampling
        whole families. Below the diagonal intervals are too narrow.

    Raises
    ------
    InputError
        For a method without forecasts, or without intervals.
    """
    cells = _cells(backtest)
    able = cells.dropna(subset=list(bounds(_JUDGED)))
    held = list(dict.fromkeys(able["method"]))
    for method in methods or ():
        if method in set(cells["method"]) and method not in held:
            raise InputError(f"{method} gives no intervals: name other methods, of {', '.join(held)}.")
    if not held:
        raise InputError("No method gives intervals: there is no coverage to draw.")
    able = _lines(able[able["method"].isin(_methods(held, methods, default=True))])
    table = score_table(able, ("line",)).set_index("line")
    ax = style.new_axes(ax, 5.5, 5.2)
    nominal = np.array(LEVELS) / 100
    ax.plot([0.4, 1.0], [0.4, 1.0], color=style.GREY, linestyle=":", linewidth=1.3, label="calibrated", zorder=1.5)
    looks, legend, lows = _line_looks(able), [], [0.5]
    for line, look in looks.items():
        label = f"{line} (n = {table.loc[line, 'n']})"
        legend.append(label)
        values = table.loc[line, [f"coverage_{level}" for level in LEVELS]].to_numpy(float)
        ax.plot(nominal, values, label=label, **look)
        lows.append(values.min())
        mine = able[(able["line"] == line) & (able["method"] == OURS)]
        if len(mine):
            inside = [mine.assign(level=level, inside=_inside(mine, level)) for level in LEVELS]
            intervals = _family_intervals(pd.concat(inside), "level", "inside").loc[list(LEVELS)]
            _bars(ax, nominal, intervals, look["color"])
            lows.append(intervals["low"].min())
    ax.set_xlim(0.45, 1.0)
    ax.set_ylim(max(float(np.nanmin(lows)) - 0.05, -0.02), 1.02)
    ax.set_xticks(nominal, [f"{level} %" for level in LEVELS])
    ax.set_xlabel("nominal coverage of the interval")
    ax.set_ylabel("observed coverage (share inside)")
    style.tidy(ax, "both")
    style.legend_above(ax, "Coverage of the intervals", *_rows_of([*legend, "calibrated"], 2))
    bars = "Bars: 95 % intervals from resampling whole families." if OURS in set(able["method"]) else ""
    _caption(ax, [f"Below the diagonal, intervals are too narrow. {bars}".strip()], able)
    return ax


def plot_pit(
    backtest: Results, method: str = OURS, ax: Axes | None = None, *, bins: int = 10, spec: str | None = None
) -> Axes:
    """Draw the histogram of the probability integral transform (PIT) of a method, flat when calibrated.

    Parameters
    ----------
    backtest : Backtest, CutoffStudy or DataFrame
        Scored forecasts, or their cells.
    method : str
        Whose forecasts.
    ax : Axes, optional
        Where to draw; default a new figure.
    bins : int
        Number of bins.
    spec : str, optional
        Which spec; needed only if the study holds several.

    Returns
    -------
    Axes
        Forecasts in each bin, and the band in which the counts of a calibrated method fall 95 % of the time if
        forecasts err independently of each other (binomial).

    Raises
    ------
    InputError
        For a method or spec without forecasts, a method without distributions, and fewer than two bins.
    """
    if bins < 2:
        raise InputError(f"bins is {bins}: give at least 2.")
    cells = _one_spec(_cells(backtest), spec)
    _methods(list(dict.fromkeys(cells["method"])), [method])
    cells = cells[cells["method"] == method].dropna(subset="pit")
    if cells.empty:
        raise InputError(f"{method} forecasts points, not distributions, and has no PIT: name another method.")
    edges = np.linspace(0, 1, bins + 1)
    counts = np.histogram(cells["pit"], edges)[0]
    low, high = binom.ppf([0.025, 0.975], len(cells), 1 / bins)

    ax = style.new_axes(ax, 6.0, 4.2)
    ax.bar(
        edges[:-1], counts, width=1 / bins, align="edge", color=style.SHADES[0.8], edgecolor="white", label="forecasts",
        zorder=2,
    )  # fmt: skip
    ax.axhspan(low, high, color="0.4", alpha=0.25, linewidth=0, label="95 % of counts when calibrated", zorder=2.5)
    ax.axhline(len(cells) / bins, color="0.25", linestyle="--", linewidth=1.2, label="expected", zorder=3)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.08 * max(counts.max(), high))
    ax.set_xlabel("PIT (share of the forecast below the observed score)")
    ax.set_ylabel("number of forecasts")
    style.tidy(ax, "y")
    style.legend_above(
        ax, f"{method}: PIT of {len(cells)} forecasts", ["forecasts", "expected", "95 % of counts when calibrated"]
    )
    text = (
        "High ends: intervals too narrow; high middle: too wide; more on the left: forecasts too high, on the right: "
        "too low. Forecasts of one family err together, so that even the counts of a calibrated method leave the band "
        "more often."
    )
    _caption(ax, [text], cells)
    return ax


def plot_forest(
    backtest: Results,
    metric: str = "crps",
    ax: Axes | None = None,
    *,
    methods: Sequence[str] | None = None,
    spec: str | None = None,
) -> Axes:
    """Draw the score of each method on each task, one row a task.

    Parameters
    ----------
    backtest : Backtest, CutoffStudy or DataFrame
        Scored forecasts, or their cells.
    metric : str
        A mean score in which lower is better: crps, mae, medae, log_score or interval_score_L (L of 50, 80, 90, 95).
    ax : Axes, optional
        Where to draw; default a new figure, as high as the number of tasks asks for.
    methods : sequence of str, optional
        Default ours and the baselines of a cutoff study, or all where there are none of these.
    spec : str, optional
        Which spec; needed only if the study holds several.

    Returns
    -------
    Axes
        Rows in the order of `Backtest.scores`, under a heading for each setup where there are several. A bar joins ours
        and the best baseline: blue where ours is better. A method without a forecast of some of the models that others
        forecast is drawn hollow and not compared.

    Raises
    ------
    InputError
        For an unknown metric, a method or spec without forecasts, and when no method has that metric.
    """
    if metric not in _METRICS:
        raise InputError(f"There is no metric '{metric}' in which lower is better: choose from {', '.join(_METRICS)}.")
    cells = _one_spec(_cells(backtest), spec)
    chosen = _methods(list(dict.fromkeys(cells["method"])), methods, default=True)
    cells = cells[cells["method"].isin(chosen)]
    table = score_table(cells)
    asked = cells.groupby(["setup", "task"])["model"].nunique().rename("asked")
    table = table.join(asked, on=["setup", "task"])
    table["whole"] = table["n"] == table["asked"]
    table = table.dropna(subset=metric)
    infinite = np.isinf(table[metric])
    far = [f"{name} ({n})" for name, n in table.loc[infinite, "method"].value_counts().items()]
    if infinite.all():
        raise InputError(f"None of {', '.join(chosen)} has a {metric}: choose another metric.")
    heights, ticks, headings = _rows(table)
    table["height"] = [heights[key] for key in zip(table["setup"], table["task"], strict=True)]

    total = len(heights) + len(headings)
    ax = style.new_axes(ax, 8.0, 2.0 + 0.27 * total)
    won = judged = 0
    for height, row in table[table["whole"]].groupby("height"):
        values = row.set_index("method")[metric]
        best = values.drop(OURS, errors="ignore").min()
        if OURS not in values or np.isnan(best):
            continue
        judged, won = judged + 1, won + int(values[OURS] < best)
        if np.isinf([values[OURS], best]).any():
            continue
        colour = style.SHADES[0.8] if values[OURS] < best else _LOST
        ax.hlines(height, values[OURS], best, color=colour, linewidth=4, zorder=2, gid="difference")
    shown = table[~infinite]
    for method in sorted(chosen, key=lambda name: (name == OURS, *_place(name))):
        for whole, mine in shown[shown["method"] == method].groupby("whole"):
            look = _look(method) | {"linestyle": "none", "markersize": 7 if method == OURS else 5.5}
            look |= {} if whole else {"markerfacecolor": "white", "label": f"_{method}, other models"}
            ax.plot(mine[metric], mine["height"], zorder=4 if method == OURS else 3, **({"label": method} | look))
    for height, text in headings.items():
        ax.text(
            0.0, height, text, transform=ax.get_yaxis_transform(), fontsize=8, fontweight="bold", va="center",
            gid="heading", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    ax.set_yticks(list(ticks), list(ticks.values()), fontsize=8)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(total - 0.4, -0.6)
    if (shown[metric] > 0).all():
        _log_axis(ax, shown[metric])
    ax.set_xlabel(f"{_METRICS[metric]}, lower is better")
    style.tidy(ax, "both")
    ax.spines["left"].set_visible(False)
    legend = [name for name in sorted(chosen, key=_place) if name in ax.get_legend_handles_labels()[1]]
    style.legend_above(ax, _capital(f"{_METRICS[metric].partition(' (')[0]} by task"), *_rows_of(legend, 5))
    won_text = f"{OURS} is better than all others in {won} of {judged} rows (blue bar, else orange)." if judged else ""
    hollow = "" if table["whole"].all() else "Hollow: not all models of the row are forecast, hence not compared."
    off = f"Infinite in some rows, not drawn: {', '.join(far)}." if far else ""
    _caption(ax, [" ".join(filter(None, (won_text, hollow, off)))], cells)
    return ax


# --- cells ----------------------------------------------------------------------------------------------------------


def _cells(results: Results, column: str = "method") -> pd.DataFrame:
    """Cells of whatever was given."""
    cells = results if isinstance(results, pd.DataFrame) else results.cells
    if cells.empty:
        raise InputError("There is no forecast to draw: the selection is empty, or every fit has failed.")
    if column not in cells:
        source = "a cutoff study" if column == "cutoff" else "a backtest or a cutoff study"
        raise InputError(f"The cells have no column '{column}': give {source}, or the cells of one.")
    return cells


def _one_spec(cells: pd.DataFrame, spec: str | None) -> pd.DataFrame:
    held = list(dict.fromkeys(cells["spec"])) if "spec" in cells else []
    if spec is None:
        if len(held) > 1:
            raise InputError(f"The study holds {len(held)} specs: name one with spec=, of {', '.join(held)}.")
        return cells
    if spec not in held:
        raise InputError(
            f"There is no spec '{spec}' in the cells: they have {', '.join(held) or 'no column of specs'}."
        )
    return cells[cells["spec"] == spec]


def _find(name: str, column: pd.Series, what: str, where: str = "") -> str:
    """Name of a task or model among those of a column, from that or the part after the slash, in any case."""
    held = [str(value) for value in dict.fromkeys(column)]
    if name in held:
        return name
    for key in (str.casefold, lambda full: full.casefold().rpartition("/")[2]):
        found = [full for full in held if key(full) == name.casefold()]
        if len(found) == 1:
            return found[0]
    if len(held) > 12:
        near = difflib.get_close_matches(name, held, 3, 0.4)
        rest = f"the nearest of {len(held)} are {', '.join(near)}" if near else f"there are {len(held)}, as {held[0]}"
    else:
        rest = f"there {'is' if len(held) == 1 else 'are'} {', '.join(held)}"
    raise InputError(f"There is no forecast of the {what} '{name}'{where}: {rest}.")


def _methods(held: list[str], wanted: Sequence[str] | None, default: bool = False) -> list[str]:
    """Methods to draw, in the order of legends; `default` leaves out all but the usual ones unless they are named."""
    if wanted is not None:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        if unknown := [name for name in names if name not in held]:
            raise InputError(f"There is no forecast of the method '{unknown[0]}': choose from {', '.join(held)}.")
        return sorted(dict.fromkeys(names), key=_place)
    usual = [name for name in held if name in STUDY_METHODS] if default else []
    return sorted([OURS, *usual] if usual and OURS in held else usual or held, key=_place)


def _lines(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells with a column ``line``: the method, ours with its spec where there are several; baselines counted once."""
    if "spec" not in cells or cells["spec"].nunique() < 2:
        return cells.assign(line=cells["method"])
    ours = cells["method"] == OURS
    keys = [key for key in ("setup", "cutoff", "task", "method", "model") if key in cells]
    kept = cells[ours | ~cells.duplicated(keys)]
    return kept.assign(line=kept["method"].where(kept["method"] != OURS, f"{OURS}, " + kept["spec"].astype(str)))


def _lacking(cells: pd.DataFrame, column: str) -> list[str]:
    """A sentence on methods that have no forecast of some of the models."""
    keys = [key for key in ("setup", "cutoff", "task", "model") if key in cells]
    total = len(cells.drop_duplicates(keys))
    counts = cells.groupby(column, sort=False).size()
    short = [f"{name} ({n})" for name, n in counts.items() if n < total]
    return [f"Fewer than {total} forecasts, hence not all comparable: {', '.join(short)}."] if short else []


def _inside(cells: pd.DataFrame, level: int) -> pd.Series:
    low, high = (cells[column] for column in bounds(level))
    return cells["observed"].between(low, high).astype(float).mask(low.isna())


def _family_intervals(cells: pd.DataFrame, by: str, value: str) -> pd.DataFrame:
    """Mean of a column by group with its 95 % interval from resampling whole families, NaN where there is only one."""
    rows = {}
    for key, group in cells.dropna(subset=value).groupby(by):
        sums = group.groupby("family")[value].agg(["sum", "size"]).to_numpy(float)
        low = high = np.nan
        if len(sums) > 1:
            picks = np.random.default_rng(0).integers(len(sums), size=(_RESAMPLES, len(sums)))
            drawn = sums[picks].sum(axis=1)
            low, high = np.percentile(drawn[:, 0] / drawn[:, 1], (2.5, 97.5))
        rows[key] = {"mean": group[value].mean(), "low": low, "high": high}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "low", "high"])


# --- drawing --------------------------------------------------------------------------------------------------------


def _place(method: str) -> tuple[int, str]:
    """Where a method stands in a legend."""
    return -1 if method == OURS else _ORDER.index(method) if method in _ORDER else len(_ORDER), method


def _look(method: str) -> dict[str, Any]:
    """Colour and marker of a method."""
    if method == OURS:
        return {"color": style.BLUE, "marker": "o"}
    place = _place(method)[0]
    return {"color": _COLOURS[place % len(_COLOURS)], "marker": _MARKERS[place % len(_MARKERS)]}


def _line_looks(cells: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Looks of lines, ours (one a spec) the thickest."""
    methods = dict(zip(cells["line"], cells["method"], strict=True))
    colours = cycle(_OURS_COLOURS)
    looks = {}
    for line, method in sorted(methods.items(), key=lambda item: _place(item[1])[0]):
        if method == OURS:
            looks[line] = {"color": next(colours), "marker": "o", "linewidth": 2.0, "markersize": 5, "zorder": 3}
        else:
            looks[line] = _look(method) | {"linewidth": 1.2, "linestyle": "--", "markersize": 4.5, "zorder": 2.5}
    return looks


def _rows_of(labels: Iterable[str], length: int) -> list[list[str]]:
    """Labels in rows of that many, for a legend."""
    names = list(labels)
    return [names[start : start + length] for start in range(0, len(names), length)]


def _bars(ax: Axes, x: np.ndarray, intervals: pd.DataFrame, colour: str = style.BLUE) -> None:
    ax.vlines(x, intervals["low"], intervals["high"], color=colour, linewidth=1.2, alpha=0.6, zorder=2, gid="families")


def _rows(table: pd.DataFrame) -> tuple[dict[tuple[str, str], int], dict[int, str], dict[int, str]]:
    """Heights of the rows of setups and tasks, their labels, and the headings between them."""
    heights: dict[tuple[str, str], int] = {}
    ticks: dict[int, str] = {}
    headings: dict[int, str] = {}
    at, several = 0, table["setup"].nunique() > 1
    for setup, group in table.groupby("setup", sort=False):
        if several:
            headings[at] = str(setup)
            at += 1
        for task in dict.fromkeys(group["task"]):
            heights[setup, task], ticks[at] = at, str(task)
            at += 1
    return heights, ticks, headings


def _log_axis(ax: Axes, values: pd.Series) -> None:
    """Ratios of errors, with plain numbers at 1, 2 and 5 times powers of ten."""
    ax.set_xscale("log")
    low, high = values.min() / 1.3, values.max() * 1.3
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    ax.set_xlim(low, high)
    ticks = np.concatenate([powers, 2 * powers, 5 * powers])
    ax.xaxis.set_major_locator(FixedLocator(sorted(ticks[(ticks >= low) & (ticks <= high)])))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _name_lines(ax: Axes, ends: pd.DataFrame) -> None:
    """Names at the right of the axes, apart from each other, each joined to the end of its line."""
    if ends.empty:
        return
    # Where lines end at about one height, the name of one that ends early stands farther from it: fewer crossings.
    ends = ends.assign(level=ends["y"].round(1), early=np.where(ends["y"] < 0.5, -ends["x"], ends["x"]))
    ends = ends.sort_values(["level", "early"])
    gap, high = 0.06, 0.98
    heights = (ends["y"].to_numpy(float) + 0.03) / 1.06
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + gap)
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], high if i == len(heights) - 1 else heights[i + 1] - gap)
    for (model, end), name, height in zip(
        ends.iterrows(), style.short_names([str(m) for m in ends.index]), heights, strict=True
    ):
        ax.annotate(
            name, xy=(end["x"], end["y"]), xytext=(1.05, height), textcoords="axes fraction", va="center", ha="left",
            fontsize=7.5, color=style.BLUE if end["passed"] else style.VERMILLION, annotation_clip=False,
            gid=f"name {model}",
            arrowprops={
                "arrowstyle": "-", "color": "0.7", "linewidth": 0.7, "relpos": (0.0, 0.5), "shrinkA": 1, "shrinkB": 2,
            },
        )  # fmt: skip


def _caption(ax: Axes, text: Sequence[str], cells: pd.DataFrame) -> None:
    """Caption, with the sampler's verdict on those of the cells that are ours."""
    ours = cells[cells["method"] == OURS]
    bad = int((~ours["converged"].astype(bool)).sum())
    problems = [f"{bad} of {len(ours)} forecasts"] if bad else []
    verdict = []
    if bad:
        verdict = [f"SAMPLER HAS NOT CONVERGED, do not rely on these: {problems[0]}."]
    elif len(ours):
        verdict = [f"Sampler converged for {f'all {len(ours)} forecasts' if len(ours) > 1 else 'the forecast'}."]
    style.caption(ax, "\n".join([*filter(None, text), *verdict]), problems)


def _between(counts: pd.Series) -> str:
    return f"{counts.min()} to {counts.max()}"


def _capital(text: str) -> str:
    return text if ":" in text else text[:1].upper() + text[1:]
