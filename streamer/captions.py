"""Captions on a terminal: finals that scroll by, and below them what is being said and a status.

Finals are ordinary lines, wrapped at words: they stay in the scrollback. The last rows are
rewritten in place, all at once, and only when they change.
"""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from wcwidth import wcswidth, wcwidth

from streamer.events import (
    AudioDropped,
    DeviceLost,
    DeviceRestored,
    Event,
    Final,
    Lagging,
    Partial,
    Word,
)
from streamer.settings import BEHIND_S

DIM, UNDERLINE, BOLD, PLAIN = "\x1b[2m", "\x1b[4m", "\x1b[1m", "\x1b[0m"
CLEAR_ROW, CLEAR_BELOW, CLEAR_ALL = "\x1b[K", "\x1b[J", "\x1b[2J\x1b[H"
# Not from its first column on, which CLEAR_ROW has cleared already: what is cleared from the first
# one of the screen on, tmux keeps in its scrollback.
CLEAR_FROM_HERE = f"{CLEAR_ROW}\x1b[C{CLEAR_BELOW}\r"
# Between these a terminal that knows them shows nothing half drawn; others ignore them.
BEGIN_FRAME, END_FRAME = "\x1b[?2026h", "\x1b[?2026l"
UNSURE = 0.7  # words of less confidence are underlined
USUAL_SIZE = (80, 24)
BARS, QUIETEST_DB, DB_PER_BAR = "▁▂▃▄▅▆▇█", -62.0, 7.0
# What is drawn where the encoding has no such bars.
ASCII_MARKS = str.maketrans(BARS + "·", "_.:-=+*#" + "-")

NO_NAME = "default"  # So ALSA calls a device: it tells nobody which one it is.
KEYS_APART = 2  # columns before what keys do

Span = tuple[str, str]  # a text, and how it is drawn: escape sequences


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the terminal: its text, and the same with escape sequences."""

    text: str
    drawn: str


@dataclass(frozen=True, slots=True)
class Status:
    """What the last row says.

    Attributes:
        state: What is going on, if it is not listening.
        levels_db: The newest levels of the sound, in dB of full scale.
        device: Where it comes from.
        model: What recognises it.
        latency_s: How long after its end the last utterance was final.
        lag_s: How far the model is behind, if it is.
        keys: What keys do, in words that are shorter and shorter.
    """

    state: str
    levels_db: tuple[float, ...]
    device: str
    model: str = ""
    latency_s: float | None = None
    lag_s: float | None = None
    keys: tuple[str, ...] = ()

    def text(self, columns: int) -> str:
        """As much of it as fits into so many columns, the most important first."""
        lag = "" if self.lag_s is None else f"{self.lag_s:.1f} s behind"
        latency = "" if self.latency_s is None else f"{self.latency_s:.1f} s"
        text = "".join(_bar(db) for db in self.levels_db)[:columns]
        text = _joined(text, (self.state, lag), columns)
        n_least = wcswidth(self.keys[-1]) + KEYS_APART if self.keys else 0
        text = _joined(text, (self.device, self.model, latency), columns - n_least)
        for keys in self.keys:
            n_free = columns - wcswidth(text) - wcswidth(keys)
            if n_free >= KEYS_APART:
                return text + " " * n_free + keys
        return text


class LiveRegion:
    """The last rows of a terminal, which can be rewritten."""

    def __init__(self, terminal: TextIO, size: Callable[[], tuple[int, int]]) -> None:
        """Draw on `terminal`, whose columns and lines `size` tells."""
        self._terminal = terminal
        self._size = size
        self._rows: list[Row] = []
        self._columns = 0

    def draw(self, rows: Sequence[Row], above: str = "") -> None:
        """Replace the rows, and print whole lines above them."""
        columns, lines = self._size()
        rows = list(rows)[-max(1, lines - 1) :]
        if not above and rows == self._rows and columns == self._columns:
            return
        cleared = "".join(CLEAR_ROW + line for line in above.splitlines(keepends=True))
        cleared += "\n".join(CLEAR_ROW + row.drawn for row in rows)
        self._terminal.write(
            BEGIN_FRAME
            + self._to_first_row(columns)
            + cleared
            + (CLEAR_BELOW if rows else CLEAR_FROM_HERE)
            + END_FRAME
        )
        self._terminal.flush()
        self._rows, self._columns = rows, columns

    def clear_screen(self) -> None:
        """Clear all that is seen; the scrollback stays."""
        rows = self._rows
        self.draw([])  # Into the scrollback goes only what is final.
        self._terminal.write(CLEAR_ALL)
        self.draw(rows)

    def forget(self) -> None:
        """Leave the rows where they are: others have written below them."""
        self._rows = []
        self._terminal.write("\r")

    def _to_first_row(self, columns: int) -> str:
        """Go to the first row; a terminal that became narrower has wrapped the rows."""
        n_rows = sum(max(1, -(-wcswidth(row.text) // max(1, columns))) for row in self._rows)
        up = f"\x1b[{n_rows - 1}A" if n_rows > 1 else ""
        return f"\r{up}" if self._rows else ""


class CaptionWriter:
    """Draws events on a terminal.

    What will not change any more is bright, the rest is dim; of what the model is not sure of is
    underlined. A terminal that cannot rewrite gets the finals alone, `NO_COLOR` takes the looks.
    """

    def __init__(
        self,
        terminal: TextIO,
        *,
        size: Callable[[], tuple[int, int]] | None = None,
        enlarge: Callable[[str, int], str] | None = None,
    ) -> None:
        """Draw on `terminal`.

        Args:
            terminal: Where to draw.
            size: Tells columns and lines; the terminal's own if not given.
            enlarge: Makes large letters of a text, so many columns wide; lines end in a line break.
        """
        self._terminal = terminal
        self._size = size or (lambda: size_of(terminal))
        self._region = LiveRegion(terminal, self._size)
        self._enlarge = enlarge
        self._has_colour = "NO_COLOR" not in os.environ
        self._can_rewrite = can_rewrite()
        self._marks = {} if _can_write(BARS, terminal) else ASCII_MARKS
        self._partial: Partial | None = None
        self._status: Status | None = None

    def write(self, event: Event) -> None:
        """Draw an event, if it is one to be seen."""
        if isinstance(event, Partial):
            self._partial = event
            self._draw()
        elif isinstance(event, Final):
            self._partial = None
            self._draw(self._final(event) if event.text else "")
        elif text := notice(event):
            self.note(f"[{text}]")

    def note(self, text: str) -> None:
        """Print a line of our own above what is being said."""
        self._draw(self._lines([(word, "") for word in text.split()]))

    def mark(self, text: str) -> None:
        """Print a mark of the user's."""
        self.note(text)

    def show(self, status: Status) -> None:
        """Show the status as it is now."""
        self._status = status
        self._draw()

    def redraw(self) -> None:
        """Draw once more, below what others have written."""
        self._region.forget()
        self._draw()

    def clear(self) -> None:
        """Clear the screen."""
        if self._can_rewrite:
            self._region.clear_screen()

    def close(self) -> None:
        """Leave only what is final."""
        self._status = self._partial = None
        self._draw()

    def _draw(self, above: str = "") -> None:
        if not self._can_rewrite:
            self._terminal.write(above)
            self._terminal.flush()
            return
        columns, _ = self._size()
        rows = self._partial_rows(columns - 1) if self._partial else []
        if self._status:
            text = self._status.text(columns - 1).translate(self._marks)
            rows.append(Row(text, self._look(text, DIM)))
        self._region.draw(rows, above)

    def _final(self, event: Final) -> str:
        if self._enlarge:
            return self._enlarge(event.text, self._size()[0]) + "\n"
        spans = [(word.word, UNDERLINE if _is_unsure(word) else "") for word in event.words]
        if " ".join(text for text, _ in spans) != event.text:
            spans = [(text, "") for text in event.text.split()]
        return self._lines(spans)

    def _partial_rows(self, columns: int) -> list[Row]:
        partial = self._partial
        assert partial is not None
        if self._enlarge:
            large = self._enlarge(partial.text, columns)
            return [Row(line, self._look(line, DIM)) for line in large.splitlines()]
        n_stable = len(partial.stable_text.split())
        words = partial.text.split()
        known = partial.words if len(partial.words) == len(words) else (None,) * len(words)
        spans = [
            (text, DIM * (i >= n_stable) + UNDERLINE * (word is not None and _is_unsure(word)))
            for i, (text, word) in enumerate(zip(words, known, strict=True))
        ]
        return self._rows(spans, columns)

    def _lines(self, spans: Sequence[Span]) -> str:
        """Words as lines that are printed once."""
        return "".join(row.drawn + "\n" for row in self._rows(spans, self._size()[0] - 1))

    def _rows(self, spans: Sequence[Span], columns: int) -> list[Row]:
        return [
            Row(
                " ".join(text for text, _ in line),
                " ".join(self._look(*span) for span in line),
            )
            for line in _wrapped(spans, columns)
        ]

    def _look(self, text: str, look: str) -> str:
        return f"{look}{text}{PLAIN}" if look and text and self._has_colour else text


def notice(event: Event) -> str | None:
    """What somebody who reads only the transcript should know of, in plain words."""
    if isinstance(event, AudioDropped):
        return f"{event.duration_s:.1f} s of sound lost: {event.reason}"
    if isinstance(event, DeviceLost):
        return f"the microphone is gone{_named(event.device)}; waiting until it is back"
    if isinstance(event, DeviceRestored):
        return f"the microphone is back{_named(event.device)}"
    if isinstance(event, Lagging) and is_slow(event):
        return f"{event.lag_s:.1f} s behind: the model is slower than speech on this machine"
    return None


def _named(device: str) -> str:
    return "" if device == NO_NAME else f" ({device})"


def is_slow(event: Lagging) -> bool:
    """Whether it is the model's speed that keeps it behind, and not what it had to wait for."""
    return event.lag_s > BEHIND_S and event.rtf >= 1.0


def large_letters(text: str, columns: int) -> str:
    """The text in letters that are six rows high, wrapped at words.

    Without accents where there are no such letters with them; where there are none at all, or none
    fits, in ordinary ones.
    """
    from pyfiglet import CharNotPrinted, Figlet

    figlet = Figlet(font="standard", width=columns)
    known = figlet.Font.chars
    # A decomposed character is a letter and its accents.
    letters = [
        c if ord(c) in known else unicodedata.normalize("NFD", c)[0]
        for c in unicodedata.normalize("NFC", text)
    ]
    if all(ord(letter) in known for letter in letters):
        with contextlib.suppress(CharNotPrinted):
            rendered: str = figlet.renderText("".join(letters))
            return "\n".join(line.rstrip() for line in rendered.rstrip().splitlines()) + "\n"
    lines = _wrapped([(word, "") for word in text.split()], columns)
    return "".join(" ".join(word for word, _ in line) + "\n" for line in lines)


def _is_unsure(word: Word) -> bool:
    return word.confidence < UNSURE


def _wrapped(spans: Sequence[Span], columns: int) -> list[list[Span]]:
    """Lines of words; a word that is wider than a line is broken."""
    lines: list[list[Span]] = [[]]
    n_free = columns
    for text, look in spans:
        for part in _parts(text, columns):
            width = wcswidth(part)
            if lines[-1] and width + 1 > n_free:
                lines.append([])
                n_free = columns
            n_free -= width + bool(lines[-1])
            lines[-1].append((part, look))
    return lines


def _parts(word: str, columns: int) -> list[str]:
    parts, width = [""], 0
    for character in word:
        width += max(0, wcwidth(character))
        if width > columns and parts[-1]:
            parts.append("")
            width = max(0, wcwidth(character))
        parts[-1] += character
    return parts


def _joined(text: str, parts: Sequence[str], columns: int) -> str:
    """The text with each of the parts that fits, a point between them."""
    for part in filter(None, parts):
        longer = f"{text}{' · ' if text.strip(BARS) else ' '}{part}"
        if wcswidth(longer) <= columns:
            text = longer
    return text


def _bar(db: float) -> str:
    return BARS[min(max(0, round((db - QUIETEST_DB) / DB_PER_BAR)), len(BARS) - 1)]


def _can_write(text: str, terminal: TextIO) -> bool:
    try:
        text.encode(terminal.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def can_rewrite() -> bool:
    """Whether the terminal knows how to go back to rows that it has shown."""
    return os.environ.get("TERM", "") != "dumb"


def size_of(terminal: TextIO) -> tuple[int, int]:
    """Columns and lines of a terminal, or the usual ones if it does not tell them."""
    try:
        columns, lines = os.get_terminal_size(terminal.fileno())
    except (OSError, ValueError):
        columns, lines = USUAL_SIZE
    # A terminal that does not know its size says 0.
    return columns or USUAL_SIZE[0], lines or USUAL_SIZE[1]
