"""The published point estimate, to the digits it was printed with."""

import numpy as np
import pytest

from bayes_obscaling.data import load_olmo_ladder
from bayes_obscaling.evaluation.ladder_baseline import fit_point_estimate
from bayes_obscaling.results.ladder_forecast import OLMO_MODELS

# Bhagia et al. (2024) and their repository: fitted parameters, and predictions for 7B-4T and 13B-5T in per cent.
PARAMETERS = {
    "hellaswag": (2.42, 4.10, 0.196, 0.256, 0.502),
    "mmlu": (3.64, 4.61, 0.226, 0.236, 0.454),
    "arc_challenge": (13.46, 3.65, 0.788, 0.197, 0.655),
    "piqa": (6.01, 2.32, 0.398, 0.153, 0.722),
}
PREDICTIONS = {
    "mmlu": (48.4, 51.3),
    "hellaswag": (82.5, 85.3),
    "arc_challenge": (51.5, 52.7),
    "arc_easy": (76.6, 77.2),
    "piqa": (81.2, 82.1),
    "csqa": (75.7, 77.6),
    "socialiqa": (58.7, 59.9),
    "openbookqa": (44.2, 44.9),
}


@pytest.fixture(scope="module")
def point():
    return fit_point_estimate(load_olmo_ladder())


def test_published_parameters(point):
    for task, (ln_a, ln_b, alpha, beta, e) in PARAMETERS.items():
        row = point.parameters.loc[task]
        assert [round(row["ln_A"], 2), round(row["ln_B"], 2)] == [ln_a, ln_b]
        assert [round(row[name], 3) for name in ("alpha", "beta", "E")] == [alpha, beta, e]


def test_published_predictions(point):
    predicted = point.predict(OLMO_MODELS[:2]).set_index(["task", "model"])["accuracy"]
    for task, printed in PREDICTIONS.items():
        assert [round(100 * predicted[task, model], 1) for model in ("7B", "13B")] == list(printed)


def test_draws_spread_around_the_points(point):
    draws = point.draws(OLMO_MODELS[:1], count=20_000)
    predicted = point.predict(OLMO_MODELS[:1])
    assert np.allclose(np.median(draws["loss"][:, 0], axis=0), predicted["loss"], rtol=1e-3)
    spread = np.log(draws["loss"][:, 0]).std(axis=0)
    assert np.allclose(spread, point.loss_sd, rtol=0.03)
    given = point.draws(OLMO_MODELS[:1], predicted["loss"].to_numpy()[None], count=20_000)["accuracy_given_loss"]
    assert np.allclose(given[:, 0].std(axis=0), point.accuracy_sd, rtol=0.03)
    assert (draws["accuracy"][:, 0].std(axis=0) > 0.97 * given[:, 0].std(axis=0)).all()


def test_final_values_serve_where_there_are_no_checkpoints(point):
    ladder = load_olmo_ladder()
    bare = type(ladder)(ladder.runs, ladder.tasks, ladder.values)
    without = fit_point_estimate(bare).predict(OLMO_MODELS[:1])["accuracy"]
    assert 0.02 < np.abs(without - point.predict(OLMO_MODELS[:1])["accuracy"]).max() < 0.06
