"""Which models to evaluate on a task under a budget: the published V-optimal families, and a Bayesian design."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, softmax
from sklearn.decomposition import PCA

from bayes_obscaling.analyses.finding import Finding
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.data.table import close_names
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.baselines import fill_scores
from bayes_obscaling.inference.fitting import fit as fit_table
from bayes_obscaling.models.capability import TASK_NOISE_DF, features
from bayes_obscaling.models.links import response, score_variance
from bayes_obscaling.models.priors import LogNormal
from bayes_obscaling.results.fit import Fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The published search: three principal components, at most ten families.
COMPONENTS = 3
MOST_FAMILIES = 10
# Subsets of families beyond which a search by brute force is refused; the published one needs 430 000.
_MOST_SUBSETS = 2_000_000
# As for limits on compute elsewhere: 7e9 must keep a model of exactly 7e9 parameters.
_ROUNDING = 1 + 1e-9
# Draws at which the Bayesian criterion is averaged.
_WORLDS = 400
_HEAD = ("weight", "task_difficulty", "task_family_offset", "task_ceiling_gap", "task_overdispersion")
# An exchange that gains less than this share of the criterion is rounding.
_SMALLEST_GAIN = 1e-9


@dataclass(frozen=True, eq=False)
class Selection(Finding):
    """Models to evaluate; ``table`` has one row a chosen model, ``parts["path"]`` the criterion by number of models.

    Attributes
    ----------
    models : tuple of str
        The chosen models, in the order of the table.
    criterion : str
        What ``parts["path"]`` holds, in words.
    """

    models: tuple[str, ...] = ()
    criterion: str = ""

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the criterion against the number of models; see `bayes_obscaling.plots.subset.plot_selection`."""
        from bayes_obscaling.plots.subset import plot_selection

        return plot_selection(self, ax=ax)


@dataclass(frozen=True)
class NewTask:
    """A task of which no score is known.

    Attributes
    ----------
    name : str
        What it is called.
    chance : float
        Score of a guesser, 0..1.
    n_items : float
        Number of its items; NaN for a score that is not a mean of counted items.
    excludes : tuple of str
        Benchmarks that do not predict it.
    """

    name: str
    chance: float = 0.0
    n_items: float = float("nan")
    excludes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.chance < 1:
            raise InputError(f"{self.name} has chance {self.chance:g}: give a fraction, at least 0 and below 1.")
        if self.n_items < 1:
            raise InputError(f"{self.name} has {self.n_items:g} items: give at least 1, or leave it out.")


def as_new(table: ScoreTable, tasks: str | Iterable[str]) -> tuple[ScoreTable, list[NewTask]]:
    """Forget every score of some tasks, to choose models as if they were new.

    Parameters
    ----------
    table : ScoreTable
        The scores.
    tasks : str or iterable of str
        Tasks of the table.

    Returns
    -------
    table : ScoreTable
        Without those scores.
    tasks : list of NewTask
        What remains known of them.

    Raises
    ------
    InputError
        For an unknown task.
    """
    names, facts, scores = table.resolve_all(tasks), table.benchmarks, table.scores
    forgotten = ScoreTable(table.models, facts, scores[~scores["benchmark"].isin(names)], table.notes)
    known = facts.loc[names, ["chance", "n_items", "excludes"]].itertuples()
    return forgotten, [NewTask(name, chance, items, excludes) for name, chance, items, excludes in known]


def candidates(
    table: ScoreTable,
    *,
    max_size: float | None = None,
    max_flops: float | None = None,
    families: Iterable[str] | None = None,
) -> pd.Index:
    """Models that may be chosen.

    Parameters
    ----------
    table : ScoreTable
        The models.
    max_size : float, optional
        Parameters; larger models, and those of unknown size, may not be chosen.
    max_flops : float, optional
        Training compute in FLOPs; models above it, and those of unknown compute, may not be chosen.
    families : iterable of str, optional
        Only these families.

    Raises
    ------
    InputError
        For a limit that is not positive, an unknown family, or limits that leave nobody.
    """
    models = table.models
    allowed = np.ones(len(models), dtype=bool)
    for column, limit, unit in (("params", max_size, "parameters"), ("flops", max_flops, "FLOPs")):
        if limit is not None:
            if not limit > 0:
                raise InputError(f"The limit of {limit:g} {unit} is not positive: give a number such as 7e9.")
            allowed &= (models[column] <= limit * _ROUNDING).to_numpy()
    if families is not None:
        allowed &= models["family"].isin(_families(models["family"], families)).to_numpy()
    if not allowed.any():
        raise InputError("No model is inside these limits on size, compute and family: widen them.")
    return models.index[allowed]


def _families(known: pd.Series, names: Iterable[str]) -> list[str]:
    """Families by name, in upper or lower case."""
    folded = {family.casefold(): family for family in known}
    found = []
    for name in names:
        if name.strip().casefold() not in folded:
            near = close_names(name, sorted(set(known)))
            hint = f"did you mean {', '.join(near)}?" if near else "'bayes-obscaling models' lists them."
            raise InputError(f"There is no family '{name}' in the table: {hint}")
        found.append(folded[name.strip().casefold()])
    return found


Method = Literal["bayes", "v-optimal"]


def select_models(
    table: ScoreTable,
    task: str | NewTask,
    budget: int,
    *,
    method: Method = "bayes",
    max_size: float | None = None,
    max_flops: float | None = None,
    families: Iterable[str] | None = None,
    include: Iterable[str] = (),
    targets: Iterable[str] | None = None,
    **options: Any,
) -> Selection:
    """Say which models to evaluate on a task, under a budget.

    Parameters
    ----------
    table : ScoreTable
        The scores so far.
    task : str or NewTask
        A task of the table, of which some scores may be known, or one that nobody has measured. A task on which every
        model inside the limits has a score is planned as if it were new: its scores are not read.
    budget : int
        Number of models.
    method : {"bayes", "v-optimal"}
        "bayes": single models, by what they tell about the targets' scores (`bayesian_design`). "v-optimal": whole
        families, by benchmark scores alone, whatever the task (`v_optimal`).
    max_size, max_flops, families
        Limits on the models that may be chosen; see `candidates`.
    include : iterable of str
        Families that "v-optimal" always takes.
    targets : iterable of str, optional
        Models whose scores matter to "bayes". Default: those without a known score that are outside the limits; if
        there are none, all without a known score.
    **options
        Of `bayes_obscaling.fit`: spec, chains, draws, seed, cache, progress.

    Returns
    -------
    Selection

    Raises
    ------
    InputError
        As `candidates`, `bayesian_design` and `v_optimal`, for an unknown method or task, and when nothing was ever
        measured that a new task could be like.
    """
    limits: dict[str, Any] = {"max_size": max_size, "max_flops": max_flops, "families": families}
    if method not in ("bayes", "v-optimal"):
        raise InputError(f"There is no method '{method}': choose bayes or v-optimal.")
    if isinstance(task, str) and table.resolve(task) in table.benchmark_names:
        raise InputError(f"{task} is a benchmark that measures capability: name a task to choose models for.")
    among = candidates(table, **limits)
    if method == "v-optimal":
        if targets is not None:
            raise InputError("V-optimality has no targets: leave them out, or choose by the Bayesian design.")
        return v_optimal(table, budget, among=among, include=include)
    if include:
        raise InputError("Only v-optimal includes families: leave them out, or choose by V-optimality.")
    if budget < 1:
        raise InputError(f"The budget is {budget} models: give at least 1.")
    notes: tuple[str, ...] = ()
    if isinstance(task, str):
        known = table.matrix([task]).iloc[:, 0].notna()
        if known[among].all() or not known.any():
            if known.any():
                notes = (f"Every model inside the limits has a score on {task}: it is planned as if it were new.",)
            table, (task,) = as_new(table, task)
    asked = [task] if isinstance(task, str) else teachers(table)
    fitted = fit_table(table, asked, **options)
    chosen = bayesian_design(fitted, task, budget, among=among, targets=targets)
    return replace(chosen, sentences=(*chosen.sentences, *notes))


def teachers(table: ScoreTable) -> list[str]:
    """Name a task to fit: with it all others that count items are fitted, those that a new one may be like.

    Raises
    ------
    InputError
        If no task of the table has a score.
    """
    measured = [name for name in table.task_names if table.matrix([name])[name].notna().any()]
    counted = [name for name in measured if np.isfinite(table.benchmarks.loc[name, "n_items"])]
    if not measured:
        raise InputError("No task of the table has a score, so nothing says what a new one may be like: add scores.")
    return (counted or measured)[:1]


# --- V-optimal families -----------------------------------------------------------------------------------------------


def v_optimal(
    table: ScoreTable,
    budget: int,
    *,
    among: Iterable[str] | None = None,
    include: Iterable[str] = (),
    components: int = COMPONENTS,
    most_families: int = MOST_FAMILIES,
) -> Selection:
    """Choose whole families by V-optimality, by brute force (Ruan et al. 2024, section 5).

    Maximises ``-trace(X' X (X_S' X_S)^-1)``: the negative mean variance, up to a constant, of a linear regression's
    predictions for all models that may be chosen, when only those of S are observed (V-optimality; Pukelsheim 1993,
    section 9.8).

    Parameters
    ----------
    table : ScoreTable
        The scores; only those on its benchmarks are read.
    budget : int
        Most models to evaluate.
    among : iterable of str, optional
        Models that may be chosen; default all of the table. See `candidates`.
    include : iterable of str
        Families that are always chosen (in the published guide, Llama-2).
    components : int
        Principal components to regress on.
    most_families : int
        Most families to combine.

    Returns
    -------
    Selection
        ``table``: model, family, params, flops. ``parts["path"]``: the best objective by number of models, with its
        families.

    Raises
    ------
    InputError
        For an unknown model or family, a budget below the number of components, or more subsets than 2 million.

    Notes
    -----
    X holds the principal components of the benchmark scores of the models that may be chosen, all benchmarks of the
    table, missing scores imputed as in `bayes_obscaling.evaluation.baselines`: centred, not scaled, no intercept. This
    gives the printed optima of the published code.
    """
    rows = _rows(table, among)
    if not 1 <= components <= min(len(table.benchmark_names), len(rows)):
        raise InputError(f"{components} components of {len(rows)} models cannot be taken: ask for fewer.")
    if budget < components:
        raise InputError(f"{budget} models cannot identify {components} components: raise the budget.")
    if most_families < 1:
        raise InputError(f"At most {most_families} families leave nothing to choose: give at least 1.")
    scores = table.matrix(table.benchmark_names).loc[rows].dropna(axis="columns", how="all").to_numpy()
    filled, scaler, _ = fill_scores(scores)
    x = PCA(components).fit_transform(scaler.inverse_transform(filled))
    family = pd.Categorical(table.models.loc[rows, "family"], ordered=True)
    names = list(family.categories)
    member = np.eye(len(names))[family.codes]
    counts = member.sum(axis=0).astype(int)
    grams = np.einsum("mf,mi,mj->fij", member, x, x)
    fixed = [names.index(name) for name in _families(pd.Series(names), include)]

    sets = family_sets(counts, budget, most_families, fixed)
    sizes = sets @ counts
    keep = sizes >= components
    sets, sizes = sets[keep], sizes[keep]
    if not len(sets):
        raise InputError(f"No combination of families has {components} to {budget} models: raise the budget.")
    objective = _objective(sets, grams, x.T @ x)

    path = []
    for count in sorted(set(sizes)):
        at = np.flatnonzero(sizes == count)
        best = at[objective[at].argmax()]
        path.append((count, objective[best], ", ".join(np.array(names)[sets[best]])))
    best = int(objective.argmax())
    picked = [str(name) for name in np.array(names)[sets[best]]]
    chosen = rows[np.isin(np.asarray(family), picked)]
    sentences = (
        f"{len(chosen)} models of {len(picked)} families out of {len(rows)} models of {len(names)}: "
        f"{', '.join(picked)}. V-optimality objective {objective[best]:.2f}, the best of {len(sets)} combinations.",
    )
    return Selection(
        table=_facts(table, chosen),
        sentences=sentences,
        parts={"path": pd.DataFrame(path, columns=["models", "criterion", "families"])},
        models=tuple(chosen),
        criterion="V-optimality objective (0 is best)",
    )


def _rows(table: ScoreTable, among: Iterable[str] | None) -> pd.Index:
    if among is None:
        return table.models.index
    wanted = {table.resolve_model(name) for name in among}
    return table.models.index[table.models.index.isin(wanted)]


def family_sets(counts: np.ndarray, budget: int, most: int, fixed: list[int]) -> np.ndarray:
    """All sets of families (set, family) bool with at most `budget` models, holding the fixed ones.

    Built breadth first, each set from one smaller by a family of higher index, so that what is over budget is dropped
    with all that would contain it.
    """
    free = np.array([f for f in range(len(counts)) if f not in fixed], dtype=int)
    start = np.zeros((1, len(counts)), dtype=bool)
    start[0, fixed] = True
    if len(fixed) > most or counts[fixed].sum() > budget:
        raise InputError("The families to include are over the budget by themselves: raise it, or include fewer.")
    level, last, found = start, np.array([-1]), [start] if fixed else []
    total = 0
    for _ in range(most - len(fixed)):
        affordable = (level @ counts)[:, None] + counts[free] <= budget
        larger = affordable & (np.arange(len(free)) > last[:, None])
        if (total := total + int(larger.sum())) > _MOST_SUBSETS:
            raise InputError(
                f"There are more than {_MOST_SUBSETS} combinations of {len(counts)} families inside the budget: lower "
                "it, name fewer families, or use the Bayesian design, which has no such limit."
            )
        parent, place = np.nonzero(larger)
        if not len(parent):
            break
        level, last = level[parent].copy(), place
        level[np.arange(len(level)), free[place]] = True
        found.append(level)
    return np.concatenate(found) if found else start[:0]


def _objective(sets: np.ndarray, grams: np.ndarray, everyone: np.ndarray, chunk: int = 200_000) -> np.ndarray:
    """``-trace(G G_S^-1)`` of each set; minus infinity for a set that does not span the components."""
    parts = []
    for first in range(0, len(sets), chunk):
        gram = np.tensordot(sets[first : first + chunk].astype(float), grams, axes=1)
        value = np.full(len(gram), -np.inf)
        spans = np.linalg.cond(gram) < 1e12
        value[spans] = -np.einsum("sij,ji->s", np.linalg.inv(gram[spans]), everyone)
        parts.append(value)
    return np.concatenate(parts)


def _facts(table: ScoreTable, models: Iterable[str]) -> pd.DataFrame:
    return table.models.loc[list(models), ["family", "params", "flops"]].reset_index()


# --- Bayesian design --------------------------------------------------------------------------------------------------


def bayesian_design(
    fit: Fit,
    task: str | NewTask,
    budget: int,
    *,
    among: Iterable[str] | None = None,
    targets: Iterable[str] | None = None,
) -> Selection:
    """Choose the models whose scores would tell most about the scores of other models.

    Minimises the variance of the targets' expected scores that is expected to be left after the chosen models were
    evaluated, averaged over targets.

    Parameters
    ----------
    fit : Fit
        Fit of the table. For a task that it holds, the scores it has seen count as known; a `NewTask` reads a curve
        drawn from the population of the fit's tasks.
    task : str or NewTask
        What is to be evaluated.
    budget : int
        Number of models to choose; all that may be chosen if there are no more.
    among : iterable of str, optional
        Models that may be chosen (see `candidates`); default all. Those whose score was seen are left out.
    targets : iterable of str, optional
        Models whose scores matter. Default: those without a seen score that may not be chosen; if there are none, all
        without a seen score.

    Returns
    -------
    Selection
        ``table``: the models in the order to evaluate them, with ``target_sd``: the root mean square over targets of
        the expected standard deviation of the expected score (score units, noise of an evaluation apart) once this
        model and those above it are evaluated. ``parts["path"]``: the same by number of models, from 0.
        ``parts["targets"]``: each target before and after.

    Raises
    ------
    InputError
        For an unknown task or model, a benchmark instead of a task, a budget below 1, nobody to choose or no target.

    Notes
    -----
    The linear predictors ``eta`` of all models (logits) have the covariance K of their joint posterior draws. At each
    of 400 of these draws the score curve is linear in eta with slope g, and an evaluation has noise of variance N, that
    of the fit's likelihood; there, observing the set S leaves the targets T the variance

    ``B_TT - B_TS (B_SS + N_S)^-1 B_ST``, ``B = g K g'``,

    that of a normal posterior. The criterion averages it over these draws, the worlds that may be true. This is the
    pseudo-Bayesian criterion of [1]_ (section 4) in its V-optimal form: a model at the floor in most worlds tells
    little, one where curves are steep tells much. Two other ways were weighed. Bayes linear adjustment of scores, one
    linear forecast for all worlds [2]_, is an upper bound of the expected variance, but for a new task a loose one:
    it stops falling after a few models, because no linear forecast serves easy and hard tasks alike. Reweighting draws
    by simulated outcomes is exact in the limit, but its weights collapse: after 12 models 100 000 draws are worth
    about 10. For few models it tells how good the criterion is (`benchmarks/subset_selection.py --check`): on a task
    with known scores they agree; on a new one the criterion runs high while little is known, a local slope being no
    guide to a wide curve, but the sets that it prefers are better by that measure too.

    The set is built greedily, then improved by exchanging one model at a time until no exchange helps [3]_; variance
    reduction is not submodular, so greedy choice alone has no guarantee.

    References
    ----------
    .. [1] Chaloner and Verdinelli (1995), Bayesian experimental design: a review, Statistical Science 10, 273-304.
    .. [2] Goldstein and Wooff (2007), Bayes linear statistics, section 3.1.
    .. [3] Fedorov (1972), Theory of optimal experiments, chapter 3.
    """
    name = task.name if isinstance(task, NewTask) else _task_of(fit, task)
    if budget < 1:
        raise InputError(f"The budget is {budget} models: give at least 1.")
    models, table = pd.Index(fit.draws["model"].to_numpy()), fit.table
    unseen = np.ones(len(models), dtype=bool)
    if not isinstance(task, NewTask):
        unseen = fit.posterior["observed_data"]["task_score"].sel(task=name).isnull().to_numpy()
    may = models.isin(_rows(table, among)) & unseen
    if not may.any():
        raise InputError(
            f"Every model that may be chosen has a score on {name} already: widen the limits, or plan it as a new task."
        )
    if targets is not None:
        aim = models.isin(_rows(table, targets))
    else:
        aim = unseen & ~may if (unseen & ~may).any() else unseen
    if not aim.any():
        raise InputError("No target was named: name the models whose scores matter, or leave targets out.")

    curves = task_curves(fit, task)
    worlds = np.linspace(0, len(curves.eta) - 1, min(_WORLDS, len(curves.eta))).astype(int)
    slope, noise = curves.slope[worlds], curves.noise[worlds]
    covariance = slope[:, :, None] * np.cov(curves.eta, rowvar=False) * slope[:, None, :]
    chosen = choose(covariance, noise, np.flatnonzero(may), np.flatnonzero(aim), budget)
    before = curves.score[:, aim].var(axis=0)
    # An average of posterior variances cannot exceed the prior one; the local approximation can.
    after = [np.minimum(_left(covariance, noise, chosen[: n + 1])[aim], before) for n in range(len(chosen))]
    steps = [before, *after]
    path = np.sqrt([step.mean() for step in steps])

    facts = _facts(table, models[chosen])
    facts.insert(0, "order", np.arange(1, len(chosen) + 1))
    facts["target_sd"] = path[1:]
    aims = _facts(table, models[aim]).assign(sd_before=np.sqrt(before), sd_after=np.sqrt(steps[-1]))
    sentences = (
        f"{len(chosen)} of {may.sum()} models for {name}, for the sake of {aim.sum()} targets: the standard deviation "
        f"of their expected scores is to fall from {path[0]:.3f} to {path[-1]:.3f} (root mean square).",
        f"Evaluate first: {', '.join(models[chosen[:3]])}.",
    )
    return Selection(
        table=facts,
        sentences=sentences,
        problems=fit.problems,
        parts={"path": pd.DataFrame({"models": np.arange(len(path)), "criterion": path}), "targets": aims},
        models=tuple(models[chosen]),
        criterion="sd of the targets' expected scores",
    )


def choose(
    covariance: np.ndarray, noise: np.ndarray, candidates: np.ndarray, targets: np.ndarray, budget: int
) -> np.ndarray:
    """Greedy choice, with exchange, of the observations that leave least variance in the targets.

    Parameters
    ----------
    covariance : array (W, M, M)
        Of the quantities that may be observed or asked about, in each of W equally likely worlds.
    noise : array (W, M)
        Variance of an observation around its quantity.
    candidates, targets : arrays of int
        Positions that may be observed, and that matter.
    budget : int
        Most observations.

    Returns
    -------
    array of int
        Positions, in greedy order; all candidates if the budget allows.
    """
    count = min(budget, len(candidates))

    def left(chosen: np.ndarray) -> float:
        return float(_left(covariance, noise, chosen)[targets].mean())

    def best(rest: np.ndarray, chosen: np.ndarray) -> np.intp:
        """The candidate that takes most from the targets, given those chosen."""
        adjusted = _adjusted(covariance, noise, chosen)
        shared = (adjusted[:, targets][:, :, rest] ** 2).mean(axis=1)
        gains = shared / (np.diagonal(adjusted, axis1=1, axis2=2) + noise)[:, rest]
        return rest[gains.mean(axis=0).argmax()]

    def greedy(among: np.ndarray) -> np.ndarray:
        chosen = np.empty(0, dtype=int)
        for _ in range(count):
            chosen = np.append(chosen, best(np.setdiff1d(among, chosen), chosen))
        return chosen

    chosen = greedy(candidates)
    place = 0
    while place < count and count < len(candidates):
        others = np.delete(chosen, place)
        trial = np.insert(others, place, best(np.setdiff1d(candidates, others), others))
        if left(trial) < left(chosen) * (1 - _SMALLEST_GAIN):
            chosen, place = trial, 0
        else:
            place += 1
    return greedy(chosen)


def _adjusted(covariance: np.ndarray, noise: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Covariance (W, M, M) left after observing some quantities with noise."""
    observed = covariance[:, chosen][:, :, chosen] + noise[:, chosen, None] * np.eye(len(chosen))
    shared = covariance[:, :, chosen]
    return np.asarray(covariance - shared @ np.linalg.solve(observed, shared.transpose(0, 2, 1)))


def _left(covariance: np.ndarray, noise: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Variance (M,) left after observing some quantities, averaged over worlds."""
    return np.asarray(np.diagonal(_adjusted(covariance, noise, chosen), axis1=1, axis2=2).mean(axis=0))


class Curves(NamedTuple):
    """Draws (S, M) of what a task asks of every model."""

    eta: np.ndarray  # linear predictor, logits
    score: np.ndarray  # expected score, 0..1
    slope: np.ndarray  # of the expected score in eta
    noise: np.ndarray  # variance of an evaluation, squared score units


def task_curves(fit: Fit, task: str | NewTask) -> Curves:
    """Draws of every model's place on the curve of a task.

    Parameters
    ----------
    fit : Fit
        The fit.
    task : str or NewTask
        A task that the fit holds, or a new one, whose head is drawn from the population of the fit's heads and, where
        nothing is pooled (difficulty, family offsets, ceiling, overdispersion), from its prior.

    Returns
    -------
    Curves
        All draws of the fit by its models.

    Raises
    ------
    InputError
        For an unknown task, a benchmark, or a fit without task heads.
    """
    draws, table, observed = fit.draws, fit.table, fit.posterior["observed_data"]
    models = draws["model"].to_numpy()
    if isinstance(task, NewTask):
        if "share_mean" not in draws:
            raise InputError("The fit holds no task that a new one could be like: fit with a task.")
        head = _new_head(fit, task)
        chance, counts = task.chance, np.full(len(models), task.n_items)
        label = f"without {', '.join(task.excludes)}" if task.excludes else "all"
    else:
        name = _task_of(fit, task)
        head = {part: draws[part].sel(task=name).to_numpy() for part in _HEAD}
        chance = float(table.benchmarks.loc[name, "chance"])
        counts = table.item_counts([name]).loc[models, name].to_numpy()
        label = str(observed["task_predictors"].sel(task=name).item())
    sets = list(draws["predictors"].to_numpy())
    theta = draws["theta"].isel(predictors=sets.index(label) if label in sets else 0).to_numpy()
    z = np.asarray(features(theta, observed["reference"].to_numpy()))
    family = pd.Index(draws["family"].to_numpy()).get_indexer(table.models.loc[models, "family"])
    eta = np.einsum("cdmk,cdk->cdm", z, head["weight"]) + head["task_family_offset"][..., family]
    eta += head["task_difficulty"][..., None]
    gap = head["task_ceiling_gap"][..., None]
    score = np.asarray(response(eta, chance, gap))
    inverse = np.where(np.isfinite(counts), 1 / counts, 0.0)
    noise = score_variance(score, inverse, head["task_overdispersion"][..., None], fit.spec.fit_sd)
    arrays = (
        eta, score, (1 - chance) * (1 - gap) * expit(eta) * expit(-eta),
        np.asarray(noise) * TASK_NOISE_DF / (TASK_NOISE_DF - 2),
    )  # fmt: skip
    return Curves(*(array.reshape(-1, len(models)) for array in arrays))


def _new_head(fit: Fit, task: NewTask) -> dict[str, np.ndarray]:
    """Head of a task never seen, one a draw of the population (see `bayes_obscaling.models.capability.heads`)."""
    draws, priors = fit.draws, fit.spec.priors
    digest = hashlib.sha256(f"new task|{task.name}".encode()).digest()
    rng = np.random.default_rng([fit.provenance["seed"], int.from_bytes(digest[:8], "little")])
    mean, sd, contrast_sd, steepness, steepness_sd = (
        draws[name].to_numpy()
        for name in ("share_mean", "share_sd", "contrast_sd", "log_steepness_mean", "steepness_sd")
    )

    def unit(*more: int) -> np.ndarray:
        return rng.standard_normal((*sd.shape, *more))

    def lognormal(prior: LogNormal) -> np.ndarray:
        return np.asarray(prior.median * np.exp(prior.log_sd * unit()))

    factors = draws.sizes["factor"]
    share = softmax(mean + sd[..., None] * unit(factors), axis=-1) + contrast_sd[..., None] * unit(factors)
    difficulty = priors.task_difficulty
    return {
        "weight": np.exp(steepness + steepness_sd * unit())[..., None] * share,
        "task_difficulty": difficulty.loc + difficulty.scale * unit(),
        "task_family_offset": lognormal(priors.task_family_offset_sd)[..., None] * unit(draws.sizes["family"]),
        "task_ceiling_gap": np.abs(priors.task_ceiling_gap.scale * unit()),
        "task_overdispersion": lognormal(priors.task_overdispersion),
    }


def _task_of(fit: Fit, task: str) -> str:
    name = fit.table.resolve(task)
    if name in fit.table.benchmark_names:
        raise InputError(f"{name} is a benchmark that measures capability: name a task to choose models for.")
    if "task" not in fit.draws.coords or name not in fit.draws["task"].to_numpy():
        raise InputError(f"The fit does not hold {name}: fit again with it.")
    return name
