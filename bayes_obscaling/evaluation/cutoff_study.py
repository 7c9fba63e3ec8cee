"""The cutoff study: the same question asked at many compute cutoffs, each fit stored on its own.

Cutoffs are masks over one table, so that every fit has the same shapes and one compiled sampler serves all; while
benchmarks stay visible, all share one set of capability draws. Tasks of one cutoff are fitted together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.data import ScoreTable, Split, split_by_flops
from bayes_obscaling.data.splits import Hides
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.backtest import OURS, Backtest, backtest, check_methods
from bayes_obscaling.evaluation.scoring import score_table
from bayes_obscaling.inference.cache import content_hash
from bayes_obscaling.inference.executor import Job, OpenExecutor, run_jobs
from bayes_obscaling.inference.fitting import SAMPLER_SETTINGS, sample_capabilities
from bayes_obscaling.inference.sampling import check_length
from bayes_obscaling.inference.store import Result, Store
from bayes_obscaling.models.capability import CapabilitySpec

# Baselines of a study unless others are named: the paper's choice, and the two that need only compute.
STUDY_METHODS = ("pc-3", "compute", "family-logistic")


@dataclass(frozen=True, eq=False)
class CutoffStudy:
    """Scored forecasts at many cutoffs.

    Attributes
    ----------
    cells : DataFrame
        One row a spec, cutoff, task, method and held-out model: the cells of a `Backtest` with ``spec`` and ``cutoff``.
    failures : dict of str to str
        Fits that have no result, and why.
    notes : tuple of str
        Cells that could not be asked, sampling problems, mended files.
    resumed : int
        Fits that were already stored.
    """

    cells: pd.DataFrame
    failures: dict[str, str]
    notes: tuple[str, ...]
    resumed: int

    def backtest(self) -> Backtest:
        """All cells as one backtest, to score, compare and save."""
        return Backtest(self.cells, tuple(self.failures.values()))

    def scores(self, by: Sequence[str] = ("spec", "task", "method", "cutoff")) -> pd.DataFrame:
        """Mean scores by group; see `bayes_obscaling.evaluation.scoring.score_table`."""
        return score_table(self.cells, by)

    def trajectory(self, task: str, model: str, method: str = OURS) -> pd.DataFrame:
        """Forecast of one model as the cutoff is pulled back: the cells of a task, model and method by cutoff."""
        cells = self.cells
        mine = cells[(cells["task"] == task) & (cells["model"] == model) & (cells["method"] == method)]
        if mine.empty:
            raise InputError(f"The study holds no forecast of {model} on {task}: see its cells.csv.")
        return mine.sort_values(["spec", "cutoff"]).reset_index(drop=True)

    def by_distance(self, width: float = 0.25, by: Sequence[str] = ("method",)) -> pd.DataFrame:
        """Mean scores in bins of `width` decades of compute beyond the cutoff.

        Returns
        -------
        DataFrame
            ``distance`` is the middle of the bin.
        """
        middle = (np.floor(self.cells["distance"] / width) + 0.5) * width
        return score_table(self.cells.assign(distance=middle).dropna(subset="distance"), ("distance", *by)).sort_values(
            ["distance", *by]
        )

    def emergence(self, task: str, threshold: float) -> pd.DataFrame:
        """How early it was visible that a score would pass a threshold.

        Parameters
        ----------
        task : str
            Task.
        threshold : float
            One of the thresholds that the study was made with.

        Returns
        -------
        DataFrame
            ``spec, cutoff, model, distance, observed, passed, probability`` of ours.

        Raises
        ------
        InputError
            For another threshold, or a task that the study does not hold.
        """
        column = f"p_above_{threshold:g}"
        if column not in self.cells:
            held = [name.removeprefix("p_above_") for name in self.cells if name.startswith("p_above_")]
            raise InputError(
                f"The study holds no probabilities of passing {threshold:g}: it has {', '.join(held) or 'none'}."
            )
        mine = self.cells[(self.cells["task"] == task) & (self.cells["method"] == OURS)]
        if mine.empty:
            raise InputError(f"The study holds no forecast of {task}: see its cells.csv.")
        frame = mine[["spec", "cutoff", "model", "distance", "observed"]].copy()
        frame["passed"] = frame["observed"] >= threshold
        frame["probability"] = mine[column]
        return frame.reset_index(drop=True)

    def error_area(self) -> pd.DataFrame:
        """Area under the curve of mean absolute error over log10 cutoff, divided by its length.

        Ruan et al. (2024), section 4.1, compare measures by the area under the test error curve over cutoffs. Methods
        are compared at cutoffs where all of them have forecasts.

        Returns
        -------
        DataFrame
            ``spec, task, method, area, cutoffs``.
        """
        curves = self.scores()
        n_methods = curves.groupby(["spec", "task"])["method"].nunique()
        rows = []
        for (spec, task), group in curves.groupby(["spec", "task"], sort=False):
            counts = group.groupby("cutoff")["method"].nunique()
            shared = counts.index[counts == n_methods[spec, task]]
            for method, curve in group[group["cutoff"].isin(shared)].groupby("method", sort=False):
                x, y = np.log10(curve["cutoff"].to_numpy()), curve["mae"].to_numpy()
                order = np.argsort(x)
                area = np.trapezoid(y[order], x[order]) / np.ptp(x) if len(x) > 1 else y.mean()
                rows.append({"spec": spec, "task": task, "method": method, "area": float(area), "cutoffs": len(x)})
        return pd.DataFrame(rows)


def cutoff_study(
    table: ScoreTable,
    tasks: str | Sequence[str],
    cutoffs: Sequence[float],
    folder: Path | str,
    *,
    specs: Mapping[str, CapabilitySpec] | None = None,
    hides: Hides = "task",
    methods: Sequence[str] = STUDY_METHODS,
    thresholds: Sequence[float] = (0.25, 0.5, 0.75),
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    executor: Any | OpenExecutor | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> CutoffStudy:
    """Backtest tasks at many cutoffs; what a former run has stored in `folder` is not fitted again.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    tasks : str or sequence of str
        Tasks; a cutoff at which a task has no seen score, or no held-out one, has no cells of it (a note says so).
    cutoffs : sequence of float
        FLOPs.
    folder : path
        Where each finished fit is stored, under a hash of data, spec, split, seed and version.
    specs : mapping of str to CapabilitySpec, optional
        Specs to compare; default one, called ``default``.
    hides : {"task", "all"}
        "all": every score of held-out models is hidden (forecasts from compute), so that each cutoff samples the
        capabilities anew.
    methods : sequence of str
        Baselines.
    thresholds : sequence of float
        Scores whose probability of being passed is kept.
    chains, draws, seed
        As in `bayes_obscaling.fit`.
    cache : path, optional
        Folder of capability draws and compiled programs; default a subfolder of `folder`. Workers on other machines
        use the same path there.
    executor : Executor or callable, optional
        As in `bayes_obscaling.inference.executor.run_jobs`; None runs the fits one after the other, here, on all cores.
    progress : callable, optional
        Told ``(label, done, total)`` after each fit.

    Returns
    -------
    CutoffStudy

    Raises
    ------
    InputError
        For unusable arguments, or when nothing can be stored. A fit that fails is among the failures.
    """
    names = table.resolve_all(tasks)
    specs = {"default": CapabilitySpec()} if specs is None else dict(specs)
    if not len(cutoffs) or not specs or not names:
        raise InputError("A study needs at least one task, one cutoff and one spec.")
    check_methods(methods)
    check_length(chains, draws)
    folder = Path(folder)
    cache = folder / "cache" if cache is None else Path(cache)
    options = {
        "methods": tuple(methods), "thresholds": tuple(thresholds), "chains": chains, "draws": draws, "seed": seed,
    }  # fmt: skip
    jobs: list[Job] = []
    labels: dict[str, list[tuple[str, float]]] = {}
    notes: list[str] = []
    for cutoff in sorted({float(c) for c in cutoffs}):
        try:
            split = split_by_flops(table, cutoff, hides)
        except InputError as error:
            if not cutoff > 0 or hides not in ("task", "all"):
                raise
            notes.append(str(error))  # below every model
            continue
        reasons = {name: _unasked(table, name, split) for name in names}
        able = [name for name in names if not reasons[name]]
        notes += [reason for reason in reasons.values() if reason]
        if not able:
            continue
        for label, spec in specs.items():
            content = [
                table.data_hash, spec.model_dump(), able, cutoff, split.held_out, hides, options, SAMPLER_SETTINGS,
            ]  # fmt: skip
            job = Job(
                content_hash(content, ()),
                f"{label}, cutoff {cutoff:.3g}",
                (table, able, split, spec, options, str(cache)),
            )
            jobs.append(job)
            labels.setdefault(job.key, []).append((label, cutoff))
    if not jobs:
        raise InputError(f"There is nothing to study: {notes[0]}")
    store = Store(folder)
    if executor is not None and hides == "task" and any(store.load(job.key) is None for job in jobs):
        # Workers would each sample what all share.
        asked = [name for name in names if any(name in job.arguments[1] for job in jobs)]
        for spec in specs.values():
            sample_capabilities(table, asked, spec=spec, chains=chains, draws=draws, seed=seed, cache=cache)
    outcome = run_jobs(_one_cutoff, jobs, store, executor=executor, progress=progress)
    parts = []
    for key, (frame, facts) in outcome.results.items():
        for label, cutoff in labels[key]:
            parts.append(frame.assign(spec=label, cutoff=cutoff))
            notes += [f"{label}, {problem}" for problem in facts["problems"]]
    cells = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    failures = {
        f"{label}, cutoff {cutoff:.3g}": why for key, why in outcome.failures.items() for label, cutoff in labels[key]
    }
    return CutoffStudy(cells, failures, (*dict.fromkeys(notes), *outcome.notes), outcome.resumed)


def _one_cutoff(arguments: tuple[ScoreTable, list[str], Split, CapabilitySpec, dict[str, Any], str]) -> Result:
    """One fit of a study, wherever it runs."""
    table, names, split, spec, options, cache = arguments
    done = backtest(table, names, split, spec=spec, unknown_compute=False, cache=cache, **options)
    return done.cells, {"problems": list(done.problems)}


def _unasked(table: ScoreTable, name: str, split: Split) -> str:
    """Why a task cannot be asked at a cutoff; empty when it can."""
    scored = table.matrix([name]).iloc[:, 0].notna()
    known = table.models["flops"].notna()
    seen = split.seen(table.models.index)
    if not (scored & seen).any():
        return f"{name} has no score at or below {split.cutoff:.3g} FLOPs."
    if not (scored & ~seen & known).any():
        return f"{name} has no score above {split.cutoff:.3g} FLOPs to compare with."
    return ""
