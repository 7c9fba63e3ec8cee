"""One HTML file that opens from disk, without a network: the template, the values, and Vega's JavaScript in it."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.backtest import Backtest
from bayes_obscaling.evaluation.cutoff_study import CutoffStudy
from bayes_obscaling.pages.room import choose, not_seen
from bayes_obscaling.pages.values import compact
from bayes_obscaling.results.finding import write_or_refuse
from bayes_obscaling.results.fit import CapabilityFit, LadderFit
from bayes_obscaling.results.forecast import Forecast, checked, forecast, tasks_of
from bayes_obscaling.results.ladder_forecast import LadderForecast, forecast_ladder
from bayes_obscaling.results.scenario import Scenario, as_scenario
from bayes_obscaling.results.stacked import StackedForecast

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_BYTES = 2_000_000
# What is written into the page as text, and that its scripts need not read.
_WRITTEN = ("method", "sentences", "warnings", "notes", "problems")
_NEEDED = ("altair", "jinja2", "vl_convert")


def report(
    answer: CapabilityFit | Forecast | Backtest | LadderFit | LadderForecast,
    path: str | Path,
    scenarios: Iterable[Scenario | Mapping[str, Any] | str] | Scenario | Mapping[str, Any] | str | None = None,
    *,
    tasks: Sequence[str] | str | None = None,
    family: str = "",
    study: Backtest | CutoffStudy | None = None,
    title: str = "",
) -> Path:
    """Write forecasts, or a backtest, as one HTML file to look at, filter and send; return its path.

    The file opens in a browser from disk and loads nothing. It needs the extra ``report``.

    Parameters
    ----------
    answer : CapabilityFit, Forecast, Backtest, LadderFit or LadderForecast
        What to show. Of a fit its forecasts are made first.
    path : str or Path
        Destination, replaced if it exists.
    scenarios : Scenario, str, or several, optional
        Models of the table and models to come, of a fit. Default: every model whose score on one of the tasks the fit
        has not seen; all models where it has seen all. Of a ladder, larger models, as of `forecast_ladder`.
    tasks : str or sequence of str, optional
        Of a fit; default those that it was made for.
    family : str
        Whose expected scores are followed first along compute and release date: a family of the table, or "new".
        Default: the family of the first model to come, "new" without one.
    study : Backtest or CutoffStudy, optional
        How good such forecasts were, shown beside those of a fit or a forecast. One of several as-of dates also shows
        what was forecast as of each.
    title : str
        Title of the page; default by what it shows.

    Raises
    ------
    InputError
        For anything else than these, for what cannot be forecast, without the extra, and when the file cannot be
        written or would be larger than 2 MB.

    Notes
    -----
    A page has room for 400 forecasts. Of more it shows the models to come, those of the user's own table, and of the
    others the latest; of more than eight tasks, unless all fit, those with the most scores. It says what is left out.
    """
    check_ending(Path(path))
    check_installed()
    page = page_of(_facts(answer, scenarios, tasks, family, study), title).encode()
    if len(page) > MOST_BYTES:
        raise InputError(f"The page has {len(page) / 1e6:.1f} MB, more than 2", "name fewer tasks or fewer models")
    return write_or_refuse(Path(path), page, "The page")


def check_ending(path: Path) -> None:
    """Refuse a name that no browser opens as a page."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"A page cannot be written as {path.name}", "give a file that ends in .html")


def check_installed() -> None:
    """Refuse to make a page where the libraries for it are missing."""
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        problem = (
            f"A page needs {' and '.join(missing).replace('_', '-')}, which {'is' if len(missing) == 1 else 'are'}"
        )
        raise InputError(f"{problem} not installed", "run pip install 'bayes_obscaling[report]'")


def page_of(facts: dict[str, Any], title: str = "") -> str:
    """Return the HTML of gathered facts."""
    import jinja2

    from bayes_obscaling.pages.charts import charts

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bayes_obscaling.pages", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = lambda value: "" if value is None else f"{value:.3f}"
    environment.filters["percent"] = percent
    environment.filters["signed"] = lambda value: "" if value is None else f"{value:+.1f}"
    environment.filters["number"] = lambda value: "" if value is None else f"{value:.4g}"
    made = charts(facts)
    home = files("bayes_obscaling.pages") / "templates"
    scripts = [(home / f"{name}.js").read_text(encoding="utf-8") for name in ("page", "cells", facts["kind"])]
    return environment.get_template("page.html.j2").render(
        facts,
        title=title or facts["title"],
        data=_json({"facts": compact({name: facts[name] for name in facts if name not in _WRITTEN}), "charts": made}),
        style=(home / "page.css").read_text(encoding="utf-8"),
        script=_script("".join(scripts)),
        bundle=_script(_bundle()),
    )


def percent(value: float | None) -> str:
    """A probability in words that do not claim more than draws can tell; the page's JavaScript says it alike."""
    if value is None:
        return ""
    return "<1 %" if value < 0.01 else ">99 %" if value > 0.99 else f"{value:.0%}".replace("%", " %")


def _json(value: Any) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _script(text: str) -> str:
    """JavaScript that cannot end the script element that it stands in."""
    return re.sub("</(?=script)", r"<\\/", text, flags=re.IGNORECASE)


@cache
def _bundle() -> str:
    """JavaScript of Vega, Vega-Lite and Vega-Embed, of the version that Altair writes specifications for."""
    import altair as alt
    import vl_convert

    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    # without a snippet it is the whole of them, whatever the type hints of vl-convert say
    return str(vl_convert.javascript_bundle(vl_version=version))  # type: ignore[call-arg]


def _facts(
    answer: Any,
    scenarios: Any,
    tasks: Sequence[str] | str | None,
    family: str,
    study: Any,
) -> dict[str, Any]:
    from bayes_obscaling.pages.fans import former_fans
    from bayes_obscaling.pages.gather import filtered_facts, gather
    from bayes_obscaling.pages.record import as_of_forecasts, gather_record, record_of

    if isinstance(answer, (LadderFit, LadderForecast)):
        return _ladder_facts(answer, scenarios, tasks is not None or bool(family) or study is not None)
    notes: tuple[str, ...] = ()
    if isinstance(answer, CapabilityFit):
        answer, notes = _forecast(answer, scenarios, tasks)
    elif scenarios is not None or tasks is not None:
        raise InputError("Only a fit is asked for scenarios and tasks", "leave them out, or give the fit")
    judged = study.backtest() if isinstance(study, CutoffStudy) else study
    if isinstance(answer, StackedForecast):
        raise InputError("A page follows the curves of one fit", "give the forecast of one member of the stack")
    if isinstance(answer, Forecast):
        if not isinstance(judged, (Backtest, type(None))):
            raise InputError(f"A {type(study).__name__} says not how good forecasts were", "give a study or a backtest")
        facts = gather(answer, family, notes)
        shown, families = ([one[key] for one in facts[what]] for what, key in (("tasks", "name"), ("fans", "family")))
        return facts | {
            "record": None if judged is None else record_of(judged, filtered_facts(answer.fit)),
            "as_of": [] if judged is None else as_of_forecasts(judged, shown),
            "as_of_fans": [] if judged is None else former_fans(judged, shown, families),
        }
    if isinstance(answer, Backtest):
        if family or study is not None:
            what = "follows no family" if family else "is a study itself"
            raise InputError(f"A backtest {what}", "leave it out")
        return gather_record(answer)
    raise InputError(f"There is no page of a {type(answer).__name__}", "give a fit, a forecast or a backtest")


def _ladder_facts(answer: LadderFit | LadderForecast, scenarios: Any, has_more: bool) -> dict[str, Any]:
    from bayes_obscaling.pages.ladder import gather_ladder

    if has_more:
        raise InputError("A ladder has no families, and its page shows all tasks", "leave family, tasks and study out")
    if isinstance(answer, LadderFit):
        answer = forecast_ladder(answer) if scenarios is None else forecast_ladder(answer, scenarios)
    elif scenarios is not None:
        raise InputError("Only a fit is asked for scenarios and tasks", "leave them out, or give the fit")
    return gather_ladder(answer)


def _forecast(
    fit: CapabilityFit, scenarios: Any, tasks: Sequence[str] | str | None
) -> tuple[Forecast, tuple[str, ...]]:
    """Forecasts of a fit, and what is left out: decided before anything is drawn."""
    names = tasks_of(fit, tasks)
    if scenarios is None:
        scenarios = not_seen(fit, names)
    elif isinstance(scenarios, (Scenario, str, Mapping)):
        scenarios = [scenarios]
    resolved = (checked(fit.table, fit.layout, as_scenario(one)) for one in scenarios)
    asked = {scenario.name: scenario for scenario in resolved}
    chosen = choose(fit, list(asked), names)
    return forecast(fit, [asked[name] for name in chosen.models], tasks=chosen.tasks), chosen.notes
