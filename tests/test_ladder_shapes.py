"""Five ladders as people have them: read, fitted without sampling, forecast; and what each cannot do, in a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import Scatter

import bayes_obscaling as bo
from bayes_obscaling import InputError, Scenario
from bayes_obscaling.data import Ladder
from bayes_obscaling.design.ladder import next_runs
from bayes_obscaling.evaluation.ladder_backtest import score_runs
from bayes_obscaling.inference.fit_ladder import fit_ladder
from bayes_obscaling.models.ladder import LadderSpec

TARGET = Scenario("target", params=3e9, tokens=6e10)


def runs() -> pd.DataFrame:
    """Three sizes at three token counts, one loss each and the accuracies of two tasks."""
    n = np.repeat([1e8, 3e8, 1e9], 3)
    d = n * np.tile([10.0, 20.0, 100.0], 3)
    loss = 1.8 + 480 * n**-0.35 + 2100 * d**-0.37
    share = 1 / (1 + np.exp(4 * (loss - 3.0)))
    return pd.DataFrame({"N": n, "D": d, "loss": loss, "hellaswag": 0.25 + 0.7 * share, "exam": 0.8 * share})


def shapes() -> dict[str, tuple[pd.DataFrame, str, set[str]]]:
    wide = runs()
    long = wide.melt(["N", "D", "loss"], var_name="task", value_name="accuracy")
    words = wide.assign(N=["100M"] * 3 + ["300M"] * 3 + ["1B"] * 3, D=["0.5xC", "1xC", "5xC"] * 3)
    both = pd.concat([long.assign(recipe="a"), long.assign(recipe="b", loss=long["loss"] * 1.02)])
    return {
        "one loss, a column per task": (wide, "c4_loss", {"loss", "accuracy"}),
        "accuracies alone": (long.drop(columns="loss"), "none", {"accuracy"}),
        "losses alone": (wide[["N", "D", "loss"]], "c4_loss", {"loss"}),
        "1.3B and 5xC": (words.rename(columns={"loss": "c4_loss"}), "c4_loss", {"loss", "accuracy"}),
        "two recipes": (
            both.assign(loss=both["loss"] * np.where(both["task"] == "exam", 1.3, 1.0)),
            "task_loss",
            {"loss", "accuracy"},
        ),
    }


@pytest.mark.parametrize("name", list(shapes()))
def test_a_ladder_is_read_fitted_and_forecast(name: str, tmp_path: Path) -> None:
    table, feature, quantities = shapes()[name]
    path = tmp_path / "mine.csv"
    table.to_csv(path, index=False)
    ladder = bo.read(path)
    assert isinstance(ladder, Ladder) and ladder.feature == feature
    assert {check.level for check in bo.check(path)} <= {"PASS", "REVIEW"}
    fit = fit_ladder(ladder, chains=2, draws=100, seed=1, sampler=Scatter())
    assert fit.spec.feature == feature
    forecast = bo.forecast(fit, TARGET)
    shown = forecast.to_dataframe()
    assert set(shown["quantity"]) == quantities and np.isfinite(shown[["q5", "median", "q95"]]).all(axis=None)
    assert set(shown["recipe"]) == {"same"} and forecast.to_dict()["notes"]
    saved = bo.open(fit.save(tmp_path / "fit.nc"))
    pd.testing.assert_frame_equal(bo.forecast(saved, TARGET).to_dataframe(), shown)
    assert set(score_runs(fit, ladder.at_size(1e9))["quantity"]) >= quantities


def test_the_same_ladder_is_not_sampled_twice(tmp_path: Path) -> None:
    ladder, how = bo.read(runs()), {"chains": 2, "draws": 100, "cache": tmp_path}
    first = fit_ladder(ladder, seed=1, sampler=Scatter(), **how)

    class Refusing(Scatter):
        def start(self, *_: object) -> None:
            raise AssertionError("sampled")

    again = fit_ladder(ladder, seed=1, sampler=Refusing(), **how)
    frames = [bo.forecast(fit, TARGET).to_dataframe() for fit in (first, again)]
    pd.testing.assert_frame_equal(*frames)
    assert again.worst_convergence == first.worst_convergence and again.notes == first.notes
    other = LadderSpec(feature="none")
    for changed in ({"seed": 2}, {"seed": 1, "spec": other}):
        with pytest.raises(AssertionError, match="sampled"):
            fit_ladder(ladder, sampler=Refusing(), **how, **changed)
    with pytest.raises(AssertionError, match="sampled"):
        fit_ladder(ladder.select(list(ladder.runs.index[1:])), seed=1, sampler=Refusing(), **how)


def test_losses_alone_answer_for_losses() -> None:
    fit = fit_ladder(bo.read(runs()[["N", "D", "loss"]]), chains=2, draws=100, seed=1, sampler=Scatter())
    assert "loss" in bo.forecast(fit, TARGET).plot().get_xlabel()
    table = next_runs(fit, [TARGET], sizes=[1e9, 3e9])
    truth = np.log(fit.posterior.scores([TARGET])["loss_curve"]).std(axis=0).mean()
    assert table["sd_target"].iloc[0] == pytest.approx(truth) and table["reduction"].iloc[1] > 0


def test_a_task_without_accuracies_has_losses_only() -> None:
    table = shapes()["two recipes"][0].drop(columns="recipe").drop_duplicates(["N", "D", "task"])
    table["accuracy"] = table["accuracy"].where(table["task"] != "exam")
    fit = fit_ladder(bo.read(table), chains=2, draws=100, seed=1, sampler=Scatter())
    forecast = bo.forecast(fit, TARGET)
    told = forecast.to_dataframe().groupby("quantity")["task"].apply(set).to_dict()
    assert told == {"loss": {"hellaswag", "exam"}, "accuracy": {"hellaswag"}}
    assert "No run has an accuracy on exam: none is forecast." in forecast.own_notes


def test_a_validation_loss_of_checkpoints_is_no_loss_of_tasks() -> None:
    fit = fit_ladder(bo.read(shapes()["two recipes"][0]), chains=2, draws=100, seed=1, sampler=Scatter())
    early = pd.DataFrame({"N": 3e9, "D": [1e10, 2e10], "val_loss": [2.9, 2.8]})
    with pytest.raises(InputError, match="not the ladder's, which has one of each task"):
        bo.forecast(fit, TARGET, update=early.assign(hellaswag=np.nan))
    both = early.assign(hellaswag=[0.5, 0.55])
    updated = bo.forecast(fit, TARGET, update=both)
    assert any("The loss of the checkpoints is left aside" in text for text in updated.sentences)
    without = bo.forecast(fit, TARGET, update=both.drop(columns="val_loss"))
    pd.testing.assert_frame_equal(updated.to_dataframe(), without.to_dataframe())


def test_two_recipes_are_forecast_by_name() -> None:
    table, _, _ = shapes()["two recipes"]
    fit = fit_ladder(bo.read(table), chains=2, draws=100, seed=1, sampler=Scatter())
    medians = [bo.forecast(fit, TARGET, recipe=name).to_dataframe()["median"].to_numpy() for name in ("a", "b")]
    assert not np.allclose(*medians)
    with pytest.raises(InputError, match="give one of same, similar, unknown, a, b"):
        bo.forecast(fit, TARGET, recipe="c")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (runs()[["N", "D"]], "none with the accuracies of one"),
        (runs().drop(columns="D"), "no column for D, the number of training tokens"),
        (runs().assign(D=20), "give tokens (100B), or a multiple of Chinchilla's (5xC)"),
        (runs().assign(hellaswag=runs()["hellaswag"] * 100), "of hellaswag is outside 0..1"),
        (runs().assign(N=1e9, D=runs()["N"] * 10 + runs()["D"]), "1 size: a law in N and D needs at least 3"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(table: pd.DataFrame, says: str) -> None:
    from bayes_obscaling.data import read_ladder

    with pytest.raises(InputError) as refused:
        fit_ladder(read_ladder(table), sampler=Scatter())
    assert says in str(refused.value) and str(refused.value).count(".csv") == 0 and str(refused.value).endswith(".")
