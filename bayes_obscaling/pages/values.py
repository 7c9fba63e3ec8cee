"""Plain values for pages: what JSON can hold, in few characters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def thousandths(values: np.ndarray) -> list[list[int]]:
    """Scores as whole thousandths, which take little room."""
    found: list[list[int]] = np.rint(1000 * values).astype(int).tolist()
    return found


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
