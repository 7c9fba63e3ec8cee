"""Charts of a page, as Vega-Lite specifications without data: the page fills the data sets ``rows``, ``points`` ..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

# Okabe and Ito (2008), in tones that are told apart on white and on black.
_BLUE, _RED, _GREY = "#3A8FC4", "#E0702A", "#888888"
# Follows the text of the page, dark or light.
_INK = "currentColor"
# Nine families, told apart on white and on black; grey is all others.
_FAMILIES = [
    "#3A8FC4",
    "#CC6677",
    "#2E9E6B",
    "#C9A227",
    "#8F6BC0",
    "#44AAAA",
    "#B5592B",
    "#B04A8B",
    "#7A8B3C",
    "#9A9A9A",
]
_SCORE = alt.Scale(domain=[0, 1])
_TICKS = alt.Axis(tickCount=6)
# Of a logarithmic axis: whether a tick is a power of ten, which alone has a label and a line.
_IS_POWER = "abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-6"
_POWERS: Any = {"condition": {"test": _IS_POWER, "value": 1}, "value": 0}
_POWER = f"{_IS_POWER} ? '1e' + round(log(datum.value) / LN10) : ''"
_COMPUTE = (
    alt.X("flops:Q", title="Training compute (FLOPs)")
    .scale(type="log", nice=False)
    .axis(labelExpr=_POWER, tickCount=8, gridOpacity=_POWERS, tickOpacity=_POWERS)
)
_DATE = alt.X("date:T", title="Release date").axis(tickCount=6)
_HEIGHT = 360
# What a forecast says when it is pointed at.
_TIPS = {
    "model": "model",
    "task": "task",
    "median_text": "median",
    "50 %": "50 %",
    "80 %": "80 %",
    "90 %": "90 %",
    "95 %": "95 %",
    "observed_text": "observed",
    "beats": "P(beats the best)",
    "distance_text": "decades of compute beyond",
    "months_text": "months ahead",
    "scores_text": "scores behind it",
    "basis": "forecast from",
}


def charts(facts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Specifications of the charts of a page of gathered facts, by the name of the place that they go to."""
    made: dict[str, alt.TopLevelMixin] = {}
    if facts["kind"] == "forecast":
        latent = any(point["flops_low"] is not None for point in facts["points"])
        made = {
            "intervals": _intervals(),
            "by-compute": _scores(_COMPUTE, "flops", "by_compute", latent),
            "by-date": _scores(_DATE, "date", "by_date", False),
            "reaching-compute": _reaching(_COMPUTE, "by_compute"),
            "reaching-date": _reaching(_DATE, "by_date"),
        }
    if facts["kind"] == "ladder":
        tips = ("model", "task", "median_text", "50 %", "80 %", "90 %", "95 %")
        made = {"intervals": _intervals(tips, "Accuracy, or loss")}
        made |= {"loss": _loss(), "link": _link()} if facts["curves"] else {}
    if facts.get("record"):
        made |= {"coverage": _coverage(), "pit": _pit(), "distance": _distance()}
    return {name: _finished(chart) for name, chart in made.items()}


def _finished(chart: alt.TopLevelMixin) -> dict[str, Any]:
    grey = "rgba(128,128,128,0.25)"
    spec: dict[str, Any] = chart.to_dict()
    spec["width"] = "container"
    spec["config"] = {
        "background": "transparent",
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": {
            **dict.fromkeys(("labelColor", "titleColor"), _INK),
            **dict.fromkeys(("gridColor", "domainColor", "tickColor"), grey),
            "titleFontWeight": "normal",
            "labelOverlap": "greedy",
        },
        "legend": {
            **dict.fromkeys(("labelColor", "titleColor", "symbolBaseStrokeColor"), _INK),
            "symbolBaseFillColor": "#888888",
            "orient": "bottom",
            "columns": 4,
            "labelLimit": 240,
        },
        "axisY": {"labelLimit": 220},
    }
    return spec


def _intervals(tips: Sequence[str] = tuple(_TIPS), title: str = "Score") -> alt.TopLevelMixin:
    """Forecasts: a dot at the median, bars of 50, 80 and 90 %, the score observed, the best so far, the ceiling."""
    base = alt.Chart(alt.NamedData("rows")).encode(
        y=alt.Y("label:N", sort=alt.EncodingSortField("place", op="min"), title=None).axis(
            domain=False, ticks=False, labelPadding=8
        ),
        tooltip=[alt.Tooltip(f"{name}:N", title=_TIPS[name]) for name in tips],
    )
    # not from 0 to 1: where all forecasts are alike, that would hide how they differ
    x = alt.X("q5:Q", scale=alt.Scale(zero=False, nice=True), title=title, axis=alt.Axis(tickCount=8))
    bars = [
        base.mark_bar(color=_BLUE, opacity=opacity, height=height, cornerRadius=1).encode(
            x=x.copy() if low == "q5" else alt.X(f"{low}:Q"), x2=f"{high}:Q"
        )
        for low, high, opacity, height in (("q5", "q95", 0.3, 4), ("q10", "q90", 0.45, 8), ("q25", "q75", 0.8, 8))
    ]
    median = base.mark_point(filled=True, color="white", stroke=_BLUE, strokeWidth=2, size=70, opacity=1)
    known = ["observed, not seen by the fit", "observed, seen"]
    observed = base.mark_point(size=70, opacity=1, strokeWidth=2, filled=True, fill="white").encode(
        x="observed:Q",
        stroke=alt.Stroke("known:N", scale=alt.Scale(domain=known, range=[_RED, _GREY]), legend=None),
        shape=alt.Shape("known:N", scale=alt.Scale(domain=known, range=["diamond", "triangle-up"]), legend=None),
    )
    lines = [
        alt.Chart(alt.NamedData("marks"))
        .transform_filter(f"isValid(datum.{name})")
        .mark_rule(strokeDash=dash, color=_INK, opacity=0.7)
        .encode(x=f"{name}:Q")
        for name, dash in (("best", [5, 3]), ("ceiling", [1, 3]))
    ]
    layers = [*bars, median.encode(x="median:Q")]
    if "observed_text" in tips:
        layers = [*lines, *layers, observed]
    return alt.layer(*layers).properties(height=alt.Step(22))


def _fan(x: alt.X, data: str) -> list[alt.Chart]:
    base = alt.Chart(alt.NamedData(data)).encode(x=x)
    bands = [
        base.mark_area(color=_BLUE, opacity=opacity).encode(
            y=alt.Y(f"{low}:Q", scale=_SCORE, title="Score", axis=_TICKS), y2=f"{high}:Q"
        )
        for low, high, opacity in (("q5", "q95", 0.18), ("q25", "q75", 0.28))
    ]
    return [*bands, base.mark_line(color=_BLUE, strokeWidth=2).encode(y="median:Q")]


def _scores(x: alt.X, along: str, data: str, latent: bool) -> alt.TopLevelMixin:
    """Observed scores by compute or date, the fan of a family, and forecasts of what is not observed."""
    base = alt.Chart(alt.NamedData("points")).transform_filter(f"isValid(datum.{along})").encode(x=x, y="observed:Q")
    tips = [alt.Tooltip(f"{name}:N") for name in ("model", "family", "compute", "date", "observed_text")]
    marks = base.mark_point(filled=True, size=60, opacity=0.85).encode(
        color=alt.Color("group:N", title="Family", sort=None).scale(range=_FAMILIES),
        shape=alt.Shape(
            "known:N",
            scale=alt.Scale(domain=["seen by the fit", "not seen by the fit"], range=["circle", "diamond"]),
            legend=None,
        ),
        tooltip=tips,
    )
    layers: list[alt.Chart] = [*_fan(x, data)]
    if latent:
        layers.append(
            base.mark_rule(color=_INK, opacity=0.25)
            .transform_filter("isValid(datum.flops_low)")
            .encode(x=alt.X("flops_low:Q"), x2="flops_high:Q")
        )
    coming = alt.Chart(alt.NamedData("coming")).transform_filter(f"isValid(datum.{along})").encode(x=x)
    layers += [
        coming.mark_rule(color=_RED, strokeWidth=1.5, opacity=0.6).encode(y="q5:Q", y2="q95:Q"),
        coming.mark_point(color=_RED, filled=True, size=45, shape="square", opacity=0.9).encode(
            y="median:Q", tooltip=[alt.Tooltip(f"{name}:N") for name in ("model", "median_text", "90 %")]
        ),
    ]
    return alt.layer(*layers, marks).properties(height=_HEIGHT)


def _reaching(x: alt.X, data: str) -> alt.TopLevelMixin:
    """Probability of reaching a score along compute or date; the page works it out when the score is moved."""
    base = alt.Chart(alt.NamedData(data)).encode(
        x=x, y=alt.Y("p:Q", scale=_SCORE, title="P(score ≥ s)").axis(format="%")
    )
    line = base.mark_line(color=_BLUE, strokeWidth=2)
    dots = base.mark_point(color=_BLUE, filled=True, size=25).encode(tooltip=[alt.Tooltip("p:Q", format=".0%")])
    return alt.layer(line, dots).properties(height=180)


def _loss() -> alt.TopLevelMixin:
    """Loss of a task by size: expected curves at fixed tokens per parameter, runs, and forecasts."""
    x = alt.X("params:Q", title="Parameters").scale(type="log", nice=False)
    x = x.axis(labelExpr=_POWER, tickCount=8, gridOpacity=_POWERS, tickOpacity=_POWERS)
    y = alt.Y("median:Q", title="Loss").scale(zero=False)
    line = alt.Chart(alt.NamedData("loss")).encode(
        x=x, color=alt.Color("ratio:N", title=None, sort=None).scale(range=_FAMILIES).legend(columns=2)
    )
    band = line.mark_area(opacity=0.15).encode(y=alt.Y("q5:Q").scale(zero=False), y2="q95:Q")
    dots = alt.Chart(alt.NamedData("runs")).mark_point(filled=True, color=_GREY, size=45, opacity=0.9)
    runs = dots.encode(x=x, y="loss:Q", tooltip=["run:N", alt.Tooltip("loss:Q", format=".3f")])
    target = alt.Chart(alt.NamedData("targets")).encode(x=alt.X("N:Q"))
    return alt.layer(band, line.mark_line(strokeWidth=2).encode(y=y), runs, *_targets(target)).properties(height=300)


def _link() -> alt.TopLevelMixin:
    """Accuracy of a task by its loss: the expected curve, runs, and forecasts."""
    x = alt.X("loss:Q", title="Loss").scale(zero=False)
    base = alt.Chart(alt.NamedData("link")).encode(x=x)
    bands = [
        base.mark_area(color=_BLUE, opacity=opacity).encode(
            y=alt.Y(f"{low}:Q", title="Accuracy").scale(zero=False), y2=f"{high}:Q"
        )
        for low, high, opacity in (("q5", "q95", 0.18), ("q25", "q75", 0.28))
    ]
    line = base.mark_line(color=_BLUE, strokeWidth=2).encode(y="median:Q")
    dots = alt.Chart(alt.NamedData("runs")).mark_point(filled=True, color=_GREY, size=45, opacity=0.9)
    runs = dots.encode(x=x, y="accuracy:Q", tooltip=["run:N", alt.Tooltip("accuracy:Q", format=".3f")])
    target = alt.Chart(alt.NamedData("linked")).encode(x=x)
    return alt.layer(*bands, line, runs, *_targets(target)).properties(height=300)


def _targets(base: alt.Chart) -> list[alt.Chart]:
    """Forecasts as squares with their 90 % interval."""
    point = base.mark_point(color=_RED, filled=True, size=60, shape="square", opacity=1).encode(y="median:Q")
    tips = [alt.Tooltip(f"{name}:N", title=_TIPS[name]) for name in ("model", "median_text", "90 %")]
    return [base.mark_rule(color=_RED, strokeWidth=2).encode(y="q5:Q", y2="q95:Q"), point.encode(tooltip=tips)]


def _coverage() -> alt.TopLevelMixin:
    """How often intervals held the score, against how often they should."""
    x = alt.X("claimed:Q", title="Level of the interval").scale(domain=[0.4, 1]).axis(format="%", tickCount=6)
    base = alt.Chart(alt.NamedData("coverage")).encode(
        x=x, y=alt.Y("found:Q", title="Scores inside").scale(domain=[0, 1]).axis(format="%")
    )
    ideal = base.mark_line(color=_INK, strokeDash=[4, 3], opacity=0.7).encode(y="claimed:Q")
    series = alt.Color("method:N", title="Method").scale(scheme="tableau10")
    line = base.mark_line(point=True).encode(
        color=series, tooltip=["method:N", alt.Tooltip("claimed:Q", format="%"), alt.Tooltip("found:Q", format=".0%")]
    )
    return alt.layer(ideal, line).properties(height=260)


def _pit() -> alt.TopLevelMixin:
    """Where observed scores fell in their forecasts: even, where forecasts are calibrated."""
    return (
        alt.Chart(alt.NamedData("pit"))
        .mark_bar(color=_BLUE)
        .encode(
            x=alt.X("pit:Q", title="Share of draws below the observed score").bin(extent=[0, 1], step=0.1),
            y=alt.Y("count()", title="Forecasts"),
        )
        .properties(height=260)
    )


def _distance() -> alt.TopLevelMixin:
    """Error by distance beyond what was seen."""
    return (
        alt.Chart(alt.NamedData("distance"))
        .mark_point(filled=True, size=70)
        .encode(
            x=alt.X("crps:Q", title="CRPS (lower is better)").axis(tickCount=8),
            y=alt.Y("bin:N", title="Decades beyond", sort=None),
            color=alt.Color("method:N", title="Method").scale(scheme="tableau10"),
            tooltip=["method:N", "bin:N", alt.Tooltip("crps:Q", format=".4f"), "n:Q"],
        )
        .properties(height=alt.Step(32))
    )
