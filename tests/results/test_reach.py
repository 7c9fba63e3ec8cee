"""At which compute, and at which release date, a family reaches a score; the dates assumed where none is given."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling import ask
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.data.dates import DATE_CENTRE, date_at, years_of
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import COMPUTE_CENTRE
from bayes_obscaling.results.curves import compute_curve, family_curves
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.reach import HORIZON_YEARS, compute_to_reach, date_to_reach
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario

FLOPS = 1e23
FAMILIES = ["family-1", NEW_FAMILY]


def with_drift(fit: CapabilityFit, drift: str) -> CapabilityFit:
    """The same draws, read as another spec."""
    return dataclasses.replace(fit, spec=fit.spec.model_copy(update={"drift": drift}))


def changed(fit: CapabilityFit, **values: float) -> CapabilityFit:
    """The same fit with variables of its posterior set to a number."""
    draws = fit.tree["posterior"].to_dataset()
    draws = draws.assign({name: draws[name] * 0 + value for name, value in values.items()})
    tree = fit.tree.copy()
    tree["posterior"] = type(tree)(draws)
    return dataclasses.replace(fit, tree=tree)


@pytest.fixture(scope="module")
def typical(dated_fit: CapabilityFit) -> CapabilityFit:
    """Models do not differ from their family's line: a forecast is one of a typical model."""
    return changed(dated_fit, residual_sd=0.0)


def latest_of(fit: CapabilityFit, family: str = NEW_FAMILY) -> float:
    return fit.posterior.latest[family]


def level_at(fit: CapabilityFit, task: str, family: str, years_ahead: float, share: float = 0.5) -> float:
    """A score that the family's typical model reaches by then with a probability of 1 - share."""
    date = date_at(latest_of(fit) + years_ahead)
    return float(np.quantile(family_curves(fit, task, family, np.array([FLOPS]), date), share))


# --- dates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("task", ["bench-1", "task-0"])
def test_having_reached_a_score_by_a_date_is_as_probable_as_the_forecast_says(
    typical: CapabilityFit, family: str, task: str
):
    level = level_at(typical, task, family, 2.0)
    found = date_to_reach(typical, task, level, family, FLOPS)
    seen = []
    for ahead in (-1.0, 0.0, 0.3, 1.0, 2.0, 3.5, 6.0, 9.0):
        date = date_at(latest_of(typical) + ahead)
        asked = Scenario("one", family, FLOPS, date=date)
        expected = forecast(typical, asked, tasks=task, kind="mean").samples(task)[:, 0]
        by_then = found.draws <= DATE_CENTRE + years_of(date)
        # draw by draw, but for those whose walk dips after it has reached the score, and dates between grid points
        assert (by_then != (expected >= level)).mean() < 0.02
        seen.append(by_then.mean())
    assert seen == sorted(seen) and seen[0] < 0.4 and seen[4] == pytest.approx(0.5, abs=0.02) and seen[-1] > 0.6


def test_the_walk_beyond_the_data_widens_the_date(dated_fit: CapabilityFit):
    level = level_at(dated_fit, "bench-1", NEW_FAMILY, 4.0)
    calm = dataclasses.replace(dated_fit, spec=dated_fit.spec.model_copy(update={"drift_walk": 0.0}))
    wild = dataclasses.replace(dated_fit, spec=dated_fit.spec.model_copy(update={"drift_walk": 1.0}))
    share = [date_to_reach(fit, "bench-1", level, NEW_FAMILY, FLOPS).draws for fit in (calm, wild)]
    before = [np.isfinite(one) & (one > DATE_CENTRE + latest_of(dated_fit)) for one in share]
    both = before[0] & before[1]
    assert both.mean() > 0.2
    assert not np.allclose(share[0][both], share[1][both], atol=0.05)
    np.testing.assert_allclose(  # what is reached before anything wanders is reached in either
        share[0][share[0] < DATE_CENTRE + latest_of(dated_fit)], share[1][share[0] < DATE_CENTRE + latest_of(dated_fit)]
    )


def test_the_date_by_hand(dated_fit: CapabilityFit):
    """Along a steady drift a score is reached where the line has gained what compute would have to bring."""
    calm = dataclasses.replace(dated_fit, spec=dated_fit.spec.model_copy(update={"drift_walk": 0.0}))
    family, level = "family-3", level_at(calm, "bench-1", "family-3", 1.0)
    date = date_to_reach(calm, "bench-1", level, family, FLOPS).draws - DATE_CENTRE
    compute = np.log10(compute_to_reach(calm, "bench-1", level, family, "2024-01-01").draws)
    p = calm.posterior.measurement(0)
    slope = calm.posterior.family_effects(family)["slope"][:, 0, 1]
    missing = (compute - np.log10(FLOPS)) * slope
    expected = years_of("2024-01-01") + missing / (p["drift"] * p["slope_mean"])[:, 1]
    inside = np.isfinite(date) & (date > date.min()) & np.isfinite(compute) & (compute > 18)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(date[inside], expected[inside], atol=0.02)


def test_compute_that_grows_reaches_a_score_earlier(dated_fit: CapabilityFit):
    level = level_at(dated_fit, "bench-1", NEW_FAMILY, 6.0)
    start = date_at(latest_of(dated_fit))
    still, grown = (
        date_to_reach(dated_fit, "bench-1", level, NEW_FAMILY, FLOPS, growth=growth, start=start)
        for growth in (0.0, 0.6)
    )
    assert (grown.draws <= still.draws).mean() > 0.98  # but for new families whose capability falls with compute
    assert np.median(grown) < np.median(still) - 2
    assert (grown.table["start"].item(), grown.table["growth"].item()) == (start, 0.6)
    at = date_at(latest_of(dated_fit) + 3)
    of_then = family_curves(dated_fit, "bench-1", NEW_FAMILY, np.array([FLOPS * 10**1.8]), at)[:, 0]
    by_then = grown.draws <= DATE_CENTRE + years_of(at)
    assert (by_then != (of_then >= level)).mean() < 0.02
    assert "growing by 0.6 decades a year" in grown.sentences[0] and start in grown.sentences[0]


def test_where_dates_are_looked_for(dated_fit: CapabilityFit):
    models = dated_fit.table.models["date"]
    mine = models[dated_fit.table.models["family"] == "family-1"]
    for family, growth, start, begins in (
        ("family-1", 0.0, "", mine.min()),
        (NEW_FAMILY, 0.0, "", models.min()),
        ("family-1", 0.5, "", models.max()),
        ("family-1", 0.0, "2023-05", "2023-05-01"),
    ):
        row = date_to_reach(dated_fit, "bench-1", 0.6, family, FLOPS, growth=growth, start=start).table.iloc[0]
        assert row["start"] == begins
        assert years_of(row["until"]) == pytest.approx(latest_of(dated_fit) + HORIZON_YEARS, abs=0.1)


def test_a_score_that_was_reached_and_one_that_is_out_of_reach_are_said_so(dated_fit: CapabilityFit):
    easy = date_to_reach(dated_fit, "bench-1", 0.05, "family-1", 1e25)
    assert easy.table["already"].item() > 0.9 and easy.table["median"].item() == easy.table["start"].item()
    assert "has reached 0.05 on bench-1 by 20" in easy.sentences[0]
    hard = date_to_reach(changed(dated_fit, drift=0.001), "bench-1", 0.97, "family-1", 1e20)
    row = hard.table.iloc[0]
    assert row["never"] > 0.9 and row["median"] == "" and np.isinf(np.median(hard))
    assert f"does not reach 0.97 on bench-1 before {row['until']}" in hard.sentences[0]
    for answer in (easy, hard):
        assert answer.verdict == "PASS" and "nan" not in str(answer) + answer._repr_html_()
        assert "NaN" not in json.dumps(answer.to_dict())


def test_the_answer_is_a_table_a_sentence_and_a_plot(dated_fit: CapabilityFit):
    level = level_at(dated_fit, "bench-1", NEW_FAMILY, 2.0)
    found = forecast(dated_fit, "family-1-1", tasks="bench-1").date_to_reach("bench-1", level, "NEW".lower(), FLOPS)
    row = found.summary().iloc[0]
    assert row["q5"] <= row["q25"] <= row["median"] <= (row["q75"] or "9") <= (row["q95"] or "9")
    assert years_of(row["median"]) + DATE_CENTRE == pytest.approx(np.median(found), abs=0.1)
    assert f"reaches {level:g} on bench-1 on {row['median']} (90 % interval" in found.sentences[0]
    assert len(found) == dated_fit.posterior.size and "DateToReach: 1 row" in str(found)
    ax = found.plot()
    assert "release date" in ax.get_title(loc="left") and "year" in ax.get_xlabel()


# --- compute ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("date", ["2023-01-01", "2029-01-01"])
@pytest.mark.parametrize("family", FAMILIES)
def test_compute_and_date_to_reach_are_one_answer(dated_fit: CapabilityFit, family: str, date: str):
    level = level_at(dated_fit, "bench-1", family, years_of(date) - latest_of(dated_fit), 0.4)
    compute = compute_to_reach(dated_fit, "bench-1", level, family, date)
    when = date_to_reach(dated_fit, "bench-1", level, family, FLOPS, start="2021-01")
    enough = compute.draws <= FLOPS
    assert 0.3 < enough.mean() < 0.9
    assert (enough != (when.draws <= DATE_CENTRE + years_of(date))).mean() < 0.02
    assert compute.table["date"].item() == date and f"released on {date}" in compute.sentences[0]


def test_a_later_date_saves_the_compute_that_its_drift_is_worth(dated_fit: CapabilityFit):
    first, second = (
        np.log10(compute_to_reach(dated_fit, "bench-1", 0.6, "family-3", date)) for date in ("2022-01-01", "2023-01-01")
    )
    p, slope = dated_fit.posterior.measurement(0), dated_fit.posterior.family_effects("family-3")["slope"][:, 0, 1]
    saved = (p["drift"] * p["slope_mean"])[:, 1] / slope * 365 / 365.25
    inside = (second > 18) & np.isfinite(first)
    assert inside.mean() > 0.8
    np.testing.assert_allclose((first - second)[inside], saved[inside], atol=0.01)


def test_an_asymmetric_curve_reaches_scores_above_the_ceiling_of_a_logistic_one(dated_fit: CapabilityFit):
    """At the same draws: the gap of the logistic curve is a ceiling, that of the asymmetric one wrong keys alone."""
    level, family = 0.93, "family-1"
    capped = changed(dated_fit, ceiling_gap=0.2, asymmetry=1.0)
    slow = changed(dated_fit, ceiling_gap=0.01, asymmetry=0.6)
    assert np.isinf(compute_to_reach(capped, "bench-1", level, family)).all()
    found = compute_to_reach(slow, "bench-1", level, family)
    p = slow.posterior.measurement(0)
    effects = slow.posterior.family_effects(family)
    eta = (
        effects["intercept"][:, 0, 1]
        + effects["slope"][:, 0, 1] * (np.log10(found.draws) - COMPUTE_CENTRE)
        + (p["drift"] * p["slope_mean"])[:, 1] * latest_of(slow, family)
        + effects["family_offset"][:, 0, 1]
    )
    inside = np.isfinite(found.draws)
    assert inside.mean() > 0.5
    nu, a = 0.6, 1 / (2 * 0.6 * (1 - 2 ** (-1 / 0.6)))
    score = 0.99 * (1 - (1 + (2 ** (1 / nu) - 1) * np.exp(a * eta[inside])) ** -nu)
    np.testing.assert_allclose(score, level, atol=0.002)
    early = date_to_reach(slow, "bench-1", level, family, 1e29)
    assert np.isfinite(early.draws).mean() > np.isfinite(date_to_reach(capped, "bench-1", level, family, 1e29)).mean()


# --- dates that nobody gave ---------------------------------------------------------------------------------------


def test_a_scenario_without_a_date_says_which_one_was_assumed(dated_fit: CapabilityFit):
    dates = dated_fit.table.models.groupby("family")["date"].max()
    asked = [
        Scenario("known", "family-1", FLOPS),
        Scenario("unknown", NEW_FAMILY, FLOPS),
        Scenario("given", NEW_FAMILY, FLOPS, date="2027-03"),
        "family-2-1",
    ]
    answer = forecast(dated_fit, asked, tasks="bench-1")
    rows = answer.to_dataframe().set_index("model")
    own = dated_fit.table.models.at["family-2-1", "date"]
    assert rows["date"].tolist() == [dates["family-1"], dates.max(), "2027-03-01", own]
    assert rows["dated_by"].tolist() == ["family's latest", "latest of all", "scenario", "model"]
    notes = [s for s in answer.sentences if s.startswith("Release date assumed")]
    assert notes == list(answer.own_notes) and len(notes) == 2
    assert f"the family's latest: known ({dates['family-1']})" in notes[0]
    assert f"the latest of all: unknown ({dates.max()})" in notes[1]
    assert "date" in answer.summary() and notes[0] in answer.to_dict()["notes"]
    assert "Release date assumed" in str(answer) and "Release date assumed" in answer._repr_html_()
    assert any("Release date assumed" in text.get_text() for text in answer.plot().texts)


def test_the_assumed_date_is_the_one_that_is_forecast(dated_fit: CapabilityFit):
    """Of the table as of lines: compute to reach, curves and equivalent compute stand at the same date."""
    for family in FAMILIES:
        date = forecast(dated_fit, Scenario("x", family, FLOPS), tasks="bench-1").about["date"].item()
        one, other = (compute_to_reach(dated_fit, "bench-1", 0.5, family, when) for when in ("", date))
        np.testing.assert_array_equal(one, other)
        assert one.table["date"].item() == date
        curve, same = (compute_curve(dated_fit, "bench-1", family, date=when) for when in ("", date))
        pd.testing.assert_frame_equal(curve.table, same.table)
        assert curve.date == date and f"(released on {date})" in curve.sentences[0]
        later = compute_curve(dated_fit, "bench-1", family, date="2030-01")
        assert (later.table["median"] > curve.table["median"]).all()
    at = float(np.log10(ask.equivalent_compute(dated_fit, "family-1-3", "family-1", "bench-1").median()))
    latest = dated_fit.table.models.at["family-1-3", "date"]
    assert latest == dated_fit.table.models.groupby("family")["date"].max()["family-1"]
    assert at == pytest.approx(np.log10(dated_fit.table.models.at["family-1-3", "flops"]), abs=1.0)


def test_models_whose_date_is_unknown_are_told(dated_fit: CapabilityFit):
    models = dated_fit.table.models
    models.loc["family-2-1", "date"] = ""
    models.loc[models["family"] == "family-4", "date"] = ""
    fit = dataclasses.replace(dated_fit, table=ScoreTable(models, dated_fit.table.benchmarks, dated_fit.table.scores))
    rows = forecast(fit, ["family-2-1", "family-4-0", "family-1-1"], tasks="bench-1")
    assert rows.about["dated_by"].tolist() == ["family's mean", "middle of all", "model"]
    assert len(rows.own_notes) == 2 and "family-4-0" in rows.own_notes[1]
    mean = years_of(models.loc[["family-2-0", "family-2-2", "family-2-3"], "date"]).mean()
    assert rows.about["date"].iloc[0] == date_at(mean)


def test_a_family_of_one_date(dated_fit: CapabilityFit):
    fit = with_drift(dated_fit, "family")
    rows = forecast(fit, ["family-1-0", "family-1-3", Scenario("x", "family-1", FLOPS)], tasks="bench-1").about
    assert rows["date"].nunique() == 1 and set(rows["dated_by"]) == {"family"}
    new = forecast(fit, Scenario("x", NEW_FAMILY, FLOPS), tasks="bench-1")
    assert new.about["dated_by"].tolist() == ["latest family's"] and "the latest family's: x" in new.own_notes[0]
    for refused in (
        lambda: forecast(fit, Scenario("x", "family-1", FLOPS, date="2027"), tasks="bench-1"),
        lambda: date_to_reach(fit, "bench-1", 0.6, "family-1", FLOPS),
    ):
        with pytest.raises(InputError, match=r"family-1 has one date.*ask for the family 'new'"):
            refused()
    assert np.isfinite(date_to_reach(fit, "bench-1", 0.6, NEW_FAMILY, FLOPS)).any()


@pytest.mark.parametrize(
    "ask_of",
    [
        lambda fit: forecast(fit, Scenario("x", "family-1", FLOPS, date="2027"), tasks="bench-1"),
        lambda fit: compute_curve(fit, "bench-1", "family-1", date="2027"),
        lambda fit: compute_to_reach(fit, "bench-1", 0.6, "family-1", "2027-01-01"),
        lambda fit: date_to_reach(fit, "bench-1", 0.6, "family-1", FLOPS),
        lambda fit: ask.drift(fit),
    ],
)
def test_a_fit_without_drift_refuses_dates_and_names_the_remedy(
    dated_fit: CapabilityFit, ask_of: Callable[[CapabilityFit], object]
):
    with pytest.raises(InputError, match="knows no dates: fit a table with release dates"):
        ask_of(with_drift(dated_fit, "none"))


def test_a_fit_without_drift_says_nothing_of_dates(dated_fit: CapabilityFit):
    fit = with_drift(dated_fit, "none")
    answer = forecast(fit, Scenario("x", NEW_FAMILY, FLOPS), tasks="bench-1")
    assert set(answer.about["date"]) == {""} and not answer.own_notes and "date" not in answer.summary()
    reach = compute_to_reach(fit, "bench-1", 0.6, NEW_FAMILY)
    assert reach.table["date"].item() == "" and "released" not in reach.sentences[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": 1.2}, "between the chance score"),
        ({"family": "famly-1"}, "did you mean family-1"),
        ({"task": "bench-9"}, "did you mean"),
        ({"flops": 12.0}, "FLOPs"),
        ({"growth": -1.0}, "growth of compute is -1"),
        ({"growth": float("nan")}, "growth of compute is nan"),
        ({"start": "soon"}, "'soon' is no date"),
    ],
)
def test_dates_that_cannot_be_asked_for(dated_fit: CapabilityFit, change: dict[str, object], message: str):
    asked = {"task": "bench-1", "level": 0.6, "family": "family-1", "flops": FLOPS, **change}
    with pytest.raises(InputError, match=message):
        date_to_reach(dated_fit, **asked)
