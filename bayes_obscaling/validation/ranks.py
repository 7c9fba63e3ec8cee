"""Simulation-based calibration: ranks of true values among posterior draws must be uniform.

If parameters are drawn from the prior and data given them, the rank of a true value among posterior draws is uniform
(Cook, Gelman and Rubin 2006; Talts et al. 2018, theorem 1). This holds for any function of parameters and data (Modrak
et al. 2023): forecasts of what was hidden and the likelihood of what was seen are ranked too. A slip in the density, in
the priors or in the sampler makes some ranks uneven. What is calibrated: `bayes_obscaling.validation.subjects`.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import arviz_stats as azs
import jax
import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from bayes_obscaling.errors import InputError
from bayes_obscaling.files import write_atomically
from bayes_obscaling.inference.cache import content_hash
from bayes_obscaling.inference.sampler import Arrays, Model, Nuts, Sampler, Target
from bayes_obscaling.progress import Progress
from bayes_obscaling.results.stages import Settings
from bayes_obscaling.validation.simulate import Rng, Values

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Posterior draws a true value is ranked among: ranks are 0 ... 99.
DRAWS = 99
# A chain goes on until the smallest effective sample size has reached DRAWS, up to this many rounds.
MOST_ROUNDS = 4
_ABOUT = ("set", "seconds", "rounds", "divergences", "smallest_ess", "unlike")


@dataclass(frozen=True, eq=False)
class Subject:
    """A posterior to calibrate, at fixed shapes.

    Attributes
    ----------
    name : str
        What it is called; names its files.
    model : Model
        A numpyro model of data alone.
    simulate : callable
        Random numbers to ``(truth, data)``: true values by name, and arrays for `model`, all of one shape.
    start : callable
        Data and random numbers to constrained starting values.
    derive : callable
        Posterior draws by site (draws, ...), data and random numbers to further draws: forecasts, likelihoods.
    ranked : tuple of str
        Names to rank, in truth and draws alike.
    settings : Settings
        How it is sampled.
    draws : int
        Draws kept in each round, a multiple of `bayes_obscaling.inference.sampler.CHUNK`.
    belief : str
        Hash of what was believed and laid out: stored ranks of another one are not taken up.
    """

    name: str
    model: Model
    simulate: Callable[[Rng], tuple[Values, Arrays]]
    start: Callable[[Arrays, Rng], Values]
    derive: Callable[[Values, Arrays, Rng], Values]
    ranked: tuple[str, ...]
    settings: Settings
    draws: int
    belief: str = ""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Ranks of true values among posterior draws.

    Attributes
    ----------
    name : str
        What was calibrated.
    ranks : DataFrame (sets, quantities)
        Numbers of posterior draws below the true value, 0 ... `draws`.
    about : DataFrame (sets)
        ``seconds, rounds, divergences, smallest_ess`` of each fit.
    draws : int
        Posterior draws a true value was ranked among.
    """

    name: str
    ranks: pd.DataFrame
    about: pd.DataFrame
    draws: int = DRAWS

    def uniformity(self) -> pd.DataFrame:
        """Say of every quantity whether it is ranked evenly, one row each.

        Returns
        -------
        DataFrame
            Index ``quantity``; ``sets``; ``mean`` rank as a share (1/2 when unbiased); ``spread``, the root
            mean square of ranks around the middle over that of even ones (above 1: posterior too narrow); ``p_chi2``
            of ten bins (Talts et al. 2018); ``p_ecdf``, of the largest departure of the empirical distribution function
            (Saeilynoja, Buerkner and Vehtari 2022): below 0.05, it leaves the simultaneous 95 % envelope.
        """
        n, levels = len(self.ranks), self.draws + 1
        values = self.ranks.to_numpy()
        bins = min(10, levels)
        counts = np.stack([np.bincount(column * bins // levels, minlength=bins) for column in values.T])
        frame = pd.DataFrame(
            {
                "sets": n,
                "mean": (values.mean(axis=0) + 0.5) / levels,
                "spread": np.sqrt(((values - self.draws / 2) ** 2).mean(axis=0) / ((levels**2 - 1) / 12)),
                "p_chi2": stats.chisquare(counts, axis=1).pvalue,
            },
            index=pd.Index(self.ranks.columns, name="quantity"),
        )
        null = _null_extremes(n, levels)
        frame["p_ecdf"] = [(1 + (null <= _extreme(column, levels)).sum()) / (1 + len(null)) for column in values.T]
        return frame

    def converged(self) -> Calibration:
        """Keep the data sets on which every quantity had as many effective draws as it is ranked among.

        Whether a chain mixes depends on the data, and on chance, not on the true values given the data: ranks stay
        uniform. A user is told of the others: their fits FAIL.
        """
        enough = self.about["smallest_ess"] >= self.draws
        return Calibration(self.name, self.ranks[enough], self.about[enough], self.draws)

    def sentences(self) -> list[str]:
        """What the ranks say, with how many sets and how well they were sampled."""
        table, n = self.uniformity(), len(self.ranks)
        m = len(table)
        out, low = int((table["p_ecdf"] < 0.05).sum()), table["p_chi2"].min()
        return [
            f"{self.name}: {n} data sets, {m} quantities ranked among {self.draws} draws.",
            f"{out} quantities ({out / m:.1%}) leave their 95 % envelope; about 5 % would by chance.",
            f"Smallest p-values: {table['p_ecdf'].min():.2g} (ECDF, {table['p_ecdf'].idxmin()}) and {low:.2g} "
            f"(chi-square, {table['p_chi2'].idxmin()}); with {m} quantities, {0.05 / m:.1g} would be one in twenty.",
            f"Mean rank {table['mean'].mean():.3f} (0.5 when unbiased), spread {table['spread'].mean():.3f} "
            "(1 when the posterior is as wide as it should be).",
            f"{(self.about['smallest_ess'] < self.draws).mean():.0%} of fits had a quantity with fewer than "
            f"{self.draws} effective draws; {(self.about['divergences'] > 0).mean():.0%} had divergences; median "
            f"{self.about['seconds'].median():.0f} s a data set.",
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the departures of all quantities; see `bayes_obscaling.validation.plots`."""
        from bayes_obscaling.validation.plots import plot_calibration

        return plot_calibration(self, ax=ax)


# --- ranks ---------------------------------------------------------------------------------------------------------


def rank_values(truth: np.ndarray, draws: np.ndarray, rng: Rng) -> np.ndarray:
    """Rank true values (quantities,), 0 ... draws, among nearly independent draws (draws, quantities).

    Among equal ones (a score of exactly 0, forecast as exactly 0) at random.
    """
    below, same = (draws < truth).sum(axis=0), (draws == truth).sum(axis=0)
    return np.asarray(below + rng.integers(0, same + 1))


def _local_p(counts: np.ndarray, n: int, z: np.ndarray) -> np.ndarray:
    """Two-sided binomial p-value of counts at or below each z."""
    return np.asarray(2 * np.minimum(stats.binom.cdf(counts, n, z), stats.binom.sf(counts - 1, n, z)))


def _extreme(ranks: np.ndarray, levels: int) -> float:
    """Smallest pointwise p-value of an empirical distribution function, over all ranks but the last."""
    counts = np.cumsum(np.bincount(ranks, minlength=levels))[:-1]
    return float(_local_p(counts, len(ranks), np.arange(1, levels) / levels).min())


@lru_cache(maxsize=8)
def _null_extremes(n: int, levels: int, simulations: int = 4000) -> np.ndarray:
    """`_extreme` of `n` even ranks, many times: its null distribution."""
    rng = np.random.default_rng([n, levels])
    counts = rng.multinomial(n, np.full(levels, 1 / levels), size=simulations).cumsum(axis=1)[:, :-1]
    return np.asarray(_local_p(counts, n, np.arange(1, levels) / levels).min(axis=1))


def ecdf_envelope(n: int, levels: int, prob: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Envelope that the whole distribution function of `n` even ranks leaves with probability ``1 - prob``.

    Saeilynoja, Buerkner and Vehtari (2022), algorithm 1: pointwise binomial limits whose level is adjusted, by
    simulation, until they hold at all points at once. `levels` is how many values a rank can take; returned are points
    ``z`` (levels - 1,), and limits of the share of ranks at or below each minus ``z``.
    """
    gamma = np.quantile(_null_extremes(n, levels), 1 - prob)
    z = np.arange(1, levels) / levels
    low, high = stats.binom.ppf(gamma / 2, n, z), stats.binom.ppf(1 - gamma / 2, n, z)
    return z, low / n - z, high / n - z


# --- the loop ------------------------------------------------------------------------------------------------------


def calibrate(
    subject: Subject,
    sets: int,
    folder: Path,
    *,
    seed: int = 0,
    minutes: float = np.inf,
    progress: Progress = None,
    sampler: Sampler | None = None,
) -> Calibration:
    """Fit simulated data sets, one after the other, and rank their true values; goes on where it was stopped.

    Parameters
    ----------
    subject : Subject
        What to calibrate.
    sets : int
        Data sets in all, those already in `folder` included. Set i is the same whatever `sets` is.
    folder : Path
        Where ``ranks-NAME.csv`` is kept: one row a data set, rewritten whole after each.
    seed : int
        Random seed.
    minutes : float
        Begin no further data set after this time.
    progress : callable, optional
        Told ``(name, done, sets)``.
    sampler : Sampler, optional
        Who draws; default NUTS, compiled once for all data sets.

    Raises
    ------
    InputError
        When `folder` holds ranks made with other priors, settings or seed.
    """
    started, path = time.monotonic(), folder / f"ranks-{subject.name}.csv"
    unlike = content_hash(
        [subject.belief, subject.settings.model_dump(), subject.draws, subject.ranked, seed, DRAWS], ()
    )[:8]
    rows = _stored(path, unlike)
    done = {row["set"] for row in rows}
    sampler = sampler or Nuts()
    for i in range(sets):
        if i in done or (time.monotonic() - started) > 60 * minutes:
            continue
        rng = np.random.default_rng([seed, zlib.crc32(subject.name.encode()), i])
        truth, data = subject.simulate(rng)
        rows.append({"set": i, **_fit_one(subject, sampler, truth, data, rng), "unlike": unlike})
        text = pd.DataFrame(rows).sort_values("set").to_csv(index=False).encode()
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
        if progress:
            progress(subject.name, len(rows), sets)
    return _calibration(subject.name, pd.DataFrame(rows).sort_values("set"))


def load_calibration(path: Path) -> Calibration:
    """Read ``ranks-NAME.csv``."""
    return _calibration(path.stem.removeprefix("ranks-"), pd.read_csv(path))


def _calibration(name: str, frame: pd.DataFrame) -> Calibration:
    frame = frame.set_index("set")
    columns = [column for column in _ABOUT if column in frame]
    return Calibration(name, frame.drop(columns=columns), frame[columns])


def _stored(path: Path, unlike: str) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    frame = pd.read_csv(path, dtype={"unlike": str})
    if (frame["unlike"] != unlike).any():
        raise InputError(
            f"{path.name} holds ranks made with other priors, settings or seed: delete it, or name another folder."
        )
    return [dict(row) for row in frame.to_dict("records")]


def _fit_one(subject: Subject, sampler: Sampler, truth: Values, data: Arrays, rng: Rng) -> dict[str, Any]:
    """Sample one data set until its quantities have enough effective draws; rank its true values."""
    started = time.monotonic()
    key, start = jax.random.key(int(rng.integers(2**31))), subject.start(data, rng)
    running = sampler.start(Target(subject.model, data, None, lambda _: start), subject.settings, 1, key)
    positions, divergences, values, ess = [], 0, np.zeros((0, 0)), 0.0
    labels, true = _flatten({name: truth[name][None] for name in subject.ranked})
    for _ in range(MOST_ROUNDS):
        made = running.advance(subject.draws, lambda _: None)
        positions.append(made.position)
        divergences += int(made.diverging.sum())
        sites = running.constrain(np.concatenate(positions, axis=1))
        draws = {name: value[0] for name, value in sites.items()}
        draws |= subject.derive(draws, data, rng)
        values = _flatten({name: draws[name] for name in subject.ranked})[1]
        varies = np.ptp(values, axis=0) > 0  # not an anchor's loading
        ess = float(
            azs.ess(
                xr.DataArray(values[None][..., varies], dims=("chain", "draw", "q")),
                sample_dims=["chain", "draw"],
                method="bulk",
            ).min()
        )
        if ess >= DRAWS:
            break
    kept = values[np.linspace(0, len(values) - 1, DRAWS).round().astype(int)]
    ranks = rank_values(true[0], kept, rng)
    row: dict[str, Any] = {
        "seconds": round(time.monotonic() - started, 1),
        "rounds": len(positions),
        "divergences": divergences,
        "smallest_ess": round(ess),
    }
    return row | {label: int(rank) for label, rank, free in zip(labels, ranks, varies, strict=True) if free}


def _flatten(values: Values) -> tuple[list[str], np.ndarray]:
    """Labels and columns (draws, quantities) of arrays (draws, ...)."""
    labels: list[str] = []
    columns = []
    for name, value in values.items():
        shape = value.shape[1:]
        labels += [f"{name}[{','.join(map(str, at))}]" if at else name for at in np.ndindex(*shape)]
        columns.append(value.reshape(len(value), -1))
    return labels, np.concatenate(columns, axis=1)
