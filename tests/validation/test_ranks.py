from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from synthetic import Scatter

from bayes_obscaling.data import Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.cache import use_compile_cache
from bayes_obscaling.inference.sampler import Model
from bayes_obscaling.models.layout import lay_out
from bayes_obscaling.models.priors import Priors
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.stages import Settings
from bayes_obscaling.validation import ranks as module
from bayes_obscaling.validation import simulate
from bayes_obscaling.validation.coverage import recovery_table, shrinkage_table
from bayes_obscaling.validation.ranks import (
    Calibration,
    Subject,
    calibrate,
    ecdf_envelope,
    load_calibration,
    rank_values,
)
from bayes_obscaling.validation.subjects import SUBJECTS, heads_subject, measurement_subject

QUICK = {"settings": Settings(warmup=200, thin=2, target_accept=0.8, max_depth=5), "draws": 200}


@pytest.fixture
def layout(simulate, tiny_spec):
    table = simulate(3, tiny_spec, n_families=4, per_family=3, n_benchmarks=4).table
    models = list(table.models.index)
    return lay_out(table, ["task-0", "task-1"], Split("last", models[-3:], models[-1:]), tiny_spec)


def of_ranks(ranks: np.ndarray) -> Calibration:
    names = [f"q{i}" for i in range(ranks.shape[1])]
    about = pd.DataFrame({"seconds": 1.0, "rounds": 1, "divergences": 0, "smallest_ess": 99}, index=range(len(ranks)))
    return Calibration("made up", pd.DataFrame(ranks, columns=names), about)


def test_rank_counts_draws_below_and_splits_ties_evenly():
    rng = np.random.default_rng(0)
    draws = np.stack([np.arange(9.0), np.zeros(9)], axis=1)
    ranks = np.array([rank_values(np.array([3.5, 0.0]), draws, rng) for _ in range(2000)])
    assert (ranks[:, 0] == 4).all()
    np.testing.assert_allclose(np.bincount(ranks[:, 1], minlength=10) / 2000, 0.1, atol=0.03)


def test_envelope_holds_even_ranks_as_often_as_it_says():
    n, rng = 60, np.random.default_rng(1)
    z, low, high = ecdf_envelope(n, 100)
    counts = rng.multinomial(n, np.full(100, 0.01), size=2000).cumsum(axis=1)[:, :-1]
    inside = ((counts / n - z >= low - 1e-9) & (counts / n - z <= high + 1e-9)).all(axis=1)
    assert 0.93 < inside.mean() < 0.98


def test_uneven_ranks_are_told_from_even_ones():
    rng = np.random.default_rng(2)
    even = rng.integers(0, 100, (200, 2))
    low = (100 * rng.beta(1.0, 2.0, 200)).astype(int)  # truths too low: biased
    ends = (100 * rng.beta(0.4, 0.4, 200)).astype(int)  # truths at the ends: posterior too narrow
    table = of_ranks(np.column_stack([even, low, ends])).uniformity()
    assert (table["p_ecdf"] > 0.01).tolist() == [True, True, False, False]
    assert (table["p_chi2"] > 0.01).tolist() == [True, True, False, False]
    assert table.at["q2", "mean"] < 0.4 and table.at["q3", "spread"] > 1.2


def test_fits_that_did_not_converge_can_be_set_apart():
    calibration = of_ranks(np.random.default_rng(2).integers(0, 100, (30, 2)))
    calibration.about.loc[[3, 7], "smallest_ess"] = 12
    kept = calibration.converged()
    assert len(kept.ranks) == len(kept.about) == 28 and not {3, 7} & set(kept.ranks.index)
    assert "28 data sets" in kept.sentences()[0] and "7%" in calibration.sentences()[-1]


def test_plot_names_what_leaves_the_envelope():
    ranks = np.column_stack([np.arange(100), np.zeros(100, int)])
    ax = of_ranks(ranks).plot()
    (caption,) = [text.get_text() for text in ax.texts]
    assert "1 of 2 quantities" in caption and "q1" in caption


def coin(rng):
    """A normal mean with a normal prior, and one observation."""
    mean = rng.standard_normal(1)
    return {"mean": mean}, jnp.asarray(mean + rng.standard_normal(1))


def normal(data, _):
    import numpyro
    import numpyro.distributions as dist

    mean = numpyro.sample("mean", dist.Normal(0.0, 1.0).expand((1,)))
    numpyro.sample("seen", dist.Normal(mean, 1.0), obs=data)


@pytest.fixture
def toy():
    settings = Settings(warmup=100, thin=2)
    start = lambda *_: {"mean": np.zeros(1)}  # noqa: E731
    return Subject("toy", Model(normal), coin, start, lambda *_: {}, ("mean",), settings, 200)


@pytest.fixture
def run(toy):
    """Calibrate the toy; draws are scattered, since only the book-keeping is tested."""
    sampler = Scatter()
    return partial(calibrate, toy, sampler=sampler)


def test_calibration_resumes_where_it_was_stopped(run, tmp_path):
    whole = run(3, tmp_path / "whole").ranks
    stopped: list[int] = []

    def stop(_name, done, _sets):
        stopped.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(3, tmp_path / "parts", progress=stop)
    pd.testing.assert_frame_equal(run(3, tmp_path / "parts").ranks, whole)
    pd.testing.assert_frame_equal(load_calibration(tmp_path / "parts" / "ranks-toy.csv").ranks, whole)
    assert stopped == [1]


def test_ranks_of_other_settings_are_refused(run, tmp_path):
    run(1, tmp_path)
    with pytest.raises(InputError, match="other priors, settings or seed"):
        run(2, tmp_path, seed=1)


def test_simulated_data_keep_the_bundled_shapes():
    truth, (data, _) = measurement_subject().simulate(np.random.default_rng(0))
    assert data.score.shape == (77, 8) and truth["hidden_score"].shape == (4, 8)
    assert not np.asarray(data.seen).all()
    truth, (z, scores, *_) = heads_subject().simulate(np.random.default_rng(0))
    assert scores.score.shape[0] == z.shape[0] == 77 and np.isfinite(truth["log_likelihood"])


def test_every_prior_of_the_model_is_ranked():
    bent = {"compute_law": "box-cox", "curve": "asymmetric", "task_curve": "asymmetric", "drift": "model"}
    measured, headed = (subject(spec=CapabilitySpec(**bent)) for subject in (measurement_subject, heads_subject))
    sized = measurement_subject(spec=CapabilitySpec(compute_law="size-and-data"))
    assert set(measured.ranked) >= {"slope_mean", "loading", "difficulty", "asymmetry", "drift", "compute", "newcomer"}
    assert set(headed.ranked) >= {"share_mean", "steepness_median", "steepness", "task_ceiling_gap"}
    of_part = {
        "signed_loading": "loading",
        "label_errors": "ceiling_gap",
        "unknown_compute": "compute",
        "unknown_ratio": "ratio",
        "steepness": "steepness_median",
    }
    # chance: the tables that are simulated say theirs; tests/models/test_chance.py draws it
    believed = {of_part.get(name, name) for name in Priors.model_fields} - {"chance"}
    assert believed <= {*measured.ranked, *sized.ranked, *headed.ranked, *SUBJECTS["sparse"]().ranked}
    for subject in (measured, sized, headed):
        assert set(subject.ranked) <= set(subject.simulate(np.random.default_rng(1))[0])


def test_simulated_ladders_go_with_the_constants_of_the_bundled_one():
    from bayes_obscaling.validation.ladder_subject import ladder_subject

    subject = ladder_subject()
    truth, (data, _) = subject.simulate(np.random.default_rng(0))
    least = np.asarray(data.loss).min(axis=0)
    assert ((least > 0.75) & (least < 4 / 3)).all() and data.accuracy.shape == (16, 8)
    assert truth["target_accuracy"].shape == (8,)
    assert set(subject.ranked) <= set(truth)
    assert set(subject.ranked) >= {"size_exponent", "bend_shared", "coupling", "steepness", "midpoint", "target_loss"}


def test_recovery_and_shrinkage_tables_count_what_is_inside():
    frame = pd.DataFrame(
        {
            "name": ["slope_mean"] * 2 + ["slope effect"] * 2,
            "truth": [0.0, 3.0, 0.0, 0.0],
            "low": -1.0,
            "high": 1.0,
            "models": [np.nan, np.nan, 1, 8],
            "sd": [np.nan, np.nan, 1.0, 0.5],
            "condition": "as assumed",
            "set": 0,
        }
    )
    recovered = recovery_table(pd.concat([frame, frame.assign(condition="kink", truth=9.0)])).set_index("parameter")
    assert recovered.at["slope_mean", "coverage_90"] == 0.5 and recovered.at["all", "n"] == 4
    assert shrinkage_table(frame).set_index("models")["sd"].to_dict() == {"1": 1.0, "5+": 0.5}


def steeper(subject: Subject) -> Subject:
    """Simulate with loadings twice as large as what is believed."""

    def draw(rng):
        truth, (data, priors) = subject.simulate(rng)
        wrong = {**truth, "loading": truth["loading"] * np.where(np.eye(4, 2).any(axis=1), 1.0, 2.0)[:, None]}
        p = simulate.benchmark_curve(wrong, data)
        score = p + simulate.benchmark_sd(p, truth, data) * rng.standard_normal(p.shape)
        return truth, (data._replace(score=jnp.asarray(score)), priors)

    return replace(subject, name="steeper", simulate=draw)


def noisier(subject: Subject) -> Subject:
    """Fit as if only counting items made scores scatter: data have three times that noise."""

    def draw(rng):
        truth, (data, priors) = subject.simulate(rng)
        p = simulate.benchmark_curve(truth, data)
        return truth, (data._replace(score=jnp.asarray(p + 3.0 * (np.asarray(data.score) - p))), priors)

    return replace(subject, name="noisier", simulate=draw)


@pytest.mark.slow
def test_ranks_are_even_for_the_right_model_and_not_for_wrong_ones(
    layout, tiny_spec, tmp_path, cache_folder, monkeypatch
):
    monkeypatch.setattr(module, "MOST_ROUNDS", 1)
    use_compile_cache(cache_folder)  # three of the four are one program
    right = measurement_subject(layout, tiny_spec, **QUICK)
    heads = heads_subject(layout, tiny_spec, **QUICK)
    smallest = {}
    for subject in (right, heads, steeper(right), noisier(right)):
        smallest[subject.name] = calibrate(subject, 40, tmp_path).uniformity()["p_chi2"].min()
    # Among 50 quantities a p-value below 1e-5 has odds of 1 to 2000.
    assert smallest["measurement"] > 1e-5 and smallest["heads"] > 1e-5, smallest
    assert smallest["steeper"] < 1e-5 and smallest["noisier"] < 1e-5, smallest
