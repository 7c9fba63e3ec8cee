"""Names that are not there."""

import pytest

from bayes_obscaling.data.names import close_names, family_named, unknown
from bayes_obscaling.errors import InputError

FAMILIES = ["Llama", "Llama-2", "Qwen"]


def test_near_names_come_first_and_the_short_name_is_enough():
    assert close_names("llama2-7b", ["x/Llama-2-7b", "y/Qwen-7B"])[0] == "x/Llama-2-7b"
    assert close_names("zzzz", ["x/Llama-2-7b"]) == []


def test_the_error_for_an_unknown_name():
    near, far = unknown("family", "lama-2", FAMILIES, "see the list"), unknown("family", "zzzz", FAMILIES)
    assert str(near) == "There is no family 'lama-2': did you mean Llama-2, Llama?"
    assert str(far) == "There is no family 'zzzz': choose one of Llama, Llama-2, Qwen."
    assert str(unknown("family", "zzzz", FAMILIES, "see the list")) == "There is no family 'zzzz': see the list."
    assert str(unknown("model", "x", [])) == "There is no model 'x': the table has none."
    assert unknown("task", "t", (f"x{i}" for i in range(30))).remedy.endswith("x14, ...")


def test_families_by_name():
    assert family_named(" llama-2", FAMILIES) == "Llama-2"
    with pytest.raises(InputError, match=r"no family 'Qwen2'.*did you mean Qwen"):
        family_named("Qwen2", FAMILIES)
