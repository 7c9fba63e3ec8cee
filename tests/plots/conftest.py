"""Shared by tests of plots: studies and backtests without sampling."""

from __future__ import annotations

import pandas as pd
import pytest
from scored_cells import made_backtest, made_study

from bayes_obscaling.evaluation.cutoff_study import CutoffStudy


@pytest.fixture(scope="session")
def study() -> CutoffStudy:
    return made_study()


@pytest.fixture(scope="session")
def two_specs(study: CutoffStudy) -> CutoffStudy:
    return CutoffStudy(pd.concat([study.cells, made_study(5, "curved").cells], ignore_index=True), {}, (), 0)


@pytest.fixture(scope="session")
def tested():
    return made_backtest()
