"""Whatever table a user brings: a problem that can be sampled, or one sentence; never a traceback, never a NaN."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpyro.infer.util import potential_energy, unconstrain_fn

from bayes_obscaling.data import ScoreTable, Split, check_table, read_scores
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.fit import bound_heads, bound_measurement, fit_table
from bayes_obscaling.inference.starts import from_anchors, of_heads
from bayes_obscaling.models.capability_equations import reference_scale, standardise
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.spec import CapabilitySpec, Structure
from bayes_obscaling.models.trace import sites_of, start_near_priors
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.scenario import Scenario

ABOUT = ["Model", "Model Family", "FLOPs (1E21)"]
ONE, TWO = CapabilitySpec(n_factors=1), CapabilitySpec(n_factors=2)


def one_sentence(error: InputError) -> bool:
    text = str(error)
    return 20 < len(text) < 400 and "\n" not in text and "Error" not in text and "Traceback" not in text


def written(rows: list[list[object]], newline: str = "\n", mark: bool = False, quote: bool = False) -> bytes:
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if quote else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator=newline, quoting=quoting).writerows(rows)
    return text.getvalue().encode("utf-8-sig" if mark else "utf-8")


# ------------------------------------------------------------------------------------------------- any file

NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)
SCORES = st.one_of(st.sampled_from([0, 1, 0.0, 1.0, 0.25, ""]), st.floats(0, 1, allow_subnormal=False))
ODD = st.sampled_from(["45.2%", "0,5", " 0.5 ", "1e-3", "NaN", "-", "101", "-0.1", "inf", "nought point five"])


@st.composite
def tables(draw: Callable[..., Any], odd: bool = True) -> list[list[object]]:
    """Rows of a file in the wide layout: a header, then a row a model; the last column is a task."""
    n_models, n_benchmarks = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    models = draw(st.lists(NAMES, min_size=n_models, max_size=n_models, unique_by=str.casefold))
    families = draw(st.lists(NAMES, min_size=1, max_size=n_models))
    columns = [*(f"b{i}" for i in range(n_benchmarks)), "t"]
    constant = draw(st.lists(st.booleans(), min_size=len(columns), max_size=len(columns)))
    rows: list[list[object]] = [[*ABOUT, *columns]]
    for i, model in enumerate(models):
        flops = draw(st.sampled_from(["", 1, 84, 0.001, 5e4]))
        cells = [0.5 if same else draw(SCORES) for same in constant]
        rows.append([model, families[i % len(families)], flops, *cells])
    if odd:
        for _ in range(draw(st.integers(0, 2))):
            rows[draw(st.integers(1, n_models))][draw(st.integers(3, 3 + n_benchmarks))] = draw(ODD)
        if draw(st.integers(0, 4)) == 0:
            rows.append(rows[-1])  # a duplicated row
    return rows


def finite(layout: Layout) -> bool:
    """No NaN among the arrays but chance that nobody said, and starting values that are numbers."""
    parts = [part for part in (*layout.measurements, layout.task_scores) if part is not None]
    for part, unknown in [(p, layout.structure.unknown_chance) for p in layout.measurements] + [
        (p, layout.structure.unknown_task_chance) for p in parts[len(layout.measurements) :]
    ]:
        assert np.flatnonzero(np.isnan(np.asarray(part.chance))).tolist() == list(unknown)
    said = [part._replace(chance=np.nan_to_num(np.asarray(part.chance))) for part in parts]
    arrays = jax.tree.leaves((said, layout.reference))
    rng = np.random.default_rng(0)
    starts = [from_anchors(data, layout.structure, rng) for data in layout.measurements]
    return all(np.isfinite(np.asarray(a, float)).all() for a in (*arrays, *jax.tree.leaves(starts)))


@settings(max_examples=30, deadline=None)
@given(rows=tables(), ask_for=st.sampled_from(["t", "b0"]), hide=st.booleans(), latent=st.booleans())
def test_any_file_is_a_problem_or_one_sentence(rows, ask_for, hide, latent, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(written(rows))
    findings = check_table(path, against=ScoreTable.empty())
    try:
        table = read_scores(path, tasks=["t"])
        hidden = tuple(table.models.index[-1:]) if hide else ()
        layout = lay_out(table, [ask_for], Split("last", hidden, hidden if latent else ()), ONE)
    except InputError as error:
        assert one_sentence(error), error
        return
    assert findings[0].level == "PASS"
    assert finite(layout)
    assert len(layout.models) == len(rows) - 1


@settings(max_examples=15, deadline=None)
@given(rows=tables(odd=False), data=st.data())
def test_the_same_table_in_another_dress(rows, data, tmp_path_factory):
    """Order of columns and rows, line ends, byte-order mark, numbers in quotes: the table is the same."""
    path = tmp_path_factory.getbasetemp() / "dress.csv"
    path.write_bytes(written(rows))
    try:
        plain = read_scores(path, tasks=["t"])
    except InputError as error:
        assert one_sentence(error), error
        return
    order = data.draw(st.permutations(range(len(rows[0]))))
    body = data.draw(st.permutations(rows[1:]))
    turned = [[row[i] for i in order] for row in [rows[0], *body]]
    path.write_bytes(
        written(turned, *data.draw(st.tuples(st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans())))
    )
    assert read_scores(path, tasks=["t"]) == plain


def test_percent_signs_are_read_unless_only_some_scores_have_one(tmp_path: Path):
    path = tmp_path / "percent.csv"
    path.write_bytes(written([[*ABOUT, "b0"], ["a", "f", 1, "45.2%"]]))
    assert read_scores(path).scores["score"].item() == 0.452
    path.write_bytes(written([[*ABOUT, "b0"], ["a", "f", 1, "45.2%"], ["b", "f", 2, "0.5"]]))
    with pytest.raises(InputError, match=r"0\.5 has no percent sign"):
        read_scores(path)


# ------------------------------------------------------------------------------------- what can be sampled


def made(scores: np.ndarray, families: int = 3, flops: float = 1.0) -> ScoreTable:
    """Table of scores (models, benchmarks and a task), NaN where there is none."""
    n = len(scores)
    frame = pd.DataFrame(
        {
            "Model": [f"m{i}" for i in range(n)],
            "Model Family": [f"f{i % families}" for i in range(n)],
            "FLOPs (1E21)": flops * (1.0 + np.arange(n)),
        }
    )
    for j in range(scores.shape[1] - 1):
        frame[f"b{j}"] = scores[:, j]
    frame["t"] = scores[:, -1]
    return read_scores(frame, tasks=["t"])


def _rising(n: int = 6) -> np.ndarray:
    return np.tile(np.linspace(0.1, 0.8, n)[:, None], (1, 4))


def _edges() -> np.ndarray:
    scores = _rising()
    scores[:, 0] = 0.5  # constant
    scores[:3, 1], scores[3:, 1] = 0.0, 1.0
    scores[:, 3] = 0.0
    return scores


def _sparse() -> np.ndarray:
    scores = np.full((6, 4), np.nan)
    scores[[0, 1, 2], [0, 1, 2]] = 0.3, 0.4, 0.5
    scores[3:5, 0] = scores[4:, 1] = 0.6
    scores[0, 3] = 0.2
    return scores


NASTY: dict[str, Callable[[], ScoreTable]] = {
    "scores of 0 and 1, a constant column": lambda: made(_edges()),
    "benchmarks seen once, one task score": lambda: made(_sparse()),
    "no FLOPs known": lambda: made(_rising(), flops=np.nan),
    "one family": lambda: made(_rising(), families=1),
    "a hundred families": lambda: made(_rising(100), families=100),
}


@lru_cache
def _potentials(structure: Structure) -> tuple[Any, Any]:
    def measured(fixed: Any, start: Any) -> Any:
        at = unconstrain_fn(bound_measurement, (fixed, None, structure), {}, start)
        return jax.value_and_grad(lambda u: potential_energy(bound_measurement, (fixed, None, structure), {}, u))(at)

    def headed(fixed: Any, z: Any, start: Any) -> Any:
        at = unconstrain_fn(bound_heads, (fixed, z, structure), {}, start)
        return jax.value_and_grad(lambda u: potential_energy(bound_heads, (fixed, z, structure), {}, u))(at)

    return jax.jit(measured), jax.jit(headed)


def log_densities(layout: Layout, spec: CapabilitySpec) -> list[np.ndarray]:
    """Log densities of measurement and heads, and their gradients, where the chains start."""
    rng = np.random.default_rng(0)
    measured, headed = _potentials(layout.structure)
    data, priors = layout.measurements[0], jax.tree.map(jnp.asarray, spec.priors)
    sites = sites_of(bound_measurement, (data, priors), None, layout.structure)
    start = start_near_priors(sites, spec.priors, rng) | from_anchors(data, layout.structure, rng)
    found = [measured((data, priors), start)]
    if layout.task_scores is not None:
        theta = jnp.asarray(rng.standard_normal((1, len(layout.models), layout.structure.n_factors)))
        z = standardise(theta, reference_scale(theta, layout.reference))
        fixed = (layout.task_scores, priors, jnp.asarray(spec.fit_sd))
        sites = sites_of(bound_heads, fixed, z, layout.structure)
        found.append(headed(fixed, z, of_heads(sites, spec.priors, rng)))
    return [np.asarray(leaf) for leaf in jax.tree.leaves(found)]


@pytest.mark.parametrize("name", list(NASTY)[:2])  # each compiles two gradients
def test_nasty_tables_have_a_finite_density_and_slope(name: str):
    layout = lay_out(NASTY[name](), ["t"], Split.all_seen(), TWO)
    assert finite(layout)
    assert all(np.isfinite(value).all() for value in log_densities(layout, TWO))


@settings(max_examples=25, deadline=None)
@given(scores=st.lists(st.lists(SCORES, min_size=4, max_size=4), min_size=6, max_size=6))
def test_any_scores_have_a_finite_density_and_slope(scores):
    """Of one size and with one anchor, so that it is compiled once."""
    spec = CapabilitySpec(n_factors=1, anchors=("b0",))
    try:
        filled = np.array([[np.nan if s == "" else s for s in row] for row in scores], float)
        layout = lay_out(made(filled), ["b0", "t"], Split.all_seen(), spec)
    except InputError as error:
        assert one_sentence(error), error
        return
    assert all(np.isfinite(value).all() for value in log_densities(layout, spec))


def test_one_model_is_one_sentence():
    with pytest.raises(InputError, match="two visible scores") as caught:
        lay_out(made(_rising(1)), ["t"], Split.all_seen(), ONE)
    assert one_sentence(caught.value)


@pytest.mark.slow
def test_ten_thousand_models(tmp_path: Path):
    count, rng = 10_000, np.random.default_rng(0)
    rows: list[list[object]] = [[*ABOUT, "b0", "b1", "t"]]
    rows += [[f"m{i}", f"f{i % 500}", 1 + i, *rng.uniform(size=3).round(3)] for i in range(count)]
    path = tmp_path / "long.csv"
    path.write_bytes(written(rows))
    layout = lay_out(read_scores(path, tasks=["t"]), ["t"], Split.all_seen(), ONE)
    assert len(layout.models) == count and len(layout.families) == 500
    assert finite(layout)
    assert all(np.isfinite(value).all() for value in log_densities(layout, ONE))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(NASTY)[1:])
def test_nasty_tables_are_forecast_inside_0_and_1(name: str, cache_folder: Path):
    table = NASTY[name]()
    fitted = fit_table(table, ["t", "b0"], spec=TWO, chains=2, draws=100, cache=cache_folder)
    asked = [*table.models.index[:3], Scenario("next", "f0", 1e27), Scenario("other", "new", 1e18)]
    made = forecast(fitted, asked)
    draws = made.draws.to_numpy()
    assert np.isfinite(draws).all() and draws.min() >= 0.0 and draws.max() <= 1.0
    assert made.to_dataframe()[["median", "q2.5", "q97.5"]].notna().all(axis=None)
