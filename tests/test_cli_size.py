"""Size and tokens on the command line: instead of FLOPs, beside them, and where they are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click
import pandas as pd
import pytest

from bayes_obscaling.cli.options import FitOptions
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.fit import CapabilityFit

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def sized(sized_fit: CapabilityFit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sized_fit.save(tmp_path_factory.mktemp("sizes") / "sized.nc")


@pytest.fixture(scope="module")
def alone(made_fit: CapabilityFit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_fit.save(tmp_path_factory.mktemp("sizes") / "alone.nc")


def test_a_forecast_at_a_size_and_tokens(sized: Path, alone: Path, run: Run, tmp_path: Path):
    for fit, has_ratio in ((sized, True), (alone, False)):
        table = tmp_path / "forecast.csv"
        asked = ("forecast", "--fit", fit, "-t", "task-0", "--family", "family-1", "--size", "8e9", "--tokens", "15e12")
        code, out, _ = run(*asked, "--output", table)
        assert code == 0 and "7.2e+23 FLOPs" in " ".join(out.split())
        (row,) = pd.read_csv(table).to_dict("records")
        assert row["flops"] == pytest.approx(7.2e23)
        assert row.get("tokens_per_param") == (pytest.approx(1875) if has_ratio else None)


@pytest.mark.parametrize(
    ("size", "tokens"), [("8B", "15T"), ("8,000,000,000", "15 trillion"), ("8 x 10^9", "1.5e13"), ("8000M", "15000 bn")]
)
def test_numbers_have_the_forms_that_files_have(alone: Path, run: Run, size: str, tokens: str):
    asked = ("forecast", "--fit", alone, "-t", "task-0", "--family", "family-1", "--size", size, "--tokens", tokens)
    code, out, err = run(*asked)
    assert code == 0 and "7.2e+23 FLOPs" in " ".join(out.split()), err


def test_no_option_of_size_data_or_compute_reads_plain_floats_only():
    from bayes_obscaling import cli

    found = []
    for name in cli.app.list_commands(click.Context(cli.app)):
        command = cli.app.get_command(click.Context(cli.app), name)
        for one in command.params:
            if one.type is click.FLOAT and re.search("flops|size|tokens|params", str(one.name)):
                found.append((name, one.name))
    assert not found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("forecast -t MMLU --family new --flops 3Q", "--flops is '3Q', not a number: write it as 3.6e25"),
        ("forecast -t MMLU --cutoff-flops 50%", "--cutoff-flops is '50%', not a plain number"),
        ("select --task MMLU --budget 3 --max-size 1,024", "'1,024' may be 1024 or 1.024"),
        ("cutoffs -o study --task MMLU --cutoffs 1e22,much", "--cutoffs is 'much', not a number"),
        ("ladder --target N=7B,D=4Q", "D is '4Q', not a number"),
        ("ladder --backtest --hold-out big", "--hold-out is 'big', not a number"),
    ],
)
def test_what_is_no_number_is_said(run: Run, arguments: str, message: str):
    code, _, err = run(*arguments.split())
    assert code == 2 and message in " ".join(err.split())


def test_a_target_has_units():
    from bayes_obscaling.cli.ladder import _target

    assert _target("name=7B,N=7B,D=4T") == _target("name=7B,N=7e9,D=4e12")


def test_flops_alone_assume_a_ratio_and_say_so(sized: Path, run: Run):
    code, out, _ = run("forecast", "--fit", sized, "-t", "task-0", "--family", "family-1", "--flops", "1e23")
    assert code == 0 and "Tokens per parameter assumed, the family's latest: family-1 @ 1e+23 FLOPs (" in out


def test_the_law_is_an_option_of_fits():
    assert FitOptions(compute_law="size-and-data").spec() == CapabilitySpec(compute_law="size-and-data")
    assert FitOptions(curvature=True).spec() == FitOptions(compute_law="box-cox").spec()
    assert FitOptions(compute_law="log-linear").spec() == FitOptions().spec() == CapabilitySpec()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-t MMLU --family new --flops 1e23 --size 8e9", "--compute-law size-and-data"),
        ("-t MMLU --family new --size 8e9", "--flops, such as 3e24, or --size and --tokens"),
        ("-t MMLU --family new --size -8e9 --tokens 1e12", "--size is -8e+09: give a positive number"),
        ("-t MMLU --family new --family Llama-3 --size 8e9 --tokens 1e12", "--family Llama-2 --size 8e9"),
        ("-t MMLU --curvature --compute-law size-and-data", "--curvature is not the law size-and-data"),
        ("-t frontiermath_v2 --table frontier --compute-law size-and-data", "63 of 188"),
        ("-t MMLU --compute-law size-and-data --family new --flops 1e23 --size 8e9 --tokens 1e13", "FLOPs of 6 N D"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(run: Run, arguments: str, message: str):
    code, _, err = run("forecast", *arguments.split())
    assert code == 2 and message in " ".join(err.split())
