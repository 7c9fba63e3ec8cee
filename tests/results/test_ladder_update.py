"""A run under way: what its checkpoints say of its recipe, against the formula, and what cannot be its checkpoints."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from synthetic import Scatter

import bayes_obscaling as bo
from bayes_obscaling import InputError, Scenario
from bayes_obscaling.data import Ladder, load_olmo_ladder
from bayes_obscaling.data.ladder_reading import read_checkpoints
from bayes_obscaling.inference.fit_ladder import fit_ladder
from bayes_obscaling.models.ladder_equations import NOISE_DF, loss_noise, run_luck
from bayes_obscaling.results.fit import LadderFit
from bayes_obscaling.results.ladder_update import _conditioned, _foretold, update_ladder

TASKS = ["arc_challenge", "piqa"]
TARGET = Scenario("7B", params=7e9, tokens=1.4e12, recipe="similar")
AT = (1e11, 3e11)


@pytest.fixture(scope="module")
def fit() -> LadderFit:
    """The same draw everywhere: weights are equal, and what is learned has a formula."""
    whole = load_olmo_ladder().below(1.2e9)
    short = Ladder(whole.runs, whole.tasks.loc[TASKS], whole.values[whole.values["task"].isin(TASKS)])
    fit = fit_ladder(short, chains=2, draws=1000, seed=3, sampler=Scatter())
    tree = fit.tree.copy()
    first = tree["posterior"].to_dataset().isel(chain=[0], draw=[0])
    many = first.isel(chain=[0, 0], draw=np.zeros(1000, int))
    tree["posterior"] = many.assign_coords(chain=[0, 1], draw=np.arange(1000))
    return dataclasses.replace(fit, tree=tree)


def checkpoints(fit: LadderFit, on_loss: float, on_link: float) -> pd.DataFrame:
    """Losses and accuracies of checkpoints that lie off the first draw's curves by an effect."""
    posterior = fit.posterior
    rows = []
    for tokens in AT:
        run = [Scenario(params=TARGET.params, tokens=tokens).as_run()]
        effects = np.full((posterior.size, 1, 2), on_loss), np.full((posterior.size, 1, 2), on_link)
        drawn = posterior.scores(run, effects=effects)
        loss, accuracy = (np.median(drawn[f"{name}_curve"][:, 0], axis=0) for name in ("loss", "accuracy"))
        for task, of_loss, of_accuracy in zip(TASKS, loss, accuracy, strict=True):
            rows.append({"N": 7e9, "D": tokens, "task": task, "loss": of_loss, "accuracy": of_accuracy})
    return pd.DataFrame(rows)


def test_losses_update_the_recipe_as_the_formula_says(fit: LadderFit) -> None:
    table = checkpoints(fit, -0.03, 0.0).drop(columns="accuracy")
    posterior, s = fit.posterior, 0
    scale = {name: value[s, 0] for name, value in posterior.recipe_scales.items()}
    runs = [Scenario(params=7e9, tokens=tokens).as_run() for tokens in AT]
    law = posterior.log_law(runs).reshape(posterior.size, -1)
    luck = run_luck(posterior.inside, posterior.runs(runs), np.ones(2))[s, 0]
    noise = np.asarray(loss_noise(posterior.inside, posterior.log_law(runs), posterior.runs(runs)).scale)[s]
    # the state: an effect of each task, luck, gap; draws differ in their bends beyond the ladder
    shared, sd = scale["recipe_shared"], scale["recipe_loss_sd"]
    prior = np.zeros((4, 4))
    prior[:2, :2] = sd**2 * (shared * np.ones((2, 2)) + (1 - shared) * np.eye(2))
    prior[2, 2], prior[3, 3] = luck**2, 0.01**2
    slope = np.array([[1, 0, 1, 1], [0, 1, 1, 1]] * 2, float)
    observed = np.log(table["loss"].to_numpy().reshape(2, 2) / fit.layout.unit).ravel() - law.mean(axis=0)
    variance = slope @ prior @ slope.T + np.diag((noise**2).ravel() * NOISE_DF / (NOISE_DF - 2)) + np.cov(law.T)
    mean = np.array([0, 0, 0, 0.01])
    gain = prior @ slope.T @ np.linalg.inv(variance)
    expected = mean + gain @ (observed - slope @ mean)
    left = prior - gain @ slope @ prior
    # each draw has scales of its own: those of the first draw are put into all
    posterior.__dict__["recipe_scales"] = {n: np.full((posterior.size, 1), v) for n, v in scale.items()}
    posterior.__dict__.pop("_effects", None)
    found = update_ladder(fit, TARGET, read_checkpoints(table))
    for name in ("recipe_scales", "_effects"):
        del posterior.__dict__[name]
    drawn = found.effects[0]
    assert np.abs(drawn.mean(axis=0) - expected[:2]).max() < 0.3 * np.sqrt(left[0, 0])
    np.testing.assert_allclose(drawn.std(axis=0), np.sqrt(np.diag(left)[:2]), rtol=0.15)
    assert not found.odd


def test_intervals_given_checkpoints_hold_what_a_draw_foretold_of_itself(fit: LadderFit) -> None:
    """Each draw in turn is the truth: its finished run lies in the 80 % interval that its checkpoints lead to."""
    early = read_checkpoints(checkpoints(fit, 0.0, 0.0))
    foretold, _, expected = _foretold(fit, TARGET, early, None)
    truths, held = np.arange(0, fit.posterior.size, 20), []
    outcome = np.log(foretold["loss"])
    for truth in truths:
        others = np.delete(np.arange(fit.posterior.size), truth)
        moved, _ = _conditioned(outcome[others], expected[others], expected[truth])
        low, high = np.quantile(moved, (0.1, 0.9), axis=0)
        held.append((low < outcome[truth]) & (outcome[truth] < high))
    assert np.abs(np.mean(held, axis=0) - 0.8).max() < 5 * np.sqrt(0.16 / len(truths))
    assert moved.std(axis=0).max() < 0.8 * outcome.std(axis=0).min()


def test_checkpoints_of_no_such_run_are_reported(fit: LadderFit) -> None:
    table = checkpoints(fit, 0.5, 0.0)
    found = bo.forecast(fit, TARGET, update=table)
    assert any("farther from what the ladder expects of a recipe 'similar'" in text for text in found.warnings)
    assert found.verdict != "PASS" and not any("farther" in text for text in found.problems)


def test_many_checkpoints_are_thinned_to_the_last(fit: LadderFit) -> None:
    early = checkpoints(fit, -0.02, 0.0)
    table = pd.concat([early.assign(D=early["D"] * share) for share in np.linspace(0.1, 1.0, 40)])
    found = update_ladder(fit, TARGET, read_checkpoints(table))
    assert "given 100 values of 25 of its checkpoints" in found.sentences[0]


@pytest.mark.parametrize("size", [{"params": 0, "tokens": 1e12}, {"params": 1e9, "tokens": 0}])
def test_a_target_of_nothing_is_refused(size: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"Scenario 7B: . is 0; give a positive number"):
        Scenario("7B", **size)


def test_the_order_of_checkpoints_does_not_matter(fit: LadderFit) -> None:
    early = checkpoints(fit, -0.02, 0.0)
    table = pd.concat([early.assign(D=early["D"] * share) for share in np.linspace(0.5, 1.0, 20)], ignore_index=True)
    there, back = (update_ladder(fit, TARGET, read_checkpoints(one)) for one in (table, table[::-1]))
    assert there.sentences == back.sentences
    np.testing.assert_allclose(there.scores["loss"], back.scores["loss"], rtol=1e-9)


def test_checkpoints_move_and_sharpen_the_forecast(fit: LadderFit) -> None:
    before = bo.forecast(fit, TARGET).to_dataframe().query("quantity == 'accuracy'")
    table = checkpoints(fit, -0.02, 0.5)
    after = bo.forecast(fit, TARGET, update=table)
    shown = after.to_dataframe().query("quantity == 'accuracy'")
    assert (shown["median"] > before["median"]).all() and (shown["sd"] < before["sd"]).all()
    assert any("given 8 values of 2 of its checkpoints" in sentence for sentence in after.sentences)
    # accuracies alone say the same of the link
    alone = bo.forecast(fit, TARGET, update=table.drop(columns="loss")).to_dataframe()
    assert (alone.query("quantity == 'accuracy'")["median"] > before["median"]).all()


def test_what_cannot_be_its_checkpoints(fit: LadderFit) -> None:
    table = checkpoints(fit, 0.0, 0.0)
    with pytest.raises(InputError, match=r"not of 7e\+09 parameters"):
        bo.forecast(fit, TARGET, update=table.assign(N=1e9))
    with pytest.raises(InputError, match=r"has 2e\+12 tokens, the target 1\.4e\+12"):
        bo.forecast(fit, TARGET, update=table.assign(D=table["D"].replace(3e11, 2e12)))
    with pytest.raises(InputError, match="none of the ladder's tasks"):
        bo.forecast(fit, TARGET, update=table.assign(task="quiz " + table["task"]))
    with pytest.raises(InputError, match="have no loss and no accuracy"):
        bo.forecast(fit, TARGET, update=table.assign(loss=np.nan, accuracy=np.nan))
    with pytest.raises(InputError, match="Checkpoints are of one run"):
        bo.forecast(fit, [TARGET, dataclasses.replace(TARGET, model="other")], update=table)
