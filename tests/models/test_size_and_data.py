"""The law of size and data: its equation number by number, what it leaves alone, and which tables it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import trace_of

import bayes_obscaling as bo
from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.fit import head_structure
from bayes_obscaling.models.capability import centring, measurement
from bayes_obscaling.models.capability_equations import RATIO_CENTRE, ratio_of
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.spec import CapabilitySpec

ALONE, SIZED = CapabilitySpec(), CapabilitySpec(compute_law="size-and-data")
LLAMA_8B = "meta-llama/Meta-Llama-3-8B"


@pytest.fixture(scope="module")
def layouts(paper: ScoreTable) -> dict[str, Layout]:
    return {spec.compute_law: lay_out(paper, ["MMLU"], Split.all_seen(), spec) for spec in (ALONE, SIZED)}


def means(layout: Layout, **values: Any) -> np.ndarray:
    """Means (M, K) of the capabilities around which models scatter, at one draw of all that is not given."""
    spec = SIZED if layout.structure.compute_law == SIZED.compute_law else ALONE
    trace = trace_of(measurement, 0, layout.measurements[0], spec.priors, layout.structure, **values)
    return np.asarray(trace["theta_raw"]["fn"].loc) / centring(layout.structure)


def drawn(layout: Layout) -> dict[str, Any]:
    trace = trace_of(measurement, 5, layout.measurements[0], SIZED.priors, layout.structure)
    return {name: np.asarray(site["value"]) for name, site in trace.items() if "fn" in site and name != "theta_raw"}


def test_two_of_compute_size_and_tokens_are_enough():
    facts = {
        "flops": [7.2e23, np.nan, 7.2e23, 7.2e23, 7.2e23, np.nan],
        "params": [8e9, 8e9, 8e9, np.nan, np.nan, 8e9],
        "tokens": [15e12, 15e12, np.nan, 15e12, np.nan, np.nan],
    }
    known = np.log10(1875) - RATIO_CENTRE
    np.testing.assert_allclose(ratio_of(facts), [known] * 4 + [np.nan] * 2, rtol=1e-12)


def test_a_decade_of_tokens_per_parameter_is_worth_so_many_decades_of_compute(layouts: dict[str, Layout]):
    layout = layouts["size-and-data"]
    at, family = layout.models.index(LLAMA_8B), layout.families.index("Llama-3")
    p = drawn(layout)
    p["ratio_worth"] = np.array([0.3, -0.1, 0.0, 1.0])
    slope = p["slope_mean"] + p["slope_sd"] * p["slope_raw"][family]
    none = means(layout, **(p | {"ratio_worth": np.zeros(4)}))
    more = np.log10(15e12 / 8e9) - 2.3  # 1875 tokens per parameter
    np.testing.assert_allclose(means(layout, **p)[at] - none[at], slope * p["ratio_worth"] * more, rtol=1e-9)


def test_worth_nothing_it_is_compute_alone(layouts: dict[str, Layout]):
    p = drawn(layouts["size-and-data"])
    alone = {name: value for name, value in p.items() if name not in ("ratio_worth", "unknown_ratio")}
    sized = means(layouts["size-and-data"], **(p | {"ratio_worth": np.zeros(4)}))
    np.testing.assert_allclose(sized, means(layouts["log-linear"], **alone), rtol=1e-12)


def test_equal_ratios_only_move_the_intercepts(paper: ScoreTable):
    facts = paper.models.assign(params=1e9, tokens=2e10)
    layout = lay_out(ScoreTable(facts, paper.benchmarks, paper.scores), ["MMLU"], Split.all_seen(), SIZED)
    assert layout.structure.unknown_ratio == ()
    p = drawn(layout)
    none = means(layout, **(p | {"ratio_worth": np.zeros(4)}))
    slope = p["slope_mean"] + p["slope_sd"] * p["slope_raw"][np.asarray(layout.measurements[0].family)]
    np.testing.assert_allclose(means(layout, **p), none + slope * p["ratio_worth"] * (np.log10(20) - 2.3), rtol=1e-9)


def test_an_unknown_ratio_is_a_parameter(layouts: dict[str, Layout]):
    layout = layouts["size-and-data"]
    unknown = layout.structure.unknown_ratio
    assert [layout.models[i] for i in unknown] == layout.labels["unknown_ratio_model"]
    assert len(unknown) == 2
    values = np.array([-0.4, 0.9])
    trace = trace_of(measurement, 0, layout.measurements[0], SIZED.priors, layout.structure, unknown_ratio=values)
    np.testing.assert_array_equal(np.asarray(trace["ratio"]["value"])[list(unknown)], values)


def test_the_default_law_does_not_know_of_it(layouts: dict[str, Layout]):
    """No other array, site or switch."""
    layout = layouts["log-linear"]
    assert layout.measurements[0].covariates.ratio is None
    assert layout.structure.unknown_ratio == ()
    trace = trace_of(measurement, 0, layout.measurements[0], ALONE.priors, layout.structure)
    assert not {"ratio", "ratio_worth", "unknown_ratio"} & set(trace)
    assert head_structure(layout.structure) == head_structure(layouts["size-and-data"].structure)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_table_without_sizes_refuses_it(paper: ScoreTable, sparse: bool):
    facts: pd.DataFrame = paper.models.assign(tokens=np.nan, params=np.nan)
    table = bo.load("frontier") if sparse else ScoreTable(facts, paper.benchmarks, paper.scores)
    spec = CapabilitySpec.frontier(compute_law="size-and-data") if sparse else SIZED
    with pytest.raises(InputError, match=r"size and tokens of most models.*--compute-law"):
        lay_out(table, ["MMLU" if not sparse else "frontiermath_v2"], Split.all_seen(), spec)
