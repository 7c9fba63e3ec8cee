"""Data and method on the page of a forecast: benchmarks, sources with licences, priors and what hangs on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.data.sources import sources_of
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.priors import Prior
from bayes_obscaling.pages.values import records, rounded
from bayes_obscaling.results.diagnostics.influence import asked_forecasts
from bayes_obscaling.results.diagnostics.priors import SENSITIVITY_LIMIT, prior_table, sensitivity_table
from bayes_obscaling.results.fit import CapabilityFit


def method(fit: CapabilityFit) -> dict[str, Any]:
    """Benchmarks and tasks, sources, priors with their posterior and what moves with them, the spec, the run."""
    priors, note = _priors(fit)
    return {
        "benchmarks": _benchmarks(fit),
        "sources": records(sources_of(fit.table).listed),
        "priors": priors,
        "priors_note": note,
        "spec": fit.spec.model_dump(mode="json", exclude={"priors"}),
        "provenance": {name: str(value) for name, value in fit.provenance.items()},
        "notes": list(dict.fromkeys((*fit.notes, *fit.table.notes))),
    }


def _benchmarks(fit: CapabilityFit) -> list[dict[str, Any]]:
    """One row per benchmark and task of the fit: what it is, how many scores it has, and how many the fit has seen."""
    facts, seen = fit.table.benchmarks, fit.posterior.seen.sum()
    counts = fit.table.scores["benchmark"].value_counts()
    return [
        {
            "name": name,
            "role": str(facts.at[name, "role"]),
            "about": str(facts.at[name, "description"] or facts.at[name, "category"]),
            "chance": rounded(fit.chance(name)),
            "items": rounded(facts.at[name, "n_items"]),
            "scores": int(counts.get(name, 0)),
            "seen": int(seen[name]),
        }
        for name in fit.posterior.names
    ]


def _priors(fit: CapabilityFit) -> tuple[list[dict[str, Any]], str]:
    """One row per prior that the fit uses: it, what came of it, and how far forecasts move with it; then a sentence."""
    table = prior_table(fit)
    moved, note = _sensitivity(fit)
    rows = []
    for name, group in table.groupby("prior", sort=False):
        low, high = group["median"].min(), group["median"].max()
        one = len(group) == 1
        rows.append(
            {
                "prior": str(name),
                "believed": in_words(getattr(fit.spec.priors, str(name))),
                "prior_90": _span(group["prior_q5"].iloc[0], group["prior_q95"].iloc[0]),
                "median": _number(low) if one else f"{_number(low)} to {_number(high)}",
                "posterior_90": _span(group["q5"].min(), group["q95"].max()),
                "parameters": len(group),
                "learned": rounded(max(0.0, float(group["shrinkage"].median()))),
                **moved.get(str(name), {"sensitivity": None, "forecast": ""}),
            }
        )
    return rows, note


def _sensitivity(fit: CapabilityFit) -> tuple[dict[str, dict[str, Any]], str]:
    """How far the forecast that moves most moves with each prior, and a sentence about all of them."""
    if fit.layout.structure.is_sparse:
        return {}, "How far forecasts move with single priors is not computed for sparse tables."
    try:
        table = sensitivity_table(fit, asked_forecasts(fit))
    except (InputError, ValueError) as error:
        return {}, f"How far forecasts move with single priors was not computed: {error}"
    priors = table[table["component"] == "prior"].set_index("name")
    found = {
        str(name): {"sensitivity": rounded(row["sensitivity"]), "forecast": str(row["forecast"])}
        for name, row in priors.iterrows()
    }
    together = priors["sensitivity"].get("all priors", np.nan)
    data = table.loc[table["component"] == "likelihood", "sensitivity"].max()
    return found, (
        f"Sensitivity: by how much the forecast that moves most would change with the prior (power-scaling; "
        f"{SENSITIVITY_LIMIT} is noticeable). All priors together {together:.2f}, the scores {data:.2f}."
    )


def in_words(prior: Prior) -> str:
    """A prior as its kind and numbers: "lognormal, median 0.5, log sd 0.5"."""

    def written(value: float | tuple[float, ...]) -> str:
        return " ".join(f"{one:.3g}" for one in value) if isinstance(value, tuple) else f"{value:g}"

    numbers = ", ".join(f"{name.replace('_', ' ')} {written(value)}" for name, value in prior.model_dump().items())
    kind = {"LogNormal": "lognormal", "HalfNormal": "half-normal"}.get(type(prior).__name__, type(prior).__name__)
    return f"{kind.lower() if kind != 'Beta' else kind}, {numbers}"


def _span(low: float, high: float) -> str:
    return f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
