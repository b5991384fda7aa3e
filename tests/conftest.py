"""What every test may use: the model, the sample, a virtual microphone; and no thread left."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from hypothesis import settings

from streamer import models
from streamer.audio import Samples
from streamer.cli import sample_path
from streamer.models.compiled import CompiledModel

# The same examples every time, however busy the machine is.
settings.register_profile("streamer", derandomize=True, deadline=None)
settings.load_profile("streamer")


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_pulled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The tests do not see, nor touch, the caches and the configuration of who runs them."""
    for variable in [name for name in os.environ if name.startswith("STREAMER_")]:
        if variable != "STREAMER_TEST_MICROPHONE":
            del os.environ[variable]
    folders = "STREAMER_MODELS_DIR TFHUB_CACHE_DIR HF_HOME XDG_CONFIG_HOME XDG_CACHE_HOME"
    for variable in folders.split():
        os.environ[variable] = str(tmp_path_factory.mktemp(variable.lower()))


@pytest.fixture(scope="session")
def starter() -> CompiledModel:
    """The model in the package, compiled once for all tests."""
    return models.load("starter")


@pytest.fixture(scope="session")
def sample() -> Samples:
    """The bundled sample of speech at 16 kHz."""
    samples, rate = soundfile.read(sample_path(), dtype="float32")
    assert rate == 16_000
    return samples


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fail a test that leaves one of our threads behind."""
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("streamer-")]
    assert not left


class VirtualMicrophone:
    """A real PulseAudio with a sink whose monitor is the default input."""

    def __init__(self, folder: Path) -> None:
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder / "pulse"),
            "PULSE_CLIENTCONFIG": str(folder / "client.conf"),
        }
        self.environment.pop("PULSE_SERVER", None)
        # A server that is gone stays gone until we begin it again.
        (folder / "client.conf").write_text("autospawn = no\n")
        self._modules: dict[str, str] = {}
        self.begin_server()
        self.plug_in()

    def begin_server(self) -> None:
        """Begin the sound server; nothing is plugged in."""
        self._modules.clear()
        self._server = subprocess.Popen(
            [
                *["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1"],
                "--load=module-native-protocol-unix",
            ],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(300):
            if self._pactl("info", check=False).returncode == 0:
                break
            time.sleep(0.1)  # The server is another process: nothing to wait for but time.

    def end_server(self) -> None:
        """The server is gone without a word."""
        self._server.kill()
        self._server.wait()

    def freeze_server(self) -> None:
        """The server does not answer any more."""
        self._server.send_signal(signal.SIGSTOP)

    def thaw_server(self) -> None:
        """The server goes on."""
        self._server.send_signal(signal.SIGCONT)

    def plug_in(self, name: str = "mic", rate: int = 16_000, channels: int = 1) -> None:
        """Connect a microphone, the default one from now on."""
        form = [f"rate={rate}", f"channels={channels}", "format=s16le"]
        loaded = self._pactl("load-module", "module-null-sink", f"sink_name={name}", *form)
        self._modules[name] = loaded.stdout.strip()
        self._pactl("set-default-source", f"{name}.monitor")

    def unplug(self, name: str = "mic") -> None:
        """Disconnect it, whoever is listening."""
        self._pactl("unload-module", self._modules.pop(name))

    def suspend(self, is_suspended: bool, name: str = "mic") -> None:
        """Have it deliver nothing, or go on."""
        self._pactl("suspend-sink", name, str(int(is_suspended)))

    def play(self, path: Path, name: str = "mic") -> subprocess.Popen[bytes]:
        """Begin to speak a recording into it."""
        return subprocess.Popen(
            ["paplay", f"--device={name}", str(path)],
            env=self.environment,
            stderr=subprocess.DEVNULL,
        )

    def reset(self) -> None:
        """As at the beginning, whatever a test did."""
        self.thaw_server()
        if self._server.poll() is not None:
            self.begin_server()
        for name in set(self._modules) - {"mic"}:
            self.unplug(name)
        if "mic" not in self._modules:
            self.plug_in()
        self.suspend(False)

    def close(self) -> None:
        """End the server."""
        self._server.terminate()
        self._server.wait()

    def _pactl(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pactl", *arguments], env=self.environment, check=check, capture_output=True, text=True
        )


@pytest.fixture(scope="session")
def microphone() -> Iterator[VirtualMicrophone]:
    """A microphone to speak into; skipped, or required, where PulseAudio is not installed."""
    missing = [tool for tool in ("pulseaudio", "pactl", "paplay") if shutil.which(tool) is None]
    if missing:
        reason = f"{', '.join(missing)} not found; see scripts/test"
        if os.environ.get("STREAMER_TEST_MICROPHONE") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    # Not tmp_path: the path of a socket may have 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="mic") as folder:
        microphone = VirtualMicrophone(Path(folder))
        yield microphone
        microphone.close()
