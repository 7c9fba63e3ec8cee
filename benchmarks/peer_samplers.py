"""Our sampler beside nutpie's on the same posterior: the capabilities of the 77 models of the paper's table.

    pip install -e '.[peers]'
    python benchmarks/peer_samplers.py [--draws 1000] [--chains 4] [--cores 1 2]

The capability model is written a second time in PyMC, in the same coordinates; first its log density is compared with
numpyro's at ten places (they may differ by a constant). Then both sample it, one after the other, each with its own
warm-up: NUTS as this package sets it, nutpie with its defaults and with our target acceptance. Printed: seconds without
compiling, effective draws of the worst and of the median coordinate per second, the largest R-hat, gradients a draw,
and what a gradient costs (microseconds of one core).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

os.environ.setdefault("JAX_ENABLE_X64", "1")

import arviz_stats as azs
import jax
import jax.numpy as jnp
import numpy as np
import nutpie
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from numpyro.infer.util import potential_energy, unconstrain_fn

import bayes_obscaling as bo
from bayes_obscaling.data import load_base_llms
from bayes_obscaling.inference.fit import bound_measurement
from bayes_obscaling.inference.sampler import DEFAULT_SETTINGS, Model, Nuts, Target
from bayes_obscaling.inference.starts import from_anchors
from bayes_obscaling.models.capability import centring
from bayes_obscaling.models.capability_equations import BENCHMARK_FLOOR_SD, Measurements
from bayes_obscaling.models.layout import lay_out
from bayes_obscaling.models.parts import places
from bayes_obscaling.models.priors import Beta, HalfNormal, LogNormal, Normal, Prior, Priors
from bayes_obscaling.models.spec import Structure
from bayes_obscaling.models.trace import Site, sites_of, start_near_priors

PLACES, AGREE = 10, 1e-8


class Posterior(NamedTuple):
    """What both samplers are given."""

    data: Measurements
    priors: Priors
    structure: Structure
    sites: dict[str, Site]  # the latent ones

    def start(self, chain: int, spread: float = 0.1) -> dict[str, np.ndarray]:
        """Starting values of one of our chains."""
        rng = np.random.default_rng([chain, 1])
        near = start_near_priors(self.sites, self.priors, rng, spread)
        return near | from_anchors(self.data, self.structure, rng)

    def target(self) -> Target:
        """The posterior as our sampler takes it."""
        fixed = (self.data, jax.tree.map(jnp.asarray, self.priors))
        return Target(Model(bound_measurement, (self.structure,)), fixed, None, self.start)


def of_the_paper() -> Posterior:
    """Capabilities of the paper's table, all scores seen, under the default model."""
    table, spec = load_base_llms("paper"), bo.CapabilitySpec()
    layout = lay_out(table, table.task_names, bo.Split.all_seen(), spec)
    data, structure = layout.measurements[0], layout.structure
    sites = sites_of(bound_measurement, (data, spec.priors), None, structure)
    return Posterior(data, spec.priors, structure, {n: s for n, s in sites.items() if s.kind == "latent"})


def in_pymc(posterior: Posterior) -> pm.Model:
    """The same density in PyMC (Equations 1 to 8 of docs/explanation/model.md, asymmetric curves, one drift)."""
    data, priors, s, sites = posterior
    x, family = data.covariates, np.asarray(data.family)
    with pm.Model() as model:
        p: dict[str, Any] = {}
        for name, site in sites.items():
            if name == "theta_raw":
                continue
            if site.prior:
                p[name] = _believed(name, getattr(priors, site.prior), site.shape)
            else:
                p[name] = pm.Normal(name, 0.0, 1.0, shape=site.shape)
        compute = pt.set_subtensor(pt.as_tensor(np.asarray(x.compute))[list(s.unknown_compute)], p["unknown_compute"])
        intercept = p["intercept_mean"] + p["intercept_sd"] * p["intercept_raw"]
        slope = p["slope_mean"] + p["slope_sd"] * p["slope_raw"]
        drifted = p["slope_mean"] * p["drift"] * np.asarray(x.date)[:, None]
        mean = intercept[family] + slope[family] * compute[:, None] + drifted
        centred = centring(s)
        raw = pm.Normal("theta_raw", centred * mean, p["residual_sd"] ** centred, shape=sites["theta_raw"].shape)
        theta = mean + p["residual_sd"] ** (1.0 - centred) * (raw - centred * mean)

        size = s.n_benchmarks
        loading = places(s.anchors, size) + places(s.free, size) @ p["loading_free"]
        loading = loading + places(s.signed, size) @ p["loading_signed"]
        difficulty = places(s.others, size) @ p["difficulty_free"]
        capped = places(s.capped, size)
        gap = capped @ p["ceiling_gap_capped"]
        nu = capped @ p["asymmetry_capped"] + (1.0 - capped.sum(axis=1))
        offset = p["family_offset_sd"] * p["family_offset_raw"]
        eta = theta @ loading.T + difficulty + offset[family]
        half = pt.exp(-np.log(2.0) / nu)
        steep, place = 0.5 / (nu * (1.0 - half)), np.log(2.0) / nu + pt.log1p(-half)
        share = -pt.expm1(-nu * pt.softplus(steep * eta + place))
        chance = np.asarray(data.chance)
        expected = chance + (1.0 - chance) * (1.0 - gap) * share
        variance = expected * (1.0 - expected) * (np.asarray(data.inv_items) + p["overdispersion"] ** 2)
        seen = np.nonzero(np.asarray(data.seen))
        sd = pt.sqrt(variance + BENCHMARK_FLOOR_SD**2)
        pm.Normal("benchmark_score", expected[seen], sd[seen], observed=np.asarray(data.score)[seen])
    return model


def _believed(name: str, prior: Prior, shape: tuple[int, ...]) -> Any:
    match prior:
        case Normal():
            return pm.Normal(name, prior.loc, prior.scale, shape=shape)
        case LogNormal():
            return pm.LogNormal(name, np.log(prior.median), prior.log_sd, shape=shape)
        case HalfNormal():
            return pm.HalfNormal(name, prior.scale, shape=shape)
        case Beta():
            return pm.Beta(name, prior.a, prior.b, shape=shape)
    raise TypeError(f"{name} has the prior {prior!r}: write it in PyMC as well")


def check(posterior: Posterior, model: pm.Model) -> float:
    """Largest difference of the two log densities at some places, less the constant between them."""
    log_density = model.compile_logp()
    differences = []
    for place in range(PLACES):
        start = posterior.start(place, spread=0.5)
        fixed = posterior.target().fixed
        unconstrained = unconstrain_fn(bound_measurement, (fixed, None, posterior.structure), {}, start)
        ours = -potential_energy(bound_measurement, (fixed, None, posterior.structure), {}, unconstrained)
        transformed = {}
        for variable, value in model.rvs_to_values.items():
            if variable in model.free_RVs:
                transformed[value.name] = np.asarray(unconstrained[variable.name])
        differences.append(float(ours) - float(log_density(transformed)))
    return float(np.ptp(differences))


class Run(NamedTuple):
    """What one sampler has done."""

    seconds: float
    found: Mapping[str, Any]  # draws (chain, draw, ...) by site
    steps: float  # leapfrog steps, each of a gradient, of a draw
    gradient: float  # core seconds of one
    divergences: int


def ours(posterior: Posterior, chains: int, draws: int, cores: int, seed: int) -> Run:
    """Run our sampler, compiled beforehand; a second round times gradients, for those of a warm-up are not counted."""
    os.environ["NPROC"] = str(cores)
    sampler, target = Nuts(), posterior.target()
    settings = sampler.settings["measurement"]
    running = sampler.start(target, settings, chains, jax.random.key(seed))
    began = time.perf_counter()
    made = running.advance(draws, lambda _: None)
    took = time.perf_counter() - began
    found = running.constrain(np.asarray(made.position))
    again = time.perf_counter()
    steps = np.asarray(running.advance(draws, lambda _: None).steps)
    gradient = (time.perf_counter() - again) * min(cores, chains) / steps.sum()
    here = {name: found[name] for name in posterior.sites}
    return Run(took, here, np.asarray(made.steps).mean(), gradient, int(np.asarray(made.diverging).sum()))


def theirs(posterior: Posterior, compiled: Any, chains: int, draws: int, cores: int, seed: int, **options: Any) -> Run:
    """Run nutpie."""
    began = time.perf_counter()
    trace = nutpie.sample(compiled, draws=draws, chains=chains, cores=cores, seed=seed, progress_bar=False, **options)
    took = time.perf_counter() - began
    stats = trace["sample_stats"]
    steps = stats["n_steps"].to_numpy()
    gradients = steps.sum() + trace["warmup_sample_stats"]["n_steps"].to_numpy().sum()
    here = {name: trace["posterior"][name].to_numpy() for name in posterior.sites}
    return Run(took, here, steps.mean(), took * min(cores, chains) / gradients, int(stats["diverging"].sum()))


def efficiency(run: Run) -> dict[str, float]:
    """Effective draws a second of the worst and of the median coordinate, and what is printed beside them."""
    took, found = run.seconds, run.found
    flat = {
        name: (("chain", "draw", f"{name}_at"), np.reshape(value, (*np.shape(value)[:2], -1)))
        for name, value in found.items()
    }
    drawn = xr.Dataset(flat)
    ess = np.concatenate([v.to_numpy().ravel() for v in azs.ess(drawn, method="bulk").data_vars.values()])
    rhat = np.concatenate([v.to_numpy().ravel() for v in azs.rhat(drawn).data_vars.values()])
    return {
        "seconds": took,
        "worst ESS": ess.min(),
        "worst ESS/s": ess.min() / took,
        "median ESS/s": float(np.median(ess)) / took,
        "R-hat": rhat.max(),
        "divergences": run.divergences,
        "gradients a draw": run.steps,
        "microseconds a gradient": 1e6 * run.gradient,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("draws", 1000), ("chains", 4), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--cores", type=int, nargs="+", default=[2, 1])
    asked = parser.parse_args()
    posterior = of_the_paper()
    model = in_pymc(posterior)
    off = check(posterior, model)
    print(f"Log densities at {PLACES} places differ by a constant, to {off:.1e}", flush=True)
    if off > AGREE:
        raise SystemExit(f"The densities are not the same: mend in_pymc until they agree to {AGREE}")
    compiled = nutpie.compile_pymc_model(model)
    accept = DEFAULT_SETTINGS["measurement"].target_accept
    for cores in asked.cores:
        run = (asked.chains, asked.draws, cores, asked.seed)
        rows = {
            "bayes_obscaling": efficiency(ours(posterior, *run)),
            "nutpie": efficiency(theirs(posterior, compiled, *run)),
            f"nutpie, target acceptance {accept}": efficiency(theirs(posterior, compiled, *run, target_accept=accept)),
        }
        print(f"{cores} cores")
        for name, row in rows.items():
            against = row["worst ESS/s"] / rows["nutpie"]["worst ESS/s"]
            shown = ", ".join(f"{what} {value:.3g}" for what, value in row.items())
            print(f"  {name}: {shown}; worst ESS/s against nutpie's {against:.2f}", flush=True)


if __name__ == "__main__":
    main()
