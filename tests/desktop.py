"""A real X server and a real Wayland compositor without a screen, each with a text field."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

WAIT_S = 20.0


def needs(*programs: str) -> None:
    """Skip the test, or fail it where the programs are required, when one is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing and os.environ.get("STREAMER_TEST_MICROPHONE") == "required":
        pytest.fail(f"missing: {', '.join(missing)}")
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


def wait_for(path: Path) -> None:
    """Wait until another program has made a file."""
    end_s = time.monotonic() + WAIT_S
    while not path.exists():
        assert time.monotonic() < end_s, f"{path} did not come"
        time.sleep(0.02)


class Desktop:
    """A desktop whose focused window is a terminal that writes typed lines to a file."""

    def __init__(self) -> None:
        # Not in pytest's folders, which no other user may enter.
        self.folder = folder = Path(tempfile.mkdtemp(prefix="streamer-desktop-"))
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE")
        } | {"XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)}
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Desktop:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        shutil.rmtree(self.folder)

    def begin(self, *command: str, **options: object) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            env=self.environment,
            stderr=subprocess.DEVNULL,
            **options,  # type: ignore[call-overload]
        )
        self._processes.append(process)
        return process

    def field(self) -> str:
        """A shell command that reads lines into the file `typed`, and says when it is ready."""
        # Backspace deletes a whole character, umlauts too.
        return (
            f"cd '{self.folder}'; stty erase '^?' iutf8; touch ready; "
            "IFS= read -r line; printf '%s' \"$line\" >typing; mv typing typed"
        )

    def typed(self) -> str:
        """What stood in the field when Enter was pressed."""
        wait_for(self.folder / "typed")
        return (self.folder / "typed").read_text(encoding="utf-8")


class X11(Desktop):
    """Xvfb with an xterm."""

    def __init__(self, layout: str) -> None:
        needs("Xvfb", "xterm", "xdotool", "setxkbmap")
        super().__init__()
        ours, theirs = os.pipe()
        # Without -noreset it forgets the layout when the first program that it served ends.
        server = self.begin(
            *[
                "Xvfb",
                "-displayfd",
                str(theirs),
                "-nolisten",
                "tcp",
                "-noreset",
                "-screen",
                "0",
                "640x480x24",
            ],
            pass_fds=[theirs],
        )
        os.close(theirs)
        with os.fdopen(ours) as numbers:
            number = numbers.readline().strip()
        assert number, f"Xvfb ended with {server.poll()}"
        self.environment["DISPLAY"] = f":{number}"
        subprocess.run(["setxkbmap", layout], env=self.environment, check=True)

    def open_field(self) -> subprocess.Popen[bytes]:
        """Open the field and give it the focus; returns its terminal."""
        terminal = self.begin("xterm", "-u8", "-e", "sh", "-c", self.field())
        wait_for(self.folder / "ready")
        self.xdotool("search", "--sync", "--onlyvisible", "--class", "xterm", "windowfocus")
        return terminal

    def xdotool(self, *arguments: str) -> str:
        """Have xdotool do something; returns what it prints."""
        done = subprocess.run(
            ["xdotool", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout.strip()


class Wayland(Desktop):
    """Sway without a screen, with foot as its terminal."""

    def __init__(self, layout: str) -> None:
        needs("sway", "foot", "wtype")
        super().__init__()
        folder = self.folder
        (folder / "config").write_text(
            f'input * xkb_layout "{layout}"\n'
            f"exec sh -c 'echo \"$WAYLAND_DISPLAY\" >display.new; mv display.new display'\n"
        )
        self.environment |= {
            "WLR_BACKENDS": "headless",
            "WLR_LIBINPUT_NO_DEVICES": "1",
            "WLR_RENDERER": "pixman",
            "LANG": "C.UTF-8",
        }
        as_user = []
        if os.geteuid() == 0:  # which it refuses to run as
            as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            for path in (folder, folder / "config"):
                os.chown(path, 65534, 65534)
        self.begin(*as_user, "sway", "--config", str(folder / "config"), cwd=folder)
        wait_for(folder / "display")
        self.environment["WAYLAND_DISPLAY"] = (folder / "display").read_text().strip()

    def open_field(self) -> None:
        """Open the field, which gets the focus."""
        self.begin("foot", "sh", "-c", self.field())
        wait_for(self.folder / "ready")
        (control,) = self.folder.glob("sway-ipc.*.sock")
        end_s = time.monotonic() + WAIT_S
        while not self._has_focus(json.loads(self._tree(control))):
            assert time.monotonic() < end_s, "the field did not get the focus"
            time.sleep(0.02)

    def _tree(self, control: Path) -> bytes:
        command = ["swaymsg", "--socket", str(control), "--raw", "--type", "get_tree"]
        return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout

    def _has_focus(self, node: dict[str, Any]) -> bool:
        if node.get("app_id") == "foot":
            return bool(node["focused"] and node["visible"])
        return any(self._has_focus(child) for child in node["nodes"])
