"""The command line: arguments, signals, exit codes.

Transcripts go to stdout and nothing else does. Exit status: 0 done, 1 failed, 2 wrong usage,
130 interrupted, 141 nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import functools
import json
import math
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from tqdm import tqdm

from streamer import __version__
from streamer.captions import CaptionWriter
from streamer.config import PRESETS, SAMPLE_RATE, Settings
from streamer.errors import AudioError, StreamerError
from streamer.events import Event
from streamer.pipeline import Pipeline
from streamer.sources import Source
from streamer.sources.file import File
from streamer.sources.microphone import Microphone, input_devices
from streamer.sources.pipe import ENCODINGS, Pipe
from streamer.transcriber import Transcriber
from streamer.writers import FORMATS, SUFFIXES, Writer, format_of, writer_for

if TYPE_CHECKING:
    from streamer.models.compiled import CompiledModel

FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141
LONG_RECORDING_S = 30.0  # from here on a progress bar is worth its line


def entry() -> NoReturn:
    """The program `streamer`: `main`, without the chatter of the libraries that it uses.

    TensorFlow, ALSA and PortAudio write to the descriptor of stderr whatever they like. It leads
    nowhere here, unless `-v` asks for it, and Python's `sys.stderr` gets a descriptor of its own.
    """
    # Closed descriptors would be given to the next files that are opened.
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            assert nowhere == descriptor
            setattr(sys, name, os.fdopen(nowhere, "r" if name == "stdin" else "w"))
    if not {"-v", "--verbose"} & set(sys.argv):
        terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        sys.stderr = os.fdopen(terminal, "w", buffering=1, errors="backslashreplace")
        os.dup2(nowhere, 2)
        os.close(nowhere)
    # A crash in native code is seen by nobody else.
    faulthandler.enable(sys.stderr, all_threads=False)
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is done and written: no library may still fail while Python takes itself down.
    os._exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version")):
        argv.insert(0, "captions")
    options = parser().parse_args(argv)
    if options.verbose:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0")
    try:
        if check := getattr(options, "check", None):
            check(options)
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except (StreamerError, OSError) as error:
        _complain(error, options.verbose)
        return FAILED


def sample_path() -> Path:
    """The bundled sample of speech."""
    return Path(str(resources.files("streamer") / "sample" / "sample.flac"))


def _captions(options: argparse.Namespace) -> int:
    source: Source
    source = File(sample_path(), realtime=True) if options.sample else Microphone(options.device)
    transcriber = Transcriber(source, model=options.model, settings=_settings(options))
    with _Interruption(source) as interruption, _Outputs(options) as outputs, transcriber:
        what = "the bundled sample" if options.sample else source.name
        _say(
            f"Listening to {what}; the first words take a while, the model is loading. Ctrl-C ends."
        )
        for event in transcriber:
            outputs.write(event)
    return INTERRUPTED if interruption.happened else outputs.status


def _transcribe(options: argparse.Namespace) -> int:
    options.load = functools.cache(functools.partial(_load, options))
    status = 0
    with _Outputs(options) as outputs:
        for path in options.paths:
            source = _source(path, options)
            outputs.begin()
            with _Interruption(source) as interruption:
                try:
                    for event in _events(source, options):
                        with tqdm.external_write_mode(sys.stdout):
                            outputs.write(event, path)
                except AudioError as error:
                    _complain(error, options.verbose)
                    status = FAILED
            if interruption.happened:
                return INTERRUPTED
    return status or outputs.status


def _devices(_options: argparse.Namespace) -> int:
    devices = input_devices()
    for device in devices:
        mark = "*" if device.is_default else " "
        form = f"{device.channels} channels, {device.sample_rate} Hz"
        print(f"{mark} {device.index}  {device.name}  ({form})")
    return 0


def _bench(options: argparse.Namespace) -> int:
    from streamer.bench import measure, read_manifest

    recordings = read_manifest(
        options.folder or sample_path().parent, subset=options.subset, limit=options.limit
    )
    results = measure(
        recordings,
        model=_load(options),
        settings=_settings(options),
        realtime=options.realtime,
    )
    print(json.dumps(results.to_json(), indent=2) if options.json else results.table())
    return 0


def _load(options: argparse.Namespace) -> CompiledModel:
    from streamer import models

    return models.load(options.model, jit_compile=options.jit_compile)


def _source(path: str, options: argparse.Namespace) -> File | Pipe:
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


def _events(source: File | Pipe, options: argparse.Namespace) -> Iterator[Event]:
    """The events of one recording or pipe, at the speed of speech or as fast as they come."""
    if options.realtime:
        with Transcriber(source, model=options.load(), settings=_settings(options)) as transcriber:
            yield from transcriber
        return
    failure: AudioError | None = None
    source.open()
    with contextlib.closing(source):
        pipeline = Pipeline(options.load(), _settings(options))
        with _progress(source) as progress:
            while True:
                try:
                    block = source.read()
                except AudioError as error:  # What came before it is still transcribed.
                    failure = error
                    break
                if block is None:
                    break
                yield from pipeline.push(block.samples)
                progress.update(len(block.samples) / SAMPLE_RATE)
            yield from pipeline.flush()
    if failure is not None:
        raise failure


def _progress(source: File | Pipe) -> tqdm[Any]:
    """A progress bar on stderr, if there is something long to wait for and somebody to see it."""
    duration_s = source.duration_s if isinstance(source, File) else 0.0
    return tqdm(
        total=math.ceil(duration_s) + 1,  # Resampling may give a sample more than there is time.
        desc=source.name,
        disable=duration_s < LONG_RECORDING_S or not sys.stderr.isatty(),
        bar_format="{desc}: {percentage:3.0f} % |{bar}| {n:.0f} of {total} s, {remaining} left",
        leave=False,
        file=sys.stderr,
    )


class _Outputs:
    """Where events are written: stdout or the files of `--output-dir`, and the file of `--save`.

    A file is created when there is something to write: a recording that cannot be read leaves
    none behind, and does not overwrite what was there.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.status = 0
        self._options = options
        self._files = contextlib.ExitStack()  # of the recording that is being written
        self._save_files = contextlib.ExitStack()
        self._has_several = len(getattr(options, "paths", [])) > 1
        self._save_file: TextIO | None = None
        self._main: Writer | None = None
        self._save: Writer | None = None

    def __enter__(self) -> _Outputs:
        return self

    def __exit__(self, *_: object) -> None:
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
        if self._main is None:
            self._main = self._main_writer(path, source)
        self._main.write(event)
        if self._options.save is None or self.status:
            return
        try:
            if self._save is None:
                self._save_file = self._save_file or self._create(
                    self._options.save, self._save_files
                )
                form = format_of(self._options.save)
                self._save = writer_for(form, self._save_file, source)
            self._save.write(event)
        except OSError as error:
            self.status = FAILED
            _say(f"{self._options.save}: nothing more is saved: {error.strerror}.")

    def _main_writer(self, path: str | None, source: str | None) -> Writer:
        options = self._options
        folder: Path | None = getattr(options, "output_dir", None)
        if folder is not None and path is not None:
            target = _target(folder, path, options)
            return writer_for(options.format, self._create(target, self._files), source)
        if options.format == "text" and sys.stdout.isatty():
            return CaptionWriter(sys.stdout)
        return writer_for(options.format, sys.stdout, source)

    def _create(self, path: Path, files: contextlib.ExitStack) -> TextIO:
        return files.enter_context(path.open("w", encoding="utf-8"))


def _printable(path: str) -> str:
    """A file name that can be written as text, whatever bytes are in it."""
    return os.fsencode(path).decode("utf-8", "replace")


def _target(folder: Path, path: str, options: argparse.Namespace) -> Path:
    """The file in `folder` that the transcript of the recording `path` goes to."""
    suffix = next(suffix for suffix, form in SUFFIXES.items() if form == options.format)
    return folder / (("stdin" if path == "-" else Path(path).stem) + suffix)


class _Interruption:
    """Turns the first Ctrl-C into the end of the sound: what was said is still finished.

    A second one ends the program at once.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._previous: list[tuple[int, Any]] = []
        self.happened = False

    def __enter__(self) -> _Interruption:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous.append((number, signal.signal(number, self._handle)))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous:
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.happened:
            # All that was said is written already; waiting for the model is what is not wanted.
            os._exit(INTERRUPTED)
        self.happened = True
        self._source.stop()


def _settings(options: argparse.Namespace) -> Settings:
    changes: dict[str, Any] = {"partials": options.shows_partials or options.format == "jsonl"}
    if options.partials is not None:
        changes["partials"] = options.partials
    if options.end_silence is not None:
        changes["end_silence_s"] = options.end_silence
        changes["trailing_pad_s"] = min(Settings().trailing_pad_s, options.end_silence)
    return Settings.preset(options.preset, jit_compile=options.jit_compile, **changes)


def _say(message: str) -> None:
    print(f"streamer: {message}", file=sys.stderr, flush=True)


def _complain(error: BaseException, verbose: bool) -> None:
    if verbose:
        traceback.print_exception(error)
    _say(str(error))


def parser() -> argparse.ArgumentParser:
    """The arguments of all commands."""
    top = argparse.ArgumentParser(
        prog="streamer",
        description="Speech to text while it is being spoken, on this machine.",
        epilog="Without a command: live captions. `streamer COMMAND --help` explains each.",
    )
    top.add_argument("--version", action="version", version=f"streamer {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "-v", "--verbose", action="store_true", help="show tracebacks and TensorFlow's log"
    )

    speech = argparse.ArgumentParser(add_help=False)
    speech.add_argument(
        "--model",
        default="auto",
        metavar="NAME_OR_PATH",
        help="starter (in the package), or the folder of a checkpoint from Hugging Face or of a "
        "SavedModel; default: auto",
    )
    speech.add_argument(
        "--jit-compile",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="compile the model with XLA or not; default: as the model says",
    )
    speech.add_argument(
        "--preset",
        choices=PRESETS,
        default="captions",
        help="how long a pause may be: command 0.3 s, captions 0.5 s, dictation 0.8 s; "
        "default: captions",
    )
    speech.add_argument(
        "--end-silence",
        type=_seconds,
        metavar="SECONDS",
        help="end an utterance after so much silence, instead of as the preset says",
    )
    speech.add_argument(
        "--partials",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="recognise utterances while they are being spoken; default: where they are shown",
    )

    written = argparse.ArgumentParser(add_help=False)
    written.add_argument(
        "--format", choices=FORMATS, default="text", help="what stdout carries; default: text"
    )
    written.add_argument(
        "--save",
        type=_save_path,
        metavar="FILE",
        help=f"write the transcript to a file as well; its ending ({', '.join(SUFFIXES)}) "
        "says the format",
    )

    captions = commands.add_parser(
        "captions",
        parents=[speech, written, common],
        help="live captions from the microphone",
        description="Live captions: what is being said as a line that is rewritten, what was said "
        "above it. On a pipe only finished utterances, one a line, or every event as JSON.",
    )
    captions.add_argument(
        "--device",
        metavar="ID_OR_NAME",
        help="input device: its index, or part of its name (see `streamer devices`)",
    )
    captions.add_argument(
        "--sample", action="store_true", help="caption the bundled sample, without a microphone"
    )
    captions.set_defaults(run=_captions, shows_partials=sys.stdout.isatty())

    transcribe = commands.add_parser(
        "transcribe",
        parents=[speech, written, common],
        help="recordings, or sound on standard input",
        description="Transcribe recordings (any format that libsndfile reads), or WAV or raw PCM "
        "on standard input.",
    )
    transcribe.add_argument("paths", nargs="+", metavar="PATH", help="a recording, or - for stdin")
    transcribe.add_argument(
        "--output-dir",
        type=_folder,
        metavar="FOLDER",
        help="write one file for each recording into this folder instead of to stdout",
    )
    transcribe.add_argument(
        "--realtime", action="store_true", help="feed recordings at the speed of speech"
    )
    raw = transcribe.add_argument_group("raw PCM on standard input (a WAV stream says it itself)")
    raw.add_argument("--rate", type=int, metavar="HZ", help="sample rate; default: 16000")
    raw.add_argument("--channels", type=int, metavar="N", help="interleaved channels; default: 1")
    raw.add_argument("--encoding", choices=ENCODINGS, help="default: s16, little-endian as all")
    transcribe.set_defaults(
        run=_transcribe,
        shows_partials=False,
        check=functools.partial(_check_transcribe, transcribe),
    )

    devices = commands.add_parser(
        "devices",
        parents=[common],
        help="input devices",
        description="Input devices, one a line; a star marks the default one.",
    )
    devices.set_defaults(run=_devices)

    bench = commands.add_parser(
        "bench",
        parents=[speech, common],
        help="measure words, latency, flicker and speed",
        description="Measure over the recordings of a folder with a manifest.tsv (columns path "
        "and transcript at least), or over the bundled sample.",
    )
    bench.add_argument("folder", nargs="?", type=Path, metavar="FOLDER")
    bench.add_argument(
        "--realtime",
        action="store_true",
        help="feed at the speed of speech and measure latency by the wall clock",
    )
    bench.add_argument("--subset", help="only rows whose column `subset` says so")
    bench.add_argument("--limit", type=_count, metavar="N", help="only the first N recordings")
    bench.add_argument("--json", action="store_true", help="print JSON instead of a table")
    bench.set_defaults(run=_bench, shows_partials=True)
    return top


def _check_transcribe(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse what cannot go together, before anything is done."""
    formats = [options.format] if options.output_dir is None else []
    formats += [format_of(options.save)] if options.save else []
    for form in formats:
        if form in ("srt", "vtt") and len(options.paths) > 1:
            parser.error(
                f"{form} holds one recording, found {len(options.paths)}; write one file for each "
                "with --output-dir FOLDER"
            )
    if options.output_dir is not None:
        targets = [_target(options.output_dir, path, options) for path in options.paths]
        if twice := next((target for target in targets if targets.count(target) > 1), None):
            parser.error(f"several recordings would be written to {twice}; rename one of them")
    if options.paths.count("-") > 1:
        parser.error("standard input (-) can be read once only")
    names = ("rate", "channels", "encoding")
    raw = [f"--{name}" for name in names if getattr(options, name) is not None]
    if raw and "-" not in options.paths:
        parser.error(f"{', '.join(raw)} describes raw PCM on standard input: give - as a PATH")
    if options.realtime:
        options.shows_partials = sys.stdout.isatty() and options.output_dir is None
        if "-" in options.paths:
            parser.error("--realtime is for recordings; a pipe has its own speed")
    try:
        for path in options.paths:
            _source(path, options)
    except ValueError as error:
        parser.error(str(error))


def _seconds(text: str) -> float:
    try:
        Settings(end_silence_s=float(text), trailing_pad_s=0.0)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected seconds, from 0.05 to 10, found {text!r}"
        ) from None
    return float(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, found {text!r}")
    return int(text)


def _save_path(text: str) -> Path:
    try:
        format_of(Path(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)


def _folder(text: str) -> Path:
    try:
        Path(text).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"expected a folder, found {text!r}: {error.strerror}"
        ) from None
    return Path(text)
