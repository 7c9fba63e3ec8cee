"""The joint posterior of the ladder, for simulation-based calibration.

The ladder counts losses in units of the smallest loss seen and lets its link bend at losses seen, so its prior looks at
the data. Here these constants stay those of the bundled ladder in every data set, in simulation and in fitting, and
only data sets that go with them are kept (see `_like_a_ladder`): a choice by data alone, which keeps ranks uniform.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from bayes_obscaling.data.ladder import Ladder, load_olmo_ladder
from bayes_obscaling.inference.cache import content_hash
from bayes_obscaling.inference.fit_ladder import ladder_tree
from bayes_obscaling.inference.sampler import DEFAULT_SETTINGS, Arrays, Model
from bayes_obscaling.inference.starts import of_ladder
from bayes_obscaling.models.ladder import LadderSpec, LadderStructure
from bayes_obscaling.models.ladder import ladder as ladder_density
from bayes_obscaling.models.ladder_equations import (
    CENTRE_PARAMS,
    CENTRE_TOKENS,
    NOISE_DF,
    SMALLEST_ACCURACY_SD,
    SMALLEST_LOSS_SD,
)
from bayes_obscaling.models.ladder_layout import lay_out_ladder
from bayes_obscaling.models.trace import sites_of, with_priors
from bayes_obscaling.results.ladder_posterior import LadderPosterior
from bayes_obscaling.results.scenario import Scenario
from bayes_obscaling.results.stages import Settings
from bayes_obscaling.validation import simulate_ladder
from bayes_obscaling.validation.ranks import Subject
from bayes_obscaling.validation.simulate import Rng, Values


def _bound(fixed: Arrays, _: Arrays, structure: LadderStructure) -> None:
    data, priors = fixed
    ladder_density(data, priors, structure)


# long: what is drawn and what is derived read the same dozen arrays of the layout
def ladder_subject(
    ladder: Ladder | None = None,
    spec: LadderSpec | None = None,
    settings: Settings | None = None,
    draws: int = 500,
) -> Subject:
    """Return the ladder, by default that of 16 runs and 8 tasks.

    Ranked are all variables with a prior, exponents, drifts and floors, log likelihoods, and loss and accuracy of a
    model twice the largest size, at 100 tokens per parameter, of the ladder's recipe and of a similar one, as
    `LadderPosterior` forecasts them; its truth is drawn here.
    """
    spec, ladder = spec or LadderSpec(), ladder or load_olmo_ladder("ladder")
    assert spec.discrepancy and spec.law == "size-and-data" and spec.feature == "task_loss"
    layout = lay_out_ladder(ladder, spec)
    layout = replace(layout, unit=np.ones(len(layout.losses)))
    template, structure = layout.data, layout.structure
    priors = jax.tree.map(jnp.asarray, spec.priors)
    sites = sites_of(_bound, (template, priors), None, structure)
    size, tokens = np.asarray(template.runs.log_size), np.asarray(template.runs.log_data)
    larger = Scenario("target", params=2 * ladder.sizes[-1], tokens=200 * ladder.sizes[-1]).as_run()
    at = [np.array([np.log(larger.params / CENTRE_PARAMS)]), np.array([np.log(larger.tokens / CENTRE_TOKENS)])]
    knots = np.asarray(template.bends.rung_end)
    # Where forecasts let the curves bend again: at the end of the ladder, then at the mean distance of those inside.
    beyond, steps = 12, np.arange(12)
    rungs = np.array(ladder.by_rung(size))
    sizes_beyond = np.append(rungs[1:-1], rungs[-1] + np.diff(rungs).mean() * steps)
    knots_beyond = np.append(knots, 1.0 - (knots[:, :1] - 1.0) / knots.shape[1] * steps, axis=1)
    inside = {"size_at": np.asarray(template.bends.size_bend_at), "data_at": np.asarray(template.bends.data_bend_at)}

    def draw(rng: Rng) -> tuple[Values, Arrays]:
        while True:
            truth, data = draw_any(rng)
            if _like_a_ladder(np.asarray(data[0].loss), np.asarray(data[0].accuracy)):
                return truth, data

    def draw_any(rng: Rng) -> tuple[Values, Arrays]:
        t = simulate_ladder.draw_ladder(template, spec, rng, beyond)
        bends = inside | {"size": t["size_bend"], "data": t["data_bend"]}
        law = simulate_ladder.ladder_law(t, size, tokens, bends)
        centre, log_loss, followed = simulate_ladder.draw_runs(t, size, law, rng)
        mean = simulate_ladder.ladder_curve(t, np.exp(followed), knots, t["slope_change"])
        accuracy = simulate_ladder.draw_accuracy(t, mean, rng)
        shrink = np.exp(-t["size_decay"] * size)[:, None]
        sd = np.sqrt((t["loss_sd"] * shrink) ** 2 + SMALLEST_LOSS_SD**2)
        t["loss_likelihood"] = stats.t.logpdf(log_loss, NOISE_DF, centre, sd).sum()
        sd = np.sqrt((t["accuracy_sd"] * mean * (1 - mean)) ** 2 + SMALLEST_ACCURACY_SD**2)
        t["accuracy_likelihood"] = stats.t.logpdf(accuracy, NOISE_DF, mean, sd).sum()
        # the target
        bends |= {"size_at": sizes_beyond, "size": np.append(t["size_bend"], t["size_bend_beyond"], axis=1)}
        law = simulate_ladder.ladder_law(t, at[0], at[1], bends)
        # noise falls no further than to that of the largest run
        *_, log_target, followed = simulate_ladder.draw_runs(t, np.minimum(at[0], size.max()), law, rng)
        change = np.append(t["slope_change"], t["slope_change_beyond"], axis=1)
        mean = simulate_ladder.ladder_curve(t, np.exp(followed), knots_beyond, change)
        t["target_loss"] = np.exp(log_target[0])
        t["target_accuracy"] = np.clip(simulate_ladder.draw_accuracy(t, mean, rng)[0], 0.0, 1.0)
        # the same run, of a similar recipe
        on_loss, on_link = simulate_ladder.draw_similar(layout.knowledge, spec, rng)
        moved = np.exp(followed + on_loss)
        mean = simulate_ladder.ladder_curve(t, moved, knots_beyond, change, on_link)
        t["similar_loss"] = np.exp(log_target[0] + on_loss)
        t["similar_accuracy"] = np.clip(simulate_ladder.draw_accuracy(t, mean, rng)[0], 0.0, 1.0)
        return t, (template._replace(loss=jnp.asarray(np.exp(log_loss)), accuracy=jnp.asarray(accuracy)), priors)

    def derive(values: Values, data: Arrays, rng: Rng) -> Values:
        sampled = {name: value[None] for name, value in values.items() if name in sites}
        simulated, seed = replace(layout, data=data[0]), int(rng.integers(2**31))
        tree = ladder_tree(simulated, spec, sites, sampled, seed)
        posterior = LadderPosterior(tree["posterior"].to_dataset(), simulated, spec, seed)
        forecast, density = posterior.scores([larger]), posterior.pointwise[0]
        similar = posterior.scores([replace(larger, recipe="similar")])
        return {
            "similar_loss": similar["loss"][:, 0],
            "similar_accuracy": similar["accuracy"][:, 0],
            "target_loss": forecast["loss"][:, 0],
            "target_accuracy": forecast["accuracy"][:, 0],
            "loss_likelihood": density["loss"].sum(axis=(1, 2)),
            "accuracy_likelihood": density["accuracy"].sum(axis=(1, 2)),
        }

    pooled = ("size_exponent", "data_exponent", "size_bend_drift", "data_bend_drift", "floor")
    asked = ("target_loss", "target_accuracy", "similar_loss", "similar_accuracy")
    derived = (*asked, "loss_likelihood", "accuracy_likelihood")
    return Subject(
        name="ladder",
        model=Model(_bound, (structure,)),
        simulate=draw,
        start=lambda _, rng: of_ladder(sites, spec.priors, rng),
        derive=derive,
        ranked=(*with_priors(sites), *pooled, *derived),
        settings=settings or DEFAULT_SETTINGS["ladder"].model_copy(update={"thin": 2}),
        draws=draws,
        belief=content_hash([spec.model_dump()], template),
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
