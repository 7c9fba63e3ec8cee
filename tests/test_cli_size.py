"""Size and tokens on the command line: instead of FLOPs, beside them, and where they are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
