"""Scores as fractions from 0 to 1: percent and raw ranges, standard errors as item counts, and reruns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Literal

import numpy as np
import pandas as pd

from bayes_obscaling.data.declared import Declared, is_index
from bayes_obscaling.data.rules import out_of_range, two_scores
from bayes_obscaling.data.settings import UNSET, Setting
from bayes_obscaling.data.sheet import Sheet

Duplicates = Literal["refuse", "mean", "first"]
"""What is done with several scores of a model on a benchmark."""

FRACTIONS, PERCENT = (0.0, 1.0), (0.0, 100.0)
# Percents are told from fractions by all values of a column; a judge's scale of 1 to 10 must not look like them.
_SURE_PERCENT = 10.0
_ROUNDING = 1e-9
_LARGEST_ERROR = 0.5  # no mean of values from 0 to 1 has a larger standard error


@dataclass(frozen=True)
class Cell:
    """A score as it is written, and its place.

    Attributes
    ----------
    row, column : int, str
        Its place in the sheet.
    model, benchmark : str
        Whose score it is.
    value : float
        The number, in front of a percent sign.
    stderr : float
        Its standard error on the same scale, NaN where none is given.
    n_items : float
        Its item count, NaN where none is given.
    is_percent, is_count : bool
        Whether a percent sign follows; whether it is a count such as ``204/400``, whose value is a fraction.
    made : Setting
        In what setting it was made, and when.
    """

    row: int
    column: str
    model: str
    benchmark: str
    value: float
    stderr: float = np.nan
    n_items: float = np.nan
    is_percent: bool = False
    is_count: bool = False
    made: Setting = UNSET


@dataclass(frozen=True)
class Scale:
    """How raw scores of a column are turned into fractions, and what is said of it."""

    lower: float
    upper: float
    note: str = ""


def scores_of(
    sheet: Sheet,
    cells: Iterable[Cell],
    declared: Declared,
    percent_columns: frozenset[str],
    *,
    is_long: bool,
    chance_corrected: bool,
    duplicates: Duplicates,
) -> tuple[pd.DataFrame, list[str]]:
    """Return the scores as fractions, with item count, place and setting, and what was understood.

    Raises
    ------
    InputError
        If a score is outside its range, a column mixes percent and fractions, or a model has two scores in a setting.
    """
    rows, notes = [], []
    by_benchmark: dict[str, list[Cell]] = {}
    for cell in cells:
        by_benchmark.setdefault(cell.benchmark, []).append(cell)
    for name, column in by_benchmark.items():
        scale = _scale(sheet, column, name, declared.range(name, raw=not is_long), column[0].column in percent_columns)
        notes += [scale.note] * bool(scale.note)
        chance = declared.chances.get(name, 0.0)
        lower, upper = scale.lower, scale.upper
        is_fraction = (lower, upper) in (FRACTIONS, PERCENT)
        lowest = -chance / (1 - chance) * upper if chance_corrected and is_fraction else lower
        outside = [c for c in column if not c.is_count and not lowest - _ROUNDING <= c.value <= upper + _ROUNDING]
        if outside:
            label = f"{name} in column {outside[0].column!r}" if is_long else outside[0].column
            problem, remedy = _outside(outside, column, lower, upper, name)
            raise sheet.error(problem, remedy, outside[0].row, label)
        count = declared.rows.get(name, {}).get("n_items", np.nan) if declared.table.find(name) else np.nan
        for cell in column:
            score = cell.value if cell.is_count else (cell.value - lower) / (upper - lower)
            score = min(max(score, lowest / upper if chance_corrected and is_fraction else 0.0), 1.0)
            n_items = _items(sheet, cell, score, cell.stderr / (upper - lower))
            items, made = count if np.isnan(n_items) else n_items, cell.made
            rows.append((cell.model, name, score, items, cell.row, cell.column, *astuple(made)))
    errors = list(dict.fromkeys(c.benchmark for column in by_benchmark.values() for c in column if c.stderr > 0))
    if errors:
        notes.append(f"standard errors of {', '.join(errors)} are read as item counts, n = p (1 - p) / error^2")
    columns = ["model", "benchmark", "score", "n_items", "row", "column", "setting", "reasoning", "evaluated"]
    frame = pd.DataFrame(rows, columns=columns).astype({"score": float, "n_items": float, "reasoning": float})
    return _without_repeats(sheet, frame, declared, duplicates, notes), notes


def _scale(sheet: Sheet, column: list[Cell], name: str, usual: tuple[float, float], says_percent: bool) -> Scale:
    """Decide by the header, by percent signs, or by all values of a column how it is to be read."""
    marked = [cell for cell in column if cell.is_percent]
    bare = [cell for cell in column if not cell.is_percent and not cell.is_count and cell.value != 0]
    if marked or says_percent:
        first = (marked or column)[0]
        if usual not in (FRACTIONS, PERCENT):
            problem = f"{name} is given in percent, but its range is {usual[0]:g} to {usual[1]:g}"
            raise sheet.error(problem, "correct the range in the benchmarks table", first.row, first.column)
        if marked and bare and not says_percent:
            problem = (
                f"score {bare[0].value:g} has no percent sign, though {len(marked)} of {len(column)} scores have one"
            )
            raise sheet.error(problem, "write all of them in the same way", bare[0].row, bare[0].column)
        if not marked and bare and max(cell.value for cell in bare) <= 1:
            problem = "the header says percent, but no value is above 1"
            raise sheet.error(
                problem, "take percent out of the header if these are fractions", bare[0].row, first.column
            )
        return Scale(*PERCENT, f"read {name} as percent ({'its header says so' if says_percent else 'percent signs'})")
    values = [cell.value for cell in bare]
    if usual == FRACTIONS and values and min(values) > 1 and _SURE_PERCENT < max(values) <= 100:
        return Scale(*PERCENT, f"read {name} as percent (all its values are above 1)")
    return Scale(*usual)


def _items(sheet: Sheet, cell: Cell, score: float, error: float) -> float:
    """Return the item count of a score: as given, or as many as a standard error is worth."""
    if np.isnan(error):
        return cell.n_items
    problem = f"standard error {cell.stderr:g} of score {cell.value:g} cannot be"
    if not 0 <= error <= _LARGEST_ERROR:
        raise sheet.error(problem, "give it on the scale of the score", cell.row, cell.column)
    if error == 0 and 0 < score < 1:
        raise sheet.error(problem, "leave it empty if it is not known", cell.row, cell.column)
    return items_of(score, error) if np.isnan(cell.n_items) else cell.n_items


def items_of(score: float, error: float) -> float:
    """Return the items that a standard error is worth, n = p (1 - p) / error^2; NaN for a score of 0 or 1, or none."""
    variance = score * (1 - score)
    return float(max(1, round(variance / error**2))) if error > 0 and variance > 0 else np.nan


def _outside(outside: list[Cell], column: list[Cell], lower: float, upper: float, name: str) -> tuple[str, str]:
    """Say what is wrong with scores out of range, and the remedy: percent and chance-corrected scores are usual."""
    value = outside[0].value
    fractions = (lower, upper) == FRACTIONS
    one_slip = len(outside) == 1 < len(column)
    if fractions and not one_slip and all(0 <= cell.value <= 100 for cell in column):
        kind = "a mix of percent and fractions" if len(outside) < len(column) else "percent or a scale of its own"
        remedy = (
            f"write all as fractions, put percent in the header, or declare upper for {name!r} in a benchmarks table"
        )
        if is_index(name):
            remedy = f"declare lower and upper of {name!r} in a benchmarks table"
        count = f", and {len(outside)} of the {len(column)} scores are above 1" if len(column) > 1 else ""
        return f"score {value:g} is not a fraction{count}, so this looks like {kind}", remedy
    if (lower, upper) in (FRACTIONS, PERCENT) and value < 0:
        rows = ", ".join(str(cell.row) for cell in outside[:20]) + (", ..." if len(outside) > 20 else "")
        all_of_them = f" ({len(outside)} such scores, in rows {rows})" if len(outside) > 1 else ""
        return (
            f"score {value:g} is below 0{all_of_them}, though a score includes chance",
            "turn chance-corrected scores back with score * (1 - chance) + chance",
        )
    remedy = f"correct it, or declare lower and upper for {name!r} in a benchmarks table"
    return out_of_range(value, lower, upper), remedy


def _without_repeats(
    sheet: Sheet, frame: pd.DataFrame, declared: Declared, duplicates: Duplicates, notes: list[str]
) -> pd.DataFrame:
    """Return one score per model, benchmark and setting; several are refused, averaged, or one is kept."""
    key = ["model", "benchmark", "setting"]
    repeated = frame.duplicated(key)
    if not repeated.any():
        return frame
    if duplicates == "refuse":
        again = frame[repeated].iloc[0]
        first = frame[(frame[key] == again[key]).all(axis=1)].iloc[0]
        place = sheet.place(int(again["row"]), str(again["column"]))
        raise two_scores(again["model"], again["benchmark"], place, f", the first in row {first['row']}")
    cells = int(frame[frame.duplicated(key, keep=False)].drop_duplicates(key).shape[0])
    if duplicates == "first":
        notes.append(f"{cells} scores are given several times; the first of each is kept")
        return frame[~repeated].reset_index(drop=True)
    notes.append(f"{cells} scores are means of several runs, whose spread is their noise")
    usual = declared.table.benchmarks["n_items"].to_dict()
    usual |= {name: facts["n_items"] for name, facts in declared.rows.items() if "n_items" in facts}
    rows = [_mean(group, usual.get(str(name), np.nan)) for (_, name, _), group in frame.groupby(key, sort=False)]
    return pd.DataFrame(rows, columns=frame.columns).astype({"score": float, "n_items": float})


def _mean(group: pd.DataFrame, usual: object) -> pd.Series:
    """Return the mean of reruns as one row; its items are worth what the spread of the runs says, if not more."""
    first = group.iloc[0].copy()
    if len(group) == 1:
        return first
    mean, spread = group["score"].mean(), group["score"].var(ddof=1) / len(group)
    most = float(group["n_items"].fillna(float(usual)).sum(skipna=False))  # type: ignore[arg-type]
    by_spread = mean * (1 - mean) / spread if spread > 0 and 0 < mean < 1 else np.inf
    items = min(by_spread, np.inf if np.isnan(most) else most)
    first["score"], first["n_items"] = mean, max(1, round(items)) if np.isfinite(items) else np.nan
    return first
