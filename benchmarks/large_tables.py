"""A table of thousands of models: calibrated on some hundreds, all others placed.

    python benchmarks/large_tables.py [--models 3000] [--families 170] [--benchmarks 12] [--calibrate 300]

The table is drawn from the capability model, with 40 % of its scores missing; a further 5 % are hidden and forecast.
Populations and benchmarks are like those of public tables: drawn from the whole priors, most scores would be chance.
Printed: how long calibrating, placing and forecasting take against each other, the largest memory, how well the sampler
has converged, and how many hidden scores lie inside 50 and 90 % intervals.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import pandas as pd

import bayes_obscaling as bo
from bayes_obscaling.inference.calibrated import DRAWS, PER_CHAIN, calibration_models
from bayes_obscaling.inference.joining import fit_given
from bayes_obscaling.models.layout import lay_out
from bayes_obscaling.models.priors import HalfNormal, LogNormal, Normal
from bayes_obscaling.results.compact import thin
from bayes_obscaling.validation.simulate import simulate_table

MISSING, HIDDEN = 0.4, 0.05
LIKE_PUBLIC_TABLES = {
    "intercept_mean": Normal(loc=-0.3, scale=0.3),
    "intercept_sd": LogNormal(median=0.5, log_sd=0.1),
    "slope_mean": Normal(loc=0.6, scale=0.1),
    "slope_sd": LogNormal(median=0.2, log_sd=0.2),
    "residual_sd": LogNormal(median=0.15, log_sd=0.3),
    "loading": HalfNormal(scale=0.5),
    "difficulty": Normal(loc=-0.3, scale=0.6),
}


def simulated(models: int, families: int, benchmarks: int, spec: bo.CapabilitySpec, seed: int) -> bo.ScoreTable:
    """A table whose families have from one to dozens of models, over six years and six decades of compute."""
    rng = np.random.default_rng(seed)
    names = [f"model-{i}" for i in range(models)]
    family = np.concatenate([np.arange(families), (families * rng.random(models - families) ** 2).astype(int)])
    facts = pd.DataFrame(
        {
            "model": names,
            "family": [f"family-{f}" for f in family],
            "flops": 10 ** (rng.uniform(20.5, 23.5, families)[family] + rng.uniform(0.0, 2.0, models)),
            "date": [f"20{20 + f % 6}-{1 + f % 12:02d}-15" for f in family],
        }
    )
    about = pd.DataFrame(
        {
            "benchmark": [f"bench-{i}" for i in range(benchmarks)],
            "role": "benchmark",
            "chance": np.resize([0.25, 0.0, 0.25, 0.5], benchmarks),
            "n_items": 1000.0,
        }
    )
    cells = rng.random((models, benchmarks)) >= MISSING
    scores = [(names[m], f"bench-{i}", 0.5) for m, i in np.argwhere(cells)]
    table = bo.ScoreTable(facts, about, pd.DataFrame(scores, columns=["model", "benchmark", "score"]))
    drawn = spec.model_copy(update={"priors": spec.priors.model_copy(update=LIKE_PUBLIC_TABLES)})
    return simulate_table(table, lay_out(table, ["bench-0"], bo.Split.all_seen(), spec), drawn, rng).table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("models", 3000), ("families", 170), ("benchmarks", 12), ("calibrate", 300), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    spec = bo.CapabilitySpec(anchors=("bench-0", "bench-1", "bench-2", "bench-3"))
    whole = simulated(asked.models, asked.families, asked.benchmarks, spec, asked.seed)
    rng = np.random.default_rng(asked.seed + 1)
    scores = whole.scores
    hidden = rng.random(len(scores)) < HIDDEN
    table = bo.ScoreTable(whole.models, whole.benchmarks, scores[~hidden])
    names = table.benchmark_names
    chosen = calibration_models(table, asked.calibrate)
    began = time.perf_counter()
    part = bo.fit(table.select(chosen), names, spec=spec, draws=DRAWS, cache=bo.default_cache_dir(), progress=False)
    calibrated = time.perf_counter()
    print(f"Calibrated on {len(chosen)} of {asked.models} models: {part.verdict}, {part.worst_convergence}", flush=True)
    fit = fit_given(thin(part, PER_CHAIN), table, names)
    placed = time.perf_counter()
    asked_of = list(dict.fromkeys(scores.loc[hidden, "model"]))
    forecast = bo.forecast(fit, asked_of, tasks=names).to_dataframe().set_index(["model", "task"])
    ended = time.perf_counter()
    truth = scores[hidden].set_index(["model", "benchmark"])["score"]
    rows = forecast.loc[list(truth.index)]
    inside = {
        level: float(((rows[low].to_numpy() <= truth) & (truth <= rows[high].to_numpy())).mean())
        for level, low, high in (("50 %", "q25", "q75"), ("90 %", "q5", "q95"))
    }
    whole_time = ended - began
    shares = ((calibrated - began), (placed - calibrated), (ended - placed))
    print(f"Calibrating, placing, forecasting: {' : '.join(f'{s / whole_time:.2f}' for s in shares)} of the time;")
    print(f"placing a model takes {shares[1] / (asked.models - len(chosen)) / shares[0]:.5f} of calibrating.")
    print(f"Hidden scores inside: {inside} of {hidden.sum()}, mean error {np.abs(rows['median'] - truth).mean():.4f}")
    print(
        f"Largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB; {whole_time / 60:.1f} min"
    )


if __name__ == "__main__":
    main()
