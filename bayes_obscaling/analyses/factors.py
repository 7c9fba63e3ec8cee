"""Factors: what the capabilities are, how much they explain, and what tasks read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from bayes_obscaling.data import ScoreTable
from bayes_obscaling.data.components import fill_scores
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import benchmark_predictor, expected_benchmarks
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.summaries import interval_columns

# Share of the variance after which the paper stops counting components: 97 % in round numbers, its three having 96.7 %.
ENOUGH = 0.965


@dataclass(frozen=True, eq=False, repr=False)
class Factors(Finding):
    """What the capabilities are made of.

    ``table`` has a row per benchmark and factor: the loading (logits of the benchmark per unit of the factor) and how
    it is ``identified``. ``parts``: ``variance`` (share of the variance of scores that each principal component
    explains, ours with intervals beside the paper's), ``needed`` (probability that so many components reach 97 %),
    ``shares`` (share of a benchmark's variance over models, in logits, that comes from each factor and from family
    offsets), and ``tasks`` (what a task's head reads, mapped back to benchmarks).
    """

    drawn_by = "plot_factors"
    front = ("benchmark", "factor", "median", "q25", "q75", "q5", "q95", "identified")


def factors(fit: CapabilityFit) -> Factors:
    """Describe the capabilities of a fit.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file. Task weights are given for the tasks that it was asked for.

    Notes
    -----
    *Sign and rotation* are fixed by the anchors: factor k is the logit scale of anchor benchmark k, whose row of
    loadings is a unit vector. All other loadings are at least 0 (what the reviewers of the paper asked for as a
    non-negative factorisation), except those of benchmarks declared signed, such as TruthfulQA, which falls before it
    rises.

    *Variance.* Factors are correlated, since all grow with compute, so that the share of one depends on a convention.
    Two are given. (1) Free of rotation: the principal components of the expected scores, draw by draw; the published
    ones are those of the observed scores (Ruan et al. 2024, section 3.2: .802, .119, .046 on 77 models). (2) By factor:
    ``cov(loading * theta_k, eta) / var(eta)`` over models, which adds up to 1 over factors and family offsets.

    *Tasks.* A head reads ``w . z``; the same direction as weights on benchmarks is the shortest vector ``b`` with
    ``b . (standardised benchmark logits) = w . z``, the pseudo-inverse, which for principal components is the
    published mapping (section 3.4 and fig. 4d: ``w`` times the component loadings). Units: logits of the task for one
    sd, over the models, of the benchmark's logits. Benchmarks that a task leaves out have no weight.
    """
    posterior, layout = fit.posterior, fit.layout
    if layout.structure.is_sparse:
        raise InputError("Factors of a sparse table are not taken apart", "see loading in fit.draws")
    p = posterior.measurement(posterior.complete)
    names, anchors = list(layout.benchmarks), list(layout.factors)
    loading, offset = p["loading"], p["family_offset"][:, posterior.family]

    facts = fit.table.benchmarks.loc[names]
    kinds = np.where(facts["signed"], "signed", "at least 0").astype(object)
    kinds[[names.index(a) for a in anchors]] = "fixed (anchor)"
    table = interval_columns(loading.reshape(len(loading), -1))
    table.insert(0, "identified", np.repeat(kinds, len(anchors)))
    table.insert(0, "factor", anchors * len(names))
    table.insert(0, "benchmark", np.repeat(names, len(anchors)))

    part = p["theta"][:, :, None] * loading[:, None]  # (S, M, I, K)
    eta = np.asarray(benchmark_predictor(p, p["theta"], offset))
    expected = np.asarray(expected_benchmarks(p, p["theta"], offset, facts["chance"].to_numpy(float)))
    variance, needed = _components(fit.table, expected, names)
    parts = {"variance": variance, "needed": needed, "shares": _shares(part, offset, eta, names, anchors)}
    tasks = [task for task in fit.tasks if posterior.has_head(task)]
    if tasks:
        parts["tasks"] = pd.concat([_task_weights(fit, task) for task in tasks], ignore_index=True)
    return Factors(table, _sentences(parts, table, anchors), fit.problems, parts)


def published_components(table: ScoreTable) -> pd.Series:
    """Share of the variance that each principal component of the observed scores explains (Ruan et al. 2024, sec. 3.2).

    Missing scores are imputed as the published code does; benchmarks are centred, not scaled.
    """
    scores = table.matrix(table.benchmark_names).dropna(axis=1, how="all").to_numpy()
    filled, scaler, _ = fill_scores(scores)
    share = PCA().fit(scaler.inverse_transform(filled)).explained_variance_ratio_
    return pd.Series(share, index=pd.RangeIndex(1, len(share) + 1, name="component"), name="share")


def _components(table: ScoreTable, expected: np.ndarray, names: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Variance explained by principal components of expected scores (S, M, I), beside those of the observed ones."""
    centred = expected - expected.mean(axis=1, keepdims=True)
    values = np.linalg.eigvalsh(np.einsum("smi,smj->sij", centred, centred))[:, ::-1]
    share = values / values.sum(axis=1, keepdims=True)
    published = published_components(table).reindex(range(1, len(names) + 1)).to_numpy()
    variance = interval_columns(share)
    variance.insert(0, "published", published)
    variance.insert(0, "component", np.arange(1, len(names) + 1))
    enough = np.cumsum(share, axis=1) >= ENOUGH
    first = enough.argmax(axis=1) + 1
    counts = np.arange(1, len(names) + 1)
    needed = pd.DataFrame(
        {
            "components": counts,
            "probability": (first[:, None] == counts).mean(axis=0),
            "published_cumulative": np.cumsum(published),
        }
    )
    return variance, needed


def _shares(
    part: np.ndarray, offset: np.ndarray, eta: np.ndarray, names: list[str], anchors: list[str]
) -> pd.DataFrame:
    """Share of the variance of linear predictors (S, M, I) that each factor and the family offsets make up."""

    def with_eta(values: np.ndarray) -> np.ndarray:
        return np.asarray(((values - values.mean(axis=1, keepdims=True)) * centred).sum(axis=1))

    centred = eta - eta.mean(axis=1, keepdims=True)
    total = (centred**2).sum(axis=1)  # (S, I)
    sources = {**{a: with_eta(part[..., k]) for k, a in enumerate(anchors)}, "family offsets": with_eta(offset)}
    rows = []
    for source, covariance in sources.items():
        pooled = covariance.sum(axis=1, keepdims=True) / total.sum(axis=1, keepdims=True)
        frame = interval_columns(np.concatenate([covariance / total, pooled], axis=1))
        frame.insert(0, "source", source)
        frame.insert(0, "benchmark", [*names, "all"])
        rows.append(frame)
    return pd.concat(rows, ignore_index=True)


def _task_weights(fit: CapabilityFit, task: str) -> pd.DataFrame:
    """What a task's head reads, as weights on benchmarks."""
    posterior, layout = fit.posterior, fit.layout
    predictors = posterior.predictors_of(task)
    kept = [i for i, name in enumerate(layout.benchmarks) if name not in layout.predictor_sets[predictors]]
    names = [layout.benchmarks[i] for i in kept]
    p = posterior.measurement(predictors)
    loading = p["loading"][:, kept]
    weight = posterior.heads["weight"][:, layout.tasks.index(task)] / posterior.scales[1][:, predictors, 0]
    logits = np.asarray(benchmark_predictor(p, p["theta"]))[..., kept]
    scaled = loading / logits.std(axis=1)[..., None]  # (S, I, K): benchmark logits in sd, per unit of theta
    back = np.einsum("ski,sk->si", np.linalg.pinv(scaled), weight)
    frame = interval_columns(back)
    frame["probability_positive"] = (back > 0).mean(axis=0)
    frame.insert(0, "benchmark", names)
    frame.insert(0, "task", task)
    return frame


def _sentences(parts: dict[str, pd.DataFrame], table: pd.DataFrame, anchors: list[str]) -> tuple[str, ...]:
    variance, needed, shares = parts["variance"], parts["needed"], parts["shares"]
    said = [
        f"{len(anchors)} factors, each the logit scale of its anchor ({', '.join(anchors)}), whose loadings are fixed: "
        "that settles sign and rotation.",
    ]
    signed = list(dict.fromkeys(table.loc[table["identified"] == "signed", "benchmark"]))
    if signed:
        said.append(f"Loadings are at least 0 by assumption, but for {', '.join(signed)}, which may fall.")
    top = [f"{row.median:.3f} ({row.q5:.3f} to {row.q95:.3f})" for row in variance.head(3).itertuples()]
    published = ", ".join(f"{value:.3f}" for value in variance["published"].head(3))
    said.append(
        f"Principal components of the expected scores explain {', '.join(top)} of their variance; of the observed "
        f"scores, as published: {published}."
    )
    likely = needed.loc[needed["probability"].idxmax()]
    of_scores = int((needed["published_cumulative"] < ENOUGH).sum()) + 1
    said.append(
        f"By the 97 % rule {likely['components']:.0f} components are needed (probability {likely['probability']:.2f}); "
        f"the observed scores need {of_scores}."
    )
    overall = shares[shares["benchmark"] == "all"]
    said.append(
        "Variance of benchmark logits by source: "
        + ", ".join(f"{row.source} {row.median:.2f} ({row.q5:.2f} to {row.q95:.2f})" for row in overall.itertuples())
        + "."
    )
    for task, rows in parts["tasks"].groupby("task", sort=False) if "tasks" in parts else ():
        first = rows.loc[rows["median"].idxmax()]
        said.append(
            f"{task} leans most on {first['benchmark']}: {first['median']:.2f} logits per sd (90 % interval "
            f"{first['q5']:.2f} to {first['q95']:.2f})."
        )
    return tuple(said)
