"""Microphones, through PortAudio. The only place that imports `sounddevice`."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from streamer.audio import Converter
from streamer.config import SAMPLE_RATE
from streamer.errors import AudioError, DeviceError, DeviceLostError
from streamer.sources import Block

BLOCK_S = 0.02
# PortAudio's own buffer. While TensorFlow is imported no Python runs for up to 0.12 s.
BUFFER_S = 0.2
POLL_S = 0.01
# A sound server may take seconds to wake a device up, but once awake it does not pause.
FIRST_BLOCK_WITHIN_S = 10.0
NEXT_BLOCK_WITHIN_S = 2.0

INSTALL_PORTAUDIO = {
    "linux": "sudo apt install libportaudio2",
    "darwin": "brew install portaudio",
}.get(sys.platform, "python -m pip install --force-reinstall sounddevice")


@dataclass(frozen=True, slots=True)
class Device:
    """An input device as PortAudio knows it."""

    index: int
    name: str
    channels: int
    sample_rate: int
    is_default: bool


def input_devices() -> list[Device]:
    """The devices that sound can be captured from, at least one.

    Raises:
        DeviceError: PortAudio is not installed, or there is no device.
    """
    sd = _sounddevice()
    default = sd.default.device[0]
    if default < 0:
        default = next((api["default_input_device"] for api in sd.query_hostapis()), -1)
    devices = [
        Device(
            index=info["index"],
            name=info["name"],
            channels=info["max_input_channels"],
            sample_rate=round(info["default_samplerate"]),
            is_default=info["index"] == default,
        )
        for info in sd.query_devices()
        if info["max_input_channels"] > 0
    ]
    if not devices:
        raise DeviceError("No microphone was found: PortAudio knows no input device.")
    return devices


def find_device(wanted: int | str | None) -> Device:
    """Choose a device: the default one, or by its index, or by part of its name in any case.

    Raises:
        DeviceError: There is no such device, or there are several.
    """
    devices = input_devices()
    known = "; ".join(f"{device.index} {device.name}" for device in devices)
    if wanted is None:
        return next((device for device in devices if device.is_default), devices[0])
    if isinstance(wanted, int) or wanted.isdecimal():
        found = [device for device in devices if device.index == int(wanted)]
    else:
        found = [device for device in devices if wanted.lower() == device.name.lower()]
        found = found or [device for device in devices if wanted.lower() in device.name.lower()]
    if not found:
        raise DeviceError(f"No input device matches {wanted!r}. There are: {known}.")
    if len(found) > 1:
        matches = "; ".join(f"{device.index} {device.name}" for device in found)
        raise DeviceError(f"Several input devices match {wanted!r}: {matches}. Give an index.")
    return found[0]


class Microphone:
    """Captures from an input device, at 16 kHz mono where it can, else as the device does.

    Reads from PortAudio's buffer, which is filled outside Python: nothing is lost while Python is
    busy for a moment.
    """

    live = True

    def __init__(self, device: int | str | None = None) -> None:
        """Choose the device by its index or part of its name; None takes the default one."""
        self._wanted = device
        self.name = "microphone" if device is None else str(device)
        self._stopping = threading.Event()
        self._stream: Any = None

    def open(self) -> None:
        """Begin to capture.

        Raises:
            DeviceError: PortAudio, or the device, cannot be used.
        """
        sd = _sounddevice()
        device = find_device(self._wanted)
        self.name = device.name
        errors = []
        for rate, channels in _formats(device):
            stream = None
            try:
                converter = Converter(rate, channels)
                stream = sd.InputStream(
                    device=device.index,
                    samplerate=rate,
                    channels=channels,
                    dtype="float32",
                    blocksize=round(rate * BLOCK_S),
                    latency=BUFFER_S,
                )
                stream.start()
            except (sd.PortAudioError, AudioError) as error:
                errors.append(str(error))
                if stream is not None:
                    stream.close(ignore_errors=True)
                continue
            self._stream, self._rate, self._converter = stream, rate, converter
            self._last_read = time.monotonic()
            self._has_begun = False
            self._has_ended = False
            return
        raise DeviceError(
            f"The input device {device.index} {device.name} cannot be opened: {errors[-1]}. "
            "Another program may hold it; choose another with --device (see `streamer devices`)."
        )

    def read(self) -> Block | None:
        """Wait for the next block; None soon after `stop`.

        Raises:
            DeviceLostError: It delivers nothing any more.
        """
        sd = _sounddevice()
        try:
            n_available = self._wait_for_block()
            if n_available:
                now = time.monotonic()
                data, overflowed = self._stream.read(n_available)
                # The last read emptied the buffer: what came since and is not here was lost.
                n_came = round((now - self._last_read) * self._rate)
                n_lost = max(0, n_came - len(data)) if overflowed and self._has_begun else 0
                self._last_read, self._has_begun = now, True
                samples = self._converter.push(data)
                return Block(samples, n_lost * SAMPLE_RATE // self._rate)
        except sd.PortAudioError as error:
            raise DeviceLostError(
                f"The input device {self.name} is gone. Check that it is connected."
            ) from error
        if self._has_ended:
            return None
        self._has_ended = True
        return Block(self._converter.flush())

    def stop(self) -> None:
        """End the sound here; from any thread."""
        self._stopping.set()

    def close(self) -> None:
        """Give the device back."""
        if self._stream is not None:
            self._stream.close(ignore_errors=True)
            self._stream = None

    def _wait_for_block(self) -> int:
        """Samples that can be read now, at least a block; 0 when stopped and all was read."""
        limit_s = NEXT_BLOCK_WITHIN_S if self._has_begun else FIRST_BLOCK_WITHIN_S
        n_block = round(self._rate * BLOCK_S)
        while True:
            # Asked before: what was captured until `stop` is still read.
            is_stopping = self._stopping.is_set()
            n_available: int = self._stream.read_available
            if n_available >= n_block or (is_stopping and n_available):
                return n_available
            if is_stopping:
                return 0
            if time.monotonic() - self._last_read > limit_s:
                raise DeviceLostError(
                    f"The input device {self.name} has delivered no sound for {limit_s:.0f} s. "
                    "Check that it is connected."
                )
            self._stopping.wait(POLL_S)


def _formats(device: Device) -> list[tuple[int, int]]:
    """Rates and numbers of channels to try, the best first."""
    formats = [(SAMPLE_RATE, 1), (device.sample_rate, 1)]
    formats += [(device.sample_rate, min(2, device.channels))]
    formats += [(device.sample_rate, device.channels)]
    return list(dict.fromkeys(formats))


def _sounddevice() -> Any:
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(
            f"PortAudio, which captures the microphone, is not installed: {INSTALL_PORTAUDIO}"
        ) from error
    return sounddevice
