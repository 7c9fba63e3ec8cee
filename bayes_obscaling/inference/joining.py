"""Fits that take their capabilities from another one: more models join it, and only new task heads are sampled.

Tasks that the other fit holds keep their heads where the same scores are seen. A new task gets its head alone, with the
other fit's population of heads as its prior, at every draw: its scores do not change what is known of other tasks.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpyro import handlers

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.cache import open_cache
from bayes_obscaling.inference.fit import Run, head_structure, named_tree, rows_to_fit, take_models
from bayes_obscaling.inference.run import Values, describe_run
from bayes_obscaling.inference.sampler import DEFAULT_SETTINGS, Model, Nuts, Target, default_sampler
from bayes_obscaling.models import capability as model
from bayes_obscaling.models import capability_equations as equations
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.spec import Structure
from bayes_obscaling.models.trace import Site, sites_of, start_near_priors
from bayes_obscaling.progress import Progress, Tell, silent
from bayes_obscaling.results.chance import chance_notes, inferred_chance
from bayes_obscaling.results.compact import thinned
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.joined import can_join, join, told
from bayes_obscaling.results.stages import Stage

# What the heads of all tasks share.
POPULATION = ("share_mean", "share_sd", "contrast_sd", "steepness_median", "steepness_sd")
# Few draws that heads walk along leave them little time at each: the thinning of heads at a fifth of the usual draws.
_THIN = 15


def fit_given(
    given: CapabilityFit,
    table: ScoreTable,
    tasks: str | Sequence[str],
    *,
    split: Split | None = None,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress = None,
) -> CapabilityFit:
    """Return the fit of a table whose capabilities are those of another fit; only new task heads are sampled.

    Models that the other fit has not seen are placed along its draws, given their scores, which change nothing else in
    it; see `bayes_obscaling.results.joined`. There are as many chains and draws as the other fit has.

    Parameters
    ----------
    given : CapabilityFit
        Fit of some of the models of `table`, on the same benchmarks.
    table : ScoreTable
        Its models and scores, and more.
    tasks : str or sequence of str
        Tasks, or standard benchmarks, to forecast.
    split : Split, optional
        Whose task scores to hide; default none.
    seed, cache, progress
        As of `bayes_obscaling.fit`.

    Raises
    ------
    InputError
        When the table changes what the other fit has seen, or the two differ in benchmarks.
    """
    started = time.monotonic()
    names, split = table.resolve_all(tasks), split or Split.all_seen()
    layout = lay_out(table, names, split, given.spec)
    if not can_join(given, layout):
        raise InputError("The table changes what the fit has seen", "fit it anew, or keep models and benchmarks")
    joining = _Joining(given, layout, seed, open_cache(cache), progress or silent)
    joined, far = join(given, layout, joining.tell)
    tree = joining.tree(joined)
    inferred = chance_notes(inferred_chance(tree["posterior"].to_dataset(), joining.layout))
    known = set(given.layout.models)
    new = [name for name in joining.layout.models if name not in known]
    return CapabilityFit(
        table=table,
        spec=given.spec,
        tasks=tuple(names),
        split=split,
        tree=tree,
        stages=tuple(joining.stages),
        provenance=describe_run(started, table.data_hash, seed) | _made(given),
        notes=tuple(dict.fromkeys((*table.notes, *joining.layout.notes, *inferred, *told(new, far)))),
    )


def _made(given: CapabilityFit) -> dict[str, int]:
    """How many draws the other fit was judged by, where it keeps fewer."""
    return {name: value for name, value in given.provenance.items() if name == "draws_made"}


def bound_new_heads(fixed: Any, moving: Any, structure: Structure) -> None:
    """Heads of new tasks as samplers call them; `moving` are the capabilities and the population of heads."""
    scores, priors, fit_sd = fixed
    z, population = moving
    with handlers.condition(data=population):
        model.heads(z, scores, priors, fit_sd, structure)


class _Joining:
    """A fit of more models, tasks or both under way."""

    def __init__(self, given: CapabilityFit, layout: Layout, seed: int, folder: Path | None, tell: Tell) -> None:
        self.given, self.seed, self.folder, self.tell = given, seed, folder, tell
        self.kept = self._kept(layout)
        if self.kept:  # heads read capabilities in units of the models that taught them
            reference = np.zeros(len(layout.models))
            old = dict(zip(given.layout.models, given.layout.reference, strict=True))
            reference[:] = [old.get(name, 0.0) for name in layout.models]
            layout = replace(layout, reference=reference)
        self.layout = layout
        labels = set(layout.predictor_labels)
        heads = [stage for stage in given.stages if not stage.predictors][:1] if self.kept else []
        self.stages: list[Stage] = [*(s for s in given.stages if s.predictors in labels and s.predictors), *heads]

    def _kept(self, layout: Layout) -> tuple[str, ...]:
        """Tasks whose heads are those of the other fit: it saw the same scores on them, and hid the same ones."""
        then, now = self.given.layout.task_scores, layout.task_scores
        if then is None or now is None:
            return ()
        old = self.given.layout
        before = _visible(old, then)
        after = _visible(layout, now)
        same = tuple(
            name
            for name in layout.tasks
            if name in before and before[name] == after[name]
        )  # fmt: skip
        # a pool that has seen what is hidden now would tell of it
        hidden = any(not set(before[name]) <= set(after.get(name, {})) for name in before)
        return () if hidden else same

    def tree(self, joined: dict[str, xr.DataArray]) -> xr.DataTree:
        """The tree of the fit."""
        values: Values = {name: value.to_numpy() for name, value in joined.items()}
        chains, draws = values["theta"].shape[:2]
        layout, spec = self.layout, self.given.spec
        run = Run(layout, spec, self._sampler(draws), chains, draws, self.seed, self.folder, self.tell)
        sites = sites_of(model.measurement, layout.measurements[0], run.priors, layout.structure)
        values |= self._parts(values, sites)
        measured = set(values)
        stats = self._thinned(draws)
        if layout.task_scores is not None:
            new = [name for name in layout.tasks if name not in self.kept]
            if not self.kept:
                sampled, head_sites = run.heads(values["theta"])
                run.record("task heads", sampled, head_sites)
                heads = sampled.values
            else:
                heads, head_sites = self._kept_heads(), self._head_sites(run)
                if new:
                    sampled, new_sites = self._new_heads(run, values["theta"], new)
                    run.record("heads of new tasks", sampled, new_sites)
                    heads = self._together(heads, sampled.values, new)
            if run.stages:
                self.stages += run.stages
                stats = {k: np.concatenate([stats[k], run.stats[0][k][:, :, None]], axis=2) for k in stats}
            values, sites = values | heads, sites | head_sites
        labels = [stage.label for stage in self.stages]
        tree = named_tree(layout, values, {name: sites[name] for name in values}, measured, stats, labels)
        measured_bfmi = np.full((len(labels), chains), np.nan)
        stats_given = self.given.tree["sample_stats"].to_dataset()
        if "e_bfmi" in stats_given:
            inherited = [label for label in labels if label in stats_given["stage"].values]
            measured_bfmi[: len(inherited)] = stats_given["e_bfmi"].sel(stage=inherited).transpose("stage", "chain")
            tree["sample_stats"]["e_bfmi"] = xr.DataArray(measured_bfmi, dims=("stage", "chain"))
        return tree

    def _parts(self, values: Values, sites: dict[str, Site]) -> Values:
        """Free parts of variables that are partly fixed, as the other fit has them; of compute with new models."""
        sets = [self.given.layout.predictor_sets.index(left_out) for left_out in self.layout.predictor_sets]
        scaffold = self.given.tree["scaffold"].to_dataset()
        parts: Values = {}
        for name, draws in scaffold.items():
            if "predictors" not in draws.dims or str(name) not in sites:
                continue
            if sites[str(name)].of == "compute":
                parts[str(name)] = values["compute"][..., list(self.layout.structure.unknown_compute)]
            else:
                parts[str(name)] = draws.isel(predictors=sets).transpose("chain", "draw", "predictors", ...).to_numpy()
        return parts

    def _sampler(self, draws: int) -> Nuts:
        if draws >= 1000:
            return default_sampler()
        return Nuts({"heads": DEFAULT_SETTINGS["heads"].model_copy(update={"thin": _THIN})})

    def _thinned(self, draws: int) -> Values:
        """Sampler statistics (chain, draw, stage) of the other fit's stages, as many draws as were kept."""
        stats: xr.Dataset = self.given.tree["sample_stats"].to_dataset().sel(stage=[s.label for s in self.stages])
        kept = thinned(stats.drop_vars("e_bfmi", errors="ignore"), draws).transpose("chain", "draw", "stage")
        return {str(name): value.to_numpy() for name, value in kept.items()}

    # --- heads --------------------------------------------------------------------------------------------------------

    def _head_sites(self, run: Run) -> dict[str, Site]:
        layout = self.layout
        z = np.zeros((len(layout.predictor_sets), len(layout.models), len(layout.factors)))
        fixed = (z, layout.task_scores, run.priors, self.given.spec.fit_sd)
        return sites_of(model.heads, *fixed, head_structure(layout.structure))

    def _kept_heads(self) -> Values:
        """Heads of the other fit (chain, draw, ...), effects of new families drawn from their population."""
        p, layout, old = self.given.posterior, self.layout, self.given.layout
        heads = {name: p.by_chain(value) for name, value in p.heads.items()}
        rng = p.rng("joins", "task families")
        shape = (*heads["task_family_offset"].shape[:2], len(layout.families), len(old.tasks))
        offset = heads["task_family_offset_sd"][:, :, None] * rng.standard_normal(shape)
        offset[:, :, [layout.families.index(name) for name in old.families]] = heads["task_family_offset"]
        heads["task_family_offset"] = offset
        at = [old.tasks.index(name) for name in self.kept]
        return {name: value if name in POPULATION else value[..., at, :] if name == "weight" else value[..., at]
                for name, value in heads.items()}  # fmt: skip

    def _new_heads(self, run: Run, theta: np.ndarray, new: list[str]) -> tuple[Any, dict[str, Site]]:
        """Heads of tasks that the other fit does not hold, given its population of heads, along its draws."""
        layout, given = self.layout, self.given
        scores = layout.task_scores
        assert scores is not None
        at = np.array([layout.tasks.index(name) for name in new])
        chosen = scores._replace(**{name: getattr(scores, name)[:, at] for name in ("score", "seen", "inv_items")})
        chosen = chosen._replace(chance=scores.chance[at], predictors=scores.predictors[at])
        rows = rows_to_fit(np.asarray(chosen.seen.any(axis=1)))
        sets = [given.layout.predictor_sets.index(left_out) for left_out in layout.predictor_sets]
        centre, spread = (given.posterior.by_chain(value[:, sets]) for value in given.posterior.scales)
        z = np.asarray(equations.standardise(theta, (centre, spread)))[..., rows, :]
        p = given.posterior
        population = {name: p.by_chain(p.heads[name]) for name in POPULATION}
        fixed = (take_models(chosen, rows), run.priors, jnp.asarray(given.spec.fit_sd))
        nobody_said = tuple(np.flatnonzero(np.isnan(np.asarray(chosen.chance))).tolist())
        structure = head_structure(layout.structure)._replace(n_tasks=len(new), unknown_task_chance=nobody_said)
        moving = (z, population)
        here = jax.tree.map(lambda array: array[0, 0], moving)
        sites = sites_of(bound_new_heads, fixed, here, structure)

        def start(chain: int) -> Values:
            values = start_near_priors(sites, given.spec.priors, np.random.default_rng([self.seed, 4, chain]))
            steep = population["steepness_median"][chain, 0]
            return values | {"log_steepness": np.log(steep) + values["log_steepness"]}

        target = Target(Model(bound_new_heads, (structure,)), fixed, moving, start)
        return run.sample(target, "heads", sites, [self.seed, 4], f"heads of {', '.join(new)}"), sites

    def _together(self, kept: Values, new: Values, names: list[str]) -> Values:
        """Heads of all tasks, in the order of the layout."""
        order = [[*self.kept, *names].index(name) for name in self.layout.tasks]
        if "task_chance" in kept or "task_chance" in new:  # what is stated is stated at every draw
            stated = np.asarray(self.layout.task_scores.chance)  # type: ignore[union-attr]
            shape, at = kept["share_sd"].shape, self.layout.tasks.index
            kept, new = (
                {"task_chance": np.broadcast_to(stated[[at(name) for name in of]], (*shape, len(of))), **heads}
                for heads, of in ((kept, self.kept), (new, names))
            )
        result = dict(kept)
        for name in set(kept) & set(new) - set(POPULATION):
            axis = -2 if name == "weight" else -1
            result[name] = np.take(np.concatenate([kept[name], new[name]], axis=axis), order, axis=axis)
        if "task_chance" in result:
            result["task_chance_free"] = result["task_chance"][..., list(self.layout.structure.unknown_task_chance)]
        return result


def _visible(layout: Layout, scores: equations.TaskScores) -> dict[str, dict[str, tuple[float, float]]]:
    """Scores, and inverse item counts, that are seen of each task, by model."""
    seen, value, items = (np.asarray(array) for array in (scores.seen, scores.score, scores.inv_items))
    return {
        task: {layout.models[m]: (value[m, t], items[m, t]) for m in np.flatnonzero(seen[:, t])}
        for t, task in enumerate(layout.tasks)
    }
