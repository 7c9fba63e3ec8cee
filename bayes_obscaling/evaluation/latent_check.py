"""A check of latent compute: hide the FLOPs of models that have them, and infer them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bayes_obscaling.analyses.latent_compute import LatentCompute, compute_of
from bayes_obscaling.checks import counted
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.inference.limits import check_sampling
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.progress import Progress, shows_progress
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.summaries import LEVELS, interval_columns

# Decades: models whose FLOPs were published with a larger error are not judged.
_EXACT_SD = 0.3


@shows_progress()
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
    progress: Progress = None,
) -> LatentCompute:
    """Return the inferred FLOPs of models whose FLOPs are known and were hidden, compared with the truth.

    Parameters
    ----------
    table : ScoreTable
        The scores; models of unknown FLOPs, or of FLOPs known to half a decade only, are not judged.
    folds : int
        Number of fits; in each the FLOPs of about one in `folds` models are hidden, at random, so that every model is
        judged once.
    whole_families : bool
        Hide the FLOPs of whole families instead, as if nothing were known of their training: the case of families
        whose maker publishes none.
    spec, chains, draws, seed, cache, progress
        As in `bayes_obscaling.fit`.

    Raises
    ------
    InputError
        For fewer than two folds, or more than there are models (families) of known FLOPs.
    """
    check_sampling(chains, draws, seed)
    # What is not known well enough says little about an estimate of it.
    known = table.models[table.models["flops"].notna() & ~(table.models["flops_sd"] > _EXACT_SD)]
    number = _folds(known, folds, whole_families, seed)
    parts, problems = [], []
    for fold in range(folds):
        hidden = known.index[number == fold]

        def tell(label: str, done: int, total: int, fold: int = fold) -> None:
            if progress:
                progress(f"fold {fold + 1} of {folds}: {label}", done, total)

        fitted = fit_table(
            _without_flops(table, hidden),
            table.benchmark_names,
            spec=spec,
            chains=chains,
            draws=draws,
            seed=seed,
            cache=cache,
            progress=tell,
        )
        parts.append(_judged(fitted, known.loc[hidden, "flops"]).assign(fold=fold + 1))
        problems += [f"fold {fold + 1}: {problem}" for problem in fitted.problems]
    result = pd.concat(parts, ignore_index=True)
    coverage = _coverage(result)
    what = f"{folds} fits ({'whole families' if whole_families else 'models at random'})"
    return LatentCompute(result, _sentences(result, coverage, what), tuple(problems), {"coverage": coverage})


def _folds(known: pd.DataFrame, folds: int, whole_families: bool, seed: int) -> pd.Series:
    """Number of the fold in which each model's FLOPs are hidden."""
    units = known["family"] if whole_families else known.index.to_series()
    names = units.unique()
    if not 2 <= folds <= len(names):
        what = "families" if whole_families else "models"
        raise InputError(
            f"{counted(folds, 'fold')} of {len(names)} {what} of known FLOPs: take at least 2 and at most as many as "
            "there are."
        )
    shuffled = np.random.default_rng(seed).permutation(names)
    return units.map(dict(zip(shuffled, np.arange(len(names)) % folds, strict=True)))


def _judged(fit: CapabilityFit, flops: pd.Series) -> pd.DataFrame:
    """Inferred compute of models beside the true FLOPs, which were hidden."""
    frame, values = compute_of(fit, flops.index)
    truth = np.log10(flops.to_numpy())
    # What was published is compute with an error of its own: the interval is judged as one for the published figure.
    error_sd = fit.table.models.loc[flops.index, "flops_sd"].fillna(0.0).to_numpy()
    values = values + error_sd * fit.posterior.rng("published compute").standard_normal(values.shape)
    frame[list(LEVELS)] = 10.0 ** interval_columns(values)[list(LEVELS)].to_numpy()
    frame["sd_decades"] = values.std(axis=0)
    error = np.log10(frame["median"].to_numpy()) - truth
    return frame.assign(flops=10.0**truth, error=error, pit=(values < truth).mean(axis=0))


def _sentences(result: pd.DataFrame, coverage: pd.DataFrame, what: str) -> tuple[str, ...]:
    every, worst = coverage.iloc[0], result.loc[result["error"].abs().idxmax()]
    return (
        f"FLOPs of {len(result)} models of {result['family'].nunique()} families hidden in {what}: the 50 % interval "
        f"held {every['coverage_50']:.0%}, the 90 % interval {every['coverage_90']:.0%}; mean absolute error "
        f"{every['mean_abs_error']:.2f} decades, with {every['prior_abs_error']:.2f} for the prior's median.",
        f"Errors are {every['spread']:.2f} times as large as the posterior sd says: widen intervals by that factor.",
        f"Farthest off: {worst['model']}, {worst['median']:.2g} instead of {worst['flops']:.2g} FLOPs "
        f"(90 % interval {worst['q5']:.2g} to {worst['q95']:.2g}).",
    )


def _without_flops(table: ScoreTable, hidden: pd.Index) -> ScoreTable:
    """The table with those FLOPs unknown, their models first: the same places in every fold, hence one compilation."""
    models = table.models
    models.loc[hidden, "flops"] = np.nan
    models["known"] = models["flops"].notna()
    models = models.sort_values("known", kind="stable").drop(columns="known")
    return ScoreTable(models, table.benchmarks, table.scores, table.notes, other_settings=table.other_settings)


def _coverage(result: pd.DataFrame) -> pd.DataFrame:
    """Coverage and error over all models, and apart for those with and without siblings of known FLOPs."""
    groups: list[tuple[str, pd.Series]] = [
        ("all", result["flops"].notna()),
        ("siblings of known FLOPs", result["siblings"] > 0),
        ("none in the family", result["siblings"] == 0),
    ]
    rows = []
    for name, mask in groups:
        group = result[mask]
        if group.empty:
            continue
        rows.append(
            {
                "models": name,
                "n": len(group),
                "coverage_50": group["flops"].between(group["q25"], group["q75"]).mean(),
                "coverage_90": group["flops"].between(group["q5"], group["q95"]).mean(),
                "mean_abs_error": group["error"].abs().mean(),
                "bias": group["error"].mean(),
                "prior_abs_error": np.log10(group["prior_median"] / group["flops"]).abs().mean(),
                "sd_decades": group["sd_decades"].mean(),
                "spread": np.sqrt(((group["error"] / group["sd_decades"]) ** 2).mean()),
            }
        )
    return pd.DataFrame(rows)
