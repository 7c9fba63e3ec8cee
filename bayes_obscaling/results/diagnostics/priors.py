"""What did the priors do? Conflict between prior and posterior, and sensitivity by power-scaling, without refitting."""

from __future__ import annotations

from typing import Any

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.checks import Check, listed
from bayes_obscaling.results.diagnostics.sampler import columns_of
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.likelihood import log_likelihood, log_prior, prior_sites

# Kallioinen et al. (2024, section 3): sensitivity from which a quantity changes noticeably.
SENSITIVITY_LIMIT = 0.05
# Share of the prior beyond the posterior median, both tails, below which they are in conflict.
CONFLICT_LIMIT = 0.002
# Forecasts whose sensitivity is computed: the widest, where a prior has most room.
_MOST_FORECASTS = 40


def prior_table(fit: CapabilityFit) -> pd.DataFrame:
    """Where the posterior of every top-level parameter lies in its prior.

    Columns: ``stage, parameter, prior`` (name of its field in `Priors`), ``median, q5, q95`` of the posterior,
    ``prior_median, prior_q5, prior_q95``, ``tail`` (share of the prior at least as far out as the posterior median) and
    ``shrinkage`` (1 - posterior variance / prior variance; Betancourt 2018: near 0 the data say nothing).
    """
    rows, sites = [], prior_sites(fit)
    for stage in fit.stages:
        for site in sites:
            if site.of not in stage.variables:
                continue
            group = fit.tree["scaffold" if site.is_part else "posterior"].to_dataset()
            draws = stage.at_predictors(group[[site.name]]).rename({site.name: site.of})
            prior = getattr(fit.spec.priors, site.prior).scipy()
            rows.append(prior_rows(stage.label, columns_of(draws), prior, site.prior))
    return pd.concat(rows, ignore_index=True)


def prior_rows(stage: str, columns: xr.DataArray, prior: Any, field: str) -> pd.DataFrame:
    """Rows of `prior_table` for parameters (chain, draw, entry) that have the same prior, called `field`."""
    values = columns.to_numpy().reshape(-1, columns.sizes["entry"])
    q5, median, q95 = np.percentile(values, (5, 50, 95), axis=0)
    above = prior.sf(median)
    # A density that is highest at zero is not contradicted by a small value.
    falls = prior.pdf(0.0) >= prior.pdf(prior.median()) and prior.cdf(0.0) == 0.0
    facts = {
        "stage": stage,
        "parameter": columns["entry"].to_numpy(),
        "prior": field,
        "median": median,
        "q5": q5,
        "q95": q95,
        "prior_median": prior.median(),
        "prior_q5": prior.ppf(0.05),
        "prior_q95": prior.ppf(0.95),
        "tail": above if falls else 2.0 * np.minimum(prior.cdf(median), above),
        "shrinkage": 1.0 - values.var(axis=0) / prior.var(),
    }
    return pd.DataFrame(facts)


def sensitivity_table(fit: CapabilityFit, forecasts: xr.DataArray) -> pd.DataFrame:
    """Power-scaling sensitivity of forecasts to each top-level prior, to all of a stage, and to the likelihoods.

    Columns: ``component`` ("prior" or "likelihood"), ``name``, ``sensitivity`` (cumulative Jensen-Shannon distance a
    unit of log2 power) of the forecast that is moved most, and which one that is (``forecast``).

    Kallioinen et al. (2024): a prior or likelihood is raised to the powers 0.99 and 1.01 by Pareto-smoothed importance
    weights, computed by ArviZ. In a cut posterior the priors and likelihood of the task heads are scaled as if the
    normalising constant of the heads did not depend on the capabilities.
    """
    widest = forecasts.std(("chain", "draw")).to_numpy().argsort()[::-1][:_MOST_FORECASTS]
    forecasts = forecasts.isel(quantity=np.sort(widest))
    named: dict[str, str] = {}
    for site in prior_sites(fit):
        named.setdefault(site.of, site.prior)  # a variable of several priors goes by the first
    priors, likelihoods = log_prior(fit).rename(named), log_likelihood(fit)
    summed = xr.Dataset(
        {
            str(name): value.sum([d for d in value.dims if d not in ("chain", "draw", "predictors")])
            for name, value in likelihoods.items()
        }
    )
    read = [fit.posterior.predictors_of(str(task)) for task in forecasts["task"].to_numpy()]
    rows = []
    for index in dict.fromkeys(read):
        reading = forecasts.isel(quantity=[i for i, r in enumerate(read) if r == index])
        rows += power_scaled(reading, _of_set(priors, index), _of_set(summed, index))
    table = pd.DataFrame(rows).sort_values("sensitivity", ascending=False)
    return table.drop_duplicates(["component", "name"]).reset_index(drop=True)


def power_scaled(forecasts: xr.DataArray, log_prior: xr.Dataset, log_likelihood: xr.Dataset) -> list[dict[str, Any]]:
    """Rows of `sensitivity_table` for forecasts (chain, draw, quantity) and log densities (chain, draw) by name."""
    names, rows = forecasts["quantity"].to_numpy(), []
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"forecast": forecasts.drop_vars(["quantity", "task"])}),
            "log_prior": log_prior.map(_untied),
            "log_likelihood": log_likelihood.map(_untied),
        }
    )
    for component, group in (("prior", "log_prior"), ("likelihood", "log_likelihood")):
        variables = [str(name) for name in tree[group].data_vars]
        blocks = {name: [name] for name in variables}
        if component == "prior":
            blocks = {"all priors": variables, **blocks}
        for name, block in blocks.items():
            sensitivity = azs.psense(tree, group=component, group_var_names=block, sample_dims=["chain", "draw"])
            values = np.atleast_1d(sensitivity["forecast"].to_numpy())
            rows.append(
                {
                    "component": component,
                    "name": name,
                    "sensitivity": float(values.max()),
                    "forecast": str(names[values.argmax()]),
                }
            )
    return rows


def _untied(densities: xr.DataArray) -> xr.DataArray:
    """Spread densities that are equal, as those of rounded draws may be, over the gap to their neighbours.

    Weights are smoothed by a fit to their tail, which equal ones have none of.
    """
    flat = densities.to_numpy().ravel()
    levels, level_of, counts = np.unique(flat, return_inverse=True, return_counts=True)
    if len(levels) in (1, len(flat)):
        return densities
    place = np.empty(len(flat))  # among the equal ones, in -0.5..0.5
    place[np.argsort(level_of, kind="stable")] = np.concatenate([(np.arange(n) + 0.5) / n - 0.5 for n in counts])
    return densities.copy(data=(flat + place * np.gradient(levels)[level_of]).reshape(densities.shape))


def _of_set(values: xr.Dataset, index: int) -> xr.Dataset:
    return values.isel(predictors=index).drop_vars("predictors")


def check_priors(priors: pd.DataFrame, sensitivity: pd.DataFrame) -> list[Check]:
    """Check the tables of `prior_table` and `sensitivity_table`."""
    return [_check_conflict(priors), _check_sensitivity(sensitivity)]


def _check_conflict(table: pd.DataFrame) -> Check:
    far = table[table["tail"] < CONFLICT_LIMIT].sort_values("tail")
    closest = table.loc[table["tail"].idxmin()]
    named = [f"{row.parameter} ({row.stage}; {_position(row)})" for row in far.itertuples()]
    return Check(
        "prior conflict",
        "REVIEW" if named else "PASS",
        listed(named, 3)
        if named
        else f"smallest prior tail beyond a posterior median {closest['tail']:.3f}: {closest['parameter']}",
        f"Less than {CONFLICT_LIMIT:.1%} of the prior lies as far out as the posterior median (Evans and Moshonov "
        "2006): the data contradict what was believed.",
        f"Widen or move {listed(sorted(set(far['prior'])))} in Priors, or find out what the data are telling."
        if named
        else "",
    )


def _position(row: Any) -> str:
    return f"posterior {row.median:.3g}, prior {row.prior_q5:.3g} to {row.prior_q95:.3g}"


def _check_sensitivity(table: pd.DataFrame) -> Check:
    priors = table[(table["component"] == "prior") & (table["name"] != "all priors")]
    everything = table[table["name"] == "all priors"]["sensitivity"].iloc[0]
    data = table[table["component"] == "likelihood"]["sensitivity"].max()
    moving = priors[priors["sensitivity"] >= SENSITIVITY_LIMIT]
    most = priors.iloc[0]
    named = [f"{row.name} {row.sensitivity:.2f} ({row.forecast})" for row in moving.itertuples(index=False)]
    what = (
        f"forecasts lean on {listed(named, 3)}"
        if named
        else f"no forecast above {SENSITIVITY_LIMIT} for any single prior (most: {most['name']} "
        f"{most['sensitivity']:.3f}, {most['forecast']})"
    )
    return Check(
        "prior sensitivity",
        "REVIEW" if named else "PASS",
        f"{what}; all priors together {everything:.2f}, likelihood {data:.2f}",
        f"Power-scaling, limit {SENSITIVITY_LIMIT} (Kallioinen et al. 2024). Both prior and likelihood above it: they "
        "pull apart. Prior alone: the data say little.",
        f"Say why {listed(list(moving['name']))} is what it is, or fit with a wider one and compare." if named else "",
    )
