"""Scored forecasts made by hand, of which nothing was sampled, and what was drawn on axes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from bayes_obscaling.data.dates import months_between
from bayes_obscaling.evaluation.backtest import Backtest
from bayes_obscaling.evaluation.cutoff_study import CutoffStudy
from bayes_obscaling.evaluation.scoring import score_draws, score_points

CUTOFFS = (1e21, 3e21, 1e22, 3e22)
MODELS = [f"{'abcd'[i % 4]}-org/model-{i}" for i in range(14)]
FLOPS = dict(zip(MODELS, np.geomspace(2e21, 8e23, 14), strict=True))
OBSERVED = dict(zip(MODELS, np.linspace(0.1, 0.9, 14), strict=True))
LAST = MODELS[-1]
DATES = {model: f"202{2 + i // 6}-{1 + 2 * (i % 6):02d}-15" for i, model in enumerate(MODELS)}  # every two months
AS_OF = ("2022-02-01", "2022-08-01", "2023-06-01")


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


def made_dated_study(seed=0):
    """The same, cut by date: 13, 10 and 5 models came after."""
    parts = []
    for number, as_of in enumerate(AS_OF):
        later = [m for m in MODELS if DATES[m] >= as_of]
        months = months_between(as_of, [DATES[m] for m in later])
        dates = {"date": [DATES[m] for m in later] * 3, "months_ahead": [*months] * 3, "as_of": as_of}
        for task in ("alpha", "beta"):
            cells = made_cells(seed + 10 * number, f"released before {as_of}", task, later, months / 12)
            parts.append(cells.assign(spec="default", **dates))
    return CutoffStudy(pd.concat(parts, ignore_index=True), {}, (), 0)


def made_backtest():
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
    """The last text under the axes: the verdict, where there is one."""
    return [t for t in ax.texts if t.get_gid() in ("caption", "verdict")][-1]


def flat(ax):
    """Caption and verdict in one line."""
    return " ".join(t.get_text() for t in ax.texts if t.get_gid() in ("caption", "verdict")).replace("\n", " ")


def named(ax):
    return {t.get_gid().removeprefix("name ") for t in ax.texts if (t.get_gid() or "").startswith("name ")}


def assert_texts_apart(last):
    """No text of the figure is cut off, and title, legend, axes, label and caption follow each other."""
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
