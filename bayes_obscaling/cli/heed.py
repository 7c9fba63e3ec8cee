"""What the check of a user's file found: it stops the command, is accepted, or goes with the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from bayes_obscaling.cli.groups import names
from bayes_obscaling.errors import InputError

if TYPE_CHECKING:
    from bayes_obscaling.checks import Check

Accept = Annotated[list[str] | None, names("--accept", help="Go on although these checks of your table failed:")]

_MOST_REVIEWS, _MOST_FAILED = 5, 4  # in the notes of a table; of one check, in a sentence


def heeded(file: Path, found: Sequence[Check], accepted: set[str]) -> list[str]:
    """Return the notes that a file's checks leave; refused are failures that were not accepted."""
    failed = _by_check(one for one in found if one.level == "FAIL")
    if refused := [_refusal(file, name, ones) for name, ones in failed.items() if name not in accepted]:
        raise InputError("\n".join(refused))
    notes = [f"accepted although the check {name} failed: {_what(ones)}" for name, ones in failed.items()]
    by_check = _by_check(one for one in found if one.level == "REVIEW").values()
    reviews = [one for nth in zip_longest(*by_check) for one in nth if one]  # the first of each check comes first
    notes += [f"REVIEW {one.check}: {one.said} -> {one.remedy}" for one in reviews[:_MOST_REVIEWS]]
    if (more := len(reviews) - _MOST_REVIEWS) > 0:
        notes.append(f"{more} more to review: bayes-obscaling check lists all")
    return [f"{file}: {text}" for text in notes]


def accepted_checks(given: Sequence[str] | None, checks: Iterable[str]) -> set[str]:
    """Names of the checks that are accepted, as `checks` spells them; refused is one that there is not."""
    if not given:
        return set()
    from bayes_obscaling.data.names import unknown

    spelled = {_words(name): name for name in checks}
    for name in given:
        if _words(name) not in spelled:
            raise unknown("check", name, list(spelled.values()))
    return {spelled[_words(name)] for name in given}


def _words(name: str) -> str:
    """The words of the name of a check, however they are joined."""
    return " ".join(name.casefold().replace("-", " ").replace("_", " ").split())


def _by_check(found: Iterable[Check]) -> dict[str, list[Check]]:
    """What was found by the name of the check."""
    grouped: dict[str, list[Check]] = {}
    for one in found:
        grouped.setdefault(one.check, []).append(one)
    return grouped


def _what(found: Sequence[Check]) -> str:
    """What one check has found, in one sentence."""
    more = f"; and {len(found) - _MOST_FAILED} more" if len(found) > _MOST_FAILED else ""
    return "; ".join(one.said for one in found[:_MOST_FAILED]) + more


def _refusal(file: Path, name: str, found: Sequence[Check]) -> str:
    """The sentence about a check that failed: what was found, what to do, and how to go on nevertheless."""
    remedies = "; ".join(dict.fromkeys(one.remedy for one in found))
    flag = name.replace(" ", "-")
    return f"{file}: the check {name} failed: {_what(found)}. Remedy: {remedies}; or go on with --accept {flag}."
