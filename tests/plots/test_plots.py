"""What is drawn is what was forecast and observed, and the sampler's verdict stands under it."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer
from scored_cells import caption, flat

from bayes_obscaling.errors import InputError
from bayes_obscaling.plots import plot_capability_curve, plot_compute_curve, plot_forecast, style
from bayes_obscaling.results.convergence import Convergence
from bayes_obscaling.results.curves import capability_curve, capability_grid, compute_curve, task_capability
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.scenario import Scenario

CUTOFF, HIDDEN = 10**22.6, "family-2-3"
SEEN, HELD_OUT = style.SEEN["label"], style.HELD_OUT["label"]


class AsIf:
    """A forecast that says other things of itself: a plot draws what it is given."""

    def __init__(self, forecast, **said):
        self.forecast, self.said = forecast, said

    def __getattr__(self, name):
        return self.said[name] if name in self.said else getattr(self.forecast, name)


@pytest.fixture(scope="module")
def made(made_fit):
    """Held-out models, one seen model and one that does not exist yet."""
    assert (made_fit.split.cutoff, made_fit.split.hidden) == (CUTOFF, (HIDDEN,))
    held_out = [m for m, flops in made_fit.table.models["flops"].items() if flops > CUTOFF]
    scenarios = [*held_out, "family-0-0", Scenario(family="new", flops=1e23)]
    found = forecast(made_fit, scenarios)
    # so short a chain does not converge: a test says when it should have
    return AsIf(found, problems=(), convergence=Convergence(rhat=1.002, ess_bulk=700, ess_tail=650))


def bars(ax, level):
    (found,) = (c for c in ax.containers if isinstance(c, BarContainer) and c.get_label() == f"{level} % interval")
    low = [p.get_x() for p in found.patches]
    return pd.DataFrame({"low": low, "high": [x + p.get_width() for x, p in zip(low, found.patches, strict=True)]})


def points(ax, label):
    lines = [line for line in ax.lines if line.get_label() == label]
    return {(round(x, 9), round(y, 9)) for line in lines for x, y in zip(*line.get_data(), strict=True)}


def verdict(ax):
    (text,) = (t for t in ax.texts if t.get_gid() == "verdict")
    return text


def rounded(x, y):
    return {(round(float(a), 9), round(float(b), 9)) for a, b in zip(x, y, strict=True)}


# --- intervals ------------------------------------------------------------------------------------------------------


def test_one_row_a_model_with_the_ends_of_its_intervals(made):
    ax = plot_forecast(made, task="task-1")
    summary = made.to_dataframe()
    summary = summary[summary["task"] == "task-1"].sort_values("median", ascending=False, kind="stable")
    labels = [t.get_text().removesuffix(" *") for t in ax.get_yticklabels()]
    assert labels == summary["model"].tolist()
    for level, low, high in ((95, "q2.5", "q97.5"), (90, "q5", "q95"), (80, "q10", "q90"), (50, "q25", "q75")):
        drawn = bars(ax, level)
        np.testing.assert_allclose(drawn["low"], summary[low], atol=1e-12)
        np.testing.assert_allclose(drawn["high"], summary[high], atol=1e-12)
    (median,) = (line for line in ax.lines if line.get_label() == "median")
    np.testing.assert_allclose(median.get_xdata(), summary["median"])


def test_narrower_intervals_are_thicker_and_darker(made):
    ax = plot_forecast(made, task="task-0")
    found = {c.get_label(): c.patches[0] for c in ax.containers}
    order = [found[f"{level} % interval"] for level in (50, 80, 90, 95)]
    thickness = [p.get_height() for p in order]
    lightness = [sum(p.get_facecolor()[:3]) for p in order]
    assert thickness == sorted(thickness, reverse=True)
    assert lightness == sorted(lightness)


def test_markers_stand_at_the_observed_scores_seen_and_held_out_apart(made, made_fit):
    ax = plot_forecast(made, task="task-0", sort="flops")
    rows = [t.get_text().removesuffix(" *") for t in ax.get_yticklabels()]
    score = made_fit.table.matrix(["task-0"])["task-0"]
    assert points(ax, SEEN) == {(round(score["family-0-0"], 9), float(rows.index("family-0-0")))}
    held_out = [m for m in rows if m in score.index and m != "family-0-0"]
    assert len(held_out) > 5
    assert points(ax, HELD_OUT) == rounded(score[held_out], [rows.index(m) for m in held_out])


def test_sorted_by_flops_and_cut_to_the_first_rows(made):
    ax = plot_forecast(made, task="task-0", sort="flops", max_models=4)
    flops = made.about.drop_duplicates("model").set_index("model")["flops"].sort_values(ascending=False, kind="stable")
    assert [t.get_text().removesuffix(" *") for t in ax.get_yticklabels()] == flops.index[:4].tolist()
    assert f"4 of {len(flops)} models shown" in flat(ax)
    assert len(bars(ax, 50)) == 4


def test_short_names_unless_they_collide():
    assert style.short_names(["a/one", "b/two", "three"]) == ["one", "two", "three"]
    assert style.short_names(["a/one", "b/one", "c/two"]) == ["a/one", "b/one", "two"]


def test_the_caption_says_basis_and_verdict(made):
    ax = plot_forecast(made, task="task-0")
    # one from compute because it does not exist yet, one because all its scores are hidden
    assert "(2)" in flat(ax) and "compute alone" in flat(ax)
    assert "Sampler converged: R-hat 1.002, bulk ESS 700, tail ESS 650, divergences 0." in flat(ax)
    assert to_hex(verdict(ax).get_color()).upper() == style.GREY


def test_problems_stand_in_the_caption_in_red(made):
    problems = ("task heads: 12 divergent transitions", "forecast: bulk ESS 80 (limit 400)")
    bad = AsIf(made, problems=problems)
    ax = plot_forecast(bad, task="task-0")
    for problem in bad.problems:
        assert problem in flat(ax)
    assert "NOT CONVERGED" in flat(ax) and "Sampler converged" not in flat(ax)
    colours = {t.get_gid(): to_hex(t.get_color()).upper() for t in ax.texts if t.get_gid()}
    assert colours == {"caption": style.GREY, "verdict": style.ALARM}


def test_a_warning_of_a_drawn_model_stands_in_the_caption(made):
    model = made.about["model"].iloc[0]
    far = AsIf(made, warnings=(f"{model} lies 1.3 decades out", "somebody-else lies 2.0 decades out"))
    ax = plot_forecast(far, task="task-0")
    assert f"† Warning: {model} lies 1.3 decades out" in flat(ax)
    assert "somebody-else" not in flat(ax)
    assert [t.get_text() for t in ax.get_yticklabels() if t.get_text().endswith("†")] == [f"{model} †"]


def test_from_one_basis_no_row_is_marked(made_fit):
    ax = plot_forecast(forecast(made_fit, [HIDDEN], tasks="task-0"))
    assert [t.get_text() for t in ax.get_yticklabels()] == [HIDDEN]
    assert "family and compute alone" in flat(ax)


def test_the_chance_line(made):
    ax = plot_forecast(made, task="task-1")
    (chance,) = (line for line in ax.lines if line.get_label() == "chance")
    assert set(chance.get_xdata()) == {0.25}


def test_the_figure_grows_with_the_rows(made):
    small, large = (plot_forecast(made, task="task-0", max_models=n).figure.get_figheight() for n in (2, 10))
    assert large - small == pytest.approx(8 * 0.25)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({}, "task-0, task-1"),
        ({"task": "nothing"}, "task-0, task-1"),
        ({"task": "task-0", "sort": "name"}, "'median' or 'flops'"),
        ({"task": "task-0", "max_models": 0}, "at least 1"),
    ],
)
def test_bad_arguments_say_what_to_give(made, options, part):
    with pytest.raises(InputError, match=part):
        plot_forecast(made, **options)
    assert not plt.get_fignums()


def test_the_only_task_needs_no_name(made_fit):
    ax = plot_forecast(forecast(made_fit, [HIDDEN], tasks="task-1"))
    assert ax.get_title(loc="left").startswith("task-1")


def test_no_text_is_cut_off_or_overlaps(made):
    bad = AsIf(made, problems=("capabilities: R-hat 1.034 of ceiling_gap (limit 1.01)",) * 3)
    figure = plot_forecast(bad, task="task-0").figure
    figure.canvas.draw()
    ax, page = figure.axes[0], figure.bbox
    parts = {"caption": caption(ax), "title": ax._left_title, "x label": ax.xaxis.label, "legend": ax.get_legend()}
    boxes = {name: part.get_window_extent() for name, part in parts.items()} | {"axes": ax.bbox}
    for name, box in boxes.items():
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, name
    from_top = ["title", "legend", "axes", "x label", "caption"]
    for upper, lower in pairwise(from_top):
        assert boxes[upper].y0 >= boxes[lower].y1 - 1, (upper, lower)


# --- curves ---------------------------------------------------------------------------------------------------------


def band(ax, label):
    """Lower and upper edge of a band by x."""
    (found,) = (c for c in ax.collections if c.get_label() == label)
    corners = pd.DataFrame(found.get_paths()[0].vertices, columns=["x", "y"])
    edges = corners.groupby("x")["y"].agg(["min", "max"])
    return edges.index.to_numpy(), edges["min"].to_numpy(), edges["max"].to_numpy()


def test_the_capability_curve_and_its_points(made_fit):
    ax = plot_capability_curve(capability_curve(made_fit, "task-0"))
    grid, curves = capability_grid(made_fit, "task-0")
    for label, low, high in (("90 % band", 5, 95), ("50 % band", 25, 75)):
        x, bottom, top = band(ax, label)
        np.testing.assert_allclose(x, grid)
        np.testing.assert_allclose(bottom, np.percentile(curves, low, axis=0))
        np.testing.assert_allclose(top, np.percentile(curves, high, axis=0))
    flops, score = made_fit.table.models["flops"], made_fit.table.matrix(["task-0"])["task-0"]
    places = task_capability(made_fit, "task-0")
    seen = (flops <= CUTOFF) & (flops.index != HIDDEN)
    assert points(ax, SEEN) == rounded(places[seen], score[seen])
    assert points(ax, HELD_OUT) == rounded(places[~seen], score[~seen])
    assert "R-hat 1.001" in flat(ax)


def test_the_compute_curve_is_the_forecast_of_a_new_model(made_fit):
    ax = plot_compute_curve(compute_curve(made_fit, "task-0", "Family-1"))
    x, low, high = band(ax, "90 % band")
    asked = [Scenario("new model", "family-1", 10.0**at) for at in x]
    expected = forecast(made_fit, asked, tasks="task-0", kind="mean").quantiles((0.05, 0.95))
    np.testing.assert_allclose(low, expected.loc[expected["level"] == 0.05, "value"], rtol=1e-6)
    np.testing.assert_allclose(high, expected.loc[expected["level"] == 0.95, "value"], rtol=1e-6)
    assert (np.diff(high) > 0).all()  # one residual along the curve: no jumps


def test_the_family_stands_at_its_own_compute(made_fit):
    ax = plot_compute_curve(compute_curve(made_fit, "task-0", "family-2"))
    models, score = made_fit.table.models, made_fit.table.matrix(["task-0"])["task-0"]
    mine = models.index[models["family"] == "family-2"]
    log_flops = np.log10(models["flops"])
    seen = [m for m in mine if models.loc[m, "flops"] <= CUTOFF]
    held_out = [m for m in mine if m not in seen]
    assert HIDDEN in held_out and seen
    assert points(ax, SEEN) == rounded(log_flops[seen], score[seen])
    assert points(ax, HELD_OUT) == rounded(log_flops[held_out], score[held_out])
    (cutoff,) = (line for line in ax.lines if line.get_label() == "cutoff")
    assert set(cutoff.get_xdata()) == {np.log10(CUTOFF)}


def test_other_families_stand_where_this_family_is_as_capable(made_fit):
    ax = plot_compute_curve(compute_curve(made_fit, "task-0", "family-0"))
    drawn = points(ax, "_other families")
    # By hand: the median over draws of the compute at which a + b x, standardised and projected like the models, meets
    # a model's place; a line that does not rise is above it everywhere or nowhere.
    draws = made_fit.draws.isel(predictors=0)
    theta = draws["theta"].to_numpy()
    seen = made_fit.tree["observed_data"]["reference"].to_numpy() == 1
    sd = np.sqrt(theta[:, :, seen].var(axis=2) + 0.1**2)
    weight = draws["weight"].sel(task="task-0").to_numpy() / sd
    a, b = ((draws[site].sel(family="family-0").to_numpy() * weight).sum(axis=-1) for site in ("intercept", "slope"))
    places = (theta * weight[:, :, None]).sum(axis=-1)
    lowest = np.where(a[..., None] - 4.5 * b[..., None] >= places, 18.0, np.inf)
    x = np.where(b[..., None] > 0, 22.5 + (places - a[..., None]) / b[..., None], lowest)
    equivalent = pd.Series(np.median(x, axis=(0, 1)), index=draws["model"].to_numpy())
    models, score = made_fit.table.models, made_fit.table.matrix(["task-0"])["task-0"]
    left, right = ax.get_xlim()
    expected = [m for m in models.index if models.loc[m, "family"] != "family-0" and left <= equivalent[m] <= right]
    assert len(expected) > 5
    found = np.array(sorted(drawn))
    wanted = np.array(sorted(zip(equivalent[expected], score[expected], strict=True)))
    np.testing.assert_allclose(found, wanted, atol=1e-4)  # a median of FLOPs, between two draws
    assert not points(
        plot_compute_curve(compute_curve(made_fit, "task-0", "family-0", others=False)), "_other families"
    )


def test_a_benchmark_that_was_not_asked_for_has_no_cutoff(made_fit):
    ax = plot_compute_curve(compute_curve(made_fit, "bench-0", "family-1"))
    assert "cutoff" not in [line.get_label() for line in ax.lines]
    assert "all scores seen but those of 1 model" in ax.get_title(loc="left")
    assert len(points(ax, SEEN)) == 4 and not points(ax, HELD_OUT)


def test_a_new_family_has_a_curve_and_no_points(made_fit):
    ax = plot_compute_curve(compute_curve(made_fit, "task-1", "new"))
    assert not points(ax, SEEN) | points(ax, HELD_OUT) | points(ax, "_other families")
    assert "never seen" in ax.get_title(loc="left")


def test_a_fit_that_has_not_converged_says_so_under_both_curves(made_fit):
    bad = Convergence(rhat=1.2, ess_bulk=50, ess_tail=60, divergences=7, worst="theta")
    *stages, heads = made_fit.stages
    sick = dataclasses.replace(made_fit, stages=(*stages, heads.model_copy(update={"convergence": bad})))
    for ax in (
        plot_capability_curve(capability_curve(sick, "task-0")),
        plot_compute_curve(compute_curve(sick, "task-0", "family-1")),
    ):
        assert "7 divergent transitions" in flat(ax)
        assert to_hex(verdict(ax).get_color()).upper() == style.ALARM


def test_a_benchmark_has_no_capability_curve(made_fit):
    with pytest.raises(InputError, match=r"bench-0 is a standard benchmark.*such as task-0"):
        plot_capability_curve(capability_curve(made_fit, "bench-0"))


# --- all ------------------------------------------------------------------------------------------------------------


def test_everything_is_drawn_on_the_axes_given_and_nowhere_else(made, made_fit):
    before = dict(plt.rcParams)
    figure, axes = plt.subplots(1, 4, figsize=(20, 5))
    assert plot_forecast(made, ax=axes[0], task="task-0") is axes[0]
    assert plot_capability_curve(capability_curve(made_fit, "task-0"), ax=axes[1]) is axes[1]
    assert plot_compute_curve(compute_curve(made_fit, "task-0", "family-1"), ax=axes[2]) is axes[2]
    assert plt.get_fignums() == [figure.number]
    assert not axes[3].has_data()
    assert dict(plt.rcParams) == before


def test_the_forecast_plots_itself(made):
    ax = plt.subplots()[1]
    assert made.plot(ax=ax, task="task-0", max_models=3) is ax
    assert len(bars(ax, 95)) == 3


def test_flops_are_written_as_powers_of_ten():
    assert style.flops_text(8.4e22) == r"$8.4\times10^{22}$"
    assert style.flops_text(12345.0) == r"$1.23\times10^{4}$"
    assert style.flops_text(1000.0) == r"$1\times10^{3}$"
