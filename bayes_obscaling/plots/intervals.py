"""Forecast intervals of many models, next to their observed scores."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import style
from bayes_obscaling.results.diagnostics.sampler import energy_warning
from bayes_obscaling.results.forecast import Forecast

LEVELS = (0.95, 0.9, 0.8, 0.5)
_THICKNESS = {0.95: 0.22, 0.9: 0.38, 0.8: 0.54, 0.5: 0.7}


def plot_forecast(
    forecast: Forecast,
    ax: Axes | None = None,
    task: str | None = None,
    sort: Literal["median", "flops"] = "median",
    max_models: int | None = None,
) -> Axes:
    """Draw nested intervals of the score of every model of a forecast, one row a model.

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
        caption with the basis of the forecasts and the sampler's verdict, red when the sampler has not converged.

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
    levels = sorted({0.5, *(tail for level in LEVELS for tail in _tails(level))})
    quantiles = forecast.quantiles(levels)["value"].to_numpy().reshape(len(levels), -1)
    rows = forecast.about.reset_index(drop=True)
    for level, values in zip(levels, quantiles, strict=True):
        rows[level] = values
    rows = rows[rows["task"] == name].copy()
    rows["label"] = style.short_names(rows["model"].tolist())
    key = rows[0.5] if sort == "median" else rows["flops"].fillna(rows["latent_flops"])
    rows = rows.loc[key.sort_values(ascending=False, na_position="last", kind="stable").index]
    total, rows = len(rows), rows.head(max_models)

    ax = style.new_axes(ax, 9.0, 2.0 + 0.25 * len(rows))
    height = np.arange(len(rows))
    for level in LEVELS:
        low, high = (rows[tail].to_numpy() for tail in _tails(level))
        ax.barh(
            height, high - low, left=low, height=_THICKNESS[level], color=style.SHADES[level],
            label=_label(level), zorder=2,
        )  # fmt: skip
    ax.plot(rows[0.5], height, "|", color="black", markersize=9, markeredgewidth=1.6, label="median", zorder=3)
    chance = float(forecast.fit.table.benchmarks.loc[name, "chance"])
    ax.axvline(chance, linestyle=":", color=style.GREY, linewidth=1.3, label="chance", zorder=1.5)
    observed, seen = rows["observed"].to_numpy(float), rows["seen"].to_numpy(bool)
    for kind, chosen in ((style.HELD_OUT, ~seen), (style.SEEN, seen)):
        chosen = chosen & np.isfinite(observed)
        if chosen.any():
            ax.plot(observed[chosen], height[chosen], linestyle="none", markersize=5, zorder=4, **kind)

    bases = rows["basis"].value_counts()
    mark = np.where((rows["basis"] == "compute") & (len(bases) > 1), " *", "")
    ax.set_yticks(height, rows["label"] + mark, fontsize=8)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    right = min(1.0, 1.04 * np.nanmax([*rows[0.975], *observed, chance, 0.02]))
    ax.set_xlim(-0.012 * right, 1.012 * right)
    ax.set_xlabel("score" if forecast.kind == "response" else "expected score (no evaluation noise)")
    style.tidy(ax, "x")
    ax.spines["left"].set_visible(False)
    style.legend_above(
        ax,
        f"{name}: forecast, {style.cutoff_text(forecast.fit, name)}",
        [_label(level) for level in reversed(LEVELS)],
        ["median", style.HELD_OUT["label"], style.SEEN["label"], "chance"],
    )
    text = [_basis_text(bases), style.verdict(forecast.convergence, forecast.problems)]
    if forecast.verdict == "REVIEW":
        text.append(f"Sampler to be reviewed: {'; '.join(energy_warning(forecast.fit))}.")
    if len(rows) < total:
        text.append(f"{len(rows)} of {total} models shown, by {sort}.")
    if about_these := [w for w in forecast.warnings if any(w.startswith(model) for model in rows["model"])]:
        more = f" ({len(about_these) - 1} more warnings of this kind)" if len(about_these) > 1 else ""
        text.append(f"Warning: {about_these[0]}{more}")
    style.caption(ax, "\n".join(text), forecast.problems)
    return ax


def _label(level: float) -> str:
    return f"{100 * level:g} % interval"


def _tails(level: float) -> tuple[float, float]:
    """Quantile levels of the ends of an equal-tailed interval."""
    return round(0.5 - level / 2, 6), round(0.5 + level / 2, 6)


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
