"""backtest and cutoffs on the command line: what is refused, what is written, and that a study is resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from scored_cells import AS_OF, made_dated_study

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.evaluation import cutoff_study as module
from bayes_obscaling.evaluation.backtest import Backtest

Run = Callable[..., tuple[int, str, str]]
SHORT = ("--chains", "2", "--draws", "100")


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["backtest"], ["--task", "--suite"]),
        (["backtest", "--task", "gsm8k_cot"], ["--cutoff-flops", "--hold-out", "none"]),
        (["backtest", "--task", "gsm8k_cot", "--cutoff-flops", "8e22", "--best", ".1"], ["one of"]),
        (["backtest", "--task", "gsm8k_cot", "--cutoff-flops", "1e17"], ["1e+17", "raise the cutoff"]),
        (["backtest", "--task", "gsm8k_cot", "--hold-out", "bigscience/bloom"], ["gsm8k_cot", "scored on it"]),
        (["backtest", "--task", "gsm8k_cot", "--cutoff-flops", "8e22", "--methods", "pc-9"], ["pc-9", "pc-3"]),
        (["backtest", "--task", "gsm8k_cot", "--leave-family", "Lama"], ["Lama"]),
        (["backtest", "--task", "gsm8k_cot", "--hold-out", "nobody/none"], ["nobody/none"]),
        (["backtest", "--task", "gsm8k_cot", "--as-of", "spring"], ["'spring' is no date"]),
        (["backtest", "--task", "gsm8k_cot", "--as-of", "2024-03", "--best", ".1"], ["one of", "--as-of, --best"]),
        (["backtest", "--task", "gsm8k_cot", "--as-of", "2026"], ["gsm8k_cot", "take an earlier date"]),
        (["backtest", "--suite", "out-of-time", "--as-of", "2024-03"], ["--suite"]),
        (["backtest", "--suite", "best"], ["best", "published"]),
        (["backtest", "--suite", "published", "--task", "gsm8k_cot"], ["--suite"]),
        (["cutoffs", "--output", "study"], ["--task", "--cutoffs"]),
        (["cutoffs", "--output", "study", "--resume"], ["no study", "study"]),
        (["cutoffs", "--output", "study", "--task", "gsm8k_cot", "--as-of", "soon,2024"], ["--as-of", "'soon'"]),
        (["cutoffs", "--output", "study", "--task", "gsm8k_cot", "--as-of", "2024:2023:4"], ["FROM:TO:COUNT", "dates"]),
        (["cutoffs", "--output", "study", "--task", "gsm8k_cot", "--as-of", "2024", "--cutoffs", "1e22"], ["both say"]),
        (["cutoffs", "--output", "study", "--task", "gsm8k_cot", "--cutoffs", "1e22:3e23"], ["FROM:TO:COUNT"]),
        (["cutoffs", "--output", "study", "--task", "gsm8k_cot", "--cutoffs", "3e23:1e22:5"], ["FROM:TO:COUNT"]),
        (["cutoffs", "--output", "study", "--task", "gsm8k_cot", "--cutoffs", "-1"], ["FROM:TO:COUNT"]),
        (
            ["cutoffs", "--output", "study", "--task", "x", "--cutoffs", "1e22", "--workers", "2", "--scheduler", "t"],
            ["--workers", "--scheduler"],
        ),
        (["cutoffs", "--output", "file", "--task", "gsm8k_cot", "--cutoffs", "1e22"], ["file", "folder"]),
    ],
)
def test_bad_arguments_are_one_sentence_and_exit_code_2(
    arguments: list[str], fragments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    code, out, err = run(*arguments)
    assert code == 2
    assert "Traceback" not in out + err
    for fragment in fragments:
        assert fragment in err
    assert not list(tmp_path.glob("study/*.csv")) and not list(tmp_path.glob("study/fits/*"))


def test_a_study_is_resumed_from_its_folder_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    asked: list[tuple[object, ...]] = []

    def study(_: object, tasks: object, cutoffs: object, folder: object, **options: object) -> module.CutoffStudy:
        asked.append((tasks, cutoffs, folder, options["seed"], options["hides"]))
        return module.CutoffStudy(pd.DataFrame(), {"default, cutoff 1e+22": "its worker was lost"}, (), 0)

    monkeypatch.setattr(module, "cutoff_study", study)
    new = ["cutoffs", "--output", tmp_path / "study", "--task", "gsm8k_cot", "--cutoffs", "1e22:1e23:3", "--seed", "7"]
    code, _, err = run(*new, "--from-compute")
    assert code == 1 and "its worker was lost" in err  # what failed is said, and scripts can tell
    run("cutoffs", "--output", tmp_path / "study", "--resume")
    assert asked[0] == asked[1] == (["gsm8k_cot"], [1e22, 3.162e22, 1e23], tmp_path / "study" / "fits", 7, "all")
    code, _, err = run(*new)
    assert code == 2 and "from_compute" in err and "--resume" in err  # another study does not go into the same folder
    code, _, err = run("cutoffs", "--output", tmp_path / "study", "--resume", "--task", "MMLU")
    assert code == 2 and "--resume" in err
    (tmp_path / "study" / "study.json").write_text("{")
    code, _, err = run("cutoffs", "--output", tmp_path / "study", "--resume")
    assert code == 2 and "damaged" in err


def test_a_study_by_date_asks_of_all_that_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    asked: list[tuple[object, int]] = []

    def study(table: ScoreTable, _: object, cuts: object, *__: object, **___: object) -> module.CutoffStudy:
        asked.append((cuts, len(table.models)))
        return made_dated_study()

    monkeypatch.setattr(module, "cutoff_study", study)
    dates = ("--as-of", "2023-07:2024-07:3")
    code, out, _ = run("cutoffs", "--output", tmp_path / "study", "--task", "gsm8k_cot", *dates)
    assert code == 0 and "3 as-of dates" in out and "MAE by date" in out and "over time" in out
    assert {path.name for path in (tmp_path / "study").iterdir()} == {
        "study.json",
        "cells.csv",
        "scores.csv",
        "error_by_date.png",
        "by_distance.png",
        "by_months.png",
    }
    assert set(pd.read_csv(tmp_path / "study" / "scores.csv")["as_of"]) == set(AS_OF)
    run("cutoffs", "--output", tmp_path / "study", "--resume")
    assert asked == [(["2023-07-01", "2023-12-31", "2024-07-01"], 148)] * 2


def test_a_backtest_at_a_date_says_how_far_ahead_it_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    asked: list[tuple[Split, int]] = []

    def backtest(table: ScoreTable, _: object, split: Split, **__: object) -> Backtest:
        asked.append((split, len(table.models)))
        return Backtest(made_dated_study().cells.assign(setup="ahead"))

    monkeypatch.setattr("bayes_obscaling.evaluation.backtest.backtest", backtest)
    where = ("--as-of", "2024-03", "--from-compute", "--output", tmp_path)
    code, out, _ = run("backtest", "--task", "gsm8k_cot", *where)
    assert code == 0
    ((split, models),) = asked
    assert split.as_of == "2024-03-01" and split.hides == "all" and models == 148
    for shown in ("released before 2024-03-01", "by months ahead", "0 to 3", "12 or more", "by as-of date", "decades"):
        assert shown in out
    assert {path.name for path in tmp_path.iterdir()} == {"cells.csv", "scores.csv"}


@pytest.mark.slow
def test_backtest_and_study_on_the_bundled_table(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "backtest"
    code, out, _ = run(
        "backtest",
        "--task",
        "gsm8k_cot",
        "--cutoff-flops",
        "8.4e22",
        "--methods",
        "pc-3,mean",
        "--output",
        folder,
        "--cohort",
        "paper",
        *SHORT,
    )
    assert code == 0
    cells, scores = pd.read_csv(folder / "cells.csv"), pd.read_csv(folder / "scores.csv")
    assert scores["method"].tolist() == ["bayes", "pc-3", "mean"]
    assert scores.loc[0, "mae"] < scores.loc[2, "mae"]
    assert "pc-3" in out and "standard error over families" in out
    assert (cells.groupby("method").size() == 28).all()  # held-out models with a score on GSM8K

    study = tmp_path / "study"
    code, out, _ = run(
        "cutoffs",
        "--task",
        "gsm8k_cot",
        "--task",
        "arithmetic_3ds",
        "--cutoffs",
        "4e22,8.4e22",
        "--output",
        study,
        "--cohort",
        "paper",
        *SHORT,
    )
    assert code == 0 and "MAE by cutoff" in out
    assert json.loads((study / "study.json").read_text())["draws"] == 100
    made = pd.read_csv(study / "cells.csv")
    assert sorted(made["cutoff"].unique()) == [4e22, 8.4e22]
    # the study's forecasts at the backtest's cutoff are the same numbers: tasks are fitted together whatever is asked
    key = ["model", "median", "q5", "q95"]
    one = cells[cells["method"] == "bayes"].dropna(subset="flops")[key].reset_index(drop=True)
    same = made[(made["cutoff"] == 8.4e22) & (made["task"] == "gsm8k_cot") & (made["method"] == "bayes")]
    pd.testing.assert_frame_equal(one, same[key].reset_index(drop=True))
    assert (study / "error_by_cutoff.png").stat().st_size > 10_000
    code, out, _ = run("cutoffs", "--output", study, "--resume")
    assert code == 0 and "2 fits were already stored" in out
    pd.testing.assert_frame_equal(made, pd.read_csv(study / "cells.csv"))
