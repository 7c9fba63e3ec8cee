"""Faults that are planted are found, where they were planted; a healthy fit is left in peace."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import integrate, stats

from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.models.priors import Beta, HalfNormal, Normal
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.plots import diagnostics as plots
from bayes_obscaling.results.convergence import RHAT_LIMIT, rhat_text
from bayes_obscaling.results.diagnostics import Diagnosis, diagnose
from bayes_obscaling.results.diagnostics.influence import influence_table
from bayes_obscaling.results.diagnostics.priors import power_scaled, prior_table
from bayes_obscaling.results.diagnostics.sampler import check_sampler
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.leave_one_out import leave_one_out, models, tasks
from bayes_obscaling.results.storage import open_fit


def _with_draws(
    fit: CapabilityFit, change: Callable[[xr.Dataset], xr.Dataset], group: str = "posterior"
) -> CapabilityFit:
    tree = fit.tree.copy()
    tree[group] = xr.DataTree(change(tree[group].to_dataset()))
    return dataclasses.replace(fit, tree=tree)


@pytest.fixture(scope="module")
def healthy(made_fit: CapabilityFit) -> CapabilityFit:
    """Draws around the truth, as if they had been sampled long enough."""
    return made_fit


@pytest.fixture(scope="module")
def found(healthy: CapabilityFit) -> Diagnosis:
    return diagnose(healthy)


def _level(fit: CapabilityFit, name: str) -> tuple[str, str]:
    check = next(check for check in check_sampler(fit) if check.check == name)
    return check.level, check.what


def test_nothing_fails_in_a_healthy_fit(found: Diagnosis) -> None:
    assert found.verdict != "FAIL"
    for name in ("R-hat", "bulk ESS", "tail ESS", "divergences", "E-BFMI", "modes", "surprising", "prior conflict"):
        assert found.level(name) == "PASS", found.table[found.table["check"].str.startswith(name)].to_string()
    assert found.sentences[0].startswith(found.verdict)
    assert found.to_dict()["verdict"] == found.verdict
    for row in found.table.itertuples():
        assert bool(row.remedy) == (row.level != "PASS"), row.check


def test_a_fit_sampled_too_briefly_fails_for_that_alone(tiny_fit: CapabilityFit) -> None:
    failed = {check.check for check in check_sampler(tiny_fit) if check.level == "FAIL"}
    assert "bulk ESS" in failed
    assert failed <= {"R-hat", "bulk ESS", "tail ESS"}


def test_a_chain_elsewhere_fails(healthy: CapabilityFit) -> None:
    def shift(draws: xr.Dataset) -> xr.Dataset:
        moved = draws.copy(deep=True)
        far = 8 * moved["theta"].std(("chain", "draw"))
        moved["theta"] = moved["theta"] + far * (moved["theta"]["chain"] == 1)
        return moved.transpose("chain", "draw", ...)

    sick = _with_draws(healthy, shift)
    level, what = _level(sick, "R-hat")
    assert level == "FAIL" and "theta" in what
    level, what = _level(sick, "modes")
    assert level == "FAIL" and "theta" in what


@pytest.mark.parametrize(("switch", "said"), [("labels", "labels switched"), ("sign", "sign of bench-1 switched")])
def test_switched_factors_are_named(healthy: CapabilityFit, switch: str, said: str) -> None:
    def change(draws: xr.Dataset) -> xr.Dataset:
        moved = draws.copy(deep=True)
        theta = moved["theta"].to_numpy()
        theta[..., 0] += np.linspace(-3, 3, theta.shape[-2])  # factors that differ
        theta[1] = theta[1][..., ::-1] if switch == "labels" else theta[1] * np.array([1.0, -1.0])
        return moved

    level, what = _level(_with_draws(healthy, change), "modes")
    assert level == "FAIL"
    assert said in what and "chain" in what


def test_divergences_are_counted_and_placed(healthy: CapabilityFit) -> None:
    def diverge(stats: xr.Dataset) -> xr.Dataset:
        moved = stats.copy(deep=True)
        moved["diverging"].loc[{"stage": "task heads"}][1, 10:13] = True
        return moved

    level, what = _level(_with_draws(healthy, diverge, "sample_stats"), "divergences")
    assert level == "FAIL"
    assert what == "3 (task heads, chain 2)"


def test_the_record_of_divergences_counts_too(healthy: CapabilityFit) -> None:
    stages = tuple(
        stage.model_copy(update={"convergence": stage.convergence.model_copy(update={"divergences": 2})})
        for stage in healthy.stages
    )
    assert _level(dataclasses.replace(healthy, stages=stages), "divergences")[1].startswith("4")


def _slow_energy(fit: CapabilityFit, correlation: float) -> CapabilityFit:
    """Energies that run up and down evenly, with the correlation of neighbouring kept draws: no chance in it."""

    def wave(stats: xr.Dataset) -> xr.Dataset:
        moved = stats.copy(deep=True)
        steps = np.arange(stats.sizes["draw"]) * np.arccos(correlation)
        moved["energy"] = xr.zeros_like(stats["energy"]) + xr.DataArray(np.sin(steps), dims="draw")
        return moved.transpose("chain", "draw", "stage")

    return _with_draws(fit, wave, "sample_stats")


def test_slow_energy_is_measured_per_transition(healthy: CapabilityFit) -> None:
    # Correlation .5 of kept draws, five transitions apart: 2 (1 - .5^(1/5)) = .26 per transition.
    slow = _slow_energy(healthy, 0.5).energies.query("stage == 'task heads'")["e_bfmi"]
    np.testing.assert_allclose(slow, 2 * (1 - 0.5**0.2), atol=0.01)


def test_a_stage_is_judged_by_the_settings_that_it_records(healthy: CapabilityFit) -> None:
    thin = {stage.label: stage.settings.thin for stage in healthy.stages}
    once = tuple(
        stage.model_copy(update={"settings": stage.settings.model_copy(update={"thin": 1, "max_depth": 3})})
        for stage in healthy.stages
    )
    other = dataclasses.replace(_slow_energy(healthy, 0.5), stages=once)
    assert set(thin.values()) == {1, 5}
    np.testing.assert_allclose(other.energies["e_bfmi"], 1.0, atol=0.02)
    assert _level(healthy, "tree depth")[1].startswith("0.0%")  # 7 steps of at most 63 and more
    assert _level(other, "tree depth")[1].startswith("100.0%")  # of at most 7


def test_draws_that_no_sampler_made_have_no_energies_or_trees(healthy: CapabilityFit) -> None:
    tree = healthy.tree.copy()
    del tree["sample_stats"]
    checks = {check.check for check in check_sampler(dataclasses.replace(healthy, tree=tree))}
    assert {"R-hat", "divergences", "modes"} <= checks
    assert not {"E-BFMI", "tree depth"} & checks


def test_the_verdict_travels_with_the_forecast(healthy: CapabilityFit) -> None:
    sound = forecast(healthy)
    assert (sound.to_dataframe()["verdict"] == "PASS").all()
    slow = forecast(_slow_energy(healthy, 0.5))
    assert (slow.to_dataframe()["verdict"] == "REVIEW").all()
    assert "E-BFMI" in slow.warnings[0]
    stuck = forecast(_slow_energy(healthy, 0.9))
    assert (stuck.to_dataframe()["verdict"] == "FAIL").all() and not stuck.to_dataframe()["converged"].any()
    for result, said in ((sound, "converged"), (slow, "to be reviewed"), (stuck, "NOT CONVERGED")):
        ax = result.plot(task="task-0")
        caption = " ".join(text.get_text() for text in ax.texts if text.get_gid() in ("caption", "verdict"))
        assert said in caption.replace("\n", " ")
        plt.close(ax.figure)


def _with_score(table: ScoreTable, model: str, benchmark: str, score: float) -> ScoreTable:
    scores = table.scores.copy()
    scores.loc[(scores["model"] == model) & (scores["benchmark"] == benchmark), "score"] = score
    return ScoreTable(table.models, table.benchmarks, scores, table.notes)


def test_a_corrupted_score_stands_out(healthy: CapabilityFit, found: Diagnosis) -> None:
    before = found.parts["scores"].set_index(["model", "benchmark"])
    for model, benchmark in (("family-3-1", "bench-3"), ("family-1-1", "task-0")):
        honest = before.loc[(model, benchmark)]
        wrong = honest["observed"] + (-0.4 if honest["observed"] > 0.5 else 0.4)
        sick = dataclasses.replace(healthy, table=_with_score(healthy.table, model, benchmark, wrong))
        scores = pd.concat([stage.scores for stage in leave_one_out(sick)]).set_index(["model", "benchmark"])
        far = scores["z"].abs()
        oddest = scores.index[far >= far.max() - 1e-9]  # several where z is as large as it can be
        # or a sibling: a family's offset is learned from all of its scores
        family = model.rpartition("-")[0]
        assert any(name.rpartition("-")[0] == family and on == benchmark for name, on in oddest)
        assert scores.loc[(model, benchmark), "z"] * (wrong - honest["observed"]) > 0
        assert abs(scores.loc[(model, benchmark), "z"]) > 4 > abs(honest["z"])
        if benchmark.startswith("bench"):  # the tails of task noise bound the weights
            assert scores.loc[(model, benchmark), "pareto_k"] > 0.7


def test_absurd_priors_are_told(healthy: CapabilityFit) -> None:
    tight = healthy.spec.priors.model_copy(
        update={"slope_mean": Normal(loc=-3.0, scale=0.05), "task_difficulty": Normal(loc=6.0, scale=0.1)}
    )
    sick = diagnose(dataclasses.replace(healthy, spec=healthy.spec.model_copy(update={"priors": tight})))
    assert sick.level("prior conflict") == "REVIEW"
    worst = sick.parts["priors"].query("tail < 0.002")
    assert set(worst["prior"]) == {"slope_mean", "task_difficulty"}
    moving = sick.parts["sensitivity"].query("component == 'prior' and name != 'all priors'")
    assert moving["name"].iloc[0] in ("slope_mean", "task_difficulty")
    assert sick.level("prior sensitivity") == "REVIEW"


def test_priors_are_those_of_the_spec(healthy: CapabilityFit) -> None:
    priors = healthy.spec.priors.model_copy(
        update={"loading": HalfNormal(scale=2.0), "ceiling_gap": Beta(a=2.0, b=8.0)}
    )
    fit = dataclasses.replace(healthy, spec=healthy.spec.model_copy(update={"priors": priors}))
    table = prior_table(fit).set_index("parameter")
    # by the posterior variable that users see, only those entries that have a prior of their own
    assert table.loc["loading[bench-3, bench-1]", "prior_median"] == pytest.approx(2.0 * stats.halfnorm.median())
    assert "loading[bench-0, bench-0]" not in table.index  # an anchor
    assert table.loc["ceiling_gap[bench-0]", "prior_q95"] == pytest.approx(stats.beta(2.0, 8.0).ppf(0.95))
    steepness = table.loc["steepness_median"]
    assert (steepness["prior"], steepness["prior_median"]) == ("steepness", pytest.approx(priors.steepness.median))
    assert set(table["prior"]) <= set(type(priors).model_fields)
    values = fit.draws["loading"].isel(predictors=0).sel(benchmark="bench-3", factor="bench-1")
    assert table.loc["loading[bench-3, bench-1]", "median"] == pytest.approx(float(values.median()))


def test_scores_of_a_model_have_the_density_of_a_brute_integral(made_fit: CapabilityFit) -> None:
    """Laplace's method against a million draws of the capabilities from their prior."""
    data = made_fit.layout.measurements[0]
    draws = {name: values[[7]] for name, values in made_fit.posterior.measurement(0).items()}
    found = models.log_densities(data, draws)[0]
    d = {name: value[0] for name, value in draws.items()}
    rng, chance = np.random.default_rng(0), np.asarray(data.chance)
    for m in (0, 9, 22):
        f = int(data.family[m])
        theta = d["intercept"][f] + d["slope"][f] * d["compute"][m]
        theta = theta + d["residual_sd"] * rng.standard_normal((1_000_000, 2))
        eta = theta @ d["loading"].T + d["difficulty"] + d["family_offset"][f]
        p = chance + (1 - chance) * (1 - d["ceiling_gap"]) / (1 + np.exp(-eta))
        sd = np.sqrt(p * (1 - p) * (np.asarray(data.inv_items)[m] + d["overdispersion"] ** 2) + 0.01**2)
        brute = np.logaddexp.reduce(stats.norm.logpdf(np.asarray(data.score)[m], p, sd).sum(axis=1)) - np.log(1e6)
        assert found[m] == pytest.approx(brute, abs=0.15)
    hidden = made_fit.layout.models.index("family-2-3")
    assert found[hidden] == pytest.approx(0.0, abs=1e-9)  # nothing seen, nothing learned


def test_a_task_score_has_the_density_of_a_brute_integral() -> None:
    """Laplace's method against quadrature over the family's offset."""
    rng = np.random.default_rng(2)
    score = np.array([[0.35, 0.1], [0.52, 0.16], [0.7, 0.2]])  # (model, task)
    z, inv_items = np.array([[[-0.4]] * 2, [[0.3]] * 2, [[0.9]] * 2]), np.full((3, 2), 0.002)
    chance, sd = np.array([0.0, 0.05]), np.array([0.4, 0.8])
    weight, difficulty = rng.normal(1.2, 0.1, (2, 1)), np.array([0.1, -1.9])
    gap, spread = np.full(2, 0.01), np.full(2, 0.05)
    seen = np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    p = {
        "weight": weight,
        "task_difficulty": difficulty,
        "task_family_offset_sd": sd,
        "task_ceiling_gap": gap,
        "task_overdispersion": spread,
    }
    one = {name: value[None] for name, value in p.items()}
    found = tasks.offset_densities(one, z[None], (score, seen, inv_items, chance), 0.02)[0][0]

    def evidence(t: int, models: list[int]) -> float:
        def density(v: float) -> float:
            eta = (z[models, t] * weight[t]).sum(axis=-1) + difficulty[t] + v
            p = chance[t] + (1 - chance[t]) * (1 - gap[t]) / (1 + np.exp(-eta))
            scale = np.sqrt(p * (1 - p) * (0.002 + spread[t] ** 2) + 0.02**2)
            return float(np.prod(stats.t.pdf((score[models, t] - p) / scale, 10) / scale) * stats.norm.pdf(v, 0, sd[t]))

        return float(np.log(integrate.quad(density, -5, 5, points=(-0.5, 0.0, 0.5), limit=200)[0]))

    assert found[1, 0] == pytest.approx(evidence(0, [0, 1, 2]) - evidence(0, [0, 2]), abs=0.1)
    assert found[2, 1] == pytest.approx(evidence(1, [0, 2]) - evidence(1, [0]), abs=0.1)


def test_influence_is_the_shift_under_the_weights(healthy: CapabilityFit) -> None:
    measured, heads = leave_one_out(healthy)
    count = len(measured.kept)
    values = np.zeros((healthy.draws.sizes["chain"] * healthy.draws.sizes["draw"], 2))
    values[measured.kept] = np.arange(count)[:, None] * [1.0, -2.0]
    forecasts = xr.DataArray(
        values.reshape(2, -1, 2),
        dims=("chain", "draw", "quantity"),
        coords={
            "quantity": ["a", "b"],
            "task": ("quantity", ["task-0"] * 2),
            "model": ("quantity", ["family-0-0", "x"]),
        },
    )
    weights = xr.full_like(measured.log_weights, -np.log(count))
    weights[:, 0] = -np.inf
    weights[-1, 0] = 0.0  # without the first model, only the last draw is left
    flat = dataclasses.replace(heads, log_weights=xr.full_like(heads.log_weights, -np.log(count)))
    table = influence_table(healthy, (dataclasses.replace(measured, log_weights=weights), flat), forecasts)
    first = table.iloc[0]
    assert (first["model"], first["left_out"], first["forecast"]) == ("family-0-0", "benchmark scores", "b")
    assert first["score_shift"] == pytest.approx(-(count - 1))
    assert first["shift"] == pytest.approx(-(count - 1) / np.std(2.0 * np.arange(count)))
    assert table["shift"].iloc[1:].abs().max() == pytest.approx(0.0, abs=1e-9)


def test_leave_one_out_predictions_are_calibrated(found: Diagnosis) -> None:
    """The data come from the model, so PIT values are uniform up to chance."""
    pit = found.parts["scores"]["pit"]
    assert 0.42 < pit.mean() < 0.58
    assert 0.8 < pit.between(0.05, 0.95).mean() <= 1.0
    assert found.level("calibration") == "PASS"


def test_a_saved_fit_is_judged_the_same(healthy: CapabilityFit, found: Diagnosis, tmp_path: Path) -> None:
    again = diagnose(open_fit(healthy.save(tmp_path / "fit.nc")))
    pd.testing.assert_frame_equal(again.table[["check", "level"]], found.table[["check", "level"]])
    pd.testing.assert_frame_equal(again.parts["sensitivity"], found.parts["sensitivity"])


def test_every_plot_draws_its_table(found: Diagnosis) -> None:
    for name, draw in plots.PLOTS.items():
        ax = draw(found)
        assert ax.get_title(loc="left"), name
        plt.close(ax.figure)
    ax = plots.plot_pareto_k(found, stage="task heads")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["task-0", "task-1"]
    image = np.asarray(ax.images[0].get_array().filled(np.nan))
    expected = found.parts["scores"].query("stage == 'task heads'")["pareto_k"]
    np.testing.assert_allclose(np.sort(image[np.isfinite(image)]), np.sort(expected))
    ax = plots.plot_ranks(found, parameter="share_sd")
    assert "share_sd" in ax.get_title(loc="left")
    axes = found.plots()
    assert len(axes) >= len(plots.PLOTS)
    plt.close("all")


def test_a_diagnosis_is_drawn_on_pages_of_a_readable_size(found: Diagnosis) -> None:
    axes = found.plots()
    figures = {ax.figure.number: ax.figure for ax in axes}
    assert len(figures) == len(plots.PAGES)
    assert max(figure.get_figheight() for figure in figures.values()) <= 11
    assert not [text for ax in axes for text in ax.texts if text.get_text().endswith(("...", "…"))]
    shown = "".join("".join(text.get_text().split()) for text in axes[0].texts)
    assert all("".join(what.split()) in shown for what in found.table["what"])
    with pytest.raises(InputError, match="no page 'tea'"):
        plots.plot_page(found, "tea")
    plt.close("all")


def test_an_r_hat_near_its_limit_has_the_digits_that_show_the_side() -> None:
    for rhat in (1.0, 1.00949, 1.00999, 1.0100003, 1.0149, 1.2):
        assert (float(rhat_text(rhat)) < RHAT_LIMIT) == (rhat < RHAT_LIMIT)
    assert (rhat_text(1.0049), rhat_text(1.00999), rhat_text(1.01001)) == ("1.005", "1.00999", "1.01001")


def test_a_trace_holds_the_draws_of_its_parameter(found: Diagnosis) -> None:
    table = found.trace("share_sd")
    draws = found.fit.draws["share_sd"].transpose("chain", "draw")
    np.testing.assert_array_equal(table["value"].to_numpy().reshape(draws.shape), draws)
    assert table["rank"].max() > 0.99 and table["rank"].mean() == pytest.approx(0.5, abs=0.01)
    parameters = found.parts["parameters"]
    assert found.trace()["rhat"].iloc[0] == parameters["rhat"].max()
    assert set(table["chain"]) == {chain + 1 for chain in range(len(draws["chain"]))}


def test_what_cannot_be_drawn_is_said(found: Diagnosis) -> None:
    with pytest.raises(InputError, match="no stage 'tea'"):
        plots.plot_loo_pit(found, stage="tea")
    with pytest.raises(InputError, match="no parameter 'tea'"):
        plots.plot_trace(found, parameter="tea")


def test_command_line(run: Callable[..., tuple[int, str, str]], healthy: CapabilityFit, tmp_path: Path) -> None:
    good, bad = healthy.save(tmp_path / "good.nc"), _slow_energy(healthy, 0.9).save(tmp_path / "bad.nc")
    folder = tmp_path / "plots"
    folder.mkdir()
    tables = tmp_path / "tables"  # made if need be
    code, out, _ = run("diagnose", good, "--output", tmp_path / "checks.csv", "--plot", folder, "--details", tables)
    assert code == 0
    table = pd.read_csv(tmp_path / "checks.csv")
    assert list(table) == ["check", "level", "what", "reason", "remedy"]
    assert f"{good}"[-10:] in out.replace("\n", "") and "R-hat" in out
    assert {f"{name}.png" for name in plots.PLOTS} <= {file.name for file in folder.iterdir()}
    assert len(pd.read_csv(tables / "scores.csv")) > 100
    code, out, err = run("diagnose", bad, "--json")
    assert code == 1
    assert '"verdict": "FAIL"' in out and "FAIL" in err
    assert run("diagnose", tmp_path / "none.nc")[0] == 2
    assert "give a folder" in run("diagnose", good, "--details", bad)[2]


@pytest.mark.slow
def test_diagnosis_of_a_joint_posterior(
    simulate: Callable[..., Any], tiny_spec: CapabilitySpec, cache_folder: Path, tmp_path: Path
):
    joint = tiny_spec.model_copy(update={"posterior": "joint"})
    fitted = fit_table(
        simulate(11, tiny_spec).table,
        ["task-0", "task-1"],
        cutoff=10**22.6,
        spec=joint,
        chains=2,
        draws=200,
        seed=5,
        cache=cache_folder,
    )
    diagnosis = diagnose(open_fit(fitted.save(tmp_path / "joint.nc")))
    stages = set(diagnosis.parts["parameters"]["stage"])
    assert stages == {"joint"} and set(diagnosis.parts["scores"]["stage"]) == {"joint", "task heads"}
    assert diagnosis.level("bulk ESS") == "FAIL"  # 400 draws
    for stage, scores in diagnosis.parts["scores"].groupby("stage"):
        assert np.isfinite(scores["elpd"]).all() and scores["pit"].between(0, 1).all(), stage
    inside = diagnosis.parts["scores"]["pit"].between(0.05, 0.95).mean()
    assert 0.8 < inside < 1.0
    assert len(diagnosis.plots()) >= 9


def test_rounded_draws_are_as_sensitive_as_those_they_were_made_of():
    x = np.random.default_rng(0).standard_normal((4, 200))

    def sensitivity(x: np.ndarray) -> float:
        draws = xr.DataArray(x, dims=("chain", "draw"))
        forecasts = draws.expand_dims(quantity=["a"], axis=-1).assign_coords(task=("quantity", ["t"]))
        prior, likelihood = xr.Dataset({"scale": -(draws**2) / 2}), xr.Dataset({"scores": -((draws - 1) ** 2)})
        rows = power_scaled(forecasts.transpose("chain", "draw", "quantity"), prior, likelihood)
        return pd.DataFrame(rows).set_index("name").loc["scale", "sensitivity"]

    rounded = np.round(x * 8) / 8
    assert len(np.unique(rounded)) < 60
    assert sensitivity(rounded) == pytest.approx(sensitivity(x), rel=0.1)
