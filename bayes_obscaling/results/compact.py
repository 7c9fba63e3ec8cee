"""Draws in little room: fewer of them, rounded far below their posterior standard deviation, as small whole numbers."""

from __future__ import annotations

import numpy as np
import xarray as xr

# A draw is rounded to this share of its posterior sd, which adds 3e-4 to its variance; to more where draws lie so far out
# that a byte would not hold them.
STEP, _LARGEST = 1.0 / 16.0, 127
_STORED = {"zlib": True, "complevel": 9}
_SCALE, _OFFSET, _IS_LOG = "__scale", "__offset", "is_log"


def thinned(draws: xr.Dataset, per_chain: int) -> xr.Dataset:
    """Return evenly spaced draws of each chain."""
    every = max(draws.sizes["draw"] // per_chain, 1)
    return draws.isel(draw=slice(every - 1, every * per_chain, every))


def pack(draws: xr.Dataset, per_chain: int) -> xr.Dataset:
    """Return evenly spaced draws of each chain as whole numbers, with what gives them back.

    Positive variables are rounded on the scale of their logarithm, so they stay positive.

    Parameters
    ----------
    draws : Dataset
        Variables (chain, draw, ...).
    per_chain : int
        Draws to keep of each chain.
    """
    kept = thinned(draws, per_chain)
    packed: dict[str, xr.DataArray] = {}
    for name, values in kept.items():
        is_log = bool((values > 0).all())
        values = np.log(values) if is_log else values
        offset = values.mean(("chain", "draw"))
        scale = values.std(("chain", "draw")) * STEP
        scale = np.maximum(scale, np.abs(values - offset).max(("chain", "draw")) / _LARGEST)
        scale = xr.where(scale > 0, scale, 1.0)
        whole = np.rint((values - offset) / scale).astype(np.int8)
        whole.attrs, whole.encoding = {_IS_LOG: int(is_log)}, dict(_STORED)
        packed |= {str(name): whole, f"{name}{_SCALE}": scale, f"{name}{_OFFSET}": offset}
    return xr.Dataset(packed)


def unpack(packed: xr.Dataset) -> xr.Dataset:
    """Return the draws that `pack` was given, rounded; others as they are."""
    scales = [str(name) for name in packed if str(name).endswith(_SCALE)]
    draws: dict[str, xr.DataArray] = {}
    for name in (scale.removesuffix(_SCALE) for scale in scales):
        values = packed[name] * packed[f"{name}{_SCALE}"] + packed[f"{name}{_OFFSET}"]
        draws[name] = np.exp(values) if packed[name].attrs[_IS_LOG] else values
        draws[name] = draws[name].transpose(*packed[name].dims)
    return xr.Dataset(draws) if scales else packed
