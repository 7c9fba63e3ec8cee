"""Which column of a sheet holds what: something of a model, a score, its standard error, or nothing that is used."""

from __future__ import annotations

from dataclasses import dataclass, field

from bayes_obscaling.data.declared import Declared
from bayes_obscaling.data.headers import (
    FIELDS,
    LONG,
    Field,
    aside,
    field_of,
    long_column,
    plain,
    spread_of,
    stderr_of,
    without_percent,
)
from bayes_obscaling.data.known import bare, find_known, key_of
from bayes_obscaling.data.names import close_names
from bayes_obscaling.data.rules import FLOPS_CONFIDENCE
from bayes_obscaling.data.sheet import Sheet, no_column

_LONG_ONLY = ("benchmark", "score", "n_items", "chance", "stderr")


@dataclass
class Columns:
    """What the columns of a sheet hold, by position.

    Attributes
    ----------
    fields : dict
        What is known of a model.
    long : dict
        Of a table with a row per score: benchmark, score, stderr, n_items, chance and its setting to the position of
        each; empty for a table with a column per benchmark.
    scores : list
        Columns that hold the scores of one benchmark each.
    errors : dict
        Position of a score column to that of its standard errors.
    left : list
        Columns that are left aside, with why.
    """

    fields: dict[int, Field] = field(default_factory=dict)
    long: dict[str, int] = field(default_factory=dict)
    scores: list[int] = field(default_factory=list)
    errors: dict[int, int] = field(default_factory=dict)
    left: list[tuple[str, str]] = field(default_factory=list)

    def named(self, sheet: Sheet) -> dict[str, str]:
        """Return what of a model is given, with the column that holds it."""
        return {one.name: sheet.columns[position] for position, one in self.fields.items()}

    @property
    def notes(self) -> list[str]:
        """Sentences about the columns that are left aside."""
        by_reason: dict[str, list[str]] = {}
        for column, why in self.left:
            by_reason.setdefault(why, []).append(column)
        return [f"left aside: {', '.join(columns)} ({why})" for why, columns in by_reason.items()]


def columns_of(sheet: Sheet, declared: Declared) -> Columns:
    """Return what the columns of a user's scores hold.

    Raises
    ------
    InputError
        If there is no column of models or of scores, or two hold the same thing.
    """
    found = Columns(long=_long(sheet, declared))
    for position, name in enumerate(sheet.columns):
        if position in found.long.values():
            continue
        if not declared.is_said(name) and (held := _field(sheet, position, name)):
            _add_field(sheet, found, position, held)
        elif found.long:
            _leave(sheet, found, name)
        else:
            _add_other(sheet, declared, found, position)
    if not any(one.name == "model" for one in found.fields.values()):
        raise no_column(sheet, "Model", "a column 'Model' with the names of the models")
    _pair_errors(sheet, declared, found)
    if not found.long and not found.scores and len(found.fields) == 1:
        besides = f" ({'; '.join(found.notes)})" if found.left else ""
        raise sheet.error(f"there is no score column{besides}", "add one per benchmark or task")
    return found


def _long(sheet: Sheet, declared: Declared) -> dict[str, int]:
    """Return the columns of a table with a row per score, empty for another table."""
    found: dict[str, int] = {}
    for position, name in enumerate(sheet.columns):
        what = long_column(name)
        if what and not declared.is_said(name) and (what not in found or plain(name) == plain(what)):
            found[what] = position
    is_long = {"benchmark", "score"} <= set(found) and (
        plain(sheet.columns[found["benchmark"]]) == "benchmark" or not sheet.holds_numbers(found["benchmark"])
    )
    return found if is_long else {}


def _field(sheet: Sheet, position: int, name: str) -> Field | None:
    try:
        held = field_of(name)
        if held and held.name == "flops_confidence" and plain(name) == "confidence":  # of anything, but for its words
            words = {sheet.text(cells[position]).casefold() for _, cells in sheet.rows}
            return held if words & set(FLOPS_CONFIDENCE) else None
        return held
    except ValueError as error:
        problem = f"the unit {str(error)!r} is not known"
        raise sheet.error(problem, "write absolute numbers, or B, T or 1E21 in the header", column=name) from None


def _add_field(sheet: Sheet, found: Columns, position: int, held: Field) -> None:
    for other, before in found.fields.items():
        if before.name == held.name:
            if held.name == "provider":
                found.left.append((sheet.columns[position], "not a score"))
                return
            both = f"{sheet.columns[other]!r} and {sheet.columns[position]!r}"
            raise sheet.error(f"{both} both hold the {held.name}", "remove one")
    found.fields[position] = held


def _leave(sheet: Sheet, found: Columns, name: str) -> None:
    """Leave aside a column of a table with a row per score, unless its name is a slip of one that is read."""
    spelled = {plain(one) for words in (*FIELDS.values(), *LONG.values()) for one in words.split("|")}
    near = close_names(name, [*_LONG_ONLY, *FIELDS], cutoff=0.8)
    if near and plain(name) not in spelled and not aside(name):
        raise sheet.error("a table with a row per score has no such column", f"is it {near[0]!r}?", column=name)
    found.left.append((name, aside(name) or "not used in a table with a row per score"))


def _add_other(sheet: Sheet, declared: Declared, found: Columns, position: int) -> None:
    """Say what a column of a table with a column per benchmark holds that is nothing of a model."""
    name = sheet.columns[position]
    others = {without_percent(other)[0].casefold() for other in sheet.columns if other != name}
    if declared.is_said(name):
        found.scores.append(position)
    elif (base := stderr_of(name)) and _has(declared, base, others):
        found.errors[position] = position  # paired when all scores are known
    elif base and base.casefold() != name.casefold() and plain(name).split()[-1] in ("stderr", "error", "err"):
        found.left.append((name, "standard errors of a column that is not there"))
    elif name.casefold() in _LONG_ONLY and name.casefold() != "score":
        if name.casefold() == "benchmark":
            raise sheet.error("it names benchmarks, but no column holds scores", "add a column 'score'", column=name)
        problem = "in a table with a column per benchmark this says nothing about which one"
        raise sheet.error(problem, "put it in a benchmarks table", column=name)
    elif why := aside(name):
        found.left.append((name, why))
    elif (base := spread_of(name)) and _has(declared, base, others):
        found.left.append((name, "a spread or bound of another column"))
    elif not declared.is_known(without_percent(name)[0]) and not sheet.holds_numbers(position):
        found.left.append((name, "no cell of it is a number"))
    else:
        found.scores.append(position)


def _has(declared: Declared, base: str, others: set[str]) -> bool:
    """Whether a table has a column of that name, or one of another spelling of it."""
    return base.casefold() in others or _same(declared, base) in {_same(declared, other) for other in others}


def _same(declared: Declared, name: str) -> str:
    known = declared.table.find(name)
    return key_of(find_known(known or name) or known or bare(name))


def _pair_errors(sheet: Sheet, declared: Declared, found: Columns) -> None:
    """Give each column of standard errors to the scores whose errors they are."""
    by_key = {_same(declared, without_percent(sheet.columns[at])[0]): at for at in found.scores}
    by_name = {without_percent(sheet.columns[at])[0].casefold(): at for at in found.scores}
    errors, found.errors = list(found.errors), {}
    for position in errors:
        base = stderr_of(sheet.columns[position]) or ""
        scores = by_name.get(base.casefold(), by_key.get(_same(declared, base)))
        if scores is None or scores in found.errors:
            found.left.append((sheet.columns[position], "standard errors of a column that is not there"))
        else:
            found.errors[scores] = position
