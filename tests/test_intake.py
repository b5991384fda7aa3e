"""Taking sound in: every sample is heard, left out or lost, and nobody waits for ever."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from streamer import Settings
from streamer.intake import OVERLOAD, Intake
from streamer.listener import Gap, Listener
from streamer.settings import SAMPLE_RATE, to_samples
from streamer.sources import Block

SETTINGS = Settings(ring_s=38.5)
HOUR = 3_600 * SAMPLE_RATE


class Desk:
    """A listener that nobody empties, and its intake."""

    def __init__(self, *, is_live: bool) -> None:
        self.listener = Listener(SETTINGS)
        self.changed = threading.Condition()
        self.intake = Intake(self.listener, self.changed, SETTINGS, is_live=is_live)

    def hear(self, seconds: float, lost: int = 0) -> None:
        self.intake.take(Block(np.zeros(to_samples(seconds), np.float32), lost, "it was gone"))

    def gaps(self) -> list[tuple[int, str | None]]:
        self.listener.finish()
        return [(g.stop - g.start, g.reason) for g in self.listener.pending if isinstance(g, Gap)]

    def fill(self) -> None:
        """Leave no room, as when an utterance is not recognised for long."""
        self.listener.room = lambda: 0  # type: ignore[method-assign]


def test_what_is_lost_in_a_pause_is_not_reported_and_brings_the_pause_closer() -> None:
    desk = Desk(is_live=True)
    desk.hear(1.0)
    desk.intake.pause(to_samples(0.3))
    desk.hear(1.0, lost=HOUR)
    assert desk.gaps() == [(to_samples(0.3), "it was gone"), (HOUR + to_samples(0.7), None)]
    assert desk.listener.n_dropped == to_samples(0.3)
    assert desk.listener.captured == HOUR + to_samples(2.0)


def test_what_is_lost_before_a_pause_is_reported() -> None:
    desk = Desk(is_live=True)
    desk.hear(1.0, lost=1_000)
    desk.intake.pause(to_samples(0.2))
    desk.hear(1.0)
    desk.intake.resume()
    desk.hear(1.0, lost=2_000)
    assert desk.gaps() == [
        (1_000, "it was gone"),
        (to_samples(0.8), None),
        (2_000, "it was gone"),
    ]


@pytest.mark.parametrize("seconds", [0.1, 2.0])
def test_nobody_waits_longer_for_room_because_something_else_changes(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.intake.BACKLOG_WAITS_S", 0.2)
    desk = Desk(is_live=True)
    desk.fill()
    taken = threading.Thread(target=desk.hear, args=(seconds,))
    taken.start()
    until_s = time.monotonic() + 30.0
    while taken.is_alive() and time.monotonic() < until_s:
        with desk.changed:
            desk.changed.notify_all()
        time.sleep(0.01)
    is_stuck = taken.is_alive()
    with desk.changed:
        desk.intake.abandon()
        desk.changed.notify_all()
    taken.join()
    assert not is_stuck
    assert desk.gaps() == [(to_samples(seconds), OVERLOAD)]


def test_of_a_file_nothing_is_lost_but_when_it_is_abandoned_it_waits_no_longer() -> None:
    desk = Desk(is_live=False)
    desk.fill()
    taken = threading.Thread(target=desk.hear, args=(1.0,))
    taken.start()
    taken.join(0.3)
    assert taken.is_alive()
    with desk.changed:
        desk.intake.abandon()
        desk.changed.notify_all()
    taken.join()
    assert desk.gaps() == []


def test_before_there_is_a_model_silence_is_silence() -> None:
    desk = Desk(is_live=True)
    desk.hear(10.0)
    found = desk.listener.statistics()
    assert found.captured_s == 10.0
    assert found.silence_s + found.waiting_s == pytest.approx(10.0)
    assert found.waiting_s < 1.0  # what the next utterance can still need
