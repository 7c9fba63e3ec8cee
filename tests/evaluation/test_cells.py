"""Tables of cells hold what a count by hand gives; plots draw them (tests/plots)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scored_cells import (
    AS_OF,
    CUTOFFS,
    DATES,
    LAST,
    MODELS,
    OBSERVED,
    made_backtest,
    made_cells,
    made_dated_study,
    made_study,
)

from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation import cells as tables
from bayes_obscaling.evaluation.backtest import Backtest
from bayes_obscaling.evaluation.baselines import BASELINES
from bayes_obscaling.evaluation.cutoff_study import STUDY_METHODS, CutoffStudy
from bayes_obscaling.evaluation.scoring import LEVELS


@pytest.fixture(scope="module")
def study():
    return made_study(unsound=CUTOFFS[:1])


@pytest.fixture(scope="module")
def two_specs(study):
    return CutoffStudy(pd.concat([study.cells, made_study(5, "curved").cells], ignore_index=True), {}, (), 0)


@pytest.fixture(scope="module")
def tested():
    return made_backtest()


def test_ours_comes_first_then_the_baselines_of_a_study_then_all_others():
    order = sorted(["something else", *BASELINES, "bayes"], key=tables.method_place)
    assert order[: 1 + len(STUDY_METHODS)] == ["bayes", *STUDY_METHODS]
    assert order[-1] == "something else"


def test_a_trajectory_has_a_row_per_method_and_cutoff(study):
    table = tables.trajectory(study, "alpha", LAST, baselines=["compute"])
    assert table["method"].tolist() == ["bayes"] * 4 + ["compute"] * 4
    assert table["cutoff"].tolist() == [*CUTOFFS, *CUTOFFS]
    assert (table["n"] == 1).all()
    assert table["not_converged"].tolist() == [1, 0, 0, 0] * 2
    assert (table["place"] == 0).tolist() == [True] * 4 + [False] * 4


def test_errors_by_cutoff_count_their_forecasts(study):
    cells = study.cells
    lost = (cells["method"] == "pc-3") & (cells["task"] == "beta") & (cells["cutoff"] == CUTOFFS[1])
    table = tables.error_by_cutoff(cells[~lost])
    row = table[(table["line"] == "pc-3") & (table["cutoff"] == CUTOFFS[1])].iloc[0]
    models = cells.loc[cells["cutoff"] == CUTOFFS[1], "model"].nunique()
    assert np.isnan(row["mae"]) and row["n"] == models and row["forecasts"] == 2 * models
    assert (row["tasks"], row["tasks_asked"], row["tasks_of_all"], row["models"]) == (1, 2, 2, models)
    assert table.groupby("line")["mae"].count().to_dict() == {"bayes": 4, "pc-3": 3, "compute": 4}
    ours = table[table["place"] == 0]
    assert ours["not_converged"].tolist() == [2 * len(MODELS), 0, 0, 0]


def test_distances_are_binned_with_their_upper_edge_and_unknown_ones_stand_last(tested):
    cells = tested.cells.assign(distance=tested.cells["distance"].where(tested.cells["model"] != LAST))
    table = tables.by_distance(cells, width=0.5)
    np.testing.assert_allclose(table["up_to"] - table["above"], [0.5] * 5 + [np.nan])
    ours = cells[cells["method"] == "bayes"]
    for row in table.dropna(subset="distance").itertuples():
        inside = ours[(ours["distance"] > row.above + 1e-12) & (ours["distance"] <= row.up_to + 1e-12)]
        assert row.n == len(inside)
        assert row.mae == pytest.approx((inside["median"] - inside["observed"]).abs().mean())
        assert row.coverage_90 == pytest.approx(inside["observed"].between(inside["q5"], inside["q95"]).mean())
        assert row.failing == (row.coverage_90_high < 0.9)
    last = table.iloc[-1]
    assert np.isnan(last["distance"]) and last["n"] == 4


def test_months_are_binned_with_their_lower_edge():
    cells = made_dated_study().cells
    on_the_day = cells["model"] == LAST
    cells["months_ahead"] = cells["months_ahead"].mask(on_the_day, 0.0)
    cells["months_ahead"] = cells["months_ahead"].mask(cells["model"] == MODELS[-2])
    table = tables.by_months(cells)
    ours = cells[cells["method"] == "bayes"]
    for row in table.dropna(subset="months_ahead").itertuples():
        inside = ours[(ours["months_ahead"] >= row.above) & (ours["months_ahead"] < row.up_to)]
        assert row.n == len(inside) and row.months_ahead == row.above + 1.5
        assert row.coverage_90 == pytest.approx(inside["observed"].between(inside["q5"], inside["q95"]).mean())
    assert table["above"].iloc[0] == 0.0 and np.isnan(table["months_ahead"].iloc[-1])
    assert table["n"].sum() == len(ours)
    with pytest.raises(InputError, match="width of a bin is 0 months"):
        tables.by_months(cells, width=0)
    with pytest.raises(InputError, match="No forecast has a known release date"):
        tables.by_months(cells.assign(months_ahead=np.nan))


def test_tables_of_a_study_by_date_have_its_dates():
    study = made_dated_study()
    path = tables.trajectory(study, "alpha", LAST, baselines=())
    assert path["as_of"].tolist() == list(AS_OF) and set(path["date"]) == {DATES[LAST]} and "cutoff" not in path
    errors = tables.error_by_cutoff(study)
    assert errors.query("place == 0")["models"].tolist() == [sum(d >= as_of for d in DATES.values()) for as_of in AS_OF]
    assert tables.emergence(study, "alpha", 0.5)["as_of"].is_monotonic_increasing
    both = pd.concat([study.cells, made_study().cells])
    with pytest.raises(InputError, match="cut by compute and by date"):
        tables.error_by_cutoff(both)


def test_emergence_is_scored_by_brier(study):
    table = tables.emergence(study, "beta", 0.5)
    assert table["passed"].tolist() == [OBSERVED[m] >= 0.5 for m in table["model"]]
    np.testing.assert_allclose(table["brier"], (table["probability"] - table["passed"]) ** 2)
    assert table["cutoff"].is_monotonic_increasing


def test_coverage_by_hand(tested):
    table = tables.coverage(tested).set_index(["method", "level"])
    cells = tested.cells[tested.cells["method"] == "pc-3"]
    for level in LEVELS:
        tail = (100 - level) / 2
        inside = cells["observed"].between(cells[f"q{tail:g}"], cells[f"q{100 - tail:g}"])
        row = table.loc[("pc-3", level)]
        assert row["coverage"] == pytest.approx(inside.mean()) and row["n"] == len(cells)
        assert row["low"] <= row["coverage"] <= row["high"]


def test_an_interval_over_one_family_is_unknown():
    cells = made_cells(0, "s", "t", MODELS, [0.1] * len(MODELS)).assign(family="only")
    assert tables.coverage(cells)[["low", "high"]].isna().all(axis=None)


def test_pit_counts_add_up(tested):
    table = tables.pit(tested, bins=5)
    assert table["n"].sum() == 56 and (table["expected"] == 56 / 5).all()
    assert (table["low"] < table["expected"]).all() and (table["high"] > table["expected"]).all()


def test_the_rival_is_the_best_whole_baseline(tested):
    table = tables.by_task(tested, "mae")
    scores = Backtest(tested.cells).scores().set_index(["setup", "task", "method"])["mae"]
    for row in table.itertuples():
        assert row.value == pytest.approx(scores[row.setup, row.task, row.method])
        assert row.whole == (row.method != "compute" or row.task != "two")
        rivals = ["pc-3"] if row.task == "two" else ["pc-3", "compute"]
        if row.method == "bayes":
            assert row.rival == pytest.approx(min(scores[row.setup, row.task, rival] for rival in rivals))
        else:
            assert np.isnan(row.rival)


def test_cells_are_left_as_they_are(study, tested):
    before = study.cells.copy(), tested.cells.copy()
    tables.error_by_cutoff(study)
    tables.emergence(study, "alpha", 0.5)
    tables.by_distance(tested)
    tables.coverage(tested)
    pd.testing.assert_frame_equal(study.cells, before[0])
    pd.testing.assert_frame_equal(tested.cells, before[1])


@pytest.mark.parametrize(
    "draw",
    [
        lambda s: tables.trajectory(s, "alpha", LAST),
        tables.by_distance,
        lambda s: tables.emergence(s, "alpha", 0.5),
        tables.pit,
        tables.by_task,
    ],
)
def test_of_several_specs_one_must_be_named(two_specs, draw):
    with pytest.raises(InputError, match=r"2 specs: name one with spec=, of default, curved\."):
        draw(two_specs)


@pytest.mark.parametrize(
    ("draw", "part"),
    [
        (lambda s: tables.trajectory(s, "gamma", LAST), "task 'gamma': there are alpha, beta"),
        (lambda s: tables.trajectory(s, "alpha", "model-99"), r"'model-99' on alpha: the nearest of 14 .*model-9"),
        (lambda s: tables.trajectory(s, "alpha", LAST, baselines=["pc-9"]), "'pc-9': choose from bayes, pc-3, compute"),
        (
            lambda s: tables.trajectory(s, "alpha", LAST, spec="other"),
            "no spec 'other' in the cells: they have default",
        ),
        (
            lambda s: tables.trajectory(s.cells.query("method != 'bayes'"), "alpha", LAST),
            f"no bayes forecast of {LAST}",
        ),
        (
            lambda s: tables.trajectory(s.cells.drop(columns="cutoff"), "alpha", LAST),
            "neither a cutoff nor an as-of date: give a cutoff",
        ),
        (lambda s: tables.error_by_cutoff(s, "gamma"), "task 'gamma'"),
        (lambda s: tables.error_by_cutoff(s, methods=["mean"]), "method 'mean': choose from"),
        (lambda _: tables.error_by_cutoff(CutoffStudy(pd.DataFrame(), {}, (), 0)), "every fit has failed"),
        (lambda s: tables.by_distance(s, width=0.0), "give a positive number"),
        (lambda s: tables.by_distance(s, method="mean"), "method 'mean'"),
        (lambda s: tables.by_distance(s.cells.assign(distance=np.nan)), "unknown compute"),
        (lambda s: tables.emergence(s, "gamma", 0.5), "task 'gamma'"),
        (lambda s: tables.emergence(s, "alpha", 0.6), "passes 0.6: it has those of 0.5"),
        (lambda s: tables.emergence(s.cells.drop(columns="p_above_0.5"), "alpha", 0.5), "name thresholds when"),
        (lambda s: tables.coverage(s, methods=["mean"]), "method 'mean'"),
        (lambda s: tables.coverage(s.cells.head(0)), "the selection is empty"),
        (lambda s: tables.pit(s, "mean"), "method 'mean'"),
        (lambda s: tables.pit(s, bins=1), "at least 2"),
        (lambda s: tables.pit(s.cells.assign(pit=np.nan)), "forecasts points, not distributions"),
        (lambda s: tables.by_task(s, "coverage_90"), "no metric 'coverage_90'.*choose from crps, mae"),
        (lambda s: tables.by_task(s.cells.assign(log_score=np.nan), "log_score"), "None of .* has a log_score"),
    ],
)
def test_what_cannot_be_tabled_is_said(study, draw, part):
    with pytest.raises(InputError, match=part):
        draw(study)
