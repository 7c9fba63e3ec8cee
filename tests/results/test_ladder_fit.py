"""A ladder fit and its forecasts."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_obscaling as bo
from bayes_obscaling import InputError
from bayes_obscaling.data import Ladder, load_olmo_ladder
from bayes_obscaling.design.ladder import next_runs
from bayes_obscaling.evaluation.ladder_backtest import accuracy_loo, score_runs
from bayes_obscaling.inference.fit_ladder import fit_ladder
from bayes_obscaling.inference.sampler import Nuts
from bayes_obscaling.models import ladder_equations
from bayes_obscaling.models.ladder import LadderPriors, LadderSpec
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.fit import LadderFit
from bayes_obscaling.results.ladder_forecast import OLMO_MODELS, forecast_ladder
from bayes_obscaling.results.scenario import Scenario
from bayes_obscaling.results.stages import Settings
from bayes_obscaling.results.storage import open_fit

COLUMNS = [
    "model",
    "N",
    "D",
    "recipe",
    "task",
    "quantity",
    "mean",
    "median",
    "sd",
    "q2.5",
    "q5",
    "q10",
    "q25",
    "q75",
    "q90",
    "q95",
    "q97.5",
    "converged",
    "rhat",
    "ess_bulk",
    "ess_tail",
    "divergences",
    "verdict",
]


@pytest.fixture(scope="module")
def short():
    """12 runs up to 760M, two tasks."""
    whole = load_olmo_ladder().below(1.2e9)
    values = whole.values[whole.values["task"].isin(["hellaswag", "piqa"])]
    return Ladder(whole.runs, whole.tasks.loc[["hellaswag", "piqa"]], values)


@pytest.fixture(scope="module")
def fit(short, cache_folder):
    sampler = Nuts({"ladder": Settings(warmup=300, target_accept=0.8, max_depth=6, dense=True)})
    return fit_ladder(short, chains=2, draws=200, seed=3, cache=cache_folder, sampler=sampler)


@pytest.fixture(scope="module")
def forecast(fit):
    return forecast_ladder(fit)


def test_forecast_table(forecast):
    table = forecast.to_dataframe()
    assert list(table.columns) == COLUMNS
    assert forecast.verdict == "FAIL" and set(table["verdict"]) == {"FAIL"} and not table["converged"].any()
    assert table.groupby(["model", "quantity"]).size().to_dict() == {
        (model, quantity): 2 for model in ("7B", "13B", "32B") for quantity in ("loss", "accuracy")
    }
    accuracy = table[table["quantity"] == "accuracy"]
    assert accuracy[["q2.5", "q97.5"]].stack().between(0, 1).all()
    assert (table["q5"] < table["median"]).all() and (table["median"] < table["q95"]).all()


def test_farther_is_wider(fit):
    near, far = Scenario("near", params=1e9, tokens=1e11), Scenario("far", params=3e10, tokens=3e12)
    sd = forecast_ladder(fit, [near, far]).to_dataframe().set_index(["model", "quantity", "task"])["sd"]
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
    again = open_fit(fit.save(tmp_path / "ladder.nc"))
    pd.testing.assert_frame_equal(forecast_ladder(again).to_dataframe(), forecast.to_dataframe())
    assert isinstance(again, LadderFit) and again.stages == fit.stages and again.provenance == fit.provenance
    assert again.spec == fit.spec and again.ladder.data_hash == fit.ladder.data_hash
    assert set(again.tree.children) == set(fit.tree.children)
    for group in fit.tree.children:
        xr.testing.assert_equal(again.tree[group].to_dataset(), fit.tree[group].to_dataset())
    with pytest.raises(InputError, match=r"another spec \(different: discrepancy\)"):
        open_fit(tmp_path / "ladder.nc", LadderSpec(discrepancy=False))
    with pytest.raises(InputError, match="another spec"):
        open_fit(tmp_path / "ladder.nc", CapabilitySpec())


def test_a_forecast_does_not_depend_on_what_else_is_asked(fit, forecast):
    alone = forecast_ladder(fit, OLMO_MODELS[1]).to_dataframe()
    together = forecast.to_dataframe().query("model == '13B'").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, together)


def test_true_loss_sharpens(fit):
    larger = Scenario("1.3B", params=1.28e9, tokens=2.56e11)
    losses = forecast_ladder(fit, larger).draws["loss"].median(("chain", "draw")).to_numpy()
    sd = forecast_ladder(fit, larger, losses).to_dataframe().groupby("quantity")["sd"].mean()
    assert sd["accuracy_given_loss"] < sd["accuracy"]


def test_warnings_say_where_a_model_lies(fit):
    inside, thin = Scenario("inside", params=4e8, tokens=1e10), Scenario("thin", params=2e9, tokens=2e9)
    warnings = forecast_ladder(fit, [inside, thin]).warnings
    assert "inside lies inside the ladder" in warnings[-2]
    assert "thin has 1 tokens per parameter, the ladder 20 to 200" in warnings[-1]


def test_short_chains_are_not_called_converged(fit):
    assert any("ESS" in problem for problem in fit.problems)


def test_bad_scenarios_are_refused(fit):
    with pytest.raises(InputError, match="N is -1"):
        Scenario("negative", params=-1, tokens=1e9)
    with pytest.raises(InputError, match="D is nan"):
        forecast_ladder(fit, Scenario("no tokens", params=1e9))
    with pytest.raises(InputError, match=r"0\.0 FLOPs"):
        forecast_ladder(fit, Scenario("no compute", params=1e9, tokens=1e9, flops=0))
    with pytest.raises(InputError, match="No model was named"):
        forecast_ladder(fit, [])
    with pytest.raises(InputError, match="Two scenarios are called a"):
        forecast_ladder(fit, [Scenario("a", params=1e9, tokens=1e9), Scenario("a", params=2e9, tokens=1e9)])


def test_a_scenario_knows_its_compute_and_has_a_name():
    assert Scenario("7B", params=7 * 10**9, tokens=4 * 10**12).as_run().flops == 6 * 7e9 * 4e12
    assert Scenario("7B", params=7e9, tokens=4e12, flops=2e23).as_run().flops == 2e23
    assert Scenario(params=7e9, tokens=4e12).name == "N=7e+09, D=4e+12"


def test_forecasts_inside_the_ladder_are_the_model_s_expectation(fit):
    """Without their luck, the ladder's own runs lie on the curves of the density that was sampled."""
    runs = fit.ladder.runs
    own = [Scenario(str(n), params=r["params"], tokens=r["tokens"], flops=r["flops"]) for n, r in runs.iterrows()]
    posterior, data = fit.posterior, fit.layout.data
    p = posterior.inside | {"luck": np.zeros((posterior.size, len(runs)))}
    of_loss, _ = ladder_equations.densities(p, data)
    law = np.asarray(of_loss.loc)
    # the last rung's own runs lie past the place where the next bend begins by as much as sizes of a rung differ
    inside = runs["params"].to_numpy() <= fit.ladder.sizes[-2] * 1.02
    curves = forecast_ladder(fit, own).draws
    forecast = curves["loss_curve"].to_numpy().reshape(posterior.size, len(runs), -1)
    np.testing.assert_allclose(forecast[:, inside], (np.exp(law) * fit.layout.unit)[:, inside], rtol=1e-10)
    accuracy = ladder_equations.expected_accuracy(p, np.maximum(np.exp(law), 1.0), data.bends)
    np.testing.assert_allclose(
        posterior.expected_accuracy(np.maximum(np.exp(law), 1.0) * fit.layout.unit), accuracy, rtol=1e-10
    )


def test_what_is_saved_of_every_value_is_its_density(fit):
    """Log likelihoods and residuals follow from the saved draws."""
    of_loss, of_accuracy = ladder_equations.densities(fit.posterior.inside, fit.layout.data)
    loss = np.log(fit.ladder.matrix("task_loss") / fit.layout.unit)
    seen = fit.posterior.by_chain(of_loss.log_prob(loss))
    np.testing.assert_allclose(fit.tree["log_likelihood"]["loss"], seen, rtol=1e-9, atol=1e-9)
    residual = (fit.ladder.matrix("accuracy") - of_accuracy.loc) / of_accuracy.scale
    np.testing.assert_allclose(fit.tree["residuals"]["accuracy"], fit.posterior.by_chain(residual), atol=1e-9)
    assert set(fit.stages[0].variables) == {str(name) for name in fit.draws}
    assert dict(fit.draws["slope_change"].sizes) == {"chain": 2, "draw": 200, "task": 2, "rung_end": 2}
    assert set(fit.stages[0].stats(fit.tree)) == {"diverging", "energy", "n_steps"}


def test_a_forecast_answers_as_that_of_scores_does(forecast):
    summary, levels = forecast.to_dataframe(), forecast.quantiles([0.5])
    assert np.allclose(levels["value"], summary["median"]) and list(levels["model"]) == list(summary["model"])
    chance = forecast.probability(0.5)
    assert set(chance["quantity"]) == {"accuracy"} and chance["probability"].between(0, 1).all()
    hub = forecast.to_hub()
    assert list(hub.columns) == ["target", "model", "output_type", "output_type_id", "value"]
    assert len(hub) == 23 * 3 * 2 and hub["value"].between(0, 1).all()
    with pytest.raises(InputError, match=r"outside 0\.\.1"):
        forecast.quantiles([1.5])
    with pytest.raises(InputError, match=r"outside 0\.\.1"):
        forecast.probability(7)


def test_a_run_of_the_model_s_size_teaches_most(fit):
    """An extra run of the model's own size and tokens leaves little of its variance; a run inside the ladder much."""
    larger = Scenario("next", params=1.28e9, tokens=1.28e9 * 200)
    table = next_runs(fit, [larger], sizes=[1.9e8, 1.28e9], multiples=[10.0])
    assert np.isnan(table.loc[0, "N"]) and table.loc[0, "reduction"] == 0
    by_size = table.dropna().set_index("N")["reduction"]
    assert by_size[1.28e9] > 0.3 > by_size[1.9e8] > -0.01


def test_curves_are_those_of_the_forecast(fit):
    from bayes_obscaling.results.ladder_curves import link_curve, loss_curves

    curves = loss_curves(fit, "piqa", along="tokens")
    assert curves.runs["curve"].nunique() == curves.table["curve"].nunique() == 3
    row = curves.table.iloc[-1]
    drawn = forecast_ladder(fit, Scenario("end", params=row["fixed"], tokens=row["tokens"], recipe="same")).draws
    np.testing.assert_allclose(row["q95"], np.percentile(drawn["loss_curve"].sel(loss_of="piqa"), 95))
    link = link_curve(fit, "piqa").table
    assert (link["q5"] <= link["median"]).all() and (link["median"] <= link["q95"]).all()
    assert link["median"].is_monotonic_decreasing and link["loss"].is_monotonic_increasing


def test_plots(fit, forecast):
    from bayes_obscaling.plots import plot_ladder_forecast, plot_link, plot_loss
    from bayes_obscaling.results.ladder_curves import link_curve, loss_curves

    everything = load_olmo_ladder("all")
    also = everything.select(["1B-10xC", "1B-5xC"])
    also = Ladder(also.runs, fit.ladder.tasks, also.values[also.values["task"].isin(fit.ladder.tasks.index)])
    ax = forecast.plot()
    assert "NOT CONVERGED" in next(text.get_text() for text in ax.texts if text.get_gid() == "verdict")
    medians = [line for line in ax.lines if not line.get_label().startswith("_")]
    assert len(medians) == len({line.get_color() for line in medians}) == 3
    assert len(plot_link(link_curve(fit, "piqa", also)).get_legend().get_texts()) == 4
    labels = [text.get_text() for text in plot_loss(loss_curves(fit, "hellaswag", also=also)).get_legend().get_texts()]
    # matplotlib lists them column by column; they are read row by row
    assert labels[::2] + labels[1::2] == [*(f"{n} tokens per parameter" for n in (20, 40, 100, 200)), "left out"]
    with pytest.raises(InputError, match="no task gsm8k"):
        link_curve(fit, "gsm8k")
    with pytest.raises(InputError, match="no accuracy_given_loss"):
        plot_ladder_forecast(forecast, quantity="accuracy_given_loss")


def test_command_from_a_saved_fit(fit, forecast, tmp_path, run):
    saved, csv = fit.save(tmp_path / "ladder.nc"), tmp_path / "ladder.csv"
    code, out, _ = run("ladder", "--fit", saved, "--output", csv, "--plot", tmp_path / "ladder.png")
    assert code == 0 and "NOT CONVERGED" in out and "7B: accuracy" in out
    table = pd.read_csv(csv)
    assert list(table.columns) == COLUMNS
    assert forecast.verdict == "FAIL" and set(table["verdict"]) == {"FAIL"} and not table["converged"].any()
    assert np.allclose(table["median"], forecast.to_dataframe()["median"])
    assert (tmp_path / "ladder.png").stat().st_size > 10_000
    code, out, _ = run("ladder", "--fit", saved, "--target", "name=A,N=2e9,D=1e12", "--json")
    assert code == 0 and {row["model"] for row in json.loads(out)["table"]} == {"A"}
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
        (["--fit", "x.nc", "--paper-runs"], "leave out --paper-runs"),
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
    assert diagnosis.level("bulk ESS") == "FAIL"  # 400 draws
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
    from bayes_obscaling.results.diagnostics import ladder as ladder_checks

    left_out = ladder_checks.leave_one_out(fit)
    for stage in left_out:
        assert np.exp(stage.log_weights).sum("draw").to_numpy() == pytest.approx(1.0)
    # an accuracy that no draw explains any better than another carries no weight
    same = dataclasses.replace(fit)
    density, residual = fit.posterior.pointwise
    same.posterior.pointwise = {name: 0.0 * values for name, values in density.items()}, residual
    table = ladder_checks.influence_table(same, ladder_checks.leave_one_out(same), ladder_checks.next_rung(same))
    assert table["shift"].abs().max() < 1e-9


def test_top_level_priors_are_those_of_the_density(fit):
    from bayes_obscaling.results.diagnostics import ladder as ladder_checks

    table = ladder_checks.prior_table(fit)
    of_others = {name for name in LadderPriors.model_fields if name.startswith("recipe_")} | {"checkpoint_gap"}
    assert set(table["prior"]) == set(LadderPriors.model_fields) - of_others
    run_sd = table.set_index("parameter").loc["run_sd"]
    assert run_sd["prior_median"] == pytest.approx(fit.spec.priors.run_sd.median)
    assert table["tail"].between(0, 1).all()


def test_a_fit_reports_the_priors_that_had_a_part_in_it():
    """One loss for all tasks has no luck beside its own noise, a single step no loss at all."""

    def named(feature):
        spec = LadderSpec(feature=feature)
        empty = LadderFit(ladder=load_olmo_ladder(), spec=spec, tree=xr.DataTree(), stages=(), provenance={"seed": 0})
        assert list(empty.priors) == list(empty.believed["priors"])
        assert LadderSpec(**json.loads(json.dumps(empty.believed))) == spec
        return set(empty.priors)

    assert named("task_loss") == set(LadderPriors.model_fields)
    assert set(LadderPriors.model_fields) - named("c4_loss") == {
        "bend_shared",
        "exponent_sd",
        "loss_sd_spread",
        "run_sd",
    }
    assert not {"level", "irreducible_share", "loss_sd", "coupling", "slope_change"} & named("none")
