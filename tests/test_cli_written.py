"""Tables that the command line writes: the kind of file is what its ending says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bayes_obscaling.errors import InputError
from bayes_obscaling.results.reach import check_level
from bayes_obscaling.results.summaries import json_rows

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("t.csv", pd.read_csv),
        ("t.tsv", lambda path: pd.read_csv(path, sep="\t")),
        ("T.XLSX", pd.read_excel),
        ("t.json", lambda path: pd.DataFrame(json.loads(path.read_text()))),
    ],
)
def test_the_ending_says_what_is_written(run: Run, tmp_path: Path, name: str, read: Callable[[Path], pd.DataFrame]):
    code, out, _ = run("tasks", "--output", tmp_path / name)
    assert code == 0 and f"Wrote {tmp_path / name}" in out
    table = read(tmp_path / name)
    assert {"name", "role", "chance"} <= set(table) and "MMLU" in set(table["name"])
    assert set(table.loc[table["name"] == "MMLU", "chance"]) == {0.25}


@pytest.mark.parametrize("name", ["t.pdf", "t.parquet", "t.docx"])
def test_another_ending_is_refused_before_anything_is_done(run: Run, tmp_path: Path, name: str):
    code, out, err = run("tasks", "--output", tmp_path / name)
    assert code == 2 and out == "" and not (tmp_path / name).exists()
    assert err.strip() == f"Error: A table cannot be written as {name}: use .csv, .tsv, .json or .xlsx."


def test_what_is_not_known_is_null():
    table = pd.DataFrame({"median": ["2026-01-01", ""], "flops": [1.0, float("nan")], "family": ["A", "B"]})
    assert json_rows(table)[1] == {"median": None, "flops": None, "family": "B"}


def test_a_level_is_compared_with_a_chance_that_is_known():
    check_level("exam", float("nan"), 0.1)
    with pytest.raises(InputError, match=r"not between the chance score of exam \(0\.2\) and 1"):
        check_level("exam", 0.2, 0.1)
    with pytest.raises(InputError, match="not between 0 and 1"):
        check_level("exam", float("nan"), 2.0)
