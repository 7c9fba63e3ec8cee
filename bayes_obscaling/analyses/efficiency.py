"""Family efficiency: how much capability a family gets out of its compute, and what that is worth in FLOPs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.decomposition import PCA

from bayes_obscaling.analyses.finding import Finding
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.data.table import close_names
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.baselines import fill_scores
from bayes_obscaling.models.capability import COMPUTE_CENTRE, capability_curve, feature_scale
from bayes_obscaling.results.fit import Fit
from bayes_obscaling.results.forecast import first_crossing
from bayes_obscaling.results.summaries import interval_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OVERALL = "overall"
REFERENCE_FLOPS = 8.4e22  # Llama-2-7B, the published cutoff
_GRID = np.linspace(18.0, 30.0, 121)  # log10 FLOPs, as in compute_to_reach
_FEWEST_FOR_R2 = 3  # through two models any line fits


@dataclass(frozen=True, eq=False)
class Efficiency(Finding):
    """Family efficiency.

    ``table`` has a row a family, capability and quantity: the ``capability`` of the family's typical model at the
    reference compute, its ``slope`` (a decade of compute), and, for the capability that families are ranked by, the
    ``multiplier``: FLOPs of the reference family worth one FLOP of this one. ``parts``: ``ranking`` (rank and
    probability of being first), ``order`` (probability that the family of the row is above that of the column),
    ``residual_sd`` (spread of models around their family's line) and ``r2`` (share of the variance inside a family
    that log compute explains, beside that of the paper's PC-1).
    """

    capability: str = OVERALL
    flops: float = REFERENCE_FLOPS
    family: str = ""

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the families' capability at the reference compute; see `bayes_obscaling.plots.capability`."""
        from bayes_obscaling.plots.capability import plot_efficiency

        return plot_efficiency(self, ax=ax)


def efficiency(
    fit: Fit, *, capability: str = OVERALL, flops: float = REFERENCE_FLOPS, family: str = "Llama-2"
) -> Efficiency:
    """Compare families by what they make of their compute.

    Parameters
    ----------
    fit : Fit
        From `bayes_obscaling.fit` or `load_fit`.
    capability : str
        What families are ranked by: "overall" (the mean of all capabilities, each in sd over the models), a factor (the
        name of its anchor benchmark), or a task that the fit holds (the direction its head reads).
    flops : float
        Reference compute at which they are ranked: lines with different slopes cross.
    family : str
        The family in whose FLOPs the others are expressed; the first one of the table where there is none of that
        name.

    Returns
    -------
    Efficiency

    Raises
    ------
    InputError
        For an unknown capability, a compute that is not positive, or a table without two families of known FLOPs.

    Notes
    -----
    A typical model has no residual of its own: ``a_f + b_f x`` (Ruan et al. 2024, section 3.3 and eq. 3, where it is a
    least-squares line per family). Families of which no model's FLOPs are known are left out: their line and their
    compute cannot be told apart. A family's line far from its own compute leans on the population of slopes; the
    column ``distance`` says how far (decades).
    """
    if not flops > 0:
        raise InputError(f"The reference compute is {flops} FLOPs: give a positive number, such as 8.4e22.")
    models = fit.table.models
    known = models[models["flops"].notna()]
    counts = known["family"].value_counts()
    families = [str(f) for f in fit.draws["family"].to_numpy() if f in counts.index]
    if len(families) < 2:
        raise InputError("Fewer than two families have models of known FLOPs: there is nothing to compare.")
    if family not in families:
        if family != "Llama-2":
            _family_of(fit, family)
        family = families[0]
    x = float(np.log10(flops) - COMPUTE_CENTRE)
    reach = known.groupby("family")["flops"].agg(["min", "max"]).loc[families]
    outside = np.maximum(np.log10(flops) - np.log10(reach["max"]), 0) + np.minimum(
        np.log10(flops) - np.log10(reach["min"]), 0
    )

    names = list(dict.fromkeys([capability, OVERALL, *map(str, fit.draws["factor"].to_numpy())]))
    rows = []
    for name in names:
        index, weight, centre = _direction(fit, name)
        level = _along(_line(fit, index, families, x), weight, centre)
        slope = _along(_slope(fit, index, families, x), weight, np.zeros_like(centre))
        found = {"capability": level, "slope": slope}
        if name == capability:
            ranked = level
            yardstick = _along(_line(fit, index, [family], _GRID - COMPUTE_CENTRE), weight, centre)
            equal = [first_crossing(_GRID, yardstick.T, level[:, i]) for i in range(len(families))]
            found["multiplier"] = 10.0 ** (np.stack(equal, axis=1) - np.log10(flops))
        for quantity, draws in found.items():
            frame = interval_columns(draws)
            frame.insert(0, "quantity", quantity)
            frame.insert(0, "capability", name)
            frame.insert(0, "models", counts[families].to_numpy())
            frame.insert(0, "family", families)
            rows.append(frame)
    table = pd.concat(rows, ignore_index=True)

    above = (ranked[:, :, None] > ranked[:, None, :]).mean(axis=0)
    np.fill_diagonal(above, 0.5)
    rank = 1 + (ranked[:, None, :] > ranked[:, :, None]).sum(axis=2)
    ranking = interval_columns(rank.astype(float))
    ranking.insert(0, "probability_first", (rank == 1).mean(axis=0))
    ranking.insert(0, "distance", outside.to_numpy())
    ranking.insert(0, "models", counts[families].to_numpy())
    ranking.insert(0, "family", families)
    best = np.argsort(rank.mean(axis=0), kind="stable")
    order = pd.DataFrame(above[np.ix_(best, best)], columns=[families[i] for i in best])
    order.insert(0, "family", [families[i] for i in best])
    parts = {
        "ranking": ranking.iloc[best].reset_index(drop=True),
        "order": order,
        "residual_sd": _heterogeneity(fit),
        "r2": _explained(fit, families),
    }
    dropped = [f for f in models["family"].unique() if f not in families]
    sentences = _sentences(table, parts, capability, flops, family, dropped)
    return Efficiency(table, sentences, fit.problems, parts, capability, flops, family)


def equivalent_compute(
    fit: Fit, models: str | Sequence[str] | None = None, family: str = "Llama-2", capability: str = OVERALL
) -> xr.DataArray:
    """Compute at which a family's typical model is as capable as given models: "worth X FLOPs of Llama-2".

    Parameters
    ----------
    fit : Fit
        From `bayes_obscaling.fit` or `load_fit`.
    models : str or sequence of str, optional
        Models of the table; default all.
    family : str
        The family whose FLOPs count.
    capability : str
        As in `efficiency`.

    Returns
    -------
    DataArray (chain, draw, model)
        FLOPs; 1e18 in draws whose line is above the model there already, infinite in draws whose line does not reach
        it below 1e30.

    Raises
    ------
    InputError
        For an unknown model, family or capability.
    """
    asked = fit.draws["model"].to_numpy() if models is None else [models] if isinstance(models, str) else models
    names = [fit.table.resolve_model(str(name)) for name in asked]
    index, weight, centre = _direction(fit, capability)
    line = _along(_line(fit, index, [_family_of(fit, family)], _GRID - COMPUTE_CENTRE), weight, centre)
    theta = fit.draws["theta"].isel(predictors=index).sel(model=names).stack(sample=("chain", "draw"))
    places = _along(theta.transpose("sample", "model", "factor").to_numpy(), weight, centre)
    found = np.stack([first_crossing(_GRID, line.T, places[:, i]) for i in range(len(names))], axis=1)
    sizes = fit.draws.sizes
    return xr.DataArray(
        10.0 ** found.reshape(sizes["chain"], sizes["draw"], len(names)),
        dims=("chain", "draw", "model"), coords={"model": names}, name="equivalent_flops",
    )  # fmt: skip


def worth(
    fit: Fit, models: str | Sequence[str] | None = None, family: str = "Llama-2", capability: str = OVERALL
) -> Finding:
    """Summarise `equivalent_compute`, with the same parameters and errors.

    Returns
    -------
    Finding
        A row a model: ``model, family, flops`` (its own), and ``median, q5, q25, q75, q95`` of its equivalent FLOPs.
    """
    draws = equivalent_compute(fit, models, family, capability)
    table = interval_columns(draws.stack(sample=("chain", "draw")).transpose("sample", "model").to_numpy())
    facts = fit.table.models.loc[draws["model"].to_numpy()]
    table.insert(0, "flops", facts["flops"].to_numpy())
    table.insert(0, "family", facts["family"].to_numpy())
    table.insert(0, "model", facts.index)
    said = []
    for row in table.head(5).itertuples():
        own = f"its own are {row.flops:.2g}" if np.isfinite(row.flops) else "its own are unknown"
        said.append(
            f"{row.model} is worth {row.median:.2g} FLOPs of {family} by {capability} capability (90 % interval "
            f"{row.q5:.2g} to {row.q95:.2g}); {own}."
        )
    return Finding(table, tuple(said), fit.problems)


def _family_of(fit: Fit, name: str) -> str:
    families = {str(f).casefold(): str(f) for f in fit.draws["family"].to_numpy()}
    if name.casefold() not in families:
        near = close_names(name, list(families.values()))
        hint = f" (nearest: {', '.join(near)})" if near else ""
        raise InputError(f"There is no family '{name}' in the table{hint}: name one that 'models' lists.")
    return families[name.casefold()]


def _direction(fit: Fit, capability: str) -> tuple[int, np.ndarray, np.ndarray]:
    """Predictor set, weights (S, K) on the capabilities and what to take off first (S, K), for each of S draws."""
    draws = fit.draws
    labels = [str(p) for p in draws["predictors"].to_numpy()]
    factors = [str(f) for f in draws["factor"].to_numpy()]
    tasks = [str(t) for t in draws["task"].to_numpy()] if "task" in draws.coords else []
    name = capability if capability == OVERALL else fit.table.find(capability) or capability
    observed = fit.posterior["observed_data"]
    index = labels.index("all") if "all" in labels else 0
    if name in tasks:
        index = labels.index(str(observed["task_predictors"].sel(task=name).item()))
    theta = _flat(draws["theta"].isel(predictors=index), "model", "factor")
    if name in factors:
        return index, np.eye(len(factors))[[factors.index(name)] * len(theta)], np.zeros((len(theta), len(factors)))
    if name in tasks:
        centre, spread = (np.asarray(a)[:, 0] for a in feature_scale(theta, observed["reference"].to_numpy()))
        weight = _flat(draws["weight"].sel(task=name), "factor")
        return index, weight / np.linalg.norm(weight, axis=1, keepdims=True) / spread, centre
    if name == OVERALL:
        return index, 1 / (theta.std(axis=1) * len(factors)), theta.mean(axis=1)
    raise InputError(
        f"There is no capability '{capability}' in the fit: name {', '.join([OVERALL, *factors, *tasks])}."
    )


def _flat(array: xr.DataArray, *dims: str) -> np.ndarray:
    return np.asarray(array.stack(sample=("chain", "draw")).transpose("sample", *dims).to_numpy(), float)


def _along(points: np.ndarray, weight: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Place (S, N) of points (S, N, K) along a direction."""
    return np.asarray(((points - centre[:, None]) * weight[:, None]).sum(axis=-1))


def _line(fit: Fit, index: int, families: Sequence[str], x: np.ndarray | float) -> np.ndarray:
    """Capabilities (S, N, K) of typical models: of families at one compute, or of one family at several."""
    draws = fit.draws.isel(predictors=index)
    a, b = (_flat(draws[site].sel(family=list(families)), "family", "factor") for site in ("intercept", "slope"))
    return np.asarray(capability_curve(a, b, _curvature(fit, index), np.atleast_1d(x)[:, None]))


def _slope(fit: Fit, index: int, families: Sequence[str], x: float) -> np.ndarray:
    """Capability a decade of compute (S, F, K), at that compute."""
    b = _flat(fit.draws["slope"].isel(predictors=index).sel(family=list(families)), "family", "factor")
    return b * np.exp(-_curvature(fit, index) * x)


def _curvature(fit: Fit, index: int) -> np.ndarray:
    if "curvature" not in fit.draws:
        return np.zeros((1, 1, 1))
    return _flat(fit.draws["curvature"].isel(predictors=index), "factor")[:, None]


def _heterogeneity(fit: Fit) -> pd.DataFrame:
    """Residual sd of a model around its family's line, in logits and in decades of compute."""
    index, _, _ = _direction(fit, OVERALL)
    draws = fit.draws.isel(predictors=index)
    sd, slope = (_flat(draws[site], "factor") for site in ("residual_sd", "slope_mean"))
    rows = []
    for unit, values in (("logits", sd), ("decades of compute", np.where(slope > 0, sd / slope, np.inf))):
        frame = interval_columns(values)
        frame.insert(0, "unit", unit)
        frame.insert(0, "capability", draws["factor"].to_numpy().astype(str))
        rows.append(frame)
    return pd.concat(rows, ignore_index=True)


def _explained(fit: Fit, families: Sequence[str]) -> pd.DataFrame:
    """Squared correlation with log compute inside families: of overall capability, and of the paper's PC-1."""
    table = fit.table.models
    index, weight, centre = _direction(fit, OVERALL)
    places = _along(_flat(fit.draws["theta"].isel(predictors=index), "model", "factor"), weight, centre)
    first = first_component(fit.table)
    rows = []
    for name in families:
        mine = np.flatnonzero((table["family"] == name).to_numpy() & table["flops"].notna().to_numpy())
        x = np.log10(table["flops"].to_numpy()[mine])
        if len(mine) < _FEWEST_FOR_R2 or np.ptp(x) == 0:
            continue
        frame = interval_columns(_squared_correlation(x, places[:, mine])[:, None])
        frame.insert(0, "pc_1", float(_squared_correlation(x, first.to_numpy()[None, mine])[0]))
        frame.insert(0, "models", len(mine))
        frame.insert(0, "family", name)
        rows.append(frame)
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=["family", "models", "pc_1", "median"])


def first_component(table: ScoreTable) -> pd.Series:
    """First principal component of the benchmark scores, missing ones imputed, as Ruan et al. (2024) plot it."""
    scores = table.matrix(table.benchmark_names).dropna(axis=1, how="all")
    filled, scaler, _ = fill_scores(scores.to_numpy())
    return pd.Series(PCA(1).fit_transform(scaler.inverse_transform(filled))[:, 0], index=scores.index)


def _squared_correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x - x.mean(), y - y.mean(axis=1, keepdims=True)
    return np.asarray((y @ x) ** 2 / ((x @ x) * np.maximum((y**2).sum(axis=1), 1e-300)))


def _sentences(
    table: pd.DataFrame, parts: dict[str, pd.DataFrame], capability: str, flops: float, family: str, dropped: list[str]
) -> tuple[str, ...]:
    ranking, order = parts["ranking"], parts["order"]
    first, second = ranking["family"].iloc[0], ranking["family"].iloc[1]
    neighbours = [order[order.columns[i + 2]].iloc[i] for i in range(len(order) - 1)]
    unsure = sum(p < 0.9 for p in neighbours)
    worth = table[(table["quantity"] == "multiplier") & (table["family"] == first)].iloc[0]
    said = [
        f"By {capability} capability at {flops:.3g} FLOPs, {first} comes first (probability "
        f"{ranking['probability_first'].iloc[0]:.2f}; above {second} with {order[second].iloc[0]:.2f}). Of the "
        f"{len(neighbours)} pairs of neighbours in the ranking, {unsure} cannot be told apart at 90 %.",
        f"One FLOP of {first} is worth {worth['median']:.3g} of {family} there (90 % interval {worth['q5']:.3g} to "
        f"{worth['q95']:.3g}).",
    ]
    far = ranking.loc[ranking["distance"].abs() > 0.8, "family"].tolist()
    if far:
        said.append(f"More than .8 decades from their own models at that compute: {', '.join(far)}.")
    if len(r2 := parts["r2"]):
        said.append(
            f"Inside families of three models or more ({len(r2)}), log compute explains {r2['median'].mean():.3f} of "
            f"the variance of overall capability on average; of the first principal component of the scores (as in the "
            f"paper), {r2['pc_1'].mean():.3f}."
        )
    spread = parts["residual_sd"]
    decades = spread[spread["unit"] == "decades of compute"]
    said.append(
        "Around its family's line a model varies by one sd of "
        + ", ".join(f"{row.median:.2f} decades of compute ({row.capability})" for row in decades.itertuples())
        + "."
    )
    if dropped:
        said.append(f"No model of known FLOPs, left out: {', '.join(dropped)}.")
    return tuple(said)
