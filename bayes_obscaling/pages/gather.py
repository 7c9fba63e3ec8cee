"""What the page of a forecast shows, gathered as plain values that JSON can hold; nothing here knows of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.checks import counted
from bayes_obscaling.models.capability_equations import COMPUTE_CENTRE
from bayes_obscaling.models.cells import reasons
from bayes_obscaling.pages.fans import fan
from bayes_obscaling.pages.method import method
from bayes_obscaling.pages.room import choose, known_name
from bayes_obscaling.pages.single import reasoning_of, single_models
from bayes_obscaling.pages.values import packed, records, rounded
from bayes_obscaling.results.fans import families_to_follow
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import Forecast
from bayes_obscaling.results.scenario import NEW_FAMILY

# Levels of the quantiles from which a page works out the probability of reaching a score, per cent.
PERCENTS = np.arange(1, 100)
# Intervals of the table, and the columns that bound them.
INTERVALS = {"50 %": ("q25", "q75"), "80 %": ("q10", "q90"), "90 %": ("q5", "q95")}
# Forecasts that are put into words at the top, and warnings that are not folded away.
_MOST_SENTENCES = 6
# What the page reads of a forecast.
_FORECAST = ["model", "task", "family", "flops", "latent_flops", "date", "basis", "observed", "seen", "distance"]
_FORECAST += ["months_ahead", "family_models", "median", "q2.5", "q5", "q10", "q25", "q75", "q90", "q95", "q97.5"]
_FORECAST += ["name", "is_known", "own", "open_weights", "reasoning", "scores", "p_best", "flops_text", "quantiles"]


def gather(answer: Forecast, family: str = "", notes: Sequence[str] = ()) -> dict[str, Any]:
    """Return everything that the page of a forecast shows.

    Parameters
    ----------
    answer : Forecast
        Of a capability fit; as many of its forecasts are shown as there is room for.
    family : str
        Whose expected scores are followed first along compute and release date; default those of the models to come.
    notes : sequence of str
        What else a reader should know.
    """
    fit, about = answer.fit, answer.about
    chosen = choose(fit, about["model"], about["task"])
    at = np.flatnonzero(about["model"].isin(chosen.models) & about["task"].isin(chosen.tasks))
    rows = forecast_rows(answer, at)
    coming = rows.loc[~rows["is_known"], "family"]
    coming = coming.where(coming.isin(fit.layout.families), NEW_FAMILY)  # that of a scored model may be unseen
    followed = families_to_follow(fit, [family] if family else list(coming), len(chosen.tasks))
    table = answer.to_dataframe().iloc[at]
    return {
        **header(answer, rows),
        "notes": [*notes, *chosen.notes],
        "tasks": [task_facts(fit, task) for task in chosen.tasks],
        "rows": records(rows[_FORECAST]),
        "points": records(score_points(fit, chosen.tasks)),
        "fans": [fan(fit, chosen.tasks, one) for one in followed],
        "single": single_models(fit, list(dict.fromkeys(rows.loc[rows["is_known"], "name"]))),
        "method": method(fit),
        "csv": table.to_csv(index=False, float_format="%.5g", lineterminator="\n"),
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
    latest = f", the latest released on {max(dates)}" if dates else ", without release dates"
    return {
        "kind": "forecast",
        "title": f"Forecast of {what}",
        "question": f"What will {counted(models, 'model')} score on {what}?",
        "table": f"{len(fit.table.models)} models of {len(fit.table.families)} families{latest}",
        "hidden": f"{counted(len(fit.split.held_out), 'model')} ({fit.split.name})"
        if fit.split.held_out
        else "no score",
        "made": str(fit.provenance.get("created", ""))[:10],
        "version": version("bayes_obscaling"),
        "verdict": answer.verdict,
        "numbers": answer.convergence.numbers,
        "problems": list(answer.problems),
        "sentences": [*_answers(rows), *checked],
        "warnings": [*answer.own_notes, *dict.fromkeys(answer.warnings)],
    }


def _answers(rows: pd.DataFrame) -> list[str]:
    """Forecasts in words: those of models to come, then of the user's own, then of the highest median."""
    new = rows[~rows["seen"]].sort_values(["is_known", "own", "median"], ascending=[True, False, False], kind="stable")
    sentences = []
    for row in new.head(_MOST_SENTENCES).to_dict("records"):
        beats = "" if row["p_best"] != row["p_best"] else f"; {_chance(row['p_best'])} to beat the best score so far"
        sentences.append(
            f"{row['model']} on {row['task']}: median {row['median']:.3f}, 90\u00a0% interval {row['q5']:.3f} to "
            f"{row['q95']:.3f}{beats}."
        )
    return sentences


def _chance(p: float) -> str:
    return "less than 1\u00a0%" if p < 0.01 else "more than 99\u00a0%" if p > 0.99 else f"{100 * p:.0f}\u00a0%"


def task_facts(fit: CapabilityFit, task: str) -> dict[str, Any]:
    """A task's name, guessing score and ceiling, the best score that the fit has seen, and whose it is.

    ``ceiling`` is the posterior median of the highest expected score, between ``ceiling_low`` and ``ceiling_high`` (90
    %); None for a score without one.
    """
    scores = fit.table.matrix([task])[task].where(fit.posterior.seen[task]).dropna()
    best = {} if scores.empty else {"best": round(float(scores.max()), 4), "best_model": str(scores.idxmax())}
    chance = fit.chance(task)
    found = {"name": task, "chance": rounded(chance), "n_seen": len(scores), "best": None, "best_model": "", **best}
    ceiling = dict.fromkeys(("ceiling_low", "ceiling", "ceiling_high"))
    if fit.table.benchmarks.at[task, "has_ceiling"]:
        posterior = fit.posterior
        if posterior.has_head(task):
            gap = posterior.heads["task_ceiling_gap"][:, posterior.layout.tasks.index(task)]
        else:
            p = posterior.measurement(posterior.predictors_of(task))
            gap = p["ceiling_gap"][:, posterior.layout.benchmarks.index(task)]
        top = np.percentile(chance + (1 - chance) * (1 - gap), (5, 50, 95))
        ceiling = dict(zip(ceiling, (rounded(value) for value in top), strict=True))
    return {**found, **ceiling}


def forecast_rows(answer: Forecast, at: np.ndarray) -> pd.DataFrame:
    """One row per model and task at some positions: `Forecast.to_dataframe`, and what a page says besides.

    Columns besides: ``name`` of the model in the table, ``is_known`` there, ``own`` (of the user's table),
    ``open_weights``, ``reasoning``, ``scores`` (own ones that the fit has seen and the forecast reads), ``p_best`` (the
    chance to beat the best score seen), ``flops_text``, and ``quantiles`` at `PERCENTS`, packed.
    """
    fit, flat = answer.fit, answer.flat[:, at]
    rows = answer.to_dataframe().iloc[at].reset_index(drop=True)
    models = fit.table.models
    names = rows["model"].map(known_name)
    rows["name"] = names
    rows["is_known"] = names.isin(models.index)
    rows["own"] = names.isin(models.index[models["cohort"] == "user"])
    rows["own"] &= not rows.loc[rows["is_known"], "own"].all()  # marked among others only
    # the release date by which a reader knows a model, whether or not the fit has read it
    known = models["date"].to_dict()
    rows["date"] = [date or known.get(name, "") for date, name in zip(rows["date"], names, strict=True)]
    weights, reasoning = models["open_weights"].to_dict(), reasoning_of(fit, reasons(fit.table))
    rows["open_weights"] = [weights.get(name, "") for name in names]
    rows["reasoning"] = [reasoning.get(name, "") for name in names]
    rows["scores"] = _scores_behind(fit, rows)
    best = {task: task_facts(fit, task)["best"] for task in rows["task"].unique()}
    highest = np.array([best[task] for task in rows["task"]], dtype=float)
    beats = (flat > highest).mean(axis=0)
    rows["p_best"] = np.where(np.isfinite(highest) & ~rows["seen"], beats, np.nan)
    rows["flops_text"] = [
        f"{known:.2g}" if known == known else f"~{latent:.2g}" if latent == latent else ""
        for known, latent in zip(rows["flops"], rows["latent_flops"], strict=True)
    ]
    rows["quantiles"] = packed(np.percentile(flat, PERCENTS, axis=0).T)
    return rows


def _scores_behind(fit: CapabilityFit, rows: pd.DataFrame) -> list[int]:
    """Scores of its own that each forecast reads: benchmarks that the task does not leave out, and the score itself."""
    seen, sets = fit.posterior.seen, fit.layout.predictor_sets
    counts = []
    for name, task in zip(rows["name"], rows["task"], strict=True):
        if name not in seen.index:
            counts.append(0)
            continue
        out = sets[fit.posterior.predictors_of(task)]
        read = [one for one in fit.layout.benchmarks if one not in out]
        counts.append(int(seen.loc[name, list(dict.fromkeys([*read, task]))].sum()))
    return counts


def filtered_facts(fit: CapabilityFit) -> pd.DataFrame:
    """What filters read of the models of a fit's table: ``family, flops, date, open_weights, reasoning`` by name."""
    facts = fit.table.models[["family", "flops", "date", "open_weights"]].copy()
    facts["reasoning"] = facts.index.map(reasoning_of(fit, reasons(fit.table)))
    return facts


def score_points(fit: CapabilityFit, tasks: Sequence[str]) -> pd.DataFrame:
    """Every observed score on the tasks: ``task, model, family, flops, date, observed, seen``.

    Where compute is not public, ``flops`` is the posterior median, between ``flops_low`` and ``flops_high`` (90 %).
    """
    facts = filtered_facts(fit).assign(flops_low=np.nan, flops_high=np.nan)
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
