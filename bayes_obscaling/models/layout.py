"""From a table, a split and a spec to the arrays of the capability model: what is seen, and what is hidden."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.data.splits import Split
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import Covariates, Measurements, TaskScores, covariates_of, ratio_of
from bayes_obscaling.models.cells import cells_of, reasons
from bayes_obscaling.models.links import inverse_items
from bayes_obscaling.models.spec import SIZE_AND_DATA, CapabilitySpec, Structure

# Least share of models whose size and tokens are known for a law that reads them.
_LEAST_SIZED = 0.5
# What benchmarks are called together of which nobody says what they ask.
_NO_CATEGORY = "no category"


@dataclass(frozen=True)
class Layout:
    """One fit as arrays.

    Attributes
    ----------
    models, families, benchmarks, tasks : tuple of str
        Labels of the axes; `tasks` are all the tasks that are fitted together, asked for or not.
    predictor_sets : tuple of tuple of str
        Benchmarks left out of the predictors, one entry per measurement fit; tasks that leave out the same share it.
    factors : tuple of str
        Name of each factor: its anchor benchmark.
    structure : Structure
        Sizes and switches, the same for all predictor sets: one compiled sampler.
    measurements : tuple of Measurements
        One entry per predictor set.
    task_scores : TaskScores or None
        None when only standard benchmarks are forecast.
    reference : array (M,)
        1 for models with a visible task score.
    notes : tuple of str
        What the reader of a forecast should know.
    categories : tuple of str
        Categories of benchmarks that drift together; empty where none does.
    """

    models: tuple[str, ...]
    families: tuple[str, ...]
    benchmarks: tuple[str, ...]
    tasks: tuple[str, ...]
    predictor_sets: tuple[tuple[str, ...], ...]
    factors: tuple[str, ...]
    structure: Structure
    measurements: tuple[Measurements, ...]
    task_scores: TaskScores | None
    reference: np.ndarray
    notes: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def n_cells(self) -> int:
        """Number of scores of a sparse table; 0 of another."""
        cells = self.measurements[0].cells
        return 0 if cells is None else len(cells.score)

    @property
    def predictor_labels(self) -> tuple[str, ...]:
        """Names of the predictor sets: "all", or "without ..."."""
        return tuple(f"without {', '.join(left_out)}" if left_out else "all" for left_out in self.predictor_sets)

    @property
    def labels(self) -> dict[str, list[str]]:
        """Labels of every plate of the model, and of the predictor sets."""
        s = self.structure

        def some(positions: Iterable[int], names: Sequence[str]) -> list[str]:
            return [names[i] for i in positions]

        return {
            "predictors": list(self.predictor_labels),
            "model": list(self.models),
            "family": list(self.families),
            "benchmark": list(self.benchmarks),
            "factor": list(self.factors),
            "task": list(self.tasks),
            "free_benchmark": some(s.free, self.benchmarks),
            "signed_benchmark": some(s.signed, self.benchmarks),
            "other_benchmark": some(s.others, self.benchmarks),
            "capped_benchmark": some(s.capped, self.benchmarks),
            "unknown_compute_model": some(s.unknown_compute, self.models),
            "inexact_compute_model": some(s.inexact_compute, self.models),
            "unknown_ratio_model": some(s.unknown_ratio, self.models),
            "unknown_chance_benchmark": some(s.unknown_chance, self.benchmarks),
            "unknown_chance_task": some(s.unknown_task_chance, self.tasks),
            "category": list(self.categories),
            **({} if self.measurements[0].cells is None else {"cell": list(map(str, range(self.n_cells)))}),
        }

    def labelled(self, arrays: Mapping[str, tuple[tuple[str, ...], Any]]) -> xr.Dataset:
        """Arrays, given with their dims by name, as a dataset with the labels of those dims."""
        return labelled(self.labels, arrays)


def labelled(labels: Mapping[str, list[str]], arrays: Mapping[str, tuple[tuple[str, ...], Any]]) -> xr.Dataset:
    """Arrays, given with their dims by name, as a dataset with the labels of those dims."""
    used = {dim for dims, _ in arrays.values() for dim in dims}
    return xr.Dataset(dict(arrays), coords={dim: names for dim, names in labels.items() if dim in used})


def lay_out(table: ScoreTable, tasks: Sequence[str], split: Split, spec: CapabilitySpec) -> Layout:
    """Lay out a table for fitting.

    Parameters
    ----------
    table : ScoreTable
        All scores, seen and unseen.
    tasks : sequence of str
        Canonical names of the tasks or benchmarks to forecast.
    split : Split
        Models whose scores on the asked tasks, and on every task fitted along, are hidden; models of which every score
        is hidden.
    spec : CapabilitySpec
        Number of factors, anchors, kind of posterior.

    Raises
    ------
    InputError
        When nothing is left to learn from.
    """
    models, facts = table.models, table.benchmarks
    shown, hidden = split.seen(models.index), models.index.isin(list(split.hidden))

    benchmarks, seen = _seen_benchmarks(table, tasks, shown, split)
    asked_tasks = [name for name in tasks if name not in table.benchmark_names]
    pool = _pooled_tasks(table, asked_tasks, shown & ~hidden, split, spec)

    excluded = [tuple(b for b in facts.loc[name, "excludes"] if b in benchmarks) for name in pool]
    asked_benchmarks = any(name in benchmarks for name in tasks)
    own = [()] if asked_benchmarks and not (pool and spec.posterior == "joint") else []  # joint: one set for all
    sets = tuple(dict.fromkeys([*own, *excluded]))
    factors = _choose_anchors(spec, facts.loc[benchmarks], seen, sets)
    categories, drifting = _categories(facts.loc[benchmarks], spec, bool(models["date"].any()))
    notes: tuple[str, ...] = ()
    if len(factors) < spec.n_factors:
        notes = (f"{len(factors)} factors instead of {spec.n_factors}: no more benchmarks can anchor one.",)
    if spec.drift != "none" and not models["date"].any():
        notes += ("No model has a release date: efficiency is taken to be constant in time.",)

    families = tuple(dict.fromkeys(models["family"]))
    family = jnp.asarray(models["family"].map(families.index).to_numpy())
    ratio = _ratios(table, spec)
    structure = _structure(table, families, benchmarks, pool, factors, spec, ratio)._replace(drifting=drifting)
    scores = _scores(table, benchmarks)
    covariates = _covariates(table, spec, ratio)
    dates = np.asarray(covariates.date) if drifting else None
    measurements = tuple(
        Measurements(
            **scores,
            seen=jnp.asarray(seen & ~np.isin(benchmarks, left_out)),
            family=family,
            covariates=covariates,
            compute_sd=jnp.asarray(models["flops_sd"].fillna(0.0).to_numpy(float)),
            walk_sd=jnp.asarray(spec.drift_walk) if structure.drift == "walk" else None,
            cells=cells_of(table, benchmarks, seen, left_out, dates) if spec.cells == "sparse" else None,
        )
        for left_out in sets
    )
    task_scores, reference = None, np.zeros(len(models))
    if pool:
        pool_seen = split.masked(table.matrix(pool)).notna().to_numpy() & (shown & ~hidden)[:, None]
        reference = pool_seen.any(axis=1).astype(float)
        task_scores = TaskScores(
            **_scores(table, pool),
            seen=jnp.asarray(pool_seen),
            family=family,
            predictors=jnp.asarray([sets.index(left_out) for left_out in excluded]),
        )
    return Layout(
        models=tuple(models.index),
        families=families,
        benchmarks=tuple(benchmarks),
        tasks=tuple(pool),
        predictor_sets=sets,
        factors=factors,
        structure=structure,
        measurements=measurements,
        task_scores=task_scores,
        reference=reference,
        notes=notes,
        categories=categories,
    )


def _categories(
    benchmarks: pd.DataFrame, spec: CapabilitySpec, is_dated: bool
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Categories of benchmarks that drift together, and the number of each benchmark's; none where none drifts."""
    if spec.benchmark_drift == "none" or spec.cells != "sparse" or not is_dated:
        return (), ()
    category = benchmarks["category"].where(benchmarks["category"] != "", _NO_CATEGORY)
    names = tuple(dict.fromkeys(category))
    return names, tuple(map(names.index, category))


def _structure(
    table: ScoreTable,
    families: tuple[str, ...],
    benchmarks: list[str],
    tasks: list[str],
    factors: tuple[str, ...],
    spec: CapabilitySpec,
    ratio: np.ndarray | None,
) -> Structure:
    """Sizes and switches of a fit."""
    models, facts = table.models, table.benchmarks
    return Structure(
        n_models=len(models),
        n_families=len(families),
        n_benchmarks=len(benchmarks),
        n_tasks=len(tasks),
        n_factors=len(factors),
        anchors=tuple(benchmarks.index(name) for name in factors),
        signed=tuple(i for i, name in enumerate(benchmarks) if facts.loc[name, "signed"]),
        no_ceiling=tuple(i for i, name in enumerate(benchmarks) if not facts.loc[name, "has_ceiling"]),
        unknown_compute=tuple(np.flatnonzero(models["flops"].isna()).tolist()),
        compute_law=spec.compute_law,
        curve=spec.curve,
        task_curve=spec.task_curve,
        drift=spec.drift if models["date"].any() else "none",
        inexact_compute=tuple(np.flatnonzero((models["flops_sd"] > 0) & models["flops"].notna()).tolist()),
        compute_trend=spec.unknown_compute == "trend" and bool(models["date"].any()),
        is_sparse=spec.cells == "sparse",
        unknown_chance=tuple(np.flatnonzero(facts.loc[benchmarks, "chance"].isna()).tolist()),
        unknown_task_chance=tuple(np.flatnonzero(facts.loc[tasks, "chance"].isna()).tolist()),
        unknown_ratio=() if ratio is None else tuple(np.flatnonzero(np.isnan(ratio)).tolist()),
    )


def _ratios(table: ScoreTable, spec: CapabilitySpec) -> np.ndarray | None:
    """Tokens per parameter (M,) as of `Covariates`, NaN where unknown; None under a law that does not read them."""
    if spec.compute_law != SIZE_AND_DATA:
        return None
    ratio = ratio_of(table.models)
    known = int(np.isfinite(ratio).sum())
    if spec.cells == "sparse" or known < _LEAST_SIZED * len(ratio):
        raise InputError(
            f"The law of size and data needs size and tokens of most models, and this table has those of {known} of "
            f"{len(ratio)}",
            "leave out compute_law (--compute-law), or give params and tokens",
        )
    return ratio


def _covariates(table: ScoreTable, spec: CapabilitySpec, ratio: np.ndarray | None) -> Covariates:
    """What lines read of the table's models; `ratio` as of `_ratios`."""
    x = _dated(covariates_of(table.models), table.models["family"], spec)
    if spec.cells == "sparse":
        x = x._replace(reasoning=reasons(table).to_numpy())
    arrays = Covariates(*map(jnp.asarray, x[:-1]))
    return arrays if ratio is None else arrays._replace(ratio=jnp.asarray(np.nan_to_num(ratio)))


def _dated(x: Covariates, family: pd.Series, spec: CapabilitySpec) -> Covariates:
    """Covariates in which every model has a date: its own, its family's, or the table's middle one."""
    date = pd.Series(np.asarray(x.date), index=family.index)
    by_family = date.groupby(family).transform("mean").fillna(date.median()).fillna(0.0)
    return x._replace(date=(by_family if spec.drift == "family" else date.fillna(by_family)).to_numpy())


def _seen_benchmarks(
    table: ScoreTable, tasks: Sequence[str], shown: np.ndarray, split: Split
) -> tuple[list[str], np.ndarray]:
    """Benchmarks with a score, and which of their scores (M, I) are seen; a benchmark that is asked for is cut too."""
    wide = table.matrix(table.benchmark_names)
    benchmarks = [name for name in wide if wide[name].notna().any()]
    if not benchmarks:
        raise InputError("The table has no benchmark scores: add scores on standard benchmarks such as MMLU.")
    seen = split.masked(wide[benchmarks]).notna().to_numpy(bool, copy=True)
    for name in (name for name in tasks if name in wide):
        if name not in benchmarks:
            raise InputError(f"No model in the table has a score on {name}: add some, or ask for another benchmark.")
        seen[:, benchmarks.index(name)] &= shown
    return benchmarks, seen


def _pooled_tasks(
    table: ScoreTable, asked: list[str], visible: np.ndarray, split: Split, spec: CapabilitySpec
) -> list[str]:
    """Tasks that are fitted together: those asked for, and all of the table that teach them something.

    That is every task that still has a visible score and counts items: an index or a BLEU has another kind of noise
    and teaches nothing about accuracies.
    """
    if not asked:
        return []
    facts, score = table.benchmarks, table.matrix(table.task_names)
    any_seen = (split.masked(score).notna().to_numpy(bool) & visible[:, None]).any(axis=0)
    counted = facts.loc[score.columns, "n_items"].notna() | score.columns.isin(asked)
    pool = [name for name, useful in zip(score, any_seen & counted, strict=True) if useful]
    for name in asked:
        if name not in pool:
            raise InputError(
                f"No model has a visible score on {name}: raise the cutoff, hold out fewer models, or add scores "
                "with --scores."
            )
    if spec.posterior == "joint":  # one theta for all: only tasks that read the same predictors fit together
        pool = [name for name in pool if facts.loc[name, "excludes"] == facts.loc[asked[0], "excludes"]]
        if left := [name for name in asked if name not in pool]:
            raise InputError(
                f"A joint posterior cannot hold tasks with different predictors ({asked[0]}, {left[0]}): "
                "forecast them one by one, or use the cut posterior."
            )
    return pool


def _scores(table: ScoreTable, names: list[str]) -> dict[str, Any]:
    """Scores (anything where there is none), inverse item counts and chance levels (NaN: to be inferred), as arrays."""
    score, counts = table.matrix(names).to_numpy(), table.item_counts(names)[names].to_numpy()
    return {
        "score": jnp.asarray(np.where(np.isfinite(score), score, 0.5)),
        "inv_items": jnp.asarray(inverse_items(counts)),
        "chance": jnp.asarray(table.benchmarks.loc[names, "chance"].to_numpy(float)),
    }


def _choose_anchors(
    spec: CapabilitySpec, benchmarks: pd.DataFrame, seen: np.ndarray, sets: tuple[tuple[str, ...], ...]
) -> tuple[str, ...]:
    """Pick the benchmarks that identify the factors: the spec's, then those with most scores, of other categories.

    An anchor must be seen in every predictor set, on at least two models, and must not fall with capability.
    """
    counts = dict(zip(benchmarks.index, seen.sum(axis=0), strict=True))
    category = benchmarks["category"].to_dict()
    able = [
        name
        for name, falls in benchmarks["signed"].items()
        if counts[name] >= 2 and not falls and not any(name in left_out for left_out in sets)
    ]
    if not able:
        raise InputError("No benchmark has two visible scores: add scores on standard benchmarks, or raise the cutoff.")
    first = [name for name in spec.anchors if name in able]
    chosen = first[: spec.n_factors]
    while len(chosen) < spec.n_factors and (rest := [name for name in able if name not in chosen]):
        # of a category that no factor stands for yet, where the table has categories
        used = {category[name] for name in chosen} - {""}
        chosen.append(min(rest, key=lambda name: (category[name] in used, -counts[name])))
    return tuple(chosen)
