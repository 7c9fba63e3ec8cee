"""Agents, and other tasks that few models have been scored on: every model left out once, beside the best ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.backtest import check_methods
from bayes_obscaling.evaluation.many import backtest_each
from bayes_obscaling.evaluation.questions import Question
from bayes_obscaling.evaluation.scoring import OURS, difference_in_words, paired_differences, score_table
from bayes_obscaling.inference.limits import check_sampling
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.progress import Progress, shows_progress
from bayes_obscaling.results.finding import Finding

# The published choice for agents (a free floor), the same with chance as its floor, compute, and the plain mean.
METHODS = ("pc-3-parametric", "pc-3", "compute", "mean")
SHARES = (0.1, 0.2)


@dataclass(frozen=True, eq=False, repr=False)
class ModelsLeftOut(Finding):
    """Forecasts of every model, made without its own scores on the tasks.

    ``table`` has one row per model and task: ``observed``, ``median, q5, q25, q75, q95``, ``crps``, ``inside_90``, and
    the point forecast of each baseline under its name (NaN where it cannot say anything). ``parts``: ``scores`` by
    setup, task and method (every model left out, and the best ones held out together), ``differences`` (our CRPS less
    each baseline's over the models left out, standard errors over families) and ``cells``.
    """

    drawn_by = "plot_models_left_out"
    front = ("model", "task", "observed", "median", "q25", "q75", "q5", "q95", "inside_90", "crps")


@shows_progress("backtests")
def leave_models_out(
    table: ScoreTable,
    tasks: str | Sequence[str] | None = None,
    *,
    models: Sequence[str] | None = None,
    whole_families: bool = False,
    shares: Sequence[float] = SHARES,
    methods: Sequence[str] = METHODS,
    spec: CapabilitySpec | None = None,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress = None,
) -> ModelsLeftOut:
    """Return forecasts of each model from all others, and of the best ones from the rest.

    Parameters
    ----------
    table : ScoreTable
        The scores, such as `load_instruct_llms`.
    tasks : str or sequence of str, optional
        Tasks; default all of the table. A model that is left out is so on all of them at once.
    models : sequence of str, optional
        Leave out these only; default every model with a score on one of the tasks.
    whole_families : bool
        Leave out, with a model, the task scores of its whole family.
    shares : sequence of float
        Beside it, hold out these shares of the best-scoring models of each task (Ruan et al. 2024, section 4.3: the
        best tenth); empty for none.
    methods : sequence of str
        Baselines, keys of `bayes_obscaling.evaluation.baselines.BASELINES`.
    spec, chains, draws, seed
        As in `bayes_obscaling.fit`.
    cache : path, optional
        Folder in which capability draws (shared by all fits: only task scores are hidden) and finished fits are kept,
        so that a run that was interrupted goes on where it was.
    progress : callable or False, optional
        Told ``(label, done, total)`` after each fit.

    Raises
    ------
    InputError
        For an unknown task, model or baseline, a share outside 0..1, a model without a score on any of the tasks, or
        when no fit succeeds.
    """
    names = table.resolve_all(table.task_names if tasks is None else tasks)
    if not names:
        raise InputError("The table has no task: name a task or benchmark.")
    check_methods(methods)
    check_sampling(chains, draws, seed)
    wanted = _wanted(table, names, models)
    each = "family left out" if whole_families else "model left out"
    splits = _splits(table, wanted, whole_families)
    observed = table.matrix(names)
    questions = []
    for split in splits:
        is_scored = observed.loc[list(split.held_out)].notna().any()
        scored = tuple(name for name in names if is_scored[name])
        questions.append(Question(table, scored, split, each, tuple(methods)))
    for share in shares:
        best = [Split.by_score(table, share, name) for name in names]
        questions += [
            Question(table, (name,), split, f"best {share:.0%}", tuple(methods))
            for name, split in zip(names, best, strict=True)
        ]
    cells, problems = backtest_each(
        questions, spec=spec, cache=cache, progress=progress, chains=chains, draws=draws, seed=seed
    )
    if whole_families and models is not None:
        cells = cells[(cells["setup"] != each) | cells["model"].isin(wanted)].reset_index(drop=True)
    left_out = cells[cells["setup"] == each]
    parts = {
        "scores": score_table(cells, ("setup", "task", "method")),
        "differences": paired_differences(left_out, OURS),
        "cells": cells,
    }
    answer = _table(left_out, methods)
    return ModelsLeftOut(answer, _sentences(answer, left_out, parts, each, names), problems, parts)


def _wanted(table: ScoreTable, names: list[str], models: Sequence[str] | None) -> list[str]:
    """Models to leave out: those that are named, or all with a score."""
    observed = table.matrix(names)
    scored = observed.index[observed.notna().any(axis=1)]
    wanted = [table.resolve_model(name) for name in models] if models is not None else list(scored)
    if strange := [name for name in wanted if name not in scored]:
        raise InputError(f"{strange[0]} has no score on {', '.join(names)} to compare with: leave out another model.")
    return wanted


def _splits(table: ScoreTable, wanted: list[str], whole_families: bool) -> list[Split]:
    """Each model held out on its own, or each family."""
    if whole_families:
        families = dict.fromkeys(table.models.loc[wanted, "family"])
        return [Split.by_family(table, family, "task") for family in families]
    return [Split.of_models(table, [model], name=model) for model in wanted]


def _table(cells: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Our forecasts, one row per model and task, and the points of the baselines beside them."""
    ours = cells[cells["method"] == OURS].reset_index(drop=True)
    table = ours[["model", "family", "flops", "task", "observed", "median", "q5", "q25", "q75", "q95", "crps"]].copy()
    table["inside_90"] = table["observed"].between(table["q5"], table["q95"])
    points = cells.pivot_table(index=["model", "task"], columns="method", values="median")
    keys = pd.MultiIndex.from_frame(table[["model", "task"]])
    for method in methods:
        if method in points:
            table[method] = points[method].reindex(keys).to_numpy()
    return table.sort_values(["task", "observed"], ascending=[True, False], kind="stable", ignore_index=True)


def _sentences(
    table: pd.DataFrame, cells: pd.DataFrame, parts: dict[str, pd.DataFrame], each: str, names: list[str]
) -> tuple[str, ...]:
    ours = score_table(cells[cells["method"] == OURS], ()).iloc[0]
    sentences = [
        f"{len(table)} scores, {each} each time: the 50 % interval held {ours['coverage_50']:.0%}, the 80 % interval "
        f"{ours['coverage_80']:.0%}, the 90 % interval {ours['coverage_90']:.0%}; mean absolute error "
        f"{ours['mae']:.3f}, CRPS {ours['crps']:.4f}."
    ]
    sentences += [
        f"{row.method}, {row.n} scores: CRPS {row.theirs:.4f} against {row.ours:.4f} of {OURS} "
        f"({difference_in_words(row.difference, row.se)})."
        for row in parts["differences"].itertuples()
    ]
    for name in names:
        best = table[table["task"] == name].head(1)
        sentences += [
            f"Best on {name}: {row.model}, observed {row.observed:.3f}, forecast {row.median:.3f} (90 % interval "
            f"{row.q5:.3f} to {row.q95:.3f})."
            for row in best.itertuples()
        ]
    return tuple(sentences)
