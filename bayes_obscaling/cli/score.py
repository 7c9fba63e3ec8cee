"""The command score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bayes_obscaling.cli.groups import Option
from bayes_obscaling.cli.options import FitQuestion, Tasks
from bayes_obscaling.cli.show import note, print_table, show
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from bayes_obscaling.data import ScoreTable


def score(
    files: Annotated[list[Path] | None, Option("Tables of scores of new models.", is_argument=True)] = None,
    task: Tasks = None,
    *,
    question: FitQuestion,
) -> None:
    """Score models that a fit has not seen, without fitting again.

    Prints their capabilities, then forecasts of the tasks of the fit and of the benchmarks they have no score on. The
    fit is one of your own (--fit), or that of a bundled table that ships with the package.

    Example: bayes-obscaling score new_models.csv --task word_unscrambling
    """
    if not files:
        raise InputError("No scores were given", "name a table of scores of new models")
    if question.table.scores:
        raise InputError("Scores of new models are the argument", "leave out --scores")
    question.outputs.check_one_task(task or ["all"])
    for file in files:
        if not file.exists():
            raise InputError(f"There is no file {file}", "name a table of scores of new models")
    from bayes_obscaling.results.score import score as score_models

    read: list[ScoreTable] = []  # before anything is fitted, in the table that the fit has

    def read_new(known: ScoreTable) -> None:
        read.append(question.table.merged(known, files, task or (), only_new=True))

    fitted = replace(question, table=question.table.alone()).fit(
        None if question.saved.fit is not None else task, check=read_new
    )
    table = read[0]
    for line in table.notes:
        if line not in fitted.table.notes:
            note(line)
    answer = score_models(fitted, table, tasks=task)
    if not question.outputs.as_json:
        print_table(answer.capabilities.round(2).astype(str), "Capabilities (logits of their anchors)")
        shown = answer.pareto_k.round(2).astype(str).rename_axis("model").reset_index()
        print_table(shown, "Pareto k: above 0.7, fit again with the model (forecast --scores FILE --refit)")
    show(answer, "Forecasts given their scores", question.outputs, sentences=())
