"""Baselines that read dates alone, worked out by hand, and who is judged where single scores are hidden."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sparse_tables import sparse_fit, sparse_table
from synthetic import Scatter

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.backtest import backtest, judged_models
from bayes_obscaling.evaluation.baselines import IN_TIME, STANDARD, baseline
from bayes_obscaling.evaluation.questions import Question
from bayes_obscaling.evaluation.scoring import OURS
from bayes_obscaling.evaluation.suites import score_baselines

# In the order of their dates: .2, .5, .4, .7, .6; the rows of the table are in another order.
FIVE = {"c": ("2024-03-01", 0.4), "a": ("2024-01-01", 0.2), "e": ("2024-05-01", 0.6), "b": ("2024-02-01", 0.5)}
FIVE |= {"d": ("2024-04-01", 0.7)}


def five(*more: tuple[str, str, float], **changed: float) -> ScoreTable:
    rows = [(name, date, changed.get(name, score)) for name, (date, score) in FIVE.items()]
    rows += [*more, ("next", "2024-06-01", 0.9), ("last", "2024-07-01", 0.1)]
    frame = pd.DataFrame(rows, columns=["model", "date", "score"]).assign(family="f", benchmark="task", flops=np.nan)
    benchmarks = pd.DataFrame({"benchmark": ["task"], "role": ["task"], "chance": [0.0]})
    return ScoreTable(frame[["model", "family", "date", "flops"]], benchmarks, frame[["model", "benchmark", "score"]])


SPLIT = Split("later", ("next", "last"))


def said(method: str, table: ScoreTable, split: Split = SPLIT, draws: int = 500) -> tuple[list[float], set[float]]:
    """What a baseline says, and which distinct values its draws for the first model take."""
    answer = baseline(method, table, "task", split, draws=draws)
    return answer.point.round(12).tolist(), set(answer.draws.iloc[:, 0].round(12))


def test_the_best_score_so_far_and_how_often_it_was_passed():
    point, draws = said("best-so-far", five())
    assert point == [0.7, 0.7]
    # each score less the best before it: .5 - .2, .4 - .5, .7 - .5, .6 - .7
    assert draws == {1.0, 0.6, 0.9}


def test_the_median_of_the_latest_scores():
    point, draws = said("latest-median", five())
    assert point == [0.5, 0.5]  # of .2 .5 .4 .7 .6
    # .5 - .2, .4 - .35, .7 - .4, .6 - .45
    assert draws == {0.8, 0.55, 0.65}
    point, _ = said("latest-median", five(("f", "2024-05-15", 0.8)))
    assert point == [0.6, 0.6]  # of .5 .4 .7 .6 .8: the oldest is forgotten


def test_the_logistic_rises_with_the_date_of_release():
    point, _ = said("date-logistic", five(), draws=50)
    assert 0.55 < point[0] < point[1] < 1
    exact = {name: 1 / (1 + np.exp(-(i - 2) / 2)) for i, name in enumerate("abcde")}
    table = five(**exact)
    dates = pd.to_datetime(table.models["date"])
    months = ((dates - dates["c"]) / (dates["e"] - dates["c"]) * 2).loc[["next", "last"]]
    np.testing.assert_allclose(said("date-logistic", table)[0], 1 / (1 + np.exp(-months / 2)), atol=0.02)


@pytest.mark.parametrize("method", IN_TIME)
def test_scores_that_are_hidden_are_never_read(method: str):
    before = said(method, five())
    assert said(method, five(next=0.0, last=1.0)) == before
    cell = Split("cell", ("next", "last"), cells=(("d", "task"),))
    without = said(method, five(), cell)
    assert said(method, five(d=0.01), cell) == without != before
    # a model without a date is no part of the past
    assert said(method, five(("undated", "", 0.99))) == before
    few = Split("few", ("next", "last", "c", "d", "e"))
    with pytest.raises(InputError, match="Only 2 seen models have a score on task and a release date"):
        baseline(method, five(), "task", few)


def test_dates_alone_are_asked_for_by_name():
    assert set(IN_TIME) == {"best-so-far", "latest-median", "date-logistic", "factor-date"} and not set(IN_TIME) & set(
        STANDARD
    )


# --- who is judged ------------------------------------------------------------------------------------------------


def test_partly_revealed_models_are_judged_on_what_is_hidden_of_them():
    table = sparse_table()
    whole = Split.by_vintage(table, "2025-06-01")
    names = table.benchmark_names
    observed = table.matrix(names)
    revealed = whole.revealing(table, 2)
    judged = judged_models(table, names, revealed)
    hidden = set(revealed.cells)
    assert {(model, name) for name in names for model in judged[name]} == hidden
    for model in whole.hidden:
        shown = observed.loc[model].notna().sum() - sum(cell[0] == model for cell in hidden)
        assert shown == 2
    everything = judged_models(table, names, whole, has_trend=True)
    assert {(m, n) for n in names for m in everything[n]} > hidden
    # from nothing but the date, models of unknown compute are judged only where compute has a trend
    known = set(table.models.index[table.models["flops"].notna()])
    without = judged_models(table, names, whole)
    assert {m for n in names for m in without[n]} == known & set(whole.hidden)
    assert {m for n in names for m in everything[n]} == set(whole.hidden)
    only_known = judged_models(table, names, revealed, unknown_compute=False)
    assert {m for n in names for m in only_known[n]} == known & set(whole.hidden)


def test_older_models_whose_late_scores_are_hidden_are_not_judged():
    table = sparse_table()
    scores = table.scores
    scores["evaluated"] = ""
    old = scores.index[scores["model"] == "Aster-0"][0]
    scores.loc[old, "evaluated"] = "2025-09-01"
    dated = ScoreTable(table.models, table.benchmarks, scores, other_settings=table.other_settings)
    split = Split.by_vintage(dated, "2025-06-01")
    assert split.cells == (("Aster-0", scores.at[old, "benchmark"]),)
    judged = judged_models(dated, dated.benchmark_names, split, has_trend=True)
    assert "Aster-0" not in {model for names in judged.values() for model in names}


def test_a_backtest_at_a_vintage_has_a_cell_for_each_hidden_score(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bayes_obscaling.inference.fit.default_sampler", Scatter)
    table = sparse_table()
    split = Split.by_vintage(table, "2025-06-01").revealing(table, 2)
    counts = pd.Series([name for _, name in split.cells]).value_counts()
    tasks = list(counts.index[:3])
    done = backtest(table, tasks, split, methods=list(IN_TIME), chains=2, draws=100)
    ours = done.cells[done.cells["method"] == OURS]
    assert set(zip(ours["model"], ours["task"], strict=True)) == {cell for cell in split.cells if cell[1] in tasks}
    np.testing.assert_allclose(
        ours["observed"], [table.matrix([t]).loc[m, t] for m, t in zip(ours["model"], ours["task"], strict=True)]
    )
    alone = score_baselines([Question(table, tasks, split, split.name)], list(IN_TIME)).cells
    theirs = done.cells[done.cells["method"] != OURS].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, theirs[alone.columns])
    best = done.cells[done.cells["method"] == "best-so-far"]
    assert len(best) and set(best["task"]) <= set(tasks) and (done.cells["as_of"] == "2025-06-01").all()
    for task, rows in best.groupby("task"):
        seen = split.masked(table.matrix([task]))[task]
        seen = seen.drop(rows["model"]).dropna()
        assert rows["median"].unique() == pytest.approx(seen.max())


def test_a_hidden_score_moves_no_forecast():
    table = sparse_table()
    split = Split.by_vintage(table, "2025-06-01").revealing(table, 2)
    scores = table.scores
    hit = pd.MultiIndex.from_frame(scores[["model", "benchmark"]]).isin(split.cells)
    others = table.other_settings
    hit_others = pd.MultiIndex.from_frame(others[["model", "benchmark"]]).isin(split.cells)
    assert hit.sum() == len(split.cells) and hit_others.any()
    scores.loc[hit, "score"], others.loc[hit_others, "score"] = 0.123, 0.077
    moved = ScoreTable(table.models, table.benchmarks, scores, other_settings=others)
    one, other = (sparse_fit(each, split=split).posterior for each in (table, moved))
    np.testing.assert_array_equal(one.measurement()["theta"], other.measurement()["theta"])
