"""The baseline of one factor with date: truth found again, and what it may look at."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.baselines import baseline
from bayes_obscaling.evaluation.one_factor import FAMILY, RESIDUAL, Cells, fit_one_factor
from bayes_obscaling.evaluation.scoring import score_draws

GROWTH, RESIDUAL_SD, NOISE, CHANCE = 1.2, 0.4, 0.04, 0.1


def simulated(seed: int, n_models: int = 60, n_benchmarks: int = 20) -> tuple[ScoreTable, np.ndarray]:
    """A table of one factor, half of its cells filled, a model every three weeks, and the capabilities."""
    rng = np.random.default_rng(seed)
    years = np.arange(n_models) * 21 / 365.25
    family = rng.integers(6, size=n_models)
    capability = GROWTH * years + rng.normal(0, 0.5, 6)[family] + rng.normal(0, RESIDUAL_SD, n_models)
    steep, hard = np.exp(rng.normal(0, 0.3, n_benchmarks)), rng.normal(2.0, 1.5, n_benchmarks)
    curve = 1 / (1 + np.exp(-steep * (capability[:, None] - hard)))
    score = np.clip(CHANCE + (1 - CHANCE) * curve + rng.normal(0, NOISE, curve.shape), 0, 1)
    dates = (np.datetime64("2023-01-01") + (21 * np.arange(n_models)).astype("timedelta64[D]")).astype(str)
    models = pd.DataFrame({"model": [f"m{i}" for i in range(n_models)], "date": dates, "flops": np.nan})
    models["family"] = [f"f{i}" for i in family]
    benchmarks = pd.DataFrame({"benchmark": [f"b{i}" for i in range(n_benchmarks)], "chance": CHANCE})
    m, b = np.nonzero(rng.random(score.shape) < 0.5)
    scores = pd.DataFrame({"model": models["model"].iloc[m].to_numpy(), "benchmark": [f"b{i}" for i in b]})
    return ScoreTable(models, benchmarks.assign(role="benchmark"), scores.assign(score=score[m, b])), capability


def test_a_simulated_table_of_one_factor_is_found_again():
    table, capability = simulated(1)
    scores = table.matrix(table.benchmark_names).to_numpy()
    m, b = np.nonzero(np.isfinite(scores))
    families = table.models["family"].map(list(table.models["family"].unique()).index)
    years = 21 / 365.25 * np.arange(len(scores))
    chance = (CHANCE,) * scores.shape[1]
    fit = fit_one_factor(Cells(tuple(scores[m, b]), tuple(m), tuple(b), chance, tuple(years - 1.7), tuple(families)))
    found = fit.mode[fit.places["capability"]]
    assert np.corrcoef(found, capability)[0, 1] > 0.99
    scale = np.polyfit(capability, found, 1)[0]  # that of the typical score
    draws = fit.drawn(400, np.random.default_rng(0))
    growth = draws[:, fit.places["growth"]] / scale
    assert abs(growth.mean() - GROWTH) < 4 * growth.std() and growth.std() < 0.15
    assert fit.sd[RESIDUAL] / scale == pytest.approx(RESIDUAL_SD, rel=0.35)
    assert 0.2 < fit.sd[FAMILY] / scale < 1.2
    assert fit.noise.mean() == pytest.approx(NOISE, rel=0.25)


def test_later_models_are_forecast_with_honest_spread():
    inside, crps = [], []
    for seed in range(2):
        table, _ = simulated(seed)
        split = Split.by_date(table, "2025-06-01", "all")
        for task in table.benchmark_names[::2]:
            observed = table.matrix([task])[task].reindex(split.hidden).dropna()
            if observed.empty:
                continue
            said = {name: baseline(name, table, task, split, draws=200) for name in ("factor-date", "date-logistic")}
            cells = {n: score_draws(s.draws[observed.index].to_numpy().T, observed.to_numpy()) for n, s in said.items()}
            inside += list(cells["factor-date"]["pit"].between(0.1, 0.9))
            crps.append([cells[name]["crps"].mean() for name in said])
    # models of one family err together: 32 models, about 160 scores
    assert 0.68 < np.mean(inside) < 0.92
    ours, alone = np.mean(crps, axis=0)
    assert ours < alone


def test_hidden_scores_are_never_read_and_revealed_ones_narrow_the_forecast():
    table, _ = simulated(1)
    whole = Split.by_date(table, "2025-06-01", "all")
    revealed = whole.revealing(table, 3)
    changed = table.scores
    hit = pd.MultiIndex.from_frame(changed[["model", "benchmark"]]).isin(revealed.cells)
    changed.loc[hit, "score"] = 0.123
    other = ScoreTable(table.models, table.benchmarks, changed)
    errors = []
    for task in table.benchmark_names[:8]:
        observed = table.matrix([task])[task]
        after, again = (baseline("factor-date", one, task, revealed, draws=300, seed=1) for one in (table, other))
        pd.testing.assert_frame_equal(after.draws, again.draws)
        before = baseline("factor-date", table, task, whole, draws=300, seed=1)
        names = after.point.index
        assert after.draws.std().mean() < before.draws[names].std().mean()
        errors.append([(said.point[names] - observed[names]).abs().mean() for said in (before, after)])
    without, with_three = np.mean(errors, axis=0)
    assert with_three < 0.9 * without


def test_a_family_never_seen_is_less_sure_and_an_undated_model_has_no_forecast():
    table, _ = simulated(1)
    dates, families = ["2026-06-01", "2026-06-01", ""], ["f1", "nobody's", "f1"]
    asked = ("known", "new", "undated")
    to_come = pd.DataFrame({"date": dates, "family": families}, index=asked)
    wider = ScoreTable(pd.concat([table.models, to_come]).rename_axis("model"), table.benchmarks, table.scores)
    share = table.matrix(table.benchmark_names).loc["m40":].mean()
    task = str((share - 0.5).abs().idxmin())  # neither near its floor nor near its ceiling
    said = baseline("factor-date", wider, task, Split("ahead", asked, asked), draws=2000)
    assert np.isfinite(said.point[["known", "new"]]).all() and np.isnan(said.point["undated"])
    assert said.draws["undated"].isna().all()
    assert said.draws["new"].std() > 1.1 * said.draws["known"].std()
    early = tuple(table.models.index[2:])
    with pytest.raises(InputError, match=f"seen models have a score on {task} and a release date; factor-date needs 3"):
        baseline("factor-date", table, task, Split("few", early, early))
