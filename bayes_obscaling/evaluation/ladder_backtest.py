"""How good are ladder forecasts: a size left out, against the point estimate; variants compared."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import arviz_stats as azs
import numpy as np
import pandas as pd

from bayes_obscaling.data.ladder import Ladder
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.ladder_baseline import fit_point_estimate
from bayes_obscaling.evaluation.scoring import OURS, score_draws, score_table
from bayes_obscaling.inference.fit_ladder import fit_ladder
from bayes_obscaling.models.ladder import LadderSpec
from bayes_obscaling.models.ladder_layout import losses_of
from bayes_obscaling.progress import Progress
from bayes_obscaling.results.finding import Answer
from bayes_obscaling.results.fit import LadderFit
from bayes_obscaling.results.ladder_recipe import recipes_of
from bayes_obscaling.results.scenario import Scenario

POINT = "point estimate"
QUANTITIES = ("loss", "accuracy_given_loss", "accuracy")
VARIANTS = {
    "default": LadderSpec(),
    "no discrepancy": LadderSpec(discrepancy=False),
    "compute only": LadderSpec(law="compute"),
    "C4 loss": LadderSpec(feature="c4_loss"),
    "task cross-entropy": LadderSpec(feature="task_ce"),
    "single step": LadderSpec(feature="none"),
}


@dataclass(frozen=True, eq=False, repr=False)
class LadderBacktest(Answer):
    """Forecasts of runs that were left out, and what they scored.

    Attributes
    ----------
    cells : DataFrame
        One row per method, quantity, run and task: ``held_out`` (the size left out), ``observed``, the forecast's
        summary and its scores as in `score_draws`.
    fits : dict of str to LadderFit
        The fit behind each size left out.
    """

    front = ("held_out", "quantity", "method", "n", "mae", "crps", "coverage_50", "coverage_90")

    cells: pd.DataFrame
    fits: dict[str, LadderFit]

    def to_dataframe(self) -> pd.DataFrame:
        """Mean scores by size left out, quantity and method."""
        return self.scores()

    @property
    def sentences(self) -> tuple[str, ...]:
        """How far each method's accuracies were off."""
        rows = self.scores(("quantity", "method"))
        return tuple(
            f"Accuracy by {row.method}: mean absolute error {row.mae:.3f} over {row.n} scores"
            + (f"; the 90 % interval held {row.coverage_90:.0%}." if np.isfinite(row.coverage_90) else ".")
            for row in rows[rows["quantity"] == "accuracy"].itertuples()
        )

    def scores(self, by: Sequence[str] = ("held_out", "quantity", "method")) -> pd.DataFrame:
        """Mean scores, coverage and widths by groups of cells; see `score_table`."""
        return score_table(self.cells, by)

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong in sampling, by size left out."""
        return tuple(f"without {size}: {problem}" for size, fit in self.fits.items() for problem in fit.problems)


def backtest_ladder(
    ladder: Ladder,
    hold_out: float | Sequence[float] | None = None,
    *,
    train: Ladder | None = None,
    spec: LadderSpec | None = None,
    recipe: str = "same",
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress = None,
) -> LadderBacktest:
    """Return scored forecasts of the largest size, made from the smaller ones.

    Parameters
    ----------
    ladder : Ladder
        All runs.
    hold_out : float or sequence of float, optional
        Sizes (parameters) to leave out, one at a time, with every larger run; default the largest.
    train : Ladder, optional
        Fit these runs below the size left out, instead of all of `ladder` (the paper's 16 runs, say).
    recipe : str
        Recipe that the runs left out are taken to be of: "same" (they are the ladder's own), "similar", "unknown".
    spec, chains, draws, seed, cache, progress
        As in `fit_ladder`.

    Returns
    -------
    LadderBacktest
        Methods "bayes" and, for ladders of losses and accuracies, "point estimate" (with residual noise:
        `PointEstimate.draws`), and quantities "loss",
        "accuracy_given_loss" (the true loss put in), "accuracy" (chained).

    Raises
    ------
    InputError
        For a size that the ladder does not have, or too few rungs below it.
    """
    spec = spec or LadderSpec(feature=ladder.feature)
    if hold_out is None:
        sizes: list[float] = [ladder.sizes[-1]]
    else:
        sizes = [float(size) for size in np.atleast_1d(np.asarray(hold_out, float))]
    designs = [_left_out(ladder, train or ladder, size, recipe) for size in sizes]  # refused before any is fitted
    parts, fits = [], {}
    for size, (shorter, tests) in zip(sizes, designs, strict=True):
        fit = fit_ladder(shorter, spec, chains=chains, draws=draws, seed=seed, cache=cache, progress=progress)
        label = f"{size:.2g}"
        fits[label] = fit
        parts.append(score_runs(fit, tests, recipe).assign(held_out=label, method=OURS))
        if ladder.has_accuracy and ladder.feature != "none":  # the point estimate needs both of its steps
            parts.append(_score_point_estimate(shorter, tests).assign(held_out=label, method=POINT))
    return LadderBacktest(pd.concat(parts, ignore_index=True), fits)


def _left_out(ladder: Ladder, train: Ladder, size: float, recipe: str) -> tuple[Ladder, Ladder]:
    """Runs below a size, and those of it; refused are a size that there is not, and too few rungs below it."""
    tests, shorter = ladder.at_size(size), train.below(size)
    if not len(tests.runs):
        have = ", ".join(f"{x:.3g}" for x in ladder.sizes)
        raise InputError(f"The ladder has no runs of {size:.3g} parameters to leave out: its sizes are {have}.")
    shorter.check_rungs()
    recipes_of(shorter, _scenarios(tests), recipe)
    return shorter, tests


def score_runs(fit: LadderFit, runs: Ladder, recipe: str = "same") -> pd.DataFrame:
    """Score a fit's forecasts of other runs, taken to be of a recipe; "" is what `recipes_of` says of each.

    Returns
    -------
    DataFrame
        One row per quantity, run and task: ``quantity, run, task, observed`` and the columns of `score_draws`.
    """
    losses, accuracies = losses_of(runs, fit.spec), runs.matrix("accuracy")
    asked, _ = recipes_of(fit.ladder, _scenarios(runs), recipe)
    draws = fit.posterior.scores(asked, losses)
    observed = {"loss": losses, **dict.fromkeys(("accuracy_given_loss", "accuracy"), accuracies)}
    return _score_all(draws, observed, runs)


def _score_point_estimate(shorter: Ladder, tests: Ladder) -> pd.DataFrame:
    losses, accuracies = tests.matrix("task_loss"), tests.matrix("accuracy")
    draws = fit_point_estimate(shorter).draws(_scenarios(tests), losses)
    observed = {"loss": losses, **dict.fromkeys(("accuracy_given_loss", "accuracy"), accuracies)}
    return _score_all(draws, observed, tests)


def _score_all(draws: dict[str, np.ndarray], observed: dict[str, np.ndarray], runs: Ladder) -> pd.DataFrame:
    """Score draws (S, runs, losses or tasks) of those quantities that there are."""
    return pd.concat(
        [
            _score(draws[quantity][:, at], observed[quantity][at], quantity, str(run), runs)
            for at, run in enumerate(runs.runs.index)
            for quantity in QUANTITIES
            if quantity in draws and np.isfinite(observed[quantity]).any()
        ],
        ignore_index=True,
    )


def _score(draws: np.ndarray, observed: np.ndarray, quantity: str, run: str, runs: Ladder) -> pd.DataFrame:
    tasks = list(runs.tasks.index) if len(observed) == len(runs.tasks) else ["all tasks"]
    seen = np.isfinite(observed)
    frame = score_draws(draws.T[seen], observed[seen])
    frame.insert(0, "observed", observed[seen])
    frame.insert(0, "task", np.array(tasks)[seen])
    frame.insert(0, "run", run)
    frame.insert(0, "quantity", quantity)
    return frame


def _scenarios(runs: Ladder) -> list[Scenario]:
    return [
        Scenario(str(name), flops=row["flops"], params=row["params"], tokens=row["tokens"])
        for name, row in runs.runs.iterrows()
    ]


def compare_ladder_specs(
    ladder: Ladder,
    hold_out: float | None = None,
    specs: dict[str, LadderSpec] | None = None,
    *,
    train: Ladder | None = None,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress = None,
) -> pd.DataFrame:
    """Variants of the spec by the accuracies of a size left out, and by leave-one-out on those that were fitted.

    Parameters
    ----------
    specs : dict of str to LadderSpec, optional
        Default `VARIANTS`.
    ladder, hold_out, train, chains, draws, seed, cache, progress
        As in `backtest_ladder`.

    Returns
    -------
    DataFrame
        One row per spec, then one for the point estimate: ``crps, mae, coverage_50, coverage_90, width_90`` of the
        chained accuracy of the runs left out; ``elpd_loo`` and ``se`` (PSIS-LOO of the accuracies that were fitted,
        summed over runs and tasks: Vehtari, Gelman and Gabry 2017), ``pareto_k_bad`` (share of k above .7),
        ``problems``.
    """
    rows = []
    for name, spec in (specs or VARIANTS).items():
        result = backtest_ladder(
            ladder,
            hold_out,
            train=train,
            spec=spec,
            chains=chains,
            draws=draws,
            seed=seed,
            cache=cache,
            progress=progress,
        )
        cells = result.cells[result.cells["quantity"] == "accuracy"]
        (fit,) = result.fits.values()
        loo = accuracy_loo(fit)
        ours = score_table(cells[cells["method"] == OURS], ()).iloc[0]
        rows.append(
            {
                "spec": name,
                **_headline(ours),
                "elpd_loo": float(loo.elpd),
                "se": float(loo.se),
                "pareto_k_bad": float((loo.pareto_k > 0.7).mean()),
                "problems": "; ".join(result.problems),
            }
        )
    # the point estimate is the same beside every spec
    point = score_table(cells[cells["method"] == POINT], ()).iloc[0]
    rows.append({"spec": POINT, **_headline(point), "elpd_loo": np.nan, "se": np.nan, "problems": ""})
    return pd.DataFrame(rows)


def accuracy_loo(fit: LadderFit) -> azs.ELPDData:
    """Leave one accuracy out, by PSIS (Vehtari, Gelman and Gabry 2017): ``elpd``, ``se``, ``pareto_k`` (run, task).

    ArviZ warns of k above .7; here they are in what is returned.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Estimated shape parameter of Pareto")
        return azs.loo(fit.tree, var_name="accuracy", pointwise=True)


def _headline(scores: pd.Series) -> dict[str, float]:
    return {name: float(scores[name]) for name in ("crps", "mae", "coverage_50", "coverage_90", "width_90")}
