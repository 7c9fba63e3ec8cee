"""The ladder model as a density, without sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density, potential_energy, unconstrain_fn

from bayes_obscaling.data import load_olmo_ladder
from bayes_obscaling.inference.ladder import ladder_start, lay_out
from bayes_obscaling.models.ladder import CENTRE_PARAMS, CENTRE_TOKENS, LadderSpec, ladder, link, power_law

SPECS = {
    "default": LadderSpec(),
    "no discrepancy": LadderSpec(discrepancy=False),
    "compute": LadderSpec(law="compute"),
    "c4": LadderSpec(feature="c4_loss"),
    "one step": LadderSpec(feature="none"),
}


@pytest.mark.parametrize("name", SPECS)
def test_every_spec_has_a_finite_density(name):
    spec = SPECS[name]
    data, _ = lay_out(load_olmo_ladder(), spec)
    start = ladder_start(data, spec, np.random.default_rng(0))
    unconstrained = unconstrain_fn(ladder, (data, spec), {}, start)
    assert set(unconstrained) == set(start)  # every site has a start, and every start a site
    value, slope = jax.jit(jax.value_and_grad(lambda z: potential_energy(ladder, (data, spec), {}, z)))(unconstrained)
    assert np.isfinite(value) and all(np.isfinite(part).all() for part in jax.tree.leaves(slope))


def test_a_masked_value_changes_nothing():
    spec = LadderSpec()
    data, _ = lay_out(load_olmo_ladder(), spec)
    start = ladder_start(data, spec, np.random.default_rng(0))
    hidden = data._replace(
        loss_seen=data.loss_seen.at[3, 2].set(False), accuracy_seen=data.accuracy_seen.at[3, 2].set(False)
    )
    other = hidden._replace(loss=hidden.loss.at[3, 2].set(9.0), accuracy=hidden.accuracy.at[3, 2].set(0.01))
    density = jax.jit(lambda d: log_density(ladder, (d, spec), {}, start)[0])
    seen, one, two = (float(density(d)) for d in (data, hidden, other))
    assert one == pytest.approx(two, rel=1e-12)
    assert abs(seen - one) > 0.1


def test_the_law_is_the_published_one():
    ln_a, ln_b, alpha, beta, e = 2.42, 4.10, 0.196, 0.256, 0.502
    n, d = 6887575552.0, 3945065873408.0
    p = {
        "irreducible": e, "size_exponent": alpha, "data_exponent": beta,
        "size_scale": np.exp(ln_a) / CENTRE_PARAMS**alpha, "data_scale": np.exp(ln_b) / CENTRE_TOKENS**beta,
    }  # fmt: skip
    ours = power_law(np.log(n / CENTRE_PARAMS), np.log(d / CENTRE_TOKENS), p)
    assert float(ours) == pytest.approx(np.exp(ln_a) / n**alpha + np.exp(ln_b) / d**beta + e, rel=1e-12)


def test_link_runs_from_floor_to_ceiling():
    p = {"floor": 0.25, "ceiling_gap": 0.1, "steepness": 8.0, "midpoint": 0.9}
    accuracy = np.asarray(link(jnp.array([9.0, 0.9, -9.0]), 0.0, p))
    assert np.allclose(accuracy, [0.25, 0.25 + 0.75 * 0.9 / 2, 0.25 + 0.75 * 0.9])


def test_knots_are_the_ends_of_the_rungs():
    data, unit = lay_out(load_olmo_ladder(), LadderSpec())
    losses = load_olmo_ladder().matrix("task_loss")
    assert data.knots.shape == (8, 3) and len(data.size_bends) == 2 and len(data.ratio_bends) == 2
    assert np.allclose(data.knots[:, 0] * unit, losses[:4].min(axis=0))  # 190M: the first four runs
    assert (np.diff(np.asarray(data.knots), axis=1) < 0).all() and (np.asarray(data.knots) > 1).all()
