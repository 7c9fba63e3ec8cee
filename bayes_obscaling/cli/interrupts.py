"""Ctrl-C that is not lost.

What a callback of the garbage collector raises, Python prints and forgets, and JAX has such a callback, which imports
and tracing call often; other code catches everything. Of a hundred interrupts in the first seconds of a command some
ten were lost so, and the command went on.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_WAIT = 1.0  # seconds, until an interrupt that nobody has heard is repeated
_OF_WEAK_REFERENCES = {"weakref", "_weakrefset"}  # modules whose callbacks forget as those of the garbage collector do


@contextmanager
def heard_interrupts() -> Iterator[None]:
    """Repeat an interrupt until it is handled; where interrupts are ignored, or handled otherwise, nothing changes.

    Signals are the main thread's, so nothing changes elsewhere.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    repeated = _Repeated()
    signal.signal(signal.SIGINT, repeated)
    try:
        yield
    finally:
        repeated.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Repeated:
    """A handler that raises KeyboardInterrupt, and again after a while where that was lost."""

    def __init__(self) -> None:
        self.is_repeat = False
        self.timer = threading.Timer(_WAIT, self._repeat)

    def __call__(self, _: int, frame: FrameType | None) -> None:
        is_repeat, self.is_repeat = self.is_repeat, False
        self.stop()
        self.timer = threading.Timer(_WAIT, self._repeat)
        self.timer.daemon = True
        self.timer.start()
        if not (is_repeat and _is_handled()) and not _is_forgotten(frame):
            raise KeyboardInterrupt

    def stop(self) -> None:
        self.timer.cancel()

    def _repeat(self) -> None:
        self.is_repeat = True
        if hasattr(signal, "pthread_kill"):  # wakes the main thread where it waits
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        else:  # Windows
            signal.raise_signal(signal.SIGINT)


def _is_handled() -> bool:
    """Whether what runs is on its way out because of an interrupt."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _is_forgotten(frame: FrameType | None) -> bool:
    """Whether what is raised in a frame is lost: in a callback of the garbage collector or of weak references."""
    lost = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame is not None and frame.f_code not in lost and frame.f_globals.get("__name__") not in _OF_WEAK_REFERENCES:
        frame = frame.f_back
    return frame is not None
