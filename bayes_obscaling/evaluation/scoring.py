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

LEVELS = (50, 80, 90, 95)  # per cent, equal-tailed
# Kernel width below which the log score would judge rounding of the published scores, not the forecast.
_SMALLEST_KERNEL = 0.002


def bounds(level: int) -> tuple[str, str]:
    """Names of the columns that bound the central interval of a level in per cent."""
    tail = (100 - level) / 2
    return f"q{tail:g}", f"q{100 - tail:g}"


def score_draws(draws: np.ndarray, observed: np.ndarray) -> pd.DataFrame:
    """Summaries and scores of predictive draws, one row a cell.

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
    grouped = wide.groupby(keys, sort=False)
    table = grouped.mean()
    table["n"] = grouped["n"].sum().astype(int)
    table.insert(2, "medae", grouped["mae"].median())
    return table.reset_index()


def paired_differences(
    cells: pd.DataFrame, ours: str, by: Sequence[str] = (), metric: str = "crps", resamples: int = 2000, seed: int = 0
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
    keys = [name for name in ("spec", "cutoff", "setup", "task", "model", "family") if name in cells]
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
                    **label, "method": method, "n": len(group), "ours": group["ours"].mean(),
                    "theirs": group["theirs"].mean(), "difference": difference.mean(),
                    "se": float(np.std(drawn[:, 0] / drawn[:, 1])) if len(sums) > 1 else np.nan, "families": len(sums),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def pit_histogram(cells: pd.DataFrame, bins: int = 10) -> pd.DataFrame:
    """Share of cells in each bin of the probability integral transform, by method; flat at 1 / bins when calibrated.

    Returns
    -------
    DataFrame
        Rows methods, columns the lower edges of the bins.
    """
    edges = np.linspace(0, 1, bins + 1)
    judged = cells.dropna(subset="pit")
    shares = {
        method: np.histogram(group["pit"], edges)[0] / len(group)
        for method, group in judged.groupby("method", sort=False)
    }
    return pd.DataFrame.from_dict(shares, orient="index", columns=edges[:-1].round(6))
