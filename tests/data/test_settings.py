"""A user's file with settings, labs and estimates of compute."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, check_table, load_frontier, read_scores
from bayes_obscaling.errors import InputError

LONG = "model,benchmark,score,effort,reasoning,evaluated\n"


def test_several_settings_of_a_cell_are_one_score_and_the_others(file):
    path = file(
        LONG
        + "m-1,quiz,0.5,none,,2026-01-05\n"
        + "m-1,quiz,0.7,High,,2026-01-06\n"
        + "m-1,quiz,0.6,16k,,\n"  # as much as high, but later in the file
        + "m-2,quiz,0.4,,no,\n"
        + "m-2,exam,0.3,8192,,\n"
        + "m-2,exam,0.35,,,\n"
    )
    table = read_scores(path, tasks=["exam"])
    scores = table.scores.set_index(["model", "benchmark"])
    assert scores.loc[("m-1", "quiz")].tolist()[:1] == [0.7]
    assert scores["setting"].to_dict() == {("m-1", "quiz"): "high", ("m-2", "quiz"): "none", ("m-2", "exam"): "8K"}
    assert scores["reasoning"].tolist() == [1, 0, 1] and scores["evaluated"].tolist() == ["2026-01-06", "", ""]
    others = table.other_settings
    assert others[["setting", "reasoning", "score"]].to_numpy().tolist() == [["none", 0, 0.5], ["16K", 1, 0.6]]
    assert any(
        "2 scores are given in several settings" in note and "1 without a setting" in note for note in table.notes
    )


def test_a_column_of_thinking_may_say_yes_or_no(file):
    table = read_scores(file("model,benchmark,score,thinking\nm-1,quiz,0.5,False\nm-2,quiz,0.6,yes\nm-3,quiz,0.6,\n"))
    assert table.scores["setting"].tolist() == ["none", "", ""]
    np.testing.assert_array_equal(table.scores["reasoning"], [0, 1, np.nan])


def test_the_same_setting_twice_is_a_rerun(file):
    path = file(LONG + "m-1,quiz,0.5,low,,\nm-1,quiz,0.7,low,,\nm-1,quiz,0.9,max,,\n")
    with pytest.raises(InputError, match="m-1 has two scores on quiz, the first in row 2"):
        read_scores(path)
    table = read_scores(path, duplicates="mean")
    assert table.scores["score"].tolist() == [0.9] and table.other_settings["score"].tolist() == [0.6]
    with pytest.raises(InputError, match="two scores on quiz"):  # as ever without settings
        read_scores(file("model,benchmark,score\nm-1,quiz,0.5\nm-1,quiz,0.7\n"))


def test_settings_meet_those_of_a_table():
    cell = {"model": "claude-opus-4.7", "benchmark": "chess_puzzles"}
    table = load_frontier()
    before = table.scores.merge(pd.DataFrame([cell])).iloc[0]
    assert before["setting"] in ("xhigh", "max", "high")

    def after(setting: str) -> tuple[float, dict[str, float]]:
        merged = read_scores(pd.DataFrame([cell | {"score": 0.25, "setting": setting}]), into=table)
        others = merged.other_settings.merge(pd.DataFrame([cell]))
        score = merged.scores.merge(pd.DataFrame([cell]))["score"].item()
        assert (len(merged.scores), len(merged.models)) == (len(table.scores), len(table.models))
        return score, dict(zip(others["setting"], others["score"], strict=True))

    assert after("low") == (before["score"], {"low": 0.25})  # in place of .2, which the table has
    assert after("minimal") == (before["score"], {"low": 0.2, "minimal": 0.25})
    assert after("") == (0.25, {"low": 0.2})
    assert after(before["setting"]) == (0.25, {"low": 0.2})
    if before["setting"] != "max":
        assert after("max") == (0.25, {"low": 0.2, before["setting"]: before["score"]})


def test_the_frontier_file_is_read_as_it_is_written():
    table = load_frontier()
    both = [
        frame.merge(table.models[["family", "flops", "flops_sd"]], left_on="model", right_index=True)
        for frame in (table.scores, table.other_settings)
    ]
    read = read_scores(pd.concat(both), table.benchmarks.drop(columns="aliases").reset_index())
    assert len(read.scores) == len(table.scores) and len(read.other_settings) == len(table.other_settings)
    columns = [
        "model",
        "benchmark",
        "setting",
        "score",
    ]  # a score is the best here, in a file that of the highest effort
    sets = [
        set(pd.concat([one.scores, one.other_settings])[columns].itertuples(index=False, name=None))
        for one in (read, table)
    ]
    assert sets[0] == sets[1]


HEAD = "Model,Organization,Family,FLOPs"


def test_labs_and_estimates_of_compute(file):
    path = file(
        f"{HEAD},Flops confidence,flops_method,Open weights,quiz\n"
        "m-1,Lab A,F,1e25,Confident,Operation counting,yes,0.5\n"
        "m-2,Lab A,F,2e25,speculative,Hardware,False,0.6\n"
        'm-3,Lab B,,3e25,likely,"Hardware,Benchmarks",,0.7\n'
        "m-4,,F,4e25,unknown,,closed,0.8\n"
    )
    table = read_scores(path)
    models = table.models
    assert models["provider"].tolist() == ["Lab A", "Lab A", "Lab B", ""]
    assert models["family"].tolist() == ["F", "F", "Lab B", "F"]
    assert models["open_weights"].tolist() == ["yes", "no", "", "no"]
    np.testing.assert_array_equal(models["flops_sd"], [0.29, 0.90, np.nan, np.nan])
    np.testing.assert_array_equal(models["flops"], [1e25, 2e25, np.nan, 4e25])
    assert any("FLOPs of m-3 were estimated from benchmark scores" in note for note in table.notes)
    circular = read_scores(
        file("Model,FLOPs,flops_sd,flops_circular,quiz\nm-1,1e25,0.4,True,0.5\nm-2,1e25,0.4,no,0.5\n")
    )
    np.testing.assert_array_equal(circular.models["flops"], [np.nan, 1e25])
    np.testing.assert_array_equal(circular.models["flops_sd"], [np.nan, 0.4])


def test_labs_are_families_where_no_column_names_those(file):
    table = read_scores(file("Model,Developer,quiz\nm-1,Lab A,0.5\nm-2,Lab A,0.6\n"))
    assert table.models["family"].tolist() == table.models["provider"].tolist() == ["Lab A", "Lab A"]
    assert any("Developer is taken for the family" in note for note in table.notes)


def test_what_a_table_knows_of_compute_keeps_its_error(file):
    path = file(
        "Model,Provider,FLOPs,flops_sd,gpqa_diamond\nllama-2-70b,Meta,8.1e23,0.9,0.3\nclaude-2,Anthropic,4e24,0.9,0.3\n"
    )
    models = read_scores(path, into=load_frontier()).models
    assert models.loc["llama-2-70b", ["provider", "flops_sd"]].tolist() == ["Meta AI", 0.29]
    assert models.loc["claude-2", ["flops", "flops_sd"]].tolist() == [4e24, 0.9]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            f"{HEAD},flops_confidence,quiz\nm-1,A,F,1e25,certain,0.5\n",
            "'certain' is no confidence of compute; write confident, likely, speculative",
        ),
        (f"{HEAD},flops_sd,quiz\nm-1,A,F,1e25,4,0.5\n", "column 'flops_sd': flops_sd 4 cannot be"),
        (LONG + "m-1,quiz,0.5,hihg,,\n", "row 2, column 'effort': 'hihg' is no setting; write one of none, minimal"),
        (LONG + "m-1,quiz,0.5,,perhaps,\n", "column 'reasoning': reasoning is 'perhaps'; write yes or no"),
        (LONG + "m-1,quiz,0.5,,,2099-01-01\n", "column 'evaluated': 2099-01-01 is after today"),
        (
            "model,benchmark,score,stderr\nm-1,quiz,0.5,0\n",
            "row 2, column 'score': standard error 0 of score 0.5 cannot be",
        ),
        ("model,benchmark,score,stderr\nm-1,quiz,0.5,0.6\n", "give it on the scale of the score"),
        (
            "Model,quiz,quiz_stderr\nm-1,0.5,0\n",
            "row 2, column 'quiz': standard error 0 of score 0.5 cannot be; leave it empty",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(file, text, sentence):
    with pytest.raises(InputError) as refused:
        read_scores(file(text))
    assert sentence in str(refused.value)
    (first, *_) = check_table(file(text))
    assert first.level == "FAIL"


def test_an_error_of_0_says_nothing_of_a_score_of_0_or_1(file):
    text = "model,benchmark,score,stderr,n_items\nm-1,quiz,0,0,\nm-2,quiz,1,0,\nm-3,quiz,0.5,0.05,\n"
    counts = read_scores(file(text)).scores["n_items"]
    np.testing.assert_array_equal(counts, [np.nan, np.nan, 100])


def test_a_confidence_of_something_else_is_left_aside(file):
    table = read_scores(file("Model,Confidence,quiz\nm-1,high,0.5\nm-2,low,0.6\n"))
    assert isinstance(table, ScoreTable) and table.models["flops_sd"].isna().all()
