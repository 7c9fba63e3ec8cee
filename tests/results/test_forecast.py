"""Forecasts from a fit made without sampling; what only a sampled one can show, from the tiny fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import logit
from synthetic import HIDDEN

from bayes_obscaling.data import ScoreTable
from bayes_obscaling.data.dates import months_between
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import COMPUTE_CENTRE
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import Forecast, forecast
from bayes_obscaling.results.reach import compute_to_reach
from bayes_obscaling.results.scenario import Scenario

HUB_LEVELS = [0.01, 0.025, *np.arange(0.05, 0.951, 0.05).round(2), 0.975, 0.99]


def spread(answer: Forecast, scenario: str, task: str, share: float = 0.9) -> float:
    """Width of the central interval."""
    values = answer.draws.sel(scenario=scenario, task=task).to_numpy()
    return float(np.ptp(np.quantile(values, [0.5 - share / 2, 0.5 + share / 2])))


@pytest.fixture(scope="module")
def default(made_fit: CapabilityFit) -> Forecast:
    return forecast(made_fit)


def test_the_default_asks_for_every_hidden_score(default: Forecast, made_fit: CapabilityFit):
    models = made_fit.table.models
    above = set(models.index[models["flops"] > made_fit.split.cutoff])
    assert set(default.draws["scenario"].to_numpy()) == above | {HIDDEN}
    assert default.draws.dims == ("chain", "draw", "scenario", "task")
    frame = default.to_dataframe()
    assert len(frame) == 2 * len(above | {HIDDEN})
    assert not frame["seen"].any()
    np.testing.assert_array_equal(
        frame["observed"],
        [made_fit.table.matrix([t]).loc[m, t] for m, t in zip(frame["model"], frame["task"], strict=True)],
    )
    assert set(frame.loc[frame["basis"] == "compute", "model"]) == {HIDDEN}


def test_a_forecast_is_the_same_twice_and_alone(default: Forecast, made_fit: CapabilityFit):
    xr.testing.assert_identical(forecast(made_fit).draws, default.draws)
    new = Scenario("x", "new", 1e23)
    together = forecast(made_fit, ["family-0-3", new, HIDDEN, Scenario("y", "family-1", 1e24)]).draws
    for asked, name in ((HIDDEN, HIDDEN), (new, "x")):
        for task in ("task-0", "task-1"):
            alone = forecast(made_fit, asked, tasks=task).draws
            # the compiler may add in another order for another number of scenarios: the last bit
            np.testing.assert_allclose(alone.squeeze(), together.sel(scenario=name, task=task), rtol=1e-14)


def test_scores_are_fractions_and_quantiles_are_ordered(default: Forecast):
    frame = default.to_dataframe()
    columns = ["q2.5", "q5", "q10", "q25", "median", "q75", "q90", "q95", "q97.5"]
    assert (np.diff(frame[columns].to_numpy(), axis=1) >= 0).all()
    assert frame["q2.5"].min() >= 0
    assert frame["q97.5"].max() <= 1
    row = frame.iloc[3]
    values = default.draws.sel(scenario=row["model"], task=row["task"]).to_numpy()
    assert row["mean"] == pytest.approx(values.mean())
    assert row["sd"] == pytest.approx(values.std())
    assert row["q90"] == pytest.approx(np.quantile(values, 0.9))


def test_summary_columns_are_the_published_ones(default: Forecast, made_fit: CapabilityFit):
    frame = default.to_dataframe()
    front = ["model", "family", "flops", "task", "basis", "observed", "mean", "median", "sd"]
    assert list(frame)[:17] == [*front, "q2.5", "q5", "q10", "q25", "q75", "q90", "q95", "q97.5"]
    assert frame["converged"].all() and (frame["verdict"] == "PASS").all()
    assert frame["rhat"].iloc[0] == default.convergence.rhat
    assert default.convergence.rhat >= max(record.rhat for record in made_fit.convergence.values())
    assert default.convergence.ess_bulk <= min(record.ess_bulk for record in made_fit.convergence.values())


def test_held_out_scores_are_covered(tiny_fit: CapabilityFit, simulation):
    frame = forecast(tiny_fit).to_dataframe()
    assert not frame["converged"].any()  # 400 draws are too few to be sure
    held_out = frame[frame["observed"].notna()]
    inside = held_out["observed"].between(held_out["q2.5"], held_out["q97.5"])
    assert len(held_out) >= 18
    assert inside.mean() > 0.75
    error = (held_out["median"] - held_out["observed"]).abs().mean()
    flat = held_out.groupby("task")["observed"].transform("mean")
    assert error < (held_out["observed"] - flat).abs().mean()  # better than one number for all
    curve = [simulation.curve.loc[m, t] for m, t in zip(held_out["model"], held_out["task"], strict=True)]
    assert np.corrcoef(held_out["median"], curve)[0, 1] > 0.7


def test_seen_benchmarks_are_fitted(tiny_fit: CapabilityFit, simulation):
    answer = forecast(tiny_fit, "family-0-0", tasks=["bench-2", "bench-3"], kind="mean").to_dataframe()
    for row in answer.itertuples():
        assert row.seen
        assert abs(row.median - simulation.curve.loc["family-0-0", row.task]) < 0.08


def test_a_curve_is_narrower_than_a_new_evaluation(made_fit: CapabilityFit):
    asked = ["family-4-1", HIDDEN]
    response, mean = (
        forecast(made_fit, asked, tasks=["task-0", "bench-2"]),
        forecast(made_fit, asked, tasks=["task-0", "bench-2"], kind="mean"),
    )
    assert (response.draws.std(("chain", "draw")) > mean.draws.std(("chain", "draw"))).all()
    seen_noise = response.draws - mean.draws
    assert (np.abs(seen_noise.mean(("chain", "draw"))) < 0.01).all()


def test_an_unseen_family_is_wider_than_a_known_one(made_fit: CapabilityFit):
    """Not only wider: it must not be the last family of the table, whose row an index out of range would read."""
    flops = 10**22.5
    known = [Scenario(f"k{f}", f"family-{f}", flops) for f in range(6)]
    answer = forecast(
        made_fit, [*known, Scenario("n", "new", flops)], tasks=["bench-0", "bench-2", "task-0"], kind="mean"
    )
    for task in ("bench-0", "bench-2", "task-0"):
        widths = [spread(answer, f"k{f}", task) for f in range(6)]
        assert spread(answer, "n", task) > 1.2 * np.median(widths), task
        last = answer.draws.sel(scenario="k5", task=task).to_numpy().ravel()
        new = answer.draws.sel(scenario="n", task=task).to_numpy().ravel()
        assert abs(np.corrcoef(last, new)[0, 1]) < 0.8
        assert abs(np.median(last) - np.median(new)) > 0.02


def test_an_unseen_family_is_a_draw_from_the_population(made_fit: CapabilityFit):
    """By hand for an anchor (loading 1, difficulty 0): mean and spread of its logit over families."""
    answer = forecast(made_fit, Scenario("n", "new", 10**COMPUTE_CENTRE), tasks="bench-1", kind="mean")
    draws = made_fit.draws.isel(predictors=0)
    gap = draws["ceiling_gap"].sel(benchmark="bench-1")
    eta = logit(answer.draws.squeeze() / (1 - gap))  # chance of bench-1 is 0
    mean, k = draws["intercept_mean"].sel(factor="bench-1"), {"factor": "bench-1"}
    variance = (
        draws["intercept_sd"].sel(k) ** 2
        + draws["residual_sd"].sel(k) ** 2
        + draws["family_offset_sd"].sel(benchmark="bench-1") ** 2
    )
    z = ((eta - mean) / np.sqrt(variance)).to_numpy()  # independent standard normals
    assert abs(z.mean()) < 4.5 / np.sqrt(z.size)
    assert abs(z.std() - 1) < 4.5 / np.sqrt(2 * z.size)


def test_two_models_of_one_unseen_family_share_it(made_fit: CapabilityFit):
    asked = [Scenario("small", "new", 1e22), Scenario("large", "new", 10**22.3), Scenario("stranger", "family-0", 1e22)]
    draws = forecast(made_fit, asked, tasks="bench-1", kind="mean").draws.squeeze()
    small, large, stranger = (draws.sel(scenario=s).to_numpy().ravel() for s in ("small", "large", "stranger"))
    assert np.corrcoef(small, large)[0, 1] > 0.6
    assert abs(np.corrcoef(small, stranger)[0, 1]) < 0.4


def test_intervals_grow_with_compute_beyond_the_data(made_fit: CapabilityFit):
    """On the logit scale of an anchor, where no ceiling squeezes them."""
    steps = [0.0, 1.5, 3.0, 4.5]
    asked = [Scenario(f"{s}", "family-5", 10 ** (23.0 + s)) for s in steps]
    draws = forecast(made_fit, asked, tasks="bench-1", kind="mean").draws.squeeze("task")
    gap = made_fit.draws["ceiling_gap"].isel(predictors=0).sel(benchmark="bench-1")
    eta = logit(np.clip(draws / (1 - gap), 1e-12, 1 - 1e-12))
    widths = [float(np.ptp(np.quantile(eta.sel(scenario=f"{s}"), [0.05, 0.95]))) for s in steps]
    assert widths == sorted(widths)
    assert widths[-1] > 1.3 * widths[0]
    warned = forecast(made_fit, asked, tasks="bench-1")
    assert sum("decades of compute beyond" in sentence for sentence in warned.warnings) == 2
    distance = warned.to_dataframe().set_index("model")["distance"]
    assert distance["0.0"] == 0  # inside the family's own range
    assert distance["3.0"] == pytest.approx(26.0 - 24.2)  # its largest model has 10^24.2 FLOPs


def test_months_ahead_count_from_the_latest_model_seen(
    made_fit: CapabilityFit, dated_fit: CapabilityFit, default: Forecast
):
    asked = [Scenario("later", "family-5", 1e23, date="2027-01-01"), Scenario("some day", "new", 1e23)]
    months = forecast(dated_fit, asked, tasks="task-0").to_dataframe().set_index("model")["months_ahead"]
    newest = dated_fit.table.models["date"].max()
    assert months["later"] == pytest.approx(months_between(newest, "2027-01-01")) and np.isnan(months["some day"])
    models, seen = made_fit.table.models, made_fit.posterior.seen["task-0"]
    latest = models.loc[seen.index[seen], "date"].max()
    row = default.to_dataframe().query("task == 'task-0'").iloc[0]
    assert row["months_ahead"] == pytest.approx(months_between(latest, models.loc[row["model"], "date"]))


def test_probability_falls_with_the_threshold(default: Forecast):
    tables = [default.probability(t)["probability"].to_numpy() for t in np.linspace(0, 1, 21)]
    assert (np.diff(tables, axis=0) <= 0).all()
    assert (tables[0] == 1).all()
    model, task = default.about.loc[2, ["model", "task"]]
    values = default.draws.sel(scenario=model, task=task).to_numpy()
    assert default.probability(0.5).loc[2, "probability"] == (values >= 0.5).mean()


def test_compute_to_reach_by_hand(made_fit: CapabilityFit):
    """An anchor with chance 0: (1 - gap) sigmoid(a + b x + u) = level has one solution for each draw."""
    level, family = 0.6, "family-3"
    draws = made_fit.draws.isel(predictors=0).sel(family=family)
    gap = draws["ceiling_gap"].sel(benchmark="bench-1").to_numpy()
    a, b = (draws[name].sel(factor="bench-1").to_numpy() for name in ("intercept", "slope"))
    x = (logit(level / (1 - gap)) - a - draws["family_offset"].sel(benchmark="bench-1").to_numpy()) / b
    expected = (x + COMPUTE_CENTRE).ravel()
    found = np.log10(compute_to_reach(made_fit, "bench-1", level, family))
    inside = (b.ravel() > 0.1) & (expected > 18) & (expected < 30)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.01)


@pytest.mark.parametrize("task", ["bench-1", "task-0"])
def test_probability_is_a_half_at_the_median_compute(made_fit: CapabilityFit, task: str):
    flops = np.median(compute_to_reach(made_fit, task, 0.5, "family-4"))
    answer = forecast(made_fit, Scenario("at", "family-4", float(flops)), tasks=task, kind="mean")
    assert answer.probability(0.5)["probability"].item() == pytest.approx(0.5, abs=0.12)
    far = forecast(made_fit, Scenario("far", "family-4", float(flops) * 100), tasks=task, kind="mean")
    assert far.probability(0.5)["probability"].item() > 0.9


def test_compute_to_reach_is_infinite_where_the_curve_ends_below(made_fit: CapabilityFit):
    ceiling = 1 - made_fit.draws["ceiling_gap"].isel(predictors=0).sel(benchmark="bench-1").to_numpy().ravel()
    level = float(np.median(ceiling))
    reach = compute_to_reach(made_fit, "bench-1", level, "family-1")
    found = reach.draws
    assert reach.table["never"].item() == np.isinf(found).mean() > 0
    assert "probability" in reach.sentences[0] and "nan" not in str(reach)
    assert np.isinf(found[ceiling < level]).all()
    assert np.isfinite(found).any()
    easy = compute_to_reach(made_fit, "bench-1", 0.2, "family-1")
    assert np.median(easy) < np.median(compute_to_reach(made_fit, "bench-1", 0.5, "family-1"))


def test_hub_columns(default: Forecast):
    frame = default.to_hub()
    assert list(frame) == ["target", "model", "output_type", "output_type_id", "value"]
    assert set(frame["output_type"]) == {"quantile"}
    assert sorted(set(frame["output_type_id"])) == pytest.approx(HUB_LEVELS)
    assert len(frame) == len(HUB_LEVELS) * len(default.about)
    for _, group in frame.groupby(["model", "target"]):
        assert group.sort_values("output_type_id")["value"].is_monotonic_increasing
    median = frame[frame["output_type_id"] == 0.5].set_index(["model", "target"])["value"]
    expected = default.to_dataframe().set_index(["model", "task"])["median"]
    np.testing.assert_allclose(median.loc[list(expected.index)], expected)


def test_noise_follows_the_item_count(made_fit: CapabilityFit):
    """A benchmark of fewer items is noisier: variance is p (1 - p) (1 / n + phi^2) + floor^2."""
    benchmarks = made_fit.table.benchmarks
    benchmarks.loc["bench-2", "n_items"] = 20.0
    few = ScoreTable(made_fit.table.models, benchmarks, made_fit.table.scores)
    changed = dataclasses.replace(made_fit, table=few)
    asked = Scenario("x", "family-0", 1e22)
    sds = []
    for fit in (made_fit, changed):
        response, mean = (forecast(fit, asked, tasks="bench-2", kind=k).draws.to_numpy() for k in ("response", "mean"))
        sds.append((response - mean).std())
    p = mean.mean()
    assert sds[1] > sds[0]
    assert sds[1] ** 2 - sds[0] ** 2 == pytest.approx(p * (1 - p) * (1 / 20 - 1 / 1000), rel=0.4)


@pytest.mark.parametrize(
    ("scenario", "sentence"),
    [
        ("family-9-9", "did you mean family-"),
        (Scenario("x", "famly-3", 1e24), r"no family 'famly-3'.*did you mean family-3"),
        (Scenario("x", "family-3"), "needs a positive"),
        (Scenario("x", "new"), "needs a positive"),
        (Scenario("x", "family-3", 0.0), "needs a positive"),
        (Scenario("x", "family-3", -1e22), "needs a positive"),
        (Scenario("x", "family-3", float("inf")), "needs a positive"),
    ],
)
def test_scenarios_that_cannot_be_forecast(made_fit: CapabilityFit, scenario, sentence: str):
    with pytest.raises(InputError, match=sentence):
        forecast(made_fit, scenario)


def test_questions_that_cannot_be_answered(made_fit: CapabilityFit, default: Forecast):
    for ask, sentence in (
        (lambda: forecast(made_fit, HIDDEN, kind="median"), "take 'response' or 'mean'"),
        (lambda: forecast(made_fit, HIDDEN, tasks="task-7"), "did you mean task-"),
        (lambda: default.quantiles([0.5, 1.5]), "outside 0..1"),
        (lambda: default.probability(50), "outside 0..1"),
        (lambda: compute_to_reach(made_fit, "task-1", 0.2, "family-0"), "between the chance score"),
        (lambda: compute_to_reach(made_fit, "task-1", 0.5, "family-x"), "no family"),
    ):
        with pytest.raises(InputError, match=sentence):
            ask()


def test_family_names_ignore_case(made_fit: CapabilityFit):
    one, other = (forecast(made_fit, Scenario("x", name, 1e23), kind="mean").draws for name in ("family-3", "Family-3"))
    xr.testing.assert_identical(one, other)


def test_a_dict_stands_for_a_scenario(made_fit: CapabilityFit):
    by_hand = forecast(made_fit, Scenario(family="family-1", flops=1e23), tasks="task-0")
    for given in ({"family": "family-1", "flops": 1e23}, [{"family": "family-1", "flops": 1e23}]):
        np.testing.assert_array_equal(forecast(made_fit, given, tasks="task-0").draws, by_hand.draws)
    with pytest.raises(InputError, match="A scenario has no 'compute': its fields are model, family, flops"):
        forecast(made_fit, {"family": "family-1", "compute": 1e23})
    with pytest.raises(InputError, match="A float is no scenario: give the name of a model"):
        forecast(made_fit, [1e23])


def test_the_summary_is_what_is_read_first(made_fit: CapabilityFit):
    found = forecast(made_fit, tasks="task-0")
    summary, everything = found.summary(), found.to_dataframe()
    assert list(summary) == ["model", "task", "median", "q25", "q75", "q5", "q95", "observed", "verdict"]
    pd.testing.assert_frame_equal(summary, everything[list(summary)])
    assert len(everything.columns) == 32
    assert len(str(found).splitlines()) < 25


def test_numpy_reads_the_compute_to_reach_as_its_draws(made_fit: CapabilityFit):
    reach = compute_to_reach(made_fit, "task-0", 0.5, "family-1")
    assert np.quantile(reach, 0.5) == np.quantile(reach.draws, 0.5) and len(reach) == len(reach.draws)
    assert f"{reach.table['median'].item():.2g} FLOPs" in reach.sentences[0]
    assert reach.plot().get_title(loc="left").startswith("task-0")


def test_a_date_before_all_that_was_seen_is_warned_of(dated_fit: CapabilityFit):
    early, inside = (
        forecast(dated_fit, Scenario(family="new", flops=1e23, date=date), tasks="task-0")
        for date in ("2005-01-01", dated_fit.table.models["date"].iloc[0])
    )
    assert any("years before the first model seen" in text for text in early.warnings)
    assert not any("before the first model seen" in text for text in inside.warnings)
