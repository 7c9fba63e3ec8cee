"""Cells of a file of any kind, or of a DataFrame, with the place of each.

Rows are counted as a spreadsheet shows them, the header being row 1; those of a DataFrame by position from 1. Empty
cells, ``NA``, ``n/a``, ``-`` and the like are missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from bayes_obscaling.data.formats import RawTable, from_frame, in_sheet, open_table
from bayes_obscaling.data.names import close_names
from bayes_obscaling.data.numbers import AmbiguousError, Commas, Number, commas_of, read_number
from bayes_obscaling.errors import InputError

Source: TypeAlias = pd.DataFrame | str | os.PathLike[str]

MISSING = {"", "-", "--", "na", "n/a", "n.a.", "nan", "none", "null", "nil", "—", "–", "?", "<na>", "#n/a", "unknown"}
MISSING |= {"not available", "undisclosed", "not disclosed", "tbd"}


@dataclass(frozen=True)
class Sheet:
    """Cells as they stand in a file or frame, with what is needed to point at one of them."""

    name: str
    columns: list[str]
    rows: list[tuple[int, list[object]]]
    notes: tuple[str, ...] = ()
    other_sheets: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def place(self, row: int | None = None, column: str | None = None) -> str:
        """Return where something stands: the file, and its row and column where they are given."""
        place = self.name
        if row is not None:
            place = self.files[row - 1] if self.files else f"{place}, row {row}"
        return place + ("" if column is None else f", column {column!r}")

    def error(self, problem: str, remedy: str = "", row: int | None = None, column: str | None = None) -> InputError:
        """Return the error with its place; where it is no single row's, another sheet may be meant."""
        problem += in_sheet(self.other_sheets) if row in (None, 1) else ""
        return InputError(problem, remedy, self.place(row, column))

    def text(self, cell: object) -> str:
        """Return the stripped text of a cell, "" where it is missing."""
        text = "" if _is_missing(cell) else str(cell).strip()
        return "" if text.casefold() in MISSING else text

    @cached_property
    def commas(self) -> Commas:
        """What the commas of the numbers are, as far as they tell."""
        return commas_of({cell for _, cells in self.rows for cell in cells if isinstance(cell, str)})

    def written(self, row: int, column: str, cell: object) -> Number | None:
        """Return the number in a cell as it is written, None where it is missing."""
        text = self.text(cell)
        if text == "":
            return None
        if isinstance(cell, bool | np.bool_):
            raise self.error(f"{cell} is not a number", "correct it, or leave the cell empty", row, column)
        try:
            number = read_number(text, self.commas if isinstance(cell, str) else "")
        except AmbiguousError as error:
            raise self.error(f"the number {error}", "write it without a mark for thousands", row, column) from None
        if number is None:
            raise self.error(f"{text[:40]!r} is not a number", _number_remedy(text), row, column)
        if not np.isfinite(float(number.value)):
            raise self.error(f"{text[:40]} is too large", "correct it, or leave the cell empty", row, column)
        return number

    def number(self, row: int, column: str, cell: object, exponent: int = 0) -> float:
        """Return the number in a cell as a fraction where it is percent, NaN where it is missing.

        It is multiplied by 10**exponent, the unit of its column, unless it brings its own (7B).
        """
        number = self.written(row, column, cell)
        if number is None:
            return np.nan
        power = -2 if number.is_percent else 0 if number.has_unit else exponent
        value = float(number.value.scaleb(power))
        if not np.isfinite(value):
            raise self.error(f"{self.text(cell)[:40]} is too large", "correct it, or leave the cell empty", row, column)
        return value

    def holds_numbers(self, position: int) -> bool:
        """Whether a column holds a number, or nothing at all: then it may be one of numbers."""
        cells = [cells[position] for _, cells in self.rows if self.text(cells[position])]
        return not cells or any(_may_be_number(cell, self.text(cell)) for cell in cells)


def read_sheet(
    source: Source,
    key: str,
    need: str,
    *,
    sheet: str | None = None,
    prepare: Callable[[RawTable], RawTable] = lambda raw: raw,
) -> Sheet:
    """Return the cells of a file or frame.

    Parameters
    ----------
    source : DataFrame or path
        The table.
    key, need : str
        The column that must be there ("" for none), and what to say where it is not.
    sheet : str, optional
        Sheet of a workbook; default the first.
    prepare : callable
        What is done to the table before its headers are looked at.
    """
    is_frame = isinstance(source, pd.DataFrame)
    if not isinstance(source, (pd.DataFrame, str, os.PathLike)):
        raise InputError(f"No table is read from {type(source).__name__!r}", "give a path or a DataFrame")
    raw = from_frame(source) if is_frame else open_table(Path(source), sheet)
    raw = prepare(_without_index(raw))
    names = [str(column).strip() for column in raw.frame.columns]
    values = raw.frame.to_numpy(dtype=object)
    rows = [(int(number), list(cells)) for number, cells in zip(raw.frame.index, values, strict=True)]
    found = Sheet(raw.name, names, rows, raw.notes, raw.other_sheets, raw.files)
    columns: set[str] = set()
    for position, column in enumerate(names, start=1):
        if column == "":
            raise found.error(f"column {position} has no name", "name it or remove it", 1)
        if column.casefold() in columns:
            raise found.error(f"column {column!r} is there twice", "keep one of them")
        columns.add(column.casefold())
    if key and key.casefold() not in columns:
        raise no_column(found, key, need)
    if not rows:
        raise found.error("there is no row below the header", "add one per model")
    return found


def no_column(sheet: Sheet, key: str, need: str) -> InputError:
    """Return the error for a column that must be there, with the nearest that is."""
    near = close_names(key, sheet.columns)
    remedy = f"is it {near[0]!r}?" if near else f"the columns are {', '.join(sheet.columns[:8])}"
    return sheet.error(f"there must be {need}", remedy)


def _without_index(raw: RawTable) -> RawTable:
    """Leave aside a first column without a name that counts the rows, as pandas writes it."""
    if not len(raw.frame.columns) or raw.frame.columns[0] not in ("", "Unnamed: 0", "index", "level_0"):
        return raw
    cells = [str(cell).strip() for cell in raw.frame.iloc[:, 0]]
    count = len(cells)
    if cells not in ([str(i) for i in range(count)], [str(i + 1) for i in range(count)]) or not cells:
        return raw
    return replace(raw, frame=raw.frame.iloc[:, 1:]).noting("left aside: the first column, which counts the rows")


def _is_missing(cell: object) -> bool:
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float | np.floating) and cell != cell)


def _may_be_number(cell: object, text: str) -> bool:
    if isinstance(cell, bool | np.bool_):
        return False
    try:
        return read_number(text) is not None
    except AmbiguousError:
        return True


def _number_remedy(text: str) -> str:
    if "x" in text.casefold() and any(char.isdigit() for char in text):
        return "write it out, such as 1.92e23; of a mixture of experts give the parameters that are active"
    return "correct it, leave the cell empty, or remove the column if it holds no scores"
