"""The draws of one parameter, chain by chain."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from bayes_obscaling.errors import InputError
from bayes_obscaling.results.diagnostics.sampler import columns_of
from bayes_obscaling.results.fit import Fit


def trace_table(fit: Fit, parameters: pd.DataFrame, parameter: str | None = None) -> pd.DataFrame:
    """Draws of a parameter of `parameter_table`, default that with the largest R-hat; refused is another.

    One row per draw: ``stage, parameter, rhat, ess_bulk, chain`` (from 1), ``draw, value, rank`` (among the draws of
    all chains, as a share) and ``diverging`` (False for draws that no Hamiltonian sampler made).
    """
    if parameter is None:
        about = parameters.loc[parameters["rhat"].fillna(np.inf).idxmax()]
    elif (parameters["parameter"] == parameter).any():
        about = parameters[parameters["parameter"] == parameter].iloc[0]
    else:
        raise InputError(
            f"The fit holds no parameter '{parameter}': name one as in diagnosis.parts['parameters'], such as "
            f"{parameters['parameter'].iloc[0]}."
        )
    stage = next(stage for stage in fit.stages if stage.label == about["stage"])
    values = columns_of(stage.draws(fit.tree)).sel(entry=about["parameter"]).transpose("chain", "draw").to_numpy()
    chain, draw = np.indices(values.shape)
    table = pd.DataFrame({"chain": chain.ravel() + 1, "draw": draw.ravel(), "value": values.ravel()})
    table["rank"] = rankdata(table["value"]) / len(table)
    stats = stage.stats(fit.tree)
    table["diverging"] = False
    if "diverging" in stats:
        table["diverging"] = stats["diverging"].transpose("chain", "draw").to_numpy().astype(bool).ravel()
    for at, name in enumerate(("stage", "parameter", "rhat", "ess_bulk")):
        table.insert(at, name, about[name])
    return table
