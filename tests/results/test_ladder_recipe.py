"""What another recipe than the ladder's adds to its forecasts; the draws scatter around where chains start."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import ks_2samp
from synthetic import Scatter

import bayes_obscaling as bo
from bayes_obscaling import InputError, Scenario
from bayes_obscaling.data import Ladder, load_olmo_ladder
from bayes_obscaling.inference.fit_ladder import fit_ladder
from bayes_obscaling.results.fit import LadderFit
from bayes_obscaling.results.ladder_forecast import OLMO_MODELS, forecast_ladder
from bayes_obscaling.results.ladder_recipe import recipes_of
from bayes_obscaling.validation.simulate_ladder import draw_similar

TASKS = ["arc_challenge", "hellaswag", "piqa"]
INSIDE = Scenario("inside", params=3e9, tokens=3e11)


@pytest.fixture(scope="module")
def short() -> Ladder:
    whole = load_olmo_ladder().below(1.2e9)
    return Ladder(whole.runs, whole.tasks.loc[TASKS], whole.values[whole.values["task"].isin(TASKS)])


@pytest.fixture(scope="module")
def fit(short: Ladder) -> LadderFit:
    return fit_ladder(short, chains=2, draws=1000, seed=3, sampler=Scatter())


@pytest.fixture(scope="module")
def several(short: Ladder) -> LadderFit:
    """Runs of two recipes: those of the middle size are of another."""
    runs = short.runs.assign(recipe=np.where(short.runs["params"].between(3e8, 5e8), "other", "main"))
    return fit_ladder(dataclasses.replace(short, runs=runs), chains=2, draws=200, seed=3, sampler=Scatter())


def accuracy(fit: LadderFit, recipe: str) -> np.ndarray:
    """Expected accuracies (draws, tasks) of a run of some recipe."""
    drawn = forecast_ladder(fit, INSIDE, recipe=recipe).draws["accuracy_curve"].to_numpy()
    return drawn.reshape(-1, drawn.shape[-1])


def test_the_default_recipe_follows_from_tokens_per_parameter(fit: LadderFit) -> None:
    outside = Scenario("outside", params=3e9, tokens=3e12)
    resolved, sentences = recipes_of(fit.ladder, [INSIDE, outside, dataclasses.replace(INSIDE, recipe="unknown")])
    assert [scenario.recipe for scenario in resolved] == ["same", "similar", "unknown"]
    assert sentences[0] == "inside: recipe same, since its 100 tokens per parameter are inside the ladder's 20 to 200."
    assert "similar, since its 1e+03 tokens per parameter are outside" in sentences[1]
    assert sentences[2].endswith("recipe unknown.")
    assert {model.recipe for model in OLMO_MODELS} == {"similar"}


def test_a_forecast_says_its_recipe(fit: LadderFit) -> None:
    forecast = bo.forecast(fit, INSIDE, recipe="similar")
    assert set(forecast.to_dataframe()["recipe"]) == {"similar"}
    assert any("recipe similar." in sentence for sentence in forecast.sentences)
    with pytest.raises(InputError, match="recipe 'mine': give one of same, similar, unknown"):
        bo.forecast(fit, INSIDE, recipe="mine")


def test_another_recipe_widens_and_lifts(fit: LadderFit) -> None:
    same, similar, unknown = (accuracy(fit, recipe) for recipe in ("same", "similar", "unknown"))
    assert (similar.std(axis=0) > same.std(axis=0)).all() and (unknown.std(axis=0) > similar.std(axis=0)).all()
    posterior, priors = fit.posterior, fit.spec.priors
    on_loss, on_link = (e[:, 0] for e in posterior.recipe_effects([dataclasses.replace(INSIDE, recipe="similar")]))
    error = 5 * on_link.std(axis=0) / np.sqrt(len(on_link))
    assert np.abs(on_loss.mean(axis=0)).max() < 5 * on_loss.std() / np.sqrt(len(on_loss))
    gains = np.where(posterior.layout.knowledge, priors.recipe_gain_knowledge.loc, priors.recipe_gain.loc)
    assert list(posterior.layout.knowledge) == [True, False, False]
    assert (np.abs(on_link.mean(axis=0) - gains) < error).all()
    # what tasks share: the variance of the mean of two of them, over that of one
    shared = priors.recipe_shared.a / (priors.recipe_shared.a + priors.recipe_shared.b)
    assert np.corrcoef(on_loss.T)[0, 1] == pytest.approx(shared, abs=0.15)


def test_the_simulator_states_the_effect_as_the_forecast_does(fit: LadderFit) -> None:
    posterior, rng = fit.posterior, np.random.default_rng(0)
    simulated = [draw_similar(posterior.layout.knowledge, fit.spec, rng) for _ in range(posterior.size)]
    drawn = posterior.recipe_effects([dataclasses.replace(INSIDE, recipe="similar")])
    for at in (0, 1):
        ours, theirs = drawn[at][:, 0], np.stack([pair[at] for pair in simulated])
        for task in range(len(TASKS)):
            assert ks_2samp(ours[:, task], theirs[:, task]).pvalue > 1e-4
        assert np.corrcoef(ours.T)[0, 1] == pytest.approx(np.corrcoef(theirs.T)[0, 1], abs=0.1)


def test_scenarios_of_one_recipe_share_its_effect(fit: LadderFit) -> None:
    asked = [dataclasses.replace(INSIDE, model=name, recipe="similar") for name in ("a", "b")]
    on_loss, on_link = fit.posterior.recipe_effects(asked)
    assert np.array_equal(on_loss[:, 0], on_loss[:, 1]) and np.array_equal(on_link[:, 0], on_link[:, 1])


def test_recipes_of_the_table_are_learned(several: LadderFit) -> None:
    assert several.layout.recipes == ("main", "other")
    assert dict(several.draws["recipe_link"].sizes) == {"chain": 2, "draw": 200, "recipe": 1, "task": 3}
    named = several.posterior.recipe_effects([dataclasses.replace(INSIDE, recipe=name) for name in ("main", "other")])
    assert (named[0][:, 0] == 0).all() and np.array_equal(named[1][:, 1], several.posterior.inside["recipe_link"][:, 0])
    # the effect is in the density: without it the other runs are expected elsewhere
    p, data = several.posterior.inside, several.layout.data
    from bayes_obscaling.models.ladder_equations import densities

    without = {name: value for name, value in p.items() if name not in ("recipe_loss", "recipe_link")}
    moved = np.asarray(densities(p, data)[0].loc - densities(without, data)[0].loc)
    of_other = np.asarray(data.recipe) == 1
    np.testing.assert_allclose(moved[:, of_other], np.broadcast_to(p["recipe_loss"], moved[:, of_other].shape))
    assert (moved[:, ~of_other] == 0).all()
    # scales come from the posterior
    scale = several.posterior.recipe_scales
    assert np.array_equal(scale["recipe_link_sd"][:, 0], several.posterior.inside["recipe_link_sd"])
    assert set(accuracy(several, "other").shape) == {400, 3}
