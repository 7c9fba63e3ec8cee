"""A ladder's forecast of a run that is under way, given its own early checkpoints: its recipe is then learned.

Nothing is fitted again. Every posterior draw of the ladder foretells checkpoints and finished run together: with one
recipe, one luck, one set of curves. Draws are then moved to what the checkpoints were, by the regression of all else
on them (conditioning by kriging: Chilès and Delfiner 2012, section 7.3; the ensemble smoother of Evensen 2009). That is
exact where log losses and logits of accuracies are jointly normal over draws, and leaves no draw out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit
from scipy.stats import chi2

from bayes_obscaling.checks import counted
from bayes_obscaling.data.ladder import Ladder
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.ladder import LadderSpec
from bayes_obscaling.models.ladder_layout import losses_of
from bayes_obscaling.results.fit import LadderFit
from bayes_obscaling.results.ladder_posterior import Arrays
from bayes_obscaling.results.scenario import Scenario

# Checkpoints of other sizes than this share of the target's are another run's.
_SAME_SIZE = 0.02
# Draws for every observed value that a regression is given.
_DRAWS_PER_VALUE = 20
# Accuracies are moved on the logit scale, no nearer to 0 or 1 than this.
_EDGE = 1e-3
# Checkpoints as far from what was expected as less than this share of runs are no run of such a recipe.
_FAR = 0.001


@dataclass(frozen=True)
class Updated:
    """What a ladder says of one run, given its checkpoints.

    Attributes
    ----------
    scores : dict of arrays (S, 1, F or T)
        As `LadderPosterior.scores` gives them.
    effects : arrays (S, F) and (S, T)
        What the run's recipe adds to log losses, and to the link.
    sentences, odd : tuple of str
        What was learned, and why the checkpoints cannot be those of such a run, if so.
    """

    scores: Arrays
    effects: tuple[np.ndarray, np.ndarray]
    sentences: tuple[str, ...]
    odd: tuple[str, ...]


def update_ladder(
    fit: LadderFit, scenario: Scenario, checkpoints: Ladder, true_losses: np.ndarray | None = None
) -> Updated:
    """Condition a fit on checkpoints of the run that `scenario` will be when it is finished.

    Parameters
    ----------
    fit : LadderFit
        The ladder.
    scenario : Scenario
        The finished run, with a recipe; of recipe "same" only its luck and its place on the curves are learned.
    checkpoints : Ladder
        From `bayes_obscaling.data.ladder_reading.read_checkpoints`: losses, accuracies, or both, of the ladder's tasks.
    true_losses : array (1, F), optional
        Losses of the finished run, if they are known.

    Raises
    ------
    InputError
        For checkpoints of another size, beyond the run's end, without any of the ladder's tasks, or without a value.
    """
    checkpoints = replace(checkpoints, runs=checkpoints.runs.sort_values("tokens", kind="stable"))
    observed = _transformed(*observed_of(fit.ladder, fit.spec, scenario, checkpoints))
    foretold, effects, expected = _foretold(fit, scenario, checkpoints, true_losses)
    use = _used(observed, fit.posterior.size)
    finished = {name: _moving(name, values) for name, values in foretold.items()}
    parts = [*finished.values(), *effects]
    moved, distance = _conditioned(np.concatenate(parts, axis=1), expected[:, use], observed.ravel()[use])
    *outcomes, on_loss, on_link = np.split(moved, np.cumsum([part.shape[1] for part in parts])[:-1], axis=1)
    scores = {name: _back(name, values)[:, None] for name, values in zip(finished, outcomes, strict=True)}
    count, of = int(use.sum()), int(use.reshape(len(observed), -1).any(axis=1).sum())
    sentences = [
        f"{scenario.name}: given {counted(count, 'value')} of {of} of its checkpoints, its log losses are "
        f"{on_loss.mean():+.3f} and its logits {on_link.mean():+.2f} off the ladder's recipe."
    ]
    if _is_other_loss(fit.spec, checkpoints):
        sentences.append(f"The loss of the checkpoints is left aside: it is not the ladder's, {_of_what(fit.spec)}.")
    odd: tuple[str, ...] = ()
    if chi2.sf(distance, count) < _FAR:
        odd = (
            f"{scenario.name}: its checkpoints are farther from what the ladder expects of a recipe "
            f"'{scenario.recipe}' than {1 - _FAR:.1%} of runs, so that the forecast is an extrapolation: check their "
            "units and metrics, or give another recipe.",
        )
    return Updated(scores, (on_loss, on_link), tuple(sentences), odd)


def observed_of(
    ladder: Ladder, spec: LadderSpec, scenario: Scenario, checkpoints: Ladder
) -> tuple[np.ndarray, np.ndarray]:
    """Losses (C, F) and accuracies (C, T) of the checkpoints, on the axes of a fit; NaN where there is none.

    Refused are checkpoints that cannot be of the run, and those without a value that the ladder has too.
    """
    runs, tasks = checkpoints.runs, list(ladder.tasks.index)
    if not (runs["params"] / scenario.params - 1).abs().max() < _SAME_SIZE:
        raise InputError(
            f"The checkpoints are not of {scenario.params:.3g} parameters", "give those of the target itself"
        )
    if runs["tokens"].max() > scenario.tokens:
        problem = f"A checkpoint has {runs['tokens'].max():.3g} tokens, the target {scenario.tokens:.3g}"
        raise InputError(problem, "give the target's final number of tokens as D")
    values, one_loss = checkpoints.values, spec.feature == "c4_loss"
    if not set(tasks) & set(values["task"]) and not (one_loss and "task_loss" in values):
        raise InputError(
            f"The checkpoints have none of the ladder's tasks ({', '.join(tasks)})", "name them as it does"
        )
    aligned = Ladder(runs, ladder.tasks, values[values["task"].isin(tasks)])
    losses, accuracies = np.full((len(runs), 1 if one_loss else len(tasks)), np.nan), aligned.matrix("accuracy")
    is_other = _is_other_loss(spec, checkpoints)
    if one_loss and "c4_loss" in values:
        losses[:, 0] = values.groupby("run")["c4_loss"].mean().reindex(runs.index)
    elif spec.feature in values and not is_other:
        losses = losses_of(aligned, spec)
    if not (np.isfinite(losses).any() or np.isfinite(accuracies).any()):
        if is_other:
            raise InputError(f"The loss of the checkpoints is not the ladder's, {_of_what(spec)}", "give that one")
        raise InputError("The checkpoints have no loss and no accuracy", "fill in what they scored")
    return losses, accuracies


def _is_other_loss(spec: LadderSpec, checkpoints: Ladder) -> bool:
    """Whether checkpoints have one loss where the ladder has one of each task, or the other way round."""
    if spec.feature == "none" or checkpoints.feature == "none":
        return False
    return "c4_loss" not in checkpoints.values if spec.feature == "c4_loss" else checkpoints.feature == "c4_loss"


def _of_what(spec: LadderSpec) -> str:
    return "which is one for all tasks" if spec.feature == "c4_loss" else "which has one of each task"


def _foretold(
    fit: LadderFit, scenario: Scenario, checkpoints: Ladder, true_losses: np.ndarray | None
) -> tuple[Arrays, tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Draws of the finished run (S, F or T each), of its recipe's effects, and of its checkpoints (S, C (F + T)).

    Equation 46 of docs/explanation/model.md.
    """
    posterior, gap = fit.posterior, fit.spec.priors.checkpoint_gap
    early = [
        replace(scenario, model=str(name), params=row["params"], tokens=row["tokens"], flops=np.nan).as_run()
        for name, row in checkpoints.runs.iterrows()
    ]
    every, rng = [scenario, *early], posterior.rng("update", scenario.name)
    on_loss, on_link = posterior.recipe_effects(every)
    effects = on_loss[:, 0], on_link[:, 0]
    on_loss = on_loss.copy()
    on_loss[:, 1:] += gap.from_normal(rng.standard_normal(posterior.size))[:, None, None]
    luck = np.repeat(rng.standard_normal((posterior.size, 1)), len(every), axis=1)
    losses = None
    if true_losses is not None:
        losses = np.concatenate([true_losses, np.full((len(early), true_losses.shape[1]), np.nan)])
    drawn = posterior.scores(every, losses, (on_loss, on_link), luck)
    checkpoint_losses = drawn.get("loss", np.ones_like(on_loss))[:, 1:]
    at_checkpoints = _transformed(checkpoint_losses, drawn["accuracy"][:, 1:])
    return {name: values[:, 0] for name, values in drawn.items()}, effects, at_checkpoints.reshape(posterior.size, -1)


def _transformed(losses: np.ndarray, accuracies: np.ndarray) -> np.ndarray:
    """Values of checkpoints (..., C, F + T), where draws of them are nearest to normal."""
    return np.concatenate([np.log(losses), _moving("accuracy", accuracies)], axis=-1)


def _moving(name: str, values: np.ndarray) -> np.ndarray:
    return np.log(values) if name.startswith("loss") else logit(np.clip(values, _EDGE, 1.0 - _EDGE))


def _back(name: str, values: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(values) if name.startswith("loss") else expit(values))


def _used(observed: np.ndarray, draws: int) -> np.ndarray:
    """Which values (C (F + T)) are used: those of the last checkpoints first, no more than draws can tell apart."""
    seen = np.isfinite(observed)
    after = np.cumsum(seen.sum(axis=1)[::-1])[::-1]
    kept = after <= draws // _DRAWS_PER_VALUE
    kept[-1] = True
    return (seen & kept[:, None]).ravel()


def _conditioned(unknown: np.ndarray, foretold: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, float]:
    """Draws (S, Z) of the unknown, given what was observed (n,) and each draw's own foretelling of it (S, n).

    Also the squared distance of the observation from the foretold, in its own (co)variance.
    """
    draws, count = foretold.shape
    centre, mean = foretold.mean(axis=0), unknown.mean(axis=0)
    off, spread = foretold - centre, unknown - mean
    variance = off.T @ off / (draws - 1) + 1e-12 * np.eye(count)
    gain = np.linalg.solve(variance, off.T @ spread / (draws - 1))
    # residuals of a regression are smaller than errors: as many degrees of freedom are used as there are values
    left = (spread - off @ gain) * np.sqrt((draws - 1) / max(draws - 1 - count, 1))
    surprise = observed - centre
    distance = float(surprise @ np.linalg.solve(variance, surprise))
    return mean + surprise @ gain + left, distance
