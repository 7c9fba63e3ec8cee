"""Compare the baselines with what the published code of Ruan, Maddison and Hashimoto (2024) gives.

    python scripts/check_baselines.py --reference FOLDER [--scores]

FOLDER holds ``point_predictions.csv`` (setup, task, x_metric, model, y_true, y_pred) and ``bootstrap_intervals.csv``
(setup, task, x_metric, version, model, crps), one row per held-out model. Printed are, per setup and method, the share
of forecasts within 0.005; then every fit with a forecast further off. The published code minimises with BFGS, which
stops when the gradient is small, as it is for tasks with small errors: the mean squared error over its training models
is above that of the optimum. Both errors over the held-out models are printed, since the optimum need not forecast
better. Last come the CRPS of the PC-3 bootstrap. With --scores also the errors of all baselines on the public tasks.

As published, emergent tasks are fitted without models of unknown compute. (None of the models with corrected sizes is
in the published cohort.)
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scoringrules

from bayes_obscaling.data import ScoreTable, load_base_llms, load_instruct_llms
from bayes_obscaling.data.splits import Split
from bayes_obscaling.evaluation.baselines import BASELINES, baseline

CLOSE = 0.005
METHODS = {"Size": "size", "FLOPs": "compute", **{f"PC-{k}": f"pc-{k}" for k in range(1, 5)}}
TASKS = {
    "gsm8k_naive": "gsm8k_direct",
    "gsm8k_cot_sc_maj5": "gsm8k_cot_sc",
    "bbh_fewshot_raw": "bbh_direct",
    "bbh_cot_raw": "bbh_cot",
    "AgentBench_OA/10": "agentbench",
    "AgentBoard_SR": "agentboard",
}
PUBLIC = ("a_emergent_paper", "b_post_training")


@dataclass(frozen=True)
class Case:
    """One task of one setup: what the published code was given."""

    setup: str
    task: str
    table: ScoreTable
    split: Split
    cells: pd.DataFrame

    @property
    def suffix(self) -> str:
        """Post-training and agent tasks are fitted with a free floor."""
        plain = self.setup.startswith("a_") and not self.setup.endswith("_parametric")
        return "" if plain else "-parametric"


def cases(published: pd.DataFrame) -> Iterator[Case]:
    base, instruct = load_base_llms("paper"), load_instruct_llms()
    unknown = base.models.index[base.models["flops"].isna()]
    for (setup, name), cells in published.groupby(["setup", "task"]):
        if name.endswith("_norm"):
            continue  # chance-corrected scores, not in the tables
        table = instruct if setup.startswith("c_") else base
        held_out = dict.fromkeys([*cells["model"], *(unknown if setup.startswith("a_") else ())])
        yield Case(setup, table.resolve(TASKS.get(name, name)), table, Split(setup, tuple(held_out)), cells)


def agreement(case: Case) -> Iterator[dict[str, object]]:
    """One row per forecast of the published code."""
    for metric, cells in case.cells.dropna(subset="y_pred").groupby("x_metric"):
        ours = baseline(METHODS[metric] + case.suffix, case.table, case.task, case.split)
        for _, cell in cells.iterrows():
            yield {
                "setup": case.setup,
                "task": case.task,
                "method": METHODS[metric],
                "published": cell["y_pred"],
                "ours": ours.point[cell["model"]],
                "true": cell["y_true"],
            }


def print_agreement(rows: pd.DataFrame) -> None:
    rows = rows.assign(gap=(rows["ours"] - rows["published"]).abs())
    rows["close"] = rows["gap"] < CLOSE

    def summary(by: list[str]) -> pd.DataFrame:
        groups = rows.groupby(by, sort=False)
        return pd.DataFrame(
            {
                "cells": groups.size(),
                "close": groups["close"].mean(),
                "median": groups["gap"].median(),
                "max": groups["gap"].max(),
            }
        )

    print(f"share of forecasts within {CLOSE} of the published ones, median and largest difference\n")
    print(summary(["setup", "method"]).to_string(float_format="{:.4f}".format))
    print(f"\nall {len(rows)} forecasts: {rows['close'].mean():.4f}\n")
    far = [key for key, value in rows.groupby(["setup", "task", "method"])["close"].all().items() if not value]
    print("fits that differ: mean squared error over held-out models, published as run and at the optimum\n")
    for key in far:
        cells = rows[(rows[["setup", "task", "method"]] == list(key)).all(axis=1)]
        published, ours = (((cells[column] - cells["true"]) ** 2).mean() for column in ("published", "ours"))
        print(f"{' '.join(key):62} {cells['close'].sum():3d} of {len(cells):2d} close  {published:.5f}  {ours:.5f}")


def print_bootstrap(all_cases: Iterable[Case], published: pd.DataFrame) -> None:
    """CRPS of the PC-3 bootstrap, published and ours."""
    crps = published[published["version"] == "pred_int_clip01"].groupby(["setup", "task"])["crps"].mean()
    print("\nmean CRPS of the PC-3 bootstrap (200 replicates): published, ours\n")
    for case in all_cases:
        _, ours = errors(case, f"pc-3{case.suffix}", case.cells.drop_duplicates("model"))
        key = (case.setup, case.cells["task"].iloc[0])
        print(f"{case.setup:30} {case.task:24} {crps[key]:.4f}  {ours:.4f}")


def errors(case: Case, method: str, cells: pd.DataFrame) -> tuple[float, float]:
    """Mean absolute error and mean CRPS over the models of `cells`."""
    forecast = baseline(method, case.table, case.task, case.split, draws=200)
    assert forecast.draws is not None
    truth, models = cells["y_true"].to_numpy(), cells["model"]
    mae = np.abs(forecast.point[models].to_numpy() - truth).mean()
    crps = scoringrules.crps_ensemble(truth, forecast.draws[models].to_numpy().T).mean()
    return float(mae), float(crps)


def print_scores(all_cases: Iterable[Case]) -> None:
    """Errors of all baselines on the public tasks, over held-out models of known compute."""
    mae, crps = {}, {}
    for case in all_cases:
        if case.setup in PUBLIC:
            cells = case.cells.dropna(subset="flops").drop_duplicates("model")
            scored = {method: errors(case, method, cells) for method in BASELINES}
            mae[case.task] = {method: value for method, (value, _) in scored.items()}
            crps[case.task] = {method: value for method, (_, value) in scored.items()}
    for name, values in (("mean absolute error", mae), ("mean CRPS", crps)):
        table = pd.DataFrame(values)
        table["mean"] = table.mean(axis=1)
        print(f"\n{name}\n\n{table.T.to_string(float_format='{:.4f}'.format)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, help="folder of the published forecasts")
    parser.add_argument("--scores", action="store_true", help="also print the errors of all baselines")
    arguments = parser.parse_args()
    all_cases = list(cases(pd.read_csv(arguments.reference / "point_predictions.csv")))
    print_agreement(pd.DataFrame([row for case in all_cases for row in agreement(case)]))
    print_bootstrap(all_cases, pd.read_csv(arguments.reference / "bootstrap_intervals.csv"))
    if arguments.scores:
        print_scores(all_cases)


if __name__ == "__main__":
    main()
