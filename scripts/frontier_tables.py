"""The frontier tables of ``build_data.py``: models, benchmarks, scores and scores in other settings, tidied."""

import pandas as pd

from bayes_obscaling.data.efforts import setting_of
from bayes_obscaling.data.known import key_of
from bayes_obscaling.data.rules import FLOPS_CONFIDENCE
from bayes_obscaling.data.scales import items_of

LEFT_OUT = ("bp_frontiermath", "bp_frontiermath_tier4")  # they repeat frontiermath_v1 and frontiermath_t4_v1
CATEGORIES = {
    "knowledge": (
        "gpqa_diamond simpleqa_verified bp_gpqa_diamond bp_mmlu_pro bp_hle bp_hle_text bp_hle_tools "
        "bp_simpleqa bp_simpleqa_verified bp_chinese_simpleqa bp_popqa bp_supergpqa bp_truthfulqa bp_c_eval "
        "bp_healthbench"
    ),
    "math": (
        "math_level_5 otis_mock_aime frontiermath_v1 frontiermath_t4_v1 frontiermath_v2 frontiermath_t4_v2 "
        "bp_aime_2024 bp_aime_2025 bp_aime_2026 bp_hmmt_feb_2025 bp_hmmt_nov_2025 bp_hmmt_feb_2026 bp_math "
        "bp_math_500 bp_mt_aime_2024 bp_gsm8k bp_imo_answerbench bp_matharena_apex_2025 bp_brumo_2025 "
        "bp_smt_2025 bp_cmimc_2025 bp_cnmo_2024 bp_beyond_aime bp_usamo_2025"
    ),
    "coding": (
        "bp_livecodebench bp_humaneval bp_aider_polyglot_diff bp_aider_polyglot_whole bp_scicode bp_bird_sql "
        "bp_artifactsbench bp_ojbench bp_mbpp_plus bp_bigcodebench bp_multipl_e_avg"
    ),
    "agentic": (
        "swe_bench_verified bp_swe_bench_verified bp_swe_bench_pro bp_swe_bench_multilingual "
        "bp_multi_swe_bench bp_swelancer bp_nl2repo_bench bp_terminal_bench bp_terminal_bench_1 "
        "bp_terminal_bench_hard bp_tau2_bench_telecom bp_tau2_bench_retail bp_tau2_bench_airline "
        "bp_tau_bench_retail bp_tau_bench_airline bp_tau3_bench bp_browsecomp bp_browsecomp_zh bp_toolathlon "
        "bp_mcpatlas bp_mcpmark bp_cybergym bp_osworld bp_deepsearchqa_acc bp_finance_agent bp_widesearch "
        "bp_finsearchcomp_global bp_gaia bp_xbench_deepsearch bp_bfcl bp_bfcl_v3 bp_complexfuncbench "
        "ebr_bench"
    ),
    "reasoning": (
        "chess_puzzles mystery_game_puzzles bp_arc_agi_1 bp_arc_agi_2 bp_bigbench_hard bp_drop bp_critpt "
        "bp_cluewsc bp_livebench"
    ),
    "multimodal": (
        "bp_mmmu bp_mmmu_pro bp_charxiv_reasoning bp_charxiv_descriptive bp_video_mmmu bp_video_mme "
        "bp_mathvista bp_mathvision bp_erqa bp_screenspot_pro bp_babyvision bp_vibe_eval"
    ),
    "long context": (
        "bp_aa_lcr bp_graphwalks_parents_0k_128k bp_graphwalks_bfs_0k_128k bp_longbench_v2 bp_frames "
        "bp_repoqa bp_browsecomp_long_context_128k bp_mrcr_v1 bp_mrcr_v2 bp_mrcr_v2_2needle_128k "
        "bp_mrcr_v2_8needle"
    ),
    "instruction following": (
        "bp_ifeval bp_ifbench bp_collie bp_multichallenge bp_multi_if bp_infobench bp_arena_hard bp_alpacaeval_2"
    ),
    "multilingual": "bp_mmmlu bp_mgsm bp_global_piqa",
    "safety": "bp_safety",
    "other": "bp_bullshit_pushback bp_facts_grounding",
}
CATEGORY = {name: category for category, names in CATEGORIES.items() for name in names.split()}
YES_NO = {"True": "yes", "False": "no", "": ""}
MODEL_COLUMNS = [
    "model",
    "name",
    "provider",
    "family",
    "params",
    "tokens",
    "flops",
    "flops_sd",
    "flops_method",
    "date",
    "open_weights",
    "cohort",
]
SCORE_COLUMNS = ["model", "benchmark", "score", "n_items", "setting", "reasoning", "evaluated", "source", "ref", "kind"]
OTHER_COLUMNS = ["model", "benchmark", "setting", "reasoning", "score", "n_items", "evaluated", "source", "ref", "kind"]
KEY = ["model", "benchmark"]


def read(path):
    """Cells as texts, "" where there is nothing."""
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")


def number(text):
    """A number as the other tables write it."""
    return f"{float(text):.12g}" if text else ""


def tidy_models(source):
    """Models in our columns; what follows from benchmark scores is no compute that was observed."""
    circular = source["flops_circular"] == "True"
    return pd.DataFrame(
        {
            "model": source["model"],
            "name": source["name"],
            "provider": source["provider"],
            "family": source["family"],
            "params": source["params"].map(number),
            "tokens": "",
            "flops": source["flops"].map(number).where(~circular, ""),
            "flops_sd": source["flops_confidence"]
            .map(FLOPS_CONFIDENCE)
            .map("{:g}".format)
            .replace("nan", "")
            .where(~circular, ""),
            "flops_method": source["flops_method"],
            "date": source["release_date"],
            "open_weights": source["open_weights"].map(YES_NO),
            "cohort": "frontier",
        },
        columns=MODEL_COLUMNS,
    )


def tidy_benchmarks(source, benchmark):
    """Rows of benchmarks.csv, made by `benchmark`; an alias goes to Epoch's own column where both could have it."""
    source = source[~source["benchmark"].isin(LEFT_OUT)]
    taken = {key_of(name): name for name in source["benchmark"]}
    rows = []
    for row in source.itertuples():  # Epoch's own come first
        is_own = row.source == "epoch"
        name = row.name.replace(" (Epoch run)", "").replace(" (Epoch)", "")
        aliases = []
        for alias in (name.casefold(), row.benchmark.removeprefix("bp_")):
            if taken.setdefault(key_of(alias), row.benchmark) == row.benchmark and alias != row.benchmark:
                aliases.append(alias)
        what = f"{name}: {row.metric}, run by Epoch AI" if is_own else f"{name}, as vendors report it (BenchPress)"
        items = float(row.n_items) if row.n_items else None
        facts = {"chance": float(row.chance), "n_items": items, "aliases": dict.fromkeys(aliases)}
        facts |= {"category": CATEGORY[row.benchmark], "source": row.source, "licence": row.licence}
        rows.append(benchmark(row.benchmark, what, **facts))
    return rows


def tidy_scores(source):
    """Scores of the best settings, those in other settings, and the rows that are left out because they are wrong.

    A score without reasoning is one of effort none. Where a source says that a model which can reason did, and the row
    says that it did not, neither is believed.
    """
    source = source[~source["benchmark"].isin(LEFT_OUT)]
    suspect = source["note"].str.startswith("suspect")
    wrong, rows = source[suspect], source[~suspect]
    can_reason = rows["model"].isin(rows.loc[rows["reasoning"] == "True", "model"])
    doubtful = (rows["reasoning"] == "False") & rows["detail"].str.contains("mode=thinking") & can_reason
    without = (rows["reasoning"] == "False") & ~doubtful
    setting = rows["setting"].where(~without | (rows["setting"] != ""), "none").where(~doubtful, "")
    tidy = pd.DataFrame(
        {
            **{column: rows[column] for column in (*KEY, "evaluated", "source", "ref", "kind")},
            "score": [repr(float(score)) for score in rows["score"]],
            "n_items": [
                number(str(items_of(float(score), float(error)))) if error else ""
                for score, error in zip(rows["score"], rows["stderr"], strict=True)
            ],
            "setting": setting.map(setting_of),
            "reasoning": rows["reasoning"].map({"True": "1", "False": "0", "": ""}).where(~doubtful, ""),
        }
    ).replace("nan", "")
    primary = rows["primary"] == "True"
    scores, others = tidy[primary], tidy[~primary & (tidy["setting"] != "")]
    keys = [*KEY, "setting"]
    taken = pd.MultiIndex.from_frame(others[keys]).isin(pd.MultiIndex.from_frame(scores[keys]))
    others = others[~taken & ~others.duplicated(keys)]
    return scores[SCORE_COLUMNS], others[OTHER_COLUMNS], wrong


def left_out(models, wrong):
    """Values of the source that the tables leave out, with the reason, in the columns of corrections.csv."""
    rows = [(row.model, row.benchmark, row.score, "", row.note.removeprefix("suspect: ")) for row in wrong.itertuples()]
    circular = models[models["flops_circular"] == "True"]
    reason = "estimated from benchmark scores, so no observation of compute"
    rows += [(row.model, "flops", number(row.flops), "", reason) for row in circular.itertuples()]
    return pd.DataFrame(rows, columns=["model", "column", "source_value", "corrected_value", "reason"])
