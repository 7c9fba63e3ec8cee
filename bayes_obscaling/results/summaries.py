"""Draws in the columns that all analyses share."""

from __future__ import annotations

import numpy as np
import pandas as pd

LEVELS = {"median": 0.5, "q5": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}


def interval_columns(draws: np.ndarray) -> pd.DataFrame:
    """Median and bounds of the 50 and 90 % intervals.

    Parameters
    ----------
    draws : array (draws, things)
        Draws of each thing; infinite ones are allowed.

    Returns
    -------
    DataFrame (things)
        Columns ``median, q5, q25, q75, q95``.
    """
    # Without interpolation: between a finite draw and an infinite one lies no number.
    values = np.quantile(draws, list(LEVELS.values()), axis=0, method="inverted_cdf")
    return pd.DataFrame(dict(zip(LEVELS, values, strict=True)))
