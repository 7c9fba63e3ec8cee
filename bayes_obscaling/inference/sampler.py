"""Samplers: what `run` asks of one, and NUTS on fixed shapes, compiled once for any number of masked data sets.

numpyro's `MCMC` traces and compiles at every fit, which costs more than sampling here. `Kernel` compiles numpyro's
NUTS kernel ahead of time with data, masks and priors as arguments; a chain advances in chunks, so that progress can be
shown, Ctrl-C is heard between chunks, and chains can be extended until they have converged. `Nuts` keeps the kernels
that it has compiled.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpyro.infer.hmc import hmc
from numpyro.infer.util import ParamInfo, constrain_fn, potential_energy, unconstrain_fn

from bayes_obscaling.inference.frames import Frame, at_mode, prober
from bayes_obscaling.results.stages import Settings

# Parts of a warm-up after each of which a frame is mended by the draws of the part.
_PARTS = 3
# Kept draws per chunk, and fewer for arrays of data with more entries than this (thousands of models): heard of sooner.
CHUNK = 50
_LARGE, _SMALL_CHUNK = 50_000, 5

Arrays = Any  # a pytree of arrays
Progress = Callable[[int], None]  # told how many kept draws (warm-up included) have just been made


class Model(NamedTuple):
    """A numpyro model bound to what is fixed when it is compiled; two with the same parts share a compiled kernel."""

    function: Callable[..., Any]  # function(fixed, moving, *static)
    static: tuple[Any, ...] = ()  # hashable

    def __call__(self, fixed: Arrays, moving: Arrays) -> Any:
        """Run the model on arrays."""
        return self.function(fixed, moving, *self.static)


class Target(NamedTuple):
    """A posterior to sample.

    Attributes
    ----------
    model : Model
        The numpyro model.
    fixed : pytree of arrays
        Data, masks, priors.
    moving : array (chains, draws, ...) or None
        What the density depends on at each kept draw (a cut).
    start : callable
        Constrained starting values of a chain, by its number.
    """

    model: Model
    fixed: Arrays
    moving: Arrays
    start: Callable[[int], dict[str, np.ndarray]]


class Draws(NamedTuple):
    """One chunk of one chain."""

    position: jax.Array  # (draws, dimensions), unconstrained
    diverging: jax.Array  # (draws,) divergent transitions since the last kept draw
    steps: jax.Array  # (draws,) leapfrog steps of the last transition
    energy: jax.Array  # (draws,) Hamiltonian of the last transition
    accept: jax.Array  # (draws,) acceptance statistic of the last transition


class Kernel:
    """A numpyro model with its compiled NUTS kernel.

    Parameters
    ----------
    model : callable
        ``model(fixed, moving)``, a pure numpyro model. `fixed` are the arrays of the data; `moving` is None, or arrays
        that change from draw to draw (a cut: the head's chain walks along draws of the capabilities, and makes
        `thin` transitions at each).
    fixed, moving : pytree of arrays
        An example of the arguments (`moving` for one draw): shapes and types to compile for.
    init : dict
        Constrained starting values, for shapes and the parameter transforms.
    settings : Settings
        Of NUTS.
    chunk : int
        Kept draws per call to `advance`.
    """

    def __init__(
        self,
        model: Model,
        fixed: Arrays,
        moving: Arrays,
        init: dict[str, Any],
        settings: Settings,
        chunk: int = CHUNK,
    ) -> None:
        self.model, self.chunk, self.thin = model, chunk, settings.thin
        self.parts = _PARTS if settings.dense else 1
        # Chunks of each part of the warm-up.
        self.warmup_chunks = -(-settings.warmup // (chunk * settings.thin * self.parts))
        warmup = settings.warmup // self.parts
        walks = moving is not None

        # One flat vector: a dozen small arrays would cost NUTS a dozen small operations wherever it now does one.
        # Only shapes are needed: run for real, a model compiles a small program for each of its operations.
        shapes = jax.eval_shape(lambda *a: unconstrain_fn(model, (a[1], a[2]), {}, a[0]), init, fixed, moving)
        example, unravel = ravel_pytree(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes))
        frame = Frame(example, np.eye(len(example))) if settings.dense else None

        def potential(fixed: Arrays, moving: Arrays, frame: Frame | None) -> Callable[[jax.Array], jax.Array]:
            def at(u: jax.Array) -> jax.Array:
                flat = u if frame is None else frame.position(u)
                return potential_energy(model, (fixed, moving), {}, unravel(flat))

            return at

        init_kernel, transition = hmc(potential_fn_gen=potential, algo="NUTS")

        def place(init: dict, fixed: Arrays, moving: Arrays) -> jax.Array:
            return ravel_pytree(unconstrain_fn(model, (fixed, moving), {}, init))[0]

        def start(key: jax.Array, position: jax.Array, fixed: Arrays, moving: Arrays, frame: Frame | None) -> Any:
            # `advance` finds potential and gradient itself, so that they are compiled once.
            return init_kernel(
                ParamInfo(position, jnp.zeros(()), jnp.zeros_like(position)),
                warmup,
                step_size=0.1,
                target_accept_prob=settings.target_accept,
                max_tree_depth=settings.max_depth,
                model_args=(fixed, moving, frame),
                rng_key=key,
            )

        def advance(state: Any, fixed: Arrays, moving: Arrays, frame: Frame | None) -> tuple[Any, Draws]:
            def keep(state: Any, here: Arrays) -> tuple[Any, Draws]:
                # What moves has moved, or the chain has just started: potential and gradient are those of here.
                value, slope = jax.value_and_grad(potential(fixed, here, frame))(state.z)
                state = state._replace(potential_energy=value, z_grad=slope)

                def one(_: int, carry: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
                    state, diverged = carry
                    state = transition(state, (fixed, here, frame))
                    return state, diverged + state.diverging

                state, diverged = jax.lax.fori_loop(0, settings.thin, one, (state, jnp.zeros((), jnp.int32)))
                position = state.z if frame is None else frame.position(state.z)
                return state, Draws(position, diverged, state.num_steps, state.energy, state.accept_prob)

            return jax.lax.scan(keep, state, moving, length=chunk)

        def constrain(position: jax.Array, fixed: Arrays, moving: Arrays) -> dict[str, jax.Array]:
            def one(flat: jax.Array, here: Arrays) -> dict[str, jax.Array]:
                return constrain_fn(model, (fixed, here), {}, unravel(flat), return_deterministic=True)

            return jax.vmap(one, in_axes=(0, 0 if walks else None))(position, moving)

        key = jax.random.key(0)
        many = jax.tree.map(lambda a: jnp.broadcast_to(a, (chunk, *a.shape)), moving)
        self.start = jax.jit(start).lower(key, example, fixed, moving, frame).compile()
        state = jax.eval_shape(start, key, example, fixed, moving, frame)
        self.advance = jax.jit(advance).lower(state, fixed, many, frame).compile()
        self.place, self.constrain = jax.jit(place), jax.jit(constrain)
        self.probe = jax.jit(lambda places, fixed, moving: prober(potential(fixed, moving, None))(places))
        self.is_framed = settings.dense


class Chain:
    """One chain: warmed up once, then advanced as far as asked.

    Parameters
    ----------
    kernel : Kernel
        Compiled.
    key : jax key
        Random key of this chain.
    init : dict or array (dimensions,)
        Constrained starting values, or an unconstrained position.
    fixed : pytree of arrays
        Data.
    frame : Frame, optional
        In which to move, if the kernel does in frames.
    """

    def __init__(
        self,
        kernel: Kernel,
        key: jax.Array,
        init: dict[str, Any] | np.ndarray,
        fixed: Arrays,
        frame: Frame | None = None,
    ) -> None:
        self.kernel, self.key, self.init, self.fixed, self.frame = kernel, key, init, fixed, frame
        self.state: Any = None

    def run(self, moving: Arrays, draws: int, stop: threading.Event, progress: Progress) -> Draws | None:
        """Make `draws` kept draws (a multiple of the chunk), warming up first if need be; None when told to stop.

        With no draws, those of the warm-up come back.
        """
        kernel, chunk = self.kernel, self.kernel.chunk
        warmup = kernel.warmup_chunks if self.state is None else 0
        kept = []
        for i in range(-warmup, draws // chunk):
            if stop.is_set():
                return None
            # Warm-up walks to and fro and ends at the first draw, so that sampling starts where it ended.
            steps = np.arange(i * chunk, (i + 1) * chunk)
            rows = steps if i >= 0 else _to_and_fro(-1 - steps, max(draws, 1))
            here = jax.tree.map(lambda a, rows=rows: a[rows], moving)
            if self.state is None:
                self._start(jax.tree.map(lambda a: a[0], here))
            self.state, chunk_draws = kernel.advance(self.state, self.fixed, here, self.frame)
            if i >= 0 or not draws:
                kept.append(jax.tree.map(np.asarray, chunk_draws))
            jax.block_until_ready(self.state.z)
            progress(chunk)
        return jax.tree.map(lambda *parts: np.concatenate(parts), *kept)

    def _start(self, here: Arrays) -> None:
        kernel, init = self.kernel, self.init
        start = kernel.place(init, self.fixed, here) if isinstance(init, dict) else jnp.asarray(init)
        if self.frame is not None:
            start = jnp.asarray(self.frame.coordinates(start))
        self.state = kernel.start(self.key, start, self.fixed, here, self.frame)

    def mode(self, moving: Arrays) -> Frame:
        """Frame of the mode to which the chain's start leads."""
        here = jax.tree.map(lambda array: array[0], moving)
        start = np.asarray(self.kernel.place(self.init, self.fixed, here))
        return at_mode(lambda places: self.kernel.probe(places, self.fixed, here), start)

    def go_on(self, position: np.ndarray, frame: Frame) -> None:
        """Warm up anew from a position (dimensions,), in another frame."""
        self.init, self.frame, self.state = position, frame, None
        self.key = jax.random.fold_in(self.key, 1)


def _to_and_fro(step: Any, draws: int) -> Any:
    """Row at a step of a walk 0, 1, ..., draws - 1, draws - 1, ..., 1, 0, 0, 1, ..."""
    step = step % (2 * draws)
    return np.minimum(step, 2 * draws - 1 - step)


def run_chains(
    chains: list[Chain], movings: list[Arrays], draws: int, progress: Progress, workers: int | None = None
) -> Draws:
    """Advance all chains by so many kept draws, one thread per core (compiled code releases the interpreter lock).

    `movings` are what moves, for each chain: arrays with a leading axis of `draws`, or None. `progress` is told the
    number of kept draws just made. When interrupted, it raises at once; the chains stop within a chunk.
    """
    stop, lock = threading.Event(), threading.Lock()

    def tell(count: int) -> None:
        with lock:
            if not stop.is_set():
                progress(count)

    cores = int(os.environ.get("NPROC") or os.cpu_count() or 1)  # a worker process is told its share
    pool = ThreadPoolExecutor(workers or min(len(chains), cores), thread_name_prefix="bayes_obscaling chains")
    try:
        jobs = [pool.submit(c.run, m, draws, stop, tell) for c, m in zip(chains, movings, strict=True)]
        pending = set(jobs)
        while pending:  # short waits: an interrupt is heard wherever it comes from
            done, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
            for job in done:
                job.result()
        results = [job.result() for job in jobs]
    finally:  # an interrupt or a failed chain stops the others, within a chunk; nobody waits for that
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
    return jax.tree.map(lambda *parts: np.stack(parts), *results)


class Running(Protocol):
    """Chains that can be advanced as often as asked."""

    def advance(self, draws: int, progress: Progress, only: Sequence[int] | None = None) -> Draws:
        """Make more draws (a multiple of `CHUNK`) of every chain, or of some; leading axes (chains, draws)."""

    def restart(self, chain: int, position: np.ndarray) -> None:
        """Let a chain start anew from a position (dimensions,), with a warm-up of its own when it is next advanced."""

    def constrain(self, position: np.ndarray) -> dict[str, np.ndarray]:
        """Sites of the model (chains, draws, ...) at positions (chains, draws, dimensions)."""


class Sampler(Protocol):
    """What draws from posteriors."""

    @property
    def settings(self) -> Mapping[str, Settings]:
        """Settings by kind of stage: "measurement", "heads", "joint", "ladder"."""

    def start(self, target: Target, settings: Settings, chains: int, key: jax.Array) -> Running:
        """Set chains up; they warm up when first advanced."""


# Chosen for zero divergences and R-hat < 1.01 on the bundled tables (see docs/explanation/choices/sampling.md).
DEFAULT_SETTINGS: Mapping[str, Settings] = {
    "measurement": Settings(warmup=800, thin=1, target_accept=0.9, max_depth=8),
    "heads": Settings(warmup=500, thin=5, target_accept=0.8, max_depth=6),
    "joint": Settings(warmup=500, thin=5, target_accept=0.8, max_depth=6),
    "ladder": Settings(warmup=600, thin=1, target_accept=0.9, max_depth=9, dense=True),
}


class Nuts:
    """NUTS, with the kernels that it has compiled.

    Parameters
    ----------
    settings : mapping of str to Settings, optional
        By kind of stage, in place of those in `DEFAULT_SETTINGS`.
    """

    def __init__(self, settings: Mapping[str, Settings] | None = None) -> None:
        self.settings = {**DEFAULT_SETTINGS, **(settings or {})}
        self._kernels: dict[Any, Kernel] = {}

    @property
    def compiled(self) -> int:
        """How many kernels it has compiled."""
        return len(self._kernels)

    def start(self, target: Target, settings: Settings, chains: int, key: jax.Array) -> Running:
        """Set chains up; see `Sampler`."""
        return _Chains(self.kernel(target, settings), target, chains, key)

    def kernel(self, target: Target, settings: Settings) -> Kernel:
        """Return the kernel for a target's model and shapes, compiled if need be."""
        here = jax.tree.map(lambda array: array[0, 0], target.moving)
        entries = sum(np.size(array) for array in jax.tree.leaves(target.fixed))
        chunk = CHUNK if entries < _LARGE else _SMALL_CHUNK
        shapes = [(np.shape(leaf), jnp.result_type(leaf)) for leaf in jax.tree.leaves((target.fixed, here))]
        key = (target.model, jax.tree.structure((target.fixed, here)), tuple(shapes), settings, chunk)
        if key not in self._kernels:
            self._kernels[key] = Kernel(target.model, target.fixed, here, target.start(0), settings, chunk)
        return self._kernels[key]


class _Chains:
    """Chains of one kernel."""

    def __init__(self, kernel: Kernel, target: Target, chains: int, key: jax.Array) -> None:
        self.kernel, self.target = kernel, target
        self.frame: Frame | None = None
        keys = jax.random.split(key, chains)
        self.spare = jax.random.fold_in(key, chains)
        self.chains = [Chain(kernel, keys[c], target.start(c), target.fixed) for c in range(chains)]
        self.movings = [jax.tree.map(lambda array, c=c: array[c], target.moving) for c in range(chains)]

    def advance(self, draws: int, progress: Progress, only: Sequence[int] | None = None) -> Draws:
        which = range(len(self.chains)) if only is None else only
        chains, movings = [self.chains[c] for c in which], [self.movings[c] for c in which]
        if self.kernel.is_framed and self.frame is None:
            self._find_frame(progress)
        return run_chains(chains, movings, draws, progress)

    def _find_frame(self, progress: Progress) -> None:
        """Warm up in parts, of which each but the last ends with a frame that all chains have made together.

        Each chain starts around the mode to which its own start leads, so that R-hat can tell of several.
        """
        modes = [chain.mode(moving) for chain, moving in zip(self.chains, self.movings, strict=True)]
        self.frame = max(modes, key=lambda mode: np.linalg.slogdet(mode.root)[1])  # the widest; mended soon
        for chain, mode in zip(self.chains, modes, strict=True):
            unit = np.asarray(jax.random.normal(chain.key, mode.centre.shape))
            chain.go_on(np.asarray(mode.position(unit)), self.frame)
        for _ in range(self.kernel.parts - 1):
            made = run_chains(self.chains, self.movings, 0, progress)
            self.frame = self.frame.mended(made.position[:, made.position.shape[1] // 2 :])
            for chain, position in zip(self.chains, made.position[:, -1], strict=True):
                chain.go_on(position, self.frame)

    def restart(self, chain: int, position: np.ndarray) -> None:
        key = jax.random.fold_in(self.spare, chain)
        self.chains[chain] = Chain(self.kernel, key, np.asarray(position), self.target.fixed, self.frame)

    def constrain(self, position: np.ndarray) -> dict[str, np.ndarray]:
        places = zip(position, self.movings, strict=True)
        done = [self.kernel.constrain(jnp.asarray(at), self.target.fixed, moving) for at, moving in places]
        return {name: np.stack([np.asarray(chain[name]) for chain in done]) for name in done[0]}


@lru_cache
def default_sampler() -> Nuts:
    """Return the sampler that `bayes_obscaling.fit` uses unless it is given one; it lives as long as the process."""
    return Nuts()
