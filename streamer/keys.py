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
    """Reads keys while it is entered; gives none where stdin or stdout is no terminal.

    Where stdout goes to a pager, the keys are the pager's. While the program is in the background
    they are the shell's: touching the terminal would stop the program.

    Attributes:
        was_stopped: The program was, by Ctrl-Z, and goes on: others have written on the screen.
            Whoever deals with it sets it back.
    """

    def __init__(self) -> None:
        self.was_stopped = False
        self._descriptor = -1
        self._before: list[Any] | None = None
        self._is_ours = False
        self._previous: Any = None

    def __enter__(self) -> Keys:
        """Take the terminal out of its line mode. Ctrl-C and Ctrl-Z work as ever."""
        if sys.platform == "win32" or sys.stdin is None:
            return self
        if sys.stdin.isatty() and sys.stdout.isatty():
            self._descriptor = sys.stdin.fileno()
            self._previous = signal.signal(signal.SIGCONT, self._continue)
            self._take()
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.restore()
        if self.works:
            signal.signal(signal.SIGCONT, self._previous)

    @property
    def works(self) -> bool:
        """Whether there is a keyboard."""
        return self._descriptor >= 0

    def pressed(self) -> str:
        """The keys since the last call."""
        keys = ""
        while self._take() and select.select([self._descriptor], [], [], 0)[0]:
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
        if self._is_in_front() and self._before is not None and sys.platform != "win32":
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def _take(self) -> bool:
        """Take the terminal unless it is taken, if it is ours to take; returns whether it is."""
        if not self._is_in_front():
            self._is_ours = False
        elif not self._is_ours and sys.platform != "win32":
            self._is_ours = True
            with contextlib.suppress(termios.error):
                self._before = self._before or termios.tcgetattr(self._descriptor)
                tty.setcbreak(self._descriptor)
        return self._is_ours

    def _is_in_front(self) -> bool:
        if not self.works or sys.platform == "win32":
            return False
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:  # It is not the terminal of a shell: nobody else takes it.
            return True

    def _continue(self, _number: int, _frame: FrameType | None) -> None:
        # After Ctrl-Z the shell has given the terminal its own modes.
        self.was_stopped = True
        self._is_ours = False
