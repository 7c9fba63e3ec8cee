"""How much faster a cutoff study is than separate forecasts: both run here, side by side, from cold caches.

    python benchmarks/study_speed.py [--cold 2] [--cutoffs 12] [--from-compute] [--draws 1000]

Cold forecasts are the command line in fresh processes with empty caches, one task and one cutoff each. The study asks
the same questions (cutoffs x 4 tasks) in one fresh process with an empty cache. Printed: seconds of each, the ratio of
(cutoffs x 4) cold forecasts to the study, effective sample sizes, and how far the intervals are apart in Monte Carlo
standard errors.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

TASKS = ("word_unscrambling", "parsinlu_qa", "gsm8k_cot", "gsm8k_cot_sc")
COMMAND = [sys.executable, "-m", "bayes_obscaling"]


def timed(command: list[str], cache: Path) -> float:
    """Seconds of a command in a fresh process with its own cache."""
    started = time.perf_counter()
    environment = {**os.environ, "BAYES_OBSCALING_CACHE": str(cache)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cold", type=int, default=2, help="separate forecasts to time")
    parser.add_argument("--cutoffs", type=int, default=12)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--from-compute", action="store_true", help="hide benchmarks too: every fit samples them anew")
    options = parser.parse_args()
    grid = [float(f"{x:.4g}") for x in np.geomspace(1e22, 3e23, options.cutoffs)]
    extra = ["--draws", str(options.draws), *(["--from-compute"] if options.from_compute else [])]

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cold, alone = [], []
        for i in range(options.cold):
            task, cutoff = TASKS[i % len(TASKS)], grid[(2 * i + 3) % len(grid)]
            target = folder / f"cold{i}.csv"
            ask = ["forecast", "--task", task, "--cutoff-flops", str(cutoff), "--output", str(target)]
            cold.append(timed([*COMMAND, *ask, *extra], folder / f"cache{i}"))
            alone.append(pd.read_csv(target).assign(cutoff=cutoff))
            print(f"cold forecast of {task} at {cutoff:.3g}: {cold[-1]:.1f} s", flush=True)
        ask = ["cutoffs", *(f"--task={task}" for task in TASKS), "--cutoffs", ",".join(map(str, grid))]
        study = timed(
            [*COMMAND, *ask, "--methods", "mean", "--output", str(folder / "study"), *extra], folder / "cache"
        )
        print(f"study of {len(grid)} cutoffs x {len(TASKS)} tasks: {study:.1f} s", flush=True)
        cells = pd.read_csv(folder / "study" / "cells.csv")

    pairs = len(grid) * len(TASKS)
    print(f"ratio: {pairs} cold forecasts to one study = {pairs * np.mean(cold) / study:.1f}")
    both = pd.concat(alone).merge(
        cells[cells["method"] == "bayes"], on=["cutoff", "task", "model"], suffixes=("", "_study")
    )
    # Monte Carlo error of a quantile of a near-normal forecast, in its sd: about 1.3 to 2 / sqrt(ESS); two of them.
    for name, factor in (("median", 1.25), ("q5", 2.1), ("q95", 2.1)):
        error = np.sqrt(2) * factor * both["sd"] / np.sqrt(both["ess_bulk"])
        apart = ((both[name] - both[f"{name}_study"]).abs() / error.clip(lower=1e-4)).to_numpy()
        far = f"{np.median(apart):.2f} errors (median), {apart.max():.2f} (most)"
        print(f"{name}: {len(apart)} forecasts, apart by {far}")
    print(f"cold forecasts: least ESS {both['ess_bulk'].min():.0f} (bulk), {both['ess_tail'].min():.0f} (tail)")
    if "ess_bulk_study" in both:
        print(f"study: least ESS {both['ess_bulk_study'].min():.0f} (bulk), {both['ess_tail_study'].min():.0f} (tail)")


if __name__ == "__main__":
    main()
