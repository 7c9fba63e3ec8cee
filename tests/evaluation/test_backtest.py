"""Backtests: the right cells, hidden scores without influence, files, and the published suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, Split, split_by_flops, split_models
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation import backtest as module
from bayes_obscaling.evaluation.backtest import OURS, Backtest, Question, backtest, run_suite, suite
from bayes_obscaling.evaluation.baselines import BASELINES
from bayes_obscaling.models.capability import CapabilitySpec
from bayes_obscaling.results.summaries import QUANTILES

CUTOFF = 10**22.6  # 13 models are at or below it, 11 above
TASKS = ["task-0", "task-1"]
METHODS = ("compute", "pc-3", "family-logistic")
FIRST = ["setup", "task", "method", "model", "family", "flops", "distance", "observed"]
SUMMARIES = ["mean", "median", "sd", *(f"q{level:g}" for level in QUANTILES)]
SCORES = ["crps", "log_score", "pit"]
Run = Callable[..., Backtest]


@pytest.fixture(scope="module")
def run(simulation, tiny_spec: CapabilitySpec, cache_folder: Path) -> Run:
    """Backtest the simulated table with few draws; the capabilities are sampled once."""

    def run(split: Split, table: ScoreTable = simulation.table, tasks: Any = TASKS, **changes: Any) -> Backtest:
        options = {"spec": tiny_spec, "chains": 2, "draws": 100, "seed": 5, "cache": cache_folder, "methods": METHODS}
        return backtest(table, tasks, split, **(options | changes))

    return run


@pytest.fixture(scope="module")
def done(run: Run, simulation) -> Backtest:
    return run(split_by_flops(simulation.table, CUTOFF), thresholds=(0.0, 0.5, 1.01))


def changed(table: ScoreTable, models: tuple[str, ...], names: list[str], factor: float = 0.98) -> ScoreTable:
    """The table with lower scores of these models."""
    scores = table.scores
    hit = scores["model"].isin(models) & scores["benchmark"].isin(names)
    assert hit.sum() == len(models) * len(names)
    scores.loc[hit, "score"] *= factor
    return ScoreTable(table.models, table.benchmarks, scores)


# Cells


def test_one_cell_a_task_method_and_held_out_model(done: Backtest, simulation):
    cells, models = done.cells, simulation.table.models
    held_out = list(models.index[models["flops"] > CUTOFF * 1.001])
    assert len(held_out) == 11
    assert len(cells) == 2 * 4 * 11
    for (_, method), group in cells.groupby(["task", "method"]):
        assert list(group["model"]) == held_out, method
    assert set(cells["method"]) == {OURS, *METHODS}
    assert list(cells)[:8] == FIRST
    assert list(cells)[8:22] == [*SUMMARIES, *SCORES]
    assert (cells["setup"] == "flops<=3.98e+22").all()
    assert list(cells["family"]) == list(models.loc[cells["model"], "family"])


def test_observed_scores_and_distances_are_those_of_the_table(done: Backtest, simulation):
    cells, table = done.cells, simulation.table
    wide = table.matrix(TASKS)
    assert list(cells["observed"]) == [wide.loc[m, t] for m, t in zip(cells["model"], cells["task"], strict=True)]
    assert list(cells["flops"]) == list(table.models.loc[cells["model"], "flops"])
    np.testing.assert_allclose(cells["distance"], np.log10(cells["flops"] / CUTOFF))
    assert cells["distance"].between(0.1, 1.7).all()
    assert cells.loc[cells["model"] == "family-5-3", "distance"].to_numpy() == pytest.approx(1.6)


def test_scores_belong_to_the_forecasts(done: Backtest):
    cells = done.cells
    assert cells[[*SUMMARIES, *SCORES]].notna().all(axis=None)
    assert (np.diff(cells[["q2.5", "q25", "q75", "q97.5"]], axis=1) >= 0).all()
    assert cells[SUMMARIES[3:]].min(axis=None) >= 0
    assert cells[SUMMARIES[3:]].max(axis=None) <= 1
    ours = cells[cells["method"] == OURS]
    inside = ours["observed"].between(ours["q5"], ours["q95"], inclusive="neither")
    assert ((ours["pit"] > 0.04) & (ours["pit"] < 0.96))[inside].all()
    assert ours["median"].sub(ours["observed"]).abs().mean() < 0.1  # it was drawn from this model
    assert cells.loc[cells["method"] == "compute", "median"].sub(0.5).abs().max() < 0.5
    # 100 draws have not converged, and say so; least squares have nothing to converge.
    assert not ours["converged"].any()
    assert (ours["rhat"] > 1.01).all()
    assert ours["ess_bulk"].between(1, 400).all()
    assert (ours["divergences"] >= 0).all()
    assert cells.loc[cells["method"] != OURS, "converged"].all()
    assert cells.loc[cells["method"] != OURS, ["rhat", "ess_bulk", "ess_tail", "divergences"]].isna().all(axis=None)
    assert all(problem.startswith("flops<=3.98e+22: ") for problem in done.problems)
    assert len(done.problems) > 0


def test_probabilities_of_reaching_a_threshold(done: Backtest):
    ours = done.cells["method"] == OURS
    assert done.cells.loc[~ours, ["p_above_0", "p_above_0.5", "p_above_1.01"]].isna().all(axis=None)
    mine = done.cells[ours]
    assert (mine["p_above_0"] == 1).all()
    assert (mine["p_above_1.01"] == 0).all()
    assert (mine.loc[mine["q10"] > 0.5, "p_above_0.5"] >= 0.9).all()
    assert (mine.loc[mine["q90"] < 0.5, "p_above_0.5"] <= 0.1).all()
    assert mine["p_above_0.5"].between(0.1, 0.9).any()


def test_tables_of_scores(done: Backtest):
    table = done.scores()
    assert table["n"].tolist() == [11] * 8
    mine = done.cells[(done.cells["method"] == OURS) & (done.cells["task"] == "task-1")]
    row = table[(table["method"] == OURS) & (table["task"] == "task-1")].iloc[0]
    assert row["crps"] == pytest.approx(mine["crps"].mean())
    assert row["coverage_90"] == pytest.approx(mine["observed"].between(mine["q5"], mine["q95"]).mean())
    far = done.by_distance().set_index(["decades", "method"])["n"]
    assert list(far.index.get_level_values(0).unique()) == ["up to 0.5", "0.5 to 1", "more than 1"]
    assert far.xs(OURS, level="method").to_dict() == {"up to 0.5": 6, "0.5 to 1": 8, "more than 1": 8}
    differences = done.differences(["task"]).set_index(["method", "task"])
    assert differences["n"].tolist() == [11] * 6
    assert (differences["families"] == 6).all()
    scores = table.set_index(["method", "task"])["crps"]
    assert differences.loc[("pc-3", "task-0"), "difference"] == pytest.approx(
        scores[OURS, "task-0"] - scores["pc-3", "task-0"]
    )


def test_models_of_unknown_distance_have_a_row_of_their_own(done: Backtest):
    cells = done.cells.copy()
    cells.loc[cells["model"] == "family-5-3", "distance"] = np.nan
    far = Backtest(cells).by_distance().set_index(["decades", "method"])["n"]
    assert far["unknown", OURS] == 2
    assert far.index[-1][0] == "unknown"
    assert far.sum() == len(cells)


# What is hidden


def test_hidden_task_scores_change_their_own_scoring_alone(done: Backtest, run: Run, simulation):
    split = split_by_flops(simulation.table, CUTOFF)
    other = run(split, changed(simulation.table, split.held_out, ["task-0"]), thresholds=(0.0, 0.5, 1.01))
    same = [name for name in done.cells if name not in ("observed", *SCORES)]
    pd.testing.assert_frame_equal(other.cells[same], done.cells[same], check_exact=True)
    asked = done.cells["task"] == "task-0"
    assert (other.cells.loc[asked, "observed"] == 0.98 * done.cells.loc[asked, "observed"]).all()
    assert (other.cells.loc[asked, "crps"] != done.cells.loc[asked, "crps"]).all()
    pd.testing.assert_frame_equal(other.cells[~asked], done.cells[~asked], check_exact=True)


def test_seen_scores_do_have_influence(done: Backtest, run: Run, simulation):
    split = split_by_flops(simulation.table, CUTOFF)
    other = run(split, changed(simulation.table, ("family-0-1",), ["task-0"], 0.7))
    assert (other.cells["observed"] == done.cells["observed"]).all()
    asked = done.cells["task"] == "task-0"
    assert (other.cells.loc[asked, "q5"] != done.cells.loc[asked, "q5"]).mean() > 0.9


@pytest.fixture(scope="module")
def from_compute(run: Run, simulation) -> Backtest:
    return run(split_by_flops(simulation.table, CUTOFF, "all"), tasks="task-0", setup="from compute")


def test_forecasts_from_compute_are_wider_and_have_no_components(done: Backtest, from_compute: Backtest):
    one = from_compute
    assert set(one.cells["method"]) == {OURS, "compute", "family-logistic"}  # components need benchmarks
    assert (one.cells["setup"] == "from compute").all()
    assert len(one.cells) == 3 * 11
    width, benchmarks = (
        (cells["q95"] - cells["q5"])[(cells["method"] == OURS) & (cells["task"] == "task-0")].mean()
        for cells in (one.cells, done.cells)
    )
    assert width > 1.2 * benchmarks


@pytest.mark.slow
def test_forecasts_from_compute_read_no_score_of_held_out_models(from_compute: Backtest, run: Run, simulation):
    one, split = from_compute, split_by_flops(simulation.table, CUTOFF, "all")
    names = list(simulation.table.benchmarks.index)
    two = run(split, changed(simulation.table, split.held_out, names), tasks="task-0", setup="from compute")
    same = [name for name in one.cells if name not in ("observed", *SCORES)]
    pd.testing.assert_frame_equal(two.cells[same], one.cells[same], check_exact=True)
    assert not (two.cells["observed"] == one.cells["observed"]).any()


def test_a_split_without_cutoff_counts_distance_from_the_models_leaned_on(run: Run, simulation):
    split = split_models(simulation.table, ["family-0-0", "family-2-1", "family-5-3"])
    # 16 of 24 models are seen, so that no other sampler need be compiled.
    upper = [m for m in simulation.table.models.index if m.endswith("-2")][1:]
    split = Split(split.name, (*split.held_out, *upper))
    cells = run(split, methods=("mean",)).cells
    assert len(cells) == 2 * 2 * 8
    distance = cells.drop_duplicates("model").set_index("model")["distance"]
    assert distance["family-0-0"] == pytest.approx(-0.16)  # family-1-0 is the smallest seen
    assert distance["family-2-1"] == 0
    assert distance["family-5-3"] == pytest.approx(0.16)  # family-4-3 is the largest seen


def unknown(table: ScoreTable, *models: str) -> ScoreTable:
    facts = table.models
    facts.loc[list(models), "flops"] = np.nan
    return ScoreTable(facts, table.benchmarks, table.scores)


def test_models_of_unknown_compute_are_not_judged_when_asked(run: Run, simulation):
    table = unknown(simulation.table, "family-0-3")
    only = split_models(table, ["family-0-3"])
    for split, judged in ((only, False), (Split(only.name, only.held_out, "all"), True)):
        with pytest.raises(InputError, match=r"^No held-out model has a score on task-0 to compare with"):
            run(split, table, unknown_compute=judged)


@pytest.mark.slow
def test_models_of_unknown_compute_are_judged_without_a_distance(run: Run, simulation):
    table = unknown(simulation.table, "family-0-3")
    split = split_by_flops(table, CUTOFF)
    with_them = run(split, table, methods=("mean", "compute")).cells
    mine = with_them[with_them["model"] == "family-0-3"]
    assert list(mine["method"]) == [OURS, "mean"] * 2  # a curve in compute has nothing to say of it
    assert mine["distance"].isna().all()
    without = run(split, table, methods=("mean", "compute"), unknown_compute=False).cells
    assert len(without) == 2 * 3 * 10
    pd.testing.assert_frame_equal(
        without, with_them[with_them["model"] != "family-0-3"].reset_index(drop=True), check_exact=True
    )


# What is refused


@pytest.mark.parametrize(
    ("tasks", "held_out", "changes", "sentence"),
    [
        ("task-0", ("family-0-3",), {"methods": ["pc-3", "pc-9"]}, "There is no baseline 'pc-9': choose from mean, "),
        ("task-0", (), {}, r"No held-out model has a score on task-0 to compare with \(mine\): lower the cutoff"),
        ("task-9", ("family-0-3",), {}, "there is no benchmark or task 'task-9'"),
        ([], ("family-0-3",), {}, "No task was named"),
        ("task-0", ("family-9-9",), {}, "family-9-9"),
    ],
)
def test_refusals(run: Run, tasks: Any, held_out: tuple[str, ...], changes: dict[str, Any], sentence: str):
    with pytest.raises(InputError, match=sentence):
        run(Split("mine", held_out), tasks=tasks, **changes)


def test_a_task_whose_held_out_models_have_no_score_is_named(run: Run, simulation):
    scores = simulation.table.scores
    split = split_by_flops(simulation.table, CUTOFF)
    kept = scores[~(scores["model"].isin(split.held_out) & (scores["benchmark"] == "task-1"))]
    table = ScoreTable(simulation.table.models, simulation.table.benchmarks, kept)
    with pytest.raises(InputError, match=r"^No held-out model has a score on task-1 .*\(flops<=3.98e\+22\)"):
        run(split, table)


def test_a_task_named_twice_is_one_task(done: Backtest, run: Run, simulation):
    cells = run(split_by_flops(simulation.table, CUTOFF), tasks=["task-0", "TASK-0", "task-1"]).cells
    pd.testing.assert_frame_equal(cells, done.cells[list(cells)], check_exact=True)


# Files


def test_saved_tables_read_back(done: Backtest, tmp_path: Path):
    paths = done.save(tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["cells.csv", "scores.csv"]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["cells.csv", "scores.csv"]
    cells, scores = (pd.read_csv(path) for path in paths)
    pd.testing.assert_frame_equal(cells, done.cells, check_dtype=False, rtol=1e-12)
    pd.testing.assert_frame_equal(scores, done.scores(), check_dtype=False, rtol=1e-12)
    assert list(scores)[:8] == ["setup", "task", "method", "n", "mae", "medae", "crps", "log_score"]
    assert {f"{what}_{level}" for what in ("interval_score", "coverage", "width") for level in (50, 80, 90, 95)} < set(
        scores
    )
    pd.testing.assert_frame_equal(Backtest(cells).scores(), done.scores(), check_dtype=False, rtol=1e-12)


def test_a_folder_that_cannot_be_written_is_named(done: Backtest, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/x cannot be written .*: give another folder"):
        done.save(tmp_path / "file" / "x")


def test_joined_backtests_keep_all_cells_and_each_problem_once(done: Backtest):
    other = Backtest(done.cells.assign(setup="other"), (done.problems[0], "other: one more"))
    both = Backtest.join([done, other])
    assert len(both.cells) == 2 * len(done.cells)
    assert both.cells.index.is_unique
    assert both.problems == (*done.problems, "other: one more")
    assert len(both.scores()) == 16
    assert both.differences()["n"].tolist() == [44] * 3


# Suites


def test_the_published_suite_asks_what_the_paper_asks():
    questions = suite("published")
    by_setup: dict[str, list[Question]] = {}
    for question in questions:
        by_setup.setdefault(question.setup, []).append(question)
        assert question.methods == tuple(BASELINES)
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
    assert [q.setup for q in questions] == [
        "D1 largest of each family", "D2 all but the smallest", *["D3 whole families"] * 3
    ]  # fmt: skip
    assert [len(q.split.held_out) for q in questions[:2]] == [19, 51]
    assert all(q.split.hides == "all" and len(q.tasks) == 8 and not q.unknown_compute for q in questions)
    known = questions[0].table.models["flops"].dropna().index
    whole = [m for q in questions[2:] for m in q.split.held_out]
    assert sorted(whole) == sorted(known)  # each model of known compute once
    for q in questions[2:]:
        families = q.table.models.loc[list(q.split.held_out), "family"]
        rest = q.table.models.drop(index=list(q.split.held_out))
        assert not set(families) & set(rest["family"])
    with pytest.raises(InputError, match="There is no suite 'paper': choose published, from-compute or below-cutoff"):
        suite("paper")


def test_the_suite_below_the_cutoff_sees_and_judges_nothing_above_it():
    questions = suite("below-cutoff")
    assert [q.setup for q in questions] == 2 * (["leave-future-out"] * 3 + ["families left out"] * 4)
    for q in questions:
        flops = q.table.models["flops"]
        assert set(flops.index[~(flops <= q.up_to * (1 + 1e-9))]) <= set(q.split.held_out)
        judged = [model for model in q.split.held_out if flops[model] <= q.up_to]
        assert len(judged) >= 3
    folds = [q for q in questions if q.setup == "families left out" and q.up_to == 8.4e22]
    once = [model for q in folds for model in q.split.held_out if q.table.models.at[model, "flops"] <= q.up_to]
    assert len(once) == len(set(once)) == (folds[0].table.models["flops"] <= 8.4e22 * (1 + 1e-9)).sum()


def test_running_a_suite_passes_on_what_is_asked(monkeypatch: pytest.MonkeyPatch):
    calls: list[tuple[Any, ...]] = []

    def fake(table: ScoreTable, tasks: tuple[str, ...], split: Split, **options: Any) -> Backtest:
        calls.append((table, tasks, split, options))
        return Backtest(pd.DataFrame({"setup": [options["setup"]], "task": tasks[0]}), ("slow",))

    monkeypatch.setattr(module, "backtest", fake)
    questions, told = suite("published")[-3:], []
    result = run_suite(questions, tell=told.append, draws=7)
    assert [call[:3] for call in calls] == [(q.table, q.tasks, q.split) for q in questions]
    assert calls[0][3] == {
        "setup": "agents, top 10%", "methods": tuple(BASELINES), "unknown_compute": True, "draws": 7
    }  # fmt: skip
    assert told[0] == "1 of 3: agents, top 10%, agentboard (best 10% on agentboard)"
    assert result.cells["task"].tolist() == ["agentboard", "agentbench", "agentboard"]
    assert result.problems == ("slow",)
