"""Check a ladder before it is believed: PASS, REVIEW or FAIL per check, with the remedy."""

from __future__ import annotations

import numpy as np

from bayes_obscaling.checks import Check, counted, listed
from bayes_obscaling.data.checks import unreadable
from bayes_obscaling.data.ladder import Ladder
from bayes_obscaling.data.ladder_reading import read_ladder
from bayes_obscaling.data.rules import LEAST_AMOUNT
from bayes_obscaling.data.sheet import Source
from bayes_obscaling.errors import InputError

# An accuracy this far below chance is no chance result; one this near to it says nothing about a curve.
_BELOW, _NEAR = 0.05, 0.02
# A loss this much above that of a run with fewer parameters and fewer tokens is not the seed's.
_WORSE = 1.02
LADDER_CHECKS = ("rungs", "flops", "losses", "below chance", "at chance")
# FLOPs that differ from 6 N D by more than these factors: other counts of parameters do so, or no unit of FLOPs.
_OTHER_COUNT, _OTHER_UNIT = 3.0, 30.0


def check_ladder(source: Ladder | Source, *, loss: str = "") -> list[Check]:
    """Return the checks of a ladder, or of a user's file as `read_ladder` would read it, with that column as the loss.

    Those named "reading" say how a file was read. A source that cannot be read is a single FAIL.
    """
    try:
        ladder = source if isinstance(source, Ladder) else read_ladder(source, loss=loss)
    except InputError as error:
        return [unreadable(error)]
    found = [Check("readable", "PASS", f"a ladder: {len(ladder.runs)} runs, {len(ladder.tasks)} tasks")]
    found += [Check("reading", "PASS", note) for note in ladder.notes]
    found += [_rungs(ladder), _flops(ladder)]
    found.append(_losses(ladder))
    if ladder.has_accuracy:
        found += [_below_chance(ladder), _at_chance(ladder)]
    return found


def _rungs(ladder: Ladder) -> Check:
    ratio = ladder.runs["tokens"] / ladder.runs["params"]
    named = [name for name in ladder.recipes if name]
    what = f"{counted(len(ladder.sizes), 'size')}, {ratio.min():.3g} to {ratio.max():.3g} tokens per parameter"
    what += f", recipes {listed(named)}" if named else ""
    try:
        ladder.check_rungs()
    except InputError as error:
        return Check("rungs", "FAIL", what, str(error), "add runs of other sizes and token counts")
    if (most := ladder.runs["params"].max()) < LEAST_AMOUNT:
        problem = f"no run has more than {most:.3g} parameters, so that the unit may be another"
        return Check("rungs", "FAIL", what, problem, "give them in full, or with their unit, such as 1.3B")
    return Check("rungs", "PASS", what)


def _flops(ladder: Ladder) -> Check:
    """Compute that is not 6 N D: in another unit, or of other parameters."""
    runs = ladder.runs
    ratio = runs["flops"] / (6 * runs["params"] * runs["tokens"])
    middle, off = float(ratio.median()), np.abs(np.log(ratio))
    far = listed([str(name) for name in runs.index[off > np.log(_OTHER_COUNT)]])
    if abs(np.log(middle)) > np.log(_OTHER_UNIT):
        return Check("flops", "FAIL", f"they are {middle:.3g} times 6 N D", "", "give them in FLOPs, or leave them out")
    if far:
        what = f"{far}: {_OTHER_COUNT:g} times more or fewer than 6 N D"
        return Check("flops", "REVIEW", what, "", "check them: --law compute and targets without FLOPs read 6 N D")
    return Check("flops", "PASS", "they agree with 6 N D")


def _losses(ladder: Ladder) -> Check:
    """Runs that lose to a smaller one of fewer tokens of their recipe."""
    if "task_loss" not in ladder.values:
        return Check(
            "losses", "REVIEW", "there is none", "the forecast is wider", "add a loss of each run, or of each task"
        )
    n, d = (ladder.runs[name].to_numpy(float) for name in ("params", "tokens"))
    recipe, loss = np.array(ladder.recipe_of_runs), ladder.matrix("task_loss")
    smaller = (n[None, :] < n[:, None]) & (d[None, :] < d[:, None]) & (recipe[None, :] == recipe[:, None])
    worse = np.array([(loss[r] > _WORSE * loss[smaller[r]]).any() for r in range(len(n))])
    if worse.any():
        what = f"{listed([str(name) for name in ladder.runs.index[worse]])}: worse than a smaller run of fewer tokens"
        return Check("losses", "REVIEW", what, "a run that failed", "check it, or leave it out")
    return Check("losses", "PASS", "they fall with size and tokens")


def _below_chance(ladder: Ladder) -> Check:
    accuracy, chance = ladder.matrix("accuracy"), ladder.tasks["chance"].to_numpy(float)
    below = (accuracy < chance - _BELOW).any(axis=0)
    if below.any():
        what = f"{listed(list(ladder.tasks.index[below]))}: accuracies far below chance"
        return Check("below chance", "REVIEW", what, "chance taken off, or another metric", "give raw accuracies")
    return Check("below chance", "PASS", "no accuracy is far below chance")


def _at_chance(ladder: Ladder) -> Check:
    accuracy, chance = ladder.matrix("accuracy"), ladder.tasks["chance"].to_numpy(float)
    flat = np.nanmax(accuracy, axis=0, initial=-np.inf, where=np.isfinite(accuracy)) < chance + _NEAR
    if flat.any():
        what = f"{listed(list(ladder.tasks.index[flat]))}: no run is above chance"
        return Check("at chance", "REVIEW", what, "the ladder does not say when it rises", "add larger runs")
    return Check("at chance", "PASS", "every task has runs above chance")
