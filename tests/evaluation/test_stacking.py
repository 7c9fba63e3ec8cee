"""Stacking: weights on densities of which the answer is known, mixtures of draws, and what may be seen."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import synthetic
import xarray as xr
from scipy.optimize import minimize
from scipy.stats import norm
from synthetic import CUTOFF

import bayes_obscaling as bo
from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation import stacking as module
from bayes_obscaling.evaluation.stacking import default_specs, stack_of, stacking_weights
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.convergence import Convergence
from bayes_obscaling.results.densities import log_predictive
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.stacked import Stack, mix
from bayes_obscaling.validation.simulate import Simulation

Run = Callable[..., tuple[int, str, str]]


# --- weights ------------------------------------------------------------------------------------------------------


def densities(y: np.ndarray, *curves: tuple[float, float]) -> np.ndarray:
    return np.stack([norm.logpdf(y, mean, sd) for mean, sd in curves], axis=1)


def test_the_truth_has_all_the_weight():
    y = np.random.default_rng(0).normal(size=400)
    weights = stacking_weights(densities(y, (0.0, 1.0), (1.5, 1.0), (0.0, 4.0)))
    assert weights[0] > 0.97
    assert weights.sum() == pytest.approx(1.0) and (weights >= 0).all()


def test_two_members_that_are_each_right_half_of_the_time_share():
    rng = np.random.default_rng(1)
    y = rng.normal(size=2000) + np.where(rng.random(2000) < 0.5, -3.0, 3.0)
    weights = stacking_weights(densities(y, (-3.0, 1.0), (3.0, 1.0), (0.0, 8.0)))
    assert weights[:2] == pytest.approx([0.5, 0.5], abs=5 * np.sqrt(0.25 / 2000))
    assert weights[2] < 0.02


def test_members_that_predict_alike_share_and_far_off_scores_do_not_underflow():
    log = np.repeat(-np.linspace(1.0, 5000.0, 30)[:, None], 2, axis=1)
    np.testing.assert_allclose(stacking_weights(log), [0.5, 0.5])
    log[:, 1] -= 2000.0
    np.testing.assert_allclose(stacking_weights(log), [1.0, 0.0], atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_those_of_a_general_optimiser(seed: int):
    y = np.random.default_rng(seed).standard_t(4, size=80)
    log = densities(y, (0.0, 0.7), (0.5, 1.0), (-2.0, 1.0), (0.0, 3.0))
    theirs = minimize(
        lambda w: -np.log(np.exp(log) @ w).mean(),
        np.full(4, 0.25),
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-12},
    )
    assert theirs.success
    np.testing.assert_allclose(stacking_weights(log), theirs.x, atol=2e-3)


# --- the stack ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(simulation: Simulation, tiny_spec: CapabilitySpec) -> dict[str, CapabilityFit]:
    """Two fits of one table whose draws scatter apart."""
    return {name: synthetic.made_fit(simulation, tiny_spec, seed=seed) for name, seed in (("a", 3), ("b", 4))}


def held_out(log: np.ndarray, families: int = 8) -> pd.DataFrame:
    """Held-out scores with the log densities (N, 2) of the specs a and b."""
    rows = np.arange(len(log))
    facts = {"cut": "cutoff 1e22", "task": "task-0", "model": [f"m{i}" for i in rows], "observed": 0.5}
    facts["family"] = [f"f{i % families}" for i in rows]
    return pd.concat([pd.DataFrame(facts).assign(spec=s, log_density=log[:, k]) for k, s in enumerate("ab")])


def test_a_single_spec_is_enough_where_one_is_the_truth(pair: dict[str, CapabilityFit]):
    y = np.random.default_rng(2).normal(size=120)
    answer = stack_of(pair, held_out(densities(y, (0.0, 1.0), (2.0, 1.0))), "leave-future-out")
    assert answer.weights["a"] > 0.95 and answer.best == "a" and answer.single_is_enough
    assert "a single spec is enough, a" in answer.sentences[1]
    assert answer.problems == () and answer.verdict == "PASS"


def test_none_is_enough_where_each_is_right_half_of_the_time(pair: dict[str, CapabilityFit]):
    rng = np.random.default_rng(3)
    y = rng.normal(size=240) + np.where(rng.random(240) < 0.5, -2.0, 2.0)
    log = densities(y, (-2.0, 1.0), (2.0, 1.0))
    answer = stack_of(pair, held_out(log), "leave-future-out")
    assert not answer.single_is_enough and "no single spec is enough" in answer.sentences[1]
    table = answer.table.set_index("spec")
    assert table.loc["a", "log_score"] == pytest.approx(-log[:, 0].mean())
    # The density of the even mixture, on which weights chosen elsewhere cost a little.
    mixture = -np.logaddexp(*log.T).mean() + np.log(2.0)
    assert table.loc["stack", "log_score"] == pytest.approx(mixture, abs=0.02)
    assert table.loc["stack", "log_score"] >= mixture - 1e-3
    expected = table.loc["stack", "log_score"] - table.loc[answer.best, "log_score"]
    assert table.loc[answer.best, "difference"] == pytest.approx(expected)
    assert answer.table["n"].eq(240).all() and answer.table["families"].eq(8).all()


def test_a_stack_that_is_its_best_spec_is_no_better(pair: dict[str, CapabilityFit]):
    log = densities(np.random.default_rng(4).normal(size=60), (0.0, 1.0), (9.0, 1.0))
    answer = stack_of(pair, held_out(log), "leave-future-out")
    assert answer.weights == {"a": 1.0, "b": 0.0} and answer.single_is_enough


def test_one_family_tells_nothing_of_others(pair: dict[str, CapabilityFit]):
    y = np.random.default_rng(3).normal(size=40) * 3.0
    answer = stack_of(pair, held_out(densities(y, (-2.0, 1.0), (2.0, 1.0)), families=1), "leave-one-out")
    assert answer.single_is_enough and "one family only" in answer.sentences[1]


# --- the mixture --------------------------------------------------------------------------------------------------


def test_quantiles_are_those_of_the_pooled_draws(pair: dict[str, CapabilityFit]):
    parts = {name: bo.forecast(fit) for name, fit in pair.items()}
    even = mix(parts, {"a": 0.5, "b": 0.5})
    pooled = np.concatenate([parts["a"].flat, parts["b"].flat])
    table = even.to_dataframe()
    np.testing.assert_allclose(table["q5"], np.percentile(pooled, 5, axis=0), rtol=1e-12)
    np.testing.assert_allclose(table["median"], np.median(pooled, axis=0), rtol=1e-12)
    np.testing.assert_allclose(even.probability(0.4)["probability"], (pooled >= 0.4).mean(axis=0))
    assert list(table["model"]) == list(parts["a"].to_dataframe()["model"])
    alone = mix(parts, {"a": 1.0, "b": 0.0})
    pd.testing.assert_frame_equal(alone.to_dataframe(), parts["a"].to_dataframe())


def test_draws_are_taken_whole_and_in_proportion(pair: dict[str, CapabilityFit]):
    parts = {name: bo.forecast(fit) for name, fit in pair.items()}
    per_chain = parts["a"].draws.sizes["draw"]
    uneven = mix(parts, {"a": 0.8, "b": 0.2})
    assert uneven.draws.sizes["draw"] == per_chain + per_chain // 4
    values = uneven.draws.to_numpy()
    np.testing.assert_array_equal(values[:, :per_chain], parts["a"].draws.to_numpy())
    np.testing.assert_array_equal(values[:, per_chain:], parts["b"].draws.to_numpy()[:, ::4])
    np.testing.assert_array_equal(uneven.means[:, per_chain:], parts["b"].means[:, ::4])


def failing(fit: CapabilityFit) -> CapabilityFit:
    """The fit with a stage that has not converged."""
    first, *others = fit.stages
    bad = Convergence(rhat=1.2, ess_bulk=30.0, ess_tail=40.0, worst="theta")
    return dataclasses.replace(fit, stages=(first.model_copy(update={"convergence": bad}), *others))


def test_a_member_that_has_not_converged_is_named(pair: dict[str, CapabilityFit]):
    parts = {"good": bo.forecast(pair["a"]), "bad": bo.forecast(failing(pair["b"]))}
    mixed = mix(parts, {"good": 0.9, "bad": 0.1})
    assert mixed.verdict == "FAIL" and mixed.convergence.rhat == 1.2
    assert all(problem.startswith("bad: ") for problem in mixed.problems) and mixed.problems
    assert not mixed.to_dataframe()["converged"].any()
    without = mix(parts, {"good": 1.0, "bad": 0.0})
    assert without.verdict == "PASS" and without.problems == ()
    weighed = mix(parts, {"good": 1.0, "bad": 0.0}, weighing=("leave-future-out, bad: R-hat 1.2",))
    assert weighed.verdict == "FAIL" and "leave-future-out, bad" in weighed.problems[0]


def test_a_stack_forecasts_like_a_fit(pair: dict[str, CapabilityFit], tmp_path):
    y = np.random.default_rng(3).normal(size=240) + np.repeat([-2.0, 2.0], 120)
    answer = stack_of(pair, held_out(densities(y, (-2.0, 1.0), (2.0, 1.0))), "leave-future-out")
    family = pair["a"].layout.families[0]
    new = {"family": family, "flops": 1e24}
    forecast = bo.forecast(answer, [pair["a"].layout.models[0], new], tasks="task-0")
    assert isinstance(forecast, bo.Forecast)
    low, high = (bo.forecast(fit, new, tasks="task-0").draws.mean() for fit in pair.values())
    mean = float(forecast.draws.isel(scenario=1).mean())
    assert min(low, high) - 1e-3 <= mean <= max(low, high) + 1e-3
    written = pd.read_csv(forecast.save(tmp_path / "f.csv"))
    assert list(written["family"]) == [pair["a"].table.models["family"].iloc[0], family]
    said = json.loads(json.dumps(forecast.to_dict()))
    assert said["weights"] == pytest.approx(answer.weights) and set(said["spec"]) == {"a", "b"}
    with pytest.raises(InputError, match="one of its members"):
        forecast.compute_to_reach("task-0", 0.5, family)
    forecast.plot()


def test_a_date_is_read_by_members_that_read_dates(dated_fit: CapabilityFit):
    without = CapabilitySpec(**{**dated_fit.spec.model_dump(), "drift": "none"})
    tree = dated_fit.tree.copy()
    tree["posterior"] = xr.DataTree(tree["posterior"].to_dataset().drop_vars(["drift"]))
    undated = dataclasses.replace(dated_fit, spec=without, tree=tree)
    y = np.random.default_rng(3).normal(size=40)
    scores = held_out(densities(y, (0.2, 1.0), (0.0, 1.0)))
    answer = stack_of({"a": undated, "b": dated_fit}, scores, "leave-future-out")
    forecast = answer.forecast({"family": "new", "flops": 1e24, "date": "2025-03"}, tasks="task-0")
    assert list(forecast.to_dataframe()["date"]) == ["2025-03-01"]
    assert "2025-03-01" in forecast.to_dataframe()["model"].iloc[0]


# --- densities ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["task-0", "bench-2"])
def test_densities_integrate_to_one_and_are_those_of_the_draws(made_fit: CapabilityFit, name: str):
    medians = np.median(bo.forecast(made_fit, list(made_fit.layout.models), tasks=name).samples(name), axis=0)
    model = made_fit.layout.models[int(np.abs(medians - 0.5).argmin())]  # far from the ends, where draws are clipped
    grid = np.linspace(-1.0, 2.0, 6001)
    density = np.exp(log_predictive(made_fit, name, [model] * len(grid), grid))
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=2e-3)
    draws = bo.forecast(made_fit, model, tasks=name).flat[:, 0]
    assert draws.min() > 0 and draws.max() < 1
    mean = np.trapezoid(density * grid, grid)
    assert mean == pytest.approx(draws.mean(), abs=5 * draws.std() / np.sqrt(len(draws)))
    inside = grid <= np.quantile(draws, 0.25)
    share = np.trapezoid(density[inside], grid[inside])
    assert share == pytest.approx(0.25, abs=5 * np.sqrt(0.19 / len(draws)))


# --- what may be seen ---------------------------------------------------------------------------------------------


def test_earlier_splits_hold_out_more_and_never_what_the_forecast_holds_out(simulation: Simulation):
    table, split = simulation.table, Split.by_flops(simulation.table, CUTOFF)
    found = module._earlier_splits(table, ["task-0", "task-1"], split, None)
    assert list(found) == [f"cutoff {share * CUTOFF:.3g}" for share in module.SHARES][-len(found) :]
    for early in found.values():
        assert set(split.held_out) < set(early.held_out)
        flops = table.models.loc[module._judged(table, "task-0", split, early), "flops"]
        assert (flops <= CUTOFF * (1 + 1e-9)).all() and (flops > float(early.cutoff or 0)).all() and len(flops)


def test_without_a_cutoff_the_largest_models_are_predicted(paper: ScoreTable):
    split = Split.all_seen()
    found = module._earlier_splits(paper, ["gsm8k_cot"], split, None)
    counts = [len(module._judged(paper, "gsm8k_cot", split, early)) for early in found.values()]
    scored = int(paper.matrix(["gsm8k_cot"])["gsm8k_cot"].notna()[paper.models["flops"].notna()].sum())
    assert len(counts) == 3 and counts == sorted(counts, reverse=True)
    # Models of equal compute stay on the near side of a cut.
    assert 0.3 * scored < counts[0] <= 0.5 * scored and counts[2] >= 0.08 * scored


@pytest.mark.usefixtures("unsampled")
def test_weights_do_not_see_what_the_forecast_does_not(simulation: Simulation, tiny_spec: CapabilitySpec):
    specs = {"one": tiny_spec, "other": tiny_spec.model_copy(update={"fit_sd": 0.05})}
    options: dict[str, Any] = {"cutoff": CUTOFF, "chains": 2, "draws": 100, "progress": False}
    table = simulation.table
    scores = table.scores
    above = scores["model"].isin(Split.by_flops(table, CUTOFF).held_out) & scores["benchmark"].str.startswith("task")
    scores.loc[above, "score"] = 0.01
    changed = ScoreTable(table.models, table.benchmarks, scores)
    first, second = (bo.stack(one, ["task-0", "task-1"], specs, **options) for one in (table, changed))
    pd.testing.assert_frame_equal(first.table, second.table)
    judged = first.parts["held_out"]
    assert table.models.loc[judged["model"], "flops"].max() <= CUTOFF * (1 + 1e-9)
    assert set(judged["spec"]) == {"one", "other"} and set(judged["task"]) == {"task-0", "task-1"}


@pytest.mark.usefixtures("unsampled")
def test_by_date_the_scores_between_two_dates_are_predicted(simulation: Simulation, tiny_spec: CapabilitySpec):
    specs = {"one": tiny_spec, "other": tiny_spec.model_copy(update={"fit_sd": 0.05})}
    options: dict[str, Any] = {"as_of": "2023-06", "earlier": ["2022-06"], "chains": 2, "draws": 100}
    answer = bo.stack(simulation.table, "task-0", specs, **options)
    dates = simulation.table.models.loc[answer.parts["held_out"]["model"], "date"]
    assert dates.min() >= "2022-06-01" and dates.max() < "2023-06-01"
    assert "as of 2022-06-01" in answer.sentences[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"specs": {}}, "no specs"),
        ({"specs": {"one": CapabilitySpec()}}, "one spec"),
        ({"specs": {"stack": CapabilitySpec(), "b": CapabilitySpec()}}, "called 'stack'"),
        ({"by": "guess"}, "leave-one-out"),
        ({"earlier": [1e23]}, "not earlier"),
        ({"earlier": ["2022-01"]}, "not earlier"),
        ({"earlier": [1e19]}, "No cut before"),
        ({"by": "leave-one-out", "earlier": [1e21]}, "leave-future-out"),
        ({"by": "leave-one-out", "specs": dict.fromkeys("ab", CapabilitySpec.frontier())}, "sparse table"),
        ({"cutoff": None, "as_of": "2022-06", "earlier": ["2023"]}, "not earlier"),
    ],
)
def test_what_cannot_be_stacked_is_refused(simulation: Simulation, changes: dict[str, Any], words: str):
    with pytest.raises(InputError, match=words):
        bo.stack(simulation.table, "task-0", **{"cutoff": CUTOFF, **changes})


def test_the_default_specs_differ_in_one_thing_each(paper: ScoreTable):
    specs = default_specs(paper)
    assert specs["default"] == CapabilitySpec() and specs["logistic"] == CapabilitySpec.logistic()
    assert specs["3 factors"].n_factors == 3 and specs["no drift"].drift == "none"
    sparse = default_specs(bo.load("frontier"))
    assert {spec.cells for spec in sparse.values()} == {"sparse"} and sparse["1 factor"].n_factors == 1


def test_fits_behind_the_weights_that_have_not_converged_are_counted(pair: dict[str, CapabilityFit]):
    said = module._unsound("leave-future-out, b", [pair["a"], failing(pair["b"]), failing(pair["b"])])
    assert len(said) == 1 and said[0].startswith("leave-future-out, b: 2 of 3 fits have not converged (R-hat 1.2")
    assert module._unsound("a", [pair["a"]]) == []


# --- one tiny pair of fits ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quickly")
def test_a_tiny_pair(simulation: Simulation, tiny_spec: CapabilitySpec, cache_folder):
    """A spec that takes tasks for noise loses to the one that the scores were drawn from."""
    specs = {"true": tiny_spec, "noisy": tiny_spec.model_copy(update={"fit_sd": 0.3, "predictive_sd": 0.3})}
    options: dict[str, Any] = {"chains": 2, "draws": 100, "seed": 5, "cache": cache_folder, "progress": False}
    tasks = ["task-0", "task-1"]  # as of `tiny_fit`, whose programs are compiled
    answer = bo.stack(simulation.table, tasks, specs, cutoff=CUTOFF, earlier=[0.3 * CUTOFF], **options)
    assert answer.weights["true"] > 0.8 and answer.best == "true" and answer.single_is_enough
    width = {name: np.ptp(bo.forecast(fit).flat, axis=0).mean() for name, fit in answer.members.items()}
    assert width["true"] < width["noisy"]
    hidden = answer.members["true"].split.held_out
    assert answer.forecast().draws.sizes["scenario"] == len(hidden)
    left_out = pd.concat([module._left_out(fit, tasks).assign(spec=name) for name, fit in answer.members.items()])
    assert set(left_out["model"]).isdisjoint(hidden)
    by_one = stack_of(answer.members, left_out, "leave-one-out")
    assert by_one.weights["true"] > 0.8 and by_one.best == "true"


# --- the command --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ([], ["--task"]),
        (["--task", "gsm8k_cot", "--factors", "3"], ["1 spec", "2 to"]),
        (["--task", "gsm8k_cot", "--factors", "two,3"], ["--factors", "two"]),
        (["--task", "gsm8k_cot", "--factors", "3,9"], ["--factors is 9"]),
        (["--task", "gsm8k_cot", "--curve", "logistic,square"], ["--curve", "square"]),
        (["--task", "gsm8k_cot", "--cutoff-flops", "8.4e22", "--earlier", "soon"], ["--earlier", "soon"]),
        (["--task", "gsm8k_cot", "--cutoff-flops", "8.4e22", "--earlier", "1e23"], ["not earlier"]),
        (
            [
                *("--task", "gsm8k_cot", "--drift", "none", "--curve", "logistic,asymmetric"),
                *("--family", "new", "--flops", "1e24", "--date", "2025"),
            ],
            ["--date", "drift"],
        ),
    ],
)
def test_bad_arguments_are_one_sentence(arguments: list[str], fragments: list[str], run: Run):
    code, out, err = run("stack", *arguments)
    assert code == 2 and "Traceback" not in out + err
    assert all(fragment in err for fragment in fragments), err


def test_the_command_prints_weights_and_the_forecast(
    pair: dict[str, CapabilityFit], run: Run, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    y = np.random.default_rng(2).normal(size=120)
    asked: dict[str, Any] = {}

    def instead(_: ScoreTable, tasks: list[str], specs: Any, **options: Any) -> Stack:
        asked.update(options, tasks=tasks, specs=specs)
        return stack_of(pair, held_out(densities(y, (0.0, 1.0), (2.0, 1.0))), options["by"])

    monkeypatch.setattr(module, "stack", instead)
    files = ["--output", tmp_path / "f.csv", "--weights", tmp_path / "w.csv"]
    words = ["--task", "gsm8k_cot", "--cutoff-flops", "8.4e22", "--factors", "3,4", "--curve", "logistic"]
    code, out, _ = run("stack", *words, *files)
    assert code == 0
    assert list(asked["specs"]) == ["3 factors, logistic", "4 factors, logistic"]
    assert asked["specs"]["3 factors, logistic"] == CapabilitySpec.logistic(n_factors=3)
    assert "a single spec is enough, a" in out and "task-0 (scores 0 to 1" in out and "converged" in out
    assert len(pd.read_csv(tmp_path / "w.csv")) == 240
    assert {"median", "verdict"} <= set(pd.read_csv(tmp_path / "f.csv"))
    code, out, _ = run("stack", *words, "--json")
    assert code == 0 and set(json.loads(out)["weights"]) == {"a", "b"}
