"""The compiled sampler on posteriors that are known in closed form."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayes_obscaling.inference.run import sample, stuck_chains
from bayes_obscaling.inference.sampler import Chain, Draws, Kernel, Model, Nuts, Target, run_chains
from bayes_obscaling.results.convergence import assess
from bayes_obscaling.results.stages import Settings

MEAN = np.array([1.0, -2.0, 0.5])
PLAIN = np.diag([1.0, 4.0, 0.09])
CORRELATED = np.array([[1.0, 1.8, 0.1], [1.8, 4.0, 0.3], [0.1, 0.3, 0.09]])


def gaussian(fixed: dict[str, jax.Array], _: Any) -> None:
    numpyro.sample("x", dist.MultivariateNormal(fixed["mean"], scale_tril=fixed["root"]))


def data(mean: np.ndarray, covariance: np.ndarray) -> dict[str, jax.Array]:
    return {"mean": jnp.asarray(mean), "root": jnp.asarray(np.linalg.cholesky(covariance))}


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return Kernel(gaussian, data(MEAN, PLAIN), None, {"x": jnp.zeros(3)}, Settings(warmup=300))


def chains_of(kernel: Kernel, fixed: Any, init: dict[str, jax.Array], count: int = 4, seed: int = 0) -> list[Chain]:
    return [Chain(kernel, key, init, fixed) for key in jax.random.split(jax.random.key(seed), count)]


def agrees(values: np.ndarray, mean: float, sd: float, slack: float = 0.0) -> None:
    """Mean and sd of (chain, draw) values are as known, within 4.5 Monte Carlo standard errors."""
    ess, ess_square = (assess({"x": v}).ess_bulk for v in (values, (values - mean) ** 2))
    assert min(ess, ess_square) > 200  # chains that are stuck would allow themselves any error
    assert abs(values.mean() - mean) < (4.5 / np.sqrt(ess) + slack) * sd
    assert abs(((values - mean) ** 2).mean() / sd**2 - 1) < 4.5 * np.sqrt(2 / ess_square) + 2 * slack


@pytest.mark.parametrize("covariance", [PLAIN, CORRELATED], ids=["independent", "correlated"])
def test_gaussian(kernel: Kernel, covariance: np.ndarray):
    """One compiled kernel, several data sets."""
    fixed = data(MEAN, covariance)
    draws = run_chains(chains_of(kernel, fixed, {"x": jnp.zeros(3)}), [None] * 4, 1000, lambda _: None)
    assert draws.position.shape == (4, 1000, 3)
    assert assess({"x": draws.position}).rhat < 1.02  # 4000 draws: chance alone gives 1.003
    for i in range(3):
        agrees(draws.position[..., i], MEAN[i], np.sqrt(covariance[i, i]))
    z = (draws.position - MEAN) @ np.linalg.inv(np.linalg.cholesky(covariance)).T
    agrees(z[..., 0] * z[..., 1], 0.0, 1.0, slack=0.2)  # whitened: uncorrelated, product of two standard normals
    assert draws.diverging.sum() == 0
    assert draws.accept.mean() > 0.7


@pytest.fixture(scope="module")
def toy() -> dict[str, Any]:
    """Head mean m ~ N(0, 2^2), data y_i ~ N(m + x, 1), x moving ~ N(1, 0.8^2) whatever y says: a cut in closed form.

    Given x, m is normal with precision 1/4 + n and mean shrink (mean(y) - x).
    """
    precision = 1 / 2.0**2 + 4
    return {"y": np.array([3.1, 2.2, 4.0, 2.9]), "precision": precision, "shrink": 4 / precision}


@pytest.fixture(scope="module")
def walks(toy: dict[str, Any]) -> dict[float, tuple[np.ndarray, np.ndarray]]:
    """Draws of m and of the x that they belong to, by the autocorrelation of x: independent draws, and slow ones."""
    draws = 1000

    def model(fixed: jax.Array, moving: jax.Array) -> None:
        m = numpyro.sample("m", dist.Normal(0.0, 2.0))
        numpyro.sample("y", dist.Normal(m + moving, 1.0).expand((4,)), obs=fixed)

    y, init = jnp.asarray(toy["y"]), {"m": jnp.zeros(())}
    kernel = Kernel(model, y, jnp.zeros(()), init, Settings(warmup=400, thin=8))
    made = {}
    for memory in (0.0, 0.9):
        x = np.random.default_rng(1).standard_normal((4, draws))
        for i in range(1, draws):
            x[:, i] = memory * x[:, i - 1] + np.sqrt(1 - memory**2) * x[:, i]
        x = 1.0 + 0.8 * x
        made[memory] = run_chains(chains_of(kernel, y, init), list(x), draws, lambda _: None).position[..., 0], x
    return made


@pytest.mark.parametrize("memory", [0.0, 0.9], ids=["independent", "slow"])
def test_walk_along_a_moving_location_reproduces_the_cut(toy: dict[str, Any], walks: Any, memory: float):
    m, _ = walks[memory]
    variance = 1 / toy["precision"] + (0.8 * toy["shrink"]) ** 2
    agrees(m, toy["shrink"] * (toy["y"].mean() - 1.0), np.sqrt(variance), slack=0.02)


@pytest.mark.parametrize("memory", [0.0, 0.9], ids=["independent", "slow"])
def test_walk_with_many_transitions_follows_each_draw(toy: dict[str, Any], walks: Any, memory: float):
    """What is left of m after its conditional mean given this very x is the conditional posterior."""
    m, x = walks[memory]
    agrees(m - toy["shrink"] * (toy["y"].mean() - x), 0.0, np.sqrt(1 / toy["precision"]), slack=0.03)


def run_in_parts(kernel: Kernel, parts: list[int]) -> Draws:
    (chain,) = chains_of(kernel, data(MEAN, CORRELATED), {"x": jnp.zeros(3)}, 1, seed=3)
    made = [chain.run(None, draws, threading.Event(), lambda _: None) for draws in parts]
    return jax.tree.map(lambda *p: np.concatenate(p), *made)


def test_a_chain_goes_on_where_it_ended(kernel: Kernel):
    at_once, in_parts = run_in_parts(kernel, [500]), run_in_parts(kernel, [300, 50, 150])
    for name, one, other in zip(Draws._fields, at_once, in_parts, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)


def test_few_draws_get_the_whole_warm_up(kernel: Kernel):
    few, many = run_in_parts(kernel, [100]), run_in_parts(kernel, [300])
    np.testing.assert_array_equal(few.position, many.position[:100])


def test_chains_differ_and_start_where_they_are_told(kernel: Kernel):
    draws = run_chains(chains_of(kernel, data(MEAN, PLAIN), {"x": jnp.zeros(3)}, 2), [None, None], 100, lambda _: None)
    assert not np.array_equal(draws.position[0], draws.position[1])


def test_progress_counts_every_kept_draw(kernel: Kernel):
    counts: list[int] = []
    run_chains(chains_of(kernel, data(MEAN, PLAIN), {"x": jnp.zeros(3)}, 2), [None, None], 400, counts.append)
    assert sum(counts) == 2 * (400 + 300)  # warm-up of 300 included
    assert set(counts) == {50}


def test_a_stop_event_ends_a_chain(kernel: Kernel):
    (chain,) = chains_of(kernel, data(MEAN, PLAIN), {"x": jnp.zeros(3)}, 1)
    stop, calls = threading.Event(), 0

    def progress(_: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            stop.set()

    assert chain.run(None, 10**7, stop, progress) is None
    assert calls == 3


def test_an_interrupt_stops_all_chains_within_a_chunk(kernel: Kernel):
    calls = 0

    def progress(_: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_chains(chains_of(kernel, data(MEAN, PLAIN), {"x": jnp.zeros(3)}, 3), [None] * 3, 10**7, progress, workers=3)
    ended = calls
    assert ended < 10**7 / 50
    for thread in [t for t in threading.enumerate() if t.name.startswith("bayes_obscaling chains")]:
        thread.join(60)
        assert not thread.is_alive()
    assert calls == ended  # nobody has gone on sampling


def test_a_failing_chain_stops_the_others(kernel: Kernel):
    fixed = data(MEAN, PLAIN)
    fine, broken = chains_of(kernel, fixed, {"x": jnp.zeros(3)}, 2)
    broken.fixed = {"mean": jnp.zeros(2), "root": jnp.eye(2)}  # not what was compiled for
    with pytest.raises(TypeError):
        run_chains([fine, broken], [None, None], 10**7, lambda _: None, workers=2)


# --- kernels that are kept ----------------------------------------------------------------------------------------


def positive(fixed: jax.Array, _: Any, factor: float) -> None:
    scale = numpyro.sample("scale", dist.LogNormal(fixed, 0.5))
    numpyro.deterministic("product", factor * scale)


def target_of(mean: Any, factor: float = 2.0) -> Target:
    return Target(Model(positive, (factor,)), jnp.asarray(mean), None, lambda chain: {"scale": np.array(1.0 + chain)})


def test_nuts_compiles_once_for_a_model_shapes_and_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bayes_obscaling.inference.sampler.Kernel", lambda *_: object())
    nuts, settings = Nuts(), Settings(warmup=100)
    kernel = nuts.kernel(target_of(0.3), settings)
    assert nuts.kernel(target_of(2.0), settings) is kernel and nuts.compiled == 1
    others = [
        (target_of(0.3, 3.0), settings),  # what the model is bound to
        (target_of([0.3, 0.4]), settings),
        (target_of(0.3), settings.model_copy(update={"max_depth": 5})),
    ]
    for number, (target, changed) in enumerate(others, start=2):
        assert nuts.kernel(target, changed) is not kernel and nuts.compiled == number
    assert Nuts().compiled == 0


def test_positive_parameters_come_back_constrained_from_any_data_of_a_shape():
    nuts = Nuts()
    for mean in (0.3, 2.0):
        running = nuts.start(target_of(mean), Settings(warmup=200), 4, jax.random.key(1))
        draws = running.advance(1000, lambda _: None)
        sites = running.constrain(draws.position)
        agrees(np.log(sites["scale"]), mean, 0.5)
        np.testing.assert_allclose(sites["product"], 2 * sites["scale"])
        assert len(np.unique(draws.position[:, 0, 0])) == 4  # each chain has its own start and key
    assert nuts.compiled == 1
    assert not np.array_equal(running.advance(50, lambda _: None).position, draws.position[:, :50])


def test_nuts_takes_settings_by_kind_of_stage():
    nuts = Nuts({"heads": Settings(warmup=50, thin=7)})
    assert (nuts.settings["heads"].warmup, nuts.settings["heads"].thin) == (50, 7)
    assert nuts.settings["measurement"] == Nuts().settings["measurement"]


def test_a_chain_in_a_mode_without_weight_is_told_by_its_energy():
    energy = np.random.default_rng(0).normal(300.0, 12.0, (4, 400))
    assert stuck_chains(energy) == ()
    energy[2] += 25.0
    assert stuck_chains(energy) == (2,)
    energy[2] -= 25.0
    energy[0, :50] += 60.0  # one that came late
    assert stuck_chains(energy) == (0,)


def test_a_stuck_chain_starts_anew():
    """Two modes, one of them of e^-20 of the density: the chain that starts there comes to where the others are."""

    def two_modes(_: Any, __: Any) -> None:
        x = numpyro.sample("x", dist.ImproperUniform(dist.constraints.real, (), ()))
        here = -0.5 * ((x - 20.0) / 0.5) ** 2 - 20.0
        numpyro.factor("modes", jnp.logaddexp(-0.5 * (x / 0.5) ** 2, here))

    def start(chain: int) -> dict[str, np.ndarray]:
        return {"x": np.array(20.0 if chain == 1 else 0.0)}

    target = Target(Model(two_modes, ()), (), None, start)
    settings = Settings(warmup=100, thin=1)
    common: dict[str, Any] = {"chains": 3, "draws": 300, "seed": [1], "tell": lambda *_: None}
    kept = sample(target, Nuts(), settings, lambda _: True, **common)
    assert kept.convergence.rhat > 1.5
    mended = sample(target, Nuts(), settings, lambda _: True, **common, mend=True)
    assert mended.restarted == (1,)
    assert mended.convergence.rhat < 1.05
    np.testing.assert_array_equal(mended.values["x"][[0, 2]], kept.values["x"][[0, 2]])
