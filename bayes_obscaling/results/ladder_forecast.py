"""Forecasts from a ladder fit: task loss, accuracy given the true loss, and the two chained."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.data.ladder import Ladder
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.ladder import (
    CENTRE_FLOPS,
    CENTRE_PARAMS,
    CENTRE_TOKENS,
    NOISE_DF,
    SMALLEST_ACCURACY_SD,
    SMALLEST_LOSS_SD,
    link,
    power_law,
)
from bayes_obscaling.results.diagnostics.check import Level
from bayes_obscaling.results.diagnostics.sampler import energy_level, energy_warning, sampler_level
from bayes_obscaling.results.ladder import LadderFit
from bayes_obscaling.results.summaries import forecast_columns, with_verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Rungs beyond the ladder's end at which the curves may bend again; farther out they go straight on.
_RUNGS_BEYOND = 12
# Decades of compute beyond the ladder at which a forecast is called far.
FAR_DECADES = 2.0


@dataclass(frozen=True)
class Target:
    """A model to forecast.

    Attributes
    ----------
    name : str
        What to call it.
    params, tokens : float
        N and D.
    flops : float, optional
        Training compute; default 6 N D. Only the law in compute alone reads it.
    """

    name: str
    params: float
    tokens: float
    flops: float | None = None

    def __post_init__(self) -> None:
        for name in ("params", "tokens"):  # whole numbers of this size belong to no integer arithmetic
            object.__setattr__(self, name, float(getattr(self, name)))
        for what, value in (("N", self.params), ("D", self.tokens), ("FLOPs", self.compute)):
            if not (np.isfinite(value) and value > 0):
                raise InputError(f"Target {self.name}: {what} is {value}; give a positive number.")

    @property
    def compute(self) -> float:
        """FLOPs."""
        return 6.0 * self.params * self.tokens if self.flops is None else self.flops


# The models whose ladder the bundled runs are (OLMo 2; 7B and 13B as in Bhagia et al. 2024).
OLMO_TARGETS = (
    Target("7B", 6887575552, 3945065873408),
    Target("13B", 13202396160, 5000088518656),
    Target("32B", 31.72e9, 6.056e12),
)


class World:
    """Posterior draws continued beyond the ladder: one more set of bends a draw, shared by all that is asked.

    Parameters
    ----------
    fit : LadderFit
        The fit.
    """

    def __init__(self, fit: LadderFit) -> None:
        self.fit, self.spec = fit, fit.spec
        stacked = fit.draws.stack(sample=("chain", "draw")).transpose("sample", ...)
        self._draws = {str(name): value.to_numpy() for name, value in stacked.items()}
        self.count = stacked.sizes["sample"]
        facts = fit.posterior["constant_data"].to_dataset()
        self.unit, self.knots = facts["unit"].to_numpy(), facts["knots"].to_numpy()
        self.n_losses, self.n_tasks = len(self.unit), len(fit.ladder.tasks)
        if not self.spec.discrepancy:
            return
        rng = self.rng("world")
        # The link: a knot at the smallest loss seen, then more at the mean distance of those inside.
        gap = np.maximum((self.knots[:, 0] - 1.0) / self.knots.shape[1], 1e-3)
        self.knots = np.concatenate([self.knots, 1.0 - gap[:, None] * np.arange(_RUNGS_BEYOND)], axis=1)
        fresh = self("slope_change_sd")[:, :, None] * rng.standard_normal((self.count, self.n_tasks, _RUNGS_BEYOND))
        self.changes = np.concatenate([self("slope_change"), fresh], axis=2)
        # The loss in size: a bend at the largest size, then more at the mean distance of the rungs.
        rungs = facts["rungs"].to_numpy()
        self.size_bends_at = np.concatenate([rungs[1:-1], rungs[-1] + np.diff(rungs).mean() * np.arange(_RUNGS_BEYOND)])
        self.size_bends = self._continue("size", rng, 1)
        # The loss in tokens a parameter: beyond either end of the range.
        ratio, inside = facts["log_ratio"].to_numpy(), facts["ratio_bends"].to_numpy()
        step = np.ptp(ratio) / (len(inside) + 1) * np.arange(_RUNGS_BEYOND)
        self.ratio_bends_at = np.concatenate([inside, ratio.max() + step])
        self.ratio_bends_below = ratio.min() - step
        if self.spec.law == "size-and-data":
            self.ratio_bends = self._continue("data", rng, 2)

    def __call__(self, name: str) -> np.ndarray:
        """Draws of one site, (samples, ...)."""
        return self._draws[name]

    def rng(self, *what: str) -> np.random.Generator:
        """Random numbers that depend on the fit and on what they are for, not on what else is asked."""
        seed = self.fit.provenance["seed"]
        return np.random.default_rng([seed, 5, *(zlib.crc32(text.encode()) for text in what)])

    def _continue(self, name: str, rng: np.random.Generator, ends: int) -> np.ndarray:
        """Bends inside, then fresh ones beyond each end, (samples, losses, bends)."""
        count = ends * _RUNGS_BEYOND
        shared, sd = self("bend_shared")[:, None, None], self(f"{name}_bend_sd")[:, None, None]
        common = rng.standard_normal((self.count, 1, count))
        own = rng.standard_normal((self.count, self.n_losses, count))
        drift = self(f"{name}_bend_drift")[:, None, None]
        fresh = sd * (drift + np.sqrt(shared) * common + np.sqrt(1.0 - shared) * own)
        return np.concatenate([self(f"{name}_bend"), fresh], axis=2)

    def log_law(self, target: Target) -> np.ndarray:
        """Log expected loss in units of the smallest loss seen, without a run's luck, (samples, losses)."""
        two = self.spec.law == "size-and-data"
        size: Any = np.log(target.params / CENTRE_PARAMS) if two else np.log(target.compute / CENTRE_FLOPS)
        data: Any = np.log(target.tokens / CENTRE_TOKENS)
        if self.spec.discrepancy:
            ratio = data - size
            if two:
                beyond = [np.maximum(ratio - self.ratio_bends_at, 0.0), np.maximum(self.ratio_bends_below - ratio, 0.0)]
                data = data - self.ratio_bends @ np.concatenate(beyond)
            size = size - self.size_bends @ np.maximum(size - self.size_bends_at, 0.0)
        names = ("irreducible", "size_scale", "size_exponent", "data_scale", "data_exponent")
        p: dict[str, Any] = {name: self(name) if name in self._draws else 0.0 for name in names}
        return np.log(np.asarray(power_law(size, data, p)))

    def luck(self, target: Target, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A run's luck in log loss: what all tasks share, and each task's own; (samples, losses) both."""
        shrink = np.exp(-self("size_decay") * np.log(target.params / CENTRE_PARAMS))[:, None]
        shared = self("run_sd")[:, None] * shrink * rng.standard_normal((self.count, 1))
        sd = np.sqrt((self("loss_sd") * shrink) ** 2 + SMALLEST_LOSS_SD**2)
        own = sd * rng.standard_t(NOISE_DF, (self.count, self.n_losses))
        return np.broadcast_to(shared, own.shape), own

    def curve(self, loss: np.ndarray) -> np.ndarray:
        """Expected accuracy at losses (samples, losses) in units of the smallest loss seen, (samples, tasks)."""
        p: dict[str, Any] = {name: self(name) for name in ("floor", "ceiling_gap", "steepness", "midpoint")}
        shift: Any = 0.0
        if self.spec.discrepancy:
            beyond = np.maximum(self.knots - loss[:, :, None], 0.0)
            shift = p["steepness"] * (beyond * self.changes).sum(axis=2)
        return np.asarray(link(loss, shift, p))

    def noisy(self, mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A run's accuracy around its expectation."""
        sd = np.sqrt((self("accuracy_sd") * mean * (1.0 - mean)) ** 2 + SMALLEST_ACCURACY_SD**2)
        return np.clip(mean + sd * rng.standard_t(NOISE_DF, mean.shape), 0.0, 1.0)

    def ask(self, target: Target, true_loss: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Draws for one target, (samples, losses or tasks) each.

        Parameters
        ----------
        target : Target
            The model.
        true_loss : array (losses,), optional
            Its losses, if they are known.

        Returns
        -------
        dict
            ``loss`` and ``accuracy`` (chained through the forecast loss) of a run, their expectations ``loss_curve``
            and ``accuracy_curve``, and with `true_loss` ``accuracy_given_loss``.
        """
        rng = self.rng("run", f"{target.params:.6g}", f"{target.tokens:.6g}")
        law = self.log_law(target)
        shared, own = self.luck(target, rng)
        coupling = self("coupling")[:, None]
        observed = self.spec.feature != "none"
        followed = np.exp(law + shared + (coupling * own if observed else 0.0))
        drawn = {
            "accuracy": self.noisy(self.curve(followed), self.rng("accuracy", target.name)),
            "accuracy_curve": self.curve(np.exp(law)),
        }
        if observed:
            drawn["loss"] = np.exp(law + shared + own) * self.unit
            drawn["loss_curve"] = np.exp(law) * self.unit
        if true_loss is not None and observed:
            # the run's own luck is inside its true loss; accuracy follows it only as far as the coupling says
            given = np.exp(np.log(true_loss / self.unit) + (coupling - 1.0) * own)
            drawn["accuracy_given_loss"] = self.noisy(self.curve(given), self.rng("accuracy", target.name))
        return drawn


@dataclass(frozen=True, eq=False)
class LadderForecast:
    """Draws of losses and accuracies of targets.

    Attributes
    ----------
    fit : LadderFit
        The fit behind it.
    targets : tuple of Target
        What was asked.
    draws : Dataset
        ``loss`` (chain, draw, target, loss_of), ``accuracy`` (chain, draw, target, task), both of a run to come;
        ``loss_curve``, ``accuracy_curve``: without a run's luck; ``accuracy_given_loss`` where true losses were given.
    warnings : tuple of str
        Where a target lies, when that matters.
    """

    fit: LadderFit
    targets: tuple[Target, ...]
    draws: xr.Dataset
    warnings: tuple[str, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong in sampling; empty when nothing did."""
        return self.fit.problems + (energy_warning(self.fit) if energy_level(self.fit) == "FAIL" else ())

    @property
    def verdict(self) -> Level:
        """PASS, REVIEW or FAIL: R-hat, effective sample sizes, divergences and E-BFMI of the fit.

        `bayes_obscaling.diagnose` checks the fit further.
        """
        return sampler_level(self.fit, self.problems)

    @cached_property
    def _summary(self) -> pd.DataFrame:
        parts = []
        for quantity in ("loss", "accuracy", "accuracy_given_loss"):
            if quantity not in self.draws:
                continue
            dim = "loss_of" if quantity == "loss" else "task"
            values = self.draws[quantity].stack(sample=("chain", "draw")).transpose(..., "sample")
            for target in self.targets:
                part = forecast_columns(np.ascontiguousarray(values.sel(target=target.name)), axis=1)
                about = {"target": target.name, "N": target.params, "D": target.tokens, "task": values[dim].to_numpy()}
                parts.append(pd.DataFrame({**about, "quantity": quantity}).join(part))
        table = pd.concat(parts, ignore_index=True)
        return with_verdict(table, self.fit.convergence, self.problems, self.verdict)

    def summary(self) -> pd.DataFrame:
        """One row a target, task and quantity: ``target, N, D, task, quantity, mean, median, sd, q2.5 ... q97.5``.

        Then the sampler's ``converged, rhat, ess_bulk, ess_tail, divergences, verdict``. Accuracies are fractions,
        losses are in the unit of the ladder (bits per byte in the bundled one); intervals are equal-tailed and hold a
        run's luck.
        """
        return self._summary.copy()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the intervals of all targets and tasks; see `bayes_obscaling.plots.ladder`."""
        from bayes_obscaling.plots.ladder import plot_ladder_forecast

        return plot_ladder_forecast(self, ax=ax)


def forecast_ladder(
    fit: LadderFit, targets: Target | Sequence[Target] = OLMO_TARGETS, true_losses: np.ndarray | None = None
) -> LadderForecast:
    """Forecast losses and accuracies of models of the same recipe.

    Parameters
    ----------
    fit : LadderFit
        A fit.
    targets : Target or sequence of Target
        What to forecast; default the OLMo 2 models of the bundled ladder.
    true_losses : array (targets, losses), optional
        Losses of the targets, if known: adds the forecast of the accuracy given the true loss.

    Returns
    -------
    LadderForecast

    Raises
    ------
    InputError
        For no target, or two of one name.
    """
    targets = (targets,) if isinstance(targets, Target) else tuple(targets)
    names = [target.name for target in targets]
    if not names:
        raise InputError("No target was named: give one, such as Target('7B', 6.9e9, 3.9e12).")
    if len(set(names)) < len(names):
        raise InputError(f"Two targets are called {max(names, key=names.count)}: give each a name of its own.")
    world = World(fit)
    losses = [None] * len(targets) if true_losses is None else list(np.asarray(true_losses, float))
    asked = [world.ask(target, loss) for target, loss in zip(targets, losses, strict=True)]
    sizes, constants = fit.draws.sizes, fit.posterior["constant_data"].to_dataset()
    variables = {}
    for name in asked[0]:
        values = np.stack([draws[name] for draws in asked], axis=1)
        values = values.reshape(sizes["chain"], sizes["draw"], *values.shape[1:])
        variables[name] = (("chain", "draw", "target", "loss_of" if name.startswith("loss") else "task"), values)
    of = {"task": list(fit.ladder.tasks.index), "loss_of": constants["loss_of"].to_numpy()}
    dims = {dim for axes, _ in variables.values() for dim in axes}
    dataset = xr.Dataset(variables, coords={"target": names, **{dim: of[dim] for dim in of if dim in dims}})
    return LadderForecast(fit, targets, dataset, _warnings(fit.ladder, targets))


def _warnings(ladder: Ladder, targets: Sequence[Target]) -> tuple[str, ...]:
    runs, found = ladder.runs, []
    ratio = runs["tokens"] / runs["params"]
    for target in targets:
        inside = target.params <= runs["params"].max() and target.tokens <= runs["tokens"].max()
        beyond = np.log10(target.compute / (6 * runs["params"] * runs["tokens"]).max())
        if inside:
            found.append(f"{target.name} lies inside the ladder: this is an interpolation, not a forecast.")
        elif beyond > FAR_DECADES:
            found.append(
                f"{target.name} lies {beyond:.1f} decades of compute beyond the ladder: the curves were checked one "
                "rung beyond their end, not this far."
            )
        here = target.tokens / target.params
        if not ratio.min() / 1.02 <= here <= ratio.max() * 1.02:
            found.append(
                f"{target.name} has {here:.3g} tokens a parameter, the ladder {ratio.min():.3g} to {ratio.max():.3g}: "
                "the loss is extrapolated in this direction too."
            )
    return tuple(found)
