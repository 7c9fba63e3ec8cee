"""Large tables: what is calibrated covers the table, and what is placed is placed as a fit would."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, load_base_llms
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.calibrated import calibration_models


def large(models: int = 400, families: int = 60, seed: int = 0) -> ScoreTable:
    rng = np.random.default_rng(seed)
    names = [f"m{i}" for i in range(models)]
    facts = pd.DataFrame(
        {
            "model": names,
            "family": [f"f{int(i)}" for i in families * rng.random(models) ** 2],
            "flops": 10 ** rng.uniform(20, 25, models),
        }
    )
    cells = [(m, f"b{k}", rng.random()) for m in names for k in range(5) if rng.random() < (0.02 if k == 4 else 0.6)]
    benchmarks = pd.DataFrame({"benchmark": [f"b{k}" for k in range(5)], "role": "benchmark"})
    return ScoreTable(facts, benchmarks, pd.DataFrame(cells, columns=["model", "benchmark", "score"]))


def test_the_choice_covers_families_compute_and_benchmarks():
    table = large()
    chosen = calibration_models(table, 130)
    models, scores = table.models, table.scores
    assert 130 <= len(chosen) <= 145
    measured = models[models.index.isin(scores["model"])]
    assert set(models.loc[chosen, "family"]) == set(measured["family"])
    for family, members in measured.groupby("family"):
        assert members["flops"].idxmax() in chosen, family
        assert members["flops"].idxmin() in chosen, family
    rare = scores.loc[scores["benchmark"] == "b4", "model"]
    assert rare.isin(chosen).sum() >= min(len(rare), 20)
    assert chosen == calibration_models(table, 130)


def test_a_small_table_is_taken_whole():
    table = load_base_llms("paper")
    assert calibration_models(table, 500) == list(table.models.index)


def test_a_handful_is_refused():
    with pytest.raises(InputError, match="20 or more"):
        calibration_models(load_base_llms("paper"), 5)
