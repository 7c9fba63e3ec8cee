"""Have the chains drawn from the posterior? R-hat, effective sample sizes, divergences, energies, trees and modes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr
from scipy.optimize import linear_sum_assignment

from bayes_obscaling.inference.convergence import ESS_LIMIT, RHAT_LIMIT
from bayes_obscaling.inference.fitting import SAMPLER_SETTINGS
from bayes_obscaling.inference.ladder import LADDER_SETTINGS
from bayes_obscaling.inference.sampling import CAREFUL
from bayes_obscaling.results.diagnostics.check import Check, Level, worst
from bayes_obscaling.results.fit import MEASUREMENT_DIMS
from bayes_obscaling.results.ladder import LadderFit

if TYPE_CHECKING:
    from bayes_obscaling.results.fit import Fit

# Betancourt (2016) and the Stan reference manual: below 0.2 energies do not mix, below 0.3 they may not.
BFMI_LIMITS = (0.2, 0.3)
# Chains further apart than this, in their own sd, explore different modes; R-hat is above 1.4 by then.
_MODE_DISTANCE = 2.0
# A relabelling explains two modes if it takes away this share of the distance between them.
_EXPLAINED = 0.8


@dataclass(frozen=True, eq=False)
class Stage:
    """One run of the sampler.

    Attributes
    ----------
    label : str
        As in ``fit.convergence``.
    draws : Dataset (chain, draw, ...)
        Its posterior draws.
    stats : Dataset (chain, draw)
        ``diverging, energy, tree_steps`` of the kept draws.
    thin : int
        Transitions a kept draw.
    depths : tuple of int
        Largest tree depths of ordinary sampling, and of sampling again after divergences.
    divergences : int
        Of all transitions after warm-up.
    """

    label: str
    draws: xr.Dataset
    stats: xr.Dataset
    thin: int
    depths: tuple[int, int]
    divergences: int


def stages_of(fit: Fit | LadderFit) -> tuple[Stage, ...]:
    """Runs of the sampler behind a fit: one a predictor set and one of the task heads, or a single one."""
    if isinstance(fit, LadderFit):
        stats, settings = fit.posterior["sample_stats"].to_dataset(), cast("dict[str, Any]", LADDER_SETTINGS)
        depths = (settings["max_depth"], cast("dict[str, Any]", CAREFUL)["max_depth"])
        return (Stage("ladder", fit.draws, stats, settings["thin"], depths, fit.convergence.divergences),)
    measuring, walking, careful = cast("list[dict[str, Any]]", SAMPLER_SETTINGS[:3])
    statistics = fit.posterior["sample_stats"].to_dataset()
    names = ["diverging", "energy", "tree_steps"]
    measured = [name for name in fit.draws if name in MEASUREMENT_DIMS]
    labels = list(fit.convergence)

    def stage(label: str, draws: xr.Dataset, stats: xr.Dataset, settings: dict[str, Any]) -> Stage:
        depths = (settings["max_depth"], careful["max_depth"])
        return Stage(
            label, draws.drop_vars("predictors", errors="ignore"), stats, settings["thin"], depths,
            fit.convergence[label].divergences,
        )  # fmt: skip

    if labels == ["joint"]:
        return (stage("joint", fit.draws.isel(predictors=0), statistics[names], walking),)
    found = []
    for index in range(fit.draws.sizes["predictors"]):
        stats = statistics[[f"measurement_{name}" for name in names]].isel(predictors=index)
        stats = stats.rename({f"measurement_{name}": name for name in names})
        found.append(stage(labels[index], fit.draws[measured].isel(predictors=index), stats, measuring))
    if "energy" in statistics:
        found.append(stage(labels[-1], fit.draws.drop_vars(measured), statistics[names], walking))
    return tuple(found)


def columns_of(draws: xr.Dataset) -> xr.DataArray:
    """Parameters as columns (chain, draw, entry), named ``loading[GSM8K, MMLU]``; those that never vary left out."""
    parts, labels = [], []
    for name, value in draws.items():
        flat = value.transpose("chain", "draw", ...).to_numpy()
        flat = flat.reshape(*flat.shape[:2], -1)
        varies = ~(np.ptp(flat, axis=(0, 1)) <= 1e-12)  # a NaN is no constant
        parts.append(flat[..., varies])
        coords = [value[dim].to_numpy() for dim in value.dims if dim not in ("chain", "draw")]
        product = pd.MultiIndex.from_product(coords) if coords else [()]
        every = [f"{name}[{', '.join(map(str, key))}]" if key else str(name) for key in product]
        labels += [label for label, kept in zip(every, varies, strict=True) if kept]
    return xr.DataArray(np.concatenate(parts, axis=-1), dims=("chain", "draw", "entry"), coords={"entry": labels})


@lru_cache(maxsize=4)
def parameter_table(fit: Fit | LadderFit) -> pd.DataFrame:
    """R-hat and effective sample sizes of every sampled parameter: ``stage, parameter, rhat, ess_bulk, ess_tail``."""
    parts = []
    for stage in stages_of(fit):
        data = columns_of(stage.draws)
        dims = ["chain", "draw"]
        parts.append(
            pd.DataFrame(
                {
                    "stage": stage.label,
                    "parameter": data["entry"].to_numpy(),
                    "rhat": azs.rhat(data, sample_dims=dims).to_numpy(),
                    "ess_bulk": azs.ess(data, sample_dims=dims, method="bulk").to_numpy(),
                    "ess_tail": azs.ess(data, sample_dims=dims, method="tail").to_numpy(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@lru_cache(maxsize=32)
def energy_fractions(fit: Fit | LadderFit) -> pd.DataFrame:
    """E-BFMI of every chain: ``stage, chain, e_bfmi``.

    Returns
    -------
    DataFrame
        Energy fraction of missing information a transition (Betancourt 2016, eq. 3), between 0 and 2.

    Notes
    -----
    Kept draws lie `thin` transitions apart, which makes their energies change more from one to the next. The
    statistic of the kept draws is ``2 (1 - rho_thin)`` of their autocorrelation; taking energies for a first-order
    autoregression, that of neighbouring transitions is ``2 (1 - rho_thin^(1 / thin))``. It is an upper limit where
    chains were extended (kept draws lie further apart) and for task heads (their density moves with the capabilities).
    """
    rows: list[dict[str, Any]] = []
    sampled = "energy" in fit.posterior["sample_stats"] or "measurement_energy" in fit.posterior["sample_stats"]
    for stage in stages_of(fit) if sampled else ():  # draws that no Hamiltonian sampler made have no energies
        energy = stage.stats["energy"].transpose("chain", "draw")
        kept = np.asarray(azs.bfmi(energy, sample_dims=["chain", "draw"]))
        values = 2.0 * (1.0 - np.clip(1.0 - kept / 2.0, 0.0, 1.0) ** (1.0 / stage.thin))
        rows += [{"stage": stage.label, "chain": c, "e_bfmi": float(value)} for c, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["stage", "chain", "e_bfmi"])


def energy_level(fit: Fit | LadderFit) -> Level:
    """Level of the smallest E-BFMI."""
    if energy_fractions(fit).empty:
        return "PASS"
    least = _least_energy(fit)["e_bfmi"]
    return "PASS" if least >= BFMI_LIMITS[1] else "REVIEW" if least >= BFMI_LIMITS[0] else "FAIL"


def energy_warning(fit: Fit | LadderFit) -> tuple[str, ...]:
    """What is wrong with the smallest E-BFMI, in words; empty when nothing is."""
    if energy_level(fit) == "PASS":
        return ()
    least = _least_energy(fit)
    return (f"{least['stage']}: E-BFMI {least['e_bfmi']:.2f} of chain {least['chain'] + 1} (limit {BFMI_LIMITS[1]})",)


def sampler_level(fit: Fit | LadderFit, problems: tuple[str, ...]) -> Level:
    """Verdict on the sampler alone, cheap enough to go with every forecast.

    Parameters
    ----------
    fit : Fit
        The fit.
    problems : tuple of str
        What `Convergence` has found: of the fit, and of what was computed from it.

    Returns
    -------
    {"PASS", "REVIEW", "FAIL"}
        FAIL for any problem (R-hat, effective sample sizes, divergences) and an E-BFMI below 0.2; REVIEW for one
        below 0.3.
    """
    return worst(["FAIL" if problems else "PASS", energy_level(fit)])


def _least_energy(fit: Fit | LadderFit) -> pd.Series:
    table = energy_fractions(fit)
    return table.loc[table["e_bfmi"].fillna(-np.inf).idxmin()]


def check_sampler(fit: Fit | LadderFit) -> list[Check]:
    """Check everything that the chains tell about themselves; modes where there are factors that could switch."""
    table = parameter_table(fit)
    longer = "Take more --draws." if isinstance(fit, LadderFit) else "Take more --draws, or fewer --factors."
    found = [_check_rhat(table, longer), *(_check_ess(table, kind, longer) for kind in ("bulk", "tail"))]
    short = any(check.level != "PASS" for check in found)
    found += [_check_divergences(fit), _check_energy(fit), _check_trees(fit, short)]
    return found if isinstance(fit, LadderFit) else [*found, _check_modes(fit)]


def _check_rhat(table: pd.DataFrame, longer: str) -> Check:
    worst_row = table.loc[table["rhat"].fillna(np.inf).idxmax()]
    over = int((~(table["rhat"] < RHAT_LIMIT)).sum())
    failed = over > 0
    return Check(
        "R-hat",
        "FAIL" if failed else "PASS",
        f"largest {worst_row['rhat']:.3f}: {worst_row['parameter']} ({worst_row['stage']})"
        + (f"; {over} of {len(table)} parameters at or above the limit" if failed else ""),
        f"Rank-normalised split R-hat, limit {RHAT_LIMIT} (Vehtari et al. 2021): above it chains disagree.",
        longer if failed else "",
    )


def _check_ess(table: pd.DataFrame, kind: str, longer: str) -> Check:
    worst_row = table.loc[table[f"ess_{kind}"].fillna(-np.inf).idxmin()]
    short = int((~(table[f"ess_{kind}"] > ESS_LIMIT)).sum())
    what = {"bulk": "centres", "tail": "5 and 95 % quantiles"}[kind]
    return Check(
        f"{kind} ESS",
        "FAIL" if short else "PASS",
        f"smallest {worst_row[f'ess_{kind}']:.0f}: {worst_row['parameter']} ({worst_row['stage']})"
        + (f"; {short} of {len(table)} parameters at or below the limit" if short else ""),
        f"Effective draws behind {what}, limit {ESS_LIMIT} (Vehtari et al. 2021).",
        longer if short else "",
    )


def _check_divergences(fit: Fit | LadderFit) -> Check:
    counts, places = {}, []
    for stage in stages_of(fit):
        kept = stage.stats["diverging"].transpose("chain", "draw").to_numpy().sum(axis=1)
        counts[stage.label] = max(stage.divergences, int(kept.sum()))
        if kept.any():
            places.append(f"{stage.label}, chain {', '.join(str(c + 1) for c in np.flatnonzero(kept))}")
    total = sum(counts.values())
    where = "; ".join(places) or ", ".join(label for label, count in counts.items() if count)
    return Check(
        "divergences",
        "FAIL" if total else "PASS",
        f"{total}" + (f" ({where})" if total else f" in {fit.draws.sizes['chain']} chains"),
        "Limit 0 (Betancourt 2017): where a trajectory diverges, a part of the posterior is left out.",
        "Tighten the prior that lets a scale go to zero, or take a simpler spec; the sampler has tried smaller steps."
        if total
        else "",
    )


def _check_energy(fit: Fit | LadderFit) -> Check:
    least, level = _least_energy(fit), energy_level(fit)
    return Check(
        "E-BFMI",
        level,
        f"smallest {least['e_bfmi']:.2f}: {least['stage']}, chain {least['chain'] + 1}",
        f"Limits {BFMI_LIMITS[1]} and {BFMI_LIMITS[0]} (Betancourt 2016): below, energies mix slower than positions "
        "and tails are missed. Corrected for thinning; an upper limit for task heads, whose density moves.",
        "" if level == "PASS" else "Look for a parameter with heavy tails and tighten its prior; take more --draws.",
    )


def _check_trees(fit: Fit | LadderFit, short: bool) -> Check:
    shares = {}
    for stage in stages_of(fit):
        steps = stage.stats["tree_steps"].to_numpy()
        limit = next((2**d - 1 for d in stage.depths if steps.max() <= 2**d - 1), 2 ** stage.depths[-1] - 1)
        shares[stage.label] = float((steps >= limit).mean())
    label = max(shares, key=lambda name: shares[name])
    level: Level = "REVIEW" if short and shares[label] > 0.01 else "PASS"
    return Check(
        "tree depth",
        level,
        f"{shares[label]:.1%} of kept draws at the largest tree ({label})",
        "A matter of speed (Stan reference manual): counted against a fit only where R-hat or ESS fail too. Trees of "
        "task heads are kept short on purpose.",
        "Take more --draws: trajectories are cut short, so draws repeat each other." if level == "REVIEW" else "",
    )


# --- modes --------------------------------------------------------------------------------------------------------


def _check_modes(fit: Fit) -> Check:
    found, far = [], 0.0
    for stage in stages_of(fit):
        if "theta" not in stage.draws:
            continue
        for name in ("theta", "loading"):
            distance, chain, factor = _farthest_chain(stage.draws[name])
            far = max(far, distance)
            if distance > _MODE_DISTANCE:
                found.append(f"{stage.label}, chain {chain + 1}, {name}[{factor}]: {_relabelling(stage.draws, chain)}")
                break
    return Check(
        "modes",
        "FAIL" if found else "PASS",
        "; ".join(found) if found else f"chain means at most {far:.2f} sd of a chain from the others' (median entry)",
        f"Chains more than {_MODE_DISTANCE:g} of their sd apart explore different modes: labels or signs of factors "
        "switched, or two explanations of the data.",
        "Take fewer --factors, or anchors that differ more; longer chains will not help." if found else "",
    )


def _farthest_chain(draws: xr.DataArray) -> tuple[float, int, str]:
    """Chain and factor whose mean lies farthest from the other chains', in sd of a chain (median over entries)."""
    means, spreads = (
        getattr(draws, name)("draw").transpose("chain", "factor", ...).to_numpy() for name in ("mean", "std")
    )
    means, spreads = (a.reshape(*a.shape[:2], -1) for a in (means, spreads))
    n_chains = len(means)
    others = (means.sum(axis=0) - means) / (n_chains - 1)
    spread = np.sqrt((spreads**2).mean(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.where(spread > 1e-12, np.abs(means - others) / spread, np.nan)
    varies = np.isfinite(distance).any(axis=(0, 2))
    typical = np.full(distance.shape[:2], -np.inf)
    typical[:, varies] = np.nanmedian(distance[:, varies], axis=-1)
    chain, factor = np.unravel_index(int(typical.argmax()), typical.shape)
    return float(typical.max()), int(chain), str(draws["factor"].to_numpy()[factor])


def _relabelling(draws: xr.Dataset, chain: int) -> str:
    """Say whether another order, or sign, of the factors brings a chain to the others."""
    theta = draws["theta"].transpose("chain", "draw", "model", "factor").to_numpy()
    mine, others = theta[chain].mean(axis=0), np.delete(theta, chain, axis=0).mean(axis=(0, 1))
    names = draws["factor"].to_numpy()
    mine, others = mine - mine.mean(axis=0), others - others.mean(axis=0)
    gaps = {sign: ((mine[:, :, None] - sign * others[:, None]) ** 2).sum(axis=0) for sign in (1, -1)}
    best = np.minimum(gaps[1], gaps[-1])
    rows, columns = linear_sum_assignment(best)
    before, after = np.trace(gaps[1]), best[rows, columns].sum()
    if after > (1.0 - _EXPLAINED) * before:
        return "no order or sign of the factors brings it to the others"
    moved = [f"{names[k]} is {names[j]}" for k, j in zip(rows, columns, strict=True) if k != j]
    turned = [str(names[k]) for k, j in zip(rows, columns, strict=True) if gaps[-1][k, j] < gaps[1][k, j]]
    said = [f"labels switched ({', '.join(moved)})"] if moved else []
    return " and ".join(said + ([f"sign of {', '.join(turned)} switched"] if turned else []))
