"""The model of sparse tables: equations against traces and a second writing, what is hidden, and how it is laid out."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from numpyro import handlers
from numpyro.infer.util import log_density
from scipy import stats
from sparse_tables import CATEGORIES, HIDDEN, sparse_table
from synthetic import trace_of

from bayes_obscaling.data import ScoreTable, Split, load_base_llms, load_frontier, load_instruct_llms
from bayes_obscaling.models import capability as model
from bayes_obscaling.models import capability_equations as equations
from bayes_obscaling.models.capability_equations import CELL_NOISE_DF
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.spec import CapabilitySpec, Structure, spec_for
from bayes_obscaling.models.trace import sites_of, start_near_priors
from bayes_obscaling.validation import simulate_sparse

SPEC = CapabilitySpec.frontier()
SPLIT = Split("hidden", HIDDEN, HIDDEN)
EXACT: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-12}
compiled = SimpleNamespace(
    line=jax.jit(equations.line),
    compute_trend=jax.jit(equations.compute_trend),
    expected_cells=jax.jit(equations.expected_cells),
    cell_noise=jax.jit(equations.cell_noise),
)


def layout_of(table: ScoreTable, split: Split = SPLIT, spec: CapabilitySpec = SPEC) -> Layout:
    return lay_out(table, ["bench-0"], split, spec)


@pytest.fixture(scope="module")
def table() -> ScoreTable:
    return sparse_table()


@pytest.fixture(scope="module")
def layout(table: ScoreTable) -> Layout:
    return layout_of(table)


@pytest.fixture(scope="module", params=[0, 1])
def trace(request: pytest.FixtureRequest, layout: Layout) -> dict[str, Any]:
    return trace_of(model.measurement, request.param, layout.measurements[0], SPEC.priors, layout.structure)


@pytest.fixture
def p(trace: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(site["value"]) for name, site in trace.items()}


# --- fences -------------------------------------------------------------------------------------------------------


def test_expected_cells_and_their_noise(layout: Layout, trace: dict[str, Any], p: dict[str, np.ndarray]):
    data, site = layout.measurements[0], trace["cell_score"]["fn"].base_dist
    assert (np.asarray(data.cells.effort) < 0).any() and (np.asarray(data.cells.reasoning) < 0).any()
    expected = compiled.expected_cells(p, p["theta"], data.cells, data.chance)
    np.testing.assert_allclose(expected, site.loc, **EXACT)
    np.testing.assert_allclose(expected, simulate_sparse.cell_curve(p, data.cells, data.chance), **EXACT)
    noise = compiled.cell_noise(p, expected, data.cells)
    np.testing.assert_allclose(noise.scale, site.scale, **EXACT)
    np.testing.assert_allclose(noise.scale, simulate_sparse.cell_scale(np.asarray(expected), p, data.cells), **EXACT)
    assert type(noise) is type(site) and np.unique(site.df) == CELL_NOISE_DF
    assert np.asarray(expected).std() > 0.05 and np.ptp(np.asarray(noise.scale)) > 0.005


def test_cells_of_all_draws_at_once_are_those_of_each(layout: Layout, p: dict[str, np.ndarray]):
    data = layout.measurements[0]
    other = {name: value + 0.1 for name, value in p.items()}
    both = {name: np.stack([p[name], other[name]]) for name in p}
    together = simulate_sparse.cell_curve(both, data.cells, data.chance)
    for draw, one in enumerate((p, other)):
        np.testing.assert_allclose(together[draw], simulate_sparse.cell_curve(one, data.cells, data.chance), **EXACT)


def test_line_is_the_mean_of_theta(layout: Layout, trace: dict[str, Any], p: dict[str, np.ndarray]):
    data = layout.measurements[0]
    family, x = np.asarray(data.family), data.covariates._replace(compute=p["compute"])
    assert np.asarray(x.reasoning).any() and not np.asarray(x.reasoning).all()
    own = {name: p[name][family] for name in ("intercept", "slope", "family_drift")}
    line = compiled.line({**p, **own}, x)
    centred = model.SPARSE_CENTRING
    np.testing.assert_allclose(line, np.asarray(trace["theta_raw"]["fn"].loc) / centred, **EXACT)
    mine = simulate_sparse.sparse_line(p, family, p["compute"], np.asarray(x.date), np.asarray(x.reasoning))
    np.testing.assert_allclose(line, mine, **EXACT)
    scale = np.asarray(trace["theta_raw"]["fn"].scale)
    np.testing.assert_allclose(scale, np.broadcast_to(p["residual_sd"] ** centred, scale.shape), **EXACT)
    theta = line + p["residual_sd"] ** (1 - centred) * (p["theta_raw"] - centred * line)
    np.testing.assert_allclose(p["theta"], theta, **EXACT)


def test_compute_is_around_its_trend_and_what_was_published_measures_it(
    layout: Layout, trace: dict[str, Any], p: dict[str, np.ndarray]
):
    data = layout.measurements[0]
    family, date = np.asarray(data.family), np.asarray(data.covariates.date)
    trend = compiled.compute_trend(p, p["family_compute"][family], date)
    np.testing.assert_allclose(p["compute"], trend + p["compute_sd"] * p["compute_raw"], **EXACT)
    np.testing.assert_allclose(trend, simulate_sparse.compute_line(p, p["family_compute"][family], date), **EXACT)
    np.testing.assert_allclose(p["compute_level"] + p["compute_growth"] * date.mean(), p["compute_middle"], **EXACT)
    site = trace["published_compute"]["fn"]
    known = np.delete(np.arange(24), layout.structure.unknown_compute)
    assert len(known) == 8 and np.flatnonzero(np.asarray(site._mask)).tolist() == known.tolist()
    np.testing.assert_allclose(site.base_dist.loc, p["compute"], **EXACT)
    np.testing.assert_allclose(site.base_dist.scale[known], 0.3, **EXACT)


@pytest.mark.parametrize("flops_sd", [0.3, np.nan], ids=["with an error", "exact"])
def test_the_level_is_the_capability_in_the_middle_of_the_published_compute(table: ScoreTable, flops_sd: float):
    models = table.models
    known = models["flops"].notna()
    models["flops_sd"] = np.where(known, flops_sd, np.nan)
    layout = layout_of(ScoreTable(models, table.benchmarks, table.scores))
    data = layout.measurements[0]
    trace = trace_of(model.measurement, 3, data, SPEC.priors, layout.structure)
    p = {name: np.asarray(site["value"]) for name, site in trace.items()}
    compute = np.log10(models["flops"][known]).mean() - equations.COMPUTE_CENTRE
    assert compute > 1
    middle = p["intercept_mean"] + p["slope_mean"] * (compute + p["drift"] * np.asarray(data.covariates.date).mean())
    np.testing.assert_allclose(middle, p["level_mean"], **EXACT)
    if np.isnan(flops_sd):  # published compute is never taken for perfectly exact
        np.testing.assert_allclose(trace["published_compute"]["fn"].base_dist.scale, 0.02, **EXACT)


def test_anchors_identify_the_factors(layout: Layout, p: dict[str, np.ndarray]):
    anchors = list(layout.structure.anchors)
    np.testing.assert_array_equal(p["loading"][anchors], np.eye(2))
    np.testing.assert_array_equal(p["difficulty"][anchors], 0.0)
    others = np.delete(np.arange(22), anchors)
    assert (p["loading"][others] > 0).all() and (p["difficulty"][others] != 0).all()


def test_benchmarks_drift_around_their_category_and_around_the_capabilities(
    table: ScoreTable, layout: Layout, p: dict[str, np.ndarray]
):
    anchors = list(layout.structure.anchors)
    np.testing.assert_array_equal(p["benchmark_drift"][anchors], 0.0)
    others = np.delete(np.arange(22), anchors)
    a_year = p["benchmark_drift"][others] / p["loading"][others].sum(axis=-1)
    assert a_year.std() > 0.02 and abs(a_year.mean()) < 1e-12  # what all gain, the capabilities gain
    category = table.benchmarks["category"].map(layout.categories.index).to_numpy()
    own = a_year - p["category_drift"][category[others]]
    np.testing.assert_allclose(own, p["benchmark_drift_sd"] * p["benchmark_drift_raw"][others], **EXACT)
    middle = np.asarray(layout.measurements[0].covariates.date).mean()
    in_middle = p["difficulty"] + p["benchmark_drift"] * middle + p["loading"] @ p["level_mean"]
    np.testing.assert_allclose(in_middle[others], p["predictor_raw"][others], **EXACT)


def test_without_categories_benchmarks_are_one_and_without_a_drift_nothing_is_sampled(table: ScoreTable):
    plain = ScoreTable(table.models, table.benchmarks.assign(category=""), table.scores)
    layout = layout_of(plain)
    assert layout.categories == ("no category",) and set(layout.structure.drifting) == {0}
    still = layout_of(table, spec=SPEC.model_copy(update={"benchmark_drift": "none"}))
    cells = still.measurements[0].cells
    assert cells is not None and cells.date is None and still.structure.drifting == () and still.categories == ()
    names = trace_of(model.measurement, 0, still.measurements[0], SPEC.priors, still.structure)
    assert not [name for name in names if "benchmark_drift" in name or "category" in name]


def test_both_writings_draw_parameters_of_the_same_distribution(layout: Layout):
    """What is sampled in other coordinates has, in both, the population that it is said to have."""
    data, structure, draws = layout.measurements[0], layout.structure, 400
    unknown = structure.unknown_compute[0]
    read = {
        "intercept": lambda t: t["intercept"][0] - t["intercept_mean"],
        "slope": lambda t: t["slope"][1],
        "family_drift": lambda t: t["family_drift"][2],
        "compute": lambda t: t["compute"][[unknown]],
        "loading": lambda t: np.log(t["loading"][20].sum())[None],
        "share": lambda t: t["loading"][21, :1] / t["loading"][21].sum(),
        "difficulty": lambda t: t["difficulty"][[20]],
        "overdispersion": lambda t: np.log(t["overdispersion"][[20]]),
        "asymmetry": lambda t: np.log(t["asymmetry"][[20]]),
        "ceiling_gap": lambda t: t["ceiling_gap"][[20]],
    }

    @jax.jit
    @jax.vmap
    def drawn(key: jax.Array) -> dict[str, jax.Array]:
        trace = handlers.trace(handlers.seed(model.measurement, key)).get_trace(data, SPEC.priors, structure)
        return {name: trace[name]["value"] for name in {*read, "intercept_mean"} - {"share"}}

    theirs = jax.tree.map(np.asarray, drawn(jax.random.split(jax.random.key(0), draws)))
    rng = np.random.default_rng(0)
    mine = [simulate_sparse.draw_sparse(data, structure, SPEC, rng) for _ in range(draws)]
    for name, value in read.items():
        each = [value({key: array[i] for key, array in theirs.items()}) for i in range(draws)]
        for one, other in zip(np.transpose(each), np.transpose([value(t) for t in mine]), strict=True):
            assert stats.ks_2samp(one, other).pvalue > 1e-4, name


# --- what is hidden -----------------------------------------------------------------------------------------------


@cache
def density(structure: Structure) -> Any:
    def run(arguments: Any, at: dict[str, jax.Array]) -> jax.Array:
        return log_density(model.measurement, (*arguments, structure), {}, at)[0]

    return jax.jit(jax.value_and_grad(run, argnums=1))


def density_of(layout: Layout) -> dict[str, np.ndarray]:
    """Log density and its gradient at one point near the prior medians."""
    arguments = (layout.measurements[0], SPEC.priors)
    sites = sites_of(model.measurement, *arguments, layout.structure)
    point = start_near_priors(sites, SPEC.priors, np.random.default_rng(2))
    value, gradient = density(layout.structure)(arguments, point)
    return {"": np.asarray(value), **{name: np.asarray(part) for name, part in gradient.items()}}


def altered(table: ScoreTable, model_name: str, benchmark: str = "") -> ScoreTable:
    """The table with other scores of a model, in all settings."""
    frames = []
    for frame in (table.scores, table.other_settings):
        hit = (frame["model"] == model_name) & (frame["benchmark"] == benchmark if benchmark else True)
        frame.loc[hit, "score"] = 1.0 - 0.9 * frame.loc[hit, "score"]
        frames.append(frame)
    return ScoreTable(table.models, table.benchmarks, frames[0], other_settings=frames[1])


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.mark.parametrize("name", HIDDEN)
def test_a_hidden_model_changes_nothing(table: ScoreTable, layout: Layout, name: str):
    before = density_of(layout)
    assert_same(before, density_of(layout_of(altered(table, name))))
    assert abs(density_of(layout_of(altered(table, "Birch-2")))[""] - before[""]) > 0.1


def test_a_hidden_cell_changes_nothing_in_none_of_its_settings(table: ScoreTable):
    name, benchmark = table.other_settings.loc[0, ["model", "benchmark"]]
    split = Split("cell", (), cells=((name, benchmark),))
    layout = layout_of(table, split)
    cells = layout.measurements[0].cells
    unseen = np.flatnonzero(~np.asarray(cells.seen))
    assert len(unseen) == 3  # its own setting, low and none
    assert_same(density_of(layout), density_of(layout_of(altered(table, name, benchmark), split)))
    seen = Split("nothing", ())
    assert density_of(layout_of(table, seen))[""] != density_of(layout_of(altered(table, name, benchmark), seen))[""]


def test_compute_that_nobody_published_is_never_read(layout: Layout):
    data = layout.measurements[0]
    unknown = np.array(layout.structure.unknown_compute)
    compute = np.array(data.covariates.compute)
    compute[unknown] = 7.0
    moved = data._replace(
        covariates=data.covariates._replace(compute=jnp.asarray(compute)),
        compute_sd=jnp.asarray(np.where(np.isin(np.arange(24), unknown), 0.7, data.compute_sd)),
    )
    assert_same(density_of(layout), density_of(replace(layout, measurements=(moved,))))
    compute[np.setdiff1d(np.arange(24), unknown)[0]] += 1.0
    other = moved._replace(covariates=data.covariates._replace(compute=jnp.asarray(compute)))
    assert density_of(replace(layout, measurements=(other,)))[""] != density_of(layout)[""]


# --- from a table to arrays ---------------------------------------------------------------------------------------


def test_efforts_are_counted_from_a_model_s_best_and_answers_without_reasoning_are_told_apart():
    columns = ["model", "benchmark", "setting", "reasoning", "score", "n_items"]
    scores = pd.DataFrame(
        [
            ("thinks", "a", "high", 1, 0.8, 50),
            ("thinks", "b", "", np.nan, 0.7, np.nan),
            ("answers", "a", "none", 0, 0.4, np.nan),
            ("budgets", "a", "32K", 1, 0.6, np.nan),
        ],
        columns=columns,
    )
    others = pd.DataFrame(
        [
            ("thinks", "a", "low", 1, 0.6, 20),
            ("thinks", "a", "none", 0, 0.5, np.nan),
            ("budgets", "a", "8K", 1, 0.5, 9),
        ],
        columns=columns,
    )
    models = pd.DataFrame({"model": ["thinks", "answers", "budgets"], "family": "f", "date": "2025-01-01"})
    benchmarks = pd.DataFrame({"benchmark": ["a", "b"], "n_items": [100.0, np.nan]})
    table = ScoreTable(models, benchmarks, scores, other_settings=others)
    layout = lay_out(table, ["a"], Split("one", ("answers",), ("answers",)), SPEC)
    data = layout.measurements[0]
    cells = data.cells
    names = [(layout.models[m], layout.benchmarks[b]) for m, b in zip(cells.model, cells.benchmark, strict=True)]
    at = {(*name, round(float(score), 2)): i for i, (name, score) in enumerate(zip(names, cells.score, strict=True))}
    expected = {  # effort, reasoning, 1 / items, seen
        ("thinks", "a", 0.8): (0, 0, 1 / 50, True),
        ("thinks", "b", 0.7): (0, 0, 0, True),
        ("answers", "a", 0.4): (0, 0, 1 / 100, False),
        ("budgets", "a", 0.6): (0, 0, 1 / 100, True),
        ("thinks", "a", 0.6): (-2, 0, 1 / 20, True),
        ("thinks", "a", 0.5): (0, -1, 1 / 100, True),
        ("budgets", "a", 0.5): (-2, 0, 1 / 9, True),  # 8K is two doublings below 32K
    }
    assert set(at) == set(expected)
    for key, i in at.items():
        found = (cells.effort[i], cells.reasoning[i], cells.inv_items[i], cells.seen[i])
        np.testing.assert_allclose(np.array(found, float), np.array(expected[key], float), err_msg=str(key))
    assert np.asarray(data.covariates.reasoning).tolist() == [1.0, 0.0, 1.0]


def test_the_frontier_model_is_for_sparse_tables_alone(table: ScoreTable):
    assert spec_for(load_frontier()) == spec_for(table) == SPEC
    for dense in (load_base_llms("paper"), load_base_llms("all"), load_instruct_llms()):
        assert spec_for(dense) == CapabilitySpec()
    few = table.benchmarks.index[:19]  # as sparse, but of few benchmarks
    scores = table.scores[table.scores["benchmark"].isin(few)]
    assert spec_for(ScoreTable(table.models, table.benchmarks.loc[few], scores)) == CapabilitySpec()


def test_the_frontier_table_is_anchored_by_mathematics_and_knowledge():
    table = load_frontier()
    layout = lay_out(table, ["gpqa_diamond"], Split.all_seen(), SPEC)
    assert layout.factors == SPEC.anchors
    assert table.benchmarks.loc[list(layout.factors), "category"].tolist() == ["math", "knowledge"]
    assert layout.n_cells == len(table.scores) + len(table.other_settings)


def test_anchors_that_are_missing_are_replaced_by_those_of_other_categories(table: ScoreTable):
    counts = table.scores["benchmark"].value_counts()
    category = table.benchmarks["category"]
    layout = layout_of(table, Split.all_seen(), SPEC.model_copy(update={"n_factors": 4}))
    assert counts[layout.factors[0]] == counts.max()
    assert {category[name] for name in layout.factors} == set(CATEGORIES)
    named = SPEC.model_copy(update={"anchors": ("bench-9", "no such benchmark")})
    first, second = layout_of(table, Split.all_seen(), named).factors
    rivals = counts[[name for name in counts.index if category[name] != category["bench-9"]]]
    assert first == "bench-9" and category[second] != category["bench-9"] and counts[second] == rivals.max()
