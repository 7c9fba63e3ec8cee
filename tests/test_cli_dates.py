"""Release dates on the command line: what a year is worth, when a score is reached, which dates were assumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bayes_obscaling.results.fit import CapabilityFit

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def dated(dated_fit: CapabilityFit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dated_fit.save(tmp_path_factory.mktemp("dates") / "fit.nc")


@pytest.fixture(scope="module")
def undated(made_fit: CapabilityFit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = made_fit.spec.model_copy(update={"drift": "none"})
    assert spec == made_fit.spec, "made without a drift"
    return made_fit.save(tmp_path_factory.mktemp("dates") / "undated.nc")


def test_what_a_year_is_worth(dated: Path, run: Run, tmp_path: Path):
    table, plot = tmp_path / "drift.csv", tmp_path / "drift.png"
    code, out, _ = run("efficiency", "--drift", "--fit", dated, "--output", table, "--plot", plot)
    assert code == 0 and "A year is worth" in out and "told apart" in out
    assert set(pd.read_csv(table)["quantity"]) == {"decades", "multiple", "score"} and plot.stat().st_size > 5000
    code, out, _ = run("efficiency", "--fit", dated)  # families, of the same fit
    assert code == 0 and "comes first" in out and "that of its latest release" in " ".join(out.split())


def test_the_date_and_the_compute_to_reach_a_score(dated: Path, run: Run, tmp_path: Path):
    asked, plot = ("reach", "--fit", dated, "--task", "bench-1", "--level", "0.7"), tmp_path / "reach.png"
    code, out, _ = run(*asked, "--flops", "1e23", "--growth", "0.6", "--start", "2024-01", "--plot", plot)
    assert code == 0 and "A typical model of a family never seen of 1e+23 FLOPs on 2024-01-01 (growing by 0.6" in out
    assert plot.stat().st_size > 5000
    code, out, _ = run(*asked, "--family", "family-1", "--date", "2026-01", "--json")
    (row,) = json.loads(out)["table"]
    assert (code, row["family"], row["date"]) == (0, "family-1", "2026-01-01") and row["q5"] < row["median"] < row[
        "q95"
    ]


def test_compute_to_reach_a_score_takes_no_drift(undated: Path, run: Run):
    code, out, _ = run("reach", "--fit", undated, "-t", "bench-1", "--level", "0.6", "--family", "family-1")
    assert code == 0 and "A typical model of family-1 reaches 0.6 on bench-1 at" in out and "released" not in out


def test_a_forecast_says_which_date_it_assumed(dated: Path, run: Run, tmp_path: Path):
    scenario = ("--family", "new", "--flops", "1e24", "--family", "family-1", "--flops", "1e24")
    table = tmp_path / "forecast.csv"
    code, out, _ = run("forecast", "--fit", dated, "--task", "bench-1", *scenario, "--output", table)
    assert code == 0
    assert "Note: Release date assumed, the latest of all: new @ 1e+24 FLOPs (20" in out
    assert "Note: Release date assumed, the family's latest: family-1 @ 1e+24 FLOPs (20" in out
    rows = pd.read_csv(table)
    assert rows["dated_by"].tolist() == ["latest of all", "family's latest"] and rows["date"].iloc[0] in out
    code, out, _ = run("forecast", "--fit", dated, "--task", "bench-1", *scenario, "--date", "2026-05")
    assert code == 0 and "assumed" not in out and out.count("2026-05-01") >= 2
    code, out, _ = run(
        "forecast", "--fit", dated, "--task", "bench-1", *scenario, "--date", "2026-05", "--date", "2041-01"
    )
    assert code == 0 and "2026-05-01" in out and "2041-01-01" in out and "years after the latest model seen" in out
    thrice = ("--date", "2026") * 3
    code, _, err = run("forecast", "--fit", dated, "--task", "bench-1", *scenario, *thrice)
    assert code == 2 and "--date was given 3 times for 2 models" in err


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ("efficiency --drift --fit {undated}", ["knows no dates", "release dates"]),
        ("efficiency --drift --models family-1-2", ["--drift compares years", "--models"]),
        ("efficiency --drift --family Llama-2x", ["--drift compares years", "--family"]),
        ("reach --fit {undated} --task bench-1 --level 0.6 --flops 1e23", ["knows no dates", "release dates"]),
        ("reach --fit {dated} --task bench-1 --level 1.6", ["level 1.6", "between the chance score"]),
        ("reach --task MMLU --level 0.2", ["level 0.2", "between the chance score"]),
        ("reach --task MMLU --level 0.8 --family Lama", ["Lama", "did you mean"]),
        ("reach --task MMLU --level 0.8 --growth 0.5", ["--growth and --start", "--flops"]),
        ("reach --task MMLU --level 0.8 --flops 1e25 --date 2026", ["--date asks for compute", "one of them"]),
        ("reach --task MMLU --level 0.8 --flops 1e25 --growth 50", ["growth of compute is 50", "0.6"]),
        ("reach --task MMLU --level 0.8 --flops 1e25 --start soon", ["--start", "'soon' is no date"]),
        ("reach --level 0.8", ["--task"]),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_sentence(
    arguments: str, fragments: list[str], dated: Path, undated: Path, run: Run
):
    code, out, err = run(*arguments.format(dated=dated, undated=undated).split())
    assert code == 2 and not out and len(err.splitlines()) == 1
    for fragment in fragments:
        assert fragment in err


def test_a_date_asks_for_a_drift(run: Run, monkeypatch: pytest.MonkeyPatch):
    """Where the spec has none unless it is asked for."""
    from bayes_obscaling.cli.options import FitOptions
    from bayes_obscaling.models.spec import CapabilitySpec

    monkeypatch.setattr(FitOptions, "spec", lambda *_: CapabilitySpec(drift="none"))
    for arguments in ("--flops 1e25", "--date 2026-01"):
        code, _, err = run("reach", "--task", "MMLU", "--level", "0.8", *arguments.split())
        assert code == 2 and "fit with --drift family" in err


def test_drift_is_fitted_where_it_is_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch, dated_fit: CapabilityFit):
    specs = []

    def fit_table(_: object, __: object, *, spec: object, **___: object) -> CapabilityFit:
        specs.append(spec)
        return dated_fit

    monkeypatch.setattr("bayes_obscaling.inference.fit.fit_table", fit_table)
    code, out, _ = run("efficiency", "--drift", "--draws", "100")
    assert code == 0 and "A year is worth" in out
    assert [spec.drift for spec in specs] == ["family"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--level", "70"), "The level 70.0 is not between the chance score of bench-1 (0) and 1: give 0.7"),
        (("--level", "1.5"), "The level 1.5 is not between the chance score of bench-1 (0) and 1: give another"),
        (("--level", "high"), "--level is 'high', not a score: give a number such as 0.9"),
        (("--level", "1,024"), "--level is '1,024', not a score: give a number such as 0.9"),
    ],
)
def test_a_level_that_is_none(dated: Path, run: Run, options: tuple[str, ...], words: str):
    code, _, err = run("reach", "--fit", dated, "--task", "bench-1", *options)
    assert code == 2 and words in " ".join(err.split())


def test_a_level_in_percent(dated: Path, run: Run):
    answers = [run("reach", "--fit", dated, "--task", "bench-1", "--level", text) for text in ("70%", "0.7")]
    assert answers[0] == answers[1] and answers[0][0] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--date", "03/04/2025"), "--date: '03/04/2025' may be two dates"),
        (("--effort", "hihg"), "--effort: 'hihg' is no setting"),
    ],
)
def test_the_option_that_cannot_be_read_is_named(dated: Path, run: Run, options: tuple[str, ...], words: str):
    code, _, err = run("forecast", "--fit", dated, "-t", "bench-1", "--family", "new", "--flops", "1e24", *options)
    assert code == 2 and words in " ".join(err.split())


def test_an_unknown_fit_is_told_those_that_ship(run: Run):
    code, _, err = run("forecast", "--fit", "base", "--task", "MMLU")
    assert code == 2 and "There is no fit base" in err and "base-llms-paper" in err and "olmo-ladder" in err
