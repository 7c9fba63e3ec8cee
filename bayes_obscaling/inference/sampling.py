"""Sampling any model of the package until it has converged, and the record of the run."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_obscaling.data.bundled import bundled_hashes
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.convergence import Convergence, assess
from bayes_obscaling.inference.nuts import Arrays, Chain, Draws, Sampler, run_chains

Values = dict[str, np.ndarray]

# After divergences: once more from the start, with smaller steps.
CAREFUL = {"target_accept": 0.99, "max_depth": 10}
CHUNK = 50
# Arrays of data with more entries than this (thousands of models) are sampled in smaller chunks, to be heard of sooner.
_LARGE, _SMALL_CHUNK = 50_000, 5
# A fit that has not converged goes on, up to this many times the draws asked for (thinned back to them).
MOST_ROUNDS = 4
# Fewer kept draws than this cannot reach the limits on effective sample sizes, however long the chains run.
_FEWEST_TO_EXTEND = 1000
# Sites that only say how another one is parameterised.
_SCAFFOLD = ("_raw", "_free", "_signed", "_capped")

_samplers: dict[Any, Sampler] = {}


def check_length(chains: int, draws: int) -> None:
    """Refuse chains too few or too short to be judged."""
    if chains < 2 or draws < 100:
        raise InputError(
            f"{chains} chains of {draws} draws cannot be checked for convergence: take at least 2 chains and 100 draws."
        )


def describe_run(started: float, data_hash: str, seed: int) -> dict[str, Any]:
    """When, where and with what a fit was made; `started` is a reading of ``time.monotonic()``."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - started, 1),
        "versions": {name: version(name) for name in ("bayes_obscaling", "jax", "numpyro", "arviz-stats", "numpy")},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "device": jax.devices()[0].platform,
        "devices": jax.device_count(),
        "float": str(jnp.zeros(0).dtype),
        "chain_method": "threads",
        "data_hash": data_hash,
        "bundled_data": bundled_hashes(),
        "seed": seed,
    }


def sample(
    sampler_key: Any,
    model: Callable[[Arrays, Arrays], None],
    fixed: Arrays,
    moving: np.ndarray | None,
    start: Callable[[int], Values],
    settings: dict[str, Any],
    chains: int,
    draws: int,
    seed: list[int],
    tell: Callable[[int, int], None],
) -> tuple[Values, Convergence, Values]:
    """Run chains until they have converged or `MOST_ROUNDS` is reached; keep `draws` evenly spaced draws of each.

    Along something that moves, a further round walks the same way again and replaces the last one. After divergences
    all is done again with smaller steps, once.

    Parameters
    ----------
    sampler_key : hashable
        Names the compiled sampler; the same key must mean the same model, shapes and settings.
    model, fixed : callable, pytree
        As in `Sampler`.
    moving : array (chains, draws, ...), optional
        What the density depends on at each kept draw.
    start : callable
        Constrained starting values of a chain, by its number.
    settings : dict
        ``warmup, thin, target_accept, max_depth`` of `Sampler`.
    chains, draws : int
        Chains, and draws kept of each (a multiple of `CHUNK`).
    seed : list of int
        Seeds the chains' keys.
    tell : callable
        Told ``(done, total)``.

    Returns
    -------
    values : dict of arrays (chains, draws, ...)
        Draws by site; sites that only say how another one is parameterised are left out.
    record : Convergence
    stats : dict of arrays (chains, draws)
        ``diverging, energy, tree_steps``.
    """
    here = None if moving is None else moving[0, 0]
    if sampler_key not in _samplers:
        entries = sum(np.size(array) for array in jax.tree.leaves(fixed))
        chunk = CHUNK if entries < _LARGE else _SMALL_CHUNK
        _samplers[sampler_key] = Sampler(model, fixed, here, start(0), chunk=chunk, **settings)
    sampler = _samplers[sampler_key]
    keys = jax.random.split(jax.random.key(np.random.default_rng(seed).integers(2**31)), chains)
    running = [Chain(sampler, keys[c], start(c), fixed) for c in range(chains)]
    movings = [None if moving is None else moving[c] for c in range(chains)]
    done, total = 0, chains * (draws + -(-settings["warmup"] // (CHUNK * settings["thin"])) * CHUNK)

    def made(count: int) -> None:
        nonlocal done
        done += count
        tell(min(done, total), total)

    is_careful = settings.items() >= CAREFUL.items()
    rounds: list[Draws] = []
    for attempt in range(1, MOST_ROUNDS + 1):
        made_now = run_chains(running, movings, draws, made)
        rounds = [made_now] if moving is not None else [*rounds, made_now]
        together = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1)[:, len(parts) - 1 :: len(parts)], *rounds)
        constrained = [sampler.constrain(jnp.asarray(together.position[c]), fixed, movings[c]) for c in range(chains)]
        values = {
            name: np.stack([np.asarray(chain[name]) for chain in constrained])
            for name in constrained[0]
            if not name.endswith(_SCAFFOLD)
        }
        divergences = int(sum(np.sum(part.diverging) for part in rounds))
        # residuals say nothing that log likelihoods do not
        record = assess({n: v for n, v in values.items() if not n.startswith("residual_")}, divergences)
        if (
            (record.divergences and not is_careful)
            or record.sampled_enough
            or chains * draws < _FEWEST_TO_EXTEND
            or attempt == MOST_ROUNDS
        ):
            break
        total += chains * draws
    if record.divergences and not is_careful:
        careful = ((sampler_key, "careful"), model, fixed, moving, start, settings | CAREFUL)
        return sample(*careful, chains, draws, seed, tell)
    stats = {
        "diverging": together.diverging > 0,
        "energy": together.energy,
        "tree_steps": together.steps,
    }
    return values, record, stats
