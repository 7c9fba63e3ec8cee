"""Forecast intervals of many models, next to their observed scores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import style

if TYPE_CHECKING:
    from bayes_obscaling.results.forecast import Forecast

# Per cent: columns that bound the interval, and the thickness of its bar.
_LEVELS = {95: ("q2.5", "q97.5", 0.22), 90: ("q5", "q95", 0.38), 80: ("q10", "q90", 0.54), 50: ("q25", "q75", 0.7)}


def plot_forecast(
    forecast: Forecast,
    ax: Axes | None = None,
    task: str | None = None,
    sort: Literal["median", "flops"] = "median",
    max_models: int | None = None,
) -> Axes:
    """Draw nested intervals of the score of every model of a forecast, one row per model.

    Parameters
    ----------
    forecast : Forecast
        From `bayes_obscaling.forecast`.
    ax : Axes, optional
        Where to draw; default a new figure, as high as the number of models asks for.
    task : str, optional
        Which task; needed only if the forecast holds several.
    sort : {"median", "flops"}
        Models from the highest median score, or the most compute, downwards. A model of unknown compute is placed at
        its posterior median, one without either at the end.
    max_models : int, optional
        Draw only the first so many.

    Returns
    -------
    Axes
        Equal-tailed intervals (50, 80, 90 and 95 %) with the median, the observed scores, the chance score, and a
        caption with the basis of the forecasts, warnings (of the models marked with a dagger) and the sampler's
        verdict, which is red when the sampler has not converged.

    Raises
    ------
    InputError
        When the forecast holds several tasks and none is named, for an unknown task or an unknown order, and for
        fewer than one model.
    """
    name = _task_of(forecast, task)
    if sort not in ("median", "flops"):
        raise InputError(f"sort is '{sort}': take 'median' or 'flops'.")
    if max_models is not None and max_models < 1:
        raise InputError(f"max_models is {max_models}: give at least 1.")
    rows = _sorted_rows(forecast, name, sort)
    total, rows = len(rows), rows.head(max_models)
    ax = style.new_axes(ax, 9.0, 2.0 + 0.25 * len(rows))
    height = np.arange(len(rows))
    _draw_intervals(ax, rows, height)
    chance = forecast.fit.chance(name)
    ax.axvline(chance, linestyle=":", color=style.GREY, linewidth=1.3, label="chance", zorder=1.5)

    bases = rows["basis"].value_counts()
    mark = np.where((rows["basis"] == "compute") & (len(bases) > 1), " *", "")
    warned = np.where([bool(_warnings_of(forecast, [model])) for model in rows["model"]], " †", "")
    ax.set_yticks(height, rows["label"] + mark + warned, fontsize=8)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    right = min(1.0, 1.04 * np.nanmax([*rows["q97.5"], *rows["observed"], chance, 0.02]))
    ax.set_xlim(-0.012 * right, 1.012 * right)
    ax.set_xlabel("score" if forecast.kind == "response" else "expected score (no evaluation noise)")
    style.tidy(ax, "x")
    ax.spines["left"].set_visible(False)
    style.legend_above(
        ax,
        f"{name}: forecast, {style.seen_text(forecast.seen_of(name))}",
        [f"{level} % interval" for level in sorted(_LEVELS)],
        ["median", style.HELD_OUT["label"], style.SEEN["label"], "chance"],
    )
    left_out = f"{len(rows)} of {total} models shown, by {sort}." if len(rows) < total else ""
    judgement = style.verdict(forecast.convergence, forecast.problems)
    style.caption(ax, _caption_text(forecast, rows, left_out), judgement, forecast.problems)
    return ax


def _sorted_rows(forecast: Forecast, task: str, sort: str) -> pd.DataFrame:
    """Rows of the summary of one task, in the order in which they are drawn."""
    rows = forecast.to_dataframe()
    rows = rows[rows["task"] == task].copy()
    rows["label"] = style.short_names(rows["model"].tolist())
    key = rows["median"] if sort == "median" else rows["flops"].fillna(rows["latent_flops"])
    return rows.loc[key.sort_values(ascending=False, na_position="last", kind="stable").index]


def _draw_intervals(ax: Axes, rows: pd.DataFrame, height: np.ndarray) -> None:
    """Draw nested intervals, medians and observed scores, a row per model."""
    for level, (low, high, thickness) in _LEVELS.items():
        left, width = rows[low].to_numpy(), (rows[high] - rows[low]).to_numpy()
        look: style.Look = {"height": thickness, "color": style.SHADES[level / 100], "label": f"{level} % interval"}
        ax.barh(height, width, left=left, zorder=2, **look)
    ax.plot(rows["median"], height, "|", color="black", markersize=9, markeredgewidth=1.6, label="median", zorder=3)
    observed, seen = rows["observed"].to_numpy(float), rows["seen"].to_numpy(bool)
    for look, chosen in ((style.HELD_OUT, ~seen), (style.SEEN, seen)):
        known = chosen & np.isfinite(observed)
        if known.any():
            ax.plot(observed[known], height[known], linestyle="none", markersize=5, zorder=4, **look)


def _caption_text(forecast: Forecast, rows: pd.DataFrame, left_out: str) -> str:
    text = [_basis_text(rows["basis"].value_counts()), *forecast.own_notes]
    if forecast.verdict == "REVIEW":
        models = tuple(forecast.about["model"])
        text.append(f"Sampler to be reviewed: {'; '.join(w for w in forecast.warnings if not w.startswith(models))}.")
    if left_out:
        text.append(left_out)
    if about_these := _warnings_of(forecast, rows["model"]):
        more = f" ({len(about_these) - 1} more: see the warnings of the forecast)" if len(about_these) > 1 else ""
        text.append(f"† Warning: {about_these[0]}{more}")
    return "\n".join(text)


def _warnings_of(forecast: Forecast, models: Iterable[str]) -> list[str]:
    """Warnings about these models: they begin with the name."""
    starts = tuple(f"{model}{end}" for model in models for end in (" ", ":"))
    return [warning for warning in forecast.warnings if warning.startswith(starts)]


def _task_of(forecast: Forecast, task: str | None) -> str:
    names = [str(name) for name in forecast.draws["task"].to_numpy()]
    if task is None:
        if len(names) > 1:
            raise InputError(f"The forecast holds {len(names)} tasks: name one to plot, of {', '.join(names)}.")
        return names[0]
    name = forecast.fit.table.find(task) or task
    if name not in names:
        raise InputError(f"The forecast does not hold the task '{task}': name one of {', '.join(names)}.")
    return name


def _basis_text(bases: pd.Series) -> str:
    """Say what the forecasts are made from."""
    if len(bases) == 1:
        source = "their benchmark scores" if bases.index[0] == "benchmarks" else "family and compute alone"
        return f"Forecast from {source}."
    return (
        f"Forecast from benchmark scores ({bases['benchmarks']} models) or, marked *, from family and compute alone "
        f"({bases['compute']})."
    )
