"""Fits that ship with the package are those of today's tables, specs and equations, and answer what they can."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import bayes_obscaling as bo
from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference import shipped as room
from bayes_obscaling.inference.shipped import (
    expectation,
    facts_of_shipped,
    find_joinable,
    find_shipped,
    find_shipped_ladder,
    shipped,
)
from bayes_obscaling.models.ladder import LadderSpec
from bayes_obscaling.models.spec import CapabilitySpec, spec_for
from bayes_obscaling.results.fit import CapabilityFit, LadderFit

NAMES = ("base-llms", "base-llms-paper", "frontier", "instruct-llms")
REMEDY = "make them anew with scripts/ship_fits.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_fit_is_that_of_today(name: str):
    fit, facts = shipped(name, CapabilityFit), facts_of_shipped()[name]
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


def test_the_ladder_that_ships_is_that_of_today():
    fit, facts, ladder = shipped("olmo-ladder", LadderFit), facts_of_shipped()["olmo-ladder"], bo.load("olmo-ladder")
    assert facts["table"] == ladder.data_hash == fit.ladder.data_hash, REMEDY
    assert facts["version"] == bo.__version__, REMEDY
    assert expectation(fit) == pytest.approx(facts["expects"], rel=1e-6), REMEDY
    assert fit.verdict == "PASS" and fit.is_thinned
    found = find_shipped_ladder(ladder, LadderSpec())
    assert found is not None and found.provenance == fit.provenance
    assert find_shipped_ladder(ladder, LadderSpec(law="compute")) is None
    assert find_shipped_ladder(bo.load("olmo-ladder", only="paper"), LadderSpec()) is None


def test_they_are_small():
    files = list(room.fits_folder().glob("*.nc"))
    assert {path.stem for path in files} == {*NAMES, "olmo-ladder"}
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


def own(table: ScoreTable, score: float = 0.5) -> ScoreTable:
    """The table with a model of one's own."""
    mine = pd.DataFrame({"model": ["mine"], "family": ["Llama-2"], "flops": [1e23], "MMLU": [score]})
    return bo.read(mine, into=table)  # type: ignore[return-value]


def test_a_model_of_ones_own_joins_the_fit_of_all_others():
    for name, only in (("base-llms", "all"), ("base-llms-paper", "paper")):
        table = own(bo.load("base-llms", only=only))  # type: ignore[call-overload]
        found = find_joinable(table, ["MMLU"], Split.all_seen(), CapabilitySpec())
        assert found is not None
        assert found.table == shipped(name, CapabilityFit).table


def test_bundled_models_that_a_fit_has_not_seen_do_not_join_it():
    """A changed score of one of the 71 later models is not answered by the fit of the 77 others."""
    table = bo.load("base-llms")
    changed = bo.read(pd.DataFrame({"model": ["Qwen/Qwen2-72B"], "MMLU": [0.95]}), into=table)
    assert find_joinable(changed, ["MMLU"], Split.all_seen(), CapabilitySpec()) is None  # type: ignore[arg-type]
    later = own(bo.load("base-llms", only="later"))
    assert find_joinable(later, ["MMLU"], Split.all_seen(), CapabilitySpec()) is None


def test_a_folder_of_the_same_name_hides_no_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "frontier").mkdir()
    monkeypatch.chdir(tmp_path)
    assert room.fit_file("frontier").is_file()
    assert room.fit_file("other.nc") == Path("other.nc")  # whoever opens it says that it is not there
    with pytest.raises(InputError, match="There is no fit other: name a file, or one that ships: base-llms"):
        room.fit_file("other")


def test_shipping_ties_a_fit_to_its_table(dated_fit: CapabilityFit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "fits_folder", lambda: tmp_path)
    room._index.cache_clear()
    try:
        room.ship(dated_fit, "mine")
        assert tuple(room.facts_of_shipped()) == ("mine",)
        found = find_shipped(dated_fit.table, ["task-0"], dated_fit.split, dated_fit.spec)
        assert found is not None
        assert find_shipped(dated_fit.table, ["task-1"], dated_fit.split, dated_fit.spec) is not None
        assert find_shipped(dated_fit.table, ["other"], dated_fit.split, dated_fit.spec) is None
    finally:
        room._index.cache_clear()
