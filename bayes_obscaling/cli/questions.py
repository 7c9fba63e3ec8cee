"""Commands that ask a fit, or a table, one question."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from bayes_obscaling import ask
from bayes_obscaling.cli.groups import names, parsed
from bayes_obscaling.cli.options import AnswerOptions, Cutoff, Draws, FitOptions, FitQuestion, Question, Tasks, flops
from bayes_obscaling.cli.scores import check_family, resolved
from bayes_obscaling.cli.show import out, print_table, show, span
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayes_obscaling.analyses.efficiency import Efficiency
    from bayes_obscaling.data import ScoreTable
    from bayes_obscaling.results.finding import Finding

_FOLDS = 5
# Rows that anomalies prints of each kind, and tasks from which on none of them comes first.
_MOST_ODD, _MANY = 15, 5


@dataclass(frozen=True)
class ShorterFit(FitOptions):
    """As `FitOptions`, with fewer draws, for many fits."""

    draws: Draws = 500


@dataclass(frozen=True)
class FitAndDrift(AnswerOptions):
    """As `FitOptions`, where `--drift` is a question as well."""

    drift: Annotated[bool, "What is a year worth in compute?"] = False  # type: ignore[assignment]


@dataclass(frozen=True)
class EfficiencyQuestion(FitQuestion):
    """A question about efficiency."""

    model: FitAndDrift


@dataclass(frozen=True)
class ManyFits(Question):
    """A question that takes a fit of each model."""

    model: ShorterFit


def factors(
    task: Tasks = None,
    compare: Annotated[str | None, "Compare numbers of factors: 1:5, or 2,4."] = None,
    future: Annotated[bool, "With --compare: leave-future-out scores too (slow)."] = True,
    as_of: Annotated[
        list[str] | None, names("--as-of", help="With --compare: forecast what came after these dates:")
    ] = None,
    cutoff_flops: Cutoff = None,
    *,
    question: FitQuestion,
) -> None:
    """Show what the capabilities are; or, with --compare, how many there should be.

    Prints the loading of each benchmark on each capability, the variance explained and what tasks read.

    Example: bayes-obscaling factors --task gsm8k_cot --cutoff-flops 8.4e22
    """
    if compare is None:
        if not future:
            raise InputError("--no-future goes with --compare: add --compare 1:5, or leave it out.")
        if as_of:
            raise InputError("--as-of goes with --compare: add --compare 1:3, or leave it out.")
        answer = ask.factors(question.fit(task, cutoff=cutoff_flops))
        question.show(answer, "Loadings of benchmarks on factors")
        return
    if task or question.saved.fit or question.model.factors or cutoff_flops:
        raise InputError("--compare fits anew: leave out --task, --fit, --factors and --cutoff-flops.")
    counts = parsed("--compare", compare, _counts, "give numbers of factors from 1 to 8, such as 1:5 or 2,4")
    table = question.table.load()
    with question.model.sampling(table=table) as how:
        choice = ask.compare_factors(table, counts, future=future, dates=as_of or (), **how)
    question.show(choice, "Numbers of factors")


def efficiency(
    capability: Annotated[str, "What to rank by: overall, a factor such as MMLU, or a task."] = "overall",
    flops: Annotated[float | None, flops("Reference compute in FLOPs; default 8.4e22.")] = None,
    family: Annotated[
        str, "In whose FLOPs the others are expressed; default Llama-2, or that with most models of known FLOPs."
    ] = "",
    models: Annotated[
        list[str] | None, names("--models", help="What are these worth in that family's FLOPs?", old=("--model",))
    ] = None,
    *,
    question: EfficiencyQuestion,
) -> None:
    """Rank families by what they make of their compute; or express models in another family's FLOPs, or a year.

    Prints one row per family, the best first; with --models, one row per model; with --drift, one row per capability.

    Example: bayes-obscaling efficiency --models phi-2
    """
    if models and flops:
        raise InputError("--models needs no reference compute: leave out --flops.")
    reference = {} if flops is None else {"flops": flops}
    if question.model.drift:
        if models or capability != "overall" or family:
            raise InputError("--drift compares years: leave out --models, --capability and --family.")
        _show_drift(question, reference)
        return

    from bayes_obscaling.data.names import unknown

    def check(table: ScoreTable) -> None:
        resolved(table, models)
        if capability != "overall" and not table.find(capability):
            raise unknown("capability", capability, ["overall", *table.benchmark_names])
        if family:
            check_family(table, family)

    fitted = question.fit(check=check)
    if models:
        worth = ask.worth(fitted, models, family=family, capability=capability)
        question.show(worth, f"FLOPs of {worth.family}")
        return
    answer = ask.efficiency(fitted, capability=capability, family=family, **reference)
    show(answer, "", question.outputs, layout=lambda: _print_ranking(answer))


def _show_drift(question: EfficiencyQuestion, reference: dict[str, float]) -> None:
    """Show what a year is worth, from a new fit or the saved one."""
    question = replace(question, model=replace(question.model, drift=False))  # it says nothing about how to fit
    answer = ask.drift(question.fit(), **reference)
    title = "Decades of compute that a year is worth, the multiple these are, and the score that they bring"
    question.show(answer, title, least=("multiple_q5", "multiple_q95", "q75"))


def _print_ranking(answer: Efficiency) -> None:
    """Print one row per family, the best first; --output writes every capability, and the slopes."""
    import pandas as pd

    def of_family(quantity: str) -> pd.DataFrame:
        rows = answer.table[(answer.table["capability"] == answer.capability) & (answer.table["quantity"] == quantity)]
        return rows.set_index("family").loc[ranking["family"]]

    ranking = answer.parts["ranking"]
    capability, worth = of_family("capability"), of_family("multiplier")
    columns = {
        "family": ranking["family"],
        "models": ranking["models"],
        "rank": ranking["median"].map("{:.0f}".format),
        "rank, 90 %": span(ranking["q5"], ranking["q95"], 0),
        "P(first)": ranking["probability_first"].map("{:.2f}".format),
        "capability": capability["median"].map("{:.2f}".format).to_numpy(),
        "capability, 90 %": span(capability["q5"], capability["q95"], 2),
        "worth": worth["median"].map("{:.2f}".format).to_numpy(),
        "worth, 90 %": span(worth["q5"], worth["q95"], 2),
    }
    title = f"Families by {answer.capability} capability at {answer.flops:.3g} FLOPs"
    print_table(pd.DataFrame(columns), title, least=("capability, 90 %", "models", "capability", "rank, 90 %"))
    out().print(
        f"Capability: of the family's typical model there. Worth: FLOPs of {answer.family} that one of its FLOPs is "
        "worth there. --output writes all capabilities."
    )


def latent_compute(
    check: Annotated[bool, "Hide the FLOPs of models that have them, and compare."] = False,
    whole_families: Annotated[bool, "With --check: hide those of whole families."] = False,
    folds: Annotated[int, "With --check: number of fits."] = _FOLDS,
    widen: Annotated[float, "Widen intervals by the factor that a check found."] = 1.0,
    *,
    question: FitQuestion,
) -> None:
    """Infer the training FLOPs of models that publish none; or check how well that works.

    Prints one row per model.

    Example: bayes-obscaling latent-compute --table instruct --widen 1.6
    """
    if not 0 < widen < float("inf"):
        raise InputError(f"--widen is {widen:g}: give a positive number, such as 1.6.")
    if not check:
        if whole_families or folds != _FOLDS:
            raise InputError("--whole-families and --folds go with --check: add it, or leave them out.")
        answer = ask.latent_compute(question.fit(), widen=widen)
        question.show(answer, "Training compute inferred (FLOPs)")
        return
    if question.saved.fit is not None or widen != 1.0:
        raise InputError("--check fits anew, and says by how much to widen: leave out --fit and --widen.")
    table = question.table.load()
    with question.model.sampling(table=table) as how:
        checked = ask.check_latent_compute(table, folds=folds, whole_families=whole_families, **how)
    question.show(checked, "Hidden FLOPs, inferred", rows=100)


def anomalies(
    task: Tasks = None,
    false_flags: Annotated[float, "Share of flags that may be false."] = 0.1,
    cutoff_flops: Cutoff = None,
    *,
    question: FitQuestion,
) -> None:
    """Flag scores that are too good or too bad for a model's other scores, and families that are on a benchmark.

    Prints single scores, then offsets of families on benchmarks, the oddest first.

    Example: bayes-obscaling anomalies --task ipa_transliterate --cutoff-flops 8.4e22
    """
    if not 0 < false_flags < 1:
        raise InputError(f"--false-flags is {false_flags}: give a fraction between 0 and 1, such as 0.1.")
    fitted = question.fit(task, cutoff=cutoff_flops)
    answer = ask.anomalies(fitted, false_flags=false_flags)
    show(answer, "", question.outputs, layout=lambda: _print_anomalies(answer, fitted.tasks))


def _print_anomalies(answer: Finding, tasks: Sequence[str]) -> None:
    """Print single scores and offsets of families apart: flagged ones, then those on the tasks asked about."""
    import numpy as np

    first = f"flagged ones first, then {', '.join(tasks)}; " if len(tasks) < _MANY else ""
    single = "Single scores, and quantiles of how far above expectation they are"
    for kind, what in (("score", single), ("family", "Offsets of families on benchmarks")):
        rows = answer.table[answer.table["kind"] == kind]
        if rows.empty:  # sparse tables are fitted without offsets
            continue
        place = np.select([rows["flag"] != "", rows["benchmark"].isin(tasks)], [0, 1], 2)
        rows = rows.iloc[np.argsort(place, kind="stable")].drop(columns="kind").dropna(axis=1, how="all")
        if kind == "family":
            rows = rows.drop(columns="model")
        print_table(rows, f"{what} ({first}the oddest first)", rows=_MOST_ODD, least=("q_value", "basis"))


def gain(
    before: Annotated[str, "Task without the intervention, such as gsm8k_direct."],
    after: Annotated[str, "Task with it, such as gsm8k_cot."],
    cutoff_flops: Cutoff = None,
    family: Annotated[
        list[str] | None, names("--family", help="Families whose gain to follow over compute ('new': one never seen):")
    ] = None,
    check: Annotated[bool, "Score the forecasts of held-out models against what they gained."] = False,
    *,
    question: FitQuestion,
) -> None:
    """Forecast what an intervention, such as chain of thought, adds to each model's score on the same task.

    Prints one row per model, the least capable first; with --check, one row per method (bayes and its rivals).

    Example: bayes-obscaling gain --before gsm8k_direct --after gsm8k_cot --cutoff-flops 8.4e22
    """
    if check and family:
        raise InputError("--check judges models that exist: leave out --family.")
    from bayes_obscaling.analyses.gain import two_tasks

    def check_names(table: ScoreTable) -> None:
        two_tasks(table, before, after)
        for name in family or ():
            check_family(table, name)

    seed = question.model.seed
    if question.saved.fit is not None and check:  # what the check draws is for its rivals
        question = replace(question, model=replace(question.model, seed=0))
    fitted = question.fit(None if question.saved.fit else [before, after], cutoff=cutoff_flops, check=check_names)
    if check:
        checked = ask.check_gain(fitted, before, after, seed=seed)
        levels = [f"{column}_{level}" for level in (80, 50) for column in ("width", "coverage")]
        question.show(checked, "Forecast gains, scored", least=levels)
        return
    least = ("q75", "q25", "expected", "capability", "seen", "family")
    answer = ask.gain(fitted, before, after, families=family or ())
    question.show(answer, f"{answer.after} less {answer.before}, the least capable model first", rows=200, least=least)


def agents(
    task: Tasks = None,
    hold_out: Annotated[
        list[str] | None, names("--hold-out", help="Leave out these models only (default each once):")
    ] = None,
    whole_families: Annotated[bool, "Leave out whole families instead."] = False,
    shares: Annotated[str, "Shares of best models to hold out as well; 0 for none."] = "0.1,0.2",
    *,
    question: ManyFits,
) -> None:
    """Leave each instruct model out once, forecast its score as an agent, and hold the best models out together.

    Prints one row per model and task, and how bayes compares with the baselines pc-3-parametric, pc-3, compute and
    mean. A run that was interrupted goes on where it was.

    Example: bayes-obscaling agents --output agents.csv
    """
    best = parsed("--shares", shares, _shares, "give fractions below 1, such as 0.1,0.2, or 0 for none")
    if question.table.scores and not task:
        raise InputError("--scores needs --task: name the tasks to forecast.")
    table = question.table.load(task, bundled="" if task else "instruct")
    with question.model.sampling("fits") as how:
        answer = ask.leave_models_out(table, task, models=hold_out, whole_families=whole_families, shares=best, **how)
    question.show(answer, f"Each {'family' if whole_families else 'model'} left out once", rows=100)


def single_family(
    family: Annotated[str, "Family to follow, such as Qwen1.5."],
    task: Annotated[list[str], names("--task", "-t", help="Task or benchmark:")],
    counts: Annotated[str | None, "Numbers of models to see: 2,4; default 2 to all but one."] = None,
    *,
    question: Question,
) -> None:
    """Forecast a family's larger models from its k smallest: compute of this family alone against capabilities.

    Prints one row per k and method: bayes, family compute (this family alone), and baselines over all families.

    Example: bayes-obscaling single-family --family Qwen1.5 --task gsm8k_cot
    """
    sizes = None
    if counts is not None:
        sizes = parsed("--counts", counts, lambda text: [int(part) for part in text.split(",")], "write such as 2,4")
    table = question.table.load(task)
    with question.model.sampling("fits") as how:
        answer = ask.single_family(table, family, task, counts=sizes, **how)
    question.show(answer, f"{answer.family} from its smallest models", rows=100)


def _counts(text: str) -> list[int]:
    """Numbers from ``1:5`` or ``2,4``."""
    if ":" in text:
        first, last = (int(part) for part in text.split(":"))
        counts = list(range(first, last + 1))
    else:
        counts = [int(part) for part in text.split(",")]
    if not counts or not all(1 <= count <= 8 for count in counts):
        raise ValueError
    return counts


def _shares(text: str) -> list[float]:
    shares = [float(part) for part in text.split(",")]
    if not all(0 <= share < 1 for share in shares):
        raise ValueError
    return [share for share in shares if share]
