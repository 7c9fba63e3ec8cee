"""Backtests: fit below a split, forecast the held-out models, score against what they reached and against baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.data import (
    ScoreTable,
    Split,
    load_base_llms,
    load_instruct_llms,
    split_by_family,
    split_by_flops,
    split_by_score,
    split_largest_of_family,
)
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.baselines import BASELINES, baseline
from bayes_obscaling.evaluation.scoring import paired_differences, score_draws, score_points, score_table
from bayes_obscaling.files import write_atomically
from bayes_obscaling.inference.fitting import Progress, fit
from bayes_obscaling.models.capability import CapabilitySpec
from bayes_obscaling.results.forecast import forecast

OURS = "bayes"
# Decades of compute beyond the cutoff.
DISTANCE_BINS = (-np.inf, 0.5, 1.0, np.inf)
BASELINE_DRAWS = 200  # bootstrap replicates of the literature


# The ten published tasks that count items, by their published cutoff.
EARLY_TASKS = ("word_unscrambling", "parsinlu_qa", "ipa_transliterate", "gsm8k_direct", "gsm8k_cot", "gsm8k_cot_sc")
ARITHMETIC_TASKS = ("arithmetic_3ds", "arithmetic_2dm", "arithmetic_3da", "arithmetic_2da")


@dataclass(frozen=True)
class Question:
    """One fit of a suite: tasks of a table under a split.

    Attributes
    ----------
    setup : str
        Name of the published setup or design.
    table : ScoreTable
        The scores.
    tasks : tuple of str
        Tasks that are fitted together.
    split : Split
        Who is held out.
    unknown_compute : bool
        Whether held-out models of unknown compute count.
    methods : tuple of str
        Baselines.
    up_to : float
        FLOPs above which held-out models are not judged.
    """

    setup: str
    table: ScoreTable
    tasks: tuple[str, ...]
    split: Split
    unknown_compute: bool = True
    methods: tuple[str, ...] = ()
    up_to: float = np.inf


@dataclass(frozen=True, eq=False)
class Backtest:
    """Scored forecasts.

    Attributes
    ----------
    cells : DataFrame
        One row a setup, task, method and held-out model with an observed score: ``setup, task, method, model, family,
        flops, distance`` (decades of compute beyond the cutoff, or beyond the models leaned on), ``observed, mean,
        median, sd``, the quantiles of forecast.csv, ``crps, log_score, pit``, and of ours the sampler's verdict:
        ``converged, rhat, ess_bulk, ess_tail, divergences``.
    problems : tuple of str
        What went wrong in sampling.
    """

    cells: pd.DataFrame
    problems: tuple[str, ...] = field(default=())

    def scores(self, by: Sequence[str] = ("setup", "task", "method")) -> pd.DataFrame:
        """Mean scores by group; see `bayes_obscaling.evaluation.scoring.score_table`."""
        return score_table(self.cells, by)

    def by_distance(self, by: Sequence[str] = ("method",)) -> pd.DataFrame:
        """Mean scores by decades of compute beyond the cutoff."""
        labels = ["up to 0.5", "0.5 to 1", "more than 1"]
        binned = pd.cut(self.cells["distance"], DISTANCE_BINS, labels=labels).astype(object).fillna("unknown")
        rows = score_table(self.cells.assign(decades=binned), ("decades", *by))
        return rows.sort_values("decades", key=lambda column: column.map([*labels, "unknown"].index), kind="stable")

    def differences(self, by: Sequence[str] = (), metric: str = "crps") -> pd.DataFrame:
        """Ours less each baseline, with standard errors over families; negative is better."""
        return paired_differences(self.cells, OURS, by, metric)

    def save(self, folder: str | Path) -> tuple[Path, Path]:
        """Write ``cells.csv`` and ``scores.csv`` into a folder, each whole or not at all.

        Raises
        ------
        InputError
            When the folder cannot be written.
        """
        folder = Path(folder)
        paths = folder / "cells.csv", folder / "scores.csv"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            by = [name for name in ("spec", "setup", "task", "method") if name in self.cells]
            for path, frame in zip(paths, (self.cells, self.scores(by)), strict=True):
                write_atomically(path, frame.to_csv(index=False).encode())
        except OSError as error:
            raise InputError(f"{folder} cannot be written ({error.strerror or error}): give another folder.") from error
        return paths

    @staticmethod
    def join(parts: Iterable[Backtest]) -> Backtest:
        """Put backtests together."""
        parts = list(parts)
        problems = tuple(dict.fromkeys(problem for part in parts for problem in part.problems))
        return Backtest(pd.concat([part.cells for part in parts], ignore_index=True), problems)


def backtest(
    table: ScoreTable,
    tasks: str | Sequence[str],
    split: Split,
    *,
    setup: str = "",
    methods: Sequence[str] | None = None,
    unknown_compute: bool = True,
    thresholds: Sequence[float] = (),
    spec: CapabilitySpec | None = None,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress | None = None,
) -> Backtest:
    """Forecast the held-out models of one split and score the forecasts.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    tasks : str or sequence of str
        Tasks, or standard benchmarks, to forecast.
    split : Split
        Who is held out.
    setup : str
        Label of the cells; default the split's name.
    methods : sequence of str, optional
        Baselines (keys of `bayes_obscaling.evaluation.baselines.BASELINES`); default all that apply. One that cannot
        say anything of a model has no cell there.
    unknown_compute : bool
        Whether held-out models of unknown compute are judged (they never are when everything of them is hidden).
    thresholds : sequence of float
        Scores whose probability of being reached gets a column ``p_above_...`` of our cells.
    spec, chains, draws, seed, cache, progress
        As in `bayes_obscaling.fit`.

    Returns
    -------
    Backtest

    Raises
    ------
    InputError
        As `bayes_obscaling.fit`, for an unknown baseline, and when no held-out model has a score to compare with.
    """
    names = table.resolve_all(tasks)
    methods = list(BASELINES) if methods is None else list(methods)
    check_methods(methods)
    judged = _judged(table, names, split, unknown_compute)
    fitted = fit(
        table, names, split=split, spec=spec, chains=chains, draws=draws, seed=seed, cache=cache, progress=progress
    )
    asked = [model for model in split.held_out if any(model in judged[name] for name in names)]
    answer = forecast(fitted, asked, tasks=names)
    verdict: dict[str, Any] = {
        "converged": not answer.problems, **answer.convergence.model_dump(exclude={"worst"}),
    }  # fmt: skip
    distance = answer.about.set_index(["model", "task"])["distance"]
    facts = table.models
    parts = []
    for name in names:
        models = judged[name]
        observed = table.matrix([name]).loc[models, name].to_numpy()
        where = facts.loc[models, ["family", "flops"]].reset_index()
        where.insert(0, "task", name)
        where["distance"] = (
            np.log10(where["flops"] / split.cutoff)
            if split.cutoff is not None
            else [distance[model, name] for model in models]
        )
        where["observed"] = observed
        drawn = answer.draws.sel(scenario=models, task=name).stack(sample=("chain", "draw"))
        values = drawn.transpose("scenario", "sample").to_numpy()
        ours = score_draws(values, observed)
        for threshold in thresholds:
            ours[f"p_above_{threshold:g}"] = (values >= threshold).mean(axis=1)
        parts.append(pd.concat([where.assign(method=OURS), ours.assign(**verdict)], axis=1))
        for method in methods:
            parts.append(_baseline_cells(method, table, name, split, where, seed))
    cells = pd.concat([part for part in parts if len(part)], ignore_index=True)
    cells.insert(0, "setup", setup or split.name)
    first = ["setup", "task", "method", "model", "family", "flops", "distance", "observed"]
    problems = tuple(f"{setup or split.name}: {problem}" for problem in answer.problems)
    return Backtest(cells[[*first, *(c for c in cells if c not in first)]], problems)


def check_methods(methods: Sequence[str]) -> None:
    """Refuse a baseline that does not exist."""
    if unknown := [name for name in methods if name not in BASELINES]:
        raise InputError(f"There is no baseline {unknown[0]!r}: choose from {', '.join(BASELINES)}.")


def _judged(table: ScoreTable, names: list[str], split: Split, unknown_compute: bool) -> dict[str, list[str]]:
    """Held-out models with a score to compare with, by task."""
    if unknown := [model for model in split.held_out if model not in table.models.index]:
        raise InputError(f"Held-out model {unknown[0]!r} is not in the table: make the split from the same table.")
    observed = table.matrix(names).loc[list(split.held_out)]
    if not unknown_compute or split.hides == "all":
        observed = observed[table.models.loc[observed.index, "flops"].notna()]
    judged = {name: list(observed.index[observed[name].notna()]) for name in names}
    if empty := [name for name in names if not judged[name]]:
        raise InputError(
            f"No held-out model has a score on {empty[0]} to compare with ({split.name}): lower the cutoff or hold out "
            "models that were scored on it."
        )
    return judged


def _baseline_cells(
    method: str, table: ScoreTable, task: str, split: Split, where: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """Cells of one baseline; none where it does not apply or has too little to learn from."""
    try:
        answer = baseline(method, table, task, split, draws=BASELINE_DRAWS, seed=seed)
    except InputError:
        return pd.DataFrame()
    point = answer.point.reindex(where["model"]).to_numpy()
    able = np.isfinite(point)
    if not able.any():
        return pd.DataFrame()
    kept = where[able].reset_index(drop=True)
    observed = kept["observed"].to_numpy()
    if answer.draws is None:
        scores = score_points(point[able], observed)
    else:
        scores = score_draws(answer.draws[kept["model"]].to_numpy().T, observed)
        scores["median"] = point[able]  # what was published is the curve of the fit itself
    return pd.concat([kept.assign(method=method), scores.assign(converged=True)], axis=1)


def suite(name: str) -> list[Question]:
    """Questions of a named suite.

    Parameters
    ----------
    name : {"published", "from-compute", "below-cutoff"}
        "published": the setups of Ruan, Maddison and Hashimoto (2024): emergent tasks, post-training, agents.
        "from-compute": standard benchmarks forecast from family and FLOPs alone: D1, the largest model of each
        family; D2, all but the smallest of families of three or more; D3, whole families, a third of them at a time.
        "below-cutoff": inside the training data of the ten published count tasks, where settings may be chosen:
        earlier cutoffs (leave-future-out), and whole families, a quarter of them at a time. No score above the
        published cutoffs is seen or judged.

    Raises
    ------
    InputError
        For another name.
    """
    if name == "published":
        return _published()
    if name == "from-compute":
        return _from_compute()
    if name == "below-cutoff":
        return _below_cutoff()
    raise InputError(f"There is no suite '{name}': choose published, from-compute or below-cutoff.")


def _published() -> list[Question]:
    base, agents = load_base_llms("paper"), load_instruct_llms()
    facts = base.benchmarks
    post = [task for task in base.task_names if task.startswith(("gsm8k", "bbh"))]
    emergent = [task for task in base.task_names if task not in post]
    questions = []
    for setup, tasks, unknown in (("emergent", emergent, False), ("post-training", post, True)):
        # A score that counts no items is fitted apart: asked for, it would join the pool of all others.
        groups = facts.loc[tasks].groupby(["cutoff_flops", facts.loc[tasks, "n_items"].notna()], sort=False)
        for (cutoff, _), group in groups:
            split = split_by_flops(base, float(cutoff))
            questions.append(Question(setup, base, tuple(group.index), split, unknown, tuple(BASELINES)))
    for share in (0.1, 0.2):
        for task in agents.task_names:
            split = split_by_score(agents, share, task)
            questions.append(Question(f"agents, top {share:.0%}", agents, (task,), split, True, tuple(BASELINES)))
    return questions


def _from_compute() -> list[Question]:
    table = load_base_llms("paper")
    names, methods = tuple(table.benchmark_names), ("mean", "compute", "family-logistic")
    known = table.models[table.models["flops"].notna()]
    families = list(dict.fromkeys(known["family"]))
    designs = [
        ("D1 largest of each family", split_largest_of_family(table)),
        ("D2 all but the smallest", split_largest_of_family(table, 3, all_but_smallest=True)),
        *(("D3 whole families", split_by_family(table, families[i::3])) for i in range(3)),
    ]
    return [Question(setup, table, names, split, False, methods) for setup, split in designs]


def _below_cutoff() -> list[Question]:
    table, methods = load_base_llms("paper"), ("mean", "compute", "family-logistic", "pc-3")
    families = table.models["family"]
    questions = []
    for tasks, published, earlier in (
        (EARLY_TASKS, 8.4e22, (0.8e22, 1.6e22, 4e22)),
        (ARITHMETIC_TASKS, 2.2e22, (0.26e22, 0.52e22, 1.25e22)),
    ):
        above = split_by_flops(table, published).held_out
        below = [model for model in table.models.index if model not in above]
        for cutoff in earlier:
            split = split_by_flops(table, cutoff)
            questions.append(Question("leave-future-out", table, tasks, split, False, methods, published))
        names = list(dict.fromkeys(families[below]))
        for fold in range(4):
            out = tuple(model for model in below if families[model] in names[fold::4])
            split = Split(f"families {fold + 1} of 4", (*above, *out), "task", published)
            questions.append(Question("families left out", table, tasks, split, False, methods, published))
    return questions


def run_suite(
    questions: Sequence[Question],
    *,
    tell: Callable[[str], object] = str,
    **options: object,
) -> Backtest:
    """Backtest every question of a suite; `options` go to `backtest`.

    Returns
    -------
    Backtest
        All cells.
    """
    parts = []
    for number, q in enumerate(questions, 1):
        tell(f"{number} of {len(questions)}: {q.setup}, {', '.join(q.tasks)} ({q.split.name})")
        part = backtest(
            q.table, q.tasks, q.split, setup=q.setup, methods=q.methods, unknown_compute=q.unknown_compute,
            **options,  # type: ignore[arg-type]
        )  # fmt: skip
        if np.isfinite(q.up_to):
            part = replace(part, cells=part.cells[part.cells["flops"] <= q.up_to * (1 + 1e-9)])
        parts.append(part)
    return Backtest.join(parts)
