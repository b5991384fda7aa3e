from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.ring_buffer import RingBuffer

CAPACITY = 16
STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "skip"]), st.integers(0, 2 * CAPACITY + 3)), max_size=12
)


def count_up(start: int, n_samples: int) -> np.ndarray:
    """Samples that differ from each other."""
    return np.arange(start + 1, start + 1 + n_samples, dtype=np.float32)


def ring_of(n_samples: int) -> RingBuffer:
    ring = RingBuffer(CAPACITY)
    ring.append(count_up(0, n_samples))
    return ring


def readable(everything: list[float | None]) -> int:
    """Where the newest samples begin, as many as the ring holds; lost ones are None."""
    kept = [at for at, sample in enumerate(everything) if sample is not None][-CAPACITY:]
    return kept[0] if kept else len(everything)


@given(STEPS)
def test_it_holds_what_the_end_of_a_list_holds(steps: list[tuple[str, int]]) -> None:
    ring = RingBuffer(CAPACITY)
    everything: list[float | None] = []
    for step, n_samples in steps:
        if step == "append":
            samples = count_up(len(everything), n_samples)
            ring.append(samples)
            everything += samples.tolist()
        else:
            ring.skip(n_samples)
            everything += [None] * n_samples
        assert ring.stop == len(everything)
        first = readable(everything)
        assert ring.start == first
        for start in range(first, ring.stop + 1):
            for stop in (start, min(start + 1, ring.stop), ring.stop):
                expected = everything[start:stop]
                if None in expected:
                    with pytest.raises(IndexError, match="gap"):
                        ring.read(start, stop)
                else:
                    assert ring.read(start, stop).tolist() == expected


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        pytest.param(3, 10, id="not any more"),
        pytest.param(15, 21, id="not yet"),
        pytest.param(21, 22, id="far off"),
        pytest.param(12, 11, id="backwards"),
        pytest.param(-1, 10, id="negative"),
    ],
)
def test_a_span_that_is_not_there_is_refused(start: int, stop: int) -> None:
    with pytest.raises(IndexError, match=rf"\[4, 20\), found \[{start}, {stop}\)"):
        ring_of(20).read(start, stop)


def test_a_gap_of_any_length_leaves_what_lies_before_it() -> None:
    ring = ring_of(10)
    for _ in range(100):
        ring.skip(1_000_000)
    ring.append(count_up(10, 6))
    assert ring.read(0, 10).tolist() == count_up(0, 10).tolist()
    assert ring.read(100_000_010, 100_000_016).tolist() == count_up(10, 6).tolist()


def test_what_was_read_does_not_change_when_it_is_overwritten() -> None:
    ring = ring_of(CAPACITY)
    read = ring.read(0, CAPACITY)
    ring.append(np.full(CAPACITY, -1.0, np.float32))
    assert read.tolist() == count_up(0, CAPACITY).tolist()


def test_what_was_appended_may_be_changed_by_its_owner() -> None:
    block = count_up(0, 4)
    ring = RingBuffer(CAPACITY)
    ring.append(block)
    block[:] = -1.0
    assert ring.read(0, 4).tolist() == [1.0, 2.0, 3.0, 4.0]
