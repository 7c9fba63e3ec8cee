"""New models are scored from a fit as a new fit would place them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import bayes_obscaling as bo
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.data.dates import date_at, months_between, years_of
from bayes_obscaling.models.capability_equations import BENCHMARK_FLOOR_SD
from bayes_obscaling.models.links import response, score_variance
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.leave_one_out import PARETO_LIMIT
from bayes_obscaling.results.marginal import Curves, Scores, capabilities_given_scores
from bayes_obscaling.results.score import _Newcomer, score


def with_model(table: ScoreTable, like: str, name: str, **changes: object) -> ScoreTable:
    """A table with one model more: a copy of another one, of whose benchmarks `keep` are kept."""
    keep = changes.pop("keep", table.benchmark_names)
    models, scores = table.models, table.scores
    row = models.loc[[like]].rename(index={like: name}).assign(**changes)
    own = scores[(scores["model"] == like) & scores["benchmark"].isin(list(keep))].assign(model=name)  # type: ignore[call-overload]
    return ScoreTable(pd.concat([models, row]), table.benchmarks, pd.concat([scores, own]))


@pytest.fixture(scope="module")
def like(dated_fit: CapabilityFit) -> str:
    return str(dated_fit.layout.models[5])


def test_the_marginal_likelihood_is_the_integral():
    """One capability, two benchmarks, one with an unknown offset: importance sampling against a fine grid."""
    curves = Curves(
        jnp.array([[[1.0], [1.4]]]),
        jnp.array([[0.0, -0.5]]),
        jnp.array([[0.02, 0.05]]),
        jnp.array([[0.5, 1.0]]),
        jnp.array([[0.05, 0.1]]),
        jnp.zeros((1, 2)),
        jnp.array([[0.0, 0.3]]),
        jnp.array([[0.25, 0.0]]),
    )
    scores = Scores(jnp.array([0.8, 0.6]), jnp.array([True, True]), jnp.array([0.01, 0.0]))
    mean, sd, along = jnp.array([[0.4]]), jnp.array([[0.5]]), jnp.array([[0.6]])
    copies = 400  # the same draw again and again: the mean of the likelihoods has little error
    repeated = [jnp.repeat(value, copies, axis=0) for value in (mean, sd, along)]
    many = Curves(*(jnp.repeat(value, copies, axis=0) for value in curves))
    theta, offset, log_weight = capabilities_given_scores(jax.random.key(0), many, *repeated, scores, False)

    spread = np.hypot(0.5, 0.6)
    grid, shift = np.meshgrid(np.linspace(-4, 6, 1201), np.linspace(-2, 2, 401), indexing="ij")
    prior = np.exp(-0.5 * ((grid - 0.4) / spread) ** 2 - 0.5 * (shift / 0.3) ** 2) / (2 * np.pi * spread * 0.3)
    density = prior
    for i, eta in enumerate((grid, 1.4 * grid - 0.5 + shift)):
        p = np.asarray(response(eta, curves.chance[0, i], curves.ceiling_gap[0, i], curves.asymmetry[0, i]))
        v = np.asarray(score_variance(p, scores.inv_items[i], curves.overdispersion[0, i], BENCHMARK_FLOOR_SD))
        density = density * np.exp(-0.5 * (float(scores.score[i]) - p) ** 2 / v) / np.sqrt(2 * np.pi * v)
    cell = (10 / 1200) * (4 / 400)
    total = density.sum() * cell
    assert np.exp(np.asarray(log_weight)).mean() == pytest.approx(total, rel=0.01)
    weight = density * cell / total
    for draws, values in ((theta[:, 0], grid), (offset[:, 1], shift)):
        middle = (weight * values).sum()
        truth_sd = np.sqrt((weight * (values - middle) ** 2).sum())
        assert float(np.mean(draws)) == pytest.approx(middle, abs=4.5 * truth_sd / np.sqrt(copies))
        assert float(np.std(draws)) == pytest.approx(truth_sd, rel=0.15)


def test_a_copy_is_placed_where_its_original_is(dated_fit: CapabilityFit, like: str):
    answer = score(dated_fit, with_model(dated_fit.table, like, "copy"))
    original = bo.forecast(dated_fit, like, tasks="task-0", kind="mean").draws.to_numpy()
    copy = answer.means[..., answer.about["task"].tolist().index("task-0")]
    assert abs(np.median(copy) - np.median(original)) < 0.06
    assert answer.pareto_k["copy"] < PARETO_LIMIT
    assert set(answer.capabilities["capability"]) == set(dated_fit.layout.factors)
    assert answer.to_dataframe()["basis"].tolist() == ["benchmarks"] * len(answer.about)


def test_scores_narrow_what_is_believed(dated_fit: CapabilityFit, like: str):
    """Of one score, of all; and a family never seen is wider than one of the fit."""
    widths = {}
    names = dated_fit.table.benchmark_names
    for name, changes in (
        ("one", {"keep": names[:1]}),
        ("all", {}),
        ("new", {"keep": names[:1], "family": "nobody's"}),
    ):
        found = score(dated_fit, with_model(dated_fit.table, like, name, **changes), tasks="task-0").capabilities
        widths[name] = (found["q95"] - found["q5"]).to_numpy()
    assert widths["all"].sum() < widths["one"].sum() < 1.02 * widths["new"].sum()


def test_better_scores_mean_more_capability(dated_fit: CapabilityFit, like: str):
    table = with_model(dated_fit.table, like, "better")
    scores = table.scores
    scores.loc[scores["model"] == "better", "score"] = (scores["score"] + 0.1).clip(upper=0.99)
    better = score(dated_fit, ScoreTable(table.models, table.benchmarks, scores), tasks="task-0").capabilities
    same = score(dated_fit, with_model(dated_fit.table, like, "better"), tasks="task-0").capabilities
    assert (better["median"] > same["median"]).all()


def test_unknown_compute_is_inferred(dated_fit: CapabilityFit, like: str):
    table = with_model(dated_fit.table, like, "secret", flops=np.nan)
    frame = score(dated_fit, table, tasks="task-0").to_dataframe()
    assert (frame["latent_flops_q5"] < frame["latent_flops"]).all()
    assert (frame["latent_flops"] < frame["latent_flops_q95"]).all()
    truth = dated_fit.table.models.at[like, "flops"]
    assert frame["latent_flops_q5"].iloc[0] / 10 < truth < 10 * frame["latent_flops_q95"].iloc[0]
    assert (
        score(dated_fit, with_model(dated_fit.table, like, "open"), tasks="task-0").about["latent_flops"].isna().all()
    )


def test_models_are_scored_one_by_one(dated_fit: CapabilityFit, like: str):
    both = with_model(with_model(dated_fit.table, like, "a"), dated_fit.layout.models[0], "b")
    together = score(dated_fit, both, tasks=["task-0", "bench-1"])
    alone = score(dated_fit, with_model(dated_fit.table, like, "a"), tasks="task-0")
    np.testing.assert_array_equal(
        together.draws.sel(scenario="a", task="task-0").to_numpy(),
        alone.draws.sel(scenario="a", task="task-0").to_numpy(),
    )
    assert isinstance(together.summary(), pd.DataFrame) and "Verdict" in str(together)


def test_far_scores_are_told(dated_fit: CapabilityFit, like: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_Newcomer, "_resampled", lambda self, _: (np.arange(self.posterior.size), 0.9))
    answer = score(dated_fit, with_model(dated_fit.table, like, "odd"), tasks="task-0")
    assert any("odd: Pareto k 0.90 is above 0.7" in text for text in answer.sentences)


def test_what_cannot_be_scored_is_refused(dated_fit: CapabilityFit, like: str):
    with pytest.raises(bo.InputError, match="Every model is in the fit already"):
        score(dated_fit, dated_fit.table)
    with pytest.raises(bo.InputError, match="no score on a benchmark of the fit of mute"):
        score(dated_fit, with_model(dated_fit.table, like, "mute", keep=()))
    with pytest.raises(bo.InputError, match="task-1"):
        score(dated_fit, with_model(dated_fit.table, like, "copy"), tasks="task-9")


def test_the_command_prints_capabilities_and_forecasts(dated_fit: CapabilityFit, run, tmp_path):  # type: ignore[no-untyped-def]
    saved = dated_fit.save(tmp_path / "fit.nc")
    mine = tmp_path / "mine.csv"
    mine.write_text(f"model,family,flops,bench-0,bench-1\nmine,{dated_fit.layout.families[0]},1e23,0.6,0.5\n")
    code, out, _ = run("score", mine, "--fit", saved, "--output", tmp_path / "out.csv")
    assert code == 0 and "Pareto k" in out and "task-0" in out
    assert set(pd.read_csv(tmp_path / "out.csv")["model"]) == {"mine"}
    code, _, err = run("score", tmp_path / "nothing.csv", "--fit", saved)
    assert code == 2 and "There is no file" in err
    assert run("score", "--fit", saved)[0] == 2


def test_a_model_without_a_date_has_that_of_its_family_or_the_middle_of_all(dated_fit: CapabilityFit, like: str):
    models = dated_fit.table.models
    years = years_of(models["date"])
    family = years[(models["family"] == models.at[like, "family"]).to_numpy()]
    for changes, date, whose in (
        ({}, models.at[like, "date"], "model"),
        ({"date": ""}, date_at(family.mean()), "family's mean"),
        ({"date": "", "family": "nobody's"}, date_at(np.median(years)), "middle of all"),
    ):
        answer = score(dated_fit, with_model(dated_fit.table, like, "late", **changes), tasks="task-0")
        assert answer.about[["date", "dated_by"]].iloc[0].tolist() == [date, whose]
        assert any("Release date assumed" in note for note in answer.own_notes) == (whose != "model")


def test_who_has_no_score_and_who_is_known_is_left_aside(dated_fit: CapabilityFit, like: str):
    table = with_model(with_model(dated_fit.table, like, "mute", keep=()), like, "copy")
    answer = score(dated_fit, table, tasks="task-0")
    assert set(answer.about["model"]) == {"copy"} and any("mute" in note for note in answer.own_notes)
    frame = pd.DataFrame({"model": ["mine", like], "flops": [1e23, 5e25], "bench-0": [0.6, 0.9]})
    mixed = score(dated_fit, frame, tasks="task-0")
    alone = score(dated_fit, frame.iloc[:1], tasks="task-0")
    np.testing.assert_array_equal(mixed.flat, alone.flat)


def test_bad_arguments_are_one_sentence(dated_fit: CapabilityFit, tmp_path: Path):
    frame = pd.DataFrame({"model": ["mine"], "flops": [1e23], "bench-0": [0.6]})
    with pytest.raises(bo.InputError, match="No task was named"):
        score(dated_fit, frame, tasks=[])
    with pytest.raises(bo.InputError, match="No table is read from 'NoneType'"):
        score(dated_fit, None)  # type: ignore[arg-type]
    with pytest.raises(bo.InputError, match="No model was named"):
        bo.forecast(dated_fit, [])
    answer = score(dated_fit, frame, tasks="task-0")  # of a family that the fit does not know
    assert "mine" in bo.report(answer, tmp_path / "page.html").read_text()
    with pytest.raises(bo.InputError, match=r"A page cannot be written as page\.txt"):
        bo.report(answer, tmp_path / "page.txt")


def test_the_command_checks_the_scores_first(dated_fit: CapabilityFit, run, tmp_path):  # type: ignore[no-untyped-def]
    saved, mine = dated_fit.save(tmp_path / "fit.nc"), tmp_path / "mine.csv"
    mine.write_text("model,family,flops,bench-0,bench-1\nmine,nobody,1e50,0.6,0.5\n")
    ask = ["score", mine, "--fit", saved, "--task", "task-0"]
    code, out, err = run(*ask)
    assert code == 2 and not out and "the check units failed: mine (row 2) has flops 1e+50" in err
    code, out, err = run(*ask, "--accept", "units")
    assert code == 0 and "accepted although the check units failed" in err and "mine" in out
    mine.write_text("model,bench-0\nmine,0.6\nmine,0.7\n")
    assert "--duplicates mean" in run(*ask)[2]
    assert run(*ask, "--duplicates", "mean")[0] == 0
    (more := tmp_path / "more.csv").write_text("model,bench-1,bench-2\nmine,0.5,0.4\n")
    code, _, err = run("score", mine, more, "--fit", saved, "--task", "task-0", "--duplicates", "mean")
    assert code == 0 and "left aside" not in err  # a model may be in several files
    code, _, err = run(*ask[:-2], "--plot", tmp_path / "x.png")
    assert code == 2 and "A plot shows one task" in err


def test_a_far_model_says_nothing_of_the_others(dated_fit: CapabilityFit, like: str):
    table = with_model(with_model(dated_fit.table, like, "good"), like, "odd")
    answer = score(dated_fit, table, tasks="task-0")
    draws = answer.means.copy()
    draws[0, :, 1] += 3.0  # one chain of the odd one elsewhere
    spoilt = dataclasses.replace(answer, means=draws)
    verdicts = spoilt.to_dataframe().set_index("model")["verdict"].to_dict()
    assert verdicts == {"good": "PASS", "odd": "FAIL"} and spoilt.verdict == "FAIL"
    assert spoilt.own_problems and all(text.startswith("odd, forecast: ") for text in spoilt.own_problems)
    alone = score(dated_fit, with_model(dated_fit.table, like, "good"), tasks="task-0").to_dataframe()
    pd.testing.assert_frame_equal(spoilt.to_dataframe().iloc[:1], alone)


def test_a_scored_model_says_where_it_stands(dated_fit: CapabilityFit, like: str):
    flops = dated_fit.table.models["flops"].max()
    table = with_model(dated_fit.table, like, "later", flops=10 * flops, date="2030-01-01")
    row = score(dated_fit, table, tasks="task-0").to_dataframe().iloc[0]
    assert row["distance"] == pytest.approx(1.0)
    assert row["months_ahead"] == pytest.approx(
        float(months_between(dated_fit.table.models["date"].max(), "2030-01-01"))
    )


def test_a_column_that_the_fit_does_not_know_is_left_aside(dated_fit: CapabilityFit, run, tmp_path):  # type: ignore[no-untyped-def]
    saved, mine = dated_fit.save(tmp_path / "fit.nc"), tmp_path / "mine.csv"
    mine.write_text("model,family,flops,bench-0,my_exam\nmine,nobody,1e23,0.6,0.5\n")
    code, _, err = run("score", mine, "--fit", saved, "--task", "task-0")
    said = " ".join(err.split())
    assert code == 0 and "left aside: my_exam (not in the fit: forecast --scores fits it)" in said
    assert "chance" not in said
