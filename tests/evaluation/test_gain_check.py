"""Gains of held-out models, scored: the cells, simpler forecasts by hand, and the plot."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayes_obscaling.data import Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.baselines import baseline
from bayes_obscaling.evaluation.gain_check import MEAN_GAIN, NO_CHANGE, check_gain
from bayes_obscaling.evaluation.scoring import OURS


@pytest.fixture(scope="module")
def checked(made_fit):
    return check_gain(made_fit, "task-0", "task-1")


def test_held_out_gains_are_scored_beside_baselines(made_fit, checked):
    cells = checked.parts["cells"].set_index(["method", "model"])
    scores = made_fit.table.matrix(["task-0", "task-1"])
    observed = scores["task-1"] - scores["task-0"]
    models = cells.loc[OURS].index
    assert set(models) == set(made_fit.split.held_out) - {"family-2-3"}
    table = checked.table.set_index("method")
    assert table.loc[NO_CHANGE, "mae"] == pytest.approx(observed[models].abs().mean())
    seen = observed.drop(list(made_fit.split.held_out))
    assert cells.loc[MEAN_GAIN, "median"].iloc[0] == pytest.approx(seen.mean(), abs=0.02)
    points = [baseline("pc-3", made_fit.table, name, made_fit.split).point for name in ("task-0", "task-1")]
    np.testing.assert_allclose(cells.loc["pc-3", "median"], (points[1] - points[0])[models])
    # ten cells and short chains: about as good as no change, which a wrong sign or unpaired draws would not be
    assert table.loc[OURS, "crps"] < 1.3 * table.loc[NO_CHANGE, "crps"]
    assert table.loc["pc-3", "difference"] == pytest.approx(table.loc[OURS, "crps"] - table.loc["pc-3", "crps"])


def test_no_held_out_model_is_refused(made_fit):
    with pytest.raises(InputError, match="0 held-out"):
        check_gain(dataclasses.replace(made_fit, split=Split.all_seen()), "task-0", "task-1")


def test_the_plot_is_the_table(checked):
    forecasts = next(line for line in checked.plot().lines if line.get_label() == "ours, 90 % interval")
    ours = checked.parts["cells"].query("method == @OURS")
    np.testing.assert_allclose(forecasts.get_xdata(), ours["observed"])
