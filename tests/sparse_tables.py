"""A sparse table of models whose compute is often a secret, and fits of it whose draws scatter around their start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from synthetic import Scatter

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.fit import CapabilityFit

N_MODELS, N_BENCHMARKS = 24, 22
CATEGORIES = ("math", "knowledge", "coding", "agentic")
# Released last, and of which no score is seen in `sparse_fit`: one of known compute, one of unknown.
HIDDEN = ("Dahlia-4", "Cedar-4")
BENCHMARKS = ("bench-0", "bench-1", "bench-2")


def sparse_table(tasks: int = 0) -> ScoreTable:
    """24 models of 5 families of 3 labs, from 2023 to 2026, and 22 benchmarks: a quarter of the cells are filled.

    A third of the compute was published. Models from 2025 on reason, except in some of their other settings; scores
    rise with time.
    """
    rng = np.random.default_rng(5)
    families = ["Aster", "Birch", "Cedar", "Dahlia", "Elder"]
    rows, filled = [], []
    for m in range(N_MODELS):
        family, j = families[m % 5], m // 5
        years = 0.6 * j + 0.12 * (m % 5)  # since the middle of 2023
        known = m % 3 == 2
        flops = 10 ** (24.2 + 0.6 * years + 0.3 * rng.standard_normal())
        rows.append(
            {
                "model": f"{family}-{j}",
                "family": family,
                "provider": f"lab-{m % 5 % 3}",
                "date": str(np.datetime64("2023-06-15") + np.timedelta64(round(365 * years), "D")),
                "flops": flops if known else np.nan,
                "flops_sd": 0.3 if known else np.nan,
            }
        )
        for b in sorted({m % 3, *rng.choice(np.arange(3, N_BENCHMARKS), 5, replace=False)}):
            reasons = years > 1.5
            level = -1.5 + 1.2 * years - 0.12 * b + 0.2 * rng.standard_normal() + 0.5 * reasons
            filled.append(_cell(f"{family}-{j}", f"bench-{b}", level, "high" if reasons else "none", float(reasons)))
            for t in range(tasks * (b < 3)):
                filled.append(_cell(f"{family}-{j}", f"task-{t}", level - 1.0, "", np.nan))
    others = []
    for cell in [cell for cell in filled if cell["reasoning"] == 1.0][::3]:
        for setting, loss in (("low", 0.3), ("none", 0.8)):
            level = np.log(cell["score"] / (1 - cell["score"])) - loss
            others.append(_cell(cell["model"], cell["benchmark"], level, setting, float(setting != "none")))
    names = [f"bench-{b}" for b in range(N_BENCHMARKS)]
    benchmarks = pd.DataFrame(
        {
            "benchmark": [*names, *(f"task-{t}" for t in range(tasks))],
            "role": ["benchmark"] * N_BENCHMARKS + ["task"] * tasks,
            "chance": 0.0,
            "n_items": 200.0,
            "category": [*np.resize(CATEGORIES, N_BENCHMARKS), *[""] * tasks],
        }
    )
    scores = pd.DataFrame(filled).drop_duplicates(["model", "benchmark"])
    return ScoreTable(pd.DataFrame(rows), benchmarks, scores, other_settings=pd.DataFrame(others))


def _cell(model: str, benchmark: str, level: float, setting: str, reasoning: float) -> dict[str, Any]:
    score = float(np.clip(1 / (1 + np.exp(-level)), 0.005, 0.995))
    return {"model": model, "benchmark": benchmark, "score": score, "setting": setting, "reasoning": reasoning}


def sparse_fit(
    table: ScoreTable | None = None,
    tasks: Sequence[str] = BENCHMARKS,
    split: Split | None = None,
    spec: CapabilitySpec | None = None,
) -> CapabilityFit:
    """Fit without sampling: draws scatter around where chains start, and all that follows from them is the model's."""
    split = split or Split("hidden", HIDDEN, HIDDEN)
    return fit_table(
        table or sparse_table(), tasks, split=split, spec=spec, chains=2, draws=150, seed=5, sampler=Scatter()
    )
