"""fit_ladder(): lay a ladder out as arrays and sample it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from bayes_obscaling.data.ladder import Ladder, distinct
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.cache import content_hash, use_compile_cache
from bayes_obscaling.inference.nuts import Arrays
from bayes_obscaling.inference.sampling import CHUNK, Values, check_length, describe_run, sample
from bayes_obscaling.models.ladder import (
    CENTRE_FLOPS,
    CENTRE_PARAMS,
    CENTRE_TOKENS,
    LadderData,
    LadderSpec,
)
from bayes_obscaling.models.ladder import ladder as density
from bayes_obscaling.results.ladder import LadderFit, ladder_tree

# Chosen for no divergences and R-hat < 1.01 on the bundled ladder.
LADDER_SETTINGS = {"warmup": 1500, "thin": 1, "target_accept": 0.8, "max_depth": 9, "dense": True}


def fit_ladder(
    ladder: Ladder,
    spec: LadderSpec | None = None,
    *,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> LadderFit:
    """Fit the ladder model to all runs and tasks of a ladder.

    Parameters
    ----------
    ladder : Ladder
        The runs; at least 3 sizes and 3 token counts.
    spec : LadderSpec, optional
        What is believed; default ``LadderSpec()``.
    chains, draws : int
        Chains, and draws kept of each; `draws` is rounded up to a multiple of 50.
    seed : int
        Random seed. Same seed, machine and versions give the same draws.
    cache : path, optional
        Folder in which compiled programs are kept.
    progress : callable, optional
        Told ``(label, done, total)``.

    Returns
    -------
    LadderFit

    Raises
    ------
    InputError
        For fewer than 3 sizes or token counts, a column that the spec needs and the ladder lacks, too few draws.
    """
    started = time.monotonic()
    spec = spec or LadderSpec()
    check_length(chains, draws)
    data, unit = lay_out(ladder, spec)
    if cache is not None:
        use_compile_cache(Path(cache))

    def model(fixed: Arrays, _: Arrays) -> None:
        density(fixed, spec)

    def start(chain: int) -> Values:
        return ladder_start(data, spec, np.random.default_rng([seed, 4, chain]))

    shapes = (data.loss.shape, data.accuracy.shape, data.knots.shape)
    values, record, stats = sample(
        ("ladder", shapes, content_hash(spec.model_dump(), ())), model, data, None, start, LADDER_SETTINGS,
        chains, -(-draws // CHUNK) * CHUNK, [seed, 4], lambda *a: (progress or (lambda *_: None))("ladder", *a),
    )  # fmt: skip
    return LadderFit(
        ladder=ladder,
        spec=spec,
        posterior=ladder_tree(ladder, data, unit, values, stats),
        convergence=record,
        provenance=describe_run(started, ladder.data_hash, seed),
        notes=ladder.notes,
    )


def lay_out(ladder: Ladder, spec: LadderSpec) -> tuple[LadderData, np.ndarray]:
    """Arrays of a ladder, and the smallest loss seen (F,) in whose units they count losses.

    Raises
    ------
    InputError
        See `fit_ladder`.
    """
    ladder.check_rungs()
    runs = ladder.runs
    log_params = np.log(runs["params"].to_numpy() / CENTRE_PARAMS)
    log_size = log_params if spec.law == "size-and-data" else np.log(runs["flops"].to_numpy() / CENTRE_FLOPS)
    middle = ladder.by_rung(log_size)
    ratios = np.log(distinct(runs["tokens"] / runs["params"])) + np.log(CENTRE_PARAMS / CENTRE_TOKENS)
    accuracy = ladder.matrix("accuracy")
    if spec.feature == "none":
        loss = np.full((len(runs), len(ladder.tasks)), np.nan)
        unit = np.ones(len(ladder.tasks))
    else:
        loss = ladder.matrix(spec.feature)
        if not np.isfinite(loss).any(axis=0).all():
            raise InputError(f"The ladder has tasks without any {spec.feature}: choose another feature.")
        if spec.feature == "c4_loss":  # the same loss for all tasks
            loss = np.nanmean(loss, axis=1, keepdims=True)
        unit = np.nanmin(loss, axis=0)
    return (
        LadderData(
            log_size=jnp.asarray(log_size),
            log_data=jnp.asarray(np.log(runs["tokens"].to_numpy() / CENTRE_TOKENS)),
            log_params=jnp.asarray(log_params),
            size_bends=jnp.asarray(middle[1:-1]),
            ratio_bends=jnp.asarray(np.quantile(ratios, (1 / 3, 2 / 3))),
            loss=jnp.asarray(np.where(np.isfinite(loss), loss / unit, 1.0)),
            loss_seen=jnp.asarray(np.isfinite(loss)),
            accuracy=jnp.asarray(np.where(np.isfinite(accuracy), accuracy, 0.5)),
            accuracy_seen=jnp.asarray(np.isfinite(accuracy)),
            chance=jnp.asarray(ladder.tasks["chance"].to_numpy(float)),
            centre=jnp.asarray(_centre(loss / unit)),
            knots=jnp.asarray(_knots(ladder, loss) / unit[:, None]),
        ),
        unit,
    )


def _centre(loss: np.ndarray) -> np.ndarray:
    """Mean loss (F,); where none is seen (one step from compute to accuracy), a typical one."""
    seen = np.isfinite(loss)
    total = np.where(seen, loss, 0.0).sum(axis=0)
    return np.where(seen.any(axis=0), total / np.maximum(seen.sum(axis=0), 1), 1.3)


def _knots(ladder: Ladder, loss: np.ndarray) -> np.ndarray:
    """Smallest loss of all runs up to each size but the largest, (F, sizes - 1)."""
    params = ladder.runs["params"].to_numpy()
    ends = []
    for size in ladder.sizes[:-1]:
        inside = np.where((params <= size * 1.02)[:, None], loss, np.nan)
        # a loss that no run of the rung has: the next rung starts where it does
        ends.append(np.nanmin(np.where(np.isfinite(inside), inside, np.inf), axis=0))
    ends_array = np.stack(ends, axis=1)
    return np.where(np.isfinite(ends_array), ends_array, 0.0)


def ladder_start(data: LadderData, spec: LadderSpec, rng: np.random.Generator) -> Values:
    """Prior medians with a little noise."""
    (n_runs, n_losses), n_tasks, n_knots = data.loss.shape, data.accuracy.shape[1], data.knots.shape[1]

    def raw(*shape: int) -> np.ndarray:
        return rng.normal(0.0, 0.1, shape)

    shapes: dict[str, tuple[int, ...]] = {"run_sd": (), "luck": (n_runs,), "floor": (n_tasks,)}
    for name in ("size", "data") if spec.law == "size-and-data" else ("size",):
        shapes |= {f"{name}_exponent_median": (), f"{name}_exponent_spread": ()}
    shapes["level"] = (n_losses,)
    for name, count in (("loss_sd", n_losses), ("accuracy_sd", n_tasks)):
        shapes |= {f"{name}_median": (), f"{name}_spread": (), name: (count,)}
    shapes |= {"log_rise": (n_tasks,), "height": (n_tasks,), "ceiling_gap": (n_tasks,)}
    if spec.discrepancy:
        shapes |= {"slope_change_median": (), "slope_change_spread": (), "slope_change_sd": (n_tasks,)}
        shapes["slope_change"] = (n_tasks, n_knots)
        for name, at in (("size", data.size_bends), ("data", data.ratio_bends)):
            if name == "size" or spec.law == "size-and-data":
                shapes |= {f"{name}_bend_sd": (), f"{name}_bend_common": (len(at),)}
                shapes[f"{name}_bend_own"] = (n_losses, len(at))
    values: Values = {f"{name}_raw": raw(*shape) for name, shape in shapes.items()}
    if spec.discrepancy:
        values["size_bend_drift"] = raw()
        values["data_bend_drift"] = raw()
        values["bend_shared"] = 0.5 + 0.1 * raw()
    values["irreducible_share"] = 0.5 + 0.1 * raw(n_losses)
    if spec.law == "size-and-data":
        values["size_share"] = 0.5 + 0.1 * raw(n_losses)
    for name in ("size", "data") if spec.law == "size-and-data" else ("size",):
        values[f"{name}_elasticity_raw"] = np.log(0.08) + raw(n_losses)
    values["size_decay"] = 0.1 * np.exp(raw())
    values["coupling"] = 0.5 + raw()
    return values
