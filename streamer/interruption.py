"""What Ctrl-C does: what was said is still finished."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from streamer.sources import Source

INTERRUPTED = 130
HANGUP = getattr(signal, "SIGHUP", None)  # The terminal was closed; Windows has no such signal.


@contextlib.contextmanager
def ends_at_once() -> Iterator[None]:
    """Have Ctrl-C end the program meanwhile: nothing is transcribed that could be lost."""
    previous = signal.getsignal(signal.SIGINT)
    if not callable(previous):  # Whoever began the program wants it to be ignored.
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _leave_terminal() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            # `isatty` says no once the terminal is gone.
            if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
                os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class Interruption:
    """Turns the first Ctrl-C into the end of the sound: what was said is still finished.

    A second one ends the program at once. A terminal that is closed does the same as Ctrl-C; what
    would be written there leads nowhere from then on.
    """

    def __init__(self, source: Source, before_exit: Callable[[], object] = lambda: None) -> None:
        """Stop `source`; the second time call `before_exit` and end."""
        self._source = source
        self._before_exit = before_exit
        self._previous: list[tuple[int, Any]] = []
        self.happened = False

    def __enter__(self) -> Interruption:
        numbers = [signal.SIGINT, signal.SIGTERM]
        if HANGUP is not None and signal.getsignal(HANGUP) is not signal.SIG_IGN:  # as by nohup
            numbers.append(HANGUP)
        for number in numbers:
            self._previous.append((number, signal.signal(number, self._handle)))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous:
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == HANGUP:
            _leave_terminal()
        elif self.happened:
            # All that was said is written already; waiting for the model is what is not wanted.
            self._before_exit()
            with contextlib.suppress(OSError):
                os.write(sys.stderr.fileno(), b"\n")
            os._exit(INTERRUPTED)
        self.happened = True
        self._source.stop()
