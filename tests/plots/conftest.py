"""A fit without sampling: the simulation's truth with a known spread around it."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_obscaling.data import split_by_flops
from bayes_obscaling.inference.arrays import build_problem
from bayes_obscaling.inference.convergence import Convergence
from bayes_obscaling.models.capability import COMPUTE_CENTRE, CapabilitySpec
from bayes_obscaling.results.fit import Fit, posterior_tree

CUTOFF = 10**22.6
HIDDEN = "family-2-3"
_MEASURED = (
    "intercept_mean", "intercept_sd", "slope_mean", "slope_sd", "residual_sd", "intercept", "slope", "theta",
    "loading", "difficulty", "ceiling_gap", "family_offset_sd", "family_offset", "overdispersion",
)  # fmt: skip
_FREE = ("intercept", "slope", "theta", "weight", "task_difficulty", "task_family_offset")


@pytest.fixture(scope="session")
def made_fit(simulation, tiny_spec: CapabilitySpec) -> Fit:
    rng = np.random.default_rng(3)
    table = simulation.table
    held_out = split_by_flops(table, CUTOFF).held_out
    problem = build_problem(table, ["task-0", "task-1"], held_out, [HIDDEN], tiny_spec)
    truth = simulation.truth | {"compute": np.log10(table.models["flops"].to_numpy()) - COMPUTE_CENTRE}
    values = {}
    for name, value in truth.items():
        spread = 0.15 if name in _FREE else 0.0
        draws = value + spread * rng.standard_normal((2, 150, *np.shape(value)))
        values[name] = draws[:, :, None] if name in (*_MEASURED, "compute") else draws
    return Fit(
        table=table,
        spec=tiny_spec,
        tasks=("task-0", "task-1"),
        cutoff=CUTOFF,
        held_out=held_out,
        from_compute=(HIDDEN,),
        posterior=posterior_tree(problem, values, {"diverging": np.zeros((2, 150), bool)}),
        convergence={"capabilities": Convergence(rhat=1.001, ess_bulk=900.0, ess_tail=800.0)},
        provenance={"seed": 5},
    )
