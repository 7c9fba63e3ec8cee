"""What is drawn of methods is what their cells say."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from scipy.stats import binom
from scored_cells import assert_texts_apart, flat, labels, line, vertical_bars

from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation import cells as tables
from bayes_obscaling.evaluation.backtest import Backtest
from bayes_obscaling.evaluation.scoring import LEVELS, bounds
from bayes_obscaling.plots import plot_coverage, plot_forest, plot_pit, style


def draw_coverage(scored, ax=None, **options):
    return plot_coverage(tables.coverage(scored, **options), ax)


def draw_pit(scored, method="bayes", ax=None, **options):
    return plot_pit(tables.pit(scored, method, **options), ax)


def draw_forest(scored, metric="crps", ax=None, **options):
    return plot_forest(tables.by_task(scored, metric, **options), ax)


# --- coverage and PIT -----------------------------------------------------------------------------------------------


def test_coverage_points_are_shares_of_scores_inside(tested):
    ax = draw_coverage(tested)
    cells = tested.cells
    total = {"bayes": 56, "pc-3": 56, "compute": 55}
    shown = {method: f"{'ours' if method == 'bayes' else method} (n = {n})" for method, n in total.items()}
    assert labels(ax)[1:] == list(shown.values())
    for method, label in shown.items():
        x, y = line(ax, label).get_data()
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
        "nominal coverage of the interval",
        "observed coverage (share inside)",
    )


def test_coverage_of_named_methods(tested):
    assert labels(draw_coverage(tested, methods=["pc-3"])) == ["calibrated", "pc-3 (n = 56)"]
    with pytest.raises(InputError, match="point gives no intervals: name other methods, of bayes, pc-3, compute"):
        draw_coverage(tested, methods=["bayes", "point"])


def test_pit_bars_and_the_binomial_band(tested):
    ax = draw_pit(tested, bins=5)
    pit = tested.cells.query("method == 'bayes'")["pit"]
    shares = np.histogram(pit, np.linspace(0, 1, 6))[0] / 56
    heights = [p.get_height() for p in ax.patches[:5]]
    np.testing.assert_allclose(np.array(heights) / 56, shares)
    low, high = binom.ppf([0.025, 0.975], 56, 0.2)
    (spread,) = (p for p in ax.patches if p.get_label() == "95 % of counts when calibrated")
    assert (spread.get_y(), spread.get_y() + spread.get_height()) == (low, high)
    assert set(line(ax, "expected").get_ydata()) == {56 / 5}
    assert ax.get_title(loc="left") == "ours: PIT of 56 forecasts"
    assert (ax.get_xlabel().split()[0], ax.get_ylabel()) == ("PIT", "number of forecasts")


# --- forest ---------------------------------------------------------------------------------------------------------


def rows_of(ax):
    return dict(zip(ax.get_yticks(), [t.get_text() for t in ax.get_yticklabels()], strict=True))


@pytest.mark.parametrize("metric", ["crps", "mae", "interval_score_90"])
def test_forest_rows_are_the_scores_in_the_order_of_the_table(tested, metric):
    ax = draw_forest(tested, metric)
    scores = tested.scores()
    ours = scores[scores["method"] == "bayes"]
    assert list(rows_of(ax).values()) == ours["task"].tolist()
    headings = {t.get_text(): t.get_position()[1] for t in ax.texts if t.get_gid() == "heading"}
    assert list(headings) == ["zeta", "eta"]
    assert list(rows_of(ax)) == [1, 2, 4, 5] and list(headings.values()) == [0, 3]
    np.testing.assert_allclose(line(ax, "ours").get_xdata(), ours[metric])
    np.testing.assert_allclose(line(ax, "pc-3").get_xdata(), scores.loc[scores["method"] == "pc-3", metric])
    assert "point" not in labels(ax)
    assert ax.get_xlabel().endswith("lower is better")


def test_a_method_that_lacks_models_is_hollow_and_not_compared(tested):
    cells = tested.cells.copy()
    # without a competitor but the incomplete one, no winner
    ax = draw_forest(cells, "mae", methods=["bayes", "compute"])
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
    ax = draw_forest(cells)
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
    assert f"all others, {wins} of 4 rows" in flat(ax)


def test_an_infinite_log_score_is_a_loss_that_is_told(tested):
    cells = tested.cells.copy()
    cells.loc[(cells["method"] == "pc-3") & (cells["task"] == "three"), "log_score"] = np.inf
    ax = draw_forest(cells, "log_score", methods=["bayes", "pc-3"])
    assert len(line(ax, "pc-3").get_xdata()) == 3
    assert "Infinite in some rows, not drawn: pc-3 (1)." in flat(ax) and "of 4 rows" in flat(ax)


# --- all ------------------------------------------------------------------------------------------------------------


def test_everything_is_drawn_on_the_axes_given_and_nowhere_else(tested):
    before = dict(plt.rcParams)
    figure, grid = plt.subplots(1, 4, figsize=(20, 5))
    axes = list(grid.ravel())
    assert draw_coverage(tested, axes[0]) is axes[0]
    assert draw_pit(tested, "bayes", axes[1]) is axes[1]
    assert draw_forest(tested, "crps", axes[2]) is axes[2]
    assert plt.get_fignums() == [figure.number]
    assert not axes[3].has_data()
    assert dict(plt.rcParams) == before


@pytest.mark.parametrize("draw", [draw_coverage, draw_pit, draw_forest])
def test_no_text_is_cut_off_or_overlaps(tested, draw):
    assert_texts_apart(draw(tested))
