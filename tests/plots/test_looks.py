"""Every figure says what it shows, keeps its legend off the data, cuts no text, and is red only where a fit failed."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from bayes_obscaling import ask, plots
from bayes_obscaling.analyses.latent_compute import LatentCompute
from bayes_obscaling.design.compare import Comparison
from bayes_obscaling.design.selection import Selection
from bayes_obscaling.evaluation.baselines import BASELINES
from bayes_obscaling.evaluation.factor_choice import FactorChoice
from bayes_obscaling.evaluation.gain_check import MEAN_GAIN, NO_CHANGE
from bayes_obscaling.evaluation.left_out import ModelsLeftOut
from bayes_obscaling.evaluation.scoring import OURS
from bayes_obscaling.evaluation.single_family import COMPUTE_ONLY, SingleFamily
from bayes_obscaling.plots import style
from bayes_obscaling.results.forecast import forecast

SAID = ("One thing is so.",)


def interval(middle: np.ndarray, width: float) -> dict[str, np.ndarray]:
    steps = {"q5": -2.0, "q25": -1.0, "median": 0.0, "q75": 1.0, "q95": 2.0}
    return {name: middle + step * width for name, step in steps.items()}


def made_single_family(problems: tuple[str, ...]) -> SingleFamily:
    methods = (OURS, COMPUTE_ONLY, "pc-3", "family-logistic")
    rows = [{"target": "largest", "models": k, "method": m, "crps": 0.1 / k} for k in (2, 3, 4) for m in methods]
    return SingleFamily(pd.DataFrame(rows), SAID, problems, {}, "Family")


def made_left_out(problems: tuple[str, ...]) -> ModelsLeftOut:
    observed = np.linspace(0.9, 0.1, 30)
    table = pd.DataFrame({"model": [f"org/a-model-{i}" for i in range(30)], "task": "agent", "observed": observed})
    return ModelsLeftOut(table.assign(inside_90=True, **interval(observed, 0.03)), SAID, problems)


def made_hidden(problems: tuple[str, ...]) -> LatentCompute:
    flops = np.geomspace(1e20, 1e25, 12)
    table = pd.DataFrame({"model": [f"org/model-{i}" for i in range(12)], "flops": flops, "siblings": 1})
    table = table.assign(**{name: 10.0**value for name, value in interval(np.log10(flops), 0.2).items()})
    table.loc[3, "flops"] *= 30
    coverage = pd.DataFrame([{"n": 12, "coverage_90": 0.9, "coverage_50": 0.5}])
    return LatentCompute(table, SAID, problems, {"coverage": coverage})


def made_choice(problems: tuple[str, ...]) -> FactorChoice:
    table = pd.DataFrame({"factors": [1, 2, 3], "difference": [-9.0, 0.0, -1.0], "se": [2.0, 0.0, 1.0], "scores": 90})
    return FactorChoice(table, SAID, problems)


def made_comparison(problems: tuple[str, ...]) -> Comparison:
    rows = [
        {
            "design": design,
            "forecaster": "pc-3",
            "models": k,
            "sets": 5,
            "median": 0.1 / k,
            "q25": 0.08 / k,
            "q75": 0.2 / k,
        }
        for design in ("Bayesian design", "random models")
        for k in (4, 8, 16)
    ]
    return Comparison(pd.DataFrame(rows).assign(forecaster="pc-3"), SAID, problems)


def made_selection(problems: tuple[str, ...]) -> Selection:
    path = pd.DataFrame({"models": range(9), "criterion": np.linspace(0.12, 0.08, 9)})
    table = pd.DataFrame({"order": range(1, 9), "target_sd": path["criterion"][1:]})
    names = tuple(f"org/chosen-{i}" for i in range(8))
    return Selection(table, SAID, problems, {"path": path}, names, "sd of the targets' expected scores", "task-0")


MADE = {
    "single family": made_single_family,
    "left out": made_left_out,
    "hidden compute": made_hidden,
    "number of factors": made_choice,
    "designs": made_comparison,
    "selection": made_selection,
}
OF_A_FIT = {
    "forecast": lambda fit: forecast(fit, tasks="task-0").plot(),
    "capability curve": lambda fit: ask.capability_curve(fit, "task-0").plot(),
    "compute curve": lambda fit: ask.compute_curve(fit, "task-0", "family-1").plot(),
    "reach": lambda fit: ask.compute_to_reach(fit, "task-0", 0.5, "family-1").plot(),
    "factors": lambda fit: ask.factors(fit).plot(),
    "task weights": lambda fit: ask.factors(fit).plot(tasks=True),
    "efficiency": lambda fit: ask.efficiency(fit, family="family-1").plot(),
    "worth": lambda fit: ask.worth(fit, family="family-1").plot(),
    "gain": lambda fit: ask.gain(fit, "task-0", "task-1").plot(),
    "gain by compute": lambda fit: ask.gain(fit, "task-0", "task-1").plot(against="compute"),
    "gain curve": lambda fit: plots.plot_gain_curve(ask.gain(fit, "task-0", "task-1", families=["family-1", "new"])),
    "drivers": lambda fit: plots.plot_drivers(ask.gain(fit, "task-0", "task-1")),
}

OF_A_DATED_FIT = {
    "forecast": lambda fit: forecast(fit, {"family": "new", "flops": 1e24}, tasks="bench-1").plot(),
    "compute curve": lambda fit: ask.compute_curve(fit, "task-0", "family-1").plot(),
    "date to reach": lambda fit: ask.date_to_reach(fit, "bench-1", 0.7, "new", 1e23, growth=0.3).plot(),
    "out of reach": lambda fit: ask.date_to_reach(fit, "bench-1", 0.9999, "new", 1e21).plot(),
    "drift": lambda fit: ask.drift(fit).plot(),
}


def check_looks(ax: plt.Axes) -> None:
    """Title, axes with names, a legend above the data, texts inside the page, the verdict last and below."""
    figure = ax.figure
    figure.canvas.draw()
    page = figure.bbox
    assert ax.get_title(loc="left") and ax.get_xlabel()
    texts = {t.get_gid(): t for t in ax.texts if t.get_gid()}
    assert "verdict" in texts
    below = texts["verdict"].get_window_extent()
    assert below.y1 <= ax.xaxis.label.get_window_extent().y0
    if "caption" in texts:
        assert below.y1 <= texts["caption"].get_window_extent().y0 + 1
    low, high = sorted(ax.get_ylim())  # labels of other ticks are not drawn
    ticks = [label for label in ax.get_yticklabels() if low <= label.get_position()[1] <= high]
    shown = [*texts.values(), ax._left_title, ax.xaxis.label, ax.yaxis.label, *ticks]
    for text in filter(lambda text: text.get_text(), shown):
        box = text.get_window_extent()
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1, text.get_text()
        assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1, text.get_text()
        assert not text.get_text().endswith(("...", "…"))
    if (legend := ax.get_legend()) is not None:
        assert legend.get_window_extent().y0 >= ax.bbox.y1 - 1


def reds(ax: plt.Axes) -> set[str]:
    """What is written in the colour of alarm."""
    texts = [*ax.texts, ax._left_title]
    return {t.get_gid() or "title" for t in texts if t.get_text() and to_hex(t.get_color()).upper() == style.ALARM}


@pytest.mark.parametrize("name", OF_A_FIT)
def test_a_plot_of_a_fit_is_complete(made_fit, name):
    ax = OF_A_FIT[name](made_fit)
    check_looks(ax)
    assert reds(ax) == set()


@pytest.mark.parametrize("name", OF_A_DATED_FIT)
def test_a_plot_of_release_dates_is_complete(dated_fit, name):
    ax = OF_A_DATED_FIT[name](dated_fit)
    check_looks(ax)
    assert reds(ax) == set()


@pytest.mark.parametrize("name", MADE)
def test_a_plot_of_a_study_is_complete_and_only_a_failed_sampler_is_red(name):
    ax = MADE[name](()).plot()
    check_looks(ax)
    assert reds(ax) == set()
    ax = MADE[name](tuple(f"capabilities: problem {i}" for i in range(9))).plot()
    check_looks(ax)
    assert reds(ax) == {"verdict"}
    (verdict,) = (t.get_text().replace("\n", " ") for t in ax.texts if t.get_gid() == "verdict")
    assert "problem 0" in verdict and "and 5 more" in verdict


def test_a_forecast_of_many_models_keeps_a_row_for_each(made_fit):
    found = forecast(made_fit, list(made_fit.table.models.index), tasks="task-0")
    about = pd.concat([found.about.assign(model=found.about["model"] + f"-{i}") for i in range(4)], ignore_index=True)
    many = dataclasses.replace(found, about=about, draws=found.draws.isel(scenario=list(range(24)) * 4))
    ax = many.plot()
    check_looks(ax)
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert len(boxes) == 96
    assert all(upper.y0 >= lower.y1 - 1 for upper, lower in pairwise(boxes))


def test_a_selection_has_no_tick_beyond_its_models():
    ax = made_selection(()).plot()
    assert max(ax.get_xticks()) == 8 and "task-0" in ax.get_title(loc="left")


def test_every_method_has_a_look_of_its_own_in_all_plots():
    methods = [OURS, *BASELINES, COMPUTE_ONLY, NO_CHANGE, MEAN_GAIN]
    looks = {tuple(style.method_look(method).values()) for method in methods}
    assert len(looks) == len(methods)
    drawn = {line.get_label(): line for line in made_single_family(()).plot().lines}
    assert drawn["ours"].get_color() == style.BLUE
    assert drawn["pc-3"].get_color() == style.method_look("pc-3")["color"]


def test_names_at_the_right_do_not_touch(made_fit):
    ax = ask.gain(made_fit, "task-0", "task-1").plot()
    ax.figure.canvas.draw()
    named = [t for t in ax.texts if (t.get_gid() or "").startswith("name ")]
    assert len(named) == 10
    boxes = sorted((Text.get_window_extent(t) for t in named), key=lambda box: box.y0)
    assert all(lower.y1 <= upper.y0 + 1 for lower, upper in pairwise(boxes))
