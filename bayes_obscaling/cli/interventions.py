"""Commands on tasks: gain, agents, single-family."""

from __future__ import annotations

from typing import Annotated

import typer

from bayes_obscaling.cli.common import (
    check_destinations,
    check_plot,
    load_or_sample,
    sampling_progress,
    show_finding,
    spec_of,
    user_table,
)
from bayes_obscaling.cli.options import (
    AllModels,
    AsJson,
    Benchmarks,
    Chains,
    Draws,
    Factors,
    Output,
    Plot,
    SavedFit,
    Scores,
    Seed,
)
from bayes_obscaling.errors import InputError


def gain(
    before: Annotated[str, typer.Option(help="Task without the intervention, such as gsm8k_direct.")],
    after: Annotated[str, typer.Option(help="Task with it, such as gsm8k_cot.")],
    cutoff_flops: Annotated[float | None, typer.Option(help="FLOPs above which both scores are hidden.")] = None,
    family: Annotated[
        list[str] | None, typer.Option("--family", help="Follow its gain over compute; 'new' is one never seen.")
    ] = None,
    check: Annotated[
        bool, typer.Option(help="Score the forecasts of held-out models against what they gained.")
    ] = False,
    scores: Scores = None,
    benchmarks: Benchmarks = None,
    all_models: AllModels = False,
    factors: Factors = None,
    chains: Chains = 4,
    draws: Draws = 1000,
    seed: Seed = 0,
    fit: SavedFit = None,
    output: Output = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Forecast what an intervention, such as chain of thought, adds to each model's score on the same task."""
    from bayes_obscaling.analyses import interventions as analysis

    check_destinations(output, plot)
    check_plot(plot)
    if check and family:
        raise InputError("--check judges models that exist: leave out --family.")
    fitted = load_or_sample(
        fit, bool(scores or benchmarks or all_models),
        lambda: user_table([before, after], scores, benchmarks, None, all_models), [before, after],
        cutoff=cutoff_flops, spec=spec_of(factors, False, False), chains=chains, draws=draws, seed=seed,
    )  # fmt: skip
    if check:
        checked = analysis.check_gain(fitted, before, after, seed=seed)
        show_finding(checked, "Forecast gains, scored", output=output, plot=plot, as_json=as_json)
        return
    found = analysis.gain(fitted, before, after, families=family or ())
    title = f"{found.after} less {found.before}, the least capable model first"
    show_finding(found, title, output=output, plot=plot, as_json=as_json, rows=200)


def agents(
    task: Annotated[list[str] | None, typer.Option("--task", "-t", help="Task; default all of the table.")] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option("--leave-out", help="Leave out this model only; repeatable. Default: each once.")
    ] = None,
    whole_families: Annotated[bool, typer.Option(help="Leave out whole families instead.")] = False,
    shares: Annotated[str, typer.Option(help="Shares of best models to hold out as well; 0 for none.")] = "0.1,0.2",
    scores: Scores = None,
    benchmarks: Benchmarks = None,
    factors: Factors = None,
    chains: Chains = 4,
    draws: Draws = 500,
    seed: Seed = 0,
    output: Output = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Leave each instruct model out once, forecast its score as an agent, and hold the best models out together.

    A run that was interrupted goes on where it was.
    """
    from bayes_obscaling.analyses.agents import leave_models_out
    from bayes_obscaling.data import load_instruct_llms
    from bayes_obscaling.inference.cache import default_cache_dir

    check_destinations(output, plot)
    check_plot(plot)
    table = user_table(task or [], scores, benchmarks, None, False) if task else load_instruct_llms()
    if scores and not task:
        raise InputError("--scores needs --task: name the tasks to forecast.")
    with sampling_progress("fits") as tell:
        found = leave_models_out(
            table, task, models=leave_out, whole_families=whole_families, shares=_shares(shares),
            spec=spec_of(factors, False, False), chains=chains, draws=draws, seed=seed, cache=default_cache_dir(),
            progress=tell,
        )  # fmt: skip
    title = f"Each {'family' if whole_families else 'model'} left out once"
    show_finding(found, title, output=output, plot=plot, as_json=as_json, rows=100)


def single_family(
    family: Annotated[str, typer.Option(help="Family to follow, such as Qwen1.5.")],
    task: Annotated[list[str], typer.Option("--task", "-t", help="Task or benchmark; repeat for several.")],
    models: Annotated[str | None, typer.Option(help="Numbers of models to see: 2,4; default 2 to all but one.")] = None,
    scores: Scores = None,
    benchmarks: Benchmarks = None,
    all_models: AllModels = False,
    factors: Factors = None,
    chains: Chains = 4,
    draws: Draws = 1000,
    seed: Seed = 0,
    output: Output = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Forecast a family's larger models from its k smallest: compute of this family alone against capabilities."""
    from bayes_obscaling.analyses import single_family as analysis
    from bayes_obscaling.inference.cache import default_cache_dir

    check_destinations(output, plot)
    check_plot(plot)
    table = user_table(task, scores, benchmarks, None, all_models)
    with sampling_progress("fits") as tell:
        found = analysis.single_family(
            table, family, task, counts=_counts(models), spec=spec_of(factors, False, False), chains=chains,
            draws=draws, seed=seed, cache=default_cache_dir(), progress=tell,
        )  # fmt: skip
    title = f"{found.family} from its smallest models"
    show_finding(found, title, output=output, plot=plot, as_json=as_json, rows=100)


def _shares(text: str) -> list[float]:
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = [-1.0]
    if not all(0 <= share < 1 for share in shares):
        raise InputError(f"--shares is '{text}': give fractions below 1, such as 0.1,0.2, or 0 for none.")
    return [share for share in shares if share]


def _counts(text: str | None) -> list[int] | None:
    try:
        return None if text is None else [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--models is '{text}': give numbers of models, such as 2,4.") from None
