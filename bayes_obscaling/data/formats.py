"""A table of any kind of file, as a DataFrame of its cells: what the file is follows from its content, not its name.

Read are separated text (``,`` ``;`` tab ``|``; UTF-8, UTF-16, Windows-1252), Excel workbooks, Parquet, JSON records and
lines, Markdown tables, gzip of any of these, and the outputs of tools in `bayes_obscaling.data.outputs`.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import pandas as pd

from bayes_obscaling.data import outputs
from bayes_obscaling.errors import InputError

SEPARATORS = ",;\t|"
_SEPARATOR_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_ZIP, _GZIP, _PARQUET, _OLE = b"PK\x03\x04", b"\x1f\x8b", b"PAR1", b"\xd0\xcf\x11\xe0"
_RULE = re.compile(r"[\s|:-]*-[\s|:-]*")  # the line below the header of a Markdown table


@dataclass(frozen=True)
class RawTable:
    """Cells as they stand in a file.

    Attributes
    ----------
    name : str
        The file.
    frame : DataFrame
        Cells under their headers, of any type; the index counts rows as a spreadsheet shows them, the header being
        row 1, or the place in a list.
    notes : tuple of str
        What was understood in reading.
    other_sheets : tuple of str
        Further sheets of the workbook, of which one may be meant.
    files : tuple of str
        Of a folder: the file of each row.
    """

    name: str
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    other_sheets: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def error(self, problem: str, remedy: str = "", row: int | None = None) -> InputError:
        """Return the error with its place."""
        problem += in_sheet(self.other_sheets)
        return InputError(problem, remedy, self.name + ("" if row is None else f", row {row}"))

    def noting(self, *notes: str) -> RawTable:
        """Return the table with more notes."""
        return replace(self, notes=(*self.notes, *notes))


def in_sheet(others: tuple[str, ...]) -> str:
    """Return the hint that a problem is one of the first sheet, where nobody said which one is meant."""
    return f" (in the first sheet; --sheet, in Python sheet=, names another: {', '.join(others)})" if others else ""


def open_table(path: Path, sheet: str | None = None) -> RawTable:
    """Return the cells of a file, or of all results of a tool in a folder.

    Parameters
    ----------
    path : Path
        The file or folder.
    sheet : str, optional
        Sheet of a workbook; default the first.

    Raises
    ------
    InputError
        If it cannot be read, or is no table: one sentence with place and remedy.
    """
    table = RawTable(str(path), pd.DataFrame())
    try:
        if path.is_dir():
            return _folder(path, table)
        data = path.read_bytes()
    except FileNotFoundError:
        raise table.error("there is no such file", "check the path") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise table.error(f"cannot be read ({why})", "check the path") from None
    return _table(data, table, path.name, sheet)


def from_frame(frame: pd.DataFrame, name: str = "the table given") -> RawTable:
    """Return the cells of a frame; an index that has a name, or holds texts, is a column."""
    levels = [level for level in frame.index.names if level is not None]
    if levels:
        frame = frame.reset_index(levels)
    elif frame.index.dtype == object or pd.api.types.is_string_dtype(frame.index.dtype):
        frame = frame.rename_axis("" if "" not in frame else "index").reset_index()
    columns = [str(column).strip() for column in frame.columns]
    cells = {i: pd.Series(frame.iloc[:, i].tolist(), dtype=object) for i in range(len(columns))}
    plain = pd.DataFrame(cells, dtype=object, index=range(len(frame))).set_axis(columns, axis=1)
    plain.index = pd.RangeIndex(1, len(plain) + 1)
    return RawTable(name, plain)


def _table(data: bytes, table: RawTable, file: str, sheet: str | None) -> RawTable:
    """Recognise the kind of the bytes by how they begin."""
    if data.startswith(_GZIP):
        try:
            return _table(gzip.decompress(data), table, file.removesuffix(".gz"), sheet)
        except (OSError, EOFError, zlib.error) as error:
            raise table.error(f"the gzip file is damaged ({error})", "compress it again") from None
    if data.startswith(_ZIP):
        found = _zipped(data, table, sheet)
    elif sheet is not None:
        raise table.error(f"there is no sheet {sheet!r}: this is no Excel workbook", "leave out the sheet")
    elif data.startswith(_PARQUET):
        # a cell is decoded when it is looked at, and may be damaged where the file is not
        found = _read(lambda file: from_frame(pd.read_parquet(file), table.name), data, table, "Parquet")
    elif data.startswith(_OLE):
        raise table.error("this is an old Excel file (.xls)", "save it as .xlsx or CSV")
    else:
        found = _text(data, table, file)
    if not len(found.frame.columns):
        raise found.error("the file is empty", "it needs a header and a row per model")
    return found


def _read(reader: Callable[..., Any], data: bytes, table: RawTable, kind: str, **options: Any) -> Any:
    """Let a library read the bytes; whatever it raises means that they are damaged."""
    try:
        return reader(io.BytesIO(data), **options)
    except Exception as error:
        problem = f"the {kind} file cannot be read ({shorten(str(error), 100, placeholder=' ...')})"
        raise table.error(problem, "export the table as CSV in UTF-8") from None


# ----------------------------------------------------------------------------------------------- folders, workbooks


def _folder(path: Path, table: RawTable) -> RawTable:
    """Read every result of a tool in a folder."""
    frames: list[pd.DataFrame] = []
    notes: list[str] = []
    files: list[str] = []
    for file in sorted(path.rglob("*")):
        if file.suffix not in (".json", ".eval") or not file.is_file():
            continue
        try:
            found = _table(file.read_bytes(), replace(table, name=str(file)), file.name, None)
        except InputError:
            continue  # samples and settings lie beside the results
        if found.frame.attrs.get("is_output"):
            frames.append(found.frame)
            notes += found.notes
            files += [str(file)] * len(found.frame)
    if not frames:
        raise table.error("this is a folder without results of a tool", "name a file in it")
    whole = pd.concat(frames, ignore_index=True)
    whole.index += 1
    said = (f"read {len(frames)} files of results", *dict.fromkeys(notes))
    return replace(table, frame=whole, notes=said, files=tuple(files))


def _zipped(data: bytes, table: RawTable, sheet: str | None) -> RawTable:
    """Read a workbook, or the log of a tool."""
    archive = _read(zipfile.ZipFile, data, table, "zip")
    names = archive.namelist()
    if "xl/workbook.xml" in names:
        return _workbook(data, table, sheet)
    if "header.json" in names:  # a log of Inspect
        return _json(json.loads(archive.read("header.json")), table)
    raise table.error("this is not a CSV file but binary data", "export the table as CSV in UTF-8")


def _workbook(data: bytes, table: RawTable, sheet: str | None) -> RawTable:
    import openpyxl

    values, formulas = (
        _read(openpyxl.load_workbook, data, table, "Excel", data_only=computed) for computed in (True, False)
    )
    names = [page.title for page in values.worksheets]
    matches = [name for name in names if sheet is None or name.casefold() == sheet.casefold()]
    if not matches:
        raise table.error(f"there is no sheet {sheet!r}", f"the sheets are {', '.join(names)}")
    notes = [f"read sheet {matches[0]!r} (the others are {', '.join(names[1:])})"] * (sheet is None and len(names) > 1)
    rows = []
    for cells, written in zip(values[matches[0]].iter_rows(), formulas[matches[0]].iter_rows(), strict=True):
        for cell, source in zip(cells, written, strict=True):
            if cell.value is None and source.data_type == "f":
                where = replace(table, name=f"{table.name}, cell {source.coordinate}")
                raise where.error("the formula was never calculated", "open the workbook, save it, and read it again")
        rows.append([_shown(cell) for cell in cells])
    others = tuple(names[1:]) if sheet is None else ()
    return _headed(rows, replace(table, other_sheets=others).noting(*notes))


def _shown(cell: Any) -> object:
    """Return the value of a cell of Excel; a number that Excel shows as percent keeps its sign."""
    is_percent = "%" in str(cell.number_format) and isinstance(cell.value, int | float)
    return f"{cell.value * 100:.15g}%" if is_percent else cell.value


# -------------------------------------------------------------------------------------------------------------- text


def _text(data: bytes, table: RawTable, file: str) -> RawTable:
    text, notes = _decoded(data, table)
    table = table.noting(*notes)
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _json(json.loads(text), table, Path(file).stem)
        except ValueError:
            pass
        try:
            return _json([json.loads(line) for line in text.splitlines() if line.strip()], table, Path(file).stem)
        except ValueError as error:
            if text.lstrip()[:2] in ('{"', "[{", "{\n", "[\n"):
                raise table.error(f"this is not valid JSON ({error})", "export it again, or as CSV") from None
    lines = text.splitlines()
    rules = [at for at, line in enumerate(lines) if "|" in line and _RULE.fullmatch(line)]
    if rules and rules[0] > 0:
        return _markdown(lines, rules, table)
    return _separated(text, table)


def _decoded(data: bytes, table: RawTable) -> tuple[str, list[str]]:
    try:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16"), []
        if b"\0" in data:
            raise table.error("this is not a CSV file but binary data", "export the table as CSV in UTF-8")
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
    try:
        text = data.decode("cp1252")
        if data.startswith((b"\xff\xfe", b"\xfe\xff")) or re.search(r"[\x00-\x08\x0e-\x1f]", text):
            raise ValueError
    except ValueError:
        raise table.error("the text is not in UTF-8", "save the file as CSV in UTF-8", row) from None
    odd = next(iter(re.findall(r"\S*[^\x00-\x7f]\S*", text)))
    return text, [f"the text is not in UTF-8; it is read as Windows-1252 ({odd[:30]!r} in row {row})"]


def _separated(text: str, table: RawTable) -> RawTable:
    """Read separated text by the separator under which rows are as long as the header."""
    found: dict[str, list[list[str]]] = {}
    for mark in SEPARATORS:
        try:
            found[mark] = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True))
        except csv.Error as error:
            if mark == ",":
                broken = table.error(f"this is not a CSV file ({error})", "export the table as CSV")

    def fit(mark: str) -> tuple[bool, int]:
        """Return whether there is no title of one cell above, and the columns of every row (0 where rows differ)."""
        lengths = [len(row) for row in found[mark] if any(cell.strip() for cell in row)]
        widths = set(itertools.dropwhile(lambda length: length == 1, lengths))
        return (lengths[0] > 1, widths.pop()) if len(widths) == 1 else (False, 0)

    best = max(found, key=fit, default="")  # the first of equals, commas before others
    if not best or (fit(best)[1] == 0 and "," not in found):
        raise broken
    best = best if fit(best)[1] else ","
    notes = [f"columns are separated by {_SEPARATOR_NAMES[best]}"] * (best != ",")
    return _headed(found[best], table.noting(*notes))


def _markdown(lines: list[str], rules: list[int], table: RawTable) -> RawTable:
    """Read the first table of a Markdown text."""
    first = rules[0] - 1
    last = next((at for at in range(rules[0], len(lines)) if "|" not in lines[at]), len(lines))
    rows: list[list[str]] = [[] for _ in lines]
    for at in {*range(first, last)} - {rules[0]}:
        cells = re.split(r"(?<!\\)\|", lines[at].strip().removeprefix("|").removesuffix("|"))
        rows[at] = [re.sub(r"^(\*\*|__|`)(.*)\1$", r"\2", cell.strip()).replace("\\|", "|") for cell in cells]
    notes = [f"the first of {len(rules)} tables is read"] * (len(rules) > 1)
    return _headed(rows, table.noting("a Markdown table", *notes))


def _headed(rows: list[list[Any]], table: RawTable) -> RawTable:
    """Return the frame below the header: the first row, unless that is a title, or groups of columns, above it."""
    is_filled = [[not (cell is None or str(cell).strip() == "") for cell in row] for row in rows]
    filled = [at for at, row in enumerate(is_filled) if any(row)]
    if not filled:
        return table
    start = next((place for place, at in enumerate(filled) if sum(is_filled[at]) > 1), 0)
    titles = [_first(rows[at]) for at in filled[:start]]
    if start == len(filled) - 1 or not all(len(rows[at]) == 1 or " " in _first(rows[at]) for at in filled[:start]):
        start, titles = 0, []
    start, titles = _below_titles(rows, is_filled, filled, start, titles)
    header, body = rows[filled[start]], filled[start + 1 :]
    width = len(header)
    for at in body:
        if len(rows[at]) != width:
            problem = f"there are {len(rows[at])} cells under {width} columns"
            raise table.error(problem, "quote the cells that hold separators, and fill up short rows", at + 1)
    columns = ["" if name is None else str(name).strip() for name in header]
    kept = [i for i in range(width) if columns[i] or any(is_filled[at][i] for at in body)]
    cells = [[rows[at][i] for i in kept] for at in body]
    frame = pd.DataFrame(cells, index=[at + 1 for at in body], columns=[columns[i] for i in kept], dtype=object)
    return replace(table, frame=frame).noting(*(f"the title {title!r} is left aside" for title in titles))


def _below_titles(
    rows: list[list[Any]], is_filled: list[list[bool]], filled: list[int], start: int, titles: list[str]
) -> tuple[int, list[str]]:
    """Return where the header stands among the filled rows, below titles of several cells and groups of columns."""
    widths = [sum(is_filled[at]) for at in filled]
    gap = next((i for i in range(start, len(filled) - 2) if filled[i + 1] - filled[i] > 1), None)
    if gap is not None and max(widths[: gap + 1]) < widths[gap + 1]:  # narrow, and apart: facts about the table
        titles = [_first(rows[at]) for at in filled[: gap + 1]]
        start = gap + 1
    if start < len(filled) - 2 and widths[start] < widths[start + 1] and _are_names(rows[filled[start + 1]]):
        titles.append(_first(rows[filled[start]]))  # the names of groups of columns, in merged cells
        start += 1
    return start, titles


def _are_names(cells: list[Any]) -> bool:
    """Whether a row holds a different text in each of its cells, and no number."""
    texts = ["" if cell is None else str(cell).strip() for cell in cells]
    return "" not in texts and len(set(texts)) == len(texts) and not any(text[0].isdigit() for text in texts)


def _first(cells: list[Any]) -> str:
    return next(str(cell).strip() for cell in cells if cell is not None and str(cell).strip())


# -------------------------------------------------------------------------------------------------------------- JSON


def _json(content: Any, table: RawTable, stem: str = "") -> RawTable:
    """Read the output of a tool, records, or one of the forms in which pandas writes a frame."""
    if (output := outputs.recognised(content, stem)) is not None:
        frame, notes = output
        frame.attrs["is_output"] = True
        if not len(frame):
            raise table.error("; ".join(notes) or "there is no result in it", "name a file with results")
        return replace(table, frame=frame, notes=(*table.notes, *notes))
    frame = _json_frame(content)
    if frame is None or not len(frame.columns):
        raise table.error("this JSON holds no table", "write a list of records, one per model or score")
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return replace(table, frame=frame.astype(object))


def _json_frame(content: Any) -> pd.DataFrame | None:
    if isinstance(content, list) and content and all(isinstance(row, dict) for row in content):
        frame = pd.json_normalize(content)
        leaves = [str(name).rpartition(".")[2] for name in frame]
        return frame.set_axis(leaves, axis=1) if len(set(leaves)) == len(leaves) else frame
    if not isinstance(content, dict):
        return None
    for key in ("data", "rows", "records", "models", "leaderboard"):
        if isinstance(content.get(key), list):
            rows = content[key]
            if rows and isinstance(rows[0], list) and isinstance(content.get("columns"), list):
                is_table = all(len(row) == len(content["columns"]) for row in rows)
                return pd.DataFrame(rows, columns=[str(name) for name in content["columns"]]) if is_table else None
            return _json_frame(rows)
    if content and all(isinstance(part, dict) for part in content.values()):
        inner = [str(key) for part in content.values() for key in part]
        is_by_row = inner and all(re.fullmatch(r"\d+", key) for key in inner)  # pandas: column -> row -> value
        if is_by_row:
            return pd.DataFrame({name: pd.Series(part) for name, part in content.items()})
        return pd.DataFrame.from_dict(content, orient="index").rename_axis("model").reset_index()
    if content and all(isinstance(part, list) for part in content.values()):
        is_table = len({len(part) for part in content.values()}) == 1
        return pd.DataFrame(content) if is_table else None
    is_record = content and not any(isinstance(part, dict | list) for part in content.values())
    return pd.DataFrame([content]) if is_record else None
