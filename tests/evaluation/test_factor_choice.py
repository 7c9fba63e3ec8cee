"""How many factors: what the choice may see, and data of which the number is known."""

from __future__ import annotations

import numpy as np
import pytest
from sparse_tables import sparse_table
from synthetic import Scatter

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.factor_choice import before_cutoffs, compare_factors


def test_a_choice_sees_nothing_that_the_published_setups_hold_out(paper):
    early = before_cutoffs(paper)
    assert early.models["flops"].max() == 8.4e22 and early.models["flops"].notna().all()
    arithmetic = early.matrix(["arithmetic_3ds"]).dropna().index
    assert early.models.loc[arithmetic, "flops"].max() <= 2.2e22 * (1 + 1e-9)
    assert early.matrix(["parsinlu_qa"]).dropna().index.isin(paper.matrix(["parsinlu_qa"]).dropna().index).all()
    assert len(early.matrix(["MMLU"]).dropna()) == 47


@pytest.mark.parametrize("counts", [[], [9]])
def test_impossible_counts_are_refused(paper, counts):
    with pytest.raises(InputError):
        compare_factors(paper, counts, future=False)


@pytest.mark.slow
def test_numbers_of_factors_of_a_sparse_table_are_compared_by_date(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr("bayes_obscaling.inference.fit.default_sampler", Scatter)
    table = sparse_table()
    found = compare_factors(table, [2, 1], dates=["2025-06-01"], chains=2, draws=100, cache=tmp_path)
    assert list(found.table["factors"]) == [1, 2] and "elpd" not in found.table
    split, scores = Split.by_date(table, "2025-06-01", "all"), table.matrix(table.benchmark_names)
    able = split.masked(scores).notna().sum() >= 3
    hidden = scores.loc[list(split.hidden), able].notna().sum().sum()
    assert (found.table["cells"] == hidden).all() and hidden > 20  # models of unknown compute are judged too
    assert found.table["crps"].between(0, 0.5).all() and found.table["crps_difference"].min() == 0
    (sentence,) = found.sentences
    assert f"{hidden} scores of models released since 2025-06-01" in sentence
    assert found.plot().get_ylabel().startswith("CRPS of later models' scores")


def test_what_cannot_be_compared_on_a_sparse_table_is_refused():
    with pytest.raises(InputError, match="compared by leave-future-out alone"):
        compare_factors(sparse_table(), [1, 2], future=False)
    with pytest.raises(InputError, match="No benchmark has three scores of models released before 2023-07-01"):
        compare_factors(sparse_table(), [1, 2], dates=["2023-07-01"])


@pytest.mark.slow
def test_two_factors_are_chosen_where_there_are_two(simulate, tiny_spec, cache_folder):
    made = simulate(3, tiny_spec, n_families=6, per_family=5, n_benchmarks=6, n_tasks=1)
    facts = made.table.benchmarks
    facts.loc[made.table.task_names, "cutoff_flops"] = 10**24.3  # above all models: one measurement for all
    table = ScoreTable(made.table.models, facts, made.table.scores)
    found = compare_factors(table, [1, 2], spec=tiny_spec, chains=2, draws=100, seed=1, cache=cache_folder)
    one, two = found.table.set_index("factors")["elpd"]
    assert two - one > 5  # 8.4 to 9.5 with four seeds and lengths
    assert found.table["difference"].max() == 0 and found.table["se"].iloc[0] > 0
    assert found.table["crps"].between(0, 0.3).all() and found.table["cells"].nunique() == 1
    assert found.table["crps_difference"].min() == 0  # the best one's own
    np.testing.assert_allclose(
        found.table["crps_difference"], found.table["crps"] - found.table["crps"].min(), atol=1e-9
    )
