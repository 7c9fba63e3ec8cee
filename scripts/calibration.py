"""Simulation-based calibration of the default models in full; goes on where it was stopped.

    python scripts/calibration.py [--sets 200] [--tables 10] [--only measurement heads ladder sparse coverage factors]

One row of ranks a data set in FOLDER/ranks-NAME.csv; then tables of uniformity, figures, and sentences on the screen.
"coverage" fits simulated tables whose truth breaks an assumption, one file a table in FOLDER/tables: coverage.csv,
recovery.csv and shrinkage.csv sum them up. "factors" asks leave-one-out for the number of factors of simulated tables:
factor-counts.csv.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from bayes_obscaling.inference.cache import default_cache_dir, use_compile_cache
from bayes_obscaling.validation.coverage import coverage_table, recovery_table, run_coverage, shrinkage_table
from bayes_obscaling.validation.factor_recovery import factor_count_table, run_factor_counts
from bayes_obscaling.validation.ranks import calibrate
from bayes_obscaling.validation.subjects import SUBJECTS

PARTS = [*SUBJECTS, "coverage", "factors"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=200, help="data sets in all, those already made included")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--tables", type=int, default=10, help="simulated tables under each condition of the coverage")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "docs" / "record" / "calibration")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no data set after this, each")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    use_compile_cache(default_cache_dir())
    for name in [name for name in options.only if name in SUBJECTS]:
        result = calibrate(
            SUBJECTS[name](),
            options.sets,
            options.folder,
            seed=options.seed,
            minutes=options.minutes,
            progress=lambda *a: print(*a, flush=True),
        )
        result.uniformity().round(4).to_csv(options.folder / f"uniformity-{name}.csv")
        figure = result.plot().get_figure(root=True)
        assert figure is not None
        figure.savefig(options.folder / f"{name}.png", dpi=120)
        print(
            "\n".join([*result.sentences(), "Of fits that converged:", *result.converged().sentences()[:4]]), flush=True
        )
    if "coverage" in options.only:
        cells, parameters = run_coverage(
            options.folder / "tables",
            options.tables,
            seed=options.seed,
            minutes=options.minutes,
            progress=lambda *a: print(*a, flush=True),
        )
        for name, table in (
            ("coverage", coverage_table(cells)),
            ("recovery", recovery_table(parameters)),
            ("shrinkage", shrinkage_table(parameters)),
        ):
            table.round(4).to_csv(options.folder / f"{name}.csv", index=False)
            print(table.round(3).to_string(index=False), flush=True)
    if "factors" in options.only:
        found = run_factor_counts(
            options.folder / "tables",
            options.tables,
            seed=options.seed,
            minutes=options.minutes,
            progress=lambda *a: print(*a, flush=True),
        )
        counts = factor_count_table(found)
        counts.to_csv(options.folder / "factor-counts.csv", index=False)
        print(counts.to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
