"""What the page of a backtest shows, gathered as plain values that JSON can hold."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayes_obscaling.checks import counted
from bayes_obscaling.evaluation.backtest import DISTANCE_BINS, in_bins
from bayes_obscaling.evaluation.scoring import LEVELS, OURS, inside
from bayes_obscaling.pages.values import records, rounded

if TYPE_CHECKING:
    from bayes_obscaling.evaluation.backtest import Backtest

# Misses that are named.
_MOST_MISSES = 40
# Single scored forecasts, of all methods, that a page has room for; filters act on them.
_MOST_CELLS = 8_000
# What filters read of a model.
_FACTS = ("open_weights", "reasoning")


def gather_record(answer: Backtest) -> dict[str, Any]:
    """Return everything that the page of a backtest shows."""
    cells = answer.cells
    ours = cells[cells["method"] == OURS]
    tasks = list(dict.fromkeys(cells["task"]))
    what = ", ".join(tasks) if len(tasks) < 4 else f"{len(tasks)} tasks"
    models = ours["model"].nunique()
    return {
        "kind": "record",
        "title": f"Backtest of {what}",
        "question": f"How good were forecasts of {counted(models, 'held-out model')} on {what}?",
        "table": f"{len(ours)} forecasts that have been answered",
        "hidden": ", ".join(dict.fromkeys(cells["setup"])),
        "made": "",
        "version": version("bayes_obscaling"),
        "verdict": answer.verdict,
        "numbers": "",
        "problems": list(answer.problems),
        "sentences": list(answer.sentences),
        "warnings": [],
        "notes": [],
        "record": record_of(answer),
        "csv": cells.to_csv(index=False, float_format="%.6g", lineterminator="\n"),
    }


def record_of(answer: Backtest, facts: pd.DataFrame | None = None) -> dict[str, Any]:
    """Coverage, scores against baselines, PIT, errors by distance, the misses by name, and what filters act on.

    Parameters
    ----------
    answer : Backtest
    facts : DataFrame, optional
        ``date, open_weights, reasoning`` by model, as far as somebody knows them.
    """
    cells = answer.cells
    scores = answer.scores(("method",)).sort_values("crps")
    ours, missed = cells[cells["method"] == OURS], _misses(answer)
    coverage = [
        {"method": row["method"], "claimed": level / 100, "found": float(row[f"coverage_{level}"])}
        for row in scores.to_dict("records")
        for level in LEVELS
        if row[f"coverage_{level}"] == row[f"coverage_{level}"]
    ]
    far = answer.by_distance().rename(columns={"decades": "bin"})
    return {
        "scores": records(scores),
        "differences": records(answer.differences()),
        "coverage": coverage,
        "pit": records(ours[["pit"]].dropna()),
        "distance": records(far[["bin", "method", "n", "crps"]]),
        "misses": records(missed.head(_MOST_MISSES)),
        "missed": len(missed),
        "forecasts": len(ours),
        "ours": OURS,
        "most": _MOST_MISSES,
        "cells": _cells(cells, facts) if len(cells) <= _MOST_CELLS else None,
    }


def _cells(cells: pd.DataFrame, facts: pd.DataFrame | None) -> dict[str, Any]:
    """Every scored forecast: of models, tasks, methods and bins the names, of forecasts the ``rows``.

    A row is positions of model, task, method and bin; absolute error and CRPS in hundred thousandths; which intervals
    held the score, a bit for each of `LEVELS`, -1 where there is none; PIT in thousandths. Of ours follow observed
    score, median, q5, q95 and distance.
    """
    known = pd.DataFrame(index=[]) if facts is None else facts
    models = cells.drop_duplicates("model").set_index("model")
    dates = models["date"].fillna("") if "date" in models else pd.Series("", index=models.index)
    about = [
        {
            "model": str(model),
            "family": str(models.at[model, "family"]),
            "date": str(dates[model] or (known.at[model, "date"] if model in known.index else "")),
            **{name: str(known.at[model, name]) if model in known.index else "" for name in _FACTS},
        }
        for model in models.index
    ]
    tasks, methods = (list(dict.fromkeys(cells[name])) for name in ("task", "method"))
    bins = [*DISTANCE_BINS, "unknown"]
    bits = sum(inside(cells, level) * 2**i for i, level in enumerate(LEVELS))
    table = pd.DataFrame(
        {
            "model": models.index.get_indexer(cells["model"]),
            "task": pd.Index(tasks).get_indexer(cells["task"]),
            "method": pd.Index(methods).get_indexer(cells["method"]),
            "bin": pd.Index(bins).get_indexer(in_bins(cells["distance"], DISTANCE_BINS, right=True)),
            "error": np.rint(1e5 * (cells["median"] - cells["observed"]).abs()),
            "crps": np.rint(1e5 * cells["crps"]),
            "inside": bits.fillna(-1).astype(int),
            "pit": (1000 * cells["pit"]).round(),
            **{name: cells[name].round(4) for name in ("observed", "median", "q5", "q95")},
            "distance": cells["distance"].round(2),
        }
    )
    rows = [
        [_whole(value) for value in (row if method == OURS else row[:8])]
        for method, row in zip(cells["method"], table.itertuples(index=False, name=None), strict=True)
    ]
    return {"models": about, "tasks": tasks, "methods": methods, "bins": bins, "rows": rows}


def _whole(value: Any) -> Any:
    """A number in few characters: without a point where it is whole."""
    value = rounded(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_of_forecasts(answer: Backtest, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Our forecasts as of each date of a study by dates; none of another. Where specs differ, those of the first."""
    cells = answer.cells
    if "as_of" not in cells:
        return []
    ours = cells[(cells["method"] == OURS) & cells["task"].isin(tasks)].dropna(subset="as_of")
    if "spec" in ours and len(ours):
        ours = ours[ours["spec"] == ours["spec"].iloc[0]]
    columns = ["as_of", "task", "model", "observed", "median", "q5", "q25", "q75", "q95"]
    return records(ours[columns].sort_values("as_of", kind="stable"))


def _misses(answer: Backtest) -> Any:
    """Observed scores outside our 90 % intervals, the furthest outside first, in widths of the interval."""
    ours = answer.cells[answer.cells["method"] == OURS]
    missed = ours[inside(ours, 90) == 0]
    outside = (missed["q5"] - missed["observed"]).clip(lower=0) + (missed["observed"] - missed["q95"]).clip(lower=0)
    columns = ["task", "model", "family", "observed", "median", "q5", "q95", "distance"]
    return missed[columns].assign(outside=outside).sort_values("outside", ascending=False)
