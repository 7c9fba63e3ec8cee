"""Scores against closed forms and against sums done by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.cells import pit
from bayes_obscaling.evaluation.scoring import (
    LEVELS,
    bounds,
    paired_differences,
    score_draws,
    score_points,
    score_table,
)
from bayes_obscaling.results.summaries import QUANTILES

MEAN, SD = 0.5, 0.08


def cells(**columns: object) -> pd.DataFrame:
    """Cells with intervals from ``low`` to ``high`` at every level, and whatever is named."""
    frame = pd.DataFrame(columns)
    low, high = (frame.pop(name) if name in frame else np.nan for name in ("low", "high"))
    for level in LEVELS:
        frame[bounds(level)[0]], frame[bounds(level)[1]] = low, high
    for name, value in {"setup": "s", "task": "t", "method": "bayes", "crps": 0.0, "log_score": 0.0}.items():
        if name not in frame:
            frame[name] = value
    return frame


@pytest.fixture(scope="module")
def normal() -> tuple[np.ndarray, np.ndarray]:
    """Many draws of one normal for each of some observations."""
    observed = MEAN + SD * np.array([-2.0, -0.7, 0.0, 0.4, 1.5])
    draws = np.random.default_rng(1).normal(MEAN, SD, (len(observed), 40_000))
    return draws, observed


# Draws


def test_crps_of_a_normal_is_its_closed_form(normal: tuple[np.ndarray, np.ndarray]):
    draws, observed = normal
    z = (observed - MEAN) / SD
    expected = SD * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    np.testing.assert_allclose(score_draws(draws, observed)["crps"], expected, atol=0.0012)


def test_crps_of_few_draws_is_not_biased_by_their_number(normal: tuple[np.ndarray, np.ndarray]):
    draws, observed = normal
    few = score_draws(draws.reshape(-1, 10), np.repeat(observed, 4000))["crps"]
    many = score_draws(draws, observed)["crps"].mean()
    assert few.mean() == pytest.approx(many, abs=0.0005)  # the plain estimator would be 0.0045 higher at 10 draws


def test_log_score_of_a_normal_is_its_density(normal: tuple[np.ndarray, np.ndarray]):
    draws, observed = normal
    np.testing.assert_allclose(score_draws(draws, observed)["log_score"], -norm.logpdf(observed, MEAN, SD), atol=0.08)


def test_log_score_takes_no_kernel_narrower_than_the_rounding_of_scores():
    draws = np.full((2, 300), 0.7)
    expected = -norm.logpdf([0.7, 0.703], 0.7, 0.002)
    np.testing.assert_allclose(score_draws(draws, np.array([0.7, 0.703]))["log_score"], expected, rtol=1e-6)


def test_log_score_of_a_forecast_far_off_is_large_and_finite():
    draws = np.random.default_rng(1).normal(0.7, 0.002, (1, 300))
    score = score_draws(draws, np.array([0.4]))["log_score"].item()
    assert 5e3 < score < 5e4  # (0.3 - 0.006) / 0.0025 kernel sds from the nearest draw


def test_summaries_are_those_of_the_draws():
    draws = np.arange(101)[None, :] / 100
    row = score_draws(draws, np.array([0.25])).iloc[0]
    assert row["mean"] == pytest.approx(0.5)
    assert row["median"] == 0.5
    assert row["sd"] == pytest.approx(np.sqrt((101**2 - 1) / 12) / 100)
    for level in QUANTILES:
        assert row[f"q{level:g}"] == pytest.approx(level / 100)
    assert row["pit"] == pytest.approx(25.5 / 101)  # 25 below, one equal


def test_ties_count_half_in_the_pit():
    draws = np.array([[1.0, 1.0, 1.0, 0.2], [0.0, 0.0, 0.5, 0.5]])
    assert score_draws(draws, np.array([1.0, 0.0]))["pit"].tolist() == [0.625, 0.25]


def test_pit_is_uniform_when_calibrated_and_skewed_when_biased():
    rng = np.random.default_rng(2)
    centre = rng.uniform(0.3, 0.7, 2000)
    observed = rng.normal(centre, SD)
    draws = rng.normal(centre[:, None], SD, (2000, 400))
    frames = {
        "right": score_draws(draws, observed),
        "too low": score_draws(draws - SD, observed),
        "too wide": score_draws(centre[:, None] + 3 * (draws - centre[:, None]), observed),
    }
    together = pd.concat([frame.assign(method=name, converged=True) for name, frame in frames.items()])
    tables = {name: pit(together, name).set_index("left")["n"] / 2000 for name in frames}
    shares = pd.DataFrame.from_dict(
        {name: table.rename(index=lambda at: round(at, 6)) for name, table in tables.items()}, orient="index"
    )
    assert list(shares.columns) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    np.testing.assert_allclose(shares.loc["right"], 0.1, atol=0.025)
    # A forecast one sd too low: the observed score is above the 90 % point with probability 1 - Phi(1.28 - 1).
    assert shares.loc["too low", 0.9] == pytest.approx(1 - norm.cdf(norm.ppf(0.9) - 1), abs=0.03)
    assert shares.loc["too low", 0.0] < 0.03
    assert shares.loc["too wide", [0.4, 0.5]].sum() == pytest.approx(2 * norm.cdf(3 * norm.ppf(0.6)) - 1, abs=0.03)


def test_a_pit_counts_judged_cells_alone_and_keeps_both_ends():
    frame = pd.DataFrame({"method": ["a"] * 5 + ["point"] + ["b"], "pit": [0.0, 1.0, 0.25, 0.5, np.nan, np.nan, 0.99]})
    frame["converged"] = True
    assert pit(frame, "a", bins=4)["n"].tolist() == [1, 1, 1, 1]
    assert pit(frame, "b", bins=4)["n"].tolist() == [0, 0, 0, 1]
    with pytest.raises(InputError, match="point forecasts points"):
        pit(frame, "point")


# Points


def test_a_point_has_its_absolute_error_as_crps_and_no_interval():
    frame = score_points(np.array([0.5, 0.2]), np.array([0.4, 0.5]))
    np.testing.assert_allclose(frame["crps"], [0.1, 0.3])
    assert frame["median"].tolist() == frame["mean"].tolist() == [0.5, 0.2]
    assert frame[["sd", "log_score", "pit", *(f"q{level:g}" for level in QUANTILES)]].isna().all(axis=None)
    assert list(frame) == list(score_draws(np.zeros((1, 20)), np.zeros(1)))
    table = score_table(frame.assign(observed=[0.4, 0.5], setup="s", task="t", method="point"))
    assert table[["n", "mae"]].iloc[0].tolist() == pytest.approx([2, 0.2])
    assert table[[f"{what}_90" for what in ("coverage", "interval_score", "width")]].isna().all(axis=None)


def test_the_crps_of_a_point_is_that_of_draws_without_spread():
    observed = np.array([0.48, 0.51])
    point = np.array([0.5, 0.5])
    np.testing.assert_allclose(
        score_draws(np.repeat(point[:, None], 50, axis=1), observed)["crps"], score_points(point, observed)["crps"]
    )


# Tables


def test_the_bounds_of_a_level():
    assert [bounds(level) for level in LEVELS] == [("q25", "q75"), ("q10", "q90"), ("q5", "q95"), ("q2.5", "q97.5")]


def test_interval_scores_by_hand():
    frame = cells(
        observed=[0.5, 0.1, 0.8],
        median=[0.4, 0.4, 0.4],
        low=[0.3, 0.3, 0.3],
        high=[0.7, 0.7, 0.7],
        model=["a", "b", "c"],
    )
    row = score_table(frame).iloc[0]
    # Width 0.4; misses of 0.2 below and 0.1 above, each times 2 / alpha, on average over three cells.
    for level, factor in ((50, 4), (80, 10), (90, 20), (95, 40)):
        assert row[f"interval_score_{level}"] == pytest.approx(0.4 + factor * 0.3 / 3)
        assert row[f"coverage_{level}"] == pytest.approx(1 / 3)
        assert row[f"width_{level}"] == pytest.approx(0.4)
    assert row["n"] == 3
    assert row["mae"] == pytest.approx((0.1 + 0.3 + 0.4) / 3)
    assert row["medae"] == pytest.approx(0.3)


def test_a_score_on_the_bound_is_inside():
    frame = cells(observed=[0.3, 0.7, np.nextafter(0.3, 0), 0.71], median=0.5, low=[0.3] * 4, high=[0.7] * 4)
    assert score_table(frame)["coverage_90"].item() == 0.5


def test_the_interval_score_is_least_at_the_true_quantiles():
    rng = np.random.default_rng(3)
    observed = rng.normal(MEAN, SD, 20_000)
    scores = {}
    for stretch in (0.8, 1.0, 1.25):
        half = stretch * norm.ppf(0.95) * SD
        frame = cells(
            observed=observed, median=MEAN, low=np.full(20_000, MEAN - half), high=np.full(20_000, MEAN + half)
        )
        row = score_table(frame).iloc[0]
        scores[stretch] = row["interval_score_90"]
        assert row["coverage_90"] == pytest.approx(2 * norm.cdf(stretch * norm.ppf(0.95)) - 1, abs=0.01)
    assert scores[1.0] < min(scores[0.8], scores[1.25])
    assert scores[1.0] == pytest.approx(2 * SD * norm.pdf(norm.ppf(0.95)) / 0.05, rel=0.02)


def test_groups_keep_their_order_and_pool_by_cell():
    frame = cells(
        task=["y", "y", "y", "x"],
        observed=[0.0, 0.0, 0.0, 0.0],
        median=[0.1, 0.2, 0.6, 0.5],
        crps=[1.0, 2.0, 3.0, 10.0],
    )
    by_task = score_table(frame, ("task",))
    assert by_task["task"].tolist() == ["y", "x"]
    assert by_task["n"].tolist() == [3, 1]
    np.testing.assert_allclose(by_task["mae"], [0.3, 0.5])
    np.testing.assert_allclose(by_task["medae"], [0.2, 0.5])
    np.testing.assert_allclose(by_task["crps"], [2.0, 10.0])
    pooled = score_table(frame, ())
    assert len(pooled) == 1
    assert pooled["n"].item() == 4
    assert pooled["crps"].item() == 4.0  # the mean of cells, not of groups
    assert list(score_table(frame))[:4] == ["setup", "task", "method", "n"]
    assert list(frame) == list(cells(task=["y"], observed=[0.0], median=[0.0], crps=[0.0]))  # left as it was


# Differences


def compared(difference: np.ndarray, families: list[str]) -> pd.DataFrame:
    """Cells of ours and of one other method whose CRPS differs by `difference`."""
    n = len(difference)
    base = {"model": [f"m{i}" for i in range(n)], "family": families, "observed": 0.5, "median": 0.5}
    return pd.concat(
        [
            cells(**base, method="bayes", crps=0.3 + difference),
            cells(**base, method="other", crps=0.3).sample(frac=1, random_state=1),  # in another order
        ],
        ignore_index=True,
    )


def test_the_difference_is_ours_less_theirs():
    frame = compared(np.array([-0.2, -0.1, 0.05, -0.15]), ["A", "A", "B", "C"])
    row = paired_differences(frame, "bayes").iloc[0]
    assert row["method"] == "other"
    assert (row["n"], row["families"]) == (4, 3)
    assert row["difference"] == pytest.approx(-0.1)  # negative: ours is better
    assert row["ours"] - row["theirs"] == pytest.approx(-0.1)
    assert paired_differences(frame, "other").iloc[0]["difference"] == pytest.approx(0.1)


def test_only_cells_of_both_methods_are_compared():
    frame = compared(np.array([-0.2, -0.1, 0.05, -0.15]), ["A", "A", "B", "C"])
    frame = frame[~((frame["method"] == "other") & (frame["model"] == "m0"))]
    frame = frame[~((frame["method"] == "bayes") & (frame["model"] == "m3"))]
    frame.loc[(frame["method"] == "other") & (frame["model"] == "m2"), "crps"] = np.nan
    row = paired_differences(frame, "bayes").iloc[0]
    assert row["n"] == 1
    assert row["difference"] == pytest.approx(-0.1)
    assert np.isnan(row["se"])  # one family says nothing about the spread of families


def test_differences_by_group_and_by_other_metrics():
    frame = compared(np.array([-0.2, -0.1]), ["A", "B"])
    frame["median"] = np.where(frame["method"] == "bayes", 0.6, 0.9)
    frame["log_score"] = np.where(frame["method"] == "bayes", -1.0, 0.5)
    second = frame.assign(task="u", crps=frame["crps"] + np.where(frame["method"] == "bayes", 1.0, 0.0))
    table = paired_differences(pd.concat([frame, second]), "bayes", ("task",)).set_index("task")
    np.testing.assert_allclose(table["difference"], [-0.15, 0.85])
    assert table["n"].tolist() == [2, 2]
    assert paired_differences(frame, "bayes", metric="ae")["difference"].item() == pytest.approx(0.1 - 0.4)
    assert paired_differences(frame, "bayes", metric="log_score")["difference"].item() == pytest.approx(-1.5)


def test_a_method_without_the_metric_has_no_difference():
    frame = compared(np.array([-0.2, -0.1]), ["A", "B"])
    frame.loc[frame["method"] == "other", "log_score"] = np.nan
    row = paired_differences(frame, "bayes", metric="log_score").iloc[0]
    assert row["n"] == 0
    assert np.isnan(row["difference"])


def test_models_of_a_family_that_err_together_widen_the_standard_error():
    rng = np.random.default_rng(4)
    families = np.repeat([f"f{i}" for i in range(12)], 6)
    shared = np.repeat(rng.normal(0, 0.05, 12), 6)
    alone = rng.normal(0, 0.05, 72)
    for difference, low, high in ((shared + 0.1 * alone, 2.0, 2.8), (alone, 0.6, 1.4)):
        row = paired_differences(compared(difference, list(families)), "bayes").iloc[0]
        iid = difference.std() / np.sqrt(72)
        assert low < row["se"] / iid < high  # sqrt(6) = 2.4 when families err as one
        assert row["families"] == 12
    again = paired_differences(compared(alone, list(families)), "bayes", seed=9).iloc[0]
    assert again["se"] == pytest.approx(row["se"], rel=0.1)


def test_the_standard_error_of_two_families_by_hand():
    # Families of one model each, differences d and -d: a resample has mean d, 0, 0 or -d.
    row = paired_differences(compared(np.array([0.1, -0.1]), ["A", "B"]), "bayes", resamples=20_000).iloc[0]
    assert row["se"] == pytest.approx(0.1 / np.sqrt(2), rel=0.02)
