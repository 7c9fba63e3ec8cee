"""The gain of an intervention: by hand, by finite differences, against truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayes_obscaling.analyses.gain import gain
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import plot_drivers, plot_gain, plot_gain_curve
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import forecast

HEADS = ("weight", "task_difficulty", "task_family_offset", "task_ceiling_gap", "task_asymmetry", "task_overdispersion")


@pytest.fixture(scope="module")
def found(made_fit):
    return gain(made_fit, "task-0", "task-1", families=["family-3", "new"])


def with_draws(fit: CapabilityFit, **changed: np.ndarray) -> CapabilityFit:
    tree = fit.tree.copy()
    posterior = tree["posterior"].to_dataset()
    tree["posterior"] = type(tree)(posterior.assign({n: (posterior[n].dims, v) for n, v in changed.items()}))
    return dataclasses.replace(fit, tree=tree)


def twins(fit: CapabilityFit) -> CapabilityFit:
    """The fit with the second task's head, and chance, made those of the first."""
    draws = fit.draws
    same = {n: draws[n].isel(task=[0, 0]).transpose(*draws[n].dims).to_numpy() for n in HEADS}
    facts = fit.table.benchmarks
    facts.loc["task-1", "chance"] = facts.loc["task-0", "chance"]
    table = ScoreTable(fit.table.models, facts, fit.table.scores)
    return dataclasses.replace(with_draws(fit, **same), table=table)


def test_an_intervention_that_changes_nothing_gains_exactly_nothing(made_fit):
    """Only if a model's two scores come from the same draw of its capabilities."""
    nothing = gain(twins(made_fit), "task-0", "task-1", families="family-3")
    for frame in (nothing.table, nothing.parts["curve"]):
        np.testing.assert_allclose(frame["expected"], 0, atol=1e-12)
        assert (frame["probability_helps"] == 0).all()
        assert (frame["q5"] < 0).all() and (frame["q95"] > 0).all()  # evaluations still differ
    np.testing.assert_allclose(nothing.parts["drivers"]["median"], 0, atol=1e-12)


def test_the_interval_is_that_of_the_paired_difference(made_fit, found):
    both = forecast(made_fit, ["family-4-3"], tasks=["task-0", "task-1"]).draws.isel(scenario=0)
    row = found.table.set_index("model").loc["family-4-3"]
    difference = (both.sel(task="task-1") - both.sel(task="task-0")).to_numpy().ravel()
    bounds = np.quantile(difference, [0.05, 0.5, 0.95], method="inverted_cdf")
    assert row[["q5", "median", "q95"]].tolist() == pytest.approx(bounds.tolist())
    assert row["observed"] == pytest.approx(
        np.subtract(*made_fit.table.matrix(["task-1", "task-0"]).loc["family-4-3"].to_numpy())
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


def test_drivers_are_the_derivative_of_the_expected_gain(made_fit):
    model, step = "family-5-3", 1e-4
    drivers = gain(made_fit, "task-0", "task-1", models=[model]).parts["drivers"]
    names, theta = ["task-0", "task-1"], made_fit.draws["theta"]
    at = list(theta["model"].to_numpy()).index(model)
    assert made_fit.layout.reference[at] == 0  # so that moving it does not move the scale
    spread = made_fit.posterior.by_chain(made_fit.posterior.scales[1])

    def expected(fit: CapabilityFit) -> np.ndarray:
        means = forecast(fit, [model], tasks=names, kind="mean").draws.isel(scenario=0)
        return (means.sel(task="task-1") - means.sel(task="task-0")).to_numpy().ravel()

    before = expected(made_fit)
    for k in range(2):
        moved = theta.transpose("chain", "draw", "predictors", "model", "factor").to_numpy().copy()
        moved[..., at, k] += step * spread[..., 0, k]
        back = theta.transpose("chain", "draw", "predictors", "model", "factor").copy(data=moved).transpose(*theta.dims)
        slope = (expected(with_draws(made_fit, theta=back.to_numpy())) - before) / step
        bounds = np.quantile(slope, [0.05, 0.5, 0.95], method="inverted_cdf")
        assert drivers.loc[k, ["q5", "median", "q95"]].tolist() == pytest.approx(bounds.tolist(), abs=1e-3)
    assert drivers["probability_largest"].sum() == pytest.approx(1)


def test_a_new_family_is_less_certain_than_a_known_one(found):
    curve = found.parts["curve"].assign(width=lambda rows: rows["q95"] - rows["q5"])
    assert curve.groupby("family")["width"].mean()["new"] > curve.groupby("family")["width"].mean()["family-3"]
    known = curve[curve["family"] == "family-3"]
    assert known["beyond"].max() == pytest.approx(2) and known["beyond"].min() == 0


def test_what_cannot_be_asked_is_refused(made_fit, found):
    for tasks, message in (
        (("task-0", "task-0"), "Both scores are task-0"),
        (("task-0", "bench-1"), "no task head for bench-1"),
        (("task-0", "task-9"), "no benchmark or task 'task-9'"),
    ):
        with pytest.raises(InputError, match=message):
            gain(made_fit, *tasks)
    with pytest.raises(InputError, match="no family 'family-9'"):
        gain(made_fit, "task-0", "task-1", families="family-9")
    with pytest.raises(InputError, match="take capability or compute"):
        plot_gain(found, against="size")
    with pytest.raises(InputError, match="name families"):
        plot_gain_curve(dataclasses.replace(found, parts={}))


def test_the_plots_are_the_tables(found):
    ax = found.plot()
    medians = next(line for line in ax.lines if line.get_label() == "median, 90 % interval")
    np.testing.assert_allclose(medians.get_ydata(), found.table["median"])
    held = next(line for line in ax.lines if line.get_label() == "observed, held out")
    assert len(held.get_xdata()) == (~found.table["seen"] & found.table["observed"].notna()).sum()
    assert plot_gain(found, against="compute").get_xscale() == "log"
    curves = plot_gain_curve(found)
    assert {text.get_text() for text in curves.get_legend().get_texts()} == {"family-3", "a family never seen"}
    assert [t.get_text() for t in plot_drivers(found).get_yticklabels()] == ["bench-0", "bench-1"]
