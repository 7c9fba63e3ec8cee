"""The commands predict-ahead and score-ahead: forecasts before the fact, and how good they were."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bayes_obscaling.cli.groups import Option, names
from bayes_obscaling.cli.options import AnswerOptions, KeptFit, Outputs
from bayes_obscaling.cli.paths import check_folder
from bayes_obscaling.cli.scores import TableOptions
from bayes_obscaling.cli.show import err, out, plain, print_table, show
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from bayes_obscaling.evaluation.ahead_scores import AheadScores

_ROWS = 40


def predict_ahead(
    output: Annotated[Path, Option("Folder that gets a folder called like today.", ("--output", "-o"))],
    quarters: Annotated[int, "Quarters, the present one first."] = 4,
    effort: Annotated[
        list[str] | None,
        names("--effort", help="Reasoning efforts beside a model's best; default none, low, medium, high:"),
    ] = None,
    *,
    table: TableOptions,
    model: AnswerOptions,
    saved: KeptFit,
) -> None:
    """Write dated forecasts of the next releases of every line of a sparse table, to be opened when scores come.

    Writes forecasts.csv, draws.parquet and about.json into a folder called like today, never over another one, and
    prints the fingerprint that proves, once it is published, that they were not changed.

    Example: bayes-obscaling predict-ahead --table frontier --output predictions
    """
    check_folder(output)
    from bayes_obscaling.data import Split
    from bayes_obscaling.data.efforts import setting_of
    from bayes_obscaling.evaluation.ahead import EFFORTS, check_asked, predict_ahead, today_utc
    from bayes_obscaling.evaluation.ahead_record import check_day, read_record
    from bayes_obscaling.results.fit import CapabilityFit

    check_day(output, today_utc())
    efforts = EFFORTS if effort is None else [setting_of(one, "--effort") for one in effort]
    if saved.fit is not None:
        fitted = saved.open(CapabilityFit, table, model)
    else:
        scores = table.load(bundled="frontier")
        check_asked(model.spec(scores), quarters, efforts)
        fitted = model.fitted(scores, scores.benchmark_names, Split.all_seen())
    answer = predict_ahead(fitted, quarters=quarters, efforts=efforts)
    if saved.save_fit is not None:
        fitted.save(saved.save_fit)
    folder = answer.save(output)
    show(answer, "The next releases", Outputs(), rows=10)
    out().print(f"Wrote {plain(folder)}. Its fingerprint, the SHA-256 of about.json, is")
    out().print(read_record(folder).fingerprint)
    out().print("Publish it today where others see the date: who has it can tell that nothing was changed.")


def score_ahead(
    folder: Annotated[Path, Option("Folder that predict-ahead wrote, of a day or of all.", is_argument=True)],
    fingerprint: Annotated[
        str | None, "SHA-256 of about.json as it was published, or its first 8 digits or more: refuse another one."
    ] = None,
    *,
    table: TableOptions,
    outputs: Outputs,
) -> None:
    """Open forecasts that predict-ahead wrote, with the scores of models that were released since.

    Scores that were released or run on the day of the forecasts or before are left aside, and models that were in the
    table then are ignored. Prints scores by method; --output writes one row per score and method.

    Example: bayes-obscaling score-ahead predictions --scores new.csv --output opened.csv
    """
    if not folder.exists():
        raise InputError(f"There is no folder {folder}", "name one that predict-ahead wrote")
    from bayes_obscaling.evaluation.ahead_scores import score_ahead

    answer = score_ahead(folder, table.load(bundled="frontier"), fingerprint=fingerprint)
    show(answer, "", outputs, layout=lambda: _print(answer))


def _print(answer: AheadScores) -> None:
    """Print scores by method, the cells, and what was left aside."""
    levels = ["coverage_50", "coverage_80", "coverage_90", "width_90"]
    print_table(answer.parts["scores"][["setup", "method", "n", "mae", "crps", *levels]], "By day and method")
    ours = answer.summary()
    print_table(ours[ours["method"] == "bayes"].drop(columns="method"), "Scores that came", rows=_ROWS)
    aside = answer.parts["left_aside"]
    if len(aside):
        shown = aside[["model", "task", "date", "why"]]
        print_table(shown, "Left aside", rows=_ROWS, to=err())
