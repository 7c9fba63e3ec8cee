"""Forecasts of a sparse table: models to come without FLOPs, at efforts; a fit without sampling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sparse_tables import BENCHMARKS, HIDDEN, sparse_fit, sparse_table

from bayes_obscaling.data import Split
from bayes_obscaling.data.dates import years_of
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import COMPUTE_CENTRE
from bayes_obscaling.models.links import response
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario
from bayes_obscaling.results.score import _Newcomer, score
from bayes_obscaling.results.storage import open_fit

LATENT = ["latent_flops_q5", "latent_flops", "latent_flops_q95"]
SOON = "2026-07-01"


@pytest.fixture(scope="module")
def fit() -> CapabilityFit:
    return sparse_fit()


def capability(fit: CapabilityFit, *scenarios: Scenario) -> np.ndarray:
    """Capabilities (draws, scenarios, factors)."""
    return fit.posterior.place(scenarios).theta[:, 0]


def test_a_scenario_without_flops_is_forecast_from_its_date(fit: CapabilityFit):
    asked = [Scenario("one", "Aster", date=SOON), Scenario("two", NEW_FAMILY, date=SOON)]
    answer = forecast(fit, [*asked, Scenario("three", "Aster", 1e26, date=SOON), *HIDDEN, "Aster-3"])
    rows = answer.to_dataframe().drop_duplicates("model").set_index("model")
    assert rows["basis"].tolist() == ["date", "date", "compute", "compute", "date", "benchmarks"]
    latent = rows.loc[["one", "two", "Cedar-4"], LATENT]
    assert np.isfinite(latent.to_numpy()).all() and (np.diff(latent.to_numpy(), axis=1) > 0).all()
    assert rows.loc[["three", "Dahlia-4"], LATENT].isna().all(axis=None) and np.isnan(rows.at["one", "flops"])
    assert np.isfinite(answer.draws.to_numpy()).all()
    # the trend: median compute is level, growth and the family's own part
    p, date = fit.posterior.measurement(0), fit.posterior.covariates("Aster", {"flops": [1e26], "date": [SOON]}).date
    typical = p["compute_level"] + p["compute_growth"] * date + p["family_compute"][:, 0]
    assert abs(np.log10(latent.at["one", "latent_flops"]) - COMPUTE_CENTRE - np.median(typical)) < 0.15
    width = np.log10(latent["latent_flops_q95"] / latent["latent_flops_q5"])
    assert width["two"] > 1.2 * width["one"]  # nobody knows how much a new family trains
    assert width["one"] > 0.8 * 3.29 * np.median(p["compute_sd"])


def test_without_a_trend_flops_are_asked_for(dated_fit: CapabilityFit):
    with pytest.raises(InputError, match="needs a positive number"):
        forecast(dated_fit, Scenario("one", "family-1", date=SOON), tasks="bench-0")


def test_lower_efforts_score_lower_and_no_reasoning_lower_still(fit: CapabilityFit):
    efforts = ["high", "medium", "low", "none"]
    p = fit.posterior.measurement(0)
    new = [Scenario("one", "Aster", date=SOON, effort=effort) for effort in efforts]
    reasoner = next(name for name in fit.table.other_settings["model"] if name not in HIDDEN)
    known = [Scenario(reasoner, effort=effort) for effort in efforts]
    for asked in (new, known):
        place = capability(fit, *asked)
        high = place[:, 0]
        np.testing.assert_allclose(high - place[:, 1], p["effort_step"], rtol=1e-9)
        np.testing.assert_allclose(high - place[:, 2], 2 * p["effort_step"], rtol=1e-9)
        np.testing.assert_allclose(high - place[:, 3], p["reasoning_step"], rtol=1e-9)
        answer = forecast(fit, asked, tasks="bench-0", kind="mean")
        assert answer.about["model"].nunique() == 4
        median = np.median(answer.samples("bench-0"), axis=0)
        assert (np.diff(median) < 0).all()
    np.testing.assert_allclose(capability(fit, known[0]), capability(fit, Scenario(reasoner)), rtol=1e-12)


def test_the_best_effort_of_a_model_to_come_is_the_usual_one_of_models_that_reason():
    """Models that do not reason, however many of them came lately, have no effort that counts."""
    table = sparse_table()
    scores, others = table.scores, table.other_settings
    recent = table.models.index[table.models["date"] > "2025-03"]
    plain = recent[::2].union(recent[1::4])
    assert len(recent) - len(plain) >= 2 and 2 * len(plain) > len(recent)
    hit = scores["model"].isin(plain)
    scores.loc[hit, ["setting", "reasoning"]] = ["none", 0.0]
    others = others[~others["model"].isin(plain)].reset_index(drop=True)
    fit = sparse_fit(type(table)(table.models, table.benchmarks, scores, other_settings=others), split=Split("", ()))
    high, low = (Scenario("one", "Aster", date=SOON, effort=effort) for effort in ("high", "low"))
    place = capability(fit, high, low)
    step = fit.posterior.measurement(0)["effort_step"]
    np.testing.assert_allclose(place[:, 0] - place[:, 1], 2 * step, rtol=1e-9)
    shift = fit.posterior.place([high]).theta - fit.posterior.place([high, low]).theta[..., :1, :]
    np.testing.assert_array_equal(shift, 0.0)
    from bayes_obscaling.results.beyond import effort_shifts

    np.testing.assert_allclose(effort_shifts(fit.posterior, [high]), 0.0, atol=1e-12)


def test_efforts_are_refused_by_a_fit_that_knows_none(dated_fit: CapabilityFit):
    for scenario in (Scenario("one", "family-1", 1e23, effort="low"), Scenario("family-1-0", effort="low")):
        with pytest.raises(InputError, match="knows no efforts: leave the effort out"):
            forecast(dated_fit, scenario, tasks="bench-0")
    with pytest.raises(InputError, match="'lots' is no setting"):
        Scenario("one", "family-1", 1e23, effort="lots")


@pytest.mark.parametrize("family", ["Birch", NEW_FAMILY])
def test_later_models_score_higher(fit: CapabilityFit, family: str):
    dates = ["2024-06-01", "2025-06-01", "2027-01-01", "2028-06-01"]
    answer = forecast(fit, [Scenario("one", family, date=date) for date in dates], tasks=list(BENCHMARKS), kind="mean")
    for task in BENCHMARKS:
        assert (np.diff(answer.samples(task).mean(axis=0)) > 0).all()
    line = fit.posterior.family_line(family, {"flops": np.full(4, 1e26), "date": np.array(dates)}).theta[:, 0]
    p, own = fit.posterior.measurement(0), fit.posterior.family_effects(family)["family_drift"][:, 0]
    rise = p["slope_mean"] * (p["drift"] + own) * 365 / 365.25  # within what was seen nothing strays
    np.testing.assert_allclose(line[:, 1] - line[:, 0], rise, rtol=1e-6)


@pytest.mark.parametrize("who", ["to come", "known"])
def test_scores_have_what_a_year_adds_beside_the_capabilities(fit: CapabilityFit, who: str):
    asked = Scenario("one", "Birch", date="2028-06-01") if who == "to come" else Scenario("Birch-3")
    p, names = fit.posterior.measurement(0), list(fit.layout.benchmarks[3:6])
    at = [fit.layout.benchmarks.index(name) for name in names]
    place = fit.posterior.place([asked])
    date = "2028-06-01" if who == "to come" else fit.table.models.at["Birch-3", "date"]
    np.testing.assert_allclose(place.date, years_of([date]))
    eta = (place.theta[:, 0, 0, None] * p["loading"][:, at]).sum(axis=-1) + p["difficulty"][:, at]
    eta = eta + p["benchmark_drift"][:, at] * place.date[0]
    expected = response(eta, 0.0, p["ceiling_gap"][:, at], p["asymmetry"][:, at])
    np.testing.assert_allclose(fit.posterior.expected(place, names)[:, 0], expected, rtol=1e-9)
    assert np.abs(p["benchmark_drift"][:, at] * place.date[0]).mean() > 0.02


def test_a_model_that_is_scored_has_it_too(fit: CapabilityFit):
    table = fit.table
    models = table.models.loc[["Birch-3"]].rename(index={"Birch-3": "Birch-9"}).assign(date="2028-06-01")
    scores = table.scores[table.scores["model"] == "Birch-3"].assign(model="Birch-9")
    both = type(table)(
        pd.concat([table.models, models]), table.benchmarks, pd.concat([table.scores, scores], ignore_index=True)
    )
    assert np.isfinite(score(fit, both).draws.to_numpy()).all()
    newcomer = _Newcomer(fit, both, "Birch-9", list(fit.tasks))
    drift = fit.posterior.measurement(0)["benchmark_drift"]
    np.testing.assert_allclose(
        newcomer.placed[0].offset, (drift * years_of(["2028-06-01"])[0])[newcomer.placed[0].rows]
    )
    place = newcomer._place(fit.posterior.at_draws(newcomer.placed[0].rows), 0)
    np.testing.assert_allclose(place.date, years_of(["2028-06-01"]))


def test_a_new_family_is_less_certain_than_a_known_one(fit: CapabilityFit):
    asked = [Scenario("one", family, 1e26, date="2026-01-01") for family in ("Aster", NEW_FAMILY)]
    spread = capability(fit, *asked).std(axis=0)
    assert (spread[1] > 1.1 * spread[0]).all()


def test_what_else_is_asked_changes_no_draw(fit: CapabilityFit):
    asked = [
        Scenario("one", "Aster", date=SOON),
        Scenario("two", NEW_FAMILY, date=SOON, effort="low"),
        Scenario("three", NEW_FAMILY, 1e27, date="2027-03-01"),
        Scenario("Cedar-4"),
        Scenario("Aster-3", effort="low"),
    ]
    together = forecast(fit, asked, tasks=list(BENCHMARKS))
    for i, scenario in enumerate(asked):
        alone = forecast(fit, scenario, tasks="bench-1")
        np.testing.assert_allclose(alone.samples("bench-1")[:, 0], together.samples("bench-1")[:, i], rtol=1e-12)
        latent = alone.about[LATENT].to_numpy(), together.about.loc[together.about["task"] == "bench-1", LATENT]
        np.testing.assert_allclose(latent[0][0], latent[1].iloc[i], rtol=1e-12)


def test_a_saved_fit_gives_the_same_forecast(fit: CapabilityFit, tmp_path: Path):
    again = open_fit(fit.save(tmp_path / "fit.nc"))
    assert again.spec == fit.spec and again.table == fit.table
    asked = [Scenario("one", NEW_FAMILY, date=SOON), Scenario("two", "Aster", date=SOON, effort="low"), *HIDDEN]
    one, other = (forecast(each, asked).draws.to_numpy() for each in (fit, again))
    np.testing.assert_array_equal(one, other)


def test_hidden_models_without_a_score_stray_beyond_what_was_seen(fit: CapabilityFit):
    """Of a hidden model that came last, efficiency has wandered since the latest release that was seen."""
    posterior = fit.posterior
    theta = posterior.measurement(0)["theta"][:, list(fit.layout.models).index("Cedar-4")]
    placed = capability(fit, Scenario("Cedar-4"))[:, 0]
    years = posterior.layout.measurements[0].covariates.date[list(fit.layout.models).index("Cedar-4")]
    ahead = float(years) - posterior.latest[NEW_FAMILY]
    assert ahead > 0.05
    strayed = (placed - theta) / posterior.measurement(0)["slope_mean"]
    np.testing.assert_allclose(strayed.std(axis=0), fit.spec.drift_walk * np.sqrt(ahead), rtol=0.2)


def test_tasks_of_a_sparse_table_are_read_off_its_capabilities():
    """Task heads stand on capabilities of a sparse table as on others: cut at a date, forecast from benchmarks."""
    table = sparse_table(tasks=2)
    split = Split.by_date(table, "2025-06-01")
    fit = sparse_fit(table, ["task-0"], split)
    assert fit.layout.structure.is_sparse and fit.layout.tasks == ("task-0", "task-1")
    answer = forecast(fit, tasks="task-0")
    assert set(answer.about["model"]) == set(split.held_out)
    assert (answer.about["basis"] == "benchmarks").all() and np.isfinite(answer.draws.to_numpy()).all()
    to_come = forecast(fit, Scenario("one", NEW_FAMILY, date=SOON), tasks=["task-0", "bench-0"])
    assert np.ptp(to_come.samples("task-0")) > 0.05 and (to_come.about["basis"] == "date").all()


def test_a_model_that_never_reasoned_has_no_effort_to_raise(fit: CapabilityFit):
    from bayes_obscaling.models.cells import reasons

    silent = reasons(fit.table)
    silent = silent.index[silent == 0.0]
    assert len(silent)
    with pytest.raises(InputError, match="has no score with reasoning: leave the effort out"):
        forecast(fit, Scenario(str(silent[0]), effort="high"))


def test_a_lower_effort_is_not_held_against_the_score_at_the_best(fit: CapabilityFit):
    model = "Aster-3"
    best, low = (forecast(fit, Scenario(model, effort=effort)).to_dataframe() for effort in ("", "low"))
    assert best["observed"].notna().any()
    assert low["observed"].isna().all() and not low["seen"].any()
