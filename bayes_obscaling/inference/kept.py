"""Stages of fits that are kept in the cache: read where they are there, sampled and stored where not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bayes_obscaling.inference.cache import load_arrays, store_arrays
from bayes_obscaling.inference.run import Sampled
from bayes_obscaling.results.convergence import Convergence
from bayes_obscaling.results.stages import Settings

# Sampler statistics lie beside the draws under names that no site has.
_STATS = "stats "


def kept_or_made(folder: Path | None, key: str, make: Callable[[], Sampled], read: Callable[[], None]) -> Sampled:
    """Return what the cache holds under a key, once `read` is told; else what `make` samples, which is stored there.

    Without a folder nothing is kept.
    """
    if folder is not None and (stored := load_arrays(folder, key)) is not None:
        read()
        arrays, facts = stored
        stats = {name.removeprefix(_STATS): arrays.pop(name) for name in list(arrays) if name.startswith(_STATS)}
        restarted = tuple(facts.get("restarted", ()))
        return Sampled(arrays, stats, Convergence(**facts["convergence"]), Settings(**facts["settings"]), restarted)
    sampled = make()
    if folder is not None:
        record = {"convergence": sampled.convergence.model_dump(), "settings": sampled.settings.model_dump()}
        stats = {f"{_STATS}{name}": value for name, value in sampled.stats.items()}
        store_arrays(folder, key, {**sampled.values, **stats}, {**record, "restarted": list(sampled.restarted)})
    return sampled
