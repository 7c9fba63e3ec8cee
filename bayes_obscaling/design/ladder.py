"""Runs of a ladder: which one to add next, and how much each rung sharpens the forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_obscaling.data.ladder import CHINCHILLA, Ladder
from bayes_obscaling.evaluation.ladder_backtest import score_runs
from bayes_obscaling.inference.fit_ladder import fit_ladder
from bayes_obscaling.models.ladder import LadderSpec
from bayes_obscaling.progress import Progress, shows_progress
from bayes_obscaling.results.fit import LadderFit
from bayes_obscaling.results.ladder_forecast import OLMO_MODELS, checked_runs, forecast_ladder
from bayes_obscaling.results.ladder_posterior import SAME
from bayes_obscaling.results.scenario import Scenario

# Ridge on the correlation of what a run would show: draws are finite, and its 16 scores nearly collinear.
_RIDGE = 1e-3


def next_runs(
    fit: LadderFit,
    scenarios: Sequence[Scenario] = OLMO_MODELS,
    *,
    sizes: Sequence[float] | None = None,
    multiples: Sequence[float] = (1.0, 5.0, 10.0, 20.0),
) -> pd.DataFrame:
    """Which extra run would shrink the forecasts of some models most, and what it costs.

    The expected posterior variance of a model's accuracy given the scores of the extra run (its losses and accuracies
    on all tasks) is computed from joint posterior draws of both, as the Bayes linear adjusted variance
    ``Var(t) - Cov(t, y) Var(y)^-1 Cov(y, t)`` (Goldstein and Wooff 2007, eq. 3.5): exact for normal draws. Bends beyond
    the ladder are shared by a run and a model that lie beyond the same rung, so a larger rung teaches about them.

    Parameters
    ----------
    fit : LadderFit
        The ladder so far.
    scenarios : sequence of Scenario
        The models that matter, with params and tokens; as runs of the ladder's own recipe.
    sizes : sequence of float, optional
        Sizes (parameters) to consider; default those of the ladder and two more rungs at its mean ratio.
    multiples : sequence of float
        Token counts to consider, in units of 20 tokens per parameter.

    Returns
    -------
    DataFrame
        ``run, N, D, multiple, flops`` (6 N D), for each model ``sd_<name>``, the mean over tasks of the expected
        posterior sd of its accuracy, of a ladder of losses alone of its log loss (without a run's own luck, which no
        other run can foretell), and ``reduction``, the share by which the root mean square of these falls; most useful
        first. The first row has no run: where it stands now.
    """
    # no run of the ladder's recipe teaches what another one does
    models, posterior = tuple(replace(model, recipe=SAME) for model in checked_runs(scenarios)), fit.posterior
    have = np.array(fit.ladder.sizes)
    if sizes is None:
        ratio = (have[-1] / have[0]) ** (1 / (len(have) - 1))
        sizes = [*have, have[-1] * ratio, have[-1] * ratio**2]
    has_accuracy = fit.ladder.has_accuracy
    wanted = posterior.scores(models)["accuracy_curve" if has_accuracy else "loss_curve"]
    curves = (wanted if has_accuracy else np.log(wanted)).reshape(posterior.size, -1)
    curves = curves - curves.mean(axis=0)
    now = curves.var(axis=0)

    def row(variance: np.ndarray, params: float, tokens: float, multiple: float) -> dict[str, float]:
        sd = np.sqrt(variance).reshape(len(models), -1).mean(axis=1)
        return {
            "N": params,
            "D": tokens,
            "multiple": multiple,
            "flops": 6 * params * tokens,
            **{f"sd_{model.name}": value for model, value in zip(models, sd, strict=True)},
            "reduction": 1.0 - float(np.sqrt(variance.mean() / now.mean())),
        }

    rows = []
    for params in sizes:
        runs = [
            Scenario("an extra run", params=params, tokens=multiple * CHINCHILLA * params).as_run()
            for multiple in multiples
        ]
        drawn = posterior.scores(runs)
        shown = [np.log(drawn["loss"])] if "loss" in drawn else []
        shown += [drawn["accuracy"]] if has_accuracy else []
        for at, (run, multiple) in enumerate(zip(runs, multiples, strict=True)):
            left = _adjusted_variance(curves, np.concatenate([part[:, at] for part in shown], axis=1))
            rows.append(row(left, run.params, run.tokens, multiple))
    table = pd.DataFrame(rows).sort_values("reduction", ascending=False, ignore_index=True)
    table = pd.concat([pd.DataFrame([row(now, np.nan, np.nan, np.nan)]), table], ignore_index=True)
    table.insert(0, "run", ["as it stands", *(f"extra run {number}" for number in range(1, len(table)))])
    return table


def _adjusted_variance(quantities: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Variance left in each column of `quantities` once `shown` is known, both (draws, columns)."""
    shown = (shown - shown.mean(axis=0)) / shown.std(axis=0)
    shared = shown.T @ shown / len(shown) + _RIDGE * np.eye(shown.shape[1])
    between = shown.T @ quantities / len(shown)
    return np.maximum(quantities.var(axis=0) - (between * np.linalg.solve(shared, between)).sum(axis=0), 0.0)


@shows_progress()
def rung_study(
    ladder: Ladder,
    scenarios: Sequence[Scenario] = OLMO_MODELS,
    *,
    spec: LadderSpec | None = None,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress = None,
) -> tuple[pd.DataFrame, list[LadderFit]]:
    """How forecasts of the ladder's own recipe sharpen as rungs are added, and what the rungs cost.

    Parameters
    ----------
    ladder : Ladder
        The whole ladder; fitted up to its third size, its fourth, and so on.
    scenarios, spec, chains, draws, seed, cache, progress
        As in `forecast_ladder` and `fit_ladder`.

    Returns
    -------
    table : DataFrame
        One row per number of rungs: ``rungs, largest`` (parameters), ``flops`` (spent on all runs so far), for each
        model ``width_<name>`` (mean over tasks of the 90 % interval of its accuracy, of its loss where the ladder has
        no accuracies), and for the next rung, where there is one, ``next_mae, next_coverage_90`` of these.
    fits : list of LadderFit
        The fit of each row.
    """
    rows, fits = [], []
    for count in range(3, len(ladder.sizes) + 1):
        largest = ladder.sizes[count - 1]
        shorter = ladder.below(largest * 1.05)
        fit = fit_ladder(shorter, spec, chains=chains, draws=draws, seed=seed, cache=cache, progress=progress)
        summary = forecast_ladder(fit, scenarios, recipe=SAME).to_dataframe()
        quantity = "accuracy" if ladder.has_accuracy else "loss"
        summary = summary[summary["quantity"] == quantity]
        width = (summary["q95"] - summary["q5"]).groupby(summary["model"], sort=False).mean()
        row = {"rungs": count, "largest": largest, "flops": float(shorter.runs["flops"].sum())}
        row |= {f"width_{name}": value for name, value in width.items()}
        if count < len(ladder.sizes):
            scored = score_runs(fit, ladder.at_size(ladder.sizes[count]))
            scored = scored[scored["quantity"] == quantity]
            row["next_mae"] = float((scored["median"] - scored["observed"]).abs().mean())
            row["next_coverage_90"] = float(scored["observed"].between(scored["q5"], scored["q95"]).mean())
        rows.append(row)
        fits.append(fit)
    return pd.DataFrame(rows), fits
