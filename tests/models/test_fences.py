"""Fences around the equations: they are what the traced model uses, and what an independent writing says.

Every pure function of `bayes_obscaling.models.capability` is compared, at parameters drawn from the priors, with the
site of the numpyro model that it describes, and with `bayes_obscaling.validation.simulate`, which calls none of them.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from synthetic import made_fit, trace_of

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.models import capability as model
from bayes_obscaling.models import capability_equations as equations
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.scenario import Scenario
from bayes_obscaling.validation import simulate

# Each compiled as one: an equation that runs on its own compiles a program for each of its operations.
compiled = SimpleNamespace(
    line=jax.jit(equations.line),
    expected_benchmarks=jax.jit(equations.expected_benchmarks),
    benchmark_noise=jax.jit(equations.benchmark_noise),
    expected_tasks=jax.jit(equations.expected_tasks),
    task_noise=jax.jit(equations.task_noise),
    task_weight=jax.jit(equations.task_weight),
    standardise=jax.jit(equations.standardise),
    reference_scale=jax.jit(equations.reference_scale),
)
LAWS: dict[str, dict[str, Any]] = {
    "straight": {},
    "bent": {"compute_law": "box-cox", "curve": "asymmetric", "task_curve": "asymmetric", "drift": "model"},
    "sized": {"compute_law": "size-and-data"},
}
DRAWS = 2
EXACT: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}

Values = dict[str, np.ndarray]


class World(NamedTuple):
    """The bundled table laid out under one law of compute, and traces of the model at draws from the priors."""

    spec: CapabilitySpec
    layout: Layout
    traces: list[dict[str, Any]]  # of the measurement
    head_traces: list[dict[str, Any]]
    z: np.ndarray  # (draws, G, M, K), what the heads were given

    @property
    def family(self) -> np.ndarray:
        return np.asarray(self.layout.measurements[0].family)


def values_of(trace: dict[str, Any]) -> Values:
    return {name: np.asarray(site["value"]) for name, site in trace.items()}


def stacked(traces: list[dict[str, Any]]) -> Values:
    """Values of all traces along a leading axis of draws."""
    each = [values_of(trace) for trace in traces]
    return {name: np.stack([values[name] for values in each]) for name in each[0]}


def noise_of(trace: dict[str, Any], site: str) -> Any:
    """Distribution of an observed site, without its mask."""
    return trace[site]["fn"].base_dist


@pytest.fixture(scope="module", params=LAWS)
def world(request: pytest.FixtureRequest, paper: ScoreTable) -> World:
    spec = CapabilitySpec(**LAWS[request.param])
    layout = lay_out(paper, ["word_unscrambling", "arithmetic_3ds"], Split.by_flops(paper, 8.4e22), spec)
    assert layout.structure.signed and layout.structure.no_ceiling and layout.structure.unknown_compute
    assert len(layout.predictor_sets) == 2
    arguments = (layout.measurements[0], spec.priors, layout.structure)
    z = np.random.default_rng(0).standard_normal((DRAWS, 2, len(layout.models), 4))
    heads = (layout.task_scores, spec.priors, spec.fit_sd, layout.structure)
    return World(
        spec,
        layout,
        [trace_of(model.measurement, seed, *arguments) for seed in range(DRAWS)],
        [trace_of(model.heads, seed, jnp.asarray(z[seed]), *heads) for seed in range(DRAWS)],
        z,
    )


@pytest.fixture(params=["one draw", "all draws"])
def many(request: pytest.FixtureRequest) -> bool:
    """Whether parameters have a leading axis of draws."""
    return bool(request.param == "all draws")


def chosen(traces: list[dict[str, Any]], many: bool) -> tuple[Values, Any]:
    """Parameters of all traces or of the last, and the index that picks the latter from an array of all."""
    return (stacked(traces), slice(None)) if many else (values_of(traces[-1]), -1)


# --- the measurement ----------------------------------------------------------------------------------------------


def test_line_is_the_mean_of_theta(world: World, many: bool):
    p, at = chosen(world.traces, many)
    of_models = {**p, **{name: p[name][..., world.family, :] for name in ("intercept", "slope")}}
    x = equations.as_drawn(p, world.layout.measurements[0].covariates)
    line = compiled.line(of_models, x)
    centred = model.centring(world.layout.structure)
    means = np.stack([np.asarray(trace["theta_raw"]["fn"].loc) for trace in world.traces])[at] / centred
    np.testing.assert_allclose(line, means, **EXACT)
    np.testing.assert_allclose(
        line, simulate.expected_capability({**p, "date": np.asarray(x.date)}, world.family), rtol=1e-9, atol=1e-12
    )
    scale = p["residual_sd"][..., None, :]
    raw_scale = np.stack([np.asarray(trace["theta_raw"]["fn"].scale) for trace in world.traces])[at]
    np.testing.assert_allclose(raw_scale, np.broadcast_to(scale**centred, raw_scale.shape), **EXACT)
    theta = line + scale ** (1 - centred) * (p["theta_raw"] - centred * line)
    np.testing.assert_allclose(p["theta"], theta, **EXACT)


def test_expected_benchmarks_and_their_noise(world: World, many: bool):
    p, at = chosen(world.traces, many)
    data = world.layout.measurements[0]
    expected = compiled.expected_benchmarks(p, p["theta"], p["family_offset"][..., world.family, :], data.chance)
    noise = compiled.benchmark_noise(p, expected, data.inv_items)
    sites = [noise_of(trace, "benchmark_score") for trace in world.traces]
    np.testing.assert_allclose(expected, np.stack([site.loc for site in sites])[at], **EXACT)
    np.testing.assert_allclose(noise.scale, np.stack([site.scale for site in sites])[at], **EXACT)
    assert type(noise) is type(sites[0])
    np.testing.assert_allclose(expected, simulate.benchmark_curve(p, data), **EXACT)
    np.testing.assert_allclose(noise.scale, simulate.benchmark_sd(np.asarray(expected), p, data), **EXACT)
    assert np.asarray(expected).std() > 0.05 and np.ptp(np.asarray(noise.scale)) > 0.01


# --- heads --------------------------------------------------------------------------------------------------------


def test_expected_tasks_and_their_noise(world: World, many: bool):
    p, at = chosen(world.head_traces, many)
    data = world.layout.task_scores
    z = equations.by_task(world.z[at], data.predictors)
    expected = compiled.expected_tasks(p, z, p["task_family_offset"][..., world.family, :], data.chance)
    noise = compiled.task_noise(p, expected, data.inv_items, world.spec.fit_sd)
    sites = [noise_of(trace, "task_score") for trace in world.head_traces]
    np.testing.assert_allclose(expected, np.stack([site.loc for site in sites])[at], **EXACT)
    np.testing.assert_allclose(noise.scale, np.stack([site.scale for site in sites])[at], **EXACT)
    assert type(noise) is type(sites[0])
    assert (np.unique(noise.df), np.unique(sites[0].df)) == (equations.TASK_NOISE_DF, equations.TASK_NOISE_DF)
    for g in range(2):  # the simulator knows one predictor set
        own = np.flatnonzero(np.asarray(data.predictors) == g)
        shape = [name for name in equations.TASK_SHAPE if name in p]
        one = {n: p[n][..., own] for n in ("task_difficulty", "task_family_offset", *shape)}
        one |= {"weight": p["weight"][..., own, :]}
        part = data._replace(chance=data.chance[own], inv_items=data.inv_items[:, own])
        curve = simulate.task_curve(one, world.z[at][..., g, :, :], part)
        np.testing.assert_allclose(np.asarray(expected)[..., own], curve, **EXACT)
        sd = simulate.task_sd(curve, one, part, world.spec.fit_sd)
        np.testing.assert_allclose(np.asarray(noise.scale)[..., own], sd, **EXACT)


def test_task_weight(world: World, many: bool):
    p, _ = chosen(world.head_traces, many)
    mean = p["share_mean"][..., None, :]
    share = mean + np.sqrt(p["share_sd"])[..., None, None] * (p["share_raw"] - 0.5 * mean)
    contrast = p["contrast_sd"][..., None, None] * p["contrast_raw"]
    weight = compiled.task_weight(share, contrast, p["steepness"])
    np.testing.assert_allclose(weight, p["weight"], **EXACT)
    np.testing.assert_allclose(weight, simulate.weights(share, contrast, p["steepness"]), **EXACT)
    np.testing.assert_allclose(p["steepness"], np.exp(p["log_steepness"]), **EXACT)


def test_log_steepness_has_the_population_that_it_is_said_to_have(world: World):
    for trace in world.head_traces:
        p, site = values_of(trace), trace["log_steepness"]["fn"]
        np.testing.assert_allclose(np.unique(site.loc), np.log(p["steepness_median"]), **EXACT)
        np.testing.assert_allclose(np.unique(site.scale), p["steepness_sd"], **EXACT)


def test_the_joint_model_standardises_over_the_reference_models(paper: ScoreTable):
    spec = CapabilitySpec(posterior="joint")
    layout = lay_out(paper, ["word_unscrambling"], Split.by_flops(paper, 8.4e22), spec)
    data, tasks = layout.measurements[0], layout.task_scores
    assert 0 < layout.reference.sum() < len(layout.models)
    arguments = (data, tasks, jnp.asarray(layout.reference), spec.priors, spec.fit_sd, layout.structure)
    for seed in range(DRAWS):
        trace = trace_of(model.joint, seed, *arguments)
        p = values_of(trace)
        z = compiled.standardise(p["theta"], compiled.reference_scale(p["theta"], layout.reference))
        independent = simulate.standardised(p["theta"], layout.reference)
        np.testing.assert_allclose(z, independent, rtol=1e-10, atol=1e-12)
        site = noise_of(trace, "task_score")
        np.testing.assert_allclose(site.loc, simulate.task_curve(p, independent, tasks), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(noise_of(trace, "benchmark_score").loc, simulate.benchmark_curve(p, data), **EXACT)


def test_standardise_with_draws():
    theta = np.random.default_rng(1).normal(2.0, 3.0, (DRAWS, 2, 30, 4))
    reference = (np.arange(30) % 3 > 0).astype(float)
    z = compiled.standardise(theta, compiled.reference_scale(theta, reference))
    np.testing.assert_allclose(z, simulate.standardised(theta, reference), rtol=1e-10, atol=1e-12)
    each = compiled.standardise(theta[1, 0], compiled.reference_scale(theta[1, 0], reference))
    np.testing.assert_allclose(np.asarray(z)[1, 0], each, **EXACT)


# --- families -----------------------------------------------------------------------------------------------------


def test_a_new_family_is_drawn_as_the_families_of_the_model_are(world: World):
    """With the same standard normal numbers, effects of a new family are those of one in the model."""
    layout, rng = world.layout, np.random.default_rng(2)
    arguments = (layout.measurements[0], world.spec.priors, layout.structure)
    heads = (layout.task_scores, world.spec.priors, world.spec.fit_sd, layout.structure)
    units: Values = {}

    def unit(name: str, shape: tuple[int, ...]) -> np.ndarray:
        units[name] = rng.standard_normal(shape)
        return units[name]

    population = {**values_of(world.traces[0]), **values_of(world.head_traces[0])}
    drawn = equations.new_family(population, unit)
    assert set(drawn) == set(equations.FAMILY_EFFECTS) - {"family_drift"}  # of sparse tables
    n = layout.structure.n_families
    fixed = {name: value for name, value in population.items() if name.endswith(("_mean", "_sd", "_median"))}
    raw = {f"{name}_raw": np.tile(value, (n, 1)) for name, value in units.items()}
    traces = trace_of(model.measurement, 5, *arguments, **fixed, **raw)
    traces |= trace_of(model.heads, 5, jnp.asarray(world.z[0]), *heads, **fixed, **raw)
    for name, value in drawn.items():
        np.testing.assert_allclose(np.asarray(traces[name]["value"]), np.tile(value, (n, 1)), **EXACT, err_msg=name)
        standard = traces[f"{name}_raw"]["fn"]
        while not hasattr(standard, "loc"):
            standard = standard.base_dist
        assert (np.unique(standard.loc), np.unique(standard.scale)) == (0.0, 1.0)


def test_effects_of_a_new_family_have_mean_and_spread_of_the_population():
    draws, rng = 40_000, np.random.default_rng(3)
    p = {"slope_mean": np.full((draws, 1), 0.8), "slope_sd": np.full((draws, 1), 0.3)}
    p |= {"family_offset_sd": np.full((draws, 1), 0.2)}
    drawn = equations.new_family(p, lambda _, shape: rng.standard_normal(shape))
    assert set(drawn) == {"slope", "family_offset"}
    for name, mean, sd in (("slope", 0.8, 0.3), ("family_offset", 0.0, 0.2)):
        assert abs(drawn[name].mean() - mean) < 4.5 * sd / np.sqrt(draws)
        assert abs(drawn[name].std() / sd - 1) < 4.5 / np.sqrt(2 * draws)


# --- the posterior of a fit ---------------------------------------------------------------------------------------


def expected_at(fit: CapabilityFit, chain: int, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of the traced scores, benchmarks and tasks, at one draw of a fit with one predictor set."""
    layout, spec = fit.layout, fit.spec
    at: Values = {}
    for group in ("posterior", "scaffold"):
        dataset = fit.tree[group].to_dataset().isel(chain=chain, draw=draw).isel(predictors=0, missing_dims="ignore")
        at |= {str(name): value.to_numpy() for name, value in dataset.items()}
    data, tasks = layout.measurements[0], layout.task_scores
    if spec.posterior == "joint":
        arguments = (data, tasks, jnp.asarray(layout.reference), spec.priors, spec.fit_sd, layout.structure)
        trace = trace_of(model.joint, 0, *arguments, **at)
    else:
        trace = trace_of(model.measurement, 0, data, spec.priors, layout.structure, **at)
        z = simulate.standardised(at["theta"], layout.reference)
        arguments = (tasks, spec.priors, spec.fit_sd, layout.structure)
        trace |= trace_of(model.heads, 0, jnp.asarray(z)[None], *arguments, **at)
    return tuple(np.asarray(noise_of(trace, site).loc) for site in ("benchmark_score", "task_score"))  # type: ignore[return-value]


@pytest.mark.parametrize("kind", ["cut", "joint", "made"])
def test_expected_scores_of_a_posterior_are_those_of_the_model(
    kind: str, request: pytest.FixtureRequest, simulation: Any, tiny_spec: CapabilitySpec
):
    if kind == "cut":
        fit = request.getfixturevalue("tiny_fit")
    else:
        posterior = "joint" if kind == "joint" else "cut"
        fit = made_fit(simulation, tiny_spec.model_copy(update={"posterior": posterior}))
    posterior = fit.posterior
    place = posterior.place([Scenario(model=name) for name in fit.layout.models])
    expected = posterior.by_chain(posterior.expected(place, posterior.names))
    for chain, draw in ((0, 0), (1, 17), (1, 199)):
        benchmarks, tasks = expected_at(fit, chain, draw)
        np.testing.assert_allclose(expected[chain, draw, :, :5], benchmarks, **EXACT)
        np.testing.assert_allclose(expected[chain, draw, :, 5:], tasks, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("law", LAWS)
def test_typical_models_stand_on_the_line_of_their_family(law: str, simulate_with: Any):
    """A family's line at the compute of its models is the mean of their capabilities, at every draw."""
    fit = simulate_with(law)
    posterior, models = fit.posterior, fit.table.models
    date = np.asarray(fit.layout.measurements[0].covariates.date)
    expected = simulate.expected_capability({**posterior.measurement(0), "date": date}, posterior.family)
    for family in fit.layout.families[1:3]:  # of all their models the ratio is known
        rows = np.flatnonzero((models["family"] == family).to_numpy())
        facts = {name: models[name].to_numpy()[rows] for name in ("flops", "params", "tokens", "date")}
        typical = posterior.family_line(family, facts).theta[:, 0]
        np.testing.assert_allclose(typical, expected[:, rows], rtol=1e-9, atol=1e-12)


@pytest.fixture
def simulate_with(simulate: Any, tiny_spec: CapabilitySpec) -> Any:
    def run(law: str) -> CapabilityFit:
        spec = tiny_spec.model_copy(update=LAWS[law])
        return made_fit(simulate(4, spec, sized=law == "sized"), spec)

    return run
