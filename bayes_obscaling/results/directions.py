"""Directions along which capability is measured: overall, one factor, or what a task reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayes_obscaling.data.names import unknown
from bayes_obscaling.results.posterior import Posterior

if TYPE_CHECKING:
    from bayes_obscaling.results.fit import CapabilityFit

OVERALL = "overall"


class Direction(NamedTuple):
    """A direction in the space of capabilities, draw by draw: the place of theta is ``weight . (theta - centre)``.

    Attributes
    ----------
    name : str
        "overall", a factor, or a task.
    predictors : int
        The predictor set whose capabilities it measures.
    weight, centre : array (S, K)
    """

    name: str
    predictors: int
    weight: np.ndarray
    centre: np.ndarray

    def places(self, theta: np.ndarray) -> np.ndarray:
        """Places (S, N) of capabilities (S, N, K) along the direction."""
        return self.differences(theta - self.centre[:, None])

    def differences(self, theta: np.ndarray) -> np.ndarray:
        """Distances (S, N) along the direction that differences of capabilities (S, N, K) amount to."""
        return np.asarray((theta * self.weight[:, None]).sum(axis=-1))


def direction_of(fit: CapabilityFit, capability: str) -> Direction:
    """Direction of a capability, by name.

    "overall": the mean of all capabilities, each in sd over the models. A factor, by its anchor benchmark: its own
    scale. A task of the fit: what its head reads, in sd of the models whose scores are seen. Another name is refused.
    """
    posterior, layout = fit.posterior, fit.layout
    name = capability if capability == OVERALL else fit.table.find(capability) or capability
    if name in layout.tasks:
        return _of_task(posterior, name)
    theta = posterior.measurement(posterior.complete)["theta"]
    size, count = len(theta), len(layout.factors)
    if name == OVERALL:
        return Direction(name, posterior.complete, 1 / (theta.std(axis=1) * count), theta.mean(axis=1))
    if name in layout.factors:
        weight = np.tile(np.eye(count)[layout.factors.index(name)], (size, 1))
        return Direction(name, posterior.complete, weight, np.zeros((size, count)))
    raise unknown("capability", capability, [OVERALL, *layout.factors, *layout.tasks])


def _of_task(posterior: Posterior, task: str) -> Direction:
    predictors = posterior.predictors_of(task)
    weight = posterior.heads["weight"][:, posterior.layout.tasks.index(task)]
    centre, spread = (scale[:, predictors, 0] for scale in posterior.scales)
    return Direction(task, predictors, weight / np.linalg.norm(weight, axis=1, keepdims=True) / spread, centre)


def mean_direction(posterior: Posterior, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Unit vector (K,) that a task's head reads on average, in standardised capabilities, and the models' places (M,).

    One axis for all draws, to draw curves along.
    """
    predictors = posterior.predictors_of(task)
    z = posterior.standardised(posterior.measurement(predictors)["theta"], predictors).mean(axis=0)
    vector = posterior.heads["weight"][:, posterior.layout.tasks.index(task)].mean(axis=0)
    vector = vector / np.linalg.norm(vector)
    return vector, z @ vector
