"""Chance levels that nobody said: the model has them as parameters, and only then; what a fit says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import synthetic
from numpyro.distributions.transforms import biject_to
from numpyro.infer.util import potential_energy
from scipy import stats

import bayes_obscaling as bo
from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.baselines import baseline
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.inference.sampler import Nuts
from bayes_obscaling.models import capability as model
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.priors import Priors
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.models.trace import sites_of
from bayes_obscaling.results.diagnostics.priors import prior_table
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.likelihood import log_likelihood
from bayes_obscaling.results.prior_predictive import prior_predictive
from bayes_obscaling.results.storage import open_fit
from bayes_obscaling.validation.simulate import Simulation

UNSAID = ("bench-3", "task-1")


@pytest.fixture(scope="module")
def unsaid(tiny_spec: CapabilitySpec) -> Simulation:
    return synthetic.simulate(57, tiny_spec, unsaid=UNSAID)


@pytest.fixture(scope="module")
def unsaid_fit(unsaid: Simulation, tiny_spec: CapabilitySpec) -> CapabilityFit:
    return synthetic.made_fit(unsaid, tiny_spec, tasks=("task-0", "task-1", "bench-3"))


def arguments_of_heads(layout: Layout, spec: CapabilitySpec) -> tuple[Any, ...]:
    z = jnp.zeros((1, len(layout.models), layout.structure.n_factors))
    return z, layout.task_scores, jax.tree.map(jnp.asarray, spec.priors), jnp.asarray(spec.fit_sd), layout.structure


def sites(layout: Layout, spec: CapabilitySpec) -> dict[str, Any]:
    priors = jax.tree.map(jnp.asarray, spec.priors)
    measured = sites_of(model.measurement, layout.measurements[0], priors, layout.structure)
    return measured | sites_of(model.heads, *arguments_of_heads(layout, spec))


# --- the model ----------------------------------------------------------------------------------------------------


def test_a_table_that_says_every_level_has_the_model_that_it_had(simulation: Simulation, tiny_spec: CapabilitySpec):
    layout = lay_out(simulation.table, ["task-0"], Split.all_seen(), tiny_spec)
    assert layout.structure.unknown_chance == layout.structure.unknown_task_chance == ()
    assert not [name for name in sites(layout, tiny_spec) if "chance" in name]
    assert {"chance", "task_chance"}.isdisjoint(layout.labels)


def test_levels_that_nobody_said_are_parameters(unsaid: Simulation, tiny_spec: CapabilitySpec):
    layout = lay_out(unsaid.table, ["task-0"], Split.all_seen(), tiny_spec)
    found = sites(layout, tiny_spec)
    for free, whole, dim in (
        ("chance_free", "chance", "unknown_chance_benchmark"),
        ("task_chance_free", "task_chance", "unknown_chance_task"),
    ):
        assert found[free].dims == (dim,) and found[free].shape == (1,)
        assert (found[free].prior, found[free].of) == ("chance", whole)
        assert found[whole].kind == "deterministic"
    assert layout.labels["unknown_chance_benchmark"] == ["bench-3"]
    assert layout.labels["unknown_chance_task"] == ["task-1"]


def test_stated_levels_stay_and_scores_follow_the_others(unsaid: Simulation, tiny_spec: CapabilitySpec):
    layout = lay_out(unsaid.table, ["task-0"], Split.all_seen(), tiny_spec)
    floor = jnp.asarray([0.31])
    drawn = synthetic.trace_of(
        model.heads,
        1,
        *arguments_of_heads(layout, tiny_spec),
        task_chance_free=floor,
        task_difficulty=jnp.full(2, -60.0),
    )
    np.testing.assert_allclose(drawn["task_chance"]["value"], [unsaid.table.chance("task-0"), 0.31])
    base = getattr(drawn["task_score"]["fn"], "base_dist", drawn["task_score"]["fn"])
    np.testing.assert_allclose(np.asarray(base.loc)[:, 1], 0.31, atol=1e-9)  # nobody can do anything


def test_chains_move_along_a_normal_number():
    """On the unconstrained scale the prior is standard normal, so that no valley lies between its lumps."""
    prior = Priors().chance
    away = biject_to(prior.distribution().expand([3]).support)
    unit = jnp.asarray([-1.3, 0.1, 2.0])
    level = away(unit)
    np.testing.assert_allclose(prior.scipy().cdf(np.asarray(level)), stats.norm.cdf(unit), rtol=1e-9)
    density = prior.distribution().log_prob(level) + away.log_abs_det_jacobian(unit, level)
    np.testing.assert_allclose(density, stats.norm.logpdf(unit), rtol=1e-9)
    np.testing.assert_allclose(away._inverse(level), unit, atol=1e-9)
    step = 1e-6
    slope = (away(unit + step) - away(unit - step)) / (2 * step)
    np.testing.assert_allclose(jax.vmap(jax.grad(lambda u: away(u)))(unit), slope, rtol=1e-5)


def test_every_lump_is_reached_from_every_other(unsaid: Simulation, tiny_spec: CapabilitySpec):
    """The potential of the heads without seen scores has one well in what is moved along."""
    layout = lay_out(unsaid.table, ["task-0"], Split.all_seen(), tiny_spec)
    z, scores, *others = arguments_of_heads(layout, tiny_spec)
    hidden = scores._replace(seen=jnp.zeros_like(scores.seen))
    structure = others[-1]
    names = {n: s for n, s in sites_of(model.heads, z, hidden, *others).items() if s.kind == "latent"}
    rest = {name: jnp.zeros(site.shape) for name, site in names.items() if name != "task_chance_free"}

    def potential(unit: jax.Array) -> jax.Array:
        run = lambda *a: model.heads(*a, structure)  # noqa: E731
        return potential_energy(run, (z, hidden, *others[:-1]), {}, {**rest, "task_chance_free": unit[None]})

    units = jnp.linspace(-2.5, 2.5, 41)
    energy = np.asarray(jax.jit(jax.vmap(potential))(units))
    np.testing.assert_allclose(energy - energy[20], 0.5 * np.asarray(units) ** 2, atol=1e-7)


# --- what a fit says ----------------------------------------------------------------------------------------------


def test_a_fit_tells_what_it_infers(unsaid: Simulation, unsaid_fit: CapabilityFit):
    assert set(unsaid_fit.inferred_chance) == set(UNSAID)
    for name, variable, at in (("bench-3", "chance", 3), ("task-1", "task_chance", 1)):
        assert np.isnan(unsaid_fit.table.chance(name))
        truth = unsaid.truth[variable][at]
        assert unsaid_fit.chance(name) == pytest.approx(truth, rel=0.02, abs=1e-3)
    assert unsaid_fit.chance("task-0") == unsaid_fit.table.chance("task-0")


def test_forecasts_and_curves_start_from_the_inferred_floor(unsaid_fit: CapabilityFit):
    answer = bo.forecast(unsaid_fit, tasks=["task-1", "bench-3"])
    assert np.isfinite(answer.draws.to_numpy()).all()
    weak = bo.Scenario("weak", "new", 1e16)
    floor = np.median(bo.forecast(unsaid_fit, weak, tasks="task-1", kind="mean").samples("task-1"))
    assert floor == pytest.approx(unsaid_fit.chance("task-1"), abs=0.05)
    curve = bo.ask.capability_curve(unsaid_fit, "task-1")
    assert curve.chance == unsaid_fit.chance("task-1") and curve.table["median"].notna().all()
    with pytest.raises(InputError, match="not between the chance score of task-1"):
        bo.ask.compute_to_reach(unsaid_fit, "task-1", unsaid_fit.chance("task-1") / 2, "new")
    assert np.isfinite(log_likelihood(unsaid_fit)["task_score"].to_numpy()).any()


def test_new_models_are_scored_on_an_inferred_floor(unsaid_fit: CapabilityFit):
    new = {"model": ["x/new"], "family": ["x"], "flops": [1e22], "bench-0": [0.6], "bench-3": [0.6]}
    scored = bo.score(unsaid_fit, bo.read(pd.DataFrame(new), into=unsaid_fit.table))
    assert np.isfinite(scored.draws.to_numpy()).all() and np.isfinite(scored.pareto_k).all()


def test_a_saved_fit_comes_back(unsaid_fit: CapabilityFit, tmp_path: Path):
    loaded = open_fit(unsaid_fit.save(tmp_path / "fit.nc"))
    assert loaded.table == unsaid_fit.table and np.isnan(loaded.table.chance("task-1"))
    assert loaded.layout.structure == unsaid_fit.layout.structure
    assert loaded.chance("task-1") == unsaid_fit.chance("task-1")


def test_the_prior_of_a_level_is_checked_and_drawn_like_any_other(unsaid: Simulation, unsaid_fit: CapabilityFit):
    table = prior_table(unsaid_fit).set_index("parameter")
    rows = table[table["prior"] == "chance"]
    assert [name for name in rows.index if "task-1" in name] and [name for name in rows.index if "bench-3" in name]
    assert rows["prior_q95"].iloc[0] == pytest.approx(Priors().chance.scipy().ppf(0.95))
    drawn = prior_predictive(unsaid.table, "task-1", unsaid_fit.spec, draws=100)
    levels = drawn["prior"]["task_chance"].sel(task="task-1").to_numpy()
    assert stats.kstest(levels.ravel(), Priors().chance.scipy().cdf).pvalue > 1e-5
    assert (drawn["prior"]["task_chance"].sel(task="task-0") == unsaid.table.chance("task-0")).all()


def test_baselines_take_what_is_not_said_for_nothing(unsaid: Simulation):
    split = Split.by_flops(unsaid.table, synthetic.CUTOFF)
    table = unsaid.table.benchmarks
    table.loc[list(UNSAID), "chance"] = 0.0
    said = ScoreTable(unsaid.table.models, table, unsaid.table.scores)
    here, there = (baseline("compute", one, "task-1", split, draws=20) for one in (unsaid.table, said))
    np.testing.assert_array_equal(here.draws, there.draws)


@pytest.mark.slow
def test_a_floor_is_found_in_sampling(tiny_spec: CapabilitySpec, quick_sampler: Nuts, cache_folder: Path):
    """Models that can do nothing score .2: the fit says so, in a note."""
    simulation = synthetic.simulate(57, tiny_spec)
    table, rng = simulation.table, np.random.default_rng(3)
    scores, flops = table.scores, table.models["flops"]
    on_task = scores["benchmark"] == "task-1"
    ability = np.log10(flops[scores.loc[on_task, "model"]].to_numpy()) - 22.8
    expected = 0.2 + 0.8 / (1.0 + np.exp(-4.0 * ability))
    scores.loc[on_task, "score"] = rng.binomial(500, expected) / 500
    facts = table.benchmarks
    facts.loc["task-1", "chance"] = np.nan
    fit = fit_table(
        ScoreTable(table.models, facts, scores),
        ["task-0", "task-1"],
        from_compute=[synthetic.HIDDEN],
        spec=tiny_spec,
        chains=2,
        draws=200,
        seed=5,
        cache=cache_folder,
        sampler=quick_sampler,
    )
    assert fit.chance("task-1") == pytest.approx(0.2, abs=0.03)
    (note,) = [text for text in fit.notes if text.startswith("Chance")]
    assert note.startswith("Chance of task-1: 0.2") and note.endswith("inferred from its scores: nobody said it.")
