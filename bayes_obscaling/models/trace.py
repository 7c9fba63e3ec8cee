"""What one trace of a numpyro model says: the sites, their dimensions, their priors, and where a chain may start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from numpyro import handlers

from bayes_obscaling.models.priors import LogNormal, Normal, Pytree

# Spread of starting points around prior medians, in prior sd.
_JITTER = 0.1


class Site(NamedTuple):
    """A sample or deterministic site of a model.

    Attributes
    ----------
    name : str
        Name of the site.
    dims : tuple of str
        Plates around it, outermost first: the axes of its value.
    shape : tuple of int
        Shape of its value.
    kind : {"latent", "deterministic", "observed"}
    prior : str
        Field of the model's priors that it is drawn from; empty if it has a learned or standardised distribution. A
        parameter that is sampled in other coordinates has its prior itself, those coordinates have none.
    of : str
        The posterior variable that a site with a prior is, or is a part of.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    kind: str
    prior: str
    of: str

    @property
    def is_variable(self) -> bool:
        """Whether users see it: it is a deterministic site, or has a prior and is no part of another variable."""
        return self.kind == "deterministic" or (bool(self.prior) and self.of == self.name)

    @property
    def is_part(self) -> bool:
        """Whether it has a prior, and is a part of a variable that users see."""
        return bool(self.prior) and self.of != self.name


def sites_of(model: Callable[..., Any], *arguments: Any, known: Mapping[str, Any] | None = None) -> dict[str, Site]:
    """Sites of a model with these arguments, by name; nothing is computed.

    `known` are values of sites that cannot be drawn (improper priors).
    """
    found: dict[str, Site] = {}
    elsewhere: dict[str, str] = {}  # priors of variables that are sampled in other coordinates

    def run(key: jax.Array) -> None:
        seeded = handlers.seed(handlers.substitute(model, dict(known or {})), key)
        for name, site in handlers.trace(seeded).get_trace(*arguments).items():
            if site["type"] not in ("sample", "deterministic"):
                continue
            elsewhere.update((site.get("infer") or {}).get("stands_for", {}))
            frames = sorted(site["cond_indep_stack"], key=lambda frame: frame.dim)
            kind = "deterministic"
            if site["type"] == "sample":
                kind = "observed" if site["is_observed"] else "latent"
            prior, of = noted(site)
            found[name] = Site(
                name=name,
                dims=tuple(frame.name for frame in frames),
                shape=tuple(np.shape(site["value"])),
                kind=kind,
                prior=prior,
                of=of,
            )

    jax.eval_shape(run, jax.random.key(0))
    return found | {name: found[name]._replace(prior=prior, of=name) for name, prior in elsewhere.items()}


def noted(message: Mapping[str, Any]) -> tuple[str, str]:
    """Prior and posterior variable of a site of a numpyro trace, as `believe` noted them; empty where it did not."""
    note = message.get("infer") or {}
    return note.get("prior", ""), note.get("of", "")


def with_priors(sites: Mapping[str, Site]) -> tuple[str, ...]:
    """Names of the posterior variables that have a prior, whole or in parts, in the order of the model."""
    return tuple(dict.fromkeys(site.of for site in sites.values() if site.prior))


def start_near_priors(
    sites: Mapping[str, Site], priors: Pytree, rng: np.random.Generator, spread: float = _JITTER
) -> dict[str, np.ndarray]:
    """Starting values of a chain, by latent site: near the prior medians, near 0 where a site is standardised.

    `spread` is the size of the jitter, in sd.
    """
    values = {}
    for name, site in sites.items():
        if site.kind != "latent":
            continue
        jitter = spread * rng.standard_normal(site.shape)
        if not site.prior:
            values[name] = jitter
            continue
        prior = getattr(priors, site.prior)
        median = prior.scipy().median()
        if isinstance(prior, Normal):
            values[name] = median + prior.scale * jitter
        else:  # positive, or a share: stay on its side of zero
            values[name] = median * np.exp((prior.log_sd if isinstance(prior, LogNormal) else 1.0) * jitter)
    return values
