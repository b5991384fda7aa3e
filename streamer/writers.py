"""Events -> lines of a file or a pipe, complete after every event."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TextIO

from streamer.events import Event, Final, to_json
from streamer.subtitles import cues, srt, vtt

FORMATS = ("text", "jsonl", "srt", "vtt")
SUFFIXES = {".txt": "text", ".jsonl": "jsonl", ".srt": "srt", ".vtt": "vtt"}


class Writer(Protocol):
    """Writes what a format holds of each event."""

    def write(self, event: Event) -> None:
        """Write one event, if the format has a place for it."""
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


class JsonlWriter:
    """Every event as a JSON object; with several inputs each names its `source`."""

    def __init__(self, out: TextIO, source: str | None = None) -> None:
        self._out = out
        self._source = {} if source is None else {"source": source}

    def write(self, event: Event) -> None:
        """Write an event."""
        line = json.dumps(self._source | to_json(event), ensure_ascii=False)
        self._out.write(line + "\n")
        self._out.flush()


class SrtWriter:
    """SubRip subtitles."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._n_cues = 0

    def write(self, event: Event) -> None:
        """Write the cues of a final."""
        if isinstance(event, Final):
            for cue in cues(event):
                self._n_cues += 1
                self._out.write(srt(self._n_cues, cue))
            self._out.flush()


class VttWriter:
    """WebVTT subtitles."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        out.write("WEBVTT\n\n")
        out.flush()

    def write(self, event: Event) -> None:
        """Write the cues of a final."""
        if isinstance(event, Final):
            for cue in cues(event):
                self._out.write(vtt(cue))
            self._out.flush()


def writer_for(form: str, out: TextIO, source: str | None = None) -> Writer:
    """The writer of a format, one of `FORMATS`."""
    if form == "jsonl":
        return JsonlWriter(out, source)
    writers: dict[str, Callable[[TextIO], Writer]]
    writers = {"text": TextWriter, "srt": SrtWriter, "vtt": VttWriter}
    return writers[form](out)


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
