from __future__ import annotations

import pytest
from pydantic import ValidationError

from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability import CapabilitySpec
from bayes_obscaling.models.priors import HEAD_PRIORS, Beta, LogNormal, Normal, Priors


def test_defaults_are_frozen():
    spec = CapabilitySpec()
    with pytest.raises(ValidationError, match="frozen"):
        spec.n_factors = 2
    with pytest.raises(ValidationError, match="frozen"):
        spec.priors.slope_mean = Normal(loc=0, scale=1)
    with pytest.raises(ValidationError, match="frozen"):
        spec.priors.slope_mean.loc = 3.0


def test_json_round_trip():
    spec = CapabilitySpec(
        n_factors=3,
        anchors=("MMLU", "ARC-C"),
        compute_law="box-cox",
        posterior="joint",
        priors=Priors(ceiling_gap=Beta(a=2, b=30), slope_sd=LogNormal(median=0.1, log_sd=0.2)),
    )
    assert CapabilitySpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec != CapabilitySpec()


def test_every_default_is_written_out():
    """A saved spec must not change its meaning when a default does."""
    written = CapabilitySpec().model_dump()
    assert set(written) == set(CapabilitySpec.model_fields)
    assert set(written["priors"]) == set(Priors.model_fields)
    for name, prior in written["priors"].items():
        assert prior
        assert all(isinstance(value, float) for value in prior.values()), name


def test_head_priors_are_fields():
    assert set(HEAD_PRIORS) < set(Priors.model_fields)


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: CapabilitySpec(factors=2), "did you mean n_factors"),
        (lambda: Priors(slope_means=Normal(loc=0, scale=1)), "did you mean slope_mean"),
        (lambda: Priors(zzz=1), "the fields are intercept_mean"),
        (lambda: Normal(mean=0, scale=1), "the fields are loc, scale"),
        (lambda: CapabilitySpec(priors={"task_dificulty": {"loc": 0, "scale": 1}}), "did you mean task_difficulty"),
    ],
)
def test_unknown_names_bring_the_valid_ones(make, hint: str):
    with pytest.raises(InputError, match=hint):
        make()


@pytest.mark.parametrize("change", [{"n_factors": 0}, {"compute_law": "cubic"}, {"fit_sd": 0.0}, {"posterior": "both"}])
def test_values_out_of_range_are_refused(change: dict):
    with pytest.raises(InputError, match=next(iter(change))):
        CapabilitySpec(**change)
