"""Single models on the page of a forecast: each score observed or forecast, its capabilities, and its compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.analyses.anomalies import anomalies
from bayes_obscaling.data.sources import sources_of
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import COMPUTE_CENTRE
from bayes_obscaling.models.cells import reasons
from bayes_obscaling.pages.values import packed, rounded
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.scenario import Scenario

# Cells, of models by benchmarks and tasks, that the section has room for.
MOST_CELLS = 20_000
# Models whose scores are drawn at once: all of them would not fit into memory.
_AT_ONCE = 8
# Quantiles of a new evaluation and of a capability, per cent: q5, q25, median, q75, q95.
_PERCENTS = (5, 25, 50, 75, 95)


def single_models(fit: CapabilityFit, first: Sequence[str]) -> dict[str, Any]:
    """Every model of the table, `first` ones first, the latest before others, as many as there is room for.

    Returns
    -------
    dict
        ``names`` of the benchmarks and tasks; ``models``, of each its facts, ``compute`` (q5, median and q95 of what
        nobody published, or what is stated), ``capabilities`` (a list of quantiles for each of ``factors``, in standard
        deviations of the table's models), ``quantiles`` (five for each name, packed) and ``observed``, a list for
        each score: position of the name, thousandths, standard error of its items (thousandths), seen by the fit,
        setting, position in ``sources``, mark. ``marks_note`` says what marks mean, or why there are none.
    """
    names, facts = list(fit.posterior.names), fit.table.models
    latest = facts["date"].sort_values(ascending=False, kind="stable").index
    wanted = [*(model for model in latest if model in set(first)), *(model for model in latest if model not in first)]
    models = wanted[: max(1, MOST_CELLS // len(names))]
    marks, note = _marks(fit)
    observed, sources = _observed(fit, models, names, marks)
    quantiles, abilities = _quantiles(fit, models, names), _capabilities(fit, models)
    compute, reasoning = _compute(fit), reasons(fit.table)
    found = [
        {
            "model": model,
            **{name: str(facts.at[model, name]) for name in ("family", "date", "provider", "open_weights")},
            "reasoning": reasoning_of(fit, reasoning)[model],
            "flops": rounded(facts.at[model, "flops"]),
            "flops_sd": rounded(facts.at[model, "flops_sd"]),
            "compute": compute.get(model),
            "capabilities": abilities[i],
            "observed": observed[model],
            "quantiles": quantiles[i],
        }
        for i, model in enumerate(models)
    ]
    total = len(facts)
    left = "" if len(found) == total else f"{len(found)} of {total} models: the page has no room for more."
    return {
        "names": names,
        "factors": list(fit.layout.factors),
        "models": found,
        "sources": sources,
        "marks_note": note,
        "models_note": left,
    }


def reasoning_of(fit: CapabilityFit, reasoning: pd.Series) -> dict[str, str]:
    """Whether each model was scored with reasoning ("yes") or only without ("no"); "" where nobody said."""
    said = set(fit.table.scores.dropna(subset="reasoning")["model"])
    return {str(model): "yes" if value else "no" if model in said else "" for model, value in reasoning.items()}


def _marks(fit: CapabilityFit) -> tuple[dict[tuple[str, str], str], str]:
    """Scores that are flagged, by model and benchmark, and what marks mean, or why there are none."""
    try:
        found = anomalies(fit)
    except InputError as error:
        return {}, f"No score is marked as too good or too bad: {error}"
    table = found.table[found.table["kind"] == "score"]
    flagged = table[table["flag"] != ""]
    rows = flagged[["model", "benchmark", "flag", "basis"]].itertuples(index=False)
    count = f"{len(flagged)} of the {len(table)} scores of all models are" if len(flagged) else "No score is"
    note = (
        f"Too good, too bad: {count} marked so. Each is compared with its prediction from all the other ones "
        "(leave-one-out, by reweighting draws; unreliable where few draws have all the weight), and of the marks "
        f"{100 * found.false_flags:.0f} % may be false (false discovery rate). A mark is a question, not a verdict."
    )
    return {(row.model, row.benchmark): f"{row.flag} ({row.basis})" for row in rows}, note


def _observed(
    fit: CapabilityFit, models: list[str], names: list[str], marks: dict[tuple[str, str], str]
) -> tuple[dict[str, list[list[Any]]], list[list[str]]]:
    """Scores of each model, and the sources that they refer to: text and address."""
    table, at = fit.table, {name: j for j, name in enumerate(names)}
    items, seen = table.item_counts(names), fit.posterior.seen
    origins = sources_of(table).cells.set_index(["model", "benchmark"])
    found: dict[str, list[list[Any]]] = {model: [] for model in models}
    listed: dict[tuple[str, str], int] = {}
    chosen = table.scores[table.scores["model"].isin(models) & table.scores["benchmark"].isin(names)]
    for row in chosen.itertuples():
        n = items.at[row.model, row.benchmark]
        error = float(np.sqrt(row.score * (1 - row.score) / n)) if n > 0 and 0 < row.score < 1 else None
        title, kind, address = origins.loc[(row.model, row.benchmark)]
        short = title.partition(" (")[0].partition(",")[0]
        text = f"{kind.replace('_', ' ')} ({short})" if kind else short
        source = listed.setdefault((text, address), len(listed))
        found[row.model].append(
            [
                at[row.benchmark],
                round(1000 * row.score, 1),
                None if error is None else round(1000 * error, 1),
                int(seen.at[row.model, row.benchmark]),
                _setting(row.setting, row.reasoning),
                source,
                marks.get((row.model, row.benchmark), ""),
            ]
        )
    return found, [list(pair) for pair in listed]


def _setting(setting: str, reasoning: float) -> str:
    if setting == "none" or (not setting and reasoning == 0.0):
        return "no reasoning"
    return f"{setting} effort" if setting and not setting[0].isdigit() else setting or "reasoning" * (reasoning == 1.0)


def _quantiles(fit: CapabilityFit, models: list[str], names: list[str]) -> list[str]:
    """Quantiles of new evaluations, model by model: five for each name, one after the other."""
    found: list[str] = []
    for start in range(0, len(models), _AT_ONCE):
        asked = [Scenario(model=model) for model in models[start : start + _AT_ONCE]]
        _, draws = fit.posterior.scores(asked, names)
        ranked = np.percentile(draws, _PERCENTS, axis=0)
        found += packed(np.moveaxis(ranked, 0, -1).reshape(len(asked), -1))
    return found


def _capabilities(fit: CapabilityFit, models: list[str]) -> list[list[list[float]]]:
    """Quantiles of the capabilities of models, in standard deviations of the table's models around their mean."""
    theta = fit.posterior.measurement(fit.posterior.complete)["theta"]
    middle = np.median(theta, axis=0)
    at = [fit.layout.models.index(model) for model in models]
    scaled = (theta[:, at] - middle.mean(axis=0)) / middle.std(axis=0)
    quantiles: list[list[list[float]]] = np.moveaxis(np.percentile(scaled, _PERCENTS, axis=0), 0, -1).round(2).tolist()
    return quantiles


def _compute(fit: CapabilityFit) -> dict[str, list[float]]:
    """Posterior of the compute of each model that nobody published: q5, median and q95 of FLOPs."""
    at = list(fit.layout.structure.unknown_compute)
    if not at:
        return {}
    draws = fit.posterior.measurement(fit.posterior.complete)["compute"][:, at] + COMPUTE_CENTRE
    found = 10.0 ** np.percentile(draws, (5, 50, 95), axis=0).T
    return {fit.layout.models[i]: [rounded(value) for value in row] for i, row in zip(at, found, strict=True)}
