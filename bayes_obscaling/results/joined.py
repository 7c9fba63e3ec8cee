"""A fit that more models join: they are placed along its draws, given their scores, and change nothing else in it.

Where models to be placed are few against those of the fit, or the fit was calibrated on a part of them, what they would
teach it is little: a cut posterior. `bayes_obscaling.score` weighs the draws by their scores as well. The models of a
family that the fit does not know are placed together with the line of their family and its offsets, by Gibbs sampling:
each in turn given the others, some sweeps at every draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayes_obscaling.models.capability_equations import BENCHMARK_FLOOR_SD, Measurements
from bayes_obscaling.models.layout import Layout
from bayes_obscaling.models.links import response, score_variance
from bayes_obscaling.progress import Tell, silent
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.leave_one_out.weights import PARETO_LIMIT, smoothed
from bayes_obscaling.results.marginal import (
    ROOM,
    Scores,
    capabilities_given_scores,
    chance_at_draws,
    compute_given,
    curves_of,
    unseen_room,
)
from bayes_obscaling.results.posterior import Arrays, Posterior

SWEEPS, PARTICLES = 6, 16  # of Gibbs sampling for a new family of several models; of each placed at a draw
_GRID = np.linspace(-4.0, 4.0, 25)  # of an offset, in its prior sd


def can_join(fit: CapabilityFit, new: Layout) -> bool:
    """Whether the rest of a table can join a fit: it saw what a new one would see of its own."""
    spec, old = fit.spec, fit.layout
    plain = spec.compute_law == "log-linear" and spec.drift in ("none", "family", "model") and spec.cells == "dense"
    if not plain or spec.posterior == "joint":
        return False
    same = (new.benchmarks, new.factors, new.structure.drift) == (old.benchmarks, old.factors, old.structure.drift)
    if not (same and set(old.models) <= set(new.models) and set(new.predictor_sets) <= set(old.predictor_sets)):
        return False
    row_of = {name: row for row, name in enumerate(new.models)}
    rows = [row_of[name] for name in old.models]
    names = ("score", "seen", "inv_items", "compute_sd")
    return all(
        np.array_equal(np.asarray(getattr(now, name))[rows], np.asarray(getattr(then, name)))
        for now, then in (_of_set(new, old, left_out) for left_out in new.predictor_sets)
        for name in names
    ) and _same_facts(new, old, rows)


def _of_set(new: Layout, old: Layout, left_out: tuple[str, ...]) -> tuple[Measurements, Measurements]:
    sets = new.predictor_sets.index(left_out), old.predictor_sets.index(left_out)
    return new.measurements[sets[0]], old.measurements[sets[1]]


def _same_facts(new: Layout, old: Layout, rows: list[int]) -> bool:
    """Whether models kept their families and compute, and benchmarks their chance."""
    now, then = new.measurements[0], old.measurements[0]
    kept = set(rows)
    families = [new.families[f] for f in np.asarray(now.family)[rows]]
    return (
        families == [old.families[f] for f in np.asarray(then.family)]
        and np.array_equal(np.asarray(now.covariates.compute)[rows], np.asarray(then.covariates.compute))
        and np.array_equal(np.asarray(now.chance), np.asarray(then.chance), equal_nan=True)
        and [new.models[m] for m in new.structure.unknown_compute if m in kept]
        == [old.models[m] for m in old.structure.unknown_compute]
    )


def join(fit: CapabilityFit, layout: Layout, tell: Tell = silent) -> tuple[dict[str, xr.DataArray], dict[str, float]]:
    """Return the measurement's variables of a fit of the whole table, by name: those of the fit, and of new models.

    And the Pareto k of new models whose scores are so far from what the fit expects that it is above .7.

    Parameters
    ----------
    fit : CapabilityFit
        Of some of the models; see `can_join`.
    layout : Layout
        Of the fit to be: all models.
    tell : callable
        Told ``(label, done, total)`` as models are placed.
    """
    posterior = fit.posterior
    parts, far = [], dict[str, float]()
    known = set(fit.layout.models)
    new = [name for name in layout.models if name not in known]
    row_of = {name: row for row, name in enumerate(layout.models)}
    done, total = 0, len(new) * len(layout.predictor_sets)
    for index, left_out in enumerate(layout.predictor_sets):
        place = _Places(posterior, layout, index, fit.layout.predictor_sets.index(left_out))
        members: dict[str, list[int]] = {}
        for name in new:
            row = row_of[name]
            members.setdefault(layout.families[place.family[row]], []).append(row)
        # one after the other: threads that launch many small programs have made XLA's CPU client wait for itself
        for family, rows in members.items():
            place.add(family, rows)
            tell("placing models", done := done + len(rows), total)
        parts.append(place.arrays())
        for row in place.log_weight:
            k = float(smoothed(place.log_weight[row][:, None])[1][0])
            if k > PARETO_LIMIT:
                far[layout.models[row]] = max(k, far.get(layout.models[row], 0.0))
    labels = layout.labels
    values = {}
    for name in parts[0]:
        dims = ("predictors", *_DIMS[name]) if name in _DIMS else tuple(map(str, fit.draws[name].dims[2:]))
        stacked = posterior.by_chain(np.stack([part[name] for part in parts], axis=1))
        coords = {dim: labels[dim] for dim in dims}
        values[name] = xr.DataArray(stacked, dims=("chain", "draw", *dims), coords=coords, name=name)
    return values, far


_DIMS = {
    "theta": ("model", "factor"),
    "compute": ("model",),
    "intercept": ("family", "factor"),
    "slope": ("family", "factor"),
    "family_offset": ("family", "benchmark"),
}


class _Line(NamedTuple):
    """Line of one family at all draws, (S, K) each, without what its models' dates add."""

    intercept: np.ndarray
    slope: np.ndarray


class _Places:
    """Models placed under one predictor set."""

    def __init__(self, posterior: Posterior, layout: Layout, index: int, of_fit: int) -> None:
        self.posterior, self.layout, self.of_fit = posterior, layout, of_fit
        self.data = layout.measurements[index]
        self.family = np.asarray(self.data.family)
        self.p = p = posterior.measurement(of_fit)
        old, size = posterior.layout, posterior.size
        self.theta = _widened(p["theta"], old.models, layout.models)
        self.compute = _widened(p["compute"], old.models, layout.models) if "compute" in p else None
        self.lines = {n: _widened(p[n], old.families, layout.families) for n in ("intercept", "slope")}
        self.offset = _widened(p["family_offset"], old.families, layout.families)
        self.chance = chance_at_draws(p, self.data.chance)
        self.a_year = p["slope_mean"] * p["drift"] if "drift" in p else np.zeros((size, len(layout.factors)))
        self.log_weight: dict[int, np.ndarray] = {}
        self._keep_lines()

    def _keep_lines(self) -> None:
        """Move intercepts of families whose mean date new models have changed, so that their lines stay in place."""
        old = self.posterior.layout
        if old.structure.drift != "family":
            return
        then, now = np.asarray(old.measurements[0].covariates.date), np.asarray(self.data.covariates.date)
        for f, name in enumerate(old.families):
            before = then[np.asarray(old.measurements[0].family) == f][0]
            at = self.layout.families.index(name)
            after = now[self.family == at][0]
            self.lines["intercept"][:, at] += self.a_year * (before - after)

    def arrays(self) -> Arrays:
        """Every variable (S, ...) of the measurement."""
        own = {"theta": self.theta, "family_offset": self.offset, **self.lines}
        return {**self.p, **own, **({} if self.compute is None else {"compute": self.compute})}

    def add(self, family: str, rows: list[int]) -> None:
        """Place models, by position, that belong to one family."""
        f = self.layout.families.index(family)
        rng = self.posterior.rng("joins", family, str(self.of_fit))
        none = np.zeros_like(self.p["family_offset_sd"])
        if family in self.posterior.layout.families:
            line = _Line(self.lines["intercept"][:, f], self.lines["slope"][:, f])
            for row in rows:
                self._place(row, line, self.offset[:, f], none, rng)
            return
        new = {name: value[:, self.of_fit] for name, value in self.posterior.family_effects("new").items()
               if value.ndim == 3}  # fmt: skip
        line, offset, offset_sd = _Line(new["intercept"], new["slope"]), none, self.p["family_offset_sd"]
        wide = self.p["intercept_sd"]
        for sweep in range(SWEEPS if len(rows) > 1 else 1):
            # at first about the population of families, then about the line of this one
            about = line if sweep else _Line(self.p["intercept_mean"], line.slope)
            for row in rows:
                drawn = self._place(row, about, offset, offset_sd, rng, 0.0 if sweep else wide)
                if not sweep:  # the first model brings the family's offsets, the others adapt them
                    offset, offset_sd = drawn, none
            line = self._line_given(rows, rng)
            if len(rows) > 1:
                offset = self._offsets_given(rows, rng)
        self.lines["intercept"][:, f], self.lines["slope"][:, f] = line
        self.offset[:, f] = offset

    def _place(
        self,
        row: int,
        line: _Line,
        offset: np.ndarray,
        offset_sd: np.ndarray,
        rng: np.random.Generator,
        wider: np.ndarray | float = 0.0,
    ) -> np.ndarray:
        """Draw capabilities and compute of one model; return the offsets (S, I) drawn with them."""
        p, data = self.p, self.data
        x_mean, x_sd = self._prior_compute(row)
        base = line.intercept + self.a_year * float(np.asarray(data.covariates.date)[row])
        sd = np.sqrt(p["residual_sd"] ** 2 + wider**2)
        at = np.flatnonzero(np.asarray(data.seen)[row]).tolist()
        room = at + [0] * unseen_room(at)
        drawn = offset + offset_sd * rng.standard_normal(offset.shape)
        curves = curves_of(p, room, offset, offset_sd, self.chance)
        seen = np.arange(len(room)) < len(at)
        score, inv_items = (np.asarray(value)[row, room] for value in (data.score, data.inv_items))
        mean, spread, along = base + line.slope * x_mean, np.broadcast_to(sd, base.shape), line.slope * x_sd
        key = jax.random.key(int(rng.integers(2**31)))
        theta, of_family, log_weight = capabilities_given_scores(
            key, curves, mean, spread, along, Scores(score, seen, inv_items), False, PARTICLES
        )
        self.theta[:, row], self.log_weight[row] = theta, log_weight
        drawn[:, at] = of_family[:, : len(at)]
        if self.compute is not None:
            above, x, x_error = self.theta[:, row] - base, np.full(len(base), x_mean), np.full(len(base), x_sd)
            self.compute[:, row] = compute_given(above, line.slope, sd**2, x, x_error, rng)
        return drawn

    def _prior_compute(self, row: int) -> tuple[float, float]:
        """Mean and sd of a model's compute before any score."""
        if row in self.layout.structure.unknown_compute:
            prior = self.posterior.spec.priors.unknown_compute
            return prior.loc, prior.scale
        error = 0.0 if self.data.compute_sd is None else float(np.asarray(self.data.compute_sd)[row])
        return float(np.asarray(self.data.covariates.compute)[row]), error

    def _line_given(self, rows: list[int], rng: np.random.Generator) -> _Line:
        """Line of a family given the capabilities of its models: normal regression at every draw, factor by factor."""
        p, dates = self.p, np.asarray(self.data.covariates.date)[rows]
        computes = np.asarray(self.data.covariates.compute)[rows]
        x = np.broadcast_to(computes, (len(self.theta), len(rows))) if self.compute is None else self.compute[:, rows]
        y = self.theta[:, rows] - self.a_year[:, None] * dates[:, None]  # (S, N, K)
        noise = 1.0 / p["residual_sd"] ** 2
        prior = 1.0 / np.stack([p["intercept_sd"], p["slope_sd"]], axis=-1) ** 2  # (S, K, 2)
        middle = np.stack([p["intercept_mean"], p["slope_mean"]], axis=-1)
        design = np.stack([np.ones_like(x), x], axis=-1)  # (S, N, 2)
        precision = noise[..., None, None] * np.einsum("sna,snb->sab", design, design)[:, None]
        precision = precision + prior[..., None] * np.eye(2)
        pull = noise[..., None] * np.einsum("sna,snk->ska", design, y) + prior * middle
        root = np.linalg.cholesky(precision)
        unit = rng.standard_normal((*pull.shape, 1))
        mean = np.linalg.solve(precision, pull[..., None])
        drawn = (mean + np.linalg.solve(np.swapaxes(root, -1, -2), unit))[..., 0]
        return _Line(drawn[..., 0], drawn[..., 1])

    def _offsets_given(self, rows: list[int], rng: np.random.Generator) -> np.ndarray:
        """Offsets (S, I) of a family given the capabilities of its models, on a grid of each."""
        p, data = self.p, self.data
        room = [*rows, *([rows[0]] * (-len(rows) % ROOM))]  # filled up with unseen ones: few shapes to compile
        eta = np.einsum("snk,sik->sni", self.theta[:, room], p["loading"]) + p["difficulty"][:, None]
        score, seen, inv_items = (np.asarray(value)[room] for value in (data.score, data.seen, data.inv_items))
        seen = seen & (np.arange(len(room)) < len(rows))[:, None]
        shape = [p[name] for name in ("ceiling_gap", "asymmetry") if name in p]
        sd = p["family_offset_sd"]
        log_density = _offset_density(eta, sd, shape, p["overdispersion"], self.chance, score, seen, inv_items)
        weight = np.exp(log_density - log_density.max(axis=0)).cumsum(axis=0)
        chosen = (weight < rng.random(weight.shape[1:]) * weight[-1]).sum(axis=0)
        step = _GRID[1] - _GRID[0]  # spread over its step: offsets are continuous
        return p["family_offset_sd"] * (_GRID[chosen] + step * (rng.random(chosen.shape) - 0.5))


@jax.jit
def _offset_density(
    eta: jax.Array,
    sd: jax.Array,
    shape: list[jax.Array],
    overdispersion: jax.Array,
    chance: jax.Array,
    score: jax.Array,
    seen: jax.Array,
    inv_items: jax.Array,
) -> jax.Array:
    """Log density (grid, S, I), but for constants, of offsets of a family."""

    def at(unit: jax.Array) -> jax.Array:
        gap, *asymmetry = (value[:, None] for value in shape)
        expected = response(eta + (unit * sd)[:, None], chance[:, None], gap, *asymmetry)
        variance = score_variance(expected, inv_items, overdispersion[:, None], BENCHMARK_FLOOR_SD)
        cells = -0.5 * jnp.log(variance) - 0.5 * (score - expected) ** 2 / variance
        return jnp.where(seen, cells, 0.0).sum(axis=1) - 0.5 * unit**2

    return jax.lax.map(at, jnp.asarray(_GRID))


def _widened(values: np.ndarray, old: Sequence[str], new: Sequence[str]) -> np.ndarray:
    """Values (S, old, ...) in the order of new labels, zero where there are none yet."""
    result = np.zeros((len(values), len(new), *values.shape[2:]))
    place = {name: at for at, name in enumerate(new)}
    result[:, [place[name] for name in old]] = values
    return result


def told(new: Sequence[str], far: Mapping[str, float]) -> tuple[str, ...]:
    """Notes that say which models were placed, and which of them the fit did not expect."""
    if not new:
        return ()
    names = ", ".join(new[:4]) + (f" and {len(new) - 4} more" if len(new) > 4 else "")
    notes = [f"placed given a fit of other models, which their scores do not change: {names}"]
    if far:
        worst = sorted(far, key=lambda name: -far[name])
        text = ", ".join(f"{name} ({far[name]:.1f})" for name in worst[:4])
        text += f" and {len(far) - 4} more" if len(far) > 4 else ""
        notes.append(
            f"far from what that fit expects (Pareto k above {PARETO_LIMIT}): {text}; fit everything with --refit"
        )
    return tuple(notes)
