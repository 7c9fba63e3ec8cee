"""Baselines that read release dates alone: the best score so far, the median of the latest, a logistic in the date.

The first two have intervals from their own past: each is replayed at the release of every seen model, and what it was
off by then is added to what it says now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayes_obscaling.data.dates import years_of
from bayes_obscaling.evaluation.curve import regress

if TYPE_CHECKING:
    from bayes_obscaling.evaluation.baselines import Answer, Visible

_LATEST = 5  # scores whose median is taken
_FEWEST = 3  # seen scores from which the past can be replayed


def best_so_far(visible: Visible, draws: int, rng: np.random.Generator) -> Answer:
    """The highest seen score."""
    return _replayed(visible, draws, rng, np.max)


def latest_median(visible: Visible, draws: int, rng: np.random.Generator) -> Answer:
    """The median of the five latest seen scores."""
    return _replayed(visible, draws, rng, lambda scores: np.median(scores[-_LATEST:]))


def date_logistic(visible: Visible, draws: int, rng: np.random.Generator) -> Answer:
    """Sigmoid in the date of release."""
    scores, date = dated(visible)
    dates = np.r_[date[scores.index], date[visible.held_out]]
    centred = dates - dates[: len(scores)].mean()
    return regress(centred[:, None], scores.to_numpy(), visible.chance, False, draws, rng)


def dated(visible: Visible) -> tuple[pd.Series, pd.Series]:
    """Seen scores of models with a release date, and the dates of all models in years; refused are fewer than three."""
    date = pd.Series(years_of(visible.models["date"]), index=visible.models.index)
    scores = visible.scores[date[visible.scores.index].notna()]
    visible.require(len(scores), _FEWEST, " and a release date")
    return scores, date


def _replayed(visible: Visible, draws: int, rng: np.random.Generator, say: Callable[[np.ndarray], float]) -> Answer:
    scores, date = dated(visible)
    past = scores.loc[date[scores.index].sort_values(kind="stable").index].to_numpy()
    misses = np.array([past[i] - say(past[:i]) for i in range(1, len(past))])
    point = np.full(len(visible.held_out), say(past))
    return point, point + rng.choice(misses, (draws, len(point)))
