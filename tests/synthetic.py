"""What tests read without sampling: tables drawn from the model, and fits whose draws scatter around the truth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.flatten_util import ravel_pytree
from numpyro import handlers
from numpyro.infer.util import constrain_fn, unconstrain_fn
from scipy.stats import norm

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.inference.fit import named_tree
from bayes_obscaling.inference.run import describe_run
from bayes_obscaling.inference.sampler import DEFAULT_SETTINGS, Draws, Progress, Target
from bayes_obscaling.models import capability as model
from bayes_obscaling.models.ladder import LadderPriors
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.priors import Normal, Priors
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.models.trace import Site, sites_of
from bayes_obscaling.results.convergence import Convergence
from bayes_obscaling.results.fit import CapabilityFit
from bayes_obscaling.results.stages import Settings, Stage
from bayes_obscaling.validation.simulate import Simulation, simulate_table

CUTOFF = 10**22.6
# Of this model no benchmark score is seen either, in the fits of the quick suite.
HIDDEN = "family-2-3"
# Spread of made draws around the truth: logits, or a share of a positive number.
_SPREAD = 0.1
_CHAINS, _DRAWS = 2, 400


def simulate(
    seed: int,
    spec: CapabilitySpec,
    *,
    n_families: int = 6,
    per_family: int = 4,
    n_benchmarks: int = 5,
    n_tasks: int = 2,
    cutoff: float = CUTOFF,
    unsaid: Sequence[str] = (),
    sized: bool = False,
) -> Simulation:
    """Draw a table: parameters from the priors, scores of every model on everything given them.

    The first benchmarks are the anchors. The heads read capabilities standardised over the models at or below the
    cutoff, as a fit with that cutoff does. Of the benchmarks and tasks `unsaid` chance is unknown, and drawn. `sized`
    models have params and tokens, at 20 to 5 000 tokens per parameter, but the first two.
    """
    family = np.repeat(np.arange(n_families), per_family)
    size = np.tile(np.linspace(0.0, 1.0, per_family), n_families)
    models = [f"family-{f}-{j}" for f in range(n_families) for j in range(per_family)]
    benchmarks, tasks = [f"bench-{i}" for i in range(n_benchmarks)], [f"task-{i}" for i in range(n_tasks)]
    chance = [*np.resize([0.25, 0.0, 0.25, 0.5, 0.0], n_benchmarks), *np.resize([0.0, 0.25], n_tasks)]
    chance = [np.nan if name in unsaid else level for name, level in zip(benchmarks + tasks, chance, strict=True)]
    flops = 10 ** (21.0 + 0.8 * family / max(n_families - 1, 1) + 2.4 * size)
    ratio = 10 ** np.random.default_rng(seed).uniform(1.3, 3.7, len(models))
    ratio[:2] = np.nan
    sizes = {"params": np.sqrt(flops / (6 * ratio)), "tokens": np.sqrt(flops * ratio / 6)} if sized else {}
    names = pd.MultiIndex.from_product([models, benchmarks + tasks], names=["model", "benchmark"])
    empty = ScoreTable(
        pd.DataFrame(
            {
                "model": models,
                "family": [f"family-{f}" for f in family],
                "date": [f"202{1 + f % 4}-0{1 + j}-15" for f in range(n_families) for j in range(per_family)],
                "flops": flops,
                **sizes,
            }
        ),
        pd.DataFrame(
            {
                "benchmark": benchmarks + tasks,
                "role": ["benchmark"] * n_benchmarks + ["task"] * n_tasks,
                "chance": chance,
                "n_items": [1000.0] * n_benchmarks + [500.0] * n_tasks,
            }
        ),
        pd.DataFrame({"score": 0.5}, index=names).reset_index(),
    )
    layout = lay_out(empty, tasks, Split.by_flops(empty, cutoff), spec)
    return simulate_table(empty, layout, spec, np.random.default_rng(seed))


def made_fit(
    simulation: Simulation,
    spec: CapabilitySpec,
    tasks: Sequence[str] = ("task-0", "task-1"),
    split: Split | None = None,
    seed: int = 3,
) -> CapabilityFit:
    """Fit without sampling: draws of every parameter scatter around the truth, and the stages say they converged.

    Parameters
    ----------
    simulation : Simulation
        The table and its truth; all tasks read all benchmarks.
    spec : CapabilitySpec
        What the table was drawn from.
    tasks : sequence of str
        Asked for.
    split : Split, optional
        Default: tasks cut at `CUTOFF`, and all scores of `HIDDEN` hidden.
    seed : int
        Of the scatter.
    """
    table, rng = simulation.table, np.random.default_rng(seed)
    if split is None:
        at = Split.by_flops(table, CUTOFF)
        split = Split(at.name, at.held_out, (HIDDEN,), CUTOFF)
    layout = lay_out(table, tasks, split, spec)
    assert layout.predictor_sets == ((),)
    priors = jax.tree.map(jnp.asarray, spec.priors)
    measured = sites_of(model.measurement, layout.measurements[0], priors, layout.structure)
    sites = dict(measured)
    if layout.task_scores is not None:
        z = jnp.zeros((1, len(layout.models), layout.structure.n_factors))
        arguments = (z, layout.task_scores, priors, jnp.asarray(spec.fit_sd), layout.structure)
        sites |= sites_of(model.heads, *arguments)
    values = _scattered(simulation.truth, sites, layout, spec, rng)
    values = {name: value[:, :, None] if name in measured else value for name, value in values.items()}
    if layout.tasks and spec.posterior == "joint":
        stages = [_stage("joint", "joint", [n for n in values if sites[n].is_variable])]
    else:
        stages = [_stage("capabilities", "measurement", [n for n in measured if sites[n].is_variable], "all")]
        if layout.tasks:
            own = [n for n in values if sites[n].is_variable and n not in measured]
            stages.append(_stage("task heads", "heads", own))
    labels = [stage.label for stage in stages]
    shape = (_CHAINS, _DRAWS, len(labels))
    stats = {
        "diverging": np.zeros(shape, bool),
        "energy": rng.standard_normal(shape),
        "n_steps": np.full(shape, 7),
    }
    return CapabilityFit(
        table=table,
        spec=spec,
        tasks=tuple(tasks),
        split=split,
        tree=named_tree(layout, values, sites, set(measured), stats, labels),
        stages=tuple(stages),
        provenance=describe_run(time.monotonic(), table.data_hash, 5),
    )


def _stage(label: str, kind: str, variables: list[str], predictors: str = "") -> Stage:
    return Stage(
        label=label,
        variables=tuple(variables),
        predictors=predictors,
        settings=DEFAULT_SETTINGS[kind],
        convergence=Convergence(rhat=1.001, ess_bulk=900.0, ess_tail=800.0),
    )


def _scattered(
    truth: dict[str, np.ndarray], sites: dict[str, Site], layout: Layout, spec: CapabilitySpec, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draws (chains, draws, ...) of all variables, and of their parts, around the truth."""
    positions = {
        name: [list(layout.labels[name.split("_", 1)[-1] if "_" in name else name]).index(label) for label in labels]
        for name, labels in layout.labels.items()
        if name != "predictors" and not name.startswith("unknown_")
    }
    s = layout.structure
    positions |= {"unknown_compute_model": list(s.unknown_compute), "unknown_chance_benchmark": list(s.unknown_chance)}
    positions |= {"unknown_chance_task": list(s.unknown_task_chance), "unknown_ratio_model": list(s.unknown_ratio)}
    values: dict[str, np.ndarray] = {}
    for name, site in sites.items():
        if not (site.is_variable or site.is_part):
            continue
        exact = np.asarray(truth[site.of or name])
        if site.is_part:
            exact = exact[positions[site.dims[0]]]
        unit = _SPREAD * _latin_normal(exact.shape, rng)
        prior: Any = getattr(spec.priors, site.prior) if site.prior else None
        is_positive = name == "steepness" or (prior is not None and not isinstance(prior, Normal))
        values[name] = exact * np.exp(unit) if is_positive else exact + unit
        # what has free parts is put together from them, and keeps what is fixed
        parted = {"loading", "difficulty", "ceiling_gap", "asymmetry", "compute", "chance", "task_chance", "ratio"}
    for whole in parted & set(values):
        values[whole] = np.broadcast_to(truth[whole], (_CHAINS, _DRAWS, *np.shape(truth[whole]))).copy()
        for name, site in sites.items():
            if site.is_part and site.of == whole:
                values[whole][:, :, positions[site.dims[0]]] = values[name]
    return values


def _latin_normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Standard normal draws (chains, draws, ...): a Latin hypercube in each half of a chain: all halves agree."""
    half = _DRAWS // 2
    grid = np.broadcast_to(norm.ppf((np.arange(half) + 0.5) / half), (2 * _CHAINS, *shape, half))
    draws = np.moveaxis(rng.permuted(grid, axis=-1), -1, 1)
    return draws.reshape(_CHAINS, _DRAWS, *shape)


@cache
def _traced(function: Any, structure: Any) -> Any:
    """Compiled trace: hundreds of small operations would be compiled one by one otherwise."""

    @jax.jit
    def run(arguments: tuple[Any, ...], values: dict[str, Any]) -> dict[str, Any]:
        trace = handlers.trace(handlers.substitute(function, values)).get_trace(*arguments, structure)
        return {
            name: {"value": site["value"]} | ({"fn": site["fn"]} if site["type"] == "sample" else {})
            for name, site in trace.items()
            if site["type"] in ("sample", "deterministic")
        }

    return run


def trace_of(function: Any, seed: int, *arguments: Any, **values: Any) -> dict[str, Any]:
    """Values and distributions of the sites of a model, whose last argument is the structure.

    Sites that are not among `values` are drawn: from their priors, or as standard normal where they have none.
    """
    *arrays, structure = arguments
    (priors,) = (argument for argument in arguments if isinstance(argument, Priors | LadderPriors))
    rng, drawn = np.random.default_rng(seed), {}
    for name, site in sites_of(function, *arguments).items():
        if site.kind == "latent" and name not in values:
            unit = getattr(priors, site.prior).scipy() if site.prior else norm()
            drawn[name] = np.asarray(unit.rvs(site.shape, random_state=rng))
    return _traced(function, structure)(tuple(arrays), drawn | values)


class Scatter:
    """A sampler that samples nothing: draws scatter around where chains start, on the unconstrained scale.

    For tests of what surrounds sampling. The model's transforms are all that is compiled, once a model and its shapes.
    """

    settings = DEFAULT_SETTINGS

    def __init__(self) -> None:
        self.programs: dict[Any, Any] = {}

    def start(self, target: Target, settings: Settings, chains: int, key: jax.Array) -> _Scattered:
        del settings
        here = jax.tree.map(lambda array: array[0, 0], target.moving)
        arrays = (target.start(0), target.fixed, here)
        shapes = tuple((np.shape(leaf), jnp.result_type(leaf)) for leaf in jax.tree.leaves(arrays))
        kind = (target.model, jax.tree.structure(arrays), shapes)
        if kind not in self.programs:
            self.programs[kind] = _programs(target, here)
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        return _Scattered(target, chains, rng, self.programs[kind])


def _programs(target: Target, here: Any) -> tuple[Any, Any]:
    """Compiled: from constrained starting values to a flat vector, and from many of these to all sites."""

    def unconstrained(init: Any, fixed: Any, moving: Any) -> Any:
        return unconstrain_fn(target.model, (fixed, moving), {}, init)

    def flat(init: Any, fixed: Any, moving: Any) -> jax.Array:
        return ravel_pytree(unconstrained(init, fixed, moving))[0]

    shapes = jax.eval_shape(unconstrained, target.start(0), target.fixed, here)
    _, unravel = ravel_pytree(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes))

    def sites(position: jax.Array, fixed: Any, moving: Any) -> dict[str, jax.Array]:
        return constrain_fn(target.model, (fixed, moving), {}, unravel(position), return_deterministic=True)

    return jax.jit(flat), jax.jit(jax.vmap(sites, in_axes=(0, None, None if here is None else 0)))


class _Scattered:
    def __init__(self, target: Target, chains: int, rng: np.random.Generator, programs: tuple[Any, Any]) -> None:
        self.target, self.chains, self.rng = target, chains, rng
        self.flat, self.sites = programs

    def advance(self, draws: int, progress: Progress) -> Draws:
        fixed, moving = self.target.fixed, self.target.moving
        here = jax.tree.map(lambda array: array[0, 0], moving)
        starts = np.stack([self.flat(self.target.start(chain), fixed, here) for chain in range(self.chains)])
        shape = (self.chains, draws)
        position = starts[:, None] + _SPREAD * self.rng.standard_normal((*shape, starts.shape[-1]))
        progress(self.chains * draws)
        return Draws(
            position=position,
            diverging=np.zeros(shape, int),
            steps=np.full(shape, 7),
            energy=self.rng.standard_normal(shape),
            accept=np.full(shape, 0.9),
        )

    def constrain(self, position: np.ndarray) -> dict[str, np.ndarray]:
        fixed, moving = self.target.fixed, self.target.moving
        made = [
            self.sites(position[c], fixed, jax.tree.map(lambda array, c=c: array[c], moving))
            for c in range(len(position))
        ]
        return {name: np.stack([np.asarray(chain[name]) for chain in made]) for name in made[0]}
