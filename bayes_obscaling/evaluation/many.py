"""Many backtests for one study, each kept as soon as it is done."""

from __future__ import annotations

import dataclasses
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.backtest import backtest
from bayes_obscaling.evaluation.questions import Question
from bayes_obscaling.inference.cache import content_hash
from bayes_obscaling.inference.executor import Job, run_jobs
from bayes_obscaling.inference.run import fingerprint
from bayes_obscaling.inference.store import Result, Store
from bayes_obscaling.models.spec import CapabilitySpec, spec_for
from bayes_obscaling.progress import Progress


def backtest_each(
    questions: Sequence[Question],
    *,
    spec: CapabilitySpec | None = None,
    cache: Path | str | None = None,
    progress: Progress = None,
    **options: Any,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Backtest several questions, one after the other; what a former run has left in `cache` is not computed again.

    `options` are ``chains, draws, seed`` of `bayes_obscaling.backtest`; `progress` is told ``(label, done, total)``
    after each. Returned are the cells, and sampling problems (each once, with the number of fits it is in) and
    backtests that failed; an `InputError` is raised when every one of them did.
    """
    jobs = []
    for q in questions:
        asked = {**q.options, "up_to": q.up_to, **options}
        content = [
            q.table.data_hash,
            (spec or spec_for(q.table)).model_dump(),
            q.tasks,
            dataclasses.asdict(q.split),
            asked,
            fingerprint(),
        ]
        jobs.append(Job(content_hash(content, ()), f"{q.label}: {q.split.name}", (q, spec, cache, options)))
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


def _one(arguments: tuple[Question, CapabilitySpec | None, Path | str | None, dict[str, Any]]) -> Result:
    """One backtest, in the shape that is stored."""
    q, spec, cache, options = arguments
    answer = backtest(q.table, q.tasks, q.split, spec=spec, cache=cache, **q.options, **options)
    return q.judged(answer.cells), {"problems": list(answer.problems)}
