"""How far would the forecasts move if a model had not been there? By importance weights, without refitting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.results.diagnostics.check import Check, listed
from bayes_obscaling.results.leave_one_out import HEADS, LeaveOneOut, pareto_limit

if TYPE_CHECKING:
    from bayes_obscaling.results.fit import Fit

# Shift of a forecast's mean, in its own sd, at which one model makes a difference that a reader would see.
SHIFT_LIMIT = 1.0


def asked_forecasts(fit: Fit) -> xr.DataArray:
    """Expected scores that the fit is about (chain, draw, quantity), with ``model`` and ``task`` of each.

    Its tasks, for the models whose scores it has not seen; for all models if it has seen all.
    """
    from bayes_obscaling.results.forecast import forecast  # which reads this package's verdict on the sampler

    observed, names = fit.posterior["observed_data"].to_dataset(), fit.draws["model"].to_numpy()
    hidden = set()
    for task in fit.tasks:
        group, dim = ("task_score", "task") if task in fit.draws.get("task", []) else ("benchmark_score", "benchmark")
        hidden |= set(names[observed[group].sel({dim: task}).isnull().to_numpy()])
    asked = [str(name) for name in names if name in hidden] or [str(name) for name in names]
    draws = forecast(fit, asked, kind="mean").draws
    flat = draws.transpose("chain", "draw", "task", "scenario").to_numpy()
    pairs = [(task, model) for task in draws["task"].to_numpy() for model in asked]
    return xr.DataArray(
        flat.reshape(*flat.shape[:2], -1),
        dims=("chain", "draw", "quantity"),
        coords={
            "quantity": [f"{model}, {task}" for task, model in pairs],
            "task": ("quantity", [task for task, _ in pairs]),
            "model": ("quantity", [model for _, model in pairs]),
        },
    )


def influence_table(fit: Fit, left_out: tuple[LeaveOneOut, ...], forecasts: xr.DataArray) -> pd.DataFrame:
    """What leaving out each model would do to the forecasts of the others.

    Parameters
    ----------
    fit : Fit
        The fit.
    left_out : tuple of LeaveOneOut
        Its stages, in order of the predictor sets, the task heads last.
    forecasts : DataArray (chain, draw, quantity)
        As from `asked_forecasts`.

    Returns
    -------
    DataFrame
        One row for all benchmark scores of a model, and one for each of its scores on the tasks that are forecast:
        ``model``, ``left_out`` ("benchmark scores" or the task), ``shift`` (of the forecast mean that moves most, in
        its sd, with its sign), ``score_shift`` (the same in score units), ``forecast`` (which one) and ``pareto_k``.
        The model's own forecast is not counted. Above the limit of k a shift is rough, and as a rule larger than
        shown. The most influential first.
    """
    flat = forecasts.transpose("chain", "draw", "quantity").to_numpy().reshape(-1, forecasts.sizes["quantity"])
    flat = flat[left_out[0].kept]
    mean, sd = flat.mean(axis=0), np.maximum(flat.std(axis=0), 1e-9)
    observed, labels = fit.posterior["observed_data"], list(fit.draws["predictors"].to_numpy())
    tasks, models = forecasts["task"].to_numpy(), forecasts["model"].to_numpy()
    parts = []
    for task in dict.fromkeys(tasks):
        columns = np.flatnonzero(tasks == task)
        has_head = left_out[-1].stage == HEADS and task in fit.draws["task"].to_numpy()
        own = labels.index(str(observed["task_predictors"].sel(task=task).item())) if has_head else 0
        for stage in (left_out[own], left_out[-1]) if has_head else (left_out[own],):
            chosen = np.flatnonzero(stage.units["benchmark"].isin(["all", task]))
            units = stage.units.iloc[chosen]
            moved = np.exp(stage.log_weights.to_numpy()[:, chosen]).T @ flat[:, columns] - mean[columns]
            relative = moved / sd[columns]
            relative[units["model"].to_numpy()[:, None] == models[columns]] = 0.0
            most = np.abs(relative).argmax(axis=1)
            rows = np.arange(len(units))
            parts.append(
                pd.DataFrame(
                    {
                        "model": units["model"].to_numpy(),
                        "left_out": task if stage.stage == HEADS else "benchmark scores",
                        "shift": relative[rows, most],
                        "score_shift": moved[rows, most],
                        "forecast": forecasts["quantity"].to_numpy()[columns][most],
                        "pareto_k": units["pareto_k"].to_numpy(),
                    }
                )
            )
    table = pd.concat(parts).sort_values("shift", key=np.abs, ascending=False)
    return table.drop_duplicates(["model", "left_out"]).reset_index(drop=True)


def check_influence(table: pd.DataFrame, kept: int, what_of: str = "models") -> Check:
    """Check the table of `influence_table`, made with `kept` draws; `what_of` is "models" or "runs"."""
    limit = pareto_limit(kept)
    strong = table[table["shift"].abs() > SHIFT_LIMIT]
    rough = int((table["pareto_k"] > limit).sum())
    named = [
        f"{row.model}, {row.left_out} ({row.shift:+.1f} sd, {row.score_shift:+.3f}: {row.forecast})"
        for row in strong.itertuples()
    ]
    first = table.iloc[0]
    what = (
        listed(named, 3)
        if named
        else f"largest shift {first['shift']:+.2f} sd: {first['model']}, {first['left_out']} on {first['forecast']}"
    )
    return Check(
        f"influential {what_of}",
        "REVIEW" if named else "PASS",
        f"{what}; {rough} of {len(table)} too influential for exact weights (k above {limit:.2f})",
        f"Shift of a forecast's mean without what is named, limit {SHIFT_LIMIT:g} of its sd (importance weights).",
        f"Fit without these {what_of} and compare; see that their scores and FLOPs are right." if named else "",
    )
