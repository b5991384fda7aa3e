"""What is missing in a live sound, by a written clock."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.settings import SAMPLE_RATE
from streamer.sources import Block
from streamer.sources.gaps import SETTLE_S, TOLERANCE_S, GapFinder

BLOCK_S = 0.02
N_BLOCK = round(BLOCK_S * SAMPLE_RATE)
Delivery = tuple[int, float]  # the number of a block, and when it comes


def block(number: int) -> np.ndarray:
    """A block that tells which one it is."""
    return np.full(N_BLOCK, number, np.float32)


def on_time(start: int, stop: int, delay_s: float = 0.0) -> list[Delivery]:
    """Blocks of a device that delivers each when its last sample was spoken."""
    return [(number, (number + 1) * BLOCK_S + delay_s) for number in range(start, stop)]


def delivered(deliveries: Iterable[Delivery]) -> tuple[GapFinder, list[Block]]:
    gaps = GapFinder()
    found = [gaps.push(block(number), at_s, f"until {number}") for number, at_s in deliveries]
    return gaps, [block for block in found if block is not None]


def lost_before(blocks: list[Block]) -> list[tuple[int, float]]:
    """Every gap: the number of the block that follows, and its length in seconds."""
    return [(int(b.samples[0]), b.n_lost / SAMPLE_RATE) for b in blocks if b.n_lost]


def numbers(blocks: list[Block]) -> list[int]:
    """Which blocks were delivered."""
    samples = np.concatenate([b.samples for b in blocks])
    return [int(number) for number in samples[::N_BLOCK]]


@given(st.lists(st.floats(0.0, TOLERANCE_S - 0.01), min_size=2, max_size=100))
def test_what_comes_a_little_late_is_delivered_at_once_and_nothing_is_missing(
    delays_s: list[float],
) -> None:
    deliveries = [((n, at_s + delays_s[n])) for n, at_s in on_time(0, len(delays_s))]
    _, blocks = delivered(deliveries)
    assert numbers(blocks) == list(range(len(delays_s)))
    assert len(blocks) == len(delays_s)
    assert lost_before(blocks) == []


@given(st.floats(0.3, 60.0), st.floats(2.0, 50.0))
def test_what_comes_in_a_burst_after_a_pause_is_not_missing(stall_s: float, speed: float) -> None:
    n_stalled = round(stall_s / BLOCK_S)
    late = [(100 + n, (100 + n_stalled) * BLOCK_S + n * BLOCK_S / speed) for n in range(n_stalled)]
    late = [(n, max(at_s, (n + 1) * BLOCK_S)) for n, at_s in late]
    deliveries = [*on_time(0, 100), *late, *on_time(100 + n_stalled, 300 + n_stalled)]
    _, blocks = delivered(deliveries)
    assert numbers(blocks) == list(range(300 + n_stalled))
    assert lost_before(blocks) == []


@given(st.integers(10, 100_000), st.floats(0.0, 0.1))
def test_what_never_comes_is_a_gap_of_its_length_where_the_sound_stopped(
    n_missing: int, delay_s: float
) -> None:
    after = 100 + n_missing
    gaps, blocks = delivered([*on_time(0, 100), *on_time(after, after + 200, delay_s)])
    assert numbers(blocks) == [*range(100), *range(after, after + 200)]
    ((first, lost_s),) = lost_before(blocks)
    assert first == after
    assert lost_s == pytest.approx(n_missing * BLOCK_S + delay_s, abs=0.01)
    assert gaps.n_heard == pytest.approx((after + 200) * N_BLOCK, abs=0.11 * SAMPLE_RATE)


def test_a_gap_is_reported_a_second_after_the_sound_has_come_back() -> None:
    gaps, _ = delivered(on_time(0, 100))
    held = 0
    while (found := gaps.push(block(200 + held), (201 + held) * BLOCK_S, "a test")) is None:
        held += 1
    assert held * BLOCK_S == pytest.approx(SETTLE_S, abs=2 * BLOCK_S)
    assert found.reason == "a test"
    assert len(found.samples) == (held + 1) * N_BLOCK


def test_of_a_pause_only_what_does_not_come_in_the_burst_is_missing() -> None:
    burst = [(n, 6.0 + (n - 200) * 0.001) for n in range(200, 300)]  # and 100 to 199 never come
    _, blocks = delivered([*on_time(0, 100), *burst, *on_time(300, 500)])
    ((first, lost_s),) = lost_before(blocks)
    assert (first, lost_s) == (200, pytest.approx(2.0, abs=0.01))


def test_a_burst_that_is_held_up_once_more_is_still_a_burst() -> None:
    burst = [(n, 6.0 + (n - 101) * 0.001) for n in range(101, 400)]
    held_up = [(n, at_s + 2.0) for n, at_s in burst]
    _, blocks = delivered([*on_time(0, 100), (100, 6.0), *held_up, *on_time(400, 500)])
    assert lost_before(blocks) == []
    assert numbers(blocks) == list(range(500))


@pytest.mark.parametrize("drift", [-5e-4, 5e-4])
def test_a_clock_that_is_a_little_wrong_loses_nothing_in_an_hour(drift: float) -> None:
    _, blocks = delivered([(n, at_s * (1.0 + drift)) for n, at_s in on_time(0, 180_000)])
    assert lost_before(blocks) == []


def test_many_small_losses_add_up() -> None:
    _, blocks = delivered([(n, at_s) for n, at_s in on_time(0, 6_000) if n % 50])
    lost_s = sum(lost_s for _, lost_s in lost_before(blocks))
    assert lost_s == pytest.approx(120 * BLOCK_S, abs=0.4)


def test_when_the_sound_ends_the_rest_and_what_is_missing_are_told() -> None:
    gaps, _ = delivered(on_time(0, 100))
    at_the_end = gaps.end(2.5, "a test")  # The rest may still be on its way.
    assert (at_the_end.n_lost, len(at_the_end.samples)) == (0, 0)
    later = gaps.end(5.0, "a test")
    assert later.n_lost / SAMPLE_RATE == pytest.approx(3.0, abs=0.01)
    assert gaps.push(block(250), 7.0, "a test") is None
    rest = gaps.end(7.01, "a test")
    assert rest.n_lost / SAMPLE_RATE == pytest.approx(2.0 - BLOCK_S, abs=0.01)
    assert numbers([rest]) == [250]


def test_before_the_first_sound_nothing_is_missing() -> None:
    gaps = GapFinder()
    assert gaps.end(100.0, "a test").n_lost == 0
    first = gaps.push(block(0), 200.0, "a test")
    assert first is not None
    assert first.n_lost == 0
