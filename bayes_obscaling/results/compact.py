"""Draws in little room: fewer of them, rounded far below their posterior standard deviation, as small whole numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import xarray as xr

from bayes_obscaling.results.fit import Fit

# Groups of a fit's tree that hold draws.
OF_DRAWS = {"posterior", "scaffold"}
# Groups of a ladder's tree that are computed from its draws, and so need not be kept.
OF_LADDERS = {"log_likelihood", "residuals"}
OneFit = TypeVar("OneFit", bound=Fit)

# A draw is rounded to this share of its posterior sd, which adds 3e-4 to its variance; to more where draws lie so far
# out that a byte would not hold them.
STEP, _LARGEST = 1.0 / 16.0, 127
_STORED = {"zlib": True, "complevel": 9}
_SCALE, _OFFSET, _IS_LOG = "__scale", "__offset", "is_log"


def thinned(draws: xr.Dataset, per_chain: int) -> xr.Dataset:
    """Return evenly spaced draws of each chain."""
    every = max(draws.sizes["draw"] // per_chain, 1)
    return draws.isel(draw=slice(every - 1, every * per_chain, every))


def thin(fit: OneFit, per_chain: int) -> OneFit:
    """Return a fit with evenly spaced draws of each chain; its stages tell of all that were made."""
    tree = fit.tree.copy()
    for name in OF_LADDERS & set(tree.children):
        del tree[name]
    for name in (OF_DRAWS | {"sample_stats"}) & set(tree.children):
        tree[name] = xr.DataTree(thinned(fit.tree[name].to_dataset(), per_chain))
    # few energies do not tell E-BFMI: it is kept as it was measured
    energies = fit.energies.pivot(index="stage", columns="chain", values="e_bfmi")
    labels = [str(label) for label in tree["sample_stats"].to_dataset()["stage"].to_numpy()]
    tree["sample_stats"]["e_bfmi"] = xr.DataArray(energies.reindex(labels).to_numpy(float), dims=("stage", "chain"))
    made = fit.provenance.get("draws_made", fit.draws.sizes["draw"])
    return replace(fit, tree=tree, provenance={**fit.provenance, "draws_made": made})


def pack(draws: xr.Dataset) -> xr.Dataset:
    """Return draws as whole numbers, with what gives them back.

    Positive variables are rounded on the scale of their logarithm, so they stay positive.

    Parameters
    ----------
    draws : Dataset
        Variables (chain, draw, ...).
    """
    packed: dict[str, xr.DataArray] = {}
    for name, values in draws.items():
        is_log = bool((values > 0).all())
        here = xr.apply_ufunc(np.log, values) if is_log else values
        offset = here.mean(("chain", "draw"))
        farthest = abs(here - offset).max(("chain", "draw"))
        scale = xr.apply_ufunc(np.maximum, here.std(("chain", "draw")) * STEP, farthest / _LARGEST)
        scale = scale.where(scale > 0, 1.0)
        whole = ((here - offset) / scale).round().astype(np.int8)
        whole.attrs, whole.encoding = {_IS_LOG: int(is_log)}, dict(_STORED)
        packed |= {str(name): whole, f"{name}{_SCALE}": scale, f"{name}{_OFFSET}": offset}
    return xr.Dataset(packed)


def unpack(packed: xr.Dataset) -> xr.Dataset:
    """Return the draws that `pack` was given, rounded; others as they are."""
    scales = [str(name) for name in packed if str(name).endswith(_SCALE)]
    found: dict[str, xr.DataArray] = {}
    for name in (scale.removesuffix(_SCALE) for scale in scales):
        values = packed[name] * packed[f"{name}{_SCALE}"] + packed[f"{name}{_OFFSET}"]
        values = xr.apply_ufunc(np.exp, values) if packed[name].attrs[_IS_LOG] else values
        found[name] = values.transpose(*packed[name].dims)
    return xr.Dataset(found) if scales else packed
