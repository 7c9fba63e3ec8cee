"""The posteriors that simulation-based calibration is run on.

What a cut posterior allows one to say: three densities are exact posteriors, and are tested.

* ``measurement``: capabilities and benchmarks given benchmark scores, the first stage of the cut;
* ``heads``: the task heads given the true capabilities, the conditional that the second stage samples at every draw;
* ``ladder``: the joint posterior of the ladder.

The cut itself averages the second over the first, ``p(theta | benchmarks) p(heads | theta, tasks)``, which is not the
conditional of any joint density of tasks and benchmarks: theta has not heard of the tasks. Its ranks of head parameters
need not be uniform however right the code is, so they are no test; how far its intervals cover is measured instead, in
`bayes_obscaling.evaluation.coverage`.

The ladder counts losses in units of the smallest loss seen and lets its link bend at losses seen, so its prior looks at
the data. Here these constants stay those of the bundled ladder in every data set, in simulation and in fitting, and
only data sets that go with them are kept (see `_like_a_ladder`): a choice by data alone, which keeps ranks uniform.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy import stats

from bayes_obscaling.data import ScoreTable, load_base_llms, split_by_flops
from bayes_obscaling.data.ladder import Ladder, load_olmo_ladder
from bayes_obscaling.evaluation import simulate
from bayes_obscaling.evaluation.calibration import Subject
from bayes_obscaling.evaluation.simulate import Rng, Values
from bayes_obscaling.inference.arrays import Problem, build_problem, heads_start, measurement_start
from bayes_obscaling.inference.cache import content_hash
from bayes_obscaling.inference.convergence import Convergence
from bayes_obscaling.inference.ladder import ladder_start, lay_out
from bayes_obscaling.inference.nuts import Arrays
from bayes_obscaling.models.capability import TASK_NOISE_DF, CapabilitySpec, heads, measurement
from bayes_obscaling.models.ladder import (
    CENTRE_PARAMS,
    CENTRE_TOKENS,
    NOISE_DF,
    SMALLEST_ACCURACY_SD,
    SMALLEST_LOSS_SD,
    LadderSpec,
)
from bayes_obscaling.models.ladder import ladder as ladder_density
from bayes_obscaling.results.ladder import LadderFit, ladder_tree
from bayes_obscaling.results.ladder_forecast import Target, World

# Cutoff of the simulated task scores: that of the emergent tasks (Ruan et al. 2024).
TASK_CUTOFF = 8.4e22
# Models whose benchmark scores are all hidden, to be forecast from compute: the largest of families of several.
_HIDDEN = 4


def bundled_problem() -> Problem:
    """Shapes, families, compute, items and missing scores of the bundled models and tasks.

    Tasks are cut at 8.4e22 FLOPs and read all benchmarks; of the largest models of some families no score is seen.
    """
    table = load_base_llms("paper")
    spec = CapabilitySpec()
    problem = build_problem(
        table, table.task_names[:12], split_by_flops(table, TASK_CUTOFF).held_out, hidden_models(table), spec
    )
    assert problem.task_scores is not None
    everything = problem.measurements[problem.predictor_sets.index(())]
    scores = problem.task_scores._replace(predictors=jnp.zeros(len(problem.tasks), int))
    return Problem(**{**vars(problem), "predictor_sets": ((),), "measurements": (everything,), "task_scores": scores})


def hidden_models(table: ScoreTable) -> list[str]:
    """Name the largest models of the families with three or more models of known compute: the four largest of these."""
    known = table.models[table.models["flops"].notna()]
    several = known.groupby("family").filter(lambda group: len(group) > 2).sort_values("flops")
    return list(several.groupby("family").tail(1).index[-_HIDDEN:])


def measurement_subject(
    problem: Problem | None = None, spec: CapabilitySpec | None = None, settings: dict[str, Any] | None = None
) -> Subject:
    """Return the measurement stage of the capability model, by default at the size of the bundled table.

    Ranked are all population parameters, the hidden scores of the models of which nothing is seen (forecasts from
    compute), the capabilities of a family never seen at 1e24 FLOPs, and the log likelihood.
    """
    spec, problem = spec or CapabilitySpec(), problem or bundled_problem()
    template, layout = problem.measurements[0], problem.layout
    seen = np.asarray(template.seen)
    hidden = np.flatnonzero(~seen.any(axis=1))

    def likelihood(t: Values, p: np.ndarray, score: np.ndarray) -> np.ndarray:
        density = stats.norm.logpdf(score, p, simulate.benchmark_sd(p, t, template))
        return np.asarray(np.where(seen, density, 0.0).sum(axis=(-2, -1)))

    def newcomer(t: Values, rng: Rng) -> np.ndarray:
        unit = rng.standard_normal((3, *t["slope_sd"].shape))
        intercept = t["intercept_mean"] + t["intercept_sd"] * unit[0]
        return np.asarray(intercept + (t["slope_mean"] + t["slope_sd"] * unit[1]) * 1.5 + t["residual_sd"] * unit[2])

    def draw(rng: Rng) -> tuple[Values, Arrays]:
        t = simulate.draw_measurement(template, layout, spec, rng)
        p = simulate.benchmark_curve(t, template)
        score = p + simulate.benchmark_sd(p, t, template) * rng.standard_normal(p.shape)
        t |= {"hidden_score": score[hidden], "log_likelihood": likelihood(t, p, score), "newcomer": newcomer(t, rng)}
        return t, template._replace(score=jnp.asarray(score))

    def derive(draws: Values, data: Arrays, rng: Rng) -> Values:
        p = simulate.benchmark_curve(draws, template)
        sd = simulate.benchmark_sd(p, draws, template)[:, hidden]
        return {
            "hidden_score": p[:, hidden] + sd * rng.standard_normal(sd.shape),
            "log_likelihood": likelihood(draws, p, np.asarray(data.score)),
            "newcomer": newcomer(draws, rng),
        }

    ranked = (
        "intercept_mean", "intercept_sd", "slope_mean", "slope_sd", "residual_sd", "loading", "difficulty",
        "ceiling_gap", "family_offset_sd", "overdispersion", *(("hidden_score",) if len(hidden) else ()), "newcomer",
        "log_likelihood",
    )  # fmt: skip
    return Subject(
        "measurement",
        lambda data, _: (measurement(data, layout, spec), None)[1],
        draw,
        lambda data, rng: measurement_start(data, layout, spec, rng),
        derive,
        ranked,
        settings or {"warmup": 600, "thin": 3, "draws": 300, "target_accept": 0.9, "max_depth": 8},
        content_hash([spec.model_dump(), layout], template),
    )


def heads_subject(
    problem: Problem | None = None, spec: CapabilitySpec | None = None, settings: dict[str, Any] | None = None
) -> Subject:
    """Return the task heads given the true capabilities, by default at the size of the bundled table.

    Capabilities are drawn anew for each data set, from their prior. Ranked are all population parameters of heads and
    their own steepness, difficulty, ceiling and noise, the hidden scores of three models above the cutoff (with the
    noise that heads are fitted with), and the log likelihood.
    """
    spec, problem = spec or CapabilitySpec(), problem or bundled_problem()
    assert problem.task_scores is not None
    template, layout, everyone = problem.task_scores, problem.layout, problem.measurements[0]
    seen = np.asarray(template.seen)
    hidden = np.flatnonzero(~seen.any(axis=0))[-3:]
    n_tasks = len(seen)

    def likelihood(t: Values, p: np.ndarray, score: np.ndarray) -> np.ndarray:
        density = stats.t.logpdf(score, TASK_NOISE_DF, p, simulate.task_sd(p, t, template, spec.fit_sd))
        return np.asarray(np.where(seen, density, 0.0).sum(axis=(-2, -1)))

    def noisy(t: Values, p: np.ndarray, rng: Rng) -> np.ndarray:
        return p + simulate.task_sd(p, t, template, spec.fit_sd) * simulate.task_noise(p.shape, rng)

    def draw(rng: Rng) -> tuple[Values, Arrays]:
        theta = simulate.draw_measurement(everyone, layout, spec, rng)["theta"]
        z = simulate.standardised(theta, problem.reference)
        t = simulate.draw_heads(n_tasks, layout.n_factors, layout.n_families, spec, rng)
        p = simulate.task_curve(t, z, template)
        score = noisy(t, p, rng)
        t |= {"hidden_score": score[:, hidden], "log_likelihood": likelihood(t, p, score)}
        return t, (template._replace(score=jnp.asarray(score)), jnp.asarray(z))

    def derive(draws: Values, data: Arrays, rng: Rng) -> Values:
        p = simulate.task_curve(draws, np.asarray(data[1]), template)
        return {
            "hidden_score": noisy(draws, p, rng)[:, :, hidden],
            "log_likelihood": likelihood(draws, p, np.asarray(data[0].score)),
        }

    ranked = (
        "share_mean", "share_sd", "contrast_sd", "log_steepness_mean", "steepness_sd", "steepness", "task_difficulty",
        "task_family_offset_sd", "task_ceiling_gap", "task_overdispersion",
        *(("hidden_score",) if len(hidden) else ()), "log_likelihood",
    )  # fmt: skip
    return Subject(
        "heads",
        lambda data, _: heads(data[1][None], data[0], layout.n_families, spec),
        draw,
        lambda _, rng: heads_start(n_tasks, layout.n_factors, layout.n_families, rng),
        derive,
        ranked,
        settings or {"warmup": 500, "thin": 3, "draws": 300, "target_accept": 0.9, "max_depth": 8},
        content_hash([spec.model_dump(), layout], (template, everyone, problem.reference)),
    )


def ladder_subject(
    ladder: Ladder | None = None, spec: LadderSpec | None = None, settings: dict[str, Any] | None = None
) -> Subject:
    """Return the ladder, by default that of 16 runs and 8 tasks.

    Ranked are all population parameters and those of each task, the log likelihoods, and loss and accuracy of a target
    twice the largest size, at 100 tokens a parameter, as `World` forecasts them; the target's truth is drawn here.
    """
    spec, ladder = spec or LadderSpec(), ladder or load_olmo_ladder("ladder")
    assert spec.discrepancy and spec.law == "size-and-data" and spec.feature == "task_loss"
    template, _ = lay_out(ladder, spec)
    unit = np.ones(template.loss.shape[1])
    size, tokens = np.asarray(template.log_size), np.asarray(template.log_data)
    target = Target("target", 2 * ladder.sizes[-1], 200 * ladder.sizes[-1])
    at = [np.array([np.log(target.params / CENTRE_PARAMS)]), np.array([np.log(target.tokens / CENTRE_TOKENS)])]
    knots = np.asarray(template.knots)
    # Where World lets the curves bend again: at the end of the ladder, then at the mean distance of those inside.
    beyond, steps = 12, np.arange(12)
    rungs = np.array(ladder.by_rung(size))
    sizes_beyond = np.append(rungs[1:-1], rungs[-1] + np.diff(rungs).mean() * steps)
    knots_beyond = np.append(knots, 1.0 - (knots[:, :1] - 1.0) / knots.shape[1] * steps, axis=1)
    inside = {"size_at": np.asarray(template.size_bends), "data_at": np.asarray(template.ratio_bends)}

    def draw(rng: Rng) -> tuple[Values, Arrays]:
        while True:
            truth, data = draw_any(rng)
            if _like_a_ladder(np.asarray(data.loss), np.asarray(data.accuracy)):
                return truth, data

    def draw_any(rng: Rng) -> tuple[Values, Arrays]:
        t = simulate.draw_ladder(template, spec, rng, beyond)
        bends = inside | {"size": t["size_bend"], "data": t["data_bend"]}
        law = simulate.ladder_law(t, size, tokens, bends)
        centre, log_loss, followed = simulate.draw_runs(t, size, law, rng)
        mean = simulate.ladder_curve(t, np.exp(followed), knots, t["slope_change"])
        accuracy = simulate.draw_accuracy(t, mean, rng)
        shrink = np.exp(-t["size_decay"] * size)[:, None]
        sd = np.sqrt((t["loss_sd"] * shrink) ** 2 + SMALLEST_LOSS_SD**2)
        t["loss_likelihood"] = stats.t.logpdf(log_loss, NOISE_DF, centre, sd).sum()
        sd = np.sqrt((t["accuracy_sd"] * mean * (1 - mean)) ** 2 + SMALLEST_ACCURACY_SD**2)
        t["accuracy_likelihood"] = stats.t.logpdf(accuracy, NOISE_DF, mean, sd).sum()
        # the target
        bends |= {"size_at": sizes_beyond, "size": np.append(t["size_bend"], t["size_bend_beyond"], axis=1)}
        law = simulate.ladder_law(t, at[0], at[1], bends)
        *_, log_target, followed = simulate.draw_runs(t, at[0], law, rng)
        change = np.append(t["slope_change"], t["slope_change_beyond"], axis=1)
        mean = simulate.ladder_curve(t, np.exp(followed), knots_beyond, change)
        t["target_loss"] = np.exp(log_target[0])
        t["target_accuracy"] = np.clip(simulate.draw_accuracy(t, mean, rng)[0], 0.0, 1.0)
        return t, template._replace(loss=jnp.asarray(np.exp(log_loss)), accuracy=jnp.asarray(accuracy))

    def derive(draws: Values, data: Arrays, rng: Rng) -> Values:
        sites = {name: value[None] for name, value in draws.items() if not name.endswith("_raw")}
        seed = {"seed": int(rng.integers(2**31))}
        record = Convergence(rhat=1.0, ess_bulk=1.0, ess_tail=1.0)
        fit = LadderFit(ladder, spec, ladder_tree(ladder, data, unit, sites, {}), record, seed)
        asked = World(fit).ask(target)
        return {
            "target_loss": asked["loss"],
            "target_accuracy": asked["accuracy"],
            "loss_likelihood": draws["log_likelihood_loss"].sum(axis=(1, 2)),
            "accuracy_likelihood": draws["log_likelihood_accuracy"].sum(axis=(1, 2)),
        }

    ranked = (
        "size_exponent_median", "size_exponent_spread", "data_exponent_median", "data_exponent_spread", "bend_shared",
        "size_bend_sd", "size_bend_drift", "data_bend_sd", "data_bend_drift", "size_decay", "run_sd", "loss_sd_median",
        "loss_sd_spread", "accuracy_sd_median", "accuracy_sd_spread", "slope_change_median", "slope_change_spread",
        "coupling", "level", "irreducible_share", "size_share", "size_exponent", "data_exponent", "floor",
        "ceiling_gap", "steepness", "midpoint", "target_loss", "target_accuracy", "loss_likelihood",
        "accuracy_likelihood",
    )  # fmt: skip
    return Subject(
        "ladder",
        lambda data, _: ladder_density(data, spec),
        draw,
        lambda data, rng: ladder_start(data, spec, rng),
        derive,
        ranked,
        settings or {"warmup": 1500, "thin": 2, "draws": 500, "target_accept": 0.8, "max_depth": 9, "dense": True},
        content_hash([spec.model_dump()], template),
    )


def _like_a_ladder(loss: np.ndarray, accuracy: np.ndarray) -> bool:
    """Whether data (runs, tasks) go with the constants of the bundled ladder.

    The smallest loss of a task, in whose units losses are counted, is within a third of 1, losses fall by 10 to 300 %
    of it, accuracies lie in 0..1. A choice by data alone keeps ranks uniform: given the data, parameters still follow
    their posterior.
    """
    least, most = loss.min(axis=0), loss.max(axis=0)
    near = (np.abs(np.log(least)) < np.log(4 / 3)) & (most > 1.1 * least) & (most < 4.0 * least)
    return bool(near.all() and (accuracy > 0).all() and (accuracy < 1).all())


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "measurement": measurement_subject,
    "heads": heads_subject,
    "ladder": ladder_subject,
}
