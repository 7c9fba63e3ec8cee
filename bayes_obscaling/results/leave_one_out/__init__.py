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

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtri

from bayes_obscaling.inference.arrays import Problem
from bayes_obscaling.results.fit import Fit
from bayes_obscaling.results.leave_one_out.benchmarks import predict_left_out
from bayes_obscaling.results.leave_one_out.models import log_densities, measured
from bayes_obscaling.results.leave_one_out.tasks import head_densities
from bayes_obscaling.results.leave_one_out.weights import PARETO_LIMIT, pareto_limit, smoothed, stride
from bayes_obscaling.results.likelihood import problem_of

__all__ = ["HEADS", "PARETO_LIMIT", "LeaveOneOut", "leave_one_out", "pareto_limit", "predict_left_out"]

HEADS = "task heads"
_KEPT = ("elpd", "pareto_k", "pit")
_SMALLEST_TAIL = 1e-15


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """One stage of a fit with every score it has seen left out in turn.

    Attributes
    ----------
    stage : str
        As in ``fit.convergence``: "capabilities" (and what its predictors leave out) or "task heads"; "joint" and
        "task heads" for a joint posterior.
    scores : DataFrame
        One row a seen score: ``model, benchmark, observed, elpd`` (log predictive density when left out), ``pareto_k``,
        ``pit`` (share of the predictive distribution of a new evaluation, when the score is left out, at or below it)
        and ``z`` (its distance from the mean of that distribution, in sd; for benchmarks the normal quantile of
        ``pit``, at most 7.9).
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


@lru_cache(maxsize=2)
def leave_one_out(fit: Fit) -> tuple[LeaveOneOut, ...]:
    """Leave every seen score, and every model, out of each stage of a fit.

    Parameters
    ----------
    fit : Fit
        From `bayes_obscaling.fit` or `load_fit`.

    Returns
    -------
    tuple of LeaveOneOut
        One entry a stage: a predictor set of the measurement, and the task heads.
    """
    problem = problem_of(fit)
    every = np.arange(fit.draws.sizes["chain"] * fit.draws.sizes["draw"]).reshape(fit.draws.sizes["chain"], -1)
    kept = every[:, :: stride(fit)].ravel()
    flat = {str(n): value.to_numpy().reshape(every.size, *value.shape[2:])[kept] for n, value in fit.draws.items()}
    stages = list(fit.convergence)
    found = []
    for index, label in enumerate(fit.draws["predictors"].to_numpy()):
        data = problem.measurements[index]
        left_out = predict_left_out(fit, str(label))
        rows, columns = np.nonzero(np.asarray(data.seen))
        pairs = {name: left_out[name].to_numpy()[rows, columns] for name in _KEPT}
        observed = np.asarray(data.score)[rows, columns]
        # Not from quantiles, which a single draw decides where the score is far out.
        z = ndtri(np.clip(pairs["pit"], _SMALLEST_TAIL, 1.0 - _SMALLEST_TAIL))
        some = np.flatnonzero(np.asarray(data.seen).any(axis=1))
        smooth, pareto_k = smoothed(-log_densities(data, measured(flat, index, problem.layout.n_factors))[:, some])
        found.append(
            LeaveOneOut(
                stage=stages[index],
                scores=_named(problem, problem.benchmarks, rows, columns).assign(observed=observed, **pairs, z=z),
                units=pd.DataFrame({"model": np.array(problem.models)[some], "benchmark": "all", "pareto_k": pareto_k}),
                log_weights=xr.DataArray(smooth, dims=("draw", "unit")),
                kept=kept,
            )
        )
    if problem.task_scores is not None:
        columns, rows = np.nonzero(np.asarray(problem.task_scores.seen))
        observed = np.asarray(problem.task_scores.score)[columns, rows]
        density, log_weight, replicate = (part[:, rows, columns] for part in head_densities(fit, flat))
        smooth, pareto_k = smoothed(log_weight)
        weights = np.exp(smooth)
        mean = (weights * replicate).sum(axis=0)
        named = _named(problem, problem.tasks, rows, columns)
        scores = named.assign(
            observed=observed,
            elpd=np.logaddexp.reduce(smooth + density, axis=0),
            pareto_k=pareto_k,
            pit=np.clip((weights * (replicate <= observed)).sum(axis=0), 0.0, 1.0),
            # Where a few draws have all the weight, they are closer together than predictions are.
            z=(observed - mean)
            / np.maximum(np.sqrt((weights * (replicate - mean) ** 2).sum(axis=0)), replicate.std(0)),
        )
        log_weights = xr.DataArray(smooth, dims=("draw", "unit"))
        found.append(LeaveOneOut(HEADS, scores, named.assign(pareto_k=pareto_k), log_weights, kept))
    return tuple(found)


def _named(problem: Problem, names: tuple[str, ...], rows: np.ndarray, columns: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"model": np.array(problem.models)[rows], "benchmark": np.array(names)[columns]})
