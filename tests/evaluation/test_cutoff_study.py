"""The cutoff study: what it asks, what it stores, and that it comes to the same table however it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation import cells as tables
from bayes_obscaling.evaluation.backtest import Backtest, backtest, judged_models
from bayes_obscaling.evaluation.cutoff_study import CutoffStudy, cutoff_study
from bayes_obscaling.evaluation.scoring import OURS, score_draws
from bayes_obscaling.inference.fit import fit_table, sample_capabilities
from bayes_obscaling.inference.sampler import default_sampler
from bayes_obscaling.inference.workers import connect, local_processes
from bayes_obscaling.models.spec import CapabilitySpec

pytestmark = pytest.mark.usefixtures("quickly")
module = import_module("bayes_obscaling.evaluation.cutoff_study")  # the package has a function of that name
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
            "cuts": CUTOFFS,
            "specs": {"tiny": tiny_spec},
            "methods": METHODS,
            "chains": 2,
            "draws": 100,
            "seed": 5,
            "cache": cache_folder,
        }
        return cutoff_study(table, tasks, folder=folder, **(options | changes))

    return run


@pytest.fixture(scope="module")
def done(run: Run, tmp_path_factory: pytest.TempPathFactory) -> CutoffStudy:
    """Three fits, one after the other."""
    return run(tmp_path_factory.mktemp("study"))


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
                frame["distance"] = np.log10(frame["flops"] / (split.cutoff or 1e21))
                draws = rng.uniform(0, 1, (len(frame), 50))
                parts.append(pd.concat([frame, score_draws(draws, frame["observed"].to_numpy())], axis=1))
        return Backtest(pd.concat(parts, ignore_index=True).assign(**split.cut), (f"{split.name}: odd",))

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


def test_one_cell_a_cutoff_task_method_and_held_out_model(done: CutoffStudy, simulation):
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
    assert all(note.startswith("tiny, flops<=") for note in done.notes)  # short chains have not converged


def test_a_study_is_the_backtests_of_its_cutoffs(done: CutoffStudy, simulation, tiny_spec, cache_folder: Path):
    one = backtest(
        simulation.table,
        TASKS,
        Split.by_flops(simulation.table, 10**22.3),
        methods=METHODS,
        thresholds=(0.25, 0.5, 0.75),
        spec=tiny_spec,
        chains=2,
        draws=100,
        seed=5,
        cache=cache_folder,
    )
    mine = done.cells[done.cells["cutoff"] == 10**22.3].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine[list(one.cells)], one.cells, check_exact=True)


def test_the_results_answer_the_questions_of_a_study(done: CutoffStudy):
    path = tables.trajectory(done, "task-0", "family-5-3")
    assert path["cutoff"].tolist() == sorted(CUTOFFS)
    assert np.log10(path["flops"] / path["cutoff"]).tolist() == pytest.approx([2.2, 1.9, 1.6])
    early = tables.emergence(done, "task-1", 0.5)
    assert len(early) == sum(HELD_OUT.values())
    assert early["probability"].between(0, 1).all()
    assert (early["passed"] == (early["observed"] >= 0.5)).all()
    assert done.error_area()["cutoffs"].tolist() == [3] * 6
    areas = done.error_area().set_index(["task", "method"])["area"]
    assert (areas.xs(OURS, level="method") < areas.xs("mean", level="method")).all()
    assert tables.by_distance(done)["n"].sum() == (done.cells["method"] == OURS).sum()
    assert done.backtest().differences()["n"].tolist() == [2 * sum(HELD_OUT.values())] * 2


def test_a_study_speaks_like_every_result(done: CutoffStudy, tmp_path: Path):
    pd.testing.assert_frame_equal(done.to_dataframe(), done.scores())
    assert done.problems == ("3 of 3 fits have not converged",)  # 100 draws
    assert done.verdict == "FAIL"
    assert done.sentences[0].startswith(f"{len(TASKS) * sum(HELD_OUT.values())} forecasts: ")
    assert done.to_dict()["failures"] == {}
    assert len(done.plot().get_lines()) >= 3
    assert len(done.plot(kind="trajectory", task="task-0", model="family-5-3").get_lines()) > 0
    assert sorted(path.name for path in done.save(tmp_path).glob("*.csv")) == ["cells.csv", "scores.csv"]
    nothing = CutoffStudy(pd.DataFrame(), {"tiny, cutoff 1e+22": "no luck"}, (), 0)
    assert nothing.to_dataframe().empty
    assert nothing.problems == ("tiny, cutoff 1e+22: no luck",)
    assert "Verdict: FAIL" in str(nothing)


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
def test_cutoffs_beyond_and_below_all_models_are_noted(run: Run, tmp_path: Path):
    study = run(tmp_path, cuts=[1e20, 10**22.3, 1e26])
    assert study.cells["cutoff"].unique().tolist() == [10**22.3]
    for fact in ("1e+20", "task-0 has no score above 1e+26", "task-1 has no score above 1e+26"):
        assert any(fact in note for note in study.notes)
    with pytest.raises(InputError, match="nothing to study"):
        run(tmp_path, cuts=[1e26])


@pytest.mark.usefixtures("fake")
def test_cutoffs_between_the_same_models_are_told_apart(run: Run, tmp_path: Path):
    # No model has 10 ** 22.30 to 10 ** 22.43 FLOPs.
    study = run(tmp_path, cuts=[10**22.3, 10**22.4])
    assert study.cells["cutoff"].unique().tolist() == [10**22.3, 10**22.4]
    again = run(tmp_path, cuts=[10**22.35]).cells
    np.testing.assert_allclose(again["distance"], np.log10(again["flops"] / 10**22.35))
    assert set(again["setup"]) == {"flops<=2.24e+22"}


def test_what_differs_is_stored_apart(fake: list[Any], run: Run, tiny_spec: CapabilitySpec, tmp_path: Path):
    one = {"cuts": [10**22.3]}
    run(tmp_path, **one)
    other = tiny_spec.model_copy(update={"predictive_sd": 0.02})
    for number, change in enumerate(
        [
            {"seed": 6},
            {"draws": 150},
            {"chains": 3},
            {"methods": ("mean",)},
            {"thresholds": (0.5,)},
            {"hides": "all"},
            {"specs": {"tiny": other}},
            {"tasks": "task-0"},
        ],
        start=2,
    ):
        assert run(tmp_path, **one, **change).resumed == 0, change
        assert len(files(tmp_path)) == number
    assert run(tmp_path, **one).resumed == 1
    assert run(tmp_path, **one, specs={"tiny": tiny_spec, "loose": other}).resumed == 2
    assert len(fake) == 9


@pytest.mark.usefixtures("fake")
def test_specs_are_compared_side_by_side_each_with_its_own_baselines(run: Run, tiny_spec, tmp_path: Path):
    specs = {"tiny": tiny_spec, "loose": tiny_spec.model_copy(update={"predictive_sd": 0.02}), "again": tiny_spec}
    study = run(tmp_path, cuts=[10**22.3], specs=specs)
    cells, table = study.cells, study.scores()
    assert set(cells["spec"]) == set(specs)
    assert len(files(tmp_path)) == 2  # one spec under two names is fitted once
    assert table[["spec", "task", "method"]].drop_duplicates().shape[0] == 3 * 2 * 3
    assert (table["n"] == 14).all()
    lacking = (cells["spec"] == "tiny") & (cells["method"] == "mean") & (cells["model"] == "family-5-3")
    pairs = CutoffStudy(cells[~lacking & (cells["method"] != "compute")], {}, (), 0).backtest().differences()
    assert pairs["n"].item() == 2 * (14 + 13 + 14)


# By date: 2021 is family-0 and family-4, each further year one family or two more


@pytest.mark.usefixtures("fake")
def test_a_study_by_date_is_the_same_study(run: Run, tmp_path: Path):
    told: list[Any] = []
    study = run(tmp_path, cuts=["2023", "1 Jan 2022"], progress=lambda *news: told.append(news))
    cells = study.cells
    assert study.cut == "as_of" and "cutoff" not in cells
    assert cells["as_of"].unique().tolist() == ["2022-01-01", "2023-07-01"]
    assert cells.groupby("as_of")["model"].nunique().to_dict() == {"2022-01-01": 16, "2023-07-01": 4}
    assert told[0] == ("tiny, as of 2022-01-01", 1, 2)
    assert list(study.scores())[:4] == ["spec", "task", "method", "as_of"]
    assert study.error_area()["cutoffs"].tolist() == [2] * 6
    assert run(tmp_path, cuts=["2022-01-01", "2023-07-01", "2023-07-01"]).resumed == 2
    assert_same(run(tmp_path, cuts=["2022-01-01", "2023-07-01"]), study)


@pytest.mark.usefixtures("fake")
def test_dates_before_and_after_all_models_are_noted(run: Run, tmp_path: Path):
    study = run(tmp_path, cuts=["2015-01-01", "2022-01-01", "2031-01-01"])
    assert study.cells["as_of"].unique().tolist() == ["2022-01-01"]
    assert study.notes[0] == "No model was released before 2015-01-01: take a later date."
    assert "task-1 has no score of a model released since 2031-01-01 to compare with." in study.notes


def test_models_of_unknown_compute_are_judged_by_date_while_benchmarks_are_seen(
    fake: list[Any], run: Run, simulation, tmp_path: Path
):
    for hides in ("task", "all"):
        run(tmp_path, cuts=["2022-01-01"], hides=hides)
    assert all(options["unknown_compute"] for _, _, options in fake)
    facts = simulation.table.models
    facts["flops"] = facts["flops"].where(facts["date"] < "2024")
    table = ScoreTable(facts, simulation.table.benchmarks, simulation.table.scores)
    judged = [judged_models(table, ["task-0"], Split.by_date(table, "2023-12", h))["task-0"] for h in ("task", "all")]
    assert [len(models) for models in judged] == [4, 0]
    with pytest.raises(InputError, match="nothing to study: task-0 has no score of a model released since"):
        run(tmp_path, table, tasks="task-0", cuts=["2023-12"], hides="all")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cuts": [1e22, "2024-01-01"]}, "by compute or by date: give FLOPs as numbers, or dates as text, not both"),
        ({"cuts": ["spring"]}, "'spring' is no date"),
        ({"cuts": [""]}, "The date is empty"),
        ({"cuts": []}, "A study needs at least one task, one cutoff or date, and one spec"),
        ({"specs": {}}, "A study needs at least one task, one cutoff or date, and one spec"),
        ({"tasks": []}, "A study needs at least one task, one cutoff or date, and one spec"),
        ({"tasks": "task-9"}, "There is no benchmark or task 'task-9'"),
        ({"cuts": [-1.0]}, "The cutoff is -1.0 FLOPs: give a positive number"),
        ({"methods": ["pc-9"]}, "There is no baseline 'pc-9': did you mean pc-4, pc-3"),
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


def test_a_finished_study_is_not_fitted_again(
    fake: list[Any], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("sampled again")

    done = run(tmp_path)
    monkeypatch.setattr(module, "sample_capabilities", never)
    told: list[Any] = []
    for executor in (None, never):
        again = run(tmp_path, executor=executor, progress=lambda *a: told.append(a))
        assert again.resumed == 3
        assert again.notes == done.notes
        assert_same(again, done)
    assert run(tmp_path, cuts=CUTOFFS[:1]).resumed == 1  # a part of it
    assert run(tmp_path, cuts=CUTOFFS[::-1]).resumed == 3
    assert (told, len(fake)) == ([], 3)


def test_lost_and_damaged_files_are_made_anew_alone(fake: list[Any], run: Run, tmp_path: Path):
    done = run(tmp_path)
    lost, cut_short, whole = files(tmp_path)
    text, before = cut_short.read_text(), whole.stat().st_mtime_ns
    lost.unlink()
    cut_short.write_text(text[: len(text) // 2])
    again = run(tmp_path)
    assert (again.resumed, len(fake)) == (1, 5)
    assert_same(again, done)
    assert any("was damaged" in note for note in again.notes)
    assert cut_short.read_text() == text
    assert whole.stat().st_mtime_ns == before


def test_an_interrupted_study_goes_on_where_it_stopped(fake: list[Any], run: Run, tmp_path: Path):
    told: list[Any] = []

    def interrupt(*news: Any) -> None:
        told.append(news)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", progress=interrupt)
    assert told == [("tiny, cutoff 1e+22", 1, 3)]
    assert len(files(tmp_path / "stopped")) == 1
    again = run(tmp_path / "stopped", progress=lambda *news: told.append(news))
    assert told[1:] == [("tiny, cutoff 2e+22", 2, 3), ("tiny, cutoff 3.98e+22", 3, 3)]
    assert again.resumed == 1
    assert [call[1].cutoff for call in fake] == sorted(CUTOFFS)
    assert_same(again, run(tmp_path / "whole"))


# Where it runs


@pytest.mark.usefixtures("fake")
def test_a_task_without_any_score_is_noted_wherever_it_runs(run: Run, simulation, tmp_path: Path):
    table = without_scores(simulation.table, "task-1", list(simulation.table.models.index))
    here = run(tmp_path / "here", table)
    assert here.notes[0] == "task-1 has no score at or below 1e+22 FLOPs."
    with ThreadPoolExecutor(1) as pool:
        assert_same(run(tmp_path / "there", table, executor=pool), here)


@pytest.fixture(scope="module")
def serial(run: Run) -> Run:
    """Studies with the default sampler, which is what other processes use."""

    def study(folder: Path, **changes: Any) -> CutoffStudy:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bayes_obscaling.inference.fit.default_sampler", default_sampler)
            return run(folder, **changes)

    return study


@pytest.fixture(scope="module")
def one_process(serial: Run, tmp_path_factory: pytest.TempPathFactory) -> CutoffStudy:
    return serial(tmp_path_factory.mktemp("serial"), cuts=CUTOFFS[:2])


@pytest.mark.slow
def test_local_processes_give_the_same_table_without_a_cache_of_this_one(one_process, serial: Run, tmp_path: Path):
    workers = partial(local_processes, 2)
    study = serial(tmp_path / "results", cuts=CUTOFFS[:2], cache=tmp_path / "cache", executor=workers)
    assert_same(study, one_process)
    assert len(list((tmp_path / "cache").glob("*.npz"))) == 1  # sampled once, before the workers started


@pytest.fixture
def scheduler() -> Iterator[str]:
    """A Dask cluster of two worker processes on this machine."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_table(one_process, serial: Run, scheduler: str, tmp_path: Path):
    executor = partial(connect, scheduler, timeout=300)
    assert_same(serial(tmp_path, cuts=CUTOFFS[:2], executor=executor), one_process)


def test_a_study_from_compute_hides_all_scores(fake: list[Any], run: Run, tmp_path: Path):
    assert run(tmp_path, hides="all").failures == {}
    assert all(split.hidden == split.held_out for _, split, _ in fake)


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
        fit_table(table, "task-1", cutoff=10**21.9, cache=tmp_path / name, **options).draws["theta"].to_numpy()
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
                            "setup": f"flops<={cutoff:.3g}",
                            "task": task,
                            "method": method,
                            "model": model,
                            "family": model,
                            "flops": flops,
                            "distance": np.log10(flops / cutoff),
                            "observed": observed,
                            "median": observed - factor * error,
                            "crps": factor * error,
                            "log_score": 0.0,
                            **dict.fromkeys(("q2.5", "q5", "q10", "q25"), 0.0),
                            **dict.fromkeys(("q75", "q90", "q95", "q97.5"), 1.0),
                            "spec": "s",
                            "cutoff": cutoff,
                            "p_above_0.5": error if method == OURS else np.nan,
                        }
                    )
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


def test_the_error_area_of_dates_is_over_time(made: CutoffStudy):
    as_of = made.cells["cutoff"].map({1e21: "2021-01-01", 1e22: "2022-01-01", 1e24: "2024-01-01"})
    area = CutoffStudy(made.cells.drop(columns="cutoff").assign(as_of=as_of), {}, (), 0).error_area()
    # one year and two, as one decade and two of the cutoffs, but for the days of a leap year
    assert area.set_index(["task", "method"]).loc[("y", OURS), "area"] == pytest.approx(0.25, abs=1e-4)


def test_a_study_is_a_backtest_to_score_and_save(made: CutoffStudy, tmp_path: Path):
    table = made.scores()
    assert list(table)[:5] == ["spec", "task", "method", "cutoff", "n"]
    assert (table["n"] == 2).all()
    both = made.backtest()
    assert both.problems == ("no",)
    assert len(pd.read_csv(both.save(tmp_path) / "cells.csv")) == len(made.cells)
    assert sorted(pd.read_csv(tmp_path / "scores.csv")["cutoff"].unique()) == [1e21, 1e22, 1e24]
    difference = both.differences(["task"]).set_index("task")
    assert difference["difference"].to_dict() == pytest.approx({"x": -0.15, "y": -0.7 / 3})
    assert difference["n"].to_dict() == {"x": 4, "y": 6}
