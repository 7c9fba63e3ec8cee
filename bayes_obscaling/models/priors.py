"""Priors: each one is a named field that carries its numbers and its distribution.

Priors are JAX pytrees, so a compiled sampler takes them as arguments: changing their numbers compiles nothing.
"""

from __future__ import annotations

import difflib
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from scipy import stats

from bayes_obscaling.errors import InputError
from bayes_obscaling.models.lumps import Lumpy, Shape, scipy_lumps


class Frozen(BaseModel):
    """An immutable set of named settings that refuses unknown names and lists the known ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _one_sentence(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        for name in values if isinstance(values, dict) else ():
            if name not in cls.model_fields:
                near = difflib.get_close_matches(str(name), cls.model_fields, n=3)
                hint = f"did you mean {' or '.join(near)}? " if near else ""
                raise InputError(
                    f"{cls.__name__} has no field '{name}': {hint}the fields are {', '.join(cls.model_fields)}."
                )
        try:
            return handler(values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "value"
            raise InputError(f"{cls.__name__}: {where} is {first['input']!r}: {first['msg']}.") from error


class Pytree(Frozen):
    """Named settings that are the branches of a JAX pytree, in the order of their fields."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        names = tuple(cls.model_fields)
        jax.tree_util.register_pytree_node(
            cls,
            lambda node: (tuple(getattr(node, name) for name in names), None),
            # leaves may be tracers, which pydantic would refuse
            lambda _, leaves: cls.model_construct(**dict(zip(names, leaves, strict=True))),
        )


class Prior(Pytree):
    """A prior distribution of one parameter."""

    def distribution(self) -> dist.Distribution:
        """Return the distribution that numpyro samples; its numbers may be tracers."""
        raise NotImplementedError

    def scipy(self) -> Any:
        """Return the same distribution as a frozen SciPy one, for quantiles and tail probabilities."""
        raise NotImplementedError

    def from_normal(self, unit: np.ndarray) -> np.ndarray:
        """Return draws of the distribution that are made of as many standard normal ones."""
        return np.asarray(self.scipy().ppf(stats.norm.cdf(unit)))


class Normal(Prior):
    """Normal prior with mean `loc` and standard deviation `scale`."""

    loc: float
    scale: float

    def distribution(self) -> dist.Distribution:
        """Return the distribution that numpyro samples."""
        return dist.Normal(self.loc, self.scale)

    def scaled(self, unit: jax.Array) -> jax.Array:
        """Return the parameter as a function of a standard normal number."""
        return self.loc + self.scale * unit

    def scipy(self) -> Any:
        """Return the same distribution as a frozen SciPy one."""
        return stats.norm(self.loc, self.scale)

    def from_normal(self, unit: np.ndarray) -> np.ndarray:
        """Return draws of the distribution that are made of as many standard normal ones."""
        return np.asarray(self.loc + self.scale * unit)


class LogNormal(Prior):
    """Lognormal prior given by its median and the standard deviation of its logarithm."""

    median: float
    log_sd: float

    def distribution(self) -> dist.Distribution:
        """Return the distribution that numpyro samples."""
        return dist.LogNormal(jnp.log(self.median), self.log_sd)

    def scaled(self, unit: jax.Array) -> jax.Array:
        """Return the parameter as a function of a standard normal number."""
        return self.median * jnp.exp(self.log_sd * unit)

    def scipy(self) -> Any:
        """Return the same distribution as a frozen SciPy one."""
        return stats.lognorm(self.log_sd, scale=self.median)

    def from_normal(self, unit: np.ndarray) -> np.ndarray:
        """Return draws of the distribution that are made of as many standard normal ones."""
        return np.asarray(self.median * np.exp(self.log_sd * unit))


class HalfNormal(Prior):
    """Half-normal prior with the given scale."""

    scale: float

    def distribution(self) -> dist.Distribution:
        """Return the distribution that numpyro samples."""
        return dist.HalfNormal(self.scale)

    def scipy(self) -> Any:
        """Return the same distribution as a frozen SciPy one."""
        return stats.halfnorm(scale=self.scale)

    def from_normal(self, unit: np.ndarray) -> np.ndarray:
        """Return draws of the distribution that are made of as many standard normal ones."""
        return np.asarray(np.abs(self.scale * unit))


class Beta(Prior):
    """Beta prior with shapes `a` and `b`."""

    a: float
    b: float

    def distribution(self) -> dist.Distribution:
        """Return the distribution that numpyro samples."""
        return dist.Beta(self.a, self.b)

    def scipy(self) -> Any:
        """Return the same distribution as a frozen SciPy one."""
        return stats.beta(self.a, self.b)


class Lumps(Prior):
    """Prior of a share that is likely to be one of a few numbers, and may lie anywhere between 0 and `top`.

    Attributes
    ----------
    at, weight : tuple of float
        The likely numbers, and the probability of each; what is left to 1 is spread evenly over 0..`top`.
    sd : float
        How far off a likely number the share may be, cut at 0 and `top`.
    top : float
        Largest value.
    """

    at: tuple[float, ...]
    weight: tuple[float, ...]
    sd: float = 0.01
    top: float = 0.6

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len(self.at) != len(self.weight) or not self.at:
            raise InputError(f"Lumps has {len(self.at)} places and {len(self.weight)} weights", "give one for each")
        if min(self.weight) < 0 or sum(self.weight) >= 1:
            raise InputError(
                "The weights of Lumps must be positive, with a sum below 1", "leave some mass between the places"
            )
        if not (min(self.at) >= 0 and max(self.at) < self.top <= 1 and self.sd > 0):
            raise InputError(
                "Lumps need places between 0 and top, a top of at most 1 and a positive sd", "correct them"
            )
        return self

    def _shape(self) -> Shape:
        return Shape(jnp.asarray(self.at), jnp.asarray(self.weight), self.sd, self.top)

    def distribution(self) -> dist.Distribution:
        """Return the distribution that numpyro samples."""
        return Lumpy(self._shape())

    def scipy(self) -> Any:
        """Return the same distribution as a frozen SciPy one."""
        return scipy_lumps(self._shape())


def believe(priors: Pytree, field: str, site: str | None = None, of: str | None = None) -> jax.Array:
    """Sample a parameter from its prior `field`, a value per entry of the plates, and note which prior that is.

    The sample site is called `site`, default `field`. `of` is the posterior variable that it is a part of, default
    itself: a site that is only a part (the free entries of a matrix) is kept apart from the posterior variables.
    """
    name = site or field
    note = {"prior": field, "of": of or name}
    return jnp.asarray(numpyro.sample(name, getattr(priors, field).distribution(), infer=note))


def believe_scaled(priors: Pytree, field: str, name: str | None = None) -> jax.Array:
    """Sample a parameter as standard normal numbers ``<name>_raw`` that its (log-)normal prior `field` scales.

    For the sampler all such parameters are of one size, however narrow their priors are.
    """
    name = name or field
    raw = numpyro.sample(f"{name}_raw", dist.Normal(0.0, 1.0), infer=stands_for(name, field))
    return jnp.asarray(numpyro.deterministic(name, getattr(priors, field).scaled(raw)))


def stands_for(name: str, field: str) -> dict[str, dict[str, str]]:
    """Note for a sample site that holds a parameter in other coordinates: its variable, and the prior of that."""
    return {"stands_for": {name: field}}


class Priors(Pytree):
    """Every prior of the capability model.

    Compute enters as ``x = log10(FLOPs) - 22.5``: intercepts are capabilities at 3.2e22 FLOPs and slopes are
    capability (logits of the anchor benchmark) per decade. Scales are lognormal: half-normal ones make funnels.
    """

    # Family efficiency: theta_mk ~ N(a_fk + b_fk x_m, residual_sd_k)
    intercept_mean: Normal = Normal(loc=0.0, scale=2.0)
    intercept_sd: LogNormal = LogNormal(median=0.5, log_sd=0.5)
    slope_mean: Normal = Normal(loc=0.5, scale=0.25)
    slope_sd: LogNormal = LogNormal(median=0.1, log_sd=0.5)
    residual_sd: LogNormal = LogNormal(median=0.1, log_sd=0.5)
    curvature: Normal = Normal(loc=0.0, scale=0.2)
    # Decades of compute that a decade of tokens per parameter is worth at equal compute; and decades of tokens per
    # parameter from RATIO_CENTRE where nobody published them: the spread of the public models
    ratio_worth: Normal = Normal(loc=0.0, scale=0.3)
    unknown_ratio: Normal = Normal(loc=0.0, scale=0.7)
    # Decades of compute that a year of progress is worth (Ho et al. 2024: .45, 95 % .26 to .72)
    drift: LogNormal = LogNormal(median=0.6, log_sd=0.5)
    unknown_compute: Normal = Normal(loc=0.5, scale=1.0)
    # The drift of one family beside that of all, decades of compute a year
    family_drift_sd: LogNormal = LogNormal(median=0.1, log_sd=0.5)
    # Sparse tables: capability of a typical family in the middle of the table
    level_mean: Normal = Normal(loc=0.0, scale=2.0)
    # Compute as a trend in time: decades above COMPUTE_CENTRE in the middle of the table, decades a year (Epoch AI:
    # 4.2x), and how far families, and models of one family, are off it
    compute_middle: Normal = Normal(loc=2.0, scale=1.0)
    compute_growth: Normal = Normal(loc=0.62, scale=0.12)
    family_compute_sd: LogNormal = LogNormal(median=0.4, log_sd=0.3)
    compute_sd: LogNormal = LogNormal(median=0.4, log_sd=0.3)
    # What reasoning before the answer adds, and each step of effort, in logits of the anchor
    reasoning_step: Normal = Normal(loc=0.5, scale=0.5)
    effort_step: LogNormal = LogNormal(median=0.15, log_sd=0.7)
    # Measurement: benchmark scores given capabilities
    loading: HalfNormal = HalfNormal(scale=1.0)
    signed_loading: Normal = Normal(loc=0.0, scale=1.0)
    difficulty: Normal = Normal(loc=0.0, scale=2.0)
    ceiling_gap: Beta = Beta(a=1.0, b=20.0)
    # The ceiling gap of asymmetric curves, which level off without one: items whose key is wrong
    label_errors: Beta = Beta(a=2.0, b=198.0)
    asymmetry: LogNormal = LogNormal(median=0.25, log_sd=0.15)
    overdispersion: LogNormal = LogNormal(median=0.05, log_sd=0.7)
    family_offset_sd: LogNormal = LogNormal(median=0.1, log_sd=0.5)
    # Benchmarks of sparse tables: many have few scores, so that they teach each other
    difficulty_mean: Normal = Normal(loc=0.0, scale=2.0)
    difficulty_sd: LogNormal = LogNormal(median=2.0, log_sd=0.4)
    loading_median: LogNormal = LogNormal(median=1.0, log_sd=0.5)
    loading_sd: LogNormal = LogNormal(median=0.5, log_sd=0.3)
    loading_share_sd: LogNormal = LogNormal(median=1.0, log_sd=0.3)
    overdispersion_median: LogNormal = LogNormal(median=0.08, log_sd=0.5)
    overdispersion_sd: LogNormal = LogNormal(median=0.6, log_sd=0.3)
    # What a year adds to the scores of a category, and of a benchmark of it, that the capabilities do not explain, in
    # logits of a benchmark of loading 1
    category_drift_sd: LogNormal = LogNormal(median=0.3, log_sd=0.5)
    benchmark_drift_sd: LogNormal = LogNormal(median=0.2, log_sd=0.5)
    # Chance where nobody said it, of benchmarks and tasks alike: as often as among the known benchmarks
    chance: Lumps = Lumps(at=(0.0, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 10), weight=(0.4, 0.12, 0.07, 0.2, 0.07, 0.04))
    # Task heads: task scores given capabilities, pooled over tasks
    share_mean: Normal = Normal(loc=0.0, scale=1.0)
    share_sd: LogNormal = LogNormal(median=0.5, log_sd=0.5)
    contrast_sd: LogNormal = LogNormal(median=0.1, log_sd=0.5)
    steepness: LogNormal = LogNormal(median=2.0, log_sd=0.25)
    steepness_sd: LogNormal = LogNormal(median=0.3, log_sd=0.5)
    task_difficulty: Normal = Normal(loc=-2.0, scale=3.0)
    task_ceiling_gap: HalfNormal = HalfNormal(scale=0.01)
    task_asymmetry: LogNormal = LogNormal(median=0.8, log_sd=0.5)
    task_overdispersion: LogNormal = LogNormal(median=0.05, log_sd=0.7)
    task_family_offset_sd: LogNormal = LogNormal(median=0.3, log_sd=0.5)
