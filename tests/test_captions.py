"""Captions: the exact characters that a terminal gets, and the screen that they make."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import random
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pyte
import pytest
import srt
from wcwidth import wcswidth

from streamer import (
    AudioDropped,
    Closed,
    DeviceLost,
    DeviceRestored,
    Event,
    Final,
    Lagging,
    Partial,
    SpeechStarted,
    Word,
)
from streamer.captions import CaptionWriter, Status, large_letters
from streamer.events import Statistics

BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
ROW, BELOW = "\x1b[K", "\x1b[J"  # clear a row, and all below it
FROM_HERE = f"{ROW}\x1b[C{BELOW}\r"
STATUS = Status(state="", levels_db=(-90.0, -34.0, 0.0), device="USB", keys=("q quit",))


@pytest.fixture(autouse=True)
def _a_usual_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def words_of(text: str, unsure: str = "") -> tuple[Word, ...]:
    return tuple(
        Word(word=word, start_s=0.0, end_s=0.1, confidence=0.3 if word == unsure else 0.9)
        for word in text.split()
    )


def partial(stable: str, unstable: str, unsure: str = "") -> Partial:
    text = f"{stable} {unstable}".strip()
    return Partial(
        utterance=0,
        start_s=0.0,
        end_s=1.0,
        stable_text=stable,
        unstable_text=unstable,
        text=text,
        words=words_of(text, unsure),
    )


def final(text: str, unsure: str = "") -> Final:
    return Final(
        utterance=0,
        start_s=0.0,
        end_s=1.0,
        text=text,
        words=words_of(text, unsure),
        latency_s=0.0,
        model="test",
    )


def frames(*events: Event | Status, columns: int = 80, lines: int = 24) -> list[str]:
    """What each event draws, without the marks around a frame."""
    terminal = io.StringIO()
    writer = CaptionWriter(terminal, size=lambda: (columns, lines))
    found = []
    for event in events:
        terminal.seek(0)
        terminal.truncate()
        writer.show(event) if isinstance(event, Status) else writer.write(event)
        drawn = terminal.getvalue()
        if drawn:
            assert drawn.startswith(BEGIN)
            assert drawn.endswith(END)
        found.append(drawn.removeprefix(BEGIN).removesuffix(END))
    return found


def test_stable_text_is_bright_and_the_rest_is_dim() -> None:
    assert frames(partial("GOOD", "MORN")) == [f"{ROW}GOOD \x1b[2mMORN\x1b[0m{BELOW}"]
    assert frames(partial("GOOD", "")) == [f"{ROW}GOOD{BELOW}"]
    assert frames(partial("", "GOOD")) == [f"{ROW}\x1b[2mGOOD\x1b[0m{BELOW}"]


def test_what_the_model_is_not_sure_of_is_underlined() -> None:
    assert frames(partial("GOOD", "MORN", "MORN"), final("GOOD MORNING", "GOOD")) == [
        f"{ROW}GOOD \x1b[2m\x1b[4mMORN\x1b[0m{BELOW}",
        f"\r{ROW}\x1b[4mGOOD\x1b[0m MORNING\n{FROM_HERE}",
    ]


def test_a_final_takes_the_place_of_its_partials_and_begins_a_new_line() -> None:
    assert frames(partial("GOOD", ""), final("GOOD MORNING"), partial("AND", "")) == [
        f"{ROW}GOOD{BELOW}",
        f"\r{ROW}GOOD MORNING\n{FROM_HERE}",
        f"{ROW}AND{BELOW}",
    ]


def test_an_empty_final_only_clears_the_line() -> None:
    assert frames(partial("", "UH"), final(""))[1] == f"\r{FROM_HERE}"


def test_nothing_is_cleared_from_the_first_column_on() -> None:
    """At the top of the screen that would put every frame into the scrollback of tmux."""
    events = (STATUS, partial("ONE TWO", "THREE"), final("ONE TWO THREE"), partial("UH", ""))
    for drawn in frames(*events, final(""), columns=8):
        row = drawn.partition(BELOW)[0].rpartition("\n")[2]
        assert row.endswith("\x1b[C") or re.sub(r"\x1b\[\d*[A-Zm]|\r", "", row)


def test_a_long_final_is_wrapped_at_words_like_its_partials() -> None:
    drawn = frames(partial("ONE TWO THREE FOUR", ""), final("ONE TWO THREE FOUR"), columns=12)
    assert drawn == [
        f"{ROW}ONE TWO\n{ROW}THREE FOUR{BELOW}",
        f"\r\x1b[1A{ROW}ONE TWO\n{ROW}THREE FOUR\n{FROM_HERE}",
    ]
    drawn = frames(final("ONE TWO", "TWO"), columns=6)
    assert drawn == [f"{ROW}ONE\n{ROW}\x1b[4mTWO\x1b[0m\n{FROM_HERE}"]


def test_the_same_frame_is_not_drawn_again() -> None:
    assert frames(partial("GOOD", ""), partial("GOOD", ""), STATUS, STATUS)[1::2] == ["", ""]


def test_a_long_partial_is_wrapped_at_words_above_the_status() -> None:
    status = "▁▅█ USB     q quit"
    first, second = frames(STATUS, partial("ONE TWO THREE", "FOUR"), columns=19)
    assert first == f"{ROW}\x1b[2m{status}\x1b[0m{BELOW}"
    assert second == (
        f"\r{ROW}ONE TWO THREE \x1b[2mFOUR\x1b[0m\n{ROW}\x1b[2m{status}\x1b[0m{BELOW}"
    )
    wrapped = frames(STATUS, partial("ONE TWO THREE", "FOUR"), columns=12)[1]
    assert wrapped == (
        f"\r{ROW}ONE TWO\n{ROW}THREE \x1b[2mFOUR\x1b[0m\n{ROW}\x1b[2m▁▅█  q quit\x1b[0m{BELOW}"
    )


def test_of_a_partial_higher_than_the_screen_the_end_is_shown() -> None:
    drawn = frames(STATUS, partial("A1 A2 A3 A4 A5", ""), columns=8, lines=4)[1]
    assert drawn.split("\n")[:2] == [f"\r{ROW}A3 A4", f"{ROW}A5"]


def test_the_status_gives_up_its_least_important_parts_first() -> None:
    status = Status(
        state="paused",
        levels_db=(-90.0,),
        device="USB",
        model="starter",
        latency_s=0.52,
        lag_s=2.34,
        keys=("p pause · q quit", "q quit"),
    )
    assert status.text(65) == "▁ paused · 2.3 s behind · USB · starter · 0.5 s  p pause · q quit"
    assert status.text(60) == "▁ paused · 2.3 s behind · USB · starter · 0.5 s       q quit"
    assert status.text(54) == "▁ paused · 2.3 s behind · USB · starter         q quit"
    assert status.text(37) == "▁ paused · 2.3 s behind · USB  q quit"
    assert status.text(36) == "▁ paused · 2.3 s behind       q quit"
    assert status.text(30) == "▁ paused · 2.3 s behind"
    assert status.text(12) == "▁ paused"
    assert all(wcswidth(status.text(columns)) <= columns for columns in range(1, 90))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_where_there_are_no_bars_the_level_is_drawn_in_ascii(encoding: str) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding, errors="replace")
    CaptionWriter(terminal, size=lambda: (24, 24)).show(STATUS)
    terminal.seek(0)
    assert f"{ROW}\x1b[2m_=# USB          q quit" in terminal.read()


def test_the_level_fits_a_screen_that_is_narrower() -> None:
    status = Status(state="", levels_db=(-90.0,) * 8, device="USB")
    assert [len(status.text(columns)) for columns in (2, 7, 8, 9)] == [2, 7, 8, 8]


def test_no_color_draws_no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert frames(partial("GOOD", "MORN", "MORN")) == [f"{ROW}GOOD MORN{BELOW}"]
    assert frames(final("GOOD", "GOOD")) == [f"{ROW}GOOD\n{FROM_HERE}"]


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal = io.StringIO()
    writer = CaptionWriter(terminal)
    writer.show(STATUS)
    for event in (
        partial("GOOD", ""),
        final("GOOD"),
        final(""),
        AudioDropped(start_s=0.0, duration_s=1.25, reason="overflow"),
    ):
        writer.write(event)
    writer.clear()
    writer.close()
    assert terminal.getvalue() == "GOOD\n[1.2 s of sound lost: overflow]\n"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            AudioDropped(start_s=0.0, duration_s=2.0, reason="the model does not keep up"),
            "2.0 s of sound lost: the model does not keep up",
        ),
        (
            DeviceLost(device="USB", at_s=1.0),
            "the microphone is gone (USB); waiting until it is back",
        ),
        (DeviceRestored(device="Other", at_s=2.0), "the microphone is back (Other)"),
        (DeviceRestored(device="default", at_s=2.0), "the microphone is back"),
        (
            Lagging(lag_s=2.345, rtf=1.3),
            "2.3 s behind: the model is slower than speech on this machine",
        ),
    ],
)
def test_news_stand_on_a_line_of_their_own_above_what_is_being_said(
    event: Event, line: str
) -> None:
    assert frames(partial("GOOD", ""), event)[1] == f"\r{ROW}[{line}]\n{ROW}GOOD{BELOW}"


def test_what_is_not_to_be_seen_draws_nothing() -> None:
    assert frames(SpeechStarted(utterance=0, start_s=0.0), Closed(statistics=Statistics())) == [
        "",
        "",
    ]


class Screen:
    """A terminal that wraps what was written when it becomes narrower, as most do."""

    encoding = "utf-8"

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self._written = ""
        self.writer = CaptionWriter(self, size=lambda: (self.columns, self.lines))  # type: ignore[arg-type]
        self._screen = pyte.HistoryScreen(columns, lines, history=1000)
        self._stream = pyte.Stream(self._screen)
        self._screen.set_mode(pyte.modes.LNM)  # line breaks go to the first column

    def write(self, text: str) -> None:
        self._stream.feed(text.replace(BEGIN, "").replace(END, ""))

    def flush(self) -> None:
        pass

    def narrow(self, columns: int) -> None:
        """Wrap the rows that are too long, and leave the cursor behind the same character."""
        rows = [row.rstrip() for row in self.rows()]
        rows = [
            row[at : at + columns] for row in rows for at in range(0, max(1, len(row)), columns)
        ]
        self.columns = columns
        self._screen.resize(self.lines, columns)
        self._screen.reset()
        self._screen.set_mode(pyte.modes.LNM)
        self._stream.feed("\n".join(rows))

    def rows(self) -> list[str]:
        rows = [row.rstrip() for row in self._screen.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows


def test_on_the_screen_there_is_what_was_said_and_the_status_last() -> None:
    screen = Screen(20, 8)
    screen.writer.show(STATUS)
    for event in (
        partial("", "GOOD"),
        partial("GOOD", "MORNING AND THANK YOU"),
        final("GOOD MORNING AND THANKS"),
        partial("MY", "TRAIN WAS LATE TODAY BUT"),
    ):
        screen.writer.write(event)
    assert screen.rows() == [
        "GOOD MORNING AND",
        "THANKS",
        "MY TRAIN WAS LATE",
        "TODAY BUT",
        "▁▅█ USB      q quit",
    ]
    screen.writer.close()
    assert screen.rows() == ["GOOD MORNING AND", "THANKS"]


def test_after_others_have_written_it_is_drawn_below_them() -> None:
    screen = Screen(20, 8)
    screen.writer.show(STATUS)
    screen.write("\n$ fg\n")
    screen.writer.redraw()
    screen.writer.write(final("GOOD"))
    assert screen.rows()[1:] == ["$ fg", "GOOD", "▁▅█ USB      q quit"]


@pytest.mark.parametrize("columns", [3, 7, 11, 19])
def test_a_narrower_screen_keeps_no_remains(columns: int) -> None:
    screen = Screen(40, 30)
    screen.writer.show(STATUS)
    screen.writer.write(final("FIRST"))
    screen.writer.write(partial("THIS IS BEING SAID RIGHT", "NOW AND GOES ON"))
    screen.narrow(columns)
    screen.writer.write(partial("THIS IS", ""))
    shown = " ".join(screen.rows())
    assert shown.count("THIS") <= 2
    assert "NOW" not in shown
    screen.writer.close()
    assert "".join(screen.rows()) == "FIRST"


@pytest.mark.parametrize("columns", range(4, 16))
def test_wide_characters_take_two_columns(columns: int) -> None:
    drawn = frames(partial("日本語の字幕 e\u0301e\u0301", ""), columns=columns)[0]
    rows = drawn.replace(ROW, "").removesuffix(BELOW).split("\n")
    assert all(0 < wcswidth(row) <= columns - 1 for row in rows)
    assert "".join(rows).replace(" ", "") == "日本語の字幕e\u0301e\u0301"


def test_large_letters_fit_the_screen() -> None:
    drawn = large_letters("Good morning and thank you all for coming.", 60)
    lines = drawn.splitlines()
    assert max(map(len, lines)) <= 60
    assert len(lines) > 10
    terminal = io.StringIO()
    writer = CaptionWriter(terminal, size=lambda: (60, 40), enlarge=large_letters)
    writer.write(final("Hi"))
    assert large_letters("Hi", 60) in terminal.getvalue().replace(ROW, "")


@pytest.mark.parametrize("text", ["caf\u00e9", "cafe\u0301"])
def test_large_letters_leave_out_accents_that_they_do_not_have(text: str) -> None:
    assert large_letters(text, 60) == large_letters("cafe", 60)
    assert large_letters("\u00c4rger", 60) != large_letters("Arger", 60)


@pytest.mark.parametrize(
    ("text", "columns", "drawn"),
    [
        ("It costs €20 now.", 12, "It costs €20\nnow.\n"),
        ("Добрый день", 60, "Добрый день\n"),
        ("Good morning", 6, "Good\nmornin\ng\n"),
        ("Good morning", 1, "".join(f"{letter}\n" for letter in "Goodmorning")),
    ],
)
def test_where_large_letters_lack_or_do_not_fit_they_are_ordinary_ones(
    text: str, columns: int, drawn: str
) -> None:
    assert large_letters(text, columns) == drawn


class Terminal:
    """The real program on a pseudo-terminal."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.modes = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streamer", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        self.output = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def hang_up(self) -> None:
        """Close it, as a window is closed or a connection lost."""
        self.process.send_signal(signal.SIGHUP)
        os.close(self._ours)
        os.close(self._theirs)
        self._ours, self._theirs = os.open(os.devnull, os.O_RDWR), os.open(os.devnull, os.O_RDWR)

    def press(self, key: str) -> None:
        os.write(self._ours, key.encode())

    def read_until(self, is_enough: Callable[[str], object]) -> None:
        """Read what is drawn until it is enough."""
        end_s = time.monotonic() + 50
        while not is_enough(self.output):
            assert time.monotonic() < end_s, self.output
            if select.select([self._ours], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    self.output += os.read(self._ours, 65_536).decode("utf-8", "ignore")

    def finals(self) -> list[str]:
        """The sentences that were drawn above the live region."""
        plain = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", self.output)
        found = re.findall(r"\r(?!\n)((?:[^\r\n]+\r\n)*?[^\r\n]+\.)\r\n", plain)
        lines = [line.replace("\r\n", " ") for line in found]
        return [line for line in lines if not line.startswith("streamer:")]


def test_keys_pause_mark_and_quit_and_leave_the_terminal_as_it_was(tmp_path: Path) -> None:
    saved = tmp_path / "talk.txt"
    with Terminal("captions", "--sample", "--save", str(saved)) as terminal:
        terminal.read_until(lambda _: len(terminal.finals()) >= 1)
        terminal.press("m")
        terminal.read_until(lambda output: "--- 0:00:" in output)
        terminal.press(" ")
        terminal.read_until(lambda output: "paused" in output)
        n_marks = terminal.output.count("--- 0:00:")
        time.sleep(1.1)
        terminal.press("mmm")  # of the same second
        terminal.read_until(lambda output: output.count("--- 0:00:") > n_marks)
        terminal.press("q")
        assert terminal.process.wait(timeout=30) == 0
        assert termios.tcgetattr(terminal._theirs) == terminal.modes
    lines = saved.read_text().splitlines()
    assert lines[0].replace(",", "") == "Good morning and thank you all for coming."
    assert sum(line.startswith("--- 0:00:") for line in lines) == 2


def on_a_terminal(program: str, typed: bytes, **streams: int) -> tuple[int, bytes]:
    """The exit status, or the signal that stopped it, of a job of a shell, and what it wrote.

    The shell is in front, and the job in the background.
    """
    ours, theirs = pty.openpty()
    os.write(ours, typed)
    shell = (
        "import fcntl, os, subprocess, sys, termios\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "job = subprocess.Popen([sys.executable, '-c', sys.argv[1]], preexec_fn=os.setpgrp)\n"
        "status = os.waitpid(job.pid, os.WUNTRACED)[1]\n"
        "job.kill()\n"
        "sys.exit(os.WSTOPSIG(status) if os.WIFSTOPPED(status) else os.WEXITSTATUS(status))"
    )
    done = subprocess.run(
        [sys.executable, "-c", shell, program],
        **({"stdin": theirs, "stdout": theirs} | streams),
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    os.close(ours)
    os.close(theirs)
    return done.returncode, done.stderr


def test_in_the_background_the_terminal_is_left_alone_until_it_is_in_front() -> None:
    program = (
        "import os, signal, termios\n"
        "from streamer.keys import Keys\n"
        "has_lines = lambda: bool(termios.tcgetattr(0)[3] & termios.ICANON)\n"
        "with Keys() as keys:\n"
        "    assert keys.works and has_lines()\n"
        "    assert keys.pressed() == ''\n"
        "    signal.raise_signal(signal.SIGCONT)\n"
        "    assert keys.pressed() == ''\n"
        "    shell = os.tcgetpgrp(0)\n"
        "    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)\n"
        "    os.tcsetpgrp(0, os.getpgrp())\n"
        "    assert keys.pressed() == '' and not has_lines()\n"
        "    keys.restore()\n"
        "    os.tcsetpgrp(0, shell)\n"
        "    signal.signal(signal.SIGTTOU, before)\n"
        "    assert keys.pressed() == ''\n"
        "assert has_lines()"
    )
    assert on_a_terminal(program, typed=b"q\n") == (0, b"")


def test_where_a_pager_shows_the_captions_the_keys_are_the_pager_s() -> None:
    program = (
        "from streamer.keys import Keys\n"
        "with Keys() as keys:\n"
        "    assert not keys.works and keys.pressed() == ''"
    )
    assert on_a_terminal(program, typed=b"q\n", stdout=subprocess.DEVNULL) == (0, b"")


def test_what_was_being_said_when_the_terminal_is_closed_is_saved(tmp_path: Path) -> None:
    saved = tmp_path / "talk.txt"
    with Terminal("captions", "--sample", "--save", str(saved)) as terminal:
        terminal.read_until(lambda _: terminal.finals())
        n_finals = len(terminal.finals())
        terminal.read_until(lambda output: "\x1b[2m" in output.rpartition(".\r\n")[2])
        time.sleep(1.0)
        terminal.hang_up()
        assert terminal.process.wait(timeout=30) == 130
    assert len(saved.read_text().splitlines()) > n_finals


def test_a_mark_set_while_the_model_loads_stands_where_it_was_set(tmp_path: Path) -> None:
    saved = tmp_path / "talk.vtt"
    with Terminal("captions", "--sample", "--save", str(saved)) as terminal:
        terminal.read_until(lambda output: "loading the model" in output)
        time.sleep(3.5)  # More than a sentence is said by now, and none is written.
        terminal.press("m")
        terminal.read_until(lambda _: len(terminal.finals()) >= 3)
        terminal.press("q")
        assert terminal.process.wait(timeout=30) == 0
    before, mark, after = re.split(r"NOTE 0:00:(\d\d)\n\n", saved.read_text())
    starts_s = [float(s) for s in re.findall(r"00:00:(\S+) --> ", before)]
    ends_s = [float(s) for s in re.findall(r" --> 00:00:(\S+)", after)]
    assert len(ends_s) >= 1
    assert all(start_s < int(mark) + 1 for start_s in starts_s)
    assert all(end_s > int(mark) for end_s in ends_s)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_program_that_is_killed_has_saved_every_final_that_it_showed(
    seed: int, tmp_path: Path
) -> None:
    saved = tmp_path / "talk.srt"
    chance = random.Random(seed)
    with Terminal("captions", "--sample", "--save", str(saved)) as terminal:
        n_finals, n_more = seed, chance.randrange(1, 400)
        terminal.read_until(lambda _: len(terminal.finals()) >= n_finals)
        n_read = len(terminal.output)
        terminal.read_until(lambda output: len(output) >= n_read + n_more)
        terminal.process.send_signal(signal.SIGKILL)
        terminal.process.wait()
        with contextlib.suppress(AssertionError):
            terminal.read_until(lambda _: not select.select([terminal._ours], [], [], 0.1)[0])
        shown = terminal.finals()
    cues = list(srt.parse(saved.read_text()))
    text = " ".join(cue.content.replace("\n", " ") for cue in cues)
    assert len(shown) >= n_finals
    for line in shown:
        assert line in text
