"""What happens to a microphone on a desk, on a real sound server: no sound is lost unsaid.

Each test really causes the fault, waits for events and not for time, and in the end every second
is accounted for.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import VirtualMicrophone
from event_guarantees import check_event_guarantees
from rapidfuzz.distance import Levenshtein

from streamer import (
    AudioDropped,
    Closed,
    DeviceLost,
    DeviceLostError,
    DeviceRestored,
    Event,
    Final,
    Lagging,
    Microphone,
    Partial,
    Transcriber,
)
from streamer.audio import Samples
from streamer.models.compiled import CompiledModel
from streamer.settings import SAMPLE_RATE
from streamer.sources import Block, devices
from streamer.sources import microphone as microphone_source
from streamer.sources.gaps import asleep_s, now_s

pytestmark = [pytest.mark.microphone, pytest.mark.timeout(120)]

SENTENCE = "GOOD MORNING AND THANK YOU ALL FOR COMING"
BEGIN = "GOOD MORNING"  # what everything waits for that happens in mid-speech
BUSY_S = 1.0  # how much later than it happens a busy machine may notice anything


class Listening:
    """A transcriber of the virtual microphone in this process, and the events that came so far."""

    def __init__(self, model: CompiledModel, microphone: Microphone) -> None:
        self.microphone = microphone
        self.transcriber = Transcriber(microphone, model=model)
        self.events: list[Event] = []
        self.transcriber.start()
        while not self.transcriber.statistics().captured_s:
            time.sleep(0.02)  # A sound server wakes a device up when it likes.
        self._began_s = now_s() - self.transcriber.statistics().captured_s

    def until_mid_speech(self) -> None:
        """Wait until the sentence has begun; on a very busy machine that may be at its end."""
        for event in self.transcriber:
            self.events.append(event)
            if isinstance(event, Partial | Final) and BEGIN in event.text:
                return

    def until(self, kind: type[Event], text: str = "") -> Event:
        """Wait for an event of this type that contains the text."""
        for event in self.transcriber:
            self.events.append(event)
            if isinstance(event, kind) and text in getattr(event, "text", ""):
                return event
        raise AssertionError(f"No {kind.__name__} with {text!r} among {self.events}")

    def end(self) -> Closed:
        """Stop; the events keep all guarantees, and seconds are those of the clock."""
        self.microphone.stop()
        elapsed_s = now_s() - self._began_s
        self.events += list(self.transcriber)
        check_event_guarantees(self.events)
        closed = self.events[-1]
        assert isinstance(closed, Closed)
        statistics = closed.statistics
        parts_s = statistics.recognised_s + statistics.silence_s + statistics.dropped_s
        assert statistics.captured_s == pytest.approx(parts_s, abs=1e-6)
        assert statistics.waiting_s == 0.0
        assert statistics.captured_s == pytest.approx(elapsed_s, abs=BUSY_S)
        return closed

    def kinds(self) -> list[str]:
        """The types of the events, without those that depend on the machine's speed."""
        return [e.type for e in self.events if not isinstance(e, Partial | Lagging | Closed)]

    def said(self) -> list[str]:
        return [e.text for e in self.events if isinstance(e, Final) and e.text]

    def dropped(self) -> list[AudioDropped]:
        return [event for event in self.events if isinstance(event, AudioDropped)]


@pytest.fixture
def desk(
    microphone: VirtualMicrophone, monkeypatch: pytest.MonkeyPatch
) -> Iterator[VirtualMicrophone]:
    """The virtual microphone, for this process too, and as it was when the test is over."""
    for name, value in microphone.environment.items():
        monkeypatch.setenv(name, value)
    devices.look_again()
    yield microphone
    microphone.reset()


@pytest.fixture
def listen(desk: VirtualMicrophone, starter: CompiledModel) -> Iterator[Callable[..., Listening]]:
    """Begins to listen, with a model that is ready, and ends it whatever happens."""
    starter.warm_up(lambda *_: True)
    with contextlib.ExitStack() as transcribers:

        def begin(microphone: Microphone | None = None) -> Listening:
            listening = Listening(starter, microphone or Microphone())
            transcribers.callback(listening.transcriber.cancel)
            return listening

        yield begin


@pytest.fixture(scope="module")
def sentence(sample: Samples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sentence, after a moment in which everything wakes up."""
    path = tmp_path_factory.mktemp("spoken") / "sentence.wav"
    silence = np.zeros(SAMPLE_RATE, np.float32)
    soundfile.write(path, np.concatenate([silence, sample[: 3 * SAMPLE_RATE]]), SAMPLE_RATE)
    return path


def is_the_sentence(text: str) -> bool:
    return Levenshtein.normalized_distance(text, SENTENCE) < 0.2


def test_an_unplugged_microphone_is_waited_for_and_may_come_back_with_another_rate(
    desk: VirtualMicrophone, listen: Callable[..., Listening], sentence: Path
) -> None:
    listening = listen()
    with desk.play(sentence):
        listening.until_mid_speech()
        desk.unplug()
        unplugged_s = now_s()
        listening.until(DeviceLost)
    desk.plug_in(rate=44_100, channels=2)
    away_s = now_s() - unplugged_s
    listening.until(DeviceRestored)
    with desk.play(sentence):
        listening.until(Final, SENTENCE[-4:])
    listening.end()
    assert listening.kinds() == [
        *["speech_started", "final", "device_lost", "audio_dropped", "device_restored"],
        *["speech_started", "final"],
    ]
    first, second = listening.said()
    assert first.startswith(BEGIN)
    assert is_the_sentence(second)
    (gap,) = listening.dropped()
    assert gap.reason == "the device was gone"
    assert gap.duration_s > away_s - BUSY_S


def test_a_sound_server_that_died_is_waited_for(
    desk: VirtualMicrophone, listen: Callable[..., Listening], sentence: Path
) -> None:
    listening = listen()
    with desk.play(sentence):
        listening.until_mid_speech()
        desk.end_server()
        listening.until(DeviceLost)
    desk.begin_server()
    desk.plug_in()
    listening.until(DeviceRestored)
    with desk.play(sentence):
        listening.until(Final, SENTENCE[-4:])
    listening.end()
    assert listening.kinds() == [
        *["speech_started", "final", "device_lost", "audio_dropped", "device_restored"],
        *["speech_started", "final"],
    ]
    assert is_the_sentence(listening.said()[1])


def test_a_sound_server_that_is_stopped_for_a_while_loses_nothing(
    desk: VirtualMicrophone, listen: Callable[..., Listening], sentence: Path
) -> None:
    listening = listen()
    with desk.play(sentence):
        listening.until_mid_speech()
        desk.freeze_server()
        time.sleep(3.0)  # the fault itself
        desk.thaw_server()
        listening.until(Final)
    listening.end()
    assert listening.kinds()[:2] == ["speech_started", "final"]
    assert "device_lost" not in listening.kinds()
    # What was played meanwhile may be missing; of what the microphone heard nothing is.
    assert listening.dropped() == []


def test_a_sound_server_that_is_stopped_for_long_is_a_lost_device_and_still_loses_nothing(
    desk: VirtualMicrophone,
    listen: Callable[..., Listening],
    sentence: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streamer.sources.microphone.NEXT_SOUND_WITHIN_S", 2.0)
    listening = listen()
    with desk.play(sentence):
        listening.until_mid_speech()
        desk.freeze_server()
        listening.until(DeviceLost)
        assert listening.said()[0].startswith(BEGIN)
        desk.thaw_server()
        listening.until(DeviceRestored)
    with desk.play(sentence):
        while not is_the_sentence(listening.until(Final).text):  # type: ignore[union-attr]
            pass
    listening.end()
    assert listening.dropped() == []


def test_nobody_waits_for_a_sound_server_that_does_not_answer(
    desk: VirtualMicrophone, listen: Callable[..., Listening], sentence: Path
) -> None:
    listening = listen()
    with desk.play(sentence) as player:
        listening.until_mid_speech()
        desk.freeze_server()
        time.sleep(1.5)  # the fault itself
        listening.end()
        player.kill()
        desk.thaw_server()
    assert listening.said()[0].startswith(BEGIN)
    (gap,) = listening.dropped()
    assert gap.reason == "the device delivered none"
    assert gap.duration_s > 1.0
    listening.microphone._recorder.join(60.0)  # type: ignore[union-attr]


def test_a_microphone_that_pauses_is_a_gap_of_that_length(
    desk: VirtualMicrophone, listen: Callable[..., Listening], sentence: Path
) -> None:
    listening = listen()
    with desk.play(sentence):
        listening.until_mid_speech()
        desk.suspend(True)
        before_s = now_s()
        time.sleep(2.0)  # the fault itself
        desk.suspend(False)
        paused_s = now_s() - before_s
        listening.until(AudioDropped)
    listening.end()
    assert "device_lost" not in listening.kinds()
    assert listening.kinds()[:3] == ["speech_started", "final", "audio_dropped"]
    (gap,) = listening.dropped()
    assert gap.duration_s == pytest.approx(paused_s, abs=1.0)


def test_another_default_microphone_is_listened_to_when_the_first_is_unplugged(
    desk: VirtualMicrophone, listen: Callable[..., Listening], sentence: Path
) -> None:
    listening = listen()
    with desk.play(sentence):
        listening.until(Final, SENTENCE[-4:])
    desk.plug_in("other", rate=48_000, channels=2)
    with desk.play(sentence, "other"):
        desk.unplug("mic")
        listening.until(Final, SENTENCE[-4:])
    listening.end()
    assert [is_the_sentence(text) for text in listening.said()] == [True, True]


def test_the_time_in_which_the_computer_was_asleep_is_a_gap(
    desk: VirtualMicrophone,
    listen: Callable[..., Listening],
    sentence: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept_s = 0.0

    def asleep_once_more_s() -> float:
        return asleep_s() + slept_s

    def now_once_more_s() -> float:
        return now_s() + slept_s

    for module in ("microphone", "recorder"):
        monkeypatch.setattr(f"streamer.sources.{module}.now_s", now_once_more_s)
    monkeypatch.setattr("streamer.sources.microphone.asleep_s", asleep_once_more_s)
    listening = listen()
    with desk.play(sentence):
        listening.until_mid_speech()
        slept_s = 3_600.0
        listening._began_s -= slept_s
        gap = listening.until(AudioDropped)
    listening.end()
    assert isinstance(gap, AudioDropped)
    assert gap.reason == "the computer was asleep"
    assert gap.duration_s == pytest.approx(slept_s, abs=BUSY_S)
    assert listening.kinds()[:3] == ["speech_started", "final", "audio_dropped"]
    assert "device_lost" not in listening.kinds()


def test_the_end_comes_at_once_while_the_device_is_gone(
    desk: VirtualMicrophone, listen: Callable[..., Listening]
) -> None:
    listening = listen()
    desk.unplug()
    listening.until(DeviceLost)
    time.sleep(1.5)  # the fault itself
    listening.end()
    assert listening.kinds() == ["device_lost", "audio_dropped"]


@pytest.mark.parametrize("reconnect_within_s", [0.0, 1.0])
def test_a_microphone_need_not_be_waited_for(
    desk: VirtualMicrophone, listen: Callable[..., Listening], reconnect_within_s: float
) -> None:
    listening = listen(Microphone(reconnect_within_s=reconnect_within_s))
    desk.unplug()
    with pytest.raises(DeviceLostError, match="is gone"):
        listening.until(DeviceRestored)
    check_event_guarantees(listening.events)
    assert listening.kinds()[0] == "device_lost"


@pytest.mark.usefixtures("desk")
def test_a_microphone_that_is_muted_from_the_beginning_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(microphone_source, "MUTED_AFTER_S", 0.5)
    muted = Microphone()
    muted.open()
    n_heard = 0
    while n_heard < 1.5 * SAMPLE_RATE:  # Nobody plays anything into it.
        block = muted.read()
        assert isinstance(block, Block)
        n_heard += len(block.samples)
    muted.stop()
    muted.close()
    assert caplog.text.count("nothing but zeros: the microphone is muted") == 1


def test_a_chosen_device_is_found_again_by_its_name(desk: VirtualMicrophone) -> None:
    chosen = devices.find_device("puls")
    found = devices.find_again(chosen.name)
    assert found == chosen
    with pytest.raises(devices.DeviceError, match="USB thing"):
        devices.find_again("USB thing (hw:1,0)")


def test_streams_of_the_application_go_on_when_devices_are_looked_for(
    desk: VirtualMicrophone,
) -> None:
    program = """
import sounddevice
from streamer.sources import devices
with sounddevice.InputStream(samplerate=16_000, channels=1) as stream:
    devices.look_again()
    stream.read(1_600)
print(len(devices.input_devices()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=desk.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_a_device_that_portaudio_did_not_know_is_found(desk: VirtualMicrophone) -> None:
    desk.end_server()
    devices.look_again()
    with pytest.raises(devices.DeviceError, match="No microphone was found"):
        devices.input_devices()
    desk.begin_server()
    desk.plug_in()
    with pytest.raises(devices.DeviceError, match="No microphone was found"):
        devices.input_devices()
    devices.look_again()
    assert "pulse" in [device.name for device in devices.input_devices()]


# The program.


@contextlib.contextmanager
def captions(desk: VirtualMicrophone, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`streamer captions` in a pipe, once it listens."""
    with subprocess.Popen(
        [sys.executable, "-m", "streamer", "captions", "--model", "starter", *arguments],
        env=desk.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            assert "Listening" in process.stderr.readline()
            yield process
        finally:
            process.kill()


def test_the_program_says_in_plain_words_that_the_microphone_is_gone_and_back(
    desk: VirtualMicrophone, sentence: Path
) -> None:
    with captions(desk) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        # How fast the machine is, is said as well.
        said = (line for line in process.stderr if "behind" not in line and "caught" not in line)
        with desk.play(sentence):
            heard = process.stdout.readline()
        desk.unplug()
        gone = next(said)
        desk.plug_in()
        lost, back = next(said), next(said)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert is_the_sentence(heard.strip(".\n").upper())
    assert gone == "streamer: the microphone is gone; waiting until it is back\n"
    assert lost.endswith("s of sound lost: the device was gone\n")
    assert back == "streamer: the microphone is back\n"


@pytest.mark.parametrize("moment", ["at the beginning", "while listening"])
def test_ctrl_c_ends_the_program_although_the_sound_server_does_not_answer(
    desk: VirtualMicrophone, moment: str
) -> None:
    if moment == "while listening":
        with captions(desk) as process:
            desk.freeze_server()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        return
    desk.freeze_server()
    with subprocess.Popen(
        [sys.executable, "-v", "-m", "streamer", "captions"],
        env=desk.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "'sounddevice'" in line or "import '_sounddevice" in line:
                break  # PortAudio begins, and hangs.
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        assert process.wait(60) == 130


def test_devices_are_not_waited_for_for_ever(desk: VirtualMicrophone) -> None:
    desk.freeze_server()
    program = "from streamer import cli; from streamer.sources import devices\n"
    program += "devices.ANSWER_WITHIN_S = 1.0; cli.sys.argv = ['streamer', 'devices']; cli.entry()"
    done = subprocess.run(
        [sys.executable, "-c", program], env=desk.environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("streamer: PortAudio or the sound server has not answered")


def test_a_program_that_was_stopped_for_a_while_loses_nothing(
    desk: VirtualMicrophone, sentence: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.jsonl"
    with captions(desk, "--save", str(saved)) as process, desk.play(sentence):
        assert process.stdout is not None
        while not (saved.exists() and "speech_started" in saved.read_text()):
            time.sleep(0.02)
        process.send_signal(signal.SIGSTOP)
        time.sleep(3.0)  # the fault itself
        process.send_signal(signal.SIGCONT)
        heard = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert is_the_sentence(heard.strip(".\n").upper())
    assert "audio_dropped" not in saved.read_text()
