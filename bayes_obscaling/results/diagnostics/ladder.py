"""What the checks of a ladder fit read: every loss and accuracy left out, its priors, the weight of each run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats
from scipy.special import logsumexp

from bayes_obscaling.models.ladder import ladder as ladder_model
from bayes_obscaling.models.ladder_equations import NOISE_DF
from bayes_obscaling.models.trace import sites_of
from bayes_obscaling.results.diagnostics.influence import shifts, strongest_first
from bayes_obscaling.results.diagnostics.priors import power_scaled, prior_rows
from bayes_obscaling.results.diagnostics.sampler import columns_of
from bayes_obscaling.results.fit import LadderFit
from bayes_obscaling.results.leave_one_out import LeaveOneOut
from bayes_obscaling.results.leave_one_out.weights import smoothed
from bayes_obscaling.results.scenario import Scenario

LOSSES, ACCURACIES = "losses", "accuracies"
_DIMS = {"loss": "loss_of", "accuracy": "task"}


def leave_one_out(fit: LadderFit) -> tuple[LeaveOneOut, ...]:
    """Every loss, where the model reads any, and every accuracy left out by Pareto-smoothed importance weights.

    ``model`` is the run, ``benchmark`` the task. The run's luck is kept: its other losses say what it is.
    """
    found = []
    for stage, quantity in ((LOSSES, "loss"), (ACCURACIES, "accuracy")):
        observed = fit.tree["observed_data"][quantity].transpose("run", _DIMS[quantity])
        rows, columns = np.nonzero(np.isfinite(observed.to_numpy()))
        if not len(rows):
            continue
        density, residual = (values[quantity][:, rows, columns] for values in fit.posterior.pointwise)
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
    ladder, runs, posterior = fit.ladder, fit.ladder.runs, fit.posterior
    growth = ladder.sizes[-1] / ladder.sizes[-2]
    largest = runs["tokens"][runs["params"] > ladder.sizes[-1] / 1.02].max()
    larger = Scenario("next rung", params=growth * ladder.sizes[-1], tokens=growth * largest)
    drawn = posterior.scores([larger.as_run()])
    parts, names, tasks = [], [], []
    for quantity in (name for name in _DIMS if f"{name}_curve" in drawn):
        labels = posterior.layout.labels[_DIMS[quantity]]
        parts.append(drawn[f"{quantity}_curve"][:, 0])
        names += [f"{quantity} on {task}, next rung" for task in labels]
        tasks += labels
    return xr.DataArray(
        posterior.by_chain(np.concatenate(parts, axis=1)),
        dims=("chain", "draw", "quantity"),
        coords={"quantity": names, "task": ("quantity", tasks)},
    )


def prior_table(fit: LadderFit) -> pd.DataFrame:
    """Where the posterior of every top-level parameter lies in its prior; columns as for a capability model."""
    return pd.concat(
        [
            prior_rows(fit.stages[0].label, columns_of(draws.to_dataset(name=name)), prior, field)
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
    densities, likelihood = fit.posterior.pointwise_groups["log_likelihood"], {}
    for name, dim in _DIMS.items():
        seen = np.isfinite(fit.tree["observed_data"][name])
        if seen.any():
            likelihood[f"{name} likelihood"] = densities[name].where(seen, 0.0).sum(["run", dim])
    rows = power_scaled(forecasts, xr.Dataset(log_prior), xr.Dataset(likelihood))
    return pd.DataFrame(rows).sort_values("sensitivity", ascending=False).reset_index(drop=True)


def influence_table(fit: LadderFit, left_out: tuple[LeaveOneOut, ...], forecasts: xr.DataArray) -> pd.DataFrame:
    """What leaving out each run, each loss and each accuracy would do to `forecasts`, from `next_rung`.

    Columns as for a capability model: ``model`` is the run, ``left_out`` "everything", or what on which task.
    """
    flat = forecasts.to_numpy().reshape(-1, forecasts.sizes["quantity"])
    density, whole = fit.posterior.pointwise[0], 0.0
    for name, dim in _DIMS.items():
        seen = np.isfinite(fit.tree["observed_data"][name].transpose("run", dim).to_numpy())
        whole = whole + np.where(seen, density[name], 0.0).sum(axis=2)
    smooth, pareto_k = smoothed(-np.asarray(whole))
    quantities = forecasts["quantity"].to_numpy()
    units = pd.DataFrame({"model": fit.ladder.runs.index, "pareto_k": pareto_k})
    parts = [shifts(units, "everything", smooth, flat, quantities, False)]
    for stage in left_out:
        kind = {LOSSES: "loss on ", ACCURACIES: "accuracy on "}[stage.stage]
        named = (kind + stage.units["benchmark"]).to_numpy()
        parts.append(shifts(stage.units, named, stage.log_weights.to_numpy(), flat, quantities, False))
    return strongest_first(parts)


def _top_level(fit: LadderFit) -> list[tuple[str, Any, str, xr.DataArray]]:
    """Name of the prior, the prior, name and draws of every top-level parameter that the spec has.

    What lies below (a task's exponents) has a learned prior.
    """
    priors, layout = fit.spec.priors, fit.layout
    sites = sites_of(ladder_model, layout.data, priors, layout.structure).values()
    return [
        (site.prior, getattr(priors, site.prior).scipy(), site.name, fit.draws[site.name])
        for site in sites
        if site.prior
    ]
