import numpy as np
import pytest

from bayes_obscaling.data import load_base_llms, load_instruct_llms, load_olmo_ladder
from bayes_obscaling.data.bundled import known_corrections


def test_the_published_study_has_77_of_the_148_base_models():
    models = load_base_llms().models
    assert models["cohort"].value_counts().to_dict() == {"paper": 77, "extended": 51, "later": 20}
    assert len(load_base_llms("paper").models) == 77
    later = load_base_llms("later").models
    assert len(later) == 97 and set(later["cohort"]) == {"paper", "later"}
    with pytest.raises(ValueError, match="'paper', 'later' or 'all'"):
        load_base_llms("papers")


def test_tasks_have_the_published_number_of_scores():
    counts = load_base_llms().matrix(load_base_llms().task_names).notna().sum()
    published = load_base_llms("paper").matrix(load_base_llms().task_names).notna().sum()
    assert published["word_unscrambling"] == 65
    assert published["parsinlu_qa"] == 60
    assert published["ipa_transliterate"] == 63
    assert published["gsm8k_direct"] == 73
    assert published["bbh_cot"] == 75
    assert counts["word_unscrambling"] - published["word_unscrambling"] == 19


def test_scores_are_fractions_in_full_precision():
    scores = load_base_llms().matrix(["MMLU", "ipa_transliterate_bleu"]).loc["meta-llama/Llama-2-7b-hf"]
    assert scores["MMLU"] == 0.4379609636092418
    assert scores["ipa_transliterate_bleu"] == pytest.approx(0.2723879164406593, abs=1e-15)


def test_the_model_at_the_published_cutoff_is_not_above_it():
    table = load_base_llms()
    assert table.models.at["meta-llama/Llama-2-7b-hf", "flops"] <= table.benchmarks.at["parsinlu_qa", "cutoff_flops"]


def test_flops_are_6nd_or_unknown():
    models = load_base_llms().models
    known = models.dropna(subset=["flops"])
    assert models["flops"].isna().groupby(models["cohort"]).sum().to_dict() == {"paper": 2, "extended": 14, "later": 9}
    np.testing.assert_allclose(known["flops"], 6 * known["params"] * known["tokens"], rtol=1e-9)


def test_known_defects_are_corrected_and_listed():
    models = load_base_llms().models
    assert models.at["cerebras/btlm-3b-8k-base", "flops"] == pytest.approx(6 * 3e9 * 0.627e12)
    assert models.at["openlm-research/open_llama_7b_v2", "flops"] == pytest.approx(6 * 7e9 * 1e12)
    corrections = known_corrections()
    assert len(corrections) == 4
    for row in corrections.itertuples():
        assert models.at[row.model, row.column] == pytest.approx(row.corrected_value)
        assert row.source_value / row.corrected_value > 1.5


def test_chance_items_and_exclusions():
    benchmarks = load_base_llms().benchmarks
    assert benchmarks.at["bbh_direct", "chance"] == 0.2624
    assert benchmarks.at["bbh_direct", "n_items"] == 6511
    assert benchmarks.index[benchmarks["signed"]].tolist() == ["TruthfulQA"]
    excluding = benchmarks.index[benchmarks["excludes"] == ("GSM8K",)]
    assert {name.split("_")[0] for name in excluding} == {"arithmetic", "gsm8k", "bbh"}
    assert len(excluding) == 9
    counts = load_base_llms().item_counts(["ipa_transliterate", "XWinograd"])
    assert counts.loc[["Qwen/Qwen-72B", "Qwen/Qwen-7B"], "ipa_transliterate"].tolist() == [500, 1003]
    assert counts["XWinograd"].isna().all()


def test_count_scores_are_whole_numbers_of_items():
    table = load_base_llms("paper")
    names = ["ARC-C", "HellaSwag", "GSM8K", "word_unscrambling", "ipa_transliterate", "gsm8k_cot_sc"]
    right = table.matrix(names) * table.item_counts(names)
    assert (right - right.round()).abs().max().max() < 1e-6


def test_instruct_models():
    table = load_instruct_llms()
    assert table.task_names == ["agentbench", "agentboard"]
    scores = table.matrix(table.task_names)
    assert scores.at["gpt-4-0613", "agentbench"] == 0.401
    assert scores.at["gpt-4-0314", "agentboard"] == 0.479
    assert scores.notna().sum().tolist() == [22, 11]
    assert table.models["flops"].isna().sum() == 7


def test_olmo_ladder():
    ladder, everything = load_olmo_ladder(), load_olmo_ladder("all")
    assert (len(ladder.runs), len(ladder.sizes), len(everything.runs), len(everything.sizes)) == (16, 4, 30, 5)
    assert len(ladder.values) == 16 * 8 and np.isfinite(ladder.matrix("accuracy")).all()
    assert (everything.runs["flops"] > 6 * everything.runs["params"] * everything.runs["tokens"]).all()
    # a final value is the mean of the last five checkpoints
    measured = ["task_loss", "accuracy"]
    along = everything.checkpoints.set_index(["run", "task"]).sort_index()
    final = everything.values.set_index(["run", "task"])
    for key in (("1B-10xC", "mmlu"), ("190M-1xC", "piqa")):
        last = along.loc[key].sort_values("step").tail(5)
        assert np.allclose(last[measured].mean(), final.loc[key, measured].astype(float))


def test_every_model_has_a_release_date():
    for table in (load_base_llms(), load_instruct_llms()):
        assert table.models["date"].str.fullmatch(r"\d{4}-\d\d-\d\d").all()
    dates = load_base_llms().models["date"]
    assert dates["meta-llama/Llama-2-7b-hf"] == "2023-07-18"
    assert dates[load_base_llms("paper").models.index].max() < "2024-05" <= "2024-08" > dates.max()
