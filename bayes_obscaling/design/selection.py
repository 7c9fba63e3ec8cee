"""What may be chosen, what for, and what comes out: shared by all designs of subsets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayes_obscaling.data import ScoreTable
from bayes_obscaling.data.names import family_named
from bayes_obscaling.errors import InputError
from bayes_obscaling.results.finding import Finding

# As for limits on compute elsewhere: 7e9 must keep a model of exactly 7e9 parameters.
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class Selection(Finding):
    """Models to evaluate; ``table`` has one row per chosen model, ``parts["path"]`` the criterion by number of models.

    Attributes
    ----------
    models : tuple of str
        The chosen models, in the order of the table.
    criterion : str
        What ``parts["path"]`` holds, in words.
    task : str
        The task that they are chosen for; empty where no task matters.
    """

    drawn_by = "plot_selection"

    models: tuple[str, ...] = ()
    criterion: str = ""
    task: str = ""


@dataclass(frozen=True)
class NewTask:
    """A task of which no score is known.

    Attributes
    ----------
    name : str
        What it is called.
    chance : float
        Score of a guesser, 0..1; NaN where it is not known.
    n_items : float
        Number of its items; NaN for a score that is not a mean of counted items.
    excludes : tuple of str
        Benchmarks that do not predict it.
    """

    name: str
    chance: float = 0.0
    n_items: float = float("nan")
    excludes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.chance < 1 and self.chance == self.chance:
            raise InputError(f"{self.name} has chance {self.chance:g}: give a fraction, at least 0 and below 1.")
        if self.n_items < 1:
            raise InputError(f"{self.name} has {self.n_items:g} items: give at least 1, or leave it out.")


def as_new(table: ScoreTable, tasks: str | Iterable[str]) -> tuple[ScoreTable, list[NewTask]]:
    """Forget every score of some tasks, to choose models as if they were new.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    tasks : str or iterable of str
        Tasks of the table.

    Returns
    -------
    table : ScoreTable
        Without those scores.
    tasks : list of NewTask
        What remains known of them.

    Raises
    ------
    InputError
        For an unknown task.
    """
    names, facts, scores = table.resolve_all(tasks), table.benchmarks, table.scores
    forgotten = ScoreTable(table.models, facts, scores[~scores["benchmark"].isin(names)], table.notes)
    known = facts.loc[names, ["chance", "n_items", "excludes"]].itertuples()
    return forgotten, [NewTask(name, chance, items, excludes) for name, chance, items, excludes in known]


def candidates(
    table: ScoreTable,
    *,
    max_size: float | None = None,
    max_flops: float | None = None,
    families: Iterable[str] | None = None,
) -> pd.Index:
    """Models that may be chosen.

    Parameters
    ----------
    table : ScoreTable
        The models.
    max_size : float, optional
        Parameters; larger models, and those of unknown size, may not be chosen.
    max_flops : float, optional
        Training compute in FLOPs; models above it, and those of unknown compute, may not be chosen.
    families : iterable of str, optional
        Only these families.

    Raises
    ------
    InputError
        For a limit that is not positive, an unknown family, or limits that leave nobody.
    """
    models = table.models
    allowed = np.ones(len(models), dtype=bool)
    for column, limit, unit in (("params", max_size, "parameters"), ("flops", max_flops, "FLOPs")):
        if limit is not None:
            if not limit > 0:
                raise InputError(f"The limit of {limit:g} {unit} is not positive: give a number such as 7e9.")
            allowed &= (models[column] <= limit * _ROUNDING).to_numpy()
    if families is not None:
        allowed &= models["family"].isin(families_of(models["family"], families)).to_numpy()
    if not allowed.any():
        raise InputError("No model is inside these limits on size, compute and family: widen them.")
    return models.index[allowed]


def families_of(known: pd.Series, names: Iterable[str]) -> list[str]:
    """Families by name, in upper or lower case."""
    return [family_named(name, sorted(set(known)), "'bayes-obscaling models' lists them") for name in names]


def teachers(table: ScoreTable) -> list[str]:
    """Name a task to fit: with it all others that count items are fitted, those that a new one may be like.

    Raises
    ------
    InputError
        If no task of the table has a score.
    """
    measured = [name for name in table.task_names if table.matrix([name])[name].notna().any()]
    counted = [name for name in measured if np.isfinite(table.n_items(name))]
    if not measured:
        raise InputError("No task of the table has a score, so nothing says what a new one may be like: add scores.")
    return (counted or measured)[:1]


def rows_of(table: ScoreTable, among: Iterable[str] | None) -> pd.Index:
    """Models that are meant, in the order of the table; default all."""
    if among is None:
        return table.models.index
    wanted = {table.resolve_model(name) for name in among}
    return table.models.index[table.models.index.isin(wanted)]


def facts_of(table: ScoreTable, models: Iterable[str]) -> pd.DataFrame:
    """Family, size and compute of models, one row each."""
    return table.models.loc[list(models), ["family", "params", "flops"]].reset_index()
