"""A ladder fit and its forecasts."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import bayes_obscaling as bo
from bayes_obscaling import InputError
from bayes_obscaling.data import Ladder, load_olmo_ladder
from bayes_obscaling.design.ladder import next_runs
from bayes_obscaling.evaluation.ladder_backtest import accuracy_loo, score_runs
from bayes_obscaling.inference import ladder as inference
from bayes_obscaling.inference.ladder import fit_ladder
from bayes_obscaling.models.ladder import LadderPriors
from bayes_obscaling.results.diagnostics import ladder as ladder_checks
from bayes_obscaling.results.ladder import load_ladder_fit
from bayes_obscaling.results.ladder_forecast import OLMO_TARGETS, Target, forecast_ladder

COLUMNS = ["target", "N", "D", "task", "quantity", "mean", "median", "sd", "q2.5", "q5", "q10", "q25", "q75", "q90",
           "q95", "q97.5", "converged", "rhat", "ess_bulk", "ess_tail", "divergences", "verdict"]  # fmt: skip


@pytest.fixture(scope="module")
def short():
    """12 runs up to 760M, two tasks."""
    whole = load_olmo_ladder().below(1.2e9)
    values = whole.values[whole.values["task"].isin(["hellaswag", "piqa"])]
    return Ladder(whole.runs, whole.tasks.loc[["hellaswag", "piqa"]], values)


@pytest.fixture(scope="module")
def fit(short, cache_folder):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(inference, "LADDER_SETTINGS", {**inference.LADDER_SETTINGS, "warmup": 300, "max_depth": 6})
        return fit_ladder(short, chains=2, draws=100, seed=3, cache=cache_folder)


@pytest.fixture(scope="module")
def forecast(fit):
    return forecast_ladder(fit)


def test_forecast_table(forecast):
    table = forecast.summary()
    assert list(table.columns) == COLUMNS
    assert forecast.verdict == "FAIL" and set(table["verdict"]) == {"FAIL"} and not table["converged"].any()
    assert table.groupby(["target", "quantity"]).size().to_dict() == {
        (target, quantity): 2 for target in ("7B", "13B", "32B") for quantity in ("loss", "accuracy")
    }
    accuracy = table[table["quantity"] == "accuracy"]
    assert accuracy[["q2.5", "q97.5"]].stack().between(0, 1).all()
    assert (table["q5"] < table["median"]).all() and (table["median"] < table["q95"]).all()


def test_farther_is_wider(fit):
    near, far = Target("near", 1e9, 1e11), Target("far", 3e10, 3e12)
    sd = forecast_ladder(fit, [near, far]).summary().set_index(["target", "quantity", "task"])["sd"]
    assert (sd["far"] > 1.5 * sd["near"]).all()


def test_the_next_rung_is_inside_the_intervals(fit):
    """1.3B at 1, 2, 5, 10 Chinchilla, which the fit has not seen."""
    everything = load_olmo_ladder()
    tests = everything.select([run for run in everything.runs.index if run.startswith("1B-")])
    tests = Ladder(tests.runs, fit.ladder.tasks, tests.values[tests.values["task"].isin(fit.ladder.tasks.index)])
    cells = score_runs(fit, tests)
    assert len(cells) == 3 * 4 * 2
    accuracy = cells[cells["quantity"] == "accuracy"]
    assert accuracy["observed"].between(accuracy["q2.5"], accuracy["q97.5"]).mean() >= 0.75
    assert (accuracy["median"] - accuracy["observed"]).abs().mean() < 0.03
    assert (accuracy["q95"] - accuracy["q5"]).between(0.005, 0.2).all()


def test_save_and_load_give_the_same_forecast(fit, forecast, tmp_path):
    again = load_ladder_fit(fit.save(tmp_path / "ladder.nc"))
    pd.testing.assert_frame_equal(forecast_ladder(again).summary(), forecast.summary())
    assert again.spec == fit.spec and again.ladder.data_hash == fit.ladder.data_hash
    with pytest.raises(InputError, match="not a saved fit: give it to the ladder command"):
        bo.load_fit(tmp_path / "ladder.nc")


def test_a_forecast_does_not_depend_on_what_else_is_asked(fit, forecast):
    alone = forecast_ladder(fit, OLMO_TARGETS[1]).summary()
    together = forecast.summary().query("target == '13B'").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, together)


def test_true_loss_sharpens(fit):
    target = Target("1.3B", 1.28e9, 2.56e11)
    losses = forecast_ladder(fit, target).draws["loss"].median(("chain", "draw")).to_numpy()
    sd = forecast_ladder(fit, target, losses).summary().groupby("quantity")["sd"].mean()
    assert sd["accuracy_given_loss"] < sd["accuracy"]


def test_warnings_say_where_a_target_lies(fit):
    warnings = forecast_ladder(fit, [Target("inside", 4e8, 1e10), Target("thin", 2e9, 2e9)]).warnings
    assert "inside lies inside the ladder" in warnings[0]
    assert "thin has 1 tokens a parameter, the ladder 20 to 200" in warnings[1]


def test_short_chains_are_not_called_converged(fit):
    assert any("ESS" in problem for problem in fit.problems)


def test_bad_targets_are_refused(fit):
    with pytest.raises(InputError, match="N is -1"):
        Target("negative", -1, 1e9)
    with pytest.raises(InputError, match="Two targets are called a"):
        forecast_ladder(fit, [Target("a", 1e9, 1e9), Target("a", 2e9, 1e9)])


def test_a_run_at_the_target_teaches_most(fit):
    """An extra run of the target's own size and tokens leaves little of its variance; a run inside the ladder much."""
    target = Target("next", 1.28e9, 1.28e9 * 200)
    table = next_runs(fit, [target], sizes=[1.9e8, 1.28e9], multiples=[10.0])
    assert np.isnan(table.loc[0, "N"]) and table.loc[0, "reduction"] == 0
    by_size = table.dropna().set_index("N")["reduction"]
    assert by_size[1.28e9] > 0.3 > by_size[1.9e8] > -0.01


def test_plots(fit, forecast):
    from bayes_obscaling.plots.ladder import plot_ladder_forecast, plot_link, plot_loss

    everything = load_olmo_ladder("all")
    also = everything.select(["1B-10xC", "1B-5xC"])
    also = Ladder(also.runs, fit.ladder.tasks, also.values[also.values["task"].isin(fit.ladder.tasks.index)])
    assert "NOT CONVERGED" in forecast.plot().get_title("left")
    assert len(plot_link(fit, "piqa", also).get_legend().get_texts()) == 4
    labels = [text.get_text() for text in plot_loss(fit, "hellaswag", also=also).get_legend().get_texts()]
    assert labels == ["20 tokens a parameter", "40 tokens a parameter", "100 tokens a parameter",
                      "200 tokens a parameter", "left out"]  # fmt: skip
    with pytest.raises(InputError, match="no task gsm8k"):
        plot_link(fit, "gsm8k")
    with pytest.raises(InputError, match="no accuracy_given_loss"):
        plot_ladder_forecast(forecast, "accuracy_given_loss")


def test_command_from_a_saved_fit(fit, forecast, tmp_path, run):
    saved, csv = fit.save(tmp_path / "ladder.nc"), tmp_path / "ladder.csv"
    code, out, _ = run("ladder", "--fit", saved, "--output", csv, "--plot", tmp_path / "ladder.png")
    assert code == 0 and "NOT CONVERGED" in out and "7B: accuracy" in out
    table = pd.read_csv(csv)
    assert list(table.columns) == COLUMNS
    assert forecast.verdict == "FAIL" and set(table["verdict"]) == {"FAIL"} and not table["converged"].any()
    assert np.allclose(table["median"], forecast.summary()["median"])
    assert (tmp_path / "ladder.png").stat().st_size > 10_000
    code, out, _ = run("ladder", "--fit", saved, "--target", "name=A,N=2e9,D=1e12", "--json")
    assert code == 0 and {row["target"] for row in json.loads(out)["forecast"]} == {"A"}
    code, out, _ = run("ladder", "--fit", saved, "--next-run", "--output", csv)
    assert code == 0 and "reduction" in pd.read_csv(csv)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--target", "N=7e9"], "D is missing"),
        (["--target", "N=7e9,D=many"], "D is 'many', not a number"),
        (["--target", "7e9"], "not of the form N=7e9"),
        (["--runs", "nowhere.csv"], "Your own ladder needs a target"),
        (["--runs", "nowhere.csv", "--target", "N=1e9,D=1e11"], "no such file"),
        (["--backtest", "--compare"], "different questions"),
        (["--backtest", "--plot", "x.png"], "makes several fits"),
        (["--backtest", "--hold-out", "5e9"], "no runs of 5e+09 parameters"),
        (["--backtest", "--hold-out", "7.6e8"], "2 sizes"),
        (["--fit", "x.nc", "--paper-runs"], "--fit holds its own runs"),
        (["--plot", "x.gif"], "cannot be written as x.gif"),
    ],
)
def test_bad_options_are_one_sentence(arguments, says, run):
    code, _, err = run("ladder", *arguments)
    assert code == 2 and says in " ".join(err.split())
    assert "Traceback" not in err


def test_diagnosis_of_a_ladder(fit, tmp_path, run):
    diagnosis = bo.diagnose(fit)
    checks = diagnosis.table["check"].tolist()
    assert checks[:6] == ["R-hat", "bulk ESS", "tail ESS", "divergences", "E-BFMI", "tree depth"]
    assert {"Pareto k: losses", "calibration: accuracies", "prior conflict", "influential runs"} <= set(checks)
    assert diagnosis.level("bulk ESS") == "FAIL"  # 200 draws
    scores = diagnosis.parts["scores"].set_index("stage")
    assert len(scores) == 2 * 2 * len(fit.ladder.runs)
    assert scores["pit"].between(0, 1).all() and 0.75 < scores["pit"].between(0.05, 0.95).mean() < 1.0
    assert scores.loc["accuracies", "elpd"].sum() == pytest.approx(float(accuracy_loo(fit).elpd), abs=0.5)
    influence = diagnosis.parts["influence"]
    assert set(influence[influence["left_out"] == "everything"]["model"]) == set(fit.ladder.runs.index)
    path = fit.save(tmp_path / "ladder.nc")
    code, printed, _ = run("diagnose", path, "--output", tmp_path / "checks.csv", "--plot", tmp_path / "all.png")
    assert code == 1 and "FAIL" in printed and (tmp_path / "all.png").stat().st_size > 50_000
    assert pd.read_csv(tmp_path / "checks.csv")["level"].tolist() == diagnosis.table["level"].tolist()


def test_leaving_nothing_out_moves_nothing_and_weights_add_up(fit):
    left_out = ladder_checks.leave_one_out(fit)
    for stage in left_out:
        assert np.exp(stage.log_weights).sum("draw").to_numpy() == pytest.approx(1.0)
    # an accuracy that no draw explains any better than another carries no weight
    flat = fit.posterior.copy()
    flat["log_likelihood"] = flat["log_likelihood"].to_dataset() * 0.0
    same = dataclasses.replace(fit, posterior=flat)
    table = ladder_checks.influence_table(same, ladder_checks.leave_one_out(same), ladder_checks.next_rung(same))
    assert table["shift"].abs().max() < 1e-9


def test_top_level_priors_are_those_of_the_density(fit):
    table = ladder_checks.prior_table(fit)
    assert set(table["prior"]) == set(LadderPriors.model_fields)
    run_sd = table.set_index("parameter").loc["run_sd"]
    assert run_sd["prior_median"] == pytest.approx(fit.spec.priors.run_sd.median)
    assert table["tail"].between(0, 1).all()
