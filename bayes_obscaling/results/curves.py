"""Curves of a fit, against capability and against compute, with the models around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import TASK_CURVE, expected_tasks
from bayes_obscaling.results.convergence import Convergence
from bayes_obscaling.results.directions import Direction, direction_of, mean_direction
from bayes_obscaling.results.finding import Answer
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.release import released
from bayes_obscaling.results.scenario import NEW_FAMILY, Scenario
from bayes_obscaling.results.seen import Seen, seen_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayes_obscaling.results.fit import CapabilityFit

# log10 FLOPs between which curves are followed.
COMPUTE_GRID = np.linspace(18.0, 30.0, 121)
_POINTS = 41
_QUANTILES = {"median": 50, "q5": 5, "q25": 25, "q75": 75, "q95": 95}


@dataclass(frozen=True, eq=False, repr=False)
class Curve(Answer):
    """Expected score on a task along capability or compute.

    Attributes
    ----------
    table : DataFrame
        One row per point of the curve: ``capability`` or ``compute`` (log10 FLOPs), ``median, q5, q25, q75, q95``.
    points : DataFrame
        One row per model with an observed score: ``model, family``, its ``capability`` or ``compute``, ``observed`` and
        ``seen`` (by the fit). Along compute also ``own``: models of the curve's family, at their own compute; the
        others stand at their equivalent compute, where that lies on the curve.
    along : {"capability", "compute"}
        What the curve runs along.
    task : str
        Task or benchmark.
    family : str
        Family of a curve along compute, "new" for one never seen; empty for a curve along capability.
    date : str
        Release date of a curve along compute; empty for one along capability, and without a drift.
    chance : float
        Score of guessing.
    seen : Seen
        What the fit has seen of the task's scores.
    convergence : Convergence
        The worst of what is behind the curve.
    problems : tuple of str
        What went wrong in sampling; empty when nothing did.
    """

    table: pd.DataFrame
    points: pd.DataFrame
    along: Literal["capability", "compute"]
    task: str
    family: str
    date: str
    chance: float
    seen: Seen
    convergence: Convergence
    problems: tuple[str, ...]

    def to_dataframe(self) -> pd.DataFrame:
        """The curve."""
        return self.table

    @property
    def who(self) -> str:
        """Whose curve along compute it is, in words."""
        return f"{'a family never seen' if self.family == NEW_FAMILY else self.family}{released(self.date)}"

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is followed along what, from where to where."""
        first, last = (
            f"{row['median']:.3f} (90 % interval {row['q5']:.3f} to {row['q95']:.3f})"
            for _, row in self.table.iloc[[0, -1]].iterrows()
        )
        who = f" of a new model of {self.who}" * bool(self.family)
        low, high = self.table[self.along].iloc[[0, -1]]
        unit = "log10 FLOPs" if self.along == "compute" else "sd of the seen models"
        return (f"{self.task}, expected score{who}: {first} at {low:.1f} {unit}, {last} at {high:.1f}.",)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the curve with the models around it; see `bayes_obscaling.plots.curves`."""
        from bayes_obscaling.plots import plot_capability_curve, plot_compute_curve

        return (plot_capability_curve if self.along == "capability" else plot_compute_curve)(self, ax=ax)


def capability_curve(fit: CapabilityFit, task: str) -> Curve:
    """Expected score on a task along capability, with the models at the posterior mean of theirs.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file.
    task : str
        A task that the fit holds, asked for or fitted along; not a standard benchmark.

    Raises
    ------
    InputError
        For a task that the fit does not hold, and for a benchmark.

    Notes
    -----
    The curve is that of a family without an offset of its own: a model's forecast adds its family's offset, the
    uncertainty of its capability, and evaluation noise, so points scatter wider than its bands.
    """
    name = _task_with_head(fit, task)
    grid, draws = capability_grid(fit, name)
    points = _observed(fit, name)
    points.insert(2, "capability", task_capability(fit, name)[points["model"]].to_numpy())
    problems = fit.problems + (fit.energy_warning if fit.energy_level == "FAIL" else ())
    return Curve(
        table=curve_quantiles("capability", grid, draws),
        points=points,
        along="capability",
        task=name,
        family="",
        date="",
        chance=fit.chance(name),
        seen=seen_of(fit, name),
        convergence=fit.worst_convergence,
        problems=problems,
    )


def compute_curve(fit: CapabilityFit, task: str, family: str, *, others: bool = True, date: str = "") -> Curve:
    """Expected score of a new model of a family along its training compute.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file.
    task : str
        Task, or a standard benchmark.
    family : str
        A family of the table, or "new" for one never seen.
    others : bool
        Keep the models of other families too, at their equivalent compute: that at which this family's typical model
        has the same capability for the task (posterior median). A benchmark and a new family have none.
    date : str
        Release date, for a fit with a drift; default as of `Scenario`.

    Raises
    ------
    InputError
        For a task or family that the fit does not hold, or a date that the fit does not read.

    Notes
    -----
    The bands are those of ``forecast(fit, Scenario(family=family, flops=...), kind="mean")``: they hold the residual
    of a single model, which is the same all along the curve, and no evaluation noise.
    """
    models = fit.table.models
    # One name for all, hence one residual: the curve of one new model, without jumps.
    probe = forecast(fit, Scenario("new model", family, 1e22, date=date), tasks=task, kind="mean")
    name, (family, released_on) = str(probe.draws["task"].item()), probe.about.loc[0, ["family", "date"]]
    seen, known = seen_of(fit, name), models["flops"].dropna()
    own = known[models.loc[known.index, "family"] == family]
    reach = np.log10([*(own if len(own) else known), *([] if seen.cutoff is None else [seen.cutoff])])
    grid = np.linspace(np.floor(reach.min() - 0.3), np.ceil(reach.max() + 0.3), _POINTS)
    scenarios = [Scenario("new model", family, 10.0**x, date=date) for x in grid]
    drawn = forecast(fit, scenarios, tasks=name, kind="mean")

    points = _observed(fit, name)
    points["own"] = points["model"].isin(own.index)
    places = np.log10(own)
    if others and family != NEW_FAMILY and fit.posterior.has_head(name):
        equivalent = _equivalent_compute(fit, name, family, released_on).drop(own.index)
        places = pd.concat([places, equivalent[equivalent.between(grid[0], grid[-1])]])
    points.insert(2, "compute", points["model"].map(places))
    points = points.dropna(subset="compute").reset_index(drop=True)
    return Curve(
        table=curve_quantiles("compute", grid, drawn.draws.to_numpy().reshape(-1, len(grid))),
        points=points,
        along="compute",
        task=name,
        family=family,
        date=released_on,
        chance=fit.chance(name),
        seen=seen,
        convergence=drawn.convergence,
        problems=drawn.problems,
    )


def curve_quantiles(along: str, grid: np.ndarray, draws: np.ndarray) -> pd.DataFrame:
    """A grid, in a column of this name, and ``median, q5, q25, q75, q95`` of curves (draws, points) on it."""
    values = np.percentile(draws, list(_QUANTILES.values()), axis=0)
    return pd.DataFrame({along: grid, **dict(zip(_QUANTILES, values, strict=True))})


def family_curves(
    fit: CapabilityFit, task: str, family: str, flops: np.ndarray, dates: np.ndarray | str = ""
) -> np.ndarray:
    """Expected scores (draws, points) of a family's typical model, or a new family's, along compute and release dates.

    `flops` (points,), and `dates` (YYYY-MM-DD), one a point or one for all; where it is empty, that of the family's
    latest release.
    """
    place = fit.posterior.family_line(family, {"flops": flops, "date": np.broadcast_to(dates, flops.shape)})
    return fit.posterior.expected(place, [task])[..., 0]


def first_crossing(grid: np.ndarray, curves: np.ndarray, level: np.ndarray | float) -> np.ndarray:
    """Where curves (points, draws) first reach a level (or one per draw), interpolated on an even, rising grid.

    The first point of the grid for curves that are above the level there, infinity for those that do not reach it.
    """
    reached = curves >= level
    first = reached.argmax(axis=0)
    column = np.arange(curves.shape[1])
    before = np.maximum(first - 1, 0)
    low, high = curves[before, column], curves[first, column]
    share = np.where(high > low, (level - low) / np.where(high > low, high - low, 1.0), 1.0)
    crossing = np.where(first == 0, grid[0], grid[before] + share * (grid[1] - grid[0]))
    return np.where(reached.any(axis=0), crossing, np.inf)


def matching_compute(
    fit: CapabilityFit, direction: Direction, family: str, places: np.ndarray, date: str = ""
) -> np.ndarray:
    """Compute (S, N), log10 FLOPs, at which a family's typical model stands at places (S, N) of `Direction.places`.

    Off the grid as in `first_crossing`; `date` of release as in `family_curves`.
    """
    facts = {"flops": 10.0**COMPUTE_GRID, "date": np.full(len(COMPUTE_GRID), date)}
    typical = fit.posterior.family_line(family, facts)
    line = direction.places(typical.theta[:, direction.predictors]).T
    return np.stack([first_crossing(COMPUTE_GRID, line, place) for place in places.T], axis=1)


def capability_grid(fit: CapabilityFit, task: str, points: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Grid along the linear predictor that a task's head reads, and draws of its scores there, without offsets.

    The grid (points,) is capability in sd of the models whose scores are seen, along the posterior mean direction of
    the task. Refused are a benchmark and a task that the fit does not hold.
    """
    posterior = fit.posterior
    _task_with_head(fit, task)
    direction, places = mean_direction(fit.posterior, task)
    grid = np.linspace(places.min() - 0.3, places.max() + 0.3, points)
    at = posterior.layout.tasks.index(task)
    p = {name: posterior.heads[name][:, [at]] for name in TASK_CURVE if name in posterior.heads}
    along = direction * grid[:, None]  # capabilities (points, K)
    return grid, np.asarray(expected_tasks(p, along[None, :, None], 0.0, fit.table.chance(task)))[..., 0]


def task_capability(fit: CapabilityFit, task: str) -> pd.Series:
    """Posterior mean of every model's place on the axis of `capability_grid`."""
    return pd.Series(mean_direction(fit.posterior, task)[1], index=list(fit.layout.models))


def _task_with_head(fit: CapabilityFit, task: str) -> str:
    name = fit.table.resolve(task)
    held = fit.layout.tasks
    if name in held:
        return name
    if name in fit.layout.benchmarks:
        raise InputError(
            f"{name} is a standard benchmark, which no single capability explains: draw it against compute, or name a "
            f"task{' such as ' + held[0] if held else ''}."
        )
    raise InputError(f"The fit does not hold {name}: fit again with it; it holds {', '.join(held) or 'no task'}.")


def _observed(fit: CapabilityFit, task: str) -> pd.DataFrame:
    """Models with a score on a task: ``model, family, observed, seen``."""
    scores = fit.table.matrix([task])[task].dropna()
    frame = pd.DataFrame({"family": fit.table.models.loc[scores.index, "family"], "observed": scores})
    frame["seen"] = fit.posterior.seen[task].reindex(scores.index, fill_value=False)
    return frame.rename_axis("model").reset_index()


def _equivalent_compute(fit: CapabilityFit, task: str, family: str, date: str) -> pd.Series:
    """Compute (log10 FLOPs) at which the family's typical model is as capable for the task as each model."""
    direction = direction_of(fit, task)
    places = direction.places(fit.posterior.measurement(direction.predictors)["theta"])
    flops = np.median(10.0 ** matching_compute(fit, direction, family, places, date), axis=0)
    return pd.Series(np.log10(flops), index=list(fit.layout.models))
