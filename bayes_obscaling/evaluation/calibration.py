"""Simulation-based calibration: parameters from the priors, data from the parameters, and ranks that must be uniform.

If parameters are drawn from the prior and data given them, the rank of a true value among posterior draws is uniform
(Cook, Gelman and Rubin 2006; Talts et al. 2018, theorem 1). This holds for any function of parameters and data (Modrak
et al. 2023): forecasts of what was hidden and the likelihood of what was seen are ranked too. A slip in the density, in
the priors or in the sampler makes some ranks uneven.

What is calibrated, and what a cut posterior allows one to say: three densities are exact posteriors, and are tested.

* ``measurement``: capabilities and benchmarks given benchmark scores, the first stage of the cut;
* ``heads``: the task heads given the true capabilities, the conditional that the second stage samples at every draw;
* ``ladder``: the joint posterior of the ladder.

The cut itself averages the second over the first, ``p(theta | benchmarks) p(heads | theta, tasks)``, which is not the
conditional of any joint density of tasks and benchmarks: theta has not heard of the tasks. Its ranks of head parameters
need not be uniform however right the code is, so they are no test; how far its intervals cover is measured instead, in
`bayes_obscaling.evaluation.coverage`.

The ladder counts losses in units of the smallest loss seen and lets its link bend at losses seen, so its prior looks at
the data. Here these constants stay those of the bundled ladder in every data set, in simulation and in fitting, and
only data sets that go with them are kept (see `_like_a_ladder`): a choice by data alone, which keeps ranks uniform.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import arviz_stats as azs
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from bayes_obscaling.data import ScoreTable, load_base_llms, split_by_flops
from bayes_obscaling.data.ladder import Ladder, load_olmo_ladder
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation import simulate
from bayes_obscaling.evaluation.simulate import Rng, Values
from bayes_obscaling.inference.arrays import Problem, build_problem, heads_start, measurement_start
from bayes_obscaling.inference.cache import content_hash, write_atomically
from bayes_obscaling.inference.convergence import Convergence
from bayes_obscaling.inference.ladder import ladder_start, lay_out
from bayes_obscaling.inference.nuts import Arrays, Chain, Sampler, run_chains
from bayes_obscaling.models.capability import TASK_NOISE_DF, CapabilitySpec, heads, measurement
from bayes_obscaling.models.ladder import (
    CENTRE_PARAMS,
    CENTRE_TOKENS,
    NOISE_DF,
    SMALLEST_ACCURACY_SD,
    SMALLEST_LOSS_SD,
    LadderSpec,
)
from bayes_obscaling.models.ladder import ladder as ladder_density
from bayes_obscaling.results.ladder import LadderFit, ladder_tree
from bayes_obscaling.results.ladder_forecast import Target, World

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Posterior draws a true value is ranked among: ranks are 0 ... 99.
DRAWS = 99
# A chain goes on until the smallest effective sample size has reached DRAWS, up to this many rounds.
MOST_ROUNDS = 4
_CHUNK = 50
_ABOUT = ("set", "seconds", "rounds", "divergences", "smallest_ess", "unlike")
# Cutoff of the simulated task scores: that of the emergent tasks (Ruan et al. 2024).
TASK_CUTOFF = 8.4e22
# Models whose benchmark scores are all hidden, to be forecast from compute: the largest of families of several.
_HIDDEN = 4


@dataclass(frozen=True, eq=False)
class Subject:
    """A posterior to calibrate, at fixed shapes.

    Attributes
    ----------
    name : str
        What it is called; names its files.
    model : callable
        ``model(data, None)``, a numpyro model.
    simulate : callable
        Random numbers to ``(truth, data)``: true values by name, and arrays for `model`, all of one shape.
    start : callable
        Data and random numbers to constrained starting values.
    derive : callable
        Posterior draws by site (draws, ...), data and random numbers to further draws: forecasts, likelihoods.
    ranked : tuple of str
        Names to rank, in truth and draws alike.
    settings : dict
        ``warmup, thin, target_accept, max_depth, dense`` of `Sampler`, and ``draws``, those kept a round.
    belief : str
        Hash of what was believed and laid out: stored ranks of another one are not taken up.
    """

    name: str
    model: Callable[[Arrays, Any], None]
    simulate: Callable[[Rng], tuple[Values, Arrays]]
    start: Callable[[Arrays, Rng], Values]
    derive: Callable[[Values, Arrays, Rng], Values]
    ranked: tuple[str, ...]
    settings: dict[str, Any]
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
        """Draw the departures of all quantities; see `bayes_obscaling.plots.calibration`."""
        from bayes_obscaling.plots.calibration import plot_calibration

        return plot_calibration(self, ax=ax)


# --- ranks ---------------------------------------------------------------------------------------------------------


def rank_values(truth: np.ndarray, draws: np.ndarray, rng: Rng) -> np.ndarray:
    """Rank true values among draws; among equal ones at random.

    Parameters
    ----------
    truth : array (quantities,)
        True values.
    draws : array (draws, quantities)
        Nearly independent posterior draws.
    rng : Generator
        For ties (a score of exactly 0, forecast as exactly 0).

    Returns
    -------
    int array (quantities,)
        0 ... draws.
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
    """Envelope that the whole distribution function of even ranks leaves with probability ``1 - prob``.

    Saeilynoja, Buerkner and Vehtari (2022), algorithm 1: pointwise binomial limits whose level is adjusted, by
    simulation, until they hold at all points at once.

    Parameters
    ----------
    n : int
        Ranks.
    levels : int
        Values that a rank can take.
    prob : float
        Simultaneous coverage.

    Returns
    -------
    z, low, high : array (levels - 1,)
        Points, and limits of the share of ranks at or below each minus ``z``.
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
    progress: Callable[[str, int, int], None] | None = None,
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

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        When `folder` holds ranks made with other priors, settings or seed.
    """
    started, path = time.monotonic(), folder / f"ranks-{subject.name}.csv"
    unlike = content_hash([subject.belief, subject.settings, subject.ranked, seed, DRAWS], ())[:8]
    rows = _stored(path, unlike)
    done = {row["set"] for row in rows}
    sampler = None
    for i in range(sets):
        if i in done or (time.monotonic() - started) > 60 * minutes:
            continue
        rng = np.random.default_rng([seed, zlib.crc32(subject.name.encode()), i])
        truth, data = subject.simulate(rng)
        if sampler is None:
            options = {name: value for name, value in subject.settings.items() if name != "draws"}
            sampler = Sampler(subject.model, data, None, subject.start(data, rng), chunk=_CHUNK, **options)
        rows.append({"set": i, **_fit_one(subject, sampler, truth, data, rng), "unlike": unlike})
        text = pd.DataFrame(rows).sort_values("set").to_csv(index=False).encode()
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, partial(_write, text))
        if progress is not None:
            progress(subject.name, len(rows), sets)
    return _calibration(subject.name, pd.DataFrame(rows).sort_values("set"))


def _write(text: bytes, file: IO[bytes]) -> None:
    file.write(text)


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
    chain = Chain(sampler, jax.random.key(int(rng.integers(2**31))), subject.start(data, rng), data)
    positions, divergences, values, ess = [], 0, np.zeros((0, 0)), 0.0
    labels, true = _flatten({name: truth[name][None] for name in subject.ranked})
    for _ in range(MOST_ROUNDS):
        made = run_chains([chain], [None], subject.settings["draws"], lambda _: None)
        positions.append(made.position[0])
        divergences += int(made.diverging.sum())
        sites = sampler.constrain(jnp.asarray(np.concatenate(positions)), data, None)
        draws = {name: np.asarray(value) for name, value in sites.items()}
        draws |= subject.derive(draws, data, rng)
        values = _flatten({name: draws[name] for name in subject.ranked})[1]
        varies = np.ptp(values, axis=0) > 0  # not an anchor's loading
        ess = float(azs.ess(xr.DataArray(values[None][..., varies], dims=("chain", "draw", "q")),
                            sample_dims=["chain", "draw"], method="bulk").min())  # fmt: skip
        if ess >= DRAWS:
            break
    kept = values[np.linspace(0, len(values) - 1, DRAWS).round().astype(int)]
    ranks = rank_values(true[0], kept, rng)
    row: dict[str, Any] = {
        "seconds": round(time.monotonic() - started, 1), "rounds": len(positions), "divergences": divergences,
        "smallest_ess": round(ess),
    }  # fmt: skip
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


# --- the three subjects --------------------------------------------------------------------------------------------


def bundled_problem() -> Problem:
    """Shapes, families, compute, items and missing scores of the bundled models and tasks.

    Tasks are cut at 8.4e22 FLOPs and read all benchmarks; of the largest models of some families no score is seen.
    """
    table = load_base_llms("paper")
    spec = CapabilitySpec()
    problem = build_problem(
        table, table.task_names[:12], split_by_flops(table, TASK_CUTOFF).held_out, hidden_models(table), spec
    )
    assert problem.task_scores is not None
    everything = problem.measurements[problem.predictor_sets.index(())]
    scores = problem.task_scores._replace(predictors=jnp.zeros(len(problem.tasks), int))
    return Problem(**{**vars(problem), "predictor_sets": ((),), "measurements": (everything,), "task_scores": scores})


def hidden_models(table: ScoreTable) -> list[str]:
    """Name the largest models of the families with three or more models of known compute: the four largest of these."""
    known = table.models[table.models["flops"].notna()]
    several = known.groupby("family").filter(lambda group: len(group) > 2).sort_values("flops")
    return list(several.groupby("family").tail(1).index[-_HIDDEN:])


def measurement_subject(
    problem: Problem | None = None, spec: CapabilitySpec | None = None, settings: dict[str, Any] | None = None
) -> Subject:
    """Return the measurement stage of the capability model, by default at the size of the bundled table.

    Ranked are all population parameters, the hidden scores of the models of which nothing is seen (forecasts from
    compute), the capabilities of a family never seen at 1e24 FLOPs, and the log likelihood.
    """
    spec, problem = spec or CapabilitySpec(), problem or bundled_problem()
    template, layout = problem.measurements[0], problem.layout
    seen = np.asarray(template.seen)
    hidden = np.flatnonzero(~seen.any(axis=1))

    def likelihood(t: Values, p: np.ndarray, score: np.ndarray) -> np.ndarray:
        density = stats.norm.logpdf(score, p, simulate.benchmark_sd(p, t, template))
        return np.asarray(np.where(seen, density, 0.0).sum(axis=(-2, -1)))

    def newcomer(t: Values, rng: Rng) -> np.ndarray:
        unit = rng.standard_normal((3, *t["slope_sd"].shape))
        intercept = t["intercept_mean"] + t["intercept_sd"] * unit[0]
        return np.asarray(intercept + (t["slope_mean"] + t["slope_sd"] * unit[1]) * 1.5 + t["residual_sd"] * unit[2])

    def draw(rng: Rng) -> tuple[Values, Arrays]:
        t = simulate.draw_measurement(template, layout, spec, rng)
        p = simulate.benchmark_curve(t, template)
        score = p + simulate.benchmark_sd(p, t, template) * rng.standard_normal(p.shape)
        t |= {"hidden_score": score[hidden], "log_likelihood": likelihood(t, p, score), "newcomer": newcomer(t, rng)}
        return t, template._replace(score=jnp.asarray(score))

    def derive(draws: Values, data: Arrays, rng: Rng) -> Values:
        p = simulate.benchmark_curve(draws, template)
        sd = simulate.benchmark_sd(p, draws, template)[:, hidden]
        return {
            "hidden_score": p[:, hidden] + sd * rng.standard_normal(sd.shape),
            "log_likelihood": likelihood(draws, p, np.asarray(data.score)),
            "newcomer": newcomer(draws, rng),
        }

    ranked = (
        "intercept_mean", "intercept_sd", "slope_mean", "slope_sd", "residual_sd", "loading", "difficulty",
        "ceiling_gap", "family_offset_sd", "overdispersion", *(("hidden_score",) if len(hidden) else ()), "newcomer",
        "log_likelihood",
    )  # fmt: skip
    return Subject(
        "measurement",
        lambda data, _: (measurement(data, layout, spec), None)[1],
        draw,
        lambda data, rng: measurement_start(data, layout, spec, rng),
        derive,
        ranked,
        settings or {"warmup": 600, "thin": 3, "draws": 300, "target_accept": 0.9, "max_depth": 8},
        content_hash([spec.model_dump(), layout], template),
    )


def heads_subject(
    problem: Problem | None = None, spec: CapabilitySpec | None = None, settings: dict[str, Any] | None = None
) -> Subject:
    """Return the task heads given the true capabilities, by default at the size of the bundled table.

    Capabilities are drawn anew for each data set, from their prior. Ranked are all population parameters of heads and
    their own steepness, difficulty, ceiling and noise, the hidden scores of three models above the cutoff (with the
    noise that heads are fitted with), and the log likelihood.
    """
    spec, problem = spec or CapabilitySpec(), problem or bundled_problem()
    assert problem.task_scores is not None
    template, layout, everyone = problem.task_scores, problem.layout, problem.measurements[0]
    seen = np.asarray(template.seen)
    hidden = np.flatnonzero(~seen.any(axis=0))[-3:]
    n_tasks = len(seen)

    def likelihood(t: Values, p: np.ndarray, score: np.ndarray) -> np.ndarray:
        density = stats.t.logpdf(score, TASK_NOISE_DF, p, simulate.task_sd(p, t, template, spec.fit_sd))
        return np.asarray(np.where(seen, density, 0.0).sum(axis=(-2, -1)))

    def noisy(t: Values, p: np.ndarray, rng: Rng) -> np.ndarray:
        return p + simulate.task_sd(p, t, template, spec.fit_sd) * simulate.task_noise(p.shape, rng)

    def draw(rng: Rng) -> tuple[Values, Arrays]:
        theta = simulate.draw_measurement(everyone, layout, spec, rng)["theta"]
        z = simulate.standardised(theta, problem.reference)
        t = simulate.draw_heads(n_tasks, layout.n_factors, layout.n_families, spec, rng)
        p = simulate.task_curve(t, z, template)
        score = noisy(t, p, rng)
        t |= {"hidden_score": score[:, hidden], "log_likelihood": likelihood(t, p, score)}
        return t, (template._replace(score=jnp.asarray(score)), jnp.asarray(z))

    def derive(draws: Values, data: Arrays, rng: Rng) -> Values:
        p = simulate.task_curve(draws, np.asarray(data[1]), template)
        return {
            "hidden_score": noisy(draws, p, rng)[:, :, hidden],
            "log_likelihood": likelihood(draws, p, np.asarray(data[0].score)),
        }

    ranked = (
        "share_mean", "share_sd", "contrast_sd", "log_steepness_mean", "steepness_sd", "steepness", "task_difficulty",
        "task_family_offset_sd", "task_ceiling_gap", "task_overdispersion",
        *(("hidden_score",) if len(hidden) else ()), "log_likelihood",
    )  # fmt: skip
    return Subject(
        "heads",
        lambda data, _: heads(data[1][None], data[0], layout.n_families, spec),
        draw,
        lambda _, rng: heads_start(n_tasks, layout.n_factors, layout.n_families, rng),
        derive,
        ranked,
        settings or {"warmup": 500, "thin": 3, "draws": 300, "target_accept": 0.9, "max_depth": 8},
        content_hash([spec.model_dump(), layout], (template, everyone, problem.reference)),
    )


def ladder_subject(
    ladder: Ladder | None = None, spec: LadderSpec | None = None, settings: dict[str, Any] | None = None
) -> Subject:
    """Return the ladder, by default that of 16 runs and 8 tasks.

    Ranked are all population parameters and those of each task, the log likelihoods, and loss and accuracy of a target
    twice the largest size, at 100 tokens a parameter, as `World` forecasts them; the target's truth is drawn here.
    """
    spec, ladder = spec or LadderSpec(), ladder or load_olmo_ladder("ladder")
    assert spec.discrepancy and spec.law == "size-and-data" and spec.feature == "task_loss"
    template, _ = lay_out(ladder, spec)
    unit = np.ones(template.loss.shape[1])
    size, tokens = np.asarray(template.log_size), np.asarray(template.log_data)
    target = Target("target", 2 * ladder.sizes[-1], 200 * ladder.sizes[-1])
    at = [np.array([np.log(target.params / CENTRE_PARAMS)]), np.array([np.log(target.tokens / CENTRE_TOKENS)])]
    knots = np.asarray(template.knots)
    # Where World lets the curves bend again: at the end of the ladder, then at the mean distance of those inside.
    beyond, steps = 12, np.arange(12)
    rungs = np.array(ladder.by_rung(size))
    sizes_beyond = np.append(rungs[1:-1], rungs[-1] + np.diff(rungs).mean() * steps)
    knots_beyond = np.append(knots, 1.0 - (knots[:, :1] - 1.0) / knots.shape[1] * steps, axis=1)
    inside = {"size_at": np.asarray(template.size_bends), "data_at": np.asarray(template.ratio_bends)}

    def draw(rng: Rng) -> tuple[Values, Arrays]:
        while True:
            truth, data = draw_any(rng)
            if _like_a_ladder(np.asarray(data.loss), np.asarray(data.accuracy)):
                return truth, data

    def draw_any(rng: Rng) -> tuple[Values, Arrays]:
        t = simulate.draw_ladder(template, spec, rng, beyond)
        bends = inside | {"size": t["size_bend"], "data": t["data_bend"]}
        law = simulate.ladder_law(t, size, tokens, bends)
        centre, log_loss, followed = simulate.draw_runs(t, size, law, rng)
        mean = simulate.ladder_curve(t, np.exp(followed), knots, t["slope_change"])
        accuracy = simulate.draw_accuracy(t, mean, rng)
        shrink = np.exp(-t["size_decay"] * size)[:, None]
        sd = np.sqrt((t["loss_sd"] * shrink) ** 2 + SMALLEST_LOSS_SD**2)
        t["loss_likelihood"] = stats.t.logpdf(log_loss, NOISE_DF, centre, sd).sum()
        sd = np.sqrt((t["accuracy_sd"] * mean * (1 - mean)) ** 2 + SMALLEST_ACCURACY_SD**2)
        t["accuracy_likelihood"] = stats.t.logpdf(accuracy, NOISE_DF, mean, sd).sum()
        # the target
        bends |= {"size_at": sizes_beyond, "size": np.append(t["size_bend"], t["size_bend_beyond"], axis=1)}
        law = simulate.ladder_law(t, at[0], at[1], bends)
        *_, log_target, followed = simulate.draw_runs(t, at[0], law, rng)
        change = np.append(t["slope_change"], t["slope_change_beyond"], axis=1)
        mean = simulate.ladder_curve(t, np.exp(followed), knots_beyond, change)
        t["target_loss"] = np.exp(log_target[0])
        t["target_accuracy"] = np.clip(simulate.draw_accuracy(t, mean, rng)[0], 0.0, 1.0)
        return t, template._replace(loss=jnp.asarray(np.exp(log_loss)), accuracy=jnp.asarray(accuracy))

    def derive(draws: Values, data: Arrays, rng: Rng) -> Values:
        sites = {name: value[None] for name, value in draws.items() if not name.endswith("_raw")}
        seed = {"seed": int(rng.integers(2**31))}
        record = Convergence(rhat=1.0, ess_bulk=1.0, ess_tail=1.0)
        fit = LadderFit(ladder, spec, ladder_tree(ladder, data, unit, sites, {}), record, seed)
        asked = World(fit).ask(target)
        return {
            "target_loss": asked["loss"],
            "target_accuracy": asked["accuracy"],
            "loss_likelihood": draws["log_likelihood_loss"].sum(axis=(1, 2)),
            "accuracy_likelihood": draws["log_likelihood_accuracy"].sum(axis=(1, 2)),
        }

    ranked = (
        "size_exponent_median", "size_exponent_spread", "data_exponent_median", "data_exponent_spread", "bend_shared",
        "size_bend_sd", "size_bend_drift", "data_bend_sd", "data_bend_drift", "size_decay", "run_sd", "loss_sd_median",
        "loss_sd_spread", "accuracy_sd_median", "accuracy_sd_spread", "slope_change_median", "slope_change_spread",
        "coupling", "level", "irreducible_share", "size_share", "size_exponent", "data_exponent", "floor",
        "ceiling_gap", "steepness", "midpoint", "target_loss", "target_accuracy", "loss_likelihood",
        "accuracy_likelihood",
    )  # fmt: skip
    return Subject(
        "ladder",
        lambda data, _: ladder_density(data, spec),
        draw,
        lambda data, rng: ladder_start(data, spec, rng),
        derive,
        ranked,
        settings or {"warmup": 1500, "thin": 2, "draws": 500, "target_accept": 0.8, "max_depth": 9, "dense": True},
        content_hash([spec.model_dump()], template),
    )


def _like_a_ladder(loss: np.ndarray, accuracy: np.ndarray) -> bool:
    """Whether data (runs, tasks) go with the constants of the bundled ladder.

    The smallest loss of a task, in whose units losses are counted, is within a third of 1, losses fall by 10 to 300 %
    of it, accuracies lie in 0..1. A choice by data alone keeps ranks uniform: given the data, parameters still follow
    their posterior.
    """
    least, most = loss.min(axis=0), loss.max(axis=0)
    near = (np.abs(np.log(least)) < np.log(4 / 3)) & (most > 1.1 * least) & (most < 4.0 * least)
    return bool(near.all() and (accuracy > 0).all() and (accuracy < 1).all())


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "measurement": measurement_subject,
    "heads": heads_subject,
    "ladder": ladder_subject,
}
