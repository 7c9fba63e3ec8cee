"""NUTS on fixed shapes: compile once, then run any number of chains on any number of masked data sets.

numpyro's `MCMC` traces and compiles at every fit, which costs more than sampling here. `Sampler` compiles numpyro's
NUTS kernel ahead of time with data and masks as arguments; a chain advances in chunks, so that progress can be shown,
Ctrl-C is heard between chunks, and chains can be extended until they have converged.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpyro.infer.hmc import hmc
from numpyro.infer.util import constrain_fn, potential_energy, unconstrain_fn

Arrays = Any  # a pytree of arrays
Progress = Callable[[int], None]  # told how many kept draws (warm-up included) have just been made


class Draws(NamedTuple):
    """One chunk of one chain."""

    position: jax.Array  # (draws, dimensions), unconstrained
    diverging: jax.Array  # (draws,) divergent transitions since the last kept draw
    steps: jax.Array  # (draws,) leapfrog steps of the last transition
    energy: jax.Array  # (draws,) Hamiltonian of the last transition
    accept: jax.Array  # (draws,) acceptance statistic of the last transition


class Sampler:
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
    warmup : int
        Adaptation transitions.
    chunk : int
        Kept draws a call to `advance`.
    thin : int
        Transitions a kept draw.
    target_accept, max_depth, dense : float, int, bool
        NUTS settings; dense: a full mass matrix, for posteriors whose parameters are strongly correlated.
    """

    def __init__(
        self,
        model: Callable[[Arrays, Arrays], Any],
        fixed: Arrays,
        moving: Arrays,
        init: dict[str, Any],
        *,
        warmup: int,
        chunk: int,
        thin: int = 1,
        target_accept: float = 0.9,
        max_depth: int = 8,
        dense: bool = False,
    ) -> None:
        self.model, self.warmup, self.chunk, self.thin = model, warmup, chunk, thin
        walks = moving is not None

        # One flat vector: a dozen small arrays would cost NUTS a dozen small operations wherever it now does one.
        shapes = unconstrain_fn(model, (fixed, moving), {}, init)
        _, unravel = ravel_pytree(shapes)

        def potential(fixed: Arrays, moving: Arrays) -> Callable[[jax.Array], jax.Array]:
            return lambda flat: potential_energy(model, (fixed, moving), {}, unravel(flat))

        init_kernel, transition = hmc(potential_fn_gen=potential, algo="NUTS")

        def start(key: jax.Array, init: dict, fixed: Arrays, moving: Arrays) -> Any:
            position, _ = ravel_pytree(unconstrain_fn(model, (fixed, moving), {}, init))
            return init_kernel(
                position,
                warmup,
                step_size=0.1,
                target_accept_prob=target_accept,
                max_tree_depth=max_depth,
                dense_mass=dense,
                model_args=(fixed, moving),
                rng_key=key,
            )

        def advance(state: Any, fixed: Arrays, moving: Arrays) -> tuple[Any, Draws]:
            def keep(state: Any, here: Arrays) -> tuple[Any, Draws]:
                if walks:  # the density has changed under the chain's feet
                    value, slope = jax.value_and_grad(potential(fixed, here))(state.z)
                    state = state._replace(potential_energy=value, z_grad=slope)

                def one(_: int, carry: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
                    state, diverged = carry
                    state = transition(state, (fixed, here))
                    return state, diverged + state.diverging

                state, diverged = jax.lax.fori_loop(0, thin, one, (state, jnp.zeros((), jnp.int32)))
                return state, Draws(state.z, diverged, state.num_steps, state.energy, state.accept_prob)

            return jax.lax.scan(keep, state, moving, length=chunk)

        def constrain(position: jax.Array, fixed: Arrays, moving: Arrays) -> dict[str, jax.Array]:
            def one(flat: jax.Array, here: Arrays) -> dict[str, jax.Array]:
                return constrain_fn(model, (fixed, here), {}, unravel(flat), return_deterministic=True)

            return jax.vmap(one, in_axes=(0, 0 if walks else None))(position, moving)

        key = jax.random.key(0)
        many = jax.tree.map(lambda a: jnp.broadcast_to(a, (chunk, *a.shape)), moving)
        self.start = jax.jit(start).lower(key, init, fixed, moving).compile()
        state = jax.eval_shape(start, key, init, fixed, moving)
        self.advance = jax.jit(advance).lower(state, fixed, many).compile()
        self.constrain = jax.jit(constrain)


class Chain:
    """One chain: warmed up once, then advanced as far as asked.

    Parameters
    ----------
    sampler : Sampler
        The compiled kernel.
    key : jax key
        Random key of this chain.
    init : dict
        Constrained starting values.
    fixed : pytree of arrays
        Data.
    """

    def __init__(self, sampler: Sampler, key: jax.Array, init: dict[str, Any], fixed: Arrays) -> None:
        self.sampler, self.key, self.init, self.fixed = sampler, key, init, fixed
        self.state: Any = None

    def run(self, moving: Arrays, draws: int, stop: threading.Event, progress: Progress) -> Draws | None:
        """Make `draws` kept draws (a multiple of the chunk), warming up first if need be; None when told to stop."""
        sampler, chunk = self.sampler, self.sampler.chunk
        warmup_chunks = 0
        if self.state is None:
            # Warm-up walks to and fro and ends at the first draw, so that sampling starts where it ended.
            warmup_chunks = -(-sampler.warmup // (chunk * sampler.thin))
            first = jax.tree.map(lambda a: a[_to_and_fro(warmup_chunks * chunk - 1, draws)], moving)
            self.state = sampler.start(self.key, self.init, self.fixed, first)
        kept = []
        for i in range(-warmup_chunks, draws // chunk):
            if stop.is_set():
                return None
            steps = np.arange(i * chunk, (i + 1) * chunk)
            rows = steps if i >= 0 else _to_and_fro(-1 - steps, draws)
            here = jax.tree.map(lambda a, rows=rows: a[rows], moving)
            self.state, chunk_draws = sampler.advance(self.state, self.fixed, here)
            if i >= 0:
                kept.append(jax.tree.map(np.asarray, chunk_draws))
            jax.block_until_ready(self.state.z)
            progress(chunk)
        return jax.tree.map(lambda *parts: np.concatenate(parts), *kept)


def _to_and_fro(step: Any, draws: int) -> Any:
    """Row at a step of a walk 0, 1, ..., draws - 1, draws - 1, ..., 1, 0, 0, 1, ..."""
    step = step % (2 * draws)
    return np.minimum(step, 2 * draws - 1 - step)


def run_chains(
    chains: list[Chain], movings: list[Arrays], draws: int, progress: Progress, workers: int | None = None
) -> Draws:
    """Advance all chains, one thread a core (compiled code releases the interpreter lock).

    Parameters
    ----------
    chains : list of Chain
        The chains.
    movings : list of pytree
        What moves, for each chain: arrays with a leading axis of `draws`, or None.
    draws : int
        Kept draws a chain.
    progress : callable
        Called with the number of kept draws just made.
    workers : int, optional
        Threads; default one a core.

    Returns
    -------
    Draws
        Leading axes (chains, draws).

    Raises
    ------
    KeyboardInterrupt
        When interrupted, at once; the chains stop within a chunk.
    """
    stop, lock = threading.Event(), threading.Lock()

    def tell(count: int) -> None:
        with lock:
            if not stop.is_set():
                progress(count)

    cores = int(os.environ.get("NPROC") or os.cpu_count() or 1)  # a worker process is told its share
    # by this name the command line knows them
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
