from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from pydantic import ValidationError
from scipy import integrate

from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.sampler import Model, Nuts, Target
from bayes_obscaling.models.capability import measurement
from bayes_obscaling.models.priors import Beta, HalfNormal, LogNormal, Lumps, Normal, Prior, Priors
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.models.trace import sites_of
from bayes_obscaling.results.stages import Settings


def test_defaults_are_frozen():
    spec = CapabilitySpec()
    with pytest.raises(ValidationError, match="frozen"):
        spec.n_factors = 2
    with pytest.raises(ValidationError, match="frozen"):
        spec.priors.slope_mean = Normal(loc=0, scale=1)
    with pytest.raises(ValidationError, match="frozen"):
        spec.priors.slope_mean.loc = 3.0


def test_json_round_trip():
    spec = CapabilitySpec(
        n_factors=3,
        anchors=("MMLU", "ARC-C"),
        compute_law="box-cox",
        posterior="joint",
        priors=Priors(ceiling_gap=Beta(a=2, b=30), slope_sd=LogNormal(median=0.1, log_sd=0.2)),
    )
    assert CapabilitySpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec != CapabilitySpec()


def test_every_default_is_written_out():
    """A saved spec must not change its meaning when a default does."""
    written = CapabilitySpec().model_dump()
    assert set(written) == set(CapabilitySpec.model_fields)
    assert set(written["priors"]) == set(Priors.model_fields)
    for name, prior in written["priors"].items():
        assert prior
        numbers = [one for value in prior.values() for one in (value if isinstance(value, tuple) else [value])]
        assert all(isinstance(value, float) for value in numbers), name


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: CapabilitySpec(factors=2), "did you mean n_factors"),
        (lambda: Priors(slope_means=Normal(loc=0, scale=1)), "did you mean slope_mean"),
        (lambda: Priors(zzz=1), "the fields are intercept_mean"),
        (lambda: Normal(mean=0, scale=1), "the fields are loc, scale"),
        (lambda: CapabilitySpec(priors={"task_dificulty": {"loc": 0, "scale": 1}}), "did you mean task_difficulty"),
    ],
)
def test_unknown_names_bring_the_valid_ones(make, hint: str):
    with pytest.raises(InputError, match=hint):
        make()


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"at": (0.1, 0.2), "weight": (0.5,)}, "2 places and 1 weights"),
        ({"at": (0.1,), "weight": (1.0,)}, "sum below 1"),
        ({"at": (0.1,), "weight": (-0.5,)}, "must be positive"),
        ({"at": (0.7,), "weight": (0.5,)}, "between 0 and top"),
        ({"at": (0.1,), "weight": (0.5,), "sd": 0.0}, "positive sd"),
    ],
)
def test_lumps_that_cannot_be_are_refused(change: dict, hint: str):
    with pytest.raises(InputError, match=hint):
        Lumps(**change)


@pytest.mark.parametrize("change", [{"n_factors": 0}, {"compute_law": "cubic"}, {"fit_sd": 0.0}, {"posterior": "both"}])
def test_values_out_of_range_are_refused(change: dict):
    with pytest.raises(InputError, match=next(iter(change))):
        CapabilitySpec(**change)


# --- distributions ------------------------------------------------------------------------------------------------

PRIORS = [
    Normal(loc=-0.7, scale=1.9),
    LogNormal(median=0.3, log_sd=0.6),
    HalfNormal(scale=0.8),
    Beta(a=2.0, b=7.0),
    Beta(a=1.0, b=20.0),
    Lumps(at=(0.0, 0.25, 0.5), weight=(0.3, 0.3, 0.2), sd=0.01, top=0.6),
]


def named(prior: Prior) -> str:
    return type(prior).__name__


def test_every_kind_of_prior_is_tested():
    kinds = {type(prior) for prior in PRIORS}
    assert kinds == set(Prior.__subclasses__())
    assert {type(getattr(Priors(), name)) for name in Priors.model_fields} <= kinds


@pytest.mark.parametrize("prior", PRIORS, ids=named)
def test_numpyro_and_scipy_sample_the_same_distribution(prior: Prior):
    here, there = prior.distribution(), prior.scipy()
    at = there.ppf([0.001, 0.05, 0.3, 0.5, 0.8, 0.999])
    np.testing.assert_allclose(here.log_prob(at), there.logpdf(at), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(here.cdf(at), there.cdf(at), rtol=1e-9)
    assert (float(here.mean), float(here.variance)) == pytest.approx((there.mean(), there.var()), rel=1e-9)


@pytest.mark.parametrize("prior", PRIORS, ids=named)
def test_the_numbers_of_a_prior_mean_what_they_are_called(prior: Prior):
    """Median, location and spread, from the density alone, by numerical integration."""
    low, high = prior.scipy().support()
    log_density = jax.jit(prior.distribution().log_prob)

    def mean_of(f: Any) -> float:
        places = prior.scipy().ppf([0.01, 0.5, 0.99])
        parts = [low, *places, high]
        return sum(integrate.quad(lambda x: f(x) * np.exp(float(log_density(x))), a, b)[0] for a, b in pairwise(parts))

    assert mean_of(lambda _: 1.0) == pytest.approx(1.0, rel=1e-6)
    if isinstance(prior, Normal):
        assert mean_of(lambda x: x) == pytest.approx(prior.loc, rel=1e-6)
        assert mean_of(lambda x: (x - prior.loc) ** 2) == pytest.approx(prior.scale**2, rel=1e-6)
    elif isinstance(prior, LogNormal):
        assert mean_of(np.log) == pytest.approx(np.log(prior.median), rel=1e-6)
        assert mean_of(lambda x: np.log(x / prior.median) ** 2) == pytest.approx(prior.log_sd**2, rel=1e-6)
    elif isinstance(prior, HalfNormal):
        assert mean_of(lambda x: x**2) == pytest.approx(prior.scale**2, rel=1e-6)
    elif isinstance(prior, Lumps):
        assert mean_of(lambda x: x) == pytest.approx(float(prior.scipy().mean()), rel=1e-4)
        near = [integrate.quad(lambda x: np.exp(float(log_density(x))), at - 0.04, at + 0.04)[0] for at in prior.at[1:]]
        between = (1 - sum(prior.weight)) * 0.08 / prior.top
        np.testing.assert_allclose(near, np.array(prior.weight[1:]) + between, rtol=1e-3)
    else:
        assert isinstance(prior, Beta)
        assert mean_of(lambda x: x) == pytest.approx(prior.a / (prior.a + prior.b), rel=1e-6)


@pytest.mark.parametrize("prior", PRIORS, ids=named)
def test_draws_have_the_quantiles_of_scipy(prior: Prior):
    count = 20_000
    draws = np.asarray(prior.distribution().sample(jax.random.key(0), (count,)))
    for level in (0.05, 0.5, 0.95):
        share = (draws <= prior.scipy().ppf(level)).mean()
        assert abs(share - level) < 4.5 * np.sqrt(level * (1 - level) / count)


def test_priors_are_pytrees_of_their_numbers():
    priors = Priors(slope_mean=Normal(loc=0.8, scale=0.2))
    leaves, tree = jax.tree.flatten(priors)
    assert jax.tree.unflatten(tree, leaves) == priors
    numbers = {HalfNormal: 1, Lumps: 2 * len(priors.chance.at) + 2}
    assert len(leaves) == sum(numbers.get(type(getattr(priors, name)), 2) for name in Priors.model_fields)
    doubled = jax.tree.map(lambda number: 2 * number, priors)
    assert (doubled.slope_mean.loc, doubled.loading.scale) == (1.6, 2.0)
    flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, priors))
    assert unravel(flat).task_ceiling_gap.scale == priors.task_ceiling_gap.scale


def test_a_compiled_function_takes_priors_as_arguments():
    traced = 0

    @jax.jit
    def density(prior: Normal, x: jax.Array) -> jax.Array:
        nonlocal traced
        traced += 1
        return prior.distribution().log_prob(x)

    for prior in (Normal(loc=0.0, scale=1.0), Normal(loc=1.0, scale=2.0)):
        assert float(density(prior, jnp.asarray(0.3))) == pytest.approx(prior.scipy().logpdf(0.3), rel=1e-12)
    assert traced == 1


def test_specs_that_differ_in_numbers_of_priors_share_a_kernel(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bayes_obscaling.inference.sampler.Kernel", lambda *_: object())
    sampler, model = Nuts(), Model(measurement)
    for loc in (-3.0, 5.0):
        priors = jax.tree.map(jnp.asarray, Priors(slope_mean=Normal(loc=loc, scale=0.5)))
        sampler.kernel(Target(model, priors, None, lambda _: {}), Settings(warmup=100))
    assert sampler.compiled == 1


def test_every_site_names_the_prior_that_it_is_drawn_from(simulation, tiny_spec):
    """The numbers of a prior reach the density of its own sites, and no other's."""
    from bayes_obscaling.data import Split
    from bayes_obscaling.models.layout import lay_out

    layout = lay_out(simulation.table, ["task-0"], Split.all_seen(), tiny_spec)
    arguments = (layout.measurements[0], tiny_spec.priors, layout.structure)
    sites = sites_of(measurement, *arguments)
    assert {site.prior for site in sites.values() if site.prior} == {
        "intercept_mean",
        "intercept_sd",
        "slope_mean",
        "slope_sd",
        "residual_sd",
        "loading",
        "difficulty",
        "ceiling_gap",
        "family_offset_sd",
        "overdispersion",
    }
