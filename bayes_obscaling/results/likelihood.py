"""Pointwise log likelihood and log prior of a fit's draws, from the densities of the model itself; nothing is refitted.

Both are evaluated by tracing the numpyro functions that were sampled with the saved draws put in, so no density is
written a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from numpyro import handlers

from bayes_obscaling.models import capability as model
from bayes_obscaling.models import capability_equations as equations
from bayes_obscaling.models.capability_equations import Measurements, TaskScores
from bayes_obscaling.models.priors import Priors
from bayes_obscaling.models.spec import Structure
from bayes_obscaling.models.trace import Site, noted, sites_of
from bayes_obscaling.results.remember import remembered

if TYPE_CHECKING:
    from bayes_obscaling.results.fit import CapabilityFit

Values = dict[str, np.ndarray]
Sites = Mapping[str, Any]  # numpyro's messages, by site
Read = Callable[[Sites, str], Any]  # of a trace at one draw, and the name of its observed site


class Densities(NamedTuple):
    """Natural logarithms of densities at every draw."""

    likelihood: xr.Dataset
    prior: xr.Dataset


def log_likelihood(fit: CapabilityFit) -> xr.Dataset:
    """Log density of every seen score at every draw.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file.

    Returns
    -------
    Dataset
        ``benchmark_score`` (chain, draw, predictors, model, benchmark): normal, given capabilities; and, for a fit
        with task heads, ``task_score`` (chain, draw, model, task): Student's t, given capabilities and heads. Natural
        logarithms of densities of scores 0..1; NaN where the fit has not seen a score.

    Notes
    -----
    Both are conditional on the capabilities of the model in question. In a cut posterior (the default) the two are
    the likelihoods of two separate stages: the capabilities are learned from ``benchmark_score`` alone, and their
    draws must not be reweighted by ``task_score``.
    """
    return densities(fit).likelihood


def log_prior(fit: CapabilityFit) -> xr.Dataset:
    """Log density of the top-level priors at every draw, one variable a parameter, summed over its entries.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file.

    Returns
    -------
    Dataset
        Named as the posterior is: those of the measurement (chain, draw, predictors), those of the heads
        (chain, draw).

    Notes
    -----
    Priors below the top (of a family given the population of families, of a capability given its family, of a task's
    weights given those of all tasks) are left out, as Kallioinen et al. (2024, section 2.4) advise for power-scaling
    a hierarchical model: their own parameters are learned, so they are part of the model, not of what was believed
    beforehand.
    """
    return densities(fit).prior


def scores_name(structure: Structure) -> str:
    """Name of the observed site of the measurement."""
    return "cell_score" if structure.is_sparse else "benchmark_score"


@remembered
def densities(fit: CapabilityFit) -> Densities:
    """Log likelihood and log prior of a fit together."""
    layout = fit.layout
    at_draw = ("chain", "draw", "predictors")
    pointwise, believed = [], []
    for index, data in enumerate(layout.measurements):
        score, prior = at_benchmarks(fit, index, _densities)
        seen = data.seen if data.cells is None else data.cells.seen
        pointwise.append(np.where(np.asarray(seen), score, np.nan))
        believed.append(prior)
    name = scores_name(layout.structure)
    dims = ("cell",) if layout.structure.is_sparse else ("model", "benchmark")
    likelihood: dict[str, Any] = {name: ((*at_draw, *dims), np.stack(pointwise, axis=2))}
    summed: dict[str, Any] = {
        name: (at_draw, np.stack([prior[name] for prior in believed], axis=2)) for name in believed[0]
    }
    if (scores := layout.task_scores) is not None:
        score, prior = at_tasks(fit, fit.spec.fit_sd, _densities)
        score = np.where(np.asarray(scores.seen), score, np.nan)
        likelihood["task_score"] = (("chain", "draw", "model", "task"), score)
        summed |= {name: (("chain", "draw"), value) for name, value in prior.items()}
    return Densities(layout.labelled(likelihood), layout.labelled(summed))


def prior_sites(fit: CapabilityFit) -> tuple[Site, ...]:
    """Sites of a fit's model that have a prior of their own, those of the measurement first."""
    layout, priors = fit.layout, fit.spec.priors
    sites = sites_of(model.measurement, layout.measurements[0], priors, layout.structure)
    if layout.task_scores is not None:
        z = np.zeros((len(layout.predictor_sets), len(layout.models), len(layout.factors)))
        sites |= sites_of(model.heads, z, layout.task_scores, priors, fit.spec.fit_sd, layout.structure)
    return tuple(site for site in sites.values() if site.prior)


def sampled_values(fit: CapabilityFit, predictors: int | None) -> Values:
    """Saved draws (chain, draw, ...) of the sites of one predictor set's measurement, or (None) of the task heads.

    The heads read ``theta`` of all predictor sets.
    """
    groups = [fit.tree[name].to_dataset() for name in ("posterior", "scaffold") if name in fit.tree.children]
    values = {}
    for name, draws in (item for group in groups for item in group.items()):
        is_measured = "predictors" in draws.dims
        if is_measured and predictors is not None:
            values[str(name)] = draws.isel(predictors=predictors)
        elif predictors is None and (name == "theta" or not is_measured):
            values[str(name)] = draws
    return {name: draws.transpose("chain", "draw", ...).to_numpy() for name, draws in values.items()}


def sites_at(run: Callable[[], Any], draw: Mapping[str, Any], key: jax.Array) -> dict[str, Any]:
    """Trace of a model, bound to its arguments, at one draw of its sites, deterministic ones included.

    `key` is for sites without a value: those that only say how a saved one is parameterised.
    """
    return dict(handlers.trace(handlers.substitute(handlers.seed(run, key), dict(draw))).get_trace())


def noise_at(sites: Sites, observed: str) -> tuple[jax.Array, jax.Array]:
    """Expected scores of an observed site, and the scale of the noise around them."""
    distribution = getattr(sites[observed]["fn"], "base_dist", sites[observed]["fn"])  # without the mask
    return distribution.loc, distribution.scale


def new_scores(name: str, expected: np.ndarray, scale: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """New evaluations inside 0..1 for the observed site of that name, around expected scores; see `noise_at`."""
    df = {"task_score": equations.TASK_NOISE_DF, "cell_score": equations.CELL_NOISE_DF}.get(name)
    unit = rng.standard_normal(scale.shape) if df is None else rng.standard_t(df, scale.shape)
    return np.clip(expected + scale * unit, 0.0, 1.0)


def at_benchmarks(fit: CapabilityFit, index: int, read: Read) -> Any:
    """What a function reads, at every draw (chain, draw, ...), off the trace of one predictor set's measurement."""
    data, priors = fit.layout.measurements[index], jax.tree.map(jnp.asarray, fit.spec.priors)
    run = partial(_at_benchmarks, data=data, priors=priors, structure=fit.layout.structure, read=read)
    return by_chain(run, sampled_values(fit, index))


def at_tasks(fit: CapabilityFit, floor_sd: float, read: Read) -> Any:
    """What a function reads, at every draw (chain, draw, ...), off the trace of the task heads."""
    layout, priors = fit.layout, jax.tree.map(jnp.asarray, fit.spec.priors)
    fixed = (layout.task_scores, layout.reference, priors, floor_sd)
    return by_chain(partial(_at_tasks, fixed=fixed, structure=layout.structure, read=read), sampled_values(fit, None))


def _densities(sites: Sites, observed: str) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Pointwise log density of the observed site, and summed log densities of top-level priors."""
    summed: dict[str, jax.Array] = {}
    for site in sites.values():
        prior, variable = noted(site)
        if prior:
            summed[variable] = summed.get(variable, 0.0) + site["fn"].log_prob(site["value"]).sum()
    return sites[observed]["fn"].log_prob(sites[observed]["value"]), summed


@partial(jax.jit, static_argnames=("structure", "read"))
def _at_benchmarks(values: Values, data: Measurements, priors: Priors, structure: Structure, read: Read) -> Any:
    def one(draw: Values) -> Any:
        sites = sites_at(lambda: model.measurement(data, priors, structure), draw, jax.random.key(0))
        return read(sites, scores_name(structure))

    return jax.vmap(one)(values)


@partial(jax.jit, static_argnames=("structure", "read"))
def _at_tasks(
    values: Values, fixed: tuple[TaskScores, jax.Array, Priors, float], structure: Structure, read: Read
) -> Any:
    scores, reference, priors, floor_sd = fixed

    def one(draw: Values) -> Any:
        z = equations.standardise(draw["theta"], equations.reference_scale(draw["theta"], reference))
        sites = sites_at(lambda: model.heads(z, scores, priors, floor_sd, structure), draw, jax.random.key(0))
        return read(sites, "task_score")

    return jax.vmap(one)(values)


def by_chain(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of draws for one chain after the other (memory), with all draws of a chain at once.

    `arguments`, and what comes back, are pytrees of arrays (chain, draw, ...).
    """
    chains = len(jax.tree.leaves(arguments)[0])
    parts = [jax.tree.map(np.asarray, function(*jax.tree.map(lambda a, c=c: a[c], arguments))) for c in range(chains)]
    return jax.tree.map(lambda *arrays: np.stack(arrays), *parts)
