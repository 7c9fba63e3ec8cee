"""Models left out: each forecast without its own score, and one family followed by compute alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import style

if TYPE_CHECKING:
    from bayes_obscaling.evaluation.left_out import ModelsLeftOut
    from bayes_obscaling.evaluation.single_family import SingleFamily

# Words for the methods and targets of a single family's table.
_METHODS = {"bayes": "ours", "family compute": "compute, this family alone"}
_TARGETS = {"largest": "its largest model", "all larger": "all its larger models"}


def plot_models_left_out(study: ModelsLeftOut, ax: Axes | None = None, *, task: str | None = None) -> Axes:
    """Draw the forecast of each model left out against its observed score.

    Parameters
    ----------
    study : ModelsLeftOut
        From `bayes_obscaling.leave_models_out`.
    task : str, optional
        Default the first.

    Returns
    -------
    Axes
        A row per model, the best first: 50 % (thick) and 90 % interval, and the observed score.

    Raises
    ------
    InputError
        For a task that was not asked.
    """
    tasks = list(dict.fromkeys(study.table["task"]))
    chosen = tasks[0] if task is None else task
    if chosen not in tasks:
        raise InputError(f"There is no forecast of {task}: take {', '.join(tasks)}.")
    rows = study.table[study.table["task"] == chosen]
    ax = style.new_axes(ax, 7.0, 0.28 * len(rows) + 1.8)
    style.median_rows(ax, rows, style.short_names(list(rows["model"])))
    ax.plot(rows["observed"], range(len(rows)), linestyle="none", markersize=5.5, zorder=4, **style.HELD_OUT)
    ax.set_xlabel(f"score on {chosen}")
    style.legend_above(ax, f"{chosen}, each model forecast without its own score", [style.HELD_OUT["label"]])
    inside = rows["inside_90"].mean()
    text = f"Medians with 50 and 90 % intervals; {inside:.0%} of {len(rows)} scores are inside the 90 % interval."
    style.finding_caption(ax, text, study.problems)
    return ax


def plot_single_family(study: SingleFamily, ax: Axes | None = None, *, target: str | None = None) -> Axes:
    """Draw the CRPS of each method against the number of models of the family that it has seen.

    Parameters
    ----------
    study : SingleFamily
        From `bayes_obscaling.single_family`.
    target : {"largest", "all larger"}, optional
        What is judged; default the largest model, where it has scores.

    Raises
    ------
    InputError
        For another target, or one without scores.
    """
    held = list(dict.fromkeys(study.table["target"]))
    chosen = target or held[0]
    if chosen not in held:
        raise InputError(f"There are no scores of '{target}': take {', '.join(held)}.")
    rows = study.table[study.table["target"] == chosen]
    ax = style.new_axes(ax, 7.0, 4.5)
    names = []
    for method, line_rows in rows.groupby("method", sort=False):
        look, line = style.method_look(str(method)), "-" if method in _METHODS else "--"
        names.append(_METHODS.get(str(method), str(method)))
        ax.plot(line_rows["models"], line_rows["crps"], linestyle=line, markersize=5.5, label=names[-1], **look)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylim(bottom=0)
    style.finish(
        ax,
        f"{study.family}: forecasting {_TARGETS[chosen]}",
        f"models of {study.family} seen, smallest first",
        "CRPS (score units, mean over tasks)",
        "both",
    )
    style.legend_above(ax, f"{study.family}: forecasting {_TARGETS[chosen]}", *style.rows_of(names, 4))
    style.finding_caption(ax, "Every method sees scores up to the compute of the largest model seen.", study.problems)
    return ax
