"""The baseline of one factor with date: a logistic curve of each benchmark in one capability that grows with time.

All seen scores of a table are read at once: that of model m on benchmark b, of chance c, is

    y = c_b + (1 - c_b) sigmoid(exp(a_b) (theta_m - d_b)) + noise of sd sigma_b,
    theta_m = beta t_m + u_family + residual,

with normal residuals, u, d and a (item response theory with a trend in the release date). The scale is that of the
typical score: a is 0 in the mean of all scores; without that the mode shrinks capabilities to nothing.

Given the standard deviations, all of this is one penalised least-squares problem, solved by Gauss-Newton steps; the
standard deviations are learned by expectation-maximisation with Laplace's approximation at its solution. No sampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.special import expit, logit

from bayes_obscaling.evaluation.in_time import dated

if TYPE_CHECKING:
    from bayes_obscaling.evaluation.baselines import Answer, Visible

# Standard deviations by group of priors: where they start, and the range they are learned in, in
# logits of a typical benchmark; the last two, of growth a year and mean difficulty, and of the mean of a, are fixed.
RESIDUAL, FAMILY, DIFFICULTY, STEEPNESS, WIDE, PINNED = range(6)
_START = np.array([0.7, 0.5, 1.5, 0.5, 5.0, 0.01])
_LEAST, _MOST = np.array([0.05, 0.02, 0.2, 0.1, 5.0, 0.01]), np.array([3.0, 3.0, 5.0, 1.0, 5.0, 0.01])
_NOISE, _SMALLEST_NOISE = 0.1, 0.01
_POOLED = 5.0  # scores that the noise of all benchmarks counts for in that of one
_ROUNDS, _STEPS, _SETTLED = 100, 30, 0.01


def factor_date(visible: Visible, draws: int, rng: np.random.Generator) -> Answer:
    """One capability from all seen scores; of a model without any, from its family and date."""
    _, date = dated(visible)
    seen = visible.everything
    seen = seen[date.notna() & seen.notna().any(axis=1)]
    names = seen.columns[seen.notna().any()]
    model, column = np.nonzero(seen[names].notna().to_numpy())
    families = list(dict.fromkeys(visible.models.loc[seen.index, "family"]))
    centre = date[seen.index].mean()
    fitted = fit_one_factor(
        Cells(
            score=tuple(seen[names].to_numpy()[model, column]),
            model=tuple(model),
            benchmark=tuple(column),
            chance=tuple(np.nan_to_num(visible.table.benchmarks.loc[names, "chance"].astype(float))),
            years=tuple(date[seen.index] - centre),
            family=tuple(visible.models.loc[seen.index, "family"].map(families.index)),
        )
    )
    benchmark, held_out = names.get_loc(visible.task), visible.held_out
    rows, lines = seen.index.get_indexer(held_out), visible.models.loc[held_out, "family"]
    line = np.array([families.index(name) if name in families else -1 for name in lines])
    years = date[held_out].to_numpy() - centre  # NaN, and so is the answer, where nobody knows the date
    point = fitted.scores(fitted.mode[None], benchmark, rows, line, years)[0]
    replicates = fitted.drawn(draws, rng)
    sample = fitted.scores(replicates, benchmark, rows, line, years, rng)
    undated = np.isnan(years)
    return np.where(undated, np.nan, point), np.where(undated, np.nan, sample)


class Cells(NamedTuple):
    """Seen scores: of each its model and benchmark, by number; of benchmarks chance; of models years and family."""

    score: tuple[float, ...]
    model: tuple[int, ...]
    benchmark: tuple[int, ...]
    chance: tuple[float, ...]
    years: tuple[float, ...]
    family: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class OneFactor:
    """What was learned: parameters at the mode, how sure they are, and the standard deviations.

    Attributes
    ----------
    mode : array (parameter,)
        Log steepness and difficulty by benchmark, capability by model, offset by family, growth per year, mean
        difficulty.
    factor : array (parameter, parameter)
        Upper Cholesky factor of the precision at the mode.
    sd : array (6,)
        Of the residuals of capabilities, the offsets of families, difficulties and log steepnesses; two are fixed.
    noise : array (benchmark,)
        Score-scale sd of a new evaluation.
    places : dict of str to slice
        Where ``steepness, difficulty, capability, offset, growth, typical`` are among the parameters.
    chance : array (benchmark,)
        Floors.
    """

    mode: np.ndarray
    factor: np.ndarray
    sd: np.ndarray
    noise: np.ndarray
    places: dict[str, slice]
    chance: np.ndarray

    def drawn(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (draw, parameter) of the Gaussian approximation."""
        white = rng.standard_normal((len(self.mode), draws))
        return self.mode + solve_triangular(self.factor, white).T

    def scores(
        self,
        parameters: np.ndarray,
        benchmark: int,
        rows: np.ndarray,
        line: np.ndarray,
        years: np.ndarray,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Scores (draw, model) on one benchmark at parameters (draw, parameter).

        `rows` and `line` are numbers of models and families, -1 for those that were not seen. With `rng`, what the
        date does not say of a model's capability, and the noise of an evaluation, are drawn as well.
        """
        part = {name: parameters[:, place] for name, place in self.places.items()}
        shape = (len(parameters), len(rows))
        residual, offset, noise = rng.standard_normal((3, *shape)) if rng is not None else np.zeros((3, *shape))
        offset = np.where(line >= 0, part["offset"][:, line], self.sd[FAMILY] * offset)
        from_date = part["growth"] * years + offset + self.sd[RESIDUAL] * residual
        capability = np.where(rows >= 0, part["capability"][:, rows], from_date)
        steepness, difficulty = (part[name][:, [benchmark]] for name in ("steepness", "difficulty"))
        chance = self.chance[benchmark]
        curve = expit(np.exp(steepness) * (capability - difficulty))
        return chance + (1 - chance) * curve + self.noise[benchmark] * noise


@lru_cache(maxsize=1)  # the tasks of a backtest mostly share what is seen
def fit_one_factor(cells: Cells) -> OneFactor:
    """Return the fit of all cells."""
    problem = _Problem(cells)
    mode, sd, noise = problem.start(), _START.copy(), np.full(len(cells.chance), _NOISE)
    for _ in range(_ROUNDS):
        before = np.r_[sd, noise]
        mode = problem.solve(mode, sd, noise)
        sd, noise = problem.learned(mode, sd, noise)
        if np.allclose(np.r_[sd, noise], before, rtol=_SETTLED, atol=0):
            break
    mode = problem.solve(mode, sd, noise)
    factor = cholesky(problem.precision(mode, sd, noise))
    return OneFactor(mode, factor, sd, noise, problem.places, problem.chance)


class _Problem:
    """Sum of squares of cells and priors, with sparse derivatives."""

    def __init__(self, cells: Cells) -> None:
        self.score, self.chance = np.array(cells.score), np.array(cells.chance)
        self.model, self.benchmark = np.array(cells.model), np.array(cells.benchmark)
        self.years, self.family = np.array(cells.years), np.array(cells.family)
        n_benchmarks, n_models, n_families = len(cells.chance), len(cells.years), int(self.family.max()) + 1
        sizes = {"steepness": n_benchmarks, "difficulty": n_benchmarks, "capability": n_models, "offset": n_families}
        sizes |= {"growth": 1, "typical": 1}
        ends = np.cumsum(list(sizes.values()))
        self.places = {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}
        self.size = int(ends[-1])

    @cached_property
    def priors(self) -> tuple[sp.csr_array, np.ndarray]:
        """Rows that are normal with mean 0, linear in the parameters, and the group whose sd each has."""
        identity = sp.identity(self.size, format="lil")
        at = {name: np.arange(place.start, place.stop) for name, place in self.places.items()}
        identity[at["capability"], at["growth"][0]] = -self.years
        identity[at["capability"], at["offset"][self.family]] = -1.0
        identity[at["difficulty"], at["typical"][0]] = -1.0
        pin = sp.lil_array((1, self.size))
        pin[0, at["steepness"]] = np.bincount(self.benchmark) / len(self.benchmark)
        groups = {"steepness": STEEPNESS, "difficulty": DIFFICULTY, "capability": RESIDUAL, "offset": FAMILY}
        labels = [np.full(len(rows), groups.get(name, WIDE)) for name, rows in at.items()]
        return sp.csr_array(sp.vstack([identity, pin])), np.append(np.concatenate(labels), PINNED)

    def start(self) -> np.ndarray:
        """Parameters of models that are all alike, on benchmarks as hard as their mean scores say."""
        mean = np.bincount(self.benchmark, self.score) / np.bincount(self.benchmark)
        parameters = np.zeros(self.size)
        parameters[self.places["difficulty"]] = -logit(np.clip((mean - self.chance) / (1 - self.chance), 0.02, 0.98))
        return parameters

    def curve(self, parameters: np.ndarray) -> tuple[np.ndarray, sp.csr_array]:
        """Expected scores (cell,) and their derivatives (cell, parameter)."""
        steep = np.exp(parameters[self.places["steepness"]])[self.benchmark]
        where = [self.benchmark + self.places[name].start for name in ("steepness", "difficulty")]
        where.append(self.model + self.places["capability"].start)
        logits = steep * (parameters[where[2]] - parameters[where[1]])
        height, share = 1 - self.chance[self.benchmark], expit(logits)
        slope = height * share * (1 - share)
        values = np.concatenate([slope * logits, -slope * steep, slope * steep])
        rows = np.tile(np.arange(len(self.score)), 3)
        jacobian = sp.csr_array((values, (rows, np.concatenate(where))), shape=(len(self.score), self.size))
        return self.chance[self.benchmark] + height * share, jacobian

    def precision(self, parameters: np.ndarray, sd: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Gauss-Newton precision (parameter, parameter)."""
        jacobian, (prior, group) = self.curve(parameters)[1], self.priors
        weighted = jacobian.T @ (jacobian / noise[self.benchmark, None] ** 2)
        return (weighted + prior.T @ (prior / sd[group, None] ** 2)).toarray()

    def solve(self, parameters: np.ndarray, sd: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Parameters of the smallest sum of squares, by Gauss-Newton steps that are halved until they help."""
        prior, group = self.priors
        weight, penalty = noise[self.benchmark] ** -2.0, sd[group] ** -2.0

        def cost(at: np.ndarray) -> float:
            return float(weight @ (self.curve(at)[0] - self.score) ** 2 + penalty @ (prior @ at) ** 2)

        now = cost(parameters)
        for _ in range(_STEPS):
            value, jacobian = self.curve(parameters)
            gradient = jacobian.T @ (weight * (value - self.score)) + prior.T @ (penalty * (prior @ parameters))
            step = cho_solve((cholesky(self.precision(parameters, sd, noise)), False), gradient)
            for share in 0.5 ** np.arange(12):
                if (then := cost(parameters - share * step)) < now:
                    break
            else:
                return parameters
            parameters, gained, now = parameters - share * step, now - then, then
            if gained < 1e-6 * now:
                break
        return parameters

    def learned(self, parameters: np.ndarray, sd: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Next standard deviations, of priors and of noise: one step of expectation-maximisation."""
        precision, (prior, group) = self.precision(parameters, sd, noise), self.priors
        covariance = cho_solve((cholesky(precision), False), np.eye(self.size))
        squares = (prior @ parameters) ** 2 + _quadratic(prior, covariance)
        learned = np.sqrt(np.bincount(group, squares) / np.bincount(group))
        value, jacobian = self.curve(parameters)
        missed = (value - self.score) ** 2 + _quadratic(jacobian, covariance)
        count = np.bincount(self.benchmark)
        pooled = (np.bincount(self.benchmark, missed) + _POOLED * missed.mean()) / (count + _POOLED)
        return np.clip(learned, _LEAST, _MOST), np.maximum(np.sqrt(pooled), _SMALLEST_NOISE)


def _quadratic(rows: sp.csr_array, covariance: np.ndarray) -> np.ndarray:
    """Variance (row,) of linear combinations of the parameters."""
    return np.asarray(rows.multiply(rows @ covariance).sum(axis=1)).ravel()
