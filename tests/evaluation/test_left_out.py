"""Models left out one at a time: who is hidden from which fit, what is kept, and a user's raw scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import Split, load_instruct_llms, read_scores
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation import many
from bayes_obscaling.evaluation.backtest import Backtest
from bayes_obscaling.evaluation.left_out import leave_models_out
from bayes_obscaling.evaluation.many import backtest_each
from bayes_obscaling.evaluation.questions import Question
from bayes_obscaling.evaluation.scoring import OURS, score_draws, score_points
from bayes_obscaling.plots import plot_models_left_out


@pytest.fixture
def calls(monkeypatch):
    """Backtests that know nothing but the mean of the seen scores, and who was held out of each."""
    made = []

    def fake(table, tasks, split, *, setup, methods, seed, **_):
        made.append((setup, tuple(tasks), split.held_out))
        parts = []
        for task in tasks:
            scores = table.matrix([task])[task].dropna()
            held = scores[scores.index.isin(split.held_out)]
            seen = scores.drop(held.index)
            draws = np.random.default_rng(seed).normal(seen.mean(), seen.std(), (len(held), 200))
            facts = table.models.loc[held.index, ["family", "flops"]].reset_index()
            facts = facts.assign(setup=setup, task=task, observed=held.to_numpy())
            parts.append(facts.assign(method=OURS).join(score_draws(draws, held.to_numpy())))
            points = score_points(np.full(len(held), seen.mean()), held.to_numpy())
            parts += [facts.assign(method=method).join(points) for method in methods]
        return Backtest(pd.concat(parts, ignore_index=True), (f"{setup}: capabilities: R-hat 1.2 of slope",))

    monkeypatch.setattr(many, "backtest", fake)
    return made


def test_each_model_is_hidden_once_on_all_its_tasks(calls):
    table = load_instruct_llms()
    found = leave_models_out(table, methods=("mean",))
    alone = [call for call in calls if call[0] == "model left out"]
    scored = table.matrix(table.task_names)
    assert sorted(held for _, _, (held,) in alone) == sorted(scored.index[scored.notna().any(axis=1)])
    assert ("model left out", ("agentbench", "agentboard"), ("claude-2.0",)) in alone
    assert ("model left out", ("agentbench",), ("gpt-4-0613",)) in alone
    assert found.table.groupby("task").size().to_dict() == {"agentbench": 22, "agentboard": 11}
    counts = found.parts["scores"].query("method == @OURS").set_index(["setup", "task"])["n"]
    assert counts.to_dict() == {
        ("model left out", "agentbench"): 22,
        ("model left out", "agentboard"): 11,
        ("best 10%", "agentbench"): 2,
        ("best 10%", "agentboard"): 1,
        ("best 20%", "agentbench"): 4,
        ("best 20%", "agentboard"): 2,
    }


def test_the_table_holds_the_mean_of_the_others(calls):
    table = load_instruct_llms()
    found = leave_models_out(table, "agentboard", methods=("mean",), shares=())
    assert len(calls) == 11
    scores = table.matrix(["agentboard"])["agentboard"].dropna()
    rows = found.table.set_index("model")
    for model, score in scores.items():
        assert rows.loc[model, "mean"] == pytest.approx(scores.drop(model).mean())
        assert rows.loc[model, "observed"] == score
    assert (rows["inside_90"] == scores[rows.index].between(rows["q5"], rows["q95"])).all()
    assert found.problems == ("capabilities: R-hat 1.2 of slope (11 of 11 fits)",)


def test_whole_families_are_hidden_and_only_the_asked_models_judged(calls):
    found = leave_models_out(
        load_instruct_llms(), models=["vicuna-33b-v1.3"], whole_families=True, shares=(), methods=()
    )
    ((setup, tasks, held),) = calls
    assert setup == "family left out" and tasks == ("agentbench", "agentboard")
    assert set(held) == {"vicuna-13b-v1.5", "vicuna-33b-v1.3", "vicuna-7b-v1.5", "vicuna-13b-16k"}
    assert found.table["model"].tolist() == ["vicuna-33b-v1.3"]


def test_a_second_run_computes_nothing_again(calls, tmp_path):
    table = load_instruct_llms()
    first = leave_models_out(table, "agentboard", methods=("mean",), shares=(0.2,), cache=tmp_path)
    made = len(calls)
    again = leave_models_out(table, "agentboard", methods=("mean",), shares=(0.2,), cache=tmp_path)
    assert len(calls) == made == 12
    pd.testing.assert_frame_equal(first.table, again.table)
    leave_models_out(table, "agentboard", methods=("mean",), shares=(0.2,), cache=tmp_path, seed=1)
    assert len(calls) == 2 * made


@pytest.mark.usefixtures("calls")
def test_raw_scores_from_0_to_10_are_read_by_their_declared_range(tmp_path):
    base = load_instruct_llms()
    raw = pd.Series({"gpt-4-0613": 7.4, "claude-2.0": 6.1, "vicuna-13b-v1.5": 2.5, "llama-2-70b-chat": 3.0})
    mine, facts = tmp_path / "mine.csv", tmp_path / "facts.csv"
    raw.rename_axis("Model").rename("web_tasks").to_csv(mine)
    facts.write_text("benchmark,role,chance,n_items,lower,upper,excludes\nweb_tasks,task,0,50,0,10,Arena-Elo\n")
    found = leave_models_out(read_scores(mine, facts, into=base), "web_tasks", methods=("mean",), shares=())
    observed = found.table.set_index("model")["observed"]
    assert observed.to_dict() == pytest.approx((raw / 10).to_dict())
    assert found.table["q95"].max() < 1.5  # fractions, like the observed scores
    with pytest.raises(InputError, match=r"7\.4"):
        read_scores(mine, tasks=["web_tasks"], into=base)  # without a range it is no fraction


def test_when_every_fit_fails_the_reason_is_the_error(monkeypatch):
    table = load_instruct_llms()

    def fails(*_, **__):
        raise InputError("no room")

    monkeypatch.setattr(many, "backtest", fails)
    with pytest.raises(InputError, match="no room"):
        backtest_each([Question(table, ("agentbench",), Split.of_models(table, ["gpt-4-0613"]), "x")])


def test_what_cannot_be_asked_is_refused():
    table = load_instruct_llms()
    for arguments, message in (
        ({"models": ["gpt-4-0314"], "tasks": "agentbench"}, "gpt-4-0314 has no score on agentbench"),
        ({"methods": ("best",)}, "no baseline 'best'"),
        ({"shares": (1.5,)}, "give a fraction"),
        ({"tasks": "chess"}, "no benchmark or task 'chess'"),
        ({"draws": 10}, "draws is 10"),
    ):
        with pytest.raises(InputError, match=message):
            leave_models_out(table, **arguments)


@pytest.mark.usefixtures("calls")
def test_the_plot_is_the_table():
    found = leave_models_out(load_instruct_llms(), methods=("mean",), shares=())
    ax = plot_models_left_out(found, task="agentboard")
    rows = found.table[found.table["task"] == "agentboard"]
    observed = next(line for line in ax.lines if line.get_label() == "observed, held out")
    np.testing.assert_allclose(observed.get_xdata(), rows["observed"])
    assert [label.get_text() for label in ax.get_yticklabels()] == rows["model"].tolist()
    assert len(found.plot().get_yticklabels()) == 22
    with pytest.raises(InputError, match="no forecast of chess"):
        plot_models_left_out(found, task="chess")


@pytest.mark.slow
def test_simulated_models_are_forecast_from_the_others(simulation, tiny_spec, cache_folder):
    left = ["family-0-1", "family-2-2", "family-4-0", "family-5-3"]
    found = leave_models_out(
        simulation.table,
        models=left,
        shares=(),
        methods=("mean",),
        spec=tiny_spec,
        chains=2,
        draws=100,
        seed=5,
        cache=cache_folder,
    )
    rows = found.table
    truth = np.array([simulation.curve.loc[r.model, r.task] for r in rows.itertuples()])
    assert len(rows) == 8
    assert np.abs(rows["median"] - truth).mean() < np.abs(rows["mean"] - truth).mean() / 2
    assert rows["inside_90"].sum() >= 6
