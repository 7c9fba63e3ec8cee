"""Tokens per parameter at which scenarios are forecast under the law of size and data, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bayes_obscaling.checks import listed
from bayes_obscaling.data.dates import years_of
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import RATIO_CENTRE, Covariates, ratio_of
from bayes_obscaling.models.spec import SIZE_AND_DATA
from bayes_obscaling.results.remember import remembered
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario

if TYPE_CHECKING:
    from bayes_obscaling.results.fit import CapabilityFit
    from bayes_obscaling.results.posterior import Posterior

# Whose ratio is taken where a scenario says none.
ASSUMED = ("family's latest", "recent models'")
# Years before the latest release over which models are recent.
_RECENT = 1.0
# Decades of tokens per parameter outside all measured models from which forecasts are far.
FAR_RATIO = 0.5
# Factor by which FLOPs may differ from 6 N D.
MOST_OFF = 2.0


class Ratio(NamedTuple):
    """Tokens per parameter that a forecast reads.

    Attributes
    ----------
    tokens_per_param : float
        NaN where nobody published them, and under a law that does not read them.
    ratio_by : str
        Whose they are: of the ``model`` (in the table), the ``scenario``, or one of `ASSUMED`; else empty.
    ratio_distance : float
        Decades above (positive) or below all measured models.
    """

    tokens_per_param: float = float("nan")
    ratio_by: str = ""
    ratio_distance: float = 0.0


def check_sizes(law: str, scenario: Scenario) -> None:
    """Refuse a size or tokens beside FLOPs that a fit under this law does not read, or that contradict them."""
    is_sized = np.isfinite([scenario.params, scenario.tokens]).any()
    if law != SIZE_AND_DATA and np.isfinite(scenario.flops) and is_sized:
        raise InputError(
            f"The scenario '{scenario.name}' has FLOPs, and this fit reads nothing else of size and tokens",
            f"leave them out, or fit with --compute-law {SIZE_AND_DATA}",
        )
    share = scenario.flops / (6.0 * scenario.params * scenario.tokens)
    if not np.isnan(share) and not 1 / MOST_OFF <= share <= MOST_OFF:
        raise InputError(
            f"The scenario '{scenario.name}' has {share:.3g} times the FLOPs of 6 N D", "give two of the three"
        )


def with_ratio(posterior: Posterior, families: Sequence[str], x: Covariates, facts: Mapping[str, Any]) -> Covariates:
    """Covariates with tokens per parameter: as given, else usual ones of the family; as they are under another law."""
    if not _reads(posterior):
        return x
    unknown = np.full(np.shape(facts["flops"]), np.nan)
    given = ratio_of({"params": unknown, "tokens": unknown, **facts})
    usual = _usual(posterior)
    return x._replace(ratio=np.where(np.isnan(given), [usual[family][0] for family in families], given))


def ratios(fit: CapabilityFit, scenarios: Sequence[Scenario]) -> list[Ratio]:
    """Tokens per parameter that forecasts of scenarios read."""
    posterior = fit.posterior
    if not _reads(posterior):
        return [Ratio()] * len(scenarios)
    known = pd.Series(ratio_of(fit.table.models), index=fit.table.models.index)
    measured = known[posterior.measured].dropna()
    low, high = measured.min(), measured.max()

    def one(scenario: Scenario) -> Ratio:
        if scenario.is_known:
            value, whose = known[scenario.model], "model"
            if np.isnan(value):
                return Ratio()
        else:
            value, whose = np.log10(scenario.tokens_per_param) - RATIO_CENTRE, "scenario"
            if np.isnan(value):
                value, whose = _usual(posterior)[scenario.family]
        outside = max(value - high, 0.0) + min(value - low, 0.0)
        return Ratio(float(10.0 ** (value + RATIO_CENTRE)), whose, float(outside))

    return [one(scenario) for scenario in scenarios]


def assumed_ratios(about: pd.DataFrame) -> tuple[str, ...]:
    """Sentences about tokens per parameter that nobody gave; `about` has ``model, tokens_per_param, ratio_by``."""
    rows = about[about["ratio_by"].isin(ASSUMED)].drop_duplicates("model")
    return tuple(
        f"Tokens per parameter assumed, the {whose}: "
        f"{listed([f'{row.model} ({row.tokens_per_param:.3g})' for row in group.itertuples()], 3)}."
        for whose, group in rows.groupby("ratio_by", sort=False)
    )


def far_ratios(about: pd.DataFrame) -> list[str]:
    """Warnings about scenarios whose tokens per parameter no measured model comes near."""
    far = about[about["ratio_distance"].abs() > FAR_RATIO].drop_duplicates("model")
    return [
        f"{row.model} has {row.tokens_per_param:.3g} tokens per parameter, {abs(row.ratio_distance):.1f} decades "
        f"{'more' if row.ratio_distance > 0 else 'fewer'} than any measured model."
        for row in far.itertuples()
    ]


def _reads(posterior: Posterior) -> bool:
    return posterior.layout.structure.compute_law == SIZE_AND_DATA


@remembered
def _usual(posterior: Posterior) -> dict[str, tuple[float, str]]:
    """Ratio, as covariates have it, of a model to come of each family and of "new", and whose it is.

    The median over the latest release of the family's measured models; where none of theirs is known, and for a new
    family, over all measured models of the last year.
    """
    models = posterior.table.models
    facts = models[["family"]].assign(ratio=ratio_of(models), date=years_of(models["date"]))
    facts = facts[posterior.measured.to_numpy() & facts["ratio"].notna()].fillna({"date": -np.inf})
    recent = facts[facts["date"] >= facts["date"].max() - _RECENT]
    of_all = (float(recent["ratio"].median()) if len(recent) else 0.0, ASSUMED[1])
    latest = facts[facts["date"] == facts.groupby("family")["date"].transform("max")]
    own = {name: (float(value), ASSUMED[0]) for name, value in latest.groupby("family")["ratio"].median().items()}
    return {**dict.fromkeys((*posterior.layout.families, NEW_FAMILY), of_all), **own}
