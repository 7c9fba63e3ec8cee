"""Designs compared by the error of forecasts from the models that they choose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.data import ScoreTable
from bayes_obscaling.data.components import components_of
from bayes_obscaling.data.names import unknown
from bayes_obscaling.design.bayesian import bayesian_design
from bayes_obscaling.design.selection import NewTask, as_new, candidates, teachers
from bayes_obscaling.design.v_optimal import COMPONENTS, family_sets, v_optimal
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.curve import Curve, curve_starts, fit_curve
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.progress import Progress, shows_progress
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import forecast

# What forecasts the targets from the chosen models.
FORECASTERS = ("pc-3", "bayes")
BAYESIAN, PUBLISHED, FAMILIES, MODELS, ALL = (
    "Bayesian design",
    "V-optimal families",
    "random families",
    "random models",
    "all",
)
# A design, the number of models asked for, and who was chosen.
Chosen = tuple[str, int, list[str]]
# How far below the budget a random set of families may stay, as published.
_SLACK = 2


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Finding):
    """Errors of designs: ``table`` has design, forecaster, models, sets, median, q5, q25, q75, q95."""

    drawn_by = "plot_comparison"


@shows_progress()
def compare_designs(
    table: ScoreTable,
    tasks: str | Iterable[str],
    cutoff: float,
    sizes: Sequence[int],
    *,
    forecaster: str = "pc-3",
    random_sets: int = 20,
    prior: CapabilityFit | None = None,
    seed: int = 0,
    spec: CapabilitySpec | None = None,
    chains: int = 4,
    draws: int = 1000,
    cache: Path | str | None = None,
    progress: Progress = None,
) -> Comparison:
    """Return the errors of forecasts for the models above a cutoff, from models below it that designs have chosen.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    tasks : str or iterable of str
        Tasks that are taken to be new: no design reads their scores.
    cutoff : float
        FLOPs. Models at or below it with a score on a task may be chosen; the others are forecast.
    sizes : sequence of int
        Numbers of models to choose, at least 4.
    forecaster : {"pc-3", "bayes"}
        "pc-3": sigmoid with a free floor in three principal components of the chosen models, as published. "bayes":
        our fit, with the task scores of the chosen models alone, and all else that is below the cutoff.
    random_sets : int
        Number of random sets of models, and of families, for each size.
    prior : CapabilityFit, optional
        What the Bayesian design knows, if it was fitted before: a fit of the table without the tasks' scores (see
        `bayes_obscaling.design.selection.as_new`) below the cutoff.
    seed : int
        Of random sets and of fits.
    spec, chains, draws, cache, progress
        As in `bayes_obscaling.fit`.

    Returns
    -------
    Comparison
        ``table``: for each design and number of models, the quantiles over its sets of the geometric mean over tasks
        of the mean squared error over models above the cutoff. The Bayesian design has one set for each task; sets of
        families may hold fewer models than the size (``models_least``). ``parts["tasks"]``: each set, task by task.
        ``parts["sets"]``: who was chosen.

    Raises
    ------
    InputError
        For an unknown task or forecaster, a cutoff that leaves fewer models than a size asks for, and as
        `bayes_obscaling.fit`.

    Notes
    -----
    The comparison of Ruan et al. (2024, section 5). As there, V-optimal and random families are drawn from the models
    without a missing benchmark score, and random sets of families hold up to two models less than the size. Four
    scores do not determine the five parameters of their regression; there the errors are those of the optimum that
    the optimiser meets first.
    """
    names = table.resolve_all(tasks)
    if forecaster not in FORECASTERS:
        raise unknown("forecaster", forecaster, FORECASTERS)
    observed = table.matrix(names)
    scored = observed.index[observed.notna().any(axis=1)]
    below = candidates(table, max_flops=cutoff).intersection(scored, sort=False)
    above = scored.difference(below, sort=False)
    if min(sizes) < 4 or max(sizes) > len(below):
        raise InputError(f"Sizes run from {min(sizes)} to {max(sizes)}: choose between 4 and {len(below)} models.")
    if above.empty:
        raise InputError(f"No model above {cutoff:.3g} FLOPs has a score to compare with: lower the cutoff.")

    options: dict[str, Any] = {
        "cutoff": cutoff,
        "spec": spec,
        "chains": chains,
        "draws": draws,
        "seed": seed,
        "cache": cache,
        "progress": progress,
    }
    forgotten, new = as_new(table, names)
    if prior is None:
        prior = fit_table(forgotten, teachers(forgotten), **options)
    elif set(names) & set(prior.layout.tasks):
        raise InputError("The prior fit has seen scores of these tasks: fit a table without them, see as_new.")
    problems = list(prior.problems)
    designs = _designs(table, prior, new, sizes, below, above, random_sets, seed)
    rows = []
    for number, (design, size, chosen) in enumerate(designs):
        if forecaster == "pc-3":
            point = _published_forecasts(table, observed, chosen, above)
        else:
            point, wrong = _our_forecast(table, names, below.difference(chosen), above, options)
            problems += wrong
        error = ((point - observed.loc[above]) ** 2).mean()
        rows += [(design, size, number, len(chosen), name, error[name]) for name in names]
    by_task = pd.DataFrame(rows, columns=["design", "models", "set", "chosen", "task", "mse"])
    return _comparison(by_task, designs, forecaster, tuple(dict.fromkeys(problems)))


def _designs(
    table: ScoreTable,
    prior: CapabilityFit,
    new: list[NewTask],
    sizes: Sequence[int],
    below: pd.Index,
    above: pd.Index,
    random_sets: int,
    seed: int,
) -> list[Chosen]:
    """Every set of models to forecast from."""
    complete = below[table.matrix(table.benchmark_names).loc[below].notna().all(axis=1)]
    rng = np.random.default_rng(seed)
    designs: list[Chosen] = []
    for size in sizes:
        for task in new:  # all new alike: what differs is chance and the draws of a new task
            selection = bayesian_design(prior, task, size, among=below, targets=above)
            designs.append((BAYESIAN, size, list(selection.models)))
        designs.append((PUBLISHED, size, list(v_optimal(table, size, among=complete).models)))
        designs += [(FAMILIES, size, chosen) for chosen in _random_families(table, complete, size, random_sets, rng)]
        designs += [(MODELS, size, list(rng.choice(below, size, replace=False))) for _ in range(random_sets)]
    return [*designs, (ALL, len(below), list(below))]


def _random_families(
    table: ScoreTable, among: pd.Index, size: int, count: int, rng: np.random.Generator
) -> list[list[str]]:
    """Sets of whole families with `size` models or up to two fewer."""
    family = pd.Categorical(table.models.loc[among, "family"])
    counts = np.bincount(family.codes)
    sets = family_sets(counts, size, most=len(counts), fixed=[])
    sets = sets[sets @ counts >= max(size - _SLACK, 4)]
    picked = rng.choice(len(sets), min(count, len(sets)), replace=False)
    return [list(among[sets[i][family.codes]]) for i in picked]


def _published_forecasts(
    table: ScoreTable, observed: pd.DataFrame, chosen: Sequence[str], targets: pd.Index
) -> pd.DataFrame:
    """Point forecasts (target, task) of the published regression."""
    benchmarks = table.matrix(table.benchmark_names)
    points = {name: _published_forecast(table, benchmarks, observed[name], chosen, targets) for name in observed}
    return pd.DataFrame(points, targets)


def _published_forecast(
    table: ScoreTable, benchmarks: pd.DataFrame, scores: pd.Series, chosen: Sequence[str], targets: pd.Index
) -> np.ndarray:
    """Point forecasts (target,) of the published regression from few models.

    `bayes_obscaling.evaluation.baseline` refuses as many parameters as scores; the published comparison does not.
    """
    facts = table.benchmarks.loc[scores.name]
    train = scores[list(chosen)].dropna()
    measured = benchmarks.drop(columns=list(facts["excludes"])).loc[train.index].dropna(axis="columns", how="all")
    new = benchmarks.loc[targets, measured.columns]
    components = components_of(measured.to_numpy(), new.to_numpy(), COMPONENTS)
    design = np.column_stack([np.ones(len(components)), components])
    seen, y = design[: len(train)], train.to_numpy()
    curve = Curve(base=1.0, span=float(np.nan_to_num(facts["chance"])) - 1, free=True)
    return curve.at(fit_curve(curve, seen, y, curve_starts(curve, seen, y)), design[len(train) :])[0]


def _our_forecast(
    table: ScoreTable, tasks: list[str], hidden: pd.Index, targets: pd.Index, options: dict[str, Any]
) -> tuple[pd.DataFrame, list[str]]:
    """Predictive medians (target, task) when some models below the cutoff were not evaluated on the tasks."""
    scores = table.scores
    unknown = scores["benchmark"].isin(tasks) & scores["model"].isin(hidden)
    visible = ScoreTable(table.models, table.benchmarks, scores[~unknown], table.notes)
    answer = forecast(fit_table(visible, tasks, **options), list(targets), tasks=tasks)
    median = {task: np.median(answer.samples(task), axis=0) for task in tasks}
    return pd.DataFrame(median, index=targets), list(answer.problems)


def _comparison(by_task: pd.DataFrame, designs: list[Chosen], forecaster: str, problems: tuple[str, ...]) -> Comparison:
    """Put errors of sets together: geometric means over tasks, quantiles over sets."""
    geometric = by_task.groupby(["design", "models", "set", "chosen"], sort=False)["mse"].agg(
        lambda errors: np.exp(np.log(errors).mean())
    )
    groups = geometric.reset_index().groupby(["design", "models"], sort=False)
    summary = groups["mse"].quantile([0.5, 0.05, 0.25, 0.75, 0.95]).unstack()
    summary.columns = pd.Index(["median", "q5", "q25", "q75", "q95"])
    summary.insert(0, "sets", groups.size())
    summary.insert(1, "models_least", groups["chosen"].min())
    summary = summary.reset_index()
    summary.insert(1, "forecaster", forecaster)
    wide = summary.pivot(index="models", columns="design", values="median")
    sentences = tuple(
        f"{size} models: "
        + ", ".join(f"{design} {value:.4f}" for design, value in row.dropna().sort_values().items())
        + "."
        for size, row in wide.iterrows()
    )
    chosen = pd.DataFrame(
        [(design, size, number, ", ".join(models)) for number, (design, size, models) in enumerate(designs)],
        columns=["design", "models", "set", "chosen"],
    )
    return Comparison(
        table=summary,
        sentences=("Mean squared error, geometric mean over tasks, median over sets:", *sentences),
        problems=problems,
        parts={"tasks": by_task, "sets": chosen},
    )
