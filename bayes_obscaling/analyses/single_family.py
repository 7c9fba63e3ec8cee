"""How many models of one family a law in compute alone needs to forecast as well as the capabilities do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
from scipy.special import expit

from bayes_obscaling.analyses.finding import Finding
from bayes_obscaling.analyses.splits import Asked, backtest_each
from bayes_obscaling.data import ScoreTable, split_by_flops
from bayes_obscaling.data.table import close_names
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.backtest import OURS, check_methods
from bayes_obscaling.evaluation.baselines import CEILING, INTERCEPT, SLOPE
from bayes_obscaling.evaluation.scoring import paired_differences, score_draws, score_table
from bayes_obscaling.inference.sampling import CHUNK, check_length, sample
from bayes_obscaling.models.capability import TASK_NOISE_DF, CapabilitySpec
from bayes_obscaling.models.links import score_variance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COMPUTE_ONLY = "family compute"
METHODS = ("pc-3", "family-logistic")
LARGEST, ALL_LARGER = "largest", "all larger"
_FEWEST = 2  # models that a line in compute needs
_NUTS = {"warmup": 500, "thin": 1, "target_accept": 0.95, "max_depth": 8, "dense": True}


@dataclass(frozen=True, eq=False)
class SingleFamily(Finding):
    """Forecasts of a family's larger models from its smaller ones.

    ``table`` has a row a number of models of the family whose task scores are seen (``models``; their largest has
    ``cutoff`` FLOPs), what is judged (``target``: the family's largest model, or all larger ones) and ``method``, with
    ``n`` scores, ``mae, crps``, coverage and width of the 50 and 90 % intervals, and ``difference``, CRPS of ours less
    this method's, with its standard error ``se`` over tasks. ``parts``: ``cells`` (the forecasts) and ``matches`` (by
    target, and by task for all larger models: the number of models from which on the law in compute is as good as ours;
    NaN when it never is).
    """

    family: str = ""

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw errors against the number of models; see `bayes_obscaling.plots.tasks`."""
        from bayes_obscaling.plots.tasks import plot_single_family

        return plot_single_family(self, ax=ax)


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
    progress: Callable[[str, int, int], None] | None = None,
) -> SingleFamily:
    """Forecast a family's larger models from its k smallest, by compute alone and by capabilities.

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
    progress : callable, optional
        Told ``(label, done, total)`` after each fit.

    Returns
    -------
    SingleFamily

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
    check_length(chains, draws)
    spec = spec or CapabilitySpec()
    mine = _members(table, family)
    family = str(mine["family"].iloc[0])
    steps = mine["flops"].drop_duplicates().to_numpy()
    seen = {int((mine["flops"] <= c).sum()): float(c) for c in steps[:-1]}
    possible = {k: c for k, c in seen.items() if k >= _FEWEST}
    if not possible:
        raise InputError(
            f"{family} has {len(mine)} models of known FLOPs: a line through two needs a third, larger one to forecast."
        )
    wanted = sorted(possible if counts is None else set(counts))
    if strange := [k for k in wanted if k not in possible]:
        raise InputError(
            f"{strange[0]} models of {family} cannot be seen: choose from {', '.join(map(str, possible))}."
        )
    questions, alone = [], []
    observed = table.matrix(names)
    for k in wanted:
        split = split_by_flops(table, possible[k])
        held = [m for m in mine.index if m in split.held_out]
        judged = observed.loc[held].notna().any()
        trained = observed.loc[~observed.index.isin(split.held_out)].notna().any()
        able = tuple(name for name in names if judged[name] and trained[name])
        if able:
            questions.append(Asked(f"{k} models", able, split))
        for name in able:
            inside = observed.loc[[m for m in mine.index if m not in held], name].dropna()
            if len(inside) >= _FEWEST:
                alone.append(_compute_only(table, name, mine, held, k, spec, chains, draws, seed))
    if not questions:
        raise InputError(f"No larger model of {family} has a score on {', '.join(names)} to compare with.")
    cells, problems = backtest_each(
        table, questions, spec=spec, cache=cache, progress=progress, methods=tuple(methods), chains=chains, draws=draws,
        seed=seed,
    )  # fmt: skip
    cells = cells[cells["family"] == family]
    cells = pd.concat([cells, *(frame for frame, _ in alone)], ignore_index=True)
    bad = sum(not ok for _, ok in alone)
    if bad:
        problems += (f"{COMPUTE_ONLY}: {bad} of {len(alone)} fits have not converged",)
    cells["models"] = cells["setup"].str.split().str[0].astype(int)
    cells["cutoff"] = cells["models"].map(possible)
    # Judged where ours and the law in compute both have a forecast.
    both = cells.groupby(["setup", "task", "model"])["method"].transform(lambda m: {OURS, COMPUTE_ONLY} <= set(m))
    cells = cells[both].reset_index(drop=True)
    if cells.empty:
        raise InputError(f"Fewer than two models of {family} have a score on {', '.join(names)} below a larger one.")
    sets = {LARGEST: cells[cells["model"] == mine.index[-1]], ALL_LARGER: cells}
    answer = pd.concat([_scores(frame, target) for target, frame in sets.items() if len(frame)], ignore_index=True)
    parts = {"cells": cells, "matches": _matches(cells, answer)}
    return SingleFamily(answer, _sentences(answer, parts["matches"], family), problems, parts, family)


def _members(table: ScoreTable, family: str) -> pd.DataFrame:
    """Models of the family of known FLOPs, smallest first."""
    models = table.models
    mine = models[models["family"].str.casefold() == family.casefold()]
    if mine.empty:
        near = close_names(family, list(models["family"].unique()))
        hint = f" (nearest: {', '.join(near)})" if near else ""
        raise InputError(f"There is no family '{family}' in the table{hint}: name one that 'models' lists.")
    known = mine[mine["flops"].notna()].sort_values("flops", kind="stable")
    if known.empty:
        raise InputError(f"No FLOPs are known in the family {family}: add them to the table, or name another.")
    return known


def _line(data: dict[str, jax.Array], floor_sd: float) -> None:
    """Logistic curve of one family's scores on one task in centred log10 compute."""
    intercept = numpyro.sample("intercept", dist.Normal(*INTERCEPT))
    slope = numpyro.sample("slope", dist.Normal(*SLOPE))
    height = jax.nn.sigmoid(numpyro.sample("ceiling", dist.Normal(*CEILING)))
    dispersion = numpyro.sample("dispersion", dist.LogNormal(data["dispersion"][0], data["dispersion"][1]))
    p = data["chance"] + (1 - data["chance"]) * height * jax.nn.sigmoid(intercept + slope * data["compute"])
    sd = jnp.sqrt(score_variance(p, data["inv_items"], dispersion, floor_sd))
    numpyro.sample("score", dist.StudentT(TASK_NOISE_DF, p, sd).mask(data["seen"]), obs=data["score"])


def _compute_only(
    table: ScoreTable,
    task: str,
    mine: pd.DataFrame,
    held: list[str],
    k: int,
    spec: CapabilitySpec,
    chains: int,
    draws: int,
    seed: int,
) -> tuple[pd.DataFrame, bool]:
    """Cells of the law in compute on one task, and whether its sampler converged."""
    scores = table.matrix([task]).loc[mine.index, task]
    seen = scores.notna() & ~scores.index.isin(held)
    compute = np.log10(mine["flops"])
    compute = (compute - compute[seen].mean()).to_numpy()
    inv_items = (1 / table.item_counts([task]).loc[mine.index, task]).fillna(0.0).to_numpy()
    chance, prior = float(table.benchmarks.loc[task, "chance"]), spec.priors.task_overdispersion
    data = {
        "score": scores.fillna(0.5).to_numpy(), "seen": seen.to_numpy(), "compute": compute, "inv_items": inv_items,
        "chance": np.asarray(chance), "dispersion": np.array([np.log(prior.median), prior.log_sd]),
    }  # fmt: skip
    begin = {"intercept": 0.0, "slope": 1.0, "ceiling": CEILING[0], "dispersion": prior.median}
    start = {name: np.asarray(value) for name, value in begin.items()}
    key = [seed, k, *task.encode()]
    values, record, _ = sample(
        ("family compute", len(mine), spec.fit_sd), lambda fixed, _: _line(fixed, spec.fit_sd),
        {name: jnp.asarray(value) for name, value in data.items()}, None, lambda _: start, _NUTS, chains,
        -(-draws // CHUNK) * CHUNK, key, lambda *_: None,
    )  # fmt: skip
    a, b, limit, dispersion = (values[n].reshape(-1, 1) for n in ("intercept", "slope", "ceiling", "dispersion"))
    judged = [m for m in held if np.isfinite(scores[m])]
    at = mine.index.get_indexer(pd.Index(judged))
    p = chance + (1 - chance) * expit(limit) * expit(a + b * compute[at])
    sd = np.sqrt(np.asarray(score_variance(p, inv_items[at], dispersion, spec.predictive_sd)))
    drawn = np.clip(p + sd * np.random.default_rng(key).standard_t(TASK_NOISE_DF, p.shape), 0.0, 1.0)
    truth = scores[judged].to_numpy()
    cells = mine.loc[judged, ["family", "flops"]].reset_index().join(score_draws(drawn.T, truth))
    cells["observed"] = truth
    cells["distance"] = np.log10(cells["flops"] / mine.loc[~mine.index.isin(held), "flops"].max())
    converged = not record.problems
    return cells.assign(setup=f"{k} models", task=task, method=COMPUTE_ONLY, converged=converged), converged


def _scores(cells: pd.DataFrame, target: str) -> pd.DataFrame:
    """Mean scores by number of models and method, with the difference from ours."""
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
    """From how many models on the law in compute is at least as good as ours, by CRPS."""
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
                "target": target, "task": task, "ours": crps[OURS].mean(), "family_compute": crps[COMPUTE_ONLY].mean(),
                "matches_from": float(crps.index[from_here_on].min()) if from_here_on.any() else np.nan,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _sentences(answer: pd.DataFrame, matches: pd.DataFrame, family: str) -> tuple[str, ...]:
    said = []
    for target, rows in answer.groupby("target", sort=False):
        ours, alone = (rows[rows["method"] == method].set_index("models") for method in (OURS, COMPUTE_ONLY))
        steps = "; ".join(
            f"{k} models: {ours.loc[k, 'crps']:.3f} against {alone.loc[k, 'crps']:.3f} (difference "
            f"{alone.loc[k, 'difference']:+.3f}, standard error {alone.loc[k, 'se']:.3f})"
            for k in ours.index
        )
        what = "its largest model" if target == LARGEST else "all its larger models"
        said.append(f"{family}, {what}, CRPS of ours against {COMPUTE_ONLY}: {steps}.")
        found = matches[(matches["target"] == target) & (matches["task"] == "all")]["matches_from"].iloc[0]
        said.append(
            f"{what[0].upper()}{what[1:]}: compute alone "
            + (f"is as good as ours from {found:.0f} models on." if np.isfinite(found) else "is never as good as ours.")
        )
    return tuple(said)
