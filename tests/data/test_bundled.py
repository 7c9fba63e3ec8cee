import numpy as np
import pytest

from bayes_obscaling.data import ScoreTable, load_base_llms, load_frontier, load_instruct_llms, load_olmo_ladder
from bayes_obscaling.data.bundled import bundled_hashes, changed_since, known_corrections, tables_folder


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


def test_the_frontier_table_is_sparse_and_knows_what_it_does_not_know():
    table = load_frontier()
    models, benchmarks, scores, others = table.models, table.benchmarks, table.scores, table.other_settings
    assert (len(models), len(benchmarks), len(scores), len(others)) == (188, 129, 3028, 225)
    assert table.task_names == [] and set(models["cohort"]) == {"frontier"}
    assert models["flops_sd"].value_counts().to_dict() == {0.29: 40, 0.61: 21, 0.9: 9}
    # compute that follows from scores is no observation of it
    assert models.loc[["claude-2", "mistral-large-2", "gpt-4.5"], ["flops", "flops_sd"]].isna().all(axis=None)
    assert models.index[models["date"] == ""].tolist() == ["glm-4.7-flash"] and models["date"].max() < "2026-06"
    assert models["provider"].ne("").all() and models["open_weights"].isin(["yes", "no"]).sum() > 150
    assert benchmarks["category"].ne("").all() and benchmarks["description"].ne("").all()
    assert not {"bp_frontiermath", "bp_frontiermath_tier4"} & set(benchmarks.index)
    assert table.resolve("GPQA Diamond") == "gpqa_diamond" and table.resolve("MMLU-Pro") == "bp_mmlu_pro"


def test_settings_and_errors_of_the_frontier_table():
    table = load_frontier()
    key = ["model", "benchmark"]
    scores, others = (frame.set_index(key) for frame in (table.scores, table.other_settings))
    low = others.loc[[("claude-opus-4.7", "chess_puzzles")]].set_index("setting")
    assert low.at["low", "score"] == 0.2
    assert scores.loc[scores["reasoning"] == 0, "setting"].eq("none").all()
    assert others["setting"].ne("").all()
    doubtful = scores[scores["reasoning"].isna()]
    assert set(doubtful.index.get_level_values("model")) == {"claude-sonnet-4"} and doubtful["setting"].eq("").all()
    assert ("gpt-3.5-turbo", "bp_mathvista") not in scores.index  # a text model
    # .605429 with a standard error of .0293, from 198 questions asked more than once
    assert scores.at[("glm-4.7-flash", "gpqa_diamond"), "n_items"] == 278
    assert scores.at[("glm-4.7-flash", "gpqa_diamond"), "evaluated"] == "2026-08-30"
    at_zero = scores[(scores["score"] == 0) & (scores.index.get_level_values("benchmark") == "frontiermath_t4_v1")]
    assert len(at_zero) and at_zero["n_items"].isna().all()


def test_the_licence_of_the_frontier_data_travels_with_them():
    text = (tables_folder() / "frontier" / "LICENSE-CDLA-2.0.md").read_text()
    assert text.startswith("Community Data License Agreement - Permissive - Version 2.0")


def test_all_bundled_tables_are_hashed():
    assert bundled_hashes()["frontier"] == load_frontier().data_hash
    table = load_frontier()
    assert changed_since(table) == ()
    scores = table.scores
    scores.loc[0, "score"] = 0.5
    changed = changed_since(ScoreTable(table.models, table.benchmarks, scores))
    assert changed == ("1 scores (first claude-opus-4.5 on bp_aa_lcr: 0.5 then, 0.713 now)",)
