"""A time limit for somebody's own code, which may hold a loop without an end."""
from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any


class TimeUp(BaseException):
    """Stops the code.  Not an Exception, so that its own `except Exception` lets it through."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeUp in what runs for longer.

    Python can interrupt only its main thread, and only where there are timers: not on Windows, not in a browser.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: Any) -> None:
        raise TimeUp
    handler, start = signal.signal(signal.SIGALRM, stop), time.monotonic()
    rest, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)    # again: a bare `except` may swallow one
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if rest:    # somebody else's timer goes on
            signal.setitimer(signal.ITIMER_REAL, max(rest - (time.monotonic() - start), 1e-3), interval)
