"""Factors: what the capabilities are, how much they explain, how many there should be, and what tasks read."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.decomposition import PCA

from bayes_obscaling.analyses.finding import Finding
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.baselines import fill_scores
from bayes_obscaling.evaluation.cutoff_study import cutoff_study
from bayes_obscaling.evaluation.scoring import paired_differences
from bayes_obscaling.inference.fitting import Progress, fit
from bayes_obscaling.models.capability import CapabilitySpec, feature_scale
from bayes_obscaling.results.fit import Fit
from bayes_obscaling.results.leave_one_out import PARETO_LIMIT, predict_left_out
from bayes_obscaling.results.summaries import interval_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Share of the variance after which the paper stops counting components: 97 % in round numbers, its three having 96.7 %.
ENOUGH = 0.965
# Where tasks are cut in choosing the number of factors, as shares of their published cutoffs.
_PULLED_BACK = (0.1, 0.2, 0.5)


@dataclass(frozen=True, eq=False)
class Factors(Finding):
    """What the capabilities are made of.

    ``table`` has a row a benchmark and factor: the loading (logits of the benchmark a unit of the factor) and how it is
    ``identified``. ``parts``: ``variance`` (share of the variance of scores that each principal component explains,
    ours with intervals beside the paper's), ``needed`` (probability that so many components reach 97 %), ``shares``
    (share of a benchmark's variance over models, in logits, that comes from each factor and from family offsets), and
    ``tasks`` (what a task's head reads, mapped back to benchmarks).
    """

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the loadings; see `bayes_obscaling.plots.capability.plot_factors`."""
        from bayes_obscaling.plots.capability import plot_factors

        return plot_factors(self, ax=ax)


@dataclass(frozen=True, eq=False)
class FactorChoice(Finding):
    """How well each number of factors predicts.

    ``table`` has a row a number of ``factors``: ``elpd`` and ``difference`` to the best with its standard error ``se``
    (leave-one-score-out), ``p_loo``, ``bad_k`` (scores whose Pareto k is above .7), and, where asked for,
    leave-future-out ``crps``, ``mae``, ``crps_difference`` and ``crps_se`` (over families) over ``cells`` forecasts.
    """


def factors(fit: Fit) -> Factors:
    """Describe the capabilities of a fit.

    Parameters
    ----------
    fit : Fit
        From `bayes_obscaling.fit` or `load_fit`. Task weights are given for the tasks that it was asked for.

    Returns
    -------
    Factors

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
    draws = fit.draws
    labels = [str(p) for p in draws["predictors"].to_numpy()]
    index = labels.index("all") if "all" in labels else 0
    names = [str(b) for b in draws["benchmark"].to_numpy()]
    anchors = [str(f) for f in draws["factor"].to_numpy()]
    mine = draws.isel(predictors=index).stack(sample=("chain", "draw")).transpose("sample", ...)
    theta, loading, difficulty, gap = (
        np.asarray(mine[site].to_numpy(), float) for site in ("theta", "loading", "difficulty", "ceiling_gap")
    )
    families = list(draws["family"].to_numpy())
    family = [families.index(name) for name in fit.table.models["family"]]
    offset = mine["family_offset"].to_numpy()[:, family]

    facts = fit.table.benchmarks.loc[names]
    kinds = np.where(facts["signed"], "signed", "at least 0").astype(object)
    kinds[[names.index(a) for a in anchors]] = "fixed (anchor)"
    table = interval_columns(loading.reshape(len(loading), -1))
    table.insert(0, "identified", np.repeat(kinds, len(anchors)))
    table.insert(0, "factor", anchors * len(names))
    table.insert(0, "benchmark", np.repeat(names, len(anchors)))

    part = theta[:, :, None] * loading[:, None]  # (S, M, I, K)
    eta = part.sum(axis=-1) + difficulty[:, None] + offset
    chance = facts["chance"].to_numpy(float)
    expected = chance + (1 - chance) * (1 - gap[:, None]) * expit(eta)
    variance, needed = _components(fit.table, expected, names)
    parts = {"variance": variance, "needed": needed, "shares": _shares(part, offset, eta, names, anchors)}
    tasks = [task for task in fit.tasks if task not in names]
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


def _task_weights(fit: Fit, task: str) -> pd.DataFrame:
    """What a task's head reads, as weights on benchmarks."""
    draws, observed = fit.draws, fit.posterior["observed_data"]
    label = str(observed["task_predictors"].sel(task=task).item())
    left_out = fit.table.benchmarks.loc[task, "excludes"]
    names = [str(b) for b in draws["benchmark"].to_numpy() if b not in left_out]
    mine = draws.sel(predictors=label, benchmark=names).stack(sample=("chain", "draw")).transpose("sample", ...)
    theta, loading = mine["theta"].to_numpy(), mine["loading"].to_numpy()
    _, spread = feature_scale(theta, observed["reference"].to_numpy())
    weight = mine["weight"].sel(task=task).to_numpy() / np.asarray(spread)[:, 0]
    logits = np.einsum("smk,sik->smi", theta, loading)
    scaled = loading / logits.std(axis=1)[..., None]  # (S, I, K): benchmark logits in sd, a unit of theta
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
            f"{task} leans most on {first['benchmark']}: {first['median']:.2f} logits a sd (90 % interval "
            f"{first['q5']:.2f} to {first['q95']:.2f})."
        )
    return tuple(said)


# --- how many -----------------------------------------------------------------------------------------------------


def compare_factors(
    table: ScoreTable,
    counts: Sequence[int] = (1, 2, 3, 4, 5),
    *,
    future: bool = True,
    spec: CapabilitySpec | None = None,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress | None = None,
) -> FactorChoice:
    """Compare numbers of factors by how well they predict what they have not seen.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    counts : sequence of int
        Numbers of factors, 1 to 8.
    future : bool
        Add the leave-future-out score (many fits: minutes a count).
    spec : CapabilitySpec, optional
        All else that is believed; default ``CapabilitySpec()``.
    chains, draws, seed, cache, progress
        As in `bayes_obscaling.fit`; finished fits of the leave-future-out score are kept in the cache too.

    Returns
    -------
    FactorChoice

    Raises
    ------
    InputError
        For no counts or an impossible one, and, with `future`, when no task has a published cutoff.

    Notes
    -----
    *Leave-one-out* is over single benchmark scores: PSIS with the model's capabilities, its family's line and its
    family's offset on the benchmark integrated out (`bayes_obscaling.results.leave_one_out`). Capabilities belong to
    models, so that the question is "this model's other scores are known, what is this one?"; a new model, or a new
    family, is another question.

    *Leave-future-out*: the tasks are pulled back to a tenth, a fifth and a half of their published cutoffs and forecast
    up to these; every model beyond the largest published cutoff and every task score beyond its task's own are taken
    out of the table first, so that no score that the published setups hold out enters the choice.
    """
    base = spec or CapabilitySpec()
    wanted = sorted(dict.fromkeys(int(k) for k in counts))
    if not wanted:
        raise InputError("No number of factors was given: name some, such as 1:5.")
    specs = {k: CapabilitySpec(**{**base.model_dump(), "n_factors": k}) for k in wanted}
    pointwise, rows, problems = {}, [], []
    for k, chosen in specs.items():

        def tell(label: str, done: int, total: int, k: int = k) -> None:
            if progress is not None:
                progress(f"{k} factors: {label}", done, total)

        fitted = fit(
            table, table.benchmark_names, spec=chosen, chains=chains, draws=draws, seed=seed, cache=cache, progress=tell
        )
        problems += [f"{k} factors: {problem}" for problem in fitted.problems]
        left_out = predict_left_out(fitted)
        pointwise[k] = left_out["elpd"].to_numpy()[np.isfinite(left_out["elpd"].to_numpy())]
        rows.append(
            {
                "factors": k,
                "elpd": pointwise[k].sum(),
                "p_loo": left_out.attrs["p_loo"],
                "bad_k": int((left_out["pareto_k"] > PARETO_LIMIT).sum()),
                "scores": len(pointwise[k]),
            }
        )
    frame = pd.DataFrame(rows)
    best = int(frame.loc[frame["elpd"].idxmax(), "factors"])
    for place, k in enumerate(wanted):
        apart = pointwise[k] - pointwise[best]
        frame.loc[place, ["difference", "se"]] = apart.sum(), np.sqrt(len(apart)) * apart.std()
    said = [_loo_sentence(frame, best)]
    if future:
        scored, notes = _leave_future_out(table, specs, chains, draws, seed, cache, progress)
        frame = frame.merge(scored, on="factors", how="left")
        problems += notes
        leader = frame.loc[frame["crps"].idxmin()]
        said.append(
            f"Leave-future-out: {leader['factors']:.0f} factors forecast best (CRPS {leader['crps']:.4f} over "
            f"{leader['cells']:.0f} scores below the published cutoffs); "
            + ", ".join(
                f"{row.factors}: {row.crps_difference:+.4f} (standard error {row.crps_se:.4f})"
                for row in frame[frame["factors"] != leader["factors"]].itertuples()
            )
            + "."
        )
    return FactorChoice(frame, tuple(said), tuple(problems))


def _loo_sentence(frame: pd.DataFrame, best: int) -> str:
    others = frame[frame["factors"] != best]
    apart = ", ".join(f"{row.factors}: {row.difference:.1f} +- {row.se:.1f}" for row in others.itertuples())
    return (
        f"Leave-one-score-out: {best} factors predict best; difference of log density, +- standard "
        f"error, {apart or 'to none'}. "
        f"Pareto k above {PARETO_LIMIT} for at most {frame['bad_k'].max()} of {frame['scores'].max()} scores."
    )


def before_cutoffs(table: ScoreTable) -> ScoreTable:
    """The table less all that the published setups hold out: what a choice may be based on.

    Models beyond the largest published cutoff, or of unknown compute, are dropped, and scores on a task of models
    beyond that task's own cutoff.
    """
    models, cutoffs = table.models, table.benchmarks["cutoff_flops"].dropna()
    if cutoffs.empty:
        raise InputError("No task of the table has a published cutoff: leave out the leave-future-out score.")
    slack = 1 + 1e-9
    kept = models[models["flops"] <= cutoffs.max() * slack]
    scores = table.scores[table.scores["model"].isin(kept.index)]
    limit = scores["benchmark"].map(table.benchmarks["cutoff_flops"]).fillna(np.inf)
    early = scores["model"].map(models["flops"]) <= limit * slack
    return ScoreTable(kept, table.benchmarks, scores[early], table.notes)


def _leave_future_out(
    table: ScoreTable,
    specs: dict[int, CapabilitySpec],
    chains: int,
    draws: int,
    seed: int,
    cache: Path | str | None,
    progress: Progress | None,
) -> tuple[pd.DataFrame, list[str]]:
    """Scores of forecasts from pulled-back cutoffs, by number of factors."""
    early = before_cutoffs(table)
    facts = early.benchmarks.loc[early.task_names]
    facts = facts[facts["cutoff_flops"].notna() & facts["n_items"].notna()]
    names = {str(k): chosen for k, chosen in specs.items()}
    cells = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(cache) / "factor_choice" if cache is not None else Path(scratch)
        for cutoff, group in facts.groupby("cutoff_flops", sort=False):
            study = cutoff_study(
                early, list(group.index), [share * float(str(cutoff)) for share in _PULLED_BACK], folder, specs=names,
                methods=(), chains=chains, draws=draws, seed=seed, cache=cache, progress=progress,
            )  # fmt: skip
            if study.failures:
                raise InputError(f"A fit of the leave-future-out score failed: {next(iter(study.failures.values()))}.")
            cells.append(study.cells)
    joined = pd.concat(cells, ignore_index=True)
    fits = joined.groupby(["spec", "cutoff"])["converged"].all()
    bad = int((~fits.astype(bool)).sum())
    problems = [f"leave-future-out: {bad} of {len(fits)} fits have not converged; take more draws"] if bad else []
    # Whose forecast it is stands in `method`: so specs are compared as methods are.
    joined = joined.assign(method=joined["spec"], setup=joined["cutoff"].map("{:.3g}".format)).drop(columns="spec")
    scored = joined.groupby("method").agg(crps=("crps", "mean"), mae=("median", "size"), cells=("crps", "size"))
    scored["mae"] = (joined["median"] - joined["observed"]).abs().groupby(joined["method"]).mean()
    best = str(scored["crps"].idxmin())
    apart = paired_differences(joined, best, (), "crps").set_index("method")
    scored["crps_difference"], scored["crps_se"] = -apart["difference"], apart["se"]
    scored.loc[best, ["crps_difference", "crps_se"]] = 0.0
    return scored.rename_axis("factors").reset_index().astype({"factors": int}), problems
