"""The ladder command: from small runs of one recipe to a large model's task losses and accuracies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bayes_obscaling.cli.common import (
    check_destinations,
    check_plot,
    err,
    out,
    plain,
    print_table,
    sampling_progress,
    save_plot,
    write,
)
from bayes_obscaling.cli.options import Chains, Draws, Output, Seed
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from bayes_obscaling.data import Ladder
    from bayes_obscaling.results.ladder import LadderFit
    from bayes_obscaling.results.ladder_forecast import LadderForecast, Target

_TARGET = "a target is given as N=7e9,D=4e12, with name=7B in front if you like"


def ladder(
    runs: Annotated[Path | None, typer.Option(help="Your own ladder (CSV): N, D, task, loss, accuracy.")] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", help="Model to forecast: N=7e9,D=4e12; repeatable.")
    ] = None,
    paper_runs: Annotated[
        bool, typer.Option(help="Only the 16 runs of the paper, up to 1.3B (default: all 30, up to 3.2B).")
    ] = False,
    law: Annotated[
        Literal["size-and-data", "compute"], typer.Option(help="Loss as a function of N and D, or of compute alone.")
    ] = "size-and-data",
    feature: Annotated[
        Literal["task_loss", "task_ce", "c4_loss", "none"],
        typer.Option(help="What links compute and accuracy."),
    ] = "task_loss",
    backtest: Annotated[
        bool, typer.Option(help="Leave the largest size out, against the point estimate; --hold-out for others.")
    ] = False,
    hold_out: Annotated[list[float] | None, typer.Option(help="Size to leave out in parameters; repeatable.")] = None,
    compare: Annotated[bool, typer.Option(help="Compare variants of the model, the largest size left out.")] = False,
    next_run: Annotated[bool, typer.Option(help="Which extra run would shrink the forecasts most?")] = False,
    rungs: Annotated[bool, typer.Option(help="How the forecasts sharpen as rungs are added.")] = False,
    chains: Chains = 4,
    draws: Draws = 1000,
    seed: Seed = 0,
    output: Output = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the forecast here (PNG, PDF, SVG).")] = None,
    save_fit: Annotated[Path | None, typer.Option(help="Save the fit here (netCDF).")] = None,
    fit: Annotated[Path | None, typer.Option(help="Forecast from this saved fit instead of fitting.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Forecast task losses and accuracies of larger models of the same recipe, with intervals."""
    check_destinations(output, plot, save_fit)
    check_plot(plot)
    studies = {"--backtest": backtest or bool(hold_out), "--compare": compare, "--rungs": rungs}
    if sum([*studies.values(), next_run]) > 1:
        raise InputError("--backtest, --compare, --rungs and --next-run are different questions: ask one.")
    study = next((name for name, asked in studies.items() if asked), None)
    if study is not None and (given := fit or save_fit or plot):
        raise InputError(f"{study} makes several fits, and {given} belongs to one forecast: leave one of the two out.")
    if fit is not None and (runs or paper_runs or law != "size-and-data" or feature != "task_loss"):
        raise InputError("--fit holds its own runs and spec: leave out --runs, --paper-runs, --law and --feature.")
    if runs is not None and paper_runs:
        raise InputError(f"--paper-runs are bundled runs, {runs} holds yours: leave one of the two out.")
    say = err if as_json else out
    targets = [_target(text) for text in target or ()] or None
    if targets is None and runs is not None and study not in ("--backtest", "--compare"):
        raise InputError(f"Your own ladder needs a target: {_TARGET}.")

    if study is not None:
        train, everything = _ladders(runs, paper_runs or study in ("--backtest", "--compare"))
        settings = {"chains": chains, "draws": draws, "seed": seed}
        table, problems = _study(study, train, everything, targets, hold_out, law, feature, settings)
        _print(table, as_json, problems)
    else:
        fitted = _fit(fit, runs, paper_runs, law, feature, chains, draws, seed)
        from bayes_obscaling.results.ladder_forecast import OLMO_TARGETS, forecast_ladder

        asked = targets or list(OLMO_TARGETS)
        if next_run:
            from bayes_obscaling.design.ladder import next_runs

            table = next_runs(fitted, asked)
            _print(table, as_json, fitted.problems)
        else:
            forecast = forecast_ladder(fitted, asked)
            table = forecast.summary()
            _print_forecast(forecast, as_json)
            if plot is not None:
                save_plot(forecast.plot, plot)
        if save_fit is not None:
            fitted.save(save_fit)
    if output is not None:
        write(output, table.to_csv(index=False).encode())
    for path in (output, plot, save_fit):
        if path is not None:
            say.print(f"Wrote {path}", highlight=False)


def _target(text: str) -> Target:
    from bayes_obscaling.results.ladder_forecast import Target

    said: dict[str, str] = {}
    for part in text.split(","):
        name, mark, value = part.partition("=")
        if not mark or not value.strip():
            raise InputError(f"--target {text}: {part.strip()!r} is not of the form N=7e9; {_TARGET}.")
        said[name.strip().upper()] = value.strip()
    if unknown := set(said) - {"N", "D", "NAME", "FLOPS"}:
        raise InputError(f"--target {text}: {sorted(unknown)[0]!r} is not known; {_TARGET}.")
    numbers = {}
    for name in ("N", "D", "FLOPS"):
        if name not in said:
            if name == "FLOPS":
                continue
            raise InputError(f"--target {text}: {name} is missing; {_TARGET}.")
        try:
            numbers[name] = float(said[name])
        except ValueError:
            raise InputError(f"--target {text}: {name} is {said[name]!r}, not a number; {_TARGET}.") from None
    name = said.get("NAME", f"N={said['N']},D={said['D']}")
    return Target(name, numbers["N"], numbers["D"], numbers.get("FLOPS"))


def _ladders(runs: Path | None, paper_runs: bool) -> tuple[Ladder, Ladder]:
    """The ladder to fit, and the one that holds the runs to forecast."""
    from bayes_obscaling.data import load_olmo_ladder, read_ladder

    if runs is not None:
        own = read_ladder(runs)
        for note in own.notes:
            err.print(f"Note: {plain(note)}", highlight=False, soft_wrap=True)
        return own, own
    return load_olmo_ladder("ladder" if paper_runs else "all"), load_olmo_ladder("all")


def _fit(
    fit: Path | None, runs: Path | None, paper_runs: bool, law: Any, feature: Any, chains: int, draws: int, seed: int
) -> LadderFit:
    if fit is not None:
        from bayes_obscaling.results.ladder import load_ladder_fit

        return load_ladder_fit(fit)
    ladder, _ = _ladders(runs, paper_runs)
    from bayes_obscaling.inference.cache import default_cache_dir
    from bayes_obscaling.inference.ladder import fit_ladder
    from bayes_obscaling.models.ladder import LadderSpec

    with sampling_progress() as tell:
        return fit_ladder(
            ladder, LadderSpec(law=law, feature=feature), chains=chains, draws=draws, seed=seed,
            cache=default_cache_dir(), progress=tell,
        )  # fmt: skip


def _study(
    study: str, train: Ladder, everything: Ladder, targets: list[Target] | None, hold_out: list[float] | None,
    law: Any, feature: Any, settings: dict[str, Any],
) -> tuple[pd.DataFrame, tuple[str, ...]]:  # fmt: skip
    from bayes_obscaling.design.ladder import rung_study
    from bayes_obscaling.evaluation.ladder_backtest import backtest_ladder, compare_ladder_specs
    from bayes_obscaling.inference.cache import default_cache_dir
    from bayes_obscaling.models.ladder import LadderSpec
    from bayes_obscaling.results.ladder_forecast import OLMO_TARGETS

    spec, cache = LadderSpec(law=law, feature=feature), default_cache_dir()
    with sampling_progress() as tell:
        if study == "--backtest":
            result = backtest_ladder(
                everything, hold_out, train=train, spec=spec, cache=cache, progress=tell, **settings
            )
            columns = ["held_out", "quantity", "method", "n", "mae", "crps"]
            scores = result.scores()
            columns += [name for name in scores if name.startswith("coverage")] + ["width_50", "width_90"]
            return scores[columns], result.problems
        if study == "--compare":
            table = compare_ladder_specs(everything, train=train, cache=cache, progress=tell, **settings)
            return table, tuple(f"{row.spec}: {row.problems}" for row in table.itertuples() if row.problems)
        asked = targets or list(OLMO_TARGETS)
        table, fits = rung_study(train, asked, spec=spec, cache=cache, progress=tell, **settings)
        return table, tuple(problem for fit in fits for problem in fit.problems)


def _print(table: pd.DataFrame, as_json: bool, problems: tuple[str, ...]) -> None:
    if as_json:
        from bayes_obscaling.results.summaries import json_rows

        print(json.dumps({"table": json_rows(table), "problems": list(problems)}, indent=2))
    else:
        print_table(table, "")
    _print_problems(problems, as_json)


def _print_forecast(forecast: LadderForecast, as_json: bool) -> None:
    table = forecast.summary()
    if as_json:
        from bayes_obscaling.results.summaries import json_rows

        convergence = forecast.fit.convergence.model_dump()
        body = {
            "forecast": json_rows(table), "verdict": forecast.verdict, "problems": list(forecast.problems),
            "warnings": list(forecast.warnings),
            "convergence": convergence, "spec": forecast.fit.spec.model_dump(), "provenance": forecast.fit.provenance,
        }  # fmt: skip
        print(json.dumps(body, indent=2))
    else:
        shown = table.assign(
            interval_50=[f"{a:.3f} to {b:.3f}" for a, b in zip(table["q25"], table["q75"], strict=True)],
            interval_90=[f"{a:.3f} to {b:.3f}" for a, b in zip(table["q5"], table["q95"], strict=True)],
        )
        for (name, quantity), rows in shown.groupby(["target", "quantity"], sort=False):
            first = rows.iloc[0]
            title = f"{name}: {quantity} (N = {first['N']:.4g}, D = {first['D']:.4g})"
            print_table(rows[["task", "median", "interval_50", "interval_90"]], title)
            (err if as_json else out).print()
    for warning in forecast.warnings:
        (err if as_json else out).print(f"[yellow]Warning:[/] {plain(warning)}", highlight=False, soft_wrap=True)
    numbers = forecast.fit.convergence.numbers
    if not forecast.problems:
        level = "[bold green]Sampler: converged[/]" if forecast.verdict == "PASS" else "[bold yellow]Sampler: REVIEW[/]"
        (err if as_json else out).print(f"{level} ({numbers})", highlight=False)
    _print_problems(forecast.problems, as_json)


def _print_problems(problems: tuple[str, ...], as_json: bool) -> None:
    say = err if as_json else out
    for problem in problems:
        say.print(f"[bold red]Sampler: NOT CONVERGED[/] {plain(problem)}", highlight=False, soft_wrap=True)
    if problems:
        say.print("  Do not rely on these intervals: take more --draws.", highlight=False)
