"""Models scored from a fit without them, against the fit that saw them.

    python benchmarks/scored_against_refitted.py FOLDER [--models 40] [--cohort paper]

Every model is left out in turn, a fit of the others scores it (`bo.score`), and capabilities and task forecasts are
compared with the fit of all models, which sees its benchmarks but not its tasks: the difference of medians in posterior
sd, and the ratio of 90 % widths. Ten of the models are of families that have no other, where there are so many. Fits
take minutes each; FOLDER keeps what is done, and the same command goes on with it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from agreement import agreement

import bayes_obscaling as bo

TASK, LONE = "word_unscrambling", 10


def chosen(table: bo.ScoreTable, count: int) -> list[str]:
    """Models with three scores or more, evenly through the table, lone ones first."""
    models = table.models
    scores = table.matrix(table.benchmark_names).notna().sum(axis=1)
    able = models[(scores >= 3) & models["flops"].notna()]
    alone = able.index[able["family"].map(models["family"].value_counts()) == 1][:LONE]
    rest = able.index.difference(alone, sort=False)
    step = np.linspace(0, len(rest) - 1, max(count - len(alone), 0)).round().astype(int)
    return [*alone[:count], *rest[np.unique(step)]][:count]


def quantiles(draws: np.ndarray) -> tuple[float, float, float, float]:
    low, middle, high = np.percentile(draws, (5, 50, 95))
    return float(low), float(middle), float(high), float(draws.std())


def compared(table: bo.ScoreTable, model: str) -> list[dict[str, object]]:
    """Rows of one model: scored without it, and as a fit has it that sees all but its task scores, as `score` does."""
    unseen = tuple((model, task) for task in table.task_names)
    split = replace(bo.Split.all_seen(), cells=unseen)
    whole = bo.fit(table, TASK, split=split, cache=bo.default_cache_dir(), progress=False)
    others = table.select([name for name in table.models.index if name != model])
    part = bo.fit(others, TASK, cache=bo.default_cache_dir(), progress=False)
    scored = bo.score(part, table, tasks=TASK)
    rows = []
    both = bo.forecast(whole, model, tasks=TASK, kind="mean").draws.to_numpy()
    low, middle, high, sd = quantiles(both)
    q = quantiles(scored.means)
    rows.append({"what": TASK, "shift": (q[1] - middle) / sd, "width": (q[2] - q[0]) / (high - low)})
    theta = whole.draws["theta"].sel(predictors=whole.layout.predictor_labels[0], model=model)
    for _, facts in scored.capabilities.iterrows():
        low, middle, high, sd = quantiles(theta.sel(factor=facts["capability"]).to_numpy())
        width = (facts["q95"] - facts["q5"]) / (high - low)
        rows.append({"what": "capability", "shift": (facts["median"] - middle) / sd, "width": width})
    return [{"model": model, "k": float(scored.pareto_k[model]), **row} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--cohort", choices=("paper", "all"), default="paper")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    table = bo.load("base-llms", only=asked.cohort)
    for model in chosen(table, asked.models):
        file = asked.folder / f"{model.replace('/', '--')}.csv"
        if not file.exists():
            pd.DataFrame(compared(table, model)).to_csv(file, index=False)
            print(pd.read_csv(file).round(3).to_string(index=False, header=False), flush=True)
    rows = pd.concat(pd.read_csv(file) for file in sorted(asked.folder.glob("*.csv")))
    for label, part in (("all", rows), ("k below 0.7", rows[rows["k"] < 0.7])):
        print(f"\n{label}: {part['model'].nunique()} models")
        print(agreement(part.groupby("what")).to_string())


if __name__ == "__main__":
    main()
