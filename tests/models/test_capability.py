"""Traces of the model on the bundled table: no sampling."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from numpyro.infer.util import log_density
from synthetic import trace_of

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.inference.starts import from_anchors
from bayes_obscaling.models.capability import heads, joint, measurement
from bayes_obscaling.models.capability_equations import Covariates, line, reference_scale, standardise
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.spec import CapabilitySpec, Structure
from bayes_obscaling.models.trace import sites_of, start_near_priors

SPEC = CapabilitySpec()
CUTOFF = 8.4e22


def layout_of(table: ScoreTable, *tasks: str, hidden: tuple[str, ...] = (), spec: CapabilitySpec = SPEC) -> Layout:
    split = Split.by_flops(table, CUTOFF)
    return lay_out(table, tasks, Split(split.name, split.held_out, hidden, CUTOFF), spec)


def altered(table: ScoreTable, model: str, benchmark: str, score: float) -> ScoreTable:
    scores = table.scores
    row = (scores["model"] == model) & (scores["benchmark"] == benchmark)
    assert row.sum() == 1
    scores.loc[row, "score"] = score
    return ScoreTable(table.models, table.benchmarks, scores)


@cache
def density_of(model: Any, structure: Structure) -> Any:
    """Compiled: run for real, a model compiles a small program for each of its operations."""
    return jax.jit(lambda arguments, at: log_density(model, (*arguments, structure), {}, at)[0])


def measured(layout: Layout, index: int = 0) -> tuple[dict[str, np.ndarray], Callable[[dict], float]]:
    """Starting values of a measurement fit and its log density."""
    arguments = (layout.measurements[index], SPEC.priors)
    rng = np.random.default_rng(3)
    point = start_near_priors(sites_of(measurement, *arguments, layout.structure), SPEC.priors, rng)
    point |= from_anchors(layout.measurements[index], layout.structure, rng)
    return point, lambda at: float(density_of(measurement, layout.structure)(arguments, at))


def headed(layout: Layout) -> float:
    """Log density of the task heads at a fixed point and fixed capabilities."""
    rng = np.random.default_rng(4)
    z = jnp.asarray(rng.standard_normal((len(layout.predictor_sets), len(layout.models), len(layout.factors))))
    arguments = (z, *headed_by(layout))
    point = start_near_priors(sites_of(heads, *arguments), SPEC.priors, np.random.default_rng(5))
    return float(density_of(heads, layout.structure)(arguments[:-1], point))


def headed_by(layout: Layout) -> tuple[Any, ...]:
    """Arguments of the heads after the capabilities."""
    return layout.task_scores, SPEC.priors, SPEC.fit_sd, layout.structure


@pytest.fixture(scope="module")
def layout(paper: ScoreTable) -> Layout:
    return layout_of(paper, "word_unscrambling", "arithmetic_3ds")


def test_sites_of_the_measurement(layout: Layout):
    trace = trace_of(measurement, 0, layout.measurements[0], SPEC.priors, layout.structure)
    shapes = {name: np.shape(site["value"]) for name, site in trace.items()}
    k, f, m, i = 4, 21, 77, 8
    assert shapes["theta"] == (m, k)
    assert shapes["intercept"] == shapes["slope"] == (f, k)
    assert shapes["loading"] == (i, k)
    assert shapes["difficulty"] == shapes["ceiling_gap"] == shapes["overdispersion"] == (i,)
    assert shapes["family_offset"] == (f, i)
    assert shapes["benchmark_score"] == (m, i)
    assert shapes["unknown_compute"] == (2,)
    assert "curvature" not in trace


def test_curvature_is_an_option(layout: Layout):
    structure = layout.structure._replace(compute_law="box-cox")
    trace = trace_of(measurement, 0, layout.measurements[0], SPEC.priors, structure)
    assert trace["curvature"]["value"].shape == (4,)


def test_sites_of_the_heads_and_of_the_joint_model(layout: Layout, paper: ScoreTable):
    z, t = jnp.zeros((2, 77, 4)), len(layout.tasks)
    trace = trace_of(heads, 0, z, *headed_by(layout))
    assert trace["weight"]["value"].shape == (t, 4)
    assert trace["task_family_offset"]["value"].shape == (21, t)
    assert trace["task_score"]["value"].shape == (77, t)
    alike = layout_of(paper, "word_unscrambling", spec=SPEC.model_copy(update={"posterior": "joint"}))
    reference = jnp.asarray(alike.reference)
    trace = trace_of(
        joint, 0, alike.measurements[0], alike.task_scores, reference, SPEC.priors, SPEC.fit_sd, alike.structure
    )
    assert {"theta", "benchmark_score", "weight", "task_score"} <= set(trace)


def test_anchors_identify_the_factors(layout: Layout):
    assert layout.factors == ("HellaSwag", "MMLU", "HumanEval", "XWinograd")
    trace = trace_of(measurement, 1, layout.measurements[0], SPEC.priors, layout.structure)
    anchors = [layout.benchmarks.index(name) for name in layout.factors]
    np.testing.assert_array_equal(trace["loading"]["value"][np.array(anchors)], np.eye(4))
    np.testing.assert_array_equal(trace["difficulty"]["value"][jnp.array(anchors)], np.zeros(4))
    truthful = layout.benchmarks.index("TruthfulQA")
    others = [i for i in range(8) if i not in (*anchors, truthful)]
    assert (trace["loading"]["value"][jnp.array(others)] > 0).all()
    assert trace["ceiling_gap"]["value"][truthful] == 0.0
    assert (np.delete(trace["ceiling_gap"]["value"], truthful) > 0).all()


def test_only_a_signed_benchmark_may_fall_with_capability(layout: Layout):
    truthful = layout.benchmarks.index("TruthfulQA")
    loadings = np.stack(
        [
            trace_of(measurement, seed, layout.measurements[0], SPEC.priors, layout.structure)["loading"]["value"]
            for seed in range(8)
        ]
    )
    assert (loadings[:, truthful] < 0).any()
    assert (np.delete(loadings, truthful, axis=1) >= 0).all()


@pytest.mark.parametrize("is_large", [False, True])
def test_theta_given_raw_is_the_familys_line_plus_a_residual(
    layout: Layout, is_large: bool, monkeypatch: pytest.MonkeyPatch
):
    """Coordinates are only a change of variables: the implied residual is standard normal for every factor."""
    monkeypatch.setattr("bayes_obscaling.models.spec.MANY_FAMILIES", 1 if is_large else 60)
    assert layout.structure.has_many_families == is_large
    names = ("intercept", "slope", "slope_mean", "drift", "compute", "theta", "residual_sd")

    @jax.jit
    def drawn(key: jax.Array) -> dict[str, jax.Array]:
        seeded = handlers.seed(measurement, key)
        trace = handlers.trace(seeded).get_trace(layout.measurements[0], SPEC.priors, layout.structure)
        return {name: trace[name]["value"] for name in names}

    known = np.delete(np.arange(77), layout.structure.unknown_compute)
    family, date = np.asarray(layout.measurements[0].family), np.asarray(layout.measurements[0].covariates.date)
    residuals = []
    for seed in range(40):
        values = {name: np.asarray(value) for name, value in drawn(jax.random.key(seed)).items()}
        typical = values["intercept"][family] + values["slope"][family] * values["compute"][:, None]
        typical += values["drift"] * values["slope_mean"] * date[:, None]
        residuals.append(((values["theta"] - typical) / values["residual_sd"])[known])
    pooled = np.concatenate(residuals)
    error = 1 / np.sqrt(len(pooled))
    np.testing.assert_allclose(pooled.mean(axis=0), 0, atol=4.5 * error)
    np.testing.assert_allclose(pooled.std(axis=0), 1, atol=4.5 * error)


def test_expected_benchmark_scores_stay_between_chance_and_one(layout: Layout):
    chance = np.asarray(layout.measurements[0].chance)
    for seed in range(8):
        p = trace_of(measurement, seed, layout.measurements[0], SPEC.priors, layout.structure)["benchmark_score"][
            "fn"
        ].base_dist.loc
        assert (p >= chance).all()
        assert (p <= 1).all()
        assert p.std() > 0.05


def test_each_task_has_its_own_chance(layout: Layout):
    chance = np.asarray(layout.task_scores.chance)
    word, parsinlu = layout.tasks.index("word_unscrambling"), layout.tasks.index("parsinlu_qa")
    assert (chance[word], chance[parsinlu]) == (0.0, 0.25)
    z = jnp.asarray(np.random.default_rng(0).standard_normal((2, 77, 4)))
    for seed in range(8):
        p = np.asarray(trace_of(heads, seed, z, *headed_by(layout))["task_score"]["fn"].base_dist.loc)
        assert (p >= chance).all()
        assert (p <= 1).all()
    low = trace_of(heads, 0, z, *headed_by(layout), task_difficulty=np.full(len(chance), -60.0))
    floor = low["task_score"]["fn"].base_dist.loc
    np.testing.assert_allclose(floor, np.broadcast_to(chance, floor.shape), atol=1e-6)


def test_a_hidden_benchmark_score_changes_nothing(paper: ScoreTable):
    llama = "meta-llama/Llama-2-70b-hf"
    layout = layout_of(paper, "word_unscrambling", hidden=(llama,))
    point, density = measured(layout)
    for benchmark in ("MMLU", "HellaSwag"):
        _, other = measured(layout_of(altered(paper, llama, benchmark, 0.999), "word_unscrambling", hidden=(llama,)))
        assert other(point) == density(point)
    _, other = measured(layout_of(altered(paper, "meta-llama/Llama-2-7b-hf", "MMLU", 0.999), "word_unscrambling"))
    _, seen = measured(layout_of(paper, "word_unscrambling"))
    assert abs(other(point) - seen(point)) > 1


def test_starting_values_do_not_peek_at_hidden_scores(paper: ScoreTable):
    llama = "meta-llama/Llama-2-70b-hf"
    starts = [
        measured(layout_of(table, "word_unscrambling", hidden=(llama,)))[0]
        for table in (paper, altered(paper, llama, "MMLU", 0.999))
    ]
    for name, value in starts[0].items():
        np.testing.assert_array_equal(value, starts[1][name], err_msg=name)


def test_a_hidden_task_score_changes_nothing(paper: ScoreTable):
    above, below = "meta-llama/Llama-2-70b-hf", "meta-llama/Llama-2-7b-hf"
    before = headed(layout_of(paper, "word_unscrambling"))
    assert headed(layout_of(altered(paper, above, "word_unscrambling", 0.999), "word_unscrambling")) == before
    # no score of another task above the cutoff enters either
    assert headed(layout_of(altered(paper, above, "gsm8k_cot", 0.001), "word_unscrambling")) == before
    assert abs(headed(layout_of(altered(paper, below, "word_unscrambling", 0.999), "word_unscrambling")) - before) > 1


def test_an_excluded_benchmark_does_not_reach_its_tasks(paper: ScoreTable, layout: Layout):
    """GSM8K is no predictor of arithmetic: no GSM8K score enters the capabilities that those tasks read."""
    model = "meta-llama/Llama-2-7b-hf"
    changed = layout_of(altered(paper, model, "GSM8K", 0.9), "word_unscrambling", "arithmetic_3ds")
    sets = dict(zip(layout.predictor_sets, range(2), strict=True))
    assert set(sets) == {(), ("GSM8K",)}
    arithmetic = int(layout.task_scores.predictors[layout.tasks.index("arithmetic_3ds")])
    word = int(layout.task_scores.predictors[layout.tasks.index("word_unscrambling")])
    assert (arithmetic, word) == (sets["GSM8K",], sets[()])
    point, density = measured(layout, arithmetic)
    assert measured(changed, arithmetic)[1](point) == density(point)
    assert abs(measured(changed, word)[1](point) - measured(layout, word)[1](point)) > 1


def test_capabilities_are_standardised_over_the_reference_models():
    theta = np.random.default_rng(0).normal(3.0, 2.0, (5, 30, 2))
    reference = (np.arange(30) < 20).astype(float)
    z = np.asarray(standardise(theta, reference_scale(theta, reference)))
    np.testing.assert_allclose(z[:, :20].mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(z[:, :20].std(axis=1), 1, atol=0.01)
    moved = theta.copy()
    moved[:, 25] += 100.0  # a model without a visible task score
    np.testing.assert_allclose(standardise(theta, reference_scale(moved, reference)), z)
    alone = standardise(theta, reference_scale(theta, (np.arange(30) == 4).astype(float)))
    assert np.abs(alone).max() < 200  # one reference model: no division by zero


# --- laws of compute ----------------------------------------------------------------------------------------------


def capability(intercept: float, slope: float, curvature: float | None, x: Any) -> jax.Array:
    """Capability of one factor at places `x`; without curvature the law has none."""
    p = {"intercept": jnp.full((1, 1), intercept), "slope": jnp.full((1, 1), slope)}
    if curvature is not None:
        p["curvature"] = jnp.reshape(jnp.asarray(curvature), (1,))
    return line(p, Covariates(compute=jnp.asarray(x)))[:, 0]


@pytest.mark.parametrize("curvature", [None, 0.0])
def test_log_linear_law(curvature: float | None):
    x = jnp.linspace(-2.0, 3.0, 11)
    np.testing.assert_allclose(capability(0.5, 1.2, curvature, x), 0.5 + 1.2 * x, rtol=1e-12)


@pytest.mark.parametrize("h", [-0.6, -0.05, 0.02, 0.7])
def test_curved_law_matches_its_formula(h: float):
    x = np.linspace(-2.0, 3.0, 11)
    expected = 0.5 + 1.2 * (1 - np.exp(-h * x)) / h
    np.testing.assert_allclose(capability(0.5, 1.2, h, x), expected, rtol=1e-10)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_curved_law_and_its_gradient_are_continuous_at_the_linear_one(sign: float):
    """The series takes over from the formula below |h| = 1e-4: no jump there, no NaN gradient at 0."""
    x = jnp.linspace(-2.0, 3.0, 7)
    inside, outside = (capability(0.0, 1.0, sign * h, x) for h in (0.99e-4, 1.01e-4))
    np.testing.assert_allclose(inside, outside, atol=2e-5)
    slope = jax.jit(jax.vmap(jax.grad(lambda h, place: capability(0.0, 1.0, h, place[None])[0]), in_axes=(None, 0)))
    for h in (0.0, sign * 0.99e-4, sign * 1.01e-4):
        np.testing.assert_allclose(slope(h, x), -(x**2) / 2, atol=2e-3)
