"""What is particular to sparse tables: benchmarks from a population, cells in several settings, compute as a trend."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro import plate

from bayes_obscaling.models.capability_equations import (
    Measurements,
    Parameters,
    cell_noise,
    compute_trend,
    expected_cells,
    walked,
)
from bayes_obscaling.models.links import Numbers
from bayes_obscaling.models.parts import chance_levels, curve_shapes, partly_centred, places
from bayes_obscaling.models.priors import Priors, believe
from bayes_obscaling.models.spec import Structure

# Decades: published compute is not taken to be more exact than this where compute has a trend.
SMALLEST_COMPUTE_SD = 0.02


def intercept_from_level(level: Numbers, p: Parameters, data: Measurements, s: Structure) -> jax.Array:
    """Population mean (K,) of the intercepts, from the capability of a typical family in the middle of the table.

    Equation 36 of docs/explanation/model.md. Intercepts themselves are those of 2023 at 3e22 FLOPs, years and
    decades before most models of such a table: what is
    known of them hangs on slopes and drifts.
    """
    date, compute = _middle(data, s)
    rise = compute + jnp.asarray(p["drift"]) * date if "drift" in p else compute
    if "walk" in p:
        rise = rise + walked(p["walk"], data.covariates.date).mean(axis=0)
    return jnp.asarray(numpyro.deterministic("intercept_mean", level - p["slope_mean"] * rise))


def _middle(data: Measurements, s: Structure) -> tuple[jax.Array, jax.Array]:
    """Mean release date of the models, and mean compute of those whose compute was published."""
    x, known = data.covariates, published(s)
    share = known / max(known.sum(), 1)
    return jnp.asarray(x.date).mean(), (share * x.compute).sum()


def published(s: Structure) -> np.ndarray:
    """Models (M,) whose compute was published, with an error or without."""
    return ~np.isin(np.arange(s.n_models), s.unknown_compute)


def trending_compute(data: Measurements, priors: Priors, s: Structure) -> jax.Array:
    """Compute (M,) around its trend in time; what was published counts as a measurement of it, with its error.

    Equations 33 and 34 of docs/explanation/model.md.
    """
    names = ("compute_growth", "family_compute_sd", "compute_sd")
    p: dict[str, Numbers] = {name: believe(priors, name) for name in names}
    with plate("family", s.n_families, dim=-1):
        unit = numpyro.sample("family_compute_raw", dist.Normal(0.0, 1.0))
        of_family = jnp.asarray(numpyro.deterministic("family_compute", p["family_compute_sd"] * unit))
    p["compute_level"] = numpyro.deterministic(
        "compute_level", believe(priors, "compute_middle") - p["compute_growth"] * _middle(data, s)[0]
    )
    mean = compute_trend(p, of_family[data.family], data.covariates.date)
    with plate("model", s.n_models, dim=-1):
        raw = numpyro.sample("compute_raw", dist.Normal(0.0, 1.0))
        compute = mean + p["compute_sd"] * raw
        error = jnp.maximum(jnp.asarray(data.compute_sd), SMALLEST_COMPUTE_SD)
        numpyro.sample("published_compute", dist.Normal(compute, error).mask(published(s)), obs=data.covariates.compute)
    return jnp.asarray(compute)


def sparse_scores(data: Measurements, p: dict[str, Numbers], theta: jax.Array, priors: Priors, s: Structure) -> None:
    """Benchmark curves that are drawn from a population of benchmarks, and the scores of the cells that there are.

    Equation 38 of docs/explanation/model.md. Scores may gain with the date what capabilities do not explain.
    """
    assert data.cells is not None
    n, factors = s.n_benchmarks, plate("factor", s.n_factors, dim=-1)
    is_anchor = jnp.asarray(np.isin(np.arange(n), s.anchors))
    pooled = ("difficulty_mean", "difficulty_sd", "loading_median", "loading_sd", "loading_share_sd")
    for name in (*pooled, "overdispersion_median", "overdispersion_sd"):
        p[name] = believe(priors, name)
    with plate("benchmark", n, dim=-1):
        noise = numpyro.sample("overdispersion_raw", dist.Normal(0.0, 1.0))
        log_median = jnp.full(n, jnp.log(p["loading_median"]))
        total = jnp.exp(partly_centred("log_total_raw", log_median, p["loading_sd"], 0.5))
    with plate("benchmark", n, dim=-2), factors:
        share = jax.nn.softmax(p["loading_share_sd"] * numpyro.sample("share_raw", dist.Normal(0.0, 1.0)), axis=-1)
        of_anchors = jnp.asarray(places(s.anchors, n))
        loading = jnp.where(is_anchor[:, None], of_anchors, total[:, None] * share)
        p["loading"] = numpyro.deterministic("loading", loading)
    # What is sampled is the linear predictor of a typical family in the middle of the table, centred: scores say it
    # well, and difficulties only as far as they say where capabilities are zero.
    typical = jnp.asarray(loading @ p["level_mean"])
    with plate("benchmark", n, dim=-1):
        difficulty = numpyro.sample("predictor_raw", dist.Normal(p["difficulty_mean"] + typical, p["difficulty_sd"]))
        difficulty = difficulty - typical
    if s.drifting:
        p["benchmark_drift"] = _drifts(priors, total, 1.0 - is_anchor, s)
        difficulty = difficulty - p["benchmark_drift"] * _middle(data, s)[0]
    p |= chance_levels(priors, data.chance, s.unknown_chance, "chance", "benchmark")
    shapes = curve_shapes(priors, s)
    with plate("benchmark", n, dim=-1):
        p["difficulty"] = numpyro.deterministic("difficulty", jnp.where(is_anchor, 0.0, difficulty))
        dispersion = p["overdispersion_median"] * jnp.exp(p["overdispersion_sd"] * noise)
        p["overdispersion"] = numpyro.deterministic("overdispersion", dispersion)
        p |= {name: numpyro.deterministic(name, value) for name, value in shapes.items()}
    expected = expected_cells(p, theta, data.cells, data.chance)
    with plate("cell", len(data.cells.score), dim=-1):
        around = cell_noise(p, expected, data.cells).mask(data.cells.seen)
        numpyro.sample("cell_score", around, obs=data.cells.score)


def _drifts(priors: Priors, steepness: jax.Array, is_free: jax.Array, s: Structure) -> jax.Array:
    """Logits (I,) that a year adds to each benchmark beside capabilities: of its category, and its own.

    Equation 50 of docs/explanation/model.md. `steepness` (I,) are the sums of loadings. Anchors, which are the scale of
    their capability, have no drift; nor has the mean of all others, since what all gain is a gain of the capabilities.
    """
    of_category, own = (believe(priors, f"{name}_drift_sd") for name in ("category", "benchmark"))
    with plate("category", max(s.drifting) + 1, dim=-1):
        category = of_category * numpyro.sample("category_drift_raw", dist.Normal(0.0, 1.0))
    with plate("benchmark", s.n_benchmarks, dim=-1):
        a_year = category[jnp.asarray(s.drifting)] + own * numpyro.sample("benchmark_drift_raw", dist.Normal(0.0, 1.0))
        mean = (a_year * is_free).sum() / jnp.maximum(is_free.sum(), 1.0)
        drift = jnp.asarray(numpyro.deterministic("benchmark_drift", steepness * is_free * (a_year - mean)))
    with plate("category", max(s.drifting) + 1, dim=-1):
        numpyro.deterministic("category_drift", category - mean)
    return drift
