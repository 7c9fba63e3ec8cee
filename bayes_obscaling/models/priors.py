"""Priors: one named field a prior, as numbers that mean something to a reader."""

from __future__ import annotations

import difflib
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator

from bayes_obscaling.errors import InputError


class Frozen(BaseModel):
    """An immutable set of named settings that refuses names it does not know and says which it does."""

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


class Normal(Frozen):
    """Normal prior with mean `loc` and standard deviation `scale`."""

    loc: float
    scale: float


class LogNormal(Frozen):
    """Lognormal prior given by its median and the standard deviation of its logarithm."""

    median: float
    log_sd: float


class HalfNormal(Frozen):
    """Half-normal prior with the given scale."""

    scale: float


class Beta(Frozen):
    """Beta prior with shapes `a` and `b`."""

    a: float
    b: float


# Fields that only the task heads read: a measurement fit does not depend on them.
HEAD_PRIORS = (
    "share_mean", "share_sd", "contrast_sd", "steepness", "steepness_sd", "task_difficulty", "task_ceiling_gap",
    "task_overdispersion", "task_family_offset_sd",
)  # fmt: skip


class Priors(Frozen):
    """Every prior of the capability model.

    Compute enters as ``x = log10(FLOPs) - 22.5``: intercepts are capabilities at 3.2e22 FLOPs and slopes are
    capability (logits of the anchor benchmark) a decade. Scales are lognormal: half-normal ones make funnels.
    """

    # Family efficiency: theta_mk ~ N(a_fk + b_fk x_m, residual_sd_k)
    intercept_mean: Normal = Normal(loc=0.0, scale=2.0)
    intercept_sd: LogNormal = LogNormal(median=1.0, log_sd=0.5)
    slope_mean: Normal = Normal(loc=1.0, scale=0.7)
    slope_sd: LogNormal = LogNormal(median=0.2, log_sd=0.5)
    residual_sd: LogNormal = LogNormal(median=0.25, log_sd=0.5)
    curvature: Normal = Normal(loc=0.0, scale=0.2)
    unknown_compute: Normal = Normal(loc=0.5, scale=1.0)
    # Measurement: benchmark scores given capabilities
    loading: HalfNormal = HalfNormal(scale=1.0)
    signed_loading: Normal = Normal(loc=0.0, scale=1.0)
    difficulty: Normal = Normal(loc=0.0, scale=2.0)
    ceiling_gap: Beta = Beta(a=1.0, b=20.0)
    overdispersion: LogNormal = LogNormal(median=0.05, log_sd=0.7)
    family_offset_sd: LogNormal = LogNormal(median=0.2, log_sd=0.4)
    # Task heads: task scores given capabilities, pooled over tasks
    share_mean: Normal = Normal(loc=0.0, scale=1.0)
    share_sd: LogNormal = LogNormal(median=0.5, log_sd=0.5)
    contrast_sd: LogNormal = LogNormal(median=0.1, log_sd=0.5)
    steepness: LogNormal = LogNormal(median=2.0, log_sd=0.25)
    steepness_sd: LogNormal = LogNormal(median=0.3, log_sd=0.5)
    task_difficulty: Normal = Normal(loc=-2.0, scale=3.0)
    task_ceiling_gap: HalfNormal = HalfNormal(scale=0.01)
    task_overdispersion: LogNormal = LogNormal(median=0.05, log_sd=0.7)
    task_family_offset_sd: LogNormal = LogNormal(median=0.3, log_sd=0.5)
