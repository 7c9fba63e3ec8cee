"""What the page of a backtest shows, gathered as plain values that JSON can hold."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from bayes_obscaling.evaluation.scoring import LEVELS, OURS, inside
from bayes_obscaling.pages.values import records

if TYPE_CHECKING:
    from bayes_obscaling.evaluation.backtest import Backtest

# Misses that are named.
_MOST_MISSES = 40


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
        "question": f"How good were forecasts of {models} held-out model{'s' * (models != 1)} on {what}?",
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


def record_of(answer: Backtest) -> dict[str, Any]:
    """Coverage, scores against baselines, PIT, errors by distance, and the misses by name."""
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
    }


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
