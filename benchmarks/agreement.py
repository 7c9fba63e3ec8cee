"""How far two answers to the same questions are apart, for the scripts beside it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pandas.api.typing import DataFrameGroupBy


def agreement(apart: DataFrameGroupBy) -> pd.DataFrame:
    """Sum up groups of differences of medians, in posterior sd (`shift`), and of ratios of 90 % widths (`width`)."""
    return pd.DataFrame(
        {
            "root mean square shift (sd)": apart["shift"].apply(lambda x: np.sqrt((x**2).mean())),
            "median width ratio": apart["width"].median(),
            "from": apart["width"].min(),
            "to": apart["width"].max(),
        }
    ).round(3)
