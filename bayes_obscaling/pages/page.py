"""One HTML file that opens from disk, without a network: the template, the values, and Vega's JavaScript in it."""

from __future__ import annotations

import base64
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
from bayes_obscaling.results.finding import write_or_refuse
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import Forecast, forecast, tasks_of
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

# Forecasts that a page has room for, and its size in bytes.
MOST_FORECASTS, MOST_BYTES = 400, 2_000_000
_NEEDED = ("altair", "jinja2", "vl_convert")


def report(
    answer: CapabilityFit | Forecast | Backtest,
    path: str | Path,
    scenarios: Iterable[Scenario | Mapping[str, Any] | str] | Scenario | Mapping[str, Any] | str | None = None,
    *,
    tasks: Sequence[str] | str | None = None,
    family: str = "",
    title: str = "",
) -> Path:
    """Write a fit's forecasts, or a backtest, as one HTML file to look at, filter and send; return its path.

    The file opens in a browser from disk and loads nothing. It needs the extra ``report``.

    Parameters
    ----------
    answer : CapabilityFit, Forecast or Backtest
        What to show. Of a fit its forecasts are made first.
    path : str or Path
        Destination, replaced if it exists.
    scenarios : Scenario, str, or several, optional
        Models of the table and models to come, of a fit. Default: every model whose score on one of the tasks the fit
        has not seen; all models where it has seen all.
    tasks : str or sequence of str, optional
        Of a fit; default those that it was made for.
    family : str
        Whose expected scores are followed along compute and release date: a family of the table, or "new". Default:
        the family of the first model to come, "new" without one.
    title : str
        Title of the page; default by what it shows.

    Raises
    ------
    InputError
        For anything else than these, for what cannot be forecast, for more than a page has room for, without the extra,
        and when the file cannot be written.
    """
    check_installed()
    page = page_of(_facts(answer, scenarios, tasks, family), title).encode()
    if len(page) > MOST_BYTES:
        raise InputError(f"The page has {len(page) / 1e6:.1f} MB, more than 2", "name fewer tasks or fewer models")
    return write_or_refuse(Path(path), page, "The page")


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
    csv = facts.pop("csv")
    home = files("bayes_obscaling.pages") / "templates"
    return environment.get_template("page.html.j2").render(
        facts,
        title=title or facts["title"],
        data=_json({"facts": facts, "charts": charts(facts)}),
        csv=base64.b64encode(csv.encode()).decode(),
        spec_json=json.dumps(facts.get("spec", {}), indent=1),
        style=(home / "page.css").read_text(encoding="utf-8"),
        script=_script((home / "page.js").read_text(encoding="utf-8")),
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
    return str(vl_convert.javascript_bundle(vl_version=version))


def _facts(answer: Any, scenarios: Any, tasks: Sequence[str] | str | None, family: str) -> dict[str, Any]:
    from bayes_obscaling.pages.gather import gather
    from bayes_obscaling.pages.record import gather_record

    given = scenarios is not None or tasks is not None
    if isinstance(answer, CapabilityFit):
        answer = _forecast(answer, scenarios, tasks)
    elif given:
        raise InputError("Only a fit is asked for scenarios and tasks", "leave them out, or give the fit")
    if isinstance(answer, Forecast):
        if len(answer.about) > MOST_FORECASTS:
            raise _too_many(len(answer.about))
        return gather(answer, family or _first_family(answer))
    if isinstance(answer, Backtest):
        if family:
            raise InputError("A backtest follows no family", "leave it out")
        return gather_record(answer)
    raise InputError(
        f"There is no page of a {type(answer).__name__}", "give a capability fit, a forecast or a backtest"
    )


def _forecast(fit: CapabilityFit, scenarios: Any, tasks: Sequence[str] | str | None) -> Forecast:
    names = tasks_of(fit, tasks)
    if scenarios is None:
        seen = fit.posterior.seen[names].all(axis=1)
        scenarios = list(seen.index if seen.all() else seen.index[~seen])
    elif isinstance(scenarios, (Scenario, str, Mapping)):
        scenarios = [scenarios]
    scenarios = list(scenarios)
    if (count := len(scenarios) * len(names)) > MOST_FORECASTS:
        raise _too_many(count)
    return forecast(fit, scenarios, tasks=names)


def _too_many(count: int) -> InputError:
    return InputError(
        f"A page has room for {MOST_FORECASTS} forecasts, not {count}", "name fewer tasks or fewer models"
    )


def _first_family(answer: Forecast) -> str:
    known = set(answer.fit.table.models.index)
    coming = [
        family
        for model, family in zip(answer.about["model"], answer.about["family"], strict=True)
        if model not in known
    ]
    return coming[0] if coming else NEW_FAMILY
