"""Input devices as PortAudio knows them. The only place that imports `sounddevice`.

PortAudio looks for devices once, when it begins; what is plugged in later does not exist for it.
`look_again` makes it begin anew, if nobody else in the process uses it. But for reading from a
stream, PortAudio may not be used by two threads at a time: `PORTAUDIO` is held meanwhile, which can
take for as long as a sound server does not answer.
"""

from __future__ import annotations

import functools
import importlib.util
import queue
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from streamer.errors import DeviceError

PORTAUDIO = threading.RLock()
ANSWER_WITHIN_S = 10.0  # a sound server that is not in trouble
NO_ANSWER = (
    f"PortAudio or the sound server has not answered within {ANSWER_WITHIN_S:.0f} s. "
    "Restart the sound server."
)

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
        DeviceError: PortAudio is not installed or does not work, or there is no device.
    """
    with PORTAUDIO:
        sd = sounddevice()
        try:
            default = sd.default.device[0]
            if default < 0:
                default = next((api["default_input_device"] for api in sd.query_hostapis()), -1)
            infos = list(sd.query_devices())
        except sd.PortAudioError as error:
            raise DeviceError(f"PortAudio cannot list the input devices: {error}.") from error
    devices = [
        Device(
            index=info["index"],
            name=info["name"],
            channels=info["max_input_channels"],
            sample_rate=round(info["default_samplerate"]),
            is_default=info["index"] == default,
        )
        for info in infos
        if info["max_input_channels"] > 0
    ]
    if not devices:
        raise DeviceError(
            "No microphone was found: PortAudio knows no input device. Connect one, or start the "
            "sound server, then try again."
        )
    return devices


def input_devices_in_time() -> list[Device]:
    """As `input_devices`, for a thread that must not hang, as one that takes signals.

    Raises:
        DeviceError: As `input_devices`, or the sound server does not answer.
    """
    answers: queue.SimpleQueue[list[Device] | DeviceError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(input_devices())
        except DeviceError as error:
            answers.put(error)

    threading.Thread(target=ask, name="streamer-devices", daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER_WITHIN_S)
    except queue.Empty:
        raise DeviceError(NO_ANSWER) from None
    if isinstance(answer, DeviceError):
        raise answer
    return answer


def find_device(wanted: int | str | None) -> Device:
    """Choose a device of those that there are now; see `choose_device`.

    Raises:
        DeviceError: There is no such device, or there are several.
    """
    return choose_device(wanted, input_devices())


def choose_device(wanted: int | str | None, devices: Sequence[Device]) -> Device:
    """Choose a device: the default one, or by its index, or by part of its name in any case.

    Raises:
        DeviceError: There is no such device, or there are several.
    """
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


def find_again(name: str) -> Device:
    """Find a device that was there before, by its name: indices change when others come and go.

    ALSA ends a name with the numbers of card and device, "(hw:1,0)"; those change, too.

    Raises:
        DeviceError: It is not there.
    """
    devices = input_devices()
    for same in (str, _without_card):
        for device in devices:
            if same(device.name) == same(name):
                return device
    raise DeviceError(f"The input device {name} is gone.")


def look_again() -> None:
    """Have PortAudio look for devices anew, if nobody else in this process uses it.

    It ends PortAudio and begins it again, which takes every open stream away. But PortAudio counts
    who has begun it, and really ends only with the last one: an application that has imported
    `sounddevice` itself keeps its streams, and the devices stay those that it knows. The indices
    of devices can change.

    Raises:
        DeviceError: PortAudio does not begin again.
    """
    with PORTAUDIO:
        sd = sounddevice()
        try:
            if sd._initialized:
                sd._terminate()
            sd._initialize()
        except sd.PortAudioError as error:
            raise DeviceError(f"PortAudio does not begin again: {error}.") from error


def sounddevice() -> Any:
    """The module; a copy of our own, so that `look_again` ends no stream of the application.

    Raises:
        DeviceError: PortAudio is not installed.
    """
    with PORTAUDIO:  # The import begins PortAudio.
        try:
            return _own_sounddevice()
        except OSError as error:
            raise DeviceError(
                f"PortAudio, which captures the microphone, is not installed: {INSTALL_PORTAUDIO}"
            ) from error


@functools.cache
def _own_sounddevice() -> ModuleType:
    spec = importlib.util.find_spec("sounddevice")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _without_card(name: str) -> str:
    return name.partition(" (hw:")[0]
