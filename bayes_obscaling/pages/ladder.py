"""What the page of a ladder's forecast shows, gathered as plain values that JSON can hold."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.checks import counted
from bayes_obscaling.data.sources import OWN, source_of_ladder
from bayes_obscaling.pages.method import in_words
from bayes_obscaling.pages.values import packed, records
from bayes_obscaling.results.fit import LadderFit
from bayes_obscaling.results.ladder_curves import LadderCurve, link_curve, loss_curves
from bayes_obscaling.results.ladder_forecast import LadderForecast

# Levels of the quantiles from which a page works out the probability of reaching an accuracy, per cent.
_PERCENTS = np.arange(1, 100)
_QUANTITIES = {"accuracy": "accuracy", "loss": "loss", "accuracy_given_loss": "accuracy given the true loss"}
_COLUMNS = ["model", "task", "quantity", "N", "D", "median", "q2.5", "q5", "q10", "q25", "q75", "q90", "q95", "q97.5"]
_RUN = ["run", "params", "tokens", "loss", "accuracy", "curve"]


def gather_ladder(answer: LadderForecast) -> dict[str, Any]:
    """Return everything that the page of a ladder's forecast shows: targets, curves with runs, data and method."""
    fit, ladder = answer.fit, answer.fit.ladder
    rows = answer.to_dataframe()
    rows["quantiles"] = packed(np.clip(np.percentile(answer.flat, _PERCENTS, axis=0).T, 0, 1))
    models, tasks = list(dict.fromkeys(rows["model"])), list(dict.fromkeys(rows["task"]))
    curves, note = _curves(fit)
    source = source_of_ladder() if ladder.is_bundled else {"title": OWN, "address": "", "version": "", "licence": ""}
    return {
        "kind": "ladder",
        "title": f"Forecast of {', '.join(models) if len(models) < 4 else f'{len(models)} models'} from a ladder",
        "question": f"What will {counted(len(models), 'larger model')} reach on {len(tasks)} tasks?",
        "table": f"{len(ladder.runs)} runs of {len(ladder.sizes)} sizes",
        "hidden": "",
        "made": str(fit.provenance.get("created", ""))[:10],
        "version": version("bayes_obscaling"),
        "verdict": answer.verdict,
        "numbers": answer.convergence.numbers,
        "problems": list(answer.problems),
        "sentences": _answers(rows),
        "warnings": [*answer.own_notes, *dict.fromkeys(answer.warnings)],
        "notes": [],
        "tasks": tasks,
        "quantities": {name: text for name, text in _QUANTITIES.items() if name in set(rows["quantity"])},
        "rows": records(rows[[*_COLUMNS, "quantiles"]]),
        "curves": curves,
        "curves_note": note,
        "feature": fit.spec.feature.replace("_", " "),
        "method": {
            "benchmarks": [],
            "sources": [source | {"scores": len(ladder.values)}],
            "priors": [{"prior": name, "believed": in_words(prior)} for name, prior in fit.priors.items()],
            "spec": fit.spec.model_dump(mode="json", exclude={"priors"}),
            "provenance": {name: str(value) for name, value in fit.provenance.items()},
            "notes": list(dict.fromkeys((*fit.notes, *ladder.notes))),
        },
        "csv": answer.to_dataframe().to_csv(index=False, float_format="%.5g", lineterminator="\n"),
    }


def _answers(rows: pd.DataFrame) -> list[str]:
    """A sentence per model: its mean accuracy over tasks, or, where none has one, its losses."""
    sentences = []
    for model, own in rows.groupby("model", sort=False):
        kind = "accuracy" if (own["quantity"] == "accuracy").any() else "loss"
        chosen = own[own["quantity"] == kind]
        first = ", ".join(f"{row.task} {row.median:.3f}" for row in chosen.head(4).itertuples())
        more = f" and {len(chosen) - 4} more" if len(chosen) > 4 else ""
        sentences.append(f"{model}, median {kind}: {first}{more}.")
    return sentences


def _curves(fit: LadderFit) -> tuple[list[dict[str, Any]], str]:
    """Per task the expected loss along size, accuracy along the loss, and the runs; or why there are none."""
    if fit.spec.feature == "none":
        return [], "This fit goes from compute to accuracy in one step: there is no curve of a loss to draw."
    found = []
    for task in fit.ladder.tasks.index:
        loss = loss_curves(fit, str(task))
        link = link_curve(fit, str(task)) if fit.ladder.has_accuracy else None
        found.append({"task": str(task), "loss": _lines(loss), "link": [] if link is None else _lines(link)})
        found[-1]["runs"] = records(loss.runs[_RUN].astype({"run": str}))
    return found, ""


def _lines(curve: LadderCurve) -> list[dict[str, Any]]:
    table = curve.table.copy()
    if "fixed" in table:
        table["ratio"] = [f"{value:.3g} tokens per parameter" for value in table.pop("fixed")]
    return records(table)
