"""Captions on a terminal: the current utterance as a line that is rewritten, finals above it."""

from __future__ import annotations

import os
import shutil
from typing import TextIO

from wcwidth import wcswidth, wcwidth

from streamer.config import BEHIND_S
from streamer.events import AudioDropped, DeviceLost, DeviceRestored, Event, Final, Lagging, Partial

CLEAR_LINE = "\r\x1b[2K"
DIM, NORMAL = "\x1b[2m", "\x1b[22m"


class CaptionWriter:
    """Draws events on a terminal. What will not change any more is bright, the rest is dim."""

    def __init__(self, terminal: TextIO, columns: int | None = None) -> None:
        """Draw on `terminal`; its width is asked for each time unless given."""
        self._terminal = terminal
        self._columns = columns
        self._has_colour = "NO_COLOR" not in os.environ
        self._can_rewrite = os.environ.get("TERM", "") != "dumb"

    def write(self, event: Event) -> None:
        """Draw an event, if it is one to be seen."""
        if isinstance(event, Partial) and self._can_rewrite:
            self._put(CLEAR_LINE + self._one_line(event))
        elif isinstance(event, Final):
            self._put(self._cleared() + (event.text + "\n" if event.text else ""))
        elif text := notice(event):
            self._put(f"{self._cleared()}[{text}]\n")

    def _cleared(self) -> str:
        return CLEAR_LINE if self._can_rewrite else ""

    def _one_line(self, event: Partial) -> str:
        """The end of the text, as much as one line holds: it must not wrap to be rewritten."""
        columns = self._columns or shutil.get_terminal_size().columns
        text = _end_of(event.text, columns - 1)
        n_dim = min(len(event.unstable_text), len(text))
        bright, dim = text[: len(text) - n_dim], text[len(text) - n_dim :]
        return bright + (f"{DIM}{dim}{NORMAL}" if dim and self._has_colour else dim)

    def _put(self, text: str) -> None:
        self._terminal.write(text)
        self._terminal.flush()


def notice(event: Event) -> str | None:
    """What somebody who reads only the transcript should know of, in plain words."""
    if isinstance(event, AudioDropped):
        return f"{event.duration_s:.1f} s of sound lost: {event.reason}"
    if isinstance(event, DeviceLost):
        return f"the microphone is gone ({event.device}); waiting until it is back"
    if isinstance(event, DeviceRestored):
        return f"the microphone is back ({event.device})"
    if isinstance(event, Lagging):
        if event.lag_s > BEHIND_S:
            return f"{event.lag_s:.1f} s behind: the model is slower than speech on this machine"
        return "caught up"
    return None


def _end_of(text: str, columns: int) -> str:
    """As much of the end of `text` as fits into so many columns, with an ellipsis before it."""
    if max(0, wcswidth(text)) <= columns:
        return text
    width = 1
    for at in range(len(text) - 1, -1, -1):
        width += max(0, wcwidth(text[at]))
        if width > columns:
            return "…" + text[at + 1 :]
    return text
