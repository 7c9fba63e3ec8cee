"""The cutoff study: the same question asked at many cuts, compute cutoffs or as-of dates, each fit stored on its own.

Cuts are masks over one table, so that every fit has the same shapes and one compiled sampler serves all; while
benchmarks stay visible, all share one set of capability draws. Tasks of one cut are fitted together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.data.dates import cut_date, years_of
from bayes_obscaling.data.rules import check_flops
from bayes_obscaling.data.splits import Hides, check_dated, check_hides
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.backtest import (
    Backtest,
    backtest,
    check_methods,
    comparison_sentences,
    joined_fans,
    judged_models,
)
from bayes_obscaling.evaluation.questions import Question
from bayes_obscaling.evaluation.scoring import CUTS, OURS, score_table
from bayes_obscaling.inference.cache import content_hash
from bayes_obscaling.inference.executor import Job, OpenExecutor, Outcome, run_jobs
from bayes_obscaling.inference.fit import sample_capabilities
from bayes_obscaling.inference.limits import check_sampling
from bayes_obscaling.inference.run import fingerprint
from bayes_obscaling.inference.store import Result, Store
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.progress import Progress
from bayes_obscaling.results.finding import Answer

# Baselines of a study unless others are named: the paper's choice, and the two that need only compute.
STUDY_METHODS = ("pc-3", "compute", "family-logistic")


@dataclass(frozen=True, eq=False, repr=False)
class CutoffStudy(Answer):
    """Scored forecasts at many cutoffs, or at many as-of dates.

    Attributes
    ----------
    cells : DataFrame
        One row per spec, cutoff (of a study by date: ``as_of``), task, method and held-out model: the cells of a
        `Backtest` with ``spec``.
    failures : dict of str to str
        Fits that have no result, and why.
    notes : tuple of str
        Cells that could not be asked, sampling problems, mended files.
    resumed : int
        Fits that were already stored.
    fans : DataFrame, optional
        Of a study by date, what was expected of new models as of each: those of a `Backtest`, with ``spec``.
    """

    front = ("spec", "task", "method", *CUTS, "n", "mae", "crps", "coverage_50", "coverage_90")

    cells: pd.DataFrame
    failures: dict[str, str]
    notes: tuple[str, ...]
    resumed: int
    fans: pd.DataFrame | None = None

    @property
    def cut(self) -> str:
        """Which column says where the cells were cut: ``cutoff`` or ``as_of``."""
        return next((name for name in CUTS if name in self.cells), CUTS[0])

    def backtest(self) -> Backtest:
        """All cells as one backtest, to score, compare and save."""
        return Backtest(self.cells, (*self.failures.values(), *self._unconverged()), self.fans)

    def to_dataframe(self) -> pd.DataFrame:
        """Mean scores by spec, task, method and cutoff or as-of date; empty when every fit failed."""
        return self.scores() if len(self.cells) else self.cells

    @property
    def sentences(self) -> tuple[str, ...]:
        """How well our forecasts score over all cuts, and how they compare with each baseline's."""
        return comparison_sentences(self.cells)

    @property
    def problems(self) -> tuple[str, ...]:
        """Fits that failed, and how many have not converged; empty when nothing went wrong."""
        return (*(f"{label}: {why}" for label, why in self.failures.items()), *self._unconverged())

    def _unconverged(self) -> tuple[str, ...]:
        if "converged" not in self.cells:
            return ()
        ours = self.cells[self.cells["method"] == OURS]
        fits = ours["converged"].astype(bool).groupby([ours["spec"], ours[self.cut]]).all()
        bad = int((~fits).sum())
        return (f"{bad} of {len(fits)} fits have not converged",) if bad else ()

    def plot(self, ax: Any = None, *, kind: str = "error", **options: Any) -> Any:
        """Draw the study.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default a new figure.
        kind : {"error", "distance", "months", "trajectory", "emergence", "forest", "coverage", "pit"}
            Errors by cutoff (or as-of date), by distance beyond it or by months ahead, forecasts of one model, how
            early a score was foreseen; scores by task and method, coverage of the intervals, the PIT of one method.
        **options
            Of the function of `bayes_obscaling.evaluation.cells` that makes the table: ``error_by_cutoff, by_distance,
            by_months, trajectory, emergence, by_task, coverage, pit``.
        """
        from bayes_obscaling.evaluation import drawing

        return drawing.plot(self, kind, ax, options)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values: ``verdict, table, sentences, problems, failures, notes``."""
        return {**super().to_dict(), "failures": dict(self.failures), "notes": list(self.notes)}

    def save(self, path: str | Path) -> Path:
        """Write ``cells.csv``, ``scores.csv`` and ``fans.csv`` into a folder; see `Backtest.save`."""
        return self.backtest().save(path)

    def scores(self, by: Sequence[str] | None = None) -> pd.DataFrame:
        """Mean scores by group, default spec, task, method and cut; see `bayes_obscaling.evaluation.score_table`."""
        return score_table(self.cells, ("spec", "task", "method", self.cut) if by is None else by)

    def error_area(self) -> pd.DataFrame:
        """Area under the curve of mean absolute error over log10 cutoff, or over time, divided by its length.

        Ruan et al. (2024), section 4.1, compare measures by the area under the test error curve over cutoffs. Methods
        are compared at cutoffs, or as-of dates, where all of them have forecasts.

        Returns
        -------
        DataFrame
            ``spec, task, method, area, cutoffs``.
        """
        curves = self.scores()
        n_methods = curves.groupby(["spec", "task"])["method"].nunique()
        rows = []
        for (spec, task), group in curves.groupby(["spec", "task"], sort=False):
            counts = group.groupby(self.cut)["method"].nunique()
            shared = counts.index[counts == n_methods[spec, task]]
            for method, curve in group[group[self.cut].isin(shared)].groupby("method", sort=False):
                at, y = curve[self.cut].to_numpy(), curve["mae"].to_numpy()
                x = np.log10(at) if self.cut == "cutoff" else years_of(at)
                order = np.argsort(x)
                area = np.trapezoid(y[order], x[order]) / np.ptp(x) if len(x) > 1 else y.mean()
                rows.append({"spec": spec, "task": task, "method": method, "area": float(area), "cutoffs": len(x)})
        return pd.DataFrame(rows)


def cutoff_study(
    table: ScoreTable,
    tasks: str | Sequence[str],
    cuts: Sequence[float] | Sequence[str],
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
    progress: Progress = None,
) -> CutoffStudy:
    """Return backtests of tasks at many cuts; what a former run has stored in `folder` is not fitted again.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    tasks : str or sequence of str
        Tasks; a cut at which a task has no seen score, or no held-out one, has no cells of it (a note says so).
    cuts : sequence of float, or of str
        FLOPs, or as-of dates, such as ``"2024-03-01"``: `Split.by_flops`, or `Split.by_date`, at each. Models of
        unknown compute are judged in a study by date only, and only while their benchmarks are seen.
    folder : path
        Where each finished fit is stored, under a hash of data, spec, split, seed and version.
    specs : mapping of str to CapabilitySpec, optional
        Specs to compare; default one, called ``default``.
    hides : {"task", "all"}
        "all": every score of held-out models is hidden (forecasts from compute), so that each cut samples the
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
    progress : callable or False, optional
        Told ``(label, done, total)`` after each fit.

    Raises
    ------
    InputError
        For unusable arguments, or when nothing can be stored. A fit that fails is among the failures.
    """
    names = table.resolve_all(tasks)
    specs = {"default": CapabilitySpec()} if specs is None else dict(specs)
    if not len(cuts) or not specs or not names:
        raise InputError("A study needs at least one task, one cutoff or date, and one spec.")
    check_methods(methods)
    check_sampling(chains, draws, seed)
    check_hides(hides)
    folder = Path(folder)
    cache = folder / "cache" if cache is None else Path(cache)
    options = {"thresholds": tuple(thresholds), "chains": chains, "draws": draws, "seed": seed}
    has_trend = all(spec.unknown_compute == "trend" for spec in specs.values())
    questions, notes = _questions(table, names, _in_order(table, cuts), hides, tuple(methods), has_trend)
    jobs: list[Job] = []
    labels: dict[str, list[str]] = {}
    for question in questions:
        for label, spec in specs.items():
            job = _job(question, label, spec, options, cache)
            jobs.append(job)
            labels.setdefault(job.key, []).append(label)
    if not jobs:
        raise InputError(f"There is nothing to study: {notes[0]}")
    store = Store(folder)
    if executor is not None and hides == "task" and any(store.load(job.key) is None for job in jobs):
        # Workers would each sample what all share.
        wanted = [name for name in names if any(name in question.tasks for question in questions)]
        for spec in specs.values():
            sample_capabilities(table, wanted, spec=spec, chains=chains, draws=draws, seed=seed, cache=cache)
    outcome = run_jobs(_one_cut, jobs, store, executor=executor, progress=progress, shared=table)
    return _gathered(outcome, jobs, labels, notes)


def _in_order(table: ScoreTable, cuts: Sequence[float] | Sequence[str]) -> list[float] | list[str]:
    """The cuts, each once, from the lowest up; refused are mixed ones, and those that cannot be meant."""
    are_dates = {isinstance(cut, str) for cut in cuts}
    if len(are_dates) > 1:
        raise InputError("A study is cut by compute or by date", "give FLOPs as numbers, or dates as text, not both")
    if are_dates == {True}:
        check_dated(table)
        return sorted({cut_date(str(cut)) for cut in cuts})
    for cut in cuts:
        check_flops("The cutoff", float(cut))
    return sorted({float(cut) for cut in cuts})


def _questions(
    table: ScoreTable,
    names: list[str],
    cuts: list[float] | list[str],
    hides: Hides,
    methods: tuple[str, ...],
    has_trend: bool,
) -> tuple[list[Question], list[str]]:
    """One question per cut, and why some tasks cannot be asked at some of them."""
    questions, notes = [], []
    for cut in cuts:
        try:
            split = Split.at(table, cut, hides)
        except InputError as error:
            notes.append(str(error))  # below every model
            continue
        reasons = {name: _unasked(table, name, split, has_trend) for name in names}
        notes += [reason for reason in reasons.values() if reason]
        if able := [name for name in names if not reasons[name]]:
            by_date = split.as_of is not None
            questions.append(Question(table, able, split, split.name, methods, unknown_compute=by_date))
    return questions, notes


def _job(question: Question, label: str, spec: CapabilitySpec, options: dict[str, Any], cache: Path) -> Job:
    """One fit, stored under a hash of all that its result depends on."""
    content = [
        question.table.data_hash,
        spec.model_dump(),
        question.tasks,
        asdict(question.split),
        question.options,
        options,
        fingerprint(),
    ]
    name = f"{label}, {question.split.cut_in_words}"
    return Job(content_hash(content, ()), name, (question, spec, options, str(cache)))


def _one_cut(arguments: tuple[Question, CapabilitySpec, dict[str, Any], str]) -> Result:
    """One fit of a study, wherever it runs."""
    q, spec, options, cache = arguments
    follow = q.split.as_of is not None  # what was expected at a date is compared with what came
    answer = backtest(q.table, q.tasks, q.split, spec=spec, cache=cache, follow=follow, **q.options, **options)
    fans = None if answer.fans is None else answer.fans.to_dict("list")
    return answer.cells, {"problems": list(answer.problems), "fans": fans}


def _gathered(outcome: Outcome, jobs: list[Job], labels: dict[str, list[str]], notes: list[str]) -> CutoffStudy:
    """The study, from its jobs; `labels` are the specs of a job, by its key."""
    cuts = {job.key: job.arguments[0].split.cut_in_words for job in jobs}
    parts, fans = [], []
    for key, (frame, facts) in outcome.results.items():
        for label in labels[key]:
            parts.append(frame.assign(spec=label))
            if facts.get("fans"):
                fans.append(pd.DataFrame(facts["fans"]).assign(spec=label))
            notes += [f"{label}, {problem}" for problem in facts["problems"]]
    failures = {f"{label}, {cuts[key]}": why for key, why in outcome.failures.items() for label in labels[key]}
    cells = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return CutoffStudy(cells, failures, (*dict.fromkeys(notes), *outcome.notes), outcome.resumed, joined_fans(fans))


def _unasked(table: ScoreTable, name: str, split: Split, has_trend: bool) -> str:
    """Why a task cannot be asked at a cut; empty when it can."""
    by_date = split.as_of is not None
    if by_date:
        below, above = f"of a model released before {split.as_of}", f"of a model released since {split.as_of}"
    else:
        below, above = f"at or below {split.cutoff:.3g} FLOPs", f"above {split.cutoff:.3g} FLOPs"
    if not table.matrix([name]).iloc[:, 0][split.seen(table.models.index)].notna().any():
        return f"{name} has no score {below}."
    if not judged_models(table, [name], split, by_date, has_trend)[name]:
        return f"{name} has no score {above} to compare with."
    return ""
