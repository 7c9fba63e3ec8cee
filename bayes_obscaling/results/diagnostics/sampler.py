"""Have the chains drawn from the posterior? R-hat, effective sample sizes, divergences, energies, trees and modes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy.optimize import linear_sum_assignment

from bayes_obscaling.checks import Check, Level
from bayes_obscaling.results.convergence import Limits, diagnostics, rhat_text
from bayes_obscaling.results.fit import BFMI_LIMITS, CapabilityFit, Fit, LadderFit
from bayes_obscaling.results.remember import remembered

# Chains further apart than this, in their own sd, explore different modes; R-hat is above 1.4 by then.
_MODE_DISTANCE = 2.0
# A relabelling explains two modes if it takes away this share of the distance between them.
_EXPLAINED = 0.8


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


@remembered
def parameter_table(fit: Fit) -> pd.DataFrame:
    """R-hat and effective sample sizes of every sampled parameter: ``stage, parameter, rhat, ess_bulk, ess_tail``."""
    parts = []
    for stage in fit.stages:
        columns = columns_of(stage.draws(fit.tree))
        rhat, ess_bulk, ess_tail = diagnostics(columns.to_numpy())
        facts = {"stage": stage.label, "parameter": columns["entry"].to_numpy()}
        parts.append(pd.DataFrame({**facts, "rhat": rhat, "ess_bulk": ess_bulk, "ess_tail": ess_tail}))
    return pd.concat(parts, ignore_index=True)


def check_sampler(fit: Fit) -> list[Check]:
    """Check everything that the chains tell about themselves; modes where there are factors that could switch.

    Draws that no Hamiltonian sampler made have neither energies nor trees.
    """
    table = parameter_table(fit)
    longer = "Take more --draws." if isinstance(fit, LadderFit) else "Take more --draws, or fewer --factors."
    limits = fit.limits
    if fit.is_thinned:
        longer = "It was judged by all its draws when it was made; fit again with --refit for more."
    checks = [_check_rhat(table, longer, limits), *(_check_ess(table, k, longer, limits) for k in ("bulk", "tail"))]
    short = any(check.level != "PASS" for check in checks)
    checks.append(_check_divergences(fit))
    if not fit.energies.empty:
        checks += [_check_energy(fit), _check_trees(fit, short)]
    return [*checks, _check_modes(fit)] if isinstance(fit, CapabilityFit) else checks


def _check_rhat(table: pd.DataFrame, longer: str, limits: Limits) -> Check:
    worst_row = table.loc[table["rhat"].fillna(np.inf).idxmax()]
    over = int((~(table["rhat"] < limits.rhat)).sum())
    failed = over > 0
    return Check(
        "R-hat",
        "FAIL" if failed else "PASS",
        f"largest {rhat_text(worst_row['rhat'])}: {worst_row['parameter']} ({worst_row['stage']})"
        + (f"; {over} of {len(table)} parameters at or above the limit" if failed else ""),
        f"Rank-normalised split R-hat, limit {limits.rhat:.3g} (Vehtari et al. 2021): above it chains disagree.",
        longer if failed else "",
    )


def _check_ess(table: pd.DataFrame, kind: str, longer: str, limits: Limits) -> Check:
    worst_row = table.loc[table[f"ess_{kind}"].fillna(-np.inf).idxmin()]
    short = int((~(table[f"ess_{kind}"] > limits.ess)).sum())
    what = {"bulk": "centres", "tail": "5 and 95 % quantiles"}[kind]
    return Check(
        f"{kind} ESS",
        "FAIL" if short else "PASS",
        f"smallest {worst_row[f'ess_{kind}']:.0f}: {worst_row['parameter']} ({worst_row['stage']})"
        + (f"; {short} of {len(table)} parameters at or below the limit" if short else ""),
        f"Effective draws behind {what}, limit {limits.ess:.0f} (Vehtari et al. 2021).",
        longer if short else "",
    )


def _check_divergences(fit: Fit) -> Check:
    counts, places = {}, []
    for stage in fit.stages:
        stats, counts[stage.label] = stage.stats(fit.tree), stage.convergence.divergences
        if "diverging" not in stats:
            continue
        kept = stats["diverging"].transpose("chain", "draw").to_numpy().sum(axis=1)
        counts[stage.label] = max(stage.convergence.divergences, int(kept.sum()))
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


def _check_energy(fit: Fit) -> Check:
    least, level = fit.least_energy, fit.energy_level
    return Check(
        "E-BFMI",
        level,
        f"smallest {least['e_bfmi']:.2f}: {least['stage']}, chain {least['chain'] + 1}",
        f"Limits {BFMI_LIMITS[1]} and {BFMI_LIMITS[0]} (Betancourt 2016): below, energies mix slower than positions "
        "and tails are missed. Corrected for thinning; an upper limit for task heads, whose density moves.",
        "" if level == "PASS" else "Look for a parameter with heavy tails and tighten its prior; take more --draws.",
    )


def _check_trees(fit: Fit, short: bool) -> Check:
    shares = {}
    for stage in fit.stages:
        stats = stage.stats(fit.tree)
        if "n_steps" in stats:
            shares[stage.label] = float((stats["n_steps"] >= 2**stage.settings.max_depth - 1).mean())
    label = max(shares, key=lambda name: shares[name])
    level: Level = "REVIEW" if short and shares[label] > 0.01 else "PASS"
    return Check(
        "tree depth",
        level,
        f"{shares[label]:.1%} of the steps of {label} stop at the largest length that the sampler allows"
        + ("; with R-hat or ESS short as well, the draws resemble each other" if level == "REVIEW" else ""),
        "No defect by itself: a limit on length costs speed (Stan reference manual), and trees of task heads are kept "
        "short on purpose. It is counted only where R-hat or ESS fail too.",
        "Take more --draws." if level == "REVIEW" else "",
    )


# --- modes --------------------------------------------------------------------------------------------------------


def _check_modes(fit: CapabilityFit) -> Check:
    places, far = [], 0.0
    for stage in fit.stages:
        if "theta" not in stage.variables:
            continue
        draws = stage.draws(fit.tree)
        for name in ("theta", "loading"):
            distance, chain, factor = _farthest_chain(draws[name])
            far = max(far, distance)
            if distance > _MODE_DISTANCE:
                places.append(f"{stage.label}, chain {chain + 1}, {name}[{factor}]: {_relabelling(draws, chain)}")
                break
    return Check(
        "modes",
        "FAIL" if places else "PASS",
        "; ".join(places) if places else f"chain means at most {far:.2f} sd of a chain from the others' (median entry)",
        f"Chains more than {_MODE_DISTANCE:g} of their sd apart explore different modes: labels or signs of factors "
        "switched, or two explanations of the data.",
        "Take fewer --factors, or anchors that differ more; longer chains will not help." if places else "",
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
    own, others = theta[chain].mean(axis=0), np.delete(theta, chain, axis=0).mean(axis=(0, 1))
    names = draws["factor"].to_numpy()
    own, others = own - own.mean(axis=0), others - others.mean(axis=0)
    gaps = {sign: ((own[:, :, None] - sign * others[:, None]) ** 2).sum(axis=0) for sign in (1, -1)}
    best = np.minimum(gaps[1], gaps[-1])
    rows, columns = linear_sum_assignment(best)
    before, after = np.trace(gaps[1]), best[rows, columns].sum()
    if after > (1.0 - _EXPLAINED) * before:
        return "no order or sign of the factors brings it to the others"
    moved = [f"{names[k]} is {names[j]}" for k, j in zip(rows, columns, strict=True) if k != j]
    turned = [str(names[k]) for k, j in zip(rows, columns, strict=True) if gaps[-1][k, j] < gaps[1][k, j]]
    switches = [f"labels switched ({', '.join(moved)})"] if moved else []
    return " and ".join(switches + ([f"sign of {', '.join(turned)} switched"] if turned else []))
