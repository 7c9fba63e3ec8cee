"""The ladder as an instrument: which run to add next, and what each rung bought."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bayes_obscaling.data.ladder import Ladder
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.ladder_backtest import score_runs
from bayes_obscaling.inference.ladder import fit_ladder
from bayes_obscaling.models.ladder import LadderSpec
from bayes_obscaling.results.ladder import LadderFit
from bayes_obscaling.results.ladder_forecast import OLMO_TARGETS, Target, World, forecast_ladder

# Tokens a parameter of one Chinchilla: 20 (Hoffmann et al. 2022).
CHINCHILLA = 20.0
# Ridge on the correlation of what a run would show: draws are finite, and its 16 scores nearly collinear.
_RIDGE = 1e-3


def next_runs(
    fit: LadderFit,
    targets: Sequence[Target] = OLMO_TARGETS,
    *,
    sizes: Sequence[float] | None = None,
    multiples: Sequence[float] = (1.0, 5.0, 10.0, 20.0),
) -> pd.DataFrame:
    """Which extra run would shrink the forecasts of the targets most, and what it costs.

    The expected posterior variance of a target's accuracy given the scores of the extra run (its losses and accuracies
    on all tasks) is computed from joint posterior draws of both, as the Bayes linear adjusted variance
    ``Var(t) - Cov(t, y) Var(y)^-1 Cov(y, t)`` (Goldstein and Wooff 2007, eq. 3.5): exact for normal draws. Bends beyond
    the ladder are shared by a run and a target that lie beyond the same rung, so a larger rung teaches about them.

    Parameters
    ----------
    fit : LadderFit
        The ladder so far.
    targets : sequence of Target
        The models that matter.
    sizes : sequence of float, optional
        Sizes (parameters) to consider; default those of the ladder and two more rungs at its mean ratio.
    multiples : sequence of float
        Token counts to consider, in units of 20 tokens a parameter.

    Returns
    -------
    DataFrame
        ``N, D, multiple, flops`` (6 N D), for each target ``sd_<name>``, the mean over tasks of the expected posterior
        sd of its accuracy (without a run's own luck, which no other run can foretell), and ``reduction``, the share by
        which the root mean square of these falls; most useful first. The first row has no run: where it stands now.
    """
    if not targets:
        raise InputError("No target was named: say which models matter.")
    have = np.array(fit.ladder.sizes)
    if sizes is None:
        ratio = (have[-1] / have[0]) ** (1 / (len(have) - 1))
        sizes = [*have, have[-1] * ratio, have[-1] * ratio**2]
    world = World(fit)
    wanted = np.concatenate([world.ask(target)["accuracy_curve"] for target in targets], axis=1)
    wanted = wanted - wanted.mean(axis=0)
    now = wanted.var(axis=0)
    n_tasks = world.n_tasks

    def row(variance: np.ndarray, params: float, tokens: float, multiple: float) -> dict[str, float]:
        sd = np.sqrt(variance).reshape(len(targets), n_tasks).mean(axis=1)
        return {
            "N": params, "D": tokens, "multiple": multiple, "flops": 6 * params * tokens,
            **{f"sd_{target.name}": value for target, value in zip(targets, sd, strict=True)},
            "reduction": 1.0 - float(np.sqrt(variance.mean() / now.mean())),
        }  # fmt: skip

    rows = []
    for params in sizes:
        for multiple in multiples:
            tokens = multiple * CHINCHILLA * params
            seen = world.ask(Target("an extra run", params, tokens))
            shown = [np.log(seen["loss"])] if "loss" in seen else []
            shown.append(seen["accuracy"])
            rows.append(row(_adjusted_variance(wanted, np.concatenate(shown, axis=1)), params, tokens, multiple))
    table = pd.DataFrame(rows).sort_values("reduction", ascending=False, ignore_index=True)
    return pd.concat([pd.DataFrame([row(now, np.nan, np.nan, np.nan)]), table], ignore_index=True)


def _adjusted_variance(wanted: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Variance left in each column of `wanted` once `shown` is known, both (draws, columns)."""
    shown = (shown - shown.mean(axis=0)) / shown.std(axis=0)
    shared = shown.T @ shown / len(shown) + _RIDGE * np.eye(shown.shape[1])
    with_target = shown.T @ wanted / len(shown)
    return np.maximum(wanted.var(axis=0) - (with_target * np.linalg.solve(shared, with_target)).sum(axis=0), 0.0)


def rung_study(
    ladder: Ladder,
    targets: Sequence[Target] = OLMO_TARGETS,
    *,
    spec: LadderSpec | None = None,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[pd.DataFrame, list[LadderFit]]:
    """How forecasts sharpen as rungs are added, and what the rungs cost.

    Parameters
    ----------
    ladder : Ladder
        The whole ladder; fitted up to its third size, its fourth, and so on.
    targets, spec, chains, draws, seed, cache, progress
        As in `forecast_ladder` and `fit_ladder`.

    Returns
    -------
    table : DataFrame
        One row a number of rungs: ``rungs, largest`` (parameters), ``flops`` (spent on all runs so far), for each
        target ``width_<name>`` (mean over tasks of the 90 % interval of its accuracy), and for the next rung, where
        there is one, ``next_mae, next_coverage_90`` of its accuracies.
    fits : list of LadderFit
        The fit of each row.
    """
    rows, fits = [], []
    for count in range(3, len(ladder.sizes) + 1):
        largest = ladder.sizes[count - 1]
        shorter = ladder.below(largest * 1.05)
        fit = fit_ladder(shorter, spec, chains=chains, draws=draws, seed=seed, cache=cache, progress=progress)
        summary = forecast_ladder(fit, targets).summary()
        summary = summary[summary["quantity"] == "accuracy"]
        width = (summary["q95"] - summary["q5"]).groupby(summary["target"], sort=False).mean()
        row = {"rungs": count, "largest": largest, "flops": float(shorter.runs["flops"].sum())}
        row |= {f"width_{name}": value for name, value in width.items()}
        if count < len(ladder.sizes):
            scored = score_runs(fit, ladder.at_size(ladder.sizes[count]))
            scored = scored[scored["quantity"] == "accuracy"]
            row["next_mae"] = float((scored["median"] - scored["observed"]).abs().mean())
            row["next_coverage_90"] = float(scored["observed"].between(scored["q5"], scored["q95"]).mean())
        rows.append(row)
        fits.append(fit)
    return pd.DataFrame(rows), fits
