"""Models that join a fit are placed where a new fit would place them, and change nothing else in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic

import bayes_obscaling as bo
from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.joining import fit_given
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.joined import can_join, join
from bayes_obscaling.validation.simulate import Simulation

SEEN = Split.all_seen()


@pytest.fixture(scope="module")
def dated_spec(tiny_spec: CapabilitySpec) -> CapabilitySpec:
    return tiny_spec.model_copy(update={"drift": "family", "curve": "asymmetric"})


@pytest.fixture(scope="module")
def simulation(dated_spec: CapabilitySpec) -> Simulation:
    return synthetic.simulate(11, dated_spec, n_families=7, per_family=5)


@pytest.fixture(scope="module")
def of_some(simulation: Simulation, dated_spec: CapabilitySpec) -> CapabilityFit:
    """A fit without the last family and without the last model of the first one."""
    table = simulation.table
    families = table.models["family"]
    kept = [name for name in table.models.index if families[name] != "family-6" and name != "family-0-4"]
    whole = synthetic.made_fit(simulation, dated_spec, split=SEEN)
    return _selected(whole, kept)


def _selected(fit: CapabilityFit, models: list[str]) -> CapabilityFit:
    """The fit as if it had seen some models alone."""
    table = fit.table.select(models)
    tree = fit.tree.copy()
    for name in ("posterior", "scaffold", "observed_data"):
        data = tree[name].to_dataset()
        chosen = {"model": models} | {"family": table.families}
        tree[name] = data.sel({dim: labels for dim, labels in chosen.items() if dim in data.dims})
    return replace(fit, table=table, tree=tree)


def laid_out(fit: CapabilityFit, table: ScoreTable, task: str) -> Layout:
    return lay_out(table, [task], SEEN, fit.spec)


def test_known_models_stay_as_they_are(of_some: CapabilityFit, simulation: Simulation):
    joined, _ = join(of_some, laid_out(of_some, simulation.table, "task-0"))
    names = list(of_some.layout.models)
    np.testing.assert_array_equal(joined["theta"].sel(model=names), of_some.draws["theta"].sel(model=names))
    for name in ("loading", "difficulty", "slope_mean"):
        np.testing.assert_array_equal(joined[name], of_some.draws[name])


def test_new_models_are_placed_near_the_truth(of_some: CapabilityFit, simulation: Simulation):
    joined, _ = join(of_some, laid_out(of_some, simulation.table, "task-0"))
    truth = pd.DataFrame(simulation.truth["theta"], index=simulation.table.models.index)
    for name in ("family-0-4", *(f"family-6-{j}" for j in range(5))):
        draws = joined["theta"].sel(model=name).to_numpy().reshape(-1, 2)
        assert (np.abs(draws.mean(axis=0) - truth.loc[name]) < 4.5 * draws.std(axis=0) + 0.1).all(), name
        assert (draws.std(axis=0) < 0.6).all()


def test_a_new_family_learns_its_line(of_some: CapabilityFit, simulation: Simulation):
    """Five models tell more of a slope than the population of families does."""
    joined, _ = join(of_some, laid_out(of_some, simulation.table, "task-0"))
    own = joined["slope"].sel(family="family-6").to_numpy().reshape(-1, 2)
    population = of_some.posterior.family_effects("new")["slope"][:, 0]
    truth = simulation.truth["slope"][simulation.table.families.index("family-6")]
    assert (own.std(axis=0) < population.std(axis=0)).all()
    assert (np.abs(own.mean(axis=0) - truth) < 4.5 * own.std(axis=0)).all()


def test_a_line_stays_in_place_when_the_date_of_its_family_moves(of_some: CapabilityFit, simulation: Simulation):
    """A later model moves the mean date of its family; what was known of the others does not move."""
    models, scores = simulation.table.models, simulation.table.scores
    models.loc["family-0-4", "date"] = "2026-12-01"
    table = ScoreTable(models, simulation.table.benchmarks, scores)
    assert can_join(of_some, laid_out(of_some, table, "bench-0"))
    fit = fit_given(of_some, table, "bench-0")
    scenario = bo.Scenario(family="family-0", flops=10**22.5)
    before, after = (bo.forecast(one, scenario, tasks="bench-0", kind="mean").draws for one in (of_some, fit))
    assert float(before.mean()) == pytest.approx(float(after.mean()), abs=0.02)


def test_a_changed_score_is_refused(of_some: CapabilityFit, simulation: Simulation):
    scores = simulation.table.scores
    at = (scores["model"] == "family-2-1") & (scores["benchmark"] == "bench-1")
    scores.loc[at, "score"] = 0.987
    table = ScoreTable(simulation.table.models, simulation.table.benchmarks, scores)
    assert not can_join(of_some, laid_out(of_some, table, "task-0"))
    with pytest.raises(InputError, match="changes what the fit has seen"):
        fit_given(of_some, table, "task-0")


def test_benchmarks_alone_need_no_sampling(of_some: CapabilityFit, simulation: Simulation):
    fit = fit_given(of_some, simulation.table, "bench-2")
    assert [stage.label for stage in fit.stages] == ["capabilities"]
    assert "family-0-4" in fit.notes[-1]
    summary = bo.forecast(fit, "family-6-3", tasks="bench-2").summary()
    assert summary["q5"].item() < summary["observed"].item() < summary["q95"].item()


def test_a_new_task_gets_its_head_alone(of_some: CapabilityFit, simulation: Simulation):
    """Tasks of the fit keep their heads; that of a copy of one, sampled alone, says the same."""
    table = simulation.table
    facts = table.benchmarks.loc[["task-0"]].rename(index={"task-0": "copy"})
    facts["aliases"] = [()]
    scores = table.scores
    new = scores[(scores["benchmark"] == "task-0")].assign(benchmark="copy")
    known = set(of_some.layout.models)
    of_fit = scores[~scores["benchmark"].isin(["task-0", "task-1"]) | scores["model"].isin(known)]
    table = ScoreTable(table.models, pd.concat([table.benchmarks, facts]), pd.concat([of_fit, new]))
    fit = fit_given(of_some, table, "copy")
    assert fit.layout.tasks == ("task-0", "task-1", "copy")
    assert [stage.label for stage in fit.stages] == ["capabilities", "task heads", "heads of new tasks"]
    old = of_some.draws["steepness"].to_numpy()
    np.testing.assert_allclose(fit.draws["steepness"].sel(task=["task-0", "task-1"]), old)
    model = "family-3-3"
    copy, original = (bo.forecast(fit, model, tasks=name, kind="mean").summary() for name in ("copy", "task-0"))
    assert copy["median"].item() == pytest.approx(original["median"].item(), abs=0.06)
    assert not fit.problems


def test_a_model_that_the_fit_did_not_expect_is_named(of_some: CapabilityFit, simulation: Simulation):
    scores = simulation.table.scores
    mine = scores["model"] == "family-0-4"
    scores.loc[mine, "score"] = np.where(scores.loc[mine, "benchmark"].isin(["bench-0", "bench-2"]), 0.99, 0.01)
    table = ScoreTable(simulation.table.models, simulation.table.benchmarks, scores)
    fit = fit_given(of_some, table, "bench-2")
    assert "family-0-4" in fit.notes[-1] and "--refit" in fit.notes[-1]
    plain = fit_given(of_some, simulation.table, "bench-2")
    assert not any("far from what" in note for note in plain.notes)
