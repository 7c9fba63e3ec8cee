"""What is drawn of forecasts by cutoff is what their cells say."""

from __future__ import annotations

from itertools import pairwise

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from scored_cells import (
    AS_OF,
    CUTOFFS,
    DATES,
    FLOPS,
    LAST,
    MODELS,
    OBSERVED,
    assert_texts_apart,
    band,
    caption,
    flat,
    labels,
    line,
    made_cells,
    made_dated_study,
    made_study,
    named,
    vertical_bars,
)

from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation import cells as tables
from bayes_obscaling.evaluation.cutoff_study import CutoffStudy
from bayes_obscaling.evaluation.scoring import LEVELS, bounds
from bayes_obscaling.plots import plot_by_distance, plot_emergence, plot_error_by_cutoff, plot_trajectory, style


def draw_trajectory(scored, task, model, ax=None, *, chance=None, **options):
    return plot_trajectory(tables.trajectory(scored, task, model, **options), ax, chance=chance)


def draw_error_by_cutoff(scored, task=None, ax=None, **options):
    return plot_error_by_cutoff(tables.error_by_cutoff(scored, task, **options), ax)


def draw_by_distance(scored, ax=None, **options):
    return plot_by_distance(tables.by_distance(scored, **options), ax)


def draw_emergence(scored, task, threshold, ax=None, *, labels=8, **options):
    return plot_emergence(tables.emergence(scored, task, threshold, **options), ax, labels=labels)


def of_model(study, model, method="bayes"):
    """Cells of one model on alpha, from the lowest cutoff."""
    cells = study.cells
    rows = cells[(cells["task"] == "alpha") & (cells["model"] == model) & (cells["method"] == method)]
    return rows.sort_values("cutoff")


# --- trajectory -----------------------------------------------------------------------------------------------------


def test_a_trajectory_is_the_quantiles_of_the_cells_by_cutoff(study):
    ax = draw_trajectory(study, "alpha", LAST, chance=0.25)
    cells = of_model(study, LAST)
    assert len(cells) == len(CUTOFFS)
    for label, level in (("90 % band", 90), ("50 % band", 50)):
        x, low, high = band(ax, label)
        np.testing.assert_allclose(x, np.log10(CUTOFFS))
        np.testing.assert_allclose(low, cells[bounds(level)[0]])
        np.testing.assert_allclose(high, cells[bounds(level)[1]])
    np.testing.assert_allclose(line(ax, "median").get_ydata(), cells["median"])
    assert set(line(ax, "observed").get_ydata()) == {OBSERVED[LAST]}
    assert set(line(ax, "chance").get_ydata()) == {0.25}
    pc3 = of_model(study, LAST, "pc-3")
    np.testing.assert_allclose(line(ax, "pc-3").get_ydata(), pc3["median"])
    assert "compute" not in labels(ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("compute cutoff (log10 FLOPs)", "score")
    assert ax.get_title(loc="left").startswith("model-13 on alpha")


def test_baselines_of_a_trajectory_are_those_named(study):
    both = draw_trajectory(study, "beta", LAST, baselines=["compute", "pc-3"])
    assert {"compute", "pc-3"} < set(labels(both))
    assert line(both, "compute").get_color() != line(both, "pc-3").get_color()
    assert not {"compute", "pc-3"} & set(labels(draw_trajectory(study, "beta", LAST, baselines=())))


def test_the_own_compute_is_marked_where_it_does_not_squeeze_the_cutoffs(study):
    near = MODELS[6]
    ax = draw_trajectory(study, "alpha", near)
    assert set(line(ax, "compute of the model").get_xdata()) == {np.log10(FLOPS[near])}
    far = draw_trajectory(study, "alpha", LAST)
    assert "compute of the model" not in labels(far)
    assert style.flops_text(FLOPS[LAST]) in flat(far)


def test_a_model_held_out_at_one_cutoff_still_has_a_band(study):
    only = draw_trajectory(study, "alpha", MODELS[0])
    cell = of_model(study, MODELS[0]).iloc[0]
    x, low, high = band(only, "90 % band")
    assert np.ptp(x) > 0 and x.mean() == pytest.approx(21.0)
    assert {*low} == {cell["q5"]} and {*high} == {cell["q95"]}
    assert "Sampler converged for the forecast." in flat(only)


def test_cutoffs_where_the_sampler_failed_are_marked_in_red():
    unsound = made_study(unsound=CUTOFFS[:1])
    ax = draw_trajectory(unsound, "alpha", LAST)
    assert line(ax, "not converged").get_xdata().tolist() == [np.log10(CUTOFFS[0])]
    assert "SAMPLER HAS NOT CONVERGED, do not rely on these intervals: 1 of 4 forecasts." in flat(ax)
    assert to_hex(caption(ax).get_color()).upper() == style.ALARM


def test_names_may_be_short_and_in_any_case(study):
    ax = draw_trajectory(study, "ALPHA", "Model-13")
    np.testing.assert_allclose(line(ax, "median").get_ydata(), of_model(study, LAST)["median"])


# --- error by cutoff ------------------------------------------------------------------------------------------------


def test_the_error_of_a_task_is_that_of_the_scores(study):
    ax = draw_error_by_cutoff(study, "beta")
    scores = study.scores().query("task == 'beta'")
    assert labels(ax) == ["ours", "pc-3", "compute"]
    for method, label in zip(("bayes", "pc-3", "compute"), labels(ax), strict=True):
        x, y = line(ax, label).get_data()
        np.testing.assert_allclose(x, np.log10(CUTOFFS))
        np.testing.assert_allclose(y, scores.loc[scores["method"] == method, "mae"])
    assert ax.get_ylabel() == "mean absolute error (score units)"
    above = [sum(flops > cutoff for flops in FLOPS.values()) for cutoff in CUTOFFS]
    assert f"{above[0]} at the lowest, {above[-1]} at the highest" in flat(ax) and above[0] > above[-1]


def test_each_task_counts_once_in_the_mean_over_tasks(study):
    # most models of beta are gone: a mean over cells would lean to alpha
    thinned = study.cells[(study.cells["task"] == "alpha") | study.cells["model"].isin(MODELS[-2:])]
    ax = draw_error_by_cutoff(thinned)
    each = CutoffStudy(thinned, {}, (), 0).scores(("method", "cutoff", "task"))
    expected = each.groupby(["method", "cutoff"])["mae"].mean()
    for method in ("bayes", "pc-3", "compute"):
        label = "ours" if method == "bayes" else method
        np.testing.assert_allclose(line(ax, label).get_ydata(), expected[method])
    assert "mean of 2 tasks" in ax.get_title(loc="left")


def test_a_method_that_lacks_a_task_at_a_cutoff_has_no_mean_there(study):
    cells = study.cells
    lost = (cells["method"] == "pc-3") & (cells["task"] == "beta") & (cells["cutoff"] == CUTOFFS[1])
    ax = draw_error_by_cutoff(cells[~lost])
    np.testing.assert_allclose(line(ax, "pc-3").get_xdata(), np.log10([CUTOFFS[0], *CUTOFFS[2:]]))
    assert len(line(ax, "ours").get_xdata()) == len(CUTOFFS)
    total = len(cells[cells["method"] == "bayes"])
    assert f"Fewer than {total} forecasts, hence not all comparable: pc-3 ({total - lost.sum()})." in flat(ax)


def test_specs_have_a_line_each_and_baselines_one(two_specs):
    ax = draw_error_by_cutoff(two_specs, "alpha")
    assert labels(ax) == ["ours, default", "ours, curved", "pc-3", "compute"]
    scores = two_specs.scores().query("task == 'alpha' and method == 'bayes'")
    for spec in ("default", "curved"):
        np.testing.assert_allclose(line(ax, f"ours, {spec}").get_ydata(), scores.loc[scores["spec"] == spec, "mae"])
    assert line(ax, "ours, default").get_color() != line(ax, "ours, curved").get_color()
    # baselines do not depend on a spec: their first cells count
    first = two_specs.scores().query("task == 'alpha' and method == 'pc-3' and spec == 'default'")
    np.testing.assert_allclose(line(ax, "pc-3").get_ydata(), first["mae"])


# --- dates ----------------------------------------------------------------------------------------------------------


def days(dates):
    return mdates.date2num(pd.to_datetime(list(dates)))


def test_errors_stand_on_an_axis_of_dates():
    study = made_dated_study()
    ax = draw_error_by_cutoff(study)
    np.testing.assert_allclose(line(ax, "ours").get_xdata(), days(AS_OF))
    assert ax.get_xlabel() == "as-of date" and "by as-of date" in ax.get_title(loc="left")
    counts = [sum(date >= as_of for date in DATES.values()) for as_of in AS_OF]
    assert f"Models released since are forecast: {counts[0]} at the first, {counts[-1]} at the last." in flat(ax)
    ax.figure.canvas.draw()
    assert "2023-01-01" in [text.get_text() for text in ax.get_xticklabels()]


def test_a_trajectory_by_date_ends_before_the_release():
    study = made_dated_study()
    ax = draw_trajectory(study, "alpha", MODELS[9])
    np.testing.assert_allclose(band(ax, "90 % band")[0], days(AS_OF))
    assert set(line(ax, "release of the model").get_xdata()) == {*days([DATES[MODELS[9]]])}
    only = study.cells[study.cells["as_of"] == AS_OF[0]]
    far = draw_trajectory(only, "alpha", LAST)
    assert "release of the model" not in labels(far)
    assert f"released on {DATES[LAST]}, beyond the right edge" in flat(far)
    assert np.ptp(band(far, "90 % band")[0]) == 30


def test_emergence_by_date():
    ax = draw_emergence(made_dated_study(), "alpha", 0.5)
    drawn = {found.get_gid(): found for found in ax.lines if found.get_gid()}
    np.testing.assert_allclose(drawn[LAST].get_xdata(), days(AS_OF))
    assert "last as-of date before the model's release" in flat(ax)


def test_months_panels_are_the_table_by_months():
    study = made_dated_study()
    top, middle, bottom = plot_by_distance(tables.by_months(study))
    table = tables.by_months(study)
    np.testing.assert_allclose(line(top, "mean absolute error").get_xdata(), table["months_ahead"])
    np.testing.assert_allclose(line(middle, "90 % interval").get_ydata(), table["coverage_90"])
    assert bottom.get_xlabel().startswith("months ahead")


# --- distance -------------------------------------------------------------------------------------------------------


def test_distance_panels_are_the_table_by_distance(study):
    top, middle, bottom = draw_by_distance(study)
    table = tables.by_distance(study).set_index("distance")
    np.testing.assert_allclose(line(top, "mean absolute error").get_xdata(), table.index)
    np.testing.assert_allclose(line(top, "mean absolute error").get_ydata(), table["mae"])
    for level in LEVELS:
        np.testing.assert_allclose(line(middle, f"{level} % interval").get_ydata(), table[f"coverage_{level}"])
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), table["width_90"])
    nominal = {drawn.get_ydata()[0] for drawn in middle.lines if drawn.get_gid() == "nominal"}
    assert nominal == {0.5, 0.8, 0.9, 0.95}
    numbers = [int(t.get_text()) for t in top.texts if t.get_gid() == "n"]
    assert numbers == table["n"].tolist()
    assert bottom.get_xlabel() == "distance beyond the cutoff (decades of compute)"
    assert "width of the 90 % interval" in bottom.get_ylabel()


def test_bins_whose_coverage_is_below_nominal_for_certain_are_shaded(study):
    axes = draw_by_distance(study, width=0.5)
    bars = vertical_bars(axes[1])
    expected = {at for at, (_, high) in bars.items() if high < 0.9}
    for ax in axes:
        drawn = {round(p.get_x() + p.get_width() / 2, 9) for p in ax.patches if p.get_gid() == "failing"}
        assert drawn == expected
    assert expected and min(bars) not in expected
    assert f"first at {min(expected) - 0.25:g} decades" in flat(axes[2])


def test_bars_resample_whole_families():
    # Families that are right or wrong as a whole: with four of them the coverage is as good as unknown, however many
    # cells each has.
    cells = made_cells(0, "s", "t", MODELS * 8, [0.1] * 14 * 8, ("bayes",))
    right = cells["family"].isin(["a", "b"])
    cells["q5"], cells["q95"] = np.where(right, 0.0, 0.98), np.where(right, 1.0, 0.99)
    axes = draw_by_distance(cells)
    ((low, high),) = vertical_bars(axes[1]).values()
    assert low < 0.1 and high > 0.9
    alone = draw_by_distance(cells[cells["family"] == "c"])
    assert not vertical_bars(alone[1])
    assert not [p for p in alone[1].patches if p.get_gid() == "failing"]
    assert "At no distance" in flat(alone[2])


def test_within_the_range_is_apart_from_just_beyond(tested):
    top, _, _ = draw_by_distance(tested, width=0.5)
    x = line(top, "mean absolute error").get_xdata()
    np.testing.assert_allclose(x, [-0.25, 0.25, 0.75, 1.25, 1.75])
    numbers = [int(t.get_text()) for t in top.texts if t.get_gid() == "n"]
    assert numbers[0] == 4 and sum(numbers) == 4 * 14


def test_unknown_distances_are_left_out_and_counted(tested):
    cells = tested.cells.assign(distance=tested.cells["distance"].where(tested.cells["model"] != LAST))
    top, _, bottom = draw_by_distance(cells)
    assert sum(int(t.get_text()) for t in top.texts if t.get_gid() == "n") == 4 * 13
    assert "4 forecasts of models of unknown compute are left out" in flat(bottom)


# --- emergence ------------------------------------------------------------------------------------------------------


def test_one_line_a_model_coloured_by_what_became_of_it(study):
    ax = draw_emergence(study, "alpha", 0.5)
    frame = tables.emergence(study, "alpha", 0.5)
    drawn = {found.get_gid(): found for found in ax.lines if found.get_gid()}
    assert set(drawn) == set(frame["model"])
    for model, group in frame.sort_values("cutoff").groupby("model"):
        np.testing.assert_allclose(drawn[model].get_xdata(), np.log10(group["cutoff"]))
        np.testing.assert_allclose(drawn[model].get_ydata(), group["probability"])
        wanted = style.BLUE if OBSERVED[model] >= 0.5 else style.VERMILLION
        assert to_hex(drawn[model].get_color()).upper() == wanted.upper()
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert legend == ["passed (7)", "did not pass (7)"]
    assert ax.get_ylabel() == "probability of a score of 0.5 or more"


def test_the_least_expected_models_are_named(study):
    # One model surprises once and entirely, the three before it everywhere and less: the mean over cutoffs decides.
    cells = study.cells.copy()
    cells["p_above_0.5"] = (cells["observed"] >= 0.5).astype(float)
    cells.loc[cells["model"].isin(MODELS[-4:-1]), "p_above_0.5"] = 0.3
    cells.loc[(cells["model"] == LAST) & (cells["cutoff"] == CUTOFFS[0]), "p_above_0.5"] = 0.0
    ax = draw_emergence(cells, "alpha", 0.5, labels=3)
    assert named(ax) == set(MODELS[-4:-1])
    assert "the 3 of 14 models" in flat(ax)
    assert not named(draw_emergence(study, "alpha", 0.5, labels=0))
    assert len(named(draw_emergence(study, "alpha", 0.5))) == 8


def test_names_do_not_overlap(study):
    ax = draw_emergence(study, "beta", 0.5)
    ax.figure.canvas.draw()
    # without the leader, which belongs to an annotation's own extent
    names = [Text.get_window_extent(t) for t in ax.texts if (t.get_gid() or "").startswith("name ")]
    boxes = sorted(names, key=lambda box: box.y0)
    assert len(boxes) == 8
    for lower, upper in pairwise(boxes):
        assert lower.y1 <= upper.y0 + 1
    assert max(b.x1 for b in boxes) <= ax.figure.bbox.x1 and boxes[-1].y1 <= ax.figure.bbox.y1


# --- all ------------------------------------------------------------------------------------------------------------


def test_a_spec_by_name(two_specs):
    curved = CutoffStudy(two_specs.cells[two_specs.cells["spec"] == "curved"], {}, (), 0)
    drawn = line(draw_trajectory(two_specs, "alpha", LAST, spec="curved"), "median").get_ydata()
    np.testing.assert_allclose(drawn, of_model(curved, LAST)["median"])


def test_everything_is_drawn_on_the_axes_given_and_nowhere_else(study):
    before = dict(plt.rcParams)
    figure, grid = plt.subplots(1, 7, figsize=(35, 5))
    axes = list(grid.ravel())
    assert draw_trajectory(study, "alpha", LAST, axes[0]) is axes[0]
    assert draw_error_by_cutoff(study, None, axes[1]) is axes[1]
    assert draw_emergence(study, "alpha", 0.5, axes[2]) is axes[2]
    assert draw_by_distance(study, axes[3:6]).tolist() == axes[3:6]
    assert plt.get_fignums() == [figure.number]
    assert not axes[6].has_data()
    assert dict(plt.rcParams) == before
    with pytest.raises(InputError, match="need three axes"):
        draw_by_distance(study, axes[:2])


@pytest.mark.parametrize(
    "draw",
    [
        lambda s: draw_trajectory(s, "alpha", MODELS[6], baselines=["pc-3", "compute"], chance=0.25),
        draw_error_by_cutoff,
        lambda s: draw_by_distance(s)[2],
        lambda s: draw_emergence(s, "alpha", 0.5),
    ],
)
def test_no_text_is_cut_off_or_overlaps(study, draw):
    assert_texts_apart(draw(study))


@pytest.mark.parametrize(
    "draw",
    [
        lambda s: draw_trajectory(s, "alpha", LAST, baselines=["pc-3", "compute"], chance=0.25),
        draw_error_by_cutoff,
        lambda s: plot_by_distance(tables.by_months(s))[2],
        lambda s: draw_emergence(s, "alpha", 0.5),
    ],
)
def test_no_text_is_cut_off_or_overlaps_by_date(draw):
    assert_texts_apart(draw(made_dated_study()))
