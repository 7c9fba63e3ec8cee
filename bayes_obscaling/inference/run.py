"""Sampling any model of the package until it has converged, and the record of the run."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayes_obscaling.data.bundled import bundled_hashes
from bayes_obscaling.inference.sampler import CHUNK, DEFAULT_SETTINGS, Draws, Sampler, Target
from bayes_obscaling.results.convergence import Convergence, assess
from bayes_obscaling.results.stages import Settings

Values = dict[str, np.ndarray]

# After divergences: once more from the start, with smaller steps.
CAREFUL = {"target_accept": 0.99, "max_depth": 10}
# A fit that has not converged goes on, up to this many times the draws asked for (thinned back to them).
MOST_ROUNDS = 4
# Fewer kept draws than this cannot reach the limits on effective sample sizes, however long the chains run.
_FEWEST_TO_EXTEND = 1000
# What stored results depend on beside their content: who drew them, and how.
VERSIONS = [version(name) for name in ("jax", "numpyro", "bayes_obscaling")]


def fingerprint() -> list[Any]:
    """What draws of the default sampler depend on, JSON-able: stored results of another one are not used."""
    settings = {kind: settings.model_dump() for kind, settings in DEFAULT_SETTINGS.items()}
    return [settings, CAREFUL, MOST_ROUNDS, VERSIONS]


class Sampled(NamedTuple):
    """What came out of a run.

    Attributes
    ----------
    values : dict of arrays (chains, draws, ...)
        Draws of the sites that are kept.
    stats : dict of arrays (chains, draws)
        ``diverging, energy, n_steps``.
    convergence : Convergence
    settings : Settings
        Those it was sampled with in the end.
    restarted : tuple of int
        Chains that were started anew, having stayed in a mode that others left behind.
    """

    values: Values
    stats: Values
    convergence: Convergence
    settings: Settings
    restarted: tuple[int, ...] = ()


def whole_chunks(draws: int) -> int:
    """Round a number of draws up to whole chunks."""
    return -(-draws // CHUNK) * CHUNK


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
    target: Target,
    sampler: Sampler,
    settings: Settings,
    keep: Callable[[str], bool],
    *,
    chains: int,
    draws: int,
    seed: list[int],
    tell: Callable[[int, int], None],
    mend: bool = False,
) -> Sampled:
    """Run chains until they have converged or `MOST_ROUNDS` is reached; keep `draws` evenly spaced draws of each.

    Along something that moves, a further round walks the same way again and replaces the last one. After divergences
    all is done again with smaller steps, once. Convergence is judged by the sites that `keep` names; `draws` is a
    multiple of `CHUNK`. With `mend`, chains of `stuck_chains` start anew, once, from where the best chain is, and warm
    up again. `tell` is told ``(done, total)``, first with nothing done, before anything is compiled.
    """
    key = jax.random.key(np.random.default_rng(seed).integers(2**31))
    done, total = 0, chains * (draws + -(-settings.warmup // (CHUNK * settings.thin)) * CHUNK)
    tell(0, total)  # compiling takes long where nothing was compiled before
    running = sampler.start(target, settings, chains, key)

    def made(count: int) -> None:
        nonlocal done
        done += count
        tell(min(done, total), total)

    is_careful = settings.model_copy(update=CAREFUL) == settings
    rounds: list[Draws] = []
    restarted: tuple[int, ...] = ()
    for attempt in range(1, MOST_ROUNDS + 1):
        made_now = running.advance(draws, made)
        energy, position = np.asarray(made_now.energy), np.asarray(made_now.position)
        if mend and attempt == 1 and (restarted := stuck_chains(energy)):
            for chain in restarted:
                running.restart(chain, position[energy.mean(axis=1).argmin(), -1])
            total += len(restarted) * (total // chains)
            again = running.advance(draws, made, restarted)
            made_now = jax.tree.map(partial(_replaced, restarted), made_now, again)
        rounds = [made_now] if target.moving is not None else [*rounds, made_now]
        together = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1)[:, len(parts) - 1 :: len(parts)], *rounds)
        values = {name: value for name, value in running.constrain(together.position).items() if keep(name)}
        record = assess(values, int(sum(np.sum(part.diverging) for part in rounds)))
        if record.divergences and not is_careful:
            careful = settings.model_copy(update=CAREFUL)
            return sample(target, sampler, careful, keep, chains=chains, draws=draws, seed=seed, tell=tell, mend=mend)
        if record.sampled_enough or chains * draws < _FEWEST_TO_EXTEND or attempt == MOST_ROUNDS:
            break
        total += chains * draws
    stats = {"diverging": together.diverging > 0, "energy": together.energy, "n_steps": together.steps}
    return Sampled(values, stats, record, settings, restarted)


def stuck_chains(energy: np.ndarray) -> tuple[int, ...]:
    """Chains that were, for a tenth of their draws or more, where the density is far lower than where the best one is.

    They have stayed in another mode, or came late from one: their warm-up was for that place, and they mix badly here.
    Told by energies (chains, draws), averaged over ten batches: a batch 10 nats and six times the spread of batches of
    a usual chain above the lowest chain. A mode of less than e^-10 of the density has no weight unless it is as much
    wider.
    """
    batches = np.stack([part.mean(axis=1) for part in np.array_split(energy, 10, axis=1)], axis=1)
    lowest, spread = batches.mean(axis=1).min(), float(np.median(batches.std(axis=1, ddof=1)))
    return tuple(int(c) for c in np.flatnonzero(batches.max(axis=1) - lowest > 10.0 + 6.0 * spread))


def _replaced(chains: tuple[int, ...], values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Values by chain, of some chains those of another run."""
    result = np.array(values)
    result[list(chains)] = others
    return result
