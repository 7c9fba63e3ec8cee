"""Small tables that used to go wrong, each with its right reading."""

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, check_table, load_base_llms, read_scores
from bayes_obscaling.data.checked import rank_correlation
from bayes_obscaling.data.checks import check_merged
from bayes_obscaling.data.parsing import parse
from bayes_obscaling.data.reading import merge
from bayes_obscaling.errors import InputError

BASE = load_base_llms("paper")
WIDE = "Model,Model Family,Model Size (B),Pretraining Data Size (T)"


def said(table):
    return "\n".join(table.notes)


def found(source, check, benchmarks=None):
    return [one for one in check_table(source, benchmarks) if one.check == check]


# ------------------------------------------------------------------------------------------------------ uncertainty


@pytest.mark.parametrize(
    "header",
    ["quiz_stderr", "quiz stderr", "stderr_quiz", "quiz (SE)", "quiz ±", "quiz_acc_stderr,none", "Quiz std_err"],
)
def test_a_column_of_standard_errors_is_no_benchmark(file, header):
    table = read_scores(file(f'model,family,quiz,"{header}"\na,A,0.54,0.031\nb,B,0.51,\n'))
    assert table.benchmark_names == ["quiz"]
    assert table.item_counts(["quiz"]).at["a", "quiz"] == round(0.54 * 0.46 / 0.031**2)


@pytest.mark.parametrize(
    "content",
    [
        "model,family,quiz\na,A,0.54 ± 0.031\n",
        "model,family,quiz\na,A,54 ± 3.1 %\n",
        "model,family,quiz,quiz_stderr\na,A,54%,3.1%\n",
        "model,family,quiz (%),quiz_stderr\na,A,54,3.1\n",
        "model,family,benchmark,score,stderr\na,A,quiz,0.54,0.031\n",
        "model,family,benchmark,score,stderr\na,A,quiz,54%,3.1%\n",
    ],
)
def test_standard_errors_in_other_places(file, content):
    table = read_scores(file(content))
    assert table.scores["score"].item() == 0.54
    assert table.scores["n_items"].item() == round(0.54 * 0.46 / 0.031**2)


@pytest.mark.parametrize("name", ["Average", "Random baseline", "human experts", "Majority class", "mean", "SOTA"])
def test_a_row_that_is_no_model_is_left_aside_and_named(file, name):
    table = read_scores(file(f"model,quiz\nllama-7b,0.3\n{name},0.5\n"))
    assert name not in table.models.index and len(table.scores) == 1
    assert any(f"left aside: {name} (rows that are no models)" in note for note in table.notes)


def test_a_model_is_not_taken_for_a_summary(file):
    names = ["human-7b", "mean-teacher", "baseline", "random-forest-lm", "averagely"]
    rows = "\n".join(f"{name},0.{n + 1}" for n, name in enumerate(names))
    assert list(read_scores(file(f"model,quiz\n{rows}\n")).models.index) == names
    with pytest.raises(InputError, match=r"row 2, column 'model': no row is a model \(Average is none\)"):
        read_scores(file("model,quiz\nAverage,0.5\n"))


def test_a_table_without_a_score_fails_the_check(file):
    (one,) = found(file("model,flops,MMLU\nacme/a,8e22,\n"), "readable")
    assert one.level == "FAIL" and "0 scores" in one.what and "give a score" in one.remedy


def test_counts_bring_their_items(file):
    table = read_scores(file("model,family,quiz\na,A,204/400\nb,B,100/400\n"))
    assert table.scores[["score", "n_items"]].to_numpy().tolist() == [[0.51, 400], [0.25, 400]]


def test_standard_errors_that_cannot_be(file):
    with pytest.raises(InputError, match=r"standard error 0\.9 of score 0\.5 cannot be"):
        read_scores(file("model,family,quiz,quiz_stderr\na,A,0.5,0.9\n"))
    table = read_scores(file("model,family,quiz,quiz_stderr\na,A,0,0\n"))
    assert np.isnan(table.scores["n_items"].item())
    assert "left aside: exam_stderr (standard errors of a column that is not there)" in said(
        read_scores(file("model,family,quiz,exam_stderr\na,A,0.5,0.1\n"))
    )


# -------------------------------------------------------------------------------------------------------- reruns


def test_reruns_are_refused_averaged_or_dropped(file):
    wide = file("Model,family,seed,quiz,MMLU\na,A,1,0.40,.5\na,A,2,0.44,.5\nb,A,1,0.5,\n")
    tidy = file(
        "model,family,benchmark,score\na,A,quiz,.4\na,A,quiz,.44\na,A,MMLU,.5\na,A,MMLU,.5\nb,A,quiz,.5\n", "t.csv"
    )
    for path in (wide, tidy):
        with pytest.raises(InputError, match=r"already in row 2.*duplicates='mean'|two scores"):
            read_scores(path)
        mean = read_scores(path, duplicates="mean")
        assert mean.matrix(["quiz", "MMLU"]).loc["a"].tolist() == pytest.approx([0.42, 0.5])
        counts = mean.item_counts(["quiz", "MMLU"]).loc["a"]
        assert counts["quiz"] == round(0.42 * 0.58 / (0.0008 / 2))
        assert counts["MMLU"] == 2 * 14042  # two runs that agree are worth their items, not more
        assert "2 scores are means of several runs" in said(mean)
        first = read_scores(path, duplicates="first")
        assert first.matrix(["quiz"]).loc["a"].item() == 0.4
    with pytest.raises(InputError, match="take 'refuse', 'mean' or 'first'"):
        read_scores(wide, duplicates="last")


# -------------------------------------------------------------------------------------------- columns and headers


def test_columns_that_hold_no_score_are_left_aside_and_named(file):
    table = read_scores(
        file(
            "rank,Model,Model Family,License,flops,flops_low,flops_high,Average,quiz,quiz_std,val_loss,Notes,open\n"
            "1,x/y-7b,f,mit,1e23,5e22,2e23,0.61,0.5,0.1,2.3,fine,True\n2,x/y-8b,f,mit,2e23,,,0.63,0.55,0.1,2.2,,False\n"
        )
    )
    assert table.benchmark_names == ["quiz"]
    for expected in (
        "rank (a rank)",
        "License, Notes (not a score)",
        "flops_low, flops_high (bounds of the compute)",
        "Average (an average)",
        "quiz_std (a spread or bound of another column)",
        "val_loss (a loss, which falls with skill)",
        "open (no cell of it is a number)",
    ):
        assert expected in said(table)


def test_a_column_that_somebody_describes_is_a_score_whatever_its_name(file):
    content = "Model,Model Family,Average,Rank\nx/y-7b,f,0.61,0.5\n"
    assert read_scores(file(content), tasks=["Average"]).task_names == ["Average"]
    described = pd.DataFrame({"benchmark": ["Rank"], "role": ["benchmark"]})
    assert read_scores(file(content), described).benchmark_names == ["Rank"]


@pytest.mark.parametrize(
    ("header", "cell", "field", "value"),
    [
        ("Training compute (FLOP)", "3.2e24", "flops", 3.2e24),
        ("Compute (ZFLOPs)", "84", "flops", 8.4e22),
        ("FLOPs", "1.92 x 10^23", "flops", 1.92e23),
        ("Pretraining Data Size (B)", "2000", "tokens", 2e12),
        ("training tokens", "1.4T", "tokens", 1.4e12),
        ("tokens (trillions)", "1.4", "tokens", 1.4e12),
        ("#Params (B)", "6.74", "params", 6.74e9),
        ("params_b", "7", "params", 7e9),
        ("Model Size (B)", "410M", "params", 4.1e8),
        ("Parameters", '"7,000,000,000"', "params", 7e9),
        ("Release date", "2024-05-01", "date", "2024-05-01"),
        ("Release date", "18 April 2024", "date", "2024-04-18"),
    ],
)
def test_headers_with_units(file, header, cell, field, value):
    table = read_scores(file(f"Model,{header},quiz\nx/y-7b,{cell},0.5\n"))
    assert table.models.at["x/y-7b", field] == value


def test_a_column_without_any_score_is_said(file):
    assert "no score in exam" in said(read_scores(file("Model,family,quiz,exam\na,A,.5,\nb,A,.6,NA\n")))


# ------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("given", "model"),
    [
        ("Llama 2 70B", "meta-llama/Llama-2-70b-hf"),
        ("llama-2-13B", "meta-llama/Llama-2-13b-hf"),
        ("pythia-6.9b", "EleutherAI/pythia-6.9b-deduped"),
        ("Llama 3 8B", "meta-llama/Meta-Llama-3-8B"),
        ("meta-llama/Llama-2-7b", "meta-llama/Llama-2-7b-hf"),
    ],
)
def test_models_are_found_by_another_spelling(file, given, model):
    table = read_scores(file(f"Model,family,quiz\n{given},Llama 2,0.5\n"), into=BASE)
    assert len(table.models) == len(BASE.models)
    assert table.matrix(["quiz"]).loc[model].item() == 0.5
    assert f"read {given} as {model}" in said(table)


@pytest.mark.parametrize("given", ["me/Llama-2-7b", "Llama-2-7b-chat", "Qwen2.5-7B", "Llama-2-7b-v2"])
def test_other_models_are_not_taken_for_those_of_the_table(file, given):
    table = read_scores(file(f"Model,family,quiz\n{given},Llama 2,0.5\n"), into=BASE)
    assert len(table.models) == len(BASE.models) + 1
    assert table.models.at[given, "family"] == "Llama-2"


def test_all_conflicts_are_listed_and_rounding_is_none(file):
    rows = "".join(f"{name},{size},0.5\n" for name, size in (("llama-7b", 6.9), ("llama-13b", 20), ("llama-30b", 70)))
    with pytest.raises(InputError) as caught:
        read_scores(file(f"Model,Model Size (B),quiz\n{rows}"), into=BASE)
    assert "row 3" in str(caught.value) and "and 1 more: row 4" in str(caught.value)
    table = read_scores(file("Model,Model Size (B),quiz\nllama-30b,34,0.5\n"), into=BASE)
    assert table.models.at["huggyllama/llama-30b", "params"] == 32.5e9
    assert "the table's sizes are used where yours are rounded" in said(table)


# ----------------------------------------------------------------------------------- wrong numbers that look right


def test_chance_of_common_benchmarks_is_known(file):
    path = file(
        f"{WIDE},BBH,MMLU-PRO,GPQA\nm/a-70b,L,70,15,0.69,0.53,0.36\nm/b-8b,L,8,15,0.51,0.38,0.27\nq/a-72b,Q,72,18,.62,.51,.17\n"
        "q/b-7b,Q,7.6,18,0.35,0.37,0.055\nq/c-1b,Q,1.5,18,0.2,0.2,0.008\nn/a-7b,M,7.2,8,0.256,0.23,0.039\n"
    )
    table = read_scores(path)
    assert table.benchmarks["chance"].to_dict() == {"BBH": 0.2624, "MMLU-PRO": 0.1, "GPQA": 0.25}
    assert table.resolve("mmlu_pro") == "MMLU-PRO" and table.n_items("GPQA") == 448
    (two,) = found(path, "two scales")
    assert two.level == "FAIL" and "GPQA mixes two scales" in two.what and "q/b-7b" in two.what


def test_failed_runs_are_no_second_scale(file):
    path = file(
        f"{WIDE},MMLU,HellaSwag\nme/a-1b,mine,1,2,0.0,0.60\nme/b-3b,mine,3,2,0.0,0.70\nme/c-7b,mine,7,2,0.46,0.78\n"
    )
    (failed,) = found(path, "failed runs")
    assert failed.level == "REVIEW" and "MMLU is 0 for me/a-1b (row 2), me/b-3b (row 3)" in failed.what
    assert found(path, "two scales")[0].level == found(path, "chance")[0].level == "PASS"


def test_acc_in_place_of_acc_norm(file):
    header = f"{WIDE},MMLU,ARC-C,HellaSwag,Winograd,TruthfulQA,GSM8K\n"
    acc = file(
        header
        + "me/m-7b,m,6.7,1,0.352,0.418,0.570,0.699,0.341,0.081\nme/m-13b,m,13,1,0.469,0.465,0.599,0.728,0.395,0.142\n"
        "me/m-30b,m,32.5,1.4,0.578,0.528,0.633,0.758,0.423,0.310\n"
    )
    (metric,) = found(acc, "metric")
    assert metric.level == "REVIEW" and "me/m-7b, me/m-13b, me/m-30b" in metric.what and "acc_norm" in metric.remedy
    right = file(
        header + "me/m-7b,m,6.7,1,0.352,0.51,0.778,0.72,0.341,0.08\nme/m-13b,m,13,1,0.47,0.56,0.81,0.76,0.395,0.142\n"
    )
    assert found(right, "metric")[0].level == "PASS"


def test_answers_that_could_not_be_parsed(file):
    path = file(
        f"{WIDE},MMLU,HellaSwag,ARC-C,GSM8K\nQwen2.5-7B,Qwen2.5,7.6,18,.742,.80,.64,.82\nQwen2.5-7B-Instruct,,,,.73,.80,.65,.19\n"
    )
    (collapsed,) = found(path, "collapsed scores")
    assert "Qwen2.5-7B-Instruct 0.190 against 0.820" in collapsed.what
    assert "Qwen2.5-7B-Instruct and Qwen2.5-7B" in found(path, "fine-tunes")[0].what


def test_columns_that_copy_fall_or_hold_little():
    models = BASE.matrix(["MMLU"])["MMLU"].dropna()
    frame = pd.DataFrame({"Model": models.index, "my_mmlu": models.to_numpy(), "refusals": 1 - models.to_numpy()})
    frame["exam"] = [0.4, 0.5, 0.6, *[np.nan] * (len(frame) - 3)]
    assert "my_mmlu has the scores of MMLU" in found(frame, "copies")[0].what
    (falling,) = found(frame, "falling scores")
    assert falling.level == "REVIEW" and "refusals falls as the other scores rise" in falling.what
    some = frame[["Model", "refusals"]].iloc[3:8]
    assert "refusals falls as the other scores rise" in found(some, "falling scores")[0].what
    (few,) = found(frame, "few scores")
    assert few.what == "exam has 3 scores"
    (scales,) = found(frame, "two scales")
    assert scales.level == "REVIEW" and "cannot be told of my_mmlu, refusals, exam" in scales.what


def test_what_is_one_value_throughout_neither_rises_nor_falls(file):
    rows = [f"m{n},F,{n + 1},1,{x},0.5" for n, x in enumerate((0, 0, 0, 0, 0, 1, 0.5))]
    findings = check_table(file("\n".join([f"{WIDE},mine,yours", *rows])), against=ScoreTable.empty())
    assert [one.level for one in findings if one.check == "falling scores"] == ["PASS"]
    assert rank_correlation([1, 2, 3], [2, 2, 2]) == 0 == rank_correlation([2, 2, 2], [1, 2, 3])
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == -1


@pytest.mark.parametrize(
    ("name", "falls", "level", "words"),
    [
        ("refusal_rate", True, "REVIEW", "refusal_rate: 3 scores are too few"),
        ("top1_error_rate", False, "REVIEW", "its name"),
        ("over_refusal", False, "REVIEW", "its name"),
        ("lossless_coding", False, "PASS", "cannot be told of lossless_coding"),
        ("error_identification", False, "PASS", "cannot be told of error_identification"),
        ("exam", False, "PASS", "cannot be told of exam"),
        ("exam", True, "REVIEW", "each stronger model has a lower one"),
    ],
)
def test_few_scores_are_judged_by_their_name_or_not_at_all(name: str, falls: bool, level: str, words: str):
    strength = BASE.matrix(["MMLU"])["MMLU"].dropna().sort_values().iloc[[5, 30, -1]]
    scores = 1 - strength if falls else strength
    frame = pd.DataFrame({"Model": strength.index, name: scores.to_numpy()})
    (told,) = found(frame, "falling scores")
    assert told.level == level and words in told.what
    # what passes is no news to a command that reads the table
    parsed = parse(BASE, frame)
    told = [one.level for one in check_merged(BASE, parsed, merge(BASE, parsed)) if one.check == "falling scores"]
    assert told == [level] * (level == "REVIEW")


@pytest.mark.parametrize(
    ("name", "size", "level"),
    [
        ("q/Big-235B-A22B", 235, "REVIEW"),
        ("q/Big-235B-A22B", 22, "PASS"),
        ("m/Mix-8x22B", 141, "REVIEW"),
        ("m/Mix-8x22B", 39, "PASS"),
        ("m/Plain-70B", 70, "PASS"),
    ],
)
def test_mixtures_of_experts_count_active_parameters(file, name, size, level):
    path = file(f"{WIDE},MMLU\n{name},M,{size},10,.7\n")
    assert found(path, "mixture of experts")[0].level == level
    assert found(path, "size in name")[0].level == "PASS"
    if level == "REVIEW":
        flops = file(f"Model,Model Family,tokens,flops,MMLU\n{name},M,1e13,{6 * size * 1e22:g},.7\n")
        assert "the FLOPs of" in found(flops, "mixture of experts")[0].what


def test_a_release_after_today_is_reviewed(file):
    for day, level in (("2024-05-01", "PASS"), ("2099-05-01", "REVIEW")):
        path = file(f"{WIDE},date,MMLU\nlab/new,N,7,2,{day},.5\n")
        assert found(path, "release dates")[0].level == level


def test_a_model_in_a_family_that_cannot_be_its_own():
    strong = BASE.matrix(BASE.benchmark_names).loc["meta-llama/Meta-Llama-3-70B"].dropna() - 0.003
    row = {"Model": "lab/new", "family": "Llama", "flops": 1e22} | strong.to_dict()
    (finding,) = found(pd.DataFrame([row]), "family of a model")
    assert finding.level == "REVIEW" and "lab/new scores as a model of its family Llama would with" in finding.what
    weak = BASE.matrix(BASE.benchmark_names).loc["huggyllama/llama-13b"].dropna() - 0.003
    row = {"Model": "lab/new", "family": "Llama", "flops": 7e22} | weak.to_dict()
    assert found(pd.DataFrame([row]), "family of a model")[0].level == "PASS"


def test_all_right_and_all_wrong_are_read(file):
    path = file(
        "Model,Model Family,MMLU,ARC-C,HellaSwag,GSM8K\nlab/right,a,1.0,1.0,1.0,1.0\nlab/wrong,b,.25,.25,.25,0.0\n"
    )
    assert "FAIL" not in {one.level for one in check_table(path)}
    assert len(read_scores(path).scores) == 8


# ------------------------------------------------------------------------------------------------------------- roles


def test_a_new_column_is_a_task_unless_nothing_else_measures_capability(file):
    assert read_scores(file("Model,MMLU,quiz\nllama-7b,.3,.5\n"), into=BASE).task_names[-1] == "quiz"
    alone = read_scores(file("Model,quiz,exam\na,.3,.5\nb,.4,.6\n"), tasks=["exam"])
    assert alone.benchmark_names == ["quiz"] and alone.task_names == ["exam"]
    assert "since no other column does" in said(alone)
    known = read_scores(file("Model,GPQA Diamond,quiz\na,.3,.5\nb,.4,.6\n"), tasks=["gpqa_diamond"])
    assert known.task_names == ["GPQA Diamond"] and known.benchmark_names == ["quiz"]


def test_a_check_tells_how_a_file_was_read(file):
    reading = found(file("Model;Average;quiz\nllama-7b;.3;51,2\nllama-13b;.4;60,1\n"), "reading")
    assert {one.level for one in reading} == {"PASS"}
    assert [one.what for one in reading] == [
        "columns are separated by semicolons",
        "left aside: Average (an average)",
        "read quiz as percent (all its values are above 1)",
    ]


def test_arena_ratings_do_not_join_a_column_that_was_rescaled(file):
    from bayes_obscaling.data import load_instruct_llms

    path = file("Model,Model Family,Arena-Elo\nnew,A,1286\n")
    bounds = pd.DataFrame({"benchmark": ["Arena-Elo"], "lower": [0], "upper": [2000]})
    with pytest.raises(InputError, match="scaled by its own weakest and strongest model"):
        read_scores(path, bounds, into=load_instruct_llms())


def test_years_alone_are_said(file):
    table = read_scores(file("Model,date,quiz\na,2024,.5\nb,2024-03,.4\n"))
    assert table.models["date"].tolist() == ["2024-07-01", "2024-03-01"]
    assert "a year alone is read as its 1 July (the dates of a)" in said(table)


def exam(chance, levels):
    """Scores of 36 bundled models on an exam with this floor, and what is said of it."""
    known = BASE.matrix(["MMLU"])["MMLU"].dropna().sort_values()
    known = known.iloc[:: max(len(known) // 36, 1)]
    place = (known.rank(pct=True).to_numpy() - 0.7) * 12
    noise = np.random.default_rng(0).normal(0, 0.015, len(known))
    scores = chance + (1 - chance) / (1 + np.exp(-place)) + noise
    frame = pd.DataFrame({"Model": known.index, "exam": scores.clip(0, 1)})
    return frame, pd.DataFrame({"benchmark": ["exam"], "role": ["task"], "n_items": [400], "chance": [levels]})


@pytest.mark.parametrize(
    ("stated", "level", "said"),
    [
        (0.2, "PASS", ""),
        (0.0, "REVIEW", "chance 0 is stated for exam, but its weaker models score about 0.2"),
        (0.5, "FAIL", "chance 0.5 is stated for exam, but"),
        (None, "PASS", ""),
    ],
)
def test_a_stated_chance_that_the_scores_contradict(stated, level, said):
    found = [one for one in check_table(*exam(0.2, stated)) if one.check in ("chance", "two scales")]
    found = [one for one in found if one.level != "PASS" and "cannot be told" not in one.what]
    assert [one.level for one in found] == [level] * (level != "PASS")
    for one in found:
        assert said in one.what and "state chance 0.2" in one.remedy and "so that a fit infers it" in one.remedy


def test_chance_that_nobody_said_is_unknown(file):
    path = file("Model,MMLU,my_exam\nme/a-7b,0.4,0.3\nme/b-7b,0.5,0.4\n")
    table = read_scores(path, into=BASE)
    assert np.isnan(table.chance("my_exam"))
    assert any("my_exam is new; its chance level is not said, so that a fit infers it" in note for note in table.notes)
    empty = file("benchmark,role,chance\nmy_exam,task,\n", "exam.csv")
    assert np.isnan(read_scores(path, empty, into=BASE).chance("my_exam"))
    zero = file("benchmark,role,chance\nmy_exam,task,0\n", "zero.csv")
    assert read_scores(path, zero, into=BASE).chance("my_exam") == 0.0
    again = file("model,benchmark,score,chance\nme/c-7b,my_exam,0.4,0.2\n", "again.csv")
    with pytest.raises(InputError, match=r"the chance level of my_exam is unknown in the table, 0\.2 here"):
        read_scores(again, into=table)


@pytest.mark.parametrize(
    ("family", "meant"),
    [("Lama-2", "Llama-2"), ("Pythya", "Pythia"), ("Llama-9", ""), ("Nova", ""), ("llama 2", "")],
)
def test_a_family_that_is_misspelt_is_reviewed(file, family, meant):
    path = file(f"Model,Model Family,Model Size (B),MMLU\nme/a-7b,{family},7,0.4\n")
    found = [one for one in check_table(path) if one.check == "names of families"]
    assert [one.level for one in found] == ["REVIEW" if meant else "PASS"]
    if meant:
        assert f"the family {family} of me/a-7b is new, and its name nearly that of {meant}" in found[0].what


@pytest.mark.parametrize(("evaluated", "level"), [("2023-01-15", "REVIEW"), ("2023-08-01", "PASS"), ("", "PASS")])
def test_a_run_before_the_release_is_reviewed(file, evaluated, level):
    path = file(f"model,benchmark,score,evaluated\nmeta-llama/Llama-2-7b-hf,quiz,0.4,{evaluated}\n")
    (found,) = [one for one in check_table(path) if one.check == "dates of runs"]
    assert found.level == level
    if level == "REVIEW":
        assert "meta-llama/Llama-2-7b-hf on quiz: run on 2023-01-15, released on 2023-07" in found.what


def test_what_fails_names_its_rows(file):
    path = file("Model,Model Family,Model Size (B),FLOPs (1E21),MMLU\nme/a,M,7,84,0.4\nme/b,M,7,84e23,0.4\n")
    (found,) = [one for one in check_table(path) if one.check == "units"]
    assert found.level == "FAIL" and "me/b (row 3) has flops" in found.what
