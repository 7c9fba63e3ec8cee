"""Forecasts at a size and a number of tokens: under compute alone, and under the law of both; made without sampling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import synthetic

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.models.priors import Normal
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.leave_one_out import leave_one_out
from bayes_obscaling.results.leave_one_out.benchmarks import predict_left_out
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario
from bayes_obscaling.results.storage import open_fit
from bayes_obscaling.validation.simulate import Simulation

N, D = 8e9, 15e12
FLOPS = 6 * N * D


@pytest.fixture
def sized(sized_fit: CapabilityFit) -> CapabilityFit:
    return sized_fit


@pytest.fixture(scope="module")
def alone(tiny_spec: CapabilitySpec) -> CapabilityFit:
    made = synthetic.simulate(11, tiny_spec, sized=True)
    return synthetic.made_fit(made, tiny_spec, tasks=("bench-0", "task-0"), split=Split.all_seen())


def capability(fit: CapabilityFit, **facts: float) -> np.ndarray:
    """Capabilities (draws, factors) of a new family's model; the same residual whatever its size."""
    return fit.posterior.place([Scenario("probe", NEW_FAMILY, **facts)]).theta[:, 0, 0]


def test_ten_times_the_tokens_per_parameter_are_worth_their_decades_of_compute(sized: CapabilityFit):
    p, slope = sized.posterior.measurement(0), sized.posterior.family_effects(NEW_FAMILY)["slope"][:, 0]
    wide = capability(sized, params=N * np.sqrt(10), tokens=D / np.sqrt(10))
    np.testing.assert_allclose(capability(sized, params=N, tokens=D) - wide, slope * p["ratio_worth"], rtol=1e-6)


@pytest.mark.parametrize(
    "facts", [{"params": N, "tokens": D}, {"flops": FLOPS, "tokens": D}, {"flops": FLOPS, "params": N}]
)
def test_two_of_compute_size_and_tokens_are_one_scenario(sized: CapabilityFit, facts: dict[str, float]):
    answer, whole = (
        forecast(sized, Scenario(family=NEW_FAMILY, **known)) for known in (facts, {"params": N, "tokens": D})
    )
    assert list(answer.draws["scenario"].values) == ["new @ 7.2e+23 FLOPs, 1.88e+03 tokens/param"]
    np.testing.assert_allclose(answer.draws, whole.draws, rtol=1e-9)
    row = answer.to_dataframe().iloc[0]
    assert row["tokens_per_param"] == pytest.approx(D / N) and row["ratio_by"] == "scenario"
    assert not [note for note in answer.own_notes if "per parameter" in note]


@pytest.mark.parametrize(("family", "whose"), [("family-1", "family's latest"), (NEW_FAMILY, "recent models'")])
def test_a_ratio_that_nobody_gave_is_assumed_and_said(sized: CapabilityFit, family: str, whose: str):
    models = sized.table.models
    latest = models[models["date"] == models.loc[models["family"] == "family-1", "date"].max()]
    own = latest[latest["family"] == "family-1"]
    recent = models[models["date"] >= "2023-05-01"] if family == NEW_FAMILY else own
    typical = 10 ** np.log10(recent["tokens"] / recent["params"]).median()
    answer = forecast(sized, Scenario(family=family, flops=FLOPS))
    row = answer.to_dataframe().iloc[0]
    assert row["tokens_per_param"] == pytest.approx(typical) and row["ratio_by"] == whose
    assert any(f"Tokens per parameter assumed, the {whose}" in note for note in answer.own_notes)
    said = forecast(sized, Scenario("probe", family, FLOPS, params=np.sqrt(FLOPS / 6 / typical)))
    np.testing.assert_allclose(said.means, forecast(sized, Scenario("probe", family, FLOPS)).means, rtol=1e-9)


def test_far_more_tokens_than_anyone_has_used_are_a_warning(sized: CapabilityFit):
    assert not forecast(sized, Scenario(family=NEW_FAMILY, params=N, tokens=D)).warnings
    far = forecast(sized, Scenario(family=NEW_FAMILY, params=1e8, tokens=1e13))
    assert any("1e+05 tokens per parameter, 1." in text and "than any measured model" in text for text in far.warnings)


def test_a_saved_fit_forecasts_the_same(sized: CapabilityFit, tmp_path: Path):
    again = open_fit(sized.save(tmp_path / "fit.nc"))
    assert isinstance(again, CapabilityFit) and again.spec.compute_law == "size-and-data"
    scenario = Scenario(family="family-1", params=N, tokens=D)
    np.testing.assert_array_equal(forecast(sized, scenario).draws, forecast(again, scenario).draws)


def test_without_worth_it_forecasts_like_compute_alone(alone: CapabilityFit, sized: CapabilityFit):
    """The draws of a fit of compute alone, and a worth of 0: whatever the ratio, forecasts are the same to the bit."""
    flat = sized.posterior.at_draws(np.arange(sized.posterior.size))
    flat._arrays = {**flat._arrays, **alone.posterior._arrays, "ratio_worth": 0.0 * flat._arrays["ratio_worth"]}
    asked = [Scenario("probe", NEW_FAMILY, FLOPS, params=N, tokens=D), Scenario("probe", "family-1", FLOPS)]
    plain = [Scenario("probe", NEW_FAMILY, FLOPS), Scenario("probe", "family-1", FLOPS)]
    for one, other in zip(flat.scores(asked, ["bench-0"]), alone.posterior.scores(plain, ["bench-0"]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_under_compute_alone_size_and_tokens_are_6nd(alone: CapabilityFit):
    by_size, by_compute = (
        forecast(alone, Scenario(family="family-1", **facts))
        for facts in ({"params": N, "tokens": D}, {"flops": FLOPS})
    )
    np.testing.assert_array_equal(by_size.draws, by_compute.draws)
    assert list(by_size.draws["scenario"].values) == list(by_compute.draws["scenario"].values)
    assert "ratio_by" not in by_size.to_dataframe()


def test_what_is_not_read_or_contradicts_is_refused(alone: CapabilityFit, sized: CapabilityFit):
    with pytest.raises(InputError, match=r"reads nothing else of size.*--compute-law size-and-data"):
        forecast(alone, Scenario(family="family-1", flops=FLOPS, tokens=D))
    with pytest.raises(InputError, match=r"0\.0139 times the FLOPs of 6 N D"):
        forecast(sized, Scenario(family="family-1", flops=1e22, params=N, tokens=D))
    with pytest.raises(InputError, match="needs a positive number"):
        forecast(sized, Scenario(family="family-1", params=N))


def test_scores_left_out_are_forecast_at_their_ratio(sized: CapabilityFit):
    assert all(np.isfinite(part.scores["elpd"]).all() for part in leave_one_out(sized))
    left_out = predict_left_out(sized)
    assert np.isfinite(left_out["median"]).all()


@pytest.mark.slow
def test_the_worth_of_tokens_per_parameter_is_recovered(tiny_spec: CapabilitySpec, simulate: Callable[..., Simulation]):
    """Five tables in which a decade is worth .3 decades of compute: intervals of both factors hold it."""
    spec = tiny_spec.model_copy(update={"compute_law": "size-and-data"})
    exact = spec.priors.model_copy(update={"ratio_worth": Normal(loc=0.3, scale=1e-9)})
    medians, inside = [], []
    for seed in range(5):
        made = simulate(seed, spec.model_copy(update={"priors": exact}), n_families=8, per_family=5, sized=True)
        np.testing.assert_allclose(made.truth["ratio_worth"], 0.3)
        table: ScoreTable = made.table
        fit = fit_table(table, table.benchmark_names, spec=spec, chains=2, draws=400, seed=seed)
        low, median, high = fit.draws["ratio_worth"].isel(predictors=0).quantile([0.05, 0.5, 0.95], ("chain", "draw"))
        medians.append(median.to_numpy())
        inside.append((low <= 0.3) & (high >= 0.3))
    assert np.mean(inside) >= 0.7
    assert abs(np.mean(medians) - 0.3) < 0.1
