"""Jobs as bytes: what all of them share, such as a table, is sent to each worker once."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections import OrderedDict
from typing import Any, NamedTuple

_MOST_KEPT = 2
_kept: OrderedDict[str, Any] = OrderedDict()  # in a worker: what was sent, by its hash


class Missing(NamedTuple):
    """The answer of a worker that has not what the jobs share: it asks for the job again, together with that."""

    digest: str


class Parcels:
    """Packs jobs; `shared`, where it is found inside them, is replaced by its hash.

    Parameters
    ----------
    shared : object
        What all jobs hold, the same object in each of them; None for nothing.
    """

    def __init__(self, shared: Any = None):
        self._shared = shared
        self._content = b"" if shared is None else pickle.dumps(shared)
        self._digest = hashlib.sha256(self._content).hexdigest() if self._content else ""

    def pack(self, job: Any, *, whole: bool) -> bytes:
        """A job as bytes, `whole` with what it shares with the others."""
        buffer = io.BytesIO()
        _Packer(buffer, self._shared, self._digest).dump(job)
        return pickle.dumps((self._digest, self._content if whole else b"", buffer.getvalue()))


def unpack(parcel: bytes) -> Any:
    """The job, in a worker; `Missing` where that has not yet been sent what the job shares with others."""
    digest, content, job = pickle.loads(parcel)
    if content:
        _kept[digest] = pickle.loads(content)
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    if digest and digest not in _kept:
        return Missing(digest)
    return _Unpacker(io.BytesIO(job)).load()


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO, shared: Any, digest: str):
        super().__init__(file)
        self._shared, self._digest = shared, digest

    def persistent_id(self, obj: Any) -> str | None:
        return self._digest if obj is self._shared and self._digest else None


class _Unpacker(pickle.Unpickler):
    def persistent_load(self, digest: str) -> Any:
        return _kept[digest]
