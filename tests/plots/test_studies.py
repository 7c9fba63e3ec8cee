"""What is drawn of scored forecasts is what their cells say; cells are made here, nothing is sampled."""

from __future__ import annotations

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from scipy.stats import binom

from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.backtest import Backtest
from bayes_obscaling.evaluation.cutoff_study import CutoffStudy
from bayes_obscaling.evaluation.scoring import LEVELS, bounds, pit_histogram, score_draws, score_points
from bayes_obscaling.plots import style
from bayes_obscaling.plots.studies import (
    plot_by_distance,
    plot_coverage,
    plot_emergence,
    plot_error_by_cutoff,
    plot_forest,
    plot_pit,
    plot_trajectory,
)

CUTOFFS = (1e21, 3e21, 1e22, 3e22)
MODELS = [f"{'abcd'[i % 4]}-org/model-{i}" for i in range(14)]
FLOPS = dict(zip(MODELS, np.geomspace(2e21, 8e23, 14), strict=True))
OBSERVED = dict(zip(MODELS, np.linspace(0.1, 0.9, 14), strict=True))
LAST = MODELS[-1]


def made_cells(seed, setup, task, models, distance, methods=("bayes", "pc-3", "compute"), converged=True):
    """Errors of ours grow with the distance, its intervals do not; 'point' is a method without intervals."""
    rng = np.random.default_rng(seed)
    distance, observed = np.asarray(distance, float), np.array([OBSERVED[m] for m in models])
    where = pd.DataFrame({"setup": setup, "task": task, "model": models, "family": [m[0] for m in models]})
    where = where.assign(flops=[FLOPS[m] for m in models], distance=distance, observed=observed)
    parts = []
    for method in methods:
        slope = {"bayes": 0.06, "pc-3": 0.1, "compute": 0.12, "point": 0.2}[method]
        middle = np.clip(observed - slope * distance + 0.02 * rng.standard_normal(len(models)), 0, 1)
        draws = np.clip(middle[:, None] + 0.04 * rng.standard_normal((len(models), 200)), 0, 1)
        scores = score_points(middle, observed) if method == "point" else score_draws(draws, observed)
        if method == "bayes":
            scores["p_above_0.5"] = (draws >= 0.5).mean(axis=1)
        parts.append(pd.concat([where.assign(method=method), scores.assign(converged=converged)], axis=1))
    return pd.concat(parts, ignore_index=True)


def made_study(seed=0, spec="default", methods=("bayes", "pc-3", "compute"), unsound=()):
    parts = []
    for number, cutoff in enumerate(CUTOFFS):
        above = [m for m in MODELS if FLOPS[m] > cutoff]
        distance = np.log10([FLOPS[m] / cutoff for m in above])
        for task in ("alpha", "beta"):
            cells = made_cells(
                seed + 10 * number, f"flops<={cutoff:g}", task, above, distance, methods, cutoff not in unsound
            )
            parts.append(cells.assign(spec=spec, cutoff=cutoff))
    return CutoffStudy(pd.concat(parts, ignore_index=True), {}, (), 0)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def study():
    return made_study()


@pytest.fixture(scope="module")
def two_specs(study):
    return CutoffStudy(pd.concat([study.cells, made_study(5, "curved").cells], ignore_index=True), {}, (), 0)


@pytest.fixture(scope="module")
def tested():
    """Two setups in no alphabetical order; compute lacks a model of one task, point has no intervals."""
    parts = []
    for number, (setup, task) in enumerate((("zeta", "one"), ("zeta", "three"), ("eta", "one"), ("eta", "two"))):
        methods = ("bayes", "pc-3", "compute", "point")
        parts.append(made_cells(number, setup, task, MODELS, np.linspace(0, 1.9, 14), methods))
    cells = pd.concat(parts, ignore_index=True)
    gap = (cells["method"] == "compute") & (cells["task"] == "two") & (cells["model"] == LAST)
    return Backtest(cells[~gap].reset_index(drop=True))


def line(ax, label):
    (found,) = (drawn for drawn in ax.lines if drawn.get_label() == label)
    return found


def labels(ax):
    return [drawn.get_label() for drawn in ax.lines if not drawn.get_label().startswith("_")]


def band(ax, label):
    """Lower and upper edge of a band by x."""
    (found,) = (c for c in ax.collections if c.get_label() == label)
    corners = pd.DataFrame(found.get_paths()[0].vertices, columns=["x", "y"])
    edges = corners.groupby("x")["y"].agg(["min", "max"])
    return edges.index.to_numpy(), edges["min"].to_numpy(), edges["max"].to_numpy()


def vertical_bars(ax):
    (found,) = (c for c in ax.collections if c.get_gid() == "families")
    return {round(s[0, 0], 9): (s[0, 1], s[1, 1]) for s in found.get_segments() if s.size}


def caption(ax):
    (text,) = (t for t in ax.texts if t.get_gid() == "caption")
    return text


def flat(ax):
    return caption(ax).get_text().replace("\n", " ")


def named(ax):
    return {t.get_gid().removeprefix("name ") for t in ax.texts if (t.get_gid() or "").startswith("name ")}


# --- trajectory -----------------------------------------------------------------------------------------------------


def test_a_trajectory_is_the_quantiles_of_the_cells_by_cutoff(study):
    ax = plot_trajectory(study, "alpha", LAST, chance=0.25)
    cells = study.trajectory("alpha", LAST)
    assert len(cells) == len(CUTOFFS)
    for label, level in (("90 % band", 90), ("50 % band", 50)):
        x, low, high = band(ax, label)
        np.testing.assert_allclose(x, np.log10(CUTOFFS))
        np.testing.assert_allclose(low, cells[bounds(level)[0]])
        np.testing.assert_allclose(high, cells[bounds(level)[1]])
    np.testing.assert_allclose(line(ax, "median").get_ydata(), cells["median"])
    assert set(line(ax, "observed").get_ydata()) == {OBSERVED[LAST]}
    assert set(line(ax, "chance").get_ydata()) == {0.25}
    pc3 = study.trajectory("alpha", LAST, "pc-3")
    np.testing.assert_allclose(line(ax, "pc-3").get_ydata(), pc3["median"])
    assert "compute" not in labels(ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("compute cutoff (log10 FLOPs)", "score")
    assert ax.get_title(loc="left").startswith("model-13 on alpha")


def test_baselines_of_a_trajectory_are_those_named(study):
    both = plot_trajectory(study, "beta", LAST, baselines=["compute", "pc-3"])
    assert {"compute", "pc-3"} < set(labels(both))
    assert line(both, "compute").get_color() != line(both, "pc-3").get_color()
    assert not {"compute", "pc-3"} & set(labels(plot_trajectory(study, "beta", LAST, baselines=())))


def test_the_own_compute_is_marked_where_it_does_not_squeeze_the_cutoffs(study):
    near = MODELS[6]
    ax = plot_trajectory(study, "alpha", near)
    assert set(line(ax, "compute of the model").get_xdata()) == {np.log10(FLOPS[near])}
    far = plot_trajectory(study, "alpha", LAST)
    assert "compute of the model" not in labels(far)
    assert style.flops_text(FLOPS[LAST]) in flat(far)


def test_a_model_held_out_at_one_cutoff_still_has_a_band(study):
    only = plot_trajectory(study, "alpha", MODELS[0])
    cell = study.trajectory("alpha", MODELS[0]).iloc[0]
    x, low, high = band(only, "90 % band")
    assert np.ptp(x) > 0 and x.mean() == pytest.approx(21.0)
    assert {*low} == {cell["q5"]} and {*high} == {cell["q95"]}
    assert "Sampler converged for the forecast." in flat(only)


def test_cutoffs_where_the_sampler_failed_are_marked_in_red():
    unsound = made_study(unsound=CUTOFFS[:1])
    ax = plot_trajectory(unsound, "alpha", LAST)
    assert line(ax, "not converged").get_xdata().tolist() == [np.log10(CUTOFFS[0])]
    assert "SAMPLER HAS NOT CONVERGED, do not rely on these: 1 of 4 forecasts." in flat(ax)
    assert to_hex(caption(ax).get_color()).upper() == style.ALARM


def test_names_may_be_short_and_in_any_case(study):
    ax = plot_trajectory(study, "ALPHA", "Model-13")
    np.testing.assert_allclose(line(ax, "median").get_ydata(), study.trajectory("alpha", LAST)["median"])


# --- error by cutoff ------------------------------------------------------------------------------------------------


def test_the_error_of_a_task_is_that_of_the_scores(study):
    ax = plot_error_by_cutoff(study, "beta")
    scores = study.scores().query("task == 'beta'")
    assert labels(ax) == ["bayes", "pc-3", "compute"]
    for method in labels(ax):
        x, y = line(ax, method).get_data()
        np.testing.assert_allclose(x, np.log10(CUTOFFS))
        np.testing.assert_allclose(y, scores.loc[scores["method"] == method, "mae"])
    assert ax.get_ylabel() == "mean absolute error (score units)"
    above = [sum(flops > cutoff for flops in FLOPS.values()) for cutoff in CUTOFFS]
    assert f"{above[0]} at the lowest, {above[-1]} at the highest" in flat(ax) and above[0] > above[-1]


def test_each_task_counts_once_in_the_mean_over_tasks(study):
    # most models of beta are gone: a mean over cells would lean to alpha
    thinned = study.cells[(study.cells["task"] == "alpha") | study.cells["model"].isin(MODELS[-2:])]
    ax = plot_error_by_cutoff(thinned)
    each = CutoffStudy(thinned, {}, (), 0).scores(("method", "cutoff", "task"))
    expected = each.groupby(["method", "cutoff"])["mae"].mean()
    for method in ("bayes", "pc-3", "compute"):
        np.testing.assert_allclose(line(ax, method).get_ydata(), expected[method])
    assert "mean of 2 tasks" in ax.get_title(loc="left")


def test_a_method_that_lacks_a_task_at_a_cutoff_has_no_mean_there(study):
    cells = study.cells
    lost = (cells["method"] == "pc-3") & (cells["task"] == "beta") & (cells["cutoff"] == CUTOFFS[1])
    ax = plot_error_by_cutoff(cells[~lost])
    np.testing.assert_allclose(line(ax, "pc-3").get_xdata(), np.log10([CUTOFFS[0], *CUTOFFS[2:]]))
    assert len(line(ax, "bayes").get_xdata()) == len(CUTOFFS)
    total = len(cells[cells["method"] == "bayes"])
    assert f"Fewer than {total} forecasts, hence not all comparable: pc-3 ({total - lost.sum()})." in flat(ax)


def test_specs_have_a_line_each_and_baselines_one(two_specs):
    ax = plot_error_by_cutoff(two_specs, "alpha")
    assert labels(ax) == ["bayes, default", "bayes, curved", "pc-3", "compute"]
    scores = two_specs.scores().query("task == 'alpha' and method == 'bayes'")
    for spec in ("default", "curved"):
        np.testing.assert_allclose(line(ax, f"bayes, {spec}").get_ydata(), scores.loc[scores["spec"] == spec, "mae"])
    assert line(ax, "bayes, default").get_color() != line(ax, "bayes, curved").get_color()
    # baselines do not depend on a spec: their first cells count
    first = two_specs.scores().query("task == 'alpha' and method == 'pc-3' and spec == 'default'")
    np.testing.assert_allclose(line(ax, "pc-3").get_ydata(), first["mae"])


# --- distance -------------------------------------------------------------------------------------------------------


def test_distance_panels_are_the_table_by_distance(study):
    top, middle, bottom = plot_by_distance(study)
    table = study.by_distance(0.25).query("method == 'bayes'").set_index("distance")
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
    axes = plot_by_distance(study, width=0.5)
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
    axes = plot_by_distance(cells)
    ((low, high),) = vertical_bars(axes[1]).values()
    assert low < 0.1 and high > 0.9
    alone = plot_by_distance(cells[cells["family"] == "c"])
    assert not vertical_bars(alone[1])
    assert not [p for p in alone[1].patches if p.get_gid() == "failing"]
    assert "At no distance" in flat(alone[2])


def test_within_the_range_is_apart_from_just_beyond(tested):
    top, _, _ = plot_by_distance(tested, width=0.5)
    x = line(top, "mean absolute error").get_xdata()
    np.testing.assert_allclose(x, [-0.25, 0.25, 0.75, 1.25, 1.75])
    numbers = [int(t.get_text()) for t in top.texts if t.get_gid() == "n"]
    assert numbers[0] == 4 and sum(numbers) == 4 * 14


def test_unknown_distances_are_left_out_and_counted(tested):
    cells = tested.cells.assign(distance=tested.cells["distance"].where(tested.cells["model"] != LAST))
    top, _, bottom = plot_by_distance(cells)
    assert sum(int(t.get_text()) for t in top.texts if t.get_gid() == "n") == 4 * 13
    assert "4 forecasts of models of unknown compute are left out" in flat(bottom)


# --- emergence ------------------------------------------------------------------------------------------------------


def test_one_line_a_model_coloured_by_what_became_of_it(study):
    ax = plot_emergence(study, "alpha", 0.5)
    frame = study.emergence("alpha", 0.5)
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
    ax = plot_emergence(cells, "alpha", 0.5, labels=3)
    assert named(ax) == set(MODELS[-4:-1])
    assert "the 3 of 14 models" in flat(ax)
    assert not named(plot_emergence(study, "alpha", 0.5, labels=0))
    assert len(named(plot_emergence(study, "alpha", 0.5))) == 8


def test_names_do_not_overlap(study):
    ax = plot_emergence(study, "beta", 0.5)
    ax.figure.canvas.draw()
    # without the leader, which belongs to an annotation's own extent
    names = [Text.get_window_extent(t) for t in ax.texts if (t.get_gid() or "").startswith("name ")]
    boxes = sorted(names, key=lambda box: box.y0)
    assert len(boxes) == 8
    for lower, upper in pairwise(boxes):
        assert lower.y1 <= upper.y0 + 1
    assert max(b.x1 for b in boxes) <= ax.figure.bbox.x1 and boxes[-1].y1 <= ax.figure.bbox.y1


# --- coverage and PIT -----------------------------------------------------------------------------------------------


def test_coverage_points_are_shares_of_scores_inside(tested):
    ax = plot_coverage(tested)
    cells = tested.cells
    total = {"bayes": 56, "pc-3": 56, "compute": 55}
    assert labels(ax)[1:] == [f"{method} (n = {n})" for method, n in total.items()]
    for method, n in total.items():
        x, y = line(ax, f"{method} (n = {n})").get_data()
        np.testing.assert_allclose(x, [0.5, 0.8, 0.9, 0.95])
        mine = cells[cells["method"] == method]
        shares = [mine["observed"].between(*(mine[column] for column in bounds(level))).mean() for level in LEVELS]
        np.testing.assert_allclose(y, shares)
    lowest, highest = ax.get_ylim()
    drawn = [*(y for at in vertical_bars(ax).values() for y in at), *(y for d in ax.lines[1:] for y in d.get_ydata())]
    assert lowest <= min(drawn) and max(drawn) <= highest
    diagonal = line(ax, "calibrated")
    np.testing.assert_allclose(*diagonal.get_data())
    assert (ax.get_xlabel(), ax.get_ylabel()) == (
        "nominal coverage of the interval", "observed coverage (share inside)",
    )  # fmt: skip


def test_coverage_of_named_methods(tested):
    assert labels(plot_coverage(tested, methods=["pc-3"])) == ["calibrated", "pc-3 (n = 56)"]
    with pytest.raises(InputError, match="point gives no intervals: name other methods, of bayes, pc-3, compute"):
        plot_coverage(tested, methods=["bayes", "point"])


def test_pit_bars_and_the_binomial_band(tested):
    ax = plot_pit(tested, bins=5)
    shares = pit_histogram(tested.cells, 5).loc["bayes"]
    heights = [p.get_height() for p in ax.patches[:5]]
    np.testing.assert_allclose(np.array(heights) / 56, shares)
    low, high = binom.ppf([0.025, 0.975], 56, 0.2)
    (spread,) = (p for p in ax.patches if p.get_label() == "95 % of counts when calibrated")
    assert (spread.get_y(), spread.get_y() + spread.get_height()) == (low, high)
    assert set(line(ax, "expected").get_ydata()) == {56 / 5}
    assert ax.get_title(loc="left") == "bayes: PIT of 56 forecasts"
    assert (ax.get_xlabel().split()[0], ax.get_ylabel()) == ("PIT", "number of forecasts")


# --- forest ---------------------------------------------------------------------------------------------------------


def rows_of(ax):
    return dict(zip(ax.get_yticks(), [t.get_text() for t in ax.get_yticklabels()], strict=True))


@pytest.mark.parametrize("metric", ["crps", "mae", "interval_score_90"])
def test_forest_rows_are_the_scores_in_the_order_of_the_table(tested, metric):
    ax = plot_forest(tested, metric)
    scores = tested.scores()
    ours = scores[scores["method"] == "bayes"]
    assert list(rows_of(ax).values()) == ours["task"].tolist()
    headings = {t.get_text(): t.get_position()[1] for t in ax.texts if t.get_gid() == "heading"}
    assert list(headings) == ["zeta", "eta"]
    assert list(rows_of(ax)) == [1, 2, 4, 5] and list(headings.values()) == [0, 3]
    np.testing.assert_allclose(line(ax, "bayes").get_xdata(), ours[metric])
    np.testing.assert_allclose(line(ax, "pc-3").get_xdata(), scores.loc[scores["method"] == "pc-3", metric])
    assert "point" not in labels(ax)
    assert ax.get_xlabel().endswith("lower is better")


def test_a_method_that_lacks_models_is_hollow_and_not_compared(tested):
    cells = tested.cells.copy()
    # without a competitor but the incomplete one, no winner
    ax = plot_forest(cells, "mae", methods=["bayes", "compute"])
    hollow = line(ax, "_compute, other models")
    row = next(at for at, task in rows_of(ax).items() if task == "two")
    assert hollow.get_ydata().tolist() == [row] and hollow.get_markerfacecolor() == "white"
    compared = {s[0, 1] for c in ax.collections if c.get_gid() == "difference" for s in c.get_segments()}
    assert compared == set(rows_of(ax)) - {row}
    assert "of 3 rows" in flat(ax) and "Hollow" in flat(ax)


def test_the_bar_joins_ours_and_the_best_and_shows_who_won(tested):
    cells = tested.cells.copy()
    worse = (cells["method"] == "bayes") & (cells["setup"] == "zeta") & (cells["task"] == "three")
    cells.loc[worse, "crps"] = 0.9
    ax = plot_forest(cells)
    table = Backtest(cells).scores()
    wins = 0
    for height, task in rows_of(ax).items():
        setup = "zeta" if height < 3 else "eta"
        values = table[(table["setup"] == setup) & (table["task"] == task)].set_index("method")["crps"]
        best = min(values[m] for m in (("pc-3",) if task == "two" else ("pc-3", "compute")))
        (bar,) = (c for c in ax.collections if c.get_gid() == "difference" and c.get_segments()[0][0, 1] == height)
        np.testing.assert_allclose(bar.get_segments()[0][:, 0], [values["bayes"], best])
        blue = to_hex(bar.get_color()[0]).upper() == style.SHADES[0.8].upper()
        assert blue == (values["bayes"] < best)
        wins += blue
    assert 0 < wins < 4
    assert f"in {wins} of 4 rows" in flat(ax)


def test_an_infinite_log_score_is_a_loss_that_is_told(tested):
    cells = tested.cells.copy()
    cells.loc[(cells["method"] == "pc-3") & (cells["task"] == "three"), "log_score"] = np.inf
    ax = plot_forest(cells, "log_score", methods=["bayes", "pc-3"])
    assert len(line(ax, "pc-3").get_xdata()) == 3
    assert "Infinite in some rows, not drawn: pc-3 (1)." in flat(ax) and "of 4 rows" in flat(ax)


# --- all ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "part"),
    [
        (lambda s: plot_trajectory(s, "gamma", LAST), "task 'gamma': there are alpha, beta"),
        (lambda s: plot_trajectory(s, "alpha", "model-99"), r"'model-99' on alpha: the nearest of 14 .*model-9"),
        (lambda s: plot_trajectory(s, "alpha", LAST, baselines=["pc-9"]), "'pc-9': choose from bayes, pc-3, compute"),
        (lambda s: plot_trajectory(s, "alpha", LAST, spec="other"), "no spec 'other' in the cells: they have default"),
        (lambda s: plot_trajectory(s.cells.query("method != 'bayes'"), "alpha", LAST), f"no bayes forecast of {LAST}"),
        (lambda s: plot_trajectory(s.cells.drop(columns="cutoff"), "alpha", LAST), "no column 'cutoff': give a cutoff"),
        (lambda s: plot_error_by_cutoff(s, "gamma"), "task 'gamma'"),
        (lambda s: plot_error_by_cutoff(s, methods=["mean"]), "method 'mean': choose from"),
        (lambda _: plot_error_by_cutoff(CutoffStudy(pd.DataFrame(), {}, (), 0)), "every fit has failed"),
        (lambda s: plot_by_distance(s, width=0.0), "give a positive number"),
        (lambda s: plot_by_distance(s, method="mean"), "method 'mean'"),
        (lambda s: plot_by_distance(s.cells.assign(distance=np.nan)), "unknown compute"),
        (lambda s: plot_emergence(s, "gamma", 0.5), "task 'gamma'"),
        (lambda s: plot_emergence(s, "alpha", 0.6), "passes 0.6: it has those of 0.5"),
        (lambda s: plot_emergence(s.cells.drop(columns="p_above_0.5"), "alpha", 0.5), "name thresholds when"),
        (lambda s: plot_coverage(s, methods=["mean"]), "method 'mean'"),
        (lambda s: plot_coverage(s.cells.head(0)), "the selection is empty"),
        (lambda s: plot_pit(s, "mean"), "method 'mean'"),
        (lambda s: plot_pit(s, bins=1), "at least 2"),
        (lambda s: plot_pit(s.cells.assign(pit=np.nan)), "forecasts points, not distributions"),
        (lambda s: plot_forest(s, "coverage_90"), "no metric 'coverage_90'.*choose from crps, mae"),
        (lambda s: plot_forest(s.cells.assign(log_score=np.nan), "log_score"), "None of .* has a log_score"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_said_before_a_figure_is_made(study, draw, part):
    with pytest.raises(InputError, match=part):
        draw(study)
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    "draw",
    [
        lambda s: plot_trajectory(s, "alpha", LAST),
        lambda s: plot_by_distance(s),
        lambda s: plot_emergence(s, "alpha", 0.5),
        lambda s: plot_pit(s),
        lambda s: plot_forest(s),
    ],
)
def test_of_several_specs_one_must_be_named(two_specs, draw):
    with pytest.raises(InputError, match=r"2 specs: name one with spec=, of default, curved\."):
        draw(two_specs)


def test_a_spec_by_name(two_specs):
    curved = two_specs.cells[two_specs.cells["spec"] == "curved"]
    drawn = line(plot_trajectory(two_specs, "alpha", LAST, spec="curved"), "median").get_ydata()
    np.testing.assert_allclose(drawn, CutoffStudy(curved, {}, (), 0).trajectory("alpha", LAST)["median"])


def test_everything_is_drawn_on_the_axes_given_and_nowhere_else(study, tested):
    before, cells = dict(plt.rcParams), study.cells.copy()
    figure, grid = plt.subplots(2, 5, figsize=(25, 10))
    axes = list(grid.ravel())
    assert plot_trajectory(study, "alpha", LAST, axes[0]) is axes[0]
    assert plot_error_by_cutoff(study, None, axes[1]) is axes[1]
    assert plot_emergence(study, "alpha", 0.5, axes[2]) is axes[2]
    assert plot_coverage(tested, axes[3]) is axes[3]
    assert plot_pit(tested, "bayes", axes[4]) is axes[4]
    assert plot_forest(tested, "crps", axes[5]) is axes[5]
    assert plot_by_distance(tested, axes[6:9]).tolist() == axes[6:9]
    assert plt.get_fignums() == [figure.number]
    assert not axes[9].has_data()
    assert dict(plt.rcParams) == before
    pd.testing.assert_frame_equal(study.cells, cells)
    with pytest.raises(InputError, match="need three axes"):
        plot_by_distance(tested, axes[:2])


@pytest.mark.parametrize(
    ("source", "draw"),
    [
        ("study", lambda s: plot_trajectory(s, "alpha", MODELS[6], baselines=["pc-3", "compute"], chance=0.25)),
        ("study", plot_error_by_cutoff),
        ("study", lambda s: plot_by_distance(s)[2]),
        ("study", lambda s: plot_emergence(s, "alpha", 0.5)),
        ("tested", plot_coverage),
        ("tested", plot_pit),
        ("tested", plot_forest),
    ],
)  # fmt: skip
def test_no_text_is_cut_off_or_overlaps(request, source, draw):
    last = draw(request.getfixturevalue(source))
    figure = last.figure
    figure.canvas.draw()
    page = figure.bbox
    for ax in figure.axes:
        parts = {"title": ax._left_title, "legend": ax.get_legend(), "axes": ax, "x label": ax.xaxis.label}
        shown = {k: v for k, v in parts.items() if v is not None and (k == "axes" or k == "legend" or v.get_text())}
        boxes = {name: part.bbox if name == "axes" else part.get_window_extent() for name, part in shown.items()}
        if ax is last:
            boxes["caption"] = caption(ax).get_window_extent()
        for name, box in boxes.items():
            assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, name
        for upper, lower in pairwise(boxes):
            assert boxes[upper].y0 >= boxes[lower].y1 - 1, (upper, lower)
