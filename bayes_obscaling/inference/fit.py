"""Fitting a table: sample the capabilities once per predictor set, then the task heads along their draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.data.splits import Hides
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.cache import content_hash, open_cache
from bayes_obscaling.inference.kept import kept_or_made
from bayes_obscaling.inference.limits import check_sampling
from bayes_obscaling.inference.run import VERSIONS, Sampled, Values, describe_run, sample, whole_chunks
from bayes_obscaling.inference.sampler import Model, Sampler, Target, default_sampler
from bayes_obscaling.inference.starts import from_anchors, of_heads
from bayes_obscaling.models import capability as model
from bayes_obscaling.models import capability_equations as equations
from bayes_obscaling.models.capability_equations import TaskScores
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.spec import CapabilitySpec, Structure, spec_for
from bayes_obscaling.models.trace import Site, sites_of, start_near_priors
from bayes_obscaling.progress import Progress, Tell, silent
from bayes_obscaling.results.chance import chance_notes, inferred_chance
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.stages import Stage


def bound_measurement(fixed: Any, _: Any, structure: Structure) -> None:
    """`measurement` as samplers call it; `fixed` are its data and priors."""
    data, priors = fixed
    model.measurement(data, priors, structure)


def bound_heads(fixed: Any, moving: jax.Array, structure: Structure) -> None:
    """`heads` as samplers call it; `fixed` are the task scores, priors and `fit_sd`, `moving` the capabilities."""
    scores, priors, fit_sd = fixed
    model.heads(moving, scores, priors, fit_sd, structure)


def _joint(fixed: Any, _: Any, structure: Structure) -> None:
    data, scores, reference, priors, fit_sd = fixed
    model.joint(data, scores, reference, priors, fit_sd, structure)


def fit_table(
    table: ScoreTable,
    tasks: str | Sequence[str],
    *,
    cutoff: float | None = None,
    as_of: str | None = None,
    from_compute: bool | Sequence[str] = False,
    split: Split | None = None,
    spec: CapabilitySpec | None = None,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress = None,
    sampler: Sampler | None = None,
) -> CapabilityFit:
    """Return the fit of the capability model to a table.

    Parameters
    ----------
    table : ScoreTable
        Scores of models on benchmarks and tasks.
    tasks : str or sequence of str
        Tasks, or standard benchmarks, to forecast. All tasks of the table that have visible scores are fitted along
        with the asked ones, cut at the same place: they teach each other.
    cutoff : float, optional
        FLOPs: short for ``split=Split.by_flops(table, cutoff)``. Scores of the asked tasks (and of those fitted along)
        are seen only for models at or below it; models of unknown compute count as above. Default: every score is seen.
    as_of : str, optional
        A date instead: short for ``split=Split.by_date(table, as_of)``.
    from_compute : bool or sequence of str
        True: short for a split that hides every score of the held-out models, so that they are forecast from family and
        FLOPs alone. A sequence of models: of these alone.
    split : Split, optional
        Any other way to hold models out, instead of `cutoff`, `as_of` and `from_compute`.
    spec : CapabilitySpec, optional
        What is believed; default ``CapabilitySpec()``, for a sparse table ``CapabilitySpec.frontier()``.
    chains, draws : int
        Chains, and draws kept of each; `draws` is rounded up to a multiple of 50.
    seed : int
        Random seed. Same seed, machine and versions give the same draws.
    cache : path, optional
        Folder in which measurement draws and compiled programs are kept; default none.
    progress : callable or False, optional
        Told ``(label, done, total)`` as draws are made.
    sampler : Sampler, optional
        Who draws, and with which settings; default NUTS as chosen for the bundled tables.

    Raises
    ------
    InputError
        For an unknown task, a cutoff or date before every model, nothing to learn from, chains, draws or a seed out of
        range.
    """
    started = time.monotonic()
    spec = spec or spec_for(table)
    check_sampling(chains, draws, seed)
    names = table.resolve_all(tasks)
    if not names:
        raise InputError("No task was named: name one, such as word_unscrambling.")
    split = split_of(table, cutoff, as_of, from_compute, split)
    layout = lay_out(table, names, split, spec)
    folder, tell = open_cache(cache), progress or silent
    run = Run(layout, spec, sampler or default_sampler(), chains, whole_chunks(draws), seed, folder, tell)
    tree = run.tree()
    return CapabilityFit(
        table=table,
        spec=spec,
        tasks=tuple(names),
        split=split,
        tree=tree,
        stages=tuple(run.stages),
        provenance=describe_run(started, table.data_hash, seed),
        notes=table.notes + layout.notes + chance_notes(inferred_chance(tree["posterior"].to_dataset(), layout)),
    )


def sample_capabilities(
    table: ScoreTable,
    tasks: Sequence[str],
    *,
    spec: CapabilitySpec,
    chains: int,
    draws: int,
    seed: int,
    cache: Path | str,
    progress: Progress = None,
) -> None:
    """Sample into `cache` what all cutoffs share: the capabilities behind some tasks, with every benchmark seen.

    Parameters and errors as in `fit_table`. A joint posterior shares nothing.
    """
    if spec.posterior == "joint":
        return
    folder = open_cache(cache)
    layout = lay_out(table, list(tasks), Split.all_seen(), spec)
    draws = whole_chunks(draws)
    run = Run(layout, spec, default_sampler(), chains, draws, seed, folder, progress or silent)
    for index in range(len(layout.predictor_sets)):
        run.measurement(index)


def split_of(
    table: ScoreTable,
    cutoff: float | None = None,
    as_of: str | None = None,
    from_compute: bool | Sequence[str] = False,
    split: Split | None = None,
) -> Split:
    """Return the split that `fit_table` understands by these: one, or a cutoff or date and models from compute."""
    is_cut = cutoff is not None or as_of is not None
    if split is not None:
        if is_cut or from_compute is not False:
            raise InputError("Give a split, or a cutoff or date and from_compute, not both.")
        return split
    if cutoff is not None and as_of is not None:
        raise InputError("The cutoff and the date both say who is hidden", "give one of them")
    if from_compute is True and not is_cut:
        raise InputError("From-compute forecasts need a cutoff, a date, or the models whose scores to hide.")
    hides: Hides = "all" if from_compute is True else "task"
    split = Split.all_seen() if cutoff is None else Split.by_flops(table, cutoff, hides)
    if as_of is not None:
        split = Split.by_date(table, as_of, hides)
    if isinstance(from_compute, bool):
        return split
    hidden = [table.resolve_model(name) for name in from_compute]
    for name in hidden:
        if not np.isfinite(table.models.loc[name, "flops"]):
            raise InputError(f"{name} has no FLOPs, so it cannot be forecast from compute: add its FLOPs to the table.")
    held_out = tuple(m for m in table.models.index if m in {*split.held_out, *hidden})
    return replace(split, held_out=held_out, hidden=tuple(m for m in held_out if m in hidden))


class Run:
    """One fit under way: its stages, and the draws of each."""

    def __init__(
        self,
        layout: Layout,
        spec: CapabilitySpec,
        sampler: Sampler,
        chains: int,
        draws: int,
        seed: int,
        folder: Path | None,
        tell: Tell,
    ) -> None:
        self.layout, self.spec, self.sampler = layout, spec, sampler
        self.chains, self.draws, self.seed, self.folder, self.tell = chains, draws, seed, folder, tell
        self.priors = jax.tree.map(jnp.asarray, spec.priors)
        self.stages: list[Stage] = []
        self.stats: list[Values] = []

    def tree(self) -> xr.DataTree:
        """Sample every stage, and name the axes of what came out."""
        layout = self.layout
        data = layout.measurements[0]
        measured_sites = sites_of(model.measurement, data, self.priors, layout.structure)
        if self.spec.posterior == "joint" and layout.task_scores is not None:
            sampled, sites = self.joint()
            self.record("joint", sampled, sites)
            values = {name: v[:, :, None] if name in measured_sites else v for name, v in sampled.values.items()}
        else:
            sites = measured_sites
            sets = []
            for index, left_out in enumerate(layout.predictor_sets):
                label = "capabilities" + (f" without {', '.join(left_out)}" if left_out else "")
                sets.append(self.measurement(index, label))
                self.record(label, sets[-1], measured_sites, layout.predictor_labels[index])
            values = {name: np.stack([s.values[name] for s in sets], axis=2) for name in sets[0].values}
            if layout.task_scores is not None:
                sampled, head_sites = self.heads(values["theta"])
                self.record("task heads", sampled, head_sites)
                values |= sampled.values
                sites = {**sites, **head_sites}
        return named_tree(layout, values, {**sites}, set(measured_sites), self._stats(), [s.label for s in self.stages])

    def record(self, label: str, sampled: Sampled, sites: dict[str, Site], predictors: str = "") -> None:
        """Keep what there is to say of a stage."""
        self.stages.append(
            Stage(
                label=label,
                variables=tuple(name for name in sampled.values if sites[name].is_variable),
                predictors=predictors,
                settings=sampled.settings,
                convergence=sampled.convergence,
            )
        )
        self.stats.append(sampled.stats)

    def _stats(self) -> Values:
        return {name: np.stack([stats[name] for stats in self.stats], axis=2) for name in self.stats[0]}

    def measurement(self, index: int, label: str = "capabilities") -> Sampled:
        """Capabilities of one predictor set: from the cache, or sampled until converged."""
        layout, data = self.layout, self.layout.measurements[index]
        structure = layout.structure._replace(unknown_task_chance=())  # nothing to benchmarks
        sites = sites_of(model.measurement, data, self.priors, structure)
        settings = self.sampler.settings["measurement"]
        used = {site.prior for site in sites.values() if site.prior}
        believed = self.spec.model_dump()["priors"]
        fields = list(structure)
        while fields[-1] == ():  # what came later and says nothing: the key is what it was before
            fields.pop()
        content = [{name: believed[name] for name in used}, fields, settings.model_dump()]
        key = content_hash([*content, self.chains, self.draws, self.seed, VERSIONS], data)

        def start(chain: int) -> Values:
            rng = np.random.default_rng([self.seed, 1, chain])
            return start_near_priors(sites, self.spec.priors, rng) | from_anchors(data, structure, rng)

        target = Target(Model(bound_measurement, (structure,)), (data, self.priors), None, start)
        # By name, not by position: the same draws whatever else is fitted.
        who = int(content_hash(layout.predictor_sets[index], ()), 16)
        return kept_or_made(
            self.folder,
            key,
            lambda: self.sample(target, "measurement", sites, [self.seed, 1, who], label),
            lambda: self.tell(label, 1, 1),
        )

    def heads(self, theta: np.ndarray) -> tuple[Sampled, dict[str, Site]]:
        """Task heads along draws of the capabilities: chain c of the heads walks along chain c of theta (a cut).

        At each draw of theta the head makes a few NUTS transitions that leave its conditional posterior invariant, and
        the last is kept (the cut of Plummer 2015): what lags behind shrinks with the autocorrelation of a transition to
        the power of their number. Moving theta in even steps instead lags by about one over their number, which is
        worse.
        """
        layout, scores = self.layout, self.layout.task_scores
        assert scores is not None
        z = np.asarray(equations.standardise(theta, equations.reference_scale(theta, layout.reference)))
        rows = rows_to_fit(layout.reference > 0)
        z, scores = z[..., rows, :], take_models(scores, rows)
        fixed = (scores, self.priors, jnp.asarray(self.spec.fit_sd))
        structure = head_structure(layout.structure)
        sites = sites_of(bound_heads, fixed, z[0, 0], structure)

        def start(chain: int) -> Values:
            return of_heads(sites, self.spec.priors, np.random.default_rng([self.seed, 2, chain]))

        target = Target(Model(bound_heads, (structure,)), fixed, z, start)
        return self.sample(target, "heads", sites, [self.seed, 2], "task heads"), sites

    def joint(self) -> tuple[Sampled, dict[str, Site]]:
        """Capabilities and heads at once."""
        layout, data, scores = self.layout, self.layout.measurements[0], self.layout.task_scores
        fixed = (data, scores, jnp.asarray(layout.reference), self.priors, jnp.asarray(self.spec.fit_sd))
        sites = sites_of(_joint, fixed, None, layout.structure)

        def start(chain: int) -> Values:
            rng = np.random.default_rng([self.seed, 3, chain])
            return of_heads(sites, self.spec.priors, rng) | from_anchors(data, layout.structure, rng)

        target = Target(Model(_joint, (layout.structure,)), fixed, None, start)
        return self.sample(target, "joint", sites, [self.seed, 3], "capabilities and task heads"), sites

    def sample(self, target: Target, kind: str, sites: dict[str, Site], seed: list[int], label: str) -> Sampled:
        """Draw from a target with the settings of its kind; what is not a variable or a part of one is not kept."""
        return sample(
            target,
            self.sampler,
            self.sampler.settings[kind],
            lambda name: name in sites and (sites[name].is_variable or sites[name].is_part),
            chains=self.chains,
            draws=self.draws,
            seed=seed,
            tell=lambda done, total: self.tell(label, done, total),
        )


def rows_to_fit(seen: np.ndarray) -> np.ndarray:
    """Models with a visible task score, filled up with masked ones to a multiple of 16: few shapes to compile."""
    room = min(-(-int(seen.sum()) // 16) * 16, len(seen))
    return np.sort(np.argsort(~seen, kind="stable")[:room])


def take_models(scores: TaskScores, rows: np.ndarray) -> TaskScores:
    """Return the task scores of some models, by position."""
    return scores._replace(
        score=scores.score[rows], seen=scores.seen[rows], inv_items=scores.inv_items[rows], family=scores.family[rows]
    )


def head_structure(structure: Structure) -> Structure:
    """What the compiled heads depend on, so that tables which differ in nothing else share them."""
    nothing: dict[str, Any] = {"n_models": 0, "n_benchmarks": 0, "compute_law": "", "curve": "", "drift": ""}
    nothing |= dict.fromkeys(
        ("anchors", "signed", "no_ceiling", "unknown_compute", "inexact_compute", "unknown_chance", "unknown_ratio"), ()
    )
    nothing |= {"compute_trend": False, "is_sparse": False}
    return structure._replace(**nothing)


def named_tree(
    layout: Layout, values: Values, sites: dict[str, Site], measured: set[str], stats: Values, stages: list[str]
) -> xr.DataTree:
    """Name the axes of sampled arrays: (chain, draw, ...), those of the measurement with a third one, predictors."""

    def group(chosen: Callable[[Site], bool]) -> xr.Dataset:
        return layout.labelled(
            {
                name: (("chain", "draw", *(("predictors",) if name in measured else ()), *sites[name].dims), value)
                for name, value in values.items()
                if chosen(sites[name])
            }
        )

    observed: dict[str, tuple[tuple[str, ...], Any]] = {"reference": (("model",), layout.reference)}
    data = layout.measurements[0]
    observed["benchmark_score"] = (("model", "benchmark"), np.where(data.seen, data.score, np.nan))
    if (scores := layout.task_scores) is not None:
        observed["task_score"] = (("model", "task"), np.where(scores.seen, scores.score, np.nan))
    sample_stats = xr.Dataset(
        {name: (("chain", "draw", "stage"), value) for name, value in stats.items()}, coords={"stage": stages}
    )
    return xr.DataTree.from_dict(
        {
            "posterior": group(lambda site: site.is_variable),
            "scaffold": group(lambda site: site.is_part),
            "sample_stats": sample_stats,
            "observed_data": layout.labelled(observed),
        }
    )
