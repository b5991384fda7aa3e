"""The command line: as a real process where that matters, else as a call of `main`.

A process that loads TensorFlow takes seconds: there are few of them, and each shows several things.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from event_guarantees import check_event_guarantees
from speech import excerpt

from streamer import (
    AudioDropped,
    Closed,
    DeviceLost,
    DeviceRestored,
    Event,
    Final,
    Partial,
    SpeechStarted,
    Statistics,
    Word,
    cli,
    models,
)
from streamer.arguments import parser
from streamer.audio import Samples
from streamer.bench.noises import noise
from streamer.cli import _progress, main
from streamer.models.compiled import CompiledModel
from streamer.options import style_of
from streamer.outputs import Outputs
from streamer.settings import TextStyle
from streamer.sources.file import File

FIRST = "GOOD MORNING AND THANK YOU ALL FOR COMING"
FIRST_READABLE = "Good morning, and thank you all for coming."
COMMANDS = ("captions", "transcribe", "devices", "bench", "models")


def run(
    *arguments: str | Path, stdin: bytes | None = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "streamer", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        timeout=120,
    )


def complaint(done: subprocess.CompletedProcess[bytes], status: int) -> str:
    """The one line with which a command has failed."""
    stderr = done.stderr.decode()
    assert done.returncode == status, stderr
    assert "Traceback" not in stderr
    assert done.stdout == b""
    lines = stderr.splitlines()
    assert len(lines) == 1, stderr
    assert lines[0].startswith("streamer")
    if status == 2:
        assert "error: " in lines[0]
    return lines[0]


def first() -> Samples:
    return excerpt(0.0, 3.3)


def second() -> Samples:
    return excerpt(3.0, 6.3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings, good ones and bad ones."""
    folder = tmp_path_factory.mktemp("recordings")
    soundfile.write(folder / "first.wav", first(), 16_000)
    soundfile.write(folder / "second.flac", second(), 16_000)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("Dear diary, today I spoke into a microphone.\n" * 10)
    (folder / "folder.wav").mkdir()
    soundfile.write(folder / "nothing.wav", np.zeros(0, np.float32), 16_000)
    broken = first().copy()
    broken[-100] = np.nan
    soundfile.write(folder / "broken.wav", broken, 16_000, subtype="FLOAT")
    return folder


# What cannot be done: one line, and the exit status.


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["transcribe", "missing.wav"], 1, "missing.wav: there is no such file"),
        (["transcribe", "empty.wav"], 1, "empty.wav: the file is empty"),
        (["transcribe", "text.wav"], 1, "text.wav: expected a recording"),
        (["transcribe", "folder.wav"], 1, "folder.wav: expected a recording, found a folder"),
        (["transcribe", "nothing.wav"], 1, "nothing.wav: the recording holds no sound"),
        (["transcribe", "-"], 1, "the pipe is empty"),
        (["transcribe", "first.wav", "--model", "nobody"], 1, "found nothing of the kind: nobody"),
        (["transcribe", "first.wav", "--model", "."], 1, "found a folder with neither: ."),
        (["captions", "--device", "no such device"], 1, ""),
        (["captions", "--device", "9999"], 1, ""),
        (["--device", "no such device"], 1, ""),
        (["bench", "missing"], 1, "missing"),
        (["transcribe"], 2, "required: PATH"),
        (["transcribe", ""], 2, "found an empty text"),
        (["transcribe", "-", "--rate", "12"], 2, "from 4000 to 384000 Hz, found 12"),
        (["transcribe", "-", "--rate", "0"], 2, "from 4000 to 384000 Hz, found 0"),
        (["transcribe", "-", "--rate", "fast"], 2, "invalid int value: 'fast'"),
        (["transcribe", "-", "--channels", "-1"], 2, "1 to 1024 channels, found -1"),
        (["transcribe", "-", "--encoding", "mp3"], 2, "invalid choice: 'mp3'"),
        (["transcribe", "-", "-"], 2, "can be read once only"),
        (["transcribe", "-", "--realtime"], 2, "a pipe has its own speed"),
        (["transcribe", "first.wav", "--rate", "8000"], 2, "--rate describes raw PCM"),
        (["transcribe", "a.wav", "b.wav", "--format", "srt"], 2, "srt holds one recording"),
        (["transcribe", "a.wav", "b.wav", "--save", "c.vtt"], 2, "vtt holds one recording"),
        (["transcribe", "first.wav", "--save", "a.docx"], 2, "found 'a.docx'"),
        (["transcribe", "first.wav", "--output-dir", "first.wav"], 2, "expected a folder"),
        (["transcribe", "first.wav", "--format", "pdf"], 2, "invalid choice: 'pdf'"),
        (["transcribe", "first.wav", "--end-silence", "0"], 2, "expected seconds"),
        (["transcribe", "first.wav", "--end-silence", "nan"], 2, "expected seconds"),
        (["transcribe", "first.wav", "--end-silence", "inf"], 2, "expected seconds"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_said_in_one_line(
    folder: Path, arguments: list[str], status: int, message: str
) -> None:
    assert message in complaint(run(*arguments, cwd=folder), status)


def test_a_standard_input_that_is_closed_is_said_in_one_line() -> None:
    command = [sys.executable, "-m", "streamer", "transcribe", "-"]
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True, timeout=120
    )
    assert "standard input" in complaint(done, 1)


def test_a_broken_sample_is_said_after_what_came_before_it(folder: Path) -> None:
    done = run("transcribe", "broken.wav", "--model", "starter", cwd=folder)
    assert done.returncode == 1
    assert done.stdout.decode().splitlines() == [FIRST_READABLE]
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("streamer: broken.wav: The sound has a sample that is not a number")


def test_what_the_encoding_has_no_character_for_ends_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streamer", "config", "--path"],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "STREAMER_CONFIG": "日.toml"},
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"?.toml\n", b"")


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_every_command_explains_itself(command: str | None) -> None:
    done = run(*([command] if command else []), "--help")
    assert done.returncode == 0
    assert done.stderr == b""
    text = done.stdout.decode()
    assert text.startswith("usage: streamer")
    if command is None:
        assert set(COMMANDS) <= set(text.split())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dictat", "'dictat' is no command; did you mean 'dictate'?"),
        ("42", "'42' is no command; there are captions, dictate, transcribe"),
        ("talk.wav", "'talk.wav' is no command; a recording goes to `streamer transcribe"),
    ],
)
def test_what_is_no_command_is_refused_with_what_was_meant(
    name: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "talk.wav").touch()
    assert expected in complaint(run(name, cwd=tmp_path), status=2)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["captions", "--language", "english"], "Expected the code of a language, as en or de-AT"),
        (["captions", "--sample", "--device", "0"], "argument --device: not allowed with argument"),
        (["captions", "--sve", "a.txt"], "captions: error: there is no option '--sve'; did you"),
        (["--sve=a.txt"], "did you mean '--save'?"),
        (["models", "pull", "--jit", "x"], "models pull: error: there is no option '--jit' ("),
        (["captions", "talk.wav"], "'talk.wav' is not expected here"),
        (["-v", "doctor"], "'doctor' is a command, and options come behind it: streamer doctor -v"),
        (["--model", "a b", "config", "--path"], "behind it: streamer config --model 'a b' --path"),
    ],
)
def test_an_option_or_a_value_that_there_is_not_is_refused_in_one_line(
    arguments: list[str], expected: str
) -> None:
    assert expected in complaint(run(*arguments), status=2)


def test_the_version_is_printed() -> None:
    from streamer import __version__

    assert run("--version").stdout.decode() == f"streamer {__version__}\n"


# What is transcribed.


def test_good_recordings_in_a_list_are_transcribed_and_standard_input_is_one_of_them(
    folder: Path,
) -> None:
    paths = ["first.wav", "missing.wav", "-", "text.wav", "second.flac"]
    stdin = (folder / "first.wav").read_bytes()
    command = ["transcribe", *paths, "--format", "jsonl", "--model", "starter"]
    done = run(*command, stdin=stdin, cwd=folder)
    assert done.returncode == 1
    complaints = done.stderr.decode().splitlines()
    assert [line.split(":")[1].strip() for line in complaints] == ["missing.wav", "text.wav"]

    objects = [json.loads(line) for line in done.stdout.splitlines()]
    sources = list(dict.fromkeys(thing["source"] for thing in objects))
    assert sources == ["first.wav", "-", "second.flac"]
    streams = {
        source: [thing for thing in objects if thing["source"] == source] for source in sources
    }
    for stream in streams.values():
        check_event_guarantees([event_of(thing) for thing in stream])
        assert stream[0]["utterance"] == 0
        assert [thing["type"] for thing in stream].count("partial") > 1
    assert text_of(streams["first.wav"]) == FIRST
    assert {**streams["-"][-2], "source": "first.wav"} == streams["first.wav"][-2]
    assert text_of(streams["second.flac"]).startswith("MY TRAIN WAS")


def test_raw_pcm_on_standard_input_is_the_same_text_as_the_file() -> None:
    stereo = np.stack([first()] * 2, axis=1)
    raw = np.round(stereo * 32768).astype("<i2").tobytes()
    form = ["--rate", "16000", "--channels", "2", "--encoding", "s16"]
    done = run("transcribe", "-", "--model", "starter", *form, stdin=raw)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == FIRST_READABLE + "\n"


def text_of(stream: list[dict[str, Any]]) -> str:
    return " ".join(thing["text"] for thing in stream if thing["type"] == "final")


def event_of(thing: dict[str, Any]) -> Event:
    """The event that a JSON object was made of."""
    fields = {name: value for name, value in thing.items() if name not in ("type", "source")}
    if "words" in fields:
        fields["words"] = tuple(Word(**word) for word in fields["words"])
    if "statistics" in fields:
        fields["statistics"] = Statistics(**fields["statistics"])
    kinds = (SpeechStarted, Partial, Final, AudioDropped, DeviceLost, DeviceRestored, Closed)
    return {kind.type: kind for kind in kinds}[thing["type"]](**fields)


@pytest.fixture
def _loaded(starter: CompiledModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of this process use the model of the other tests, as if it were the full one."""
    monkeypatch.setattr(models, "load", lambda *_, **__: starter)
    monkeypatch.setattr(models.store, "default", lambda: "wav2vec2-960h")


@pytest.mark.usefixtures("_loaded")
def test_one_file_for_each_recording_is_written_into_a_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(folder / name) for name in ("first.wav", "second.flac")]
    assert main(["transcribe", *paths, "--output-dir", str(tmp_path), "--format", "srt"]) == 0
    assert capsys.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.srt", "second.srt"]
    (tmp_path / "first.srt").write_text("corrected by hand")
    assert main(["transcribe", paths[0], "--output-dir", str(tmp_path), "--format", "srt"]) == 0
    assert f"it is {tmp_path / 'first.srt.~1~'} now" in capsys.readouterr().err
    assert (tmp_path / "first.srt.~1~").read_text() == "corrected by hand"
    for name in ("first.srt", "second.srt"):
        lines = (tmp_path / name).read_text(encoding="utf-8").splitlines()
        assert lines[0] == "1"
        assert " --> " in lines[1]


@pytest.mark.usefixtures("_loaded")
@pytest.mark.parametrize("ending", ["txt", "jsonl", "srt", "vtt"])
def test_the_transcript_is_saved_in_the_format_of_the_ending_and_still_printed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    saved = tmp_path / f"saved.{ending}"
    assert main(["transcribe", str(folder / "first.wav"), "--save", str(saved)]) == 0
    assert capsys.readouterr() == (FIRST_READABLE + "\n", "")
    text = saved.read_text(encoding="utf-8")
    begins = {"txt": "Good", "jsonl": '{"type": "speech_started"', "srt": "1\n", "vtt": "WEBVTT\n"}
    assert text.startswith(begins[ending])
    assert (FIRST if ending == "jsonl" else FIRST_READABLE) in text.replace("\n", " ")


@pytest.mark.usefixtures("_loaded")
def test_what_was_saved_another_time_is_kept(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "saved.txt"
    saved.write_text("Of yesterday.\n")
    assert main(["transcribe", str(folder / "first.wav"), "--save", str(saved)]) == 0
    assert (tmp_path / "saved.txt.~1~").read_text() == "Of yesterday.\n"
    assert saved.read_text() == FIRST_READABLE + "\n"
    assert "was there already" in capsys.readouterr().err


@pytest.mark.usefixtures("_loaded")
@pytest.mark.parametrize("form", ["text", "srt"])
def test_raw_text_is_the_words_as_recognised(
    folder: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    path = str(folder / "first.wav")
    assert main(["transcribe", path, "--text", "raw", "--format", form]) == 0
    assert FIRST in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "style"),
    [
        (["captions"], TextStyle(numbers="prose")),
        (["transcribe", "a.wav"], TextStyle(numbers="words")),
        (["transcribe", "a.wav", "--numbers", "digits"], TextStyle(numbers="digits")),
        (["captions", "--language", "de"], TextStyle(language="de")),
        (["captions", "--text", "raw", "--numbers", "prose"], None),
    ],
)
def test_the_style_of_text_is_what_the_command_and_its_options_say(
    arguments: list[str], style: TextStyle | None
) -> None:
    assert style_of(parser().parse_args(arguments)) == style


@pytest.mark.usefixtures("_loaded")
def test_of_several_recordings_all_are_saved(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(folder / name) for name in ("first.wav", "missing.wav", "second.flac")]
    saved = tmp_path / "saved.txt"
    assert main(["transcribe", *paths, "--save", str(saved)]) == 1
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 2
    assert saved.read_text(encoding="utf-8") == printed


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device is always full")
@pytest.mark.usefixtures("_loaded")
@pytest.mark.parametrize("ending", ["txt", "jsonl", "srt", "vtt"])
def test_a_full_disk_ends_the_saving_with_one_message_and_the_transcript_goes_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    saved = tmp_path / f"saved.{ending}"
    saved.symlink_to("/dev/full")
    assert main(["transcribe", str(folder / "first.wav"), "--save", str(saved)]) == 1
    printed = capsys.readouterr()
    assert printed.out == FIRST_READABLE + "\n"
    assert printed.err == f"streamer: {saved}: nothing more is saved: No space left on device.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device is always full")
def test_a_mark_on_a_full_disk_ends_the_saving_and_the_captions_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "saved.txt"
    saved.symlink_to("/dev/full")
    with Outputs(parser().parse_args(["captions", "--save", str(saved)])) as outputs:
        outputs.mark(61.5)
        outputs.mark(62.5)
        assert outputs.has_failed
    printed = capsys.readouterr()
    assert printed.out == "--- 0:01:01 ---\n--- 0:01:02 ---\n"
    assert printed.err == f"streamer: {saved}: nothing more is saved: No space left on device.\n"


@pytest.mark.parametrize("command", [["captions"], ["transcribe", "a.wav"]])
def test_a_file_that_cannot_be_there_is_refused_before_anything_is_said(
    command: list[str], tmp_path: Path
) -> None:
    said = complaint(run(*command, "--save", tmp_path / "none" / "a.srt"), status=2)
    assert "argument --save: expected a file in a folder that exists, found '" in said


@pytest.mark.parametrize("command", [["captions"], ["transcribe", "a.wav"]])
def test_a_folder_is_refused_as_a_file_before_anything_is_said(
    command: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a.srt").mkdir()
    said = complaint(run(*command, "--save", tmp_path / "a.srt"), status=2)
    assert "argument --save: expected a file, found a folder: '" in said


@pytest.mark.parametrize("there", [None, "", "from before"])
def test_a_file_that_may_not_be_written_is_refused_before_anything_is_said(
    there: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    saved = tmp_path / "a.srt"
    if there is not None:
        saved.write_text(there)
    # A new file is made where there is none, and where there is one that is to be kept.
    forbidden = saved if there == "" else tmp_path
    # Root may write whatever it is not allowed to.
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != forbidden)
    with pytest.raises(SystemExit, match="2"):
        main(["captions", "--save", str(saved)])
    said = f"argument --save: expected a place that may be written to, found '{forbidden}'"
    assert said in capsys.readouterr().err


def test_the_file_that_stdout_goes_to_is_not_saved_to(folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "a.txt"
    with saved.open("wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "streamer", "transcribe", "first.wav", "--save", saved],
            cwd=folder,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert f"argument --save: stdout goes to '{saved}' already; name another" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_an_interruption_at_any_moment_of_the_start_shows_no_traceback(tmp_path: Path) -> None:
    program = (
        "import streamer; print('up', flush=True); from streamer.__main__ import entry; entry()"
    )
    for wait_s in (0.05, 0.1, 0.2, 0.4):
        with subprocess.Popen(
            [sys.executable, "-c", program, "models"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            time.sleep(wait_s)
            process.send_signal(signal.SIGINT)
            assert b"Traceback" not in process.stderr.read()
            assert process.wait() in (0, 130, -signal.SIGINT)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_an_interruption_does_not_wait_for_the_model(folder: Path) -> None:
    program = (
        "import time; from streamer import cli, models\n"
        "models.load = lambda *_, **__: (print('loading', flush=True), time.sleep(50))\n"
        "cli.main(['transcribe', 'first.wav'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=folder
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loading\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == -signal.SIGINT


def test_a_mark_before_the_first_word_is_saved(tmp_path: Path) -> None:
    saved = tmp_path / "saved.vtt"
    with Outputs(parser().parse_args(["captions", "--save", str(saved)])) as outputs:
        outputs.mark(0.5)
    assert saved.read_text() == "WEBVTT\n\nNOTE 0:00:00\n\n"


@pytest.mark.parametrize(
    ("suffix", "saved_text"),
    [
        (".txt", "--- 0:01:05, 2.0 s of sound lost: overflow ---\n"),
        (".vtt", "WEBVTT\n\nNOTE 0:01:05, 2.0 s of sound lost: overflow\n\n"),
        (".srt", ""),  # It has no place for it.
    ],
)
def test_lost_sound_is_told_in_the_saved_file_and_not_on_a_pipe(
    suffix: str, saved_text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / f"saved{suffix}"
    with Outputs(parser().parse_args(["captions", "--save", str(saved)])) as outputs:
        outputs.write(AudioDropped(start_s=65.5, duration_s=2.0, reason="overflow"))
    assert saved.read_text() == saved_text
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device is always full")
def test_a_full_disk_behind_stdout_is_one_sentence(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [
                *[sys.executable, "-m", "streamer", "transcribe", "--model", "starter"],
                str(folder / "first.wav"),
            ],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr == "streamer: The output cannot be written: No space left on device.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device is always full")
def test_where_no_message_can_be_written_the_transcript_goes_on(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [
                *[sys.executable, "-m", "streamer", "transcribe", "-v"],
                *["missing.wav", "first.wav"],
            ],
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            cwd=folder,
        )
    assert (done.returncode, done.stdout) == (1, FIRST_READABLE + "\n")


def test_a_failure_of_which_the_system_says_nothing_has_its_own_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_options: object) -> int:
        raise OSError("not seekable")

    monkeypatch.setitem(cli.COMMANDS, "devices", fail)
    assert main(["devices"]) == 1
    assert capsys.readouterr().err == "streamer: The output cannot be written: not seekable.\n"


@pytest.mark.usefixtures("_loaded")
@pytest.mark.parametrize("form", ["text", "jsonl", "srt", "vtt"])
def test_for_a_recording_that_cannot_be_read_nothing_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    saved = tmp_path / "saved.txt"
    saved.write_text("from before")
    command = ["transcribe", str(folder / "text.wav"), "--format", form]
    assert main(command) == 1
    assert main([*command, "--output-dir", str(tmp_path)]) == 1
    assert main([*command, "--save", str(saved)]) == 1
    assert capsys.readouterr().out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["saved.txt"]
    assert saved.read_text() == "from before"


@pytest.mark.usefixtures("_loaded")
def test_recordings_of_the_same_name_do_not_overwrite_each_other(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    soundfile.write(tmp_path / "first.flac", second(), 16_000)
    paths = [str(folder / "first.wav"), str(tmp_path / "first.flac")]
    with pytest.raises(SystemExit) as caught:
        main(["transcribe", *paths, "--output-dir", str(tmp_path / "out")])
    assert caught.value.code == 2
    assert "several recordings would be written to" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("_loaded")
@pytest.mark.parametrize(
    ("name", "reason"), [("a", "Is a directory"), ("a" * 251, "File name too long")]
)
def test_a_file_that_cannot_be_made_does_not_end_the_list(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, reason: str
) -> None:
    first_path, out = tmp_path / f"{name}.wav", tmp_path / "out"
    soundfile.write(first_path, first(), 16_000)
    (out / "a.jsonl").mkdir(parents=True)
    command = ["transcribe", str(first_path), str(folder / "second.flac"), "--format", "jsonl"]
    assert main([*command, "--output-dir", str(out)]) == 1
    said = f"streamer: {out / name}.jsonl: it cannot be opened: {reason}.\n"
    assert capsys.readouterr() == ("", said)
    assert (out / "second.jsonl").stat().st_size


@pytest.mark.usefixtures("_loaded")
def test_a_name_that_no_file_can_have_does_not_end_the_list(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", "a" * 300 + ".wav", str(folder / "first.wav")]) == 1
    out, err = capsys.readouterr()
    assert out == FIRST_READABLE + "\n"
    assert err.startswith("streamer: ")
    assert len(err.splitlines()) == 1


@pytest.mark.usefixtures("_loaded")
def test_of_a_recording_that_gives_no_text_the_reason_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silence, breath = tmp_path / "silence.wav", tmp_path / "breath.wav"
    soundfile.write(silence, np.zeros(32_000), 16_000)
    sound = noise("breath", 80_000, -20.0, np.random.default_rng(0))
    soundfile.write(breath, sound, 16_000)
    assert main(["transcribe", str(silence), str(breath)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{silence}: nothing in it sounds like speech." in err
    assert f"{breath}: no word in it was understood." in err


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
def test_the_progress_bar_fits_a_window_that_becomes_narrower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    recording = File("a.wav")
    recording.duration_s = 60.0
    with open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        with _progress(recording) as progress:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
            assert len(str(progress)) <= 50
    os.close(ours)


@pytest.mark.usefixtures("_loaded")
def test_a_failure_shows_its_traceback_when_asked_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["transcribe", "missing.wav", "-v"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1] == "streamer: missing.wav: there is no such file."


@pytest.mark.usefixtures("_loaded")
def test_at_the_speed_of_speech_the_text_is_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", str(folder / "first.wav"), "--realtime"]) == 0
    out, err = capsys.readouterr()
    # A word that became stable early keeps the marks that it had then.
    assert out.replace(",", "") == FIRST_READABLE.replace(",", "") + "\n"
    assert err == ""


def test_what_takes_long_to_look_through_for_garbage_is_looked_through_once() -> None:
    program = """
import gc
from streamer import cli

def main():
    kept = [[] for _ in range(2_000_000)]
    gc.collect()
    print(gc.get_freeze_count() > len(kept) / 2)
    return 0

cli.main = main
cli.entry()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"True\n"
