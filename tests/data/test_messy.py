"""Files as people have them: titles above, merged headers, notes between, marks of percent, in every combination."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from bayes_obscaling.data import ScoreTable, load_base_llms, read_scores
from bayes_obscaling.errors import InputError

BASE = load_base_llms("paper")
MODELS = ("me/one-7b", "me/two-13b", "me/three-70b")
SCORES = {"MMLU": (0.4605, 0.5512, 0.7), "HellaSwag": (0.781, 0.8056, 0.87), "my_exam": (0.3525, 0.45, 0.625)}
HEADERS = {
    "plain": {"Model": "Model", "MMLU": "MMLU", "HellaSwag": "HellaSwag", "my_exam": "my_exam"},
    "shots": {"Model": "model_name", "MMLU": "mmlu (5-shot)", "HellaSwag": "hellaswag_10shot", "my_exam": "my_exam"},
    "units": {"Model": "LLM", "MMLU": "MMLU", "HellaSwag": "HellaSwag (acc_norm)", "my_exam": "my_exam"},
}
Rows = list[list[Any]]


def combined(*choices: Any) -> list[tuple[Any, ...]]:
    return list(product(*choices))


def right(table: ScoreTable) -> None:
    """See that the scores are those of the example."""
    found = table.matrix(list(SCORES)).loc[list(MODELS)]
    for name, values in SCORES.items():
        assert found[name].tolist() == pytest.approx(values, abs=1e-9), name


def rows_of(header: str = "plain", cell: Callable[[float], Any] = float) -> Rows:
    names = HEADERS[header]
    body = [[model, *(cell(SCORES[name][i]) for name in SCORES)] for i, model in enumerate(MODELS)]
    return [[names["Model"], *(names[name] for name in SCORES)], *body]


# --- text ---------------------------------------------------------------------------------------------------------

CELLS: dict[str, Callable[[float], str]] = {
    "fraction": lambda x: f"{x:g}",
    "percent sign": lambda x: f"{100 * x:g}%",
    "spaced percent": lambda x: f"{100 * x:g} %",
    "percent": lambda x: f"{100 * x:g}",
    "with error": lambda x: f"{x:g} ± 0.01",
}


def text(rows: Rows, mark: str, decimal: str = ".") -> str:
    return "\n".join(
        mark.join(str(cell).replace(".", decimal) if i else str(cell) for i, cell in enumerate(row)) for row in rows
    )


@pytest.mark.parametrize(("mark", "cell", "header"), combined((",", ";", "\t", "|"), CELLS, ("plain", "shots")))
def test_text_in_every_combination(tmp_path: Path, mark: str, cell: str, header: str):
    path = tmp_path / "scores.csv"
    path.write_text(text(rows_of(header, CELLS[cell]), mark) + "\n")
    right(read_scores(path, into=BASE))


@pytest.mark.parametrize(
    ("encoding", "cell"), combined(("utf-8-sig", "utf-16", "cp1252"), ("fraction", "percent sign", "percent"))
)
def test_excel_exports_of_other_countries(tmp_path: Path, encoding: str, cell: str):
    """Semicolons, decimal commas, a byte order mark."""
    path = tmp_path / "scores.csv"
    path.write_bytes(text(rows_of("units", CELLS[cell]), ";", ",").replace("\n", "\r\n").encode(encoding))
    right(read_scores(path, into=BASE))


@pytest.mark.parametrize("columns", [("MMLU",), ("HellaSwag", "my_exam")])
def test_columns_of_percent_and_of_fractions_may_stand_side_by_side(tmp_path: Path, columns: tuple[str, ...]):
    rows = rows_of()
    for row in rows[1:]:
        for i, name in enumerate(SCORES, start=1):
            row[i] = f"{100 * row[i]:g}%" if name in columns else row[i]
    (tmp_path / "scores.csv").write_text(text(rows, ","))
    right(read_scores(tmp_path / "scores.csv", into=BASE))


@pytest.mark.parametrize("mixed", ["46.05", "0.4605"])
def test_a_column_that_mixes_percent_and_fractions_is_refused(tmp_path: Path, mixed: str):
    rows = rows_of("plain", CELLS["percent" if mixed == "0.4605" else "fraction"])
    rows[1][1] = mixed
    (tmp_path / "scores.csv").write_text(text(rows, ","))
    with pytest.raises(InputError, match="MMLU"):
        read_scores(tmp_path / "scores.csv", into=BASE)


# --- workbooks ----------------------------------------------------------------------------------------------------

LAYOUTS = ("plain", "title", "title and date", "merged header", "right of a margin", "notes below")
FORMATS = ("number", "percent format", "percent text", "text")


def workbook(rows: Rows, layout: str, form: str, path: Path) -> None:
    book = openpyxl.Workbook()
    page = book.active
    above: Rows = {
        "title": [["Scores of the spring"], []],
        "title and date": [["Scores of the spring"], ["written on", "2026-05-01"], []],
        "merged header": [["", "Benchmarks", "", "Our own"]],
    }.get(layout, [])
    margin = [None] if layout == "right of a margin" else []
    for row in [*above, *([*margin, *row] for row in rows)]:
        page.append(row)
    if layout == "merged header":
        page.merge_cells("B1:C1")
    if layout == "notes below":
        page.append([])
        page.append(["Note: greedy decoding"])
    if form == "percent format":
        for row in page.iter_rows(min_row=len(above) + 2, max_row=len(above) + len(rows), min_col=2 + len(margin)):
            for cell in row:
                cell.number_format = "0.00%"
    book.save(path)


@pytest.mark.parametrize(("layout", "form"), combined(LAYOUTS, FORMATS))
def test_workbooks_in_every_combination(tmp_path: Path, layout: str, form: str):
    cell: Callable[[float], Any] = {"percent text": CELLS["percent sign"], "text": CELLS["fraction"]}.get(form, float)
    workbook(rows_of("plain", cell), layout, form, tmp_path / "scores.xlsx")
    right(read_scores(tmp_path / "scores.xlsx", into=BASE))


# --- turned tables ------------------------------------------------------------------------------------------------


def turned(cell: str) -> Rows:
    return [list(column) for column in zip(*rows_of("plain", CELLS[cell]), strict=True)]


NOTES: dict[str, Callable[[Rows], Rows]] = {
    "nothing more": lambda rows: rows,
    "an average": lambda rows: [*rows, ["Average", "0.5", "0.6", "0.7"]],
    "sizes": lambda rows: [rows[0], ["Model Size (B)", "7", "13", "70"], *rows[1:]],
    "a family": lambda rows: [rows[0], ["Model Family", "Mine", "Mine", "Mine"], *rows[1:]],
    "notes": lambda rows: [*rows, ["Notes", "greedy", "greedy", "two runs"]],
    "a licence": lambda rows: [*rows, ["License", "mit", "mit", "apache-2.0"]],
}


@pytest.mark.parametrize(("more", "cell"), combined(NOTES, ("fraction", "percent sign", "percent")))
def test_turned_tables_in_every_combination(tmp_path: Path, more: str, cell: str):
    (tmp_path / "scores.csv").write_text(text(NOTES[more](turned(cell)), ","))
    right(read_scores(tmp_path / "scores.csv", into=BASE))


# --- JSON ---------------------------------------------------------------------------------------------------------


def objects(shape: str) -> Any:
    header, *body = rows_of()
    records = [dict(zip(header, row, strict=True)) for row in body]
    return {
        "records": records,
        "by model": {row["Model"]: {k: v for k, v in row.items() if k != "Model"} for row in records},
        "by column": {name: [row[name] for row in records] for name in header},
        "under data": {"data": records},
        "with null": [{**row, "GSM8K": None} for row in records],
        "texts": [{k: str(v) for k, v in row.items()} for row in records],
        "percent": [{k: v if k == "Model" else f"{100 * v:g}%" for k, v in row.items()} for row in records],
    }[shape]


@pytest.mark.parametrize(
    ("shape", "indent"),
    combined(("records", "by model", "by column", "under data", "with null", "texts", "percent"), (None, 2)),
)
def test_json_in_every_shape(tmp_path: Path, shape: str, indent: int | None):
    (tmp_path / "scores.json").write_text(json.dumps(objects(shape), indent=indent))
    right(read_scores(tmp_path / "scores.json", into=BASE))


def test_a_turned_table_may_have_a_row_of_models(tmp_path: Path):
    rows = ["what,a,b", "Model,m-1,m-2", "flops,1e23,2e23", "MMLU,0.5,0.6"]
    (tmp_path / "scores.csv").write_text("\n".join(rows))
    assert list(read_scores(tmp_path / "scores.csv").models.index) == ["m-1", "m-2"]
