"""What a release date does to a forecast: a fit with a drift, and one with asymmetric curves, made without sampling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayes_obscaling.data.dates import date_at
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results import storage
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario
from bayes_obscaling.results.storage import open_fit

FLOPS = 1e23


@pytest.fixture
def dated(dated_fit: CapabilityFit) -> CapabilityFit:
    return dated_fit


def capability(fit: CapabilityFit, family: str, date: str, flops: float = FLOPS) -> np.ndarray:
    """Capabilities (draws, factors) of one scenario; the same residual whatever the date."""
    return fit.posterior.place([Scenario("probe", family, flops, date=date)]).theta[:, 0, 0]


@pytest.mark.parametrize("family", ["family-1", NEW_FAMILY])
def test_a_year_is_worth_its_drift_in_decades_of_a_typical_family(dated: CapabilityFit, family: str):
    p = dated.posterior.measurement(0)
    rise = capability(dated, family, "2023-03-01") - capability(dated, family, "2022-03-01")
    np.testing.assert_allclose(rise, p["drift"] * p["slope_mean"] * 365 / 365.25, rtol=1e-9)


def test_without_a_date_a_family_comes_with_its_latest_release_and_a_new_one_with_the_table_s(dated: CapabilityFit):
    dates = dated.table.models["date"].groupby(dated.table.models["family"]).max()
    for family, date in (("family-1", dates["family-1"]), (NEW_FAMILY, dates.max())):
        np.testing.assert_allclose(capability(dated, family, ""), capability(dated, family, date), rtol=1e-12)
        assert date_at(dated.posterior.latest[family]) == date


def test_intervals_widen_with_time_beyond_the_table(dated: CapabilityFit):
    spread = [capability(dated, NEW_FAMILY, date).std(axis=0) for date in ("2026-01-01", "2030-01-01", "2040-01-01")]
    assert (spread[0] < spread[1]).all() and (spread[1] < spread[2]).all()
    calm = dated.posterior.measurement(0)["slope_mean"].mean(axis=0) * dated.spec.drift_walk * np.sqrt(16)
    assert (spread[2] > 0.8 * calm).all()  # sixteen years or so of walking alone


def test_a_fit_without_drift_does_not_read_dates(made_fit: CapabilityFit):
    early, late = (capability(made_fit, "family-1", date) for date in ("2015-01-01", "2035-01-01"))
    np.testing.assert_array_equal(early, late)


def test_an_asymmetric_benchmark_goes_on_towards_its_ceiling(dated: CapabilityFit):
    flops = [1e24, 1e26, 1e29]
    answer = forecast(dated, [Scenario("probe", "family-1", f) for f in flops], tasks="bench-0", kind="mean")
    median = np.median(answer.samples("bench-0"), axis=0)
    assert (np.diff(median) > 0).all()
    gap = dated.posterior.measurement(0)["ceiling_gap"][:, 0].mean()
    assert median[-1] < 1 - 0.75 * gap + 0.01


def test_dates_and_curves_are_saved(dated: CapabilityFit, tmp_path: Path):
    again = open_fit(dated.save(tmp_path / "fit.nc"))
    scenario = Scenario(family=NEW_FAMILY, flops=FLOPS, date="2027-05")
    assert again.spec == dated.spec and again.table.models["date"].equals(dated.table.models["date"])
    one, other = (forecast(fit, scenario, tasks="bench-0").draws.to_numpy() for fit in (dated, again))
    np.testing.assert_array_equal(one, other)


def test_a_spec_saved_before_there_were_curves_and_drift_means_what_it_meant(
    made_fit: CapabilityFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    dump: Callable[..., dict[str, Any]] = CapabilitySpec.model_dump
    new = ("curve", "task_curve", "drift", "drift_walk", "line_walk")
    monkeypatch.setattr(
        CapabilitySpec, "model_dump", lambda spec: {k: v for k, v in dump(spec).items() if k not in new}
    )
    path = made_fit.save(tmp_path / "old.nc")
    monkeypatch.undo()
    monkeypatch.setattr(storage, "CapabilitySpec", _later_defaults())
    loaded = open_fit(path).spec
    assert (loaded.curve, loaded.task_curve, loaded.drift) == ("logistic", "logistic", "none")


def _later_defaults() -> type[CapabilitySpec]:
    """A spec as a later version may have it: with a drift unless it says otherwise."""

    class Later(CapabilitySpec):
        curve: Any = "asymmetric"
        drift: Any = "model"

    return Later
