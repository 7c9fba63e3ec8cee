"""Tables as people read them: few digits, intervals in one column, texts to the left and numbers to the right."""

from __future__ import annotations

import numpy as np
import pandas as pd

# Ends of intervals, and what stands over them once they share a column.
_INTERVALS = {"50 %": ("q25", "q75"), "90 %": ("q5", "q95")}
# The same in every row, and said below the table.
_SAID_BELOW = "verdict"


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """A table as text: numbers with few digits, and the ends of an interval in one column, "0.21 to 0.43"."""
    shown = pd.DataFrame({str(name): _as_text(column) for name, column in table.items()}, dtype=object)
    for title, (low, high) in _INTERVALS.items():
        if {low, high} <= set(shown):
            ends = shown[low] + " to " + shown[high]
            shown.insert(shown.columns.get_loc(high), title, ends.where(shown[low] != "", ""))
            shown = shown.drop(columns=[low, high])
    return shown.drop(columns=[_SAID_BELOW], errors="ignore")


def as_lines(table: pd.DataFrame) -> list[str]:
    """Lines of a table of texts, the names of the columns first."""
    columns = [[str(name), *table[name]] for name in table]
    widths = [max(map(len, column)) for column in columns]
    is_number = [all(text[:1] in "+-.0123456789" for text in column[1:] if text) for column in columns]
    return [
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, is_number, strict=True)
        ).rstrip()
        for line in zip(*columns, strict=True)
    ]


def _as_text(column: pd.Series) -> list[str]:
    if column.dtype.kind != "f":
        return as_words(column)
    form = _form(column.to_numpy())
    return ["" if value != value else format(value, form) for value in column]


def as_words(column: pd.Series) -> list[str]:
    """Values of a column that holds no fractions as text: yes and no, nothing where there is none."""
    words = {True: "yes", False: "no"}
    return [
        words[value] if isinstance(value, bool) else "" if value is None or value != value else str(value)
        for value in column.tolist()
    ]


def _form(values: np.ndarray) -> str:
    """The format of all numbers of a column, by the largest of them: three or four digits of it."""
    finite = np.abs(values[np.isfinite(values)])
    largest = finite.max(initial=0.0)
    if largest >= 1e5 or 0 < largest < 1e-2:
        return ".2e"
    if (finite % 1 == 0).all() or largest >= 100:
        return ".0f"
    return ".2f" if largest >= 10 else ".3f"
