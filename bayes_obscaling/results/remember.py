"""Results of functions of a fit, kept on the fit itself: computed once, and gone when the fit goes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

_Fit = TypeVar("_Fit")
_Other = ParamSpec("_Other")
_Result = TypeVar("_Result")
_ATTRIBUTE = "_remembered"


def remembered(
    function: Callable[Concatenate[_Fit, _Other], _Result],
) -> Callable[Concatenate[_Fit, _Other], _Result]:
    """Return the function, which now keeps its results on its first argument, by the other ones (hashable).

    A `functools.cached_property` for functions that live outside the class of their first argument, and that may have
    further arguments.
    """

    @wraps(function)
    def wrapper(fit: _Fit, *args: _Other.args, **kwargs: _Other.kwargs) -> _Result:
        results: dict[Any, _Result] = vars(fit).setdefault(_ATTRIBUTE, {})
        key = (function.__module__, function.__qualname__, args, tuple(sorted(kwargs.items())))
        if key not in results:
            results[key] = function(fit, *args, **kwargs)
        return results[key]

    return wrapper
