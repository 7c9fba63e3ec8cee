"""backtest and cutoffs on the command line: what is refused, what is written, and that a study is resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from bayes_obscaling.evaluation import cutoff_study as module

Run = Callable[..., tuple[int, str, str]]
SHORT = ("--chains", "2", "--draws", "100")


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["backtest"], ["--task", "--suite"]),
        (["backtest", "--task", "gsm8k_cot"], ["--cutoff-flops", "--hold-out", "none"]),
        (["backtest", "--task", "gsm8k_cot", "--cutoff-flops", "8e22", "--best", ".1"], ["one of"]),
        (["backtest", "--task", "gsm8k_cot", "--cutoff-flops", "1e19"], ["1e+19", "raise the cutoff"]),
        (["backtest", "--task", "gsm8k_cot", "--hold-out", "bigscience/bloom"], ["gsm8k_cot", "scored on it"]),
        (["backtest", "--task", "gsm8k_cot", "--cutoff-flops", "8e22", "--methods", "pc-9"], ["pc-9", "pc-3"]),
        (["backtest", "--task", "gsm8k_cot", "--leave-family", "Lama"], ["Lama"]),
        (["backtest", "--task", "gsm8k_cot", "--hold-out", "nobody/none"], ["nobody/none"]),
        (["backtest", "--suite", "best"], ["best", "published"]),
        (["backtest", "--suite", "published", "--task", "gsm8k_cot"], ["--suite"]),
        (["cutoffs", "--output", "study"], ["--task", "--cutoffs"]),
        (["cutoffs", "--output", "study", "--resume"], ["no study", "study"]),
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
