"""Traces of the model on the bundled table: no sampling."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from numpyro.infer.util import log_density

from bayes_obscaling.data import ScoreTable, split_by_flops
from bayes_obscaling.inference.arrays import Problem, build_problem, heads_start, measurement_start
from bayes_obscaling.models.capability import CapabilitySpec, feature_scale, features, heads, joint, measurement

SPEC = CapabilitySpec()
CUTOFF = 8.4e22


def problem_of(table: ScoreTable, *tasks: str, cutoff: float | None = CUTOFF, latent: tuple[str, ...] = ()) -> Problem:
    held_out = () if cutoff is None else split_by_flops(table, cutoff).held_out
    return build_problem(table, tasks, held_out, latent, SPEC)


def altered(table: ScoreTable, model: str, benchmark: str, score: float) -> ScoreTable:
    scores = table.scores
    row = (scores["model"] == model) & (scores["benchmark"] == benchmark)
    assert row.sum() == 1
    scores.loc[row, "score"] = score
    return ScoreTable(table.models, table.benchmarks, scores)


def measured(problem: Problem, index: int = 0) -> tuple[dict[str, np.ndarray], Callable[[dict], float]]:
    """Starting values of a measurement fit and its log density."""
    data = problem.measurements[index]
    point = measurement_start(data, problem.layout, SPEC, np.random.default_rng(3))
    return point, lambda at: float(log_density(measurement, (data, problem.layout, SPEC), {}, at)[0])


def headed(problem: Problem) -> float:
    """Log density of the task heads at a fixed point and fixed capabilities."""
    rng = np.random.default_rng(4)
    n_tasks, n_models = problem.task_scores.score.shape
    z = jnp.asarray(rng.standard_normal((len(problem.predictor_sets), n_models, problem.layout.n_factors)))
    point = heads_start(n_tasks, z.shape[-1], len(problem.families), np.random.default_rng(5))
    return float(log_density(heads, (z, problem.task_scores, len(problem.families), SPEC), {}, point)[0])


def trace_of(model: Any, seed: int, *args: Any) -> dict[str, Any]:
    return handlers.trace(handlers.seed(model, jax.random.key(seed))).get_trace(*args)


@pytest.fixture(scope="module")
def problem(paper: ScoreTable) -> Problem:
    return problem_of(paper, "word_unscrambling", "arithmetic_3ds")


def test_sites_of_the_measurement(problem: Problem):
    trace = trace_of(measurement, 0, problem.measurements[0], problem.layout, SPEC)
    shapes = {name: np.shape(site["value"]) for name, site in trace.items()}
    k, f, m, i = 4, 21, 77, 8
    assert shapes["theta"] == (m, k)
    assert shapes["intercept"] == shapes["slope"] == (f, k)
    assert shapes["loading"] == (i, k)
    assert shapes["difficulty"] == shapes["ceiling_gap"] == shapes["overdispersion"] == (i,)
    assert shapes["family_offset"] == (f, i)
    assert shapes["score"] == (m, i)
    assert shapes["compute_raw"] == (2,)
    assert "curvature" not in trace


def test_curvature_is_an_option(problem: Problem):
    bent = SPEC.model_copy(update={"compute_law": "box-cox"})
    trace = trace_of(measurement, 0, problem.measurements[0], problem.layout, bent)
    assert trace["curvature"]["value"].shape == (4,)


def test_sites_of_the_heads_and_of_the_joint_model(problem: Problem, paper: ScoreTable):
    z, t = jnp.zeros((2, 77, 4)), len(problem.tasks)
    trace = trace_of(heads, 0, z, problem.task_scores, 21, SPEC)
    assert trace["weight"]["value"].shape == (t, 4)
    assert trace["task_family_offset"]["value"].shape == (t, 21)
    assert trace["task_score"]["value"].shape == (t, 77)
    one = problem_of(paper, "word_unscrambling")
    alike = build_problem(
        paper,
        ["word_unscrambling"],
        split_by_flops(paper, CUTOFF).held_out,
        (),
        SPEC.model_copy(update={"posterior": "joint"}),
    )
    trace = trace_of(joint, 0, alike.measurements[0], alike.task_scores, jnp.asarray(alike.reference), one.layout, SPEC)
    assert {"theta", "score", "weight", "task_score"} <= set(trace)


def test_anchors_identify_the_factors(problem: Problem):
    assert problem.factors == ("HellaSwag", "MMLU", "HumanEval", "XWinograd")
    trace = trace_of(measurement, 1, problem.measurements[0], problem.layout, SPEC)
    anchors = [problem.benchmarks.index(name) for name in problem.factors]
    np.testing.assert_array_equal(trace["loading"]["value"][jnp.array(anchors)], np.eye(4))
    np.testing.assert_array_equal(trace["difficulty"]["value"][jnp.array(anchors)], np.zeros(4))
    truthful = problem.benchmarks.index("TruthfulQA")
    others = [i for i in range(8) if i not in (*anchors, truthful)]
    assert (trace["loading"]["value"][jnp.array(others)] > 0).all()
    assert trace["ceiling_gap"]["value"][truthful] == 0.0
    assert (np.delete(trace["ceiling_gap"]["value"], truthful) > 0).all()


def test_only_a_signed_benchmark_may_fall_with_capability(problem: Problem):
    truthful = problem.benchmarks.index("TruthfulQA")
    loadings = np.stack(
        [
            trace_of(measurement, seed, problem.measurements[0], problem.layout, SPEC)["loading"]["value"]
            for seed in range(8)
        ]
    )
    assert (loadings[:, truthful] < 0).any()
    assert (np.delete(loadings, truthful, axis=1) >= 0).all()


def test_theta_given_raw_is_the_familys_line_plus_a_residual(problem: Problem):
    """Partial centring is only a change of variables: the implied residual is standard normal for every factor."""
    model = partial(measurement, problem.measurements[0], problem.layout, SPEC)
    known = np.delete(np.arange(77), problem.layout.unknown_compute)
    family = np.asarray(problem.measurements[0].family)
    residuals = []
    for seed in range(40):
        values = {name: np.asarray(site["value"]) for name, site in trace_of(model, seed).items()}
        line = values["intercept"][family] + values["slope"][family] * values["compute"][:, None]
        residuals.append(((values["theta"] - line) / values["residual_sd"])[known])
    pooled = np.concatenate(residuals)
    error = 1 / np.sqrt(len(pooled))
    np.testing.assert_allclose(pooled.mean(axis=0), 0, atol=4.5 * error)
    np.testing.assert_allclose(pooled.std(axis=0), 1, atol=4.5 * error)


def test_expected_benchmark_scores_stay_between_chance_and_one(problem: Problem):
    chance = np.asarray(problem.measurements[0].chance)
    for seed in range(25):
        p = trace_of(measurement, seed, problem.measurements[0], problem.layout, SPEC)["score"]["fn"].base_dist.loc
        assert (p >= chance).all()
        assert (p <= 1).all()
        assert p.std() > 0.05


def test_each_task_has_its_own_chance(problem: Problem):
    chance = np.asarray(problem.task_scores.chance)
    word, parsinlu = problem.tasks.index("word_unscrambling"), problem.tasks.index("parsinlu_qa")
    assert (chance[word], chance[parsinlu]) == (0.0, 0.25)
    z = jnp.asarray(np.random.default_rng(0).standard_normal((2, 77, 4)))
    for seed in range(25):
        p = np.asarray(trace_of(heads, seed, z, problem.task_scores, 21, SPEC)["task_score"]["fn"].base_dist.loc)
        assert (p >= chance[:, None]).all()
        assert (p <= 1).all()
    low = handlers.substitute(heads, {"task_difficulty": jnp.full(len(chance), -60.0)})
    floor = trace_of(low, 0, z, problem.task_scores, 21, SPEC)["task_score"]["fn"].base_dist.loc
    np.testing.assert_allclose(floor, np.broadcast_to(chance[:, None], floor.shape), atol=1e-6)


def test_a_hidden_benchmark_score_changes_nothing(paper: ScoreTable):
    llama = "meta-llama/Llama-2-70b-hf"
    problem = problem_of(paper, "word_unscrambling", latent=(llama,))
    point, density = measured(problem)
    for benchmark in ("MMLU", "HellaSwag"):
        _, other = measured(problem_of(altered(paper, llama, benchmark, 0.999), "word_unscrambling", latent=(llama,)))
        assert other(point) == density(point)
    _, other = measured(problem_of(altered(paper, "meta-llama/Llama-2-7b-hf", "MMLU", 0.999), "word_unscrambling"))
    _, seen = measured(problem_of(paper, "word_unscrambling"))
    assert abs(other(point) - seen(point)) > 1


def test_starting_values_do_not_peek_at_hidden_scores(paper: ScoreTable):
    llama = "meta-llama/Llama-2-70b-hf"
    starts = [
        measured(problem_of(table, "word_unscrambling", latent=(llama,)))[0]
        for table in (paper, altered(paper, llama, "MMLU", 0.999))
    ]
    for name, value in starts[0].items():
        np.testing.assert_array_equal(value, starts[1][name], err_msg=name)


def test_a_hidden_task_score_changes_nothing(paper: ScoreTable):
    above, below = "meta-llama/Llama-2-70b-hf", "meta-llama/Llama-2-7b-hf"
    before = headed(problem_of(paper, "word_unscrambling"))
    assert headed(problem_of(altered(paper, above, "word_unscrambling", 0.999), "word_unscrambling")) == before
    # no score of another task above the cutoff enters either
    assert headed(problem_of(altered(paper, above, "gsm8k_cot", 0.001), "word_unscrambling")) == before
    assert abs(headed(problem_of(altered(paper, below, "word_unscrambling", 0.999), "word_unscrambling")) - before) > 1


def test_an_excluded_benchmark_does_not_reach_its_tasks(paper: ScoreTable, problem: Problem):
    """GSM8K is no predictor of arithmetic: no GSM8K score enters the capabilities that those tasks read."""
    model = "meta-llama/Llama-2-7b-hf"
    changed = problem_of(altered(paper, model, "GSM8K", 0.9), "word_unscrambling", "arithmetic_3ds")
    sets = dict(zip(problem.predictor_sets, range(2), strict=True))
    assert set(sets) == {(), ("GSM8K",)}
    arithmetic = int(problem.task_scores.predictors[problem.tasks.index("arithmetic_3ds")])
    word = int(problem.task_scores.predictors[problem.tasks.index("word_unscrambling")])
    assert (arithmetic, word) == (sets["GSM8K",], sets[()])
    point, density = measured(problem, arithmetic)
    assert measured(changed, arithmetic)[1](point) == density(point)
    assert abs(measured(changed, word)[1](point) - measured(problem, word)[1](point)) > 1


def test_features_are_standardised_over_the_reference_models():
    theta = np.random.default_rng(0).normal(3.0, 2.0, (5, 30, 2))
    reference = (np.arange(30) < 20).astype(float)
    z = np.asarray(features(jnp.asarray(theta), jnp.asarray(reference)))
    np.testing.assert_allclose(z[:, :20].mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(z[:, :20].std(axis=1), 1, atol=0.01)
    moved = theta.copy()
    moved[:, 25] += 100.0  # a model without a visible task score
    centre, spread = feature_scale(jnp.asarray(moved), jnp.asarray(reference))
    np.testing.assert_allclose((theta - centre) / spread, z)
    alone = features(jnp.asarray(theta), jnp.asarray((np.arange(30) == 4).astype(float)))
    assert np.abs(alone).max() < 200  # one reference model: no division by zero
