"""Suites: the published one and those of our own, question by question."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation import suites
from bayes_obscaling.evaluation import suites as module
from bayes_obscaling.evaluation.backtest import Backtest, judged_models
from bayes_obscaling.evaluation.baselines import STANDARD
from bayes_obscaling.evaluation.questions import Question
from bayes_obscaling.evaluation.suites import DATES, run_suite, suite

SETUPS = ("tasks from benchmarks", "benchmarks from compute")


def test_the_published_suite_asks_what_the_paper_asks():
    questions = suite("published")
    by_setup: dict[str, list[Question]] = {}
    for question in questions:
        by_setup.setdefault(question.label, []).append(question)
        assert question.methods == STANDARD
        assert question.split.hides == "task"
    assert list(by_setup) == ["emergent", "post-training", "agents, top 10%", "agents, top 20%"]

    emergent = by_setup["emergent"]
    arithmetic = {"arithmetic_3ds", "arithmetic_3da", "arithmetic_2dm", "arithmetic_2da"}
    others = {"word_unscrambling", "parsinlu_qa", "ipa_transliterate", "ipa_transliterate_bleu"}
    cutoffs = {task: question.split.cutoff for question in emergent for task in question.tasks}
    assert cutoffs == dict.fromkeys(arithmetic, 2.2e22) | dict.fromkeys(others, 8.4e22)
    assert sum(len(question.tasks) for question in emergent) == 8
    assert ("ipa_transliterate_bleu",) in [question.tasks for question in emergent]  # it counts no items
    assert not any(question.unknown_compute for question in emergent)
    held_out = {question.split.cutoff: len(question.split.held_out) for question in emergent}
    assert held_out == {2.2e22: 46, 8.4e22: 30}

    (post,) = by_setup["post-training"]
    assert set(post.tasks) == {"gsm8k_direct", "gsm8k_cot", "gsm8k_cot_sc", "bbh_direct", "bbh_cot"}
    assert post.split.cutoff == 8.4e22
    assert post.unknown_compute

    for setup, counts in (("agents, top 10%", [2, 1]), ("agents, top 20%", [4, 2])):
        assert [question.tasks for question in by_setup[setup]] == [("agentbench",), ("agentboard",)]
        assert [len(question.split.held_out) for question in by_setup[setup]] == counts
    assert by_setup["agents, top 10%"][0].split.held_out == ("gpt-4-0613", "claude-2.0")


def test_the_suite_from_compute_holds_out_by_family():
    questions = suite("from-compute")
    assert [q.label for q in questions] == [
        "D1 largest of each family",
        "D2 all but the smallest",
        *["D3 whole families"] * 3,
    ]
    assert [len(q.split.held_out) for q in questions[:2]] == [19, 51]
    assert all(q.split.hides == "all" and len(q.tasks) == 8 and not q.unknown_compute for q in questions)
    known = questions[0].table.models["flops"].dropna().index
    whole = [m for q in questions[2:] for m in q.split.held_out]
    assert sorted(whole) == sorted(known)  # each model of known compute once
    for q in questions[2:]:
        families = q.table.models.loc[list(q.split.held_out), "family"]
        rest = q.table.models.drop(index=list(q.split.held_out))
        assert not set(families) & set(rest["family"])
    with pytest.raises(
        InputError, match="There is no suite 'paper': choose one of published, from-compute, below-cutoff"
    ):
        suite("paper")


def test_the_suite_below_the_cutoff_sees_and_judges_nothing_above_it():
    questions = suite("below-cutoff")
    assert [q.label for q in questions] == 2 * (["leave-future-out"] * 3 + ["families left out"] * 4)
    for q in questions:
        flops = q.table.models["flops"]
        assert set(flops.index[~(flops <= q.up_to * (1 + 1e-9))]) <= set(q.split.held_out)
        judged = [model for model in q.split.held_out if flops[model] <= q.up_to]
        assert len(judged) >= 3
    folds = [q for q in questions if q.label == "families left out" and q.up_to == 8.4e22]
    once = [model for q in folds for model in q.split.held_out if q.table.models.at[model, "flops"] <= q.up_to]
    assert len(once) == len(set(once)) == (folds[0].table.models["flops"] <= 8.4e22 * (1 + 1e-9)).sum()


def test_benchmarks_as_tasks_are_the_same_scores_and_predicted_by_themselves():
    (question,) = suite("as-tasks")
    table, held = question.table, list(question.split.held_out)
    assert len(question.tasks) == 7 and set(question.tasks) <= set(table.task_names)
    for task in question.tasks:
        benchmark = task.removesuffix(" as a task")
        pd.testing.assert_series_equal(
            table.matrix([task])[task], table.matrix([benchmark])[benchmark], check_names=False
        )
        assert not table.excludes(task) and table.n_items(task) == table.n_items(benchmark)
    assert not (table.models.loc[held, "flops"] <= 8.4e22).any() and question.split.hides == "task"


def test_the_suite_out_of_time_sees_nothing_that_came_later():
    questions = suite("out-of-time")
    assert {q.split.as_of for q in questions} == set(DATES) and len(questions) == 3 * len(DATES)
    for q in questions:
        models = q.table.models
        assert len(models) == 97 and set(models["cohort"]) == {"paper", "later"}
        seen = q.split.seen(models.index)
        assert models.loc[seen, "date"].max() < q.split.as_of <= models.loc[~seen, "date"].min()
        assert all(judged_models(q.table, q.tasks, q.split, q.unknown_compute).values())
        from_compute = q.label == "benchmarks from compute"
        assert q.split.hides == ("all" if from_compute else "task")
        assert ({"pc-1", "pc-2", "pc-3"} <= set(q.methods)) != from_compute
    asked = {label: {task for q in questions if q.label == label for task in q.tasks} for label in SETUPS}
    table = questions[0].table
    assert asked == dict(zip(SETUPS, (set(table.task_names), set(table.benchmark_names)), strict=True))


def test_running_a_suite_passes_on_what_is_asked(monkeypatch: pytest.MonkeyPatch):
    calls: list[tuple[Any, ...]] = []

    def fake(table: ScoreTable, tasks: tuple[str, ...], split: Split, **options: Any) -> Backtest:
        calls.append((table, tasks, split, options))
        return Backtest(pd.DataFrame({"setup": [options["setup"]], "task": tasks[0]}), ("slow",))

    monkeypatch.setattr(module, "backtest", fake)
    questions, told = suite("published")[-3:], []
    result = run_suite(questions, tell=told.append, draws=7)
    assert [call[:3] for call in calls] == [(q.table, q.tasks, q.split) for q in questions]
    assert calls[0][3] == {"setup": "agents, top 10%", "methods": STANDARD, "unknown_compute": True, "draws": 7}
    assert told[0] == "1 of 3: agents, top 10%, agentboard (best 10% on agentboard)"
    assert result.cells["task"].tolist() == ["agentboard", "agentbench", "agentboard"]
    assert result.problems == ("slow",)


def test_the_frontier_suite_hides_what_came_later_and_reveals_what_it_says():
    questions = suites.suite("frontier")
    released, vintage = questions[:3], questions[3:6]
    assert [q.split.as_of for q in released] == [q.split.as_of for q in vintage] == list(suites.FRONTIER_DATES)
    table = questions[0].table
    for q in released + vintage:
        seen = q.split.masked(table.matrix(table.benchmark_names)).notna()
        dates = table.models["date"]
        assert not seen[(dates >= q.split.as_of) & (dates != "")].to_numpy().any()
        assert (seen[list(q.tasks)].sum() >= 3).all()
    assert len(vintage[0].split.cells) > 0 and not released[0].split.cells
    for q, k in zip(questions[6:9], suites.REVEALED, strict=True):
        seen = q.split.masked(table.matrix(table.benchmark_names)).notna()
        new = table.models.index[table.models["date"] >= "2025-11-01"]
        scored = table.matrix(table.benchmark_names).loc[new].notna().sum(axis=1)
        assert (seen.loc[new].sum(axis=1) == scored.clip(upper=k)).all()
    assert 0.08 < len(questions[9].split.cells) / len(table.scores) < 0.12
