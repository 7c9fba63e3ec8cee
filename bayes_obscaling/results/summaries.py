"""Draws in the columns that tables share, and tables as JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.results.convergence import Convergence

# Quantiles of forecasts, per cent, and the columns that hold them.
QUANTILES = (2.5, 5.0, 10.0, 25.0, 75.0, 90.0, 95.0, 97.5)
QUANTILE_COLUMNS = tuple(f"q{level:g}" for level in QUANTILES)
LEVELS = {"median": 0.5, "q5": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}


def interval_columns(draws: np.ndarray) -> pd.DataFrame:
    """Columns ``median, q5, q25, q75, q95`` of draws (draws, things): medians and bounds of the 50 and 90 % intervals.

    Infinite draws are allowed.
    """
    # Without interpolation: between a finite draw and an infinite one lies no number.
    values = np.quantile(draws, list(LEVELS.values()), axis=0, method="inverted_cdf")
    return pd.DataFrame(dict(zip(LEVELS, values, strict=True)))


def forecast_columns(draws: np.ndarray, axis: int = 0) -> pd.DataFrame:
    """What every forecast says of draws that lie along an axis.

    Columns ``mean, median, sd``, then the bounds of equal-tailed intervals ``q2.5, q5, q10, q25, q75, q90, q95,
    q97.5``.
    """
    moments = {"mean": draws.mean(axis), "median": np.median(draws, axis), "sd": draws.std(axis)}
    bounds = np.percentile(draws, QUANTILES, axis=axis)
    return pd.DataFrame({**moments, **dict(zip(QUANTILE_COLUMNS, bounds, strict=True))})


def with_verdict(frame: pd.DataFrame, convergence: Convergence, problems: tuple[str, ...], level: str) -> pd.DataFrame:
    """Add what the sampler says of itself to a table of forecasts: the same in every row, at the end.

    Columns: ``converged, rhat, ess_bulk, ess_tail, divergences, verdict``.
    """
    numbers = {name: getattr(convergence, name) for name in ("rhat", "ess_bulk", "ess_tail", "divergences")}
    return frame.assign(converged=not problems, **numbers, verdict=level)


def json_rows(table: pd.DataFrame) -> Any:
    """Rows of a table as JSON-able values; what is not known, NaN or an empty text, becomes null."""
    rows = json.loads(table.to_json(orient="records", double_precision=10))
    return [{name: None if value == "" else value for name, value in row.items()} for row in rows]
