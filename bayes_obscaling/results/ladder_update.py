"""A ladder's forecast of a run that is under way, given its own early checkpoints: its recipe is then learned.

Nothing is fitted again. Given a posterior draw of the ladder, the run's recipe, luck and distance from a finished run
are normal and all but linear in the log losses and accuracies of its checkpoints: they are updated in closed form. The
draw itself is weighted by how well it foretold the checkpoints, by Pareto-smoothed importance sampling.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from bayes_obscaling.data.ladder import Ladder
from bayes_obscaling.errors import InputError
from bayes_obscaling.models import ladder_equations as model
from bayes_obscaling.models.ladder_layout import losses_of
from bayes_obscaling.results.fit import LadderFit
from bayes_obscaling.results.ladder_posterior import SAME, SIMILAR, UNKNOWN, LadderPosterior
from bayes_obscaling.results.leave_one_out.weights import pareto_limit, smoothed
from bayes_obscaling.results.scenario import Scenario

# Rounds in which the accuracy, a sigmoid of what is not known, is taken to be straight about the last guess.
_ROUNDS = 4
_STEP = 1e-4
# Variance of a standard Student t of the model's degrees of freedom, and the least of a state that cannot move.
_T_VARIANCE = model.NOISE_DF / (model.NOISE_DF - 2.0)
_LEAST_VARIANCE = 1e-10
# Checkpoints of other sizes than this share of the target's are another run's.
_SAME_SIZE = 0.02


@dataclass(frozen=True)
class Updated:
    """A posterior of the ladder and of one run, given its checkpoints.

    Attributes
    ----------
    posterior : LadderPosterior
        Draws, taken by their weights.
    effects : arrays (S, 1, F) and (S, 1, T)
        What the run's recipe adds to log losses, and to the link.
    luck : array (S, 1)
        The run's luck, in its standard deviations.
    pareto_k : float
        Of the weights.
    sentences, problems : tuple of str
        What was learned, and whether the weights can be relied on.
    """

    posterior: LadderPosterior
    effects: tuple[np.ndarray, np.ndarray]
    luck: np.ndarray
    pareto_k: float
    sentences: tuple[str, ...]
    problems: tuple[str, ...]


class _Normal(NamedTuple):
    """Mean (S, K) and covariance (S, K, K) of a run's state: F on losses, T on the link, luck, gap."""

    mean: np.ndarray
    covariance: np.ndarray


def update_ladder(fit: LadderFit, scenario: Scenario, checkpoints: Ladder) -> Updated:
    """Condition a fit on checkpoints of the run that `scenario` will be when it is finished.

    Parameters
    ----------
    fit : LadderFit
        The ladder.
    scenario : Scenario
        The finished run; of recipe "same" only its luck is learned.
    checkpoints : Ladder
        From `bayes_obscaling.data.ladder_reading.read_checkpoints`: losses, accuracies, or both, of the ladder's tasks.

    Raises
    ------
    InputError
        For checkpoints of another size, beyond the run's end, or without any of the ladder's tasks.
    """
    posterior = fit.posterior
    losses, accuracies = _observed(fit, scenario, checkpoints)
    state = _before(posterior, scenario)
    state, log_weight = _given(posterior, checkpoints, state, losses, accuracies)
    smooth, pareto_k = smoothed(log_weight[:, None])
    weights = np.exp(smooth[:, 0] - logsumexp(smooth[:, 0]))
    rng = posterior.rng("update", scenario.name)
    at = _systematic(weights, rng)
    root = np.linalg.cholesky(state.covariance[at])
    drawn = state.mean[at] + np.einsum("sij,sj->si", root, rng.standard_normal(state.mean.shape))
    n_losses, n_tasks = len(posterior.layout.losses), len(posterior.layout.tasks)
    effects = drawn[:, None, :n_losses], drawn[:, None, n_losses : n_losses + n_tasks]
    view = posterior.taken(at)
    scale = np.asarray(model.run_luck(view.inside, view.runs([scenario]), np.ones((view.size, 1))))
    luck = drawn[:, -2][:, None] / np.maximum(scale, _LEAST_VARIANCE)
    k, limit = float(pareto_k[0]), pareto_limit(posterior.size)
    sentence = (
        f"{scenario.name}: given {len(checkpoints.runs)} of its checkpoints, its log losses are "
        f"{effects[0].mean():+.3f} and its logits {effects[1].mean():+.2f} off the ladder's recipe "
        f"(Pareto k {k:.2f}, worth {1.0 / (weights**2).sum():.0f} draws)."
    )
    problems: tuple[str, ...] = ()
    if k > limit:
        problems = (
            f"{scenario.name}: its checkpoints leave few draws of the ladder (Pareto k {k:.2f}, limit {limit:.2f}), so "
            "that intervals may be too narrow: take more draws, or give fewer checkpoints.",
        )
    return Updated(view, effects, luck, k, (sentence,), problems)


def _observed(fit: LadderFit, scenario: Scenario, checkpoints: Ladder) -> tuple[np.ndarray, np.ndarray]:
    """Losses (C, F) and accuracies (C, T) of the checkpoints, on the axes of the fit; NaN where there is none."""
    runs, tasks = checkpoints.runs, list(fit.ladder.tasks.index)
    if not (runs["params"] / scenario.params - 1).abs().max() < _SAME_SIZE:
        raise InputError(
            f"The checkpoints are not of {scenario.params:.3g} parameters", "give those of the target itself"
        )
    if runs["tokens"].max() > scenario.tokens:
        problem = f"A checkpoint has {runs['tokens'].max():.3g} tokens, the target {scenario.tokens:.3g}"
        raise InputError(problem, "give the target's final number of tokens as D")
    values = checkpoints.values
    one_loss = fit.layout.losses != fit.layout.tasks
    if not set(tasks) & set(values["task"]) and not (one_loss and "task_loss" in values):
        raise InputError(
            f"The checkpoints have none of the ladder's tasks ({', '.join(tasks)})", "name them as it does"
        )
    aligned = Ladder(runs, fit.ladder.tasks, values[values["task"].isin(tasks)])
    losses = np.full((len(runs), len(fit.layout.losses)), np.nan)
    if one_loss and "task_loss" in values:
        losses[:, 0] = values.groupby("run")["task_loss"].mean().reindex(runs.index)
    elif fit.posterior.has_loss and fit.spec.feature in values:
        losses = losses_of(aligned, fit.spec)
    return losses / fit.layout.unit, aligned.matrix("accuracy")


def _before(posterior: LadderPosterior, scenario: Scenario) -> _Normal:
    """The run's state before its checkpoints, given each draw.

    Equations 42, 43, 45 and 46 of docs/explanation/model.md.
    """
    scale, priors = posterior.recipe_scales, posterior.spec.priors
    n_losses, n_tasks = len(posterior.layout.losses), len(posterior.layout.tasks)
    recipe = scenario.recipe or SIMILAR
    times = np.zeros((posterior.size, 1)) if recipe == SAME else np.ones((posterior.size, 1))
    known_loss, gain = (effect[:, 0] for effect in posterior.recipe_effects([replace(scenario, recipe=SAME)]))
    if recipe == SIMILAR:
        gain = np.where(posterior.layout.knowledge, scale["gain_knowledge"], scale["gain"])
    elif recipe == UNKNOWN:
        times = scale["unknown"]
    elif recipe != SAME:  # one of the table's, which the fit has learned
        times = np.zeros_like(times)
        known_loss, gain = (effect[:, 0] for effect in posterior.recipe_effects([scenario]))
    size = n_losses + n_tasks + 2
    mean, covariance = np.zeros((posterior.size, size)), np.zeros((posterior.size, size, size))
    mean[:, :n_losses], mean[:, n_losses : n_losses + n_tasks] = known_loss, gain
    mean[:, -1] = priors.checkpoint_gap.loc
    start = 0
    for name, n in (("recipe_loss_sd", n_losses), ("recipe_link_sd", n_tasks)):
        variance, shared = (times * scale[name])[:, :, None] ** 2, scale["recipe_shared"][:, :, None]
        block = variance * (shared * np.ones((n, n)) + (1.0 - shared) * np.eye(n)) + _LEAST_VARIANCE * np.eye(n)
        covariance[:, start : start + n, start : start + n] = block
        start += n
    luck = np.asarray(model.run_luck(posterior.inside, posterior.runs([scenario]), np.ones((posterior.size, 1))))
    covariance[:, -2, -2] = luck[:, 0] ** 2 + _LEAST_VARIANCE
    covariance[:, -1, -1] = priors.checkpoint_gap.scale**2 + _LEAST_VARIANCE
    return _Normal(mean, covariance)


def _given(
    posterior: LadderPosterior, checkpoints: Ladder, before: _Normal, losses: np.ndarray, accuracies: np.ndarray
) -> tuple[_Normal, np.ndarray]:
    """The state given the checkpoints, and the log density of these, for each draw: iterated Kalman updates."""
    scenarios = [
        Scenario(str(n), params=r["params"], tokens=r["tokens"]).as_run() for n, r in checkpoints.runs.iterrows()
    ]
    law, p = posterior.log_law(scenarios), posterior.parameters
    noise = np.asarray(model.loss_noise(p, law, posterior.runs(scenarios)).scale) * np.ones_like(law)
    state = before
    for _ in range(_ROUNDS if np.isfinite(accuracies).any() else 1):
        expected, slope, variance = _linearised(posterior, law, noise, losses, accuracies, state.mean)
        observed = np.concatenate([np.log(losses).ravel(), accuracies.ravel()])
        seen = np.isfinite(observed)
        h, r = slope[:, seen], variance[:, seen]
        # what would be observed at the mean before, were all as straight as it is about the last guess
        off = observed[seen] - expected[:, seen] + np.einsum("snk,sk->sn", h, state.mean - before.mean)
        precision = np.linalg.inv(before.covariance) + np.einsum("snk,sn,snl->skl", h, 1.0 / r, h)
        covariance = np.linalg.inv(precision)
        covariance = (covariance + np.swapaxes(covariance, 1, 2)) / 2.0
        pull = np.einsum("snk,sn->sk", h, off / r)
        state = _Normal(before.mean + np.einsum("skl,sl->sk", covariance, pull), covariance)
    fit = (off**2 / r).sum(axis=1) - np.einsum("sk,skl,sl->s", pull, covariance, pull)
    volume = np.log(r).sum(axis=1) + np.linalg.slogdet(before.covariance)[1] + np.linalg.slogdet(precision)[1]
    return state, -0.5 * (fit + volume)


def _linearised(
    posterior: LadderPosterior,
    law: np.ndarray,
    noise: np.ndarray,
    losses: np.ndarray,
    accuracies: np.ndarray,
    at: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Expected log losses and accuracies (S, n) of checkpoints at a state, their slopes in it, and their noise."""
    (draws, count, n_losses), n_tasks = law.shape, accuracies.shape[1]
    on_loss, on_link = at[:, None, :n_losses], at[:, None, n_losses : n_losses + n_tasks]
    log_loss = law + on_loss + at[:, -2:].sum(axis=1)[:, None, None]
    own = np.where(np.isfinite(losses), np.log(losses) - log_loss, 0.0)

    def accuracy(moved: float, effect: np.ndarray) -> np.ndarray:
        # the run's own noise moves the other way where its loss is seen
        followed = np.asarray(
            model.followed_loss(posterior.parameters, log_loss + moved, own - moved * np.isfinite(losses))
        )
        return posterior.expected_accuracy(followed * posterior.layout.unit, effect)

    effect = np.broadcast_to(on_link, (draws, count, n_tasks))
    middle = accuracy(0.0, effect)
    by_loss = (accuracy(_STEP, effect) - middle) / _STEP
    by_effect = (accuracy(0.0, effect + _STEP) - middle) / _STEP
    slope = np.zeros((draws, count * (n_losses + n_tasks), at.shape[1]))
    for c in range(count):
        for f in range(n_losses):
            slope[:, c * n_losses + f, [f, -2, -1]] = 1.0
        for t in range(n_tasks):
            row = count * n_losses + c * n_tasks + t
            slope[:, row, [t if n_losses > 1 else 0, -2, -1]] = by_loss[:, c, t][:, None]
            slope[:, row, n_losses + t] = by_effect[:, c, t]
    spread = np.asarray(model.accuracy_noise(posterior.parameters, middle).scale)
    variance = np.concatenate([(noise**2).reshape(draws, -1), (spread**2).reshape(draws, -1)], axis=1) * _T_VARIANCE
    return np.concatenate([log_loss.reshape(draws, -1), middle.reshape(draws, -1)], axis=1), slope, variance


def _systematic(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Indices of draws, each about as often as its weight says (systematic resampling), in random order."""
    places = (np.arange(len(weights)) + rng.random()) / len(weights)
    at = np.searchsorted(np.cumsum(weights), places * (1.0 - 1e-12))
    return rng.permutation(np.minimum(at, len(weights) - 1))
