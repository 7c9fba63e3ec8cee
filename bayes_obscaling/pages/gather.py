"""What the page of a forecast shows, gathered as plain values that JSON can hold; nothing here knows of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling import __version__
from bayes_obscaling.models.capability_equations import COMPUTE_CENTRE
from bayes_obscaling.pages.fans import fans
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import Forecast, forecast
from bayes_obscaling.results.scenario import Scenario

# Levels of the quantiles from which a page works out the probability of reaching a score, per cent.
PERCENTS = np.arange(1, 100)
# Cells, of models by benchmarks and tasks, that the section on single models holds.
_MOST_CELLS = 1500
# Intervals of the table, and the columns that bound them.
INTERVALS = {"50 %": ("q25", "q75"), "80 %": ("q10", "q90"), "90 %": ("q5", "q95")}


def gather(answer: Forecast, family: str) -> dict[str, Any]:
    """Return everything that the page of a forecast shows.

    Parameters
    ----------
    answer : Forecast
        Of a capability fit.
    family : str
        Whose expected scores are followed along compute and release date; "new" is a family never seen.
    """
    fit = answer.fit
    rows = forecast_rows(answer)
    tasks = list(dict.fromkeys(rows["task"]))
    kept = answer.to_dataframe()
    return {
        **header(answer, rows),
        "tasks": [task_facts(fit, task) for task in tasks],
        "rows": records(rows),
        "points": records(score_points(fit, tasks)),
        **fans(fit, tasks, family),
        "models": model_cells(fit, list(dict.fromkeys(rows.loc[rows["is_known"], "name"]))),
        "notes": list(dict.fromkeys((*fit.notes, *fit.table.notes))),
        "spec": fit.spec.model_dump(mode="json"),
        "provenance": {name: str(value) for name, value in fit.provenance.items()},
        "csv": kept.to_csv(index=False, float_format="%.6g"),
    }


def header(answer: Forecast, rows: pd.DataFrame) -> dict[str, Any]:
    """The question, what it was asked of, the sampler's verdict, and the answers in words."""
    fit = answer.fit
    tasks, models = list(dict.fromkeys(rows["task"])), rows["model"].nunique()
    dates = [date for date in fit.table.models["date"] if date]
    what = ", ".join(tasks) if len(tasks) < 4 else f"{len(tasks)} tasks and benchmarks"
    scored = rows[rows["observed"].notna() & ~rows["seen"]]
    checked = []
    if len(scored):
        inside = ", ".join(
            f"{int(scored['observed'].between(scored[low], scored[high]).sum())} in the {level} intervals"
            for level, (low, high) in INTERVALS.items()
        )
        checked = [f"Of {len(scored)} observed scores that the fit has not seen lie {inside}."]
    latest = f", the latest of {max(dates)}" if dates else ", without release dates"
    return {
        "kind": "forecast",
        "title": f"Forecast of {what}",
        "question": f"What will {models} model{'s' * (models != 1)} score on {what}?",
        "table": f"{len(fit.table.models)} models of {len(fit.table.families)} families{latest}",
        "hidden": f"{len(fit.split.held_out)} models ({fit.split.name})" if fit.split.held_out else "no score",
        "version": __version__,
        "verdict": answer.verdict,
        "numbers": answer.convergence.numbers,
        "problems": list(answer.problems),
        "sentences": [*answer.sentences, *checked],
    }


def task_facts(fit: CapabilityFit, task: str) -> dict[str, Any]:
    """A task's name, the score of guessing, the best score that the fit has seen, and whose it is."""
    scores = fit.table.matrix([task])[task].where(fit.posterior.seen[task]).dropna()
    best = {} if scores.empty else {"best": round(float(scores.max()), 4), "best_model": str(scores.idxmax())}
    return {"name": task, "chance": _rounded(fit.table.chance(task)), "best": None, "best_model": "", **best}


def forecast_rows(answer: Forecast) -> pd.DataFrame:
    """One row per model and task: `Forecast.to_dataframe`, the chance to beat the best score seen, and quantiles.

    Columns besides: ``name`` of the model in the table, ``is_known`` there, ``own`` (of the user's table), ``best``,
    ``p_best``, ``flops_text``, and ``quantiles``, thousandths at `PERCENTS`.
    """
    fit, flat = answer.fit, answer.flat
    rows = answer.to_dataframe().reset_index(drop=True)
    models = fit.table.models
    names = rows["model"].str.replace(r", [^,]+ effort$", "", regex=True)
    rows["name"] = names
    rows["is_known"] = names.isin(models.index)
    rows["own"] = names.isin(models.index[models["cohort"] == "user"])
    rows["own"] &= not rows["own"].all()  # marked among others only
    # the release date by which a reader knows a model, whether or not the fit has read it
    rows["date"] = rows["date"].where(rows["date"] != "", names.map(models["date"]).fillna(""))
    best = {task: task_facts(fit, task)["best"] for task in rows["task"].unique()}
    rows["best"] = rows["task"].map(best).astype(float)
    beats = (flat > rows["best"].to_numpy()).mean(axis=0)
    rows["p_best"] = np.where(rows["best"].notna() & ~rows["seen"], beats, np.nan)
    rows["flops_text"] = [
        f"{known:.2g}" if known == known else f"~{latent:.2g}" if latent == latent else ""
        for known, latent in zip(rows["flops"], rows["latent_flops"], strict=True)
    ]
    rows["quantiles"] = thousandths(np.percentile(flat, PERCENTS, axis=0).T)
    return rows


def score_points(fit: CapabilityFit, tasks: Sequence[str]) -> pd.DataFrame:
    """Every observed score on the tasks: ``task, model, family, flops, date, observed, seen``.

    Where compute is not public, ``flops`` is the posterior median, between ``flops_low`` and ``flops_high`` (90 %).
    """
    facts = fit.table.models[["family", "flops", "date"]].assign(flops_low=np.nan, flops_high=np.nan)
    if at := list(fit.layout.structure.unknown_compute):
        compute = fit.posterior.measurement(fit.posterior.complete)["compute"][:, at] + COMPUTE_CENTRE
        low, middle, high = 10.0 ** np.percentile(compute, (5, 50, 95), axis=0)
        facts.loc[[fit.layout.models[i] for i in at], ["flops", "flops_low", "flops_high"]] = np.c_[middle, low, high]
    observed = fit.table.matrix(tasks)
    parts = []
    for task in tasks:
        scores = observed[task].dropna()
        seen = fit.posterior.seen[task].reindex(scores.index, fill_value=False)
        part = facts.loc[scores.index].assign(observed=scores, seen=seen, task=task)
        parts.append(part.rename_axis("model").reset_index())
    return pd.concat(parts, ignore_index=True)


def model_cells(fit: CapabilityFit, models: Sequence[str]) -> list[dict[str, Any]]:
    """Models, and every score of theirs, observed or forecast: as many models as a page has room for.

    ``cells`` has a list for each benchmark and task of the fit: name, score observed, whether the fit has seen it, and
    q5, q25, median, q75, q95 of a new evaluation.
    """
    names = list(fit.posterior.names)
    models = models[: max(1, _MOST_CELLS // len(names))]
    if not models:
        return []
    drawn = forecast(fit, [Scenario(model=model) for model in models], tasks=names)
    table = drawn.to_dataframe()
    columns = ["task", "observed", "seen", "q5", "q25", "median", "q75", "q95"]
    facts, found = fit.table.models, []
    for model, rows in table.groupby("model", sort=False):
        cells = rows[columns].astype(object).where(rows[columns].notna(), None).to_numpy().tolist()
        about = {name: str(facts.at[model, name]) for name in ("family", "date", "provider") if facts.at[model, name]}
        found.append({"model": str(model), **about, "cells": [[_rounded(value) for value in cell] for cell in cells]})
    return found


def thousandths(values: np.ndarray) -> list[list[int]]:
    """Scores as whole thousandths, which take little room."""
    return np.rint(1000 * values).astype(int).tolist()


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as JSON-able values: few digits, None for what is missing."""
    return [
        {str(name): _rounded(value) for name, value in row.items()} for row in table.astype(object).to_dict("records")
    ]


def _rounded(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.5g}") if np.isfinite(value) else None
    return value
