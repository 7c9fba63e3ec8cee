"""The commands forecast and reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from bayes_obscaling import ask
from bayes_obscaling.checks import counted
from bayes_obscaling.cli.groups import Option
from bayes_obscaling.cli.options import (
    AnswerOptions,
    Cutoff,
    FitQuestion,
    FromCompute,
    KeptFit,
    Models,
    Outputs,
    PageOutput,
    Tasks,
    flops,
    positive,
)
from bayes_obscaling.cli.scenarios import check_asked, check_scenarios, scenarios_of
from bayes_obscaling.cli.scores import TableOptions, check_family, resolved
from bayes_obscaling.cli.show import err, out, plain, print_table, show, warn
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from bayes_obscaling.data import ScoreTable
    from bayes_obscaling.results.fit import CapabilityFit
    from bayes_obscaling.results.forecast import Forecast
    from bayes_obscaling.results.scenario import Scenario

_INTERVALS = {"50 %": ("q25", "q75"), "80 %": ("q10", "q90"), "90 %": ("q5", "q95"), "95 %": ("q2.5", "q97.5")}
_MOST_NAMED = 12
# Columns that a narrow terminal does without, the least important one first.
_LEAST = ("80 %", "95 %", "basis", "distance", "50 %", "FLOPs", "date", "observed")


def _score(flag: str, text: str) -> float:
    """A score as files may have it, also in percent."""
    from bayes_obscaling.data.numbers import AmbiguousError, read_number

    try:
        number = read_number(text)
    except AmbiguousError:
        number = None
    if number is None:
        raise InputError(f"{flag} is '{text}', not a score", "give a number such as 0.9")
    return float(number.value) / (100 if number.is_percent else 1)


def forecast(
    task: Tasks = None,
    cutoff_flops: Cutoff = None,
    models: Models = None,
    family: Annotated[list[str] | None, "Family of a model to come, or 'new'."] = None,
    flops: Annotated[list[float] | None, flops("Its training compute in FLOPs; sparse tables do without.")] = None,
    size: Annotated[
        list[float] | None, positive("Its parameters; with --tokens instead of --flops, which are 6 N D.")
    ] = None,
    tokens: Annotated[
        list[float] | None, positive("Its training tokens; beside --flops read by --compute-law size-and-data.")
    ] = None,
    date: Annotated[
        list[str] | None, "Release date: one for all models to come, or one for each; default the latest of its line."
    ] = None,
    effort: Annotated[
        str | None, "Reasoning effort, from none to max, of all models forecast; default their best."
    ] = None,
    as_of: Annotated[str | None, "Hide the scores of models that were not released before this date."] = None,
    from_compute: FromCompute = False,
    *,
    table: TableOptions,
    model: AnswerOptions,
    saved: KeptFit,
    outputs: Outputs,
    page: PageOutput,
) -> None:
    """Forecast scores with 50, 80, 90 and 95 % intervals.

    Prints one row per model and task, models of your own table first, then whether the sampler has converged. By
    default all models are forecast whose score was not seen.

    Example: bayes-obscaling forecast --task word_unscrambling --cutoff-flops 8.4e22 --output forecast.csv
    """
    outputs.check_one_task(task)
    if effort and not (models or family):
        raise InputError("--effort is that of models that are named", "name them with --models or --family")
    scenarios = scenarios_of(family, flops, date, effort, size, tokens)
    if saved.fit is None:
        fitted = _fitted(task, cutoff_flops, as_of, models, scenarios, effort, from_compute, table, model, outputs)
    else:
        from bayes_obscaling.results.fit import CapabilityFit

        given = {"cutoff_flops": cutoff_flops, "as_of": as_of, "from_compute": from_compute}
        fitted = saved.open(CapabilityFit, table, model, **given)
        if date and fitted.drift == "none":
            raise InputError(
                f"--date says nothing to {saved.fit}, which has no drift", "fit again with the default drift"
            )
        (err() if outputs.as_json else out()).print(
            f"Forecast from {plain(saved.fit)} ({fitted.provenance['created']}), fitted to {_named(fitted.tasks)}."
        )
        _say_if_data_changed(fitted)
    from bayes_obscaling.results.forecast import forecast as make
    from bayes_obscaling.results.scenario import Scenario

    known = [Scenario(model=name, effort=effort or "") for name in resolved(fitted.table, models)]
    names = list(fitted.posterior.names) if task == ["all"] else task
    outputs.check_one_task(names or fitted.tasks)
    answer = make(fitted, [*known, *scenarios] or None, tasks=names)
    keep = saved.save_fit
    show(
        answer,
        "",
        outputs,
        layout=lambda: print_forecast(answer),
        sentences=(),
        keep=lambda: [*([] if keep is None else [str(fitted.save(keep))]), *page.write_page(answer)],
    )


def _fitted(
    task: list[str] | None,
    cutoff: float | None,
    as_of: str | None,
    models: list[str] | None,
    scenarios: list[Scenario],
    effort: str | None,
    from_compute: bool,
    options: TableOptions,
    model: AnswerOptions,
    outputs: Outputs,
) -> CapabilityFit:
    """Fit the tasks, after a line that says to what."""
    task = named(task)
    from bayes_obscaling.data import Split
    from bayes_obscaling.inference.fit import split_of

    if as_of is not None and cutoff is not None:
        raise InputError("--as-of and --cutoff-flops both say who is hidden", "give one of them")
    asked = None if task == ["all"] else task
    table = options.load(asked, models)
    names, wanted = table.resolve_all(asked or _scored(table)), resolved(table, models)
    if any(scenario.date for scenario in scenarios) and model.spec(table).drift == "none":
        raise InputError("--date says nothing to a fit without a drift", "leave out --date, or fit with --drift family")
    check_scenarios(table, scenarios, [model.spec(table)], "give --flops, such as 3e24, or --size and --tokens")
    where = "no score hidden" if cutoff is None else f"cutoff {cutoff:.3g} FLOPs"
    if as_of is not None:
        where = Split.by_date(table, as_of).name  # refused before it is said what is fitted
    elif from_compute and not wanted and cutoff is None:
        raise InputError("--from-compute needs --models, --cutoff-flops or --as-of, to know whose scores to hide.")
    (err() if outputs.as_json else out()).print(f"Forecast of [bold]{_named(names)}[/]: {table.extent}, {where}.")
    split = split_of(table, cutoff, as_of, (wanted or True) if from_compute else False)
    check_asked(table, names, split, model.spec(table), [(name, effort or "") for name in wanted], scenarios)
    return model.fitted(table, names, split)


def _named(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= _MOST_NAMED else f"{len(names)} tasks and benchmarks"


def _scored(table: ScoreTable) -> list[str]:
    """Tasks and benchmarks of a table that any model has a score on."""
    scored = set(table.scores["benchmark"])
    return [name for name in table.benchmarks.index if name in scored]


def named(task: list[str] | None) -> list[str]:
    """The tasks; refused are none."""
    if not task:
        raise InputError("No task was named: use --task, such as --task word_unscrambling; 'tasks' lists them.")
    return task


def _say_if_data_changed(fitted: CapabilityFit) -> None:
    if fitted.table.data_hash != fitted.provenance["data_hash"]:
        warn("The table inside the fit is not the one it was fitted to.")
    from bayes_obscaling.data.bundled import bundled_hashes, changed_since

    # Equal hashes first: scores that the user gave in place of bundled ones are no change of the bundled ones.
    if fitted.provenance.get("bundled_data") != bundled_hashes() and (changes := changed_since(fitted.table)):
        warn(f"The bundled data have changed since this fit: {'; '.join(changes)}. Fit again to use them.")


def print_forecast(answer: Forecast) -> None:
    """Print one table a task, and what its marks mean."""
    summary = answer.to_dataframe()
    cohort = answer.fit.table.models["cohort"]
    summary["own"] = summary["model"].isin(cohort.index[cohort == "user"])
    for task, rows in summary.groupby("task", sort=False):
        ordered = rows.sort_values(["own", "median"], ascending=False)
        seen = int(answer.fit.posterior.seen[task].sum())
        print_table(_columns(ordered), f"{task} (scores 0 to 1; seen: {counted(seen, 'score')})", least=_LEAST)
        scored = rows[rows["observed"].notna() & ~rows["seen"]]
        if len(scored):
            hits = {
                level: (scored[low] <= scored["observed"]) & (scored["observed"] <= scored[high])
                for level, (low, high) in _INTERVALS.items()
            }
            inside = ", ".join(f"{level}: {hit.sum()}/{len(scored)}" for level, hit in hits.items())
            out().print(f"Observed scores inside the intervals: {inside}. * outside the 90 % interval.")
    if summary["own"].any() and not summary["own"].all():
        out().print("Models of your own table come first; --models shows one whose score was seen.")
    if summary["flops"].isna().any():
        out().print("~ compute is not public: posterior median (interval in the CSV).")
    out().print(
        "Distance: decades of compute above (+) or below (-) the seen models that the forecast leans on; "
        "blank where compute is not public."
    )


def _columns(rows: pd.DataFrame) -> pd.DataFrame:
    """What is shown of forecasts, as text."""

    def text(row: pd.Series) -> dict[str, str]:
        is_inside = row["q5"] <= row["observed"] <= row["q95"]
        mark = " seen" if row["seen"] else " " if is_inside else "*"
        return {
            "model": str(row["model"]),
            "FLOPs": f"{row['flops']:.2g}" if row["flops"] == row["flops"] else f"~{row['latent_flops']:.2g}",
            "date": row["date"],
            "basis": row["basis"],
            "observed": "" if row["observed"] != row["observed"] else f"{row['observed']:.3f}{mark}",
            "median": f"{row['median']:.3f}",
            **{level: f"{row[low]:.3f} to {row[high]:.3f}" for level, (low, high) in _INTERVALS.items()},
            "distance": "" if row["distance"] != row["distance"] else f"{row['distance']:+.1f}",
        }

    import pandas as pd

    shown = pd.DataFrame([text(row) for _, row in rows.iterrows()])
    return shown if rows["date"].any() else shown.drop(columns="date")


def reach(
    task: Annotated[str, Option("Task or benchmark.", ("--task", "-t"))],
    level: Annotated[float, Option("Score to reach, such as 0.9.", read=_score)],
    family: Annotated[str, "Family; 'new' is one never seen."] = "new",
    date: Annotated[str | None, "Ask for the compute at this release date; default the family's latest."] = None,
    flops: Annotated[float | None, flops("Ask for the release date with this training compute, in FLOPs.")] = None,
    growth: Annotated[float, "Decades a year by which that compute grows, such as 0.6."] = 0.0,
    start: Annotated[str | None, "Date of that compute, from which on to look."] = None,
    cutoff_flops: Cutoff = None,
    *,
    question: FitQuestion,
) -> None:
    """Say at which compute a family reaches a score; or with --flops, at which release date.

    Prints one row: the median with 50 and 90 % intervals, and the probabilities that it never does and already has.

    Example: bayes-obscaling reach --task MMLU --level 0.9 --flops 1e25 --growth 0.6
    """
    from bayes_obscaling.data.dates import iso_date
    from bayes_obscaling.results.reach import check_growth, check_level
    from bayes_obscaling.results.release import check_drift

    if flops is None and (growth or start):
        raise InputError("--growth and --start are of a compute", "give it with --flops, or leave them out")
    if flops is not None and date:
        raise InputError("--date asks for compute and --flops for a date", "give one of them")
    check_growth(growth)
    start, date = iso_date(start or "", "--start"), iso_date(date or "", "--date")

    def check(table: ScoreTable) -> None:
        check_level(table.resolve(task), table.chance(task), level)
        check_family(table, family)
        if is_saved or (flops is None and not date):
            return
        drift = question.model.spec(table).drift
        if drift == "none":
            what = "--date is a release date" if date else "--flops asks for a release date"
            raise InputError(f"{what}, which a fit without a drift does not know", "fit with --drift family")
        if date:
            check_drift(drift, family)

    is_saved = question.saved.fit is not None
    fitted = question.fit(None if is_saved else [task], cutoff=cutoff_flops, check=check)
    if flops is None:
        question.show(ask.compute_to_reach(fitted, task, level, family, date), "Compute to reach a score (FLOPs)")
        return
    answer = ask.date_to_reach(fitted, task, level, family, flops, growth=growth, start=start)
    question.show(answer, "Release date to reach a score")


def when(
    task: Annotated[str | None, Option("Benchmark.", ("--task", "-t"))] = None,
    level: Annotated[float | None, Option("Score to reach, such as 0.9.", read=_score)] = None,
    family: Annotated[str, "Whose typical model is followed; 'new' is a family never seen."] = "new",
    any: Annotated[bool, "Follow the best of all models released instead."] = False,
    trend_compute: Annotated[
        float | None, "Factor by which compute grows a year, such as 4.5; default learned."
    ] = None,
    start: Annotated[str | None, "Date from which on to look; default the latest release seen."] = None,
    check: Annotated[str | None, "Forecast as of this date when levels were passed, and compare."] = None,
    *,
    question: FitQuestion,
) -> None:
    """Say when a line of models, or the best of all, reaches a score, its compute being unknown.

    Prints one row: the median date with 50 and 90 % intervals, and the probabilities that it is not reached within
    twenty years and that it already is.

    Example: bayes-obscaling when --table frontier --task frontiermath_v2 --level 0.9 --any
    """
    from bayes_obscaling.data.dates import iso_date
    from bayes_obscaling.results.reach import check_level
    from bayes_obscaling.results.when import check_trend

    check_trend(trend_compute)
    begin = iso_date(start or "", "--start")
    if check is not None:
        if question.saved.fit is not None or task or level or any or start:
            raise InputError("--check asks about all benchmarks", "leave out the other options of the question")
        table = question.table.load()
        with question.model.sampling(table=table) as how:
            checked = ask.check_when(table, check, **how)
        question.show(checked, f"When scores were passed, forecast as of {check}", rows=100)
        return
    if task is None or level is None:
        raise InputError("Which score is asked about was not said", "give --task and --level, or --check DATE")
    if any and family != "new":
        raise InputError("--any follows all families", "leave out --family, or leave out --any")

    name, goal = task, level

    def possible(table: ScoreTable) -> None:
        check_level(table.resolve(name), table.chance(name), goal)
        check_family(table, family)
        if question.saved.fit is None and question.model.spec(table).unknown_compute == "prior":
            raise InputError("This table has no trend of compute in time", "ask `reach`, or add --table frontier")

    fitted = question.fit(None if question.saved.fit is not None else [task], check=possible)
    answer = ask.when(fitted, task, level, family, best=any, trend_compute=trend_compute, start=begin)
    question.show(answer, "Date of release to reach a score")
