"""Forecasts before the fact, opened: what models that came later scored, against what was written before they came."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.checks import counted
from bayes_obscaling.data.efforts import EFFORTS, effort_level
from bayes_obscaling.data.names import normal_form
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.ahead import quarter_of
from bayes_obscaling.evaluation.ahead_record import AheadRecord, read_records
from bayes_obscaling.evaluation.scoring import (
    OURS,
    difference_in_words,
    inside,
    paired_differences,
    score_draws,
    score_table,
)
from bayes_obscaling.models.cells import all_scores, best_levels
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.scenario import NEW_FAMILY

_JUDGED = (50, 80, 90)  # per cent
_LEAST_DIGITS = 8  # of a fingerprint, that stand for it
_WHERE = ["task", "effort", "quarter"]  # what a forecast and a score have in common, beside the line


@dataclass(frozen=True, eq=False, repr=False)
class AheadScores(Finding):
    """Scores of models that came after forecasts of them were written.

    ``table`` has a row per day of forecasts (``setup``), score and ``method``: ``task, model, family, line`` (which was
    asked for it; "new" for a family that the table did not have), ``effort, quarter, date, setting, observed``, the
    forecast (``mean, median, sd``, quantiles), and how good it was: ``crps, log_score, pit, in_50, in_80, in_90``.
    ``parts`` are ``scores``, by day and method; ``differences`` of CRPS between ours and each baseline on the scores
    that both forecast; ``left_aside``, scores that were not opened, and ``why``.
    """

    drawn_by = "plot_ahead"
    front = ("model", "task", "effort", "quarter", "method", "observed", "median", "q5", "q95", "crps", "pit")


def score_ahead(folder: str | Path, table: ScoreTable, *, fingerprint: str | None = None) -> AheadScores:
    """Return how good forecasts were that `predict_ahead` wrote, by the scores of a table that has grown since.

    Parameters
    ----------
    folder : str or Path
        Of the forecasts of one day, or of several days.
    table : ScoreTable
        Scores of models that came later, with a family, a date of release and, where known, setting and date of run.
    fingerprint : str, optional
        SHA-256 of ``about.json`` as it was published, or its first 8 digits or more; of several days, one of them has
        it.

    Raises
    ------
    InputError
        When a file is not what was written, the fingerprint is another one, or the table has no score that can be held
        against the forecasts.

    Notes
    -----
    Models that were in the table when the forecasts were made are ignored. Scores of models without a date of release,
    and those that were released or run on the day of the forecasts or before, prove nothing, and are left aside.
    """
    records = read_records(Path(folder))
    expected = None if fingerprint is None else fingerprint.strip().casefold()
    if expected is not None and not re.fullmatch(f"[0-9a-f]{{{_LEAST_DIGITS},64}}", expected):
        raise InputError(f"'{fingerprint}' is no fingerprint", f"give its first {_LEAST_DIGITS} digits or more")
    if expected is not None and not any(record.fingerprint.startswith(expected) for record in records):
        problem = f"The fingerprint of {records[-1].day} is {records[-1].fingerprint}, not {expected}"
        raise InputError(problem, "take the folder from where it was published")
    scores = _scores(table)
    cells, left_aside = [], []
    for record in records:
        placed = _placed(scores, record)
        left_aside.append(placed[placed["why"] != ""].assign(setup=record.day))
        cells.append(_cells(placed[placed["why"] == ""], record))
    aside = pd.concat(left_aside)[["setup", "model", "task", "setting", "date", "evaluated", "observed", "why"]]
    opened = pd.concat(cells, ignore_index=True)
    if opened.empty:
        counts = "; ".join(_counted(aside["why"])) or "all its models were known then"
        remedy = "give scores of models that were released since with --scores"
        raise InputError(f"No score can be held against the forecasts of {_days(records)} ({counts})", remedy)
    differences = paired_differences(opened, OURS, by=("setup",))
    parts = {
        "scores": score_table(opened, ("setup", "method")),
        "differences": differences,
        "left_aside": aside.reset_index(drop=True),
    }
    problems = tuple(dict.fromkeys(problem for record in records for problem in record.about.get("problems", ())))
    return AheadScores(opened, _sentences(opened, differences, aside, records), problems, parts)


def _scores(table: ScoreTable) -> pd.DataFrame:
    """All scores in all settings: model, family, date, task, setting, effort, evaluated, observed.

    The effort is "" where a model was run at its highest, or nobody said at which; that is how fits read them.
    """
    everything = all_scores(table)
    evaluated = [*table.scores["evaluated"], *[""] * len(table.other_settings)]
    settings = [*table.scores["setting"], *table.other_settings["setting"]]
    best = everything["model"].map(best_levels(everything))
    top = everything["level"].isna() | (everything["level"] >= best)
    effort = ["" if at_best else _nearest(level) for at_best, level in zip(top, everything["level"], strict=True)]
    frame = everything.rename(columns={"benchmark": "task", "score": "observed"})[["model", "task", "observed"]]
    frame = frame.assign(setting=settings, effort=effort, evaluated=evaluated)
    return frame.join(table.models[["family", "date"]], on="model")


def _nearest(level: float) -> str:
    """The effort nearest to a level."""
    return EFFORTS[int(np.argmin([abs(effort_level(effort) - level) for effort in EFFORTS]))]


def _placed(scores: pd.DataFrame, record: AheadRecord) -> pd.DataFrame:
    """Scores of models that were not in the table, with line, quarter, and why they cannot be opened ("": they can)."""
    about = record.about
    known = {normal_form(str(name)) for name in about["models"]}
    frame = scores[~scores["model"].map(normal_form).isin(known)]
    families = {*about["lines"], *about["silent"]}
    line = frame["family"].where(frame["family"].isin(families), NEW_FAMILY)
    frame = frame.assign(line=line, quarter=[quarter_of(date) if date else "" for date in frame["date"]])
    ours = record.table[record.table["method"] == OURS]
    there = pd.MultiIndex.from_frame(ours[["family", *_WHERE]])
    reasons: list[tuple[Any, str]] = [
        (frame["date"] == "", "without a date of release"),
        (frame["date"] <= record.day, f"released on {record.day} or before"),
        ((frame["evaluated"] != "") & (frame["evaluated"] <= record.day), f"run on {record.day} or before"),
        (~frame["quarter"].isin(ours["quarter"]), "released after the last quarter that was forecast"),
        (frame["line"].isin(about["silent"]), "its line was silent, and was not forecast"),
        (~frame["task"].isin(ours["task"]), "its benchmark was not forecast"),
        (~frame["effort"].isin(ours["effort"]), "its effort was not forecast"),
        (~pd.MultiIndex.from_frame(frame[["line", *_WHERE]]).isin(there), "not forecast of its line"),
    ]
    why = np.select([np.asarray(which) for which, _ in reasons], [text for _, text in reasons], "")
    return frame.assign(why=why)


def _cells(placed: pd.DataFrame, record: AheadRecord) -> pd.DataFrame:
    """One row per score and method that has forecast it."""
    rows = record.table.drop(columns="date").rename(columns={"family": "line"}).assign(row=np.arange(len(record.table)))
    ours = placed.merge(rows[rows["method"] == OURS], on=["line", *_WHERE])
    others = placed.merge(rows[rows["method"] != OURS].drop(columns="line"), on=_WHERE)
    cells = pd.concat([ours, others], ignore_index=True)
    scored = score_draws(record.draws[cells["row"]], cells["observed"].to_numpy(float))
    how_good = scored[["crps", "log_score", "pit"]].set_index(cells.index)
    cells = cells.join(how_good).assign(**{f"in_{level}": inside(cells, level) for level in _JUDGED})
    quantiles = [name for name in record.table if name in ("mean", "median", "sd") or name.startswith("q")]
    quantiles.remove("quarter")
    about = ["setup", "model", "family", "line", "task", "effort", "setting", "quarter", "date", "method", "observed"]
    cells["setup"] = record.day
    return cells[[*about, *quantiles, *how_good, *(f"in_{level}" for level in _JUDGED)]]


def _days(records: Sequence[AheadRecord]) -> str:
    return ", ".join(record.day for record in records)


def _counted(why: pd.Series) -> list[str]:
    """How often each reason was met, the most frequent first."""
    return [f"{count} {reason}" for reason, count in why.value_counts().items()]


def _sentences(
    cells: pd.DataFrame, differences: pd.DataFrame, aside: pd.DataFrame, records: Sequence[AheadRecord]
) -> tuple[str, ...]:
    texts = [
        f"The files of {record.day} are those that were written; their fingerprint is {record.fingerprint}."
        for record in records
    ]
    for day, ours in cells[cells["method"] == OURS].groupby("setup"):
        held = ", ".join(f"the {level} % interval {ours[f'in_{level}'].mean():.0%}" for level in _JUDGED)
        models, tasks = (ours[name].nunique() for name in ("model", "task"))
        who = f"{counted(len(ours), 'score')} of {counted(models, 'model')} on {counted(tasks, 'benchmark')}"
        mean = ours["crps"].mean()
        texts.append(f"Opened of what came after {day}: {who}; {held} held the score; mean CRPS {mean:.4f}.")
    for row in differences.itertuples():
        words = difference_in_words(row.difference, row.se)
        texts.append(f"{row.setup}, CRPS less that of {row.method} on {counted(row.n, 'score')}: {words}.")
    if len(aside):
        texts.append(f"Left aside: {'; '.join(_counted(aside['why']))}.")
    return tuple(texts)
