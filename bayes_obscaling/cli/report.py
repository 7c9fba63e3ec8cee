"""The command report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bayes_obscaling.cli.groups import Option
from bayes_obscaling.cli.options import Models, Tasks, flops
from bayes_obscaling.cli.paths import check_page, page_size
from bayes_obscaling.cli.scenarios import check_scenarios, scenarios_of
from bayes_obscaling.cli.scores import resolved
from bayes_obscaling.cli.show import note, out, plain, print_sampler

if TYPE_CHECKING:
    from bayes_obscaling.results.scenario import Scenario


def report(
    fit: Annotated[
        Path,
        Option("A fit saved with --save-fit or fit.save() (netCDF), or the name of one that ships.", is_argument=True),
    ],
    output: Annotated[Path, Option("Write the page here (HTML).", ("--output", "-o"))],
    task: Tasks = None,
    models: Models = None,
    family: Annotated[
        list[str] | None, "Family of a model to come, or 'new'; the first one's scores are followed along compute."
    ] = None,
    flops: Annotated[list[float] | None, flops("Its training compute in FLOPs; sparse tables do without.")] = None,
    date: Annotated[list[str] | None, "Release date: one for all models to come, or one for each."] = None,
    study: Annotated[
        Path | None, "Folder of `backtest` or `cutoffs`: how good forecasts were, and what they were as of its dates."
    ] = None,
    title: Annotated[str, "Title of the page; default by what it shows."] = "",
) -> None:
    """Write the forecasts of a saved fit as one HTML page to look at, filter and send.

    The page opens from disk and loads nothing: forecasts with intervals, scores against compute and release date, the
    probability of any score, single models, data and method. By default all models are forecast whose score was not
    seen, beside those to come, as many as the page has room for.

    Example: bayes-obscaling report fit.nc --output report.html
    """
    from bayes_obscaling.evaluation.backtest import Backtest
    from bayes_obscaling.pages.page import report as write_page

    check_page(output)
    judged = None if study is None else Backtest.read(study)
    coming = scenarios_of(family, flops, date, None)
    from bayes_obscaling.inference.shipped import fit_file
    from bayes_obscaling.pages.room import not_seen
    from bayes_obscaling.results.fit import CapabilityFit
    from bayes_obscaling.results.forecast import tasks_of
    from bayes_obscaling.results.storage import open_as

    fitted = open_as(fit_file(fit), CapabilityFit, fit)
    for text in fitted.notes:
        note(text)
    check_scenarios(fitted.table, coming, [fitted.spec], "give --flops, such as 3e24")
    names = list(fitted.posterior.names) if task == ["all"] else task
    known = resolved(fitted.table, models) or not_seen(fitted, tasks_of(fitted, names))
    asked: list[str | Scenario] = [*known, *coming]
    followed = coming[0].family if coming else ""
    written = write_page(fitted, output, asked, tasks=names, family=followed, study=judged, title=title)
    print_sampler(fitted.problems, fitted.verdict, fitted.worst_convergence.numbers, out())
    out().print(f"Wrote {plain(page_size(written))}")
