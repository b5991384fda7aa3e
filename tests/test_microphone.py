"""A real microphone as PortAudio sees it: PulseAudio's virtual one, with real speech in it."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import VirtualMicrophone
from rapidfuzz.distance import Levenshtein

from streamer.audio import Samples
from streamer.events import Final
from streamer.models.compiled import CompiledModel
from streamer.pipeline import Pipeline
from streamer.settings import SAMPLE_RATE

pytestmark = [pytest.mark.microphone, pytest.mark.timeout(120)]

FIRST_SENTENCE = "GOOD MORNING AND THANK YOU ALL FOR COMING"
SECOND_SENTENCE_BEGINS = "I AM"  # what everything waits for that happens in mid-speech


@contextmanager
def captions(
    microphone: VirtualMicrophone, *arguments: str, program: str | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """`streamer captions`, as somebody runs it in a pipe; or a program that does the same."""
    command = ["-m", "streamer", "captions", "--format", "jsonl", "--model", "starter"]
    command = ["-c", program] if program else command
    with subprocess.Popen(
        [sys.executable, *command, *arguments],
        env=microphone.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until_listening(process: "subprocess.Popen[str]") -> None:
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "Listening" in line, line + process.stderr.read()


def read_until(process: "subprocess.Popen[str]", kind: str, text: str = "") -> list[dict[str, Any]]:
    """Events up to the first of this type that contains the text."""
    assert process.stdout is not None
    events: list[dict[str, Any]] = []
    for line in process.stdout:
        events.append(json.loads(line))
        if events[-1]["type"] == kind and text in events[-1].get("text", ""):
            return events
    raise AssertionError(f"No {kind} with {text!r} among {events}")


def rest(process: "subprocess.Popen[str]") -> tuple[list[dict[str, Any]], list[str]]:
    """The remaining events, and the lines on stderr, of a process that is ending."""
    assert process.stdout is not None
    assert process.stderr is not None
    events = [json.loads(line) for line in process.stdout]
    errors = process.stderr.read().splitlines()
    process.wait()
    return events, errors


@pytest.fixture(scope="module")
def spoken(sample: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sentences, after a silence in which PulseAudio wakes the monitor up."""
    path = tmp_path_factory.mktemp("spoken") / "spoken.wav"
    silence = np.zeros(2 * SAMPLE_RATE, np.float32)
    soundfile.write(path, np.concatenate([silence, sample[: 7 * SAMPLE_RATE]]), SAMPLE_RATE)
    return path


def test_speech_arrives_as_the_finals_of_the_file_though_the_model_is_still_loading(
    microphone: VirtualMicrophone, starter: CompiledModel, spoken: Path
) -> None:
    pipeline = Pipeline(starter)
    sound = soundfile.read(spoken, dtype="float32")[0]
    expected = [e for e in pipeline.push(sound) + pipeline.flush() if isinstance(e, Final)]
    assert len(expected) == 2
    with captions(microphone) as process:
        wait_until_listening(process)
        microphone.play(spoken).wait()
        events = read_until(process, "final", SECOND_SENTENCE_BEGINS)
        process.send_signal(signal.SIGINT)
        more, errors = rest(process)
    assert process.returncode == 130, errors
    events += more
    finals = [event for event in events if event["type"] == "final" and event["text"]]
    assert len(finals) == len(expected)
    for found, wanted in zip(finals, expected, strict=True):
        # The model's frames begin elsewhere in the sound: a letter here and there differs.
        assert Levenshtein.normalized_distance(found["text"], wanted.text) < 0.15
    pause = finals[1]["start_s"] - finals[0]["end_s"]
    # Nothing was lost in between.
    assert pause == pytest.approx(expected[1].start_s - expected[0].end_s, abs=0.1)
    assert events[-1]["type"] == "closed"
    assert events[-1]["statistics"]["dropped_s"] == 0


def test_ctrl_c_in_the_middle_of_a_sentence_still_gives_its_final(
    microphone: VirtualMicrophone, spoken: Path, tmp_path: Path
) -> None:
    # A busy machine takes its time to load the model; until then nothing is said in mid-sentence.
    again_and_again = tmp_path / "again.wav"
    soundfile.write(again_and_again, np.tile(soundfile.read(spoken)[0], 10), SAMPLE_RATE)
    with captions(microphone) as process:
        wait_until_listening(process)
        player = microphone.play(again_and_again)
        read_until(process, "partial", SECOND_SENTENCE_BEGINS)
        process.send_signal(signal.SIGINT)
        events, errors = rest(process)
        player.kill()
        player.wait()
    assert process.returncode == 130, errors
    finals = [event for event in events if event["type"] == "final"]
    assert SECOND_SENTENCE_BEGINS in finals[-1]["text"]
    assert events[-1]["type"] == "closed"


def test_a_device_with_another_rate_and_two_channels_is_converted(
    microphone: VirtualMicrophone, spoken: Path
) -> None:
    # Most devices refuse 16 kHz mono; this one does not, so it is not asked.
    program = (
        "from streamer import cli\n"
        "from streamer.sources import recorder\n"
        "recorder.formats = lambda device: [(44_100, 2)]\n"
        "cli.main(['captions', '--format', 'jsonl'])\n"
    )
    with captions(microphone, program=program) as process:
        wait_until_listening(process)
        player = microphone.play(spoken)
        first = read_until(process, "final")[-1]
        process.send_signal(signal.SIGINT)
        rest(process)
        player.kill()
        player.wait()
    assert Levenshtein.normalized_distance(first["text"], FIRST_SENTENCE) < 0.15
    assert first["end_s"] - first["start_s"] == pytest.approx(2.8, abs=0.3)


def test_devices_are_listed_and_chosen_by_part_of_their_name(
    microphone: VirtualMicrophone,
) -> None:
    command = [sys.executable, "-m", "streamer"]
    listed = subprocess.run(
        [*command, "devices"], env=microphone.environment, capture_output=True, text=True
    )
    assert listed.returncode == 0, listed.stderr
    assert sum(line.startswith("*") for line in listed.stdout.splitlines()) == 1
    assert "pulse" in listed.stdout
    with captions(microphone, "--device", "PULS") as process:
        wait_until_listening(process)
        process.send_signal(signal.SIGINT)
        events, errors = rest(process)
    assert (process.returncode, events[-1]["type"]) == (130, "closed"), errors
    unknown = subprocess.run(
        [*command, "captions", "--device", "no such thing"],
        env=microphone.environment,
        capture_output=True,
        text=True,
    )
    assert unknown.returncode == 1
    assert unknown.stdout == ""
    assert len(unknown.stderr.splitlines()) == 1
    assert "pulse" in unknown.stderr
