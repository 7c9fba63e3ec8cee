"""Proper scores of predictive draws, and tables of them: thin over scoringrules.

A *cell* is one forecast that has been answered: one task, one held-out model, one method.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scoringrules
from scipy.special import logsumexp
from scipy.stats import norm

from bayes_obscaling.results.summaries import QUANTILE_COLUMNS, forecast_columns

OURS = "bayes"  # the method of forecasts made with the fits of this package
CUTS = ("cutoff", "as_of")  # columns that say where forecasts were cut: FLOPs, or a date
LEVELS = (50, 80, 90, 95)  # per cent, equal-tailed
# Kernel width below which the log score would judge rounding of the published scores, not the forecast.
_SMALLEST_KERNEL = 0.002
_RESAMPLES = 2000  # of families


def bounds(level: int) -> tuple[str, str]:
    """Names of the columns that bound the central interval of a level in per cent."""
    tail = (100 - level) / 2
    return f"q{tail:g}", f"q{100 - tail:g}"


def score_draws(draws: np.ndarray, observed: np.ndarray) -> pd.DataFrame:
    """Summaries and scores of predictive draws, one row per cell.

    Parameters
    ----------
    draws : array (cells, draws)
        Predictive draws of a new evaluation (0..1).
    observed : array (cells,)
        What was observed.

    Returns
    -------
    DataFrame
        ``mean, median, sd, q2.5 ... q97.5``; ``crps`` (Gneiting and Raftery 2007, eq. 21, from draws); ``log_score``
        (negative log density of a Gaussian kernel estimate; lower is better); ``pit``, the
        share of draws below the observed score, ties counted half.
    """
    draws, observed = np.asarray(draws, float), np.asarray(observed, float)
    frame = forecast_columns(draws, axis=1)
    frame["crps"] = scoringrules.crps_ensemble(observed, draws, estimator="pwm")
    spread = np.minimum(draws.std(1, ddof=1), np.subtract(*np.percentile(draws, (75, 25), axis=1)) / 1.34)
    kernel = np.maximum(1.06 * spread * draws.shape[1] ** -0.2, _SMALLEST_KERNEL)
    # On the log scale, as scoringrules' own kernel estimate underflows to infinity for a forecast far off.
    log_density = norm.logpdf(observed[:, None], draws, kernel[:, None])
    frame["log_score"] = np.log(draws.shape[1]) - logsumexp(log_density, axis=1)
    below, same = draws < observed[:, None], draws == observed[:, None]
    frame["pit"] = below.mean(1) + same.mean(1) / 2
    return frame


def score_points(point: np.ndarray, observed: np.ndarray) -> pd.DataFrame:
    """The columns of `score_draws` for a method that only says a number: no intervals, CRPS = absolute error."""
    frame = pd.DataFrame(np.nan, index=range(len(point)), columns=["mean", "median", "sd", *QUANTILE_COLUMNS])
    frame["mean"] = frame["median"] = point
    frame["crps"] = np.abs(np.asarray(point) - np.asarray(observed))
    frame["log_score"] = frame["pit"] = np.nan
    return frame


def score_table(cells: pd.DataFrame, by: Sequence[str] = ("setup", "task", "method")) -> pd.DataFrame:
    """Mean scores of groups of cells.

    Parameters
    ----------
    cells : DataFrame
        Columns ``observed, median, crps, log_score`` and the quantiles, plus those of `by`.
    by : sequence of str
        Columns to group by; empty for one pooled row.

    Returns
    -------
    DataFrame
        ``n, mae, medae, crps, log_score``, then for each level in per cent ``interval_score_L`` (Gneiting and Raftery
        2007, eq. 43), ``coverage_L`` (share of observed scores inside, bounds included) and ``width_L``. NaN where a
        method gives no intervals.
    """
    error = (cells["median"] - cells["observed"]).abs()
    columns = {"n": error.notna().astype(float), "mae": error, "crps": cells["crps"], "log_score": cells["log_score"]}
    for level in LEVELS:
        low, high = (cells[name] for name in bounds(level))
        none = low.isna() | cells["observed"].isna()
        outside = (low - cells["observed"]).clip(lower=0) + (cells["observed"] - high).clip(lower=0)
        columns[f"interval_score_{level}"] = high - low + outside * 2 / (1 - level / 100)
        columns[f"coverage_{level}"] = (outside <= 0).astype(float).mask(none)
        columns[f"width_{level}"] = high - low
    wide = pd.DataFrame(columns)
    keys = [cells[name] for name in by] if len(by) else [pd.Series("all", index=cells.index, name="pooled")]
    grouped = wide.groupby(keys, sort=False, dropna=False)
    table = grouped.mean()
    table["n"] = grouped["n"].sum().astype(int)
    table.insert(2, "medae", grouped["mae"].median())
    return table.reset_index()


def difference_in_words(difference: float, se: float, decimals: int = 4, over: str = "family") -> str:
    """Return a mean difference with its standard error; one family, or one task, has none."""
    error = f"standard error {se:.{decimals}f}" if np.isfinite(se) else f"no standard error: one {over} only"
    return f"difference {difference:+.{decimals}f}, {error}"


def paired_differences(
    cells: pd.DataFrame,
    ours: str,
    by: Sequence[str] = (),
    metric: str = "crps",
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Difference of a mean score from each other method's on the cells that both forecast.

    Parameters
    ----------
    cells : DataFrame
        Cells of several methods, with columns ``setup, task, model, family, method``.
    ours : str
        The method compared with all others.
    by : sequence of str
        Columns to group by, beside the method.
    metric : {"crps", "ae", "log_score"}
        ``ae`` is the absolute error of the median.
    resamples, seed : int
        Bootstrap replicates, and their seed.

    Returns
    -------
    DataFrame
        ``method, n, ours, theirs, difference`` (negative: ours is better) ``, se, families``. The standard error comes
        from resampling whole families: models of a family err together.
    """
    frame = cells.assign(ae=(cells["median"] - cells["observed"]).abs())
    keys = [name for name in ("spec", *CUTS, "setup", "task", "model", "family") if name in cells]
    mine = frame[frame["method"] == ours].set_index(keys)[metric]
    rows = []
    for method, theirs in frame[frame["method"] != ours].groupby("method", sort=False):
        both = pd.concat({"ours": mine, "theirs": theirs.set_index(keys)[metric]}, axis=1).dropna().reset_index()
        groups = both.groupby(list(by), sort=False) if len(by) else [((), both)]
        for key, group in groups:
            label = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
            difference = group["ours"] - group["theirs"]
            sums = difference.groupby(group["family"]).agg(["sum", "size"]).to_numpy()
            picks = np.random.default_rng(seed).integers(len(sums), size=(resamples, len(sums)))
            drawn = sums[picks].sum(axis=1)
            rows.append(
                {
                    **label,
                    "method": method,
                    "n": len(group),
                    "ours": group["ours"].mean(),
                    "theirs": group["theirs"].mean(),
                    "difference": difference.mean(),
                    "se": float(np.std(drawn[:, 0] / drawn[:, 1])) if len(sums) > 1 else np.nan,
                    "families": len(sums),
                }
            )
    return pd.DataFrame(rows)


def family_intervals(cells: pd.DataFrame, by: str, value: str) -> pd.DataFrame:
    """Mean of a column by group, with its 95 % interval from resampling whole families.

    Parameters
    ----------
    cells : DataFrame
        Cells, with columns ``family``, `by` and `value`; rows without a value are left out.
    by : str
        Column to group by.
    value : str
        Column to average.

    Returns
    -------
    DataFrame
        Index: the groups. ``mean, low, high``; the interval is NaN where there is only one family, as models of a
        family err together and one alone says nothing of others.
    """
    rows = {}
    for key, group in cells.dropna(subset=value).groupby(by):
        sums = group.groupby("family")[value].agg(["sum", "size"]).to_numpy(float)
        low = high = np.nan
        if len(sums) > 1:
            picks = np.random.default_rng(0).integers(len(sums), size=(_RESAMPLES, len(sums)))
            drawn = sums[picks].sum(axis=1)
            low, high = np.percentile(drawn[:, 0] / drawn[:, 1], (2.5, 97.5))
        rows[key] = {"mean": group[value].mean(), "low": low, "high": high}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "low", "high"])


def inside(cells: pd.DataFrame, level: int) -> pd.Series:
    """1 where the observed score is inside the interval, 0 where it is not, NaN without an interval."""
    low, high = (cells[column] for column in bounds(level))
    return cells["observed"].between(low, high).astype(float).mask(low.isna())
