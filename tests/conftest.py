"""Shared by all tests: where JAX runs and caches, simulated tables, and the one tiny fit that most tests read."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Before JAX is imported: 64-bit floats, CPU, and caches that no user shares.
_CACHE = Path(tempfile.mkdtemp(prefix="bayes-obscaling-tests-"))
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["BAYES_OBSCALING_CACHE"] = str(_CACHE)
os.environ["XDG_CACHE_HOME"] = str(_CACHE / "xdg")
os.environ["MPLBACKEND"] = "Agg"

import hypothesis
import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, load_base_llms
from bayes_obscaling.models.capability import COMPUTE_CENTRE, TASK_NOISE_DF, CapabilitySpec
from bayes_obscaling.models.priors import Beta, HalfNormal, LogNormal, Normal, Priors
from bayes_obscaling.results.fit import Fit

CUTOFF = 10**22.6
# The same examples on every machine: a test that fails must fail for the next reader too.
hypothesis.settings.register_profile("fixed", derandomize=True)
hypothesis.settings.load_profile("fixed")


@dataclass(frozen=True)
class Simulation:
    """A table drawn from the model, with what it was drawn from."""

    table: ScoreTable
    truth: dict[str, np.ndarray]  # by posterior variable
    curve: pd.DataFrame  # expected scores, models by benchmarks and tasks


Simulate = Callable[..., Simulation]


def _simulate(
    seed: int,
    spec: CapabilitySpec,
    *,
    n_families: int = 6,
    per_family: int = 4,
    n_benchmarks: int = 5,
    n_tasks: int = 2,
    cutoff: float = CUTOFF,
) -> Simulation:
    """Draw parameters from the priors and scores given them, in plain NumPy: the model is written here a second time.

    The first benchmarks are the anchors. Task scores are drawn for every model; the heads read capabilities
    standardised over the models at or below the cutoff, as a fit with that cutoff does.
    """
    rng, priors, k = np.random.default_rng(seed), spec.priors, spec.n_factors

    def normal(prior: Normal, *shape: int) -> np.ndarray:
        return rng.normal(prior.loc, prior.scale, shape)

    def lognormal(prior: LogNormal, *shape: int) -> np.ndarray:
        return prior.median * np.exp(prior.log_sd * rng.standard_normal(shape))

    def half(prior: HalfNormal, *shape: int) -> np.ndarray:
        return np.abs(rng.normal(0.0, prior.scale, shape))

    def sigmoid(eta: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-eta))

    family = np.repeat(np.arange(n_families), per_family)
    size = np.tile(np.linspace(0.0, 1.0, per_family), n_families)
    log_flops = 21.0 + 0.8 * family / max(n_families - 1, 1) + 2.4 * size
    x = log_flops - COMPUTE_CENTRE
    n_models = len(x)

    t: dict[str, np.ndarray] = {
        "intercept_mean": normal(priors.intercept_mean, k),
        "intercept_sd": lognormal(priors.intercept_sd, k),
        "slope_mean": normal(priors.slope_mean, k),
        "slope_sd": lognormal(priors.slope_sd, k),
        "residual_sd": lognormal(priors.residual_sd, k),
    }
    t["intercept"] = t["intercept_mean"] + t["intercept_sd"] * rng.standard_normal((n_families, k))
    t["slope"] = t["slope_mean"] + t["slope_sd"] * rng.standard_normal((n_families, k))
    t["theta"] = t["intercept"][family] + t["slope"][family] * x[:, None]
    t["theta"] += t["residual_sd"] * rng.standard_normal((n_models, k))

    t["loading"] = np.vstack([np.eye(k), half(priors.loading, n_benchmarks - k, k)])
    t["difficulty"] = np.concatenate([np.zeros(k), normal(priors.difficulty, n_benchmarks - k)])
    t["ceiling_gap"] = rng.beta(priors.ceiling_gap.a, priors.ceiling_gap.b, n_benchmarks)
    t["family_offset_sd"] = lognormal(priors.family_offset_sd, n_benchmarks)
    t["family_offset"] = t["family_offset_sd"] * rng.standard_normal((n_families, n_benchmarks))
    t["overdispersion"] = lognormal(priors.overdispersion, n_benchmarks)
    chance = np.resize([0.25, 0.0, 0.25, 0.5, 0.0], n_benchmarks)
    eta = t["theta"] @ t["loading"].T + t["difficulty"] + t["family_offset"][family]
    p = chance + (1 - chance) * (1 - t["ceiling_gap"]) * sigmoid(eta)
    score = p + np.sqrt(p * (1 - p) * (1 / 1000 + t["overdispersion"] ** 2) + 0.01**2) * rng.standard_normal(p.shape)

    reference = t["theta"][log_flops <= np.log10(cutoff) + 1e-9]
    z = (t["theta"] - reference.mean(axis=0)) / np.sqrt(reference.var(axis=0) + 0.1**2)
    raw = normal(priors.share_mean, k) + lognormal(priors.share_sd) * rng.standard_normal((n_tasks, k))
    share = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    contrast = lognormal(priors.contrast_sd) * rng.standard_normal((n_tasks, k))
    log_steepness = np.log(priors.steepness.median) + priors.steepness.log_sd * rng.standard_normal()
    t["steepness"] = np.exp(log_steepness + lognormal(priors.steepness_sd) * rng.standard_normal(n_tasks))
    t["weight"] = t["steepness"][:, None] * (share + contrast)
    t["task_difficulty"] = normal(priors.task_difficulty, n_tasks)
    t["task_ceiling_gap"] = half(priors.task_ceiling_gap, n_tasks)
    t["task_overdispersion"] = lognormal(priors.task_overdispersion, n_tasks)
    t["task_family_offset_sd"] = lognormal(priors.task_family_offset_sd, n_tasks)
    t["task_family_offset"] = t["task_family_offset_sd"][:, None] * rng.standard_normal((n_tasks, n_families))
    task_chance = np.resize([0.0, 0.25], n_tasks)
    eta = z @ t["weight"].T + t["task_difficulty"] + t["task_family_offset"].T[family]
    q = task_chance + (1 - task_chance) * (1 - t["task_ceiling_gap"]) * sigmoid(eta)
    sd = np.sqrt(q * (1 - q) * (1 / 500 + t["task_overdispersion"] ** 2) + spec.fit_sd**2)
    task_score = q + sd * rng.standard_t(TASK_NOISE_DF, q.shape)

    models = [f"family-{f}-{j}" for f in range(n_families) for j in range(per_family)]
    names = [f"bench-{i}" for i in range(n_benchmarks)] + [f"task-{i}" for i in range(n_tasks)]
    wide = pd.DataFrame(
        np.clip(np.hstack([score, task_score]), 0, 1), index=pd.Index(models, name="model"), columns=names
    )
    table = ScoreTable(
        pd.DataFrame({"model": models, "family": [f"family-{f}" for f in family], "flops": 10**log_flops}),
        pd.DataFrame(
            {
                "benchmark": names,
                "role": ["benchmark"] * n_benchmarks + ["task"] * n_tasks,
                "chance": [*chance, *task_chance],
                "n_items": [1000.0] * n_benchmarks + [500.0] * n_tasks,
            }
        ),
        wide.reset_index().melt(id_vars="model", var_name="benchmark", value_name="score"),
    )
    return Simulation(table, t, pd.DataFrame(np.hstack([p, q]), index=wide.index, columns=names))


@pytest.fixture(scope="session")
def simulate() -> Simulate:
    return _simulate


@pytest.fixture(scope="session")
def tiny_spec() -> CapabilitySpec:
    """Two factors, and priors under which no simulated score sits at its floor or ceiling."""
    return CapabilitySpec(
        n_factors=2,
        anchors=("bench-0", "bench-1"),
        fit_sd=0.01,
        predictive_sd=0.01,
        priors=Priors(
            intercept_mean=Normal(loc=0.0, scale=0.5),
            intercept_sd=LogNormal(median=0.5, log_sd=0.3),
            slope_mean=Normal(loc=0.8, scale=0.2),
            loading=HalfNormal(scale=0.7),
            difficulty=Normal(loc=0.0, scale=0.7),
            ceiling_gap=Beta(a=2.0, b=60.0),
            task_difficulty=Normal(loc=-0.5, scale=0.5),
        ),
    )


@pytest.fixture(scope="session")
def simulation(tiny_spec: CapabilitySpec) -> Simulation:
    return _simulate(11, tiny_spec)


@pytest.fixture(scope="session")
def cache_folder() -> Path:
    return _CACHE / "fits"


@pytest.fixture(scope="session")
def tiny_fit(simulation: Simulation, tiny_spec: CapabilitySpec, cache_folder: Path) -> Fit:
    """The one fit of the quick suite: tasks seen up to the cutoff, one model hidden altogether. Its file is cached."""
    from bayes_obscaling.inference.fitting import fit

    return fit(
        simulation.table,
        ["task-0", "task-1"],
        cutoff=CUTOFF,
        from_compute=["family-2-3"],
        spec=tiny_spec,
        chains=2,
        draws=200,
        seed=5,
        cache=cache_folder,
    )


@pytest.fixture(scope="session")
def paper() -> ScoreTable:
    return load_base_llms("paper")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Call the command line as a user does: exit code, standard output and standard error."""
    from bayes_obscaling import cli

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bayes-obscaling", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
