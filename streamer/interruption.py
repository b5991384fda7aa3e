"""What Ctrl-C does: what was said is still finished."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from streamer.sources import Source

INTERRUPTED = 130


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


class Interruption:
    """Turns the first Ctrl-C into the end of the sound: what was said is still finished.

    A second one ends the program at once.
    """

    def __init__(self, source: Source, before_exit: Callable[[], object] = lambda: None) -> None:
        """Stop `source`; the second time call `before_exit` and end."""
        self._source = source
        self._before_exit = before_exit
        self._previous: list[tuple[int, Any]] = []
        self.happened = False

    def __enter__(self) -> Interruption:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous.append((number, signal.signal(number, self._handle)))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous:
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.happened:
            # All that was said is written already; waiting for the model is what is not wanted.
            self._before_exit()
            os.write(sys.stderr.fileno(), b"\n")
            os._exit(INTERRUPTED)
        self.happened = True
        self._source.stop()
