"""Which of many forecasts a page has room for, and a sentence about those that it leaves out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from bayes_obscaling.results.fit import CapabilityFit

# Forecasts that a page has room for, and benchmarks and tasks where nobody named some.
MOST_FORECASTS, MOST_TASKS = 400, 8


class Chosen(NamedTuple):
    """What is shown."""

    models: list[str]
    tasks: list[str]
    notes: tuple[str, ...]  # what is left out


def choose(fit: CapabilityFit, models: Sequence[str], tasks: Sequence[str]) -> Chosen:
    """Return models and tasks that a page has room for.

    Where there are too many tasks, those with the most scores seen are kept; where there are too many models, those to
    come, the user's own, and of the others the latest, or without dates the largest.
    """
    models, notes, kept = list(dict.fromkeys(models)), [], list(dict.fromkeys(tasks))
    if len(models) * len(kept) > MOST_FORECASTS and len(kept) > MOST_TASKS:
        seen = fit.posterior.seen[kept].sum()
        most = set(seen.sort_values(ascending=False, kind="stable").index[:MOST_TASKS])
        kept = [task for task in kept if task in most]
        notes.append(
            f"Left out for want of room: {len(set(tasks)) - len(kept)} benchmarks and tasks with fewer scores; "
            "--task, in Python tasks=, names others."
        )
    count = max(1, MOST_FORECASTS // len(kept))
    if len(models) > count:
        facts = fit.table.models
        rank = {name: i for i, name in enumerate(facts.sort_values(["date", "flops"], ascending=False).index)}
        own = set(facts.index[facts["cohort"] == "user"]) if (facts["cohort"] != "user").any() else set()

        def first(model: str) -> tuple[bool, bool, int]:
            name = known_name(model)
            return name in rank, name not in own, rank.get(name, 0)

        left = sorted(models, key=first)[count:]
        models = [model for model in models if model not in set(left)]
        since = min((date for model in models if (date := _date(fit, model))), default="")
        which = f"released since {since}" if since else "of the largest compute"
        notes.append(
            f"Left out for want of room: {len(left)} models; kept are models to come, your own, and those {which}; "
            "--models, in Python scenarios=, names others."
        )
    return Chosen(models, kept, tuple(notes))


def not_seen(fit: CapabilityFit, tasks: Sequence[str]) -> list[str]:
    """Models that a page is about unless some are named: those with a score that the fit has not seen, or all."""
    seen = fit.posterior.seen[list(tasks)].all(axis=1)
    return list(seen.index if seen.all() else seen.index[~seen])


def known_name(model: str) -> str:
    """Name in the table of what a forecast calls a model at an effort."""
    return re.sub(r", [^,]+ effort$", "", model)


def _date(fit: CapabilityFit, model: str) -> str:
    name, facts = known_name(model), fit.table.models
    return str(facts.at[name, "date"]) if name in facts.index else ""
