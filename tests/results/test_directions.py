"""Directions of capability, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_obscaling.errors import InputError
from bayes_obscaling.results.directions import direction_of


def test_overall_is_the_mean_of_capabilities_in_sd_of_the_models(made_fit):
    theta = made_fit.posterior.measurement(0)["theta"]
    places = direction_of(made_fit, "overall").places(theta)
    scaled = (theta - theta.mean(axis=1, keepdims=True)) / theta.std(axis=1, keepdims=True)
    np.testing.assert_allclose(places, scaled.mean(axis=-1), atol=1e-12)


def test_a_factor_is_its_own_scale(made_fit):
    theta = made_fit.posterior.measurement(0)["theta"]
    np.testing.assert_allclose(direction_of(made_fit, "bench-1").places(theta), theta[..., 1], atol=1e-12)


def test_a_task_is_what_its_head_reads(made_fit):
    posterior = made_fit.posterior
    direction = direction_of(made_fit, "TASK-1")
    assert direction.name == "task-1"
    theta, weight = posterior.measurement(0)["theta"], posterior.heads["weight"][:, 1]
    z = posterior.standardised(theta, 0)
    read = np.einsum("smk,sk->sm", z, weight) / np.linalg.norm(weight, axis=1, keepdims=True)
    np.testing.assert_allclose(direction.places(theta), read, atol=1e-12)
    shift = np.ones_like(theta)
    moved = direction.places(theta + shift) - direction.places(theta)
    np.testing.assert_allclose(direction.differences(shift), moved, atol=1e-12)


def test_what_is_no_capability_is_refused(made_fit):
    with pytest.raises(InputError, match=r"no capability 'bench-3': did you mean"):
        direction_of(made_fit, "bench-3")
