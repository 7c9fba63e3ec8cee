"""The ladder command: from small runs of one recipe to a large model's task losses and accuracies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from bayes_obscaling.cli.groups import names
from bayes_obscaling.cli.heed import Accept, accepted_checks, heeded
from bayes_obscaling.cli.options import KeptFit, Outputs, PageOutput, Refit, Sampling, answers
from bayes_obscaling.cli.show import note, print_table, show, span
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from bayes_obscaling.data import Ladder
    from bayes_obscaling.models.ladder import LadderSpec
    from bayes_obscaling.results.finding import Finding
    from bayes_obscaling.results.fit import LadderFit
    from bayes_obscaling.results.ladder_forecast import LadderForecast
    from bayes_obscaling.results.scenario import Scenario

_TARGET = "a target is given as N=7e9,D=4e12, with name=7B in front if you like"


# long: every option of the command is a parameter
def ladder(
    runs: Annotated[Path | None, "Your own ladder: N, D, and losses, accuracies or both."] = None,
    target: Annotated[list[str] | None, "Model to forecast: N=7e9,D=4e12; repeatable."] = None,
    recipe: Annotated[
        str, "Of the targets: same, similar (the team's next recipe), unknown (anyone's), or one of the table."
    ] = "",
    update: Annotated[
        Path | None, "Early checkpoints of the one target, a run under way: N, D until then, results."
    ] = None,
    paper_runs: Annotated[bool, "Only the 16 runs of the paper, up to 1.3B (default: all 30, up to 3.2B)."] = False,
    law: Annotated[
        Literal["size-and-data", "compute"], "Loss as a function of N and D, or of compute alone."
    ] = "size-and-data",
    feature: Annotated[
        Literal["task_loss", "task_ce", "c4_loss", "none"] | None,
        "What links compute and accuracy (default: losses of tasks, one loss for all, or none, as the table has them).",
    ] = None,
    loss: Annotated[
        str, "Column of --runs that is the loss, where there are several or it has a name of its own."
    ] = "",
    backtest: Annotated[bool, "Leave the largest size out, against the point estimate; --hold-out for others."] = False,
    hold_out: Annotated[list[str] | None, names("--hold-out", help="Sizes to leave out, in parameters:")] = None,
    compare: Annotated[bool, "Compare variants of the model, the largest size left out."] = False,
    next_run: Annotated[bool, "Which extra run would shrink the forecasts most?"] = False,
    rungs: Annotated[bool, "How the forecasts sharpen as rungs are added."] = False,
    refit: Refit = False,
    accept: Accept = None,
    *,
    sampling: Sampling,
    saved: KeptFit,
    outputs: Outputs,
    page: PageOutput,
) -> None:
    """Forecast task losses and accuracies of larger models, of the ladder's recipe or another, with intervals.

    Prints one row per model and task; the options that ask another question print the answer to that one.

    Example: bayes-obscaling ladder --runs mine.csv --target name=7B,N=7e9,D=4e12
    """
    questions = {"--backtest": backtest or hold_out, "--compare": compare, "--rungs": rungs, "--next-run": next_run}
    asked = [flag for flag, is_asked in questions.items() if is_asked]
    if len(asked) > 1:
        raise InputError("--backtest, --compare, --rungs and --next-run are different questions: ask one.")
    question = asked[0] if asked else ""
    is_study = question in ("--backtest", "--compare", "--rungs")
    if recipe and question not in ("", "--backtest"):
        raise InputError(f"{question} is about the ladder's own recipe: leave out --recipe.")
    if update is not None and question:
        raise InputError(f"--update is about a forecast, {question} asks another question: leave one of the two out.")
    if update is not None and len(target or ()) != 1:
        raise InputError(f"--update needs one target, whose checkpoints it holds: {_TARGET}.")
    if question and page.report:
        raise InputError(f"A page shows a forecast, {question} asks another question: leave out --report.")
    if question == "--next-run" and outputs.plot:
        raise InputError("--next-run has no plot: leave out --plot.")
    if is_study and (given := saved.given() + ["--plot"] * (outputs.plot is not None)):
        raise InputError(f"{question} makes several fits, and {given[0]} belongs to one: leave one of the two out.")
    others = {"--target": target, "--law": law != "size-and-data", "--feature": feature is not None}
    ignored = {"--backtest": ["--target"], "--compare": list(others)}.get(question, [])
    if given := [flag for flag in ignored if others[flag]]:
        raise InputError(f"{question} does without {', '.join(given)}: leave it out.")
    if runs is not None and paper_runs:
        raise InputError(f"--paper-runs are bundled runs, {runs} holds yours: leave one of the two out.")
    if loss and runs is None:
        raise InputError("--loss names a column of your own ladder: give its file with --runs.")
    if accept and runs is None:
        raise InputError("--accept is about your own ladder: give its file with --runs.")
    targets = [_target(text) for text in target or ()]
    if not targets and runs is not None and question not in ("--backtest", "--compare"):
        raise InputError(f"Your own ladder needs a target: {_TARGET}.")
    from bayes_obscaling.data.ladder_reading import read_checkpoints
    from bayes_obscaling.models.ladder import LadderSpec
    from bayes_obscaling.results.fit import LadderFit
    from bayes_obscaling.results.ladder_forecast import OLMO_MODELS, check_asked, forecast_ladder

    models = [replace(model, recipe=recipe or model.recipe) for model in targets or OLMO_MODELS]
    if is_study:
        train, every_run = _ladders(runs, paper_runs or question != "--rungs", loss, accept)
        spec = LadderSpec(law=law, feature=feature or train.feature)
        sizes = _sizes(hold_out)
        show(_study(question, train, every_run, models, sizes, spec, recipe, sampling), "", outputs)
        return
    checkpoints = None if update is None else read_checkpoints(update, loss=loss)
    if saved.fit is None:
        train, _ = _ladders(runs, paper_runs, loss, accept)
        spec = LadderSpec(law=law, feature=feature or train.feature)
        check_asked(train, spec, models, checkpoints)  # before the fit, which takes minutes
        # the draws that ship are enough for forecasts, too few to learn from checkpoints or to compare runs by
        anew = refit or bool(question) or update is not None
        fitted = _fit(train, spec, sampling, anew)
    else:
        other = {"law": law != "size-and-data", "feature": feature is not None}
        fitted = saved.open(LadderFit, sampling, runs=runs, paper_runs=paper_runs, refit=refit, **other)
        if not targets and not fitted.ladder.is_bundled:
            raise InputError(f"{saved.fit} is of a ladder of its own, which needs a target: {_TARGET}.")
    keep = saved.save_fit
    save = None if keep is None else lambda: [str(fitted.save(keep))]
    if next_run:
        runs_to_add = _next_runs(fitted, models)
        least = ("multiple", *(name for name in runs_to_add.table if name.startswith("sd_")))
        show(runs_to_add, "Extra runs, the most useful first", outputs, least=least, keep=save)
        return
    forecast = forecast_ladder(fitted, models, update=checkpoints)
    files = partial(_files, save, partial(page.write_page, forecast))
    show(forecast, "", outputs, layout=lambda: _print_forecast(forecast), sentences=(), keep=files)


def _files(*writers: Callable[[], list[str]] | None) -> list[str]:
    """Write what was asked for; return the names of what was written."""
    return [name for write in writers if write is not None for name in write()]


def _sizes(texts: list[str] | None) -> list[float] | None:
    from bayes_obscaling.data.numbers import amount

    return [amount("--hold-out", text, "1.28e9 or 1.28B") for text in texts] if texts else None


def _target(text: str) -> Scenario:
    from bayes_obscaling.data.numbers import amount
    from bayes_obscaling.data.rules import check_amount
    from bayes_obscaling.results.scenario import Scenario

    parts: dict[str, str] = {}
    for part in text.split(","):
        name, mark, value = part.partition("=")
        if not mark or not value.strip():
            raise InputError(f"--target {text}: {part.strip()!r} is not of the form N=7e9; {_TARGET}.")
        if (key := name.strip().upper()) in parts:
            raise InputError(f"--target {text}: {key} is there twice; {_TARGET}.")
        parts[key] = value.strip()
    if unknown := set(parts) - {"N", "D", "NAME", "FLOPS", "RECIPE"}:
        raise InputError(f"--target {text}: {sorted(unknown)[0]!r} is not known; {_TARGET}.")
    numbers = {"FLOPS": float("nan")}
    for name in ("N", "D", *(["FLOPS"] if "FLOPS" in parts else [])):
        if name not in parts:
            raise InputError(f"--target {text}: {name} is missing; {_TARGET}.")
        numbers[name] = amount(f"--target {text}: {name}", parts[name], "3.6e25" if name == "FLOPS" else "7e9 or 7B")
        if name != "FLOPS":
            check_amount(f"--target {text}: {name}", numbers[name])
    name = parts.get("NAME", f"N={parts['N']},D={parts['D']}")
    recipe = parts.get("RECIPE", "")
    return Scenario(name, params=numbers["N"], tokens=numbers["D"], flops=numbers["FLOPS"], recipe=recipe).as_run()


def _ladders(runs: Path | None, paper_runs: bool, loss: str, accept: list[str] | None) -> tuple[Ladder, Ladder]:
    """The ladder to fit, and the one that holds the runs to forecast; the user's is checked before it is believed."""
    from bayes_obscaling.data import load_olmo_ladder, read_ladder
    from bayes_obscaling.data.ladder_checks import LADDER_CHECKS, check_ladder

    if runs is not None:
        own = read_ladder(runs, loss=loss)
        accepted = accepted_checks(accept, LADDER_CHECKS)
        found = heeded(runs, check_ladder(own), accepted)
        own = replace(own, notes=(*own.notes, *found))
        for text in own.notes:
            note(text)
        return own, own
    return load_olmo_ladder("ladder" if paper_runs else "all"), load_olmo_ladder("all")


def _fit(ladder: Ladder, spec: LadderSpec, sampling: Sampling, anew: bool) -> LadderFit:
    """The fit that ships with the package, if it is of this ladder and spec, unless one is to be sampled anew."""
    from bayes_obscaling.inference.fit_ladder import fit_ladder
    from bayes_obscaling.inference.shipped import find_shipped_ladder

    if not anew and not sampling.says_how and (found := find_shipped_ladder(ladder, spec)) is not None:
        return answers(found)
    with sampling.sampling() as how:
        return fit_ladder(ladder, spec, **how)


def _study(
    question: str,
    train: Ladder,
    every_run: Ladder,
    models: list[Scenario],
    sizes: list[float] | None,
    spec: LadderSpec,
    recipe: str,
    sampling: Sampling,
) -> Finding:
    """Answer a question that takes several fits."""
    from bayes_obscaling.design.ladder import rung_study
    from bayes_obscaling.evaluation.ladder_backtest import backtest_ladder, compare_ladder_specs
    from bayes_obscaling.results.finding import Finding

    with sampling.sampling() as how:
        if question == "--backtest":
            result = backtest_ladder(every_run, sizes, train=train, spec=spec, recipe=recipe or "same", **how)
            scores = result.scores()
            coverage = [name for name in scores if name.startswith("coverage")]
            columns = ["held_out", "quantity", "method", "n", "mae", "crps", *coverage, "width_50", "width_90"]
            return Finding(scores[columns], (), result.problems)
        if question == "--compare":
            table = compare_ladder_specs(every_run, train=train, **how)
            return Finding(
                table, (), tuple(f"{row.spec}: {row.problems}" for row in table.itertuples() if row.problems)
            )
        table, fits = rung_study(train, models, spec=spec, **how)
        return Finding(table, (), tuple(problem for fit in fits for problem in fit.problems))


def _next_runs(fitted: LadderFit, models: list[Scenario]) -> Finding:
    from bayes_obscaling.design.ladder import next_runs
    from bayes_obscaling.results.finding import Finding

    table = next_runs(fitted, models)
    best = table.iloc[1]
    sentence = (
        f"The run with N = {best['N']:.3g} and D = {best['D']:.3g} would shrink the spread of the forecasts by "
        f"{best['reduction']:.0%}, for {best['flops']:.2g} FLOPs; the first row is where they stand now, "
        "without an extra run."
    )
    return Finding(table, (sentence,), fitted.problems)


def _print_forecast(forecast: LadderForecast) -> None:
    table = forecast.to_dataframe()

    intervals = {"50 %": span(table["q25"], table["q75"]), "90 %": span(table["q5"], table["q95"])}
    shown = table.assign(**intervals)
    for (name, quantity), rows in shown.groupby(["model", "quantity"], sort=False):
        first = rows.iloc[0]
        title = f"{name}: {quantity} (N = {first['N']:.4g}, D = {first['D']:.4g})"
        print_table(rows[["task", "median", "50 %", "90 %"]], title)
