"""The posteriors that simulation-based calibration is run on.

What a cut posterior allows one to say: four densities are exact posteriors, and are tested.

* ``measurement``: capabilities and benchmarks given benchmark scores, the first stage of the cut;
* ``heads``: the task heads given the true capabilities, the conditional that the second stage samples at every draw;
* ``ladder``: the joint posterior of the ladder;
* ``sparse``: capabilities, compute and benchmarks of a sparse table, given its scores and published compute.

The cut itself averages the second over the first, ``p(theta | benchmarks) p(heads | theta, tasks)``, which is not the
conditional of any joint density of tasks and benchmarks: theta has not heard of the tasks. Its ranks of head parameters
need not be uniform however right the code is, so they are no test; how far its intervals cover is measured instead, in
`bayes_obscaling.validation.coverage`.

The last two are modules of their own, `bayes_obscaling.validation.ladder_subject` and `.sparse_subject`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from bayes_obscaling.data import ScoreTable, Split, load_base_llms
from bayes_obscaling.inference.cache import content_hash
from bayes_obscaling.inference.fit import bound_heads, bound_measurement
from bayes_obscaling.inference.sampler import Arrays, Model
from bayes_obscaling.inference.starts import from_anchors, of_heads
from bayes_obscaling.models.capability_equations import TASK_NOISE_DF
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.spec import CapabilitySpec, Structure
from bayes_obscaling.models.trace import sites_of, start_near_priors, with_priors
from bayes_obscaling.results.stages import Settings
from bayes_obscaling.validation import simulate
from bayes_obscaling.validation.ranks import Subject
from bayes_obscaling.validation.simulate import Rng, Values

# Cutoff of the simulated task scores: that of the emergent tasks (Ruan et al. 2024).
TASK_CUTOFF = 8.4e22
# Models whose benchmark scores are all hidden, to be forecast from compute: the largest of families of several.
_HIDDEN = 4


def validation_split(table: ScoreTable) -> Split:
    """Split of the studies here: tasks cut at `TASK_CUTOFF`, all scores hidden of `hidden_models`."""
    split = Split.by_flops(table, TASK_CUTOFF)
    return replace(split, hidden=tuple(hidden_models(table)))


def bundled_layout(spec: CapabilitySpec | None = None) -> Layout:
    """Shapes, families, compute, items and missing scores of the bundled models and tasks.

    Tasks are cut at 8.4e22 FLOPs and read all benchmarks; of the largest models of some families no score is seen.
    """
    table = load_base_llms("paper")
    layout = lay_out(table, table.task_names[:12], validation_split(table), spec or CapabilitySpec())
    assert layout.task_scores is not None
    everything = layout.measurements[layout.predictor_sets.index(())]
    scores = layout.task_scores._replace(predictors=jnp.zeros(len(layout.tasks), int))
    return replace(layout, predictor_sets=((),), measurements=(everything,), task_scores=scores)


def hidden_models(table: ScoreTable) -> list[str]:
    """Name the largest models of the families with three or more models of known compute: the four largest of these."""
    known = table.models[table.models["flops"].notna()]
    several = known.groupby("family").filter(lambda group: len(group) > 2).sort_values("flops")
    return list(several.groupby("family").tail(1).index[-_HIDDEN:])


def measurement_subject(
    layout: Layout | None = None,
    spec: CapabilitySpec | None = None,
    settings: Settings | None = None,
    draws: int = 300,
) -> Subject:
    """Return the measurement stage of the capability model, by default at the size of the bundled table.

    Ranked are all variables with a prior, the hidden scores of the models of which nothing is seen (forecasts from
    compute), the capabilities of a family never seen at 1e24 FLOPs, and the log likelihood.
    """
    spec, layout = spec or CapabilitySpec(), layout or bundled_layout(spec)
    template, structure = layout.measurements[0], layout.structure
    priors = jax.tree.map(jnp.asarray, spec.priors)
    sites = sites_of(bound_measurement, (template, priors), None, structure)
    seen = np.asarray(template.seen)
    hidden = np.flatnonzero(~seen.any(axis=1))

    def likelihood(t: Values, p: np.ndarray, score: np.ndarray) -> np.ndarray:
        density = stats.norm.logpdf(score, p, simulate.benchmark_sd(p, t, template))
        return np.asarray(np.where(seen, density, 0.0).sum(axis=(-2, -1)))

    def newcomer(t: Values, rng: Rng) -> np.ndarray:
        unit = rng.standard_normal((3, *t["slope_sd"].shape))
        place: Values = {name: t[name] for name in ("curvature", "ratio_worth", "drift", "slope_mean") if name in t}
        place |= {"compute": np.array([1.5]), "ratio": np.array([1.0]), "date": np.array([1.0])}
        for name, u in zip(("intercept", "slope"), unit[:2], strict=True):
            place[name] = (t[f"{name}_mean"] + t[f"{name}_sd"] * u)[..., None, :]
        return np.asarray(simulate.expected_capability(place, np.zeros(1, int))[..., 0, :] + t["residual_sd"] * unit[2])

    def draw(rng: Rng) -> tuple[Values, Arrays]:
        t = simulate.draw_measurement(template, structure, spec, rng)
        p = simulate.benchmark_curve(t, template)
        score = p + simulate.benchmark_sd(p, t, template) * rng.standard_normal(p.shape)
        t |= {"hidden_score": score[hidden], "log_likelihood": likelihood(t, p, score), "newcomer": newcomer(t, rng)}
        return t, (template._replace(score=jnp.asarray(score)), priors)

    def derive(values: Values, data: Arrays, rng: Rng) -> Values:
        p = simulate.benchmark_curve(values, template)
        sd = simulate.benchmark_sd(p, values, template)[:, hidden]
        return {
            "hidden_score": p[:, hidden] + sd * rng.standard_normal(sd.shape),
            "log_likelihood": likelihood(values, p, np.asarray(data[0].score)),
            "newcomer": newcomer(values, rng),
        }

    def start(data: Arrays, rng: Rng) -> Values:
        return start_near_priors(sites, spec.priors, rng) | from_anchors(data[0], structure, rng)

    derived = (*(("hidden_score",) if len(hidden) else ()), "newcomer", "log_likelihood")
    return Subject(
        name="measurement",
        model=Model(bound_measurement, (structure,)),
        simulate=draw,
        start=start,
        derive=derive,
        ranked=(*with_priors(sites), *derived),
        settings=settings or Settings(warmup=600, thin=3, target_accept=0.9, max_depth=8),
        draws=draws,
        belief=content_hash([spec.model_dump(), structure], template),
    )


def _heads_at(fixed: Arrays, _: Arrays, structure: Structure) -> None:
    """Task heads given capabilities that stay where they are."""
    z, *rest = fixed
    bound_heads(tuple(rest), z[None], structure)


def heads_subject(
    layout: Layout | None = None,
    spec: CapabilitySpec | None = None,
    settings: Settings | None = None,
    draws: int = 300,
) -> Subject:
    """Return the task heads given the true capabilities, by default at the size of the bundled table.

    Capabilities are drawn anew for each data set, from their prior. Ranked are all variables with a prior, the
    steepness of every task, the hidden scores of three models above the cutoff (with the noise that heads are fitted
    with), and the log likelihood.
    """
    spec, layout = spec or CapabilitySpec(), layout or bundled_layout(spec)
    assert layout.task_scores is not None
    template, structure, everyone = layout.task_scores, layout.structure, layout.measurements[0]
    believed = (jax.tree.map(jnp.asarray, spec.priors), jnp.asarray(spec.fit_sd))
    zeros = jnp.zeros((structure.n_models, structure.n_factors))
    sites = sites_of(_heads_at, (zeros, template, *believed), None, structure)
    seen = np.asarray(template.seen)
    hidden = np.flatnonzero(~seen.any(axis=1))[-3:]

    def likelihood(t: Values, p: np.ndarray, score: np.ndarray) -> np.ndarray:
        density = stats.t.logpdf(score, TASK_NOISE_DF, p, simulate.task_sd(p, t, template, spec.fit_sd))
        return np.asarray(np.where(seen, density, 0.0).sum(axis=(-2, -1)))

    def noisy(t: Values, p: np.ndarray, rng: Rng) -> np.ndarray:
        return p + simulate.task_sd(p, t, template, spec.fit_sd) * simulate.task_noise(p.shape, rng)

    def draw(rng: Rng) -> tuple[Values, Arrays]:
        theta = simulate.draw_measurement(everyone, structure, spec, rng)["theta"]
        z = simulate.standardised(theta, layout.reference)
        t = simulate.draw_heads(structure, spec, rng)
        p = simulate.task_curve(t, z, template)
        score = noisy(t, p, rng)
        t |= {"hidden_score": score[hidden], "log_likelihood": likelihood(t, p, score)}
        return t, (jnp.asarray(z), template._replace(score=jnp.asarray(score)), *believed)

    def derive(values: Values, data: Arrays, rng: Rng) -> Values:
        p = simulate.task_curve(values, np.asarray(data[0]), template)
        return {
            "hidden_score": noisy(values, p, rng)[:, hidden],
            "log_likelihood": likelihood(values, p, np.asarray(data[1].score)),
        }

    derived = ("steepness", *(("hidden_score",) if len(hidden) else ()), "log_likelihood")
    return Subject(
        name="heads",
        model=Model(_heads_at, (structure,)),
        simulate=draw,
        start=lambda _, rng: of_heads(sites, spec.priors, rng),
        derive=derive,
        ranked=(*with_priors(sites), *derived),
        settings=settings or Settings(warmup=500, thin=3, target_accept=0.9, max_depth=8),
        draws=draws,
        belief=content_hash([spec.model_dump(), structure], (template, everyone, layout.reference)),
    )


def _ladder() -> Subject:
    from bayes_obscaling.validation.ladder_subject import ladder_subject

    return ladder_subject()


def _sparse() -> Subject:
    from bayes_obscaling.validation.sparse_subject import sparse_subject

    return sparse_subject()


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "measurement": measurement_subject,
    "heads": heads_subject,
    "ladder": _ladder,
    "sparse": _sparse,
}
