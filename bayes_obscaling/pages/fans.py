"""Fans for the page of a forecast: those of its fit, and those that a study has kept of its dates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from bayes_obscaling.evaluation.scoring import OURS
from bayes_obscaling.pages.values import packed, rounded
from bayes_obscaling.results.fans import NEW, fans
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import family_of
from bayes_obscaling.results.scenario import NEW_FAMILY
from bayes_obscaling.results.summaries import LEVELS

if TYPE_CHECKING:
    from bayes_obscaling.evaluation.backtest import Backtest

# Fans of former days, dates times families times tasks, that a page has room for.
_MOST_FORMER = 30


def fan(fit: CapabilityFit, tasks: Sequence[str], family: str) -> dict[str, Any]:
    """Whose scores are followed, and the fans along compute (``by_compute``) and along release date (``by_date``).

    A fan is a list of points: ``task``, ``flops`` or ``date``, ``median, q5, q25, q75, q95`` of the expected score, and
    ``quantiles`` of a new evaluation at every two per cent, packed. It is empty where the fit has no compute, or
    no drift, to follow.
    """
    return _packed(family_of(fit.layout, family), fans(fit, tasks, family))


def former_fans(study: Backtest, tasks: Sequence[str], families: Sequence[str]) -> list[dict[str, Any]]:
    """Fans that a study has kept of its as-of dates, as `fan`, with ``as_of``; the first families where room is short.

    Where specs differ, those of the first.
    """
    table = study.fans
    if table is None or "as_of" not in table:
        return []
    table = table[table["task"].isin(tasks)]
    if "spec" in table and len(table):
        ours = study.cells[study.cells["method"] == OURS]
        table = table[table["spec"] == ours["spec"].iloc[0]]
    each = max(1, table[["as_of", "task"]].drop_duplicates().shape[0])
    kept = [one for one in families if one in set(table["family"])][: max(1, _MOST_FORMER // each)]
    table = table[table["family"].isin(kept)]
    return [
        {"as_of": str(day), **_packed(str(family), rows)}
        for (day, family), rows in table.groupby(["as_of", "family"], sort=True)
    ]


def _packed(family: str, table: pd.DataFrame) -> dict[str, Any]:
    who = "a family never seen" if family == NEW_FAMILY else family
    found: dict[str, Any] = {"family": family, "who": who, "at_date": "", "at_flops": None}
    for name, along in (("by_compute", "flops"), ("by_date", "date")):
        rows = table[table["along"] == along]
        points = rows[["task", along, *LEVELS]].round(dict.fromkeys(LEVELS, 3)).to_dict("records")
        quantiles = packed(rows[list(NEW)].to_numpy(float)) if len(rows) else []
        found[name] = [point | {"quantiles": own} for point, own in zip(points, quantiles, strict=True)]
        if len(rows) and along == "flops":
            found["at_date"] = rows["date"].iloc[0]
        elif len(rows):
            found["at_flops"] = rounded(rows["flops"].iloc[0])
    return found
