"""Plots of scored forecasts by name: which table each is made of, and which function draws it."""

from __future__ import annotations

from typing import Any

from bayes_obscaling.data.names import unknown
from bayes_obscaling.evaluation import cells
from bayes_obscaling.evaluation.cell_choice import Cells

KINDS = {
    "forest": (cells.by_task, "plot_forest"),
    "coverage": (cells.coverage, "plot_coverage"),
    "pit": (cells.pit, "plot_pit"),
    "distance": (cells.by_distance, "plot_by_distance"),
    "months": (cells.by_months, "plot_by_distance"),
    "error": (cells.error_by_cutoff, "plot_error_by_cutoff"),
    "trajectory": (cells.trajectory, "plot_trajectory"),
    "emergence": (cells.emergence, "plot_emergence"),
}


def plot(scored: Cells, kind: str, ax: Any, options: dict[str, Any]) -> Any:
    """Draw scored forecasts: a key of `KINDS`, with options of its table's function.

    The last three need cutoffs or as-of dates. An array of axes comes back for "distance" and "months". Refusals are
    those of the function, and of an unknown kind.
    """
    if kind not in KINDS:
        raise unknown("kind of plot", kind, KINDS)
    from bayes_obscaling import plots

    table, name = KINDS[kind]
    return getattr(plots, name)(table(scored, **options), ax=ax)  # type: ignore[operator]
