"""The command line: its commands, signals and exit codes.

Transcripts go to stdout and nothing else does. Exit status: 0 done, 1 failed, 2 wrong usage,
130 interrupted, 141 nobody reads the output any more.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import functools
import gc
import io
import json
import logging
import math
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tqdm import tqdm

from streamer import configuration
from streamer.arguments import parser
from streamer.dictation import Mode
from streamer.errors import AudioError, ConfigurationError, StreamerError
from streamer.events import Closed, Event, Statistics
from streamer.interruption import INTERRUPTED, Interruption, ends_at_once
from streamer.options import settings_of, source_of
from streamer.outputs import Outputs, say
from streamer.pipeline import Pipeline
from streamer.settings import SAMPLE_RATE
from streamer.sources import Source
from streamer.sources.devices import input_devices_in_time
from streamer.sources.file import File
from streamer.sources.microphone import Microphone
from streamer.sources.pipe import Pipe
from streamer.transcriber import Transcriber

if TYPE_CHECKING:
    from streamer.models.compiled import CompiledModel

FAILED, WRONG_USAGE, BROKEN_PIPE = 1, 2, 141
LONG_RECORDING_S = 30.0  # from here on a progress bar is worth its line
LONG_COLLECTION_S = 0.01  # Half of what the microphone's thread hears at once.


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
    assert isinstance(sys.stdout, io.TextIOWrapper)
    # What the system's encoding has no character for must not end the transcript.
    sys.stdout.reconfigure(errors="replace")
    if not {"-v", "--verbose"} & set(sys.argv):
        terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        sys.stderr = os.fdopen(terminal, "w", buffering=1, errors="backslashreplace")
        os.dup2(nowhere, 2)
        os.close(nowhere)
    _look_at_survivors_once()
    # A crash in native code is seen by nobody else.
    faulthandler.enable(sys.stderr, all_threads=False)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # See `__main__`; a shell may ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    status = main()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # What there was to say of it is said.
            stream.flush()
    # Everything is done and written: no library may still fail while Python takes itself down.
    os._exit(status)


def _look_at_survivors_once() -> None:
    """Have what survived a long garbage collection not be looked at again.

    To look at TensorFlow's 300,000 objects takes 0.2 s, in which no thread runs, not even the one
    that reads the microphone. (Measured over four minutes: the longest is 7 ms then, and the start
    takes 0.3 s less.) A program that has this one in it decides for itself.
    """
    began_s = 0.0

    def watch(phase: str, _: dict[str, int]) -> None:
        nonlocal began_s
        if phase == "start":
            began_s = time.perf_counter()
        elif time.perf_counter() - began_s > LONG_COLLECTION_S:
            gc.freeze()

    gc.callbacks.append(watch)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    is_verbose = False
    try:
        options = _options(list(sys.argv[1:] if arguments is None else arguments))
        if is_verbose := options.verbose:
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0")
        logging.getLogger("streamer").handlers = [_Warnings(logging.WARNING)]
        if check := getattr(options, "check", None):
            check(options)
        status = COMMANDS[options.command](options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except (StreamerError, OSError) as error:
        _complain(error, is_verbose)
        return WRONG_USAGE if isinstance(error, ConfigurationError) else FAILED
    except RuntimeError:
        if os.path.expanduser("~") != "~":  # Else it is what `pathlib` says of that.
            raise
        say("Expected a home folder for the configuration and the cache, found none: set HOME.")
        return FAILED


def _options(argv: list[str]) -> argparse.Namespace:
    """What the command line says, and where it says nothing, the configuration.

    Raises:
        ConfigurationError: It is damaged, and the command is not the one that says what is wrong.
    """
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version")):
        argv.insert(0, "captions")
    top = parser()
    damage: ConfigurationError | None = None
    if not argv[0].startswith("-"):
        _refuse_unless_command(top, argv[0])
    try:
        settings = configuration.apply(top, os.environ)
    except ConfigurationError as error:
        if {"-h", "--help", "--version"} & set(argv):  # These need no configuration.
            top.parse_args(argv)
        if argv[0] not in ("doctor", "completion") and argv[:2] != ["config", "--path"]:
            raise
        settings, damage = [], error
    options = top.parse_args(argv)
    options.settings, options.damage = settings, damage
    return options


def _refuse_unless_command(top: argparse.ArgumentParser, name: str) -> None:
    if name in COMMANDS:
        return
    if Path(name).is_file():
        top.error(f"{name!r} is no command; a recording goes to `streamer transcribe {name}`")
    hint = configuration.what_was_meant(name, COMMANDS, f"there are {', '.join(COMMANDS)}")
    top.error(f"{name!r} is no command; {hint}")


def sample_path() -> Path:
    """The bundled sample of speech."""
    return Path(str(resources.files("streamer") / "sample" / "sample.flac"))


def _captions(options: argparse.Namespace) -> int:
    from streamer import captions_command

    source = _live_source(options)
    transcriber = Transcriber(source, model=options.model, settings=settings_of(options))
    with Outputs(options) as outputs:
        status = captions_command.show(
            transcriber, source, outputs, then=functools.partial(_hint_at_other_models, options)
        )
    if outputs.has_failed:  # Ctrl-C is how captions end; that not everything is saved is news.
        return FAILED
    return status


def _dictate(options: argparse.Namespace) -> int:
    from streamer import control, dictate_command

    if options.control is not None:
        print(control.send(options.control))
        return 0
    goal = dictate_command.goal_of(options)
    mode = dictate_command.mode_of(options, goal)
    options.shows_partials = mode is not Mode.FINAL
    dictation = dictate_command.dictation_of(options, mode)
    source = _live_source(options)
    transcriber = Transcriber(source, model=options.model, settings=settings_of(options))
    if options.paused:
        transcriber.pause(after_s=0.0)
    with (
        Interruption(source) as interruption,
        dictate_command.Switch(transcriber, source),
        transcriber,
    ):
        if options.paused:
            say("Paused. `streamer dictate --control start` begins, Ctrl-C ends.")
        else:
            say(f"Listening: what you say is {goal.description}. Ctrl-C ends.")
            if options.live and mode is Mode.FINAL:
                say("Nothing can be taken back there: --live waits for the end of each utterance.")
            say("The model is loading; what you say meanwhile is kept.")
        _hint_at_other_models(options)
        events = dictate_command.told(transcriber)
        is_written = dictate_command.write(events, dictation, goal)
    if not is_written:
        return FAILED
    return INTERRUPTED if interruption.happened else 0


def _live_source(options: argparse.Namespace) -> Source:
    if not options.sample:
        return Microphone(options.device)
    sample = File(sample_path(), realtime=True)
    sample.name = "the bundled sample"
    return sample


def _transcribe(options: argparse.Namespace) -> int:
    options.load = functools.cache(functools.partial(_load, options))
    has_failed = False
    with Outputs(options) as outputs:
        for path in options.paths:
            source = source_of(path, options)
            outputs.begin()
            statistics: Statistics | None = None
            with Interruption(source) as interruption:
                try:
                    for event in _events(source, options):
                        if isinstance(event, Closed):
                            statistics = event.statistics
                        with tqdm.external_write_mode(sys.stdout):
                            outputs.write(event, path)
                except (AudioError, OSError) as error:
                    if isinstance(error, OSError) and error.filename is None:
                        raise  # It is stdout, and that of all of them.
                    _complain(error, options.verbose)
                    has_failed = True
                else:
                    if statistics and not interruption.happened:
                        _hint_at_silence(statistics, path)
            if interruption.happened:
                return INTERRUPTED
    return FAILED if has_failed or outputs.has_failed else 0


def _devices(_options: argparse.Namespace) -> int:
    devices = input_devices_in_time()
    for device in devices:
        mark = "*" if device.is_default else " "
        form = f"{device.channels} channels, {device.sample_rate} Hz"
        print(f"{mark} {device.index}  {device.name}  ({form})")
    return 0


def _bench(options: argparse.Namespace) -> int:
    from streamer import bench

    recordings = bench.read_manifest(
        options.folder or sample_path().parent, subset=options.subset, limit=options.limit
    )
    model, settings = _load(options), settings_of(options)
    results: bench.Results | bench.Soak
    if options.hours is not None:
        results = bench.soak(recordings, model=model, settings=settings, hours=options.hours)
    else:
        results = bench.measure(
            recordings,
            model=model,
            settings=settings,
            realtime=options.realtime,
            noise_minutes=options.minutes if options.noise else 0.0,
        )
    print(json.dumps(results.to_json(), indent=2) if options.json else results.table())
    return 0


def _models(options: argparse.Namespace) -> int:
    from streamer.models_command import ACTIONS

    return ACTIONS[options.action](options)


def _config(options: argparse.Namespace) -> int:
    from streamer import config_command

    unknown = configuration.unknown_variables(os.environ, options.settings)
    return config_command.run(options, options.settings, unknown)


def _doctor(options: argparse.Namespace) -> int:
    from streamer import doctor

    return doctor.run(options)


def _completion(options: argparse.Namespace) -> int:
    from streamer import completion

    print(completion.script(parser(), options.shell))
    return 0


def _load(options: argparse.Namespace) -> CompiledModel:
    from streamer import models

    with ends_at_once():  # In the middle of TensorFlow, where Python cannot.
        model = models.load(
            options.model, jit_compile=options.jit_compile, precision=options.precision
        )
    _hint_at_other_models(options)
    return model


def _hint_at_other_models(options: argparse.Namespace) -> None:
    """Say that there are others, to who uses the model in the package without having asked."""
    from streamer.models import store
    from streamer.models.catalogue import STARTER

    if options.model == "auto" and store.default() == STARTER:
        say(f"The model is {STARTER}; `streamer models` lists others.")


def _hint_at_silence(statistics: Statistics, path: str) -> None:
    """Say of a recording that gave no text why it did not."""
    path = "standard input" if path == "-" else path
    if not statistics.utterances:
        say(f"{path}: nothing in it sounds like speech.")
    elif not statistics.words:
        say(f"{path}: no word in it was understood.")


class _Warnings(logging.Handler):
    """Says what the library warns of."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def _events(source: File | Pipe, options: argparse.Namespace) -> Iterator[Event]:
    """The events of one recording or pipe, at the speed of speech or as fast as they come."""
    if isinstance(source, File) and options.realtime:
        with Transcriber(
            source, model=options.load(), settings=settings_of(options)
        ) as transcriber:
            yield from transcriber
        return
    failure: AudioError | None = None
    source.open()
    with contextlib.closing(source):
        pipeline = Pipeline(options.load(), settings_of(options))
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
        desc=Path(source.name).name,
        smoothing=0,  # An average: the first seconds compile, and pieces come by the dozen.
        disable=duration_s < LONG_RECORDING_S or not sys.stderr.isatty(),
        bar_format="{desc}: {percentage:3.0f} % |{bar}| {n:.0f} of {total} s, {remaining} left",
        leave=False,
        dynamic_ncols=True,
        file=sys.stderr,
    )


def _complain(error: BaseException, verbose: bool) -> None:
    if verbose:
        with contextlib.suppress(OSError):
            traceback.print_exception(error)
    if isinstance(error, OSError) and error.filename is None:
        say(f"The output cannot be written: {error.strerror or error}.")
    elif isinstance(error, OSError):
        say(f"{error.filename}: it cannot be opened: {error.strerror or error}.")
    else:
        say(str(error))


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "captions": _captions,
    "dictate": _dictate,
    "transcribe": _transcribe,
    "devices": _devices,
    "bench": _bench,
    "models": _models,
    "config": _config,
    "doctor": _doctor,
    "completion": _completion,
}
