"""`streamer doctor`: what this machine has, whether it keeps up, and what mends what is wrong.

A check is a function that gives findings; each finding is one sentence, and the command that mends
it. Nothing that says whose machine it is gets into the findings: no names of users, folders, hosts
or devices.
"""

from __future__ import annotations

import argparse
import json
import locale
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from streamer import __version__, configuration
from streamer.audio import Samples, level_db
from streamer.config import SAMPLE_RATE, Settings
from streamer.errors import AudioError, DeviceError, ModelError, StreamerError, TypingError
from streamer.sources import Block
from streamer.sources.devices import INSTALL_PORTAUDIO, input_devices_in_time
from streamer.typing_tools import CLIPBOARDS, TYPING, clipboards_for, tools_for
from streamer.vad import Vad

OK, WARNING, PROBLEM = "ok", "warning", "problem"
MARKS = {OK: "ok  ", WARNING: "note", PROBLEM: "FAIL"}
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
FULL_MODEL_BYTES = 400e6 * 2  # the archive, and what is unpacked from it
CLIPPED = 0.999  # of full scale
MOST_CLIPPED = 1e-3  # of all samples
QUIET_DB, NOISY_DB = -45.0, -40.0  # speech below, noise above: both cost words
KEEPS_UP = 0.8  # of the time that there is


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        name: What was checked.
        status: `ok`, `warning` (it works, less well than it could) or `problem`.
        message: One sentence.
        remedy: The command that mends it.
        facts: The numbers behind it.
    """

    name: str
    status: str
    message: str
    remedy: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


Check = Callable[[argparse.Namespace], Iterator[Finding]]


def run(options: argparse.Namespace) -> int:
    """Run the command: 1 if there is a problem."""
    findings = []
    for check in CHECKS:
        for found in check(options):
            finding = replace(found, name=_private(found.name), message=_private(found.message))
            findings.append(finding)
            if not options.json:
                print(f"{MARKS[finding.status]}  {finding.name}: {finding.message}", flush=True)
                if finding.remedy:
                    print(f"      mend it: {finding.remedy}", flush=True)
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    return int(any(finding.status == PROBLEM for finding in findings))


def _python(_options: argparse.Namespace) -> Iterator[Finding]:
    version, system = platform.python_version(), f"{platform.system()} {platform.machine()}"
    yield Finding(
        "streamer",
        OK,
        f"{__version__} on Python {version}, {system}",
        facts={"streamer": __version__, "python": version, "system": system},
    )
    encoding = locale.getpreferredencoding(False)
    is_utf8 = encoding.lower().replace("-", "") == "utf8"
    if not is_utf8:
        yield Finding(
            "text",
            WARNING,
            f"the terminal writes {encoding}, not UTF-8: the status line may look wrong",
            "export LANG=C.UTF-8",
            {"encoding": encoding},
        )


def _configuration(options: argparse.Namespace) -> Iterator[Finding]:
    set_ = [s for s in options.settings if s.origin != configuration.DEFAULT]
    unknown = configuration.unknown_variables(os.environ, options.settings)
    origins = sorted({setting.origin for setting in set_})
    message = f"{len({s.option for s in set_})} options set by {', '.join(origins)}"
    if unknown:
        yield Finding(
            "configuration",
            WARNING,
            f"no option has the name of {', '.join(unknown)}",
            f"unset {' '.join(unknown)}",
        )
    yield Finding(
        "configuration",
        OK,
        message if set_ else "none, all options have their defaults",
        facts={"options": sorted({setting.option for setting in set_})},
    )


def _machine(_options: argparse.Namespace) -> Iterator[Finding]:
    began_s = time.perf_counter()
    try:
        import tensorflow as tf
    except Exception as error:  # An import of native libraries fails in many ways.
        yield Finding(
            "TensorFlow",
            PROBLEM,
            f"cannot be imported: {error}",
            f"{_private(sys.executable)} -m pip install --force-reinstall tensorflow",
        )
        return
    import_s = time.perf_counter() - began_s
    n_cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    flags = _processor_flags()
    instructions = [name for name in INSTRUCTIONS if name in flags]
    has_vectors = not flags or {"avx2", "asimd"} & set(flags)
    yield Finding(
        "TensorFlow",
        OK if has_vectors else WARNING,
        f"{tf.__version__}, {n_cores} cores, {', '.join(instructions) or 'no known'} instructions"
        + ("" if has_vectors else ": without AVX2 everything is slow"),
        facts={
            "tensorflow": tf.__version__,
            "import_s": round(import_s, 2),
            "cores": n_cores,
            "instructions": instructions,
        },
    )


def _microphone(options: argparse.Namespace) -> Iterator[Finding]:
    try:
        devices = input_devices_in_time()
    except DeviceError as error:
        yield Finding("microphone", PROBLEM, str(error), _portaudio_remedy(str(error)))
        return
    default = next((device for device in devices if device.is_default), None)
    facts = [{"channels": d.channels, "sample_rate": d.sample_rate} for d in devices]
    if default is None:
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
        f"{len(devices)} input devices; the default one has {default.channels} channels at "
        f"{default.sample_rate} Hz",
        facts={"devices": facts},
    )
    if options.seconds:
        yield _heard(options)


def _heard(options: argparse.Namespace) -> Finding:
    """What some seconds of the microphone are like."""
    from streamer.outputs import say
    from streamer.sources.microphone import Microphone

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
        return Finding("sound", PROBLEM, str(error), _portaudio_remedy(str(error)))
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
            "nothing but zeros: the microphone is muted, or another input is the default",
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


def _models(options: argparse.Namespace) -> Iterator[Finding]:
    from streamer.models import store
    from streamer.models.archive import pulled_names
    from streamer.models.catalogue import CATALOGUE, STARTER

    if options.model != "auto":
        yield from _model(options.model)
        return
    installed = []
    for name in [*(entry.name for entry in CATALOGUE), *pulled_names()]:
        try:
            store.find(name)
        except ModelError:
            continue
        if name not in installed:
            installed.append(name)
    for name in installed:
        yield from _model(name)
    if installed == [STARTER]:
        yield Finding(
            "full model",
            WARNING,
            "is not here; starter is small, and hears less well",
            "streamer models pull wav2vec2-960h",
        )


def _model(name: str) -> Iterator[Finding]:
    import soundfile

    from streamer import models
    from streamer.bench.memory import peak_memory_mb
    from streamer.cli import sample_path
    from streamer.models import store
    from streamer.pipeline import Pipeline

    if (origin := store.origin_of(name)) is not None:
        try:
            n_files = origin.verify()
        except StreamerError as error:
            yield Finding(f"model {name}", PROBLEM, str(error), f"streamer models pull {name}")
            return
        checked = f"files intact ({n_files}), "
    else:
        checked = ""
    try:
        began_s = time.perf_counter()
        model = models.load(name)
        model.log_probs(np.zeros(model.buckets[0], np.float32))
        first_s = time.perf_counter() - began_s
        model.warm_up(lambda _done, _total: True)
        all_s = time.perf_counter() - began_s
    except ModelError as error:
        yield Finding(f"model {name}", PROBLEM, str(error), "streamer models")
        return
    samples, _ = soundfile.read(sample_path(), dtype="float32")
    duration_s = len(samples) / SAMPLE_RATE
    took_s = {}
    for partials in (False, True):
        pipeline = Pipeline(model, Settings(partials=partials))
        began_s = time.perf_counter()
        pipeline.push(samples)
        pipeline.flush()
        took_s[partials] = time.perf_counter() - began_s
    rtf, live_rtf = took_s[False] / duration_s, took_s[True] / duration_s
    facts = {
        "ready_s": round(first_s, 2),
        "all_lengths_s": round(all_s, 2),
        "rtf": round(rtf, 4),
        "rtf_with_partials": round(live_rtf, 4),
        "peak_memory_mb": round(peak_memory_mb() or 0),
    }
    speed = f"{checked}ready after {first_s:.1f} s, takes {rtf:.0%} of the time of speech"
    if rtf > KEEPS_UP:
        yield Finding(
            f"model {name}",
            PROBLEM,
            f"{speed}: too slow for live speech on this machine",
            "streamer --model starter",
            facts,
        )
    elif live_rtf > KEEPS_UP:
        yield Finding(
            f"model {name}",
            WARNING,
            f"{speed}: keeps up, with fewer intermediate results ({live_rtf:.0%} with all)",
            facts=facts,
        )
    else:
        message = f"{speed}, {live_rtf:.0%} with live results: keeps up"
        yield Finding(f"model {name}", OK, message, facts=facts)


def _disk(_options: argparse.Namespace) -> Iterator[Finding]:
    from streamer.models.archive import models_folder

    path = models_folder()
    while not path.exists():
        path = path.parent
    free = shutil.disk_usage(path).free
    if not os.access(path, os.W_OK):
        remedy = "export STREAMER_MODELS_DIR=FOLDER"
        yield Finding("disk", PROBLEM, "the folder for models cannot be written to", remedy)
    elif free < FULL_MODEL_BYTES:
        yield Finding(
            "disk",
            WARNING,
            f"{free / 1e9:.1f} GB free where models are kept; the full one needs 0.8",
            "export STREAMER_MODELS_DIR=FOLDER",
            {"free_bytes": free},
        )
    else:
        message = f"{free / 1e9:.0f} GB free where models are kept"
        yield Finding("disk", OK, message, facts={"free_bytes": free})


def _typing(_options: argparse.Namespace) -> Iterator[Finding]:
    tools = tools_for(os.environ)
    here = [name for name in (*TYPING, *CLIPBOARDS) if shutil.which(name)]
    facts = {"session": "wayland" if "wtype" in tools else "x11" if tools else None, "here": here}
    if not tools:
        yield Finding(
            "dictation", OK, "no desktop here; it can go to a file or a command", None, facts
        )
        return
    try:
        from streamer.typing_tools import target

        description = target("auto").description
    except TypingError as error:
        remedy = f"sudo apt install {tools[0]}"
        yield Finding("dictation", WARNING, str(error), remedy, facts)
        return
    clipboard = any(name in here for name in clipboards_for(os.environ))
    text = f"what you say is {description}" + ("" if clipboard else "; no clipboard program")
    yield Finding("dictation", OK, text, None, facts)


CHECKS: tuple[Check, ...] = (
    _python,
    _configuration,
    _machine,
    _disk,
    _microphone,
    _typing,
    _models,
)


def _processor_flags() -> list[str]:
    """The instruction sets of the processor, as Linux names them; none elsewhere."""
    try:
        lines: Iterable[str] = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return next((s.split(":")[1].split() for s in lines if s.startswith(("flags", "Features"))), [])


def _portaudio_remedy(message: str) -> str | None:
    if INSTALL_PORTAUDIO not in message:
        return None
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


def _private(text: str) -> str:
    """The text without the user's folder."""
    return text.replace(str(Path.home()), "~")
