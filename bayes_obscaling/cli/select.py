"""The select command: which models to evaluate next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from bayes_obscaling.cli.groups import Option, names
from bayes_obscaling.cli.options import Question, flops, positive
from bayes_obscaling.cli.scores import resolved
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from bayes_obscaling.data import ScoreTable
    from bayes_obscaling.design.selection import NewTask


def select(
    task: Annotated[str, Option("Task to evaluate; a new one needs --chance.", ("--task", "-t"))],
    budget: Annotated[int, "Number of models to evaluate."],
    method: Annotated[str, "bayes: single models, for the targets' sake. v-optimal: families, as published."] = "bayes",
    max_size: Annotated[float | None, positive("Only models of at most so many parameters.")] = None,
    max_flops: Annotated[float | None, flops("Only models of at most these FLOPs.")] = None,
    families: Annotated[list[str] | None, names("--family", help="Only these families:", old=("--families",))] = None,
    targets: Annotated[
        list[str] | None, names("--targets", help="Models whose scores matter (default those that cannot be chosen):")
    ] = None,
    include: Annotated[list[str] | None, names("--include", help="Families that v-optimal always takes:")] = None,
    chance: Annotated[float | None, "Score of a guesser on a new task, 0 to 1."] = None,
    items: Annotated[float | None, "Number of items of a new task."] = None,
    *,
    question: Question,
) -> None:
    """Choose the models to evaluate on a task, under a budget.

    Prints one row per chosen model, the most useful first.

    Example: bayes-obscaling select --task gsm8k_cot --budget 8 --max-size 7e9
    """
    if method == "v-optimal" and (given := question.model.given()):
        raise InputError(f"v-optimal makes no fit: leave out {', '.join(given)}.")
    table = question.table.load([task], targets)
    asked = _task(table, task, chance, items)
    wanted: dict[str, Any] = {
        "method": method,
        "max_size": max_size,
        "max_flops": max_flops,
        "families": families,
        "targets": resolved(table, targets) or None,
        "include": include or (),
    }
    from bayes_obscaling.design.subset import select_models

    if method == "v-optimal":
        chosen = select_models(table, asked, budget, **wanted)
    else:
        with question.model.sampling() as how:
            chosen = select_models(table, asked, budget, **wanted, **how)
    title = f"Models to evaluate on {task} ({method}, {len(chosen.models)} of at most {budget})"
    question.show(chosen, title, rows=200)


def _task(table: ScoreTable, task: str, chance: float | None, items: float | None) -> str | NewTask:
    """A task of the table, or a new one that is described."""
    from bayes_obscaling.design.selection import NewTask

    if table.find(task) is None:
        if chance is None:
            try:
                table.resolve(task)
            except InputError as error:
                raise InputError(f"{error} For a task that nobody has measured, give its --chance.") from None
        return NewTask(task, chance or 0.0, float("nan") if items is None else items)
    if chance is not None or items is not None:
        raise InputError(
            f"{table.resolve(task)} is in the table with its chance and items: leave --chance and --items out."
        )
    return table.resolve(task)
