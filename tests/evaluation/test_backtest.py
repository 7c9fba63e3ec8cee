"""Backtests: the right cells, hidden scores without influence, and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.backtest import Backtest, backtest, judged_models
from bayes_obscaling.evaluation.scoring import OURS
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.summaries import QUANTILES

pytestmark = pytest.mark.usefixtures("quickly")
CUTOFF = 10**22.6  # 13 models are at or below it, 11 above
AS_OF = "2023-01-01"
TASKS = ["task-0", "task-1"]
METHODS = ("compute", "pc-3", "family-logistic")
FIRST = ["setup", "task", "method", "model", "family", "flops", "distance", "date", "months_ahead", "observed"]
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
    return run(Split.by_flops(simulation.table, CUTOFF), thresholds=(0.0, 0.5, 1.01))


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
    assert list(cells)[: len(FIRST)] == FIRST
    assert list(cells)[len(FIRST) : len(FIRST) + 14] == [*SUMMARIES, *SCORES]
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


def test_a_backtest_speaks_like_every_result(done: Backtest):
    pd.testing.assert_frame_equal(done.to_dataframe().drop(columns="cutoff"), done.scores())
    assert set(done.to_dataframe()["cutoff"]) == {CUTOFF}
    assert done.verdict == "FAIL"  # 100 draws
    assert done.sentences[0].startswith("22 forecasts: mean absolute error ")
    assert [sentence.split(",")[0] for sentence in done.sentences[1:]] == list(METHODS)
    answer = done.to_dict()
    assert answer["verdict"] == "FAIL"
    assert len(answer["table"]) == 8
    assert "Verdict: FAIL" in str(done)
    assert len(done.plot(kind="coverage").get_lines()) > 0
    assert len(done.plot(kind="distance", width=0.5)) == 3
    with pytest.raises(InputError, match="no kind of plot 'bars': choose one of forest, coverage"):
        done.plot(kind="bars")
    with pytest.raises(InputError, match="neither a cutoff nor an as-of date"):
        Backtest(done.cells.drop(columns="cutoff")).plot(kind="error")


# What is hidden


def test_hidden_task_scores_change_their_own_scoring_alone(done: Backtest, run: Run, simulation):
    split = Split.by_flops(simulation.table, CUTOFF)
    other = run(split, changed(simulation.table, split.held_out, ["task-0"]), thresholds=(0.0, 0.5, 1.01))
    same = [name for name in done.cells if name not in ("observed", *SCORES)]
    pd.testing.assert_frame_equal(other.cells[same], done.cells[same], check_exact=True)
    asked = done.cells["task"] == "task-0"
    assert (other.cells.loc[asked, "observed"] == 0.98 * done.cells.loc[asked, "observed"]).all()
    assert (other.cells.loc[asked, "crps"] != done.cells.loc[asked, "crps"]).all()
    pd.testing.assert_frame_equal(other.cells[~asked], done.cells[~asked], check_exact=True)


def test_seen_scores_do_have_influence(done: Backtest, run: Run, simulation):
    split = Split.by_flops(simulation.table, CUTOFF)
    other = run(split, changed(simulation.table, ("family-0-1",), ["task-0"], 0.7))
    assert (other.cells["observed"] == done.cells["observed"]).all()
    asked = done.cells["task"] == "task-0"
    assert (other.cells.loc[asked, "q5"] != done.cells.loc[asked, "q5"]).mean() > 0.9


@pytest.fixture(scope="module")
def from_compute(run: Run, simulation) -> Backtest:
    return run(Split.by_flops(simulation.table, CUTOFF, "all"), tasks="task-0", setup="from compute")


def test_forecasts_from_compute_are_wider_and_have_no_components(done: Backtest, from_compute: Backtest):
    one = from_compute
    assert set(one.cells["method"]) == {OURS, "compute", "family-logistic"}  # components need benchmarks
    assert (one.cells["setup"] == "from compute").all()
    assert len(one.cells) == 3 * 11
    width, benchmarks = (
        (cells["q95"] - cells["q5"])[(cells["method"] == OURS) & (cells["task"] == "task-0")].mean()
        for cells in (one.cells, done.cells)
    )
    assert width > benchmarks


@pytest.mark.slow
def test_forecasts_from_compute_read_no_score_of_held_out_models(from_compute: Backtest, run: Run, simulation):
    one, split = from_compute, Split.by_flops(simulation.table, CUTOFF, "all")
    names = list(simulation.table.benchmarks.index)
    two = run(split, changed(simulation.table, split.held_out, names), tasks="task-0", setup="from compute")
    same = [name for name in one.cells if name not in ("observed", *SCORES)]
    pd.testing.assert_frame_equal(two.cells[same], one.cells[same], check_exact=True)
    assert not (two.cells["observed"] == one.cells["observed"]).any()


def test_a_split_without_cutoff_counts_distance_from_the_models_leaned_on(run: Run, simulation):
    split = Split.of_models(simulation.table, ["family-0-0", "family-2-1", "family-5-3"])
    # 16 of 24 models are seen, so that no other sampler need be compiled.
    upper = [m for m in simulation.table.models.index if m.endswith("-2")][1:]
    split = Split(split.name, (*split.held_out, *upper))
    cells = run(split, methods=("mean",)).cells
    assert len(cells) == 2 * 2 * 8
    distance = cells.drop_duplicates("model").set_index("model")["distance"]
    assert distance["family-0-0"] == pytest.approx(-0.16)  # family-1-0 is the smallest seen
    assert distance["family-2-1"] == 0
    assert distance["family-5-3"] == pytest.approx(0.16)  # family-4-3 is the largest seen


# At a date


@pytest.fixture(scope="module")
def dated(run: Run, simulation) -> Backtest:
    """Families 0, 1, 4 and 5 came in 2021 and 2022, 2 and 3 in the years after: 16 of 24 models are seen."""
    return run(Split.by_date(simulation.table, AS_OF), methods=("mean", "pc-3"))


def test_a_backtest_at_a_date_forecasts_what_came_after(dated: Backtest, simulation):
    cells, models = dated.cells, simulation.table.models
    assert set(cells["model"]) == {f"family-{f}-{j}" for f in (2, 3) for j in range(4)}
    assert set(cells["as_of"]) == {AS_OF} and "cutoff" not in cells
    assert list(cells["date"]) == list(models.loc[cells["model"], "date"])
    days = (pd.to_datetime(cells["date"]) - pd.Timestamp(AS_OF)).dt.days
    np.testing.assert_allclose(cells["months_ahead"], days / (365.25 / 12))
    assert list(dated.to_dataframe()) == ["setup", "as_of", *list(dated.scores())[1:]]
    # compute is counted from the models leaned on, which reach as far
    assert (cells.loc[cells["flops"] < 1e24, "distance"] == 0).all()


def test_scores_by_months_ahead(dated: Backtest):
    ours = dated.by_months().query("method == 'bayes'").set_index("months")
    # family-2 came in January to April 2023 (the first three within three months), family-3 a year later
    assert ours["n"].to_dict() == {"0 to 3": 6, "3 to 6": 2, "12 or more": 8}
    first = dated.cells[(dated.cells["method"] == OURS) & (dated.cells["months_ahead"] < 3)]
    assert ours.loc["0 to 3", "crps"] == pytest.approx(first["crps"].mean())
    assert dated.by_months(("task", "method")).shape[0] == 3 * 2 * 3
    on_the_day = Backtest(dated.cells.assign(months_ahead=0.0)).by_months()
    assert set(on_the_day["months"]) == {"0 to 3"}
    unknown = Backtest(dated.cells.assign(months_ahead=np.nan)).by_months()
    assert set(unknown["months"]) == {"unknown"}
    assert dated.plot(kind="error").get_xlabel() == "as-of date"


def test_without_a_date_months_count_from_the_latest_model_seen(done: Backtest, simulation):
    models = simulation.table.models
    latest = models.loc[models["flops"] <= CUTOFF * 1.001, "date"].max()
    days = (pd.to_datetime(done.cells["date"]) - pd.Timestamp(latest)).dt.days
    np.testing.assert_allclose(done.cells["months_ahead"], days / (365.25 / 12))
    assert "before" in set(done.by_months()["months"])


def test_who_has_no_date_is_not_judged_at_one(simulation):
    facts = simulation.table.models
    facts.loc["family-2-1", "date"] = ""
    table = ScoreTable(facts, simulation.table.benchmarks, simulation.table.scores)
    split = Split.by_date(table, AS_OF)
    judged = judged_models(table, TASKS, split)
    assert "family-2-1" in split.held_out
    assert [len(models) for models in judged.values()] == [7, 7] and "family-2-1" not in judged["task-0"]


def unknown(table: ScoreTable, *models: str) -> ScoreTable:
    facts = table.models
    facts.loc[list(models), "flops"] = np.nan
    return ScoreTable(facts, table.benchmarks, table.scores)


def test_models_of_unknown_compute_are_not_judged_when_asked(run: Run, simulation):
    table = unknown(simulation.table, "family-0-3")
    only = Split.of_models(table, ["family-0-3"])
    for split, judged in ((only, False), (Split(only.name, only.held_out, only.held_out), True)):
        with pytest.raises(InputError, match=r"^No held-out model has a score on task-0 to compare with"):
            run(split, table, unknown_compute=judged)


@pytest.mark.slow
def test_models_of_unknown_compute_are_judged_without_a_distance(run: Run, simulation):
    table = unknown(simulation.table, "family-0-3")
    split = Split.by_flops(table, CUTOFF)
    with_them = run(split, table, methods=("mean", "compute")).cells
    mine = with_them[with_them["model"] == "family-0-3"]
    assert list(mine["method"]) == [OURS, "mean"] * 2  # a curve in compute has nothing to say of it
    assert mine["distance"].isna().all()
    without = run(split, table, methods=("mean", "compute"), unknown_compute=False).cells
    assert len(without) == 2 * 3 * 10
    # XLA sums in another order for another number of models: the last bit
    rest = with_them[with_them["model"] != "family-0-3"].reset_index(drop=True)
    pd.testing.assert_frame_equal(without, rest, rtol=1e-11, atol=1e-13)


# What is refused


@pytest.mark.parametrize(
    ("tasks", "held_out", "changes", "sentence"),
    [
        (
            "task-0",
            ("family-0-3",),
            {"methods": ["pc-3", "pc-9"]},
            "There is no baseline 'pc-9': did you mean pc-4, pc-3",
        ),
        ("task-0", (), {}, r"No held-out model has a score on task-0 to compare with \(mine\): lower the cutoff"),
        ("task-9", ("family-0-3",), {}, "There is no benchmark or task 'task-9'"),
        ([], ("family-0-3",), {}, "No task was named"),
        ("task-0", ("family-9-9",), {}, "family-9-9"),
    ],
)
def test_refusals(run: Run, tasks: Any, held_out: tuple[str, ...], changes: dict[str, Any], sentence: str):
    with pytest.raises(InputError, match=sentence):
        run(Split("mine", held_out), tasks=tasks, **changes)


def test_a_task_whose_held_out_models_have_no_score_is_named(run: Run, simulation):
    scores = simulation.table.scores
    split = Split.by_flops(simulation.table, CUTOFF)
    kept = scores[~(scores["model"].isin(split.held_out) & (scores["benchmark"] == "task-1"))]
    table = ScoreTable(simulation.table.models, simulation.table.benchmarks, kept)
    with pytest.raises(InputError, match=r"^No held-out model has a score on task-1 .*\(flops<=3.98e\+22\)"):
        run(split, table)


def test_a_task_named_twice_is_one_task(done: Backtest, run: Run, simulation):
    cells = run(Split.by_flops(simulation.table, CUTOFF), tasks=["task-0", "TASK-0", "task-1"]).cells
    pd.testing.assert_frame_equal(cells, done.cells[list(cells)], check_exact=True)


# Files


def test_saved_tables_read_back(done: Backtest, tmp_path: Path):
    folder = done.save(tmp_path / "new" / "folder")
    assert sorted(path.name for path in folder.iterdir()) == ["cells.csv", "scores.csv"]
    cells, scores = (pd.read_csv(folder / name) for name in ("cells.csv", "scores.csv"))
    pd.testing.assert_frame_equal(cells, done.cells, check_dtype=False, rtol=1e-12)
    pd.testing.assert_frame_equal(scores, done.to_dataframe(), check_dtype=False, rtol=1e-12)
    assert list(scores)[:9] == ["setup", "cutoff", "task", "method", "n", "mae", "medae", "crps", "log_score"]
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
