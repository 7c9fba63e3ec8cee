"""Designs for choosing models compared by the error of forecasts, and how good the Bayesian criterion is.

    python benchmarks/subset_selection.py                                   # the published regression (3 components)
    python benchmarks/subset_selection.py --forecaster bayes --sizes 4,8,20 --random 2       # our fit, one a set
    python benchmarks/subset_selection.py --check                           # criterion against importance weights

GSM8K in three ways is taken to be a new task, BIG-Bench Hard is left out; models at or below 8.4e22 FLOPs may be
chosen, and the others are forecast. The check reads no score of a model above the cutoff: truths are drawn from the
fit, so is what a set of models would score, and draws are reweighted by it.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
import pandas as pd

import bayes_obscaling as bo
from bayes_obscaling.design.bayesian import bayesian_design, choose, task_curves
from bayes_obscaling.design.compare import compare_designs
from bayes_obscaling.design.selection import as_new, candidates, teachers
from bayes_obscaling.design.v_optimal import v_optimal
from bayes_obscaling.models.capability_equations import TASK_NOISE_DF

TASKS, OTHERS, CUTOFF = ("gsm8k_direct", "gsm8k_cot", "gsm8k_cot_sc"), ("bbh_direct", "bbh_cot"), 8.4e22
REPEATS, TRUTHS = 25, 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--forecaster", choices=("pc-3", "bayes"), default="pc-3")
    parser.add_argument("--sizes", default="4,8,12,20,36")
    parser.add_argument("--random", type=int, default=20, help="random sets of a size")
    parser.add_argument("--check", action="store_true", help="the criterion against nested importance weights")
    parser.add_argument("--output", type=Path, help="folder for the tables")
    options = parser.parse_args()
    table = as_new(bo.load("base-llms", only="paper"), OTHERS)[0]
    started = time.perf_counter()
    if options.check:
        check(table)
    else:
        sizes = [int(size) for size in options.sizes.split(",")]
        result = compare_designs(
            table,
            TASKS,
            CUTOFF,
            sizes,
            forecaster=options.forecaster,
            random_sets=options.random,
            cache=bo.default_cache_dir(),
        )
        with pd.option_context("display.width", 140):
            print(result.table.round(4).to_string(index=False))
        print(*result.sentences, *result.problems, sep="\n")
        if options.output is not None:
            options.output.mkdir(parents=True, exist_ok=True)
            result.table.to_csv(options.output / f"designs-{options.forecaster}.csv", index=False)
            for name, part in result.parts.items():
                part.to_csv(options.output / f"designs-{options.forecaster}-{name}.csv", index=False)
    print(f"{time.perf_counter() - started:.0f} seconds")


def check(table: bo.ScoreTable) -> None:
    """Expected sd left in the targets by reweighting 100 000 draws, next to what the criterion says."""
    table, (task, *_) = as_new(table, TASKS)
    fit = bo.fit(table, teachers(table), cutoff=CUTOFF, cache=bo.default_cache_dir())
    models = table.models.index
    below = candidates(table, max_flops=CUTOFF)
    complete = below[table.matrix(table.benchmark_names).loc[below].notna().all(axis=1)]
    aim, truth, rng = np.flatnonzero(~models.isin(below)), task_curves(fit, task), np.random.default_rng(1)
    pool = [task_curves(fit, dataclasses.replace(task, name=f"{task.name} {i}")) for i in range(REPEATS)]
    scores = np.concatenate([curves.score for curves in pool]).astype(np.float32)
    noise = np.concatenate([curves.noise for curves in pool]).astype(np.float32)
    linear = np.cov(truth.score, rowvar=False)[None], truth.noise.mean(axis=0)[None]

    def left(names: list[str]) -> str:
        chosen = models.get_indexer(names)
        scale = np.sqrt((TASK_NOISE_DF - 2) / TASK_NOISE_DF)
        sd, local = scale * np.sqrt(noise[:, chosen]), np.random.default_rng(2)
        variance, worth = [], []
        for world in np.linspace(0, len(truth.score) - 1, TRUTHS).astype(int):
            shocks = local.standard_t(TASK_NOISE_DF, len(chosen))
            y = truth.score[world, chosen] + scale * np.sqrt(truth.noise[world, chosen]) * shocks
            density = -(TASK_NOISE_DF + 1) / 2 * np.log1p(((y - scores[:, chosen]) / sd) ** 2 / TASK_NOISE_DF)
            log_weight = (density - np.log(sd)).sum(axis=1)
            weight = np.exp(log_weight - log_weight.max())
            weight /= weight.sum()
            worth.append(1 / (weight**2).sum())
            mean = weight @ scores[:, aim]
            variance.append((weight @ scores[:, aim] ** 2 - mean**2).mean())
        return f"{np.sqrt(np.mean(variance)):.4f} ({np.median(worth):.0f} draws)"

    print("sd left by importance weights (median number of draws they are worth):")
    for size in (3, 4, 6, 8):
        ours = bayesian_design(fit, task, size, among=below)
        by_line = choose(*linear, models.get_indexer(below), aim, size)
        print(
            f"{size} models: Bayesian design {left(list(ours.models))}, its criterion "
            f"{ours.parts['path']['criterion'].iloc[-1]:.4f}; Bayes linear {left(list(models[by_line]))}; "
            f"V-optimal {left(list(v_optimal(table, size, among=complete).models))}; random models "
            + ", ".join(left(list(rng.choice(below, size, replace=False))) for _ in range(4)),
            flush=True,
        )


if __name__ == "__main__":
    main()
