"""Fits as files: one netCDF file with draws, tables and a record of what they are, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.data.ladder import Ladder
from bayes_obscaling.data.splits import Split
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.ladder import LadderSpec
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.results.compact import OF_DRAWS, pack, thin, unpack
from bayes_obscaling.results.finding import write_or_refuse
from bayes_obscaling.results.fit import CapabilityFit, Fit, LadderFit
from bayes_obscaling.results.stages import Stage

# Raised whenever the meaning of what is saved changes; a file of another format is refused.
FORMAT = 3
OneKind = TypeVar("OneKind", CapabilityFit, LadderFit)
# The group that holds the record and the tables.
_GROUP = "bayes_obscaling"
# What specs assumed before these fields were among them.
_UNTIL_0_2 = {"curve": "logistic", "task_curve": "logistic", "drift": "none", "line_walk": 0.0}
_TEXT_COLUMNS = {"run", "task", "model", "role", "recipe"}


def save_fit(fit: Fit, path: str | Path, per_chain: int | None = None) -> Path:
    """Write a fit to one netCDF file, whole or not at all; see `Fit.save`.

    With `per_chain`, only so many draws of each chain are kept, rounded: see `bayes_obscaling.results.compact`.
    """
    if per_chain is not None:
        fit = thin(fit, per_chain)
    record: dict[str, Any] = {
        "format": FORMAT,
        "spec": fit.spec.model_dump(),  # type: ignore[attr-defined]
        "stages": [stage.model_dump() for stage in fit.stages],
        "provenance": fit.provenance,
        "notes": fit.notes,
    }
    if isinstance(fit, CapabilityFit):
        record |= {"kind": "capability", "tasks": fit.tasks, "split": asdict(fit.split), "table_notes": fit.table.notes}
        texts = _table_to_csv(fit.table)
    else:
        assert isinstance(fit, LadderFit)
        record |= {"kind": "ladder"}
        texts = _ladder_to_csv(fit.ladder)
    tree = fit.tree.copy()
    if per_chain is not None:
        for name in OF_DRAWS & set(tree.children):
            tree[name] = xr.DataTree(pack(tree[name].to_dataset()))
    own = {"record": json.dumps(record), **texts}
    own["checksum"] = _checksum(tree, own)
    tree[_GROUP] = xr.DataTree(xr.Dataset({name: ((), text) for name, text in own.items()}))
    return write_or_refuse(Path(path), tree.to_netcdf(engine="h5netcdf"), "The fit")


def open_fit(path: str | Path, spec: CapabilitySpec | LadderSpec | None = None) -> CapabilityFit | LadderFit:
    """Read a saved fit of either model.

    Parameters
    ----------
    path : str or Path
        A file written by `Fit.save`.
    spec : CapabilitySpec or LadderSpec, optional
        Refuse the file if it was fitted with another spec.

    Raises
    ------
    InputError
        When the file is missing, damaged, not a fit, of another format, of a later version, or of
        another spec.
    """
    tree, record, texts = _read(Path(path))
    try:
        return _from_record(path, spec, tree, record, texts)
    except (KeyError, TypeError, AttributeError) as error:  # an InputError is none of these
        raise InputError(f"{path} lacks a part of a saved fit ({error}): save the fit again.") from error


def open_as(path: str | Path, kind: type[OneKind], called: object = None) -> OneKind:
    """Read a saved fit of one kind; errors as of `open_fit`, and for a fit of the other model, as it was `called`."""
    fit = open_fit(path)
    if isinstance(fit, kind):
        return fit
    of, other = ("scores", "forecast") if kind is LadderFit else ("a ladder", "ladder")
    raise InputError(f"{called or path} is a saved fit of {of}", f"give it to the {other} command")


def _read(path: Path) -> tuple[xr.DataTree, dict[str, Any], dict[str, str]]:
    """Draws, record and tables of a file that `save_fit` wrote."""
    if not path.is_file():
        raise InputError(f"There is no file {path}: give a fit that was saved with --save-fit or fit.save().")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
    except Exception as error:  # whatever the netCDF library raises on a file that is not one of its own
        raise InputError(f"{path} is damaged or not a netCDF file: save the fit again.") from error
    if _GROUP not in tree.children or "record" not in tree[_GROUP]:
        raise InputError(f"{path} is a netCDF file, but not a saved fit: give a file written by fit.save().")
    texts = {str(name): str(value.item()) for name, value in tree[_GROUP].to_dataset().items()}
    try:
        checksum = texts.pop("checksum", None)
        record = json.loads(texts["record"])
        found = record["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is a netCDF file, but its record of a fit is damaged: save the fit again.") from error
    if found != FORMAT:
        raise InputError(f"{path} has format {found}, this version reads {FORMAT}: fit again with this version.")
    del tree[_GROUP]
    if checksum != _checksum(tree, texts):
        raise InputError(
            f"{path} is damaged: its content is not what was saved (another checksum); save the fit again."
        )
    del texts["record"]
    for name in OF_DRAWS & set(tree.children):
        tree[name] = xr.DataTree(unpack(tree[name].to_dataset()))
    return tree, record, texts


def _from_record(
    path: str | Path,
    spec: CapabilitySpec | LadderSpec | None,
    tree: xr.DataTree,
    record: dict[str, Any],
    texts: dict[str, str],
) -> CapabilityFit | LadderFit:
    is_ladder = record["kind"] == "ladder"
    try:
        saved = LadderSpec(**record["spec"]) if is_ladder else CapabilitySpec(**{**_UNTIL_0_2, **record["spec"]})
        stages = tuple(Stage(**stage) for stage in record["stages"])
    except InputError as error:
        raise InputError(f"{path} holds a spec that this version does not know ({error}): fit again.") from error
    if spec is not None and spec != saved:
        fields = type(saved).model_fields
        changed = [name for name in fields if getattr(spec, name, None) != getattr(saved, name)]
        raise InputError(f"{path} was fitted with another spec (different: {', '.join(changed)}): fit again.")
    common: dict[str, Any] = {
        "tree": tree,
        "stages": stages,
        "provenance": record["provenance"],
        "notes": (*record["notes"], *_about_version(path, record["provenance"]["versions"]["bayes_obscaling"])),
        "spec": saved,
    }
    if is_ladder:
        return LadderFit(ladder=_ladder_from_csv(texts, record["notes"]), **common)
    split = record["split"]
    return CapabilityFit(
        table=_table_from_csv(texts, record["table_notes"]),
        tasks=tuple(record["tasks"]),
        split=Split(**split),
        **common,
    )


def _about_version(path: str | Path, saved_by: str) -> tuple[str, ...]:
    """A note about a fit of an earlier version; one of a later version, which may mean something else, is refused."""
    this = version("bayes_obscaling")
    if _numbers(saved_by) > _numbers(this):
        raise InputError(
            f"{path} was saved by version {saved_by} of bayes_obscaling, this is {this}: update the package, or fit "
            "again."
        )
    is_older = _numbers(saved_by) < _numbers(this)
    return (f"The fit was saved by version {saved_by}, this is {this}.",) if is_older else ()


def _numbers(of_version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", of_version)]


def _checksum(tree: xr.DataTree, texts: dict[str, str]) -> str:
    """Hash of all values, by group and name: a netCDF file with a wrong byte may still be readable."""
    values: list[Any] = []
    for group in sorted(tree.subtree, key=lambda node: node.path):
        for name, variable in sorted(group.to_dataset().variables.items()):
            numeric = variable.dtype.kind in "biuf"
            text = None if numeric else [str(value) for value in variable.values.ravel()]
            values.append([group.path, str(name), variable.dims, text])
            if numeric:
                values.append(hashlib.sha256(np.ascontiguousarray(variable.values, dtype=float).tobytes()).hexdigest())
    return hashlib.sha256(json.dumps([values, sorted(texts.items())]).encode()).hexdigest()


def _frame(text: str, numbers: list[str] | None = None) -> pd.DataFrame:
    """A CSV as a frame of texts, `numbers` as floats: Python's own float() is exact in every version of pandas."""
    frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    for column in (
        [c for c in frame if c not in _TEXT_COLUMNS] if numbers is None else frame.columns.intersection(numbers)
    ):
        frame[column] = [float(value) if value else np.nan for value in frame[column]]
    return frame


def _table_to_csv(table: ScoreTable) -> dict[str, str]:
    benchmarks = table.benchmarks.copy()
    for name in ("excludes", "aliases"):
        benchmarks[name] = benchmarks[name].map(json.dumps)
    return {
        "table_models": table.models.to_csv(),
        "table_benchmarks": benchmarks.to_csv(),
        "table_scores": table.scores.to_csv(index=False),
        "table_other_settings": table.other_settings.to_csv(index=False),
    }


def _table_from_csv(texts: dict[str, str], notes: list[str]) -> ScoreTable:
    benchmarks = _frame(texts["table_benchmarks"], ["chance", "n_items", "lower", "upper", "cutoff_flops"])
    for name in ("excludes", "aliases"):
        benchmarks[name] = benchmarks[name].map(lambda text: tuple(json.loads(text)))
    for name in ("signed", "has_ceiling"):
        benchmarks[name] = benchmarks[name] == "True"
    models = _frame(texts["table_models"], ["params", "tokens", "flops", "flops_sd"])
    numbers = ["score", "n_items", "reasoning"]
    # fits of before there were other settings have none
    others = _frame(texts["table_other_settings"], numbers) if "table_other_settings" in texts else None
    return ScoreTable(models, benchmarks, _frame(texts["table_scores"], numbers), notes, other_settings=others)


def _ladder_to_csv(ladder: Ladder) -> dict[str, str]:
    """Tables of a ladder as text; checkpoints are left out."""
    return {
        "runs": ladder.runs.to_csv(),
        "tasks": ladder.tasks.to_csv(),
        "values": ladder.values.to_csv(index=False),
    }


def _ladder_from_csv(texts: dict[str, str], notes: list[str]) -> Ladder:
    runs, tasks = _frame(texts["runs"]).set_index("run"), _frame(texts["tasks"]).set_index("task")
    return Ladder(runs, tasks, _frame(texts["values"]), notes=tuple(notes))
