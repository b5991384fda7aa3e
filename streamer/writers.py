"""Events -> lines of a file or a pipe, complete after every event."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TextIO

from streamer.events import Event, Final, to_json
from streamer.formatting import Formatter
from streamer.settings import TextStyle
from streamer.subtitles import Subtitler, srt, vtt

FORMATS = ("text", "jsonl", "srt", "vtt")
SUFFIXES = {".txt": "text", ".jsonl": "jsonl", ".srt": "srt", ".vtt": "vtt"}


class Writer(Protocol):
    """Writes what a format holds of each event."""

    def write(self, event: Event) -> None:
        """Write one event, if the format has a place for it."""
        ...

    def mark(self, text: str) -> None:
        """Write a mark of the user's, if the format has a place for it."""
        ...


class TextWriter:
    """One line for each final that has words."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, event: Event) -> None:
        """Write a final."""
        if isinstance(event, Final) and event.text:
            self._out.write(event.text + "\n")
            self._out.flush()

    def mark(self, text: str) -> None:
        """Write it as a line."""
        self._out.write(text + "\n")
        self._out.flush()


class JsonlWriter:
    """Every event as a JSON object; with several inputs each names its `source`."""

    def __init__(self, out: TextIO, source: str | None = None) -> None:
        self._out = out
        self._source = {} if source is None else {"source": source}
        # Files are in UTF-8, stdout is in the system's encoding: a program may read it in another.
        self._is_ascii = codecs.lookup(out.encoding or "utf-8").name != "utf-8"

    def write(self, event: Event) -> None:
        """Write an event."""
        line = json.dumps(self._source | to_json(event), ensure_ascii=self._is_ascii)
        self._out.write(line + "\n")
        self._out.flush()

    def mark(self, text: str) -> None:
        """Write nothing: every line is an event."""


class SrtWriter:
    """SubRip subtitles."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._subtitler = Subtitler()
        self._n_cues = 0

    def write(self, event: Event) -> None:
        """Write the cues of a final."""
        if isinstance(event, Final):
            for cue in self._subtitler.push(event):
                self._n_cues += 1
                self._out.write(srt(self._n_cues, cue))
            self._out.flush()

    def mark(self, text: str) -> None:
        """Write nothing: there are no comments."""


class VttWriter:
    """WebVTT subtitles."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._subtitler = Subtitler()
        out.write("WEBVTT\n\n")
        out.flush()

    def write(self, event: Event) -> None:
        """Write the cues of a final."""
        if isinstance(event, Final):
            for cue in self._subtitler.push(event):
                self._out.write(vtt(cue))
            self._out.flush()

    def mark(self, text: str) -> None:
        """Write a comment."""
        self._out.write(f"NOTE {text.replace('--', '').strip('- ')}\n\n")
        self._out.flush()


class ReadableWriter:
    """Formats events before another writer writes them."""

    def __init__(self, writer: Writer, style: TextStyle) -> None:
        self._writer = writer
        self._formatter = Formatter(style)

    def write(self, event: Event) -> None:
        """Write an event as it is read."""
        self._writer.write(self._formatter.push(event))

    def mark(self, text: str) -> None:
        """Write a mark as it is."""
        self._writer.mark(text)


def writer_for(
    form: str, out: TextIO, source: str | None = None, style: TextStyle | None = None
) -> Writer:
    """The writer of a format, one of `FORMATS`.

    Args:
        form: The format.
        out: Where to write.
        source: What the sound is called, where there are several.
        style: How the text is made readable, None if it is not. JSON lines are for programs:
            they always hold the words as they were recognised.
    """
    if form == "jsonl":
        return JsonlWriter(out, source)
    writers: dict[str, Callable[[TextIO], Writer]]
    writers = {"text": TextWriter, "srt": SrtWriter, "vtt": VttWriter}
    return readable(writers[form](out), style)


def readable(writer: Writer, style: TextStyle | None) -> Writer:
    """The writer, given readable text if there is a style."""
    return writer if style is None else ReadableWriter(writer, style)


def is_to_be_kept(path: Path) -> bool:
    """Whether a file holds what was said another time, and must not be overwritten."""
    return path.is_file() and path.stat().st_size > 0


def format_of(path: Path) -> str:
    """The format that a file's ending asks for.

    Raises:
        ValueError: None is known by that ending.
    """
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise ValueError(
            f"Expected a file ending in {', '.join(SUFFIXES)}, found {str(path)!r}."
        ) from None
