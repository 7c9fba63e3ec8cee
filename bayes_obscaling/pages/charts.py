"""Charts of a page, as Vega-Lite specifications without data: the page fills the data sets ``rows``, ``points`` ..."""

from __future__ import annotations

from typing import Any

import altair as alt

# Okabe and Ito (2008), in tones that are told apart on white and on black.
_BLUE, _RED = "#3A8FC4", "#E0702A"
# Follows the text of the page, dark or light.
_INK = "currentColor"
_SCORE = alt.Scale(domain=[0, 1])
_TICKS = alt.Axis(tickCount=6)
_COMPUTE = (
    alt.X("flops:Q", title="Training compute (FLOPs)").scale(type="log", nice=False).axis(format="~e", tickCount=6)
)
_DATE = alt.X("date:T", title="Release date").axis(tickCount=6)
_HEIGHT = 340


def charts(facts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Specifications of the charts of a page of gathered facts, by the name of the place that they go to."""
    if facts["kind"] == "forecast":
        latent = any(point["flops_low"] is not None for point in facts["points"])
        made = {
            "intervals": _intervals(),
            "by-compute": _scores(_COMPUTE, "flops", "by_compute", latent),
            "by-date": _scores(_DATE, "date", "by_date", False),
            "reaching-compute": _reaching(_COMPUTE, "by_compute"),
            "reaching-date": _reaching(_DATE, "by_date"),
        }
    else:
        made = {"coverage": _coverage(), "pit": _pit(), "distance": _distance()}
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
        "header": {"labelColor": _INK, "titleColor": _INK},
    }
    return spec


def _intervals() -> alt.LayerChart:
    """Forecasts: a dot at the median, bars of 50, 80 and 90 %, what was observed, and the best score so far."""
    base = alt.Chart(alt.NamedData("rows")).encode(
        y=alt.Y("label:N", sort=None, title=None).axis(labelLimit=220),
        tooltip=[
            alt.Tooltip("model:N", title="model"),
            alt.Tooltip("task:N", title="task"),
            alt.Tooltip("median:Q", title="median", format=".3f"),
            *(alt.Tooltip(f"{name}:N", title=name) for name in ("50 %", "80 %", "90 %")),
            alt.Tooltip("observed_text:N", title="observed"),
            alt.Tooltip("beats:N", title="P(beats the best)"),
            alt.Tooltip("distance_text:N", title="decades of compute beyond"),
            alt.Tooltip("months_text:N", title="months ahead"),
            alt.Tooltip("basis:N", title="forecast from"),
        ],
    )
    bars = [
        base.mark_rule(color=_BLUE, opacity=opacity, strokeWidth=width).encode(
            x=alt.X(f"{low}:Q", scale=_SCORE, title="Score", axis=_TICKS), x2=f"{high}:Q"
        )
        for low, high, opacity, width in (("q5", "q95", 0.45, 3), ("q10", "q90", 0.65, 6), ("q25", "q75", 1.0, 9))
    ]
    median = base.mark_point(filled=True, color="white", stroke=_BLUE, strokeWidth=2, size=60, opacity=1)
    observed = base.mark_point(size=55, opacity=1, strokeWidth=2, filled=False).encode(
        x="observed:Q",
        color=alt.Color(
            "known:N",
            scale=alt.Scale(domain=["observed, not seen by the fit", "observed, seen"], range=[_RED, "#888888"]),
        ).title(None),
        shape=alt.Shape(
            "known:N",
            scale=alt.Scale(
                domain=["observed, not seen by the fit", "observed, seen"], range=["diamond", "triangle-up"]
            ),
        ).title(None),
    )
    best = alt.Chart(alt.NamedData("best")).mark_rule(strokeDash=[4, 3], color=_INK, opacity=0.7).encode(x="best:Q")
    return alt.layer(best, *bars, median.encode(x="median:Q"), observed).properties(height=alt.Step(20))


def _fan(x: alt.X, data: str) -> list[alt.Chart]:
    base = alt.Chart(alt.NamedData(data)).encode(x=x)
    bands = [
        base.mark_area(color=_BLUE, opacity=opacity).encode(
            y=alt.Y(f"{low}:Q", scale=_SCORE, title="Score", axis=_TICKS), y2=f"{high}:Q"
        )
        for low, high, opacity in (("q5", "q95", 0.18), ("q25", "q75", 0.28))
    ]
    return [*bands, base.mark_line(color=_BLUE, strokeWidth=2).encode(y="median:Q")]


def _scores(x: alt.X, along: str, data: str, latent: bool) -> alt.LayerChart:
    """Observed scores by compute or date, the fan of a family, and forecasts of what is not observed."""
    base = alt.Chart(alt.NamedData("points")).transform_filter(f"isValid(datum.{along})").encode(x=x, y="observed:Q")
    tips = ["model:N", "family:N", "flops_text:N", "date:N", alt.Tooltip("observed:Q", format=".3f")]
    marks = base.mark_point(filled=True, size=55, opacity=0.85).encode(
        color=alt.Color("group:N", title="Family").scale(scheme="tableau10"),
        shape=alt.Shape("known:N", title=None).scale(
            domain=["seen", "not seen by the fit"], range=["circle", "diamond"]
        ),
        tooltip=tips,
    )
    layers: list[alt.Chart] = [*_fan(x, data)]
    if latent:
        layers.append(
            base.mark_rule(color=_INK, opacity=0.3)
            .transform_filter("isValid(datum.flops_low)")
            .encode(x=alt.X("flops_low:Q"), x2="flops_high:Q")
        )
    coming = alt.Chart(alt.NamedData("coming")).transform_filter(f"isValid(datum.{along})").encode(x=x)
    layers += [
        coming.mark_rule(color=_RED, strokeWidth=2).encode(y="q5:Q", y2="q95:Q"),
        coming.mark_point(color=_RED, filled=True, size=60, shape="square", opacity=1).encode(
            y="median:Q", tooltip=["model:N", "90 %:N", alt.Tooltip("median:Q", format=".3f")]
        ),
    ]
    return alt.layer(*layers, marks).properties(height=_HEIGHT)


def _reaching(x: alt.X, data: str) -> alt.LayerChart:
    """Probability of reaching a score along compute or date; the page works it out when the score is moved."""
    base = alt.Chart(alt.NamedData(data)).encode(
        x=x, y=alt.Y("p:Q", scale=_SCORE, title="P(score ≥ s)").axis(format="%")
    )
    line = base.mark_line(color=_BLUE, strokeWidth=2)
    dots = base.mark_point(color=_BLUE, filled=True, size=25).encode(tooltip=[alt.Tooltip("p:Q", format=".0%")])
    return alt.layer(line, dots).properties(height=180)


def _coverage() -> alt.LayerChart:
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


def _pit() -> alt.Chart:
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


def _distance() -> alt.Chart:
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
