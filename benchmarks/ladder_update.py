"""A run under way: the ladder moved to its checkpoints, against a fit that has the checkpoints among its runs.

    python benchmarks/ladder_update.py [--shares 0.1 0.2] [--draws 1000]

The bundled ladder's 16 runs forecast two runs of 3.2B parameters, before and after checkpoints of their own at shares
of the tokens of 3B-5xC (`bayes-obscaling ladder --update`), and by a fit of the 16 runs and the checkpoints, which are
runs of another recipe there. Checkpoints with more compute than any run of the ladder would turn that round (the run
with most compute has the recipe that others are compared with): they are refused. Prints errors and widths of what the
finished runs scored, and how far the moved draws are from the fit's: medians, in its posterior sd, and widths.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from agreement import agreement

import bayes_obscaling as bo
from bayes_obscaling.data import Ladder, load_olmo_ladder
from bayes_obscaling.inference.fit_ladder import fit_ladder
from bayes_obscaling.results.fit import LadderFit

RUNS, OF_SHARES = ("3B-5xC", "3B-10xC"), "3B-5xC"
LADDER, TARGET = "the ladder's", "the target's"


def checkpoints(whole: Ladder, run: str, tokens: list[float]) -> Ladder:
    """The run's checkpoints nearest to these numbers of tokens, as runs."""
    every = whole.checkpoints
    assert every is not None  # the bundled runs have them
    of_run = every[every["run"] == run]
    have = np.unique(of_run["tokens"])
    used = [have[np.abs(have - asked).argmin()] for asked in tokens]
    rows = of_run[of_run["tokens"].isin(used)]
    names = {at: f"{run} at {at:.3g}" for at in used}
    runs = whole.runs.loc[[run] * len(used)].assign(tokens=used).set_axis(list(names.values())).rename_axis("run")
    runs["flops"] *= runs["tokens"] / whole.runs.loc[run, "tokens"]
    return Ladder(runs, whole.tasks, rows.assign(run=rows["tokens"].map(names)).drop(columns=["tokens", "step"]))


def together(small: Ladder, early: Ladder) -> Ladder:
    """The ladder's runs and the checkpoints, of two recipes."""
    if early.runs["flops"].max() >= small.runs["flops"].max():
        raise SystemExit("A checkpoint has more compute than the ladder's runs: ask for smaller --shares.")
    runs = pd.concat([small.runs.assign(recipe=LADDER), early.runs.assign(recipe=TARGET)])
    return Ladder(runs, small.tasks, pd.concat([small.values, early.values[small.values.columns]], ignore_index=True))


def quantiles(fit: LadderFit, target: bo.Scenario, **options: Any) -> pd.DataFrame:
    """Median, sd and 90 % interval of each loss and accuracy."""
    table = bo.forecast(fit, target, **options).to_dataframe()
    return table.set_index(["quantity", "task"]).loc[["loss", "accuracy"], ["median", "sd", "q5", "q95"]]


def compared(
    whole: Ladder, small: Ladder, shares: list[float], settings: dict[str, Any]
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Forecasts of each run, in each way."""
    fit = fit_ladder(small, cache=bo.default_cache_dir(), **settings)
    for run in RUNS:
        n, d = whole.runs.loc[run, ["params", "tokens"]]
        target = bo.Scenario(run, params=n, tokens=d, recipe="similar")
        early = checkpoints(whole, run, [share * whole.runs.loc[OF_SHARES, "tokens"] for share in shares])
        yield run, "before", quantiles(fit, target)
        yield run, "moved", quantiles(fit, target, update=early)
        both = fit_ladder(together(small, early), cache=bo.default_cache_dir(), **settings)
        yield run, "fitted", quantiles(both, replace(target, recipe=TARGET))
        print(f"{run}: {', '.join(early.runs.index)}; R-hat {both.worst_convergence.rhat:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.2])
    for name, default in (("chains", 4), ("draws", 1000), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = vars(parser.parse_args())
    shares = asked.pop("shares")
    whole, small = load_olmo_ladder("all"), load_olmo_ladder()
    found = pd.concat(
        {(run, way): table for run, way, table in compared(whole, small, shares, asked)}, names=["run", "way"]
    )
    truth = whole.values.set_index(["run", "task"]).rename(columns={"task_loss": "loss"})[["loss", "accuracy"]]
    observed = [truth.loc[(run, task), quantity] for run, _, quantity, task in found.index]
    found = found.assign(observed=observed)
    found["error"] = (found["median"] - found["observed"]).abs()
    found["width"] = found["q95"] - found["q5"]
    found["held"] = found["observed"].between(found["q5"], found["q95"])
    by = found.groupby(["run", "quantity", "way"], sort=False)
    print(by.agg(MAE=("error", "mean"), width=("width", "mean"), held=("held", "sum"), of=("held", "size")).round(4))
    ways = {way: part.droplevel("way") for way, part in found.groupby("way")}
    moved, fitted = ways["moved"], ways["fitted"].reindex(ways["moved"].index)
    shift = (moved["median"] - fitted["median"]) / fitted["sd"]
    apart = pd.DataFrame({"shift": shift, "width": moved["width"] / fitted["width"]})
    print(agreement(apart.groupby(["run", "quantity"], sort=False)).to_string())


if __name__ == "__main__":
    main()
