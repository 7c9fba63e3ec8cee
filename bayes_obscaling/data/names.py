"""Names that are not there, and the nearest that are."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from bayes_obscaling.errors import InputError

_MOST_LISTED = 15
# What published names carry that says nothing about which model it is.
_DECORATIONS = {"hf", "base", "deduped", "meta", "model"}


def close_names(name: str, names: Sequence[str], cutoff: float = 0.5) -> list[str]:
    """Return up to three of ``names`` that look like ``name``, nearest first; the part after the ``/`` is enough."""
    keys = {short.casefold(): full for full in names for short in (full, full.rpartition("/")[2])}
    close = difflib.get_close_matches(name.casefold(), list(keys), n=3, cutoff=cutoff)
    return list(dict.fromkeys(keys[key] for key in close))


def normal_form(name: str) -> str:
    """Return the words and numbers of a name by which its spellings are alike: ``Llama 2 70B`` as ``llama-2-70b-hf``.

    An organisation before the ``/`` is kept, and so are words that make another model of it, such as chat.
    """
    organisation, _, short = name.casefold().rpartition("/")
    words = re.findall(
        r"[^\W\d_]+|\d+(?:\.\d+)?", re.sub(r"(?<=\d)_(?=\d)", ".", re.sub(r"(fp8|[fb]f?16)$", "", short))
    )
    kept = [word for word in words if word not in _DECORATIONS] or words or [short]
    return f"{organisation}/{'-'.join(kept)}" if organisation else "-".join(kept)


def unknown(kind: str, name: object, names: Iterable[str], remedy: str = "") -> InputError:
    """Return the error for a name that does not exist, with the nearest names that do.

    `kind` is what it should be the name of, such as "model"; `remedy` what to do where no name is near, by default to
    choose one of the names.
    """
    known = [str(one) for one in dict.fromkeys(names)]
    close = close_names(str(name), known)
    if close:
        remedy = f"did you mean {', '.join(close)}?"
    elif not known:
        remedy = "the table has none"
    elif not remedy:
        more = ", ..." if len(known) > _MOST_LISTED else ""
        remedy = f"choose one of {', '.join(known[:_MOST_LISTED])}{more}"
    return InputError(f"There is no {kind} '{name}'", remedy)


def family_named(name: str, families: Iterable[str], remedy: str = "") -> str:
    """Return the family of that name as the table spells it, in upper or lower case; another is refused."""
    spelled = {str(family).casefold(): str(family) for family in families}
    folded = name.strip().casefold()
    if folded not in spelled:
        raise unknown("family", name, spelled.values(), remedy)
    return spelled[folded]
