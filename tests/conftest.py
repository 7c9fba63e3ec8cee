"""Shared by all tests: where JAX runs and caches, a simulated table, a fit made without sampling, and a sampled one."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

# Before JAX is imported: 64-bit floats, CPU, and caches that no user shares.
_CACHE = Path(tempfile.mkdtemp(prefix="bayes-obscaling-tests-"))
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["BAYES_OBSCALING_CACHE"] = str(_CACHE)
os.environ["XDG_CACHE_HOME"] = str(_CACHE / "xdg")
os.environ["MPLBACKEND"] = "Agg"
# A shell starts its background jobs with Ctrl-C ignored, and children inherit that; the tests of Ctrl-C need it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)

import hypothesis
import pytest
import synthetic
from synthetic import CUTOFF, HIDDEN

from bayes_obscaling.data import ScoreTable, Split, load_base_llms
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.inference.sampler import Nuts, Sampler
from bayes_obscaling.models.priors import Beta, HalfNormal, LogNormal, Normal, Priors
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.stages import Settings
from bayes_obscaling.validation.simulate import Simulation

# The same examples on every machine: a test that fails must fail for the next reader too.
hypothesis.settings.register_profile("fixed", derandomize=True)
hypothesis.settings.load_profile("fixed")


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    """Close what a test has drawn: matplotlib warns of more than twenty open figures."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(scope="session")
def simulate() -> Callable[..., Simulation]:
    """Draw a table from the model; see `synthetic.simulate`."""
    return synthetic.simulate


@pytest.fixture(scope="session")
def tiny_spec() -> CapabilitySpec:
    """Two factors, and priors under which no simulated score sits at its floor or ceiling.

    Curves and lines are those that tests work out by hand; `dated_fit` has the default ones.
    """
    return CapabilitySpec(
        n_factors=2,
        anchors=("bench-0", "bench-1"),
        curve="logistic",
        drift="none",
        line_walk=0.0,
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
    return synthetic.simulate(57, tiny_spec)


@pytest.fixture(scope="session")
def cache_folder() -> Path:
    return _CACHE / "fits"


@pytest.fixture(scope="session")
def made_fit(simulation: Simulation, tiny_spec: CapabilitySpec) -> CapabilityFit:
    """A fit without sampling, for all that reads a fit; the table, the split and the seed are those of `tiny_fit`."""
    return synthetic.made_fit(simulation, tiny_spec)


@pytest.fixture(scope="session")
def dated_fit(tiny_spec: CapabilitySpec) -> CapabilityFit:
    """A fit without sampling that has a drift and asymmetric curves; every score is seen."""
    spec = tiny_spec.model_copy(update={"drift": "model", "curve": "asymmetric"})
    simulation = synthetic.simulate(11, spec)
    return synthetic.made_fit(simulation, spec, tasks=("bench-0", "bench-1", "task-0"), split=Split.all_seen())


@pytest.fixture(scope="session")
def sized_fit(tiny_spec: CapabilitySpec) -> CapabilityFit:
    """A fit without sampling under the law of size and data; every score is seen, and most sizes are known."""
    spec = tiny_spec.model_copy(update={"compute_law": "size-and-data"})
    simulation = synthetic.simulate(11, spec, sized=True)
    return synthetic.made_fit(simulation, spec, tasks=("bench-0", "task-0"), split=Split.all_seen())


@pytest.fixture(scope="session")
def quick_sampler() -> Nuts:
    """A sampler with short warm-ups; whoever uses it on tables of one shape shares its compiled kernels."""
    return Nuts(
        {
            "measurement": Settings(warmup=300, thin=2, target_accept=0.9, max_depth=7),
            "heads": Settings(warmup=200, thin=4, target_accept=0.8, max_depth=6),
            "joint": Settings(warmup=300, thin=3, target_accept=0.8, max_depth=6),
        }
    )


def _default_sampler(sampler: Sampler) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in ("fit", "fit_ladder"):
            patch.setattr(f"bayes_obscaling.inference.{module}.default_sampler", lambda: sampler)
        yield


@pytest.fixture(scope="module")
def quickly(quick_sampler: Nuts) -> Iterator[None]:
    """Whoever names no sampler gets the quick one, whose programs `tiny_fit` has compiled."""
    yield from _default_sampler(quick_sampler)


@pytest.fixture(scope="module")
def unsampled() -> Iterator[None]:
    """Whoever names no sampler gets draws scattered around the starting values, where only the way there is tested."""
    yield from _default_sampler(synthetic.Scatter())


@pytest.fixture(scope="session")
def tiny_fit(
    simulation: Simulation, tiny_spec: CapabilitySpec, cache_folder: Path, quick_sampler: Nuts
) -> CapabilityFit:
    """The one sampled fit of the quick suite: tasks seen up to the cutoff, one model hidden altogether."""
    return fit_table(
        simulation.table,
        ["task-0", "task-1"],
        cutoff=CUTOFF,
        from_compute=[HIDDEN],
        spec=tiny_spec,
        chains=2,
        draws=200,
        seed=5,
        cache=cache_folder,
        sampler=quick_sampler,
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
