"""What is said stands where it should stand: in windows, the clipboard, files and commands."""

import argparse
import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyte
import pytest
from desktop import X11, Desktop, Wayland, needs

from streamer import Event, Final, Partial, Pipe, Transcriber, Word, control, typing_tools
from streamer.cli import main
from streamer.control import Control, send, socket_path
from streamer.dictate_command import Switch, mode_of, write
from streamer.dictation import Dictation, Mode
from streamer.errors import TypingError
from streamer.settings import TextStyle
from streamer.typing_tools import (
    Clipboard,
    Command,
    KeptError,
    Stream,
    Target,
    TextFile,
    Wtype,
    Xdotool,
    target,
    tools_for,
)

ODD = 'Zürich\'s "yes" @ {a/b} -- ÄÖÜß, €5? ~^y\\z <é> 你好'


def words_of(text: str, start_s: float) -> tuple[Word, ...]:
    return tuple(
        Word(word=word, start_s=start_s + i / 4, end_s=start_s + i / 4 + 0.2, confidence=0.9)
        for i, word in enumerate(text.upper().split())
    )


def partial(utterance: int, stable: str, unstable: str) -> Partial:
    start_s = 20.0 * utterance
    text = f"{stable} {unstable}".strip().upper()
    return Partial(
        utterance=utterance,
        start_s=start_s,
        end_s=start_s + 10,
        stable_text=stable.upper(),
        unstable_text=unstable.upper(),
        text=text,
        words=words_of(text, start_s),
    )


def final(utterance: int, text: str) -> Final:
    start_s = 20.0 * utterance
    return Final(
        utterance=utterance,
        start_s=start_s,
        end_s=start_s + 10,
        text=text.upper(),
        words=words_of(text, start_s),
        latency_s=0.0,
        model="scripted",
    )


SAID: list[Event] = [
    partial(0, "", "DEAR ANA"),
    partial(0, "DEAR", "ANNA COMA"),
    final(0, "dear anna comma my street is in"),
    partial(1, "", "TWENTY THREE"),
    final(1, "twenty three dollars question mark"),
    final(2, "this is wrong"),
    final(3, "scratch that"),
    final(4, "all caps done end caps period"),
]
WRITTEN = "Dear anna, my street is in $23? DONE."


def say_into(goal: Target, mode: Mode, events: Iterable[Event] = SAID) -> bool:
    return write(events, Dictation(TextStyle(sentence_ends=False), mode=mode), goal)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@contextlib.contextmanager
def inside(desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with desktop:
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"):
            if name in desktop.environment:
                monkeypatch.setenv(name, desktop.environment[name])
        yield


@pytest.mark.parametrize("layout", ["us", "de", "ru"])
@pytest.mark.parametrize("mode", [Mode.STABLE, Mode.LIVE])
def test_on_x11_it_stands_in_the_window(
    layout: str, mode: Mode, environment: pytest.MonkeyPatch
) -> None:
    desktop = X11(layout)
    with inside(desktop, environment):
        desktop.open_field()
        goal = target("auto")
        assert isinstance(goal, Xdotool)
        say_into(goal, mode)
        goal.insert(" " + ODD)
        goal.delete(3)
        goal.enter()
        assert desktop.typed() == f"{WRITTEN} {ODD}"[:-3]


def test_a_busy_application_reads_what_its_keyboard_lacks(environment: pytest.MonkeyPatch) -> None:
    text = "ça été DÉJÀ là — où? “oui”"
    desktop = X11("us")
    with inside(desktop, environment):
        terminal = desktop.open_field()
        goal = target("auto")
        terminal.send_signal(signal.SIGSTOP)
        goal.insert(text)
        goal.enter()
        terminal.send_signal(signal.SIGCONT)
        assert desktop.typed() == text


def test_keys_that_were_given_are_taken_back_when_the_program_ends(
    environment: pytest.MonkeyPatch,
) -> None:
    program = (
        "import os; from streamer.typing_tools import target\n"
        "target('xdotool').insert('é'); os.system('xkbcomp -xkb $DISPLAY - 2>/dev/null')"
    )
    desktop = X11("us")
    with inside(desktop, environment):
        command = [sys.executable, "-c", program]
        assert "eacute" in subprocess.run(command, capture_output=True, text=True).stdout
        command = ["xkbcomp", "-xkb", desktop.environment["DISPLAY"], "-"]
        assert "eacute" not in subprocess.run(command, capture_output=True, text=True).stdout


def test_nothing_is_deleted_in_a_window_that_was_not_typed_into(
    environment: pytest.MonkeyPatch,
) -> None:
    desktop = X11("us")
    with inside(desktop, environment):
        desktop.open_field()
        goal = target("auto")
        goal.insert("first")
        first = desktop.xdotool("getwindowfocus")
        desktop.begin("xterm", "-T", "other", "-e", "cat")
        desktop.xdotool("search", "--sync", "--onlyvisible", "--name", "other", "windowfocus")
        with pytest.raises(KeptError):
            goal.delete(1)
        goal.insert("second")
        goal.delete(6)
        with pytest.raises(KeptError):
            goal.delete(1)
        desktop.xdotool("windowfocus", "--sync", first)
        goal.enter()
        assert desktop.typed() == "first"


@pytest.mark.parametrize("layout", ["us", "de"])
def test_on_wayland_it_stands_in_the_window(layout: str, environment: pytest.MonkeyPatch) -> None:
    desktop = Wayland(layout)
    with inside(desktop, environment):
        desktop.open_field()
        goal = target("auto")
        assert isinstance(goal, Wtype)
        say_into(goal, Mode.LIVE)
        goal.insert(" " + ODD)
        goal.delete(3)
        goal.enter()
        assert desktop.typed() == f"{WRITTEN} {ODD}"[:-3]


def pasted() -> str:
    """What the clipboard holds; xclip, which holds it, may still be about to say so."""
    for _ in range(50):
        done = subprocess.run(["xclip", "-selection", "clipboard", "-o"], capture_output=True)
        if done.returncode == 0:
            break
        time.sleep(0.1)
    return done.stdout.decode()


def test_the_clipboard_holds_it(environment: pytest.MonkeyPatch) -> None:
    needs("xclip")
    desktop = X11("us")
    with inside(desktop, environment):
        goal = target("clipboard")
        assert isinstance(goal, Clipboard)
        say_into(goal, Mode.LIVE)
        goal.insert(ODD)
        goal.enter()
        assert pasted() == WRITTEN + ODD + "\n"


def test_the_clipboard_keeps_it_when_ctrl_c_ends_the_dictation(
    environment: pytest.MonkeyPatch,
) -> None:
    needs("xclip")
    program = (
        "import os, signal; from streamer.typing_tools import target\n"
        "target('clipboard').insert('Kept.'); os.killpg(0, signal.SIGINT)"
    )
    desktop = X11("us")
    with inside(desktop, environment):
        done = subprocess.run(
            [sys.executable, "-c", program], stderr=subprocess.DEVNULL, start_new_session=True
        )
        assert done.returncode == -signal.SIGINT
        assert pasted() == "Kept."


@pytest.mark.parametrize("mode", list(Mode))
def test_a_file_holds_it_behind_what_was_there(mode: Mode, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Before: é ")
    say_into(TextFile(path), mode)
    assert path.read_text() == "Before: é " + WRITTEN


def test_in_a_file_each_dictation_begins_a_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    for _ in range(2):
        say_into(TextFile(path), Mode.LIVE)
    TextFile(path)  # Nothing is said this time.
    assert path.read_text() == f"{WRITTEN}\n{WRITTEN}"


def test_what_another_program_has_written_to_the_file_is_not_cut_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "notes.txt"

    def said() -> Iterator[Event]:
        yield from (final(0, "hello"), final(1, "good morning"))
        with path.open("a") as file:
            file.write("; NOTE")
        yield from (final(2, "scratch that"), final(3, "bad"))
        yield from (final(number, "scratch that") for number in (4, 5))

    say_into(TextFile(path), Mode.STABLE, said())
    assert path.read_text() == "Hello good morning; NOTE"
    assert capsys.readouterr().err.count("another program has written to it since.\n") == 2


def test_a_command_is_run_for_each_utterance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    say_into(Command(f"cat >>'{log}'; echo ';' >>'{log}'"), Mode.FINAL)
    assert log.read_text().split(";\n") == [
        "Dear anna, my street is in\n",
        "$23?\n",
        "This is wrong\n",
        "DONE.\n",
        "",
    ]
    assert "cannot be taken back" in capsys.readouterr().err


def test_a_pipe_gets_a_line_for_each_utterance(capsys: pytest.CaptureFixture[str]) -> None:
    assert say_into(Stream(sys.stdout), Mode.FINAL, SAID[:5])
    assert capsys.readouterr().out == "Dear anna, my street is in\n$23?\n"


def test_on_a_pipe_what_is_said_after_scratch_that_is_written_in_full(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = [final(0, "i think we should go"), final(1, "scratch that i think we should stay")]
    assert say_into(Stream(sys.stdout), Mode.FINAL, said)
    assert capsys.readouterr().out == "I think we should go\nI think we should stay\n"


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("exit 3", "Expected exit status 0 of 'exit 3', found 3."),
        ("sleep 50; exit", "Expected 'sleep 50; exit' to end within 0.1 s, found it running."),
    ],
)
def test_what_a_failing_tool_does_not_take_is_not_lost(
    command: str,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if command.startswith("sleep"):
        monkeypatch.setattr(typing_tools, "COMMAND_TIMEOUT_S", 0.1)
    assert not say_into(Command(command), Mode.FINAL, SAID[:5])
    printed = capsys.readouterr()
    assert printed.out == "Dear anna, my street is in\n$23?\n"
    assert complaint in printed.err
    assert printed.err.count("\n") == 1


def test_where_a_tool_fails_a_pipe_gets_lines_of_whole_utterances(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken(TextFile):
        def insert(self, text: str) -> None:
            raise TypingError("No.")

    assert not say_into(Broken(Path(os.devnull)), Mode.STABLE, SAID[:5])
    assert capsys.readouterr().out == "Dear\nanna, my street is in\n$23?\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are none")
def test_what_is_no_file_gets_a_line_for_each_utterance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDWR)  # It stays open, whoever else opens and closes it.
    goal = TextFile(path)
    say_into(goal, mode_of(argparse.Namespace(live=True), goal))
    lines = "Dear anna, my street is in\n$23?\nThis is wrong\nDONE.\n"
    assert os.read(reader, 1_000).decode() == lines
    assert "cannot be taken back" in capsys.readouterr().err
    os.close(reader)


def test_the_last_line_is_ended_whatever_happens(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> Iterator[Event]:
        yield SAID[2]
        raise RuntimeError

    out = io.StringIO()
    out.isatty = lambda: True  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        write(broken(), Dictation(TextStyle(sentence_ends=False)), Stream(out))
    assert out.getvalue() == "Dear anna, my street is in\n"


def test_a_note_does_not_get_into_the_line_that_is_being_written() -> None:
    out = io.StringIO()
    out.isatty = lambda: True  # type: ignore[method-assign]
    goal = Stream(out)
    goal.insert("The weather is")
    goal.note("streamer: Listening.")
    goal.note("streamer: Paused.")
    goal.insert(" lovely")
    goal.finish()
    lines = ["The weather is", "streamer: Listening.", "streamer: Paused.", " lovely", ""]
    assert out.getvalue().split("\n") == lines


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> pyte.Screen:
    """A terminal of few columns that stdout leads to."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(typing_tools, "size_of", lambda _: (20, 8))
    screen = pyte.Screen(20, 8)
    screen.set_mode(pyte.modes.LNM)
    return screen


def on(screen: pyte.Screen) -> Stream:
    out = io.StringIO()
    out.isatty = lambda: True  # type: ignore[method-assign]
    out.write = pyte.Stream(screen).feed  # type: ignore[assignment]
    return Stream(out)


def shown_on(screen: pyte.Screen) -> list[str]:
    return [line.rstrip() for line in screen.display if line.strip()]


@pytest.mark.parametrize("letter", ["x", "字"])
@pytest.mark.parametrize("n_before", [0, 9, 10, 19, 20, 21, 39, 40])
@pytest.mark.parametrize("n_deleted", [1, 20, 30])
def test_on_a_terminal_what_is_taken_back_leaves_nothing_in_any_row(
    letter: str, n_before: int, n_deleted: int, screen: pyte.Screen
) -> None:
    kept = letter * n_before
    goal = on(screen)
    goal.insert(kept)
    goal.insert(letter * n_deleted)
    goal.delete(n_deleted)
    goal.insert("new")
    as_typed = pyte.Screen(20, 8)
    pyte.Stream(as_typed).feed(kept + "new")
    assert screen.display == as_typed.display


def test_on_a_terminal_lines_that_were_ended_stay(
    screen: pyte.Screen, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [final(0, "hello new line world"), final(1, "scratch that"), final(2, "good morning")]
    dictation = Dictation(TextStyle(sentence_ends=False), allow_newlines=True)
    assert write(said, dictation, on(screen))
    assert shown_on(screen) == ["Hello", "World", "Good morning"]
    assert "cannot be taken back" in capsys.readouterr().err


def test_where_nothing_can_be_rewritten_a_terminal_gets_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = io.StringIO()
    out.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setenv("TERM", "dumb")
    assert not Stream(out).can_delete


def test_a_window_system_that_is_gone_is_told(environment: pytest.MonkeyPatch) -> None:
    needs("xdotool")
    environment.setenv("DISPLAY", ":999")
    with pytest.raises(TypingError, match="xdotool failed: "):
        target("xdotool")


def test_without_wayland_wtype_is_refused_at_once(environment: pytest.MonkeyPatch) -> None:
    needs("wtype")
    with pytest.raises(TypingError, match="found WAYLAND_DISPLAY not set"):
        target("wtype")


def test_the_tool_is_that_of_the_session(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert tools_for({}) == []
    assert tools_for({"DISPLAY": ":0"}) == ["xdotool"]
    assert tools_for({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"})[0] == "wtype"
    gnome = {"WAYLAND_DISPLAY": "wayland-0", "XDG_CURRENT_DESKTOP": "ubuntu:GNOME"}
    assert tools_for(gnome) == ["ydotool", "dotool"]
    with pytest.raises(TypingError, match="found neither WAYLAND_DISPLAY nor DISPLAY set"):
        target("auto", {})
    environment.setenv("PATH", str(tmp_path))
    with pytest.raises(TypingError, match="sudo apt install xdotool"):
        target("auto", {"DISPLAY": ":0"})
    with pytest.raises(TypingError, match="sudo apt install wl-clipboard"):
        target("clipboard", {"WAYLAND_DISPLAY": "wayland-0"})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--replace", "my address"], "expected PHRASE=TEXT, found 'my address'"),
        (["--replace", "a=b\nc"], "argument --replace: "),
        (["--exec", ""], "argument --exec: expected a command, found none"),
        (["--to", "stdout", "--file", "x"], "not allowed with"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["dictate", *arguments])
    assert expected in capsys.readouterr().err


def test_orders_reach_the_dictation_that_is_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert main(["dictate", "--control", "toggle"]) == 1
    assert "found none" in capsys.readouterr().err
    socket_path().touch()  # left behind
    obeyed: list[str] = []
    with Control(lambda order: obeyed.append(order) or f"did {order}"):
        assert socket_path().stat().st_mode & 0o077 == 0
        assert main(["dictate", "--control", "toggle"]) == 0
        assert capsys.readouterr().out == "did toggle\n"
        assert send("nonsense").startswith("expected one of start, stop")
        with pytest.raises(TypingError, match="Another dictation"), Control(str):
            pass
        assert send("status") == "did status"
    assert obeyed == ["toggle", "status", "status"]
    assert not socket_path().exists()


def test_a_dictation_that_does_not_answer_keeps_its_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(control, "TIMEOUT_S", 0.05)
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(str(socket_path()))
        stopped.listen()
        with pytest.raises(TypingError, match="Another dictation"), Control(str):
            pass
        with pytest.raises(TypingError, match=r"to answer within 0\.05 s"):
            send("status")
        assert socket_path().exists()


def test_the_socket_of_another_dictation_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with contextlib.ExitStack() as first:
        first.enter_context(Control(str))
        socket_path().unlink()
        with Control(lambda _: "second"):
            first.close()
            assert send("status") == "second"
    assert not socket_path().exists()


def test_without_a_place_for_the_socket_dictation_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = tmp_path / ("x" * 110)
    long.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    with Switch(Transcriber(Pipe(io.BytesIO())), Pipe(io.BytesIO())):
        assert "through which `--control` works, found none: " in capsys.readouterr().err
    assert main(["dictate", "--control", "status"]) == 1
    assert "through which `--control` works, found none: " in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="there are no such owners")
def test_a_folder_that_another_user_has_made_is_no_place_for_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.getuid() != 0 or Path("/run/user/0").exists():
        pytest.skip("only root can give a folder away, and here it has one that is better")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "runtime-0").mkdir()
    os.chown(tmp_path / "runtime-0", 65534, 65534)
    assert main(["dictate", "--control", "status"]) == 1
    assert "is owned by uid 65534" in capsys.readouterr().err


class Dictating:
    """A real `streamer dictate` on the bundled sample at the speed of speech."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
        command = [sys.executable, "-m", "streamer", "dictate", "--sample", *arguments]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        self._has_said = threading.Condition()
        self.messages: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._has_said:
                self.messages.append(line)
                self._has_said.notify_all()

    def wait_until_it_says(self, text: str) -> None:
        with self._has_said:
            assert self._has_said.wait_for(
                lambda: any(text in message for message in self.messages), timeout=30
            ), self.messages

    def end(self, number: int) -> tuple[str, int]:
        self.process.send_signal(number)
        assert self.process.stdout is not None
        text = self.process.stdout.read()
        self._reader.join()
        self.process.stdout.close()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return text, self.process.wait()


def test_a_signal_pauses_and_what_was_said_before_it_is_written(tmp_path: Path) -> None:
    dictating = Dictating(tmp_path, "--to", "stdout", "--live", "--replace", "good=Splendid")
    assert dictating.process.stdout is not None
    dictating.wait_until_it_says("Listening")
    dictating.wait_until_it_says("Nothing can be taken back there")
    first = dictating.process.stdout.readline()  # once the first sentence is over
    assert first.startswith("Splendid morning")
    dictating.process.send_signal(signal.SIGUSR1)
    dictating.wait_until_it_says("Paused.")
    rest, status = dictating.end(signal.SIGINT)
    assert status == 130
    assert "meeting" not in rest  # the last sentence of the sample


def test_a_signal_that_comes_too_early_ends_nothing() -> None:
    program = "import os, signal, streamer.__main__; os.kill(os.getpid(), signal.SIGUSR1)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_a_paused_one_begins_when_told_to(tmp_path: Path) -> None:
    dictating = Dictating(tmp_path, "--paused", "--file", str(tmp_path / "notes"))
    dictating.wait_until_it_says("Paused.")
    done = subprocess.run(
        [sys.executable, "-m", "streamer", "dictate", "--control", "start"],
        capture_output=True,
        text=True,
        env=dictating.environment,
        check=True,
    )
    assert done.stdout == "listening\n"
    dictating.wait_until_it_says("Listening.")
    _, status = dictating.end(signal.SIGTERM)
    assert status == 130
    assert not socket_path().exists() or socket_path().parent != tmp_path
