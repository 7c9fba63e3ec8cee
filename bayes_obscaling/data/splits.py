"""Splits: whose scores are hidden from a fit, and whose forecasts are then judged. Always masks over one table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args
from zlib import crc32

import numpy as np
import pandas as pd

from bayes_obscaling.data.dates import cut_date
from bayes_obscaling.data.names import unknown
from bayes_obscaling.data.rules import check_flops
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError

Hides = Literal["task", "all"]
# A cutoff written as 8.4e22 must keep a model of exactly 8.4e22 FLOPs, whatever the last bit says.
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True)
class Split:
    """Which models are held out, and what of them is hidden.

    The class methods make splits by a rule. Most take ``hides``: "task" hides the scores to be forecast, "all" every
    score of the held-out models, so that forecasts are made from family and compute.

    Attributes
    ----------
    name : str
        What the split is called in tables.
    held_out : tuple of str
        Models whose scores on the asked tasks no fit may see, in table order.
    hidden : tuple of str
        Models of which no fit may see any score. They are held out as well: those missing in ``held_out`` are added.
    cutoff : float or None
        FLOPs at which the split was made, for splits by compute.
    as_of : str or None
        Date (``YYYY-MM-DD``) at which the split was made, for splits by date.
    cells : tuple of (str, str)
        Further scores that no fit may see: model and benchmark of each, as a table spells them. A cell that a table
        does not have hides nothing.
    """

    name: str
    held_out: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    cutoff: float | None = None
    as_of: str | None = None
    cells: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        held_out, hidden = tuple(self.held_out), tuple(self.hidden)
        object.__setattr__(self, "hidden", hidden)
        cells = tuple((str(model), str(benchmark)) for model, benchmark in self.cells)  # lists in a saved fit
        object.__setattr__(self, "cells", cells)
        object.__setattr__(self, "held_out", tuple(dict.fromkeys((*held_out, *hidden))))

    @property
    def hides(self) -> Hides:
        """What is hidden of the held-out models: "all" where it is every score of all of them, else "task"."""
        return "all" if self.hidden and set(self.hidden) == set(self.held_out) else "task"

    @property
    def cut(self) -> dict[str, float | str]:
        """Where the split was made, as a column of cells: ``cutoff`` or ``as_of``; empty for other splits."""
        places = {"cutoff": self.cutoff, "as_of": self.as_of}
        return {name: place for name, place in places.items() if place is not None}

    @property
    def cut_in_words(self) -> str:
        """Where the split was made, in two or three words; its name where it was not made at a cutoff or a date."""
        if self.as_of is not None:
            return f"as of {self.as_of}"
        return self.name if self.cutoff is None else f"cutoff {self.cutoff:.3g}"

    def seen(self, models: pd.Index) -> np.ndarray:
        """Boolean mask over `models`: True where task scores are seen."""
        return ~models.isin(list(self.held_out))

    def masked(self, scores: pd.DataFrame) -> pd.DataFrame:
        """Return scores, models by benchmarks as of `ScoreTable.matrix`, without those that no fit may see.

        These are all of the hidden models, and the hidden cells. What is asked about hides more: see `seen`.
        """
        hidden = np.repeat(scores.index.isin(list(self.hidden))[:, None], scores.shape[1], axis=1)
        if self.cells:
            models, benchmarks = (pd.Index(names) for names in zip(*self.cells, strict=True))
            rows, columns = scores.index.get_indexer(models), scores.columns.get_indexer(benchmarks)
            is_there = (rows >= 0) & (columns >= 0)
            hidden[rows[is_there], columns[is_there]] = True
        return scores.mask(hidden)

    def revealing(self, table: ScoreTable, k: int, seed: int = 0) -> Split:
        """Return the split in which k random scores of each hidden model are seen, and its others are hidden cells.

        Parameters
        ----------
        table : ScoreTable
            The scores that the split was made from.
        k : int
            Scores to reveal of each model; of one that has no more than k all are. What is revealed is revealed at
            every larger k as well, and does not depend on the other models.
        seed : int
            Random seed.

        Raises
        ------
        InputError
            If the split does not hide all scores of its held-out models, or k is negative.
        """
        if not self.held_out or self.hides != "all":
            problem = f"The split {self.name!r} does not hide all scores of the models that it holds out"
            raise InputError(problem, 'make it with hides="all"')
        if k < 0:
            raise InputError(f"{k} scores cannot be revealed", "give 0 or more")
        if k == 0:
            return self
        scores = replace(self, held_out=(), hidden=()).masked(table.matrix(table.benchmarks.index))
        cells: list[tuple[str, str]] = []
        for model, row in scores[scores.index.isin(list(self.hidden))].iterrows():
            names = row.dropna().index
            order = np.random.default_rng([seed, crc32(str(model).encode())]).permutation(len(names))
            cells += [(str(model), str(name)) for name in names[np.sort(order[k:])]]
        return replace(
            self, name=f"{self.name}, {k} scores revealed", held_out=(), hidden=(), cells=(*self.cells, *cells)
        )

    @classmethod
    def all_seen(cls) -> Split:
        """Return the split that holds out nobody."""
        return cls("all seen", ())

    @classmethod
    def by_flops(cls, table: ScoreTable, cutoff: float, hides: Hides = "task") -> Split:
        """Return the split at a compute cutoff: models above it, and those of unknown compute, are held out.

        As in Ruan et al. (2024, section 4.1).

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
            If the cutoff cannot be meant, or no model is at or below it.
        """
        check_flops("The cutoff", cutoff)
        flops = table.models["flops"]
        seen = flops <= cutoff * _ROUNDING
        if not seen.any():
            smallest = f"; the smallest model with known compute has {flops.min():.3g}" if flops.notna().any() else ""
            problem = f"No model is at or below the cutoff of {cutoff:.3g} FLOPs{smallest}"
            raise InputError(problem, "raise the cutoff")
        return _split(f"flops<={cutoff:.3g}", flops.index[~seen], hides, float(cutoff))

    @classmethod
    def by_size(cls, table: ScoreTable, params: float, hides: Hides = "task") -> Split:
        """Return the split at a size: models with more parameters, and those of unknown size, are held out."""
        sizes = table.models["params"]
        seen = sizes <= params * _ROUNDING
        if not seen.any():
            raise InputError(f"No model has at most {params:.3g} parameters", "raise the limit")
        return _split(f"params<={params:.3g}", sizes.index[~seen], hides)

    @classmethod
    def by_rank(cls, table: ScoreTable, share: float, task: str, hides: Hides = "task") -> Split:
        """Return the split that holds out the share of most compute among the models scored on a task, ties included.

        Models without a score on the task follow the same compute threshold; those of unknown compute are held out.
        The number held out is rounded up.
        """
        _check_share(share)
        flops = table.models["flops"]
        scored = table.matrix([task]).iloc[:, 0].notna() & flops.notna()
        ordered = flops[scored].sort_values(kind="stable").to_numpy()
        kept = len(ordered) - int(np.ceil(share * len(ordered) - 1e-9))
        # Models of equal compute stay together: on the far side, so that no fewer are held out than asked.
        below = ordered[:kept][ordered[:kept] < ordered[kept]] if kept > 0 else ordered[:0]
        if not len(below):
            raise _nobody_left(share, len(ordered), task)
        split = cls.by_flops(table, float(below[-1]), hides)
        return cls(f"top {share:.0%} by compute on {table.resolve(task)}", split.held_out, split.hidden, split.cutoff)

    @classmethod
    def by_score(cls, table: ScoreTable, share: float, task: str, hides: Hides = "task") -> Split:
        """Return the split that holds out the share of the best models on a task.

        The agentic setup of Ruan et al. (2024, section 4.2).

        The number held out is the share times the number of models scored, rounded down, at least one. Models without
        a score on the task are held out of nothing.
        """
        _check_share(share)
        scores = table.matrix([task]).iloc[:, 0].dropna().sort_values(ascending=False, kind="stable")
        count = max(1, int(share * len(scores) + 1e-9))
        if count >= len(scores):
            raise _nobody_left(share, len(scores), task)
        return _split(f"best {share:.0%} on {table.resolve(task)}", _ordered(table, scores.index[:count]), hides)

    @classmethod
    def by_family(cls, table: ScoreTable, families: str | Iterable[str], hides: Hides = "all") -> Split:
        """Return the split that holds out whole families, as if they had never been seen."""
        names = [families] if isinstance(families, str) else list(families)
        for name in names:
            if name not in table.families:
                raise unknown("family", name, table.families, "see `bayes-obscaling models`")
        family = table.models["family"]
        return _split(f"without {', '.join(names)}", family.index[family.isin(names)], hides)

    @classmethod
    def random(cls, table: ScoreTable, share: float, seed: int = 0, hides: Hides = "task") -> Split:
        """Return the split that holds out a random share of the models, rounded up."""
        _check_share(share)
        index = table.models.index
        count = int(np.ceil(share * len(index) - 1e-9))
        rows = np.sort(np.random.default_rng(seed).permutation(len(index))[:count])
        return _split(f"random {share:.0%}, seed {seed}", index[rows], hides)

    @classmethod
    def by_date(cls, table: ScoreTable, date: str, hides: Hides = "task") -> Split:
        """Return the split at a date: models released on it or later, or nobody knows when, are held out.

        Parameters
        ----------
        table : ScoreTable
            The scores.
        date : str
            As in `bayes_obscaling.data.dates.iso_date`.
        hides : {"task", "all"}
            See `Split`.

        Raises
        ------
        InputError
            If no model has a date, the date cannot be read, or no model is that old.
        """
        check_dated(table)
        models, limit = table.models, cut_date(date)
        seen = (models["date"] != "") & (models["date"] < limit)
        if not seen.any():
            raise InputError(f"No model was released before {limit}", "take a later date")
        return replace(_split(f"released before {limit}", models.index[~seen], hides), as_of=limit)

    @classmethod
    def by_vintage(cls, table: ScoreTable, date: str) -> Split:
        """Return the split of what was known at a date: hidden is all that was released or evaluated on it or later.

        Models released on the date or later, or nobody knows when, are hidden; so are scores of older models from runs
        of that day or later. A score without a date of its run is taken to be as old as its model. Errors are as of
        `by_date`.
        """
        split = cls.by_date(table, date, hides="all")
        scores = table.scores
        late = scores[(scores["evaluated"] >= str(split.as_of)) & ~scores["model"].isin(split.hidden)]
        cells = tuple(late[["model", "benchmark"]].itertuples(index=False, name=None))
        return replace(split, name=f"known before {split.as_of}", cells=cells)

    @classmethod
    def at(cls, table: ScoreTable, cut: float | str, hides: Hides = "task") -> Split:
        """Return the split at a cut: `by_date` at a text, else `by_flops`."""
        return cls.by_date(table, cut, hides) if isinstance(cut, str) else cls.by_flops(table, cut, hides)

    @classmethod
    def of_models(
        cls, table: ScoreTable, models: Iterable[str], hides: Hides = "task", name: str = "listed models"
    ) -> Split:
        """Return the split that holds out the models of a list."""
        return _split(name, _ordered(table, (table.resolve_model(model) for model in models)), hides)

    @classmethod
    def largest_of_family(
        cls, table: ScoreTable, smallest_family: int = 2, hides: Hides = "all", all_but_smallest: bool = False
    ) -> Split:
        """Return the split that holds out each family's model of most compute, or all but the one of least compute.

        Parameters
        ----------
        table : ScoreTable
            The scores.
        smallest_family : int
            Families of fewer models with known compute are left whole.
        hides : {"task", "all"}
            See `Split`.
        all_but_smallest : bool
            Leave one model per family instead of taking one.

        Notes
        -----
        With ``hides="all"`` these are designs D1 (largest of each family, two-model families included) and D2 (all but
        the smallest, families of three or more) of docs/explanation/choices/index.md.
        """
        models = table.models[table.models["flops"].notna()]
        held_out: set[str] = set()
        for _, members in models.groupby("family", sort=False):
            if len(members) >= max(smallest_family, 2):
                ordered = members["flops"].sort_values(kind="stable").index
                held_out |= set(ordered[1:] if all_but_smallest else ordered[-1:])
        if not held_out:
            raise InputError(f"No family has {smallest_family} models of known compute", "lower the limit")
        name = "all but the smallest of each family" if all_but_smallest else "the largest of each family"
        return _split(name, _ordered(table, held_out), hides)


def _split(name: str, held_out: Iterable[str], hides: Hides, cutoff: float | None = None) -> Split:
    """Return the split that hides the task scores, or all scores, of some models."""
    check_hides(hides)
    models = tuple(held_out)
    return Split(name, models, models if hides == "all" else (), cutoff)


def check_dated(table: ScoreTable) -> None:
    """Refuse a table that knows no release date."""
    if not (table.models["date"] != "").any():
        raise InputError("No model has a release date", "add a column 'date' (YYYY-MM-DD), or split by compute")


def check_hides(hides: str) -> None:
    """Refuse what no split hides."""
    if hides not in get_args(Hides):
        raise InputError(f"A split hides 'task' or 'all', not {hides!r}.")


def _ordered(table: ScoreTable, models: Iterable[str]) -> list[str]:
    """Return the models in table order."""
    wanted = set(models)
    return [model for model in table.models.index if model in wanted]


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise InputError(f"The share to hold out is {share}", "give a fraction between 0 and 1")


def _nobody_left(share: float, count: int, task: str) -> InputError:
    return InputError(f"Holding out {share:.0%} of {count} models on {task} leaves none", "lower the share")
