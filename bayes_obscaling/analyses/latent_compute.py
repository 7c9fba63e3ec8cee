"""Latent compute: the FLOPs of models whose training nobody has published, read off their scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayes_obscaling.checks import counted
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import COMPUTE_CENTRE
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.summaries import interval_columns


@dataclass(frozen=True, eq=False, repr=False)
class LatentCompute(Finding):
    """Posterior of unknown training compute.

    ``table`` has a row per model: ``family``, ``siblings`` (models of its family with known FLOPs), ``scores`` (seen
    benchmark scores), ``median, q5, q25, q75, q95`` in FLOPs, ``sd_decades`` of the posterior and ``learned``, the
    share of the prior's variance that the scores took away. In a check there are also ``flops`` (the hidden truth),
    ``error`` (log10 of median over truth) and ``pit``; ``parts["coverage"]`` says how often the intervals held it, and
    ``spread`` (root mean square of error over posterior sd) by how much to widen them.
    """

    drawn_by = "plot_latent_compute"
    front = ("model", "family", "median", "q25", "q75", "q5", "q95", "flops", "siblings", "scores", "learned")


def latent_compute(fit: CapabilityFit, *, widen: float = 1.0) -> LatentCompute:
    """Posterior of the compute of the models of unknown FLOPs.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file.
    widen : float
        Stretch the draws about their median, in log10 FLOPs, by this factor: the ``spread`` that
        `check_latent_compute` found.

    Raises
    ------
    InputError
        When every model's FLOPs are known, or for a factor that is not positive.

    Notes
    -----
    The prior of log10 FLOPs is normal (``Priors.unknown_compute``; by default mean 23, sd 1: 90 % between 2.2e21 and
    4.4e24 FLOPs), the same for every model. A model's scores say what it can do; its family's line, or for a family
    without known FLOPs the population of families, says what compute that takes.

    The model takes the residuals of a model, and the intercepts of a family, to be independent across capabilities.
    An efficient model or family tends to be so in all of them, so that several capabilities say less about compute than
    the posterior believes: unwidened intervals are too narrow, and `check_latent_compute` says by how much.
    """
    if not widen > 0:
        raise InputError(f"Intervals cannot be widened by a factor of {widen}: give a positive number, such as 2.")
    models = fit.table.models
    unknown = models.index[models["flops"].isna()]
    if not len(unknown):
        raise InputError(
            "The FLOPs of every model are known: there is nothing to infer (check the method by hiding some)."
        )
    table, _ = compute_of(fit, unknown, widen)
    alone = table[table["siblings"] == 0]
    sentences = [
        f"{counted(len(table), 'model')} of unknown FLOPs, {len(alone)} of them in families of which none are known.",
        _prior_in_words(fit)
        + f"; the scores took away {table['learned'].min():.0%} to {table['learned'].max():.0%} of its variance.",
        f"Intervals are widened by a factor of {widen:g}."
        if widen != 1
        else "Intervals are not widened: in a check they have been too narrow (check_latent_compute, or --check).",
    ]
    for row in table.sort_values("median", ascending=False).head(3).itertuples():
        sentences.append(f"{row.model}: {row.median:.2g} FLOPs (90 % interval {row.q5:.2g} to {row.q95:.2g}).")
    return LatentCompute(table, tuple(sentences), fit.problems)


def compute_of(fit: CapabilityFit, models: pd.Index, widen: float = 1.0) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of the table, and draws of log10 FLOPs (S, models)."""
    rows = [fit.layout.models.index(name) for name in models]
    values = fit.posterior.measurement(fit.posterior.complete)["compute"][:, rows] + COMPUTE_CENTRE
    middle = np.median(values, axis=0)
    values = middle + widen * (values - middle)
    facts = fit.table.models
    siblings = facts.groupby("family")["flops"].count()
    frame = 10.0 ** interval_columns(values)
    frame.insert(0, "scores", fit.table.matrix(fit.table.benchmark_names).loc[models].notna().sum(axis=1).to_numpy())
    frame.insert(0, "siblings", siblings[facts.loc[models, "family"]].to_numpy())
    frame.insert(0, "family", facts.loc[models, "family"].to_numpy())
    frame.insert(0, "model", list(models))
    frame["sd_decades"] = values.std(axis=0)
    expected, scale = _prior(fit, rows)
    frame["learned"] = 1 - values.var(axis=0) / scale**2
    frame["prior_median"] = 10.0**expected
    return frame, values


def _prior(fit: CapabilityFit, rows: list[int]) -> tuple[np.ndarray | float, float]:
    """Median of log10 FLOPs before a model's scores are looked at, and its sd."""
    if not fit.layout.structure.compute_trend:
        prior = fit.spec.priors.unknown_compute
        return prior.loc + COMPUTE_CENTRE, prior.scale
    p = fit.posterior.measurement(fit.posterior.complete)
    date = np.asarray(fit.layout.measurements[0].covariates.date)[rows]
    middle = p["compute_level"].mean() + p["compute_growth"].mean() * date + COMPUTE_CENTRE
    return middle, float(np.sqrt((p["family_compute_sd"] ** 2 + p["compute_sd"] ** 2).mean()))


def _prior_in_words(fit: CapabilityFit) -> str:
    if not fit.layout.structure.compute_trend:
        prior = fit.spec.priors.unknown_compute
        return f"The prior of log10 FLOPs is N({prior.loc + COMPUTE_CENTRE:g}, {prior.scale:g})"
    growth = fit.posterior.measurement(fit.posterior.complete)["compute_growth"]
    low, middle, high = np.percentile(growth, (5, 50, 95))
    return (
        f"Compute grows {middle:.2f} decades a year (90 % interval {low:.2f} to {high:.2f}), and models are off that "
        f"trend by {_prior(fit, [0])[1]:.2f} decades"
    )
