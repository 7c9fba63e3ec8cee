"""A user's file in the units of a table, before it meets what the table already knows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from bayes_obscaling.checks import listed
from bayes_obscaling.data.bundled import load_base_llms, load_instruct_llms
from bayes_obscaling.data.dates import is_year, iso_date
from bayes_obscaling.data.declared import Declared
from bayes_obscaling.data.headers import is_no_model, without_percent
from bayes_obscaling.data.layout import Columns, columns_of
from bayes_obscaling.data.leaderboards import understood
from bayes_obscaling.data.names import normal_form
from bayes_obscaling.data.rules import FLOPS_CONFIDENCE, PLAUSIBLE, check_number
from bayes_obscaling.data.scales import Cell, Duplicates, scores_of
from bayes_obscaling.data.settings import NO, UNSET, YES, Setting, best_settings, read_setting
from bayes_obscaling.data.sheet import Sheet, Source, read_sheet
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError

_MOST_NAMED = 8
_UNKNOWN: dict[str, object] = {
    **{"family": "", "params": np.nan, "tokens": np.nan, "flops": np.nan},
    **{"date": "", "provider": "", "flops_sd": np.nan, "open_weights": ""},
}
"""What is known of a model of which nothing is said."""
_OF_A_SETTING = ("setting", "reasoning", "evaluated")
_CIRCULAR = re.compile(r"\bbench\s?marks?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Parsed:
    """What a user's file says.

    Attributes
    ----------
    sheet : Sheet
        Its cells.
    columns : dict
        What of a model is given, with the column that holds it.
    models : DataFrame
        Index model (the table's name where it has it); family ("" where none is given), params, tokens, flops, date,
        provider, flops_sd, open_weights, row.
    benchmarks : DataFrame
        The new ones only, as in `ScoreTable`.
    scores : DataFrame
        model, benchmark, score, n_items, row, column, setting, reasoning, evaluated.
    others : DataFrame
        The same of scores in other settings.
    assumed : dict
        New benchmark to what is assumed of it, because nobody said.
    notes : tuple of str
        How the file was read.
    """

    sheet: Sheet
    columns: dict[str, str]
    models: pd.DataFrame
    benchmarks: pd.DataFrame
    scores: pd.DataFrame
    others: pd.DataFrame
    assumed: dict[str, str]
    notes: tuple[str, ...]

    def of_new_models(self, known: ScoreTable) -> Parsed:
        """Return what the file says of models that a table does not know, on what it knows; notes say what is left."""
        left = [str(name) for name in self.models.index if name in known.models.index]
        columns = [str(name) for name in self.benchmarks.index]
        whys = {"not new: what is known of them stays": left, "not in the fit: forecast --scores fits it": columns}
        notes = [f"left aside: {listed(names, _MOST_NAMED)} ({why})" for why, names in whys.items() if names]
        scores, others = (
            rows[~rows["model"].isin(left) & ~rows["benchmark"].isin(columns)] for rows in (self.scores, self.others)
        )
        return replace(
            self,
            models=self.models.drop(index=left),
            benchmarks=self.benchmarks.iloc[:0],
            scores=scores,
            others=others,
            assumed={},
            notes=(*self.notes, *notes),
        )


def parse(
    table: ScoreTable,
    source: Source,
    benchmarks: Source | None = None,
    *,
    tasks: Iterable[str] = (),
    chance_corrected: bool = False,
    sheet: str | None = None,
    duplicates: Duplicates = "refuse",
) -> Parsed:
    """Read a user's scores in the units of ``table``.

    With ``chance_corrected``, scores from which the chance level was subtracted may pass although they are negative;
    the data check looks at them. The other parameters are those of `bayes_obscaling.data.reading.read_scores`.

    Raises
    ------
    InputError
        If the source cannot be used; the sentence says where and why, and what to do.
    """
    if duplicates not in ("refuse", "mean", "first"):
        raise InputError(f"duplicates is {duplicates!r}", "take 'refuse', 'mean' or 'first'")
    read = read_sheet(source, "", "", sheet=sheet, prepare=understood)
    declared = Declared(table, benchmarks, tasks, (load_base_llms(), load_instruct_llms()))
    columns = columns_of(read, declared)
    read = _without_summaries(table, read, columns)
    models = _models(table, read, columns, one_row_each=not columns.long and duplicates == "refuse")
    cells = (_long_cells if columns.long else _wide_cells)(read, columns, models, declared)
    percents = frozenset(name for name in read.columns if without_percent(name)[1])
    scores, understanding = scores_of(
        read,
        cells,
        declared,
        percents,
        is_long=bool(columns.long),
        chance_corrected=chance_corrected,
        duplicates=duplicates,
    )
    empty = [read.columns[at] for at in columns.scores if not (scores["column"] == read.columns[at]).any()]
    nothing = [f"no score in {', '.join(empty)}"] * bool(empty)
    scores, others, several = best_settings(scores)
    understanding += [several] * bool(several)
    notes = (*read.notes, *columns.notes, *models.notes, *dict.fromkeys(declared.notes), *understanding, *nothing)
    frame = pd.DataFrame.from_dict(models.by_name, orient="index", columns=[*_UNKNOWN, "row"]).rename_axis("model")
    new, assumed = declared.new_rows(scores), declared.assumed(scores)
    return Parsed(read, columns.named(read), frame, new, scores, others, assumed, notes)


# --------------------------------------------------------------------------------------------------------- models


@dataclass
class _Models:
    by_name: dict[str, dict[str, object]] = field(default_factory=dict)  # fields and first row
    by_row: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    circular: dict[str, None] = field(default_factory=dict)  # models whose FLOPs follow from scores


def _without_summaries(table: ScoreTable, sheet: Sheet, columns: Columns) -> Sheet:
    """Return the sheet without rows that are no models, such as averages; nothing is left aside in silence."""
    at = next(position for position, held in columns.fields.items() if held.name == "model")
    names = {row: sheet.text(cells[at]) for row, cells in sheet.rows}
    left = [row for row, name in names.items() if is_no_model(name) and not table.find_model(name)]
    if not left:
        return sheet
    kept = [(row, cells) for row, cells in sheet.rows if row not in left]
    if not kept:
        problem = f"no row is a model ({names[left[0]]} is none)"
        raise sheet.error(problem, "add a row for each model", left[0], sheet.columns[at])
    note = (
        f"left aside: {listed(list(dict.fromkeys(names[row] for row in left)), _MOST_NAMED)} (rows that are no models)"
    )
    return replace(sheet, rows=kept, notes=(*sheet.notes, note))


def _models(table: ScoreTable, sheet: Sheet, columns: Columns, *, one_row_each: bool) -> _Models:
    """Read the columns of the models; several rows of one model must agree."""
    named = columns.named(sheet)
    models = _Models()
    spelling: dict[str, str] = {}
    matched: dict[str, str] = {}
    families = _family_spellings(table, sheet, columns)
    for row, cells in sheet.rows:
        fields = _fields(sheet, row, cells, columns)
        given = str(fields.pop("model"))
        if given == "":
            raise sheet.error("the row has no model", "name it or remove the row", row, named["model"])
        known = table.find_model(given)
        if len(known) > 1:
            raise sheet.error(f"{given!r} may be {' or '.join(known)}", "write the full name", row, named["model"])
        name = known[0] if known else spelling.setdefault(given.casefold(), given)
        if known and given.casefold() not in (name.casefold(), name.casefold().rpartition("/")[2]):
            matched[given] = name
        fields["family"] = families.get(str(fields["family"]), "")
        if fields.pop("is_circular"):
            fields["flops"] = fields["flops_sd"] = np.nan
            models.circular.setdefault(name)
        models.by_row[row] = name
        first = models.by_name.get(name)
        if first is None:
            models.by_name[name] = fields | {"row": row}
            continue
        if one_row_each:
            problem = f"model {name!r} is already in row {first['row']}"
            remedy = "keep one of the rows, or have reruns averaged (duplicates='mean', --duplicates mean)"
            raise sheet.error(problem, remedy, row, named["model"])
        for what, new in fields.items():
            if is_unknown(first[what]):
                first[what] = new
            elif not is_unknown(new) and new != first[what]:
                problem = f"{name!r} has {what} {new} here and {first[what]} before"
                column = named.get(what, named.get("flops_confidence"))
                raise sheet.error(problem, "make them agree", row, column)
    pairs = [f"{given} as {name}" for given, name in matched.items()]
    models.notes += [f"read {', '.join(pairs[:_MOST_NAMED])}"] * bool(pairs)
    if models.circular:
        names = listed(list(models.circular), _MOST_NAMED)
        models.notes.append(f"FLOPs of {names} were estimated from benchmark scores, so they are taken as unknown")
    models.notes += [*_without_unit(sheet, columns, models), *_years(sheet, columns, models)]
    return models


def _without_unit(sheet: Sheet, columns: Columns, models: _Models) -> list[str]:
    """Return notes about sizes that are too small for numbers without a unit, such as 7 for 7B."""
    notes = []
    for position, held in columns.fields.items():
        if held.name not in PLAUSIBLE or held.exponent:
            continue
        numbers = {name: float(fields[held.name]) for name, fields in models.by_name.items()}  # type: ignore[arg-type]
        small = [f"{name} {number:g}" for name, number in numbers.items() if number < PLAUSIBLE[held.name][0]]
        if small:
            column, unit = sheet.columns[position], "1E21" if held.name == "flops" else "B"
            notes.append(
                f"{column} names no unit, so its numbers are read as they stand ({listed(small)}); "
                f"write the unit in the header, such as {column} ({unit})"
            )
    return notes


def _years(sheet: Sheet, columns: Columns, models: _Models) -> list[str]:
    """Return a note about dates that are a year alone."""
    positions = [position for position, held in columns.fields.items() if held.name == "date"]
    rows = [row for row, cells in sheet.rows if any(is_year(sheet.text(cells[position])) for position in positions)]
    names = listed(list(dict.fromkeys(models.by_row[row] for row in rows)), _MOST_NAMED)
    return [f"a year alone is read as its 1 July (the dates of {names})"] * bool(rows)


def _family_spellings(table: ScoreTable, sheet: Sheet, columns: Columns) -> dict[str, str]:
    """Return one spelling of every family that is given: the table's, else the first in the alphabet."""
    position = next((at for at, held in columns.fields.items() if held.name == "family"), None)
    given = sorted({sheet.text(cells[position]) for _, cells in sheet.rows} - {""}) if position is not None else []
    folded = {family.casefold(): family for family in table.families}
    alike: dict[str, str] = {}
    for family in (*table.families, *given):
        alike.setdefault(normal_form(family), family)
    return {family: folded.get(family.casefold()) or alike[normal_form(family)] for family in given}


def _fields(sheet: Sheet, row: int, cells: list[object], columns: Columns) -> dict[str, object]:
    """Return what a row says of its model."""
    fields: dict[str, object] = {**_UNKNOWN, "is_circular": False}
    for position, held in columns.fields.items():
        column = sheet.columns[position]
        text = sheet.text(cells[position])
        if held.name in ("model", "family", "provider"):
            fields[held.name] = text
        elif held.name == "date":
            fields["date"] = iso_date(text, sheet.place(row, column))
        elif held.name == "open_weights":
            fields["open_weights"] = _open_weights(text)
        elif held.name == "flops_confidence":
            fields["flops_sd"] = _sd_of(fields["flops_sd"], text, sheet.place(row, column))
        elif held.name in ("flops_circular", "flops_method"):
            found = _CIRCULAR.search(text) if held.name == "flops_method" else text.casefold() in YES
            fields["is_circular"] = bool(fields["is_circular"] or found)
        else:
            value = sheet.number(row, column, cells[position], held.exponent)
            check_number(held.name, value, sheet.place(row, column))
            fields[held.name] = value
    return fields


def _open_weights(text: str) -> str:
    """Return yes or no, "" for what says neither."""
    folded = text.casefold()
    is_open = folded in YES or folded.startswith("open")
    return "yes" if is_open else "no" if folded in NO or folded.startswith("closed") else ""


def _sd_of(given: object, word: str, where: str) -> object:
    """Return the error of compute, in decades, that a word for its confidence means; a number that was given wins."""
    if word and word.casefold() not in FLOPS_CONFIDENCE:
        problem = f"{word!r} is no confidence of compute"
        raise InputError(problem, f"write {', '.join(FLOPS_CONFIDENCE)}, or leave the cell empty", where)
    return FLOPS_CONFIDENCE[word.casefold()] if word and is_unknown(given) else given


def is_unknown(value: object) -> bool:
    """Whether a field of a model is not known."""
    return value == "" or value != value


# ---------------------------------------------------------------------------------------------------------- scores


def _wide_cells(sheet: Sheet, columns: Columns, models: _Models, declared: Declared) -> list[Cell]:
    names: dict[str, str] = {}
    cells = []
    for position in columns.scores:
        column = sheet.columns[position]
        name = declared.canonical(column)
        if name in names:
            raise sheet.error(f"columns {names[name]!r} and {column!r} are both {name}", "keep one of them")
        names[name] = column
        for row, values in sheet.rows:
            errors = columns.errors.get(position)
            error = (sheet.columns[errors], values[errors]) if errors is not None else None
            cells += _cell(sheet, row, column, values[position], models.by_row[row], name, error)
    return cells


def _long_cells(sheet: Sheet, columns: Columns, models: _Models, declared: Declared) -> list[Cell]:
    at = columns.long
    cells = []
    for row, values in sheet.rows:
        column = sheet.columns[at["benchmark"]]
        name = sheet.text(values[at["benchmark"]])
        if name == "":
            raise sheet.error("the row has no benchmark", "name it or remove the row", row, column)
        name = declared.canonical(name)
        given = {}
        for what in ("n_items", "chance"):
            if what in at:
                given[what] = sheet.number(row, sheet.columns[at[what]], values[at[what]])
                check_number(what, given[what], sheet.place(row, sheet.columns[at[what]]))
        declared.agree_on_chance(sheet, row, name, given.get("chance", np.nan))
        error = (sheet.columns[at["stderr"]], values[at["stderr"]]) if "stderr" in at else None
        score = sheet.columns[at["score"]]
        n_items = given.get("n_items", np.nan)
        said = {what: (sheet.columns[at[what]], values[at[what]]) for what in _OF_A_SETTING if what in at}
        made = read_setting(sheet, row, said)
        cells += _cell(sheet, row, score, values[at["score"]], models.by_row[row], name, error, n_items, made)
    return cells


def _cell(
    sheet: Sheet,
    row: int,
    column: str,
    cell: object,
    model: str,
    benchmark: str,
    error: tuple[str, object] | None,
    n_items: float = np.nan,
    made: Setting = UNSET,
) -> list[Cell]:
    """Return the score in a cell with its error and items, nothing where it is missing."""
    number = sheet.written(row, column, cell)
    if number is None:
        return []
    if number.has_unit:
        raise sheet.error(f"{sheet.text(cell)!r} is no score", "write a fraction or a percent", row, column)
    stderr = np.nan if number.error is None else float(number.error)
    if error is not None and (given := sheet.written(row, error[0], error[1])) is not None:
        power = -2 if given.is_percent and not number.is_percent and abs(number.value) <= 1 else 0
        stderr = float(given.value.scaleb(power))
    items = float(number.items) if number.items and np.isnan(n_items) else n_items
    is_count = number.items is not None
    value = float(number.value)
    return [Cell(row, column, model, benchmark, value, stderr, items, number.is_percent, is_count, made)]
