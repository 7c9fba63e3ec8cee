"""Models to come, from the options that describe them, and what is refused of them before anything is fitted."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from bayes_obscaling.checks import counted
from bayes_obscaling.cli.scores import check_family
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bayes_obscaling.data import ScoreTable, Split
    from bayes_obscaling.models.spec import CapabilitySpec
    from bayes_obscaling.results.scenario import Scenario

_SUCH_AS = {"--flops": "3e24", "--size": "8e9", "--tokens": "15e12"}


def scenarios_of(
    families: list[str] | None,
    flops: list[float] | None,
    dates: list[str] | None,
    effort: str | None,
    sizes: list[float] | None = None,
    tokens: list[float] | None = None,
) -> list[Scenario]:
    """Models to come, from the options that describe them; refused are those that do not pair."""
    families, flops, dates = families or [], flops or [], dates or []
    numbers = {"--flops": flops, "--size": sizes or [], "--tokens": tokens or []}
    for flag, values in numbers.items():
        if len(values) not in (0, len(families)):
            raise InputError(
                f"--family was given {counted(len(families), 'time')} and {flag} {counted(len(values), 'time')}: give "
                "them in pairs, such as "
                f"--family Llama-2 {flag} {_SUCH_AS[flag]}."
            )
    facts = [values or [float("nan")] * len(families) for values in numbers.values()]
    from bayes_obscaling.data.dates import iso_date
    from bayes_obscaling.data.efforts import setting_of
    from bayes_obscaling.results.scenario import Scenario

    effort, dates = setting_of(effort or "", "--effort"), [iso_date(date, "--date") for date in dates]
    if dates and not families:
        raise InputError("--date is the date of a model to come", "name it with --family")
    if len(dates) not in (0, 1, len(families)):
        raise InputError(
            f"--date was given {counted(len(dates), 'time')} for {counted(len(families), 'model')}",
            "give one for all, or one for each",
        )
    dates = dates if len(dates) == len(families) else (dates or [""]) * len(families)
    return [
        Scenario(family=name, flops=c, params=n, tokens=d, date=date, effort=effort)
        for name, date, c, n, d in zip(families, dates, *facts, strict=True)
    ]


def check_scenarios(
    table: ScoreTable, scenarios: Sequence[Scenario], specs: Iterable[CapabilitySpec], remedy: str
) -> None:
    """Refuse models to come that fits by these specs cannot forecast; `remedy` is for compute that is missing."""
    from bayes_obscaling.results.ratio import check_sizes

    for spec, scenario in product(specs, scenarios):
        check_family(table, scenario.family)
        if scenario.compute != scenario.compute and spec.unknown_compute == "prior":
            raise InputError(f"A model to come (family {scenario.family}) needs its compute", remedy)
        check_sizes(spec.compute_law, scenario)


def check_asked(
    table: ScoreTable,
    names: Sequence[str],
    split: Split,
    spec: CapabilitySpec,
    known: Sequence[tuple[str, str]],
    scenarios: Sequence[Scenario],
) -> None:
    """Refuse models, with their efforts, and models to come that the fit could not forecast, before it is made."""
    if not scenarios and not any(effort for _, effort in known):
        return
    from bayes_obscaling.models.layout import lay_out
    from bayes_obscaling.results.forecast import checked
    from bayes_obscaling.results.scenario import Scenario

    layout = lay_out(table, list(names), split, spec)
    for scenario in [*(Scenario(model=name, effort=effort) for name, effort in known), *scenarios]:
        checked(table, layout, scenario)
