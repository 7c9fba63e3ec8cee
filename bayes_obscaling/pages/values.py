"""Plain values for pages: what JSON can hold, in few characters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def packed(values: np.ndarray) -> list[str]:
    """Rows of scores as texts that take little room: whole thousandths, two digits of base 36 each."""
    whole = np.rint(1000 * np.asarray(values)).astype(int)
    texts = np.array([first + second for first in _DIGITS for second in _DIGITS])
    return ["".join(row) for row in texts[whole]]


def compact(value: Any) -> Any:
    """The same values with the names of columns said once: lists of like dicts become ``keys`` and ``rows``."""
    if isinstance(value, dict):
        return {name: compact(one) for name, one in value.items()}
    if isinstance(value, list) and len(value) > 1 and all(isinstance(one, dict) for one in value):
        keys = list(value[0])
        if all(list(one) == keys for one in value):
            return {"keys": keys, "rows": [[compact(one[key]) for key in keys] for one in value]}
    return [compact(one) for one in value] if isinstance(value, list) else value


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as JSON-able values: few digits, None for what is missing."""
    return [
        {str(name): rounded(value) for name, value in row.items()} for row in table.astype(object).to_dict("records")
    ]


def rounded(value: Any) -> Any:
    """A value that JSON can hold: five digits, None for what is missing."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.5g}") if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
