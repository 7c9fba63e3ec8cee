"""From a sparse table to arrays: its scores one after the other, in their settings, and who reasons."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import pandas as pd

from bayes_obscaling.data.efforts import effort_level
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.models.capability_equations import Cells
from bayes_obscaling.models.links import inverse_items


def all_scores(table: ScoreTable) -> pd.DataFrame:
    """Scores of all cells in all settings: model, benchmark, score, n_items, level, reasoning.

    ``level`` is that of the effort, NaN where nobody said.
    """
    columns = ["model", "benchmark", "setting", "reasoning", "score", "n_items"]
    frame = pd.concat([table.scores[columns], table.other_settings[columns]], ignore_index=True)
    frame["n_items"] = frame["n_items"].fillna(frame["benchmark"].map(table.benchmarks["n_items"]))
    return frame.assign(level=[effort_level(setting) for setting in frame["setting"]])


def best_levels(scores: pd.DataFrame) -> pd.Series:
    """Highest level of effort that each model was scored at; NaN where none was said."""
    return scores.groupby("model")["level"].max()


def reasons(table: ScoreTable) -> pd.Series:
    """1 for each model of a table that was scored with reasoning, else 0."""
    scores = all_scores(table)
    found = scores[scores["reasoning"] == 1.0]["model"].unique()
    return pd.Series(table.models.index.isin(found).astype(float), index=table.models.index)


def cells_of(
    table: ScoreTable,
    benchmarks: Sequence[str],
    seen: np.ndarray,
    left_out: Sequence[str],
    dates: np.ndarray | None = None,
) -> Cells:
    """Arrays of the scores on `benchmarks`; a setting other than a cell's own is seen where the cell is.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    benchmarks : sequence of str
        Names of the I benchmarks.
    seen : array (M, I)
        Which cells are seen.
    left_out : sequence of str
        Benchmarks of which none is seen.
    dates : array (M,), optional
        Release dates of the models, years since `DATE_CENTRE`, where benchmarks drift.
    """
    scores = all_scores(table)
    scores = scores[scores["benchmark"].isin(list(benchmarks))]
    row = table.models.index.get_indexer(scores["model"])
    column = pd.Index(benchmarks).get_indexer(scores["benchmark"])
    effort = (scores["level"] - scores["model"].map(best_levels(scores))).fillna(0.0)
    without = (scores["reasoning"] == 0.0) & (scores["model"].map(reasons(table)) == 1.0)
    return Cells(
        model=jnp.asarray(row),
        benchmark=jnp.asarray(column),
        score=jnp.asarray(scores["score"].to_numpy(float)),
        seen=jnp.asarray(seen[row, column] & ~scores["benchmark"].isin(list(left_out)).to_numpy()),
        inv_items=jnp.asarray(inverse_items(scores["n_items"].to_numpy(float))),
        # of an answer without reasoning, all that is lower is that it did not reason
        effort=jnp.asarray(np.where(without, 0.0, effort.to_numpy(float))),
        reasoning=jnp.asarray(-without.to_numpy(float)),
        date=None if dates is None else jnp.asarray(dates[row]),
    )
