"""The doctor sees what is wrong, says what mends it, and keeps private things to itself."""

import argparse
import dataclasses
import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import VirtualMicrophone

from streamer.audio import Samples
from streamer.cli import main, sample_path
from streamer.doctor import finding as doctor
from streamer.doctor import sound, system
from streamer.doctor.models import model_findings
from streamer.doctor.sound import sound_finding
from streamer.errors import DeviceError, ModelError
from streamer.models import compiled_code
from streamer.models.files import UnverifiableError
from streamer.models.store import InPackage
from streamer.sources.devices import Device


def statuses(output: str) -> dict[str, str]:
    return {finding["name"]: finding["status"] for finding in json.loads(output)}


def test_speech_at_a_good_level_is_fine(sample: Samples) -> None:
    found = sound_finding(sample[: 5 * 16_000], n_lost=0)
    assert found.status == doctor.OK
    assert found.facts["speech_db"] > found.facts["noise_floor_db"] + 20
    assert found.facts["seconds"] == 5.0


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        (lambda x: 0 * x, doctor.PROBLEM, "nothing but zeros"),
        (lambda x: np.clip(30 * x, -1, 1), doctor.WARNING, "clipped"),
        (lambda x: 0.01 * x, doctor.WARNING, "rather quiet"),
        (
            lambda x: x + 0.02 * np.random.default_rng(0).standard_normal(len(x)),
            doctor.WARNING,
            "rather noisy",
        ),
        (
            lambda x: 1e-4 * np.random.default_rng(0).standard_normal(len(x)),
            doctor.WARNING,
            "no speech was heard",
        ),
        (lambda x: x[:0], doctor.PROBLEM, "nothing but zeros"),
    ],
)
def test_what_is_wrong_with_the_sound_is_said(
    change: object, status: str, said: str, sample: Samples
) -> None:
    samples = np.asarray(change(sample[: 5 * 16_000]), np.float32)  # type: ignore[operator]
    found = sound_finding(samples, n_lost=0)
    assert (found.status, said in found.message) == (status, True)


def test_lost_sound_is_a_problem(sample: Samples) -> None:
    found = sound_finding(sample[:80_000], n_lost=8_000)
    assert found.status == doctor.PROBLEM
    assert "0.50 s were lost" in found.message


@pytest.mark.microphone
def test_a_machine_that_is_well(microphone: VirtualMicrophone) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "streamer", "doctor", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**microphone.environment, "USER": "somebody"},
    )
    assert process.stderr is not None
    assert "Please say something" in process.stderr.readline()
    player = microphone.play(sample_path())
    output, _ = process.communicate()
    player.kill()
    player.wait()
    found = statuses(output)
    assert process.returncode == 0, output
    assert found["sound"] == found["model starter"] == found["TensorFlow"] == doctor.OK
    for private in (str(Path.home()), microphone.environment["HOME"], socket.gethostname()):
        assert private not in output
    assert f'"{getpass.getuser()}"' not in output


@pytest.mark.microphone
def test_a_device_that_is_none_is_a_problem_also_where_it_is_not_heard(
    microphone: VirtualMicrophone,
) -> None:
    done = subprocess.run(
        [
            *[sys.executable, "-m", "streamer", "doctor", "--seconds", "0", "--json"],
            *["--device", "nonsense", "--model", "none"],
        ],
        capture_output=True,
        text=True,
        env=microphone.environment,
    )
    assert done.returncode == 1
    assert statuses(done.stdout)["microphone"] == doctor.PROBLEM


def test_a_microphone_that_is_not_heard_may_be_missing() -> None:
    assert list(sound.microphone(argparse.Namespace(seconds=0.0, device=None))) == []


DEVICES = [
    Device(index=0, name="Anna's AirPods", channels=1, sample_rate=24_000, is_default=False),
    Device(index=3, name="Anna's webcam", channels=2, sample_rate=48_000, is_default=False),
]


@pytest.mark.parametrize("default", [None, 0])
def test_the_microphone_that_was_chosen_is_the_one_that_is_looked_at(
    default: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = [dataclasses.replace(d, is_default=d.index == default) for d in DEVICES]
    monkeypatch.setattr(sound, "input_devices_in_time", lambda: devices)
    (found,) = sound.microphone(argparse.Namespace(seconds=0.0, device="3"))
    assert found.status == doctor.OK
    assert "the chosen one has 2 channels at 48000 Hz" in found.message


def test_where_no_microphone_is_the_default_one_it_asks_for_a_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sound, "input_devices_in_time", lambda: DEVICES)
    (found,) = sound.microphone(argparse.Namespace(seconds=5.0, device=None))
    assert found.status == doctor.WARNING
    assert found.remedy == "streamer devices, and then --device NUMBER"


@pytest.mark.parametrize("device", ["none of them", "Anna's", "3"])
def test_names_of_microphones_are_kept_private(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise DeviceError(f"The input device 3 {DEVICES[1].name} cannot be opened: No.")

    monkeypatch.setattr(sound, "input_devices_in_time", lambda: DEVICES)
    monkeypatch.setattr(sound.Microphone, "open", fail)
    found = list(sound.microphone(argparse.Namespace(seconds=5.0, device=device)))
    assert found[-1].status == doctor.PROBLEM
    if device == "3":
        assert found[-1].message == "The input device 3 cannot be opened: No."
    assert not any("Anna" in str(dataclasses.asdict(one)) for one in found)


def test_models_are_measured_with_what_was_compiled_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[bool] = []
    monkeypatch.setattr(compiled_code, "keep", lambda: kept.append(True))
    (found,) = system.machine(argparse.Namespace())
    assert (found.name, kept) == ("TensorFlow", [True])


def test_without_a_microphone_it_says_so_and_fails(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "STREAMER_MODELS_DIR": str(tmp_path / "models"),
        "STREAMER_MODLE": "starter",
    }
    done = subprocess.run(
        [sys.executable, "-m", "streamer", "doctor", "--model", str(tmp_path / "nothing")],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "      mend it: unset STREAMER_MODLE" in lines
    at = next(at for at, line in enumerate(lines) if line.startswith("FAIL  microphone: "))
    assert lines[at + 1].startswith("      mend it: ")
    assert any(line.startswith("FAIL  model ") for line in lines)
    assert str(tmp_path) not in done.stdout


def test_where_the_users_folder_is_the_root_paths_stay_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", "/")
    assert main(["doctor", "--seconds", "0", "--model", "/no/model"]) == 1
    assert "model /no/model: " in capsys.readouterr().out


def test_a_damaged_model_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(InPackage().path(), folder)
    weights = bytearray((folder / "weights.npz").read_bytes())
    weights[len(weights) // 2] ^= 0xFF
    (folder / "weights.npz").write_bytes(weights)
    monkeypatch.setattr(InPackage, "path", lambda _: folder)
    (found,) = model_findings("starter")
    assert found.status == doctor.PROBLEM
    assert "are damaged" in found.message
    assert found.remedy is None  # Pulling does not mend it, and the message says what does.


def test_a_model_that_cannot_be_verified_is_tried_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise ModelError("Read.")

    def cannot(_: object) -> int:
        raise UnverifiableError("Nothing is known of it.")

    monkeypatch.setattr(InPackage, "verify", cannot)
    monkeypatch.setattr("streamer.models.load", fail)
    note, read = model_findings("starter")
    assert (note.status, note.message) == (doctor.WARNING, "Nothing is known of it.")
    assert (read.status, read.message) == (doctor.PROBLEM, "Read.")


def test_a_length_of_listening_that_is_none_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["doctor", "--seconds", "-1"])
    assert "expected 0 or a number above it" in capsys.readouterr().err
