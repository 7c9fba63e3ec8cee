"""The cutoff study: what it asks, what it stores, and that it comes to the same table however it is run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, Split, split_by_flops
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation import cutoff_study as module
from bayes_obscaling.evaluation.backtest import OURS, Backtest, backtest
from bayes_obscaling.evaluation.cutoff_study import CutoffStudy, cutoff_study
from bayes_obscaling.evaluation.scoring import score_draws
from bayes_obscaling.inference.executor import connect, local_processes
from bayes_obscaling.inference.fitting import fit, sample_capabilities
from bayes_obscaling.models.capability import CapabilitySpec

CUTOFFS = (10**22.6, 10**22.0, 10**22.3)  # 13, 8 and 10 of 24 models are at or below
HELD_OUT = {10**22.0: 16, 10**22.3: 14, 10**22.6: 11}
TASKS = ["task-0", "task-1"]
METHODS = ("mean", "compute")
Run = Callable[..., CutoffStudy]


@pytest.fixture(scope="module")
def run(simulation, tiny_spec: CapabilitySpec, cache_folder: Path) -> Run:
    """A study of the simulated table with few draws; the capabilities are sampled once for all tests."""

    def run(folder: Path, table: ScoreTable = simulation.table, tasks: Any = TASKS, **changes: Any) -> CutoffStudy:
        options = {
            "cutoffs": CUTOFFS, "specs": {"tiny": tiny_spec}, "methods": METHODS, "chains": 2, "draws": 100, "seed": 5,
            "cache": cache_folder,
        }  # fmt: skip
        return cutoff_study(table, tasks, folder=folder, **(options | changes))

    return run


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def done(run: Run, stored: Path) -> CutoffStudy:
    """The study that all others are compared with: three fits, one after the other."""
    return run(stored)


@pytest.fixture
def copy(stored: Path, done: CutoffStudy, tmp_path: Path) -> Path:
    """What the finished study stored, to spoil."""
    assert done.resumed == 0
    return Path(shutil.copytree(stored, tmp_path / "copy"))


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The cutoffs that are fitted, in order."""
    seen: list[float] = []

    def counted(table: ScoreTable, tasks: Any, split: Split, **options: Any) -> Backtest:
        assert split.cutoff is not None
        seen.append(split.cutoff)
        return backtest(table, tasks, split, **options)

    monkeypatch.setattr(module, "backtest", counted)
    return seen


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Instead of fits: cells with forecasts out of the blue, and what was asked."""
    calls: list[Any] = []

    def backtest(table: ScoreTable, tasks: Sequence[str], split: Split, **options: Any) -> Backtest:
        calls.append((tuple(tasks), split, options))
        models = table.models.loc[list(split.held_out)]
        rng = np.random.default_rng(len(split.held_out))
        parts = []
        for task in tasks:
            observed = table.matrix([task]).loc[models.index, task].dropna()
            facts = models.loc[observed.index, ["family", "flops"]].reset_index()
            for method in (OURS, *options["methods"]):
                frame = facts.assign(setup=split.name, task=task, method=method, observed=observed.to_numpy())
                frame["distance"] = np.log10(frame["flops"] / split.cutoff)
                draws = rng.uniform(0, 1, (len(frame), 50))
                parts.append(pd.concat([frame, score_draws(draws, frame["observed"].to_numpy())], axis=1))
        return Backtest(pd.concat(parts, ignore_index=True), (f"{split.name}: odd",))

    monkeypatch.setattr(module, "backtest", backtest)
    return calls


def assert_same(one: CutoffStudy, other: CutoffStudy) -> None:
    assert one.failures == other.failures == {}
    pd.testing.assert_frame_equal(one.cells, other.cells, check_exact=True)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def without_scores(table: ScoreTable, task: str, models: Sequence[str]) -> ScoreTable:
    scores = table.scores
    return ScoreTable(
        table.models, table.benchmarks, scores[~((scores["benchmark"] == task) & scores["model"].isin(models))]
    )


# What is asked


def test_one_cell_a_cutoff_task_method_and_held_out_model(done: CutoffStudy, stored: Path, simulation):
    cells = done.cells
    assert len(cells) == sum(HELD_OUT.values()) * len(TASKS) * (1 + len(METHODS))
    assert not cells.duplicated(["spec", "cutoff", "task", "method", "model"]).any()
    assert cells["cutoff"].unique().tolist() == sorted(CUTOFFS)
    sizes = cells.groupby(["cutoff", "task", "method"])["model"].nunique().unstack([1, 2])
    for cutoff, held_out in HELD_OUT.items():
        assert (sizes.loc[cutoff] == held_out).all()
    assert set(cells["spec"]) == {"tiny"}
    assert (cells["flops"] > cells["cutoff"]).all()
    np.testing.assert_allclose(cells["distance"], np.log10(cells["flops"] / cells["cutoff"]))
    wide = simulation.table.matrix(TASKS)
    assert list(cells["observed"]) == [wide.loc[m, t] for m, t in zip(cells["model"], cells["task"], strict=True)]
    assert (done.resumed, done.failures) == (0, {})
    assert len(files(stored)) == 3
    assert all(note.startswith("tiny, flops<=") for note in done.notes)  # short chains have not converged


def test_a_study_is_the_backtests_of_its_cutoffs(done: CutoffStudy, simulation, tiny_spec, cache_folder: Path):
    one = backtest(
        simulation.table, TASKS, split_by_flops(simulation.table, 10**22.3), methods=METHODS,
        thresholds=(0.25, 0.5, 0.75), spec=tiny_spec, chains=2, draws=100, seed=5, cache=cache_folder,
    )  # fmt: skip
    mine = done.cells[done.cells["cutoff"] == 10**22.3].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine[list(one.cells)], one.cells, check_exact=True)


def test_the_results_answer_the_questions_of_a_study(done: CutoffStudy):
    path = done.trajectory("task-0", "family-5-3")
    assert path["cutoff"].tolist() == sorted(CUTOFFS)
    assert path["distance"].tolist() == pytest.approx([2.2, 1.9, 1.6])
    early = done.emergence("task-1", 0.5)
    assert len(early) == sum(HELD_OUT.values())
    assert early["probability"].between(0, 1).all()
    assert (early["passed"] == (early["observed"] >= 0.5)).all()
    assert done.error_area()["cutoffs"].tolist() == [3] * 6
    areas = done.error_area().set_index(["task", "method"])["area"]
    assert (areas.xs(OURS, level="method") < areas.xs("mean", level="method")).all()
    assert done.by_distance()["n"].sum() == len(done.cells)
    assert done.backtest().differences()["n"].tolist() == [2 * sum(HELD_OUT.values())] * 2


def test_a_cutoff_that_a_task_cannot_answer_is_noted(fake: list[Any], run: Run, simulation, tmp_path: Path):
    models = simulation.table.models
    table = without_scores(simulation.table, "task-1", models.index[models["flops"] <= 10**22.1])
    study = run(tmp_path, table)
    assert study.notes[0] == "task-1 has no score at or below 1e+22 FLOPs."
    assert [call[0] for call in fake] == [("task-0",), ("task-0", "task-1"), ("task-0", "task-1")]
    assert study.cells.groupby("task")["cutoff"].nunique().to_dict() == {"task-0": 3, "task-1": 2}
    assert not any(call[2]["unknown_compute"] for call in fake)

    table = without_scores(simulation.table, "task-1", models.index[models["flops"] > 10**22.5])
    study = run(tmp_path, table)
    assert study.notes[0] == "task-1 has no score above 3.98e+22 FLOPs to compare with."
    assert study.cells.groupby("task")["cutoff"].nunique().to_dict() == {"task-0": 3, "task-1": 2}


@pytest.mark.usefixtures("fake")
def test_a_cutoff_beyond_all_models_is_noted(run: Run, tmp_path: Path):
    study = run(tmp_path, cutoffs=[10**22.3, 1e26])
    assert study.cells["cutoff"].unique().tolist() == [10**22.3]
    assert study.notes[:2] == tuple(f"{task} has no score above 1e+26 FLOPs to compare with." for task in TASKS)
    with pytest.raises(InputError, match=r"^There is nothing to study: task-0 has no score above"):
        run(tmp_path, cutoffs=[1e26])


@pytest.mark.usefixtures("fake")
def test_a_cutoff_below_all_models_is_noted(run: Run, tmp_path: Path):
    study = run(tmp_path, cutoffs=[1e20, 10**22.3])
    assert study.cells["cutoff"].unique().tolist() == [10**22.3]
    assert any("1e+20" in note for note in study.notes)


@pytest.mark.usefixtures("fake")
def test_cutoffs_between_the_same_models_are_told_apart(run: Run, tmp_path: Path):
    # No model has 10 ** 22.30 to 10 ** 22.43 FLOPs.
    study = run(tmp_path, cutoffs=[10**22.3, 10**22.4])
    assert study.cells["cutoff"].unique().tolist() == [10**22.3, 10**22.4]
    again = run(tmp_path, cutoffs=[10**22.35]).cells
    np.testing.assert_allclose(again["distance"], np.log10(again["flops"] / 10**22.35))
    assert set(again["setup"]) == {"flops<=2.24e+22"}


def test_what_differs_is_stored_apart(fake: list[Any], run: Run, tiny_spec: CapabilitySpec, tmp_path: Path):
    one = {"cutoffs": [10**22.3]}
    run(tmp_path, **one)
    other = tiny_spec.model_copy(update={"predictive_sd": 0.02})
    for number, change in enumerate(
        [
            {"seed": 6}, {"draws": 150}, {"chains": 3}, {"methods": ("mean",)}, {"thresholds": (0.5,)},
            {"hides": "all"}, {"specs": {"tiny": other}}, {"tasks": "task-0"},
        ],
        start=2,
    ):  # fmt: skip
        assert run(tmp_path, **one, **change).resumed == 0, change
        assert len(files(tmp_path)) == number
    assert run(tmp_path, **one).resumed == 1
    assert run(tmp_path, **one, specs={"tiny": tiny_spec, "loose": other}).resumed == 2
    assert len(fake) == 9


@pytest.mark.usefixtures("fake")
def test_specs_are_compared_side_by_side(run: Run, tiny_spec: CapabilitySpec, tmp_path: Path):
    specs = {"tiny": tiny_spec, "loose": tiny_spec.model_copy(update={"predictive_sd": 0.02})}
    study = run(tmp_path, cutoffs=[10**22.3], specs=specs)
    assert study.cells["spec"].unique().tolist() == ["tiny", "loose"]
    table = study.scores()
    assert table[["spec", "task", "method"]].drop_duplicates().shape[0] == 2 * 2 * 3
    assert (table["n"] == 14).all()
    assert study.notes == ("tiny, flops<=2e+22: odd", "loose, flops<=2e+22: odd")


@pytest.mark.usefixtures("fake")
def test_a_spec_under_two_names_has_cells_of_both(run: Run, tiny_spec, tmp_path: Path):
    study = run(tmp_path, cutoffs=[10**22.3], specs={"one": tiny_spec, "two": tiny_spec})
    assert sorted(study.cells["spec"].unique()) == ["one", "two"]


@pytest.mark.usefixtures("fake")
def test_differences_between_specs_pair_each_with_its_own(run: Run, tiny_spec, tmp_path: Path):
    specs = {"tiny": tiny_spec, "loose": tiny_spec.model_copy(update={"predictive_sd": 0.02})}
    study = run(tmp_path, cutoffs=[10**22.3], specs=specs, methods=("mean",))
    cells = study.cells
    lacking = (cells["spec"] == "tiny") & (cells["method"] == "mean") & (cells["model"] == "family-5-3")
    study = CutoffStudy(cells[~lacking], {}, (), 0)
    assert study.backtest().differences()["n"].item() == 2 * (14 + 13)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cutoffs": []}, "A study needs at least one task, one cutoff and one spec"),
        ({"specs": {}}, "A study needs at least one task, one cutoff and one spec"),
        ({"tasks": []}, "A study needs at least one task, one cutoff and one spec"),
        ({"tasks": "task-9"}, "there is no benchmark or task 'task-9'"),
        ({"cutoffs": [-1.0]}, "The cutoff is -1.0 FLOPs: give a positive number"),
        ({"methods": ["pc-9"]}, "There is no baseline 'pc-9': choose from"),
        ({"chains": 1}, "cannot be checked for convergence"),
        ({"hides": "nothing"}, "A split hides 'task' or 'all'"),
    ],
)
def test_refusals(run: Run, tmp_path: Path, changes: dict[str, Any], sentence: str):
    with pytest.raises(InputError, match=sentence):
        run(tmp_path / "results", **changes)
    assert not (tmp_path / "results").exists()


def test_a_folder_that_cannot_be_made_is_named_before_any_fit(fake: list[Any], run: Run, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="name another folder"):
        run(tmp_path / "file" / "results")
    assert fake == []


@pytest.mark.usefixtures("fake")
def test_a_fit_that_fails_is_among_the_failures(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    works = module.backtest

    def fails(table: ScoreTable, tasks: Any, split: Split, **options: Any) -> Backtest:
        if split.cutoff == 10**22.3:
            raise FloatingPointError("no luck")
        return works(table, tasks, split, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, "backtest", fails)
        study = run(tmp_path)
    assert study.failures == {"tiny, cutoff 2e+22": "FloatingPointError: no luck"}
    assert study.cells["cutoff"].unique().tolist() == [10**22.0, 10**22.6]
    assert "FloatingPointError: no luck" in study.backtest().problems
    mended = run(tmp_path)
    assert (mended.failures, mended.resumed) == ({}, 2)
    assert mended.cells["cutoff"].unique().tolist() == sorted(CUTOFFS)


# What is stored


def test_a_finished_study_is_not_fitted_again(done: CutoffStudy, copy: Path, run: Run, monkeypatch: pytest.MonkeyPatch):
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(module, "backtest", never)
    monkeypatch.setattr(module, "sample_capabilities", never)
    told: list[Any] = []
    for executor in (None, never):
        again = run(copy, executor=executor, progress=lambda *a: told.append(a))
        assert again.resumed == 3
        assert again.notes == done.notes
        assert_same(again, done)
    assert told == []
    assert run(copy, cutoffs=CUTOFFS[:1]).resumed == 1  # a part of it
    assert run(copy, cutoffs=CUTOFFS[::-1]).resumed == 3


def test_a_lost_file_is_fitted_again_alone(done: CutoffStudy, copy: Path, run: Run, count: list[float]):
    files(copy)[1].unlink()
    again = run(copy)
    assert again.resumed == 2
    assert len(count) == 1
    assert_same(again, done)
    assert len(files(copy)) == 3


def test_a_damaged_file_is_made_anew(done: CutoffStudy, copy: Path, run: Run, count: list[float]):
    cut_short, changed, whole = files(copy)
    text = cut_short.read_text()
    cut_short.write_text(text[: len(text) // 2])
    changed.write_text(changed.read_text().replace("family-5-3", "family-5-2", 1))
    before = whole.stat().st_mtime_ns
    again = run(copy)
    assert (again.resumed, len(count)) == (1, 2)
    assert_same(again, done)
    assert set(done.notes) < set(again.notes)
    damaged = [note for note in again.notes if "was damaged and is made anew" in note]
    assert len(damaged) == 2
    assert cut_short.read_text() == text
    assert whole.stat().st_mtime_ns == before


def test_an_interrupted_study_goes_on_where_it_stopped(done: CutoffStudy, run: Run, count: list[float], tmp_path: Path):
    told: list[Any] = []

    def interrupt(*news: Any) -> None:
        told.append(news)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, progress=interrupt)
    assert told == [("tiny, cutoff 1e+22", 1, 3)]
    assert len(files(tmp_path)) == 1
    again = run(tmp_path, progress=lambda *news: told.append(news))
    assert told[1:] == [("tiny, cutoff 2e+22", 2, 3), ("tiny, cutoff 3.98e+22", 3, 3)]
    assert again.resumed == 1
    assert count == sorted(CUTOFFS)
    assert_same(again, done)


# Where it runs


@pytest.mark.usefixtures("fake")
def test_a_task_without_any_score_is_noted_wherever_it_runs(run: Run, simulation, tmp_path: Path):
    table = without_scores(simulation.table, "task-1", list(simulation.table.models.index))
    here = run(tmp_path / "here", table)
    assert here.notes[0] == "task-1 has no score at or below 1e+22 FLOPs."
    with ThreadPoolExecutor(1) as pool:
        assert_same(run(tmp_path / "there", table, executor=pool), here)


@pytest.mark.slow
def test_local_processes_give_the_same_table(done: CutoffStudy, run: Run, tmp_path: Path):
    assert_same(run(tmp_path, executor=partial(local_processes, 2)), done)


@pytest.mark.slow
def test_workers_need_no_cache_of_this_process(done: CutoffStudy, run: Run, tmp_path: Path):
    study = run(tmp_path / "results", cache=tmp_path / "cache", executor=partial(local_processes, 2))
    assert_same(study, done)
    assert len(list((tmp_path / "cache").glob("*.npz"))) == 1  # sampled once, before the workers started


@pytest.fixture
def scheduler() -> Iterator[str]:
    """A Dask cluster of two worker processes on this machine."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_table(done: CutoffStudy, run: Run, scheduler: str, tmp_path: Path):
    assert_same(run(tmp_path, executor=partial(connect, scheduler, timeout=60)), done)


@pytest.mark.slow
def test_a_study_from_compute_resumes_too(run: Run, tmp_path: Path):
    options = {"hides": "all", "cutoffs": CUTOFFS[:2]}
    study = run(tmp_path, **options)
    assert study.failures == {}
    assert len(study.cells) == (11 + 16) * 2 * 3
    files(tmp_path)[0].unlink()
    again = run(tmp_path, **options)
    assert again.resumed == 1
    assert_same(again, study)


@pytest.mark.slow
def test_capabilities_do_not_depend_on_what_was_sampled_before(simulation, tiny_spec, tmp_path: Path):
    """A worker finds capabilities sampled for all tasks; alone, a cutoff samples those of its own tasks."""
    table = without_scores(simulation.table, "task-0", [m for m in simulation.table.models.index if m[-1] in "01"])
    facts = table.benchmarks
    facts.at["task-1", "excludes"] = ("bench-4",)
    table = ScoreTable(table.models, facts, table.scores)
    options = {"spec": tiny_spec, "chains": 2, "draws": 100, "seed": 5}
    sample_capabilities(table, TASKS, cache=tmp_path / "shared", **options)
    theta = [
        fit(table, "task-1", cutoff=10**21.9, cache=tmp_path / name, **options).draws["theta"].to_numpy()
        for name in ("alone", "shared")
    ]
    np.testing.assert_array_equal(theta[0], theta[1])


# Numbers, on cells made by hand


@pytest.fixture
def made() -> CutoffStudy:
    """Two methods, three cutoffs and two models; the baseline has nothing to say at the highest cutoff of task x."""
    rows = []
    errors = {1e21: 0.1, 1e22: 0.2, 1e24: 0.4}
    for task in ("x", "y"):
        for cutoff, error in errors.items():
            for method, factor in ((OURS, 1.0), ("mean", 2.0)):
                if (task, cutoff, method) == ("x", 1e24, "mean"):
                    continue
                for model, flops, observed in (("big", 1e25, 0.9), ("small", 3e24, 0.3)):
                    rows.append(
                        {
                            "setup": f"flops<={cutoff:.3g}", "task": task, "method": method, "model": model,
                            "family": model, "flops": flops, "distance": np.log10(flops / cutoff),
                            "observed": observed, "median": observed - factor * error, "crps": factor * error,
                            "log_score": 0.0, **dict.fromkeys(("q2.5", "q5", "q10", "q25"), 0.0),
                            **dict.fromkeys(("q75", "q90", "q95", "q97.5"), 1.0), "spec": "s", "cutoff": cutoff,
                            "p_above_0.5": error if method == OURS else np.nan,
                        }
                    )  # fmt: skip
    return CutoffStudy(pd.DataFrame(rows).sample(frac=1, random_state=1), {"s, cutoff 1e+25": "no"}, (), 0)


def test_the_error_area_is_a_trapezoid_over_shared_cutoffs(made: CutoffStudy):
    area = made.error_area().set_index(["task", "method"])
    # Log10 cutoffs 21, 22 and 24: (0.1 + 0.2) / 2 + 2 (0.2 + 0.4) / 2 = 0.75, over a length of 3.
    assert area.loc[("y", OURS), "area"] == pytest.approx(0.25)
    assert area.loc[("y", "mean"), "area"] == pytest.approx(0.5)
    assert area.loc[("x", OURS), "area"] == pytest.approx(0.15)  # only where the baseline says something too
    assert area.loc[("x", "mean"), "area"] == pytest.approx(0.3)
    assert area["cutoffs"].to_dict() == {("x", OURS): 2, ("x", "mean"): 2, ("y", OURS): 3, ("y", "mean"): 3}
    one = CutoffStudy(made.cells[made.cells["cutoff"] == 1e22], {}, (), 0).error_area()
    assert one.set_index(["task", "method"])["area"].loc[("y", "mean")] == pytest.approx(0.4)


def test_a_trajectory_runs_from_the_lowest_cutoff(made: CutoffStudy):
    path = made.trajectory("x", "big")
    assert path["cutoff"].tolist() == [1e21, 1e22, 1e24]
    assert path["median"].tolist() == pytest.approx([0.8, 0.7, 0.5])
    assert path["distance"].tolist() == pytest.approx([4, 3, 1])
    assert made.trajectory("x", "big", "mean")["cutoff"].tolist() == [1e21, 1e22]
    for question in (("z", "big"), ("x", "huge"), ("x", "big", "pc-3")):
        with pytest.raises(InputError, match=f"The study holds no forecast of {question[1]} on {question[0]}"):
            made.trajectory(*question)


def test_emergence_is_ours_and_says_who_passed(made: CutoffStudy):
    frame = made.emergence("x", 0.5).sort_values(["cutoff", "model"])
    assert list(frame) == ["spec", "cutoff", "model", "distance", "observed", "passed", "probability"]
    assert frame["passed"].tolist() == [True, False] * 3
    assert frame["probability"].tolist() == [0.1, 0.1, 0.2, 0.2, 0.4, 0.4]
    with pytest.raises(InputError, match=r"no probabilities of passing 0\.9: it has 0\.5\."):
        made.emergence("x", 0.9)


def test_scores_by_distance(made: CutoffStudy):
    table = made.by_distance(width=1.0).set_index(["distance", "method"])
    # big lies 4, 3 and 1 decades beyond the cutoffs, small 3.48, 2.48 and 0.48.
    assert table["n"].to_dict() == {
        (0.5, OURS): 2, (0.5, "mean"): 1, (1.5, OURS): 2, (1.5, "mean"): 1, (2.5, OURS): 2, (2.5, "mean"): 2,
        (3.5, OURS): 4, (3.5, "mean"): 4, (4.5, OURS): 2, (4.5, "mean"): 2,
    }  # fmt: skip
    assert table.loc[(3.5, OURS), "crps"] == pytest.approx(0.15)  # big at 1e22, small at 1e21
    cells = made.cells.assign(distance=made.cells["distance"].where(made.cells["model"] == "big"))
    assert CutoffStudy(cells, {}, (), 0).by_distance(1.0)["n"].sum() == 11  # unknown distances are left out
    assert made.by_distance(0.25, ["task", "method"])["n"].sum() == 22


def test_a_study_is_a_backtest_to_score_and_save(made: CutoffStudy, tmp_path: Path):
    table = made.scores()
    assert list(table)[:5] == ["spec", "task", "method", "cutoff", "n"]
    assert (table["n"] == 2).all()
    both = made.backtest()
    assert both.problems == ("no",)
    assert len(pd.read_csv(both.save(tmp_path)[0])) == len(made.cells)
    difference = both.differences(["task"]).set_index("task")
    assert difference["difference"].to_dict() == pytest.approx({"x": -0.15, "y": -0.7 / 3})
    assert difference["n"].to_dict() == {"x": 4, "y": 6}
