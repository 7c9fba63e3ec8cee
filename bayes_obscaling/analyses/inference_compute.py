"""Compute at inference: what a doubling of majority votes, and a step of reasoning effort, are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from bayes_obscaling.analyses.gain import task_pair
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import TASK_SHAPE
from bayes_obscaling.models.cells import all_scores
from bayes_obscaling.models.links import inverse_response, response, response_slope
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.summaries import interval_columns

BASE_SCORES = (0.2, 0.5, 0.8)
_FEWEST = 8  # models scored both ways
VOTES, EFFORT, REASONING = "doubling of votes", "step of effort", "reasoning, on or off"
_MOST_VOTES = 10_000


@dataclass(frozen=True, eq=False, repr=False)
class InferenceCompute(Finding):
    """What compute at inference is worth.

    ``table`` has one row per ``change`` (a doubling of votes, a step of effort, reasoning on or off), ``capability``
    (the task that is voted on, or a factor), ``base_score`` (that of the anchor or task before; NaN where it does not
    matter) and ``quantity``: ``logits`` of the score, ``score`` (what is added to the base score), ``decades`` of
    training compute that do the same for an average family, ``doublings of votes`` that do the same, by way of decades;
    each as ``median, q5, q25, q75, q95``. ``parts``: ``observed`` (what each model gained by votes: ``model, before,
    after``, and ``gain``, logits per doubling) and ``settings`` (scores in several settings behind the steps of effort,
    by ``model`` and ``benchmark``).
    """

    drawn_by = "plot_inference_compute"
    front = ("change", "capability", "base_score", "quantity", "median", "q25", "q75", "q5", "q95")


def inference_compute(
    votes_fit: CapabilityFit,
    effort_fit: CapabilityFit,
    *,
    before: str = "gsm8k_cot",
    after: str = "gsm8k_cot_sc",
    votes: int = 5,
    base_scores: Sequence[float] = BASE_SCORES,
) -> InferenceCompute:
    """Return what a doubling of majority votes and a step of reasoning effort add to a score, and in training compute.

    Parameters
    ----------
    votes_fit : CapabilityFit
        A fit that holds a task answered once, and by majority; the fit "base-llms" that ships with the package does.
    effort_fit : CapabilityFit
        A fit of a sparse table with settings, such as "frontier".
    before, after : str
        The task answered once, and by the majority of `votes` answers.
    votes : int
        How many answers vote.
    base_scores : sequence of float
        Scores before, at which gains are said.

    Raises
    ------
    InputError
        For tasks that are not heads of the fit, less than two votes, base scores that no model has, fewer than eight
        models with both scores, and a fit without efforts.

    Notes
    -----
    *Votes.* ``d_i = (logit y_i,k - logit y_i,1) / log2 k`` is regressed on the logit of the expected score ``x_i`` of
    the same model answered once and its square, at every draw of the fit, by weights inverse to the binomial variance
    of ``d_i``; the curve and the scale of its noise have the posterior of a flat prior (Gelman et al. 2013, section
    14.2). Expected scores, not observed ones, as a lucky score would else be followed by a small gain. With one k, that
    the gain is the same at every doubling up to k is assumed, not seen.

    *Effort.* The fit's step in logits of capability, the same for all models. Named efforts have no published numbers
    of tokens; a budget counts as a level per doubling from 4K on (`bayes_obscaling.data.efforts`), by convention.

    *One axis.* Decades of training compute that do the same for the average family, its release date held. A logit is
    divided by the logits that a decade adds to the score at its base, or by ``slope_mean`` of the factor.
    """
    names = task_pair(votes_fit, before, after)
    if isinstance(votes, bool) or not isinstance(votes, int) or not 2 <= votes <= _MOST_VOTES:
        raise InputError(f"votes is {votes}", f"give a whole number from 2 to {_MOST_VOTES}")
    if not len(base_scores) or not all(0 < score < 1 for score in base_scores):
        raise InputError(f"The base scores are {list(base_scores)}", "give scores between 0 and 1, such as 0.5")
    if "effort_step" not in effort_fit.draws:
        raise InputError("The fit knows no efforts", "take a fit of a sparse table with settings, such as frontier")
    observed = _observed(votes_fit, names, votes)
    if len(observed) < _FEWEST:
        raise InputError(f"{len(observed)} models have both scores, {' and '.join(names)}", "take a fit that saw more")
    at = np.asarray(base_scores, float)
    low, high = observed["before"].min(), observed["before"].max()
    if at.min() < low or at.max() > high:
        raise InputError(
            f"The base scores are {list(base_scores)}", f"give some that models have, {low:.2f} to {high:.2f}"
        )
    gained = _curve_of_gains(votes_fit, names, observed, votes) @ _powers(logit(at)).T
    decades = gained / _slope_of_task(votes_fit, names[0], at)
    rows = [
        _rows(VOTES, names[0], at, {"logits": gained, "score": expit(logit(at) + gained) - at, "decades": decades}),
        *_of_steps(effort_fit, at),
    ]
    factor = effort_fit.layout.factors[0]
    step = _decades(effort_fit, "effort_step")[:, 0]
    size = min(len(step), len(decades))
    # the two fits know nothing of each other: any pairing of their draws will do
    with np.errstate(divide="ignore"):
        worth = np.where(decades[:size] > 0, step[:size, None] / np.abs(decades[:size]), np.inf)
    rows.append(_rows(EFFORT, factor, at, {"doublings of votes": worth}))
    table = pd.concat(rows, ignore_index=True)
    parts = {"observed": observed, "settings": _settings(effort_fit)}
    problems = (*votes_fit.problems, *effort_fit.problems)
    grows = float((gained[:, at.argmax()] > gained[:, at.argmin()]).mean())
    return InferenceCompute(table, _sentences(table, parts, grows, names, votes, factor), problems, parts)


# --- votes --------------------------------------------------------------------------------------------------------


def _observed(fit: CapabilityFit, names: list[str], votes: int) -> pd.DataFrame:
    """Models whose two scores the fit has seen, and what they gained per doubling, in logits; half an item is added."""
    seen = fit.posterior.seen[names].all(axis=1)
    models = list(seen.index[seen])
    scores, items = (
        part.loc[models, names].to_numpy() for part in (fit.table.matrix(names), fit.table.item_counts(names))
    )
    counts = np.where(np.isfinite(items), items, np.nan)
    kept = logit((scores * counts + 0.5) / (counts + 1.0))
    frame = pd.DataFrame({"model": models, "before": scores[:, 0], "after": scores[:, 1]})
    frame["gain"] = (kept[:, 1] - kept[:, 0]) / np.log2(votes)
    return frame.assign(n_items=counts.min(axis=1)).dropna(ignore_index=True)


def _powers(x: np.ndarray) -> np.ndarray:
    """Columns (..., 3) of a parabola."""
    return np.stack([np.ones_like(x), x, x**2], axis=-1)


def _curve_of_gains(fit: CapabilityFit, names: list[str], observed: pd.DataFrame, votes: int) -> np.ndarray:
    """Coefficients (S, 3) of the gain per doubling, a parabola in the logit of the expected score answered once."""
    posterior = fit.posterior
    expected = posterior.expected(posterior.models(list(observed["model"])), names)
    gain, items = observed["gain"].to_numpy(), observed["n_items"].to_numpy()
    x = logit(expected[..., 0])
    weight = np.log2(votes) ** 2 / (1.0 / (items[:, None] * expected * (1.0 - expected))).sum(axis=-1)
    design = _powers(x)  # (S, N, 3)
    information = np.einsum("sni,sn,snj->sij", design, weight, design)
    covariance = np.linalg.inv(information)
    centre = np.einsum("sij,snj,sn->si", covariance, design, weight * gain)
    residual = gain - np.einsum("sni,si->sn", design, centre)
    rng, free = posterior.rng("inference compute"), len(gain) - design.shape[-1]
    scale = np.sqrt((weight * residual**2).sum(axis=1) / rng.chisquare(free, len(x)))
    unit = rng.standard_normal(centre.shape)
    return np.asarray(centre + scale[:, None] * np.einsum("sij,sj->si", np.linalg.cholesky(covariance), unit))


def _slope_of_task(fit: CapabilityFit, task: str, at: np.ndarray) -> np.ndarray:
    """Logits (S, N) that a decade of compute adds to scores `at` (N,) of an average family on a task."""
    posterior = fit.posterior
    predictors, place = posterior.predictors_of(task), posterior.layout.tasks.index(task)
    heads, spread = posterior.heads, posterior.scales[1][:, predictors, 0]
    moved = (heads["weight"][:, place] / spread * posterior.measurement(predictors)["slope_mean"]).sum(axis=1)
    head = {name: heads[name][:, place, None] for name in TASK_SHAPE if name in heads}
    shape = [head.get("task_chance", fit.table.chance(task)), head["task_ceiling_gap"]]
    shape += [head["task_asymmetry"]] if "task_asymmetry" in head else []
    _, slope = response_slope(inverse_response(at, *shape), *shape)
    return np.asarray(moved[:, None] * slope / (at * (1.0 - at)))


# --- effort -------------------------------------------------------------------------------------------------------


def _decades(fit: CapabilityFit, step: str) -> np.ndarray:
    """Decades of compute (S, K) that a step in logits is worth to an average family."""
    p = fit.posterior.measurement(fit.posterior.complete)
    return np.asarray(p[step] / p["slope_mean"])


def _of_steps(fit: CapabilityFit, at: np.ndarray) -> list[pd.DataFrame]:
    """What a step of effort, and reasoning, add to each factor's anchor, and in decades."""
    p = fit.posterior.measurement(fit.posterior.complete)
    found = []
    for change, step in ((EFFORT, "effort_step"), (REASONING, "reasoning_step")):
        decades = _decades(fit, step)
        for k, anchor in enumerate(fit.layout.factors):
            place = fit.layout.benchmarks.index(anchor)
            chance = np.asarray(fit.layout.measurements[0].chance)[place]
            shape = [chance, p["ceiling_gap"][:, place, None]]
            shape += [p["asymmetry"][:, place, None]] if "asymmetry" in p else []
            eta = np.asarray(inverse_response(at, *shape))
            score = np.asarray(response(eta + p[step][:, k, None], *shape)) - at
            found.append(_rows(change, anchor, at, {"logits": logit(at + score) - logit(at), "score": score}))
            found.append(_rows(change, anchor, np.array([np.nan]), {"decades": decades[:, [k]]}))
    return found


def _settings(fit: CapabilityFit) -> pd.DataFrame:
    """Cells that were scored at several levels of effort: ``model, benchmark, settings``."""
    scores = all_scores(fit.table)
    scores = scores[scores["benchmark"].isin(fit.layout.benchmarks) & (scores["level"] > 0)]
    counts = scores.groupby(["model", "benchmark"])["level"].nunique().rename("settings").reset_index()
    return counts[counts["settings"] > 1].reset_index(drop=True)


# --- what is said -------------------------------------------------------------------------------------------------


def _rows(change: str, capability: str, at: np.ndarray, quantities: dict[str, np.ndarray]) -> pd.DataFrame:
    parts = []
    for quantity, draws in quantities.items():
        about = {"change": change, "capability": capability, "base_score": at, "quantity": quantity}
        parts.append(pd.DataFrame(about).join(interval_columns(draws)))
    return pd.concat(parts, ignore_index=True)


def _sentences(
    table: pd.DataFrame, parts: dict[str, pd.DataFrame], grows: float, names: list[str], votes: int, factor: str
) -> tuple[str, ...]:
    def told(change: str, capability: str, quantity: str, form: str, scale: float = 1.0) -> str:
        of = [table["change"] == change, table["capability"] == capability, table["quantity"] == quantity]
        rows = table[np.logical_and.reduce(of)]
        return ", ".join(
            f"{scale * row.median:{form}} ({scale * row.q5:{form}} to {scale * row.q95:{form}})"
            + (f" at {row.base_score:g}" if row.base_score == row.base_score else "")
            for row in rows.itertuples()
        )

    task, settings, observed = names[0], parts["settings"], parts["observed"]
    seen = table.loc[(table["change"] == VOTES) & (table["quantity"] == "logits"), "base_score"]
    depends = f" It is larger at {seen.max():g} than at {seen.min():g} with probability {grows:.2f}." * (len(seen) > 1)
    return (
        f"A doubling of votes on {task}, by score before and with 90 % intervals: in logits "
        f"{told(VOTES, task, 'logits', '+.3f')}; in points {told(VOTES, task, 'score', '+.1f', 100)} "
        f"({len(observed)} models).{depends}",
        f"Answers were counted by 1 and by {votes} votes alone: what {np.log2(votes):.2f} doublings gain is divided by "
        "their number, as if each gained the same.",
        f"A step of effort, on {factor}, in points: {told(EFFORT, factor, 'score', '+.1f', 100)}.",
        f"In decades of training compute of an average family, a doubling of votes: "
        f"{told(VOTES, task, 'decades', '.2f')}; a step of effort, on {factor}: "
        f"{told(EFFORT, factor, 'decades', '.2f')}. A step is worth as many doublings of votes: "
        f"{told(EFFORT, factor, 'doublings of votes', '.1f')}.",
        "Not identified: what a step of effort costs. Efforts have no published numbers of tokens (a budget counts as "
        f"a step per doubling, by convention); {settings['model'].nunique()} models were scored at several efforts, on "
        f"{settings['benchmark'].nunique()} benchmarks, {len(settings)} cells.",
        "Votes are of other models and tests than efforts: the two meet in decades of training compute alone, and "
        "those of closed models lean on compute that is drawn.",
    )
