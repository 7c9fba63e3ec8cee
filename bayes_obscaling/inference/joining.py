"""Fits that take their capabilities from another one: more models join it, and task heads are sampled along its draws."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.cache import open_cache
from bayes_obscaling.inference.fit import Run, named_tree
from bayes_obscaling.inference.run import Values, describe_run
from bayes_obscaling.inference.sampler import default_sampler
from bayes_obscaling.models import capability as model
from bayes_obscaling.models.layout import lay_out
from bayes_obscaling.models.trace import sites_of
from bayes_obscaling.progress import Progress, silent
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.joined import can_join, join, told
from bayes_obscaling.results.stages import Stage


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
    """Return the fit of a table whose capabilities are those of another fit; only task heads are sampled.

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
    if not can_join(given, table, names, split):
        raise InputError("The table changes what the fit has seen", "fit it anew, or keep models and benchmarks")
    layout = lay_out(table, names, split, given.spec)
    tell = progress or silent
    joined = join(given, table, names, split, tell)
    values: Values = {name: value.to_numpy() for name, value in joined.items()}
    chains, draws = values["theta"].shape[:2]
    folder = open_cache(cache)
    run = Run(layout, given.spec, default_sampler(), chains, draws, seed, folder, tell)
    sites = sites_of(model.measurement, layout.measurements[0], run.priors, layout.structure)
    measured = {name: sites[name] for name in values}
    labels = set(layout.predictor_labels)
    stages: list[Stage] = [stage for stage in given.stages if stage.predictors in labels]
    stats = _thinned(given, stages, draws)
    if layout.task_scores is not None:
        sampled, head_sites = run.heads(values["theta"])
        run.record("task heads", sampled, head_sites)
        stages += run.stages
        stats = {name: np.concatenate([stats[name], sampled.stats[name][:, :, None]], axis=2) for name in stats}
        values, measured = values | sampled.values, measured | head_sites
    tree = named_tree(layout, values, measured, set(joined), stats, [stage.label for stage in stages])
    fit = CapabilityFit(
        table=table,
        spec=given.spec,
        tasks=tuple(names),
        split=split,
        tree=tree,
        stages=tuple(stages),
        provenance=describe_run(started, table.data_hash, seed),
        notes=tuple(dict.fromkeys((*table.notes, *layout.notes))),
    )
    known = set(given.layout.models)
    new = [name for name in layout.models if name not in known]
    return told(fit, new) if new else fit


def _thinned(given: CapabilityFit, stages: Sequence[Stage], draws: int) -> Values:
    """Sampler statistics (chain, draw, stage) of the stages, as many draws as were kept."""
    statistics: xr.Dataset = given.tree["sample_stats"].to_dataset().sel(stage=[stage.label for stage in stages])
    every = max(statistics.sizes["draw"] // draws, 1)
    kept = statistics.isel(draw=slice(every - 1, every * draws, every)).transpose("chain", "draw", "stage")
    return {str(name): value.to_numpy() for name, value in kept.items()}

