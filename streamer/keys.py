"""Single keys from a terminal, without Enter; the terminal is left as it was found."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from types import FrameType
from typing import Any

if sys.platform != "win32":
    import termios
    import tty


class Keys:
    """Reads keys while it is entered; gives none where stdin is no terminal.

    Attributes:
        was_stopped: The program was, by Ctrl-Z, and goes on: others have written on the screen.
            Whoever deals with it sets it back.
    """

    def __init__(self) -> None:
        self.was_stopped = False
        self._before: list[Any] | None = None
        self._descriptor = -1
        self._previous: Any = None

    def __enter__(self) -> Keys:
        """Take the terminal out of its line mode. Ctrl-C and Ctrl-Z work as ever."""
        if sys.platform != "win32" and sys.stdin is not None and sys.stdin.isatty():
            self._descriptor = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._descriptor)
            self._previous = signal.signal(signal.SIGCONT, self._continue)
            tty.setcbreak(self._descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.restore()
        if self._before is not None:
            signal.signal(signal.SIGCONT, self._previous)

    @property
    def works(self) -> bool:
        """Whether there is a keyboard."""
        return self._before is not None

    def pressed(self) -> str:
        """The keys since the last call."""
        if self._before is None:
            return ""
        keys = ""
        while select.select([self._descriptor], [], [], 0)[0]:
            try:
                read = os.read(self._descriptor, 100)
            except OSError:
                read = b""
            if not read:  # The terminal is gone.
                break
            keys += read.decode("utf-8", "replace")
        return keys

    def restore(self) -> None:
        """Give the terminal back, also in the middle of an abrupt end."""
        if self._before is not None and sys.platform != "win32":
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def _continue(self, _number: int, _frame: FrameType | None) -> None:
        # After Ctrl-Z the shell has given the terminal its own modes.
        self.was_stopped = True
        if sys.platform != "win32":
            with contextlib.suppress(termios.error):
                tty.setcbreak(self._descriptor)
