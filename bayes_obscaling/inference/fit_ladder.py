"""Fitting a ladder of small runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayes_obscaling.data.ladder import Ladder
from bayes_obscaling.inference.cache import content_hash, open_cache
from bayes_obscaling.inference.kept import kept_or_made
from bayes_obscaling.inference.limits import check_sampling
from bayes_obscaling.inference.run import VERSIONS, Sampled, Values, describe_run, sample, whole_chunks
from bayes_obscaling.inference.sampler import Model, Sampler, Target, default_sampler
from bayes_obscaling.inference.starts import of_ladder
from bayes_obscaling.models import ladder as model
from bayes_obscaling.models.ladder import LadderSpec, LadderStructure
from bayes_obscaling.models.ladder_layout import LadderLayout, lay_out_ladder
from bayes_obscaling.models.layout import labelled
from bayes_obscaling.models.trace import Site, sites_of
from bayes_obscaling.progress import Progress, silent
from bayes_obscaling.results.fit import LadderFit
from bayes_obscaling.results.ladder_posterior import LadderPosterior
from bayes_obscaling.results.stages import Stage

LABEL = "ladder"


def _ladder(fixed: Any, _: Any, structure: LadderStructure) -> None:
    data, priors = fixed
    model.ladder(data, priors, structure)


def fit_ladder(
    ladder: Ladder,
    spec: LadderSpec | None = None,
    *,
    chains: int = 4,
    draws: int = 1000,
    seed: int = 0,
    cache: Path | str | None = None,
    progress: Progress = None,
    sampler: Sampler | None = None,
) -> LadderFit:
    """Return the fit of the ladder model to all runs and tasks of a ladder.

    Parameters
    ----------
    ladder : Ladder
        The runs; at least 3 sizes and 3 token counts.
    spec : LadderSpec, optional
        What is believed; default ``LadderSpec()`` with the ladder's feature (task losses, one loss, or none).
    chains, draws : int
        Chains, and draws kept of each; `draws` is rounded up to a multiple of 50.
    seed : int
        Random seed. Same seed, machine and versions give the same draws.
    cache : path, optional
        Folder in which draws and compiled programs are kept: the same question is not sampled twice.
    progress : callable or False, optional
        Told ``(label, done, total)``.
    sampler : Sampler, optional
        Who draws, and with which settings; default NUTS as chosen for the bundled ladder.

    Raises
    ------
    InputError
        For fewer than 3 sizes or token counts, a column that the spec needs and the ladder lacks; chains, draws or a
        seed out of range.
    """
    started = time.monotonic()
    spec = spec or LadderSpec(feature=ladder.feature)
    sampler, tell = sampler or default_sampler(), progress or silent
    check_sampling(chains, draws, seed)
    layout = lay_out_ladder(ladder, spec)
    folder = open_cache(cache)
    fixed = (layout.data, jax.tree.map(jnp.asarray, spec.priors))
    sites = sites_of(_ladder, fixed, None, layout.structure)

    def start(chain: int) -> Values:
        return of_ladder(sites, spec.priors, np.random.default_rng([seed, 4, chain]))

    settings, draws = sampler.settings["ladder"], whole_chunks(draws)

    def make() -> Sampled:
        return sample(
            Target(Model(_ladder, (layout.structure,)), fixed, None, start),
            sampler,
            settings,
            lambda name: name in sites and (sites[name].is_variable or sites[name].is_part),
            chains=chains,
            draws=draws,
            seed=[seed, 4],
            tell=lambda done, total: tell(LABEL, done, total),
            mend=True,
        )

    believed = [LABEL, spec.model_dump()["priors"], list(layout.structure), settings.model_dump()]
    key = content_hash([*believed, chains, draws, seed, VERSIONS], layout.data)
    sampled = kept_or_made(folder, key, make, lambda: tell(LABEL, 1, 1))
    tree = ladder_tree(layout, spec, sites, sampled.values, seed)
    tree["sample_stats"] = xr.DataTree(_sample_stats(sampled))
    stage = Stage(
        label=LABEL,
        variables=tuple(str(name) for name in tree["posterior"].data_vars),
        settings=sampled.settings,
        convergence=sampled.convergence,
    )
    return LadderFit(
        ladder=ladder,
        spec=spec,
        tree=tree,
        stages=(stage,),
        provenance=describe_run(started, ladder.data_hash, seed),
        notes=(*ladder.notes, *_about_restarts(sampled, chains)),
    )


def _about_restarts(sampled: Sampled, chains: int) -> tuple[str, ...]:
    """A note about chains that were started anew."""
    if not sampled.restarted:
        return ()
    count = len(sampled.restarted)
    return (
        f"{count} of {chains} chains had been where the density is far lower, and {'were' if count > 1 else 'was'} "
        "started anew from another chain",
    )


def ladder_tree(
    layout: LadderLayout, spec: LadderSpec, sites: Mapping[str, Site], values: Values, seed: int
) -> xr.DataTree:
    """Name the axes of draws (chain, draw, ...) by site, and say what they make of every loss and accuracy.

    Groups ``posterior, log_likelihood, residuals, observed_data``.
    """
    data, named = layout.data, partial(labelled, layout.labels)
    variables = {name: value for name, value in values.items() if sites[name].is_variable}
    posterior = named({name: (("chain", "draw", *sites[name].dims), value) for name, value in variables.items()})
    dims = {"loss": ("run", "loss_of"), "accuracy": ("run", "task")}
    view = LadderPosterior(posterior, layout, spec, seed)
    return xr.DataTree.from_dict(
        {
            "posterior": posterior,
            **view.pointwise_groups,
            "observed_data": named(
                {
                    "loss": (dims["loss"], np.where(data.loss_seen, data.loss * layout.unit, np.nan)),
                    "accuracy": (dims["accuracy"], np.where(data.accuracy_seen, data.accuracy, np.nan)),
                }
            ),
        }
    )


def _sample_stats(sampled: Sampled) -> xr.Dataset:
    stats = {name: (("chain", "draw", "stage"), value[:, :, None]) for name, value in sampled.stats.items()}
    return xr.Dataset(stats, coords={"stage": [LABEL]})
