"""Large tables: what is calibrated covers the table, and what is placed is placed as a fit would."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from arviz_stats import mcse

from bayes_obscaling.data import ScoreTable, load_base_llms
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.calibrated import calibration_models, fit_calibrated
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.inference.sampler import Nuts
from bayes_obscaling.models.spec import CapabilitySpec


def large(models: int = 400, families: int = 60, seed: int = 0) -> ScoreTable:
    rng = np.random.default_rng(seed)
    names = [f"m{i}" for i in range(models)]
    facts = pd.DataFrame(
        {
            "model": names,
            "family": [f"f{int(i)}" for i in families * rng.random(models) ** 2],
            "flops": 10 ** rng.uniform(20, 25, models),
        }
    )
    cells = [(m, f"b{k}", rng.random()) for m in names for k in range(5) if rng.random() < (0.02 if k == 4 else 0.6)]
    benchmarks = pd.DataFrame({"benchmark": [f"b{k}" for k in range(5)], "role": "benchmark"})
    return ScoreTable(facts, benchmarks, pd.DataFrame(cells, columns=["model", "benchmark", "score"]))


def test_the_choice_covers_families_compute_and_benchmarks():
    table = large()
    chosen = calibration_models(table, 130)
    models, scores = table.models, table.scores
    assert 130 <= len(chosen) <= 145
    measured = models[models.index.isin(scores["model"])]
    assert set(models.loc[chosen, "family"]) == set(measured["family"])
    for family, members in measured.groupby("family"):
        assert members["flops"].idxmax() in chosen, family
        assert members["flops"].idxmin() in chosen, family
    rare = scores.loc[scores["benchmark"] == "b4", "model"]
    assert rare.isin(chosen).sum() >= min(len(rare), 20)
    assert chosen == calibration_models(table, 130)


def test_a_small_table_is_taken_whole():
    table = load_base_llms("paper")
    assert calibration_models(table, 500) == list(table.models.index)


def test_a_handful_is_refused():
    with pytest.raises(InputError, match="20 or more"):
        calibration_models(load_base_llms("paper"), 5)


@pytest.mark.parametrize(("asked", "draws"), [({}, 500), ({"draws": 40}, 40)], ids=["default", "asked"])
def test_fewer_draws_are_taken_than_of_a_fit_that_keeps_them_all(
    asked: dict[str, int], draws: int, monkeypatch: pytest.MonkeyPatch
):
    class AskedError(Exception):
        """Instead of sampling."""

    def sampled(table: ScoreTable, _: list[str], **options: object) -> None:
        raise AskedError(len(table.models), options["draws"])

    monkeypatch.setattr("bayes_obscaling.inference.calibrated.fit_table", sampled)
    table = large()
    with pytest.raises(AskedError) as given:
        fit_calibrated(table, "b0", 130, **asked)
    models, found = given.value.args
    assert 130 <= models < 146 and found == draws


@pytest.mark.slow
def test_large_tables_have_the_same_posterior(monkeypatch: pytest.MonkeyPatch):
    """In the coordinates of large tables a small one has the means, and the spreads, that it has in its own."""
    paper = load_base_llms("paper")
    table = paper.select(list(paper.models.index[:24]))
    spec = CapabilitySpec(n_factors=2, anchors=("HellaSwag", "MMLU"))
    draws = []
    for many in (60, 1):
        monkeypatch.setattr("bayes_obscaling.models.spec.MANY_FAMILIES", many)
        fit = fit_table(table, "MMLU", spec=spec, chains=4, draws=1000, sampler=Nuts())  # kernels of its own, no cache
        names = ["theta", "intercept", "slope", "intercept_sd", "slope_sd", "residual_sd", "drift", "loading"]
        names += ["family_offset", "family_offset_sd", "overdispersion"]
        draws.append(fit.tree["posterior"].to_dataset()[names])
    means = [d.mean(("chain", "draw")) for d in draws]
    errors = [mcse(d) for d in draws]
    for name in means[0]:
        off = (means[0][name] - means[1][name]) / np.hypot(errors[0][name], errors[1][name])
        assert np.abs(off.where(np.isfinite(off), 0.0)).max() < 5.0, name
        ratio = (draws[0][name].std(("chain", "draw")) / draws[1][name].std(("chain", "draw"))).to_numpy()
        np.testing.assert_allclose(ratio[np.isfinite(ratio)], 1.0, atol=0.25, err_msg=str(name))
