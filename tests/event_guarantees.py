"""What `streamer.events` guarantees of every stream of events, as one check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from streamer import (
    AudioDropped,
    Closed,
    DeviceLost,
    DeviceRestored,
    Event,
    Final,
    Partial,
    SpeechStarted,
    Statistics,
    Word,
)
from streamer.second_pass import MARKS

ROUNDING_S = 1e-9  # of a sum of two times


def check_event_guarantees(events: Sequence[Event], *, is_complete: bool = True) -> None:
    """Assert every guarantee of `streamer.events`.

    Args:
        events: All the events of one stream, in the order in which they were delivered.
        is_complete: Whether the stream was closed. One that was cancelled, failed or was not
            flushed yet may stop inside an utterance, and need not end with `Closed`.
    """
    utterances = _by_utterance(events)
    for number, (events_of, is_last) in enumerate(
        zip(utterances, [False] * (len(utterances) - 1) + [True], strict=False)
    ):
        _check_utterance(number, events_of, must_end=is_complete or not is_last)
    finals = [event for event in events if isinstance(event, Final)]
    gaps = [event for event in events if isinstance(event, AudioDropped)]
    _check_times(finals, gaps)
    _check_device(events, finals, gaps)
    closed = [event for event in events if isinstance(event, Closed)]
    assert len(closed) <= 1, "Closed came more than once"
    assert not closed or events[-1] is closed[0], "Closed is not the last event"
    if is_complete:
        assert closed, "Closed never came"
        _check_statistics(closed[0].statistics, events)


def _by_utterance(events: Sequence[Event]) -> list[list[Event]]:
    """The events of each utterance; asserts that they come in order, one after the other."""
    spoken = [e for e in events if isinstance(e, SpeechStarted | Partial | Final)]
    numbers = [event.utterance for event in spoken]
    assert numbers == sorted(numbers), f"utterances out of order: {numbers}"
    assert set(numbers) == set(range(len(set(numbers)))), f"a number was left out: {numbers}"
    return [[e for e in spoken if e.utterance == n] for n in range(len(set(numbers)))]


def _check_utterance(number: int, events: Sequence[Event], *, must_end: bool) -> None:
    kinds = [event.type for event in events]
    assert kinds[0] == "speech_started", f"utterance {number} begins with {kinds[0]}"
    assert kinds.count("speech_started") == 1, f"utterance {number} began more than once"
    assert kinds.count("final") <= 1, f"utterance {number} has several finals"
    if must_end or "final" in kinds:
        assert kinds[-1] == "final", f"utterance {number} ends with {kinds[-1]}"
    start_s = {event.start_s for event in events}  # type: ignore[union-attr]
    assert len(start_s) == 1, f"utterance {number} begins at several times: {start_s}"
    stable = ""
    stable_words: tuple[Word, ...] = ()
    for event in events:
        if isinstance(event, Partial):
            assert event.text == " ".join(word.word for word in event.words)
            _check_stable(stable_words, event.words)
            stable_words = event.words[: len(event.stable_text.split())]
            assert _continues(stable, event.stable_text), f"{stable!r} -> {event.stable_text!r}"
            stable = event.stable_text
            assert event.text == f"{event.stable_text} {event.unstable_text}".strip()
            assert event.start_s <= event.end_s
        elif isinstance(event, Final):
            assert _continues(stable, event.text), f"{stable!r} was corrected: {event.text!r}"
            _check_final(event)


def _check_stable(old: Sequence[Word], new: Sequence[Word]) -> None:
    """Stable words stay as they are; only behind the last one marks may come."""
    assert len(new) >= len(old), "stable words were taken back"
    for before, after in zip(old, new, strict=False):
        added = after.written.removeprefix(before.written)
        assert replace(before, written=before.written + added) == after, f"{before} -> {after}"
        assert not added or (before is old[-1] and not added.strip(MARKS)), f"{before} -> {after}"


def _continues(old: str, new: str) -> bool:
    """Whether stable words were added, by whole words."""
    return new.split()[: len(old.split())] == old.split()


def _check_final(final: Final) -> None:
    assert final.start_s <= final.end_s
    assert final.text == " ".join(word.word for word in final.words)
    edges = [edge for word in final.words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges), f"words out of order or overlapping: {final.words}"
    assert all(final.start_s <= edge <= final.end_s for edge in edges), "a word outside"
    assert all(0.0 <= word.confidence <= 1.0 for word in final.words)
    assert final.latency_s >= 0.0


def _check_times(finals: Sequence[Final], gaps: Sequence[AudioDropped]) -> None:
    for before, after in pairwise(finals):
        assert before.end_s <= after.start_s, "two utterances overlap"
    for gap in gaps:
        assert gap.duration_s > 0.0
        for final in finals:
            gap_end_s = gap.start_s + gap.duration_s - ROUNDING_S
            apart = final.end_s <= gap.start_s or gap_end_s <= final.start_s
            assert apart, f"utterance {final.utterance} reaches across a gap"


def _check_device(
    events: Sequence[Event], finals: Sequence[Final], gaps: Sequence[AudioDropped]
) -> None:
    """It is lost and restored by turns, and what was not captured meanwhile is a gap."""
    changes = [event for event in events if isinstance(event, DeviceLost | DeviceRestored)]
    kinds = [event.type for event in changes]
    turns = ["device_lost", "device_restored"] * len(kinds)
    assert kinds == turns[: len(kinds)], f"not by turns: {kinds}"
    for change in changes:
        for final in finals:
            if events.index(final) < events.index(change):
                assert final.end_s <= change.at_s + ROUNDING_S
            else:
                assert change.at_s <= final.start_s + ROUNDING_S
    for lost, restored in zip(changes[::2], changes[1::2], strict=False):
        between = events[events.index(lost) : events.index(restored)]
        gap_s = sum(gap.duration_s for gap in gaps if gap in between)
        assert restored.at_s - lost.at_s == pytest.approx(gap_s, abs=1e-6)
        assert not any(isinstance(event, Partial | Final | SpeechStarted) for event in between)
    for before, after in pairwise(gaps):
        assert before.start_s + before.duration_s <= after.start_s + ROUNDING_S


def _check_statistics(statistics: Statistics, events: Sequence[Event]) -> None:
    check_sum(statistics)
    finals = [event for event in events if isinstance(event, Final)]
    assert statistics.utterances == len(finals)
    assert statistics.words == sum(len(final.words) for final in finals)
    # A slow reader gets fewer.
    assert statistics.partials >= sum(isinstance(event, Partial) for event in events)
    recognised_s = sum(final.end_s - final.start_s for final in finals)
    assert statistics.recognised_s == pytest.approx(recognised_s, abs=1e-6)
    dropped_s = sum(e.duration_s for e in events if isinstance(e, AudioDropped))
    assert statistics.dropped_s == pytest.approx(dropped_s, abs=1e-6)
    assert statistics.speculative_finals_used <= statistics.speculative_finals


def check_sum(statistics: Statistics) -> None:
    """Assert that no sound is counted twice or left out, and none less than nothing."""
    parts = (
        statistics.recognised_s,
        statistics.silence_s,
        statistics.dropped_s,
        statistics.paused_s,
        statistics.waiting_s,
    )
    assert statistics.captured_s == pytest.approx(sum(parts), abs=1e-6)
    assert min(parts) >= 0.0, f"a negative share: {statistics}"
