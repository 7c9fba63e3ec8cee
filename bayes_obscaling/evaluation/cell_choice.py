"""Which cells of scored forecasts are meant: of a task, a model, a spec, some methods."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Protocol, TypeAlias

import pandas as pd

from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.baselines import BASELINES
from bayes_obscaling.evaluation.cutoff_study import STUDY_METHODS
from bayes_obscaling.evaluation.scoring import CUTS, OURS

_ORDER = (OURS, *STUDY_METHODS, *(name for name in BASELINES if name not in STUDY_METHODS))


class Scored(Protocol):
    """Anything with cells: a `Backtest`, a `CutoffStudy`."""

    @property
    def cells(self) -> pd.DataFrame:
        """One row per forecast that has been answered."""


Cells: TypeAlias = Scored | pd.DataFrame


def method_place(method: str) -> int:
    """Position of a method among methods: 0 is ours, one that is not in the registry stands after all others."""
    return _ORDER.index(method) if method in _ORDER else len(_ORDER)


def frame_of(scored: Cells, column: str = "method") -> pd.DataFrame:
    """Cells of whatever was given, which must have a column."""
    cells = scored if isinstance(scored, pd.DataFrame) else scored.cells
    if cells.empty:
        raise InputError("There is no forecast to draw: the selection is empty, or every fit has failed.")
    if column not in cells:
        problem = f"The cells have no column '{column}'"
        raise InputError(problem, "give a backtest or a cutoff study, or the cells of one")
    return cells


def frame_by_cut(scored: Cells) -> tuple[pd.DataFrame, str]:
    """Cells that were cut by compute or by date, and the column that says where: one of `CUTS`."""
    cells = frame_of(scored)
    held = [name for name in CUTS if name in cells]
    if len(held) != 1:
        problem = "are cut by compute and by date" if held else "have neither a cutoff nor an as-of date"
        raise InputError(f"The cells {problem}", "give a cutoff study, or backtests at cutoffs or at dates alone")
    return cells.dropna(subset=held), held[0]


def one_spec(cells: pd.DataFrame, spec: str | None) -> pd.DataFrame:
    """Cells of one spec, which must be named if there are several."""
    held = list(dict.fromkeys(cells["spec"])) if "spec" in cells else []
    if spec is None:
        if len(held) > 1:
            raise InputError(f"The study holds {len(held)} specs: name one with spec=, of {', '.join(held)}.")
        return cells
    if spec not in held:
        raise InputError(
            f"There is no spec '{spec}' in the cells: they have {', '.join(held) or 'no column of specs'}."
        )
    return cells[cells["spec"] == spec]


def resolve(name: str, column: pd.Series, what: str, where: str = "") -> str:
    """Name of a task or model among those of a column, from that or the part after the slash, in any case."""
    held = [str(value) for value in dict.fromkeys(column)]
    if name in held:
        return name
    for key in (str.casefold, lambda full: full.casefold().rpartition("/")[2]):
        matches = [full for full in held if key(full) == name.casefold()]
        if len(matches) == 1:
            return matches[0]
    if len(held) > 12:
        near = difflib.get_close_matches(name, held, 3, 0.4)
        rest = f"the nearest of {len(held)} are {', '.join(near)}" if near else f"there are {len(held)}, as {held[0]}"
    else:
        rest = f"there {'is' if len(held) == 1 else 'are'} {', '.join(held)}"
    raise InputError(f"There is no forecast of the {what} '{name}'{where}: {rest}.")


def choose_methods(held: list[str], wanted: Sequence[str] | None, default: bool = False) -> list[str]:
    """Methods by their place; with `default` only our own and those of a study, unless others are named."""
    if wanted is not None:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        if unknown := [name for name in names if name not in held]:
            raise InputError(f"There is no forecast of the method '{unknown[0]}': choose from {', '.join(held)}.")
        return sorted(dict.fromkeys(names), key=lambda name: (method_place(name), name))
    usual = [name for name in held if name in STUDY_METHODS] if default else []
    names = [OURS, *usual] if usual and OURS in held else usual or held
    return sorted(names, key=lambda name: (method_place(name), name))


def with_lines(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells with a column ``line``: the method, ours with its spec where there are several; baselines counted once."""
    if "spec" not in cells or cells["spec"].nunique() < 2:
        return cells.assign(line=cells["method"])
    ours = cells["method"] == OURS
    keys = [key for key in ("setup", *CUTS, "task", "method", "model") if key in cells]
    kept = cells[ours | ~cells.duplicated(keys)]
    return kept.assign(line=kept["method"].where(kept["method"] != OURS, f"{OURS}, " + kept["spec"].astype(str)))


def counted(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells with the columns that all tables share, one row per forecast."""
    bad = (~cells["converged"].astype(bool)).astype(int)
    return cells.assign(place=cells["method"].map(method_place), n=1, not_converged=bad)
