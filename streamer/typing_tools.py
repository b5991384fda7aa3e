"""Where dictated text goes: the focused window, the clipboard, a file, a command, stdout.

No program may type into others' windows by itself; each desktop has tools that are allowed to:

    X11               xdotool
    Wayland           wtype     where the compositor lets programs type: sway, Hyprland, KDE, ...
                      dotool    everywhere, through the kernel; knows keyboard layouts
                      ydotool   everywhere, through the kernel; types as on a US keyboard
    either            clipboard: wl-copy, xclip or xsel; you paste it
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TextIO

from wcwidth import wcwidth

from streamer.captions import CLEAR_BELOW, can_rewrite, size_of
from streamer.errors import TypingError
from streamer.spare_keys import SpareKeys

COMMAND_TIMEOUT_S = 30.0  # for a command of the user: it may have the text corrected
TIMEOUT_S = 10.0  # for a tool to begin, and
PER_CHARACTER_S = 0.1  # so much for each key
KEY_DELAY_MS = 12  # between two keys
# Without spare keys xdotool puts what the keyboard lacks on a free one for the moment, and X11
# applications learn of that a little late: with 12 ms some characters got lost.
ODD_KEY_DELAY_MS = 60
# Each call of wtype plugs in a keyboard, and applications take their time to notice: without a
# pause before and after, first and last keys got lost.
SETTLE_MS = 100
INSTALL = {"wl-copy": "wl-clipboard"}  # packages that are not called as their program is
CLIPBOARDS = {
    "wl-copy": ["wl-copy"],
    "xclip": ["xclip", "-selection", "clipboard"],
    "xsel": ["xsel", "--clipboard", "--input"],
}


class KeptError(TypingError):
    """What was written cannot be taken back; more can still be written."""


class Target(Protocol):
    """Somewhere text is written.

    Attributes:
        description: Completes "what you say is ...".
        can_delete: Whether what was written can be taken back.
    """

    description: str
    can_delete: bool

    def insert(self, text: str) -> None:
        """Write text without line breaks.

        Raises:
            TypingError: It could not be written.
        """
        ...

    def delete(self, n_characters: int) -> None:
        """Take back so many characters before the cursor.

        Raises:
            KeptError: They are not all ours, or not there any more.
            TypingError: They could not be taken back.
        """
        ...

    def enter(self) -> None:
        """Begin a new line."""
        ...


class _Own:
    """How many characters before the cursor are ours: none any more, once it is elsewhere."""

    def __init__(self) -> None:
        self._n_characters = 0
        self._place: object = None

    def change(self, n_characters: int, before: object, after: object) -> bool:
        """Count what is written at a place, or taken back from it, a negative number.

        Args:
            n_characters: How many more there are.
            before: Where the cursor is found; compared with where it was left.
            after: Where it is left.

        Returns:
            Whether there were enough of ours; else nothing has changed.
        """
        n_own = n_characters + (self._n_characters if before == self._place else 0)
        if n_own < 0:
            return False
        self._n_characters, self._place = n_own, after
        return True


class Xdotool:
    """Types on X11, whatever the layout.

    The keys of the shortcut that began the dictation may still be down: they are let go meanwhile.
    """

    description = "typed into the focused window with xdotool"
    can_delete = True

    def __init__(self) -> None:
        """See whether there is a display.

        Raises:
            TypingError: It does not answer.
        """
        _run(["xdotool", "getdisplaygeometry"])
        self._own = _Own()
        self._spare_keys: SpareKeys | None = None
        with contextlib.suppress(OSError):
            self._spare_keys = SpareKeys()

    def insert(self, text: str) -> None:
        """Type text."""
        self._change(len(text))
        while text:
            n_characters = len(text) if self._spare_keys is None else self._spare_keys.give(text)
            delay = ODD_KEY_DELAY_MS if self._spare_keys is None else KEY_DELAY_MS
            command = ["xdotool", "type", "--clearmodifiers", "--delay", str(delay), "--file", "-"]
            _run(command, text[:n_characters])
            text = text[n_characters:]

    def delete(self, n_characters: int) -> None:
        """Press Backspace, in the window that was typed into."""
        if not self._change(-n_characters):
            raise KeptError("What was typed into another window cannot be taken back.")
        repeated = ["--repeat", str(n_characters), "--delay", str(KEY_DELAY_MS)]
        _run(["xdotool", "key", "--clearmodifiers", *repeated, "BackSpace"], n_keys=n_characters)

    def enter(self) -> None:
        """Press Enter."""
        self._change(1)
        _run(["xdotool", "key", "--clearmodifiers", "Return"])

    def _change(self, n_characters: int) -> bool:
        window = ""
        with contextlib.suppress(TypingError):  # None has the focus: the mouse points at it.
            window = _run(["xdotool", "getwindowfocus"])
        return self._own.change(n_characters, window, window)


class Wtype:
    """Types on Wayland, with a keyboard of its own, whatever the layout."""

    description = "typed into the focused window with wtype"
    can_delete = True

    def __init__(self) -> None:
        """See whether there is a display.

        Raises:
            TypingError: There is none.
        """
        default = Path(os.environ.get("XDG_RUNTIME_DIR", "/nowhere"), "wayland-0")
        named = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("WAYLAND_SOCKET")
        if not named and not default.exists():
            raise TypingError(
                "Expected a Wayland display for wtype, found WAYLAND_DISPLAY not set."
            )

    def insert(self, text: str) -> None:
        """Type text."""
        self._wtype("-", text=text)

    def delete(self, n_characters: int) -> None:
        """Press Backspace."""
        self._wtype(*["-k", "BackSpace"] * n_characters)

    def enter(self) -> None:
        """Press Enter."""
        self._wtype("-k", "Return")

    def _wtype(self, *keys: str, text: str = "") -> None:
        settle = ["-s", str(SETTLE_MS)]
        command = ["wtype", *settle, "-d", str(KEY_DELAY_MS), *keys, *settle]
        _run(command, text, n_keys=len(keys))


class Dotool:
    """Types through the kernel; the variable DOTOOL_XKB_LAYOUT tells it the layout."""

    description = "typed into the focused window with dotool"
    can_delete = True

    def insert(self, text: str) -> None:
        """Type text."""
        _run(["dotool"], f"type {text}\n")

    def delete(self, n_characters: int) -> None:
        """Press Backspace."""
        _run(["dotool"], "key backspace\n" * n_characters)

    def enter(self) -> None:
        """Press Enter."""
        _run(["dotool"], "key enter\n")


class Ydotool:
    """Types through the kernel, as on a US keyboard. Its daemon, ydotoold, must run."""

    description = "typed into the focused window with ydotool"
    can_delete = True
    BACKSPACE, ENTER = "14", "28"  # linux/input-event-codes.h

    def insert(self, text: str) -> None:
        """Type text."""
        _run(["ydotool", "type", "--file", "-"], text)

    def delete(self, n_characters: int) -> None:
        """Press Backspace."""
        self._press(self.BACKSPACE, n_characters)

    def enter(self) -> None:
        """Press Enter."""
        self._press(self.ENTER, 1)

    def _press(self, key: str, times: int) -> None:
        _run(["ydotool", "key", *[f"{key}:1", f"{key}:0"] * times], n_keys=times)


class Clipboard:
    """Holds in the clipboard what was said since the program began."""

    can_delete = True

    def __init__(self, program: str) -> None:
        """Use one of `CLIPBOARDS`."""
        self.description = f"put into the clipboard with {program}"
        self._command = CLIPBOARDS[program]
        self._text = ""

    def insert(self, text: str) -> None:
        """Add text."""
        self._set(self._text + text)

    def delete(self, n_characters: int) -> None:
        """Take back characters."""
        self._set(self._text[: len(self._text) - n_characters])

    def enter(self) -> None:
        """Add a line break."""
        self._set(self._text + "\n")

    def _set(self, text: str) -> None:
        # They stay in the background to serve the clipboard, and would keep a pipe open.
        _run(self._command, text, keeps_running=True)
        self._text = text


class TextFile:
    """Appends to a file; what is said now is not glued to what was said another time.

    Lines to what is no file, a FIFO or a device: nothing can be taken back from there.
    """

    def __init__(self, path: Path) -> None:
        """Append to what is there.

        Raises:
            TypingError: The file cannot be written.
        """
        self.description = f"appended to {path}"
        self._path = path
        self._before = ""  # what is said first
        self._own = _Own()
        try:
            self.can_delete = path.is_file() or not path.exists()
            with path.open("ab+" if self.can_delete else "ab") as file:
                if self.can_delete and file.tell():
                    file.seek(-1, os.SEEK_END)
                    self._before = "" if file.read().isspace() else "\n"
        except OSError as error:
            raise self._failure(error) from error

    def insert(self, text: str) -> None:
        """Append text."""
        data = (self._before + text + ("" if self.can_delete else "\n")).encode()
        try:
            with self._path.open("ab") as file:
                n_before = os.fstat(file.fileno()).st_size
                file.write(data)
        except OSError as error:
            raise self._failure(error) from error
        self._own.change(len(text), n_before, n_before + len(data))
        self._before = ""

    def delete(self, n_characters: int) -> None:
        """Cut off characters at the end, if nobody else has written there since."""
        try:
            with self._path.open("rb+") as file:
                data = file.read()
                text = data.decode("utf-8", "surrogateescape")
                kept = text[: max(0, len(text) - n_characters)]
                n_kept = len(kept.encode("utf-8", "surrogateescape"))
                if not self._own.change(-n_characters, len(data), n_kept):
                    raise KeptError(
                        f"What is {self.description} cannot be taken back: another program has "
                        "written to it since."
                    )
                file.truncate(n_kept)
        except OSError as error:
            raise self._failure(error) from error

    def enter(self) -> None:
        """Append a line break."""
        self.insert("\n")

    def _failure(self, error: OSError) -> TypingError:
        return TypingError(f"{self._path} cannot be written: {error.strerror}.")


class Stream:
    """Writes to a terminal; or lines to what cannot be rewritten, a pipe for example."""

    def __init__(self, out: TextIO) -> None:
        """Write to `out`."""
        self.description = "written to stdout"
        self.can_delete = out.isatty() and can_rewrite()
        self._out = out
        self._line = ""
        self._lock = threading.RLock()  # Notes come from other threads.

    def insert(self, text: str) -> None:
        """Write text."""
        with self._lock:
            self._line += text
            self._out.write(text)
            if not self.can_delete:
                self.enter()
            self._out.flush()

    def delete(self, n_characters: int) -> None:
        """Step back, over rows too, and clear what is behind; not beyond the line's beginning."""
        with self._lock:
            n_kept = len(self._line) - n_characters
            if n_kept < 0:
                self.finish()  # What comes now is not to be glued to it.
                raise KeptError("What stands in lines that were ended cannot be taken back.")
            n_columns, _ = size_of(self._out)
            last_row, _ = _end_of(self._line, n_columns)
            self._line = self._line[:n_kept]
            row, column = _end_of(self._line, n_columns)
            if column >= n_columns:  # No sequence leads behind the last column.
                row, column = row + 1, 0
            up = f"\x1b[{last_row - row}A" if last_row > row else ""
            self._out.write(f"{up}\x1b[{column + 1}G{CLEAR_BELOW}")
            self._out.flush()

    def enter(self) -> None:
        """End the line."""
        with self._lock:
            self._line = ""
            self._out.write("\n")
            self._out.flush()

    def note(self, text: str) -> None:
        """Print a line of our own; what was being written goes on below it."""
        with self._lock:
            self.finish()
            self._out.write(f"{text}\n")
            self._out.flush()

    def finish(self) -> None:
        """End the last line."""
        with self._lock:
            if self._line:
                self.enter()


def _end_of(text: str, n_columns: int) -> tuple[int, int]:
    """Row and column behind a text that begins in the first one, as a terminal wraps it."""
    row = column = 0
    for character in text:
        width = max(0, wcwidth(character))
        if column + width > n_columns:
            row, column = row + 1, 0
        column += width
    return row, column


class Command:
    """Runs a command of the user's for each piece of text, which it finds on its stdin, a line."""

    can_delete = False

    def __init__(self, command: str) -> None:
        """Take what a shell understands."""
        self.description = f"given to: {command}"
        self._command = command

    def insert(self, text: str) -> None:
        """Run it with this text; end it, and what it has begun, when it takes too long."""
        with subprocess.Popen(
            self._command,
            shell=True,
            stdin=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for us: what was said is still to be given to it.
        ) as process:
            try:
                process.communicate(f"{text}\n", timeout=COMMAND_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                if hasattr(os, "killpg"):
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()
                raise TypingError(
                    f"Expected {self._command!r} to end within {COMMAND_TIMEOUT_S:g} s, found it "
                    "running."
                ) from None
        if process.returncode:
            raise TypingError(
                f"Expected exit status 0 of {self._command!r}, found {process.returncode}."
            )

    def delete(self, n_characters: int) -> None:
        """Cannot be done: the command has the text."""
        raise AssertionError("A command takes nothing back.")

    def enter(self) -> None:
        """Run it with a line break."""
        self.insert("\n")


TYPING: dict[str, type[Target]] = {
    "xdotool": Xdotool,
    "wtype": Wtype,
    "dotool": Dotool,
    "ydotool": Ydotool,
}
NAMES = ("auto", *TYPING, "clipboard", "stdout")


def target(name: str, environment: Mapping[str, str] = os.environ) -> Target:
    """The target of one of `NAMES`.

    Raises:
        TypingError: There is no desktop, or the tool is missing; says what to install.
    """
    if name == "stdout":
        return Stream(sys.stdout)
    if name == "clipboard":
        return Clipboard(_first_of(clipboards_for(environment), "put text into the clipboard"))
    if name == "auto":
        name = _first_of(tools_for(environment), "type into other windows")
    elif shutil.which(name) is None:
        raise TypingError(_missing([name], f"type with {name}"))
    return TYPING[name]()


def tools_for(environment: Mapping[str, str]) -> list[str]:
    """Names of the tools that can type in this session, the best first."""
    if environment.get("WAYLAND_DISPLAY"):
        if "GNOME" in environment.get("XDG_CURRENT_DESKTOP", "").upper():  # It lets wtype not type.
            return ["ydotool", "dotool"]
        return ["wtype", "dotool", "ydotool"]
    return ["xdotool"] if environment.get("DISPLAY") else []


def clipboards_for(environment: Mapping[str, str]) -> list[str]:
    """Names of the programs that can set the clipboard in this session, the best first."""
    if environment.get("WAYLAND_DISPLAY"):
        return ["wl-copy"]
    return ["xclip", "xsel"] if environment.get("DISPLAY") else []


def _first_of(names: Sequence[str], purpose: str) -> str:
    if not names:
        raise TypingError(
            f"Expected a desktop to {purpose}, found neither WAYLAND_DISPLAY nor DISPLAY set. "
            "Without one: --to stdout, --file FILE or --exec COMMAND."
        )
    for name in names:
        if shutil.which(name):
            return name
    raise TypingError(_missing(names, purpose))


def _missing(names: Sequence[str], purpose: str) -> str:
    package = INSTALL.get(names[0], names[0])
    return (
        f"Expected {' or '.join(names)} to {purpose}, found no such program. On Debian and Ubuntu: "
        f"sudo apt install {package}. Or: --to clipboard, --to stdout."
    )


def _run(
    command: Sequence[str], text: str = "", *, n_keys: int = 0, keeps_running: bool = False
) -> str:
    """Give a text to a tool, and return what it prints, unless it keeps running."""
    output = subprocess.DEVNULL if keeps_running else subprocess.PIPE
    try:
        done = subprocess.run(
            command,
            input=text,
            text=True,
            encoding="utf-8",
            stdout=output,
            stderr=output,
            timeout=TIMEOUT_S + PER_CHARACTER_S * (len(text) + n_keys),
            check=False,
            start_new_session=True,  # Ctrl-C is for us: it would empty the clipboard.
        )
    except FileNotFoundError:
        raise TypingError(_missing(command[:1], f"type with {command[0]}")) from None
    except subprocess.TimeoutExpired:
        raise TypingError(f"{command[0]} does not answer.") from None
    if done.returncode:
        said = " ".join((done.stderr or "").split()) or f"exit status {done.returncode}"
        hint = ""
        if command[0] == "wtype" and "virtual keyboard" in said:
            hint = " GNOME does not let programs type; --to dotool or --to ydotool does it anyway."
        raise TypingError(f"{command[0]} failed: {said.rstrip('.')}.{hint}")
    return done.stdout or ""
