"""How far would the forecasts move if a model had not been there? By importance weights, without refitting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.checks import Check, listed
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.leave_one_out import HEADS, LeaveOneOut, pareto_limit

# Shift of a forecast's mean, in its own sd, at which one model makes a difference that a reader would see.
SHIFT_LIMIT = 1.0


def asked_forecasts(fit: CapabilityFit) -> xr.DataArray:
    """Expected scores that the fit is about (chain, draw, quantity), with ``model`` and ``task`` of each.

    Its tasks, for the models whose scores it has not seen; for all models if it has seen all.
    """
    seen = fit.posterior.seen[list(fit.tasks)].all(axis=1)
    asked = list(seen.index[~seen]) or list(seen.index)
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


def influence_table(fit: CapabilityFit, left_out: tuple[LeaveOneOut, ...], forecasts: xr.DataArray) -> pd.DataFrame:
    """What leaving out each model would do to the `forecasts` of the others, from `asked_forecasts`.

    One row for all benchmark scores of a model, and one for each of its scores on the tasks that are forecast:
    ``model``, ``left_out`` ("benchmark scores" or the task), ``shift`` (of the forecast mean that moves most, in its
    sd, with its sign), ``score_shift`` (the same in score units), ``forecast`` (which one) and ``pareto_k``. The
    model's own forecast is not counted. Above the limit of k a shift is rough, and as a rule larger than shown. The
    most influential first.
    """
    flat = forecasts.transpose("chain", "draw", "quantity").to_numpy().reshape(-1, forecasts.sizes["quantity"])
    flat = flat[left_out[0].kept]
    tasks, models, quantities = (forecasts[name].to_numpy() for name in ("task", "model", "quantity"))
    parts = []
    for task in dict.fromkeys(tasks):
        columns = np.flatnonzero(tasks == task)
        measured = left_out[fit.posterior.predictors_of(task)]
        for stage in (measured, left_out[-1]) if fit.posterior.has_head(task) else (measured,):
            chosen = np.flatnonzero(stage.units["benchmark"].isin(["all", task]))
            units = stage.units.iloc[chosen]
            own = units["model"].to_numpy()[:, None] == models[columns]
            left = task if stage.stage == HEADS else "benchmark scores"
            weights = stage.log_weights.to_numpy()[:, chosen]
            parts.append(shifts(units, left, weights, flat[:, columns], quantities[columns], own))
    return strongest_first(parts).drop_duplicates(["model", "left_out"]).reset_index(drop=True)


def shifts(
    units: pd.DataFrame, left_out: Any, log_weights: np.ndarray, flat: np.ndarray, quantities: np.ndarray, own: Any
) -> pd.DataFrame:
    """Rows of `influence_table` for units ``model, pareto_k``, from log weights (draw, unit) without them.

    `flat` are draws (draw, quantity) of the forecasts; `own` masks those (unit, quantity) that do not count.
    """
    moved = np.exp(log_weights).T @ flat - flat.mean(axis=0)
    relative = np.where(own, 0.0, moved / np.maximum(flat.std(axis=0), 1e-9))
    most, rows = np.abs(relative).argmax(axis=1), np.arange(len(units))
    facts = {
        "model": units["model"].to_numpy(),
        "left_out": left_out,
        "shift": relative[rows, most],
        "score_shift": moved[rows, most],
        "forecast": quantities[most],
        "pareto_k": units["pareto_k"].to_numpy(),
    }
    return pd.DataFrame(facts)


def strongest_first(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """One table of the rows of `shifts`."""
    return pd.concat(parts).sort_values("shift", key=np.abs, ascending=False).reset_index(drop=True)


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
