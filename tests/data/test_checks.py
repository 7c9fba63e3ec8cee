import re

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import check_table, load_base_llms, load_frontier, load_instruct_llms
from bayes_obscaling.data.checked import Checked

BASE = load_base_llms()


def found(findings, check):
    return [finding for finding in findings if finding.check == check]


def levels(findings):
    return {finding.check: finding.level for finding in findings}


@pytest.fixture
def published():
    """Return the bundled benchmark scores in the published layout, with the published defects put back."""
    models = BASE.models
    models.loc["cerebras/btlm-3b-8k-base", ["tokens", "flops"]] = 627e12, 11286e21
    models.loc["openlm-research/open_llama_7b_v2", ["params", "flops"]] = 13e9, 78e21
    frame = pd.DataFrame(
        {
            "Model": models.index,
            "Model Family": models["family"],
            "Model Size (B)": models["params"] / 1e9,
            "Pretraining Data Size (T)": models["tokens"] / 1e12,
            "FLOPs (1E21)": models["flops"] / 1e21,
        }
    )
    return frame.join(BASE.matrix(BASE.benchmark_names)).reset_index(drop=True)


def test_bundled_tables_have_nothing_to_fail_on():
    for table in (BASE, load_base_llms("paper"), load_instruct_llms()):
        assert "FAIL" not in levels(check_table(table)).values()
    checks = levels(check_table(BASE))
    reviewed = ["mixture of experts", "compute", "families", "collapsed scores"]
    assert [name for name, level in checks.items() if level == "REVIEW"] == reviewed


def test_known_defects_of_the_published_table_are_noticed(published):
    findings = check_table(published)
    assert levels(findings)["readable"] == "PASS"
    (units,) = found(findings, "units")
    assert (units.level, "btlm-3b-8k-base (row" in units.what) == ("FAIL", True)
    assert ") has tokens 6.27e+14" in units.what
    assert "factor of 1000" in units.remedy
    size = next(finding for finding in found(findings, "size in name") if "open_llama" in finding.what)
    assert size.level == "REVIEW"
    assert "open_llama_7b_v2 is listed with 13 B parameters, its name says 7 B" in size.what
    (compute,) = found(findings, "compute")
    assert "25 of 148 models have no FLOPs" in compute.what


def test_suspicious_ipa_scores_are_noticed():
    messages = {finding.what.split(":")[0]: finding.what for finding in found(check_table(BASE), "collapsed scores")}
    assert "Qwen/Qwen-72B 0.014" in messages["ipa_transliterate"]
    assert "Qwen/Qwen1.5-72B 0.008" in messages["ipa_transliterate"]
    assert "Qwen/Qwen-7B 0.005" in messages["ipa_transliterate_bleu"]


def test_flops_that_are_not_6nd(published):
    published.loc[0, "FLOPs (1E21)"] = 90.0
    published.loc[1, "FLOPs (1E21)"] = 1.56
    findings = check_table(published)
    review, fail = found(findings, "flops")
    assert (review.level, "Llama-2-7b-hf (row " in review.what, "has 1.07 times" in review.what) == (
        "REVIEW",
        True,
        True,
    )
    assert (fail.level, "Llama-2-13b-hf (row " in fail.what, "has 0.01 times" in fail.what) == ("FAIL", True, True)
    # and what the table knows better is said too
    assert levels(findings[:1]) == {"readable": "FAIL"}
    assert "8.4e+22 in the table" in findings[0].what


@pytest.mark.parametrize(
    ("name", "params", "level"),
    [
        ("x/bloom-1b1", 1.1e9, "PASS"),
        ("x/bloom-7b1", 1.1e9, "REVIEW"),
        ("x/stablelm-2-1_6b", 1.6e9, "PASS"),
        ("x/pythia-410m-deduped", 0.41e9, "PASS"),
        ("x/mix-8x7B", 45e9, "PASS"),
        ("x/Yi-6B-200K", 6e9, "PASS"),
        ("7b/plain", 1e9, "PASS"),
        ("x/gpt-500M", 5e9, "REVIEW"),
    ],
)
def test_size_in_name(name, params, level):
    frame = pd.DataFrame({"model": [name], "family": "X", "params": params, "tokens": 1e12, "MMLU": 0.5})
    assert levels(check_table(frame))["size in name"] == level


def test_half_rescaled_column_names_its_rows_and_the_conversion(published):
    rng = np.random.default_rng(1)
    rescaled = rng.random(len(published)) < 0.5
    published.loc[rescaled, "MMLU"] = ((published["MMLU"] - 0.25) / 0.75)[rescaled]
    (finding,) = found(check_table(published), "two scales")
    assert finding.level == "FAIL"
    assert "score * (1 - 0.25) + 0.25" in finding.remedy
    what = re.sub(r" \(row \d+\)", "", finding.what)
    sure = what.split("surely ")[1].split("; by their")[0].split(", ")
    likely = what.split("probably also ")[1].split(", ")
    truth = set(published["Model"][rescaled])
    assert set(sure) <= truth
    # strong models are above chance on either scale: most of them are still told apart
    assert len(truth & {*sure, *likely}) >= 0.9 * len(truth)
    assert len({*sure, *likely} - truth) <= 0.2 * len(truth)


def test_wholly_rescaled_column(published):
    published["HellaSwag"] = (published["HellaSwag"] - 0.25) / 0.75
    frame = published[["Model", "HellaSwag"]]
    (finding,) = found(check_table(frame), "two scales")
    assert finding.level == "FAIL"
    assert "lie far below chance" in finding.what or "mixes two scales" in finding.what


def test_one_score_below_chance_is_no_second_scale(published):
    published.loc[3, "Winograd"] = 0.2
    findings = check_table(published)
    (low,) = found(findings, "chance")
    assert low.what.startswith("huggyllama/llama-7b (row ") and "scores 0.200 on Winograd" in low.what
    assert levels(findings)["two scales"] == "PASS"


def test_reading_errors_are_one_failure(tmp_path):
    path = tmp_path / "percent.csv"
    path.write_text("Model,MMLU\nllama-7b,35\nllama-13b,47\nllama-30b,0.5\n")
    (finding,) = check_table(path)
    assert (finding.level, finding.check) == ("FAIL", "readable")
    assert "looks like a mix of percent and fractions" in finding.what
    assert finding.remedy.startswith("write all as fractions")
    (finding,) = check_table(tmp_path / "nothing.csv")
    assert finding.level == "FAIL"


def test_a_users_table_is_seen_in_the_context_of_the_bundled_one():
    frame = pd.DataFrame(
        {"model": ["Llama-2-7b-hf", "me/new-3b"], "family": ["", "Mine"], "MMLU": [0.6, 0.4], "my_exam": [0.2, 0.1]}
    )
    findings = check_table(frame)
    checks = levels(findings)
    assert checks["replaced scores"] == checks["new benchmarks"] == checks["families"] == checks["compute"] == "REVIEW"
    assert "0.600 for 0.438" in found(findings, "replaced scores")[0].what
    assert "1 family has one model only (Mine)" in found(findings, "families")[0].what
    assert "my_exam is new; its chance level is not said" in found(findings, "new benchmarks")[0].what
    assert "1 of 2 models have no FLOPs (me/new-3b)" in found(findings, "compute")[0].what
    assert str(found(findings, "flops")[0]).startswith("PASS")


def test_a_model_under_two_names(published):
    twin = published.iloc[[0]].assign(Model="me/copy")
    (finding,) = found(check_table(pd.concat([published, twin])), "duplicates")
    assert finding.level == "REVIEW"
    assert "meta-llama/Llama-2-7b-hf and me/copy have 8 of 8 scores" in finding.what


def test_fractions_in_a_column_of_0_to_100():
    frame = pd.DataFrame(
        {"Model": ["llama-7b", "llama-13b", "llama-30b"], "ipa_transliterate_2_bleu": [0.13, 0.27, 0.38]}
    )
    (finding,) = found(check_table(frame), "scale")
    assert (finding.level, finding.remedy) == ("REVIEW", "if these are fractions, multiply by 100")


def test_a_weak_model_of_a_sparse_table_is_no_failed_run():
    findings = check_table(load_frontier())
    # true of it: compute is unknown, families are single, a mixture of experts, a format failure on GPQA
    expected = ["mixture of experts", "compute", "families", "chance", "collapsed scores"]
    assert [name for name, level in levels(findings).items() if level != "PASS"] == expected
    lines = " ".join(one.what for one in found(findings, "collapsed scores"))
    assert "qwen3-max 0.040" in lines  # on chess, where its equals get five times as much
    assert "gemma-3-1b" not in lines and "llama-3.2-1b" not in lines  # weak, and nobody is like them
    experts = " ".join(one.what for one in found(findings, "mixture of experts"))
    assert "wizardlm-2-8x22b" in experts and "mixtral-8x7b" not in experts  # whose compute is given by itself


def test_where_models_of_a_sparse_table_stand():
    table = load_frontier()
    checked = Checked(table.models, table.benchmarks, table.scores, table, table.models["family"])
    standing = checked.standing()
    assert not checked.is_dense
    assert standing["gpt-5.5-pro"] > 0.95 and standing["llama-3-8b"] < 0.1
    assert np.isnan(standing["glm-4.7-flash"])  # one score says nothing


WIDE = "Model,Model Family,Model Size (B),Pretraining Data Size (T),MMLU,HellaSwag\n"


@pytest.mark.parametrize(
    ("row", "refused"),
    [
        ("llama-7b,LLaMA,20,1,.35,.76\n", "has params 2e+10, but 6.7e+09 in the table"),
        ("acme/nova-2b,Nova,2,2,-0.02,.65\n", "score -0.02 is below 0"),
    ],
)
def test_what_a_refused_file_says_of_its_other_models_is_known(file, row, refused):
    findings = check_table(file(f"{WIDE}{row}acme/nova-8b,Nova,8,2,.60,.78\nacme/nova-1b,Nova,1,2,.30,.6\n"))
    assert findings[0].level == "FAIL" and refused in findings[0].what
    assert levels(findings)["compute"] == levels(findings)["families"] == "PASS"  # size and data are given: 6 N D


def test_a_score_of_exactly_1_is_reviewed_where_nobody_comes_near(file):
    path = file("Model,Model Family,MMLU,MMLU_stderr,quiz\nme/a-7b,Me,1.0,0,1\nme/b-7b,Me,.4,.01,.2\n")
    (perfect,) = found(check_table(path), "perfect scores")
    assert perfect.level == "REVIEW"
    assert "MMLU is exactly 1 for me/a-7b, where no other model has more than 0.849" in perfect.what
    for table in (BASE, load_frontier()):
        assert levels(check_table(table))["perfect scores"] == "PASS"


def test_scores_divided_by_100_twice_are_one_finding(file):
    cells = ((1, 0.003, 60), (2, 0.004, 65), (8, 0.006, 78))
    rows = [f"acme/nova-{size}b,Nova,{size},2,{mmlu},.{hella}\n" for size, mmlu, hella in cells]
    failed = [one for one in check_table(file(WIDE + "".join(rows))) if one.level == "FAIL"]
    assert [one.check for one in failed] == ["scale"] and "divided by 100 twice" in failed[0].remedy


def test_sizes_without_a_unit_are_said_and_fail_once(file):
    path = file("Model,family,params,tokens,MMLU\nacme/nova-8b,Nova,8,2T,.6\nacme/nova-1b,Nova,1B,2T,.3\n")
    findings = check_table(path)
    (reading,) = found(findings, "reading")
    assert reading.what == (
        "params names no unit, so its numbers are read as they stand (acme/nova-8b 8); write the unit in the header, "
        "such as params (B)"
    )
    assert [one.what for one in findings if one.level == "FAIL"] == [
        "acme/nova-8b (row 2) has params 8, outside 1e+06..1e+13"
    ]
    assert levels(findings)["size in name"] == "PASS"
