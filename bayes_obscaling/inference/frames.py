"""Coordinates in which a posterior is round: first by its curvature at the mode, then by the spread of its draws.

A full mass matrix costs NUTS four matrix products a step, and cannot be estimated from fewer transitions than it has
rows. Moving in coordinates u of ``position = centre + root u`` is the same motion at two products a step, and the shape
is known before the first transition: the inverse of the curvature at the mode (Laplace).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# Newton steps, at most. They end where another would gain less than this, nats per dimension: so far below the mode are
# draws, and at the mode itself scales have collapsed.
_MOST_STEPS, _LEAST_GAIN = 50, 0.5
# No direction is taken for wider than a standardised parameter is by its prior.
_LEAST_CURVATURE = 0.5
# Step of the differences of gradients that curvature is made of.
_DIFFERENCE = 1e-5

Array = np.ndarray | jax.Array

# Values (m,) and slopes (m, d) of a potential at places (m, d), for m = 1 + 2 d.
Probe = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Frame(NamedTuple):
    """Coordinates u of positions ``centre + root u``."""

    centre: Array  # (d,)
    root: Array  # (d, d)

    def position(self, u: Array) -> jax.Array:
        """Position (d,) of coordinates (d,)."""
        return jnp.asarray(self.centre) + jnp.asarray(self.root) @ u

    def coordinates(self, position: Array) -> np.ndarray:
        """Coordinates (..., d) of positions (..., d)."""
        return (np.asarray(position) - self.centre) @ np.linalg.inv(self.root).T

    def mended(self, positions: Array) -> Frame:
        """The frame in which draws (chains, n, d) are round, as far as so many of them can tell it from this one.

        Their covariance within chains, in this frame, is shrunk to the unit matrix (Ledoit and Wolf 2004): a chain that
        is elsewhere than the others widens nothing.
        """
        u = self.coordinates(positions)
        u = (u - u.mean(axis=1, keepdims=True)).reshape(-1, u.shape[-1])
        n, d = u.shape
        covariance = u.T @ u / n
        noise = ((u**2).sum(axis=1) ** 2).mean() - (covariance**2).sum()
        share = float(np.clip(noise / n / ((covariance - np.eye(d)) ** 2).sum(), 0.0, 1.0))
        root = np.linalg.cholesky((1.0 - share) * covariance + share * np.eye(d))
        return Frame(np.asarray(positions).mean(axis=(0, 1)), self.root @ root)


def prober(potential: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], tuple[jax.Array, jax.Array]]:
    """What `at_mode` asks of a potential; it can be compiled."""
    return lambda places: jax.lax.map(jax.value_and_grad(potential), places)


def at_mode(probe: Probe, start: np.ndarray) -> Frame:
    """Frame of the mode that Newton steps lead to from `start` (d,), with the root of the inverse curvature there.

    Along negative curvature steps go down as along positive (Dauphin et al. 2014). Each is damped (Levenberg 1944;
    Marquardt 1963) by as much as leads lowest, of as many dampings as a probe has places.
    """
    at = np.asarray(start, float)
    axes = _DIFFERENCE * np.concatenate([np.zeros((1, len(at))), np.eye(len(at)), -np.eye(len(at))])
    dampings = np.append(0.0, np.geomspace(1e-6, 1e9, 2 * len(at)))[:, None]
    for _ in range(_MOST_STEPS):
        values, slopes = map(np.asarray, probe(at + axes))
        up, down = np.split(slopes[1:], 2)
        curvature = (up - down) / (2.0 * _DIFFERENCE)
        sizes, directions = np.linalg.eigh(0.5 * (curvature + curvature.T))
        sizes = np.maximum(np.abs(sizes), _LEAST_CURVATURE)
        along = directions.T @ slopes[0]
        if 0.5 * (along**2 / sizes).sum() < _LEAST_GAIN * len(at):
            break
        steps = -(along / (sizes + dampings)) @ directions.T
        reached = np.nan_to_num(np.asarray(probe(at + steps)[0]), nan=np.inf)
        if not reached.min() < values[0]:
            break
        at = at + steps[reached.argmin()]
    return Frame(at, directions / np.sqrt(sizes))
