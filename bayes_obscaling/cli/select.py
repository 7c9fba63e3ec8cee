"""The select command: which models to evaluate next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayes_obscaling.cli.common import (
    check_destinations,
    check_plot,
    named_models,
    sampling_progress,
    show_finding,
    spec_of,
    user_table,
)
from bayes_obscaling.cli.options import Benchmarks, Chains, Draws, Factors, Scores, Seed
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from bayes_obscaling.data import ScoreTable
    from bayes_obscaling.design.selection import NewTask


def select(
    task: Annotated[str, typer.Option("--task", "-t", help="Task to evaluate; a new one needs --chance.")],
    budget: Annotated[int, typer.Option(help="Number of models to evaluate.")],
    method: Annotated[
        str, typer.Option(help="bayes: single models, for the targets' sake. v-optimal: families, as published.")
    ] = "bayes",
    max_size: Annotated[float | None, typer.Option(help="Only models of at most so many parameters.")] = None,
    max_flops: Annotated[float | None, typer.Option(help="Only models of at most these FLOPs.")] = None,
    families: Annotated[str | None, typer.Option(help="Only these families: A,B.")] = None,
    targets: Annotated[
        str | None, typer.Option(help="Models whose scores matter: A,B; default those that cannot be chosen.")
    ] = None,
    include: Annotated[str | None, typer.Option(help="Families that v-optimal always takes: A,B.")] = None,
    chance: Annotated[float | None, typer.Option(help="Score of a guesser on a new task, 0 to 1.")] = None,
    items: Annotated[float | None, typer.Option(help="Number of items of a new task.")] = None,
    scores: Scores = None,
    benchmarks: Benchmarks = None,
    all_models: Annotated[bool, typer.Option(help="Choose from all 128 bundled models, not the study's 77.")] = False,
    factors: Factors = None,
    chains: Chains = 4,
    draws: Draws = 1000,
    seed: Seed = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the models here (CSV).")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the criterion by number of models (PNG, PDF, SVG).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Choose the models to evaluate on a task, under a budget."""
    check_destinations(output, plot)
    check_plot(plot)
    table = user_table([task], scores, benchmarks, targets, all_models)
    asked = _task(table, task, chance, items)

    from bayes_obscaling.design.subset import select_models
    from bayes_obscaling.inference.cache import default_cache_dir

    wanted: dict[str, Any] = {
        "method": method, "max_size": max_size, "max_flops": max_flops, "families": _list(families),
        "targets": named_models(table, targets) or None, "include": _list(include) or (),
    }  # fmt: skip
    if method == "v-optimal":
        chosen = select_models(table, asked, budget, **wanted)
    else:
        with sampling_progress() as tell:
            chosen = select_models(
                table, asked, budget, **wanted, spec=spec_of(factors, False, False), chains=chains, draws=draws,
                seed=seed, cache=default_cache_dir(), progress=tell,
            )  # fmt: skip
    title = f"Models to evaluate on {task} ({method}, {len(chosen.models)} of at most {budget})"
    show_finding(chosen, title, output=output, plot=plot, as_json=as_json, rows=200)


def _task(table: ScoreTable, task: str, chance: float | None, items: float | None) -> str | NewTask:
    """A task of the table, or a new one that is described."""
    from bayes_obscaling.design.selection import NewTask

    if table.find(task) is None:
        if chance is None:
            try:
                table.resolve(task)
            except InputError as error:
                raise InputError(f"{error} For a task that nobody has measured, give its --chance.") from None
        return NewTask(task, chance or 0.0, float("nan") if items is None else items)
    if chance is not None or items is not None:
        raise InputError(
            f"{table.resolve(task)} is in the table with its chance and items: leave --chance and --items out."
        )
    return table.resolve(task)


def _list(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] if text else None
