"""A law in compute from one family's models, against the curve it was drawn from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation import many
from bayes_obscaling.evaluation.backtest import Backtest
from bayes_obscaling.evaluation.scoring import OURS, score_draws
from bayes_obscaling.evaluation.single_family import ALL_LARGER, COMPUTE_ONLY, LARGEST, single_family
from bayes_obscaling.plots import plot_single_family

FLOPS = 10 ** np.linspace(21, 24, 6)
CURVE = 0.1 + 0.9 * expit(1.8 * (np.log10(FLOPS) - 22.6))  # of one family, six models
OFF = 0.08  # our forecasts in the fake backtest are off by so much


@pytest.fixture(scope="module")
def table():
    names = [f"a-{i}" for i in range(6)] + [f"b-{i}" for i in range(4)]
    flops = np.r_[FLOPS, 10 ** np.linspace(20.5, 22, 4)]
    models = pd.DataFrame({"model": names, "family": [n[0] for n in names], "flops": flops})
    benchmarks = pd.DataFrame(
        {"benchmark": ["bench", "task"], "role": ["benchmark", "task"], "chance": [0.0, 0.1], "n_items": [1000, 5000]}
    )
    scores = pd.DataFrame({"model": names * 2, "benchmark": ["bench"] * 10 + ["task"] * 10})
    scores["score"] = np.tile(np.r_[CURVE, 0.15, 0.2, 0.2, 0.25], 2)
    return ScoreTable(models, benchmarks, scores)


@pytest.fixture(scope="module")
def asked():
    return []


@pytest.fixture(scope="module")
def found(table, asked):
    def fake(table, tasks, split, *, setup, **_):
        asked.append((setup, split.cutoff, split.held_out))
        held = table.models.loc[list(split.held_out), ["family", "flops"]].reset_index()
        truth = table.matrix(tasks).loc[held["model"]].to_numpy()[:, 0]
        draws = truth[:, None] + OFF + np.random.default_rng(0).normal(0, 0.01, (len(held), 400))
        frame = held.assign(setup=setup, task=tasks[0], method=OURS, observed=truth, converged=True)
        return Backtest(frame.join(score_draws(draws, truth)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many, "backtest", fake)
        return single_family(table, "A", "task", methods=(), chains=2, draws=200)


def test_the_cutoff_is_the_compute_of_the_last_model_seen(found, asked):
    assert [cutoff for _, cutoff, _ in asked] == pytest.approx(FLOPS[1:5].tolist())
    for k, (setup, _, held) in enumerate(asked, 2):
        assert setup == f"{k} models" and [m for m in held if m[0] == "a"] == [f"a-{i}" for i in range(k, 6)]
    cells = found.parts["cells"]
    assert cells["family"].unique().tolist() == ["a"]
    counts = cells[cells["method"] == COMPUTE_ONLY].groupby("models").size()
    assert counts.to_dict() == {2: 4, 3: 3, 4: 2, 5: 1}
    assert set(found.table["target"]) == {LARGEST, ALL_LARGER}


def test_the_law_in_compute_finds_the_curve_once_it_has_seen_it_bend(found):
    cells = found.parts["cells"]
    alone = cells[cells["method"] == COMPUTE_ONLY].set_index(["models", "model"])
    for k in range(2, 6):
        row = alone.loc[(k, "a-5")]
        assert row["q5"] <= CURVE[5] <= row["q95"] and row["observed"] == CURVE[5]
    width = (alone["q95"] - alone["q5"]).xs("a-5", level="model")
    assert width[5] < width[2] / 2
    assert abs(alone.loc[(5, "a-5"), "median"] - CURVE[5]) < 0.05
    assert alone.loc[(4, "a-5"), "distance"] == pytest.approx(np.log10(FLOPS[5] / FLOPS[3]))


def test_from_how_many_models_on_compute_alone_is_as_good(found):
    largest = found.table[found.table["target"] == LARGEST].pivot_table(index="models", columns="method", values="crps")
    good = [k for k in largest.index if (largest[COMPUTE_ONLY] <= largest[OURS])[largest.index >= k].all()]
    matches = found.parts["matches"].set_index(["target", "task"])
    assert good and matches.loc[(LARGEST, "all"), "matches_from"] == good[0]
    rows = found.table.set_index(["target", "models", "method"])
    mine, theirs = (rows.loc[(LARGEST, 5, method), "crps"] for method in (OURS, COMPUTE_ONLY))
    assert rows.loc[(LARGEST, 5, COMPUTE_ONLY), "difference"] == pytest.approx(mine - theirs)
    assert rows.loc[(LARGEST, 3, OURS), "mae"] == pytest.approx(OFF, abs=0.01)
    assert any("from" in s and "models on" in s for s in found.sentences)


def test_what_cannot_be_asked_is_refused(table):
    for arguments, message in (
        (("c", "task"), "no family 'c'"),
        (("a", "chess"), "no benchmark or task 'chess'"),
    ):
        with pytest.raises(InputError, match=message):
            single_family(table, *arguments)
    with pytest.raises(InputError, match="6 models of a cannot be seen: choose from 2, 3, 4, 5"):
        single_family(table, "a", "task", counts=[3, 6])
    two = table.select(["a-0", "a-1", "b-0"])
    with pytest.raises(InputError, match="a has 2 models of known FLOPs"):
        single_family(two, "a", "task")


def test_the_plot_is_the_table(found):
    ax = found.plot()
    rows = found.table[(found.table["target"] == LARGEST) & (found.table["method"] == COMPUTE_ONLY)]
    line = next(line for line in ax.lines if line.get_label() == "compute, this family alone")
    np.testing.assert_allclose(line.get_xydata(), rows[["models", "crps"]])
    with pytest.raises(InputError, match="no scores of 'smallest'"):
        plot_single_family(found, target="smallest")
    alone = dataclasses.replace(found, table=found.table[found.table["target"] == ALL_LARGER])
    assert "all its larger models" in alone.plot().get_title(loc="left")
