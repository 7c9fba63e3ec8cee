"""The command line as a stranger meets it: real files, real messages, exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bayes_obscaling import cli
from bayes_obscaling.cli.scores import TableOptions
from bayes_obscaling.data import ScoreTable, bundled, load_base_llms
from bayes_obscaling.errors import InputError

pytestmark = pytest.mark.usefixtures("unsampled")
Run = Callable[..., tuple[int, str, str]]

HEADER = "Model,Model Family,Model Size (B),Pretraining Data Size (T),FLOPs (1E21)"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit saved by the real command on the real table, with few draws that nobody sampled."""
    folder = tmp_path_factory.mktemp("saved")
    scores = folder / "mine.csv"
    scores.write_text(
        f"{HEADER},MMLU,HellaSwag,HumanEval,my_exam\n"
        "me/one-7b,Llama-2,7,2,84,0.46,0.78,0.14,0.35\n"
        "me/two-70b,Llama-2,70,2,840,0.70,0.87,,\n"
        "me/three-1b,Mine,1,1,6,0.26,0.55,,0.22\n"
    )
    described = folder / "exam.csv"
    described.write_text("benchmark,role,chance,n_items\nmy_exam,task,0.2,400\n")
    argv, sys.argv = (
        sys.argv,
        [
            "bayes-obscaling",
            "forecast",
            "--task",
            "my_exam",
            "--task",
            "word_unscrambling",
            "--cutoff-flops",
            "8.4e22",
            "--cohort",
            "paper",
            "--scores",
            str(scores),
            "--benchmarks",
            str(described),
            "--chains",
            "2",
            "--draws",
            "100",
            "--output",
            str(folder / "forecast.csv"),
            "--save-fit",
            str(folder / "fit.nc"),
            "--plot",
            str(folder / "no.png"),
        ],
    )
    try:
        with pytest.raises(SystemExit) as stop:  # two tasks, one plot: refused before sampling
            cli.main()
        assert stop.value.code == 2
        assert not list(folder.glob("fit.nc")) and not list(folder.glob("forecast.csv"))
        sys.argv = sys.argv[:-2]
        cli.main()
    finally:
        sys.argv = argv
    return folder


def test_forecast_of_a_users_own_task_and_models(saved: Path) -> None:
    rows = pd.read_csv(saved / "forecast.csv").set_index(["model", "task"])
    mine = rows.loc[("me/two-70b", "my_exam")]
    assert mine["basis"] == "benchmarks"
    assert mine["family"] == "Llama-2"
    assert mine["q2.5"] < mine["q5"] < mine["q25"] < mine["median"] < mine["q75"] < mine["q95"] < mine["q97.5"]
    assert mine["median"] > 0.25  # stronger than the model that scored .35, and chance is .2
    seen = rows.xs("my_exam", level="task").loc["me/one-7b"]
    assert bool(seen["seen"])
    assert rows[["q2.5", "q97.5"]].to_numpy().min() >= 0 and rows[["q2.5", "q97.5"]].to_numpy().max() <= 1
    assert rows.loc[("mistralai/Mistral-7B-v0.1", "my_exam"), "latent_flops"] > 1e21


def test_few_draws_are_reported_as_not_converged(saved: Path, run: Run) -> None:
    code, out, _ = run("forecast", "--fit", saved / "fit.nc", "--task", "word_unscrambling")
    assert code == 0
    assert "NOT CONVERGED" in out and "ESS" in out
    assert not pd.read_csv(saved / "forecast.csv")["converged"].any()


def test_saved_fit_answers_scenarios_as_json_on_stdout(saved: Path, run: Run) -> None:
    code, out, err = run(
        "forecast",
        "--fit",
        saved / "fit.nc",
        "--task",
        "MMLU",
        "--family",
        "Llama-2",
        "--flops",
        "3e23",
        "--family",
        "new",
        "--flops",
        "3e23",
        "--json",
    )
    assert code == 0
    answer = json.loads(out)  # nothing else on standard output
    known, unseen = answer["table"]
    assert known["basis"] == unseen["basis"] == "compute"
    assert unseen["q95"] - unseen["q5"] > known["q95"] - known["q5"]
    assert answer["verdict"] == "FAIL" and answer["spec"]["n_factors"] == 4 and "NOT CONVERGED" in err


def test_bundled_data_that_changed_since_the_fit_are_told(
    saved: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = ("forecast", "--fit", saved / "fit.nc", "--task", "MMLU", "--models", "me/two-70b")
    assert "changed since" not in run(*ask)[2]
    table = load_base_llms()
    models, scores = table.models, table.scores
    models.loc["Qwen/Qwen-7B", "flops"] *= 2
    place = (scores["model"] == "meta-llama/Llama-2-7b-hf") & (scores["benchmark"] == "MMLU")
    scores.loc[place, "score"] = 0.5
    # Neither a model that the fit has not seen nor one that is new is any of its business.
    other = models.index[models["cohort"] != "paper"][0]
    scores.loc[scores["model"] == other, "score"] = 0.1
    later = ScoreTable(models, table.benchmarks, scores)
    monkeypatch.setattr(bundled, "load_base_llms", lambda: later)
    code, out, err = run(*ask)
    assert code == 0 and "two-70b" in out
    assert "changed since this fit: 1 scores (first meta-llama/Llama-2-7b-hf on MMLU: 0.4" in err
    assert "0.5 now); facts of 1 models (first flops of Qwen/Qwen-7B)" in err


def test_a_saved_fit_cannot_be_asked_to_change(saved: Path, run: Run) -> None:
    code, _, err = run("forecast", "--fit", saved / "fit.nc", "--factors", "2")
    assert code == 2 and "--factors" in err


BAD_TABLES = {
    "percent": (f"{HEADER},MMLU\na/b-7b,Llama-2,7,2,84,45.2\na/c,Llama-2,7,2,84,.5\na/d,,,,,60\n", ["MMLU", "percent"]),
    "out of range": (f"{HEADER},MMLU\na/b-7b,Llama-2,7,2,84,-0.2\n", ["MMLU", "row 2"]),
    "duplicate model": (f"{HEADER},MMLU\na/b,Llama-2,7,2,84,.4\na/b,Llama-2,7,2,84,.4\n", ["a/b", "row"]),
    "empty": ("", ["empty"]),
    "zero flops": (f"{HEADER},MMLU\na/b,Llama-2,7,2,0,.4\n", ["FLOPs", "row 2"]),
    "negative flops": (f"{HEADER},MMLU\na/b,Llama-2,7,2,-84,.4\n", ["FLOPs", "row 2"]),
    "text": (f"{HEADER},MMLU\na/b,Llama-2,7,2,84,good\n", ["good", "MMLU", "row 2"]),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_is_one_sentence_and_exit_code_2(name: str, tmp_path: Path, run: Run) -> None:
    content, expected = BAD_TABLES[name]
    file, output = tmp_path / "mine.csv", tmp_path / "forecast.csv"
    file.write_text(content)
    code, out, err = run("forecast", "--task", "word_unscrambling", "--scores", file, "--output", output)
    assert code == 2
    assert "Traceback" not in err + out
    assert "mine.csv" in err
    for fragment in expected:
        assert fragment in err
    assert not output.exists()


@pytest.mark.parametrize(
    ("content", "fragment"), [(b"\x89PNG\r\n\x1a\n\x00\x00\x01", "CSV"), (b"Model,MMLU\nllama-7b,\x81\n", "UTF-8")]
)
def test_files_that_are_not_text_are_refused(content: bytes, fragment: str, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "mine.csv"
    file.write_bytes(content)
    code, _, err = run("forecast", "--task", "word_unscrambling", "--scores", file)
    assert code == 2 and fragment in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (("--task", "word_scrambling"), ["word_unscrambling"]),
        (("--task", "word_unscrambling", "--cutoff-flops", "1e10"), ["cutoff", "1e+10"]),
        (("--task", "word_unscrambling", "--cutoff-flops", "-1"), ["cutoff", "positive"]),
        ((), ["--task"]),
        (("--task", "MMLU", "--family", "Llama-2"), ["--flops"]),
        (("--task", "MMLU", "--from-compute"), ["--cutoff-flops"]),
        (("--task", "MMLU", "--models", "no-such-model"), ["no-such-model"]),
        (("--task", "MMLU", "--scores", "absent.csv"), ["absent.csv"]),
        (("--task", "MMLU", "--output", "absent/forecast.csv"), ["absent"]),
        (("--fit", "absent.nc"), ["absent.nc"]),
        (("--task", "word_unscrambling", "--chains", "1"), ["chains"]),
    ],
)
def test_bad_arguments_are_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...], fragments: list[str], run: Run
) -> None:
    code, out, err = run("forecast", *arguments)
    assert code == 2
    assert "Traceback" not in err + out
    for fragment in fragments:
        assert fragment in err


def test_an_unknown_option_is_refused(run: Run) -> None:
    code, _, err = run("forecast", "--no-such-option")
    assert code == 2 and "--no-such-option" in err


def test_check_fails_on_a_bad_table_and_passes_a_good_one(tmp_path: Path, run: Run) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("Model,MMLU\nmeta-llama/Llama-2-7b-hf,0.45\n")
    bad.write_text("Model,MMLU\nmeta-llama/Llama-2-7b-hf,450\n")
    code, out, _ = run("check", good)
    assert code == 0 and "PASS" in out and "FAIL" not in out
    code, out, _ = run("check", good, bad)
    assert code == 2 and "FAIL" in out and "MMLU" in out


def test_tasks_and_models_list_what_is_bundled(run: Run) -> None:
    code, out, _ = run("tasks", "--json")
    by_name = {row["name"]: row for row in json.loads(out) if row["table"] == "base"}
    assert code == 0 and by_name["arithmetic_2dm"]["left out"] == "GSM8K"
    assert by_name["word_unscrambling"]["cutoff"] == 8.4e22 and by_name["word_unscrambling"]["scores"] == 84
    code, out, _ = run("models", "--json")
    assert code == 0 and len(json.loads(out)) == 148 + 27
    assert "GSM8K" in run("tasks")[1]


def test_the_frontier_table_is_listed_and_checked_when_it_is_named(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("models", "--table", "frontier", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    known = {"provider": "Meta AI", "flops_sd": 0.29, "date": "2023-07-18", "open_weights": "yes"}
    assert code == 0 and len(rows) == 188 and rows["llama-2-70b"].items() >= known.items()
    assert "flops_sd" in run("models", "--table", "frontier")[1] and "flops_sd" not in run("models")[1]
    code, out, _ = run("tasks", "--table", "frontier", "--json")
    assert {row["name"]: row["category"] for row in json.loads(out)}["chess_puzzles"] == "reasoning"
    code, out, _ = run("check", "--table", "frontier")
    assert code == 0 and "188 models, 129 benchmarks and tasks, 3028 scores" in out
    mine = tmp_path / "mine.csv"
    mine.write_text("Model,gpqa diamond,FLOPs\nmine-1,0.8,1e25\n")
    assert "gpqa diamond is taken for the known benchmark" in run("check", mine)[1]
    assert "is taken for" not in run("check", mine, "--table", "frontier")[1]


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ("check", "give a file, or a bundled table with --table"),
        ("check --table base --sheet one", "about your own table"),
        ("models --table chat", "take base, instruct or frontier"),
        ("forecast --task gpqa_diamond --table frontier --cohort paper", "--cohort is about base models"),
        ("forecast --task agentbench --table instruct --scores mine.csv", "leave out --table instruct"),
        ("forecast --task gpqa_diamond --table frontier --sheet one", "--sheet is about your own table"),
        ("forecast --task chess", "There is no benchmark or task 'chess'"),
    ],
)
def test_tables_that_cannot_be_meant(arguments: str, fragment: str, run: Run) -> None:
    code, _, err = run(*arguments.split())
    assert code == 2 and fragment in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("tasks", "options", "models"),
    [
        (["MMLU"], {}, 148),
        (["agentbench"], {}, 27),
        (["GPQA Diamond", "mmmu"], {}, 188),
        (["MMLU", "mmmu"], {}, 148),
        (None, {"bundled": "frontier"}, 188),
        (["GSM8K"], {"bundled": "frontier"}, 188),
    ],
)
def test_the_bundled_table_is_that_which_holds_the_tasks(
    tasks: list[str] | None, options: dict[str, Any], models: int
) -> None:
    assert len(TableOptions(**options).load(tasks).models) == models


def test_own_scores_go_to_the_frontier_table_when_it_is_named(tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("Model,mmmu\nmine-1,0.8\n")
    assert len(TableOptions(scores=[mine]).load(["mmmu"]).models) == 149
    merged = TableOptions(scores=[mine], bundled="frontier").load(["mmmu"])
    assert merged.matrix(["bp_mmmu"]).at["mine-1", "bp_mmmu"] == 0.8
    assert len(merged.other_settings) == 225 and merged.models.at["gpt-4.5", "provider"] == "OpenAI"


UNITS = (
    f"{HEADER},MMLU,HellaSwag,my_exam\n"
    "acme/nova-8b,Nova,8,4,{flops},.6,.78,.5\n"
    "acme/nova-1b,Nova,1,{tokens},,.3,.6,.3\n"
)
RIGHT = {"flops": "192", "tokens": "2"}


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({"flops": "1.92e23"}, "acme/nova-8b (row 2) has flops 1.92e+44, outside 1e+15..1e+28"),
        ({"tokens": "4000"}, "acme/nova-1b (row 3) has tokens 4e+15, outside 1e+08..1e+14"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        "forecast --task my_exam",
        "select --task my_exam --budget 3",
        "backtest --task my_exam --cutoff-flops 1e23",
        "anomalies",
        "cutoffs --task my_exam --cutoffs 1e23 --output {folder}/study",
    ],
)
def test_what_the_check_fails_is_not_forecast(
    command: str, wrong: dict[str, str], found: str, tmp_path: Path, run: Run
) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text(UNITS.format(**RIGHT | wrong))
    code, out, err = run(*command.format(folder=tmp_path).split(), "--scores", mine)
    assert code == 2 and out == "" and not (tmp_path / "study").exists()
    sentence = next(line for line in err.splitlines() if line.startswith("Error:"))
    assert "mine.csv: the check units failed" in sentence and found in sentence
    assert "a slip is a factor of 1000" in sentence and sentence.endswith("go on with --accept units.")


def test_every_failed_check_has_a_sentence_and_is_accepted_by_name(tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text(UNITS.format(flops="1.92e23", tokens="2"))
    with pytest.raises(InputError) as caught:
        TableOptions(scores=[mine]).load(["my_exam"])
    units, flops = str(caught.value).splitlines()
    assert units.endswith("--accept units.") and flops.endswith("--accept flops.")
    assert "acme/nova-8b (row 2) has 1e+21 times the FLOPs of 6 N D" in flops
    with pytest.raises(InputError, match="the check flops failed"):
        TableOptions(scores=[mine], accept=["units"]).load(["my_exam"])
    table = TableOptions(scores=[mine], accept=["Units", "flops"]).load(["my_exam"])
    assert table.models.at["acme/nova-8b", "flops"] == 1.92e44
    accepted = [text for text in table.notes if "accepted although the check" in text]
    assert len(accepted) == 2 and "units failed: acme/nova-8b (row 2) has flops 1.92e+44" in accepted[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--scores mine.csv --accept unit", "There is no check 'unit': did you mean units?"),
        ("--scores mine.csv --accept size-in-nam", "did you mean size in name"),
        ("--accept units", "--accept is about your own table: give that table with --scores"),
    ],
)
def test_what_cannot_be_accepted(arguments: str, sentence: str, run: Run) -> None:
    code, _, err = run("forecast", "--task", "MMLU", *arguments.split())
    assert code == 2 and sentence in err and len(err.splitlines()) == 1


def test_what_the_check_reviews_travels_with_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = load_base_llms("paper")
    mine = tmp_path / "mine.csv"
    base.matrix(["MMLU"])["MMLU"].dropna().rename("my_mmlu").rename_axis("Model").to_csv(mine)
    table = TableOptions(scores=[mine], cohort="paper").load(["my_mmlu"])
    (copied,) = [text for text in table.notes if "REVIEW" in text]  # and nothing of the bundled rows
    assert "REVIEW copies: my_mmlu has the scores of MMLU (77 models) -> leave one of them out" in copied
    assert copied in " ".join(capsys.readouterr().err.split()).replace("Note: ", "")
    sizes = "".join(f"x/m{i}-7b,M,{2 + i / 10},2,,.3,.5,.2\n" for i in range(7))
    mine.write_text(f"{HEADER},MMLU,HellaSwag,quiz\n{sizes}y/n-7b,N,,,,.4,.6,.3\n")
    texts = TableOptions(scores=[mine]).load(["quiz"]).notes
    checks = [text.partition("REVIEW ")[2].partition(":")[0] for text in texts if "REVIEW" in text]
    assert len(checks) == 5 and {"size in name", "compute", "families", "few scores"} <= set(
        checks
    )  # first one of each
    assert any("more to review: bayes-obscaling check lists all" in text for text in texts)


def test_bundled_scores_in_a_users_file_are_not_checked_again(tmp_path: Path) -> None:
    base = load_base_llms()
    mine = tmp_path / "mine.csv"
    scores = base.matrix([*base.benchmark_names, *base.task_names])
    scores["my_exam"] = [0.2 + 0.003 * i for i in range(len(scores))]
    ranges = base.benchmarks["upper"] - base.benchmarks["lower"]
    (
        scores * ranges.reindex(scores.columns).fillna(1) + base.benchmarks["lower"].reindex(scores.columns).fillna(0)
    ).to_csv(mine, index_label="Model")
    assert not [text for text in TableOptions(scores=[mine]).load(["my_exam"]).notes if "REVIEW" in text]
