"""What the priors alone say of scores: parameters and scores drawn from the model itself, before any score is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.models import capability as model
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.spec import CapabilitySpec, Structure, spec_for
from bayes_obscaling.models.trace import noted, sites_of
from bayes_obscaling.results.likelihood import new_scores, noise_at, sites_at

# Draws that are made at once: one program for any number, and as many as fit into memory for thousands of models.
_TOGETHER = 50


class FromPrior(NamedTuple):
    """Draws from the prior alone, with dims (chain, draw, ...) and a single chain."""

    parameters: xr.Dataset  # variables of a posterior
    scores: xr.Dataset  # benchmark_score (..., model, benchmark), and task_score (..., model, task) with tasks


def prior_predictive(
    table: ScoreTable,
    tasks: str | Sequence[str],
    spec: CapabilitySpec | None = None,
    draws: int = 500,
    seed: int = 0,
) -> xr.DataTree:
    """Draw scores from the priors alone: what is believed before any score is seen.

    Parameters
    ----------
    table : ScoreTable
        Models with their families and FLOPs, benchmarks and tasks with their chance levels and numbers of items. Scores
        tell only which models the task heads are standardised over, and which benchmarks anchor the factors.
    tasks : str or sequence of str
        Tasks, or standard benchmarks, as for `bayes_obscaling.fit`.
    spec : CapabilitySpec, optional
        What is believed; default ``CapabilitySpec()``.
    draws : int
        How many.
    seed : int
        Random seed.

    Returns
    -------
    DataTree
        Groups ``prior`` (the variables of a posterior) and ``prior_predictive``: ``benchmark_score`` (chain, draw,
        model, benchmark) and ``task_score`` (chain, draw, model, task) of every model, new evaluations inside 0..1.
        One chain, under ArviZ's names.

    Raises
    ------
    InputError
        For an unknown task, no task or less than one draw, and what `bayes_obscaling.fit` cannot learn from.
    """
    names = table.resolve_all(tasks)
    if not names:
        raise InputError("No task was named: name one, such as word_unscrambling.")
    if draws < 1:
        raise InputError(f"{draws} draws were asked for: take at least one.")
    spec = spec or spec_for(table)
    drawn = draw_from_prior(lay_out(table, names, Split.all_seen(), spec), spec, draws, seed)
    return xr.DataTree.from_dict({"prior": drawn.parameters, "prior_predictive": drawn.scores})


def draw_from_prior(layout: Layout, spec: CapabilitySpec, draws: int, seed: int) -> FromPrior:
    """Draw parameters and scores of a layout from the prior; see `prior_predictive`.

    All tasks read the same capabilities: predictor sets differ in what is seen, and here nothing is.
    """
    data, priors = layout.measurements[0], jax.tree.map(jnp.asarray, spec.priors)
    arguments: tuple[Any, ...] = (data, priors)
    if (scores := layout.task_scores) is not None:
        scores = scores._replace(predictors=jnp.zeros_like(scores.predictors))
        # a new evaluation: its noise has the floor of forecasts
        arguments = (data, scores, layout.reference, priors, spec.predictive_sd)
    sites = sites_of(_model(len(arguments)), *arguments, layout.structure)
    rng = np.random.default_rng([seed, 9])
    keys = jax.random.split(jax.random.key(rng.integers(2**31)), draws)
    # From quantiles: JAX's own draws of a beta distribution take longer to compile than all the rest.
    believed = {
        name: getattr(spec.priors, site.prior).from_normal(rng.standard_normal((draws, *site.shape)))
        for name, site in sites.items()
        if site.kind == "latent" and site.prior
    }
    parts = []
    for rows in (np.arange(-(-draws // _TOGETHER) * _TOGETHER) % draws).reshape(-1, _TOGETHER):
        each = jax.tree.map(lambda array, rows=rows: array[rows], (keys, believed))
        parts.append(jax.tree.map(np.asarray, _draw(each, arguments, layout.structure)))
    values, moments = jax.tree.map(lambda *arrays: np.concatenate(arrays)[:draws], *parts)
    scores_drawn = {name: new_scores(name, expected, scale, rng) for name, (expected, scale) in moments.items()}

    def labelled(arrays: dict[str, np.ndarray]) -> xr.Dataset:
        return layout.labelled({n: (("chain", "draw", *sites[n].dims), value[None]) for n, value in arrays.items()})

    return FromPrior(labelled({name: values[name] for name in sites if name in values}), labelled(scores_drawn))


def _model(n_arguments: int) -> Callable[..., Any]:
    """The numpyro model that takes so many arguments beside the structure."""
    return model.measurement if n_arguments == 2 else model.joint


@partial(jax.jit, static_argnames="structure")
def _draw(each: tuple[jax.Array, dict], arguments: tuple[Any, ...], structure: Structure) -> tuple[dict, dict]:
    """Variables at every key and value of what has a prior, and expected scores with the scale of their noise."""
    run = _model(len(arguments))

    def one(here: tuple[jax.Array, dict]) -> tuple[dict, dict]:
        key, believed = here
        sites = sites_at(lambda: run(*arguments, structure), believed, key)
        variables = {
            name: site["value"]
            for name, site in sites.items()
            if site["type"] == "deterministic" or noted(site)[1] == name
        }
        observed = [name for name, site in sites.items() if site["type"] == "sample" and site["is_observed"]]
        return variables, {name: noise_at(sites, name) for name in observed}

    return jax.vmap(one)(each)
