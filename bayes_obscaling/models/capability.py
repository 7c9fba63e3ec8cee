"""The capability model: latent capabilities driven by compute, measured by benchmarks, read by task heads.

Pure numpyro functions over arrays (no files, no samplers, no keys):

* `measurement`: family efficiency (compute to capability) and the benchmarks' response curves;
* `heads`: the response curves of all tasks of a study, partially pooled, given standardised capabilities;
* `joint`: both at once, in which task scores may bend the capabilities.

Every array keeps its shape when scores are hidden: what is not seen is masked. So one compiled sampler serves every
cutoff and every choice of predictors.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from pydantic import Field

from bayes_obscaling.models.links import Numbers, response, score_variance
from bayes_obscaling.models.priors import Frozen, LogNormal, Normal, Priors

# Compute enters the model as log10(FLOPs) minus this: 3.2e22 FLOPs, near the middle of the public models.
COMPUTE_CENTRE = 22.5
# Score-scale floor of the measurement noise of a benchmark.
BENCHMARK_FLOOR_SD = 0.01
# Degrees of freedom of the noise of task scores around their curve.
TASK_NOISE_DF = 10.0
# Spread of a factor (logits) below which standardising would only blow up noise: a cutoff with one or two models.
_SMALLEST_SPREAD = 0.1
# How far each factor is centred: 1 samples theta itself, 0 its standardised residual. The first factors are seen by
# many benchmarks (the data dominate: centre), the later ones by few.
CENTRING = (1.0, 0.6, 0.3, 0.6)
# The same for a task's shares of the capabilities.
SHARE_CENTRING = 0.5


class CapabilitySpec(Frozen):
    """What is believed about scores: one immutable object, saved with every fit as JSON.

    Attributes
    ----------
    n_factors : int
        Number K of latent capabilities.
    anchors : tuple of str
        Benchmarks that identify the factors, in order: factor k is the logit scale of anchor k.
    compute_law : {"log-linear", "box-cox"}
        Law of capability in log10 compute inside a family; "box-cox" adds a curvature per factor, h = 0 being linear.
    posterior : {"cut", "joint"}
        "cut": tasks read the capabilities but cannot bend them (modular inference; Plummer 2015). "joint": full Bayes.
    fit_sd : float
        Score-scale sd for how far a task's sigmoid may be off, used in fitting.
    predictive_sd : float
        Score-scale floor of the noise of a new evaluation, used in forecasting.
    priors : Priors
        All priors.
    """

    n_factors: int = Field(default=4, ge=1, le=8)
    anchors: tuple[str, ...] = ("HellaSwag", "MMLU", "HumanEval", "XWinograd")
    compute_law: Literal["log-linear", "box-cox"] = "log-linear"
    posterior: Literal["cut", "joint"] = "cut"
    fit_sd: float = Field(default=0.02, gt=0)
    predictive_sd: float = Field(default=0.005, gt=0)
    priors: Priors = Priors()


class MeasurementLayout(NamedTuple):
    """Sizes and index sets of a measurement fit: what a compiled sampler depends on."""

    n_models: int
    n_families: int
    n_benchmarks: int
    n_factors: int
    anchors: tuple[int, ...]
    signed: tuple[int, ...]
    no_ceiling: tuple[int, ...]
    unknown_compute: tuple[int, ...]


class Measurements(NamedTuple):
    """Arrays of a measurement fit (M models, I benchmarks)."""

    score: jax.Array  # (M, I) fractions, anything where unseen
    seen: jax.Array  # (M, I) bool
    inv_items: jax.Array  # (M, I) 1 / number of items, 0 where there is none
    chance: jax.Array  # (I,)
    family: jax.Array  # (M,) int
    compute: jax.Array  # (M,) log10 FLOPs - COMPUTE_CENTRE, anything where unknown


class TaskScores(NamedTuple):
    """Arrays of the task heads (T tasks, M models, G predictor sets)."""

    score: jax.Array  # (T, M) fractions
    seen: jax.Array  # (T, M) bool
    inv_items: jax.Array  # (T, M)
    chance: jax.Array  # (T,)
    family: jax.Array  # (M,) int
    predictors: jax.Array  # (T,) int: which of the G predictor sets a task reads


def _lognormal(prior: LogNormal) -> dist.LogNormal:
    return dist.LogNormal(jnp.log(prior.median), prior.log_sd)


def _standard(name: str, shape: tuple[int, ...]) -> jax.Array:
    return numpyro.sample(name, dist.Normal(0.0, 1.0).expand(shape))


def _partly_centred(name: str, mean: jax.Array, sd: jax.Array, centred: Numbers) -> jax.Array:
    """Sample ``N(mean, sd)`` as an affine map of ``raw ~ N(c mean, sd^c)`` (Papaspiliopoulos et al. 2007).

    ``c = 1`` samples the value itself (good where data dominate), ``c = 0`` its standardised residual.
    """
    raw = numpyro.sample(name, dist.Normal(centred * mean, sd**centred * jnp.ones_like(mean)))
    return mean + sd ** (1.0 - centred) * (raw - centred * mean)


def _product(left: jax.Array | np.ndarray, right: jax.Array) -> jax.Array:
    """Matrix product as one fused loop: for a dozen numbers XLA's call to a matrix library costs more than the sum."""
    return (left[:, :, None] * right[None]).sum(axis=1)


def _places(positions: tuple[int, ...], size: int) -> np.ndarray:
    """Matrix (size, len(positions)) that puts a short vector's entries at their positions in a long one."""
    return np.eye(size)[:, list(positions)]


def _without(size: int, *taken: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(i for i in range(size) if all(i not in group for group in taken))


def capability_curve(intercept: Numbers, slope: Numbers, curvature: Numbers, compute: Numbers) -> jax.Array:
    """Expected capability at a compute: ``a + b (1 - exp(-h x)) / h``, in the limit h -> 0 ``a + b x``.

    Parameters
    ----------
    intercept, slope, curvature : array
        Family intercept (logits), slope (logits a decade) and curvature (per decade; 0 is log-linear).
    compute : array
        ``x = log10(FLOPs) - 22.5``.

    Returns
    -------
    array
        Capability, broadcast shape.
    """
    small = jnp.abs(curvature) < 1e-4
    h = jnp.where(small, 1.0, curvature)
    bent = -jnp.expm1(-h * compute) / h
    return jnp.asarray(intercept + slope * jnp.where(small, compute * (1.0 - 0.5 * curvature * compute), bent))


def measurement(data: Measurements, layout: MeasurementLayout, spec: CapabilitySpec) -> jax.Array:
    """Family efficiency and benchmark response curves.

    Parameters
    ----------
    data : Measurements
        Scores and masks.
    layout : MeasurementLayout
        Sizes and index sets.
    spec : CapabilitySpec
        Priors and options.

    Returns
    -------
    array (M, K)
        Capabilities ``theta``.
    """
    n_factors, n_families, n_benchmarks = layout.n_factors, layout.n_families, layout.n_benchmarks
    priors = spec.priors

    # Family efficiency, non-centred: most families have few models.
    loc = numpyro.sample("intercept_mean", dist.Normal(*_pair(priors.intercept_mean)).expand((n_factors,)))
    intercept_sd = numpyro.sample("intercept_sd", _lognormal(priors.intercept_sd).expand((n_factors,)))
    slope_mean = numpyro.sample("slope_mean", dist.Normal(*_pair(priors.slope_mean)).expand((n_factors,)))
    slope_sd = numpyro.sample("slope_sd", _lognormal(priors.slope_sd).expand((n_factors,)))
    residual_sd = numpyro.sample("residual_sd", _lognormal(priors.residual_sd).expand((n_factors,)))
    intercept = numpyro.deterministic(
        "intercept", loc + intercept_sd * _standard("intercept_raw", (n_families, n_factors))
    )
    slope = numpyro.deterministic("slope", slope_mean + slope_sd * _standard("slope_raw", (n_families, n_factors)))
    if spec.compute_law == "box-cox":
        curvature = numpyro.sample("curvature", dist.Normal(*_pair(priors.curvature)).expand((n_factors,)))
    else:
        curvature = jnp.zeros(n_factors)

    compute = data.compute
    if layout.unknown_compute:
        unknown = priors.unknown_compute.loc + priors.unknown_compute.scale * _standard(
            "compute_raw", (len(layout.unknown_compute),)
        )
        compute = compute.at[jnp.array(layout.unknown_compute)].set(unknown)
    compute = numpyro.deterministic("compute", compute)
    mean = capability_curve(intercept[data.family], slope[data.family], curvature, compute[:, None])

    theta = numpyro.deterministic(
        "theta", _partly_centred("theta_raw", mean, residual_sd, jnp.array((CENTRING * 2)[:n_factors]))
    )

    # Measurement. Anchor k loads on factor k alone, with loading 1 and difficulty 0.
    anchors, signed = _places(layout.anchors, n_benchmarks), _places(layout.signed, n_benchmarks)
    free = _places(_without(n_benchmarks, layout.anchors, layout.signed), n_benchmarks)
    loading = anchors + _product(
        free, numpyro.sample("loading_free", dist.HalfNormal(priors.loading.scale).expand((free.shape[1], n_factors)))
    )
    if layout.signed:
        loading += _product(
            signed,
            numpyro.sample(
                "loading_signed", dist.Normal(*_pair(priors.signed_loading)).expand((signed.shape[1], n_factors))
            ),
        )
    loading = numpyro.deterministic("loading", loading)
    others = _places(_without(n_benchmarks, layout.anchors), n_benchmarks)
    difficulty = numpyro.sample("difficulty_free", dist.Normal(*_pair(priors.difficulty)).expand((others.shape[1],)))
    difficulty = numpyro.deterministic("difficulty", _product(others, difficulty[:, None])[:, 0])
    capped = _places(_without(n_benchmarks, layout.no_ceiling), n_benchmarks)
    gap = numpyro.sample(
        "ceiling_gap_capped", dist.Beta(priors.ceiling_gap.a, priors.ceiling_gap.b).expand((capped.shape[1],))
    )
    gap = numpyro.deterministic("ceiling_gap", _product(capped, gap[:, None])[:, 0])

    offset_sd = numpyro.sample("family_offset_sd", _lognormal(priors.family_offset_sd).expand((n_benchmarks,)))
    offset = numpyro.deterministic("family_offset", offset_sd * _standard("offset_raw", (n_families, n_benchmarks)))
    overdispersion = numpyro.sample("overdispersion", _lognormal(priors.overdispersion).expand((n_benchmarks,)))

    p = response(_product(theta, loading.T) + difficulty + offset[data.family], data.chance, gap)
    variance = score_variance(p, data.inv_items, overdispersion, BENCHMARK_FLOOR_SD)
    numpyro.sample("score", dist.Normal(p, jnp.sqrt(variance)).mask(data.seen), obs=data.score)
    return theta


def features(theta: jax.Array | np.ndarray, reference: jax.Array | np.ndarray) -> jax.Array:
    """Standardise capabilities over the models whose task scores are seen.

    So a forecast does not depend on which other models happen to be asked about, and priors on the heads are in units
    of the spread of capability that they can learn from.

    Parameters
    ----------
    theta : array (..., M, K)
        Capabilities.
    reference : array (M,)
        1 for models whose task scores are seen, 0 for others.

    Returns
    -------
    array (..., M, K)
    """
    centre, spread = feature_scale(theta, reference)
    return jnp.asarray((theta - centre) / spread)


def feature_scale(theta: jax.Array | np.ndarray, reference: jax.Array | np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Mean and spread (..., 1, K) of the reference models' capabilities, as used by `features`."""
    share = (reference / reference.sum())[:, None]
    centre = (share * theta).sum(axis=-2, keepdims=True)
    variance = (share * (theta - centre) ** 2).sum(axis=-2, keepdims=True)
    return centre, jnp.sqrt(variance + _SMALLEST_SPREAD**2)


def heads(z: jax.Array, data: TaskScores, n_families: int, spec: CapabilitySpec) -> None:
    """Task heads given features: response curves whose weights are partially pooled over tasks.

    ``p = c + (1 - c)(1 - up) sigmoid(w . z + d + v_f)`` with ``w = S (softmax(a) + delta)``: tasks teach each other
    where to look (shares ``softmax(a)``) and how steep to be (``S``); contrasts ``delta`` are small and signed. How
    much they teach each other is learned.

    Parameters
    ----------
    z : array (G, M, K)
        Standardised capabilities for each predictor set.
    data : TaskScores
        Task scores and masks.
    n_families : int
        Number of families.
    spec : CapabilitySpec
        Priors and options.
    """
    priors = spec.priors
    n_tasks, n_features = data.score.shape[0], z.shape[-1]
    share_mean = numpyro.sample("share_mean", dist.Normal(*_pair(priors.share_mean)).expand((n_features,)))
    share_sd = numpyro.sample("share_sd", _lognormal(priors.share_sd))
    means = jnp.broadcast_to(share_mean, (n_tasks, n_features))
    share = jax.nn.softmax(_partly_centred("share_raw", means, share_sd, SHARE_CENTRING), axis=-1)
    contrast_sd = numpyro.sample("contrast_sd", _lognormal(priors.contrast_sd))
    contrast = contrast_sd * _standard("contrast_raw", (n_tasks, n_features))
    steepness_mean = numpyro.sample(
        "log_steepness_mean", dist.Normal(jnp.log(priors.steepness.median), priors.steepness.log_sd)
    )
    steepness_sd = numpyro.sample("steepness_sd", _lognormal(priors.steepness_sd))
    steepness = numpyro.deterministic(
        "steepness", jnp.exp(_partly_centred("steepness_raw", jnp.full(n_tasks, steepness_mean), steepness_sd, 1.0))
    )
    weight = numpyro.deterministic("weight", steepness[:, None] * (share + contrast))
    difficulty = numpyro.sample("task_difficulty", dist.Normal(*_pair(priors.task_difficulty)).expand((n_tasks,)))
    offset_sd = numpyro.sample("task_family_offset_sd", _lognormal(priors.task_family_offset_sd).expand((n_tasks,)))
    offset = numpyro.deterministic(
        "task_family_offset", offset_sd[:, None] * _standard("task_offset_raw", (n_tasks, n_families))
    )
    gap = numpyro.sample("task_ceiling_gap", dist.HalfNormal(priors.task_ceiling_gap.scale).expand((n_tasks,)))
    overdispersion = numpyro.sample("task_overdispersion", _lognormal(priors.task_overdispersion).expand((n_tasks,)))

    eta = (z[data.predictors] * weight[:, None, :]).sum(axis=-1) + difficulty[:, None] + offset[:, data.family]
    p = response(eta, data.chance[:, None], gap[:, None])
    variance = score_variance(p, data.inv_items, overdispersion[:, None], spec.fit_sd)
    # Heavier tails than normal: one odd score among near-floor ones must not decide how steep the curve is, and a
    # trajectory that passes through a steep curve does not meet a cliff (no divergences).
    noise = dist.StudentT(TASK_NOISE_DF, p, jnp.sqrt(variance))
    numpyro.sample("task_score", noise.mask(data.seen), obs=data.score)


def joint(
    data: Measurements, tasks: TaskScores, reference: jax.Array, layout: MeasurementLayout, spec: CapabilitySpec
) -> None:
    """Measurement and heads as one posterior: task scores may bend the capabilities.

    Parameters
    ----------
    data, tasks : Measurements, TaskScores
        Benchmark and task scores of the same models; every task reads predictor set 0.
    reference : array (M,)
        As in `features`.
    layout, spec
        As in `measurement`.
    """
    theta = measurement(data, layout, spec)
    heads(features(theta, reference)[None], tasks, layout.n_families, spec)


def _pair(prior: Normal) -> tuple[float, float]:
    return prior.loc, prior.scale
