"""Splits: whose scores are hidden from a fit, and whose forecasts are then judged. Always masks over one table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError

Hides = Literal["task", "all"]
# A cutoff written as 8.4e22 must keep a model of exactly 8.4e22 FLOPs, whatever the last bit says.
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True)
class Split:
    """Which models are held out, and what of them is hidden.

    Attributes
    ----------
    name : str
        What the split is called in tables.
    held_out : tuple of str
        Models whose task scores no fit may see, in table order.
    hides : {"task", "all"}
        "task": the scores to be forecast. "all": every score, so that forecasts are made from family and compute.
    cutoff : float or None
        FLOPs at which the split was made, for splits by compute.
    """

    name: str
    held_out: tuple[str, ...]
    hides: Hides = "task"
    cutoff: float | None = None

    def __post_init__(self) -> None:
        if self.hides not in ("task", "all"):
            raise InputError(f"A split hides 'task' or 'all', not {self.hides!r}.")
        object.__setattr__(self, "held_out", tuple(self.held_out))

    def seen(self, models: pd.Index) -> np.ndarray:
        """Boolean mask over `models`: True where task scores are seen."""
        return ~models.isin(list(self.held_out))


def split_by_flops(table: ScoreTable, cutoff: float, hides: Hides = "task") -> Split:
    """Hold out models above a compute cutoff, and those of unknown compute (Ruan et al. 2024, section 4.1).

    Parameters
    ----------
    table : ScoreTable
        The scores.
    cutoff : float
        FLOPs; models at or below it are seen.
    hides : {"task", "all"}
        See `Split`. With "all", models of unknown compute keep their benchmark scores hidden as well.

    Raises
    ------
    InputError
        If the cutoff is not positive, or no model is at or below it.
    """
    if not cutoff > 0:
        raise InputError(f"The cutoff is {cutoff} FLOPs: give a positive number, such as 8.4e22.")
    flops = table.models["flops"]
    seen = flops <= cutoff * _ROUNDING
    if not seen.any():
        smallest = f"; the smallest model with known compute has {flops.min():.3g}" if flops.notna().any() else ""
        raise InputError(f"No model is at or below the cutoff of {cutoff:.3g} FLOPs{smallest}: raise the cutoff.")
    return Split(f"flops<={cutoff:.3g}", tuple(flops.index[~seen]), hides, float(cutoff))


def split_by_size(table: ScoreTable, params: float, hides: Hides = "task") -> Split:
    """Hold out models with more than `params` parameters, and those of unknown size."""
    sizes = table.models["params"]
    seen = sizes <= params * _ROUNDING
    if not seen.any():
        raise InputError(f"No model has at most {params:.3g} parameters: raise the limit.")
    return Split(f"params<={params:.3g}", tuple(sizes.index[~seen]), hides)


def split_by_rank(table: ScoreTable, share: float, task: str, hides: Hides = "task") -> Split:
    """Hold out the given share of highest compute among the models that have a score on a task (and ties with them).

    Models without a score on the task follow the same compute threshold; those of unknown compute are held out.
    The number held out is rounded up.
    """
    _share(share)
    flops = table.models["flops"]
    scored = table.matrix([task]).iloc[:, 0].notna() & flops.notna()
    ordered = flops[scored].sort_values(kind="stable").to_numpy()
    kept = len(ordered) - int(np.ceil(share * len(ordered) - 1e-9))
    # Models of equal compute stay together: on the far side, so that no fewer are held out than asked.
    below = ordered[:kept][ordered[:kept] < ordered[kept]] if kept > 0 else ordered[:0]
    if not len(below):
        raise InputError(f"Holding out {share:.0%} of {len(ordered)} models on {task} leaves none: lower the share.")
    split = split_by_flops(table, float(below[-1]), hides)
    return Split(f"top {share:.0%} by compute on {table.resolve(task)}", split.held_out, hides, split.cutoff)


def split_by_score(table: ScoreTable, share: float, task: str, hides: Hides = "task") -> Split:
    """Hold out the given share of best models on the task itself (the agentic setup of Ruan et al. 2024, section 4.2).

    The number held out is the share times the number of models scored, rounded down, at least one. Models without a
    score on the task are held out of nothing.
    """
    _share(share)
    scores = table.matrix([task]).iloc[:, 0].dropna().sort_values(ascending=False, kind="stable")
    count = max(1, int(share * len(scores) + 1e-9))
    if count >= len(scores):
        raise InputError(f"Holding out {share:.0%} of {len(scores)} models on {task} leaves none: lower the share.")
    best = set(scores.index[:count])
    held_out = tuple(m for m in table.models.index if m in best)
    return Split(f"best {share:.0%} on {table.resolve(task)}", held_out, hides)


def split_by_family(table: ScoreTable, families: str | Iterable[str], hides: Hides = "all") -> Split:
    """Hold out whole families, as if they had never been seen."""
    names = [families] if isinstance(families, str) else list(families)
    known = table.models["family"]
    for name in names:
        if name not in set(known):
            raise InputError(f"There is no family '{name}' in the table: see `bayes-obscaling models`.")
    return Split(f"without {', '.join(names)}", tuple(known.index[known.isin(names)]), hides)


def split_random(table: ScoreTable, share: float, seed: int = 0, hides: Hides = "task") -> Split:
    """Hold out a random share of the models (rounded up)."""
    _share(share)
    index = table.models.index
    count = int(np.ceil(share * len(index) - 1e-9))
    rows = np.sort(np.random.default_rng(seed).permutation(len(index))[:count])
    return Split(f"random {share:.0%}, seed {seed}", tuple(index[rows]), hides)


def split_by_date(table: ScoreTable, date: str, hides: Hides = "task") -> Split:
    """Hold out models released after a date (``YYYY-MM-DD``), or at a time unknown; needs a column ``date`` of models.

    Raises
    ------
    InputError
        If there is no such column, the date cannot be read, or no model is that old.
    """
    models = table.models
    if "date" not in models:
        raise InputError("The models have no column 'date': add one (YYYY-MM-DD), or split by compute.")
    limit = pd.to_datetime(date, format="%Y-%m-%d", errors="coerce")
    if pd.isna(limit):
        raise InputError(f"'{date}' is no date: write it as 2024-01-31.")
    released = pd.to_datetime(models["date"].astype(str), format="%Y-%m-%d", errors="coerce")
    seen = released <= limit
    if not seen.any():
        raise InputError(f"No model was released by {limit.date()}: take a later date.")
    return Split(f"released by {limit.date()}", tuple(models.index[~seen]), hides)


def split_models(table: ScoreTable, models: Iterable[str], hides: Hides = "task", name: str = "listed models") -> Split:
    """Hold out the models of an explicit list."""
    wanted = {table.resolve_model(m) for m in models}
    return Split(name, tuple(m for m in table.models.index if m in wanted), hides)


def split_largest_of_family(
    table: ScoreTable, smallest_family: int = 2, hides: Hides = "all", all_but_smallest: bool = False
) -> Split:
    """Hold out the model of most compute of each family, or all but the one of least compute.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    smallest_family : int
        Families of fewer models with known compute are left whole.
    hides : {"task", "all"}
        See `Split`.
    all_but_smallest : bool
        Leave one model a family instead of taking one.

    Notes
    -----
    With ``hides="all"`` these are designs D1 (largest of each family, two-model families included) and D2 (all but the
    smallest, families of three or more) of docs/model_notes.md.
    """
    models = table.models[table.models["flops"].notna()]
    held_out: set[str] = set()
    for _, members in models.groupby("family", sort=False):
        if len(members) >= max(smallest_family, 2):
            ordered = members["flops"].sort_values(kind="stable").index
            held_out |= set(ordered[1:] if all_but_smallest else ordered[-1:])
    if not held_out:
        raise InputError(f"No family has {smallest_family} models of known compute: lower the limit.")
    name = "all but the smallest of each family" if all_but_smallest else "the largest of each family"
    return Split(name, tuple(m for m in table.models.index if m in held_out), hides)


def _share(share: float) -> None:
    if not 0 < share < 1:
        raise InputError(f"The share to hold out is {share}: give a fraction between 0 and 1.")
