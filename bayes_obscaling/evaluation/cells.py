"""Tables of scored forecasts: one model as the cutoff is pulled back, errors, coverage, PIT, scores by task.

Every function takes scored forecasts (a backtest, a cutoff study, or the frame of their cells) and returns a tidy
table, which the function of the same subject in `bayes_obscaling.plots` draws. Where a table can only be about one
spec, ``spec`` names it; it may be left out if there is only one. Elsewhere ours has a ``line`` per spec. Of forecasts
that were cut by date, tables have a column ``as_of`` where those of others have ``cutoff``.

All tables have the columns ``place`` (position of the method among methods: 0 is ours, baselines follow in the order of
the registry), ``n`` (forecasts behind the row) and ``not_converged`` (those of them from a sampler that has not
converged).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binom

from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.cell_choice import (
    Cells,
    choose_methods,
    counted,
    frame_by_cut,
    frame_of,
    method_place,
    one_spec,
    resolve,
    with_lines,
)
from bayes_obscaling.evaluation.cutoff_study import STUDY_METHODS
from bayes_obscaling.evaluation.scoring import LEVELS, OURS, bounds, family_intervals, inside, score_table

JUDGED = 90  # per cent: the interval by which a distance is said to be too far
METRICS = ("crps", "mae", "medae", "log_score", *(f"interval_score_{level}" for level in LEVELS))


# --- tables ---------------------------------------------------------------------------------------------------------


def trajectory(
    scored: Cells, task: str, model: str, *, baselines: Sequence[str] | None = None, spec: str | None = None
) -> pd.DataFrame:
    """Forecasts of one model, from the lowest cutoff, or the first as-of date, to the last.

    Parameters
    ----------
    task : str
        Task.
    model : str
        A model that is held out at one cutoff, or date, at least; the part after the ``/`` will do.
    baselines : sequence of str, optional
        Further methods to keep; default pc-3 where the study has it. Empty for none.

    Returns
    -------
    DataFrame
        One row per method and cutoff, ours first: ``task, model, family, flops`` (and ``date`` of release), ``method,
        place, cutoff, observed, median, q25, q75, q5, q95, n, not_converged``.

    Raises
    ------
    InputError
        For a task, model, method or spec of which the study has no forecast.
    """
    rows, cut = frame_by_cut(scored)
    rows = one_spec(rows, spec)
    name = resolve(task, rows["task"], "task")
    rows = rows[rows["task"] == name]
    who = resolve(model, rows["model"], "model", f" on {name}")
    rows = rows[rows["model"] == who]
    methods = list(dict.fromkeys(rows["method"]))
    if OURS not in methods:
        raise InputError(f"There is no {OURS} forecast of {who} on {name}: choose another model.")
    others = [m for m in STUDY_METHODS[:1] if m in methods] if baselines is None else choose_methods(methods, baselines)
    rows = counted(rows[rows["method"].isin([OURS, *others])]).sort_values(["place", cut], kind="stable")
    facts = ["model", "family", "flops", *(["date"] if "date" in rows else [])]
    about = ["task", *facts, "method", "place", cut, "observed"]
    return rows[[*about, "median", *bounds(50), *bounds(90), "n", "not_converged"]].reset_index(drop=True)


def error_by_cutoff(scored: Cells, task: str | None = None, *, methods: Sequence[str] | None = None) -> pd.DataFrame:
    """Mean absolute error of each method at each cutoff or as-of date.

    Parameters
    ----------
    task : str, optional
        Task; default the mean over tasks, each counted once.
    methods : sequence of str, optional
        Default all.

    Returns
    -------
    DataFrame
        One row per line (a method, ours with its spec where there are several) and cutoff: ``task`` (its name, or how
        many there are), ``line, method, place, cutoff, mae``, ``tasks`` in that mean and ``tasks_asked`` at the cutoff
        of any method (``mae`` is NaN where the method lacks one of them), ``tasks_of_all`` cutoffs, ``models`` and
        ``forecasts`` that there are at the cutoff, ``n`` and ``not_converged``.

    Raises
    ------
    InputError
        For a task or method of which the study has no forecast.
    """
    rows, cut = frame_by_cut(scored)
    if task is not None:
        rows = rows[rows["task"] == resolve(task, rows["task"], "task")]
    chosen = choose_methods(list(dict.fromkeys(rows["method"])), methods)
    rows = counted(with_lines(rows[rows["method"].isin(chosen)]))
    each = score_table(rows, ("line", cut, "task"))
    keys = ["line", cut]
    table = rows.groupby(keys, sort=False)[["n", "not_converged"]].sum()
    table = table.join(each.groupby(keys).agg(tasks=("task", "size"), mae=("mae", "mean"))).reset_index()
    same = [key for key in ("setup", cut, "task", "model") if key in rows]
    asked = rows.groupby(cut).agg(models=("model", "nunique"), tasks_asked=("task", "nunique"))
    asked["forecasts"] = rows.drop_duplicates(same).groupby(cut).size()
    table = table.join(asked, on=cut)
    table["mae"] = table["mae"].where(table["tasks"] == table["tasks_asked"])
    names = list(dict.fromkeys(rows["task"]))
    table["task"], table["tasks_of_all"] = names[0] if len(names) == 1 else f"mean of {len(names)} tasks", len(names)
    table = table.join(rows.drop_duplicates("line").set_index("line")[["method", "place"]], on="line")
    order = {line: at for at, line in enumerate(dict.fromkeys(rows["line"]))}
    table = table.assign(at=table["line"].map(order)).sort_values(["place", "at", cut])
    counts = ["tasks", "tasks_asked", "tasks_of_all", "models", "forecasts", "n", "not_converged"]
    return table[["task", "line", "method", "place", cut, "mae", *counts]].reset_index(drop=True)


def by_distance(scored: Cells, *, width: float = 0.25, method: str = OURS, spec: str | None = None) -> pd.DataFrame:
    """Error, coverage and width of a method's intervals by distance beyond the cutoff.

    Parameters
    ----------
    width : float
        Width of a bin in decades of compute. A bin holds its upper edge: models inside the range of those leaned on
        (distance 0) are apart from those just beyond it.
    method : str
        Whose forecasts.

    Returns
    -------
    DataFrame
        One row per bin: ``method, place, above, up_to`` (its edges), ``distance`` (its middle), the columns of
        `score_table`, the 95 % intervals ``mae_low, mae_high, coverage_90_low, coverage_90_high`` from resampling whole
        families (NaN where there is one family), ``failing`` (whether the upper end for the coverage is below 90 %) and
        ``not_converged``. Forecasts of unknown distance have a last row, with NaN for the distance.

    Raises
    ------
    InputError
        For a method or spec without forecasts, one that gives no intervals, when no distance is known, and for a width
        that is not positive.
    """
    if not width > 0:
        raise InputError(f"The width of a bin is {width} decades: give a positive number, such as 0.25.")
    rows = _with_intervals(scored, "distance", method, spec)
    # rounded, so that 0.1 + 0.2 is not beyond the edge 0.3
    return _binned(rows, "distance", np.ceil((rows["distance"] / width).round(9)) - 1, width)


def by_months(scored: Cells, *, width: float = 3.0, method: str = OURS, spec: str | None = None) -> pd.DataFrame:
    """Error, coverage and width of a method's intervals by months ahead.

    Parameters
    ----------
    width : float
        Width of a bin in months. A bin holds its lower edge: a model that was released on the as-of date is zero months
        ahead.
    method : str
        Whose forecasts.

    Returns
    -------
    DataFrame
        As of `by_distance`, with ``months_ahead`` in place of ``distance``; the last row is of unknown release dates.

    Raises
    ------
    InputError
        As `by_distance`.
    """
    if not width > 0:
        raise InputError(f"The width of a bin is {width} months: give a positive number, such as 3.")
    rows = _with_intervals(scored, "months_ahead", method, spec)
    return _binned(rows, "months_ahead", np.floor(rows["months_ahead"] / width), width)


def _with_intervals(scored: Cells, column: str, method: str, spec: str | None) -> pd.DataFrame:
    """Cells of one method, which must give intervals, and know for some forecast how far ahead it is."""
    rows = one_spec(frame_of(scored, column), spec)
    choose_methods(list(dict.fromkeys(rows["method"])), [method])
    rows = counted(rows[rows["method"] == method])
    known = rows[column].notna()
    if not known.any():
        lacking = "distance: its models are of unknown compute" if column == "distance" else "release date"
        raise InputError(f"No forecast has a known {lacking}.")
    if rows.loc[known, bounds(JUDGED)[0]].isna().all():
        raise InputError(f"{method} gives no intervals: name another method.")
    return rows


def _binned(rows: pd.DataFrame, column: str, bin_: pd.Series, width: float) -> pd.DataFrame:
    """Table by bins of a column, each by its number; cells without a number are a group of its own, the last."""
    method = str(rows["method"].iloc[0])
    rows = rows.assign(bin=bin_.fillna(np.inf), mae=(rows["median"] - rows["observed"]).abs())
    rows[f"coverage_{JUDGED}"] = inside(rows, JUDGED)
    table = score_table(rows, ("bin",)).set_index("bin").sort_index()
    for quantity in ("mae", f"coverage_{JUDGED}"):
        intervals = family_intervals(rows, "bin", quantity).reindex(table.index)
        table[f"{quantity}_low"], table[f"{quantity}_high"] = intervals["low"], intervals["high"]
    table["failing"] = table[f"coverage_{JUDGED}_high"] < JUDGED / 100
    table["not_converged"] = rows.groupby("bin")["not_converged"].sum()
    place, at = table.index.to_numpy(float), {"above": 0.0, "up_to": 1.0, column: 0.5}
    edges = {name: np.where(np.isfinite(place), (place + shift) * width, np.nan) for name, shift in at.items()}
    facts = pd.DataFrame({"method": method, "place": method_place(method), **edges}, index=table.index)
    return facts.join(table).reset_index(drop=True)


def emergence(scored: Cells, task: str, threshold: float, *, spec: str | None = None) -> pd.DataFrame:
    """Probability that held-out models pass a score, from the lowest cutoff, or the first as-of date, to the last.

    Parameters
    ----------
    task : str
        Task.
    threshold : float
        One of the thresholds that the study was made with.

    Returns
    -------
    DataFrame
        One row per cutoff and model, ours alone: ``task, threshold, cutoff, model, family, observed, passed,
        probability, brier`` (squared error of the probability), ``place, n, not_converged``.

    Raises
    ------
    InputError
        For a task, threshold or spec of which the study holds no probability.
    """
    rows, cut = frame_by_cut(scored)
    rows = one_spec(rows, spec)
    name = resolve(task, rows["task"], "task")
    rows = rows[(rows["task"] == name) & (rows["method"] == OURS)]
    column = f"p_above_{threshold:g}"
    held = [c.removeprefix("p_above_") for c in rows if c.startswith("p_above_") and rows[c].notna().any()]
    if f"{threshold:g}" not in held:
        has = f"it has those of {', '.join(held)}" if held else "name thresholds when you make the study"
        raise InputError(f"The study holds no probabilities that {name} passes {threshold:g}: {has}.")
    rows = counted(rows.dropna(subset=column)).sort_values(cut, kind="stable")
    rows = rows.assign(threshold=threshold, passed=rows["observed"] >= threshold, probability=rows[column])
    rows["brier"] = (rows["probability"] - rows["passed"]) ** 2
    about = ["task", "threshold", cut, "model", "family", "observed", "passed", "probability", "brier"]
    return rows[[*about, "place", "n", "not_converged"]].reset_index(drop=True)


def coverage(scored: Cells, *, methods: Sequence[str] | None = None) -> pd.DataFrame:
    """Share of observed scores inside the 50, 80, 90 and 95 % intervals, all forecasts pooled.

    Parameters
    ----------
    methods : sequence of str, optional
        Default ours and the baselines of a cutoff study, or all where there are none of these.

    Returns
    -------
    DataFrame
        One row per line and level: ``line, method, place, level`` (per cent), ``coverage`` and its 95 % interval
        ``low, high`` from resampling whole families (NaN where there is one family), ``n, not_converged``.

    Raises
    ------
    InputError
        For a method without forecasts, or without intervals.
    """
    rows = frame_of(scored)
    with_intervals = rows.dropna(subset=list(bounds(JUDGED)))
    held = list(dict.fromkeys(with_intervals["method"]))
    for method in methods or ():
        if method in set(rows["method"]) and method not in held:
            raise InputError(f"{method} gives no intervals: name other methods, of {', '.join(held)}.")
    if not held:
        raise InputError("No method gives intervals: there is no coverage to draw.")
    chosen = choose_methods(held, methods, default=True)
    rows = counted(with_lines(with_intervals[with_intervals["method"].isin(chosen)]))
    parts = []
    for line, group in rows.groupby("line", sort=False):
        hits = pd.concat([group.assign(level=level, inside=inside(group, level)) for level in LEVELS])
        shares = family_intervals(hits, "level", "inside").loc[list(LEVELS)].rename(columns={"mean": "coverage"})
        shares = shares.rename_axis("level").reset_index()
        first = group.iloc[0]
        shares = shares.assign(n=len(group), not_converged=int(group["not_converged"].sum()))
        parts.append(shares.assign(line=line, method=first["method"], place=first["place"]))
    table = pd.concat(parts, ignore_index=True).sort_values("place", kind="stable")
    columns = ["line", "method", "place", "level", "coverage", "low", "high", "n", "not_converged"]
    return table[columns].reset_index(drop=True)


def pit(scored: Cells, method: str = OURS, *, bins: int = 10, spec: str | None = None) -> pd.DataFrame:
    """Histogram of the probability integral transform (PIT) of a method's forecasts, flat when calibrated.

    Parameters
    ----------
    method : str
        Whose forecasts.
    bins : int
        Number of bins.

    Returns
    -------
    DataFrame
        One row per bin: ``method, place, left, right, n``, the number ``expected`` of a calibrated method and the band
        ``low, high`` in which its counts fall 95 % of the time if forecasts err independently of each other
        (binomial), and ``not_converged``.

    Raises
    ------
    InputError
        For a method or spec without forecasts, a method without distributions, and fewer than two bins.
    """
    if bins < 2:
        raise InputError(f"bins is {bins}: give at least 2.")
    rows = one_spec(frame_of(scored), spec)
    choose_methods(list(dict.fromkeys(rows["method"])), [method])
    rows = counted(rows[rows["method"] == method].dropna(subset="pit"))
    if rows.empty:
        raise InputError(f"{method} forecasts points, not distributions, and has no PIT: name another method.")
    edges = np.linspace(0, 1, bins + 1)
    low, high = binom.ppf([0.025, 0.975], len(rows), 1 / bins)
    return pd.DataFrame(
        {
            "method": method,
            "place": method_place(method),
            "left": edges[:-1],
            "right": edges[1:],
            "n": np.histogram(rows["pit"], edges)[0],
            "expected": len(rows) / bins,
            "low": low,
            "high": high,
            "not_converged": np.histogram(rows.loc[rows["not_converged"] > 0, "pit"], edges)[0],
        }
    )


def by_task(
    scored: Cells, metric: str = "crps", *, methods: Sequence[str] | None = None, spec: str | None = None
) -> pd.DataFrame:
    """Score of each method on each task, and of the best rival.

    Parameters
    ----------
    metric : str
        A mean score in which lower is better: crps, mae, medae, log_score or interval_score_L (L of 50, 80, 90, 95).
    methods : sequence of str, optional
        Default ours and the baselines of a cutoff study, or all where there are none of these.

    Returns
    -------
    DataFrame
        One row per setup, task and method, in the order of `Backtest.scores`: ``setup, task, method, place, metric,
        value, n``; ``whole``: whether all models of the task are forecast that any method forecasts; ``rival``, in rows
        of ours that are whole: the lowest value of the other whole methods (NaN where there is none); and
        ``not_converged``.

    Raises
    ------
    InputError
        For an unknown metric, a method or spec without forecasts, and when no method has that metric.
    """
    if metric not in METRICS:
        raise InputError(f"There is no metric '{metric}' in which lower is better: choose from {', '.join(METRICS)}.")
    rows = one_spec(frame_of(scored), spec)
    chosen = choose_methods(list(dict.fromkeys(rows["method"])), methods, default=True)
    rows = counted(rows[rows["method"].isin(chosen)])
    keys = ["setup", "task"]
    table = score_table(rows).rename(columns={metric: "value"})
    models = rows.groupby(keys)["model"].nunique().rename("models")
    bad = rows.groupby([*keys, "method"])["not_converged"].sum()
    table = table.join(models, on=keys).join(bad, on=[*keys, "method"])
    table = table.assign(metric=metric, whole=table["n"] == table["models"], place=table["method"].map(method_place))
    table = table.dropna(subset="value")
    if np.isinf(table["value"]).all():
        raise InputError(f"None of {', '.join(chosen)} has a {metric}: choose another metric.")
    rivals = table[table["whole"] & (table["method"] != OURS)].groupby(keys)["value"].min().rename("rival")
    table = table.join(rivals, on=keys)
    table["rival"] = table["rival"].where((table["method"] == OURS) & table["whole"])
    columns = ["method", "place", "metric", "value", "n", "whole", "rival", "not_converged"]
    return table[[*keys, *columns]].reset_index(drop=True)
