"""The release dates at which scenarios are forecast, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from bayes_obscaling.checks import listed
from bayes_obscaling.data.dates import date_at, years_of
from bayes_obscaling.errors import InputError
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario, facts_of

if TYPE_CHECKING:
    from bayes_obscaling.results.fit import CapabilityFit

# Dates that nobody gave: those of a scenario, then those of a model of the table.
ASSUMED = ("family's latest", "latest of all", "latest family's", "family's mean", "middle of all")


class Release(NamedTuple):
    """When a model comes out, as far as its forecast knows.

    Attributes
    ----------
    date : str
        YYYY-MM-DD; empty where the fit has no drift, which reads none.
    dated_by : str
        Whose it is: of the ``model`` (in the table), the ``scenario``, the ``family`` (which has one date with
        ``drift="family"``), or one of `ASSUMED`.
    """

    date: str = ""
    dated_by: str = ""


def check_drift(drift: str, family: str = NEW_FAMILY) -> None:
    """Refuse a date that no fit with this drift, or none of its forecasts of this family, would read."""
    if drift == "none":
        remedy = "fit a table with release dates and the default drift"
        raise InputError("A fit without a drift knows no dates", remedy)
    if drift == "family" and family != NEW_FAMILY:
        remedy = "ask for the family 'new', or fit with --drift model, in Python CapabilitySpec(drift='model')"
        raise InputError(f"With drift='family', {family} has one date, the mean of its releases", remedy)


def releases(fit: CapabilityFit, scenarios: Sequence[Scenario]) -> list[Release]:
    """Release dates that forecasts of scenarios read; empty ones without a drift. `check_drift` comes first."""
    if fit.drift == "none":
        return [Release()] * len(scenarios)
    models, is_shared = fit.table.models, fit.drift == "family"
    dated_families = set(models.loc[models["date"] != "", "family"])
    years = dict(zip(fit.layout.models, np.asarray(fit.layout.measurements[0].covariates.date), strict=True))

    def of_model(name: str) -> Release:
        date, family = date_at(years[name]), models.at[name, "family"]
        if family not in dated_families:
            return Release(date, "middle of all")
        if is_shared:
            return Release(date, "family")
        return Release(date, "model" if models.at[name, "date"] else "family's mean")

    def of_scenario(scenario: Scenario) -> Release:
        x = fit.posterior.covariates(scenario.family, facts_of([scenario]))
        date = date_at(np.asarray(x.date).item())
        if scenario.date:
            return Release(date, "scenario")
        if scenario.family == NEW_FAMILY:
            return Release(date, "latest family's" if is_shared else "latest of all")
        if scenario.family not in dated_families:
            return Release(date, "middle of all")
        return Release(date, "family" if is_shared else "family's latest")

    return [of_model(one.model) if one.is_known else of_scenario(one) for one in scenarios]


def release_of_newcomer(fit: CapabilityFit, family: str, date: str) -> Release:
    """Release date that is read of a model which joins the table of a fit, by the rule for models that are in it.

    Without a date of its own (""), that is the mean of its family's, or where there is none the middle one of all.
    """
    if fit.drift == "none":
        return Release()
    models = fit.table.models
    dates = years_of(models["date"])
    of_family = dates[(models["family"] == family).to_numpy() & np.isfinite(dates)]
    if len(of_family) and fit.drift == "family":
        return Release(date_at(of_family.mean()), "family")
    if date:
        return Release(date, "model")
    if len(of_family):
        return Release(date_at(of_family.mean()), "family's mean")
    return Release(date_at(np.nanmedian(dates)), "middle of all")


def release_date(fit: CapabilityFit, family: str, date: str = "") -> str:
    """Release date, YYYY-MM-DD, that is read of a model to come of a family; empty without a drift."""
    return releases(fit, [Scenario(family=family, flops=1.0, date=date)])[0].date


def released(date: str) -> str:
    """Words that say a release date behind the name of a model; none without one."""
    return date and f" (released on {date})"


def assumed_dates(about: pd.DataFrame) -> tuple[str, ...]:
    """Sentences about the dates of forecasts that nobody gave; `about` has ``model, date, dated_by``."""
    rows = about[about["dated_by"].isin(ASSUMED)].drop_duplicates("model")
    names = rows["model"] + " (" + rows["date"] + ")"
    return tuple(
        f"Release date assumed, the {whose}: {listed(list(group), 3)}."
        for whose, group in names.groupby(rows["dated_by"], sort=False)
    )
