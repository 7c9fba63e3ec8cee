"""Latent compute: the FLOPs of models whose training nobody has published, read off their scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayes_obscaling.analyses.finding import Finding
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.fitting import Progress, fit
from bayes_obscaling.models.capability import COMPUTE_CENTRE, CapabilitySpec
from bayes_obscaling.results.fit import Fit
from bayes_obscaling.results.summaries import interval_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class LatentCompute(Finding):
    """Posterior of unknown training compute.

    ``table`` has a row a model: ``family``, ``siblings`` (models of its family with known FLOPs), ``scores`` (seen
    benchmark scores), ``median, q5, q25, q75, q95`` in FLOPs, ``sd_decades`` of the posterior and ``learned``, the
    share of the prior's variance that the scores took away. In a check there are also ``flops`` (the hidden truth),
    ``error`` (log10 of median over truth) and ``pit``; ``parts["coverage"]`` says how often the intervals held it, and
    ``spread`` (root mean square of error over posterior sd) by how much to widen them.
    """

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the intervals; see `bayes_obscaling.plots.capability`."""
        from bayes_obscaling.plots.capability import plot_latent_compute

        return plot_latent_compute(self, ax=ax)


def latent_compute(fit: Fit, *, widen: float = 1.0) -> LatentCompute:
    """Posterior of the compute of the models of unknown FLOPs.

    Parameters
    ----------
    fit : Fit
        From `bayes_obscaling.fit` or `load_fit`.
    widen : float
        Stretch the draws about their median, in log10 FLOPs, by this factor: the ``spread`` that
        `check_latent_compute` found.

    Returns
    -------
    LatentCompute

    Raises
    ------
    InputError
        When every model's FLOPs are known, or for a factor that is not positive.

    Notes
    -----
    The prior of log10 FLOPs is normal (``Priors.unknown_compute``; by default mean 23, sd 1: 90 % between 2.2e21 and
    4.4e24 FLOPs), the same for every model. A model's scores say what it can do; its family's line, or for a family
    without known FLOPs the population of families, says what compute that takes.

    The model takes the residuals of a model, and the intercepts of a family, to be independent across capabilities.
    An efficient model or family tends to be so in all of them, so that several capabilities say less about compute than
    the posterior believes: unwidened intervals are too narrow, and `check_latent_compute` says by how much.
    """
    if not widen > 0:
        raise InputError(f"Intervals cannot be widened by a factor of {widen}: give a positive number, such as 2.")
    models = fit.table.models
    unknown = models.index[models["flops"].isna()]
    if not len(unknown):
        raise InputError(
            "The FLOPs of every model are known: there is nothing to infer (check the method by hiding some)."
        )
    table, _ = _posterior(fit, unknown, widen)
    prior = fit.spec.priors.unknown_compute
    alone = table[table["siblings"] == 0]
    sentences = [
        f"{len(table)} models of unknown FLOPs, {len(alone)} of them in families of which no FLOPs are known.",
        f"The prior of log10 FLOPs is N({prior.loc + COMPUTE_CENTRE:g}, {prior.scale:g}); the scores took away "
        f"{table['learned'].min():.0%} to {table['learned'].max():.0%} of its variance.",
        f"Intervals are widened by a factor of {widen:g}."
        if widen != 1
        else "Intervals are not widened: in a check they have been too narrow (check_latent_compute, or --check).",
    ]
    for row in table.sort_values("median", ascending=False).head(3).itertuples():
        sentences.append(f"{row.model}: {row.median:.2g} FLOPs (90 % interval {row.q5:.2g} to {row.q95:.2g}).")
    return LatentCompute(table, tuple(sentences), fit.problems)


def check_latent_compute(
    table: ScoreTable,
    *,
    folds: int = 5,
    whole_families: bool = False,
    spec: CapabilitySpec | None = None,
    chains: int = 4,
    draws: int = 500,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress | None = None,
) -> LatentCompute:
    """Hide the FLOPs of models that have them, infer them, and compare.

    Parameters
    ----------
    table : ScoreTable
        The scores; models of unknown FLOPs stay unknown and are not judged.
    folds : int
        Number of fits; in each the FLOPs of about one in `folds` models are hidden, at random, so that every model is
        judged once.
    whole_families : bool
        Hide the FLOPs of whole families instead, as if nothing were known of their training: the case of families
        whose maker publishes none.
    spec, chains, draws, seed, cache, progress
        As in `bayes_obscaling.fit`.

    Returns
    -------
    LatentCompute

    Raises
    ------
    InputError
        For fewer than two folds, or more than there are models (families) of known FLOPs.
    """
    facts = table.models
    known = facts[facts["flops"].notna()]
    things = known["family"].unique() if whole_families else known.index.to_numpy()
    if not 2 <= folds <= len(things):
        what = "families" if whole_families else "models"
        raise InputError(
            f"{folds} folds of {len(things)} {what} of known FLOPs: take at least 2 and at most as many as there are."
        )
    fold_of = dict(zip(np.random.default_rng(seed).permutation(things), np.arange(len(things)) % folds, strict=True))
    number = (known["family"] if whole_families else known.index.to_series()).map(fold_of)
    parts, problems = [], []
    for fold in range(folds):
        hidden = known.index[number == fold]

        def tell(label: str, done: int, total: int, fold: int = fold) -> None:
            if progress is not None:
                progress(f"fold {fold + 1} of {folds}: {label}", done, total)

        fitted = fit(
            _without_flops(table, hidden), table.benchmark_names, spec=spec, chains=chains, draws=draws, seed=seed,
            cache=cache, progress=tell,
        )  # fmt: skip
        frame, values = _posterior(fitted, hidden)
        truth = np.log10(known.loc[hidden, "flops"].to_numpy())
        frame["flops"] = 10.0**truth
        frame["error"] = np.log10(frame["median"].to_numpy()) - truth
        frame["pit"] = (values < truth).mean(axis=0)
        frame["fold"] = fold + 1
        parts.append(frame)
        problems += [f"fold {fold + 1}: {problem}" for problem in fitted.problems]
    result = pd.concat(parts, ignore_index=True)
    coverage = _coverage(result)
    every = coverage.iloc[0]
    sentences = [
        f"FLOPs of {len(result)} models of {result['family'].nunique()} families hidden in {folds} fits "
        f"({'whole families' if whole_families else 'models at random'}): the 50 % interval held "
        f"{every['coverage_50']:.0%}, the 90 % interval {every['coverage_90']:.0%}; mean absolute error "
        f"{every['mean_abs_error']:.2f} decades, with {every['prior_abs_error']:.2f} for the prior's median.",
        f"Errors are {every['spread']:.2f} times as large as the posterior sd says: widen intervals by that factor.",
    ]
    worst = result.loc[result["error"].abs().idxmax()]
    sentences.append(
        f"Farthest off: {worst['model']}, {worst['median']:.2g} instead of {worst['flops']:.2g} FLOPs "
        f"(90 % interval {worst['q5']:.2g} to {worst['q95']:.2g})."
    )
    return LatentCompute(result, tuple(sentences), tuple(problems), {"coverage": coverage})


def _without_flops(table: ScoreTable, hidden: pd.Index) -> ScoreTable:
    """The table with those FLOPs unknown, their models first: the same places in every fold, hence one compilation."""
    models = table.models
    models.loc[hidden, "flops"] = np.nan
    models["known"] = models["flops"].notna()
    models = models.sort_values("known", kind="stable").drop(columns="known")
    return ScoreTable(models, table.benchmarks, table.scores, table.notes)


def _posterior(fit: Fit, models: pd.Index, widen: float = 1.0) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of the table, and draws of log10 FLOPs (S, models)."""
    labels = [str(p) for p in fit.draws["predictors"].to_numpy()]
    index = labels.index("all") if "all" in labels else 0
    compute = fit.draws["compute"].isel(predictors=index).sel(model=list(models))
    values = compute.stack(sample=("chain", "draw")).transpose("sample", "model").to_numpy() + COMPUTE_CENTRE
    middle = np.median(values, axis=0)
    values = middle + widen * (values - middle)
    facts = fit.table.models
    siblings = facts.groupby("family")["flops"].count()
    frame = 10.0 ** interval_columns(values)
    frame.insert(0, "scores", fit.table.matrix(fit.table.benchmark_names).loc[models].notna().sum(axis=1).to_numpy())
    frame.insert(0, "siblings", siblings[facts.loc[models, "family"]].to_numpy())
    frame.insert(0, "family", facts.loc[models, "family"].to_numpy())
    frame.insert(0, "model", list(models))
    frame["sd_decades"] = values.std(axis=0)
    frame["learned"] = 1 - values.var(axis=0) / fit.spec.priors.unknown_compute.scale**2
    frame["prior_median"] = 10.0 ** (fit.spec.priors.unknown_compute.loc + COMPUTE_CENTRE)
    return frame, values


def _coverage(result: pd.DataFrame) -> pd.DataFrame:
    """Coverage and error over all models, and apart for those with and without siblings of known FLOPs."""
    groups: list[tuple[str, pd.Series]] = [
        ("all", result["flops"].notna()),
        ("siblings of known FLOPs", result["siblings"] > 0),
        ("none in the family", result["siblings"] == 0),
    ]
    rows = []
    for name, mask in groups:
        mine = result[mask]
        if mine.empty:
            continue
        rows.append(
            {
                "models": name,
                "n": len(mine),
                "coverage_50": mine["flops"].between(mine["q25"], mine["q75"]).mean(),
                "coverage_90": mine["flops"].between(mine["q5"], mine["q95"]).mean(),
                "mean_abs_error": mine["error"].abs().mean(),
                "bias": mine["error"].mean(),
                "prior_abs_error": np.log10(mine["prior_median"] / mine["flops"]).abs().mean(),
                "sd_decades": mine["sd_decades"].mean(),
                "spread": np.sqrt(((mine["error"] / mine["sd_decades"]) ** 2).mean()),
            }
        )
    return pd.DataFrame(rows)
