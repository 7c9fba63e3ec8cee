"""Write the tidy tables in ``data/`` from the published source tables.

Usage: ``python scripts/build_data.py SOURCE_DIR [OUTPUT_DIR]``

SOURCE_DIR holds the CSV files of the sources named in ``data/README.md``; they are not part of this repository. The
output is deterministic: same sources, same bytes.
"""

import contextlib
import shutil
import sys
from decimal import Decimal
from pathlib import Path

import frontier_tables
import pandas as pd

PUBLISHED_BENCHMARKS = ["MMLU", "ARC-C", "HellaSwag", "Winograd", "TruthfulQA", "GSM8K", "XWinograd", "HumanEval"]

BENCHMARK_COLUMNS = [
    "benchmark",
    "role",
    "chance",
    "n_items",
    "signed",
    "has_ceiling",
    "lower",
    "upper",
    "excludes",
    "cutoff_flops",
    "aliases",
    "description",
]


def benchmark(name, description, *, role="benchmark", chance=0, n_items=None, upper=1, aliases=(), **more):
    """One row of benchmarks.csv; whatever is not said is the common case."""
    row = {
        "benchmark": name,
        "role": role,
        "chance": chance,
        "n_items": n_items,
        "signed": False,
        "has_ceiling": True,
        "lower": 0,
        "upper": upper,
        "excludes": "",
        "cutoff_flops": None,
        "aliases": "|".join(aliases),
        "description": description,
    }
    return row | more


def task(name, column, description, **more):
    """One row of benchmarks.csv for a downstream task, with the column of the source that holds it."""
    return benchmark(name, description, role="task", aliases=(column,), **more)


# mc2 is a continuous score that falls before it rises with capability, and nobody knows its ceiling
TRUTHFUL = {"signed": True, "has_ceiling": False}

COMMON = {
    "MMLU": benchmark("MMLU", "57 subjects, 4 choices, mean over subjects", chance=0.25, n_items=14042),
    "ARC-C": benchmark(
        "ARC-C", "ARC challenge, 4 choices", chance=0.25, n_items=1172, aliases=("arc_challenge", "ARC-Challenge")
    ),
    "HellaSwag": benchmark("HellaSwag", "sentence completion, 4 choices", chance=0.25, n_items=10042),
    "TruthfulQA": benchmark(
        "TruthfulQA",
        "mc2: probability of the true answers, continuous, may fall with capability",
        n_items=817,
        aliases=("truthfulqa_mc2",),
        **TRUTHFUL,
    ),
    "GSM8K": benchmark("GSM8K", "grade-school word problems, exact match", n_items=1319),
    "HumanEval": benchmark("HumanEval", "Python functions from docstrings, pass@1", n_items=164),
}

WINOGRANDE = {"chance": 0.5, "n_items": 1267}

EMERGENT, ARITHMETIC = 8.4e22, 2.2e22
NO_GSM8K = {"excludes": "GSM8K"}
# The published agentic setup reads standard benchmarks alone: no ratings by people or judges.
STANDARD_ONLY = {"excludes": "Arena-Elo;MTBench"}
GSM8K_TASK = {"n_items": 500, "cutoff_flops": EMERGENT} | NO_GSM8K
# The published overall score is the unweighted mean of 27 subtasks: 24 of 250 items, causal_judgement 187, snarks 178,
# penguins_in_a_table 146.
BBH_TASK = {"chance": 0.2624, "n_items": 24 * 250 + 187 + 178 + 146, "cutoff_flops": EMERGENT} | NO_GSM8K

BASE_BENCHMARKS = [
    COMMON["MMLU"],
    COMMON["ARC-C"],
    COMMON["HellaSwag"],
    benchmark("Winograd", "Winogrande: pronoun resolution, 2 choices", aliases=("Winogrande",), **WINOGRANDE),
    COMMON["TruthfulQA"],
    COMMON["GSM8K"],
    benchmark("XWinograd", "Winograd schemas in several languages, 2 choices, mean over languages", chance=0.5),
    COMMON["HumanEval"],
    task(
        "word_unscrambling",
        "word_unscrambling_2_exact_match",
        "BIG-Bench, 2-shot exact match",
        n_items=2000,
        cutoff_flops=EMERGENT,
    ),
    task(
        "parsinlu_qa",
        "parsinlu_qa_2_acc",
        "BIG-Bench Persian multiple choice, 4 choices, 2-shot",
        chance=0.25,
        n_items=1050,
        cutoff_flops=EMERGENT,
    ),
    task(
        "ipa_transliterate",
        "ipa_transliterate_2_exact_match",
        "BIG-Bench IPA transliteration, 2-shot exact match",
        n_items=1003,
        cutoff_flops=EMERGENT,
    ),
    task(
        "ipa_transliterate_bleu",
        "ipa_transliterate_2_bleu",
        "the same, BLEU (0..100 in the source)",
        upper=100,
        cutoff_flops=EMERGENT,
    ),
    *(
        task(
            f"arithmetic_{key}",
            f"arithmetic_{key}_2_acc",
            f"{text}, 2-shot",
            n_items=2000,
            cutoff_flops=ARITHMETIC,
            **NO_GSM8K,
        )
        for key, text in {
            "3ds": "3-digit subtraction",
            "3da": "3-digit addition",
            "2dm": "2-digit multiplication",
            "2da": "2-digit addition",
        }.items()
    ),
    task("gsm8k_direct", "gsm8k_5_exact_match,flexible-extract", "GSM8K, 5-shot, direct", **GSM8K_TASK),
    task("gsm8k_cot", "gsm8k_cot_8_exact_match,flexible-extract", "GSM8K, 8-shot chain of thought", **GSM8K_TASK),
    task(
        "gsm8k_cot_sc",
        "gsm8k_cot_self_consistency_8_exact_match,maj@5-flexible-extract",
        "GSM8K, 8-shot chain of thought, majority of 5",
        **GSM8K_TASK,
    ),
    task(
        "bbh_direct",
        "bbh_fewshot_overall_3_exact_match,flexible-extract",
        "BIG-Bench Hard, 3-shot, direct, mean of 27 subtasks",
        **BBH_TASK,
    ),
    task(
        "bbh_cot",
        "bbh_cot_fewshot_overall_3_exact_match,flexible-extract",
        "BIG-Bench Hard, 3-shot chain of thought, mean of 27 subtasks",
        **BBH_TASK,
    ),
]

INSTRUCT_BENCHMARKS = [
    benchmark("Arena-Elo", "Chatbot Arena Elo, scaled in the source so that the table runs from 0 to 1"),
    benchmark("MTBench", "MT-Bench judge score, divided by 10 in the source"),
    COMMON["MMLU"],
    COMMON["ARC-C"],
    COMMON["HellaSwag"],
    benchmark("Winogrande", "pronoun resolution, 2 choices", aliases=("Winograd",), **WINOGRANDE),
    COMMON["TruthfulQA"],
    COMMON["GSM8K"],
    COMMON["HumanEval"],
    task("agentbench", "ABench-OA", "AgentBench overall index (0..10)", upper=10, **STANDARD_ONLY),
    task("agentboard", "ABoard-Avg_SR", "AgentBoard mean success rate (percent)", upper=100, **STANDARD_ONLY),
]

# model, column, corrected value, reason; FLOPs follow as 6 N D
CORRECTIONS = [
    ("cerebras/btlm-3b-8k-base", "tokens", 0.627e12, "the source says 627 T tokens; BTLM was trained on 627 B"),
    ("openlm-research/open_llama_7b_v2", "params", 7e9, "the source says 13 B parameters; the model has 7 B"),
]

RANGE_EXPONENT = {1: 0, 10: -1, 100: -2}  # the raw ranges in use, to fractions

# The exact-match score of these two is a multiple of 1/500 and not of 1/1003
ITEM_OVERRIDES = {("Qwen/Qwen-72B", "ipa_transliterate"): 500, ("Qwen/Qwen1.5-72B", "ipa_transliterate"): 500}


def read(path):
    """Read a CSV with float(), which is exact whatever the pandas version."""
    table = pd.read_csv(path, dtype=str)
    for name in table:
        with contextlib.suppress(ValueError):  # text stays text
            table[name] = table[name].map(float)
    return table


def shift(value, exponent):
    """Return value * 10**exponent, rounded once: 84.0 in 1E21 is 8.4e22 and not its neighbour."""
    return value if pd.isna(value) else float(Decimal(repr(float(value))).scaleb(exponent))


def number(value):
    """Text of a size or count, without the dust of the source's own float products; empty when unknown."""
    return "" if pd.isna(value) else f"{value:.12g}"


def tidy_models(source, cohort, dates):
    models = pd.DataFrame(
        {
            "model": source["Model"],
            "family": source["Model Family"],
            "params": source["Model Size (B)"].map(lambda x: shift(x, 9)),
            "tokens": source["Pretraining Data Size (T)"].map(lambda x: shift(x, 12)),
            "flops": source["FLOPs (1E21)"].map(lambda x: shift(x, 21)),
            "date": source["Model"].map(dates.set_index("model")["date"]),
            "cohort": cohort,
        }
    )
    return models.set_index("model", drop=False)


def tidy_dates(source):
    """Release dates with their precision and source; a date known to the month is its first day."""
    dates = source.rename(columns={"release_date": "date"})
    return dates[["model", "date", "precision", "source"]].fillna("")


def correct(models):
    """Apply CORRECTIONS in place and return the list of what changed."""
    rows = []
    for model, column, value, reason in CORRECTIONS:
        params, tokens = (value if c == column else models.at[model, c] for c in ("params", "tokens"))
        flops = float(f"{6 * params * tokens:.12g}")
        for name, new, why in ((column, value, reason), ("flops", flops, f"6 N D with the corrected {column}")):
            rows.append((model, name, number(models.at[model, name]), number(new), why))
            models.at[model, name] = new
    return pd.DataFrame(rows, columns=["model", "column", "source_value", "corrected_value", "reason"])


def tidy_scores(models, benchmarks, sources):
    """Model by model in the order of the benchmarks; fractions 0..1 in full precision."""
    values = pd.concat([source.set_index("Model") for source in sources], axis=1)
    rows = []
    for model in models["model"]:
        for row in benchmarks:
            name, columns = row["benchmark"], [row["benchmark"], *row["aliases"].split("|")]
            value = values.at[model, next(c for c in columns if c in values)]
            if not pd.isna(value):
                score = shift(value, RANGE_EXPONENT[row["upper"]])
                rows.append((model, name, repr(score), number(ITEM_OVERRIDES.get((model, name), float("nan")))))
    return pd.DataFrame(rows, columns=["model", "benchmark", "score", "n_items"])


def tidy_ladder(source):
    return pd.DataFrame(
        {
            "run": source["source_file"].str.removesuffix(".csv"),
            "model": source["model"],
            "chinchilla_multiple": source["chinchilla_multiple"].str.extract(r"^([\d.]+)xC")[0],
            "role": source["role"],
            "params": source["N"].map(number),
            "tokens": source["D"].map(number),
            "flops": source["FLOPs"],
            "task": source["task"],
            "split": source["split"],
            "headline": source["headline_task"],
            "chance": source["chance"],
            "n_items": source["n_examples"].map(number),
            "task_loss": source["task_loss"],
            "accuracy": source["accuracy"],
            "task_ce": source["task_ce"],
            "c4_loss": source["c4_loss"],
            "task_loss_sd10": source["sd10_loss"],
            "accuracy_sd10": source["sd10_acc"],
            "n_checkpoints": source["n_ckpts"].map(number),
        }
    )


def tidy_checkpoints(source):
    """Every checkpoint on the headline tasks, in the digits that the figures carry (7)."""
    names = {"mmlu_avg_test": "mmlu_avg"}
    tidy = pd.DataFrame(
        {
            "run": source["source_file"].str.removesuffix(".csv"),
            "task": source["task_key"].map(lambda key: names.get(key, key.removesuffix("_val").removesuffix("_test"))),
            "step": source["step"].map(number),
            "tokens": source["D"].map(number),
            **{
                name: source[name].map(lambda text: format(float(text), ".7g"))
                for name in ("task_loss", "accuracy", "task_ce", "c4_loss")
            },
        }
    )
    order = tidy.assign(at=source["ckpt_idx"].astype(int)).sort_values(["run", "task", "at"], kind="stable").index
    return tidy.loc[order]


def write(frame, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    # a gzip header without a time: same sources, same bytes
    compression = {"method": "gzip", "mtime": 0} if path.suffix == ".gz" else None
    frame.to_csv(path, index=False, lineterminator="\n", encoding="utf-8", compression=compression)


def write_table(folder, models, benchmarks, scores):
    models = models.assign(**{column: models[column].map(number) for column in ("params", "tokens", "flops")})
    write(models, folder / "models.csv")
    more = [column for column in ("category", "source", "licence") if column in benchmarks[0]]
    table = pd.DataFrame(benchmarks, columns=[*BENCHMARK_COLUMNS, *more])
    table = table.assign(**{c: table[c].map(number) for c in ("chance", "n_items", "lower", "upper", "cutoff_flops")})
    write(table, folder / "benchmarks.csv")
    write(scores, folder / "scores.csv")


def write_frontier(source_dir, folder):
    """Write the frontier tables, and the licence that must travel with their data."""
    models, benchmarks, scores = (
        frontier_tables.read(source_dir / f"{part}.csv") for part in ("models", "benchmarks", "scores")
    )
    own, others, wrong = frontier_tables.tidy_scores(scores)
    rows = frontier_tables.tidy_benchmarks(benchmarks, benchmark)
    tidy = frontier_tables.tidy_models(models).replace("", None)
    sizes = ("params", "tokens", "flops")
    write_table(folder, tidy.assign(**{column: tidy[column].astype(float) for column in sizes}), rows, own)
    write(others, folder / "other_settings.csv")
    write(frontier_tables.left_out(models, wrong), folder / "corrections.csv")
    shutil.copyfile(source_dir / "LICENSE-CDLA-2.0.md", folder / "LICENSE-CDLA-2.0.md")


def main(source_dir, output_dir):
    source_dir, output_dir = Path(source_dir), Path(output_dir)
    dates = tidy_dates(read(source_dir / "release_dates.csv"))
    write(dates, output_dir / "release_dates.csv")
    names = ("benchmark", "emergent_capability", "post_training")
    first, later = ([read(source_dir / f"{when}base_llm_{name}_eval.csv") for name in names] for when in ("", "later_"))
    base, emergent, post_training = (pd.concat(pair, ignore_index=True) for pair in zip(first, later, strict=True))
    cohort = first[0]["Model"].isin(first[2]["Model"]).map({True: "paper", False: "extended"})
    cohort = [*cohort, *["later"] * len(later[0])]
    models = tidy_models(base, cohort, dates)
    write(correct(models), output_dir / "base_llms" / "corrections.csv")
    scores = tidy_scores(models, BASE_BENCHMARKS, (base, emergent, post_training))
    write_table(output_dir / "base_llms", models, BASE_BENCHMARKS, scores)

    instruct = read(source_dir / "instruct_llm_benchmark_eval.csv")
    models = tidy_models(instruct, "paper", dates)
    agents = read(source_dir / "instruct_llm_agent_eval.csv")
    write_table(
        output_dir / "instruct_llms",
        models,
        INSTRUCT_BENCHMARKS,
        tidy_scores(models, INSTRUCT_BENCHMARKS, (instruct, agents)),
    )

    write_frontier(source_dir / "frontier", output_dir / "frontier")

    write(tidy_ladder(read(source_dir / "olmo_ladder_runs.csv")), output_dir / "olmo_ladder" / "runs.csv")
    write(
        tidy_checkpoints(read(source_dir / "olmo_ladder_checkpoints.csv.gz")),
        output_dir / "olmo_ladder" / "checkpoints.csv.gz",
    )


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1], *(sys.argv[2:] or [Path(__file__).parents[1] / "data"]))
