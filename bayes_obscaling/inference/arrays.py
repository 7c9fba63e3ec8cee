"""From a table and a question to the arrays of the model: what is seen, what is hidden, where chains start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability import (
    CENTRING,
    COMPUTE_CENTRE,
    CapabilitySpec,
    MeasurementLayout,
    Measurements,
    TaskScores,
)
from bayes_obscaling.models.links import inverse_response

Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """One fit as arrays.

    Attributes
    ----------
    models, families, benchmarks, tasks : tuple of str
        Labels of the axes; `tasks` are all the tasks that are fitted together, asked for or not.
    predictor_sets : tuple of tuple of str
        Benchmarks left out of the predictors, one entry a measurement fit; tasks that leave out the same share it.
    factors : tuple of str
        Name of each factor: its anchor benchmark.
    layout : MeasurementLayout
        Sizes and index sets, the same for all predictor sets: one compiled sampler.
    measurements : tuple of Measurements
        One entry a predictor set.
    task_scores : TaskScores or None
        None when only standard benchmarks are forecast.
    reference : array (M,)
        1 for models with a visible task score.
    notes : tuple of str
        What the reader of a forecast should know.
    """

    models: tuple[str, ...]
    families: tuple[str, ...]
    benchmarks: tuple[str, ...]
    tasks: tuple[str, ...]
    predictor_sets: tuple[tuple[str, ...], ...]
    factors: tuple[str, ...]
    layout: MeasurementLayout
    measurements: tuple[Measurements, ...]
    task_scores: TaskScores | None
    reference: np.ndarray
    notes: tuple[str, ...] = ()


def build_problem(
    table: ScoreTable, tasks: Sequence[str], held_out: Sequence[str], from_compute: Sequence[str], spec: CapabilitySpec
) -> Problem:
    """Lay out a table for fitting.

    Parameters
    ----------
    table : ScoreTable
        All scores, seen and unseen.
    tasks : sequence of str
        Canonical names of the tasks or benchmarks to forecast.
    held_out : sequence of str
        Models whose scores on the asked tasks, and on every task fitted along, are hidden.
    from_compute : sequence of str
        Models of which every score is hidden.
    spec : CapabilitySpec
        Number of factors, anchors, kind of posterior.

    Raises
    ------
    InputError
        When nothing is left to learn from.
    """
    models, facts = table.models, table.benchmarks
    flops = models["flops"].to_numpy()
    known = np.isfinite(flops)
    shown = ~models.index.isin(list(held_out))
    latent = models.index.isin(list(from_compute))

    wide = table.matrix(table.benchmark_names)
    benchmarks = [name for name in wide if wide[name].notna().any()]
    if not benchmarks:
        raise InputError("The table has no benchmark scores: add scores on standard benchmarks such as MMLU.")
    score = wide[benchmarks].to_numpy()
    seen = np.isfinite(score) & ~latent[:, None]
    asked_benchmarks = [name for name in tasks if name in wide]
    for name in asked_benchmarks:
        if name not in benchmarks:
            raise InputError(f"No model in the table has a score on {name}: add some, or ask for another benchmark.")
        seen[:, benchmarks.index(name)] &= shown

    # Tasks are fitted together: every one of the table that still has a visible score and counts items (an index or a
    # BLEU has another kind of noise and teaches nothing about accuracies), and those asked for.
    asked_tasks = [name for name in tasks if name not in wide]
    pool: list[str] = []
    if asked_tasks:
        task_score = table.matrix(table.task_names)
        visible = task_score.notna().to_numpy() & (shown & ~latent)[:, None]
        counted = facts.loc[task_score.columns, "n_items"].notna() | task_score.columns.isin(asked_tasks)
        pool = [name for name, any_seen in zip(task_score, visible.any(axis=0) & counted, strict=True) if any_seen]
        for name in asked_tasks:
            if name not in pool:
                raise InputError(
                    f"No model has a visible score on {name}: raise the cutoff, hold out fewer models, or add scores "
                    "with --scores."
                )
        if spec.posterior == "joint":  # one theta for all: only tasks that read the same predictors fit together
            pool = [name for name in pool if facts.loc[name, "excludes"] == facts.loc[asked_tasks[0], "excludes"]]
            if left := [name for name in asked_tasks if name not in pool]:
                raise InputError(
                    f"A joint posterior cannot hold tasks with different predictors ({asked_tasks[0]}, {left[0]}): "
                    "forecast them one by one, or use the cut posterior."
                )

    excluded = [tuple(b for b in facts.loc[name, "excludes"] if b in benchmarks) for name in pool]
    own = [()] if asked_benchmarks and not (pool and spec.posterior == "joint") else []  # joint: one set for all
    sets = tuple(dict.fromkeys([*own, *excluded]))
    notes: list[str] = []
    factors = _choose_anchors(spec, benchmarks, seen, facts.loc[benchmarks, "signed"].to_numpy(bool), sets)
    if len(factors) < spec.n_factors:
        notes.append(f"{len(factors)} factors instead of {spec.n_factors}: no more benchmarks can anchor one.")

    counts = table.item_counts(benchmarks)[benchmarks].to_numpy()
    families = tuple(dict.fromkeys(models["family"]))
    family = models["family"].map(families.index).to_numpy()
    compute = np.where(known, np.log10(np.where(known, flops, 1.0)) - COMPUTE_CENTRE, 0.0)
    measurements = tuple(
        Measurements(
            score=jnp.asarray(np.where(np.isfinite(score), score, 0.5)),
            seen=jnp.asarray(seen & ~np.isin(benchmarks, left_out)),
            inv_items=jnp.asarray(_inverse(counts)),
            chance=jnp.asarray(facts.loc[benchmarks, "chance"].to_numpy(float)),
            family=jnp.asarray(family),
            compute=jnp.asarray(compute),
        )
        for left_out in sets
    )
    layout = MeasurementLayout(
        n_models=len(models),
        n_families=len(families),
        n_benchmarks=len(benchmarks),
        n_factors=len(factors),
        anchors=tuple(benchmarks.index(name) for name in factors),
        signed=tuple(i for i, name in enumerate(benchmarks) if facts.loc[name, "signed"]),
        no_ceiling=tuple(i for i, name in enumerate(benchmarks) if not facts.loc[name, "has_ceiling"]),
        unknown_compute=tuple(np.flatnonzero(~known).tolist()),
    )
    task_scores, reference = None, np.zeros(len(models))
    if pool:
        pooled = task_score[pool].to_numpy().T
        pooled_seen = np.isfinite(pooled) & (shown & ~latent)
        reference = pooled_seen.any(axis=0).astype(float)
        task_scores = TaskScores(
            score=jnp.asarray(np.where(np.isfinite(pooled), pooled, 0.5)),
            seen=jnp.asarray(pooled_seen),
            inv_items=jnp.asarray(_inverse(table.item_counts(pool)[pool].to_numpy().T)),
            chance=jnp.asarray(facts.loc[pool, "chance"].to_numpy(float)),
            family=jnp.asarray(family),
            predictors=jnp.asarray([sets.index(left_out) for left_out in excluded]),
        )
    return Problem(
        tuple(models.index), families, tuple(benchmarks), tuple(pool), sets, factors, layout, measurements,
        task_scores, reference, tuple(notes),
    )  # fmt: skip


def _inverse(counts: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(counts), 1.0 / np.where(np.isfinite(counts), counts, 1.0), 0.0)


def _choose_anchors(
    spec: CapabilitySpec, benchmarks: list[str], seen: np.ndarray, signed: np.ndarray, sets: tuple[tuple[str, ...], ...]
) -> tuple[str, ...]:
    """Pick the benchmarks that identify the factors: the spec's, then those with most scores.

    An anchor must be seen in every predictor set, on at least two models, and must not fall with capability.
    """
    counts = dict(zip(benchmarks, seen.sum(axis=0), strict=True))
    able = [
        name
        for name, falls in zip(benchmarks, signed, strict=True)
        if counts[name] >= 2 and not falls and not any(name in left_out for left_out in sets)
    ]
    if not able:
        raise InputError("No benchmark has two visible scores: add scores on standard benchmarks, or raise the cutoff.")
    first = [name for name in spec.anchors if name in able]
    rest = sorted((name for name in able if name not in first), key=lambda name: -counts[name])
    return tuple((first + rest)[: spec.n_factors])


def measurement_start(
    data: Measurements, layout: MeasurementLayout, spec: CapabilitySpec, rng: np.random.Generator
) -> Values:
    """Starting values of a chain: capabilities at the logits of the anchor scores, the rest near the prior medians.

    Parameters
    ----------
    data, layout, spec
        As in `measurement`.
    rng : Generator
        Jitter.

    Returns
    -------
    dict of arrays
        Constrained values, by sample site.
    """
    n_factors, n_benchmarks, n_families = layout.n_factors, layout.n_benchmarks, layout.n_families
    anchors = list(layout.anchors)
    chance, x = np.asarray(data.chance), np.asarray(data.compute)
    inside = np.clip(np.asarray(data.score), chance + 0.01, 0.98)
    theta = np.asarray(inverse_response(jnp.asarray(inside), data.chance, jnp.asarray(0.03)))[:, anchors].copy()
    seen = np.asarray(data.seen)[:, anchors]
    lines = np.zeros((n_factors, 2))
    for k in range(n_factors):
        rows = seen[:, k]
        steep = rows.sum() > 3 and np.ptp(x[rows]) > 0.5
        lines[k] = (
            np.polyfit(x[rows], theta[rows, k], 1) if steep else (1.0, theta[rows, k].mean() if rows.any() else 0)
        )
        theta[~rows, k] = np.polyval(lines[k], x[~rows])
    mean = lines[:, 1] + np.outer(x, lines[:, 0])
    residual_sd, centred = 0.6, np.array((CENTRING * 2)[:n_factors])

    def jitter(*shape: int) -> np.ndarray:
        return 0.1 * rng.standard_normal(shape)

    n_signed = len(layout.signed)
    n_free = n_benchmarks - n_factors - n_signed
    start = {
        "intercept_mean": lines[:, 1] + jitter(n_factors),
        "intercept_sd": np.exp(jitter(n_factors)),
        "slope_mean": np.clip(lines[:, 0], 0.3, 2.0) + jitter(n_factors),
        "slope_sd": 0.2 * np.exp(jitter(n_factors)),
        "residual_sd": residual_sd * np.exp(jitter(n_factors)),
        "intercept_raw": jitter(n_families, n_factors),
        "slope_raw": jitter(n_families, n_factors),
        "theta_raw": centred * mean + (theta - mean) / residual_sd ** (1 - centred) + jitter(*theta.shape),
        "loading_free": 0.3 * np.exp(jitter(n_free, n_factors)),
        "difficulty_free": jitter(n_benchmarks - n_factors),
        "ceiling_gap_capped": 0.04 * np.exp(jitter(n_benchmarks - len(layout.no_ceiling))),
        "family_offset_sd": 0.2 * np.exp(jitter(n_benchmarks)),
        "offset_raw": jitter(n_families, n_benchmarks),
        "overdispersion": 0.05 * np.exp(jitter(n_benchmarks)),
    }
    if n_signed:
        start["loading_signed"] = jitter(n_signed, n_factors)
    if layout.unknown_compute:
        start["compute_raw"] = jitter(len(layout.unknown_compute))
    if spec.compute_law == "box-cox":
        start["curvature"] = jitter(n_factors)
    return start


def heads_start(n_tasks: int, n_features: int, n_families: int, rng: np.random.Generator) -> Values:
    """Starting values of a head chain: near the prior medians, overdispersed."""

    def jitter(*shape: int) -> np.ndarray:
        return 0.3 * rng.standard_normal(shape)

    log_steepness_mean = np.log(2.0) + jitter() / 3
    return {
        "share_mean": jitter(n_features),
        "share_sd": 0.5 * np.exp(jitter()),
        "share_raw": jitter(n_tasks, n_features),
        "contrast_sd": 0.1 * np.exp(jitter()),
        "contrast_raw": jitter(n_tasks, n_features),
        "log_steepness_mean": log_steepness_mean,
        "steepness_sd": 0.3 * np.exp(jitter()),
        "steepness_raw": log_steepness_mean + 0.3 * jitter(n_tasks),
        "task_difficulty": -2.0 + jitter(n_tasks),
        "task_family_offset_sd": 0.3 * np.exp(jitter(n_tasks)),
        "task_offset_raw": jitter(n_tasks, n_families),
        "task_ceiling_gap": 0.01 * np.exp(jitter(n_tasks)),
        "task_overdispersion": 0.05 * np.exp(jitter(n_tasks)),
    }
