"""Fits that ship with the package are those of today's tables, specs and equations, and answer what they can."""

from __future__ import annotations

from pathlib import Path

import pytest

import bayes_obscaling as bo
from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.inference import shipped as room
from bayes_obscaling.inference.shipped import expectation, facts_of_shipped, find_joinable, find_shipped, shipped
from bayes_obscaling.models.spec import CapabilitySpec, spec_for
from bayes_obscaling.results.fit import CapabilityFit

NAMES = ("base-llms", "base-llms-paper", "frontier", "instruct-llms")
REMEDY = "make them anew with scripts/ship_fits.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_fit_is_that_of_today(name: str):
    fit, facts = shipped(name), facts_of_shipped()[name]
    table = bo.load("base-llms", only="paper") if name == "base-llms-paper" else bo.load(name)  # type: ignore[call-overload]
    assert facts["table"] == table.data_hash == fit.table.data_hash, REMEDY
    assert fit.spec == spec_for(table), REMEDY
    assert facts["version"] == bo.__version__, REMEDY
    assert expectation(fit) == pytest.approx(facts["expects"], rel=1e-6), REMEDY
    assert fit.verdict == "PASS"
    assert fit.draws.sizes["draw"] * fit.draws.sizes["chain"] == 800
    found = find_shipped(table, fit.tasks[:1], fit.split, CapabilitySpec() if name != "frontier" else fit.spec)
    assert found is not None
    assert found.provenance == fit.provenance


def test_they_are_small():
    files = list(room.fits_folder().glob("*.nc"))
    assert {path.stem for path in files} == set(NAMES)
    assert sum(path.stat().st_size for path in files) < 8.5e6


@pytest.mark.parametrize(
    ("cutoff", "spec"),
    [(3e22, CapabilitySpec()), (8.4e22, CapabilitySpec(n_factors=3)), (8.4e22, CapabilitySpec.logistic())],
)
def test_another_question_is_not_answered(cutoff: float, spec: CapabilitySpec):
    table = bo.load("base-llms", only="paper")
    assert find_shipped(table, ["word_unscrambling"], Split.by_flops(table, cutoff), spec) is None


def test_a_benchmark_above_a_cutoff_is_not_answered_by_a_fit_that_saw_it():
    table = bo.load("base-llms", only="paper")
    assert find_shipped(table, ["MMLU"], Split.by_flops(table, 8.4e22), CapabilitySpec()) is None


def test_a_changed_score_is_not_answered():
    table = bo.load("base-llms", only="paper")
    scores = table.scores
    scores.loc[0, "score"] += 0.01
    changed = ScoreTable(table.models, table.benchmarks, scores)
    split = Split.by_flops(changed, 8.4e22)
    assert find_shipped(changed, ["word_unscrambling"], split, CapabilitySpec()) is None
    assert find_joinable(changed, ["word_unscrambling"], split, CapabilitySpec()) is None


def test_the_rest_of_a_table_joins_the_largest_fit_that_it_can():
    table = bo.load("base-llms", only="later")
    found = find_joinable(table, ["MMLU"], Split.all_seen(), CapabilitySpec())
    assert found is not None
    assert len(found.table.models) == 77


def test_shipping_ties_a_fit_to_its_table(dated_fit: CapabilityFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "fits_folder", lambda: tmp_path)
    room._index.cache_clear()
    try:
        room.ship(dated_fit, "mine")
        assert room.shipped_names() == ("mine",)
        found = find_shipped(dated_fit.table, ["task-0"], dated_fit.split, dated_fit.spec)
        assert found is not None
        assert find_shipped(dated_fit.table, ["task-1"], dated_fit.split, dated_fit.spec) is not None
        assert find_shipped(dated_fit.table, ["other"], dated_fit.split, dated_fit.spec) is None
    finally:
        room._index.cache_clear()
