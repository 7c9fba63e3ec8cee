"""What is believed of scores, and the sizes and switches that a compiled sampler depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from pydantic import Field

from bayes_obscaling.models.priors import Frozen, LogNormal, Normal, Priors

if TYPE_CHECKING:
    from bayes_obscaling.data.table import ScoreTable

# A table of so many benchmarks, of whose cells less than this share is filled, is sparse.
_MANY_BENCHMARKS, _SPARSE_SHARE = 20, 0.35
# The law of compute that reads tokens per parameter.
SIZE_AND_DATA = "size-and-data"


class CapabilitySpec(Frozen):
    """What is believed about scores: one immutable object, saved with every fit as JSON.

    Attributes
    ----------
    n_factors : int
        Number K of latent capabilities.
    anchors : tuple of str
        Benchmarks that identify the factors, in order: factor k is the logit scale of anchor k.
    compute_law : {"log-linear", "box-cox", "size-and-data"}
        Law of capability in log10 compute inside a family; "box-cox" adds a curvature per factor, h = 0 being linear;
        "size-and-data" adds what tokens per parameter are worth at equal compute, a number per factor, 0 being nothing.
    curve : {"logistic", "asymmetric"}
        Response curve of benchmarks that have a ceiling; "asymmetric" has a free shape, see `asymmetric_share`.
    task_curve : {"logistic", "asymmetric"}
        The same of tasks; every task has a shape of its own, which its prior centres near the logistic curve's.
    drift : {"none", "family", "model", "line", "walk"}
        Whether efficiency grows with the date at which a family (the mean of its releases) or each model came out;
        "line": with that of each model, and each family has a drift of its own; "walk": as "line", and beside its
        steady drift the efficiency of all walks at random, inside the data too.
    unknown_compute : {"prior", "trend"}
        What is believed of compute that nobody published: one prior for all models, or a trend in the date of release
        from which families and models are off, learned from those whose compute is known.
    cells : {"dense", "sparse"}
        Whether most models have scores on most benchmarks, or most cells of the table are empty: then benchmarks teach
        each other how hard and how steep they are, scores in several settings count, and families have no offsets.
    benchmark_drift : {"none", "category"}
        Whether scores on a benchmark of a sparse table may gain with the release date what the capabilities do not
        explain; "category": each benchmark has a trend of its own, around that of all of its category.
    drift_walk : float
        Decades of compute by which efficiency may wander from a steady drift in the first year after all that was seen,
        one sd; it grows with the square root of time. Forecasts alone read it, and ``drift="walk"`` in every year.
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
    compute_law: Literal["log-linear", "box-cox", "size-and-data"] = "log-linear"
    curve: Literal["logistic", "asymmetric"] = "asymmetric"
    task_curve: Literal["logistic", "asymmetric"] = "asymmetric"
    drift: Literal["none", "family", "model", "line", "walk"] = "family"
    unknown_compute: Literal["prior", "trend"] = "prior"
    cells: Literal["dense", "sparse"] = "dense"
    benchmark_drift: Literal["none", "category"] = "none"
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
        return cls(
            **{
                "curve": "logistic",
                "task_curve": "logistic",
                "drift": "none",
                "line_walk": 0.0,
                "priors": priors,
                **changes,
            }
        )

    @classmethod
    def frontier(cls, **changes: Any) -> Self:
        """Return the model for sparse tables of models whose compute is often a secret and whose dates are known.

        Parameters
        ----------
        **changes
            Other fields.
        """
        priors = Priors(
            asymmetry=LogNormal(median=0.6, log_sd=0.4),
            drift=LogNormal(median=0.8, log_sd=0.6),
            intercept_sd=LogNormal(median=0.5, log_sd=0.5),
            residual_sd=LogNormal(median=0.2, log_sd=0.5),
        )
        chosen = {
            "n_factors": 2,
            "anchors": ("otis_mock_aime", "simpleqa_verified"),
            "drift": "line",
            "unknown_compute": "trend",
            "cells": "sparse",
            "benchmark_drift": "category",
            "priors": priors,
        }
        return cls(**{**chosen, **changes})


def spec_for(table: ScoreTable) -> CapabilitySpec:
    """Return the spec that a table is fitted with unless one is named: `frontier` where most cells are empty."""
    names = table.benchmark_names
    cells = len(table.models) * len(names)
    filled = table.scores["benchmark"].isin(names).sum()
    is_sparse = len(names) >= _MANY_BENCHMARKS and filled < _SPARSE_SHARE * cells
    return CapabilitySpec.frontier() if is_sparse else CapabilitySpec()


# From so many families on, coordinates follow the scores (see `bayes_obscaling.models.whitened`): with hundreds of
# families, most of one model, chains hardly move the scales otherwise. With few that does not pay: a gradient costs
# more.
MANY_FAMILIES = 60


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
    inexact_compute: tuple[int, ...] = ()
    compute_trend: bool = False
    is_sparse: bool = False
    unknown_chance: tuple[int, ...] = ()
    unknown_task_chance: tuple[int, ...] = ()
    unknown_ratio: tuple[int, ...] = ()
    drifting: tuple[int, ...] = ()  # number of the category of each benchmark, where benchmarks drift

    @property
    def has_many_families(self) -> bool:
        """Whether lines, capabilities and offsets are sampled in coordinates that follow the scores."""
        return self.n_families >= MANY_FAMILIES and not self.is_sparse

    @property
    def families_drift(self) -> bool:
        """Whether families have a drift of their own."""
        return self.drift in ("line", "walk")

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


def _without(size: int, *taken: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(i for i in range(size) if all(i not in group for group in taken))
