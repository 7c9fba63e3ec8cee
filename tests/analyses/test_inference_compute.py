"""Compute at inference: gains by votes that are known, steps of effort in compute, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

import bayes_obscaling as bo
from bayes_obscaling.analyses import inference_compute as module
from bayes_obscaling.analyses.inference_compute import EFFORT, REASONING, VOTES, InferenceCompute
from bayes_obscaling.errors import InputError
from bayes_obscaling.results.fit import CapabilityFit

Run = Callable[..., tuple[int, str, str]]
NAMES = ["gsm8k_cot", "gsm8k_cot_sc"]


@pytest.fixture(scope="module")
def base() -> CapabilityFit:
    return bo.open("base-llms")  # type: ignore[return-value]


@pytest.fixture(scope="module")
def frontier() -> CapabilityFit:
    return bo.open("frontier")  # type: ignore[return-value]


@pytest.fixture(scope="module")
def found(base: CapabilityFit, frontier: CapabilityFit) -> InferenceCompute:
    return bo.ask.inference_compute(base, frontier)


def row(found: InferenceCompute, change: str, capability: str, quantity: str, score: float | None = None) -> pd.Series:
    table = found.table[
        found.table[["change", "capability", "quantity"]].eq([change, capability, quantity]).all(axis=1)
    ]
    return (table if score is None else table[table["base_score"] == score]).iloc[0]


def test_a_known_gain_is_recovered(base: CapabilityFit):
    """Scores by vote are made from a parabola; its posterior holds it, and is as narrow as binomial noise allows."""
    rng, truth = np.random.default_rng(0), np.array([0.06, 0.04, 0.01])
    posterior = base.posterior
    seen = posterior.seen[NAMES].all(axis=1)
    models = list(seen.index[seen])
    expected = posterior.expected(posterior.models(models), NAMES).mean(axis=0)[:, 0]
    gain = module._powers(logit(expected)) @ truth
    n = 500
    before, after = (rng.binomial(n, p) for p in (expected, expit(logit(expected) + gain * np.log2(5))))
    kept = [logit((count + 0.5) / (n + 1.0)) for count in (before, after)]
    observed = pd.DataFrame({"model": models, "gain": (kept[1] - kept[0]) / np.log2(5), "n_items": float(n)})
    curve = module._curve_of_gains(base, NAMES, observed, 5)
    for score in (0.3, 0.5, 0.8):
        draws = curve @ module._powers(np.array(logit(score)))
        exact = module._powers(np.array(logit(score))) @ truth
        assert abs(draws.mean() - exact) < 4 * draws.std()
        # Two scores of 500 items at one half give a logit with sd .13; dozens of models share 2.3 doublings of it.
        assert 0.005 < draws.std() < 0.03


def test_votes_gain_what_models_have_gained(found: InferenceCompute):
    observed = found.parts["observed"]
    assert len(observed) == 93
    middle = observed[observed["before"].between(0.35, 0.65)]
    spread = middle["gain"].std() / np.sqrt(len(middle))
    assert row(found, VOTES, NAMES[0], "logits", 0.5)["median"] == pytest.approx(middle["gain"].mean(), abs=4 * spread)
    assert row(found, VOTES, NAMES[0], "logits", 0.8)["q5"] > row(found, VOTES, NAMES[0], "logits", 0.2)["q95"]
    points = row(found, VOTES, NAMES[0], "score", 0.5)["median"]
    assert points == pytest.approx(expit(row(found, VOTES, NAMES[0], "logits", 0.5)["median"]) - 0.5, abs=1e-4)


def test_decades_are_those_of_the_average_family(found: InferenceCompute, base: CapabilityFit, frontier: CapabilityFit):
    step = frontier.draws["effort_step"].to_numpy()[..., 0, :] / frontier.draws["slope_mean"].to_numpy()[..., 0, :]
    for k, factor in enumerate(frontier.layout.factors):
        expected = np.quantile(step[..., k], (0.05, 0.5, 0.95), method="inverted_cdf")
        effort = row(found, EFFORT, factor, "decades")
        np.testing.assert_allclose(effort[["q5", "median", "q95"]].to_numpy(float), expected)
    # By finite difference: a decade more of compute moves an average model by so many logits.
    posterior, task = base.posterior, NAMES[0]
    place = posterior.models([base.layout.models[0]])
    p = posterior.measurement()
    expected = posterior.expected(place, [task])[:, 0]
    slope = module._slope_of_task(base, task, expected)[:, 0]
    before = logit(expected[:, 0])
    moved = place._replace(theta=place.theta + 1e-3 * p["slope_mean"][:, :, None])
    after = logit(posterior.expected(moved, [task])[:, 0, 0])
    assert np.median((after - before) / 1e-3 / slope) == pytest.approx(1.0, abs=0.05)


def test_a_step_is_worth_as_many_doublings_as_decades_say(found: InferenceCompute):
    factor = found.table.loc[found.table["change"] == EFFORT, "capability"].iloc[0]
    ratio = row(found, EFFORT, factor, "doublings of votes", 0.8)
    step, vote = row(found, EFFORT, factor, "decades"), row(found, VOTES, NAMES[0], "decades", 0.8)
    assert ratio["median"] == pytest.approx(step["median"] / vote["median"], rel=0.1)
    assert ratio["q95"] > step["median"] / vote["median"] > ratio["q5"]
    # Where votes may gain nothing, no number of doublings may be enough.
    assert np.isinf(row(found, EFFORT, factor, "doublings of votes", 0.2)["q95"])


def test_effort_and_reasoning_move_the_anchor_by_their_step(found: InferenceCompute, frontier: CapabilityFit):
    anchor = frontier.layout.factors[0]
    small, large = (row(found, change, anchor, "score", 0.5)["median"] for change in (EFFORT, REASONING))
    assert 0 < small < large < 0.5
    # The curve has slope 1/4 in the middle, of the range below its ceiling.
    step = float(np.median(frontier.draws["effort_step"].to_numpy()[..., 0, 0]))
    assert small == pytest.approx(step / 4, rel=0.15)
    settings = found.parts["settings"]
    assert settings["settings"].min() >= 2 and settings["model"].nunique() == 30


def test_what_is_not_identified_is_said(found: InferenceCompute):
    said = " ".join(found.sentences)
    assert "by 1 and by 5 votes alone" in said and "no published numbers of tokens" in said and "30 models" in said
    assert found.verdict == "PASS"
    assert len(found.plot().get_yticks()) == (found.table["quantity"] == "decades").sum()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"votes": 1}, "votes is 1"),
        ({"votes": 2.5}, "votes is 2.5"),
        ({"base_scores": []}, "between 0 and 1"),
        ({"base_scores": [1.5]}, "between 0 and 1"),
        ({"base_scores": [0.999]}, "some that models have"),
        ({"after": "gsm8k_cot"}, "Both scores"),
        ({"before": "MMLU"}, "no task head"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    base: CapabilityFit, frontier: CapabilityFit, changes: dict[str, Any], words: str
):
    with pytest.raises(InputError, match=words):
        bo.ask.inference_compute(base, frontier, **changes)


def test_a_fit_without_efforts_is_refused(base: CapabilityFit):
    with pytest.raises(InputError, match="knows no efforts"):
        bo.ask.inference_compute(base, base)


def test_the_command(run: Run, tmp_path: Path):
    code, out, err = run("inference-compute", "--scores", "0.4,0.6", "--output", tmp_path / "i.csv")
    assert code == 0, err
    assert "doubling of votes" in out and "Not identified" in out
    assert set(pd.read_csv(tmp_path / "i.csv")["base_score"].dropna()) == {0.4, 0.6}
    code, _, err = run("inference-compute", "--scores", "half")
    assert code == 2 and "--scores" in err
