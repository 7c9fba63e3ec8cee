"""Family efficiency: how much capability a family gets out of its compute, and what that is worth in FLOPs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.decomposition import PCA

from bayes_obscaling.checks import listed
from bayes_obscaling.data import ScoreTable
from bayes_obscaling.data.components import fill_scores
from bayes_obscaling.data.names import family_named
from bayes_obscaling.data.rules import check_flops
from bayes_obscaling.errors import InputError
from bayes_obscaling.models.capability_equations import line, line_slope
from bayes_obscaling.results.beyond import stray
from bayes_obscaling.results.curves import matching_compute
from bayes_obscaling.results.directions import OVERALL, Direction, direction_of
from bayes_obscaling.results.finding import Finding
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.release import release_date, released
from bayes_obscaling.results.summaries import interval_columns

REFERENCE_FLOPS = 8.4e22  # Llama-2-7B, the published cutoff
REFERENCE_FAMILY = "Llama-2"
_FEWEST_FOR_R2 = 3  # through two models any line fits


@dataclass(frozen=True, eq=False, repr=False)
class Efficiency(Finding):
    """Family efficiency.

    ``table`` has a row per family, capability and quantity: the ``capability`` of the family's typical model at the
    reference compute, its ``slope`` (per decade of compute), and, for the capability that families are ranked by, the
    ``multiplier``: FLOPs of the reference family worth one FLOP of this one; each with its ``unit``, and in the order
    of the ``rank``. ``parts``: ``ranking`` (rank and probability of being first), ``order`` (probability that the
    family of the row is above that of the column), ``residual_sd`` (spread of models around their family's line) and
    ``r2`` (share of the variance inside a family that log compute explains, beside that of the paper's PC-1).
    """

    drawn_by = "plot_efficiency"
    front = ("rank", "family", "models", "median", "q25", "q75", "q5", "q95", "unit")

    capability: str = OVERALL
    flops: float = REFERENCE_FLOPS
    family: str = ""

    def summary(self) -> pd.DataFrame:
        """Return the families by rank: capability at the reference compute, and how sure the rank is.

        Columns ``rank, family, models``, the interval of the capability and its ``unit``, ``probability_first``,
        ``above_next`` (probability that the family is above the one in the next row) and ``distance`` (decades of
        compute from the family's own models to the reference).
        """
        of_rank = (self.table["capability"] == self.capability) & (self.table["quantity"] == "capability")
        rows, order = self.table.loc[of_rank, list(self.front)].reset_index(drop=True), self.parts["order"]
        above = [float(order[name].iloc[i]) for i, name in enumerate(order.columns[2:])]
        ranking = self.parts["ranking"]
        return rows.assign(
            probability_first=ranking["probability_first"], above_next=[*above, np.nan], distance=ranking["distance"]
        )


def efficiency(
    fit: CapabilityFit, *, capability: str = OVERALL, flops: float = REFERENCE_FLOPS, family: str = ""
) -> Efficiency:
    """Compare families by what they make of their compute.

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file.
    capability : str
        What families are ranked by: "overall" (the mean of all capabilities, each in sd over the models), a factor (the
        name of its anchor benchmark), or a task that the fit holds (the direction its head reads).
    flops : float
        Reference compute at which they are ranked: lines with different slopes cross.
    family : str
        The family in whose FLOPs the others are expressed; default Llama-2, or where the table has none of its FLOPs
        that with most models of known FLOPs.

    Raises
    ------
    InputError
        For an unknown capability, a compute that is not positive, a family without a model of known FLOPs, or a table
        without two families that have one.

    Notes
    -----
    A typical model has no residual of its own: ``a_f + b_f x`` (Ruan et al. 2024, section 3.3 and eq. 3, where it is a
    least-squares line per family), which may stray outside the compute of the family's models as forecasts do. Families
    of which no model's FLOPs are known are left out: their line and their compute cannot be told apart. A family's line
    far from its own compute leans on the population of slopes; the column ``distance`` says how far (decades). With a
    drift, a family's line is that at its latest release; what a year is worth, `drift` says.
    """
    check_flops("The reference compute", flops)
    models = fit.table.models
    known = models[models["flops"].notna()]
    families = [name for name in fit.layout.families if name in set(known["family"])]
    if len(families) < 2:
        raise InputError("Fewer than two families have models of known FLOPs: there is nothing to compare.")
    family = _reference(fit, family)
    facts = known.groupby("family")["flops"].agg(["size", "min", "max"]).loc[families]

    main = direction_of(fit, capability)
    ranked, _ = _typical(fit, main, families, flops)
    worth = 10.0 ** (matching_compute(fit, main, family, ranked) - np.log10(flops))
    worth[:, families.index(family)] = 1.0  # a line that strays may pass its own height before
    parts = {
        **_ranking(ranked, facts, flops),
        "residual_sd": _heterogeneity(fit),
        "r2": _explained(fit, families),
    }
    table = _table(fit, capability, facts["size"], flops, worth)
    ranks = {name: rank for rank, name in enumerate(parts["ranking"]["family"], start=1)}
    table.insert(0, "rank", table["family"].map(ranks))
    table["block"] = table.groupby(["capability", "quantity"], sort=False).ngroup()
    table = table.sort_values(["block", "rank"], ignore_index=True).drop(columns="block")
    dropped = [name for name in models["family"].unique() if name not in families]
    sentences = _sentences(table, parts, capability, flops, family, dropped)
    if fit.drift != "none":
        sentences += ("Efficiency drifts with the release date: each family is that of its latest release.",)
    return Efficiency(table, sentences, fit.problems, parts, capability, flops, family)


def _typical(
    fit: CapabilityFit, direction: Direction, families: Sequence[str], flops: float
) -> tuple[np.ndarray, np.ndarray]:
    """Place of each family's typical model along a direction, and its slope per decade of compute, (S, F) each."""
    p = fit.posterior.measurement(direction.predictors)
    rows = [fit.layout.families.index(name) for name in families]
    p |= {name: p[name][:, rows] for name in ("intercept", "slope", "family_drift") if name in p}
    x = fit.posterior.covariates(families, {"flops": np.full(len(rows), flops)})
    if fit.layout.structure.is_sparse:  # of models that reason, or of none: compared alike
        x = x._replace(reasoning=np.zeros(len(rows)))
    strayed = stray(fit.posterior, families, x.date, np.full(len(rows), flops))
    strayed = strayed[:, min(direction.predictors, strayed.shape[1] - 1)] if strayed.ndim > 1 else strayed
    return direction.places(np.asarray(line(p, x)) + strayed), direction.differences(np.asarray(line_slope(p, x)))


def _table(fit: CapabilityFit, capability: str, counts: pd.Series, flops: float, worth: np.ndarray) -> pd.DataFrame:
    """Capability and slope of each family in every capability, and the multiplier of the one they are ranked by."""
    rows = []
    for name in dict.fromkeys([capability, OVERALL, *fit.layout.factors]):
        level, slope = _typical(fit, direction_of(fit, name), list(counts.index), flops)
        quantities = {"capability": level, "slope": slope, **({"multiplier": worth} if name == capability else {})}
        for quantity, draws in quantities.items():
            frame = interval_columns(draws)
            frame["unit"] = {
                "capability": unit_of(name),
                "slope": f"{unit_of(name)} per decade",
                "multiplier": "FLOPs per FLOP",
            }[quantity]
            frame.insert(0, "quantity", quantity)
            frame.insert(0, "capability", name)
            frame.insert(0, "models", counts.to_numpy())
            frame.insert(0, "family", counts.index.to_numpy())
            rows.append(frame)
    return pd.concat(rows, ignore_index=True)


def unit_of(capability: str) -> str:
    """Unit of a capability."""
    return "sd of the models" if capability == OVERALL else "logits"


def _ranking(ranked: np.ndarray, facts: pd.DataFrame, flops: float) -> dict[str, pd.DataFrame]:
    """Ranks of families by draws (S, F), and the probability that one is above another, best first.

    `facts` are ``size, min, max`` (FLOPs) of their models, by family.
    """
    families = facts.index.to_numpy()
    above = (ranked[:, :, None] > ranked[:, None, :]).mean(axis=0)
    np.fill_diagonal(above, 0.5)
    rank = 1 + (ranked[:, None, :] > ranked[:, :, None]).sum(axis=2)
    x, low, high = np.log10(flops), np.log10(facts["min"].to_numpy()), np.log10(facts["max"].to_numpy())
    ranking = interval_columns(rank.astype(float))
    ranking.insert(0, "probability_first", (rank == 1).mean(axis=0))
    ranking.insert(0, "distance", np.maximum(x - high, 0) + np.minimum(x - low, 0))
    ranking.insert(0, "models", facts["size"].to_numpy())
    ranking.insert(0, "family", families)
    best = np.argsort(rank.mean(axis=0), kind="stable")
    order = pd.DataFrame(above[np.ix_(best, best)], columns=list(families[best]))
    order.insert(0, "family", families[best])
    return {"ranking": ranking.iloc[best].reset_index(drop=True), "order": order}


def equivalent_compute(
    fit: CapabilityFit,
    models: str | Sequence[str] | None = None,
    family: str = "",
    capability: str = OVERALL,
) -> xr.DataArray:
    """Compute at which a family's typical model is as capable as given models: "worth X FLOPs of Llama-2".

    Parameters
    ----------
    fit : CapabilityFit
        From `bayes_obscaling.fit` or a file.
    models : str or sequence of str, optional
        Models of the table; default all.
    family : str
        The family whose FLOPs count; default as in `efficiency`.
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
        For an unknown model, family or capability, or a family without a model of known FLOPs.
    """
    wanted = fit.layout.models if models is None else [models] if isinstance(models, str) else models
    names = [fit.table.resolve_model(name) for name in wanted]
    direction, family = direction_of(fit, capability), _reference(fit, family)
    rows = [fit.layout.models.index(name) for name in names]
    places = direction.places(fit.posterior.measurement(direction.predictors)["theta"][:, rows])
    return xr.DataArray(
        fit.posterior.by_chain(10.0 ** matching_compute(fit, direction, family, places)),
        dims=("chain", "draw", "model"),
        coords={"model": names},
        name="equivalent_flops",
    )


@dataclass(frozen=True, eq=False, repr=False)
class Worth(Finding):
    """What models are worth in the FLOPs of one family.

    ``table`` has a row per model: ``model, family, flops`` (its own), and ``median, q5, q25, q75, q95`` of its
    equivalent FLOPs.
    """

    drawn_by = "plot_worth"

    capability: str = OVERALL
    family: str = ""


def worth(
    fit: CapabilityFit,
    models: str | Sequence[str] | None = None,
    family: str = "",
    capability: str = OVERALL,
) -> Worth:
    """Summarise `equivalent_compute`, with the same parameters and errors."""
    family = _reference(fit, family)
    draws = equivalent_compute(fit, models, family, capability)
    table = interval_columns(draws.to_numpy().reshape(-1, draws.sizes["model"]))
    facts = fit.table.models.loc[draws["model"].to_numpy()]
    table.insert(0, "flops", facts["flops"].to_numpy())
    table.insert(0, "family", facts["family"].to_numpy())
    table.insert(0, "model", facts.index)
    sentences, whose = [], f"{family}{released(release_date(fit, family))}"
    for row in table.head(5).itertuples():
        own = f"its own are {row.flops:.2g}" if np.isfinite(row.flops) else "its own are unknown"
        sentences.append(
            f"{row.model} is worth {row.median:.2g} FLOPs of {whose} by {capability} capability (90 % interval "
            f"{row.q5:.2g} to {row.q95:.2g}); {own}."
        )
    return Worth(table, tuple(sentences), fit.problems, {}, capability, family)


def _reference(fit: CapabilityFit, name: str) -> str:
    """The family in whose FLOPs others are expressed; "" is the usual one, or that with most models of known FLOPs."""
    models = fit.table.models
    known = models.loc[models["flops"].notna(), "family"].value_counts()
    if known.empty:
        raise InputError("No model has known FLOPs", "give some models theirs")
    name = name or (REFERENCE_FAMILY if REFERENCE_FAMILY in known.index else str(known.index[0]))
    family = family_named(name, fit.layout.families, "name one that 'models' lists")
    if family not in known.index:
        shown = listed([str(one) for one in known.index])
        raise InputError(f"The FLOPs of no model of {family} are known", f"name another family, such as {shown}")
    return family


def _heterogeneity(fit: CapabilityFit) -> pd.DataFrame:
    """Residual sd of a model around its family's line, in logits and in decades of compute."""
    p = fit.posterior.measurement(fit.posterior.complete)
    sd, slope = p["residual_sd"], p["slope_mean"]
    rows = []
    for unit, values in (("logits", sd), ("decades of compute", np.where(slope > 0, sd / slope, np.inf))):
        frame = interval_columns(values)
        frame.insert(0, "unit", unit)
        frame.insert(0, "capability", list(fit.layout.factors))
        rows.append(frame)
    return pd.concat(rows, ignore_index=True)


def _explained(fit: CapabilityFit, families: Sequence[str]) -> pd.DataFrame:
    """Squared correlation with log compute inside families: of overall capability, and of the paper's PC-1."""
    table = fit.table.models
    overall = direction_of(fit, OVERALL)
    places = overall.places(fit.posterior.measurement(overall.predictors)["theta"])
    first = first_component(fit.table)
    rows = []
    for name in families:
        members = np.flatnonzero((table["family"] == name).to_numpy() & table["flops"].notna().to_numpy())
        x = np.log10(table["flops"].to_numpy()[members])
        if len(members) < _FEWEST_FOR_R2 or np.ptp(x) == 0:
            continue
        frame = interval_columns(_squared_correlation(x, places[:, members])[:, None])
        frame.insert(0, "pc_1", float(_squared_correlation(x, first.to_numpy()[None, members])[0]))
        frame.insert(0, "models", len(members))
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
    sentences = [
        f"By {capability} capability at {flops:.3g} FLOPs, {first} comes first (probability "
        f"{ranking['probability_first'].iloc[0]:.2f}; above {second} with {order[second].iloc[0]:.2f}). Of the "
        f"{len(neighbours)} pairs of neighbours in the ranking, {unsure} cannot be told apart at 90 %.",
        f"One FLOP of {first} is worth {worth['median']:.3g} of {family} there (90 % interval {worth['q5']:.3g} to "
        f"{worth['q95']:.3g}).",
    ]
    far = ranking.loc[ranking["distance"].abs() > 0.8, "family"].tolist()
    if far:
        sentences.append(f"More than 0.8 decades from their own models at that compute: {', '.join(far)}.")
    if len(r2 := parts["r2"]):
        sentences.append(
            f"Inside families of three models or more ({len(r2)}), log compute explains {r2['median'].mean():.3f} of "
            f"the variance of overall capability on average; of the first principal component of the scores (as in the "
            f"paper), {r2['pc_1'].mean():.3f}."
        )
    spread = parts["residual_sd"]
    decades = spread[spread["unit"] == "decades of compute"]
    sentences.append(
        "Around its family's line a model varies by one sd of "
        + ", ".join(f"{row.median:.2f} decades of compute ({row.capability})" for row in decades.itertuples())
        + "."
    )
    if dropped:
        sentences.append(f"No model of known FLOPs, left out: {', '.join(dropped)}.")
    return tuple(sentences)
