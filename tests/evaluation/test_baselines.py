"""The baselines: agreement with the published numbers, nothing hidden is read, a simulated truth is found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from bayes_obscaling.data import ScoreTable, load_base_llms, load_instruct_llms
from bayes_obscaling.data.splits import Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.baselines import BASELINES, baseline

METHODS = ("size", "compute", "pc-1", "pc-2", "pc-3", "pc-4")
# Computed with the code of Ruan, Maddison and Hashimoto (2024), github.com/ryoungj/ObsScaling @4d6e1e43, from its own
# tables: task, cutoff in FLOPs (or share of best models held out), method suffix, model, forecasts in METHODS' order.
PUBLISHED = [
    ("word_unscrambling", 8.4e22, "", "Llama-2-70b-hf", (0.04894, 0.50047, 0.18021, 0.35883, 0.42792, 0.49097)),
    ("arithmetic_2dm", 8.4e22, "", "falcon-40b", (0.36036, 0.70494, 0.76219, 0.75191, 0.82790, 0.81548)),
    ("arithmetic_2da", 8.4e22, "-parametric", "Qwen-7B", (0.56219, 0.94381, 0.98697, 1.0, 1.0, 1.0)),
    ("word_unscrambling", 8.4e22, "-parametric", "Yi-34B", (0.04043, 0.45144, 0.16139, 0.28076, 0.35087, 0.36947)),
    ("gsm8k_cot", 8.4e22, "-parametric", "Meta-Llama-3-70B", (0.11837, 0.73951, 0.86971, 0.83894, 0.81891, 0.94333)),
    ("agentboard", 0.1, "-parametric", "gpt-4-0314", (None, None, 0.33779, 0.44278, 0.41913, 0.34409)),
    ("agentboard", 0.2, "-parametric", "claude-2.0", (None, None, 0.37504, 0.10649, 0.10028, 0.10443)),
]


def changed(table: ScoreTable, models: tuple[str, ...], benchmarks: list[str]) -> ScoreTable:
    """The table with other scores of these models on these benchmarks."""
    scores = table.scores
    hit = scores["model"].isin(models) & scores["benchmark"].isin(benchmarks)
    assert hit.any()
    scores.loc[hit, "score"] = 1 - scores.loc[hit, "score"]
    return ScoreTable(table.models, table.benchmarks, scores)


def simulated(families: int = 8, seed: int = 1) -> tuple[ScoreTable, pd.Series]:
    """Families on one slope, chance 0.25 and ceiling 0.9, and the true curve; every second model has high compute."""
    rng = np.random.default_rng(seed)
    compute = rng.uniform(20, 23, size=(families, 8))
    compute[:, 4:] += 1.5
    names = [f"f{i}/{j}" for i in range(families) for j in range(8)]
    offset = rng.normal(0, 0.8, families)[:, None]
    truth = (0.25 + 0.65 * expit(1.5 * (compute - 22) + offset)).ravel()
    models = pd.DataFrame(
        {
            "model": names,
            "family": [name.split("/")[0] for name in names],
            "flops": 10 ** compute.ravel(),
        }
    )
    benchmarks = pd.DataFrame({"benchmark": ["quiz"], "role": ["task"], "chance": [0.25]})
    score = np.clip(truth + rng.normal(0, 0.01, len(names)), 0, 1)
    scores = pd.DataFrame({"model": names, "benchmark": "quiz", "score": score})
    return ScoreTable(models, benchmarks, scores), pd.Series(truth, index=names)


@pytest.mark.parametrize(("task", "limit", "suffix", "model", "forecasts"), PUBLISHED)
def test_agrees_with_the_published_code(
    task: str, limit: float, suffix: str, model: str, forecasts: tuple[float | None, ...]
) -> None:
    if limit < 1:
        table = load_instruct_llms()
        split = Split.by_score(table, limit, task)
    else:
        table = load_base_llms("paper")
        split = Split.by_flops(table, limit)
    for method, published in zip(METHODS, forecasts, strict=True):
        if published is not None:
            ours = baseline(method + suffix, table, task, split).point
            assert ours[table.resolve_model(model)] == pytest.approx(published, abs=0.005), method


def test_bootstrap_agrees_with_the_published_bootstrap() -> None:
    # Llama-2-70b, word unscrambling: mean and sd of 200 refitted curves 0.430 and 0.073, residual sd 0.012
    table = load_base_llms("paper")
    draws = baseline("pc-3", table, "word_unscrambling", Split.by_flops(table, 8.4e22), draws=2000).draws
    assert draws is not None
    assert draws["meta-llama/Llama-2-70b-hf"].mean() == pytest.approx(0.430, abs=0.01)
    assert draws["meta-llama/Llama-2-70b-hf"].std() == pytest.approx(0.073, rel=0.15)


@pytest.mark.parametrize("method", BASELINES)
def test_hidden_task_scores_are_not_read(method: str) -> None:
    table = load_base_llms("paper")
    split = Split.by_flops(table, 8.4e22)
    other = changed(table, split.held_out, ["word_unscrambling"])
    before, after = (baseline(method, t, "word_unscrambling", split, draws=5) for t in (table, other))
    pd.testing.assert_series_equal(before.point, after.point)
    pd.testing.assert_frame_equal(before.draws, after.draws)
    assert before.point.notna().any()


@pytest.mark.parametrize("method", BASELINES)
def test_hidden_benchmark_scores_are_not_read(method: str) -> None:
    table = load_base_llms("paper")
    split = Split.by_flops(table, 8.4e22, "all")
    other = changed(table, split.held_out, table.benchmark_names)
    before, after = (baseline(method, t, "word_unscrambling", split, draws=5) for t in (table, other))
    pd.testing.assert_series_equal(before.point, after.point)
    pd.testing.assert_frame_equal(before.draws, after.draws)
    assert before.point.isna().all() == method.startswith("pc-")


def test_only_hidden_models_lose_their_benchmarks() -> None:
    table = load_base_llms("paper")
    whole = Split.by_flops(table, 8.4e22)
    hidden = whole.held_out[:3]
    split = Split(whole.name, whole.held_out, hidden, whole.cutoff)
    before, after = (
        baseline("pc-3", t, "word_unscrambling", split, draws=5)
        for t in (table, changed(table, hidden, ["MMLU", "GSM8K"]))
    )
    pd.testing.assert_series_equal(before.point, after.point)
    assert before.point.index[before.point.isna()].tolist() == list(hidden)
    assert before.draws is not None
    assert before.draws.isna().all().sum() == len(hidden)
    rest = baseline("pc-3", table, "word_unscrambling", whole).point.drop(list(hidden))
    np.testing.assert_allclose(before.point.drop(list(hidden)), rest)


def test_other_held_out_models_do_not_matter() -> None:
    table = load_base_llms("paper")
    split = Split.by_flops(table, 8.4e22)
    *others, model = split.held_out
    before = baseline("pc-3", table, "word_unscrambling", split).point
    after = baseline("pc-3", changed(table, tuple(others), ["MMLU", "GSM8K"]), "word_unscrambling", split).point
    assert after[model] == pytest.approx(before[model], abs=1e-12)
    assert not np.allclose(after[others], before[others])


def test_components_forecast_no_benchmark_and_compute_no_unknown_flops() -> None:
    table = load_base_llms("paper")
    split = Split.of_models(table, ["Mistral-7B-v0.1", "Llama-2-13b-hf"])
    assert baseline("pc-3", table, "MMLU", split).point.isna().all()
    assert baseline("pc-3", table, "parsinlu_qa", split).point.notna().all()
    for method in ("compute", "family-logistic"):
        point = baseline(method, table, "MMLU", split).point
        assert point.isna().tolist() == [model.startswith("mistralai") for model in point.index]


def test_a_model_without_benchmarks_gets_no_component_forecast() -> None:
    table = load_base_llms("paper")
    model = "meta-llama/Llama-2-13b-hf"
    scores = table.scores
    bare = scores[(scores["model"] != model) | ~scores["benchmark"].isin(table.benchmark_names)]
    stripped = ScoreTable(table.models, table.benchmarks, bare)
    split = Split.by_flops(stripped, 8.4e22)
    point = baseline("pc-3", stripped, "word_unscrambling", split).point
    assert np.isnan(point[model])
    assert point.notna().sum() == len(point) - 1
    # among the seen models it is left out
    inverse = Split("seen", tuple(m for m in stripped.models.index if m not in split.held_out))
    assert baseline("pc-3", stripped, "word_unscrambling", inverse).point.notna().all()


def test_family_logistic_recovers_a_simulated_truth() -> None:
    rows = []
    for seed in range(5):
        table, truth = simulated(seed=seed)
        split = Split.by_flops(table, 10**22.5)
        forecast = baseline("family-logistic", table, "quiz", split, draws=200)
        assert forecast.draws is not None
        held_out = forecast.point.index
        score = table.matrix(["quiz"]).loc[held_out, "quiz"]
        pooled = baseline("compute", table, "quiz", split).point
        inside = score.between(forecast.draws.quantile(0.05), forecast.draws.quantile(0.95))
        rows.append([abs(forecast.point - truth[held_out]).mean(), abs(pooled - truth[held_out]).mean(), inside.mean()])
    error, pooled_error, coverage = np.mean(rows, axis=0)
    assert error < 0.025
    assert error < 0.4 * pooled_error
    # over 30 seeds, 90 % intervals hold 86 % (standard error 3) of the scores
    assert coverage > 0.7


def test_an_unseen_family_is_less_certain_than_a_known_one() -> None:
    table, _ = simulated()
    target = "f3/0"
    unseen = baseline("family-logistic", table, "quiz", Split.by_family(table, "f3"), draws=400).draws
    known = baseline("family-logistic", table, "quiz", Split.of_models(table, [target]), draws=400).draws
    assert unseen is not None
    assert known is not None
    assert unseen[target].std() > 3 * known[target].std()
    # models of one unseen family share its offset
    assert unseen.corr().loc["f3/0", "f3/1"] > 0.5


@pytest.mark.parametrize("method", BASELINES)
def test_draws_are_scores_and_reproducible(method: str) -> None:
    table = load_base_llms("paper")
    split = Split.by_flops(table, 2.2e22)
    first, again, other = (baseline(method, table, "arithmetic_3da", split, draws=20, seed=s) for s in (3, 3, 4))
    assert first.draws is not None
    assert first.draws.shape == (20, len(split.held_out))
    assert first.draws.columns.equals(first.point.index)
    pd.testing.assert_frame_equal(first.draws, again.draws)
    assert not first.draws.equals(other.draws)
    values = first.draws.to_numpy()
    assert ((values >= 0) & (values <= 1) | np.isnan(values)).all()
    assert np.isnan(values).all(axis=0).tolist() == first.point.isna().tolist()
    pd.testing.assert_series_equal(first.point, other.point)
    assert baseline(method, table, "arithmetic_3da", split).draws is None


def test_input_that_cannot_be_used() -> None:
    table = load_base_llms("paper")
    split = Split.by_flops(table, 8.4e22)
    with pytest.raises(InputError, match=r"no baseline 'pc-9'.*pc-3"):
        baseline("pc-9", table, "parsinlu_qa", split)
    with pytest.raises(InputError, match="no benchmark or task 'quiz'"):
        baseline("mean", table, "quiz", split)
    with pytest.raises(InputError, match="draws is -1"):
        baseline("mean", table, "parsinlu_qa", split, draws=-1)
    with pytest.raises(InputError, match="'nobody' is not in the table"):
        baseline("mean", table, "parsinlu_qa", Split("strange", ("nobody",)))
    with pytest.raises(InputError, match="holds out no model"):
        baseline("mean", table, "parsinlu_qa", Split("none", ()))
    bare = ScoreTable(table.models, table.benchmarks, table.scores[lambda s: s["benchmark"].isin(["parsinlu_qa"])])
    with pytest.raises(InputError, match=r"Only 0 seen models.*benchmarks"):
        baseline("pc-1", bare, "parsinlu_qa", split)


@pytest.mark.parametrize("method", BASELINES)
def test_nothing_to_learn_from(method: str) -> None:
    table = load_base_llms("paper")
    with pytest.raises(InputError, match=f"Only 0 seen models.*{method} needs"):
        baseline(method, table, "parsinlu_qa", Split("everything", tuple(table.models.index)))
