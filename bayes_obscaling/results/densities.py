"""Log predictive densities of scores that a fit has not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm
from scipy.stats import t as student_t

from bayes_obscaling.models.links import inverse_items
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.scenario import Scenario


def log_predictive(fit: CapabilityFit, task: str, models: Sequence[str], observed: np.ndarray) -> np.ndarray:
    """Log density (N,) of observed scores under the predictive distribution of a new evaluation.

    The density of the noise, averaged over draws; a kernel estimate from the draws of a forecast would be far noisier.

    Parameters
    ----------
    fit : CapabilityFit
        Which holds the task.
    task : str
        Its canonical name.
    models : sequence of str
        N models of the table.
    observed : array (N,)
        Their scores, 0..1.
    """
    posterior, scenarios = fit.posterior, [Scenario(model=model) for model in models]
    inverse = inverse_items(posterior.item_counts(scenarios, [task]))
    expected, scale = (part[..., 0] for part in posterior.moments(posterior.place(scenarios), [task], inverse))
    df = posterior.noise_df(task)
    noise = norm if df is None else student_t(df)
    log = noise.logpdf((np.asarray(observed) - expected) / scale) - np.log(scale)
    return np.asarray(logsumexp(log, axis=0) - np.log(len(log)))
