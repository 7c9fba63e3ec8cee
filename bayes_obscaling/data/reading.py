"""Read a user's scores and merge them into a table.

Two layouts are read, as a CSV file (UTF-8, commas) or as a DataFrame:

- wide, as published: ``Model``, optionally ``Model Family``, ``Model Size (B)``, ``Pretraining Data Size (T)`` and
  ``FLOPs (1E21)`` (or ``family``, ``params``, ``tokens``, ``flops`` in absolute units), then a column per benchmark or
  task, in the raw range of that benchmark (0..1; BLEU 0..100);
- long: ``model``, ``benchmark``, ``score`` (0..1), optionally ``n_items``, ``chance`` and the columns of the model.

Empty cells, ``NA``, ``n/a`` and ``-`` are missing. A model that the table knows needs nothing but its name; a new one
needs a family. Unknown FLOPs are fine; they follow as 6 N D where size and data are given. A new benchmark has chance
0, no item count and the range 0..1 unless a benchmarks table says otherwise.

Rows are counted as a spreadsheet shows them, the header being row 1; those of a DataFrame by position from 1.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from bayes_obscaling.data.bundled import known_corrections, load_base_llms, load_instruct_llms
from bayes_obscaling.data.table import BENCHMARK_DEFAULTS, ScoreTable, close_names
from bayes_obscaling.errors import InputError

Source: TypeAlias = pd.DataFrame | str | os.PathLike[str]

MODEL_COLUMNS = {
    "model": ("model", 0),
    "family": ("family", 0), "model family": ("family", 0),
    "params": ("params", 0), "model size (b)": ("params", 9),
    "tokens": ("tokens", 0), "pretraining data size (t)": ("tokens", 12),
    "flops": ("flops", 0), "flops (1e21)": ("flops", 21),
}  # fmt: skip
"""Column of a model, in lower case: what it holds, and the power of ten of its unit."""

LONG_COLUMNS = ("benchmark", "score", "n_items", "chance")
MISSING = {"", "-", "na", "n/a", "nan", "none", "null"}
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
YES, NO = {"true", "yes", "1", "1.0"}, {"false", "no", "0", "0.0"}

OVERRIDE_NOTED = 0.02  # a user's score that differs more from the one it replaces is worth a line
CONFLICT = 0.01  # relative difference at which two sizes of a model are not the same


@dataclass(frozen=True)
class Sheet:
    """Cells as they stand in a file or frame, with what is needed to point at one of them."""

    name: str
    columns: list[str]
    rows: list[tuple[int, list[object]]]

    def error(self, message: str, row: int | None = None, column: str | None = None) -> InputError:
        """Return the error with its place in front."""
        place = self.name
        place += "" if row is None else f", row {row}"
        place += "" if column is None else f", column {column!r}"
        return InputError(f"{place}: {message}")

    def text(self, cell: object) -> str:
        """Return the stripped text of a cell, "" where it is missing."""
        text = "" if _is_missing(cell) else str(cell).strip()
        return "" if text.casefold() in MISSING else text

    def number(self, row: int, column: str, cell: object, exponent: int = 0) -> float:
        """Return the number in a cell times 10**exponent, NaN where it is missing."""
        if isinstance(cell, bool | np.bool_):
            raise self.error(f"{cell} is not a number; correct it, or leave the cell empty", row, column)
        text = self.text(cell)
        if text == "":
            return np.nan
        if not NUMBER.fullmatch(text):
            raise self.error(f"{text[:40]!r} is not a number; {_number_remedy(text)}", row, column)
        try:
            value = float(Decimal(text).scaleb(exponent))
        except ArithmeticError:
            value = np.inf
        if not np.isfinite(value):
            raise self.error(f"{text[:40]} is too large; correct it, or leave the cell empty", row, column)
        return value


@dataclass(frozen=True)
class Parsed:
    """A user's file in the units of a table, before it meets what the table already knows."""

    sheet: Sheet
    columns: dict[str, str]  # what of a model is given -> the column that holds it
    models: pd.DataFrame  # index model (the table's name where it has it); family, params, tokens, flops, row
    benchmarks: pd.DataFrame  # the new ones only, as in ScoreTable
    scores: pd.DataFrame  # model, benchmark, score, n_items, row, column
    assumed: dict[str, list[str]]  # new benchmark -> what nobody said about it


def merge(
    table: ScoreTable, source: Source, benchmarks: Source | None = None, *, tasks: Iterable[str] = ()
) -> ScoreTable:
    """Merge a user's scores into a new table; see `ScoreTable.with_scores`."""
    parsed = parse(table, source, benchmarks, tasks=tasks)
    notes = [*table.notes]
    models = _merged_models(table, parsed, notes)
    benchmark_rows = pd.concat([table.benchmarks, parsed.benchmarks]) if len(parsed.benchmarks) else table.benchmarks
    for name, what in parsed.assumed.items():
        notes.append(f"{parsed.sheet.name}: {name} is new; assumed {' and '.join(what)}")
    changed = overrides(table, parsed)
    if len(changed):
        first = changed.iloc[0]
        notes.append(
            f"{parsed.sheet.name}: {len(changed)} scores differ from those they replace by more than {OVERRIDE_NOTED}, "
            f"first {first['model']} on {first['benchmark']}: {first['score']:.3f} for {first['score_table']:.3f}"
        )
    key = ["model", "benchmark"]
    old, new = table.scores, parsed.scores[[*key, "score", "n_items"]]
    both = old.merge(new, on=key, suffixes=("", "_new"))
    # the same score again says nothing new, and must not lose its own item count
    same = both[np.isclose(both["score"], both["score_new"], rtol=0, atol=1e-9) & both["n_items_new"].isna()]
    new = new[~_keys(new).isin(_keys(same))]
    old = old[~_keys(old).isin(_keys(new))]
    return ScoreTable(models, benchmark_rows, pd.concat([old, new]) if len(new) else old, notes)


def overrides(table: ScoreTable, parsed: Parsed) -> pd.DataFrame:
    """Return the scores of ``parsed`` that differ visibly from the ``score_table`` they replace."""
    both = parsed.scores.merge(table.scores, on=["model", "benchmark"], suffixes=("", "_table"))
    return both[(both["score"] - both["score_table"]).abs() > OVERRIDE_NOTED]


def parse(
    table: ScoreTable,
    source: Source,
    benchmarks: Source | None = None,
    *,
    tasks: Iterable[str] = (),
    chance_corrected: bool = False,
) -> Parsed:
    """Read a user's scores in the units of ``table``.

    With ``chance_corrected``, scores from which the chance level was subtracted may pass although they are negative;
    the data check looks at them.

    Raises
    ------
    InputError
        If the source cannot be used; the sentence says where and why, and what to do.
    """
    sheet = read_sheet(source, "Model", "a column 'Model' with the names of the models")
    declared = Declared(table, benchmarks, tasks)
    folded = [column.casefold() for column in sheet.columns]
    is_long = "benchmark" in folded and "score" in folded
    columns: dict[int, tuple[str, int]] = {}  # position -> what of the model it holds, power of ten
    others: dict[int, str] = {}  # position -> any other column
    for position, name in enumerate(folded):
        if name not in MODEL_COLUMNS:
            others[position] = sheet.columns[position]
            continue
        meaning = MODEL_COLUMNS[name]
        for other, (field, _) in columns.items():
            if field == meaning[0]:
                raise sheet.error(
                    f"{sheet.columns[other]!r} and {sheet.columns[position]!r} both hold the {field}; remove one"
                )
        columns[position] = meaning
    if not is_long and len(columns) == 1 and not others:
        raise sheet.error("there is no score column; add one per benchmark or task")

    models = _models(table, sheet, columns, one_row_each=not is_long)
    cells = (_long_cells if is_long else _wide_cells)(sheet, others, declared)
    scores = _scores(sheet, models, cells, declared, is_long, chance_corrected)
    frame = pd.DataFrame.from_dict(
        models.by_name,
        orient="index",
        columns=["family", "params", "tokens", "flops", "row"],
    ).rename_axis("model")
    return Parsed(sheet, models.columns, frame, declared.new_rows(scores), scores, declared.assumed(scores))


# ---------------------------------------------------------------------------------------------------------- cells


def read_sheet(source: Source, key: str, need: str) -> Sheet:
    """Read the cells of a CSV file or frame whose rows are named by the column ``key``."""
    sheet = _frame_sheet(source, key) if isinstance(source, pd.DataFrame) else _file_sheet(Path(source))
    seen: dict[str, str] = {}
    for position, column in enumerate(sheet.columns, start=1):
        if column == "":
            raise sheet.error(f"column {position} has no name; name it or remove it", 1)
        if column.casefold() in seen:
            raise sheet.error(f"column {column!r} is there twice; keep one of them")
        seen[column.casefold()] = column
    if key.casefold() not in seen:
        near = close_names(key, sheet.columns)
        hint = f"is it {near[0]!r}?" if near else f"the columns are {', '.join(sheet.columns[:8])}"
        raise sheet.error(f"there must be {need}; {hint}")
    if not sheet.rows:
        raise sheet.error("there is no row below the header; add one per model")
    return sheet


def _frame_sheet(frame: pd.DataFrame, key: str) -> Sheet:
    if str(frame.index.name).casefold() == key.casefold():
        frame = frame.reset_index()
    columns = [str(column).strip() for column in frame.columns]
    values = [frame.iloc[:, position].tolist() for position in range(len(columns))]
    rows = [(number, list(cells)) for number, cells in enumerate(zip(*values, strict=True), start=1)]
    return Sheet("the table given", columns, rows)


def _file_sheet(path: Path) -> Sheet:
    empty = Sheet(str(path), [], [])
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise empty.error("there is no such file; check the path") from None
    except IsADirectoryError:
        raise empty.error("this is a folder; name a CSV file in it") from None
    except (OSError, ValueError) as error:
        raise empty.error(f"cannot be read ({getattr(error, 'strerror', None) or error}); check the path") from None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise empty.error("the file is in UTF-16; save it as CSV in UTF-8")
    if b"\0" in data or data.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        raise empty.error("this is not a CSV file but binary data; export the table as CSV in UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise empty.error("the text is not in UTF-8; save the file as CSV in UTF-8", row) from None
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise empty.error(f"this is not a CSV file ({error}); export the table as CSV") from None
    filled = [(number, row) for number, row in enumerate(lines, start=1) if any(cell.strip() for cell in row)]
    if not filled:
        raise empty.error("the file is empty; it needs a header and a row per model")
    columns = [column.strip() for column in filled[0][1]]
    if len(columns) == 1 and (mark := re.search(r"[;\t|]", columns[0])):
        raise empty.error(f"the columns are separated by {mark[0]!r}; save the file with commas")
    for number, cells in filled[1:]:
        if len(cells) != len(columns):
            raise empty.error(
                f"there are {len(cells)} cells under {len(columns)} columns; quote the cells that hold commas, and "
                "fill up short rows",
                number,
            )
    return Sheet(str(path), columns, [(number, list(cells)) for number, cells in filled[1:]])


def _is_missing(cell: object) -> bool:
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float | np.floating) and cell != cell)


def _number_remedy(text: str) -> str:
    if NUMBER.fullmatch(text.rstrip("% ")):
        return "write the fraction (45.2% is 0.452)"
    if NUMBER.fullmatch(text.replace(",", ".", 1)) or NUMBER.fullmatch(text.replace(",", "")):
        return "use a point for decimals and no mark for thousands"
    return "correct it, leave the cell empty, or remove the column if it holds no scores"


# --------------------------------------------------------------------------------------------------------- models


@dataclass(frozen=True)
class _Models:
    by_name: dict[str, dict[str, object]]  # the table's name where it has the model -> fields and first row
    by_row: dict[int, str]
    columns: dict[str, str]  # what of a model is given -> the column that holds it


def _models(table: ScoreTable, sheet: Sheet, columns: dict[int, tuple[str, int]], *, one_row_each: bool) -> _Models:
    """Read the columns of the models; several rows of one model must agree."""
    named = {field: sheet.columns[position] for position, (field, _) in columns.items()}
    models = _Models({}, {}, named)
    spelling: dict[str, str] = {}
    families = {family.casefold(): family for family in table.models["family"]}
    for row, cells in sheet.rows:
        fields: dict[str, object] = {"family": "", "params": np.nan, "tokens": np.nan, "flops": np.nan}
        for position, (field, exponent) in columns.items():
            column = sheet.columns[position]
            if field in ("model", "family"):
                fields[field] = sheet.text(cells[position])
                continue
            value = sheet.number(row, column, cells[position], exponent)
            if value <= 0:
                raise sheet.error(
                    f"{value:g} cannot be; give a positive number, or leave the cell empty if it is not known",
                    row,
                    column,
                )
            fields[field] = value
        given = str(fields.pop("model"))
        if given == "":
            raise sheet.error("the row has no model; name it or remove the row", row, named["model"])
        found = table.find_model(given)
        if len(found) > 1:
            raise sheet.error(f"{given!r} may be {' or '.join(found)}; write the full name", row, named["model"])
        name = found[0] if found else spelling.setdefault(given.casefold(), given)
        fields["family"] = families.setdefault(str(fields["family"]).casefold(), str(fields["family"]))
        models.by_row[row] = name
        first = models.by_name.get(name)
        if first is None:
            models.by_name[name] = fields | {"row": row}
            continue
        if one_row_each:
            raise sheet.error(
                f"model {name!r} is already in row {first['row']}; keep one of the rows", row, named["model"]
            )
        for field, new in fields.items():
            if _unknown(first[field]):
                first[field] = new
            elif not _unknown(new) and new != first[field]:
                raise sheet.error(
                    f"{name!r} has {field} {new} here and {first[field]} before; make them agree", row, named[field]
                )
    return models


def _unknown(value: object) -> bool:
    return value == "" or value != value


def _merged_models(table: ScoreTable, parsed: Parsed, notes: list[str]) -> pd.DataFrame:
    """Return the models of the table and the file together; what both know must agree."""
    sheet, before = parsed.sheet, table.models
    models: dict[str, dict[str, Any]] = {str(name): fields for name, fields in before.to_dict("index").items()}
    corrected = known_corrections().set_index(["model", "column"])["source_value"].to_dict()
    for name, fields in parsed.models.to_dict("index").items():
        row = int(fields.pop("row"))
        if name not in models:
            if fields["family"] == "":
                raise sheet.error(_no_family(table, str(name), fields["flops"]), row, parsed.columns["model"])
            models[str(name)] = fields | {"cohort": "user"}
        known = models[str(name)]
        for field, value in fields.items():
            if _unknown(value) or value == known[field]:
                continue
            if _unknown(known[field]):
                known[str(field)] = value
            elif field != "family" and np.isclose(value, corrected.get((name, field), np.nan), rtol=1e-6):
                notes.append(f"{sheet.name}: {field} {value:g} of {name} is a known error; {known[field]:g} is used")
            elif field == "family" or not np.isclose(value, known[field], rtol=CONFLICT):
                raise sheet.error(
                    f"model {name!r} has {field} {_show(value)}, but {_show(known[field])} in the table; "
                    "correct it, leave the cell empty, or give the model another name",
                    row,
                    parsed.columns[str(field)],
                )
        params, tokens = known["params"], known["tokens"]
        if np.isnan(known["flops"]) and not np.isnan(params * tokens):
            known["flops"] = float(f"{6 * params * tokens:.12g}")
    merged = pd.DataFrame.from_dict(models, orient="index", columns=list(before.columns))
    return merged.astype(before.dtypes.to_dict()).rename_axis(before.index.name)


def _no_family(table: ScoreTable, name: str, flops: float) -> str:
    near = close_names(name, list(table.models.index), cutoff=0.8)
    message = f"model {name!r} is new and has no family" + (" and no FLOPs" if np.isnan(flops) else "")
    remedy = "give it one in a column 'Model Family' (its own name will do)"
    return f"{message}; {remedy}" + (f", or did you mean {near[0]}?" if near else "")


def _show(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)


# ------------------------------------------------------------------------------------------------------ benchmarks


class Declared:
    """What a benchmarks table says, on top of what the score table knows and the defaults."""

    NUMBERS = ("chance", "n_items", "lower", "upper", "cutoff_flops")
    FLAGS = ("signed", "has_ceiling")
    LISTS = {"excludes": ";", "aliases": "|"}  # noqa: RUF012

    def __init__(self, table: ScoreTable, source: Source | None, tasks: Iterable[str]) -> None:
        self.table = table
        self.tasks = {task.strip().casefold() for task in tasks}
        self.rows: dict[str, dict[str, object]] = {}  # canonical name -> what was said
        self.names: dict[str, str] = {}  # name or alias of a new benchmark in lower case -> canonical name
        self.chances: dict[str, float] = table.benchmarks["chance"].to_dict()
        if source is not None:
            self._read(source)

    def _read(self, source: Source) -> None:
        sheet = read_sheet(source, "benchmark", "a column 'benchmark' with the names of the benchmarks and tasks")
        fields = [column.casefold() for column in sheet.columns]
        for column, field in zip(sheet.columns, fields, strict=True):
            if field not in ("benchmark", *BENCHMARK_DEFAULTS):
                near = close_names(field, list(BENCHMARK_DEFAULTS))
                hint = f"is it {near[0]!r}?" if near else f"remove it; known are {', '.join(BENCHMARK_DEFAULTS)}"
                raise sheet.error(f"the column is not known; {hint}", column=column)
        for row, cells in sheet.rows:
            said = {}
            for column, field, cell in zip(sheet.columns, fields, cells, strict=True):
                value = self._value(sheet, row, column, field, cell)
                if not (value == "" or value == () or value != value):
                    said[field] = value
            name = str(said.pop("benchmark", ""))
            if name == "":
                raise sheet.error("the row has no name; name it or remove the row", row, "benchmark")
            self._add(sheet, row, name, said)

    def _value(self, sheet: Sheet, row: int, column: str, field: str, cell: object) -> object:
        if field in self.NUMBERS:
            value = sheet.number(row, column, cell)
            if field == "chance" and not (np.isnan(value) or 0 <= value < 1):
                raise sheet.error(f"{value:g} is no chance level; write a fraction such as 0.25", row, column)
            if field in ("n_items", "cutoff_flops") and value < 1:
                raise sheet.error(f"{value:g} cannot be; give a positive number or leave it empty", row, column)
            return value
        if field in self.LISTS and isinstance(cell, tuple | list):
            return tuple(str(part).strip() for part in cell)
        text = sheet.text(cell)
        if field in self.LISTS:
            return tuple(part.strip() for part in text.split(self.LISTS[field]) if part.strip())
        if field in self.FLAGS and text:
            if text.casefold() not in YES | NO:
                raise sheet.error(f"{text!r} is neither true nor false", row, column)
            return text.casefold() in YES
        if field == "role" and text and text.casefold() not in ("benchmark", "task"):
            raise sheet.error(f"{text!r} is no role; write benchmark or task", row, column)
        return text.casefold() if field == "role" else text

    def _add(self, sheet: Sheet, row: int, name: str, said: dict[str, object]) -> None:
        known = self.table.find(name)
        canonical = known or name
        if canonical.casefold() in (other.casefold() for other in self.rows):
            raise sheet.error(f"{canonical!r} is listed twice; keep one row of it", row, "benchmark")
        lower, upper = (said.get(end, BENCHMARK_DEFAULTS[end]) for end in ("lower", "upper"))
        if not lower < upper:  # type: ignore[operator]
            raise sheet.error(f"lower {lower} must be below upper {upper}", row)
        if known is not None:
            # the raw range and item count belong to the user's scores; the rest is settled
            settled = self.table.benchmarks.loc[known]
            for field in ("role", "chance", "signed", "has_ceiling"):
                if field in said and said[field] != settled[field]:
                    raise sheet.error(
                        f"{known} has {field} {settled[field]} in the table, not {said[field]}; leave it "
                        "empty, or give the benchmark another name",
                        row,
                        field,
                    )
        else:
            for alias in (name, *said.get("aliases", ())):  # type: ignore[misc]
                taken = self.table.find(alias) or self.names.get(alias.casefold())
                if taken not in (None, name):
                    raise sheet.error(f"{alias!r} is a name of {taken} too; use another one", row)
                self.names[alias.casefold()] = name
        self.rows[canonical] = said
        if "chance" in said:
            self.chances[canonical] = float(said["chance"])  # type: ignore[arg-type]

    def canonical(self, name: str) -> str:
        """Return the one name of a benchmark or task, new ones as first spelled."""
        known = self.table.find(name) or self.names.get(name.casefold())
        if known is None:
            known = self._from_bundled(name) or name
            self.names[name.casefold()] = known
        return known

    def _from_bundled(self, name: str) -> str | None:
        """Take over what the other bundled tables know of a benchmark that this one lacks."""
        for bundled in (load_base_llms(), load_instruct_llms()):
            if known := bundled.find(name):
                said = bundled.benchmarks.loc[known].to_dict()
                said["excludes"] = tuple(other for other in said["excludes"] if self.table.find(other))
                self.rows[known] = said
                self.chances.setdefault(known, said["chance"])
                return known
        return None

    def agree_on_chance(self, sheet: Sheet, row: int, name: str, chance: float) -> None:
        """See that the chance level in a row is one, and the same wherever it is given."""
        if np.isnan(chance):
            return
        if not 0 <= chance < 1:
            raise sheet.error(f"{chance:g} is no chance level; write a fraction such as 0.25", row, "chance")
        before = self.chances.setdefault(name, chance)
        if abs(before - chance) > 0.005:
            raise sheet.error(
                f"the chance level of {name} is {before:g} elsewhere, {chance:g} here; make them agree", row, "chance"
            )

    def range(self, name: str, *, raw: bool) -> tuple[float, float]:
        """Return the range of the scores in the file that maps to 0..1."""
        said = self.rows.get(name, {})
        default = dict(BENCHMARK_DEFAULTS)
        if raw and self.table.find(name):
            default |= self.table.benchmarks.loc[name].to_dict()
        lower, upper = (float(said.get(end, default[end])) for end in ("lower", "upper"))  # type: ignore[arg-type]
        return lower, upper

    def new_rows(self, scores: pd.DataFrame) -> pd.DataFrame:
        """Return the benchmarks that the table does not know, with all that was said or is assumed of them."""
        rows = {}
        new = self._new(scores)
        for name in new:
            said = dict(self.rows.get(name, {}))
            counts = scores.loc[scores["benchmark"] == name, "n_items"]
            if "n_items" not in said and counts.nunique() == 1:
                said["n_items"] = counts.dropna().iloc[0]
            if name in self.chances:
                said["chance"] = self.chances[name]
            row = BENCHMARK_DEFAULTS | said
            if name.casefold() in self.tasks:
                row["role"] = "task"
            # a declared benchmark without scores is not in the table and cannot be left out of anything
            excluded = (self.canonical(other) for other in row["excludes"])  # type: ignore[attr-defined]
            row["excludes"] = tuple(x for x in excluded if x in new or x not in self.rows or self.table.find(x))
            rows[name] = row
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(BENCHMARK_DEFAULTS))
        return frame.rename_axis("benchmark")

    def assumed(self, scores: pd.DataFrame) -> dict[str, list[str]]:
        """Return what is assumed of the new benchmarks because nobody said it."""
        missing = {}
        for name in self._new(scores):
            counted = "n_items" in self.rows.get(name, {}) or scores.loc[scores["benchmark"] == name, "n_items"].any()
            silent = ["chance 0"] * (name not in self.chances) + ["no item count"] * (not counted)
            if silent:
                missing[name] = silent
        return missing

    def _new(self, scores: pd.DataFrame) -> list[str]:
        return [name for name in scores["benchmark"].unique() if self.table.find(name) is None]


# ---------------------------------------------------------------------------------------------------------- scores


@dataclass(frozen=True)
class _Cell:
    row: int
    column: str
    benchmark: str
    score: float  # raw
    n_items: float = np.nan


def _wide_cells(sheet: Sheet, others: dict[int, str], declared: Declared) -> list[_Cell]:
    names: dict[str, str] = {}
    cells = []
    for position, column in others.items():
        if column.casefold() in LONG_COLUMNS:
            raise sheet.error(
                "in a table with a column per benchmark this says nothing about which one; put it in a "
                "benchmarks table",
                column=column,
            )
        name = declared.canonical(column)
        if name in names:
            raise sheet.error(f"columns {names[name]!r} and {column!r} are both {name}; keep one of them")
        names[name] = column
        for row, values in sheet.rows:
            score = sheet.number(row, column, values[position])
            if not np.isnan(score):
                cells.append(_Cell(row, column, name, score))
    return cells


def _long_cells(sheet: Sheet, others: dict[int, str], declared: Declared) -> list[_Cell]:
    position = {column.casefold(): number for number, column in others.items()}
    for column in others.values():
        if column.casefold() not in LONG_COLUMNS:
            near = close_names(column, [*LONG_COLUMNS, *MODEL_COLUMNS])
            raise sheet.error(
                "a table with a row per score has no such column; " + (f"is it {near[0]!r}?" if near else "remove it"),
                column=column,
            )
    cells: list[_Cell] = []
    for row, values in sheet.rows:
        column = others[position["benchmark"]]
        name = sheet.text(values[position["benchmark"]])
        if name == "":
            raise sheet.error("the row has no benchmark; name it or remove the row", row, column)
        name = declared.canonical(name)
        numbers = {}
        for field in ("score", "n_items", "chance"):
            if field in position:
                numbers[field] = sheet.number(row, others[position[field]], values[position[field]])
        if numbers.get("n_items", 1) < 1:
            raise sheet.error(
                f"{numbers['n_items']:g} items cannot be; give at least 1 or leave the cell empty",
                row,
                others[position["n_items"]],
            )
        declared.agree_on_chance(sheet, row, name, numbers.pop("chance", np.nan))
        if not np.isnan(numbers["score"]):
            cells.append(_Cell(row, others[position["score"]], name, **numbers))
    return cells


def _scores(
    sheet: Sheet, models: _Models, cells: list[_Cell], declared: Declared, is_long: bool, chance_corrected: bool
) -> pd.DataFrame:
    """Map the raw scores to 0..1."""
    rows = []
    seen: dict[tuple[str, str], int] = {}
    by_benchmark: dict[str, list[_Cell]] = {}
    for cell in cells:
        by_benchmark.setdefault(cell.benchmark, []).append(cell)
    for name, column in by_benchmark.items():
        lower, upper = declared.range(name, raw=not is_long)
        chance = declared.chances.get(name, 0.0)
        lowest = -chance / (1 - chance) if chance_corrected and (lower, upper) == (0, 1) else lower
        outside = [cell for cell in column if not lowest - 1e-9 <= cell.score <= upper + 1e-9]
        if outside:
            label = f"{name} in column {outside[0].column!r}" if is_long else None
            raise sheet.error(_outside(outside, column, lower, upper, name), outside[0].row, label or outside[0].column)
        count = declared.rows.get(name, {}).get("n_items", np.nan) if declared.table.find(name) else np.nan
        for cell in column:
            model = models.by_row[cell.row]
            if (first := seen.setdefault((model, name), cell.row)) != cell.row:
                raise sheet.error(
                    f"{model} already has a score on {name} in row {first}; keep one", cell.row, cell.column
                )
            score = min(max((cell.score - lower) / (upper - lower), lowest if chance_corrected else 0.0), 1.0)
            n_items = count if np.isnan(cell.n_items) else cell.n_items
            rows.append((model, name, score, n_items, cell.row, cell.column))
    frame = pd.DataFrame(rows, columns=["model", "benchmark", "score", "n_items", "row", "column"])
    return frame.astype({"score": float, "n_items": float})


def _outside(outside: list[_Cell], column: list[_Cell], lower: float, upper: float, name: str) -> str:
    """Say what is wrong with scores out of range; percent and chance-corrected scores are the usual causes."""
    value = outside[0].score
    fractions = (lower, upper) == (0, 1)
    one_slip = len(outside) == 1 < len(column)
    if fractions and not one_slip and all(0 <= cell.score <= 100 for cell in column):
        kind = "percent" if 2 * len(outside) > len(column) else "a mix of percent and fractions"
        return (
            f"score {value:g} is not a fraction; {len(outside)} of the {len(column)} scores are above 1, so this looks "
            f"like {kind}; divide by 100, or declare upper=100 for {name!r} in a benchmarks table"
        )
    if fractions and value < 0:
        rows = ", ".join(str(cell.row) for cell in outside[:20]) + (", ..." if len(outside) > 20 else "")
        return (
            f"score {value:g} is below 0 (in all {len(outside)} such scores, rows {rows}), though a score includes "
            "chance; turn chance-corrected scores back with score * (1 - chance) + chance"
        )
    return (
        f"score {value:g} is outside {lower:g}..{upper:g}; correct it, or declare lower and upper for {name!r} in a "
        "benchmarks table"
    )


def _keys(scores: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(scores[["model", "benchmark"]])
