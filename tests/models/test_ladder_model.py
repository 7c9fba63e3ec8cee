"""The ladder model as a density, and its equations, without sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from numpyro.infer.util import log_density, potential_energy, unconstrain_fn
from synthetic import trace_of

from bayes_obscaling.data import load_olmo_ladder
from bayes_obscaling.inference.starts import of_ladder
from bayes_obscaling.models import ladder_equations as equations
from bayes_obscaling.models.ladder import LadderPriors, LadderSpec, ladder
from bayes_obscaling.models.ladder_equations import CENTRE_PARAMS, CENTRE_TOKENS, link, power_law
from bayes_obscaling.models.ladder_layout import lay_out_ladder
from bayes_obscaling.models.trace import sites_of

densities = jax.jit(equations.densities)
SPECS = {
    "default": LadderSpec(),
    "no discrepancy": LadderSpec(discrepancy=False),
    "compute": LadderSpec(law="compute"),
    "c4": LadderSpec(feature="c4_loss"),
    "one step": LadderSpec(feature="none"),
}


def arguments(spec):
    layout = lay_out_ladder(load_olmo_ladder(), spec)
    return layout.data, jax.tree.map(jnp.asarray, spec.priors), layout.structure


def start(spec):
    return of_ladder(sites_of(ladder, *arguments(spec)), spec.priors, np.random.default_rng(0))


def traced(spec, values):
    """Values of all sites at a draw, and the distributions of those that were observed."""
    sites = trace_of(ladder, 0, *arguments(spec), **values)
    return {name: site["value"] for name, site in sites.items()}, {
        name: sites[name]["fn"] for name in ("log_loss", "accuracy")
    }


@pytest.mark.parametrize(
    # the default one is sampled in tests/results/test_ladder_fit.py
    "name",
    [pytest.param(n, marks=() if n == "one step" else pytest.mark.slow) for n in SPECS],
)
def test_every_spec_has_a_finite_density_and_slope(name):
    spec = SPECS[name]
    given, values = arguments(spec), start(spec)
    assert set(values) == {site.name for site in sites_of(ladder, *given).values() if site.kind == "latent"}

    @jax.jit
    def potential(at):
        at = unconstrain_fn(ladder, given, {}, at)
        return jax.value_and_grad(lambda z: potential_energy(ladder, given, {}, z))(at)

    value, slope = potential(values)
    assert np.isfinite(value) and all(np.isfinite(part).all() for part in jax.tree.leaves(slope))


def test_a_masked_value_changes_nothing():
    spec = LadderSpec()
    data, *others = arguments(spec)
    values = start(spec)
    hidden = data._replace(
        loss_seen=data.loss_seen.at[3, 2].set(False), accuracy_seen=data.accuracy_seen.at[3, 2].set(False)
    )
    other = hidden._replace(loss=hidden.loss.at[3, 2].set(9.0), accuracy=hidden.accuracy.at[3, 2].set(0.01))
    density = jax.jit(lambda d: log_density(ladder, (d, *others), {}, values)[0])
    seen, one, two = (float(density(d)) for d in (data, hidden, other))
    assert one == pytest.approx(two, rel=1e-12)
    assert abs(seen - one) > 0.1


@pytest.mark.parametrize("name", SPECS)
def test_the_equations_are_those_of_the_traced_sites(name):
    spec = SPECS[name]
    data, _, _ = arguments(spec)
    p, observed = traced(spec, start(spec))
    for noise, site in zip(densities(p, data), ("log_loss", "accuracy"), strict=True):
        density = observed[site].base_dist
        np.testing.assert_allclose(noise.loc, density.loc, rtol=1e-12)
        np.testing.assert_allclose(noise.scale, density.scale, rtol=1e-12)
    draws = {name: np.stack([value, value]) for name, value in p.items()}  # a leading axis changes nothing
    for many, one in zip(densities(draws, data), densities(p, data), strict=True):
        np.testing.assert_allclose(many.loc[1], one.loc, rtol=1e-12)
        np.testing.assert_allclose(many.scale[1], one.scale, rtol=1e-12)


def test_a_parameter_in_other_coordinates_has_the_density_of_its_prior():
    """Rise and height in place of steepness and midpoint: the Jacobian is that of the map between them."""
    spec = LadderSpec()
    values = start(spec)
    sites = trace_of(ladder, 0, *arguments(spec), **values)
    p = {name: site["value"] for name, site in sites.items()}
    at = {name: np.asarray(p[name]) for name in ("steepness", "midpoint", "size_exponent")}
    of_rise = spec.priors.steepness.scipy().logpdf(at["steepness"]) + np.log(at["steepness"])  # d log k / d rise = 1
    np.testing.assert_allclose(sites["log_rise"]["fn"].log_prob(p["log_rise"]), of_rise, rtol=1e-10)
    # floor and ceiling shift both coordinates, and stretch neither
    of_height = spec.priors.midpoint.scipy().logpdf(at["midpoint"]) - np.log(at["steepness"])
    np.testing.assert_allclose(sites["height"]["fn"].log_prob(p["height"]), of_height, rtol=1e-10)
    median, spread = np.asarray(p["size_exponent_median"]), np.asarray(p["size_exponent_spread"])
    z = (np.log(at["size_exponent"]) - np.log(median)) / spread
    learned = -0.5 * z**2 - np.log(spread) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(sites["size_log_elasticity"]["fn"].log_prob(p["size_log_elasticity"]), learned)


def test_every_prior_is_found_in_the_trace():
    sites = sites_of(ladder, *arguments(LadderSpec()))
    found = {site.prior for site in sites.values() if site.prior}
    of_others = {name for name in LadderPriors.model_fields if name.startswith("recipe_")} | {"checkpoint_gap"}
    assert found == set(LadderPriors.model_fields) - of_others
    data, priors, structure = arguments(LadderSpec())
    several = sites_of(ladder, data, priors, structure._replace(recipes=3))
    learned = {site.prior for site in several.values() if site.prior} - found
    assert learned == {"recipe_loss", "recipe_link", "recipe_shared"}
    assert several["recipe_link"].dims == ("recipe", "task") and several["recipe_loss"].shape == (2, 8)
    assert {site.of for site in sites.values() if site.prior} <= {s.name for s in sites.values() if s.is_variable}
    assert sites["slope_change"].dims == ("task", "rung_end") and sites["size_bend"].dims == ("loss_of", "size_bend_at")
    assert sites["log_loss"].dims == ("run", "loss_of") and sites["luck"].dims == ("run",)
    without = sites_of(ladder, *arguments(LadderSpec(discrepancy=False, law="compute")))
    assert not {"bend", "slope_change", "size_share"} & {site.prior for site in without.values()}


def test_bends_beyond_the_ladder_change_nothing_inside_it():
    spec = LadderSpec()
    layout = lay_out_ladder(load_olmo_ladder(), spec)
    data, (p, _) = layout.data, traced(spec, start(spec))
    rng = np.random.default_rng(0)
    ratio = np.asarray(data.runs.log_data - data.runs.log_size)
    places = equations.places_beyond(data.bends, layout.rungs, ratio)
    longer = p | equations.bends_beyond(p, lambda _, shape: rng.standard_normal(shape))
    assert longer["size_bend"].shape == (8, 2 + 12) and longer["data_bend"].shape == (8, 2 + 2 * 12)
    law = equations.log_law(p, data.runs, data.bends)
    # sizes and ratios of one rung differ a little
    np.testing.assert_allclose(equations.log_law(longer, data.runs, places), law, atol=2e-3)
    inside = jnp.asarray(data.loss)
    np.testing.assert_allclose(
        equations.expected_accuracy(longer, inside, places), equations.expected_accuracy(p, inside, data.bends)
    )
    assert (places.rung_end[:, 3] == 1.0).all() and (np.diff(places.rung_end, axis=1) < 0).all()


def test_the_law_is_the_published_one():
    ln_a, ln_b, alpha, beta, e = 2.42, 4.10, 0.196, 0.256, 0.502
    n, d = 6887575552.0, 3945065873408.0
    p = {
        "irreducible": e,
        "size_exponent": alpha,
        "data_exponent": beta,
        "size_scale": np.exp(ln_a) / CENTRE_PARAMS**alpha,
        "data_scale": np.exp(ln_b) / CENTRE_TOKENS**beta,
    }
    ours = power_law(np.log(n / CENTRE_PARAMS), np.log(d / CENTRE_TOKENS), p)
    assert float(ours) == pytest.approx(np.exp(ln_a) / n**alpha + np.exp(ln_b) / d**beta + e, rel=1e-12)


def test_link_runs_from_floor_to_ceiling():
    p = {"floor": 0.25, "ceiling_gap": 0.1, "steepness": 8.0, "midpoint": 0.9}
    accuracy = np.asarray(link(jnp.array([9.0, 0.9, -9.0]), 0.0, p))
    assert np.allclose(accuracy, [0.25, 0.25 + 0.75 * 0.9 / 2, 0.25 + 0.75 * 0.9])


def test_knots_are_the_ends_of_the_rungs():
    layout = lay_out_ladder(load_olmo_ladder(), LadderSpec())
    bends, losses = layout.data.bends, load_olmo_ladder().matrix("task_loss")
    assert bends.rung_end.shape == (8, 3) and len(bends.size_bend_at) == 2 and len(bends.data_bend_at) == 2
    assert np.allclose(bends.rung_end[:, 0] * layout.unit, losses[:4].min(axis=0))  # 190M: the first four runs
    assert (np.diff(np.asarray(bends.rung_end), axis=1) < 0).all() and (np.asarray(bends.rung_end) > 1).all()


def test_bends_inside_the_ladder_are_those_of_its_population():
    """However far they are centred: variance and covariance over tasks are those of Equation 24."""
    given = arguments(LadderSpec())
    names = ("bend_shared", "size_bend_sd_raw", "size_bend_drift_raw", "data_bend_sd_raw", "data_bend_drift_raw")
    at = {name: 0.3 for name in names}

    @jax.jit
    def bends(key):
        sites = handlers.trace(handlers.seed(handlers.substitute(ladder, at), key)).get_trace(*given)
        return [sites[f"{name}_bend"]["value"] for name in ("size", "data")]

    for bend in jax.vmap(bends)(jax.random.split(jax.random.key(0), 4000)):
        sd = 0.15 * np.exp(0.7 * 0.3)
        flat = np.asarray(bend)[..., 0]
        expected = sd**2 * (0.3 + 0.7 * np.eye(8))
        np.testing.assert_allclose(flat.mean(axis=0), sd * 0.3, atol=5 * sd / np.sqrt(4000))
        np.testing.assert_allclose(np.cov(flat.T), expected, atol=7 * sd**2 / np.sqrt(4000))
