"""What to measure next: models to evaluate on a task, runs to add to a ladder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayes_obscaling.lazy import lazy_names

if TYPE_CHECKING:
    from bayes_obscaling.design.bayesian import bayesian_design
    from bayes_obscaling.design.compare import compare_designs
    from bayes_obscaling.design.ladder import next_runs, rung_study
    from bayes_obscaling.design.selection import NewTask, as_new, candidates, teachers
    from bayes_obscaling.design.subset import select_models
    from bayes_obscaling.design.v_optimal import v_optimal

__all__, __getattr__, __dir__ = lazy_names(__name__, __file__)
