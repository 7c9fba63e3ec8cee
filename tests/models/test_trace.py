"""What a trace of the model says agrees with what a fit holds, and chains can start from it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density
from synthetic import trace_of

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.models import capability as model
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.priors import Priors
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.models.trace import Site, sites_of, start_near_priors
from bayes_obscaling.results.fit import CapabilityFit


def measured(layout: Layout, spec: CapabilitySpec) -> tuple[Any, ...]:
    return layout.measurements[0], spec.priors, layout.structure


def headed(layout: Layout, spec: CapabilitySpec) -> tuple[Any, ...]:
    z = jnp.zeros((len(layout.predictor_sets), len(layout.models), layout.structure.n_factors))
    return z, layout.task_scores, spec.priors, spec.fit_sd, layout.structure


@pytest.fixture(scope="module")
def bundled(paper: ScoreTable) -> tuple[Layout, CapabilitySpec]:
    spec = CapabilitySpec(compute_law="box-cox", curve="asymmetric", task_curve="asymmetric", drift="model")
    return lay_out(paper, ["word_unscrambling", "arithmetic_3ds"], Split.by_flops(paper, 8.4e22), spec), spec


def both(layout: Layout, spec: CapabilitySpec) -> dict[str, Site]:
    return sites_of(model.measurement, *measured(layout, spec)) | sites_of(model.heads, *headed(layout, spec))


def test_dims_of_the_sites_are_those_of_the_posterior(tiny_fit: CapabilityFit):
    sites = both(tiny_fit.layout, tiny_fit.spec)
    for group, wanted in (("posterior", "is_variable"), ("scaffold", "is_part")):
        draws = tiny_fit.tree[group].to_dataset()
        assert set(draws) == {name for name, site in sites.items() if getattr(site, wanted)}
        for name, values in draws.items():
            site = sites[str(name)]
            assert tuple(dim for dim in values.dims if dim not in ("chain", "draw", "predictors")) == site.dims, name
            assert values.shape[-len(site.shape) or len(values.shape) :] == site.shape, name


def test_every_dim_has_labels_of_its_length(bundled: tuple[Layout, CapabilitySpec]):
    layout, spec = bundled
    for site in both(layout, spec).values():
        if site.kind != "latent" or site.prior:
            assert tuple(len(layout.labels[dim]) for dim in site.dims) == site.shape, site.name


# Priors that only the measurement of sparse tables reads.
_OF_SPARSE_TABLES = {
    "level_mean",
    "family_drift_sd",
    "compute_middle",
    "compute_growth",
    "family_compute_sd",
    "compute_sd",
    "reasoning_step",
    "effort_step",
    "difficulty_mean",
    "difficulty_sd",
    "loading_median",
    "loading_sd",
    "loading_share_sd",
    "overdispersion_median",
    "overdispersion_sd",
    "category_drift_sd",
    "benchmark_drift_sd",
}


def test_kinds_priors_and_parts(bundled: tuple[Layout, CapabilitySpec]):
    sites = both(*bundled)
    assert {name for name, site in sites.items() if site.kind == "observed"} == {"benchmark_score", "task_score"}
    assert {site.prior for site in sites.values() if site.prior} == set(Priors.model_fields) - {
        "ceiling_gap",
        "chance",  # where somebody said it
        "ratio_worth",
        "unknown_ratio",
        *_OF_SPARSE_TABLES,
    }
    parts = {name: site.of for name, site in sites.items() if site.is_part}
    assert parts == {
        "loading_free": "loading",
        "loading_signed": "loading",
        "difficulty_free": "difficulty",
        "ceiling_gap_capped": "ceiling_gap",
        "asymmetry_capped": "asymmetry",
        "unknown_compute": "compute",
    }
    assert all(sites[of].kind == "deterministic" for of in parts.values())
    assert not any(site.is_variable for name, site in sites.items() if name.endswith("_raw"))
    assert sites["steepness_median"].prior == "steepness" and sites["steepness_median"].is_variable


def test_the_noted_prior_is_the_distribution_of_the_site(bundled: tuple[Layout, CapabilitySpec]):
    layout, spec = bundled
    trace = trace_of(model.measurement, 0, *measured(layout, spec)) | trace_of(model.heads, 1, *headed(layout, spec))
    for name, site in both(layout, spec).items():
        if site.prior:
            at = np.asarray(trace[name]["value"])
            said = getattr(spec.priors, site.prior).scipy().logpdf(at)
            np.testing.assert_allclose(trace[name]["fn"].log_prob(at), said, rtol=1e-9, atol=1e-9, err_msg=name)


def test_starting_values_have_a_finite_density(bundled: tuple[Layout, CapabilitySpec]):
    layout, spec = bundled
    for function, arguments in ((model.measurement, measured(layout, spec)), (model.heads, headed(layout, spec))):
        sites = sites_of(function, *arguments)

        @jax.jit
        def density(at: dict[str, jax.Array], function: Any = function, arguments: Any = arguments) -> jax.Array:
            return log_density(function, arguments, {}, at)[0]

        for seed in range(5):
            start = start_near_priors(sites, spec.priors, np.random.default_rng(seed))
            assert {name: np.shape(value) for name, value in start.items()} == {
                name: site.shape for name, site in sites.items() if site.kind == "latent"
            }
            assert np.isfinite(density({name: jnp.asarray(value) for name, value in start.items()}))


def test_starting_values_lie_around_the_medians(bundled: tuple[Layout, CapabilitySpec]):
    layout, spec = bundled
    sites = both(layout, spec)
    exact = start_near_priors(sites, spec.priors, np.random.default_rng(0), spread=0.0)
    for name, site in sites.items():
        if site.kind == "latent":
            middle = getattr(spec.priors, site.prior).scipy().median() if site.prior else 0.0
            np.testing.assert_allclose(exact[name], middle, err_msg=name)
    start = start_near_priors(sites, spec.priors, np.random.default_rng(0))
    assert not np.array_equal(start["difficulty_free"], exact["difficulty_free"])
    assert (start["loading_free"] > 0).all() and (start["ceiling_gap_capped"] < 1).all()


def test_an_improper_site_needs_a_value():
    import numpyro
    import numpyro.distributions as dist

    def improper() -> None:
        numpyro.sample("height", dist.ImproperUniform(dist.constraints.real, (), (3,)))

    assert sites_of(improper, known={"height": jnp.zeros(3)})["height"].shape == (3,)
