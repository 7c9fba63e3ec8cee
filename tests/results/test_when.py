"""When a score is reached: by a line of a sparse table, or by the best of all its models."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sparse_tables import sparse_fit, sparse_table

from bayes_obscaling import ask
from bayes_obscaling.data import Split
from bayes_obscaling.data.dates import DATE_CENTRE, years_of
from bayes_obscaling.errors import InputError
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.scenario import NEW_FAMILY

LATEST = "2026-03-04"


@pytest.fixture(scope="module")
def fit() -> CapabilityFit:
    return sparse_fit(split=Split.all_seen())


@pytest.mark.parametrize("who", [{"family": "Aster"}, {"family": NEW_FAMILY}, {"best": True}])
def test_a_higher_level_is_reached_later_or_never(fit: CapabilityFit, who: dict):
    dates = [np.asarray(ask.when(fit, "bench-4", level, **who)) for level in (0.3, 0.6, 0.9, 0.99)]
    for sooner, later in pairwise(dates):
        assert (later >= sooner).all()
    assert (dates[3] > dates[0]).mean() > 0.3


def test_a_line_crosses_a_level_where_its_typical_model_stands_at_it(fit: CapabilityFit):
    answer = ask.when(fit, "bench-4", 0.95, "Birch")
    row = answer.table.iloc[0]
    draws, first = np.asarray(answer), DATE_CENTRE + years_of(row["start"])
    inside = np.flatnonzero((draws > first + 1 / 12) & np.isfinite(draws))
    assert len(inside) > 50
    for draw in inside[:5]:
        near = [
            np.datetime64("1970-01-01") + np.timedelta64(round((draws[draw] + by - 1970) * 365.25), "D")
            for by in (-0.1, 0.1)
        ]
        facts = {"flops": np.full(2, np.nan), "date": np.array(near).astype(str)}
        score = fit.posterior.expected(fit.posterior.family_line("Birch", facts), ["bench-4"])[draw, :, 0]
        assert score[0] < 0.95 < score[1]


def test_the_best_of_all_is_there_before_each_line(fit: CapabilityFit):
    for task, level, wait in (("bench-4", 0.9, 1 / 6), ("bench-4", 0.97, 0.0), ("bench-12", 0.8, 1 / 6)):
        best = np.median(ask.when(fit, task, level, best=True))
        for family in fit.layout.families:  # a line may cross a level in a month or two without a release
            assert best <= np.median(ask.when(fit, task, level, family)) + wait


def test_what_the_best_has_is_reached_already(fit: CapabilityFit):
    best = fit.table.matrix(["bench-4"])["bench-4"].max()
    answer = ask.when(fit, "bench-4", float(best) - 0.001, best=True)
    row = answer.table.iloc[0]
    assert (row["best"], row["already"], row["never"]) == (best, 1.0, 0.0)
    assert row["start"] == row["median"] == fit.table.models["date"].max()
    assert "has reached" in answer.sentences[0]
    assert ask.when(fit, "bench-4", 0.5 * (1 + float(best)), best=True).table["already"].item() < 0.5
    # a line is not the best of all: that somebody has the score does not help it
    assert ask.when(fit, "bench-4", float(best) - 0.001, "Elder").table["already"].item() < 1.0


def test_scores_that_were_hidden_are_not_the_best():
    table = sparse_table()
    at = table.matrix(["bench-4"])["bench-4"].idxmax()
    hidden = sparse_fit(table, ["bench-4"], Split("best", (at,), (at,)))
    seen = ask.when(hidden, "bench-4", 0.99, best=True).table["best"].item()
    assert seen == table.matrix(["bench-4"])["bench-4"].drop(at).max()


def test_faster_compute_is_sooner_and_a_later_start_not_before_it(fit: CapabilityFit):
    slow, fast = (np.asarray(ask.when(fit, "bench-4", 0.97, "Aster", trend_compute=by)) for by in (1.0, 10.0))
    assert (fast <= slow).all() and np.median(fast) < np.median(slow)
    later = ask.when(fit, "bench-4", 0.97, "Aster", start="2028-01-01")
    assert later.table["start"].item() == "2028-01-01" and np.asarray(later).min() >= 2028 - 1 / 365


def test_beyond_the_horizon_is_not_before_it(fit: CapabilityFit):
    gap = fit.posterior.measurement(0)["ceiling_gap"][:, fit.layout.benchmarks.index("bench-4")]
    level = 1 - float(gap.min()) / 2  # above the ceiling of every draw
    answer = ask.when(fit, "bench-4", level, "Aster")
    row = answer.table.iloc[0]
    assert row["never"] == 1.0 and np.isinf(np.asarray(answer)).all() and row["median"] == row["q5"] == ""
    assert f"does not reach {level:g} on bench-4 before {row['until']} (100%)" in answer.sentences[0]
    assert int(row["until"][:4]) - int(row["start"][:4]) == 20


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"level": 1.0}, "is not between the chance score"),
        ({"level": 0.0}, "is not between the chance score"),
        ({"trend_compute": 0.0}, "Compute cannot grow 0 times a year"),
        ({"trend_compute": -2.0}, "Compute cannot grow -2 times a year"),
        ({"trend_compute": 1e6}, "Compute cannot grow 1e.06 times a year"),
        ({"trend_compute": 0.5}, "Compute cannot grow 0.5 times a year"),
        ({"family": "Zinnia"}, "Zinnia"),
        ({"task": "bench-99"}, "bench-99"),
        ({"best": True, "start": "2040"}, "No model was released in the year before"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(fit: CapabilityFit, changes: dict, words: str):
    with pytest.raises(InputError, match=words):
        ask.when(fit, **{"task": "bench-4", "level": 0.9, **changes})


def test_a_fit_without_a_trend_is_told_what_to_ask(dated_fit: CapabilityFit):
    with pytest.raises(InputError, match=r"no trend of compute in time.*ask reach"):
        ask.when(dated_fit, "bench-0", 0.9)


def test_of_tasks_lines_are_followed_but_not_the_best_of_all():
    table = sparse_table(tasks=1)
    fit = sparse_fit(table, ["task-0"], Split.by_date(table, "2025-12-01"))
    assert np.isfinite(np.asarray(ask.when(fit, "task-0", 0.7, "Aster"))).any()
    assert forecast(fit, tasks="task-0").about["seen"].sum() == 0
    with pytest.raises(InputError, match="is followed on benchmarks, and task-0 is a task"):
        ask.when(fit, "task-0", 0.7, best=True)
