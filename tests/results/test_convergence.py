from __future__ import annotations

import arviz_stats as azs
import numpy as np
import pytest
import xarray as xr

from bayes_obscaling.results.convergence import Convergence, assess, diagnostics


@pytest.fixture
def good() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4, 1000, 3))


def test_independent_draws_pass(good: np.ndarray):
    record = assess({"a": good, "b": good[..., 0] ** 2})
    assert record.ok
    assert record.problems == ()
    assert 0.99 < record.rhat < 1.01
    assert 2500 < record.ess_bulk < 5000


@pytest.mark.parametrize("kind", ["shifted", "stuck"])
def test_a_bad_chain_is_flagged_by_name(good: np.ndarray, kind: str):
    bad = good.copy()
    if kind == "shifted":
        bad[2, :, 1] += 1.0
    else:
        bad[2, :, 1] = 0.3
    record = assess({"fine": good, "broken": bad, "also_fine": good + 1})
    assert record.worst == "broken"
    assert record.rhat > 1.05
    assert not record.ok
    assert "of broken" in record.problems[0]


def test_slow_chains_are_flagged_for_their_effective_sample_size():
    rng = np.random.default_rng(1)
    walk = np.zeros((4, 1000))
    for i in range(1, 1000):
        walk[:, i] = 0.97 * walk[:, i - 1] + rng.standard_normal(4)
    record = assess({"walk": walk})
    assert record.ess_bulk == pytest.approx(4000 * 0.03 / 1.97, rel=0.6)
    assert any(problem.startswith("bulk ESS") for problem in record.problems)


def test_wrong_scale_of_one_chain_is_flagged(good: np.ndarray):
    """Equal means hide it from the classical R-hat; the folded one sees it."""
    bad = good.copy()
    bad[0] *= 4.0
    assert assess({"scale": bad}).rhat > 1.05


def test_what_never_varies_is_left_out(good: np.ndarray):
    loading = np.ones((4, 1000, 2))
    assert assess({"loading": loading, "a": good}) == assess({"a": good})
    assert assess({"loading": loading}).rhat == 1.0
    assert np.isfinite(assess({"loading": loading}).ess_bulk)


def test_divergences_are_a_problem(good: np.ndarray):
    record = assess({"a": good}, divergences=3)
    assert record.problems == ("3 divergent transitions",)


def test_merge_takes_the_worse():
    one = Convergence(rhat=1.02, ess_bulk=900, ess_tail=300, divergences=1, worst="one")
    two = Convergence(rhat=1.003, ess_bulk=500, ess_tail=800, divergences=2, worst="two")
    expected = Convergence(rhat=1.02, ess_bulk=500, ess_tail=300, divergences=3, worst="one")
    assert one.merge(two) == two.merge(one) == expected


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rhat": 1.01}, "R-hat"),
        ({"rhat": float("nan")}, "R-hat"),
        ({"ess_bulk": 400}, "bulk"),
        ({"ess_tail": 12}, "tail"),
    ],
)
def test_limits(change: dict, word: str):
    record = Convergence(**({"rhat": 1.009, "ess_bulk": 401, "ess_tail": 401} | change))
    assert len(record.problems) == 1
    assert word in record.problems[0]


def test_a_nan_draw_is_no_convergence(good: np.ndarray):
    bad = good.copy()
    bad[1, 10, 0] = np.nan
    assert not assess({"a": bad}).ok
    assert not assess({"only": bad[..., 0]}).ok


def test_a_nan_on_one_side_of_a_merge_stays_a_problem():
    fine = Convergence(rhat=1.0, ess_bulk=900, ess_tail=900)
    broken = Convergence(rhat=float("nan"), ess_bulk=float("nan"), ess_tail=float("nan"))
    assert not fine.merge(broken).ok
    assert not broken.merge(fine).ok


def _correlated(rng: np.random.Generator, chains: int, draws: int, quantities: int) -> np.ndarray:
    walk = rng.standard_normal((chains, draws, quantities))
    for i in range(1, draws):
        walk[:, i] += np.linspace(-0.6, 0.97, quantities) * walk[:, i - 1]
    return walk


@pytest.mark.parametrize("shape", [(4, 200), (2, 151), (3, 7), (2, 6)])
@pytest.mark.parametrize("kind", ["correlated", "discrete", "apart", "heavy"])
def test_diagnostics_are_those_of_arviz(shape: tuple[int, int], kind: str):
    values = _correlated(np.random.default_rng(4), *shape, 6)
    if kind == "discrete":
        values = np.round(values)
    elif kind == "apart":
        values += np.arange(shape[0])[:, None, None]
    elif kind == "heavy":
        values = np.sinh(3.0 * values)
    draws = xr.DataArray(values, dims=("chain", "draw", "quantity"))
    kwargs = {"sample_dims": ["chain", "draw"]}
    expected = (
        azs.rhat(draws, **kwargs),
        azs.ess(draws, method="bulk", **kwargs),
        azs.ess(draws, method="tail", prob=(0.05, 0.95), **kwargs),
    )
    for found, reference in zip(diagnostics(values), expected, strict=True):
        np.testing.assert_allclose(found, reference, rtol=1e-9)


def test_a_quantity_of_its_own_has_the_same_diagnostics():
    values = _correlated(np.random.default_rng(5), 3, 100, 4)
    together = np.stack(diagnostics(values))
    alone = [np.stack(diagnostics(values[..., [i]]))[:, 0] for i in range(4)]
    np.testing.assert_allclose(together.T, alone, rtol=1e-12)
