"""What it costs not to say the chance level of an exam: it is forecast with the level stated, wrong, and unknown.

    python benchmarks/unknown_chance.py [--choices 5] [--seeds 1] [--chains 2] [--draws 300]

The models are the 77 base models of Ruan et al. (2024). An exam of 400 items has a logistic curve in the mean logit of
MMLU, HellaSwag and ARC-C above their chance levels, from its own chance level to 1, and binomial noise. Scores of the
models up to 8.4e22 FLOPs are given, those of the larger ones are forecast. Printed for each answer to "what is
chance?": mean absolute error, and the share of scores inside 50 % and 90 % intervals.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

import bayes_obscaling as bo

ITEMS, CUTOFF = 400, 8.4e22
READ = ("MMLU", "HellaSwag", "ARC-C")


def exam_scores(table: bo.ScoreTable, chance: float, rng: np.random.Generator) -> pd.Series:
    """Scores of all models that have the benchmarks that the exam reads."""
    floor = np.array([table.chance(name) for name in READ])
    share = ((table.matrix(READ).dropna() - floor) / (1.0 - floor)).clip(0.02, 0.98)
    capability = np.log(share / (1.0 - share)).mean(axis=1)
    place = 2.0 * (capability - capability.quantile(0.75)) / capability.std()
    scores = chance + (1.0 - chance) / (1.0 + np.exp(-place))
    return pd.Series(rng.binomial(ITEMS, scores) / ITEMS, index=scores.index)


def measured(
    table: bo.ScoreTable, scores: pd.Series, said: float | None, chains: int, draws: int, seed: int
) -> dict[str, object]:
    """Errors and coverage of the forecasts of the larger models, where this was said of chance."""
    wide = scores.rename("exam").rename_axis("model").reset_index()
    facts = pd.DataFrame({"benchmark": ["exam"], "role": ["task"], "n_items": [ITEMS], "chance": [said]})
    whole = bo.read(wide, benchmarks=facts, into=table)
    fit = bo.fit(whole, "exam", cutoff=CUTOFF, chains=chains, draws=draws, seed=seed, cache=bo.default_cache_dir())
    flops = whole.models["flops"].reindex(scores.index)
    larger = list(flops.index[flops > CUTOFF])
    drawn, truth = bo.forecast(fit, larger, tasks="exam").samples("exam"), scores[larger].to_numpy()

    def inside(level: float) -> float:
        low, high = np.quantile(drawn, (0.5 - level / 2, 0.5 + level / 2), axis=0)
        return float(((truth >= low) & (truth <= high)).mean())

    return {
        "said": "nothing" if said is None else f"{said:.3g}",
        "n": len(larger),
        "mae": round(float(np.abs(np.median(drawn, axis=0) - truth).mean()), 3),
        "in_50": round(inside(0.5), 2),
        "in_90": round(inside(0.9), 2),
        "verdict": fit.verdict,
        "notes": "; ".join(note for note in fit.notes if note.startswith("Chance")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--choices", type=int, default=5, help="answers to choose from")
    parser.add_argument("--seeds", type=int, default=1, help="exams")
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--draws", type=int, default=300)
    asked = parser.parse_args()
    table, chance, rows = bo.load("base-llms", only="paper"), 1.0 / asked.choices, []
    for seed in range(asked.seeds):
        scores = exam_scores(table, chance, np.random.default_rng(seed))
        for said in (chance, 0.0, None):
            rows.append({"exam": seed, **measured(table, scores, said, asked.chains, asked.draws, seed)})
            print(rows[-1], flush=True)
    print(pd.DataFrame(rows).groupby("said", sort=False)[["mae", "in_50", "in_90"]].mean().round(3).to_string())


if __name__ == "__main__":
    main()
