"""fit(): sample the capabilities once per predictor set, then the task heads along their draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from bayes_obscaling.data import ScoreTable, Split, split_by_flops
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.arrays import Problem, build_problem, heads_start, measurement_start
from bayes_obscaling.inference.cache import content_hash, load_arrays, store_arrays, use_compile_cache
from bayes_obscaling.inference.convergence import Convergence
from bayes_obscaling.inference.nuts import Arrays
from bayes_obscaling.inference.sampling import (
    CAREFUL,
    CHUNK,
    MOST_ROUNDS,
    Values,
    check_length,
    describe_run,
    sample,
)
from bayes_obscaling.models.capability import CapabilitySpec, TaskScores, features, heads, joint, measurement
from bayes_obscaling.models.priors import HEAD_PRIORS
from bayes_obscaling.results.fit import MEASUREMENT_DIMS, Fit, posterior_tree

Progress = Callable[[str, int, int], None]  # (what is being sampled, draws made, draws in all)

# Sampler settings, chosen for zero divergences and R-hat < 1.01 on the bundled tables (see docs/model_notes.md).
_MEASUREMENT = {"warmup": 800, "thin": 2, "target_accept": 0.9, "max_depth": 8}
_HEADS = {"warmup": 500, "thin": 5, "target_accept": 0.8, "max_depth": 6}

# What stored results depend on beside their content: who drew them, and how.
VERSIONS = [version(name) for name in ("jax", "numpyro", "bayes_obscaling")]
SAMPLER_SETTINGS = [_MEASUREMENT, _HEADS, CAREFUL, MOST_ROUNDS, VERSIONS]


def fit(
    table: ScoreTable,
    tasks: str | Sequence[str],
    *,
    cutoff: float | None = None,
    from_compute: bool | Sequence[str] = False,
    split: Split | None = None,
    spec: CapabilitySpec | None = None,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress | None = None,
) -> Fit:
    """Fit the capability model to a table.

    Parameters
    ----------
    table : ScoreTable
        Scores of models on benchmarks and tasks.
    tasks : str or sequence of str
        Tasks, or standard benchmarks, to forecast. All tasks of the table that have visible scores are fitted along
        with the asked ones, cut at the same place: they teach each other.
    cutoff : float, optional
        FLOPs. Scores of the asked tasks (and of those fitted along) are seen only for models at or below it; models
        of unknown compute count as above. Default: every score is seen.
    from_compute : bool or sequence of str
        Forecast these models from family and FLOPs alone: every score of theirs is hidden. True: all models above
        the cutoff.
    split : Split, optional
        Any other way to hold models out (see `bayes_obscaling.data.splits`), instead of `cutoff` and `from_compute`.
    spec : CapabilitySpec, optional
        What is believed; default ``CapabilitySpec()``.
    chains, draws : int
        Chains, and draws kept of each; `draws` is rounded up to a multiple of 50.
    seed : int
        Random seed. Same seed, machine and versions give the same draws.
    cache : path, optional
        Folder in which measurement draws and compiled programs are kept; default none.
    progress : callable, optional
        Told ``(label, done, total)`` as draws are made.

    Returns
    -------
    Fit

    Raises
    ------
    InputError
        For an unknown task, a cutoff below every model, nothing to learn from, too few chains or draws.
    """
    started = time.monotonic()
    spec = spec or CapabilitySpec()
    check_length(chains, draws)
    draws = -(-draws // CHUNK) * CHUNK
    names = table.resolve_all(tasks)
    if not names:
        raise InputError("No task was named: name one, such as word_unscrambling.")
    if split is None:
        split = Split("all seen", ()) if cutoff is None else split_by_flops(table, cutoff)
        hidden = _hidden_models(table, split, from_compute)
    elif cutoff is None and from_compute is False:
        hidden = split.held_out if split.hides == "all" else ()
    else:
        raise InputError("Give a split, or a cutoff and from_compute, not both.")
    problem = build_problem(table, names, split.held_out, hidden, spec)
    folder = Path(cache) if cache is not None else None
    if folder is not None:
        use_compile_cache(folder)
    tell = progress or (lambda *_: None)

    values: Values
    convergence: dict[str, Convergence] = {}
    if spec.posterior == "joint" and problem.task_scores is not None:
        values, convergence["joint"], stats = _sample_joint(problem, spec, chains, draws, seed, tell)
    else:
        sets = []
        for index, left_out in enumerate(problem.predictor_sets):
            label = "capabilities" + (f" without {', '.join(left_out)}" if left_out else "")
            sampled, record, measured = _sample_measurement(
                problem, index, spec, chains, draws, seed, folder, lambda *a, label=label: tell(label, *a)
            )
            sets.append((sampled, measured))
            convergence[label] = record
        values = {name: np.stack([s[name] for s, _ in sets], axis=2) for name in sets[0][0]}
        stats = {f"measurement_{name}": np.stack([m[name] for _, m in sets], axis=2) for name in sets[0][1]}
        if problem.task_scores is not None:
            head_values, convergence["task heads"], head_stats = _sample_heads(
                problem, values["theta"], spec, chains, draws, seed, lambda *a: tell("task heads", *a)
            )
            values |= head_values
            stats |= head_stats
    provenance = describe_run(started, table.data_hash, seed)
    return Fit(
        table=table,
        spec=spec,
        tasks=tuple(names),
        cutoff=split.cutoff,
        held_out=split.held_out,
        from_compute=hidden,
        posterior=posterior_tree(problem, values, stats),
        convergence=convergence,
        provenance=provenance,
        notes=table.notes + problem.notes,
    )


def sample_capabilities(
    table: ScoreTable,
    tasks: Sequence[str],
    *,
    spec: CapabilitySpec,
    chains: int,
    draws: int,
    seed: int,
    cache: Path | str,
    progress: Progress | None = None,
) -> None:
    """Sample into `cache` what all cutoffs share: the capabilities behind some tasks, with every benchmark seen.

    Parameters and errors as in `fit`. A joint posterior shares nothing.
    """
    if spec.posterior == "joint":
        return
    use_compile_cache(Path(cache))
    problem = build_problem(table, list(tasks), (), (), spec)
    tell = progress or (lambda *_: None)
    for index in range(len(problem.predictor_sets)):
        _sample_measurement(
            problem,
            index,
            spec,
            chains,
            -(-draws // CHUNK) * CHUNK,
            seed,
            Path(cache),
            lambda *a: tell("capabilities", *a),
        )


def _hidden_models(table: ScoreTable, split: Split, from_compute: bool | Sequence[str]) -> tuple[str, ...]:
    if from_compute is False:
        return ()
    models = table.models
    if from_compute is True:
        if split.cutoff is None:
            raise InputError("From-compute forecasts need a cutoff, or the names of the models whose scores to hide.")
        hidden = [name for name in split.held_out if np.isfinite(models.loc[name, "flops"])]
    else:
        hidden = [table.resolve_model(name) for name in from_compute]
    for name in hidden:
        if not np.isfinite(models.loc[name, "flops"]):
            raise InputError(f"{name} has no FLOPs, so it cannot be forecast from compute: add its FLOPs to the table.")
    return tuple(hidden)


def _sample_measurement(
    problem: Problem,
    index: int,
    spec: CapabilitySpec,
    chains: int,
    draws: int,
    seed: int,
    folder: Path | None,
    tell: Callable[[int, int], None],
) -> tuple[Values, Convergence, Values]:
    """Capabilities of one predictor set: from the cache, or sampled until converged."""
    data, layout = problem.measurements[index], problem.layout
    believed = spec.model_dump(include={"compute_law", "priors"})
    for name in HEAD_PRIORS:
        believed["priors"].pop(name)
    settings = [believed, layout, _MEASUREMENT, chains, draws, seed, VERSIONS]
    key = content_hash(settings, data)
    if folder is not None and (stored := load_arrays(folder, key)) is not None:
        arrays, facts = stored
        stats = {name: arrays.pop(name) for name in ("diverging", "energy", "tree_steps")}
        tell(1, 1)
        return arrays, Convergence(**facts["convergence"]), stats

    def model(fixed: Arrays, _: Arrays) -> None:
        measurement(fixed, layout, spec)

    def start(chain: int) -> Values:
        return measurement_start(data, layout, spec, np.random.default_rng([seed, 1, chain]))

    sampler_key = ("measurement", layout, content_hash(believed, ()))
    # By name, not by position: the same draws whatever else is fitted.
    who = int(content_hash(problem.predictor_sets[index], ()), 16)
    values, record, stats = sample(
        sampler_key, model, data, None, start, _MEASUREMENT, chains, draws, [seed, 1, who], tell
    )
    if folder is not None:
        facts = {"convergence": record.model_dump()}
        store_arrays(folder, key, {**values, **stats}, facts)
    return values, record, stats


def _sample_heads(
    problem: Problem,
    theta: np.ndarray,
    spec: CapabilitySpec,
    chains: int,
    draws: int,
    seed: int,
    tell: Callable[[int, int], None],
) -> tuple[Values, Convergence, Values]:
    """Task heads along draws of the capabilities: chain c of the heads walks along chain c of theta (a cut).

    At each draw of theta the head makes a few NUTS transitions that leave its conditional posterior invariant, and the
    last is kept (the cut of Plummer 2015): what lags behind shrinks with the autocorrelation of a transition to the
    power of their number. Moving theta in even steps instead lags by about one over their number, which is worse.
    """
    scores = problem.task_scores
    assert scores is not None
    z = np.asarray(features(jnp.asarray(theta), jnp.asarray(problem.reference)))
    rows = _rows_to_fit(problem.reference)
    z, scores = z[..., rows, :], _take_models(scores, rows)
    n_tasks, n_features, n_families = scores.score.shape[0], z.shape[-1], len(problem.families)

    def model(fixed: Arrays, moving: Arrays) -> None:
        heads(moving, fixed, n_families, spec)

    def start(chain: int) -> Values:
        return heads_start(n_tasks, n_features, n_families, np.random.default_rng([seed, 2, chain]))

    believed = spec.model_dump(include={"fit_sd", "priors"})
    sampler_key = ("heads", z.shape[2:], n_tasks, n_families, content_hash(believed, ()))
    return sample(sampler_key, model, scores, z, start, _HEADS, chains, draws, [seed, 2], tell)


def _rows_to_fit(reference: np.ndarray) -> np.ndarray:
    """Models with a visible task score, filled up with masked ones to a multiple of 16: few shapes to compile."""
    room = min(-(-int(reference.sum()) // 16) * 16, len(reference))
    return np.sort(np.argsort(-reference, kind="stable")[:room])


def _take_models(scores: TaskScores, rows: np.ndarray) -> TaskScores:
    return scores._replace(
        score=scores.score[:, rows],
        seen=scores.seen[:, rows],
        inv_items=scores.inv_items[:, rows],
        family=scores.family[rows],
    )


def _sample_joint(
    problem: Problem, spec: CapabilitySpec, chains: int, draws: int, seed: int, tell: Progress
) -> tuple[Values, Convergence, Values]:
    """Capabilities and heads at once."""
    data, layout, scores = problem.measurements[0], problem.layout, problem.task_scores
    assert scores is not None
    fixed = (data, scores, jnp.asarray(problem.reference))
    n_tasks = scores.score.shape[0]

    def model(fixed: Arrays, _: Arrays) -> None:
        data, scores, reference = fixed
        joint(data, scores, reference, layout, spec)

    def start(chain: int) -> Values:
        rng = np.random.default_rng([seed, 3, chain])
        both = measurement_start(data, layout, spec, rng)
        return both | heads_start(n_tasks, layout.n_factors, layout.n_families, rng)

    values, record, stats = sample(
        ("joint", layout, n_tasks, content_hash(spec.model_dump(), ())), model, fixed, None, start, _HEADS,
        chains, draws, [seed, 3], lambda *a: tell("capabilities and task heads", *a),
    )  # fmt: skip
    return {n: v[:, :, None] if n in MEASUREMENT_DIMS else v for n, v in values.items()}, record, stats
