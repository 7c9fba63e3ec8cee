"""Which models to evaluate on a task under a budget: one entry to the Bayesian and the published design."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal, get_args

from bayes_obscaling.data import ScoreTable
from bayes_obscaling.data.names import unknown
from bayes_obscaling.design.bayesian import bayesian_design
from bayes_obscaling.design.selection import NewTask, Selection, as_new, candidates, teachers
from bayes_obscaling.design.v_optimal import v_optimal
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.progress import shows_progress

Method = Literal["bayes", "v-optimal"]


@shows_progress()
def select_models(
    table: ScoreTable,
    task: str | NewTask,
    budget: int,
    *,
    method: Method = "bayes",
    max_size: float | None = None,
    max_flops: float | None = None,
    families: Iterable[str] | None = None,
    include: Iterable[str] = (),
    targets: Iterable[str] | None = None,
    **options: Any,
) -> Selection:
    """Return the models to evaluate on a task, under a budget.

    Parameters
    ----------
    table : ScoreTable
        The scores so far.
    task : str or NewTask
        A task of the table, of which some scores may be known, or one that nobody has measured. A task on which every
        model inside the limits has a score is planned as if it were new: its scores are not read.
    budget : int
        Number of models.
    method : {"bayes", "v-optimal"}
        "bayes": single models, by what they tell about the targets' scores (`bayesian_design`). "v-optimal": whole
        families, by benchmark scores alone, whatever the task (`v_optimal`).
    max_size, max_flops, families
        Limits on the models that may be chosen; see `candidates`.
    include : iterable of str
        Families that "v-optimal" always takes.
    targets : iterable of str, optional
        Models whose scores matter to "bayes". Default: those without a known score that are outside the limits; if
        there are none, all without a known score.
    **options
        Of `bayes_obscaling.fit`: spec, chains, draws, seed, cache, progress.

    Raises
    ------
    InputError
        As `candidates`, `bayesian_design` and `v_optimal`, for an unknown method or task, and when nothing was ever
        measured that a new task could be like.
    """
    limits: dict[str, Any] = {"max_size": max_size, "max_flops": max_flops, "families": families}
    if method not in get_args(Method):
        raise unknown("method", method, get_args(Method))
    if isinstance(task, str) and table.resolve(task) in table.benchmark_names:
        raise InputError(f"{task} is a benchmark that measures capability: name a task to choose models for.")
    among = candidates(table, **limits)
    if method == "v-optimal":
        if targets is not None:
            raise InputError("V-optimality has no targets: leave them out, or choose by the Bayesian design.")
        return v_optimal(table, budget, among=among, include=include)
    if include:
        raise InputError("Only v-optimal includes families: leave them out, or choose by V-optimality.")
    if budget < 1:
        raise InputError(f"The budget is {budget} models: give at least 1.")
    notes: tuple[str, ...] = ()
    if isinstance(task, str):
        known = table.matrix([task]).iloc[:, 0].notna()
        if known[among].all() or not known.any():
            if known.any():
                notes = (f"Every model inside the limits has a score on {task}: it is planned as if it were new.",)
            table, (task,) = as_new(table, task)
    fitted = fit_table(table, [task] if isinstance(task, str) else teachers(table), **options)
    chosen = bayesian_design(fitted, task, budget, among=among, targets=targets)
    return replace(chosen, sentences=(*chosen.sentences, *notes))
