"""A task's response curve, against capability and against compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bayes_obscaling.analyses.efficiency import equivalent_compute
from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import style
from bayes_obscaling.results.fit import Fit
from bayes_obscaling.results.forecast import NEW_FAMILY, Scenario, capability_grid, forecast, task_capability

_GRID = 41
_LEGEND = (["median", "50 % band", "90 % band", "chance", "cutoff"], [style.SEEN["label"], style.HELD_OUT["label"]])
# Models of other families, at their equivalent compute: the same shapes, paler and smaller.
_OTHERS: dict[str, Any] = {"markersize": 3.5, "alpha": 0.55, "zorder": 2.5}


def plot_capability_curve(fit: Fit, task: str, ax: Axes | None = None) -> Axes:
    """Draw a task's expected score against capability, with the models at their observed scores.

    Parameters
    ----------
    fit : Fit
        From `bayes_obscaling.fit` or `load_fit`.
    task : str
        A task that the fit holds, asked for or fitted along; not a standard benchmark.
    ax : Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    Axes
        The curve (median, 50 and 90 % bands), the models at the posterior mean of their capability and their observed
        score, those whose score the fit has seen apart from those held out, and the sampler's verdict.

    Raises
    ------
    InputError
        For a task that the fit does not hold, and for a benchmark.

    Notes
    -----
    The bands are those of the curve of a family without an offset of its own: a model's forecast adds its family's
    offset, the uncertainty of its capability, and evaluation noise, so points scatter wider than the bands.
    """
    name = _task_of(fit, task)
    ax = style.new_axes(ax, 7.0, 5.0)
    grid, curves = capability_grid(fit, name)
    _bands(ax, grid, curves)
    seen, held_out = _observed(fit, name)
    places = task_capability(fit, name)
    _points(ax, places[seen.index], seen, places[held_out.index], held_out)
    _finish(ax, fit, name, f"{name}: expected score, {style.cutoff_text(fit, name)}")
    ax.set_xlabel("capability (sd of the seen models, along what the task reads)")
    text = "Bands: the curve alone. A model's family, uncertain capability and evaluation noise come on top."
    style.caption(ax, f"{text}\n{style.fit_verdict(fit)}", fit.problems)
    return ax


def plot_compute_curve(fit: Fit, task: str, family: str, ax: Axes | None = None, others: bool = True) -> Axes:
    """Draw the expected score of a new model of a family against its training compute.

    Parameters
    ----------
    fit : Fit
        From `bayes_obscaling.fit` or `load_fit`.
    task : str
        Task, or a standard benchmark.
    family : str
        A family of the table, or "new" for one never seen.
    ax : Axes, optional
        Where to draw; default a new figure.
    others : bool
        Draw the models of other families too, pale, at their equivalent compute: that at which this family's typical
        model has the same capability for the task (posterior median). A benchmark and a new family have none.

    Returns
    -------
    Axes
        The curve (median, 50 and 90 % bands), the family's models at their own compute and observed score, those
        whose score the fit has seen apart from those held out, and the sampler's verdict.

    Raises
    ------
    InputError
        For a task or family that the fit does not hold.

    Notes
    -----
    The bands are those of ``forecast(fit, Scenario(family=family, flops=...), kind="mean")``: they hold the residual
    of a single model, which is the same all along the curve, and no evaluation noise.
    """
    models = fit.table.models
    # One name for all, hence one residual: the curve of one new model, without jumps.
    probe = forecast(fit, Scenario("new model", family, 1e22), tasks=task, kind="mean")
    name, family = str(probe.draws["task"].item()), str(probe.about["family"].iloc[0])
    mine = models.index[(models["family"] == family) & models["flops"].notna()]
    seen, held_out = _observed(fit, name)
    equivalent = _equivalent_compute(fit, name, family) if others else pd.Series(dtype=float)
    known, cutoff = models["flops"].dropna(), style.cutoff_of(fit, name)
    reach = np.log10([*(known[mine] if len(mine) else known), *([] if cutoff is None else [cutoff])])
    grid = np.linspace(np.floor(reach.min() - 0.3), np.ceil(reach.max() + 0.3), _GRID)
    asked = [Scenario("new model", family, 10.0**x) for x in grid]
    drawn = forecast(fit, asked, tasks=name, kind="mean")

    ax = style.new_axes(ax, 7.0, 5.0)
    _bands(ax, grid, drawn.draws.to_numpy().reshape(-1, len(grid)))
    inside = equivalent[equivalent.between(grid[0], grid[-1])].index.difference(mine, sort=False)
    for part, style_of in ((seen, style.SEEN), (held_out, style.HELD_OUT)):
        shown = inside.intersection(part.index, sort=False)
        if len(shown):
            options = {**style_of, **_OTHERS, "label": "_other families"}
            ax.plot(equivalent[shown], part[shown], linestyle="none", **options)
    own_seen, own_held_out = (part[part.index.intersection(mine, sort=False)] for part in (seen, held_out))
    places = np.log10(known)
    _points(ax, places[own_seen.index], own_seen, places[own_held_out.index], own_held_out)
    if cutoff is not None:
        ax.axvline(np.log10(cutoff), color=style.GREY, linestyle="--", linewidth=1, label="cutoff", zorder=1.5)
    who = "a family never seen" if family == NEW_FAMILY else family
    _finish(ax, fit, name, f"{name}: expected score of a new model of {who}\n{style.cutoff_text(fit, name)}")
    ax.set_xlim(grid[0], grid[-1])
    ax.set_xlabel("compute (log10 FLOPs)" + (f", others' as {family} equivalent" if len(inside) else ""))
    text = "Bands: one new model of the family, no evaluation noise."
    if len(inside):
        text += f" Small pale markers: models of other families, at the compute of an equally capable {family}."
    style.caption(ax, f"{text}\n{style.verdict(drawn.convergence, drawn.problems)}", drawn.problems)
    return ax


def _task_of(fit: Fit, task: str) -> str:
    """Name of a task with a head."""
    name = fit.table.resolve(task)
    held = [str(t) for t in fit.draws["task"].to_numpy()] if "task" in fit.draws.coords else []
    if name in held:
        return name
    if name in fit.draws["benchmark"].to_numpy():
        raise InputError(
            f"{name} is a standard benchmark, which no single capability explains: draw it against compute, or name a "
            f"task{' such as ' + held[0] if held else ''}."
        )
    raise InputError(f"The fit does not hold {name}: fit again with it; it holds {', '.join(held) or 'no task'}.")


def _observed(fit: Fit, task: str) -> tuple[pd.Series, pd.Series]:
    """Scores that the fit has seen, and those held out."""
    data = fit.posterior["observed_data"].to_dataset()
    variable, dim = ("benchmark_score", "benchmark") if task in data["benchmark"].to_numpy() else ("task_score", "task")
    shown = data[variable].sel({dim: task}).to_series()
    everything = fit.table.matrix([task])[task].dropna()
    is_seen = shown.reindex(everything.index).notna()
    return everything[is_seen], everything[~is_seen]


def _equivalent_compute(fit: Fit, task: str, family: str) -> pd.Series:
    """Compute (log10 FLOPs) at which the family's typical model is as capable for the task as each model."""
    if "task" not in fit.draws.coords or task not in fit.draws["task"].to_numpy() or family == NEW_FAMILY:
        return pd.Series(dtype=float)
    found = equivalent_compute(fit, family=family, capability=task).median(("chain", "draw")).to_series()
    return np.log10(found[np.isfinite(found)])


def _bands(ax: Axes, grid: np.ndarray, curves: np.ndarray) -> None:
    """Median, 50 and 90 % bands of curves (draws, points)."""
    q5, q25, median, q75, q95 = np.percentile(curves, (5, 25, 50, 75, 95), axis=0)
    ax.fill_between(grid, q5, q95, color=style.SHADES[0.95], linewidth=0, label="90 % band", zorder=1)
    ax.fill_between(grid, q25, q75, color=style.SHADES[0.8], linewidth=0, label="50 % band", zorder=1.2)
    ax.plot(grid, median, color=style.BLUE, linewidth=2, label="median", zorder=2)


def _points(ax: Axes, seen_at: pd.Series, seen: pd.Series, held_out_at: pd.Series, held_out: pd.Series) -> None:
    """Models at their observed score."""
    options: dict[str, Any] = {"linestyle": "none", "markersize": 5.5, "zorder": 3}
    if len(seen):
        ax.plot(seen_at, seen, **options, **style.SEEN)
    if len(held_out):
        ax.plot(held_out_at, held_out, **options, **style.HELD_OUT)


def _finish(ax: Axes, fit: Fit, task: str, title: str) -> None:
    chance = float(fit.table.benchmarks.loc[task, "chance"])
    ax.axhline(chance, linestyle=":", color=style.GREY, linewidth=1.3, label="chance", zorder=1.5)
    ax.set_ylim(-0.02, 1.02)
    ax.set_ylabel("score")
    style.tidy(ax, "both")
    style.legend_above(ax, title, *_LEGEND)
