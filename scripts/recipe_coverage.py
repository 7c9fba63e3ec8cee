"""Do a ladder's intervals hold for the next size, and for another recipe? Measured on your own runs of several recipes.

``python scripts/recipe_coverage.py RUNS.csv --above 5e8`` reads a ladder (columns as for ``bayes-obscaling ladder
--runs``, with a column ``recipe``). Runs of more parameters than `--above` are targets, the others are fitted:

- recipe by recipe: forecasts of its own targets (as `same`, `similar` and `unknown`), and of every other recipe's;
- all recipes in one fit: forecasts of every target by the name of its recipe (where there are several);
- all but one in one fit (where there are three or more): forecasts of the targets of the one left out.

Without a file it takes the bundled runs: the 16 of the paper are fitted, half-Chinchilla runs, reruns and 3.2B runs
are the targets. `--chains`, `--draws`, `--warmup` and `--seed` are the sampler's.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import pandas as pd

from bayes_obscaling.data import Ladder, load_olmo_ladder, read_ladder
from bayes_obscaling.evaluation.ladder_backtest import score_runs
from bayes_obscaling.evaluation.scoring import score_table
from bayes_obscaling.inference.cache import default_cache_dir
from bayes_obscaling.inference.fit_ladder import fit_ladder
from bayes_obscaling.inference.sampler import DEFAULT_SETTINGS, Nuts
from bayes_obscaling.results.fit import LadderFit
from bayes_obscaling.results.ladder_recipe import RECIPES

KEYS = ["targets", "asked", "quantity"]
COLUMNS = ("n", "mae", "bias", "crps", "coverage_50", "coverage_90", "width_90")


def of_recipes(runs: Ladder, names: Sequence[str]) -> Ladder:
    """The runs of some recipes."""
    return runs.select([run for run, name in zip(runs.runs.index, runs.recipe_of_runs, strict=True) if name in names])


def designs(small: Ladder) -> Iterator[tuple[str, Ladder, list[str]]]:
    """A name, the runs to fit, and the recipes whose targets are then forecast by their names."""
    names = list(small.recipes)
    for name in names:
        yield name or "runs", of_recipes(small, [name]), []
    if len(names) > 1:
        yield "all recipes", small, names
    if len(names) > 2:
        for name in names:
            yield f"all but {name}", of_recipes(small, [other for other in names if other != name]), []


def forecasts(fit: LadderFit, targets: Ladder, named: list[str]) -> Iterator[pd.DataFrame]:
    """Cells of the targets of every recipe, as each kind of recipe."""
    for name in targets.recipes:
        for asked in [name] if name in named else RECIPES:
            yield score_runs(fit, of_recipes(targets, [name]), asked).assign(targets=name, asked=asked)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", help="table of runs; default the bundled ones")
    parser.add_argument("--above", type=float, help="parameters above which runs are targets")
    parser.add_argument("--output", help="CSV for the cells")
    for name, default in (("chains", 4), ("draws", 1000), ("warmup", DEFAULT_SETTINGS["ladder"].warmup), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    if asked.runs and not asked.above:
        parser.error("name the size above which runs are targets: --above 5e8")
    return asked


def main() -> None:
    """Print coverage, widths and errors of every design."""
    asked = arguments()
    if asked.runs:
        whole = read_ladder(asked.runs)
        is_small = (whole.runs["params"] <= asked.above).to_numpy()
        small, targets = (whole.select(list(whole.runs.index[at])) for at in (is_small, ~is_small))
    else:
        whole, small = load_olmo_ladder("all"), load_olmo_ladder()
        targets = whole.select(list(whole.runs.index.difference(small.runs.index)))
    settings = DEFAULT_SETTINGS["ladder"].model_copy(update={"warmup": asked.warmup})
    sampler = Nuts({"ladder": settings})
    cells = []
    for design, runs, named in designs(small):
        how = {"chains": asked.chains, "draws": asked.draws, "seed": asked.seed}
        fit = fit_ladder(runs, cache=default_cache_dir(), sampler=sampler, **how)
        found = pd.concat(forecasts(fit, targets, named), ignore_index=True).assign(design=design)
        cells.append(found)
        errors = (found["median"] - found["observed"]).groupby([found[key] for key in KEYS]).mean()
        table = score_table(found, KEYS).join(errors.rename("bias"), on=KEYS)
        record = fit.worst_convergence
        print(f"\nfitted: {design}, {len(runs.runs)} runs, {fit.provenance['seconds']:.0f} s, ", end="")
        print(f"R-hat {record.rhat:.3f}, ESS {record.ess_bulk:.0f}")
        print(table[[*KEYS, *COLUMNS]].round(4).to_string(index=False), flush=True)
    if asked.output:
        pd.concat(cells, ignore_index=True).to_csv(asked.output, index=False)


if __name__ == "__main__":
    main()
