"""A check of forecast gains: those of held-out models against the observed ones, beside simpler forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayes_obscaling.analyses.gain import measured_models, paired_gains, task_pair
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.baselines import baseline
from bayes_obscaling.evaluation.scoring import (
    OURS,
    difference_in_words,
    paired_differences,
    score_draws,
    score_points,
    score_table,
)
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.scenario import Scenario

NO_CHANGE, MEAN_GAIN = "no change", "mean gain"
METHODS = ("pc-3", "pc-3-parametric")
_BASELINE_DRAWS = 200


@dataclass(frozen=True, eq=False, repr=False)
class GainCheck(Finding):
    """Forecast gains of held-out models, scored.

    ``table`` has one row per method: ``n, mae, crps``, coverage and width of the 50, 80 and 90 % intervals, and
    ``difference`` (our CRPS less this method's) with its standard error ``se`` over families.
    ``parts["cells"]`` has the forecasts, one row per model and method.
    """

    drawn_by = "plot_gain_check"

    before: str = ""
    after: str = ""


def check_gain(
    fit: CapabilityFit, before: str, after: str, *, methods: Sequence[str] = METHODS, seed: int = 0
) -> GainCheck:
    """Return the forecast gains of held-out models, scored against the observed ones, beside simpler forecasts.

    Parameters
    ----------
    fit : CapabilityFit
        One fit that holds both tasks and has held-out models.
    before, after : str
        As in `bayes_obscaling.gain`.
    methods : sequence of str
        Baselines (keys of `bayes_obscaling.evaluation.baselines.BASELINES`), each fitted to the two tasks apart: the
        difference of its two point forecasts, with the difference of two independent bootstraps as its draws.
    seed : int
        Seed of the baselines.

    Returns
    -------
    GainCheck
        Beside the baselines, ``no change`` (a gain of 0 for certain) and ``mean gain`` (mean and spread of the gains
        that were seen).

    Raises
    ------
    InputError
        As in `bayes_obscaling.gain`, and when no held-out model has both scores or fewer than two seen models have.
    """
    names = task_pair(fit, before, after)
    scores = fit.table.matrix(names)
    observed = (scores[names[1]] - scores[names[0]]).dropna()
    measured, held_out = set(measured_models(fit)), fit.split.held_out
    held = [model for model in held_out if model in observed.index and model in measured]
    seen = observed[~observed.index.isin(held_out)]
    if not held or len(seen) < 2:
        raise InputError(
            f"There are {len(held)} held-out and {len(seen)} seen models with scores on both {names[0]} and "
            f"{names[1]}: fit with a cutoff that leaves some on either side."
        )
    truth = observed[held].to_numpy()
    draws, _ = paired_gains(fit, [Scenario(model=model) for model in held], names)
    rng = np.random.default_rng(seed)
    mean, sd = seen.mean(), seen.std() * np.sqrt(1 + 1 / len(seen))
    scored = {OURS: score_draws(draws.T, truth), NO_CHANGE: score_points(np.zeros(len(held)), truth)}
    scored[MEAN_GAIN] = score_draws(mean + sd * rng.standard_normal((len(held), 1000)), truth)
    scored |= {method: _baseline_gains(fit, method, names, observed[held], seed) for method in methods}
    facts = fit.table.models.loc[held, ["family", "flops"]].reset_index()
    difference = f"{names[1]} - {names[0]}"
    cells = pd.concat(
        [facts.assign(task=difference, method=m, observed=truth).join(frame) for m, frame in scored.items()],
        ignore_index=True,
    )
    table = _table(cells)
    return GainCheck(table, _sentences(table, truth), fit.problems, {"cells": cells}, names[0], names[1])


def _baseline_gains(fit: CapabilityFit, method: str, names: list[str], truth: pd.Series, seed: int) -> pd.DataFrame:
    """Scores of the difference of a baseline's forecasts of the two tasks, for the models that `truth` names."""
    first, second = (
        baseline(method, fit.table, name, fit.split, draws=_BASELINE_DRAWS, seed=seed + place)
        for place, name in enumerate(names)
    )
    assert first.draws is not None and second.draws is not None  # asked for
    scores = score_draws((second.draws - first.draws)[truth.index].to_numpy().T, truth.to_numpy())
    scores["median"] = (second.point - first.point)[truth.index].to_numpy()
    return scores


def _table(cells: pd.DataFrame) -> pd.DataFrame:
    """Mean scores by method, with the difference of our scores from each."""
    table = score_table(cells, ("method",))
    wanted = ["method", "n", "mae", "crps", *(f"{c}_{p}" for p in (50, 80, 90) for c in ("coverage", "width"))]
    apart = paired_differences(cells.assign(setup=""), OURS).set_index("method")
    return table[wanted].assign(
        difference=table["method"].map(apart["difference"]), se=table["method"].map(apart["se"])
    )


def _sentences(table: pd.DataFrame, truth: np.ndarray) -> tuple[str, ...]:
    ours = table.iloc[0]
    sentences = [
        f"{ours['n']} held-out models: the 50 % interval of the gain held {ours['coverage_50']:.0%}, the 90 % interval "
        f"{ours['coverage_90']:.0%}; mean absolute error {ours['mae']:.3f} (mean observed gain {truth.mean():+.3f})."
    ]
    sentences += [
        f"{row.method}: mean absolute error {row.mae:.3f}; CRPS {row.crps:.4f} against {ours['crps']:.4f} of {OURS} "
        f"({difference_in_words(row.difference, row.se)})."
        for row in table.iloc[1:].itertuples()
    ]
    return tuple(sentences)
