"""The thread that talks to PortAudio."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import Any

from streamer.audio import Converter, Samples
from streamer.errors import AudioError, DeviceError
from streamer.settings import SAMPLE_RATE
from streamer.sources.devices import (
    PORTAUDIO,
    Device,
    find_again,
    find_device,
    look_again,
    sounddevice,
)
from streamer.sources.gaps import now_s

BLOCK_S = 0.02
# PortAudio's own buffer. While TensorFlow is imported no Python runs for up to 0.12 s.
BUFFER_S = 0.2
POLL_S = 0.02  # Twice as often would cost 0.6 % of a core while nobody speaks.
# A stream that has delivered nothing for so long is given up. A sound server may take seconds to
# wake a device up; and one that was stopped delivers everything once it goes on.
STALLED_AFTER_S = 10.0
# From one attempt to find a lost device to the next. Each makes PortAudio open every device there
# is, about 0.1 s of work: at first quickly, because most come back at once.
FIRST_RETRY_S, LAST_RETRY_S = 0.25, 2.0
MAX_WAITING = 512  # messages, 10 s of blocks: beyond it, PortAudio's buffer overflows


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream runs on this device. Whether it delivers sound is another question."""

    device: str


@dataclass(frozen=True, slots=True)
class Sound:
    """Sound that was read at `at_s`, by `now_s`."""

    samples: Samples
    at_s: float


@dataclass(frozen=True, slots=True)
class Gone:
    """The device is gone since `at_s`; it is looked for until the recorder is stopped."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The recorder has ended with an error."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Ended:
    """The recorder was stopped, and everything captured until then was delivered before."""


Message = Opened | Sound | Gone | Failed | Ended


class Recorder:
    """Opens a device, reads from it, and opens it anew when it was lost, in a thread of its own.

    Nobody else calls PortAudio: any call can hang for as long as the sound server does not answer.
    Then the messages stop, but nobody hangs with it who waits for them with a time limit.

    Attributes:
        messages: What happens, in order.
    """

    def __init__(self, wanted: int | str | None) -> None:
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._wanted = wanted
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="streamer-microphone", daemon=True)

    def start(self) -> None:
        """Begin. `Opened` or `Failed` is the first message."""
        self._thread.start()

    def stop(self) -> None:
        """End; from any thread. `Ended` or `Failed` is the last message."""
        self._stopping.set()

    def join(self, within_s: float) -> None:
        """Wait until the device is given back.

        A thread that PortAudio does not let go is left alone: it ends when the sound server
        answers again, and does not keep Python alive.
        """
        self._thread.join(within_s)

    def _run(self) -> None:
        try:
            device = find_device(self._wanted)
            stream = _Stream(device)
            while True:
                self.messages.put(Opened(device.name))
                with stream:  # Its end may take as long as it likes: it comes after the message.
                    if self._record(stream):
                        self.messages.put(Ended())
                        return
                    self.messages.put(Gone(now_s()))
                found = self._find_again(device.name)
                if found is None:
                    self.messages.put(Ended())
                    return
                device, stream = found
        except Exception as error:
            self.messages.put(Failed(error))

    def _record(self, stream: _Stream) -> bool:
        """Read until stopped; False when the device is gone or delivers nothing any more."""
        silent_s = 0.0
        last_s = time.monotonic()
        try:
            while silent_s < STALLED_AFTER_S:
                # Asked before: what was captured until `stop` is still read.
                is_stopping = self._stopping.is_set()
                is_full = self.messages.qsize() >= MAX_WAITING
                samples = None if is_full else stream.read(is_stopping)
                if samples is not None:
                    self.messages.put(Sound(samples, now_s()))
                    silent_s = 0.0
                    continue  # There may be more of it.
                if is_stopping:
                    return True
                self._stopping.wait(POLL_S)
                # Time in which nobody looked does not count: the process may have been stopped.
                if not is_full:
                    silent_s += min(time.monotonic() - last_s, 10 * POLL_S)
                last_s = time.monotonic()
        except sounddevice().PortAudioError:
            pass  # Whatever it says, nothing comes from this stream any more.
        finally:
            self.messages.put(Sound(stream.rest(), now_s()))
        return False

    def _find_again(self, name: str) -> tuple[Device, _Stream] | None:
        """The device of this name, or the default one if none was chosen; None when stopped."""
        retry_s = FIRST_RETRY_S
        while not self._stopping.wait(retry_s):
            retry_s = min(2 * retry_s, LAST_RETRY_S)
            # As PortAudio knows the devices, and then as they are: to look anew takes time, and
            # is not possible while others use PortAudio.
            for must_look_again in (False, True):
                try:
                    if must_look_again:
                        look_again()
                    device = find_device(None) if self._wanted is None else find_again(name)
                    return device, _Stream(device)
                except DeviceError:
                    continue
        return None


class _Stream:
    """An open stream, at 16 kHz mono if the device can, else as the device does."""

    def __init__(self, device: Device) -> None:
        """Open it and begin to capture.

        Raises:
            DeviceError: The device cannot be used.
        """
        sd = sounddevice()
        errors = []
        for rate, channels in formats(device):
            try:
                converter = Converter(rate, channels)
                self._stream = _started(device, rate, channels)
            except (sd.PortAudioError, AudioError) as error:
                errors.append(str(error))
                continue
            self._converter = converter
            self._n_block = round(rate * BLOCK_S)
            return
        raise DeviceError(
            f"The input device {device.index} {device.name} cannot be opened: {errors[-1]}. "
            "Check that a microphone is connected and that no other program holds it, or choose "
            "another with --device (see `streamer devices`)."
        )

    def read(self, all_of_it: bool) -> Samples | None:
        """What has come, if it is at least a block, or `all_of_it`; else None. Does not wait."""
        n_available: int = self._stream.read_available
        if n_available < (1 if all_of_it else self._n_block):
            return None
        data, _ = self._stream.read(n_available)
        return self._converter.push(data)

    def rest(self) -> Samples:
        """The end of the sound, which the resampling filter still holds."""
        return self._converter.flush()

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        with PORTAUDIO:
            self._stream.close(ignore_errors=True)


def _started(device: Device, rate: int, channels: int) -> Any:
    with PORTAUDIO:
        stream = sounddevice().InputStream(
            device=device.index,
            samplerate=rate,
            channels=channels,
            dtype="float32",
            blocksize=round(rate * BLOCK_S),
            latency=BUFFER_S,
        )
        try:
            stream.start()
        except BaseException:
            stream.close(ignore_errors=True)
            raise
        return stream


def formats(device: Device) -> list[tuple[int, int]]:
    """Rates and numbers of channels to try, the best first."""
    found = [(SAMPLE_RATE, 1), (device.sample_rate, 1)]
    found += [(device.sample_rate, min(2, device.channels))]
    found += [(device.sample_rate, device.channels)]
    return list(dict.fromkeys(found))
