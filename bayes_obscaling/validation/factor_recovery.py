"""Whether leave-one-score-out finds the number of factors that a table was simulated with."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.evaluation.factor_choice import compare_factors
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.progress import Progress
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.validation.coverage import bundled_table, simulate_table
from bayes_obscaling.validation.kept import KeptTables


def run_factor_counts(
    folder: Path,
    sets: int,
    *,
    truths: Sequence[int] = (1, 2, 3),
    counts: Sequence[int] = (1, 2, 3, 4),
    chains: int = 2,
    draws: int = 200,
    seed: int = 0,
    cache: Path | None = None,
    minutes: float = np.inf,
    progress: Progress = None,
) -> pd.DataFrame:
    """Simulate tables of known numbers of factors and compare numbers of factors on each; goes on where it was stopped.

    Parameters
    ----------
    truths : sequence of int
        True numbers of factors. Each table is drawn from one posterior draw of a fit with that many to the bundled
        table, with the same models and missing scores.
    counts : sequence of int
        Numbers that are compared, by `bayes_obscaling.ask.compare_factors` without leave-future-out.
    folder, sets, chains, draws, seed, cache, minutes, progress
        As in `bayes_obscaling.validation.run_coverage`, ``sets`` of each true number.

    Returns
    -------
    DataFrame
        ``truth, set, factors`` and the columns of `bayes_obscaling.evaluation.factor_choice.FactorChoice`.
    """
    kept = KeptTables(folder, minutes)
    options: dict[str, Any] = {"chains": chains, "draws": draws, "cache": cache}

    @functools.cache
    def source(truth: int) -> CapabilityFit:
        table = bundled_table()
        return fit_table(table, table.task_names, spec=CapabilitySpec(n_factors=truth), seed=seed, **options)

    found = []
    for i in range(sets):  # one table of each, then the next: stopped early, all truths have as many
        for truth in truths:

            def make(truth: int = truth, i: int = i) -> tuple[pd.DataFrame]:
                simulated = simulate_table(source(truth), "as assumed", np.random.default_rng([seed, 8, truth, i]))
                chosen = compare_factors(simulated.table, counts, future=False, seed=seed + i, **options)
                return (chosen.table.assign(problems=len(chosen.problems)),)

            if (made := kept.get([f"factors-{truth}-{i}"], make)) is None:
                continue
            found.append(made[0].assign(truth=truth, set=i))
            if progress:
                progress(f"{truth} true factors", i + 1, sets)
    return pd.concat(found, ignore_index=True)


def factor_count_table(found: pd.DataFrame) -> pd.DataFrame:
    """How often each number of factors is chosen.

    Parameters
    ----------
    found : DataFrame
        From `run_factor_counts`.

    Returns
    -------
    DataFrame
        One row a ``truth``: ``tables``, ``best_is_truth`` (share of tables on which the true number has the highest
        elpd), ``parsimonious_is_truth`` (on which it is the smallest number within two standard errors of the highest),
        and ``chosen`` and ``parsimonious``, how often each number was.
    """
    rows = []
    for truth, tables in found.groupby("truth"):
        best, fewest = [], []
        for _, table in tables.groupby("set"):
            best.append(int(table.loc[table["elpd"].idxmax(), "factors"]))
            near = table["difference"] >= -2.0 * table["se"]
            fewest.append(int(table.loc[near, "factors"].min()))
        rows.append(
            {
                "truth": truth,
                "tables": len(best),
                "best_is_truth": np.mean(np.array(best) == truth),
                "parsimonious_is_truth": np.mean(np.array(fewest) == truth),
                "chosen": _counted(best),
                "parsimonious": _counted(fewest),
            }
        )
    return pd.DataFrame(rows)


def _counted(values: list[int]) -> str:
    return "; ".join(f"{value}: {values.count(value)}" for value in sorted(set(values)))
