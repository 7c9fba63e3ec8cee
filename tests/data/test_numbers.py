"""Numbers as people write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayes_obscaling.data.numbers import AmbiguousError, commas_of, read_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.512", 0.512),
        (".5", 0.5),
        ("7.", 7),
        ("-1", -1),
        ("−1", -1),
        ("0,51", 0.51),
        ("12,5", 12.5),
        ("7,000,000,000", 7e9),
        ("7.000.000", 7e6),
        ("7 000 000", 7e6),
        ("7\u202f000\u202f000", 7e6),
        ("7'000'000", 7e6),
        ("7_000_000", 7e6),
        ("1,234.5", 1234.5),
        ("1.234,5", 1234.5),
        ("7B", 7e9),
        ("7 billion", 7e9),
        ("410m", 410e6),
        ("1.4T", 1.4e12),
        ("1.4 trillion tokens", 1.4e12),
        ("~7B params", 7e9),
        ("3.2e24", 3.2e24),
        ("3.2E+24 FLOP", 3.2e24),
        ("1.92 x 10^23", 1.92e23),
        ("1.92×10²³", 1.92e23),
        ("1.92 * 10**23", 1.92e23),
        ("1.92·10^(23)", 1.92e23),
        ("10^23", 1e23),
        ("4.425e24", 4.425e24),
    ],
)
def test_numbers(text, value):
    number = read_number(text)
    assert number is not None and float(number.value) == value and not number.is_percent


def test_what_stands_beside_a_number():
    percent = read_number("51.2 %")
    assert (float(percent.value), percent.is_percent, percent.has_unit) == (51.2, True, False)
    with_error = read_number("51.2 ± 1.4%")
    assert (float(with_error.value), float(with_error.error), with_error.is_percent) == (51.2, 1.4, True)
    assert float(read_number("0.51 +/- 0.02").error) == 0.02
    count = read_number("204/400")
    assert (float(count.value), count.items) == (0.51, 400)
    assert read_number("7B").has_unit


@pytest.mark.parametrize(
    "text",
    ["good", "inf", "nan", "8x7B", "5 5", "1.92 x 1023", "2024-05-01", "0.5e", "1.2.3", "12,34,5", "500/400", ""],
)
def test_what_is_no_number(text):
    assert read_number(text) is None


def test_a_comma_is_read_as_the_others_of_the_sheet():
    with pytest.raises(AmbiguousError, match=r"may be 1024 or 1\.024"):
        read_number("1,024")
    assert commas_of({"0,5", "a,b"}) == commas_of({"1.234,5"}) == "decimal"
    assert commas_of({"7,000,000"}) == commas_of({"1,234.5"}) == "thousands"
    assert commas_of({"1,024", "x", "0.5"}) == ""
    assert commas_of({"0,5", "7,000,000"}) == "both"
    assert float(read_number("1,024", "decimal").value) == 1.024
    assert float(read_number("1,024", "thousands").value) == 1024
    for commas in ("", "both"):
        with pytest.raises(AmbiguousError):
            read_number("1,024", commas)
    with pytest.raises(AmbiguousError):
        read_number("7.125", "decimal")


@given(st.text(max_size=12))
def test_any_text_is_a_number_or_none(text):
    with contextlib.suppress(AmbiguousError):
        read_number(text)
