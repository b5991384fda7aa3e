"""The arguments of the command line; `options` says what they stand for."""

from __future__ import annotations

import argparse
import functools
import math
import shlex
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

from streamer import __version__
from streamer.configuration import what_was_meant
from streamer.control import ORDERS
from streamer.options import NO_GOAL, check_bench, check_dictate, check_save, check_transcribe
from streamer.settings import NUMBER_STYLES, PRECISIONS, PRESETS, Settings, TextStyle
from streamer.sources.pipe import ENCODINGS
from streamer.typing_tools import NAMES as TARGETS
from streamer.writers import FORMATS, SUFFIXES, format_of

SHELLS = ("bash", "zsh", "tcsh")


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong; how a command is used, its help says.

    Attributes:
        commands: Those of the program, where this one is the command that may be left out.
    """

    commands: Collection[str] = ()

    def error(self, message: str) -> NoReturn:  # noqa: D102
        self.exit(2, f"{self.prog}: error: {message} (`{self.prog} --help` explains it)\n")

    def parse_known_args(  # type: ignore[override]  # It is overloaded there.
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse, but what is unknown is refused, by the command that does not know it."""
        found, unknown = super().parse_known_args(args, namespace)
        if command := next((word for word in unknown if word in self.commands), None):
            others = list(args or ())
            others.remove(command)
            meant = shlex.join([command, *others])
            self.error(f"{command!r} is a command, and options come behind it: streamer {meant}")
        if unknown:
            name, _, _ = unknown[0].partition("=")
            if not name.startswith("-"):
                self.error(f"{name!r} is not expected here")
            known = [option for option in self._option_string_actions if option.startswith("--")]
            hint = what_was_meant(name, known, "")
            self.error(f"there is no option {name!r}" + (f"; {hint}" if hint else ""))
        return found, unknown


def parser() -> argparse.ArgumentParser:
    """The arguments of all commands."""
    top = Parser(
        prog="streamer",
        description="Speech to text while it is being spoken, on this machine.",
        epilog="Without a command: live captions. `streamer COMMAND --help` explains each.",
    )
    top.add_argument("--version", action="version", version=f"streamer {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    captions = commands.add_parser(
        "captions",
        parents=[_speech(), _live(), _written(), _readable(numbers="prose"), _common()],
        help="live captions from the microphone",
        description="Live captions: what is being said as a line that is rewritten, what was said "
        "above it. On a pipe only finished utterances, one a line, or every event as JSON.",
    )
    captions.add_argument(
        "--large",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="large letters, for reading from a distance; default: no",
    )
    captions.set_defaults(
        command="captions",
        shows_partials=sys.stdout.isatty(),
        check=functools.partial(check_save, captions),
    )

    _add_dictate(commands)

    transcribe = commands.add_parser(
        "transcribe",
        parents=[_speech(), _written(), _readable(numbers="words"), _common()],
        help="recordings, or sound on standard input",
        description="Transcribe recordings (any format that libsndfile reads), or WAV or raw PCM "
        "on standard input.",
    )
    transcribe.add_argument("paths", nargs="+", metavar="PATH", help="a recording, or - for stdin")
    transcribe.add_argument(
        "--output-dir",
        type=Path,
        metavar="FOLDER",
        help="write one file for each recording into this folder instead of to stdout",
    )
    transcribe.add_argument(
        "--realtime",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="feed recordings at the speed of speech",
    )
    raw = transcribe.add_argument_group("raw PCM on standard input (a WAV stream says it itself)")
    raw.add_argument("--rate", type=int, metavar="HZ", help="sample rate; default: 16000")
    raw.add_argument("--channels", type=int, metavar="N", help="interleaved channels; default: 1")
    raw.add_argument("--encoding", choices=ENCODINGS, help="default: s16, little-endian as all")
    transcribe.set_defaults(
        command="transcribe",
        shows_partials=False,
        check=functools.partial(check_transcribe, transcribe),
    )

    devices = commands.add_parser(
        "devices",
        parents=[_common()],
        help="input devices",
        description="Input devices, one a line; a star marks the default one.",
    )
    devices.set_defaults(command="devices")

    _add_models(commands)

    doctor = commands.add_parser(
        "doctor",
        parents=[_common()],
        help="what this machine has, and what to mend",
        description="Look at this machine: TensorFlow, PortAudio, the microphone, the models and "
        "whether they keep up, tools for dictation; and say what mends what is wrong. The exit "
        "status is 1 if there is a problem.",
    )
    doctor.add_argument(
        "--seconds",
        type=_seconds_or_none,
        default=5.0,
        metavar="S",
        help="how long to listen to the microphone; 0 leaves it out; default: 5",
    )
    doctor.add_argument("--device", metavar="ID_OR_NAME", help="the microphone to look at")
    doctor.add_argument(
        "--model",
        default="auto",
        metavar="NAME_OR_PATH",
        help="the model to look at; default: auto, all that are on this machine",
    )
    doctor.add_argument(
        "--json", action="store_true", help="print JSON, for bug reports, without private data"
    )
    doctor.set_defaults(command="doctor")

    config = commands.add_parser(
        "config",
        parents=[_common()],
        help="the configuration that is in force",
        description="Show every option's value where the command line says nothing, and where it "
        "comes from, as a file that could be the configuration.",
        epilog="The file is STREAMER_CONFIG, or config.toml in the user's configuration folder. "
        "Variables: STREAMER_MODEL for --model of every command, STREAMER_CAPTIONS_MODEL for that "
        "of captions; they go before the file, and the command line before them.",
    )
    config.add_argument("--path", action="store_true", help="print where the file is")
    config.set_defaults(command="config")

    completion = commands.add_parser(
        "completion",
        parents=[_common()],
        help="completion of this command line, for a shell",
        description="Print a script that makes a shell complete the names of commands and options.",
        epilog='bash: eval "$(streamer completion bash)" in ~/.bashrc. zsh: streamer completion '
        "zsh >_streamer, in a folder of $fpath. tcsh: streamer completion tcsh >FILE, and source "
        "it in ~/.tcshrc.",
    )
    completion.add_argument("shell", choices=SHELLS)
    completion.set_defaults(command="completion")

    bench = commands.add_parser(
        "bench",
        parents=[_speech(), _common()],
        help="measure words, latency, flicker and speed",
        description="Measure over the recordings of a folder with a manifest.tsv (columns path "
        "and transcript at least), or over the bundled sample.",
    )
    bench.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="with recordings and their manifest.tsv; without it: the bundled sample",
    )
    bench.add_argument(
        "--realtime",
        action="store_true",
        help="feed at the speed of speech and measure latency by the wall clock",
    )
    bench.add_argument("--subset", help="only rows whose column `subset` says so")
    bench.add_argument("--limit", type=_count, metavar="N", help="only the first N recordings")
    bench.add_argument(
        "--noise",
        action="store_true",
        help="count the words, too, that come out of sounds without any, made by the benchmark: "
        "silence, hiss, hum, typing, breath, beeps, music, ...",
    )
    bench.add_argument(
        "--minutes",
        type=_amount,
        default=2.0,
        metavar="M",
        help="with --noise: how much of each kind, by the audio clock; default: 2",
    )
    bench.add_argument(
        "--hours",
        type=_amount,
        metavar="H",
        help="instead of measuring words: recordings and silence in turn as one stream of so many "
        "hours, by the audio clock, to see whether memory grows",
    )
    bench.add_argument("--json", action="store_true", help="print JSON instead of a table")
    bench.set_defaults(
        command="bench",
        shows_partials=True,
        check=functools.partial(check_bench, bench),
    )
    captions.commands = commands.choices
    return top


# A parser of its own for each command: defaults that the configuration changes are those of one.


def _common() -> Parser:
    """What every command has."""
    common = Parser(add_help=False)
    common.add_argument(
        "-v", "--verbose", action="store_true", help="show tracebacks and TensorFlow's log"
    )
    return common


def _speech(preset: str = "captions") -> Parser:
    """How speech is found and recognised."""
    speech = Parser(add_help=False)
    speech.add_argument(
        "--model",
        default="auto",
        metavar="NAME_OR_PATH",
        help="a name that `streamer models` lists, ORGANISATION/NAME of a checkpoint on Hugging "
        "Face, an address on TF-Hub, or the folder of a checkpoint or a SavedModel; default: auto, "
        "wav2vec2-960h if it has been pulled, else starter",
    )
    speech.add_argument(
        "--jit-compile",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="compile the model with XLA or not; default: as the model says",
    )
    speech.add_argument(
        "--language-model",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="let English words and pairs of words help to find the text, where the model writes "
        "English letters and --language is en; default: yes",
    )
    speech.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="bfloat16 takes less memory, and less time where the processor has instructions for "
        "it; for starter, wav2vec 2.0 and HuBERT; default: auto, which is bfloat16 for starter on "
        "such a processor, else float32",
    )
    speech.add_argument(
        "--preset",
        choices=PRESETS,
        default=preset,
        help="how long a pause may be: command 0.3 s, captions 0.5 s, dictation 0.8 s; "
        f"default: {preset}",
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
    return speech


def _live() -> Parser:
    """What is listened to."""
    live = Parser(add_help=False)
    sources = live.add_mutually_exclusive_group()
    sources.add_argument(
        "--device",
        metavar="ID_OR_NAME",
        help="input device: its index, or part of its name (see `streamer devices`)",
    )
    sources.add_argument(
        "--sample", action="store_true", help="hear the bundled sample, without a microphone"
    )
    return live


def _add_dictate(commands: Any) -> None:
    """The arguments of `streamer dictate`."""
    dictate = commands.add_parser(
        "dictate",
        parents=[_speech("dictation"), _live(), _readable(numbers="prose"), _common()],
        help="what you say is typed into the focused window",
        description="Type what is said into the focused window, or write it elsewhere. Spoken "
        "commands: comma, period or full stop, colon, semicolon, question mark, exclamation mark, "
        "open quote, close quote; caps or capital WORD, all caps WORDS (to a pause, a mark or end "
        "caps); scratch that (what was said since the last pause is taken back); literal COMMAND, "
        "which writes its words; with --enter new line, new paragraph.",
        epilog="For push-to-talk or a toggle, run it with --paused, and let shortcuts of the "
        "desktop run `streamer dictate --control start`, stop or toggle (or send it SIGUSR1, which "
        "toggles). What was said before a stop is still typed.",
    )
    where = dictate.add_argument_group("where the text goes")
    goals = where.add_mutually_exclusive_group()
    goals.add_argument(
        "--to",
        action=_Goal,
        choices=TARGETS,
        default="auto",
        help="a tool that types, or the clipboard, or stdout; default: auto, the tool that works "
        "in this session",
    )
    goals.add_argument(
        "--file", action=_Goal, type=Path, metavar="FILE", help="append it to a file"
    )
    goals.add_argument(
        "--exec",
        action=_Goal,
        metavar="COMMAND",
        help="run a command for each utterance, which finds the text, a line, on its standard "
        "input",
    )
    dictate.add_argument(
        "--live",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="type words at once and correct them with Backspace; default: only words that stay",
    )
    dictate.add_argument(
        "--enter",
        action=argparse.BooleanOptionalAction,
        default=False,
        help='let "new line" and "new paragraph" press Enter, which in a chat or a shell sends '
        "what stands there; default: no",
    )
    dictate.add_argument(
        "--sentence-ends",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="end a sentence where one pauses; default: no, one says period",
    )
    dictate.add_argument(
        "--marks",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write the commas and full stops between words that the model writes (starter does), "
        "beside those that are dictated; default: yes",
    )
    dictate.add_argument(
        "--replace",
        action=_Replacement,
        default={},
        metavar="PHRASE=TEXT",
        help="write the text where the phrase is said; may be given several times, and as a table "
        "[dictate.replace] in the configuration",
    )
    dictate.add_argument(
        "--paused", action="store_true", help="begin when told to; the model is loaded already"
    )
    dictate.add_argument(
        "--control", choices=ORDERS, help="give an order to the dictation that is running, and end"
    )
    dictate.set_defaults(
        command="dictate",
        format="text",
        shows_partials=True,
        check=functools.partial(check_dictate, dictate),
    )


class _Goal(argparse.Action):
    """Takes the place of the other goals, which the configuration may have named."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        vars(namespace).update(NO_GOAL)
        setattr(namespace, self.dest, values)


class _Replacement(argparse.Action):
    """Adds PHRASE=TEXT to a table."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        phrase, equals, text = values.partition("=")
        if not equals:
            parser.error(f"argument {option_string}: expected PHRASE=TEXT, found {values!r}")
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), phrase: text})


def _add_models(commands: Any) -> None:
    """The arguments of `streamer models`."""
    models = commands.add_parser(
        "models",
        parents=[_common()],
        help="models by name: list, pull, verify, path",
        description="Models that can be used by name. Nothing is downloaded but by `pull`.",
        epilog="They are kept in STREAMER_MODELS_DIR, or a folder of the user's cache; those of "
        "Hugging Face in the cache of huggingface_hub. Without an action: list.",
    )
    models.set_defaults(command="models", action="list", json=False)
    actions = models.add_subparsers(title="actions", metavar="ACTION")

    listing = actions.add_parser(
        "list", parents=[_common()], help="what there is, and what is on this machine"
    )
    listing.add_argument("--json", action="store_true", help="print JSON instead of a table")
    listing.set_defaults(action="list")

    pull = actions.add_parser(
        "pull",
        parents=[_common()],
        help="download a model",
        description="Download a model, going on where an earlier attempt ended, check it, and "
        "install it as a whole. What is here already is left alone.",
    )
    pull.add_argument(
        "name", metavar="NAME", help="of the list, ORGANISATION/NAME on Hugging Face, or an address"
    )
    pull.add_argument(
        "--from",
        dest="source",
        metavar="URL",
        help="download the archive of wav2vec2-960h from here, a mirror of your own perhaps",
    )
    pull.set_defaults(action="pull")

    verify = actions.add_parser(
        "verify", parents=[_common()], help="compare a model's files with their checksums"
    )
    path = actions.add_parser("path", parents=[_common()], help="print where a model is")
    for action, name in ((verify, "verify"), (path, "path")):
        action.add_argument("name", metavar="NAME")
        action.set_defaults(action=name)


def _written() -> Parser:
    """What is written, and where."""
    written = Parser(add_help=False)
    written.add_argument(
        "--format", choices=FORMATS, default="text", help="what stdout carries; default: text"
    )
    written.add_argument(
        "--save",
        type=_save_path,
        metavar="FILE",
        help=f"write the transcript to a file as well; its ending ({', '.join(SUFFIXES)}) "
        "says the format; what was there before gets another name (FILE.~1~)",
    )
    written.add_argument(
        "--text",
        choices=("readable", "raw"),
        default="readable",
        help="readable: sentences with capitals and full stops; raw: the words as recognised, as "
        "they always are in jsonl; default: readable",
    )
    return written


def _readable(numbers: str) -> Parser:
    """How words are written.

    Args:
        numbers: How numbers are written unless the user says otherwise. Captions are read at a
            glance and are gone; a transcript is a record of what was said, where a wrong guess
            would stay.
    """
    readable = Parser(add_help=False)
    readable.add_argument(
        "--numbers",
        choices=NUMBER_STYLES,
        default=numbers,
        help="in readable text, words: twenty three dollars; prose: $23, but three people; "
        f"digits: 3 people; default: {numbers}",
    )
    readable.add_argument(
        "--language",
        type=_language,
        default="en",
        metavar="CODE",
        help="what is spoken; in others than English no language model helps, and words stay as "
        "they are but for capitals and full stops; default: en",
    )
    return readable


def _seconds(text: str) -> float:
    try:
        Settings(end_silence_s=float(text), trailing_pad_s=0.0)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected seconds, from 0.05 to 10, found {text!r}"
        ) from None
    return float(text)


def _seconds_or_none(text: str) -> float:
    try:
        return 0.0 if text == "0" else _amount(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"expected 0 or a number above it, found {text!r}"
        ) from None


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, found {text!r}")
    return int(text)


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0.0 < amount < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return amount


def _language(text: str) -> str:
    try:
        TextStyle(language=text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _save_path(text: str) -> Path:
    try:
        format_of(Path(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)
