"""What the checks of a table look at, and where a model stands among the others by its scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bayes_obscaling.checks import Level
from bayes_obscaling.data.names import normal_form
from bayes_obscaling.data.parsing import Parsed
from bayes_obscaling.data.table import ScoreTable

Lines: TypeAlias = Iterator[tuple[Level, str, str]]
"""What a check yields: level, what was found, remedy."""

MOST_LISTED = 8  # names in a sentence
_NEIGHBOURS = 8
_DENSE = 0.5  # share of scores that are there, from which on mean ranks over them can be compared
_ENOUGH = 3  # scores that say where a model of a sparse table stands
_ROUNDS = 50
# Words in the names of models that were tuned further.
_TUNED = {"chat", "instruct", "it", "sft", "dpo", "rlhf", "ft", "finetuned", "tuned", "instruction"}


@dataclass(frozen=True)
class Checked:
    """The table or file as it was given, in the context of all that is known."""

    models: pd.DataFrame
    benchmarks: pd.DataFrame
    scores: pd.DataFrame
    context: ScoreTable
    families: pd.Series  # family of the models, the context's where the file leaves it out
    parsed: Parsed | None = None
    before: ScoreTable | None = None

    @cached_property
    def matrix(self) -> pd.DataFrame:
        """All scores of the context."""
        return self.context.matrix(self.context.benchmarks.index)

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """Ranks of the scores of the context, from 0 to 1, on benchmarks that rise and that many models have."""
        rising = [name for name in self.matrix if not self.context.benchmarks.at[name, "signed"]]
        counts = self.matrix[rising].notna().sum()
        common = counts.index[counts > 2 * _NEIGHBOURS]
        return self.matrix[common if len(common) > 1 else rising].rank(pct=True)

    @cached_property
    def own(self) -> list[str]:
        """Models of a user's file, none for a table."""
        named = dict.fromkeys([*self.models.index, *self.scores["model"]])
        return [] if self.parsed is None else [str(model) for model in named]

    @cached_property
    def bases(self) -> dict[str, str]:
        """Fine-tunes of a user's file, each with the base that the table has as well."""
        by_form = {normal_form(str(model)).rpartition("/")[2]: str(model) for model in self.context.models.index}
        found = {}
        for model in self.own:
            words = normal_form(model).rpartition("/")[2].split("-")
            kept = [word for word in words if word not in _TUNED]
            if len(kept) < len(words) and (base := by_form.get("-".join(kept))):
                found[model] = base
        return found

    def at(self, model: str) -> str:
        """Return the name of a model, with its row in the user's file."""
        row = self._rows.get(model)
        return model if row is None else f"{model} (row {row})"

    @cached_property
    def _rows(self) -> dict[str, int]:
        """First row of each model of a user's file."""
        if self.parsed is None:
            return {}
        rows = pd.concat([self.parsed.models["row"], self.parsed.scores.set_index("model")["row"]])
        return {str(model): int(row) for model, row in rows.groupby(level=0).min().items()}

    def columns(self) -> Iterator[tuple[str, pd.Series, pd.Series]]:
        """Yield name, description and scores by model of every benchmark and task."""
        for name, column in self.scores.groupby("benchmark", sort=False):
            yield str(name), self.benchmarks.loc[name], column.set_index("model")["score"]

    @cached_property
    def is_dense(self) -> bool:
        """Whether most models have a score on most benchmarks."""
        return bool(self.ranks.size == 0 or self.ranks.notna().to_numpy().mean() >= _DENSE)

    def standing(self, *without: str) -> pd.Series:
        """Return where each model stands among all, from 0 to 1, by its scores on everything but some benchmarks.

        In a sparse table a mean rank says little, since weak models were scored beside weak ones: there the benchmarks'
        difficulty is taken out, and what few scores say is not known.
        """
        ranks = self.ranks.drop(columns=list(without), errors="ignore")
        if self.is_dense:
            return ranks.mean(axis=1)
        return _above_difficulty(self.matrix[ranks.columns]).rank(pct=True)


def _above_difficulty(scores: pd.DataFrame) -> pd.Series:
    """Return how far each model lies above the benchmarks it was scored on, in logits; NaN for few scores."""
    clipped = scores.to_numpy(float).clip(0.01, 0.99)
    seen = np.isfinite(clipped).astype(float)
    logits = np.where(seen > 0, np.log(clipped / (1 - clipped)), 0.0)
    per_model, per_benchmark = (seen.sum(axis=axis).clip(1) for axis in (1, 0))
    models = np.zeros(len(scores))
    for _ in range(_ROUNDS):  # alternating means: the least-squares fit of a model and a benchmark effect
        benchmarks = (logits.sum(axis=0) - models @ seen) / per_benchmark
        models = (logits.sum(axis=1) - seen @ benchmarks) / per_model
    return pd.Series(models, index=scores.index).where(seen.sum(axis=1) >= _ENOUGH)


def neighbours(standing: pd.Series, values: pd.Series) -> tuple[pd.Index, np.ndarray]:
    """Return the models with standing and value, and the values of those that stand nearest each of them.

    The values have the shape (models, 8); there are none where fewer than 17 models are known.
    """
    known = values.index[(standing.reindex(values.index).notna() & values.notna()).to_numpy()]
    if len(known) <= 2 * _NEIGHBOURS:
        return known[:0], np.empty((0, _NEIGHBOURS))
    place, numbers = standing[known].to_numpy(), values[known].to_numpy()
    order = np.argsort(place, kind="stable")
    # In order of standing, the nearest are among as many before and as many after.
    offsets = np.concatenate([np.arange(-_NEIGHBOURS, 0), np.arange(1, _NEIGHBOURS + 1)])
    beside = np.arange(len(known))[:, None] + offsets
    there = (beside >= 0) & (beside < len(known))
    who = order[beside.clip(0, len(known) - 1)]
    distance = np.where(there, np.abs(place[who] - place[order][:, None]), np.inf)
    nearest = np.take_along_axis(who, np.lexsort((who, distance), axis=1)[:, :_NEIGHBOURS], axis=1)
    return known[order], numbers[nearest]


def has_equals(standing: pd.Series, scores: pd.Series) -> pd.Series:
    """Return whether models with a score stand no higher, and others no lower: else nobody is like the model."""
    known = standing.reindex(scores[scores.notna()].index).dropna()
    place, all_places = known.to_numpy(), np.sort(known.to_numpy())
    below = np.searchsorted(all_places, place, side="right") - 1  # less the model itself
    above = len(place) - 1 - np.searchsorted(all_places, place, side="left")
    return pd.Series((below >= _ENOUGH) & (above >= _ENOUGH), index=known.index).reindex(scores.index, fill_value=False)


def expected(standing: pd.Series, scores: pd.Series, quantile: float = 0.5) -> pd.Series:
    """Return the median (or another quantile) of the scores of the models that stand nearest, NaN for too few."""
    models, values = neighbours(standing, scores)
    if not len(models):
        return pd.Series(np.nan, index=scores.index)
    return pd.Series(np.quantile(values, quantile, axis=1), index=models).reindex(scores.index)


def rank_correlation(x: ArrayLike, y: ArrayLike) -> float:
    """Return Spearman's rank correlation; 0 where x or y is one value throughout, since nothing rises or falls then."""
    one, other = pd.Series(np.asarray(x)), pd.Series(np.asarray(y))
    return float(one.corr(other, method="spearman")) if min(one.nunique(), other.nunique()) > 1 else 0.0
