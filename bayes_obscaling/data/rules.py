"""What a value in a table must be: each rule said once, with a place in front of the sentence where there is one.

The place is a file, row and column where a value is read, and the name of a row where a table is made from frames.
"""

from __future__ import annotations

import math

from bayes_obscaling.errors import InputError

ROLES = ("benchmark", "task")
OPEN_WEIGHTS = ("", "yes", "no")
"""Whether the weights of a model are open; "" where nobody knows."""
FLOPS_SD = 3.0
"""The largest error of compute, in decades, that can be meant: a factor of a thousand."""
POSITIVE = ("params", "tokens", "flops", "cutoff_flops")
"""Columns whose numbers are positive where they are known."""
FLOPS = (1e15, 1e30)
"""Training compute that can be meant: no model is known near either end."""


PLAUSIBLE = {"params": (1e6, 1e13), "tokens": (1e8, 1e14), "flops": (1e15, 1e28)}
"""Sizes, data and compute of known models; one unit slip is a factor of 1000."""
LEAST_AMOUNT = 1e5
"""Parameters, or tokens, below which a number is one of another unit: 7 for 7B."""
FLOPS_CONFIDENCE = {"confident": 0.29, "likely": 0.61, "speculative": 0.90}
"""Epoch AI's words for how well compute is known, a factor of 3, 10 and 30 at 90 %, as sd of log10 FLOPs in decades."""


def check_number(field: str, value: float, where: str = "") -> None:
    """Refuse a number that the column `field` of a table cannot hold; NaN is a number that is not known."""
    if math.isnan(value):
        return
    if field == "chance":
        if not 0 <= value < 1:
            raise InputError(f"{value:g} is no chance level", "write a fraction such as 0.25", where)
        return
    if field == "flops_sd":
        if not 0 <= value <= FLOPS_SD:
            remedy = f"give the standard deviation of log10 FLOPs in decades, from 0 to {FLOPS_SD:g}"
            raise InputError(f"flops_sd {value:g} cannot be", f"{remedy}, or nothing where they are exact", where)
        return
    if field == "cutoff_flops":
        check_flops("the cutoff", value, where)
    possible, remedy = True, "give a number"
    if field == "n_items":
        possible, remedy = value >= 1, "give at least 1"
    elif field in POSITIVE:
        possible, remedy = value > 0, "give a positive number"
    if not (possible and math.isfinite(value)):
        raise InputError(f"{field} {value:g} cannot be", f"{remedy}, or leave the cell empty if it is not known", where)


def check_flops(what: str, flops: float, where: str = "") -> None:
    """Refuse compute that is no positive number, or that no model has been, or could be, trained with."""
    low, high = FLOPS
    try:
        value = float(flops)
    except (TypeError, ValueError, OverflowError):  # no number, or a whole one that no float holds
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{what} is {flops} FLOPs", "give a positive number, such as 8.4e22", where)
    if not low <= value <= high:
        raise InputError(f"{what} is {value:g} FLOPs", f"give a number from {low:g} to {high:g}", where)


def check_amount(what: str, value: float) -> None:
    """Refuse parameters or tokens of a model that are no positive number, or so few that another unit is meant."""
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{what} is {value:g}", "give a positive number")
    if value < LEAST_AMOUNT:
        raise InputError(f"{what} is {value:g}, so that the unit may be another", "give it in full, or as 7B or 15T")


def check_role(role: str, where: str = "") -> None:
    """Refuse a role that is neither benchmark nor task."""
    if role not in ROLES:
        raise InputError(f"there is no role {role!r}", "write benchmark or task", where)


def check_open(text: str, where: str = "") -> None:
    """Refuse what says neither that weights are open nor that they are not."""
    if text not in OPEN_WEIGHTS:
        raise InputError(f"open_weights is {text!r}", "write yes or no, or leave the cell empty", where)


def check_range(lower: float, upper: float, where: str = "") -> None:
    """Refuse a raw range that is empty."""
    if not lower < upper:
        raise InputError(f"lower {lower:g} must be below upper {upper:g}", "correct one of them", where)


def out_of_range(score: float, lower: float = 0.0, upper: float = 1.0) -> str:
    """Say that a score is outside the range of its benchmark."""
    return f"score {score:g} is outside {lower:g}..{upper:g}"


def two_scores(model: str, benchmark: str, where: str = "", first: str = "") -> InputError:
    """Return the error for a second score in one cell; `first` says where the first one is."""
    remedy = "keep one, or have reruns averaged (duplicates='mean', --duplicates mean)" if where else "keep one"
    return InputError(f"{model} has two scores on {benchmark}{first}", remedy, where)


def shared_name(alias: str, other: str, where: str = "") -> InputError:
    """Return the error for an alias that names another benchmark too."""
    return InputError(f"{alias!r} is a name of {other} too", "use another one", where)
