"""Forecasts of frontier models as of a date, when time is a line, and when it is a random walk inside the data too.

    python benchmarks/time_as_a_walk.py [--as-of 2025-11-01] [--walks .2 .5] [--chains 2] [--draws 300]

The walk's sd is in decades of compute in its first year. Every model released since the date is hidden, as in the first
rows of the suite "frontier". Printed, for Epoch's runs and for vendors' reports: mean absolute error, mean error, CRPS,
and how many scores lie inside intervals of 50 and 90 %; and how well the sampler converged.
"""

from __future__ import annotations

import argparse

import bayes_obscaling as bo
from bayes_obscaling.evaluation.suites import suite


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--as-of", default="2025-11-01", help="a date of the suite: 2025-06-01, 2025-11-01, 2026-03-01")
    parser.add_argument("--walks", nargs="+", type=float, default=[0.2, 0.5])
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--draws", type=int, default=300)
    asked = parser.parse_args()
    questions = [q for q in suite("frontier") if q.label == "released since" and asked.as_of in q.split.name]
    if len(questions) != 1:
        parser.error(f"the suite has no date {asked.as_of}")
    (q,) = questions
    specs = {"line": bo.CapabilitySpec.frontier()}
    specs |= {f"walk, {sd}": bo.CapabilitySpec.frontier(drift="walk", drift_walk=sd) for sd in asked.walks}
    for name, spec in specs.items():
        how = {"methods": (), "spec": spec, "chains": asked.chains, "draws": asked.draws}
        cells = q.judged(bo.backtest(q.table, q.tasks, q.split, cache=bo.default_cache_dir(), **how).cells)
        is_vendor = cells["task"].str.startswith("bp_")
        for who, rows in (("Epoch", cells[~is_vendor]), ("vendors", cells[is_vendor])):
            off = rows["median"] - rows["observed"]
            inside = [
                ((rows[low] <= rows["observed"]) & (rows["observed"] <= rows[high])).mean() for low, high in LEVELS
            ]
            print(
                f"{name:10} {who:8} {len(rows):4} scores: MAE {off.abs().mean():.4f}, mean error {off.mean():+.4f}, "
                f"CRPS {rows['crps'].mean():.4f}, inside {inside[0]:.2f} and {inside[1]:.2f}, "
                f"converged: {bool(rows['converged'].all())}",
                flush=True,
            )


LEVELS = (("q25", "q75"), ("q5", "q95"))

if __name__ == "__main__":
    main()
