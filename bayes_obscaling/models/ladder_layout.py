"""From a ladder and a spec to the arrays of the ladder model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_obscaling.data.ladder import Ladder, asks_what_is_known, distinct
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.ladder import LadderSpec, LadderStructure
from bayes_obscaling.models.ladder_equations import (
    CENTRE_FLOPS,
    CENTRE_PARAMS,
    CENTRE_TOKENS,
    SMALLEST_ACCURACY_SD,
    Bends,
    LadderData,
    Runs,
)

# Noise of an accuracy (logits) and what a run counts that has none: all runs alike, where no accuracy is off chance.
_TYPICAL_SD, _LEAST_WEIGHT = 0.03, 1e-6


@dataclass(frozen=True)
class LadderLayout:
    """One ladder as arrays.

    Attributes
    ----------
    runs, tasks, losses : tuple of str
        Labels of the axes; `losses` are the tasks, or "all tasks" where these share one loss.
    structure : LadderStructure
        Switches of the model.
    data : LadderData
        What was seen.
    unit : array (F,)
        The smallest loss seen, in whose units the model counts losses.
    rungs : array (sizes,)
        `log_size` of every rung, smallest first.
    recipes : tuple of str
        Recipes of the runs, first the one that the curves describe.
    knowledge : array of bool (T,)
        Whether a task asks what is known.
    """

    runs: tuple[str, ...]
    tasks: tuple[str, ...]
    losses: tuple[str, ...]
    structure: LadderStructure
    data: LadderData
    unit: np.ndarray
    rungs: np.ndarray
    recipes: tuple[str, ...]
    knowledge: np.ndarray

    @property
    def labels(self) -> dict[str, list[str]]:
        """Labels of the plates that have any."""
        others = list(self.recipes[1:])
        return {"run": list(self.runs), "task": list(self.tasks), "loss_of": list(self.losses), "recipe": others}


def runs_of(facts: Mapping[str, Any], law: str) -> Runs:
    """What a law reads of a ladder's runs, or of scenarios: ``params, tokens, flops`` in the units of a ladder."""
    params, tokens, flops = (np.asarray(facts[name], float) for name in ("params", "tokens", "flops"))
    log_params = np.log(params / CENTRE_PARAMS)
    log_size = log_params if law == "size-and-data" else np.log(flops / CENTRE_FLOPS)
    return Runs(log_size=log_size, log_data=np.log(tokens / CENTRE_TOKENS), log_params=log_params)


def lay_out_ladder(ladder: Ladder, spec: LadderSpec) -> LadderLayout:
    """Lay out a ladder for fitting.

    Refused are fewer than 3 sizes or token counts, and a ladder without a column that the spec needs.
    """
    ladder.check_rungs()
    if spec.feature == "none" and not ladder.has_accuracy:
        raise InputError("Without a feature accuracies are fitted, and the ladder has none", "leave out the feature")
    runs = runs_of(ladder.runs, spec.law)
    rungs = np.array(ladder.by_rung(np.asarray(runs.log_size)))
    if spec.feature != "none" and not np.isfinite(ladder.matrix(spec.feature)).any(axis=0).all():
        raise InputError(f"The ladder has tasks without any {spec.feature}: choose another feature.")
    loss = losses_of(ladder, spec)
    unit = np.ones(loss.shape[1]) if spec.feature == "none" else np.nanmin(loss, axis=0)
    accuracy = ladder.matrix("accuracy")
    ratios = np.log(distinct(ladder.runs["tokens"] / ladder.runs["params"])) + np.log(CENTRE_PARAMS / CENTRE_TOKENS)
    bends = Bends(
        size_bend_at=rungs[1:-1],
        data_bend_at=np.quantile(ratios, (1 / 3, 2 / 3)),
        data_bend_below=np.zeros(0),
        rung_end=_rung_ends(ladder, loss) / unit[:, None],
    )
    data = LadderData(
        runs=jax.tree.map(jnp.asarray, runs),
        bends=jax.tree.map(jnp.asarray, bends),
        loss=jnp.asarray(np.where(np.isfinite(loss), loss / unit, 1.0)),
        loss_seen=jnp.asarray(np.isfinite(loss)),
        accuracy=jnp.asarray(np.where(np.isfinite(accuracy), accuracy, 0.5)),
        accuracy_seen=jnp.asarray(np.isfinite(accuracy)),
        chance=jnp.asarray(ladder.tasks["chance"].to_numpy(float)),
        weight=jnp.asarray(_weight(loss, accuracy, ladder.tasks["chance"].to_numpy(float))),
        recipe=jnp.asarray([ladder.recipes.index(name) for name in ladder.recipe_of_runs]),
    )
    tasks = tuple(ladder.tasks.index)
    return LadderLayout(
        runs=tuple(ladder.runs.index),
        tasks=tasks,
        losses=tasks if len(unit) == len(tasks) else ("all tasks",),
        structure=LadderStructure(spec.law, spec.discrepancy, spec.feature != "none", len(ladder.recipes)),
        data=data,
        unit=unit,
        rungs=rungs,
        recipes=ladder.recipes,
        knowledge=np.array([asks_what_is_known(task) for task in tasks]),
    )


def losses_of(ladder: Ladder, spec: LadderSpec) -> np.ndarray:
    """Losses (runs, F) that the model reads: of every task, or one for all; NaN where missing, or where it reads none.

    Refused is a ladder without such a column.
    """
    if spec.feature == "none":
        return np.full((len(ladder.runs), len(ladder.tasks)), np.nan)
    loss = ladder.matrix(spec.feature)
    if spec.feature != "c4_loss":
        return loss
    seen = np.isfinite(loss)
    total = np.where(seen, loss, 0.0).sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # NaN, where a run has no loss
        return np.asarray(total / seen.sum(axis=1, keepdims=True))


def _weight(loss: np.ndarray, accuracy: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """How much each run determines the link of a task, (R, T), in shares: its information on the logit.

    A run at chance says nothing of the slope of the link, nor does one at its top. The noise of an accuracy is that of
    Equation 30 of docs/explanation/model.md. `loss` (R, F) must be seen, if any is. Where every task has a loss of its
    own, which follows the task from its first rise, runs count alike.
    """
    seen = np.isfinite(loss)
    own = bool(seen.any()) and loss.shape[1] > 1
    seen = seen if seen.any() else np.ones_like(seen)
    share = np.clip((accuracy - chance) / (1.0 - chance), 0.0, 1.0)
    noise = (_TYPICAL_SD * accuracy * (1.0 - accuracy)) ** 2 + SMALLEST_ACCURACY_SD**2
    information = np.nan_to_num(((1.0 - chance) * share * (1.0 - share)) ** 2 / noise)
    weight = np.where(seen, (0.0 if own else information) + _LEAST_WEIGHT * np.ones_like(information), 0.0)
    return np.asarray(weight / weight.sum(axis=0))


def _rung_ends(ladder: Ladder, loss: np.ndarray) -> np.ndarray:
    """Smallest loss of all runs up to each size but the largest, (F, sizes - 1)."""
    params = ladder.runs["params"].to_numpy()
    ends = []
    for size in ladder.sizes[:-1]:
        inside = np.where((params <= size * 1.02)[:, None], loss, np.nan)
        # a loss that no run of the rung has: the next rung starts where it does
        ends.append(np.nanmin(np.where(np.isfinite(inside), inside, np.inf), axis=0))
    ends_array = np.stack(ends, axis=1)
    return np.where(np.isfinite(ends_array), ends_array, 0.0)
