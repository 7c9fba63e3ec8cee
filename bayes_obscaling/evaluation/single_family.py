"""How many models of one family a law in compute alone needs to forecast as well as the capabilities do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd

from bayes_obscaling.checks import counted
from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.data.names import family_named
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.backtest import check_methods
from bayes_obscaling.evaluation.baselines import CEILING, INTERCEPT, SLOPE
from bayes_obscaling.evaluation.many import backtest_each
from bayes_obscaling.evaluation.questions import Question
from bayes_obscaling.evaluation.scoring import OURS, difference_in_words, paired_differences, score_draws, score_table
from bayes_obscaling.inference.limits import check_sampling
from bayes_obscaling.inference.run import sample, whole_chunks
from bayes_obscaling.inference.sampler import Model, Target, default_sampler
from bayes_obscaling.models.capability_equations import TASK_NOISE_DF, expected_tasks, task_noise
from bayes_obscaling.models.links import Numbers, inverse_items, response
from bayes_obscaling.models.priors import LogNormal, Normal, Pytree, believe
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.progress import Progress, shows_progress
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.stages import Settings

COMPUTE_ONLY = "family compute"
METHODS = ("pc-3", "family-logistic")
LARGEST, ALL_LARGER = "largest", "all larger"
_FEWEST = 2  # models that a line in compute needs
_SETTINGS = Settings(warmup=500, thin=1, target_accept=0.95, max_depth=8, dense=True)


@dataclass(frozen=True, eq=False, repr=False)
class SingleFamily(Finding):
    """Forecasts of a family's larger models from its smaller ones.

    ``table`` has one row per number of models of the family whose task scores are seen (``models``; their largest has
    ``cutoff`` FLOPs), what is judged (``target``: the family's largest model, or all larger ones) and ``method``, with
    ``n`` scores, ``mae, crps``, coverage and width of the 50 and 90 % intervals, and ``difference``, our CRPS less
    this method's, with its standard error ``se`` over tasks. ``parts``: ``cells`` (the forecasts) and ``matches`` (by
    target, and by task for all larger models: the number of models from which on the law in compute is as good as ours;
    NaN when it never is).
    """

    drawn_by = "plot_single_family"
    front = ("target", "models", "method", "n", "crps", "difference", "se", "mae", "coverage_50", "coverage_90")

    family: str = ""


@shows_progress("backtests")
def single_family(
    table: ScoreTable,
    family: str,
    tasks: str | Sequence[str],
    *,
    counts: Sequence[int] | None = None,
    methods: Sequence[str] = METHODS,
    spec: CapabilitySpec | None = None,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress = None,
) -> SingleFamily:
    """Return forecasts of a family's larger models from its k smallest, by compute alone and by capabilities.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    family : str
        A family with at least three models of different known FLOPs.
    tasks : str or sequence of str
        Tasks, or standard benchmarks (slower: the capabilities are sampled anew for each k).
    counts : sequence of int, optional
        Values of k; default 2 to all but the largest model.
    methods : sequence of str
        Baselines over all families, keys of `bayes_obscaling.evaluation.baselines.BASELINES`.
    spec, chains, draws, seed
        As in `bayes_obscaling.fit`.
    cache : path, optional
        Folder in which capability draws and finished fits are kept.
    progress : callable or False, optional
        Told ``(label, done, total)`` after each fit.

    Raises
    ------
    InputError
        For an unknown family, task or baseline, a family that is too small, or a k that leaves nothing to forecast.

    Notes
    -----
    For each k the cutoff is the compute of the family's k-th model. ``family compute`` sees the task scores of these k
    models and nothing else: ``p = c + (1 - c) h sigmoid(a + b x)`` in log10 compute, with the weak priors of the
    baseline ``family-logistic`` for its intercept, slope and ceiling, and with the observation noise of our task heads,
    so that the two differ in their predictor alone. Ours sees the task scores of every family up to the same compute,
    and the benchmark scores of the models to forecast: these exist, and have been run on the benchmarks.
    """
    names = table.resolve_all(tasks)
    check_methods(methods)
    check_sampling(chains, draws, seed)
    spec = spec or CapabilitySpec()
    members = _members(table, family)
    family = str(members["family"].iloc[0])
    cutoffs = _cutoffs(members, counts)
    questions = [q for k, c in cutoffs.items() if (q := _question(table, members, names, k, c, methods)).tasks]
    if not questions:
        raise InputError(f"No larger model of {family} has a score on {', '.join(names)} to compare with.")
    alone = [
        _compute_only(q, task, members, spec, chains, draws, seed)
        for q in questions
        for task in q.tasks
        if _seen(q, task, members).sum() >= _FEWEST
    ]
    cells, problems = backtest_each(
        questions, spec=spec, cache=cache, progress=progress, chains=chains, draws=draws, seed=seed
    )
    if bad := sum(not converged for _, converged in alone):
        problems += (f"{COMPUTE_ONLY}: {bad} of {len(alone)} fits have not converged",)
    cells = pd.concat([cells[cells["family"] == family], *(frame for frame, _ in alone)], ignore_index=True)
    cells["models"] = cells["setup"].str.split().str[0].astype(int)
    cells["cutoff"] = cells["models"].map(cutoffs)
    # Judged where ours and the law in compute both have a forecast.
    both = cells.groupby(["setup", "task", "model"])["method"].transform(lambda m: {OURS, COMPUTE_ONLY} <= set(m))
    cells = cells[both].reset_index(drop=True)
    if cells.empty:
        raise InputError(f"Fewer than two models of {family} have a score on {', '.join(names)} below a larger one.")
    sets = {LARGEST: cells[cells["model"] == members.index[-1]], ALL_LARGER: cells}
    answer = pd.concat([_scores(frame, target) for target, frame in sets.items() if len(frame)], ignore_index=True)
    parts = {"cells": cells, "matches": _matches(cells, answer)}
    return SingleFamily(answer, _sentences(answer, parts["matches"], family), problems, parts, family)


def _cutoffs(members: pd.DataFrame, counts: Sequence[int] | None) -> dict[int, float]:
    """FLOPs of the k-th model, by each k that is asked for."""
    family, steps = members["family"].iloc[0], members["flops"].drop_duplicates().to_numpy()
    every = {int((members["flops"] <= step).sum()): float(step) for step in steps[:-1]}
    possible = {k: cutoff for k, cutoff in every.items() if k >= _FEWEST}
    if not possible:
        raise InputError(
            f"{family} has {counted(len(members), 'model')} of known FLOPs: a line through two needs a third, larger "
            "one to forecast."
        )
    wanted = sorted(possible if counts is None else set(counts))
    if strange := [k for k in wanted if k not in possible]:
        raise InputError(
            f"{strange[0]} models of {family} cannot be seen: choose from {', '.join(map(str, possible))}."
        )
    return {k: possible[k] for k in wanted}


def _question(
    table: ScoreTable, members: pd.DataFrame, names: list[str], k: int, cutoff: float, methods: Sequence[str]
) -> Question:
    """The backtest that sees k models, of the tasks that it can be asked; these may be none."""
    split, observed = Split.by_flops(table, cutoff), table.matrix(names)
    judged = observed.loc[members.index[members.index.isin(split.held_out)]].notna().any()
    trained = observed.loc[split.seen(observed.index)].notna().any()
    able = tuple(name for name in names if judged[name] and trained[name])
    return Question(table, able, split, f"{k} models", tuple(methods))


def _members(table: ScoreTable, family: str) -> pd.DataFrame:
    """Models of the family of known FLOPs, smallest first."""
    models = table.models
    members = models[models["family"] == family_named(family, table.families, "name one that 'models' lists")]
    known = members[members["flops"].notna()].sort_values("flops", kind="stable")
    if known.empty:
        raise InputError(f"No FLOPs are known in the family {family}: add them to the table, or name another.")
    return known


def _seen(question: Question, task: str, members: pd.DataFrame) -> pd.Series:
    """Which models of the family have a score on a task that may be seen."""
    scores = question.table.matrix([task]).loc[members.index, task]
    return scores.notna() & question.split.seen(members.index)


class LinePriors(Pytree):
    """Priors of the law in compute."""

    intercept: Normal = INTERCEPT
    slope: Normal = SLOPE
    ceiling: Normal = CEILING
    dispersion: LogNormal


class _Scores(NamedTuple):
    """Scores of one family's M models on one task."""

    score: jax.Array  # (M, 1) fractions, anything where unseen
    seen: jax.Array  # (M, 1) bool
    inv_items: jax.Array  # (M, 1)
    chance: jax.Array  # (1,)
    compute: jax.Array  # (M, 1, 1) log10 FLOPs, centred: the one capability of a task head


def _expected(p: Mapping[str, Numbers], compute: Numbers, chance: Numbers) -> jax.Array:
    """Expected scores (..., M, 1): those of a task head that reads compute and nothing else."""
    slope, intercept, ceiling = (jnp.asarray(p[name])[..., None] for name in ("slope", "intercept", "ceiling"))
    head = {
        "weight": slope[..., None],
        "task_difficulty": intercept,
        "task_ceiling_gap": 1.0 - response(ceiling, 0.0, 0.0),
    }
    return expected_tasks(head, compute, 0.0, chance)


def _noise(p: Mapping[str, Numbers], expected: Numbers, inv_items: Numbers, floor_sd: Numbers) -> dist.StudentT:
    """Noise of the scores (..., M, 1), that of our task heads."""
    return task_noise({"task_overdispersion": jnp.asarray(p["dispersion"])[..., None]}, expected, inv_items, floor_sd)


def _line(fixed: tuple[_Scores, LinePriors, jax.Array], _: None) -> None:
    """Logistic curve of one family's scores on one task in centred log10 compute."""
    data, priors, floor_sd = fixed
    p = {name: believe(priors, name) for name in LinePriors.model_fields}
    noise = _noise(p, _expected(p, data.compute, data.chance), data.inv_items, floor_sd)
    numpyro.sample("score", noise.mask(data.seen), obs=data.score)


def _compute_only(
    question: Question,
    task: str,
    members: pd.DataFrame,
    spec: CapabilitySpec,
    chains: int,
    draws: int,
    seed: int,
) -> tuple[pd.DataFrame, bool]:
    """Cells of the law in compute on one task, and whether its sampler converged."""
    table, is_held = question.table, members.index.isin(question.split.held_out)
    scores = table.matrix([task]).loc[members.index, task]
    seen = _seen(question, task, members)
    compute = np.log10(members["flops"])
    data = _Scores(
        score=jnp.asarray(scores.fillna(0.5).to_numpy()[:, None]),
        seen=jnp.asarray(seen.to_numpy()[:, None]),
        inv_items=jnp.asarray(inverse_items(table.item_counts([task]).loc[members.index, [task]].to_numpy(float))),
        chance=jnp.asarray([np.nan_to_num(table.chance(task))]),  # the baseline takes what is not said for 0
        compute=jnp.asarray((compute - compute[seen].mean()).to_numpy()[:, None, None]),
    )
    priors = LinePriors(dispersion=spec.priors.task_overdispersion)
    start = {"intercept": 0.0, "slope": 1.0, "ceiling": CEILING.loc, "dispersion": priors.dispersion.median}
    key = [seed, int((~is_held).sum()), *task.encode()]
    sampled = sample(
        Target(
            model=Model(_line),
            fixed=(data, jax.tree.map(jnp.asarray, priors), jnp.asarray(spec.fit_sd)),
            moving=None,
            start=lambda _: {name: np.asarray(value) for name, value in start.items()},
        ),
        default_sampler(),
        _SETTINGS,
        LinePriors.model_fields.__contains__,
        chains=chains,
        draws=whole_chunks(draws),
        seed=key,
        tell=lambda *_: None,
    )
    p = {name: value.reshape(-1) for name, value in sampled.values.items()}
    rows = np.flatnonzero(is_held & scores.notna())
    # Of all models, whatever their number that is held out: one shape to compile.
    expected = _expected(p, data.compute, data.chance)
    scale = np.asarray(_noise(p, expected, data.inv_items, spec.predictive_sd).scale)[:, rows, 0]
    unit = np.random.default_rng(key).standard_t(TASK_NOISE_DF, scale.shape)
    drawn = np.clip(np.asarray(expected)[:, rows, 0] + scale * unit, 0.0, 1.0)
    truth = scores.iloc[rows].to_numpy()
    cells = members.iloc[rows][["family", "flops"]].reset_index().join(score_draws(drawn.T, truth))
    cells["observed"] = truth
    cells["distance"] = np.log10(cells["flops"] / members["flops"][~is_held].max())
    converged = not sampled.convergence.problems
    return cells.assign(setup=question.label, task=task, method=COMPUTE_ONLY, converged=converged), converged


def _scores(cells: pd.DataFrame, target: str) -> pd.DataFrame:
    """Mean scores by number of models and method, with the difference from our scores."""
    by = ("models", "cutoff", "method")
    frame = score_table(cells, by)[[*by, "n", "mae", "crps", "coverage_50", "coverage_90", "width_50", "width_90"]]
    # Standard errors over tasks: there is one family, and its models err together.
    apart = paired_differences(cells.assign(family=cells["task"]), OURS, ("cutoff",))
    apart = apart.set_index(["cutoff", "method"])[["difference", "se"]]
    frame = frame.join(apart, on=["cutoff", "method"])
    frame.insert(0, "target", target)
    order = {OURS: 0, COMPUTE_ONLY: 1}
    frame["order"] = frame["method"].map(order).fillna(2)
    return frame.sort_values(["models", "order"], kind="stable", ignore_index=True).drop(columns="order")


def _matches(cells: pd.DataFrame, answer: pd.DataFrame) -> pd.DataFrame:
    """From how many models on the law in compute is at least as good as our forecasts, by CRPS."""
    curves = [(target, "all", frame) for target, frame in answer.groupby("target", sort=False)]
    curves += [
        (ALL_LARGER, task, score_table(frame, ("models", "method")))
        for task, frame in cells.groupby("task", sort=False)
    ]
    rows = []
    for target, task, frame in curves:
        crps = frame.pivot_table(index="models", columns="method", values="crps")
        good = crps[COMPUTE_ONLY] <= crps[OURS]
        from_here_on = good[::-1].cummin()[::-1]
        rows.append(
            {
                "target": target,
                "task": task,
                "ours": crps[OURS].mean(),
                "family_compute": crps[COMPUTE_ONLY].mean(),
                "matches_from": float(crps.index[from_here_on].min()) if from_here_on.any() else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _sentences(answer: pd.DataFrame, matches: pd.DataFrame, family: str) -> tuple[str, ...]:
    sentences = []
    for target, rows in answer.groupby("target", sort=False):
        ours, alone = (rows[rows["method"] == method].set_index("models") for method in (OURS, COMPUTE_ONLY))
        steps = "; ".join(
            f"{k} models: {ours.loc[k, 'crps']:.3f} against {alone.loc[k, 'crps']:.3f} "
            f"({difference_in_words(alone.loc[k, 'difference'], alone.loc[k, 'se'], 3, 'task')})"
            for k in ours.index
        )
        what = "its largest model" if target == LARGEST else "all its larger models"
        sentences.append(f"{family}, {what}, CRPS of {OURS} against {COMPUTE_ONLY}: {steps}.")
        first = matches[(matches["target"] == target) & (matches["task"] == "all")]["matches_from"].iloc[0]
        until = f"from {first:.0f} models on" if np.isfinite(first) else "not even with the most models seen"
        sentences.append(f"{what[0].upper()}{what[1:]}: {COMPUTE_ONLY} is as good as {OURS}, or better, {until}.")
    return tuple(sentences)
