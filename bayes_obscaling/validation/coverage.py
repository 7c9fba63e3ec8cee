"""How far intervals cover when the truth is known, and when it breaks an assumption; recovery of parameters.

Truths are posterior draws of a fit to the bundled models, so that simulated tables look like the real one (models,
families, compute, missing scores, items). Each is fitted and forecast as a user does it: by the cut posterior, tasks
cut at 8.4e22 FLOPs, and the largest models of some families forecast from compute alone.

The truths differ from what fits assume in one way: task scores scatter around their curve as a forecast says a new
evaluation does (`predictive_sd`), not with the wider tolerance that curves are fitted with (`fit_sd`).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayes_obscaling.data import ScoreTable, load_base_llms
from bayes_obscaling.evaluation.scoring import score_draws, score_table
from bayes_obscaling.inference.fit import bound_heads, bound_measurement, fit_table
from bayes_obscaling.models.layout import lay_out
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.models.trace import sites_of, with_priors
from bayes_obscaling.progress import Progress
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.validation import simulate
from bayes_obscaling.validation.kept import KeptTables
from bayes_obscaling.validation.simulate import Rng, Values
from bayes_obscaling.validation.subjects import validation_split

CONDITIONS = {
    "as assumed": "nothing is broken",
    "kink": "in the families forecast from compute, capability rises half as fast above the family's median compute",
    "contaminated": "all scores of one family on GSM8K are 0.2 too high",
    "drift stops": "families released after the middle one are no more efficient for it",
    "family jumps": "models forecast from compute are a decade of compute better than their family's line",
    "logistic curve": "benchmarks level off as the logistic function does",
    "heavy tails": "scores scatter as Student t with 2.5 degrees of freedom, of the same scale",
}
_HEAVY_DF = 2.5
_JUMP = 1.0  # decades


def bundled_table() -> ScoreTable:
    """Bundled models, benchmarks and tasks that count items, every task reading all benchmarks (one set of factors)."""
    table = load_base_llms("paper")
    facts = table.benchmarks
    keep = facts.index[(facts["role"] == "benchmark") | facts["n_items"].notna()]
    scores = table.scores
    return ScoreTable(table.models, facts.loc[keep].assign(excludes=""), scores[scores["benchmark"].isin(keep)])


@dataclass(frozen=True, eq=False)
class Simulated(simulate.Simulation):
    """A table drawn from known parameters, some of whose families may break an assumption.

    Attributes
    ----------
    affected : tuple of str
        Families whose data break the assumption; all of them where all do.
    """

    affected: tuple[str, ...]


def simulate_table(source: CapabilityFit, condition: str, rng: Rng) -> Simulated:
    """Draw a table under one of `CONDITIONS`, from one posterior draw of a fit to `bundled_table`."""
    table, spec = source.table, source.spec
    layout = lay_out(table, table.task_names, validation_split(table), spec)
    data, tasks = layout.measurements[0], layout.task_scores
    assert tasks is not None
    chosen = source.draws.isel(
        chain=rng.integers(source.draws.sizes["chain"]), draw=rng.integers(source.draws.sizes["draw"]), predictors=0
    )
    t = {str(name): np.array(value.to_numpy()) for name, value in chosen.items()}
    family = np.asarray(data.family)
    affected = np.arange(len(layout.families))
    if condition == "kink":
        affected = np.unique(family[~np.asarray(data.seen).any(axis=1)])
        for f in affected:
            rows = family == f
            beyond = np.maximum(t["compute"][rows] - np.median(t["compute"][rows]), 0.0)
            t["theta"][rows] -= 0.5 * t["slope"][f] * beyond[:, None]
    hidden_rows = ~np.asarray(data.seen).any(axis=1)
    if condition == "drift stops":
        date = np.asarray(data.covariates.date)
        late = np.maximum(date - np.median(date), 0.0)
        affected = np.unique(family[late > 0])
        t["theta"] -= t["slope_mean"] * t["drift"] * late[:, None]
    if condition == "family jumps":
        affected = np.unique(family[hidden_rows])
        t["theta"][hidden_rows] += _JUMP * t["slope"][family[hidden_rows]]
    if condition == "logistic curve":
        t["asymmetry"] = np.ones_like(t["asymmetry"])
    p = simulate.benchmark_curve(t, data)
    q = simulate.task_curve(t, simulate.standardised(t["theta"], layout.reference), tasks)
    heavy = condition == "heavy tails"
    noise = simulate.task_noise(p.shape, rng, _HEAVY_DF) if heavy else rng.standard_normal(p.shape)
    score = p + simulate.benchmark_sd(p, t, data) * noise
    noise = simulate.task_noise(q.shape, rng, _HEAVY_DF) if heavy else simulate.task_noise(q.shape, rng)
    task = q + simulate.task_sd(q, t, tasks, spec.predictive_sd) * noise
    if condition == "contaminated":
        unseen_tasks = ~np.asarray(tasks.seen).any(axis=1)
        affected = np.array([np.bincount(family[unseen_tasks]).argmax()])
        score[family == affected[0], layout.benchmarks.index("GSM8K")] += 0.2
    drawn = simulate.simulation_of(table, layout, t, np.hstack([p, q]), np.hstack([score, task]))
    return Simulated(**vars(drawn), affected=tuple(layout.families[f] for f in affected))


def judge(simulated: Simulated, spec: CapabilitySpec, seed: int, **options: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit a simulated table, forecast what is hidden, and compare with the truth; `options` are those of `fit`.

    Returns
    -------
    cells : DataFrame
        One row a hidden score: ``model, family, task, basis`` ("benchmarks": a task score above the cutoff;
        "compute": a benchmark score of a model of which none is seen), ``affected``, ``observed`` and the columns of
        `score_draws`.
    parameters : DataFrame
        One row a parameter: ``name``, ``truth``, ``low, high`` of the 90 % interval; for effects of families on slope
        and intercept (``name`` "slope effect", "intercept effect") also ``models``, how many the family has, and
        ``sd``, the posterior spread in units of the population's: 1 when the family's own models teach nothing.
    """
    table = simulated.table
    split = validation_split(table)
    hidden = list(split.hidden)
    result = fit_table(table, table.task_names, split=split, spec=spec, seed=seed, **options)
    wide = table.matrix([*table.benchmark_names, *table.task_names])
    parts = []
    for models, tasks, basis in (
        ([m for m in split.held_out if m not in hidden], table.task_names, "benchmarks"),
        (hidden, table.benchmark_names, "compute"),
    ):
        asked = forecast(result, models, tasks=tasks)
        draws = asked.draws.stack(sample=("chain", "draw"), cell=("scenario", "task")).transpose("cell", "sample")
        observed = wide.loc[list(models), list(tasks)].to_numpy().ravel()
        keep = np.isfinite(observed)
        frame = score_draws(draws.to_numpy()[keep], observed[keep]).assign(observed=observed[keep], basis=basis)
        frame[["model", "family", "task"]] = asked.about.loc[keep, ["model", "family", "task"]].to_numpy()
        parts.append(frame)
    cells = pd.concat(parts, ignore_index=True)
    return cells.assign(affected=cells["family"].isin(simulated.affected)), _parameters(result, simulated.truth)


def _parameters(result: CapabilityFit, truth: Values) -> pd.DataFrame:
    layout, priors, fit_sd = result.layout, result.spec.priors, result.spec.fit_sd
    sites = sites_of(bound_measurement, (layout.measurements[0], priors), None, layout.structure)
    z = np.zeros((1, layout.structure.n_models, layout.structure.n_factors))
    sites |= sites_of(bound_heads, (layout.task_scores, priors, fit_sd), z, layout.structure)
    draws = result.draws.isel(predictors=0).stack(sample=("chain", "draw")).transpose("sample", ...)
    rows = []
    for name in (*with_priors(sites), "steepness"):
        value = draws[name].to_numpy().reshape(draws.sizes["sample"], -1)
        low, high = np.quantile(value, (0.05, 0.95), axis=0)
        for true, bottom, top in zip(truth[name].ravel(), low, high, strict=True):
            if top > bottom:  # not an anchor's loading
                rows.append({"name": name, "truth": true, "low": bottom, "high": top})
    counts = result.table.models["family"].value_counts()
    for what in ("intercept", "slope"):
        effect = (draws[what] - draws[f"{what}_mean"]).transpose("sample", "family", "factor").to_numpy()
        effect = effect / draws[f"{what}_sd"].to_numpy()[:, None]
        true = (truth[what] - truth[f"{what}_mean"]) / truth[f"{what}_sd"]
        low, high = np.quantile(effect, (0.05, 0.95), axis=0)
        for f, family in enumerate(draws["family"].to_numpy()):
            for k in range(true.shape[1]):
                rows.append(
                    {
                        "name": f"{what} effect",
                        "truth": true[f, k],
                        "low": low[f, k],
                        "high": high[f, k],
                        "models": counts[family],
                        "sd": effect[:, f, k].std(),
                    }
                )
    return pd.DataFrame(rows)


def run_coverage(
    folder: Path,
    sets: int,
    *,
    spec: CapabilitySpec | None = None,
    chains: int = 2,
    draws: int = 200,
    seed: int = 0,
    cache: Path | None = None,
    minutes: float = np.inf,
    progress: Progress = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate, fit and judge `sets` tables under each condition; goes on where it was stopped.

    Parameters
    ----------
    folder : Path
        Where one file a table is kept.
    sets : int
        Tables under each condition; table i has the same truth under all of them.
    spec, chains, draws, seed, cache
        As in `fit`.
    minutes : float
        Begin no further fit after this time.
    progress : callable, optional
        Told ``(condition, done, sets)``.

    Returns
    -------
    cells, parameters : DataFrame
        As in `judge`, with ``condition`` and ``set``.
    """
    spec, kept = spec or CapabilitySpec(), KeptTables(folder, minutes)
    options: dict[str, Any] = {"chains": chains, "draws": draws, "cache": cache}

    @functools.cache
    def source() -> CapabilityFit:
        table = bundled_table()
        return fit_table(table, table.task_names, spec=spec, seed=seed, **options)

    cells: list[pd.DataFrame] = []
    parameters: list[pd.DataFrame] = []
    for i in range(sets):  # one table of each, then the next: stopped early, all conditions have as many
        for condition in CONDITIONS:

            def make(condition: str = condition, i: int = i) -> tuple[pd.DataFrame, pd.DataFrame]:
                simulated = simulate_table(source(), condition, np.random.default_rng([seed, 7, i]))
                return judge(simulated, spec, seed + i, **options)

            made = kept.get([f"{what}-{condition.replace(' ', '-')}-{i}" for what in ("cells", "parameters")], make)
            if made is None:
                continue
            for frame, frames in zip(made, (cells, parameters), strict=True):
                frames.append(frame.assign(condition=condition, set=i))
            if progress:
                progress(condition, i + 1, sets)
    return pd.concat(cells, ignore_index=True), pd.concat(parameters, ignore_index=True)


def coverage_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Coverage, error and CRPS by condition, basis, and whether the model's family breaks the assumption."""
    columns = ["condition", "basis", "affected", "n", "mae", "crps", "coverage_50", "coverage_80", "coverage_90"]
    return score_table(cells, ["condition", "basis", "affected"])[columns]


def recovery_table(parameters: pd.DataFrame) -> pd.DataFrame:
    """Share of 90 % intervals that hold the truth, by parameter and over all; only tables that break nothing."""
    good = parameters[parameters["condition"] == "as assumed"]
    inside = good["truth"].between(good["low"], good["high"]).rename("coverage_90")
    by = inside.groupby(good["name"], sort=False).agg(["size", "mean"])
    by.loc["all"] = [len(inside), inside.mean()]
    return by.set_axis(["n", "coverage_90"], axis=1).rename_axis("parameter").reset_index()


def shrinkage_table(parameters: pd.DataFrame) -> pd.DataFrame:
    """Posterior spread of family effects in units of the population's, by effect and number of models (1, 2-4, 5+)."""
    effects = parameters[parameters["models"].notna() & (parameters["condition"] == "as assumed")]
    size = pd.cut(effects["models"], [0, 1, 4, np.inf], labels=["1", "2-4", "5+"]).rename("models")
    inside = effects["truth"].between(effects["low"], effects["high"])
    middle = ((effects["low"] + effects["high"]) / 2).abs()
    frame = pd.DataFrame({"n": 1, "sd": effects["sd"], "distance": middle, "coverage_90": inside})
    grouped = frame.groupby([effects["name"], size], observed=True)
    return grouped.mean().assign(n=grouped["n"].sum()).reset_index()
