"""Whether leave-one-score-out finds the number of factors that a table was simulated with."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.analyses.factors import compare_factors
from bayes_obscaling.evaluation.coverage import bundled_table, simulate_table
from bayes_obscaling.files import write_atomically
from bayes_obscaling.inference.fitting import fit
from bayes_obscaling.models.capability import CapabilitySpec


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
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Simulate tables of known numbers of factors and compare numbers of factors on each; goes on where it was stopped.

    Parameters
    ----------
    folder : Path
        Where one file a table is kept.
    sets : int
        Tables of each true number. Each is drawn from one posterior draw of a fit with that many factors to the bundled
        table, with the same models and missing scores.
    truths : sequence of int
        True numbers of factors.
    counts : sequence of int
        Numbers that are compared, by `bayes_obscaling.compare_factors` without leave-future-out.
    chains, draws, seed, cache
        As in `bayes_obscaling.fit`.
    minutes : float
        Begin no further table after this time.
    progress : callable, optional
        Told ``(what, done, sets)``.

    Returns
    -------
    DataFrame
        ``truth, set, factors`` and the columns of `bayes_obscaling.analyses.factors.FactorChoice`.
    """
    started = time.monotonic()
    options: dict[str, Any] = {"chains": chains, "draws": draws, "cache": cache}
    folder.mkdir(parents=True, exist_ok=True)
    sources: dict[int, Any] = {}
    found = []
    for i in range(sets):  # one table of each, then the next: stopped early, all truths have as many
        for truth in truths:
            file = folder / f"factors-{truth}-{i}.csv"
            if not file.exists():
                if time.monotonic() - started > 60 * minutes:
                    continue
                if truth not in sources:
                    table = bundled_table()
                    spec = CapabilitySpec(n_factors=truth)
                    sources[truth] = fit(table, table.task_names, spec=spec, seed=seed, **options)
                rng = np.random.default_rng([seed, 8, truth, i])
                simulated = simulate_table(sources[truth], "as assumed", rng)
                chosen = compare_factors(simulated.table, counts, future=False, seed=seed + i, **options)
                compared = chosen.table.assign(problems=len(chosen.problems))
                write_atomically(file, compared.to_csv(index=False).encode())
            found.append(pd.read_csv(io.StringIO(file.read_text())).assign(truth=truth, set=i))
            if progress is not None:
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
