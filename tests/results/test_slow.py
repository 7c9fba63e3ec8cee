"""Recovery, coverage and the walk of the heads on simulated tables; the default fit of the bundled one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from bayes_obscaling.data import ScoreTable
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.inference.sampler import DEFAULT_SETTINGS, Nuts
from bayes_obscaling.models.priors import LogNormal, Normal, Priors
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.convergence import assess
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import Forecast, forecast
from bayes_obscaling.results.scenario import Scenario

pytestmark = pytest.mark.slow
CUTOFF = 10**22.6
SPEC = CapabilitySpec(
    n_factors=2,
    anchors=("bench-0", "bench-1"),
    fit_sd=0.01,
    predictive_sd=0.01,
    priors=Priors(
        intercept_mean=Normal(loc=0.0, scale=0.7),
        difficulty=Normal(loc=0.0, scale=1.0),
        task_difficulty=Normal(loc=-0.5, scale=1.0),
        overdispersion=LogNormal(median=0.05, log_sd=0.3),
    ),
)
GLOBAL = ("intercept_mean", "intercept_sd", "slope_mean", "slope_sd", "residual_sd", "loading", "difficulty", "weight")


def medians_agree(one: Forecast, other: Forecast, slack: float) -> None:
    """Quartiles and median of each forecast differ by less than Monte Carlo error and `slack` of its sd."""
    for scenario in one.draws["scenario"].to_numpy():
        for task in one.draws["task"].to_numpy():
            a, b = (f.draws.sel(scenario=scenario, task=task).to_numpy() for f in (one, other))
            error = np.hypot(*(1.4 / np.sqrt(assess({"x": x}).ess_bulk) for x in (a, b))) * b.std()
            for level in (0.25, 0.5, 0.75):
                distance = abs(np.quantile(a, level) - np.quantile(b, level))
                assert distance < 4.5 * error + slack * b.std() + 0.002, (scenario, task, level)


def test_parameters_and_held_out_scores_are_recovered(simulate: Callable[..., Any]):
    """Ten tables drawn from the priors: pooled 90 % intervals hold between 80 and 97 % of the truth."""
    scores: list[bool] = []
    parameters: list[bool] = []
    for seed in range(10):
        made = simulate(seed, SPEC, n_families=8, per_family=5, n_benchmarks=6, n_tasks=3, cutoff=CUTOFF)
        fitted = fit_table(made.table, made.table.task_names, cutoff=CUTOFF, spec=SPEC, chains=2, draws=400, seed=seed)
        frame = forecast(fitted).to_dataframe()
        scores += frame["observed"].between(frame["q5"], frame["q95"]).tolist()
        for name in GLOBAL:
            draws = fitted.draws[name].isel(predictors=0, missing_dims="ignore")
            low, high = draws.quantile([0.05, 0.95], ("chain", "draw")).to_numpy()
            free = high - low > 1e-9
            parameters += ((low <= made.truth[name]) & (made.truth[name] <= high))[free].tolist()
    assert len(scores) > 300
    assert 0.80 <= np.mean(scores) <= 0.97
    assert len(parameters) > 200
    assert 0.80 <= np.mean(parameters) <= 0.97


@pytest.fixture(scope="module")
def little_feedback(simulate: Callable[..., Any]) -> ScoreTable:
    """Eight exact benchmarks and three scores of one task: what the task says of them is next to nothing."""
    spec = SPEC.model_copy(update={"fit_sd": 0.05})
    table = simulate(21, spec, n_families=6, per_family=4, n_benchmarks=8, n_tasks=1, cutoff=CUTOFF).table
    scores = table.scores
    few = scores["model"].isin(["family-0-0", "family-2-1", "family-4-1"])
    return ScoreTable(table.models, table.benchmarks, scores[(scores["benchmark"] != "task-0") | few])


def test_cut_and_joint_posterior_agree_where_there_is_no_feedback(little_feedback: ScoreTable):
    asked = ["family-1-2", "family-3-3", "family-5-0"]
    answers = []
    for posterior in ("cut", "joint"):
        spec = SPEC.model_copy(update={"posterior": posterior, "fit_sd": 0.05})
        answers.append(
            forecast(fit_table(little_feedback, "task-0", spec=spec, chains=4, draws=500), asked, kind="mean")
        )
    medians_agree(*answers, slack=0.15)


def test_the_walk_has_enough_transitions(simulate: Callable[..., Any], tmp_path: Path):
    """The default number of transitions along each draw of the capabilities against many more.

    On this table, made to be hard (exact scores, steep curves), the default of five is .13 of an sd off at the first
    quartile (most of it on one task, .16), .10 at the median and .06 at the third quartile, and 5 % too wide; Monte
    Carlo error is .03.
    """
    table = simulate(31, SPEC, n_families=8, per_family=5, n_benchmarks=6, n_tasks=3, cutoff=CUTOFF).table
    answers = []
    longer = DEFAULT_SETTINGS["heads"].model_copy(update={"thin": 16, "warmup": 1600})
    for sampler in (None, Nuts({"heads": longer})):
        options: dict[str, Any] = {"chains": 4, "draws": 1000, "cache": tmp_path, "sampler": sampler}
        made = fit_table(table, table.task_names, cutoff=CUTOFF, spec=SPEC, **options)
        answers.append(forecast(made, kind="mean"))
    dims = ("chain", "draw")
    few, many = (answer.draws for answer in answers)
    levels = [0.25, 0.5, 0.75]
    distance = (few.quantile(levels, dims) - many.quantile(levels, dims)) / many.std(dims)
    assert np.sqrt((distance**2).mean(("scenario", "task"))).max() < 0.17
    assert 0.95 < (few.std(dims) / many.std(dims)).mean() < 1.07


@pytest.fixture(scope="module")
def real(paper: ScoreTable, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., CapabilityFit]:
    folder = tmp_path_factory.mktemp("real")

    def run(*tasks: str, **options: Any) -> CapabilityFit:
        return fit_table(paper, list(tasks), cutoff=8.4e22, cache=folder, **options)

    return run


def test_the_default_fit_converges(real: Callable[..., CapabilityFit]):
    answer = forecast(real("word_unscrambling", "parsinlu_qa", "gsm8k_cot"))
    assert answer.fit.problems == ()
    assert answer.problems == ()
    assert answer.convergence.rhat < 1.01
    assert min(answer.convergence.ess_bulk, answer.convergence.ess_tail) > 400
    assert answer.convergence.divergences == 0
    assert answer.to_dataframe()["converged"].all()
    frame = answer.to_dataframe()
    held_out = frame[frame["observed"].notna()]
    assert held_out["observed"].between(held_out["q2.5"], held_out["q97.5"]).mean() > 0.8


def logit_width(answer: Forecast, chance: float) -> pd.Series:
    """Width of the 90 % interval on the logit scale above chance, by scenario: score widths shrink at the ends."""
    share = np.clip((answer.draws.squeeze("task") - chance) / (1 - chance), 1e-6, 1 - 1e-6)
    low, high = logit(share.quantile([0.05, 0.95], ("chain", "draw")).to_numpy())
    return pd.Series(high - low, index=answer.draws["scenario"].to_numpy())


def test_scenario_intervals_grow_with_distance(real: Callable[..., CapabilityFit], paper: ScoreTable):
    """From a family with many models to one with few and to a new one; and beyond each family's own models."""
    made = real("MMLU", chains=2, draws=500)  # no task heads are needed
    members = paper.models["family"].value_counts()
    many, few = (members.index[members == n][0] for n in (members.max(), members.min()))
    asked = [Scenario(name, name, 3e22) for name in (many, few)] + [Scenario("new", "new", 3e22)]
    wide = logit_width(forecast(made, asked, tasks="MMLU", kind="mean"), 0.25)
    assert wide[many] < wide[few] < 1.05 * wide["new"]
    known = [name for name in members.index if members[name] >= 3]
    far = [Scenario(f"{f}{d}", f, 10 ** (22.5 + d)) for f in known for d in (0, 4)]
    low, high = np.quantile(made.posterior.place(far).theta, [0.05, 0.95], axis=0)
    width = (high - low).squeeze(0)  # scenarios and capabilities
    assert (width[1::2] > 1.3 * width[::2]).all()
