"""The one sentence of an InputError, and its parts."""

import pickle

import pytest

from bayes_obscaling.errors import InputError


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (("A sentence of its own: leave it.",), "A sentence of its own: leave it."),
        (("no period",), "no period"),
        (("The cutoff is 0", "raise it"), "The cutoff is 0: raise it."),
        (("There is no family 'x'", "did you mean y?"), "There is no family 'x': did you mean y?"),
        (("0 cannot be", "give 1", "a.csv, row 2"), "a.csv, row 2: 0 cannot be; give 1."),
        (("0 cannot be", "", "a.csv, row 2"), "a.csv, row 2: 0 cannot be."),
    ],
)
def test_the_parts_make_one_sentence(parts, sentence):
    error = InputError(*parts)
    assert str(error) == sentence
    assert (error.problem, error.remedy, error.where) == (*parts, "", "")[:3]
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.problem, copy.remedy, copy.where) == (sentence, error.problem, error.remedy, error.where)


def test_what_a_file_holds_is_quoted_in_one_line_as_far_as_it_needs_to_be():
    said = str(InputError(f"'{'x' * 5000}' is no date, nor is {'y' * 5000}", "give a day", "a.csv, row 2"))
    assert said == f"a.csv, row 2: '{'x' * 61}…' is no date, nor is {'y' * 60}…; give a day."
    assert str(InputError("family a\n b here", "name one")) == "family a b here: name one."
