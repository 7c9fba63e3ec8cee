"""How long a forecast of many models and tasks takes, against the same cells asked one by one.

    python benchmarks/forecast_speed.py [--fit fit.nc] [--models 150] [--tasks 9]

Without --fit, the bundled base models are fitted with short chains first (2 x 200 draws; a minute). Models that the
table does not have are new ones of known families. Printed: seconds of the first call (it compiles), of a second one,
of its summary with all convergence figures, and how many times longer the cells take one by one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import bayes_obscaling as bo

ALONE = 20  # cells that are asked one by one


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fit", help="a saved fit of the base models")
    parser.add_argument("--models", type=int, default=150)
    parser.add_argument("--tasks", type=int, default=9)
    asked = parser.parse_args()
    if asked.fit:
        fit = bo.open(asked.fit)
    else:
        table, cache = bo.load("base-llms"), bo.default_cache_dir()
        fit = bo.fit(table, ["word_unscrambling", "gsm8k_cot"], cutoff=8.4e22, chains=2, draws=200, cache=cache)
    assert isinstance(fit, bo.CapabilityFit)
    tasks = list(fit.layout.tasks)[: asked.tasks]
    known = list(fit.layout.models)[: asked.models]
    new = [
        bo.Scenario(f"new-{i}", fit.layout.families[i % len(fit.layout.families)], 10.0 ** (22 + 0.05 * i))
        for i in range(asked.models - len(known))
    ]
    scenarios = [*known, *new]
    draws = fit.draws.sizes["chain"] * fit.draws.sizes["draw"]
    print(f"{len(scenarios)} models x {len(tasks)} tasks, {draws} draws")
    print(f"first call  {seconds(lambda: bo.forecast(fit, scenarios, tasks=tasks)):8.3f} s")
    together = seconds(lambda: bo.forecast(fit, scenarios, tasks=tasks))
    print(f"second call {together:8.3f} s")
    made = bo.forecast(fit, scenarios, tasks=tasks)
    print(f"summary     {seconds(made.summary):8.3f} s")
    cells = [(scenario, task) for scenario in scenarios for task in tasks][:: len(scenarios) * len(tasks) // ALONE]
    bo.forecast(fit, cells[0][0], tasks=cells[0][1])  # compiles
    alone = sum(seconds(lambda cell=cell: bo.forecast(fit, cell[0], tasks=cell[1])) for cell in cells) / len(cells)
    ratio = alone * len(scenarios) * len(tasks) / together
    print(f"one by one  {1000 * alone:8.1f} ms a cell: {ratio:.0f} times as long")


if __name__ == "__main__":
    main()
