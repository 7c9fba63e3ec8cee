"""What a year is worth in compute: by hand, against the prior, and as a result like others."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from bayes_obscaling.analyses.drift import Drift, drift
from bayes_obscaling.data.dates import date_at, years_of
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import COMPUTE_CENTRE
from bayes_obscaling.models.priors import LogNormal
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.scenario import NEW_FAMILY

FLOPS = 3e23


@pytest.fixture(scope="module")
def found(dated_fit: CapabilityFit) -> Drift:
    return drift(dated_fit, flops=FLOPS)


def row(found: Drift, capability: str, quantity: str) -> pd.Series:
    table = found.table
    return table[(table["capability"] == capability) & (table["quantity"] == quantity)].iloc[0]


def test_a_year_of_a_factor_is_its_drift(found: Drift, dated_fit: CapabilityFit):
    draws = dated_fit.posterior.measurement(0)["drift"]
    for k, factor in enumerate(dated_fit.layout.factors):
        decades, multiple = row(found, factor, "decades"), row(found, factor, "multiple")
        assert decades["median"] == pytest.approx(np.median(draws[:, k]), abs=0.005)
        assert decades["q95"] == pytest.approx(np.quantile(draws[:, k], 0.95), abs=0.01)
        for level in ("q5", "median", "q95"):
            assert multiple[level] == pytest.approx(10 ** decades[level])
    assert set(found.table["unit"]) == {"decades per year", "times per year", "score per year"}


def test_a_year_of_overall_capability_lies_between_those_of_its_factors(found: Drift, dated_fit: CapabilityFit):
    p = dated_fit.posterior.measurement(0)
    pace = p["slope_mean"] / p["theta"].std(axis=1)
    by_hand = (pace * p["drift"]).sum(axis=1) / pace.sum(axis=1)
    overall = row(found, "overall", "decades")
    assert overall["median"] == pytest.approx(np.median(by_hand), abs=0.005)
    factors = [row(found, factor, "decades")["median"] for factor in dated_fit.layout.factors]
    assert min(factors) < overall["median"] < max(factors)


def test_the_score_of_a_year_by_hand(found: Drift, dated_fit: CapabilityFit):
    """The anchor of the second factor has chance 0, loading 1 and difficulty 0."""
    p, nu_axis = dated_fit.posterior.measurement(0), dated_fit.layout.benchmarks.index("bench-1")
    nu, gap = p["asymmetry"][:, nu_axis], p["ceiling_gap"][:, nu_axis]

    def score(date: float) -> np.ndarray:
        x = np.log10(FLOPS) - COMPUTE_CENTRE + (p["drift"] * date)[:, 1]
        eta = p["intercept_mean"][:, 1] + p["slope_mean"][:, 1] * x
        a, u = 1 / (2 * nu * (1 - 2 ** (-1 / nu))), 2 ** (1 / nu) - 1
        return (1 - gap) * (1 - (1 - expit(a * eta + np.log(u))) ** nu)

    latest = dated_fit.posterior.latest[NEW_FAMILY]
    gained = score(latest + 1) - score(latest)
    assert row(found, "bench-1", "score")["median"] == pytest.approx(np.median(gained), abs=1e-3)
    assert found.date == date_at(latest) and f"In the year after {found.date}" in found.sentences[2]


def test_it_says_how_weakly_compute_and_date_are_told_apart(found: Drift, dated_fit: CapabilityFit):
    prior, models = found.parts["prior"], dated_fit.table.models
    assert prior["capability"].tolist() == list(dated_fit.layout.factors)
    assert prior["prior_median"].tolist() == [dated_fit.spec.priors.drift.median] * 2 and (prior["learned"] > 0.5).all()
    log_sd = np.log(dated_fit.posterior.measurement(0)["drift"]).std(axis=0)
    np.testing.assert_allclose(prior["learned"], 1 - (log_sd / dated_fit.spec.priors.drift.log_sd) ** 2)
    correlation = np.corrcoef(np.log10(models["flops"]), years_of(models["date"]))[0, 1]
    assert f"(correlation {correlation:.2f} over 24 models seen) are told apart" in found.sentences[-1]
    unsure = dated_fit.spec.priors.model_copy(update={"drift": LogNormal(median=0.8, log_sd=0.12)})
    spec = dated_fit.spec.model_copy(update={"priors": unsure})  # that would have learned little
    assert "are weakly told apart: the data took away" in drift(dataclasses.replace(dated_fit, spec=spec)).sentences[-1]


def test_it_is_a_result_like_others(found: Drift, dated_fit: CapabilityFit):
    summary = found.summary()
    assert summary["capability"].tolist() == ["overall", *dated_fit.layout.factors]
    assert (summary["multiple_q5"] < summary["multiple"]).all() and (
        summary["multiple"] < summary["multiple_q95"]
    ).all()
    assert np.isnan(summary["score"].iloc[0]) and (summary["score"].iloc[1:] > 0).all()
    assert found.verdict == "PASS" and "overall" in str(found) and "A year is worth" in found._repr_html_()
    assert len(json.loads(json.dumps(found.to_dict()))["parts"]["prior"]) == 2
    ax = found.plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == summary["capability"].tolist()


def test_the_reference_compute_is_checked(dated_fit: CapabilityFit):
    with pytest.raises(InputError, match="reference compute is 12 FLOPs"):
        drift(dated_fit, flops=12)
