"""Fits that ship with the package: default fits of the bundled tables, so that questions to them need no sampling.

`scripts/ship_fits.py` makes them. Each is tied to what it was made from: table, split, spec and version.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bayes_obscaling.data.bundled import tables_folder
from bayes_obscaling.data.ladder import Ladder
from bayes_obscaling.data.splits import Split
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.files import write_atomically
from bayes_obscaling.models.ladder import LadderSpec
from bayes_obscaling.models.layout import lay_out
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.fit import CapabilityFit, LadderFit
from bayes_obscaling.results.forecast import forecast
from bayes_obscaling.results.joined import can_join
from bayes_obscaling.results.storage import OneKind, open_as, open_fit, save_fit

# Draws kept of each of four chains: all fits together take six and a half megabytes of a wheel.
PER_CHAIN = 200


def fits_folder() -> Path:
    """Folder of the fits that ship with the package."""
    return tables_folder() / "fits"


def fit_file(path: Path | str) -> Path:
    """Return the file of a fit: the shipped one, where the path is its name and no file of that name is there.

    A bare word that is neither is refused with the names of those that ship.
    """
    path, names = Path(path), list(_index())
    if str(path) in names and not path.is_file():
        return fits_folder() / f"{path}.nc"
    if not path.exists() and not path.suffix and path.parent == Path():
        raise InputError(f"There is no fit {path}", f"name a file, or one that ships: {', '.join(names)}")
    return path


def shipped(name: str, kind: type[OneKind]) -> OneKind:
    """Return a fit that ships with the package, by its name."""
    return open_as(fits_folder() / f"{name}.nc", kind)


def ship(fit: CapabilityFit | LadderFit, name: str) -> Path:
    """Add a fit to those that ship with the package, with what it is tied to."""
    path = save_fit(fit, fits_folder() / f"{name}.nc", PER_CHAIN)
    if isinstance(fit, LadderFit):
        about = _tied(fit.ladder.data_hash, fit.spec) | {"kind": "ladder"}
    else:
        about = _tied_to(fit.table, fit.split, fit.spec) | {"tasks": fit.tasks, "holds": fit.posterior.names}
        about |= {"models": fit.layout.models, "kind": "scores"}
    about |= {"expects": expectation(open_fit(path))}
    index = {**_index(), name: about}
    write_atomically(fits_folder() / "index.json", json.dumps(index, indent=1, sort_keys=True).encode())
    _index.cache_clear()
    return path


def expectation(fit: CapabilityFit | LadderFit) -> float:
    """Mean expected score of the fit's first model: it shows when equations have changed since a fit was shipped.

    Of a ladder, mean log density of its accuracies.
    """
    if isinstance(fit, LadderFit):
        return float(fit.posterior.pointwise[0]["accuracy"].mean())
    return float(forecast(fit, fit.layout.models[0], tasks=fit.posterior.names, kind="mean").draws.mean())


def facts_of_shipped() -> dict[str, dict[str, Any]]:
    """What each shipped fit is tied to, by its name."""
    return dict(_index())


def find_shipped(table: ScoreTable, names: Iterable[str], split: Split, spec: CapabilitySpec) -> CapabilityFit | None:
    """Return the shipped fit of this table, split and spec that holds all of `names`; None where there is none.

    A benchmark that is asked for is hidden above a cutoff, so a fit with a split answers for what it was asked for.
    """
    tied = _json(_tied_to(table, split, spec))
    for name, about in _of_kind("scores").items():
        held = about["tasks"] if split.held_out else about["holds"]
        is_same = about["table"] == tied["table"] and about["hidden"] == tied["hidden"]
        if set(names) <= set(held) and is_same and _is_of(about, spec):
            return shipped(name, CapabilityFit)
    return None


def find_shipped_ladder(ladder: Ladder, spec: LadderSpec) -> LadderFit | None:
    """Return the shipped fit of this ladder and spec; None where there is none."""
    for name, about in _of_kind("ladder").items():
        if about["table"] == ladder.data_hash and _is_of(about, spec):
            return shipped(name, LadderFit)
    return None


def find_joinable(table: ScoreTable, names: Sequence[str], split: Split, spec: CapabilitySpec) -> CapabilityFit | None:
    """Return the largest shipped fit that the rest of this table can join; None where there is none."""
    facts = table.models
    bundled, models = set(facts.index[facts["cohort"] != "user"]), set(facts.index)  # the user's alone are to join
    able = {
        name: about
        for name, about in _of_kind("scores").items()
        if bundled <= set(about["models"]) <= models and _is_of(about, spec)
    }
    if not able:
        return None
    layout = lay_out(table, names, split, spec)
    for name in sorted(able, key=lambda name: -len(able[name]["models"])):
        if can_join(fit := shipped(name, CapabilityFit), layout):
            return fit
    return None


def _of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {name: about for name, about in _index().items() if about["kind"] == kind}


def _is_of(about: dict[str, Any], spec: CapabilitySpec | LadderSpec) -> bool:
    """Whether a shipped fit is of this spec and version; what a spec did not say then is what it says by default."""
    return about["version"] == version("bayes_obscaling") and type(spec)(**about["spec"]) == spec


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _tied_to(table: ScoreTable, split: Split, spec: CapabilitySpec) -> dict[str, Any]:
    """What a fit depends on, JSON-able."""
    hidden = {"held_out": split.held_out, "hidden": split.hidden, "cells": split.cells}
    return _tied(table.data_hash, spec) | {"hidden": hidden}


def _tied(data_hash: str, spec: CapabilitySpec | LadderSpec) -> dict[str, Any]:
    return {"table": data_hash, "spec": spec.model_dump(), "version": version("bayes_obscaling")}


@lru_cache
def _index() -> dict[str, dict[str, Any]]:
    path = fits_folder() / "index.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
