"""Hidden FLOPs, inferred and compared."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.latent_check import check_latent_compute


def test_impossible_folds_are_refused(made_fit):
    with pytest.raises(InputError, match="7 folds of 6 families"):
        check_latent_compute(made_fit.table, folds=7, whole_families=True)


@pytest.mark.slow
def test_hidden_flops_are_found_again(simulation, tiny_spec, cache_folder):
    """Data from the model itself: the intervals hold what they promise, and beat the prior by far."""
    told = []
    found = check_latent_compute(
        simulation.table,
        folds=2,
        spec=tiny_spec,
        chains=2,
        draws=100,
        cache=cache_folder,
        progress=lambda *a: told.append(a),
    )
    assert sorted(found.table["model"]) == sorted(simulation.table.models.index)
    every = found.parts["coverage"].set_index("models").loc["all"]
    assert every["n"] == 24
    # 4.5 standard errors of 24 models
    assert abs(every["coverage_90"] - 0.9) < 4.5 * np.sqrt(0.9 * 0.1 / 24)
    assert abs(every["coverage_50"] - 0.5) < 4.5 * np.sqrt(0.5 * 0.5 / 24)
    assert every["mean_abs_error"] < 0.6 * every["prior_abs_error"]
    truth = simulation.table.models["flops"]
    np.testing.assert_allclose(found.table["flops"], truth[found.table["model"]], rtol=1e-9)
    assert any(label.startswith("fold 2 of 2") for label, _, _ in told)
    ax = found.plot()
    assert ax.get_xscale() == ax.get_yscale() == "log"
