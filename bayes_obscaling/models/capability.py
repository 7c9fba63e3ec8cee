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

from typing import Any, Literal, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro import plate
from pydantic import Field

from bayes_obscaling.models.capability_equations import (
    FAMILY_EFFECTS,
    LINE_PARAMETERS,
    Covariates,
    Measurements,
    Parameters,
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
from bayes_obscaling.models.priors import Frozen, LogNormal, Normal, Priors, believe

# How far each factor is centred: 1 samples theta itself, 0 its standardised residual. The first factors are seen by
# many benchmarks (the data dominate: centre), the later ones by few.
_CENTRING = (1.0, 0.6, 0.3, 0.6)
# The same for a task's shares of the capabilities.
_SHARE_CENTRING = 0.5


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
    curve : {"logistic", "asymmetric"}
        Response curve of benchmarks that have a ceiling; "asymmetric" has a free shape, see `asymmetric_share`.
    drift : {"none", "family", "model"}
        Whether efficiency grows with the date at which a family (the mean of its releases) or each model came out.
    drift_walk : float
        Decades of compute by which efficiency may wander from a steady drift in the first year after all that was seen,
        one sd; it grows with the square root of time. Forecasts alone read it.
    line_walk : float
        The same of a family's line, in the first decade of compute outside the range of its measured models.
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
    curve: Literal["logistic", "asymmetric"] = "asymmetric"
    task_curve: Literal["logistic", "asymmetric"] = "logistic"
    drift: Literal["none", "family", "model"] = "family"
    drift_walk: float = Field(default=0.2, ge=0)
    line_walk: float = Field(default=0.3, ge=0)
    posterior: Literal["cut", "joint"] = "cut"
    fit_sd: float = Field(default=0.02, gt=0)
    predictive_sd: float = Field(default=0.005, gt=0)
    priors: Priors = Priors()

    @classmethod
    def logistic(cls, **changes: Any) -> Self:
        """Return the model of the literature: logistic curves with learned ceilings, efficiency constant in time.

        It was the default until version 0.2, with the same priors. Ruan, Maddison and Hashimoto (2024) have this curve
        and this law. Use it to compare; beyond its data it takes slow progress near the top for a ceiling.

        Parameters
        ----------
        **changes
            Other fields.
        """
        priors = Priors(
            intercept_sd=LogNormal(median=1.0, log_sd=0.5),
            slope_mean=Normal(loc=1.0, scale=0.7),
            slope_sd=LogNormal(median=0.2, log_sd=0.5),
            residual_sd=LogNormal(median=0.25, log_sd=0.5),
            family_offset_sd=LogNormal(median=0.2, log_sd=0.4),
        )
        return cls(**{"curve": "logistic", "drift": "none", "line_walk": 0.0, "priors": priors, **changes})


class Structure(NamedTuple):
    """Sizes and switches of a fit: with the shapes of the arrays, all that a compiled sampler depends on."""

    n_models: int
    n_families: int
    n_benchmarks: int
    n_tasks: int
    n_factors: int
    anchors: tuple[int, ...]
    signed: tuple[int, ...]
    no_ceiling: tuple[int, ...]
    unknown_compute: tuple[int, ...]
    compute_law: str
    curve: str = "logistic"
    task_curve: str = "logistic"
    drift: str = "none"

    @property
    def free(self) -> tuple[int, ...]:
        """Benchmarks with free, positive loadings."""
        return _without(self.n_benchmarks, self.anchors, self.signed)

    @property
    def others(self) -> tuple[int, ...]:
        """Benchmarks that anchor no factor."""
        return _without(self.n_benchmarks, self.anchors)

    @property
    def capped(self) -> tuple[int, ...]:
        """Benchmarks that may have a ceiling."""
        return _without(self.n_benchmarks, self.no_ceiling)


def measurement(data: Measurements, priors: Priors, structure: Structure) -> jax.Array:
    """Family efficiency and benchmark response curves; returns the capabilities ``theta`` (M, K).

    ``theta_mk ~ N(a_fk + b_fk x_m + drift, s_k)``, ``y_mi ~ N(c_i + (1 - c_i)(1 - up_i) F(l_i . theta_m + d_i + v_fi),
    p (1 - p)(1/n + phi_i^2) + .01^2)`` with the curve ``F`` of `response`; anchor k loads on factor k alone, with
    loading 1 and difficulty 0: Equations 1 to 8 of docs/explanation/model.md. The numbers of the priors may be tracers.
    """
    s = structure
    models, families = plate("model", s.n_models, dim=-2), plate("family", s.n_families, dim=-2)
    p: dict[str, Numbers] = {}

    # Family efficiency, non-centred: most families have few models.
    with plate("factor", s.n_factors, dim=-1):
        for name in LINE_PARAMETERS:
            p[name] = believe(priors, name)
        if s.compute_law == "box-cox":
            p["curvature"] = believe(priors, "curvature")
        if s.drift != "none":
            p["drift"] = believe(priors, "drift")
        with families:
            of_family = {name: _family_effect(name, p) for name in ("intercept", "slope")}
    x = _with_unknown_compute(data.covariates, priors, s)
    mean = line({**p, **{name: value[data.family] for name, value in of_family.items()}}, x)
    with models, plate("factor", s.n_factors, dim=-1):
        raw = _partly_centred("theta_raw", mean, p["residual_sd"], centring(s.n_factors))
        theta = jnp.asarray(numpyro.deterministic("theta", raw))

    p |= _benchmark_curves(priors, s)
    with plate("benchmark", s.n_benchmarks, dim=-1):
        p["family_offset_sd"] = believe(priors, "family_offset_sd")
        p["overdispersion"] = believe(priors, "overdispersion")
        with families:
            offset = _family_effect("family_offset", p)
        expected = expected_benchmarks(p, theta, offset[data.family], data.chance)
        noise = benchmark_noise(p, expected, data.inv_items)
        with models:
            numpyro.sample("benchmark_score", noise.mask(data.seen), obs=data.score)
    return theta


def _with_unknown_compute(x: Covariates, priors: Priors, s: Structure) -> Covariates:
    """Covariates in which unknown compute is a parameter, named ``compute``."""
    compute = jnp.asarray(x.compute)
    if s.unknown_compute:
        with plate("unknown_compute_model", len(s.unknown_compute), dim=-1):
            unknown = believe(priors, "unknown_compute", of="compute")
        compute = compute.at[jnp.array(s.unknown_compute)].set(unknown)
    with plate("model", s.n_models, dim=-1):
        return x._replace(compute=numpyro.deterministic("compute", compute))


def _benchmark_curves(priors: Priors, s: Structure) -> dict[str, Numbers]:
    """Loadings, difficulties and ceiling gaps of all benchmarks, put together from those that are free."""
    factors = plate("factor", s.n_factors, dim=-1)
    loading, difficulty = jnp.asarray(_places(s.anchors, s.n_benchmarks)), jnp.zeros(s.n_benchmarks)
    if s.free:
        with plate("free_benchmark", len(s.free), dim=-2), factors:
            loading += _place(s.free, s.n_benchmarks, believe(priors, "loading", "loading_free", of="loading"))
    if s.signed:
        with plate("signed_benchmark", len(s.signed), dim=-2), factors:
            signed = believe(priors, "signed_loading", "loading_signed", of="loading")
        loading += _place(s.signed, s.n_benchmarks, signed)
    if s.others:
        with plate("other_benchmark", len(s.others), dim=-1):
            free = believe(priors, "difficulty", "difficulty_free", of="difficulty")
        difficulty = _place(s.others, s.n_benchmarks, free)
    curves: dict[str, Numbers] = {"ceiling_gap": jnp.zeros(s.n_benchmarks)}
    if s.curve == "asymmetric":
        curves["asymmetry"] = jnp.ones(s.n_benchmarks)
    if s.capped:
        for name in curves:
            field = "label_errors" if s.curve == "asymmetric" and name == "ceiling_gap" else name
            with plate("capped_benchmark", len(s.capped), dim=-1):
                free = believe(priors, field, f"{name}_capped", of=name)
            is_free = jnp.asarray([float(i in s.capped) for i in range(s.n_benchmarks)])
            curves[name] = _place(s.capped, s.n_benchmarks, free) + (1.0 - is_free) * curves[name]
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
        log_steepness = _partly_centred(
            "log_steepness", jnp.full(s.n_tasks, jnp.log(steepness_median)), steepness_sd, 1.0
        )
        steepness = numpyro.deterministic("steepness", jnp.exp(log_steepness))
        shape = ("task_asymmetry",) if s.task_curve == "asymmetric" else ()
        for name in ("task_difficulty", "task_ceiling_gap", *shape, "task_overdispersion", "task_family_offset_sd"):
            p[name] = believe(priors, name)
        with plate("family", s.n_families, dim=-2):
            offset = _family_effect("task_family_offset", p)
    with plate("task", s.n_tasks, dim=-2), factors:
        means = jnp.broadcast_to(share_mean, (s.n_tasks, s.n_factors))
        share = _partly_centred("share_raw", means, share_sd, _SHARE_CENTRING)
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


def centring(n_factors: int) -> np.ndarray:
    """How far each factor is centred in sampling, (K,)."""
    return np.array((_CENTRING * 2)[:n_factors])


def _family_effect(name: str, p: Parameters) -> jax.Array:
    """Sample an effect of every family, non-centred: population mean and sd times a standard normal.

    Equation 4 of docs/explanation/model.md, and the offsets of Equations 6 and 12 of docs/explanation/model.md.
    """
    mean, sd = FAMILY_EFFECTS[name]
    raw = numpyro.sample(f"{name}_raw", dist.Normal(0.0, 1.0))
    return jnp.asarray(numpyro.deterministic(name, (p[mean] if mean else 0.0) + p[sd] * raw))


def _partly_centred(name: str, mean: Numbers, sd: Numbers, centred: Numbers) -> jax.Array:
    """Sample ``N(mean, sd)`` as an affine map of ``raw ~ N(c mean, sd^c)`` (Papaspiliopoulos et al. 2007).

    ``c = 1`` samples the value itself (good where data dominate), ``c = 0`` its standardised residual.
    """
    raw = numpyro.sample(name, dist.Normal(centred * mean, sd**centred * jnp.ones_like(mean)))
    return jnp.asarray(mean + sd ** (1.0 - centred) * (raw - centred * mean))


def _places(positions: tuple[int, ...], size: int) -> np.ndarray:
    """Matrix (size, len(positions)) that puts a short vector's entries at their positions in a long one."""
    return np.eye(size)[:, list(positions)]


def _place(positions: tuple[int, ...], size: int, values: jax.Array) -> jax.Array:
    """Put `values` at their positions along the first axis of an array of zeros; a fused sum, as above."""
    places = _places(positions, size)
    return (places.reshape(*places.shape, *[1] * (values.ndim - 1)) * values[None]).sum(axis=1)


def _without(size: int, *taken: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(i for i in range(size) if all(i not in group for group in taken))
