"""What the options of the command line stand for: settings, styles, sources and files.

The parser has each option checked for itself; what cannot go together is refused here, by the
`check_` of its command, before anything is done.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
from pathlib import Path
from typing import Any

from streamer.configuration import DEFAULT
from streamer.dictation import Dictation
from streamer.errors import AudioError
from streamer.settings import Settings, TextStyle
from streamer.sources.file import File
from streamer.sources.pipe import Pipe
from streamer.writers import SUFFIXES, format_of, is_to_be_kept

NO_GOAL = {"to": "auto", "file": None, "exec": None}  # of `dictate`, by option


def style_of(options: argparse.Namespace) -> TextStyle | None:
    """How text is made readable; None if it is not."""
    if options.text == "raw":
        return None
    return TextStyle(numbers=options.numbers, language=options.language)


def check_dictate(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse what cannot be written, before anything is done."""
    try:
        Dictation(TextStyle(), allow_newlines=options.enter, replacements=options.replace)
    except ValueError as error:
        parser.error(f"argument --replace: {error}")
    _choose_goal(parser, options)
    if options.exec is not None and not options.exec.strip():
        parser.error("argument --exec: expected a command, found none")


def _origins(options: argparse.Namespace) -> dict[str, str]:
    """Where what the configuration says of the command's options comes from."""
    settings = options.settings
    return {one.option: one.origin for one in settings if one.command == options.command}


def _choose_goal(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Of several goals that the configuration names, leave that of the environment."""
    goals = [name for name, nowhere in NO_GOAL.items() if getattr(options, name) != nowhere]
    if len(goals) < 2:
        return
    origins = _origins(options)
    left = [name for name in goals if origins.get(name) != "file"] or goals
    if len(left) > 1 and options.control is None:
        parser.error(f"the configuration names {' and '.join(left)}; expected one of them")
    for name in set(goals) - set(left):
        setattr(options, name, NO_GOAL[name])


def check_save(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse a file that cannot be there, before what it is to hold has been said."""
    save = options.save
    if save is None:
        return
    folder = save.absolute().parent
    if not folder.is_dir():
        parser.error(f"argument --save: expected a file in a folder that exists, found '{save}'")
    if save.is_dir():
        parser.error(f"argument --save: expected a file, found a folder: '{save}'")
    place = save if save.exists() and not is_to_be_kept(save) else folder
    if not os.access(place, os.W_OK):
        parser.error(f"argument --save: expected a place that may be written to, found '{place}'")
    if _is_stdout(save):
        parser.error(
            f"argument --save: stdout goes to '{save}' already; name another file, or leave one out"
        )


def _is_stdout(path: Path) -> bool:
    """Whether it is the file that stdout goes to."""
    try:
        status = os.fstat(sys.stdout.fileno())
        return stat.S_ISREG(status.st_mode) and os.path.samestat(status, path.stat())
    except OSError:  # There is no such file yet.
        return False


def check_transcribe(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse what cannot go together, before anything is done."""
    check_save(parser, options)
    formats = [options.format] if options.output_dir is None else []
    formats += [format_of(options.save)] if options.save else []
    for form in formats:
        if form in ("srt", "vtt") and len(options.paths) > 1:
            parser.error(
                f"{form} holds one recording, found {len(options.paths)}; write one file for each "
                "with --output-dir FOLDER"
            )
    if options.output_dir is not None:
        targets = [transcript_path(options.output_dir, path, options) for path in options.paths]
        if twice := next((target for target in targets if targets.count(target) > 1), None):
            parser.error(f"several recordings would be written to {twice}; rename one of them")
    if options.paths.count("-") > 1:
        parser.error("standard input (-) can be read once only")
    # What the configuration says stands for whenever it is of use.
    origins = _origins(options)
    names = [n for n in ("channels", "encoding", "rate") if origins.get(n, DEFAULT) == DEFAULT]
    raw = [f"--{name}" for name in names if getattr(options, name) is not None]
    if raw and "-" not in options.paths:
        parser.error(f"{', '.join(raw)} describes raw PCM on standard input: give - as a PATH")
    if options.realtime:
        options.shows_partials = sys.stdout.isatty() and options.output_dir is None
        if "-" in options.paths and origins.get("realtime", DEFAULT) == DEFAULT:
            parser.error("--realtime is for recordings; a pipe has its own speed")
    try:
        for path in options.paths:
            source_of(path, options)
    except ValueError as error:
        parser.error(str(error))
    if options.output_dir is not None:
        try:
            options.output_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            parser.error(
                f"argument --output-dir: expected a folder, found '{options.output_dir}': "
                f"{error.strerror}"
            )


def check_bench(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse what cannot go together, before anything is done."""
    if options.hours is not None and (options.realtime or options.noise):
        parser.error("--hours is a run of its own: give it without --realtime and --noise")


def settings_of(options: argparse.Namespace) -> Settings:
    """How speech is to be found and recognised."""
    is_english = TextStyle(language=getattr(options, "language", "en")).is_english
    changes: dict[str, Any] = {
        "language_model": options.language_model and is_english,
        "partials": options.shows_partials or options.format == "jsonl",
    }
    if options.partials is not None:
        changes["partials"] = options.partials
    if options.end_silence is not None:
        changes["end_silence_s"] = options.end_silence
        changes["trailing_pad_s"] = min(Settings().trailing_pad_s, options.end_silence)
    return Settings.preset(
        options.preset, jit_compile=options.jit_compile, precision=options.precision, **changes
    )


def source_of(path: str, options: argparse.Namespace) -> File | Pipe:
    """Where the sound of one of the paths comes from; not opened yet.

    Raises:
        AudioError: Standard input is closed.
        ValueError: The form of the raw samples is out of range.
    """
    if not path:
        raise ValueError("expected the name of a recording as PATH, found an empty text")
    if path == "-":
        if sys.stdin is None:
            raise AudioError("Expected sound on standard input, found it closed.")
        return Pipe(
            sys.stdin.buffer,
            rate=options.rate,
            channels=options.channels,
            encoding=options.encoding,
        )
    return File(path, realtime=options.realtime)


def transcript_path(folder: Path, path: str, options: argparse.Namespace) -> Path:
    """The file in `folder` that the transcript of the recording `path` goes to."""
    suffix = next(suffix for suffix, form in SUFFIXES.items() if form == options.format)
    return folder / (("stdin" if path == "-" else Path(path).stem) + suffix)
