"""The two protocols of BenchPress on what vendors report: single scores at random, and new models with k scores.

    python benchmarks/benchpress_protocols.py                                      # two landmarks: some 20 CPU minutes
    python benchmarks/benchpress_protocols.py --landmark 2025-11-01 --seeds 10 --output FOLDER

Zeng and Papailiopoulos (2026) hide a tenth of the cells of their matrix; and of models released after a landmark date
they reveal k scores and forecast the others. Here the matrix is the 117 bounded scores that vendors report in the
bundled frontier table, without Epoch's runs. New models are scored by one fit of the others a landmark, and only by
what is revealed. k = 0 is a forecast from line, date and published compute. Printed: median absolute error in points,
and of intervals of 90 % how many hold the score, and their median width. Theirs, on a matrix of 133 columns and other
dates: 4.60 points, .899, 27.2 points at random; 9.53, 6.86 and 6.37 points with one, five and ten scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import bayes_obscaling as bo
from bayes_obscaling.data import ScoreTable

SEEN, MOST = 3, 10  # scores that a benchmark needs to be judged; scores revealed at most
CHAINS, DRAWS = 2, 300


def of_vendors() -> ScoreTable:
    """The frontier table without Epoch's runs."""
    table = bo.load("frontier")
    names = [name for name in table.benchmark_names if name.startswith("bp_")]
    return part(table, table.scores["benchmark"].isin(names))


def part(table: ScoreTable, rows: pd.Series) -> ScoreTable:
    """Some of the scores of a table, with the models and benchmarks that have any."""
    scores = table.scores[rows.to_numpy()].reset_index(drop=True)
    models, names = scores["model"].unique(), scores["benchmark"].unique()
    return ScoreTable(
        table.models[table.models.index.isin(models)], table.benchmarks[table.benchmarks.index.isin(names)], scores
    )


def common(scores: pd.DataFrame) -> pd.Series:
    """Whether the benchmark of a score has enough of them."""
    return scores.groupby("benchmark")["score"].transform("size") >= SEEN


def judged(forecast: bo.Forecast, hidden: pd.DataFrame) -> pd.DataFrame:
    """Hidden scores beside median and 90 % interval."""
    rows = forecast.to_dataframe().set_index(["model", "task"])
    found = hidden.set_index(["model", "benchmark"])["score"]
    found.index.names = ["model", "task"]
    return rows[["median", "q5", "q95"]].join(found.rename("score"), how="inner").reset_index()


def at_random(table: ScoreTable, seed: int) -> pd.DataFrame:
    """A tenth of the cells hidden."""
    scores = table.scores
    pick = np.random.default_rng(seed).random(len(scores)) < 0.1
    pick &= scores.groupby("model")["score"].transform("size").gt(1).to_numpy()
    seen = part(table, pd.Series(~pick))
    fit = bo.fit(seen, list(seen.benchmark_names), seed=seed, cache=bo.default_cache_dir(), chains=CHAINS, draws=DRAWS)
    hidden = scores[pick & scores["model"].isin(seen.models.index) & scores["benchmark"].isin(fit.tasks)]
    forecast = bo.forecast(fit, list(hidden["model"].unique()))
    return judged(forecast, hidden).assign(protocol="random cells", k=-1)


def new_models(table: ScoreTable, landmark: str, seeds: int) -> list[pd.DataFrame]:
    """Models released since the landmark, none of which the fit has seen, with k scores of each revealed."""
    scores, dates = table.scores, table.models["date"]
    is_new = scores["model"].map(dates) >= landmark
    old = part(table, ~is_new)
    old = part(old, common(old.scores))
    fit = bo.fit(old, list(old.benchmark_names), cache=bo.default_cache_dir(), chains=CHAINS, draws=DRAWS)
    own = scores[is_new & scores["benchmark"].isin(old.benchmark_names)]
    own = own[own.groupby("model")["score"].transform("size") > MOST]
    models, found = table.models.loc[own["model"].unique()], []
    facts = models.reset_index().to_dict("records")
    families = set(old.models["family"])
    scenarios = [
        bo.Scenario(
            row["model"],
            family=row["family"] if row["family"] in families else "new",
            flops=row["flops"],
            date=row["date"],
        )
        for row in facts
    ]
    found.append(judged(bo.forecast(fit, scenarios), own).assign(k=0, seed=0))
    for k in (1, 5, MOST):
        for seed in range(seeds):
            order = np.random.default_rng([seed, k]).random(len(own))
            rank = pd.Series(order, own.index).groupby(own["model"]).rank()
            shown = own[rank <= k]
            joined = ScoreTable(pd.concat([old.models, models]), old.benchmarks, pd.concat([old.scores, shown]))
            answer = bo.score(fit, joined, tasks=list(old.benchmark_names))
            found.append(judged(answer, own[rank > k]).assign(k=k, seed=seed))
            print(f"{landmark}: k = {k}, seed {seed}", flush=True)
    return [one.assign(protocol="new models", landmark=landmark) for one in found]


def summary(cells: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Median error and width in points, and coverage."""
    error, width = (cells["median"] - cells["score"]).abs() * 100, (cells["q95"] - cells["q5"]) * 100
    inside = cells["score"].between(cells["q5"], cells["q95"])
    about = cells.assign(medae=error, width_90=width, coverage_90=inside).groupby(keys, dropna=False)
    table = about.agg(medae=("medae", "median"), coverage_90=("coverage_90", "mean"), width_90=("width_90", "median"))
    return table.assign(n=about.size(), models=about["model"].nunique()).round(3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--landmark", action="append", help="date since which models are new; repeatable")
    parser.add_argument("--seeds", type=int, default=10, help="choices of the scores that are revealed")
    parser.add_argument("--output", type=Path, help="folder for the cells")
    options = parser.parse_args()
    table = of_vendors()
    parts = [at_random(table, seed=0)]
    print(summary(parts[0], ["protocol"]).to_string(), flush=True)
    for landmark in options.landmark or ["2025-06-01", "2025-11-01"]:
        parts += new_models(table, landmark, options.seeds)
        print(summary(pd.concat(parts[1:]), ["landmark", "k"]).to_string(), flush=True)
    cells = pd.concat(parts)
    print(summary(cells, ["protocol", "k"]).to_string())
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        cells.to_csv(options.output / "benchpress.csv", index=False)


if __name__ == "__main__":
    main()
