"""The gain of an intervention: by hand, by finite differences, against truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayes_obscaling.analyses.interventions import MEAN_GAIN, NO_CHANGE, OURS, check_gain, gain
from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.baselines import baseline
from bayes_obscaling.models.capability import feature_scale
from bayes_obscaling.plots.tasks import plot_drivers, plot_gain, plot_gain_curve
from bayes_obscaling.results.fit import Fit
from bayes_obscaling.results.forecast import forecast

HEADS = ("weight", "task_difficulty", "task_family_offset", "task_ceiling_gap", "task_overdispersion")


@pytest.fixture(scope="module")
def found(tiny_fit):
    return gain(tiny_fit, "task-0", "task-1", families=["family-3", "new"])


@pytest.fixture(scope="module")
def checked(tiny_fit):
    return check_gain(tiny_fit, "task-0", "task-1")


def with_draws(fit: Fit, **changed: np.ndarray) -> Fit:
    tree = fit.posterior.copy()
    posterior = tree["posterior"].to_dataset()
    tree["posterior"] = type(tree)(posterior.assign({n: (posterior[n].dims, v) for n, v in changed.items()}))
    return dataclasses.replace(fit, posterior=tree)


def twins(fit: Fit) -> Fit:
    """The fit with the second task's head, and chance, made those of the first."""
    draws = fit.draws
    same = {n: draws[n].isel(task=[0, 0]).transpose(*draws[n].dims).to_numpy() for n in HEADS}
    facts = fit.table.benchmarks
    facts.loc["task-1", "chance"] = facts.loc["task-0", "chance"]
    table = ScoreTable(fit.table.models, facts, fit.table.scores)
    return dataclasses.replace(with_draws(fit, **same), table=table)


def test_an_intervention_that_changes_nothing_gains_exactly_nothing(tiny_fit):
    """Only if a model's two scores come from the same draw of its capabilities."""
    nothing = gain(twins(tiny_fit), "task-0", "task-1", families="family-3")
    for frame in (nothing.table, nothing.parts["curve"]):
        np.testing.assert_allclose(frame["expected"], 0, atol=1e-12)
        assert (frame["probability_helps"] == 0).all()
        assert (frame["q5"] < 0).all() and (frame["q95"] > 0).all()  # evaluations still differ
    np.testing.assert_allclose(nothing.parts["drivers"]["median"], 0, atol=1e-12)


def test_the_interval_is_that_of_the_paired_difference(tiny_fit, found):
    both = forecast(tiny_fit, ["family-4-3"], tasks=["task-0", "task-1"]).draws.isel(scenario=0)
    row = found.table.set_index("model").loc["family-4-3"]
    difference = (both.sel(task="task-1") - both.sel(task="task-0")).to_numpy().ravel()
    bounds = np.quantile(difference, [0.05, 0.5, 0.95], method="inverted_cdf")
    assert row[["q5", "median", "q95"]].tolist() == pytest.approx(bounds.tolist())
    assert row["observed"] == pytest.approx(
        np.subtract(*tiny_fit.table.matrix(["task-1", "task-0"]).loc["family-4-3"].to_numpy())
    )


def test_gains_are_recovered(found, simulation):
    rows = found.table.set_index("model")
    assert "family-2-3" not in rows.index  # all of its scores are hidden
    truth = (simulation.curve["task-1"] - simulation.curve["task-0"])[rows.index]
    assert np.corrcoef(rows["expected"], truth)[0, 1] > 0.7
    held = rows[~rows["seen"].astype(bool)]
    assert len(held) > 5
    assert held["observed"].between(held["q5"], held["q95"]).mean() > 0.7
    assert rows["capability"].is_monotonic_increasing


def test_drivers_are_the_derivative_of_the_expected_gain(tiny_fit):
    model, step = "family-5-3", 1e-4
    drivers = gain(tiny_fit, "task-0", "task-1", models=[model]).parts["drivers"]
    names, theta = ["task-0", "task-1"], tiny_fit.draws["theta"]
    at = list(theta["model"].to_numpy()).index(model)
    reference = tiny_fit.posterior["observed_data"]["reference"].to_numpy()
    assert reference[at] == 0  # so that moving it does not move the scale
    _, spread = feature_scale(theta.transpose("chain", "draw", "predictors", "model", "factor").to_numpy(), reference)

    def expected(fit: Fit) -> np.ndarray:
        means = forecast(fit, [model], tasks=names, kind="mean").draws.isel(scenario=0)
        return (means.sel(task="task-1") - means.sel(task="task-0")).to_numpy().ravel()

    before = expected(tiny_fit)
    for k in range(2):
        moved = theta.transpose("chain", "draw", "predictors", "model", "factor").to_numpy().copy()
        moved[..., at, k] += step * np.asarray(spread)[..., 0, k]
        back = theta.transpose("chain", "draw", "predictors", "model", "factor").copy(data=moved).transpose(*theta.dims)
        slope = (expected(with_draws(tiny_fit, theta=back.to_numpy())) - before) / step
        bounds = np.quantile(slope, [0.05, 0.5, 0.95], method="inverted_cdf")
        assert drivers.loc[k, ["q5", "median", "q95"]].tolist() == pytest.approx(bounds.tolist(), abs=1e-3)
    assert drivers["probability_largest"].sum() == pytest.approx(1)


def test_held_out_gains_are_scored_beside_baselines(tiny_fit, checked):
    cells = checked.parts["cells"].set_index(["method", "model"])
    scores = tiny_fit.table.matrix(["task-0", "task-1"])
    observed = scores["task-1"] - scores["task-0"]
    models = cells.loc[OURS].index
    assert set(models) == set(tiny_fit.held_out) - {"family-2-3"}
    table = checked.table.set_index("method")
    assert table.loc[NO_CHANGE, "mae"] == pytest.approx(observed[models].abs().mean())
    seen = observed.drop(list(tiny_fit.held_out))
    assert cells.loc[MEAN_GAIN, "median"].iloc[0] == pytest.approx(seen.mean(), abs=0.02)
    split = Split("held out", tiny_fit.held_out, cutoff=tiny_fit.cutoff)
    points = [baseline("pc-3", tiny_fit.table, name, split).point for name in ("task-0", "task-1")]
    np.testing.assert_allclose(cells.loc["pc-3", "median"], (points[1] - points[0])[models])
    # ten cells and short chains: about as good as no change, which a wrong sign or unpaired draws would not be
    assert table.loc[OURS, "crps"] < 1.3 * table.loc[NO_CHANGE, "crps"]
    assert table.loc["pc-3", "difference"] == pytest.approx(table.loc[OURS, "crps"] - table.loc["pc-3", "crps"])


def test_a_new_family_is_less_certain_than_a_known_one(found):
    curve = found.parts["curve"].assign(width=lambda rows: rows["q95"] - rows["q5"])
    assert curve.groupby("family")["width"].mean()["new"] > curve.groupby("family")["width"].mean()["family-3"]
    known = curve[curve["family"] == "family-3"]
    assert known["beyond"].max() == pytest.approx(2) and known["beyond"].min() == 0


def test_what_cannot_be_asked_is_refused(tiny_fit, found):
    for tasks, message in (
        (("task-0", "task-0"), "Both scores are task-0"),
        (("task-0", "bench-1"), "no task head for bench-1"),
        (("task-0", "task-9"), "no benchmark or task 'task-9'"),
    ):
        with pytest.raises(InputError, match=message):
            gain(tiny_fit, *tasks)
    with pytest.raises(InputError, match="no family 'family-9'"):
        gain(tiny_fit, "task-0", "task-1", families="family-9")
    with pytest.raises(InputError, match="0 held-out"):
        check_gain(dataclasses.replace(tiny_fit, held_out=()), "task-0", "task-1")
    with pytest.raises(InputError, match="take capability or compute"):
        plot_gain(found, against="size")
    with pytest.raises(InputError, match="name families"):
        plot_gain_curve(dataclasses.replace(found, parts={}))


def test_the_plots_are_the_tables(found, checked):
    ax = found.plot()
    medians = next(line for line in ax.lines if line.get_label() == "median, 90 % interval")
    np.testing.assert_allclose(medians.get_ydata(), found.table["median"])
    held = next(line for line in ax.lines if line.get_label() == "observed, held out")
    assert len(held.get_xdata()) == (~found.table["seen"] & found.table["observed"].notna()).sum()
    assert plot_gain(found, against="compute").get_xscale() == "log"
    curves = plot_gain_curve(found)
    assert {text.get_text() for text in curves.get_legend().get_texts()} == {"family-3", "a family never seen"}
    assert [t.get_text() for t in plot_drivers(found).get_yticklabels()] == ["bench-0", "bench-1"]
    forecasts = next(line for line in checked.plot().lines if line.get_label() == "ours, 90 % interval")
    ours = checked.parts["cells"].query("method == @OURS")
    np.testing.assert_allclose(forecasts.get_xdata(), ours["observed"])
