"""Captions, as the exact characters that a terminal gets."""

from __future__ import annotations

import io

import pytest
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
)
from streamer.captions import CaptionWriter
from streamer.events import Statistics

CLEAR = "\r\x1b[2K"


@pytest.fixture(autouse=True)
def _a_usual_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def partial(stable: str, unstable: str) -> Partial:
    return Partial(
        utterance=0,
        start_s=0.0,
        end_s=1.0,
        stable_text=stable,
        unstable_text=unstable,
        text=f"{stable} {unstable}".strip(),
    )


def final(text: str) -> Final:
    return Final(
        utterance=0, start_s=0.0, end_s=1.0, text=text, words=(), latency_s=0.0, model="test"
    )


def drawn(*events: Event, columns: int | None = 80) -> str:
    terminal = io.StringIO()
    writer = CaptionWriter(terminal, columns)
    for event in events:
        writer.write(event)
    return terminal.getvalue()


def test_a_partial_rewrites_the_line_with_the_unstable_part_dim() -> None:
    assert drawn(partial("GOOD", "MORN")) == f"{CLEAR}GOOD \x1b[2mMORN\x1b[22m"


def test_stable_text_is_bright_and_unstable_text_is_dim() -> None:
    assert drawn(partial("GOOD", "")) == f"{CLEAR}GOOD"
    assert drawn(partial("", "GOOD")) == f"{CLEAR}\x1b[2mGOOD\x1b[22m"


def test_a_final_takes_the_place_of_its_partials_and_begins_a_new_line() -> None:
    assert drawn(partial("GOOD", ""), final("GOOD MORNING")) == (
        f"{CLEAR}GOOD{CLEAR}GOOD MORNING\n"
    )


def test_an_empty_final_only_clears_the_line() -> None:
    assert drawn(partial("", "UH"), final("")) == f"{CLEAR}\x1b[2mUH\x1b[22m{CLEAR}"


def test_a_long_final_may_wrap() -> None:
    assert drawn(final("A" * 100), columns=20) == f"{CLEAR}{'A' * 100}\n"


def test_of_a_long_partial_the_end_is_shown_on_one_line() -> None:
    assert drawn(partial("ONE TWO THREE", "FOUR"), columns=12) == (
        f"{CLEAR}…THREE \x1b[2mFOUR\x1b[22m"
    )


def test_a_line_that_just_fits_is_shown_whole() -> None:
    assert drawn(partial("ONE TWO", ""), columns=8) == f"{CLEAR}ONE TWO"
    assert drawn(partial("ONE TWO", ""), columns=7) == f"{CLEAR}…E TWO"


def test_when_only_unstable_text_fits_all_of_it_is_dim() -> None:
    assert drawn(partial("ONE", "TWO THREE"), columns=7) == f"{CLEAR}\x1b[2m…THREE\x1b[22m"


@pytest.mark.parametrize("columns", range(4, 16))
def test_wide_characters_take_two_columns(columns: int) -> None:
    shown = drawn(partial("日本語の字幕", ""), columns=columns).removeprefix(CLEAR)
    assert wcswidth(shown) <= columns - 1
    assert "日本語の字幕".endswith(shown.removeprefix("…"))
    assert len(shown) >= (columns - 2) // 2


def test_combining_characters_take_none() -> None:
    text = "e\u0301" * 5
    assert drawn(partial(text, ""), columns=6) == CLEAR + text


def test_the_width_is_asked_for_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "7")
    terminal = io.StringIO()
    writer = CaptionWriter(terminal)
    writer.write(partial("ONE TWO", ""))
    monkeypatch.setenv("COLUMNS", "30")
    writer.write(partial("ONE TWO", ""))
    assert terminal.getvalue() == f"{CLEAR}…E TWO{CLEAR}ONE TWO"


def test_no_color_draws_no_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert drawn(partial("GOOD", "MORN")) == f"{CLEAR}GOOD MORN"


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    lost = AudioDropped(start_s=0.0, duration_s=1.25, reason="overflow")
    assert drawn(partial("GOOD", ""), final("GOOD"), final(""), lost) == (
        "GOOD\n[1.2 s of sound lost: overflow]\n"
    )


def test_lost_sound_is_said_on_a_line_of_its_own() -> None:
    lost = AudioDropped(start_s=0.0, duration_s=2.0, reason="the model does not keep up")
    assert drawn(partial("GOOD", ""), lost) == (
        f"{CLEAR}GOOD{CLEAR}[2.0 s of sound lost: the model does not keep up]\n"
    )


def test_a_lost_device_is_said_on_a_line_of_its_own() -> None:
    assert drawn(DeviceLost(device="USB", at_s=1.0)) == (
        f"{CLEAR}[the microphone is gone (USB); waiting until it is back]\n"
    )
    assert drawn(DeviceRestored(device="Other", at_s=2.0)) == (
        f"{CLEAR}[the microphone is back (Other)]\n"
    )


def test_falling_behind_and_catching_up_are_said_in_plain_words() -> None:
    events = [Lagging(lag_s=2.345, rtf=1.3), Lagging(lag_s=0.2, rtf=0.5)]
    behind = "2.3 s behind: the model is slower than speech on this machine"
    assert drawn(*events) == f"{CLEAR}[{behind}]\n{CLEAR}[caught up]\n"


def test_what_is_not_to_be_seen_draws_nothing() -> None:
    assert drawn(SpeechStarted(utterance=0, start_s=0.0), Closed(statistics=Statistics())) == ""
