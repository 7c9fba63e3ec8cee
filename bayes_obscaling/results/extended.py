"""More groups on the tree of a fit, under the names that ArviZ's statistics and plots look for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import Cells, Measurements, TaskScores
from bayes_obscaling.results.likelihood import (
    Values,
    at_benchmarks,
    at_tasks,
    log_likelihood,
    new_scores,
    noise_at,
    scores_name,
)
from bayes_obscaling.results.prior_predictive import draw_from_prior

if TYPE_CHECKING:
    from bayes_obscaling.results.fit import CapabilityFit

_PRIOR_DRAWS = 500


class SeenScores:
    """The seen scores of a fit as one dimension of observations for benchmarks (of a predictor set), and one for tasks.

    No coordinate is called ``model``: ArviZ's plots take that name for statistical models that are compared.
    """

    def __init__(self, fit: CapabilityFit, index: int) -> None:
        layout = fit.layout
        data = layout.measurements[index]
        measured: Measurements | Cells = data if data.cells is None else data.cells
        self.data: dict[str, Measurements | Cells | TaskScores] = {scores_name(layout.structure): measured}
        if layout.task_scores is not None:
            self.data["task_score"] = layout.task_scores
        benchmarks = np.array(layout.benchmarks)
        self.columns = dict.fromkeys(("benchmark_score", "cell_score"), benchmarks)
        self.columns["task_score"] = np.array(layout.tasks)
        self.models = np.array(layout.models)

    def dataset(self, values: dict[str, np.ndarray]) -> xr.Dataset:
        """Values (..., model, benchmark or task) of the seen scores: (chain, draw, observation), or (observation,)."""
        arrays: dict[str, Any] = {}
        coords: dict[str, Any] = {}
        for name, data in self.data.items():
            at = np.nonzero(np.asarray(data.seen))
            rows, columns = (
                (np.asarray(data.model)[at], np.asarray(data.benchmark)[at]) if isinstance(data, Cells) else at
            )
            kind = name.removesuffix("_score")
            dim = f"{kind}_observation"
            models, names = self.models[rows], self.columns[name][columns]
            coords[f"{kind}_model"], coords[kind] = (dim, models), (dim, names)
            coords[dim] = [f"{model}, {column}" for model, column in zip(models, names, strict=True)]
            place: tuple[Any, ...] = (..., *at)
            chosen = values[name][place]
            arrays[name] = (("chain", "draw", dim) if chosen.ndim == 3 else (dim,), chosen)
        return xr.Dataset(arrays, coords)


def extend(
    fit: CapabilityFit, log_likelihood: bool, posterior_predictive: bool, prior: bool, predictors: str
) -> CapabilityFit:
    """Return a fit with more groups on its tree; see `CapabilityFit.extended`."""
    labels = fit.layout.predictor_labels
    if predictors and predictors not in labels:
        raise InputError(f"The fit has no predictor set '{predictors}': choose among {', '.join(labels)}.")
    index = labels.index(predictors) if predictors else fit.posterior.predictors_of(fit.layout.benchmarks[0])
    seen = SeenScores(fit, index)
    tree = fit.tree.copy()
    groups = {"observed_data": seen.dataset({name: np.asarray(data.score) for name, data in seen.data.items()})}
    if log_likelihood:
        groups["log_likelihood"] = seen.dataset(_log_likelihood(fit, index))
    if posterior_predictive:
        groups["posterior_predictive"] = seen.dataset(_replicates(fit, index))
    if prior:
        drawn = draw_from_prior(fit.layout, fit.spec, _PRIOR_DRAWS, fit.posterior.seed)
        groups["prior"] = xr.Dataset({name: _like(fit.draws[name], drawn.parameters[name]) for name in fit.draws})
        scores = {str(name): value.to_numpy() for name, value in drawn.scores.items()}
        groups["prior_predictive"] = seen.dataset(scores)
    for name, group in groups.items():
        tree[name] = xr.DataTree(group)
    return dataclasses.replace(fit, tree=tree)


def _log_likelihood(fit: CapabilityFit, index: int) -> Values:
    pointwise = log_likelihood(fit).isel(predictors=index)
    return {str(name): value.to_numpy() for name, value in pointwise.items()}


def _like(posterior: xr.DataArray, prior: xr.DataArray) -> xr.DataArray:
    """Prior draws of a variable for every predictor set that its posterior has: the same ones, nothing being seen."""
    if "predictors" in posterior.dims:
        prior = prior.expand_dims(predictors=posterior["predictors"].to_numpy())
    return prior.transpose(*posterior.dims)


def _replicates(fit: CapabilityFit, index: int) -> Values:
    """New evaluations (chain, draw, model, benchmark or task) at every draw, inside 0..1."""
    moments = {scores_name(fit.layout.structure): at_benchmarks(fit, index, noise_at)}
    if fit.layout.task_scores is not None:
        moments["task_score"] = at_tasks(fit, fit.spec.predictive_sd, noise_at)
    rng = np.random.default_rng([fit.posterior.seed, 8])
    return {name: new_scores(name, expected, scale, rng) for name, (expected, scale) in moments.items()}
