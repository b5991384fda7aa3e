"""A microphone and the thread that records for it, with a device that is made up."""

from __future__ import annotations

import queue
import threading
import time

import numpy as np
import pytest

from streamer import DeviceLostError
from streamer.audio import Samples
from streamer.sources import DeviceChange, microphone, recorder
from streamer.sources.gaps import now_s
from streamer.sources.microphone import Microphone
from streamer.sources.recorder import Gone, Message, Opened, Recorder, Sound

BLOCK = np.full(320, 0.1, np.float32)
NOTHING = BLOCK[:0]


class FlakyRecorder:
    """One that has found its device again and again, which delivers nothing any more."""

    def __init__(self, _wanted: object) -> None:
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        for message in (Opened("mic"), Sound(BLOCK, now_s())):
            self.messages.put(message)
        while not self._stopping.wait(0.02):
            for again in (Sound(NOTHING, now_s()), Gone(now_s()), Opened("mic")):
                self.messages.put(again)

    def stop(self) -> None:
        self._stopping.set()

    def join(self, within_s: float) -> None:
        self._thread.join(within_s)


def test_a_device_that_comes_back_without_sound_is_not_waited_for_any_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(microphone, "Recorder", FlakyRecorder)
    monkeypatch.setattr(microphone, "POLL_S", 0.01)
    source = Microphone(reconnect_within_s=0.2)
    source.open()
    found: list[object] = []
    with pytest.raises(DeviceLostError, match="mic is gone"):
        found.extend(iter(source.read, None))
    source.close()
    assert [each for each in found if isinstance(each, DeviceChange)] == [
        DeviceChange("mic", is_back=False)
    ]


class Stream:
    """An open stream that always has the next block."""

    def read(self, all_of_it: bool) -> Samples | None:
        return BLOCK

    def rest(self) -> Samples:
        return NOTHING


def test_a_device_whose_sound_nobody_fetches_is_not_taken_for_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder, "STALLED_AFTER_S", 0.05)
    monkeypatch.setattr(recorder, "MAX_WAITING", 3)
    recording = Recorder(None)
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(recording._record(Stream())))  # type: ignore[arg-type]
    thread.start()
    time.sleep(0.5)
    assert (ended, recording.messages.qsize()) == ([], 3)
    recording.stop()
    recording.messages.get()
    thread.join()
    assert ended == [True]
