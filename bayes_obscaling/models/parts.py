"""Parts of the numpyro models: effects of families, coordinates to sample in, curves put together from what is free."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro import plate

from bayes_obscaling.models.capability_equations import (
    FAMILY_EFFECTS,
    WALK_KNOTS,
    WALK_STEP,
    Measurements,
    Parameters,
)
from bayes_obscaling.models.links import Numbers
from bayes_obscaling.models.priors import Priors, believe
from bayes_obscaling.models.spec import Structure


def curve_shapes(priors: Priors, s: Structure) -> dict[str, Numbers]:
    """Ceiling gap and, where the curve has one, asymmetry (I,) of all benchmarks."""
    curves: dict[str, Numbers] = {"ceiling_gap": jnp.zeros(s.n_benchmarks)}
    if s.curve == "asymmetric":
        curves["asymmetry"] = jnp.ones(s.n_benchmarks)
    if s.capped:
        for name in curves:
            field = "label_errors" if s.curve == "asymmetric" and name == "ceiling_gap" else name
            with plate("capped_benchmark", len(s.capped), dim=-1):
                free = believe(priors, field, f"{name}_capped", of=name)
            is_free = jnp.asarray([float(i in s.capped) for i in range(s.n_benchmarks)])
            curves[name] = place(s.capped, s.n_benchmarks, free) + (1.0 - is_free) * curves[name]
    return curves


def chance_levels(
    priors: Priors, stated: jax.Array, unknown: tuple[int, ...], name: str, of: str
) -> dict[str, jax.Array]:
    """Chance levels (n,) of all benchmarks or tasks (`of`), by `name`, where some are unknown; else nothing.

    Equation 47 of docs/explanation/model.md. Where every level is stated nothing is sampled: the model is what it was.
    """
    if not unknown:
        return {}
    size = len(stated)
    with plate(f"unknown_chance_{of}", len(unknown), dim=-1):
        free = believe(priors, "chance", f"{name}_free", of=name)
    level = place(unknown, size, free) + jnp.where(np.isin(np.arange(size), unknown), 0.0, stated)
    with plate(of, size, dim=-1):
        return {name: jnp.asarray(numpyro.deterministic(name, level))}


def family_effect(name: str, p: Parameters) -> jax.Array:
    """Sample an effect of every family, non-centred: population mean and sd times a standard normal.

    Equation 4 of docs/explanation/model.md, and the offsets of Equations 6 and 12 of docs/explanation/model.md.
    """
    mean, sd = FAMILY_EFFECTS[name]
    raw = numpyro.sample(f"{name}_raw", dist.Normal(0.0, 1.0))
    return jnp.asarray(numpyro.deterministic(name, (p[mean] if mean else 0.0) + p[sd] * raw))


def efficiency_walk(data: Measurements) -> jax.Array:
    """Sample how far efficiency is off its steady drift (L, K) at `WALK_KNOTS`, in decades of compute; 0 at date 0.

    Equation 52 of docs/explanation/model.md. Knots after the last release are draws of what is to come.
    """
    centre = int(np.flatnonzero(WALK_KNOTS == 0.0)[0])
    with plate("knot", len(WALK_KNOTS), dim=-2):
        path = jnp.cumsum(numpyro.sample("walk_raw", dist.Normal(0.0, 1.0)), axis=0)
        walk = jnp.asarray(data.walk_sd) * np.sqrt(WALK_STEP) * (path - path[centre])
        return jnp.asarray(numpyro.deterministic("walk", walk))


def partly_centred(name: str, mean: Numbers, sd: Numbers, centred: Numbers) -> jax.Array:
    """Sample ``N(mean, sd)`` as an affine map of ``raw ~ N(c mean, sd^c)`` (Papaspiliopoulos et al. 2007).

    ``c = 1`` samples the value itself (good where data dominate), ``c = 0`` its standardised residual.
    """
    raw = numpyro.sample(name, dist.Normal(centred * mean, sd**centred * jnp.ones_like(mean)))
    return jnp.asarray(mean + sd ** (1.0 - centred) * (raw - centred * mean))


def places(positions: tuple[int, ...], size: int) -> np.ndarray:
    """Matrix (size, len(positions)) that puts a short vector's entries at their positions in a long one."""
    return np.eye(size)[:, list(positions)]


def place(positions: tuple[int, ...], size: int, values: jax.Array) -> jax.Array:
    """Put `values` at their positions along the first axis of an array of zeros; a fused sum, as above."""
    at = places(positions, size)
    return (at.reshape(*at.shape, *[1] * (values.ndim - 1)) * values[None]).sum(axis=1)
