"""Fit: a posterior with all that is needed to forecast from it, saved as one netCDF file."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.data import ScoreTable
from bayes_obscaling.errors import InputError
from bayes_obscaling.files import write_atomically
from bayes_obscaling.inference.arrays import Problem
from bayes_obscaling.inference.convergence import Convergence
from bayes_obscaling.models.capability import CapabilitySpec

# Raised whenever the meaning of what is saved changes; a file of another format is refused.
FORMAT = 2

MEASUREMENT_DIMS: dict[str, tuple[str, ...]] = {
    "intercept_mean": ("factor",),
    "intercept_sd": ("factor",),
    "slope_mean": ("factor",),
    "slope_sd": ("factor",),
    "residual_sd": ("factor",),
    "curvature": ("factor",),
    "intercept": ("family", "factor"),
    "slope": ("family", "factor"),
    "compute": ("model",),
    "theta": ("model", "factor"),
    "loading": ("benchmark", "factor"),
    "difficulty": ("benchmark",),
    "ceiling_gap": ("benchmark",),
    "family_offset_sd": ("benchmark",),
    "family_offset": ("family", "benchmark"),
    "overdispersion": ("benchmark",),
}
_HEAD_DIMS: dict[str, tuple[str, ...]] = {
    "share_mean": ("factor",),
    "share_sd": (),
    "contrast_sd": (),
    "log_steepness_mean": (),
    "steepness_sd": (),
    "steepness": ("task",),
    "weight": ("task", "factor"),
    "task_difficulty": ("task",),
    "task_family_offset_sd": ("task",),
    "task_family_offset": ("task", "family"),
    "task_ceiling_gap": ("task",),
    "task_overdispersion": ("task",),
}


@dataclass(frozen=True, eq=False)
class Fit:
    """What was learned from a table.

    Attributes
    ----------
    table : ScoreTable
        All scores, seen and hidden.
    spec : CapabilitySpec
        What was believed.
    tasks : tuple of str
        Tasks and benchmarks asked for.
    cutoff : float or None
        FLOPs above which task scores were hidden, where they were hidden by compute.
    held_out : tuple of str
        Models whose task scores were hidden.
    from_compute : tuple of str
        Models all of whose scores were hidden.
    posterior : DataTree
        Groups ``posterior`` (dims chain, draw; ``predictors`` tells measurement fits apart), ``sample_stats``,
        ``observed_data``: ready for ArviZ.
    convergence : dict of str to Convergence
        One record a stage of sampling.
    provenance : dict
        When, where, with which versions and seed.
    notes : tuple of str
        What the reader of a forecast should know.
    """

    table: ScoreTable
    spec: CapabilitySpec
    tasks: tuple[str, ...]
    cutoff: float | None
    held_out: tuple[str, ...]
    from_compute: tuple[str, ...]
    posterior: xr.DataTree
    convergence: dict[str, Convergence]
    provenance: dict[str, Any]
    notes: tuple[str, ...] = field(default=())

    @property
    def draws(self) -> xr.Dataset:
        """The ``posterior`` group."""
        return self.posterior["posterior"].to_dataset()

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong in sampling, stage by stage; empty when nothing did."""
        return tuple(f"{stage}: {problem}" for stage, record in self.convergence.items() for problem in record.problems)

    def save(self, path: str | Path) -> Path:
        """Write the fit to one netCDF file, whole or not at all.

        Parameters
        ----------
        path : str or Path
            Destination, replaced if it exists.

        Returns
        -------
        Path

        Raises
        ------
        InputError
            When the file cannot be written.
        """
        record = {
            "format": FORMAT,
            "spec": self.spec.model_dump(),
            "tasks": self.tasks,
            "cutoff": self.cutoff,
            "held_out": self.held_out,
            "from_compute": self.from_compute,
            "convergence": {stage: c.model_dump() for stage, c in self.convergence.items()},
            "provenance": self.provenance,
            "notes": self.notes,
            "table_notes": self.table.notes,
        }
        return save_tree(path, self.posterior, record, _table_to_csv(self.table))


class OtherKindError(InputError):
    """A saved fit, but of the other model."""


def save_tree(path: str | Path, posterior: xr.DataTree, record: dict[str, Any], texts: dict[str, str]) -> Path:
    """Write a posterior, the record of what it is, and tables as text to one netCDF file, whole or not at all.

    Raises
    ------
    InputError
        When the file cannot be written.
    """
    path = Path(path)
    tree = posterior.copy()
    own = {"record": json.dumps(record), **texts}
    own["checksum"] = _checksum(posterior, own)
    tree["bayes_obscaling"] = xr.DataTree(xr.Dataset({name: ((), text) for name, text in own.items()}))
    content = tree.to_netcdf(engine="h5netcdf")
    try:
        write_atomically(path, content)
    except OSError as error:
        raise InputError(
            f"The fit cannot be written to {path} ({error.strerror or error}): give a file in a folder that exists "
            "and has room."
        ) from error
    return path


def load_fit(path: str | Path, spec: CapabilitySpec | None = None) -> Fit:
    """Read a saved fit.

    Parameters
    ----------
    path : str or Path
        A file written by `Fit.save`.
    spec : CapabilitySpec, optional
        Refuse the file if it was fitted with another spec.

    Returns
    -------
    Fit

    Raises
    ------
    InputError
        When the file is missing, damaged, not a fit, of another format, or of another spec.
    """
    tree, record, texts = open_tree(path, FORMAT, "fit")
    try:
        return _from_record(path, spec, tree, record, texts)
    except (KeyError, TypeError, AttributeError) as error:  # an InputError is none of these
        raise InputError(f"{path} lacks a part of a saved fit ({error}): save the fit again.") from error


def _from_record(
    path: str | Path, spec: CapabilitySpec | None, tree: xr.DataTree, record: dict[str, Any], texts: dict[str, str]
) -> Fit:
    try:
        saved = CapabilitySpec(**record["spec"])
        convergence = {stage: Convergence(**values) for stage, values in record["convergence"].items()}
    except InputError as error:
        raise InputError(f"{path} holds a spec that this version does not know ({error}): fit again.") from error
    if spec is not None and spec != saved:
        changed = [name for name in CapabilitySpec.model_fields if getattr(spec, name) != getattr(saved, name)]
        raise InputError(f"{path} was fitted with another spec (different: {', '.join(changed)}): fit again.")
    return Fit(
        table=_table_from_csv(texts, record["table_notes"]),
        spec=saved,
        tasks=tuple(record["tasks"]),
        cutoff=record["cutoff"],
        held_out=tuple(record["held_out"]),
        from_compute=tuple(record["from_compute"]),
        posterior=tree,
        convergence=convergence,
        provenance=record["provenance"],
        notes=tuple(record["notes"]),
    )


def open_tree(path: str | Path, expected: int | str, kind: str) -> tuple[xr.DataTree, dict[str, Any], dict[str, str]]:
    """Read back what `save_tree` wrote.

    Parameters
    ----------
    path : path
        The file.
    expected : int or str
        The format that this version reads.
    kind : {"fit", "ladder fit"}
        What the file should hold.

    Raises
    ------
    InputError
        When the file is missing, damaged, not a fit, or of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {path}: give a fit that was saved with --save-fit or fit.save().")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
    except Exception as error:  # whatever the netCDF library raises on a file that is not one of its own
        raise InputError(f"{path} is damaged or not a netCDF file: save the fit again.") from error
    if "bayes_obscaling" not in tree.children or "record" not in tree["bayes_obscaling"]:
        raise InputError(f"{path} is a netCDF file, but not a saved fit: give a file written by fit.save().")
    texts = {str(name): str(value.item()) for name, value in tree["bayes_obscaling"].to_dataset().items()}
    try:
        checksum = texts.pop("checksum", None)  # absent before 2026-11
        record = json.loads(texts["record"])
        record["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is a netCDF file, but its record of a fit is damaged: save the fit again.") from error
    if str(record["format"]).startswith("ladder") != str(expected).startswith("ladder"):
        other = "ladder" if str(record["format"]).startswith("ladder") else "forecast"
        raise OtherKindError(f"{path} is not a saved {kind}: give it to the {other} command.")
    if record["format"] != expected:
        raise InputError(
            f"{path} has format {record['format']}, this version reads {expected}: fit again with this version."
        )
    del tree["bayes_obscaling"]
    if checksum is not None and checksum != _checksum(tree, texts):
        raise InputError(
            f"{path} is damaged: its content is not what was saved (another checksum); save the fit again."
        )
    del texts["record"]
    return tree, record, texts


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


def posterior_tree(problem: Problem, values: dict[str, np.ndarray], stats: dict[str, np.ndarray]) -> xr.DataTree:
    """Name the axes of sampled arrays.

    Parameters
    ----------
    problem : Problem
        Labels.
    values : dict of arrays
        Draws by site, (chain, draw, ...), measurement sites with a third axis over predictor sets.
    stats : dict of arrays
        Sampler statistics, (chain, draw), those of the measurement with a third axis over predictor sets.

    Returns
    -------
    DataTree
    """
    labels = {
        "predictors": [f"without {', '.join(left)}" if left else "all" for left in problem.predictor_sets],
        "model": list(problem.models),
        "family": list(problem.families),
        "benchmark": list(problem.benchmarks),
        "factor": list(problem.factors),
        "task": list(problem.tasks),
    }

    def named(arrays: dict[str, tuple[tuple[str, ...], np.ndarray]]) -> xr.Dataset:
        used = {dim for dims, _ in arrays.values() for dim in dims}
        coords = {dim: labels[dim] for dim in used & set(labels)}
        return xr.Dataset(arrays, coords=coords)

    posterior = {}
    for name, value in values.items():
        if name in MEASUREMENT_DIMS:
            posterior[name] = (("chain", "draw", "predictors", *MEASUREMENT_DIMS[name]), value)
        else:
            posterior[name] = (("chain", "draw", *_HEAD_DIMS[name]), value)
    sample_stats = {
        name: (("chain", "draw", "predictors")[: value.ndim], np.asarray(value)) for name, value in stats.items()
    }
    data = problem.measurements[0]
    observed = {
        "benchmark_score": (("model", "benchmark"), np.where(data.seen, data.score, np.nan)),
        "reference": (("model",), problem.reference),
    }
    if problem.task_scores is not None:
        shown = np.where(problem.task_scores.seen, problem.task_scores.score, np.nan)
        observed["task_score"] = (("task", "model"), shown)
        predictors = [labels["predictors"][i] for i in np.asarray(problem.task_scores.predictors)]
        observed["task_predictors"] = (("task",), np.array(predictors, dtype=object))
    return xr.DataTree.from_dict(
        {"posterior": named(posterior), "sample_stats": named(sample_stats), "observed_data": named(observed)}
    )


def _table_to_csv(table: ScoreTable) -> dict[str, str]:
    benchmarks = table.benchmarks
    for name in ("excludes", "aliases"):
        benchmarks[name] = benchmarks[name].map(json.dumps)
    return {
        "table_models": table.models.to_csv(),
        "table_benchmarks": benchmarks.to_csv(),
        "table_scores": table.scores.to_csv(index=False),
    }


def _table_from_csv(texts: dict[str, str], notes: list[str]) -> ScoreTable:
    def read(name: str, numbers: list[str]) -> pd.DataFrame:
        # Python's own float() is exact in every version of pandas.
        frame = pd.read_csv(io.StringIO(texts[name]), dtype=str, keep_default_na=False)
        for column in numbers:
            frame[column] = [float(text) if text else np.nan for text in frame[column]]
        return frame

    benchmarks = read("table_benchmarks", ["chance", "n_items", "lower", "upper", "cutoff_flops"])
    for name in ("excludes", "aliases"):
        benchmarks[name] = benchmarks[name].map(lambda text: tuple(json.loads(text)))
    for name in ("signed", "has_ceiling"):
        benchmarks[name] = benchmarks[name] == "True"
    models = read("table_models", ["params", "tokens", "flops"])
    return ScoreTable(models, benchmarks, read("table_scores", ["score", "n_items"]), notes)
