"""LadderFit: what was learned from a ladder, saved as one netCDF file."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.data.ladder import Ladder
from bayes_obscaling.inference.convergence import Convergence
from bayes_obscaling.models.ladder import LadderData, LadderSpec
from bayes_obscaling.results.fit import Fit, OtherKindError, load_fit, open_tree, save_tree

FORMAT = "ladder 2"

_DIMS = {
    **dict.fromkeys(
        ("size_exponent", "data_exponent", "size_scale", "data_scale", "irreducible", "level", "irreducible_share",
         "size_share", "loss_sd"), ("loss_of",),
    ),
    **dict.fromkeys(
        ("floor", "ceiling_gap", "steepness", "midpoint", "slope_change_sd", "accuracy_sd"), ("task",),
    ),
    "slope_change": ("task", "rung_end"),
    "size_bend": ("loss_of", "size_bend_at"),
    "data_bend": ("loss_of", "data_bend_at"),
    **dict.fromkeys(("log_likelihood_loss", "residual_loss"), ("run", "loss_of")),
    **dict.fromkeys(("log_likelihood_accuracy", "residual_accuracy"), ("run", "task")),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class LadderFit:
    """What was learned from a ladder.

    Attributes
    ----------
    ladder : Ladder
        The runs.
    spec : LadderSpec
        What was believed.
    posterior : DataTree
        Groups ``posterior``, ``log_likelihood`` (``loss``, ``accuracy``: run by task), ``residuals`` (the same two, in
        scales of their Student t noise), ``sample_stats``, ``observed_data``, ``constant_data``: ready for ArviZ.
    convergence : Convergence
        What the sampler left behind.
    provenance : dict
        When, where, with which versions and seed.
    notes : tuple of str
        What the reader of a forecast should know.
    """

    ladder: Ladder
    spec: LadderSpec
    posterior: xr.DataTree
    convergence: Convergence
    provenance: dict[str, Any]
    notes: tuple[str, ...] = field(default=())

    @property
    def draws(self) -> xr.Dataset:
        """The ``posterior`` group."""
        return self.posterior["posterior"].to_dataset()

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong in sampling; empty when nothing did."""
        return self.convergence.problems

    def save(self, path: str | Path) -> Path:
        """Write the fit to one netCDF file, whole or not at all; checkpoints of the ladder are left out.

        Raises
        ------
        InputError
            When the file cannot be written.
        """
        record = {
            "format": FORMAT,
            "spec": self.spec.model_dump(),
            "convergence": self.convergence.model_dump(),
            "provenance": self.provenance,
            "notes": self.notes,
        }
        texts = {
            "runs": self.ladder.runs.to_csv(),
            "tasks": self.ladder.tasks.to_csv(),
            "values": self.ladder.values.to_csv(index=False),
        }
        return save_tree(path, self.posterior, record, texts)


def load_ladder_fit(path: str | Path) -> LadderFit:
    """Read a fit written by `LadderFit.save`.

    Raises
    ------
    InputError
        When the file is missing, damaged, not a ladder fit, or of another format.
    """
    tree, record, texts = open_tree(path, FORMAT, "ladder fit")

    def read(name: str, index: str | None) -> pd.DataFrame:
        # Python's own float() is exact in every version of pandas
        frame = pd.read_csv(io.StringIO(texts[name]), dtype=str, keep_default_na=False)
        for column in set(frame.columns) - {"run", "task", "model", "role"}:
            frame[column] = [float(text) if text else np.nan for text in frame[column]]
        return frame if index is None else frame.set_index(index)

    return LadderFit(
        ladder=Ladder(read("runs", "run"), read("tasks", "task"), read("values", None), notes=tuple(record["notes"])),
        spec=LadderSpec(**record["spec"]),
        posterior=tree,
        convergence=Convergence(**record["convergence"]),
        provenance=record["provenance"],
        notes=tuple(record["notes"]),
    )


def load_any(path: str | Path) -> Fit | LadderFit:
    """Read a saved fit of either model; errors as of `load_fit`."""
    try:
        return load_fit(path)
    except OtherKindError:
        return load_ladder_fit(path)


def ladder_tree(
    ladder: Ladder, data: LadderData, unit: np.ndarray, values: dict[str, np.ndarray], stats: dict[str, np.ndarray]
) -> xr.DataTree:
    """Name the axes of sampled arrays.

    Parameters
    ----------
    ladder, data, unit : Ladder, LadderData, array (F,)
        What was fitted, and the loss in whose units losses are counted.
    values, stats : dict of arrays
        Draws by site (chain, draw, ...), and sampler statistics (chain, draw).

    Returns
    -------
    DataTree
    """
    tasks = list(ladder.tasks.index)
    losses = tasks if len(unit) == len(tasks) else ["all tasks"]
    coords = {"task": tasks, "loss_of": losses, "run": list(ladder.runs.index)}

    def named(arrays: dict[str, tuple[tuple[str, ...], np.ndarray]]) -> xr.Dataset:
        used = {dim for dims, _ in arrays.values() for dim in dims}
        return xr.Dataset(arrays, coords={dim: coords[dim] for dim in used & set(coords)})

    posterior, likelihood, residuals = {}, {}, {}
    for name, value in values.items():
        axes = ("chain", "draw", *_DIMS.get(name, ()))
        if name.startswith("log_likelihood_"):
            likelihood[name.removeprefix("log_likelihood_")] = (axes, value)
        elif name.startswith("residual_"):
            residuals[name.removeprefix("residual_")] = (axes, value)
        else:
            posterior[name] = (axes, value)
    seen = np.asarray(data.loss_seen)
    return xr.DataTree.from_dict(
        {
            "posterior": named(posterior),
            "log_likelihood": named(likelihood),
            "residuals": named(residuals),
            "sample_stats": named({name: (("chain", "draw"), value) for name, value in stats.items()}),
            "observed_data": named(
                {
                    "loss": (("run", "loss_of"), np.where(seen, np.asarray(data.loss) * unit, np.nan)),
                    "accuracy": (
                        ("run", "task"),
                        np.where(np.asarray(data.accuracy_seen), np.asarray(data.accuracy), np.nan),
                    ),
                }
            ),
            "constant_data": named(
                {
                    "unit": (("loss_of",), unit),
                    "knots": (("loss_of", "rung_end"), np.asarray(data.knots)),
                    "rungs": (("size",), np.array(ladder.by_rung(np.asarray(data.log_size)))),
                    "ratio_bends": (("data_bend_at",), np.asarray(data.ratio_bends)),
                    "log_ratio": (("run",), np.asarray(data.log_data - data.log_size)),
                }
            ),
        }
    )
