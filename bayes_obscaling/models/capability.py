"""The capability model: latent capabilities driven by compute, measured by benchmarks, read by task heads.

It is the equations of `bayes_obscaling.models.capability_equations` and the priors, in plates named like the dimensions
that users see:

* `measurement`: family efficiency (compute to capability) and the benchmarks' response curves;
* `heads`: the response curves of all tasks of a study, partially pooled, given standardised capabilities;
* `joint`: both at once, in which task scores may bend the capabilities.

Every array keeps its shape when scores are hidden: what is not seen is masked. So one compiled sampler serves every
cutoff, every choice of predictors and all numbers of the priors.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro import plate

from bayes_obscaling.models.capability_equations import (
    LINE_PARAMETERS,
    Covariates,
    Measurements,
    TaskScores,
    benchmark_noise,
    by_task,
    expected_benchmarks,
    expected_tasks,
    line,
    reference_scale,
    standardise,
    task_noise,
    task_weight,
)
from bayes_obscaling.models.links import Numbers
from bayes_obscaling.models.parts import (
    chance_levels,
    curve_shapes,
    efficiency_walk,
    family_effect,
    partly_centred,
    place,
    places,
)
from bayes_obscaling.models.priors import Priors, believe
from bayes_obscaling.models.sparse import intercept_from_level, sparse_scores, trending_compute
from bayes_obscaling.models.spec import SIZE_AND_DATA, Structure
from bayes_obscaling.models.whitened import (
    suggested_by_anchors,
    whitened_capabilities,
    whitened_lines,
    whitened_offset,
)

# How far each factor is centred: 1 samples theta itself, 0 its standardised residual. The first factors are seen by
# many benchmarks (the data dominate: centre), the later ones by few.
_CENTRING = (1.0, 0.6, 0.3, 0.6)
# The same for all factors of a sparse table.
SPARSE_CENTRING = 0.3
# The same for a task's shares of the capabilities.
_SHARE_CENTRING = 0.5


def measurement(data: Measurements, priors: Priors, structure: Structure) -> jax.Array:
    """Family efficiency and benchmark response curves; returns the capabilities ``theta`` (M, K).

    ``theta_mk ~ N(a_fk + b_fk x_m + drift, s_k)``, ``y_mi ~ N(c_i + (1 - c_i)(1 - up_i) F(l_i . theta_m + d_i + v_fi),
    p (1 - p)(1/n + phi_i^2) + .01^2)`` with the curve ``F`` of `response`; anchor k loads on factor k alone, with
    loading 1 and difficulty 0: Equations 1 to 8 of docs/explanation/model.md. The numbers of the priors may be tracers.
    """
    s = structure
    p = _population(data, priors, s)
    if s.is_sparse:
        theta = _around_lines(p, data, priors, s)
        sparse_scores(data, p, theta, priors, s)
        return theta
    if s.has_many_families:
        p |= _benchmarks(data, priors, s)
        theta = _around_whitened_lines(p, data, priors, s)
    else:
        theta = _around_lines(p, data, priors, s)
        p |= _benchmarks(data, priors, s)
    with plate("benchmark", s.n_benchmarks, dim=-1):
        with plate("family", s.n_families, dim=-2):
            if s.has_many_families:
                offset = jnp.asarray(numpyro.deterministic("family_offset", whitened_offset(p, theta, data, s)))
            else:
                offset = family_effect("family_offset", p)
        expected = expected_benchmarks(p, theta, offset[data.family], data.chance)
        noise = benchmark_noise(p, expected, data.inv_items)
        with plate("model", s.n_models, dim=-2):
            numpyro.sample("benchmark_score", noise.mask(data.seen), obs=data.score)
    return theta


def _benchmarks(data: Measurements, priors: Priors, s: Structure) -> dict[str, Numbers]:
    """Curves, chance and noise of all benchmarks of a dense table."""
    p = _benchmark_curves(priors, s)
    p |= chance_levels(priors, data.chance, s.unknown_chance, "chance", "benchmark")
    with plate("benchmark", s.n_benchmarks, dim=-1):
        return p | {name: believe(priors, name) for name in ("family_offset_sd", "overdispersion")}


def _population(data: Measurements, priors: Priors, s: Structure) -> dict[str, Numbers]:
    """Population parameters of the family lines.

    Families may have a drift of their own: Equation 35 of docs/explanation/model.md. Tokens per parameter may count
    beside compute: Equation 49 of docs/explanation/model.md.
    """
    p: dict[str, Numbers] = {}
    # Family efficiency, non-centred: most families have few models.
    with plate("factor", s.n_factors, dim=-1):
        for name in LINE_PARAMETERS[s.is_sparse :]:
            p[name] = believe(priors, name)
        if s.compute_law == "box-cox":
            p["curvature"] = believe(priors, "curvature")
        if s.compute_law == SIZE_AND_DATA:
            p["ratio_worth"] = believe(priors, "ratio_worth")
        if s.drift != "none":
            p["drift"] = believe(priors, "drift")
        if s.families_drift:
            p["family_drift_sd"] = believe(priors, "family_drift_sd")
        if s.drift == "walk":
            p["walk"] = efficiency_walk(data)
        if s.is_sparse:
            p["reasoning_step"], p["effort_step"] = (
                believe(priors, name) for name in ("reasoning_step", "effort_step")
            )
        if s.is_sparse:
            p["level_mean"] = believe(priors, "level_mean")
            p["intercept_mean"] = intercept_from_level(p["level_mean"], p, data, s)
    return p


def _own(names: tuple[str, ...], p: dict[str, Numbers], data: Measurements, s: Structure) -> dict[str, Numbers]:
    """Effects (M, K) of the models' families, non-centred, and their drift where they have one."""
    with plate("family", s.n_families, dim=-2), plate("factor", s.n_factors, dim=-1):
        drift = ("family_drift",) if s.families_drift else ()
        return {name: family_effect(name, p)[data.family] for name in (*names, *drift)}


def _around_lines(p: dict[str, Numbers], data: Measurements, priors: Priors, s: Structure) -> jax.Array:
    """Capabilities (M, K), partly centred around the lines of their families."""
    own = _own(("intercept", "slope"), p, data, s)
    mean = line({**p, **own}, _with_uncertain_compute(data, priors, s))
    with plate("model", s.n_models, dim=-2), plate("factor", s.n_factors, dim=-1):
        theta = partly_centred("theta_raw", mean, p["residual_sd"], centring(s))
        return jnp.asarray(numpyro.deterministic("theta", theta))


def _around_whitened_lines(p: dict[str, Numbers], data: Measurements, priors: Priors, s: Structure) -> jax.Array:
    """The same in coordinates that follow the scores; reads the curves and the noise of the benchmarks."""
    shape = (s.n_models, s.n_factors)
    typical = {name: jnp.broadcast_to(p[f"{name}_mean"], shape) for name in ("intercept", "slope")}
    own, x = _own((), p, data, s), _with_uncertain_compute(data, priors, s)
    said = suggested_by_anchors(p, data, s)
    lines = whitened_lines(p, line({**p, **typical, **own}, x), x, said, data, s)
    with plate("model", s.n_models, dim=-2), plate("factor", s.n_factors, dim=-1):
        return jnp.asarray(numpyro.deterministic("theta", whitened_capabilities(p, lines, said)))


def _with_uncertain_compute(data: Measurements, priors: Priors, s: Structure) -> Covariates:
    """Covariates in which what is unknown, or known with error, is a parameter: ``compute`` and ``ratio``."""
    x = data.covariates
    compute = jnp.asarray(x.compute)
    if s.compute_trend:
        compute = trending_compute(data, priors, s)
    elif s.unknown_compute:
        with plate("unknown_compute_model", len(s.unknown_compute), dim=-1):
            unknown = believe(priors, "unknown_compute", of="compute")
        compute = compute.at[jnp.array(s.unknown_compute)].set(unknown)
    if s.inexact_compute and not s.compute_trend:
        at = jnp.array(s.inexact_compute)
        with plate("inexact_compute_model", len(s.inexact_compute), dim=-1):
            error = numpyro.sample("compute_error", dist.Normal(0.0, 1.0))
        compute = compute.at[at].add(jnp.asarray(data.compute_sd)[at] * error)
    ratio = x.ratio
    if s.unknown_ratio:
        with plate("unknown_ratio_model", len(s.unknown_ratio), dim=-1):
            unknown = believe(priors, "unknown_ratio", of="ratio")
        ratio = jnp.asarray(ratio).at[jnp.array(s.unknown_ratio)].set(unknown)
    with plate("model", s.n_models, dim=-1):
        ratio = None if ratio is None else numpyro.deterministic("ratio", ratio)
        return x._replace(compute=numpyro.deterministic("compute", compute), ratio=ratio)


def _benchmark_curves(priors: Priors, s: Structure) -> dict[str, Numbers]:
    """Loadings, difficulties and ceiling gaps of all benchmarks, put together from those that are free."""
    factors = plate("factor", s.n_factors, dim=-1)
    loading, difficulty = jnp.asarray(places(s.anchors, s.n_benchmarks)), jnp.zeros(s.n_benchmarks)
    if s.free:
        with plate("free_benchmark", len(s.free), dim=-2), factors:
            loading += place(s.free, s.n_benchmarks, believe(priors, "loading", "loading_free", of="loading"))
    if s.signed:
        with plate("signed_benchmark", len(s.signed), dim=-2), factors:
            signed = believe(priors, "signed_loading", "loading_signed", of="loading")
        loading += place(s.signed, s.n_benchmarks, signed)
    if s.others:
        with plate("other_benchmark", len(s.others), dim=-1):
            free = believe(priors, "difficulty", "difficulty_free", of="difficulty")
        difficulty = place(s.others, s.n_benchmarks, free)
    curves = curve_shapes(priors, s)
    with plate("benchmark", s.n_benchmarks, dim=-2), factors:
        numpyro.deterministic("loading", loading)
    with plate("benchmark", s.n_benchmarks, dim=-1):
        return {
            "loading": loading,
            "difficulty": numpyro.deterministic("difficulty", difficulty),
            **{name: numpyro.deterministic(name, value) for name, value in curves.items()},
        }


def heads(z: jax.Array, data: TaskScores, priors: Priors, fit_sd: Numbers, structure: Structure) -> None:
    """Task heads given standardised capabilities `z` (G, M, K) of each predictor set; weights are partially pooled.

    ``p = c + (1 - c)(1 - up) sigmoid(w . z + d + v_f)`` with ``w = S (softmax(a) + delta)``: tasks teach each other
    where to look (shares ``softmax(a)``) and how steep to be (``S``); contrasts ``delta`` are small and signed. How
    much they teach each other is learned. Equations 10, 11, 12 and 13 of docs/explanation/model.md; given draws of
    `measurement`, the two make the cut posterior, Equation 14 of docs/explanation/model.md.
    """
    s = structure
    p: dict[str, Numbers] = {}
    factors = plate("factor", s.n_factors, dim=-1)
    with factors:
        share_mean = believe(priors, "share_mean")
    share_sd, contrast_sd = believe(priors, "share_sd"), believe(priors, "contrast_sd")
    steepness_median = believe(priors, "steepness", "steepness_median")
    steepness_sd = believe(priors, "steepness_sd")
    with plate("task", s.n_tasks, dim=-1):
        log_steepness = partly_centred(
            "log_steepness", jnp.full(s.n_tasks, jnp.log(steepness_median)), steepness_sd, 1.0
        )
        steepness = numpyro.deterministic("steepness", jnp.exp(log_steepness))
        shape = ("task_asymmetry",) if s.task_curve == "asymmetric" else ()
        for name in ("task_difficulty", "task_ceiling_gap", *shape, "task_overdispersion", "task_family_offset_sd"):
            p[name] = believe(priors, name)
        with plate("family", s.n_families, dim=-2):
            offset = family_effect("task_family_offset", p)
    p |= chance_levels(priors, data.chance, s.unknown_task_chance, "task_chance", "task")
    with plate("task", s.n_tasks, dim=-2), factors:
        means = jnp.broadcast_to(share_mean, (s.n_tasks, s.n_factors))
        share = partly_centred("share_raw", means, share_sd, _SHARE_CENTRING)
        contrast = contrast_sd * numpyro.sample("contrast_raw", dist.Normal(0.0, 1.0))
        p["weight"] = numpyro.deterministic("weight", task_weight(share, contrast, steepness))
    expected = expected_tasks(p, by_task(z, data.predictors), offset[data.family], data.chance)
    noise = task_noise(p, expected, data.inv_items, fit_sd)
    with plate("model", len(data.family), dim=-2), plate("task", s.n_tasks, dim=-1):
        numpyro.sample("task_score", noise.mask(data.seen), obs=data.score)


def joint(
    data: Measurements,
    tasks: TaskScores,
    reference: jax.Array,
    priors: Priors,
    fit_sd: Numbers,
    structure: Structure,
) -> None:
    """Measurement and heads as one posterior: task scores may bend the capabilities.

    Equation 15 of docs/explanation/model.md. Every task reads predictor set 0; `reference` as in `reference_scale`.
    """
    theta = measurement(data, priors, structure)
    z = standardise(theta, reference_scale(theta, reference))
    heads(z[None], tasks, priors, fit_sd, structure)


def centring(s: Structure) -> np.ndarray:
    """How far each factor is centred in sampling, (K,), in tables of few families."""
    return np.full(s.n_factors, SPARSE_CENTRING) if s.is_sparse else np.array((_CENTRING * 2)[: s.n_factors])
