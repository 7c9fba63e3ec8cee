"""What a gradient costs beside one written by hand in C: the capabilities of the 77 models of the paper's table.

    python benchmarks/gradient_floor.py [--times 20000]      (needs a C compiler)

Density and gradient of the measurement model (Equations 1 to 8 of docs/explanation/model.md, asymmetric curves, one
drift) are written out in C for this table alone, without any of the switches of the package, and compared with
numpyro's at ten places. Then both are evaluated many times in turns, on one core. Printed: microseconds of each, and
the ratio.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpyro.infer.util import potential_energy, unconstrain_fn

import bayes_obscaling as bo
from bayes_obscaling.data import load_base_llms
from bayes_obscaling.inference.fit import bound_measurement
from bayes_obscaling.models.capability import centring
from bayes_obscaling.models.capability_equations import BENCHMARK_FLOOR_SD
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.trace import sites_of, start_near_priors

PLACES, AGREE = 10, 1e-8

C = r"""
#include <math.h>
#include <string.h>

/* Places of the parameters in the flat vector: sites by name, as JAX sorts them. */
enum {
  ASYMMETRY = 0, GAP = ASYMMETRY + CAPPED, DIFFICULTY = GAP + CAPPED, DRIFT = DIFFICULTY + OTHERS,
  OFFSET = DRIFT + K, OFFSET_SD = OFFSET + F * I, A_MEAN = OFFSET_SD + I, A_RAW = A_MEAN + K, A_SD = A_RAW + F * K,
  LOADING = A_SD + K, SIGNED = LOADING + FREE * K, PHI = SIGNED + SIGNS * K, RESIDUAL = PHI + I,
  B_MEAN = RESIDUAL + K, B_RAW = B_MEAN + K, B_SD = B_RAW + F * K, THETA = B_SD + K, COMPUTE = THETA + M * K,
  SIZE = COMPUTE + UNKNOWN
};

static const double LOG2 = 0.69314718055994530942;

/* Normal densities of n numbers around the same place: gradients, and the log density less constants. */
static double normal(const double *u, double *g, int n, double loc, double sd) {
  double sum = 0;
  for (int j = 0; j < n; j++) { double z = (u[j] - loc) / sd; sum -= 0.5 * z * z; g[j] -= z / sd; }
  return sum;
}

/* Priors in the order of `priors`: location and scale of each, in the coordinates of the sampler. */
double density(const double *u, double *g, const double *pr, const int *capped, const int *others, const int *freeb,
               const int *signs, const int *anchors, const int *unknown, const int *family, const double *compute,
               const double *date, const double *chance, const double *inv, const double *seen, const double *y,
               const double *c, double floor_var) {
  memset(g, 0, SIZE * sizeof(double));
  double lp = 0;
  lp += normal(u + ASYMMETRY, g + ASYMMETRY, CAPPED, pr[0], pr[1]);
  lp += normal(u + DIFFICULTY, g + DIFFICULTY, OTHERS, pr[2], pr[3]);
  lp += normal(u + DRIFT, g + DRIFT, K, pr[4], pr[5]);
  lp += normal(u + OFFSET, g + OFFSET, F * I, 0, 1);
  lp += normal(u + OFFSET_SD, g + OFFSET_SD, I, pr[6], pr[7]);
  lp += normal(u + A_MEAN, g + A_MEAN, K, pr[8], pr[9]);
  lp += normal(u + A_RAW, g + A_RAW, F * K, 0, 1);
  lp += normal(u + A_SD, g + A_SD, K, pr[10], pr[11]);
  lp += normal(u + SIGNED, g + SIGNED, SIGNS * K, pr[12], pr[13]);
  lp += normal(u + PHI, g + PHI, I, pr[14], pr[15]);
  lp += normal(u + RESIDUAL, g + RESIDUAL, K, pr[16], pr[17]);
  lp += normal(u + B_MEAN, g + B_MEAN, K, pr[18], pr[19]);
  lp += normal(u + B_RAW, g + B_RAW, F * K, 0, 1);
  lp += normal(u + B_SD, g + B_SD, K, pr[20], pr[21]);
  lp += normal(u + COMPUTE, g + COMPUTE, UNKNOWN, pr[22], pr[23]);
  for (int j = 0; j < FREE * K; j++) { /* half-normal loadings, sampled as logarithms */
    double z = exp(u[LOADING + j]) / pr[24];
    lp += u[LOADING + j] - 0.5 * z * z;
    g[LOADING + j] += 1 - z * z;
  }

  double nu[I], steep[I], place[I], half[I], gap[I], d[I], l[I][K], fo[I], phi2[I];
  for (int i = 0; i < I; i++) { nu[i] = 1; gap[i] = 0; d[i] = 0; for (int k = 0; k < K; k++) l[i][k] = 0; }
  for (int j = 0; j < CAPPED; j++) {
    double s = 1 / (1 + exp(-u[GAP + j]));
    lp += pr[25] * log(s) + pr[26] * log1p(-s);
    g[GAP + j] += pr[25] * (1 - s) - pr[26] * s;
    gap[capped[j]] = s;
    nu[capped[j]] = exp(u[ASYMMETRY + j]);
  }
  for (int j = 0; j < OTHERS; j++) d[others[j]] = u[DIFFICULTY + j];
  for (int k = 0; k < K; k++) l[anchors[k]][k] = 1;
  for (int j = 0; j < FREE; j++) for (int k = 0; k < K; k++) l[freeb[j]][k] = exp(u[LOADING + j * K + k]);
  for (int j = 0; j < SIGNS; j++) for (int k = 0; k < K; k++) l[signs[j]][k] = u[SIGNED + j * K + k];
  for (int i = 0; i < I; i++) {
    half[i] = exp(-LOG2 / nu[i]);
    steep[i] = 0.5 / (nu[i] * (1 - half[i]));
    place[i] = LOG2 / nu[i] + log1p(-half[i]);
    fo[i] = exp(u[OFFSET_SD + i]);
    phi2[i] = exp(2 * u[PHI + i]);
  }
  double lt[K][I];
  for (int i = 0; i < I; i++) for (int k = 0; k < K; k++) lt[k][i] = l[i][k];
  double r1[K], rc[K], bm[K], dr[K], as[K], bs[K];
  for (int k = 0; k < K; k++) {
    double r = u[RESIDUAL + k];
    r1[k] = exp((1 - c[k]) * r); rc[k] = exp(-2 * c[k] * r);
    bm[k] = u[B_MEAN + k]; dr[k] = exp(u[DRIFT + k]); as[k] = exp(u[A_SD + k]); bs[k] = exp(u[B_SD + k]);
  }
  double gnu[I] = {0}, gsteep[I] = {0}, gplace[I] = {0}, ggap[I] = {0}, gd[I] = {0}, gfo[I] = {0}, gphi[I] = {0};
  double gl[K][I] = {{0}};
  int next = 0;
  for (int m = 0; m < M; m++) {
    int f = family[m], of = -1;
    double x = compute[m];
    if (next < UNKNOWN && unknown[next] == m) { of = next; x = u[COMPUTE + next++]; }
    double theta[K], rho[K], eta[I], ge[I];
    for (int k = 0; k < K; k++) {
      double a = u[A_MEAN + k] + as[k] * u[A_RAW + f * K + k], b = bm[k] + bs[k] * u[B_RAW + f * K + k];
      double mean = a + b * x + bm[k] * dr[k] * date[m];
      rho[k] = u[THETA + m * K + k] - c[k] * mean;
      theta[k] = mean + r1[k] * rho[k];
      lp += -0.5 * rho[k] * rho[k] * rc[k] - c[k] * u[RESIDUAL + k];
    }
    for (int i = 0; i < I; i++) eta[i] = d[i] + fo[i] * u[OFFSET + f * I + i];
    for (int k = 0; k < K; k++) for (int i = 0; i < I; i++) eta[i] += lt[k][i] * theta[k];
    double sum = 0;
    for (int i = 0; i < I; i++) {
      double at = steep[i] * eta[i] + place[i], e = exp(-fabs(at));
      double soft = fmax(at, 0) + log1p(e), q = exp(-nu[i] * soft), share = 1 - q;
      double sig = (at >= 0 ? 1.0 : e) / (1 + e), range = (1 - chance[i]) * (1 - gap[i]);
      double p = chance[i] + range * share, w = inv[m * I + i] + phi2[i], pp = p * (1 - p);
      double v = pp * w + floor_var, z = y[m * I + i] - p, s = seen[m * I + i];
      double gv = s * (0.5 * z * z / (v * v) - 0.5 / v);
      double gp = s * z / v + gv * (1 - 2 * p) * w, gs = gp * range, gat = gs * nu[i] * q * sig;
      sum += s * (-0.5 * z * z / v - 0.5 * log(v));
      gphi[i] += gv * pp * 2 * phi2[i];
      ggap[i] -= gp * (1 - chance[i]) * share;
      gnu[i] += gs * q * soft;
      gsteep[i] += gat * eta[i];
      gplace[i] += gat;
      ge[i] = gat * steep[i];
      gd[i] += ge[i];
      gfo[i] += ge[i] * u[OFFSET + f * I + i];
      g[OFFSET + f * I + i] += ge[i] * fo[i];
    }
    lp += sum;
    for (int k = 0; k < K; k++) {
      double G = 0;
      for (int i = 0; i < I; i++) { G += ge[i] * lt[k][i]; gl[k][i] += ge[i] * theta[k]; }
      double pull = rho[k] * rc[k], gm = c[k] * pull + G * (1 - c[k] * r1[k]);
      g[THETA + m * K + k] += G * r1[k] - pull;
      g[RESIDUAL + k] += c[k] * rho[k] * pull - c[k] + G * (1 - c[k]) * r1[k] * rho[k];
      g[A_MEAN + k] += gm;
      g[A_RAW + f * K + k] += gm * as[k];
      g[A_SD + k] += gm * as[k] * u[A_RAW + f * K + k];
      g[B_MEAN + k] += gm * (x + dr[k] * date[m]);
      g[B_RAW + f * K + k] += gm * x * bs[k];
      g[B_SD + k] += gm * x * bs[k] * u[B_RAW + f * K + k];
      g[DRIFT + k] += gm * bm[k] * dr[k] * date[m];
      if (of >= 0) g[COMPUTE + of] += gm * (bm[k] + bs[k] * u[B_RAW + f * K + k]);
    }
  }
  for (int j = 0; j < CAPPED; j++) {
    int i = capped[j];
    /* d half / d nu = half log 2 / nu^2 */
    double dh = half[i] * LOG2 / (nu[i] * nu[i]), ds = steep[i] * (-1 / nu[i] + dh / (1 - half[i]));
    double dp = -LOG2 / (nu[i] * nu[i]) - dh / (1 - half[i]);
    g[ASYMMETRY + j] += nu[i] * (gnu[i] + gsteep[i] * ds + gplace[i] * dp);
    g[GAP + j] += ggap[i] * gap[i] * (1 - gap[i]);
  }
  for (int j = 0; j < OTHERS; j++) g[DIFFICULTY + j] += gd[others[j]];
  for (int j = 0; j < FREE; j++)
    for (int k = 0; k < K; k++) g[LOADING + j * K + k] += gl[k][freeb[j]] * l[freeb[j]][k];
  for (int j = 0; j < SIGNS; j++) for (int k = 0; k < K; k++) g[SIGNED + j * K + k] += gl[k][signs[j]];
  for (int i = 0; i < I; i++) { g[OFFSET_SD + i] += gfo[i] * fo[i]; g[PHI + i] += gphi[i]; }
  return lp;
}

double repeated(int times, const double *u, double *g, const double *pr, const int *capped, const int *others,
                const int *freeb, const int *signs, const int *anchors, const int *unknown, const int *family,
                const double *compute, const double *date, const double *chance, const double *inv,
                const double *seen, const double *y, const double *c, double floor_var) {
  double at[SIZE], sum = 0;
  memcpy(at, u, sizeof at);
  for (int t = 0; t < times; t++) {
    sum += density(at, g, pr, capped, others, freeb, signs, anchors, unknown, family, compute, date, chance, inv, seen,
                   y, c, floor_var);
    for (int j = 0; j < SIZE; j++) at[j] = u[j] + 1e-9 * g[j];
  }
  return sum;
}
"""


def by_hand(
    layout: Layout, spec: bo.CapabilitySpec, folder: Path
) -> Callable[[np.ndarray, int], tuple[float, np.ndarray]]:
    """Compile the C for a layout; returns a function of a place and how often, to log density and gradient."""
    data, s, priors = layout.measurements[0], layout.structure, spec.priors
    sizes = {
        "M": s.n_models, "F": s.n_families, "I": s.n_benchmarks, "K": s.n_factors, "CAPPED": len(s.capped),
        "OTHERS": len(s.others), "FREE": len(s.free), "SIGNS": len(s.signed), "UNKNOWN": len(s.unknown_compute),
    }  # fmt: skip
    source, library = folder / "density.c", folder / "density.so"
    source.write_text(C)
    defined = [f"-D{name}={size}" for name, size in sizes.items()]
    flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, *defined, str(source), "-o", str(library), "-lm"], check=True)
    call = ctypes.CDLL(str(library)).repeated
    call.restype = ctypes.c_double
    q = priors
    believed = [
        np.log(q.asymmetry.median), q.asymmetry.log_sd, q.difficulty.loc, q.difficulty.scale,
        np.log(q.drift.median), q.drift.log_sd, np.log(q.family_offset_sd.median), q.family_offset_sd.log_sd,
        q.intercept_mean.loc, q.intercept_mean.scale, np.log(q.intercept_sd.median), q.intercept_sd.log_sd,
        q.signed_loading.loc, q.signed_loading.scale, np.log(q.overdispersion.median), q.overdispersion.log_sd,
        np.log(q.residual_sd.median), q.residual_sd.log_sd, q.slope_mean.loc, q.slope_mean.scale,
        np.log(q.slope_sd.median), q.slope_sd.log_sd, q.unknown_compute.loc, q.unknown_compute.scale,
        q.loading.scale, q.label_errors.a, q.label_errors.b,
    ]  # fmt: skip
    x = data.covariates
    floats = (x.compute, x.date, data.chance, data.inv_items, data.seen, data.score, centring(s))
    kept: list[np.ndarray] = [np.asarray(believed, float)]
    kept += [np.asarray(i, np.int32) for i in (s.capped, s.others, s.free, s.signed, s.anchors, s.unknown_compute)]
    kept += [np.asarray(data.family, np.int32), *(np.ascontiguousarray(a, float) for a in floats)]
    places = [array.ctypes.data_as(ctypes.c_void_p) for array in kept]

    def evaluate(place: np.ndarray, times: int = 1) -> tuple[float, np.ndarray]:
        place, gradient = np.ascontiguousarray(place, float), np.zeros(len(place))
        at, out = (a.ctypes.data_as(ctypes.c_void_p) for a in (place, gradient))
        total = call(ctypes.c_int(times), at, out, *places, ctypes.c_double(BENCHMARK_FLOOR_SD**2))
        assert kept  # the arrays live as long as the function
        return total / times, gradient

    return evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20_000, help="gradients of each, in ten turns")
    asked = parser.parse_args()
    table, spec = load_base_llms("paper"), bo.CapabilitySpec()
    layout = lay_out(table, table.task_names, bo.Split.all_seen(), spec)
    fixed = (layout.measurements[0], jax.tree.map(jnp.asarray, spec.priors))
    arguments = (fixed, None, layout.structure)
    sites = sites_of(bound_measurement, fixed, None, layout.structure)

    def start(seed: int) -> dict[str, jax.Array]:
        near = start_near_priors(sites, spec.priors, np.random.default_rng(seed), 0.5)
        return unconstrain_fn(bound_measurement, arguments, {}, near)

    unravel = ravel_pytree(start(0))[1]

    def potential(flat: jax.Array, fixed: object) -> jax.Array:
        return potential_energy(bound_measurement, (fixed, None, layout.structure), {}, unravel(flat))

    ours = jax.jit(jax.value_and_grad(potential))

    @jax.jit
    def repeated(flat: jax.Array, fixed: object) -> jax.Array:
        def once(_: int, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            at, total = carry
            value, slope = jax.value_and_grad(potential)(at, fixed)
            return flat - 1e-9 * slope, total + value

        return jax.lax.fori_loop(0, asked.times // 10, once, (flat, jnp.zeros(())))[1]

    with tempfile.TemporaryDirectory() as folder:
        theirs = by_hand(layout, spec, Path(folder))
        constants, worst = [], 0.0
        for seed in range(PLACES):
            flat = np.asarray(ravel_pytree(start(seed))[0])
            value, slope = ours(flat, fixed)
            density, gradient = theirs(flat, 1)
            constants.append(-float(value) - density)
            scale = np.abs(np.asarray(slope)).max()
            worst = max(worst, float(np.abs(gradient + np.asarray(slope)).max() / scale))
        off = float(np.ptp(constants)) / abs(constants[0])
        print(f"At {PLACES} places: densities agree to {off:.1e}, gradients to {worst:.1e} (relative)", flush=True)
        if max(off, worst) > AGREE:
            raise SystemExit(f"They do not agree to {AGREE}: mend the C")
        repeated(flat, fixed).block_until_ready()
        took = {"ours": 0.0, "C": 0.0}
        for _ in range(10):
            began = time.process_time()
            repeated(flat, fixed).block_until_ready()
            between = time.process_time()
            theirs(flat, asked.times // 10)
            took["ours"] += between - began
            took["C"] += time.process_time() - between
    print({name: f"{1e6 * seconds / asked.times:.1f} us a gradient" for name, seconds in took.items()})
    print(f"Ours over C: {took['ours'] / took['C']:.2f}")


if __name__ == "__main__":
    main()
