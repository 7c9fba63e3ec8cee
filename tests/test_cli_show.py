"""What the command line prints: tables that cut no number, help with examples, one sentence when output fails."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pandas as pd
import pytest
from rich.console import Console

from bayes_obscaling.cli import app
from bayes_obscaling.cli.show import print_table

Run = Callable[..., tuple[int, str, str]]

TABLE = pd.DataFrame(
    {
        "model": ["meta-llama/Llama-2-70b-hf", "mistralai/Mistral-7B-Instruct-v0.1", "me/one"],
        "family": ["Llama-2", "Mistral", "Mine"],
        "flops": [8.4e23, float("nan"), 1.234e21],
        "scores": [8.0, 7.0, float("nan")],
        "median": [0.7123, 0.00012, -0.5],
        "q5": [0.61, 0.0001, -0.75],
        "q25": [0.68, 0.00011, -0.6],
        "q75": [0.74, 0.0002, -0.4],
        "q95": [0.8, 0.0003, -0.25],
    }
)


def printed(width: int | None) -> list[str]:
    to = Console(file=io.StringIO(), force_terminal=width is not None, width=width, soft_wrap=True, no_color=True)
    print_table(TABLE, to=to)
    return to.file.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()  # type: ignore[attr-defined]


def test_a_table_without_a_terminal_is_whole() -> None:
    header, *rows = printed(None)
    assert header.split() == list(TABLE)
    assert rows[0].split() == [
        *["meta-llama/Llama-2-70b-hf", "Llama-2", "8.4e+23", "8", "0.712", "0.610", "0.680", "0.740", "0.800"]
    ]
    assert rows[1].split()[2:] == ["7", "0.00012", "0.0001", "0.00011", "0.0002", "0.0003"]


@pytest.mark.parametrize("width", [100, 80, 60, 45, 30])
def test_a_narrow_terminal_gets_fewer_columns_and_whole_numbers(width: int) -> None:
    whole = {word for line in printed(None)[1:] for word in line.split()}
    header, *rows = printed(width)
    left_out = [name for name in TABLE if name not in header.split()]
    for line in rows[: len(TABLE)]:
        assert len(line) <= width
        assert {word for word in line.split() if word[-1:].isdigit() and word[0] in "-0123456789"} <= whole
    if left_out:
        assert all(name in rows[-1] for name in left_out)
    assert ("q5" in header.split()) == ("q95" in header.split()) and ("q25" in header) == ("q75" in header)


def test_help_has_an_example_and_a_short_name(run: Run) -> None:
    for name in app.list_commands(click.Context(app)):
        code, out, _ = run(name, "-h")
        assert code == 0 and f"Example: bayes-obscaling {name}" in " ".join(out.split())
    code, out, _ = run("--version")
    assert code == 0 and out.startswith("bayes-obscaling 0")


def test_help_waits_for_no_library() -> None:
    heavy = "{'pandas', 'numpy', 'jax', 'matplotlib', 'xarray'}"
    code = f"import sys; import bayes_obscaling.cli; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("where", ["> /dev/full", ">&-"])
@pytest.mark.parametrize("command", ["tasks", "tasks --json", "--help"])
def test_output_that_cannot_be_written_is_one_sentence(command: str, where: str) -> None:
    shell = f"{sys.executable} -m bayes_obscaling {command} {where}"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: Standard output") and done.stderr.count("\n") == 1


def test_options_that_change_a_fit_are_refused_beside_a_saved_one(run: Run) -> None:
    for option in (("--draws", "500"), ("--joint",), ("--all-models",), ("--benchmarks", "exam.csv")):
        code, _, err = run("forecast", "--fit", "fit.nc", *option)
        assert code == 2 and option[0] in err
