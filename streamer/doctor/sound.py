"""The microphone: whether there is one, and what some seconds of it are like."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator

import numpy as np

from streamer.audio import Samples, level_db
from streamer.doctor.finding import OK, PROBLEM, WARNING, Finding
from streamer.errors import AudioError, DeviceError
from streamer.outputs import say
from streamer.settings import SAMPLE_RATE, Settings
from streamer.sources import Block
from streamer.sources.devices import (
    INSTALL_PORTAUDIO,
    Device,
    choose_device,
    input_devices_in_time,
)
from streamer.sources.microphone import ONLY_ZEROS, Microphone
from streamer.vad import Vad

# Where there is no microphone to connect, as on a server.
WITHOUT_MICROPHONE = "streamer transcribe, or streamer captions --sample, needs none"
CLIPPED = 0.999  # of full scale
MOST_CLIPPED = 1e-3  # of all samples
QUIET_DB, NOISY_DB = -45.0, -40.0  # speech below, noise above: both cost words


def microphone(options: argparse.Namespace) -> Iterator[Finding]:
    """Find the microphone, and listen to it."""
    if not options.seconds and options.device is None:
        return
    try:
        devices = input_devices_in_time()
    except DeviceError as error:
        yield Finding("microphone", PROBLEM, str(error), _portaudio_remedy(str(error)))
        return
    try:
        device = choose_device(options.device, devices)
    except DeviceError:  # Its message has names of devices, which may be those of people.
        message = f"--device stands for none, or for several, of {len(devices)} input devices"
        yield Finding("microphone", PROBLEM, message, "streamer devices")
        return
    facts = [{"channels": d.channels, "sample_rate": d.sample_rate} for d in devices]
    if options.device is None and not device.is_default:
        yield Finding(
            "microphone",
            WARNING,
            f"{len(devices)} input devices, none of which is the default one",
            "streamer devices, and then --device NUMBER",
            {"devices": facts},
        )
        return
    yield Finding(
        "microphone",
        OK,
        f"{len(devices)} input devices; the {'default' if device.is_default else 'chosen'} one has "
        f"{device.channels} channels at {device.sample_rate} Hz",
        facts={"devices": facts},
    )
    if options.seconds:
        yield _heard(options, device)


def _heard(options: argparse.Namespace, device: Device) -> Finding:
    """What some seconds of the microphone are like."""
    say(f"Please say something: listening for {options.seconds:g} s ...")
    microphone = Microphone(options.device, reconnect_within_s=0)
    samples: list[Samples] = []
    n_lost = n_heard = 0
    try:
        microphone.open()
        try:
            while n_heard < options.seconds * SAMPLE_RATE:
                block = microphone.read()
                if not isinstance(block, Block):
                    break
                samples.append(block.samples)
                n_heard += len(block.samples)
                n_lost += block.n_lost
        finally:
            microphone.stop()
            microphone.close()
    except (DeviceError, AudioError) as error:
        message = str(error).replace(f" {device.name}", "")
        return Finding("sound", PROBLEM, message, _portaudio_remedy(message))
    return sound_finding(np.concatenate(samples) if samples else np.zeros(0, np.float32), n_lost)


def sound_finding(samples: Samples, n_lost: int) -> Finding:
    """What is to be said of some seconds of a microphone, shape [n_samples], 16 kHz."""
    vad = Vad(Settings())
    n = len(samples) // vad.frame_length
    frames = samples[: n * vad.frame_length].reshape(n, vad.frame_length)
    is_speech = np.array([vad.push(frame) for frame in frames], bool)
    levels = np.array([level_db(frame) for frame in frames])
    clipped = float(np.mean(np.abs(samples) >= CLIPPED)) if len(samples) else 0.0
    speech_db = float(np.median(levels[is_speech])) if is_speech.any() else None
    noise_db = float(np.percentile(levels, 10)) if n else None
    facts = {
        "peak": float(np.abs(samples).max(initial=0.0)),
        "speech_db": speech_db,
        "noise_floor_db": noise_db,
        "clipped_share": clipped,
        "offset": float(samples.mean()) if len(samples) else 0.0,
        "lost_s": n_lost / SAMPLE_RATE,
        "seconds": len(samples) / SAMPLE_RATE,
    }

    def finding(status: str, message: str, remedy: str | None = None) -> Finding:
        return Finding("sound", status, message, remedy, facts)

    if not samples.any():
        return finding(
            PROBLEM,
            ONLY_ZEROS,
            "pactl set-source-mute @DEFAULT_SOURCE@ 0" if shutil.which("pactl") else None,
        )
    if n_lost:
        return finding(
            PROBLEM,
            f"{n_lost / SAMPLE_RATE:.2f} s were lost on the way: the machine is too busy",
            "top",
        )
    if clipped > MOST_CLIPPED:
        return finding(
            WARNING,
            f"{clipped:.1%} of it is clipped: the microphone is set too loud",
            "pactl set-source-volume @DEFAULT_SOURCE@ 70%" if shutil.which("pactl") else None,
        )
    if speech_db is None or noise_db is None:
        return finding(WARNING, "no speech was heard; say something next time")
    heard = f"speech at {speech_db:.0f} dB, noise floor at {noise_db:.0f} dB"
    if speech_db < QUIET_DB:
        louder = "pactl set-source-volume @DEFAULT_SOURCE@ 120%" if shutil.which("pactl") else None
        return finding(WARNING, f"{heard}: rather quiet", louder)
    if noise_db > NOISY_DB:
        return finding(WARNING, f"{heard}: rather noisy, a headset would help")
    return finding(OK, heard)


def _portaudio_remedy(message: str) -> str | None:
    if INSTALL_PORTAUDIO not in message:
        return WITHOUT_MICROPHONE
    for program, command in (
        ("apt", "sudo apt install libportaudio2"),
        ("dnf", "sudo dnf install portaudio"),
        ("pacman", "sudo pacman -S portaudio"),
        ("zypper", "sudo zypper install libportaudio2"),
        ("apk", "sudo apk add portaudio"),
    ):
        if shutil.which(program):
            return command
    return None
