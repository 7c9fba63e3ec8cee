"""Chance levels that nobody said: what a fit infers of them from the scores, and a sentence about it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from bayes_obscaling.models.layout import Layout

_EACH = 3  # levels that have a sentence of their own; more share one


def inferred_chance(draws: xr.Dataset, layout: Layout) -> dict[str, np.ndarray]:
    """Draws (S,) of the chance levels that nobody said, by benchmark or task; none where all are stated."""
    structure, found = layout.structure, dict[str, np.ndarray]()
    for of, names, positions in (
        ("chance", layout.benchmarks, structure.unknown_chance),
        ("task_chance", layout.tasks, structure.unknown_task_chance),
    ):
        if not positions:
            continue
        levels = draws[of]
        if "predictors" in levels.dims:  # of the complete set, as scores are forecast
            sets = layout.predictor_sets
            levels = levels.isel(predictors=sets.index(()) if () in sets else 0)
        values = levels.transpose("chain", "draw", ...).to_numpy()
        values = values.reshape(-1, values.shape[-1])
        found |= {names[i]: values[:, i] for i in positions}
    return found


def chance_notes(inferred: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Sentences that say what was inferred."""
    each = []
    for name, draws in inferred.items():
        low, middle, high = np.percentile(draws, (5, 50, 95))
        each.append(f"{name}: {middle:.2f} ({low:.2f} to {high:.2f})")
    if len(each) > _EACH:
        return (f"Chance, inferred from the scores where nobody said it (median, 90 % interval): {'; '.join(each)}.",)
    return tuple(f"Chance of {text}, inferred from its scores: nobody said it." for text in each)
