"""Leave-one-out from the draws of one fit: what each score is worth when it, or its whole model, has not been seen.

A model's capabilities lean on its own few scores, so weights that leave a score out at fixed capabilities have no
variance to speak of (on the bundled tables a quarter of the scores has a Pareto k above 0.7). Here the capabilities are
integrated out first (Merkle, Furr and Rabe-Hesketh 2019; Vehtari et al. 2016), and only the parameters that many models
share are reweighted:

* measurement: ``p(y_i | y_-i, phi)``, the capabilities of that model integrated by Laplace's method given its other
  scores and the shared parameters ``phi``; weights ``1 / p(y_i | y_-i, phi)``, and ``1 / p(y_m | phi)`` for a model;
* task heads: in a cut posterior task scores do not move the capabilities, so these keep their measurement posterior;
  weights ``1 / p(y | head, theta)`` are normalised over draws of the head at each of a few draws of that model's theta.
  The head's posterior is taken as independent of one model's theta. In a joint posterior the same is an approximation:
  there task scores have informed theta.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from scipy.special import logsumexp

from bayes_obscaling.models.capability import (
    BENCHMARK_FLOOR_SD,
    TASK_NOISE_DF,
    capability_curve,
    features,
)
from bayes_obscaling.models.links import response, score_variance
from bayes_obscaling.results.fit import Fit
from bayes_obscaling.results.likelihood import problem_of

# Draws that are reweighted, evenly spaced; more cost time and change little, for draws of a chain repeat each other.
_DRAWS = 1000
# Draws of a model's capabilities at which the weights of task heads are normalised.
_THETAS = 32
_NEWTON_STEPS = 12


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """One stage of a fit with every seen score left out in turn.

    Attributes
    ----------
    stage : str
        "capabilities" (with what its predictors leave out) or "task heads".
    log_density : DataArray (chain, draw, score)
        Log predictive density of each seen score given the parameters that are shared, capabilities integrated out.
    replicate : DataArray (chain, draw, score)
        A new evaluation drawn with it, given the other scores.
    observed : DataArray (score,)
        The scores, with coordinates ``model`` and ``benchmark``.
    model_log_density : DataArray (chain, draw, model)
        Log predictive density of all scores of a model together.
    """

    stage: str
    log_density: xr.DataArray
    replicate: xr.DataArray
    observed: xr.DataArray
    model_log_density: xr.DataArray
