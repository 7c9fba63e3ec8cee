"""Leave-one-out from the draws of one fit: what a score was worth before it was seen, and how much hangs on a model.

A model's capabilities lean on its own few scores, so weights that leave out a score at fixed capabilities explode.
What belongs to the left-out score or model alone is therefore integrated out first, and only what others share is
reweighted (Merkle, Furr and Rabe-Hesketh 2019; Vehtari et al. 2016):

* a benchmark score: see `predict_left_out`;
* all benchmark scores of a model: ``1 / p(y_m | phi)``, its capabilities integrated by Laplace's method;
* a task score: the family's offset on the task is integrated in the same way, given its other scores. In a cut
  posterior, task scores do not move the capabilities: weights ``1 / p(y | head, theta)`` are normalised over draws of
  the head at each of some draws of the capabilities, so that these keep their posterior. The head is taken as
  independent of one model's capabilities; in a joint posterior, where task scores have informed them, this is an
  approximation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtri

from bayes_obscaling.errors import InputError
from bayes_obscaling.models.layout import Layout
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.leave_one_out.benchmarks import predict_left_out, reweighted_draws
from bayes_obscaling.results.leave_one_out.models import log_densities
from bayes_obscaling.results.leave_one_out.tasks import head_densities
from bayes_obscaling.results.leave_one_out.weights import PARETO_LIMIT, kept_draws, pareto_limit, smoothed
from bayes_obscaling.results.remember import remembered

__all__ = [
    "HEADS",
    "PARETO_LIMIT",
    "LeaveOneOut",
    "leave_one_out",
    "leave_scores_out",
    "pareto_limit",
    "predict_left_out",
]

HEADS = "task heads"
_KEPT = ("elpd", "pareto_k", "pit")
_SMALLEST_TAIL = 1e-15


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """One stage of a fit with every score it has seen left out in turn.

    Attributes
    ----------
    stage : str
        Label of the stage in the fit: "capabilities" (and what its predictors leave out) or "task heads"; "joint" and
        "task heads" for a joint posterior.
    scores : DataFrame
        One row per seen score: ``model, benchmark, observed, elpd`` (log predictive density when left out),
        ``pareto_k``, ``pit`` (share of the predictive distribution of a new evaluation, when the score is left out, at
        or below it) and ``z`` (its distance from the mean of that distribution, in sd; for benchmarks the normal
        quantile of ``pit``, at most 7.9).
    units : DataFrame
        What `log_weights` leave out, one row each: ``model, benchmark, pareto_k``. For capabilities all benchmark
        scores of a model (``benchmark`` is "all"), for task heads one task score.
    log_weights : DataArray (draw, unit)
        Smoothed, normalised log weights of the `kept` draws without them.
    kept : array (draw,)
        Which draws, counted along all chains, were reweighted.
    """

    stage: str
    scores: pd.DataFrame
    units: pd.DataFrame
    log_weights: xr.DataArray
    kept: np.ndarray


@remembered
def leave_one_out(fit: CapabilityFit) -> tuple[LeaveOneOut, ...]:
    """Leave every seen score, and every model, out of each stage of a fit.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file.

    Returns
    -------
    tuple of LeaveOneOut
        One entry a stage: a predictor set of the measurement, and the task heads.

    Raises
    ------
    InputError
        For a sparse table, of which single scores are left out (`leave_scores_out`), but not whole models.
    """
    if fit.layout.structure.is_sparse:
        remedy = "judge it by back-tests: backtest --suite frontier, or a split that reveals some scores"
        raise InputError("Models of a sparse table are not left out one by one", remedy)
    kept = kept_draws(fit.posterior)
    stages = [_of_capabilities(fit, index, kept) for index in range(len(fit.layout.predictor_sets))]
    if fit.layout.task_scores is not None:
        stages.append(_of_heads(fit, kept))
    return tuple(stages)


def leave_scores_out(fit: CapabilityFit, index: int = 0) -> LeaveOneOut:
    """Leave every seen benchmark score of a predictor set out, and no model: there are no `units`."""
    layout, kept = fit.layout, reweighted_draws(fit)
    left_out = predict_left_out(fit, layout.predictor_labels[index])
    rows, columns = np.nonzero(~np.isnan(left_out["elpd"].to_numpy()))
    pairs = {name: left_out[name].to_numpy()[rows, columns] for name in _KEPT}
    # Not from quantiles, which a single draw decides where the score is far out.
    z = ndtri(np.clip(pairs["pit"], _SMALLEST_TAIL, 1.0 - _SMALLEST_TAIL))
    observed = fit.table.matrix(list(layout.benchmarks)).reindex(list(layout.models)).to_numpy()[rows, columns]
    return LeaveOneOut(
        stage=fit.stages[index].label,
        scores=_named(layout, layout.benchmarks, rows, columns).assign(observed=observed, **pairs, z=z),
        units=pd.DataFrame({"model": [], "benchmark": [], "pareto_k": []}),
        log_weights=xr.DataArray(np.empty((len(kept), 0)), dims=("draw", "unit")),
        kept=kept,
    )


def _of_capabilities(fit: CapabilityFit, index: int, kept: np.ndarray) -> LeaveOneOut:
    layout, data = fit.layout, fit.layout.measurements[index]
    some = np.flatnonzero(np.asarray(data.seen).any(axis=1))
    draws = {name: values[kept] for name, values in fit.posterior.measurement(index).items()}
    smooth, pareto_k = smoothed(-log_densities(data, draws)[:, some])
    return replace(
        leave_scores_out(fit, index),
        units=pd.DataFrame({"model": np.array(layout.models)[some], "benchmark": "all", "pareto_k": pareto_k}),
        log_weights=xr.DataArray(smooth, dims=("draw", "unit")),
    )


def _of_heads(fit: CapabilityFit, kept: np.ndarray) -> LeaveOneOut:
    layout, data = fit.layout, fit.layout.task_scores
    assert data is not None
    columns, rows = np.nonzero(np.asarray(data.seen).T)  # task by task
    observed = np.asarray(data.score)[rows, columns]
    density, log_weight, replicate = (part[:, rows, columns] for part in head_densities(fit, kept))
    smooth, pareto_k = smoothed(log_weight)
    weights = np.exp(smooth)
    mean = (weights * replicate).sum(axis=0)
    sd = np.sqrt((weights * (replicate - mean) ** 2).sum(axis=0))
    named = _named(layout, layout.tasks, rows, columns)
    scores = named.assign(
        observed=observed,
        elpd=np.logaddexp.reduce(smooth + density, axis=0),
        pareto_k=pareto_k,
        pit=np.clip((weights * (replicate <= observed)).sum(axis=0), 0.0, 1.0),
        # Where a few draws have all the weight, they are closer together than predictions are.
        z=(observed - mean) / np.maximum(sd, replicate.std(0)),
    )
    log_weights = xr.DataArray(smooth, dims=("draw", "unit"))
    return LeaveOneOut(HEADS, scores, named.assign(pareto_k=pareto_k), log_weights, kept)


def _named(layout: Layout, names: tuple[str, ...], rows: np.ndarray, columns: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"model": np.array(layout.models)[rows], "benchmark": np.array(names)[columns]})
