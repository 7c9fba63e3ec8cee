"""Numbers as people write them: ``51.2%``, ``7,000,000,000``, ``7B``, ``1.92 x 10^23``, ``0,51``, ``0.51 ± 0.02``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from bayes_obscaling.errors import InputError

Commas = Literal["", "decimal", "thousands", "both"]
"""What the commas of a sheet are, as far as its unambiguous numbers tell."""

_SUPERSCRIPTS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_ALIKE = str.maketrans({"−": "-", "×": "x", "∗": "*", "·": "*", "⋅": "*", "’": "'", "±": "±", "％": "%"})
_SPACES = re.compile(r"[\s\u00a0\u2007\u2009\u202f]+")
_PLUS_MINUS = re.compile(r"\s*(?:±|\+/-|\+-)\s*")
_UNITS = {"k": 3, "thousand": 3, "m": 6, "mn": 6, "million": 6, "b": 9, "bn": 9, "billion": 9, "t": 12, "tn": 12}
_UNITS |= {"trillion": 12, "": 0}
_NUMBER = re.compile(
    r"[~≈]?\s*(?P<sign>[+-]?)(?P<digits>(?:\d[\d.,' _]*)?\d|\d|[.,]\d+|\d+[.,])"
    r"(?:e(?P<e>[+-]?\d+)|\s*[x*]\s*10\s*(?:\^|\*\*)\s*\(?(?P<power>[+-]?\d+)\)?|(?P<bare>\^[+-]?\d+))?"
    rf"\s*(?P<unit>{'|'.join(sorted(_UNITS, key=len, reverse=True))})"
    r"\s*(?:tokens?|params?|parameters|flops?|items?)?\s*(?P<percent>%?)",
    re.ASCII | re.IGNORECASE,
)
_COUNTS = re.compile(r"(\d+)\s*/\s*(\d+)", re.ASCII)
_GROUPS = r"\d{1,3}(?:%s\d{3})+"
_MOST_DIGITS = 4  # of an exponent: more is no number that anything has


class AmbiguousError(ValueError):
    """A number that may be read in two ways, such as ``1,024``."""


@dataclass(frozen=True)
class Number:
    """A number as written.

    Attributes
    ----------
    value : Decimal
        The number in front of a percent sign; a unit letter (7B) or power of ten is multiplied in.
    is_percent : bool
        Whether a percent sign follows.
    has_unit : bool
        Whether it brings its own unit, as ``7B`` does.
    error : Decimal or None
        What follows ±, on the scale of ``value``.
    items : int or None
        The denominator of a count such as ``204/400``, whose ``value`` is .51.
    """

    value: Decimal
    is_percent: bool = False
    has_unit: bool = False
    error: Decimal | None = None
    items: int | None = None


def read_number(text: str, commas: Commas = "") -> Number | None:
    """Return the number that a text is, None where it is none.

    Parameters
    ----------
    text : str
        The text of a cell.
    commas : {"", "decimal", "thousands", "both"}
        What the commas of other numbers in the sheet are; it decides about ``1,024``.

    Raises
    ------
    AmbiguousError
        If a comma or point may be the decimal one or one for thousands, and `commas` does not tell.
    """
    if count := _COUNTS.fullmatch(text.strip()):
        right, items = int(count[1]), int(count[2])
        return Number(Decimal(right) / items, items=items) if items > 0 and right <= items else None
    parts = [_plain(part, commas) for part in _PLUS_MINUS.split(text.strip(), maxsplit=1)]
    if any(part is None for part in parts):
        return None
    first, *rest = (part for part in parts if part is not None)
    if not rest:
        return first
    return Number(first.value, first.is_percent or rest[0].is_percent, first.has_unit, rest[0].value)


def amount(what: str, text: str, such_as: str = "7e9 or 7B") -> float:
    """Return parameters, tokens or FLOPs that somebody has typed, in any of the forms that files have.

    Parameters
    ----------
    what : str
        What it is, to say when it is none, such as ``--size``.
    text : str
        What was typed.
    such_as : str
        How it may be written.

    Raises
    ------
    InputError
        For what is no number, or one that may be read in two ways.
    """
    try:
        number = read_number(text)
    except AmbiguousError as error:
        raise InputError(f"{what}: the number {error}", "write it without a mark for thousands") from None
    if number is None or number.is_percent or number.error is not None or number.items is not None:
        kind = "a number" if number is None else "a plain number"
        raise InputError(f"{what} is {text[:40]!r}, not {kind}", f"write it as {such_as}")
    return float(number.value)


def commas_of(texts: set[str]) -> Commas:
    """Return what the commas in texts are: those of numbers that can be read in one way only."""
    found = set()
    for text in texts:
        for part in _PLUS_MINUS.split(text.strip()):
            if match := _match(part):
                digits = _ungrouped(match["digits"])
                last = max(digits.rfind(","), digits.rfind("."))
                if "," in digits and not re.fullmatch(r"[1-9]\d{0,2},\d{3}", digits):
                    found.add("decimal" if digits[last] == "," and digits.count(",") == 1 else "thousands")
                elif digits.count(".") > 1:
                    found.add("decimal")  # points that are for thousands
    return "both" if len(found) == 2 else found.pop() if found else ""  # type: ignore[return-value]


def _match(text: str) -> re.Match[str] | None:
    text = re.sub(r"10([⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda found: f"10^{found[1].translate(_SUPERSCRIPTS)}", text)
    return _NUMBER.fullmatch(_SPACES.sub(" ", text.translate(_ALIKE)).strip())


def _plain(text: str, commas: Commas) -> Number | None:
    match = _match(text)
    if match is None:
        return None
    exponent = match["e"] or match["power"] or "0"
    is_scientific = exponent != "0"  # whose mark is no one for thousands
    digits = _decimal(_ungrouped(match["digits"]), commas, is_scientific)
    if digits is None:
        return None
    if match["bare"]:  # 10^23
        exponent = match["bare"][1:]
        if digits != "10":
            return None
        digits = "1"
    unit = _UNITS[match["unit"].casefold()]
    if len(exponent) > _MOST_DIGITS:
        exponent = "-9999" if exponent.startswith("-") else "9999"
    power = int(exponent) + unit
    return Number(Decimal(match["sign"] + digits).scaleb(power), bool(match["percent"]), unit > 0)


def _ungrouped(digits: str) -> str:
    """Drop spaces, apostrophes and underscores between groups of three digits."""
    for mark in (" ", "'", "_"):
        if re.fullmatch(rf"{_GROUPS % mark}(?:[.,]\d*)?", digits):
            return digits.replace(mark, "")
    return digits


def _decimal(digits: str, commas: Commas, is_scientific: bool) -> str | None:
    """Return digits with a decimal point and nothing else between them, None where the marks make no number."""
    if re.search(r"[ '_]", digits):
        return None
    last = max(digits.rfind(","), digits.rfind("."))
    if last < 0:
        return digits
    mark = digits[last]
    other = "." if mark == "," else ","
    if other in digits:  # 1.234,5 or 1,234.5
        whole = digits[:last]
        is_grouped = re.fullmatch(_GROUPS % re.escape(other), whole)
        return f"{whole.replace(other, '')}.{digits[last + 1 :]}" if is_grouped else None
    if digits.count(mark) > 1:
        return digits.replace(mark, "") if re.fullmatch(_GROUPS % re.escape(mark), digits) else None
    if re.fullmatch(rf"[1-9]\d{{0,2}}{re.escape(mark)}\d{{3}}", digits) and not is_scientific:
        if mark == "," and commas in ("", "both"):
            raise AmbiguousError(f"{digits!r} may be {digits.replace(',', '')} or {digits.replace(',', '.')}")
        if mark == "," and commas == "thousands":
            return digits.replace(",", "")
        if mark == "." and commas == "decimal":
            raise AmbiguousError(f"{digits!r} may be {digits.replace('.', '')} or {digits}")
    return digits.replace(",", ".")
