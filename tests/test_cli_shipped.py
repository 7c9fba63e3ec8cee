"""Questions to bundled tables are answered by the fits that ship with the package, and said to be."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from bayes_obscaling.errors import InputError

DEFAULT = ("forecast", "--task", "word_unscrambling", "--cutoff-flops", "8.4e22", "--cohort", "paper")


@pytest.fixture
def unsampled_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever samples is told so."""

    def refuse(*_: object, **__: object) -> None:
        raise InputError("this would be sampled")

    monkeypatch.setattr("bayes_obscaling.inference.fit.fit_table", refuse)
    monkeypatch.setattr("bayes_obscaling.inference.fit_ladder.fit_ladder", refuse)


@pytest.mark.usefixtures("unsampled_fits")
def test_the_first_forecast_is_not_sampled(run, tmp_path: Path):
    code, out, err = run(*DEFAULT, "--output", tmp_path / "forecast.csv")
    assert code == 0
    assert "ships with the package (77 models" in err and "--refit samples anew" in err
    rows = pd.read_csv(tmp_path / "forecast.csv").set_index("model")
    assert rows.at["meta-llama/Llama-2-70b-hf", "q5"] < 0.368 < rows.at["meta-llama/Llama-2-70b-hf", "q95"]
    assert "Sampler: converged" in out


@pytest.mark.usefixtures("unsampled_fits")
@pytest.mark.parametrize("more", [("--refit",), ("--seed", 1), ("--draws", 500), ("--factors", 3)])
def test_who_asks_for_sampling_gets_it(run, more: tuple[object, ...]):
    code, _, err = run(*DEFAULT, *more)
    assert code == 2
    assert "would be sampled" in err


@pytest.mark.usefixtures("unsampled_fits")
def test_questions_are_answered_from_the_frontier(run):
    code, out, err = run("when", "--table", "frontier", "--task", "gpqa_diamond", "--level", "0.95", "--any", "--json")
    assert code == 0
    assert "ships with the package (188 models" in err
    assert json.loads(out)["table"][0]["family"] == "any"


@pytest.mark.usefixtures("unsampled_fits")
def test_the_bundled_ladder_is_not_sampled(run, tmp_path: Path):
    code, _, err = run("ladder", "--target", "name=7B,N=7B,D=4T", "--output", tmp_path / "ladder.csv")
    assert code == 0
    assert "ships with the package (30 runs" in err and "--refit samples anew" in err
    rows = pd.read_csv(tmp_path / "ladder.csv")
    assert set(rows["model"]) == {"7B"} and (rows["q5"] < rows["q95"]).all()
    code, out, _ = run("diagnose", "olmo-ladder")
    assert code == 0 and "PASS" in out and "FAIL" not in out


@pytest.mark.usefixtures("unsampled_fits")
@pytest.mark.parametrize("more", [["--refit"], ["--seed", 1], ["--law", "compute"], ["--paper-runs"], ["--next-run"]])
def test_another_question_to_the_ladder_is_sampled(run, more: list[object]):
    code, _, err = run("ladder", "--target", "N=7B,D=4T", *more)
    assert code == 2
    assert "would be sampled" in err


@pytest.mark.usefixtures("unsampled_fits")
def test_a_shipped_fit_has_a_name(run):
    code, out, _ = run("forecast", "--fit", "instruct-llms", "--task", "MMLU", "--family", "new", "--flops", "1e25")
    assert code == 0
    assert "MMLU" in out


@pytest.mark.usefixtures("unsampled_fits")
def test_a_model_of_ones_own_joins(run, tmp_path: Path):
    file = tmp_path / "mine.csv"
    file.write_text("model,family,flops,MMLU,HellaSwag\nmine-7b,Llama-2,2e23,0.61,0.79\n")
    code, out, err = run("forecast", "--task", "GSM8K", "--scores", file)
    assert code == 0
    assert "capabilities come from the fit that ships" in err
    assert "mine-7b" in out and "which their scores do not change" in out + err


@pytest.mark.usefixtures("unsampled_fits")
def test_a_bundled_score_that_is_changed_is_sampled(run, tmp_path: Path):
    file = tmp_path / "mine.csv"
    file.write_text("model,MMLU\nmeta-llama/Llama-2-7b-hf,0.47\n")
    code, _, err = run("forecast", "--task", "word_unscrambling", "--scores", file)
    assert code == 2
    assert "would be sampled" in err


@pytest.mark.usefixtures("unsampled_fits")
def test_a_fit_of_many_tasks_answers_for_those_that_are_asked_for(run):
    code, out, _ = run("factors", "--task", "gsm8k_cot")
    assert code == 0 and "gsm8k_cot leans most on" in out
    assert "parsinlu_qa" not in out and "ipa_transliterate" not in out


@pytest.mark.usefixtures("unsampled_fits")
def test_a_model_with_one_score_is_scored_where_a_task_does_not_read_it(run, tmp_path: Path):
    """GSM8K is no predictor of the table's tasks: those are forecast from compute."""
    (mine := tmp_path / "mine.csv").write_text("model,family,flops,GSM8K\nmine,nobody,1e24,0.5\n")
    output = tmp_path / "scored.csv"
    assert run("score", mine, "--task", "gsm8k_cot", "--task", "MMLU", "--output", output)[0] == 0
    rows = pd.read_csv(output).set_index("task")
    assert rows["basis"].to_dict() == {"gsm8k_cot": "compute", "MMLU": "benchmarks"}
    assert set(rows["dated_by"]) == {"middle of all"}


@pytest.mark.usefixtures("unsampled_fits")
def test_a_table_that_fails_its_check_is_not_fitted(run, tmp_path: Path):
    (mine := tmp_path / "mine.csv").write_text("model,family,flops,MMLU\na,x,1e50,0.5\nb,x,1e23,0.6\n")
    ask = ["fit", mine, "--save-fit", tmp_path / "fit.nc"]
    code, _, err = run(*ask)
    assert code == 2 and "the check units failed" in err and not (tmp_path / "fit.nc").exists()
    assert "would be sampled" in run(*ask, "--accept", "units")[2]
