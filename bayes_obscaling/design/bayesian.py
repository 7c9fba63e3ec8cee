"""The Bayesian design: single models, by what their scores would tell about those of others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

from bayes_obscaling.design.selection import NewTask, Selection, facts_of, rows_of
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability import TASK_NOISE_DF, features
from bayes_obscaling.models.links import response, score_variance
from bayes_obscaling.models.priors import LogNormal
from bayes_obscaling.results.fit import Fit

# Draws at which the Bayesian criterion is averaged.
_WORLDS = 400
_HEAD = ("weight", "task_difficulty", "task_family_offset", "task_ceiling_gap", "task_overdispersion")
# An exchange that gains less than this share of the criterion is rounding.
_SMALLEST_GAIN = 1e-9


def bayesian_design(
    fit: Fit,
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
    fit : Fit
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

    that of a normal posterior. The criterion averages it over these draws, the worlds that may be true. This is the
    pseudo-Bayesian criterion of [1]_ (section 4) in its V-optimal form: a model at the floor in most worlds tells
    little, one where curves are steep tells much. Two other ways were weighed. Bayes linear adjustment of scores, one
    linear forecast for all worlds [2]_, is an upper bound of the expected variance, but for a new task a loose one:
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
    models, table = pd.Index(fit.draws["model"].to_numpy()), fit.table
    unseen = np.ones(len(models), dtype=bool)
    if not isinstance(task, NewTask):
        unseen = fit.posterior["observed_data"]["task_score"].sel(task=name).isnull().to_numpy()
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

    curves = task_curves(fit, task)
    worlds = np.linspace(0, len(curves.eta) - 1, min(_WORLDS, len(curves.eta))).astype(int)
    slope, noise = curves.slope[worlds], curves.noise[worlds]
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
    )


def choose(
    covariance: np.ndarray, noise: np.ndarray, candidates: np.ndarray, targets: np.ndarray, budget: int
) -> np.ndarray:
    """Greedy choice, with exchange, of the observations that leave least variance in the targets.

    Parameters
    ----------
    covariance : array (W, M, M)
        Of the quantities that may be observed or asked about, in each of W equally likely worlds.
    noise : array (W, M)
        Variance of an observation around its quantity.
    candidates, targets : arrays of int
        Positions that may be observed, and that matter.
    budget : int
        Most observations.

    Returns
    -------
    array of int
        Positions, in greedy order; all candidates if the budget allows.
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
    """Variance (M,) left after observing some quantities, averaged over worlds."""
    return np.asarray(np.diagonal(_adjusted(covariance, noise, chosen), axis1=1, axis2=2).mean(axis=0))


class Curves(NamedTuple):
    """Draws (S, M) of what a task asks of every model."""

    eta: np.ndarray  # linear predictor, logits
    score: np.ndarray  # expected score, 0..1
    slope: np.ndarray  # of the expected score in eta
    noise: np.ndarray  # variance of an evaluation, squared score units


def task_curves(fit: Fit, task: str | NewTask) -> Curves:
    """Draws of every model's place on the curve of a task.

    Parameters
    ----------
    fit : Fit
        The fit.
    task : str or NewTask
        A task that the fit holds, or a new one, whose head is drawn from the population of the fit's heads and, where
        nothing is pooled (difficulty, family offsets, ceiling, overdispersion), from its prior.

    Returns
    -------
    Curves
        All draws of the fit by its models.

    Raises
    ------
    InputError
        For an unknown task, a benchmark, or a fit without task heads.
    """
    draws, table, observed = fit.draws, fit.table, fit.posterior["observed_data"]
    models = draws["model"].to_numpy()
    if isinstance(task, NewTask):
        if "share_mean" not in draws:
            raise InputError("The fit holds no task that a new one could be like: fit with a task.")
        head = _new_head(fit, task)
        chance, counts = task.chance, np.full(len(models), task.n_items)
        label = f"without {', '.join(task.excludes)}" if task.excludes else "all"
    else:
        name = _task_of(fit, task)
        head = {part: draws[part].sel(task=name).to_numpy() for part in _HEAD}
        chance = float(table.benchmarks.loc[name, "chance"])
        counts = table.item_counts([name]).loc[models, name].to_numpy()
        label = str(observed["task_predictors"].sel(task=name).item())
    sets = list(draws["predictors"].to_numpy())
    theta = draws["theta"].isel(predictors=sets.index(label) if label in sets else 0).to_numpy()
    z = np.asarray(features(theta, observed["reference"].to_numpy()))
    family = pd.Index(draws["family"].to_numpy()).get_indexer(table.models.loc[models, "family"])
    eta = np.einsum("cdmk,cdk->cdm", z, head["weight"]) + head["task_family_offset"][..., family]
    eta += head["task_difficulty"][..., None]
    gap = head["task_ceiling_gap"][..., None]
    score = np.asarray(response(eta, chance, gap))
    inverse = np.where(np.isfinite(counts), 1 / counts, 0.0)
    noise = score_variance(score, inverse, head["task_overdispersion"][..., None], fit.spec.fit_sd)
    arrays = (
        eta, score, (1 - chance) * (1 - gap) * expit(eta) * expit(-eta),
        np.asarray(noise) * TASK_NOISE_DF / (TASK_NOISE_DF - 2),
    )  # fmt: skip
    return Curves(*(array.reshape(-1, len(models)) for array in arrays))


def _new_head(fit: Fit, task: NewTask) -> dict[str, np.ndarray]:
    """Head of a task never seen, one a draw of the population (see `bayes_obscaling.models.capability.heads`)."""
    draws, priors = fit.draws, fit.spec.priors
    digest = hashlib.sha256(f"new task|{task.name}".encode()).digest()
    rng = np.random.default_rng([fit.provenance["seed"], int.from_bytes(digest[:8], "little")])
    mean, sd, contrast_sd, steepness, steepness_sd = (
        draws[name].to_numpy()
        for name in ("share_mean", "share_sd", "contrast_sd", "log_steepness_mean", "steepness_sd")
    )

    def unit(*more: int) -> np.ndarray:
        return rng.standard_normal((*sd.shape, *more))

    def lognormal(prior: LogNormal) -> np.ndarray:
        return np.asarray(prior.median * np.exp(prior.log_sd * unit()))

    factors = draws.sizes["factor"]
    share = softmax(mean + sd[..., None] * unit(factors), axis=-1) + contrast_sd[..., None] * unit(factors)
    difficulty = priors.task_difficulty
    return {
        "weight": np.exp(steepness + steepness_sd * unit())[..., None] * share,
        "task_difficulty": difficulty.loc + difficulty.scale * unit(),
        "task_family_offset": lognormal(priors.task_family_offset_sd)[..., None] * unit(draws.sizes["family"]),
        "task_ceiling_gap": np.abs(priors.task_ceiling_gap.scale * unit()),
        "task_overdispersion": lognormal(priors.task_overdispersion),
    }


def _task_of(fit: Fit, task: str) -> str:
    name = fit.table.resolve(task)
    if name in fit.table.benchmark_names:
        raise InputError(f"{name} is a benchmark that measures capability: name a task to choose models for.")
    if "task" not in fit.draws.coords or name not in fit.draws["task"].to_numpy():
        raise InputError(f"The fit does not hold {name}: fit again with it.")
    return name
