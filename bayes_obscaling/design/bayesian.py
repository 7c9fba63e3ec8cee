"""The Bayesian design: single models, by what their scores would tell about those of others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from bayes_obscaling.design.selection import NewTask, Selection, facts_of, rows_of
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import new_task, task_noise, task_predictor, task_slopes
from bayes_obscaling.models.links import inverse_items
from bayes_obscaling.results.fit import CapabilityFit

# Draws at which the Bayesian criterion is averaged.
_MOST_DRAWS = 400
# An exchange that gains less than this share of the criterion is rounding.
_SMALLEST_GAIN = 1e-9


def bayesian_design(
    fit: CapabilityFit,
    task: str | NewTask,
    budget: int,
    *,
    among: Iterable[str] | None = None,
    targets: Iterable[str] | None = None,
) -> Selection:
    """Choose the models whose scores would tell most about the scores of other models.

    Minimises the variance of the targets' expected scores that is expected to be left after the chosen models were
    evaluated, averaged over targets.

    Parameters
    ----------
    fit : CapabilityFit
        Fit of the table. For a task that it holds, the scores it has seen count as known; a `NewTask` reads a curve
        drawn from the population of the fit's tasks.
    task : str or NewTask
        What is to be evaluated.
    budget : int
        Number of models to choose; all that may be chosen if there are no more.
    among : iterable of str, optional
        Models that may be chosen (see `candidates`); default all. Those whose score was seen are left out.
    targets : iterable of str, optional
        Models whose scores matter. Default: those without a seen score that may not be chosen; if there are none, all
        without a seen score.

    Returns
    -------
    Selection
        ``table``: the models in the order to evaluate them, with ``target_sd``: the root mean square over targets of
        the expected standard deviation of the expected score (score units, noise of an evaluation apart) once this
        model and those above it are evaluated. ``parts["path"]``: the same by number of models, from 0.
        ``parts["targets"]``: each target before and after.

    Raises
    ------
    InputError
        For an unknown task or model, a benchmark instead of a task, a budget below 1, nobody to choose or no target.

    Notes
    -----
    The linear predictors ``eta`` of all models (logits) have the covariance K of their joint posterior draws. At each
    of 400 of these draws the score curve is linear in eta with slope g, and an evaluation has noise of variance N, that
    of the fit's likelihood; there, observing the set S leaves the targets T the variance

    ``B_TT - B_TS (B_SS + N_S)^-1 B_ST``, ``B = g K g'``,

    that of a normal posterior. The criterion averages it over these draws, each of which may be true. This is the
    pseudo-Bayesian criterion of [1]_ (section 4) in its V-optimal form: a model at the floor in most draws tells
    little, one where curves are steep tells much. Two other ways were weighed. Bayes linear adjustment of scores, one
    linear forecast for all draws [2]_, is an upper bound of the expected variance, but for a new task a loose one:
    it stops falling after a few models, because no linear forecast serves easy and hard tasks alike. Reweighting draws
    by simulated outcomes is exact in the limit, but its weights collapse: after 12 models 100 000 draws are worth
    about 10. For few models it tells how good the criterion is (`benchmarks/subset_selection.py --check`): on a task
    with known scores they agree; on a new one the criterion runs high while little is known, a local slope being no
    guide to a wide curve, but the sets that it prefers are better by that measure too.

    The set is built greedily, then improved by exchanging one model at a time until no exchange helps [3]_; variance
    reduction is not submodular, so greedy choice alone has no guarantee.

    References
    ----------
    .. [1] Chaloner and Verdinelli (1995), Bayesian experimental design: a review, Statistical Science 10, 273-304.
    .. [2] Goldstein and Wooff (2007), Bayes linear statistics, section 3.1.
    .. [3] Fedorov (1972), Theory of optimal experiments, chapter 3.
    """
    name = task.name if isinstance(task, NewTask) else _task_of(fit, task)
    if budget < 1:
        raise InputError(f"The budget is {budget} models: give at least 1.")
    models, table = pd.Index(fit.layout.models), fit.table
    may, aim = _candidates_and_targets(fit, name, isinstance(task, NewTask), among, targets)
    curves = task_curves(fit, task)
    some = np.linspace(0, len(curves.eta) - 1, min(_MOST_DRAWS, len(curves.eta))).astype(int)
    slope, noise = curves.slope[some], curves.noise[some]
    covariance = slope[:, :, None] * np.cov(curves.eta, rowvar=False) * slope[:, None, :]
    chosen = choose(covariance, noise, np.flatnonzero(may), np.flatnonzero(aim), budget)
    before = curves.score[:, aim].var(axis=0)
    # An average of posterior variances cannot exceed the prior one; the local approximation can.
    after = [np.minimum(_left(covariance, noise, chosen[: n + 1])[aim], before) for n in range(len(chosen))]
    steps = [before, *after]
    path = np.sqrt([step.mean() for step in steps])

    facts = facts_of(table, models[chosen])
    facts.insert(0, "order", np.arange(1, len(chosen) + 1))
    facts["target_sd"] = path[1:]
    aims = facts_of(table, models[aim]).assign(sd_before=np.sqrt(before), sd_after=np.sqrt(steps[-1]))
    sentences = (
        f"{len(chosen)} of {may.sum()} models for {name}, for the sake of {aim.sum()} targets: the standard deviation "
        f"of their expected scores is to fall from {path[0]:.3f} to {path[-1]:.3f} (root mean square).",
        f"Evaluate first: {', '.join(models[chosen[:3]])}.",
    )
    return Selection(
        table=facts,
        sentences=sentences,
        problems=fit.problems,
        parts={"path": pd.DataFrame({"models": np.arange(len(path)), "criterion": path}), "targets": aims},
        models=tuple(models[chosen]),
        criterion="sd of the targets' expected scores",
        task=name,
    )


def _candidates_and_targets(
    fit: CapabilityFit, name: str, is_new: bool, among: Iterable[str] | None, targets: Iterable[str] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Which models may be chosen, and which matter, (M,) each."""
    models, table = pd.Index(fit.layout.models), fit.table
    unseen = np.ones(len(models), dtype=bool) if is_new else ~fit.posterior.seen[name].to_numpy(bool)
    may = models.isin(rows_of(table, among)) & unseen
    if not may.any():
        raise InputError(
            f"Every model that may be chosen has a score on {name} already: widen the limits, or plan it as a new task."
        )
    if targets is not None:
        aim = models.isin(rows_of(table, targets))
    else:
        aim = unseen & ~may if (unseen & ~may).any() else unseen
    if not aim.any():
        raise InputError("No target was named: name the models whose scores matter, or leave targets out.")
    return may, aim


def choose(
    covariance: np.ndarray, noise: np.ndarray, candidates: np.ndarray, targets: np.ndarray, budget: int
) -> np.ndarray:
    """Greedy choice, with exchange, of at most `budget` observations that leave least variance in the targets.

    `covariance` (W, M, M) is that of the quantities that may be observed or asked about, at each of W equally likely
    draws; `noise` (W, M) the variance of an observation around its quantity; `candidates` and `targets` are positions.
    Those chosen come in greedy order; all candidates if the budget allows.
    """
    count = min(budget, len(candidates))

    def left(chosen: np.ndarray) -> float:
        return float(_left(covariance, noise, chosen)[targets].mean())

    def best(rest: np.ndarray, chosen: np.ndarray) -> np.intp:
        """The candidate that takes most from the targets, given those chosen."""
        adjusted = _adjusted(covariance, noise, chosen)
        shared = (adjusted[:, targets][:, :, rest] ** 2).mean(axis=1)
        gains = shared / (np.diagonal(adjusted, axis1=1, axis2=2) + noise)[:, rest]
        return rest[gains.mean(axis=0).argmax()]

    def greedy(among: np.ndarray) -> np.ndarray:
        chosen = np.empty(0, dtype=int)
        for _ in range(count):
            chosen = np.append(chosen, best(np.setdiff1d(among, chosen), chosen))
        return chosen

    chosen = greedy(candidates)
    place = 0
    while place < count and count < len(candidates):
        others = np.delete(chosen, place)
        trial = np.insert(others, place, best(np.setdiff1d(candidates, others), others))
        if left(trial) < left(chosen) * (1 - _SMALLEST_GAIN):
            chosen, place = trial, 0
        else:
            place += 1
    return greedy(chosen)


def _adjusted(covariance: np.ndarray, noise: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Covariance (W, M, M) left after observing some quantities with noise."""
    observed = covariance[:, chosen][:, :, chosen] + noise[:, chosen, None] * np.eye(len(chosen))
    shared = covariance[:, :, chosen]
    return np.asarray(covariance - shared @ np.linalg.solve(observed, shared.transpose(0, 2, 1)))


def _left(covariance: np.ndarray, noise: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Variance (M,) left after observing some quantities, averaged over draws."""
    return np.asarray(np.diagonal(_adjusted(covariance, noise, chosen), axis1=1, axis2=2).mean(axis=0))


class Curves(NamedTuple):
    """Draws (S, M) of what a task asks of every model."""

    eta: np.ndarray  # linear predictor, logits
    score: np.ndarray  # expected score, 0..1
    slope: np.ndarray  # of the expected score in eta
    noise: np.ndarray  # variance of an evaluation, squared score units


def task_curves(fit: CapabilityFit, task: str | NewTask) -> Curves:
    """All draws of every model's place on the curve of a task that the fit holds, or of a new one.

    The head of a new task is drawn from the population of the fit's heads and, where nothing is pooled (difficulty,
    family offsets, ceiling, overdispersion), from its prior. Refused are an unknown task, a benchmark, a fit without
    task heads.
    """
    posterior, layout = fit.posterior, fit.layout
    if isinstance(task, NewTask):
        if not layout.tasks:
            raise InputError("The fit holds no task that a new one could be like: fit with a task.")
        rng = posterior.rng("new task", task.name)
        p = new_task(posterior.heads, fit.spec.priors, rng.standard_normal)
        offset = p["task_family_offset"][:, posterior.family]
        sets = layout.predictor_sets
        predictors = sets.index(task.excludes) if task.excludes in sets else 0
        z = posterior.standardised(posterior.measurement(predictors)["theta"], predictors)[:, :, None]
        if np.isnan(task.chance):
            p["task_chance"] = fit.spec.priors.chance.from_normal(rng.standard_normal(posterior.size))[:, None]
        chance, counts = np.array([task.chance]), np.full((len(layout.models), 1), task.n_items)
    else:
        name = _task_of(fit, task)
        p, z, offset, chance = posterior.task_inputs(posterior.models(), [name])
        counts = fit.table.item_counts([name]).loc[list(layout.models), [name]].to_numpy(float)
    score, slope = task_slopes(p, z, offset, chance)
    noise = task_noise(p, score, inverse_items(counts), fit.spec.fit_sd).variance
    arrays = (task_predictor(p, z, offset), score, slope, noise)
    return Curves(*(np.asarray(array)[..., 0] for array in arrays))


def _task_of(fit: CapabilityFit, task: str) -> str:
    name = fit.table.resolve(task)
    if name in fit.table.benchmark_names:
        raise InputError(f"{name} is a benchmark that measures capability: name a task to choose models for.")
    if not fit.posterior.has_head(name):
        raise InputError(f"The fit does not hold {name}: fit again with it.")
    return name
