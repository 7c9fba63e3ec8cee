"""Ctrl-C that is not lost.

What a callback of the garbage collector raises, Python prints and forgets. JAX has such a callback, and imports and
tracing call it often: one interrupt in five of the first seconds was forgotten there, and the command went on.
"""

from __future__ import annotations

import gc
import signal
import threading
from types import FrameType

_AGAIN = 0.02  # seconds


def hear_interrupts() -> None:
    """Raise KeyboardInterrupt where it is heard; a program that ignores interrupts, or has its own way, is left alone.

    Only the main thread of a program can say so; elsewhere nothing is done.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _raise_where_heard)


def _raise_where_heard(number: int, frame: FrameType | None) -> None:
    unheard = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    while frame is not None:
        if frame.f_code in unheard:
            threading.Timer(_AGAIN, _tell_main_thread, (number,)).start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _tell_main_thread(number: int) -> None:
    if hasattr(signal, "pthread_kill"):  # wakes it where it waits
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:  # Windows
        signal.raise_signal(number)
