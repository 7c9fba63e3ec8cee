"""Many backtests of one table for one analysis, each kept as soon as it is done."""

from __future__ import annotations

import dataclasses
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.backtest import backtest
from bayes_obscaling.inference.cache import content_hash
from bayes_obscaling.inference.executor import Job, run_jobs
from bayes_obscaling.inference.fitting import SAMPLER_SETTINGS
from bayes_obscaling.inference.store import Result, Store
from bayes_obscaling.models.capability import CapabilitySpec


class Asked(NamedTuple):
    """One backtest: tasks under a split; `setup` labels its cells."""

    setup: str
    tasks: tuple[str, ...]
    split: Split


def backtest_each(
    table: ScoreTable,
    asked: Sequence[Asked],
    *,
    spec: CapabilitySpec | None = None,
    cache: Path | str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **options: Any,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Backtest several splits of a table, one after the other.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    asked : sequence of Asked
        What to backtest.
    spec : CapabilitySpec, optional
        Default ``CapabilitySpec()``.
    cache : path, optional
        Folder in which capability draws and finished backtests are kept: what is there is not computed again.
    progress : callable, optional
        Told ``(label, done, total)`` after each.
    **options
        ``methods, chains, draws, seed`` of `bayes_obscaling.backtest`.

    Returns
    -------
    cells : DataFrame
        As in `Backtest`.
    problems : tuple of str
        Sampling problems, each once with the number of fits it is in, and backtests that failed.

    Raises
    ------
    InputError
        When every one of them failed.
    """
    spec = spec or CapabilitySpec()
    jobs = []
    for setup, tasks, split in asked:
        key = content_hash(
            [table.data_hash, spec.model_dump(), setup, tasks, dataclasses.asdict(split), options, SAMPLER_SETTINGS], ()
        )
        more = {"setup": setup, "spec": spec, "cache": cache, **options}
        jobs.append(Job(key, f"{setup}: {split.name}", (table, tasks, split, more)))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(cache) / "backtests" if cache is not None else Path(scratch)
        outcome = run_jobs(_one, jobs, Store(folder), progress=progress)
    labels = {job.key: job.label for job in jobs}
    failures = tuple(f"{labels[key]} failed: {why}" for key, why in outcome.failures.items())
    if not outcome.results:
        raise InputError(failures[0] if failures else "Nothing was asked.")
    # The fits often share their capability draws: what went wrong there is said once.
    counts = Counter(p.partition(": ")[2] for _, facts in outcome.results.values() for p in facts["problems"])
    problems = tuple(f"{what} ({count} of {len(jobs)} fits)" for what, count in counts.items())
    return pd.concat([frame for frame, _ in outcome.results.values()], ignore_index=True), problems + failures


def _one(arguments: tuple[ScoreTable, tuple[str, ...], Split, dict[str, Any]]) -> Result:
    """One backtest, in the shape that is stored."""
    table, tasks, split, options = arguments
    done = backtest(table, tasks, split, **options)
    return done.cells, {"problems": list(done.problems)}
