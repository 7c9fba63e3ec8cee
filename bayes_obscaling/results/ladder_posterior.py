"""LadderPosterior: the draws of a ladder's fit as arrays, and what the model says of runs inside and beyond the ladder.

It is the one view of a ladder's fit that forecasts, curves, checks and designs read. Arrays have the draws of all
chains along their first axis (S); N scenarios, R runs, T tasks, F losses.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayes_obscaling.models import ladder_equations as model
from bayes_obscaling.models.ladder import LadderSpec
from bayes_obscaling.models.ladder_equations import Bends, LadderData, Runs
from bayes_obscaling.models.ladder_layout import LadderLayout, runs_of
from bayes_obscaling.models.layout import labelled
from bayes_obscaling.results.scenario import Scenario, facts_of

Arrays = dict[str, np.ndarray]

_log_law = jax.jit(model.log_law)
_expected_accuracy = jax.jit(model.expected_accuracy)
SAME, SIMILAR, UNKNOWN = "same", "similar", "unknown"


@jax.jit
def _pointwise(p: Arrays, data: LadderData) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    of_loss, of_accuracy = model.densities(p, data)
    observed = {"loss": (of_loss, jnp.log(data.loss)), "accuracy": (of_accuracy, data.accuracy)}
    density = {name: noise.log_prob(value) for name, (noise, value) in observed.items()}
    return density, {name: (value - noise.loc) / noise.scale for name, (noise, value) in observed.items()}


@jax.jit
def _run_losses(
    p: Arrays, runs: Runs, law: jax.Array, luck_unit: jax.Array, own_unit: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Log losses that runs expect, their luck included, and the noise of each loss around that, (S, N, F) both."""
    log_loss = law + model.run_luck(p, runs, luck_unit)[..., None]
    return log_loss, model.loss_noise(p, log_loss, runs).scale * own_unit


@jax.jit
def _accuracies(
    p: Arrays, bends: Bends, log_loss: jax.Array, own: jax.Array, effect: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Expected accuracies of runs, and the scale of their noise, (S, N, T) both."""
    expected = model.expected_accuracy(p, model.followed_loss(p, log_loss, own), bends, effect)
    return expected, model.accuracy_noise(p, expected).scale


class LadderPosterior:
    """Posterior draws of a ladder's fit as arrays, continued beyond the ladder by fresh bends of both curves.

    The fresh bends are one set per draw, shared by all scenarios: what two scenarios beyond the ladder have in common.

    Parameters
    ----------
    draws : Dataset
        The posterior group.
    layout : LadderLayout
        The arrays that were sampled.
    spec : LadderSpec
        What was believed.
    seed : int
        Of the fit: it keys the noise of forecasts.
    """

    def __init__(self, draws: xr.Dataset, layout: LadderLayout, spec: LadderSpec, seed: int) -> None:
        self.layout, self.spec, self.seed = layout, spec, seed
        self.chains, self.per_chain = draws.sizes["chain"], draws.sizes["draw"]
        self.size = self.chains * self.per_chain
        self.inside: Arrays = {}
        for name, value in draws.items():
            array = value.transpose("chain", "draw", ...).to_numpy()
            self.inside[str(name)] = array.reshape(self.size, *array.shape[2:])

    def by_chain(self, values: np.ndarray) -> np.ndarray:
        """Values (S, ...) as (chain, draw, ...)."""
        values = np.asarray(values)
        return values.reshape(self.chains, self.per_chain, *values.shape[1:])

    def rng(self, *labels: str) -> np.random.Generator:
        """Random numbers that depend on the fit's seed and on what they are for, not on what else is asked."""
        return np.random.default_rng([self.seed, 5, *(zlib.crc32(label.encode()) for label in labels)])

    @property
    def has_loss(self) -> bool:
        """Whether a loss stands between compute and accuracy."""
        return self.spec.feature != "none"

    # --- the ladder's own runs ------------------------------------------------------------------------------------

    @cached_property
    def pointwise(self) -> tuple[Arrays, Arrays]:
        """Log densities of every loss and accuracy of the ladder, and their distances from the centre of the noise.

        By ``loss`` (S, R, F) and ``accuracy`` (S, R, T) both, the distances in scales of the Student t noise; of values
        that were not seen, numbers that mean nothing.
        """
        density, residual = jax.tree.map(np.asarray, _pointwise(self.inside, self.layout.data))
        return density, residual

    @property
    def pointwise_groups(self) -> dict[str, xr.Dataset]:
        """Groups of a fit's tree that follow from its draws: ``log_likelihood`` and ``residuals``.

        ``loss`` (chain, draw, run, loss_of) and ``accuracy`` (chain, draw, run, task) both, as `pointwise` has them.
        """
        axes = {"loss": ("chain", "draw", "run", "loss_of"), "accuracy": ("chain", "draw", "run", "task")}
        return {
            group: labelled(self.layout.labels, {name: (axes[name], self.by_chain(values[name])) for name in axes})
            for group, values in zip(("log_likelihood", "residuals"), self.pointwise, strict=True)
        }

    # --- beyond the ladder ----------------------------------------------------------------------------------------

    @cached_property
    def bends(self) -> Bends:
        """Where the curves may bend, inside the ladder and beyond it."""
        inside = jax.tree.map(np.asarray, self.layout.data.bends)
        runs = self.layout.data.runs
        return model.places_beyond(inside, self.layout.rungs, np.asarray(runs.log_data) - np.asarray(runs.log_size))

    @cached_property
    def parameters(self) -> Arrays:
        """Draws (S, ...) of all variables, their bends continued beyond the ladder."""
        rng = self.rng("world")
        return self.inside | model.bends_beyond(self.inside, lambda _, shape: rng.standard_normal(shape))

    def runs(self, scenarios: Sequence[Scenario]) -> Runs:
        """What the model reads of scenarios (N,).

        The noise of runs falls with their size inside the ladder; beyond it stays as that of the largest run.
        """
        runs = runs_of(facts_of(list(scenarios)), self.spec.law)
        largest = np.asarray(self.layout.data.runs.log_params).max()
        return runs._replace(log_params=np.minimum(runs.log_params, largest))

    def log_law(self, scenarios: Sequence[Scenario]) -> np.ndarray:
        """Log expected losses (S, N, F) in units of the smallest loss seen, without a run's luck."""
        return np.asarray(_log_law(self.parameters, self.runs(scenarios), self.bends))

    # --- recipes --------------------------------------------------------------------------------------------------

    @cached_property
    def recipe_scales(self) -> Arrays:
        """Draws (S, 1) of the scales of recipes' effects: learned where runs are of several, from the priors if not."""
        rng, priors, of = self.rng("recipe scales"), self.spec.priors, self.inside
        drawn = {
            name: getattr(priors, field).from_normal(rng.standard_normal(self.size))
            for name, field in (
                ("recipe_loss_sd", "recipe_loss"),
                ("recipe_link_sd", "recipe_link"),
                ("recipe_shared", "recipe_shared"),
                ("unknown", "recipe_unknown"),
                ("gain", "recipe_gain"),
                ("gain_knowledge", "recipe_gain_knowledge"),
            )
        }
        return {name: np.asarray(of.get(name, value))[:, None] for name, value in drawn.items()}

    @cached_property
    def _effects(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Draws of what each recipe that is no run's adds to log losses (S, F), and to the link (S, T).

        Equations 42, 43 and 45 of docs/explanation/model.md. One set per draw, shared by all scenarios.
        """
        losses, tasks = len(self.layout.losses), len(self.layout.tasks)
        scale, unit = self.recipe_scales, {}
        rng = self.rng("recipe")
        for name, n in (("loss", losses), ("link", tasks)):
            unit[name] = rng.standard_normal((self.size, 1)), rng.standard_normal((self.size, n))
        shared = scale["recipe_shared"]
        gain = np.where(self.layout.knowledge, scale["gain_knowledge"], scale["gain"])
        found = {}
        for recipe, times, mean in ((SIMILAR, 1.0, gain), (UNKNOWN, scale["unknown"], 0.0)):
            on_loss = model.recipe_effect(times * scale["recipe_loss_sd"], shared, *unit["loss"])
            on_link = model.recipe_effect(times * scale["recipe_link_sd"], shared, *unit["link"], gain=mean)
            found[recipe] = np.asarray(on_loss), np.asarray(on_link)
        return found

    def recipe_effects(self, scenarios: Sequence[Scenario]) -> tuple[np.ndarray, np.ndarray]:
        """What the scenarios' recipes add to log losses (S, N, F), and to the link (S, N, T)."""
        none = np.zeros((self.size, len(self.layout.losses))), np.zeros((self.size, len(self.layout.tasks)))
        of: dict[str, tuple[np.ndarray, np.ndarray]] = {"": none, SAME: none, self.layout.recipes[0]: none}
        for at, name in enumerate(self.layout.recipes[1:]):
            of[name] = self.inside["recipe_loss"][:, at], self.inside["recipe_link"][:, at]
        each = [of[s.recipe] if s.recipe in of else self._effects[s.recipe] for s in scenarios]
        return np.stack([loss for loss, _ in each], axis=1), np.stack([link for _, link in each], axis=1)

    # --- forecasts ------------------------------------------------------------------------------------------------

    def expected_loss(self, scenarios: Sequence[Scenario]) -> np.ndarray:
        """Expected losses (S, N, F), without a run's luck."""
        return np.exp(self.log_law(scenarios)) * self.layout.unit

    def expected_accuracy(self, loss: np.ndarray, effect: np.ndarray | float = 0.0) -> np.ndarray:
        """Expected accuracies (S, N, T) at losses (S, N, F) or (N, F); `effect` (S, N, T) is the recipe's, logits."""
        return np.asarray(_expected_accuracy(self.parameters, loss / self.layout.unit, self.bends, effect))

    def scores(
        self,
        scenarios: Sequence[Scenario],
        true_losses: np.ndarray | None = None,
        effects: tuple[np.ndarray, np.ndarray] | None = None,
        luck: np.ndarray | None = None,
    ) -> Arrays:
        """Draws of scenarios' losses and accuracies.

        Parameters
        ----------
        scenarios : sequence of Scenario
            With params, tokens and flops.
        true_losses : array (N, F), optional
            Their losses, if they are known.
        effects : arrays (S, N, F) and (S, N, T), optional
            What their recipes add; default `recipe_effects`.
        luck : array (S, N), optional
            Their luck in its standard deviations; default drawn.

        Returns
        -------
        dict of arrays (S, N, F or T)
            ``loss`` and ``accuracy`` (chained through the forecast loss) of a run, their expectations ``loss_curve``
            and ``accuracy_curve``, and with `true_losses` ``accuracy_given_loss``. Noise is keyed by the fit's seed and
            the scenario: a forecast does not depend on what else is asked.
        """
        on_loss, on_link = self.recipe_effects(scenarios) if effects is None else effects
        p, runs, law = self.parameters, self.runs(scenarios), self.log_law(scenarios) + on_loss
        luck_unit, own_unit = self._run_units(scenarios)
        luck_unit = luck_unit if luck is None else luck
        log_loss, own = map(np.asarray, _run_losses(p, runs, law, luck_unit, own_unit))
        noise = self._accuracy_units(scenarios)
        drawn = {
            "accuracy": self._noisy(log_loss, own if self.has_loss else np.zeros_like(own), on_link, noise),
            "accuracy_curve": self.expected_accuracy(np.exp(law) * self.layout.unit, on_link),
        }
        if self.has_loss:
            drawn["loss"] = np.exp(log_loss + own) * self.layout.unit
            drawn["loss_curve"] = np.exp(law) * self.layout.unit
        if true_losses is not None and self.has_loss:
            # the run's own noise is inside its true loss; accuracy follows it only as far as the coupling says
            given = np.log(np.asarray(true_losses, float) / self.layout.unit) - own
            drawn["accuracy_given_loss"] = self._noisy(given, own, on_link, noise)
        return drawn

    def _noisy(self, log_loss: np.ndarray, own: np.ndarray, effect: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Accuracies (S, N, T) of runs around their expectation, inside 0..1."""
        expected, scale = _accuracies(self.parameters, self.bends, log_loss, own, effect)
        return np.clip(np.asarray(expected) + np.asarray(scale) * unit, 0.0, 1.0)

    def _run_units(self, scenarios: Sequence[Scenario]) -> tuple[np.ndarray, np.ndarray]:
        """Standardised luck (S, N) of runs, and standardised noise (S, N, F) of each of their losses."""
        luck, own = [], []
        for scenario in scenarios:
            rng = self.rng("run", f"{scenario.params:.6g}", f"{scenario.tokens:.6g}")
            luck.append(rng.standard_normal(self.size))
            own.append(rng.standard_t(model.NOISE_DF, (self.size, len(self.layout.losses))))
        return np.stack(luck, axis=1), np.stack(own, axis=1)

    def _accuracy_units(self, scenarios: Sequence[Scenario]) -> np.ndarray:
        """Standardised noise (S, N, T) of the accuracies of runs."""
        shape = (self.size, len(self.layout.tasks))
        each = [self.rng("accuracy", s.name).standard_t(model.NOISE_DF, shape) for s in scenarios]
        return np.stack(each, axis=1)
