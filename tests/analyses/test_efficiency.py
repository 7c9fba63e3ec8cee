"""Family efficiency and equivalent compute, against truth and by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayes_obscaling.analyses.efficiency import efficiency, equivalent_compute, first_component, worth
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import COMPUTE_CENTRE

FLOPS = 10**22.6


@pytest.fixture(scope="module")
def found(made_fit):
    return efficiency(made_fit, capability="bench-0", flops=FLOPS, family="family-3")


def test_families_are_recovered(found, simulation):
    t, x = simulation.truth, np.log10(FLOPS) - COMPUTE_CENTRE
    held = 0
    for quantity, truth in (("capability", t["intercept"] + t["slope"] * x), ("slope", t["slope"])):
        for k, factor in enumerate(("bench-0", "bench-1")):
            rows = found.table[(found.table["capability"] == factor) & (found.table["quantity"] == quantity)]
            assert rows["rank"].tolist() == list(range(1, 7))
            rows = rows.sort_values("family")
            assert rows["family"].tolist() == [f"family-{f}" for f in range(6)]
            held += ((truth[:, k] > rows["q5"]) & (truth[:, k] < rows["q95"])).sum()
            assert np.corrcoef(truth[:, k], rows["median"])[0, 1] > (0.7 if quantity == "capability" else 0.0)
    assert held >= 17  # of 24 intervals of 90 %, which share their scale
    true_order = np.argsort(-(t["intercept"] + t["slope"] * x)[:, 0])
    ranking = found.parts["ranking"]
    assert ranking["family"].iloc[-1] == f"family-{true_order[-1]}"
    assert ranking["family"].iloc[0] in {f"family-{f}" for f in true_order[:2]}


def test_the_summary_ranks_families_and_says_how_sure_that_is(found):
    summary, order = found.summary(), found.parts["order"].set_index("family")
    assert summary["family"].tolist() == found.parts["ranking"]["family"].tolist()
    assert summary["rank"].tolist() == list(range(1, 7)) and set(summary["unit"]) == {"logits"}
    first, second = summary["family"].iloc[:2]
    assert summary["above_next"].iloc[0] == order.loc[first, second] and np.isnan(summary["above_next"].iloc[-1])
    assert summary["probability_first"].sum() == pytest.approx(1)


def test_order_is_a_probability_and_a_family_is_worth_itself(found):
    order = found.parts["order"].set_index("family")
    np.testing.assert_allclose(order + order.T, 1)
    assert found.parts["ranking"]["probability_first"].sum() == pytest.approx(1)
    multiplier = found.table[found.table["quantity"] == "multiplier"].set_index("family")
    assert multiplier.loc["family-3", ["median", "q5", "q95"]].tolist() == pytest.approx([1, 1, 1], rel=1e-6)
    ahead = order["family-3"].drop("family-3") > 0.5
    assert ((multiplier["median"].drop("family-3") > 1)[ahead.index] == ahead).all()


def test_equivalent_compute_by_hand(made_fit):
    one = dataclasses.replace(made_fit, tree=made_fit.tree.isel(chain=[0], draw=[40]))
    draw = one.draws.isel(chain=0, draw=0, predictors=0)
    theta, a, b = (
        draw["theta"].sel(model="family-1-2"),
        *(draw[s].sel(family="family-3") for s in ("intercept", "slope")),
    )
    sd = draw["theta"].to_numpy().std(axis=0)
    for capability, weight in (("bench-1", np.array([0, 1])), ("overall", 1 / sd)):
        x = float(((theta - a) * weight).sum() / (b * weight).sum())
        got = equivalent_compute(one, "family-1-2", "Family-3", capability)
        assert np.log10(got.item()) == pytest.approx(COMPUTE_CENTRE + x, abs=1e-6)
    table = worth(one, ["family-1-2"], "family-3").table
    assert table["median"].item() == pytest.approx(got.item()) and table["family"].item() == "family-1"


def test_a_model_on_its_own_line_is_worth_its_own_compute(made_fit):
    models = made_fit.table.models
    mine = models.index[models["family"] == "family-1"]
    found = worth(made_fit, list(mine), "family-1").table
    assert (np.abs(np.log10(found["median"] / found["flops"])) < 1).all()
    assert (found["q5"] < found["flops"]).any() and (found["q95"] > found["flops"]).any()


def test_within_family_r2_of_the_paper(paper):
    """Mean R2 of PC-1 on log compute over families of three models or more: .966."""
    models, first = paper.models, first_component(paper)
    known = models[models["flops"].notna()]
    found = [
        np.corrcoef(np.log10(group["flops"]), first[group.index])[0, 1] ** 2
        for _, group in known.groupby("family")
        if len(group) >= 3
    ]
    assert len(found) == 14
    assert np.mean(found) == pytest.approx(0.966, abs=0.001)


def test_r2_and_heterogeneity_have_rows_for_what_they_cover(found, made_fit):
    r2 = found.parts["r2"]
    assert r2["models"].tolist() == [4] * 6
    assert r2[["pc_1", "q5", "median", "q95"]].to_numpy().min() > 0.3 and r2["q95"].max() <= 1
    spread = found.parts["residual_sd"]
    logits = spread[spread["unit"] == "logits"]["median"]
    np.testing.assert_allclose(
        logits, np.median(made_fit.draws["residual_sd"].isel(predictors=0), axis=(0, 1)), rtol=0.02
    )


def test_what_cannot_be_asked_is_refused(made_fit):
    with pytest.raises(InputError, match=r"no capability 'speed'.*overall, bench-0"):
        efficiency(made_fit, capability="speed")
    with pytest.raises(InputError, match="reference compute"):
        efficiency(made_fit, flops=-1)
    with pytest.raises(InputError, match="did you mean family"):
        equivalent_compute(made_fit, "family-1-2", "family-9")


def test_the_plot_is_the_table(found):
    ax = found.plot()
    ranking = found.parts["ranking"]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [f"{f} (4)" for f in ranking["family"]]
    drawn = {round(float(y)): x for line in ax.lines for x, y in zip(*line.get_data(), strict=True)}
    rows = found.table[(found.table["capability"] == "bench-0") & (found.table["quantity"] == "capability")]
    expected = rows.set_index("family")["median"].loc[ranking["family"]]
    assert [drawn[i] for i in range(6)] == pytest.approx(expected.tolist())


def test_the_reference_is_a_family_whose_flops_are_known(made_fit):
    models = made_fit.table.models
    assert efficiency(made_fit).family == worth(made_fit).family == models["family"].value_counts().index[0]
    of_secret = models["flops"].where(models["family"] != "family-0")
    table = ScoreTable(models.assign(flops=of_secret), made_fit.table.benchmarks, made_fit.table.scores)
    secret = dataclasses.replace(made_fit, table=table)
    assert efficiency(secret).family != "family-0"
    for ask in (efficiency, worth):
        with pytest.raises(InputError, match="The FLOPs of no model of family-0 are known: name another family"):
            ask(secret, family="family-0")


def test_a_family_is_worth_itself_wherever_its_line_strays(dated_fit):
    strays = dataclasses.replace(dated_fit, spec=dated_fit.spec.model_copy(update={"line_walk": 0.3}))
    models = strays.table.models
    family = models["family"].iloc[0]
    found = efficiency(strays, flops=1e20, family=family)
    rows = found.table[(found.table["quantity"] == "multiplier")].set_index("family")
    assert rows.loc[family, ["q5", "median", "q95"]].tolist() == [1.0, 1.0, 1.0]
    still = efficiency(dated_fit, flops=1e20, family=family).table
    levels = [
        table[(table["quantity"] == "capability") & (table["capability"] == "overall")].set_index("family")
        for table in (found.table, still)
    ]
    widths = [level["q95"] - level["q5"] for level in levels]
    assert (widths[0] > widths[1]).all()  # a line strays below its models as in forecasts
