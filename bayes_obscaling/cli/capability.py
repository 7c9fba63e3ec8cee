"""Commands on what lies behind the scores: factors, efficiency, latent-compute, anomalies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    Curvature,
    Draws,
    Factors,
    Output,
    Plot,
    SavedFit,
    Scores,
    Seed,
)
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from bayes_obscaling.data import ScoreTable
    from bayes_obscaling.results.fit import Fit

Tasks = Annotated[list[str] | None, typer.Option("--task", "-t", help="Task; repeat for several.")]
Cutoff = Annotated[float | None, typer.Option(help="FLOPs above which task scores are hidden.")]
Table = Annotated[str, typer.Option(help="Bundled table: base, or instruct.")]

_FOLDS = 5


def factors(
    task: Tasks = None,
    compare: Annotated[str | None, typer.Option(help="Compare numbers of factors: 1:5.")] = None,
    future: Annotated[bool, typer.Option(help="With --compare: leave-future-out scores too (slow).")] = True,
    cutoff_flops: Cutoff = None,
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
    """Show what the capabilities are: loadings, variance explained, what tasks read; or how many there should be."""
    check_destinations(output, plot)
    check_plot(plot)
    if compare is not None:
        if task or fit or factors or cutoff_flops or plot:
            raise InputError("--compare fits anew and has no plot: leave out --task, --fit, --factors and --plot.")
        from bayes_obscaling.analyses.factors import compare_factors
        from bayes_obscaling.inference.cache import default_cache_dir

        counts = _counts(compare)
        table = user_table([], scores, benchmarks, None, all_models)
        with sampling_progress() as tell:
            choice = compare_factors(
                table, counts, future=future, chains=chains, draws=draws, seed=seed, cache=default_cache_dir(),
                progress=tell,
            )  # fmt: skip
        show_finding(choice, "Numbers of factors", output=output, plot=None, as_json=as_json)
        return
    if not future:
        raise InputError("--no-future goes with --compare: add --compare 1:5, or leave it out.")
    from bayes_obscaling.analyses import factors as analysis

    fitted = _fitted(
        task, "base", cutoff_flops, scores, benchmarks, all_models, spec_of(factors, False, False), chains, draws, seed,
        fit,
    )  # fmt: skip
    show_finding(
        analysis.factors(fitted), "Loadings of benchmarks on factors", output=output, plot=plot, as_json=as_json
    )


def efficiency(
    capability: Annotated[
        str | None, typer.Option(help="What to rank by: overall, a factor such as MMLU, or a task.")
    ] = None,
    flops: Annotated[float | None, typer.Option(help="Reference compute in FLOPs; default 8.4e22.")] = None,
    family: Annotated[str, typer.Option(help="In whose FLOPs the others are expressed.")] = "Llama-2",
    model: Annotated[
        list[str] | None, typer.Option("--model", help="What is this model worth in that family's FLOPs? Repeatable.")
    ] = None,
    scores: Scores = None,
    benchmarks: Benchmarks = None,
    all_models: AllModels = False,
    factors: Factors = None,
    curvature: Curvature = False,
    chains: Chains = 4,
    draws: Draws = 1000,
    seed: Seed = 0,
    fit: SavedFit = None,
    output: Output = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Rank families by what they make of their compute, and express models in another family's FLOPs."""
    from bayes_obscaling.analyses import efficiency as analysis

    check_destinations(output, plot)
    check_plot(plot)
    if model and (plot or flops):
        raise InputError("--model needs no reference compute and has no plot: leave out --flops and --plot.")
    fitted = _fitted(
        None, "base", None, scores, benchmarks, all_models, spec_of(factors, curvature, False), chains, draws, seed, fit
    )
    name = capability or analysis.OVERALL
    if model:
        worth = analysis.worth(fitted, model, family=family, capability=name)
        show_finding(worth, f"FLOPs of {family}", output=output, plot=None, as_json=as_json)
        return
    found = analysis.efficiency(fitted, capability=name, flops=flops or analysis.REFERENCE_FLOPS, family=family)
    title = f"Family efficiency ({name} at {found.flops:.3g} FLOPs)"
    show_finding(found, title, output=output, plot=plot, as_json=as_json, rows=3 * len(found.parts["ranking"]))


def latent_compute(
    table: Table = "base",
    check: Annotated[bool, typer.Option(help="Hide the FLOPs of models that have them, and compare.")] = False,
    whole_families: Annotated[bool, typer.Option(help="With --check: hide those of whole families.")] = False,
    folds: Annotated[int, typer.Option(help="With --check: number of fits.")] = _FOLDS,
    widen: Annotated[float, typer.Option(help="Widen intervals by the factor that a check found.")] = 1.0,
    scores: Scores = None,
    benchmarks: Benchmarks = None,
    all_models: Annotated[bool, typer.Option(help="All 128 bundled models (default without --check).")] = False,
    factors: Factors = None,
    curvature: Curvature = False,
    chains: Chains = 4,
    draws: Draws = 1000,
    seed: Seed = 0,
    fit: SavedFit = None,
    output: Output = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Infer the training FLOPs of models that publish none, or check how well that works."""
    from bayes_obscaling.analyses import latent_compute as analysis

    check_destinations(output, plot)
    check_plot(plot)
    spec = spec_of(factors, curvature, False)
    if not check:
        if whole_families or folds != _FOLDS:
            raise InputError("--whole-families and --folds go with --check: add it, or leave them out.")
        fitted = _fitted(None, table, None, scores, benchmarks, True, spec, chains, draws, seed, fit)
        found = analysis.latent_compute(fitted, widen=widen)
        show_finding(found, "Training compute inferred (FLOPs)", output=output, plot=plot, as_json=as_json)
        return
    if fit is not None or widen != 1.0:
        raise InputError("--check fits anew, and says by how much to widen: leave out --fit and --widen.")
    from bayes_obscaling.inference.cache import default_cache_dir

    chosen = _table(None, table, scores, benchmarks, all_models)
    with sampling_progress() as tell:
        checked = analysis.check_latent_compute(
            chosen, folds=folds, whole_families=whole_families, spec=spec, chains=chains, draws=draws, seed=seed,
            cache=default_cache_dir(), progress=tell,
        )  # fmt: skip
    show_finding(checked, "Hidden FLOPs, inferred", output=output, plot=plot, as_json=as_json, rows=100)


def anomalies(
    task: Tasks = None,
    false_flags: Annotated[float, typer.Option(help="Share of flags that may be false.")] = 0.1,
    table: Table = "base",
    cutoff_flops: Cutoff = None,
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
    """Flag scores that are too good or too bad for a model's other scores, and families that are on a benchmark."""
    from bayes_obscaling.analyses import anomalies as analysis

    check_destinations(output, plot)
    check_plot(plot)
    if not 0 < false_flags < 1:
        raise InputError(f"--false-flags is {false_flags}: give a fraction between 0 and 1, such as 0.1.")
    fitted = _fitted(
        task, table, cutoff_flops, scores, benchmarks, all_models, spec_of(factors, False, False), chains, draws, seed,
        fit,
    )  # fmt: skip
    found = analysis.anomalies(fitted, false_flags=false_flags)
    show_finding(found, "Scores that do not fit, the oddest first", output=output, plot=plot, as_json=as_json, rows=30)


def _table(
    task: list[str] | None, name: str, scores: list[Path] | None, benchmarks: Path | None, all_models: bool
) -> ScoreTable:
    """Find the bundled table of that name, or the user's merged into the base one."""
    if name not in ("base", "instruct"):
        raise InputError(f"There is no bundled table '{name}': take base or instruct.")
    if name == "instruct":
        from bayes_obscaling.data import load_instruct_llms

        if scores:
            raise InputError("--scores adds to the base table: leave out --table instruct.")
        return load_instruct_llms()
    return user_table(task or [], scores, benchmarks, None, all_models) if task or scores else _base(all_models)


def _base(all_models: bool) -> ScoreTable:
    from bayes_obscaling.data import load_base_llms

    return load_base_llms("all" if all_models else "paper")


def _fitted(
    task: list[str] | None,
    name: str,
    cutoff: float | None,
    scores: list[Path] | None,
    benchmarks: Path | None,
    all_models: bool,
    spec: Any,
    chains: int,
    draws: int,
    seed: int,
    saved: Path | None,
) -> Fit:
    """Load the saved fit, or fit the tasks (the benchmarks alone where there are none)."""
    if saved is None and cutoff is not None and not task:
        raise InputError("--cutoff-flops hides task scores: name the tasks with --task.")
    clash = bool(task or scores or benchmarks or name != "base")
    return load_or_sample(
        saved, clash, lambda: _table(task, name, scores, benchmarks, all_models), task, cutoff=cutoff, spec=spec,
        chains=chains, draws=draws, seed=seed,
    )  # fmt: skip


def _counts(text: str) -> list[int]:
    """Numbers from ``1:5`` or ``2,4``."""
    try:
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            counts = list(range(first, last + 1))
        else:
            counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or not all(1 <= k <= 8 for k in counts):
        raise InputError(f"--compare is '{text}': give numbers of factors from 1 to 8, such as 1:5 or 2,4.")
    return counts
