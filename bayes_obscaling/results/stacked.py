"""Stacks: several specs fitted to the same scores, whose forecasts are mixed by weights into one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, NoReturn

import numpy as np
import xarray as xr

from bayes_obscaling.checks import Level, worst
from bayes_obscaling.errors import InputError
from bayes_obscaling.results.convergence import Convergence
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import Forecast, Kind, forecast
from bayes_obscaling.results.scenario import Scenario, as_scenario

STACK = "stack"  # its row among those of the specs


@dataclass(frozen=True, eq=False, repr=False)
class StackedForecast(Forecast):
    """A forecast whose draws come from several specs, in proportion to their weights.

    What the rows stand for (``about``, ``fit``: what was seen, dates, compute that nobody published) is of the heaviest
    member, of those that read release dates where there are any.

    Attributes
    ----------
    members : mapping of str to Forecast
        The forecast of each spec.
    weights : mapping of str to float
        Of each spec; they sum to one.
    weighing : tuple of str
        What went wrong in sampling the fits by which specs were weighed.
    """

    members: Mapping[str, Forecast] = field(kw_only=True, repr=False)
    weights: Mapping[str, float] = field(kw_only=True)
    weighing: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def _in_it(self) -> dict[str, Forecast]:
        """Members that have draws in the mixture."""
        return {name: member for name, member in self.members.items() if self.weights[name] > 0}

    @property
    def own_convergence(self) -> Convergence:
        """Of the forecast quantities of each member, the worst: a mixture hides whether its parts have mixed."""
        return reduce(Convergence.merge, [member.own_convergence for member in self._in_it.values()])

    @property
    def convergence(self) -> Convergence:
        """Of the members and of the fits behind them, the worst."""
        return reduce(Convergence.merge, [member.convergence for member in self._in_it.values()])

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong in sampling, by member; empty when nothing did."""
        own = [f"{name}: {problem}" for name, member in self._in_it.items() for problem in member.problems]
        return (*own, *self.weighing)

    @property
    def verdict(self) -> Level:
        """The worst of the members' verdicts, and FAIL where the fits behind the weights have not converged."""
        return worst([member.verdict for member in self._in_it.values()] + ["FAIL"] * bool(self.weighing))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know of single forecasts, once."""
        return tuple(dict.fromkeys(text for member in self._in_it.values() for text in member.warnings))

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values: as of `Forecast`, ``weights``, and ``spec, provenance`` by member."""
        fits = {name: member.fit for name, member in self.members.items()}
        return {
            **super().to_dict(),
            "weights": dict(self.weights),
            "spec": {name: fit.spec.model_dump() for name, fit in fits.items()},
            "provenance": {name: fit.provenance for name, fit in fits.items()},
        }

    def compute_to_reach(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: a curve is of one spec."""
        raise _of_one()

    def date_to_reach(self, *_: Any, **__: Any) -> NoReturn:
        """Refused: a curve is of one spec."""
        raise _of_one()


def mix(
    members: Mapping[str, Forecast],
    weights: Mapping[str, float],
    names: Sequence[str] | None = None,
    weighing: tuple[str, ...] = (),
) -> StackedForecast:
    """Return the mixture of forecasts of the same scenarios and tasks: draws of each in proportion to its weight.

    Whole draws are taken, so that scenarios and tasks stay together as their member has them: all of the heaviest
    member, evenly spaced ones of each chain of the others.

    Parameters
    ----------
    members : mapping of str to Forecast
        With the same chains.
    weights : mapping of str to float
        They sum to one.
    names : sequence of str, optional
        What the scenarios are called; default as in the first member.
    weighing : tuple of str
        What went wrong in sampling the fits behind the weights.
    """
    largest = max(weights[name] / member.draws.sizes["draw"] for name, member in members.items())
    draws, means = [], []
    for name, member in members.items():
        size = member.draws.sizes["draw"]
        rows = _evenly(size, round(weights[name] / largest))
        draws.append(member.draws.transpose("chain", "draw", "scenario", "task").to_numpy()[:, rows])
        means.append(member.means[:, rows])
    first = next(iter(members.values()))
    lead = max(members, key=lambda name: (members[name].fit.drift != "none" and weights[name] > 0, weights[name]))
    labels = list(first.draws["scenario"].to_numpy() if names is None else names)
    tasks = list(first.draws["task"].to_numpy())
    array = xr.DataArray(
        np.concatenate(draws, axis=1),
        dims=("chain", "draw", "scenario", "task"),
        coords={"scenario": labels, "task": tasks},
        name="score",
    )
    about = members[lead].about.assign(model=np.repeat(labels, len(tasks)))
    return StackedForecast(
        array,
        np.concatenate(means, axis=1),
        about,
        first.kind,
        members[lead].fit,
        members=dict(members),
        weights=dict(weights),
        weighing=weighing,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Stack(Finding):
    """Specs that were fitted to the same scores, and the weights by which their forecasts are mixed.

    ``table`` has one row per spec, and one of the stack: ``spec, weight, log_score`` (mean negative log density of the
    held-out scores; of the stack by weights that were chosen without the family that is scored), ``difference`` (the
    stack's log score less the spec's; negative: the stack is better) with its standard error ``se`` over families,
    ``n`` forecasts (a score is forecast from each earlier cut) and ``families``. ``parts``: ``held_out`` (one row per
    forecast and spec, with ``log_density``).

    Attributes
    ----------
    members : mapping of str to CapabilityFit
        The fit of each spec.
    by : str
        How held-out scores were predicted: "leave-future-out" or "leave-one-out".
    best : str
        The spec with the lowest log score.
    single_is_enough : bool
        Whether the stack's log score is better than that of the best spec by less than two standard errors.
    weighing : tuple of str
        Those of ``problems`` that are of the fits by which specs were weighed.
    """

    drawn_by = "plot_stack"
    front = ("spec", "weight", "log_score", "difference", "se", "n")

    members: Mapping[str, CapabilityFit] = field(default_factory=dict, repr=False)
    by: str = ""
    best: str = ""
    single_is_enough: bool = True
    weighing: tuple[str, ...] = ()

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each spec."""
        rows = self.table[self.table["spec"] != STACK]
        return dict(zip(rows["spec"], rows["weight"], strict=True))

    def forecast(
        self,
        scenarios: Iterable[Scenario | Mapping[str, Any] | str] | Scenario | Mapping[str, Any] | str | None = None,
        *,
        tasks: Sequence[str] | str | None = None,
        kind: Kind = "response",
    ) -> StackedForecast:
        """Return the mixture of the members' forecasts; parameters and errors are those of `bayes_obscaling.forecast`.

        A release date is read by the members with a drift; to the others it says nothing.
        """
        asked: list[Scenario] | None = None
        if isinstance(scenarios, (Scenario, str, Mapping)):
            asked = [as_scenario(scenarios)]
        elif scenarios is not None:
            asked = [as_scenario(one) for one in scenarios]
        undated = None if asked is None else [replace(one, date="") for one in asked]
        dated = {name for name, fit in self.members.items() if fit.drift != "none"} or set(self.members)
        made = {
            name: forecast(fit, asked if name in dated else undated, tasks=tasks, kind=kind)
            for name, fit in self.members.items()
        }
        names = next(one.draws["scenario"].to_numpy() for name, one in made.items() if name in dated)
        return mix(made, self.weights, list(names), self.weighing)


def _evenly(size: int, count: int) -> np.ndarray:
    """Positions of `count` of `size` draws, evenly spaced."""
    return (np.arange(count) * size) // count if count else np.arange(0)


def _of_one() -> InputError:
    return InputError("A stack of specs has no curve of its own", "ask the fit of one of its members")
