"""What an expert checks first: forecasts of models that do not exist yet, beside those that came."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_obscaling.data import load_base_llms
from bayes_obscaling.data.splits import Split
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario

pytestmark = pytest.mark.slow

TASKS = ("MMLU", "GSM8K", "HellaSwag", "ARC-C", "HumanEval")
FLOPS = (3.6e25, 1e26, 1e27)


@pytest.fixture(scope="module")
def fitted() -> CapabilityFit:
    paper = load_base_llms("paper")
    return fit_table(paper, paper.benchmark_names, split=Split.all_seen(), draws=400)


@pytest.mark.parametrize("family", ["Llama-3", NEW_FAMILY])
def test_intervals_hold_what_a_later_model_of_comparable_compute_reached(fitted: CapabilityFit, family: str):
    everything = load_base_llms("all")
    later = everything.models.query("cohort == 'later' and flops > 3e25")
    assert list(later["family"]) == ["Llama-3.1"]  # 405B, of 3.6e25 FLOPs
    date = later["date"].iloc[0] if family == NEW_FAMILY else ""
    answer = forecast(fitted, Scenario("probe", family, FLOPS[0], date=date), tasks=list(TASKS))
    reached = everything.matrix(TASKS).loc[later.index].iloc[0].dropna()
    assert len(reached) == 4
    for task, score in reached.items():
        low, high = np.quantile(answer.samples(str(task)), [0.05, 0.95])
        assert low <= score <= high, (task, low, high)


@pytest.mark.parametrize("family", ["Llama-3", "Qwen1.5", NEW_FAMILY])
def test_forecasts_rise_with_compute_to_ends_that_wrong_keys_set(fitted: CapabilityFit, family: str):
    answer = forecast(fitted, [Scenario(f"{c:g}", family, c) for c in FLOPS], tasks=list(TASKS), kind="mean")
    for task in TASKS:
        assert (np.diff(np.median(answer.samples(task), axis=0)) > 0).all()
    gap = fitted.posterior.measurement(0)["ceiling_gap"]
    assert (np.quantile(gap, 0.95, axis=0) < 0.05).all()  # nothing is capped below .95
