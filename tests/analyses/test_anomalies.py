"""Anomalies: what is planted is found, what is clean is left alone."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Text

from bayes_obscaling.analyses.anomalies import anomalies
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.plots import plot_anomalies


def shifted(table: ScoreTable, models: list[str], benchmark: str, by: float) -> ScoreTable:
    scores = table.scores
    mine = scores["model"].isin(models) & (scores["benchmark"] == benchmark)
    scores.loc[mine, "score"] = np.clip(scores.loc[mine, "score"] + by, 0, 1)
    return ScoreTable(table.models, table.benchmarks, scores)


@pytest.fixture(scope="module")
def planted(simulation, tiny_spec, cache_folder, quick_sampler):
    """One family's scores on a benchmark raised by .2, and one model's score on another lowered by .3."""
    family = [f"family-1-{j}" for j in range(4)]
    table = shifted(shifted(simulation.table, family, "bench-4", 0.2), ["family-5-2"], "bench-3", -0.3)
    sampled = fit_table(
        table,
        table.benchmark_names,
        spec=tiny_spec,
        chains=2,
        draws=200,
        seed=2,
        cache=cache_folder,
        sampler=quick_sampler,
    )
    return anomalies(sampled)


def test_a_contaminated_family_is_found(planted):
    rows = planted.table[planted.table["kind"] == "family"]
    row = rows[(rows["family"] == "family-1") & (rows["benchmark"] == "bench-4")].iloc[0]
    assert row["flag"] == "too good" and row["tail"] < 0.05
    assert 0.08 < row["median"] < 0.25 and row["q5"] > 0
    assert rows["median"].abs().idxmax() == row.name
    assert any("family-1 on bench-4" in sentence for sentence in planted.sentences)


def test_a_single_contaminated_score_is_found(planted):
    rows = planted.table[planted.table["kind"] == "score"]
    assert rows.iloc[0][["model", "benchmark", "flag"]].tolist() == ["family-5-2", "bench-3", "too bad"]
    assert rows.iloc[0]["median"] == pytest.approx(-0.3, abs=0.15)
    assert (rows["flag"] != "").sum() <= 4


def test_clean_scores_are_left_alone(made_fit, simulation):
    found = anomalies(made_fit).table
    single = found[found["kind"] == "score"]
    assert (single["flag"] != "").sum() <= 1
    assert single["tail"].between(0, 1).all() and (single["q_value"] >= single["tail"] - 1e-12).all()
    # Benchmarks are left out in turn; task scores are held out above the cutoff, and seen below it.
    by = single.groupby("basis").size()
    flops = simulation.table.models["flops"]
    held_out = (flops > 10**22.6) | (flops.index == "family-2-3")
    assert by["held out"] == 2 * held_out.sum() and by["in-sample"] == 2 * (~held_out).sum()
    leaves = [count for basis, count in by.items() if str(basis).startswith("leave-one-out")]
    assert sum(leaves) == 5 * 23
    excess = single[single["basis"] == "held out"].iloc[0]
    assert excess["q5"] <= excess["median"] <= excess["q95"]


def test_a_row_is_what_the_score_exceeds_its_forecast_by(made_fit):
    from bayes_obscaling.results.forecast import forecast

    row = anomalies(made_fit).table.query("model == 'family-2-3' and benchmark == 'task-1'").iloc[0]
    summary = forecast(made_fit, "family-2-3", tasks="task-1").to_dataframe().iloc[0]
    assert row["median"] == pytest.approx(summary["observed"] - summary["median"], abs=0.002)
    assert row["q5"] == pytest.approx(summary["observed"] - summary["q95"], abs=0.01)


def test_the_plot_shows_scores_above_families_and_all_that_the_sentences_name(planted):
    labels = [label.get_text() for label in planted.plot().get_yticklabels()]
    assert len(labels) == 20
    assert "family-5-2, bench-3" in labels and "family-1 (family), bench-4" in labels
    is_family = ["(family)" in label for label in labels]
    assert is_family == sorted(is_family)
    shown = {label.replace(" (family)", "").replace(", ", " on ") for label in labels}
    named = {s.split(": ", 1)[1].split(", ")[0] for s in planted.sentences if s.startswith("Too ")}
    assert named and named <= shown
    flags = (planted.table["flag"] != "").sum()
    few = plot_anomalies(planted, rows=1).figure
    assert any(f"1 of {flags} flags are drawn." in " ".join(text.get_text().split()) for text in few.findobj(Text))


def test_the_summary_begins_with_the_tasks_asked_for(made_fit):
    summary = anomalies(made_fit).summary()
    first = summary.head(10)
    assert set(first["kind"]) == {"score"} and set(first["benchmark"]) == {"task-0", "task-1"}
    assert (summary["flag"].iloc[10:] != "").all()
    assert summary["who"].str.len().min() > 0


@pytest.mark.parametrize("share", [0, 1, -0.1])
def test_impossible_shares_are_refused(made_fit, share):
    with pytest.raises(InputError, match="share of false flags"):
        anomalies(made_fit, false_flags=share)
