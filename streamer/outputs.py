"""What the commands write: transcripts to stdout and to files, messages to stderr."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Protocol, TextIO

from streamer.captions import CaptionWriter, large_letters, notice
from streamer.events import AudioDropped, Event
from streamer.options import style_of, transcript_path
from streamer.writers import Writer, format_of, is_to_be_kept, readable, writer_for


class Outputs:
    """Where events are written: stdout or the files of `--output-dir`, and the file of `--save`.

    A file is created when there is something to write: a recording that cannot be read leaves
    none behind, and does not overwrite what was there.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.has_failed = False
        self._options = options
        self._style = style_of(options)
        self._files = contextlib.ExitStack()  # of the recording that is being written
        self._save_files = contextlib.ExitStack()
        self._drawing = contextlib.ExitStack()
        self._has_several = len(getattr(options, "paths", [])) > 1
        self._save_file: TextIO | None = None
        self._draws_captions = options.format == "text" and sys.stdout.isatty()
        self.screen = self._screen() if self._draws_captions else None
        self._main: Writer | None = None
        self._save: Writer | None = None

    def __enter__(self) -> Outputs:
        if self.screen is not None:
            self._drawing.enter_context(drawing_on(self.screen))
        return self

    def _screen(self) -> CaptionWriter:
        enlarge = large_letters if getattr(self._options, "large", False) else None
        return CaptionWriter(sys.stdout, enlarge=enlarge)

    def mark(self, at_s: float) -> None:
        """Mark a place, on the screen and where the format of the file has a place for it."""
        text = _mark(at_s)
        self._save_with(lambda writer: writer.mark(text))
        self._main = self._main or self._main_writer(None, None)
        self._main.mark(text)

    def __exit__(self, *_: object) -> None:
        self._drawing.close()
        if self.screen is not None:
            self.screen.close()
        self._files.close()
        self._save_files.close()

    def begin(self) -> None:
        """The events that follow are of another recording."""
        self._files.close()
        self._main = self._save = None

    def write(self, event: Event, path: str | None = None) -> None:
        """Write an event of the recording `path`, None with live captions, everywhere.

        A full disk ends the saving, not the captions.
        """
        source = _printable(path) if path and self._has_several else None
        # First: whatever ends the program, what was shown is saved.
        self._save_with(lambda writer: writer.write(event), source)
        if isinstance(event, AudioDropped):  # Who reads the file later was not told on the screen.
            lost = _mark(event.start_s, f", {notice(event)}")
            self._save_with(lambda writer: writer.mark(lost), source)
        if self._main is None:
            self._main = self._main_writer(path, source)
        self._main.write(event)
        if not self._draws_captions and (text := notice(event)):
            say(text)  # Most formats have no place for it.

    def _save_with(self, write: Callable[[Writer], None], source: str | None = None) -> None:
        if self._options.save is None or self.has_failed:
            return
        try:
            if self._save is None:
                if self._save_file is None:
                    _keep(self._options.save)
                    self._save_file = self._create(self._options.save, self._save_files)
                form = format_of(self._options.save)
                self._save = writer_for(form, self._save_file, source, self._style)
            write(self._save)
        except OSError as error:
            self.has_failed = True
            with contextlib.suppress(OSError):  # It tries once more to write, and says the same.
                self._save_files.close()
            say(f"{self._options.save}: nothing more is saved: {error.strerror}.")

    def _main_writer(self, path: str | None, source: str | None) -> Writer:
        options = self._options
        folder: Path | None = getattr(options, "output_dir", None)
        if folder is not None and path is not None:
            target = transcript_path(folder, path, options)
            _keep(target)
            file = self._create(target, self._files)
            return writer_for(options.format, file, source, self._style)
        if self._draws_captions:
            assert self.screen is not None
            return readable(self.screen, self._style)
        return writer_for(options.format, sys.stdout, source, self._style)

    def _create(self, path: Path, files: contextlib.ExitStack) -> TextIO:
        return files.enter_context(path.open("w", encoding="utf-8"))


class Screen(Protocol):
    """What is being drawn on."""

    def note(self, text: str) -> None:
        """Print a line that is not part of what is drawn."""
        ...


_screens: list[Screen] = []  # at most one


@contextlib.contextmanager
def drawing_on(screen: Screen) -> Iterator[None]:
    """Have `say` print its messages so that they do not get into what is drawn meanwhile."""
    _screens.append(screen)
    try:
        yield
    finally:
        _screens.remove(screen)


def say(message: str) -> None:
    """Tell the user something, on stderr; on a terminal above what is being drawn there.

    A stderr that cannot be written loses what is said, and nothing else.
    """
    if _screens and sys.stderr.isatty():
        _screens[-1].note(f"streamer: {message}")
        return
    with contextlib.suppress(OSError):
        print(f"streamer: {message}", file=sys.stderr, flush=True)


def _mark(at_s: float, what: str = "") -> str:
    """The line that marks a place."""
    return f"--- {timedelta(seconds=int(at_s))}{what} ---"


def _keep(path: Path) -> None:
    """Give a file that is to be kept another name."""
    if is_to_be_kept(path):
        names = (path.with_name(f"{path.name}.~{number}~") for number in itertools.count(1))
        kept = next(name for name in names if not name.exists())
        path.rename(kept)
        say(f"{path} was there already; it is {kept} now.")


def _printable(path: str) -> str:
    """A file name that can be written as text, whatever bytes are in it."""
    return os.fsencode(path).decode("utf-8", "replace")
