"""What the checks of a ladder fit read: every loss and accuracy left out, its priors, the weight of each run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats
from scipy.special import logsumexp

from bayes_obscaling.models.ladder import NOISE_DF
from bayes_obscaling.results.diagnostics.priors import as_scipy, power_scaled, prior_rows
from bayes_obscaling.results.diagnostics.sampler import columns_of
from bayes_obscaling.results.ladder import LadderFit
from bayes_obscaling.results.leave_one_out import LeaveOneOut
from bayes_obscaling.results.leave_one_out.weights import smoothed

LOSSES, ACCURACIES = "losses", "accuracies"
_DIMS = {"loss": "loss_of", "accuracy": "task"}
# Top-level parameters by the name of their prior; what lies below (a task's exponents) has a learned one.
_PRIORS = {
    "exponent": ("size_exponent_median", "data_exponent_median"),
    "exponent_sd": ("size_exponent_spread", "data_exponent_spread"),
    "bend": ("size_bend_sd", "data_bend_sd"),
    "loss_sd": ("loss_sd_median",),
    "slope_change": ("slope_change_median",),
    "accuracy_sd": ("accuracy_sd_median",),
    **{
        name: (name,)
        for name in (
            "level", "irreducible_share", "size_share", "bend_shared", "run_sd", "loss_sd_spread", "size_decay",
            "floor_shift", "ceiling_gap", "steepness", "midpoint", "slope_change_spread", "accuracy_sd_spread",
            "coupling",
        )
    },
}  # fmt: skip


def leave_one_out(fit: LadderFit) -> tuple[LeaveOneOut, ...]:
    """Leave every loss, and every accuracy, out by Pareto-smoothed importance weights.

    Parameters
    ----------
    fit : LadderFit
        From `bayes_obscaling.fit_ladder` or a file.

    Returns
    -------
    tuple of LeaveOneOut
        Of losses, where the model reads any, and of accuracies. ``model`` is the run, ``benchmark`` the task. The run's
        luck is kept: its other losses say what it is.
    """
    found = []
    for stage, quantity in ((LOSSES, "loss"), (ACCURACIES, "accuracy")):
        observed = fit.posterior["observed_data"][quantity].transpose("run", _DIMS[quantity])
        rows, columns = np.nonzero(np.isfinite(observed.to_numpy()))
        if not len(rows):
            continue
        density, residual = (_flat(fit, group, quantity)[:, rows, columns] for group in ("log_likelihood", "residuals"))
        smooth, pareto_k = smoothed(-density)
        below = (np.exp(smooth) * stats.t.cdf(residual, NOISE_DF)).sum(axis=0)
        pit = np.clip(below, 1e-15, 1.0 - 1e-15)
        units = pd.DataFrame(
            {
                "model": observed["run"].to_numpy()[rows],
                "benchmark": observed[_DIMS[quantity]].to_numpy()[columns],
                "pareto_k": pareto_k,
            }
        )
        scores = units.assign(
            observed=observed.to_numpy()[rows, columns],
            elpd=logsumexp(smooth + density, axis=0),
            pit=pit,
            z=stats.norm.ppf(pit),
        )
        kept = np.arange(len(density))
        found.append(LeaveOneOut(stage, scores, units, xr.DataArray(smooth, dims=("draw", "unit")), kept))
    return tuple(found)


def next_rung(fit: LadderFit) -> xr.DataArray:
    """Expected losses and accuracies (chain, draw, quantity) of a model as far beyond the ladder as its last rung is.

    Size and tokens of the largest run grow by the ratio of the last two sizes. ``task`` and ``model`` name each.
    """
    from bayes_obscaling.results.ladder_forecast import Target, World  # which reads this package's verdict

    ladder, runs = fit.ladder, fit.ladder.runs
    growth = ladder.sizes[-1] / ladder.sizes[-2]
    largest = runs["tokens"][runs["params"] > ladder.sizes[-1] / 1.02].max()
    drawn = World(fit).ask(Target("next rung", growth * ladder.sizes[-1], growth * largest))
    parts, names, tasks = [], [], []
    facts = fit.posterior["constant_data"].to_dataset()
    labels = {"loss": facts["loss_of"].to_numpy(), "accuracy": ladder.tasks.index.to_numpy()}
    for quantity in (name for name in labels if f"{name}_curve" in drawn):
        parts.append(drawn[f"{quantity}_curve"])
        names += [f"{quantity} on {task}, next rung" for task in labels[quantity]]
        tasks += list(labels[quantity])
    sizes = fit.draws.sizes
    return xr.DataArray(
        np.concatenate(parts, axis=1).reshape(sizes["chain"], sizes["draw"], -1),
        dims=("chain", "draw", "quantity"),
        coords={"quantity": names, "task": ("quantity", tasks)},
    )


def prior_table(fit: LadderFit) -> pd.DataFrame:
    """Where the posterior of every top-level parameter lies in its prior; columns as for a capability model."""
    return pd.concat(
        [
            prior_rows("ladder", columns_of(draws.to_dataset(name=name)), prior, field)
            for field, prior, name, draws in _top_level(fit)
        ],
        ignore_index=True,
    )


def sensitivity_table(fit: LadderFit, forecasts: xr.DataArray) -> pd.DataFrame:
    """Power-scaling sensitivity of forecasts to priors and to the two likelihoods (Kallioinen et al. 2024)."""
    log_prior: dict[str, Any] = {}
    for field, prior, _, draws in _top_level(fit):
        density = xr.apply_ufunc(prior.logpdf, draws)
        summed = density.sum([dim for dim in density.dims if dim not in ("chain", "draw")])
        log_prior[field] = log_prior.get(field, 0.0) + summed
    likelihood = {}
    for name, dim in _DIMS.items():
        seen = np.isfinite(fit.posterior["observed_data"][name])
        if seen.any():
            likelihood[f"{name} likelihood"] = fit.posterior["log_likelihood"][name].where(seen, 0.0).sum(["run", dim])
    rows = power_scaled(forecasts, xr.Dataset(log_prior), xr.Dataset(likelihood))
    return pd.DataFrame(rows).sort_values("sensitivity", ascending=False).reset_index(drop=True)


def influence_table(fit: LadderFit, left_out: tuple[LeaveOneOut, ...], forecasts: xr.DataArray) -> pd.DataFrame:
    """What leaving out each run, each loss and each accuracy would do to forecasts of the next rung.

    Parameters
    ----------
    fit : LadderFit
        The fit.
    left_out : tuple of LeaveOneOut
        From `leave_one_out`.
    forecasts : DataArray (chain, draw, quantity)
        From `next_rung`.

    Returns
    -------
    DataFrame
        ``model`` (the run), ``left_out`` ("everything", or the loss or accuracy on a task), ``shift, score_shift,
        forecast, pareto_k`` as for a capability model.
    """
    flat = forecasts.to_numpy().reshape(-1, forecasts.sizes["quantity"])
    mean, sd = flat.mean(axis=0), np.maximum(flat.std(axis=0), 1e-9)
    whole = 0.0
    for name, dim in _DIMS.items():
        seen = np.isfinite(fit.posterior["observed_data"][name].transpose("run", dim).to_numpy())
        whole = whole + np.where(seen, _flat(fit, "log_likelihood", name), 0.0).sum(axis=2)
    smooth, pareto_k = smoothed(-np.asarray(whole))
    parts = [(fit.ladder.runs.index.to_numpy(), "everything", smooth, pareto_k)]
    for stage in left_out:
        kind = {LOSSES: "loss on ", ACCURACIES: "accuracy on "}[stage.stage]
        units = stage.units
        named = (kind + units["benchmark"]).to_numpy()
        parts.append((units["model"].to_numpy(), named, stage.log_weights.to_numpy(), units["pareto_k"].to_numpy()))
    rows = []
    for runs, what, log_weights, k in parts:
        moved = np.exp(log_weights).T @ flat - mean
        most = np.abs(moved / sd).argmax(axis=1)
        at = np.arange(len(runs))
        facts = {
            "model": runs, "left_out": what, "shift": (moved / sd)[at, most], "score_shift": moved[at, most],
            "forecast": forecasts["quantity"].to_numpy()[most], "pareto_k": k,
        }  # fmt: skip
        rows.append(pd.DataFrame(facts))
    return pd.concat(rows).sort_values("shift", key=np.abs, ascending=False).reset_index(drop=True)


def _top_level(fit: LadderFit) -> list[tuple[str, Any, str, xr.DataArray]]:
    """Name of the prior, the prior, name and draws of every top-level parameter that the spec has."""
    chance = xr.DataArray(fit.ladder.tasks["chance"].to_numpy(float), dims="task")
    draws = fit.draws.assign(floor_shift=fit.draws["floor"] - chance)
    return [
        (field, as_scipy(getattr(fit.spec.priors, field)), name, draws[name])
        for field, names in _PRIORS.items()
        for name in names
        if name in draws
    ]


def _flat(fit: LadderFit, group: str, quantity: str) -> np.ndarray:
    """Draws of all chains, (draws, runs, tasks)."""
    values = fit.posterior[group][quantity].transpose("chain", "draw", "run", _DIMS[quantity]).to_numpy()
    return np.asarray(values.reshape(-1, *values.shape[2:]))
